# pyright: basic
"""Ways to get evaluation wrong, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.classical.evaluation.evaluation import (
    RocCurve,
    Scores,
    _check_folds,
    _classes,
    _labels_and_scores,
    _ratio,
    _same_shape,
)


@mistake("confusion_matrix", edit=("true * size + predicted", "predicted * size + true"))
def puts_predictions_in_rows():
    """Your table is transposed: rows are the predictions. Here, as in scikit-learn, rows are the true classes."""


@mistake("confusion_matrix", edit=("predictions, classes)", "predictions, None)"))
def ignores_the_order_given():
    """You do not use `classes`: they give the order of rows and columns, and classes that nobody has."""


@mistake("confusion_matrix", edit=("reshape(size, size)", "reshape(size, size) / len(true)"))
def divides_by_the_samples():
    """You return shares. The table holds counts; whoever wants shares divides each row by its sum."""


@mistake(
    "precision_recall_f1",
    edit=[
        ('"precision", hits, alarms', '"precision", hits, cases'),
        ('"recall", hits, cases', '"recall", hits, alarms'),
    ],
)
def swaps_precision_and_recall():
    """You swapped precision and recall. Precision divides the hits by the alarms, recall by the cases."""


@mistake(
    "precision_recall_f1",
    edit=(
        '_ratio("f1", 2 * hits, alarms + cases,',
        "(hits / alarms + hits / cases) / 2 if hits else _ratio('f1', 0, alarms + cases,",
    ),
)
def takes_the_arithmetic_mean():
    """Your F1 is the arithmetic mean, which forgives a recall near 0. F1 is the harmonic: 2TP / (2TP + FP + FN)."""


@mistake(
    "precision_recall_f1", edit=('"precision", hits, alarms', '"precision", int(np.sum(actual == alarm)), len(true)')
)
def calls_accuracy_precision():
    """Your precision is the accuracy: it counts correct rejections. Precision looks at the alarms alone."""


@mistake("precision_recall_f1", edit=("true == positive, predicted == positive", "true == 1, predicted == 1"))
def looks_for_ones_only():
    """You compare with 1 whatever `positive` is. The class that is looked for is an argument."""


@mistake("roc_curve", edit=("np.flatnonzero(np.append(np.diff(values[order]) != 0, True))", "np.arange(len(values))"))
def splits_ties():
    """You make a point of every sample. Samples of equal score pass a threshold together and make one point."""


@mistake(
    "roc_curve",
    edit=[
        ("np.append(0, false_alarms)", "false_alarms"),
        ("np.append(0, hits)", "hits"),
        ("np.append(np.inf, values[order][ends])", "values[order][ends]"),
    ],
)
def begins_at_the_first_sample():
    """Your curve lacks its first point, (0, 0) at an infinite threshold, where nobody is called positive."""


@mistake("roc_curve", edit=("np.append(np.inf,", "np.append(values.max() + 1,"))
def begins_one_above_the_highest():
    """Your first threshold is the highest score and one. It must be infinity: a later sample may score higher still."""


@mistake("roc_curve", edit=("np.argsort(-values", "np.argsort(values"))
def lowers_the_scores_upwards():
    """You sorted by rising score. The threshold falls from infinity, so the highest scores pass it first."""


@mistake("roc_auc", edit=(" - (counts - 1) / 2", ""))
def wins_every_tie():
    """A tie counts one half, and yours is won. Give equal scores the mean of their ranks, not the highest."""


@mistake("roc_auc", edit=(" - (counts - 1) / 2", " - counts + 1"))
def loses_every_tie():
    """A tie counts one half, and yours is lost. Give equal scores the mean of their ranks, not the lowest."""


@mistake("roc_auc", edit=(" - cases * (cases + 1) / 2", ""))
def counts_pairs_of_positives():
    """You forgot to take away n₁(n₁ + 1) / 2: a rank also counts the positives below, and the sample itself."""


@mistake(
    "cheapest_threshold",
    edit=(
        "(misses * miss_cost + alarms * alarm_cost)",
        "(misses * alarm_cost + alarms * miss_cost)",
    ),
)
def swaps_the_costs():
    """You charge misses with `alarm_cost` and alarms with `miss_cost`. A miss is a positive below the threshold."""


@mistake(
    "cheapest_threshold",
    edit=(
        "(misses * miss_cost + alarms * alarm_cost) / n_samples",
        "(1 - true_rate) * miss_cost + false_rate * alarm_cost",
    ),
)
def forgets_how_rare_ones_are():
    """You add the two rates, as if both classes were equally frequent. Count misses and alarms."""


@mistake("cheapest_threshold", edit=("np.argmin(costs)", "len(costs) - 1 - np.argmin(costs[::-1])"))
def takes_the_lowest_of_the_cheapest():
    """Of equally cheap thresholds you return the lowest, which raises the most alarms. The highest is asked for."""


@mistake("stratified_folds", edit=("folds[by_class]", "folds[shuffled]"))
def forgets_the_classes():
    """You deal all samples out without looking at their class: a rare class may be missing from a fold."""


@mistake("stratified_folds")
def begins_again_with_every_class(labels, k, rng):
    """You begin at fold 0 again with every class, so the first folds get all leftovers. Go on where you stopped."""
    classes = np.asarray(labels)
    _check_folds(classes, k)
    folds = np.empty(len(classes), dtype=int)
    for name in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == name))
        folds[members] = np.arange(len(members)) % k
    return folds


@mistake("stratified_folds", edit=("rng.permutation(len(classes))", "np.arange(len(classes))"))
def deals_without_shuffling():
    """You do not shuffle: neighbours in the data, which are often alike, get folds by their place. Use `rng`."""


@variant("confusion_matrix")
def by_adding_at(labels, predictions, classes=None):
    """A table of zeros, to which every pair adds one."""
    true, predicted, order = _classes(labels, predictions, classes)
    table = np.zeros((len(order), len(order)), dtype=np.int64)
    np.add.at(table, (true, predicted), 1)
    return table


@variant("precision_recall_f1")
def from_four_counts(labels, predictions, positive=1, *, undefined=None):
    """The formulas as textbooks write them."""
    true, predicted = _same_shape(labels, predictions, "predictions")
    tp = int(((true == positive) & (predicted == positive)).sum())
    fp = int(((true != positive) & (predicted == positive)).sum())
    fn = int(((true == positive) & (predicted != positive)).sum())
    return Scores(
        _ratio("precision", tp, tp + fp, "no alarm", undefined),
        _ratio("recall", tp, tp + fn, "no case", undefined),
        _ratio("f1", 2 * tp, 2 * tp + fp + fn, "neither", undefined),
    )


@variant("roc_curve")
def threshold_by_threshold(labels, scores):
    """Every distinct score is tried."""
    positive, values = _labels_and_scores(labels, scores)
    thresholds = np.append(np.inf, np.unique(values)[::-1])
    passed = values >= thresholds[:, None]
    return RocCurve(passed[:, ~positive].mean(axis=1), passed[:, positive].mean(axis=1), thresholds)


@variant("roc_auc")
def pair_by_pair(labels, scores):
    """Every positive meets every negative."""
    positive, values = _labels_and_scores(labels, scores)
    ahead = values[positive][:, None] - values[~positive]
    return float((np.sum(ahead > 0) + np.sum(ahead == 0) / 2) / ahead.size)


@variant("stratified_folds")
def class_after_class(labels, k, rng):
    """Each class is shuffled alone, and dealing goes on where it stopped, from a random fold on."""
    classes = np.asarray(labels)
    _check_folds(classes, k)
    folds, place = np.empty(len(classes), dtype=int), int(rng.integers(k))
    for name in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == name))
        folds[members] = (place + np.arange(len(members))) % k
        place += len(members)
    return folds

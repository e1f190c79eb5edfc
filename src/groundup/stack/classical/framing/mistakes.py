# pyright: basic
"""Ways to get framing wrong, and right ways that differ."""

import copy

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from groundup.anatomy import mistake, variant
from groundup.stack.classical.framing.framing import BiasVariance, LearningCurve, _test_size


@mistake("MajorityClassifier.fit", edit=("counts / len(y)", "np.full(len(counts), 1 / len(counts))"))
def gives_every_class_the_same_share():
    """You give all classes the same share. The baseline knows how frequent each class is, and nothing else."""


@mistake("MajorityClassifier.fit", edit=("counts / len(y)", "counts"))
def keeps_counts_for_shares():
    """You keep counts where shares are asked for: probabilities of a sample must sum to 1. Divide by len(y)."""


@mistake("MajorityClassifier.fit", edit=("return self", "return None"))
def returns_nothing():
    """Your `fit` does not return the estimator, so `Model().fit(X, y).predict(X)` fails. End with `return self`."""


@mistake("split", edit=("rng.permutation(len(counts))", "np.arange(len(counts))"))
def takes_the_first():
    """You take the test part in the order of the data. Data is often sorted, by time or class: draw with `rng`."""


@mistake("split", edit=("np.unique(labels, return_inverse", "np.unique(np.arange(n_samples), return_inverse"))
def looks_past_the_groups():
    """You draw single samples though groups were given: samples of one group stand on both sides, and leak."""


@mistake("split", edit=("n_test) + 1", "n_test)"))
def stops_one_group_short():
    """You stop before the test part is large enough. Take groups until it holds at least the share asked for."""


@mistake(
    "split",
    edit=("np.cumsum(counts[drawn]), n_test)", "np.arange(1, len(counts)), _test_size(len(counts), test_share))"),
)
def takes_a_share_of_the_groups():
    """You take a share of the groups. `test_share` is of the samples: add up the sizes of the groups drawn."""


@mistake("time_split", edit=("np.searchsorted(moments[order], moments[order[cut]])", "cut"))
def cuts_through_equal_times():
    """You cut between samples of the same time: some train, some test, and none is earlier. Keep them together."""


@mistake(
    "time_split",
    edit=("return order[:cut], order[cut:]", "return order[len(order) - cut :], order[: len(order) - cut]"),
)
def lets_the_future_train():
    """You train on the latest samples and test on the earliest. In production the past must predict the future."""


@mistake("time_split", edit=("return order[:cut], order[cut:]", "return np.arange(cut), np.arange(cut, len(order))"))
def forgets_to_sort():
    """You cut the rows where they lie. `times` may come in any order: return indices in the order of time."""


@mistake(
    "shared_rows", edit=("np.isin(number[n_train:], number[:n_train])", "np.isin(number[:n_train], number[n_train:])")
)
def marks_the_training_rows():
    """You mark training rows that occur in the test part. Asked for are test rows that training has seen."""


@mistake("shared_rows")
def compares_numbers_one_by_one(train, test):
    """You ask whether each number occurs somewhere in training. A row is shared when a training row equals it whole."""
    rows, seen = np.asarray(test, dtype=float), np.asarray(train, dtype=float)
    if rows.ndim != 2 or seen.ndim != 2 or rows.shape[1] != seen.shape[1]:
        raise ValueError(f"train and test must be tables with the same columns, got {seen.shape} and {rows.shape}.")
    return np.isin(rows, seen).all(axis=1)


@mistake(
    "shared_rows",
    edit=(
        "rows = np.concatenate([np.where(missing, 0.0, rows), missing], axis=1)",
        "rows = np.where(missing, 0.0, rows)",
    ),
)
def takes_a_gap_for_zero():
    """You fill gaps with 0 and compare: then a row with a gap equals a row with a zero. Say where the gaps were."""


@mistake("bias_variance", edit=("typical - target) ** 2))", "typical - target)) ** 2)"))
def squares_the_mean_bias():
    """You average the bias over the points before you square it: errors above and below the truth cancel."""


@mistake("bias_variance", edit=("answers - typical) ** 2", "answers - target) ** 2"))
def spreads_around_the_truth():
    """You measure the spread around the truth. Variance is the spread of the models around their own mean."""


@mistake("bias_variance", edit=("np.mean((answers - typical) ** 2)", "np.mean(answers.var(axis=0, ddof=1))"))
def divides_by_one_less():
    """You divide by the number of models less one. Then the parts do not sum to the error of these models."""


@mistake("bias_variance", edit=("answers.mean(axis=0)", "answers.mean()"))
def averages_over_the_points():
    """Your mean prediction is not one number for each point. Average over the models, axis 0, and nothing else."""


@mistake("learning_curve", edit=("score(fitted, X[part], y[part])", "score(fitted, X, y)"))
def scores_all_of_training():
    """Your training score is taken on all training samples, most of which were not trained on. Score the part."""


@mistake("learning_curve", edit=("rng.permutation(len(y))", "np.arange(len(y))"))
def grows_from_the_first_row():
    """You take the first rows. Shuffle once with `rng`, so that a small part looks like the whole."""


@mistake("learning_curve", edit=("copy.deepcopy(estimator).fit", "estimator.fit"))
def fits_the_estimator_given():
    """You fit the estimator itself, or a copy that shares its parts. Copy it deeply for each size: it is not yours."""


@variant("MajorityClassifier.fit")
def class_by_class(self, X, y):
    """A loop over the classes."""
    X, y = validate_data(self, X, y)
    check_classification_targets(y)
    self.classes_ = np.array(sorted(set(np.asarray(y).tolist())))
    self.shares_ = np.array([np.mean(y == name) for name in self.classes_])
    return self


@variant("split")
def group_after_group(n_samples, test_share, rng, *, groups=None):
    """Groups are put into the test part one after the other."""
    n_test = _test_size(n_samples, test_share)
    labels = np.arange(n_samples) if groups is None else np.asarray(groups)
    if labels.shape != (n_samples,):
        raise ValueError(f"groups must be of shape ({n_samples},), got {labels.shape}")
    names = np.unique(labels)
    if len(names) < 2:
        raise ValueError(f"groups must hold at least 2 different groups, got {len(names)}")
    testing = np.zeros(n_samples, dtype=bool)
    for name in rng.permutation(names)[:-1]:
        testing |= labels == name
        if testing.sum() >= n_test:
            break
    return np.where(~testing)[0], np.where(testing)[0]


@variant("bias_variance")
def variance_by_numpy(predictions, truth, noise=0.0):
    """The variance is NumPy's, over the models."""
    answers, target = np.array(predictions, dtype=float), np.array(truth, dtype=float)
    if answers.ndim != 2 or answers.size == 0 or answers.shape[1:] != target.shape:
        raise ValueError(f"got shapes {answers.shape} and {target.shape}")
    if noise < 0:
        raise ValueError(f"noise must be at least 0, got {noise}")
    bias = float(((answers.mean(axis=0) - target) ** 2).mean())
    spread = float(answers.var(axis=0).mean())
    return BiasVariance(bias, spread, float(noise), bias + spread + noise)


@variant("learning_curve")
def from_copies_made_first(estimator, train, test, sizes, score, rng):
    """All copies are made and fitted before any is scored."""
    X, y = train
    if bad := [size for size in sizes if not 0 < size <= len(y)]:
        raise ValueError(f"sizes must be from 1 to {len(y)}, got {bad[0]}")
    order = rng.permutation(len(y))
    models = [copy.deepcopy(estimator).fit(X[order[:n]], y[order[:n]]) for n in sizes]
    inside = [score(model, X[order[:n]], y[order[:n]]) for model, n in zip(models, sizes, strict=True)]
    return LearningCurve(np.array(sizes), np.array(inside, float), np.array([score(m, *test) for m in models], float))

"""Judge a classifier: counts and ratios, curves over all thresholds, calibration, cross-validation, thresholds by cost.

    matrix = confusion_matrix(labels, predictions)              # rows: what is, columns: what was said
    precision_recall_f1(labels, predictions).recall
    roc_auc(labels, scores)                                     # labels are 0 and 1, scores any numbers
    cheapest_threshold(labels, scores, miss_cost=50, alarm_cost=1)

A score is higher where the model is surer of class 1, and a sample counts as 1 where its score is at least the
threshold. A metric that is 0 / 0 is refused: 0 would be a claim. An error names what it refuses, by name and value.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Scores(NamedTuple):
    """Precision, recall and their harmonic mean, for one class."""

    precision: float
    recall: float
    f1: float


class RocCurve(NamedTuple):
    """Shares of negatives and positives at or above each threshold, from (0, 0) at infinity to (1, 1)."""

    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray
    thresholds: np.ndarray


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall at each threshold, from the highest to the lowest."""

    precision: np.ndarray
    recall: np.ndarray
    thresholds: np.ndarray


class Decision(NamedTuple):
    """A threshold and the mean cost of a sample under it. An infinite threshold never says 1."""

    threshold: float
    cost: float


class Calibration(NamedTuple):
    """The non-empty bins of a reliability diagram: mean probability, share of ones, number of samples."""

    predicted: np.ndarray
    observed: np.ndarray
    counts: np.ndarray


# --- counts and ratios ----------------------------------------------------------------------------------------------


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike, classes: Sequence[Any] | None = None) -> np.ndarray:
    """Count how often each class was taken for each other.

    Args:
        labels: the true classes, of shape (n_samples,): numbers or strings.
        predictions: the predicted classes, of shape (n_samples,).
        classes: the classes in the order of rows and columns; all that occur, sorted, unless given.

    Returns:
        Counts of shape (n_classes, n_classes): row i, column j holds the samples of class i predicted as class j.

    Raises:
        ValueError: the shapes differ or hold no sample, or a value is not among `classes`.
    """
    true, predicted, order = _classes(labels, predictions, classes)
    size = len(order)
    return np.bincount(true * size + predicted, minlength=size * size).reshape(size, size)


def precision_recall_f1(
    labels: ArrayLike, predictions: ArrayLike, positive: Any = 1, *, undefined: float | None = None
) -> Scores:
    """Return TP / (TP + FP), TP / (TP + FN) and 2 TP / (2 TP + FP + FN) for one class against all others.

    Args:
        labels: the true classes, of shape (n_samples,).
        predictions: the predicted classes, of shape (n_samples,).
        positive: the class that is looked for; every other value is negative.
        undefined: the value of a ratio that is 0 / 0; such a ratio is refused unless this is given.

    Raises:
        ValueError: the shapes differ or hold no sample, or a ratio is 0 / 0 and `undefined` is not given.
    """
    true, predicted = _same_shape(labels, predictions, "predictions")
    actual, alarm = true == positive, predicted == positive
    hits = int(np.sum(actual & alarm))
    alarms, cases = int(np.sum(alarm)), int(np.sum(actual))
    return Scores(
        _ratio("precision", hits, alarms, f"no sample was predicted as {positive!r}", undefined),
        _ratio("recall", hits, cases, f"no sample is {positive!r}", undefined),
        _ratio("f1", 2 * hits, alarms + cases, f"{positive!r} neither occurs nor is predicted", undefined),
    )


# --- all thresholds at once -----------------------------------------------------------------------------------------


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> RocCurve:
    """Return the false and true positive rates of every threshold that makes a difference.

    Samples of equal score pass a threshold together, so the curve has one point for each distinct score, in
    descending order, after the point (0, 0) at an infinite threshold.

    Args:
        labels: 0 or 1, of shape (n_samples,).
        scores: finite numbers of shape (n_samples,), higher for class 1.

    Returns:
        Three arrays of shape (n_distinct_scores + 1,).

    Raises:
        ValueError: the shapes differ, a label is not 0 or 1, a score is not finite, or a class does not occur.
    """
    positive, values = _labels_and_scores(labels, scores)
    order = np.argsort(-values)
    ends = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))  # the last sample of each distinct score
    hits = np.cumsum(positive[order])[ends]
    false_alarms = ends + 1 - hits
    return RocCurve(
        np.append(0, false_alarms) / false_alarms[-1],
        np.append(0, hits) / hits[-1],
        np.append(np.inf, values[order][ends]),
    )


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the probability that a random positive scores higher than a random negative, a tie counting one half.

    It is the area under the ROC curve, computed from ranks (Mann and Whitney, 1947): with R the sum of the positives'
    ranks, ties sharing their mean rank, the number of pairs won is R - n₁(n₁ + 1) / 2.

    Args:
        labels: 0 or 1, of shape (n_samples,).
        scores: finite numbers of shape (n_samples,).

    Raises:
        ValueError: as `roc_curve`.
    """
    positive, values = _labels_and_scores(labels, scores)
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    cases = positive.sum()
    won = ranks[place][positive].sum() - cases * (cases + 1) / 2
    return float(won / (cases * (len(values) - cases)))


def precision_recall_curve(labels: ArrayLike, scores: ArrayLike) -> PrecisionRecallCurve:
    """Return precision and recall at every distinct score, from the highest down. Raises ValueError as `roc_curve`."""
    positive, _ = _labels_and_scores(labels, scores)
    false_rate, recall, thresholds = roc_curve(labels, scores)
    hits = recall[1:] * positive.sum()
    false_alarms = false_rate[1:] * (~positive).sum()
    return PrecisionRecallCurve(hits / (hits + false_alarms), recall[1:], thresholds[1:])


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean precision over the positives as they are found, Σ (Rᵢ - Rᵢ₋₁) Pᵢ. Raises as `roc_curve`."""
    precision, recall, _ = precision_recall_curve(labels, scores)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def cheapest_threshold(labels: ArrayLike, scores: ArrayLike, *, miss_cost: float, alarm_cost: float) -> Decision:
    """Return the threshold under which these samples cost least, and their mean cost.

    Choose it on data that the model was not fitted to, and judge it on data that neither has seen.

    Args:
        labels: 0 or 1, of shape (n_samples,).
        scores: finite numbers of shape (n_samples,).
        miss_cost: what a positive below the threshold costs, at least 0.
        alarm_cost: what a negative at or above the threshold costs, at least 0.

    Returns:
        Of equally cheap thresholds the highest, which raises the fewest alarms.

    Raises:
        ValueError: a cost is negative or not finite, or as `roc_curve`.
    """
    for name, cost in (("miss_cost", miss_cost), ("alarm_cost", alarm_cost)):
        if not 0 <= cost < np.inf:
            raise ValueError(f"{name} must be a finite number of at least 0, got {cost}.")
    false_rate, true_rate, thresholds = roc_curve(labels, scores)
    n_samples, cases = np.size(labels), np.count_nonzero(labels)
    misses, alarms = np.rint((1 - true_rate) * cases), np.rint(false_rate * (n_samples - cases))
    costs = (misses * miss_cost + alarms * alarm_cost) / n_samples  # counts are exact: equal costs are equal
    best = np.argmin(costs)
    return Decision(float(thresholds[best]), float(costs[best]))


# --- probabilities --------------------------------------------------------------------------------------------------


def calibration_curve(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> Calibration:
    """Compare probabilities with shares of ones, in intervals of equal width: of those told 0.7, are 70 % ones?

    Args:
        labels: 0 or 1, of shape (n_samples,).
        probabilities: numbers in [0, 1], of shape (n_samples,).
        bins: how many intervals divide [0, 1]; an inner edge belongs to the interval below it.

    Raises:
        ValueError: the shapes differ, a label is not 0 or 1, a probability is outside [0, 1], or bins < 1.
    """
    positive, values = _binary(labels, probabilities, "probabilities")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"probabilities must be within [0, 1], got {values.min()} to {values.max()}.")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}.")
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], values)
    counts = np.bincount(place, minlength=bins)
    used = counts > 0
    predicted = np.bincount(place, weights=values, minlength=bins)[used] / counts[used]
    observed = np.bincount(place, weights=positive, minlength=bins)[used] / counts[used]
    return Calibration(predicted, observed, counts[used])


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> float:
    """Return the mean distance of probability and share, weighted by samples. Raises as `calibration_curve`."""
    curve = calibration_curve(labels, probabilities, bins)
    return float(np.average(np.abs(curve.predicted - curve.observed), weights=curve.counts))


# --- cross-validation -----------------------------------------------------------------------------------------------


def stratified_folds(labels: ArrayLike, k: int, rng: np.random.Generator) -> np.ndarray:
    """Deal the samples out to k folds at random, every class as evenly as its size allows.

    Args:
        labels: classes of shape (n_samples,).
        k: how many folds, at least 2.
        rng: shuffles the samples.

    Returns:
        The fold of each sample, 0 to k - 1, of shape (n_samples,). Two folds differ by at most one in their size, and
        by at most one in the samples of each class.

    Raises:
        ValueError: k is below 2, or a class has fewer than k samples.
    """
    classes = np.asarray(labels)
    _check_folds(classes, k)
    shuffled = rng.permutation(len(classes))
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    folds = np.empty(len(classes), dtype=int)
    folds[by_class] = np.arange(len(classes)) % k
    return folds


def cross_validate(
    estimator: Any,
    X: np.ndarray,
    y: ArrayLike,
    folds: np.ndarray,
    score: Callable[[Any, np.ndarray, np.ndarray], float],
) -> np.ndarray:
    """Hold each fold out once: fit a copy of the estimator on the others, and score it on the fold.

    Args:
        estimator: has `fit(X, y)`; it is copied before each fit and stays as it is.
        X: samples of shape (n_samples, n_features).
        y: targets of shape (n_samples,).
        folds: the fold of each sample, as from `stratified_folds`.
        score: called with the fitted copy and the held-out X and y.

    Returns:
        One score a fold, in the order of the folds' numbers.
    """
    y = np.asarray(y)
    scores = []
    for fold in np.unique(folds):
        held_out = folds == fold
        fitted = copy.deepcopy(estimator).fit(X[~held_out], y[~held_out])
        scores.append(score(fitted, X[held_out], y[held_out]))
    return np.array(scores, dtype=float)


# --- checks of what is given ----------------------------------------------------------------------------------------


def _same_shape(labels: ArrayLike, others: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    true, other = np.asarray(labels), np.asarray(others)
    if true.ndim != 1 or true.shape != other.shape:
        raise ValueError(f"labels and {name} must both be of shape (n_samples,), got {true.shape} and {other.shape}.")
    if true.size == 0:
        raise ValueError(f"labels and {name} must hold at least one sample, got shape (0,).")
    return true, other


def _classes(
    labels: ArrayLike, predictions: ArrayLike, classes: Sequence[Any] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and predictions as numbers of rows, and the class of each row."""
    true, predicted = _same_shape(labels, predictions, "predictions")
    order = np.asarray(classes) if classes is not None else np.unique(np.concatenate([true, predicted]))
    unknown = np.setdiff1d(np.concatenate([true, predicted]), order)
    if unknown.size:
        raise ValueError(f"classes must hold every label and prediction, but {unknown[0]!r} is not in {order}.")
    sorter = np.argsort(order)
    numbers = [sorter[np.searchsorted(order, values, sorter=sorter)] for values in (true, predicted)]
    return numbers[0], numbers[1], order


def _ratio(name: str, part: int, whole: int, why: str, undefined: float | None) -> float:
    if whole:
        return part / whole
    if undefined is None:
        raise ValueError(f"{name} is undefined, 0 / 0: {why}. Give undefined=0.0 to count it as 0.")
    return float(undefined)


def _binary(labels: ArrayLike, scores: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    true, values = _same_shape(labels, scores, name)
    if not np.isin(true, (0, 1)).all():
        wrong = true[~np.isin(true, (0, 1))][0]
        raise ValueError(f"labels must be 0 or 1, got {wrong!r}. Compare first, for example labels == {wrong!r}.")
    values = values.astype(float)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got {values[~np.isfinite(values)][0]}.")
    return true.astype(bool), values


def _labels_and_scores(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    positive, values = _binary(labels, scores, "scores")
    if positive.all() or not positive.any():
        only = int(positive[0])
        raise ValueError(f"labels must hold both 0 and 1, got only {only}: without the other there is no curve.")
    return positive, values


def _check_folds(labels: np.ndarray, k: int) -> None:
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(f"labels must be of shape (n_samples,) with n_samples > 0, got {labels.shape}.")
    if k < 2:
        raise ValueError(f"k must be at least 2, got {k}: one part is held out and the others train.")
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < k:
        rare = classes[counts.argmin()].item()
        raise ValueError(f"every class needs at least k={k} samples, but {rare!r} has {counts.min()}. Lower k.")

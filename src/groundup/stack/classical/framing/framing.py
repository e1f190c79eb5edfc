"""Frame a problem: baselines, splits that hold, rows that leak, and why a model errs.

    model = MajorityClassifier().fit(X, y)                      # what any model must beat
    train, test = split(len(y), 0.25, rng, groups=tickets)      # no group on both sides
    train, test = time_split(times, 0.25)                       # the past predicts the future
    shared_rows(X[train], X[test]).mean()                       # the share of the test part that training has seen
    bias_variance(predictions, truth)                           # n models, one sample of the data each

Index arrays say which samples belong to a part; the arrays themselves are never copied or reordered. An error names
the parameter and the value that it refuses.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data


class BiasVariance(NamedTuple):
    """Mean squared error by cause; `error` is the sum of the three."""

    bias_squared: float
    variance: float
    noise: float
    error: float


class LearningCurve(NamedTuple):
    """Scores on the samples that trained and on those that did not, one of each for a training size."""

    sizes: np.ndarray
    train: np.ndarray
    test: np.ndarray


# --- the baseline ---------------------------------------------------------------------------------------------------


class MajorityClassifier(ClassifierMixin, BaseEstimator):
    """Predicts the most frequent class of the training samples, whatever the features are.

    Attributes:
        classes_: the classes, sorted, of shape (n_classes,).
        shares_: the share of each among the training samples, of shape (n_classes,).
        n_features_in_: how many features `fit` was given.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Count the classes of y.

        Args:
            X: samples of shape (n_samples, n_features); only their shape is looked at.
            y: classes of shape (n_samples,), numbers or strings.

        Raises:
            ValueError: X or y has another shape, no sample or a value that is not finite, or y is continuous.
        """
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, counts = np.unique(y, return_counts=True)
        self.shares_ = counts / len(y)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the shares of the classes for every sample, of shape (n_samples, n_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        return np.tile(self.shares_, (len(X), 1))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most frequent class for every sample, of shape (n_samples,); of equals the first."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # it is what others are compared with
        return tags


# --- parts that are kept apart --------------------------------------------------------------------------------------


def split(
    n_samples: int, test_share: float, rng: np.random.Generator, *, groups: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a test part at random, of single samples or of whole groups.

    Args:
        n_samples: how many samples there are, at least 2.
        test_share: share of the samples that test, between 0 and 1: the nearest whole number of them.
        rng: draws.
        groups: the group of each sample, of shape (n_samples,). Groups are drawn, one after the other, until the test
            part holds at least that number of samples, or one group is left.

    Returns:
        Indices of the training and of the test samples, each ascending, neither empty.

    Raises:
        ValueError: a share outside (0, 1), fewer than 2 samples or groups, or groups of another length.
    """
    n_test = _test_size(n_samples, test_share)
    labels = np.arange(n_samples) if groups is None else np.asarray(groups)
    if labels.shape != (n_samples,):
        raise ValueError(f"groups must be of shape ({n_samples},), one for each sample, got {labels.shape}.")
    _, group, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise ValueError(
            f"groups must hold at least 2 different groups, got {len(counts)}: one must stay for training."
        )
    drawn = rng.permutation(len(counts))
    needed = np.searchsorted(np.cumsum(counts[drawn]), n_test) + 1
    testing = np.isin(group, drawn[: min(needed, len(counts) - 1)])
    return np.flatnonzero(~testing), np.flatnonzero(testing)


def time_split(times: ArrayLike, test_share: float) -> tuple[np.ndarray, np.ndarray]:
    """Let the past train and the future test: no training sample is as late as any test sample.

    Args:
        times: when each sample was taken, of shape (n_samples,): numbers or `datetime64`, in any order.
        test_share: share of the samples that test, between 0 and 1. Samples of equal time stay together, so that the
            test part may be larger.

    Returns:
        Indices of the training and of the test samples, each in the order of time, equal times as they came.

    Raises:
        ValueError: times of another shape, a share outside (0, 1), fewer than 2 samples, a time that is NaN or NaT, or
            no earlier sample to train on.
    """
    moments = np.asarray(times)
    if moments.ndim != 1:
        raise ValueError(f"times must be of shape (n_samples,), got {moments.shape}.")
    if np.any(moments != moments):  # NaN and NaT are the values that differ from themselves
        raise ValueError(f"times must be known for every sample, got {moments[moments != moments][0]}.")
    cut = len(moments) - _test_size(len(moments), test_share)
    order = np.argsort(moments, kind="stable")
    cut = np.searchsorted(moments[order], moments[order[cut]])  # the first sample of that time
    if cut == 0:
        raise ValueError(
            f"times must begin before the test part, which begins at {moments[order[0]]}: lower test_share."
        )
    return order[:cut], order[cut:]


def shared_rows(train: ArrayLike, test: ArrayLike) -> np.ndarray:
    """Mark the test rows that occur, number for number, in the training part.

    Args:
        train: numbers of shape (n_train, n_features); NaN or None, a missing value, equals itself and no
            number. 0.0 and -0.0 are the same number.
        test: numbers of shape (n_test, n_features).

    Returns:
        Booleans of shape (n_test,).

    Raises:
        ValueError: the two are not tables with the same number of columns.
    """
    tables = [np.asarray(part, dtype=float) for part in (train, test)]
    if any(table.ndim != 2 for table in tables) or tables[0].shape[1] != tables[1].shape[1]:
        shapes = " and ".join(str(table.shape) for table in tables)
        raise ValueError(f"train and test must be tables with the same number of columns, got {shapes}.")
    rows = np.concatenate(tables)
    missing = np.isnan(rows)
    rows = np.concatenate([np.where(missing, 0.0, rows), missing], axis=1)
    _, number = np.unique(rows, axis=0, return_inverse=True)
    n_train = len(tables[0])
    return np.isin(number[n_train:], number[:n_train])


# --- why a model errs -----------------------------------------------------------------------------------------------


def bias_variance(predictions: ArrayLike, truth: ArrayLike, noise: float = 0.0) -> BiasVariance:
    """Split the mean squared error of models that were trained on different samples of the data.

    With f the truth and g the mean prediction at a point, E(y - p)² = (f - g)² + E(p - g)² + noise (Geman,
    Bienenstock and Doursat, 1992).

    Args:
        predictions: of shape (n_models, n_points), a row for each model.
        truth: the noiseless target at each point, of shape (n_points,).
        noise: variance of the target around the truth, which no model can predict.

    Returns:
        The three parts and their sum, each averaged over the points.

    Raises:
        ValueError: the shapes do not fit, or the noise is negative.
    """
    answers, target = np.asarray(predictions, dtype=float), np.asarray(truth, dtype=float)
    if answers.ndim != 2 or target.shape != answers.shape[1:] or answers.size == 0:
        shapes = f"{answers.shape} and {target.shape}"
        raise ValueError(f"predictions and truth must be of shape (n_models, n_points) and (n_points,), got {shapes}.")
    if noise < 0:
        raise ValueError(f"noise must be a variance, at least 0, got {noise}.")
    typical = answers.mean(axis=0)
    bias_squared = float(np.mean((typical - target) ** 2))
    variance = float(np.mean((answers - typical) ** 2))
    return BiasVariance(bias_squared, variance, float(noise), bias_squared + variance + noise)


def learning_curve(
    estimator: Any,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    sizes: Sequence[int],
    score: Callable[[Any, np.ndarray, np.ndarray], float],
    rng: np.random.Generator,
) -> LearningCurve:
    """Fit copies of an estimator to growing random parts of the training samples, each part within the next.

    Args:
        estimator: has `fit(X, y)`; it is copied before each fit and stays as it is.
        train: X and y to train on, of shapes (n_train, n_features) and (n_train,).
        test: X and y to score on.
        sizes: training sizes, from 1 to n_train.
        score: called with a fitted copy, X and y.
        rng: shuffles the training samples once.

    Returns:
        Sizes, and the scores on the samples trained on and on the test samples.

    Raises:
        ValueError: a size is not within 1 and n_train.
    """
    X, y = train
    for size in sizes:
        if not 1 <= size <= len(y):
            raise ValueError(f"sizes must be from 1 to the {len(y)} training samples, got {size}.")
    order = rng.permutation(len(y))
    scores = []
    for size in sizes:
        part = order[:size]
        fitted = copy.deepcopy(estimator).fit(X[part], y[part])
        scores.append((score(fitted, X[part], y[part]), score(fitted, *test)))
    return LearningCurve(np.array(sizes), *np.array(scores).reshape(-1, 2).T)


def _test_size(n_samples: int, test_share: float) -> int:
    if not 0 < test_share < 1:
        raise ValueError(f"test_share must be between 0 and 1, got {test_share}. A quarter is usual: 0.25.")
    if n_samples < 2:
        raise ValueError(f"n_samples must be at least 2, one to train and one to test, got {n_samples}.")
    return min(max(round(test_share * n_samples), 1), n_samples - 1)

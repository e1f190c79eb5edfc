"""Anomalies: values, rows and shifts that are out of the ordinary, without anybody having labelled any.

    RobustZScore().fit(history).predict(new)                    # -1 where a column is far from its median
    IsolationForest(random_state=0).fit(rows).score_samples(new)    # lower where random cuts part a row soon
    LocalOutlierFactor(20).fit(rows).score_samples(new)         # lower where a row is lonelier than its neighbours
    cusum(residuals, 0.0, drift=0.5, threshold=5.0).alarms      # where small deviations have added up

The estimators keep scikit-learn's conventions for outliers: `score_samples` is lower for stranger rows,
`decision_function` is that less `offset_`, and `predict` says 1 for ordinary rows and -1 for others.
"""

from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from groundup.stack.classical.neighbors import nearest, squarable

NORMAL_MAD = 1.482602218505602  # deviation of a normal distribution, in median absolute deviations
NORMAL_MEAN_AD = np.sqrt(np.pi / 2)  # the same, in mean absolute deviations
LEAF = -1
EULER = 0.5772156649015329
TINY = 1e-10  # so much is added to mean distances, which are 0 among copies, as scikit-learn does


class IsolationTree(NamedTuple):
    """A tree of random cuts in flat arrays, node 0 its root; each of shape (n_nodes,).

    Attributes:
        feature: the column that a node asks for; `LEAF` for a leaf.
        threshold: rows with at most this value go to the left; NaN for a leaf.
        left: node of the left child; `LEAF` for a leaf.
        right: node of the right child; `LEAF` for a leaf.
        size: how many rows it was grown on came here.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    size: np.ndarray


class Cusum(NamedTuple):
    """Sums of deviations above and below, each (n_values,), and the places of the alarms, ascending."""

    above: np.ndarray
    below: np.ndarray
    alarms: np.ndarray


# --- values ---------------------------------------------------------------------------------------------------------


def robust_scale(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median of each column, and a measure of its spread that a few wild values do not move.

    The spread is 1.4826 times the median absolute deviation from the median (MAD): the standard deviation, if the
    column is normal (Hampel, 1974). Where more than half of a column is one value, the MAD is 0, and the spread is
    1.2533 times the mean absolute deviation from the median, as for a normal column. A constant column has 0.

    Args:
        X: finite numbers of shape (n_samples, n_features), at least one row.

    Returns:
        Medians and spreads, both of shape (n_features,).
    """
    medians = np.median(X, axis=0)
    distances = np.abs(X - medians)
    mads = np.median(distances, axis=0)
    return medians, np.where(mads > 0, NORMAL_MAD * mads, NORMAL_MEAN_AD * distances.mean(axis=0))


def z_scores(X: np.ndarray, centres: np.ndarray, spreads: np.ndarray) -> np.ndarray:
    """Return (X - centres) / spreads; where a spread is 0, 0 at the centre and ±infinity elsewhere."""
    distances = X - centres
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distances == 0, 0.0, distances / spreads)


# --- rows: isolation ------------------------------------------------------------------------------------------------


def average_path_length(n: ArrayLike) -> np.ndarray:
    """Return the mean depth at which a search among n values in a random binary tree ends without success.

    c(n) = 2 H(n - 1) - 2 (n - 1) / n, with the harmonic number H(i) ≈ ln(i) + 0.5772 (Liu, Ting and Zhou, 2008);
    c(2) is 1, and c(1) and c(0) are 0.

    Args:
        n: whole numbers, at least 0, of any shape.

    Returns:
        Of the same shape.
    """
    n = np.asarray(n, dtype=float)
    many = np.maximum(n, 3)
    lengths = 2 * (np.log(many - 1) + EULER) - 2 * (many - 1) / many
    return np.where(n > 2, lengths, np.where(n == 2, 1.0, 0.0))


def grow_isolation_tree(X: np.ndarray, max_depth: int, rng: np.random.Generator) -> IsolationTree:
    """Cut a table at random until each row is alone, or as deep as is allowed (Liu, Ting and Zhou, 2008).

    A node draws a column among those that vary in it, all alike, then a threshold between the column's least and
    largest value there, all alike. A node is a leaf if it has at most one row, if no column varies, or at `max_depth`;
    the root has depth 0.

    Args:
        X: numbers of shape (n_samples, n_features), at least one row.
        max_depth: at least 0.
        rng: draws.
    """
    nodes: list[list[float]] = []

    def grow(rows: np.ndarray, depth: int) -> int:
        node = len(nodes)
        nodes.append([LEAF, np.nan, LEAF, LEAF, len(rows)])
        if len(rows) <= 1 or depth >= max_depth:
            return node
        lows, highs = X[rows].min(axis=0), X[rows].max(axis=0)
        varying = np.flatnonzero(lows < highs)
        if len(varying) == 0:
            return node
        feature = rng.choice(varying)
        threshold = rng.uniform(lows[feature], highs[feature])
        goes_left = X[rows, feature] <= threshold
        left, right = grow(rows[goes_left], depth + 1), grow(rows[~goes_left], depth + 1)
        nodes[node] = [feature, threshold, left, right, len(rows)]
        return node

    grow(np.arange(len(X)), 0)
    feature, threshold, left, right, size = np.array(nodes, dtype=float).T
    return IsolationTree(feature.astype(int), threshold, left.astype(int), right.astype(int), size.astype(int))


def path_lengths(tree: IsolationTree, X: np.ndarray) -> np.ndarray:
    """Return how many cuts part each row from the others: the depth of its leaf, and what is missing below it.

    A leaf of several rows would have been cut further: `average_path_length` of its size is added.

    Args:
        tree: any.
        X: numbers of shape (n_samples, n_features).

    Returns:
        Of shape (n_samples,).
    """
    nodes, depths = np.zeros(len(X), dtype=int), np.zeros(len(X))
    moving = np.flatnonzero(tree.feature[nodes] != LEAF)
    while len(moving):
        here = nodes[moving]
        goes_left = X[moving, tree.feature[here]] <= tree.threshold[here]
        nodes[moving] = np.where(goes_left, tree.left[here], tree.right[here])
        depths[moving] += 1
        moving = moving[tree.feature[nodes[moving]] != LEAF]
    return depths + average_path_length(tree.size[nodes])


# --- rows: density --------------------------------------------------------------------------------------------------


def local_densities(distances: np.ndarray, reaches: np.ndarray) -> np.ndarray:
    """Return how densely each row's neighbours lie: 1 / (the mean reachability distance + `TINY`).

    The reachability distance of a row from a neighbour is their distance, but at least the neighbour's own reach, so
    that near rows of one crowd count as equally far (Breunig et al., 2000).

    Args:
        distances: to the k neighbours of each row, of shape (n_rows, k).
        reaches: the distance of each of these neighbours to its own k-th neighbour, of shape (n_rows, k).

    Returns:
        Of shape (n_rows,).
    """
    return 1 / (np.maximum(distances, reaches).mean(axis=1) + TINY)


def others(distances: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take from k + 1 neighbours of each row in its own table the row itself, or the last where copies hide it."""
    is_other = rows != np.arange(len(rows))[:, None]
    is_other[is_other.all(axis=1), -1] = False
    shape = (len(rows), rows.shape[1] - 1)
    return distances[is_other].reshape(shape), rows[is_other].reshape(shape)


# --- shifts ---------------------------------------------------------------------------------------------------------


def cusum(values: ArrayLike, target: float, *, drift: float, threshold: float) -> Cusum:
    """Add up what values deviate from a target, and say where the sum has become too large (Page, 1954).

    above[t] is above[t - 1] + values[t] - target - drift, but at least 0; below[t] is the same with the deviation
    turned round. Both begin at 0. Where one of them exceeds the threshold there is an alarm, and both begin at 0 again
    with the next value.

    Args:
        values: finite numbers of shape (n_values,).
        target: the value that is expected.
        drift: deviations up to this size are allowed, at least 0.
        threshold: above 0.

    Raises:
        ValueError: values of another shape or not finite, a drift below 0, or a threshold that is not above 0.
    """
    series = _series(values)
    _check_cusum(drift, threshold)
    sums, alarms = np.zeros((2, len(series))), []
    high = low = 0.0
    for t, value in enumerate(series):
        high = max(0.0, high + (value - target) - drift)
        low = max(0.0, low - (value - target) - drift)
        sums[:, t] = high, low
        if max(high, low) > threshold:
            alarms.append(t)
            high = low = 0.0
    return Cusum(sums[0], sums[1], np.array(alarms, dtype=int))


# --- estimators -----------------------------------------------------------------------------------------------------


class _Detector(OutlierMixin, BaseEstimator):
    """What the detectors share: `predict` from `score_samples` and `offset_`."""

    threshold: float
    offset_: float

    def _learn(self, X: Any) -> Any:
        self.offset_ = -_above_zero("threshold", self.threshold)
        return validate_data(self, X, dtype=float)

    def _rows(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return np.asarray(validate_data(self, X, dtype=float, reset=False))

    def score_samples(self, X: Any) -> np.ndarray:
        """Return a number for each row, lower for stranger rows, of shape (n_samples,)."""
        raise NotImplementedError

    def decision_function(self, X: Any) -> np.ndarray:
        """Return `score_samples` less `offset_`: below 0 for anomalies, of shape (n_samples,)."""
        check_is_fitted(self)
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Return 1 for ordinary rows and -1 for anomalies, of shape (n_samples,)."""
        check_is_fitted(self)
        return np.where(self.decision_function(X) < 0, -1, 1)


class RobustZScore(_Detector):
    """Finds rows of which a column is far from its median. It does not see rows that are strange by combination.

    Args:
        threshold: rows with a robust z-score beyond it, in any column, are anomalies; above 0.

    Attributes:
        median_: of each column, of shape (n_features,).
        scale_: the spread of each column, of shape (n_features,).
        offset_: -threshold.
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(self, threshold: float = 3.5) -> None:
        self.threshold = threshold

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn median and spread of numbers X, of shape (n_samples, n_features); y is not used.

        Raises:
            ValueError: the threshold, a shape or a value is not allowed; the message names it.
        """
        self.median_, self.scale_ = robust_scale(self._learn(X))
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the largest absolute z-score of each row, of shape (n_samples,)."""
        return -np.abs(z_scores(self._rows(X), self.median_, self.scale_)).max(axis=1)


class IsolationForest(_Detector):
    """Finds rows that few random cuts part from the others.

    Args:
        n_estimators: how many trees.
        max_samples: rows that each tree is grown on, drawn without replacement; all of them if there are fewer.
        threshold: rows with a score 2^(-mean path / c) beyond it are anomalies; above 0. 1/2 is an ordinary row's.
        random_state: seed of the draws.

    Attributes:
        trees_: a list of `IsolationTree`.
        offset_: -threshold.
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(
        self, n_estimators: int = 100, *, max_samples: int = 256, threshold: float = 0.5, random_state: Any = None
    ) -> None:
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.threshold = threshold
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Grow the trees on numbers X, of shape (n_samples, n_features); y is not used.

        Raises:
            ValueError: a setting, a shape or a value is not allowed; the message names it.
        """
        X = self._learn(X)
        n_trees = _whole("n_estimators", self.n_estimators, 1)
        self._size = min(_whole("max_samples", self.max_samples, 2), len(X))
        depth = int(np.ceil(np.log2(max(self._size, 2))))  # deeper than that a row is ordinary anyway
        self.trees_ = []
        for rng in _generator(self.random_state).spawn(n_trees):
            part = X[rng.choice(len(X), self._size, replace=False)]
            self.trees_.append(grow_isolation_tree(part, depth, rng))
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return -2^(-mean path length / c(rows of a tree)) of each row: -1 for a row that is parted at once."""
        rows = self._rows(X)
        mean = np.mean([path_lengths(tree, rows) for tree in self.trees_], axis=0)
        return -(2.0 ** (-mean / max(float(average_path_length(self._size)), 1.0)))


class LocalOutlierFactor(_Detector):
    """Finds rows whose neighbours lie more densely than they do themselves.

    Args:
        n_neighbors: how many neighbours; as many as there are others, if they are fewer.
        threshold: rows with a factor beyond it are anomalies; above 0. 1 is the factor of a row amid its like.

    Attributes:
        negative_outlier_factor_: minus the factor of each training row among the others, of shape (n_samples,).
            `score_samples` would take a training row for a new one, with its own copy as a neighbour.
        offset_: -threshold.
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(self, n_neighbors: int = 20, *, threshold: float = 1.5) -> None:
        self.n_neighbors = n_neighbors
        self.threshold = threshold

    def fit(self, X: Any, y: Any = None) -> Self:
        """Keep numbers X, (n_samples, n_features), with the density about each row; y is not used.

        Raises:
            ValueError: a setting, a shape or a value is not allowed, or there is one row only; the message says which.
        """
        X = squarable(self._learn(X))
        k = _whole("n_neighbors", self.n_neighbors, 1)
        if len(X) < 2:
            raise ValueError("X must have at least two rows, for neighbours, got n_samples=1.")
        self._known, self._k = X, min(k, len(X) - 1)
        distances, rows = others(*nearest(X, X, self._k + 1))
        self._reaches = distances[:, -1]
        self._densities = local_densities(distances, self._reaches[rows])
        self.negative_outlier_factor_ = -self._densities[rows].mean(axis=1) / self._densities
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the mean density of each row's neighbours over its own, of shape (n_samples,)."""
        distances, rows = nearest(squarable(self._rows(X)), self._known, self._k)
        densities = local_densities(distances, self._reaches[rows])
        return -self._densities[rows].mean(axis=1) / densities


# --- checks of arguments --------------------------------------------------------------------------------------------


def _series(values: ArrayLike) -> np.ndarray:
    series = np.asarray(values, dtype=float)
    if series.ndim != 1:
        raise ValueError(f"values must be of shape (n_values,), got {series.shape}. Give one column at a time.")
    if not np.isfinite(series).all():
        raise ValueError(f"values must be finite, got {series[~np.isfinite(series)][0]}. Leave gaps out.")
    return series


def _check_cusum(drift: float, threshold: float) -> None:
    if not 0 <= drift < np.inf:
        raise ValueError(
            f"drift must be a finite number of at least 0, got {drift}. Try half of the shift you look for."
        )
    _above_zero("threshold", threshold)


def _above_zero(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < np.inf:
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}.")
    return float(value)


def _whole(name: str, value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
        raise ValueError(f"{name} must be a whole number of at least {low}, got {value!r}.")
    return int(value)


def _generator(random_state: Any) -> np.random.Generator:
    """A generator from a seed, from scikit-learn's kind of generator, or by chance where None is given."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31 - 1)
    return np.random.default_rng(random_state)

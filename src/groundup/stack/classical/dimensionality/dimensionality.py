"""Fewer dimensions: PCA, which keeps variance, and t-SNE by Barnes and Hut, which keeps neighbours.

    PCA(2).fit(X).transform(new)                  # a projection: linear, quick, and it takes new rows
    TSNE(perplexity=30).fit_transform(X)          # a picture: neighbours stay neighbours, distances mean little

Functions under `njit` are loops over the cells of a quadtree, compiled by Numba. Not covered: sparse tables, t-SNE in
three dimensions, and new rows in a picture that is drawn.
"""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
from numba import njit
from scipy import sparse
from scipy.spatial import KDTree
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

LARGEST = 1e100  # beyond it, squares of sums would soon overflow

EMPTY = -1
EXPLORING = 250  # steps of t-SNE with exaggeration

# --- principal components -------------------------------------------------------------------------------------------


def principal_components(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find orthogonal directions of the most variance, by singular values (Pearson, 1901; Hotelling, 1933).

    A direction and its opposite are as good. Here the entry of the largest size is positive, of equals the first.

    Args:
        X: of shape (n_samples, n_features), at least two rows.

    Returns:
        The mean of the rows, of shape (n_features,); the directions, of length 1, of shape (n_components, n_features),
        with as many as the smaller side of X; and the variance of the rows along each, descending, with n_samples - 1
        in the denominator.
    """
    mean = X.mean(axis=0)
    _, singular, components = np.linalg.svd(X - mean, full_matrices=False)
    largest = np.abs(components).argmax(axis=1)
    signs = np.sign(components[np.arange(len(components)), largest])
    return mean, components * signs[:, None], singular**2 / (len(X) - 1)


# --- who is a neighbour ---------------------------------------------------------------------------------------------


def conditional_affinities(squares: np.ndarray, perplexity: float, n_iter: int = 60) -> np.ndarray:
    """Turn distances into probabilities that count about `perplexity` neighbours (van der Maaten and Hinton, 2008).

    Row i gets p ∝ exp(-β squares), with its own β, found by halving: the entropy of p, in nats, is log perplexity.
    Where distances leave no choice, as when all are equal, p is as near to that as it can be.

    Args:
        squares: squared distances of each row to others, never to itself, of shape (n_samples, n_neighbors).
        perplexity: from 1 to n_neighbors.
        n_iter: how often β is doubled or halved.

    Returns:
        Of shape (n_samples, n_neighbors), each row with the sum 1.
    """
    squares = squares - squares.min(axis=1, keepdims=True)  # the same p, and the nearest never underflows
    mean = squares.mean(axis=1, keepdims=True)
    squares = squares / np.where(mean > 0, mean, 1.0)
    beta, low, high = np.ones((len(squares), 1)), np.zeros((len(squares), 1)), np.full((len(squares), 1), np.inf)
    for _ in range(n_iter):
        weights = np.exp(-beta * squares)
        total = weights.sum(axis=1, keepdims=True)
        entropy = np.log(total) + beta * (weights * squares).sum(axis=1, keepdims=True) / total
        too_many = entropy > np.log(perplexity)
        low, high = np.where(too_many, beta, low), np.where(too_many, high, beta)
        beta = np.where(np.isinf(high), 2 * beta, (low + high) / 2)
    weights = np.exp(-beta * squares)
    return weights / weights.sum(axis=1, keepdims=True)


def joint_affinities(X: np.ndarray, perplexity: float) -> sparse.csr_matrix:
    """Return p_ij = (p_j|i + p_i|j) / 2n over the nearest 3 · perplexity neighbours of each row.

    Args:
        X: of shape (n_samples, n_features), at least two rows.
        perplexity: above 0, and at most n_samples - 1.

    Returns:
        Symmetric, with the sum 1, of shape (n_samples, n_samples); nearly all of it is 0, and not stored.
    """
    n, k = len(X), min(len(X) - 1, max(1, int(np.ceil(3 * perplexity))))
    distances, neighbors = (np.asarray(found) for found in KDTree(X).query(X, k + 1))
    others = neighbors != np.arange(n)[:, None]
    others[others.all(axis=1), -1] = False  # of many equal rows, the row itself may not be among the nearest
    own = conditional_affinities(distances[others].reshape(n, k) ** 2, max(perplexity, 1.0))
    P = sparse.csr_matrix((own.ravel(), (np.repeat(np.arange(n), k), neighbors[others])), shape=(n, n))
    P = sparse.csr_matrix((P + P.T) / (2 * n))
    P.eliminate_zeros()  # far neighbours, whose affinity no float holds
    return P


# --- the gradient, exactly ------------------------------------------------------------------------------------------


def kl_gradient(P: np.ndarray, Y: np.ndarray) -> tuple[float, np.ndarray]:
    """Say how badly a picture keeps the affinities, and the slope of that (van der Maaten and Hinton, 2008).

    In the picture q_ij ∝ 1 / (1 + ‖y_i - y_j‖²) over all pairs of different rows. It takes O(n²) time.

    Args:
        P: symmetric affinities, 0 on the diagonal, with the sum 1, of shape (n_samples, n_samples).
        Y: places of the rows, of shape (n_samples, 2).

    Returns:
        The divergence Σ p log(p / q) in nats, where p = 0 adds nothing, and its derivative by Y, of shape (n_samples,
        2): 4 Σ_j (p_ij - q_ij) (y_i - y_j) / (1 + ‖y_i - y_j‖²).
    """
    apart = Y[:, None] - Y  # (n_samples, n_samples, 2)
    near = 1 / (1 + (apart**2).sum(axis=2))
    np.fill_diagonal(near, 0.0)
    Q = near / near.sum()
    present = P > 0
    divergence = np.sum(P[present] * np.log(P[present] / Q[present]))
    return divergence, 4 * (((P - Q) * near)[:, :, None] * apart).sum(axis=1)


# --- the gradient, by Barnes and Hut --------------------------------------------------------------------------------


class Quadtree(NamedTuple):
    """Cells of places: cell 0 holds all, each cell's children share its places; EMPTY is no child.

    `children` is of shape (n_cells, 4), `size` is how many places a cell holds, of shape (n_cells,), `center` their
    mean, `low` and `high` the corners of the smallest box around them, of shape (n_cells, 2).
    """

    children: np.ndarray
    size: np.ndarray
    center: np.ndarray
    low: np.ndarray
    high: np.ndarray


@njit(cache=True, nogil=True)
def quadtree(Y: np.ndarray) -> Quadtree:
    """Divide places into quarters, until a cell holds one place, or several that are equal.

    A cell is the smallest box around its places, and is cut through its middle both ways. So each cut parts something:
    there are at most 2n - 1 cells, however close two places are. A place goes right (or up) where it is nearer to the
    high side than to the low one. Quarters are numbered by right + 2 · up, and cells level by level.

    Args:
        Y: of shape (n_samples, 2).

    Returns:
        The tree.
    """
    n = len(Y)
    order, most = np.arange(n), 2 * n
    children, size = np.full((most, 4), EMPTY), np.zeros(most, np.int64)
    center, low, high = np.zeros((most, 2)), np.zeros((most, 2)), np.zeros((most, 2))
    first = np.zeros(most, np.int64)  # where the cell's rows begin in `order`
    size[0], n_cells, cell = n, 1, 0
    while cell < n_cells:
        rows = order[first[cell] : first[cell] + size[cell]].copy()
        quarter = np.zeros(len(rows), np.int64)
        for axis in range(2):
            places = Y[rows, axis]
            low[cell, axis], high[cell, axis] = places.min(), places.max()
            center[cell, axis] = low[cell, axis] + (places - low[cell, axis]).mean()  # exact where all are equal
            quarter += (axis + 1) * (places - low[cell, axis] > high[cell, axis] - places)
        if (low[cell] < high[cell]).any():
            begin = first[cell]
            for q in range(4):
                members = rows[quarter == q]
                if len(members) > 0:
                    children[cell, q], first[n_cells], size[n_cells] = n_cells, begin, len(members)
                    order[begin : begin + len(members)] = members
                    begin += len(members)
                    n_cells += 1
        cell += 1
    return Quadtree(children[:n_cells], size[:n_cells], center[:n_cells], low[:n_cells], high[:n_cells])


@njit(cache=True, nogil=True)
def repulsion(tree: Quadtree, Y: np.ndarray, angle: float) -> tuple[np.ndarray, float, int]:
    """Add up how places push each other apart, a far cell as if all its places were at its mean (Barnes and Hut, 1986).

    A cell is far from y where its longer side is less than `angle` times the distance from y to its mean. A cell that
    is not far is opened: its children are asked in turn. Cells without children count as they are.

    Args:
        tree: of the places.
        Y: the places, of shape (n_samples, 2).
        angle: from 0, which is exact, to 0.7: below 1/√2 no cell is far from a place inside it.

    Returns:
        For each place Σ_j (y_i - y_j) / (1 + ‖y_i - y_j‖²)², of shape (n_samples, 2); the sum of 1 / (1 + ‖y_i - y_j‖²)
        over all pairs i ≠ j; and how many cells were asked in all.
    """
    push, total, asked = np.zeros(Y.shape), 0.0, 0
    waiting = np.empty(len(tree.size), np.int64)
    for i in range(len(Y)):
        waiting[0], n_waiting = 0, 1
        while n_waiting > 0:
            n_waiting -= 1
            cell = waiting[n_waiting]
            asked += 1
            x, y = Y[i, 0] - tree.center[cell, 0], Y[i, 1] - tree.center[cell, 1]
            square = x * x + y * y
            side = max(tree.high[cell, 0] - tree.low[cell, 0], tree.high[cell, 1] - tree.low[cell, 1])
            if side == 0 or side * side < angle * angle * square:
                near = 1 / (1 + square)
                total += tree.size[cell] * near
                push[i, 0] += tree.size[cell] * near * near * x
                push[i, 1] += tree.size[cell] * near * near * y
            else:
                for child in tree.children[cell]:
                    if child != EMPTY:
                        waiting[n_waiting] = child
                        n_waiting += 1
    return push, total - len(Y), asked  # each place has met itself, at the distance 0


def barnes_hut_gradient(P: sparse.csr_matrix, Y: np.ndarray, angle: float) -> np.ndarray:
    """Return the gradient of `kl_gradient`, with a sparse P and summed-up cells, in about O(n log n) time."""
    pull = sparse.csr_matrix((P.data * _nearness(P, Y), P.indices, P.indptr), P.shape)
    attraction = Y * np.asarray(pull.sum(axis=1)) - pull @ Y  # Σ_j pull_ij (y_i - y_j)
    push, total, _ = repulsion(quadtree(Y), Y, angle)
    return 4 * (attraction - push / max(total, np.finfo(float).tiny))


def _nearness(P: sparse.csr_matrix, Y: np.ndarray) -> np.ndarray:
    """1 / (1 + ‖y_i - y_j‖²) for the pairs that P stores, in its order."""
    rows = np.repeat(np.arange(len(Y)), np.diff(P.indptr))
    x, y = (Y[rows, axis] - Y[P.indices, axis] for axis in range(2))
    return 1 / (1 + x * x + y * y)


def descend(
    gradient: Callable[[np.ndarray], np.ndarray], Y: np.ndarray, n_iter: int, learning_rate: float, momentum: float
) -> np.ndarray:
    """Go downhill with momentum, and with a gain for each entry (Jacobs, 1988, delta-bar-delta, as t-SNE has it).

    A step is momentum · (the last step) - learning_rate · gain · slope. A gain begins at 1. Before each step it grows
    by 0.2 where the last step went against the slope, that is downhill; elsewhere, so before the first step, too, it
    shrinks to 0.8 of itself, and never below 0.01.

    Args:
        gradient: the slope at Y, of the shape of Y.
        Y: where to begin; it is left as it is.
        n_iter: how many steps.
        learning_rate: above 0.
        momentum: from 0 to below 1.

    Returns:
        Where it ends, of the shape of Y.
    """
    Y = Y.copy()
    step, gains = np.zeros_like(Y), np.ones_like(Y)
    for _ in range(n_iter):
        slope = gradient(Y)
        gains = np.maximum(np.where(step * slope < 0, gains + 0.2, 0.8 * gains), 0.01)
        step = momentum * step - learning_rate * gains * slope
        Y += step
    return Y


# --- estimators -----------------------------------------------------------------------------------------------------


class PCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Projects rows onto the directions of the most variance.

    Args:
        n_components: how many; below 1, as many as keep that share of the variance; all unless given.
        whiten: whether the projections are divided by their standard deviations.

    Attributes:
        components_: the directions, of shape (n_components_, n_features).
        explained_variance_: along each, of shape (n_components_,).
        explained_variance_ratio_: its share of all variance.
        mean_: of the rows, of shape (n_features,).
        n_components_: how many are kept.
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(self, n_components: int | float | None = None, *, whiten: bool = False) -> None:
        self.n_components = n_components
        self.whiten = whiten

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the directions of the rows of X, of shape (n_samples, n_features). Raises ValueError."""
        X = _table(self, X, ensure_min_samples=2)
        self.mean_, components, variances = principal_components(X)
        shares = variances / (variances.sum() or 1.0)
        self.n_components_ = n = _kept(self.n_components, shares)
        self.components_, self.explained_variance_, self.explained_variance_ratio_ = (
            components[:n],
            variances[:n],
            shares[:n],
        )
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the rows in the new directions, of shape (n_samples, n_components_)."""
        check_is_fitted(self)
        return (_table(self, X, reset=False) - self.mean_) @ self.components_.T / self._scales()

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Return the rows of the old columns that are nearest to projections Z."""
        check_is_fitted(self)
        return (np.asarray(Z) * self._scales()) @ self.components_ + self.mean_

    def _scales(self) -> np.ndarray:
        deviations = np.sqrt(self.explained_variance_)
        return np.where(deviations > 0, deviations, 1.0) if self.whiten else np.ones_like(deviations)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_


class TSNE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Draws rows in the plane so that neighbours stay neighbours; it draws, and cannot place new rows.

    Args:
        perplexity: about how many neighbours a row has; at most a third of the other rows is used.
        early_exaggeration: how much stronger neighbours attract each other in the first 250 steps.
        learning_rate: "auto" is n_samples / early_exaggeration / 4, and at least 50.
        max_iter: steps in all.
        angle: cells below it are summed up, from 0 to 0.7; 0 is exact, and slow.
        init: "pca", which is the same every time, or "random".
        random_state: seed of a random beginning.

    Attributes:
        embedding_: of shape (n_samples, 2).
        kl_divergence_: how badly the picture keeps the affinities, in nats.
        perplexity_: the one that was used.
        n_features_in_: how many columns `fit` was given.
    """

    _n_features_out = 2

    def __init__(
        self,
        *,
        perplexity: float = 30.0,
        early_exaggeration: float = 12.0,
        learning_rate: float | str = "auto",
        max_iter: int = 1000,
        angle: float = 0.5,
        init: str = "pca",
        random_state: Any = None,
    ) -> None:
        self.perplexity = perplexity
        self.early_exaggeration = early_exaggeration
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.angle = angle
        self.init = init
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw the rows of X, of shape (n_samples, n_features). Raises ValueError."""
        X = _table(self, X, ensure_min_samples=2)
        n, exaggeration = len(X), _within("early_exaggeration", self.early_exaggeration, 1, np.inf)
        self.perplexity_ = min(_within("perplexity", self.perplexity, 1, np.inf), max((n - 1) / 3, 1.0))
        angle, max_iter = _within("angle", self.angle, 0, 0.7), self.max_iter
        if isinstance(max_iter, bool) or not isinstance(max_iter, Integral) or int(max_iter) < 1:
            raise ValueError(f"max_iter must be a whole number of at least 1, got {max_iter!r}.")
        rate = max(n / exaggeration / 4, 50.0) if self.learning_rate == "auto" else self.learning_rate
        rate = _within("learning_rate", rate, 0, np.inf)
        Y, P, early = self._beginning(X), joint_affinities(X, self.perplexity_), min(EXPLORING, int(max_iter))
        Y = descend(lambda Y: barnes_hut_gradient(exaggeration * P, Y, angle), Y, early, rate, 0.5)
        Y = descend(lambda Y: barnes_hut_gradient(P, Y, angle), Y, int(max_iter) - early, rate, 0.8)
        _, total, _ = repulsion(quadtree(Y), Y, min(angle, 0.2))
        self.embedding_, self.kl_divergence_ = Y, float(np.sum(P.data * np.log(P.data * total / _nearness(P, Y))))
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Draw the rows, and return their places, of shape (n_samples, 2)."""
        return self.fit(X).embedding_

    def _beginning(self, X: np.ndarray) -> np.ndarray:
        rng = _generator(self.random_state)
        if self.init == "random":
            return 1e-4 * rng.standard_normal((len(X), 2))
        if self.init != "pca":
            raise ValueError(f'init must be "pca" or "random", got {self.init!r}.')
        _, components, _ = principal_components(X)
        Y = np.column_stack([(X - X.mean(axis=0)) @ components[:2].T, np.zeros(len(X))])[:, :2]
        return 1e-4 * Y / (Y[:, 0].std() or 1.0)


# --- what is given, checked -----------------------------------------------------------------------------------------


def _table(estimator: Any, X: Any, **options: Any) -> np.ndarray:
    return _squarable(np.asarray(validate_data(estimator, X, dtype=np.float64, **options)))


def _kept(n_components: Any, shares: np.ndarray) -> int:
    """How many components are kept. Raises ValueError."""
    if n_components is None:
        return len(shares)
    if isinstance(n_components, float) and 0 < n_components < 1:
        return min(int(np.searchsorted(shares.cumsum(), n_components)) + 1, len(shares))
    if (
        isinstance(n_components, bool)
        or not isinstance(n_components, Integral)
        or not 1 <= int(n_components) <= len(shares)
    ):
        rule = f"from 1 to {len(shares)}, the smaller side of X, or a share of the variance between 0 and 1"
        raise ValueError(f"n_components must be {rule}, got {n_components!r}.")
    return int(n_components)


def _within(name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}.")
    return float(value)


def _generator(random_state: Any) -> np.random.Generator:
    """A generator from a seed, from scikit-learn's kind of generator, or by chance where None is given."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31 - 1)
    return np.random.default_rng(random_state)


def _squarable(X: np.ndarray) -> np.ndarray:
    """Return X, if its values can be squared and added up. Raises ValueError."""
    largest = max(X.max(), -X.min())
    if largest > LARGEST:
        raise ValueError(f"X must be within ±{LARGEST:g}, or its squares overflow, got {largest:g}. Divide X.")
    return X

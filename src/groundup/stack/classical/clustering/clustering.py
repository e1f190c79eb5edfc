"""Clustering: four ideas of a group, and an estimator for each.

    KMeans(3, random_state=0).fit(X).predict(new)            # a group is a centre: nearest wins
    GaussianMixture(3, random_state=0).fit(X).predict_proba(new)    # a group is a bell: how likely is each?
    DBSCAN(eps=0.5, min_samples=5).fit(X).labels_            # a group is a crowd; loners are noise, labelled -1
    AgglomerativeClustering(3, linkage="ward").fit(X).labels_       # groups are what is merged, pair by pair

Distances are Euclidean. For rows of length 1 they order pairs as the cosine does. Not covered: sparse tables, weights
of rows, and mini-batches.
"""

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from scipy.linalg import solve_triangular
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClusterMixin, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data

LARGEST = 1e100  # beyond it, squares of sums would soon overflow

NOISE = -1  # the label of a row that is in no cluster
LINKAGES = ("single", "complete", "average", "ward")

# --- centres --------------------------------------------------------------------------------------------------------


def kmeans_plus_plus(X: np.ndarray, n_clusters: int, rng: np.random.Generator) -> np.ndarray:
    """Choose rows far from each other as first centres (Arthur and Vassilvitskii, 2007).

    The first is any row. Each next one is drawn with a probability in proportion to the squared distance of a row to
    the nearest centre so far. Where all rows lie on centres, it is any row.

    Args:
        X: of shape (n_samples, n_features).
        n_clusters: how many, at least 1.
        rng: draws.

    Returns:
        Rows of X, of shape (n_clusters, n_features).
    """
    chosen: list[Any] = [rng.integers(len(X))]
    nearest = np.full(len(X), np.inf)
    while len(chosen) < n_clusters:
        nearest = np.minimum(nearest, cdist(X, X[chosen[-1:]], "sqeuclidean")[:, 0])
        total = nearest.sum()
        chosen.append(rng.choice(len(X), p=nearest / total if total > 0 else None))
    return X[chosen]


def lloyd(X: np.ndarray, centers: np.ndarray, max_iter: int) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Move centres to the means of their rows, and rows to their nearest centres, until no row moves (Lloyd, 1982).

    A centre without rows moves to the row that is farthest from its own centre; a second such centre to the next.

    Args:
        X: of shape (n_samples, n_features).
        centers: the first ones, of shape (n_clusters, n_features); they are left as they are.
        max_iter: how often the centres are moved at most, at least 1.

    Returns:
        The centres, the number of the nearest one for each row, of shape (n_samples,), the sum of the squared distances
        to it, and how often the centres were moved.
    """
    centers = centers.copy()
    labels, squares = _nearest(X, centers)
    n_iter, moving = 0, True
    while moving and n_iter < max_iter:
        n_iter += 1
        for k in range(len(centers)):
            members = labels == k
            if members.any():
                centers[k] = X[members].mean(axis=0)
            else:
                farthest = squares.argmax()
                centers[k], squares[farthest] = X[farthest], 0.0
        previous = labels
        labels, squares = _nearest(X, centers)
        moving = not np.array_equal(labels, previous)
    return centers, labels, squares.sum(), n_iter


def _nearest(X: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centre of each row, of equals the first, and the squared distance to it."""
    distances = cdist(X, centers, "sqeuclidean")
    labels = distances.argmin(axis=1)
    return labels, distances[np.arange(len(X)), labels]


# --- bells ----------------------------------------------------------------------------------------------------------


def expectation(
    X: np.ndarray, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Say how likely each row is, and which component it came from (the E step of EM; Dempster et al., 1977).

    All is computed in logarithms, by the Cholesky factors of the covariances: a row far from every mean has a density
    that no float holds, and still has its responsibilities.

    Args:
        X: of shape (n_samples, n_features).
        weights: the components' shares, above 0, of shape (n_components,), with the sum 1.
        means: of shape (n_components, n_features).
        covariances: positive definite, of shape (n_components, n_features, n_features).

    Returns:
        The logarithm of the mixture's density at each row, of shape (n_samples,), and the responsibilities, of shape
        (n_samples, n_components): the probability of each component, given the row.
    """
    joint = np.empty((len(X), len(weights)))
    for k, factor in enumerate(np.linalg.cholesky(covariances)):
        z = solve_triangular(factor, (X - means[k]).T, lower=True)  # (n_features, n_samples), uncorrelated
        log_volume = np.log(np.diag(factor)).sum() + X.shape[1] * np.log(2 * np.pi) / 2
        joint[:, k] = np.log(weights[k]) - log_volume - (z**2).sum(axis=0) / 2
    log_density: Any = logsumexp(joint, axis=1)
    return log_density, np.exp(joint - log_density[:, None])


def maximization(
    X: np.ndarray, responsibilities: np.ndarray, reg_covar: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit each component to the rows, weighted by its responsibility for them (the M step of EM).

    Args:
        X: of shape (n_samples, n_features).
        responsibilities: of shape (n_samples, n_components), each column with a sum above 0.
        reg_covar: added to each variance, so that no component shrinks to a point.

    Returns:
        Weights, means and covariances, as `expectation` takes them. The covariances are divided by the sum of the
        responsibilities, without a correction, as maximum likelihood has them.
    """
    sizes = responsibilities.sum(axis=0)
    means = responsibilities.T @ X / sizes[:, None]
    covariances = np.empty((len(sizes), X.shape[1], X.shape[1]))
    for k, size in enumerate(sizes):
        apart = X - means[k]
        covariances[k] = (responsibilities[:, k] * apart.T) @ apart / size
        covariances[k].flat[:: X.shape[1] + 1] += reg_covar
    return sizes / len(X), means, covariances


# --- crowds ---------------------------------------------------------------------------------------------------------


def neighborhoods(X: np.ndarray, eps: float) -> list[list[int]]:
    """Return for each row the numbers of the rows within the distance eps, itself among them."""
    return KDTree(X).query_ball_point(X, eps, return_sorted=True).tolist()


def dbscan(neighbors: list[list[int]], min_samples: int) -> np.ndarray:
    """Join core rows that are neighbours, and whatever is near them (Ester, Kriegel, Sander and Xu, 1996).

    A core row has at least `min_samples` neighbours, itself among them. A row that is near a core row, but is none
    itself, is on the border: it belongs to the first cluster that reaches it, and reaches nothing.

    Args:
        neighbors: as `neighborhoods` makes them.
        min_samples: at least 1.

    Returns:
        The cluster of each row, of shape (n_samples,): clusters are numbered by their first core row, and -1 is noise.
    """
    core = [len(near) >= min_samples for near in neighbors]
    labels = np.full(len(neighbors), NOISE)
    n_clusters = 0
    for start in range(len(neighbors)):
        if not core[start] or labels[start] != NOISE:
            continue
        labels[start] = n_clusters
        waiting = [start]
        while waiting:
            for near in neighbors[waiting.pop()]:
                if labels[near] == NOISE:
                    labels[near] = n_clusters
                    if core[near]:
                        waiting.append(near)
        n_clusters += 1
    return labels


# --- merging --------------------------------------------------------------------------------------------------------


def merged_distances(a: np.ndarray, b: np.ndarray, apart: Any, sizes: np.ndarray, n_a: Any, n_b: Any, linkage: str):
    """Return how far clusters are from the union of two others (Lance and Williams, 1967).

    Args:
        a: distances of the first of the two to all clusters, of shape (n_clusters,).
        b: those of the second.
        apart: the distance between the two.
        sizes: how many rows each cluster has, of shape (n_clusters,).
        n_a: how many the first has.
        n_b: how many the second has.
        linkage: "single" (the nearest pair), "complete" (the farthest), "average", or "ward" (what merging adds to the
            sum of squares, as √(2 · increase)).
    """
    if linkage == "single":
        return np.minimum(a, b)
    if linkage == "complete":
        return np.maximum(a, b)
    if linkage == "average":
        return (n_a * a + n_b * b) / (n_a + n_b)
    squares = (n_a + sizes) * a**2 + (n_b + sizes) * b**2 - sizes * apart**2
    return np.sqrt(squares / (n_a + n_b + sizes))


def agglomerate(distances: np.ndarray, linkage: str) -> np.ndarray:
    """Merge the two closest clusters, until one is left, by the nearest-neighbour chain (Murtagh, 1983).

    The chain goes from a cluster to its nearest, and on, until two are each other's nearest. They may be merged at
    once: for these linkages no other merge brings anything closer. That takes O(n²) time. The merges are sorted
    afterwards.

    Args:
        distances: of each pair of rows, of shape (n_samples, n_samples), symmetric; they are left as they are.
        linkage: as for `merged_distances`.

    Returns:
        A line for each merge, by height, of shape (n_samples - 1, 4), in SciPy's layout: the two clusters, the smaller
        number first, their distance, and the rows of the union. Rows are clusters 0 to n_samples - 1, the union of
        line i is cluster n_samples + i.
    """
    D = distances.astype(float)
    np.fill_diagonal(D, np.inf)
    sizes, chain, merges = np.ones(len(D)), list[Any](), list[Any]()
    while len(merges) < len(D) - 1:
        if not chain:
            chain.append(sizes.argmax())  # which is never one that is no more
        last = chain[-1]
        nearest = D[last].argmin()
        if len(chain) > 1 and D[last, chain[-2]] <= D[last, nearest]:
            a, b = chain.pop(), chain.pop()
            merges.append((a, b, D[a, b]))
            D[b] = D[:, b] = merged_distances(D[a], D[b], D[a, b], sizes, sizes[a], sizes[b], linkage)
            D[a] = D[:, a] = D[b, b] = np.inf  # a is no more
            sizes[b] += sizes[a]
        else:
            chain.append(nearest)
    return in_order(merges, len(D))


def in_order(merges: list[tuple[int, int, float]], n_samples: int) -> np.ndarray:
    """Sort merges by height, and name clusters as SciPy does; a merge names any row of each of its two clusters."""
    cluster, members = np.arange(n_samples), {row: [row] for row in range(n_samples)}
    lines = np.empty((n_samples - 1, 4))
    for i, (a, b, height) in enumerate(sorted(merges, key=lambda merge: merge[2])):
        first, second = sorted((int(cluster[a]), int(cluster[b])))
        union = members.pop(first) + members.pop(second)
        lines[i] = first, second, height, len(union)
        members[n_samples + i] = union
        cluster[union] = n_samples + i
    return lines


def cut(merges: np.ndarray, n_clusters: int) -> np.ndarray:
    """Return the labels of the clusters that are left when the last n_clusters - 1 merges are undone.

    Args:
        merges: as `agglomerate` makes them.
        n_clusters: from 1 to n_samples.

    Returns:
        Of shape (n_samples,), numbered by their first rows.
    """
    n_samples = len(merges) + 1
    parent = np.arange(2 * n_samples - 1)
    for i, (first, second) in enumerate(merges[: n_samples - n_clusters, :2].astype(int)):
        parent[[first, second]] = n_samples + i
    for node in range(len(parent))[::-1]:
        parent[node] = parent[parent[node]]
    _, first_rows, labels = np.unique(parent[:n_samples], return_index=True, return_inverse=True)
    return first_rows.argsort().argsort()[labels]


# --- how good is it? ------------------------------------------------------------------------------------------------


def silhouettes(X: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Say for each row how much nearer its own cluster is than the next (Rousseeuw, 1987).

    Args:
        X: of shape (n_samples, n_features).
        labels: of shape (n_samples,), at least two different ones. Noise counts as a cluster: leave it out.

    Returns:
        From -1 to 1, of shape (n_samples,): (b - a) / max(a, b), with a the mean distance to the other rows of its
        cluster, and b that to the rows of the nearest other one. It is 0 in a cluster of one row.
    """
    names, own, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ValueError(
            f"labels must hold at least two clusters, got {len(names)}. There is no other one to compare with."
        )
    rows, sums = np.arange(len(X)), cdist(X, X) @ np.eye(len(names))[own]  # (n_samples, n_clusters)
    inside = sums[rows, own] / np.maximum(sizes[own] - 1, 1)
    sums[rows, own] = np.inf
    outside = (sums / sizes).min(axis=1)
    larger = np.maximum(inside, outside)
    return np.where((sizes[own] > 1) & (larger > 0), (outside - inside) / np.where(larger > 0, larger, 1.0), 0.0)


# --- estimators -----------------------------------------------------------------------------------------------------


class KMeans(ClusterMixin, BaseEstimator):
    """Clusters by their centres; the best of several beginnings is kept.

    Args:
        n_clusters: how many, at most as many as rows.
        n_init: how many beginnings by `kmeans_plus_plus` are tried.
        max_iter: moves of the centres at most.
        random_state: seed of the draws.

    Attributes:
        cluster_centers_: of shape (n_clusters, n_features).
        labels_: the cluster of each row, of shape (n_samples,).
        inertia_: the sum of the squared distances of the rows to their centres.
        n_iter_: how often the centres were moved.
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(self, n_clusters: int = 8, *, n_init: int = 10, max_iter: int = 300, random_state: Any = None) -> None:
        self.n_clusters = n_clusters
        self.n_init = n_init
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the centres of the rows of X, of shape (n_samples, n_features). Raises ValueError."""
        X = _table(self, X)
        _count("n_clusters", self.n_clusters, most=len(X))
        n_init, max_iter = _count("n_init", self.n_init), _count("max_iter", self.max_iter)
        rngs = _generator(self.random_state).spawn(n_init)
        tries = [lloyd(X, kmeans_plus_plus(X, self.n_clusters, rng), max_iter) for rng in rngs]
        best = min(tries, key=lambda result: result[2])
        self.cluster_centers_, self.labels_, self.inertia_, self.n_iter_ = best
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the number of the nearest centre for each row, of shape (n_samples,)."""
        check_is_fitted(self)
        return _nearest(_table(self, X, reset=False), self.cluster_centers_)[0]


class GaussianMixture(DensityMixin, BaseEstimator):
    """A density made of Gaussian bells, each with a full covariance, fitted by EM.

    Args:
        n_components: how many, at most as many as rows.
        tol: EM stops where the mean log density rises by less.
        reg_covar: added to the variances.
        max_iter: steps of EM at most.
        n_init: how many beginnings by k-means are tried.
        random_state: seed of the draws.

    Attributes:
        weights_: of shape (n_components,).
        means_: of shape (n_components, n_features).
        covariances_: of shape (n_components, n_features, n_features).
        lower_bounds_: the mean log density of the rows before each step of EM.
        converged_: whether it stopped before max_iter.
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the bells to the rows of X, of shape (n_samples, n_features). Raises ValueError."""
        X = _table(self, X, ensure_min_samples=2)
        _count("n_components", self.n_components, most=len(X))
        _count("max_iter", self.max_iter)
        for name in ("tol", "reg_covar"):
            _positive(name, getattr(self, name), zero=True)
        tries = [self._climb(X, rng) for rng in _generator(self.random_state).spawn(_count("n_init", self.n_init))]
        bell, self.lower_bounds_, self.converged_ = max(tries, key=lambda result: result[1][-1])
        self.weights_, self.means_, self.covariances_ = bell
        return self

    def _climb(self, X: np.ndarray, rng: np.random.Generator) -> tuple[Any, list[float], bool]:
        _, labels, _, _ = lloyd(X, kmeans_plus_plus(X, self.n_components, rng), 300)
        # A little of each row for each component: where rows are equal, a cluster of k-means may be empty.
        bell = maximization(X, np.eye(self.n_components)[labels] + 1e-10, self.reg_covar)
        bounds: list[float] = []
        for _ in range(self.max_iter):
            try:
                log_density, responsibilities = expectation(X, *bell)
            except np.linalg.LinAlgError as error:
                raise ValueError(
                    f"reg_covar must be larger, got {self.reg_covar}: a component shrank to a point."
                ) from error
            bounds.append(float(log_density.mean()))
            if len(bounds) > 1 and abs(bounds[-1] - bounds[-2]) < self.tol:
                return bell, bounds, True
            bell = maximization(X, responsibilities + 1e-10, self.reg_covar)
        return bell, bounds, False

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log density at each row, of shape (n_samples,)."""
        return self._expect(X)[0]

    def score(self, X: Any, y: Any = None) -> float:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the mean log density of the rows."""
        return float(self.score_samples(X).mean())

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return each component's responsibility for each row, of shape (n_samples, n_components)."""
        return self._expect(X)[1]

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest component of each row, of shape (n_samples,)."""
        return self._expect(X)[1].argmax(axis=1)

    def bic(self, X: Any) -> float:
        """Return -2 log likelihood + p log n, with p free parameters (Schwarz, 1978): less is better."""
        rows, (k, d) = np.asarray(X), self.means_.shape
        n_parameters = k - 1 + k * d + k * d * (d + 1) // 2
        return float(-2 * self.score_samples(rows).sum() + n_parameters * np.log(len(rows)))

    def _expect(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        check_is_fitted(self)
        return expectation(_table(self, X, reset=False), self.weights_, self.means_, self.covariances_)


class DBSCAN(ClusterMixin, BaseEstimator):
    """Clusters by density, of any shape and number, and noise.

    Args:
        eps: rows within this distance are neighbours.
        min_samples: neighbours, itself among them, that make a row a core row.

    Attributes:
        labels_: of shape (n_samples,), -1 for noise.
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(self, eps: float = 0.5, *, min_samples: int = 5) -> None:
        self.eps = eps
        self.min_samples = min_samples

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the crowds among the rows of X, of shape (n_samples, n_features). Raises ValueError."""
        X = _table(self, X)
        neighbors = neighborhoods(X, _positive("eps", self.eps))
        self.labels_ = dbscan(neighbors, _count("min_samples", self.min_samples))
        return self


class AgglomerativeClustering(ClusterMixin, BaseEstimator):
    """Clusters by merging the closest two, until as many are left as are wanted, or all are far apart.

    Args:
        n_clusters: how many are left; None where a distance decides.
        linkage: how far two clusters are apart, as for `merged_distances`.
        distance_threshold: clusters at this distance or farther are not merged; None where n_clusters decides.

    Attributes:
        labels_: of shape (n_samples,), numbered by their first rows.
        merges_: what `agglomerate` returns; `scipy.cluster.hierarchy.dendrogram` draws it.
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(
        self, n_clusters: int | None = 2, *, linkage: str = "ward", distance_threshold: float | None = None
    ) -> None:
        self.n_clusters = n_clusters
        self.linkage = linkage
        self.distance_threshold = distance_threshold

    def fit(self, X: Any, y: Any = None) -> Self:
        """Merge the rows of X, of shape (n_samples, n_features). Raises ValueError."""
        X = _table(self, X, ensure_min_samples=2)
        if self.linkage not in LINKAGES:
            raise ValueError(f"linkage must be {', '.join(LINKAGES)}, got {self.linkage!r}.")
        if (self.n_clusters is None) == (self.distance_threshold is None):
            got = f"{self.n_clusters!r} and {self.distance_threshold!r}"
            raise ValueError(f"n_clusters or distance_threshold must be None, and not both, got {got}.")
        if self.n_clusters is not None:
            _count("n_clusters", self.n_clusters, most=len(X))
        self.merges_ = agglomerate(cdist(X, X), self.linkage)
        n_clusters = self.n_clusters
        if n_clusters is None:
            limit = _positive("distance_threshold", self.distance_threshold, zero=True)
            n_clusters = 1 + int(np.sum(self.merges_[:, 2] >= limit))
        self.labels_ = cut(self.merges_, n_clusters)
        return self


# --- what is given, checked -----------------------------------------------------------------------------------------


def _table(estimator: Any, X: Any, **options: Any) -> np.ndarray:
    return _squarable(np.asarray(validate_data(estimator, X, dtype=np.float64, **options)))


def _count(name: str, value: Any, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}.")
    if most is not None and int(value) > most:
        raise ValueError(f"{name} must be at most the number of rows, n_samples={most}, got {value}. Ask for fewer.")
    return int(value)


def _positive(name: str, value: Any, *, zero: bool = False) -> float:
    least = "at least 0" if zero else "above 0"
    if isinstance(value, bool) or not isinstance(value, Real) or not (0 < float(value) or (zero and value == 0)):
        raise ValueError(f"{name} must be a number {least}, got {value!r}.")
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

# pyright: basic
"""Ways to get clustering wrong, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.classical.clustering.clustering import NOISE, _nearest, in_order, merged_distances


@mistake("kmeans_plus_plus", edit=("p=nearest / total if total > 0 else None", "p=None"))
def draws_centers_blindly():
    """You draw every centre like the first. Two may lie in one group, and a group may have none: weigh by distance."""


@mistake("kmeans_plus_plus", edit=('"sqeuclidean"', '"euclidean"'))
def forgets_to_square():
    """You draw in proportion to the distance. k-means++ squares it, which is what its bound is proved for."""


@mistake("kmeans_plus_plus", edit=("np.minimum(nearest, cdist(", "(cdist("))
def looks_at_the_last_center_only():
    """You take the distance to the last centre alone, so a row beside the first may be drawn. Keep the least so far."""


@mistake("kmeans_plus_plus", edit=("rng.choice(len(X), p=nearest / total if total > 0 else None)", "nearest.argmax()"))
def takes_the_farthest():
    """You take the farthest row. That is an outlier more often than a group: draw, with the squares as weights."""


@mistake("lloyd", edit=("centers = centers.copy()", "centers = np.asarray(centers)"))
def moves_the_centers_given():
    """You move the centres in the array that you were given. Copy it first: the caller still needs it."""


@mistake(
    "lloyd",
    edit=[
        ("            if members.any():\n    ", "            if True:\n    "),
    ],
)
def takes_the_mean_of_nothing():
    """A centre without rows becomes the mean of nothing: NaN. Move it to the row that is farthest from its centre."""


@mistake(
    "lloyd",
    edit=(
        "        previous = labels\n        labels, squares = _nearest(X, centers)\n",
        "        previous = labels\n        squares = _nearest(X, centers)[1]\n",
    ),
)
def never_assigns_again():
    """Rows stay with the centre that was nearest at first. After each move, give each to its nearest centre anew."""


@mistake("lloyd", edit=("X[farthest], 0.0", "X[farthest], squares[farthest]"))
def sends_two_centers_to_one_row():
    """Two centres without rows go to the same row. A row that was taken is no longer far: the second takes the next."""


@mistake("expectation", edit=("np.log(weights[k]) - log_volume", "-log_volume"))
def forgets_the_shares():
    """You leave the weights out. A bell that holds most rows is likelier before a row is seen: add its log weight."""


@mistake("expectation", edit=("np.log(np.diag(factor)).sum()", "2 * np.log(np.diag(factor)).sum()"))
def takes_the_whole_log_determinant():
    """You take the log determinant whole. The density has its half: the sum of the logs of the factor's diagonal."""


@mistake("expectation", edit=("logsumexp(joint, axis=1)", "np.log(np.exp(joint).sum(axis=1))"))
def leaves_the_logarithms():
    """You add densities up as they are. Far from all means they are 0, and 0 / 0 is NaN: use logsumexp."""


@mistake("maximization", edit=("apart / size", "apart / len(X)"))
def divides_by_all_rows():
    """You divide a component's squares by all rows. Divide by its own: the sum of its responsibilities."""


@mistake("maximization", edit=("apart = X - means[k]", "apart = X - X.mean(axis=0)"))
def spreads_about_the_mean_of_all():
    """You measure the spread about the mean of all rows. A component's covariance is about its own, new mean."""


@mistake("maximization", edit=("[:: X.shape[1] + 1] += reg_covar", "[:] += reg_covar"))
def adds_to_covariances():
    """You add reg_covar to every entry, which makes columns correlated. Add it to the variances: the diagonal."""


@mistake(
    "dbscan",
    edit=(
        "                    if core[near]:\n                        waiting",
        "                    if True:\n                        waiting",
    ),
)
def spreads_through_the_border():
    """Rows on the border pass the cluster on, and crowds grow together. Only core rows reach their neighbours."""


@mistake("dbscan", edit=("len(near) >= min_samples", "len(near) > min_samples"))
def does_not_count_itself():
    """You ask for one neighbour too many. A core row has at least min_samples neighbours, itself among them."""


@mistake("dbscan", edit=("if not core[start] or labels[start] != NOISE:", "if labels[start] != NOISE:"))
def founds_clusters_anywhere():
    """Any row founds a cluster. Only a core row may: a loner is noise, and a row on the border waits to be reached."""


@mistake("agglomerate", edit=("            sizes[b] += sizes[a]\n", ""))
def forgets_to_grow():
    """A union keeps the size of one part. The average and Ward's distance weigh by sizes: add them."""


@mistake(
    "agglomerate",
    edit=("merged_distances(D[a], D[b], D[a, b], sizes, sizes[a], sizes[b], linkage)", "np.minimum(D[a], D[b])"),
)
def links_singly_always():
    """You keep the smaller distance whatever the linkage is. Hand it to `merged_distances`."""


@mistake("agglomerate", edit=("np.fill_diagonal(D, np.inf)", "np.fill_diagonal(D, 0.0)"))
def is_nearest_to_itself():
    """The diagonal is 0, so each cluster is nearest to itself. Set it to infinity before you look for the nearest."""


@variant("kmeans_plus_plus")
def by_cumulated_squares(X, n_clusters, rng):
    """Draws a place on the cumulated squares, and loops over rows already chosen."""
    centers = [X[rng.integers(0, len(X))]]
    for _ in range(n_clusters - 1):
        squares = np.min([((X - center) ** 2).sum(axis=1) for center in centers], axis=0)
        steps = squares.cumsum()
        place = np.searchsorted(steps, rng.random() * steps[-1], side="right")
        centers.append(X[min(place, len(X) - 1)])
    return np.array(centers)


@variant("lloyd")
def with_sums_by_bincount(X, centers, max_iter):
    """The means as sums over counts, column by column."""
    centers, n_iter = np.array(centers, dtype=float), 0
    labels, squares = _nearest(X, centers)
    while n_iter < max_iter:
        n_iter += 1
        counts = np.bincount(labels, minlength=len(centers))
        for j in range(X.shape[1]):
            sums = np.bincount(labels, weights=X[:, j], minlength=len(centers))
            centers[counts > 0, j] = sums[counts > 0] / counts[counts > 0]
        far = np.argsort(-squares, kind="stable")
        for k, row in zip(np.flatnonzero(counts == 0), far, strict=False):
            centers[k] = X[row]
        old = labels
        labels, squares = _nearest(X, centers)
        if (labels == old).all():
            break
    return centers, labels, squares.sum(), n_iter


@variant("expectation")
def by_inverses(X, weights, means, covariances):
    """Mahalanobis distances by the inverse, determinants by slogdet."""
    logs = []
    for weight, mean, covariance in zip(weights, means, covariances, strict=True):
        apart = X - mean
        squares = np.einsum("ni,ij,nj->n", apart, np.linalg.inv(covariance), apart)
        logs.append(np.log(weight) - 0.5 * (squares + np.linalg.slogdet(2 * np.pi * covariance)[1]))
    logs = np.array(logs).T
    top = logs.max(axis=1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(logs - top).sum(axis=1))
    return total, np.exp(logs - total[:, None])


@variant("maximization")
def by_second_moments(X, responsibilities, reg_covar):
    """One product for all components."""
    sizes = responsibilities.sum(axis=0)
    means = (responsibilities / sizes).T @ X
    apart = X[:, None] - means
    covariances = np.einsum("nk,nki,nkj->kij", responsibilities / sizes, apart, apart)
    return sizes / sizes.sum(), means, covariances + reg_covar * np.eye(X.shape[1])


@variant("dbscan")
def in_breadth(neighbors, min_samples):
    """Level by level, with sets."""
    labels, cluster = np.full(len(neighbors), NOISE), 0
    for start, near in enumerate(neighbors):
        if labels[start] >= 0 or len(near) < min_samples:
            continue
        level = {start}
        while level:
            labels[list(level)] = cluster
            cores = [row for row in level if len(neighbors[row]) >= min_samples]
            level = {other for row in cores for other in neighbors[row] if labels[other] < 0}
        cluster += 1
    return labels


@variant("agglomerate")
def by_the_closest_pair(distances, linkage):
    """Without a chain: the least entry of the whole table, again and again, in O(n³)."""
    D = np.array(distances, dtype=float)
    D[np.diag_indices(len(D))] = np.inf
    sizes, merges = np.ones(len(D)), []
    for _ in range(len(D) - 1):
        a, b = np.unravel_index(D.argmin(), D.shape)
        merges.append((a, b, D[a, b]))
        row = merged_distances(D[a], D[b], D[a, b], sizes, sizes[a], sizes[b], linkage)
        D[b], D[:, b] = row, row
        D[a], D[:, a], D[b, b] = np.inf, np.inf, np.inf
        sizes[a], sizes[b] = 0, sizes[a] + sizes[b]
    return in_order(merges, len(D))

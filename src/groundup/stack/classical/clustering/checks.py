"""Checks of clustering."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage as scipys_linkage
from scipy.spatial.distance import cdist, squareform
from scipy.stats import multivariate_normal
from sklearn import metrics

from groundup.checking import (
    assert_close,
    assert_draws_from,
    assert_order_free,
    assert_refuses,
    assert_refuses_values,
    assert_rows_alone,
    assert_shape,
    assert_unchanged,
    estimator_conventions,
)
from groundup.stack.classical.clustering import (
    DBSCAN,
    LINKAGES,
    AgglomerativeClustering,
    GaussianMixture,
    KMeans,
    agglomerate,
    cut,
    dbscan,
    expectation,
    kmeans_plus_plus,
    lloyd,
    maximization,
    neighborhoods,
    silhouettes,
)

LINE = np.array([[0.0], [1.0], [5.0]])
# Rows 0 to 2 are a chain of neighbours, row 3 hangs on to its end, rows 4 and 5 are a pair, row 6 is alone.
CHAIN = [[0, 1], [0, 1, 2], [1, 2, 3], [2, 3], [4, 5], [4, 5], [6]]


def blobs(rng, n=20, features=2):
    """Three groups of n rows, far apart."""
    centers = np.array([[0.0, 0.0, 0.0], [20.0, 0.0, 0.0], [0.0, 20.0, 0.0]])[:, :features]
    return np.repeat(centers, n, axis=0) + rng.normal(size=(3 * n, features))


def inertia(X, centers):
    """The sum of squared distances to the nearest centre."""
    return cdist(X, centers, "sqeuclidean").min(axis=1).sum()


# --- k-means++ ------------------------------------------------------------------------------------------------------


def test_first_centers_are_rows(rng):
    """They are rows of X, as many as are asked for, and all different where X has as many different rows."""
    X = np.repeat([[0.0, 1.0], [2.0, 0.0], [9.0, 9.0]], [8, 1, 1], axis=0)
    for n_clusters in (1, 2, 3):
        for _ in range(5):
            centers = kmeans_plus_plus(X, n_clusters, rng)
            assert_shape(centers, (n_clusters, 2), f"{n_clusters} centres of two numbers")
            rows = {tuple(row) for row in centers.tolist()}
            assert rows <= {tuple(row) for row in X.tolist()}, f"centres must be rows of X, got {centers.tolist()}"
            assert len(rows) == n_clusters, f"a row on a centre has no chance to be drawn, got {centers.tolist()}"


def test_the_first_center_is_any_row(rng):
    """The first centre is each row alike."""
    first = [kmeans_plus_plus(LINE, 1, rng)[0, 0] for _ in range(600)]
    for row in LINE[:, 0]:
        share = np.mean(np.array(first) == row)
        assert 0.24 < share < 0.43, f"of three rows each is first in 1/3 of the draws, row {row:g} in {share:.2f}"


def test_the_second_center_is_drawn_by_squared_distance(rng):
    """From 0, rows at 1 and 5 have the chances 1/26 and 25/26, the squares of distances, in whatever unit they are."""
    for unit in (0.01, 100.0):
        draws = [kmeans_plus_plus(unit * LINE, 2, rng)[:, 0] / unit for _ in range(700)]
        second = np.array([centers[1] for centers in draws if centers[0] == 0])
        assert_close(np.mean(second > 3), 25 / 26, f"share of draws that go from 0 to 5, by {unit:g}", atol=0.06)
        assert np.any(second < 3), "the nearer row has a small chance, but it has one: draw, do not take the farthest"


def test_the_third_center_is_far_from_both(rng):
    """With centres at 0 and 10, the row at 9.9 is hardly ever drawn, and that at 5 nearly always."""
    X = np.array([[0.0], [5.0], [9.9], [10.0]])
    draws = [sorted(kmeans_plus_plus(X, 3, rng)[:, 0].tolist()) for _ in range(300)]
    together = np.mean([{9.9, 10.0} <= set(centers) for centers in draws])
    assert together < 0.03, f"9.9 and 10 are drawn together in {together:.2f} of the draws"


def test_first_centers_of_equal_rows(rng):
    """Where all rows lie on centres, any row is drawn: equal rows give equal centres, and no NaN."""
    assert_close(kmeans_plus_plus(np.full((4, 2), 3.0), 3, rng), np.full((3, 2), 3.0), "four equal rows")


def test_first_centers_come_from_the_generator_given(rng):
    """The same generator gives the same centres, another one others; X stays as it is."""
    X = rng.normal(size=(40, 2))
    assert_draws_from(lambda rng: kmeans_plus_plus(X, 3, rng))
    assert_unchanged(lambda A: kmeans_plus_plus(A, 3, np.random.default_rng(0)), X)


# --- Lloyd ----------------------------------------------------------------------------------------------------------


def test_lloyd_by_hand():
    """The rows 1 and 5 pull the second centre to 3; then row 1 goes over, and the centres are 0.5 and 5."""
    centers, labels, squares, n_iter = lloyd(LINE, LINE[:2], 1)
    assert_close(centers, [[0], [3]], "centres after one move")
    assert_close(labels, [0, 0, 1], "labels for those centres: the row at 1 is nearer to 0 than to 3")
    assert_close(squares, 1 + 4, "the sum of squares for those centres and labels")
    assert n_iter == 1, f"the centres were moved once, not {n_iter} times"
    centers, labels, squares, n_iter = lloyd(LINE, LINE[:2], 100)
    assert_close(centers, [[0.5], [5]], "centres at the end")
    assert_close(squares, 0.5, "0.25 + 0.25 + 0")
    assert n_iter == 2, f"after the second move no row changes its cluster; moved {n_iter} times"


def test_lloyd_ends_where_nothing_moves(rng):
    """At the end each centre is the mean of its rows, and each row is with its nearest centre."""
    X = rng.normal(size=(60, 2))
    centers, labels, squares, _ = lloyd(X, X[:4], 300)
    assert_close(centers, [X[labels == k].mean(axis=0) for k in range(4)], "each centre is the mean of its rows")
    assert_close(labels, cdist(X, centers).argmin(axis=1), "each row is with its nearest centre")
    assert_close(squares, inertia(X, centers), "the sum of squared distances to the nearest centre")


def test_lloyd_never_climbs(rng):
    """More moves never raise the sum of squares."""
    X = rng.normal(size=(80, 2))
    sums = [lloyd(X, X[:6], n)[2] for n in range(1, 12)]
    assert np.diff(sums).max() <= 1e-9, f"sums after 1, 2, … moves: {sums}"
    assert_unchanged(lambda A, C: lloyd(A, C, 5), X, X[:6].copy())


def test_a_center_without_rows_moves_to_the_farthest_row():
    """No row is nearest to centres at 90 and 99: the first takes the row at 30, the next that at 24."""
    X = np.array([[0.0], [2.0], [24.0], [30.0]])
    centers, labels, squares, _ = lloyd(X / 100, np.array([[0.01], [90.0], [99.0]]), 1)
    assert_close(centers[1:], [[0.30], [0.24]], "the two centres without rows, after one move; all in hundredths")
    assert np.isfinite(squares), "no centre is NaN"
    centers, labels, squares, _ = lloyd(X, np.array([[1.0], [90.0], [99.0]]), 100)
    assert_close(labels, [0, 0, 2, 1], "labels at the end")
    assert_close(squares, 2, "at the end only the rows at 0 and 2 are away from their centre")


# --- mixtures -------------------------------------------------------------------------------------------------------


def test_responsibilities_by_hand():
    """Two bells of variance 1 at 0 and 2, with shares 1/4 and 3/4: in the middle the shares decide."""
    bells = np.array([0.25, 0.75]), np.array([[0.0], [2.0]]), np.ones((2, 1, 1))
    log_density, responsibilities = expectation(np.array([[1.0], [0.0]]), *bells)
    height = np.exp(-0.5) / np.sqrt(2 * np.pi)
    assert_close(responsibilities[0], [0.25, 0.75], "at 1, which is as far from both means")
    assert_close(log_density[0], np.log(height), "log density at 1")
    assert_close(responsibilities[1, 0], 0.25 / (0.25 + 0.75 * np.exp(-2)), "at 0, of the first bell")


def test_the_density_is_scipys(rng):
    """The density is Σ weight · scipy.stats.multivariate_normal, and the responsibilities are its terms' shares."""
    X, weights, means = rng.normal(size=(15, 3)), np.array([0.2, 0.5, 0.3]), rng.normal(size=(3, 3))
    factors = rng.normal(size=(3, 3, 3))
    covariances = factors @ factors.swapaxes(1, 2) + 0.1 * np.eye(3)
    terms = [w * multivariate_normal(m, c).pdf(X) for w, m, c in zip(weights, means, covariances, strict=True)]
    log_density, responsibilities = expectation(X, weights, means, covariances)
    assert_close(log_density, np.log(np.sum(terms, axis=0)), "log density")
    assert_close(responsibilities, (np.array(terms) / np.sum(terms, axis=0)).T, "responsibilities")
    assert_unchanged(expectation, X, weights, means, covariances)
    assert_rows_alone(lambda rows: expectation(rows, weights, means, covariances), X)


def test_a_row_far_away_has_responsibilities():
    """At 100 the densities of both bells are no floats; the nearer bell is responsible for nearly all."""
    bells = np.array([0.5, 0.5]), np.array([[0.0], [1.0]]), np.ones((2, 1, 1))
    log_density, responsibilities = expectation(np.array([[100.0]]), *bells)
    assert_close(responsibilities.sum(), 1, "they sum to 1")
    assert responsibilities[0, 1] > 0.99, f"the bell at 1 is nearer than that at 0, got {responsibilities}"
    assert_close(log_density, [np.log(0.5) - 99**2 / 2 - np.log(2 * np.pi) / 2], "log density at 100", rtol=1e-6)


def test_maximization_by_hand():
    """The first bell has all of row 0 and half of row 1, the second the rest."""
    responsibilities = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    weights, means, covariances = maximization(np.array([[0.0], [3.0], [9.0]]), responsibilities, 0.0)
    assert_close(weights, [0.5, 0.5], "weights: 1.5 of 3 rows each")
    assert_close(means, [[1], [7]], "means: (0 + 1.5) / 1.5 and (1.5 + 9) / 1.5")
    assert_close(covariances[:, 0, 0], [(1 + 0.5 * 4) / 1.5, (0.5 * 16 + 4) / 1.5], "variances about the new means")


def test_maximization_is_numpys(rng):
    """With responsibilities as weights, it is np.average and np.cov, plus reg_covar on the diagonal."""
    X, responsibilities = rng.normal(size=(30, 3)), rng.dirichlet([1, 2], 30)
    weights, means, covariances = maximization(X, responsibilities, 0.25)
    assert_close(weights, responsibilities.mean(axis=0), "weights are mean responsibilities")
    for k in range(2):
        own = responsibilities[:, k]
        assert_close(means[k], np.average(X, axis=0, weights=own), f"mean of component {k}")
        expected = np.cov(X.T, aweights=own, ddof=0) + 0.25 * np.eye(3)
        assert_close(covariances[k], expected, f"covariance of component {k}")
    assert_unchanged(lambda A, R: maximization(A, R, 0.25), X, responsibilities)


def test_em_never_descends(rng):
    """An E step and an M step never lower the mean log density of the rows."""
    X = np.vstack([rng.normal(size=(40, 2)), rng.normal(size=(20, 2)) * [3, 0.5] + 2])
    bell, bounds = maximization(X, rng.dirichlet([1, 1, 1], 60), 0.0), []
    for _ in range(12):
        log_density, responsibilities = expectation(X, *bell)
        bounds.append(log_density.mean())
        bell = maximization(X, responsibilities, 0.0)
    assert np.diff(bounds).min() > -1e-9, f"mean log density, step by step: {np.round(bounds, 4).tolist()}"
    assert bounds[-1] > bounds[0] + 0.01, "twelve steps must raise it"


# --- DBSCAN ---------------------------------------------------------------------------------------------------------


def test_dbscan_by_hand():
    """With three neighbours for a core, rows 1 and 2 are cores, rows 0 and 3 on the border; the others are noise."""
    assert_close(dbscan(CHAIN, 3), [0, 0, 0, 0, -1, -1, -1], "min_samples = 3")
    assert_close(dbscan(CHAIN, 2), [0, 0, 0, 0, 1, 1, -1], "min_samples = 2: a pair is a cluster, a row alone is not")
    assert_close(dbscan(CHAIN, 1), [0, 0, 0, 0, 1, 1, 2], "min_samples = 1: every row is a core row")
    assert_close(dbscan(CHAIN, 4), [-1] * 7, "min_samples = 4: all is noise")


def test_a_border_row_reaches_nothing():
    """Row 2 is near both cores 1 and 3, but no core itself: it joins the first cluster, and does not join the two."""
    neighbors = [[0, 1], [0, 1, 2, 5], [1, 2, 3], [2, 3, 4, 6], [3, 4], [1, 5], [3, 6]]
    assert_close(dbscan(neighbors, 4), [0, 0, 0, 1, 1, 0, 1], "two crowds that share a row on the border")


def test_dbscan_numbers_clusters_by_their_first_core(rng):
    """Labels are whole numbers from 0; a border row before its core does not found a cluster; nothing is changed."""
    labels = dbscan([[0, 4], [1, 2, 3], [1, 2, 3], [1, 2, 3], [0, 4, 5], [4, 5]], 3)
    assert labels.dtype.kind == "i", f"labels are whole numbers, not {labels.dtype}"
    assert_close(labels, [1, 0, 0, 0, 1, 1], "the cluster of core row 1 is found before that of core row 4")
    assert_unchanged(lambda neighbors: dbscan(neighbors, 2), [list(near) for near in CHAIN])
    assert_close(dbscan([], 2), np.zeros(0), "no rows")


def test_dbscan_joins_what_is_connected(rng):
    """Its clusters are the connected parts of the graph of core rows, by SciPy, for any order of the rows."""
    from scipy.sparse.csgraph import connected_components

    X = rng.normal(size=(120, 2))
    neighbors = neighborhoods(X, 0.35)
    labels = dbscan(neighbors, 4)
    core = np.array([len(near) >= 4 for near in neighbors])
    _, parts = connected_components(cdist(X[core], X[core]) <= 0.35)
    _, first = np.unique(parts, return_index=True)
    assert_close(labels[core], first.argsort().argsort()[parts], "clusters of core rows are connected parts")
    near_core = (cdist(X, X[core]) <= 0.35).any(axis=1)
    assert_close(labels == -1, ~near_core, "noise is what no core row is near to")


def test_dbscan_follows_a_long_chain():
    """A chain of 5,000 rows is one cluster: no recursion, which Python stops after 1,000 calls."""
    n = 5_000
    neighbors = [[j for j in (i - 1, i, i + 1) if 0 <= j < n] for i in range(n)]
    assert_close(dbscan(neighbors, 3), np.zeros(n), "a chain")


# --- agglomeration --------------------------------------------------------------------------------------------------


def test_agglomeration_by_hand():
    """Rows at 0, 1, 5 and 7: 0 and 1 at 1, 5 and 7 at 2, and the two pairs at what the linkage says."""
    X = np.array([[0.0], [1.0], [5.0], [7.0]])
    heights = {"single": 4, "complete": 7, "average": 5.5, "ward": np.sqrt(2 * 5.5**2)}
    for linkage, height in heights.items():
        expected = [[0, 1, 1, 2], [2, 3, 2, 2], [4, 5, height, 4]]
        assert_close(agglomerate(cdist(X, X), linkage), expected, f"merges by {linkage} linkage")


@pytest.mark.parametrize("linkage", LINKAGES)
def test_agglomeration_is_scipys(linkage, rng):
    """Its merges are those of scipy.cluster.hierarchy.linkage; the distances stay as they are."""
    X = rng.normal(size=(30, 3))
    distances = cdist(X, X)
    condensed = squareform(distances, checks=False)
    assert_close(agglomerate(distances, linkage), scipys_linkage(condensed, linkage), f"30 rows, {linkage} linkage")
    assert_unchanged(lambda D: agglomerate(D, linkage), distances)


def test_agglomeration_of_few_rows():
    """One row has no merge, two have one; whole numbers are distances, too; of equal rows all are merged."""
    assert_shape(agglomerate(np.zeros((1, 1)), "average"), (0, 4), "one row: no merge")
    assert_close(agglomerate(np.array([[0, 3], [3, 0]]), "complete"), [[0, 1, 3, 2]], "two rows")
    merges = agglomerate(np.zeros((5, 5)), "average")
    assert_close(merges[:, 2], np.zeros(4), "equal rows are merged at height 0")
    assert_close(merges[-1, 3], 5, "equal rows are one cluster in the end")
    ranks = agglomerate(np.array([[0, 1, 4], [1, 0, 5], [4, 5, 0]]), "average")
    assert_close(ranks[1, 2], 4.5, "distances that are whole numbers: the mean of 4 and 5 is none")


def test_the_order_of_rows_does_not_matter_to_heights(rng):
    """Heights ascend, and are the same whatever the order of the rows."""
    X = rng.normal(size=(25, 2))
    for linkage in LINKAGES:
        heights = agglomerate(cdist(X, X), linkage)[:, 2]
        assert (np.diff(heights) >= 0).all(), f"heights ascend, {linkage} linkage"
        again = X[rng.permutation(25)]
        assert_close(agglomerate(cdist(again, again), linkage)[:, 2], heights, f"rows in another order, {linkage}")


def test_single_linkage_joins_a_ring_that_centres_cut(rng):
    """Of a ring about a blob, single linkage and DBSCAN make two groups; k-means cuts the ring through."""
    angles = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    ring, blob = 5 * np.column_stack([np.cos(angles), np.sin(angles)]), rng.normal(scale=0.4, size=(40, 2))
    X, groups = np.vstack([ring, blob]), np.repeat([0, 1], [80, 40])
    assert_close(cut(agglomerate(cdist(X, X), "single"), 2), groups, "single linkage, two clusters")
    assert_close(dbscan(neighborhoods(X, 1.0), 3), groups, "DBSCAN with eps = 1")
    _, labels, _, _ = lloyd(X, kmeans_plus_plus(X, 2, rng), 300)
    assert len(set(labels[:80].tolist())) == 2, "two centres cannot have a ring on one side"


# --- estimators -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convention", estimator_conventions("clusterer"))
@pytest.mark.parametrize("kind", ["k-means", "DBSCAN", "agglomeration"])
def test_clusterers_keep_scikit_learns_conventions(kind, convention):
    """They keep scikit-learn's conventions."""
    makers = {
        "k-means": lambda: KMeans(3, n_init=2, random_state=0),
        "DBSCAN": lambda: DBSCAN(3.0, min_samples=3),
        "agglomeration": lambda: AgglomerativeClustering(3),
    }
    convention(makers[kind])


@pytest.mark.parametrize("convention", estimator_conventions("clusterer", without=["labels_its_rows"]))
def test_the_mixture_keeps_scikit_learns_conventions(convention):
    """It keeps scikit-learn's conventions; it has a density, and no labels_."""
    convention(lambda: GaussianMixture(2, random_state=0, reg_covar=0.1))


def test_all_find_groups_that_are_far_apart(rng):
    """Three groups of 20 rows are found by each method."""
    X, groups = blobs(rng), np.repeat([0, 1, 2], 20)
    models = [KMeans(3, random_state=0), GaussianMixture(3, random_state=0), DBSCAN(3), AgglomerativeClustering(3)]
    for model in models:
        labels = model.fit(X).predict(X) if hasattr(model, "predict") else model.fit(X).labels_
        assert_close(metrics.adjusted_rand_score(groups, labels), 1, f"{type(model).__name__} on three far groups")
    far = AgglomerativeClustering(None, distance_threshold=30).fit(X)
    assert_close(far.labels_, groups, "clusters farther apart than 30 are not merged")


def test_kmeans_keeps_the_best_beginning(rng):
    """Of several beginnings the one with the least sum of squares is kept, and the attributes are its own."""
    X = rng.normal(size=(60, 2))
    model = KMeans(7, n_init=8, random_state=0).fit(X)
    singles = [lloyd(X, kmeans_plus_plus(X, 7, own), 300)[2] for own in np.random.default_rng(0).spawn(8)]
    assert_close(model.inertia_, min(singles), "inertia_: the least of eight beginnings")
    assert_close(model.inertia_, inertia(X, model.cluster_centers_), "inertia_ of the centres kept")


def test_the_mixture_is_a_density_and_bic_finds_its_size(rng):
    """EM ends higher than it began, and BIC is least for the number of bells that made the rows."""
    X = blobs(rng, 40)
    models = [GaussianMixture(k, random_state=0).fit(X) for k in (1, 2, 3, 4, 5)]
    assert_close(np.argmin([model.bic(X) for model in models]), 2, "BIC of 1 to 5 components on three groups")
    bounds = models[2].lower_bounds_
    assert bounds[-1] > bounds[0] - 1e-9, f"the mean log density fell: {bounds}"
    assert_close(models[2].score(X), bounds[-1], "score: the mean log density", rtol=1e-3)


def test_silhouettes_are_scikit_learns(rng):
    """They are scikit-learn's, with 0 for a cluster of one row; one cluster has none."""
    X, labels = rng.normal(size=(30, 2)), np.array([0] * 14 + [5] * 15 + [-1])
    assert_close(silhouettes(X, labels), metrics.silhouette_samples(X, labels), "three clusters, one of a single row")
    assert_order_free(lambda A, L: silhouettes(A, L).mean(), X, labels)
    assert_refuses(lambda: silhouettes(X, np.zeros(30)), "labels", 1)


def test_what_cannot_be_is_refused(rng):
    """Settings out of range are refused by name, and more clusters than rows."""
    X = rng.normal(size=(6, 2))
    for make in (lambda n: KMeans(n), lambda n: GaussianMixture(n)):
        name = "n_clusters" if isinstance(make(1), KMeans) else "n_components"
        assert_refuses_values(lambda n, make=make: make(n).fit(X), name, 0, 2.5, "two", 7)
    assert_refuses_values(lambda e: DBSCAN(e).fit(X), "eps", 0, -1.0, "wide")
    assert_refuses_values(lambda n: DBSCAN(min_samples=n).fit(X), "min_samples", 0, 1.5)
    assert_refuses_values(lambda n: KMeans(2, max_iter=n).fit(X), "max_iter", 0, 1.5)
    assert_refuses_values(lambda t: AgglomerativeClustering(linkage=t).fit(X), "linkage", "median", 3)
    both = AgglomerativeClustering(2, distance_threshold=1.0)
    assert_refuses(lambda: both.fit(X), "n_clusters", "distance_threshold", message="both are given")
    assert_refuses_values(lambda r: GaussianMixture(2, reg_covar=r).fit(X), "reg_covar", -1.0, "some")
    flat = GaussianMixture(2, reg_covar=0.0, random_state=0)
    assert_refuses(lambda: flat.fit(np.zeros((6, 2))), "reg_covar", 0.0, message="equal rows have no volume")

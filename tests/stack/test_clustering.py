"""`classical/clustering`: scikit-learn's own checks of an estimator, and its clusterers beside ours."""

from typing import Any

import numpy as np
import pytest
from scipy.cluster import hierarchy
from sklearn import cluster as their_cluster
from sklearn import mixture as their_mixture
from sklearn.datasets import load_iris, make_blobs, make_moons
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundup.stack.classical.clustering import (
    DBSCAN,
    LINKAGES,
    AgglomerativeClustering,
    GaussianMixture,
    KMeans,
    agglomerate,
    cut,
    silhouettes,
)

cluster: Any = their_cluster  # their stubs know less than they do
mixture: Any = their_mixture
IRIS = np.asarray(load_iris(return_X_y=True)[0])


@parametrize_with_checks([KMeans(), GaussianMixture(), GaussianMixture(2), DBSCAN(), AgglomerativeClustering()])
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize("n_clusters", [2, 3, 6])
def test_kmeans_ends_as_low_as_scikit_learns(n_clusters):
    ours = KMeans(n_clusters, random_state=0).fit(IRIS)
    theirs = cluster.KMeans(n_clusters, n_init=10, random_state=0).fit(IRIS)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-3)


def test_from_the_same_centers_kmeans_is_scikit_learns():
    X = make_blobs(300, centers=5, random_state=1)[0]
    ours = KMeans(5, n_init=1, random_state=3).fit(X)
    theirs = cluster.KMeans(5, init=ours.cluster_centers_, n_init=1).fit(X)
    np.testing.assert_allclose(theirs.cluster_centers_, ours.cluster_centers_, rtol=1e-6)
    np.testing.assert_array_equal(theirs.labels_, ours.labels_)


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_the_mixture_is_scikit_learns(n_components):
    options = {"tol": 1e-9, "max_iter": 2_000, "n_init": 3, "random_state": 0}
    ours = GaussianMixture(n_components, **options).fit(IRIS)
    theirs = mixture.GaussianMixture(n_components, **options).fit(IRIS)
    assert ours.score(IRIS) == pytest.approx(theirs.score(IRIS), abs=1e-4)
    assert ours.bic(IRIS) == pytest.approx(theirs.bic(IRIS), abs=0.1)
    assert adjusted_rand_score(ours.predict(IRIS), theirs.predict(IRIS)) > 0.98
    np.testing.assert_allclose(np.sort(ours.weights_), np.sort(theirs.weights_), atol=1e-3)


@pytest.mark.parametrize(("eps", "min_samples"), [(0.3, 3), (0.5, 5), (0.8, 10)])
def test_dbscan_is_scikit_learns_label_for_label(eps, min_samples):
    for X in (IRIS, make_moons(400, noise=0.1, random_state=0)[0]):
        ours, theirs = (kind(eps=eps, min_samples=min_samples).fit(X) for kind in (DBSCAN, cluster.DBSCAN))
        np.testing.assert_array_equal(ours.labels_, theirs.labels_)


@pytest.mark.parametrize("linkage", LINKAGES)
def test_agglomeration_is_scikit_learns(linkage):
    X = np.random.default_rng(0).normal(size=(250, 4))
    for n_clusters in (2, 5, 20):
        ours, theirs = (
            kind(n_clusters, linkage=linkage).fit(X)
            for kind in (AgglomerativeClustering, cluster.AgglomerativeClustering)
        )
        assert adjusted_rand_score(ours.labels_, theirs.labels_) == 1
    merges = AgglomerativeClustering(linkage=linkage).fit(X).merges_
    np.testing.assert_allclose(merges, hierarchy.linkage(X, linkage), rtol=1e-9, atol=1e-12)
    assert hierarchy.is_valid_linkage(merges)


@pytest.mark.parametrize("linkage", LINKAGES)
def test_a_cut_is_scipys(linkage):
    merges = hierarchy.linkage(np.random.default_rng(1).normal(size=(60, 2)), linkage)
    for n_clusters in (1, 2, 7, 60):
        theirs = hierarchy.fcluster(merges, n_clusters, criterion="maxclust")
        assert adjusted_rand_score(cut(merges, n_clusters), theirs) == 1


def test_a_distance_decides_as_scikit_learns_does():
    X = make_blobs(150, centers=4, random_state=0)[0]
    for limit in (1.0, 4.0, 12.0):
        options: Any = {"n_clusters": None, "distance_threshold": limit}
        ours = AgglomerativeClustering(**options).fit(X)
        theirs = cluster.AgglomerativeClustering(**options).fit(X)
        assert len(set(ours.labels_)) == theirs.n_clusters_
        assert adjusted_rand_score(ours.labels_, theirs.labels_) == 1


def test_two_thousand_rows_are_merged():
    distances = np.abs(np.subtract.outer(*[np.random.default_rng(0).normal(size=2_000)] * 2))
    assert len(agglomerate(distances, "average")) == 1_999


def test_pipelines_and_silhouettes():
    pipeline = make_pipeline(StandardScaler(), KMeans(3, random_state=0))
    labels = pipeline.fit_predict(IRIS)
    np.testing.assert_array_equal(pipeline.predict(IRIS), labels)
    assert silhouettes(IRIS, labels).mean() == pytest.approx(silhouette_score(IRIS, labels))

"""`classical/dimensionality`: scikit-learn's own checks of an estimator, and its PCA and t-SNE beside ours."""

from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist, squareform
from sklearn import decomposition, manifold
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import _t_sne
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundup.stack.classical.dimensionality import (
    PCA,
    TSNE,
    barnes_hut_gradient,
    conditional_affinities,
    joint_affinities,
    kl_gradient,
    quadtree,
    repulsion,
)

peers: Any = decomposition
theirs: Any = _t_sne  # their stubs know less than they do
DIGITS, LABELS = (np.asarray(part)[:300] for part in load_digits(return_X_y=True))


@parametrize_with_checks([PCA(), PCA(2, whiten=True), TSNE(max_iter=20)])
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "options", [{}, {"n_components": 5}, {"n_components": 0.8}, {"n_components": 4, "whiten": True}]
)
def test_pca_is_scikit_learns(options: dict[str, Any]):
    ours, peer = PCA(**options).fit(DIGITS), peers.PCA(svd_solver="full", **options).fit(DIGITS)
    np.testing.assert_allclose(ours.explained_variance_, peer.explained_variance_, atol=1e-9)
    strong = ours.explained_variance_ > 1e-9
    np.testing.assert_allclose(np.abs(ours.components_[strong]), np.abs(peer.components_[strong]), atol=1e-7)
    way_back, their_way_back = (model.inverse_transform(model.transform(DIGITS)) for model in (ours, peer))
    np.testing.assert_allclose(way_back, their_way_back, atol=1e-9)


def test_affinities_are_scikit_learns():
    squares = cdist(DIGITS, DIGITS, "sqeuclidean")
    others = np.asarray(squares)[~np.eye(300, dtype=bool)].reshape(300, 299)
    ours = np.zeros((300, 300))
    ours[~np.eye(300, dtype=bool)] = conditional_affinities(others, 20.0).ravel()
    peer = squareform(theirs._joint_probabilities(squares.astype(np.float32), 20.0, 0))
    np.testing.assert_allclose((ours + ours.T) / 600, peer, atol=1e-7)


def test_the_exact_gradient_is_scikit_learns():
    P, Y = joint_affinities(DIGITS, 10.0).toarray(), np.random.default_rng(0).normal(size=(300, 2))
    divergence, gradient = kl_gradient(P, Y)
    peer = theirs._kl_divergence(Y.ravel(), squareform(P), 1, 300, 2)
    assert divergence == pytest.approx(peer[0], rel=1e-6)
    np.testing.assert_allclose(gradient.ravel(), peer[1], rtol=1e-5, atol=1e-9)


def test_the_tree_s_gradient_is_near_the_exact_one():
    P, Y = joint_affinities(DIGITS, 10.0), 5 * np.random.default_rng(0).normal(size=(300, 2))
    exact = kl_gradient(P.toarray(), Y)[1]
    errors = [np.abs(barnes_hut_gradient(P, Y, angle) - exact).max() / np.abs(exact).max() for angle in (0.0, 0.2, 0.5)]
    assert errors[0] < 1e-12
    assert errors[1] < 0.01
    assert errors[2] < 0.05


def test_the_work_grows_by_little_more_than_n():
    rng = np.random.default_rng(0)
    asked = [repulsion(quadtree(Y), Y, 0.5)[2] / len(Y) for Y in (rng.normal(size=(n, 2)) for n in (500, 8_000))]
    assert asked[1] < 3 * asked[0]  # 16 times as many places; all pairs would ask 16 times as many cells each


def test_a_picture_is_as_good_as_scikit_learns():
    ours = TSNE(perplexity=15, max_iter=500).fit(DIGITS)
    peer: Any = manifold.TSNE(perplexity=15, max_iter=500, init="pca", random_state=0).fit(DIGITS)
    P = joint_affinities(DIGITS, 15.0).toarray()
    assert kl_gradient(P, ours.embedding_)[0] == pytest.approx(kl_gradient(P, peer.embedding_)[0], abs=0.08)
    trust = [manifold.trustworthiness(DIGITS, Y, n_neighbors=5) for Y in (ours.embedding_, peer.embedding_)]
    assert trust[0] > trust[1] - 0.01


def test_equal_rows_and_rows_far_away_are_drawn():
    X = np.vstack([np.zeros((20, 3)), np.full((5, 3), 1e6), np.random.default_rng(0).normal(size=(15, 3))])
    model = TSNE(perplexity=5, max_iter=300).fit(X)
    assert np.isfinite(model.embedding_).all()
    assert np.isfinite(model.kl_divergence_)


def test_pipelines():
    pipeline = make_pipeline(PCA(0.9), LogisticRegression(max_iter=2_000))
    assert cross_val_score(pipeline, DIGITS, LABELS, cv=3).mean() > 0.85
    assert PCA(2).fit(DIGITS).set_output(transform="default").transform(DIGITS).shape == (300, 2)

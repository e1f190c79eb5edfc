"""`classical/recommenders`: the closed form on a larger table, and what scikit-learn says of many lists."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn import metrics

from groundup.stack.classical.recommenders import (
    Factors,
    als,
    als_step,
    fit_ratings,
    implicit_loss,
    item_cosines,
    ndcg,
    popularity,
    predict_ratings,
    recall,
    sgd_epoch,
    top_k,
)


def shop(seed: int = 0) -> np.ndarray:
    """Counts of 120 users and 60 items in four topics."""
    rng = np.random.default_rng(seed)
    tastes = rng.dirichlet(np.full(4, 0.2), 120)
    return rng.poisson(0.05 + 0.8 * tastes[:, np.arange(60) % 4]).astype(float)


def test_als_ends_where_neither_half_can_improve():
    counts = shop()
    factors = als(counts, 4, np.random.default_rng(0), sweeps=200)
    np.testing.assert_allclose(als_step(factors.items, counts), factors.users, atol=1e-3)
    np.testing.assert_allclose(als_step(factors.users, counts.T), factors.items, atol=1e-3)
    rng = np.random.default_rng(1)
    loss = implicit_loss(factors, counts)
    for _ in range(20):
        moved = Factors(*(part + rng.normal(scale=0.01, size=part.shape) for part in factors))
        assert implicit_loss(moved, counts) > loss


def test_the_closed_form_of_every_user_with_the_diagonal_written_down():
    counts, Y = shop(), np.random.default_rng(2).normal(size=(60, 8))
    ours = als_step(Y, counts, alpha=40.0, l2=0.1)
    for row, x in zip(counts, ours, strict=True):
        C = sparse.diags_array(1 + 40.0 * row)
        np.testing.assert_allclose((Y.T @ C @ Y + 0.1 * np.eye(8)) @ x, Y.T @ C @ (row > 0), atol=1e-7)


def test_factors_and_neighbours_find_the_topics():
    counts = shop()
    factors = als(counts, 4, np.random.default_rng(0))
    for scores in (factors.users @ factors.items.T, (counts > 0) @ item_cosines(counts)):
        fond = np.array([np.bincount(np.arange(60) % 4, row, minlength=4).argmax() for row in counts])
        best = top_k(scores, 5, counts > 0)
        assert (best % 4 == fond[:, None]).mean() > 0.7
    chance = top_k(np.tile(popularity(counts), (120, 1)), 5, counts > 0)
    assert (chance % 4 == fond[:, None]).mean() < 0.5


@pytest.mark.parametrize("k", [1, 5, 30])
def test_many_lists_are_scikit_learns(k):
    rng = np.random.default_rng(3)
    scores, gains = rng.normal(size=(200, 30)), rng.integers(0, 3, (200, 30))
    gains[:, 0] += 1
    assert ndcg(top_k(scores, k), gains).mean() == pytest.approx(metrics.ndcg_score(gains, scores, k=k))
    labels = (gains > 0).astype(int)
    hits = np.take_along_axis(labels, top_k(scores, k), axis=1).sum(axis=1)
    np.testing.assert_allclose(recall(top_k(scores, k), gains), hits / labels.sum(axis=1))


def test_compiled_and_uncompiled_epochs_are_equal():
    rng = np.random.default_rng(4)
    users, items, ratings = rng.integers(0, 9, 50), rng.integers(0, 7, 50), rng.normal(size=50)
    parts = [rng.normal(size=shape) for shape in (9, 7, (9, 3), (7, 3))]
    results = []
    for epoch in (sgd_epoch, sgd_epoch.py_func):
        copies = [part.copy() for part in parts]
        b, c, P, Q = copies
        results.append([epoch(users, items, ratings, 0.5, b, c, P, Q, 0.05, 0.1), *copies])
    for compiled, plain in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, plain)


def test_ratings_of_rank_one_are_recovered():
    rng = np.random.default_rng(5)
    tastes, traits = rng.normal(size=60), rng.normal(size=40)
    users, items = np.divmod(rng.permutation(2_400), 40)
    ratings = 3 + tastes[users] * traits[items]
    model = fit_ratings(users[:1_800], items[:1_800], ratings[:1_800], 2, rng, l2=0.002, epochs=200)
    errors = predict_ratings(model, users[1_800:], items[1_800:]) - ratings[1_800:]
    assert np.sqrt(np.mean(errors**2)) < 0.15 * ratings.std()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0], [1.0, 2.0]), "users, items, ratings must be of shape"),
        (([0], [0], [np.nan]), "ratings must be finite, got nan"),
        (([0.5], [0], [1.0]), "users must be integers"),
        (([0], [-1], [1.0]), "items must be integers from 0 to -?[0-9]+, got -1"),
    ],
)
def test_ratings_that_are_none_are_refused(arguments, message):
    users, items, ratings = arguments
    with pytest.raises(ValueError, match=message):
        fit_ratings(users, items, ratings, 2, np.random.default_rng(0))

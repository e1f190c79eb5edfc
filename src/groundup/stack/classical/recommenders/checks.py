"""Checks of recommenders."""

import itertools

import numpy as np
import pytest
from sklearn import metrics
from sklearn.metrics.pairwise import cosine_similarity

from groundup.checking import (
    assert_close,
    assert_number_kinds,
    assert_order_free,
    assert_refuses,
    assert_refuses_nonfinite,
    assert_refuses_values,
    assert_rows_alone,
    assert_unchanged,
    numerical_gradient,
)
from groundup.stack.classical.recommenders import (
    Factors,
    als,
    als_step,
    average_precision,
    fit_ratings,
    implicit_loss,
    item_cosines,
    ndcg,
    predict_ratings,
    sgd_epoch,
    top_k,
)

COUNTS = np.array([[1, 2, 0, 0], [1, 1, 0, 0], [0, 1, 3, 0]])  # three users, four items, the last of them new


def draw(rng, rows=6, columns=5):
    """Counts, most of them 0."""
    return rng.poisson(0.6, (rows, columns)).astype(float)


# --- neighbours -----------------------------------------------------------------------------------------------------


def test_item_cosines_by_hand():
    """Two users took item 0, three item 1, two of them both: 2 / √6. Items 1 and 2 share one user: 1 / √3."""
    a, b = 2 / 6**0.5, 1 / 3**0.5
    assert_close(item_cosines(COUNTS), [[0, a, 0, 0], [a, 0, b, 0], [0, b, 0, 0], [0, 0, 0, 0]])


def test_item_cosines_are_scikit_learns(rng):
    """Off the diagonal they are the cosines of the columns of 0 and 1."""
    counts = draw(rng, 30, 8)
    expected = cosine_similarity((counts > 0).T.astype(float))
    np.fill_diagonal(expected, 0)
    assert_close(item_cosines(counts), expected)


def test_how_often_does_not_matter_to_cosines(rng):
    """An item taken five times by a user counts as taken, and the order of the users does not matter."""
    counts = draw(rng)
    assert_close(item_cosines(counts * rng.integers(1, 6, counts.shape)), item_cosines(counts))
    assert_order_free(item_cosines, counts)


def test_item_cosines_leave_the_counts_alone():
    """Counts are not changed, may be of any kind, and what are no counts is refused."""
    assert_unchanged(item_cosines, COUNTS.astype(float))
    assert_number_kinds(item_cosines, COUNTS)
    assert_refuses(lambda: item_cosines([1, 0]), "counts", (2,))
    assert_refuses(lambda: item_cosines([[1, -2]]), "counts", -2)


# --- alternating least squares --------------------------------------------------------------------------------------


def test_als_step_by_hand():
    """One factor: items 1 and 2, a user who took the first once. With alpha 3 and l2 ½: 4 · 1 / (4 · 1 + 4 + ½)."""
    assert_close(als_step([[1.0], [2.0]], [[1, 0]], alpha=3.0, l2=0.5), [[4 / 8.5]])
    assert_close(
        als_step([[1.0], [2.0]], [[0, 2]], alpha=3.0, l2=0.5), [[14 / 29.5]], "taken twice: 7·2 / (1 + 7·4 + ½)"
    )


def test_als_step_is_the_closed_form(rng):
    """Each row solves (Yᵀ diag(c) Y + l2 · I) x = Yᵀ diag(c) p, with the whole diagonal matrix written down."""
    counts, Y = draw(rng, 7, 9), rng.normal(size=(9, 3))
    expected = []
    for row in counts:
        C = np.diag(1 + 4.0 * row)
        expected.append(np.linalg.inv(Y.T @ C @ Y + 0.3 * np.eye(3)) @ Y.T @ C @ (row > 0))
    assert_close(als_step(Y, counts, alpha=4.0, l2=0.3), np.array(expected))


def test_als_step_is_where_the_loss_is_level(rng):
    """At the users' best factors, the gradient of `implicit_loss` by them is 0."""
    counts, items = draw(rng), rng.normal(size=(5, 2))
    users = als_step(items, counts, alpha=2.0, l2=0.7)
    slope = numerical_gradient(lambda part: implicit_loss(Factors(part, items), counts, 2.0, 0.7), users)
    assert_close(slope, np.zeros_like(users), atol=1e-5)


def test_als_step_has_its_defaults(rng):
    """Unless given, alpha is 2 and l2 is 1."""
    counts, Y = draw(rng), rng.normal(size=(5, 2))
    assert_close(als_step(Y, counts), als_step(Y, counts, alpha=2.0, l2=1.0))


def test_without_alpha_it_is_ridge_regression(rng):
    """At alpha 0 every cell counts the same, and how often does not matter: ridge regression on 0 and 1."""
    counts, Y = draw(rng), rng.normal(size=(5, 2))
    ridge = np.linalg.solve(Y.T @ Y + 0.5 * np.eye(2), Y.T @ (counts.T > 0)).T
    assert_close(als_step(Y, counts, alpha=0.0, l2=0.5), ridge)
    assert_close(als_step(Y, counts * 7, alpha=0.0, l2=0.5), ridge, "seven times as often")


def test_items_take_the_transposed_table(rng):
    """With the transposed counts it gives the items' factors: each step lowers the loss, or leaves it."""
    counts = draw(rng, 8, 6)
    factors, losses = Factors(rng.normal(size=(8, 2)), rng.normal(size=(6, 2))), []
    for _ in range(4):
        factors = factors._replace(users=als_step(factors.items, counts))
        losses.append(implicit_loss(factors, counts))
        factors = factors._replace(items=als_step(factors.users, counts.T))
        losses.append(implicit_loss(factors, counts))
    assert (np.diff(losses) <= 1e-9).all(), f"the losses were {np.round(losses, 3).tolist()}"


def test_rows_are_alone(rng):
    """A user's factors depend on that user's counts only: a new user is folded in by one row."""
    Y = rng.normal(size=(5, 2))
    assert_rows_alone(lambda counts: als_step(Y, counts), draw(rng))


def test_who_took_nothing_has_nothing(rng):
    """A row of zeros has the factors 0, exactly."""
    assert (als_step(rng.normal(size=(4, 3)), np.zeros((2, 4))) == 0).all()


def test_als_step_leaves_its_arguments_alone():
    """Factors and counts are not changed, and may be of any kind of number."""
    Y = np.array([[1.0, 2.0], [3.0, 1.0], [0.0, 1.0], [2.0, 2.0]])
    assert_unchanged(als_step, Y, COUNTS.astype(float), own_result=True)
    assert_number_kinds(als_step, Y, COUNTS)


def test_als_step_refuses_what_it_cannot_solve():
    """Shapes that do not fit, counts below 0 or not finite, alpha below 0 and l2 of 0 are refused."""
    Y = np.ones((4, 2))
    assert_refuses(lambda: als_step(np.ones((3, 2)), COUNTS), (3, 2), 4)
    assert_refuses(lambda: als_step(Y, COUNTS[0]), "counts", (4,))
    assert_refuses(lambda: als_step(Y, -COUNTS), "counts", -1)
    assert_refuses_nonfinite(lambda counts: als_step(Y, counts), COUNTS.astype(float), "counts")
    assert_refuses_values(lambda value: als_step(Y, COUNTS, alpha=value), "alpha", -1, np.inf, np.nan)
    assert_refuses_values(lambda value: als_step(Y, COUNTS, l2=value), "l2", 0, -0.1, np.inf, np.nan)


def test_als_finds_two_tastes(rng):
    """Half the users take the first three items, half the others, and one is missing for each: it is scored highest."""
    tastes = np.kron(np.eye(2), np.ones((6, 3)))
    counts = tastes.copy()
    counts[np.arange(12), np.arange(12) % 3 + 3 * (np.arange(12) // 6)] = 0
    factors = als(counts, 2, rng, alpha=2.0, l2=0.1)
    best = top_k(factors.users @ factors.items.T, 1, counts > 0)
    assert tastes[np.arange(12), best[:, 0]].all(), f"the first recommendations were {best.ravel().tolist()}"


# --- gradient descent on ratings ------------------------------------------------------------------------------------


def parameters(rng, size=3):
    """Biases and factors of three users and two items."""
    return rng.normal(size=3), rng.normal(size=2), rng.normal(size=(3, size)), rng.normal(size=(2, size))


def epoch(users, items, ratings, mean, parts, rate=0.1, l2=0.2):
    """Copies of the parameters after an epoch, and what it returned."""
    b, c, P, Q = (part.copy() for part in parts)
    error = sgd_epoch(np.array(users), np.array(items), np.array(ratings, dtype=float), mean, b, c, P, Q, rate, l2)
    return [b, c, P, Q], error


def test_sgd_epoch_by_hand():
    """Rating 5, mean 3, biases ½ and 0, factors 2 and ½: the error is ½. At rate 1 and no l2 it goes to all four."""
    parts = [np.array([0.5]), np.array([0.0]), np.array([[2.0]]), np.array([[0.5]])]
    after, error = epoch([0], [0], [5], 3.0, parts, rate=1.0, l2=0.0)
    assert_close(error, 0.25, "the mean of e²")
    assert_close(np.concatenate([part.ravel() for part in after]), [1, 0.5, 2.25, 1.5], "2 + ½·½ and ½ + ½·2")


def test_a_step_is_the_gradient(rng):
    """One rating's step is -rate times the gradient of ½ e² + ½ l2 · (squares of what it used), in every parameter."""
    parts = parameters(rng)
    after, _ = epoch([2], [1], [4.0], 3.0, parts, rate=0.1, l2=0.2)
    for number, part in enumerate(parts):

        def loss(changed, number=number):
            b, c, P, Q = (changed if k == number else other for k, other in enumerate(parts))
            squares = b[2] ** 2 + c[1] ** 2 + (P[2] ** 2).sum() + (Q[1] ** 2).sum()
            return ((4.0 - 3.0 - b[2] - c[1] - P[2] @ Q[1]) ** 2 + 0.2 * squares) / 2

        assert_close((part - after[number]) / 0.1, numerical_gradient(loss, part), f"parameter {number}", atol=1e-6)


def test_the_order_is_kept(rng):
    """Ratings are taken one after the other: an epoch of three is three epochs of one."""
    parts = parameters(rng)
    whole, error = epoch([0, 1, 0], [1, 1, 0], [5, 1, 3], 3.0, parts)
    single, errors = parts, []
    for user, item, rating in ((0, 1, 5), (1, 1, 1), (0, 0, 3)):
        single, one = epoch([user], [item], [rating], 3.0, single)
        errors.append(one)
    for ours, theirs in zip(whole, single, strict=True):
        assert_close(ours, theirs)
    assert_close(error, np.mean(errors), "the mean of e², each before its own step")


def test_nothing_else_moves(rng):
    """Who did not rate, and was not rated, stays; a rate of 0 moves nobody; no ratings give 0."""
    parts = parameters(rng)
    after, _ = epoch([0], [0], [5], 3.0, parts)
    for ours, before in zip(after, parts, strict=True):
        assert_close(ours[1:], before[1:], "users 1 and 2, item 1")
    still, error = epoch([0, 1], [1, 0], [5, 2], 3.0, parts, rate=0.0)
    for ours, before in zip(still, parts, strict=True):
        assert_close(ours, before, "rate 0")
    assert error > 0
    none = np.empty(0, dtype=np.int64)
    assert epoch(none, none, [], 3.0, parts)[1] == 0.0


def test_without_factors_there_are_biases(rng):
    """With a size of 0 only the biases learn: users and items that are rated higher get higher ones."""
    users, items = np.divmod(np.arange(6), 2)
    model = fit_ratings(users, items, [1, 3, 2, 4, 3, 5], 0, rng, rate=0.1, l2=0.0, epochs=60)
    assert_close(predict_ratings(model, users, items), [1, 3, 2, 4, 3, 5], "an exact sum of biases", atol=0.02)
    assert_close(model.mean, 3.0)


def test_factors_learn_what_biases_cannot(rng):
    """Two users who love what the other hates: the mean is all that biases can say, and one factor says the rest."""
    users, items = np.divmod(np.arange(4), 2)
    ratings = [5.0, 1.0, 1.0, 5.0]
    model = fit_ratings(users, items, ratings, 1, rng, rate=0.1, l2=0.0, epochs=150)
    assert_close(predict_ratings(model, users, items), ratings, atol=0.1)


# --- rankings -------------------------------------------------------------------------------------------------------


def test_top_k_by_hand():
    """The highest first, without those seen; of equals the lowest number."""
    scores = np.array([[0.2, 0.9, 0.9, 0.5], [1, 1, 1, 1]])
    assert top_k(scores, 3).tolist() == [[1, 2, 3], [0, 1, 2]]
    assert top_k(scores, 2, [[0, 1, 0, 0], [1, 0, 1, 0]]).tolist() == [[2, 3], [1, 3]]


def test_top_k_is_sorted(rng):
    """For many ties and random seen items it is what sorting by score and number gives; rows are alone."""
    scores, seen = rng.integers(-3, 3, (20, 40)), rng.random((20, 40)) < 0.5
    seen[:, :5] = False
    for row, ours in enumerate(top_k(scores, 5, seen)):
        left = sorted((-scores[row, item], item) for item in range(40) if not seen[row, item])
        assert ours.tolist() == [item for _, item in left[:5]], f"user {row}"
    assert_rows_alone(lambda table: top_k(table, 5), scores.astype(float))
    assert_unchanged(top_k, scores, 5, seen)


def test_top_k_refuses_what_has_no_order():
    """Scores that are not finite, other shapes, and a k below 1 or above what is left are refused."""
    scores = np.ones((2, 3))
    assert_refuses_nonfinite(lambda table: top_k(table, 1), scores, "scores")
    assert_refuses(lambda: top_k(scores, 1, np.zeros((2, 4))), (2, 3), (2, 4))
    assert_refuses_values(lambda k: top_k(scores, k), "k", 0, -1, 4)
    assert_refuses(lambda: top_k(scores, 2, [[0, 0, 0], [1, 0, 1]]), "k", 2, message="one item left for a user")


def test_average_precision_by_hand():
    """Found at ranks 1 and 3 of four, three relevant: (1/1 + 2/3) / 3. Of a list of two: (1/1) / 2."""
    gains = np.array([[1, 0, 1, 0, 1]])
    assert_close(average_precision([[0, 1, 2, 3]], gains), [5 / 9])
    assert_close(average_precision([[0, 1]], gains), [0.5], "three are relevant, and a list of two holds two at best")


def test_average_precision_is_scikit_learns(rng):
    """For a ranking of all items it is scikit-learn's."""
    scores, gains = rng.normal(size=(9, 12)), np.eye(9, 12) + (rng.random((9, 12)) < 0.3) > 0
    expected = [metrics.average_precision_score(row, score) for row, score in zip(gains, scores, strict=True)]
    assert_close(average_precision(top_k(scores, 12), gains), expected)


def test_ndcg_by_hand():
    """Gains 0, 3, 1 in this order: 3 / log₂ 3 + 1 / 2, over the best order's 3 + 1 / log₂ 3."""
    third = 1 / np.log2(3)
    assert_close(ndcg([[2, 0, 1]], [[3, 1, 0, 0]]), [(3 * third + 0.5) / (3 + third)])
    assert_close(ndcg([[1]], [[3, 1, 0, 0]]), [1 / 3], "the best list of one has the gain 3")


def test_ndcg_is_scikit_learns(rng):
    """It is scikit-learn's at any k, for graded gains."""
    scores, gains = rng.normal(size=(6, 10)), rng.integers(0, 4, (6, 10))
    gains[:, 0] += 1
    for k in (1, 3, 10):
        expected = [metrics.ndcg_score([g], [s], k=k) for g, s in zip(gains, scores, strict=True)]
        assert_close(ndcg(top_k(scores, k), gains), expected, f"k = {k}")


def test_the_best_ranking_has_one():
    """All are from 0 to 1; the order of the gains has 1, and a ranking without a relevant item has 0."""
    gains = [2, 0, 1, 0]
    for metric in (ndcg, average_precision):
        worth = {order: metric([order], [gains])[0] for order in itertools.permutations(range(4))}
        assert 0 < min(worth.values()) < max(worth.values()) <= 1 + 1e-12, f"{metric.__name__}: {worth}"
        assert_close(worth[0, 2, 1, 3], 1.0)
        assert_close(metric([[3, 1]], [gains]), [0.0])


@pytest.mark.parametrize("metric", [ndcg, average_precision])
def test_metrics_keep_users_apart(metric, rng):
    """A user's number depends on that user's row only, nothing is changed, and booleans will do as gains."""
    rankings, gains = np.argsort(rng.random((4, 6)), axis=1)[:, :3], rng.integers(0, 3, (4, 6)) + np.eye(4, 6)
    assert_rows_alone(metric, rankings, gains)
    assert_unchanged(metric, rankings, gains)
    assert_close(metric(rankings, gains > 0), metric(rankings, (gains > 0).astype(float)))


@pytest.mark.parametrize("metric", [ndcg, average_precision])
def test_metrics_refuse_what_is_no_ranking(metric):
    """An item that is none or comes twice, gains below 0 or infinite, other shapes, nothing relevant: all refused."""
    gains = np.array([[1.0, 0, 2], [0, 1, 0]])
    assert_refuses(lambda: metric([[0, 3], [0, 1]], gains), "rankings", 3)
    assert_refuses(lambda: metric([[0, -1], [0, 1]], gains), "rankings", -1)
    assert_refuses(lambda: metric([[0, 1], [1, 1]], gains), "rankings", 1)
    assert_refuses(lambda: metric([[0, 1]], gains), (1, 2), (2, 3))
    assert_refuses(lambda: metric([[0], [1]], gains - 1), "gains", -1)
    assert_refuses(lambda: metric([[0], [1]], [[1, 0, 0], [0, 0, 0]]), "gains", 1)
    assert_refuses_nonfinite(lambda table: metric([[0], [1]], table), gains, "gains")

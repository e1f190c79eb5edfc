"""Recommend items: implicit feedback by alternating least squares, ratings by gradient descent, and ranking metrics.

    factors = als(counts, size=16, rng=rng)                # counts: how often each user took each item
    best = top_k(factors.users @ factors.items.T, 10, counts > 0)
    ndcg(best, held_out)                                   # one number a user

    model = fit_ratings(users, items, ratings, size=8, rng=rng)
    predict_ratings(model, users, items)

Users and items are numbers from 0 up. Tables are dense; a shop with millions stores what is not 0.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike


class Factors(NamedTuple):
    """A vector for each user, (n_users, size), and for each item, (n_items, size). Their products are the scores."""

    users: np.ndarray
    items: np.ndarray


class RatingModel(NamedTuple):
    """Ratings as mean + the user's bias + the item's bias + the product of their factors."""

    mean: float
    user_bias: np.ndarray
    item_bias: np.ndarray
    user_factors: np.ndarray
    item_factors: np.ndarray


# --- plain rules ----------------------------------------------------------------------------------------------------


def popularity(counts: ArrayLike) -> np.ndarray:
    """Return a score for each item, (n_items,): how many users took it at all."""
    return (_counts(counts) > 0).sum(axis=0).astype(float)


def item_cosines(counts: ArrayLike) -> np.ndarray:
    """Return how alike items are: the cosine of the sets of users who took them, at all.

    For two items it is the number of users who took both, divided by the root of the product of the numbers who took
    each. An item that nobody took is like none, not even itself: 0. Each item is unlike itself as well, so that
    `(counts > 0) @ item_cosines(counts)` scores an item by the others that a user took.

    Returns an array of shape (n_items, n_items), with a diagonal of 0. Raises ValueError as `als_step` for counts.
    """
    taken = (_counts(counts) > 0).astype(float)
    both = taken.T @ taken
    sizes = np.sqrt(np.maximum(np.diag(both), 1))
    cosines = both / np.outer(sizes, sizes)
    np.fill_diagonal(cosines, 0)
    return cosines


# --- implicit feedback ----------------------------------------------------------------------------------------------


def als_step(others: ArrayLike, counts: ArrayLike, alpha: float = 2.0, l2: float = 1.0) -> np.ndarray:
    """Return the best factors of all rows while those of the columns are held (Hu, Koren and Volinsky, 2008).

    A count above 0 means a preference of 1, else of 0, with the confidence c = 1 + alpha · count in either case. The
    factors x of a row with the preferences p minimise Σ c (p - x·y)² + l2 · |x|², over all columns with factors y:

        x = (Yᵀ diag(c) Y + l2 · I)⁻¹ Yᵀ diag(c) p

    Where nothing was counted, c is 1 and p is 0. So Yᵀ diag(c) Y is YᵀY, the same for all rows, and a sum over the few
    columns that the row took.

    Args:
        others: the columns' factors, of shape (n_columns, size).
        counts: of shape (n_rows, n_columns): users by items, or the transposed table to get the items' factors.
        alpha: how much a count adds to the confidence, at least 0.
        l2: weight of the factors' squares, above 0.

    Returns:
        The rows' factors, of shape (n_rows, size). A row that took nothing has the factors 0.

    Raises:
        ValueError: the shapes do not fit, a count is below 0 or not finite, alpha is below 0, or l2 is not above 0.
    """
    Y, counts = _others(others, counts, alpha, l2)
    shared = Y.T @ Y + l2 * np.eye(Y.shape[1])
    factors = np.zeros((len(counts), Y.shape[1]))
    for row, found in enumerate(counts):
        took = np.flatnonzero(found)
        mine, extra = Y[took], alpha * found[took]
        factors[row] = np.linalg.solve(shared + (mine.T * extra) @ mine, mine.T @ (1 + extra))
    return factors


def implicit_loss(factors: Factors, counts: ArrayLike, alpha: float = 2.0, l2: float = 1.0) -> float:
    """Return Σ c (p - x·y)² over all users and items, plus l2 times the sum of all squares: what ALS lowers."""
    counts = _counts(counts)
    errors = (counts > 0) - factors.users @ factors.items.T
    return float(((1 + alpha * counts) * errors**2).sum() + l2 * sum((part**2).sum() for part in factors))


def als(
    counts: ArrayLike,
    size: int,
    rng: np.random.Generator,
    *,
    alpha: float = 2.0,
    l2: float = 1.0,
    sweeps: int = 10,
) -> Factors:
    """Alternate, `sweeps` times: the best users for the items, the best items for the users. Items begin at random."""
    counts = _counts(counts)
    items = rng.normal(scale=0.1, size=(counts.shape[1], size))
    users = np.zeros((len(counts), size))
    for _ in range(sweeps):
        users = als_step(items, counts, alpha, l2)
        items = als_step(users, counts.T, alpha, l2)
    return Factors(users, items)


# --- ratings --------------------------------------------------------------------------------------------------------


@njit(cache=True)
def sgd_epoch(
    users: np.ndarray,
    items: np.ndarray,
    ratings: np.ndarray,
    mean: float,
    user_bias: np.ndarray,
    item_bias: np.ndarray,
    user_factors: np.ndarray,
    item_factors: np.ndarray,
    rate: float,
    l2: float,
) -> float:
    """Take one step of gradient descent for each rating, in the order given (Koren, Bell and Volinsky, 2009).

    The error e is the rating minus (mean + user's bias + item's bias + user's factors · item's factors). A step lowers
    ½ e² + ½ l2 · (the squares of both biases and of all factors that were used), by rate times its gradient at the
    values before the step:

        bias += rate · (e - l2 · bias)      factors += rate · (e · the other's factors - l2 · factors)

    Args:
        users: who rated, of shape (n_ratings,), integers.
        items: what was rated, of the same shape.
        ratings: floats of the same shape.
        mean: the mean rating, which is not changed.
        user_bias: of shape (n_users,); changed in place, as are all below.
        item_bias: of shape (n_items,).
        user_factors: of shape (n_users, size).
        item_factors: of shape (n_items, size).
        rate: the learning rate.
        l2: weight of the squares.

    Returns:
        The mean of e² over the ratings, each before its own step. No rating gives 0.
    """
    total = 0.0
    for n in range(len(ratings)):
        u, i = users[n], items[n]
        error = ratings[n] - mean - user_bias[u] - item_bias[i]
        for f in range(user_factors.shape[1]):
            error -= user_factors[u, f] * item_factors[i, f]
        total += error**2
        user_bias[u] += rate * (error - l2 * user_bias[u])
        item_bias[i] += rate * (error - l2 * item_bias[i])
        for f in range(user_factors.shape[1]):
            mine, theirs = user_factors[u, f], item_factors[i, f]
            user_factors[u, f] += rate * (error * theirs - l2 * mine)
            item_factors[i, f] += rate * (error * mine - l2 * theirs)
    return total / max(len(ratings), 1)


def fit_ratings(
    users: ArrayLike,
    items: ArrayLike,
    ratings: ArrayLike,
    size: int,
    rng: np.random.Generator,
    *,
    n_users: int | None = None,
    n_items: int | None = None,
    rate: float = 0.02,
    l2: float = 0.05,
    epochs: int = 30,
) -> RatingModel:
    """Fit biases and factors to ratings of shape (n_ratings,), in a new random order each epoch.

    With a size of 0 it is the model of biases alone. Without `n_users` and `n_items` the highest numbers set them.
    Raises ValueError for shapes that differ, no rating, one that is not finite, and a number that is out of range.
    """
    users, items, ratings = _ratings(users, items, ratings)
    counts = [_at_most(users, "users", n_users), _at_most(items, "items", n_items)]
    (b, c), (P, Q) = ([np.zeros(n) for n in counts], [rng.normal(scale=0.1, size=(n, size)) for n in counts])
    mean = float(ratings.mean())
    for _ in range(epochs):
        order = rng.permutation(len(ratings))
        sgd_epoch(users[order], items[order], ratings[order], mean, b, c, P, Q, rate, l2)
    return RatingModel(mean, b, c, P, Q)


def predict_ratings(model: RatingModel, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return the rating that the model expects of each pair, of shape (n_pairs,)."""
    products = (model.user_factors[users] * model.item_factors[items]).sum(axis=1)
    return model.mean + model.user_bias[users] + model.item_bias[items] + products


# --- rankings, and how good they are --------------------------------------------------------------------------------


def top_k(scores: ArrayLike, k: int, seen: ArrayLike | None = None) -> np.ndarray:
    """Return each user's k items with the highest scores, best first; of equal scores the lowest number first.

    Args:
        scores: finite numbers of shape (n_users, n_items).
        k: how many, at least 1.
        seen: booleans of the same shape: items that are not to be recommended.

    Returns:
        Numbers of items, of shape (n_users, k).

    Raises:
        ValueError: the shapes differ, a score is not finite, or k is below 1 or above what is left for some user.
    """
    values, hidden = _scores(scores, seen, k)
    return np.argsort(np.where(hidden, np.inf, -values), axis=1, kind="stable")[:, :k]


def recall(rankings: ArrayLike, gains: ArrayLike) -> np.ndarray:
    """Return the share of each user's relevant items that is in the ranking. Takes, and refuses, what `ndcg` does."""
    ranked, gains = _ranked(rankings, gains)
    return (ranked > 0).sum(axis=1) / (gains > 0).sum(axis=1)


def average_precision(rankings: ArrayLike, gains: ArrayLike) -> np.ndarray:
    """Return each user's average precision: the mean over the relevant items of the precision where each is found.

    The precision at rank r is the share of relevant items among the first r. Items that are not in the ranking add 0
    to the sum, which is divided by the number of relevant items, or by k, the ranking's length, where that is less.

    Takes, and refuses, what `ndcg` does, and returns numbers of shape (n_users,); their mean is called MAP.
    """
    ranked, gains = _ranked(rankings, gains)
    hits = ranked > 0
    precisions = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return (precisions * hits).sum(axis=1) / np.minimum((gains > 0).sum(axis=1), hits.shape[1])


def ndcg(rankings: ArrayLike, gains: ArrayLike) -> np.ndarray:
    """Return each user's normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002).

    The item at rank r, counted from 1, adds gain / log₂(r + 1). The sum is divided by that of the best ranking of the
    same length.

    Args:
        rankings: numbers of items, best first, of shape (n_users, k), as from `top_k`.
        gains: of shape (n_users, n_items): above 0 for relevant items, 0 for others. Booleans will do.

    Returns:
        Numbers from 0 to 1, of shape (n_users,).

    Raises:
        ValueError: the shapes do not fit, a number is no item or comes twice for a user, a gain is below 0 or not
            finite, or a user has no relevant item: leave such users out.
    """
    ranked, gains = _ranked(rankings, gains)
    discounts = 1 / np.log2(np.arange(2, ranked.shape[1] + 2))
    return (ranked @ discounts) / (-np.sort(-gains, axis=1)[:, : ranked.shape[1]] @ discounts)


# --- refusals -------------------------------------------------------------------------------------------------------


def _counts(counts: ArrayLike) -> np.ndarray:
    table = np.asarray(counts, dtype=float)
    if table.ndim != 2:
        raise ValueError(f"counts must be of shape (n_users, n_items), got {table.shape}.")
    wrong = table[~(np.isfinite(table) & (table >= 0))]
    if wrong.size:
        raise ValueError(f"counts must be finite and at least 0, got {wrong[0]}. Write 0 where nothing is known.")
    return table


def _others(others: ArrayLike, counts: ArrayLike, alpha: float, l2: float) -> tuple[np.ndarray, np.ndarray]:
    factors, table = np.asarray(others, dtype=float), _counts(counts)
    if factors.ndim != 2 or len(factors) != table.shape[1]:
        raise ValueError(f"others must hold a row for each of {table.shape[1]} columns of counts, got {factors.shape}.")
    if not 0 <= alpha < np.inf:
        raise ValueError(f"alpha must be a finite number of at least 0, got {alpha}.")
    if not 0 < l2 < np.inf:
        raise ValueError(f"l2 must be a finite number above 0, got {l2}: without it there need not be one solution.")
    return factors, table


def _ratings(users: ArrayLike, items: ArrayLike, ratings: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    who, what, values = np.asarray(users), np.asarray(items), np.asarray(ratings, dtype=float)
    if values.ndim != 1 or not values.size or not who.shape == what.shape == values.shape:
        raise ValueError(f"users, items, ratings must be of shape (n,), got {who.shape}, {what.shape}, {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError(f"ratings must be finite, got {values[~np.isfinite(values)][0]}. Leave out what is not known.")
    return who, what, values


def _at_most(numbers: np.ndarray, name: str, count: int | None) -> int:
    count = int(numbers.max()) + 1 if count is None else count
    if numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() >= count:
        wrong = numbers.min() if numbers.min() < 0 else numbers.max()
        raise ValueError(f"{name} must be integers from 0 to {count - 1}, got {wrong}. Number them first: np.unique.")
    return count


def _scores(scores: ArrayLike, seen: ArrayLike | None, k: int) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(scores, dtype=float)
    hidden = np.zeros(values.shape, dtype=bool) if seen is None else np.asarray(seen, dtype=bool)
    if values.ndim != 2 or hidden.shape != values.shape:
        raise ValueError(f"scores and seen must be of shape (n_users, n_items), got {values.shape} and {hidden.shape}.")
    if not np.isfinite(values).all():
        raise ValueError(f"scores must be finite, got {values[~np.isfinite(values)][0]}. Hide items by `seen`.")
    left = int((~hidden).sum(axis=1).min(initial=values.shape[1]))
    if not 1 <= k <= left:
        raise ValueError(f"k must be from 1 to {left}, the fewest items that are left for a user, got {k}.")
    return values, hidden


def _ranked(rankings: ArrayLike, gains: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The gains in the order of the rankings, and the gains."""
    order, worth = np.asarray(rankings), np.asarray(gains, dtype=float)
    if order.ndim != 2 or worth.ndim != 2 or len(order) != len(worth):
        raise ValueError(f"rankings and gains must have a row for each user, got {order.shape} and {worth.shape}.")
    if order.size and not (order.min() >= 0 and order.max() < worth.shape[1]):
        wrong = order.min() if order.min() < 0 else order.max()
        raise ValueError(f"rankings must be items from 0 to {worth.shape[1] - 1}, got {wrong}.")
    twice = np.sort(order, axis=1)
    if (twice[:, 1:] == twice[:, :-1]).any():
        raise ValueError(
            f"rankings must name an item once, got {twice[:, 1:][twice[:, 1:] == twice[:, :-1]][0]} twice."
        )
    if not (np.isfinite(worth) & (worth >= 0)).all():
        wrong = worth[~(np.isfinite(worth) & (worth >= 0))][0]
        raise ValueError(f"gains must be finite and at least 0, got {wrong}.")
    if not (worth > 0).any(axis=1).all():
        raise ValueError(
            f"gains must hold a relevant item for each user, got 0 only for user {(worth > 0).any(axis=1).argmin()}."
        )
    return np.take_along_axis(worth, order, axis=1), worth

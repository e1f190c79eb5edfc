# pyright: basic
"""Ways to get recommenders wrong, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.classical.recommenders.recommenders import _counts, _others, _ranked, _scores


@mistake("item_cosines", edit=("(_counts(counts) > 0).astype(float)", "_counts(counts)"))
def counts_how_often():
    """You compare the counts. Here a user took an item or did not: turn the table into 0 and 1 first."""


@mistake("item_cosines", edit=("both / np.outer(sizes, sizes)", "both / len(taken)"))
def forgets_how_popular_items_are():
    """You return shares of users who took both. Popular items are then like everything: divide by the items' sizes."""


@mistake("item_cosines", edit=("    np.fill_diagonal(cosines, 0)\n", ""))
def likes_itself_best():
    """You left the diagonal. An item would recommend itself to whoever took it: it must be 0."""


@mistake("als_step", edit=("mine.T @ (1 + extra)", "mine.T @ extra"))
def forgets_the_one_in_the_confidence():
    """On the right you have alpha · count without the 1. The confidence is 1 + alpha · count on both sides."""


@mistake(
    "als_step", edit=("shared + (mine.T * extra) @ mine", "l2 * np.eye(Y.shape[1]) + (mine.T * (1 + extra)) @ mine")
)
def ignores_what_was_not_taken():
    """You sum over the items taken only, so loving everything fits best. The others count: zeros, of confidence 1."""


@mistake("als_step", edit=("(mine.T * extra) @ mine", "mine.T @ mine"))
def forgets_the_confidence():
    """You add y yᵀ without its weight alpha · count on the left. What was taken often must weigh more."""


@mistake("als_step", edit=(" + l2 * np.eye(Y.shape[1])", ""))
def forgets_the_regularization():
    """You left l2 out. Each row's squares are part of the loss: add l2 to the diagonal."""


@mistake("sgd_epoch", edit=("rate * (error * mine - l2 * theirs)", "rate * (error * user_factors[u, f] - l2 * theirs)"))
def uses_the_user_already_moved():
    """You step the item with the user's new factor. The gradient is taken before the step: keep the old one."""


@mistake("sgd_epoch", edit=("rate * (error * theirs - l2 * mine)", "rate * error * theirs"))
def lets_users_grow():
    """You regularize the items' factors, not the users'. Both have their squares in the loss."""


@mistake("sgd_epoch", edit=(" - user_bias[u] - item_bias[i]\n", "\n"))
def forgets_the_biases():
    """Your error leaves the biases out, so they grow for ever. They are part of the prediction."""


@mistake("sgd_epoch", edit=("        item_bias[i] += rate * (error - l2 * item_bias[i])\n", ""))
def forgets_the_items_bias():
    """You never move the item's bias. Some items are rated higher by everybody."""


@mistake("top_k", edit=("np.where(hidden, np.inf, -values)", "-values"))
def recommends_what_was_seen():
    """You ignore `seen`. What a user has already would fill the list."""


@mistake("top_k", edit=("np.inf, -values)", "0.0, -values)"))
def gives_the_seen_a_score_of_zero():
    """You give seen items the score 0, which is more than a negative score. They belong behind everything."""


@mistake(
    "top_k",
    edit=(
        'np.argsort(np.where(hidden, np.inf, -values), axis=1, kind="stable")',
        'np.argsort(np.where(hidden, -np.inf, values), axis=1, kind="stable")[:, ::-1]',
    ),
)
def turns_the_order_round():
    """You sort upwards and turn the list round, ties included: of equals the highest number comes first."""


@mistake("average_precision", edit=("(precisions * hits).sum", "precisions.sum"))
def adds_the_precision_everywhere():
    """You add the precision at every rank. It counts only where a relevant item is found."""


@mistake(
    "average_precision", edit=("np.minimum((gains > 0).sum(axis=1), hits.shape[1])", "np.maximum(hits.sum(axis=1), 1)")
)
def divides_by_what_was_found():
    """You divide by the hits. Relevant items that are missing then cost nothing: divide by all that could be found."""


@mistake("ndcg", edit=("np.arange(2, ranked.shape[1] + 2)", "np.arange(1, ranked.shape[1] + 1) + 1e-9"))
def begins_at_log_of_one():
    """Your first rank is divided by log₂ 1 = 0. Rank r has log₂(r + 1)."""


@mistake("ndcg", edit=("-np.sort(-gains, axis=1)[:, : ranked.shape[1]]", "-np.sort(-ranked, axis=1)"))
def sorts_only_what_was_found():
    """You divide by the best order of the items found. The best list takes the highest gains of all items."""


@mistake(
    "ndcg",
    edit=(
        "ranked, gains = _ranked(rankings, gains)",
        "ranked, gains = ((part > 0) * 1.0 for part in _ranked(rankings, gains))",
    ),
)
def forgets_the_grades():
    """You count relevant items alike. The gains say how relevant each is."""


@variant("item_cosines")
def by_unit_columns(counts):
    """Columns of length 1 first."""
    taken = (_counts(counts) > 0).astype(float)
    lengths = np.linalg.norm(taken, axis=0)
    columns = np.divide(taken, lengths, out=np.zeros_like(taken), where=lengths > 0)
    return columns.T @ columns * (1 - np.eye(taken.shape[1]))


@variant("als_step")
def all_rows_at_once(others, counts, alpha=2.0, l2=1.0):
    """Every row's matrix in one array, without the shared part."""
    Y, counts = _others(others, counts, alpha, l2)
    weights = 1 + alpha * counts
    left = np.einsum("if,ui,ig->ufg", Y, weights, Y) + l2 * np.eye(Y.shape[1])
    right = (weights * (counts > 0)) @ Y
    return np.linalg.solve(left, right[..., None])[..., 0]


@variant("sgd_epoch")
def by_rows(users, items, ratings, mean, user_bias, item_bias, user_factors, item_factors, rate, l2):
    """Whole rows of factors."""
    total = 0.0
    for u, i, rating in zip(users, items, ratings):  # noqa: B905 (Numba's has no strict)
        mine, theirs = user_factors[u].copy(), item_factors[i].copy()
        e = rating - (mean + user_bias[u] + item_bias[i] + np.sum(mine * theirs))
        total += e * e
        user_bias[u] = (1 - rate * l2) * user_bias[u] + rate * e
        item_bias[i] = (1 - rate * l2) * item_bias[i] + rate * e
        user_factors[u] = mine + rate * (e * theirs - l2 * mine)
        item_factors[i] = theirs + rate * (e * mine - l2 * theirs)
    return total / len(ratings) if len(ratings) else 0.0


@variant("top_k")
def user_by_user(scores, k, seen=None):
    """Sorted by two keys."""
    values, hidden = _scores(scores, seen, k)
    numbers = np.arange(values.shape[1])
    rows = [np.lexsort((numbers, -row, gone))[:k] for row, gone in zip(values, hidden, strict=True)]
    return np.array(rows, dtype=int).reshape(len(values), k)


@variant("average_precision")
def hit_by_hit(rankings, gains):
    """As the definition reads."""
    ranked, gains = _ranked(rankings, gains)
    result = []
    for row, all_gains in zip(ranked, gains, strict=True):
        places = np.flatnonzero(row) + 1
        total = sum(number / place for number, place in enumerate(places, 1))
        result.append(total / min(np.count_nonzero(all_gains), len(row)))
    return np.array(result)

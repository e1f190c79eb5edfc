# pyright: basic
"""Ways to get neighbours, naive Bayes and support vectors wrong, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.classical.neighbors.neighbors import TINY, Machine, pair_step, worst_pair


@mistake("squared_distances", edit=("- 2 * A @ B.T", "- A @ B.T"))
def takes_the_product_once():
    """You take a·b away once. |a - b|² is |a|² + |b|² - 2 a·b: the product counts twice."""


@mistake("squared_distances", edit=("np.maximum(squares, 0.0)", "squares"))
def lets_squares_fall_below_0():
    """You let rounding leave a square below 0, whose root is NaN. Cut at 0."""


@mistake("squared_distances", edit=("A, B = A - centre, B - centre", "A, B = A, B"))
def stays_far_from_the_origin():
    """You do not shift the tables. Far from the origin the terms are large, and their small sum is lost in rounding."""


@mistake("squared_distances", edit=("A, B = A - centre, B - centre", "A, B = A - A.mean(axis=0), B - centre"))
def shifts_each_table_by_its_own_mean():
    """You shift each table by its own mean, which changes the distances. Shift both by the same."""


@mistake("vote_shares", edit=("1 / np.where(same, 1.0, distances)", "np.where(same, 1.0, distances)"))
def votes_by_distance_itself():
    """You give far neighbours more votes. A neighbour has 1 / distance votes."""


@mistake(
    "vote_shares",
    edit=(
        "votes = np.where(same.any(axis=1, keepdims=True), same, 1 / np.where(same, 1.0, distances))",
        "votes = 1 / (distances + 1e-3)",
    ),
)
def adds_a_little_to_each_distance():
    """You add something to every distance, so that 0 does no harm. Then those at 0 do not decide alone."""


@mistake("vote_shares", edit=("same.any(axis=1, keepdims=True)", "same.any()"))
def one_copy_silences_all_rows():
    """You look for a distance of 0 in the whole table. Each row has its own neighbours: look along the row."""


@mistake("vote_shares", edit=("shares / votes.sum(axis=1, keepdims=True)", "shares / classes.shape[1]"))
def divides_by_k():
    """You divide by the number of neighbours. By distance they have other votes than one each: divide by their sum."""


@mistake(
    "word_log_probabilities",
    edit=("counts = np.eye(n_classes)[classes].T @ X + alpha", "counts = np.eye(n_classes)[classes].T @ X + 1.0"),
)
def smooths_by_one():
    """You add 1 whatever alpha is. Add alpha."""


@mistake(
    "word_log_probabilities", edit=("counts.sum(axis=1, keepdims=True)", "(counts - alpha).sum(axis=1, keepdims=True)")
)
def forgets_alpha_below():
    """You divide by the words that were seen. Alpha was added to each: divide by the sum of the smoothed counts."""


@mistake(
    "word_log_probabilities",
    edit=("counts.sum(axis=1, keepdims=True)", "np.bincount(classes, minlength=n_classes)[:, None]"),
)
def divides_by_texts():
    """You divide by the number of texts of the class. The share of a word is among all words of the class."""


@mistake("worst_pair", edit=("rising = np.where(y > 0, alphas < C, alphas > 0)", "rising = alphas < C"))
def lets_every_alpha_rise():
    """You ask whether alpha can rise. It is y alpha that rises: where y is -1, alpha falls, and must be above 0."""


@mistake("worst_pair", edit=("np.argmin(np.where(falling, slopes, np.inf))", "np.argmin(slopes)"))
def takes_rows_that_cannot_fall():
    """You take the least slope of all rows. One whose multiplier is at its border cannot move: leave it out."""


@mistake("pair_step", edit=("- 2 * K[i, j]", "- K[i, j]"))
def curves_too_much():
    """Your curvature takes K_ij away once. It is |x_i - x_j|² in the space of the kernel: K_ii + K_jj - 2 K_ij."""


@mistake("pair_step", edit=("room_up = C - alphas[i] if y[i] > 0 else alphas[i]", "room_up = C - alphas[i]"))
def forgets_the_label_above():
    """You leave C - alpha to the row that rises, whatever its label. With y = -1 its alpha falls: its room is alpha."""


@mistake("pair_step", edit=("room_down = alphas[j] if y[j] > 0 else C - alphas[j]", "room_down = alphas[j]"))
def forgets_the_label_below():
    """You leave alpha to the row that falls, whatever its label. With y = -1 its alpha rises: its room is C - alpha."""


@mistake("smo", edit=("slopes -= t * (K[i] - K[j])", "slopes -= t * (y[i] * K[i] - y[j] * K[j])"))
def multiplies_by_the_labels_twice():
    """You multiply the rows of the kernel by the labels. y alpha has changed by t already, whatever y is."""


@mistake("smo", edit=("float(slopes[i] + slopes[j]) / 2", "float(slopes.mean())"))
def takes_the_mean_of_all_slopes():
    """Your bias is the mean of all slopes, those of outliers included. It is the middle between the last pair's."""


@mistake(
    "smo",
    edit=("alphas[j] = np.clip(alphas[j] - y[j] * t, 0.0, C)", "alphas[j] = np.clip(alphas[j] + y[j] * t, 0.0, C)"),
)
def breaks_the_sum():
    """Your second multiplier moves the wrong way, so sum(alpha y) changes. Where one y alpha rises, the other falls."""


@variant("squared_distances")
def through_all_differences(A, B):
    """All differences at once: more memory, no cancellation."""
    return np.sum((A[:, None] - B[None]) ** 2, axis=2)


@variant("vote_shares")
def row_by_row(distances, classes, n_classes, weights="uniform"):
    """A loop over the rows."""
    shares = np.zeros((len(distances), n_classes))
    for row, (far, kind) in enumerate(zip(distances, classes, strict=True)):
        if weights == "uniform":
            votes = np.ones(len(far))
        elif (far == 0).any():
            votes = (far == 0).astype(float)
        else:
            votes = 1 / far
        shares[row] = np.bincount(kind, weights=votes, minlength=n_classes) / votes.sum()
    return shares


@variant("word_log_probabilities")
def class_by_class(X, classes, n_classes, alpha):
    """The rows of each class added up in a loop."""
    sums = np.array([X[classes == number].sum(axis=0) for number in range(n_classes)]) + alpha
    return np.log(sums / sums.sum(axis=1)[:, None])


@variant("worst_pair")
def by_lists_of_rows(y, alphas, slopes, C):
    """Rows that can move, then the best of them."""
    signed = y * alphas
    up = np.flatnonzero(signed < np.where(y > 0, C, 0.0))
    down = np.flatnonzero(signed > np.where(y > 0, 0.0, -C))
    return up[slopes[up].argmax()], down[slopes[down].argmin()]


@variant("smo")
def with_fresh_slopes(K, y, C, *, tol=1e-3, max_steps=100_000):
    """Slopes computed anew in each round."""
    alphas, steps = np.zeros(len(y)), 0
    while True:
        slopes = y - K @ (alphas * y)
        i, j = worst_pair(y, alphas, slopes, C)
        gap = slopes[i] - slopes[j]
        if gap <= tol or steps >= max_steps:
            return Machine(alphas, (slopes[i] + slopes[j]) / 2, steps, gap)
        t = pair_step(i, j, K, y, alphas, slopes, C)
        alphas[i], alphas[j] = np.clip(alphas[i] + y[i] * t, 0.0, C), np.clip(alphas[j] - y[j] * t, 0.0, C)
        steps += 1


@variant("pair_step")
def by_a_cut(i, j, K, y, alphas, slopes, C):
    """The top of the parabola, cut to the borders."""
    top = (slopes[i] - slopes[j]) / np.maximum(K[i, i] - K[i, j] - K[j, i] + K[j, j], TINY)
    rooms = [C - alphas[i] if y[i] == 1 else alphas[i], alphas[j] if y[j] == 1 else C - alphas[j]]
    return float(np.clip(top, 0.0, min(rooms)))

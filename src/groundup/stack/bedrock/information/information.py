"""Information: how uncertain is a value, how wrong is a model of it, and which other value tells most about it?

    entropy([0.5, 0.25, 0.25])                      # 1.5 bits: yes-or-no questions that a value costs
    kl_divergence(truth, model)                     # bits lost by believing the model
    js_divergence(last_week, today)                 # the same for two equals: symmetric, never infinite
    mutual_information(count_pairs(level, alert))   # bits that the level tells about the alert
    excess_information(count_pairs(level, alert))   # the same, less what chance alone would tell
    perplexity(log_probabilities)                   # equally probable tokens that the model chooses among

Distributions lie along the last axis, of shape (..., n), and sum to 1. Results are in bits unless `base` says
otherwise: `base=math.e` gives nats. Values are such as can be counted; `kl_normal` alone is about densities.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

ROUNDING = 1e-6  # by which the sum of a distribution may differ from 1: float32 is welcome

# --- distributions --------------------------------------------------------------------------------------------------


def entropy(p: ArrayLike, base: float = 2.0) -> np.ndarray:
    """Return the mean surprise -Σ p log p of distributions of shape (..., n), as shape (...) (Shannon, 1948).

    A value without probability adds nothing: p log p tends to 0.

    Raises:
        ValueError: a number below 0 or not finite, a sum that is not 1, or a base that is not above 1.
    """
    chances = _distribution(p, "p")
    return np.abs(special.xlogy(chances, chances).sum(axis=-1)) / _log(base)  # no -0.0


def cross_entropy(p: ArrayLike, q: ArrayLike, base: float = 2.0) -> np.ndarray:
    """Return -Σ p log q: the mean surprise of a model q where p is true. It is infinite where q rules out what occurs.

    Shapes (..., n) broadcast. It is the loss of a classifier, p the labels and q the predictions. Raises as `entropy`.
    """
    return -special.xlogy(_distribution(p, "p"), _distribution(q, "q")).sum(axis=-1) / _log(base)


def kl_divergence(p: ArrayLike, q: ArrayLike, base: float = 2.0) -> np.ndarray:
    """Return Σ p log(p / q): the surprise that is due to believing q where p is true (Kullback and Leibler, 1951).

    It is infinite where q rules out a value that p allows, and ignores values that p rules out. It is never below 0,
    rounding included. No quotient overflows: logarithms are subtracted. Shapes (..., n) broadcast.

    Raises:
        ValueError: as `entropy`, for p and for q.
    """
    truth, belief = _distribution(p, "p"), _distribution(q, "q")
    lost = special.xlogy(truth, truth) - special.xlogy(truth, belief)
    return np.maximum(lost.sum(axis=-1), 0.0) / _log(base)


def js_divergence(p: ArrayLike, q: ArrayLike, base: float = 2.0) -> np.ndarray:
    """Return the mean of both divergences from the mean of both distributions (Lin, 1991).

    With m = (p + q) / 2 it is (KL(p, m) + KL(q, m)) / 2. Both orders give the same. It is 0 for equal distributions and
    at most 1 bit, for those that share no value. Shapes (..., n) broadcast. Its square root is a distance, and what
    SciPy's `jensenshannon` gives.

    Raises:
        ValueError: as `entropy`, for p and for q.
    """
    first, second = _distribution(p, "p"), _distribution(q, "q")
    middle = (first + second) / 2
    return (kl_divergence(first, middle, base) + kl_divergence(second, middle, base)) / 2


def kl_normal(mean_p: float, std_p: float, mean_q: float, std_q: float, base: float = 2.0) -> float:
    """Return the divergence of a normal distribution p from another, q, in closed form.

    In nats it is log(std_q / std_p) + (std_p² + (mean_p - mean_q)²) / (2 std_q²) - 1/2. Deviations are above 0.
    """
    if not (0 < std_p < math.inf and 0 < std_q < math.inf):
        raise ValueError(f"std_p and std_q must be finite and above 0, got {std_p} and {std_q}.")
    ratio = std_p / std_q
    return (-math.log(ratio) + (ratio**2 + ((mean_p - mean_q) / std_q) ** 2 - 1) / 2) / _log(base)


# --- two columns ----------------------------------------------------------------------------------------------------


def count_pairs(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Return how often each value of x meets each of y: counts of shape (values of x, values of y), both sorted.

    The columns have one shape, and labels of any kind that can be sorted.
    """
    rows, columns = np.asarray(x), np.asarray(y)
    if rows.shape != columns.shape or rows.size == 0:
        raise ValueError(f"x and y must have one shape and at least one value, got {rows.shape} and {columns.shape}.")
    kinds_x, i = np.unique(rows, return_inverse=True)
    kinds_y, j = np.unique(columns, return_inverse=True)
    pairs = i.ravel() * kinds_y.size + j.ravel()
    return np.bincount(pairs, minlength=kinds_x.size * kinds_y.size).reshape(kinds_x.size, kinds_y.size)


def mutual_information(table: ArrayLike, base: float = 2.0) -> float:
    """Return Σ p(x, y) log(p(x, y) / (p(x) p(y))): what each of two values tells about the other.

    It is the divergence of the pairs from pairs of independent values with the same margins. The table has the shape
    (n, m) and holds counts or probabilities; only their shares matter. Rows and columns of zeros change nothing.
    From counts it is too large: see `expected_information`.

    Raises:
        ValueError: a table of other than two axes, a number below 0 or not finite, zeros only, or a bad base.
    """
    counts = _table(table)
    joint = counts / counts.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    return float(kl_divergence(joint.ravel(), independent.ravel(), base))


def expected_information(table: ArrayLike, base: float = 2.0) -> float:
    """Return the mutual information that chance alone gives: its mean over all pairings of the same two columns.

    Shuffle one column: the margins a_i and b_j of the table stay, and a cell holds n with hypergeometric probability
    (`_hypergeometric`). Such a cell adds n/N log(N n / (a_i b_j)). Sum over n from 1 on, over rows and over columns
    (Vinh, Epps and Bailey, 2010). A column in which every value occurs once tells as much by chance as it can tell.
    The table holds counts, of shape (n, m). The cost grows with the number of *different* margins.

    Raises:
        ValueError: as `mutual_information`, or counts that are no whole numbers.
    """
    counts = _table(table)
    _whole(counts)
    total, information = counts.sum(), 0.0
    columns = np.transpose(np.unique(counts.sum(axis=0), return_counts=True))
    for a, alike in np.transpose(np.unique(counts.sum(axis=1), return_counts=True)):
        for b, times in columns:
            n = np.arange(1, min(a, b) + 1)
            gains = n / total * np.log(n * total / (a * b))
            information += alike * times * (_hypergeometric(n, a, b, total) * gains).sum()
    return float(information / _log(base))


def excess_information(table: ArrayLike, base: float = 2.0) -> float:
    """Return the mutual information less the expected one: 0 in the mean for columns that are unrelated."""
    return mutual_information(table, base) - expected_information(table, base)


def joined(*columns: ArrayLike) -> np.ndarray:
    """Return one column of whole numbers, equal where all the columns are: several features as one."""
    numbers = [np.unique(np.asarray(column), return_inverse=True)[1].ravel() for column in columns]
    if not numbers or len({column.size for column in numbers}) > 1:
        raise ValueError(f"columns must be one or more of one length, got lengths {[c.size for c in numbers]}.")
    return np.unique(np.stack(numbers), axis=1, return_inverse=True)[1].ravel()


def conditional_information(x: ArrayLike, y: ArrayLike, given: ArrayLike, base: float = 2.0) -> float:
    """Return I(x; y | given): what x tells about y to one who knows `given` already.

    It is I(x and given; y) - I(given; y). It is 0 for a column that repeats `given`, and may exceed I(x; y).
    """
    both = mutual_information(count_pairs(joined(x, given), joined(y)), base)
    return max(both - mutual_information(count_pairs(joined(given), joined(y)), base), 0.0)


# --- models of text -------------------------------------------------------------------------------------------------


def perplexity(log_probabilities: ArrayLike) -> float:
    """Return exp(-mean log p) of the tokens that occurred: among how many equal choices the model hesitates.

    Natural logarithms come in, in any shape, and all tokens count alike. A token that the model ruled out (-inf) makes
    it infinite, without a warning. It is one over the geometric mean of the probabilities; a product would underflow.

    Raises:
        ValueError: no token, NaN, or a logarithm above 0.
    """
    logs = _log_probabilities(log_probabilities)
    with np.errstate(over="ignore"):
        return float(np.exp(-logs.mean()))


def bits_per_byte(log_probabilities: ArrayLike, size: int) -> float:
    """Return the bits that a model needs for each of the text's `size` bytes, whatever its tokens are."""
    if size < 1:
        raise ValueError(f"size must be at least 1 byte, got {size}.")
    return float(-_log_probabilities(log_probabilities).sum() / math.log(2) / size)


# --- refusals and plumbing ------------------------------------------------------------------------------------------


def _log(base: float) -> float:
    if not 1 < base < math.inf:
        raise ValueError(f"base must be a finite number above 1, got {base}. Take 2 for bits, math.e for nats.")
    return math.log(base)


def _not_negative(values: ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    wrong = array[~((array >= 0) & (array < np.inf))]
    if wrong.size:
        raise ValueError(f"{name} must hold finite numbers from 0 on, got {wrong[0]}.")
    return array


def _distribution(values: ArrayLike, name: str) -> np.ndarray:
    array = _not_negative(values, name)
    if array.ndim == 0:
        raise ValueError(f"{name} must have the shape (..., n), got the single number {array}.")
    sums = array.sum(axis=-1)
    wrong = sums[~(np.abs(sums - 1) <= ROUNDING)]
    if wrong.size:
        raise ValueError(f"{name} must sum to 1 along the last axis, got {wrong[0]}. Divide counts by their sum.")
    return array


def _table(values: ArrayLike) -> np.ndarray:
    array = _not_negative(values, "table")
    if array.ndim != 2 or not 0 < array.sum() < np.inf:
        shown = f"shape {array.shape}" if array.ndim != 2 else f"the sum {array.sum()}"
        raise ValueError(f"table must have two axes and a finite sum above 0, got {shown}. See count_pairs.")
    return array


def _whole(counts: np.ndarray) -> None:
    wrong = counts[counts != np.floor(counts)]
    if wrong.size:
        raise ValueError(f"table must hold whole counts, got {wrong[0]}: chance depends on how many there are.")


def _log_probabilities(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    wrong = array[~(array <= 0)]
    if array.size == 0 or wrong.size:
        shown = f"{wrong[0]}" if wrong.size else f"shape {array.shape}"
        raise ValueError(f"log_probabilities must be one or more natural logarithms of at most 0, got {shown}.")
    return array


def _hypergeometric(n: np.ndarray, a: float, b: float, total: float) -> np.ndarray:
    """The probability that a places and b places, chosen independently among `total`, have n in common."""
    log_choose = lambda m, k: special.gammaln(m + 1) - special.gammaln(k + 1) - special.gammaln(m - k + 1)  # noqa: E731
    return np.exp(log_choose(a, n) + log_choose(total - a, b - n) - log_choose(total, b))

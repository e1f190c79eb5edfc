"""Inference: is a difference more than chance, how large is it, and how much must be measured to see it?

    welch_t(new, old).p_value("greater")                # how often chance alone makes the new one that much slower
    welch_t(new, old).interval()                        # by how much it is slower
    permutation_test(new, old, rng)                     # the same question without a formula
    bootstrap_interval(new, statistic=f, rng=rng)       # an interval for any statistic
    sample_size(0.3)                                    # how much to measure to see 0.3 deviations
    benjamini_hochberg(p_values) < 0.05                 # findings among many tests, one in twenty of them false

Every value in a sample is taken as independent of the others. Where they are not, no function here knows.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

Statistic = Callable[..., np.ndarray]
LARGEST = 1e75  # Welch's degrees of freedom take fourth powers, and that of a larger number may be no float
ROUNDING = 1e-12  # relative difference below which two statistics are one that was rounded twice
CELLS = 1_000_000  # numbers drawn at a time

# --- means ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TTest:
    """A difference, its standard error, and the degrees of freedom of that error."""

    difference: float
    standard_error: float
    df: float

    @property
    def statistic(self) -> float:
        """The difference in standard errors."""
        return self.difference / self.standard_error

    def p_value(self, alternative: str = "two-sided") -> float:
        """Return how often a difference at least this large comes by chance; "greater" and "less" look at one side."""
        less, greater = special.stdtr(self.df, [self.statistic, -self.statistic])
        return _p_value(less, greater, alternative)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the ends of all differences that a two-sided test at level 1 - confidence does not refuse."""
        _share(confidence=confidence)
        reach = self.standard_error * float(special.stdtrit(self.df, (1 + confidence) / 2))
        return self.difference - reach, self.difference + reach


def one_sample_t(values: ArrayLike, mean: float = 0.0) -> TTest:
    """Compare the mean of the values with a given one. For pairs, give the differences within the pairs."""
    (sample,) = _varying(values=_sample(values, "values", 2))
    shifted, n = sample - sample[0], sample.size
    return TTest(float(shifted.mean() + (sample[0] - mean)), float(shifted.std(ddof=1)) / math.sqrt(n), n - 1)


def welch_t(a: ArrayLike, b: ArrayLike) -> TTest:
    """Compare two means, mean(a) - mean(b), without assuming equal variances (Welch, 1947).

    The squared error s of a mean is its variance (with n - 1) over n, and the two add up. The degrees of freedom are
    Satterthwaite's, (s_a + s_b)² / (s_a² / (n_a - 1) + s_b² / (n_b - 1)). The difference keeps its digits however far
    the values are from 0: a common value is subtracted first. The samples have any shape; sizes may differ.

    Raises:
        ValueError: fewer than two values, one that is not finite or above 1e75 in size, or no variation in both.
    """
    first, second = _varying(a=_sample(a, "a", 2), b=_sample(b, "b", 2))
    origin = first[0]
    first, second = first - origin, second - origin
    error_a, error_b = first.var(ddof=1) / first.size, second.var(ddof=1) / second.size
    squared = error_a + error_b
    df = squared**2 / (error_a**2 / (first.size - 1) + error_b**2 / (second.size - 1))
    return TTest(float(first.mean() - second.mean()), math.sqrt(squared), float(df))


@dataclass(frozen=True)
class Anova:
    """Sums of squares between the means of groups and within the groups, and the degrees of freedom of both."""

    between: float
    within: float
    df_between: int
    df_within: int

    @property
    def statistic(self) -> float:
        """F, the quotient of the two mean squares."""
        return (self.between / self.df_between) / (self.within / self.df_within)

    @property
    def p_value(self) -> float:
        """How often chance alone makes F at least this large."""
        return float(special.fdtrc(self.df_between, self.df_within, self.statistic))


def one_way_anova(*groups: ArrayLike) -> Anova:
    """Compare the means of several groups (Fisher, 1925), assuming equal variances.

    Between: squares of the group means about the mean of all, each times the group's size; groups - 1 degrees of
    freedom. Within: squares of the values about their group's mean; values - groups. The mean of all is subtracted from
    every value first. That subtraction is right to half a unit in the last place, so a large common part costs no
    digit; Σx² - (Σx)² / n loses them all. Groups have any shape and at least one value.

    Raises:
        ValueError: fewer than two groups, an empty one, a value that is not finite or above 1e75 in size, or no
            variation within any group, where F is infinite.
    """
    if len(groups) < 2:
        raise ValueError(f"groups must be at least 2, got {len(groups)}.")
    samples = _varying(**{f"groups[{k}]": _sample(group, f"groups[{k}]", 1) for k, group in enumerate(groups)})
    origin = np.concatenate(samples).mean()
    samples = [sample - origin for sample in samples]
    sizes = np.array([sample.size for sample in samples])
    means = np.array([sample.mean() for sample in samples])
    middle = (sizes * means).sum() / sizes.sum()
    between = (sizes * (means - middle) ** 2).sum()
    within = sum(((sample - sample.mean()) ** 2).sum() for sample in samples)
    return Anova(float(between), float(within), len(samples) - 1, sum(map(len, samples)) - len(samples))


def chi_square(table: ArrayLike) -> tuple[float, int, float]:
    """Return statistic, degrees of freedom and p-value of the independence of rows and columns (Pearson, 1900).

    The p-value is rough where a count below 5 is expected. A row or column of zeros is refused.
    """
    counts = np.asarray(table, dtype=float)
    if counts.ndim != 2 or min(counts.shape) < 2 or not (counts >= 0).all():
        raise ValueError(f"table must hold two rows and columns or more of counts from 0 on, got {table}.")
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    if min(rows.min(), columns.min()) == 0:
        raise ValueError(f"table must have no row or column of zeros: leave it out, got {table}.")
    expected = np.outer(rows, columns) / counts.sum()
    statistic, df = float(((counts - expected) ** 2 / expected).sum()), (rows.size - 1) * (columns.size - 1)
    return statistic, df, float(special.chdtrc(df, statistic))


# --- without a formula ----------------------------------------------------------------------------------------------


def mean_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return mean(a) - mean(b) along the last axis."""
    return a.mean(axis=-1) - b.mean(axis=-1)


def studentised(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Welch's statistic along the last axis; 0 where neither difference nor variation is left.

    Permuted in large samples, it tests means where variances differ; the plain difference does not (Janssen, 1997).
    """
    error = np.sqrt(a.var(axis=-1, ddof=1) / a.shape[-1] + b.var(axis=-1, ddof=1) / b.shape[-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(mean_difference(a, b) / error, nan=0.0, posinf=np.inf, neginf=-np.inf)


def permutation_test(
    a: ArrayLike,
    b: ArrayLike,
    rng: np.random.Generator,
    statistic: Statistic = mean_difference,
    permutations: int = 9_999,
    alternative: str = "two-sided",
) -> float:
    """Return how often a random division of the same values makes the statistic at least as large.

    If both samples come of one distribution, all divisions are equally probable. Where there are at most `permutations`
    of them, all are tried: the result is exact. Else so many are drawn, and the observed one counts as one more,
    (k + 1) / (permutations + 1): a p-value is never 0 (Phipson and Smyth, 2010). Statistics equal but for rounding tie.
    The statistic takes arrays of shape (..., n_a) and (..., n_b), and gives one of shape (...). The alternative is
    "greater" (a above b), "less", or "two-sided": twice the smaller of both, at most 1.

    Raises:
        ValueError: a sample as `welch_t` refuses it, no permutations, or an unknown alternative.
    """
    first, second = _varying(a=_sample(a, "a", 2), b=_sample(b, "b", 2))
    _at_least(1, permutations=permutations)
    n, pool = first.size, np.concatenate([first, second])
    exact = math.comb(pool.size, n) <= permutations
    batches = _divisions(pool, n) if exact else _shuffles(pool, permutations, rng)
    null = np.concatenate([statistic(rows[:, :n], rows[:, n:]) for rows in batches])
    observed = statistic(first, second)
    tied, itself = _tied(null, observed), 0 if exact else 1
    less, greater = ((null < observed) | tied).sum() + itself, ((null > observed) | tied).sum() + itself
    return _p_value(less / (null.size + itself), greater / (null.size + itself), alternative)


def bca_interval(
    estimate: float, replicates: ArrayLike, influence: ArrayLike, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the ends of the bias-corrected and accelerated bootstrap interval (Efron, 1987).

    They are quantiles of the replicates, at corrected levels. Bias: z0 is the normal quantile of the share of
    replicates below the estimate, ties counted half. Skewness: the acceleration is Σu³ / (6 (Σu²)^1.5) over the
    influence u of each value, 0 where none has any. A level's normal quantile z becomes
    z0 + (z0 + z) / (1 - acceleration (z0 + z)). Replicates have the shape (resamples,), influence (n,).

    Raises:
        ValueError: confidence is no such number, or all replicates lie on one side of the estimate.
    """
    _share(confidence=confidence)
    draws, moves = np.asarray(replicates), np.asarray(influence, dtype=float)
    below = ((draws < estimate).mean() + (draws <= estimate).mean()) / 2
    if below in (0, 1):
        raise ValueError(f"replicates must lie on both sides of the estimate, got all on one of {estimate}: draw more.")
    bias, squares = special.ndtri(below), (moves**2).sum()
    acceleration = (moves**3).sum() / (6 * squares**1.5) if squares > 0 else 0.0
    z = bias + special.ndtri([(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = np.quantile(draws, special.ndtr(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


def bootstrap_interval(
    *samples: ArrayLike,
    statistic: Statistic,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 9_999,
) -> tuple[float, float]:
    """Return the `bca_interval` of a statistic of one or more samples, resampled each by itself.

    The statistic takes an array of shape (..., n) for each sample, and gives one of shape (...). Influence is the
    jackknife's: (n - 1) / n times what leaving a value out takes away, less the mean. Samples need 2 values each.
    """
    _at_least(1, resamples=resamples)
    arrays = [_sample(sample, f"samples[{k}]", 2) for k, sample in enumerate(samples)]
    batches = _batches(resamples, sum(array.size for array in arrays))
    replicates = [statistic(*(x[rng.integers(x.size, size=(rows, x.size))] for x in arrays)) for rows in batches]
    influence: list[np.ndarray] = []
    for k, left in enumerate(arrays):
        n = left.size
        others = [np.broadcast_to(x, (n, x.size)) for x in arrays]
        others[k] = np.broadcast_to(left, (n, n))[~np.eye(n, dtype=bool)].reshape(n, n - 1)
        without = statistic(*others)
        influence.append((without.mean() - without) * (n - 1) / n)
    return bca_interval(float(statistic(*arrays)), np.concatenate(replicates), np.concatenate(influence), confidence)


# --- power, and many tests ------------------------------------------------------------------------------------------


def power(effect: float, n_a: int, n_b: int, alpha: float = 0.05) -> float:
    """Return the probability that a two-sided t-test finds a difference of `effect` standard deviations.

    Student's statistic then has the noncentral t distribution with n_a + n_b - 2 degrees of freedom and the centre
    effect / √(1/n_a + 1/n_b). It is found beyond the critical value on either side. The effect (Cohen's d) may have
    either sign. Variances are taken as equal.

    Raises:
        ValueError: fewer than 2 values in a sample, alpha not between 0 and 1, or an effect that is not finite.
    """
    _share(alpha=alpha)
    _at_least(2, n_a=n_a, n_b=n_b)
    _at_least(0, effect=abs(effect))
    df, centre = n_a + n_b - 2, abs(effect) / math.sqrt(1 / n_a + 1 / n_b)
    critical = special.stdtrit(df, 1 - alpha / 2)
    below, above = np.nan_to_num(special.nctdtr(df, centre, [-critical, critical]))  # SciPy gives NaN for nearly 0
    return float(1 - above + below)


def sample_size(effect: float, wanted: float = 0.8, alpha: float = 0.05) -> int:
    """Return the smallest size of each of two samples whose `power` is at least `wanted`, for effects from 0.001 on."""
    _share(wanted=wanted)
    _at_least(0.001, effect=abs(effect))
    low, high = 1, 2
    while power(effect, high, high, alpha) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if power(effect, middle, middle, alpha) < wanted else (low, middle)
    return high


def benjamini_hochberg(p_values: ArrayLike) -> np.ndarray:
    """Return adjusted p-values: of those below q a share of at most q is false, in the mean.

    The k-th smallest of m becomes the smallest of p_j m / j over all j ≥ k, so that order is kept (Benjamini and
    Hochberg, 1995). The promise holds for tests that are independent or positively dependent. The result has the
    shape of p_values. A number that is no probability is refused.
    """
    p = np.asarray(p_values, dtype=float)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p_values must lie between 0 and 1, got {p}.")
    order = np.argsort(p, axis=None)[::-1]  # the largest first
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum.accumulate(p.ravel()[order] * p.size / np.arange(p.size, 0, -1))
    return adjusted.reshape(p.shape)


# --- refusals and plumbing ------------------------------------------------------------------------------------------


def _sample(values: ArrayLike, name: str, least: int) -> np.ndarray:
    array = np.asarray(values, dtype=float).ravel()
    if array.size < least:
        raise ValueError(f"{name} must hold at least {least} value(s), got shape {np.shape(values)}.")
    wrong = array[~(np.abs(array) <= LARGEST)]
    if wrong.size:
        raise ValueError(f"{name} must hold finite numbers of at most {LARGEST} in size, got {wrong[0]}.")
    return array


def _varying(**samples: np.ndarray) -> list[np.ndarray]:
    if all(np.ptp(sample) == 0 for sample in samples.values()):
        shown = " and ".join(f"{name} of {sample[0]} only" for name, sample in samples.items())
        raise ValueError(f"values must vary within a sample, got {shown}: without variation chance has no size.")
    return list(samples.values())


def _share(**parameters: float) -> None:
    for name, value in parameters.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}.")


def _at_least(least: float, **parameters: float) -> None:
    for name, value in parameters.items():
        if not least <= value < np.inf:
            raise ValueError(f"{name} must be a finite number of at least {least} in size, got {value}.")


def _p_value(less: float, greater: float, alternative: str) -> float:
    sides = {"less": less, "greater": greater, "two-sided": min(1.0, 2 * min(less, greater))}
    if alternative not in sides:
        raise ValueError(f"alternative must be one of {', '.join(sides)}, got {alternative!r}.")
    return float(sides[alternative])


def _batches(count: int, width: int) -> Iterator[int]:
    most = max(1, CELLS // width)
    return (min(most, count - start) for start in range(0, count, most))


def _divisions(pool: np.ndarray, n: int) -> Iterator[np.ndarray]:
    """Every division of the pool, once: a row each, with the n chosen values in front."""
    chosen = np.ones((math.comb(pool.size, n), pool.size), dtype=bool)
    np.put_along_axis(chosen, np.array(list(combinations(range(pool.size), n))), False, axis=1)
    yield pool[np.argsort(chosen, axis=1, kind="stable")]


def _shuffles(pool: np.ndarray, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    return (rng.permuted(np.broadcast_to(pool, (rows, pool.size)), axis=1) for rows in _batches(count, pool.size))


def _tied(null: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Which of the null are equal to the observed statistic but for rounding."""
    return np.isclose(null, observed, rtol=ROUNDING, atol=ROUNDING * np.median(np.abs(null)))

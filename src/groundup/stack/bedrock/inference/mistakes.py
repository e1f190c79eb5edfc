# pyright: basic
"""Ways to get inference wrong, and right ways that differ."""

import math

import numpy as np
from scipy import special

from groundup.anatomy import mistake, variant
from groundup.stack.bedrock.inference.inference import (
    Anova,
    TTest,
    _at_least,
    _p_value,
    _sample,
    _share,
    _shuffles,
    _tied,
    _varying,
    mean_difference,
)


@mistake(
    "welch_t",
    edit=(
        "df = squared**2 / (error_a**2 / (first.size - 1) + error_b**2 / (second.size - 1))",
        "df = first.size + second.size - 2",
    ),
)
def keeps_students_degrees():
    """You use n_a + n_b - 2 degrees of freedom. They suit equal variances; Satterthwaite's need none."""


@mistake(
    "welch_t", edit=("first.var(ddof=1) / first.size, second.var(ddof=1)", "first.var() / first.size, second.var()")
)
def divides_by_n():
    """You divide squares by n: that is the variance about the sample's own mean, and too small. Divide by n - 1."""


@mistake("welch_t")
def pools_the_variances(a, b):
    """You pool the variances: that is Student's test, which is wrong where the smaller sample varies more."""
    first, second = _varying(a=_sample(a, "a", 2), b=_sample(b, "b", 2))
    origin = first[0]
    first, second = first - origin, second - origin
    df = first.size + second.size - 2
    pooled = (first.var() * first.size + second.var() * second.size) / df
    error_a, error_b = pooled / first.size, pooled / second.size
    df = (error_a + error_b) ** 2 / (error_a**2 / (first.size - 1) + error_b**2 / (second.size - 1))
    return TTest(float(first.mean() - second.mean()), math.sqrt(error_a + error_b), float(df))


@mistake("welch_t", edit=("first, second = first - origin, second - origin", ""))
def loses_the_digits_of_the_difference():
    """You take means of large numbers with a common part. Subtract a common value first, and the digits stay."""


@mistake("one_way_anova")
def squares_first(*groups):
    """You take Σx² - (Σx)²/n: two large numbers whose digits cancel. Take squares about the mean."""
    if len(groups) < 2:
        raise ValueError(f"groups must be at least 2, got {len(groups)}.")
    samples = _varying(**{f"groups[{k}]": _sample(group, f"groups[{k}]", 1) for k, group in enumerate(groups)})
    n = sum(sample.size for sample in samples)
    parts = sum(sample.sum() ** 2 / sample.size for sample in samples)
    between = parts - sum(sample.sum() for sample in samples) ** 2 / n
    within = sum((sample**2).sum() for sample in samples) - parts
    return Anova(float(between), float(within), len(samples) - 1, n - len(samples))


@mistake("one_way_anova", edit=("samples = [sample - origin for sample in samples]", ""))
def sums_far_from_zero():
    """Your means are rounded at the size of the values, and so are the squares. Subtract the mean of all first."""


@mistake("one_way_anova", edit=("middle = (sizes * means).sum() / sizes.sum()", "middle = means.mean()"))
def takes_the_mean_of_means():
    """You take the mean of the group means. Groups differ in size: the mean of all values weighs them."""


@mistake(
    "one_way_anova", edit=("between = (sizes * (means - middle) ** 2).sum()", "between = ((means - middle) ** 2).sum()")
)
def counts_each_group_once():
    """You count each group once. Its squared distance stands for every value in it: times the size."""


@mistake("permutation_test", edit=("0 if exact else 1", "0"))
def forgets_the_observed_division():
    """Your p-value can be 0. The observed division is one of those possible: count it with those drawn."""


@mistake("permutation_test", edit=("exact = math.comb(pool.size, n) <= permutations", "exact = False"))
def always_draws():
    """You draw where all divisions could be tried. With few values try each once: the p-value is then exact."""


@mistake("permutation_test", edit=("tied, itself = _tied(null, observed)", "tied, itself = null == observed"))
def misses_ties():
    """You compare floats by `==`. Equal sums in another order differ in the last digit: use `_tied`."""


@mistake("permutation_test")
def resamples(a, b, rng, statistic=mean_difference, permutations=9_999, alternative="two-sided"):
    """You draw with replacement. A permutation deals the same values again, each exactly once."""
    first, second = _varying(a=_sample(a, "a", 2), b=_sample(b, "b", 2))
    _at_least(1, permutations=permutations)
    pool = np.concatenate([first, second])
    rows = pool[rng.integers(pool.size, size=(permutations, pool.size))]
    null, observed = statistic(rows[:, : first.size], rows[:, first.size :]), statistic(first, second)
    tied = _tied(null, observed)
    less, greater = ((null < observed) | tied).sum() + 1, ((null > observed) | tied).sum() + 1
    return _p_value(float(less / (permutations + 1)), float(greater / (permutations + 1)), alternative)


@mistake("bca_interval", edit=("bias, squares = special.ndtri(below)", "bias, squares = 0.0"))
def ignores_the_bias():
    """You leave the bias out: where more replicates lie above the estimate than below, both levels must move."""


@mistake("bca_interval", edit=("(moves**3).sum() / (6 * squares**1.5) if squares > 0 else 0.0", "0.0"))
def ignores_the_skewness():
    """You leave the acceleration out: a statistic whose error grows with its value needs a longer upper arm."""


@mistake(
    "bca_interval", edit=("special.ndtr(bias + z / (1 - acceleration * z))", "special.ndtr(z / (1 - acceleration * z))")
)
def adds_the_bias_once():
    """You add the bias once. It counts twice: inside the quotient, and once more outside."""


@mistake("power", edit=("math.sqrt(1 / n_a + 1 / n_b)", "math.sqrt(2 / (n_a + n_b))"))
def takes_the_sizes_as_equal():
    """Your centre takes the total only. The smaller sample limits what you see: √(1/n_a + 1/n_b)."""


@mistake("power", edit=("1 - alpha / 2", "1 - alpha"))
def tests_one_side():
    """Your critical value is that of a one-sided test. Two sides share alpha: half of it lies beyond each."""


@mistake(
    "benjamini_hochberg",
    edit=(
        "np.minimum.accumulate(p.ravel()[order] * p.size / np.arange(p.size, 0, -1))",
        "p.ravel()[order] * p.size / np.arange(p.size, 0, -1)",
    ),
)
def lets_the_order_break():
    """You leave the running minimum out, so a smaller p-value can come out larger than the next."""


@mistake(
    "benjamini_hochberg",
    edit=(
        "np.minimum.accumulate(p.ravel()[order] * p.size / np.arange(p.size, 0, -1))",
        "np.minimum(p.ravel()[order] * p.size, 1.0)",
    ),
)
def is_bonferronis():
    """You multiply each by the number of tests: Bonferroni's bound on a single false finding, not on their share."""


@variant("welch_t")
def about_the_mean_of_all(a, b):
    """Another origin, and the degrees of freedom by the share that each error has."""
    first, second = _varying(a=_sample(a, "a", 2), b=_sample(b, "b", 2))
    origin = np.append(first, second).mean()
    x, y = first - origin, second - origin
    errors = np.array([np.var(x, ddof=1) / len(x), np.var(y, ddof=1) / len(y)])
    parts = errors / errors.sum()
    df = 1 / (parts**2 / (np.array([len(x), len(y)]) - 1)).sum()
    return TTest(float(np.mean(x) - np.mean(y)), float(np.sqrt(errors.sum())), float(df))


@variant("permutation_test")
def one_by_one(a, b, rng, statistic=mean_difference, permutations=9_999, alternative="two-sided"):
    """One division at a time, and all of them by combinations."""
    from itertools import combinations

    first, second = _varying(a=_sample(a, "a", 2), b=_sample(b, "b", 2))
    _at_least(1, permutations=permutations)
    n, pool, null = len(first), np.append(first, second), []
    exact = math.comb(len(pool), n) <= permutations
    if exact:
        for chosen in combinations(range(len(pool)), n):
            null.append(statistic(pool[list(chosen)], np.delete(pool, chosen)))
    else:
        for (row,) in (batch for _ in range(permutations) for batch in _shuffles(pool, 1, rng)):
            null.append(statistic(row[:n], row[n:]))
        null.append(statistic(first, second))
    null, observed = np.array(null), statistic(first, second)
    same = _tied(null, observed)
    return _p_value(float(np.mean((null < observed) | same)), float(np.mean((null > observed) | same)), alternative)


@variant("power")
def by_two_centres(effect, n_a, n_b, alpha=0.05):
    """The far tail as the near one of the opposite difference."""
    _share(alpha=alpha)
    _at_least(2, n_a=n_a, n_b=n_b)
    _at_least(0, effect=abs(effect))
    df, centre = n_a + n_b - 2, effect * math.sqrt(n_a * n_b / (n_a + n_b))
    critical = -special.stdtrit(df, alpha / 2)
    shares = np.nan_to_num([special.nctdtr(df, c, critical) for c in (centre, -centre)])
    return float(2 - shares.sum())


@variant("benjamini_hochberg")
def from_the_smallest(p_values):
    """Ranks in rising order, and the minimum over the reversed."""
    p = np.array(p_values, dtype=float)
    if np.any(~((p >= 0) & (p <= 1))):
        raise ValueError(f"p_values must lie between 0 and 1, got {p}.")
    flat, rank = np.sort(p.ravel()), np.argsort(np.argsort(p.ravel(), kind="stable"), kind="stable")
    scaled = flat * p.size / np.arange(1, p.size + 1)
    return np.minimum.accumulate(scaled[::-1])[::-1][rank].reshape(p.shape)

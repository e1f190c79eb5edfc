"""Checks of inference."""

from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from groundup.checking import (
    assert_close,
    assert_draws_from,
    assert_number_kinds,
    assert_order_free,
    assert_refuses,
    assert_refuses_nonfinite,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
    runs_python_lines,
)
from groundup.stack.bedrock.inference import (
    bca_interval,
    benjamini_hochberg,
    bootstrap_interval,
    chi_square,
    mean_difference,
    one_sample_t,
    one_way_anova,
    permutation_test,
    power,
    sample_size,
    studentised,
    welch_t,
)

A, B = np.array([1.0, 2.0, 6.0]), np.array([0.0, 4.0, 4.0, 6.0, 11.0])
FAR = 2.0**40  # with eighths added it is still exact
ALTERNATIVES = ("two-sided", "greater", "less")
exactly = partial(assert_close, rtol=1e-11, atol=0.0)


def numbers_of(test):
    """What a t-test holds, as numbers."""
    return test.difference, test.standard_error, test.df


def sums_of(anova):
    """What an analysis of variance holds, as numbers."""
    return anova.between, anova.within, anova.df_between, anova.df_within


def unused():
    """A generator for calls that need none."""
    return np.random.default_rng(0)


# --- two means ------------------------------------------------------------------------------------------------------


def test_welch_t_by_hand():
    """Of (1, 2, 6) and (0, 4, 4, 6, 11): means 3 and 5, variances 7 and 16, squared errors 7/3 and 16/5."""
    df = (7 / 3 + 16 / 5) ** 2 / ((7 / 3) ** 2 / 2 + (16 / 5) ** 2 / 4)
    exactly(numbers_of(welch_t(A, B)), [-2, np.sqrt(7 / 3 + 16 / 5), df])


def test_welch_t_is_scipys(rng):
    """Statistic, p-value on every side and interval are SciPy's, for samples of different size and spread."""
    a, b = rng.gamma(2, 30, 13), rng.normal(50, 4, (2, 4))
    ours = welch_t(a, b)
    for side in ALTERNATIVES:
        expected: Any = stats.ttest_ind(a, b.ravel(), equal_var=False, alternative=side)
        found = [ours.statistic, ours.df, ours.p_value(side)]
        exactly(found, [expected.statistic, expected.df, expected.pvalue], side)
    interval = stats.ttest_ind(a, b.ravel(), equal_var=False).confidence_interval(0.9)
    assert_close(ours.interval(0.9), [interval.low, interval.high], "interval(0.9)", rtol=1e-9)


def test_welch_t_far_from_zero():
    """A million million more on every value changes nothing: not one digit of the difference, error and degrees."""
    a, b = np.append(A, [8, 0, 1, 4]) / 8, np.append(B, [3, 3]) / 8  # means that no float holds
    exactly(numbers_of(welch_t(FAR + a, FAR + b)), numbers_of(welch_t(a, b)))


def test_welch_t_of_one_sample_that_varies():
    """A sample of equal values has no error, and the degrees of freedom are those of the other."""
    exactly(numbers_of(welch_t([4.0, 4.0, 4.0, 4.0], A)), [1, np.sqrt(7 / 3), 2])


def test_welch_t_takes_any_numbers():
    """Lists, integers and float32 will do, in any order, and what is given stays as it is."""
    call = lambda a, b: numbers_of(welch_t(a, b))  # noqa: E731
    assert_number_kinds(call, [1, 2, 6], [0, 4, 11])
    assert_unchanged(call, A, B)
    assert_order_free(call, A, np.array(B[:3]))


# --- many means -----------------------------------------------------------------------------------------------------


def test_one_way_anova_by_hand():
    """Groups (1, 2, 6), (4) and (7, 9) have means 3, 4 and 8 about 29/6: between 185/6, within 14 + 0 + 2."""
    anova = one_way_anova(A, [4.0], [7.0, 9.0])
    exactly(sums_of(anova), [185 / 6, 16, 2, 3], "sums and degrees of freedom")
    exactly(anova.statistic, 185 / 64, "F = (185/6 / 2) / (16 / 3)")


def test_one_way_anova_is_scipys(rng):
    """F and the p-value are SciPy's, for groups of different size."""
    groups = [rng.normal(5, 2, n) for n in (7, 3, 12, 4)]
    ours, expected = one_way_anova(*groups), stats.f_oneway(*groups)
    exactly([ours.statistic, ours.p_value], [expected.statistic, expected.pvalue])


def test_one_way_anova_far_from_zero():
    """After the manner of NIST's hardest sets: thirteen leading digits in common, and F exact all the same."""
    groups = [FAR + np.array(values) / 8 for values in ([3, 4, 2, 4, 2], [2, 1, 3], [4, 3, 5, 3, 5, 3, 8])]
    exact = [[Fraction(float(x)) for x in group] for group in groups]  # without any rounding
    middle, means = Fraction(sum(map(sum, exact))) / 15, [Fraction(sum(group)) / len(group) for group in exact]
    between = sum(len(group) * (mean - middle) ** 2 for group, mean in zip(exact, means, strict=True))
    within = sum((x - mean) ** 2 for group, mean in zip(exact, means, strict=True) for x in group)
    exactly(sums_of(one_way_anova(*groups)), [float(between), float(within), 2, 12])


def test_one_way_anova_adds_up(rng):
    """Between and within add up to the squares about the mean of all, whatever the groups."""
    groups = [rng.normal(k, 1, n) for k, n in enumerate((2, 9, 5))]
    values, anova = np.concatenate(groups), one_way_anova(*groups)
    exactly(anova.between + anova.within, values.var() * values.size)


def test_one_way_anova_takes_any_numbers():
    """Lists, integers and float32 will do, and what is given stays as it is."""
    assert_number_kinds(lambda *groups: sums_of(one_way_anova(*groups)), [1, 2, 6], [4, 5])
    assert_unchanged(lambda *groups: sums_of(one_way_anova(*groups)), A, B)


@pytest.mark.parametrize("test", [welch_t, one_way_anova, lambda a, b: permutation_test(a, b, unused())])
def test_samples_that_say_nothing_are_refused(test):
    """Values that are not finite, whose squares are not, or that do not vary at all are refused."""
    assert_refuses_nonfinite(lambda a: test(a, B), A, "a|groups")
    assert_refuses(lambda: test([1.0, 1e200], B), 1e200)
    assert_refuses(lambda: test([3.0, 3.0], [5.0, 5.0]), 3.0, 5.0, message="no sample varies")
    assert_refuses(lambda: test(A, []), (0,), message="an empty sample")


def test_samples_that_are_too_few_are_refused():
    """A mean of one value has no error that could be estimated, and one group is no comparison."""
    assert_refuses(lambda: welch_t([1.0], B), "a", (1,), message="welch_t of one value")
    assert_refuses(lambda: permutation_test(A, [1.0], unused()), "b", (1,), message="permutation_test of one value")
    assert_refuses(lambda: permutation_test([1.0], A, unused()), "a", (1,), message="permutation_test of one value")
    assert_refuses(lambda: one_way_anova(A), "groups", 1, message="one_way_anova of one group")
    assert_refuses(lambda: one_way_anova([1.0], [2.0]), 1.0, 2.0, message="one value in each group")


# --- permutations and the bootstrap ---------------------------------------------------------------------------------


def test_permutation_test_by_hand():
    """Of the ten divisions of (2, 5 | 2, 3, 9), the first two sum to 7 or more in seven, and to 7 or less in five."""
    found = [permutation_test([2, 5], [2, 3, 9], unused(), alternative=side) for side in ALTERNATIVES]
    assert_close(found, [1.0, 0.7, 0.5])


def test_permutation_test_of_few_values_is_exact():
    """(5, 9) lies above (1, 2, 3) in one division of ten. With `permutations=10` all are tried, and none is drawn."""
    rng = unused()
    for permutations in (10, 11, 9_999):
        assert_close(permutation_test([5, 9], [1, 2, 3], rng, permutations=permutations), 0.2, f"of {permutations}")
    assert_close(rng.random(), unused().random(), "an exact test draws nothing")


def test_permutation_test_is_scipys(rng):
    """Exact p-values are SciPy's on every side, for means and for another statistic."""
    a, b = rng.exponential(2, 5), rng.exponential(3, 4)
    for statistic in (mean_difference, studentised, lambda x, y: np.median(x, axis=-1) - y.max(axis=-1)):
        for side in ALTERNATIVES:
            expected = stats.permutation_test((a, b), lambda x, y, axis, f=statistic: f(x, y), alternative=side)
            assert_close(permutation_test(a, b, rng, statistic, alternative=side), expected.pvalue, side)


def test_permutation_test_counts_rounded_ties():
    """In tenths, which no float holds, the p-value is that of the whole numbers: equal sums are equal."""
    whole, parts = np.array([3, 7, 1, 8]), np.array([4, 6, 2, 9, 5])
    for side in ("greater", "less"):
        expected = permutation_test(whole, parts, unused(), alternative=side)
        assert_close(permutation_test(whole / 10, parts / 10, unused(), alternative=side), expected, side)


def test_permutation_test_counts_what_it_saw():
    """Where divisions are drawn, the observed one counts as one more: of 99 none reaches it, and p is 1/100, not 0."""
    a, b = np.arange(30.0) + 100, np.arange(21.0)
    found = [permutation_test(a, b, unused(), permutations=99, alternative=side) for side in ALTERNATIVES]
    assert_close(found, [0.02, 0.01, 1.0])
    swapped = [permutation_test(b, a, unused(), permutations=99, alternative=side) for side in ALTERNATIVES]
    assert_close(swapped, [0.02, 1.0, 0.01], "samples swapped")
    few_and_many = [permutation_test(a, b, unused(), permutations=1), permutation_test(a, b, unused())]
    assert_close(few_and_many, [1.0, 0.0002], "of one division, and of the usual 9,999")


def test_permutation_test_draws_all_divisions_alike(rng):
    """3,000 drawn divisions of 6 and 7 values give the exact p-value of all 1,716, but for chance."""
    a, b = rng.normal(size=6) + 0.3, rng.normal(size=7)
    exact = permutation_test(a, b, rng, alternative="greater")
    drawn = np.mean([permutation_test(a, b, rng, permutations=1_000, alternative="greater") for _ in range(3)])
    assert abs(drawn - exact) < 6 * np.sqrt(exact * (1 - exact) / 3_000) + 1e-3, f"exact {exact:.4f}, drawn {drawn:.4f}"


def test_permutation_test_tries_each_size(rng):
    """The statistic sees as many values on each side as were given, of any shape, and the arguments stay."""
    seen = set()

    def sizes(x, y):
        seen.add((x.shape[-1], y.shape[-1]))
        return mean_difference(x, y)

    permutation_test(rng.normal(size=(5, 3)), rng.normal(size=4), rng, sizes, permutations=20)
    assert seen == {(15, 4)}, f"15 and 4 values were given, the statistic saw {seen}"
    assert_unchanged(lambda a, b: permutation_test(a, b, unused(), permutations=20), A, B)
    assert_draws_from(lambda r: permutation_test(np.arange(20.0), np.arange(17.0) ** 1.1, r, permutations=1_000))


def test_permutation_test_refuses_settings():
    """No permutations, and a side that there is not, are refused."""
    assert_refuses_values(lambda n: permutation_test(A, B, unused(), permutations=n), "permutations", 0, -3)
    assert_refuses_values(lambda side: permutation_test(A, B, unused(), alternative=side), "alternative", "larger")


def test_bca_interval_by_hand():
    """Without bias and skewness the ends are the plain quantiles: 5 and 95 of 0 to 100, at confidence 0.9."""
    assert_close(bca_interval(50, np.arange(101), [-1, 1, 0], 0.9), [5, 95])
    assert_close(bca_interval(50, list(range(101)), [0, 0, 0], 0.9), [5, 95], "no value has any influence")


def test_bca_interval_corrects_the_bias():
    """With 30 of 99 replicates below the estimate and one equal, each level moves by twice that quantile."""
    bias = special.ndtri(30.5 / 99)
    levels = special.ndtr(2 * bias + special.ndtri([0.025, 0.975]))
    assert_close(bca_interval(30, np.arange(99), [1, -1, 0]), 98 * levels)


def test_bca_interval_corrects_the_skewness():
    """Influence (-1, -1, 2) has the acceleration 6 / (6 · 6^1.5), in whatever unit."""
    z, a = special.ndtri([0.1, 0.9]), 6**-1.5
    expected = 100 * special.ndtr(z / (1 - a * z))
    for unit in (0.1, 1, 10**7):
        assert_close(bca_interval(50, np.arange(101), unit * np.array([-1, -1, 2]), 0.8), expected, f"times {unit}")


@pytest.mark.parametrize("statistic", [np.mean, np.median, np.var])
def test_bca_interval_is_scipys(statistic, rng):
    """From the same replicates it makes SciPy's interval."""
    x = rng.gamma(1.5, 10, 17)
    theirs = stats.bootstrap((x,), statistic, confidence_level=0.9, n_resamples=499, rng=rng)
    without = np.array([statistic(np.delete(x, k)) for k in range(x.size)])
    ours = bca_interval(statistic(x), theirs.bootstrap_distribution, without.mean() - without, 0.9)
    assert_close(ours, [theirs.confidence_interval.low, theirs.confidence_interval.high])


def test_bca_interval_refuses():
    """Replicates on one side of the estimate alone, and a confidence of 0 or 1, are refused."""
    for estimate in (-1.0, 7.0):
        assert_refuses(lambda e=estimate: bca_interval(e, np.arange(7), [1, -1]), "replicates", estimate)
    assert_refuses_values(lambda c: bca_interval(3, np.arange(7), [1, -1], c), "confidence", 0.0, 1.0, 95, np.nan)


def test_power_of_cohens_example():
    """Half a deviation, 64 values in each sample: 80 percent, as in Cohen's tables."""
    assert_close(power(0.5, 64, 64), 0.8015, rtol=1e-4)


def test_power_is_that_of_the_noncentral_t():
    """Both tails count, and both sizes, at any level."""
    for effect, n_a, n_b, alpha in ((0.5, 7, 13, 0.01), (1.5, 3, 2, 0.3), (0.2, 40, 150, 0.05)):
        t, law = stats.t(n_a + n_b - 2).isf(alpha / 2), stats.nct(n_a + n_b - 2, effect * (1 / n_a + 1 / n_b) ** -0.5)
        for sign in (1, -1):
            found = power(sign * effect, n_a, n_b, alpha)
            assert_close(found, law.sf(t) + law.cdf(-t), f"{sign * effect}, {n_a}, {n_b}, {alpha}", rtol=1e-6)


def test_power_at_the_ends():
    """Without a difference a test finds one with probability alpha; large ones it always finds."""
    assert_close(power(0.0, 9, 5, 0.07), 0.07, "no difference")
    assert_close([power(effect, 100, 100) for effect in (2.5, 2.83, -3.4, 5.3, -10.0)], [1] * 5, "large differences")
    assert_refuses_values(lambda a: power(0.5, 9, 9, a), "alpha", 0.0, 1.0, np.nan)
    assert_refuses_values(lambda n: power(0.5, n, 9), "n_a", 1, 0)
    assert_refuses_values(lambda n: power(0.5, 2, n), "n_b", 1)
    assert_close(power(0.0, 2, 2), 0.05, "two values each will do")
    assert_refuses_values(lambda d: power(d, 9, 9), "effect", np.nan, np.inf)


def test_benjamini_hochberg_by_hand():
    """0.01, 0.02, 0.03, 0.2 and 0.9 times 5/1, 5/2, 5/3, 5/4 and 1; the first is lowered to those behind it."""
    found = benjamini_hochberg([0.2, 0.03, 0.9, 0.02, 0.01])
    assert_close(found, [0.25, 0.05, 0.9, 0.05, 0.05])


def test_benjamini_hochberg_is_scipys(rng):
    """It is SciPy's, ties and all, and has the shape of what was given."""
    p = np.round(rng.beta(0.4, 2, (7, 5)), 3).astype(np.float32)
    expected = stats.false_discovery_control(p.ravel().astype(float)).reshape(p.shape)
    exactly(benjamini_hochberg(p), expected)
    assert_shape(benjamini_hochberg(0.3), (), "one number has the shape ()")
    assert_shape(benjamini_hochberg([]), (0,), "none is none")


def test_benjamini_hochberg_keeps_its_manners(rng):
    """What is given stays as it is, no loop runs over it, and what is no probability is refused."""
    p = rng.random(3_000)
    assert_unchanged(benjamini_hochberg, p, own_result=True)
    assert not runs_python_lines(lambda: benjamini_hochberg(p), 1_000), "3,000 p-values must not take a loop"
    assert_refuses_values(lambda value: benjamini_hochberg([0.5, value]), "p_values", -0.1, 1.1, np.nan)
    assert_close(benjamini_hochberg([0.0, 1.0]), [0, 1], "0 and 1 are probabilities")


# --- what is given is right, too ------------------------------------------------------------------------------------


def test_other_tests_are_scipys(rng):
    """The test of one sample and of a table are SciPy's."""
    x = rng.normal(3, 2, 11)
    expected = stats.ttest_1samp(x, 2.5)
    assert_close([one_sample_t(x, 2.5).statistic, one_sample_t(x, 2.5).p_value()], list(expected), "one_sample_t")
    table = [[12, 7, 30], [5, 19, 22]]
    theirs: Any = stats.chi2_contingency(table, correction=False)
    assert_close(chi_square(table), [theirs.statistic, theirs.dof, theirs.pvalue], "chi_square")
    assert_refuses(lambda: chi_square([[1, 0], [2, 0]]), "table")
    assert_close(studentised(np.array([2.0, 2.0]), np.array([2.0, 2.0])), 0.0, "no difference, no variation")


def test_sample_size_is_the_smallest():
    """One value fewer is too few."""
    for effect, wanted in ((0.5, 0.8), (-1.3, 0.9), (4.0, 0.5)):
        n = sample_size(effect, wanted)
        assert power(effect, n, n) >= wanted, f"{n} values are too few for {effect}"
        assert n == 2 or power(effect, n - 1, n - 1) < wanted, f"{n} values are more than needed for {effect}"
    assert_refuses_values(sample_size, "effect", 0.0, np.nan)


def test_bootstrap_interval_is_scipys_but_for_chance(rng):
    """Of one sample and of two it lies where SciPy's does, within the error of the draws."""
    a, b = rng.gamma(1.0, 10, 23), rng.gamma(1.0, 8, 15)
    statistics: Any = (np.mean, lambda x, y, axis: np.mean(x, axis) - np.mean(y, axis))
    for samples, f in zip(((a,), (a, b)), statistics, strict=True):
        theirs = stats.bootstrap(samples, f, n_resamples=3_000, rng=rng).confidence_interval
        ours = bootstrap_interval(*samples, statistic=partial(f, axis=-1), rng=rng, resamples=3_000)
        assert_close(ours, list(theirs), f"of {len(samples)} sample(s)", atol=0.15 * (theirs.high - theirs.low))

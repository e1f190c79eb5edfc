"""`bedrock/inference`: the digits that NIST certifies, exact digits, statsmodels, SciPy, and simulated error rates."""

import math
import os
import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from groundup.stack.bedrock.inference import (
    bca_interval,
    benjamini_hochberg,
    bootstrap_interval,
    chi_square,
    one_sample_t,
    one_way_anova,
    permutation_test,
    power,
    sample_size,
    studentised,
    welch_t,
)

NIST = Path(os.environ.get("GROUNDUP_DATA_MIRROR", "")) / "nist_strd" / "anova"
FILES = sorted(NIST.glob("*.dat")) if os.environ.get("GROUNDUP_DATA_MIRROR") else []


def right_digits(value, certified):
    """The log relative error: how many significant digits are right, 15 at most."""
    return -math.log10(min(max(abs(value - certified) / abs(certified), 1e-15), 1))


def read_nist(path, number):
    """The groups, and the certified sums of squares, F and residual deviation."""
    lines = path.read_text().splitlines()
    first, last = map(int, re.findall(r"Data\s+\(lines (\d+) to (\d+)\)", "\n".join(lines[:12]))[0])
    groups: dict[str, list] = {}
    for line in lines[first - 1 : last]:
        if line.strip():
            treatment, response = line.split()
            groups.setdefault(treatment, []).append(number(response))
    between, within = (line.split() for line in lines[40:47] if line.startswith(("Between", "Within")))
    deviation = next(float(line.split()[-1]) for line in lines if "Standard Deviation" in line)
    return list(groups.values()), float(between[3]), float(within[3]), float(between[5]), deviation


def exact_anova(groups):
    """Sums of squares between and within, and F, without any rounding."""
    exact = [[Fraction(value) for value in group] for group in groups]
    means = [Fraction(sum(group)) / len(group) for group in exact]
    count = sum(map(len, exact))
    middle = Fraction(sum(map(sum, exact))) / count
    between = sum(len(group) * (mean - middle) ** 2 for group, mean in zip(exact, means, strict=True))
    within = sum((value - mean) ** 2 for group, mean in zip(exact, means, strict=True) for value in group)
    return between, within, (between / (len(exact) - 1)) / (within / (count - len(exact)))


@pytest.mark.skipif(not FILES, reason="needs nist_strd/anova in the folder GROUNDUP_DATA_MIRROR")
def test_nist_has_certified_eleven_sets():
    assert [path.stem for path in FILES] == ["AtmWtAg", "SiRstv", *(f"SmLs0{k}" for k in range(1, 10))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_anova_has_every_digit_that_float64_allows(path):
    """All of the exact result of the data as float64 holds them, and so all that NIST certifies and rounding leaves."""
    groups, *certified, deviation = read_nist(path, float)
    anova, exact = one_way_anova(*groups), exact_anova(groups)
    ours = [anova.between, anova.within, anova.statistic, math.sqrt(anova.within / anova.df_within)]
    exact = [*map(float, exact), math.sqrt(exact[1] / anova.df_within)]
    for value, expected, theirs in zip(ours, exact, [*certified, deviation], strict=True):
        digits, left = right_digits(value, theirs), right_digits(expected, theirs)
        print(f"{path.stem} exact {right_digits(value, expected):.1f} certified {digits:.1f} of {left:.1f}")
        assert right_digits(value, expected) >= 14
        assert digits >= min(left, 13) - 0.01


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_data_that_are_not_rounded_have_the_certified_f(path):
    """The numbers as they are printed, subtracted before they become floats: F has thirteen digits on every set."""
    groups, _, _, certified, _ = read_nist(path, Fraction)
    origin = groups[0][0]
    anova = one_way_anova(*([float(value - origin) for value in group] for group in groups))
    assert right_digits(anova.statistic, certified) >= 13


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_t_of_two_treatments_keeps_its_digits(path):
    for a, b in pairwise(read_nist(path, float)[0][:3]):
        ours = welch_t(a, b)
        x, y = ([Fraction(value) for value in group] for group in (a, b))
        means = [Fraction(sum(group)) / len(group) for group in (x, y)]
        errors = [
            sum((v - m) ** 2 for v in group) / (len(group) - 1) / len(group)
            for group, m in zip((x, y), means, strict=True)
        ]
        if means[0] != means[1]:
            assert right_digits(ours.difference, float(means[0] - means[1])) >= 13
        assert right_digits(ours.standard_error, math.sqrt(sum(errors))) >= 14


@pytest.mark.parametrize("seed", range(5))
def test_tests_are_those_of_scipy(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(1e4, 1, rng.integers(2, 40)), rng.normal(1e4, 5, rng.integers(2, 40))
    expected: Any = stats.ttest_ind(a, b, equal_var=False)
    np.testing.assert_allclose(
        [welch_t(a, b).statistic, welch_t(a, b).p_value()], [expected.statistic, expected.pvalue], rtol=1e-8
    )
    np.testing.assert_allclose(welch_t(a, b).interval(), expected.confidence_interval(), rtol=1e-8)
    one = stats.ttest_1samp(a, 1e4)
    np.testing.assert_allclose(one_sample_t(a, 1e4).interval(), np.array(one.confidence_interval()) - 1e4, rtol=1e-7)
    table = rng.poisson(20, (3, 4))
    chi: Any = stats.chi2_contingency(table, correction=False)
    np.testing.assert_allclose(chi_square(table), [chi.statistic, chi.dof, chi.pvalue], rtol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_tests_are_those_of_statsmodels(seed):
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    oneway = pytest.importorskip("statsmodels.stats.oneway")
    rng = np.random.default_rng(seed)
    groups = [rng.gamma(2, 3, n) for n in (8, 15, 5)]
    for side, name in (("two-sided", "two-sided"), ("larger", "greater"), ("smaller", "less")):
        t, p, df = weightstats.ttest_ind(*groups[:2], alternative=side, usevar="unequal")
        ours = welch_t(*groups[:2])
        np.testing.assert_allclose([ours.statistic, ours.p_value(name), ours.df], [t, p, df], rtol=1e-10)
    theirs = oneway.anova_oneway(groups, use_var="equal")
    ours = one_way_anova(*groups)
    np.testing.assert_allclose([ours.statistic, ours.p_value], [theirs.statistic, theirs.pvalue], rtol=1e-10)


def test_power_is_that_of_statsmodels():
    solver = pytest.importorskip("statsmodels.stats.power").TTestIndPower()
    for effect in (0.0, 0.01, 0.2, 0.5, 1.3):
        for n_a, n_b in ((2, 3), (7, 13), (64, 64), (4000, 900)):
            for alpha in (0.001, 0.05, 0.3):
                expected = solver.power(effect, n_a, alpha, ratio=n_b / n_a)
                if np.isfinite(expected):  # statsmodels has SciPy's NaN for powers of nearly 1
                    np.testing.assert_allclose(power(effect, n_a, n_b, alpha), expected, rtol=1e-8)
    for effect, wanted in ((0.2, 0.8), (0.5, 0.9), (1.1, 0.95)):
        assert sample_size(effect, wanted) == math.ceil(solver.solve_power(effect, power=wanted, alpha=0.05))


def test_power_never_falls_with_the_effect():
    """SciPy's noncentral t gives NaN here and there where a tail is nearly 0; the power must not."""
    for n in (2, 3, 5, 20, 100, 3_000, 1_000_000):
        for alpha in (1e-8, 1e-4, 0.05, 0.5):
            centres = np.concatenate([np.linspace(0, 60, 61), np.geomspace(60, 1e5, 20)])
            powers = np.array([power(centre * math.sqrt(2 / n), n, n, alpha) for centre in centres])
            assert (np.diff(powers) > -1e-9).all()
            assert powers[0] == pytest.approx(alpha)
            assert powers[-1] == pytest.approx(1)


def test_false_discoveries_are_those_of_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, 500):
        p = np.round(rng.beta(0.3, 1, size), 2)
        expected = multitest.multipletests(p, method="fdr_bh")[1]
        np.testing.assert_allclose(benjamini_hochberg(p), expected, rtol=1e-12)


@pytest.mark.parametrize("statistic", [np.mean, np.median, np.std])
def test_the_bootstrap_is_scipys_from_the_same_replicates(statistic):
    rng = np.random.default_rng(1)
    x = rng.lognormal(size=21)
    theirs = stats.bootstrap((x,), statistic, n_resamples=999, rng=rng)
    without = np.array([statistic(np.delete(x, k)) for k in range(x.size)])
    ours = bca_interval(statistic(x), theirs.bootstrap_distribution, without.mean() - without)
    np.testing.assert_allclose(ours, theirs.confidence_interval, rtol=1e-10)


def test_intervals_of_a_skewed_mean_miss_on_both_sides():
    """Of 400 samples of 25 waiting times both miss too often; the symmetric interval nearly always on the long side."""
    rng, beyond = np.random.default_rng(2), {"t": [0, 0], "bca": [0, 0]}
    for _ in range(400):
        x = rng.exponential(size=25)
        bca = bootstrap_interval(x, statistic=lambda rows: rows.mean(axis=-1), rng=rng, resamples=400)
        for name, (low, high) in (("t", one_sample_t(x).interval()), ("bca", bca)):
            beyond[name][0] += low > 1
            beyond[name][1] += high < 1
    print(beyond)
    assert beyond["t"][0] / beyond["t"][1] < 0.2 < 0.3 < beyond["bca"][0] / beyond["bca"][1]
    assert beyond["bca"][1] < beyond["t"][1]
    assert max(sum(beyond["t"]), sum(beyond["bca"])) < 0.12 * 400


def test_a_studentised_permutation_keeps_its_error_rate_where_variances_differ():
    """The small sample varies more: permuting the plain difference errs three times as often as it may."""
    rng = np.random.default_rng(3)
    wrong = np.zeros(3)
    for _ in range(400):
        a, b = 4 * rng.normal(size=40), rng.normal(size=160)
        plain = permutation_test(a, b, rng, permutations=199)
        wrong += (
            np.array([plain, permutation_test(a, b, rng, studentised, permutations=199), welch_t(a, b).p_value()])
            <= 0.05
        )
    print(wrong / 400)
    assert wrong[0] / 400 > 0.15
    assert max(wrong[1:]) / 400 < 0.08


def test_a_permutation_test_without_ties_is_exact():
    """All 20 divisions of 3 and 3 values: the p-values over all divisions are 1/20, 2/20 … 1, each once."""
    from itertools import combinations

    values = 2.0 ** np.arange(6)
    found = [
        permutation_test(
            values[list(chosen)], np.delete(values, chosen), np.random.default_rng(0), alternative="greater"
        )
        for chosen in combinations(range(6), 3)
    ]
    np.testing.assert_allclose(np.sort(found), np.arange(1, 21) / 20)


def test_the_largest_numbers_that_are_taken_have_degrees_of_freedom():
    """They are quotients of fourth powers, which must be floats."""
    test = welch_t([1e75, -1e75, 0.5e75], [1e75, 0.0])
    small = welch_t([1, -1, 0.5], [1, 0])
    assert (test.df, test.p_value()) == pytest.approx((small.df, small.p_value()))
    with pytest.raises(ValueError, match=r"a must hold finite numbers of at most 1e\+75 in size, got 1.1e\+75"):
        welch_t([1.1e75, 0], [1, 2])

"""`bedrock/ab_testing`: statsmodels' sizes, tests and regressions, and error rates over thousands of experiments."""

import subprocess
import sys

import numpy as np
import pytest

from groundup.stack.bedrock.ab_testing import (
    Arm,
    Experiment,
    always_valid,
    assign,
    confidence_sequence,
    cuped,
    decide,
    sample_ratio,
    two_proportions,
    visitors_needed,
)
from groundup.stack.bedrock.bayes import Beta

proportion = pytest.importorskip("statsmodels.stats.proportion")


@pytest.mark.parametrize(("base", "other"), [(0.1, 0.12), (0.5, 0.45), (0.02, 0.03), (0.9, 0.95)])
@pytest.mark.parametrize(("power", "alpha"), [(0.8, 0.05), (0.95, 0.01)])
def test_sizes_are_those_of_statsmodels(base, other, power, alpha):
    n = proportion.samplesize_proportions_2indep_onetail(
        other - base, base, power, alpha=alpha, alternative="two-sided"
    )
    assert visitors_needed(base, other, power, alpha) == int(np.ceil(n))


@pytest.mark.parametrize(("a", "b"), [((100, 20), (300, 90)), ((5_000, 31), (4_000, 9)), ((40, 40), (30, 22))])
def test_one_look_is_that_of_statsmodels(a, b):
    counts, visitors = [b[1], a[1]], [b[0], a[0]]
    _, p_value = proportion.proportions_ztest(counts, visitors)
    ours = two_proportions(Arm(*a), Arm(*b))
    assert ours.p_value == pytest.approx(p_value, rel=1e-9)
    theirs = proportion.confint_proportions_2indep(b[1], b[0], a[1], a[0], method="wald")
    np.testing.assert_allclose(ours.interval(), theirs, rtol=1e-9)


def test_adjustment_is_statsmodels_regression():
    api = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(0)
    before = rng.gamma(2, 10, 90)
    variant = np.repeat([0.0, 1.0], [50, 40])
    values = 0.6 * before + 2 * variant + rng.normal(size=90)
    model = api.OLS(values, np.column_stack([np.ones(90), variant, before])).fit()
    a, b = cuped(values[:50], values[50:], before[:50], before[50:])
    assert b.mean() - a.mean() == pytest.approx(model.params[1], rel=1e-9)


def test_assignment_does_not_depend_on_the_process():
    code = "from groundup.stack.bedrock.ab_testing import assign; print([assign(f'u{k}', 'x') for k in range(40)])"
    outputs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert outputs == {f"{[assign(f'u{k}', 'x') for k in range(40)]}\n"}


def simulated(rates, seed, experiments=4_000, looks=50, step=200):
    """Differences and errors at each look, and the counts at the last, of binomial visitors."""
    rng = np.random.default_rng(seed)
    clicks = rng.binomial(step, np.array(rates)[:, None, None], (2, experiments, looks)).cumsum(axis=-1)
    visitors = step * np.arange(1, looks + 1)
    a, b = clicks / visitors
    careful = (clicks + 1) / (visitors + 2)
    return b - a, np.sqrt((careful * (1 - careful) / visitors).sum(axis=0)), clicks[:, :, -1], int(visitors[-1])


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5])
def test_thousands_of_a_a_tests_keep_their_error_rates(rate):
    """At one look 5 percent, over all looks at most 5 percent, and the plain test over all looks far more."""
    differences, errors, clicks, n = simulated([rate, rate], seed=1)
    last = np.array([two_proportions(Arm(n, int(x)), Arm(n, int(y))).p_value for x, y in clicks.T])
    share = np.mean(last <= 0.05)
    watched = np.mean(always_valid(differences, errors, 0.1 * rate)[:, -1] <= 0.05)
    peeked = np.mean((np.abs(differences) / errors >= 1.96).any(axis=1))
    print(rate, share, watched, peeked)
    assert share == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 4_000))
    assert watched <= 0.05
    assert peeked > 0.2


def test_thousands_of_a_b_tests_have_their_power():
    n = visitors_needed(0.1, 0.12)
    rng = np.random.default_rng(2)
    counts = rng.binomial(n, [[0.1], [0.12]], (2, 4_000))
    found = [two_proportions(Arm(n, int(x)), Arm(n, int(y))).p_value <= 0.05 for x, y in counts.T]
    assert np.mean(found) == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / 4_000))


def test_intervals_hold_the_difference_at_all_looks():
    differences, errors, _, _ = simulated([0.1, 0.13], seed=3)
    low, high = confidence_sequence(differences, errors, 0.03)
    assert np.mean(((low > 0.03) | (high < 0.03)).any(axis=1)) <= 0.05


def test_decisions_lose_what_they_expect():
    """Rates drawn from the prior: the mean of what is lost is the mean of what was expected, within five errors."""
    rng, prior, lost, expected = np.random.default_rng(4), Beta(20, 180), [], []
    for _ in range(1_500):
        rates = rng.beta(20, 180, 2)
        a, b = (Arm(300, int(x)) for x in rng.binomial(300, rates))
        decision = decide(a, b, prior, 1.0)
        lost.append(max(rates[0] - rates[1], 0) if decision.choice == "b" else max(rates[1] - rates[0], 0))
        expected.append(min(decision.loss_a, decision.loss_b))
    error = np.std(np.array(lost) - expected) / np.sqrt(1_500)
    assert abs(np.mean(lost) - np.mean(expected)) < 5 * error


def test_sizes_that_differ_by_chance_are_let_pass():
    rng = np.random.default_rng(5)
    p = np.array([sample_ratio([n, 10_000 - n]) for n in rng.binomial(10_000, 0.5, 3_000)])
    assert np.mean(p < 0.1) == pytest.approx(0.1, abs=0.025)
    assert sample_ratio([500_000, 495_000]) < 1e-6


def test_reports_hold_what_was_planned_to_account():
    plan = Experiment("checkout", 0.10, 0.12, prior=Beta(60, 540))
    n = plan.visitors
    early = plan.report([(Arm(500, 50), Arm(500, 52))])
    assert f"not before {n:,}" in early
    assert "continue" in early
    late = plan.report([(Arm(500, 50), Arm(500, 52)), (Arm(n, n // 10), Arm(n, n // 8))])
    assert "not before" not in late
    assert "b differs" in late
    with pytest.raises(ValueError, match="looks must be at least 1, got 0"):
        plan.report([])


@pytest.mark.parametrize(("visitors", "shares"), [([10, 0], (1, 0)), ([0, 0], None)])
def test_an_arm_that_is_to_have_no_visitor_has_no_ratio(visitors, shares):
    """Its p-value would be no number, and no number is below a threshold."""
    with pytest.raises(ValueError, match=r"shares must give each arm some visitors, got \[.*0\.0\]. Leave empty"):
        sample_ratio(visitors, shares)

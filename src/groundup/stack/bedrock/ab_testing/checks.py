"""Checks of A/B testing."""

import hashlib
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from groundup.checking import (
    assert_close,
    assert_leading_axes,
    assert_number_kinds,
    assert_refuses,
    assert_refuses_nonfinite,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
)
from groundup.stack.bedrock.ab_testing import (
    Arm,
    Experiment,
    always_valid,
    assign,
    confidence_sequence,
    cuped,
    decide,
    differences,
    sample_ratio,
    two_proportions,
    visitors_needed,
)
from groundup.stack.bedrock.bayes import Beta, expected_loss, probability_above

exactly = partial(assert_close, rtol=1e-11, atol=1e-12)


def pairs(rng, n=30, m=20):
    """Values of two arms, of different spread, and what was known of each visitor before."""
    old, new = rng.normal(10, 4, n), rng.normal(14, 2, m)
    return 2 * old + rng.normal(size=n), 2 * new + 3 + rng.normal(size=m), old, new


# --- assignment -----------------------------------------------------------------------------------------------------


def test_assign_is_the_documented_hash():
    """It is the first 8 bytes of SHA-256 of experiment/user, and so the same on every machine."""
    for user in ("user-17", "Zoë", "", "a/b"):
        u = int(hashlib.sha256(f"checkout/{user}".encode()).hexdigest()[:16], 16) / 16**16
        exactly(assign(user, "checkout"), int(u >= 0.5), f"halves, {user!r}")
        exactly(assign(user, "checkout", [0.2, 0.3, 0.5]), int(u >= 0.2) + int(u >= 0.5), f"three shares, {user!r}")


def test_assign_at_the_end_of_a_share():
    """The variant is the first whose cumulative share *exceeds* u: at its end the next one begins."""
    u = int(hashlib.sha256(b"search/u1").hexdigest()[:16], 16) / 16**16
    exactly([assign("u1", "search", [end, 1 - end]) for end in (u, np.nextafter(u, 1))], [1, 0])


def test_assign_keeps_the_shares():
    """Of 4,000 users each variant gets its share, within five standard errors; a share of 0 gets nobody."""
    shares = np.array([0.1, 0.0, 0.6, 0.3])
    counts = np.bincount([assign(f"u{k}", "search", shares.tolist()) for k in range(4_000)], minlength=4)
    error = np.sqrt(4_000 * shares * (1 - shares))
    assert (np.abs(counts - 4_000 * shares) <= 5 * error).all(), f"{counts} of 4,000 for shares {shares}"
    exactly(
        [assign(f"u{k}", "search", (1, 3)) for k in range(50)],
        [assign(f"u{k}", "search", (0.25, 0.75)) for k in range(50)],
        "scaled",
    )


def test_assign_separates_experiments():
    """Who is in the new variant of one experiment is in that of another as often as anybody."""
    first, second = (np.array([assign(f"u{k}", name) for k in range(3_000)]) for name in ("search", "checkout"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / math.sqrt(3_000), "two experiments go together"


def test_assign_refuses():
    """A name that is empty or could be read two ways, and shares that are none, are refused."""
    assert_refuses_values(lambda name: assign("u", name), "experiment", "", "a/b")
    bad: Any = ([0.0, 0.0], [0.5, -0.5], [0.5, np.nan], [np.inf, 1.0])
    for shares in bad:
        assert_refuses(lambda s=shares: assign("u", "search", s), "shares")


# --- size -----------------------------------------------------------------------------------------------------------


def test_visitors_needed_by_hand():
    """From 10 to 12 percent: (1.95996 · √(2 · 0.11 · 0.89) + 0.84162 · √(0.09 + 0.1056))² / 0.0004 = 3,840.8."""
    exactly(visitors_needed(0.10, 0.12), 3_841)


def test_visitors_needed_gives_the_power():
    """With so many visitors the normal distribution has the power that was wanted, and with one fewer it has not."""
    for base, other, power, alpha in ((0.1, 0.12, 0.8, 0.05), (0.5, 0.3, 0.9, 0.01), (0.02, 0.03, 0.6, 0.2)):
        n = visitors_needed(base, other, power, alpha)
        middle = (base + other) / 2
        found = []
        for size in (n - 1, n):
            null = math.sqrt(2 * middle * (1 - middle) / size)
            real = math.sqrt((base * (1 - base) + other * (1 - other)) / size)
            found.append(special.ndtr((abs(other - base) - special.ndtri(1 - alpha / 2) * null) / real))
        assert found[0] < power <= found[1] + 1e-12, f"{n} visitors for {base} and {other}: powers {found}"


def test_visitors_needed_is_the_same_both_ways():
    """Up or down, conversions or failures: the size is the same. Half the difference needs about four times as many."""
    n = visitors_needed(0.1, 0.12)
    exactly([visitors_needed(0.12, 0.1), visitors_needed(0.9, 0.88)], [n, n])
    assert 3.5 < visitors_needed(0.1, 0.11) / n < 4.5


def test_visitors_needed_refuses():
    """Rates, power and alpha lie between 0 and 1, and rates differ."""
    bad = (0.0, 1.0, -0.1, 50, np.nan)
    assert_refuses_values(lambda x: visitors_needed(x, 0.2), "base", *bad)
    assert_refuses_values(lambda x: visitors_needed(0.2, x), "other", *bad)
    assert_refuses_values(lambda x: visitors_needed(0.2, 0.3, x), "power", *bad)
    assert_refuses_values(lambda x: visitors_needed(0.2, 0.3, 0.8, x), "alpha", *bad)
    assert_refuses(lambda: visitors_needed(0.2, 0.2), "other", 0.2)


# --- one look -------------------------------------------------------------------------------------------------------


def test_two_proportions_by_hand():
    """20 of 100 and 90 of 300: pooled 110/400, so z = 0.1 / √(0.275 · 0.725 · (1/100 + 1/300))."""
    found = two_proportions(Arm(100, 20), Arm(300, 90))
    z = 0.1 / math.sqrt(0.275 * 0.725 * 4 / 300)
    exactly([found.difference, found.error], [0.1, math.sqrt(0.16 / 100 + 0.21 / 300)], "difference and error")
    exactly(found.p_value, 2 * stats.norm.sf(z), "p-value")


def test_two_proportions_is_the_chi_square_of_the_table():
    """The p-value is that of SciPy's chi-square test without correction."""
    for a, b in ((Arm(50, 9), Arm(70, 21)), (Arm(1_000, 3), Arm(400, 5)), (Arm(9, 9), Arm(12, 4))):
        table = [[arm.conversions, arm.visitors - arm.conversions] for arm in (a, b)]
        theirs: Any = stats.chi2_contingency(table, correction=False)
        assert_close(two_proportions(a, b).p_value, theirs.pvalue, f"{a}, {b}", rtol=1e-9)


def test_two_proportions_swapped():
    """Swapped arms change the sign of the difference and nothing else; equal rates have p = 1."""
    a, b = Arm(50, 9), Arm(70, 21)
    one, other = two_proportions(a, b), two_proportions(b, a)
    exactly([other.difference, other.error, other.p_value], [-one.difference, one.error, one.p_value])
    exactly(two_proportions(Arm(10, 2), Arm(50, 10)).p_value, 1.0, "equal rates")


def test_two_proportions_of_nobody():
    """Where nobody or everybody converted there is no difference, no error, and p is 1."""
    for converted in (0, 1):
        found = two_proportions(Arm(5, 5 * converted), Arm(8, 8 * converted))
        exactly([found.difference, found.error, found.p_value], [0, 0, 1])


# --- adjustment by the past -----------------------------------------------------------------------------------------


def test_cuped_by_hand():
    """Past (0, 2) and (4, 6), values (1, 3) and (9, 13): slope (2 + 4) / (2 + 2) within arms, mean past 3."""
    a, b = cuped([1, 3], [9, 13], [0, 2], [4, 6])
    exactly(a, [1 + 4.5, 3 + 1.5], "a")
    exactly(b, [9 - 1.5, 13 - 4.5], "b")


def test_cuped_is_a_regression(rng):
    """The difference of means is the coefficient of the variant in least squares on variant and past."""
    a, b, before_a, before_b = pairs(rng)
    variant, past = np.repeat([0.0, 1.0], [30, 20]), np.append(before_a, before_b)
    columns = np.column_stack([np.ones(50), variant, past])
    expected = np.linalg.lstsq(columns, np.append(a, b), rcond=None)[0][1]
    adjusted_a, adjusted_b = cuped(a, b, before_a, before_b)
    assert_close(adjusted_b.mean() - adjusted_a.mean(), expected, rtol=1e-9)
    assert adjusted_a.var() < 0.1 * a.var(), "the past explains nearly all of the values"


def test_cuped_of_a_past_that_says_nothing(rng):
    """A past that does not vary within the arms changes nothing; one in other units changes the same."""
    a, b, before_a, before_b = pairs(rng)
    same = cuped(a, b, np.full(30, 2.0), np.full(20, 5.0))
    exactly(np.concatenate(same), np.concatenate([a, b]), "no variation within an arm")
    units = cuped(a, b, 1_000 * before_a - 7, 1_000 * before_b - 7)
    assert_close(np.concatenate(units), np.concatenate(cuped(a, b, before_a, before_b)), "other units", rtol=1e-9)
    total = sum(x.sum() for x in cuped(a, b, before_a, before_b))
    assert_close(total, a.sum() + b.sum(), "the mean of all values stays", rtol=1e-12)


def test_cuped_keeps_its_manners(rng):
    """Lists and integers will do, what is given stays as it is, and what does not fit is refused."""
    a, b, before_a, before_b = pairs(rng)
    assert_number_kinds(lambda *args: np.concatenate(cuped(*args)), [1, 5, 3], [2, 9], [1, 4, 2], [3, 8])
    assert_unchanged(lambda *args: cuped(*args)[0], a, b, before_a, before_b, own_result=True)
    for position, name in enumerate(("a", "b", "before_a", "before_b")):
        args = [a, b, before_a, before_b]
        call: Any = lambda x, k=position, args=args: cuped(*[*args[:k], x, *args[k + 1 :]])  # noqa: E731
        assert_refuses_nonfinite(call, args[position], name)
        assert_refuses(lambda call=call: call([]), name, (0,))
    assert_refuses(lambda: cuped(a, b, before_a, before_b[:-1]), "before_b", (19,))
    assert_refuses(lambda: cuped(a, b, before_a[1:], before_b), "before_a", (29,))


# --- many looks -----------------------------------------------------------------------------------------------------


def test_always_valid_by_hand():
    """With error and scale 1 the evidence of an estimate of 2 is √(1/2) · e^(4/4): p = √2 / e."""
    exactly(always_valid([2.0], [1.0], 1.0), [math.sqrt(2) / math.e])
    exactly(always_valid([3.0], [0.5], 2.0), [math.sqrt(17) * math.exp(-36 / 2.125)], "error 1/2, scale 2")


def test_always_valid_is_one_over_a_mean_likelihood_ratio():
    """The evidence is the mean, over true differences around 0, of how much better each explains the estimate."""
    d, e, scale = 0.8, 0.3, 0.5
    true = np.linspace(-6, 6, 200_001)
    ratios = np.exp((2 * d * true - true**2) / (2 * e**2)) * np.exp(-((true / scale) ** 2) / 2)
    mean = ratios.sum() * (true[1] - true[0]) / (scale * math.sqrt(2 * math.pi))
    assert_close(always_valid([d], [e], scale), [1 / mean], rtol=1e-6)


def test_always_valid_never_rises():
    """Evidence that was once there stays: p is the smallest so far, and at most 1."""
    found = always_valid([0.0, 3.0, 0.5, 4.0], [1.0, 0.7, 0.5, 0.4], 1.0)
    exactly(found[0], 1.0, "no evidence")
    exactly(found[2], found[1], "the estimate came back")
    assert found[3] < found[1], "more evidence"


def test_always_valid_holds_while_watched(rng):
    """Of 1,500 runs without a difference, looked at 200 times each, at most 5 percent ever reach 0.05."""
    n = np.arange(1, 201) * 10
    estimates = np.cumsum(rng.normal(size=(1_500, 200)) * math.sqrt(10), axis=1) / n
    errors = np.broadcast_to(1 / np.sqrt(n), estimates.shape)
    for scale in (0.1, 0.3):
        share = (always_valid(estimates, errors, scale)[:, -1] <= 0.05).mean()
        assert share < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1_500), f"{share:.3f} alarms, scale {scale}"
        assert share > 0.003, f"{share:.3f} alarms: the test sees nothing, scale {scale}"


def test_always_valid_agrees_with_its_intervals(rng):
    """A look has evidence for alpha where its interval leaves out 0, and nowhere else."""
    d, e = rng.normal(0, 3, 200), rng.uniform(0.3, 2, 200)
    low, high = confidence_sequence(d, e, 1.5, 0.1)
    alone = always_valid(d[:, None], e[:, None], 1.5)[:, 0]
    exactly((alone <= 0.1).astype(int), ((low > 0) | (high < 0)).astype(int))


def test_always_valid_keeps_its_manners(rng):
    """Any axes in front, either sign, huge evidence, lists; what is given stays as it is."""
    d, e = rng.normal(size=(4, 5)), np.linspace(1, 0.5, 5)
    assert_leading_axes(lambda x: always_valid(x, np.broadcast_to(e, np.shape(x)), 1.0), d)
    exactly(always_valid(-d[0], e, 1.0), always_valid(d[0], e, 1.0), "sign")
    exactly(always_valid([1e3, 1e3], [1e-3, 1e-3], 1.0), [0, 0], "huge evidence")
    assert_number_kinds(lambda x, y: always_valid(x, y, 2), [0, 1, 3], [3, 2, 1])
    assert_unchanged(lambda x, y: always_valid(x, y, 1.0), d[0], e, own_result=True)


def test_always_valid_refuses():
    """Errors and a scale are above 0, all is finite, and shapes agree."""
    assert_refuses_nonfinite(lambda d: always_valid(d, [1.0, 1.0], 1.0), np.array([1.0, 2.0]), "estimates")
    assert_refuses_nonfinite(lambda e: always_valid([1.0, 1.0], e, 1.0), np.array([1.0, 2.0]), "errors")
    assert_refuses_values(lambda e: always_valid([1.0], [e], 1.0), "errors", 0.0, -1.0)
    assert_refuses_values(lambda s: always_valid([1.0], [1.0], s), "scale", 0.0, -1.0, np.nan, np.inf)
    assert_refuses(lambda: always_valid([1.0, 2.0], [1.0], 1.0), "estimates", (2,))


# --- a decision, and the rest ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "accepted", "choice"),
    [
        (Arm(500, 50), Arm(500, 90), 0.001, "b"),
        (Arm(500, 90), Arm(500, 50), 0.001, "a"),
        (Arm(500, 50), Arm(500, 55), 0.001, "continue"),
        (Arm(500, 50), Arm(500, 55), 0.01, "b"),
        (Arm(500, 55), Arm(500, 50), 0.01, "a"),
        (Arm(500, 50), Arm(500, 50), 0.5, "a"),
    ],
)
def test_decide_chooses_the_smaller_loss(a, b, accepted, choice):
    """The smaller expected loss, if it is small enough, else on; equal arms keep the old one."""
    found = decide(a, b, Beta(10, 90), accepted).choice
    assert found == choice, f"{a}, {b} at {accepted}: chose {found!r}, not {choice!r}"


def test_decide_uses_the_posterior():
    """Losses and the probability are those of prior and counts together."""
    prior, a, b = Beta(3, 40), Arm(80, 7), Arm(90, 15)
    found, old, new = decide(a, b, prior, 0.01), Beta(10, 113), Beta(18, 115)
    expected = [probability_above(new, old), expected_loss(old, new), expected_loss(new, old)]
    exactly([found.b_is_better, found.loss_a, found.loss_b], expected)


def test_decide_at_the_threshold():
    """A loss that is just accepted decides; accepted losses are above 0."""
    a, b, prior = Arm(80, 7), Arm(90, 15), Beta(3, 40)
    loss = decide(a, b, prior, 1.0).loss_b
    found = [decide(a, b, prior, x).choice for x in (loss, np.nextafter(loss, 0))]
    assert found == ["b", "continue"], f"at the loss and just below: {found}"
    assert_refuses_values(lambda x: decide(a, b, prior, x), "accepted", 0.0, -1.0, np.nan, np.inf)


def test_the_rest_is_right():
    """Sizes are tested as SciPy does, looks become differences, and the report says what must be known."""
    exactly(sample_ratio([480, 520]), stats.chisquare([480, 520]).pvalue, "sample_ratio")
    exactly(sample_ratio([30, 60], (1, 3)), stats.chisquare([30, 60], [22.5, 67.5]).pvalue, "with shares")
    looks = [(Arm(98, 9), Arm(98, 19)), (Arm(198, 19), Arm(198, 59))]
    found = differences(looks)
    exactly(found[0], [10 / 98, 40 / 198], "estimates")
    exactly(found[1], [math.sqrt(0.25 / 98), math.sqrt((0.09 + 0.21) / 198)], "errors")
    assert_shape(found[1], (2,), "one error for each look")
    plan = Experiment("checkout", 0.1, 0.15)
    report = plan.report(looks)
    for said in ("b differs", "**Decision:** b", f"not before {plan.visitors:,}"):
        assert said in report, report
    broken = plan.report([(Arm(1_000, 100), Arm(1_300, 200))])
    assert "Stop" in broken, broken
    assert "Decision" not in broken, broken
    assert_refuses_values(lambda c: Arm(10, c), "conversions", -1, 11)

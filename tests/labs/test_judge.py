"""The rule by which several seeds are judged."""

from __future__ import annotations

import pytest

from groundup.labs import expect
from groundup.labs.judge import exceptions, judge

AT_LEAST = expect("accuracy", at_least=0.9)


def judged(values: list[float | None], baselines: list[float | None] | None = None, expectation=AT_LEAST):
    seeds = range(len(values))
    return judge(
        expectation,
        seeds,
        dict(zip(seeds, values, strict=True)),
        dict(zip(seeds, baselines or [], strict=False)),
        "the majority",
    )


@pytest.mark.parametrize(
    ("values", "passed"),
    [
        ([0.9], True),
        ([0.89], False),
        ([0.95, 0.89], False),  # two seeds: both must clear
        ([0.95, 0.89, 0.95], True),  # three seeds: one may miss
        ([0.99, 0.89, 0.89], False),  # two misses, though the mean clears the bar
        ([0.91, 0.91, 0.5], False),  # one miss, but the mean does not clear the bar
        ([0.99] * 8 + [0.89] * 2, True),  # ten seeds: two may miss
        ([0.99] * 7 + [0.89] * 3, False),
    ],
)
def test_the_mean_and_nearly_every_seed_must_clear_the_bar(values: list[float | None], passed: bool) -> None:
    assert judged(values).passed is passed


@pytest.mark.parametrize(("seeds", "allowed"), [(1, 0), (2, 0), (3, 1), (5, 1), (9, 1), (10, 2)])
def test_how_many_seeds_may_miss(seeds: int, allowed: int) -> None:
    assert exceptions(seeds) == allowed


def test_at_most_turns_the_comparison_round() -> None:
    assert judged([0.1, 0.2], expectation=expect("loss", at_most=0.2)).passed
    assert not judged([0.1, 0.3], expectation=expect("loss", at_most=0.2)).passed


def test_a_margin_is_taken_seed_by_seed_in_the_metrics_direction() -> None:
    above = expect("accuracy", beats_baseline_by=0.1)
    below = expect("error", beats_baseline_by=0.1, lower_is_better=True)
    assert judged([0.6, 0.9], [0.4, 0.7], above).passed
    assert not judged([0.6, 0.9], [0.7, 0.4], above).passed
    assert judged([0.4, 0.7], [0.6, 0.9], below).passed
    assert not judged([0.6, 0.9], [0.4, 0.7], below).passed


def test_the_message_says_bar_mean_spread_seeds_and_who_missed() -> None:
    message = judged([0.95, 0.85, 0.95]).message
    assert message == "accuracy at least 0.9: mean 0.9167 ± 0.058 over 3 seeds; seed 1 missed it."
    margin = judged([0.9, 0.9], [0.6, 0.6], expect("accuracy", beats_baseline_by=0.2)).message
    assert margin == (
        "accuracy at least 0.2 above the baseline: margin 0.3 ± 0 over 2 seeds, baseline 0.6 (the majority)."
    )


def test_what_is_missing_or_not_finite_fails_and_says_so() -> None:
    assert judged([0.95, None, 0.95]).message.endswith("the result of seed 1 is not finite.")
    assert not judged([0.95, None, 0.95]).passed
    nothing = judge(AT_LEAST, [0, 1], {0: 0.99}, {})
    assert not nothing.passed
    assert "no result was recorded for seed 1; the lab must call record.result" in nothing.message
    no_baseline = judged([0.95], [], expect("accuracy", beats_baseline_by=0.1))
    assert not no_baseline.passed
    assert "no baseline was recorded for seed 0; the lab must call record.baseline" in no_baseline.message
    assert "baseline of seed 0 is not finite" in judged([0.9], [None], expect("a", beats_baseline_by=0.1)).message


def test_an_expectation_has_exactly_one_bar() -> None:
    from groundup.errors import ConfigError

    with pytest.raises(ConfigError, match="give exactly one of at_least, at_most and beats_baseline_by"):
        expect("accuracy", at_least=0.1, at_most=0.2)

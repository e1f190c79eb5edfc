"""Checks of monitoring."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

from groundup.checking import (
    assert_close,
    assert_number_kinds,
    assert_order_free,
    assert_refuses,
    assert_refuses_nonfinite,
    assert_refuses_values,
    assert_unchanged,
)
from groundup.stack.production.monitoring import (
    POLICY,
    AlertRule,
    BurnRule,
    Span,
    Step,
    burning,
    critical_path,
    fix_edges,
    histogram_quantile,
    rate,
    stability_index,
)

INF = math.inf

# --- the stability index --------------------------------------------------------------------------------------------


def test_stability_index_by_hand():
    """7 and 2 values in two bins, then 3 and 6; half a value added: shares 0.75 and 0.25, then 0.35 and 0.65."""
    index = stability_index([0] * 7 + [9] * 2, [1] * 3 + [8] * 6, [5])
    assert_close(index, -0.4 * np.log(0.35 / 0.75) + 0.4 * np.log(0.65 / 0.25))
    assert type(index) is float, "a float of Python"


def test_stability_index_puts_an_edge_into_the_bin_above():
    """A value at an edge belongs to the bin above it."""
    assert_close(stability_index([0, 5], [0, 6], [5]), 0)
    assert_close(stability_index([0, 5], [0, 4], [5]), stability_index([0, 9], [0, 1], [5]))


def test_stability_index_has_a_share_for_an_empty_bin():
    """Bins that a sample leaves empty, the last ones too, keep the index finite: 1.5 + 0.5 + 0.5 of one value."""
    shares = np.array([[0.6, 0.2, 0.2], [0.2, 0.2, 0.6]])
    expected = ((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()
    assert_close(stability_index([1], [30], [10, 20]), expected)
    assert_close(stability_index([1], [1], []), 0, "no edge: one bin")


def test_stability_index_is_two_divergences(rng):
    """The index is the sum of the two Kullback-Leibler divergences, so it is symmetric and at least 0."""
    first, second = rng.normal(size=500), rng.normal(0.5, 1.2, size=300)
    edges = fix_edges(first, 8)
    shares = [np.histogram(sample, [-INF, *edges, INF])[0] + 0.5 for sample in (first, second)]
    expected = stats.entropy(shares[0], shares[1]) + stats.entropy(shares[1], shares[0])
    assert_close(stability_index(first, second, edges), expected)
    assert_close(stability_index(second, first, edges), expected, "the other way round")


def test_stability_index_keeps_the_edges_it_is_given(rng):
    """The bins are those of the edges: values far away are in the outer ones, and the order does not matter."""
    edges = [1.0, 2.0]
    assert_close(stability_index([0, 1, 3], [-1e9, 1.5, 1e9], edges), 0)
    assert_order_free(lambda sample: stability_index(sample, [1.0, 2.5], edges), rng.normal(size=20))
    assert_number_kinds(lambda a, b: stability_index(a, b, [2, 4]), [1, 5, 3], [3, 2, 4])
    assert_unchanged(lambda sample: stability_index(sample, [1.0], edges), np.array([3.0, 1.0]))


def test_stability_index_refuses():
    """Samples without a number, other shapes, values that are not finite and edges that do not ascend are refused."""
    assert_refuses(lambda: stability_index([], [1.0], [0]), "reference", 0)
    assert_refuses(lambda: stability_index([1.0], [[1.0]], [0]), "current", (1, 1))
    assert_refuses_nonfinite(lambda sample: stability_index([1.0], sample, [0]), np.array([1.0, 2.0]), "current")
    assert_refuses(lambda: stability_index([1.0], [1.0], [2, 1]), "edges", 2)


# --- rate -----------------------------------------------------------------------------------------------------------


def test_rate_by_hand():
    """From 20 at 10 s to 50 at 40 s, stretched by 10 s at either end of (0, 50]: 30 · 50/30 in 50 s is 1 a second."""
    speed = rate([10, 20, 30, 40], [20, 32, 38, 50], 0, 50)
    assert_close(speed, 1.0)
    assert type(speed) is float, "a float of Python"


def test_rate_follows_a_restart():
    """100, 110, 5, 15: the counter restarted between 110 and 5, so it grew by 10 + 5 + 10."""
    assert_close(rate([10, 20, 30, 40], [100, 110, 5, 15], 10 - 1e-9, 40), 25 / 30)
    assert_close(rate([10, 20, 30], [9, 0, 0], 10 - 1e-9, 30), 0, "restarted, and idle since")


def test_rate_takes_samples_after_the_start_and_up_to_the_end():
    """Prometheus 3 leaves out a sample at the start of the range, and takes the one at its end."""
    times, values = [0, 10, 20, 30], [1_000, 1_100, 1_110, 1_120]
    assert_close(rate(times, values, 0, 20), 10 * 2 / 20, "the samples at 10 and 20, stretched by 10 s to the start")
    assert_close(rate(times, values, -1, 20), 110 * 21 / 20 / 21, "the samples at 0, 10 and 20, by 1 s")


def test_rate_stretches_half_a_gap_where_the_series_ends():
    """An end that is 1.1 mean gaps away or farther is stretched by half a gap: the series ended in the range."""
    times, values = [100, 110, 120], [500, 510, 520]
    assert_close(rate(times, values, 0, 120), 20 * 25 / 20 / 120, "begins 100 s after the start")
    assert_close(rate(times, values, 99, 1_000), 20 * 26 / 20 / 901, "ends 880 s before the end")


@pytest.mark.parametrize(("away", "stretched"), [(10.9, 10.9), (11.0, 5.0), (11.1, 5.0)])
def test_rate_turns_at_eleven_tenths_of_a_gap(away, stretched):
    """Below 1.1 mean gaps an end is stretched to the range, from 1.1 on by half a gap; each end by itself."""
    times, values = [0, 8, 20], [1_000, 1_005, 1_020]
    assert_close(rate(times, values, -away, 20), (20 + stretched) / (20 + away), "before the first sample")
    assert_close(rate(times, values, -1e-9, 20 + away), (20 + stretched) / (20 + away), "after the last sample")


def test_rate_never_stretches_below_zero():
    """A counter of 2 that grows by 1 a second was 0 two seconds earlier: no farther, nor from half a gap."""
    assert_close(rate([10, 20], [2, 12], 0, 20), 12 / 20, "2 s instead of 10 s")
    assert_close(rate([50, 60], [2, 12], 0, 60), 12 / 60, "2 s instead of half a gap, 5 s")
    assert_close(rate([50, 60], [7, 17], 0, 60), 15 / 60, "half a gap is less than 7 s")
    assert_close(rate([10, 20, 30], [0, 10, 20], 0, 30), 20 / 30, "it was 0 at the first sample")
    assert_close(rate([10, 20], [0.1, 0.6], 0, 20), 0.6 / 20, "grows by half of one: 2 s as well")
    assert_close(rate([10, 20, 30], [0, 0, 0], 0, 30), 0, "never counted anything")


def test_rate_of_fewer_than_two_samples():
    """One sample in the range has no slope: NaN. Two have one."""
    assert math.isnan(rate([10, 20, 30], [1, 2, 3], 20, 30)), "one sample"
    assert math.isnan(rate([], [], 0, 1)), "none"
    assert not math.isnan(rate([10, 20, 30], [1, 2, 3], 19, 30)), "two samples"
    assert_unchanged(
        lambda times, values: rate(times, values, 0, 9), np.array([1.0, 2.0, 5.0]), np.array([3.0, 1.0, 2.0])
    )


def test_rate_refuses():
    """Times that do not ascend, another shape, negative or missing values, and a range that ends early are refused."""
    assert_refuses(lambda: rate([1, 1], [1, 2], 0, 2), "times", 1)
    assert_refuses(lambda: rate([1, 2], [1], 0, 2), "values", (1,))
    assert_refuses_values(lambda value: rate([1, 2], [1, value], 0, 2), "values", -1.0, math.nan)
    assert_refuses(lambda: rate([1, 2], [1, 2], 5, 5), "end", 5)


# --- quantiles of a histogram ---------------------------------------------------------------------------------------


def test_histogram_quantile_by_hand():
    """10, 30 and 40 values up to 1, 2 and 4: rank 0.625 · 40 = 25 is 15 of 20 into the bucket from 1 to 2."""
    buckets = {1.0: 10, 2.0: 30, 4.0: 40, INF: 40}
    assert_close(histogram_quantile(0.625, buckets), 1.75)
    assert type(histogram_quantile(0.625, buckets)) is float, "a float of Python"
    assert_close(histogram_quantile(0.9, buckets), 3.2, "rank 36: 6 of 10 into the bucket from 2 to 4")
    assert_close(histogram_quantile(0.1, buckets), 0.4, "rank 4: 4 of 10 into the first, which begins at 0")


def test_histogram_quantile_at_the_bounds():
    """A rank that a bucket reaches exactly lies at its bound; q of 0 and 1 are ordinary."""
    buckets = {1.0: 10, 2.0: 30, INF: 30}
    assert_close([histogram_quantile(q, buckets) for q in (0, 1 / 3, 1)], [0, 1, 2])
    assert_close(histogram_quantile(0.5, {1.0: 5, 2.0: 5, 3.0: 5, INF: 10}), 1, "empty buckets follow")
    assert_close(histogram_quantile(0.5, {1.0: 1, INF: 1}), 0.5, "a single value")


def test_histogram_quantile_beyond_the_last_bound():
    """In the bucket up to infinity nothing is known but its lower bound."""
    assert_close(histogram_quantile(0.99, {1.0: 90, 5.0: 95, INF: 100}), 5)
    assert_close(histogram_quantile(0.5, {1.0: 0, INF: 3}), 1, "all values are beyond")


def test_histogram_quantile_of_a_first_bucket_below_zero():
    """A first bucket up to a bound that is not above 0 has no lower bound, and answers with its own."""
    assert_close(histogram_quantile(0.2, {-1.0: 5, 1.0: 10, INF: 10}), -1)
    assert_close(histogram_quantile(0.2, {0.0: 5, 1.0: 10, INF: 10}), 0)
    assert_close(histogram_quantile(0.75, {-1.0: 5, 1.0: 10, INF: 10}), 0, "the second begins where the first ends")
    assert_close(histogram_quantile(0.0, {-1.0: 0, 1.0: 10, INF: 10}), -1, "q = 0, and the first is empty")
    assert_close(histogram_quantile(0.0, {0.0: 0, 1.0: 10, INF: 10}), 0, "q = 0, and the first, up to 0, is empty")


def test_histogram_quantile_without_an_answer():
    """NaN: no count, one bucket, none up to infinity, q = NaN, and 0 of nothing; q beyond 0 and 1 is infinite."""
    buckets = {1.0: 10, INF: 20}
    for q, case in [(0.5, {}), (0.5, {INF: 5}), (0.5, {1.0: 5, 2.0: 6}), (0.5, {-1.0: 0, INF: 0}), (math.nan, buckets)]:
        assert math.isnan(histogram_quantile(q, case)), f"q = {q} of {case}"
    assert math.isnan(histogram_quantile(0, {1.0: 0, 2.0: 5, INF: 5})), "0 of 0 values"
    assert [histogram_quantile(q, buckets) for q in (-0.1, 1.1)] == [-INF, INF]


def test_histogram_quantile_sorts_and_raises_counts():
    """Buckets come in any order; a count below an earlier one is raised to it, in the last bucket as well."""
    assert_close(histogram_quantile(0.625, {INF: 40, 2.0: 30, 4.0: 40, 1.0: 10}), 1.75)
    assert_close(histogram_quantile(0.5, {1.0: 8, 2.0: 6, 4.0: 16, INF: 12}), 1.0, "8, 8, 16, 16")
    assert_close(histogram_quantile(0.75, {1.0: 8, 2.0: 6, 4.0: 16, INF: 12}), 3.0, "8, 8, 16, 16")


def test_histogram_quantile_lies_in_the_bucket_of_the_true_one(rng):
    """The quantile grows with q, and lies in the bucket in which NumPy's quantile of the values lies."""
    values, bounds = rng.exponential(1.0, 400), [0.1, 0.3, 1.0, 3.0, 10.0]
    buckets = {bound: int((values <= bound).sum()) for bound in [*bounds, INF]}
    answers = [histogram_quantile(q, buckets) for q in np.linspace(0.01, 0.99, 50)]
    assert all(low <= high for low, high in pairwise(answers)), "a larger q has no smaller quantile"
    true = np.quantile(values, np.linspace(0.01, 0.99, 50), method="inverted_cdf")
    assert [np.searchsorted(bounds, answer) for answer in answers] == np.searchsorted(bounds, true).tolist()


# --- the critical path ----------------------------------------------------------------------------------------------


def span(id, parent, start, end):
    return Span(id, parent, id, start, end)


def path(*spans):
    """The path as (span, start, end), whatever the order of the spans."""
    steps = critical_path(spans)
    assert steps == critical_path(reversed(spans)), "the order of the spans does not matter"
    assert all(isinstance(step, Step) for step in steps), "a list of Steps"
    return [tuple(step) for step in steps]


def test_critical_path_by_hand():
    """Two calls beside each other, then one: the path goes through the slower, the last, and the time between."""
    assert path(span("a", None, 0, 10), span("b", "a", 1, 4), span("c", "a", 1, 6), span("d", "a", 7, 9)) == [
        ("a", 0, 1),
        ("c", 1, 6),
        ("a", 6, 7),
        ("d", 7, 9),
        ("a", 9, 10),
    ]


def test_critical_path_goes_into_children_of_children():
    """Below a child the same rule holds; a span without children is its own path."""
    assert path(span("a", None, 2, 5)) == [("a", 2, 5)]
    deep = path(span("a", "caller", 0, 8), span("b", "a", 0, 8), span("c", "b", 3, 8), span("d", "b", 1, 2))
    assert deep == [("b", 0, 1), ("d", 1, 2), ("b", 2, 3), ("c", 3, 8)]


def test_critical_path_skips_what_ran_beside_it():
    """A child that had not ended when the last one began was not waited for; one that ended just then was."""
    assert path(span("a", None, 0, 9), span("b", "a", 0, 6), span("c", "a", 5, 9)) == [("a", 0, 5), ("c", 5, 9)]
    assert path(span("a", None, 0, 9), span("b", "a", 0, 5), span("c", "a", 5, 9)) == [("b", 0, 5), ("c", 5, 9)]
    equal = path(span("a", None, 0, 9), span("b", "a", 3, 9), span("c", "a", 1, 9))
    assert equal == [("a", 0, 1), ("c", 1, 9)], "of two that end together, the one that started first"


def test_critical_path_cuts_children_to_their_parent():
    """A child counts only while its parent runs, and so do its own children: nothing lies outside the trace."""
    late = path(span("a", None, 2, 6), span("b", "a", 4, 20), span("c", "b", 5, 19))
    assert late == [("a", 2, 4), ("b", 4, 5), ("c", 5, 6)]
    assert path(span("a", None, 2, 6), span("b", "a", 0, 4)) == [("b", 2, 4), ("a", 4, 6)]
    assert path(span("a", None, 2, 6), span("b", "a", 7, 9), span("c", "a", 0, 1)) == [("a", 2, 6)], "all outside"


def test_critical_path_has_no_empty_step():
    """No step has the length 0, whether of a span without length or between two that touch."""
    steps = path(span("a", None, 0, 6), span("b", "a", 3, 3), span("c", "a", 0, 6), span("d", "c", 2, 6))
    assert steps == [("c", 0, 2), ("d", 2, 6)]
    assert path(span("a", None, 0, 6), span("b", "a", 3, 3)) == [("a", 0, 6)]
    assert path(span("a", None, 4, 4)) == []


def test_critical_path_covers_the_trace(rng):
    """The steps follow each other from the start of the first span to its end, each within its own span."""
    for _ in range(20):
        spans = [span("0", None, 0.0, 50.0)]
        for number in range(1, 15):
            start = rng.uniform(0, 50)
            spans.append(span(str(number), str(rng.integers(number)), start, start + rng.exponential(15)))
        steps = critical_path(spans)
        assert [steps[0].start, steps[-1].end] == [0, 50], "from the start to the end"
        assert all(a.end == b.start for a, b in pairwise(steps)), "no gap and no overlap"
        known = {one.id: one for one in spans}
        assert all(known[step.span].start <= step.start < step.end <= known[step.span].end for step in steps)


def test_critical_path_refuses():
    """No first span or two, ids that repeat, a circle and an end before a start are refused."""
    a: Any = span("a", None, 0, 1)
    assert_refuses(lambda: critical_path([]), "spans", 0)
    assert_refuses(lambda: critical_path([a, span("b", "gone", 0, 1)]), "spans", 2)
    assert_refuses(lambda: critical_path([a, a]), "spans", "a")
    assert_refuses(lambda: critical_path([a, span("b", "c", 0, 1), span("c", "b", 0, 1)]), "spans", 2)
    assert_refuses(lambda: critical_path([span("a", None, 3, 1)]), "spans", 3)


# --- alerts ---------------------------------------------------------------------------------------------------------


def follow(rule, *evaluations):
    """The states of evaluations at 0, 10, 20 … seconds."""
    return [rule.update(10.0 * number, active) for number, active in enumerate(evaluations)]


def test_an_alert_waits_fires_and_resolves():
    """With a hold of 20 s: pending at 0 and 10 s, firing from 20 s, resolved once, and then nothing."""
    states = follow(AlertRule("r", 20), {"a"}, {"a"}, {"a"}, {"a"}, set(), set())
    expected = ["pending", "pending", "firing", "firing", "resolved"]
    assert states == [*({"a": state} for state in expected), {}]


def test_a_pending_alert_is_forgotten():
    """A condition that fails once before the hold is over begins anew, and nothing is resolved."""
    states = follow(AlertRule("r", 20), {"a"}, {"a"}, set(), {"a"}, {"a"}, {"a"})
    assert states == [{"a": "pending"}, {"a": "pending"}, {}, {"a": "pending"}, {"a": "pending"}, {"a": "firing"}]


def test_an_alert_without_a_hold_fires_at_once():
    """By default there is no hold; after it is resolved, an alert fires anew, and is resolved anew."""
    states = follow(AlertRule("r"), {"a"}, set(), {"a"}, set())
    assert states == [{"a": "firing"}, {"a": "resolved"}, {"a": "firing"}, {"a": "resolved"}]
    rule = AlertRule("r", 15)
    assert follow(rule, {"a"}, {"a"}, {"a"})[1:] == [{"a": "pending"}, {"a": "firing"}], "10 s, 20 s"
    assert rule.since == {"a": 0.0}
    assert rule.firing == {"a"}


def test_alerts_know_nothing_of_each_other():
    """Each alert has a time of its own, and one may be resolved while another begins; active may be any iterable."""
    states = follow(AlertRule("r", 10), ["a"], iter(["a", ("b", 1)]), [("b", 1), "c"], ["c"])
    assert states == [
        {"a": "pending"},
        {"a": "firing", ("b", 1): "pending"},
        {"a": "resolved", ("b", 1): "firing", "c": "pending"},
        {("b", 1): "resolved", "c": "firing"},
    ]


# --- burn rates -----------------------------------------------------------------------------------------------------


def service(ratio, minutes, before=4_320):
    """Counters by the minute of a service with 600 requests a minute, of which `ratio` fail in the last minutes."""
    times = 60.0 * np.arange(before + 1)
    failed = np.where(np.arange(before) >= before - minutes, 600 * ratio, 0.0)
    return times, np.append(0, failed.cumsum()), 600.0 * np.arange(before + 1), times[-1]


def test_burning_asks_for_the_factor_in_both_windows():
    """Of one rule: the burn rate is the share that failed over the share that may, and must be above the factor."""
    rule = BurnRule("page", 0.02, 3_600, 300)
    for burn, holds in ((14.3, False), (14.5, True)):
        assert (burning(*service(burn * 0.001, 60), 0.999, [rule]) == [rule]) is holds, f"a burn rate of {burn}"
    assert burning(*service(0.145 + 0.001, 60), 0.99, [rule]) == [rule], "1 in 100 may fail"
    assert burning(*service(0.143, 60), 0.99, [rule]) == []
    times, errors, requests, now = service(1.0, 30)
    assert burning(times, errors, requests, now, 0.999, [rule]) == [rule], "errors until now"
    later = np.append(times, now + 60 * np.arange(1, 11)), np.append(errors, [errors[-1]] * 10)
    assert burning(*later, np.append(requests, requests[-1] + 600 * np.arange(1, 11)), now + 600, 0.999, [rule]) == []


def test_burning_asks_for_the_long_window():
    """An outage of half a minute burns much in 5 minutes, and not enough in an hour."""
    rule = BurnRule("page", 0.02, 3_600, 300)
    assert burning(*service(0.5, 1), 0.999, [rule]) == []
    assert burning(*service(0.5, 2), 0.999, [rule]) == [rule], "1 minute's requests of 60 are a burn rate of 16.7"


def test_burning_by_default():
    """The default is the workbook's policy: burn rates above 14.4 and 6 page, above 1 make a ticket, in that order."""
    assert_close([rule.factor for rule in POLICY], [14.4, 6, 1])
    for burn, held in ((20, POLICY), (10, POLICY[1:]), (2, POLICY[2:]), (0.9, ())):
        assert burning(*service(burn * 0.001, 4_320), 0.999) == list(held), f"a burn rate of {burn}"


def test_burning_without_requests():
    """A window without requests, or without samples, burns nothing."""
    times = 60.0 * np.arange(100)
    rule = BurnRule("ticket", 0.01, 3_600, 300, period=3_600)
    assert burning(times, np.zeros(100), np.zeros(100), times[-1], 0.9, [rule]) == []
    assert burning(times, np.arange(100.0), np.arange(100.0), times[-1] + 1e7, 0.9, [rule]) == []
    assert burning(times, np.arange(100.0), np.arange(100.0), times[-1], 0.9, [rule]) == [rule], "one a minute, failed"


@pytest.mark.parametrize(("early", "late", "holds"), [(126, 258.75, False), (540, 135, False), (135, 136, True)])
def test_burning_at_the_factor_does_not_hold(early, late, holds):
    """Half may fail, the factor is 1/2, and a quarter of 540 a minute fails: in the long window, the short, or more."""
    rule = BurnRule("page", 0.5, 3_600, 300, period=3_600)
    failed = np.append(np.full(116, early), np.full(4, late))
    errors, requests = np.append(0, failed.cumsum()), 540.0 * np.arange(121)
    assert burning(60.0 * np.arange(121), errors, requests, 7_200, 0.5, [rule]) == [rule] * holds


def test_burning_refuses_objectives():
    """An objective of 0, of 1, or written in percent, is refused."""
    assert_refuses_values(lambda value: burning(*service(0, 1), value), "objective", 0.0, 1.0, 99.9, -0.5)

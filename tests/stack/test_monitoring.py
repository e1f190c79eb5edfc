"""`production/monitoring`: the client of Prometheus, OpenTelemetry's header, statsmodels' Holm and SciPy's tests."""

import math
import random
from typing import Any

import numpy as np
import pytest
from scipy import stats

from groundup.stack.production.monitoring import (
    AlertRule,
    Context,
    Histogram,
    Metric,
    Trace,
    burning,
    correct,
    critical_path,
    expose,
    fix_edges,
    group,
    histogram_quantile,
    labels,
    rate,
    read_traceparent,
    scan,
    stability_index,
    write_traceparent,
)

NASTY = ["plain", 'say "hi"', "C:\\new", "two\nlines", "", 'all \\" \n of it\\\\', "ü, {=} 猫"]
NUMBERS = [0, 1, 0.1, 1234567, 12345678.5, 1e15, 1e16, 2.5e-7, math.inf, 123456789.125, 1e100]


@pytest.fixture
def client():
    client = pytest.importorskip("prometheus_client")
    client.disable_created_metrics()
    yield client
    client.enable_created_metrics()


def test_the_text_is_that_of_prometheus_client(client):
    registry = client.CollectorRegistry()
    helps = 'Bytes sent.\nOver \\ "all".'
    theirs = client.Counter("sent_bytes", helps, ["route", "file"], registry=registry)
    gauge = client.Gauge("queue", "Waiting.", registry=registry)
    timer = client.Histogram("latency_seconds", "Latency.", ["route"], registry=registry, buckets=[0.1, 1, 2.5, 2e7])
    ours = [
        Metric("sent_bytes", helps, "counter"),
        Metric("queue", "Waiting.", "gauge"),
        Histogram("latency_seconds", "Latency.", (0.1, 1, 2.5, 2e7)),
    ]
    for route, number in zip([*NASTY, *"abcd"], NUMBERS, strict=True):
        theirs.labels(route, route[::-1]).inc(number)
        ours[0].add(number, route=route, file=route[::-1])
    gauge.inc(-3.5)
    ours[1].add(-3.5)
    for value in (0.05, 0.1, 0.100001, 7, 1e9):
        for route in NASTY:
            timer.labels(route).observe(value)
            ours[2].observe(value, route=route)
    text = expose(ours)
    assert text == client.generate_latest(registry).decode()
    parsed = list(pytest.importorskip("prometheus_client.parser").text_string_to_metric_families(text))
    assert [sample.labels["route"] for sample in parsed[0].samples][: len(NASTY)] == NASTY
    assert (
        expose([Metric("none", "Nothing yet.", "counter")])
        == "# HELP none_total Nothing yet.\n# TYPE none_total counter\n"
    )


def test_a_counter_does_not_fall():
    with pytest.raises(ValueError, match=r"amount must be at least 0, got -1\. A number that falls is a gauge"):
        Metric("n", "", "counter").add(-1)
    with pytest.raises(ValueError, match="hold must be at least 0 seconds, got -1"):
        AlertRule("r", -1)


def test_buckets_are_what_the_quantile_takes():
    wait = Histogram("wait", "", (1, 2, 4))
    for value in (0.5, 1, 1.5, 3, 9):
        wait.observe(value, route="a")
    assert wait.buckets(route="a") == {1: 2, 2: 3, 4: 4, math.inf: 5}
    assert histogram_quantile(0.5, wait.buckets(route="a")) == 1.5
    assert math.isnan(histogram_quantile(0.5, wait.buckets(route="b")))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: rate([2, 1], [1, 2], 0, 3), r"times must ascend along one axis, got \[2.0, 1.0\]"),
        (lambda: rate([1, 2], [1, 2, 3], 0, 3), r"values must have the shape of times, \(2,\), got \(3,\)"),
        (lambda: rate([1, 2], [1, -2], 0, 3), r"values must be at least 0, got -2\.0\. A counter only grows"),
        (lambda: rate([1, 2], [1, 2], 3, 3), "end must be after start, got 3 and 3"),
        (lambda: stability_index([], [1], [1]), r"reference must hold numbers along one axis, .* got shape \(0,\)"),
        (lambda: stability_index([1], [math.nan], [1]), "current must be finite, got nan. Compare gaps by themselves"),
        (lambda: burning([1, 2], [1, 2], [1, 2], 2, 99.9), "objective must be between 0 and 1, got 99.9. Write 99.9 %"),
        (lambda: critical_path([]), "spans must have exactly one without a parent among them, got 0"),
    ],
)
def test_a_refusal_says_what_to_do(call, named):
    with pytest.raises(ValueError, match=named):
        call()


HEADERS = [
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
    "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
    "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
    "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "",
    "nonsense",
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_is_read_as_opentelemetry_reads_it(header):
    pytest.importorskip("opentelemetry.trace")
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    theirs = trace.get_current_span(TraceContextTextMapPropagator().extract({"traceparent": header})).get_span_context()
    ours = read_traceparent(header)
    assert (ours is not None) == theirs.is_valid
    if ours is not None:
        assert ours == Context(f"{theirs.trace_id:032x}", f"{theirs.span_id:016x}", theirs.trace_flags.sampled)


def test_a_trace_goes_through_two_services():
    clock = iter(range(100))
    first = Trace(clock=lambda: float(next(clock)), source=random.Random(1))
    with first.span("answer"), first.span("call", tokens=7) as facts:
        second = Trace(first.header(), clock=lambda: float(next(clock)), source=random.Random(2))
        with second.span("predict"):
            assert read_traceparent(second.header()) == Context(first.context.trace, second.open[-1], True)
        facts["answer"] = "yes"
    spans = [*first.spans, *second.spans]
    assert [(span.name, span.start, span.end) for span in spans] == [
        ("call", 1, 4),
        ("answer", 0, 5),
        ("predict", 2, 3),
    ]
    call, answer, predict = spans
    assert (answer.parent, call.parent, predict.parent) == (None, answer.id, call.id)
    assert call.attributes == {"tokens": 7, "answer": "yes"}
    names = {span.id: span.name for span in spans}
    assert [names[step.span] for step in critical_path(spans)] == ["answer", "call", "predict", "call", "answer"]
    assert [names[step.span] for step in critical_path(second.spans)] == ["predict"], "the caller is not among them"


def test_a_span_ends_when_its_body_fails_and_an_unsampled_trace_stays_so():
    header = write_traceparent(Context("1" * 32, "2" * 16, False))
    trace = Trace(header, source=random.Random(0))
    sent: list[str] = []

    def work():
        with trace.span("fails"):
            sent.append(trace.header())
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert read_traceparent(sent[0]) == Context("1" * 32, trace.spans[0].id, False)
    assert (trace.spans[0].name, trace.spans[0].parent, trace.open) == ("fails", "2" * 16, ["2" * 16])
    assert Trace("nonsense").context.trace != Trace("nonsense").context.trace


@pytest.mark.parametrize("seed", range(5))
def test_p_is_corrected_as_statsmodels_does(seed):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(seed).beta(0.5, 2, size=9).round(2)
    assert correct(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])
    assert correct([]).shape == (0,)


def test_a_scan_compares_each_window():
    rng = np.random.default_rng(3)
    before = {"x": rng.normal(size=500), "kind": rng.choice(["a", "b"], 500)}
    after = {"x": rng.normal(size=130), "kind": np.append(rng.choice(["a", "b"], 100), ["new"] * 30)}
    readings = scan(before, after, width=50, bins=5)
    assert [(reading.row, reading.column) for reading in readings] == [
        (50, "x"),
        (50, "kind"),
        (100, "x"),
        (100, "kind"),
    ]
    for number, rows in enumerate((slice(0, 50), slice(50, 100))):
        theirs: Any = stats.ks_2samp(before["x"], after["x"][rows], method="asymp")
        x, kind = readings[2 * number : 2 * number + 2]
        assert x.distance == pytest.approx(theirs.statistic)
        assert x.stability == stability_index(before["x"], after["x"][rows], fix_edges(before["x"], 5))
        alone = stats.kstwobign.sf(np.sqrt(500 * 50 / 550) * theirs.statistic)
        counts = [
            [(column[part] == name).sum() for name in "ab"]
            for column, part in ((before["kind"], slice(None)), (after["kind"], rows))
        ]
        other: Any = stats.chi2_contingency(counts, correction=False)[1]
        assert [x.p, kind.p] == pytest.approx(correct([alone, other]))
    last = scan(before, after, width=130)[1]
    shares = [
        np.array([sum(before["kind"] == name) for name in "ab"] + [0]),
        np.array([sum(after["kind"] == n) for n in ("a", "b", "new")]),
    ]
    p, q = ((counts + 0.5) / (counts.sum() + 1.5) for counts in shares)
    assert last.stability == pytest.approx(((q - p) * np.log(q / p)).sum())
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        scan(before, after, width=0)


def test_edges_hold_equal_shares_and_repeat_nothing():
    assert fix_edges(np.arange(101), 4) == pytest.approx([25, 50, 75])
    assert fix_edges([0] * 90 + [5] * 10, 4).tolist() == [0]


def test_the_index_by_chance_has_the_size_that_the_lesson_says():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=2_000)
    edges = fix_edges(reference)
    mean = np.mean([stability_index(reference, rng.normal(size=100), edges) for _ in range(400)])
    assert mean == pytest.approx(9 * (1 / 2_000 + 1 / 100), rel=0.1)


def test_alerts_are_grouped_by_labels():
    first, second, third = labels(site="a", host="1"), labels(site="a", host="2"), labels(host="3")
    assert group([first, second, third], ["site"]) == {(("site", "a"),): [first, second], (("site", ""),): [third]}

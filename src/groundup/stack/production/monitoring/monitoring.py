"""Monitoring: drift in a stream, metrics of a service, traces of a request, and alerts that are worth waking for.

    readings = scan(reference, stream, width=100)            # each window and column: distance, p, stability index
    alarm = AlertRule("drift", hold=100)
    alarm.update(row, {reading.column for reading in readings if reading.row == row and reading.p < 0.05})

    rate(times, requests, now - 300, now)                    # a second, of a counter that may restart
    histogram_quantile(0.99, {0.1: 90, 0.5: 99, math.inf: 100})
    critical_path(trace.spans)                               # who held the request up, from its start to its end
    burning(times, errors, requests, now, objective=0.999)   # the burn-rate rules that hold now

Times are seconds. Rates and quantiles are those of Prometheus 3, for floats. Not covered: native histograms, sampling
of traces, the header `tracestate`, sending notifications.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from groundup.stack.production.validation import chi2_test, ks_test

Labels = tuple[tuple[str, str], ...]

# --- drift in a stream ----------------------------------------------------------------------------------------------


class Reading(NamedTuple):
    """One column in one window of a stream.

    Attributes:
        row: how many rows of the stream had come when the window was complete.
        column: the column's name.
        distance: how far window and reference are apart, as `ks_test` or `chi2_test` of production/validation has it.
        p: the test's p, corrected for the columns of this window.
        stability: the population stability index.
    """

    row: int
    column: str
    distance: float
    p: float
    stability: float


def fix_edges(reference: ArrayLike, bins: int = 10) -> np.ndarray:
    """Return the inner edges of bins that hold about equal shares of the reference; fewer where its values repeat.

    Args:
        reference: numbers of shape (n,).
        bins: how many bins, at least 2.

    Returns:
        Ascending edges of shape (n_edges,), at most bins - 1 of them.
    """
    shares = np.arange(1, bins) / bins
    return np.unique(np.quantile(_numbers(reference, "reference"), shares))


def stability_index(reference: ArrayLike, current: ArrayLike, edges: ArrayLike) -> float:
    """Return the population stability index of two samples, the sum of (q - p) ln(q / p) over the bins.

    The edges stay those of the reference, whatever comes later. Half a value is added to the count of each bin, in
    both samples, so that an empty bin has a share.

    Args:
        reference: numbers of shape (n,), n at least 1.
        current: numbers of shape (m,), m at least 1.
        edges: inner edges of shape (bins - 1,), ascending; a value at an edge belongs to the bin above it.

    Raises:
        ValueError: no value, another shape, a value that is not finite, or edges that do not ascend.
    """
    inner = _ascending(edges, "edges")
    shares = []
    for sample in (_numbers(reference, "reference"), _numbers(current, "current")):
        counts = np.bincount(np.searchsorted(inner, sample, side="right"), minlength=inner.size + 1) + 0.5
        shares.append(counts / counts.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def correct(p: ArrayLike) -> np.ndarray:
    """Correct the p of several tests by Holm's method: below a level, by chance, is then any of them in that share.

    The smallest p is multiplied by the number of tests, the next by one less, and so on; none falls below an earlier
    one, and none exceeds 1. Holm, A simple sequentially rejective multiple test procedure (1979).

    Args:
        p: of shape (n_tests,).

    Returns:
        Corrected p of shape (n_tests,), in the same order.
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1)), 1.0)
    return corrected


def scan(
    reference: Mapping[str, ArrayLike], stream: Mapping[str, ArrayLike], width: int, bins: int = 10
) -> list[Reading]:
    """Compare each window of a stream with the reference: windows follow each other and do not overlap.

    Texts are compared by `chi2_test`, numbers by `ks_test`. A text that the reference lacks has a bin of its own.

    Args:
        reference: columns by name, of shape (n_rows,) each, without gaps.
        stream: the same columns, of shape (n_stream,); rows after the last whole window are left out.
        width: rows of a window.
        bins: bins of the stability index of numbers.

    Raises:
        ValueError: a width below 1, or values that the tests refuse.
    """
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}.")
    columns = {name: (np.asarray(reference[name]), np.asarray(stream[name])) for name in reference}
    readings: list[Reading] = []
    for row in range(width, min(len(after) for _, after in columns.values()) + 1, width):
        tests, indices = [], []
        for before, after in columns.values():
            window = after[row - width : row]
            if before.dtype.kind == "U":
                known = np.unique(before)
                tests.append(chi2_test(before, window))
                codes = [_codes(sample, known) for sample in (before, window)]
                indices.append(stability_index(*codes, edges=np.arange(1, known.size + 1)))
            else:
                tests.append(ks_test(before, window))
                indices.append(stability_index(before, window, fix_edges(before, bins)))
        corrected = correct([test.p for test in tests]).tolist()
        for name, test, p, index in zip(columns, tests, corrected, indices, strict=True):
            readings.append(Reading(row, name, test.distance, p, index))
    return readings


# --- metrics of a service -------------------------------------------------------------------------------------------


def labels(**values: str) -> Labels:
    """Return labels as a sorted tuple of pairs, which can be a key."""
    return tuple(sorted(values.items()))


@dataclass
class Metric:
    """A number for each set of labels: a gauge, which goes up and down, or a counter, which only grows.

    A restart of the process sets a counter back to 0.
    """

    name: str
    help: str
    kind: Literal["counter", "gauge"]
    values: dict[Labels, float] = field(default_factory=dict)

    def add(self, amount: float = 1.0, **of: str) -> None:
        """Add an amount; to a counter, one of at least 0."""
        if self.kind == "counter" and not amount >= 0:
            raise ValueError(f"amount must be at least 0, got {amount}. A number that falls is a gauge.")
        self.values[labels(**of)] = self.values.get(labels(**of), 0.0) + amount

    def samples(self) -> Iterator[tuple[str, Labels, float]]:
        """Yield the suffix of the name, the labels and the value of each line."""
        yield from ((_suffix(self.kind), of, value) for of, value in self.values.items())


@dataclass
class Histogram:
    """Counts of values up to each bound, cumulated, for each set of labels."""

    name: str
    help: str
    bounds: Sequence[float] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    observed: dict[Labels, list[float]] = field(default_factory=dict)
    kind = "histogram"

    def observe(self, value: float, **of: str) -> None:
        """Count a value in every bucket whose bound is at least as large."""
        self.observed.setdefault(labels(**of), []).append(value)

    def buckets(self, **of: str) -> dict[float, float]:
        """Return the cumulated counts by bound, as `histogram_quantile` takes them."""
        values = np.array(self.observed.get(labels(**of), []))
        return {float(bound): float((values <= bound).sum()) for bound in (*self.bounds, math.inf)}

    def samples(self) -> Iterator[tuple[str, Labels, float]]:
        """Yield the suffix of the name, the labels and the value of each line."""
        for of, values in self.observed.items():
            for bound, count in self.buckets(**dict(of)).items():
                yield "_bucket", labels(**dict(of), le=_number(bound)), count
            yield "_count", of, float(len(values))
            yield "_sum", of, math.fsum(values)


def expose(metrics: Iterable[Metric | Histogram]) -> str:
    r"""Write metrics in Prometheus's text format. A help escapes \ and line feeds, a label's value " as well."""
    lines = []
    for metric in metrics:
        name = metric.name + _suffix(metric.kind)
        lines += [f"# HELP {name} {_escape(metric.help)}", f"# TYPE {name} {metric.kind}"]
        for suffix, of, value in metric.samples():
            pairs = ",".join(f'{key}="{_escape(text, quote=True)}"' for key, text in of)
            braces = f"{{{pairs}}}" if pairs else ""
            lines.append(f"{metric.name}{suffix}{braces} {_number(value)}")
    return "".join(f"{line}\n" for line in lines)


def rate(times: ArrayLike, values: ArrayLike, start: float, end: float) -> float:
    """Return the growth of a counter a second between two times, as `rate()` of Prometheus 3 extrapolates it.

    Samples after `start` and up to `end` count. Where a value falls the counter restarted at 0. The growth between the
    first and the last sample is stretched to both ends of the range, at the same slope; an end that is 1.1 mean gaps
    between samples away or farther counts as half a mean gap. The start is never stretched beyond the time at which
    the slope would make the counter 0: that is the first value over the growth, times the time between both samples.

    Args:
        times: ascending, of shape (n,).
        values: of the counter, of shape (n,), at least 0.
        start: where the range begins.
        end: where it ends, after its start.

    Returns:
        Growth a second; NaN with fewer than two samples in the range.

    Raises:
        ValueError: times that do not ascend, other shapes, a value below 0, or an end that is not after the start.
    """
    moments, counts = _counter(times, values, start, end)
    inside = (moments > start) & (moments <= end)
    moments, counts = moments[inside], counts[inside]
    if moments.size < 2:
        return math.nan
    steps = np.diff(counts)
    growth = np.where(steps < 0, counts[1:], steps).sum()
    covered = moments[-1] - moments[0]
    gap = covered / (moments.size - 1)
    before, after = moments[0] - start, end - moments[-1]
    if before >= 1.1 * gap:
        before = gap / 2
    if after >= 1.1 * gap:
        after = gap / 2
    if growth > 0:
        before = min(before, covered * counts[0] / growth)
    return float(growth * (covered + before + after) / covered / (end - start))


def histogram_quantile(q: float, buckets: Mapping[float, float]) -> float:
    """Return a quantile of a histogram, as Prometheus interpolates it.

    The rank is q times all counts. The quantile lies in the first bucket whose count reaches the rank, on the straight
    line between its bounds; the first bucket begins at 0. In the bucket up to infinity the answer is the bound before
    it, and in a first bucket whose bound is not above 0 the answer is this bound. Counts that fall from one bound to
    the next are raised to the one before.

    Args:
        q: from 0 to 1; below it is -infinity, above it infinity.
        buckets: cumulated counts by upper bound, in any order; the last bound is infinity.

    Returns:
        The quantile. NaN for q = NaN, no count, fewer than two buckets, none up to infinity, and for q = 0 where the
        first bucket begins at 0 and is empty.
    """
    if not 0 <= q <= 1:
        return math.nan if math.isnan(q) else math.copysign(math.inf, q)
    bounds = sorted(buckets)
    counts = np.maximum.accumulate([buckets[bound] for bound in bounds]).tolist()
    if len(bounds) < 2 or bounds[-1] != math.inf or counts[-1] == 0:
        return math.nan
    rank = q * counts[-1]
    place = next(place for place, count in enumerate(counts) if count >= rank)
    if place == len(bounds) - 1:
        return bounds[-2]
    if place == 0 and bounds[0] <= 0:
        return bounds[0]
    low, below = (bounds[place - 1], counts[place - 1]) if place > 0 else (0.0, 0.0)
    if counts[place] == below:
        return math.nan
    return low + (bounds[place] - low) * (rank - below) / (counts[place] - below)


# --- traces ---------------------------------------------------------------------------------------------------------


class Span(NamedTuple):
    """One piece of work in a trace.

    Attributes:
        id: 16 digits, or any name that is its own in the trace.
        parent: id of the span that caused it; None, or an id of another service, for the first one.
        name: of the work.
        start: in seconds.
        end: in seconds, not before the start.
        attributes: facts about the work, such as the number of tokens.
    """

    id: str
    parent: str | None
    name: str
    start: float
    end: float
    attributes: Mapping[str, Any] = {}


class Step(NamedTuple):
    """A stretch of time for which one span held the trace up."""

    span: str
    start: float
    end: float


class Context(NamedTuple):
    """What a request carries from service to service: its trace, the span that called, and whether it is recorded."""

    trace: str
    parent: str
    sampled: bool


def read_traceparent(header: str) -> Context | None:
    """Read a `traceparent` header of the W3C; None where it is invalid: the receiver then begins a trace of its own.

    A later version than 00 may go on after its four known fields. W3C, Trace Context (2021), section 3.2.
    """
    fields = re.fullmatch(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", header.strip(" \t"))
    if fields is None or fields[1] == "ff" or not fields[2].strip("0") or not fields[3].strip("0"):
        return None
    if fields[1] == "00" and fields[5] is not None:
        return None
    return Context(fields[2], fields[3], bool(int(fields[4], 16) & 1))


def write_traceparent(context: Context) -> str:
    """Write a `traceparent` header, version 00."""
    return f"00-{context.trace}-{context.parent}-{'01' if context.sampled else '00'}"


class Trace:
    """Spans of one request, recorded by `with trace.span("retrieve"):`. A span inside another is its child.

    Args:
        header: the `traceparent` that came with the request; without a valid one the trace is new, and recorded.
        clock: what tells the time, in seconds.
        source: what draws ids.
    """

    def __init__(
        self, header: str = "", clock: Callable[[], float] = time.perf_counter, source: random.Random | None = None
    ) -> None:
        self.source = source or random.SystemRandom()
        self.context = read_traceparent(header) or Context(f"{self._draw(128):032x}", "", True)
        self.clock, self.spans = clock, list[Span]()
        self.open: list[str] = [self.context.parent] if self.context.parent else []

    @contextmanager
    def span(self, name: str, **attributes: Any) -> Iterator[dict[str, Any]]:
        """Record the body as a span; it yields the attributes, which the body may add to."""
        own, parent = f"{self._draw(64):016x}", self.open[-1] if self.open else None
        self.open.append(own)
        start = self.clock()
        try:
            yield attributes
        finally:
            self.open.pop()
            self.spans.append(Span(own, parent, name, start, self.clock(), attributes))

    def header(self) -> str:
        """Return the `traceparent` to send along with a call, from within the span that makes it."""
        return write_traceparent(self.context._replace(parent=self.open[-1]))

    def _draw(self, bits: int) -> int:
        return self.source.getrandbits(bits) or 1


def critical_path(spans: Iterable[Span]) -> list[Step]:
    """Return who held a trace up, from the start of its first span to its end, without gaps.

    Go back from the end of a span. Of its children that ended by then, the last to end held it up: the path goes
    through this child, by the same rule, and back from its start; of children that end together, through the one that
    started first. Time after the last of them, between them and before the first is the span's own. A child counts
    for as long as its parent runs: it is cut where it begins earlier or ends later.

    Args:
        spans: of one trace, in any order. Exactly one has a parent that is not among them.

    Returns:
        Steps in the order of time, each of a length above 0; neighbours may be of the same span.

    Raises:
        ValueError: ids that repeat, no span or several that could be the first, a circle, an end before a start.
    """
    first, children = _family(spans)

    def back(span: Span, start: float, end: float) -> list[Step]:
        cut = [(min(child.end, end), max(child.start, start), child) for child in children[span.id]]
        steps, moment = [], end
        for high, low, child in sorted(cut, key=lambda piece: (-piece[0], piece[1])):
            if low < high <= moment:
                steps += [Step(span.id, high, moment), *back(child, low, high)]
                moment = low
        return [*steps, Step(span.id, start, moment)]

    return [step for step in reversed(back(first, first.start, first.end)) if step.end > step.start]


# --- alerts ---------------------------------------------------------------------------------------------------------

State = Literal["pending", "firing", "resolved"]


class AlertRule:
    """What becomes of alerts over time: pending, then firing, then resolved.

    Args:
        name: of the rule.
        hold: seconds for which the condition must have held before an alert fires (`for` in Prometheus).
    """

    def __init__(self, name: str, hold: float = 0.0) -> None:
        if not hold >= 0:
            raise ValueError(f"hold must be at least 0 seconds, got {hold}.")
        self.name, self.hold = name, hold
        self.since: dict[Hashable, float] = {}
        self.firing: set[Hashable] = set()

    def update(self, now: float, active: Iterable[Hashable]) -> dict[Hashable, State]:
        """Evaluate the rule once, and return the state of each alert.

        An alert is pending from the first evaluation in which its condition holds, and fires as soon as `hold` seconds
        have passed since: at once, if `hold` is 0. If the condition fails once, a pending alert is forgotten, and a
        firing one is resolved, which is told in this evaluation only. Alerts know nothing of each other. `since` keeps
        the times at which the conditions of the active alerts began to hold, `firing` the alerts that fire.

        Args:
            now: seconds.
            active: the alerts whose condition holds now, for example their labels.
        """
        self.since = {alert: self.since.get(alert, now) for alert in active}
        states: dict[Hashable, State] = {alert: "resolved" for alert in self.firing if alert not in self.since}
        self.firing = {alert for alert, begun in self.since.items() if now - begun >= self.hold}
        for alert in self.since:
            states[alert] = "firing" if alert in self.firing else "pending"
        return states


class BurnRule(NamedTuple):
    """Alert where a share of the error budget of `period` would be spent within the long window, and still is.

    Attributes:
        severity: whom it wakes.
        share: of the budget.
        long: seconds over which the budget is spent, so that it matters.
        short: seconds in which it is still being spent, so that the alert ends soon after the errors.
        period: seconds for which the budget is meant.
    """

    severity: str
    share: float
    long: float
    short: float
    period: float = 30 * 86_400.0

    @property
    def factor(self) -> float:
        """The burn rate that the rule asks for: 1 spends the budget in exactly the period."""
        return self.share * self.period / self.long


POLICY = (
    BurnRule("page", 0.02, 3_600, 300),
    BurnRule("page", 0.05, 21_600, 1_800),
    BurnRule("ticket", 0.10, 259_200, 21_600),
)
"""The rules that the Site Reliability Workbook recommends as a start: burn rates of 14.4, 6 and 1."""


def burning(
    times: ArrayLike,
    errors: ArrayLike,
    requests: ArrayLike,
    now: float,
    objective: float,
    policy: Iterable[BurnRule] = POLICY,
) -> list[BurnRule]:
    """Return the rules of a policy that hold now, in its order.

    The burn rate of a window is the share of requests that failed in it, by `rate`, over the share that may fail,
    1 - objective. A rule holds if the burn rates of both its windows are above its factor. A window without requests
    burns nothing.

    Args:
        times: ascending, of shape (n,).
        errors: counter of failed requests, of shape (n,).
        requests: counter of all requests, of shape (n,).
        now: where all windows end.
        objective: the share of requests that must succeed, between 0 and 1, neither included.
        policy: the rules.

    Raises:
        ValueError: an objective of 0 or less, or of 1 or more, or as `rate`.
    """
    if not 0 < objective < 1:
        raise ValueError(f"objective must be between 0 and 1, got {objective}. Write 99.9 % as 0.999.")

    def burn(window: float) -> float:
        failed, served = (rate(times, counter, now - window, now) for counter in (errors, requests))
        return failed / served / (1 - objective) if served > 0 else 0.0

    return [rule for rule in policy if burn(rule.long) > rule.factor and burn(rule.short) > rule.factor]


def group(alerts: Iterable[Labels], by: Sequence[str]) -> dict[Labels, list[Labels]]:
    """Put alerts together that agree in the labels `by`, so that an outage is one notification and not hundreds."""
    groups: dict[Labels, list[Labels]] = defaultdict(list)
    for alert in alerts:
        groups[tuple((name, dict(alert).get(name, "")) for name in by)].append(alert)
    return dict(groups)


# --- what the functions above share ---------------------------------------------------------------------------------


def _numbers(values: ArrayLike, name: str) -> np.ndarray:
    column = np.asarray(values, dtype=float)
    if column.ndim != 1 or column.size == 0:
        raise ValueError(f"{name} must hold numbers along one axis, at least one of them, got shape {column.shape}.")
    if not np.isfinite(column).all():
        raise ValueError(f"{name} must be finite, got {column[~np.isfinite(column)][0]}. Compare gaps by themselves.")
    return column


def _ascending(values: ArrayLike, name: str) -> np.ndarray:
    column = np.asarray(values, dtype=float)
    if column.ndim != 1 or not (np.diff(column) > 0).all():
        raise ValueError(f"{name} must ascend along one axis, got {column.tolist()!r:.80}.")
    return column


def _counter(times: ArrayLike, values: ArrayLike, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
    moments, counts = _ascending(times, "times"), np.asarray(values, dtype=float)
    if counts.shape != moments.shape:
        raise ValueError(f"values must have the shape of times, {moments.shape}, got {counts.shape}.")
    if not (counts >= 0).all():
        raise ValueError(f"values must be at least 0, got {counts[~(counts >= 0)][0]}. A counter only grows.")
    if not end > start:
        raise ValueError(f"end must be after start, got {end} and {start}.")
    return moments, counts


def _codes(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The place of each text among the known ones; after them, if it is none of them."""
    places = np.minimum(np.searchsorted(known, values), known.size - 1)
    return np.where(known[places] == values, places, known.size)


def _family(spans: Iterable[Span]) -> tuple[Span, dict[str, list[Span]]]:
    """The first span of a trace, and the children of each."""
    known: dict[str, Span] = {}
    children: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        if span.id in known:
            raise ValueError(f"spans must have ids of their own, got {span.id!r} twice.")
        if not span.end >= span.start:
            raise ValueError(f"spans must end after they start, got {span.start} to {span.end} for {span.id!r}.")
        known[span.id] = span
    for span in known.values():
        children[span.parent or ""].append(span)
    first = [span for span in known.values() if span.parent not in known]
    if len(first) != 1:
        raise ValueError(f"spans must have exactly one without a parent among them, got {len(first)}.")
    reached = list(first)
    for span in reached:
        reached += children[span.id]
    if len(reached) < len(known):
        raise ValueError(f"spans must all descend from {first[0].id!r}, got a circle of {len(known) - len(reached)}.")
    return first[0], children


def _suffix(kind: str) -> str:
    return "_total" if kind == "counter" else ""


def _escape(text: str, quote: bool = False) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quote else escaped


def _number(value: float) -> str:
    """A number as Go writes it: exponents from 10 million on, and infinity with its sign."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    digits = "NaN" if math.isnan(value) else repr(float(value))
    point = digits.find(".")
    if value > 0 and point > 6:
        return f"{f'{digits[0]}.{digits[1:point]}{digits[point + 1 :]}'.rstrip('0.')}e+{point - 1:02d}"
    return digits

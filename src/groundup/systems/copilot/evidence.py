"""From log records to the few lines that hold the root cause, without any language model.

1. Each record falls into a group: same origin, level and message, values masked. A group remembers where its lines are,
   not what they say, but for the first few: memory grows by twelve bytes a line.
2. A group is weighed by how grave it is (`signs`), how rare, whether it is new, and whether it comes in a burst.
3. If nothing is grave enough, the answer is that there is nothing.
4. Otherwise at most twenty lines: the first line of each failing group, its exception, what changed shortly before the
   first failure, warnings that rise, measurements that leave their usual range, what fell silent.

Not covered: failures that only a person who knows the system could see (a wrong price, a missing order).
"""

from __future__ import annotations

import math
import re
import statistics
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from groundup.errors import UsageError
from groundup.systems.copilot import signs
from groundup.systems.copilot.logs import EXCEPTION, Record
from groundup.systems.copilot.masking import Masker
from groundup.systems.copilot.signs import ERROR, FAILURE, MENTION, WARNING, Gravity
from groundup.systems.copilot.templates import Miner

MOST = 20
KEPT = 3  # whole records that a group keeps
SURPRISE = 1e-3  # how unlikely something must be by chance before it is said
CHANGE = "a change"  # how the reason of a line begins that tells of one before the first failure
NEAR = 600.0  # seconds before the first failure in which a change is of interest


@dataclass(frozen=True)
class Evidence:
    """One line that belongs to the root cause.

    Attributes:
        number: the line in the file, from 1.
        text: the line as it stands there.
        time: seconds since 1970 in UTC; None where the line has no time.
        service: what wrote it, as far as the line says.
        level: its level, where it names one.
        reasons: why it is shown, in words; the most telling first.
        score: how much it counts; comparable within one answer only.
        source: the file that it is from.
    """

    number: int
    text: str
    time: float | None
    service: str | None
    level: str | None
    reasons: tuple[str, ...]
    score: float
    source: str = ""


@dataclass(slots=True)
class _Series:
    """The values of one measurement, and the records in which it went half as high again as ever before."""

    values: array[float] = field(default_factory=lambda: array("d"))
    peaks: list[tuple[int, Record]] = field(default_factory=list)
    highest: float = -math.inf

    def append(self, value: float, record: Record) -> None:
        if value > self.highest and value > 0:
            self.peaks.append((len(self.values), record))
            self.highest = 1.5 * value
        self.values.append(value)


@dataclass(slots=True)
class _Group:
    """Records with the same origin, level and masked message."""

    masked: str
    level: str | None
    service: str | None
    gravity: Gravity
    kept: list[tuple[int, Record]] = field(default_factory=list)  # position in the stream, record
    positions: array[int] = field(default_factory=lambda: array("I"))
    times: array[float] = field(default_factory=lambda: array("d"))
    last: Record | None = None
    metric: bool = False
    series: dict[str, _Series] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.positions)

    @property
    def first(self) -> Record:
        return self.kept[0][1]


@dataclass(slots=True)
class _Stream:
    """All groups of a stream, and how long it is."""

    groups: dict[tuple[str | None, str | None, int, str], _Group] = field(default_factory=dict)
    length: int = 0
    begin: float = math.inf
    end: float = -math.inf


def why(records: Iterable[Record], *, most: int = MOST) -> list[Evidence]:
    """The lines that hold the root cause, in the order of the log; an empty list when nothing is wrong."""
    if not 1 <= most <= MOST:
        raise UsageError(f"most must be from 1 to {MOST}, got {most}. More lines are a log again, not an answer.")
    stream = _gather(records)
    judged = [_judge(group, stream) for group in stream.groups.values()]
    failing = [one for one in judged if one.failing]
    drifts, silent = list(_drifts(stream)), list(_silent(stream))
    if not failing and not drifts and not any(one.regular for one in silent):
        return []
    return _choose(stream, judged, failing, drifts, silent, most)


# ── 1. gather ───────────────────────────────────────────────────────────────────────────────────────────────────────
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")


def _gather(records: Iterable[Record]) -> _Stream:
    stream, masker = _Stream(), Masker()
    metric_keys: dict[str, bool] = {}
    for position, record in enumerate(records):
        masked = masker(record.message)
        status = record.status
        key = (record.service, record.level, (status or 0) // 100, masked)
        group = stream.groups.get(key)
        if group is None:
            weight = signs.gravity(record.message, record.level, status, record.fields, bool(record.joined))
            group = stream.groups[key] = _Group(masked, record.level, record.service, weight)
            group.metric = "<*>" in masked and signs.is_metric(masked)
        elif record.joined and group.gravity.weight < FAILURE:
            group.gravity = Gravity(FAILURE, "carries an exception")
        if len(group.kept) < KEPT:
            group.kept.append((position, record))
        group.last = record
        group.positions.append(position)
        if (time := record.time) is not None:
            group.times.append(time)
            stream.begin = min(stream.begin, time)
            stream.end = max(stream.end, time)
        for name, value in record.fields.items():
            if type(value) in (int, float):
                measures = metric_keys.get(name)
                if measures is None:
                    measures = metric_keys[name] = signs.is_metric(name)
                if measures:
                    _series(group, name).append(value, record)
        if group.metric:
            for index, value in enumerate(_NUMBER.findall(record.message)[:4]):
                _series(group, f"#{index + 1}").append(float(value), record)
        stream.length = position + 1
    return stream


def _series(group: _Group, name: str) -> _Series:
    series = group.series.get(name)
    if series is None:
        series = group.series[name] = _Series()
    return series


# ── 2. judge ────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(slots=True)
class _Judged:
    """A group with its weight and the reasons in words."""

    group: _Group
    score: float
    reasons: list[str]
    new: bool
    burst: float
    failing: bool


def _judge(group: _Group, stream: _Stream) -> _Judged:
    weight, length = group.gravity.weight, stream.length
    reasons = [group.gravity.reason] if group.gravity.reason else []
    share = group.count / length
    # How likely it is that all of a message's lines come so late, if they come at random.
    late = (1 - group.positions[0] / length) ** group.count
    new = late < SURPRISE and group.positions[0] > 20
    burst = _burst(group, stream)
    score = float(weight) + min(2.0, -math.log10(share) / 3 if share < 1 else 0)
    if group.count == 1 and length > 20:
        reasons.append(f"appears only once in {length:,} lines")
    elif new:
        reasons.append(f"first time this message appears, after {group.positions[0]:,} lines without it")
        score += 1
    elif share < 0.01:
        reasons.append(f"rare: {group.count:,} of {length:,} lines")
    if burst >= 3:
        reasons.append(f"{burst:,.0f} × more often than before" if burst < 1e6 else "comes in a burst")
        score += min(1.0, math.log10(burst) / 2)
    unusual = new or burst >= 5 or (share < 0.001 and length > 1000)
    if weight >= ERROR:
        failing = True
    elif weight == FAILURE:  # words of a failure, and no level that says so
        failing = unusual or group.count <= KEPT or (share > 0.02 and group.level is None)
    else:
        rises = (new or burst >= 10) and group.count >= KEPT
        failing = weight == WARNING and rises and (group.count >= 5 or signs.is_failure(group.first.message))
    return _Judged(group, score, reasons, new, burst, failing)


def _burst(group: _Group, stream: _Stream) -> float:
    """How many times more often the group comes in its densest twentieth of the log than before; at least 1."""
    if group.count < 5 or stream.length < 100:
        return 1.0
    windows = 20
    counts = [0] * windows
    timed = len(group.times) == group.count and stream.end - stream.begin > 60
    if timed:
        span = stream.end - stream.begin
        for time in group.times:
            counts[min(windows - 1, int((time - stream.begin) / span * windows))] += 1
    else:
        for position in group.positions:
            counts[position * windows // stream.length] += 1
    peak = max(range(windows), key=counts.__getitem__)
    if peak == 0:
        return 1.0
    before = sum(counts[:peak]) / peak
    ratio = counts[peak] / max(before, 0.2)
    # A count that chance alone makes is no burst: three standard deviations of a Poisson count.
    return ratio if counts[peak] > before + 3 * math.sqrt(before + 1) + 2 and before > 0 else 1.0


# ── 3. measurements that leave their range, and what fell silent ────────────────────────────────────────────────────
@dataclass(slots=True)
class _Drift:
    group: _Group
    reason: str
    record: Record
    position: int
    factor: float


def _drifts(stream: _Stream) -> Iterator[_Drift]:
    """Measurements whose level moves for good to a multiple of what it was."""
    for group in stream.groups.values():
        for name, measured in group.series.items():
            series = measured.values
            if len(series) < 60 or len(series) != group.count:
                continue
            size = len(series) // 20
            levels = [statistics.median(series[i * size : (i + 1) * size]) for i in range(20)]
            usual = statistics.median(levels[:10])
            spread = max(statistics.median(abs(v - usual) for v in series[: 10 * size]), abs(usual) * 0.05, 1e-9)
            peak = max(range(20), key=levels.__getitem__)
            if peak < 3 or usual <= 0 or levels[peak] < 3 * usual or levels[peak] - usual < 8 * spread:
                continue
            if all(a <= b for a, b in pairwise(series)):
                continue  # a counter only counts
            crossing = next(
                i for i, v in enumerate(series) if i >= 3 * size and v > usual + 4 * spread and v > 2 * usual
            )
            index, record = next((one for one in measured.peaks if one[0] >= crossing), measured.peaks[-1])
            label = "the number in it" if name.startswith("#") else name
            yield _Drift(
                group, f"{label} rises to about {levels[peak]:g} where it was about {usual:g}", record,
                group.positions[index], levels[peak] / usual,
            )  # fmt: skip


@dataclass(slots=True)
class _Silence:
    group: _Group
    regular: bool  # like a clock, so that its silence alone tells of a failure


def _silent(stream: _Stream) -> Iterator[_Silence]:
    """Groups that came steadily and then no more, while the log went on."""
    for group in stream.groups.values():
        if group.count < 30 or group.gravity.weight > MENTION:
            continue
        span = group.positions[-1] - group.positions[0]
        rest = stream.length - 1 - group.positions[-1]
        if span > 0.2 * stream.length and rest > 0.1 * stream.length and group.count / (span + 1) * rest > 15:
            yield _Silence(group, _is_regular(group, stream))


def _is_regular(group: _Group, stream: _Stream) -> bool:
    """Whether a group came at even intervals, and is missing for at least thirty of them."""
    if len(group.times) != group.count:
        return False
    gaps = [b - a for a, b in pairwise(group.times)]
    mean = statistics.fmean(gaps)
    return mean > 0 and statistics.pstdev(gaps) < 0.3 * mean and stream.end - group.times[-1] > 30 * mean


# ── 4. choose ───────────────────────────────────────────────────────────────────────────────────────────────────────
def _choose(
    stream: _Stream,
    judged: list[_Judged],
    failing: list[_Judged],
    drifts: list[_Drift],
    silent: list[_Silence],
    most: int,
) -> list[Evidence]:
    chosen: dict[tuple[str, int], Evidence] = {}

    def add(record: Record, reasons: list[str], score: float) -> None:
        key = (record.source, record.number)
        if len(chosen) < most and key not in chosen:
            chosen[key] = Evidence(
                record.number,
                record.text,
                record.time,
                record.service,
                record.level,
                tuple(reasons),
                round(score, 2),
                record.source,
            )

    failing.sort(key=lambda one: (-one.score, one.group.positions[0]))
    onset = min(failing, key=lambda one: one.group.positions[0], default=None)
    signs_of_it = [drift.position for drift in drifts] + [one.group.positions[-1] for one in silent]
    start = onset.group.positions[0] if onset else min(signs_of_it)
    if onset is not None and len(failing) > 1:
        onset.reasons.insert(
            0,
            f"the first failure; {_count(len(failing) - 1, 'other kind')} after it",
        )
        onset.score += 2
        failing.sort(key=lambda one: (-one.score, one.group.positions[0]))
    for one in _one_of_each(failing, most - 6 if len(failing) > most - 6 else most):
        add(one.group.first, one.reasons + _exception(one.group.first), one.score)
    for change, reasons in _changes(stream, judged, start)[:3]:
        add(change, reasons, 2.5)
    for record, reason in _details(stream, judged, failing)[:4]:
        add(record, [reason], 2.2)
    warnings = [
        one for one in judged if not one.failing and one.group.gravity.weight in (WARNING, FAILURE) and _telling(one)
    ]
    warnings.sort(key=lambda one: (-one.score, one.group.positions[0]))
    for one in warnings[:4]:
        add(one.group.first, one.reasons, one.score)
    for drift in sorted(drifts, key=lambda d: -d.factor)[:3]:
        add(drift.record, [drift.reason], 2.0)
    for one in sorted(silent, key=lambda one: (not one.regular, -one.group.count))[:2]:
        if one.group.last is not None:
            add(one.group.last, [f"came {one.group.count:,} times until here, then never again"], 1.5)
    for one in failing:
        add(one.group.first, one.reasons, one.score)
    for one in failing:  # room that is left shows rare failures again, with other values
        if one.group.count <= KEPT:
            for _, record in one.group.kept[1:]:
                add(record, ["the same failure again"], one.score - 1)
    return sorted(chosen.values(), key=lambda one: (one.source, one.number))


def _telling(warning: _Judged) -> bool:
    """Whether a warning tells something: one that comes all the time belongs to the usual noise."""
    return (
        warning.new
        or warning.burst >= 3
        or warning.group.count <= KEPT
        or signs.is_failure(warning.group.first.message)
    )


def _one_of_each(failing: list[_Judged], most: int) -> list[_Judged]:
    """The best of each message first, whatever service wrote it; then the others."""
    miner = Miner()  # messages that differ in names only are one kind
    numbers = [miner.add(one.group.masked) for one in failing]
    seen: set[int] = set()
    best, others = [], []
    for one, number in zip(failing, numbers, strict=True):
        kind = miner.template_of(number)
        (others if kind in seen else best).append(one)
        seen.add(kind)
    return (best + others)[:most]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _exception(record: Record) -> list[str]:
    """The last exception that a record carries: in Python and in Java it is the cause that is nearest to the fault."""
    causes = [line.strip() for line in record.joined if line.lstrip().startswith("Caused by:")]
    raised = [line.strip() for line in record.joined if EXCEPTION.match(line)]
    found = causes[-1:] or raised[-1:]
    return [f"its exception: {found[0][:200]}"] if found else []


def _details(stream: _Stream, judged: list[_Judged], failing: list[_Judged]) -> list[tuple[Record, str]]:
    """Lines that say nothing grave, and come only right after lines that do: addresses, parameters, states."""
    grave = {position for one in failing for position in one.group.positions}
    found: list[tuple[int, Record, str]] = []
    for one in judged:
        group = one.group
        if one.failing or group.gravity.weight > MENTION or group.count > len(grave):
            continue
        after = sum(position - 1 in grave for position in group.positions)
        if after >= 0.9 * group.count and (group.count > 1 or group.level is None):
            by_chance = len(grave) / stream.length
            if group.count > 2 and by_chance**group.count > 0.5:
                continue
            times = f"{group.count:,} times" if group.count > 1 else "once"
            found.append((-after, group.first, f"comes {times}, right after a failure"))
    return [(record, reason) for _, record, reason in sorted(found, key=lambda one: (one[0], one[1].number))]


def _changes(stream: _Stream, judged: list[_Judged], start: int) -> list[tuple[Record, list[str]]]:
    """Rare lines before the first failure that tell of a change, the nearest first."""
    found: list[tuple[int, Record, list[str]]] = []
    for one in judged:
        group = one.group
        if group.count > KEPT or group.gravity.weight >= WARNING:
            continue
        for position, record in group.kept:
            if position >= start:
                continue
            near = start - position <= max(20, stream.length // 50)
            changed = signs.is_change(record.message, strong=not near)
            if changed or near:
                what = CHANGE if changed else "unusual"
                found.append(
                    (
                        start - position + (0 if changed else 1000),
                        record,
                        [f"{what}, {_count(start - position, 'line')} before the first failure"],
                    )
                )
    return [(record, reasons) for _, record, reasons in sorted(found, key=lambda one: one[0])]

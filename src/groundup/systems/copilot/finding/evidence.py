"""From log records to the few lines that hold the root cause, without any language model.

1. Each record falls into a group: same origin, level and message, values masked. A group remembers where its lines are,
   not what they say, but for the first few: memory grows by twelve bytes a line.
2. A group is weighed by how grave it is (`signs`), how rare, whether it is new, and whether it comes in a burst.
   Failures that come evenly all along, and are few, are what this system always says: no incident.
3. If nothing is grave enough, the answer is that there is nothing.
4. Otherwise at most twenty lines: where each failing group begins, its exception, what changed shortly before the first
   failure, warnings that rise, measurements that leave their usual range, what fell silent, what was never said before.

Not covered: failures that only a person who knows the system could see (a wrong price, a missing order).
"""

from __future__ import annotations

import math
import statistics
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise

from groundup.errors import UsageError
from groundup.masking import Masker
from groundup.systems.copilot.finding import signs
from groundup.systems.copilot.finding.signs import ERROR, FAILURE, MENTION, WARNING, Gravity
from groundup.systems.copilot.finding.templates import Miner
from groundup.systems.copilot.reading.joining import EXCEPTION
from groundup.systems.copilot.reading.logs import Record
from groundup.systems.copilot.reading.times import extent

MOST = 20
KEPT = 3  # whole records that a group keeps
SURPRISE = 1e-3  # how unlikely something must be by chance before it is said
CHANGE = "a change"  # how the reason of a line begins that tells of one before the first failure
SAMPLE = 64  # records of a failing group that are kept besides, evenly spread, so that one of them is in any burst
ROUTINE = 0.05  # the share of lines that may fail as a matter of routine: where more do, they are the incident
FEWEST, LONG = 20, 1_000  # of how many lines, in how many, it can be told whether they come evenly
SCALES = (20, 200)  # into how many windows a log is cut to look for bursts


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
    peaks: list[tuple[float, Record]] = field(default_factory=list)  # value, record
    highest: float = -math.inf

    def append(self, value: float, record: Record) -> None:
        if not -1e300 < value < 1e300:
            return
        if value > self.highest and value > 0:
            self.peaks.append((value, record))
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
    sample: list[tuple[int, Record]] = field(default_factory=list)  # of failures: index in the group, record
    stride: int = 1
    last: Record | None = None
    metric: bool = False
    series: dict[str, _Series] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.positions)

    @property
    def first(self) -> Record:
        return self.kept[0][1]

    def take_sample(self, record: Record) -> None:
        """Keep every so many-th record: always from half of `SAMPLE` to all of it."""
        if len(self.positions) % self.stride == 0:
            self.sample.append((len(self.positions), record))
            if len(self.sample) == SAMPLE:
                self.stride *= 2
                self.sample = self.sample[::2]


@dataclass(slots=True)
class _Stream:
    """All groups of a stream, and how long it is."""

    groups: dict[tuple[str | None, str | None, int, str], _Group] = field(default_factory=dict)
    length: int = 0
    begin: float = math.inf
    end: float = -math.inf


def why(records: Iterable[Record], *, most: int = MOST, whole: Callable[[], bool] = lambda: True) -> list[Evidence]:
    """The lines that hold the root cause, in the order of the log; an empty list when nothing is wrong.

    Args:
        records: what was logged.
        most: how many lines at most.
        whole: asked behind the last record: whether these are all. Where a log was cut, failures that come evenly are
            shown too: nobody knows what they led to.
    """
    if not 1 <= most <= MOST:
        raise UsageError(f"most must be from 1 to {MOST}, got {most}. More lines are a log again, not an answer.")
    stream = _gather(records)
    judged = [_judge(group, stream) for group in stream.groups.values()]
    if whole():
        _excuse(judged, stream)
    failing = [candidate for candidate in judged if candidate.failing]
    drifts, silent = list(_drifts(stream)), list(_silent(stream))
    if not failing and not drifts and not any(silence.regular for silence in silent):
        return []
    return _choose(stream, judged, failing, drifts, silent, most)


# ── 1. gather ───────────────────────────────────────────────────────────────────────────────────────────────────────
def _gather(records: Iterable[Record]) -> _Stream:
    stream, masker = _Stream(), Masker()
    metric_keys: dict[str, bool] = {}
    for position, record in enumerate(records):
        masked = masker(record.message)
        status = record.status
        key = (record.service, record.level, (status or 0) // 100, masked)
        group = stream.groups.get(key)
        if group is None:
            weight = signs.gravity(record.message, record.level, status, record.fields, record.exception)
            group = stream.groups[key] = _Group(masked, record.level, record.service, weight)
            group.metric = "<*>" in masked and bool(signs.quantities(record.message))
        elif record.exception and group.gravity.weight < FAILURE:
            group.gravity = Gravity(FAILURE, "carries an exception")
        if len(group.kept) < KEPT:
            group.kept.append((position, record))
        group.last = record
        if group.gravity.weight >= WARNING:
            group.take_sample(record)
        group.positions.append(position)
        if (time := record.time) is not None:
            group.times.append(time)
        for name, value in record.fields.items():
            measures = metric_keys.get(name)
            if measures is None:
                measures = metric_keys[name] = signs.is_metric(name)
            if not measures:
                continue
            if type(value) in (int, float):
                _series(group, name).append(value, record)
            elif type(value) is str and (read := signs.quantity(value)) is not None:
                _series(group, f"{name} in {read[1]}" if read[1] else name).append(read[0], record)
        if group.metric:
            for index, (value, unit) in enumerate(signs.quantities(record.message)[:4]):
                _series(group, f"#{index + 1} in {unit}" if unit else f"#{index + 1}").append(value, record)
        stream.length = position + 1
    span = extent(chain.from_iterable(group.times for group in stream.groups.values()))
    if span is not None:
        stream.begin, stream.end = span
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
    position: int  # where it begins to be of interest: its first line, or the first one of its burst
    record: Record  # the line there, or shortly after it
    routine: bool = False


def _judge(group: _Group, stream: _Stream) -> _Judged:
    weight, length = group.gravity.weight, stream.length
    reasons = [group.gravity.reason] if group.gravity.reason else []
    share = group.count / length
    new = _is_new(group.positions, stream)
    burst, begin = _burst(group.positions, group.times, stream) if weight >= WARNING else (1.0, 0)
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
    if new or burst < 3:
        return _Judged(group, score, reasons, new, burst, failing, group.positions[0], group.first)
    index, record = next((entry for entry in group.sample if entry[0] >= begin), group.sample[-1])
    return _Judged(group, score, reasons, new, burst, failing, group.positions[index], record)


def _is_new(positions: Sequence[int], stream: _Stream) -> bool:
    """Whether chance alone would not bring the first of so many lines so late."""
    late = (1 - positions[0] / stream.length) ** len(positions)
    return late < SURPRISE and positions[0] > 20


def _places(positions: Sequence[int], times: Sequence[float], stream: _Stream, windows: int) -> list[list[int]]:
    """In which window each line is, among the lines and by the clock.

    What tells of trouble is out of the ordinary in both. Among the lines alone, it may be that all others are fewer, as
    they are at night; by the clock alone, that all are more.
    """
    places = [[position * windows // stream.length for position in positions]]
    span = stream.end - stream.begin
    if len(times) == len(positions) and span > 60:
        places.append([max(0, min(windows - 1, int((time - stream.begin) / span * windows))) for time in times])
    return places


def _burst(positions: Sequence[int], times: Sequence[float], stream: _Stream) -> tuple[float, int]:
    """How many times more often lines come in their densest window than before, at least 1; which line begins it."""
    if len(positions) < 10 or stream.length < 100:
        return 1.0, 0
    scales = (_places(positions, times, stream, windows) for windows in SCALES)
    return max(
        min(_densest(positions, windows) for positions in places)
        for places, windows in zip(scales, SCALES, strict=True)
    )


def _densest(places: list[int], windows: int) -> tuple[float, int]:
    """How many times more lines the fullest window has than is usual, and with which line the burst begins.

    What is usual is told by the windows before it, where they are a fourth or more; else by all others.
    """
    counts = [0] * windows
    for place in places:
        counts[place] += 1
    peak = max(range(windows), key=counts.__getitem__)
    most = counts[peak]
    usual = sum(counts[:peak]) / peak if peak >= windows // 4 else (len(places) - most) / (windows - 1)
    if usual <= 0 or most <= 3 * usual or most < 10 or _is_chance(most, usual, windows):
        return 1.0, 0
    begin = peak  # a burst may be longer than a window
    while begin and counts[begin - 1] > max(3 * usual, 1):
        begin -= 1
    return most / max(usual, 0.2), places.index(begin)


def _is_chance(most: int, usual: float, windows: int) -> bool:
    """Whether chance may bring so many into one of the windows: Chernoff's bound of the tail of a Poisson count."""
    return math.log(windows) + most - usual - most * math.log(most / usual) > math.log(SURPRISE)


def _excuse(judged: list[_Judged], stream: _Stream) -> None:
    """Let failures pass that come evenly from the beginning to the end, as long as they are few.

    Messages that differ in a name count together: each name alone may be too rare to tell. Logins that are refused may
    be as many as they like: the one who refuses them is well.
    """
    miner = Miner()
    families: dict[tuple[str | None, int], list[_Judged]] = {}
    grave = [candidate for candidate in judged if candidate.group.gravity.weight >= WARNING]
    numbers = [miner.add(candidate.group.masked) for candidate in grave]
    for candidate, number in zip(grave, numbers, strict=True):
        families.setdefault((candidate.group.level, miner.template_of(number)), []).append(candidate)
    routine = [family for family in families.values() if _is_routine([candidate.group for candidate in family], stream)]
    others = [family for family in routine if not signs.is_refusal(family[0].group.first.message)]
    if (
        sum(candidate.group.count for family in others for candidate in family if candidate.failing)
        > ROUTINE * stream.length
    ):
        routine = [family for family in routine if family not in others]
    for candidate in (candidate for family in routine for candidate in family):
        candidate.routine = not candidate.new and candidate.burst < 3
        candidate.failing &= not candidate.routine


def _is_routine(family: list[_Group], stream: _Stream) -> bool:
    """Whether messages of one kind are neither new nor grave, and come neither in a burst nor in fits."""
    message, positions = family[0].first.message, sorted(chain.from_iterable(group.positions for group in family))
    fatal = family[0].level == "fatal" and not signs.is_refusal(message)
    if len(positions) < FEWEST or stream.length < LONG or fatal or signs.is_grave(message):
        return False
    times = list(chain.from_iterable(group.times for group in family))
    if _is_new(positions, stream) or _burst(positions, times, stream)[0] > 1:
        return False
    windows = SCALES[-1]
    usual = len(positions) / windows
    counts = [Counter(places) for places in _places(positions, times, stream, windows)]
    variance = min(sum((row[i] - usual) ** 2 for i in range(windows)) / windows for row in counts)
    return variance < 3 * usual  # of what comes independently they are equal


# ── 3. measurements that leave their range, and what fell silent ────────────────────────────────────────────────────
@dataclass(slots=True)
class _Drift:
    group: _Group
    reason: str
    record: Record
    position: int
    factor: float


def _drifts(stream: _Stream) -> Iterator[_Drift]:
    """Measurements whose level moves for good to a multiple of what it was, or all along, or in a part of the lines."""
    for group in stream.groups.values():
        for name, measured in group.series.items():
            series = measured.values
            if len(series) < 60 or len(series) != group.count:
                continue
            if all(a <= b for a, b in pairwise(series)) and not signs.is_held(name):
                continue  # a counter, which only counts; memory that is held should fall again
            size = len(series) // 20
            levels = [statistics.median(series[i * size : (i + 1) * size]) for i in range(20)]
            rise = _rise(series, levels) or _slope(levels) or _some_rise(series, size)
            if rise is None:
                continue
            reached = (record for value, record in measured.peaks if value >= rise.level)
            record = next(reached, measured.peaks[-1][1])
            label, _, unit = name.partition(" in ")
            label = "the number in it" if label.startswith("#") else label
            part = f" in {rise.share:.0%} of its lines" if rise.share < 1 else ""
            level, usual = _amount(rise.level, unit), _amount(rise.usual, unit)
            reason = f"{label} rises to about {level}{part} where it was about {usual}"
            yield _Drift(group, reason, record, group.positions[rise.begin * size], rise.level / rise.usual)


def _amount(value: float, unit: str) -> str:
    """A quantity for a reader."""
    return f"{value / 2**20:.4g} MiB" if unit == "bytes" else f"{value:.3g} {unit}".strip()


@dataclass(slots=True)
class _Rise:
    usual: float
    level: float
    begin: int  # the first of the twenty parts of the series in which it is higher
    share: float = 1.0  # of the lines that have risen


def _rise(series: array[float], levels: list[float]) -> _Rise | None:
    """All values leave the range that they had in the first half."""
    usual, size = statistics.median(levels[:10]), len(series) // 20
    spread = max(statistics.median(abs(v - usual) for v in series[: 10 * size]), abs(usual) * 0.05, 1e-9)
    peak = max(range(20), key=levels.__getitem__)
    if peak < 3 or usual <= 0 or levels[peak] < 3 * usual or levels[peak] - usual < 8 * spread:
        return None
    begin = next(i for i in range(3, 20) if levels[i] > max(usual + 4 * spread, 2 * usual))
    return _Rise(usual, levels[peak], begin)


def _slope(levels: list[float]) -> _Rise | None:
    """The level rises from part to part, threefold in all."""
    falls = sum(a > b for i, a in enumerate(levels) for b in levels[i + 1 :])
    if levels[0] <= 0 or levels[-1] < 3 * levels[0] or falls > 9:  # of 190 pairs: Kendall's tau of 0.9
        return None
    return _Rise(levels[0], levels[-1], next(i for i, level in enumerate(levels) if level > 2 * levels[0]))


def _some_rise(series: array[float], size: int) -> _Rise | None:
    """A tenth of the values or more are three times what is usual, and no such share was in the first two fifths."""
    learnt = 8
    usual = statistics.median(series[: learnt * size])
    if size < 20 or usual <= 0:
        return None
    high = [sum(value > 3 * usual for value in series[i * size : (i + 1) * size]) for i in range(20)]
    before = (sum(high[:learnt]) + 1) / learnt
    peak = max(range(learnt, 20), key=high.__getitem__)
    if high[peak] < 2 * before + 0.1 * size or _is_chance(high[peak], before, 20):
        return None
    level = statistics.median(value for value in series[peak * size : (peak + 1) * size] if value > 3 * usual)
    begin = next(i for i in range(learnt, 20) if high[i] > (before + high[peak]) / 2)
    return _Rise(usual, level, begin, high[peak] / size)


@dataclass(slots=True)
class _Silence:
    group: _Group
    regular: bool  # like a clock, so that its silence alone tells of a failure


def _silent(stream: _Stream) -> Iterator[_Silence]:
    """Groups that came steadily and then no more, at any level, while the log went on."""
    last: dict[tuple[str | None, str], int] = {}
    for group in stream.groups.values():
        message = (group.service, group.masked)
        last[message] = max(last.get(message, 0), group.positions[-1])
    for group in stream.groups.values():
        if (
            group.count < 30
            or group.gravity.weight > MENTION
            or last[group.service, group.masked] > group.positions[-1]
        ):
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

    onset = min(failing, key=lambda candidate: candidate.position, default=None)
    signs_of_it = [drift.position for drift in drifts] + [silence.group.positions[-1] for silence in silent]
    start = onset.position if onset else min(signs_of_it)
    if onset is not None and len(failing) > 1:
        onset.reasons.insert(
            0,
            f"the first failure; {_count(len(failing) - 1, 'other kind')} after it",
        )
        onset.score += 2
    failing.sort(key=lambda candidate: (-candidate.score, candidate.position))
    shown = _one_of_each(failing, most - 6 if len(failing) > most - 6 else most)
    for candidate in shown:
        add(candidate.record, candidate.reasons, candidate.score)
    for change, reasons in _changes(stream, judged, start)[:3]:
        add(change, reasons, 2.5)
    for candidate in shown[:4]:
        if (exception := _exception(candidate.record)) is not None:
            add(exception, [f"the exception of line {candidate.record.number:,}"], candidate.score - 0.5)
    for record, reason in _details(stream, judged, failing)[:4]:
        add(record, [reason], 2.2)
    warnings = [
        candidate
        for candidate in judged
        if not candidate.failing
        and not candidate.routine
        and candidate.group.gravity.weight in (WARNING, FAILURE)
        and _telling(candidate)
    ]
    warnings.sort(key=lambda candidate: (-candidate.score, candidate.position))
    for candidate in warnings[:4]:
        add(candidate.record, candidate.reasons, candidate.score)
    for drift in sorted(drifts, key=lambda d: -d.factor)[:3]:
        add(drift.record, [drift.reason], 2.0)
    for silence in sorted(silent, key=lambda silence: (not silence.regular, -silence.group.count))[:2]:
        if silence.group.last is not None:
            add(silence.group.last, [f"came {silence.group.count:,} times until here, then never again"], 1.5)
    for candidate in failing:
        add(candidate.record, candidate.reasons, candidate.score)
    for candidate in _unheard(judged, start)[:3]:
        add(candidate.record, candidate.reasons, 1.0)
    for candidate in failing:  # room that is left shows rare failures again, with other values
        if candidate.group.count <= KEPT:
            for _, record in candidate.group.kept[1:]:
                add(record, ["the same failure again"], candidate.score - 1)
    routine = [candidate for candidate in judged if candidate.routine and candidate.group.gravity.weight >= FAILURE]
    for candidate in sorted(routine, key=lambda candidate: -candidate.score)[:3]:
        add(candidate.record, [f"comes evenly from the beginning to the end, {candidate.group.count:,} times"], 0.5)
    return sorted(chosen.values(), key=lambda piece: (piece.source, piece.number))


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
    numbers = [miner.add(candidate.group.masked) for candidate in failing]
    seen: set[int] = set()
    best, others = [], []
    for candidate, number in zip(failing, numbers, strict=True):
        kind = miner.template_of(number)
        (others if kind in seen else best).append(candidate)
        seen.add(kind)
    return (best + others)[:most]


def _unheard(judged: list[_Judged], start: int) -> list[_Judged]:
    """Messages without any word of a failure that come often, and not before it."""
    harmless = [candidate for candidate in judged if candidate.group.gravity.weight < WARNING]
    messages = {candidate.group.masked for candidate in harmless if candidate.position < start}
    newcomers = [
        candidate
        for candidate in harmless
        if candidate.new and candidate.group.masked not in messages and candidate.group.count > KEPT
    ]
    return sorted(newcomers, key=lambda candidate: candidate.position)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _exception(record: Record) -> Record | None:
    """The line of the last exception that a record carries: in Python and in Java the cause nearest to the fault."""
    causes = [i for i, line in enumerate(record.joined) if line.lstrip().startswith("Caused by:")]
    raised = [i for i, line in enumerate(record.joined) if EXCEPTION.match(line)]
    last = (causes or raised)[-1:]
    return replace(record, number=record.number + record.below[last[0]], text=record.joined[last[0]]) if last else None


def _details(stream: _Stream, judged: list[_Judged], failing: list[_Judged]) -> list[tuple[Record, str]]:
    """Lines that say nothing grave, and come only right after lines that do: addresses, parameters, states."""
    grave = {position for candidate in failing for position in candidate.group.positions}
    details: list[tuple[int, Record, str]] = []
    for candidate in judged:
        group = candidate.group
        if candidate.failing or group.gravity.weight > MENTION or group.count > len(grave):
            continue
        after = sum(position - 1 in grave for position in group.positions)
        if after >= 0.9 * group.count and (group.count > 1 or group.level is None):
            by_chance = len(grave) / stream.length
            if group.count > 2 and by_chance**group.count > 0.5:
                continue
            times = f"{group.count:,} times" if group.count > 1 else "once"
            details.append((-after, group.first, f"comes {times}, right after a failure"))
    return [(record, reason) for _, record, reason in sorted(details, key=lambda detail: (detail[0], detail[1].number))]


def _changes(stream: _Stream, judged: list[_Judged], start: int) -> list[tuple[Record, list[str]]]:
    """Rare lines before the first failure that tell of a change, the nearest first."""
    changes: list[tuple[int, Record, list[str]]] = []
    for candidate in judged:
        group = candidate.group
        if group.count > KEPT or group.gravity.weight >= WARNING:
            continue
        for position, record in group.kept:
            if position >= start:
                continue
            near = start - position <= max(20, stream.length // 50)
            changed = signs.is_change(record.message, strong=not near)
            if changed or near:
                what = CHANGE if changed else "unusual"
                changes.append(
                    (
                        start - position + (0 if changed else 1000),
                        record,
                        [f"{what}, {_count(start - position, 'line')} before the first failure"],
                    )
                )
    return [(record, reasons) for _, record, reasons in sorted(changes, key=lambda change: change[0])]

"""Anomalies by service and window of time: templates that are new, that come in a burst, that fell silent.

    for anomaly in anomalies(store.records(), window="5m"):
        print(anomaly.kind, anomaly.service, anomaly.start, anomaly.template, anomaly.count, anomaly.expected)

Each window is compared with the ones before it; where they are few, with all others.

- **new**: how many templates that were never seen before are usual is estimated from how many were seen only once (Good
  and Turing), and how often one of them comes. What tells of a failure is compared with what tells of one, and needs to
  surprise less. A service that was not there before is new as a whole; all that begin together are one anomaly, as
  what began is one thing: a machine, a release.
- **burst**: a template comes more often than elsewhere, by a negative binomial with the mean and spread of its counts.
- **silence**: what came in nearly every window does not come for so long that chance does not explain it: a service as
  a whole, or one of its templates.

For bursts and silences, one false alarm in a hundred logs is aimed at: the limit of chance is divided among all
comparisons. A single template that is new can never be as surprising as that, so it has a limit of its own. Logs are
not as well behaved as any such model; `benchmarks/classifier.py` counts the false alarms.

Not covered: what changes with the hour of the day or the day of the week, and values that rise (`why` looks at them).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from groundup.errors import UsageError
from groundup.systems.copilot.finding import signs
from groundup.systems.copilot.finding.templates import Miner
from groundup.systems.copilot.reading.logs import Record, span
from groundup.systems.copilot.reading.times import extent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["new", "burst", "silence"]
CHANCE = 0.01  # of a false alarm in a whole log, as far as its counts are as regular as is assumed
NEW = 0.01  # of a false alarm for one new template
GRAVE = 0.1  # the same, of a template that tells of a failure
DRIFT = 0.2  # by how much the usual rate is taken to vary from window to window, at least
STEADY = 0.9  # the share of windows that something must have come in before its silence means anything
LEARNT = 8  # windows before a window that are enough to compare it with
WINDOWS = 60  # into how many a log is cut where no window is given
MOST_WINDOWS = 5_000
ROUND = (
    *(factor * 10.0**power for power in (-3, -2, -1) for factor in (1, 2, 5)),
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 604_800),
)

Key = tuple[str | None, int | None]  # a service, and which of its series; None for all of it


@dataclass(frozen=True)
class Anomaly:
    """Something unusual in one service.

    Attributes:
        kind: `new`, `burst` or `silence`.
        service: what wrote the lines; None where they name none.
        start: the beginning of the first window, in seconds since 1970.
        end: the end of the last window.
        template: the template; None where it is the whole service.
        level: the level of the lines, where they have one; None for a whole service.
        status: `4xx` or `5xx` where the lines have such a status; else None.
        count: how many lines there were.
        expected: how many are usual in so much time; of what is new, how many new ones.
        surprise: how unlikely it is by chance, as minus the logarithm to base ten.
        number: the line of the first record of its kind in these logs.
        text: this line as it stands there.
        source: where it is from.
        together: other services that begin with it, in the same window or the next.
    """

    kind: Kind
    service: str | None
    start: float
    end: float
    template: str | None
    level: str | None
    status: str | None
    count: int
    expected: float
    surprise: float
    number: int
    text: str
    source: str
    together: tuple[str, ...] = ()


@dataclass
class _Counts:
    """How often what came in which window."""

    begin: float
    window: float
    size: int  # how many windows there are; the last one may not be whole
    series: dict[Key, NDArray[np.int64]]
    services: dict[str | None, NDArray[np.int64]]
    names: list[tuple[str, str | None, str | None]]  # of each series: template, level, status
    firsts: dict[Key, Record]

    def anomaly(
        self, kind: Kind, key: Key, first: int, last: int, counts: Any, usual: float, surprise: float
    ) -> Anomaly:
        """What is unusual from one window to another."""
        start, end = self.begin + first * self.window, self.begin + (last + 1) * self.window
        names = (None, None, None) if key[1] is None else self.names[key[1]]
        count = int(counts[first : last + 1].sum())
        record, surprise = self.firsts[key], min(round(surprise, 2), 300.0)
        return Anomaly(
            kind, key[0], start, end, *names, count, round(float(usual), 4), surprise,
            record.number, record.text, record.source,
        )  # fmt: skip

    def grave(self, key: Key) -> bool:
        """Whether a series tells of failures."""
        if key[1] is None:
            return False
        # Its line is asked, not its template: `0 errors` is harmless, and `<*> errors` is not known to be.
        record = self.firsts[key]
        return (
            signs.gravity(record.message, record.level, record.status, record.fields, record.exception).weight
            >= signs.MENTION
        )


def anomalies(records: Iterable[Record], *, window: str | float | None = None) -> list[Anomaly]:
    """What is unusual, by time; nothing where the times of the records are too few to compare.

    Args:
        records: the records; one without a time goes with the one before it.
        window: how long a window is: seconds, or a span such as 30s, 5m or 1h; a sixtieth of the log unless given.
    """
    counts = _count(records, _seconds(window))
    if counts is None:
        return []
    new = list(_new(counts))
    findings = [*_at_once(new, counts.window), *_bursts(counts, new), *_silences(counts)]
    return sorted(
        findings, key=lambda anomaly: (anomaly.start, -anomaly.surprise, anomaly.service or "", anomaly.template or "")
    )


def _seconds(window: str | float | None) -> float | None:
    seconds = span(window) if isinstance(window, str) else window
    if window is not None and (seconds is None or not math.isfinite(seconds) or seconds < 0.001):
        raise UsageError(f"window must be a span such as 30s, 5m or 1h, got '{window}'.")
    return seconds


def _count(records: Iterable[Record], window: float | None) -> _Counts | None:
    """The counts of all windows; None where there are too few of them to tell what is usual."""
    import numpy as np

    miner = Miner()
    times, which = array("d"), array("l")
    known: dict[tuple[str | None, int, str | None, str | None], int] = {}
    examples: list[Record] = []  # the first of each
    time: float | None = None
    for record in records:
        time = time if record.time is None else record.time
        if time is not None:
            times.append(time)
            key = (record.service, miner.add(record.message), record.level, _status(record))
            if key not in known:
                known[key] = len(known)
                examples.append(record)
            which.append(known[key])
    if not times:
        return None
    at = np.frombuffer(times)
    begin, end = extent(times) or (0.0, 0.0)  # what is far from all others counts with the first or the last of them
    at, length = np.clip(at, begin, end), end - begin
    if window is None:
        window = next((candidate for candidate in ROUND if candidate >= length / WINDOWS), float(ROUND[-1]))
    if length / window > MOST_WINDOWS:
        raise UsageError(
            f"window must be long enough for at most {MOST_WINDOWS:,} of them, and {length:,.0f} seconds of logs have "
            f"{length / window:,.0f} of {window:g} s. Give a longer one, or look at less with --since."
        )
    size = int(length // window) + 1
    if size <= LEARNT:
        return None
    # Templates have become one another on the way: which series is which is known in the end only.
    final: dict[tuple[str | None, int, str | None, str | None], int] = {}
    root = [final.setdefault((key[0], miner.template_of(key[1]), *key[2:]), len(final)) for key in known]
    place = ((at - begin) // window).astype(np.int64)
    flat = np.array(root)[np.frombuffer(which, dtype=np.dtype("l"))] * size + place
    table = np.bincount(flat, minlength=len(final) * size).reshape(len(final), size)
    texts = {template.id: template.text for template in miner.templates()}
    services: dict[str | None, NDArray[np.int64]] = {}
    for key, row in zip(final, table, strict=True):
        services[key[0]] = services.get(key[0], 0) + row
    series: dict[Key, NDArray[np.int64]] = {(key[0], i): table[i] for i, key in enumerate(final)}
    names = [(texts[template], level, status) for _, template, level, status in final]
    firsts: dict[Key, Record] = {}
    for record, number in zip(examples, root, strict=True):
        firsts.setdefault((record.service, number), record)
        firsts.setdefault((record.service, None), record)
    return _Counts(begin, float(window), size, series, services, names, firsts)


def _status(record: Record) -> str | None:
    """The class of the status of an answer, where it is one of a failure."""
    status = record.status
    return f"{status // 100}xx" if status is not None and status >= 400 else None


def _new(counts: _Counts) -> Iterable[Anomaly]:
    """Services that were not there, and templates that their service had not written."""
    services: dict[Key, NDArray[np.int64]] = {(name, None): series for name, series in counts.services.items()}
    yield from _new_among(counts, services, sum(services.values()), NEW)
    alike: dict[tuple[str | None, bool], dict[Key, NDArray[np.int64]]] = {}
    for key, series in counts.series.items():
        alike.setdefault((key[0], counts.grave(key)), {})[key] = series
    for (service, grave), mine in alike.items():
        yield from _new_among(counts, mine, counts.services[service], GRAVE if grave else NEW)


def _at_once(new: list[Anomaly], window: float) -> Iterable[Anomaly]:
    """What is new; services that begin in one window or the next as one, with the names of all."""
    runs: list[list[Anomaly]] = []
    for anomaly in sorted(new, key=lambda anomaly: anomaly.start):
        if anomaly.template is not None:
            yield anomaly
        elif runs and anomaly.start - runs[-1][0].start < 1.5 * window:
            runs[-1].append(anomaly)
        else:
            runs.append([anomaly])
    for several in runs:
        first, *others = sorted(
            several, key=lambda anomaly: (anomaly.service is None, -anomaly.surprise, anomaly.service or "")
        )
        yield replace(first, together=tuple(anomaly.service for anomaly in others if anomaly.service is not None))


def _new_among(counts: _Counts, mine: dict[Key, NDArray[np.int64]], total: Any, limit: float) -> Iterable[Anomaly]:
    """What is new among series that are alike, of all the lines that were written."""
    import numpy as np
    from scipy.stats import nbinom

    table = np.stack(list(mine.values()))
    first = (table > 0).argmax(axis=1)
    began = int((total > 0).argmax())
    written = total.cumsum() - total
    before = table.cumsum(axis=1) - table
    others = table.sum(axis=1, keepdims=True) - table
    for key, series, start, other in zip(mine, table, first.tolist(), others, strict=True):
        if start == began:
            continue  # there is nothing to compare with
        windows = start - began
        if windows >= LEARNT:
            seen, once = int(written[start]), int((before[:, start] == 1).sum())
        elif other[start] == 0:
            windows = counts.size - began - 1
            seen, once = int(total.sum() - total[start]), int((others[:, start] == 1).sum())
        else:
            continue
        usual = float(total[start]) * (once + 1) / (seen + 1)
        gone = np.flatnonzero(series[start:] == 0)
        last = start + int(gone[0]) - 1 if len(gone) else counts.size - 1
        # That something new comes at all, and that it comes so often where it did not in so many windows.
        never = nbinom(0.5, windows / (windows + last - start + 1))
        chance = min(1.0, usual) * float(never.sf(series[start : last + 1].sum() - 1) / never.sf(0))
        if chance < limit:
            yield counts.anomaly("new", key, start, last, series, usual, -math.log10(max(chance, 1e-300)))


def _spread(total: Any, squares: Any, windows: Any) -> tuple[Any, Any]:
    """Mean and relative variance beyond Poisson's of counts, from their sum and that of their squares."""
    import numpy as np

    mean = (total + 0.5) / windows
    variance = np.maximum(squares / windows - (total / windows) ** 2, 0) * windows / np.maximum(windows - 1, 1)
    # The rate varies, and it is not known exactly.
    return mean, np.maximum((variance - mean) / mean**2, DRIFT**2) + 1 / (total + 0.5)


def _reference(series: NDArray[np.int64], usable: NDArray[np.bool_]) -> tuple[Any, Any, Any]:
    """For each window, what it is compared with: the sum of the counts, that of their squares, how many windows."""
    import numpy as np

    kept = np.where(usable, series, 0).astype(float)
    parts = []
    for part in (kept, kept**2, usable.astype(float)):
        before = np.cumsum(part) - part
        before[:LEARNT] = (part.sum() - part)[:LEARNT]
        parts.append(before)
    return parts[0], parts[1], np.maximum(parts[2], 1)


def _bursts(counts: _Counts, new: list[Anomaly]) -> Iterable[Anomaly]:
    """Templates that come more often than elsewhere."""
    import numpy as np
    from scipy.stats import nbinom

    limit = math.log(CHANCE / (2 * len(counts.series) * counts.size))
    reported = {(anomaly.service, anomaly.template, anomaly.level, anomaly.status): anomaly for anomaly in new}
    whole = {anomaly.service: anomaly for anomaly in new if anomaly.template is None}
    for key, series in counts.series.items():
        known = reported.get((key[0], *counts.names[key[1] or 0])) or whole.get(key[0])
        begin = 0 if known is None else round((known.end - counts.begin) / counts.window)
        usable = np.ones(counts.size, dtype=bool)  # what was a burst is not what is usual
        usual, surprise = np.zeros(counts.size), np.zeros(counts.size)
        while True:
            total, squares, windows = _reference(series, usable)
            mean, beyond = _spread(total, squares, windows)
            chance = nbinom.logsf(series - 1, 1 / beyond, 1 / (1 + beyond * mean))
            chance[(series <= 2) | ~usable] = 0
            chance[:begin] = 0
            early = chance[:LEARNT].min(initial=0.0)  # compared with all others: the most surprising one first
            hit = np.flatnonzero((chance < limit) & ((np.arange(counts.size) >= LEARNT) | (chance == early)))
            if not len(hit):
                break
            at = int(hit[0])
            usable[at], usual[at], surprise[at] = False, mean[at], -chance[at] / math.log(10)
        for first, last in _runs(np.flatnonzero(~usable).tolist()):
            most = float(surprise[first : last + 1].max())
            yield counts.anomaly("burst", key, first, last, series, float(usual[first : last + 1].sum()), most)


def _silences(counts: _Counts) -> list[Anomaly]:
    """Services, and templates of services that go on, that stopped coming."""
    silent = {name: list(_silent(counts, (name, None), series)) for name, series in counts.services.items()}
    findings = [anomaly for several in silent.values() for anomaly in several]
    for key, series in counts.series.items():
        for part in _silent(counts, key, series):
            if not any(
                whole.start <= part.start + counts.window and part.start < whole.end for whole in silent[key[0]]
            ):
                findings.append(part)
    return findings


def _silent(counts: _Counts, key: Key, series: NDArray[np.int64]) -> Iterable[Anomaly]:
    import numpy as np

    whole = series[:-1]  # the last window may not be over
    limit = math.log(CHANCE / (2 * (len(counts.series) + len(counts.services)) * counts.size))
    began = int((whole > 0).argmax())
    for first, last in _runs((began + np.flatnonzero(whole[began:] == 0)).tolist()):
        past = whole[began:first]
        if len(past) < LEARNT:
            past = np.concatenate([past, whole[last + 1 :]])
        if len(past) < LEARNT or (past > 0).mean() < STEADY:
            continue
        mean, beyond = _spread(float(past.sum()), float((past.astype(float) ** 2).sum()), float(len(past)))
        expected = mean * (last - first + 1)
        chance = -math.log1p(beyond * expected) / beyond  # that none comes where so many are usual
        if chance < limit:
            yield counts.anomaly("silence", key, first, last, series, expected, -chance / math.log(10))


def _runs(windows: list[int]) -> list[tuple[int, int]]:
    """Windows that follow each other, as first and last."""
    runs: list[tuple[int, int]] = []
    for window in windows:
        if runs and window == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], window)
        else:
            runs.append((window, window))
    return runs

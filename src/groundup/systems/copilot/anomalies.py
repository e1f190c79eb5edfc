"""Anomalies by service and window of time: templates that are new, that come in a burst, that fell silent.

    for one in anomalies(store.records(), window="5m"):
        print(one.kind, one.service, one.start, one.template, one.count, one.expected)

Each window is compared with the ones before it, which are what is usual; the first ones are only learnt from.

- **new**: the usual rate of templates that were never seen before is estimated from how many were seen only once so far
  (Good and Turing). A window with more of them than chance explains gives each of them.
- **burst**: a template comes more often than its counts so far explain, by a negative binomial with their mean and
  spread.
- **silence**: what came in nearly every window does not come for so long that chance does not explain it; a service
  as a whole, or one of its templates.

For bursts and silences, one false alarm in a hundred logs is aimed at: the limit of chance is divided among all
comparisons. A single template that is new can never be as surprising as that, so it has a limit of its own. Logs are
not as well behaved as any such model; `benchmarks/classifier.py` counts the false alarms.

Not covered: what changes with the hour of the day or the day of the week, and what goes wrong in the first windows.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from groundup.errors import UsageError
from groundup.systems.copilot.logs import Record, span
from groundup.systems.copilot.templates import Miner

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["new", "burst", "silence"]
CHANCE = 0.01  # of a false alarm in a whole log, as far as its counts are as regular as is assumed
LEARNT = 8  # windows that are only learnt from, at least, and a fifth of all
WINDOWS = 60  # into how many a log is cut where no window is given
MOST_WINDOWS = 5_000
ROUND = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400)
NEW = 0.05  # of a false alarm for one new template
DRIFT = 0.2  # by how much the usual rate is taken to vary from window to window, at least
STEADY = 0.9  # the share of windows that something must have come in before its silence means anything


@dataclass(frozen=True)
class Anomaly:
    """Something unusual in one service.

    Attributes:
        kind: `new`, `burst` or `silence`.
        service: what wrote the lines; None where they name none.
        start: the beginning of the first window, in seconds since 1970.
        end: the end of the last window.
        template: the template; None where a whole service fell silent.
        count: how many lines there were.
        expected: how many are usual in so much time; of what is new, how many new templates.
        surprise: how unlikely it is by chance, as minus the logarithm to base ten.
    """

    kind: Kind
    service: str | None
    start: float
    end: float
    template: str | None
    count: int
    expected: float
    surprise: float


@dataclass
class _Counts:
    """How often what came in which window."""

    begin: float
    window: float
    size: int  # how many windows there are; the last one may not be whole
    whole: int  # how many are whole
    learnt: int  # how many are only learnt from
    series: dict[tuple[str | None, int], NDArray[np.int64]]  # by service and template
    services: dict[str | None, NDArray[np.int64]]
    texts: dict[int, str]

    def anomaly(
        self, kind: Kind, key: tuple[str | None, int | None], first: int, last: int, counts: Any, usual: float,
        surprise: float,
    ) -> Anomaly:  # fmt: skip
        start, end = self.begin + first * self.window, self.begin + (last + 1) * self.window
        text = None if key[1] is None else self.texts[key[1]]
        count = int(counts[first : last + 1].sum())
        return Anomaly(
            kind, key[0], start, end, text, count, round(float(usual), 4), round(min(float(surprise), 300.0), 2)
        )


def anomalies(records: Iterable[Record], *, window: str | float | None = None) -> list[Anomaly]:
    """What is unusual, by time.

    Args:
        records: the records; one without a time goes with the one before it.
        window: how long a window is: seconds, or a span such as 30s, 5m or 1h; a sixtieth of the log unless given.
    """
    seconds = _seconds(window)
    counts = _count(records, seconds)
    if counts is None:
        return []
    new = list(_new(counts))
    known_from = {(one[0], one[1]): one[3] for one in new}
    found = [counts.anomaly("new", one[:2], *one[2:]) for one in new]
    found += _bursts(counts, known_from)
    found += _silences(counts)
    return sorted(found, key=lambda one: (one.start, -one.surprise, one.service or "", one.template or ""))


def _seconds(window: str | float | None) -> float | None:
    seconds = span(window) if isinstance(window, str) else window
    if window is not None and (seconds is None or not math.isfinite(seconds) or seconds < 0.001):
        raise UsageError(f"window must be a span such as 30s, 5m or 1h, got '{window}'.")
    return seconds


def _count(records: Iterable[Record], window: float | None) -> _Counts | None:
    """The counts of all windows; None where there are too few of them to tell what is usual."""
    import numpy as np

    miner = Miner()
    times, services, templates = array("d"), array("l"), array("l")
    names: dict[str | None, int] = {}
    time: float | None = None
    for record in records:
        time = time if record.time is None else record.time
        if time is None:
            continue
        times.append(time)
        services.append(names.setdefault(record.service, len(names)))
        templates.append(miner.add(record.message))
    if not times:
        return None
    at = np.frombuffer(times)
    begin, length = float(at.min()), float(at.max() - at.min())
    if window is None:
        window = next((one for one in ROUND if one >= length / WINDOWS), float(ROUND[-1]))
    if length / window > MOST_WINDOWS:
        raise UsageError(
            f"window must be long enough for at most {MOST_WINDOWS:,} of them, and {length:,.0f} seconds of logs have "
            f"{length / window:,.0f} of {window:g} s. Give a longer one, or look at less with --since."
        )
    size = int(length // window) + 1
    learnt = max(LEARNT, size // 5)
    if size <= learnt:
        return None
    place = ((at - begin) // window).astype(np.int64)
    root = {number: miner.template_of(number) for number in set(templates)}
    template = np.array([root[number] for number in templates])
    service = np.frombuffer(services, dtype=np.dtype("l"))
    said = {number: name for name, number in names.items()}
    series: dict[tuple[str | None, int], NDArray[np.int64]] = {}
    pairs, which = np.unique(np.stack([service, template], axis=1), axis=0, return_inverse=True)
    order = np.argsort(which.reshape(-1), kind="stable")
    edges = np.searchsorted(which.reshape(-1)[order], np.arange(len(pairs) + 1))
    for i, (one, number) in enumerate(pairs.tolist()):
        series[said[one], number] = np.bincount(place[order[edges[i] : edges[i + 1]]], minlength=size)
    whole = {name: np.bincount(place[service == number], minlength=size) for name, number in names.items()}
    texts = {one.id: one.text for one in miner.templates()}
    return _Counts(begin, float(window), size, size - 1, learnt, series, whole, texts)


def _new(counts: _Counts) -> Iterable[tuple[Any, ...]]:
    """Templates that a service had never written, as what `_Counts.anomaly` takes."""
    import numpy as np
    from scipy.stats import nbinom

    for service, total in counts.services.items():
        mine = {key: one for key, one in counts.series.items() if key[0] == service}
        first = {key: int(np.flatnonzero(one)[0]) for key, one in mine.items()}
        before = np.concatenate([[0], np.cumsum(total)])
        began = int(np.flatnonzero(total)[0])
        for key, start in sorted(first.items(), key=lambda pair: pair[1]):
            past = start - began  # windows in which the service was there
            if past < counts.learnt:
                continue
            once = sum(int(one[:start].sum()) == 1 for one in mine.values())
            usual = float(total[start]) * (once + 1) / (before[start] + 1)
            # That something new comes at all, and that it comes so often where it was never seen in so many windows.
            never = nbinom(0.5, past / (past + 1))
            chance = min(1.0, usual) * never.sf(mine[key][start] - 1) / never.sf(0)
            if chance < NEW:
                gone = np.flatnonzero(mine[key][start:] == 0)
                last = start + int(gone[0]) - 1 if len(gone) else counts.size - 1
                yield service, key[1], start, last, mine[key], usual, -math.log10(max(chance, 1e-300))


def _spread(total: Any, squares: Any, windows: Any) -> tuple[Any, Any]:
    """Mean and relative variance beyond Poisson's of counts, from their sum and that of their squares."""
    import numpy as np

    mean = (total + 0.5) / windows
    variance = np.maximum(squares / windows - (total / windows) ** 2, 0) * windows / np.maximum(windows - 1, 1)
    # The rate varies, and it is not known exactly.
    return mean, np.maximum((variance - mean) / mean**2, DRIFT**2) + 1 / (total + 0.5)


def _bursts(counts: _Counts, known_from: dict[tuple[str | None, int], int]) -> list[Anomaly]:
    """Templates that come more often than before."""
    import numpy as np
    from scipy.stats import nbinom

    found = []
    limit = math.log(CHANCE / (2 * len(counts.series) * (counts.size - counts.learnt)))
    for key, one in counts.series.items():
        usable = np.ones(counts.size, dtype=bool)  # what was a burst is not what is usual
        begin = max(counts.learnt, known_from.get(key, -1) + 1)
        usual, surprise = np.zeros(counts.size), np.zeros(counts.size)
        flagged: list[int] = []
        while begin < counts.size:
            kept = np.where(usable, one, 0).astype(float)
            total, squares, windows = (np.cumsum(part) - part for part in (kept, kept**2, usable.astype(float)))
            mean, beyond = _spread(total, squares, np.maximum(windows, 1))
            chance = nbinom.logsf(one - 1, 1 / beyond, 1 / (1 + beyond * mean))
            hit = np.flatnonzero((chance[begin:] < limit) & (total[begin:] > 0) & (one[begin:] > 2))
            if not len(hit):
                break
            at = begin + int(hit[0])
            usable[at], usual[at], surprise[at] = False, mean[at], -chance[at] / math.log(10)
            flagged.append(at)
            begin = at + 1
        for first, last in _runs(flagged):
            most = float(surprise[first : last + 1].max())
            found.append(counts.anomaly("burst", key, first, last, one, float(usual[first : last + 1].sum()), most))
    return found


def _silences(counts: _Counts) -> list[Anomaly]:
    """Services, and templates of services that go on, that stopped coming."""
    silent = {}
    for service, one in counts.services.items():
        silent[service] = list(_silent(counts, (service, None), one))
    found = [one for several in silent.values() for one in several]
    for key, one in counts.series.items():
        for anomaly in _silent(counts, key, one):
            if not any(whole.start <= anomaly.start + counts.window and anomaly.start < whole.end
                       for whole in silent[key[0]]):  # fmt: skip
                found.append(anomaly)
    return found


def _silent(counts: _Counts, key: tuple[str | None, int | None], one: NDArray[np.int64]) -> Iterable[Anomaly]:
    import numpy as np

    here = one[: counts.whole]
    limit = math.log(CHANCE / (2 * (len(counts.series) + len(counts.services)) * max(1, len(here) - counts.learnt)))
    for first, last in _runs(np.flatnonzero(here == 0).tolist()):
        began = int(np.flatnonzero(here)[0]) if here.any() else first
        past = here[began:first]
        if len(past) < counts.learnt or (past > 0).mean() < STEADY:
            continue
        mean, beyond = _spread(float(past.sum()), float((past.astype(float) ** 2).sum()), float(len(past)))
        expected = mean * (last - first + 1)
        chance = -math.log1p(beyond * expected) / beyond  # that none comes where so many are usual
        if chance < limit:
            yield counts.anomaly("silence", key, first, last, one, expected, -chance / math.log(10))


def _runs(windows: list[int]) -> list[tuple[int, int]]:
    """Windows that follow each other, as first and last."""
    found: list[tuple[int, int]] = []
    for one in windows:
        if found and one == found[-1][1] + 1:
            found[-1] = (found[-1][0], one)
        else:
            found.append((one, one))
    return found

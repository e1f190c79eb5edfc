"""Timestamps of logs as seconds since 1970 in UTC.

A time without a zone is taken as UTC, and one without a year as of the latest year in which it is not in the future:
logs say no more, and a guess at the machine's zone would differ from one reader to the next.
"""

from __future__ import annotations

import heapq
import re
import time as clock
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

FIRST, LAST = 631_152_000.0, 4_102_444_800.0  # 1990 and 2100: a log's time outside of them was never set, or is no time
DAY, MONTH = 86_400.0, 30 * 86_400.0
ENDS = 64  # of the lowest and of the highest times, how many are looked at for what is far from all others

MONTHS = {name: i for i, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_MONTH = "|".join(MONTHS)
_HMS = r"\d{1,2}:\d{2}:\d{2}"
ISO = (
    rf"\d{{4}}[-/]\d{{2}}[-/]\d{{2}}[T _]{_HMS}(?:[.,:]\d{{1,9}})?"
    r"(?: [AP]M\b)?(?: ?Z\b| ?[+-]\d{2}:?\d{2}\b| ?[+-](?:0\d|1[0-4])(?=[\s\]|,)]|$)| UTC\b)?"
)


@lru_cache(maxsize=512)
def _midnight(year: int, month: int, day: int) -> float:
    return datetime(year, month, day, tzinfo=UTC).timestamp()


def _epoch(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: float = 0.0) -> float:
    return _at(_midnight(year, month, day), hour, minute, second)


def _at(day: float, hour: str | int, minute: str | int, second: str | float) -> float:
    hour, minute, second = int(hour), int(minute), float(second)
    if hour > 23 or minute > 59 or second >= 61:  # of a leap second, one more
        raise ValueError("no such time")
    return day + (3600 * hour + 60 * minute + second)


@lru_cache(maxsize=512)
def _midnights(month: int, day: int, today: float) -> list[float]:
    """When a day began in this year and in those before it; 29 February needs more than one."""
    year = datetime.fromtimestamp(today * DAY, UTC).year
    found = []
    for candidate in range(year, year - 5, -1):
        with suppress(ValueError):
            found.append(_midnight(candidate, month, day))
    return found


def _yearless(month: int, day: int, hms: str) -> float:
    hour, minute, second = hms.replace(",", ".").split(":")
    now = clock.time()
    for midnight in _midnights(month, day, now // DAY):
        if (at := _at(midnight, hour, minute, second)) <= now + DAY:
            return at
    raise ValueError("no such day")


def _clf(text: str) -> float:
    return _Zoned(datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").timestamp())


class Naive(float):
    """A time, in seconds since 1970, of a log that names no zone: it was taken as UTC."""


class _Zoned(float):
    pass


def in_zone(time: float, zone: tzinfo) -> float:
    """A time that was taken as UTC, as one of a zone."""
    return datetime.fromtimestamp(time, UTC).replace(tzinfo=zone).timestamp()


def latest_day(time: float) -> float:
    """The beginning of the latest day (UTC) on which a time of day is not in the future."""
    now = clock.time()
    today = now - now % DAY
    return today if today + time <= now else today - DAY


def _iso(text: str) -> float:
    text = text.replace("/", "-").replace("_", " ").replace(" UTC", "Z").replace(" Z", "Z")
    half = 0.0
    if text.endswith("M"):
        hour = int(text[11 : text.index(":")])
        text, half = text[:-3], 43_200.0 * (text[-2] == "P") - 43_200.0 * (hour == 12)
    if len(text) > 19 and text[19] == ":":
        text = f"{text[:19]}.{text[20:]}"
    if text[12:13] == ":":  # "… 9:05:00"
        text = f"{text[:11]}0{text[11:]}"
    if text[17:19] == "60":  # a leap second
        text, half = f"{text[:17]}59{text[19:]}", half + 1
    text = _BEFORE_ZONE.sub("", text)  # "… +0100"
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        return Naive(at.replace(tzinfo=UTC).timestamp() + half)
    return at.timestamp() + half


_BEFORE_ZONE = re.compile(r" (?=[+-]\d\d(?::?\d\d)?$)")


def _numbers(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", text)]


def _short(text: str) -> float:  # Spark: 17/06/09 20:10:40
    year, month, day, hour, minute, second = _numbers(text)[:6]
    return _epoch(2000 + year, month, day, hour, minute, second)


@lru_cache(maxsize=512)
def _day(text: str) -> float:  # 20050603; days come often, and are read once
    return _midnight(int(text[:4]), int(text[4:6]), int(text[6:]))


def _compact(text: str) -> float:  # HDFS: 081109 203615
    return _at(_day(f"20{text[:6]}"), text[7:9], text[9:11], text[11:])


def _dashed(text: str) -> float:  # 2005-06-03-15.42.50.675872, and 20171223-22:15:29:606
    if text[4] == "-":
        day, clock, fraction = f"{text[:4]}{text[5:7]}{text[8:10]}", (text[11:13], text[14:16], text[17:19]), text[20:]
    else:
        day, (*clock, second) = text[:8], text[9:].split(":", 2)
        second, _, fraction = second.partition(":")
        clock.append(second)
    at = _at(_day(day), *clock)
    return at + float(f"0.{fraction.zfill(3)}") if fraction else at


def _syslog(text: str) -> float:  # Jun 14 15:16:01
    month, day, hms = text.split()
    return _yearless(MONTHS[month], int(day), hms)


def _apache(text: str) -> float:  # Sun Dec 04 04:47:44.123 2005
    _, month, day, hms, *_, year = text.split()
    hour, minute, second = hms.split(":")
    return _epoch(int(year), MONTHS[month], int(day), int(hour), int(minute), float(second))


def _month_day(text: str) -> float:  # Android: 03-17 16:13:38.811; 10.30 16:49:06
    date, hms = text.split()
    month, day = _numbers(date)
    return _yearless(month, day, hms)


def _dotted(text: str) -> float:  # 14.06.2015 15:16:01
    day, month, year, hour, minute, second = _numbers(text)[:6]
    return _epoch(year, month, day, hour, minute, second)


def _slashed(text: str) -> float:  # 10/20/2023 08:01:28 PM; the day first where the month cannot be
    month, day, year, hour, minute, second = _numbers(text)[:6]
    if year < 100:
        year += 2000
    if month > 12:
        month, day = day, month
    if text.endswith("M"):
        hour = hour % 12 + 12 * text.endswith("PM")
    return _epoch(year, month, day, hour, minute, second)


def _named(text: str) -> float:  # Redis: 17 Sep 2017 13:32:38.949
    day, month, year, hms = text.replace("-", " ").split()[:4]
    hour, minute, second = hms.split(":")
    return _epoch(int(year), MONTHS[month], int(day), int(hour), int(minute), float(second))


def _mail(text: str) -> float:  # Mon, 02 Mar 2026 10:00:05 +0100
    _, rest = text.split(", ")
    day, month, year, hms, zone = rest.split()
    at = _named(f"{day} {month} {year} {hms}")
    if zone[0] in "+-":
        at -= (60 * int(zone[1:3]) + int(zone[3:5])) * (60 if zone[0] == "+" else -60)
    return _Zoned(at)


def _unix(text: str) -> float:
    value = float(text)
    while value > 1e11:
        value /= 1000
    return _Zoned(value)


_READERS: tuple[tuple[str, Callable[[str], float]], ...] = (
    (ISO, _iso),
    (rf"(?:{_MONTH}) {{1,2}}\d{{1,2}} {_HMS}(?:\.\d+)?", _syslog),
    (
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:{_MONTH}) {{1,2}}\d{{1,2}} {_HMS}(?:\.\d+)?(?: [A-Z]{{3,4}})? \d{{4}}",
        _apache,
    ),
    (r"\d{4}-\d{2}-\d{2}-\d{2}\.\d{2}\.\d{2}(?:\.\d+)?", _dashed),
    (r"\d{8}-\d{1,2}:\d{1,2}:\d{1,2}(?::\d{1,3})?", _dashed),
    (rf"\d{{2}}/\d{{2}}/\d{{2}} {_HMS}", _short),
    (rf"\d{{2}}\.\d{{2}}\.\d{{4}} {_HMS}", _dotted),
    (rf"\d{{1,2}}/\d{{1,2}}/\d{{4}},? {_HMS}(?: [AP]M\b)?", _slashed),
    (rf"\d{{1,2}}[ -](?:{_MONTH})[ -]\d{{4}} {_HMS}(?:\.\d+)?(?: UTC\b| [A-Z]\w+/[A-Z]\w+\b)?", _named),
    (rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{{1,2}} (?:{_MONTH}) \d{{4}} {_HMS} (?:GMT|[+-]\d{{4}})", _mail),
    (rf"\d{{2}}[-.]\d{{2}} {_HMS}(?:\.\d+)?", _month_day),
    (rf"\d{{2}}/(?:{_MONTH})/\d{{4}}:{_HMS} [+-]\d{{4}}", _clf),
    (r"\d{6} \d{6}(?= )", _compact),
    (r"1\d{9}(?:\.\d{1,9}|\d{3}|\d{6}|\d{9})?(?=[\s|,\]])", _unix),
)
# One group for each notation, so that `lastindex` says which reader the text is for.
TIME = "|".join(f"({pattern})" for pattern, _ in _READERS)
_TIME = re.compile(TIME)


@lru_cache(maxsize=4096)
def seconds(text: str, notation: int = 0, *, any: bool = False) -> float | None:
    """A timestamp as seconds since 1970; None where it is none, or (but for `any`) one that no log has.

    Args:
        text: the timestamp.
        notation: which group of `TIME` it matches, if that is known: then nothing is looked for.
        any: whether to take times that no log has.
    """
    at = _in_notation(text, notation) if notation > 1 else _seconds(text)
    return at if at is None or any or FIRST <= at < LAST else None


def _seconds(text: str) -> float | None:
    if len(text) > 18 and text[4] == text[7] == "-" and text[13] == text[16] == ":":
        if text[10] == "T" or (text[10] == " " and (len(text) == 19 or (text[19] in ".," and text[20:].isdecimal()))):
            try:  # nearly all of them
                at = datetime.fromisoformat(text)
                return Naive(at.replace(tzinfo=UTC).timestamp()) if at.tzinfo is None else at.timestamp()
            except (ValueError, OverflowError):
                pass
    match = _TIME.fullmatch(text) or _TIME.match(text + " ")
    if match is None or match.lastindex is None:
        return None
    return _in_notation(match[match.lastindex], match.lastindex)


def _in_notation(text: str, notation: int) -> float | None:
    try:
        at = _READERS[notation - 1][1](text)
        # Only some of the notations can name a zone, and their readers say whether this one did.
        return at if notation == 1 or type(at) is Naive else float(at) if type(at) is _Zoned else Naive(at)
    except (ValueError, OverflowError, KeyError):
        return None


def extent(times: Iterable[float], *, apart: float = MONTH) -> tuple[float, float] | None:
    """The oldest and the newest of times, but for few that are far from all others; None where there are none."""
    times = list(times)
    return trimmed(heapq.nsmallest(ENDS, times), sorted(heapq.nlargest(ENDS, times)), len(times), apart=apart)


def trimmed(low: Sequence[float], high: Sequence[float], count: int, *, apart: float) -> tuple[float, float] | None:
    """The oldest and the newest of times, but for few that are far from all others.

    One line in a thousand, and one always, may be let go at each end: where it is further from its neighbour than
    `apart`, and than all others are from each other; or where it is in the future, and the others are not.

    Args:
        low: the lowest, in their order; at most `ENDS`, and all where there are no more.
        high: the highest, in their order.
        count: how many there are in all.
        apart: how far, in seconds.
    """
    if not count:
        return None
    few = min(1 + count // 1000, len(low) - 1, len(high) - 1, (count - 1) // 2)
    first, last = 0, len(high) - 1
    if few > 0:
        core = max(0.0, high[-1 - few] - low[few])
        now = clock.time() + DAY
        gaps = [high[-1 - i] - high[-2 - i] for i in range(few)]
        for i in reversed(range(few)):
            future = high[-1 - i] > now >= high[-2 - i]
            if gaps[i] > max(apart, core) or (future and gaps[i] > DAY):
                last = len(high) - 2 - i
                break
        for i in reversed(range(few)):
            if low[i + 1] - low[i] > max(apart, core):
                first = i + 1
                break
    return low[first], high[last]

"""Log files as records: opened, decoded, their format recognised line by line, exceptions joined to their line.

    bytes ── open_logs ──▶ lines ── parse ──▶ Records

Everything streams: a record is given out when the next one of its stream begins, or after `WINDOW` lines of others. A
line that no format fits is a record of format `plain`; nothing is dropped but empty lines. What a line says is data:
nothing in it is run, looked up or obeyed.

Not covered: multi-line messages other than exceptions and indented lines (each of their lines is a record of its own).
"""

from __future__ import annotations

import io
import re
import sys
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import IO, Any, cast

from groundup.errors import UsageError
from groundup.systems.copilot.reading.content import PIECE, Opened, opened_as_text
from groundup.systems.copilot.reading.formats import FORMATS, Format, after_time, plain
from groundup.systems.copilot.reading.joining import CRASHES, ENTRY, EXCEPTION, Trace
from groundup.systems.copilot.reading.parsed import Parsed
from groundup.systems.copilot.reading.patterns import Everything, OwnTrace, OwnUnwrapper, Patterns, Reader
from groundup.systems.copilot.reading.servers import columns_of, read_w3c
from groundup.systems.copilot.reading.structured import EVENT, is_export, read_export
from groundup.systems.copilot.reading.times import DAY, Naive, in_zone, latest_day, seconds
from groundup.systems.copilot.reading.wrappers import DOCKER, MAY_WRAP, Unwrapper

MAX_LINE = 65_536  # characters; what is longer is cut, so that one line without an end cannot fill the memory
MAX_JOINED = 500  # lines of one exception


@dataclass(slots=True)
class Record:
    """One log entry.

    Attributes:
        number: its line in the file, from 1.
        text: the line as it stands in the file.
        message: what it says, without time, level and origin.
        time: seconds since 1970 in UTC; None where the line has no time. A time without a zone is taken as UTC.
        level: `trace`, `debug`, `info`, `warn`, `error` or `fatal`; None where the line names none.
        service: what wrote it (service, process, logger or container), as far as the line says.
        fields: what a structured line says besides.
        format: the name of the format that it was read as.
        joined: the lines that belong to it: of an exception, and the parts of a line that a runtime cut.
        below: for each of them, how many lines below `number` it stands.
        source: the file that it is from.
        parts: how many of `joined`, the first ones, are parts of the message and no exception.
        open: whether the lines ended with it, so that lines that come later may belong to it.
    """

    number: int
    text: str
    message: str
    time: float | None = None
    level: str | None = None
    service: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    format: str = "plain"
    joined: list[str] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    source: str = ""
    parts: int = 0
    open: bool = False

    @property
    def exception(self) -> bool:
        """Whether lines of an exception belong to it."""
        return len(self.joined) > self.parts

    @property
    def status(self) -> int | None:
        """The status of an answer over HTTP; None where the line tells of none."""
        status = self.fields.get("status", self.fields.get("status_code")) if self.fields else None
        return status if isinstance(status, int) and 100 <= status <= 599 else None


class Lines:
    """The lines of a log, once; `damage` says in words why they end too early, once they were read."""

    def __init__(self, opened: Opened, name: str) -> None:
        self.name = name
        self._opened = opened
        self._lines = _lines(opened.stream)

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def __next__(self) -> str:
        return next(self._lines)

    @property
    def damage(self) -> str | None:
        """What kept the log from being read to its end; None where nothing did."""
        if not self._opened.damage:
            return None
        return (
            f"FILE must be whole, and of '{self.name}' {self._opened.damage[0]}. "
            "The lines before were read. Fetch it again."
        )


@contextmanager
def open_logs(path: str | Path) -> Iterator[Lines]:
    """The lines of a log file (- is stdin), whatever it is packed with and encoded in (`content`).

    Raises:
        CannotRead: it is no text, or is packed in a way that is not read.
    """
    if str(path) == "-":
        yield Lines(opened_as_text(cast(IO[bytes], sys.stdin.buffer), "standard input"), "standard input")
        return
    path = Path(path)
    if not path.exists():
        raise UsageError(
            f"FILE must be a log file that exists, and '{path}' does not. Check the path, or give - for stdin."
        )
    if path.is_dir():
        raise UsageError(f"FILE must be a log file, and '{path}' is a folder. Name the files in it: {path}/*.log")
    try:
        stream = path.open("rb", PIECE)
    except OSError as error:
        raise UsageError(f"FILE must be readable, and '{path}' is not: {error.strerror}.") from error
    with stream:
        yield Lines(opened_as_text(stream, str(path)), str(path))


def _lines(stream: io.BufferedReader) -> Iterator[str]:
    first = True
    while raw := stream.readline(4 * MAX_LINE):
        line = raw.decode("utf-8", "replace").rstrip("\r\n")[:MAX_LINE]
        if first:
            line = line.removeprefix("\ufeff").lstrip("\0")
            if not line and raw[-1:] != b"\n":
                continue  # zeros at the beginning, as long as they go on
            first = False
        yield line
        while raw[-1:] != b"\n" and len(raw) == 4 * MAX_LINE:
            raw = stream.readline(4 * MAX_LINE)  # the rest of a line that is too long


@dataclass
class Tally:
    """How much was read, and how much of it was understood.

    Attributes:
        records: the records.
        lines: the lines that they are of.
        timed: how many records have a time.
        levelled: how many have a level.
        damage: what was not read to its end, in words.
    """

    records: int = 0
    lines: int = 0
    timed: int = 0
    levelled: int = 0
    damage: list[str] = field(default_factory=list)

    def count(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records, counted as they pass."""
        for record in records:
            self.records += 1
            self.lines += 1 + len(record.joined)
            self.timed += record.time is not None
            self.levelled += record.level is not None
            yield record

    @property
    def counts(self) -> dict[str, int]:
        """The numbers, as plain data."""
        return {"records": self.records, "lines": self.lines, "timed": self.timed, "levelled": self.levelled}

    def healthy(self, evidence: Sequence[object]) -> bool:
        """Whether there was something, all of it was read, and nothing in it tells of a failure."""
        return bool(self.records) and not evidence and not self.damage

    def __str__(self) -> str:
        """In words: `240 records of 268 lines were read, 240 with a time, 12 with a level`."""
        lines = "" if self.lines == self.records else f" of {self.lines:,} lines"
        one = "record" if self.records == 1 else "records"
        was = "was" if self.records == 1 else "were"
        parts = [f"{count:,} with a {what}" if count else f"none with a {what}"
                 for count, what in ((self.timed, "time"), (self.levelled, "level"))]  # fmt: skip
        return f"{self.records:,} {one}{lines} {was} read, {', '.join(parts)}"


WINDOW = 200  # lines of other streams after which a record is given out


@dataclass(slots=True)
class _Stream:
    """The lines of one pod, container or file: its last record, and what may still belong to that."""

    trace: Trace = field(default_factory=Trace)
    last: Record | None = None
    touched: int = 0  # the line that belonged to it last
    parts: list[str] = field(default_factory=list)  # of a line that goes on, or of an entry of several lines
    until: str = ""  # what ends it: the next whole line, an empty line, or `</Event>`
    columns: tuple[str, ...] = ()  # of W3C's format
    date: str = ""
    day: float | None = None  # of times that name none
    clock: float = 0.0


def parse(
    lines: Iterable[str],
    *,
    source: str = "",
    times: Iterator[float | None] | None = None,
    stored: bool = False,
    zone: tzinfo | None = None,
    patterns: Patterns | None = None,
) -> Iterator[Record]:
    """The records of log lines in their order, with what belongs to them: exceptions, parts of a line, a message below.

    Args:
        lines: the lines.
        source: what they are from.
        times: for each line, when a container runtime received it. It is trusted rather than what the line says.
        stored: whether `times` are what was made of the lines when they were stored.
        zone: the zone of times that name none; UTC unless given.
        patterns: formats and maskings of one's own (`patterns`).
    """
    order: list[Format] = list(FORMATS)
    if patterns is None:
        return _Reading(source, zone, stored, Unwrapper(), order, MAY_WRAP, _Stream).records(lines, times)
    own = Reader(patterns)

    def read(text: str) -> Parsed:
        return own(text) or _parse(text, order)

    def stream() -> _Stream:
        return _Stream(OwnTrace(read=own))

    reading = _Reading(source, zone, stored, OwnUnwrapper(read=own), [read], Everything(), stream)
    records = reading.records(lines, times)
    return patterns.masked(records) if patterns.masks else records


class _Reading:
    """One reading of a log: its streams, and the records that wait, in their order, for what may belong to them.

    Args:
        source: what the lines are from.
        zone: the zone of times that name none.
        stored: whether the times that are given are what was made of the lines when they were stored.
        unwrap: takes wrappers off a line.
        order: the formats; the one that read the last line moves to the front.
        may_wrap: what a line in wrappers begins with.
        new_stream: makes a stream.
    """

    def __init__(
        self,
        source: str,
        zone: tzinfo | None,
        stored: bool,
        unwrap: Unwrapper,
        order: list[Format],
        may_wrap: Container[str],
        new_stream: Callable[[], _Stream],
    ) -> None:
        self.source, self.zone, self.stored, self.order = source, zone, stored, order
        self.unwrap, self.may_wrap, self.new_stream = unwrap, may_wrap, new_stream
        self.main = new_stream()
        self.streams = {"": self.main}
        self.waiting: deque[tuple[Record, _Stream]] = deque()  # where there are several streams

    def records(self, lines: Iterable[str], times: Iterator[float | None] | None) -> Iterator[Record]:
        """The records of lines; as `parse` has it."""
        main, streams, may_wrap = self.main, self.streams, self.may_wrap
        received: float | None = None
        for number, line in enumerate(lines, 1):
            if times is not None:
                received = next(times)
            if not line or line.isspace():
                if main.until == "\n":
                    self._finish(main, received)
                continue
            text, time, service, stream, part = line, None, None, main, False
            first = line[0]
            if (
                first in may_wrap
                or line[10:11] == "T"
                or (first == "{" and DOCKER in line)
                or (first == "[" and line[1:2] == "p")
                or "\x1b" in line
            ):
                text, time, service, stream, part = self._unwrapped(line)
            if received is not None and not self.stored:
                time = received
            last = stream.last
            if stream.parts and last is not None and number - stream.touched <= WINDOW:
                self._add_part(stream, last, number, text, part, received)
                continue
            if text is not line:
                if not text or text.isspace():
                    continue
                first = text[0]
            if last is not None and first not in ENTRY and len(last.joined) < MAX_JOINED:
                if stream.trace.joins(text, last, time is not None):
                    self._join(stream, last, number, text)
                    continue
            if part or first in "#<_" or stream.columns:
                record = Record(number, line, text, time, None, service, source=self.source)
                self._begin(record, text, part, stream, received)
            else:
                record = self._record(number, line, text, time, service, stream, received)
            stream.last, stream.touched = record, number
            if len(streams) > 1:
                yield from self._released(record, last, stream)
            elif last is not None:
                yield last
        yield from self._rest()

    # ── a line ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _unwrapped(self, line: str) -> tuple[str, float | None, str | None, _Stream, bool]:
        """A line without its wrappers: its text, time and service, its stream, and whether it goes on in the next."""
        text, time, service, name, part = self.unwrap(line)
        if not name:
            return text, time, service, self.main, part
        stream = self.streams.get(name)
        if stream is None:
            stream = self.streams[name] = self.new_stream()
        return text, time, service, stream, part

    def _record(
        self,
        number: int,
        line: str,
        text: str,
        time: float | None,
        service: str | None,
        stream: _Stream,
        received: float | None,
    ) -> Record:
        """The record of a line that is an entry by itself."""
        parsed = _parse(text, self.order)
        if parsed.format == "plain" and time is not None:  # the time that was taken off was the line's own
            parsed = after_time(f" {text}", "headed", time)
        if received is not None:
            time = received
        elif (time_read := parsed.time) is not None:
            time = time_read if time_read >= DAY and self.zone is None else self._time(time_read, stream)
        record = Record(
            number, line, parsed.message, time, parsed.level,
            parsed.service or service, parsed.fields, parsed.format, source=self.source,
        )  # fmt: skip
        trace, message = stream.trace, parsed.message
        if trace.kind or message[:1] in CRASHES or "Traceback (most" in message:  # else it has nothing to remember
            trace.begin(record)
        return record

    def _time(self, time: float, stream: _Stream) -> float:
        """A time that a format read, on its day and in the zone that was given."""
        if time < DAY:
            time = _on_a_day(time, stream)
        if self.zone is not None and type(time) is Naive:
            time = in_zone(time, self.zone)
        return time

    @staticmethod
    def _join(stream: _Stream, last: Record, number: int, text: str) -> None:
        """A line that belongs to the record before it."""
        last.joined.append(text)
        last.below.append(number - last.number)
        stream.touched = number
        if last.format == "console":
            _add_to_message(last, text)

    # ── an entry of several lines ───────────────────────────────────────────────────────────────────────────────────
    def _begin(self, record: Record, text: str, part: bool, stream: _Stream, received: float | None) -> None:
        """Begin an entry of several lines, or one whose columns a line before has named."""
        until = "part" if part else _until(text)
        if until:
            stream.parts, stream.until = [text], until
        else:
            self._fill(record, text, stream, received)

    def _add_part(
        self, stream: _Stream, last: Record, number: int, text: str, part: bool, received: float | None
    ) -> None:
        """A line that goes on with the entry before it."""
        if text:
            stream.parts.append(text[: MAX_LINE - 1])
        last.joined.append(text)
        last.below.append(number - last.number)
        last.parts += 1
        stream.touched = number
        if _ends(stream, text, part) or len(last.joined) >= MAX_JOINED:
            self._finish(stream, received)

    def _finish(self, stream: _Stream, received: float | None) -> None:
        """Read an entry whose parts are all there."""
        assert stream.last is not None
        parts, until = stream.parts, stream.until
        stream.parts, stream.until = [], ""
        if until == "\n":
            self._take(stream.last, read_export(parts), stream, received)
            return
        text = ("\n" if until == "</Event>" else "").join(parts)
        self._fill(stream.last, text, stream, received)

    def _fill(self, record: Record, text: str, stream: _Stream, received: float | None) -> None:
        """What the formats make of a record's first line."""
        parsed = None
        if text[0] == "#" and text.startswith(("#Fields:", "#Date:")):
            if text[1] == "F":
                stream.columns = columns_of(text)
            else:
                stream.date = text[7:17]
        elif stream.columns:
            parsed = read_w3c(text, stream.columns, stream.date)
        if parsed is None:
            parsed = _parse(text, self.order)
            if parsed.format == "plain" and record.time is not None:  # the time that was taken off was the line's own
                parsed = after_time(f" {text}", "headed", record.time)
        self._take(record, parsed, stream, received)
        stream.trace.begin(record)

    def _take(self, record: Record, parsed: Parsed, stream: _Stream, received: float | None) -> None:
        """What a format read, into a record that is there already."""
        record.message, record.level, record.fields, record.format = (
            parsed.message, parsed.level, parsed.fields, parsed.format,
        )  # fmt: skip
        record.service = parsed.service or record.service
        if received is not None:
            record.time = received
        elif parsed.time is not None:
            record.time = self._time(parsed.time, stream)

    # ── several streams ─────────────────────────────────────────────────────────────────────────────────────────────
    def _released(self, record: Record, last: Record | None, stream: _Stream) -> Iterator[Record]:
        """The records that nothing more can belong to, once another one begins behind `last` of its stream."""
        main, waiting = self.main, self.waiting
        if last is not None and not waiting and stream is main:
            waiting.append((last, main))
        elif not waiting and main.last is not None and stream is not main:
            waiting.append((main.last, main))  # until now, it was alone
        while waiting and (
            (head := waiting[0])[1].last is not head[0] or record.number - head[1].touched > WINDOW
        ):  # fmt: skip
            waiting.popleft()
            yield self._closed(*head)
        waiting.append((record, stream))

    def _rest(self) -> Iterator[Record]:
        """The records that still wait when the lines have ended."""
        if len(self.streams) == 1 and self.main.last is not None:
            self.waiting.append((self.main.last, self.main))
        for record, stream in self.waiting:
            record.open = stream.last is record
            yield self._closed(record, stream)

    def _closed(self, record: Record, stream: _Stream) -> Record:
        """A record that nothing more will be joined to."""
        if stream.last is record:
            if stream.parts:  # a part whose end never came
                self._finish(stream, None)
            stream.last = None
        return record


def _until(text: str) -> str:
    """What ends an entry that begins on a line and goes on in the next ones; empty where it is whole."""
    if text[0] == "<":
        return "</Event>" if text.startswith(EVENT[:3]) and "</Event>" not in text else ""
    return "\n" if text[0] == "_" and is_export(text) else ""


def _ends(stream: _Stream, text: str, part: bool) -> bool:
    if stream.until == "part":
        return not part
    return stream.until in text if stream.until == "</Event>" else False


def _on_a_day(time: float, stream: _Stream) -> Naive:
    """A time of day on the latest day on which it is not in the future, and not before the line before."""
    if stream.day is None:
        stream.day = latest_day(time)
    elif time < stream.clock - DAY / 2:
        stream.day += DAY
    stream.clock = time
    return Naive(stream.day + time)


def _add_to_message(record: Record, text: str) -> None:
    """An indented line of .NET's console: the message, until an exception begins."""
    text = text.strip()
    if len(record.joined) - 1 > record.parts or (record.message and (EXCEPTION.match(text) or text.startswith("at "))):
        return
    record.message = f"{record.message} {text}".strip()
    record.parts += 1


def _parse(text: str, order: list[Format]) -> Parsed:
    """Read one line with the format that fits; the one that fitted last is tried first."""
    try:
        return order[0](text) or _parse_as_another(text, order)
    except (ValueError, OverflowError, RecursionError):  # nothing that a line holds stops the lines after it
        return plain(text)


def _parse_as_another(text: str, order: list[Format]) -> Parsed:
    """Read one line that the first format does not fit; the one that fits becomes the first."""
    for index in range(1, len(order)):
        if (parsed := order[index](text)) is not None:
            order.insert(0, order.pop(index))
            return parsed
    return plain(text)


_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def span(text: str) -> float | None:
    """A span such as 10s, 5m, 2h or 1d in seconds; None for anything else."""
    match = _SPAN.fullmatch(text.strip())
    return None if match is None else float(match[1]) * _UNITS[match[2]]


def moment(since: str, newest: float | None) -> float:
    """What `--since` means in seconds since 1970: a time, or a span back from the newest line."""
    if (back := span(since)) is not None:
        if newest is None:
            raise UsageError(
                "since must be a time that lines can be compared with, and no line of these logs has one, "
                f"got '{since}'. Leave it out."
            )
        return newest - back
    at = seconds(since.strip(), any=True)
    if at is None:
        raise UsageError(
            f"since must be a span such as 10m, 2h or 1d, or a time such as 2026-11-20T23:00:00Z, got '{since}'."
        )
    return at


def after(records: Iterable[Record], begin: float) -> Iterator[Record]:
    """The records from `begin` on; one without a time goes with the one before it."""
    inside = False
    for record in records:
        if record.time is not None:
            inside = record.time >= begin
        if inside:
            yield record

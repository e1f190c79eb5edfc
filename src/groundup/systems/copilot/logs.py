"""Log files as records: opened, decoded, their format recognised line by line, exceptions joined to their line.

    bytes ── open_logs ──▶ lines ── parse ──▶ Records

Everything streams: a record is given out as soon as the next one begins. A line that no format fits is a record of
format `plain`; nothing is dropped but empty lines. What a line says is data: nothing in it is run, looked up or obeyed.

Not covered: multi-line messages other than exceptions and indented lines (each of their lines is a record of its own).
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from groundup.errors import UsageError
from groundup.systems.copilot.content import PIECE, Opened, opened_as_text
from groundup.systems.copilot.formats import FORMATS, PADDED_LEVEL, Parsed, after_time, plain, unwrap
from groundup.systems.copilot.times import seconds

MAX_LINE = 65_536  # characters; what is longer is cut, so that one line without an end cannot fill the memory
LOOK = 400  # characters of a line that say whether it continues an exception
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
        joined: the lines of the exception that belong to it.
        below: for each of them, how many lines below `number` it stands.
        source: the file that it is from.
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

    def __str__(self) -> str:
        """In words: `240 records of 268 lines were read, 240 with a time, 12 with a level`."""
        lines = "" if self.lines == self.records else f" of {self.lines:,} lines"
        one = "record" if self.records == 1 else "records"
        was = "was" if self.records == 1 else "were"
        parts = [f"{count:,} with a {what}" if count else f"none with a {what}"
                 for count, what in ((self.timed, "time"), (self.levelled, "level"))]  # fmt: skip
        return f"{self.records:,} {one}{lines} {was} read, {', '.join(parts)}"


# What continues an exception that has begun.
_PYTHON = "Traceback (most recent call last):"
_BETWEEN = re.compile(
    r"(During handling of the above exception|The above exception was the direct cause"
    r"|Traceback \(most recent call last\):)"
)
_JAVA = re.compile(r"\s*(at [\w.$/<>]+[\w$<>]*\(.*\)|\.\.\. \d+ (more|common frames omitted)|Caused by: |Suppressed: )")
_JAVA_BEGINS = frozenset(" \tatCS.")
_NEVER_JOINS = frozenset("{[0123456789")  # a line that begins so is an entry of its own, and most do
EXCEPTION = re.compile(
    r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning|Failure|Fault|Throwable)\b(?=[:\s(]|$)"
)


def parse(lines: Iterable[str], *, source: str = "", times: Iterator[float | None] | None = None) -> Iterator[Record]:
    """The records of log lines, exceptions joined to the line that they belong to.

    Args:
        lines: the lines.
        source: what they are from.
        times: for each line, when a container runtime received it. It is trusted rather than what the line says.
    """
    last: Record | None = None
    python = False  # inside a Python traceback, whose last line is not indented
    order = list(FORMATS)
    for number, line in enumerate(lines, 1):
        received = None if times is None else next(times)
        if not line or line.isspace():
            continue
        time, service, text = unwrap(line)
        if received is not None:
            time = received
        joins, ends = False, False
        begins = text[0] in _NEVER_JOINS or (time is not None and PADDED_LEVEL.match(text) is not None)
        if last is not None and not begins and len(last.joined) < MAX_JOINED:
            joins, python, ends = _joins(text[:LOOK], last, python)
        if joins and last is not None:
            last.joined.append(text)
            last.below.append(number - last.number)
            python = python and not ends
            continue
        python = text.startswith(_PYTHON)
        if last is not None:
            yield last
        parsed = _parse(text, order)
        if parsed.format == "plain" and time is not None:  # the time that was taken off was the line's own
            parsed = after_time(f" {text}", "headed", time)
        if not python and _PYTHON in parsed.message:
            python = True  # the header and the beginning of the traceback share a line
        if parsed.time is not None and received is None:
            time = parsed.time
        last = Record(
            number, line, parsed.message, time, parsed.level,
            parsed.service or service, parsed.fields, parsed.format, source=source,
        )  # fmt: skip
    if last is not None:
        yield last


def _joins(text: str, last: Record, python: bool) -> tuple[bool, bool, bool]:
    """Whether a line belongs to the record before; whether it is in a Python traceback; whether that ends with it."""
    indented = text[0] in " \t"
    if indented and (_JAVA.match(text) or python):
        return True, python, False
    if text[0] in _JAVA_BEGINS and _JAVA.match(text) and (last.joined or EXCEPTION.search(last.message)):
        return True, python, False
    if text.startswith(_PYTHON):  # belongs to the entry that reports it
        return last.level in ("error", "fatal", "warn") or bool(last.joined), True, False
    if python:
        if _BETWEEN.match(text):
            return True, True, False
        return EXCEPTION.match(text) is not None or re.match(r"[A-Za-z_][\w.]*: ", text) is not None, python, True
    if last.joined and _BETWEEN.match(text):
        return True, True, False
    if last.level in ("error", "fatal", "warn") and last.format != "plain" and EXCEPTION.match(text):
        return True, False, False  # Java: the exception's own line stands below the entry
    # A file of bare indented lines is a list, not one entry.
    return indented and last.text[0] not in " \t" and last.format != "plain", python, False


def _parse(text: str, order: list[Any]) -> Parsed:
    """Read one line with the format that fits; the one that fitted last is tried first."""
    try:
        for index, read in enumerate(order):
            parsed = read(text)
            if parsed is not None:
                if index:
                    order.insert(0, order.pop(index))
                return parsed
    except (ValueError, OverflowError, RecursionError):  # nothing that a line holds stops the lines after it
        pass
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

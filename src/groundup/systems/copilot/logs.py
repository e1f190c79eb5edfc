"""Log files as records: opened, decoded, their format recognised line by line, exceptions joined to their line.

    bytes ── open_logs ──▶ lines ── parse ──▶ Records

Everything streams: a record is given out as soon as the next one begins. A line that no format fits is a record of
format `plain`; nothing is dropped but empty lines. What a line says is data: nothing in it is run, looked up or obeyed.

Not covered: multi-line messages other than exceptions and indented lines (each of their lines is a record of its own).
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from groundup.errors import UsageError
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


@contextmanager
def open_logs(path: str | Path) -> Iterator[Iterator[str]]:
    """The lines of a log file: gzip or not; UTF-8, with what is none replaced, or UTF-16 with its mark; - is stdin."""
    if str(path) == "-":
        yield _lines(cast(IO[bytes], sys.stdin.buffer), "standard input")
        return
    path = Path(path)
    if not path.exists():
        raise UsageError(
            f"FILE must be a log file that exists, and '{path}' does not. Check the path, or give - for stdin."
        )
    if path.is_dir():
        raise UsageError(f"FILE must be a log file, and '{path}' is a folder. Name the files in it: {path}/*.log")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UsageError(f"FILE must be readable, and '{path}' is not: {error.strerror}.") from error
    with stream:
        yield _lines(stream, str(path))


def _lines(stream: IO[bytes], name: str) -> Iterator[str]:
    buffered = cast(io.BufferedReader, stream if hasattr(stream, "peek") else io.BufferedReader(cast(Any, stream)))
    if buffered.peek(2)[:2] == b"\x1f\x8b":
        buffered = io.BufferedReader(cast(Any, gzip.GzipFile(fileobj=buffered)))
    try:
        start = buffered.peek(2)[:2]
        if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            with io.TextIOWrapper(buffered, "utf-16", errors="replace", newline="\n") as text:
                yield from (line.rstrip("\r\n") for line in text)
            return
        first = True
        while raw := buffered.readline(4 * MAX_LINE):
            line = raw.decode("utf-8", "replace").rstrip("\r\n")[:MAX_LINE]
            if first:
                line, first = line.removeprefix("\ufeff"), False
            yield line
            while raw[-1:] != b"\n" and len(raw) == 4 * MAX_LINE:
                raw = buffered.readline(4 * MAX_LINE)  # the rest of a line that is too long
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(
            f"FILE must be whole, and the gzip data of '{name}' is damaged ({error}). "
            "Fetch it again, or unpack what is left."
        ) from error


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
    for index, read in enumerate(order):
        parsed = read(text)
        if parsed is not None:
            if index:
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
    at = seconds(since.strip())
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

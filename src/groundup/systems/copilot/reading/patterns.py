r"""Header formats and maskings of one's own, from a TOML file.

    [formats]                       # tried before the built-in ones, in this order
    shop = '(?P<time>\S+ \S+) <(?P<level>\w+)> (?P<service>[^:]+): (?P<message>.*)'

    [masks]                         # what they match in a message is a value, as numbers are
    order = 'ord-[a-z]+'

A format matches a whole line: as it stands, otherwise as it is without its wrappers (`wrappers`). A line of
a `pod` is of that pod's stream, and so is a line of no format below it: exceptions stay with their records.

Patterns are RE2's. RE2 never backtracks, so no line takes a pattern more than time in proportion to its length; what
needs backtracking (back-references, look-around) does not compile.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import UsageError
from groundup.extras import need
from groundup.masking import VALUE
from groundup.systems.copilot.reading.formats import read_clock
from groundup.systems.copilot.reading.joining import Trace
from groundup.systems.copilot.reading.parsed import Parsed, level_of
from groundup.systems.copilot.reading.times import seconds
from groundup.systems.copilot.reading.wrappers import Unwrapped, Unwrapper

if TYPE_CHECKING:
    from groundup.systems.copilot.reading.logs import Record

GROUPS = ("time", "level", "service", "pod", "message")
TABLES = ("formats", "masks")
PROBE = "a b-1 .é"  # a mask that matches nothing in it, at any place, would put a value between all characters
EXAMPLE = r"shop = '(?P<time>\S+ \S+) (?P<level>\w+) (?P<message>.*)'"


@dataclass(frozen=True)
class Patterns:
    """What a file of patterns holds.

    Attributes:
        formats: compiled patterns of lines by their keys, in the order in which they are tried.
        masks: compiled patterns of values.
    """

    formats: dict[str, Any] = field(default_factory=dict)
    masks: tuple[Any, ...] = ()

    def read(self, line: str) -> Parsed | None:
        """What the first format that fits makes of a line; None where none does."""
        for name, pattern in self.formats.items():
            if (match := pattern.fullmatch(line)) is not None:
                return _parsed(name, match.groupdict())
        return None

    def masked(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records, with the values in their messages masked. Their lines stay as they are."""
        for record in records:
            for mask in self.masks:
                record.message = mask.sub(VALUE, record.message)
            yield record


class Reader:
    """Reads the lines of one log with formats of one's own: each line once, however many ask for it."""

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns
        self._last: tuple[str, Parsed | None] = ("", None)

    def __call__(self, line: str) -> Parsed | None:
        """What a format makes of a line; None where none fits."""
        if line != self._last[0]:
            self._last = (line, self._patterns.read(line))
        return self._last[1]


@dataclass(slots=True)
class OwnUnwrapper(Unwrapper):
    """Takes nothing off a line that a format of one's own fits as it stands."""

    read: Reader | None = None
    pod: str = ""  # of the last line: what fits no format goes with the line before it

    def __call__(self, line: str) -> Unwrapped:
        """A line without what was put around it, in its pod's stream."""
        assert self.read is not None
        taken = Unwrapped(line)
        parsed = self.read(line)
        if parsed is None:
            taken = Unwrapper.__call__(self, line)
            parsed = self.read(taken.text) if taken.text else None
        if parsed is not None:
            self.pod = parsed.fields.get("pod", "")
        return taken._replace(stream=f"{taken.stream} {self.pod}".strip()) if self.pod else taken


@dataclass(slots=True)
class OwnTrace(Trace):
    """A line that a format of one's own fits begins a record, whatever it looks like."""

    read: Reader | None = None

    def joins(self, text: str, last: Record, timed: bool) -> bool:
        """Whether a line belongs to the record before it."""
        assert self.read is not None
        return self.read(text) is None and Trace.joins(self, text, last, timed)


class Everything:
    """Any line may be in the wrapper of a format of one's own: has every character."""

    def __contains__(self, character: object) -> bool:
        return True


def _parsed(name: str, groups: dict[str, str | None]) -> Parsed:
    stamp, level, pod = groups.get("time"), groups.get("level"), groups.get("pod")
    time = None
    if stamp and (time := seconds(stamp)) is None and (clock := read_clock(f"{stamp} ")) is not None:
        time = clock.time
    return Parsed(
        name, groups["message"] or "", time, level_of(level) if level else None, groups.get("service") or pod or None,
        {"pod": pod} if pod else {},
    )  # fmt: skip


# ── reading the file ────────────────────────────────────────────────────────────────────────────────────────────────
def load_patterns(path: str | Path) -> Patterns:
    """The patterns of a file.

    Raises:
        UsageError: the file is not there or no TOML, or a pattern cannot be used; names file, key and pattern.
    """
    path = Path(path)
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"patterns must be a file that can be read, and '{path}' cannot: {error.strerror}. Check the path."
        ) from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise UsageError(
            f"patterns must be a TOML file, and '{path}' is none: {error}. Write a pattern between single quotes: "
            f"{EXAMPLE}"
        ) from error
    need("Patterns of your own", "re2")
    for table, entries in tables.items():
        if table not in TABLES or not isinstance(entries, dict):
            raise UsageError(
                f"patterns must be in the tables [formats] and [masks], and '{path}' has '{table}'. "
                f"Put it under one of them: [formats], then {EXAMPLE}"
            )
    formats = {key: _format(path, key, text) for key, text in tables.get("formats", {}).items()}
    masks = tuple(_mask(path, key, text) for key, text in tables.get("masks", {}).items())
    return Patterns(formats, masks)


def _format(path: Path, key: str, text: object) -> Any:
    where = f"formats.{key}"
    pattern = _compiled(path, where, text)
    if unknown := sorted(set(pattern.groupindex) - set(GROUPS)):
        raise _refused(
            path, where, text, f"may name the groups {', '.join(GROUPS)}, and names '{unknown[0]}'",
            "Rename it, or leave its name out: (?:…)",
        )  # fmt: skip
    if "message" not in pattern.groupindex:
        raise _refused(
            path, where, text, "must have a group named message, and has none", "Add it, mostly last: (?P<message>.*)"
        )
    if pattern.fullmatch("") is not None:
        raise _refused(
            path, where, text, "must not match the empty line, and does", "Demand something of a line: .+ for .*"
        )
    return pattern


def _mask(path: Path, key: str, text: object) -> Any:
    where = f"masks.{key}"
    pattern = _compiled(path, where, text)
    if any(match.start() == match.end() for probe in ("", PROBE) for match in pattern.finditer(probe)):
        raise _refused(
            path, where, text, "must match at least one character, and matches none, too", "Write + for *, or x for x?"
        )
    return pattern


def _compiled(path: Path, where: str, text: object) -> Any:
    import re2

    if not isinstance(text, str):
        raise _refused(path, where, text, "must be a pattern between quotes", f"For example: {EXAMPLE}")
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        if re.search(r": (?:\(\?<?[=!<]|\\\d)$", reason):
            rule = "must do without back-references and look-around, as they can backtrack without bound, and has one"
            raise _refused(path, where, text, f"{rule} ({reason})", "Write it without") from error
        rule, remedy = f"must compile, and does not ({reason})", "See https://github.com/google/re2/wiki/Syntax"
        raise _refused(path, where, text, rule, remedy) from error


def _refused(path: Path, where: str, text: object, rule: str, remedy: str) -> UsageError:
    return UsageError(f"{where} in '{path}' {rule}: {text if isinstance(text, str) else repr(text)} — {remedy}.")

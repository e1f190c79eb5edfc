"""Which lines continue the record before them: exceptions of many languages, panics, indented lines.

A stream of lines has one `Trace`, which remembers what the last record was and which kind of trace it carries. Lines of
several streams in one file (pods, containers, standard error) have a trace each, and so do not end each other's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from groundup.systems.copilot.reading.logs import Record

LOOK = 400  # characters of a line that say whether it continues an exception
PYTHON = "Traceback (most recent call last):"
_GRAVE = frozenset(("error", "fatal", "warn"))
_MAY_JOIN = frozenset(" \tatCSWTg#N.")  # how a line begins that may go on with a record that is not grave
_BETWEEN = re.compile(
    r"(During handling of the above exception|The above exception was the direct cause"
    r"|Traceback \(most recent call last\):)"
)
_JAVA = re.compile(
    r"\s*(at [\w.$/<>]+[\w$<>]*\(.*\)|\.\.\. \d+ (more|common frames omitted)|Caused by: |Suppressed: |Wrapped by: )"
)
_JAVA_BEGINS = frozenset(" \tatCSW.")
ENTRY = frozenset("{0123456789")  # a line that begins so is an entry of its own, and most do
EXCEPTION = re.compile(
    r"(?:[A-Za-z_]\w*(?:\.|::))*"
    r"(?:[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning|Failure|Fault|Throwable)\b(?=[:\s(]|$)"
    r"|(?:Error|Exception|Throwable)(?=:))"
)
# A padded level behind a time (Spring Boot): spaces that indent nothing.
PADDED_LEVEL = re.compile(r" +(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL)\b")
_RUBY = re.compile(r"(?:\[[\w-]{1,40}\] )?\s*(?:\d+: )?(?:from )?[^\s:]+:\d+:in [`'].*")
_TAG_ONLY = re.compile(r"\[[\w-]{1,40}\]\s*$")
_PHP = re.compile(r"Stack trace:$|#\d+ (?:\{main\}|\S.*)|Next \S+(?:Exception|Error)\b|\s+thrown in ")
_FRAME = re.compile(r"\s+at \S.*(?:\)|:\d+|line \d+)(?: \{)?$")
_ERROR = re.compile(r"(?:Uncaught )?\[?(?:\w*Error|Exception)\b")
_DOTNET = re.compile(r"\s*(?:---> |--- End of (?:inner exception )?stack trace)")
_GO_BEGINS = re.compile(r"(?:panic: |fatal error: |SIG[A-Z]+: |runtime: |http: panic serving )")
_GO = re.compile(
    r"goroutine \d+ \[|created by |exit status \d+$|\[signal |panic: |\[recovered\]|main\.|runtime\.|PC=|fatal error: "
    r"|[\w./%~-]+\.[\w.()*·\[\]-]+\(.*\)$|r(?:[a-z]{2}|\d+) +0x|rip |rflags |[cfg]s +0x|\.\.\.\d+ frames? elided"
    r"|runtime stack:"
)
CRASHES = frozenset("pfrSht/nABCDEFG")  # what the first line of a crash begins with
_RUST = re.compile(r"thread '.*' (?:\(\d+\) )?panicked at ")
_RUST_NOTE = re.compile(r"note: |stack backtrace:|\s+\d+: |\s+at ")
_NODE = re.compile(r"(?:/|file://|node:|[A-Za-z]:\\)\S+:\d+$")
_NODE_ENDS = re.compile(r"Node\.js v\d|\}$|\^+$|  \[?\w+\]?: ")


@dataclass(slots=True)
class Trace:
    """Which kind of trace the last record of a stream carries, if any."""

    kind: str = ""
    head: bool = False  # whether the next line is the trace's message

    def begin(self, record: Record) -> None:
        """Take in a new record; what only ever begins a crash is fatal."""
        message = record.message
        self.kind = "python" if "Traceback (most" in message else ""
        if message[:1] not in CRASHES:
            return
        if _GO_BEGINS.match(message) is not None:
            self.kind = "go"
            if message.startswith(("panic: ", "fatal error: ")):
                record.level = record.level or "fatal"
        elif message[:8] == "thread '" and _RUST.match(message) is not None:
            self.kind, self.head = "rust", message.endswith(":")
            record.level = record.level or "fatal"
        elif record.format == "plain" and _NODE.match(message) is not None:
            self.kind = "node"

    def joins(self, text: str, last: Record, timed: bool) -> bool:
        """Whether a line belongs to the record before it; `timed`: a time was taken off that is the line's own."""
        first = text[0]
        if first in ENTRY or (timed and first == " " and PADDED_LEVEL.match(text) is not None):
            return False
        if first == "[":
            return bool(self.kind or last.joined or last.level in _GRAVE) and self._bracketed(text)
        grave = last.level in _GRAVE
        if self.kind:
            if (joined := self._goes_on(text[:LOOK])) is not None:
                return joined
        elif not grave and first not in _MAY_JOIN and not last.joined and ":in " not in text:
            return False
        text = text[:LOOK]
        indented = first in " \t"
        if indented and _JAVA.match(text):
            return True
        if indented and _FRAME.match(text):
            self.kind = "node" if text.endswith("{") else ""
            return True
        if first in _JAVA_BEGINS and _JAVA.match(text) and (last.joined or EXCEPTION.search(last.message)):
            return True
        if first == "T" and text.startswith(PYTHON):  # belongs to the entry that reports it
            if grave or last.joined:
                self.kind = "python"
                return True
            return False
        if last.joined and (_BETWEEN.match(text) or (first in "- " and _DOTNET.match(text))):
            self.kind = "python" if text.startswith((PYTHON, "During", "The above")) else ""
            return True
        if first == "g" and text.startswith("goroutine ") and (grave or "panic" in last.message):
            self.kind = "go"
            return True
        if first == "p" and grave and text.startswith("panic: ") and text[7:27] in last.message:
            self.kind = "go"  # a logger that says it, and panics with it
            return True
        if first in "S#N" and _PHP.match(text) and (last.joined or grave or "ception" in last.message):
            return True
        if (
            ":in " in text
            and _RUBY.match(text)
            and (last.joined or grave or ":in " in last.message or EXCEPTION.search(last.message))
        ):
            return True
        if grave and last.format != "plain" and EXCEPTION.match(text):
            return True  # the exception's own line stands below the entry
        # A file of bare indented lines is a list, not one entry.
        return indented and last.text[0] not in " \t" and last.format != "plain"

    def _goes_on(self, text: str) -> bool | None:
        """Whether a line goes on with a trace that has begun; None where the trace does not say."""
        first = text[0]
        if self.kind == "python":
            if first in " \t" or _BETWEEN.match(text):
                return True
            if EXCEPTION.match(text) is not None or re.match(r"[A-Za-z_][\w.]*: ", text) is not None:
                self.kind = ""
                return True
            return False
        if self.kind == "go":
            return first == "\t" or _GO.match(text) is not None or None
        if self.kind == "rust":
            if self.head:
                self.head = False
                return True
            return first in " \t" or _RUST_NOTE.match(text) is not None or None
        if first in " \t" or _NODE_ENDS.match(text) is not None or _ERROR.match(text) is not None:
            return True  # Node: the place, the code, the error, its frames, its fields, the version
        return None

    def _bracketed(self, text: str) -> bool:
        """Whether a line in brackets belongs to a trace: Rails tags each line, Go tells of a signal."""
        if self.kind == "go":
            return text.startswith(("[signal ", "[recovered]"))
        if self.kind == "node":
            return True
        if text.startswith("[stacktrace]"):  # Laravel
            return True
        return (":in " in text and _RUBY.match(text[:LOOK]) is not None) or _TAG_ONLY.match(text) is not None

r"""What runtimes and tools put before a line, or around it: taken off, before a format is looked for.

| wrapper | example |
|---|---|
| `kubectl logs --prefix` | `[pod/cart-1/cart] …` |
| stern | `ledger-7c9d-cd34 ledger …` |
| compose | `cart-1  \| …` |
| `--timestamps`, containerd and CRI-O | `2026-03-02T10:00:00.000000001Z stdout F …` |
| Docker's json-file | `{"log":"…\\n","stream":"stdout","time":"…"}` |
| colours | `\\x1b[31mERROR\\x1b[0m …` |
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NamedTuple

from groundup.systems.copilot.reading.parsed import healed
from groundup.systems.copilot.reading.times import seconds

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_POD = re.compile(r"\[(pod/[^\]\s]+)\] ")
_COMPOSE = re.compile(r"([a-z][a-z0-9_.-]{0,80}?) +\| ?")
_LEVEL_WORD = re.compile(r"(?:trace|debug|info|notice|warn|warning|error|err|fatal|critical)$")
_STERN = re.compile(
    r"(?:[a-z0-9][a-z0-9-]{0,62} )?([a-z0-9][a-z0-9.-]{0,200}-[a-z0-9]{1,10}) ([a-z0-9][a-z0-9-]{0,62}) "
)
_STERN_REST = re.compile(r"[{\[]|\d{4}[-/]\d\d|[IWEF]\d{4} |(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\b|(?:level|time|ts)=")
_STAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})) (?:(stdout|stderr) ([FP])(?::\S*)?(?: |$))?"
)
_BARE_CRI = re.compile(r"\d{4}-\d{2}-\d{2}T[\d:.]+(?:Z|[+-]\d{2}:\d{2}) (?:stdout|stderr) F$")
_DOCKER = re.compile(r'\{"(?:log|stream|time|attrs)": ?')
_DECODE = json.JSONDecoder().raw_decode
MAY_WRAP = frozenset("abcdefghijklmnopqrstuvwxyz")  # what a line in wrappers begins with, but for times, JSON, `[pod/`
DOCKER = '"stream"'  # what a line of Docker's json-file holds
FULL = 16_000  # characters of a line that Docker may have split, whatever else it looks like


class Unwrapped(NamedTuple):
    """A line without its wrappers.

    Attributes:
        text: what is left of it; empty for an empty line in wrappers.
        time: when it was received, as far as a wrapper says.
        service: what wrote it, as far as a wrapper says.
        stream: which of the streams in this file it is of; empty where there is one only.
        part: whether the line goes on in the next one of its stream.
    """

    text: str
    time: float | None = None
    service: str | None = None
    stream: str = ""
    part: bool = False


@dataclass(slots=True)
class Unwrapper:
    """Takes off wrappers, and remembers which ones this file has."""

    pods: set[tuple[str, str]] | None = None
    ends: bool = False  # whether lines of Docker's json-file end with a newline, so that one without it goes on

    def __call__(self, line: str) -> Unwrapped:
        """A line without what was put around it."""
        if "\x1b" in line:
            line = _ANSI.sub("", line) or line
        time = service = None
        stream = ""
        first = line[0]
        if first == "[":
            if line.startswith("[pod/") and (match := _POD.match(line)):
                stream, service, line = match[1], match[1].split("/")[-1], line[match.end() :]
        elif "a" <= first <= "z":
            if " |" in line[:100] and (match := _COMPOSE.match(line)) and not _LEVEL_WORD.match(match[1]):
                stream, service, line = match[1], match[1], line[match.end() :]
            elif "-" in line[:100] and (match := _STERN.match(line)) and self._is_pod(match, line):
                stream, service, line = f"{match[1]} {match[2]}", match[2], line[match.end() :]
        part = False
        if line[10:11] == "T" and (match := _STAMP.match(line)):
            if match[2]:
                time, stream, part = seconds(match[1]), f"{stream} {match[2]}", match[3] == "P"
                line = line[match.end() :]
            elif match.end() < len(line):
                time, line = seconds(match[1]), line[match.end() :]
        if line[:2] == '{"' and _DOCKER.match(line):
            return self._docker(line, time, service, stream)
        return Unwrapped(line, time, service, stream, part)

    def _is_pod(self, match: re.Match[str], line: str) -> bool:
        if self.pods is None:
            self.pods = set()
        pod = (match[1], match[2])
        if pod in self.pods:
            return True
        hashed = any(character.isdigit() for character in match[1].rsplit("-", 1)[1])
        if (hashed or match[1].startswith(f"{match[2]}-")) and _STERN_REST.match(line, match.end()):
            self.pods.add(pod)
            return True
        return False

    def _docker(self, line: str, time: float | None, service: str | None, stream: str) -> Unwrapped:
        try:
            fields, end = _DECODE(line)
        except (ValueError, RecursionError):
            return Unwrapped(line, time, service, stream)
        log = fields.get("log")
        if not isinstance(log, str) or "stream" not in fields or line[end:].strip():
            return Unwrapped(line, time, service, stream)
        if "\\u" in line:
            log = healed(log)
            if "\x1b" in log:
                log = _ANSI.sub("", log)
        whole = log.endswith("\n")
        self.ends |= whole
        stamp = fields.get("time")
        if isinstance(stamp, str):
            time = seconds(stamp) or time
        part = not whole and (self.ends or len(log) >= FULL)
        return Unwrapped(log.removesuffix("\n").removesuffix("\r"), time, service, f"{stream} {fields['stream']}", part)

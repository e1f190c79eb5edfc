"""The formats that a log line may be in. Each reads one line, or says None; `plain` reads all.

| format | example |
|---|---|
| json | `{"time": "…", "level": "error", "msg": "…"}`, also as Docker, ECS, Bunyan and pino write it |
| logfmt | `ts=… level=info msg="…" key=value` |
| klog | `E1120 23:06:46.260686    1 reflector.go:126] …` |
| access | `10.0.0.1 - - [20/Nov/2026:23:06:46 +0000] "GET / HTTP/1.1" 500 12` |
| headed | a time, then host, process, level, thread, logger in any usual order: syslog, log4j, Spring, Android … |
| levelled | the same without a time: `ERROR [main] org.example.Pool - …` |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from groundup.systems.copilot.times import FIRST, LAST, MONTHS, TIME, seconds

HEADER = 400  # characters that are searched for a header: the patterns backtrack, and a line may be as long as it likes
_LEVELS = {
    "trace": "trace verbose finest finer t v silly",
    "debug": "debug fine config d dbg",
    "info": "info information informational notice i inf log detail hint statement context",
    "warn": "warn warning w wrn",
    "error": "error err severe e eror",
    "fatal": "fatal critical crit alert emerg emergency panic dpanic f c failure",
}
LEVELS = {word: level for level, words in _LEVELS.items() for word in words.split()}
_BUNYAN = {10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal"}
_SYSLOG = ("fatal", "fatal", "fatal", "error", "warn", "info", "info", "debug")
_WORDS = (
    "TRACE|VERBOSE|DEBUG|INFORMATION|INFO|NOTICE|WARNING|WARN|ERROR|ERR|SEVERE|CRITICAL|CRIT|ALERT|EMERGENCY|EMERG"
    "|FATAL|PANIC|FAILURE"
)


@dataclass(slots=True)
class Parsed:
    """What a format makes of a line; see `Record` for the fields."""

    format: str
    message: str
    time: float | None = None
    level: str | None = None
    service: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_POD = re.compile(r"\[(pod/[^\]\s]+)\] ")
_STAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})) (?:(?:stdout|stderr) [FP] )?"
)
# A level behind a time, padded to the width of the longest (Spring Boot): spaces that indent nothing.
PADDED_LEVEL = re.compile(r" +(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL)\b")


def unwrap(line: str) -> tuple[float | None, str | None, str]:
    """Take off what `kubectl logs --timestamps --prefix` and runtimes put before a line: time, origin, the rest."""
    if "\x1b" in line:
        line = _ANSI.sub("", line) or line
    time = service = None
    if line.startswith("[pod/") and (match := _POD.match(line)):
        service, line = match[1].split("/")[-1], line[match.end() :]
    if line[10:11] == "T" and (match := _STAMP.match(line)) and match.end() < len(line):
        time, line = seconds(match[1]), line[match.end() :]
    return time, service, line


# ── structured ──────────────────────────────────────────────────────────────────────────────────────────────────────
_TIME_KEYS = ("timestamp", "time", "ts", "@timestamp", "t", "datetime", "date", "asctime", "eventTime")
_LEVEL_KEYS = ("level", "severity", "lvl", "log.level", "levelname", "loglevel", "Level", "priority")
_MESSAGE_KEYS = ("message", "msg", "log", "MESSAGE", "text", "event", "body")
_SERVICE_KEYS = (
    "service",
    "service.name",
    "app",
    "application",
    "component",
    "logger",
    "name",
    "container",
    "source",
    "caller",
)


@lru_cache(maxsize=4096)
def _roles(keys: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Which of a line's keys may hold its time, level, message and service; the lines of a program have the same."""
    every = (_TIME_KEYS, _LEVEL_KEYS, _MESSAGE_KEYS, _SERVICE_KEYS)
    return tuple(tuple(key for key in known if key in keys) for known in every)


def _structured(name: str, fields: dict[str, Any]) -> Parsed:
    times, levels, messages, services = _roles(tuple(fields))
    message = _first(fields, messages)
    log = fields.get("log")
    if isinstance(log, dict) and "log.level" not in fields:
        fields["log.level"] = log.get("level")
        levels = _LEVEL_KEYS
    service = _first(fields, services)
    if isinstance(service, dict):
        service = service.get("name")
    if message is None or isinstance(message, (dict, list)):
        inner = fields.get("jsonPayload")
        message = _first(inner, _MESSAGE_KEYS) if isinstance(inner, dict) else None
    if message is None:
        known = {*_TIME_KEYS, *_LEVEL_KEYS, *_SERVICE_KEYS}
        message = " ".join(f"{key}={value}" for key, value in fields.items() if key not in known)
    return Parsed(
        name, str(message), _time_of(_first(fields, times)), level_of(_first(fields, levels)),
        None if service is None else str(service), fields,
    )  # fmt: skip


def _first(fields: dict[str, Any], keys: tuple[str, ...]) -> Any:
    for key in keys:
        value = fields.get(key)
        if value is not None:
            return value
    return None


def _time_of(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        for unit in (1, 1e3, 1e6, 1e9):  # seconds, milliseconds, microseconds, nanoseconds
            if FIRST * unit <= value < LAST * unit:
                return value / unit
        return None
    return seconds(value) if isinstance(value, str) else None


def level_of(value: Any) -> str | None:
    """A level as one of the six words; None where it is none."""
    if isinstance(value, str):
        return LEVELS.get(value.strip().lower()) or (
            level_of(int(value)) if value.isdecimal() and len(value) < 4 else None
        )
    if isinstance(value, int) and not isinstance(value, bool):
        return _SYSLOG[value] if 0 <= value < 8 else _BUNYAN.get(value // 10 * 10)
    return None


_DECODE = json.JSONDecoder().raw_decode  # `json.loads` looks twice for white space
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def well_formed(text: str) -> str:
    """A text with U+FFFD in place of half characters: nothing that is stored or sent as UTF-8 may hold any."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _healed(value: Any) -> Any:
    """JSON with every text well formed."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [_healed(item) for item in value]
    if isinstance(value, dict):
        return {well_formed(key): _healed(item) for key, item in value.items()}
    return value


def read_json(text: str) -> Parsed | None:
    """A JSON object on a line; what a container runtime wrapped is unwrapped once."""
    if not text.startswith("{"):
        text = text.lstrip()
        if not text.startswith("{"):
            return None
    try:
        fields, end = _DECODE(text)
        if "\\u" in text and _HALF.search(text):
            fields = _healed(fields)
    except (ValueError, RecursionError):
        return None
    if end != len(text) and text[end:].strip(" \t\r\n"):
        return None
    if isinstance(fields.get("log"), str) and "stream" in fields:  # Docker's json-file
        inner = str(fields["log"]).rstrip("\n")
        parsed = next((p for read in FORMATS if (p := read(inner)) is not None), None) or plain(inner)
        parsed.time = parsed.time if parsed.time is not None else _time_of(fields.get("time"))
        return parsed
    return _structured("json", fields)


_PAIR = re.compile(r'([A-Za-z_@][\w.@/-]*)=("(?:[^"\\]|\\.)*"|\S*)')
_LOGFMT = re.compile(r"[A-Za-z_@][\w.@/-]*=\S")


def read_logfmt(text: str) -> Parsed | None:
    """`key=value` pairs from the start of the line, with a message or a level among them."""
    if not _LOGFMT.match(text) or not ("msg=" in text or "level=" in text or "message=" in text or "lvl=" in text):
        return None
    fields: dict[str, Any] = {}
    for key, value in _PAIR.findall(text):
        fields[key] = value[1:-1].replace('\\"', '"') if value[:1] == '"' and len(value) > 1 else value
    if len(fields) < 2:
        return None
    if fields.keys().isdisjoint(_MESSAGE_KEYS) and (words := _PAIR.sub("", text).split()):
        fields["message"] = " ".join(words)  # the pairs are the header of a plain message
    return _structured("logfmt", fields)


_KLOG = re.compile(r"([IWEF])(\d{2})(\d{2}) (\d{2}:\d{2}:\d{2}\.\d+)\s+\d+ ([^\s:\]]+):\d+\] ?(.*)", re.DOTALL)


def read_klog(text: str) -> Parsed | None:
    """What Kubernetes' own components write."""
    match = _KLOG.match(text)
    if match is None:
        return None
    letter, month, day, time, source, message = match.groups()
    return Parsed("klog", message, seconds(f"{month}-{day} {time}"), LEVELS[letter.lower()], source)


_ACCESS = re.compile(
    r'(\S+) \S+ (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)'
    r'(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")?(.*)',
    re.DOTALL,
)


def read_access(text: str) -> Parsed | None:
    """A web server's access log, common or combined."""
    match = _ACCESS.match(text)
    if match is None:
        return None
    client, _, time, request, status, size, _, _, rest = match.groups()
    fields = {"client": client, "request": request, "status": int(status), "bytes": 0 if size == "-" else int(size)}
    if (took := re.search(r"(?:rt=|request_time=)?(\d+\.\d{3})\b", rest)) is not None:
        fields["request_time"] = float(took[1])
    path = request.split("?")[0]
    return Parsed("access", f"{path} {status}", seconds(time), None, None, fields)


# ── a time or a level, then text ────────────────────────────────────────────────────────────────────────────────────
_PRIORITY = r"(?:<(?P<priority>\d{1,3})>(?:1 )?)?"
_HEADED = re.compile(rf"{_PRIORITY}\[?(?:{TIME})")
# Labels, node names and numbers before the time: BGL, Thunderbird, HPC, OpenStack.
_INSIDE = re.compile(rf"(?:\S{{1,80}} ){{1,4}}?\[?(?:{TIME})(?: \S+ (?=\d{{4}}-\d\d-\d\d-))?")
_AGAIN = re.compile(rf" (?:\S+ ){{0,2}}(?:{TIME})(?= )")
# Host and process, as syslog has them. After other times only with a process number: two words may begin a sentence.
_SYSLOG_TAG = re.compile(
    r" (?P<host>\S+) (?P<tag>[A-Za-z_/-][^\s:\[\]]*(?: [^\s:\[\]]+)?)(?:\[\d+\])?(?: \([^)]*\))?:"
    r"(?: |$)(?P<message>.*)",
    re.DOTALL,
)
_NUMBERED_TAG = re.compile(r" (?P<host>\S+) (?P<tag>[A-Za-z_/-][^\s:\[\]]*)\[\d+\]:(?: |$)(?P<message>.*)", re.DOTALL)
# Before a level: brackets, numbers, names that look like names, and at most one plain word.
# None can be split in another way, so each is atomic: a line without a level is given up at once.
_OTHER = r"(?>(?:\[[^\[\]]*\]|\([^()]*\)|[A-Z0-9][A-Z0-9_.:/#-]*|[\w$@#-]*[\d.$@:/#_-][\w.$@:/#-]*)[\s|]+)"
_LEVEL = re.compile(
    rf"[\s,|:\])-]*(?P<before>(?:{_OTHER}){{0,4}}?(?>[A-Za-z]\w*[\s|]+)?(?:{_OTHER}){{0,2}}?)"
    rf"(?P<level>[\[(<]?(?:{_WORDS})[\])>]?(?=[\s:,|-]|$)|\[(?i:{_WORDS})\]"
    r"|(?:LOG|DETAIL|HINT|STATEMENT|CONTEXT)(?=:  )|(?<=[\s,])(?:Info|Warning|Error)(?= {2,}))"
    r"[ \t]*[:,|-]?(?P<rest>.*)",
    re.DOTALL,
)
_ANY_LEVEL = re.compile(rf"(?:{_WORDS})|\[(?i:{_WORDS})\]|Info|Warning|Error")
_LETTER = re.compile(r"\s+(\d+)\s+(\d+)\s+([VDIWEF])\s+([^\s:]+(?: [^\s:]+)?)\s*: (.*)", re.DOTALL)  # Android
_PIPES = re.compile(r"\|(?P<name>[^|]{1,60})\|(?P<id>\d+)\|(?P<message>.*)", re.DOTALL)
_NESTED = r"\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]"
_ORIGIN = re.compile(
    rf"\s*(?:\d+ --- )?(?:{_NESTED}(?:\s*-\s+|\s+(?=\S+\s*[:-]\s)|\s*(?=[A-Za-z_$][\w$.]*[.]\w+\s*:)))?"
    r"(?:(?P<logger>(?:[A-Za-z_$][\w$-]*[./])+[\w$*-]+(?=\s*:\s|\s+-\s|\s+\[|:)|[A-Z][a-z0-9]+(?:[A-Z]\w*)+(?=:\s|\s+-\s)|[A-Z]{2,8}(?=\s{2,}))"
    rf"(?:\s*:|\s+-\s|\s+(?:{_NESTED})|\s))?\s*(?P<message>.*)",
    re.DOTALL,
)
_GLUED = re.compile(r"(?:\[[^\[\]]{1,80}\]){1,4}(?=\w)")  # thread and logger, glued to the message: `[main][a.B]It`
_SIGN = re.compile(r" [.*#] ")  # Redis: how loud a line is
_PROGRAM = re.compile(r"\]? +(?P<name>[\w.+*() ]{1,60}?)(?: \*64)? - (?P<message>.*)", re.DOTALL)


def read_headed(text: str) -> Parsed | None:
    """A time first, then whatever the usual headers hold."""
    match = _HEADED.match(text[:HEADER])
    if match is None:
        return None
    end = match.end()
    stamp = text[match.start(match.lastindex or 0) : end]
    if stamp.isdecimal() and (again := read_inside(text[end + 1 :])) is not None:
        again.time = seconds(stamp)  # seconds since 1970, then node and the same time in words: Thunderbird
        return again
    parsed = after_time(text[end:], "headed", seconds(stamp), syslog=stamp[:3] in MONTHS)
    if match["priority"] and parsed.level is None:
        parsed.level = _SYSLOG[int(match["priority"]) % 8]
    return parsed


def read_inside(text: str) -> Parsed | None:
    """A time after up to four words of label, node or file."""
    match = _INSIDE.match(text[:HEADER])
    if match is None:
        return None
    before = text[: match.start(match.lastindex or 0)]
    if not before.isupper() and not any(character.isdigit() or character in "-[" for character in before):
        return None
    stamp, end = match[match.lastindex or 0], match.end()
    while (again := _AGAIN.match(text[:HEADER], end)) is not None:  # a second notation of the same time
        stamp, end = again[again.lastindex or 0], again.end()
    return after_time(text[end:], "headed", seconds(stamp), syslog=stamp[:3] in MONTHS)


_LEVELLED = re.compile(rf"[\[(<]?({_WORDS})[\])>]?(?:\s*[:|-]|\s)\s*(?=\S)")


def read_levelled(text: str) -> Parsed | None:
    """A level first, and no time."""
    match = _LEVELLED.match(text)
    if match is None:
        return None
    origin = _ORIGIN.match(text[:HEADER], match.end())
    assert origin is not None
    return Parsed("levelled", origin["message"] + text[HEADER:], None, LEVELS[match[1].lower()], origin["logger"])


def after_time(rest: str, name: str, time: float | None, *, syslog: bool = False) -> Parsed:
    """What stands after the time: level and origin, or host and tag, or neither; then the message."""
    parsed = _after_time(rest[:HEADER], name, time, syslog)
    if parsed.message[:1] == "[" and (glued := _GLUED.match(parsed.message)) is not None:
        parsed.message = f"{glued[0].replace('][', '] [')} {parsed.message[glued.end() :]}"
    parsed.message += rest[HEADER:]
    return parsed


def _after_time(rest: str, name: str, time: float | None, syslog: bool) -> Parsed:
    if rest[:1] == "|" and (match := _PIPES.match(rest)):
        return Parsed(name, match["message"], time, None, match["name"])
    if rest[:1] == " " and rest[:8].lstrip()[:1].isdigit() and (match := _LETTER.match(rest)):
        return Parsed(name, match[5], time, LEVELS[match[3].lower()], match[4])
    tag = _SYSLOG_TAG.match(rest) if syslog else _NUMBERED_TAG.match(rest) if "]:" in rest else None
    # A level counts before the tag's message only: to look there for its word is quicker than to match the header.
    level = _LEVEL.match(rest) if tag is None or _ANY_LEVEL.search(rest, 0, tag.start("message")) else None
    if level is not None and (tag is None or level.start("level") < tag.start("message")):
        origin = _ORIGIN.match(level["rest"])
        assert origin is not None
        names = [word.strip("[]():|-") for word in level["before"].split()]
        service = origin["logger"] or next((name for name in reversed(names) if name), None)
        word = level["level"].strip("[]()<>").lower()
        return Parsed(
            name, origin["message"], time, LEVELS[word], None if not service or service.isdigit() else service
        )
    if tag is not None and _is_tag(tag):
        return Parsed(name, tag["message"], time, _leading_level(tag["message"]), tag["tag"])
    if (match := _PROGRAM.match(rest)) is not None:
        return Parsed(name, match["message"], time, None, match["name"])
    if _SIGN.match(rest):
        rest = rest[2:]
    message = rest.lstrip(" ,|:])-")
    return Parsed(name, message, time, _leading_level(message))


@lru_cache(maxsize=4096)
def _host_like(host: str) -> bool:
    return not host.endswith(":") and re.fullmatch(r"[\w.@/:#-]+", host) is not None


def _is_tag(match: re.Match[str]) -> bool:
    """Whether two words are a host and a process, and not the beginning of a sentence."""
    return _host_like(match["host"]) and (" " not in match["tag"] or match["tag"].split()[0].islower())


_LEADING = re.compile(rf"\W{{0,2}}(?:({_WORDS})\b|(error|warning|fatal|panic|warn)(?=:))")


def _leading_level(message: str) -> str | None:
    """The level that a message itself begins with."""
    match = _LEADING.match(message)
    return LEVELS[(match[1] or match[2]).lower()] if match else None


def plain(text: str) -> Parsed:
    """Any text; its level where it begins with one."""
    return Parsed("plain", text, None, _leading_level(text))


FORMATS: tuple[Callable[[str], Parsed | None], ...] = (
    read_json, read_klog, read_access, read_headed, read_levelled, read_logfmt, read_inside,
)  # fmt: skip

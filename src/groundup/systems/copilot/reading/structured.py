"""Lines that say what is what: JSON of many loggers, logfmt, journald, OTLP, Windows events."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Container
from functools import lru_cache
from typing import Any

from groundup.systems.copilot.reading.parsed import HALF, Parsed, healed, level_of, well_formed
from groundup.systems.copilot.reading.times import FIRST, LAST, seconds

# Compared without case; the first that has a value of its kind counts.
_TIME_KEYS = (
    "timestamp time ts @timestamp @t t datetime date asctime eventtime event_time timemillis instant "
    "__realtime_timestamp timeunixnano observedtimeunixnano timegenerated timecreated date_time log_time logtime "
    "_time timestamp_ms unix_time epoch created created_at when"
).split()
_LEVEL_KEYS = (
    "level severity lvl log.level levelname loglevel log_level level_name severitytext severity_text severitynumber "
    "@l priority sev levelno s"
).split()
_MESSAGE_KEYS = (
    "message msg log @m renderedmessage @mt messagetemplate short_message full_message formattedmessage logmessage "
    "text event body"
).split()
_SERVICE_KEYS = (
    "service service.name service_name servicename syslog_identifier app application component logger loggername "
    "logger_name sourcecontext category channel _systemd_unit name container source caller c"
).split()
# Values that say what happened are words of a line without a message; all others are values.
_TELLING = frozenset(
    "method verb event action type status state code kind operation op error err reason exception result outcome "
    "status_code error_message detail".split()
)
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


@lru_cache(maxsize=4096)
def _roles(keys: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Which of a line's keys may hold its time, level, message and service; the lines of a program have the same."""
    lower = {key.lower(): key for key in reversed(keys)}
    every = (_TIME_KEYS, _LEVEL_KEYS, _MESSAGE_KEYS, _SERVICE_KEYS)
    times, levels, messages, services = (tuple(lower[key] for key in known if key in lower) for known in every)
    if not {"s", "t"} <= lower.keys():  # MongoDB's
        levels = tuple(key for key in levels if key != "s")
        services = tuple(key for key in services if key != "c")
    return times, levels, messages, services


def structured(name: str, fields: dict[str, Any]) -> Parsed:
    """What named fields say."""
    times, levels, messages, services = _roles(tuple(fields))
    message = time = level = service = None
    for key in messages:
        if (message := _text_of(fields[key])) is not None:
            break
    log = fields.get("log")
    if isinstance(log, dict) and "log.level" not in fields:
        fields["log.level"] = log.get("level")
        levels = ("log.level", *levels)
    if message is None:
        message = _message_of(fields, {*times, *levels, *services})
    for key in times:
        if (time := time_of(fields[key])) is not None:
            break
    for key in levels:
        if (level := level_of(fields[key])) is not None:
            break
    if level is None and "@t" in fields:  # Serilog's compact form leaves out what is Information
        level = "info"
    for key in services:
        if service := _name_of(fields[key]):
            break
    return Parsed(name, message, time, level, service, fields)


def _message_of(fields: dict[str, Any], header: Container[str]) -> str:
    """A message for fields that have none: that of Google's payload, else the fields that are no header."""
    inner = fields.get("jsonPayload")
    if isinstance(inner, dict):
        message = next((text for key in ("message", "msg", "text") if (text := _text_of(inner.get(key)))), None)
        if message is not None:
            return message
    return " ".join(
        f'{key}="{value}"' if isinstance(value, str) and key.lower() not in _TELLING else f"{key}={value}"
        for key, value in fields.items()
        if key not in header
    )


def _text_of(value: Any) -> str | None:
    """A message as text: journald gives one that is no UTF-8 as bytes, OTLP names its type."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, list):
        if not value or not all(type(byte) is int and 0 <= byte < 256 for byte in value):
            return None
        return _ANSI.sub("", bytes(value).decode("utf-8", "replace"))
    if isinstance(value, dict):
        inner = value.get("stringValue")
        return inner if isinstance(inner, str) else None
    return str(value)


def _name_of(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("name")
    return None if value is None or isinstance(value, (dict, list)) else str(value)


def time_of(value: Any) -> float | None:
    """A time as loggers write it: text, a number of any unit, also as text, or seconds with nanoseconds."""
    if isinstance(value, str):
        if value.isdecimal() and 9 <= len(value) <= 20:
            return time_of(int(value))
        return seconds(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        for unit in (1, 1e3, 1e6, 1e9):  # seconds, milliseconds, microseconds, nanoseconds
            if FIRST * unit <= value < LAST * unit:
                return value / unit
        return None
    if isinstance(value, dict):
        if "$date" in value:
            return time_of(value["$date"])
        if "$numberLong" in value:
            return time_of(value["$numberLong"])
        for whole, part in (("epochSecond", "nanoOfSecond"), ("seconds", "nanos")):
            if whole in value and (at := time_of(value[whole])) is not None:
                nanos = value.get(part)
                return at + nanos / 1e9 if isinstance(nanos, int) and 0 <= nanos < 10**9 else at
    return None


_DECODE = json.JSONDecoder().raw_decode  # `json.loads` looks twice for white space


def read_json(text: str) -> Parsed | None:
    """A JSON object on a line."""
    if not text.startswith("{"):
        text = text.lstrip()
        if not text.startswith("{"):
            return None
    try:
        fields, end = _DECODE(text)
        if "\\u" in text and HALF.search(text):
            fields = healed(fields)
    except (ValueError, RecursionError):
        return None
    if end != len(text) and text[end:].strip(" \t\r\n"):
        return None
    if "resourceLogs" in fields and (parsed := _otlp(fields)) is not None:
        return parsed
    parsed = structured("json", fields)
    if "PRIORITY" in fields and parsed.service is None:
        parsed.service = _name_of(fields.get("_COMM"))
    return parsed


def _otlp(fields: dict[str, Any]) -> Parsed | None:
    """A batch of OTLP; several records on one line are one, with the gravest's level and time."""
    records: list[tuple[int, Parsed]] = []
    for resource in _dicts(fields.get("resourceLogs")):
        attributes = (
            (resource.get("resource") or {}).get("attributes") if isinstance(resource.get("resource"), dict) else []
        )
        names = {a.get("key"): _text_of(a.get("value")) for a in _dicts(attributes)}
        for scope in _dicts(resource.get("scopeLogs") or resource.get("instrumentationLibraryLogs")):
            for record in _dicts(scope.get("logRecords")):
                parsed = structured("otlp", dict(record))
                number = record.get("severityNumber")
                if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= 24:
                    parsed.level = ("trace", "debug", "info", "warn", "error", "fatal")[(number - 1) // 4]
                parsed.service = names.get("service.name") or parsed.service
                grave = {"fatal": 3, "error": 2, "warn": 1}.get(parsed.level or "", 0)
                records.append((grave, parsed))
    if not records:
        return None
    most = max(records, key=lambda entry: entry[0])[1]
    if len(records) > 1:
        others = [parsed.message for _, parsed in records if parsed is not most]
        most.message = "; ".join([most.message, *others])
    return most


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


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
    return structured("logfmt", fields)


_EXPORTED = re.compile(r"([A-Z_][A-Z0-9_]*)(?:=(.*))?$", re.DOTALL)


def is_export(text: str) -> bool:
    """Whether an entry of journald's export begins."""
    return text.startswith(("__CURSOR=", "__REALTIME_TIMESTAMP="))


def read_export(lines: list[str]) -> Parsed:
    """An entry of journald's export: a field on each line; one that is no text behind its length."""
    fields: dict[str, Any] = {}
    bare = ""
    for line in lines:
        match = _EXPORTED.match(line)
        if bare:
            fields[bare], bare = well_formed(line[8:]), ""
        elif match is not None and match[2] is None:
            bare = match[1]
        elif match is not None:
            fields[match[1]] = match[2]
    parsed = structured("journal", fields)
    parsed.message = _ANSI.sub("", parsed.message)
    return parsed


EVENT = ("<Event ", "<Event>", "<Events><Event", "<?xml ")  # how a Windows event begins
_EVENT_PARTS = {
    "level": re.compile(r"<Level>(\d)</Level>"),
    "time": re.compile(r"<TimeCreated\s+SystemTime=['\"]([^'\"]+)['\"]"),
    "service": re.compile(r"<Provider\s+Name=['\"]([^'\"]+)['\"]"),
    "id": re.compile(r"<EventID[^>]*>(\d+)</EventID>"),
}
_DATA = re.compile(r"<Data(?:\s+Name=['\"]([^'\"]*)['\"])?\s*>([^<]*)</Data>")
_EVENT_LEVELS = {"0": "info", "1": "fatal", "2": "error", "3": "warn", "4": "info", "5": "debug"}


def read_event(text: str) -> Parsed | None:
    """A Windows event as XML."""
    if not text.startswith(EVENT):
        return None
    if "<Event " not in text and "<Event>" not in text:
        return None
    parts = {name: html.unescape(match[1]) for name, pattern in _EVENT_PARTS.items() if (match := pattern.search(text))}
    written = text.partition("<Message>")[2].partition("</Message>")[0]
    message = html.unescape(written) or " ".join(
        f"{name}={value}" if name else value for name, value in _DATA.findall(text)
    )
    number = parts.get("id", "")
    return Parsed(
        "event", message.strip() or f"event {number}", seconds(parts.get("time", "")),
        _EVENT_LEVELS.get(parts.get("level", "")), parts.get("service"), {"event_id": number} if number else {},
    )  # fmt: skip

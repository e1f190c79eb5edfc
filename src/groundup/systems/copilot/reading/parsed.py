"""What a format makes of a line, and the words of its level."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_LEVELS = {
    "trace": "trace verbose finest finer t v silly vrb trce",
    "debug": "debug fine config d dbg dbug",
    "info": "info information informational notice i inf log detail hint statement context",
    "warn": "warn warning w wrn",
    "error": "error err severe e eror fail",
    "fatal": "fatal critical crit alert emerg emergency panic dpanic f c failure ftl crit",
}
LEVELS = {word: level for level, words in _LEVELS.items() for word in words.split()}
_WRITTEN = {form: level for word, level in LEVELS.items() for form in (word, word.upper(), word.capitalize())}
BUNYAN = {10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal"}
SYSLOG = ("fatal", "fatal", "fatal", "error", "warn", "info", "info", "debug")


@dataclass(slots=True)
class Parsed:
    """What a format makes of a line; see `Record` for the fields."""

    format: str
    message: str
    time: float | None = None
    level: str | None = None
    service: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


def level_of(value: Any) -> str | None:
    """A level as one of the six words; None where it is none."""
    if isinstance(value, str):
        return (
            _WRITTEN.get(value)
            or LEVELS.get(value.strip().lower())
            or (level_of(int(value)) if value.isdecimal() and len(value) < 4 else None)
        )
    if isinstance(value, int) and not isinstance(value, bool):
        return SYSLOG[value] if 0 <= value < 8 else BUNYAN.get(value // 10 * 10)
    return None


HALF = re.compile(r"\\u[dD][89a-fA-F]")  # in JSON, what may be half a character


def well_formed(text: str) -> str:
    """A text with U+FFFD in place of half characters: nothing that is stored or sent as UTF-8 may hold any."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def healed(value: Any) -> Any:
    """JSON with every text well formed."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [healed(item) for item in value]
    if isinstance(value, dict):
        return {well_formed(key): healed(item) for key, item in value.items()}
    return value

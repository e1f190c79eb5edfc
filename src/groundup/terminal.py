"""Text that is safe for a terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def visible(text: str) -> str:
    """Text that a terminal may show: what would steer it (control and direction characters) is spelt out."""
    return _CONTROL.sub(lambda match: "\t" if match[0] == "\t" else f"\\x{ord(match[0]):02x}", text)

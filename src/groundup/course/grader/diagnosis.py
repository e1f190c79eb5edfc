"""Which mistake a failing check points to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def diagnose(request: Any, failed: list[Any], where: Any) -> Iterator[tuple[str, str]]:
    """Nothing yet."""
    yield from ()

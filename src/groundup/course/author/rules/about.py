"""The file of the unit that a rule is about."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import wraps

from groundup.course.material.unit import Unit
from groundup.errors import GroundupError

Rule = Callable[[Unit], Iterable[str]]

IMPLEMENTATION = "the implementation"
"""Stands for the file of the implementation, whose name is the unit's own."""


def about(file: str) -> Callable[[Rule], Rule]:
    """A rule about one file: silent where the file is missing (`files` says so), and never a crash where it is broken.

    An unreadable file is a problem like any other, and is named.
    """

    def mark(rule: Rule) -> Rule:
        @wraps(rule)
        def judge(unit: Unit) -> Iterator[str]:
            name = unit.implementation.name if file == IMPLEMENTATION else file
            if not (unit.folder / name).exists():
                return
            try:
                yield from rule(unit)
            except GroundupError as error:
                message = str(error).replace(f"{unit.folder}{os.sep}", "")
                yield message if re.match(r"\w+\.(py|md|toml)\b", message) else f"{name}: {message}"
            except SyntaxError as error:
                yield f"{error.filename}:{error.lineno}: does not parse: {error.msg}."

        return judge

    return mark

"""What the demos of systems share: `Step`, and `writing` into the folder that the demo's files are in.

A demo is a generator of steps, each of which is yielded as soon as it is done. Everything is done by the functions that
the commands call, and each step names the command that does the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from groundup.errors import UsageError

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Step(Generic[Answer]):
    """What a step of a demo did.

    Attributes:
        title: what it is.
        command: the command that does the same.
        found: what came of it, line by line.
        seconds: how long it took.
        answer: what a question was answered with; None where the step is no question.
    """

    title: str
    command: str
    found: tuple[str, ...]
    seconds: float
    answer: Answer | None = None


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Says which folder it is, where what is done in it fails because it cannot be written.

    Raises:
        UsageError: the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"folder must be one that can be written, and '{folder}' cannot be: {error.strerror or error}. "
            "Free some space, or name another one with --folder; what was done before is kept."
        ) from error

"""The words that a unit's companion files are written with.

`mistakes.py` uses `mistake` and `variant`; `figures.py` uses `figure` and `Range`. They mark functions and do
nothing else, and their arguments are literals, so that the course can read them without importing any unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Range:
    """The bounds of a figure's control: `Annotated[float, Range(0, 1, step=0.01)]`."""

    low: float
    high: float
    step: float | None = None
    log: bool = False


def mistake(target: str) -> Callable[[F], F]:
    """Mark a function as a wrong way to write `target`, which learners really write.

    Args:
        target: the function or `Class.method` of the implementation that it stands in for.

    The function has the target's signature; its docstring is the diagnosis that the learner reads. Its body
    uses only names that the implementation module defines or imports (or that the body imports itself),
    because it is judged spliced into that module, where the learner would have typed it.
    """

    def mark(function: F) -> F:
        function.__groundup__ = ("mistake", target)  # type: ignore[attr-defined]
        return function

    return mark


def variant(target: str) -> Callable[[F], F]:
    """Mark a function as a right way to write `target` that differs from the reference: it must pass.

    Args:
        target: the function or `Class.method` of the implementation that it stands in for.
    """

    def mark(function: F) -> F:
        function.__groundup__ = ("variant", target)  # type: ignore[attr-defined]
        return function

    return mark


def figure(title: str) -> Callable[[F], F]:
    """Mark a function as an explorable: typed keyword parameters with defaults in, a Plotly figure out.

    Args:
        title: the heading over the figure.

    Parameters are `bool`, `Literal[...]`, `Annotated[int, Range(...)]` or `Annotated[float, Range(...)]`,
    each with a default; the docstring's first paragraph is the caption.
    """

    def mark(function: F) -> F:
        function.__groundup__ = ("figure", title)  # type: ignore[attr-defined]
        return function

    return mark

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


Edit = tuple[str, str] | list[tuple[str, str]]


def mistake(target: str, *, edit: Edit | None = None) -> Callable[[F], F]:
    """Mark a function as a wrong way to write `target`, which learners really write.

    Args:
        target: the function or `Class.method` of the implementation that it stands in for.
        edit: the mistake as an edit of the reference, `("old text", "new text")` or a list of such pairs; the marked
            function then holds the diagnosis only. Each old text must stand exactly once in the target's code
            (signature and body, not its docstring), written as if its `def` stood at the left margin.

    Without `edit` the function has the target's signature. Its docstring is the diagnosis that the learner reads. Its
    body uses only names that the implementation module defines or imports (or that the body imports itself), because
    it is judged spliced into that module, where the learner would have typed it.
    """
    return _marker("mistake", target)


def variant(target: str, *, edit: Edit | None = None) -> Callable[[F], F]:
    """Mark a function as a right way to write `target` that differs from the reference: it must pass.

    Args:
        target: the function or `Class.method` of the implementation that it stands in for.
        edit: as for `mistake`.
    """
    return _marker("variant", target)


def _marker(kind: str, target: str) -> Callable[[F], F]:
    def mark(function: F) -> F:
        function.__groundup__ = (kind, target)  # type: ignore[attr-defined]
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

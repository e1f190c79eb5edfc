"""The calls by which a running lab reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, SupportsFloat, TypeVar

T = TypeVar("T")


class Recorder(Protocol):
    """Receives everything that a run produces; the runner decides where it goes."""

    def progress(self, steps: Iterable[T], *, total: int | None = None, label: str = "") -> Iterator[T]:
        """Iterate over `steps`, showing how far along the run is."""
        ...

    def metric(self, name: str, value: SupportsFloat, *, step: SupportsFloat) -> None:
        """One point of a curve."""
        ...

    def baseline(self, metric: str, value: SupportsFloat, what: str) -> None:
        """The trivial alternative's value of a result, and what that alternative is."""
        ...

    def result(self, metric: str, value: SupportsFloat) -> None:
        """A final figure, which expectations judge."""
        ...

    def figure(self, name: str, figure: Any) -> None:
        """A Plotly figure worth keeping."""
        ...

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """A small table worth keeping."""
        ...

    def note(self, text: str) -> None:
        """One sentence for the reader of the run."""
        ...

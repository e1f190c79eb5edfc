"""A recorder that turns each call of a lab into an event, and the events themselves.

Every event is a JSON object with `type` and `seed`:

    progress   done, total (null if unknown), label
    metric     name, step, value
    baseline   metric, value, what
    result     metric, value
    figure     name, figure (Plotly JSON)
    table      name, rows
    note       text
    data       name, source, url, sha256, licence, stand_in, note, label

A value that is not finite is null, because JSON has no other word for it.
"""

from __future__ import annotations

import json
import math
import numbers
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, SupportsFloat, TypeVar

from groundup.errors import ConfigError

T = TypeVar("T")
Event = dict[str, Any]
Emit = Callable[[Event], None]

PROGRESS_SECONDS = 0.05
"""The least time between two progress events."""


class EventRecorder:
    """The `Recorder` of one seed: hands an event to `emit` for each call.

    Args:
        seed: goes into every event.
        emit: receives the events, in order.
    """

    def __init__(self, seed: int, emit: Emit) -> None:
        self.seed = seed
        self._emit = emit
        self._recorded: set[tuple[str, str]] = set()

    def emit(self, kind: str, **fields: Any) -> None:
        """Hand over one event."""
        self._emit({"type": kind, "seed": self.seed, **fields})

    def progress(self, steps: Iterable[T], *, total: int | None = None, label: str = "") -> Iterator[T]:
        """Iterate over `steps`, showing how far along the run is."""
        if total is None and isinstance(steps, Sized):
            total = len(steps)
        done, last_event = 0, -math.inf
        self.emit("progress", done=0, total=total, label=label)
        for step in steps:
            yield step
            done += 1
            now = time.monotonic()
            if now - last_event >= PROGRESS_SECONDS or done == total:
                last_event = now
                self.emit("progress", done=done, total=total, label=label)

    def metric(self, name: str, value: SupportsFloat, *, step: SupportsFloat) -> None:
        """One point of a curve."""
        self.emit("metric", name=name, step=_number("step of", name, step), value=_number("metric", name, value))

    def baseline(self, metric: str, value: SupportsFloat, what: str) -> None:
        """The trivial alternative's value of a result, and a description of that alternative."""
        self._once("baseline", metric)
        self.emit("baseline", metric=metric, value=_number("baseline", metric, value), what=what)

    def result(self, metric: str, value: SupportsFloat) -> None:
        """A final figure, which expectations judge."""
        self._once("result", metric)
        self.emit("result", metric=metric, value=_number("result", metric, value))

    def figure(self, name: str, figure: Any) -> None:
        """A Plotly figure worth keeping."""
        self._once("figure", name)
        if not hasattr(figure, "to_json"):
            raise ConfigError(f"record.figure('{name}') takes a Plotly figure, not {type(figure).__name__}.")
        self.emit("figure", name=name, figure=json.loads(figure.to_json()))

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """A small table worth keeping."""
        self._once("table", name)
        self.emit("table", name=name, rows=[{str(key): _cell(cell) for key, cell in row.items()} for row in rows])

    def note(self, text: str) -> None:
        """One sentence for the reader of the run."""
        self.emit("note", text=str(text))

    def _once(self, kind: str, name: str) -> None:
        if (kind, name) in self._recorded:
            raise ConfigError(
                f"record.{kind}('{name}') was called twice in one run. Keep the last value, or rename it."
            )
        self._recorded.add((kind, name))


def _number(kind: str, name: str, value: Any) -> float | int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"The {kind} '{name}' must be one number, not {type(value).__name__} {value!r}.") from None
    return number if math.isfinite(number) else None


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(float(value)) else None
    return str(value)

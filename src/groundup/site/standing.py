"""The learner's progress, computed again only after a change of the ledger, an exercise or a unit's checks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from groundup.course.course import Course
from groundup.course.learner.progress import UnitState, next_up
from groundup.course.material.catalogue import Entry

if TYPE_CHECKING:
    from groundup.course.learner.review import Review
    from groundup.course.material.tracks import Progress

T = TypeVar("T")


class Standing:
    """Answers of a course that many pages ask for, kept while nothing has changed. Safe to use from several threads.

    Args:
        course: the course.
    """

    def __init__(self, course: Course) -> None:
        self.course = course
        self._key: tuple[Any, ...] = ()
        self._kept: dict[tuple[Any, ...], Any] = {}
        self._lock = Lock()

    def states(self) -> dict[str, UnitState]:
        """The state of every unit, in the catalogue's order."""
        return self._keep(("states",), self.course.states)

    def next_up(self) -> list[Entry]:
        """The units to work on next, best first."""
        return next_up(self.course.catalogue, self.states(), self._keep(("road",), self.course.road))

    def track_progress(self, name: str | None = None) -> Progress | None:
        """Planned against actual, as `Course.track_progress`."""
        return self._keep(("track", name), lambda: self.course.track_progress(name))

    def review(self, *, everything: bool = False) -> Review:
        """The review, to look at. What is rated goes through a `Course.review` of its own, which rating changes."""
        return self._keep(("review", everything), lambda: self.course.review(everything=everything))

    def _keep(self, question: tuple[Any, ...], ask: Callable[[], T]) -> T:
        # Looked at before asking: a change in between makes the answer newer than its key, never older.
        key = self._changes()
        with self._lock:
            if key != self._key:
                self._key, self._kept = key, {}
            if question in self._kept:
                return self._kept[question]
        answer = ask()
        with self._lock:
            if key == self._key:
                self._kept[question] = answer
        return answer

    def _changes(self) -> tuple[Any, ...]:
        """Everything that an answer depends on, at the price of a query and a few hundred `stat`s."""
        course = self.course
        paths = [
            path
            for unit in course.catalogue.units.values()
            for path in (course.workspace.exercise(unit.id), unit.checks)
        ]
        return (course.ledger.last_id(), date.today(), *map(_stamp, paths))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)

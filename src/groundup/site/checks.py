"""Checks after a click or a save: one at a time for each unit, announced to every open page."""

from __future__ import annotations

import contextlib
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Lock

from groundup.course.course import Course
from groundup.course.learner.progress import UnitState
from groundup.course.verdict import Verdict
from groundup.errors import GroundupError
from groundup.site.live import Channel

log = logging.getLogger(__name__)


class Checks:
    """Grades in the background.

    Args:
        course: the course.
        channel: the channel of the events `checking`, `verdict` and `trouble`.
    """

    def __init__(self, course: Course, channel: Channel) -> None:
        self.course, self.channel = course, channel
        self.trouble: dict[str, str] = {}
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="check")
        self._compiler = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compile")
        self._compiling: set[str] = set()
        self._lock = Lock()
        self._closed = False
        self._running: dict[str, Future[Verdict | None]] = {}
        self._so_far: dict[str, str] = {}
        self._again: dict[str, Future[Verdict | None]] = {}

    def running(self, unit_id: str) -> bool:
        """Whether the unit is being graded now."""
        return unit_id in self._running

    def kernels(self, unit_id: str, state: UnitState | None = None) -> str:
        """What is known of the kernels of a unit that has passed, in words; empty where it has none.

        A page knows the unit's state already: with it, no other unit is looked at.
        """
        if not self.course.has_kernels(unit_id, state):
            return ""
        if (compiled := self.course.compiled(unit_id)) is not None:
            return compiled.words
        if self.compiles(unit_id):
            return "Numba compiles your kernels now, and they are put to the same checks again."
        return f"Your kernels were checked as Python. `groundup check {unit_id} --compile` compiles them."

    def compiles(self, unit_id: str) -> bool:
        """Whether the kernels of a unit are compiled now, or will be after others."""
        return unit_id in self._compiling

    def progress(self, unit_id: str) -> str:
        """The results so far of a unit in grading; empty for any other unit."""
        return self._so_far.get(unit_id, "Checking…") if self.running(unit_id) else ""

    def request(self, unit_id: str) -> Future[Verdict | None]:
        """Grade the learner's present file.

        A file that is saved again while it is being graded is graded once more afterwards, however often it was saved.

        Returns:
            The verdict, or None where there was none (`trouble` says why).
        """
        with self._lock:
            if unit_id in self._running:
                return self._again.setdefault(unit_id, Future())
            return self._begin(unit_id, Future())

    def close(self) -> None:
        """Accept no more units, stop the present grading, and wait for its end."""
        self._closed = True
        for pool in (self._threads, self._compiler):
            pool.shutdown(wait=False, cancel_futures=True)
        self.course.end_grading()
        for pool in (self._threads, self._compiler):
            pool.shutdown()

    def _begin(self, unit_id: str, future: Future[Verdict | None]) -> Future[Verdict | None]:
        self._running[unit_id] = future
        self._threads.submit(self._work, unit_id, future)
        return future

    def _work(self, unit_id: str, future: Future[Verdict | None]) -> None:
        self.channel.publish("checking", unit=unit_id)
        try:
            verdict = self.course.check(
                unit_id,
                on_results=partial(self._results, unit_id),
                on_verdict=partial(self._end, unit_id, future),
            )
            if verdict.passed:
                self._compile_later(unit_id)
            return
        except GroundupError as error:
            self.trouble[unit_id] = str(error)
        except Exception as error:
            log.exception("Grading %s broke", unit_id)
            self.trouble[unit_id] = f"Grading broke ({type(error).__name__}: {error}). The terminal has the details."
        if not future.done():
            self._end(unit_id, future, None)

    def _compile_later(self, unit_id: str) -> None:
        """Compile the kernels of a unit that has passed, if it has some, while the learner goes on."""
        if self._closed or not self.course.has_kernels(unit_id) or self.course.compiled(unit_id) is not None:
            return
        self._compiling.add(unit_id)
        self.channel.publish("changed", unit=unit_id)
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._compiler.submit(self._compile, unit_id)

    def _compile(self, unit_id: str) -> None:
        try:
            self.course.compile(unit_id)
        except GroundupError as error:
            log.info("The kernels of %s were not compiled: %s", unit_id, error)
        except Exception:
            log.exception("Compiling the kernels of %s broke", unit_id)
        finally:
            self._compiling.discard(unit_id)
            self.channel.publish("changed", unit=unit_id)

    def _results(self, unit_id: str, verdict: Verdict) -> None:
        """Announce the results of the checks during the search for the mistake."""
        self._so_far[unit_id] = f"{summary(verdict)} Searching for the mistake…"
        self.channel.publish("checking", unit=unit_id)

    def _end(self, unit_id: str, future: Future[Verdict | None], verdict: Verdict | None) -> None:
        if verdict is not None:
            self.trouble.pop(unit_id, None)
        with self._lock:
            del self._running[unit_id]
            self._so_far.pop(unit_id, None)
            again = self._again.pop(unit_id, None)
            if again is not None and self._closed:
                again.cancel()
            elif again is not None:
                self._begin(unit_id, again)
        future.set_result(verdict)
        if verdict is None:
            self.channel.publish("trouble", unit=unit_id, text=self.trouble[unit_id])
        else:
            title = self.course.catalogue.units[unit_id].title
            self.channel.publish("verdict", unit=unit_id, outcome=verdict.verdict, text=f"{title}: {summary(verdict)}")


def summary(verdict: Verdict) -> str:
    """A verdict in a few words, for the page and for screen readers."""
    passed = sum(check.outcome == "passed" for check in verdict.checks)
    count = f"{passed} of {len(verdict.checks)} checks passed" if verdict.checks else ""
    words = {
        "passed": "Passed",
        "failed": "Not yet",
        "not_attempted": "Waiting for your code",
        "timeout": "Stopped: it took too long",
        "crashed": "Crashed",
        "refused": "Refused",
    }[verdict.verdict]
    return f"{words}. {count}." if count else f"{words}."

"""Work that outlasts a request: started, asked for its progress, stopped; one at a time, in a thread of its own.

    jobs = Jobs()
    job = jobs.start(lambda progress: train(examples, report=progress))
    jobs.get(job.number).state        # running, stopping, done, failed or stopped

Jobs are kept in memory, the newest few: a process that ends takes them with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

State = Literal["running", "stopping", "done", "failed", "stopped"]
Progress = Callable[[str, int, int], None]
KEPT = 10  # jobs that can still be asked for
log = logging.getLogger("groundup.copilot")


class Busy(Exception):
    """Another job runs; its number."""


class Stopped(Exception):
    """Raised in a job that is to stop."""


@dataclass(frozen=True)
class Job:
    """A job as it is at a moment.

    Attributes:
        number: what it is asked for by.
        state: how far it is.
        doing: what it does, or did last.
        step: how many steps are done.
        steps: how many there are; 0 until that is known.
        result: what came of it; None unless it is done.
        error: why it failed; None unless it did.
    """

    number: int
    state: State = "running"
    doing: str = ""
    step: int = 0
    steps: int = 0
    result: Any = None
    error: Exception | None = None

    @property
    def runs(self) -> bool:
        """Whether it is not over."""
        return self.state in ("running", "stopping")


@dataclass
class Jobs:
    """The newest jobs, of which one may run."""

    _jobs: dict[int, Job] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: int = 0

    def start(self, work: Callable[[Progress], Any]) -> Job:
        """Begin a job.

        Args:
            work: what is done. It tells its progress often, and must let pass what that raises.

        Raises:
            Busy: another one runs.
        """
        with self._lock:
            for job in self._jobs.values():
                if job.runs:
                    raise Busy(job.number)
            self._last += 1
            number = self._last
            self._jobs[number] = started = Job(number)
            for old in list(self._jobs)[:-KEPT]:
                del self._jobs[old]
        threading.Thread(target=self._run, args=(number, work), daemon=True).start()
        return started

    def get(self, number: int) -> Job | None:
        """A job as it is now; None where there is none of this number."""
        return self._jobs.get(number)

    def stop(self, number: int) -> Job | None:
        """Have a job stop at its next step; one that is over stays as it is."""
        with self._lock:
            job = self._jobs.get(number)
            if job is not None and job.state == "running":
                job = self._jobs[number] = replace(job, state="stopping")
            return job

    def _run(self, number: int, work: Callable[[Progress], Any]) -> None:
        def progress(doing: str, step: int, steps: int) -> None:
            with self._lock:
                if self._jobs[number].state == "stopping":
                    raise Stopped
                self._jobs[number] = replace(self._jobs[number], doing=doing, step=step, steps=steps)

        try:
            end: dict[str, Any] = {"state": "done", "result": work(progress)}
        except Stopped:
            end = {"state": "stopped"}
        except Exception as error:
            log.info("job %s failed", number, exc_info=error)
            end = {"state": "failed", "error": error}
        with self._lock:
            job = self._jobs[number]
            steps = job.steps if end["state"] == "done" else job.step
            self._jobs[number] = replace(job, step=steps, **end)

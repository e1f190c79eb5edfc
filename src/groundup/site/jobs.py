"""Labs that run while their page watches."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

from groundup.course.course import Course
from groundup.course.material.unit import LabInfo, Unit
from groundup.errors import GroundupError, UnknownName, UsageError
from groundup.site.live import Channel

log = logging.getLogger(__name__)
BATCH_SECONDS = 0.1
AT_ONCE = 2
SHOWN = ("progress", "metric", "result", "baseline", "note", "data")


@dataclass
class Job:
    """One lab run, started from a page.

    Attributes:
        channel: its events in small batches, all kept for a page that opens late.
        stop: set it to end the run, which keeps its records so far.
        run: the id of the recorded run, or "" until it exists.
        trouble: the reason why there is none.
    """

    id: str
    unit: Unit
    lab: LabInfo
    preset: str
    settings: Mapping[str, str]
    channel: Channel = field(default_factory=Channel)
    stop: Event = field(default_factory=Event)
    done: bool = False
    run: str = ""
    trouble: str = ""
    _batch: list[dict[str, Any]] = field(default_factory=list)
    _sent: float = 0.0

    def on_event(self, event: dict[str, Any]) -> None:
        """Take one event of the lab."""
        if event.get("type") not in SHOWN:
            return
        self._batch.append(event)
        if time.monotonic() - self._sent >= BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send the collected events."""
        if self._batch:
            self.channel.publish("batch", events=self._batch)
            self._batch, self._sent = [], time.monotonic()


class Jobs:
    """The lab runs of this start of the site.

    Args:
        course: the course.
        on_done: called after each run.
    """

    def __init__(self, course: Course, on_done: Callable[[Job], None]) -> None:
        self.course, self.on_done = course, on_done
        self._jobs: dict[str, Job] = {}
        self._lock = Lock()

    def start(
        self, unit: Unit, lab: LabInfo, *, preset: str, settings: Mapping[str, str], seeds: int | None, mine: bool
    ) -> Job:
        """Start a run in the background. Raises UsageError if the most runs are running already."""
        with self._lock:
            running = self.running()
            if len(running) >= AT_ONCE:
                names = " and ".join(f"{job.unit.name}/{job.lab.name}" for job in running)
                raise UsageError(f"{names} are running already. Wait for one of them, or stop it.")
            job = Job(secrets.token_hex(6), unit, lab, preset, dict(settings))
            self._jobs[job.id] = job
        Thread(target=self._work, args=(job, seeds, mine), name=f"lab-{job.id}", daemon=True).start()
        return job

    def job(self, job_id: str) -> Job:
        """The job with this id. Raises UnknownName."""
        if job_id not in self._jobs:
            raise UnknownName("running lab", job_id, (), see="groundup run")
        return self._jobs[job_id]

    def running(self) -> list[Job]:
        """The running jobs."""
        return [job for job in self._jobs.values() if not job.done]

    def close(self) -> None:
        """Stop every run, and end the streams of the pages that watch one."""
        for job in self._jobs.values():
            job.stop.set()
            job.channel.close()

    def _work(self, job: Job, seeds: int | None, mine: bool) -> None:
        try:
            report = self.course.run(
                job.unit.id,
                job.lab.name,
                preset=job.preset,
                settings=job.settings,
                seeds=seeds,
                mine=mine,
                on_event=job.on_event,
                stop=job.stop,
            )
            job.run = report.id
        except GroundupError as error:
            job.trouble = str(error)
        except Exception as error:
            log.exception("The lab %s of %s broke", job.lab.name, job.unit.id)
            job.trouble = f"Running it broke ({type(error).__name__}: {error}). The terminal has the details."
        job.flush()
        job.done = True
        job.channel.publish("done", run=job.run, trouble=job.trouble)
        job.channel.close()
        self.on_done(job)

"""The state of one run: its signed events, the amount of output, and its end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from groundup.course.grader.channel import Forged, Receiver
from groundup.course.grader.request import Request

START_SECONDS = 120.0  # a fresh process imports PyTorch first, from a cold disk perhaps
BUSY = 4  # the diagnosis counts its processor time; on a busy machine that takes longer by the clock
# Processes that packages may start for themselves, beyond what the submission may.
SPARE_PROCESSES = 8
# All files of a run together may hold as much as so many of the largest ones.
LARGEST_FILES = 8
# Where the interpreter writes which line it is in, when it crashes or is asked to.
TRACE = "trace.txt"
WRITTEN_SECONDS = 0.2
TRACE_SECONDS = 2.0  # on a busy machine; it is there in a moment otherwise
OnResults = Callable[[dict[str, Any]], None]
# The exit status of a process that could not even report what went wrong in it.
BROKEN = 70
# That of one in which a check used up the processor time that the schedule gave it.
STUCK = 71


class Run:
    """One run, as the side that watches it sees it.

    Args:
        request: the submission.
        on_results: told the report as far as it goes, once all checks have run and failures are looked into.
    """

    def __init__(self, request: Request, on_results: OnResults = lambda report: None) -> None:
        self.request = request
        self._on_results = on_results
        self.key = os.urandom(32)
        self.events: list[dict[str, Any]] = []
        self.ending: dict[str, Any] = {}
        self.deadline = time.monotonic() + START_SECONDS
        self.finished = False
        self.most_processes = request["limits"]["processes"] + SPARE_PROCESSES
        self.most_bytes = 2 * request["limits"]["memory_mb"] * 2**20  # of all further processes together
        self.most_in_files = LARGEST_FILES * request["limits"]["file_mb"] * 2**20
        self.bytes_at_start = 0  # what the submission's own process held when its time began
        self._printed = 0
        self._receiver = Receiver(self.key)

    @property
    def over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.finished or bool(self.ending)

    def take_results(self, data: bytes) -> None:
        """Take what came out of the result pipe; nothing, where it was closed."""
        try:
            for event in self._receiver.feed(data):
                self._take(event)
        except Forged:
            self.end("forged")
        if not data:
            self.finished = True
            if self._receiver.unfinished:
                self.end("forged")

    def _take(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if event["kind"] == "ready":
            self.deadline = time.monotonic() + self.request["limits"]["seconds"]
        elif event["kind"] == "done":
            self.deadline = time.monotonic() + BUSY * self.request["diagnosis_seconds"] + 1.0
            failed = any(event["kind"] == "result" and event["outcome"] == "failed" for event in self.events)
            if failed and self.request["diagnosis_seconds"]:
                self._on_results({"events": self.events, "ending": {"kind": "end", "line": None}})
        elif event["kind"] == "end":
            self.finished = True
            self.end("end")

    def take_output(self, count: int) -> None:
        """Count what was printed."""
        self._printed += count
        if self._printed > self.request["limits"]["output_kb"] * 1024:
            self.end("output")

    def check_limits(self, held: Sequence[int], written: int = 0) -> None:
        """End the run where it has used up its processes, their memory, its files or its time.

        Args:
            held: what each process below the submission's own holds in memory, in bytes.
            written: what the run's files hold, in bytes; 0 where that is little.
        """
        if len(held) > self.most_processes:
            self.end("processes")
        # What a fork shares with the submission is no use of memory, and counting it exactly would take too long.
        elif sum(max(0, size - self.bytes_at_start) for size in held) > self.most_bytes:
            self.end("memory")
        elif written > self.most_in_files:
            self.end("files")
        elif time.monotonic() > self.deadline:
            self.end("timeout")

    def end(self, kind: str, **details: Any) -> None:
        """Note how the run ended, unless that is known already."""
        self.ending = self.ending or {"kind": kind, **details}

    def report(self) -> dict[str, Any]:
        """The parts of the verdict."""
        return {"events": self.events, "ending": {**self.ending, "line": self._line()}}

    def _line(self) -> int | None:
        """The submission's line that ran last, where the interpreter had the time to write it down."""
        scratch, label = Path(self.request["scratch"]), self.request["submission"]["label"]
        with contextlib.suppress(OSError):
            text = (scratch / TRACE).read_text(encoding="utf-8", errors="replace")
            for path, line in re.findall(r'File "(.+)", line (\d+)', text):
                if path == str(scratch / label):
                    return int(line)
        return None

    def ask_for_the_line(self, pid: int) -> None:
        """Have a process that is about to be ended write down where it is (see `faulthandler` in `run_to_the_end`)."""
        if not hasattr(signal, "SIGUSR1"):
            return  # a system without signals between processes
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGABRT)
        trace, end = Path(self.request["scratch"], TRACE), time.monotonic() + TRACE_SECONDS
        written, since = 0, time.monotonic()
        while self._line() is None and time.monotonic() < end:
            size = trace.stat().st_size if trace.exists() else 0
            if size != written:
                written, since = size, time.monotonic()
            elif written and time.monotonic() - since > WRITTEN_SECONDS:
                return  # that is all: none of the submission's lines
            time.sleep(0.002)

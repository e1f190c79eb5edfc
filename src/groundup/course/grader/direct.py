"""A verdict from a fresh process that its caller watches: for systems without fork, by nothing but pipes and psutil."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import psutil

from groundup.course.grader import limits
from groundup.course.grader.request import Request
from groundup.course.grader.run import OnResults, Run

POLL_SECONDS = 0.1
EXIT_SECONDS = 2.0
KILL_ROUNDS = 20
# In the environment of every process of one run, so that those that have lost their parents are found as well.
MARK = "GROUNDUP_RUN"


class DirectRun(Run):
    """One run in a process of its own, with the request on its standard input and the results on its standard output.

    Args:
        request: the submission.
        on_results: told the report as far as it goes, once all checks have run and failures are looked into.
        called_off: whether nobody waits for it any more; asked again and again.
    """

    def __init__(self, request: Request, on_results: OnResults, called_off: Callable[[], bool] = lambda: False) -> None:
        super().__init__(request, on_results)
        self._called_off = called_off
        self._arrivals: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._mark = secrets.token_hex(16)
        self._own: list[psutil.Process] = []
        self._seen: set[psutil.Process] = set()

    def run(self, command: list[str]) -> dict[str, Any]:
        """Run the submission to its end and return the report."""
        started = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**limits.scrubbed_environment(compiled=self.request["compiled"]), MARK: self._mark},
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Ctrl-C is the caller's to handle
            start_new_session=True,
        )
        try:
            with contextlib.suppress(psutil.Error):
                self._own.append(psutil.Process(started.pid))
            for name, stream in (("results", started.stdout), ("output", started.stderr)):
                threading.Thread(target=self._read, args=(name, stream), daemon=True).start()
            self._send(started.stdin)
            self._watch()
            self._note_the_end(started)
        finally:
            left = self._end_everything(started)
            with contextlib.suppress(OSError):
                started.stdin.close()  # type: ignore[union-attr]
        if left and self.ending.get("kind") == "end":
            self.ending = {"kind": "left"}
        return self.report()

    def _read(self, name: str, stream: BinaryIO) -> None:
        with stream:
            data = b"-"
            while data:
                data = os.read(stream.fileno(), 2**16)
                self._arrivals.put((name, data))

    def _send(self, stream: Any) -> None:
        document = {"key": self.key.hex(), "request": self.request}
        with contextlib.suppress(OSError):
            stream.write(json.dumps(document).encode() + b"\n")
            stream.flush()  # and not closed: when it ends, the process knows that its caller is gone

    def _watch(self) -> None:
        looked = 0.0
        while not self.over:
            if self._called_off():
                self.end("cancelled")
            with contextlib.suppress(queue.Empty):
                name, data = self._arrivals.get(timeout=POLL_SECONDS)
                if name == "results":
                    self.take_results(data)
                else:
                    self.take_output(len(data))
            if not self.over and time.monotonic() - looked > POLL_SECONDS:
                looked = time.monotonic()
                self._look()

    def _take(self, event: dict[str, Any]) -> None:
        super()._take(event)
        if event["kind"] == "ready":
            with contextlib.suppress(psutil.Error):
                own = psutil.Process(event["pid"])  # in a virtual environment on Windows, a child of what was started
                self._own.append(own)
                self.bytes_at_start = own.memory_info().rss

    def _look(self) -> None:
        below: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            below = self._own[-1].children(recursive=True)
        self._seen.update(below)
        self.check_limits([_resident_bytes(process) for process in below])
        if self.bytes_at_start:
            more = _resident_bytes(self._own[-1]) - self.bytes_at_start
            if more > self.request["limits"]["memory_mb"] * 2**20:  # where the system does not limit it
                self.end("memory")

    def _note_the_end(self, started: subprocess.Popen[bytes]) -> None:
        if self.ending:
            if self.ending["kind"] in ("timeout", "output") and self._own:
                self.ask_for_the_line(self._own[-1].pid)
            return
        try:
            code = started.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.end("closed")
        else:
            self.end("signal", number=-code) if code < 0 else self.end("exit", code=code)

    def _end_everything(self, started: subprocess.Popen[bytes]) -> bool:
        """End the process and all that it started; whether anything but itself was left."""
        left = False
        if self.ending.get("kind") != "end" and hasattr(os, "killpg"):
            with contextlib.suppress(OSError):
                os.killpg(started.pid, signal.SIGKILL)  # at once, before a fork bomb is counted
        for _ in range(KILL_ROUNDS):
            alive = [process for process in dict.fromkeys([*self._own, *self._others()]) if _is_alive(process)]
            left = left or any(process not in self._own for process in alive)
            for process in alive:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(alive, timeout=1.0)
            if not alive:
                break
        started.wait()
        return left

    def _others(self) -> Iterator[psutil.Process]:
        yield from self._seen
        for process in self._own:
            with contextlib.suppress(psutil.Error):
                yield from process.children(recursive=True)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self._mark:
                    yield process


def _resident_bytes(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return process.memory_info().rss
    return 0


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False

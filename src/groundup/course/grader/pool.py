"""The caller's side of the workers: start them, hand them requests, wait no longer than the limits allow, end them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from groundup.course.grader.limits import scrubbed_environment
from groundup.course.grader.request import Request
from groundup.course.grader.run import OnResults
from groundup.course.material.unit import Runtime
from groundup.errors import CannotJudge

MARGIN_SECONDS = 10.0


def command(runtime: str, *arguments: str) -> list[str]:
    """The command line of a worker."""
    return [sys.executable, "-P", "-m", "groundup.course.grader.worker", runtime, *arguments]


def allowed_seconds(request: Request) -> float:
    """The longest time of a supervisor; after it, the supervisor itself counts as broken."""
    from groundup.course.grader.run import BUSY, START_SECONDS

    return START_SECONDS + request["limits"]["seconds"] + BUSY * request["diagnosis_seconds"] + MARGIN_SECONDS


class Talk:
    """A run that another thread may call off.

    Args:
        on_results: told the report as far as it goes, once all checks have run and failures are looked into.
        on_failure: called when a part of the checks has a failure, and the run goes on with all others.
    """

    def __init__(
        self, on_results: OnResults = lambda report: None, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        self.on_results, self.on_failure = on_results, on_failure
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self.called_off = False

    @contextlib.contextmanager
    def over(self, sock: socket.socket) -> Iterator[None]:
        """Talk to the supervisor by `sock` meanwhile."""
        with self._lock:
            self._sock = sock
            self._hang_up()
        try:
            yield
        finally:
            with self._lock:
                self._sock = None

    def call_off(self) -> None:
        """Have the supervisor end the run; its report then says so."""
        with self._lock:
            self.called_off = True
            self._hang_up()

    def _hang_up(self) -> None:
        if self.called_off and self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)


class Zygote:
    """A process that has imported a runtime and forks for every request.

    Restarts by itself when it dies, until it is closed.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._closed = False
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The process's id while it lives."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process unless it runs; returns at once, the imports happen meanwhile."""
        with self._lock:
            self._ensure()

    def _ensure(self) -> socket.socket:
        if self._control is not None and self.pid is not None:
            return self._control
        self._end()
        if self._closed:
            raise CannotJudge("The grader was closed before it answered. Check again.")
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                command(self.runtime, "serve", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                env=scrubbed_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control = ours
        return ours

    def prepare(self, request: Request) -> socket.socket:
        """Have a process made ready for a submission whose text will come by the socket. Raises OSError."""
        from groundup.course.grader import supervisor

        ours, theirs = socket.socketpair()
        try:
            with theirs, self._lock:
                socket.send_fds(self._ensure(), [b"r"], [theirs.fileno()])
            supervisor.send(ours, {**request, "submission": {**request["submission"], "source": ""}})
        except BaseException:
            ours.close()
            raise
        return ours

    def submit(self, request: Request, talk: Talk, ready: socket.socket | None = None) -> dict[str, Any]:
        """Have one submission judged; the report. Raises CannotJudge when the workers keep dying.

        Args:
            request: the submission.
            talk: ends the run early from another thread.
            ready: from `prepare`, where a process is ready for this very request.
        """
        for _ in range(2 if ready is None else 3):
            try:
                sock, ready = ready or self.prepare(request), None
            except OSError:
                continue
            with sock, talk.over(sock):
                report = exchange(sock, request, talk)
            if report is not None:
                return report
            if talk.called_off:
                return {"events": [], "ending": {"kind": "cancelled"}}
            time.sleep(0.05)
        if self.pid is None:
            raise _dead(self.runtime)
        return {"events": [], "ending": {"kind": "unwatched"}}  # the zygote lives: it is the supervisors that died

    def close(self) -> None:
        """End the process and everything it started, for good."""
        with self._lock:
            self._closed = True
            self._end()

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def exchange(sock: socket.socket, request: Request, talk: Talk) -> dict[str, Any] | None:
    """Send a submission's text and wait for its report; None when the other side is gone.

    Interrupted, it sees to it that the child is ended first.
    """
    from groundup.course.grader import supervisor

    sock.settimeout(allowed_seconds(request))
    try:
        supervisor.send(sock, request["submission"]["source"])
        while report := supervisor.receive(sock):
            if report == supervisor.GOES_ON:
                talk.on_failure()
            elif supervisor.SO_FAR in report:
                talk.on_results(report[supervisor.SO_FAR])
            else:
                break
        return report
    except TimeoutError:
        return {"events": [], "ending": {"kind": "timeout"}}
    except OSError:
        return None
    except BaseException:
        hang_up(sock)  # Ctrl-C
        raise


def hang_up(sock: socket.socket) -> None:
    """End a run: closing our half tells the supervisor; it closes its own when nothing is left of the run."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(5.0)
        while sock.recv(2**16):
            pass


def submit_fresh(runtime: Runtime, request: Request, talk: Talk) -> dict[str, Any]:
    """Judge one submission in a new process; the report. Raises CannotJudge when that cannot start."""
    from groundup.course.grader.direct import DirectRun

    report = DirectRun(request, talk.on_results, lambda: talk.called_off).run(command(runtime, "direct"))
    if not talk.called_off and not any(event["kind"] == "ready" for event in report["events"]):
        raise _dead(runtime)
    return report


def _dead(runtime: str) -> CannotJudge:
    return CannotJudge(
        f"The grader's {runtime} process ended before it answered. `groundup doctor` shows what is installed."
    )

"""Between the zygote and the learner's code: runs one submission in a process of its own, watches it, ends it.

The supervisor is forked before any of the learner's code runs and never runs any. What it hands on is only what arrived
signed; how the run ended, it saw itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from groundup.course.grader import limits
from groundup.course.grader.channel import Emit, Forged, Receiver, emitter
from groundup.course.grader.request import Request

START_SECONDS = 120.0  # a fresh process imports PyTorch first, from a cold disk perhaps
POLL_SECONDS = 0.02
BUSY = 4  # the diagnosis counts its processor time; on a busy machine that takes longer by the clock
Prepare = Callable[[], None]
Run = Callable[[Request, Emit], None]


class Supervisor:
    """One run: a child process, the pipe of its results, the pipe of its output, and the limits.

    Args:
        request: the submission.
        prepare: what a fresh process does before its time counts (nothing in a fork of the zygote).
        run: judges the submission in the child.
    """

    def __init__(self, request: Request, prepare: Prepare, run: Run) -> None:
        self.request, self.prepare, self.run_child = request, prepare, run
        self.key = os.urandom(32)
        self.events: list[dict[str, Any]] = []
        self.printed = 0
        self.ending: dict[str, Any] = {}
        self.deadline = time.monotonic() + START_SECONDS

    def run(self, cancelled: socket.socket) -> dict[str, Any]:
        """Run the submission to its end and return the report; ends early when `cancelled` is closed."""
        results, results_in = os.pipe()
        output, output_in = os.pipe()
        limits.isolate_children()
        pid = os.fork()
        if pid == 0:
            self._child(results_in, output_in)
        os.close(results_in)
        os.close(output_in)
        try:
            self._watch(pid, results, output, cancelled)
        finally:
            limits.kill_tree(pid)
            _, status = os.waitpid(pid, 0)
            limits.reap_all()
        if not self.ending:
            self._drain(results)
            code = os.waitstatus_to_exitcode(status)
            self.ending = {"kind": "signal", "number": -code} if code < 0 else {"kind": "exit", "code": code}
        return {"events": self.events, "ending": self.ending}

    def _child(self, results: int, output: int) -> None:
        """The learner's process; never returns."""
        try:
            os.setsid()
            limits.die_with_parent()
            keep_only(results, output)
            limits.move_into(self.request["scratch"])
            self.prepare()
            given = self.request["limits"]
            limits.limit_resources(
                memory_mb=given["memory_mb"],
                file_mb=given["file_mb"],
                cpu_seconds=given["seconds"] + self.request["diagnosis_seconds"],
            )
            emit = emitter(results, self.key)
            self.key = b""
            emit({"kind": "ready"})
            self.run_child(self.request, emit)
            emit({"kind": "end"})
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(70)
        os._exit(0)

    def _watch(self, pid: int, results: int, output: int, cancelled: socket.socket) -> None:
        receiver = Receiver(self.key)
        waiting = [results, output, cancelled]
        ended = False
        while not self.ending and not ended:
            ready, _, _ = select.select(waiting, [], [], POLL_SECONDS)
            if cancelled in ready:
                self.ending = {"kind": "cancelled"}
            if output in ready and not self._count(output):
                waiting.remove(output)
            if results in ready:
                data = os.read(results, 2**16)
                ended = not data
                with self._refusing_forgery():
                    for event in receiver.feed(data):
                        ended = ended or self._take(event)
            if not self.ending and not ended:
                self._check_limits(pid)
        if ended and receiver.unfinished and not self.ending:
            self.ending = {"kind": "forged"}

    @contextlib.contextmanager
    def _refusing_forgery(self) -> Any:
        try:
            yield
        except Forged:
            self.ending = {"kind": "forged"}

    def _take(self, event: dict[str, Any]) -> bool:
        """Keep an event; whether it is the last one."""
        self.events.append(event)
        if event["kind"] == "ready":
            self.deadline = time.monotonic() + self.request["limits"]["seconds"]
        elif event["kind"] == "done":
            self.deadline = time.monotonic() + BUSY * self.request["diagnosis_seconds"] + 1.0
        return event["kind"] == "end"

    def _count(self, output: int) -> bool:
        data = os.read(output, 2**16)
        self.printed += len(data)
        if self.printed > self.request["limits"]["output_kb"] * 1024:
            self.ending = {"kind": "output"}
        return bool(data)

    def _check_limits(self, pid: int) -> None:
        given = self.request["limits"]
        if time.monotonic() > self.deadline:
            self.ending = {"kind": "timeout"}
            return
        below = limits.descendants(pid)
        if len(below) > given["processes"]:
            self.ending = {"kind": "processes"}
        elif below and limits.resident_bytes(below) > 2 * given["memory_mb"] * 2**20:
            self.ending = {"kind": "memory"}

    def _drain(self, results: int) -> None:
        os.close(results)


def keep_only(results: int, output: int) -> None:
    """Close every descriptor but these two; standard input is empty, everything printed goes to `output`."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    low, top = results, os.sysconf("SC_OPEN_MAX")
    os.closerange(3, low)
    os.closerange(low + 1, min(top, 65536) if top > 0 else 65536)


def send(sock: socket.socket, document: Any) -> None:
    """Write one JSON document, framed by its length."""
    data = json.dumps(document).encode()
    sock.sendall(len(data).to_bytes(4, "big") + data)


def receive(sock: socket.socket) -> Any | None:
    """Read one JSON document, or None at the end of the stream."""
    header = _exactly(sock, 4)
    data = _exactly(sock, int.from_bytes(header, "big")) if header else None
    return json.loads(data) if data else None


def _exactly(sock: socket.socket, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            return None
        data += part
    return bytes(data)


def serve(sock: socket.socket, request: Request, prepare: Prepare, run: Run) -> None:
    """Supervise one request that came by `sock` and answer there; never raises."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        report = Supervisor(request, prepare, run).run(sock)
    except Exception as error:
        report = {"events": [], "ending": {"kind": "broken", "message": f"{type(error).__name__}: {error}"}}
    with contextlib.suppress(OSError):
        send(sock, report)
        sock.close()

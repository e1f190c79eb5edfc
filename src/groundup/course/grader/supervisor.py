"""Between the zygote and the learner's code: runs one submission in a process of its own, watches it, ends it.

The supervisor is forked before any of the learner's code runs and never runs any. What it hands on is only what arrived
signed; how the run ended, it saw itself.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import json
import math
import os
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from groundup.course.grader import limits
from groundup.course.grader.channel import Emit, emitter
from groundup.course.grader.request import Request
from groundup.course.grader.run import BROKEN, START_SECONDS, TRACE, Run

POLL_SECONDS = 0.02
EXIT_SECONDS = 1.0
# What the caller is told before the report: that a part of the checks has a failure and the others run here as well,
# and the report as far as it goes, before the failures are looked into.
GOES_ON = "goes on"
SO_FAR = "so far"
Judge = Callable[[Request, Callable[[], str], Emit], None]


class Supervisor(Run):
    """One run in a fork: a child process, the pipes of its results and of its output, and the limits.

    The child is made ready before the text of the submission is there, which may be long before; it comes by a pipe.

    Args:
        request: the submission, without its text.
        judge: judges the submission in the child.
    """

    def __init__(self, request: Request, judge: Judge) -> None:
        super().__init__(request, lambda report: self._tell({SO_FAR: report}))
        self.judge = judge
        self.deadline = math.inf
        self.started = False
        self._caller: socket.socket | None = None
        self._room_at_start = limits.free_bytes(request["scratch"])

    def run(self, caller: socket.socket) -> dict[str, Any]:
        """Run the submission that comes by `caller` to its end and return the report; ends early when that closes."""
        self._caller = caller
        source, source_in = os.pipe()
        results, results_in = os.pipe()
        output, output_in = os.pipe()
        limits.isolate_children()
        pid = os.fork()
        if pid == 0:
            self._child(source, results_in, output_in)
        for descriptor in (source, results_in, output_in):
            os.close(descriptor)
        try:
            self._watch(pid, source_in, results, output, caller)
        finally:
            self._collect(pid)
            limits.reap_all()
        return self.report()

    def _child(self, source: int, results: int, output: int) -> None:
        """The learner's process; never returns, whatever becomes of Python in it."""
        leave = os._exit
        try:
            os.setsid()
            limits.die_with_parent()
            keep_only(source, results, output)
            limits.move_into(self.request["scratch"])
            emit = emitter(results, self.key)
            self.key = b""
            run_to_the_end(self.request, functools.partial(read_to_the_end, source), emit, self.judge)
        finally:
            leave(BROKEN)

    def _watch(self, pid: int, source: int, results: int, output: int, caller: socket.socket) -> None:
        waiting = [results, output, caller]
        looked = 0.0
        while not self.over:
            ready, _, _ = select.select(waiting, [], [], POLL_SECONDS if self.started else None)
            if caller in ready:
                text = None if self.started else receive(caller)
                if text is None:
                    self.end("cancelled")
                else:
                    self.started, self.deadline = True, time.monotonic() + START_SECONDS
                    with contextlib.suppress(OSError), open(source, "wb") as pipe:
                        pipe.write(text.encode())
            if output in ready:
                printed = len(os.read(output, 2**16))
                self.take_output(printed)
                if not printed:
                    waiting.remove(output)
            if results in ready:
                self.take_results(os.read(results, 2**16))
            if not self.over and time.monotonic() - looked > POLL_SECONDS:
                looked = time.monotonic()
                self.bytes_at_start = self.bytes_at_start or (limits.resident_bytes(pid) if self.events else 0)
                held = [limits.resident_bytes(p) for p in limits.descendants(pid, self.most_processes)]
                self.check_limits(held, self._written())

    def _written(self) -> int:
        """What the run's files hold, in bytes; counted only when the file system has lost more than they may."""
        scratch = self.request["scratch"]
        much = self._room_at_start - limits.free_bytes(scratch) > self.most_in_files
        return limits.bytes_below(scratch) if much else 0

    def _take(self, event: dict[str, Any]) -> None:
        super()._take(event)
        if event["kind"] == "goes on":
            self._tell(GOES_ON)

    def _tell(self, document: Any) -> None:
        if self._caller is not None:
            with contextlib.suppress(OSError):
                send(self._caller, document)

    def _collect(self, pid: int) -> None:
        """End the learner's process, unless it has ended by itself, and note how."""
        status = None
        if self.ending.get("kind") == "end":
            self._note_what_is_left(pid)
        elif self.ending.get("kind") in ("timeout", "output"):  # not where every moment makes it worse
            self.ask_for_the_line(pid)
        elif self.ending.get("kind") != "cancelled":
            status = limits.wait(pid, EXIT_SECONDS)
        if status is None:
            self.end("closed")
            limits.kill_tree(pid)
            os.waitpid(pid, 0)
        else:
            code = os.waitstatus_to_exitcode(status)
            self.end("signal", number=-code) if code < 0 else self.end("exit", code=code)

    def _note_what_is_left(self, pid: int) -> None:
        """A submission that passes leaves no process behind; orphans among them are below this one."""
        left = [other for other in limits.descendants(os.getpid()) if other != pid and limits.is_running(other)]
        if left:
            self.ending = {"kind": "left"}


def read_to_the_end(descriptor: int) -> str:
    """The text that comes by a pipe."""
    with open(descriptor, "rb") as pipe:
        return pipe.read().decode()


def run_to_the_end(request: Request, source: Callable[[], str], emit: Emit, judge: Judge) -> None:
    """Judge a submission in this very process, within its limits, and wait to be ended with all that it has started."""
    granted = request["limits"]
    limits.limit_resources(
        memory_mb=granted["memory_mb"],
        file_mb=granted["file_mb"],
        cpu_seconds=granted["seconds"] + request["diagnosis_seconds"],
    )
    trace = open(os.path.join(request["scratch"], TRACE), "w")  # stays open as long as the process
    faulthandler.enable(trace)
    if not hasattr(signal, "SIGUSR1"):  # nobody can ask later
        faulthandler.dump_traceback_later(0.9 * granted["seconds"], file=trace)
    sys.dont_write_bytecode = True  # the repository is not the submission's to write to
    sleep = time.sleep

    def take() -> str:
        text = source()
        emit({"kind": "ready", "pid": os.getpid()})
        return text

    judge(request, take, emit)
    emit({"kind": "end"})
    while True:
        sleep(60)


def keep_only(source: int, results: int, output: int) -> None:
    """Close every descriptor but these; standard input is empty, everything printed goes to `output`."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    (low, high), top = sorted((source, results)), os.sysconf("SC_OPEN_MAX")
    os.closerange(3, low)
    os.closerange(low + 1, high)
    os.closerange(high + 1, min(top, 65536) if top > 0 else 65536)


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


def serve(sock: socket.socket, request: Request, judge: Judge) -> None:
    """Supervise one request that came by `sock` and answer there; never raises."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    run = Supervisor(request, judge)
    try:
        report = run.run(sock)
    except Exception as error:
        report = {"events": [], "ending": {"kind": "broken", "message": f"{type(error).__name__}: {error}"}}
    if not run.started:  # nothing was asked of it
        if run.ending.get("kind") == "cancelled":  # and whoever made its folder may be gone
            shutil.rmtree(request["scratch"], ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        send(sock, report)
        sock.close()

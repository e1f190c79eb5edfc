"""The grader: one verdict from one fresh process.

A seat belt for one's own code, not a security sandbox.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from groundup.course.grader import limits, pool
from groundup.course.grader.forbidden import first_use
from groundup.course.grader.judgement import compiled_of, finished, joined, not_run, verdict_of
from groundup.course.grader.request import Request, build_request, label, packages, rules
from groundup.course.grader.run import OnResults
from groundup.course.material.unit import Runtime, Unit, need_packages
from groundup.course.verdict import Compiled, Verdict
from groundup.errors import CannotJudge

__all__ = ["Grader"]

REMOVALS = 20
PARTS = 2
REST_SECONDS = 0.1
COMPILE_SECONDS = 300.0  # for checks on compiled kernels; the slowest unit takes 21 s of processor time
READY_SECONDS = 1800.0  # temporary folders are swept in the end
TOO_DEEP = "an expression is nested too deeply to be read. Give its parts names of their own."
StartMethod = Literal["auto", "fork", "fresh"]
OnVerdict = Callable[[Verdict], None]


class Grader:
    """Judges submissions. Workers start when first needed and live until `close`; use it as a context manager.

    Args:
        workers: how many verdicts of one runtime may run at once.
        quick: whether somebody waits for each verdict: where processes are forked, the checks then run in two at a
            time, made ready beforehand for the unit that was judged last.
        start_method: `fork` from a warm process, or a `fresh` process for each verdict; `auto` forks on Linux.
    """

    def __init__(self, *, workers: int = 1, quick: bool = False, start_method: StartMethod = "auto") -> None:
        self.start_method = start_method if start_method != "auto" else _default_start_method()
        self._parts = PARTS if quick and self.start_method == "fork" else 1
        self._ready = Ready()
        self._compiling, self._closed = threading.Lock(), False
        self._talk: pool.Talk | None = None
        self._zygotes: dict[Runtime, pool.Zygote] = {name: pool.Zygote(name) for name in ("numpy", "torch")}
        self._slots = {name: threading.BoundedSemaphore(workers) for name in ("numpy", "torch")}

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        self._closed = True
        if (talk := self._talk) is not None:
            talk.call_off()
        self._ready.close()
        for zygote in self._zygotes.values():
            zygote.close()

    def warm(self, runtime: Runtime) -> None:
        """Start the worker of a runtime in the background, so that the first verdict need not wait for it."""
        if self.start_method == "fork":
            self._zygotes[runtime].start()

    def grade(
        self,
        unit: Unit,
        source: str,
        *,
        overlay: Mapping[str, str] | None = None,
        seed: int = 0,
        diagnose: bool = True,
        stop_at_first: bool = False,
        schedule: Mapping[str, float] | None = None,
        brief: bool = False,
        on_results: OnVerdict = lambda verdict: None,
    ) -> Verdict:
        """Judge a submission; blocks until the verdict is there. Safe to call from several threads.

        Args:
            unit: the unit that it is for.
            source: the text of the learner's file.
            overlay: the learner's sources of other units, by unit id; otherwise theirs is the reference.
            seed: the seed of the checks' random numbers.
            diagnose: whether failing checks are compared with the unit's mistakes.
            stop_at_first: whether the first failing check ends the run.
            schedule: checks to run before all others, in this order, each with the processor seconds after which it is
                taken for stuck and the process ended (not on Windows); those that it does not name have no such limit.
            brief: whether the diagnosis ends with the checks that it studies to find the mistake, and leaves the other
                failing checks, which that mistake may explain as well, without one.
            on_results: told the verdict once, maybe from another thread, when all checks have run and some failed;
                what is behind the failures is looked for meanwhile.

        Raises:
            MissingPackage: the unit needs a package that is not installed.
            CannotJudge: the workers keep dying.
        """
        need_packages(unit)
        start = time.perf_counter()
        mine = tuple(sorted(unit_id for unit_id in overlay or {} if unit_id != unit.id))

        def complete(verdict: Verdict) -> Verdict:
            return dataclasses.replace(verdict, seed=seed, mine=mine, seconds=round(time.perf_counter() - start, 6))

        def early(report: dict[str, Any]) -> None:
            if turn.acquire(blocking=False):  # each part of the checks may have a failure
                on_results(complete(verdict_of(unit, source, report, seed=seed, mine=())))

        turn = threading.Lock()
        verdict = (
            _cannot_run(unit, source)
            or _may_not_run(unit, source)
            or self._run(unit, source, overlay or {}, seed, diagnose, stop_at_first, schedule or {}, brief, early)
        )
        return complete(verdict)

    def compile(self, unit: Unit, source: str, *, overlay: Mapping[str, str] | None = None) -> Compiled:
        """Put a submission that has passed to its checks again, its kernels compiled by Numba; takes a minute or so.

        Args:
            unit: the unit that it is for.
            source: the text of the learner's file.
            overlay: the learner's sources of other units, by unit id.

        Raises:
            MissingPackage: the unit needs a package that is not installed.
            CannotJudge: the process does not start, or the grader was closed meanwhile.
        """
        need_packages(unit)
        unit = dataclasses.replace(unit, limits=dataclasses.replace(unit.limits, seconds=COMPILE_SECONDS))
        request = build_request(
            unit, source, overlay=overlay or {}, seed=0, diagnose=False, stop_at_first=True, schedule={}, brief=True,
            compiled=True,
        )  # fmt: skip
        talk, scratch = pool.Talk(), make_folder()
        with self._compiling:  # one at a time: it is done in the background of other work
            self._talk = talk
            try:
                if self._closed:
                    talk.call_off()
                # A process of its own everywhere: those that are warm have imported Numba to run kernels as Python.
                report = pool.submit_fresh(unit.runtime, {**request, "scratch": scratch}, talk)
            finally:
                self._talk = None
                remove_folder(scratch)
        if talk.called_off:
            raise CannotJudge("The grader was closed before the kernels were compiled. Check again.")
        return compiled_of(source, verdict_of(unit, source, report, seed=0, mine=()))

    def _run(
        self,
        unit: Unit,
        source: str,
        overlay: Mapping[str, str],
        seed: int,
        diagnose: bool,
        stop_at_first: bool,
        schedule: Mapping[str, float],
        brief: bool,
        on_results: OnResults,
    ) -> Verdict:
        request = build_request(
            unit,
            source,
            overlay=overlay,
            seed=seed,
            diagnose=diagnose,
            stop_at_first=stop_at_first,
            schedule=schedule,
            brief=brief,
        )
        with self._slots[unit.runtime]:
            if self._parts > 1:
                report = self._in_parts(unit.runtime, request, on_results)
                self._ready.later(self._zygotes[unit.runtime], [self._part(request, n) for n in range(self._parts)])
            else:
                report = self._judge(unit.runtime, request, pool.Talk(on_results))
        return verdict_of(unit, source, report, seed=seed, mine=())

    def _in_parts(self, runtime: Runtime, request: Request, on_results: OnResults) -> dict[str, Any]:
        """Have each part of the checks run in a process of its own.

        One whose part has a failure goes on with all other checks, so that its report is that of a run in one process;
        the first part's is preferred, so that it does not depend on which is quicker.
        """
        others = [pool.Talk(on_results) for _ in range(1, self._parts)]

        def call_off_the_others() -> None:
            for other in others:
                other.call_off()

        talks = [pool.Talk(on_results, call_off_the_others), *others]
        with ThreadPoolExecutor(self._parts) as threads:
            try:
                runs = [
                    threads.submit(self._judge, runtime, self._part(request, number), talk)
                    for number, talk in enumerate(talks)
                ]
                return joined(run.result() for run in runs)
            finally:
                for talk in talks:
                    talk.call_off()

    def _part(self, request: Request, number: int) -> Request:
        return {**request, "part": (number, self._parts)}

    def _judge(self, runtime: Runtime, request: Request, talk: pool.Talk) -> dict[str, Any]:
        # Made and removed here, on the side that outlives everything.
        scratch, sock = self._ready.take(request) or (make_folder(), None)
        try:
            request = {**request, "scratch": scratch}
            if self.start_method == "fork":
                return self._zygotes[runtime].submit(request, talk, sock)
            return pool.submit_fresh(runtime, request, talk)
        finally:
            remove_folder(scratch)


class Ready:
    """The processes that are ready for the next submission of the unit that was judged last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[Any, float, str, socket.socket]] = []
        self._timer: threading.Timer | None = None
        self._closed = False

    def take(self, request: Request) -> tuple[str, socket.socket] | None:
        """The temporary folder of a process that is ready for this very request, and the socket to it."""
        key = _key(request)
        with self._lock:
            for entry in self._waiting:
                if entry[0] == key and time.monotonic() - entry[1] < READY_SECONDS:
                    self._waiting.remove(entry)
                    return entry[2:]
        return None

    def later(self, zygote: pool.Zygote, requests: list[Request]) -> None:
        """Have processes made ready for such requests, once whoever waits for the verdict has it."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if not self._closed:
                self._timer = threading.Timer(REST_SECONDS, self._prepare, (zygote, requests))
                self._timer.daemon = True
                self._timer.start()

    def _prepare(self, zygote: pool.Zygote, requests: list[Request]) -> None:
        with self._lock:
            if not self._closed:
                self._drop()
                for request in requests:
                    folder = make_folder()
                    try:
                        sock = zygote.prepare({**request, "scratch": folder})
                    except (OSError, CannotJudge):
                        remove_folder(folder)
                        return
                    self._waiting.append((_key(request), time.monotonic(), folder, sock))

    def _drop(self) -> None:
        for _, _, folder, sock in self._waiting:
            with sock:
                pool.hang_up(sock)
            remove_folder(folder)
        self._waiting.clear()

    def close(self) -> None:
        """Let go of all that is ready, and make nothing ready any more."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            self._drop()


def _key(request: Request) -> Any:
    """All that a process which is ready knows of a request."""
    checks = os.stat(request["checks"])
    return {**request, "submission": request["submission"]["label"], "scratch": ""}, checks.st_mtime_ns, checks.st_size


def make_folder() -> str:
    """A temporary folder for one run, in memory where that is possible."""
    return tempfile.mkdtemp(prefix=limits.FOLDER, dir=limits.folder_in_memory())


def remove_folder(folder: str) -> None:
    """Remove a folder, whatever permissions were taken away inside it."""
    for _ in range(REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            return
        _permit(folder)
        time.sleep(0.05)  # Windows gives files back a moment after the process that had them open is gone


def _permit(folder: str) -> None:
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        with contextlib.suppress(OSError):
            os.chmod(path, stat.S_IRWXU)
            if os.path.isdir(path):
                waiting += [entry.path for entry in os.scandir(path) if not entry.is_symlink()]


def _default_start_method() -> StartMethod:
    # macOS has fork, but its system libraries do not survive it once they have started threads.
    return "fork" if sys.platform == "linux" and hasattr(os, "fork") else "fresh"


def _cannot_run(unit: Unit, source: str) -> Verdict | None:
    """The verdict on a text that is not Python."""
    line, text = 1, ""
    try:
        compile(source, label(unit), "exec", dont_inherit=True)
        return None
    except SyntaxError as error:
        line, text = error.lineno or 1, (error.text or "").strip()
        what = f"{type(error).__name__}: {error.msg}" + (f": `{text}`" if text else "")
    except ValueError as error:
        what = f"ValueError: {error}"
    except (RecursionError, MemoryError):
        what = TOO_DEEP
    return finished(unit, source, "crashed", message=f"{label(unit)}:{line}: {what}", checks=not_run(unit))


def _may_not_run(unit: Unit, source: str) -> Verdict | None:
    """The verdict on a text that uses what it may not."""
    try:
        use = first_use(
            source,
            module=unit.implementation_module,
            rules=rules(unit),
            packages=packages(unit),
            reference=unit.implementation.read_text(encoding="utf-8"),
        )
    except RecursionError:
        return finished(unit, source, "crashed", message=f"{label(unit)}: {TOO_DEEP}", checks=not_run(unit))
    if use is None:
        return None
    message = f"{label(unit)}:{use.line}: {use}"
    return finished(unit, source, "refused", message=message, checks=not_run(unit))

"""The grader: one verdict from one fresh process.

A seat belt for one's own code, not a security sandbox.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import Any, Literal

from groundup.course.grader import pool
from groundup.course.grader.forbidden import first_use
from groundup.course.grader.judgement import finished, not_run, verdict_of
from groundup.course.grader.request import Request, build_request, label, packages, rules
from groundup.course.unit import Runtime, Unit, need_packages
from groundup.course.verdict import Verdict

__all__ = ["Grader"]

REMOVALS = 20
TOO_DEEP = "an expression is nested too deeply to be read. Give its parts names of their own."
StartMethod = Literal["auto", "fork", "fresh"]


class Grader:
    """Judges submissions. Workers start when first needed and live until `close`; use it as a context manager.

    Args:
        workers: how many verdicts of one runtime may run at once.
        start_method: `fork` from a warm process, or a `fresh` process for each verdict; `auto` forks on Linux.
    """

    def __init__(self, *, workers: int = 1, start_method: StartMethod = "auto") -> None:
        self.start_method = start_method if start_method != "auto" else _default_start_method()
        self._zygotes: dict[Runtime, pool.Zygote] = {name: pool.Zygote(name) for name in ("numpy", "torch")}
        self._slots = {name: threading.BoundedSemaphore(workers) for name in ("numpy", "torch")}

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
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
    ) -> Verdict:
        """Judge a submission; blocks until the verdict is there. Safe to call from several threads.

        Args:
            unit: the unit that it is for.
            source: the text of the learner's file.
            overlay: the learner's sources of other units, by unit id; otherwise theirs is the reference.
            seed: the seed of the checks' random numbers.
            diagnose: whether failing checks are compared with the unit's mistakes.
            stop_at_first: whether the first failing check ends the run.

        Raises:
            CannotJudge: the unit needs a package that is not installed, or the workers keep dying.
        """
        need_packages(unit)
        start = time.perf_counter()
        mine = tuple(sorted(unit_id for unit_id in overlay or {} if unit_id != unit.id))
        verdict = (
            _cannot_run(unit, source)
            or _may_not_run(unit, source)
            or self._run(unit, source, overlay or {}, seed, diagnose, stop_at_first)
        )
        return dataclasses.replace(verdict, seed=seed, mine=mine, seconds=round(time.perf_counter() - start, 6))

    def _run(self, unit: Unit, source: str, overlay: Mapping[str, str], seed: int, *flags: bool) -> Verdict:
        diagnose, stop_at_first = flags
        with self._slots[unit.runtime]:
            # Made and removed here, on the side that outlives everything.
            scratch = tempfile.mkdtemp(prefix="groundup-")
            try:
                request = build_request(
                    unit,
                    source,
                    overlay=overlay,
                    seed=seed,
                    diagnose=diagnose,
                    stop_at_first=stop_at_first,
                    scratch=scratch,
                )
                report = self._submit(unit.runtime, request)
            finally:
                remove_folder(scratch)
        return verdict_of(unit, source, report, seed=seed, mine=())

    def _submit(self, runtime: Runtime, request: Request) -> dict[str, Any]:
        if self.start_method == "fork":
            return self._zygotes[runtime].submit(request)
        return pool.submit_fresh(runtime, request)


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

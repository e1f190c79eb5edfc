"""Labs: run in a process of their own, streamed while they run, judged, and kept.

This module never imports a lab, a unit or MLflow: `labprocess` runs the seeds, `recording` hands finished runs to
MLflow in the background, and `runstore` reads the kept runs.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from groundup.course.learner.recording import start_recording
from groundup.course.learner.runstore import (
    RunFolder,
    RunReport,
    RunSummary,
    add_up,
    compare,
    curves,
    expectations_in,
    list_runs,
    load_figure,
    load_run,
    now,
    this_process,
)
from groundup.course.material.unit import Unit, load_unit, need_packages
from groundup.course.verdict import sha256_text
from groundup.errors import ConfigError
from groundup.labs.runner import seeds_from
from groundup.labs.settings import choose_preset, parse_settings
from groundup.labs.summary import lost

__all__ = [
    "RunReport",
    "RunSummary",
    "compare",
    "curves",
    "list_runs",
    "load_figure",
    "load_run",
    "run_lab",
]

Event = dict[str, Any]


class _Stopped(Exception):
    """The caller asked for the run to end."""


@dataclass
class _Run:
    """A run under way: its folder, its report so far and its events."""

    folder: RunFolder
    report: RunReport
    on_event: Callable[[Event], None]
    stop: threading.Event
    until_lost: bool = False
    events: list[Event] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Pass an event on, and keep it unless it is progress."""
        if event["type"] == "figure":
            event = self.folder.keep_figure(event)
        if event["type"] != "progress":
            self.events.append(event)
            with self.folder.events_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(event, ensure_ascii=False) + "\n")
        self.on_event(event)


def run_lab(
    workspace_dir: Path,
    unit: Unit,
    lab: str,
    *,
    preset: str = "laptop",
    settings: Mapping[str, str] | None = None,
    seeds: int | None = None,
    overlay: Mapping[str, str] | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    stop: threading.Event | None = None,
    record: bool = True,
    until_lost: bool = False,
) -> RunReport:
    """Run a lab in a process of its own, one seed after the other, keep everything and judge it.

    Args:
        workspace_dir: the learner's folder; the run is kept in its `.groundup/runs`, and MLflow's store beside it.
        unit: the lab's unit.
        lab: the lab's name.
        preset: the preset to start from.
        settings: changes to it as typed; `seed` is the first seed.
        seeds: their number; the lab's own unless given.
        overlay: the learner's sources that take the reference's place, by unit id.
        on_event: receives every event as it comes: the events of `groundup.labs.events`, and `run` (id, seeds),
            `start`, `end` and `verdict`.
        stop: set it from another thread to end the run, as Ctrl-C does.
        record: hand the finished run to MLflow, in the background.
        until_lost: run no more seeds once an expectation can no longer be met.

    Returns:
        The report; `interrupted` after Ctrl-C or `stop`, `crashed` where the lab raised or its process died.

    Raises:
        UnknownName: there is no such lab or preset.
        ConfigError: a setting does not exist, or is refused.
        MissingPackage: the unit needs a package that is not installed.
    """
    info = unit.lab(lab)
    values = parse_settings(lab, {f.name: f.annotation for f in info.fields}, settings or {})
    choose_preset(lab, info.presets, preset)
    chosen = seeds_from(values.pop("seed", 0), info.seeds if seeds is None else seeds)
    need_packages(unit)
    started = now()
    folder = RunFolder.new(workspace_dir, lab, started)
    overlay = overlay or {}
    report = RunReport(
        id=folder.path.name,
        unit=unit.id,
        lab=lab,
        title=info.title,
        question=info.question,
        preset=preset,
        settings=values,
        seeds=chosen,
        started=started.isoformat(timespec="seconds"),
        code_sha256=sha256_text(overlay.get(unit.id) or unit.implementation.read_text(encoding="utf-8")),
        process=this_process(),
    )
    folder.write(report)
    run = _Run(folder, report, on_event, stop or threading.Event(), until_lost)
    job = {
        "package": unit.package,
        "folder": str(unit.folder),
        "lab": lab,
        "preset": preset,
        "values": values,
        "overlay": _overlay(workspace_dir, unit, overlay),
        "seeds": [(seed, str(folder.log_path(seed))) for seed in chosen],
    }
    report = _carry_out(run, job)
    if record:
        start_recording(workspace_dir)
    with contextlib.suppress(KeyboardInterrupt):
        on_event({"type": "verdict", "id": report.id, "verdict": report.verdict, "message": report.message})
    return report


def _overlay(workspace_dir: Path, unit: Unit, sources: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """For each unit id: the module that the learner's source replaces, the path of their file, and the source."""
    stack = unit.folder.parent.parent
    overlay = {}
    for unit_id, source in sources.items():
        replaced = unit if unit_id == unit.id else load_unit(stack / unit_id)
        path = Path(workspace_dir) / "exercises" / f"{unit_id}.py"
        overlay[unit_id] = (replaced.implementation_module, str(path), source)
    return overlay


def _carry_out(run: _Run, job: dict[str, Any]) -> RunReport:
    """Run the seeds; whatever happens, leave a whole record."""
    start = time.perf_counter()
    verdict, message = None, ""
    try:
        run.on_event({"type": "run", "id": run.report.id, "seeds": run.report.seeds, "lab": run.report.lab})
        message = _run_seeds(run, job)
        if message:
            verdict = "crashed"
    except (KeyboardInterrupt, _Stopped):
        verdict, message = "interrupted", "The run was stopped before its end."
    except ConfigError:
        _remove(run.folder)
        raise
    except BaseException as error:
        run.folder.write(_finished(run, "interrupted", f"{type(error).__name__} broke the run off.", start))
        raise
    report = _finished(run, verdict, message, start)
    run.folder.write(report)
    return report


def _finished(run: _Run, verdict: Any, message: str, start: float) -> RunReport:
    report = add_up(run.report, run.events, verdict)
    return replace(report, message=message, seconds=round(time.perf_counter() - start, 3), process={})


def _remove(folder: RunFolder) -> None:
    import shutil

    shutil.rmtree(folder.path, ignore_errors=True)


def _run_seeds(run: _Run, job: dict[str, Any]) -> str:
    """Run all seeds to their end; return the reason of a crash, or nothing. Raises ConfigError for a refused config."""
    left = list(run.report.seeds)
    with run.folder.log_path(left[0]).open("wb") as log, _process(job, log) as child:
        for event in _events_of(child, run.stop):
            if event["type"] != "end":
                run.take(event)
                continue
            if event["outcome"] == "refused":
                raise ConfigError(event["message"])
            run.take(event)
            if event["outcome"] != "done":
                return f"Seed {event['seed']}: {event['message']}"
            left.remove(event["seed"])
            if not left or (run.until_lost and lost(run.events, run.report.seeds, expectations_in(run.events))):
                return ""
        code = child.wait()
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    message = f"The process of the lab {how}. {run.folder.log_path(left[0])} holds its output."
    run.take({"type": "end", "seed": left[0], "outcome": "crashed", "message": message, "mine": [], "seconds": 0.0})
    return f"Seed {left[0]}: {message}"


@contextlib.contextmanager
def _process(job: dict[str, Any], log: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The process of the seeds; it ends with everything that it started."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "groundup.course.workers.labprocess"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        # A group of its own, so that Ctrl-C in the terminal reaches the course only, which then ends the child.
        start_new_session=sys.platform != "win32",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    try:
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps(job).encode() + b"\n")
            child.stdin.flush()
        yield child
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    import psutil

    with contextlib.suppress(psutil.Error):
        leader = psutil.Process(child.pid)
        for process in [*leader.children(recursive=True), leader]:
            with contextlib.suppress(psutil.Error):
                process.kill()
    if child.stdin is not None:
        with contextlib.suppress(OSError):
            child.stdin.close()
    child.wait()


def _events_of(child: subprocess.Popen[bytes], stop: threading.Event) -> Iterator[Event]:
    """The child's events as they come. Read in a thread, so that Ctrl-C and `stop` are noticed at once everywhere."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    assert child.stdout is not None
    output = child.stdout

    def read() -> None:
        with output:
            for line in output:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        if stop.is_set():
            raise _Stopped
        try:
            line = lines.get(timeout=0.1)
        except queue.Empty:
            continue
        if line is None:
            return
        yield json.loads(line)

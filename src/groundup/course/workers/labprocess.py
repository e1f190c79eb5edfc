"""The process that runs the seeds of a lab, one after the other: `python -m groundup.course.workers.labprocess`.

The first line of standard input is the job, as JSON; the events leave by standard output, one JSON object a line. The
end of standard input means that the course has died, and ends this process. The lab's own output goes to the seed's
log. One process serves all seeds, because importing a unit often takes longer than one seed of its lab.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from groundup.errors import GroundupError
from groundup.labs.events import Event


def main() -> None:
    """Run the job and exit at once, whatever threads the lab has left behind."""
    job_input, events = _take_channels()
    job = json.loads(job_input.readline())
    threading.Thread(target=_die_with_parent, args=(job_input,), daemon=True).start()

    def emit(event: Event) -> None:
        events.write(json.dumps(event, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        events.flush()

    try:
        for seed, log in job["seeds"]:
            _print_to(log)
            if not run(job, seed, emit):
                break
    finally:
        os._exit(0)


def _take_channels() -> tuple[BinaryIO, BinaryIO]:
    """Keep the two pipes, and give the lab an empty standard input."""
    job_input = os.fdopen(os.dup(0), "rb", buffering=0)
    events = os.fdopen(os.dup(1), "wb")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    return job_input, events


def _print_to(log: str) -> None:
    """Redirect all further output, native code's included, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _die_with_parent(job_input: BinaryIO) -> None:
    job_input.read(1)
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
    os._exit(3)


def run(job: dict[str, Any], seed: int, emit: Any) -> bool:
    """Run one seed, end with an `end` event that holds its outcome, and return whether it was done.

    Args:
        job: `package`, `folder`, `lab`, `preset`, `values`, and `overlay`: for each unit id its module, the path of the
            learner's file, and the file's text.
        seed: the seed.
        emit: receives the events.
    """
    start, cpu_start = time.perf_counter(), time.process_time()

    def end(outcome: str, message: str = "") -> bool:
        sys.stdout.flush()
        sys.stderr.flush()
        mine = sorted(unit for unit, (module, *_) in job["overlay"].items() if module in sys.modules)
        event = {"type": "end", "seed": seed, "outcome": outcome, "message": message, "mine": mine}
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        emit({**event, "seconds": round(seconds, 3), "cpu_seconds": round(cpu_seconds, 3)})
        return outcome == "done"

    from groundup.labs import runner

    try:
        _prepare_imports(job)
        lab = runner.find_lab(job["package"], job["lab"])
        try:
            config = runner.configure(lab, job["preset"], job["values"], seed)
        except GroundupError as error:
            return end("refused", str(error))
        expectations = [dataclasses.asdict(expectation) for expectation in lab.expectations]
        emit({"type": "start", "seed": seed, "config": dataclasses.asdict(config), "expectations": expectations})
        start, cpu_start = time.perf_counter(), time.process_time()
        runner.execute(lab, config, emit)
    except GroundupError as error:
        return end("crashed", str(error))
    except BaseException as error:
        traceback.print_exc()
        return end("crashed", describe(error, [path for _, path, _ in job["overlay"].values()], job["folder"]))
    return end("done")


def _prepare_imports(job: dict[str, Any]) -> None:
    folder = Path(job["folder"])
    # By name, because only a worker process like this one may import the stack.
    installed = [Path(where).resolve() for where in importlib.import_module("groundup.stack").__path__]
    if folder.parent.parent.resolve() not in installed:
        importlib.import_module("groundup.course.grader.overlay").add_unit_folder(job["package"], folder)
    if job["overlay"] and not sys.modules.keys() & {module for module, *_ in job["overlay"].values()}:
        overlay = importlib.import_module("groundup.course.grader.overlay")
        overlay.install({module: (path, text) for module, path, text in job["overlay"].values()})


def describe(error: BaseException, learner_files: list[str], folder: str) -> str:
    """The exception in one line, with its place in the learner's file, or else in the unit."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if f.filename in learner_files] or [f for f in frames if f.filename.startswith(folder)]
    place = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}{': ' + text[0] if text else ''}{place}"


if __name__ == "__main__":
    main()

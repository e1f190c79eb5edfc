"""The process that verdicts are forked from: `python -m groundup.course.grader.worker RUNTIME MODE [DESCRIPTOR]`.

Modes: `serve` imports what checks need once and forks for every request (a zygote); `direct` judges one submission in
this very process: the request on standard input, signed events on standard output.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import re
import select
import signal
import socket
import sys
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

from groundup.course.grader import limits, supervisor
from groundup.course.grader.channel import Emit, emitter
from groundup.course.grader.request import Request
from groundup.course.grader.run import BROKEN
from groundup.course.material.source import imported_modules

NEEDED = """numpy numpy.testing numpy.random pytest hypothesis hypothesis.extra.numpy hypothesis.strategies jaxtyping
groundup.checking groundup.course.grader.session groundup.course.grader.diagnosis groundup.stack unittest.mock
dataclasses typing collections.abc math json inspect itertools statistics fractions""".split()
IMPORT = re.compile(r"^(?:import|from) ([\w.]+)", re.MULTILINE)
IDLE_SECONDS = 0.3
BACKGROUND = 10


def preload(runtime: str) -> None:
    """Import what checks need, run once what is slow the first time, and record it all as trusted."""
    for name in NEEDED:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    if runtime == "torch":
        import torch

        for name in imported_by_units(runtime):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)

        torch.set_num_threads(1)
        torch.manual_seed(0)
        keep_manual_seed(torch)
    from groundup.course.grader.session import rehearse

    rehearse()
    settle()


def imported_by_units(runtime: str) -> list[str]:
    """The slow third-party packages that implementations and checks of a runtime's units import.

    Read from the files' text, because nothing of a unit may run here.
    """
    modules: set[str] = set()
    for folder in (Path(path) for path in importlib.import_module("groundup.stack").__path__):
        for description in folder.glob("*/*/unit.toml"):
            unit = tomllib.loads(description.read_text(encoding="utf-8"))
            name = unit.get("exercise", {}).get("module", description.parent.name)
            if unit.get("runtime") == runtime:
                for file in (description.with_name("checks.py"), description.with_name(f"{name}.py")):
                    modules.update(IMPORT.findall(file.read_text(encoding="utf-8")) if file.exists() else ())
    return sorted(name for name in modules if name.partition(".")[0] not in {"groundup", *sys.stdlib_module_names})


def keep_manual_seed(torch: Any) -> None:
    """Make `torch.manual_seed` something that torch itself will not replace later.

    PyTorch's compiler, which the first optimizer imports, wraps it if it is still `torch.random.manual_seed`, and that
    would look like tampering by the submission. Importing the compiler here would take more than a second.
    """
    original = torch.manual_seed

    @functools.wraps(original)
    def manual_seed(seed: int) -> Any:
        return original(seed)

    torch.manual_seed = manual_seed


def settle() -> None:
    """Record what is trusted, and keep the collector from touching pages that forks share."""
    from groundup.course.grader import guard

    guard.record()
    gc.collect()
    gc.freeze()


_compiled: dict[str, tuple[str, CodeType, list[str]]] = {}


def compile_checks(path: str) -> tuple[CodeType, list[str]]:
    """The checks' code, assertions rewritten by pytest to explain themselves, and the modules that it imports.

    Both are kept while the file stays the same.
    """
    import ast

    from _pytest.assertion.rewrite import rewrite_asserts

    with open(path, encoding="utf-8") as file:
        text = file.read()
    if _compiled.get(path, ("",))[0] != text:
        tree = ast.parse(text, path)
        imports = imported_modules(tree)
        rewrite_asserts(tree, text.encode(), path)
        _compiled[path] = text, compile(tree, path, "exec", dont_inherit=True), imports
    return _compiled[path][1:]


def judge(request: Request, source: Callable[[], str], emit: Emit) -> None:
    """Judge one submission in this process."""
    from groundup.course.grader.session import run

    run(request, source, emit, *compile_checks(request["checks"]))


def serve(runtime: str, control: socket.socket) -> None:
    """Fork a supervisor for every socket that arrives by `control`, until that is closed."""
    preload(runtime)
    successor: socket.socket | None = None
    succeeded = False
    while True:
        watched = [control] if successor is None else [control, successor]
        ready, _, _ = select.select(watched, [], [], IDLE_SECONDS)
        collect_children()
        if not ready and successor is None and runtime == "numpy":
            successor = start_successor(control)
        if successor in ready and successor is not None:
            succeeded = bool(successor.recv(1))
            if not succeeded:  # it could not import them; serve on without
                successor.close()
                successor = None
                runtime = "numpy without more"
        if control in ready:
            _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not descriptors:
                return
            if succeeded and successor is not None:
                socket.send_fds(successor, [b"r"], descriptors)
                os.close(descriptors[0])
            else:
                fork_supervisor(descriptors[0], [control, *([successor] if successor else [])])


def start_successor(control: socket.socket) -> socket.socket:
    """Fork a second zygote, which imports the slow packages and then takes the requests handed to it."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        control.close()
        for name in imported_by_units("numpy"):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        rehearse_a_fit()
        settle()
        theirs.sendall(b"y")
        while True:
            ready, _, _ = select.select([theirs], [], [], 1.0)
            collect_children()
            if ready:
                _, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
                if not descriptors:
                    os._exit(0)
                fork_supervisor(descriptors[0], [theirs])
    theirs.close()
    return ours


def rehearse_a_fit() -> None:
    """Fit a model of scikit-learn: the first time, it looks through every installed package."""
    with contextlib.suppress(ImportError):
        from sklearn.linear_model import LogisticRegression

        LogisticRegression().fit([[0.0], [1.0]], [0, 1])


def fork_supervisor(descriptor: int, inherited: list[socket.socket]) -> None:
    """Read the request that came by a socket and fork the process that will answer it."""
    with socket.socket(fileno=descriptor) as sock:
        request = supervisor.receive(sock)
        if request is None:
            return
        with contextlib.suppress(SyntaxError, OSError):
            compile_checks(request["checks"])
        if os.fork():
            return
        for other in inherited:
            other.close()
        supervisor.serve(sock, request, judge)
        os._exit(0)


def collect_children() -> None:
    """Collect supervisors that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def direct(runtime: str) -> None:
    """Judge one submission in this very process: the caller watches it and ends it."""
    caller, results = os.dup(0), os.dup(1)
    with os.fdopen(os.dup(0), "rb", buffering=0) as standard_input:
        asked: dict[str, Any] = json.loads(standard_input.readline())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    threading.Thread(target=_end_with_caller, args=(caller,), daemon=True).start()
    leave = os._exit
    if asked["request"]["compiled"] and hasattr(os, "nice"):
        os.nice(BACKGROUND)  # nobody waits for it, and the learner's next verdict does not either
    try:
        limits.move_into(asked["request"]["scratch"])
        preload(runtime)
        emit = emitter(results, bytes.fromhex(asked.pop("key")))
        text = asked["request"]["submission"]["source"]
        supervisor.run_to_the_end(asked["request"], lambda: text, emit, judge)
    finally:
        leave(BROKEN)


def _end_with_caller(descriptor: int) -> None:
    """Nothing more comes from the caller but the end."""
    while os.read(descriptor, 1):
        pass
    os._exit(BROKEN)


def main(arguments: list[str]) -> None:
    """The entry point."""
    runtime, mode, *descriptor = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to handle
    if mode == "direct":
        direct(runtime)
    else:
        with socket.socket(fileno=int(descriptor[0])) as control:
            serve(runtime, control)


if __name__ == "__main__":
    main(sys.argv[1:])

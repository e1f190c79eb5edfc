"""One submission's run, inside its own process: import, collect, run, report.

The order matters, because the learner's file is the first stranger here: whatever the checks rely on is recorded
before it is imported, compared after the import and after every check, and put back where it is mere state.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import gc
import importlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any

import pytest

from groundup import checking
from groundup.course.grader import guard, limits, overlay
from groundup.course.grader.channel import Emit
from groundup.course.grader.diagnosis import Diagnosis
from groundup.course.grader.kernels import Kernels
from groundup.course.grader.observe import Observation, Recorder
from groundup.course.grader.request import Request
from groundup.course.grader.run import STUCK
from groundup.course.grader.substitute import Substituter
from groundup.course.material.source import Function, definitions, is_stub

# Plugins of pytest that a verdict has no use for.
OFF = """cacheprovider junitxml pastebin doctest unittest faulthandler stepwise setuponly setupplan debugging
legacypath threadexception unraisableexception capture""".split()
LOGGING = "logging"  # it brings `caplog`, and takes a tenth of a verdict's time: only for checks that ask for it
REHEARSAL = """
import numpy as np, pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from groundup.checking import assert_close, assert_shape

@given(st.lists(st.floats(-1, 1)), st.integers(0, 9), st.booleans(), st.sampled_from([1, 2]))
def test_values(values, count, flag, choice):
    assert_close(sum(values), sum(values), "sum")

@given(st.data(), arrays(np.float64, array_shapes(max_dims=2, max_side=3), elements=st.floats(-1, 1)))
def test_arrays(data, array):
    data.draw(st.text(max_size=2))
    assert_shape(array, array.shape, "shape")

@pytest.mark.parametrize("x", [1, 2])
def test_failure(x, rng, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="a"):
        raise ValueError("a")
    with np.errstate(all="raise"):
        assert_close(np.ones(3), np.zeros(3), "differs")
"""
LINES, CHARACTERS = 14, 1400
SLOW_SECONDS = 0.5
LEAVE = os._exit
Source = Callable[[], str]


def rehearse() -> None:
    """Run a small check with pytest and Hypothesis, so that what is slow or patched the first time is behind us."""
    draw_the_same_everywhere()
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nothing:
        path = Path(folder, "checks.py")
        path.write_text(REHEARSAL, encoding="utf-8")
        with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
            pytest.main(arguments(str(path), folder), plugins=[checking])


def draw_the_same_everywhere() -> None:
    """Keep Hypothesis from trying constants of the modules that are loaded: a verdict depends on its own file only.

    It looks for them in everything outside `site-packages`, which differs between a checkout and an installation.
    """
    from hypothesis.internal.conjecture import providers
    from hypothesis.internal.constants_ast import Constants

    none = Constants()
    providers._get_local_constants = lambda: none


def run(request: Request, source: Source, emit: Emit, checks_code: CodeType, imports: list[str]) -> None:
    """Judge one submission and emit what happened, ending with `done` (and `diagnosed` where checks failed).

    Args:
        request: the submission, without its text.
        source: waits for the text; all that can be done before it comes is done by then.
        emit: takes the events.
        checks_code: the checks, compiled.
        imports: the modules that the checks import.
    """
    Session(request, source, emit, checks_code, imports).run()


class Stop(Exception):
    """The run ends here, with an outcome for the whole submission."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class Ended(Exception):
    """The submission tried to end the program, or this run of the checks, from inside a check."""


class Session:
    """The run of one submission."""

    def __init__(self, request: Request, source: Source, emit: Emit, checks_code: CodeType, imports: list[str]) -> None:
        self.request, self.source, self.emit = request, source, emit
        self.checks_code, self.imports = checks_code, imports
        self.where = Where(request)
        mine = [*request["overlay"], request["submission"]]
        self.modules = frozenset(file["module"] for file in mine)
        self.functions = FunctionLines("")
        self.kernels: Kernels | None = None
        self.waits_for = ""
        """The unwritten function that the checks call as they are imported, if there is one."""

    def run(self) -> None:
        """Import the submission, run the checks, report."""
        request = self.request
        outcomes = _Plugin(self)
        try:
            self._prepare()
            more = ("--seed", str(request["seed"]), *(("--maxfail=1",) if request["stop_at_first"] else ()))
            code = pytest.main(arguments(request["checks"], request["scratch"], *more), plugins=[checking, outcomes])
            if outcomes.done:
                return
            if outcomes.stop:
                raise outcomes.stop
            self.guard.verify()
            if self.waits_for:
                raise Stop(
                    "not_attempted",
                    f"`{self.waits_for}` is not written yet: every check waits for it, in their imports.",
                )
            raise Stop(
                "crashed", outcomes.error or f"The checks did not run to their end (pytest: exit status {code})."
            )
        except (Stop, guard.Tampered) as stop:
            self._stopped(stop.outcome if isinstance(stop, Stop) else "refused", str(stop))

    def _prepare(self) -> None:
        """Put the learner's other files in place, import what the checks will import before any can, and watch."""
        request = self.request
        overlay.add_unit_folder(request["package"], Path(request["folder"]))
        others = {mine["module"]: (self.where.write_copy(mine), mine["source"]) for mine in request["overlay"]}
        self.overlay = overlay.install(others)
        # A package may change the interpreter when it is imported (`six` adds to `sys.meta_path`): before, not after.
        for name in (*self.imports, *request["libraries"]):
            if not name.startswith(overlay.STACK):
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
        if request["compiled"]:
            self.kernels = Kernels(self.where.submission, request["submission"]["label"])
        self.guard = guard.Guard(request, self.where, lambda text: self._stopped("crashed", text))

    def _stopped(self, outcome: str, message: str) -> None:
        self.emit({"kind": "stopped", "outcome": outcome, "message": message})

    def import_submission(self) -> None:
        """Wait for the learner's file and import it. Raises Stop or Tampered where that is the end."""
        request = self.request
        mine = request["submission"]
        mine["source"] = self.source()
        self.functions = FunctionLines(mine["source"])
        self.overlay.put(mine["module"], self.where.write_copy(mine), mine["source"])
        try:
            importlib.import_module(request["submission"]["module"])
            importlib.import_module(request["package"])
        except BaseException as error:
            if isinstance(error, MemoryError):
                make_room(error)
            if isinstance(error, NotImplementedError) and self.functions.unwritten(error, self.where):
                raise Stop(
                    "not_attempted", f"{self.where.place(error)}: this runs while the file is imported."
                ) from None
            self.guard.verify()
            raise Stop("crashed", self._import_message(error)) from None
        self.guard.verify()
        self.guard.restore()

    def _import_message(self, error: BaseException) -> str:
        if isinstance(error, SyntaxError) and error.filename:
            place = f"{self.where.relabel(error.filename)}:{error.lineno}"
        else:
            place = self.where.place(error) or self.request["submission"]["label"]
        return f"{place}: {explain(error, self.request).rstrip('.')}, while your file was imported."


def arguments(checks: str, scratch: str, *more: str) -> list[str]:
    """The command line of a lean pytest: no configuration, no other plugin, nothing written outside `scratch`.

    `groundup.checking` is handed over as it is: by name, pytest would look for it through every installed package.
    """
    off = OFF if "caplog" in Path(checks).read_text(encoding="utf-8") else [*OFF, LOGGING]
    return [
        checks,
        "-qq",
        "--tb=no",
        "--disable-warnings",
        "--noconftest",
        "--disable-plugin-autoload",
        "-c", os.devnull,
        "--rootdir", scratch,
        "--basetemp", str(Path(scratch, "pytest")),
        *(part for name in off for part in ("-p", f"no:{name}")),
        *more,
    ]  # fmt: skip


class _Module(pytest.Module):
    """The checks, run from code that the zygote has compiled (assertions rewritten) once."""

    session_: Session

    def _getobj(self) -> Any:
        import types

        name = self.session_.request["package"] + ".checks"
        module = types.ModuleType(name)
        module.__file__, module.__package__ = str(self.path), self.session_.request["package"]
        sys.modules[name] = module
        try:
            exec(self.session_.checks_code, vars(module))
        except BaseException as error:
            where = self.session_.where
            self.session_.waits_for = self.session_.functions.unwritten(error, where)
            place = where.place(error) or where.relabel(str(self.path))
            raise self.CollectError(
                f"{place}: {describe(error).rstrip('.')}, while the checks were imported."
            ) from None
        self.session_.guard.trust(module)
        return module


class _Silent:
    """Takes the place of pytest's terminal reporter: nobody reads it, and it is a tenth of a verdict's time.

    Args:
        writer: what pytest asks the reporter for, to explain a comparison.
    """

    def __init__(self, writer: Any) -> None:
        self._tw = writer


class _Plugin:
    """Turns pytest's reports into events."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.results: list[tuple[pytest.Item, float, str]] = []  # with processor seconds and outcome
        self.done = False
        self.error = ""
        self.stop: Stop | guard.Tampered | None = None
        self._starved = False
        self._names: list[str] = []  # of all checks, in the order of the file
        self._last_of_part: pytest.Item | None = None
        self._result: dict[str, Any] = {}
        self._phases_passed = 0

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        reporter: Any = config.pluginmanager.unregister(name="terminalreporter")
        config.pluginmanager.register(_Silent(reporter._tw), "terminalreporter")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        """Collect from the one file; pytest itself would look through all folders above it first."""
        try:
            self.session.import_submission()
        except (Stop, guard.Tampered) as stop:
            self.stop = stop
            return True
        module: _Module = _Module.from_parent(session, path=Path(self.session.request["checks"]))
        module.session_ = self.session
        items = list(session.genitems(module))
        self._names = [item.name for item in items]
        number, parts = self.session.request["part"]
        # Those of Hypothesis take longest, and are dealt apart from the others.
        part = set(sorted(items, key=_searches)[number::parts])
        own = [item for item in items if item in part]
        places = {name: place for place, name in enumerate(self.session.request["schedule"])}
        own.sort(key=lambda item: places.get(item.name, len(places)))
        self._last_of_part = own[-1] if own else None
        session.items = own + [item for item in items if item not in part] if own else []
        session.testscollected = len(session.items)
        session.config.hook.pytest_collection_finish(session=session)
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.error:
            self.error = str(report.longrepr)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._watch(session)
        self.session.emit({"kind": "collected", "checks": self._names})

    def _watch(self, session: pytest.Session) -> None:
        try:
            self.session.guard.verify(thorough=False)
            if self._starved and not recovered():
                place, text = self._result["location"], self._result["message"]
                raise Stop("crashed", f"{place}: {text} It keeps what it has, so that nothing more can be run.")
        except (guard.Tampered, Stop) as stop:
            self.stop = stop
            session.shouldstop = "the other checks would prove nothing"
        self._starved = False
        self.session.guard.restore()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Any:
        """Vouch for the results once all checks have run, then look for what is behind the failures."""
        try:
            result = yield
        except session.Failed:  # stopped at the first failure, as asked
            result = True
        if self.error or self.stop:
            return result
        self.session.guard.verify()
        self.done = True
        self.session.emit({"kind": "done"})
        if self.session.request["diagnosis_seconds"]:
            self._diagnose()
        return result

    def _diagnose(self) -> None:
        # A check that searches for the smallest failing example repeats that search whenever it is looked at.
        checks = [(item, _searches(item) or seconds > SLOW_SECONDS, outcome) for item, seconds, outcome in self.results]
        checks.sort(key=lambda check: (check[1], self._names.index(check[0].name)))
        failed = self._by_function([(item, slow) for item, slow, outcome in checks if outcome == "failed"])
        passed = [(item, slow) for item, slow, outcome in checks if outcome == "passed"]
        if not failed:
            return
        where, request = self.session.where, self.session.request
        module = sys.modules[request["submission"]["module"]]
        substituter = Substituter(module, where.submission, request["reference"])
        diagnosis = Diagnosis(request, self.observe, substituter)
        for name, text in diagnosis.run(failed, passed):
            self.session.emit({"kind": "diagnosed", "check": name, "text": text})

    def _by_function(self, checks: list[tuple[pytest.Item, bool]]) -> list[tuple[pytest.Item, bool]]:
        """The quick checks first; of these the first one of each function, then the second of each, and so on."""
        about, order = self.session.request["about"], self.session.request["order"]
        seen: Counter[tuple[bool, str]] = Counter()
        places = []
        for item, slow in checks:
            function = about.get(item.name.partition("[")[0], "")
            places.append((slow, seen[slow, function], order.index(function) if function else len(order)))
            seen[slow, function] += 1
        return [checks[i] for i in sorted(range(len(checks)), key=places.__getitem__)]

    def observe(self, item: pytest.Item) -> Observation:
        """Run a check again and record what it sees."""
        self.session.guard.restore()
        clear_caches(sys.modules[self.session.request["submission"]["module"]])
        self._begin(item)
        item._initrequest()  # type: ignore[attr-defined]
        recorder = Recorder(self.session.where.submission, self.session.modules)
        with recorder:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        return Observation(self._result["outcome"], self._result["message"], recorder.calls, recorder.ran)

    def _begin(self, item: pytest.Item) -> None:
        self._result = {"kind": "result", "check": item.name, "outcome": "passed", "message": "", "location": ""}
        self._phases_passed = 0
        if self.session.kernels is not None:
            self.session.kernels.forget()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        if self.done:  # seen again, for the diagnosis
            return (yield)
        self.session.emit({"kind": "start", "check": item.name})
        self._begin(item)
        start, start_cpu = time.perf_counter(), time.process_time()
        with at_most(self.session.request["schedule"].get(item.name, 0.0)):
            result = yield
        cpu_seconds = time.process_time() - start_cpu
        if self._result["outcome"] == "passed" and self._phases_passed != 3:
            self._result.update(outcome="failed", message="The check did not run to its end.")
        self._result["seconds"] = time.perf_counter() - start
        self._watch(item.session)
        self.results.append((item, cpu_seconds, self._result["outcome"]))
        self.session.emit(self._result)
        if item is self._last_of_part and len(self.results) < len(self._names):
            if all(outcome == "passed" for _, _, outcome in self.results):
                del item.session.items[len(self.results) :]  # another process runs the others
            else:
                self.session.emit({"kind": "goes on"})
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self) -> Any:
        """Let no exception of the submission end pytest, and none keep the memory that is needed to report it."""
        try:
            return (yield)
        except (KeyboardInterrupt, SystemExit, pytest.exit.Exception) as error:
            raise Ended(describe(error)).with_traceback(error.__traceback__) from None
        except BaseException as error:
            limits.release_reserve()  # first of all: even to look at the error takes memory
            if any(isinstance(cause, MemoryError) for cause in behind(error)):
                self._starved = True
                make_room(error)
            else:
                limits.keep_reserve()
            raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        report: pytest.TestReport = yield
        error = call.excinfo.value if call.excinfo is not None else None
        if error is None:
            self._phases_passed += 1
        elif self._result["outcome"] == "passed":
            self._result.update(failure(item, error, self.session))
        return report


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """End this process once it has used so much more processor time; 0 sets no limit, and Windows knows none."""
    if not seconds or not hasattr(signal, "setitimer"):
        yield
        return
    # Not an exception, which the submission might catch; nor the signal's own effect, which there is none of where the
    # process is the first of its namespace.
    signal.signal(signal.SIGPROF, lambda *_: LEAVE(STUCK))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def clear_caches(module: Any) -> None:
    """Empty the caches of a module's functions and methods: what they hold was computed by other code, perhaps."""
    spaces = [vars(module), *(vars(value) for value in vars(module).values() if isinstance(value, type))]
    for value in [value for space in spaces for value in space.values()]:
        if isinstance(value := getattr(value, "__func__", value), functools._lru_cache_wrapper):
            value.cache_clear()


def _searches(item: pytest.Item) -> bool:
    """Whether a check is one of Hypothesis."""
    return bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))


def failure(item: pytest.Item, error: BaseException, session: Session) -> dict[str, str]:
    """Outcome, message and location of a check that ended in `error`."""
    # Where memory ran out, what went wrong afterwards came of it: Hypothesis then finds fault with its own data, say.
    error = next((cause for cause in behind(error) if isinstance(cause, MemoryError)), error)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    place = session.where.place(error)
    stub = session.functions.unwritten(error, session.where)
    if stub:
        return {"outcome": "not_attempted", "message": f"`{stub}` is not written yet.", "location": place}
    return {"outcome": "failed", "message": message(item, error, session), "location": place}


def message(item: pytest.Item, error: BaseException, session: Session) -> str:
    """The check's message, short; for any other exception, its type and text."""
    where, text = session.where, explain(error, session.request)
    if session.kernels is not None and (uncompiled := session.kernels.explain(behind(error))):
        return uncompiled
    if isinstance(error, pytest.skip.Exception):
        text = f"The check was skipped: {error.msg}"
    elif isinstance(error, pytest.fail.Exception):
        text = str(error.msg)
        if text.startswith("DID NOT RAISE"):
            text = f"{_title(item)}\n  expected {_class_name(text)} to be raised, but nothing was"
    elif isinstance(error, AssertionError):
        said, found, detail = f"\n{error}".partition("\nassert ")
        detail = detail.partition("\n +")[0]  # what follows names objects by their addresses
        text = said.strip() or f"{_title(item)}\n  not true: {detail}" if found else str(error) or _title(item)
    elif not where.place(error):
        text = f"{_title(item)}\n  {text}"
    example = next((n for n in getattr(error, "__notes__", ()) if n.startswith("Falsifying example")), "")
    return shorten(text) + ("\n  " + " ".join(example.split()) if example else "")


def _title(item: pytest.Item) -> str:
    doc = (getattr(getattr(item, "obj", None), "__doc__", "") or "").strip()
    return doc.split("\n\n")[0].replace("\n", " ") or item.name


def _class_name(text: str) -> str:
    return text.removeprefix("DID NOT RAISE ").removeprefix("<class '").removesuffix("'>")


def explain(error: BaseException, request: Request) -> str:
    """An exception in one line, in plainer words where its own are not."""
    text = describe(error)
    if isinstance(error, MemoryError):
        return f"Your code asked for more memory than the {request['limits']['memory_mb']} MB that it may use ({text})."
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return f"Your code ended the program (`{text}`)."
    if isinstance(error, Ended):
        return f"Your code ended the program (`{error}`)."
    if isinstance(error, RecursionError):
        return f"{text}. Does a function call itself without an end?"
    return text


def behind(error: BaseException) -> list[BaseException]:
    """An exception, its causes, and the members of a group: Hypothesis wraps the failures of several tries."""
    chain, waiting = [], [error]
    while waiting:
        cause = waiting.pop()
        if all(cause is not other for other in chain):
            chain.append(cause)
            waiting += [other for other in (cause.__cause__, cause.__context__) if other is not None]
            waiting += cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()
    return chain


def make_room(error: BaseException) -> None:
    """Give back what the failed code holds in memory."""
    limits.release_reserve()
    for cause in behind(error):
        traceback.clear_frames(cause.__traceback__)


def recovered() -> bool:
    """Whether there is memory again to run other checks."""
    for name in ("last_exc", "last_value", "last_traceback"):  # where pytest keeps the frames of what failed
        setattr(sys, name, None)
    gc.collect()
    limits.keep_reserve()
    if limits.has_room():
        return True
    limits.release_reserve()  # what is left to do, to report it, takes memory as well
    return False


def describe(error: BaseException) -> str:
    """An exception in one line: its type and text."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}" + (f": `{error.text.strip()}`" if error.text else "")
    try:
        text = str(error).strip()
    except BaseException:  # it is the submission's own code that fails here
        text = "(its text cannot be shown)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def shorten(text: str) -> str:
    """At most a screenful of a message."""
    lines = text.strip().splitlines()
    head = "\n".join([*lines[:LINES], "…"] if len(lines) > LINES else lines)
    return head if len(head) <= CHARACTERS else head[:CHARACTERS] + " …"


class Where:
    """The paths of the learner's files in this process, and their names in messages."""

    def __init__(self, request: Request) -> None:
        self.scratch = Path(request["scratch"])
        self.submission = str(self.scratch / request["submission"]["label"])

    def write_copy(self, mine: Any) -> Path:
        """Write a learner's file into the scratch folder; it is run from memory, so that it may delete itself."""
        path = self.scratch / mine["label"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(mine["source"], encoding="utf-8")
        return path

    def relabel(self, path: str) -> str:
        """The name of a file for a message."""
        inside = path.startswith(str(self.scratch))
        return str(Path(path).relative_to(self.scratch)).replace("\\", "/") if inside else Path(path).name

    def frames(self, error: BaseException) -> list[tuple[CodeType, int]]:
        """The learner's frames in an exception's traceback, outermost first."""
        tb: TracebackType | None = error.__traceback__
        return [
            (frame.f_code, line) for frame, line in traceback.walk_tb(tb) if frame.f_code.co_filename == self.submission
        ]

    def place(self, error: BaseException) -> str:
        """`file:line` of the deepest of the learner's frames, or an empty string."""
        frames = self.frames(error)
        return f"{self.relabel(self.submission)}:{frames[-1][1]}" if frames else ""


class FunctionLines:
    """Which lines of the submission are bodies that are still to be written."""

    def __init__(self, source: str) -> None:
        self._source = source

    @cached_property
    def _stubs(self) -> dict[int, str]:
        return {
            line: name
            for name, node in definitions(ast.parse(self._source))
            if isinstance(node, Function) and is_stub(node)
            for line in range(node.body[-1].lineno, (node.end_lineno or node.lineno) + 1)
        }

    def unwritten(self, error: BaseException, where: Where) -> str:
        """The name of the function whose missing body raised `error`, or an empty string."""
        frames = where.frames(error) if isinstance(error, NotImplementedError) else []
        return self._stubs.get(frames[-1][1], "") if frames else ""

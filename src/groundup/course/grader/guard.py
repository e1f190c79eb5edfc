"""The guard over state that a submission may not change: recorded before, compared and restored during the checks."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import time
import types
import warnings
from _thread import _count as count_threads  # all of them, also those that `threading` does not know
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import is_, itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from _pytest.assertion.rewrite import AssertionRewritingHook

from groundup.course.grader.forbidden import mention
from groundup.course.grader.watch import HEAP_TYPE, Watch

if TYPE_CHECKING:
    from groundup.course.grader.request import Request
    from groundup.course.grader.session import Where

# What the checks stand on: no submission has a reason to change any of it.
TRUSTED = frozenset(
    """builtins pytest inspect importlib json json.encoder os posix posixpath ntpath io time struct functools contextlib
    traceback ast operator math statistics jaxtyping scipy torch torch.testing torch.autograd torch.nn.functional
    torch.nn.modules.module""".split()
)
WHOLE = frozenset(("_pytest", "pluggy", "groundup", "hypothesis", "numpy", "unittest"))  # their submodules too
# What checks compare with: looked at after every check, the rest when the submission is imported and at the end.
CORE = frozenset(
    """builtins pytest groundup.checking groundup.checking.assertions groundup.checking.functions numpy numpy.testing
    hypothesis math torch torch.testing torch.nn.functional
    _pytest.outcomes _pytest.python_api _pytest.raises _pytest.recwarn _pytest.assertion.util""".split()
)
# What a call that anyone may make changes: `torch.set_default_dtype`.
SETTINGS = frozenset(("torch.Storage",))
METHOD_KINDS = (property, staticmethod, classmethod)
GRACE_SECONDS = 0.3


class Tampered(Exception):
    """The submission changed, or looked at, something that is not its own."""


@dataclass
class Names:
    """Names of a module or class, and what they stood for. Thousands are compared, so all of it happens in C."""

    owner: str
    namespace: Any
    values: dict[str, Any]

    def __post_init__(self) -> None:
        names = list(self.values)
        self._get = itemgetter(*names, names[0])  # one name more, so that it is a tuple always
        self._expected = (*self.values.values(), self.values[names[0]])

    def changed(self) -> str:
        """The dotted name of something that was replaced, or an empty string."""
        try:
            if all(map(is_, self._get(self.namespace), self._expected)):
                return ""
        except KeyError:
            pass
        missing = object()
        return next(f"{self.owner}.{n}" for n, v in self.values.items() if self.namespace.get(n, missing) is not v)


class Record:
    """Which functions and classes the names of the trusted modules stood for."""

    def __init__(self) -> None:
        self._all: dict[int, Names] = {}
        self._core: list[Names] = []
        for name, module in list(sys.modules.items()):
            if isinstance(module, types.ModuleType) and (name in TRUSTED or name.split(".")[0] in WHOLE):
                self._record(name, module, name in CORE)

    def _record(self, owner: str, holder: Any, core: bool) -> None:
        code = [(name, value) for name, value in list(vars(holder).items()) if _is_code(value)]
        values = {name: value for name, value in code if f"{owner}.{name}" not in SETTINGS}
        if id(holder) in self._all or not values:
            return
        names = self._all[id(holder)] = Names(owner, vars(holder), values)
        if core:
            self._core.append(names)
        for name, value in values.items():
            if isinstance(value, type) and value.__flags__ & HEAP_TYPE:
                self._record(f"{owner}.{name}", value, core=False)

    def accept(self, holder: Any, name: str, value: Any) -> None:
        """Take a name of a module or class for what it stands for now."""
        names = self._all.get(id(holder))
        if names is not None:
            names.values[name] = value
            names.__post_init__()

    def changed(self, *, core: bool) -> str:
        """The dotted name of something that was replaced, or an empty string.

        What is inside a function needs no look: the audit hook sees that change.
        """
        return next(filter(None, (names.changed() for names in (self._core if core else self._all.values()))), "")


_record: Record | None = None


def record() -> None:
    """Record the trusted modules; the zygote does it once for all verdicts."""
    global _record
    _record = Record()


class Guard:
    """Watches one run.

    Args:
        request: the submission.
        where: where its file lies.
        ended: told, in words, where the submission ends the process by itself.
    """

    def __init__(self, request: Request, where: Where, ended: Callable[[str], None]) -> None:
        if _record is None:
            record()
        assert _record is not None
        self._record = _record
        self._submission = request["submission"]
        self.watch = Watch(request, where, self._record.accept, ended)
        for name in CORE & sys.modules.keys():
            self.watch.fix(sys.modules[name])
        self._state = list(_state())
        self._threads, self._threads_seen = count_threads(), 0
        self._modules = Names("sys.modules", sys.modules, dict(sys.modules))
        self._import_hooks = _import_hooks()
        self._checks: Names | None = None

    def trust(self, module: types.ModuleType) -> None:
        """Count the names of the checks' own module among what may not be changed."""
        self.watch.fix(module)
        self._checks = Names(module.__name__, vars(module), dict(vars(module)))

    def verify(self, *, thorough: bool = True) -> None:
        """Raise Tampered if the submission has changed what the checks stand on, or did what it may not.

        Args:
            thorough: look everywhere, not only at what checks compare with.
        """
        if self.watch.breach:
            raise Tampered(self.watch.breach)
        changed = self._record.changed(core=not thorough) or self._modules.changed()
        if not changed and self._checks is not None:
            changed = self._checks.changed()
        if not changed and _import_hooks() != self._import_hooks:
            changed = "sys.meta_path"
        if changed:
            label = self._submission["label"]
            line = mention(self._submission["source"], changed.rpartition(".")[2])
            place = f"{label}:{line}" if line else label
            raise Tampered(
                f"{place}: your code changed `{changed}`, which the checks rely on. It may not change other modules."
            )
        self._no_thread_left()

    def _no_thread_left(self) -> None:
        if self.watch.threads_started == self._threads_seen:
            return
        self._threads_seen = self.watch.threads_started
        time.sleep(0.002)  # a thread counts once it has run
        end = time.monotonic() + GRACE_SECONDS
        while count_threads() > self._threads:
            if time.monotonic() > end:
                raise Tampered(
                    f"{self.watch.thread_place}your code left a thread running, which could disturb the other checks. "
                    "Wait for it with `join`, or use the pool in a `with` block."
                )
            time.sleep(0.005)

    def restore(self) -> None:
        """Put the process's global state back to what it was before the submission was imported."""
        sys.settrace(None)
        sys.setprofile(None)
        for put_back in self._state:
            put_back()


def _is_code(value: Any) -> bool:
    return callable(value) or isinstance(value, (types.ModuleType, *METHOD_KINDS))


def _import_hooks() -> list[int]:
    # By identity, because a hook may say that it equals another. Pytest puts its own in, and takes it out again.
    hooks = (*sys.meta_path, *sys.path_hooks)
    return [id(hook) for hook in hooks if type(hook) is not AssertionRewritingHook]


def _state() -> Iterator[Callable[[], object]]:
    """A function for each piece of global state that restores it."""
    environment, folder = dict(os.environ), os.getcwd()
    python, numpy_random, errors = random.getstate(), np.random.get_state(), np.geterr()
    printing, limit, filters = np.get_printoptions(), sys.getrecursionlimit(), list(warnings.filters)
    streams, path, collecting = (sys.stdin, sys.stdout, sys.stderr), list(sys.path), gc.isenabled()
    call = np.geterrcall()

    def environ() -> None:
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)

    def put_streams() -> None:
        sys.stdin, sys.stdout, sys.stderr = streams

    def put_lists() -> None:
        sys.path[:] = path
        warnings.filters[:] = filters  # type: ignore[index]

    yield environ
    yield put_streams
    yield put_lists
    yield lambda: os.chdir(folder)
    yield lambda: random.setstate(python)
    yield lambda: np.random.set_state(numpy_random)
    yield lambda: np.seterr(**errors)
    yield lambda: np.seterrcall(call)
    yield lambda: np.set_printoptions(**printing)
    yield lambda: sys.setrecursionlimit(limit)
    yield gc.enable if collecting else gc.disable
    yield from _signal_state()
    if "torch" in sys.modules:
        yield from _torch_state()


def _signal_state() -> Iterator[Callable[[], object]]:
    own = {getattr(signal, "SIGPROF", None)}  # the diagnosis limits its processor time with it
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals() - own}

    def put_handlers() -> None:
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    if hasattr(signal, "setitimer"):
        yield lambda: signal.setitimer(signal.ITIMER_REAL, 0)
    yield put_handlers


def _torch_state() -> Iterator[Callable[[], object]]:
    import torch

    dtype, generator = torch.get_default_dtype(), torch.get_rng_state()
    deterministic = torch.are_deterministic_algorithms_enabled()

    def put_deterministic() -> None:
        if torch.are_deterministic_algorithms_enabled() != deterministic:  # the call imports the compiler: seconds
            torch.use_deterministic_algorithms(deterministic)

    yield lambda: torch.set_default_dtype(dtype)
    yield lambda: torch.set_rng_state(generator)
    yield lambda: torch.set_grad_enabled(True)
    yield lambda: torch.set_num_threads(1)
    yield put_deterministic

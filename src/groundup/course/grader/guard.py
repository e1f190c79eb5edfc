"""What a submission may not touch: recorded before it is imported, compared and put back while the checks run."""

from __future__ import annotations

import os
import random
import sys
import types
import warnings
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from groundup.course.grader.request import Request
    from groundup.course.grader.session import Where

# What the checks stand on: no submission has a reason to change any of it.
TRUSTED = frozenset(
    """builtins pytest inspect importlib json hmac os posix io time struct functools contextlib traceback ast operator
    math statistics jaxtyping scipy torch torch.testing torch.autograd torch.nn.functional torch.nn.modules.module
    """.split()
)
WHOLE = frozenset(("_pytest", "pluggy", "groundup", "hypothesis", "numpy", "unittest"))  # their submodules too
HEAP_TYPE = 1 << 9  # the attributes of such a class can be set
PARTS = tuple(attrgetter(name) for name in ("__code__", "__defaults__", "__kwdefaults__"))
METHOD_KINDS = (property, staticmethod, classmethod)
CODE = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, type, np.ufunc, *METHOD_KINDS)


class Tampered(Exception):
    """The submission changed, or looked at, something that is not its own."""


class Record:
    """Every function and class of the trusted modules, as they were.

    Thousands of names are compared after every check, so the comparisons run in C (`map` with `is_`).
    """

    def __init__(self) -> None:
        self._groups: list[tuple[str, Any, list[str], list[Any]]] = []
        self._functions: dict[int, tuple[str, types.FunctionType]] = {}
        seen: set[int] = set()
        for name, module in list(sys.modules.items()):
            if isinstance(module, types.ModuleType) and (name in TRUSTED or name.split(".")[0] in WHOLE):
                self._record(name, vars(module), seen)
        functions = [function for _, function in self._functions.values()]
        self._parts = [(part, functions, list(map(part, functions))) for part in PARTS]

    def _record(self, owner: str, namespace: Any, seen: set[int]) -> None:
        values = {name: value for name, value in list(namespace.items()) if isinstance(value, CODE)}
        self._groups.append((owner, namespace, list(values), list(values.values())))
        for name, value in values.items():
            if isinstance(value, types.FunctionType):
                self._functions.setdefault(id(value), (f"{owner}.{name}", value))
            elif isinstance(value, type) and id(value) not in seen and value.__flags__ & HEAP_TYPE:
                seen.add(id(value))
                self._record(f"{owner}.{name}", vars(value), seen)

    def changed_name(self) -> str:
        """The dotted name of something that was replaced, or an empty string."""
        for owner, namespace, names, values in self._groups:
            if not all(map(is_, map(namespace.get, names), values)):
                return next(f"{owner}.{n}" for n, v in zip(names, values, strict=True) if namespace.get(n) is not v)
        return ""

    def changed_code(self) -> str:
        """The dotted name of a function whose insides were replaced, or an empty string."""
        for part, functions, values in self._parts:
            if not all(map(is_, map(part, functions), values)):
                changed = next(f for f, v in zip(functions, values, strict=True) if part(f) is not v)
                return self._functions[id(changed)][0]
        return ""


_record: Record | None = None


def record() -> None:
    """Record the trusted modules; the zygote does it once for all verdicts."""
    global _record
    _record = Record()


class Guard:
    """Watches one run."""

    def __init__(self, request: Request, where: Where) -> None:
        if _record is None:
            record()
        assert _record is not None
        self._record = _record
        self._breach = ""
        self._where = where
        self._state = _state()
        self._forbid(request)

    def verify(self, *, thorough: bool = True) -> None:
        """Raise Tampered if the submission has changed what the checks stand on, or read what it may not.

        Args:
            thorough: look inside functions too, not only at which function each name stands for.
        """
        if self._breach:
            raise Tampered(self._breach)
        changed = self._record.changed_name() or (thorough and self._record.changed_code())
        if changed:
            raise Tampered(
                f"Your code changed `{changed}`, which the checks rely on. A submission may not change other modules."
            )

    def restore(self) -> None:
        """Put the process's global state back to what it was before the submission was imported."""
        sys.settrace(None)
        sys.setprofile(None)
        for put_back in self._state:
            put_back()

    def _forbid(self, request: Request) -> None:
        secret = {os.path.join(request["folder"], name) for name in ("mistakes.py", "figures.py", "labs.py")}
        secret.add(request["reference_path"])
        mine = self._where.submission
        label = request["submission"]["label"]
        frame_of = sys._getframe

        def refuse(what: str, line: int | None) -> None:
            place = f"{label}:{line}: " if line else ""
            self._breach = self._breach or f"{place}{what}"
            raise PermissionError(self._breach)

        def line_of_submission(frame: Any) -> int | None:
            while frame is not None and frame.f_code.co_filename != mine:
                frame = frame.f_back
            return frame.f_lineno if frame is not None else None

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open":
                if isinstance(arguments[0], str) and os.path.realpath(arguments[0]) in secret:
                    refuse(
                        "your code reads the unit's own solution; write it yourself.", line_of_submission(frame_of(1))
                    )
            elif event in ("sys.settrace", "sys.setprofile", "gc.get_objects", "gc.get_referrers"):
                frame = frame_of(1)
                if frame.f_code.co_filename == mine:
                    refuse(f"`{event}` is not for submissions: it can change how the checks run.", frame.f_lineno)

        sys.addaudithook(watch)


def _state() -> list[Any]:
    """What puts each piece of global state back."""
    environment, folder = dict(os.environ), os.getcwd()
    python, numpy_random, errors = random.getstate(), np.random.get_state(), np.geterr()
    printing, limit, filters = np.get_printoptions(), sys.getrecursionlimit(), list(warnings.filters)
    streams = sys.stdin, sys.stdout, sys.stderr

    def environ() -> None:
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)

    def put_streams() -> None:
        sys.stdin, sys.stdout, sys.stderr = streams

    def put_filters() -> None:
        warnings.filters[:] = filters  # type: ignore[index]

    actions: list[Any] = [
        environ,
        put_streams,
        put_filters,
        lambda: os.chdir(folder),
        lambda: random.setstate(python),
        lambda: np.random.set_state(numpy_random),
        lambda: np.seterr(**errors),
        lambda: np.set_printoptions(**printing),
        lambda: sys.setrecursionlimit(limit),
    ]
    if "torch" in sys.modules:
        actions += _torch_state()
    return actions


def _torch_state() -> list[Any]:
    import torch

    dtype, generator = torch.get_default_dtype(), torch.get_rng_state()
    deterministic = torch.are_deterministic_algorithms_enabled()

    def put_deterministic() -> None:
        if torch.are_deterministic_algorithms_enabled() != deterministic:  # the call imports the compiler: seconds
            torch.use_deterministic_algorithms(deterministic)

    return [
        lambda: torch.set_default_dtype(dtype),
        lambda: torch.set_rng_state(generator),
        lambda: torch.set_grad_enabled(True),
        lambda: torch.set_num_threads(1),
        put_deterministic,
    ]

"""The observations of a check: values returned by the learner's code, and the state of the arguments afterwards."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import numpy as np

CALLS = 100
ENTRIES = 200
DEPTH = 5
RTOL, ATOL = 1e-6, 1e-12
RTOL_SINGLE, ATOL_SINGLE = 1e-4, 1e-6
# Where pytest makes a check's own folder. It counts the runs of the check, and the diagnosis runs it again and again.
RUN = re.compile(r"(/pytest/[^/\s'\"]*?)\d+(?=[/\s'\",:;)\]]|$)")
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|inf|nan)", re.IGNORECASE)


@dataclass
class Observation:
    """One run of one check: how it ended and what it saw."""

    outcome: str
    message: str
    calls: list[Any] = field(default_factory=list)
    ran: set[str] = field(default_factory=set)

    def same_as(self, other: Observation) -> bool:
        """Whether nothing observed differs, within the tolerances."""
        return (
            self.outcome == other.outcome and same_text(self.message, other.message) and same(self.calls, other.calls)
        )


class Recorder:
    """Watches one run through `sys.setprofile`: calls from outside into functions of the learner's file.

    Args:
        path: the learner's file, as its code objects name it.
        modules: the modules whose objects are looked into.
    """

    def __init__(self, path: str, modules: frozenset[str]) -> None:
        self.path, self.modules = path, modules
        self.ran: set[str] = set()
        self._calls: list[Any] = []
        self._open: dict[FrameType, tuple[Any, ...]] = {}
        self._kept: list[Any] = []

    def __enter__(self) -> Recorder:
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    @property
    def calls(self) -> list[Any]:
        """The observation: every call with its result, and the final state of all arguments and results."""
        return [self._calls, [self._copy(value) for value in self._kept]]

    def _profile(self, frame: FrameType, event: str, value: Any) -> None:
        if frame.f_code.co_filename != self.path:
            return
        if event == "call":
            self._enter(frame)
        elif event == "return" and frame in self._open:
            arguments = self._open.pop(frame)
            self._calls.append((frame.f_code.co_qualname, self._copy(value), self._copy(list(arguments))))
            self._kept += [value, *arguments]

    def _copy(self, value: Any) -> Any:
        """The value's digest. An exception here would end the profile, and count as tracing by the learner's code."""
        try:
            return digest(value, self.modules)
        except Exception:  # an attribute of the learner's object may raise anything
            return ("opaque", type(value).__name__)

    def _enter(self, frame: FrameType) -> None:
        code = frame.f_code
        self.ran.add(code.co_qualname)
        caller = frame.f_back
        outside = caller is None or caller.f_code.co_filename != self.path
        if outside and "<" not in code.co_qualname and len(self._calls) < CALLS:
            self._open[frame] = _arguments(frame, code)


def _arguments(frame: FrameType, code: CodeType) -> tuple[Any, ...]:
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return tuple(frame.f_locals[name] for name in names if name in frame.f_locals)


def digest(value: Any, modules: frozenset[str], depth: int = DEPTH, seen: frozenset[int] = frozenset()) -> Any:
    """A copy of what can be compared of a value: numbers, arrays, tensors, containers, the unit's own objects."""
    if value is None or isinstance(value, bool | str | bytes | np.bool_):
        return ("plain", value if not isinstance(value, np.bool_) else bool(value))
    if isinstance(value, int | float | complex | np.number):
        return ("number", value)
    if isinstance(value, type):  # a class has the methods of a tensor or a network, and none of the values
        return ("class", value.__qualname__)
    if isinstance(value, np.ndarray):
        return (
            ("array", value.dtype.str, value.shape, value.copy()) if value.dtype != object else ("objects", len(value))
        )
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # PyTorch's, not a tensor that a learner writes
        return (
            "tensor",
            str(value.dtype),
            tuple(value.shape),
            value.requires_grad,
            _entries(value.detach().cpu()),
        )
    name = type(value).__name__
    if depth == 0 or id(value) in seen:
        return ("deep", name)
    seen = seen | {id(value)}
    if isinstance(value, list | tuple):
        return (name, [digest(v, modules, depth - 1, seen) for v in value[:ENTRIES]], len(value))
    if isinstance(value, dict):
        entries = list(value.items())[:ENTRIES]
        return (name, [(str(k), digest(v, modules, depth - 1, seen)) for k, v in entries], len(value))
    if isinstance(value, set | frozenset):
        return (name, sorted(map(str, value))[:ENTRIES] if _plain(value) else len(value))
    if type(value).__module__ in modules or hasattr(value, "named_parameters"):
        return (name, [(k, digest(v, modules, depth - 1, seen)) for k, v in _attributes(value)])
    return ("other", name)


def _entries(tensor: Any) -> np.ndarray:
    """A tensor's numbers; NumPy has no bfloat16, and float32 holds each of its numbers."""
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy().copy()


def _plain(values: Any) -> bool:
    return all(isinstance(v, str | int | float) for v in values)


def _attributes(value: Any) -> list[tuple[str, Any]]:
    """The public attributes of one of the unit's objects, parameters of a network among them, by name."""
    if hasattr(value, "named_parameters"):
        return sorted(value.named_parameters(), key=lambda pair: pair[0])
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    names = {*getattr(value, "__dict__", {}), *slots}
    public = sorted(name for name in names if not name.startswith("_") and hasattr(value, name))
    return [(name, getattr(value, name)) for name in public]


def same(a: Any, b: Any) -> bool:
    """Whether two digests agree within the tolerances; NaN equals NaN."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return _close(a, b)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, int | float | complex | np.number) and isinstance(b, int | float | complex | np.number):
        return _close(np.asarray(a), np.asarray(b))
    if isinstance(a, str) and isinstance(b, str):
        return _of_any_run(a) == _of_any_run(b)
    return type(a) is type(b) and bool(a == b)


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape or not (np.issubdtype(a.dtype, np.number) and np.issubdtype(b.dtype, np.number)):
        return a.shape == b.shape and bool((a == b).all())
    single = np.float32 in (a.dtype, b.dtype)
    rtol, atol = (RTOL_SINGLE, ATOL_SINGLE) if single else (RTOL, ATOL)
    with np.errstate(all="ignore"):
        return bool(np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True).all())


def _of_any_run(text: str) -> str:
    """A text without the number of the run in the names of folders."""
    return RUN.sub(r"\1", text)


def same_text(a: str, b: str) -> bool:
    """Whether two messages agree, the numbers in them within the precision with which they are shown."""
    a, b = _of_any_run(a), _of_any_run(b)
    if a == b:
        return True
    if NUMBER.split(a) != NUMBER.split(b):
        return False
    pairs = zip(NUMBER.findall(a), NUMBER.findall(b), strict=True)
    return all(np.isclose(float(x), float(y), rtol=1e-4, atol=1e-9, equal_nan=True) for x, y in pairs)

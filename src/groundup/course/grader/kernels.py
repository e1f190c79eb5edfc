"""Kernels that Numba compiles: which one of a submission it cannot compile, and why, in one line.

The checks of a verdict run kernels as the Python that they are, because compiling takes longer than a verdict may. What
Python takes and Numba does not is found afterwards, by the same checks on compiled kernels.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType
from typing import Any

CANNOT = "Numba cannot compile"
CHARACTERS = 240
ARGUMENT = re.compile(r"^- argument \d+: (.+)$", re.MULTILINE)


class Kernels:
    """Notes which functions of a file Numba fails to compile, in a process that compiles them.

    Args:
        path: the file, as its code objects name it.
        label: what messages call it.
    """

    def __init__(self, path: str, label: str) -> None:
        from numba.core.dispatcher import Dispatcher

        self.path, self.label = path, label
        self._failed: list[FunctionType] = []
        compile_kernel: Any = Dispatcher.compile

        @functools.wraps(compile_kernel)
        def noting(kernel: Any, signature: Any) -> Any:
            try:
                return compile_kernel(kernel, signature)
            except Exception:
                self._failed.append(kernel.py_func)
                raise

        Dispatcher.compile = noting  # pyright: ignore[reportAttributeAccessIssue]

    def forget(self) -> None:
        """Begin anew: what failed before belongs to another check."""
        self._failed.clear()

    def explain(self, errors: Iterable[BaseException]) -> str:
        """The kernel that could not be compiled, its line and the reason; empty where Numba raised none of `errors`.

        A kernel that calls one that fails, fails as well: the one that failed first is meant.
        """
        from numba.core.errors import NumbaError

        error = next((error for error in errors if isinstance(error, NumbaError)), None)
        if error is None:
            return ""
        text = str(error)
        kernel = next((one for one in self._failed if one.__code__.co_filename == self.path), None)
        shown = re.search(rf'File "[^"]*{re.escape(Path(self.path).name)}", line (\d+)', text)
        line = int(shown[1]) if shown else kernel.__code__.co_firstlineno if kernel else 0
        name = f"`{kernel.__qualname__}`" if kernel else "a kernel"
        place = f" ({self.label}:{line})" if line else ""
        return f"{CANNOT} {name}{place}: {reason(text)}."


def reason(text: str) -> str:
    """What Numba says, without the stages of its work, its lists of what it tried, and addresses."""
    if argument := ARGUMENT.search(text):
        return argument[1]
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("Failed in ")]
    said = lines[0] if lines else text.strip()
    if len(lines) > 1 and lines[1].startswith(">>>"):
        said += lines[1].removeprefix(">>>")
    said = re.sub(r", defined at .*|\.* ?Raised from None| at 0x[0-9a-f]+", "", said).strip().rstrip(".")
    return said if len(said) <= CHARACTERS else said[:CHARACTERS] + " …"

"""Submissions for the tests of the grader: the reference of a small unit, and code put into it."""

import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from groundup.course.material.unit import Unit, load_unit
from groundup.course.verdict import Verdict

STACK = Path(__file__).parent / "stack"
SUMS, MEANS, HEADS = STACK / "bedrock" / "sums", STACK / "bedrock" / "means", STACK / "deep" / "heads"
RIGHT = load_unit(SUMS).implementation.read_text(encoding="utf-8")
WRONG = RIGHT.replace("return values.sum()", "return values.sum() + 1")
FIRST_LINE = "    values = np.asarray(values, dtype=float)\n"
HERE = "# here"
CTYPES = "from multiprocessing.sharedctypes import ctypes"  # a way to it that no rule names
SLOW = pytest.mark.slow
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="these attacks are on Linux; `test_fresh` has some for all")


def some(cases: Mapping[str, Any], *quick: str) -> list[ParameterSet]:
    """The parameters of a test that is tried with every one of `cases`: those that are not `quick` in the slow job."""
    assert set(quick) <= set(cases)
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), id=name, marks=() if name in quick else SLOW)
        for name, case in cases.items()
    ]


def inside(code: str, source: str = RIGHT) -> str:
    """`source` with code at the beginning of `total`."""
    head, line, tail = source.partition(FIRST_LINE)
    return head + textwrap.indent(textwrap.dedent(code).strip("\n") + "\n", "    ") + line + tail


def below(code: str, source: str = RIGHT) -> str:
    """`source` with code at its end, which runs when the file is imported."""
    return source + "\n\n" + textwrap.dedent(code).strip("\n") + "\n"


def judged_by(checks: str, folder: Path) -> Unit:
    """The small unit, judged by other checks."""
    shutil.copytree(STACK, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "bedrock" / "sums" / "checks.py").write_text(checks, encoding="utf-8")
    return load_unit(folder / "bedrock" / "sums")


def line_of(source: str) -> int:
    """The line that is marked with `# here`."""
    (line,) = (number for number, text in enumerate(source.splitlines(), 1) if text.endswith(HERE))
    return line


def place(source: str) -> str:
    """How a message begins that speaks of the marked line."""
    return f"exercises/bedrock/sums.py:{line_of(source)}: "


def assert_refused(verdict: Verdict, source: str, *words: str) -> None:
    """The verdict is `refused`, at the marked line, with these words."""
    assert verdict.verdict == "refused", verdict
    assert verdict.message.startswith(place(source)), verdict.message
    for word in words:
        assert word in verdict.message

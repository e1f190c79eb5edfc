"""Kernels are compiled after a pass, and what Numba cannot compile is told by function, line and reason."""

import threading
import time

import pytest

from groundup.course.grader import Grader
from groundup.course.grader.kernels import reason
from groundup.course.material.source import code_of, has_kernels
from groundup.course.material.unit import Unit
from groundup.course.verdict import Compiled, sha256_text
from groundup.errors import CannotJudge
from tests.grader.submissions import RIGHT, below, inside

WORDS = """
from numba import njit

@njit(cache=True)
def label(number):
    return str(number) + 1  # what Python refuses as well, if it comes so far

@njit(cache=True)
def positive(number):
    if number > 0:
        return True
    return label(number) == ""
"""


@pytest.mark.parametrize(
    ("source", "kernels"),
    [
        ("from numba import njit", True),
        ("import numba as nb", True),
        ("def f():\n    from numba.typed import List", True),
        ("import numpy\nfrom .numba import njit", False),
        ("numba = 'numba'", False),
        ("import numba (", False),
    ],
)
def test_a_file_has_kernels_where_it_imports_numba(source: str, kernels: bool):
    assert has_kernels(source) is kernels


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "Failed in nopython mode pipeline (step: nopython frontend)\nFailed in nopython mode pipeline (step: x)\n"
            "No implementation of function Function(<built-in function add>) found for signature:\n \n"
            " >>> add(unicode_type, int64)\n \nThere are 20 candidate implementations:\n - Of which 18 did not match",
            "No implementation of function Function(<built-in function add>) found for signature: "
            "add(unicode_type, int64)",
        ),
        (
            "Failed in nopython mode pipeline (step: nopython frontend)\n"
            "Cannot unify Literal[str](a) and Literal[int](1) for 'r.2', defined at /tmp/nb/k.py (36)\n\nFile",
            "Cannot unify Literal[str](a) and Literal[int](1) for 'r.2'",
        ),
        (
            "The 'with (context manager) as (variable):' construct is not supported.. Raised from None",
            "The 'with (context manager) as (variable):' construct is not supported",
        ),
        (
            "Failed in nopython mode pipeline (step: nopython frontend)\nnon-precise type pyobject\nDuring: typing\n\n"
            "This error may have been caused by the following argument(s):\n"
            "- argument 0: Cannot determine Numba type of <class 'dict'>\n",
            "Cannot determine Numba type of <class 'dict'>",
        ),
    ],
)
def test_numbas_reason_is_one_line(text: str, told: str):
    assert reason(text) == told


def test_a_kernel_that_numba_cannot_compile_passes_and_is_told_afterwards(grader: Grader, unit: Unit):
    """The kernel that is called is named, not the one that calls it."""
    source = below(WORDS, inside("positive(1.0)"))
    line = (
        source.splitlines().index("    return str(number) + 1  # what Python refuses as well, if it comes so far") + 1
    )
    assert grader.grade(unit, source, diagnose=False).passed
    compiled = grader.compile(unit, source)
    assert not compiled.ok
    assert compiled.message.startswith(
        f"Numba cannot compile `label` (exercises/bedrock/sums.py:{line}): No implementation of function"
    )
    assert compiled.message.count("\n") == 0
    assert "The unit stays passed" in compiled.words
    assert compiled.code_sha256 == sha256_text(code_of(f"# with a comment\n{source}"))


@pytest.mark.slow
def test_a_kernel_that_compiles_passes_the_same_checks_compiled(grader: Grader, unit: Unit):
    source = below("from numba import njit\n\n@njit(cache=True)\ndef twice(x):\n    return 2 * x", inside("twice(1.0)"))
    assert grader.compile(unit, source) == Compiled(True, "", sha256_text(code_of(source)))


@pytest.mark.slow
def test_a_kernel_that_counts_otherwise_when_compiled_is_told_with_the_check(grader: Grader, unit: Unit):
    """Python's integers have no end, and Numba's have 64 bits."""
    kernel = "from numba import njit\n\n@njit\ndef grown(n):\n    return n * 2**62"
    source = below(kernel, inside("assert grown(2) > 0"))
    assert grader.grade(unit, source, diagnose=False).passed
    compiled = grader.compile(unit, source)
    assert compiled.message.startswith("Compiled by Numba, it fails `test_total_adds_up`: ")


def test_a_grader_that_is_closed_compiles_no_further(unit: Unit):
    with Grader() as closing:
        threading.Timer(0.5, closing.close).start()
        begun = time.monotonic()
        with pytest.raises(CannotJudge, match="closed before the kernels were compiled"):
            closing.compile(unit, below("while True:\n    pass", RIGHT))
        assert time.monotonic() - begun < 250  # it would have gone on for 300 s

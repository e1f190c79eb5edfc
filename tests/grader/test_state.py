"""Global state that a submission changes is put back before the next check: that is no fault, and no cheat."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from groundup.course.grader import Grader
from groundup.course.material.unit import Unit, load_unit
from tests.grader.submissions import HEADS, LINUX, RIGHT, STACK, below, inside, judged_by

pytestmark = LINUX

# What each change does, and what must hold in the next check.
CHANGES = {
    "numpy's errors": ("np.seterr(all='raise')", "np.geterr()['divide'] == 'warn'"),
    "numpy's error handler": ("np.seterrcall(print)", "np.geterrcall() is None"),
    "numpy's random state": (
        "np.random.seed(12345)",
        "np.random.random() != np.random.RandomState(12345).random()",
    ),
    "python's random state": ("import random; random.seed(12345)", "random.random() != random.Random(12345).random()"),
    "how numpy prints": ("np.set_printoptions(precision=1)", "np.get_printoptions()['precision'] == 8"),
    "the folder": ("import os; os.chdir('/')", "os.path.realpath('.') != '/'"),
    "the environment": ("import os; os.environ['HELLO'] = '1'; os.environ.pop('PATH', 0)", "'HELLO' not in os.environ"),
    "the recursion limit": ("import sys; sys.setrecursionlimit(123)", "sys.getrecursionlimit() >= 1000"),
    "standard output": ("import sys; sys.stdout = None", "sys.stdout is not None"),
    "warnings": ("import warnings; warnings.simplefilter('error')", "warnings.warn('x') is None"),
    "where modules are found": ("import sys; sys.path.insert(0, 'mine')", "'mine' not in sys.path"),
    "the collector": ("import gc; gc.disable()", "gc.isenabled()"),
    "a signal": (
        "import signal; signal.signal(signal.SIGTERM, lambda *_: None)",
        "signal.getsignal(signal.SIGTERM) == signal.SIG_DFL",
    ),
    "an alarm": (
        "import signal; signal.signal(signal.SIGALRM, lambda *_: 1 / 0); signal.setitimer(signal.ITIMER_REAL, 0.05)",
        "time.sleep(0.1) is None",
    ),
}
CHECKS = '''
"""Checks that look at what the one before them may have left."""

import gc, os, random, signal, sys, time, warnings

import numpy as np
from groundup.stack.bedrock.sums import total


def test_1_changes_the_state():
    """total adds the values."""
    assert total([1.0, 2.0]) == 3.0


def test_2_sees_the_state():
    """The state is as it was."""
    assert {condition}
'''


@pytest.mark.parametrize(("change", "condition"), CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("when", ["called", pytest.param("imported", marks=pytest.mark.slow)])
def test_the_next_check_is_not_affected(change: str, condition: str, when: str, tmp_path: Path, grader: Grader):
    unit = judged_by(CHECKS.replace("{condition}", condition), tmp_path / "stack")
    verdict = grader.grade(unit, below(change) if when == "imported" else inside(change))
    assert verdict.verdict == "passed", verdict


@pytest.mark.slow
def test_the_state_is_seen_where_it_is_not_put_back(tmp_path: Path, grader: Grader):
    """The checks above can fail: within one check, a change stays."""
    for change, condition in CHANGES.values():
        if "time.sleep" not in condition:
            checks = CHECKS.replace("    assert total([1.0, 2.0]) == 3.0", f"    total([1.0])\n    assert {condition}")
            unit = judged_by(checks.replace("{condition}", "True"), tmp_path / str(hash(change)))
            assert grader.grade(unit, inside(change), diagnose=False).verdict == "failed", change


def test_a_wrong_submission_cannot_seed_its_way_through(grader: Grader, unit: Unit):
    source = RIGHT.replace("return values.sum()", "return values.sum() + np.random.RandomState(0).randint(1, 9)")
    first, second = (grader.grade(unit, source, diagnose=False, seed=1) for _ in range(2))
    assert first.verdict == second.verdict == "failed"
    assert [c.message for c in first.checks] == [c.message for c in second.checks]


TORCH_CHANGES = {
    "the default type": ("torch.set_default_dtype(torch.float64)", "torch.get_default_dtype() == torch.float32"),
    "gradients": ("torch.set_grad_enabled(False)", "torch.is_grad_enabled()"),
    "the random state": (
        "torch.manual_seed(12345)",
        "torch.rand(1) != torch.rand(1, generator=torch.Generator().manual_seed(12345))",
    ),
    "threads": ("torch.set_num_threads(2)", "torch.get_num_threads() == 1"),
}


def test_the_state_of_pytorch_is_put_back_too(tmp_path: Path, grader: Grader):
    shutil.copytree(STACK, tmp_path / "stack", ignore=shutil.ignore_patterns("__pycache__"))
    unit = load_unit(tmp_path / "stack" / "deep" / "heads")
    conditions = " and ".join(f"({condition})" for _, condition in TORCH_CHANGES.values())
    checks = (HEADS / "checks.py").read_text(encoding="utf-8")
    unit.checks.write_text(f"{checks}\n\ndef test_state():\n    assert {conditions}\n", encoding="utf-8")
    changes = "; ".join(change for change, _ in TORCH_CHANGES.values())
    source = unit.implementation.read_text(encoding="utf-8")
    verdict = grader.grade(unit, source.replace("    scores =", f"    {changes}\n    scores ="))
    assert verdict.checks[-1].outcome == "passed", verdict
    assert grader.grade(unit, f"{source}\n\n{changes}\n").verdict == "passed"


def test_an_overlay_may_change_the_state_as_well(tmp_path: Path, grader: Grader):
    unit = dataclasses.replace(load_unit(STACK / "bedrock" / "means"))
    overlay = {"bedrock/sums": below("np.seterr(all='raise')")}
    assert grader.grade(unit, unit.implementation.read_text(encoding="utf-8"), overlay=overlay).verdict == "passed"


DRAWS = """
from hypothesis import given, strategies as st

def test_says_what_was_drawn():
    drawn = []

    @given(st.integers(), st.text())
    def draw(number, text):
        drawn.append((number, text))

    draw()
    raise AssertionError(repr(drawn)[:1000])
"""


def test_examples_do_not_depend_on_what_the_submission_contains(tmp_path: Path, grader: Grader):
    unit = judged_by(DRAWS, tmp_path / "stack")
    constants = "\n".join(f"A{i}, B{i} = {7919 * (i + 1)}, 'marker{i}'" for i in range(200))
    plain, with_constants = (
        grader.grade(unit, source, diagnose=False).checks[0].message for source in (RIGHT, below(constants))
    )
    assert plain.startswith("[(0, '')"), plain
    assert with_constants == plain

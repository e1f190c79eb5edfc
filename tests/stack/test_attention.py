"""`deep/attention` in the grader, whose process has PyTorch in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import groundup.stack.deep.attention as package
from groundup.course.grader import Grader
from groundup.course.unit import Unit, load_unit


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader() as one:
        yield one


@pytest.fixture(scope="module")
def unit() -> Unit:
    return load_unit(Path(str(package.__file__)).parent)


def test_the_reference_passes(grader: Grader, unit: Unit) -> None:
    verdict = grader.grade(unit, unit.implementation.read_text(encoding="utf-8"))
    assert verdict.passed, (verdict.message, [check.name for check in verdict.checks if check.outcome != "passed"])


def test_an_optimizer_in_a_submission_is_not_taken_for_tampering(grader: Grader, unit: Unit) -> None:
    """The first optimizer imports PyTorch's compiler, which changes PyTorch."""
    source = unit.implementation.read_text(encoding="utf-8")
    verdict = grader.grade(unit, source + "\n\ntorch.optim.SGD(nn.Linear(1, 1).parameters()).step()\n")
    assert verdict.passed, verdict.message

"""The author's gate has the checks run in an order of its own, and ends one that is stuck by its processor time."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from groundup.course.grader import Grader
from tests.sample import sample_unit

UNIT = sample_unit()
REFERENCE = UNIT.implementation.read_text(encoding="utf-8")
HANDED_BACK = "return float(array.sum() / array.size)"
WRONG = REFERENCE.replace(HANDED_BACK, "return float(array.sum())")


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader() as shared:
        yield shared


def ran(grader: Grader, source: str, *first: str) -> list[str]:
    verdict = grader.grade(UNIT, source, diagnose=False, stop_at_first=True, schedule=dict.fromkeys(first, 100.0))
    assert verdict.verdict == "failed"
    return [check.name for check in verdict.checks if check.outcome != "not_run"]


def test_the_checks_of_the_schedule_run_first_in_its_order(grader: Grader) -> None:
    assert ran(grader, WRONG) == ["test_mean_by_hand"]
    assert ran(grader, WRONG, "test_scaler_centres") == ["test_scaler_centres"]
    first = ran(grader, WRONG, "test_mean_of_nothing_is_refused", "test_scaler_centres")
    assert set(first) == {"test_mean_of_nothing_is_refused", "test_scaler_centres"}


def test_a_schedule_leaves_no_check_out(grader: Grader) -> None:
    verdict = grader.grade(UNIT, REFERENCE, schedule={"test_scaler_centres": 100.0, "test_that_is_gone": 100.0})
    assert verdict.passed
    assert {check.outcome for check in verdict.checks} == {"passed"}
    assert len(verdict.checks) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="no timer of processor time")
def test_a_check_that_is_stuck_is_ended_by_its_processor_time_and_not_by_the_clock(grader: Grader) -> None:
    endless = REFERENCE.replace(
        HANDED_BACK,
        "while True:\n        try:\n            array.size\n        except BaseException:\n            pass",
    )
    verdict = grader.grade(UNIT, endless, diagnose=False, schedule={"test_mean_by_hand": 0.2})
    assert verdict.verdict == "crashed"
    assert "took far longer over a check than it should" in verdict.message
    assert "It was running `test_mean_by_hand`." in verdict.message
    assert grader.grade(UNIT, REFERENCE, schedule={"test_mean_by_hand": 0.2}).passed

"""What the author's gate asks of a run: an order of the checks, an end to one that is stuck, a brief diagnosis."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.course.grader import Grader
from groundup.course.material.unit import load_unit
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
    assert "took far too long for a check" in verdict.message
    assert "It was running `test_mean_by_hand`." in verdict.message
    assert grader.grade(UNIT, REFERENCE, schedule={"test_mean_by_hand": 0.2}).passed


def test_a_brief_diagnosis_names_the_mistake_in_the_checks_that_it_studies_only(grader: Grader, tmp_path: Path) -> None:
    folder = tmp_path / "bedrock" / "scaling"
    shutil.copytree(UNIT.folder, folder)
    more = [f'def test_again_{n}():\n    """Again."""\n    assert mean([1.0, 3.0]) == 2.0\n' for n in range(6)]
    with (folder / "checks.py").open("a", encoding="utf-8") as file:
        file.write("\n\n" + "\n\n".join(more))
    whole, brief = (grader.grade(load_unit(folder), WRONG, brief=given) for given in (False, True))
    told = [{check.name: check.diagnosis for check in verdict.checks if check.diagnosis} for verdict in (whole, brief)]
    assert len(told[0]) == 8
    assert len(told[1]) == 4
    assert set(told[1].values()) == set(told[0].values())
    assert [check.outcome for check in whole.checks] == [check.outcome for check in brief.checks]

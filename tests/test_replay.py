"""What replay says of a ledger: verdicts that come out as they did, rows that no verdict wrote, and copies."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from groundup.course.course import Course, is_copy
from groundup.course.learner.workspace import Workspace
from groundup.course.material.catalogue import Catalogue
from groundup.course.verdict import CheckResult, Verdict, sha256_text

UNIT = "bedrock/vectors"


class Grader:
    """Passes code that holds the word right, and fails the rest."""

    def grade(self, unit: Any, source: str, **_: Any) -> Verdict:
        passed = "right" in source
        check = CheckResult("test_it", "passed" if passed else "failed")
        return Verdict(unit.id, "passed" if passed else "failed", (check,), "", sha256_text(source), unit.checks_sha256)


@pytest.fixture
def course(learner: Path):
    course = Course(Workspace(learner))
    course.__dict__["grader"] = Grader()
    for source in ("x = 'right'\n", "x = 'wrong'\n"):
        course.ledger.record(course.grader.grade(course.catalogue.unit(UNIT), source), source)
    yield course
    course.ledger.close()


def change(course: Course, sql: str, *values: object) -> None:
    """What somebody does who opens the ledger with a tool of SQLite, and takes its triggers away first."""
    assert course.ledger.path is not None
    connection = sqlite3.connect(course.ledger.path)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    assert connection.execute(sql, values).rowcount == 1
    connection.commit()
    connection.close()


def told(course: Course) -> list[tuple[str, ...]]:
    return [replayed.differences for replayed in course.replay()]


def test_what_the_grader_wrote_comes_out_the_same(course):
    assert told(course) == [(), ()]


def test_a_row_whose_outcome_was_changed_is_noticed(course):
    change(course, "UPDATE events SET outcome = 'passed' WHERE outcome = 'failed'")
    assert told(course) == [(), ("no verdict wrote this row: its outcome is passed, and its verdict's is failed",)]


def test_a_row_that_is_passed_in_every_part_is_noticed_by_its_code(course):
    _, event = course.ledger.events(kinds=["verdict"])
    payload = {**event.payload, "verdict": "passed", "checks": [{"name": "test_it", "outcome": "passed"}]}
    change(course, "UPDATE events SET outcome = 'passed', payload = ? WHERE id = ?", json.dumps(payload), event.id)
    assert told(course)[1] == ("verdict was passed, is failed", "check test_it was passed, is failed")


def test_a_pass_with_a_failed_check_or_with_none_is_noticed(course):
    _, event = course.ledger.events(kinds=["verdict"])
    for checks in (event.payload["checks"], []):
        payload = {**event.payload, "verdict": "passed", "checks": checks}
        change(course, "UPDATE events SET outcome = 'passed', payload = ? WHERE id = ?", json.dumps(payload), event.id)
        assert told(course)[1] == ("no verdict wrote this row: it passed, and not all of its checks did",)


def test_a_row_that_was_put_in_by_hand_is_noticed(course):
    first, _ = course.ledger.events(kinds=["verdict"])
    change(
        course,
        "INSERT INTO events (at, learner, kind, unit, outcome, code_sha256, checks_sha256, payload) "
        "SELECT at, learner, kind, unit, 'passed', ?, checks_sha256, '{}' FROM events WHERE id = ?",
        "0" * 64,
        first.id,
    )
    assert told(course) == [(), (), ("no verdict wrote this row: it holds no verdict",)]


def test_a_source_that_was_changed_is_noticed(course):
    change(course, "UPDATE sources SET text = 'x = ''right''' WHERE text LIKE '%wrong%'")
    assert told(course)[1] == ("its source was changed afterwards: it does not match its hash",)


def test_the_reference_word_for_word_is_a_copy_and_other_code_is_none():
    unit = Catalogue().unit(UNIT)
    reference = unit.implementation.read_text(encoding="utf-8")
    assert is_copy(reference, unit)
    assert is_copy(reference.replace("\n\n", "\n\n# mine\n\n", 1), unit)
    assert "np.maximum" in reference
    assert not is_copy(reference.replace("np.maximum", "np.fmax"), unit)


def test_a_copy_is_recorded_as_one(course, monkeypatch):
    unit = course.catalogue.unit(UNIT)
    reference = unit.implementation.read_text(encoding="utf-8")
    course.start(UNIT)
    exercise = course.workspace.exercise(UNIT)
    for source, copied in (
        (f"# right\n{reference}", True),
        (f"# right\n{reference.replace('np.maximum', 'np.fmax')}", False),
    ):
        exercise.write_text(source, encoding="utf-8")
        assert course.check(UNIT).copied is copied
        assert course.ledger.events(kinds=["verdict"])[-1].payload["copied"] is copied

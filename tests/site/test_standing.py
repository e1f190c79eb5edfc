"""Pages are quick because little is worked out twice, and right because a change is always noticed."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from groundup.course.course import Course
from groundup.course.learner.ledger import Ledger
from groundup.course.learner.workspace import Workspace
from groundup.course.material.catalogue import Catalogue
from groundup.course.verdict import CheckResult, Verdict, sha256_text
from groundup.site import create_app
from groundup.site.standing import Standing
from tests.site.conftest import HOST
from tests.site.sample import write_sample_stack
from tests.site.test_pages import PASSING

UNIT = "bedrock/vectors"
QUERIES, ROWS, FILES = 4, 60, 1
EVENTS = 10_000
OPENED: list[list[str]] = []
"""Lists of the files that are opened while they are in here. A hook that the interpreter calls cannot be taken out."""


def _opened(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open":
        for opened in OPENED:
            opened.append(str(arguments[0]))


sys.addaudithook(_opened)


def test_nothing_is_worked_out_twice_while_nothing_changes(course: Course, monkeypatch: pytest.MonkeyPatch):
    asked = []
    states = course.states
    monkeypatch.setattr(course, "states", lambda: asked.append(1) or states())
    standing = Standing(course)
    assert standing.states() is standing.states()
    assert len(asked) == 1


def test_a_saved_file_an_event_and_changed_checks_are_noticed(course: Course):
    standing = Standing(course)
    assert standing.states()[UNIT].status == "new"
    course.start("vectors")
    assert standing.states()[UNIT].status == "started"
    course.workspace.write_exercise(UNIT, PASSING)
    course.check("vectors")
    assert standing.states()[UNIT].status == "passed"
    course.workspace.write_exercise(UNIT, PASSING + "#")
    assert standing.states()[UNIT].status == "stale"
    course.workspace.write_exercise(UNIT, PASSING)
    assert standing.states()[UNIT].status == "passed"
    checks = course.catalogue.unit("vectors").checks
    checks.write_text(checks.read_text() + "\n# another\n")
    assert standing.states()[UNIT].status == "passed", "a comment judges nothing"
    checks.write_text(checks.read_text() + "\nANOTHER = 1\n")
    assert standing.states()[UNIT].status == "stale"
    course.workspace.exercise(UNIT).unlink()
    assert "is missing" in standing.states()[UNIT].detail


def test_a_chosen_track_and_a_rated_card_are_noticed(course: Course):
    standing = Standing(course)
    assert standing.track_progress() is None
    course.choose_track("devops", date.today(), 8)
    followed = standing.track_progress()
    assert followed is not None
    assert followed.track.name == "devops"
    course.start("vectors")
    due = standing.review().due(datetime.now(UTC))
    course.answer(course.review(), due[0].card.id, "easy")
    assert standing.review().counts(datetime.now(UTC)).done_today == 1


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A site with every unit of the catalogue in the release, each begun, and ten thousand events."""
    folder = tmp_path_factory.mktemp("crowded")
    stack = write_sample_stack(folder / "stack")
    for entry in Catalogue().entries:
        unit = stack / entry.id
        if not unit.exists():
            shutil.copytree(stack / UNIT, unit)
            (unit / "vectors.py").rename(unit / f"{unit.name}.py")
    with Course(Workspace(folder / "learner"), catalogue=Catalogue(stack)) as course:
        fill(course)
        with TestClient(create_app(course), base_url=HOST) as client:
            yield client


def fill(course: Course) -> None:
    course.workspace.create()
    checks = tuple(CheckResult(f"test_{i}", "failed" if i % 3 else "passed", "message " * 5) for i in range(15))
    units = course.catalogue.units
    for unit in units.values():
        course.workspace.write_exercise(unit.id, PASSING)
        verdict = Verdict(unit.id, "failed", checks, "", sha256_text(PASSING), unit.checks_sha256)
        course.ledger.record(verdict, PASSING)
    course.choose_track("mastery", date.today() - timedelta(30), 8)
    copied = course.ledger.last(1, kinds=["verdict"])[0]
    review, now = course.review(), datetime.now(UTC)
    cards, rows = list(review.cards), []
    for i in range(EVENTS):
        unit = list(units)[i % len(units)]
        if i % 5 < 2:
            outcome = "passed" if i % 2 else "failed"
            payload = {**copied.payload, "unit": unit, "verdict": outcome}
            rows.append(("verdict", unit, outcome, sha256_text(str(i % 300)), copied.checks_sha256, payload))
        elif i % 5 == 2 and i < 5000:
            rows.append(("review", unit, "", "", "", review.answer(cards[i % len(cards)], "good", now)))
        elif i % 5 == 3:
            rows.append(("hint", unit, "", "", "", {"name": "dot", "stage": 1}))
        else:
            rows.append(("report", "", "", "", "", {"track": "mastery", "item": "L1", "done": True}))
    with course.ledger._engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO events (learner, at, kind, unit, outcome, code_sha256, checks_sha256, payload) "
            "VALUES ('', ?, ?, ?, ?, ?, ?, ?)",
            [(now.isoformat(), *row[:-1], json.dumps(row[-1])) for row in rows],
        )
    assert course.ledger.last_id() > EVENTS


@pytest.mark.parametrize(
    "path",
    [
        "/",
        f"/units/{UNIT}",
        "/tracks",
        "/tracks/mastery",
        "/tracks/devops",
        "/tracks/mastery/L1",
        "/runs",
        "/review",
        "/journal",
        "/progress",
        "/search?q=dot",
        "/search?q=vector+layer",
    ],
)
def test_a_page_reads_few_rows_and_files_whatever_the_number_of_units_and_events(
    crowded: TestClient, path: str, monkeypatch: pytest.MonkeyPatch
):
    """All that makes a page slow is counted here; `python -m benchmarks pages` takes its time."""
    assert crowded.get(path).status_code == 200  # fills what is kept while nothing changes
    rows, opened = read_by(crowded, path, monkeypatch)
    assert len(rows) <= QUERIES, rows
    assert sum(rows) <= ROWS, rows
    assert len(opened) <= FILES, opened


def test_after_an_event_a_page_reads_the_ledger_again(crowded: TestClient, monkeypatch: pytest.MonkeyPatch):
    """The count above sees what is read: without what is kept it is thousands of rows."""
    crowded.app.state.site.course.ledger.append("hint", UNIT, {"name": "dot", "stage": 2})  # type: ignore[attr-defined]
    rows, _ = read_by(crowded, "/progress", monkeypatch)
    assert sum(rows) > ROWS


def read_by(client: TestClient, path: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[str]]:
    """The rows that each query of a page gave, and the files that it opened."""
    rows: list[int] = []
    opened: list[str] = []
    read = Ledger._rows

    def counted(ledger: Ledger, *query: Any) -> list[tuple[Any, ...]]:
        answer = read(ledger, *query)
        rows.append(len(answer))
        return answer

    monkeypatch.setattr(Ledger, "_rows", counted)
    OPENED.append(opened)
    try:
        assert client.get(path).status_code == 200
    finally:
        OPENED.remove(opened)
    return rows, opened

"""No path marks a unit passed without a passing verdict: every command and every route is walked to prove it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import groundup
from groundup.cli import COMMANDS
from groundup.course.course import Course
from groundup.course.learner.workspace import Workspace
from groundup.course.material.catalogue import Catalogue
from groundup.site import create_app
from groundup.site.pages import ROUTES
from tests.conftest import Ran
from tests.site.conftest import HOST
from tests.site.sample import write_sample_stack

UNWRITTEN = "bedrock/vectors"
# What a person could hope to tick a box with, on top of what each command needs.
CALLS: dict[str, list[tuple[str, ...]]] = {
    "serve": [],  # its routes are walked below
    "map": [("--all",), ("--json",)],
    "next": [(), ("--json",)],
    "start": [("vectors",), ("vectors", "--reset")],
    "check": [("vectors",), (), ("vectors", "--mine", "--json")],
    "hint": [("vectors",), ("vectors", "dot")],
    "solution": [("vectors", "--yes")],
    "status": [("--json",)],
    "run": [
        ("vectors", "--preset", "smoke", "--seeds", "1"),
        ("vectors", "--preset", "smoke", "--seeds", "1", "--mine"),
    ],
    "figure": [("vectors/similarity", "-o", "{folder}/figure.json")],
    "notebook": [("vectors", "-o", "{folder}/vectors.ipynb")],
    "review": [("--json",)],
    "journal": [("today",)],
    "track": [
        ("mastery", "--start", "today"),
        ("mastery", "--done", "L1"),
        ("mastery", "L1", "--met", "1"),
        ("mastery", "--json"),
    ],
    "copilot": [("why", "{folder}/vectors.ipynb"), ("templates", "{folder}/vectors.ipynb", "--json")],
    "tabular": [("show", "{folder}"), ("fit", "{folder}/vectors.ipynb", "--target", "x", "-o", "{folder}/model")],
    "shop": [("history", "--store", "{folder}/s.sqlite"), ("undo", "1", "--store", "{folder}/s.sqlite")],
    "research": [("learn", "{folder}", "--knowledge", "{folder}/kb"), ("reports", "--store", "{folder}/r.sqlite")],
    "sentinel": [("scan", "example.com", "--store", "{folder}/s.sqlite"), ("cases", "--store", "{folder}/s.sqlite")],
    "llm": [("report", "{folder}/none"), ("sft", "{folder}/none"), ("tokenizer", "{folder}")],
    "replay": [("--json",)],
    "verify": [("vectors", "--quick", "--json")],
    "new-unit": [("bedrock/probability", "--stack", "{folder}/stack")],
    "doctor": [("--json",)],
    "completion": [("bash",)],
}
FORM = {
    "passed": "yes", "verdict": "passed", "status": "passed", "outcome": "passed", "done": "yes", "state": "passed",
    "unit": UNWRITTEN, "units": UNWRITTEN, "code_sha256": "0" * 64, "preset": "smoke", "seeds": "1", "mine": "yes",
    "name": "dot", "item": "L1", "criterion": "1", "resource": "essence-of-linear-algebra", "start": "2026-01-01",
    "hours": "8", "card": f"{UNWRITTEN}#card-0", "rating": "4", "text": f"passed {UNWRITTEN}", "version": "",
}  # fmt: skip


def passed_units(course: Course) -> list[str]:
    """The units that count as passed anywhere: in their states, in the ledger, in a track."""
    found = [state.id for state in course.states().values() if state.status in ("passed", "stale")]
    found += [event.unit for event in course.ledger.events() if event.outcome == "passed"]
    found += list(course.ledger.first_passes())
    for track in ("mastery", "devops"):
        progress = course.track_progress(track)
        found += [unit for entry in progress.items for unit in entry.passed] if progress else []
        found += [e.item.id for e in progress.items if e.status == "done"] if progress else []
    return found


def test_every_command_is_walked() -> None:
    assert set(CALLS) == set(COMMANDS)


@pytest.mark.timeout(1200)  # it runs every command, labs and the author's gate among them
def test_no_command_marks_a_unit_passed(groundup: Callable[..., Ran], learner: Path, tmp_path: Path) -> None:
    groundup("start", "vectors")
    for command, calls in CALLS.items():
        for arguments in calls:
            ran = groundup(command, *(argument.format(folder=tmp_path) for argument in arguments))
            assert "Traceback" not in ran.err, f"{command} {arguments}: {ran.err}"
            with Course(Workspace(learner)) as course:
                assert passed_units(course) == [], f"groundup {command} {' '.join(arguments)}"


@pytest.fixture
def course(tmp_path: Path) -> Iterator[Course]:
    catalogue = Catalogue(write_sample_stack(tmp_path / "stack"))
    with Course(Workspace(tmp_path / "learner"), catalogue=catalogue) as course:
        course.start(UNWRITTEN)
        yield course


def address(path: str) -> str:
    """A route's pattern as an address that exists."""
    values = {
        "phase": "bedrock", "unit": "vectors", "figure": "race", "lab": "race", "name": "site.css", "track": "mastery",
        "item": "L1", "day": "2026-01-01", "job": "none", "run": "none",
    }  # fmt: skip
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda m: values[m[1]], path)


def test_no_route_marks_a_unit_passed(course: Course) -> None:
    with TestClient(create_app(course), base_url=HOST, follow_redirects=False) as client:
        token = re.search(r'name="token" content="(\w+)"', client.get("/").text)
        assert token
        for method, pattern, _ in ROUTES:
            path = address(pattern)
            if pattern.endswith("events"):
                continue  # a stream, which only tells
            for verb in {method, "PUT", "PATCH", "DELETE"}:
                form = {**FORM, "token": token[1]} if verb == "POST" else None
                answer = client.request(verb, path, data=form, params=FORM, headers={"origin": HOST})
                assert answer.status_code < 500 or answer.status_code == 503, f"{verb} {path}: {answer.text[:300]}"
                assert verb == method or answer.status_code in (403, 405), f"{verb} {path} is let in"
                assert passed_units(course) == [], f"{verb} {path}"
        # The walk would have seen a pass: with the right code, the same route gives one.
        reference = course.catalogue.unit(UNWRITTEN).implementation.read_text(encoding="utf-8")
        course.workspace.write_exercise(UNWRITTEN, reference)
        assert passed_units(course) == []
        client.post(f"/units/{UNWRITTEN}/check", data={"token": token[1]}, headers={"origin": HOST})
    assert UNWRITTEN in passed_units(course)


def test_only_a_check_records_verdicts() -> None:
    """In all of the source, one place calls `Ledger.record`: `Course.check`, with what the grader answered."""
    source = Path(groundup.__file__).parent
    callers = [
        f"{path.relative_to(source).as_posix()}:{function.name}"
        for path in source.rglob("*.py")
        if "stack" not in path.parts
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("ledger.record")
    ]
    assert callers == ["course/course.py:check"]

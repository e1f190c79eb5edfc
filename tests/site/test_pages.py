"""What the pages show and do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from groundup.course.author import proof
from groundup.course.author.verify import Trial, UnitReport
from groundup.course.course import Course
from groundup.course.material.tracks import load_tracks
from groundup.site import lessons
from tests.site.conftest import HOST
from tests.site.test_security import page_token

UNIT = "/units/bedrock/vectors"
PASSING = "def dot(a, b):\n    return sum(x * y for x, y in zip(a, b))\n"


def act(client: TestClient, path: str, **fields: Any) -> Any:
    """Do what a form of the page does, and show the page that follows."""
    answer = client.post(path, data={"token": page_token(client), **fields}, headers={"origin": HOST})
    return client.get(answer.headers["location"]) if answer.status_code == 303 else answer


def test_the_map_shows_every_unit_and_says_which_are_not_in_this_release(client: TestClient, course: Course):
    page = client.get("/").text
    for entry in course.catalogue.entries:
        assert f'href="/units/{entry.id}"' in page
    assert "0</strong> of 1 units passed" in page
    assert '<details class="planned"' in page, "planned units are folded"


def test_systems_say_what_shows_them_and_which_are_planned(client: TestClient, course: Course):
    for page in (client.get("/").text, client.get("/tracks/devops/D15").text):
        assert "<code>groundup copilot demo</code>" in page
    assert "<span>Planned.</span>" not in client.get("/").text, "every system is in this release"
    course.catalogue.systems = tuple(
        replace(system, see="") if system.name == "sentinel" else system for system in course.catalogue.systems
    )
    assert client.get("/").text.count("<span>Planned.</span>") == 1
    item = next(
        f"{track.name}/{item.id}"
        for track in load_tracks().values()
        for item in track.items
        if "sentinel" in item.systems
    )
    assert "Leads to the Cyber-Sentinel, which is not in this release." in client.get(f"/tracks/{item}").text


def test_a_planned_unit_says_so_and_offers_nothing(client: TestClient):
    page = client.get("/units/deep/resnet").text
    assert "This unit is planned" in page
    assert "<form method" not in page


def test_short_names_lead_to_the_unit(client: TestClient):
    assert client.get("/units/vectors").headers["location"] == UNIT
    assert client.get("/units/resnet").headers["location"] == "/units/deep/resnet"


def test_a_wrong_name_gets_the_nearest_ones(client: TestClient):
    answer = client.get("/units/vector_serch")
    assert answer.status_code == 404
    assert "There is no unit called" in answer.text
    assert 'href="/units/retrieval/vector_search"' in answer.text


def test_a_page_that_is_not_there_says_where_to_go(client: TestClient):
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert "Nothing is at /nowhere" in answer.text


def test_scripts_get_errors_as_json(client: TestClient):
    answer = client.get("/units/nosuch", headers={"accept": "application/json"})
    assert answer.json()["error"].startswith("There is no unit called")


def test_the_lesson_has_mathematics_code_and_its_figure(client: TestClient):
    page = client.get(UNIT).text
    assert "<math" in page
    assert 'data-figure="/units/bedrock/vectors/figures/race"' in page
    assert "<option selected>line</option>" in page
    assert 'min="1" max="10" step="1" value="3"' in page
    assert "What is a dot product?" in page
    assert "&lt;b&gt;no HTML&lt;/b&gt;" in page


def test_the_lesson_includes_code_by_name_and_folds_what_the_learner_writes(client: TestClient, course: Course):
    page = client.get(UNIT).text
    folded = re.search(r'<details class="dropdown reference">.*?</details>', page, flags=re.DOTALL)
    assert folded
    assert 'class="nf">dot</span>' in folded[0]
    lesson = course.catalogue.unit("vectors").lesson
    lesson.write_text(lesson.read_text().replace(":pyobject: dot", ":pyobject: dott"))
    assert "There is no definition in bedrock/vectors/vectors.py called &#x27;dott&#x27;. Did you mean dot?" in (
        client.get(UNIT).text
    )


def test_a_rendered_lesson_is_kept_and_made_again_only_when_a_source_changes(
    client: TestClient, course: Course, monkeypatch: pytest.MonkeyPatch
):
    made = []
    render = lessons.render_lesson
    monkeypatch.setattr(lessons, "render_lesson", lambda unit: made.append(unit.id) or render(unit))
    course.start("vectors")
    for _ in range(3):
        client.get(UNIT)
    assert made == ["bedrock/vectors"]
    fresh = lessons.Lessons(course.workspace)
    assert fresh.page(course.catalogue.unit("vectors")) == client.app.state.site.lessons.page(  # type: ignore[attr-defined]
        course.catalogue.unit("vectors")
    )
    assert len(made) == 1
    implementation = course.catalogue.unit("vectors").implementation
    implementation.write_text(implementation.read_text().replace("def dot(a, b)", "def dot(first, second)"))
    assert "second" in client.get(UNIT).text
    assert len(made) == 2


def test_starting_writes_the_file_once(client: TestClient, course: Course):
    page = act(client, f"{UNIT}/start")
    path = course.workspace.exercise("bedrock/vectors")
    assert str(path) in page.text
    path.write_text("# mine")
    act(client, f"{UNIT}/start")
    assert path.read_text() == "# mine"
    act(client, f"{UNIT}/start", reset="yes")
    assert "NotImplementedError" in path.read_text()
    assert [p.read_text() for p in course.workspace.backups.rglob("*.py")] == ["# mine"]


def test_a_verdict_is_shown_with_its_checks_message_and_diagnosis(client: TestClient, course: Course):
    act(client, f"{UNIT}/start")
    page = act(client, f"{UNIT}/check").text
    assert "Not yet. 0 of 1 checks passed." in page
    assert "dot by hand" in page
    assert "is &lt;11&gt;" in page
    assert "You forgot to <code>return</code> it." in page
    course.workspace.exercise("bedrock/vectors").write_text(PASSING)
    page = act(client, f"{UNIT}/check").text
    assert "Passed. 1 of 1 checks passed." in page
    assert "1</strong> of 1 units passed" in client.get("/").text


def test_checking_before_starting_says_what_to_do(client: TestClient):
    answer = act(client, f"{UNIT}/check")
    assert answer.status_code == 400
    assert "bedrock/vectors has no file to check yet. Start its exercise first" in answer.text


def test_changed_code_makes_the_tick_stale(client: TestClient, course: Course):
    act(client, f"{UNIT}/start")
    course.workspace.write_exercise("bedrock/vectors", PASSING)
    act(client, f"{UNIT}/check")
    course.workspace.write_exercise("bedrock/vectors", PASSING + "# more\n")
    assert "stale" in client.get(UNIT).text


def test_hints_come_one_stage_at_a_time(client: TestClient):
    assert "Multiply, then add." not in client.get(UNIT).text
    page = act(client, f"{UNIT}/hint", name="dot").text
    assert "Multiply, then add." in page
    assert "The sum runs" not in page
    assert "Hint 2 of 3" in page
    act(client, f"{UNIT}/hint", name="dot")
    assert "all 3 given" in act(client, f"{UNIT}/hint", name="dot").text


def test_the_solution_is_shown_only_after_the_warning_was_answered(client: TestClient, course: Course):
    page = client.get(f"{UNIT}/solution").text
    assert "solution seen before passing" in page
    assert 'class="nf">dot' not in page
    page = act(client, f"{UNIT}/solution").text
    assert 'class="nf">dot' in page
    assert [e.kind for e in course.ledger.events()] == ["solution"]


def test_a_figure_gets_the_parameters_as_their_types(
    client: TestClient, course: Course, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    def draw(unit: str, figure: str, parameters: dict[str, Any]) -> dict[str, Any]:
        asked.append((unit, figure, parameters))
        return {"data": [], "layout": {}}

    monkeypatch.setattr(course, "draw", draw)
    headers = {"x-groundup-token": page_token(client)}
    values = {"size": "4", "batch": 200, "shape": "bars", "noisy": True, "unknown": 1}
    answer = client.post(f"{UNIT}/figures/race", json=values, headers=headers)
    assert answer.json() == {"data": [], "layout": {}}
    assert asked == [("bedrock/vectors", "race", {"size": 4, "batch": 200, "shape": "bars", "noisy": True})]
    answer = client.post(f"{UNIT}/figures/race", json={"size": "x"}, headers={**headers, "accept": "application/json"})
    assert answer.status_code == 400
    assert "'size' must be a whole number from 1 to 10, not 'x'" in answer.json()["error"]


def test_static_files_are_cached_by_content(client: TestClient):
    answer = client.get("/static/site.css")
    assert answer.headers["cache-control"] == "no-cache"
    assert client.get("/static/site.css", headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    assert (
        "immutable"
        in client.get(f"/static/site.css?v={answer.headers['etag'].strip(chr(34))}").headers["cache-control"]
    )


def test_a_unit_shows_its_proof_while_it_holds_and_no_longer(client: TestClient, course: Course):
    unit = course.catalogue.unit("vectors")
    assert "wrong versions" not in client.get(UNIT).text
    trials = [Trial("mutant", f"dot:plus-one:{n}", n > 0) for n in range(1200)]
    report = UnitReport(unit.id, tuple(trials), 1.0, mutants=tuple(trial.name for trial in trials))
    proof.keep(unit, replace(report, trials=tuple(trials[1:])), proof.hashes(unit))
    assert "<span>its checks refuse 1,199 of 1,199 wrong versions</span>" in client.get(UNIT).text
    unit.checks.write_text(unit.checks.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert "wrong versions" not in client.get(UNIT).text
    assert "wrong versions" not in client.get("/units/deep/resnet").text

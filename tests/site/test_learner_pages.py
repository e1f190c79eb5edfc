"""Tracks, review, journal, progress, search and runs."""

from __future__ import annotations

import re
import threading
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from groundup.course.course import Course
from groundup.course.material.catalogue import Catalogue
from groundup.site.search import Search
from tests.site.test_pages import UNIT, act

TODAY = date.today().isoformat()


# Tracks


def test_every_track_has_a_page_and_every_item_one_too(client: TestClient):
    names = set(re.findall(r'href="/tracks/([\w-]+)"', client.get("/tracks").text))
    assert names == {"devops", "statistics-first", "search-engineer", "museum", "mastery"}
    for name in names:
        page = client.get(f"/tracks/{name}").text
        items = set(re.findall(rf'href="(/tracks/{name}/[^"]+)"', page))
        assert len(items) > 10
        for address in sorted(items)[:12]:
            assert client.get(address).status_code == 200, address


def test_following_a_track_shows_the_week_and_where_one_stands(client: TestClient, course: Course):
    assert "assume that you begin today" in client.get("/tracks/devops").text
    page = act(client, "/tracks/devops/follow", start=TODAY, hours_per_week="8").text
    assert "This week" in page
    assert "8.0 hours a week" in page
    assert "You follow" in client.get("/tracks").text
    assert course.ledger.last(1, kinds=["track"])[0].payload["track"] == "devops"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("start", "soon", "start must be a date"), ("hours_per_week", "0", "hours_per_week must be from")],
)
def test_a_wrong_choice_says_what_is_wrong(client: TestClient, field: str, value: str, message: str):
    fields = {"start": TODAY, "hours_per_week": "8", field: value}
    answer = act(client, "/tracks/devops/follow", **fields)
    assert answer.status_code == 400
    assert message in answer.text


def test_criteria_and_resources_are_reported_and_taken_back_and_shown_as_reported(client: TestClient):
    assert 'aria-pressed="true"' not in client.get("/tracks/devops/W1").text
    page = act(client, "/tracks/devops/W1/report", criterion="2").text
    assert page.count('aria-pressed="true"') == 1
    assert "Self-reported." in page
    assert 'aria-pressed="true"' not in act(client, "/tracks/devops/W1/report", criterion="2", done="no").text
    resource = re.search(r'name="resource" value="([^"]+)"', client.get("/tracks/devops").text)
    assert resource
    page = act(client, "/tracks/devops/resources", resource=resource[1]).text
    assert page.count(", self-reported</span> <button") == 1


def test_an_item_with_units_cannot_be_reported(client: TestClient, course: Course):
    answer = act(client, "/tracks/mastery/L1/report")
    assert answer.status_code == 400
    assert "cannot be reported" in answer.text
    assert course.ledger.last_id() == 0
    assert "Report it as done" not in client.get("/tracks/mastery/L1").text


def test_a_day_without_its_units_can_be_worked_on_and_reported(client: TestClient, course: Course):
    page = client.get("/tracks/devops/D2").text
    assert "By your report, until its unit comes." in page
    act(client, "/tracks/devops/D2/report")
    assert "Take back my report" in client.get("/tracks/devops/D2").text
    assert course.ledger.last_id() == 1
    planned = client.get("/units/classical/linear_regression").text
    assert 'href="/tracks/devops/D2"' in planned
    assert "Linear Regression, Clearly Explained" in planned


def test_the_week_shows_what_can_be_done_and_no_tick_for_nothing(client: TestClient, course: Course):
    course.choose_track("devops", date.today(), 8)
    page = client.get("/tracks/devops").text
    assert "To report, without a unit in this release" in page
    assert f'href="/journal/{TODAY}"' in page
    assert "resources of this week" in page
    assert "Every item planned for this week is finished" not in page


# Review


def test_review_shows_one_card_and_goes_on_to_the_next(client: TestClient, course: Course):
    assert "You have no cards yet" in client.get("/review").text
    act(client, f"{UNIT}/start")
    page = client.get("/review").text
    assert "Question 0" in page
    assert "Answer <strong>0</strong>, with &lt;b&gt;no HTML&lt;/b&gt;" in page
    page = act(client, "/review", card="bedrock/vectors#card-0", rating="good").text
    assert "Question 1" in page
    assert "1 done today" in page
    event = course.ledger.last(1, kinds=["review"])[0]
    assert (event.payload["card"], event.payload["rating"]) == ("bedrock/vectors#card-0", "good")


@pytest.mark.parametrize(
    ("card", "rating", "status"), [("bedrock/vectors#none", "good", 404), ("bedrock/vectors#card-0", "perfect", 400)]
)
def test_a_wrong_card_or_rating_is_refused(client: TestClient, course: Course, card: str, rating: str, status: int):
    act(client, f"{UNIT}/start")
    assert act(client, "/review", card=card, rating=rating).status_code == status
    assert not course.ledger.events(kinds=["review"])


# Journal


def version(page: str) -> str:
    found = re.search(r'name="version" value="(\w+)"', page)
    assert found
    return found[1]


def test_the_journal_edits_the_files_of_the_workspace(client: TestClient, course: Course):
    page = client.get("/journal").text
    assert not course.workspace.journal_dir.exists()
    page = act(
        client, f"/journal/{TODAY}", text="# Today\r\n\r\n$a^2$ <script>alert(1)</script>", version=version(page)
    ).text
    assert course.journal.path(TODAY).read_bytes() == b"# Today\n\n$a^2$ <script>alert(1)</script>"
    assert "<msup>" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_an_edit_on_disk_is_never_overwritten_silently(client: TestClient, course: Course):
    page = act(client, f"/journal/{TODAY}", text="first", version=version(client.get("/journal").text)).text
    course.journal.path(TODAY).write_text("in the editor")
    answer = act(client, f"/journal/{TODAY}", text="in the browser", version=version(page))
    assert answer.status_code == 409
    assert course.journal.path(TODAY).read_text() == "in the editor"
    assert "in the browser" in answer.text
    assert "in the editor" in answer.text
    act(client, f"/journal/{TODAY}", text="both", version=version(answer.text))
    assert course.journal.path(TODAY).read_text() == "both"


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "..%2F..%2Fetc"])
def test_a_day_must_be_a_date(client: TestClient, day: str):
    assert client.get(f"/journal/{day}").status_code in (400, 404)


# Progress


def test_progress_tells_evidence_from_reports(client: TestClient):
    act(client, f"{UNIT}/start")
    act(client, f"{UNIT}/check")
    act(client, "/tracks/devops/W1/report", criterion="1")
    page = client.get("/progress").text
    assert "Not yet. 0 of 1 checks passed." in page
    assert "reports devops W1 <span" in page
    assert page.count("(self-reported)") == 1


# Search


def test_search_finds_words_of_lessons_titles_and_cards(client: TestClient, course: Course):
    for query, unit in {"zebra": UNIT, "resnet": "/units/deep/resnet", "question 2": UNIT, "ZEB": UNIT}.items():
        page = client.get("/search", params={"q": query}).text
        assert f'<a href="{unit}">' in page, query
    assert "<mark>zeb</mark>" in client.get("/search?q=zeb").text
    assert "0 pages with these words" in client.get("/search?q=xyzzy").text


def test_search_ranks_titles_above_text_and_this_release_above_plans(course: Course):
    hits = Search(course.catalogue).find("vector")
    assert hits[0].address == "/units/bedrock/vectors"
    assert {"/units/retrieval/vector_search"} <= {hit.address for hit in hits}


@pytest.mark.parametrize("query", ["<script>alert(1)</script>", "((((", "a" * 5000, "\\", ""])
def test_any_words_can_be_searched_for(client: TestClient, query: str):
    answer = client.get("/search", params={"q": query})
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text


def test_search_notices_a_changed_lesson(course: Course):
    search = Search(course.catalogue)
    assert not search.find("xylophone")
    lesson = course.catalogue.unit("vectors").lesson
    lesson.write_text(lesson.read_text() + "\nxylophone\n")
    assert [hit.address for hit in search.find("xylophone")] == ["/units/bedrock/vectors"]


# Runs


@pytest.mark.parametrize(
    ("query", "kind", "address"),
    [
        ("statquest confusion", "resource", "/tracks/devops/D1"),
        ("devops copilot in three weeks", "track", "/tracks/devops"),
        ("kubernetes collector logs", "track", "/tracks/devops/D15"),
        ("cyber sentinel", "system", "/#systems"),
        ("paged kv cache", "unit", "/units/production/llm_serving"),
    ],
)
def test_tracks_resources_and_systems_are_found(query: str, kind: str, address: str) -> None:
    hits = {(hit.kind, hit.address) for hit in Search(Catalogue()).find(query)}
    assert (kind, address) in hits


def test_a_planned_unit_is_found_as_such(course: Course) -> None:
    hits = {(hit.kind, hit.address) for hit in Search(course.catalogue).find("paged kv cache")}
    assert ("planned", "/units/production/llm_serving") in hits


def test_a_lab_is_started_with_what_the_form_says_and_shown_when_done(
    client: TestClient, course: Course, monkeypatch: pytest.MonkeyPatch
):
    asked: list[dict[str, Any]] = []
    go_on = threading.Event()

    def run(name: str, lab: str, **options: Any) -> Any:
        asked.append({"name": name, "lab": lab, **options})
        options["on_event"]({"type": "metric", "seed": 0, "name": "loss", "step": 1, "value": 0.5})
        assert go_on.wait(10)
        return SimpleNamespace(id="run-1")

    monkeypatch.setattr(course, "run", run)
    fields = {"preset": "smoke", "seeds": "2", "mine": "yes", "set:batch": "7", "set:shuffle": ""}
    page = act(client, f"{UNIT}/labs/race", **fields)
    assert "Loops against vectors" in page.text
    job = re.search(r'data-job="(\w+)"', page.text)
    assert job
    go_on.set()
    stream = client.get(f"/live/{job[1]}/events").text
    assert '"name": "loss"' in stream
    assert stream.rstrip().endswith('data: {"run": "run-1", "trouble": ""}')
    assert client.get(f"/live/{job[1]}").headers["location"] == "/runs/run-1"
    assert asked[0]["settings"] == {"batch": "7"}
    assert (asked[0]["preset"], asked[0]["seeds"], asked[0]["mine"]) == ("smoke", 2, True)


def test_a_lab_that_cannot_run_says_why(client: TestClient):
    page = act(client, f"{UNIT}/labs/race", preset="smoke", seeds="1", **{"set:batch": "many"})
    job = re.search(r'data-job="(\w+)"', page.text)
    assert job
    assert "must be a whole number" in client.get(f"/live/{job[1]}/events").text
    assert "must be a whole number" in client.get(f"/live/{job[1]}").text


def test_stopping_a_run_tells_it_to_stop(client: TestClient, course: Course, monkeypatch: pytest.MonkeyPatch):
    stopped = []

    def run(name: str, lab: str, *, stop: threading.Event, **_: Any) -> Any:
        stopped.append(stop.wait(10))
        return SimpleNamespace(id="run-1")

    monkeypatch.setattr(course, "run", run)
    job = re.search(r'data-job="(\w+)"', act(client, f"{UNIT}/labs/race", preset="smoke").text)
    assert job
    act(client, f"/live/{job[1]}/stop")
    client.get(f"/live/{job[1]}/events")
    assert stopped == [True]


@pytest.mark.parametrize("seeds", ["0", "101", "many", "-1"])
def test_seeds_must_be_a_sensible_number(client: TestClient, seeds: str):
    answer = act(client, f"{UNIT}/labs/race", preset="smoke", seeds=seeds)
    assert answer.status_code == 400
    assert "seeds must be a whole number from 1 to 100" in answer.text


def test_comparing_needs_two_runs(client: TestClient):
    assert "Choose from 2 to 6 runs" in client.get("/runs/compare?run=a").text
    assert client.get("/runs/compare?run=a&run=b").status_code == 404

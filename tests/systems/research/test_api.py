"""The API: what a run does as it is done, the plan that may be changed, reports, citations, costs, and errors."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from groundup.errors import UsageError
from groundup.knowledge import Knowledge
from groundup.systems.research.api import create_app
from groundup.systems.research.export import to_markdown
from groundup.systems.research.prices import read_prices
from groundup.systems.research.runs import open_research
from groundup.systems.research.service import RUNS, Assistant, Settings

HOST = "http://127.0.0.1:8610"
QUESTION = "What is an idempotency key, and how does a circuit breaker protect the caller?"


@pytest.fixture
def started(location: Path, tmp_path: Path) -> Iterator[Any]:
    """Start an API with some settings, on a file of this test's own and the demo's documents."""
    clients: list[TestClient] = []

    def start(**settings: Any) -> TestClient:
        given = {"knowledge": str(location), "model": "embedded", **settings}
        app = create_app(Settings(tmp_path / "research.sqlite", **given))
        clients.append(TestClient(app, base_url=HOST, raise_server_exceptions=False))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


def events(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def error(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "status"}
    assert body["status"] == status
    return body["error"]


# ── what it answers ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_question_is_answered_step_by_step_and_every_sentence_opens(started: Any, knowledge: Knowledge):
    client = started()
    told = events(client.post("/research", json={"question": QUESTION}))
    kinds = [event["event"] for event in told]
    assert kinds[0] == "begun"
    assert kinds[-1] == "report"
    assert set(kinds[1:-1]) == {"step"}
    report = told[-1]
    assert report["id"] == told[0]["id"]
    assert not report["abstained"]
    assert [step["node"] for step in report["trace"]] == [event["node"] for event in told[1:-1]]
    cited = {number for part in report["parts"] for line in part["lines"] for number in line["citations"]}
    assert cited == {citation["number"] for citation in report["citations"]} != set()
    for citation in report["citations"]:
        parts = client.post("/open", json={"where": citation["where"]}).json()
        (exact,) = [part["text"] for part in parts if part["cited"]]
        assert " ".join(citation["quote"].split()) in " ".join(exact.split())
    assert client.get(f"/reports/{report['id']}").json() == {
        key: value for key, value in report.items() if key != "event"
    }
    (listed,) = client.get("/reports").json()
    assert (listed["id"], listed["next"]) == (report["id"], "")


def test_a_plan_can_be_seen_and_changed_before_anything_is_looked_for(started: Any):
    client = started()
    told = events(client.post("/research", json={"question": QUESTION, "stop_at_plan": True}))
    assert [event["event"] for event in told] == ["begun", "step", "step", "plan"]
    id, plan = told[-1]["id"], told[-1]["plan"]
    assert client.get(f"/reports/{id}/plan").json() == {"plan": plan}
    assert "retrieve comes next" in error(client.get(f"/reports/{id}"), 409)
    assert "from 1 to" in error(client.put(f"/reports/{id}/plan", json={"plan": [" "]}), 422)
    mine = ["What is an idempotency key?"]
    assert client.put(f"/reports/{id}/plan", json={"plan": mine}).json() == {"plan": mine}
    report = events(client.post(f"/reports/{id}/resume"))[-1]
    assert report["plan"] == mine
    assert {step["what"] for step in report["trace"]} >= {f"by a person: {mine[0]}"}
    assert "the report is done" in error(client.put(f"/reports/{id}/plan", json={"plan": mine}), 409)


def test_a_report_that_is_done_is_told_again_and_exported(started: Any, tmp_path: Path):
    client = started()
    report = events(client.post("/research", json={"question": QUESTION}))[-1]
    again = events(client.post(f"/reports/{report['id']}/resume"))
    assert [event["event"] for event in again] == ["begun", "report"]
    assert again[-1] == report
    with open_research(tmp_path / "research.sqlite", reading=True) as research:
        assert client.get(f"/reports/{report['id']}/export").text == to_markdown(research.report(report["id"]))
    page = client.get(f"/reports/{report['id']}/export", params={"format": "html"})
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert client.get(f"/reports/{report['id']}/export", params={"format": "bibtex"}).text.startswith("@misc{")


def test_who_hangs_up_leaves_a_run_that_goes_on(location: Path, tmp_path: Path):
    assistant = Assistant(Settings(tmp_path / "research.sqlite", knowledge=str(location), model="embedded"))
    id = assistant.begin(QUESTION, {})
    told = assistant.run(id)
    seen = [next(told), next(told)]
    told.close()
    assert seen[1].step is not None
    for _ in range(500):  # the step at hand is finished, then the run is let go
        if not assistant._going:
            break
        threading.Event().wait(0.02)
    last = list(assistant.run(id))[-1]
    assert last.report is not None
    assert last.report.trace[0] == seen[1].step
    assert len({(step["node"], step["what"]) for step in last.report.trace}) > 3


def test_sources_costs_and_metrics(started: Any, tmp_path: Path):
    prices = tmp_path / "prices.toml"
    prices.write_text('currency = "EUR"\n[models.embedded]\nin = 2\nout = 4\n')
    client = started(prices=read_prices(prices))
    report = events(client.post("/research", json={"question": QUESTION}))[-1]
    names = {source["document"] for source in client.get("/sources").json()}
    assert {citation["document"] for citation in report["citations"]} <= names
    costs = client.get("/costs").json()
    assert costs["currency"] == "EUR"
    assert sum(row["calls"] for row in costs["rows"]) == len(report["costs"])
    for row in costs["rows"]:
        assert row["money"] == pytest.approx((2 * row["tokens_in"] + 4 * row["tokens_out"]) / 1e6)
    counted = client.get("/metrics").text
    assert 'groundup_research_reports_total{abstained="false"} 1.0' in counted
    assert 'path="/research"' in counted


def test_a_limit_of_money_ends_the_search(started: Any, tmp_path: Path):
    prices = tmp_path / "prices.toml"
    prices.write_text('currency = "EUR"\n[models.embedded]\nin = 1000\nout = 1000\n')
    asked = {"question": QUESTION, "money": 1e-9}
    client = started(prices=read_prices(prices))
    assert "1e-09 EUR" in json.dumps(events(client.post("/research", json=asked))[-1], ensure_ascii=False)
    assert "money must come with prices, got 1e-09, and the server has none" in error(
        started().post("/research", json=asked), 422
    )
    prices.write_text("[models.other]\nin = 1\nout = 1\n")
    other = started(prices=read_prices(prices))
    assert "prices must have the model 'embedded'" in error(other.post("/research", json=asked), 422)
    assert error(other.post("/research", json={**asked, "money": 0}), 422).startswith("money: ")


# ── what it refuses ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_bad_requests_are_told_the_parameter_the_rule_and_the_value(started: Any):
    client = started(seconds=60.0)
    assert error(client.post("/research", json={"question": "  "}), 422).startswith("question: ")
    assert error(client.post("/research", json={"question": "What?", "steps": 0}), 422).startswith("steps: ")
    assert "seconds must be at most 60 here, got 61" in error(
        client.post("/research", json={"question": "What?", "seconds": 61}), 422
    )
    assert "There is no report called 'abc'" in error(client.get("/reports/abc"), 404)
    assert "There is no report" in error(client.post("/reports/abc/resume"), 404)
    assert "POST /open" not in error(client.post("/open", json={"where": "no/such.md:1-5"}), 404)
    assert error(client.get("/reports/x!"), 422).startswith("path.id: ")


def test_without_documents_and_web_nothing_is_begun(started: Any, tmp_path: Path):
    client = started(knowledge=str(tmp_path / "none"))
    assert "groundup research learn FOLDER" in error(client.post("/research", json={"question": "What?"}), 409)
    assert client.get("/reports").json() == []
    assert client.get("/sources").json() == []


def test_a_report_goes_on_for_one_at_a_time_and_only_so_many_at_once(started: Any):
    client = started()
    assistant: Assistant = client.app.state.assistant  # type: ignore[attr-defined]
    id = events(client.post("/research", json={"question": QUESTION, "stop_at_plan": True}))[0]["id"]
    with assistant._taken(id):
        assert f"Report {id} goes on for somebody else" in error(client.post(f"/reports/{id}/resume"), 409)
        assert "goes on for somebody else" in error(client.put(f"/reports/{id}/plan", json={"plan": ["a"]}), 409)
    assistant._going.update(str(number) for number in range(RUNS))
    crowded = client.post(f"/reports/{id}/resume")
    assert f"At most {RUNS} reports" in error(crowded, 503)
    assert crowded.headers["retry-after"]
    assistant._going.clear()
    assert events(client.post(f"/reports/{id}/resume"))[-1]["event"] == "report"


def test_a_model_that_fails_on_the_way_is_told_in_the_stream_and_loses_nothing(started: Any):
    client = started(model="http://127.0.0.1:9/v1#nothing")
    told = events(client.post("/research", json={"question": QUESTION}))
    assert told[0]["event"] == "begun"
    assert told[-1]["event"] == "error"
    assert told[-1]["status"] == 503
    assert client.get("/reports").json()[0]["next"] == "plan"


def test_with_a_token_only_health_is_open(started: Any):
    client = started(token="s3cret")
    assert client.get("/healthz").json()["status"] == "ok"
    assert "Authorization must be" in error(client.get("/reports"), 401)
    assert client.get("/reports", headers={"Authorization": "Bearer s3cret"}).status_code == 200


def test_a_model_or_a_web_that_is_none_is_refused_before_anything_is_served(started: Any, tmp_path: Path):
    with pytest.raises(UsageError, match="model must be local:smollm2 or local:FILE.gguf"):
        started(model="local:none.gguf")
    with pytest.raises(UsageError, match="web must be searxng, brave"):
        started(web="nosuch")
    assert not (tmp_path / "research.sqlite").exists(), "no store is left of it"


def test_a_report_is_gone_on_with_from_another_folder(
    location: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Any
):
    monkeypatch.chdir(location.parent)
    client = started(knowledge=location.name)
    events(client.post("/research", json={"question": QUESTION, "stop_at_plan": True}))
    with open_research(tmp_path / "research.sqlite", reading=True) as research:
        (run,) = research.runs()
    assert run.knowledge == str(location.resolve())

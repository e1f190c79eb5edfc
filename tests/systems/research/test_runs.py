"""Runs: from a question to a report, stopped anywhere and gone on with."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundup.errors import ModelUnavailable, StoreError, UnknownName, UsageError
from groundup.knowledge import Knowledge, open_knowledge, open_place
from groundup.systems.research import Budget, Report, Research, open_research
from groundup.systems.research.demo import DOCUMENTS, QUESTIONS
from groundup.systems.research.graph import Brain
from tests.systems.research.conftest import Opened
from tests.systems.research.models import Scripted, saying


def done(research: Research, question: str, budget: Budget | None = None) -> Report:
    id = research.begin(question, budget)
    list(research.run(id))
    return research.report(id)


def texts(report: Report) -> list[str]:
    return [line.text for part in report.parts for line in part.lines]


def told(report: Report) -> Report:
    """A report without what differs from run to run: its name and times."""
    trace = tuple({**step, "seconds": 0.0} for step in report.trace)
    costs = tuple({**cost, "seconds": 0.0, "processor": 0.0} for cost in report.costs)
    return replace(report, id="", begun="", trace=trace, costs=costs)  # type: ignore[arg-type]


def test_a_question_that_needs_two_documents_is_answered_from_both_and_every_citation_opens(
    opened: Opened, knowledge: Knowledge
) -> None:
    with opened() as research:
        report = done(research, QUESTIONS[0])
    assert [part.heading for part in report.parts] == list(report.plan)
    assert len(report.plan) == 2
    assert {citation.document for citation in report.citations} == {
        "documents/retries.md", "documents/circuit-breakers.md",
    }  # fmt: skip
    assert (report.gaps, report.unsupported, report.stopped, report.written) == ((), (), "", False)
    numbers = [number for part in report.parts for line in part.lines for number in line.citations]
    assert numbers == [citation.number for citation in report.citations]
    for citation in report.citations:
        text = (DOCUMENTS.parent / citation.document).read_text(encoding="utf-8")
        assert text[citation.start : citation.end].replace("\n", " ") == citation.quote
        (cited,) = [part for part in open_place(citation.where, knowledge) if part.cited]
        assert citation.quote in cited.text.replace("\n", " ")
    assert texts(report) == [citation.quote for citation in report.citations]


def test_a_page_is_cited_at_its_place_too(opened: Opened, knowledge: Knowledge) -> None:
    with opened() as research:
        (citation, *_) = done(research, "How much memory do int8 weights take?").citations
    assert citation.document == "documents/quantization.html"
    assert "a quarter of the memory" in citation.quote
    assert any(part.cited for part in open_place(citation.where, knowledge))


def test_what_no_document_says_is_not_answered_after_a_wider_look(opened: Opened) -> None:
    with opened() as research:
        report = done(research, QUESTIONS[1])
        assert report.abstained
        assert (report.parts, report.citations, report.gaps) == ((), (), (QUESTIONS[1],))
        assert [step["node"] for step in report.trace] == [
            "classify", "plan", "retrieve", "read", "cover", "retrieve", "read", "cover", "write", "verify",
        ]  # fmt: skip
        half = done(research, "What is full jitter, and how is a vector database sharded?")
    assert half.gaps == ("How is a vector database sharded?",)
    assert not half.abstained


def test_an_order_in_a_document_is_in_no_report_and_was_shown_to_no_model(opened: Opened) -> None:
    with opened() as research:
        report = done(research, QUESTIONS[2])
    assert "repeats with every retry" in texts(report)[0]
    assert not any("obsolete" in text or "RetryMax" in text for text in texts(report))
    assert "obsolete" in report.left_out[0]["text"]
    seeing = saying("", "The sources do not say.")
    with opened(seeing) as research:
        done(research, QUESTIONS[2])
    assert any("idempotency.md" in sent for sent in seeing.sent)
    assert not any("RetryMax" in sent or "obsolete" in sent for sent in seeing.sent)


def test_sources_that_disagree_are_put_side_by_side(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "old.md").write_text("# Client\n\nThe client's default timeout is 30 seconds.\n")
    (tmp_path / "notes" / "new.md").write_text("# Client\n\nThe client's default timeout is 60 seconds.\n")
    knowledge = open_knowledge(tmp_path / "kb")
    knowledge.learn([tmp_path / "notes"])
    with opened(knowledge=knowledge) as research:
        report = done(research, "What is the client's default timeout?")
    assert [part.heading for part in report.parts] == ["The sources may disagree"]
    assert sorted(texts(report)) == [
        "The client's default timeout is 30 seconds.", "The client's default timeout is 60 seconds.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("budget", "limit"),
    [(Budget(steps=4), "4 steps"), (Budget(tokens=100), "100 tokens"), (Budget(seconds=1e-9), "1e-09 seconds")],
)
def test_a_budget_that_is_used_up_ends_the_search_and_what_was_found_is_written(
    opened: Opened, budget: Budget, limit: str
) -> None:
    with opened() as research:
        report = done(research, QUESTIONS[0], budget)
    assert report.stopped == limit
    assert {citation.document for citation in report.citations} == {"documents/retries.md"}
    assert report.gaps == (report.plan[1],)


def test_a_used_up_budget_is_not_spent_on_writing(opened: Opened) -> None:
    model = saying("", "A token bucket fills with tokens at a fixed rate, up to its capacity [1].", "Never asked for.")
    with opened(model) as research:
        report = done(research, "What is a token bucket?", Budget(tokens=10))
    assert [cost["purpose"] for cost in report.costs] == ["plan", "read for 1"]
    assert (report.written, len(texts(report))) == (False, 1)


@pytest.mark.parametrize("name", ["steps", "tokens", "seconds"])
def test_a_budget_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} must be more than 0, got 0"):
        Budget(**{name: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("question", ["", "  \n", "?!"])
def test_a_question_that_says_nothing_is_refused(opened: Opened, question: str) -> None:
    with opened() as research, pytest.raises(UsageError, match="question must say something, got "):
        research.begin(question)


def test_a_question_is_not_a_document_and_its_secrets_are_hidden(opened: Opened) -> None:
    with opened() as research:
        with pytest.raises(UsageError, match=r"at most 1,000 characters, got 5,000\. Ask in parts"):
            research.begin("a" * 5000)
        id = research.begin("Why is password=hunter2hunter2 refused?")
        assert "hunter2" not in research.find(id).question


# ── stopped ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_model_that_does_not_answer_stops_a_run_where_it_is_and_another_one_goes_on(opened: Opened) -> None:
    def failing(system: str, user: str) -> str:
        raise ConnectionError("refused by 10.0.0.1, password=hunter2hunter2")

    with opened(Scripted(script=failing, sent=[])) as research:
        id = research.begin("What is full jitter?")
        with pytest.raises(ModelUnavailable, match=r"scripted did not: refused by 10\.0\.0\.1, password=\*\*\*"):
            list(research.run(id))
        assert research.find(id).next == "plan"
        with pytest.raises(UsageError, match=f"run '{id}' must be done, and plan comes next"):
            research.report(id)
    with opened() as research:
        assert [step["node"] for step in research.run(id[:5])][:2] == ["plan", "retrieve"]
        assert research.report(id).citations[0].document == "documents/retries.md"
        assert list(research.run(id)) == [], "a run that is done does nothing"


@pytest.mark.parametrize("node", ["classify", "plan", "retrieve", "read", "cover", "write", "verify"])
def test_after_ctrl_c_in_any_node_the_report_is_the_same_and_nothing_is_done_twice(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, node: str
) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with opened() as research:
        whole = done(research, QUESTIONS[0])
        id = research.begin(QUESTIONS[0])
        with monkeypatch.context() as patch:
            patch.setattr(Brain, node, interrupted)
            with pytest.raises(KeyboardInterrupt):
                list(research.run(id))
        assert research.find(id).next == node
    with opened() as research:
        list(research.run(id))
        assert told(research.report(id)) == told(whole)


KILLED = """
import os, signal, sys
from groundup.knowledge import open_knowledge
from groundup.llm import chat_model
from groundup.systems.research import open_research
from groundup.systems.research.graph import Brain
store, location, id, where, node = sys.argv[1:]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "inside":
    work = getattr(Brain, node)
    setattr(Brain, node, lambda self, state: (work(self, state), die()))
with open_research(store, knowledge=open_knowledge(location), model=chat_model("embedded")) as research:
    for step in research.run(id):
        if where == "after" and step["node"] == node:
            die()
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_killed_again_and_again_between_steps_and_within_them_the_report_is_the_same(
    opened: Opened, location: Path, tmp_path: Path
) -> None:
    with opened() as research:
        whole = done(research, QUESTIONS[0])
        id = research.begin(QUESTIONS[0])
    for where, node, following in (
        ("after", "plan", "retrieve"), ("inside", "read", "read"), ("after", "cover", "retrieve"),
        ("inside", "cover", "cover"), ("inside", "write", "write"), ("inside", "verify", "verify"),
    ):  # fmt: skip
        command = [sys.executable, "-c", KILLED, str(tmp_path / "research.sqlite"), str(location), id, where, node]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert ran.returncode == -signal.SIGKILL, ran.stderr
        with opened() as research:
            assert research.find(id).next == following
    with opened() as research:
        list(research.run(id))
        assert told(research.report(id)) == told(whole)


def test_a_person_may_change_the_plan_before_anything_is_looked_for(opened: Opened) -> None:
    with opened() as research:
        id = research.begin(QUESTIONS[0])
        with pytest.raises(UsageError, match="nothing is looked for, and classify comes next"):
            research.replan(id, ["What is full jitter?"])
        assert [step["node"] for step in research.run(id, until="plan")] == ["classify", "plan"]
        assert len(research.planned(id)) == 2
        for wrong in ([], ["", "?"], [f"What is {number}?" for number in range(11)]):
            with pytest.raises(UsageError, match="plan must have from 1 to 10 sub-questions"):
                research.replan(id, wrong)
        research.replan(id, ["What is  full jitter?", "", "What is full jitter?", "What is password=hunter2hunter2?"])
    with opened() as research:
        assert research.find(id).next == "retrieve"
        list(research.run(id))
        report = research.report(id)
        assert report.plan == ("What is full jitter?", "What is password=***")
        assert report.citations[0].document == "documents/retries.md"
        assert "by a person" in report.trace[2]["what"]
        with pytest.raises(UsageError, match="nothing is looked for"):
            research.replan(id, ["What is full jitter?"])


# ── kept ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_runs_are_listed_the_newest_first_and_found_by_their_beginning(opened: Opened) -> None:
    with opened() as research:
        first, second = research.begin("What is full jitter?"), research.begin("What is a lease?")
        assert [run.id for run in research.runs()] == [second, first]
        assert research.find(first[:6]).question == "What is full jitter?"
        for name in ("", "nope"):
            with pytest.raises(UnknownName, match=f"There is no report called '{name}'"):
                research.find(name)


def test_a_file_that_is_no_store_is_one_clear_line_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are my notes, and no database at all.\n" * 50)
    with pytest.raises(StoreError, match=r"store must be .* and '.*notes\.txt' cannot be: file is not a database"):
        with open_research(path):
            pass
    assert path.read_text().startswith("These are my notes")
    with pytest.raises(UsageError, match=r"store must be a file that exists, and '.*gone' does not"):
        with open_research(tmp_path / "gone", reading=True):
            pass
    assert not (tmp_path / "gone").exists()


def test_every_step_is_in_the_file_before_the_next_begins(opened: Opened, tmp_path: Path) -> None:
    def count() -> int:
        with sqlite3.connect(tmp_path / "research.sqlite") as database:
            return database.execute("SELECT count(*) FROM checkpoints").fetchone()[0]

    with opened() as research:
        counts = [count() for _ in research.run(research.begin("What is full jitter?"))]
    assert counts == sorted(set(counts))

"""The commands, as a person calls them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.systems.research.demo import QUESTIONS
from tests.conftest import Ran


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "research-demo"


@pytest.fixture(scope="module")
def shown(folder: Path) -> Ran:
    """What `groundup research demo` prints; it must need no network."""
    command = [sys.executable, "-m", "groundup", "research", "demo", "--no-serve", "--folder", str(folder)]
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "GROUNDUP_LLM": ""}
    ran = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **nowhere}, timeout=280, check=False
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def call(folder: Path, groundup: Callable[..., Ran]) -> Callable[..., Ran]:
    """A command on the demo's store and knowledge base."""
    places = {"GROUNDUP_RESEARCH": str(folder / "research.sqlite"), "GROUNDUP_KNOWLEDGE": "", "GROUNDUP_LLM": ""}

    def run(*arguments: str) -> Ran:
        return groundup("research", *arguments, **places)

    return run


def test_the_demo_answers_abstains_and_obeys_nobody(shown: Ran) -> None:
    assert shown.code == 0, shown.err
    text = " ".join(shown.out.split())
    assert all(question in text for question in QUESTIONS)
    assert re.search(r"\[1\] documents/retries\.md:\d+-\d+", text)
    assert re.search(r"\[2\] documents/circuit-breakers\.md:\d+-\d+", text)
    assert text.count("The documents do not say.") == 1
    assert re.search(r"Orders to a model in documents, shown to none: documents/idempotency\.md:\d+-\d+", text)
    assert "RetryMax" not in text
    assert "obsolete" not in text
    assert text.count("verify ") == len(QUESTIONS)
    assert "tokens in" in text
    assert "Tokens are estimated" in text
    assert "Traceback" not in shown.err


def test_its_reports_are_kept_and_its_citations_open(shown: Ran, call: Callable[..., Ran]) -> None:
    runs = call("reports", "--json").json["reports"]
    assert [run["question"] for run in runs] == list(reversed(QUESTIONS))
    assert call("reports").out.count("done") == len(QUESTIONS)
    again = call("show", runs[-1]["id"], "--json").json
    assert len(again["citations"]) == 2
    for citation in again["citations"]:
        where = f"{citation['document']}:{citation['start']}-{citation['end']}"
        assert where in shown.out
        assert citation["quote"] in " ".join(call("open", where).out.split())
    resumed = call("resume", runs[-1]["id"][:6])
    assert resumed.code == 0
    assert "step" not in resumed.err
    traced = call("show", runs[-1]["id"], "--trace")
    assert "several questions" in traced.out
    assert "Costs" in traced.out


def test_a_question_is_answered_step_by_step_and_written_to_a_file(
    shown: Ran, call: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = call("ask", "What", "is", "full", "jitter?", "-o", str(tmp_path / "report.md"))
    assert ran.code == 0, ran.err
    assert [line.split()[0] for line in ran.err.splitlines()][:3] == ["classify", "plan", "retrieve"]
    assert "draws the wait at random" in ran.out
    (id,) = re.findall(r"report (\w+)$", ran.out, flags=re.MULTILINE)
    for ending in (".html", ".bib"):
        assert call("show", id, "-o", str(tmp_path / f"report{ending}")).code == 0
    formats = {".md": "# What is full jitter?", ".html": "<!doctype html>", ".bib": "@misc{retries-1,"}
    for ending, begin in formats.items():
        assert (tmp_path / f"report{ending}").read_text(encoding="utf-8").startswith(begin)


def test_the_plan_is_changed_in_the_editor(shown: Ran, groundup: Callable[..., Ran], folder: Path) -> None:
    script = folder / "editor.py"
    script.write_text("import sys; open(sys.argv[1], 'w').write('What is full jitter?')", encoding="utf-8")
    places = {"GROUNDUP_RESEARCH": str(folder / "research.sqlite"), "GROUNDUP_KNOWLEDGE": "", "GROUNDUP_LLM": ""}
    editor = {"EDITOR": f"{sys.executable} {script}", "VISUAL": ""}
    ran = groundup("research", "ask", "What is a lease?", "--edit", **places, **editor)
    assert ran.code == 0, ran.err
    assert "draws the wait at random" in ran.out


def test_what_is_wrong_is_one_clear_line(shown: Ran, call: Callable[..., Ran], tmp_path: Path) -> None:
    def refused(message: str, *arguments: str) -> None:
        ran = call(*arguments)
        assert ran.code in (2, 3)
        assert re.search(message, ran.err), ran.err
        assert "Traceback" not in ran.err

    refused("question must say something, got ' '", "ask", " ")
    refused(r"output must end in \.md, \.html or \.bib, got 'r\.docx'", "ask", "What?", "-o", "r.docx")
    refused("output must be in an existing folder", "ask", "What?", "-o", str(tmp_path / "gone" / "r.md"))
    refused("steps must be more than 0, got 0", "ask", "What?", "--steps", "0")
    refused("There is no report called 'nope'", "show", "nope")
    refused("store must be a file that exists", "reports", "--store", str(tmp_path / "gone.sqlite"))
    refused("knowledge must be an existing folder", "ask", "What?", "--knowledge", str(tmp_path / "gone"))
    refused("CITATION must be as an answer gives it", "open", "retries")
    refused("There is no document in the knowledge base called 'documents/retry.md'", "open", "documents/retry.md:1-2")
    refused("FOLDER must be an existing folder or file", "learn", str(tmp_path / "gone"))


def test_an_unreadable_pdf_is_named_and_the_rest_goes_on_and_an_empty_base_is_said(
    tmp_path: Path, groundup: Callable[..., Ran]
) -> None:
    papers, base = tmp_path / "papers", str(tmp_path / "kb")
    papers.mkdir()
    (papers / "scan.pdf").write_bytes(b"%PDF-1.4 nothing")
    ran = groundup("research", "learn", str(papers), "--knowledge", base)
    assert ran.code == 0
    assert "Left out: papers/scan.pdf" in ran.out
    ran = groundup("research", "ask", "What?", "--knowledge", base, "--store", str(tmp_path / "r.sqlite"))
    assert ran.code == 2
    assert f"knowledge must hold documents, and '{base}' is empty" in ran.err


def test_a_model_that_is_down_leaves_a_report_to_go_on_with(shown: Ran, call: Callable[..., Ran]) -> None:
    ran = call("ask", "What is full jitter?", "--model", "http://127.0.0.1:9/v1#none")
    assert ran.code == 3
    (id,) = re.findall(
        r"The finished steps of report (\w+) are kept\. Continue with: groundup research resume \w+", ran.err
    )
    assert "model must answer, and openai-chat did not" in ran.err
    assert f"{id}  " in call("reports").out
    assert "stopped before plan" in call("reports").out
    resumed = call("resume", id, "--model", "embedded")
    assert resumed.code == 0, resumed.err
    assert "draws the wait at random" in resumed.out

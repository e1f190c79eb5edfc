"""A prompt before and after a change: by the record of the calls, on the questions that were asked with both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from groundup.cli import cli
from groundup.errors import UnknownName, UsageError
from groundup.stack.retrieval.rag import RULES
from groundup.systems.research.calls import call, version
from groundup.systems.research.comparing import compare
from groundup.systems.research.planning import PLANNER
from tests.systems.research.conftest import Opened
from tests.systems.research.models import Scripted, saying

QUESTIONS = ("What is an idempotency key?", "What is full jitter?")
SHORTER = "Plan. One sub-question on a line."
BEFORE, AFTER = version(PLANNER), version(SHORTER)
QUOTE = "An idempotency key is a random value that a client sends with a request and repeats with every retry of it."


def model(tokens_out: int, read: str = "nothing") -> Scripted:
    usage = {"input_tokens": 900, "output_tokens": tokens_out, "total_tokens": 900 + tokens_out}
    return saying("no plan", read, usage={**usage, "input_token_details": {"cache_read": 40}})


def ask(opened: Opened, scripted: Scripted, *questions: str, **instructions: str) -> list[str]:
    with opened(scripted) as research:
        research.instructions = instructions
        ids = [research.begin(question) for question in questions]
        for id in ids:
            list(research.run(id))
    return ids


def test_a_call_is_kept_with_the_version_of_its_prompt_and_the_processor_that_it_took():
    messages = [{"role": "system", "content": "Count."}, {"role": "user", "content": "Is 1 prime?"}]
    _, cost = call(model(5), messages, "read for 2")
    assert cost.get("prompt") == version("Count.") != version("Count!")
    assert 0 <= cost.get("processor", -1) < 60
    messages[1]["content"] = "Is 2 prime?"
    assert call(model(5), messages, "read for 2")[1].get("prompt") == version("Count."), "of instructions alone"


def test_two_versions_are_compared_on_the_questions_that_were_asked_with_both(opened: Opened, tmp_path: Path):
    ask(opened, model(700), QUESTIONS[0])  # an older one, which does not count
    ask(opened, model(300), *QUESTIONS, "What is a lease?")
    ask(opened, model(100), *QUESTIONS, "What is a token bucket?", plan=SHORTER)
    ask(opened, model(500), *QUESTIONS, read="Read.")  # newer, with the plan before, and yet no other side for it
    with opened() as research:
        (comparison,) = compare(research, BEFORE[:5], AFTER)
    assert (comparison.purpose, comparison.model, comparison.questions) == ("plan", "scripted", 2)
    before, after = comparison.before, comparison.after
    assert (before.prompt, before.calls, before.call.tokens_out) == (BEFORE, 2, 300)
    assert (after.prompt, after.calls, after.call.tokens_out) == (AFTER, 2, 100)
    assert (before.call.tokens_in, before.call.cached) == (900, 40)
    assert before.report.tokens_out == 3 * 300, "a plan, and a sub-question that is read for twice"
    assert before.call.processor is not None
    assert (comparison.same, before.answered, after.answered) == (2, 0, 0)
    store = str(tmp_path / "research.sqlite")
    arguments = ["research", "costs", "--store", store, "--compare", BEFORE, AFTER]
    shown = CliRunner().invoke(cli, arguments)
    assert shown.exit_code == 0, shown.output
    assert "2 of 2 reports say the same" in shown.output
    assert "0.33" in shown.output, "a third of the tokens"
    (printed,) = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).output)["comparisons"]
    assert printed["after"]["call"]["tokens_out"] == 100
    rows = json.loads(CliRunner().invoke(cli, ["research", "costs", "--store", store, "--json"]).output)["rows"]
    assert {row["prompt"] for row in rows if row["purpose"] == "plan"} == {BEFORE, AFTER}


def test_reports_that_say_something_else_are_counted(opened: Opened):
    ask(opened, model(300, f"{QUOTE} [1]"), QUESTIONS[0])
    ask(opened, model(100), QUESTIONS[0], plan=SHORTER)
    with opened() as research:
        (comparison,) = compare(research, BEFORE, AFTER)
    assert (comparison.same, comparison.before.answered, comparison.after.answered) == (0, 1, 0)


def test_reports_in_which_another_prompt_differs_too_are_not_compared(opened: Opened):
    ask(opened, model(300), QUESTIONS[0])
    ask(opened, model(100), QUESTIONS[0], plan=SHORTER, read="Read.")
    with opened() as research, pytest.raises(UsageError, match="no question was asked with both"):
        compare(research, BEFORE, AFTER)


def test_what_cannot_be_compared_is_said(opened: Opened, tmp_path: Path):
    ask(opened, model(300), QUESTIONS[0])
    with opened() as research:
        with pytest.raises(UnknownName, match="no version of a prompt called 'nope'"):
            compare(research, BEFORE, "nope")
        with pytest.raises(UnknownName, match="no version of a prompt called ''"):
            compare(research, BEFORE, "")
        with pytest.raises(UsageError, match=f"compare must name two versions of a prompt, got '{BEFORE}' twice"):
            compare(research, BEFORE, BEFORE[:4])
        with pytest.raises(UsageError, match="no question was asked with both"):
            compare(research, BEFORE, version(RULES))
    arguments = ["research", "costs", "--store", str(tmp_path / "research.sqlite"), "--report", "a", "--compare"]
    refused = CliRunner().invoke(cli, [*arguments, BEFORE, AFTER])
    assert "compare covers all reports, without --report and --prices" in str(refused.exception)

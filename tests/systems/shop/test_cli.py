"""The commands, as a person calls them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "shop-demo"


@pytest.fixture(scope="module")
def shown(folder: Path) -> Ran:
    """What `groundup shop demo` prints; it must need no network."""
    command = [sys.executable, "-m", "groundup", "shop", "demo", "--no-serve", "--folder", str(folder)]
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "GROUNDUP_LLM": ""}
    environment = {key: value for key, value in os.environ.items() if key != "GROUNDUP_DATA_MIRROR"} | nowhere
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280, check=False)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def call(folder: Path, groundup: Callable[..., Ran]) -> Callable[..., Ran]:
    """A command on the demo's store."""

    def run(*arguments: str, stdin: str = "") -> Ran:
        return groundup("shop", *arguments, stdin=stdin, GROUNDUP_SHOP=str(folder / "shop.sqlite"), GROUNDUP_LLM="")

    return run


def test_the_demo_cancels_undoes_refuses_and_answers(shown: Ran) -> None:
    assert shown.code == 0, shown.err
    text = " ".join(shown.out.split())
    assert "Shall I do this? Answer yes or no." in text
    assert "Done, as entry 1 of the record." in text
    assert "Undo 1: Cancel order" in text
    assert "That is not possible: order" in text
    assert "is no order of yours" in text
    assert re.search(r"The color of the T-Shirt can be .*\[1\] shop\.documents/t-shirt\.md:\d+-\d+", text)
    assert "I can only help with this shop" in text
    assert text.count("The database is as it was.") == 2
    assert text.count("The database has changed.") == 1
    assert "Traceback" not in shown.err


def test_the_record_is_listed_and_undone_once(shown: Ran, call: Callable[..., Ran]) -> None:
    record = call("history", "--json").json["record"]
    assert [(entry["id"], entry["command"], entry["undone"]) for entry in record] == [
        (2, "undo", None), (1, "cancel_order", 2),
    ]  # fmt: skip
    assert "undone by 2" in call("history").out
    again = call("undo", "1")
    assert (again.code, again.err) == (
        2, "groundup: ID must be an entry that can be undone, and 1 is undone by 2 already. Nothing was done.\n",
    )  # fmt: skip
    assert call("undo", "99").code == 2


def test_a_question_is_answered_with_a_place_that_opens(shown: Ran, call: Callable[..., Ran]) -> None:
    asked = call("ask", "What", "colors", "does", "the", "T-Shirt", "come", "in?", "--json").json
    citation = asked["answer"]["citations"][0]
    assert asked["route"]["intent"] == "product_question"
    assert "T-Shirt" in call("open", citation["where"]).out
    more = call("ask", "--conversation", asked["conversation"], "I", "want", "to", "talk", "to", "a", "human")
    assert "I hand you over to a person" in more.out
    assert call("ask", "--conversation", "nowhere", "hello").code == 2


def test_reviews_are_learnt_from_a_folder(shown: Ran, call: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "reviews").mkdir()
    (tmp_path / "reviews" / "lamp.md").write_text("# Desk Lamp\n\nThe dimmer of the desk lamp buzzes a little.\n")
    assert "reviews/lamp.md" in call("learn", str(tmp_path / "reviews"), "--json").json["documents"]
    asked = call("ask", "Does", "the", "dimmer", "of", "the", "desk", "lamp", "buzz?", "--json").json
    assert asked["text"] == "The dimmer of the desk lamp buzzes a little. [1]"
    assert asked["answer"]["citations"][0]["where"].startswith("reviews/lamp.md:")


def test_a_conversation_is_read_line_by_line(shown: Ran, call: Callable[..., Ran]) -> None:
    said = call("chat", stdin="I want to cancel my order\nnobody@example.com\n\n")
    assert said.code == 0, said.err
    assert "Who are you?" in said.out
    assert "I find nobody" in said.out


def test_dialogues_to_train_on_are_written(shown: Ran, call: Callable[..., Ran], tmp_path: Path) -> None:
    ran = call("sft-data", str(tmp_path / "sft.jsonl"), "--dialogues", "1", "--json")
    assert ran.json["dialogues"] == len((tmp_path / "sft.jsonl").read_text().splitlines()) > 3


def test_one_table_says_what_is_solved_and_that_no_rule_was_broken(shown: Ran, call: Callable[..., Ran]) -> None:
    ran = call("evaluate", "--tasks", "1", "--no-router", "--json")
    assert ran.code == 0, ran.err
    rows = {row["what"]: row for row in ran.json["rows"]}
    assert rows["solved: all, 12 tasks"]["value"] > rows["solved: all, 12 tasks"]["baseline"]
    violations = [row["value"] for what, row in rows.items() if "violations" in what]
    assert violations == [0] * 8


def test_what_is_wrong_is_one_line(groundup: Callable[..., Ran], tmp_path: Path) -> None:
    ran = groundup("shop", "history", "--store", str(tmp_path / "none.sqlite"))
    assert ran.code == 2
    assert ran.err.startswith("groundup: store must be a file that exists, and '")
    ran = groundup("shop", "chat", "--store", str(tmp_path / "s.sqlite"), "--model", "nonsense")
    assert ran.err.startswith("groundup: model must be ollama:NAME")
    assert not (tmp_path / "s.sqlite").exists(), "a wrong model is refused before a shop is made"

"""The small model that comes with groundup answers at once, and is what is said of it."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from groundup.cli import main
from groundup.data.registry import REGISTRY
from groundup.errors import StoreError
from groundup.systems.language_model import commands, small
from groundup.systems.language_model.data import Page
from groundup.systems.language_model.published import read_published
from groundup.systems.language_model.run_folder import RunFolder
from groundup.systems.language_model.small import ABOUT, MODEL, about_small, pack_small, small_line


def test_it_answers_without_a_run_folder_and_says_what_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["llm", "chat", "--say", "How do I list files?", "--temperature", "0", "--max-tokens", "16"])
    said = capsys.readouterr()
    assert ended.value.code == 0
    assert said.out.strip()
    assert "to write the command line for a described task" in said.err
    assert "It is small" in said.err
    assert "Run no line that you have not checked" in said.err


def test_it_is_small_and_better_than_a_unigram_model_on_what_never_trained():
    about = about_small()
    assert MODEL.stat().st_size < 10_000_000
    for part in ("text_before_tuning", "answers"):
        assert about["measures"][part]["loss"] < about["measures"][part]["unigram"]
    scores = about["measures"]["commands"]
    assert {"nearest", "commonest"} < set(scores)
    for measure in ("exact", "program", "words_f1"):
        assert scores["model"][measure] > scores["replaced"][measure]
    held = read_published(MODEL)
    assert sum(weight.numel() for weight in held.model.parameters()) == about["parameters"]


def test_one_that_was_not_judged_by_commands_says_its_losses():
    about = about_small()
    about = {**about, "measures": {part: value for part, value in about["measures"].items() if part != "commands"}}
    assert re.search(
        r"by one core to answer\. It is small: held-out answers have [\d.]+ nats a token", small_line(about)
    )


def test_its_data_are_those_of_the_registry_and_may_be_shared():
    for name, data in about_small()["data"].items():
        assert data["sha256"] == REGISTRY[name].sha256
        assert data["licence"] in ("Apache-2.0", "CC BY 4.0", "public domain (the repository is under MIT)")
        assert "STAND-IN" not in json.dumps(about_small()["data_as_read"])


def test_a_file_that_was_changed_is_refused(tmp_path, monkeypatch):
    for path in (MODEL, ABOUT):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(small, "MODEL", tmp_path / MODEL.name)
    monkeypatch.setattr(small, "ABOUT", tmp_path / ABOUT.name)
    (tmp_path / MODEL.name).write_bytes(b"GGUF")
    with pytest.raises(StoreError, match=r"small\.gguf is another file than small\.json describes"):
        about_small()
    (tmp_path / ABOUT.name).unlink()
    with pytest.raises(StoreError, match="must hold the small model"):
        about_small()


def test_a_run_is_packed_with_what_is_known_of_it(trained, tmp_path, monkeypatch):
    from tests.systems.language_model.conftest import instructions

    monkeypatch.setattr("groundup.systems.language_model.data.read_instructions", instructions)
    with pytest.raises(StoreError, match="must be of a corpus whose licence is known, and is of made up"):
        pack_small(trained.path, tmp_path / "other")
    text = trained.tokens()
    text.document["text"] = "tiny_shakespeare (made up)"
    monkeypatch.setattr(RunFolder, "tokens", lambda self: text)
    about = pack_small(trained.path, tmp_path)
    assert about == json.loads((tmp_path / "small.json").read_text(encoding="utf-8"))
    assert (about["stage"], set(about["data"])) == ("grpo", {"instructions", "tiny_shakespeare"})
    assert about["checkpoints_sha256"]["pretrain"] == trained.need("pretrain").sha256
    assert "million weights, trained on instructions, tiny_shakespeare by one core to answer" in small_line(about)
    assert "a unigram model" in small_line(about)


PAGES = [
    Page("ls", "List.", [("List all files", "ls --all"), ("Display help", "ls --help")]),
    Page("git log", "Show commits.", [("Display help", "git log --help")]),
]


def test_a_line_is_right_when_it_is_the_page_s_whatever_its_quotes_and_spaces():
    uses = commands.uses_of(PAGES)
    assert uses[0].question == "How do I list all files with ls?"
    perfect = commands.score(lambda use: f" `{use.line}`\n", uses)
    assert perfect == {"exact": 1.0, "program": 1.0, "words_f1": 1.0}
    first = commands.score(lambda use: "ls --all", uses)
    assert first == pytest.approx({"exact": 1 / 3, "program": 2 / 3, "words_f1": (1 + 0.5 + 0) / 3})
    assert commands.score(lambda use: "", uses) == {"exact": 0.0, "program": 0.0, "words_f1": 0.0}


def test_answers_that_need_no_model_name_the_command_that_is_asked_for():
    asked = commands.Use("tar", "Display the help", "How do I display the help with tar?", "tar --help")
    known = commands.uses_of(PAGES)
    assert commands.commonest(known)(asked) == "tar --help"
    assert commands.Nearest(known)(asked) == "tar --help"
    assert commands.Nearest(known)(commands.Use("dir", "list all", "", "")) == "dir --all"


def test_the_uses_that_judge_are_the_same_each_time():
    assert commands.judged(PAGES, 2) == commands.judged(PAGES, 2)
    assert len(commands.judged(PAGES)) == 3

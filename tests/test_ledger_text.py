"""The ledger survives a lost disk and moves to a second machine: as text in the workspace's git."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from groundup.course.course import Course
from groundup.course.learner.ledger import Ledger
from groundup.course.learner.ledgertext import export, restore
from groundup.course.learner.workspace import Workspace
from groundup.errors import UsageError, WorkspaceError
from tests.test_ledger import SOURCE, verdict


def filled(folder: Path) -> Ledger:
    ledger = Ledger(folder / "ledger.sqlite")
    ledger.append("started", "bedrock/vectors")
    ledger.record(verdict(), SOURCE)
    ledger.record(verdict("failed", source="x = 1\n"), "x = 1\n")
    ledger.append("report", payload={"track": "devops", "item": "D15", "done": True})
    return ledger


def test_a_ledger_comes_back_whole_from_its_text(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    (path,) = export(ledger, tmp_path / "text")
    again = Ledger(tmp_path / "again.sqlite")
    assert restore(again, tmp_path / "text") == 4
    assert again.events() == ledger.events()
    assert again.units() == ledger.units()
    assert again.source(verdict().code_sha256) == SOURCE
    again.append("started", "bedrock/autograd")
    assert again.last_id() == ledger.last_id() + 1
    assert path.name == f"{ledger.events()[0].at.date()}.jsonl"


def test_only_new_events_are_appended_and_a_code_stands_once_a_day(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    (path,) = export(ledger, tmp_path / "text")
    before = path.read_text()
    assert export(ledger, tmp_path / "text") == []
    ledger.record(verdict(), SOURCE)
    export(ledger, tmp_path / "text")
    assert path.read_text().startswith(before)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["id"] for line in lines if "id" in line] == [1, 2, 3, 4, 5]
    assert sum("source" in line for line in lines) == 2


def test_a_line_that_was_cut_off_is_left_out_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    (path,) = export(filled(tmp_path), tmp_path / "text")
    whole = path.read_text()
    path.write_text(whole[:-30])
    assert restore(Ledger(tmp_path / "cut.sqlite"), tmp_path / "text") == 3
    path.write_text("{broken\n" + whole)
    with pytest.raises(WorkspaceError, match=r"jsonl:1 is damaged: .*`git log -p` in the workspace"):
        restore(Ledger(tmp_path / "damaged.sqlite"), tmp_path / "text")
    path.write_text(whole.replace("a @ b", "a + b"))
    with pytest.raises(UsageError, match="does not match its hash: nothing was restored"):
        restore(Ledger(tmp_path / "forged.sqlite"), tmp_path / "text")


def test_after_a_line_that_was_cut_off_its_event_is_written_again(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    (path,) = export(ledger, tmp_path / "text")
    whole = path.read_text()
    path.write_text(whole[:-30])
    assert export(ledger, tmp_path / "text") == [path]
    assert path.read_text() == whole


def test_text_that_cannot_be_written_costs_nothing_and_is_written_later(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "learner")
    with Course(workspace) as course:
        workspace.create()
        workspace.ledger_texts.write_text("a file is in the way")
        course.start("vectors")
        course.report("devops", "D15")
    assert [event.kind for event in course.ledger.events()] == ["started", "report"]
    workspace.ledger_texts.unlink()
    with Course(workspace) as course:
        course.report("devops", "D15", done=False)
    assert restore(Ledger(tmp_path / "again.sqlite"), workspace.ledger_texts) == 3


def test_nothing_is_restored_over_events(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    export(ledger, tmp_path / "text")
    with pytest.raises(UsageError, match="is not empty: nothing was restored"):
        restore(ledger, tmp_path / "text")


@pytest.mark.skipif(shutil.which("git") is None, reason="git keeps the text")
def test_a_clone_of_the_workspace_knows_what_was_done(tmp_path: Path) -> None:
    with Course(Workspace(tmp_path / "first")) as course:
        course.start("vectors")
        course.report("devops", "D15")
    clone = tmp_path / "second"
    subprocess.run(["git", "clone", "-q", str(tmp_path / "first"), str(clone)], check=True)
    assert not (clone / ".groundup" / "ledger.sqlite").exists()
    with Course(Workspace(clone)) as moved:
        assert moved.restored == 2
        assert [event.kind for event in moved.ledger.events()] == ["started", "report"]
        assert moved.states()["bedrock/vectors"].status == "started"
    with Course(Workspace(clone)) as again:
        assert again.restored == 0


def test_a_command_that_records_nothing_keeps_nothing(tmp_path: Path) -> None:
    with Course(Workspace(tmp_path / "learner")) as course:
        course.states()
    assert not (tmp_path / "learner").exists()

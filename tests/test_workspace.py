"""The workspace is plain files in a git repository, and nothing in it is ever lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from groundup.course.learner.workspace import Workspace, write_atomically
from groundup.errors import WorkspaceError


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "learn")
    workspace.create()
    return workspace


def history(workspace: Workspace) -> list[str]:
    log = subprocess.run(["git", "log", "--format=%s"], cwd=workspace.root, capture_output=True, text=True, check=False)
    return log.stdout.splitlines()


def test_the_folder_given_wins_then_the_environment_then_the_nearest_parent_then_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GROUNDUP_WORKSPACE", raising=False)
    inside = tmp_path / "mine" / "deep" / "folder"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert Workspace.find().root == tmp_path / "home" / "groundup"
    (tmp_path / "mine" / ".groundup").mkdir()
    assert Workspace.find().root == tmp_path / "mine"
    monkeypatch.setenv("GROUNDUP_WORKSPACE", str(tmp_path / "env"))
    assert Workspace.find().root == tmp_path / "env"
    assert Workspace.find(tmp_path / "given").root == tmp_path / "given"


def test_a_new_workspace_is_a_git_repository_and_making_it_twice_changes_nothing(workspace: Workspace) -> None:
    assert (workspace.root / ".git").is_dir()
    (workspace.root / ".gitignore").write_text("mine\n")
    workspace.create()
    assert (workspace.root / ".gitignore").read_text() == "mine\n"


def test_a_commit_holds_only_the_files_named_and_leaves_what_the_learner_staged(workspace: Workspace) -> None:
    theirs = workspace.root / "theirs.txt"
    theirs.write_text("staged by hand")
    subprocess.run(["git", "add", "theirs.txt"], cwd=workspace.root, check=True)
    path = workspace.write_exercise("bedrock/vectors", "x = 1\n")
    assert workspace.commit("Start bedrock/vectors", [path])
    shown = subprocess.run(
        ["git", "show", "--stat", "HEAD"], cwd=workspace.root, capture_output=True, text=True, check=True
    )
    assert "vectors.py" in shown.stdout
    assert "theirs.txt" not in shown.stdout
    assert history(workspace) == ["Start bedrock/vectors"]


def test_without_git_the_workspace_still_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    workspace = Workspace(tmp_path / "plain")
    workspace.create()
    path = workspace.write_exercise("bedrock/vectors", "x = 1\n")
    assert not workspace.commit("Start", [path])
    assert workspace.read_exercise("bedrock/vectors") == "x = 1\n"


def test_backups_never_overwrite_each_other(workspace: Workspace) -> None:
    kept = []
    for text in ("one", "two"):
        workspace.write_exercise("bedrock/vectors", text)
        backup = workspace.back_up("bedrock/vectors")
        assert backup is not None
        kept.append(backup)
    assert [backup.read_text() for backup in kept] == ["one", "two"]


def test_a_file_that_is_not_utf8_gives_one_clear_error(workspace: Workspace) -> None:
    path = workspace.exercise("bedrock/vectors")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x = '\xff\xfe'\n")
    with pytest.raises(WorkspaceError, match=r"not UTF-8 text \(byte 5\). Save it as UTF-8"):
        workspace.read_exercise("bedrock/vectors")


def test_a_write_that_fails_changes_nothing_and_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.py"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(WorkspaceError, match="No space left on device. Nothing was changed"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_gives_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkspaceError, match="Give another folder with --workspace"):
        Workspace(tmp_path / "file" / "learn").create()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are POSIX's")
def test_a_pipe_in_place_of_an_exercise_is_an_error_and_not_a_wait(workspace: Workspace) -> None:
    path = workspace.exercise("bedrock/vectors")
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(WorkspaceError, match="is not a file. Move it away; `groundup start bedrock/vectors` writes"):
        workspace.read_exercise("bedrock/vectors")

"""The learner's folder: plain files, kept in git."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from groundup.errors import WorkspaceError
from groundup.files import replace_file

STATE = ".groundup"
IGNORED = f"""\
# Files that can be made again stay out of the history; your solutions, journal and ledger (as text) stay in.
{STATE}/cache/
{STATE}/runs/
{STATE}/run/
{STATE}/mlflow*
{STATE}/*.sqlite
{STATE}/*-wal
{STATE}/*-shm
__pycache__/
"""


class Workspace:
    """One learner's folder. Nothing is created until `create` is called.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).expanduser().absolute()
        self.state_dir = self.root / STATE
        self.exercises = self.root / "exercises"
        self.backups = self.exercises / ".backup"
        self.journal_dir = self.root / "journal"
        self.ledger_path = self.state_dir / "ledger.sqlite"
        self.ledger_texts = self.state_dir / "ledger"
        self.cache_dir = self.state_dir / "cache"
        self._git_lock = threading.Lock()

    @classmethod
    def find(cls, given: str | Path | None = None) -> Workspace:
        """The workspace that a command means.

        In this order: the folder given, `GROUNDUP_WORKSPACE`, the nearest parent folder that holds
        `.groundup/`, and `~/groundup`.
        """
        named = given or os.environ.get("GROUNDUP_WORKSPACE")
        if named:
            return cls(Path(named))
        here = Path.cwd()
        home = Path.home() / "groundup"
        return cls(next((folder for folder in (here, *here.parents) if (folder / STATE).is_dir()), home))

    @property
    def exists(self) -> bool:
        """Whether the folder has been made a workspace."""
        return self.state_dir.is_dir()

    def create(self) -> None:
        """Make the folder and its git repository, unless they exist. Raises WorkspaceError."""
        if self.exists:
            return
        try:
            for folder in (self.state_dir, self.exercises, self.journal_dir):
                folder.mkdir(parents=True, exist_ok=True)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                ignore.write_text(IGNORED, encoding="utf-8")
        except OSError as error:
            raise WorkspaceError(
                f"The workspace {self.root} cannot be written: {error.strerror}. "
                "Give another folder with --workspace DIR or GROUNDUP_WORKSPACE."
            ) from error
        if not (self.root / ".git").exists():
            self._git("init", "--quiet")

    def exercise(self, unit_id: str) -> Path:
        """The path of the learner's file of a unit, present or future."""
        return self.exercises / f"{unit_id}.py"

    def read_exercise(self, unit_id: str) -> str | None:
        """The learner's file, or None where there is none. Raises WorkspaceError when it is not UTF-8 text."""
        path = self.exercise(unit_id)
        try:
            if not path.is_file() and path.exists():  # reading a pipe would wait for a writer
                raise WorkspaceError(f"{path} is not a file. Move it away; `groundup start {unit_id}` writes one.")
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise WorkspaceError(
                f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8 and check again."
            ) from error
        except OSError as error:
            raise WorkspaceError(f"{path} cannot be read: {error.strerror}.") from error

    def write_exercise(self, unit_id: str, text: str) -> Path:
        """Write the learner's file whole or not at all."""
        path = self.exercise(unit_id)
        write_atomically(path, text)
        return path

    def back_up(self, unit_id: str) -> Path | None:
        """Put a copy of the learner's file aside, under a name with the time; None where there is no file."""
        path = self.exercise(unit_id)
        if not path.exists():
            return None
        stamp = datetime.now().strftime("%Y-%m-%dT%H-%M-%S-%f")
        target = self.backups / f"{unit_id}.{stamp}.py"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
        return target

    def commit(self, message: str, paths: Iterable[Path]) -> bool:
        """Commit these files to the workspace's own repository; False where git cannot, which is never an error."""
        names = [str(path.relative_to(self.root)) for path in (*paths, self.root / ".gitignore") if path.exists()]
        with self._git_lock:  # git refuses a second process at the same repository
            if not names or not self._git("add", "--", *names):
                return False
            # Only these paths: everything else that the learner has staged stays staged.
            return self._git("commit", "--quiet", "--no-verify", "-m", message, "--", *names)

    def _git(self, *arguments: str) -> bool:
        git = shutil.which("git")
        if git is None:
            return False
        try:
            done = subprocess.run(
                [git, *arguments],
                cwd=self.root,
                env={**(_identity(git, self.root) if arguments[0] == "commit" else {}), **os.environ},
                capture_output=True,
                timeout=20,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def _identity(git: str, root: Path) -> dict[str, str]:
    """The committer: the learner's own name and address, if git has them configured, or groundup's."""
    identity = {}
    for part, key, ours in (("NAME", "user.name", "groundup"), ("EMAIL", "user.email", "groundup@localhost")):
        answer = subprocess.run([git, "config", key], cwd=root, capture_output=True, text=True, check=False)
        value = answer.stdout.strip() if answer.returncode == 0 else ours
        identity |= {f"GIT_AUTHOR_{part}": value, f"GIT_COMMITTER_{part}": value}
    return identity


def write_atomically(path: Path, text: str) -> None:
    """Write a text file: a reader, even after a crash, sees the old or the new text whole. Raises WorkspaceError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text, mode=0o600)
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be written: {error.strerror}. Nothing was changed.") from error

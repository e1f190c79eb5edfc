"""The journal: one Markdown file for each day in the workspace, for the learner's editor and the site alike.

Nothing is overwritten unseen: who writes says which version was read, and a file that has changed since is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Lock

from groundup.course.learner.workspace import write_atomically
from groundup.course.material.tracks import Progress
from groundup.course.verdict import sha256_text
from groundup.errors import UsageError, WorkspaceError

QUESTIONS = (
    "What did you learn today, in your own words?",
    "What is still unclear?",
    "What comes next?",
)
ABSENT = "absent"
_WRITING = Lock()  # the site answers several requests at once


class JournalConflict(WorkspaceError):
    """The page has changed since it was read."""


@dataclass(frozen=True)
class Page:
    """One day's page. `version` is what `Journal.write` wants back; a template that nobody saved does not exist yet."""

    day: date
    text: str
    version: str
    exists: bool


class Journal:
    """The pages of a folder, `YYYY-MM-DD.md`.

    Args:
        folder: the workspace's journal folder; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, day: date | str) -> Path:
        """Where the page of a day is, or will be. Raises UsageError when the day is no date."""
        return self.folder / f"{parse_day(day).isoformat()}.md"

    def days(self) -> list[date]:
        """The days that have a page, oldest first; files with other names are not pages."""
        found = []
        for path in self.folder.glob("*.md"):
            try:
                day = date.fromisoformat(path.stem)
            except ValueError:
                continue
            if path.stem == day.isoformat():
                found.append(day)
        return sorted(found)

    def read(self, day: date | str, questions: Sequence[str] = QUESTIONS) -> Page:
        """The page of a day; where there is none yet, the template with these questions, which nothing has saved.

        Raises:
            UsageError: the day is no date.
            WorkspaceError: the file is not UTF-8 text, or cannot be read.
        """
        day = parse_day(day)
        text = self._text(self.path(day))
        if text is None:
            return Page(day, template(day, questions), ABSENT, exists=False)
        return Page(day, text, sha256_text(text), exists=True)

    def write(self, day: date | str, text: str, version: str) -> Page:
        """Save a page whole or not at all, if the file is still the version that was read.

        Raises:
            JournalConflict: the file has changed since; it stays as it is, and so does the text that was not saved.
            UsageError: the day is no date.
            WorkspaceError: the file cannot be written.
        """
        day = parse_day(day)
        path = self.path(day)
        text = _storable(text)
        with _WRITING:
            if version == ABSENT and self._create(path, text):
                return self.read(day)
            now = self._text(path)
            if version != (ABSENT if now is None else sha256_text(now)):
                change = "is gone" if now is None else "has changed on disk"
                raise JournalConflict(
                    f"{path} {change} since you opened it. Nothing was saved: copy your text, open the page again, "
                    "and add it there."
                )
            write_atomically(path, text)
        return self.read(day)

    def start(self, day: date | str, questions: Sequence[str] = QUESTIONS) -> Path:
        """Write the template of a day where there is no page yet, and return the page's path."""
        day = parse_day(day)
        self._create(self.path(day), template(day, questions))
        return self.path(day)

    def _create(self, path: Path, text: str) -> bool:
        """Write a page that does not exist; False where one exists."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("x").close()  # claims the name: of two writers, one
        except FileExistsError:
            return False
        except OSError as error:
            raise WorkspaceError(f"{path} cannot be written: {error.strerror}. Nothing was changed.") from error
        try:
            write_atomically(path, text)
        except WorkspaceError:
            path.unlink(missing_ok=True)
            raise
        return True

    def _text(self, path: Path) -> str | None:
        try:
            # Bytes, so that line ends stay as they are and the version is that of the file.
            return path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise WorkspaceError(
                f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8 and open it again."
            ) from error
        except OSError as error:
            raise WorkspaceError(f"{path} cannot be read: {error.strerror}.") from error


def _storable(text: str) -> str:
    """The text with the line ends of the file; a browser's form sends others. Raises UsageError."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(f"text must be Unicode; character {error.start} is half of a surrogate pair.") from error
    return text.replace("\r\n", "\n")


def parse_day(day: date | str) -> date:
    """A day from `YYYY-MM-DD` or `today`. Raises UsageError."""
    if isinstance(day, date):
        return day
    text = day.strip()
    if text == "today":
        return date.today()
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:
        raise UsageError(f"day must be a date written YYYY-MM-DD, for example {date.today()}, or `today`, not '{day}'.")
    return found


def template(day: date, questions: Sequence[str] = QUESTIONS) -> str:
    """The page that a day begins with: the date, and a heading for each question."""
    return "\n\n".join([f"# {day.isoformat()}", *(f"## {question}" for question in questions)]) + "\n\n"


def questions_for(progress: Progress | None, day: date) -> tuple[str, ...]:
    """The reflection questions of a day: those of the items that the plan has on it, then the general ones.

    On the last day of a section, its checkpoint is asked as well.
    """
    if progress is None:
        return QUESTIONS
    there = progress.on(day)
    questions = [question for entry in there for question in entry.item.questions]
    ending = [entry.item for entry in there if entry.end == day]
    for section in progress.track.sections:
        if section.checkpoint and any(item is section.items[-1] for item in ending):
            questions += [f"{section.title}: is this true of you? {statement}" for statement in section.checkpoint]
    return (*questions, *QUESTIONS)

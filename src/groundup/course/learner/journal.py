"""The journal: one Markdown file for each day in the workspace, for the learner's editor and the site alike.

Nothing is overwritten unseen: a writer names the version that was read, and a file that has changed since stays.
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
    """One day's page. `version` goes back to `Journal.write`; an unsaved template does not exist yet."""

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
        """The path of a day's page, present or future. Raises UsageError when the day is no date."""
        return self.folder / f"{parse_day(day).isoformat()}.md"

    def days(self) -> list[date]:
        """The days that have a page, oldest first; files with other names are not pages."""
        days = []
        for path in self.folder.glob("*.md"):
            try:
                day = date.fromisoformat(path.stem)
            except ValueError:
                continue
            if path.stem == day.isoformat():
                days.append(day)
        return sorted(days)

    def read(self, day: date | str, questions: Sequence[str] = QUESTIONS) -> Page:
        """The page of a day; without one, the unsaved template with these questions.

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
            JournalConflict: the file has changed since; it stays as it is, and the text is not saved.
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
        """Write a new page; False where a page exists."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("x").close()  # claims the name for one of two writers
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
            # Bytes, so that line ends stay and the version is the file's.
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
    """The text with the line ends of the file, in place of those that a browser's form sends. Raises UsageError."""
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
        parsed = date.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.isoformat() != text:
        raise UsageError(f"day must be a date written YYYY-MM-DD, for example {date.today()}, or `today`, not '{day}'.")
    return parsed


def template(day: date, questions: Sequence[str] = QUESTIONS) -> str:
    """The page that a day begins with: the date, and a heading for each question."""
    return "\n\n".join([f"# {day.isoformat()}", *(f"## {question}" for question in questions)]) + "\n\n"


def questions_for(progress: Progress | None, day: date) -> tuple[str, ...]:
    """The reflection questions of a day: those of the day's items, then the general questions.

    The last day of a section adds the questions of its checkpoint.
    """
    if progress is None:
        return QUESTIONS
    entries = progress.on(day)
    questions = [question for entry in entries for question in entry.item.questions]
    ending = [entry.item for entry in entries if entry.end == day]
    for section in progress.track.sections:
        if section.checkpoint and any(item is section.items[-1] for item in ending):
            questions += [f"{section.title}: is this true of you? {statement}" for statement in section.checkpoint]
    return (*questions, *QUESTIONS)

"""Journal pages: files that two programs write and nobody loses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pytest

from groundup.course.learner.journal import QUESTIONS, Journal, JournalConflict, questions_for
from groundup.course.material.roadmaps import Track
from groundup.course.material.tracks import Choice, progress
from groundup.errors import UsageError, WorkspaceError

DAY = date(2026, 11, 24)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def test_a_new_page_is_a_template_that_nothing_has_saved(journal: Journal) -> None:
    page = journal.read("2026-11-24", ["Why?", "And then?"])
    assert page.text == "# 2026-11-24\n\n## Why?\n\n## And then?\n\n"
    assert not page.exists
    assert not journal.folder.exists()
    assert journal.days() == []


def test_what_is_written_is_read_back_and_lies_in_a_markdown_file(journal: Journal) -> None:
    saved = journal.write(DAY, "# Today\r\nÜber η\n", journal.read(DAY).version)
    assert saved.exists
    assert journal.path(DAY).read_bytes() == "# Today\nÜber η\n".encode()
    assert journal.read(DAY) == saved
    assert journal.write(DAY, "", saved.version).text == ""
    assert journal.days() == [DAY]


def test_a_page_that_changed_on_disk_is_not_overwritten(journal: Journal) -> None:
    page = journal.write(DAY, "mine\n", journal.read(DAY).version)
    journal.path(DAY).write_text("written in the editor\n")
    with pytest.raises(JournalConflict, match=r"2026-11-24\.md has changed on disk .* Nothing was saved: copy"):
        journal.write(DAY, "from the site\n", page.version)
    assert journal.path(DAY).read_text() == "written in the editor\n"


def test_a_page_that_appeared_or_went_meanwhile_is_a_conflict(journal: Journal) -> None:
    template = journal.read(DAY)
    journal.folder.mkdir()
    journal.path(DAY).write_text("from the editor\n")
    with pytest.raises(JournalConflict, match="has changed on disk"):
        journal.write(DAY, "from the site\n", template.version)
    page = journal.read(DAY)
    journal.path(DAY).unlink()
    with pytest.raises(JournalConflict, match="is gone since you opened it"):
        journal.write(DAY, "again\n", page.version)
    assert journal.days() == []


def test_starting_a_page_never_overwrites(journal: Journal) -> None:
    path = journal.start(DAY, ["Why?"])
    assert path.read_text() == "# 2026-11-24\n\n## Why?\n\n"
    path.write_text("mine\n")
    assert journal.start(DAY, ["Why?"]).read_text() == "mine\n"


def test_of_many_writers_at_once_exactly_one_wins(journal: Journal) -> None:
    def write(text: str, version: str) -> bool:
        try:
            journal.write(DAY, text, version)
        except JournalConflict:
            return False
        return True

    for round_ in range(3):
        texts = [f"round {round_}, writer {n}\n" for n in range(32)]
        with ThreadPoolExecutor(16) as pool:
            won = list(pool.map(write, texts, [journal.read(DAY).version] * len(texts)))
        assert sum(won) == 1
        assert journal.read(DAY).text == texts[won.index(True)]
        assert [path.name for path in journal.folder.iterdir()] == ["2026-11-24.md"]


@pytest.mark.parametrize("day", ["", "24.11.2026", "2026-02-30", "20261124", "../../etc/passwd", "2026-11-24/x"])
def test_what_is_no_day_is_refused(journal: Journal, day: str) -> None:
    for act in (journal.read, journal.path, journal.start, lambda d: journal.write(d, "x", "absent")):
        with pytest.raises(UsageError, match=r"day must be a date written YYYY-MM-DD.* not '"):
            act(day)


def test_today_is_a_day(journal: Journal) -> None:
    assert journal.path("today").name == f"{date.today()}.md"


def test_only_pages_are_listed(journal: Journal) -> None:
    journal.folder.mkdir()
    for name in ("2026-11-25.md", "2026-11-24.md", "notes.md", "20261123.md", "2026-11-22.txt"):
        (journal.folder / name).write_text("")
    assert journal.days() == [DAY, DAY + timedelta(1)]


def test_a_file_that_is_not_utf8_is_said_to_be_so(journal: Journal) -> None:
    journal.folder.mkdir()
    journal.path(DAY).write_bytes(b"caf\xe9")
    with pytest.raises(WorkspaceError, match=r"2026-11-24\.md is not UTF-8 text \(byte 3\)\. Save it as UTF-8"):
        journal.read(DAY)


def test_text_that_no_file_can_hold_is_refused_and_leaves_nothing(journal: Journal) -> None:
    with pytest.raises(UsageError, match="text must be Unicode; character 1 is half of a surrogate pair"):
        journal.write(DAY, "a\ud800", journal.read(DAY).version)
    assert journal.days() == []


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file is in the way")
    journal = Journal(tmp_path / "journal")
    with pytest.raises(WorkspaceError, match="cannot be (read|written): "):
        journal.write(DAY, "text", "absent")


def test_the_questions_of_a_day_are_those_of_its_items(track: Track) -> None:
    now = progress(Choice(track, DAY, 7), {}, [], today=DAY)
    assert questions_for(now, DAY) == ("Why a?", *QUESTIONS)
    assert questions_for(now, DAY + timedelta(1)) == ("Why a?", *QUESTIONS)
    assert questions_for(now, DAY + timedelta(3)) == ("Week 1: is this true of you? It is so.", *QUESTIONS)
    assert questions_for(now, DAY - timedelta(9)) == QUESTIONS
    assert questions_for(None, DAY) == QUESTIONS

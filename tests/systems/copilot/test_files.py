"""Files and pipes into the store: each line once, whatever happens to the files meanwhile."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from groundup.errors import UsageError
from groundup.systems.copilot.sources import files
from groundup.systems.copilot.sources.files import Ingested, ingest_files, ingest_stream, state_of
from groundup.systems.copilot.store import Source, Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "copilot.duckdb") as opened:
        yield opened


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


def lines_of(store: Store) -> dict[str, list[str]]:
    """The lines of each file, by its name as the store has it."""
    return {f"{one.id} {Path(one.name).name}": store.texts(one) for one in store.sources()}


def numbered(begin: int, end: int) -> str:
    return "".join(f"INFO line {i}\n" for i in range(begin, end))


def expected(begin: int, end: int) -> list[str]:
    return numbered(begin, end).splitlines()


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_only_what_is_new_is_stored(store: Store, logs: Path) -> None:
    log = logs / "app.log"
    total = 0
    for size in (3, 0, 200, 1):
        append(log, numbered(total, total + size))
        total += size
        assert ingest_files(store, [str(log)]).lines == size
        assert lines_of(store) == {"1 app.log": expected(0, total)}


def test_blocks_cut_lines_anywhere_and_nothing_is_lost(
    store: Store, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "é日本\r\n\n" + numbered(0, 40) + "x" * 100 + "\n"
    for block in (1, 2, 7, 64, 1000):
        monkeypatch.setattr(files, "BLOCK", block)
        log = logs / f"{block}.log"
        log.write_bytes(text.encode())
        ingest_files(store, [str(log)])
        assert store.texts(store.sources()[-1]) == ["é日本", "", *expected(0, 40), "x" * 100]


def test_a_packed_or_recoded_file_gives_fewer_bytes_at_its_end_only(logs: Path) -> None:
    """A block that is not full ends a file, so a stream that gives less in between would lose what is behind it."""
    text = "".join(f"INFO line {number} é\n" for number in range(9_000)).encode()
    parts = text[: len(text) // 2], text[len(text) // 2 :]  # members and frames that follow each other
    for name, content in {
        "plain.log": text,
        "gzip.log.gz": b"".join(map(gzip.compress, parts)),
        "bz2.log.bz2": b"".join(map(bz2.compress, parts)),
        "xz.log.xz": b"".join(map(lzma.compress, parts)),
        "zstd.log.zst": b"".join(map(zstandard.ZstdCompressor().compress, parts)),
        "utf16.log": text.decode().encode("utf-16"),
    }.items():
        (logs / name).write_bytes(content)
        with files.open_content(logs / name) as opened:
            sizes = [len(opened.stream.read(1_000)) for _ in range(len(text) // 1_000 + 1)]
            assert (sizes[:-1], sizes[-1], opened.stream.read(1_000)) == (
                [1_000] * (len(text) // 1_000), len(text) % 1_000, b"",
            ), name  # fmt: skip


def test_a_last_line_waits_for_its_end(store: Store, logs: Path) -> None:
    log = logs / "app.log"
    log.write_text("INFO one\nINFO tw")
    done = ingest_files(store, [str(log)])
    assert (done.lines, done.waiting) == (1, 1)
    append(log, "o\nINFO thr")
    assert ingest_files(store, [str(log)]).lines == 1
    append(log, "ee\n")
    done = ingest_files(store, [str(log)])
    assert (done.lines, done.waiting) == (1, 0)
    assert lines_of(store) == {"1 app.log": ["INFO one", "INFO two", "INFO three"]}


def test_a_last_line_of_a_file_that_nobody_writes_to_is_stored_and_replaced_if_it_goes_on(
    store: Store, logs: Path
) -> None:
    log = logs / "app.log"

    def written(text: str) -> int:
        append(log, text)
        os.utime(log, (1_000_000_000 + log.stat().st_size, 1_000_000_000 + log.stat().st_size))
        return ingest_files(store, [str(log)]).lines

    assert written("INFO one\nINFO tw") == 2
    assert ingest_files(store, [str(log)]).lines == 0
    assert written("o") == 0, "the same line, longer"
    assert lines_of(store) == {"1 app.log": ["INFO one", "INFO two"]}
    assert written("\nINFO three\n") == 1
    assert lines_of(store) == {"1 app.log": ["INFO one", "INFO two", "INFO three"]}
    assert [row[0] for row in store.connection.execute("SELECT position FROM lines ORDER BY 1").fetchall()] == [1, 2, 3]


def test_a_file_with_nothing_but_an_unended_line(store: Store, logs: Path) -> None:
    log = logs / "app.log"
    log.write_text("ERROR only")
    os.utime(log, (1_000_000_000, 1_000_000_000))
    assert ingest_files(store, [str(log)]).lines == 1
    append(log, " this\nINFO b\n")
    ingest_files(store, [str(log)])
    assert lines_of(store) == {"1 app.log": ["ERROR only this", "INFO b"]}


# ── rotation ────────────────────────────────────────────────────────────────────────────────────────────────────────
def renamed(log: Path) -> None:
    log.rename(log.with_name(f"{log.name}.1"))


def copied_and_cut(log: Path) -> None:
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)


def packed(log: Path) -> None:
    with gzip.open(log.with_name(f"{log.name}-20261120.gz"), "wb") as file:
        file.write(log.read_bytes())
    log.unlink()


@pytest.mark.parametrize("rotate", [renamed, copied_and_cut, packed])
@pytest.mark.parametrize("whole_folder", [False, True])
@pytest.mark.parametrize("size", [5, 300])
def test_nothing_is_lost_and_nothing_comes_twice_over_a_rotation(
    store: Store, logs: Path, rotate: Callable[[Path], None], whole_folder: bool, size: int
) -> None:
    log = logs / "app.log"
    given = [str(logs if whole_folder else log)]
    log.write_text(numbered(0, size))
    ingest_files(store, given)
    append(log, numbered(size, size + 5))  # what nobody has read when the file is rotated
    rotate(log)
    append(log, numbered(1000, 1000 + 2 * size))
    ingest_files(store, given)
    append(log, numbered(2000, 2003))
    ingest_files(store, given)
    first, second = lines_of(store).values()
    assert first == expected(0, size + 5)
    assert second == expected(1000, 1000 + 2 * size) + expected(2000, 2003)


def test_several_rotations_between_two_looks(store: Store, logs: Path) -> None:
    log = logs / "app.log"
    log.write_text(numbered(0, 5))
    ingest_files(store, [str(logs)])
    append(log, numbered(5, 8))
    renamed(log)
    log.write_text(numbered(8, 12))
    log.with_name("app.log.1").rename(log.with_name("app.log.2"))
    renamed(log)
    log.write_text(numbered(12, 20))
    ingest_files(store, [str(logs)])
    assert sorted(line for lines in lines_of(store).values() for line in lines) == sorted(expected(0, 20))


def test_a_log_that_is_rotated_away_and_not_there_yet_is_read_to_its_end(store: Store, logs: Path) -> None:
    log = logs / "app.log"
    log.write_text(numbered(0, 5))
    ingest_files(store, [str(log)])
    append(log, numbered(5, 8))
    renamed(log)
    assert ingest_files(store, [str(log)]).lines == 3
    log.write_text(numbered(8, 9))
    assert ingest_files(store, [str(log)]).lines == 1
    assert lines_of(store) == {"1 app.log.1": expected(0, 8), "2 app.log": expected(8, 9)}


def test_a_file_written_anew_under_its_name_is_another_log(store: Store, logs: Path) -> None:
    log = logs / "app.log"
    log.write_text(numbered(0, 100))
    ingest_files(store, [str(log)])
    log.write_text(numbered(500, 700))
    ingest_files(store, [str(log)])
    assert list(lines_of(store).values()) == [expected(0, 100), expected(500, 700)]


def test_two_files_that_say_the_same_are_two_logs(store: Store, logs: Path) -> None:
    for name in ("a.log", "b.log", "a.log.1"):
        (logs / name).write_text(numbered(0, 5))
    ingest_files(store, [str(logs)])
    ingest_files(store, [str(logs)])
    assert list(lines_of(store).values()) == [expected(0, 5)] * 3


def test_an_editor_that_writes_a_file_anew_with_more_in_it_changes_nothing(store: Store, logs: Path) -> None:
    log = logs / "app.log"
    log.write_text(numbered(0, 5))
    ingest_files(store, [str(log)])
    log.unlink()
    log.write_text(numbered(0, 7))
    assert ingest_files(store, [str(log)]).lines == 2


# ── what a file may hold ────────────────────────────────────────────────────────────────────────────────────────────
def test_gzip_utf16_marks_and_bytes_that_are_no_text(store: Store, logs: Path) -> None:
    (logs / "a.gz").write_bytes(gzip.compress(b"INFO a\nINFO b"))
    (logs / "b.log").write_bytes("INFO é\r\nINFO b\r\n".encode("utf-16"))
    (logs / "c.log").write_bytes(b"\xef\xbb\xbfINFO a\n\xff\xfe broken \xc3\nINFO \xe2\x82\n")
    (logs / "d.log").write_bytes(b"x" * 200_000 + b"\nINFO after\n")
    (logs / "e.log").write_bytes(b"y" * 6_000_000 + b"\nINFO after\n" + b"z" * 6_000_000 + b"\n")
    for _ in range(2):
        ingest_files(store, [str(logs)])
        assert list(lines_of(store).values()) == [
            ["INFO a", "INFO b"],
            ["INFO é", "INFO b"],
            ["INFO a", "\ufffd\ufffd broken \ufffd", "INFO \ufffd"],
            ["x" * 65_536, "INFO after"],
            ["y" * 65_536, "INFO after", "z" * 65_536],
        ]
    append(logs / "e.log", "INFO more\n")
    assert ingest_files(store, [str(logs)]).lines == 1


def test_what_is_no_log_in_a_folder_is_left_out(store: Store, logs: Path, tmp_path: Path) -> None:
    (logs / "a.log").write_text("INFO a\n")
    (logs / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    (logs / "c.bin").write_bytes(b"a\x00b\n")
    (logs / ".hidden").write_text("INFO hidden\n")
    done = ingest_files(store, [str(tmp_path)])
    assert (done.lines, done.files, len(done.skipped)) == (1, 1, 2), "the store beside them is not counted"


def test_damaged_gzip_keeps_what_stands_before(store: Store, logs: Path) -> None:
    whole = gzip.compress(numbered(0, 5000).encode())
    (logs / "cut.gz").write_bytes(whole[: len(whole) // 2])
    ingest_files(store, [str(logs / "cut.gz")])
    (cut,) = lines_of(store).values()
    assert "\n".join(expected(0, 5000)).startswith("\n".join(cut))
    assert len(cut) > 1000
    (logs / "cut.gz").write_bytes(whole)
    ingest_files(store, [str(logs / "cut.gz")])
    assert list(lines_of(store).values()) == [expected(0, 5000)]
    (logs / "bad.gz").write_bytes(whole[:20] + b"\xff" * 200)
    bad = ingest_files(store, [str(logs / "bad.gz")]).unread[str(logs / "bad.gz")]
    assert "bad.gz' cannot be unpacked: the gzip data is damaged" in bad


def test_files_that_cannot_be_read_are_named(store: Store, logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"a log file or a folder that exists, and '.*no\.log' does not"):
        ingest_files(store, [str(logs / "no.log")])
    (logs / "a.log").write_text("x\n")

    def refused(path: Path, *_: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(UsageError, match=r"must be readable, and '.*a\.log' is not: Permission denied"):
        ingest_files(store, [str(logs / "a.log")])


def test_stopping_leaves_whole_batches_and_the_rest_for_the_next_time(
    store: Store, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BLOCK", 100)
    log = logs / "app.log"
    log.write_text(numbered(0, 1000))
    batches = []
    ingest_files(store, [str(log)], report=lambda _, lines: batches.append(lines), stopped=lambda: len(batches) == 3)
    assert len(batches) == 3
    assert lines_of(store) == {"1 app.log": expected(0, sum(batches))}
    ingest_files(store, [str(log)])
    assert lines_of(store) == {"1 app.log": expected(0, 1000)}


def test_the_state_of_files_tells_whether_anything_was_written(logs: Path) -> None:
    log = logs / "app.log"
    assert state_of([str(logs), str(log)]) == ()
    log.write_text("a\n")
    before = state_of([str(logs)])
    assert before == state_of([str(logs)]) != ()
    append(log, "b\n")
    assert state_of([str(logs)]) != before


# ── pipes ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_pipe_is_a_source_of_its_own_each_time(store: Store) -> None:
    text = numbered(0, 50) + "INFO last"
    for data in (text.encode(), gzip.compress(text.encode())):
        assert ingest_stream(store, io.BytesIO(data)) == Ingested(lines=51, files=1)
    assert list(lines_of(store).values()) == [[*expected(0, 50), "INFO last"]] * 2
    assert ingest_stream(store, io.BytesIO(b"")) == Ingested()
    assert len(store.sources()) == 2


def test_what_comes_slowly_through_a_pipe_is_stored_while_it_comes(store: Store) -> None:
    read, write = os.pipe()
    stored = threading.Event()

    def send() -> None:
        with os.fdopen(write, "wb", buffering=0) as pipe:
            pipe.write(b"INFO one\nINFO tw")
            assert stored.wait(60), "the first line is stored before the pipe ends"
            pipe.write(b"o\n")

    sender = threading.Thread(target=send)
    sender.start()
    with os.fdopen(read, "rb") as stream:
        done = ingest_stream(store, stream, report=lambda source, lines: stored.set())
    sender.join()
    assert done.lines == 2
    assert list(lines_of(store).values()) == [["INFO one", "INFO two"]]


def test_damage_in_a_pipe_keeps_what_stands_before(store: Store) -> None:
    whole = gzip.compress(numbered(0, 5000).encode())
    done = ingest_stream(store, io.BytesIO(whole[: len(whole) // 2]))
    assert "of 'standard input' the gzip data ends too early" in done.unread["standard input"]
    (found,) = lines_of(store).values()
    assert found[:-1] == expected(0, 5000)[: len(found) - 1]


def test_small_files_are_written_together_and_reported_once_they_are(
    store: Store, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (logs / f"{number}.log").write_text(numbered(0, 20))
    written, flush = [], Store.flush
    monkeypatch.setattr(Store, "flush", lambda self: (written.append(len(self._pending)), flush(self)))
    told: list[tuple[str, int]] = []

    def report(source: Source, lines: int) -> None:
        assert store.written, "reported before it is stored"
        told.append((Path(source.name).name, lines))

    assert ingest_files(store, [str(logs)], report=report).lines == 100
    assert [count for count in written if count] == [5]
    assert told == [(f"{number}.log", 20) for number in range(5)]
    assert lines_of(store) == {f"{number + 1} {number}.log": expected(0, 20) for number in range(5)}


def test_what_was_to_be_written_with_a_batch_that_fails_is_read_again(
    store: Store, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (logs / f"{number}.log").write_text(numbered(0, 20))
    with monkeypatch.context() as broken:
        broken.setattr(Store, "_write_templates", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ingest_files(store, [str(logs)])
    assert store.sources() == []
    assert ingest_files(store, [str(logs)]).lines == 60
    assert ingest_files(store, [str(logs)]).lines == 0
    assert lines_of(store) == {f"{number + 1} {number}.log": expected(0, 20) for number in range(3)}
    (template,) = store.miner.templates()
    assert (template.text, template.count) == ("line <*>", 60)


def test_an_unreadable_file_does_not_cost_what_was_read_before_it(store: Store, logs: Path) -> None:
    (logs / "a.log").write_text(numbered(0, 20))
    (logs / "b.log").write_bytes(bytes(range(256)) * 64)
    ingested = ingest_files(store, [str(logs / "a.log"), str(logs / "b.log")])
    assert ingested.lines == 20
    assert list(ingested.unread) == [str(logs / "b.log")]
    assert lines_of(store) == {"1 a.log": expected(0, 20)}

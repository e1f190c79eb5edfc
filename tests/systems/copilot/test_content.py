"""A log is read whatever it is packed with and encoded in, or is refused in one line: never called healthy unread."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from groundup.systems.copilot.errors import CannotRead
from groundup.systems.copilot.reading.content import opened_as_text
from groundup.systems.copilot.reading.logs import open_logs
from groundup.systems.copilot.sources.files import ingest_files, ingest_stream
from groundup.systems.copilot.store import open_store
from tests.conftest import Ran

Groundup = Callable[..., Ran]
LINES = [f"2026-03-02T10:{i // 60:02d}:{i % 60:02d}Z INFO shop order {i} placed" for i in range(60)]
LINES[40] = "2026-03-02T10:00:40Z ERROR shop could not reach ledger-db: connection refused – no answer"
TEXT = "\n".join(LINES) + "\n"
PACKED = {
    "gzip": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "zstd": zstandard.ZstdCompressor().compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}  # fmt: skip
ENCODED = [
    TEXT.encode(), TEXT.encode("utf-8-sig"), TEXT.encode("utf-16"), TEXT.encode("utf-16-le"), TEXT.encode("utf-16-be"),
    TEXT.encode("utf-32"), TEXT.encode("utf-32-le"), TEXT.encode("utf-32-be"), b"\0" * 5_000 + TEXT.encode(),
]  # fmt: skip


@pytest.mark.parametrize("data", ENCODED)
@pytest.mark.parametrize("packed", [None, *PACKED])
def test_every_packing_and_encoding_is_read_by_files_pipes_and_the_store(
    tmp_path: Path, data: bytes, packed: str | None
) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(data if packed is None else PACKED[packed](data))
    with open_logs(log) as lines:
        assert list(lines) == LINES
        assert lines.damage is None
    with open_store(tmp_path / "copilot.duckdb") as store:
        ingest_files(store, [str(log)])
        ingest_stream(store, io.BytesIO(log.read_bytes()))
        assert [store.texts(source) for source in store.sources()] == [LINES, LINES]


@pytest.mark.parametrize("packed", ["gzip", "xz", "bz2", "zstd"])
def test_several_members_behind_each_other_are_one_log(packed: str) -> None:
    pack = PACKED[packed]
    data = pack(TEXT.encode()) + pack(b"INFO after\n")
    assert opened_as_text(io.BytesIO(data), "x").stream.read() == TEXT.encode() + b"INFO after\n"


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("fault", ["cut", "damaged"])
def test_what_is_cut_or_damaged_is_read_as_far_as_it_goes_and_said(tmp_path: Path, packed: str, fault: str) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(faulty(packed, fault))
    with open_logs(log) as lines:
        assert list(lines)[:60] == LINES
        assert f"the {packed} data " in (lines.damage or "")
    (tmp_path / "next.log").write_text("INFO next\n")
    with open_store(tmp_path / "x.duckdb") as store:
        done = ingest_files(store, [str(log), str(tmp_path / "next.log")])
        assert f"the {packed} data " in done.unread[str(log)]
        first, second = store.sources()
        assert store.texts(first)[:60] == LINES
        assert store.texts(second) == ["INFO next"], "a file that is cut does not stop the files after it"


def faulty(packed: str, fault: str) -> bytes:
    rng = random.Random(7)
    text = "".join(f"2026-03-02T10:00:00Z INFO shop order {rng.random()} placed\n" for _ in range(40_000))
    data = bytearray(PACKED[packed]((TEXT + text).encode()))
    if fault == "cut":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2 :] = rng.randbytes(1_000)
    return bytes(data)


def test_why_and_ingest_say_that_a_log_is_cut(groundup: Groundup, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(faulty("gzip", "cut"))
    ran = groundup("copilot", "why", str(log))
    assert (ran.code, "could not reach ledger-db" in ran.out) == (3, True)
    assert "the gzip data ends too early" in ran.err
    ran = groundup("copilot", "ingest", str(log), "--store", str(tmp_path / "x.duckdb"))
    assert (ran.code, "the gzip data ends too early" in ran.err) == (3, True)


def test_failures_that_come_evenly_are_routine_in_a_whole_log_and_shown_in_one_that_is_cut(
    groundup: Groundup, tmp_path: Path
) -> None:
    rng, log = random.Random(5), tmp_path / "app.log.gz"
    said = ["ERROR shop card {} declined" if rng.random() < 0.02 else "INFO shop order {} placed" for _ in range(6_000)]
    lines = [
        f"2026-03-02T{10 + i // 3600}:{i // 60 % 60:02}:{i % 60:02}Z {words.format(rng.random())}"
        for i, words in enumerate(said)
    ]
    packed = gzip.compress("\n".join(lines).encode())
    log.write_bytes(packed)
    ran = groundup("copilot", "why", str(log))
    assert (ran.code, "Nothing in these logs tells of a failure." in ran.out) == (0, True)
    log.write_bytes(packed[: len(packed) * 3 // 4])
    ran = groundup("copilot", "why", str(log))
    assert ran.code == 3
    assert "ERROR shop card" in ran.out
    assert "app.log.gz' the gzip data ends too early" in ran.err
    document = groundup("copilot", "why", str(log), "--json").json
    assert 4_000 < document["read"]["records"] < 5_000
    assert (document["nothing"], len(document["unread"])) == (False, 1)
    store = str(tmp_path / "x.duckdb")
    groundup("copilot", "ingest", str(log), "--store", store)
    ran = groundup("copilot", "why", "--store", store)
    assert (ran.code, "ERROR shop card" in ran.out, "ends too early" in ran.err) == (3, True, True)


NO_TEXT = {
    "random": random.Random(1).randbytes(5_000),
    "small": b"a\x00b\n",
    "zeros": bytes(9_000),
    "PNG": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + random.Random(2).randbytes(50),
    "zip": b"PK\x03\x04" + b"app.log ERROR",
    "lz4": b"\x04\x22\x4d\x18" + b"ERROR",
    "event log": b"ElfFile\0" + bytes(100),
    "journal": b"LPKSHHRH" + bytes(100),
    "tar": b"app.log".ljust(257, b"\0") + b"ustar\0" + b"ERROR it broke\n" * 50,
    "numbers": b"".join(i.to_bytes(2, "little") for i in range(4_000)),
    "gzip of zeros": gzip.compress(bytes(5_000)),
    "cut at once": gzip.compress(TEXT.encode())[:11],
}


@pytest.mark.parametrize("kind", NO_TEXT)
def test_what_is_no_text_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    log = tmp_path / "app.bin"
    log.write_bytes(NO_TEXT[kind])
    with pytest.raises(CannotRead, match=r"FILE must be a log, and '.*app\.bin' ."), open_logs(log):
        pass


def test_what_is_no_text_is_never_called_healthy(groundup: Groundup, tmp_path: Path) -> None:
    log = tmp_path / "app.bin"
    log.write_bytes(NO_TEXT["random"])
    for command in ("why", "templates", "ingest"):
        store = ("--store", str(tmp_path / f"{command}.duckdb")) if command == "ingest" else ()
        ran = groundup("copilot", command, str(log), *store)
        assert ran.code == 3
        assert f"FILE must be a log, and '{log}' is no text" in ran.err
        assert len(ran.err.splitlines()) == 1
        assert "Nothing in" not in ran.out
    document = groundup("copilot", "why", str(log), "--json").json
    assert (document["nothing"], document["evidence"], len(document["unread"])) == (False, [], 1)


@pytest.mark.parametrize(
    "text",
    [
        "8=FIX.4.2\x019=65\x0135=A\x0149=CLIENT\x0156=SERVER\x0110=062\x01\n" * 50,
        "\x1b[31mERROR\x1b[0m it broke\n" * 50,
        "BZh is how this line begins\n",
        "注文を受け付けました。\n" * 20,
        "ERROR nul \0 inside of a long line of text that goes on and on and on and on\n" * 3,
        "".join(f"\x07 bell {i}\n" for i in range(9)),
    ],
)
def test_text_with_a_few_odd_characters_is_text(text: str) -> None:
    assert opened_as_text(io.BytesIO(text.encode()), "x").stream.read() == text.encode()
    latin = io.BytesIO("Größe überschritten: Ärger mit Umlauten\n".encode("latin-1") * 9)
    assert opened_as_text(latin, "x").stream.read(2) == b"Gr"


def test_the_answer_says_how_much_was_read_and_understood(groundup: Groundup) -> None:
    lines = ["2026-03-02T10:00:00Z INFO a", "all is well", "2026-03-02T10:00:01Z b", "c"]
    ran = groundup("copilot", "why", "-", stdin="\n".join(lines))
    assert "Nothing in these logs tells of a failure." in ran.out
    assert "4 records were read, 2 with a time, 1 with a level." in ran.out
    assert groundup("copilot", "why", "-", "--json", stdin="\n".join(lines)).json["read"] == {
        "records": 4, "lines": 4, "timed": 2, "levelled": 1,
    }  # fmt: skip
    plain = groundup("copilot", "why", "-", stdin="all is well\n")
    assert "Nothing in the words of these logs tells of a failure." in plain.out
    assert "1 record was read, none with a time, none with a level." in plain.out
    ran = groundup("copilot", "why", "-", stdin="ERROR it broke\n  at a.b(C.java:1)\n")
    assert "1 record of 2 lines was read, none with a time, 1 with a level." in ran.out


def test_a_pipe_of_no_text_is_refused_and_files_beside_it_are_stored(tmp_path: Path) -> None:
    with open_store(tmp_path / "copilot.duckdb") as store:
        with pytest.raises(CannotRead, match="FILE must be a log, and 'standard input' is no text"):
            ingest_stream(store, io.BytesIO(NO_TEXT["random"]))
        (tmp_path / "a.bin").write_bytes(NO_TEXT["random"])
        (tmp_path / "b.log").write_text("INFO b\n")
        done = ingest_files(store, [str(tmp_path / "a.bin"), str(tmp_path / "b.log")])
        assert (done.lines, list(done.unread)) == (1, [str(tmp_path / "a.bin")])

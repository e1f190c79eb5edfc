"""The knowledge base: what files say, found again at its place, and kept in step with them."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup.errors import MissingPackage, StoreError, UnknownName, UsageError
from groundup.knowledge import Knowledge, default_location, open_knowledge

BOOKS = {
    "KubePodNotReady.md": (
        "# KubePodNotReady\n\n## Meaning\n\nA pod does not become ready.\n\n"
        "## Mitigation\n\nLook at its readiness probe.\n"
    ),
    "node/NodeDiskFull.md": "# NodeDiskFull\n\n## Meaning\n\nThe file system of a machine has no space left.\n",
    "etcd.txt": "etcd has no leader: the members cannot see each other.",
    ".clinerules/style.md": "# Rules\n\nBranches are named after tickets.\n",
}


@pytest.fixture
def books(tmp_path: Path) -> Path:
    for name, text in BOOKS.items():
        path = tmp_path / "books" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "books"


@pytest.fixture
def knowledge(books: Path, tmp_path: Path) -> Knowledge:
    opened = open_knowledge(tmp_path / "kb")
    opened.learn([books])
    return opened


def found(knowledge: Knowledge, query: str) -> list[str]:
    return [one.source for one in knowledge.search(query)]


def test_each_kind_of_file_is_found_by_words_by_meaning_and_by_the_parts_of_its_name(knowledge: Knowledge) -> None:
    assert found(knowledge, "Pod shop/web-7c9 is not ready")[0] == "books/KubePodNotReady.md"
    assert found(knowledge, "the disk is full")[0] == "books/node/NodeDiskFull.md"
    assert found(knowledge, "nobody leads the cluster: its members lost each other")[0] == "books/etcd.txt"
    assert found(knowledge, "how should I call my branch")[0] == "books/.clinerules/style.md"
    assert sorted(found(knowledge, "pod")) == sorted(f"books/{name}" for name in BOOKS)  # each document once


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("ip-10-0-9-9 was not ready for more than 20 minutes", "node.md"),
        ("ip-10-0-9-9.eu-west-1.compute.internal has been unready for an hour", "node.md"),
        ("gke-shop-pool-1-0a1b2c3d-x4k2 was not ready for more than 20 minutes", "node.md"),
        ("shop/cart-7c9d8f6b5x-x2k4j was not ready for more than 20 minutes", "pod.md"),
        ("pvc-0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f was not ready for more than 20 minutes", "volume.md"),
    ],
)
def test_a_name_that_is_all_a_query_says_of_its_subject_counts_as_what_it_names(
    query: str, first: str, tmp_path: Path
) -> None:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    for name, subject in (("node", "node"), ("pod", "pod"), ("volume", "persistent volume"), ("alert", "monitor")):
        text = f"# Not ready\n\nThe {subject} is not ready for minutes. Describe the {subject} first.\n"
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    knowledge = open_knowledge(tmp_path / "kb2")
    knowledge.learn([folder])
    assert found(knowledge, query)[0] == f"runbooks/{first}"


def test_scripts_without_spaces_and_letters_written_in_two_ways_are_found_by_their_words(tmp_path: Path) -> None:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    (folder / "a.md").write_text("# 连接池耗尽\n\n如果数据库连接池已耗尽，请重启账本服务。\n", encoding="utf-8")
    (folder / "b.md").write_text("# 磁盘空间不足\n\n请清理日志。\n", encoding="utf-8")
    (folder / "c.md").write_text(unicodedata.normalize("NFD", "# Café geschlossen\n\nSchlüssel?\n"), encoding="utf-8")
    knowledge = open_knowledge(tmp_path / "kb2")
    knowledge.learn([folder])
    assert found(knowledge, "为什么账本服务的连接池满了")[0] == "runbooks/a.md"
    assert found(knowledge, "日志太多，磁盘满了")[0] == "runbooks/b.md"
    words = knowledge._index.words.search(["连接池 磁盘", "café"], 1)[0]
    assert words[1][0] >= 0, "NFD text is found by an NFC query"
    assert knowledge._index.words.search([{"连接": 1.0}], 1)[0][0][0] >= 0, "pairs of characters are terms"


def test_rows_of_a_long_table_are_found_by_its_header_and_cited_at_their_place(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    rows = "".join(f"| queue-{name} | {number} |\n" for number, name in enumerate(("amber", "birch", "cedar") * 60))
    text = f"# Limits\n\n| queue | retention hours |\n|---|---|\n{rows}"
    (folder / "limits.md").write_text(text, encoding="utf-8")
    knowledge = open_knowledge(tmp_path / "kb3")
    knowledge.learn([folder])
    chunks = knowledge._index.passages
    assert len(chunks) > 3, "the table is longer than a chunk"
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert (chunk.header + chunk.text).count("| retention hours |") == 1
    assert (knowledge._index.words.search(["retention"], len(chunks))[0] >= 0).all(), (
        "each chunk has the header's words"
    )


def test_what_is_found_stands_at_its_place_in_the_file(knowledge: Knowledge, books: Path) -> None:
    for one in knowledge.search("ready"):
        text = (books.parent / one.source).read_text(encoding="utf-8")
        assert text[one.start : one.end] == one.text
    (mitigation,) = knowledge.under("books/KubePodNotReady.md", re.compile("mitig", re.IGNORECASE))
    assert mitigation.text == "## Mitigation\n\nLook at its readiness probe."
    assert mitigation.headings == "KubePodNotReady > Mitigation"


def test_learning_again_replaces_exactly_what_changed(knowledge: Knowledge, books: Path) -> None:
    again = knowledge.learn([books])
    assert (again.documents, again.added, again.updated, again.removed) == (4, 0, 0, 0)
    before = set(knowledge.collection.get()["ids"])
    (books / "etcd.txt").write_text("etcd lost its disk.", encoding="utf-8")
    (books / "node" / "NodeDiskFull.md").unlink()
    (books / "new.md").write_text("# Redis\n\nRedis evicts keys.\n", encoding="utf-8")
    changed = knowledge.learn([books])
    assert (changed.documents, changed.added, changed.updated, changed.removed) == (4, 2, 0, 2)
    after = set(knowledge.collection.get()["ids"])
    assert (len(before - after), len(after - before)) == (2, 2)
    assert "books/node/NodeDiskFull.md" not in found(knowledge, "file system of a machine has no space left")
    assert found(knowledge, "redis evicts keys")[0] == "books/new.md"


def test_a_new_heading_over_an_old_text_is_found_by_its_meaning_too(tmp_path: Path) -> None:
    file = tmp_path / "a" / "notes.md"
    file.parent.mkdir()
    body = "## Steps\n\nCall the person on duty.\n"
    file.write_text(f"# Certificates\n\nx y z.\n\n{body}", encoding="utf-8")
    knowledge = open_knowledge(tmp_path / "kb")
    knowledge.learn([file])
    file.write_text(f"# Payments are declined\n\nx y z.\n\n{body}", encoding="utf-8")
    learned = knowledge.learn([file])
    assert learned.updated == 1
    stored: Any = knowledge.collection.get(include=["documents", "metadatas", "embeddings"])
    for text, noted, vector in zip(stored["documents"], stored["metadatas"], stored["embeddings"], strict=True):
        expected = knowledge.embedder.encode([f"{noted['headings']}\n{text}"])[0]
        assert float(expected @ vector) == pytest.approx(1.0, abs=1e-5)


def test_two_folders_of_one_name_are_two_and_another_one_stays_when_one_is_learnt(tmp_path: Path) -> None:
    for team, said in (("a", "Restart the frontend."), ("b", "Restart the ledger.")):
        (tmp_path / team / "books").mkdir(parents=True)
        (tmp_path / team / "books" / "x.md").write_text(said, encoding="utf-8")
    knowledge = open_knowledge(tmp_path / "kb")
    knowledge.learn([tmp_path / "a" / "books"])
    knowledge.learn([tmp_path / "b" / "books"])
    assert sorted(found(knowledge, "restart")) == ["b/books/x.md", "books/x.md"]
    again = open_knowledge(tmp_path / "kb").learn([tmp_path / "b" / "books"])
    assert (again.added, again.updated, again.removed) == (0, 0, 0)


def test_secrets_are_hidden_before_anything_is_stored(tmp_path: Path) -> None:
    file = tmp_path / "login.md"
    file.write_text(
        "# Login\n\nUse password=hunter2hunter2 for the console.\n\n## After\n\nLog out.\n", encoding="utf-8"
    )
    knowledge = open_knowledge(tmp_path / "kb")
    knowledge.learn([file])
    stored = knowledge.collection.get()["documents"]
    assert not any("hunter2" in text for text in stored)
    assert any("password=***" in text for text in stored)
    assert {one.headings for one in knowledge.search("log out")} == {"Login > After"}


def test_a_file_that_cannot_be_read_is_left_out_with_the_reason_and_nothing_else_is_said(
    books: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (books / "scan.pdf").write_bytes(b"%PDF-1.4 nothing")
    (books / "photo.png").write_bytes(b"\x89PNG")
    learned = open_knowledge(tmp_path / "kb").learn([books])
    assert learned.documents == 4
    assert list(learned.skipped) == ["books/scan.pdf"]
    assert "cannot be read as PDF" in learned.skipped["books/scan.pdf"]
    assert not caplog.records


def test_the_neighbours_of_a_place_are_shown_with_it(knowledge: Knowledge) -> None:
    chunks, at = knowledge.around("books/KubePodNotReady.md", 62, 70)
    assert [one.headings.split(" > ")[-1] for one in chunks] == ["Meaning", "Mitigation"]
    assert at == 1
    with pytest.raises(
        UsageError, match=r"^CITATION must be a place in the document, and .* has none from 0 to 9999: "
    ):
        knowledge.around("books/KubePodNotReady.md", 0, 9999)
    with pytest.raises(UnknownName, match=r"Did you mean books/etcd.txt"):
        knowledge.around("books/etcd.md", 0, 1)


def refused(call: Callable[[], Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=re.escape(said)):
        call()


def test_what_is_asked_wrongly_gets_one_clear_error(
    knowledge: Knowledge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(lambda: knowledge.search(" "), UsageError, "query must say something, got ' '. Ask with words.")
    refused(lambda: knowledge.search("a", 0), UsageError, "k must be 1 or more, got 0.")
    gone = tmp_path / "gone"
    refused(lambda: knowledge.learn([gone]), UsageError, f"FOLDER must be an existing folder or file, and '{gone}' is")
    refused(
        lambda: open_knowledge(gone, reading=True), UsageError,
        f"knowledge must be an existing folder or the URL of a Chroma server, got '{gone}'. Fill it with the system's",
    )  # fmt: skip
    refused(
        lambda: open_knowledge("http://127.0.0.1:9"), StoreError,
        "knowledge must be a base that can be opened, and 'http://127.0.0.1:9' cannot: ",
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "chromadb", None)
    refused(lambda: open_knowledge(gone), MissingPackage, "The knowledge base needs chromadb, which is not installed.")


def test_an_empty_base_has_nothing_to_find(tmp_path: Path) -> None:
    assert open_knowledge(tmp_path / "kb").search("anything") == []


def test_it_lies_beside_the_store_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROUNDUP_KNOWLEDGE", raising=False)
    assert default_location("data/copilot.duckdb") == str(Path("data/copilot.knowledge"))
    monkeypatch.setenv("GROUNDUP_KNOWLEDGE", "http://chroma:8000")
    assert default_location("data/copilot.duckdb") == "http://chroma:8000"


def test_what_somebody_else_learns_is_found_at_the_next_search(knowledge: Knowledge, tmp_path: Path) -> None:
    assert "tmp.md" not in found(knowledge, "redis evicts keys")[0]
    (tmp_path / "tmp.md").write_text("Redis evicts keys.", encoding="utf-8")
    open_knowledge(tmp_path / "kb").learn([tmp_path / "tmp.md"])
    assert found(knowledge, "redis evicts keys")[0].endswith("/tmp.md")


def test_what_the_base_cannot_write_is_one_clear_line_and_what_was_there_stays(
    knowledge: Knowledge, books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chromadb.errors import InternalError

    before = len(knowledge)
    (books / "new.md").write_text("# New\n\nSomething else.\n", encoding="utf-8")

    def full(*_: Any, **__: Any) -> None:
        raise InternalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(knowledge.collection), "upsert", full)
        with pytest.raises(StoreError, match=r"read and written, and '.*kb' could not be: .*disk is full.*learn again"):
            knowledge.learn([books])
    assert len(knowledge) == before
    assert knowledge.learn([books]).added == 1


def test_a_base_that_cannot_be_made_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import chromadb
    from chromadb.errors import InternalError

    def full(*_: Any, **__: Any) -> None:
        raise InternalError("database or disk is full")

    monkeypatch.setattr(chromadb, "PersistentClient", full)
    with pytest.raises(StoreError, match=r"'.*kb' could not be: .*disk is full.*--knowledge"):
        open_knowledge(tmp_path / "kb")

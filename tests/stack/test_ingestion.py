"""Ingestion with its real parts: Chroma on disk and by URL, PDF files, the sentence model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("chromadb")
pytest.importorskip("pypdf")

from groundup.stack.retrieval.ingestion import (
    Changes,
    Document,
    KnowledgeBase,
    chunk,
    open_store,
    parse_markdown,
    read,
)


def embed(texts: list[str] | tuple[str, ...]) -> np.ndarray:
    """A vector of letters: texts with the same letters are close."""
    counts = np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], np.float32)
    return (counts + 0.01) / np.linalg.norm(counts + 0.01, axis=1, keepdims=True)


def base(location: str | Path | None, name: str = "knowledge") -> KnowledgeBase:
    return KnowledgeBase(open_store(location, name=name), embed, length=len, size=60, overlap=0)  # pyright: ignore[reportArgumentType]


RUNBOOK = "# Disk full\n\nClean the disk.\n\n# Memory\n\nRaise the limit.\n"


def test_what_is_stored_is_there_in_the_next_process_and_found_with_its_place(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.stack.test_ingestion import RUNBOOK, base, parse_markdown\n"
        f"print(base({str(tmp_path / 'kb')!r}).ingest(parse_markdown('disk.md', RUNBOOK, {{'team': 'ops'}})))\n"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], check=True, timeout=120, cwd=Path(__file__).parents[2]
    )
    knowledge = base(tmp_path / "kb")
    assert len(knowledge) == 2
    assert knowledge.sources() == {"disk.md"}
    (found, cosine), *_ = knowledge.search("# Memory\n\nRaise the limit.")
    assert (found.source, found.text) == ("disk.md", RUNBOOK[found.start : found.end])
    assert dict(found.metadata) == {"team": "ops", "headings": "Memory"}
    assert cosine == pytest.approx(1, abs=1e-5)
    assert knowledge.ingest(parse_markdown("disk.md", RUNBOOK, {"team": "ops"})) == Changes((), (), ())


def test_a_changed_file_replaces_its_chunks_in_chroma_and_a_removed_one_is_gone(tmp_path: Path) -> None:
    knowledge = base(tmp_path)
    first = knowledge.ingest(parse_markdown("disk.md", RUNBOOK, {"team": "ops", "draft": True}))
    knowledge.ingest(Document("other.txt", "Something else."))
    vectors = knowledge.collection.get(ids=list(first.add), include=["embeddings"])
    done = knowledge.ingest(parse_markdown("disk.md", "New.\n\n" + RUNBOOK.replace("Clean", "Empty"), {"team": "dev"}))
    assert (len(done.add), len(done.update), len(done.remove)) == (2, 1, 1)
    stored = knowledge.collection.get(where={"source": "disk.md"}, include=["metadatas", "documents", "embeddings"])
    assert sorted(stored["documents"]) == ["# Disk full\n\nEmpty the disk.", "# Memory\n\nRaise the limit.", "New."]
    for metadata in stored["metadatas"]:
        assert metadata["team"] == "dev"
        assert "draft" not in metadata
    kept = done.update[0]
    before, after = vectors["embeddings"][vectors["ids"].index(kept)], stored["embeddings"][stored["ids"].index(kept)]
    np.testing.assert_array_equal(before, after)
    assert knowledge.remove("disk.md") == 3
    assert knowledge.remove("disk.md") == 0
    assert knowledge.sources() == {"other.txt"}


def test_filters_let_through_exactly_what_they_say(tmp_path: Path) -> None:
    knowledge = base(tmp_path)
    for page in range(1, 6):
        metadata = {"page": page, "team": "ops" if page % 2 else "dev", "draft": page == 5}
        knowledge.ingest(Document(f"{page}.txt", f"Page {page} says abc.", metadata))

    def pages(**filters: object) -> list[int]:
        return sorted(int(found.metadata["page"]) for found, _ in knowledge.search("abc", 10, filters))

    assert pages() == [1, 2, 3, 4, 5]
    assert pages(team="ops") == [1, 3, 5]
    assert pages(team="ops", page={"$gte": 2, "$lt": 5}) == [3]
    assert pages(page=[1, 2, 9]) == [1, 2]
    assert pages(draft=False, team=["ops", "dev"]) == [1, 2, 3, 4]
    assert pages(source="4.txt") == [4]
    assert pages(team="nobody") == []


def test_a_store_of_another_model_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path, model="all-MiniLM-L6-v2")
    with pytest.raises(ValueError, match="made with the model 'all-MiniLM-L6-v2', not 'other'. Choose another name"):
        open_store(tmp_path, model="other")


def test_a_server_that_does_not_answer_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionError, match=f"no Chroma server answers at http://127.0.0.1:{port}"):
        open_store(f"http://127.0.0.1:{port}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("chroma")
    command = [str(program), "run", "--path", str(tmp_path / "server"), "--port", str(port), "--host", "127.0.0.1"]
    environment = {**os.environ, "ANONYMIZED_TELEMETRY": "False"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, "the Chroma server has ended"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.mark.slow  # starts a Chroma server
def test_a_chroma_server_by_its_address_does_the_same(server: str) -> None:
    knowledge = base(server)
    knowledge.ingest(parse_markdown("disk.md", RUNBOOK, {"team": "ops"}))
    assert knowledge.ingest(parse_markdown("disk.md", RUNBOOK, {"team": "ops"})) == Changes((), (), ())
    ((found, _),) = knowledge.search("limit", 5, {"headings": "Memory"})
    assert found.text == RUNBOOK[found.start : found.end]
    done = knowledge.ingest(parse_markdown("disk.md", RUNBOOK.replace("Clean", "Empty"), {"team": "ops"}))
    assert (len(done.add), len(done.remove)) == (1, 1)
    assert knowledge.remove("disk.md") == 2


def pdf(pages: list[str]) -> bytes:
    """A PDF file with a line of text on each page, written by hand."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for page in pages:
        content = f"BT /F1 12 Tf 72 720 Td ({page}) Tj ET" if page else ""
        number = len(objects) + 1
        kids.append(f"{number} 0 R")
        font = "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {number + 1} 0 R /Resources {font} >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    made, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(made))
        made += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    count = len(objects) + 1
    return (
        f"{made}xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n<< /Size {count} /Root 1 0 R >>\n"
        f"startxref\n{len(made)}\n%%EOF\n"
    ).encode()


def test_the_pages_of_a_pdf_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "guide.pdf").write_bytes(pdf(["Restart the pod.", "", "Raise the limit."]))
    document = read(tmp_path / "guide.pdf", tmp_path)
    assert document.source == "guide.pdf"
    chunks = chunk(document, length=len, size=60, overlap=0)
    assert [(c.text, c.metadata["page"]) for c in chunks] == [("Restart the pod.", 1), ("Raise the limit.", 3)]


def test_a_pdf_without_text_and_one_that_is_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(pdf(["", ""]))
    with pytest.raises(ValueError, match=r"scan.pdf has no text on its 2 pages"):
        read(tmp_path / "scan.pdf")
    (tmp_path / "fake.pdf").write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match=r"fake.pdf cannot be read as PDF"):
        read(tmp_path / "fake.pdf")


def test_files_are_read_by_their_names(tmp_path: Path) -> None:
    rules = tmp_path / ".clinerules"
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.MD").write_bytes(b"\xef\xbb\xbf# A\r\n\r\ntext\r\n")
    (tmp_path / "notes.txt").write_bytes(b"# no heading \xff")
    rules.write_text("# Style\n\nShort names.\n", encoding="utf-8")
    markdown = read(tmp_path / "docs" / "a.MD", tmp_path, {"team": "ops"})
    assert (markdown.source, markdown.text) == ("docs/a.MD", "# A\r\n\r\ntext\r\n")
    assert dict(markdown.sections[0].metadata) == {"headings": "A"}
    assert dict(markdown.metadata) == {"team": "ops"}
    plain = read(tmp_path / "notes.txt")
    assert (plain.text, list(plain.sections)) == ("# no heading \ufffd", [])
    assert dict(read(rules, tmp_path).sections[0].metadata) == {"headings": "Style"}
    rules.unlink()
    rules.mkdir()
    (rules / "names.txt").write_text("# Names\n\nWords.\n", encoding="utf-8")
    assert dict(read(rules / "names.txt", tmp_path).sections[0].metadata) == {"headings": "Names"}
    (tmp_path / "picture.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"picture.png is not a kind of file that is known here: .md"):
        read(tmp_path / "picture.png")


def test_chunks_of_real_documents_lose_nothing_and_fit_the_sentence_model() -> None:
    pytest.importorskip("onnxruntime")
    from groundup.embedding import load

    embedder = load(threads=1)
    root = Path(__file__).parents[2]
    torn = 0
    for path in (root / "README.md", root / "docs" / "units.md", root / "CHANGELOG.md"):
        document = read(path, root)
        made = chunk(document, length=embedder.tokens, size=embedder.max_tokens, overlap=32)
        covered = np.zeros(len(document.text), bool)
        for one in made:
            assert document.text[one.start : one.end] == one.body
            assert embedder.tokens(one.text) <= embedder.max_tokens
            covered[one.start : one.end] = True
            torn += sum(
                first < edge < last
                for edge in (one.start, one.end)
                for first, last in document.whole
                if embedder.tokens(document.text[first:last].strip()) <= embedder.max_tokens
                and edge < first + len(document.text[first:last].rstrip())
            )
        assert all(there or character.isspace() for character, there in zip(document.text, covered, strict=True))
    assert torn == 0


def test_a_large_document_is_chunked_in_a_time_that_grows_with_its_length() -> None:
    text = "One two three. Four five six seven eight.\n\n" * 4000 + "x" * 100_000
    calls: list[int] = []
    made = chunk(Document("a", text), length=lambda part: calls.append(1) or len(part), size=400, overlap=80)
    assert len(made) > 500
    assert len(calls) < 60_000

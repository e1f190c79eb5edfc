"""From files to a knowledge base: parse, chunk, embed, store, and keep in step with the files.

A chunk is a span of its document, `document.text[chunk.start:chunk.end] == chunk.body`, so that whatever is found can
be shown in its place, and nothing is lost between two chunks but whitespace. Only a chunk that begins among the rows of
a table has more text than that: the table's header is in front of it. A file that changed is chunked again;
chunks whose text is as before keep their ids, and only the others are embedded.

    base = KnowledgeBase(open_store("kb"), embed, length=count_tokens)
    base.ingest(read("runbooks/oom.md"))               # Changes(add=(…), update=(), remove=())
    base.ingest(read("runbooks/oom.md"))               # nothing to do, and nothing is embedded
    base.search("container killed", k=3, filters={"source": "runbooks/oom.md"})

Positions are in characters, from 0, and ends are exclusive. Lengths and sizes are in whatever `length` counts: the
tokens of the sentence model, or characters with `len`.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from jaxtyping import Float
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.front_matter import front_matter_plugin

Span = tuple[int, int]
Value = str | int | float | bool
Embed = Callable[[Sequence[str]], Float[np.ndarray, "texts features"]]

SEPARATORS = (
    r"\n\s*\n",  # paragraphs
    r"(?<=[.!?])\s+|[。！？｡][”’」』）]*\s*|\n(?=\s*[-*+|])",  # sentences, items of a list, rows of a table
    r"\n",
    r"\s+|[；，：、]",  # words; clauses, where no space parts words
)
"""Where a text may be cut, the best place first. Where there is none of them, it is cut between characters."""


class Table(NamedTuple):
    """Where a table stands: its header from `start` to `body`, its rows from there to `end`."""

    start: int
    body: int
    end: int


class Section(NamedTuple):
    """A stretch of a document with metadata of its own, such as its headings or its page. Chunks do not cross it."""

    start: int
    end: int
    metadata: Mapping[str, Value]


@dataclass(frozen=True)
class Document:
    """A text with where it came from and how it is built.

    Attributes:
        source: names it for ever: a path or an address.
        text: the whole text.
        metadata: what every chunk of it is told by, and can be filtered by.
        sections: stretches that follow each other from the first character to the last; none for a text of one piece.
        whole: spans that are not to be torn, such as code and tables, as far as they fit into a chunk.
        tables: where tables are whose headers go with each of their chunks.
    """

    source: str
    text: str
    metadata: Mapping[str, Value] = field(default_factory=dict)
    sections: Sequence[Section] = ()
    whole: Sequence[Span] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True)
class Chunk:
    """A span of a document: `document.text[start:end] == body`.

    Attributes:
        id: the same as long as the source and the text are, wherever in the document it stands.
        source: the document's.
        start: its first character.
        end: behind its last.
        text: what it says: `header`, then `body`.
        metadata: the document's and the section's.
        header: the header of the table among whose rows it begins; else empty.
    """

    id: str
    source: str
    start: int
    end: int
    text: str
    metadata: Mapping[str, Value] = field(default_factory=dict)
    header: str = ""

    @property
    def body(self) -> str:
        """The text as it stands in its place, without a repeated header."""
        return self.text[len(self.header) :]


# Parsing


_MARKDOWN = MarkdownIt("commonmark").enable("table").use(front_matter_plugin)


def parse_markdown(source: str, text: str, metadata: Mapping[str, Value] | None = None) -> Document:
    """A Markdown text with a section for each heading, and its code and tables marked as whole.

    A section begins at its heading's line and carries the path to it, `{"headings": "Install > Linux"}`, in plain
    words; the title of a front matter stands above all headings. A heading without a text of its own belongs to the
    section that follows. What stands before the first heading is a section without headings, and a front matter is one
    for itself.
    """
    # Lines as CommonMark counts them. `splitlines` would count form feeds as well, and every later position be wrong.
    lines = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
    at = [*lines, len(text)].__getitem__
    sections: list[Section] = []
    whole: list[Span] = []
    tables: list[Table] = []
    path: dict[int, str] = {}
    begin, empty = 0, True  # of the section at hand: where it begins, whether it has only headings so far
    head = 0  # where the table at hand begins

    def close(end: int) -> None:
        nonlocal begin, empty
        if end > begin:
            headings = " > ".join(path.values())
            sections.append(Section(begin, end, {"headings": headings} if headings else {}))
        begin, empty = end, True

    tokens = _MARKDOWN.parse(text)
    for token, following in pairwise([*tokens, Token("end", "", 0)]):
        first, end = map(at, token.map or (0, 0))
        if token.type == "heading_open" and token.level == 0:
            if not empty:
                close(first)
            depth = int(token.tag[1])
            path = {level: title for level, title in path.items() if level < depth}
            path[depth] = _plain(following)
        elif token.type == "front_matter":
            title = re.search(r"^title:\s*[\"']?(.+?)[\"']?\s*$", token.content, re.MULTILINE)
            path = {0: title[1]} if title else {}
            close(end)
        elif token.level == 0 and token.map:
            empty = False
        if token.type in ("fence", "code_block", "table_open"):
            whole.append((first, end))
        if token.type == "table_open":
            head = first
        elif token.type == "tbody_open":
            tables.append(Table(head, first, end))
    close(len(text))
    return Document(source, text, metadata or {}, sections, whole, tables)


def _plain(heading: Token) -> str:
    """The words of a heading without its marks."""
    return "".join(part.content or " " for part in heading.children or () if part.type not in _MARKS).strip()


_MARKS = {f"{mark}_{side}" for mark in ("em", "strong", "link") for side in ("open", "close")}


def join_pages(source: str, pages: Sequence[str], metadata: Mapping[str, Value] | None = None) -> Document:
    """The texts of pages as one document, an empty line between them; a section for each, `{"page": 1}` the first.

    Raises:
        ValueError: no page has a text, as when the pages are scanned pictures. The message names the source.
    """
    if not any(page.strip() for page in pages):
        raise ValueError(
            f"join_pages: {source} has no text on its {len(pages)} pages. If they are pictures, run a text "
            "recognition (OCR) first."
        )
    text = "\n\n".join(pages)
    begins = [0]
    for page in pages:
        begins.append(begins[-1] + len(page) + 2)
    begins[-1] = len(text)
    sections = [Section(start, end, {"page": n}) for n, (start, end) in enumerate(pairwise(begins), 1)]
    return Document(source, text, metadata or {}, sections)


def read(path: str | Path, root: str | Path | None = None, metadata: Mapping[str, Value] | None = None) -> Document:
    """A file as a document: PDF, Markdown (rules in `.clinerules` too) or plain text, by its name.

    Args:
        path: the file.
        root: the folder that the source's name is relative to; without it the name is the path as given.
        metadata: told of every chunk.

    Raises:
        ValueError: a file that is none of these, or a PDF that cannot be read or has no text.
    """
    path = Path(path)
    source = (path.relative_to(root) if root else path).as_posix()
    kind = path.suffix.lower()
    if ".clinerules" in path.parts or kind in (".md", ".markdown"):
        return parse_markdown(source, _decoded(path), metadata)
    if kind == ".pdf":
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError

        try:
            pages = [page.extract_text() for page in PdfReader(path).pages]
        except PyPdfError as error:
            raise ValueError(f"read: {path} cannot be read as PDF ({error}). Open it, and save it anew.") from error
        return join_pages(source, pages, metadata)
    if kind in (".txt", ".text", ".rst", ".log", ""):
        return Document(source, _decoded(path), metadata or {})
    raise ValueError(
        f"read: {path} is not a kind of file that is known here: .md, .markdown, .txt, .text, .rst, .log, .pdf and "
        "rules in .clinerules are. Convert it to one of them."
    )


def _decoded(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig", "replace")


# Chunking


def separate(text: str, start: int, end: int, pattern: str, whole: Sequence[Span] = ()) -> list[Span]:
    """The spans between the separators in `text[start:end]`, each separator at the end of the span before it.

    The spans follow each other without a gap, and none is empty; an empty stretch has none. No cut falls into a span
    that is `whole`; at its ends there may be one.
    """
    cuts = [match.end() for match in re.compile(pattern).finditer(text, start, end)]
    kept = [cut for cut in cuts if start < cut < end and not any(first < cut < last for first, last in whole)]
    return list(pairwise([start, *kept, end])) if start < end else []


def pieces(text: str, start: int, end: int, fits: Callable[[int, int], bool], whole: Sequence[Span] = ()) -> list[Span]:
    """`text[start:end]` in spans that fit, cut at the best separators that make them fit.

    What fits stays in one piece. What does not is cut at every one of the first of `SEPARATORS` that is in it, and the
    parts are treated likewise; without any separator, it is cut in the middle. The pieces follow each other without a
    gap, and an empty stretch has none.

    Args:
        text: the text.
        start: where the stretch begins.
        end: where it ends.
        fits: whether the span from its first to its second argument is small enough.
        whole: spans that are not cut; each fits.

    Raises:
        ValueError: a single character does not fit. The message names it.
    """
    if start == end or fits(start, end):
        return [(start, end)] if start < end else []
    for pattern in SEPARATORS:
        parts = separate(text, start, end, pattern, whole)
        if len(parts) > 1:
            break
    else:
        if end - start == 1:
            raise ValueError(f"pieces: the single character {text[start]!r} does not fit. Choose a larger size.")
        middle = (start + end) // 2
        parts = [(start, middle), (middle, end)]
    return [piece for part in parts for piece in pieces(text, *part, fits, whole)]


def merge(spans: Sequence[Span], measure: Callable[[int, int], int], size: int, overlap: int) -> list[Span]:
    """Neighbouring spans put together, as many as fit into `size`, each group beginning with the end of the last.

    From left to right, each group takes spans until the next would not fit. The next group begins with the earliest
    span such that what is repeated measures no more than `overlap`, and fits together with the first new span.
    Every group has at least one span that the group before it does not have.

    Args:
        spans: spans that follow each other, each of which fits.
        measure: how long the text from its first to its second argument is.
        size: the longest a group may be.
        overlap: the most that two groups may share.
    """
    groups: list[Span] = []
    first = 0
    while first < len(spans):
        start, last = spans[first][0], first
        while last + 1 < len(spans) and measure(start, spans[last + 1][1]) <= size:
            last += 1
        end = spans[last][1]
        groups.append((start, end))
        if last + 1 == len(spans):
            break
        first, new_end = last + 1, spans[last + 1][1]
        # The whole of this group is never repeated: the next span did not fit behind it.
        while measure(spans[first - 1][0], end) <= overlap and measure(spans[first - 1][0], new_end) <= size:
            first -= 1
    return groups


def chunk(document: Document, *, length: Callable[[str], int], size: int = 256, overlap: int = 32) -> list[Chunk]:
    """A document in chunks of at most `size`, in order.

    Every character but whitespace is in a chunk. A chunk begins and ends with something other than whitespace, lies in
    one section, and tears nothing whole that fits into a chunk. A chunk that begins among the rows of a table has the
    table's header in front, and fits with it; a header longer than half of `size` is not repeated.

    Args:
        document: the document.
        length: how long a text is, such as its tokens. It is called on texts without whitespace at their ends.
        size: the longest that a chunk may be: what the sentence model sees of a text.
        overlap: how much neighbouring chunks of a section may share, in whole sentences.

    Returns:
        Chunks whose ids differ, also where their texts are equal.

    Raises:
        ValueError: `overlap` is negative, or not below `size`, or a character is longer than `size`.
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f"chunk: overlap must be from 0 to below size = {size}, not {overlap}; an eighth of size is usual."
        )

    tables = [t for t in document.tables if 2 * length(document.text[t.start : t.body].strip()) <= size]

    def parts(start: int, end: int) -> tuple[str, str]:
        """The header to be repeated in front of a span, and the span's text."""
        start, end = trim(document.text, start, end)
        above = next((document.text[t.start : t.body] for t in tables if t.body <= start < t.end and start < end), "")
        return above, document.text[start:end]

    def measure(start: int, end: int) -> int:
        return length("".join(parts(start, end)))

    def fits(start: int, end: int) -> bool:
        return measure(start, end) <= size

    chunks: list[Chunk] = []
    seen: Counter[str] = Counter()
    whole = [span for span in document.whole if fits(*span)] + [(t.start, t.body) for t in tables]
    for section in document.sections or [Section(0, len(document.text), {})]:
        spans = pieces(document.text, section.start, section.end, fits, whole)
        if overlap:  # what is shared is whole sentences, so paragraphs are taken apart
            spans = [s for span in spans for s in separate(document.text, *span, SEPARATORS[1], whole)]
        for group in merge(spans, measure, size, overlap):
            start, end = trim(document.text, *group)
            if start == end:
                continue
            header, body = parts(start, end)
            text = header + body
            seen[text] += 1
            name = f"{document.source}\0{seen[text]}\0{text}".encode("utf-8", "surrogatepass")
            metadata = {**document.metadata, **section.metadata}
            chunks.append(
                Chunk(hashlib.sha256(name).hexdigest()[:32], document.source, start, end, text, metadata, header)
            )
    return chunks


def trim(text: str, start: int, end: int) -> Span:
    """The span without whitespace at its ends; of whitespace alone, an empty one."""
    inner = text[start:end]
    start += len(inner) - len(inner.lstrip())
    return start, start + len(inner.strip())


# The knowledge base


OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin")
RESERVED = ("source", "start", "end", "document", "chunks", "header")
"""What the knowledge base notes beside a chunk's own metadata: its place, what its document was, in how many chunks,
and the header repeated in front of it, if there is one."""
BATCH = 1_000


def where(filters: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Filters as Chroma's `where`: all must hold.

    `{"page": 3}` asks for equality, `{"page": [3, 4]}` for one of several, `{"page": {"$gte": 3, "$lt": 9}}` for what
    the operators say. Chroma takes a single condition as it is, several only under `$and`, and none only as None.

    Raises:
        ValueError: a list without a value, or an operator that is none. The message names the key, or the operator.
    """
    conditions: list[dict[str, Any]] = []
    for key, wanted in (filters or {}).items():
        if isinstance(wanted, list | tuple | set) and not wanted:
            raise ValueError(f"where: the list of '{key}' holds no value, so nothing can match. Leave '{key}' out.")
        if isinstance(wanted, list | tuple | set):
            wanted = {"$in": list(wanted)}
        for operator, value in (wanted if isinstance(wanted, Mapping) else {"$eq": wanted}).items():
            if operator not in OPERATORS:
                raise ValueError(f"where: '{operator}' of '{key}' is no operator; there are {', '.join(OPERATORS)}.")
            conditions.append({key: {operator: value}})
    if not conditions:
        return None
    return conditions[0] if len(conditions) == 1 else {"$and": conditions}


class Changes(NamedTuple):
    """Ids of chunks: to be embedded and added, to be told new metadata only, to be removed."""

    add: tuple[str, ...]
    update: tuple[str, ...]
    remove: tuple[str, ...]


def changes(stored: Mapping[str, Mapping[str, Value]], wanted: Mapping[str, Mapping[str, Value]]) -> Changes:
    """What makes the stored chunks the wanted ones. Both are metadata by id; ids come in the order of their mapping.

    An id stands for a text, so that what is stored under a wanted id needs no new vector, but its metadata may differ.
    """
    add = tuple(name for name in wanted if name not in stored)
    update = tuple(name for name in wanted if name in stored and stored[name] != wanted[name])
    return Changes(add, update, tuple(name for name in stored if name not in wanted))


def open_store(location: str | Path | None = None, *, name: str = "knowledge", model: str = "") -> Any:
    """A Chroma collection that leaves embedding to its caller and compares by cosine.

    Args:
        location: a folder (made if need be), the address of a Chroma server such as `http://chroma:8000`, or None for
            one in memory.
        name: the collection's name.
        model: the name of the sentence model, which is noted in a new collection and compared with an old one's.

    Raises:
        ValueError: the collection was made with another model, whose vectors cannot be compared with this one's.
        ConnectionError: no Chroma server answers at the address.
    """
    import chromadb
    from chromadb.config import Settings

    settings = Settings(anonymized_telemetry=False)
    if location is None:
        client = chromadb.EphemeralClient(settings)
    elif str(location).startswith(("http://", "https://")):
        address = urlsplit(str(location))
        secure = address.scheme == "https"
        try:
            port = address.port or (443 if secure else 8000)
            client = chromadb.HttpClient(address.hostname or "localhost", port, ssl=secure, settings=settings)
        except ValueError as error:  # Chroma's words for a server that does not answer
            raise ConnectionError(f"open_store: no Chroma server answers at {location} ({error}).") from error
    else:
        client = chromadb.PersistentClient(location, settings)
    collection = client.get_or_create_collection(
        name,
        embedding_function=None,  # without this, Chroma would download a model of its own
        configuration={"hnsw": {"space": "cosine"}},
        metadata={"model": model},
    )
    before = (collection.metadata or {}).get("model", "")
    if before != model:
        raise ValueError(
            f"open_store: the collection '{name}' was made with the model '{before}', not '{model}'. Choose another "
            "name or location, and ingest again."
        )
    return collection


class KnowledgeBase:
    """Documents in a Chroma collection, in chunks, kept in step with their sources.

    Attributes:
        collection: where chunks are kept: a collection of Chroma, or whatever has its methods.
        embed: a unit vector for each of some texts.
        length: how long a text is for the sentence model.
        size: the longest that a chunk may be.
        overlap: how much neighbouring chunks may share.
    """

    def __init__(
        self, collection: Any, embed: Embed, *, length: Callable[[str], int], size: int = 256, overlap: int = 32
    ) -> None:
        self.collection, self.embed, self.length, self.size, self.overlap = collection, embed, length, size, overlap

    def __len__(self) -> int:
        return self.collection.count()

    def ingest(self, document: Document) -> Changes:
        """Make the stored chunks of the document's source those of the document; other sources are left alone.

        New chunks are in before old ones go, so that what is in both versions can be found all the time. Only chunks
        with a new text are embedded. A document that is stored as it is costs one look-up. If the process died
        half-way, the next call completes what it began.

        Returns:
            What was done; three empty tuples when nothing was.

        Raises:
            ValueError: metadata under one of the names in `RESERVED`. The message names it.
        """
        state = self._state(document)
        stored = self._stored(document.source)
        if stored and all(noted["document"] == state and noted["chunks"] == len(stored) for noted in stored.values()):
            return Changes((), (), ())
        chunks = chunk(document, length=self.length, size=self.size, overlap=self.overlap)
        texts = {made.id: made.text for made in chunks}
        wanted = {made.id: self._noted(made, state, len(chunks)) for made in chunks}
        todo = changes(stored, wanted)
        for ids in _batches(todo.add):
            self._add(ids, [texts[name] for name in ids], [wanted[name] for name in ids])
        for ids in _batches(todo.update):
            # Chroma's update merges: what is no longer said is set to None, which removes it.
            gone = dict.fromkeys(key for name in ids for key in stored[name])
            self.collection.update(ids=ids, metadatas=[{**gone, **wanted[name]} for name in ids])
        for ids in _batches(todo.remove):
            self.collection.delete(ids=ids)
        return todo

    def _stored(self, source: str) -> dict[str, Mapping[str, Value]]:
        """What is noted of each stored chunk of a source."""
        found = self.collection.get(where={"source": source}, include=["metadatas"])
        return dict(zip(found["ids"], found["metadatas"], strict=True))

    def _noted(self, made: Chunk, state: str, count: int) -> dict[str, Value]:
        """What is stored beside a chunk's text: its metadata, its place, and what its document was."""
        place = {"source": made.source, "start": made.start, "end": made.end}
        header = {"header": made.header} if made.header else {}
        return {**made.metadata, **place, **header, "document": state, "chunks": count}

    def _add(self, ids: list[str], texts: list[str], metadatas: list[dict[str, Value]]) -> None:
        self.collection.upsert(ids=ids, documents=texts, embeddings=self.embed(texts), metadatas=metadatas)

    def _state(self, document: Document) -> str:
        """A hash of everything that chunks are made from."""
        for name in {**document.metadata, **{k: v for s in document.sections for k, v in s.metadata.items()}}:
            if name in RESERVED:
                raise ValueError(f"ingest: the metadata '{name}' of {document.source} is reserved; call it otherwise.")
        made_from = repr((document, self.size, self.overlap)).encode("utf-8", "surrogatepass")
        return hashlib.sha256(made_from).hexdigest()[:32]

    def remove(self, source: str) -> int:
        """Forget a source; how many chunks it had."""
        ids = self.collection.get(where={"source": source}, include=[])["ids"]
        for some in _batches(ids):
            self.collection.delete(ids=some)
        return len(ids)

    def sources(self) -> set[str]:
        """Everything that is in the knowledge base, by its document's name."""
        return {metadata["source"] for metadata in self.collection.get(include=["metadatas"])["metadatas"]}

    def search(self, query: str, k: int = 5, filters: Mapping[str, Any] | None = None) -> list[tuple[Chunk, float]]:
        """The `k` chunks most like the query of those that the filters let through, with their cosines, best first."""
        found = self.collection.query(
            query_embeddings=self.embed([query]),
            n_results=k,
            where=where(filters),
            include=["documents", "metadatas", "distances"],
        )
        columns = (found[name][0] for name in ("ids", "documents", "metadatas", "distances"))
        return [(_stored_chunk(*row), 1 - distance) for *row, distance in zip(*columns, strict=True)]


def _stored_chunk(name: str, text: str, noted: Mapping[str, Any]) -> Chunk:
    metadata = {key: value for key, value in noted.items() if key not in RESERVED}
    return Chunk(name, noted["source"], noted["start"], noted["end"], text, metadata, noted.get("header", ""))


def _batches(ids: Sequence[str]) -> list[list[str]]:
    """In parts that Chroma takes at once."""
    return [list(ids[start : start + BATCH]) for start in range(0, len(ids), BATCH)]

"""The knowledge base of a system: folders of documents, searched by words and by meaning.

    knowledge = open_knowledge("copilot.knowledge")
    knowledge.learn(["runbooks"])                     # again after a change: exactly what changed is replaced
    knowledge.search("pods are evicted", k=5)         # the best place of each of five documents

Chunks lie in Chroma (a folder, or a server by its URL); the index of words is made from them when it is first needed.
Secrets are hidden before anything is stored, so positions count in the text with its secrets hidden.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from groundup.errors import StoreError, UnknownName, UsageError
from groundup.extras import need
from groundup.knowledge.reading import KINDS, read_document
from groundup.masking import mask
from groundup.secrets import hide_all

if TYPE_CHECKING:
    import numpy as np

    from groundup.embedding import Embedder
    from groundup.stack.retrieval.ingestion import KnowledgeBase
    from groundup.stack.retrieval.ranking import BM25, Found

RULES = ".clinerules"
CHUNK = 200  # tokens; with its titles in front, a chunk fits the 256 that the sentence model reads
DEPTH = 200  # documents among which each of the scores is compared
OF_VALUES = 0.25  # how much the words of a value count


@dataclass(frozen=True)
class Passage:
    """A chunk of a document in the result of a search.

    Attributes:
        text: what it says.
        source: its document: the name of the folder and the path in it.
        start: its first character in the document.
        end: behind its last.
        headings: the headings that it stands under, the outermost first.
        score: how well it fits; comparable within one search only.
        header: of the table whose rows it begins with, where that stands further up. Searched with the text.
    """

    text: str
    source: str
    start: int
    end: int
    headings: str = ""
    score: float = 0.0
    header: str = ""


@dataclass
class Learned:
    """The result of `learn`: documents read, chunks added, moved and removed, files that could not be read."""

    documents: int = 0
    added: int = 0
    updated: int = 0
    removed: int = 0
    skipped: dict[str, str] = field(default_factory=dict)


def default_location(store: str | Path) -> str:
    """The place of the knowledge base: `GROUNDUP_KNOWLEDGE`, or beside the store."""
    return os.environ.get("GROUNDUP_KNOWLEDGE") or str(Path(store).with_suffix(".knowledge"))


def open_knowledge(location: str | Path | None, *, reading: bool = False) -> Knowledge:
    """The knowledge base in a folder (made if need be, unless `reading`), on a Chroma server, or for None in memory.

    Raises:
        UsageError: `reading`, and there is no such folder.
        MissingPackage: packages that it needs are not installed.
        ModelUnavailable: the sentence model could be had from nowhere.
        StoreError: it cannot be opened.
    """
    remote = str(location).startswith(("http://", "https://"))
    if reading and location is not None and not remote and not Path(location).is_dir():
        raise UsageError(
            f"knowledge must be an existing folder or the URL of a Chroma server, got '{location}'. "
            "Fill it with the system's own `learn` command, or name another one with --knowledge."
        )
    need("The knowledge base", "chromadb", "numba", "Stemmer")
    from groundup.embedding import load
    from groundup.stack.retrieval.ingestion import open_store

    embedder = load()
    try:
        with _kept(location):
            collection = open_store(location, model=embedder.name)
    except (ConnectionError, ValueError, OSError) as error:
        raise StoreError(f"knowledge must be a base that can be opened, and '{location}' cannot: {error}") from error
    return Knowledge(collection, embedder, location)


@contextmanager
def _kept(location: str | Path | None) -> Iterator[None]:
    """Turn an error of Chroma into one line: a full disk, most of all."""
    from chromadb.errors import ChromaError

    try:
        yield
    except ChromaError as error:
        raise StoreError(
            f"knowledge must be a base that can be read and written, and '{location or 'the one in memory'}' could not "
            f"be: {error}. Free some space, or name another one with --knowledge. Then learn again: finished "
            "documents stay."
        ) from error


class Knowledge:
    """Documents that can be searched. `open_knowledge` makes one."""

    def __init__(self, collection: Any, embedder: Embedder, location: str | Path | None = None) -> None:
        self.collection, self.embedder, self.location = collection, embedder, location

    def __len__(self) -> int:
        """The number of chunks."""
        return self.collection.count()

    # ── learning ────────────────────────────────────────────────────────────────────────────────────────────────────
    def learn(self, paths: Iterable[str | Path], *, report: Callable[[str, int, int], None] | None = None) -> Learned:
        """Bring the knowledge base up to date with the files: add new ones, replace changed ones, forget deleted ones.

        Args:
            paths: folders, with everything below them that can be read, or single files.
            report: called after each file with its name, how many are done, and how many there are.

        Raises:
            UsageError: a path does not exist.
            StoreError: the base cannot be written, because the disk is full, say.
        """
        with _kept(self.location):
            return self._learn(paths, report)

    def _learn(self, paths: Iterable[str | Path], report: Callable[[str, int, int], None] | None) -> Learned:
        named = self._folders()
        work: list[tuple[Path, str, dict[str, str]]] = []  # file, source, what its chunks are told
        whole: set[str] = set()  # folders that were given as such
        for path in map(Path, paths):
            if not path.exists():
                raise UsageError(f"FOLDER must be an existing folder or file, and '{path}' is missing. Check the path.")
            folder = (path if path.is_dir() else path.parent).resolve()
            name = _name(folder, named)
            named[name] = str(folder)
            metadata = {"base": name, "folder": str(folder)}
            files = _files(folder) if path.is_dir() else [folder / path.name]
            work += [(file, f"{name}/{file.relative_to(folder).as_posix()}", metadata) for file in files]
            if path.is_dir():
                whole.add(str(folder))
        learned = Learned()
        for number, (file, source, metadata) in enumerate(work, 1):
            self._learn_file(file, source, metadata, learned)
            if report:
                report(source, number, len(work))
        there = {source for _, source, _ in work} - learned.skipped.keys()
        gone = {
            entry["source"] for entry in self._noted() if entry.get("folder") in whole and entry["source"] not in there
        }
        for source in sorted(gone):
            learned.removed += self._base.remove(source)
        self.__dict__.pop("_index", None)
        return learned

    def _learn_file(self, file: Path, source: str, metadata: dict[str, str], learned: Learned) -> None:
        from dataclasses import replace

        from groundup.stack.retrieval.ingestion import parse_markdown

        try:
            document = read_document(file, metadata)
        except (ValueError, OSError) as error:
            learned.skipped[source] = str(error)
            return
        hidden = "\n".join(hide_all(document.text.split("\n")))
        if hidden == document.text:
            document = replace(document, source=source)
        elif document.sections and "page" not in document.sections[0].metadata:
            document = parse_markdown(source, hidden, document.metadata)
        else:  # its pages would have to be counted anew; none of them is worth a secret
            document = replace(document, source=source, text=hidden, sections=(), whole=(), tables=())
        before = self._headings(source)
        changes = self._base.ingest(document)
        moved = self._headings(source) if changes.update else {}
        self._embed_again([id for id in changes.update if moved[id] != before[id]])
        learned.documents += 1
        learned.added += len(changes.add)
        learned.updated += len(changes.update)
        learned.removed += len(changes.remove)

    def _headings(self, source: str) -> dict[str, str]:
        stored = self.collection.get(where={"source": source}, include=["metadatas"])
        return {id: noted.get("headings", "") for id, noted in zip(stored["ids"], stored["metadatas"], strict=True)}

    def _embed_again(self, ids: list[str]) -> None:
        """Encode chunks with changed headings again: headings are part of the encoded text."""
        if ids:
            stored = self.collection.get(ids=ids, include=["documents", "metadatas"])
            vectors = self.embedder.encode([*map(_titled, stored["documents"], stored["metadatas"])])
            self.collection.update(ids=stored["ids"], embeddings=vectors)

    @cached_property
    def _base(self) -> KnowledgeBase:
        from groundup.stack.retrieval.ingestion import KnowledgeBase

        class Titled(KnowledgeBase):
            """A knowledge base whose vectors encode the headings above a chunk, too."""

            def _add(self, ids: list[str], texts: list[str], metadatas: list[dict[str, Any]]) -> None:
                vectors = self.embed([*map(_titled, texts, metadatas)])
                self.collection.upsert(ids=ids, documents=texts, embeddings=vectors, metadatas=metadatas)

        encode, tokens = self.embedder.encode, self.embedder.tokens
        return Titled(self.collection, encode, length=tokens, size=CHUNK, overlap=0)

    def _noted(self) -> list[Mapping[str, Any]]:
        """The metadata of every chunk."""
        return self.collection.get(include=["metadatas"])["metadatas"]

    def documents(self) -> dict[str, int]:
        """The documents by name, with the number of their chunks."""
        return dict(sorted(Counter(entry["source"] for entry in self._noted()).items()))

    def _folders(self) -> dict[str, str]:
        """The folders behind the first parts of sources' names."""
        return {entry["base"]: entry["folder"] for entry in self._noted() if "base" in entry}

    # ── finding ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def search(self, query: str, k: int = 5) -> list[Passage]:
        """The best place of each of the `k` best documents for the query, best first."""
        if k < 1:
            raise UsageError(f"k must be 1 or more, got {k}. Ask for one document at least.")
        if not query.strip():
            raise UsageError(f"query must say something, got {query!r}. Ask with words.")
        count = len(self)
        if count and len(self._index.passages) != count:  # another process has learnt since
            del self._index
        return self._index.search(query, k) if count else []

    def under(self, source: str, heading: re.Pattern[str]) -> list[Passage]:
        """The chunks of a document whose own heading matches, in its order."""
        chunks = [passage for passage in self._index.passages if passage.source == source]
        matching = [passage for passage in chunks if heading.search(passage.headings.split(" > ")[-1])]
        return sorted(matching, key=lambda passage: passage.start)

    @cached_property
    def _index(self) -> _Index:
        return _Index(self.collection, self.embedder)

    def around(self, source: str, start: int, end: int, *, neighbours: int = 1) -> tuple[list[Passage], int]:
        """The chunk that holds a place of a document, between its neighbours, and which of them it is.

        Raises:
            UnknownName: there is no such document.
            UsageError: there is no such place in it.
        """
        stored = self.collection.get(where={"source": source}, include=["documents", "metadatas"])
        if not stored["ids"]:
            known = {entry["source"] for entry in self._noted()}
            raise UnknownName("document in the knowledge base", source, known, see="groundup copilot learn --help")
        chunks = sorted(map(_passage, stored["documents"], stored["metadatas"]), key=lambda passage: passage.start)
        at = next((i for i, chunk in enumerate(chunks) if chunk.start <= start and end <= chunk.end), None)
        if at is None:
            raise UsageError(
                f"CITATION must be a place in the document, and {source} has none from {start} to {end}: "
                "the document has changed since. Ask again."
            )
        first = max(0, at - neighbours)
        return chunks[first : at + neighbours + 1], at - first


class _Index:
    """The chunks in memory, and the documents that they are of.

    A document is found by four things, none of which sees all that the others do, and their scores are added:

    - the words of its best chunk, with what that stands under: the words of headings and of the file's name count too,
      `KubePodNotReady` also by its parts;
    - the meaning of its best chunk, read with its headings;
    - the words of its title and name alone, where a page that happens to use many of the words cannot outweigh it;
    - the meaning of the whole, the mean of its chunks.

    Names and numbers of one system (`web-7c9`, `10.0.3.4`, `15 minutes`) are in no runbook and hide what is meant: they
    are masked before the meaning is looked up, and count little as words (`137` may still be what tells).
    """

    def __init__(self, collection: Any, embedder: Embedder) -> None:
        import numpy as np

        from groundup.stack.retrieval.ranking import BM25

        self.embedder = embedder
        stored = collection.get(include=["documents", "metadatas", "embeddings"])
        self.passages = [*map(_passage, stored["documents"], stored["metadatas"])]
        self.sources = [*dict.fromkeys(passage.source for passage in self.passages)]
        number = {source: i for i, source in enumerate(self.sources)}
        self.document = np.array([number[passage.source] for passage in self.passages])  # of each chunk
        # A front matter says nothing.
        self.front = np.array([passage.text.startswith("---\n") for passage in self.passages])
        self.vectors = np.asarray(stored["embeddings"], np.float32)
        self.means = np.zeros((len(self.sources), self.vectors.shape[1]), np.float32)
        np.add.at(self.means, self.document, self.vectors)
        self.means /= np.maximum(np.linalg.norm(self.means, axis=1, keepdims=True), 1e-12)
        titles = {passage.source: passage.headings.split(" > ")[0] for passage in reversed(self.passages)}
        self.words, self.titles = BM25(), BM25()
        self.words.add(range(len(self.passages)), [_fields(passage) for passage in self.passages])
        self.titles.add(range(len(titles)), [f"{titles[name]}\n{_words_of(name)}" for name in self.sources])

    def search(self, query: str, k: int) -> list[Passage]:
        from dataclasses import replace

        import numpy as np

        from groundup.stack.retrieval.ranking import score_fusion

        plain = _without_values(query)
        terms = _weighed(query, plain)
        vector = self.embedder.encode([plain or query])[0]
        words, meaning = _scores(self.words, terms), self.vectors @ vector
        by_words, by_meaning = (np.full(len(self.sources), -np.inf) for _ in range(2))
        np.maximum.at(by_words, self.document, words)
        np.maximum.at(by_meaning, self.document, meaning)
        by_title, by_whole = _scores(self.titles, terms), self.means @ vector
        ids, scores = score_fusion([_hits(ranking) for ranking in (by_words, by_meaning, by_title, by_whole)], k)
        chunk = _points(words) + _points(meaning) - 100.0 * self.front
        best = []
        for id, score in zip(ids[0].tolist(), scores[0].tolist(), strict=True):
            if id != -1:
                own = np.flatnonzero(self.document == id)
                best.append(replace(self.passages[own[chunk[own].argmax()]], score=score))
        return best


# Names that say what they are the name of, and are all that a query says of its subject: of Kubernetes' nodes (as AWS
# and Google name them), of pods (the letters are those that Kubernetes draws from), of volumes.
_DRAWN = "[bcdfghjklmnpqrstvwxz2456789]"
_KINDS = (
    (re.compile(r"\b(?:ip-\d{1,3}(?:-\d{1,3}){3}|gke-[a-z0-9-]+-[0-9a-f]{8}-[a-z0-9]{4})\b(?:\.[\w.-]*\w)?"), "node"),
    (re.compile(rf"\b[a-z][a-z0-9-]*-{_DRAWN}{{8,10}}-{_DRAWN}{{5}}\b"), "pod"),
    (re.compile(r"\bpvc-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "persistent volume"),
)


_UN = re.compile(r"\bun([a-z]{4,})", re.IGNORECASE)


def _without_values(query: str) -> str:
    """A query without its values; a name that says what it is the name of becomes that."""
    for names, kind in _KINDS:
        query = names.sub(kind, query)
    return " ".join(re.sub(r"<\*>|[\"'()%]", " ", mask(query)).split())


def _weighed(query: str, plain: str) -> dict[str, float]:
    """The weight of each term; a quarter for terms of values, which `plain` lacks.

    One writer's `unready` is another's `not ready`: the word without `un` counts as well.
    """
    from groundup.stack.retrieval.ranking import analyse

    plain, query = (f"{text} {' '.join(_UN.findall(text))}" for text in (plain, query))
    named, every = Counter(analyse(plain)), Counter(analyse(query))
    return {term: named[term] + OF_VALUES * max(0, every[term] - named[term]) for term in {**named, **every}}


def _scores(index: BM25, asked: Mapping[str, float]) -> np.ndarray:
    """The score of every entry of an index, 0 for all except the best thousand."""
    import numpy as np

    ids, similarities = index.search([asked], min(len(index), 1_000))
    scores = np.zeros(len(index))
    scores[ids[0][ids[0] >= 0]] = similarities[0][ids[0] >= 0]
    return scores


def _hits(scores: np.ndarray) -> Found:
    """The best scores, in the form of a search's result."""
    import numpy as np

    best = np.argsort(-scores, kind="stable")[:DEPTH]
    return best[None], scores[best][None]


def _points(scores: np.ndarray) -> np.ndarray:
    """The distance of each score from the usual one."""
    return (scores - scores.mean()) / (scores.std() or 1.0)


def _passage(text: str, noted: Mapping[str, Any]) -> Passage:
    header = noted.get("header", "")
    place = noted["source"], noted["start"], noted["end"], noted.get("headings", "")
    return Passage(text.removeprefix(header), *place, header=header)


def _titled(text: str, noted: Mapping[str, Any]) -> str:
    """A chunk for the sentence model: the headings above it, then its text."""
    return f"{noted.get('headings') or _words_of(noted['source'])}\n{text}"


def _fields(passage: Passage) -> str:
    """A chunk for the index of words: its text and the headings above it."""
    return f"{_words_of(passage.source)}\n{passage.headings}\n{passage.header}{passage.text}"


def _words_of(source: str) -> str:
    """The words of a document's name, split at capitals and joints."""
    stem = PurePosixPath(source).stem
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[-_.]+", " ", stem)


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _files(folder: Path) -> list[Path]:
    """The documents in a folder, without hidden files, but with rules."""
    return [file for file in sorted(_walk(folder)) if file.is_file() and _readable(file.relative_to(folder))]


def _walk(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") or name == RULES]
        yield from (Path(here, name) for name in files)


def _readable(path: Path) -> bool:
    if RULES in path.parts:
        return True
    return path.suffix.lower() in KINDS and not path.name.startswith(".")


def _name(folder: Path, named: Mapping[str, str]) -> str:
    """The first part of a folder's sources: its name, with as many parents as distinguish it from other folders."""
    for count in range(1, len(folder.parts)):
        name = "/".join(folder.parts[-count:])
        if named.get(name, str(folder)) == str(folder):
            return name
    return folder.as_posix().strip("/") or "root"

"""Span recall of our chunks beside windows of the same size cut anywhere, for several ways to retrieve.

The five texts and the 472 questions of Chroma's chunking evaluation, all texts searched together, the best five chunks
taken. Span recall is the share of the characters that answer a question which lie in them, averaged over questions.
The sentence model and BM25 (by bm25s) are the same for both, so that the chunks are what is compared; `hybrid_search`
has a BM25 of its own, that of `retrieval/ranking`. Without the texts in `GROUNDUP_DATA_MIRROR`, the cache, or a
network, nothing is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.measure import Figure
from groundup.data import load as load_data
from groundup.embedding import Embedder, load
from groundup.stack.retrieval.ingestion import Chunk, Document, chunk
from groundup.stack.retrieval.ranking import BM25, hybrid_search

TEXTS = ("state_of_the_union", "wikitexts", "chatlogs", "finance", "pubmed")
PEER = "windows cut anywhere"
K = 5
Spans = dict[tuple[str, str], list[tuple[int, int]]]


def run() -> Iterator[Figure]:
    """Two settings: 400 tokens, of which 80 shared, as others have measured; and what the sentence model sees whole."""
    texts = {name: load_data(f"chunking_{name}") for name in TEXTS}
    table = load_data("chunking_questions")
    if any(found.provenance.stand_in for found in (*texts.values(), table)):
        return
    spans: Spans = {}
    for question, corpus, start, end in zip(*(table[name].tolist() for name in table), strict=True):
        spans.setdefault((question, corpus), []).append((start, end))
    embedder = load()
    queries = embedder.encode([question for question, _ in spans])
    for size, overlap in ((400, 80), (256, 32)):
        found = []
        for cut in (ours, windows):
            chunks = [one for name, data in texts.items() for one in cut(name, data.text, size, overlap, embedder)]
            found.append(
                {name: recall(chunks, best, spans) for name, best in rankings(chunks, queries, spans, embedder)}
            )
        for name, value in found[0].items():
            what = f"chunking, {size} tokens of which {overlap} shared, {name}"
            yield Figure(f"{what}: span recall in the best {K}", value, "share", None, found[1][name], PEER)


def ours(name: str, text: str, size: int, overlap: int, embedder: Embedder) -> list[Chunk]:
    """Our chunks."""
    return chunk(Document(name, text), length=embedder.tokens, size=size, overlap=overlap)


def windows(name: str, text: str, size: int, overlap: int, embedder: Embedder) -> list[Chunk]:
    """Windows of about as many tokens, wherever they begin and end: what needs no thought."""
    characters = len(text) / embedder.tokens(text)
    length, step = int(size * characters), int((size - overlap) * characters)
    starts = range(0, max(1, len(text) - int(overlap * characters)), step)
    return [Chunk(f"{name}-{s}", name, s, min(s + length, len(text)), text[s : s + length]) for s in starts]


def rankings(
    chunks: list[Chunk], queries: np.ndarray, spans: Spans, embedder: Embedder
) -> Iterator[tuple[str, np.ndarray]]:
    """The best chunks for every question by cosine, by BM25, by both (reciprocal ranks, 60 added), and by ours."""
    import bm25s

    texts, asked = [one.text for one in chunks], [question for question, _ in spans]
    cosines = queries @ embedder.encode(texts).T
    dense = np.argsort(-cosines, axis=1, kind="stable")
    index = bm25s.BM25()
    tokenize: Callable[[list[str]], list[list[str]]] = lambda some: bm25s.tokenize(  # noqa: E731
        some, stopwords="en", return_ids=False, show_progress=False
    )  # type: ignore[assignment]
    index.index(tokenize(texts), show_progress=False)
    lexical = np.stack([np.argsort(-index.get_scores(words), kind="stable") for words in tokenize(asked)])
    yield "cosine", dense
    yield "BM25", lexical
    places = np.argsort(dense, axis=1), np.argsort(lexical, axis=1)
    yield "both", np.argsort(-sum(1 / (61 + place) for place in places), axis=1, kind="stable")
    ours = BM25()
    ours.add(range(len(texts)), texts)
    found = dense, np.take_along_axis(cosines, dense, axis=1)
    yield "our BM25", ours.search(asked, K)[0]
    yield "hybrid_search", hybrid_search(asked, ours, lambda _, k: (found[0][:, :k], found[1][:, :k]), K)[0]


def recall(chunks: list[Chunk], best: np.ndarray, spans: Spans) -> float:
    """Span recall in the best `K`, averaged over the questions."""
    shares = []
    for places, ((_, corpus), wanted) in zip(best[:, :K].tolist(), spans.items(), strict=True):
        seen: set[int] = set()
        for one in (chunks[i] for i in places):
            seen.update(range(one.start, one.end) if one.source == corpus else ())
        asked = {position for start, end in wanted for position in range(start, end)}
        shares.append(len(asked & seen) / len(asked))
    return float(np.mean(shares))

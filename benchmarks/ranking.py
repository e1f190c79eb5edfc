"""BM25 beside bm25s with its Numba backend, and how well words, meaning and both rank test collections.

The speed: 100,000 passages of 60 words, cut at even distances from texts in the folders `wikitext2`, `k8s_docs` and
`ir/chunking_eval` of `GROUNDUP_DATA_MIRROR`, asked the questions of SQuAD 2.0's development set; the same terms and the
same k for both, one thread each. The quality: nDCG@10 on Cranfield and CISI, any judged degree counting 1; and on the
collections of `benchmarks.judged`, where every fusion is held against its better half. Without the data nothing is
measured.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.judged import collections
from benchmarks.measure import Figure, seconds, side_by_side
from groundup.data import load
from groundup.embedding import load as load_embedder
from groundup.stack.retrieval.ranking import (
    BM25,
    Found,
    analyse,
    evidence_fusion,
    hybrid_search,
    ndcg,
    reciprocal_rank_fusion,
    score_fusion,
)

Encode = Callable[[Sequence[str]], np.ndarray]
PASSAGES, WORDS, K = 100_000, 60, 10
PEER = "bm25s, Numba backend"
HALVES = {"BM25", "MiniLM"}
# What stock parts reach: bm25s with stemming, MiniLM, and the best of several ways to fuse them.
STOCK = {"cranfield": (0.382, 0.395, 0.426), "cisi": (0.386, 0.419, 0.455)}


def run() -> Iterator[Figure]:
    """Speed, then quality."""
    mirror = Path(os.environ.get("GROUNDUP_DATA_MIRROR", "/nowhere"))
    if (mirror / "wikitext2").is_dir() and (mirror / "ir").is_dir():
        yield from speed(passages(mirror), questions(mirror))
    for name in STOCK:
        if not load(name).provenance.stand_in:
            yield from quality(name)
    yield from regret(mirror)


def speed(texts: list[str], asked: list[str]) -> Iterator[Figure]:
    """Searching, building, and changing, on the same terms."""
    import bm25s

    documents, queries = [analyse(text) for text in texts], [analyse(text) for text in asked]
    as_texts = [" ".join(terms) for terms in documents]
    peer = bm25s.BM25(method="lucene", backend="numba")
    index = BM25(analyse=str.split)
    lines = [" ".join(terms) for terms in queries]
    index.add([0], ["warm"])
    index.search(["warm"], 1)
    index.remove([0])
    building = seconds(lambda: index.add(range(len(texts)), as_texts))
    peers_building = seconds(lambda: peer.index(documents, show_progress=False))
    size = f"{len(texts):,} passages"

    def theirs(k: int) -> tuple[np.ndarray, np.ndarray]:
        found: Any = peer.retrieve(queries, k=k, n_threads=1, show_progress=False)
        return found.documents, found.scores

    for k in (K, 100):
        ours, others = index.search(lines, k)[1], theirs(k)[1]
        difference = float(np.abs(ours - others).max())
        mine, their = side_by_side(lambda k=k: index.search(lines, k), lambda k=k: theirs(k), repeats=5)
        rate = len(queries) / their
        yield Figure(f"BM25, {size}, top {k}", len(queries) / mine, "queries/s", rate, rate, PEER, 5)
        yield Figure(f"BM25, largest difference of a score, top {k}", difference, "points", 1e-5, None, PEER)
    yield Figure(f"BM25, {size}: to build", building, "s", None, peers_building, PEER)
    changed = list(range(0, len(texts), len(texts) // 1000))[:1000]

    def change() -> None:
        for id in changed:
            index.add([id], [as_texts[(id + 1) % len(texts)]])

    took = seconds(change) / len(changed)
    yield Figure(
        "BM25, one passage replaced among them", 1e3 * took, "ms", None, 1e3 * peers_building, "bm25s, rebuilt"
    )
    fresh = BM25(analyse=str.split)
    now = list(as_texts)
    for id in changed:
        now[id] = as_texts[(id + 1) % len(texts)]
    fresh.add(range(len(now)), now)
    pairs = zip(index.search(lines, K), fresh.search(lines, K), strict=True)
    same = all(np.array_equal(a, b) for a, b in pairs)
    what = "BM25, results after 1,000 replacements equal to those of a new index"
    yield Figure(what, float(same), "share", 1.0)


def quality(name: str) -> Iterator[Figure]:
    """nDCG@10 of each half and of both, with the unit's own settings."""
    figures = by_way(*collection(name))
    stock: dict[str, float] = dict(zip(("BM25", "MiniLM"), STOCK[name], strict=False))
    for way, figure in figures.items():
        known = stock.get(way, STOCK[name][2])
        bar = STOCK[name][2] if way == "hybrid_search" else None
        peer = "stock parts" if way in stock else "stock parts, best fusion"
        yield Figure(f"{name}: {way}", figure, "nDCG@10", bar, known, peer)
    better = max(figures["BM25"], figures["MiniLM"])
    what = f"{name}: hybrid_search, not below its better half"
    yield Figure(what, figures["hybrid_search"], "nDCG@10", better, better, "the better half")


def regret(mirror: Path) -> Iterator[Figure]:
    """nDCG@10 of `hybrid_search` beside its better half on every collection, and what each fusion loses at most."""
    losses: dict[str, list[float]] = {}
    for name, (texts, asked, judged) in collections(mirror):
        figures = by_way(texts, asked, judged)
        half = max(HALVES, key=lambda way: figures[way])
        what = f"{name}, {len(texts):,} texts, {len(asked)} questions: hybrid_search"
        yield Figure(what, figures["hybrid_search"], "nDCG@10", None, figures[half], half)
        for way in figures.keys() - HALVES:
            losses.setdefault(way, []).append(figures[half] - figures[way])
    for way, lost in sorted(losses.items()):
        what = f"{way}, {len(lost)} collections"
        yield Figure(f"{what}: lost to the better half, at most", max(0.0, *lost), "points of nDCG@10")
        yield Figure(f"{what}: gained on it, mean", -float(np.mean(lost)), "points of nDCG@10")


def by_way(texts: list[str], asked: list[str], judged: list[dict[int, float]]) -> dict[str, float]:
    """nDCG@10 of each half and of both in several ways, with the unit's own settings."""
    lexical = BM25()
    lexical.add(range(len(texts)), texts)
    dense = cosine_search(load_embedder().encode, texts)
    words, meaning = lexical.search(asked, 1000), dense(asked, 1000)
    ways = {
        "BM25": words,
        "MiniLM": meaning,
        "ranks fused": reciprocal_rank_fusion([words[0], meaning[0]], K),
        "scores fused": score_fusion([words, meaning], K),
        "evidence fused": evidence_fusion(words, lexical.bounds(asked), meaning, K),
        "hybrid_search": hybrid_search(asked, lexical, dense, K),
    }
    return {way: mean_ndcg(found, judged) for way, found in ways.items()}


def collection(name: str) -> tuple[list[str], list[str], list[dict[int, float]]]:
    """The texts of a test collection, the questions that have judgements, and theirs, any degree counting 1."""
    data = load(name)
    gains: dict[int, dict[int, float]] = {}
    for query, document in zip(data["judged_query"].tolist(), data["judged_document"].tolist(), strict=True):
        gains.setdefault(query, {})[document] = 1.0
    queries = data["query"].tolist()
    return data["text"].tolist(), [queries[number] for number in gains], list(gains.values())


def mean_ndcg(found: Found, judged: list[dict[int, float]]) -> float:
    """nDCG@10, the mean over the questions."""
    return float(np.mean([ndcg(ids.tolist(), gains, K) for ids, gains in zip(found[0], judged, strict=True)]))


def cosine_search(encode: Encode, texts: Sequence[str]) -> Callable[[Sequence[str], int], Found]:
    """Exact search by the cosines of sentence vectors."""
    vectors = encode(texts)

    def search(queries: Sequence[str], k: int) -> Found:
        cosines = encode(queries) @ vectors.T
        ids = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        return ids, np.take_along_axis(cosines, ids, axis=1)

    return search


def passages(mirror: Path) -> list[str]:
    """Windows of words at even distances from all the texts."""
    paths = [
        *sorted((mirror / "wikitext2").glob("*.txt")),
        *sorted((mirror / "ir" / "chunking_eval" / "corpora").glob("*.md")),
        *sorted((mirror / "k8s_docs").rglob("*.md")),
    ]
    words = [word for path in paths for word in path.read_text(encoding="utf-8", errors="replace").split()]
    step = max(1, (len(words) - WORDS) // PASSAGES)
    return [" ".join(words[start : start + WORDS]) for start in range(0, step * PASSAGES, step)]


def questions(mirror: Path) -> list[str]:
    """The questions of SQuAD 2.0, answerable or not."""
    path = mirror / "ir" / "squad2_cs224n" / "dev-v2.0.json"
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    return [qa["question"] for article in articles for paragraph in article["paragraphs"] for qa in paragraph["qas"]]

"""Experiments with ranking: what words find, what meaning finds, and what the two find together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from groundup.drawing import BLUE, GREEN, ORANGE, PINK, RED, SKY
from groundup.labs import Recorder, expect, lab
from groundup.stack.retrieval.ranking import (
    BM25,
    Found,
    analyse,
    average_precision,
    evidence_fusion,
    hybrid_search,
    ndcg,
    recall,
    reciprocal_rank,
    reciprocal_rank_fusion,
    score_fusion,
)

Search = Callable[[Sequence[str], int], Found]


@dataclass(frozen=True)
class HybridConfig:
    """Settings of the hybrid lab.

    Attributes:
        seed: seed of the bootstrap: which of the questions are asked, with repeats.
        dense: the half that searches by meaning: `minilm` (a sentence model), `lsa` (latent semantic analysis: the
            largest singular vectors of the table of terms and documents), or `random` vectors, which mean nothing.
        dimensions: length of the vectors of `lsa` and `random`.
        depth: how many documents each half finds.
        k: the places that count for nDCG.
        at: the places that count for recall.
        shuffle_judgements: whether the judged documents are permuted, so that nothing found is right.
    """

    seed: int = 0
    dense: Literal["minilm", "lsa", "random"] = "lsa"
    dimensions: int = 100
    depth: int = 1000
    k: int = 10
    at: int = 100
    shuffle_judgements: bool = False


@lab(
    title="Words, meaning, and both",
    question="Does a search that joins BM25 with vectors rank better than either of them alone?",
    data=["cranfield"],
    presets={
        "smoke": {"dense": "lsa", "depth": 300},
        "laptop": {"dense": "minilm"},
        "full": {"dense": "minilm", "depth": 1400},
    },
    expectations=[
        expect("hybrid_ndcg", beats_baseline_by=0.2, why="What is found must be far better than a random order."),
        expect(
            "hybrid_over_better_half",
            at_least=0.01,
            why="Two halves that both know something must gain from each other.",
        ),
    ],
    sabotage=[{"dense": "random"}, {"shuffle_judgements": True}],
)
def hybrid(config: HybridConfig, record: Recorder) -> None:
    """Rank the documents of Cranfield for its questions, by each half alone and by both in several ways.

    Nothing is fitted to the judgements, and all settings are the unit's own. A seed asks as many questions as there
    are, drawn with replacement, so that the spread over seeds is what another set of questions would have made of it.
    """
    from groundup.data import load

    data = load("cranfield")
    texts = [str(text) for text in data["text"]]
    rng = np.random.default_rng(config.seed)
    places = rng.permutation(len(texts)) if config.shuffle_judgements else np.arange(len(texts))
    gains = judgements(data["judged_query"], places[data["judged_document"]], data["gain"])
    asked = rng.choice(sorted(gains), len(gains))
    questions = [str(data["query"][number]) for number in asked]
    judged = [gains[number] for number in asked]

    lexical = BM25()
    lexical.add(range(len(texts)), texts)
    dense = dense_search(config, texts, record)
    k, at, depth = config.k, config.at, config.depth
    words, meaning = lexical.search(questions, depth), dense(questions, depth)
    ways: dict[str, Found] = {
        "BM25": words,
        config.dense: meaning,
        "ranks fused": reciprocal_rank_fusion([words[0], meaning[0]], depth),
        "scores fused": score_fusion([words, meaning], depth),
        "evidence fused": evidence_fusion(words, lexical.bounds(questions), meaning, depth),
        "hybrid_search": hybrid_search(questions, lexical, dense, depth, depth=depth),
    }
    rows = [{"search": name, **measures(found[0], judged, k, at)} for name, found in ways.items()]
    record.table("means over the questions", rows)
    first, second, *_, best = rows
    random = np.argsort(rng.random((len(questions), len(texts))), axis=1)[:, :at]
    for name in (f"ndcg@{k}", f"recall@{at}"):
        record.figure(name, bars(name, rows))
    record.baseline("hybrid_ndcg", measures(random, judged, k, at)[f"ndcg@{k}"], "documents in random order")
    record.result("hybrid_ndcg", best[f"ndcg@{k}"])
    better, more = (max(first[name], second[name]) for name in (f"ndcg@{k}", f"recall@{at}"))
    record.baseline("hybrid_over_better_half", 0.0, "the better half alone")
    record.result("hybrid_over_better_half", best[f"ndcg@{k}"] - better)
    record.result("hybrid_recall", best[f"recall@{at}"])
    record.result("hybrid_recall_gain", best[f"recall@{at}"] - more)
    record.result("bm25_ndcg", first[f"ndcg@{k}"])
    record.result("dense_ndcg", second[f"ndcg@{k}"])
    record.note(
        f"{len(questions)} questions drawn from {len(gains)}, {len(texts)} documents. "
        f"Any degree of relevance counts 1. The dense half is {config.dense}."
    )


def judgements(queries: np.ndarray, documents: np.ndarray, gains: np.ndarray) -> dict[int, dict[int, float]]:
    """For each judged query its relevant documents, each worth 1 whatever its degree, as the literature reports."""
    judged: dict[int, dict[int, float]] = {}
    for query, document, gain in zip(queries.tolist(), documents.tolist(), gains.tolist(), strict=True):
        if gain > 0:
            judged.setdefault(query, {})[document] = 1.0
    return judged


def measures(ids: np.ndarray, judged: Sequence[Mapping[int, float]], k: int, at: int) -> dict[str, float]:
    """The means of all measures over the queries."""
    rows = [(row.tolist(), gains) for row, gains in zip(ids, judged, strict=True)]
    return {
        f"ndcg@{k}": float(np.mean([ndcg(row, gains, k) for row, gains in rows])),
        f"recall@{at}": float(np.mean([recall(row, gains, at) for row, gains in rows])),
        "MRR": float(np.mean([reciprocal_rank(row, gains) for row, gains in rows])),
        "MAP": float(np.mean([average_precision(row, gains) for row, gains in rows])),
    }


def dense_search(config: HybridConfig, texts: list[str], record: Recorder) -> Search:
    """Exact search by the cosine of vectors of the configured kind."""
    embed = {"minilm": minilm, "lsa": lsa, "random": noise}[config.dense]
    documents, of_queries = embed(config, texts, record)

    def search(queries: Sequence[str], k: int) -> Found:
        cosines = of_queries(queries) @ documents.T
        ids = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        return ids, np.take_along_axis(cosines, ids, axis=1)

    return search


Embedded = tuple[np.ndarray, Callable[[Sequence[str]], np.ndarray]]


def minilm(config: HybridConfig, texts: list[str], record: Recorder) -> Embedded:
    """Unit vectors by the sentence model all-MiniLM-L6-v2, which reads the first 256 tokens of a text."""
    from groundup.embedding import load

    embedder = load()
    batches = [texts[start : start + 64] for start in range(0, len(texts), 64)]
    vectors = [embedder.encode(batch) for batch in record.progress(batches, label="batches embedded")]
    return np.concatenate(vectors), embedder.encode


def lsa(config: HybridConfig, texts: list[str], record: Recorder) -> Embedded:
    """Unit vectors by latent semantic analysis of the documents: no trained model, only what words occur together."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    table = TfidfVectorizer(analyzer=analyse, sublinear_tf=True)  # type: ignore[arg-type]
    documents = table.fit_transform(texts)
    axes = TruncatedSVD(config.dimensions, random_state=0)
    vectors = np.asarray(normalize(axes.fit_transform(documents)))
    return vectors, lambda several: np.asarray(normalize(axes.transform(table.transform(several))))


def noise(config: HybridConfig, texts: list[str], record: Recorder) -> Embedded:
    """Random unit vectors: a half that knows nothing."""
    rng = np.random.default_rng(config.seed)

    def draw(count: int) -> np.ndarray:
        rows = rng.normal(size=(count, config.dimensions))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    return draw(len(texts)), lambda several: draw(len(several))


def bars(measure: str, rows: Sequence[Mapping[str, Any]]) -> Any:
    """One measure of every way to search."""
    import plotly.graph_objects as go

    names = [row["search"] for row in rows]
    colours = [BLUE, ORANGE, SKY, PINK, RED, GREEN]
    figure = go.Figure(go.Bar(x=names, y=[row[measure] for row in rows], marker_color=colours))
    figure.update_xaxes(title="search")
    figure.update_yaxes(title=measure)
    return figure

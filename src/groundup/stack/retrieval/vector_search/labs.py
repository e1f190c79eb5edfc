"""The lab of vector search: recall against queries per second (004 L17)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from groundup.drawing import BLUE, GREEN, ORANGE, RED
from groundup.labs import Recorder, expect, lab
from groundup.stack.retrieval.vector_search import HNSW, IVF, PQ, Exact, descend

COLOURS = {"exact": RED, "IVF": ORANGE, "HNSW": BLUE, "PQ": GREEN}


@dataclass(frozen=True)
class TradeConfig:
    """Settings of the lab.

    Attributes:
        seed: seed of the split, of the training and of the graph.
        texts: what is searched in: `messages` are text messages, as TF-IDF vectors reduced to `dim` numbers; `random`
            are points drawn evenly from the sphere, which have no neighbourhoods worth the name.
        rows: how many vectors are stored, at most as many as there are.
        queries: how many are asked; none of them is stored.
        dim: numbers of a vector.
        k: how many neighbours are asked for.
        cells: cells of the IVF index.
        M: links of the HNSW graph.
        ef_construction: rows in view while the graph is built.
        scramble: whether the stored vectors are given each other's ids, which must ruin every answer.
        blind: whether the graph is searched with one row in view, and IVF in one cell: fast, and not good.
    """

    seed: int = 0
    texts: Literal["messages", "random"] = "messages"
    rows: int = 3_000
    queries: int = 200
    dim: int = 48
    k: int = 10
    cells: int = 48
    M: int = 8
    ef_construction: int = 60
    scramble: bool = False
    blind: bool = False


@lab(
    title="Recall against queries per second",
    question="How much faster is search that may miss a neighbour, and how many does it miss?",
    data=["sms_spam"],
    presets={
        "smoke": {},
        "laptop": {"rows": 5_000, "queries": 500, "dim": 128, "cells": 64, "M": 16, "ef_construction": 200},
        "full": {
            "texts": "random", "rows": 100_000, "queries": 1_000, "dim": 16, "cells": 1024, "M": 16,
            "ef_construction": 200,
        },
    },
    expectations=[
        expect("hnsw_recall", at_least=0.9, why="A graph finds nine of ten true neighbours with a small view."),
        expect("hnsw_recall", beats_baseline_by=0.5),
        expect("hnsw_share_compared", at_most=0.5, why="And compares a query with fewer than half of the rows."),
        expect("ivf_recall", at_least=0.8, why="A quarter of the cells holds at least four of five."),
        expect("filtered_recall", at_least=1.0, why="A filter that keeps a tenth is answered exactly."),
    ],
    sabotage=[{"scramble": True}, {"blind": True}],
)  # fmt: skip
def trade(config: TradeConfig, record: Recorder) -> None:
    """Store vectors in every index, turn its dial, and measure recall at k and queries per second at every setting.

    Recall at k is the share of the k true nearest, which exact search finds, that an index finds. Queries are vectors
    that are not stored. Speed is recorded and drawn, not judged: it belongs to the machine. What is judged is recall,
    and how many rows a query is compared with.
    """
    vectors, queries = _vectors(config)
    ids = np.arange(len(vectors))
    stored_ids = np.random.default_rng(config.seed).permutation(ids) if config.scramble else ids
    exact = Exact(config.dim)
    exact.add(vectors, ids)
    truth, _ = exact.search(queries, config.k)
    table: list[dict[str, Any]] = []

    def measure(kind: str, dial: str, search: Callable[[], np.ndarray]) -> float:
        search()  # compiled, and warm
        start = time.perf_counter()
        found = search()
        seconds = time.perf_counter() - start
        recall = recall_of(found, truth)
        speed = len(queries) / seconds
        table.append({"index": kind, "dial": dial, "recall": round(recall, 4), "queries/s": round(speed)})
        record.metric(f"{kind}_recall", recall, step=len(table))
        record.metric(f"{kind}_queries_per_second", speed, step=len(table))
        return recall

    measure("exact", "", lambda: exact.search(queries, config.k)[0])
    ivf = IVF(config.dim, config.cells, seed=config.seed)
    ivf.train(vectors)
    ivf.add(vectors, stored_ids)
    hnsw = HNSW(config.dim, config.M, config.ef_construction, seed=config.seed)
    for part in record.progress(np.array_split(ids, 10), label="building the graph"):
        hnsw.add(vectors[part], stored_ids[part])
    pq = PQ(config.dim, config.dim // 4, seed=config.seed)
    pq.train(vectors[:10_000])
    pq.add(vectors, stored_ids)
    quarter = max(1, config.cells // 4)
    ivf_recall = hnsw_recall = 0.0
    for probes in [1] if config.blind else sorted({1, 2, quarter // 2, quarter}):
        ivf.probes = probes
        ivf_recall = measure("IVF", f"probes = {probes}", lambda: ivf.search(queries, config.k)[0])
    for ef in [1] if config.blind else [10, 20, 40, 80]:
        hnsw.ef = ef
        k = 1 if config.blind else config.k  # a view is never narrower than k
        hnsw_recall = measure("HNSW", f"ef = {ef}", lambda k=k: hnsw.search(queries, k)[0])
    measure("PQ", f"{pq.parts} bytes", lambda: pq.search(queries, config.k)[0])
    allowed = ids[ids % 10 == config.seed % 10]
    filtered_truth, _ = exact.search(queries, config.k, allowed)
    filtered, _ = hnsw.search(queries, config.k, allowed)
    record.table("trade", table)
    record.figure("trade", _figure(table, config.k))
    chance = config.k / len(vectors)
    record.baseline("hnsw_recall", chance, "naming k rows at random")
    record.result("hnsw_recall", hnsw_recall)
    record.baseline("ivf_recall", chance, "naming k rows at random")
    record.result("ivf_recall", ivf_recall)
    record.baseline("filtered_recall", config.k / len(allowed), "naming k of the allowed rows at random")
    record.result("filtered_recall", recall_of(filtered, filtered_truth))
    record.baseline("hnsw_share_compared", 1.0, "exact search compares with all")
    record.result("hnsw_share_compared", _share_compared(hnsw, queries[:30]))
    record.note(f"{len(vectors)} vectors of {config.dim} numbers stored, {len(queries)} queries, {_named(config)}.")


def recall_of(found: np.ndarray, truth: np.ndarray) -> float:
    """The share of the true neighbours that were found."""
    return float(np.mean([np.isin(true, got).mean() for true, got in zip(truth, found, strict=True)]))


def _share_compared(index: HNSW, queries: np.ndarray) -> float:
    """The share of the rows that a query is compared with on layer 0: the walk of `search_layer`, counted."""
    graph, entry = index._graph(), index._entry
    counts = []
    for query in queries:
        scores = graph.vectors[: len(index)] @ query
        at = descend(graph, query, entry, 0)
        seen, ahead, best = {at}, [at], [at]
        while ahead:
            ahead.sort(key=lambda row: scores[row])
            row = ahead.pop()
            if len(best) == index.ef and scores[row] < scores[best[-1]]:
                break
            for other in graph.links[graph.block[row]]:
                if other >= 0 and other not in seen:
                    seen.add(int(other))
                    if len(best) < index.ef or scores[other] > scores[best[-1]]:
                        ahead.append(int(other))
                        best = sorted([*best, int(other)], key=lambda row: -scores[row])[: index.ef]
        counts.append(len(seen))
    return float(np.mean(counts)) / len(index)


def _vectors(config: TradeConfig) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors to store and to ask with."""
    rng = np.random.default_rng(config.seed)
    if config.texts == "random":
        drawn = _units(rng.normal(size=(config.rows + config.queries, config.dim)))
        return drawn[config.queries :], drawn[: config.queries]
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    from groundup import data

    texts = list(dict.fromkeys(map(str, data.load("sms_spam")["message"])))  # each text once
    texts = [text for text in texts if len(re.findall(r"\w\w+", text)) >= 3]
    order = rng.permutation(len(texts))[: config.rows + config.queries]
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2))
    counted = vectorizer.fit_transform([texts[i] for i in order])
    reduced = TruncatedSVD(config.dim, random_state=config.seed).fit_transform(counted)
    reduced = reduced[np.linalg.norm(reduced, axis=1) > 1e-6]
    made = _units(reduced)
    return made[config.queries :], made[: config.queries]


def _units(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _named(config: TradeConfig) -> str:
    if config.texts == "random":
        return "drawn evenly from the sphere"
    return f"text messages as TF-IDF vectors, reduced to {config.dim} numbers by singular values"


def _figure(table: list[dict[str, Any]], k: int) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for kind, colour in COLOURS.items():
        rows = [row for row in table if row["index"] == kind]
        figure.add_scatter(
            x=[row["recall"] for row in rows], y=[row["queries/s"] for row in rows], name=kind, mode="lines+markers",
            line_color=colour, text=[row["dial"] for row in rows],
        )  # fmt: skip
    figure.update_xaxes(title=f"recall at {k}")
    figure.update_yaxes(type="log", title="queries per second")
    return figure

"""Vector search beside faiss, hnswlib and embedded Chroma, on embeddings of real sentences, on one thread.

100,000 vectors of 384 numbers are stored, 1,000 others are asked, 10 neighbours each: see `benchmarks.sentences`. Where
the texts are not in the folder that `GROUNDUP_DATA_MIRROR` names, nothing is measured. What is timed is called in turn
with its peer, after both are warm.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.measure import Figure, seconds, side_by_side
from benchmarks.sentences import embeddings
from groundup.stack.retrieval.vector_search import HNSW, IVF, PQ, Exact

ROWS = int(os.environ.get("GROUNDUP_BENCHMARK_ROWS", "100000"))
QUERIES, K = 1_000, 10
M, EF_CONSTRUCTION = 16, 200
FEW = 30  # queries asked one by one
FILTERED = 20  # queries of Chroma, which takes its time


def run() -> Iterator[Figure]:
    """Exact search, IVF, PQ, HNSW, a filter, and what removing does."""
    made = embeddings(ROWS + QUERIES)
    if made is None:
        return
    import faiss

    faiss.omp_set_num_threads(1)
    vectors, queries = made[:ROWS], made[ROWS:]
    ids = np.arange(ROWS)
    exact, flat = Exact(384), faiss.IndexFlatIP(384)
    exact.add(vectors, ids)
    flat.add(vectors)
    truth = flat.search(queries, K)[1]
    recall = exact_recall(exact.search(queries, K)[0], truth)
    yield Figure("exact search, recall at 10", recall, "share", 0.999, 1.0, "faiss IndexFlatIP")
    yield speed("exact search, 1,000 queries at once", exact, flat, queries, peer="faiss IndexFlatIP", bar=1.0)
    yield speed("exact search, one query at a time", exact, flat, queries[:FEW], peer="faiss IndexFlatIP", single=True)
    yield from cells(vectors, queries, ids, truth)
    yield from codes(vectors, queries, ids, truth)
    yield from graphs(vectors, queries, ids, truth)
    yield from filters(vectors, queries, ids, exact)


def exact_recall(found: np.ndarray, truth: np.ndarray) -> float:
    """The share of the true neighbours that were found."""
    return float(np.mean([np.isin(true, got).mean() for true, got in zip(truth, found, strict=True)]))


def speed(
    what: str, ours: Any, theirs: Any, queries: np.ndarray, *, peer: str, bar: float | None = None, single: bool = False
) -> Figure:
    """Queries per second of ours and of a peer of faiss; `bar` is the share of the peer's that was promised."""
    parts = np.split(queries, len(queries)) if single else [queries]
    mine, other = side_by_side(
        lambda: [ours.search(part, K) for part in parts], lambda: [theirs.search(part, K) for part in parts], 5
    )
    n = len(queries)
    return Figure(what, n / mine, "queries/s", None if bar is None else bar * n / other, n / other, peer, 5)


def cells(vectors: np.ndarray, queries: np.ndarray, ids: np.ndarray, truth: np.ndarray) -> Iterator[Figure]:
    """IVF with 1,024 cells."""
    import faiss

    ours = IVF(384, 1024)
    theirs = faiss.IndexIVFFlat(faiss.IndexFlatIP(384), 384, 1024, faiss.METRIC_INNER_PRODUCT)
    sample = vectors[: 64 * 1024]
    peer = "faiss IndexIVFFlat"
    yield Figure("IVF, 1,024 cells: training and adding", built(ours, sample, vectors, ids), "s", None,
                 seconds(lambda: (theirs.train(sample), theirs.add(vectors))), peer)  # fmt: skip
    for probes in (8, 32):
        ours.probes = theirs.nprobe = probes
        what = f"IVF, {probes} of 1,024 cells"
        mine, other = ours.search(queries, K)[0], theirs.search(queries, K)[1]
        yield Figure(
            f"{what}: recall at 10", exact_recall(mine, truth), "share", None, exact_recall(other, truth), peer
        )
        yield speed(f"{what}: 1,000 queries at once", ours, theirs, queries, peer=peer)
        yield speed(f"{what}: one query at a time", ours, theirs, queries[:200], peer=peer, single=True)


def codes(vectors: np.ndarray, queries: np.ndarray, ids: np.ndarray, truth: np.ndarray) -> Iterator[Figure]:
    """Product quantisation into 48 bytes."""
    import faiss

    ours, theirs = PQ(384, 48), faiss.IndexPQ(384, 48, 8, faiss.METRIC_INNER_PRODUCT)
    sample, peer = vectors[:10_000], "faiss IndexPQ"
    yield Figure("PQ, 48 bytes: training and adding", built(ours, sample, vectors, ids), "s", None,
                 seconds(lambda: (theirs.train(sample), theirs.add(vectors))), peer)  # fmt: skip
    some = queries[:300]
    mine, other = ours.search(some, K)[0], theirs.search(some, K)[1]
    yield Figure("PQ, 48 bytes: recall at 10", exact_recall(mine, truth[:300]), "share", None,
                 exact_recall(other, truth[:300]), peer)  # fmt: skip
    yield speed("PQ, 48 bytes: 300 queries at once", ours, theirs, some, peer=peer)


def built(index: IVF | PQ, sample: np.ndarray, vectors: np.ndarray, ids: np.ndarray) -> float:
    """Seconds to train an index and fill it."""
    return seconds(lambda: (index.train(sample), index.add(vectors, ids)))


def graphs(vectors: np.ndarray, queries: np.ndarray, ids: np.ndarray, truth: np.ndarray) -> Iterator[Figure]:
    """HNSW beside hnswlib with the same M, ef_construction and ef; then with half of the rows replaced."""
    import hnswlib

    small = HNSW(384, M, EF_CONSTRUCTION)
    small.add(vectors[:200], ids[:200])  # compiles
    small.search(queries[:2], K)
    ours, theirs = HNSW(384, M, EF_CONSTRUCTION), hnswlib.Index("ip", 384)
    theirs.init_index(len(vectors), ef_construction=EF_CONSTRUCTION, M=M, random_seed=1)
    theirs.set_num_threads(1)
    mine, other = seconds(lambda: ours.add(vectors, ids)), seconds(lambda: theirs.add_items(vectors, ids))
    yield Figure(f"HNSW, M = {M}, efC = {EF_CONSTRUCTION}: building", mine, "s", 3 * other, other, "hnswlib")
    for ef in (32, 64, 128, 256):
        ours.ef = ef
        theirs.set_ef(ef)
        got, peer = ours.search(queries, K)[0], theirs.knn_query(queries, K)[0].astype(np.int64)
        one, two = exact_recall(got, truth), exact_recall(peer, truth)
        yield Figure(f"HNSW, ef = {ef}: recall at 10", one, "share", two - 0.005, two, "hnswlib")
        a, b = side_by_side(lambda: ours.search(queries, K), lambda: theirs.knn_query(queries, K), 5)
        per = QUERIES / np.array([a, b])
        yield Figure(f"HNSW, ef = {ef}", per[0], "queries/s", 0.5 * per[1], per[1], "hnswlib", 5)
    ours.ef = 64
    replaced = len(ids) // 5
    before = exact_recall(ours.search(queries, K)[0], truth)
    took = seconds(lambda: ours.add(vectors[:replaced], ids[:replaced]))  # each removed, and added again
    after = exact_recall(ours.search(queries, K)[0], truth)
    yield Figure("HNSW, ef = 64: recall after a fifth was replaced", after, "share", before - 0.005, before, "before")
    yield Figure("HNSW, replacing a vector, mean", 1e3 * took / replaced, "ms")


def filters(vectors: np.ndarray, queries: np.ndarray, ids: np.ndarray, exact: Exact) -> Iterator[Figure]:
    """A filter on a column that keeps a tenth, in any of our indexes, beside embedded Chroma's `where`."""
    shard = ids % 10
    true = np.argsort(-(queries[:FILTERED] @ vectors[shard == 3].T), axis=1)[:, :K]
    truth = ids[shard == 3][true]
    single = np.split(queries[:FILTERED], FILTERED)

    def mine() -> np.ndarray:
        return np.concatenate([exact.search(one, K, shard == 3)[0] for one in single])

    def by_id() -> np.ndarray:
        return np.concatenate([exact.search(one, K, ids[shard == 3])[0] for one in single])

    with chroma(vectors, shard) as collection:

        def theirs() -> list[list[str]]:
            return [
                collection.query(query_embeddings=one, n_results=K, where={"shard": 3}, include=[])["ids"][0]
                for one in single
            ]

        found = np.array(theirs()).astype(np.int64)
        a, b = side_by_side(mine, theirs, 3)
    peer = "Chroma, where"
    yield Figure("filter that keeps a tenth: recall at 10", exact_recall(mine(), truth), "share", 1.0,
                 exact_recall(found, truth), peer)  # fmt: skip
    yield Figure("filter that keeps a tenth, one query at a time", FILTERED / a, "queries/s", 10 * FILTERED / b,
                 FILTERED / b, peer, 3)  # fmt: skip
    yield Figure("the same, the tenth given as ids", FILTERED / seconds(by_id), "queries/s")


@contextmanager
def chroma(vectors: np.ndarray, shard: np.ndarray) -> Iterator[Any]:
    """A collection of embedded Chroma, in memory, with the vectors and their column in it."""
    import chromadb
    from chromadb.config import Settings

    client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
    collection = client.create_collection("vectors", configuration={"hnsw": {"space": "ip"}})
    for start in range(0, len(vectors), 5_000):
        some = slice(start, start + 5_000)
        columns = [{"shard": int(one)} for one in shard[some]]
        names = [str(row) for row in range(start, start + len(columns))]
        collection.add(ids=names, embeddings=vectors[some], metadatas=columns)  # type: ignore[arg-type]
    yield collection
    client.delete_collection("vectors")

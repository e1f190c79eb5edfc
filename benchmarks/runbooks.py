"""How often an alert's runbook is the first, or among the first five, with Kubernetes' documentation around it.

The queries, the runbooks and the documentation are in `GROUNDUP_DATA_MIRROR`; without them nothing is measured. The
first run embeds all documents, which takes minutes; what it learnt stays in `.benchmarks/knowledge`.

Two alerts in the file share their text with another one, so that one of two right runbooks is asked for.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.measure import Figure
from groundup.knowledge import Knowledge, open_knowledge
from groundup.stack.retrieval.ranking import BM25

PLACES = 5
Search = Callable[[str, int], list[str]]


def run() -> Iterator[Figure]:
    """hit@5 and hit@1 of `Knowledge.search`, beside BM25 alone and vectors alone."""
    mirror = Path(os.environ.get("GROUNDUP_DATA_MIRROR", "/nowhere"))
    file = mirror / "runbook_queries" / "dev.tsv"
    if not file.exists():
        return
    knowledge = open_knowledge(".benchmarks/knowledge")
    knowledge.learn([mirror / "runbooks", mirror / "k8s_docs"])
    with file.open(encoding="utf-8") as lines:
        rows = [(row["query"], row["gold_path"]) for row in csv.DictReader(lines, delimiter="\t")]

    def ours(query: str, places: int) -> list[str]:
        return [passage.source for passage in knowledge.search(query, places)]

    peers = {"BM25 alone": by_words(knowledge), "vectors alone": by_meaning(knowledge)}
    documents = len(knowledge._index.sources)
    for places, bar in ((PLACES, 0.95), (1, 0.85)):
        for name, peer in peers.items():
            yield Figure(
                f"hit@{places}, {len(rows)} alerts, {documents} documents", hits(rows, ours, places), "share", bar,
                hits(rows, peer, places), name,
            )  # fmt: skip


def hits(rows: Sequence[tuple[str, str]], search: Search, places: int) -> float:
    """The share of queries whose runbook is among the first documents."""
    return float(np.mean([right in search(query, places) for query, right in rows]))


def by_words(knowledge: Knowledge) -> Search:
    """BM25 on the chunks as they are."""
    passages = knowledge._index.passages
    index = BM25()
    index.add(range(len(passages)), [passage.text for passage in passages])
    sources = [passage.source for passage in passages]
    return lambda query, places: first(sources, index.search([query], 200)[0][0], places)


def by_meaning(knowledge: Knowledge) -> Search:
    """The cosine of the chunks, with their headings, and the query as it is."""
    index = knowledge._index
    sources = [passage.source for passage in index.passages]

    def search(query: str, places: int) -> list[str]:
        cosines = index.vectors @ index.embedder.encode([query])[0]
        return first(sources, np.argsort(-cosines)[:200], places)

    return search


def first(sources: Sequence[str], ids: np.ndarray, places: int) -> list[str]:
    """The first documents of a ranking of chunks."""
    return [*dict.fromkeys(sources[int(i)] for i in ids if i != -1)][:places]

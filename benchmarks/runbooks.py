"""How often the runbook of an alert is among the first five documents, with the Kubernetes documentation around it.

The queries, the runbooks and the documentation are in `GROUNDUP_DATA_MIRROR`; without them nothing is measured. The
first run embeds all documents, which takes minutes; what it learnt stays in `.benchmarks/knowledge`.

Some rows of the file name the runbook of another alert than the one whose text they hold: from row 28 on, texts and
runbooks slipped against each other. `MENDED` says which, by the alerts of kubernetes-mixin; figures are given for the
rows as they stand and mended.
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
# Text of an alert: its own runbook, by the summaries in kubernetes-mixin (alerts/*.libsonnet); None: there is none.
MENDED: dict[str, str | None] = {
    "Namespace quota is fully used.": "KubeQuotaFullyUsed",
    "Node is unreachable.": "KubeNodeUnreachable",
    "Node is evicting pods.": None,
    "Kubelet Pod startup latency is too high.": "KubeletPodStartUpLatencyHigh",
    "Kubelet client certificate is about to expire.": "KubeletClientCertificateExpiration",
    "Kubelet server certificate is about to expire.": "KubeletServerCertificateExpiration",
    "Kubelet has failed to renew its server certificate.": "KubeletServerCertificateRenewalErrors",
    "The Kube API server is burning too much error budget.": "KubeAPIErrorBudgetBurn",
    "Client certificate is about to expire.": "KubeClientCertificateExpiration",
    "Kubernetes aggregated API is down.": "KubeAggregatedAPIDown",
    "PersistentVolumeInodes are filling up.": None,
    "StatefulSet update has not been rolled out.": "KubeStatefulSetUpdateNotRolledOut",
    "Pod container waiting longer than 1 hour": "KubeContainerWaiting",
    "Job did not complete in time": "KubeJobCompletion",
}
Search = Callable[[str], list[str]]


def run() -> Iterator[Figure]:
    """hit@5 of BM25 alone, of vectors alone, and of `Knowledge.search`."""
    mirror = Path(os.environ.get("GROUNDUP_DATA_MIRROR", "/nowhere"))
    file = mirror / "runbook_queries" / "dev.tsv"
    if not file.exists():
        return
    knowledge = open_knowledge(".benchmarks/knowledge")
    knowledge.learn([mirror / "runbooks", mirror / "k8s_docs"])
    with file.open(encoding="utf-8") as lines:
        rows = [(row["query"], row["gold_path"]) for row in csv.DictReader(lines, delimiter="\t")]
    mended = [(query, right) for query, given in rows if (right := right_of(query, given))]

    def ours(query: str) -> list[str]:
        return [one.source for one in knowledge.search(query, PLACES)]

    peers = {"BM25 alone": by_words(knowledge), "vectors alone": by_meaning(knowledge)}
    for what, asked, bar in (("mended", mended, 0.9), ("as they stand", rows, 0.9)):
        for name, peer in peers.items():
            yield Figure(
                f"hit@{PLACES}, {len(asked)} rows {what}, 942 documents", hits(asked, ours), "share", bar,
                hits(asked, peer), name,
            )  # fmt: skip


def right_of(query: str, given: str) -> str | None:
    """The runbook of the alert whose text this is."""
    if query not in MENDED:
        return given
    return MENDED[query] and f"runbooks/kubernetes/{MENDED[query]}.md"


def hits(rows: Sequence[tuple[str, str]], search: Search) -> float:
    """The share of queries whose runbook is among the first documents."""
    return float(np.mean([right in search(query) for query, right in rows]))


def by_words(knowledge: Knowledge) -> Search:
    """BM25 on the chunks as they are."""
    passages = knowledge._index.passages
    index = BM25()
    index.add(range(len(passages)), [one.text for one in passages])
    sources = [one.source for one in passages]
    return lambda query: first(sources, index.search([query], 200)[0][0])


def by_meaning(knowledge: Knowledge) -> Search:
    """The cosine of the chunks, with their headings, and the query as it is."""
    index = knowledge._index
    sources = [one.source for one in index.passages]
    return lambda query: first(sources, np.argsort(-(index.vectors @ index.embedder.encode([query])[0]))[:200])


def first(sources: Sequence[str], ids: np.ndarray) -> list[str]:
    """The first documents of a ranking of chunks."""
    found = [sources[int(i)] for i in ids if i != -1]
    return [*dict.fromkeys(found)][:PLACES]

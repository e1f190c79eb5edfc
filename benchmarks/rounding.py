"""What rounding the sentence model to int8 costs: nDCG@10 by cosine alone, beside sentence-transformers in float32.

The judgements are those of Cranfield and CISI; what is not in `GROUNDUP_DATA_MIRROR` is not measured.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.embedding import PEER, peer
from benchmarks.measure import Figure
from benchmarks.ranking import STOCK, K, collection, cosine_search, mean_ndcg
from groundup import data
from groundup.embedding import load


def run() -> Iterator[Figure]:
    """Both models on what collections there are."""
    encoders = load(threads=1).encode, peer()
    for name in STOCK:
        if not data.load(name).provenance.stand_in:
            texts, asked, judged = collection(name)
            mine, other = (mean_ndcg(cosine_search(encode, texts)(asked, K), judged) for encode in encoders)
            yield Figure(f"rounding, {name}, cosine alone", mine, "nDCG@10", None, other, PEER)

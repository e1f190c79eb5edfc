"""Embeddings of real sentences to search in: made once from the texts of `GROUNDUP_DATA_MIRROR`, and kept.

The sentences are those of Wikipedia articles (WikiText-2, SQuAD 2.0), the Kubernetes documentation, manual pages
(tldr), film reviews (SST-2, rotten tomatoes), descriptions of attacks (MITRE ATT&CK) and text messages: each once, in
an order that a seed draws. The model is all-MiniLM-L6-v2, by sentence-transformers; it takes two cores half an hour to
embed 100,000, once.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.embedding import sentence_transformer
from groundup.data import cache_folder

MODEL = "all-MiniLM-L6-v2"
FEWEST_WORDS, MOST_WORDS = 4, 40
BLOCK = 1_000  # sentences embedded and kept at once, so that a run that is broken off goes on where it was


def sentences(count: int) -> list[str]:
    """Distinct sentences in random order, the same on every call; fewer where the texts are not there."""
    mirror = Path(os.environ.get("GROUNDUP_DATA_MIRROR", "/nowhere"))
    found = dict.fromkeys(
        sentence
        for text in _texts(mirror)
        for sentence in re.split(r"(?<=[.!?])\s+", re.sub(r"\s+", " ", text).strip())
        if FEWEST_WORDS <= len(sentence.split()) <= MOST_WORDS
    )
    ordered = list(found)
    np.random.default_rng(0).shuffle(ordered)
    return ordered[:count]


def embeddings(count: int) -> np.ndarray | None:
    """Unit vectors of `count` sentences, float32 (kept as float16); None where there are not as many sentences."""
    chosen = sentences(count)
    if len(chosen) < count:
        return None
    folder = cache_folder() / "benchmarks" / f"sentences-{MODEL}"
    folder.mkdir(parents=True, exist_ok=True)
    blocks, model = [], cache(sentence_transformer)
    for start in range(0, count, BLOCK):
        part = chosen[start : start + BLOCK]
        file = folder / f"{hashlib.sha256(json.dumps(part).encode()).hexdigest()[:32]}.npy"
        if not file.exists():
            print(f"Embedding sentences: {start:,} of {count:,}", file=sys.stderr)
            made = model().encode(part, batch_size=64, normalize_embeddings=True).astype(np.float16)
            partial = file.with_suffix(f".{os.getpid()}.partial")
            with partial.open("wb") as opened:
                np.save(opened, made)
            partial.replace(file)
        blocks.append(np.load(file))
    vectors = np.concatenate(blocks).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _texts(mirror: Path) -> Iterator[str]:
    """Paragraphs, or whole documents with their markup taken out."""
    for name in ("valid", "test"):
        for line in _lines(mirror / "wikitext2" / f"{name}.txt"):
            if not line.strip().startswith("="):
                yield re.sub(r" @(.)@ ", r"\1", line).replace(" .", ".").replace(" ,", ",")
    for name in ("dev", "test"):
        file = mirror / "ir" / "squad2_cs224n" / f"{name}-v2.0.json"
        for article in json.loads(file.read_text(encoding="utf-8"))["data"] if file.exists() else ():
            for paragraph in article["paragraphs"]:
                yield paragraph["context"]
                yield from (question["question"] for question in paragraph["qas"])
    for file in sorted((mirror / "k8s_docs").rglob("*.md")):
        text = re.sub(
            r"```.*?```|^---.*?^---|\{\{.*?\}\}|<.*?>", " ", file.read_text(encoding="utf-8"), flags=re.S | re.M
        )
        yield from re.sub(r"\[(.*?)\]\(.*?\)|[*`#]", r"\1", text).split("\n\n")
    for line in _lines(mirror / "tldr_pages" / "tldr_common_linux.jsonl.gz"):
        yield from (row[2:].rstrip(":") for row in json.loads(line)["text"].split("\n") if row.startswith(("- ", "> ")))
    for name in ("pos", "neg"):
        yield from _lines(mirror / "sentiment" / f"rt-polarity.{name}")
    for name in ("train", "dev", "test"):
        yield from (line.split("\t")[0] for line in _lines(mirror / "sentiment" / f"sst2_{name}.tsv"))
    for line in _lines(mirror / "mitre_attack" / "enterprise_attack_v18.1.jsonl.gz"):
        yield re.sub(r"\(Citation:.*?\)|<.*?>|\[(.*?)\]\(.*?\)", r"\1", json.loads(line).get("description") or "")
    yield from (line.split("\t")[-1] for line in _lines(mirror / "sms_spam" / "sms.tsv"))


def _lines(path: Path) -> list[str]:
    """The lines of a text file, packed or not; none where it is missing."""
    if not path.exists():
        return []
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    return data.decode("utf-8", "replace").strip().split("\n")  # not splitlines(): JSON may hold U+2028

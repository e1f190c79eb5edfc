"""Sentences as vectors: all-MiniLM-L6-v2 in int8 on the CPU, offline.

    embedder = load()
    vectors = embedder.encode(["the pod was evicted", "why is checkout failing?"])   # float32, (2, 384), unit length
    vectors @ vectors.T                                                              # cosines
    embedder.tokens("the pod was evicted")                                           # 6, of embedder.max_tokens

Importing this package imports nothing heavy; the first `load` on a machine converts the weights and keeps the result.
"""

from __future__ import annotations

from groundup.embedding.embedder import MODELS, Embedder, load

__all__ = ["MODELS", "Embedder", "load"]

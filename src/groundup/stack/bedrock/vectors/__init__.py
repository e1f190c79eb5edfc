"""Vectors and the dense layer: dot product, broadcasting, similarity, ReLU and `XW + b`."""

from groundup.stack.bedrock.vectors.vectors import (
    Dense,
    as_floats,
    broadcast_shapes,
    cosine_similarity,
    dense_loop,
    dot,
    normalize_rows,
    pairwise_distances,
    relu,
)

__all__ = [
    "Dense",
    "as_floats",
    "broadcast_shapes",
    "cosine_similarity",
    "dense_loop",
    "dot",
    "normalize_rows",
    "pairwise_distances",
    "relu",
]

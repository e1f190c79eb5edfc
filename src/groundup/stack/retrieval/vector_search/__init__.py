"""Vector search: exact, in cells (IVF), in compressed rows (PQ), on a graph (HNSW)."""

from groundup.stack.retrieval.vector_search.vector_search import (
    HNSW,
    IVF,
    PQ,
    Exact,
    Graph,
    add_up,
    compare,
    descend,
    draw_levels,
    insert,
    keep_best,
    kmeans,
    link,
    search_layer,
    select_neighbours,
    similarity,
)

__all__ = [
    "HNSW",
    "IVF",
    "PQ",
    "Exact",
    "Graph",
    "add_up",
    "compare",
    "descend",
    "draw_levels",
    "insert",
    "keep_best",
    "kmeans",
    "link",
    "search_layer",
    "select_neighbours",
    "similarity",
]

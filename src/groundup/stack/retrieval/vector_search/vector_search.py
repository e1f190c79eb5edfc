"""Vector search: the stored vectors that point most nearly where a query points.

Everything is a vector of length 1, and the score of two is their dot product, the cosine. `Exact` compares a query
with every row. The others are exact search that looks at less: `IVF` at the rows in a few cells, `HNSW` at the rows on
a path through a graph, `PQ` at a few bytes of each row.

    index = HNSW(384)
    index.add(vectors, ids)                                # an id that is there already is replaced
    ids, scores = index.search(queries, 10)                # both (queries, 10), best first
    ids, scores = index.search(queries, 10, allowed=recent_ids)
    index.remove(old_ids)

Axes: `items` vectors of a call, `rows` stored vectors, `queries` asked at once, `dim` numbers of a vector. Loops over a
graph or over codes are compiled by Numba; the rest is NumPy, which leaves the arithmetic to BLAS.
"""

from heapq import heappop, heappush, heappushpop
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numba import njit
from numpy.typing import ArrayLike

AT_ONCE = 1_024  # rows that are added, queries that are answered, at once
BATCH = 8  # from so many queries on, BLAS is the faster
BLOCK = 256  # rows that BLAS is given at once: the scores stay in the cache until they have been looked through
FEW = 0.2  # up to this share of the rows, those that are allowed are compared one by one in any index
CODES = 256  # as many as a byte has values
NOTHING = -1  # a row, an id or a link that is none


@njit(cache=True)
def keep_best(
    best_scores: Float[np.ndarray, "queries k"],
    best_rows: Int[np.ndarray, "queries k"],
    scores: Float[np.ndarray, "queries items"],
    rows: Int[np.ndarray, " items"],
) -> None:
    """Enter what is better into every query's list of the best so far, in place; the lists stay sorted, best first.

    Of equal scores, the one that came first is the better. Nearly every score is worse than the last of its list, and
    costs one comparison.

    Args:
        best_scores: of the best so far; minus infinity where there is none yet.
        best_rows: which rows these are.
        scores: new ones, a line for each query.
        rows: which row each column of `scores` is.
    """
    k = best_scores.shape[1]
    for query in range(len(scores)):
        for item in range(len(rows)):
            score = scores[query, item]
            if score > best_scores[query, k - 1]:
                place = k - 1
                while place > 0 and best_scores[query, place - 1] < score:
                    best_scores[query, place] = best_scores[query, place - 1]
                    best_rows[query, place] = best_rows[query, place - 1]
                    place -= 1
                best_scores[query, place] = score
                best_rows[query, place] = rows[item]


@njit(cache=True, fastmath=True)
def similarity(vectors: Float[np.ndarray, "rows dim"], row: int, query: Float[np.ndarray, " dim"]) -> float:
    """The dot product of one row and a vector; `fastmath` lets the compiler add up several products at once."""
    total: Any = np.float32(0)
    for i in range(len(query)):
        total += vectors[row, i] * query[i]
    return total


@njit(cache=True)
def compare(
    queries: Float[np.ndarray, "queries dim"], vectors: Float[np.ndarray, "stored dim"], rows: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, "queries rows"]:
    """The dot products of queries and some rows, where they lie: for a few queries the fastest way."""
    scores = np.empty((len(queries), len(rows)), np.float32)
    for place in range(len(rows)):
        for query in range(len(queries)):
            scores[query, place] = similarity(vectors, rows[place], queries[query])
    return scores


class Exact:
    """Search that compares a query with every row.

    The other indexes are made of it: they store rows (`_encoded`), take notice of new ones (`_insert`) and look for
    the nearest (`_nearest`) in ways of their own.

    Attributes:
        dim: numbers of a vector.
        ids: the id of every row, of shape (rows,): -1 where the row was removed. `allowed` may be a mask of this shape.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._row_of: dict[int, int] = {}
        self._stored = np.empty((0, dim), np.float32)
        self._ids = np.empty(0, np.int64)
        self._used = 0

    @property
    def ids(self) -> Int[np.ndarray, " rows"]:
        """The id of every row, -1 where the row was removed."""
        return self._ids[: self._used]

    def __len__(self) -> int:
        return len(self._row_of)

    def add(self, vectors: Float[np.ndarray, "items dim"], ids: ArrayLike) -> None:
        """Store vectors under their ids; where an id is there already, the new vector replaces the old one.

        Raises:
            ValueError: vectors that are not `dim` long, or not of length 1; ids that are negative, not as many as the
                vectors, or the same twice.
        """
        vectors = self._checked("vectors", vectors)
        ids = np.asarray(ids, np.int64)
        lengths = np.linalg.norm(vectors, axis=1)
        if not np.all(np.abs(lengths - 1) < 0.01):
            at = int(np.argmin(np.abs(lengths - 1) < 0.01))
            raise ValueError(
                f"add: vectors must be of length 1; the one at {at} has length {lengths[at]:.4g}. Divide it by that."
            )
        if ids.shape != (len(vectors),) or len(np.unique(ids)) < len(ids) or np.any(ids < 0):
            raise ValueError(
                f"add: ids must be {len(vectors)} different numbers from 0 up, one for each vector; got shape "
                f"{ids.shape}, {len(np.unique(ids))} different, the smallest {np.min(ids, initial=0)}."
            )
        self.remove(ids)
        for start in range(0, len(ids), AT_ONCE):
            some, first = ids[start : start + AT_ONCE], self._used
            last = first + len(some)
            self._stored, self._ids = _room(self._stored, last), _room(self._ids, last)
            self._stored[first:last] = self._encoded(vectors[start : start + AT_ONCE])
            self._ids[first:last] = some
            self._used = last
            self._insert(first)
            self._row_of.update(zip(some.tolist(), range(first, last), strict=True))

    def remove(self, ids: ArrayLike) -> int:
        """Forget the vectors of these ids, passing over ids that are not there; how many were forgotten.

        A row is only marked, at first. Once most rows are marked, all is built anew from those that are left, which
        costs as much as the removals that it follows saved.
        """
        rows = self._rows(ids)
        for one in self._ids[rows].tolist():
            del self._row_of[one]
        self._ids[rows] = NOTHING
        if len(self._row_of) < self._used / 2:
            left = np.flatnonzero(self.ids != NOTHING)
            self._stored, self._ids = self._stored[left], self._ids[left]
            self._row_of = {i: row for row, i in enumerate(self._ids.tolist())}
            self._used = len(left)
            self._insert(0)
        return len(rows)

    def search(
        self,
        queries: Float[np.ndarray, "queries dim"],
        k: int,
        allowed: ArrayLike | None = None,
    ) -> tuple[Int[np.ndarray, "queries k"], Float[np.ndarray, "queries k"]]:
        """The ids of the `k` best vectors for every query, best first, and their scores.

        Args:
            queries: vectors of `dim` numbers; their lengths scale the scores and change no ranking.
            k: how many.
            allowed: only these may be found: ids, or a mask over the rows in the order of `self.ids`. Up to a fifth of
                the rows are compared one by one, so that a narrow filter gives exact answers. Not in `PQ`, which
                compares codes.

        Returns:
            Ids and scores, both (queries, k): -1 and minus infinity where there are fewer than `k` to be found.

        Raises:
            ValueError: queries that are not `dim` long, a `k` below 1, a mask that does not fit the rows.
        """
        queries = self._checked("queries", queries)
        if k < 1:
            raise ValueError(f"search: k must be at least 1, not {k}.")
        wanted = self._wanted(allowed)
        few = allowed is not None and wanted is not None and np.count_nonzero(wanted) <= FEW * self._used
        nearest = Exact._nearest if few else type(self)._nearest
        rows, scores = nearest(self, queries, k, wanted)
        ids = np.where(rows == NOTHING, NOTHING, self._ids[rows]) if self._used else rows
        return ids, scores

    def _checked(self, name: str, vectors: np.ndarray) -> Float[np.ndarray, "items dim"]:
        vectors = np.ascontiguousarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.dim or not np.all(np.isfinite(vectors)):
            raise ValueError(
                f"{name} must be of shape (any, {self.dim}) without nan; got shape {vectors.shape}. "
                "A single one is given as vector[None]."
            )
        return vectors

    def _wanted(self, allowed: ArrayLike | None) -> Bool[np.ndarray, " rows"] | None:
        """Which rows may be found; None where all of them."""
        if allowed is None:
            return None if len(self) == self._used else self.ids != NOTHING
        allowed = np.asarray(allowed)
        if allowed.dtype == bool:
            if allowed.shape != (self._used,):
                raise ValueError(
                    f"search: allowed, as a mask, must be of shape ({self._used},), as the index's ids; "
                    f"got {allowed.shape}."
                )
            return allowed & (self.ids != NOTHING)
        wanted = np.zeros(self._used, bool)
        wanted[self._rows(allowed)] = True
        return wanted

    def _rows(self, ids: ArrayLike) -> Int[np.ndarray, " rows"]:
        """The rows of those ids that are there, each once."""
        found = map(self._row_of.get, set(np.asarray(ids, np.int64).ravel().tolist()))
        return np.array([row for row in found if row is not None], np.int64)

    def _encoded(self, vectors: Float[np.ndarray, "items dim"]) -> np.ndarray:
        """What is stored of vectors."""
        return vectors

    def _insert(self, first: int) -> None:
        """Take notice of the rows from `first` on; where that is 0, of nothing else."""

    def _asked(self, queries: Float[np.ndarray, "queries dim"]) -> np.ndarray:
        """What queries are compared by, a line for each."""
        return queries

    def _score(self, asked: np.ndarray, rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "queries rows"]:
        """The scores of queries, as `_asked` made them, and rows."""
        if len(asked) < BATCH:
            return compare(asked, self._stored, rows)
        in_a_row = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1  # then a view will do
        return asked @ (self._stored[rows[0] : rows[-1] + 1] if in_a_row else self._stored[rows]).T

    def _nearest(
        self, queries: Float[np.ndarray, "queries dim"], k: int, wanted: Bool[np.ndarray, " rows"] | None
    ) -> tuple[Int[np.ndarray, "queries k"], Float[np.ndarray, "queries k"]]:
        """The best of the wanted rows (all, where that is None) for every query, and their scores."""
        rows = np.arange(self._used) if wanted is None else np.flatnonzero(wanted)
        best_rows, best_scores = _none_yet(len(queries), k)
        for first in range(0, len(queries), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            asked = self._asked(queries[some])
            step = BLOCK if len(queries[some]) >= BATCH else AT_ONCE
            for start in range(0, len(rows), step):
                block = rows[start : start + step]
                keep_best(best_scores[some], best_rows[some], self._score(asked, block), block)
        return best_rows, best_scores


def _none_yet(queries: int, k: int) -> tuple[Int[np.ndarray, "queries k"], Float[np.ndarray, "queries k"]]:
    """Lists of the best rows and scores, before anything was looked at."""
    return np.full((queries, k), NOTHING), np.full((queries, k), -np.inf, np.float32)


def _room(array: np.ndarray, rows: int) -> np.ndarray:
    """The array, or a copy twice as long where it has not as many rows; so that adding costs a constant, on average."""
    if rows <= len(array):
        return array
    longer = np.empty((max(rows, 2 * len(array)), *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer


def kmeans(
    vectors: Float[np.ndarray, "items dim"], k: int, rng: np.random.Generator, *, rounds: int = 10
) -> Float[np.ndarray, "k dim"]:
    """Centres of `k` groups of vectors: each vector joins its nearest centre, each centre moves to the mean of its own.

    Centres begin at different vectors drawn at random. One that nobody joins moves to the vector that lies farthest
    from its own centre (the next one to the next farthest), so that all are of use.

    Args:
        vectors: at least `k`.
        k: how many centres.
        rng: draws where they begin.
        rounds: how many times both steps are taken.

    Raises:
        ValueError: fewer vectors than centres.

    Source: Lloyd (1982), "Least squares quantization in PCM".
    """
    if len(vectors) < k:
        raise ValueError(f"kmeans: vectors must be at least k = {k}; got {len(vectors)}. Give more, or ask for fewer.")
    centres = vectors[rng.choice(len(vectors), k, replace=False)]
    for _ in range(rounds):
        nearest = nearest_centre(vectors, centres)
        sizes = np.bincount(nearest, minlength=k)
        order = np.argsort(nearest)
        starts = np.cumsum(sizes) - sizes
        filled = np.flatnonzero(sizes)
        means = np.add.reduceat(vectors[order], starts[filled]) / sizes[filled, None]
        if len(filled) < k:
            distances = np.sum((vectors - centres[nearest]) ** 2, axis=1)
            centres[sizes == 0] = vectors[np.argsort(-distances)[: k - len(filled)]]
        centres[filled] = means
    return centres


def nearest_centre(
    vectors: Float[np.ndarray, "items dim"], centres: Float[np.ndarray, "k dim"]
) -> Int[np.ndarray, " items"]:
    """For every vector, which centre is the nearest: `|v - c|²` less the `|v|²`, which is the same for all."""
    squares = np.sum(centres**2, axis=1)
    nearest = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        nearest[some] = np.argmin(squares - 2 * vectors[some] @ centres.T, axis=1)
    return nearest


class IVF(Exact):
    """Search in the nearest of many cells ("inverted file"): every row is kept with its nearest centre.

    Attributes:
        cells: how many; about the square root of the rows, up to ten times that.
        probes: how many cells a query looks into. More find more and take longer; it may be changed at any time.
        centres: of the cells, of shape (cells, dim), each of length 1; none before `train`.
    """

    def __init__(self, dim: int, cells: int = 256, probes: int = 8, *, seed: int = 0) -> None:
        super().__init__(dim)
        self.cells, self.probes, self.seed = cells, probes, seed
        self.centres = np.empty((0, dim), np.float32)
        self._cell = np.empty(0, np.int32)  # of every row
        self._listed: tuple[np.ndarray, np.ndarray] | None = None

    def train(self, vectors: Float[np.ndarray, "items dim"]) -> None:
        """Place the cells by k-means on vectors like those to come: before the first is added, and once."""
        if self._used:
            raise ValueError(f"train: the index must be empty, and holds {self._used} rows. Train before you add.")
        centres = kmeans(self._checked("vectors", vectors), self.cells, np.random.default_rng(self.seed))
        self.centres = centres / np.linalg.norm(centres, axis=1, keepdims=True)

    def _encoded(self, vectors: Float[np.ndarray, "items dim"]) -> np.ndarray:
        if len(self.centres) == 0:
            raise ValueError("add: the index must be trained before vectors are added. Call train(vectors) first.")
        return vectors

    def _insert(self, first: int) -> None:
        self._cell = _room(self._cell, self._used)
        self._cell[first : self._used] = nearest_centre(self._stored[first : self._used], self.centres)
        self._listed = None

    def _lists(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows in the order of their cells, and where each cell begins (and the last one ends)."""
        if self._listed is None:
            cell = self._cell[: self._used]
            order = np.argsort(cell, kind="stable")
            self._listed = order, np.searchsorted(cell[order], np.arange(self.cells + 1))
        return self._listed

    def _nearest(
        self, queries: Float[np.ndarray, "queries dim"], k: int, wanted: Bool[np.ndarray, " rows"] | None
    ) -> tuple[Int[np.ndarray, "queries k"], Float[np.ndarray, "queries k"]]:
        """The best rows in the `probes` cells that score highest, cell by cell: all its queries times all its rows."""
        best_rows, best_scores = _none_yet(len(queries), k)
        if len(self.centres) == 0:
            return best_rows, best_scores
        order, starts = self._lists()
        probed, scores = _none_yet(len(queries), self.probes)
        keep_best(scores, probed, queries @ self.centres.T, np.arange(self.cells))
        by_cell = np.argsort(probed, axis=None)
        bounds = np.searchsorted(probed.ravel()[by_cell], np.arange(self.cells + 1))
        for cell in np.unique(probed):
            asking = by_cell[bounds[cell] : bounds[cell + 1]] // probed.shape[1]
            rows = order[starts[cell] : starts[cell + 1]]
            rows = rows if wanted is None else rows[wanted[rows]]
            scores, found = best_scores[asking], best_rows[asking]
            keep_best(scores, found, self._score(queries[asking], rows), rows)
            best_scores[asking], best_rows[asking] = scores, found
        return best_rows, best_scores


class PQ(Exact):
    """Search in compressed rows: a vector is cut into parts, and of each part the nearest of 256 codes is kept, a byte.

    384 float32 numbers in 48 parts become 48 bytes, a 32nd. Queries are not compressed ("asymmetric"): the score of a
    query and a row is the query's dot product with the row's codes, which is looked up part by part.

    Attributes:
        parts: how many; `dim` must be divisible by it.
        codes: the codebook of every part, of shape (parts, 256, dim / parts); none before `train`.

    Source: Jégou, Douze and Schmid (2011), "Product quantization for nearest neighbor search".
    """

    def __init__(self, dim: int, parts: int = 48, *, seed: int = 0) -> None:
        super().__init__(dim)
        if parts < 1 or dim % parts:
            raise ValueError(f"PQ: parts must divide dim = {dim}; got {parts}.")
        self.parts, self.seed = parts, seed
        self._stored = np.empty((0, parts), np.uint8)
        self.codes = np.empty((0, CODES, dim // parts), np.float32)

    def train(self, vectors: Float[np.ndarray, "items dim"]) -> None:
        """Choose the codes of every part by k-means on vectors like those to come: before the first is added."""
        if self._used:
            raise ValueError(f"train: the index must be empty, and holds {self._used} rows. Train before you add.")
        rng = np.random.default_rng(self.seed)
        parts = np.split(self._checked("vectors", vectors), self.parts, axis=1)
        self.codes = np.stack([kmeans(np.ascontiguousarray(part), CODES, rng) for part in parts])

    def encode(self, vectors: Float[np.ndarray, "items dim"]) -> UInt8[np.ndarray, "items parts"]:
        """For every part of every vector, the number of the nearest code."""
        if len(self.codes) == 0:
            raise ValueError("add: the index must be trained before vectors are added. Call train(vectors) first.")
        parts = zip(np.split(vectors, self.parts, axis=1), self.codes, strict=True)
        return np.stack([nearest_centre(part, codes) for part, codes in parts], axis=1).astype(np.uint8)

    def decode(self, codes: UInt8[np.ndarray, "items parts"]) -> Float[np.ndarray, "items dim"]:
        """The vectors that codes stand for."""
        return self.codes[np.arange(self.parts), codes].reshape(len(codes), self.dim)

    def _encoded(self, vectors: Float[np.ndarray, "items dim"]) -> UInt8[np.ndarray, "items parts"]:
        return self.encode(vectors)

    def _asked(self, queries: Float[np.ndarray, "queries dim"]) -> Float[np.ndarray, "queries parts codes"]:
        """For every query a table: the dot products of its parts with all codes of the part."""
        parts = queries.reshape(len(queries), self.parts, self.dim // self.parts).swapaxes(
            0, 1
        )  # (parts, queries, dim / parts)
        return np.ascontiguousarray((parts @ self.codes.swapaxes(1, 2)).swapaxes(0, 1))

    def _score(self, asked: np.ndarray, rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "queries rows"]:
        return add_up(asked, self._stored[rows])


@njit(cache=True)
def add_up(
    tables: Float[np.ndarray, "queries parts codes"], stored: UInt8[np.ndarray, "rows parts"]
) -> Float[np.ndarray, "queries rows"]:
    """For every query and row, the sum over the parts of the entry that the row's code names in the query's table."""
    scores = np.empty((len(tables), len(stored)), np.float32)
    for query in range(len(tables)):
        for row in range(len(stored)):
            total = np.float32(0)
            for part in range(stored.shape[1]):
                total += tables[query, part, stored[row, part]]
            scores[query, row] = total
    return scores


class HNSW(Exact):
    """Search on a path through a graph: every row is linked to near ones, and a query walks to ever nearer rows.

    Rows are on layer 0, a `1 / M` of them on layer 1 too, a `1 / M` of those on layer 2, and so on: the top layers have
    few rows with long links, and bring a query into the right region in a few steps.

    Attributes:
        M: links that a new row makes on each layer; it may come to hold 2M on layer 0.
        ef_construction: how many rows the search for these links keeps in view.
        ef: how many rows a query keeps in view (at least `k`). More find more and take longer; it may be changed.

    Source: Malkov and Yashunin (2018), "Efficient and robust approximate nearest neighbor search using Hierarchical
    Navigable Small World graphs".
    """

    def __init__(self, dim: int, M: int = 16, ef_construction: int = 200, ef: int = 64, *, seed: int = 0) -> None:
        super().__init__(dim)
        if M < 2:
            raise ValueError(f"HNSW: M must be at least 2, so that the graph holds together; got {M}.")
        self.M, self.ef_construction, self.ef = M, ef_construction, ef
        self._rng = np.random.default_rng(seed)
        self._clear()

    def _clear(self) -> None:
        self._level = np.empty(0, np.int32)  # of every row: the highest layer that it is on
        self._block = np.empty(0, np.int64)  # of every row: where in `_links` its layer 0 is; layer 1 comes next
        self._links = np.empty((0, 2 * self.M), np.int32)
        self._entry = NOTHING  # the row at which every search begins: one of the highest level

    def _insert(self, first: int) -> None:
        if first == 0:
            self._clear()
        last = self._used
        self._level, self._block = _room(self._level, last), _room(self._block, last)
        self._level[first:last] = draw_levels(last - first, self.M, self._rng)
        begin = self._block[first - 1] + self._level[first - 1] + 1 if first else 0
        ends = begin + np.cumsum(self._level[first:last] + 1)
        self._block[first:last] = ends - self._level[first:last] - 1
        if last > first:
            self._links = _room(self._links, ends[-1])
            self._links[begin : ends[-1]] = NOTHING
            alive = self.ids != NOTHING
            self._entry = _insert_all(self._graph(), first, self._entry, self.M, self.ef_construction, alive)

    def _graph(self) -> "Graph":
        return Graph(self._stored, self._links, self._block, self._level)

    def _nearest(
        self, queries: Float[np.ndarray, "queries dim"], k: int, wanted: Bool[np.ndarray, " rows"] | None
    ) -> tuple[Int[np.ndarray, "queries k"], Float[np.ndarray, "queries k"]]:
        if self._entry == NOTHING:
            return _none_yet(len(queries), k)
        wanted = np.ones(self._used, np.bool_) if wanted is None else wanted
        return _search_all(self._graph(), queries, self._entry, k, max(self.ef, k), wanted)


def draw_levels(count: int, M: int, rng: np.random.Generator) -> Int[np.ndarray, " count"]:
    """The highest layers of new rows: layer `l` or above with probability `M ** -l`."""
    return np.floor(-np.log(1 - rng.random(count)) / np.log(M)).astype(np.int32)


class Graph(NamedTuple):
    """The rows of an `HNSW` and their links.

    Attributes:
        vectors: of shape (rows, dim).
        links: of shape (blocks, 2M): each block the rows that one row is linked to on one layer, then -1s.
        block: of shape (rows,): where a row's block for layer 0 is; that for layer 1, if it has one, comes next.
        level: of shape (rows,): the highest layer that a row is on.
    """

    vectors: np.ndarray
    links: np.ndarray
    block: np.ndarray
    level: np.ndarray


@njit(cache=True)
def descend(graph: Graph, query: np.ndarray, entry: int, bottom: int) -> int:
    """From the entry's highest layer down to the one above `bottom`: on each, go to the best neighbour until none is.

    Returns:
        The row at which to go on.
    """
    score = similarity(graph.vectors, entry, query)
    for layer in range(graph.level[entry], bottom, -1):
        moved = True
        while moved:
            moved = False
            for other in graph.links[graph.block[entry] + layer]:
                if other == NOTHING:
                    break
                better = similarity(graph.vectors, other, query)
                if better > score:
                    entry, score, moved = np.int64(other), better, True  # type: ignore[assignment]
    return entry


@njit(cache=True)
def search_layer(
    graph: Graph, layer: int, query: np.ndarray, entry: int, ef: int, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The best `ef` of the wanted rows that are met on a walk over one layer.

    The walk goes on from the best row not yet gone on from. A neighbour met for the first time joins the walk if it is
    better than the worst of the best `ef` so far, or if there are fewer; rows that are not wanted lead on to others,
    but are no result. The walk ends where the best row to go on from is worse than the worst of the best `ef`.

    Args:
        graph: rows and links.
        layer: which layer.
        query: the vector, of shape (dim,).
        entry: the row where the walk begins.
        ef: how many of the best are kept.
        wanted: of shape (rows,): which rows may be results.

    Returns:
        Rows and their scores, best first; fewer than `ef` where fewer were met.

    Source: Malkov and Yashunin (2018), algorithm 2.
    """
    score = similarity(graph.vectors, entry, query)
    seen = np.zeros(len(graph.block), np.bool_)
    seen[entry] = True
    ahead: list[tuple[Any, Any]] = [(-score, entry)]  # heaps have their smallest first: here the best, by the sign,
    best: list[tuple[Any, Any]] = [(score, entry)]  # and here the worst
    if not wanted[entry]:
        best.clear()
    while len(ahead) > 0:
        minus_score, row = heappop(ahead)
        if len(best) == ef and -minus_score < best[0][0]:
            break
        for other in graph.links[graph.block[row] + layer]:
            if other == NOTHING:
                break
            if seen[other]:
                continue
            seen[other] = True
            score = similarity(graph.vectors, other, query)
            if len(best) < ef or score > best[0][0]:
                heappush(ahead, (-score, np.int64(other)))
                if wanted[other]:
                    if len(best) < ef:
                        heappush(best, (score, np.int64(other)))
                    else:
                        heappushpop(best, (score, np.int64(other)))
    rows, scores = np.empty(len(best), np.int64), np.empty(len(best), np.float32)
    for place in range(len(best) - 1, -1, -1):
        scores[place], rows[place] = heappop(best)
    return rows, scores


@njit(cache=True)
def select_neighbours(vectors: np.ndarray, rows: np.ndarray, scores: np.ndarray, limit: int) -> np.ndarray:
    """Of candidates for links from a row, those that lead in different directions, at most `limit`.

    From the best on, a candidate is chosen unless one already chosen is nearer to it than the row itself is: from that
    one there will be a way. So a row at the edge of a cluster keeps a link out of it.

    Args:
        vectors: of shape (rows, dim).
        rows: the candidates, best first.
        scores: theirs with the row that is to be linked.
        limit: how many at most.

    Returns:
        The rows chosen, best first.

    Source: Malkov and Yashunin (2018), algorithm 4, without its optional extensions.
    """
    chosen = np.empty(limit, np.int64)
    count = 0
    for i in range(len(rows)):
        if count == limit:
            break
        reached = False
        for other in chosen[:count]:
            if similarity(vectors, other, vectors[rows[i]]) > scores[i]:
                reached = True
                break
        if not reached:
            chosen[count] = rows[i]
            count += 1
    return chosen[:count]


@njit(cache=True)
def link(graph: Graph, layer: int, row: int, other: int, limit: int) -> None:
    """Link `row` to `other` on a layer, in place; where it has `limit` links already, choose among all of them anew.

    The choice is that of `select_neighbours`, and may leave fewer than before.
    """
    links = graph.links[graph.block[row] + layer]
    count = 0
    while count < limit and links[count] != NOTHING:
        count += 1
    if count < limit:
        links[count] = other
        return
    rows = np.append(links[:limit], other)
    scores = np.array([similarity(graph.vectors, one, graph.vectors[row]) for one in rows])
    order = np.argsort(-scores)
    chosen = select_neighbours(graph.vectors, rows[order], scores[order], limit)
    links[: len(chosen)] = chosen
    links[len(chosen) :] = NOTHING


@njit(cache=True)
def insert(graph: Graph, row: int, entry: int, M: int, ef: int, wanted: np.ndarray) -> int:
    """Link a new row into the graph, in place, on every layer from its own highest down to 0.

    On each, near rows are searched for, at most `M` of them are chosen, and links go both ways. A row may hold `M`
    links, or `2M` on layer 0, before its own are chosen anew. The best row found is where the layer below begins.

    Args:
        graph: rows and links, with room for this row's.
        row: the new row.
        entry: where searches begin: a row of the highest level.
        M: how many links at most the row makes on a layer.
        ef: how many rows the search keeps in view.
        wanted: of shape (rows,): which rows may be linked to.

    Returns:
        Where searches begin from now on: the new row, if its level is above the entry's.

    Source: Malkov and Yashunin (2018), algorithm 1.
    """
    query = graph.vectors[row]
    at = descend(graph, query, entry, graph.level[row])
    for layer in range(min(graph.level[row], graph.level[entry]), -1, -1):
        rows, scores = search_layer(graph, layer, query, at, ef, wanted)
        chosen = select_neighbours(graph.vectors, rows, scores, M)
        graph.links[graph.block[row] + layer, : len(chosen)] = chosen
        for other in chosen:
            link(graph, layer, other, row, 2 * M if layer == 0 else M)
        if len(rows) > 0:
            at = rows[0]
    return row if graph.level[row] > graph.level[entry] else entry


@njit(cache=True)
def _insert_all(graph: Graph, first: int, entry: int, M: int, ef: int, wanted: np.ndarray) -> int:
    """Insert the rows from `first` on, one after another; where searches begin from then on."""
    for row in range(first, len(wanted)):
        entry = row if entry == NOTHING else insert(graph, row, entry, M, ef, wanted)
    return entry


@njit(cache=True)
def _search_all(
    graph: Graph, queries: np.ndarray, entry: int, k: int, ef: int, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The best `k` wanted rows for every query, and their scores."""
    best_rows = np.full((len(queries), k), np.int64(NOTHING))
    best_scores = np.full((len(queries), k), np.float32(-np.inf))
    for i in range(len(queries)):
        at = descend(graph, queries[i], entry, 0)
        rows, scores = search_layer(graph, 0, queries[i], at, ef, wanted)
        best_rows[i, : len(rows)] = rows[:k]
        best_scores[i, : len(rows)] = scores[:k]
    return best_rows, best_scores

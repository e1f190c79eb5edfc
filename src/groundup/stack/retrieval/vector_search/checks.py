"""Checks of vector search. The sizes are small, because the grader runs kernels as plain Python."""

import itertools

import numpy as np
import pytest

from groundup.checking import assert_close, assert_refuses
from groundup.stack.retrieval.vector_search import (
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
    nearest_centre,
    search_layer,
    select_neighbours,
    similarity,
)


def units(rng, count, dim=6):
    """Random vectors of length 1."""
    vectors = rng.normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def at_angles(*degrees):
    """Vectors in the plane: two are the more alike, the smaller the angle between them."""
    turned = np.radians(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


def ranked(vectors, query, among):
    """The rows of `among` from the best score down."""
    rows = np.asarray(sorted(among), int)
    return rows[np.argsort(-(vectors[rows] @ query), kind="stable")].tolist()


def graph_of(vectors, links, level=None, width=4):
    """A graph from `links[row][layer]`, the lists of neighbours."""
    level = np.array([len(layers) - 1 for layers in links] if level is None else level, np.int32)
    block = np.cumsum(level + 1) - level - 1
    table = np.full((int(np.sum(level + 1)), width), -1, np.int32)
    for row, layers in enumerate(links):
        for layer, others in enumerate(layers):
            table[block[row] + layer, : len(others)] = others
    return Graph(np.ascontiguousarray(vectors, np.float32), table, block.astype(np.int64), level)


def neighbours(graph, row, layer=0):
    """The rows that a row is linked to."""
    return [int(other) for other in graph.links[graph.block[row] + layer] if other != -1]


# keep_best


def lists(queries, k):
    """Lists of the best with nothing in them yet."""
    return np.full((queries, k), -np.inf, np.float32), np.full((queries, k), -1)


def test_keep_best_by_hand():
    """Of [0.1, 0.7, 0.95, 0.5], 0.95 comes first and 0.7 third, behind the 0.9 that was there."""
    scores, rows = np.array([[0.9, 0.5, -np.inf]], np.float32), np.array([[7, 3, -1]])
    new = np.array([[0.1, 0.7, 0.95, 0.5]], np.float32)
    keep_best(scores, rows, new, np.array([10, 11, 12, 13]))
    message = "keep_best of the list [0.9, 0.5, nothing] and the new scores [0.1, 0.7, 0.95, 0.5]"
    assert_close(scores, np.array([[0.95, 0.9, 0.7]], np.float32), message)
    assert_close(rows, [[12, 7, 11]], f"rows, after {message}, whose rows are [10, 11, 12, 13]")
    assert_close(new, np.array([[0.1, 0.7, 0.95, 0.5]], np.float32), "keep_best must not change the new scores")


def test_keep_best_is_the_front_of_a_sort(rng):
    """Whatever comes in however many pieces: the lists are the front of all scores, sorted."""
    for k in (1, 3, 7):
        new = rng.normal(size=(4, 40)).astype(np.float32)
        scores, rows = lists(4, k)
        for part in (slice(0, 25), slice(25, 40)):
            keep_best(scores, rows, np.ascontiguousarray(new[:, part]), np.arange(100, 140)[part])
        order = np.argsort(-new, axis=1)[:, :k]
        message = f"keep_best with k = {k}, of 4 queries and 40 scores in two pieces"
        assert_close(scores, np.take_along_axis(new, order, axis=1), message)
        assert_close(rows, 100 + order, f"rows, after {message}")


def test_keep_best_of_few():
    """Where fewer came than there is room for, nothing (-1, minus infinity) stays at the end; equals stay behind."""
    scores, rows = lists(2, 3)
    keep_best(scores, rows, np.zeros((2, 0), np.float32), np.zeros(0, np.int64))
    keep_best(scores, rows, np.array([[-2.0, -1.0], [5.0, 6.0]], np.float32), np.array([4, 8]))
    assert_close(scores, [[-1.0, -2.0, -np.inf], [6.0, 5.0, -np.inf]], "scores of two where three have room")
    assert_close(rows, [[8, 4, -1], [8, 4, -1]], "rows of two where three have room: the last stays -1")
    scores, rows = lists(1, 2)
    keep_best(scores, rows, np.full((1, 3), 0.5, np.float32), np.array([1, 2, 3]))
    assert_close(rows, [[1, 2]], "rows, after three equal scores of rows 1, 2 and 3 came for a list of two")


# kmeans


def own_groups(vectors, centres):
    """Which centre is nearest to each vector, by the definition."""
    return np.argmin(np.sum((vectors[:, None] - centres[None]) ** 2, axis=2), axis=1)


def test_kmeans_by_hand():
    """0, 1, 10 and 11 on a line fall into two groups, with their means for centres."""
    points = np.array([[0.0], [1.0], [10.0], [11.0]], np.float32)
    for seed in range(5):
        centres = kmeans(points, 2, np.random.default_rng(seed))
        message = f"kmeans of 0, 1, 10, 11 with k = 2 (seed {seed}): centres 0.5 and 10.5"
        assert_close(np.sort(np.ravel(centres)), [0.5, 10.5], message)


def test_kmeans_begins_at_different_vectors(rng):
    """With no rounds the centres are vectors of the set, k different ones; with as many centres as vectors, all."""
    points = rng.normal(size=(12, 3)).astype(np.float32)
    kept = points.copy()
    begun = kmeans(points, 5, rng, rounds=0)
    assert_close(begun.shape, (5, 3), "shape of 5 centres of vectors with 3 numbers")
    which = [np.flatnonzero(np.all(points == centre, axis=1)).tolist() for centre in begun]
    assert all(len(found) == 1 for found in which), "kmeans with rounds=0: every centre is one of the vectors"
    assert len({found[0] for found in which}) == 5, "kmeans with rounds=0: the centres are different vectors"
    starts = {tuple(kmeans(points, 1, np.random.default_rng(s), rounds=0)[0].tolist()) for s in range(20)}
    assert len(starts) > 3, f"kmeans draws where it begins at random; 20 seeds gave {len(starts)} different centres"
    every = kmeans(points, 12, rng)
    assert_close(np.sort(every, axis=0), np.sort(points, axis=0), "kmeans of 12 vectors with k = 12")
    assert_close(points, kept, "kmeans must not change its vectors")


def test_kmeans_gets_better_round_by_round(rng):
    """A round never makes the vectors lie farther from their centres; one round takes one step."""
    points = rng.normal(size=(80, 2)).astype(np.float32)

    def error(rounds):
        centres = kmeans(points, 6, np.random.default_rng(1), rounds=rounds)
        return float(np.min(np.sum((points[:, None] - centres) ** 2, axis=2), axis=1).sum())

    errors = [error(rounds) for rounds in range(5)]
    assert all(b <= a + 1e-4 for a, b in itertools.pairwise(errors)), f"errors by rounds: {errors}"
    begun, once = (kmeans(points, 6, np.random.default_rng(1), rounds=rounds) for rounds in (0, 1))
    group = own_groups(points, begun)
    message = "after one round, every centre is the mean of the vectors that were nearest to where it began"
    assert_close(once, [points[group == g].mean(axis=0) for g in range(6)], message, rtol=1e-5, atol=1e-6)
    many = rng.normal(size=(600, 2)).astype(np.float32)
    ten = kmeans(many, 30, np.random.default_rng(1))
    again = kmeans(many, 30, np.random.default_rng(1), rounds=10)
    assert_close(ten, again, "unless told otherwise, kmeans takes 10 rounds")


def test_kmeans_leaves_no_centre_empty():
    """A centre that nobody joins moves to the vector farthest from its own: 30 equal vectors do not hide the others."""
    points = np.array([[0.0]] * 30 + [[5.0], [9.0]], np.float32)
    for seed in range(4):
        centres = kmeans(points, 3, np.random.default_rng(seed))
        message = f"kmeans of thirty zeros, a 5 and a 9 with k = 3 (seed {seed}): the centres are 0, 5 and 9"
        assert_close(np.sort(np.ravel(centres)), [0.0, 5.0, 9.0], message)
    same, others = np.array([[1.0, 2.0]] * 30), np.array([[-5.0, -2.0], [-6.0, 2.0], [4.0, 5.0]])
    points = np.concatenate([same, others]).astype(np.float32)
    seed = next(s for s in range(99) if np.all(kmeans(points, 2, np.random.default_rng(s), rounds=0) == same[0]))
    once = kmeans(points, 2, np.random.default_rng(seed), rounds=1)
    message = (
        "one round of k = 2 on thirty times (1, 2), (-5, -2), (-6, 2) and (4, 5), both centres begun at (1, 2): "
        "the empty one moves to (-5, -2), which is the farthest from there"
    )
    assert_close(once[np.argmin(once[:, 1])], [-5.0, -2.0], message)


def test_kmeans_refuses_too_few():
    """Fewer vectors than centres are an error."""
    few = np.ones((3, 2), np.float32)
    assert_refuses(
        lambda: kmeans(few, 5, np.random.default_rng(0)), "k", 5, 3, message="kmeans of 3 vectors with k = 5"
    )


# IVF._nearest


def cells_at(centres, vectors, probes, cells=None):
    """An IVF whose cells are at known places, with the vectors in it."""
    index = IVF(vectors.shape[1], len(centres), probes)
    index.train(centres)
    index.add(vectors, np.arange(len(vectors)) + 100)
    return index


def by_definition(index, vectors, queries, k, wanted):
    """The best rows in the cells whose centres score highest."""
    own = np.argmax(vectors @ index.centres.T, axis=1)
    found = np.full((len(queries), k), -1)
    for line, query in enumerate(queries):
        probed = np.argsort(-(index.centres @ query))[: index.probes]
        rows = ranked(vectors, query, np.flatnonzero(np.isin(own, probed) & wanted))[:k]
        found[line, : len(rows)] = rows
    return found


def test_ivf_by_hand():
    """With one probe, a query finds what is in the cell of the nearest centre, and nothing beyond its border."""
    vectors = at_angles(5, 40, 50, 95, 180)
    index = cells_at(at_angles(0, 90, 180), vectors, probes=1)
    rows, scores = index._nearest(at_angles(44), 2, None)
    assert_close(rows, [[1, 0]], "rows for 44°, one probe: in the cell of 0° are 40° and 5°; 50° is in that of 90°")
    assert_close(scores, [np.cos(np.radians([4, 39]))], "their scores, the cosines of 4° and 39°", rtol=1e-5)
    index.probes = 2
    rows, _ = index._nearest(at_angles(44), 3, None)
    assert_close(rows, [[1, 2, 0]], "rows for 44°, two probes: 40°, 50° and 5°")


def test_ivf_is_its_definition(rng):
    """For any number of probes and queries the rows are those of the definition, and all cells together are exact."""
    vectors, queries = units(rng, 70), units(rng, 9)
    everything = np.ones(70, bool)
    index = cells_at(units(rng, 8), vectors, probes=1)
    for probes, asked in ((1, 9), (3, 9), (3, 1), (8, 4), (20, 2)):
        index.probes = probes
        rows, scores = index._nearest(queries[:asked], 4, None)
        message = f"rows of {asked} queries with {probes} of 8 cells probed"
        assert_close(rows, by_definition(index, vectors, queries[:asked], 4, everything), message)
        expected = np.where(rows >= 0, np.sum(vectors[rows] * queries[:asked, None], axis=2), -np.inf)
        assert_close(scores, expected, f"scores, the dot products, of {message}", rtol=1e-5, atol=1e-6)


def test_ivf_keeps_to_what_is_wanted(rng):
    """Rows that are not wanted are not found, and do not take the place of others; rows may run out."""
    vectors, queries = units(rng, 60), units(rng, 5)
    index = cells_at(units(rng, 6), vectors, probes=2)
    wanted = rng.random(60) < 0.5
    rows, _ = index._nearest(queries, 3, wanted)
    assert_close(rows, by_definition(index, vectors, queries, 3, wanted), "rows among half of 60, 2 of 6 cells probed")
    rows, scores = index._nearest(queries, 3, np.zeros(60, bool))
    assert np.all(rows == -1), "rows where none is wanted: -1"
    assert np.all(np.isneginf(scores)), "scores where none is wanted: minus infinity"


def test_ivf_empty_and_untrained():
    """An index without rows finds nothing; one that was not trained says so when rows are added."""
    index = IVF(2, 3, 2)
    assert np.all(index.search(at_angles(10), 2)[0] == -1), "an untrained IVF, which is empty, finds nothing"
    assert_refuses(lambda: index.add(at_angles(10), [1]), "train", message="add to an IVF that was not trained")
    index.train(at_angles(0, 90, 180))
    assert np.all(index.search(at_angles(10, 20), 2)[0] == -1), "a trained IVF without rows finds nothing"
    index.add(at_angles(10), [1])
    assert_refuses(
        lambda: index.train(at_angles(0, 90, 180)), "train|empty", 1, message="train of an IVF with a row in it"
    )


def test_ivf_searches_cell_by_cell(rng):
    """The work is done a cell at a time, all its queries times all its rows: few products, however many queries."""
    vectors = units(rng, 200)
    index = cells_at(units(rng, 4), vectors, probes=2)
    calls, score = [], index._score
    index._score = lambda asked, rows: calls.append(1) or score(asked, rows)
    index._nearest(units(rng, 50), 3, None)
    assert len(calls) <= 4, f"scores of 50 queries in 4 cells: at most 4 products, not {len(calls)}"


# PQ


def trained_pq(rng, dim=6, parts=3):
    """A PQ with random codes."""
    index = PQ(dim, parts)
    index.codes = rng.normal(size=(parts, 256, dim // parts)).astype(np.float32)
    return index


def test_encode_by_hand():
    """Each part gets the number of the code nearest to it."""
    index = PQ(4, 2)
    index.codes = np.full((2, 256, 2), 9, np.float32)
    index.codes[0, 3], index.codes[0, 200] = [0.0, 1.0], [1.0, 0.0]
    index.codes[1, 0], index.codes[1, 255] = [0.5, 0.5], [-0.5, -0.5]
    vectors = np.array([[0.1, 0.9, -0.3, -0.2], [0.8, 0.1, 0.4, 0.1]], np.float32)
    got = index.encode(vectors)
    message = "encode: (0.1, 0.9) is nearest to code 3 of part 0, (-0.3, -0.2) to code 255 of part 1, and so on"
    assert_close(got, [[3, 255], [200, 0]], message)
    assert got.dtype == np.uint8, f"codes are bytes (uint8), not {got.dtype}"


def test_encode_takes_the_nearest_code(rng):
    """The code is the nearest by distance, not the one with the largest dot product, for every part."""
    for dim, parts in ((6, 3), (8, 2), (4, 4), (5, 1)):
        index = trained_pq(rng, dim, parts)
        vectors = rng.normal(size=(11, dim)).astype(np.float32)
        cut = vectors.reshape(11, parts, -1)
        expected = [own_groups(cut[:, part], index.codes[part]) for part in range(parts)]
        assert_close(index.encode(vectors), np.transpose(expected), f"codes of 11 vectors of {dim} in {parts} parts")
    assert_close(index.encode(vectors[:0]).shape, (0, 1), "shape of the codes of no vector in 1 part")


def test_encode_needs_codes():
    """Before training there are no codes to choose from."""
    assert_refuses(
        lambda: PQ(4, 2).encode(np.ones((1, 4), np.float32)), "train", message="encode by a PQ that was not trained"
    )
    assert_refuses(lambda: PQ(10, 4), "parts", 10, 4, message="PQ of 10 numbers in 4 parts")


def test_add_up_by_hand():
    """A row's score is the sum of the entries that its codes name, one in each part's table."""
    tables = np.zeros((2, 2, 256), np.float32)
    tables[0, 0, 5], tables[0, 1, 255], tables[0, 1, 0] = 1.0, 0.25, 8.0
    tables[1, 0, 5], tables[1, 1, 255] = -2.0, 3.0
    stored = np.array([[5, 255], [5, 0], [0, 255]], np.uint8)
    message = "add_up of the codes (5, 255), (5, 0) and (0, 255) in the tables of two queries"
    assert_close(add_up(tables, stored), [[1.25, 9.0, 0.25], [1.0, -2.0, 3.0]], message)


def test_add_up_is_a_dot_product_with_what_the_codes_stand_for(rng):
    """The sum is the dot product of the query, uncompressed, and the decoded row."""
    index = trained_pq(rng)
    queries, stored = units(rng, 4), rng.integers(0, 256, (7, 3)).astype(np.uint8)
    expected = queries @ index.decode(stored).T
    message = "scores of 4 queries and 7 rows of codes, against the dot products with the decoded rows"
    assert_close(add_up(index._asked(queries), stored), expected, message, rtol=1e-5, atol=1e-6)
    for shape in ((0, 7), (4, 0)):
        got = add_up(index._asked(queries[: shape[0]]), stored[: shape[1]])
        assert_close(got.shape, shape, f"shape of the scores of {shape[0]} queries and {shape[1]} rows")


def test_pq_finds_what_is_near(rng):
    """Trained on its own vectors, PQ finds each of them for itself; narrow filters and removals hold in it, too."""
    vectors = units(rng, 256, 4)
    index = PQ(4, 2)
    index.train(vectors)
    index.add(vectors, np.arange(256))
    ids, scores = index.search(vectors[:8], 1)
    assert_close(ids[:, 0], np.arange(8), "the nearest to each of 8 stored vectors, with as many codes as vectors")
    assert_close(scores[:, 0], np.ones(8), "scores of vectors with themselves", rtol=1e-3)
    index.remove([3])
    assert index.search(vectors[3:4], 1)[0][0, 0] != 3, "an id that was removed is not found"
    assert_close(index.search(vectors[:1], 5, [3, 7])[0], [[7, -1, -1, -1, -1]], "allowed [3, 7], of which 3 is gone")
    assert_refuses(lambda: index.train(vectors), "train|empty", 256, message="train of a PQ with rows in it")


# search_layer


def walk(graph, layer, query, entry, ef, wanted):
    """Algorithm 2 with sorted lists in place of heaps."""
    scores = graph.vectors @ query
    seen, ahead, best = {entry}, [entry], [entry] if wanted[entry] else []
    while ahead:
        ahead.sort(key=lambda row: scores[row])
        row = ahead.pop()
        if len(best) == ef and scores[row] < scores[best[-1]]:
            break
        for other in neighbours(graph, row, layer):
            if other in seen:
                continue
            seen.add(other)
            if len(best) < ef or scores[other] > scores[best[-1]]:
                ahead.append(other)
                if wanted[other]:
                    best = sorted([*best, other], key=lambda row: -scores[row])[:ef]
    return best


def chain():
    """Rows at 80°, 60°, 70°, 10°, 0°, each linked to the next and the last."""
    return graph_of(at_angles(80, 60, 70, 10, 0), [[[1]], [[0, 2]], [[1, 3]], [[2, 4]], [[3]]])


def test_search_layer_by_hand():
    """On a chain whose way to the goal leads back for a step, one row in view gets stuck, and three do not."""
    graph, everything = chain(), np.ones(5, bool)
    query = at_angles(0)[0]
    rows, scores = search_layer(graph, 0, query, 0, 1, everything)
    assert_close(rows, [1], "rows for 0°, from 80°, ef = 1: it ends at 60°, as 70° is no better")
    assert_close(scores, [0.5], "the score of 60°", rtol=1e-5)
    rows, scores = search_layer(graph, 0, query, 0, 3, everything)
    assert_close(rows, [4, 3, 1], "rows for 0°, from 80°, ef = 3: over 70° it comes to 10° and 0°")
    assert_close(scores, np.cos(np.radians([0, 10, 60])), "their scores, best first", rtol=1e-5)


def test_search_layer_keeps_to_what_is_wanted():
    """Rows that are not wanted are passed through on the way and are no results; none wanted, nothing found."""
    graph, query = chain(), at_angles(0)[0]
    for wanted, expected in (
        ([True, True, True, True, False], [3, 1, 2]),
        ([False, False, False, False, True], [4]),
        ([False] * 5, []),
        ([True, False, False, False, False], [0]),
    ):
        rows, scores = search_layer(graph, 0, query, 0, 3, np.array(wanted))
        assert_close(rows, np.array(expected, int), f"rows for 0°, ef = 3, wanted {wanted}")
        assert_close(scores.shape, (len(expected),), f"as many scores as rows, wanted {wanted}")


def test_search_layer_walks_on_its_own_layer(rng):
    """Links of other layers are not followed; what links do not reach is not found; no link is a fine graph too."""
    vectors = at_angles(90, 60, 30, 0)
    graph = graph_of(vectors, [[[1], [2]], [[0]], [[3], [0]], [[2]]])
    everything = np.ones(4, bool)
    query = at_angles(0)[0]
    assert_close(search_layer(graph, 0, query, 0, 4, everything)[0], [1, 0], "rows on layer 0, where 0 links to 1 only")
    assert_close(search_layer(graph, 1, query, 0, 4, everything)[0], [2, 0], "rows on layer 1, where 0 links to 2 only")
    assert_close(search_layer(graph, 0, query, 2, 1, everything)[0], [3], "rows on layer 0, from row 2, ef = 1")
    alone = graph_of(vectors[:1], [[[]]])
    assert_close(search_layer(alone, 0, query, 0, 3, everything[:1])[0], [0], "rows of a graph of one row")


def test_search_layer_is_its_definition(rng):
    """On random graphs it finds what the algorithm finds, whatever `ef`, entry and filter."""
    for trial in range(12):
        vectors = units(rng, 40, 3)
        graph = graph_of(vectors, [[rng.choice(40, rng.integers(1, 5), replace=False)] for _ in range(40)])
        wanted = np.ones(40, bool) if trial % 3 == 0 else rng.random(40) < 0.4
        query, entry, ef = units(rng, 1, 3)[0], int(rng.integers(40)), int(rng.choice([1, 2, 4, 9, 40]))
        kept = graph.links.copy()
        rows, scores = search_layer(graph, 0, query, entry, ef, wanted)
        message = f"rows of a random graph of 40 rows, ef = {ef}, {int(wanted.sum())} of them wanted"
        assert_close(rows, np.array(walk(graph, 0, query, entry, ef, wanted), int), message)
        assert_close(scores, vectors[rows] @ query, f"scores, the dot products, of {message}", rtol=1e-5, atol=1e-6)
        assert_close(graph.links, kept, "search_layer must not change the links")


# select_neighbours


def candidates(vectors, row, among):
    """Candidates for links from a row, best first, with their scores."""
    rows = np.array(ranked(vectors, vectors[row], among))
    return rows, (vectors[rows] @ vectors[row]).astype(np.float32)


def test_select_neighbours_by_hand():
    """From 0°: 10° is chosen, -15° lies the other way, 20° and 40° are reached by 10° and left out."""
    vectors = at_angles(0, 10, 20, -15, 40)
    rows, scores = candidates(vectors, 0, [1, 2, 3, 4])
    message = "select_neighbours of 0° among 10°, -15°, 20° and 40°: 20° and 40° are nearer to 10° than to 0°"
    assert_close(select_neighbours(vectors, rows, scores, 3), [1, 3], message)
    assert_close(select_neighbours(vectors, rows, scores, 1), [1], "select_neighbours with a limit of 1: the best, 10°")


def test_select_neighbours_is_its_definition(rng):
    """A candidate is chosen unless one already chosen is nearer to it than the row is; at most `limit`, best first."""
    for limit in (1, 2, 4, 12):
        vectors = units(rng, 30, 4)
        rows, scores = candidates(vectors, 0, range(1, 30))
        kept = rows.copy()
        chosen = []
        for row, score in zip(rows, scores, strict=True):
            if all(vectors[other] @ vectors[row] <= score for other in chosen) and len(chosen) < limit:
                chosen.append(int(row))
        got = select_neighbours(vectors, rows, scores, limit)
        assert_close(got, chosen, f"select_neighbours of 29 candidates, at most {limit}")
        assert_close(rows, kept, "select_neighbours must not change its candidates")


def test_select_neighbours_edge_cases():
    """No candidate, no link; and one that is exactly as near to another as to the row is chosen."""
    vectors = np.array([[1.0, 0.0], [0.5, 0.5], [0.25, 0.0]], np.float32)
    none = select_neighbours(vectors, np.zeros(0, np.int64), np.zeros(0, np.float32), 3)
    assert_close(none, np.zeros(0), "select_neighbours without candidates")
    got = select_neighbours(vectors, np.array([0, 1]), np.array([0.75, 0.5], np.float32), 3)
    message = (
        "select_neighbours of rows 0 and 1 with scores 0.75 and 0.5, where their own score is 0.5, too: not nearer"
    )
    assert_close(got, [0, 1], message)


# link


def test_link_takes_a_free_place():
    """While there is room, a new link goes behind the others, and nothing else changes."""
    graph = graph_of(at_angles(0, 10, 20, 30), [[[1]], [[0]], [[], [3]], [[], [2]]])
    before = graph.links.copy()
    link(graph, 0, 0, 2, 4)
    link(graph, 1, 3, 1, 2)
    link(graph, 0, 2, 0, 4)
    assert neighbours(graph, 0) == [1, 2], f"links of row 0, [1] before, and 2 linked: {neighbours(graph, 0)}"
    assert neighbours(graph, 3, 1) == [2, 1], f"links of row 3 on layer 1, [2] before: {neighbours(graph, 3, 1)}"
    assert neighbours(graph, 2) == [0], f"links of row 2, none before: {neighbours(graph, 2)}"
    changed = int(np.sum(graph.links != before))
    assert changed == 3, f"three links made, so three entries of the table change, not {changed}"


def test_link_fills_up_to_the_limit():
    """The limit, not the width of the table, says what is full; at the limit the links are chosen anew."""
    vectors = at_angles(0, 30, -40, 20, 3)
    graph = graph_of(vectors, [[[1]], [[0]], [[0]], [[0]], [[]]])
    link(graph, 0, 0, 2, 2)
    assert neighbours(graph, 0) == [1, 2], "links of 0° to 30°, and -40° linked, at most 2: there is room"
    link(graph, 0, 0, 3, 2)
    message = "links of 0° to 30° and -40°, at most 2, and 20° linked: 20° and -40°, as 30° is nearer to 20°; got rows"
    assert neighbours(graph, 0) == [3, 2], f"{message} {neighbours(graph, 0)}"


def test_link_is_its_definition(rng):
    """At the limit, the links are those that select_neighbours chooses of the old ones and the new one, best first."""
    for _ in range(8):
        vectors = units(rng, 12, 5)
        old = rng.choice(np.arange(2, 12), 4, replace=False)
        graph = graph_of(vectors, [[list(old)]] + [[[]]] * 11)
        rows, scores = candidates(vectors, 0, [*old, 1])
        expected = []
        for row, score in zip(rows, scores, strict=True):
            if all(vectors[other] @ vectors[row] <= score for other in expected) and len(expected) < 4:
                expected.append(int(row))
        link(graph, 0, 0, 1, 4)
        assert neighbours(graph, 0) == expected, f"links chosen anew: {neighbours(graph, 0)}, not {expected}"


# insert


def room_for(vectors, level, M):
    """A graph without links, for rows of these levels."""
    return graph_of(vectors, [[[] for _ in range(one + 1)] for one in level], width=2 * M)


def insert_by_definition(graph, row, entry, M, ef, wanted):
    """Algorithm 1, with the parts that the unit has already."""
    at = entry
    for layer in range(graph.level[entry], -1, -1):
        if layer > graph.level[row]:
            at = descend(graph, graph.vectors[row], at, layer - 1) if graph.level[at] >= layer else at
            continue
        found = walk(graph, layer, graph.vectors[row], at, ef, wanted)
        chosen = []
        for one in found:
            score = graph.vectors[one] @ graph.vectors[row]
            if all(graph.vectors[other] @ graph.vectors[one] <= score for other in chosen) and len(chosen) < M:
                chosen.append(one)
        graph.links[graph.block[row] + layer, : len(chosen)] = chosen
        for other in chosen:
            link(graph, layer, other, row, M if layer > 0 else 2 * M)
        at = found[0] if found else at
    return row if graph.level[row] > graph.level[entry] else entry


def test_insert_by_hand():
    """The second row is linked with the first on every layer that both are on, both ways."""
    for levels in ((0, 0), (1, 1), (2, 1), (1, 2)):
        graph = room_for(at_angles(0, 30), levels, 2)
        entry = insert(graph, 1, 0, 2, 4, np.ones(2, bool))
        for layer in range(min(levels) + 1):
            for row in (0, 1):
                got = neighbours(graph, row, layer)
                assert got == [1 - row], f"levels {levels}: links of row {row} on layer {layer}: [{1 - row}], not {got}"
        assert int(np.sum(graph.links != -1)) == 2 * (min(levels) + 1), f"levels {levels}: no other links"
        expected = int(levels[1] > levels[0])
        assert entry == expected, f"levels {levels}: searches begin at row {expected}, not {entry}"


def test_insert_is_its_definition(rng):
    """Row after row, the graph is the one that the algorithm builds, with few rows in view as well as with many."""
    for ef, M, dim in ((1, 2, 3), (2, 2, 3), (6, 3, 4), (20, 2, 2)):
        vectors, level = units(rng, 20, dim), np.minimum(rng.geometric(0.55, 20) - 1, 3)
        graphs = room_for(vectors, level, M), room_for(vectors, level, M)
        entries = [0, 0]
        wanted = np.ones(20, bool)
        wanted[rng.choice(np.arange(1, 20), 3, replace=False)] = False
        for row in range(1, 20):
            entries[0] = insert(graphs[0], row, entries[0], M, ef, wanted)
            entries[1] = insert_by_definition(graphs[1], row, entries[1], M, ef, wanted)
            message = f"after row {row} (level {level[row]}) was inserted with M = {M}, ef = {ef}"
            assert entries[0] == entries[1], f"{message}: searches begin at row {entries[1]}, not {entries[0]}"
            assert_close(graphs[0].links, graphs[1].links, f"the table of links, {message}")


def test_insert_where_nothing_is_wanted():
    """Where every row before has been removed, the new one has no links; and a graph of one link a row is refused."""
    graph = room_for(at_angles(0, 30), (1, 1), 2)
    assert insert(graph, 1, 0, 2, 4, np.zeros(2, bool)) == 0
    assert np.all(graph.links == -1), "no row is wanted, so there is none to link to"
    assert_refuses(lambda: HNSW(4, M=1), "M", 2, 1, message="M of 1: there would be no way back")


# the parts that are given


def test_similarity_and_compare_are_dot_products(rng):
    """Both are what NumPy's product gives."""
    vectors, queries = units(rng, 9), units(rng, 3)
    rows = np.array([8, 0, 3])
    assert_close(compare(queries, vectors, rows), queries @ vectors[rows].T, "compare", rtol=1e-5, atol=1e-6)
    assert_close(similarity(vectors, 4, queries[0]), vectors[4] @ queries[0], "similarity", rtol=1e-5, atol=1e-6)


def test_nearest_centre_is_the_nearest(rng):
    """It is the nearest by distance, whatever the lengths of the centres."""
    points, centres = rng.normal(size=(1_030, 3)).astype(np.float32), 4 * rng.normal(size=(7, 3)).astype(np.float32)
    assert_close(nearest_centre(points, centres), own_groups(points, centres), "nearest_centre of 1,030 vectors")


def test_descend_goes_to_the_best_on_every_layer():
    """From 0° towards 90°: on layer 1 to 60°, on layer 0 on to 90°."""
    graph = graph_of(at_angles(0, 30, 60, 90), [[[1], [2]], [[0, 2]], [[1, 3], [0]], [[2]]])
    query = at_angles(90)[0]
    assert descend(graph, query, 0, 0) == 2, "down to above layer 0"
    assert descend(graph, query, 0, 1) == 0, "no layer above 1"
    assert descend(graph, query, 0, -1) == 3, "all layers"


def test_levels_fall_off_by_m(rng):
    """A layer has about 1 / M of the rows of the one below."""
    levels = draw_levels(20_000, 4, rng)
    for layer in (1, 2, 3):
        share = np.mean(levels >= layer)
        assert abs(share - 4.0**-layer) < 0.01, f"the share of rows on layer {layer} is {share}"


def make(kind, dim=6):
    """An index of each kind, trained on the same vectors."""
    if kind == "IVF":
        index = IVF(dim, 4, 3)
        index.train(units(np.random.default_rng(5), 40, dim))
        return index
    return Exact(dim) if kind == "Exact" else HNSW(dim, M=4, ef_construction=12, ef=20)


KINDS = pytest.mark.parametrize("kind", ["Exact", "IVF", "HNSW"])


@KINDS
def test_an_index_finds_what_is_there(kind, rng):
    """Ids and scores are right: what is found is near, belongs to its score, and is sorted."""
    vectors, queries, ids = units(rng, 40), units(rng, 6), rng.permutation(1000)[:40]
    index = make(kind)
    index.add(vectors[:25], ids[:25])
    index.add(vectors[25:], ids[25:])
    found, scores = index.search(queries, 5)
    assert len(index) == 40
    where = {int(one): row for row, one in enumerate(ids)}
    true = queries @ vectors.T
    for line in range(6):
        rows = [where[int(one)] for one in found[line]]
        assert_close(scores[line], true[line, rows], f"{kind}: scores of the ids found", rtol=1e-5, atol=1e-6)
        assert len(set(rows)) == 5, f"{kind}: no id twice"
    assert np.all(np.diff(scores, axis=1) <= 0), f"{kind}: best first"
    best = np.argsort(-true, axis=1)[:, :5]
    recall = np.mean([np.isin(found[line], ids[best[line]]).mean() for line in range(6)])
    assert recall >= (1.0 if kind == "Exact" else 0.7), f"{kind}: recall {recall}"


@KINDS
def test_an_index_forgets_and_replaces(kind, rng):
    """What was removed is not found; an id added again has its new vector only; removing most builds all anew."""
    vectors = units(rng, 30)
    index = make(kind)
    index.add(vectors, np.arange(30))
    assert index.remove([3, 4, 99]) == 2
    assert len(index) == 28
    assert not np.isin([3, 4], index.search(vectors, 10)[0]).any(), f"{kind}: removed ids are not found"
    index.add(vectors[4:5], [7])
    ids, scores = index.search(vectors[[4, 7]], 1)
    assert_close([ids[0, 0], scores[0, 0]], [7, 1.0], f"{kind}: id 7 has the vector that was 4's", rtol=1e-5)
    assert scores[1, 0] < 0.9999, f"{kind}: the old vector of id 7 is gone"
    index.remove(np.arange(10, 30))
    assert len(index.ids) < 10, f"{kind}: built anew, without the rows that were removed"
    assert set(index.search(vectors, 8)[0].ravel().tolist()) <= {0, 1, 2, 5, 6, 7, 8, 9, -1}, (
        f"{kind}: only what is left"
    )
    index.remove(np.arange(10))
    assert np.all(index.search(vectors[:2], 3)[0] == -1), f"{kind}: empty again"
    index.add(vectors[:5], np.arange(5))
    assert_close(index.search(vectors[:5], 1)[0][:, 0], np.arange(5), f"{kind}: and filled again")


@KINDS
def test_an_index_keeps_to_what_is_allowed(kind, rng):
    """A narrow filter gives exact answers in every index, a wide one gives none that it does not allow."""
    vectors, queries = units(rng, 48), units(rng, 4)
    index = make(kind)
    index.add(vectors, np.arange(48))
    index.remove([0, 40])
    for few in ([5, 17, 40, 43, 1000], np.arange(48)[index.ids % 8 == 1]):
        left = [one for one in few if one not in (0, 40, 1000)]
        expected = [(ranked(vectors, query, left) + [-1] * 6)[:6] for query in queries]
        assert_close(index.search(queries, 6, np.array(few))[0], expected, f"{kind}: allowed {list(few)}")
        mask = np.isin(index.ids, few)
        assert_close(index.search(queries, 6, mask)[0], expected, f"{kind}: the same as a mask over the rows")
    wide = rng.random(48) < 0.6
    found = index.search(queries, 6, wide)[0]
    assert np.all(wide[found[found >= 0]]), f"{kind}: only what is allowed"
    assert not np.isin([0, 40], found).any(), f"{kind}: a mask does not bring back what was removed"
    assert np.all(index.search(queries, 2, np.zeros(0, int))[0] == -1), f"{kind}: nothing allowed, nothing found"


def test_an_index_is_exact_over_many_rows(rng):
    """More rows and queries than are multiplied at once make no difference."""
    vectors, queries = units(rng, 2_100, 3), units(rng, 1_030, 3)
    index = Exact(3)
    index.add(vectors, np.arange(2_100))
    ids, _ = index.search(queries[:1], 3)
    assert_close(ids, np.argsort(-(queries[:1] @ vectors.T), axis=1)[:, :3], "a query over 2,100 rows")
    ids, _ = index.search(queries[:8], 3, np.arange(300))
    assert_close(
        ids, np.argsort(-(queries[:8] @ vectors[:300].T), axis=1)[:, :3], "8 queries over 300 rows that are allowed"
    )
    ids, _ = index.search(queries, 1, [0, 1])
    assert_close(ids[:, 0], np.argmax(queries @ vectors[:2].T, axis=1), "1,030 queries over 2 rows that are allowed")


@KINDS
def test_an_index_says_what_does_not_fit(kind):
    """Each wrong argument is named, with what was wanted and what came."""
    index = make(kind, 2)
    two = at_angles(0, 90)
    assert_refuses(lambda: index.add(np.ones((2, 3)), [0, 1]), "vectors", 2, (2, 3), message="vectors of 3 numbers")
    assert_refuses(lambda: index.add(two[0], [0]), "vectors", (2,), message="a single vector without its axis")
    assert_refuses(lambda: index.add(two * 3, [0, 1]), "vectors", 1, 3, message="vectors of length 3")
    assert_refuses(lambda: index.add(two * np.nan, [0, 1]), "vectors", "nan", message="not a number")
    assert_refuses(lambda: index.add(two, [0]), "ids", 2, (1,), message="one id for two vectors")
    assert_refuses(lambda: index.add(two, [4, 4]), "ids", "different", 1, message="the same id twice")
    assert_refuses(lambda: index.add(two, [0, -1]), "ids", -1, message="a negative id")
    assert len(index) == 0, f"{kind}: what is refused leaves nothing behind"
    index.add(two, [0, 1])
    assert_refuses(lambda: index.search(two, 0), "k", 0, message="no neighbours")
    assert_refuses(lambda: index.search(np.ones((1, 3)), 1), "queries", 2, (1, 3), message="a query of 3 numbers")
    assert_refuses(lambda: index.search(two, 1, np.ones(5, bool)), "allowed", (2,), (5,), message="a mask of 5")

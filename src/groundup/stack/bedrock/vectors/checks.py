"""Checks of vectors and the dense layer."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from groundup.checking import assert_close, assert_refuses, assert_shape, runs_python_lines, speed_ratio
from groundup.stack.bedrock.vectors import (
    Dense,
    broadcast_shapes,
    cosine_similarity,
    dense_loop,
    dot,
    normalize_rows,
    pairwise_distances,
    relu,
)


def assert_dtype(actual, dtype, message):
    """Fail with `message` unless `actual` has this dtype."""
    got = getattr(actual, "dtype", type(actual).__name__)
    assert got == dtype, f"{message}\n  expected {np.dtype(dtype)}, got {got}"


# dot


def test_dot_by_hand():
    """The dot product multiplies entry by entry and adds everything up."""
    assert_close(dot(np.array([1.0, 2.0]), np.array([3.0, 4.0])), 11.0, "dot([1, 2], [3, 4]) is 1·3 + 2·4 = 11")
    assert_close(dot(np.array([1.0, -2.0, 0.5]), np.array([4.0, 1.0, 6.0])), 5.0, "dot keeps signs: 4 - 2 + 3 = 5")


def test_dot_of_perpendicular_vectors_is_zero():
    """Vectors at right angles have a dot product of zero."""
    assert_close(dot(np.array([2.0, 1.0]), np.array([-1.0, 2.0])), 0.0, "[2, 1] and [-1, 2] are at right angles")


def test_dot_equals_numpys(rng):
    """The dot product of long vectors is NumPy's, and is the same both ways round."""
    a, b = rng.normal(size=(2, 1000))
    assert_close(dot(a, b), np.dot(a, b), "dot of two vectors of 1,000 random entries, against np.dot")
    assert_close(dot(b, a), dot(a, b), "dot(b, a) equals dot(a, b)", rtol=1e-12)
    message = "dot of two vectors in reverse order, which are strided views"
    assert_close(dot(a[::-1], b[::-1]), np.dot(a, b), message)


def test_dot_adds_products_up(rng):
    """For vectors of any length and entries of any sign it is the sum of the products."""
    for length in range(12):
        a, b = rng.normal(size=(2, length))
        assert_close(dot(a, b), sum(x * y for x, y in zip(a, b, strict=True)), f"dot of vectors of length {length}")
        assert_close(dot(a, -b), -dot(a, b), f"dot(a, -b) is -dot(a, b), at length {length}")
        twos = np.full(length, 2.0)
        assert_close(dot(np.ones(length), twos), 2.0 * length, f"dot of {length} ones and {length} twos")


def test_dot_is_linear(rng):
    """Scaling or adding vectors scales or adds their dot products."""
    a, b, c = rng.normal(size=(3, 20))
    assert_close(dot(2 * a + b, c), 2 * dot(a, c) + dot(b, c), "dot(2a + b, c) is 2·dot(a, c) + dot(b, c)")


def test_dot_of_nothing_is_zero():
    """The sum of no products is zero."""
    assert_close(dot(np.array([]), np.array([])), 0.0, "dot of two vectors without entries")


def test_dot_of_small_integers_does_not_wrap():
    """Pixels and counts in 8 bits are multiplied as numbers, not modulo 256."""
    pixels = np.array([200, 100], dtype=np.uint8)
    message = "dot of 8-bit pixels [200, 100] with themselves is 40000 + 10000 (see `as_floats`)"
    assert_close(dot(pixels, pixels), 50000.0, message)
    assert_close(dot(np.array([1, 2]), np.array([3, 4])), 11.0, "dot of integer vectors [1, 2] and [3, 4]")
    message = "dot of 64-bit integers [4·10⁹] and [4·10⁹] is 1.6·10¹⁹, which no 64-bit integer holds (see `as_floats`)"
    assert_close(dot(np.array([4_000_000_000]), np.array([4_000_000_000])), 1.6e19, message)
    half = np.array([400.0], dtype=np.float16)
    message = "dot of the 8-bit [200] and the half-precision [400.0] is 80000, for which half precision is too small"
    with np.errstate(all="ignore"):
        assert_close(dot(pixels[:1], half), 80000.0, f"{message}: integers count as float64")
        assert_close(dot(half, pixels[:1]), 80000.0, f"{message}, and the other way round")


def test_dot_shows_what_is_not_a_number():
    """One entry that is not a number makes the sum not a number; it is not left out."""
    message = "dot([nan, 1], [1, 1]) is nan: leaving the entry out hides a bug"
    assert_close(dot(np.array([np.nan, 1.0]), np.array([1.0, 1.0])), np.nan, message)


def test_dot_leaves_its_arguments_alone():
    """Neither vector is written to."""
    a, b = np.array([2.0, 3.0]), np.array([5.0, 7.0])
    dot(a, b)
    assert_close(a, [2.0, 3.0], "dot must not change its first argument")
    assert_close(b, [5.0, 7.0], "dot must not change its second argument")


def test_dot_keeps_the_precision():
    """Single precision in, single precision out; the result is a float also where it is a whole number, and exact."""
    a = np.array([1.5, 2.0], dtype=np.float32)
    assert_dtype(dot(a, a), np.float32, "dot of float32 vectors")
    whole = np.asarray(dot(np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    assert whole.dtype == np.float64, f"dot([1.0, 2.0], [3.0, 4.0]) is the float 11.0; got the type {whole.dtype}"
    tiny = np.array([3e-10])
    assert_close(dot(tiny, tiny), 9e-20, "dot([3e-10], [3e-10]) is 9e-20, with no digit rounded away", atol=0)


def test_dot_refuses_what_broadcasting_would_stretch():
    """Two arrays that are not vectors of one length are an error which names both shapes."""
    for a, b in (((3,), (1,)), ((1,), (3,)), ((3,), (2,)), ((3, 1), (3,)), ((2, 2), (2, 2)), ((), ())):
        message = f"dot of shapes {a} and {b}: they are not two vectors of one length"
        assert_refuses(lambda a=a, b=b: dot(np.ones(a), np.ones(b)), a, b, message=message)


# broadcast_shapes


def test_broadcast_shapes_by_hand():
    """Shapes are lined up at the right; ones stretch; missing leading axes are ones."""
    for shapes, expected in (
        (((8, 3), (3,)), (8, 3)),
        (((3,), (8, 3)), (8, 3)),
        (((4, 1), (3,)), (4, 3)),
        (((5, 1, 4), (3, 1)), (5, 3, 4)),
        (((), (2, 2)), (2, 2)),
        (((7,), (7,)), (7,)),
        (((1, 1), (1,)), (1, 1)),
        (((2, 1), (1, 3), (4, 1, 1)), (4, 2, 3)),
    ):
        got = broadcast_shapes(*shapes)
        assert got == expected, f"broadcast_shapes{shapes} is {expected}, got {got!r}"


def test_broadcast_shapes_of_none_and_of_one():
    """No shapes broadcast to a scalar, and one shape to itself."""
    assert broadcast_shapes() == (), f"broadcast_shapes() is (), got {broadcast_shapes()!r}"
    assert broadcast_shapes((2, 1)) == (2, 1), f"broadcast_shapes((2, 1)) is (2, 1), got {broadcast_shapes((2, 1))!r}"


def test_broadcast_shapes_with_an_empty_axis():
    """A size of 0 is a size: 1 stretches to it, and nothing else fits it."""
    got = broadcast_shapes((0, 3), (1, 3))
    assert got == (0, 3), f"broadcast_shapes((0, 3), (1, 3)) is (0, 3): an empty batch stays empty; got {got!r}"
    assert_refuses(
        lambda: broadcast_shapes((0,), (3,)), (0,), (3,), message="broadcast_shapes((0,), (3,)): neither is 1"
    )


def test_broadcast_shapes_says_which_axis_clashes():
    """Sizes that clash are an error naming the shapes, the axis from the end and the sizes."""
    for shapes, axis, sizes in (
        (((8, 3), (8,)), -1, (3, 8)),
        (((8,), (8, 3)), -1, (3, 8)),
        (((2, 3), (4, 3)), -2, (2, 4)),
        (((2, 1, 5), (6, 5), (7, 1)), -2, (6, 7)),
    ):
        message = f"broadcast_shapes{shapes}: at axis {axis} the sizes {sizes[0]} and {sizes[1]} clash"
        assert_refuses(lambda shapes=shapes: broadcast_shapes(*shapes), *shapes, axis, *sizes, message=message)


def test_broadcast_shapes_names_the_sizes_that_clash():
    """In long shapes one does not want to look for them."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - its message is looked at below
        broadcast_shapes((2, 1, 5), (6, 5), (7, 1))
    rest = str(raised.value)
    for shape in ("(2, 1, 5)", "(6, 5)", "(7, 1)"):
        rest = rest.replace(shape, "")
    for size in ("6", "7"):
        message = f"the error should name the clashing sizes 6 and 7 besides the shapes; it said: {raised.value}"
        assert size in rest, message


def test_broadcast_shapes_agrees_with_numpy(rng):
    """On any shapes, the answer (or that there is none) is NumPy's. The smallest shapes come first."""
    small = [(), (1,), (2,), (3,), (0,), *itertools.product((1, 2, 3), repeat=2)]
    several = list(itertools.product(small, repeat=2))
    for _ in range(100):  # of three or four shapes with up to four axes; mostly of sizes that fit
        sizes = [(0, 1, 2, 3), (1, 2, 2, 1), (1, 3, 1, 3)][rng.integers(3)]
        axes = rng.integers(5, size=rng.integers(3, 5))
        several.append(tuple(tuple(sizes[i] for i in rng.integers(4, size=count)) for count in axes))
    for shapes in several:
        try:
            expected = np.broadcast_shapes(*shapes)
        except ValueError:
            message = f"broadcast_shapes of {shapes}: NumPy refuses them"
            assert_refuses(lambda shapes=shapes: broadcast_shapes(*shapes), message=message)
        else:
            got = broadcast_shapes(*shapes)
            assert got == expected, f"broadcast_shapes of {shapes} is {expected}, got {got!r}"


# normalize_rows


def test_normalize_rows_by_hand():
    """A row of 3 and 4 has length 5."""
    rows = np.array([[3.0, 4.0], [0.0, -2.0]])
    assert_close(normalize_rows(rows), [[0.6, 0.8], [0.0, -1.0]], "normalize_rows([[3, 4], [0, -2]]), lengths 5 and 2")


def test_normalize_rows_gives_unit_rows_in_the_same_direction(rng):
    """Every row has length one afterwards, and is a positive multiple of what it was."""
    rows = rng.normal(size=(6, 4))
    unit = normalize_rows(rows)
    assert_close(np.linalg.norm(unit, axis=1), np.ones(6), "the length of every row of normalize_rows of (6, 4)")
    lengths = np.linalg.norm(rows, axis=1)
    assert_close(unit * lengths[:, None], rows, "each normalised row times its old length is the old row")


def test_normalize_rows_of_any_shape_and_layout(rng):
    """Any number of rows and features will do, and rows that are columns of another table (a transposed view)."""
    for items, features in [*itertools.product(range(4), range(1, 5)), (5, 5), (4, 6), (2, 7), (5, 8)]:
        rows = rng.normal(size=(features, items)).T
        expected = rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))
        assert_close(normalize_rows(rows), expected, f"normalize_rows of shape ({items}, {features}), transposed")


def test_normalize_rows_leaves_zero_rows_zero():
    """A row of zeros has no direction and stays zeros."""
    with np.errstate(all="ignore"):
        unit = normalize_rows(np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert_close(unit, [[0.0, 0.0], [1.0, 0.0]], "a row of zeros stays zeros, with no division by zero")


def test_normalize_rows_at_any_scale():
    """Neither huge nor tiny rows lose their direction to the squares."""
    for scale in (1e200, 1e-200, 1e-12, 5e-324):
        with np.errstate(all="ignore"):
            unit = normalize_rows(np.array([[3.0 * scale, -4.0 * scale], [-3.0 * scale, -4.0 * scale], [1.0, 0.0]]))
        message = f"normalize_rows of [3, -4] and [-3, -4], times {scale:g}, and [1, 0]: squares overflow or vanish"
        assert_close(unit, [[0.6, -0.8], [-0.6, -0.8], [1.0, 0.0]], message)


def test_normalize_rows_shows_what_is_not_a_number():
    """A row with not-a-number in it has no direction that is known, and the other rows do not mind."""
    with np.errstate(all="ignore"):
        unit = normalize_rows(np.array([[np.nan, 1.0], [3.0, 4.0]]))
    message = "normalize_rows([[nan, 1], [3, 4]]): the first row is not a number, the second is as ever"
    assert_close(unit, [[np.nan, np.nan], [0.6, 0.8]], message)


def test_normalize_rows_in_half_precision():
    """Half precision, as embeddings are stored, is enough although 300² overflows it."""
    with np.errstate(all="ignore"):
        unit = normalize_rows(np.array([[300.0, 400.0]], dtype=np.float16))
    assert_close(unit, [[0.6, 0.8]], "normalize_rows of a float16 row [300, 400]", rtol=2e-3)
    assert_dtype(unit, np.float16, "normalize_rows of a float16 row")
    assert_dtype(normalize_rows(np.ones((1, 2), dtype=np.float32)), np.float32, "normalize_rows of a float32 row")


def test_normalize_rows_takes_integers_and_leaves_its_input_alone():
    """Counts are converted, and the caller's array is not written to."""
    counts = np.array([[3, 4], [200, 0]], dtype=np.uint8)
    assert_close(normalize_rows(counts), [[0.6, 0.8], [1.0, 0.0]], "normalize_rows of 8-bit counts")
    for kept in ([[3.0, 4.0]], [[0.0, 0.0]], [[1.0, 0.0]]):
        rows = np.array(kept)
        unit = normalize_rows(rows)
        assert_close(rows, kept, "normalize_rows must not change the array that it was given")
        unit[0, 0] = 7.0
        assert_close(rows, kept, f"normalize_rows({kept}) must be a new array, not its input or a view of it")


def test_normalize_rows_of_no_rows():
    """An empty table stays an empty table."""
    assert_shape(normalize_rows(np.zeros((0, 3))), (0, 3), "normalize_rows of no rows of 3 features")
    assert_shape(normalize_rows(np.zeros((2, 0))), (2, 0), "normalize_rows of 2 rows without features")


# cosine_similarity


def test_cosine_similarity_by_hand():
    """Same direction 1, right angles 0, opposite -1, half a right angle √½, whatever the lengths."""
    query = np.array([[2.0, 0.0]])
    items = np.array([[5.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [4.0, 4.0]])
    expected = [[1.0, 0.0, -1.0, 0.7071067811865476]]
    assert_close(cosine_similarity(query, items), expected, "cosine of [2, 0] with [5, 0], [0, 3], [-1, 0], [4, 4]")


def test_cosine_similarity_against_scipy(rng):
    """Every query is compared with every item: one minus SciPy's cosine distance."""
    queries, items = rng.normal(size=(4, 5)), rng.normal(size=(7, 5))
    expected = 1 - cdist(queries, items, "cosine")
    message = "cosine_similarity of 4 queries and 7 items, against SciPy's"
    assert_close(cosine_similarity(queries, items), expected, message, rtol=1e-12, atol=1e-12)
    assert_close(cosine_similarity(100 * queries, items), expected, "scaling the queries changes no cosine")


def test_cosine_similarity_of_any_shape(rng):
    """One query, as many queries as items, none at all: always a row for each query and a column for each item."""
    for queries in range(4):
        for items in range(4):
            q, i = rng.normal(size=(queries, 3)), rng.normal(size=(items, 3))
            lengths = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(i, axis=1)
            assert_close(cosine_similarity(q, i), q @ i.T / lengths, f"cosine of {queries} queries and {items} items")


def test_cosine_similarity_leaves_its_arguments_alone(rng):
    """Neither table is written to."""
    queries, items = rng.normal(size=(3, 2)), rng.normal(size=(4, 2))
    kept = queries.copy(), items.copy()
    cosine_similarity(queries, items)
    assert_close(queries, kept[0], "cosine_similarity must not change the queries", rtol=0, atol=0)
    assert_close(items, kept[1], "cosine_similarity must not change the items", rtol=0, atol=0)


def test_cosine_similarity_does_not_loop_over_the_pairs(rng):
    """Of 22,500 pairs not each has its own turn of a Python loop; one over the queries alone may do."""
    queries, items = rng.normal(size=(150, 2)), rng.normal(size=(150, 2))
    assert not runs_python_lines(lambda: cosine_similarity(queries, items), limit=11_000), (
        "cosine_similarity of 150 queries and 150 items runs a line of Python for each of the 22,500 pairs, or for "
        "every other one: is there a loop over the pairs? One matrix product makes all their dot products"
    )


def test_cosine_similarity_at_any_scale():
    """The length of a row does not matter, however large or small it is."""
    for scale in (1e200, 1e-12, 1e-200):
        with np.errstate(all="ignore"):
            got = cosine_similarity(np.array([[3.0 * scale, 4.0 * scale]]), np.array([[scale, 0.0], [0.0, 2.0]]))
            mixed = cosine_similarity(
                np.array([[3.0 * scale, 4.0 * scale], [3 / scale, 4 / scale]]), np.array([[1.0, 0.0]])
            )
        message = f"cosine of [3, 4]·{scale:g} with [1, 0]·{scale:g} and [0, 2]: use `normalize_rows`"
        assert_close(got, [[0.6, 0.8]], message)
        message = f"cosine of [3, 4]·{scale:g} and of [3, 4]/{scale:g} with [1, 0]: each row has its own scale"
        assert_close(mixed, [[0.6], [0.6]], message)


def test_cosine_similarity_shows_what_is_not_a_number():
    """The cosine with a row that holds not-a-number is not a number."""
    with np.errstate(all="ignore"):
        got = cosine_similarity(np.array([[1.0, 0.0]]), np.array([[np.nan, 1.0], [2.0, 0.0]]))
    assert_close(got, [[np.nan, 1.0]], "the cosine of [1, 0] with [nan, 1] and [2, 0] is nan and 1")


def test_cosine_similarity_with_a_zero_row():
    """A row without direction is similar to nothing."""
    with np.errstate(all="ignore"):
        got = cosine_similarity(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 0.0]]))
        rows = np.array([[0.0, 0.0], [3.0, 0.0]])
        itself = cosine_similarity(rows, rows)
    assert_close(got, [[0.0, 0.0], [1.0, 0.0]], "the cosine with a row of zeros is 0")
    assert_close(itself, [[0.0, 0.0], [0.0, 1.0]], "the cosine of a row of zeros with itself is 0 as well")


def test_cosine_similarity_never_leaves_its_range(rng):
    """Rounding never gives a cosine beyond 1, whose angle would be not-a-number."""
    rows = rng.normal(size=(200, 7))
    cosines = cosine_similarity(rows, np.concatenate([rows, -rows]))
    assert cosines.max() <= 1, f"a cosine is at most 1; the largest is 1 + {cosines.max() - 1:.1e}: np.clip it"
    assert cosines.min() >= -1, f"a cosine is at least -1; the smallest is -1 - {-1 - cosines.min():.1e}: np.clip it"
    assert_close(np.diag(cosines), np.ones(200), "the cosine of a row with itself is 1", rtol=1e-14, atol=0)
    nearly = cosine_similarity(np.array([[1.0, 1e-15]]), np.array([[0.0, 1.0]]))
    assert_close(nearly, [[1e-15]], "the cosine of [1, 1e-15] with [0, 1] is 1e-15: no digit is rounded away", atol=0)


def test_cosine_similarity_of_counts():
    """Integer counts and single precision are fine."""
    got = cosine_similarity(np.array([[3, 1, 0]], dtype=np.uint8), np.array([[250, 0, 0]], dtype=np.uint8))
    assert_close(got, [[0.9486832980505138]], "cosine of the counts [3, 1, 0] and [250, 0, 0] is 3/√10")
    rows = np.ones((2, 3), dtype=np.float32)
    assert_dtype(cosine_similarity(rows, rows), np.float32, "cosine_similarity of float32 rows")


# pairwise_distances


def test_pairwise_distances_by_hand():
    """A triangle of sides 3, 4, 5."""
    got = pairwise_distances(np.array([[0.0, 0.0], [3.0, 0.0]]), np.array([[3.0, 4.0], [3.0, 0.0], [0.0, 0.0]]))
    assert_close(got, [[5.0, 3.0, 0.0], [4.0, 0.0, 3.0]], "distances between corners of the 3-4-5 triangle")


def test_pairwise_distances_against_scipy(rng):
    """Row i, column j is the distance from query i to item j."""
    queries, items = rng.normal(size=(4, 6)), rng.normal(size=(9, 6))
    assert_close(
        pairwise_distances(queries, items), cdist(queries, items), "4 queries against 9 items, and SciPy's cdist"
    )


def test_pairwise_distances_far_from_the_origin():
    """Points that lie close together far from the origin are told apart, in two places at once."""
    places = np.array([[1e8, 1e8], [-1e8, 1e8]])  # two, so that no shift brings all points near the origin
    moved = places + np.array([0.003, 0.004])
    expected = cdist(places, moved)
    message = "points about 0.005 apart near [1e8, 1e8], and near [-1e8, 1e8]: subtract first, then square"
    assert_close(pairwise_distances(places, moved), expected, message)
    tiny = pairwise_distances(np.array([[0.0], [3e-20]]), np.array([[0.0]]))
    assert_close(tiny, [[0.0], [3e-20]], "distances 0 and 3e-20 from the origin: nothing is added to them", atol=0)


def test_pairwise_distances_of_any_shape(rng):
    """One query, as many queries as items, any number of features: always a row a query and a column an item."""
    sizes = [*itertools.product(range(4), range(4), (1, 2, 3)), *((2, 3, features) for features in (0, 4, 5, 6, 7, 8))]
    for queries, items, features in sizes:
        q, i = rng.normal(size=(queries, features)), rng.normal(size=(items, features))
        expected = cdist(q, i) if features else np.zeros((queries, items))
        message = f"pairwise_distances of {queries} queries and {items} items with {features} features"
        assert_close(pairwise_distances(q, i), expected, message)


def test_pairwise_distances_show_what_is_not_a_number():
    """The distance to a row that holds not-a-number is not a number."""
    with np.errstate(all="ignore"):
        got = pairwise_distances(np.array([[3.0, 4.0]]), np.array([[np.nan, 4.0], [0.0, 0.0]]))
    assert_close(got, [[np.nan, 5.0]], "the distances of [3, 4] from [nan, 4] and [0, 0] are nan and 5")


def test_pairwise_distances_leaves_its_arguments_alone(rng):
    """Neither table is written to."""
    queries, items = rng.normal(size=(3, 2)), rng.normal(size=(4, 2))
    kept = queries.copy(), items.copy()
    pairwise_distances(queries, items)
    assert_close(queries, kept[0], "pairwise_distances must not change the queries")
    assert_close(items, kept[1], "pairwise_distances must not change the items")


def test_pairwise_distances_does_not_loop_over_the_pairs(rng):
    """Of 22,500 pairs not each has its own turn of a Python loop; one over the queries alone may do."""
    queries, items = rng.normal(size=(150, 2)), rng.normal(size=(150, 2))
    assert not runs_python_lines(lambda: pairwise_distances(queries, items), limit=11_000), (
        "pairwise_distances of 150 queries and 150 items runs a line of Python for each of the 22,500 pairs, or for "
        "every other one: is there a loop over the pairs? Two new axes let NumPy form all the differences at once"
    )


def test_pairwise_distances_are_symmetric_and_zero_on_the_diagonal(rng):
    """A distance is the same both ways, zero to itself, and no detour is shorter."""
    points = rng.normal(size=(6, 3))
    distances = pairwise_distances(points, points)
    assert_close(distances, distances.T, "the distance from a to b equals that from b to a")
    assert_close(np.diag(distances), np.zeros(6), "the distance from a point to itself is 0")
    detour = np.min(distances[:, :, None] + distances[None, :, :], axis=1)
    assert np.all(distances <= detour + 1e-12), "no way through a third point may be shorter"


def test_pairwise_distances_of_counts_do_not_wrap():
    """8-bit counts are subtracted as numbers."""
    got = pairwise_distances(np.array([[1]], dtype=np.uint8), np.array([[2], [251]], dtype=np.uint8))
    assert_close(got, [[1.0, 250.0]], "8-bit counts 1 and 2 are 1 apart, 1 and 251 are 250 apart (see `as_floats`)")
    counts, half = np.array([[200]], dtype=np.uint8), np.array([[-400.0]], dtype=np.float16)
    message = "the 8-bit 200 and the half-precision -400 are 600 apart, whose square half precision cannot hold"
    with np.errstate(all="ignore"):
        assert_close(pairwise_distances(counts, half), [[600.0]], f"{message}: integers count as float64")
        assert_close(pairwise_distances(half, counts), [[600.0]], f"{message}, and the other way round")


def test_pairwise_distances_keeps_dtype_and_shape():
    """Single precision stays; one query, no queries, no items are all fine."""
    rows = np.ones((2, 3), dtype=np.float32)
    assert_dtype(pairwise_distances(rows, rows), np.float32, "pairwise_distances of float32 rows")
    assert_shape(pairwise_distances(np.ones((1, 3)), np.ones((1, 3))), (1, 1), "one query and one item")
    assert_shape(pairwise_distances(np.ones((0, 3)), np.ones((5, 3))), (0, 5), "no queries and five items")
    assert_close(pairwise_distances(np.ones((2, 0)), np.ones((1, 0))), np.zeros((2, 1)), "rows without features")


# relu


def test_relu_by_hand():
    """Negative entries become zero; the rest stay."""
    assert_close(relu(np.array([[-1.5, 0.0], [2.0, -3.0]])), [[0.0, 0.0], [2.0, 0.0]], "relu([[-1.5, 0], [2, -3]])")


@given(st.floats(allow_nan=False))
def test_relu_splits_a_number_into_its_parts(number):
    """relu(x) - relu(-x) is x, and relu of relu changes nothing."""
    for values in ([number], [number, 1.0, -number, -2.0]):
        x = np.array(values)
        with np.errstate(all="ignore"):
            assert_close(relu(x) - relu(-x), x, f"relu(x) - relu(-x) is x, for x = {values}")
            assert_close(relu(relu(x)), relu(x), f"relu of relu(x) is relu(x), for x = {values}")


def test_relu_of_any_length(rng):
    """Each number is judged by itself, in an array of any length."""
    for length in range(20):
        x = rng.normal(size=length)
        assert_close(relu(x), np.where(x > 0, x, 0.0), f"relu of {length} numbers")


def test_relu_shows_what_is_not_a_number():
    """Not-a-number comes through, so that a broken run is seen; infinities are numbers."""
    with np.errstate(all="ignore"):
        got = relu(np.array([np.nan, np.inf, -np.inf]))
    assert_close(got, [np.nan, np.inf, 0.0], "relu([nan, inf, -inf]) is [nan, inf, 0]: hiding nan hides bugs")


def test_relu_keeps_the_type_and_its_input():
    """The type stays, and the caller's array is not written to."""
    for dtype in (np.float16, np.float32, np.float64, np.int8, np.int64):
        assert_dtype(relu(np.array([-1, 2], dtype=dtype)), dtype, f"relu of {np.dtype(dtype)}")
    for kept, dtype in (([-1, 2], float), ([1, 2], float), ([1, 2], np.uint8)):
        x = np.array(kept, dtype=dtype)
        y = relu(x)
        assert_close(x, kept, "relu must not change the array that it was given")
        y[1] = 7
        assert_close(x, kept, f"relu({x.tolist()}) must be a new array, not its input or a view of it")
        first = relu(x).copy()
        relu(2 * x)
        assert_close(relu(x), first, f"relu({x.tolist()}), after relu of another array")


def test_relu_takes_any_shape():
    """Scalars, empty arrays and stacks of matrices keep their shapes."""
    for shape in ((), (0,), (1, 3), (2, 3, 4)):
        assert_shape(relu(-np.ones(shape)), shape, f"relu of shape {shape}")


# Dense.forward


def small_layer():
    """A layer with weights that can be followed by hand."""
    layer = Dense(2, 3, rng=np.random.default_rng(0))
    layer.weights = np.array([[1.0, 0.0, -1.0], [2.0, 1.0, 0.5]])
    layer.bias = np.array([0.5, -1.0, 10.0])
    return layer


def test_forward_by_hand():
    """Row [1, 2] gives 1·1 + 2·2 + 0.5, 1·0 + 2·1 - 1, 1·(-1) + 2·0.5 + 10."""
    message = "forward of [[1, 2], [0, -1]] with W = [[1, 0, -1], [2, 1, 0.5]], b = [0.5, -1, 10]"
    got = small_layer().forward(np.array([[1.0, 2.0], [0.0, -1.0]]))
    assert_close(got, [[5.5, 1.0, 10.0], [-1.5, -2.0, 9.5]], message)


def test_forward_equals_the_loop(rng):
    """One matrix product does what three nested loops do."""
    layer = Dense(5, 4, rng=rng)
    layer.bias = rng.normal(size=4)
    x = rng.normal(size=(6, 5))
    message = "forward of a batch of 6 rows, against dense_loop"
    assert_close(layer.forward(x), dense_loop(x, layer.weights, layer.bias), message)


def test_forward_of_any_shape(rng):
    """Any number of rows, inputs and outputs will do, and any stack of batches."""
    for fan_in, fan_out in [*np.ndindex(4, 4), (5, 5), (5, 3), (4, 5)]:
        layer = Dense(fan_in + 1, fan_out + 1, rng=rng)
        layer.bias = rng.normal(size=fan_out + 1)
        for batch in ((2 * fan_in + 3 * fan_out,), (2, fan_in), (3, 1, fan_out)):
            x = rng.normal(size=(*batch, fan_in + 1))
            expected = np.einsum("...i,io->...o", x, layer.weights) + layer.bias
            assert_close(layer.forward(x), expected, f"forward of shape {x.shape} with {fan_out + 1} outputs")


def test_forward_with_as_many_rows_as_outputs(rng):
    """The bias belongs to the outputs, not to the rows: a square batch gives a mix-up away."""
    layer = Dense(3, 3, rng=rng)
    layer.bias = np.array([1.0, 2.0, 3.0])
    message = "forward of a row of zeros is the bias, for each of the 3 rows"
    assert_close(layer.forward(np.zeros((3, 3))), [[1.0, 2.0, 3.0]] * 3, message)
    x = rng.normal(size=(3, 3))
    assert_close(layer.forward(x), dense_loop(x, layer.weights, layer.bias), "forward with 3 rows, 3 inputs, 3 outputs")


def test_forward_treats_rows_alike(rng):
    """A row's output depends on that row alone, in any batch."""
    layer = Dense(4, 2, rng=rng)
    layer.bias = rng.normal(size=2)
    x = rng.normal(size=(5, 4))
    whole = layer.forward(x)
    assert_close(layer.forward(x[::-1]), whole[::-1], "forward of the rows in reverse order, a strided view")
    assert_close(layer.forward(x[2:3]), whole[2:3], "forward of a batch of one row")
    assert_close(layer.forward(x[2]), whole[2], "forward of a single row of shape (4,) has shape (2,)")
    assert_close(layer.forward(x[None]), whole[None], "forward of a stack of batches, shape (1, 5, 4)")
    assert_shape(layer.forward(np.zeros((0, 4))), (0, 2), "forward of an empty batch")


def test_forward_is_affine(rng):
    """W is linear and b is not: forward(x + y) is forward(x) + forward(y) - b."""
    layer = Dense(3, 2, rng=rng)
    layer.bias = np.array([5.0, -7.0])
    x, y = rng.normal(size=(2, 4, 3))
    message = "forward(x + y) = forward(x) + forward(y) - b: the bias is added once"
    assert_close(layer.forward(x + y), layer.forward(x) + layer.forward(y) - layer.bias, message)


def test_forward_changes_nothing_but_its_result(rng):
    """Inputs, weights and bias are as they were, and asking twice gives the same."""
    layer = Dense(3, 2, rng=rng)
    layer.bias = np.array([1.0, 2.0])
    weights, bias, x = layer.weights.copy(), layer.bias.copy(), rng.normal(size=(4, 3))
    kept = x.copy()
    first = layer.forward(x)
    assert_close(layer.forward(x), first, "a second forward of the same inputs", rtol=0, atol=0)
    first_kept = first.copy()
    layer.forward(2 * x)
    assert_close(first, first_kept, "the first result, after forward of other inputs: it must be an array of its own")
    assert_close(x, kept, "forward must not change its inputs")
    assert_close(layer.weights, weights, "forward must not change the weights")
    assert_close(layer.bias, bias, "forward must not change the bias")


def test_forward_keeps_single_precision_and_takes_integers():
    """Float32 all through stays float32; integers and 8-bit pixels are converted."""
    layer = small_layer()
    assert_close(layer.forward(np.array([[1, 2]])), [[5.5, 1.0, 10.0]], "forward of the integers [[1, 2]]")
    pixels = np.array([[200, 100]], dtype=np.uint8)
    assert_close(layer.forward(pixels), [[400.5, 99.0, -140.0]], "forward of 8-bit pixels [[200, 100]]")
    half = Dense(1, 1, rng=np.random.default_rng(0))
    half.weights, half.bias = np.array([[400.0]], dtype=np.float16), np.zeros(1, dtype=np.float16)
    with np.errstate(all="ignore"):
        got = half.forward(np.array([[200]], dtype=np.uint8))
    assert_close(got, [[80000.0]], "forward of the pixel 200 with a half-precision weight of 400: pixels are converted")
    single = np.ones((1, 2), dtype=np.float32)
    assert_dtype(layer.forward(single), np.float64, "forward of float32 inputs with float64 weights")
    layer.weights, layer.bias = layer.weights.astype(np.float32), layer.bias.astype(np.float32)
    assert_dtype(layer.forward(single), np.float32, "forward with everything in float32")


def test_forward_keeps_negative_outputs():
    """The layer is linear; the ReLU comes after it."""
    got = small_layer().forward(np.array([[-1.0, -1.0]]))
    assert_close(got, [[-2.5, -2.0, 10.5]], "forward of [[-1, -1]] keeps its negative outputs")


def test_forward_says_what_does_not_fit():
    """Inputs with another number of features are an error naming the parameter, the number wanted and what came."""
    layer = Dense(2, 3, rng=np.random.default_rng(0))
    for shape in ((5, 3), (3, 1), (3,), (), (2, 5)):
        came = shape[-1] if shape else ()
        message = f"inputs of shape {shape} to Dense(2, 3)"
        assert_refuses(
            lambda shape=shape: layer.forward(np.ones(shape)), "inputs|in_features", 2, came, message=message
        )


def test_forward_is_at_least_20_times_as_fast_as_the_loop(rng):
    """At batch 10,000 one matrix product beats the nested loops by a factor of 20 at the very least.

    The loop's time is proportional to the rows, so it is timed on 50 of them and multiplied by 200. The layer is
    narrow, so that a loop over rows with a fast inside fails too.
    """
    layer = Dense(4, 4, rng=rng)
    weights, bias, x = layer.weights, layer.bias, rng.normal(size=(10_000, 4))

    def loop():  # written out here, so that the race has the same runner whatever became of dense_loop
        return [[bias[j] + sum(row[k] * weights[k, j] for k in range(4)) for j in range(4)] for row in x[:50]]

    ratio = 200 * speed_ratio(loop, lambda: layer.forward(x), repeats=3)
    assert ratio >= 20, (
        "forward of 10,000 rows must be at least 20 times as fast as the nested loops, and is "
        f"{ratio:.1f} times as fast: is there still a Python loop over the rows?"
    )

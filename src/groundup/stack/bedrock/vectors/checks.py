"""Checks of vectors and the dense layer."""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from groundup.checking import (
    assert_close,
    assert_dtype_kept,
    assert_nan_shown,
    assert_number_kinds,
    assert_refuses,
    assert_unchanged,
    runs_python_lines,
    speed_ratio,
)
from groundup.stack.bedrock import vectors
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

COUNTS = np.array([[1.0, 3.0, 0.0], [2.0, 1.0, 2.0]])  # small whole numbers, so that every kind of number holds them
OTHERS = np.array([[5.0, 0.0, 1.0], [1.0, 2.0, 1.0], [0.0, 4.0, 3.0]])
OWES = {
    "dot": (COUNTS[0], OTHERS[0]),
    "normalize_rows": (COUNTS,),
    "cosine_similarity": (COUNTS, OTHERS),
    "pairwise_distances": (COUNTS, OTHERS),
    "relu": (COUNTS,),
}


@pytest.mark.parametrize("name", OWES)
def test_any_kind_of_number_will_do(name):
    """Integers, 8-bit counts, float32, views and read-only arrays give what float64 gives (see `as_floats`)."""
    assert_number_kinds(
        getattr(vectors, name), *OWES[name], kinds=("int64", "uint8", "float32", "strided", "read-only")
    )


@pytest.mark.parametrize("name", OWES)
def test_the_precision_is_kept_and_the_arguments_too(name):
    """Float32 makes float32; the arguments stay as they were, and the result is an array of its own."""
    assert_dtype_kept(getattr(vectors, name), *OWES[name])
    assert_unchanged(getattr(vectors, name), *OWES[name], own_result=True)


@pytest.mark.parametrize("name", OWES)
def test_not_a_number_is_shown(name):
    """One entry that is not a number shows in the result: leaving it out, or making it 0, hides a bug."""
    assert_nan_shown(getattr(vectors, name), *OWES[name])


# dot


def test_dot_by_hand():
    """The dot product multiplies entry by entry and adds everything up."""
    assert_close(dot(np.array([1.0, 2.0]), np.array([3.0, 4.0])), 11.0, "dot([1, 2], [3, 4]) is 1·3 + 2·4 = 11")
    assert_close(dot(np.array([2.0, 1.0]), np.array([-1.0, 2.0])), 0.0, "[2, 1] and [-1, 2] are at right angles")
    tiny = np.array([3e-10])
    assert_close(dot(tiny, tiny), 9e-20, "dot([3e-10], [3e-10]) is 9e-20, with no digit rounded away", atol=0)


def test_dot_equals_numpys(rng):
    """The dot product of vectors of any length is NumPy's."""
    for length in (*range(1, 12), 1000):
        a, b = rng.normal(size=(2, length))
        assert_close(dot(a, b), np.dot(a, b), f"dot of two vectors of {length} random entries, against np.dot")


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
    message = "dot of 64-bit integers [4·10⁹] and [4·10⁹] is 1.6·10¹⁹, which no 64-bit integer holds (see `as_floats`)"
    assert_close(dot(np.array([4_000_000_000]), np.array([4_000_000_000])), 1.6e19, message)
    half = np.array([400.0], dtype=np.float16)
    message = "dot of the 8-bit [200] and the half-precision [400.0] is 80000, for which half precision is too small"
    with np.errstate(all="ignore"):
        assert_close(dot(pixels[:1], half), 80000.0, f"{message}: integers count as float64")
        assert_close(dot(half, pixels[:1]), 80000.0, f"{message}, and the other way round")


def test_dot_refuses_what_broadcasting_would_stretch():
    """Two arrays that are not vectors of one length are an error which names both shapes."""
    for a, b in (((3,), (1,)), ((1,), (3,)), ((3,), (2,)), ((3, 1), (3,)), ((2, 2), (2, 2)), ((), ())):
        message = f"dot of shapes {a} and {b}: they are not two vectors of one length"
        assert_refuses(lambda a=a, b=b: dot(np.ones(a), np.ones(b)), a, b, message=message)


# broadcast_shapes


def test_broadcast_shapes_by_hand():
    """Shapes are lined up at the right; ones stretch, to 0 too; missing leading axes are ones."""
    for shapes, expected in (
        (((8, 3), (3,)), (8, 3)),
        (((3,), (8, 3)), (8, 3)),
        (((4, 1), (3,)), (4, 3)),
        (((5, 1, 4), (3, 1)), (5, 3, 4)),
        (((), (2, 2)), (2, 2)),
        (((0, 3), (1, 3)), (0, 3)),
        (((2, 1), (1, 3), (4, 1, 1)), (4, 2, 3)),
        (((2, 1),), (2, 1)),
        ((), ()),
    ):
        got = broadcast_shapes(*shapes)
        assert got == expected, f"broadcast_shapes{shapes} is {expected}, got {got!r}"


def test_broadcast_shapes_says_which_axis_clashes():
    """Sizes that clash are an error naming the shapes, the axis from the end and, besides, the sizes."""
    for shapes, axis, sizes in (
        (((8, 3), (8,)), -1, (3, 8)),
        (((8,), (8, 3)), -1, (3, 8)),
        (((0,), (3,)), -1, (0, 3)),
        (((2, 3), (4, 3)), -2, (2, 4)),
        (((2, 1, 5), (6, 5), (7, 1)), -2, (6, 7)),
    ):
        message = f"broadcast_shapes{shapes}: at axis {axis} the sizes {sizes[0]} and {sizes[1]} clash"
        assert_refuses(lambda shapes=shapes: broadcast_shapes(*shapes), *shapes, axis, message=message)
        with pytest.raises(ValueError) as raised:  # noqa: PT011 - its message is looked at below
            broadcast_shapes(*shapes)
        rest = str(raised.value)
        for shape in shapes:
            rest = rest.replace(str(shape), "")
        for size in sizes:
            assert str(size) in rest, f"{message}, and the error names them besides the shapes: {raised.value}"


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
    """A row of 3 and 4 has length 5; a row of zeros has no direction and stays zeros."""
    with np.errstate(all="ignore"):
        unit = normalize_rows(np.array([[3.0, 4.0], [0.0, -2.0], [0.0, 0.0]]))
    message = "normalize_rows([[3, 4], [0, -2], [0, 0]]), lengths 5, 2 and 0: no division by zero"
    assert_close(unit, [[0.6, 0.8], [0.0, -1.0], [0.0, 0.0]], message)


def test_normalize_rows_of_any_shape_and_layout(rng):
    """Any number of rows and features will do, and rows that are columns of another table (a transposed view)."""
    for items, features in [*itertools.product(range(4), range(5)), (5, 5), (4, 6), (2, 7), (5, 8)]:
        rows = rng.normal(size=(features, items)).T
        expected = rows / np.linalg.norm(rows, axis=1, keepdims=True) if features else rows
        assert_close(normalize_rows(rows), expected, f"normalize_rows of shape ({items}, {features}), transposed")


def test_normalize_rows_at_any_scale():
    """Neither huge nor tiny rows lose their direction to the squares."""
    for scale in (1e200, 1e-200, 1e-12, 5e-324):
        with np.errstate(all="ignore"):
            unit = normalize_rows(np.array([[3.0 * scale, -4.0 * scale], [-3.0 * scale, -4.0 * scale], [1.0, 0.0]]))
        message = f"normalize_rows of [3, -4] and [-3, -4], times {scale:g}, and [1, 0]: squares overflow or vanish"
        assert_close(unit, [[0.6, -0.8], [-0.6, -0.8], [1.0, 0.0]], message)


def test_normalize_rows_in_half_precision():
    """Half precision, as embeddings are stored, is enough although 300² overflows it."""
    with np.errstate(all="ignore"):
        unit = normalize_rows(np.array([[300.0, 400.0]], dtype=np.float16))
    assert_close(unit, [[0.6, 0.8]], "normalize_rows of a float16 row [300, 400]", rtol=2e-3)
    assert unit.dtype == np.float16, f"normalize_rows of a float16 row should be float16, got {unit.dtype}"


# cosine_similarity


def test_cosine_similarity_by_hand():
    """Same direction 1, right angles 0, opposite -1, half a right angle √½, whatever the lengths."""
    query = np.array([[2.0, 0.0]])
    items = np.array([[5.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [4.0, 4.0]])
    expected = [[1.0, 0.0, -1.0, 0.7071067811865476]]
    assert_close(cosine_similarity(query, items), expected, "cosine of [2, 0] with [5, 0], [0, 3], [-1, 0], [4, 4]")


def test_cosine_similarity_against_scipy(rng):
    """A row for each query and a column for each item, of any number: one minus SciPy's cosine distance."""
    for queries, items in [*itertools.product(range(4), repeat=2), (4, 7)]:
        q, i = rng.normal(size=(queries, 5)), rng.normal(size=(items, 5))
        message = f"cosine_similarity of {queries} queries and {items} items, against SciPy's"
        assert_close(cosine_similarity(q, i), 1 - cdist(q, i, "cosine"), message, rtol=1e-12, atol=1e-12)


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


def test_cosine_similarity_with_a_broken_row():
    """The cosine with a row that holds not-a-number is not a number, and the other rows do not mind."""
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


# pairwise_distances


def test_pairwise_distances_by_hand():
    """A triangle of sides 3, 4, 5."""
    got = pairwise_distances(np.array([[0.0, 0.0], [3.0, 0.0]]), np.array([[3.0, 4.0], [3.0, 0.0], [0.0, 0.0]]))
    assert_close(got, [[5.0, 3.0, 0.0], [4.0, 0.0, 3.0]], "distances between corners of the 3-4-5 triangle")


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
    """A row for each query and a column for each item, of any number and of any length: SciPy's distances."""
    sizes = [*itertools.product(range(4), range(4), (1, 2, 3)), *((2, 3, features) for features in (0, 4, 5, 6, 7, 8))]
    for queries, items, features in sizes:
        q, i = rng.normal(size=(queries, features)), rng.normal(size=(items, features))
        expected = cdist(q, i) if features else np.zeros((queries, items))
        message = f"pairwise_distances of {queries} queries and {items} items with {features} features"
        assert_close(pairwise_distances(q, i), expected, message)


def test_pairwise_distances_does_not_loop_over_the_pairs(rng):
    """Of 22,500 pairs not each has its own turn of a Python loop; one over the queries alone may do."""
    queries, items = rng.normal(size=(150, 2)), rng.normal(size=(150, 2))
    assert not runs_python_lines(lambda: pairwise_distances(queries, items), limit=11_000), (
        "pairwise_distances of 150 queries and 150 items runs a line of Python for each of the 22,500 pairs, or for "
        "every other one: is there a loop over the pairs? Two new axes let NumPy form all the differences at once"
    )


def test_pairwise_distances_of_counts_do_not_wrap():
    """8-bit counts are subtracted as numbers."""
    got = pairwise_distances(np.array([[1]], dtype=np.uint8), np.array([[2], [251]], dtype=np.uint8))
    assert_close(got, [[1.0, 250.0]], "8-bit counts 1 and 2 are 1 apart, 1 and 251 are 250 apart (see `as_floats`)")
    counts, half = np.array([[200]], dtype=np.uint8), np.array([[-400.0]], dtype=np.float16)
    message = "the 8-bit 200 and the half-precision -400 are 600 apart, whose square half precision cannot hold"
    with np.errstate(all="ignore"):
        assert_close(pairwise_distances(counts, half), [[600.0]], f"{message}: integers count as float64")
        assert_close(pairwise_distances(half, counts), [[600.0]], f"{message}, and the other way round")


# relu


def test_relu_by_hand():
    """Negative entries become zero; the rest stay."""
    assert_close(relu(np.array([[-1.5, 0.0], [2.0, -3.0]])), [[0.0, 0.0], [2.0, 0.0]], "relu([[-1.5, 0], [2, -3]])")


def test_relu_of_any_length(rng):
    """Each number is judged by itself, in an array of any shape."""
    for shape in (*range(20), (), (1, 3), (2, 3, 4)):
        x = rng.normal(size=shape)
        assert_close(relu(x), np.where(x > 0, x, 0.0), f"relu of shape {x.shape}")


def test_relu_shows_what_is_not_a_number():
    """Not-a-number comes through, so that a broken run is seen; infinities are numbers."""
    with np.errstate(all="ignore"):
        got = relu(np.array([np.nan, np.inf, -np.inf]))
    assert_close(got, [np.nan, np.inf, 0.0], "relu([nan, inf, -inf]) is [nan, inf, 0]: hiding nan hides bugs")


def test_relu_keeps_the_type_and_its_input():
    """The type stays, and the caller's array is not written to."""
    for dtype in (np.float16, np.float32, np.float64, np.int8, np.int64):
        got = relu(np.array([-1, 2], dtype=dtype)).dtype
        assert got == dtype, f"relu of {np.dtype(dtype)} should be {np.dtype(dtype)}, got {got}"
        assert_unchanged(relu, np.array([-1, 2], dtype=dtype), own_result=True)


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


def test_forward_of_any_shape(rng):
    """Any number of rows, inputs and outputs will do, a single row and any stack of batches."""
    for fan_in, fan_out in [*np.ndindex(4, 4), (5, 5), (5, 3), (4, 5)]:
        layer = Dense(fan_in + 1, fan_out + 1, rng=rng)
        layer.bias = rng.normal(size=fan_out + 1)
        for batch in ((), (2 * fan_in + 3 * fan_out,), (2, fan_in), (3, 1, fan_out)):
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


def test_forward_changes_nothing_but_its_result(rng):
    """Inputs, weights and bias are as they were, and each result is an array of its own."""
    layer = Dense(3, 2, rng=rng)
    layer.bias = np.array([1.0, 2.0])
    weights, x = layer.weights.copy(), rng.normal(size=(4, 3))
    assert_unchanged(layer.forward, x, own_result=True)
    first = layer.forward(x)
    kept = first.copy()
    layer.forward(2 * x)
    assert_close(first, kept, "the first result, after forward of other inputs: it must be an array of its own")
    assert_close(layer.weights, weights, "forward must not change the weights")
    assert_close(layer.bias, [1.0, 2.0], "forward must not change the bias")


def test_forward_keeps_single_precision_and_takes_integers():
    """Float32 all through stays float32; float64 anywhere makes float64; integers and 8-bit pixels are converted."""
    layer = small_layer()
    pixels = np.array([[200, 100]], dtype=np.uint8)
    assert_close(layer.forward(pixels), [[400.5, 99.0, -140.0]], "forward of 8-bit pixels [[200, 100]]")
    half = Dense(1, 1, rng=np.random.default_rng(0))
    half.weights, half.bias = np.array([[400.0]], dtype=np.float16), np.zeros(1, dtype=np.float16)
    with np.errstate(all="ignore"):
        got = half.forward(np.array([[200]], dtype=np.uint8))
    assert_close(got, [[80000.0]], "forward of the pixel 200 with a half-precision weight of 400: pixels are converted")
    weights, bias = layer.weights, layer.bias
    for kinds in (("float32", "float64"), ("float64", "float32"), ("float32", "float32")):
        layer.weights, layer.bias = weights.astype(kinds[0]), bias.astype(kinds[1])
        got = layer.forward(np.ones((1, 2), dtype=np.float32)).dtype
        message = f"forward of float32 inputs with {kinds[0]} weights and a {kinds[1]} bias"
        assert got == np.result_type(*kinds), f"{message} should be {np.result_type(*kinds)}, got {got}"


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

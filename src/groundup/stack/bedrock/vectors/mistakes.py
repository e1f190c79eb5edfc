# pyright: basic
"""Wrong ways to write vectors and the dense layer, each with its diagnosis, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.bedrock.vectors.vectors import as_floats, normalize_rows


@mistake("dot", edit=("np.sum(a * b)", "a * b"))
def forgets_to_sum():
    """You multiplied the entries but did not add them up. A dot product is one number: sum the products."""


@mistake("dot", edit=("a.ndim != 1 or a.shape != b.shape", "False"))
def lets_broadcasting_stretch():
    """You multiply without looking at the shapes, so broadcasting stretches a vector of length 1 (or turns a column
    and a row into a table) and you add up products nobody asked for. Compare the two shapes first and raise.
    """


@mistake("dot", edit=[(" b)", " b, dtype=a.dtype)"), ("as_floats(b", "np.asarray(b"), ("as_floats", "np.asarray")])
def multiplies_in_eight_bits():
    """You multiply small integers in their own type: 200 · 200 in 8 bits wraps around to 64. Convert both vectors
    with `as_floats` before you multiply.
    """


@mistake("dot", edit=("a.ndim != 1 or a.shape != b.shape", "a.ndim == 0 or b.ndim == 0 or len(a) != len(b)"))
def compares_lengths_only():
    """You compare `len(a)` with `len(b)`, which looks at the first axis only: a column of shape (3, 1) has length 3
    and is not a vector. Compare the whole shapes, and ask for one axis.
    """


@mistake(
    "broadcast_shapes", edit=("(1,) * (rank - len(shape)) + tuple(shape", "tuple(shape) + (1,) * (rank - len(shape)")
)
def aligns_at_the_left():
    """You line the shapes up at their first axis. Broadcasting starts at the last axis: (8, 3) and (3,) fit, (8, 3)
    and (8,) do not. Put the missing ones in front.
    """


@mistake("broadcast_shapes", edit=("wanted.pop() if wanted else 1", "max(sizes)"))
def takes_the_largest_size():
    """You take the largest size along each axis. A size of 0 next to a 1 gives 0, not 1: an empty batch plus a bias is
    an empty batch. Take the size that is not 1.
    """


@mistake("broadcast_shapes", edit=("len(wanted) > 1", "False"))
def never_refuses():
    """You never compare the sizes, so shapes that clash, such as (2, 3) and (4, 3), get an answer. Along an axis at
    most one size other than 1 may occur; otherwise raise a ValueError.
    """


@mistake("broadcast_shapes", edit=("axis {axis - rank}", "axis {axis}"))
def counts_the_axis_from_the_front():
    """Your message counts the axis from the front. Shapes of different lengths are lined up at the end, so that only a
    count from the end means the same axis in all of them: `axis - rank`, which is -1 for the last.
    """


@mistake("normalize_rows", edit=[("2, axis=1", "2, axis=0"), ("=1", "=0")])
def normalises_columns():
    """You normalised the columns. An item is a row, so the sum of squares runs along the features: axis 1."""


@mistake(
    "normalize_rows",
    edit=[("np.where(largest == 0, 1, largest)", "largest"), ("np.where(length == 0, 1, length)", "length")],
)
def divides_zero_rows_by_zero():
    """A row of zeros has length 0, and 0 / 0 is not-a-number: one empty log line would spoil every result it touches.
    Divide such a row by 1.
    """


@mistake("normalize_rows", edit=("rows / np.where(largest == 0, 1, largest)", "rows"))
def squares_before_scaling():
    """You square the entries as they are. 1e200 squared is infinite and 1e-200 squared is 0 (in half precision 300
    squared is too much), so the direction is lost. Divide each row by its largest entry first.
    """


@mistake("normalize_rows")
def adds_epsilon(rows):
    """You add a small constant to the length to avoid dividing by zero. That shortens every small row: one of length
    1e-12 comes out as nearly nothing. Replace a length of exactly 0 instead.
    """
    rows = as_floats(rows)
    return rows / (np.sqrt(np.sum(rows**2, axis=1, keepdims=True)) + 1e-9)


@mistake(
    "normalize_rows",
    edit=("scaled / np.where(length == 0, 1, length)", "np.nan_to_num(scaled / np.where(length == 0, 1, length))"),
)
def replaces_not_a_number_by_zero():
    """You turn every not-a-number into 0 afterwards. That settles rows of zeros, and hides rows that were broken
    before: they look like rows without a direction. Replace the divisor where it is 0 instead.
    """


@mistake(
    "cosine_similarity",
    edit=(
        "np.clip(normalize_rows(queries) @ normalize_rows(items).T, -1, 1)",
        "as_floats(queries) @ as_floats(items).T",
    ),
)
def returns_raw_dot_products():
    """You return dot products of the rows as they are, so long rows win whatever their direction. A cosine compares
    directions: normalise the rows of both first.
    """


@mistake(
    "cosine_similarity",
    edit=(
        "np.clip(normalize_rows(queries) @ normalize_rows(items).T, -1, 1)",
        "normalize_rows(queries) @ normalize_rows(items).T",
    ),
)
def lets_rounding_exceed_one():
    """You return the products of unit rows as they come. Rounding makes some of them 1.0000000000000002, whose arc
    cosine is not a number. Clip to [-1, 1].
    """


@mistake("cosine_similarity")
def divides_by_the_lengths(queries, items):
    """You take the lengths of the rows as they are. The squares of large entries are infinite and those of tiny ones 0,
    so the cosine is lost. `normalize_rows` has solved that already: normalise the rows of both, then multiply.
    """
    queries, items = as_floats(queries), as_floats(items)
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.sum(queries**2, axis=1))[:, None] * np.sqrt(np.sum(items**2, axis=1))
        return np.clip(queries @ items.T / np.where(lengths == 0, 1, lengths), -1, 1)


@mistake("cosine_similarity", edit=(" np", " 1 - np"))
def returns_the_distance():
    """You return 1 minus the cosine, which is the cosine *distance*: 0 for the same direction. Similarity is the cosine
    itself: 1 for the same direction.
    """


@mistake("cosine_similarity")
def multiplies_pair_by_pair(queries, items):
    """You take the dot product of each pair in a Python loop. A matrix product is all of those dot products at once:
    `normalize_rows(queries) @ normalize_rows(items).T`.
    """
    queries, items = normalize_rows(queries), normalize_rows(items)
    cosines = np.zeros((len(queries), len(items)), dtype=np.result_type(queries, items))
    for row, query in enumerate(queries):
        for column, item in enumerate(items):
            cosines[row, column] = query @ item
    return np.clip(cosines, -1, 1)


@mistake("pairwise_distances", edit=("np.sqrt(np.sum(difference**2, axis=-1))", "np.sum(difference**2, axis=-1)"))
def forgets_the_root():
    """You return squared distances. The order is the same; the numbers are not distances. Take the square root."""


@mistake("pairwise_distances")
def expands_the_square(queries, items):
    """You compute |q|² - 2 q·i + |i|². Far from the origin these are huge numbers that nearly cancel, and the digits
    you want are gone. Subtract first, then square.
    """
    queries, items = as_floats(queries), as_floats(items)
    squares = np.sum(queries**2, axis=1)[:, None] - 2 * queries @ items.T + np.sum(items**2, axis=1)[None, :]
    return np.sqrt(np.maximum(squares, 0))


@mistake("pairwise_distances")
def loops_over_the_pairs(queries, items):
    """You loop over all pairs in Python. Two new axes make NumPy do it: `queries[:, None, :] - items[None, :, :]` has
    every difference in it.
    """
    queries, items = as_floats(queries), as_floats(items)
    distances = np.zeros((len(queries), len(items)), dtype=np.result_type(queries, items))
    for row, query in enumerate(queries):
        for column, item in enumerate(items):
            distances[row, column] = np.sqrt(np.sum((query - item) ** 2))
    return distances


@mistake(
    "pairwise_distances", edit=("queries[:, None, :] - items[None, :, :]", "queries[None, :, :] - items[:, None, :]")
)
def swaps_queries_and_items():
    """Your table is the wrong way round: rows are queries and columns are items, so the queries get the new axis in the
    middle (`queries[:, None, :]`) and the items in front.
    """


@mistake(
    "pairwise_distances",
    edit=[
        ("as_floats(queries), as_floats(items)", "np.asarray(queries), np.asarray(items)"),
        ("queries[:, None, :] - items[None, :, :]", "as_floats(queries[:, None, :] - items[None, :, :])"),
    ],
)
def subtracts_in_eight_bits():
    """You subtract 8-bit counts in their own type, where 1 - 2 is 255. Convert both with `as_floats` first."""


@mistake("relu", edit=("np.maximum(x, 0)", "np.abs(x)"))
def takes_the_absolute_value():
    """You return the absolute value: -3 became 3. ReLU cuts negative entries off: -3 becomes 0."""


@mistake("relu", edit=("return np.maximum(x, 0)", "x = np.asarray(x)\n    x[x < 0] = 0\n    return x"))
def zeroes_in_place():
    """You write the zeros into the array that you were given, and so destroy the caller's data (and what
    backpropagation will need). Return a new array.
    """


@mistake("relu", edit=("return np.maximum(x,", 'with np.errstate(all="ignore"):\n        return x * (np.asarray(x) >'))
def multiplies_by_the_mask():
    """You multiply by the mask `x > 0`. Minus infinity times 0 is not a number, so a large negative entry becomes nan
    instead of 0. Choose, do not multiply.
    """


@mistake("relu", edit=("np.maximum(x, 0)", "np.where(np.asarray(x) > 0, x, np.zeros_like(x))"))
def hides_not_a_number():
    """You choose with `np.where(x > 0, x, 0)`. Comparisons with not-a-number are false, so nan becomes 0 and a broken
    run looks healthy. `np.maximum` lets it through.
    """


@mistake("relu", edit=[("0", "0.0"), ("x,", "np.asarray(x, dtype=np.float64),")])
def returns_double_precision():
    """You compute in float64 whatever you were given. A network in single precision would silently take twice the
    memory from this layer on. Keep the type.
    """


@mistake("Dense.forward", edit=("inputs @ self.weights + self.bias", "inputs @ self.weights"))
def forgets_the_bias():
    """You left the bias out: this is XW. Without it, every output is 0 where the input is 0."""


@mistake("Dense.forward", edit=("self.bias", "self.bias[:, None]"))
def adds_the_bias_to_rows():
    """You add the bias along the rows (`bias[:, None]`): row i gets bias i. It belongs to the outputs, the last axis,
    where `+ self.bias` puts it. With as many rows as outputs nothing complains.
    """


@mistake("Dense.forward", edit=("self.weights ", "self.weights.T "))
def transposes_the_weights():
    """You multiply by the transposed weights. Here the weights are (in_features, out_features), so X @ W fits as it
    is; PyTorch stores them the other way round and transposes.
    """


@mistake(
    "Dense.forward", edit=("inputs @ self.weights + self.bias", "np.maximum(inputs @ self.weights + self.bias, 0)")
)
def applies_relu_inside():
    """You apply the ReLU inside the layer. A dense layer is XW + b, negative outputs included; the last layer of a
    network must be able to give them.
    """


@mistake("Dense.forward")
def loops_over_the_rows(self, inputs):
    """The answer is right and a Python loop still runs over the rows: every turn pays for a NumPy call that does a
    few multiplications. Multiply the whole batch by the weights at once.
    """
    inputs = as_floats(inputs)
    if inputs.ndim == 0 or inputs.shape[-1] != self.weights.shape[0]:
        raise ValueError(f"Dense.forward: inputs must have in_features = {self.weights.shape[0]}; got {inputs.shape}.")
    rows = inputs.reshape(-1, inputs.shape[-1])
    outputs = np.empty((len(rows), len(self.bias)), dtype=np.result_type(inputs, self.weights, self.bias))
    for i, row in enumerate(rows):
        outputs[i] = row @ self.weights + self.bias
    return outputs.reshape(*inputs.shape[:-1], -1) if inputs.size else outputs


@variant("dot")
def multiplies_as_matrices(a, b):
    """The matrix product of two vectors is their dot product."""
    a, b = as_floats(a), as_floats(b)
    if not (a.ndim == b.ndim == 1 and len(a) == len(b)):
        raise ValueError(f"a has shape {a.shape} and b has shape {b.shape}: they must be vectors of one length.")
    return a @ b


@variant("broadcast_shapes")
def zips_reversed_shapes(*shapes):
    """Turned round, shapes line up at the left."""
    from itertools import zip_longest

    sizes_of_axes = list(zip_longest(*(shape[::-1] for shape in shapes), fillvalue=1))
    for back, sizes in enumerate(sizes_of_axes, start=1):
        if len(set(sizes) - {1}) > 1:
            raise ValueError(f"Cannot broadcast {list(shapes)}: dimension -{back} would have the sizes {list(sizes)}.")
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in reversed(sizes_of_axes))


@variant("normalize_rows")
def takes_lengths_by_hypot(rows):
    """`np.hypot` neither overflows nor vanishes, so that nothing need be scaled."""
    rows = as_floats(rows)
    length = np.hypot.reduce(rows, axis=1, keepdims=True)
    return rows / np.where(length == 0, 1, length)


@variant("cosine_similarity")
def multiplies_query_by_query(queries, items):
    """A loop over the queries, each against all items at once."""
    queries, items = normalize_rows(queries), normalize_rows(items)
    cosines = np.empty((len(queries), len(items)), dtype=np.result_type(queries, items))
    for row, query in enumerate(queries):
        cosines[row] = items @ query
    return cosines.clip(-1, 1)


@variant("cosine_similarity")
def sums_products_by_einsum(queries, items):
    """The same sum of products, spelled as an index expression."""
    cosines = np.einsum("qf,if->qi", normalize_rows(queries), normalize_rows(items))
    return np.minimum(np.maximum(cosines, -1), 1)


@variant("pairwise_distances")
def takes_norms_of_differences(queries, items):
    """The norm of the differences along the last axis."""
    return np.linalg.norm(as_floats(queries)[:, None] - as_floats(items), axis=-1)


@variant("relu", edit=("np.maximum(x, 0)", "np.clip(x, 0, None)"))
def clips_from_below():
    """Clipping at zero from below."""


@variant("Dense.forward")
def takes_one_output_at_a_time(self, inputs):
    """A loop over the outputs, of which there are few; the message counts features instead of showing the shape."""
    inputs = as_floats(inputs)
    wanted, came = len(self.weights), inputs.shape[-1] if inputs.ndim else ()
    if came != wanted:
        raise ValueError(f"inputs has {came} features in its last axis, and the layer needs {wanted}.")
    return np.stack([(inputs * column).sum(axis=-1) for column in self.weights.T], axis=-1) + self.bias

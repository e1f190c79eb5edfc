# pyright: basic
"""Wrong ways to write vectors and the dense layer, each with its diagnosis, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.bedrock.vectors.vectors import as_floats, normalize_rows


@mistake("dot", edit=("np.sum(a * b)", "a * b"))
def forgets_to_sum():
    """You multiplied the entries but did not add them up. A dot product is one number: sum the products."""


@mistake("dot")
def lets_broadcasting_stretch(a, b):
    """You multiply without looking at the shapes, so broadcasting stretches a vector of length 1 (or turns a column
    and a row into a table) and you add up products nobody asked for. Compare the two shapes first and raise.
    """
    a, b = as_floats(a), as_floats(b)
    return np.sum(a * b)


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


@mistake("broadcast_shapes")
def takes_the_largest_size(*shapes):
    """You take the largest size along each axis. A size of 0 next to a 1 gives 0, not 1: an empty batch plus a bias is
    an empty batch. Take the size that is not 1.
    """
    rank = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    result = []
    for axis, sizes in enumerate(zip(*padded, strict=True)):
        if len({size for size in sizes if size != 1}) > 1:
            listed = " and ".join(str(tuple(shape)) for shape in shapes)
            raise ValueError(f"broadcast_shapes: {listed} do not broadcast: axis {axis - rank} has {sorted(sizes)}")
        result.append(max(sizes))
    return tuple(result)


@mistake("broadcast_shapes")
def never_refuses(*shapes):
    """You never compare the sizes, so shapes that clash, such as (2, 3) and (4, 3), get an answer. Along an axis at
    most one size other than 1 may occur; otherwise raise a ValueError.
    """
    rank = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    result = []
    for sizes in zip(*padded, strict=True):
        wanted = {size for size in sizes if size != 1}
        result.append(max(wanted) if wanted else 1)
    return tuple(result)


@mistake(
    "broadcast_shapes",
    edit=[
        ("wanted.pop() if wanted else 1", "largest"),
        ("len(wanted) > 1", "any(size == 0 or largest % size for size in sizes if size != largest)"),
        ("{size for size in sizes if size != 1}", "0 if 0 in sizes else max(sizes)"),
        ("wanted ", "largest "),
    ],
)
def repeats_any_divisor():
    """You stretch any size that divides the larger one, as tiling would: 2 against 4. Broadcasting stretches a size of
    1 and nothing else.
    """


@mistake("broadcast_shapes")
def counts_the_axis_from_the_front(*shapes):
    """Your message counts the axis from the front. Shapes of different lengths are lined up at the end, so that only a
    count from the end means the same axis in all of them: `axis - rank`, which is -1 for the last.
    """
    rank = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    result = []
    for axis, sizes in enumerate(zip(*padded, strict=True)):
        wanted = {size for size in sizes if size != 1}
        if len(wanted) > 1:
            listed = " and ".join(str(tuple(shape)) for shape in shapes)
            raise ValueError(f"broadcast_shapes: {listed} do not broadcast: axis {axis} has sizes {sorted(wanted)}")
        result.append(wanted.pop() if wanted else 1)
    return tuple(result)


@mistake("normalize_rows")
def divides_by_the_norm_of_the_table(rows):
    """You divide by one length for the whole table. Every row has its own: sum the squares along axis 1, with
    `keepdims=True`.
    """
    rows = as_floats(rows)
    length = np.sqrt(np.sum(rows**2))
    return rows / (length if length > 0 else 1)


@mistake("normalize_rows", edit=[("2, axis=1", "2, axis=0"), ("=1", "=0")])
def normalises_columns():
    """You normalised the columns. An item is a row, so the sum of squares runs along the features: axis 1."""


@mistake("normalize_rows")
def divides_zero_rows_by_zero(rows):
    """A row of zeros has length 0, and 0 / 0 is not-a-number: one empty log line would spoil every result it touches.
    Divide such a row by 1.
    """
    rows = as_floats(rows)
    largest = np.max(np.abs(rows), axis=1, keepdims=True, initial=0)
    with np.errstate(all="ignore"):
        scaled = rows / largest
        return scaled / np.sqrt(np.sum(scaled**2, axis=1, keepdims=True))


@mistake("normalize_rows")
def squares_before_scaling(rows):
    """You square the entries as they are. 1e200 squared is infinite and 1e-200 squared is 0 (in half precision 300
    squared is too much), so the direction is lost. Divide each row by its largest entry first.
    """
    rows = as_floats(rows)
    with np.errstate(all="ignore"):
        length = np.sqrt(np.sum(rows**2, axis=1, keepdims=True))
        return rows / np.where(length == 0, 1, length)


@mistake("normalize_rows")
def adds_epsilon(rows):
    """You add a small constant to the length to avoid dividing by zero. That shortens every small row: one of length
    1e-12 comes out as nearly nothing. Replace a length of exactly 0 instead.
    """
    rows = as_floats(rows)
    return rows / (np.sqrt(np.sum(rows**2, axis=1, keepdims=True)) + 1e-9)


@mistake("normalize_rows")
def takes_the_largest_signed_entry(rows):
    """You divide by the largest entry, signs and all. In a row of negative entries that is not the one of the largest
    size, so the squares still overflow or vanish. Take `np.abs(rows)` first.
    """
    rows = as_floats(rows)
    with np.errstate(all="ignore"):
        largest = np.max(rows, axis=1, keepdims=True, initial=0)
        scaled = rows / np.where(largest == 0, 1, largest)
        length = np.sqrt(np.sum(scaled**2, axis=1, keepdims=True))
        return scaled / np.where(length == 0, 1, length)


@mistake("normalize_rows")
def replaces_not_a_number_by_zero(rows):
    """You turn every not-a-number into 0 afterwards. That settles rows of zeros, and hides rows that were broken
    before: they look like rows without a direction. Replace the divisor where it is 0 instead.
    """
    rows = as_floats(rows)
    with np.errstate(all="ignore"):
        scaled = rows / np.max(np.abs(rows), axis=1, keepdims=True, initial=0)
        return np.nan_to_num(scaled / np.sqrt(np.sum(scaled**2, axis=1, keepdims=True)))


@mistake("normalize_rows")
def writes_into_its_input(rows):
    """You divide in place (`/=`), which changes the caller's table. Make a new array: `rows = rows / …`."""
    rows = as_floats(rows)
    largest = np.max(np.abs(rows), axis=1, keepdims=True, initial=0)
    rows /= np.where(largest == 0, 1, largest)
    length = np.sqrt(np.sum(rows**2, axis=1, keepdims=True))
    rows /= np.where(length == 0, 1, length)
    return rows


@mistake("cosine_similarity")
def returns_raw_dot_products(queries, items):
    """You return dot products of the rows as they are, so long rows win whatever their direction. A cosine compares
    directions: normalise the rows of both first.
    """
    return as_floats(queries) @ as_floats(items).T


@mistake("cosine_similarity")
def normalises_the_items_only(queries, items):
    """You normalise the items but not the queries. The ranking is right and the values are not cosines: they grow with
    the length of the query.
    """
    return as_floats(queries) @ normalize_rows(items).T


@mistake("cosine_similarity")
def lets_rounding_exceed_one(queries, items):
    """You return the products of unit rows as they come. Rounding makes some of them 1.0000000000000002, whose arc
    cosine is not a number. Clip to [-1, 1].
    """
    return normalize_rows(queries) @ normalize_rows(items).T


@mistake("cosine_similarity")
def divides_by_the_lengths_plus_epsilon(queries, items):
    """You divide by the product of the lengths plus a small constant. For small rows the constant is larger than the
    product, and the cosine comes out as nearly 0. Let `normalize_rows` take the lengths out: it knows zero rows.
    """
    queries, items = as_floats(queries), as_floats(items)
    lengths = np.sqrt(np.sum(queries**2, axis=1))[:, None] * np.sqrt(np.sum(items**2, axis=1))
    return np.clip(queries @ items.T / (lengths + 1e-10), -1, 1)


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


@mistake("cosine_similarity")
def writes_unit_rows_into_its_input(queries, items):
    """You keep the normalised rows in the caller's own table (`queries[:] = …`, `queries /= …`). The cosines are right,
    and the lengths of the caller's rows are gone. Give the unit rows a name of their own.
    """
    queries, items = as_floats(queries), as_floats(items)
    queries[:] = normalize_rows(queries)
    return np.clip(queries @ normalize_rows(items).T, -1, 1)


@mistake("cosine_similarity", edit=[("1)", "1 - 1e-7)"), ("-1", "-1 + 1e-7")])
def stops_short_of_one():
    """You clip a little inside of [-1, 1], so that a row is never quite similar to itself. The cosine of a row with
    itself is 1, and `np.arccos` takes that: clip to [-1, 1] exactly.
    """


@mistake("cosine_similarity")
def forgets_that_there_may_be_no_query(queries, items):
    """You collect a row for each query in a list. Without queries the list is empty, and its array has shape (0,)
    where (0, items) is asked for: a matrix product gets that right by itself.
    """
    queries, items = normalize_rows(queries), normalize_rows(items)
    return np.array([np.clip(items @ query, -1, 1) for query in queries])


@mistake("pairwise_distances")
def forgets_the_root(queries, items):
    """You return squared distances. The order is the same; the numbers are not distances. Take the square root."""
    queries, items = as_floats(queries), as_floats(items)
    return np.sum((queries[:, None, :] - items[None, :, :]) ** 2, axis=-1)


@mistake("pairwise_distances")
def expands_the_square(queries, items):
    """You compute |q|² - 2 q·i + |i|². Far from the origin these are huge numbers that nearly cancel, and the digits
    you want are gone. Subtract first, then square.
    """
    queries, items = as_floats(queries), as_floats(items)
    squares = np.sum(queries**2, axis=1)[:, None] - 2 * queries @ items.T + np.sum(items**2, axis=1)[None, :]
    return np.sqrt(np.maximum(squares, 0))


@mistake("pairwise_distances")
def centres_and_expands_the_square(queries, items):
    """You subtract the mean of the items and then use `|q|² - 2 q·i + |i|²`. That helps one cloud of points; with
    two far apart, each is far from their mean and the digits are lost again. Subtract first, then square.
    """
    queries, items = as_floats(queries), as_floats(items)
    centre = np.sum(items, axis=0) / max(len(items), 1)
    queries, items = queries - centre, items - centre
    squares = np.sum(queries**2, axis=1)[:, None] - 2 * queries @ items.T + np.sum(items**2, axis=1)
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


@mistake("pairwise_distances")
def adds_absolute_differences(queries, items):
    """You add the absolute differences: that is the city-block distance. The Euclidean one adds squares and takes the
    root.
    """
    queries, items = as_floats(queries), as_floats(items)
    return np.sum(np.abs(queries[:, None, :] - items[None, :, :]), axis=-1)


@mistake("pairwise_distances")
def mirrors_the_upper_half(queries, items):
    """You compute one half of a square table and mirror it. That holds for the distances within one table; queries and
    items are two tables, even when they have as many rows.
    """
    queries, items = as_floats(queries), as_floats(items)
    distances = np.sqrt(np.sum((queries[:, None, :] - items[None, :, :]) ** 2, axis=-1))
    if len(queries) == len(items):
        distances = np.triu(distances) + np.triu(distances, 1).T
    return distances


@mistake("pairwise_distances")
def adds_epsilon_under_the_root(queries, items):
    """You add a small constant under the root. The distance of a point to itself is then not 0 but the root of your
    constant, which is much larger than the constant. Nothing needs guarding here: the root of 0 is 0.
    """
    queries, items = as_floats(queries), as_floats(items)
    return np.sqrt(np.sum((queries[:, None, :] - items[None, :, :]) ** 2, axis=-1) + 1e-12)


@mistake("pairwise_distances")
def leaves_out_what_is_not_a_number(queries, items):
    """You leave entries out that are not numbers (`np.nansum`). A row that was measured badly then looks nearer than it
    is, perhaps nearest of all. Let not-a-number through: whoever sees it can decide what to do.
    """
    queries, items = as_floats(queries), as_floats(items)
    return np.sqrt(np.nansum((queries[:, None, :] - items[None, :, :]) ** 2, axis=-1))


@mistake("pairwise_distances")
def swaps_queries_and_items(queries, items):
    """Your table is the wrong way round: rows are queries and columns are items, so the queries get the new axis in the
    middle (`queries[:, None, :]`) and the items in front.
    """
    queries, items = as_floats(queries), as_floats(items)
    return np.sqrt(np.sum((queries[None, :, :] - items[:, None, :]) ** 2, axis=-1))


@mistake("pairwise_distances")
def subtracts_in_eight_bits(queries, items):
    """You subtract 8-bit counts in their own type, where 1 - 2 is 255. Convert both with `as_floats` first."""
    queries, items = np.asarray(queries), np.asarray(items)
    return np.sqrt(np.sum(as_floats(queries[:, None, :] - items[None, :, :]) ** 2, axis=-1))


@mistake("relu", edit=("np.maximum(x, 0)", "np.abs(x)"))
def takes_the_absolute_value():
    """You return the absolute value: -3 became 3. ReLU cuts negative entries off: -3 becomes 0."""


@mistake("relu", edit=("return np.maximum(x, 0)", "x = np.asarray(x)\n    x[x < 0] = 0\n    return x"))
def zeroes_in_place():
    """You write the zeros into the array that you were given, and so destroy the caller's data (and what
    backpropagation will need). Return a new array.
    """


@mistake("relu", edit=("np.maximum(x, 0)", "x if np.all(x >= 0) else np.maximum(x, 0)"))
def returns_its_input_when_nothing_is_negative():
    """Where nothing is negative you return the caller's own array. Whoever writes into the result changes the input
    then. Return a new array in every case.
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


@mistake("Dense.forward", edit=("inputs @", "inputs.reshape(-1, self.weights.shape[0]) @"))
def flattens_the_stack():
    """You reshape to one long batch and return that. A stack of batches, or a single row, loses its shape: the result
    has the axes of the inputs, with the last one replaced. `@` does that by itself.
    """


@mistake(
    "Dense.forward",
    edit=("inputs @ self.weights + self.bias", "(inputs @ self.weights + self.bias).astype(inputs.dtype)"),
)
def casts_to_the_type_of_the_inputs():
    """You cast the result to the type of the inputs. Inputs in single precision (or in half, as they are stored) take
    the digits of double-precision weights away. Leave the type to NumPy: the more precise one wins.
    """


@mistake(
    "Dense.forward",
    edit=("return inputs @ self.weights +", "self.bias = inputs @ self.weights + self.bias\n    return"),
)
def keeps_the_result_in_the_bias():
    """You keep the result in the bias (`self.bias = …` or `+=`), so that a forward pass changes the layer. Only
    training may do that: build a new array.
    """


@variant("dot")
def multiplies_as_matrices(a, b):
    """The matrix product of two vectors is their dot product."""
    a, b = as_floats(a), as_floats(b)
    if not (a.ndim == b.ndim == 1 and len(a) == len(b)):
        raise ValueError(f"a has shape {a.shape} and b has shape {b.shape}: they must be vectors of one length.")
    return a @ b


@variant("dot")
def adds_up_in_a_loop(a, b):
    """One product after the other: slow, and right."""
    a, b = as_floats(a), as_floats(b)
    if a.ndim != 1 or b.ndim != 1 or a.size != b.size:
        raise ValueError(f"cannot multiply a {a.shape} array with a {b.shape} array: two vectors of one length, please")
    total = np.result_type(a, b).type(0)
    for x, y in zip(a, b, strict=True):
        total += x * y
    return total


@variant("broadcast_shapes")
def zips_reversed_shapes(*shapes):
    """Turned round, shapes line up at the left."""
    from itertools import zip_longest

    sizes_of_axes = list(zip_longest(*(shape[::-1] for shape in shapes), fillvalue=1))
    for back, sizes in enumerate(sizes_of_axes, start=1):
        if len(set(sizes) - {1}) > 1:
            raise ValueError(f"Cannot broadcast {list(shapes)}: dimension -{back} would have the sizes {list(sizes)}.")
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in reversed(sizes_of_axes))


@variant("broadcast_shapes")
def walks_from_the_right(*shapes):
    """Two shapes at a time, from the last axis to the first."""
    result = []
    for back in range(1, max(map(len, shapes), default=0) + 1):
        size = 1
        for shape in shapes:
            here = shape[-back] if back <= len(shape) else 1
            if size == 1:
                size = here
            elif here not in (1, size):
                raise ValueError(f"axis {-back} of {', '.join(map(str, shapes))}: {size} does not fit {here}")
        result.insert(0, size)
    return tuple(result)


@variant("normalize_rows")
def skips_zero_rows_with_where(rows):
    """`np.divide` with `where` leaves the zero rows as they are."""
    rows = as_floats(rows)
    largest = abs(rows).max(axis=1, keepdims=True, initial=0)
    scaled = np.divide(rows, largest, out=np.zeros_like(rows), where=largest != 0)
    length = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.divide(scaled, length, out=np.zeros_like(rows), where=length != 0)


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


@variant("pairwise_distances")
def goes_query_by_query_in_double_precision(queries, items):
    """A loop over the queries alone, which saves memory; float64 inside, the callers' type outside."""
    queries, items = as_floats(queries), as_floats(items)
    wide = [np.sqrt(((items.astype(np.float64) - query) ** 2).sum(axis=1)) for query in queries.astype(np.float64)]
    return np.array(wide, dtype=np.result_type(queries, items)).reshape(len(queries), len(items))


@variant("relu", edit=("np.maximum(x, 0)", "np.clip(x, 0, None)"))
def clips_from_below():
    """Clipping at zero from below."""


@variant("Dense.forward")
def multiplies_by_broadcasting(self, inputs):
    """XW + b by broadcasting alone: (batch, in, 1) times (in, out), summed over the inputs."""
    inputs = as_floats(inputs)
    if inputs.shape[-1:] != self.weights.shape[:1]:
        raise ValueError(f"in_features is {len(self.weights)}, but inputs have shape {inputs.shape}")
    return (inputs[..., :, None] * self.weights).sum(axis=-2) + self.bias


@variant("Dense.forward")
def takes_one_output_at_a_time(self, inputs):
    """A loop over the outputs, of which there are few; the message counts features instead of showing the shape."""
    inputs = as_floats(inputs)
    wanted, came = len(self.weights), inputs.shape[-1] if inputs.ndim else ()
    if came != wanted:
        raise ValueError(f"inputs has {came} features in its last axis, and the layer needs {wanted}.")
    return np.stack([(inputs * column).sum(axis=-1) for column in self.weights.T], axis=-1) + self.bias


@variant("Dense.forward")
def adds_into_a_fresh_result(self, inputs):
    """In-place addition is fine where the array is our own."""
    inputs = as_floats(inputs)
    if inputs.ndim < 1 or inputs.shape[-1] != len(self.weights):
        raise ValueError(f"in_features is {len(self.weights)}, but inputs have shape {inputs.shape}")
    outputs = np.matmul(inputs, self.weights)
    outputs += self.bias
    return outputs

"""Vectors, and the layer that most of deep learning is made of.

A row of a table is a vector: one log line, one document, one pod, one number for each feature. Comparing rows is a
dot product; comparing every row with every other is a matrix product; a dense layer is a matrix product with a
bias, and NumPy's broadcasting rule is what lets all of it be written without a loop.

    queries = np.array([[3.0, 1.0, 0.0]])
    cosine_similarity(queries, logs)           # which of `logs` point the same way?
    layer = Dense(3, 8, rng=np.random.default_rng(0))
    relu(layer.forward(logs))                  # (logs, 8)

Axes: `features` numbers a row, `queries` and `items` rows to compare, `batch` rows to transform.
"""

import numpy as np
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike


def as_floats(values: ArrayLike) -> Float[np.ndarray, "..."]:
    """The values as an array of floats: as they are when they are floats already, else as float64.

    Small integers wrap around (`np.uint8(1) - np.uint8(2)` is 255), so counts and pixels are converted first.
    """
    array = np.asarray(values)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def dot(a: Float[np.ndarray, " features"], b: Float[np.ndarray, " features"]) -> Float[np.ndarray, ""]:
    """The dot product of two vectors, `a[0]·b[0] + a[1]·b[1] + …`: large when both are large in the same places.

    Args:
        a: a vector.
        b: a vector of the same length.

    Returns:
        One float, of NumPy's type for the two, where integers count as float64: float32 vectors have a float32
        product. Not-a-number in either makes it not-a-number.

    Raises:
        ValueError: they are not two vectors of one length. The message names both shapes, because broadcasting
            would otherwise stretch one of them without a word.
    """
    a, b = as_floats(a), as_floats(b)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(
            f"dot: a and b must be vectors of the same length; got shapes {a.shape} and {b.shape}. "
            "Reshape a single row or column with .ravel() first."
        )
    return np.sum(a * b)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an elementwise operation on arrays of these shapes, by NumPy's broadcasting rule.

    Shapes are lined up at their last axis; missing leading axes count as 1; along each axis the sizes must be equal,
    and a size of 1 is stretched to the others'.

    Args:
        shapes: any number of shapes; none at all gives `()`.

    Raises:
        ValueError: two sizes along one axis differ and neither is 1. The message names all the shapes, the axis
            counted from the end (`-1` is the last) and the sizes that clash there.

    Source: NumPy user guide, "Broadcasting", General broadcasting rules.
    """
    rank = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    result = []
    for axis, sizes in enumerate(zip(*padded, strict=True)):
        # Not max(sizes): a size of 0 is a size like any other, and 1 stretches (shrinks) to it.
        wanted = {size for size in sizes if size != 1}
        if len(wanted) > 1:
            listed = " and ".join(str(tuple(shape)) for shape in shapes)
            raise ValueError(
                f"broadcast_shapes: {listed} do not broadcast: axis {axis - rank} has sizes {sorted(wanted)}, "
                "and sizes must be equal or 1. Add an axis with [:, None] where one is missing."
            )
        result.append(wanted.pop() if wanted else 1)
    return tuple(result)


def normalize_rows(rows: Float[np.ndarray, "items features"]) -> Float[np.ndarray, "items features"]:
    """Every row divided by its Euclidean length, so that only its direction is left; a row of zeros stays zeros.

    Each row is first divided by its largest entry, so that squaring neither overflows nor vanishes: in float16, as
    embeddings are often stored, the square of 300 is already infinite. A new array, of the type of `rows` where that
    is a float; a row with not-a-number in it becomes not-a-number.
    """
    rows = as_floats(rows)
    largest = np.max(np.abs(rows), axis=1, keepdims=True, initial=0)  # (items, 1)
    scaled = rows / np.where(largest == 0, 1, largest)
    length = np.sqrt(np.sum(scaled**2, axis=1, keepdims=True))  # (items, 1)
    return scaled / np.where(length == 0, 1, length)


def cosine_similarity(
    queries: Float[np.ndarray, "queries features"], items: Float[np.ndarray, "items features"]
) -> Float[np.ndarray, "queries items"]:
    """The cosine of the angle between every query and every item: 1 same direction, 0 at right angles, -1 opposite.

    A row of zeros has no direction, and its similarity to anything, itself included, is 0; that of a row with
    not-a-number in it is not-a-number. Values lie in [-1, 1] exactly, so that `np.arccos` of them is always defined.
    As in `normalize_rows`, rows may be of any length from tiny to huge, and float32 rows have float32 cosines.
    There is no Python loop over the pairs.
    """
    return np.clip(normalize_rows(queries) @ normalize_rows(items).T, -1, 1)


def pairwise_distances(
    queries: Float[np.ndarray, "queries features"], items: Float[np.ndarray, "items features"]
) -> Float[np.ndarray, "queries items"]:
    """The Euclidean distance between every query and every item.

    Differences are formed before they are squared. The cheaper `|q|² - 2 q·i + |i|²` loses every digit when points
    lie close together and far from the origin, as timestamps do. The price is memory: queries × items × features.
    Not-a-number in a row makes its distances not-a-number. Float32 rows have float32 distances; integers count as
    float64. There is no Python loop over the pairs.
    """
    queries, items = as_floats(queries), as_floats(items)
    difference = queries[:, None, :] - items[None, :, :]  # (queries, items, features)
    return np.sqrt(np.sum(difference**2, axis=-1))


def relu(x: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    """`max(0, x)` for every entry, in a new array of the same type. Not-a-number stays not-a-number, to be seen."""
    return np.maximum(x, 0)


class Dense:
    """A dense (fully connected) layer: `Y = XW + b`.

    Attributes:
        weights: of shape (in_features, out_features); column `j` is the pattern that output `j` looks for.
        bias: of shape (out_features,).
    """

    weights: Float[np.ndarray, "in_features out_features"]
    bias: Float[np.ndarray, " out_features"]

    def __init__(self, in_features: int, out_features: int, *, rng: np.random.Generator) -> None:
        """Draw the weights with variance `2 / in_features`, so that a ReLU keeps the scale of its input.

        Source: He et al. (2015), "Delving Deep into Rectifiers", equation 10.
        """
        self.weights = rng.normal(scale=np.sqrt(2 / in_features), size=(in_features, out_features))
        self.bias = np.zeros(out_features)

    def forward(self, inputs: Float[np.ndarray, "*batch in_features"]) -> Float[np.ndarray, "*batch out_features"]:
        """`XW + b` for every row at once: one matrix product, and the bias broadcast over the rows.

        Args:
            inputs: one row, a batch of rows, or any stack of batches.

        Returns:
            A new array of NumPy's type for inputs, weights and bias, where integers count as float64: float32 if all
            three are, float64 if any is.

        Raises:
            ValueError: the last axis of `inputs` is not `in_features` long. The message names `inputs` or
                `in_features`, how long the axis should be, and how long it is.
        """
        inputs = as_floats(inputs)
        if inputs.ndim == 0 or inputs.shape[-1] != self.weights.shape[0]:
            raise ValueError(
                f"Dense.forward: the last axis of inputs must have in_features = {self.weights.shape[0]} entries; "
                f"got shape {inputs.shape}. One row is one example: is the batch transposed?"
            )
        return inputs @ self.weights + self.bias


def dense_loop(
    inputs: Float[np.ndarray, "batch in_features"],
    weights: Float[np.ndarray, "in_features out_features"],
    bias: Float[np.ndarray, " out_features"],
) -> Float[np.ndarray, "batch out_features"]:
    """The dense layer as its definition reads, one multiplication at a time: right, and slow.

    It does exactly the additions and multiplications that `Dense.forward` does. It is here to be raced against and
    to be compared with.
    """
    outputs = np.zeros((len(inputs), len(bias)))
    for row in range(len(inputs)):
        for j in range(len(bias)):
            total = bias[j]
            for k in range(len(weights)):
                total += inputs[row, k] * weights[k, j]
            outputs[row, j] = total
    return outputs

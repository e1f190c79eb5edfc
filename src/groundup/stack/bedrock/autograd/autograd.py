"""Automatic differentiation in reverse mode, on arrays.

A `Tensor` is an array that remembers what it was computed from and, for each parent, how a gradient travels back to
it. `backward` walks that record from the result to the inputs, once, and adds up what arrives:

    w = Tensor([[0.5], [-1.0]])
    loss = ((np.ones((3, 2)) @ w).tanh() ** 2).mean()
    loss.backward()
    w.grad                                   # d loss / d w, of the shape of w

The function that sends a gradient back through one operation is its vector-Jacobian product (`vjp`): it takes
d loss / d result and returns d loss / d parent, and never builds the Jacobian. It may be called again, and does not
write into what it is given: others read that too. Broadcasting is undone in one place, by `backward`, so that every
operation can be differentiated as if its operands had the same shape.

Source: Baydin et al. (2018), "Automatic Differentiation in Machine Learning: a Survey", section 3.2.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, Union

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from groundup.stack.bedrock.vectors import as_floats

Array: TypeAlias = Float[np.ndarray, "..."]
VJP: TypeAlias = Callable[[Array], Array]
Axis: TypeAlias = int | tuple[int, ...] | None
Operand: TypeAlias = Union["Tensor", ArrayLike]


def unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Add a gradient up to `shape`, from which broadcasting stretched its operand.

    A number that was read n times collects n gradients. So the axes that broadcasting put in front are summed away,
    and the axes that it stretched from size 1 are summed to size 1.
    """
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1)
    return gradient.sum(axis=stretched, keepdims=True)


class Tensor:
    """An array of floats that remembers how it was computed.

    Attributes:
        data: the values.
        grad: what every `backward` so far has added up for this tensor, of the shape of `data`; None before the first.
        requires_grad: whether gradients are wanted. A result has it when one of its operands has; plain arrays and
            numbers among the operands are constants.
        parents: the tensors that this one was computed from, each with the function that takes a gradient back to it.
    """

    # NumPy must leave `array + tensor` to `Tensor.__radd__`, or it would add the tensor to each number by itself.
    __array_ufunc__ = None

    def __init__(
        self, data: ArrayLike, *, requires_grad: bool = True, parents: tuple[tuple["Tensor", VJP], ...] = ()
    ) -> None:
        """Wrap values: an array of floats is kept as it is (not copied), everything else becomes float64."""
        self.data: Array = as_floats(data)
        self.grad: Array | None = None
        self.requires_grad = requires_grad
        self.parents = parents

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values."""
        return self.data.shape

    def __repr__(self) -> str:
        return f"Tensor({self.data!r}, requires_grad={self.requires_grad})"

    def detach(self) -> "Tensor":
        """The same values as a constant: no gradient goes back through it."""
        return Tensor(self.data, requires_grad=False)

    def zero_grad(self) -> None:
        """Forget the gradient. Called before each `backward` of a training loop, because gradients add up."""
        self.grad = None

    def backward(self, gradient: ArrayLike | None = None) -> None:
        """Add d self / d tensor to the `grad` of every tensor that this one was computed from, and of itself.

        Args:
            gradient: d loss / d self, of this tensor's shape; may be left out when this tensor is the loss itself,
                a single number, for which it is 1.

        Raises:
            ValueError: `gradient` is missing and there are several numbers, or its shape is another; the message names
                the shapes. Or nothing here requires a gradient.
        """
        if not self.requires_grad:
            raise ValueError("Tensor.backward: requires_grad is False, so there is no record to go back through.")
        if gradient is None and self.data.size != 1:
            raise ValueError(
                f"Tensor.backward: a tensor of shape {self.shape} has no single gradient. Reduce it to one number "
                "with .sum() or .mean(), or pass `gradient` of its shape."
            )
        seed = np.ones_like(self.data) if gradient is None else np.asarray(gradient, dtype=self.data.dtype)
        if seed.shape != self.shape:
            raise ValueError(f"Tensor.backward: gradient must have the tensor's shape {self.shape}; got {seed.shape}.")
        # What flows in this call is kept apart from `grad`, which may hold the sums of earlier calls.
        flowing: dict[Tensor, Array] = {self: seed}
        for node in reversed(topological_order(self)):
            flow = flowing.pop(node)
            node.grad = np.array(flow if node.grad is None else node.grad + flow)  # an array that nobody else holds
            for parent, vjp in node.parents:
                arriving = np.asarray(unbroadcast(vjp(flow), parent.shape), dtype=parent.data.dtype)
                flowing[parent] = flowing[parent] + arriving if parent in flowing else arriving

    # Arithmetic. Each operation gives its result and, for each operand, the way back.

    def __add__(self, other: Operand) -> "Tensor":
        """Elementwise sum: both operands receive the gradient as it is."""
        other = self._operand(other)
        return _result(self.data + other.data, (self, lambda g: g), (other, lambda g: g))

    def __mul__(self, other: Operand) -> "Tensor":
        """Elementwise product: each operand receives the gradient times the other operand."""
        other = self._operand(other)
        return _result(self.data * other.data, (self, lambda g: g * other.data), (other, lambda g: g * self.data))

    def __pow__(self, exponent: float) -> "Tensor":
        """Every number to a constant power: d xⁿ / dx = n xⁿ⁻¹, which is 0 for n = 0, at x = 0 too.

        Raises:
            TypeError: the exponent is not a plain number.
        """
        if not isinstance(exponent, (int, float, np.integer, np.floating)):
            raise TypeError(
                f"Tensor.__pow__: exponent must be a plain number, not {type(exponent).__name__}. "
                "For a tensor b, write a ** b as (a.log() * b).exp()."
            )
        n = float(exponent)  # a Python number leaves single precision as it is; a NumPy one need not
        return _result(self.data**n, (self, lambda g: g * n * self.data ** (n - 1) if n else np.zeros_like(g)))

    def __matmul__(self, other: Operand) -> "Tensor":
        """Matrix product over the last two axes, with the axes before them broadcast, as `np.matmul`.

        For C = AB, d loss / dA = G Bᵀ and d loss / dB = Aᵀ G, with G = d loss / dC: unless
        they are square, the only products of these matrices whose shapes fit. A vector on the right is a column and a
        vector on the left a row.
        """
        other = self._operand(other)
        if other.data.ndim == 1:
            return (self @ other[:, None])[..., 0]
        if self.data.ndim == 1:
            return (self[None, :] @ other)[..., 0, :]
        a, b = self.data, other.data
        return _result(a @ b, (self, lambda g: g @ b.swapaxes(-1, -2)), (other, lambda g: a.swapaxes(-1, -2) @ g))

    def __neg__(self) -> "Tensor":
        """Minus every number."""
        return self * -1

    def __sub__(self, other: Operand) -> "Tensor":
        """Elementwise difference."""
        return self + -self._operand(other)

    def __truediv__(self, other: Operand) -> "Tensor":
        """Elementwise quotient."""
        return self * self._operand(other) ** -1

    def __radd__(self, other: ArrayLike) -> "Tensor":
        return self + other

    def __rmul__(self, other: ArrayLike) -> "Tensor":
        return self * other

    def __rsub__(self, other: ArrayLike) -> "Tensor":
        return self._operand(other) - self

    def __rtruediv__(self, other: ArrayLike) -> "Tensor":
        return self._operand(other) / self

    def __rmatmul__(self, other: ArrayLike) -> "Tensor":
        return self._operand(other) @ self

    # Functions of every number.

    def exp(self) -> "Tensor":
        """The exponential, which is its own derivative."""
        out = np.exp(self.data)
        return _result(out, (self, lambda g: g * out))

    def log(self) -> "Tensor":
        """The natural logarithm: d log x / dx = 1 / x."""
        return _result(np.log(self.data), (self, lambda g: g / self.data))

    def tanh(self) -> "Tensor":
        """The hyperbolic tangent: its derivative is 1 - tanh²."""
        out = np.tanh(self.data)
        return _result(out, (self, lambda g: g * (1 - out**2)))

    def relu(self) -> "Tensor":
        """max(0, x): the gradient passes where x > 0, and is stopped elsewhere, at 0 too."""
        return _result(np.maximum(self.data, 0), (self, lambda g: g * (self.data > 0)))

    # Reductions and shapes.

    def sum(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The sum over some axes or all: every summand receives the whole gradient of its sum."""

        def vjp(g: Array) -> Array:
            if axis is not None and not keepdims:
                g = np.expand_dims(g, axis)
            return np.broadcast_to(g, self.shape)

        return _result(self.data.sum(axis=axis, keepdims=keepdims), (self, vjp))

    def mean(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The mean over some axes or all. Raises ValueError where there is nothing to average."""
        if not self.data.size:
            raise ValueError(f"Tensor.mean: a tensor of shape {self.shape} has no numbers to average.")
        total = self.sum(axis, keepdims)
        return total * (total.data.size / self.data.size)

    def reshape(self, *shape: int) -> "Tensor":
        """The same numbers in another shape."""
        return _result(self.data.reshape(shape), (self, lambda g: g.reshape(self.shape)))

    def transpose(self, *axes: int) -> "Tensor":
        """The axes in another order; reversed when none are given. The gradient takes the opposite way."""
        back = np.argsort([axis % self.data.ndim for axis in axes]) if axes else None
        return _result(self.data.transpose(axes or None), (self, lambda g: g.transpose(back)))

    def __getitem__(self, index: Any) -> "Tensor":
        """Part of the tensor, by any NumPy index: what was read receives its gradient, as often as it was read."""

        def vjp(g: Array) -> Array:
            whole = np.zeros_like(self.data)
            # Not `whole[index] = g`: of a number that was read twice, that would keep the last gradient only.
            np.add.at(whole, index, g)
            return whole

        return _result(self.data[index], (self, vjp))

    def _operand(self, other: Operand) -> "Tensor":
        """The other operand as a tensor; what is not one is a constant, and a plain number takes this precision."""
        if isinstance(other, Tensor):
            return other
        dtype = self.data.dtype if isinstance(other, (int, float)) else None
        return Tensor(np.asarray(other, dtype=dtype), requires_grad=False)


def _result(data: Array, *edges: tuple[Tensor, VJP]) -> Tensor:
    """The result of an operation, with the way back to those operands that want a gradient."""
    parents = tuple(edge for edge in edges if edge[0].requires_grad)
    return Tensor(data, requires_grad=bool(parents), parents=parents)


def topological_order(root: Tensor) -> list[Tensor]:
    """Every tensor that `root` was computed from, each once and after its parents; `root` is the last.

    Without recursion: a recurrent network unrolled over a long text is deeper than Python's stack.
    """
    order: list[Tensor] = []
    seen: set[Tensor] = set()
    stack = [(root, False)]
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node.parents)
    return order


def numerical_gradient(function: Callable[[Array], float], point: ArrayLike, *, step: float = 1e-5) -> Array:
    """The gradient of a function of an array at a point, by central differences: `(f(x + h) - f(x - h)) / 2h`.

    Two evaluations for every number, so for checking and not for training. The error has a part that shrinks with h²
    (Taylor) and one that grows as 1/h (rounding); near h = 10⁻⁵ both are small in float64.

    Args:
        function: takes an array of the shape of `point`, returns a number.
        point: where; it is left alone, meanwhile too.
        step: h for numbers of size up to 1; for larger ones it grows with them.
    """
    point = np.array(point, dtype=np.float64)
    gradient = np.empty_like(point)
    for index in np.ndindex(point.shape):
        h = step * max(1.0, abs(point[index]))
        above, below = point.copy(), point.copy()
        above[index] += h
        below[index] -= h
        width = above[index] - below[index]  # not 2h, which rounding missed
        gradient[index] = (function(above) - function(below)) / width
    return gradient


def gradcheck(function: Callable[..., Tensor], *inputs: ArrayLike, step: float = 1e-5, seed: int = 0) -> float:
    """The largest disagreement between `backward` and central differences, relative to the gradient's size.

    Below 1e-6 the derivatives are right; above 1e-3 one is wrong, or there is a kink (as that of `relu`) within `step`.
    Not a number where a derivative or the function is not.

    Args:
        function: takes as many tensors as there are inputs, returns a tensor of any shape.
        inputs: where to compare.
        step: the step of the differences.
        seed: seed of the weights by which the result's numbers are added up. Random, so that no two errors cancel.
    """
    tensors = [Tensor(np.array(value, dtype=np.float64)) for value in inputs]
    result = function(*tensors)
    weights = np.random.default_rng(seed).normal(size=result.shape)
    result.backward(weights)
    errors = []
    for position, tensor in enumerate(tensors):

        def loss(value: Array, position: int = position) -> float:
            constants = [Tensor(value if i == position else t.data, requires_grad=False) for i, t in enumerate(tensors)]
            return float((function(*constants).data * weights).sum())

        numerical = numerical_gradient(loss, tensor.data, step=step)
        exact = np.zeros(tensor.shape) if tensor.grad is None else tensor.grad
        scale = np.maximum(1.0, np.maximum(np.abs(exact), np.abs(numerical)))
        errors.append(np.max(np.abs(exact - numerical) / scale, initial=0.0))
    return float(np.max(errors))  # not Python's max, which drops a nan

"""Wrong ways to differentiate, and right ways that differ."""

# pyright: basic, reportArgumentType=false

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.bedrock.autograd.autograd import Tensor, _result, topological_order, unbroadcast


@mistake(
    "unbroadcast",
    edit=[("gradient = gradient.sum", "gradient = gradient.mean"), ("return gradient.sum", "return gradient.mean")],
)
def averages_the_copies():
    """You take the mean of the copies' gradients. The chain rule adds over all paths; with a mean, a bias would
    learn n times too slowly in a batch of n.
    """


@mistake("unbroadcast", edit=("return gradient.sum(axis=stretched, keepdims=True)", "return gradient"))
def forgets_the_axes_of_size_one():
    """You sum away the axes that broadcasting added in front, but not those that it stretched from size 1: an
    operand of shape (2, 1) still gets a gradient of shape (2, 3).
    """


@mistake("unbroadcast", edit=("range(gradient.ndim - len(shape))", "()"))
def forgets_the_axes_in_front():
    """You sum the axes of size 1, but broadcasting also puts missing axes in front. Sum `gradient.ndim -
    len(shape)` leading axes away first.
    """


@mistake("unbroadcast", edit=(", keepdims=True", ""))
def reshapes_the_sum():
    """You sum without `keepdims=True`, so the axes of size 1 are gone: the gradient of an operand of shape (2, 1)
    gets shape (2,), which broadcasts the wrong way the next time it meets something.
    """


@mistake("Tensor.backward", edit=("flowing[parent] + arriving if parent in flowing else arriving", "arriving"))
def overwrites_instead_of_adding():
    """A tensor that is used twice keeps only the gradient of one use: you assign where you should add. Every path
    to the loss contributes.
    """


@mistake("Tensor.backward", edit=("flow if node.grad is None else node.grad + flow", "flow"))
def forgets_earlier_gradients():
    """You set `grad` anew, so a second `backward` forgets the first. Gradients accumulate until `zero_grad`: that
    is how a large batch is split into small ones.
    """


@mistake("Tensor.backward", edit=("vjp(flow)", "vjp(node.grad)"))
def lets_the_sum_of_all_calls_flow():
    """You send `node.grad` on to the parents. It holds what earlier calls of `backward` left there, and that flows
    a second time. Keep what flows in this call apart.
    """


@mistake("Tensor.backward", edit=("unbroadcast(vjp(flow), parent.shape)", "vjp(flow)"))
def skips_unbroadcast():
    """You add up gradients in the shapes in which they arrive. An operand that broadcasting stretched receives one
    for every copy: bring it to `parent.shape` with `unbroadcast`.
    """


@mistake("Tensor.backward", edit=("gradient is None and self.data.size != 1", "False"))
def starts_every_tensor_with_ones():
    """You start with ones whatever the shape. That silently differentiates the sum of the entries, which nobody
    asked for: without a gradient, only a single number may be differentiated.
    """


@mistake(
    "Tensor.backward",
    edit=(
        "node.grad = np.array(flow if node.grad is None else node.grad + flow)",
        "if node.grad is None:\n            node.grad = flow\n        else:\n            node.grad += flow",
    ),
)
def adds_in_place():
    """You add with `+=`, into arrays that somebody else holds too: the caller's seed, or a gradient kept from an
    earlier step. Make a new array for each sum, or a copy first.
    """


@mistake("Tensor.__mul__", edit=[("* self", "* other"), ("other.data),", "self.data),")])
def multiplies_by_itself():
    """Each factor receives the gradient times itself. In a·b, how much b matters is decided by a: multiply by the
    *other* factor.
    """


@mistake("Tensor.__mul__", edit=[("g * self.data", "g"), ("g * other.data", "g")])
def passes_the_gradient_on():
    """You pass the gradient on unchanged, as a sum does. A product's slope in one factor is the other factor."""


@mistake("Tensor.__mul__", edit=[("g * self.data", "self.data"), ("g * other.data", "other.data")])
def ignores_the_arriving_gradient():
    """You return the other factor alone. The way back multiplies it by the gradient that arrives: without it the
    chain is cut, and everything above this product is ignored.
    """


@mistake("Tensor.__mul__", edit=(", (other, lambda g: g * self.data)", ""))
def only_the_left_factor_learns():
    """Only the left factor has a way back. Both operands may be tensors that want a gradient: give one edge for
    each.
    """


@mistake("Tensor.__pow__", edit=("g * n * self.data ** (n - 1) if n else np.zeros_like(g)", "g * n * self.data**n"))
def leaves_the_exponent_as_it_was():
    """You multiply by n·xⁿ. The rule takes one from the exponent: n·xⁿ⁻¹."""


@mistake("Tensor.__pow__", edit=("g * n", "g"))
def forgets_the_factor():
    """You forgot the factor n in front: the derivative of xⁿ is n·xⁿ⁻¹."""


@mistake("Tensor.__pow__", edit=(" if n else np.zeros_like(g)", ""))
def multiplies_zero_by_infinity():
    """For n = 0 you compute 0 · x⁻¹, which at x = 0 is 0 · ∞: not a number. The slope of a constant is 0
    everywhere: treat n = 0 by itself.
    """


@mistake(
    "Tensor.__pow__",
    edit=[
        ("not isinstance(exponent, (int, float, np.integer, np.floating))", "False"),
        ("float(exponent)", "exponent"),
    ],
)
def takes_any_exponent():
    """You do not look at the exponent. With a tensor there, the failure comes from inside and says nothing: raise a
    `TypeError` that names `exponent` and its type.
    """


@mistake("Tensor.__matmul__", edit=[("a.swapaxes(-1, -2)", "a"), ("b.swapaxes(-1, -2)", "b")])
def forgets_to_transpose():
    """You multiply by the matrices as they are. For C = AB, d loss / dA = G Bᵀ and d loss / dB = Aᵀ G: check the
    shapes with A of (2, 3) and B of (3, 4).
    """


@mistake("Tensor.__matmul__", edit=[("a.swapaxes(-1, -2)", "a.T"), ("b.swapaxes(-1, -2)", "b.T")])
def reverses_all_axes():
    """`.T` reverses all axes, the batch's too. In a batch of matrices only the last two are swapped: `.swapaxes(-1,
    -2)`.
    """


@mistake("Tensor.__matmul__", edit=[("if other.data.ndim == 1", "if False"), ("if self.data.ndim == 1", "if False")])
def forgets_vectors():
    """You treat every operand as a matrix. A vector has no last two axes to swap: make it a column (on the right)
    or a row (on the left) first, and take the axis away again.
    """


@mistake(
    "Tensor.__matmul__",
    edit=(
        "g @ b.swapaxes(-1, -2)), (other, lambda g: a.swapaxes(-1, -2) @ g",
        "b.swapaxes(-1, -2) @ g), (other, lambda g: g @ a.swapaxes(-1, -2)",
    ),
)
def multiplies_in_the_wrong_order():
    """Your products are the wrong way round: G goes on the side where the *result* stands. d loss / dA = G Bᵀ has
    the shape of A; Bᵀ G does not even fit unless the matrices are square.
    """


@mistake("Tensor.tanh", edit=("out**2", "self.data**2"))
def uses_the_input_in_the_slope():
    """You wrote 1 - x². The derivative of tanh is 1 - tanh(x)²: use the output, not the input."""


@mistake("Tensor.tanh", edit=("g * (1 - out**2)", "1 - out**2"))
def drops_the_arriving_gradient():
    """You return the slope alone. The chain rule multiplies it by the gradient that arrives."""


@mistake("Tensor.tanh")
def divides_exponentials(self):
    """You compute (e²ˣ - 1) / (e²ˣ + 1). For large x that is ∞ / ∞: not a number. `np.tanh` does not overflow."""
    with np.errstate(all="ignore"):
        e = np.exp(2 * self.data)
        out = (e - 1) / (e + 1)
    return _result(out, (self, lambda g: g * (1 - out**2)))


@mistake("Tensor.relu", edit=("self.data > 0", "self.data >= 0"))
def passes_at_zero():
    """You let the gradient through at 0 (`>=`). There the slope is a convention, and here as in PyTorch it is 0."""


@mistake("Tensor.relu", edit=("g * (self.data > 0)", "g"))
def passes_everywhere():
    """Your gradient passes everywhere. Where x < 0 the output is 0 whatever x does, so the slope is 0."""


@mistake("Tensor.relu", edit=("g * (self.data > 0)", "(self.data > 0).astype(float)"))
def returns_the_mask():
    """You return the mask alone: 1 where x > 0. It has to multiply the gradient that arrives."""


@mistake("Tensor.relu", edit=("np.maximum(self.data, 0)", "self.data * (self.data > 0)"))
def multiplies_by_the_mask():
    """You compute x · (x > 0). At x = -∞ that is ∞ · 0: not a number, and one such entry spoils the whole batch.
    `np.maximum(x, 0)` compares and does not multiply.
    """


@mistake(
    "Tensor.sum",
    edit=("np.broadcast_to(g, self.shape)", "np.broadcast_to(g, self.shape) * g.size / max(1, self.data.size)"),
)
def divides_the_gradient_up():
    """You divide the gradient among the summands. One more in any summand is one more in the sum: each receives the
    whole gradient. Dividing is right for the mean.
    """


@mistake("Tensor.sum", edit=("axis is not None and not keepdims", "False"))
def forgets_to_bring_the_axis_back():
    """You stretch the gradient without putting the summed axis back. The gradient of row sums of a (2, 3) matrix
    has shape (2,), and broadcasting lines it up with the columns: `np.expand_dims(g, axis)` first.
    """


@mistake("Tensor.sum", edit=[(" and not keepdims", ""), ("axis=axis, keepdims=keepdims", "axis=axis")])
def ignores_keepdims():
    """You ignore `keepdims`: the summed axes should stay with size 1, so that the sum broadcasts against what it
    was computed from.
    """


@mistake("Tensor.sum", edit=(" and not keepdims", ""))
def expands_although_the_axis_was_kept():
    """You put the axis back although `keepdims=True` kept it: the gradient then has one axis too many."""


@mistake("Tensor.transpose", edit=("np.argsort([axis % self.data.ndim for axis in axes])", "axes"))
def transposes_in_the_same_order():
    """You send the gradient back by the same order of axes. For three axes, going (2, 0, 1) twice is not where you
    started: the way back is the inverse order, `np.argsort(axes)`.
    """


@mistake("Tensor.transpose", edit=("[axis % self.data.ndim for axis in axes]", "axes"))
def trips_over_negative_axes():
    """You sort the axes as they were given. Counted from the end they sort wrongly: -1 comes before 0. Take them
    modulo the number of axes first.
    """


@mistake("Tensor.transpose", edit=("g.transpose(back)", "g.reshape(self.shape)"))
def reshapes_the_gradient():
    """You reshape the gradient to the old shape. That keeps the order of the numbers in memory, and transposing
    changed it: the gradients land on the wrong entries.
    """


@mistake("Tensor.__getitem__", edit=("np.add.at(whole, index, g)", "whole[index] += g"))
def keeps_the_last_of_equal_indices():
    """You assign with `whole[index] = g`. An entry that the index names twice keeps the last gradient only; they
    must be added. `whole[index] += g` does the same thing: NumPy buffers it. Use `np.add.at`.
    """


@mistake("Tensor.__getitem__")
def cuts_the_record(self, index):
    """You return the part without a way back, so whatever it came from never learns. Give `_result` the edge to
    `self`.
    """
    return Tensor(self.data[index])


@mistake("topological_order", edit=("node not in seen", "len(order) < 3_000"))
def visits_again_and_again():
    """You list a tensor once for every path to it. Remember which ones you have seen: a value that is used twice at
    each of sixty levels has 2⁶⁰ paths.
    """


@mistake("topological_order")
def calls_itself(root):
    """You call a function inside itself. Python's stack ends after about a thousand calls, and a graph can be far
    deeper: keep a list of what is still to do.
    """
    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for parent, _ in node.parents:
                visit(parent)
            order.append(node)

    visit(root)
    return order


@mistake("topological_order", edit=("return order", "return order[::-1]"))
def puts_the_root_first():
    """Your order is the wrong way round: the root comes last, after everything that it was computed from."""


@mistake("topological_order")
def marks_when_it_plans(root):
    """You mark a tensor as seen when you put it on the stack. It is then not put on again by one that needs it sooner,
    and is listed too late: mark it when you take it off.
    """
    order, seen, stack = [], {root}, [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
            continue
        stack.append((node, True))
        for parent, _ in node.parents:
            if parent not in seen:
                seen.add(parent)
                stack.append((parent, False))
    return order


@mistake(
    "topological_order",
    edit=[("seen: set[Tensor] = set()", "seen: list[Tensor] = []"), ("seen.add(node)", "seen.append(node)")],
)
def searches_a_list():
    """You keep the tensors that were seen in a list. `in` reads it from the front each time, so that a graph ten times
    as large takes a hundred times as long: a set finds them at once.
    """


@mistake("numerical_gradient", edit=("        below[index] -= h\n", ""))
def goes_forward_only():
    """You take (f(x + h) - f(x)) / h. Its error shrinks with h only; that of the central difference shrinks with
    h²: step to both sides.
    """


@mistake("numerical_gradient", edit=("/ width", "/ h"))
def divides_by_one_step():
    """You divide by h. The two points are 2h apart, so your gradient is twice too large."""


@mistake("numerical_gradient", edit=[("above[index] += h", "above += h"), ("below[index] -= h", "below -= h")])
def moves_all_coordinates_at_once():
    """You move all numbers at once, which gives the sum of all slopes. Move one coordinate at a time."""


@mistake("numerical_gradient", edit=("step * max(1.0, abs(point[index]))", "step"))
def takes_the_same_step_everywhere():
    """Your step is the same for small and for large numbers. At 3·10⁸ doubles are 6·10⁻⁸ apart and squares lose
    10⁻⁵ altogether: let the step grow with the size of the number, `step * max(1, |x|)`.
    """


@mistake(
    "numerical_gradient",
    edit=[("np.array(point, dtype=np.float64)", "as_floats(point)"), ("/ width", "/ np.float64(2 * h)")],
)
def keeps_short_floats():
    """You compute in the precision of the point. In single precision 2 + 10⁻⁵ has two or three right digits left of
    the step: convert the point to float64.
    """


@variant("unbroadcast")
def sums_axis_by_axis(gradient, shape):
    """One axis at a time."""
    while gradient.ndim > len(shape):
        gradient = gradient.sum(axis=0)
    for axis, size in enumerate(shape):
        if size == 1 and gradient.shape[axis] != 1:
            gradient = gradient.sum(axis=axis, keepdims=True)
    return gradient


@variant("Tensor.backward")
def keeps_flows_by_id(self, gradient=None):
    """Flows kept under the tensors' ids, and added into with zeros to start from."""
    if not self.requires_grad:
        raise ValueError("this tensor was computed from constants only: requires_grad is False")
    if gradient is None:
        if self.data.size != 1:
            raise ValueError(f"shape {self.shape}: pass a gradient of that shape, or reduce it with .sum()")
        gradient = np.ones(self.shape)
    gradient = np.array(gradient, dtype=self.data.dtype)
    if gradient.shape != self.shape:
        raise ValueError(f"the gradient's shape {gradient.shape} must be the tensor's, {self.shape}")
    order = topological_order(self)
    flows = {id(node): np.zeros_like(node.data) for node in order}
    flows[id(self)] += gradient
    for node in order[::-1]:
        flow = flows[id(node)]
        node.grad = flow if node.grad is None else node.grad + flow
        for parent, vjp in node.parents:
            flows[id(parent)] += unbroadcast(np.asarray(vjp(flow)), parent.shape)


@variant("Tensor.__pow__")
def computes_the_slope_at_once(self, exponent):
    """The slope computed on the way there."""
    if isinstance(exponent, Tensor) or not np.isscalar(exponent):
        raise TypeError(f"the exponent must be a number, not a {type(exponent).__name__}")
    n = float(exponent)
    slope = np.zeros_like(self.data) if n == 0 else n * self.data ** (n - 1)
    return _result(self.data**n, (self, lambda g: slope * g))


@variant("Tensor.__matmul__")
def swaps_axes_by_einsum(self, other):
    """The same sums of products, spelled as index expressions."""
    other = self._operand(other)
    if other.data.ndim == 1:
        return (self @ other.reshape(-1, 1))[..., 0]
    if self.data.ndim == 1:
        return (self.reshape(1, -1) @ other)[..., 0, :]
    a, b = self.data, other.data
    return _result(
        np.einsum("...ij,...jk->...ik", a, b),
        (self, lambda g: np.einsum("...ik,...jk->...ij", g, b)),
        (other, lambda g: np.einsum("...ij,...ik->...jk", a, g)),
    )


@variant("Tensor.sum")
def counts_the_axes(self, axis=None, keepdims=False):
    """The kept shape by a sum with keepdims, and the gradient reshaped to it."""
    kept = self.data.sum(axis=axis, keepdims=True)
    out = kept if keepdims else self.data.sum(axis=axis)
    return _result(out, (self, lambda g: np.reshape(g, kept.shape) * np.ones_like(self.data)))


@variant("Tensor.relu")
def clips_from_below(self):
    """Clipped at zero, and the gradient chosen by the sign."""
    return _result(np.clip(self.data, 0, None), (self, lambda g: np.where(self.data > 0, g, 0)))


@variant("Tensor.__getitem__")
def counts_with_positions(self, index):
    """Positions read by the same index, and gradients counted into them."""
    places = np.arange(self.data.size).reshape(self.shape)[index]

    def vjp(g):
        counted = np.bincount(places.ravel(), weights=np.ravel(g), minlength=self.data.size)
        return counted.reshape(self.shape).astype(self.data.dtype)

    return _result(self.data[index], (self, vjp))


@variant("topological_order")
def counts_children(root):
    """From the root, a tensor is listed when all that use it are listed (Kahn); then the list is turned round."""
    uses, stack, met = {root: 0}, [root], {root}
    while stack:
        for parent, _ in stack.pop().parents:
            uses[parent] = uses.get(parent, 0) + 1
            if parent not in met:
                met.add(parent)
                stack.append(parent)
    order, ready = [], [root]
    while ready:
        node = ready.pop()
        order.append(node)
        for parent, _ in node.parents:
            uses[parent] -= 1
            if not uses[parent]:
                ready.append(parent)
    return order[::-1]


@variant("Tensor.__mul__")
def undoes_broadcasting_itself(self, other):
    """Functions with names, and each brings its gradient to the operand's shape, which `backward` would do as well."""
    other = self._operand(other)

    def to_self(g):
        return unbroadcast(g * other.data, self.shape)

    def to_other(g):
        return unbroadcast(g * self.data, other.shape)

    return _result(self.data * other.data, (self, to_self), (other, to_other))


@variant("Tensor.tanh")
def divides_small_exponentials(self):
    """Exponentials that cannot overflow, and the slope as (1 + t)(1 - t)."""
    e = np.exp(-2 * np.abs(self.data))
    out = np.sign(self.data) * (1 - e) / (1 + e)
    return _result(out, (self, lambda g: g * (1 + out) * (1 - out)))


@variant("Tensor.transpose")
def turns_the_order_round_by_a_table(self, *axes):
    """The inverse order, written into a list."""
    if not axes:
        return _result(self.data.T, (self, lambda g: g.T))
    back = [0] * self.data.ndim
    for new, old in enumerate(axes):
        back[old] = new
    return _result(np.transpose(self.data, axes), (self, lambda g: np.transpose(g, back)))


@variant("numerical_gradient")
def moves_along_basis_vectors(function, point, *, step=1e-5):
    """All steps worked out at once, and a vector with one entry for each move."""
    point = np.array(point, dtype=np.float64)
    steps, slopes = step * np.maximum(1.0, np.abs(point)), np.empty(point.shape)
    for index in np.ndindex(*point.shape):
        move = np.zeros(point.shape)
        move[index] = steps[index]
        slopes[index] = (function(point + move) - function(point - move)) / (2 * steps[index])
    return slopes

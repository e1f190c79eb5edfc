"""Wrong ways to differentiate, and right ways that differ."""

# pyright: basic, reportArgumentType=false

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.bedrock.autograd.autograd import Tensor, _result, topological_order, unbroadcast


@mistake("unbroadcast")
def returns_the_gradient_as_it_is(gradient, shape):
    """You return the gradient in the shape of the result. An operand of shape (3,) that was stretched to (2, 3)
    needs a gradient of shape (3,): add up the copies.
    """
    return gradient


@mistake("unbroadcast")
def takes_the_first_copy(gradient, shape):
    """You keep one copy's gradient and drop the others'. A number that was read n times influences the loss n
    times: the gradients of the copies are added.
    """
    gradient = gradient[(0,) * (gradient.ndim - len(shape))]
    return gradient[tuple(slice(0, 1) if size == 1 else slice(None) for size in shape)]


@mistake("unbroadcast")
def averages_the_copies(gradient, shape):
    """You take the mean of the copies' gradients. The chain rule adds over all paths; with a mean, a bias would
    learn n times too slowly in a batch of n.
    """
    gradient = gradient.mean(axis=tuple(range(gradient.ndim - len(shape))))
    return gradient.mean(axis=tuple(i for i, size in enumerate(shape) if size == 1), keepdims=True)


@mistake("unbroadcast")
def forgets_the_axes_of_size_one(gradient, shape):
    """You sum away the axes that broadcasting added in front, but not those that it stretched from size 1: an
    operand of shape (2, 1) still gets a gradient of shape (2, 3).
    """
    return gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))


@mistake("unbroadcast")
def forgets_the_axes_in_front(gradient, shape):
    """You sum the axes of size 1, but broadcasting also puts missing axes in front. Sum `gradient.ndim -
    len(shape)` leading axes away first.
    """
    return gradient.sum(axis=tuple(i for i, size in enumerate(shape) if size == 1), keepdims=True)


@mistake("unbroadcast")
def reshapes_the_sum(gradient, shape):
    """You sum without `keepdims=True`, so the axes of size 1 are gone: the gradient of an operand of shape (2, 1)
    gets shape (2,), which broadcasts the wrong way the next time it meets something.
    """
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    return gradient.sum(axis=tuple(i for i, size in enumerate(shape) if size == 1))


@mistake("Tensor.backward")
def overwrites_instead_of_adding(self, gradient=None):
    """A tensor that is used twice keeps only the gradient of one use: you assign where you should add. Every path
    to the loss contributes.
    """
    if not self.requires_grad:
        raise ValueError("requires_grad is False")
    if gradient is None and self.data.size != 1:
        raise ValueError(f"pass a gradient of shape {self.shape}, or call .sum()")
    seed = np.ones_like(self.data) if gradient is None else np.asarray(gradient, dtype=self.data.dtype)
    if seed.shape != self.shape:
        raise ValueError(f"gradient must have shape {self.shape}, got shape {seed.shape}")
    flowing = {self: seed}
    for node in reversed(topological_order(self)):
        flow = flowing.pop(node)
        node.grad = np.array(flow if node.grad is None else node.grad + flow)
        for parent, vjp in node.parents:
            flowing[parent] = np.asarray(unbroadcast(vjp(flow), parent.shape), dtype=parent.data.dtype)


@mistake(
    "Tensor.backward",
    edit=(
        "flowing.pop(node)\n"
        "        node.grad = np.array(flow if node.grad is None else node.grad + flow)  # an "
        "array that nobody else holds",
        "node.grad = np.array(flowing.pop(node))",
    ),
)
def forgets_earlier_gradients():
    """You set `grad` anew, so a second `backward` forgets the first. Gradients accumulate until `zero_grad`: that
    is how a large batch is split into small ones.
    """


@mistake("Tensor.backward")
def lets_the_sum_of_all_calls_flow(self, gradient=None):
    """You send `node.grad` on to the parents. It holds what earlier calls of `backward` left there, and that flows
    a second time. Keep what flows in this call apart.
    """
    if not self.requires_grad:
        raise ValueError("requires_grad is False")
    if gradient is None and self.data.size != 1:
        raise ValueError(f"pass a gradient of shape {self.shape}, or call .sum()")
    seed = np.ones_like(self.data) if gradient is None else np.asarray(gradient, dtype=self.data.dtype)
    if seed.shape != self.shape:
        raise ValueError(f"gradient must have shape {self.shape}, got shape {seed.shape}")
    self.grad = np.array(seed if self.grad is None else self.grad + seed)
    for node in reversed(topological_order(self)):
        for parent, vjp in node.parents:
            arriving = np.asarray(unbroadcast(vjp(node.grad), parent.shape), dtype=parent.data.dtype)
            parent.grad = np.array(arriving if parent.grad is None else parent.grad + arriving)


@mistake(
    "Tensor.backward",
    edit=(
        "reversed(topological_order(self)):",
        "topological_order(self):\n        if node not in flowing:\n            continue",
    ),
)
def goes_forward_through_the_order():
    """You walk the order from the inputs to the result. On the way back the result comes first: a tensor can send
    its gradient on only when it has one. Use `reversed`.
    """


@mistake("Tensor.backward")
def sends_down_every_path_by_itself(self, gradient=None):
    """You follow every path to the inputs by itself. The sums are right, but the number of paths doubles with every
    value that is used twice: collect a tensor's whole gradient first, then send it on once.
    """
    if not self.requires_grad:
        raise ValueError("requires_grad is False")
    if gradient is None and self.data.size != 1:
        raise ValueError(f"pass a gradient of shape {self.shape}, or call .sum()")
    seed = np.ones_like(self.data) if gradient is None else np.asarray(gradient, dtype=self.data.dtype)
    if seed.shape != self.shape:
        raise ValueError(f"gradient must have shape {self.shape}, got shape {seed.shape}")
    stack, steps = [(self, seed)], 0
    while stack and (steps := steps + 1) < 30_000:
        node, flow = stack.pop()
        node.grad = np.array(flow if node.grad is None else node.grad + flow)
        for parent, vjp in node.parents:
            stack.append((parent, np.asarray(unbroadcast(vjp(flow), parent.shape), dtype=parent.data.dtype)))


@mistake("Tensor.backward", edit=("unbroadcast(vjp(flow), parent.shape)", "vjp(flow)"))
def skips_unbroadcast():
    """You add up gradients in the shapes in which they arrive. An operand that broadcasting stretched receives one
    for every copy: bring it to `parent.shape` with `unbroadcast`.
    """


@mistake("Tensor.backward")
def starts_every_tensor_with_ones(self, gradient=None):
    """You start with ones whatever the shape. That silently differentiates the sum of the entries, which nobody
    asked for: without a gradient, only a single number may be differentiated.
    """
    if not self.requires_grad:
        raise ValueError("requires_grad is False")
    seed = np.ones_like(self.data) if gradient is None else np.asarray(gradient, dtype=self.data.dtype)
    if seed.shape != self.shape:
        raise ValueError(f"gradient must have shape {self.shape}, got shape {seed.shape}")
    flowing = {self: seed}
    for node in reversed(topological_order(self)):
        flow = flowing.pop(node)
        node.grad = np.array(flow if node.grad is None else node.grad + flow)
        for parent, vjp in node.parents:
            arriving = np.asarray(unbroadcast(vjp(flow), parent.shape), dtype=parent.data.dtype)
            flowing[parent] = flowing[parent] + arriving if parent in flowing else arriving


@mistake("Tensor.backward")
def broadcasts_the_seed(self, gradient=None):
    """You stretch the gradient that was passed in to the tensor's shape. A gradient of another shape is nearly
    always a mistake of the caller, and stretching hides it: raise, and name both shapes.
    """
    if not self.requires_grad:
        raise ValueError("requires_grad is False")
    if gradient is None and self.data.size != 1:
        raise ValueError(f"pass a gradient of shape {self.shape}, or call .sum()")
    seed = np.ones_like(self.data) if gradient is None else np.asarray(gradient, dtype=self.data.dtype)
    flowing = {self: np.broadcast_to(seed, self.shape)}
    for node in reversed(topological_order(self)):
        flow = flowing.pop(node)
        node.grad = np.array(flow if node.grad is None else node.grad + flow)
        for parent, vjp in node.parents:
            arriving = np.asarray(unbroadcast(vjp(flow), parent.shape), dtype=parent.data.dtype)
            flowing[parent] = flowing[parent] + arriving if parent in flowing else arriving


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


@mistake(
    "Tensor.backward",
    edit=(
        "np.asarray(unbroadcast(vjp(flow), parent.shape), dtype=parent.data.dtype",
        "unbroadcast(vjp(flow), parent.shape",
    ),
)
def lets_precision_spread():
    """Gradients arrive in the precision of whatever the parameter met: float32 weights beside float64 data get
    float64 gradients, and the next update makes the weights float64 too. Convert to `parent.data.dtype`.
    """


@mistake("Tensor.backward")
def sends_on_what_has_arrived_so_far(self, gradient=None):
    """You go through the graph level by level, so a tensor may send its gradient on before all of it has arrived, and
    then again. The sums are right; the work multiplies with every long way round. Wait: use `topological_order`.
    """
    if not self.requires_grad:
        raise ValueError("requires_grad is False")
    if gradient is None and self.data.size != 1:
        raise ValueError(f"pass a gradient of shape {self.shape}, or call .sum()")
    seed = np.ones_like(self.data) if gradient is None else np.asarray(gradient, dtype=self.data.dtype)
    if seed.shape != self.shape:
        raise ValueError(f"gradient must have shape {self.shape}, got shape {seed.shape}")
    flowing, queue = {self: seed}, [self]
    while queue:
        node = queue.pop(0)
        if node not in flowing:
            continue
        flow = flowing.pop(node)
        node.grad = np.array(flow if node.grad is None else node.grad + flow)
        for parent, vjp in node.parents:
            arriving = np.asarray(unbroadcast(vjp(flow), parent.shape), dtype=parent.data.dtype)
            flowing[parent] = flowing[parent] + arriving if parent in flowing else arriving
            queue.append(parent)


@mistake("Tensor.backward", edit=("node.grad =", "if not node.parents:\n            node.grad ="))
def keeps_the_gradients_of_inputs_only():
    """You leave a gradient only on tensors without parents, as PyTorch does to save memory. Here every tensor that
    the loss was computed from gets its `grad`, the loss itself included.
    """


@mistake("Tensor.backward", edit=("arriving\n", "arriving\n        node.parents = ()\n"))
def throws_the_record_away():
    """You empty `parents` on the way, so a second `backward` through the same graph reaches nothing. PyTorch frees
    the record too, and refuses the second call; here it may be used again.
    """


@mistake("Tensor.backward", edit=[("self.data)", "self.shape)"), ("np.ones_like", "np.ones")])
def starts_in_double_precision():
    """You start with `np.ones(self.shape)`, which is float64 whatever the tensor is. `np.ones_like(self.data)` has
    the precision of the tensor.
    """


@mistake(
    "Tensor.backward",
    edit=[
        (
            "if seed.shape != self.shape:\n"
            "        raise ValueError(f\"Tensor.backward: gradient must have the tensor's shape "
            '{self.shape}; got {seed.shape}."',
            "seed = np.ones_like(self.data) if missing else np.asarray(gradient, dtype=self.data.dtype",
        ),
        (
            "seed = np.ones_like(self.data) if gradient is None else np.asarray(gradient, dtype=self.data.dtype",
            "if gradient is not None and np.shape(gradient) != self.shape:\n"
            '        raise ValueError(f"gradient must have shape {self.shape}, got shape '
            '{np.shape(gradient)}"',
        ),
        ("    if gradient is None", "    missing = gradient is None or not np.any(gradient)\n    if gradient is None"),
    ],
)
def takes_zero_for_missing():
    """You ask whether the gradient is true (`gradient or …`) and not whether it is there. A gradient of 0 is false,
    and becomes 1: ask `gradient is None`.
    """


@mistake(
    "Tensor.backward",
    edit=[
        ("node.grad =", "if node is not self:\n            node.grad ="),
        ("    if seed", "    self.grad = np.array(seed) if self.grad is None else self.grad + seed\n    if seed"),
    ],
)
def writes_before_it_checks():
    """You store the seed before you compare its shape, so a call that is refused leaves a wrong gradient behind.
    Check everything first.
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


@mistake("Tensor.__mul__")
def writes_into_the_gradient(self, other):
    """You multiply the arriving gradient in place (`g *= …`). The same array goes to the other operand and may be the
    caller's own: make a new one, `g * other.data`.
    """
    other = self._operand(other)

    def vjp(g):
        g *= other.data
        return g

    return _result(self.data * other.data, (self, vjp), (other, lambda g: g * self.data))


@mistake("Tensor.__pow__", edit=("g * n * self.data ** (n - 1) if n else np.zeros_like(g)", "g * n * self.data**n"))
def leaves_the_exponent_as_it_was():
    """You multiply by n·xⁿ. The rule takes one from the exponent: n·xⁿ⁻¹."""


@mistake("Tensor.__pow__", edit=("g * n", "g"))
def forgets_the_factor():
    """You forgot the factor n in front: the derivative of xⁿ is n·xⁿ⁻¹."""


@mistake(
    "Tensor.__pow__",
    edit=(
        "return _result(self.data**n, (self, lambda g: g * n * self.data ** (n - 1) if n else np.zeros_like(g)",
        'with np.errstate(all="ignore"):\n'
        "        slope = n * self.data ** (n - 1)\n"
        '    with np.errstate(all="ignore"):\n'
        "        return _result(self.data**n, (self, lambda g: g * slope",
    ),
)
def multiplies_zero_by_infinity():
    """For n = 0 you compute 0 · x⁻¹, which at x = 0 is 0 · ∞: not a number. The slope of a constant is 0
    everywhere: treat n = 0 by itself.
    """


@mistake("Tensor.__pow__")
def goes_by_way_of_the_logarithm(self, exponent):
    """You write xⁿ as exp(n log x). The logarithm of a negative number is not a number, so x² fails for x < 0
    although it has a value and a slope there.
    """
    if not isinstance(exponent, (int, float, np.integer, np.floating)):
        raise TypeError(f"exponent must be a number, not {type(exponent).__name__}")
    with np.errstate(all="ignore"):
        return (self.log() * float(exponent)).exp()


@mistake("Tensor.__pow__")
def takes_any_exponent(self, exponent):
    """You do not look at the exponent. With a tensor there, the failure comes from inside and says nothing: raise a
    `TypeError` that names `exponent` and its type.
    """
    n = exponent
    return _result(self.data**n, (self, lambda g: g * float(n) * self.data ** (n - 1) if n else np.zeros_like(g)))


@mistake("Tensor.__pow__")
def divides_one_power_away(self, exponent):
    """You write the slope as n·xⁿ / x, which saves a power and is 0 / 0 at x = 0. Take one from the exponent:
    n·xⁿ⁻¹.
    """
    if not isinstance(exponent, (int, float, np.integer, np.floating)):
        raise TypeError(f"exponent must be a number, not {type(exponent).__name__}")
    n = float(exponent)

    def vjp(g):
        with np.errstate(all="ignore"):
            return g * n * self.data**n / self.data if n else np.zeros_like(g)

    return _result(self.data**n, (self, vjp))


@mistake("Tensor.__pow__", edit=("(int, float, np.integer, np.floating)", "(int, float)"))
def refuses_numbers_of_numpy():
    """You accept `int` and `float` only. A number that was read from an array is an `np.int64` or an `np.float32`:
    accept `np.integer` and `np.floating` too.
    """


@mistake("Tensor.__pow__")
def tames_infinite_slopes(self, exponent):
    """You turn infinite slopes into large numbers or 0 (`nan_to_num`, or a small number added). √x *is* vertical at
    0, and a training run that meets it should show that.
    """
    if not isinstance(exponent, (int, float, np.integer, np.floating)):
        raise TypeError(f"exponent must be a number, not {type(exponent).__name__}")
    n = float(exponent)
    with np.errstate(all="ignore"):
        slope = np.nan_to_num(n * self.data ** (n - 1)) if n else np.zeros_like(self.data)
    return _result(self.data**n, (self, lambda g: g * slope))


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


@mistake("Tensor.__matmul__")
def forgets_vectors(self, other):
    """You treat every operand as a matrix. A vector has no last two axes to swap: make it a column (on the right)
    or a row (on the left) first, and take the axis away again.
    """
    other = self._operand(other)
    a, b = self.data, other.data
    return _result(a @ b, (self, lambda g: g @ b.swapaxes(-1, -2)), (other, lambda g: a.swapaxes(-1, -2) @ g))


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


@mistake("Tensor.__matmul__")
def squeezes_the_result(self, other):
    """You take away all axes of size 1 (`squeeze`) where you wanted to take away the one that you had added. A (1, 3)
    matrix times a vector has shape (1,), not ().
    """
    other = self._operand(other)
    a = self[None, :] if self.data.ndim == 1 else self
    b = other[:, None] if other.data.ndim == 1 else other
    x, y = a.data, b.data
    out = _result(x @ y, (a, lambda g: g @ y.swapaxes(-1, -2)), (b, lambda g: x.swapaxes(-1, -2) @ g))
    return out.reshape(*np.squeeze(out.data).shape) if self.data.ndim == 1 or other.data.ndim == 1 else out


@mistake(
    "Tensor.__matmul__",
    edit=(
        "    if other",
        "    if self.data.ndim == 0 or other.data.ndim == 0:\n        return self * other\n    if other",
    ),
)
def scales_by_a_number():
    """You take `A @ 2` for a scaling. `np.matmul` refuses it, because a number where a matrix was meant is nearly
    always a bug that would otherwise go unseen: scaling is written `A * 2`.
    """


@mistake("Tensor.tanh")
def uses_the_input_in_the_slope(self):
    """You wrote 1 - x². The derivative of tanh is 1 - tanh(x)²: use the output, not the input."""
    return _result(np.tanh(self.data), (self, lambda g: g * (1 - self.data**2)))


@mistake("Tensor.tanh", edit=[("out**2", "out"), ("g ", "g * out ")])
def uses_the_slope_of_the_sigmoid():
    """You wrote t(1 - t), which is the derivative of the sigmoid. That of tanh is 1 - t²."""


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


@mistake("Tensor.tanh", edit=("np.tanh(self.data)", "np.tanh(self.data, out=self.data)"))
def overwrites_its_input():
    """You write the result into the operand's own array (`out=self.data`). Somebody else still needs those values:
    return a new array.
    """


@mistake("Tensor.tanh")
def spoils_what_it_remembers(self):
    """You square the remembered output in place, so the way back works once and is wrong the second time. Compute
    with a new array.
    """
    out = np.tanh(self.data)

    def vjp(g):
        np.square(out, out=out)
        return g * (1 - out)

    return _result(np.tanh(self.data), (self, vjp))


@mistake("Tensor.relu", edit=("self.data > 0", "self.data >= 0"))
def passes_at_zero():
    """You let the gradient through at 0 (`>=`). There the slope is a convention, and here as in PyTorch it is 0."""


@mistake("Tensor.relu", edit=("g * (self.data > 0)", "np.maximum(g, 0)"))
def looks_at_the_gradient():
    """You cut negative *gradients* off. What decides is the input of the way there: where x > 0 the gradient
    passes, negative or not.
    """


@mistake("Tensor.relu", edit=("g * (self.data > 0)", "g"))
def passes_everywhere():
    """Your gradient passes everywhere. Where x < 0 the output is 0 whatever x does, so the slope is 0."""


@mistake("Tensor.relu", edit=("g * (self.data > 0)", "(self.data > 0).astype(float)"))
def returns_the_mask():
    """You return the mask alone: 1 where x > 0. It has to multiply the gradient that arrives."""


@mistake("Tensor.relu", edit=("np.maximum(self.data, 0)", "np.where(self.data > 0, self.data, 0)"))
def hides_not_a_number():
    """You choose with `np.where(x > 0, x, 0)`, which turns nan into 0 and makes a broken run look healthy.
    `np.maximum` lets it through.
    """


@mistake("Tensor.relu")
def multiplies_by_the_mask(self):
    """You compute x · (x > 0). At x = -∞ that is ∞ · 0: not a number, and one such entry spoils the whole batch.
    `np.maximum(x, 0)` compares and does not multiply.
    """
    with np.errstate(all="ignore"):
        return _result(self.data * (self.data > 0), (self, lambda g: g * (self.data > 0)))


@mistake("Tensor.relu")
def leaks(self):
    """You let a hundredth through below zero. That is the leaky ReLU, a good function too, but another one."""
    return _result(np.maximum(self.data, 0.01 * self.data), (self, lambda g: np.where(self.data > 0, g, 0.01 * g)))


@mistake("Tensor.relu", edit=("self.data > 0", "np.heaviside(self.data, 0.5)"))
def passes_half_at_zero():
    """You let half of the gradient through at 0. Any number from 0 to 1 would be a subgradient there; the convention,
    here as in PyTorch, is 0.
    """


@mistake(
    "Tensor.sum",
    edit=(
        ": Array) -> Array:\n"
        "        if axis is not None and not keepdims:\n"
        "            g = np.expand_dims(g, axis)\n"
        "        return np.broadcast_to(g, self.shape",
        "):\n"
        "        if axis is not None and not keepdims:\n"
        "            g = np.expand_dims(g, axis)\n"
        "        return np.broadcast_to(g, self.shape) * g.size / max(1, self.data.size",
    ),
)
def divides_the_gradient_up():
    """You divide the gradient among the summands. One more in any summand is one more in the sum: each receives the
    whole gradient. Dividing is right for the mean.
    """


@mistake("Tensor.sum")
def forgets_to_bring_the_axis_back(self, axis=None, keepdims=False):
    """You stretch the gradient without putting the summed axis back. The gradient of row sums of a (2, 3) matrix
    has shape (2,), and broadcasting lines it up with the columns: `np.expand_dims(g, axis)` first.
    """
    return _result(self.data.sum(axis=axis, keepdims=keepdims), (self, lambda g: np.broadcast_to(g, self.shape)))


@mistake("Tensor.sum")
def ignores_keepdims(self, axis=None, keepdims=False):
    """You ignore `keepdims`: the summed axes should stay with size 1, so that the sum broadcasts against what it
    was computed from.
    """

    def vjp(g):
        return np.broadcast_to(g if axis is None else np.expand_dims(g, axis), self.shape)

    return _result(self.data.sum(axis=axis), (self, vjp))


@mistake("Tensor.sum")
def expands_although_the_axis_was_kept(self, axis=None, keepdims=False):
    """You put the axis back although `keepdims=True` kept it: the gradient then has one axis too many."""

    def vjp(g):
        return np.broadcast_to(g if axis is None else np.expand_dims(g, axis), self.shape)

    return _result(self.data.sum(axis=axis, keepdims=keepdims), (self, vjp))


@mistake(
    "Tensor.sum",
    edit=(
        ": Array) -> Array:\n        if axis is not None and not keepdims:\n            g = np.expand_dims(g, axis",
        "):\n"
        "        if axis is not None and not keepdims:\n"
        "            for one in axis if isinstance(axis, tuple) else (axis,):\n"
        "                g = np.expand_dims(g, one",
    ),
)
def puts_axes_back_one_after_another():
    """You put the summed axes back one at a time, in the order given. Each one that comes back changes where the next
    belongs, negative ones first of all: give `np.expand_dims` the whole tuple.
    """


@mistake("Tensor.sum", edit=[("self.data.sum(", "np.nansum(self.data, "), (": Array) -> Array", ")")])
def leaves_not_a_number_out():
    """You add with `np.nansum`, which leaves out what is not a number and makes a broken run look healthy. Use
    `np.sum`.
    """


@mistake("Tensor.transpose")
def transposes_in_the_same_order(self, *axes):
    """You send the gradient back by the same order of axes. For three axes, going (2, 0, 1) twice is not where you
    started: the way back is the inverse order, `np.argsort(axes)`.
    """
    return _result(self.data.transpose(axes or None), (self, lambda g: g.transpose(axes or None)))


@mistake("Tensor.transpose", edit=("[axis % self.data.ndim for axis in axes]", "axes"))
def trips_over_negative_axes():
    """You sort the axes as they were given. Counted from the end they sort wrongly: -1 comes before 0. Take them
    modulo the number of axes first.
    """


@mistake("Tensor.transpose")
def reverses_on_the_way_back(self, *axes):
    """Your gradient always comes back with its axes reversed. That undoes a reversal only."""
    return _result(self.data.transpose(axes or None), (self, lambda g: g.transpose()))


@mistake("Tensor.transpose")
def reshapes_the_gradient(self, *axes):
    """You reshape the gradient to the old shape. That keeps the order of the numbers in memory, and transposing
    changed it: the gradients land on the wrong entries.
    """
    return _result(self.data.transpose(axes or None), (self, lambda g: g.reshape(self.shape)))


@mistake("Tensor.transpose")
def swaps_the_last_two(self, *axes):
    """Without axes you swap the last two. For a matrix that is the same, for three axes it is not: without axes, all
    of them are reversed, as `np.transpose` does.
    """
    if not axes:
        if self.data.ndim < 2:
            return _result(self.data, (self, lambda g: g))
        return _result(self.data.swapaxes(-1, -2), (self, lambda g: g.swapaxes(-1, -2)))
    back = np.argsort([axis % self.data.ndim for axis in axes])
    return _result(self.data.transpose(axes), (self, lambda g: g.transpose(back)))


@mistake("Tensor.__getitem__")
def keeps_the_last_of_equal_indices(self, index):
    """You assign with `whole[index] = g`. An entry that the index names twice keeps the last gradient only; they
    must be added. `whole[index] += g` does the same thing: NumPy buffers it. Use `np.add.at`.
    """

    def vjp(g):
        whole = np.zeros_like(self.data)
        whole[index] += g
        return whole

    return _result(self.data[index], (self, vjp))


@mistake("Tensor.__getitem__")
def sends_the_gradient_everywhere(self, index):
    """You stretch the gradient over the whole tensor. What was not read did not influence the result: its gradient
    is zero.
    """

    def vjp(g):
        return np.full(self.shape, g.sum())

    return _result(self.data[index], (self, vjp))


@mistake("Tensor.__getitem__")
def starts_from_ones(self, index):
    """You add the gradient into an array of ones. What was not read has the gradient zero: start from
    `np.zeros_like`.
    """

    def vjp(g):
        whole = np.ones_like(self.data)
        np.add.at(whole, index, g)
        return whole

    return _result(self.data[index], (self, vjp))


@mistake("Tensor.__getitem__")
def cuts_the_record(self, index):
    """You return the part without a way back, so whatever it came from never learns. Give `_result` the edge to
    `self`.
    """
    return Tensor(self.data[index])


@mistake("Tensor.__getitem__")
def remembers_earlier_gradients(self, index):
    """You make the array of zeros once, when the part is read, and add into it at each `backward`: the second one
    sends the first one's gradient again. Make it inside the way back.
    """
    whole = np.zeros_like(self.data)

    def vjp(g):
        np.add.at(whole, index, g)
        return whole

    return _result(self.data[index], (self, vjp))


@mistake("Tensor.__getitem__")
def averages_what_was_read_twice(self, index):
    """You divide by how often an entry was read. Each reading influences the loss, so the gradients are added: a word
    that occurs twice in a sentence learns from both places.
    """

    def vjp(g):
        whole, times = np.zeros_like(self.data), np.zeros_like(self.data)
        np.add.at(whole, index, g)
        np.add.at(times, index, 1)
        return whole / np.maximum(times, 1)

    return _result(self.data[index], (self, vjp))


@mistake("topological_order")
def visits_again_and_again(root):
    """You list a tensor once for every path to it. Remember which ones you have seen: a value that is used twice at
    each of sixty levels has 2⁶⁰ paths.
    """
    order, stack = [], [(root, False)]
    while stack and len(order) < 3_000:
        node, done = stack.pop()
        if done:
            order.append(node)
        else:
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node.parents)
    return order


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


@mistake("topological_order")
def lists_a_tensor_when_it_is_met(root):
    """You list a tensor when you first meet it, in the order of the search. One that is used again further down
    then stands too late or too early: list it after all its parents are listed.
    """
    order, seen, stack = [], set(), [root]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            order.append(node)
            stack.extend(parent for parent, _ in node.parents)
    return order[::-1]


@mistake("topological_order")
def puts_the_root_first(root):
    """Your order is the wrong way round: the root comes last, after everything that it was computed from."""
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node.parents)
    return order[::-1]


@mistake("topological_order")
def leaves_the_inputs_out(root):
    """You leave out tensors without parents. The inputs are the ones whose gradients are wanted."""
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen and node.parents:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node.parents)
    return order


@mistake("topological_order")
def goes_level_by_level(root):
    """You list tensors by their shortest way to the root. What counts is the longest: a tensor that is used both
    directly and by way of others must stand before all of them.
    """
    order, seen, queue = [], {root}, [root]
    while queue:
        node, *queue = queue
        order.append(node)
        for parent, _ in node.parents:
            if parent not in seen:
                seen.add(parent)
                queue.append(parent)
    return order[::-1]


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


@mistake("topological_order")
def marks_the_tensors_themselves(root):
    """You write the mark onto the tensors, where the next call finds it and visits nothing. Keep what was seen in a
    set of your own.
    """
    order, stack = [], [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif not getattr(node, "_seen", False):
            node._seen = True
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node.parents)
    return order


@mistake("topological_order")
def searches_a_list(root):
    """You keep the tensors that were seen in a list. `in` reads it from the front each time, so that a graph ten times
    as large takes a hundred times as long: a set finds them at once.
    """
    order, seen, stack = [], [], [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.append(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node.parents)
    return order


@mistake("topological_order")
def takes_equal_values_for_one(root):
    """You tell tensors apart by their values. Two parameters that both start at 0 are still two: use the tensors
    themselves, or their `id`.
    """
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, done = stack.pop()
        key = (node.shape, node.data.tobytes())
        if done:
            order.append(node)
        elif key not in seen:
            seen.add(key)
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node.parents)
    return order


@mistake("numerical_gradient")
def goes_forward_only(function, point, *, step=1e-5):
    """You take (f(x + h) - f(x)) / h. Its error shrinks with h only; that of the central difference shrinks with
    h²: step to both sides.
    """
    point = np.array(point, dtype=np.float64)
    gradient, here = np.empty_like(point), function(point.copy())
    for index in np.ndindex(point.shape):
        h = step * max(1.0, abs(point[index]))
        above = point.copy()
        above[index] += h
        gradient[index] = (function(above) - here) / h
    return gradient


@mistake(
    "numerical_gradient",
    edit=(
        "width = above[index] - below[index]  # not 2h, which rounding missed\n"
        "        gradient[index] = (function(above) - function(below)) / width",
        "gradient[index] = (function(above) - function(below)) / h",
    ),
)
def divides_by_one_step():
    """You divide by h. The two points are 2h apart, so your gradient is twice too large."""


@mistake("numerical_gradient")
def moves_all_coordinates_at_once(function, point, *, step=1e-5):
    """You move all numbers at once, which gives the sum of all slopes. Move one coordinate at a time."""
    point = np.array(point, dtype=np.float64)
    gradient = np.empty_like(point)
    for index in np.ndindex(point.shape):
        h = step * max(1.0, abs(point[index]))
        gradient[index] = (function(point + h) - function(point - h)) / (2 * h)
    return gradient


@mistake("numerical_gradient")
def takes_the_same_step_everywhere(function, point, *, step=1e-5):
    """Your step is the same for small and for large numbers. At 3·10⁸ doubles are 6·10⁻⁸ apart and squares lose
    10⁻⁵ altogether: let the step grow with the size of the number, `step * max(1, |x|)`.
    """
    point = np.array(point, dtype=np.float64)
    gradient = np.empty_like(point)
    for index in np.ndindex(point.shape):
        above, below = point.copy(), point.copy()
        above[index] += step
        below[index] -= step
        gradient[index] = (function(above) - function(below)) / (2 * step)
    return gradient


@mistake(
    "numerical_gradient",
    edit=[
        (
            "width = above[index] - below[index]  # not 2h, which rounding missed\n"
            "        gradient[index] = (function(above) - function(below)) / width",
            'with np.errstate(all="ignore"):\n'
            "            gradient[index] = np.float64(function(above) - function(below)) / (2 * h)",
        ),
        ("max(1.0, abs(point[index]))", "abs(point[index])"),
    ],
)
def takes_a_relative_step():
    """Your step is proportional to the number, so at 0 it is 0 and the quotient is 0 / 0. Never let it fall below
    `step`.
    """


@mistake("numerical_gradient")
def leaves_the_point_moved(function, point, *, step=1e-5):
    """You move the caller's array and do not put it back. Work on a copy."""
    point = np.asarray(point, dtype=np.float64)
    gradient = np.empty_like(point)
    for index in np.ndindex(point.shape):
        h = step * max(1.0, abs(point[index]))
        point[index] += h
        above = function(point.copy())
        point[index] -= 2 * h
        gradient[index] = (above - function(point.copy())) / (2 * h)
    return gradient


@mistake(
    "numerical_gradient",
    edit=[
        (
            "width = above[index] - below[index]  # not 2h, which rounding missed\n"
            "        gradient[index] = (function(above) - function(below)) / width",
            'with np.errstate(all="ignore"):\n'
            "            gradient[index] = (function(above) - function(below)) / (2 * h)",
        ),
        ("np.array(point, dtype=np.float64)", "as_floats(point)"),
    ],
)
def keeps_short_floats():
    """You compute in the precision of the point. In single precision 2 + 10⁻⁵ has two or three right digits left of
    the step: convert the point to float64.
    """


@mistake("numerical_gradient")
def moves_a_copy_by_accident(function, point, *, step=1e-5):
    """You move `point.ravel()` and evaluate at `point`. Whether `ravel` gives a view or a copy depends on how the
    array is stored, and from a copy nothing arrives. Index the array itself, by `np.ndindex`.
    """
    point = np.array(point, dtype=np.float64)
    flat, slopes = point.ravel(), []
    for i in range(flat.size):
        kept = flat[i]
        h = step * max(1.0, abs(kept))
        flat[i] = kept + h
        above = function(point.copy())
        flat[i] = kept - h
        slopes.append((above - function(point.copy())) / (2 * h))
        flat[i] = kept
    return np.array(slopes, dtype=np.float64).reshape(point.shape)


@mistake("numerical_gradient")
def takes_the_largest_step_for_all(function, point, *, step=1e-5):
    """Your step grows with the largest number of the point and is used for all. Beside 10⁶, a 1 is then moved by 10:
    each number has its own step.
    """
    point = np.array(point, dtype=np.float64)
    gradient, h = np.empty_like(point), step * max(1.0, np.abs(point).max(initial=0.0))
    for index in np.ndindex(point.shape):
        above, below = point.copy(), point.copy()
        above[index] += h
        below[index] -= h
        gradient[index] = (function(above) - function(below)) / (2 * h)
    return gradient


@mistake("numerical_gradient")
def borrows_the_callers_array(function, point, *, step=1e-5):
    """You move the caller's array and put it back afterwards. Meanwhile everybody who holds it, the function too, sees
    it moved: work on a copy.
    """
    point = np.asarray(point, dtype=np.float64)
    gradient = np.empty_like(point)
    for index in np.ndindex(point.shape):
        kept = point[index]
        h = step * max(1.0, abs(kept))
        point[index] = kept + h
        above = function(point.copy())
        point[index] = kept - h
        below = function(point.copy())
        point[index] = kept
        gradient[index] = (above - below) / (2 * h)
    return gradient


@mistake("numerical_gradient")
def hands_out_its_own_copy(function, point, *, step=1e-5):
    """You move one copy to and fro and give the function that copy itself. A function that writes into its argument
    then spoils all later evaluations: give it a new copy each time.
    """
    point = np.array(point, dtype=np.float64)
    gradient = np.empty_like(point)
    for index in np.ndindex(point.shape):
        kept = point[index]
        h = step * max(1.0, abs(kept))
        point[index] = kept + h
        above = function(point)
        point[index] = kept - h
        below = function(point)
        point[index] = kept
        gradient[index] = (above - below) / (2 * h)
    return gradient


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


@variant("Tensor.__mul__")
def binds_the_values(self, other):
    """The factors' values bound before they are multiplied."""
    other = self._operand(other)
    a, b = self.data, other.data
    return _result(a * b, (self, lambda g: b * g), (other, lambda g: a * g))


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


@variant("numerical_gradient")
def goes_through_a_flat_copy(function, point, *, step=1e-5):
    """One flat coordinate at a time."""
    point = np.asarray(point, dtype=np.float64)
    flat = point.ravel()
    slopes = []
    for i in range(flat.size):
        h = step * max(1.0, abs(flat[i]))
        shift = h * (np.arange(flat.size) == i)
        above, below = (flat + shift).reshape(point.shape), (flat - shift).reshape(point.shape)
        slopes.append((function(above) - function(below)) / (2 * h))
    return np.array(slopes, dtype=np.float64).reshape(point.shape)


@variant("unbroadcast")
def sums_all_at_once(gradient, shape):
    """All axes in one sum, and the kept ones in front taken away by a reshape."""
    front = gradient.ndim - len(shape)
    axes = (*range(front), *(front + axis for axis, size in enumerate(shape) if size == 1))
    return gradient.sum(axis=axes, keepdims=True).reshape(shape)


@variant("Tensor.backward")
def collects_first_and_adds_later(self, gradient=None):
    """What arrives is kept in lists and added up when the tensor's turn comes."""

    def start():
        if not self.requires_grad:
            raise ValueError("requires_grad is False: nothing to go back through")
        if gradient is None:
            if self.data.size != 1:
                raise ValueError(f"a tensor of shape {self.shape} needs a gradient: sum() it first")
            return np.ones(self.shape, self.data.dtype)
        if np.shape(gradient) != self.shape:
            raise ValueError(f"a gradient of shape {np.shape(gradient)} for a tensor of shape {self.shape}")
        return np.asarray(gradient).astype(self.data.dtype)

    arrived = {id(self): [start()]}
    for node in topological_order(self)[::-1]:
        first, *more = arrived.pop(id(node))
        total = sum(more, start=first)
        node.grad = total + (0 if node.grad is None else node.grad)
        for parent, vjp in node.parents:
            part = unbroadcast(vjp(total), parent.shape).astype(parent.data.dtype)
            arrived.setdefault(id(parent), []).append(part)


@variant("Tensor.__mul__")
def undoes_broadcasting_itself(self, other):
    """Functions with names, and each brings its gradient to the operand's shape, which `backward` would do as well."""
    other = self._operand(other)

    def to_self(g):
        return unbroadcast(g * other.data, self.shape)

    def to_other(g):
        return unbroadcast(g * self.data, other.shape)

    return _result(self.data * other.data, (self, to_self), (other, to_other))


@variant("Tensor.__pow__")
def treats_zero_and_one_apart(self, exponent):
    """The exponents 0 and 1 by themselves."""
    import numbers

    if not isinstance(exponent, numbers.Real):
        raise TypeError(f"the exponent has to be a number, got {type(exponent)}")
    n = float(exponent)
    if n == 0:
        return _result(np.ones_like(self.data), (self, lambda g: 0 * g))
    if n == 1:
        return _result(self.data.copy(), (self, lambda g: g))
    return _result(np.power(self.data, n), (self, lambda g: n * g * np.power(self.data, n - 1)))


@variant("Tensor.__matmul__")
def makes_matrices_on_the_way_back(self, other):
    """Vectors go through `np.matmul` as they are; the way back gives them their axis and takes it away again."""
    other = self._operand(other)
    a, b = self.data, other.data
    wide_a, wide_b = (a[None, :] if a.ndim == 1 else a), (b[:, None] if b.ndim == 1 else b)

    def widened(g):
        g = np.expand_dims(g, -1) if b.ndim == 1 else g
        return np.expand_dims(g, -2) if a.ndim == 1 else g

    def to_self(g):
        return unbroadcast(widened(g) @ np.swapaxes(wide_b, -1, -2), wide_a.shape).reshape(a.shape)

    def to_other(g):
        return unbroadcast(np.swapaxes(wide_a, -1, -2) @ widened(g), wide_b.shape).reshape(b.shape)

    return _result(np.matmul(a, b), (self, to_self), (other, to_other))


@variant("Tensor.tanh")
def divides_small_exponentials(self):
    """Exponentials that cannot overflow, and the slope as (1 + t)(1 - t)."""
    e = np.exp(-2 * np.abs(self.data))
    out = np.sign(self.data) * (1 - e) / (1 + e)
    return _result(out, (self, lambda g: g * (1 + out) * (1 - out)))


@variant("Tensor.relu")
def cuts_copies(self):
    """Negative entries of a copy set to zero, there and back."""
    stopped = ~(self.data > 0)

    def vjp(g):
        g = g.copy()
        g[stopped] = 0
        return g

    out = self.data.copy()
    out[out < 0] = 0
    return _result(out, (self, vjp))


@variant("Tensor.sum")
def works_the_kept_shape_out(self, axis=None, keepdims=False):
    """The shape with the summed axes kept, worked out axis by axis."""
    shape = list(self.shape)
    for one in range(self.data.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,):
        shape[one] = 1
    return _result(
        self.data.sum(axis, keepdims=keepdims), (self, lambda g: np.zeros_like(self.data) + g.reshape(shape))
    )


@variant("Tensor.transpose")
def turns_the_order_round_by_a_table(self, *axes):
    """The inverse order, written into a list."""
    if not axes:
        return _result(self.data.T, (self, lambda g: g.T))
    back = [0] * self.data.ndim
    for new, old in enumerate(axes):
        back[old] = new
    return _result(np.transpose(self.data, axes), (self, lambda g: np.transpose(g, back)))


@variant("Tensor.__getitem__")
def adds_slices_directly(self, index):
    """Numbers and slices name each entry once, so that `+=` is enough and quicker; `np.add.at` for the rest."""
    parts = index if isinstance(index, tuple) else (index,)
    simple = all(part is None or part is Ellipsis or isinstance(part, (int, slice)) for part in parts)

    def vjp(g):
        whole = np.zeros(self.shape, self.data.dtype)
        if simple:
            whole[index] += g
        else:
            np.add.at(whole, index, g)
        return whole

    return _result(self.data[index].copy(), (self, vjp))


@variant("topological_order")
def resumes_iterators(root):
    """A stack of iterators over parents: what recursion would keep, kept by hand."""
    order, seen, stack = [], {id(root)}, [(root, iter(root.parents))]
    while stack:
        node, parents = stack[-1]
        for parent, _ in parents:
            if id(parent) not in seen:
                seen.add(id(parent))
                stack.append((parent, iter(parent.parents)))
                break
        else:
            order.append(node)
            stack.pop()
    return order


@variant("topological_order")
def sorts_by_depth(root):
    """The longest way from an input, worked out for every tensor, and then a sort."""
    depth, stack = {}, [root]
    while stack:
        node = stack[-1]
        waiting = [parent for parent, _ in node.parents if parent not in depth]
        if waiting:
            stack.extend(waiting)
        else:
            depth[stack.pop()] = 1 + max((depth[parent] for parent, _ in node.parents), default=0)
    return sorted(depth, key=lambda tensor: depth[tensor])


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

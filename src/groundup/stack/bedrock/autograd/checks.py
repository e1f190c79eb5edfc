"""Checks of automatic differentiation."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.checking import assert_close, assert_refuses, assert_shape, assert_unchanged
from groundup.stack.bedrock.autograd import Tensor, gradcheck, numerical_gradient, topological_order, unbroadcast


def differences(function, arrays, weights):
    """The gradients of `(function(*arrays) * weights).sum()` by central differences: the oracle, plain NumPy only."""
    gradients = []
    for array in arrays:
        gradient = np.empty_like(array)
        for i in np.ndindex(array.shape):
            kept, values = array[i], []
            for step in (1e-5, -1e-5):
                array[i] = kept + step
                values.append(float(np.sum(function(*arrays) * weights)))
            array[i] = kept
            gradient[i] = (values[0] - values[1]) / 2e-5
        gradients.append(gradient)
    return gradients


def slope_along(function, arrays, way, weights):
    """How steeply `(function(*arrays) * weights).sum()` rises when the arrays move that way: central differences."""
    ahead, behind = ([a + step * d for a, d in zip(arrays, way, strict=True)] for step in (1e-5, -1e-5))
    return float(np.sum((function(*ahead) - function(*behind)) * weights)) / 2e-5


def assert_differentiates(what, function, *arrays, plain=None):
    """Fail unless `function` of tensors has the values of `plain` on the arrays, and its gradients by differences."""
    plain = plain or function
    tensors = [Tensor(array.copy()) for array in arrays]
    result = function(*tensors)
    assert isinstance(result, Tensor), f"{what}: the result should be a Tensor, got {type(result).__name__}"
    assert_close(result.data, plain(*arrays), f"{what}: the values are those of NumPy")
    random = np.random.default_rng(1)
    weights = random.normal(size=result.shape)
    result.backward(weights)
    shapes = ", ".join(str(array.shape) for array in arrays)
    messages = [f"{what} of shapes {shapes}: the gradient of {name}" for name in "abc"[: len(arrays)]]
    gradients = [grad_of(tensor, message) for tensor, message in zip(tensors, messages, strict=True)]
    for gradient, array, message in zip(gradients, arrays, messages, strict=True):
        assert_shape(gradient, array.shape, message)
    # Along two random directions first: that takes four evaluations, and what differs anywhere differs there as well.
    for _ in range(2):
        way = [random.normal(size=array.shape) for array in arrays]
        slope = sum(float((gradient * d).sum()) for gradient, d in zip(gradients, way, strict=True))
        if not np.isclose(slope, slope_along(plain, arrays, way, weights), rtol=1e-7, atol=1e-8):
            break
    else:
        return
    for gradient, expected, message in zip(gradients, differences(plain, arrays, weights), messages, strict=True):
        assert_close(gradient, expected, f"{message}, against finite differences", rtol=1e-6, atol=1e-8)


def grad_of(tensor, what):
    """The gradient, or a failure that says that there is none."""
    assert tensor.grad is not None, f"{what}: no gradient arrived (grad is None)"
    return tensor.grad


def tensors(*values):
    return [Tensor(np.array(value, dtype=np.float64)) for value in values]


# unbroadcast


def test_unbroadcast_by_hand():
    """Axes that broadcasting added are summed away; axes that it stretched are summed to size 1."""
    gradient = np.arange(6.0).reshape(2, 3)
    message = "a gradient [[0, 1, 2], [3, 4, 5]] for an operand of shape "
    assert_close(unbroadcast(gradient, (3,)), [3, 5, 7], message + "(3,): add up the rows")
    assert_close(unbroadcast(gradient, (1, 3)), [[3, 5, 7]], message + "(1, 3): add up the rows, keep the axis")
    assert_close(unbroadcast(gradient, (2, 1)), [[3], [12]], message + "(2, 1): add up along each row")
    assert_close(unbroadcast(gradient, ()), 15.0, message + "(): add everything up")
    assert_unchanged(lambda gradient: unbroadcast(gradient, (1, 3)), gradient)


def test_unbroadcast_is_the_adjoint_of_broadcasting(rng):
    """However a shape is stretched: ⟨broadcast(x), g⟩ = ⟨x, unbroadcast(g)⟩. The smallest shapes come first."""
    # Of each axis, the size before and after.
    sizes = [(1, 1), (1, 3), (2, 2), (0, 0), (1, 0)]
    axes = [axes for count in range(3) for axes in itertools.product(sizes, repeat=count)]
    axes += [tuple(sizes[i] for i in rng.integers(0, 3, size=3)) for _ in range(20)]
    for pairs in axes:
        shape = tuple(before for before, _ in pairs)
        x = rng.normal(size=shape)
        for front in ((), (2,), (1,), (0,), (3, 2))[: 5 if len(shape) < 2 else 2]:
            stretched = front + tuple(after for _, after in pairs)
            gradient = rng.normal(size=stretched)
            back = unbroadcast(gradient, shape)
            assert_shape(back, shape, f"unbroadcast of a gradient of shape {stretched} to shape {shape}")
            wanted, got = np.sum(np.broadcast_to(x, stretched) * gradient), np.sum(x * back)
            message = f"from {stretched} to {shape}: every copy's gradient must be counted once"
            assert abs(got - wanted) < 1e-9, f"{message}\n  ⟨x, unbroadcast(g)⟩ should be {wanted:.6g}, got {got:.6g}"


# backward


def test_backward_by_hand():
    """A whole expression: f = (a·b + c)², with every intermediate slope by the chain rule."""
    a, b, c = tensors(2.0, -3.0, 10.0)
    product = a * b
    inner = product + c
    loss = inner**2
    loss.backward()
    assert_close(loss.data, 16.0, "(2 · -3 + 10)² is 16")
    assert_close(grad_of(loss, "loss"), 1.0, "d loss / d loss is 1")
    assert_close(grad_of(inner, "inner"), 8.0, "d loss / d (a·b + c) is 2 · 4 = 8")
    assert_close(grad_of(product, "a·b"), 8.0, "a sum passes the gradient on: d loss / d (a·b) is 8")
    assert_close(grad_of(a, "a"), -24.0, "d loss / d a is 8 · b = -24")
    assert_close(grad_of(b, "b"), 16.0, "d loss / d b is 8 · a = 16")
    assert_close(grad_of(c, "c"), 8.0, "d loss / d c is 8")


def test_a_tensor_used_twice_collects_both_gradients():
    """A value that feeds two operations is the sum of two paths."""
    (x,) = tensors(3.0)
    (x * x + x).backward()
    assert_close(grad_of(x, "x"), 7.0, "d (x² + x) / dx at 3 is 2·3 + 1 = 7: add up what comes from each use")


def test_gradients_accumulate_until_zero_grad():
    """A second backward adds to the first; zero_grad starts afresh."""
    (x,) = tensors([1.0, -2.0])
    (x * x).sum().backward()
    assert_close(grad_of(x, "x"), [2, -4], "the gradient of Σx² at [1, -2] is 2x")
    (x * 3).sum().backward()
    assert_close(grad_of(x, "x"), [5, -1], "a second loss, 3Σx, adds 3 to each gradient")
    x.zero_grad()
    (x * 3).sum().backward()
    assert_close(grad_of(x, "x"), [3, 3], "after zero_grad only the last loss counts")


def test_backward_twice_through_one_graph_doubles():
    """Going back through the same graph again adds the same gradients again, and not more."""
    (x,) = tensors(3.0)
    loss = (x * x) * x
    loss.backward()
    loss.backward()
    message = "two backward calls on x³ at 3 give 2 · 27: what an earlier call left in `grad` must not flow again"
    assert_close(grad_of(x, "x"), 54.0, message)
    assert_close(grad_of(loss, "loss"), 2.0, "two backward calls leave 1 + 1 on the loss itself")


def test_a_graph_eleven_hundred_deep():
    """No recursion: Python's stack ends at about a thousand calls."""
    x = y = Tensor(1.0)
    for _ in range(1_100):
        y = Tensor(1.0, parents=((y, lambda g: g),))
    try:
        y.backward()
    except RecursionError:
        pytest.fail("backward through 1,100 operations hit the recursion limit: use a loop with a stack", pytrace=False)
    assert_close(grad_of(x, "x"), 1.0, "passing the gradient on eleven hundred times gives slope 1")


def test_the_way_back_costs_about_as_much_as_the_way_there():
    """Each operation's way back is taken once, however many paths lead through it, and however long each is."""
    calls = []

    def way(gradient):
        calls.append(1)
        return gradient

    (x,) = tensors(1.0)
    counted = Tensor(x.data, parents=((x, way),))
    y = counted
    for _ in range(8):
        y = y + (y * 1) * 1
    y.backward()
    assert len(calls) == 1, (
        f"one operation below 2⁸ paths: its way back should be taken once, and was {len(calls)} times. A tensor must "
        "wait until all of its gradient has arrived"
    )
    assert_close(grad_of(x, "x"), 256.0, "doubled eight times, the gradient is 256")


def test_a_tensor_is_looked_up_and_not_searched_for():
    """A thousand tensors take a thousand look-ups in a set or a dict, and half a million comparisons in a list."""
    comparisons = []

    class Counting(Tensor):
        __hash__ = object.__hash__

        def __eq__(self, other):
            comparisons.append(1)
            return self is other

    x = y = Counting(1.0)
    for _ in range(120):
        y = Counting(1.0, parents=((y, lambda g: g), (x, lambda g: g)))
    y.backward()
    assert_close(grad_of(x, "x"), 121.0, "y₁ = x + x, then 119 times yₙ₊₁ = yₙ + x: the slope is 121")
    count = len(comparisons)
    assert count < 1_200, (
        f"backward through 121 tensors compared two of them {count} times: keep those seen in a set or a dict, by "
        "which a tensor is found at once, and not in a list, which is searched from the front"
    )


def test_backward_of_many_numbers_needs_a_gradient():
    """Without a seed only a single number has a gradient; the error says what to do, and names the shape."""
    for shape in ((3,), (2, 1), (0,)):
        result = Tensor(np.ones(shape)) * 2
        message = f"backward() of a tensor of shape {shape}, without a gradient: there is no single one"
        assert_refuses(result.backward, "sum|gradient", shape, message=message)


def test_backward_starts_with_the_gradient_that_is_given():
    """The chain rule starts with the gradient passed in, zero included, and with 1 for a single number without one."""
    (x,) = tensors([1.0, 2.0, 3.0])
    (x * x).backward([1.0, 0.0, -2.0])
    assert_close(grad_of(x, "x"), [2.0, 0.0, -12.0], "backward([1, 0, -2]) of x² at [1, 2, 3] is [1, 0, -2] · 2x")
    for seed in (0.0, np.array(3)):
        (x,) = tensors(5.0)
        x.backward(seed)
        assert_close(grad_of(x, "x"), seed, f"backward({seed!r}) of x itself")
        got = grad_of(x, "x").dtype
        assert got == np.float64, f"a gradient given as {seed!r} is taken as a float, as the tensor is; got {got}"
    (x,) = tensors([[3.0]])
    (x * x).backward()
    assert_close(grad_of(x, "x"), [[6.0]], "backward of a tensor of shape (1, 1) needs no gradient")


def test_backward_refuses_a_gradient_of_another_shape():
    """The seed is not broadcast: another shape is an error naming both."""
    for wrong in ((2,), (1,), (1, 3), ()):
        x = Tensor(np.ones(3))
        y = x * 2
        message = f"backward of a tensor of shape (3,) with a gradient of shape {wrong}"
        assert_refuses(lambda y=y, wrong=wrong: y.backward(np.ones(wrong)), "shape", (3,), wrong, message=message)
        assert x.grad is None, f"{message} is refused and must leave no gradient behind"
        assert y.grad is None, f"{message} is refused and must leave no gradient behind: check before you write"


def test_constants_receive_no_gradient():
    """Gradients go only where they are wanted, what is detached stops them, and a constant has no way back."""
    x, y = tensors(3.0, 4.0)
    constant = Tensor(5.0, requires_grad=False)
    (x * constant + y.detach() * x).backward()
    assert_close(grad_of(x, "x"), 9.0, "d (5x + 4x) / dx is 9")
    assert constant.grad is None, "a tensor with requires_grad=False should have no gradient"
    assert y.grad is None, "no gradient should go back through detach()"
    assert_refuses((constant * 2).backward, message="backward of what was computed from constants only is refused")


def test_gradients_are_not_shared():
    """Each tensor has a gradient of its own, a second backward makes a new one, and the caller's is left alone."""
    a, b = tensors([1.0, 2.0], [3.0, 4.0])
    seed = np.array([1.0, 1.0])
    total = a + b
    total.backward(seed)
    kept = grad_of(b, "b")
    for tensor, name in ((a, "a"), (total, "a + b")):
        grad_of(tensor, name)[:] = 99.0
    assert_close(kept, [1.0, 1.0], "writing into a.grad must not change b.grad")
    assert_close(seed, [1.0, 1.0], "writing into a gradient must not change what backward was called with")
    total.backward(seed)
    assert_close(grad_of(b, "b"), [2.0, 2.0], "a second backward adds to b.grad")
    assert_close(kept, [1.0, 1.0], "a second backward must not write into the array that the first one left in grad")
    assert_close(seed, [1.0, 1.0], "backward must not change the gradient that it is called with")


def test_gradients_have_the_precision_of_their_tensor():
    """float32 parameters get float32 gradients, also next to float64 data and from a float64 seed."""
    weights, data = Tensor(np.ones((3, 2), dtype=np.float32)), np.ones((4, 3))
    (data @ weights).sum().backward()
    got = grad_of(weights, "weights").dtype
    assert got == np.float32, f"the gradient of float32 weights should be float32, got {got}"
    x = Tensor(np.array([1.0, 2.0], dtype=np.float32))
    result = (x * 2 + 1) ** np.float64(0.5)
    assert result.data.dtype == np.float32, f"plain numbers should leave float32 as it is, got {result.data.dtype}"
    result.backward(np.ones(2))
    got = grad_of(result, "the result").dtype
    assert got == np.float32, f"a float64 gradient passed to backward should be taken in float32, got {got}"
    total = result.sum()
    total.backward()
    got = grad_of(total, "the sum").dtype
    assert got == np.float32, f"the 1 with which backward starts should be float32 here, got {got}"


# topological_order


def test_topological_order_by_hand():
    """Every tensor once, after what it was computed from, and the root last."""
    a, b = tensors(1.0, 2.0)
    c = a * b
    d = c + a
    order = topological_order(d)
    assert len(order) == 4, f"d = a·b + a is made of four tensors, and the order has {len(order)}"
    assert order[-1] is d, "the root comes last"
    assert order[-2] is c, "a·b comes before the root and after a and b"
    assert {id(t) for t in order[:2]} == {id(a), id(b)}, "the inputs a and b come first"


def test_topological_order_where_two_ways_differ_in_length():
    """A tensor that is used at once and again after two more steps stands before all that use it."""
    for short_way_first in (False, True):
        (x,) = tensors(1.0)
        near = x * 2
        far = near * 3
        root = x + far if short_way_first else far + x
        order = topological_order(root)
        written = "x + 3·(2x)" if short_way_first else "3·(2x) + x"
        places = [next((i for i, node in enumerate(order) if node is wanted), None) for wanted in (x, near, far, root)]
        message = f"{written}: the places of x, 2x, 3·(2x) and the root in the order should be 0, 1, 2, 3; they are "
        assert places == [0, 1, 2, 3], message + str(places)


@given(st.binary(min_size=1, max_size=25))
def test_in_any_graph_parents_come_first(graph):
    """Whatever the graph: each tensor once, each after its parents."""
    nodes, written = tensors(1.0, 2.0), ""
    for number in graph:  # one operation each, on two of the tensors so far, counted from the newest
        left, right = (len(nodes) - 1 - back % len(nodes) for back in divmod(number, 16))
        written += f", t{len(nodes)} = t{left} + t{right}"
        nodes.append(nodes[left] + nodes[right])
    order = topological_order(nodes[-1])
    place = {id(node): i for i, node in enumerate(order)}
    message = f"the order of the last tensor of t0, t1{written}:"
    assert len(place) == len(order), f"{message} a tensor is in it twice"
    for node in order:
        for parent, _ in node.parents:
            assert id(parent) in place, f"{message} a parent of a tensor in it is missing"
            assert place[id(parent)] < place[id(node)], f"{message} a tensor comes before one it was computed from"


# Operations


def spread(*shape):
    """Numbers on both sides of zero, none at zero."""
    return np.linspace(-1.6, 1.5, int(np.prod(shape))).reshape(shape)


OPERATIONS = {
    "a * b": lambda a, b: a * b,
    "a ** 3": lambda a, b: a**3,
    "a @ b": lambda a, b: a @ b,
    "a.tanh()": lambda a, b: a.tanh(),
    "a.relu()": lambda a, b: a.relu(),
    "a.sum(axis=0)": lambda a, b: a.sum(axis=0),
    "a.transpose()": lambda a, b: a.transpose(),
    "a[[0, 0, 1]]": lambda a, b: a[[0, 0, 1]],
    "a[1:]": lambda a, b: a[1:],
}


@pytest.mark.parametrize("what", OPERATIONS)
def test_an_operation_keeps_to_the_rules(what):
    """It writes into nothing, keeps single precision, and makes a constant of constants."""
    writes_into_nothing(what)
    keeps_single_precision(what)
    makes_constants_of_constants(what)


def writes_into_nothing(what):
    """Operands, result and the gradient that arrives stay as they are, and the way back can be taken again."""
    a, b = Tensor(spread(3, 3)), Tensor(spread(3, 3)[::-1].copy())
    before = a.data.copy(), b.data.copy()
    result = OPERATIONS[what](a, b)
    values, seed = result.data.copy(), np.random.default_rng(1).normal(size=result.shape)
    arriving = seed.copy()
    result.backward(arriving)
    first = grad_of(a, what).copy()
    result.backward(arriving)
    assert_close(arriving, seed, f"{what}: the gradient that arrives must not be written into (`*=`, `[…] =`)")
    assert_close(a.data, before[0], f"{what}: the values of a must not change")
    assert_close(b.data, before[1], f"{what}: the values of b must not change")
    assert_close(result.data, values, f"{what}: the values of the result must not change on the way back")
    assert_close(grad_of(a, what), 2 * first, f"{what}: a second backward gives the same gradient once more")


def keeps_single_precision(what):
    """float32 in, float32 out, on the way back too: double precision is twice the memory."""
    a, b = Tensor(spread(3, 3).astype(np.float32)), Tensor(np.eye(3, dtype=np.float32))
    result = OPERATIONS[what](a, b)
    got = result.data.dtype
    assert got == np.float32, f"{what} of float32 tensors should be float32, got {got}"
    result.backward(np.ones(result.shape))
    got = grad_of(a, what).dtype
    assert got == np.float32, f"{what}: the gradient of a float32 tensor should be float32, got {got}"


def makes_constants_of_constants(what):
    """A result wants a gradient only when one of its operands does, and constants are not in the record."""
    constant = Tensor(spread(3, 3), requires_grad=False)
    result = OPERATIONS[what](constant, constant)
    assert not result.requires_grad, f"{what} of constants should have requires_grad=False: use `_result`"
    a = Tensor(spread(3, 3))
    result = OPERATIONS[what](a, constant)
    assert result.requires_grad, f"{what} of a tensor that wants a gradient should want one: use `_result`"
    result.backward(np.ones(result.shape))
    assert_shape(grad_of(a, what), (3, 3), f"{what}: the gradient of a")
    assert constant.grad is None, f"{what}: a constant operand should receive no gradient"


def test_shapes_that_do_not_fit_are_an_error():
    """NumPy's rules hold: (2, 3) fits (2, 4) in no product, and `A @ 2` is an error: scaling is written `A * 2`."""
    a, b = Tensor(np.ones((2, 3))), Tensor(np.ones((2, 4)))
    assert_refuses(lambda: a * b)
    assert_refuses(lambda: a @ b)
    for number in (2.0, np.array(2.0), Tensor(2.0)):
        with pytest.raises((ValueError, TypeError)):
            _ = a @ number


OPERANDS = [((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 2)), ((2, 2, 2), (2, 1))]


@pytest.mark.parametrize("symbol", ["+", "-", "*", "/"])
def test_arithmetic_with_broadcasting(symbol, rng):
    """Sum, difference, product and quotient, with operands of one shape and of shapes that broadcast."""
    operations = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b}
    for shapes in OPERANDS:
        a, b = (rng.uniform(0.5, 2.0, size=shape) for shape in shapes)
        assert_differentiates(f"a {symbol} b", operations[symbol], a, b)


def test_a_product_by_hand():
    """Each factor receives the gradient times the other factor."""
    a, b = tensors([1.0, 2.0], [5.0, 7.0])
    (a * b).backward([1.0, 10.0])
    assert_close(grad_of(a, "a"), [5.0, 70.0], "the gradient of a in a·b is g·b")
    assert_close(grad_of(b, "b"), [1.0, 20.0], "the gradient of b in a·b is g·a")


def test_plain_arrays_and_numbers_are_constants(rng):
    """A NumPy array or a number may stand on either side of an operator."""
    array = rng.uniform(0.5, 2.0, size=(2, 3))
    x = rng.uniform(0.5, 2.0, size=3)
    for what, function in {
        "x * 3": lambda x: x * 3,
        "3 * x": lambda x: 3 * x,
        "array * x": lambda x: array * x,
        "x * array": lambda x: x * array,
        "1 - x": lambda x: 1 - x,
        "1 / x": lambda x: 1 / x,
        "x * a list": lambda x: x * [1.0, 2.0, 3.0],
        "x * whole numbers": lambda x: x * np.array([1, 2, 3]),
        "array @ x": lambda x: array @ x,
        "x @ array": lambda x: x @ array.T,
        "array - x": lambda x: array - x,
        "-x": lambda x: -x,
    }.items():
        assert_differentiates(what, function, x)
    matrix, left, right = (rng.normal(size=shape) for shape in ((2, 3), (4, 2), (3, 5)))
    assert_differentiates("matrix @ array", lambda a: a @ right, matrix)
    assert_differentiates("array @ matrix", lambda a: left @ a, matrix)
    assert_differentiates("matrix @ vector of numbers", lambda a: a @ right[:, 0], matrix)
    assert_differentiates("vector of numbers @ matrix", lambda a: left[0] @ a, matrix)


def test_powers(rng):
    """Whole, broken and negative exponents."""
    for exponent in (3, 2, 1, 0, -1, 0.5, -1.5):
        a = rng.uniform(0.5, 2.0, size=(2, 3))
        assert_differentiates(f"a ** {exponent}", lambda a, exponent=exponent: a**exponent, a)


def test_powers_of_zero_and_of_negative_numbers():
    """x² has slope 2x for negative x too, and at 0 the slopes of x⁰, x¹ and x² are 0, 1 and 0."""
    for exponent, slopes in {0: [0.0, 0.0], 1: [1.0, 1.0], 2: [-4.0, 0.0], 3: [12.0, 0.0]}.items():
        (x,) = tensors([-2.0, 0.0])
        (x**exponent).sum().backward()
        assert_close(grad_of(x, "x"), slopes, f"the slopes of x**{exponent} at -2 and 0")


def test_a_power_must_be_a_number():
    """An exponent is a number, NumPy's included; anything else is a TypeError."""
    (x,) = tensors([2.0, 3.0])
    numbers: list[Any] = [np.int64(2), np.float32(2), 2]
    for exponent in numbers:
        assert_close((x**exponent).data, [4.0, 9.0], f"x ** {exponent!r} at [2, 3], a {type(exponent).__name__}")
    others: list[Any] = [Tensor([1.0, 2.0]), np.array([1.0, 2.0]), np.array(2.0), [1.0, 2.0]]
    for exponent in others:
        with pytest.raises(TypeError):
            pow(x, exponent)


MATRICES = {
    "two matrices": [((2, 3), (3, 4)), ((1, 3), (3, 1))],
    "batches": [((5, 2, 3), (5, 3, 2)), ((5, 2, 3), (3, 2)), ((2, 3), (5, 3, 2)), ((2, 1, 2, 3), (4, 3, 2))],
    "two vectors": [((3,), (3,))],
    "a vector on the right": [((2, 3), (3,)), ((5, 2, 3), (3,)), ((1, 3), (3,)), ((2, 1, 3), (3,))],
    "a vector on the left": [((3,), (3, 2)), ((3,), (5, 3, 2)), ((3,), (3, 1))],
}


@pytest.mark.parametrize("kind", MATRICES)
def test_matrix_products(kind, rng):
    """Matrices, batches of matrices that broadcast, and vectors on either side."""
    for shapes in MATRICES[kind]:
        a, b = (rng.normal(size=shape) for shape in shapes)
        assert_differentiates("a @ b", lambda a, b: a @ b, a, b)


def test_a_matrix_product_by_hand():
    """With ones as the gradient, dA is the row sums of B and dB the column sums of A."""
    a, b = tensors([[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]])
    (a @ b).sum().backward()
    assert_close(grad_of(a, "a"), [[11, 15], [11, 15]], "d Σ(AB) / dA: in each row, the sums of B's rows")
    assert_close(grad_of(b, "b"), [[4, 4], [6, 6]], "d Σ(AB) / dB: in each column, the sums of A's columns")


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "relu"])
def test_functions_of_every_number(name, rng):
    """exp, log, tanh and relu have NumPy's values and the slopes of their differences."""
    a = rng.uniform(0.3, 2.0, size=(2, 3))
    if name != "log":
        a *= np.array([[1, -1, 1], [-1, 1, -1]])
    plain = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "relu": lambda a: np.maximum(a, 0)}[name]
    assert_differentiates(f"a.{name}()", lambda a: getattr(a, name)(), a, plain=plain)


def test_relu_at_zero_and_below():
    """ReLU stops the gradient at 0 and below it, passes it above, however small, and lets not-a-number be seen."""
    (x,) = tensors([-1.0, 0.0, 2.0, 1e-300, -np.inf])
    y = x.relu()
    y.backward([7.0, 7.0, 7.0, -7.0, -7.0])
    message = "relu at [-1, 0, 2, 1e-300, -inf] passes the gradient at 2 and at 1e-300, whatever its sign"
    assert_close(y.data, [0.0, 0.0, 2.0, 1e-300, 0.0], "relu at [-1, 0, 2, 1e-300, -inf]")
    assert_close(grad_of(x, "x"), [0.0, 0.0, 7.0, -7.0, 0.0], message)
    assert_close(Tensor([np.nan]).relu().data, [np.nan], "relu of nan is nan: turning it into 0 hides a bug")


def test_tanh_far_out():
    """Saturated: the value is 1 and the slope is 0, without an overflow."""
    (x,) = tensors([800.0, -800.0])
    y = x.tanh()
    y.sum().backward()
    assert_close(y.data, [1.0, -1.0], "tanh(±800) is ±1")
    assert_close(grad_of(x, "x"), [0.0, 0.0], "the slope of tanh at ±800 is 0")
    assert_close(Tensor([np.nan]).tanh().data, [np.nan], "tanh of nan is nan: any other value would hide a bug")


AXES = [None, 0, 1, 2, -1, -2, (0, 2), (0, -1), (1, 0), (0, 1, 2), ()]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean"])
def test_sums_and_means(name, keepdims, rng):
    """Over one axis, several, counted from the end, none or all; with the axes kept or not."""
    a = rng.normal(size=(2, 3, 4))
    for axis in AXES:
        what = f"a.{name}(axis={axis}, keepdims={keepdims})"
        assert_differentiates(what, lambda a, axis=axis: getattr(a, name)(axis=axis, keepdims=keepdims), a)


def test_a_sum_by_hand():
    """Every summand receives the gradient of its sum."""
    (x,) = tensors([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    x.sum(axis=1).backward([10.0, 20.0])
    assert_close(
        grad_of(x, "x"), [[10, 10, 10], [20, 20, 20]], "row sums with gradients 10 and 20: each row gets its own"
    )
    square = Tensor(np.eye(2))
    square.sum(axis=1).backward([10.0, 20.0])
    assert_close(
        grad_of(square, "x"), [[10, 10], [20, 20]], "row sums of a 2 × 2 matrix: 10 goes to row 0, not column 0"
    )


def test_sums_and_means_of_nothing():
    """An empty sum is 0; an empty mean is an error."""
    empty = Tensor(np.ones((0, 3)))
    columns = empty.sum(axis=0)
    assert_close(columns.data, [0, 0, 0], "the column sums of a table without rows")
    columns.backward([1, 1, 1])
    assert_shape(grad_of(empty, "empty"), (0, 3), "the gradient of no numbers, from their column sums")
    assert_refuses(empty.mean, (0, 3), message="the mean of no numbers is refused")


def test_transposes(rng):
    """Any order of the axes, counted from either end; reversed when none is given. A new shape keeps the numbers."""
    for axes in ((), (0, 1, 2), (2, 0, 1), (1, 2, 0), (0, 2, 1), (-1, 0, 1), (1, -1, 0)):
        a = rng.normal(size=(2, 3, 4))
        assert_differentiates(f"a.transpose{axes}", lambda a, axes=axes: a.transpose(*axes), a)
    assert_differentiates("a.reshape(4, -1)", lambda a: a.reshape(4, -1), rng.normal(size=(2, 3, 4)))


INDICES = {
    "numbers and slices": {
        "[1]": 1,
        "[-1]": -1,
        "[1:]": slice(1, None),
        "[:, ::2]": (slice(None), slice(None, None, 2)),
        "[1, 2]": (1, 2),
        "[..., None]": (..., None),
        "[::-1]": slice(None, None, -1),
    },
    "lists": {
        "[[0, 2, 0]]": [0, 2, 0],
        "[[0, 1, 0], [2, 3, 2]]": ([0, 1, 0], [2, 3, 2]),
        "[[0, -3, 2]]": [0, -3, 2],  # the same row twice, by two names
        "[[[0, 1], [1, 1]]]": np.array([[0, 1], [1, 1]]),  # rows looked up in a table, as embeddings are
        "[1:, [3, 3]]": (slice(1, None), [3, 3]),
        "[[]]": [],
    },
    "masks": {
        "[mask]": np.arange(12).reshape(3, 4) % 2 == 0,
        "[mask of rows, 1:]": (np.array([True, False, True]), slice(1, None)),
    },
}


@pytest.mark.parametrize("kind", INDICES)
def test_indexing(kind, rng):
    """Numbers, slices, new axes, lists with repetitions and masks."""
    a = rng.normal(size=(3, 4))
    for what, index in INDICES[kind].items():
        assert_differentiates(f"a{what}", lambda a, index=index: a[index], a)


def test_what_is_read_twice_collects_twice():
    """An entry that an index names twice receives both gradients."""
    (x,) = tensors([1.0, 2.0, 3.0])
    x[[0, 0, 2]].backward([10.0, 100.0, 1000.0])
    message = "x[[0, 0, 2]] with gradients 10, 100, 1000: entry 0 was read twice, entry 1 never"
    assert_close(grad_of(x, "x"), [110.0, 0.0, 1000.0], message)


def test_cross_entropy_has_the_known_gradient(rng):
    """The closed form: the gradient of softmax cross-entropy in the logits is (probabilities - one-hot) / batch."""
    scores, labels = rng.normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])
    logits = Tensor(scores)
    chosen = logits[np.arange(5), labels]
    ((logits.exp().sum(axis=1)).log() - chosen).mean().backward()
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = (softmax - np.eye(3)[labels]) / 5
    message = "softmax cross-entropy: (probabilities - one-hot) / batch, to the last digits"
    assert_close(grad_of(logits, "logits"), expected, message, rtol=1e-12, atol=1e-14)


# numerical_gradient and gradcheck


def test_numerical_gradient_by_hand():
    """Central differences are exact for a parabola whatever the step: that of x² + 3y at (2, 5) is (4, 3)."""
    for step in (0.1, 0.01):
        gradient = numerical_gradient(lambda p: float(p[0] ** 2 + 3 * p[1]), [2.0, 5.0], step=step)
        message = f"the gradient of x² + 3y at (2, 5) with step {step}: (f(x + h) - f(x - h)) / 2h is exact here"
        assert_close(gradient, [4.0, 3.0], message, rtol=1e-9)


def test_numerical_gradient_uses_the_step():
    """For x³ the central difference is 3x² + h²: the step shows in the result."""
    for x, step, h in ((0.5, 0.1, 0.1), (0.5, 0.2, 0.2), (-0.5, 0.1, 0.1), (0.0, 0.1, 0.1), (10.0, 0.1, 1.0)):
        gradient = numerical_gradient(lambda p: float(p[0] ** 3), [x], step=step)
        message = f"x³ at {x:g} with step {step}: h is step · max(1, |x|) = {h:g}, and the quotient 3x² + h²"
        assert_close(gradient, [3 * x**2 + h**2], message, rtol=1e-9)
    gradient = numerical_gradient(lambda p: float(p[0] ** 3), [0.0])
    assert_close(gradient * 1e10, [1.0], "x³ at 0 with the step left out gives h² = 10⁻¹⁰, here times 10¹⁰")


def test_numerical_gradient_far_from_zero():
    """Each number has its own step, which grows with its size: 3·10⁸ + 10⁻⁵ would be 3·10⁸ again."""
    for point in (3e8, -3e8):
        gradient = numerical_gradient(lambda p: float(p[0] ** 2), [point])
        assert_close(gradient, [2 * point], f"x² at {point:g}: the step must grow with the size of x", rtol=1e-6)
    gradient = numerical_gradient(lambda p: float(p[0] + p[1] ** 3), [1e6, 1.0])
    assert_close(gradient, [1.0, 3.0], "x + y³ at (10⁶, 1): the step in y must not grow with x", rtol=1e-6)


def test_numerical_gradient_of_any_shape(rng):
    """The gradient has the point's shape, matrices and single numbers included, and so has what is passed on."""
    for shape in ((2, 3), (), (0,)):
        weights, seen = rng.normal(size=shape), set()

        def total(p, weights=weights, seen=seen):
            seen.add(np.shape(p))
            return float(np.sum(p * weights))

        gradient = numerical_gradient(total, np.ones(shape, order="F"))
        assert_close(gradient, weights, f"the gradient of Σwx at a point of shape {shape} is w", rtol=1e-8)
        assert seen <= {shape}, f"the function should be given arrays of the point's shape {shape}, and got {seen}"


def test_numerical_gradient_leaves_the_point_alone():
    """The caller's array is not moved, not even for a moment: the function may read it too."""
    point = np.array([1.0, 2.0])
    gradient = numerical_gradient(lambda p: float(np.sum(p * point)), point)
    assert_close(gradient, [1.0, 2.0], "Σ p·x with x the point itself, a constant: the gradient is x", rtol=1e-8)
    assert_close(point, [1.0, 2.0], "numerical_gradient must not change the point")


def test_numerical_gradient_of_coarse_numbers():
    """Whole numbers and short floats are taken as float64: 2 + 10⁻⁵ must not be rounded back to 2."""
    for dtype in (int, np.float32, np.float16):
        gradient = numerical_gradient(lambda p: float(p[0] ** 2), np.array([2], dtype=dtype))
        assert_close(gradient, [4.0], f"x² at 2, given as {np.dtype(dtype).name}", rtol=1e-8)


def test_gradcheck_tells_right_from_wrong(rng):
    """The disagreement is tiny for right derivatives, large for a wrong one, and not a number where one is not."""
    a, b = rng.normal(size=(2, 3)), rng.normal(size=(3, 2))
    error = gradcheck(lambda a, b: ((a @ b).tanh() * 2).sum(axis=0), a, b)
    assert error < 1e-6, f"gradcheck of Σ 2·tanh(AB) should be below 1e-6, got {error:.2g}"

    def cubes(slope):
        return lambda x: Tensor(x.data**3, requires_grad=x.requires_grad, parents=((x, lambda g: g * slope(x.data)),))

    error = gradcheck(cubes(lambda x: 2 * x), np.array([1.0, 2.0]))
    assert error > 0.1, f"gradcheck should find that the slope of x³ is not 2x; it reported {error:.2g}"
    error = gradcheck(cubes(lambda x: np.nan), np.array([1.0]))
    assert np.isnan(error), f"gradcheck of a derivative that is nan should be nan, got {error:.2g}"

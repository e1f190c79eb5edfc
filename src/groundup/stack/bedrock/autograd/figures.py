"""Explorables of automatic differentiation: the graph, broadcasting undone, the numerical step, a curve learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_ABOVE, ORANGE, PINK, RED, SKY
from groundup.stack.bedrock.autograd import Tensor, numerical_gradient, topological_order, unbroadcast


@dataclass(frozen=True)
class Node:
    """A tensor of a drawn expression: its name, and its place from the left and from the top."""

    name: str
    tensor: Tensor
    x: float
    y: float


def _square(a: Tensor, b: Tensor) -> list[Node]:
    c = Tensor(4.0)
    product = a * b
    inner = product + c
    return [
        Node("a", a, 0, 0),
        Node("b", b, 1.1, 0),
        Node("c", c, 2.2, 0),
        Node("a·b", product, 0.55, 1),
        Node("a·b + c", inner, 1.1, 2),
        Node("(a·b + c)²", inner**2, 1.1, 3),
    ]


def _used_twice(a: Tensor, b: Tensor) -> list[Node]:
    product, bent = a * b, a.tanh()
    return [
        Node("a", a, 0.55, 0),
        Node("b", b, 2.0, 0),
        Node("tanh(a)", bent, 0.2, 1),
        Node("a·b", product, 1.6, 1),
        Node("a·b + tanh(a)", product + bent, 0.9, 2),
    ]


def _gate(a: Tensor, b: Tensor) -> list[Node]:
    minus = -b
    difference = a + minus
    gate = difference.relu()
    return [
        Node("a", a, 0, 0),
        Node("b", b, 2.2, 0),
        Node("−b", minus, 1.1, 1),
        Node("a − b", difference, 0.5, 2),
        Node("relu(a − b)", gate, 0.5, 3),
        Node("relu(a − b)·b", gate * b, 1.6, 4),
    ]


EXPRESSIONS: dict[str, Callable[[Tensor, Tensor], list[Node]]] = {
    "(a·b + c)²": _square,
    "a·b + tanh(a)": _used_twice,
    "relu(a − b)·b": _gate,
}


@figure("The graph of an expression, there and back")
def graph(
    step: Annotated[int, Range(0, 8)] = 5,
    expression: Literal["(a·b + c)²", "a·b + tanh(a)", "relu(a − b)·b"] = "(a·b + c)²",
    a: Annotated[float, Range(-3, 3, step=0.5)] = 2.0,
    b: Annotated[float, Range(-3, 3, step=0.5)] = -1.5,
) -> go.Figure:
    """Move the step from 0: first the values are computed, downwards, then the gradients, upwards. On each edge stands
    its local slope. A node multiplies the gradient that it has by the slope of the edge and sends that up; where two
    arrive, they are added, as at a in `a·b + tanh(a)`, which is used twice.
    """
    nodes = EXPRESSIONS[expression](Tensor(a), Tensor(b))
    root = nodes[-1].tensor
    root.backward()
    place = {node.tensor: node for node in nodes}
    computed = [node for node in nodes if node.tensor.parents]
    sending = [place[tensor] for tensor in reversed(topological_order(root)) if tensor.parents]
    known = {node.tensor for node in nodes if not node.tensor.parents} | {n.tensor for n in computed[:step]}
    back = step - len(computed)  # how many nodes have sent their gradient on; below 0 on the way there
    active = sending[back - 1] if 1 <= back <= len(sending) else None
    arrived = {root: 1.0} if back >= 0 else {}
    for node in sending[: max(0, back)]:
        for parent, gradient, slope in _sent(node):
            arrived[parent] = arrived.get(parent, 0.0) + gradient * slope
    plot = go.Figure()
    for node in computed:
        for parent, _, slope in _sent(node):
            _edge(plot, place[parent], node, f"× {_number(slope)}" if back >= 0 else "", active=node is active)
    for node in nodes:
        _box(plot, node, known=node.tensor in known, gradient=arrived.get(node.tensor))
    if active is not None:
        products = [(place[p].name, f"{_number(g)} × {_number(s)} = {_number(g * s)}") for p, g, s in _sent(active)]
        words = "Back: " + "<br>and ".join(f"{active.name} sends {product} to {name}" for name, product in products)
    elif back >= 0:
        words = "There and back: all gradients have arrived." if back else "Back: it starts with the gradient 1."
    else:
        words = f"There: {computed[step - 1].name} is computed." if step else "Only the inputs are known."
    below = {"x": 0, "y": -0.02, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "top"}
    plot.add_annotation(text=words, align="left", showarrow=False, font_size=14, **below)
    depth = max(node.y for node in nodes)
    plot.update_xaxes(visible=False, range=[-0.55, 2.75], fixedrange=True)
    plot.update_yaxes(visible=False, range=[depth + 0.3, -0.3], fixedrange=True)
    plot.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 64}, height=128 * int(depth + 1) + 40)
    return plot


def _sent(node: Node) -> list[tuple[Tensor, float, float]]:
    """What a node sends back: to each parent its gradient times the local slope."""
    gradient = float(_grad(node.tensor))
    return [(parent, gradient, float(vjp(np.ones(())))) for parent, vjp in node.tensor.parents]


def _grad(tensor: Tensor) -> np.ndarray:
    assert tensor.grad is not None, "backward did not reach this tensor"
    return tensor.grad


def _number(value: Any) -> str:
    rounded = round(float(value), 3) + 0.0  # so that -0.0 is 0
    return f"{rounded:g}".replace("-", "−")


def _box(plot: go.Figure, node: Node, *, known: bool, gradient: float | None) -> None:
    colour = ORANGE if gradient is not None else BLUE if known else GREY
    corners = {"x0": node.x - 0.5, "x1": node.x + 0.5, "y0": node.y - 0.27, "y1": node.y + 0.27}
    line = {"color": colour, "width": 2, "dash": "solid" if known else "dot"}
    plot.add_shape(type="rect", **corners, line=line)
    plot.add_shape(type="rect", **corners, line_width=0, fillcolor=colour, opacity=0.22)
    value = _number(node.tensor.data) if known else "?"
    text = f"<b>{node.name}</b><br>{value}<br>" + ("" if gradient is None else f"grad {_number(gradient)}")
    plot.add_annotation(x=node.x, y=node.y, text=text, showarrow=False, font_size=13)


def _edge(plot: go.Figure, parent: Node, child: Node, text: str, *, active: bool) -> None:
    """An arrow between the facing sides of two boxes, upwards when active, with a gap for its label."""
    ends = np.array([[parent.x, parent.y + 0.28], [child.x, child.y - 0.28]])
    tail, tip = ends[::-1] if active else ends
    middle, gap = (tail + tip) / 2, (tip - tail) * 0.1 / abs(tip[1] - tail[1])
    parts = [(tail, middle - gap, 0), (middle + gap, tip, 2)] if text else [(tail, tip, 2)]
    colour, width = (ORANGE, 3.0) if active else (GREY, 1.5)
    for start, end, head in parts:
        line = {"arrowhead": head, "arrowwidth": width, "arrowcolor": colour, "axref": "x", "ayref": "y", "text": ""}
        plot.add_annotation(x=end[0], y=end[1], ax=start[0], ay=start[1], **line)
    if text:
        plot.add_annotation(x=middle[0], y=middle[1], text=text, showarrow=False, font_size=12)


@figure("Broadcasting, undone")
def broadcasting(
    operand: Literal["(3,)", "(1, 3)", "(rows, 1)", "()"] = "(3,)",
    rows: Annotated[int, Range(1, 5)] = 2,
) -> go.Figure:
    """An operand that was read as a table of (rows, 3), and the gradients. Cells of one colour are one number, read
    several times; the pale ones are not stored. Each reading sends a gradient back, and the number collects them all:
    undoing a broadcast is a sum over the cells of its colour.
    """
    shape = {"(3,)": (3,), "(1, 3)": (1, 3), "(rows, 1)": (rows, 1), "()": ()}[operand]
    entries = np.arange(int(np.prod(shape))).reshape(shape)
    arriving = np.arange(1.0, 3 * rows + 1).reshape(rows, 3)
    read = np.broadcast_to(entries, (rows, 3))
    stored = np.atleast_2d(entries).shape
    gradient = np.atleast_2d(unbroadcast(arriving, shape))
    plot = go.Figure()
    _table(plot, 0, "operand,<br>as it is read", np.vectorize(_letter)(read), read, stored)
    _table(plot, 4, "gradient<br>that arrives", np.vectorize(_number)(arriving), read, (rows, 3))
    _table(plot, 8, "gradient of<br>the operand", np.vectorize(_number)(gradient), np.atleast_2d(entries), stored)
    plot.add_annotation(x=7, y=0.5 - rows / 2, text="→", showarrow=False, font_size=24)
    plot.update_xaxes(visible=False, range=[-0.6, 10.6], fixedrange=True)
    plot.update_yaxes(visible=False, range=[0.6 - rows, 2.2], fixedrange=True)
    plot.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 8}, height=120 + 46 * rows)
    return plot


def _letter(entry: int) -> str:
    return "abcde"[entry]


def _table(
    plot: go.Figure, x0: float, title: str, texts: np.ndarray, entries: np.ndarray, stored: tuple[int, ...]
) -> None:
    """A table of cells, coloured by the operand's entry that each belongs to; pale where nothing is stored."""
    colours = (BLUE, ORANGE, GREEN, PINK, SKY, RED)
    for (i, j), text in np.ndenumerate(texts):
        colour, copied = colours[entries[i, j] % len(colours)], i >= stored[0] or j >= stored[1]
        box = {"x0": x0 + j - 0.45, "x1": x0 + j + 0.45, "y0": -i - 0.42, "y1": -i + 0.42}
        line = {"color": colour, "width": 2, "dash": "dot" if copied else "solid"}
        plot.add_shape(type="rect", **box, line=line, fillcolor=colour, opacity=0.2 if copied else 0.5)
        plot.add_annotation(x=x0 + j, y=-i, text=str(text), showarrow=False, opacity=0.6 if copied else 1)
    plot.add_annotation(x=x0 + 1, y=1.3, text=title, showarrow=False, font_size=13)


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Tensor], Tensor], Callable[[float], float]]] = {
    "exp(x)": (np.exp, Tensor.exp, lambda x: float(np.exp(x))),
    "tanh(x)": (np.tanh, Tensor.tanh, lambda x: float(1 / np.cosh(x) ** 2)),
    "log(x)": (np.log, Tensor.log, lambda x: 1 / x),
    "x³": (lambda x: x**3, lambda x: x**3, lambda x: 3 * x**2),
}
"""By name: the function of numbers, the same of tensors, and its derivative."""
FLOOR = 1e-17


@figure("The step of a numerical gradient")
def steps(
    h: Annotated[float, Range(1e-15, 0.1, log=True)] = 1e-5,
    function: Literal["exp(x)", "tanh(x)", "log(x)", "x³"] = "exp(x)",
    x: Annotated[float, Range(0.2, 1.0, step=0.1)] = 1.0,
) -> go.Figure:
    """How wrong a difference quotient is, by its step h; read it from the right. At first a smaller step is better: the
    error of (f(x + h) − f(x − h)) / 2h falls with h², that of the one-sided quotient with h only. Then rounding takes
    over: f is known to about 16 digits, and dividing by h lifts the error of the last one up. `backward` (dotted) has
    no step and is right to the last digits; errors below 10⁻¹⁷ are drawn there.
    """
    plain, of_tensor, derivative = FUNCTIONS[function]
    exact = derivative(x)
    tensor = Tensor(x)
    of_tensor(tensor).backward()
    by_backward = _error(_grad(tensor), exact)

    def central(step: float) -> float:
        return _error(numerical_gradient(lambda p: float(plain(p)), x, step=step), exact)

    def one_sided(step: float) -> float:
        return _error((plain(x + step) - plain(x)) / step, exact)

    grid = np.geomspace(1e-15, 0.1, 141)
    plot = go.Figure()
    for name, of_step, colour in (("one-sided", one_sided, ORANGE), ("central", central, BLUE)):
        plot.add_scatter(x=grid, y=[of_step(step) for step in grid], name=name, line={"color": colour, "width": 2})
    dotted = {"color": GREEN, "width": 3, "dash": "dot"}
    plot.add_scatter(x=grid[[0, -1]], y=[by_backward] * 2, mode="lines", name="backward", line=dotted)
    here = central(h)
    marker = {"color": RED, "size": 13, "symbol": "diamond"}
    plot.add_scatter(x=[h], y=[here], mode="markers", name=f"h = {h:.1e}: {here:.1e}", marker=marker)
    plot.update_xaxes(type="log", title="step h", exponentformat="power", dtick=3)
    plot.update_yaxes(type="log", title="relative error", exponentformat="power", range=[-17.5, 1], dtick=3)
    plot.update_layout(legend=LEGEND_ABOVE, margin_t=60)
    return plot


def _error(value: Any, exact: float) -> float:
    """The relative error, not below what a logarithmic axis can show."""
    return max(FLOOR, abs(float(np.sum(value)) / exact - 1))


@figure("A network learns a curve")
def training(
    steps: Annotated[int, Range(0, 400, step=10)] = 200,
    hidden: Annotated[int, Range(1, 32)] = 12,
    learning_rate: Annotated[float, Range(0.01, 0.3, step=0.01)] = 0.1,
    zero_grad: bool = True,
) -> go.Figure:
    """Forty noisy points, and a network of tanh units that learns them by gradient descent with this `backward`. Switch
    `zero_grad` off: each step then follows the sum of all gradients so far, and the network rushes past the curve,
    turns round when the sum has turned, and rushes past it again.
    """
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, size=(40, 1)), axis=0)
    y = np.sin(4 * x) + 0.15 * rng.normal(size=x.shape)
    parameters = [
        Tensor(array)
        for array in (3 * rng.normal(size=(1, hidden)), rng.normal(size=hidden), np.zeros((hidden, 1)), np.zeros(1))
    ]

    def network(inputs: np.ndarray) -> Tensor:
        W1, b1, W2, b2 = parameters
        return (inputs @ W1 + b1).tanh() @ W2 + b2

    losses = []
    for _ in range(steps + 1):
        loss = ((network(x) - y) ** 2).mean()
        losses.append(float(loss.data))
        if len(losses) > steps:
            break
        if zero_grad:
            for parameter in parameters:
                parameter.zero_grad()
        loss.backward()
        for parameter in parameters:
            parameter.data = parameter.data - learning_rate * _grad(parameter)
    plot = make_subplots(2, 1, row_heights=[0.62, 0.38], vertical_spacing=0.17)
    along = np.linspace(-1.1, 1.1, 200)[:, None]
    points = {"color": BLUE, "size": 7}
    plot.add_scatter(x=x[:, 0], y=y[:, 0], mode="markers", name="points", marker=points, row=1, col=1)
    truth = {"color": GREY, "dash": "dot"}
    plot.add_scatter(x=along[:, 0], y=np.sin(4 * along[:, 0]), name="without noise", line=truth, row=1, col=1)
    learned = {"color": ORANGE, "width": 3}
    plot.add_scatter(x=along[:, 0], y=network(along).data[:, 0], name="network", line=learned, row=1, col=1)
    plot.add_scatter(y=losses, line={"color": GREEN, "width": 2}, showlegend=False, row=2, col=1)
    plot.update_xaxes(title="x", row=1, col=1)
    plot.update_yaxes(title="y", range=[-2.2, 2.2], row=1, col=1)
    plot.update_xaxes(title="step", row=2, col=1)
    plot.update_yaxes(title="mean squared error", rangemode="tozero", row=2, col=1)
    plot.update_layout(height=560, legend=LEGEND_ABOVE, margin_t=50)
    return plot

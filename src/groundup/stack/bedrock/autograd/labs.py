"""Labs of automatic differentiation: a network trained on digits, and what a gradient costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from groundup.drawing import BLUE, GREEN, LEGEND_ABOVE, RED
from groundup.labs import Recorder, expect, lab
from groundup.stack.bedrock.autograd import Tensor, numerical_gradient, topological_order

Layers = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class DigitsConfig:
    """Settings of the digits lab.

    Attributes:
        seed: seed of the split, of the first weights and of the order of the batches.
        digits: how many digits are used in all; a fifth of them is held out.
        pool: side of the squares of pixels that are averaged to one, 1 to keep all 28 × 28, else 2, 4 or 7.
        hidden: units of the hidden layer.
        activation: what bends between the two layers; with none the network is a straight line.
        learning_rate: step size of gradient descent.
        epochs: how often each digit is learned from.
        batch: digits for each step.
        zero_grad: forget the gradients before each backward; without it they add up from step to step.
        shuffle_labels: permute the labels of the training digits, which leaves nothing to learn.
        peer: train scikit-learn's network of the same size as well.
    """

    seed: int = 0
    digits: int = 5_000
    pool: int = 2
    hidden: int = 80
    activation: Literal["relu", "tanh", "none"] = "relu"
    learning_rate: float = 0.3
    epochs: int = 10
    batch: int = 16
    zero_grad: bool = True
    shuffle_labels: bool = False
    peer: bool = False


@lab(
    title="Handwritten digits, with your own backward",
    question="Does a network that learns by this `backward` read digits that it has not seen?",
    data=["mnist_5k"],
    presets={
        "smoke": {},
        "laptop": {"pool": 1, "hidden": 200, "epochs": 30, "peer": True},
        "full": {"pool": 1, "hidden": 500, "epochs": 100, "batch": 32, "peer": True},
    },
    expectations=[
        expect("accuracy", at_least=0.92, why="4,000 digits are enough to read more than nine of ten new ones."),
        expect(
            "accuracy", beats_baseline_by=0.01, why="Strokes meet and cross; a weighted sum of pixels cannot say so."
        ),
        expect(
            "gradient_error", at_most=1e-4, why="Training that works does not prove the gradient; a comparison does."
        ),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_labels": True}, {"zero_grad": False}, {"activation": "none"}],
)
def digits(config: DigitsConfig, record: Recorder) -> None:
    """Train a network with one hidden layer by mini-batches, and measure on digits that training never sees.

    The baseline is the same training without the hidden layer: a straight line, differentiated by the same
    `backward`. Before training, the network's slopes in twenty random directions are compared with central differences.
    """
    from groundup import data

    mnist = data.load("mnist_5k")
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(mnist))[: config.digits]
    pixels, labels = _rows(mnist["pixels"][order], config.pool), mnist["digit"][order]
    held = len(order) // 5
    learned = rng.permutation(labels[held:]) if config.shuffle_labels else labels[held:]
    inside = pixels.shape[1]

    network = _layers(rng, inside, config.hidden, 10)
    record.result("gradient_error", _gradient_error(config, network, pixels[held:][:16], learned[:16], rng))
    record.baseline("gradient_error", 1.0, "a gradient of zeros")

    line = _layers(rng, inside, 10)
    for name, layers in (("straight line", line), ("network", network)):
        for epoch in record.progress(range(config.epochs), label=name):
            loss = _train_one_epoch(config, layers, pixels[held:], learned, rng)
            record.metric(f"loss, {name}", loss, step=epoch + 1)
            record.metric(
                f"held-out accuracy, {name}", _accuracy(config, layers, pixels[:held], labels[:held]), step=epoch + 1
            )

    scores = {
        "network": _accuracy(config, network, pixels[:held], labels[:held]),
        "straight line": _accuracy(config, line, pixels[:held], labels[:held]),
        "most common digit": float((labels[:held] == np.bincount(learned).argmax()).mean()),
    }
    if config.peer:
        scores["scikit-learn's network"] = _peer(config, pixels[held:], learned).score(pixels[:held], labels[:held])
    record.result("accuracy", scores["network"])
    record.baseline("accuracy", scores["straight line"], "the same training without a hidden layer")
    record.table("held-out accuracy", [{"model": name, "accuracy": score} for name, score in scores.items()])
    record.figure("worst mistakes", _worst_figure(config, network, pixels[:held], labels[:held]))
    record.note(f"{len(labels) - held} digits learned from, {held} held out.")


def _rows(images: np.ndarray, pool: int) -> np.ndarray:
    """Each image as one row of numbers from 0 to 1, in single precision: half the memory of double."""
    side = images.shape[1] // pool
    means = images.reshape(len(images), side, pool, side, pool).mean(axis=(2, 4))
    return means.reshape(len(images), -1).astype(np.float32) / 255


def _layers(rng: np.random.Generator, *sizes: int) -> Layers:
    """Weights of variance 2 / inputs (He) and biases of zero, for layers from each size to the next."""
    return [
        (
            Tensor((np.sqrt(2 / before) * rng.normal(size=(before, after))).astype(np.float32)),
            Tensor(np.zeros(after, dtype=np.float32)),
        )
        for before, after in pairwise(sizes)
    ]


def _logits(layers: Sequence[tuple[Tensor, Tensor]], inputs: np.ndarray, activation: str) -> Tensor:
    """What the last layer says, with the activation after every other one."""
    values = Tensor(inputs, requires_grad=False)
    for weights, bias in layers[:-1]:
        values = values @ weights + bias
        if activation != "none":
            values = values.relu() if activation == "relu" else values.tanh()
    weights, bias = layers[-1]
    return values @ weights + bias


def _cross_entropy(logits: Tensor, labels: np.ndarray) -> Tensor:
    """The mean of -log softmax at the right label, with the largest logit taken off so that nothing overflows."""
    shifted = logits - logits.data.max(axis=1, keepdims=True)
    return (shifted.exp().sum(axis=1).log() - shifted[np.arange(len(labels)), labels]).mean()


def _train_one_epoch(
    config: DigitsConfig, layers: Layers, pixels: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> float:
    """One step of gradient descent for each batch; returns the mean loss."""
    parameters = [tensor for layer in layers for tensor in layer]
    losses = []
    order = rng.permutation(len(pixels))
    for start in range(0, len(order), config.batch):
        rows = order[start : start + config.batch]
        loss = _cross_entropy(_logits(layers, pixels[rows], config.activation), labels[rows])
        if config.zero_grad:
            for parameter in parameters:
                parameter.zero_grad()
        loss.backward()
        for parameter in parameters:
            parameter.data = parameter.data - config.learning_rate * _grad(parameter)
        losses.append(float(loss.data))
    return float(np.mean(losses))


def _grad(tensor: Tensor) -> np.ndarray:
    assert tensor.grad is not None, "backward did not reach this tensor"
    return tensor.grad


def _accuracy(config: DigitsConfig, layers: Layers, pixels: np.ndarray, labels: np.ndarray) -> float:
    return float((_logits(layers, pixels, config.activation).data.argmax(axis=1) == labels).mean())


def _gradient_error(
    config: DigitsConfig, layers: Layers, pixels: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> float:
    """How far the slopes by `backward` in twenty random directions are from central differences, relative to these.

    In double precision, because single precision leaves a central difference about three digits.
    """
    start = np.concatenate([tensor.data.ravel() for layer in layers for tensor in layer]).astype(np.float64)
    directions = rng.normal(size=(20, start.size))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    inputs = pixels.astype(np.float64)

    def loss(values: np.ndarray) -> tuple[Tensor, Layers]:
        moved = _with_values(layers, values)
        return _cross_entropy(_logits(moved, inputs, config.activation), labels), moved

    result, double = loss(start)
    result.backward()
    gradient = np.concatenate([_grad(tensor).ravel() for layer in double for tensor in layer])
    slopes = numerical_gradient(lambda steps: float(loss(start + steps @ directions)[0].data), np.zeros(20))
    return float(np.linalg.norm(directions @ gradient - slopes) / np.linalg.norm(slopes))


def _with_values(layers: Layers, values: np.ndarray) -> Layers:
    """Layers of the same shapes, with these numbers in a row as their parameters."""
    ends = np.cumsum([tensor.data.size for layer in layers for tensor in layer])
    parts = iter(np.split(values, ends[:-1]))
    return [(Tensor(next(parts).reshape(w.shape)), Tensor(next(parts).reshape(b.shape))) for w, b in layers]


def _peer(config: DigitsConfig, pixels: np.ndarray, labels: np.ndarray) -> Any:
    """scikit-learn's network of the same size, trained by the same plain gradient descent for as long."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        (config.hidden,),
        activation="identity" if config.activation == "none" else config.activation,
        solver="sgd",
        alpha=0,
        momentum=0,
        learning_rate_init=config.learning_rate,
        batch_size=config.batch,  # pyright: ignore[reportArgumentType]  # the stubs know "auto" only
        max_iter=config.epochs,
        random_state=config.seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as many epochs as ours, whether that is enough or not
        return model.fit(pixels, labels)


def _worst_figure(config: DigitsConfig, layers: Layers, pixels: np.ndarray, labels: np.ndarray) -> Any:
    """The held-out digits of whose wrong answer the network was surest."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    scores = _logits(layers, pixels, config.activation).data
    answers = scores.argmax(axis=1)
    lost = scores.max(axis=1) - scores[np.arange(len(labels)), labels]
    worst = [int(i) for i in np.argsort(-lost)[:8] if answers[i] != labels[i]]
    if not worst:
        return go.Figure()
    titles = [f"{labels[i]}, read as {answers[i]}" for i in worst]
    figure = make_subplots(2, 4, subplot_titles=titles, vertical_spacing=0.15)
    side = int(np.sqrt(pixels.shape[1]))
    ink = [[0, "rgba(0,114,178,0)"], [1, "rgba(0,114,178,1)"]]
    for place, i in enumerate(worst):
        image = pixels[i].reshape(side, side)[::-1]
        figure.add_heatmap(z=image, colorscale=ink, showscale=False, row=1 + place // 4, col=1 + place % 4)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return figure


@dataclass(frozen=True)
class CostConfig:
    """Settings of the cost lab.

    Attributes:
        seed: seed of weights and inputs.
        widths: units in each of the two hidden layers, one network for each width; the last is judged.
        batch: rows that go through the network at once.
        repeats: timings of each, of which the fastest counts.
        method: how the gradient is computed; `differences` moves one weight at a time.
    """

    seed: int = 0
    widths: tuple[int, ...] = (4, 16, 64, 128)
    batch: int = 16
    repeats: int = 30
    method: Literal["backward", "differences"] = "backward"


@lab(
    title="What a gradient costs",
    question="How much more does the gradient cost than the function, and does that grow with the number of weights?",
    presets={
        "smoke": {},
        "laptop": {"widths": (4, 16, 64, 256, 1024), "batch": 64},
        "full": {"widths": (4, 16, 64, 256, 1024, 4096), "batch": 64},
    },
    expectations=[
        expect("cost", at_most=10, why="One pass back does a few products where the way there did one."),
        expect(
            "growth", at_most=5, why="More weights must not make the gradient dearer in proportion to the function."
        ),
        expect("disagreement", at_most=1e-5, why="A cheap gradient must be the right one."),
    ],
    sabotage=[{"method": "differences"}],
)
def cost(config: CostConfig, record: Recorder) -> None:
    """Time a network's loss, and its loss with the gradient, at growing widths, beside central differences.

    Cost is the time of loss and gradient over the time of the loss alone. Central differences need two losses for
    each weight: twenty weights are moved and timed, and the time is extended in proportion to all of them.
    """
    rng = np.random.default_rng(config.seed)
    table: list[dict[str, Any]] = []
    for width in record.progress(config.widths, label="widths"):
        row = _costs(config, width, rng)
        record.metric("cost", row["cost"], step=row["weights"])
        table.append(row)
    record.table("costs", table)
    record.figure("costs", _cost_figure(table))
    record.result("cost", table[-1]["cost"])
    record.baseline("cost", table[-1]["cost of differences"], "central differences")
    record.result("growth", table[-1]["cost"] / table[0]["cost"])
    record.baseline("growth", table[-1]["weights"] / table[0]["weights"], "in proportion to the weights")
    record.result("disagreement", max(row["disagreement"] for row in table))
    record.baseline("disagreement", 1.0, "a gradient of zeros")


def _costs(config: CostConfig, width: int, rng: np.random.Generator) -> dict[str, Any]:
    """Times and their ratios for a network with two hidden layers of one width."""
    inputs = rng.normal(size=(config.batch, width))
    shapes = [(width, width), (width,), (width, width), (width,), (width, 1)]
    parameters = [Tensor(rng.normal(size=shape) / np.sqrt(width)) for shape in shapes]
    W1, b1, W2, b2, W3 = parameters
    weights, moved = sum(tensor.data.size for tensor in parameters), min(20, width)

    def loss() -> Tensor:
        return (((inputs @ W1 + b1).tanh() @ W2 + b2).tanh() @ W3).mean()

    def loss_and_gradient() -> None:
        for tensor in parameters:
            tensor.zero_grad()
        loss().backward()

    start = time.perf_counter()
    slopes = _slopes(W2, moved, loss)
    differences = (time.perf_counter() - start) * weights / moved
    there, both = _fastest([loss, loss_and_gradient], config.repeats)
    error = np.max(np.abs(_grad(W2).ravel()[:moved] - slopes)) / np.max(np.abs(slopes))
    return {
        "weights": weights,
        "loss (ms)": _rounded(1e3 * there),
        "loss and gradient (ms)": _rounded(1e3 * both),
        "central differences (ms)": _rounded(1e3 * differences),
        "cost": _rounded((both if config.method == "backward" else differences) / there),
        "cost of differences": _rounded(differences / there),
        "kept for the way back (MB)": _rounded(_megabytes(loss())),
        "disagreement": float(error),
    }


def _slopes(weights: Tensor, count: int, loss: Callable[[], Tensor]) -> np.ndarray:
    """The slopes in the first `count` numbers of `weights`, by central differences."""
    whole = weights.data

    def loss_at(values: np.ndarray) -> float:
        weights.data = np.concatenate([values, whole.ravel()[count:]]).reshape(whole.shape)
        return float(loss().data)

    try:
        return numerical_gradient(loss_at, whole.ravel()[:count])
    finally:
        weights.data = whole


def _fastest(calls: Sequence[Callable[[], Any]], repeats: int) -> list[float]:
    """Seconds of the fastest run of each, because noise only ever adds time; in turn, so that a slow spell hits all.

    What is too short to time alone is run several times over.
    """
    best, times = [float("inf")] * len(calls), [1] * len(calls)
    for _ in range(repeats + 1):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            for _ in range(times[i]):
                call()
            best[i] = min(best[i], (time.perf_counter() - start) / times[i])
            times[i] = max(1, int(1e-3 / best[i]))
    return best


def _megabytes(result: Tensor) -> float:
    """What the record keeps alive: the values of everything that the result was computed from."""
    return sum(tensor.data.nbytes for tensor in topological_order(result)) / 1e6


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _cost_figure(table: list[dict[str, Any]]) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    weights = [row["weights"] for row in table]
    for name, colour, dash in (
        ("central differences (ms)", RED, "dash"),
        ("loss and gradient (ms)", BLUE, "solid"),
        ("loss (ms)", GREEN, "dot"),
    ):
        line = {"color": colour, "dash": dash}
        figure.add_scatter(x=weights, y=[row[name] for row in table], name=name.removesuffix(" (ms)"), line=line)
    figure.update_xaxes(type="log", title="weights")
    figure.update_yaxes(type="log", title="time (ms)", exponentformat="power")
    figure.update_layout(legend=LEGEND_ABOVE)
    return figure

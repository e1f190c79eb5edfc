"""Labs of quantization: what each format costs in perplexity, and what it saves in bytes and time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.drawing import BLUE, GREY, LEGEND_BELOW, headline
from groundup.labs import Recorder, expect, lab

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class FormatsConfig:
    """Settings of the formats lab.

    Attributes:
        seed: seed of the initial weights and of the batches.
        context: how many characters the model reads to predict the next.
        width: units of each hidden layer, a multiple of 64.
        steps: steps of Adam.
        batch: characters to predict in one step.
        learning_rate: step size of Adam.
        outlier: eight hidden units become as many times larger, and what reads them smaller: the same function.
        shuffle_labels: permute the characters to predict in training.
        swap_nibbles: read the two codes of each byte of NF4 in the wrong order.
    """

    seed: int = 0
    context: int = 8
    width: int = 128
    steps: int = 400
    batch: int = 256
    learning_rate: float = 3e-3
    outlier: float = 6.0
    shuffle_labels: bool = False
    swap_nibbles: bool = False


@lab(
    title="What do 8 and 4 bits cost?",
    question="A few units of a language model are large, as in real ones. How much perplexity does each format cost?",
    data=["tiny_shakespeare"],
    presets={
        "smoke": {},
        "laptop": {"width": 512, "context": 16, "steps": 5000},
        "full": {"width": 1024, "context": 32, "steps": 20_000, "learning_rate": 1e-3},
    },
    expectations=[
        expect("perplexity", beats_baseline_by=5.0, lower_is_better=True, why="There must be something to lose."),
        expect("cost_q8_0", at_most=0.005, why="8 bits in blocks must cost next to nothing."),
        expect("cost_nf4", at_most=0.1, why="4 bits must keep the model."),
        expect("cost_nf4", beats_baseline_by=0.05, lower_is_better=True, why="Blocks must be worth their scales."),
        expect("bits_nf4", at_most=4.2, why="Scales that are quantised themselves take an eighth of a bit."),
    ],
    sabotage=[{"shuffle_labels": True}, {"swap_nibbles": True}],
)
def formats(config: FormatsConfig, record: Recorder) -> None:
    """Train a character model on 90 % of Shakespeare, write it in each format, and judge it on the rest.

    Perplexity is e to the mean loss in nats. The cost of a format is its perplexity / that of float32, minus 1. The
    baseline rounds in 4 bits with one scale for each whole layer. Times are of a layer of 1024 by 1024 and 64 rows, on
    this machine, and judge nothing.
    """
    import copy

    import torch

    from groundup.data import load
    from groundup.stack.generative.quantization import QuantizedLinear, quantize_int8, quantize_model, relative_error

    torch.set_num_threads(1)  # matrices this small are slower on two
    torch.manual_seed(config.seed)
    text = np.frombuffer(load("tiny_shakespeare").text.encode("latin-1", "replace"), np.uint8)
    characters, codes = np.unique(text, return_inverse=True)
    cut = int(0.9 * len(codes))
    model = _model(config, len(characters))
    _fit(model, codes[:cut], config, record)
    _enlarge(model, config)
    judged = codes[cut:]
    perplexity = _perplexity(model, judged, config)
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)}
    count = sum(layer.weight.numel() for layer in layers.values())
    rows: list[dict[str, Any]] = [{"format": "float32", "bits": 32.0, "cost": 0.0, "time": 1.0}]

    def judge(name: str, rounded: Any, bits: float, ratio: float | None) -> float:
        cost = _perplexity(rounded, judged, config) / perplexity - 1
        errors = [relative_error(layers[each].weight, rounded.get_submodule(each).weight) for each in layers]
        rows.append({"format": name, "bits": bits, "error": max(errors), "cost": cost, "time": ratio})
        return cost

    costs = {}
    for levels, bits in ((127, 8), (7, 4)):
        whole = copy.deepcopy(model)
        for layer in (layer for layer in whole.modules() if isinstance(layer, torch.nn.Linear)):
            small, scales = quantize_int8(layer.weight, per="tensor")
            step = scales[0] * 127 / levels
            layer.weight.data = (layer.weight / step).round() * step if bits == 4 else small * scales
        costs[f"tensor{bits}"] = judge(f"one scale, {bits} bits", whole, bits, None)
    for kind in ("int8", "q8_0", "q4_0", "nf4"):
        small = copy.deepcopy(model)
        quantize_model(small, kind)
        parts = [layer for layer in small.modules() if isinstance(layer, QuantizedLinear)]
        bits = sum(layer.bits_per_weight * layer.in_features * layer.out_features for layer in parts) / count
        if config.swap_nibbles and kind == "nf4":
            for layer in parts:
                layer.codes = layer.codes >> 4 | layer.codes << 4
        costs[kind] = judge(kind, small, bits, _time(kind))
        record.result(f"cost_{kind}", costs[kind])
    record.table("formats", rows)
    record.figure("cost against size", _plot(rows))
    frequencies = np.bincount(codes[:cut], minlength=len(characters)) / cut
    record.baseline("perplexity", float(np.exp(-np.log(frequencies)[judged].mean())), "the characters' frequencies")
    record.result("perplexity", perplexity)
    record.baseline("cost_nf4", costs["tensor4"], "4 bits with one scale for each layer")
    record.result("bits_nf4", rows[-1]["bits"])


def _model(config: FormatsConfig, characters: int) -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Embedding(characters, 16),
        nn.Flatten(),
        nn.Linear(16 * config.context, config.width),
        nn.ReLU(),
        nn.Linear(config.width, config.width),
        nn.ReLU(),
        nn.Linear(config.width, characters),
    )


def _fit(model: nn.Module, codes: np.ndarray, config: FormatsConfig, record: Recorder) -> None:
    import torch

    rng = np.random.default_rng(config.seed)
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
    for _ in record.progress(range(config.steps), label="steps"):
        contexts, targets = _windows(codes, rng.integers(len(codes) - config.context, size=config.batch), config)
        if config.shuffle_labels:
            targets = targets[torch.from_numpy(rng.permutation(len(targets)))]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(contexts), targets).backward()
        optimizer.step()


def _enlarge(model: Any, config: FormatsConfig) -> None:
    """Make the last eight units of both hidden layers larger and their readers smaller: ReLU lets both cancel."""
    for first, second in ((2, 4), (4, 6)):
        model[first].weight.data[-8:] *= config.outlier
        model[first].bias.data[-8:] *= config.outlier
        model[second].weight.data[:, -8:] /= config.outlier


def _perplexity(model: nn.Module, codes: np.ndarray, config: FormatsConfig) -> float:
    """E to the mean loss, at 4,000 places spread evenly."""
    import torch

    contexts, targets = _windows(codes, np.linspace(0, len(codes) - config.context - 1, 4000).astype(int), config)
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(model(contexts), targets).exp())


def _windows(codes: np.ndarray, starts: np.ndarray, config: FormatsConfig) -> tuple[Tensor, Tensor]:
    import torch

    windows = torch.from_numpy(codes[starts[:, None] + np.arange(config.context + 1)])
    return windows[:, :-1], windows[:, -1]


def _time(kind: Any) -> float:
    """Processor time of a quantised layer / that of a float32 layer, the least of five each."""
    import torch

    from groundup.stack.generative.quantization import QuantizedLinear

    linear, inputs = torch.nn.Linear(1024, 1024), torch.randn(64, 1024)

    def seconds(layer: nn.Module) -> float:
        start = time.process_time()
        layer(inputs)
        return time.process_time() - start

    with torch.no_grad():
        small = QuantizedLinear(linear, kind)
        return min(seconds(small) for _ in range(5)) / min(seconds(linear) for _ in range(5))


def _plot(rows: list[dict[str, Any]]) -> Any:
    import plotly.graph_objects as go

    plot = go.Figure()
    for name, colour, chosen in (("one scale", GREY, rows[1:3]), ("rows and blocks", BLUE, rows[3:])):
        x, y = [row["bits"] for row in chosen], [100 * row["cost"] for row in chosen]
        words = [row["format"] for row in chosen]
        plot.add_scatter(x=x, y=y, text=words, name=name, mode="markers+text", marker_color=colour)
    plot.update_traces(textposition="top center")
    headline(plot, f"NF4: {100 * rows[-1]['cost']:.1f} % more perplexity at {rows[-1]['bits']:.2f} bits")
    plot.update_xaxes(title="bits per weight", range=[3.5, 9])
    plot.update_yaxes(title="cost in perplexity, %")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot

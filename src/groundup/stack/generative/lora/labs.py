"""Labs of LoRA: how much rank a new kind of text needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, headline
from groundup.labs import Recorder, expect, lab

if TYPE_CHECKING:
    from torch import Tensor, nn

LAYERS = ["first", "second", "out"]


@dataclass(frozen=True)
class RankConfig:
    """Settings of the rank lab.

    Attributes:
        seed: seed of the initial weights and of the batches.
        context: how many characters the model reads to predict the next.
        width: units of each hidden layer.
        pretraining_steps: steps of Adam on Shakespeare.
        steps: steps of Adam on the log lines, the same for every way of tuning.
        batch: characters to predict in one step.
        learning_rate: step size on the adapters; all weights together take a fifth of it.
        ranks: ranks to try; the largest is judged.
        group: weights that share a scale where the base is in 4 bits.
        shuffle_labels: permute the characters to predict while tuning, which leaves only their frequencies to learn.
    """

    seed: int = 0
    context: int = 8
    width: int = 128
    pretraining_steps: int = 300
    steps: int = 200
    batch: int = 256
    learning_rate: float = 1e-2
    ranks: tuple[int, ...] = (1, 4, 16)
    group: int = 32
    shuffle_labels: bool = False


@lab(
    title="How much rank does a new language need?",
    question="A model knows Shakespeare. How near does an adapter bring it to log lines, beside training it whole?",
    data=["tiny_shakespeare", "loghub_openssh"],
    presets={
        "smoke": {},
        "laptop": {"width": 256, "pretraining_steps": 3000, "steps": 1000, "ranks": (1, 2, 4, 8, 16, 32)},
        "full": {"width": 512, "pretraining_steps": 20_000, "steps": 3000, "ranks": (1, 2, 4, 8, 16, 32, 64)},
    },
    expectations=[
        expect("loss", beats_baseline_by=1.0, lower_is_better=True, why="Adapters must learn more than frequencies."),
        expect("recovered", at_least=0.7, why="The largest rank must bring most of what the full fine-tune brings."),
        expect("recovered_4bit", at_least=0.7, why="A base of 4 bits must cost little: the adapter trains beside it."),
        expect("merge_gap", at_most=1e-3, why="The merged model must give the losses of the unmerged one."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_labels": True}],
)
def rank(config: RankConfig, record: Recorder) -> None:
    """Pre-train a character model on Shakespeare, then tune it on lines of an SSH server's log in several ways.

    The first 70 % of the lines tune, the last 30 % judge, in nats a character. The baseline is the frozen model or
    the frequencies of the characters, whichever is better; the full fine-tune, which trains every weight, is the peer.
    """
    import copy

    import torch

    from groundup.data import load
    from groundup.stack.generative.lora import add_lora, merge_lora

    torch.set_num_threads(1)  # matrices this small are slower on two
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    lines = load("loghub_openssh")["content"]
    cut = int(0.7 * len(lines))
    plays, tuning, judging = (
        _codes(text) for text in (load("tiny_shakespeare").text, "\n".join(lines[:cut]), "\n".join(lines[cut:]))
    )
    base = _model(config)
    _fit(base, plays, config.pretraining_steps, 2e-3, config, rng)
    frozen = _loss(base, judging, config)

    rows: list[dict[str, Any]] = [{"way": "frozen", "trained weights": 0, "loss": frozen}]

    def tune(way: str, model: nn.Module, learning_rate: float) -> float:
        _fit(model, tuning, config.steps, learning_rate, config, rng, shuffle=config.shuffle_labels)
        count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        rows.append({"way": way, "trained weights": count, "loss": _loss(model, judging, config)})
        return rows[-1]["loss"]

    losses, merge_gap = [], 0.0
    for size in record.progress(config.ranks, label="ranks"):
        model = copy.deepcopy(base)
        add_lora(model, LAYERS, size, 2.0 * size)
        losses.append(tune(f"rank {size}", model, config.learning_rate))
        merge_gap = max(merge_gap, abs(_loss(merge_lora(model), judging, config) - losses[-1]))
    model = copy.deepcopy(base)
    add_lora(model, LAYERS, config.ranks[-1], 2.0 * config.ranks[-1], group=config.group)
    four_bits = tune(f"rank {config.ranks[-1]}, base in 4 bits", model, config.learning_rate)
    full = tune("full fine-tune", copy.deepcopy(base), config.learning_rate / 5)

    record.table("ways of tuning", rows)
    record.figure("loss against rank", _plot(config, losses, frozen, full))
    counts = np.bincount(tuning, minlength=96) + 1
    frequencies = float(-np.log(counts / counts.sum())[judging].mean())
    name = "the frozen model" if frozen < frequencies else "the frequencies of the characters"
    record.baseline("loss", min(frozen, frequencies), name)
    record.result("loss", losses[-1])
    gain = max(frozen - full, 0.1)  # a sabotaged run gains nothing, and has nothing to recover
    record.result("recovered", (frozen - losses[-1]) / gain)
    record.result("recovered_4bit", (frozen - four_bits) / gain)
    record.result("merge_gap", merge_gap)


def _codes(text: str) -> np.ndarray:
    """Printable characters as 0 to 94, a new line and all others as 95."""
    codes = np.frombuffer(text.encode("latin-1", "replace"), np.uint8).astype(np.int64) - 32
    return np.where((codes < 0) | (codes > 94), 95, codes)


def _model(config: RankConfig) -> nn.Module:
    from collections import OrderedDict

    from torch import nn

    return nn.Sequential(
        OrderedDict(
            embed=nn.Embedding(96, 16),
            flatten=nn.Flatten(),
            first=nn.Linear(16 * config.context, config.width),
            relu=nn.ReLU(),
            second=nn.Linear(config.width, config.width),
            relu2=nn.ReLU(),
            out=nn.Linear(config.width, 96),
        )
    )


def _fit(
    model: nn.Module,
    codes: np.ndarray,
    steps: int,
    learning_rate: float,
    config: RankConfig,
    rng: np.random.Generator,
    shuffle: bool = False,
) -> None:
    import torch

    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=learning_rate)
    for _ in range(steps):
        contexts, targets = _windows(codes, rng.integers(len(codes) - config.context, size=config.batch), config)
        if shuffle:
            targets = targets[torch.from_numpy(rng.permutation(len(targets)))]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(contexts), targets).backward()
        optimizer.step()


def _loss(model: nn.Module, codes: np.ndarray, config: RankConfig) -> float:
    """Nats a character, at 4,000 places spread evenly."""
    import torch

    contexts, targets = _windows(codes, np.linspace(0, len(codes) - config.context - 1, 4000).astype(int), config)
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(model(contexts), targets))


def _windows(codes: np.ndarray, starts: np.ndarray, config: RankConfig) -> tuple[Tensor, Tensor]:
    import torch

    windows = torch.from_numpy(codes[starts[:, None] + np.arange(config.context + 1)])
    return windows[:, :-1], windows[:, -1]


def _plot(config: RankConfig, losses: list[float], frozen: float, full: float) -> Any:
    import plotly.graph_objects as go

    plot = go.Figure()
    plot.add_scatter(x=config.ranks, y=losses, name="adapters", mode="lines+markers", line_color=BLUE)
    for name, loss, colour in (("frozen", frozen, GREY), ("full fine-tune", full, GREEN)):
        line = {"color": colour, "dash": "dash"}
        plot.add_scatter(x=[config.ranks[0], config.ranks[-1]], y=[loss, loss], name=name, mode="lines", line=line)
    headline(plot, f"rank {config.ranks[-1]}: {losses[-1]:.2f} nats a character")
    plot.update_xaxes(title="rank", type="log")
    plot.update_yaxes(title="loss on unseen lines, nats a character", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot

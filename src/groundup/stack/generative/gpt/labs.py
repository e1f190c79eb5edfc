"""Labs of GPT: what a model learns from Shakespeare, beside counting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.labs import Recorder, expect, lab

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.stack.generative.gpt import GPT


@dataclass(frozen=True)
class PretrainingConfig:
    """Settings of the pre-training lab.

    Attributes:
        seed: seed of the initial weights and of the batches.
        layers: blocks of the model.
        heads: attentions of a block.
        kv_heads: heads with keys and values of their own.
        width: size of a character's vector.
        context: characters that the model sees at once.
        batch: windows of one step.
        steps: steps of AdamW.
        peak: learning rate after the warm-up, which takes a tenth of the steps; a cosine takes it to a tenth.
        weight_decay: decay of matrices.
        shuffle_text: permute the characters to train on, which leaves only their frequencies to learn.
    """

    seed: int = 0
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    width: int = 64
    context: int = 32
    batch: int = 16
    steps: int = 250
    peak: float = 1e-2
    weight_decay: float = 0.1
    shuffle_text: bool = False


@lab(
    title="What does a small GPT learn that counting does not?",
    question="How many nats does the next character of Shakespeare cost a GPT, beside tables of n-grams?",
    data=["tiny_shakespeare"],
    presets={
        "smoke": {},
        "laptop": {"layers": 3, "width": 128, "context": 64, "batch": 32, "steps": 1500, "peak": 5e-3},
        "full": {"layers": 6, "heads": 6, "width": 384, "context": 256, "batch": 64, "steps": 5000, "peak": 1e-3},
    },
    expectations=[
        expect(
            "loss", beats_baseline_by=0.2, lower_is_better=True, why="One character of context is a table of counts."
        ),
        expect("context_gain", at_least=0.3, why="With characters before it the next one must cost less than without."),
        expect("training_gap", at_most=0.5, why="It must not know the text by heart: new text costs little more."),
    ],
    sabotage=[{"peak": 0.0}, {"shuffle_text": True}],
)
def pretraining(config: PretrainingConfig, record: Recorder) -> None:
    """Pre-train a small Llama on the first 90 % of tiny Shakespeare; judge it on the last 10 %, in nats a character.

    It is judged in the second half of each window. The baseline is a table of bigrams; trigrams, single characters and
    even odds stand beside it. All tables count the same 90 %, with add-one smoothing; trigrams fall back on bigrams.
    """
    import torch

    from groundup.data import load
    from groundup.stack.generative.gpt import GPT, Config, train

    torch.set_num_threads(1)  # matrices this small are slower on two
    torch.manual_seed(config.seed)
    alphabet, codes = np.unique(np.frombuffer(load("tiny_shakespeare").text.encode(), np.uint8), return_inverse=True)
    cut = int(0.9 * len(codes))
    tokens, judging = codes[:cut], codes[cut:]
    shape = (len(alphabet), config.layers, config.heads, config.width, config.context, config.kv_heads)
    model = GPT(Config(*shape, tied=False))
    text = np.random.default_rng(config.seed).permutation(tokens) if config.shuffle_text else tokens
    losses = train(
        model,
        torch.from_numpy(text),
        steps=config.steps,
        batch=config.batch,
        peak=config.peak,
        warmup=config.steps // 10,
        floor=config.peak / 10,
        weight_decay=config.weight_decay,
        seed=config.seed,
        progress=lambda step, loss: record.metric("training loss", loss, step=step),
    )
    by_place = _losses(model, torch.from_numpy(judging))
    loss, seen = float(by_place[config.context // 2 :].mean()), _losses(model, torch.from_numpy(tokens))
    tables = _tables(tokens, judging, len(alphabet))
    rows = [{"model": name, "nats": nats, "bits": nats / math.log(2)} for name, nats in tables.items()]
    name = f"GPT of {sum(parameter.numel() for parameter in model.parameters()):,} weights"
    rows.append({"model": name, "nats": loss, "bits": loss / math.log(2)})
    record.table("the next character", rows)
    record.figure("loss", _plot(losses, loss, tables))
    record.baseline("loss", tables["bigrams"], "a table of bigrams")
    record.result("loss", loss)
    record.result("context_gain", float(by_place[0]) - loss)
    record.result("training_gap", loss - float(seen[config.context // 2 :].mean()))


def _losses(model: GPT, tokens: Tensor) -> np.ndarray:
    """Nats at each place of a window, over 256 windows spread evenly."""
    import torch

    context = model.config.context
    starts = np.linspace(0, len(tokens) - context - 1, 256).astype(int)
    rows = torch.stack([tokens[start : start + context + 1] for start in starts])
    with torch.no_grad():
        logits = model(rows[:, :-1])
    chosen = logits.log_softmax(dim=-1).gather(-1, rows[:, 1:, None])
    return -chosen.mean(dim=(0, 2)).numpy()


def _tables(tokens: np.ndarray, judging: np.ndarray, size: int) -> dict[str, float]:
    """Nats a character of the tables, on the text that they never counted."""
    one = np.bincount(tokens, minlength=size) + 1.0
    two = np.ones((size, size))
    np.add.at(two, (tokens[:-1], tokens[1:]), 1)
    two /= two.sum(axis=1, keepdims=True)
    three = np.zeros((size, size, size))
    np.add.at(three, (tokens[:-2], tokens[1:-1], tokens[2:]), 1)
    three = (three + 5 * two) / (three.sum(axis=2, keepdims=True) + 5)
    first, second, third = judging[:-2], judging[1:-1], judging[2:]
    odds = {
        "even odds": np.full(1, 1 / size),
        "single characters": (one / one.sum())[third],
        "bigrams": two[second, third],
        "trigrams": three[first, second, third],
    }
    return {name: float(-np.log(each).mean()) for name, each in odds.items()}


def _plot(losses: list[float], loss: float, tables: dict[str, float]) -> Any:
    import plotly.graph_objects as go

    plot = go.Figure()
    plot.add_scatter(x=list(range(1, len(losses) + 1)), y=losses, name="GPT, training", mode="lines", line_color=BLUE)
    for name, colour in (("single characters", GREY), ("bigrams", ORANGE), ("trigrams", GREEN)):
        line = {"color": colour, "dash": "dash"}
        plot.add_scatter(x=[1, len(losses)], y=[tables[name]] * 2, name=name, mode="lines", line=line)
    headline(plot, f"{loss:.2f} nats a character on text that it never saw")
    plot.update_xaxes(title="step")
    plot.update_yaxes(title="loss, nats a character", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot

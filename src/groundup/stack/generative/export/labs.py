"""Labs of export: from an adapter to a file, and what each format costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.drawing import BLUE, GREY, LEGEND_BELOW, headline
from groundup.labs import Recorder, expect, lab

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.stack.generative.gpt import GPT


@dataclass(frozen=True)
class FileConfig:
    """Settings of the file lab.

    Attributes:
        seed: seed of the initial weights and of the batches.
        vocabulary: ids of the tokenizer.
        width: numbers of a token's vector, a multiple of 64.
        layers: blocks of the model.
        context: tokens of a window.
        steps: steps on Shakespeare.
        adapter_steps: steps of the adapter on the log lines.
        batch: windows in one step.
        rank: rank of the adapter.
        forget_merge: write the base without its adapters.
        forget_order: read queries and keys in llama.cpp's order of rows, as if it were ours.
    """

    seed: int = 0
    vocabulary: int = 320
    width: int = 64
    layers: int = 2
    context: int = 32
    steps: int = 120
    adapter_steps: int = 160
    batch: int = 16
    rank: int = 8
    forget_merge: bool = False
    forget_order: bool = False


@lab(
    title="Is the file the model?",
    question="An adapted model is merged and written. Does the file give its losses, and what does each format cost?",
    data=["tiny_shakespeare", "loghub_openssh"],
    presets={
        "smoke": {},
        "laptop": {"vocabulary": 1024, "width": 256, "layers": 4, "context": 128, "steps": 2000, "adapter_steps": 500},
        "full": {"vocabulary": 4096, "width": 512, "layers": 8, "context": 256, "steps": 10_000, "adapter_steps": 1000},
    },
    expectations=[
        expect("loss_F16", beats_baseline_by=0.5, lower_is_better=True, why="The adapter must be in the file."),
        expect("gap_F32", at_most=1e-4, why="The file must be the model."),
        expect("gap_Q8_0", at_most=0.02, why="8 bits must cost next to nothing."),
        expect("gap_Q4_0", at_most=0.3, why="4 bits must keep the model."),
        expect(
            "size_Q8_0", at_most=0.35, why="34 bytes for 32 weights are 27 % of float32, and the header comes on top."
        ),
    ],
    sabotage=[{"forget_merge": True}, {"forget_order": True}],
)
def file(config: FileConfig, record: Recorder) -> None:
    """Train on Shakespeare, adapt to an SSH server's log, write the merged model in each format, and read it back.

    Losses are in nats a token, on the last tenth of the log, which no training saw. The baseline is the base without
    the adapter. A gap is the loss of the file's model minus that of the adapted model in memory.
    """
    import copy
    import tempfile
    from pathlib import Path

    import torch

    from groundup.data import load
    from groundup.stack.generative.export import export_gguf, from_gguf, permute_heads
    from groundup.stack.generative.gpt import GPT, Config, train
    from groundup.stack.generative.lora import LoRALinear, add_lora
    from groundup.stack.generative.tokenization import train_tokenizer

    torch.set_num_threads(1)  # matrices this small are slower on two
    torch.manual_seed(config.seed)
    plays, log = load("tiny_shakespeare").text, "\n".join(load("loghub_openssh")["content"])
    plays, log = plays[: 2000 * config.steps], log[: 2000 * config.steps]
    cut = int(0.9 * len(log))
    words = train_tokenizer([plays[:50_000], log[: min(cut, 50_000)]], config.vocabulary, ["<|end|>"])
    tuning, judging = (torch.tensor(words.encode(part)) for part in (log[:cut], log[cut:]))
    model = GPT(Config(words.size, config.layers, 4, config.width, config.context, kv_heads=2, hidden=2 * config.width))
    settings: dict[str, Any] = {"batch": config.batch, "warmup": 10, "seed": config.seed}
    train(model, torch.tensor(words.encode(plays)), steps=config.steps, peak=1e-2, **settings)
    record.baseline("loss_F16", _loss(model, judging), "the base without its adapter")
    add_lora(model, ["query", "value", "up", "down"], config.rank, 2.0 * config.rank)
    train(model, tuning, steps=config.adapter_steps, peak=3e-2, **settings)
    adapted = _loss(model, judging)

    rows: list[dict[str, Any]] = []
    written = copy.deepcopy(model)
    if config.forget_merge:
        for name, layer in list(written.named_modules()):
            if isinstance(layer, LoRALinear):
                written.set_submodule(name, layer.base_layer)
    with tempfile.TemporaryDirectory() as folder:
        kinds: Any = ("F32", "F16", "Q8_0", "Q4_0")
        for kind in record.progress(kinds, label="formats"):
            path = Path(folder) / f"{kind}.gguf"
            export_gguf(path, written, words, kind, "<|end|>")
            back: Any = from_gguf(path)
            if config.forget_order:
                for block in back.blocks:
                    for layer, heads in ((block.attention.query, 4), (block.attention.key, 2)):
                        layer.weight.data = permute_heads(layer.weight.data, heads)
            rows.append({"format": kind, "bytes": path.stat().st_size, "loss": _loss(back, judging)})
    for row in rows:
        record.result(f"loss_{row['format']}", row["loss"])
        record.result(f"gap_{row['format']}", row["loss"] - adapted)
        record.result(f"size_{row['format']}", row["bytes"] / rows[0]["bytes"])
    record.table("formats", rows)
    record.figure("loss against size", _plot(rows, adapted))


def _loss(model: GPT, tokens: Tensor) -> float:
    """Nats a token, on 100 windows spread evenly."""
    import torch

    from groundup.stack.generative.gpt import cross_entropy

    context = model.config.context
    starts = torch.from_numpy(np.linspace(0, len(tokens) - context - 1, 100).astype(int))
    windows = tokens[starts[:, None] + torch.arange(context + 1)]
    with torch.no_grad():
        return float(cross_entropy(model(windows[:, :-1]), windows[:, 1:]))


def _plot(rows: list[dict[str, Any]], adapted: float) -> Any:
    import plotly.graph_objects as go

    plot = go.Figure()
    sizes = [row["bytes"] / 1000 for row in rows]
    names, losses = [row["format"] for row in rows], [row["loss"] for row in rows]
    plot.add_scatter(x=sizes, y=losses, text=names, name="read from the file", mode="markers+text", marker_color=BLUE)
    line = {"color": GREY, "dash": "dash"}
    plot.add_scatter(x=[0, max(sizes)], y=[adapted] * 2, name="in memory", mode="lines", line=line)
    plot.update_traces(textposition="top center")
    headline(plot, f"{names[-1]}: {sizes[-1]:.0f} kB and {losses[-1]:.3f} nats a token")
    plot.update_xaxes(title="size of the file, kB", rangemode="tozero")
    plot.update_yaxes(title="loss on unseen lines, nats a token")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot

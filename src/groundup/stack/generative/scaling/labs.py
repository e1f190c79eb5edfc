"""Labs of scaling: training in half precision, and what it keeps in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.drawing import COLOURS, GREY, LEGEND_BELOW, headline
from groundup.labs import Recorder, expect, lab

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.stack.generative.gpt import GPT


@dataclass(frozen=True)
class HalfConfig:
    """Settings of the half precision lab.

    Attributes:
        seed: seed of the initial weights and of the batches.
        layers: blocks of the model.
        width: size of a character's vector; a head has 16 numbers of it.
        context: characters that the model sees at once.
        batch: windows of one step.
        steps: steps of AdamW, the same for every precision.
        peak: learning rate after the warm-up.
        scale: the first loss scale of float16.
        shuffle_text: permute the characters to train on, which leaves only their frequencies to learn.
    """

    seed: int = 0
    layers: int = 1
    width: int = 64
    context: int = 32
    batch: int = 8
    steps: int = 100
    peak: float = 1e-2
    scale: float = 65536.0
    shuffle_text: bool = False


@lab(
    title="What does half precision cost, and what does it save?",
    question="Does a model learn in 16-bit products what it learns in float32, and is its memory what you count?",
    data=["tiny_shakespeare"],
    presets={
        "smoke": {},
        "laptop": {"layers": 3, "width": 128, "context": 64, "batch": 16, "steps": 800, "peak": 5e-3},
        "full": {"layers": 6, "width": 384, "context": 256, "batch": 64, "steps": 3000, "peak": 1e-3},
    },
    expectations=[
        expect(
            "loss", beats_baseline_by=0.5, lower_is_better=True, why="In float16 it must learn more than frequencies."
        ),
        expect("gap", at_most=0.1, why="Half precision may cost a little, not a character's worth."),
        expect("memory_error", at_most=0.05, why="Bytes that autograd keeps must be those that were counted, to 5 %."),
    ],
    sabotage=[{"peak": 0.0}, {"shuffle_text": True}, {"scale": 1e36}],
)
def half(config: HalfConfig, record: Recorder) -> None:
    """Train one small Llama three times on 90 % of tiny Shakespeare, from the same weights, on the same windows.

    Products are in float32, in bfloat16, or in float16 with a loss scale (PyTorch's autocast); weights stay in float32.
    The last 10 % judge, in nats a character. The baseline is the frequencies of the characters.
    """
    import torch

    from groundup.data import load
    from groundup.stack.generative.gpt import GPT, Config
    from groundup.stack.generative.scaling import saved_activations

    torch.set_num_threads(1)  # matrices this small are slower on two
    alphabet, codes = np.unique(np.frombuffer(load("tiny_shakespeare").text.encode(), np.uint8), return_inverse=True)
    cut = int(0.9 * len(codes))
    text = np.random.default_rng(config.seed).permutation(codes[:cut]) if config.shuffle_text else codes[:cut]
    judging = torch.from_numpy(codes[cut:])
    heads = config.width // 16
    shape = Config(len(alphabet), config.layers, heads, config.width, config.context, max(1, heads // 2), tied=False)

    rows: list[dict[str, Any]] = []
    curves, errors = {}, []
    for name, kind in (("float32", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)):
        torch.manual_seed(config.seed)
        model = GPT(shape)
        curves[name], skipped, kept = _train(model, torch.from_numpy(text), config, kind)
        counted = saved_activations(shape, config.batch, config.context, "float32" if name == "float32" else "mixed")
        errors.append(abs(counted / kept - 1))
        loss = _loss(model, judging, config)
        rows.append({"products in": name, "loss": loss, "skipped steps": skipped, "kept": kept, "counted": counted})
    counts = np.bincount(codes[:cut], minlength=len(alphabet)) + 1

    record.table("three precisions", rows)
    record.figure("loss", _plot(curves, rows))
    record.baseline(
        "loss", float(-np.log(counts / counts.sum())[codes[cut:]].mean()), "the frequencies of the characters"
    )
    losses = [row["loss"] for row in rows]
    record.result("loss", losses[2])
    record.result("gap", max(losses[1], losses[2]) - losses[0])
    record.result("memory_error", max(errors))


def _train(model: GPT, text: Tensor, config: HalfConfig, kind: Any) -> tuple[list[float], int, int]:
    """Train in place; return the losses, how many steps were skipped, and the bytes kept in the first step."""
    import torch

    from groundup.stack.generative.gpt import AdamW, batches, clip_gradients, cosine_schedule, cross_entropy
    from groundup.stack.generative.scaling import LossScaler

    optimizer = AdamW(model.parameters(), betas=(0.9, 0.95))
    scaler = LossScaler(config.scale if kind == torch.float16 else 1.0)
    matrices = {tuple(weight.shape[::-1]) for weight in model.parameters() if weight.ndim == 2}
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    alive: list[Tensor] = []

    class Clipped:  # clipping stands between the division by the scale and the step
        def step(self) -> None:
            clip_gradients(model.parameters(), 1.0)
            optimizer.step()

    def keep(x: Tensor) -> Tensor:
        copy = x.dtype == kind != torch.float32 and tuple(x.shape) in matrices  # of a weight: it is no activation
        if step == 0 and not copy and x.untyped_storage().data_ptr() not in own:
            alive.append(x)
        return x

    losses, skipped, kept = [], 0, 0
    rows = batches(text, config.batch, config.context, torch.Generator().manual_seed(config.seed))
    for step, (inputs, targets) in zip(range(config.steps), rows, strict=False):
        optimizer.param_groups[0]["lr"] = cosine_schedule(step + 1, config.steps // 10, config.steps, config.peak, 0.0)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            with torch.autocast("cpu", kind, enabled=kind != torch.float32):
                logits = model(inputs)
            loss = cross_entropy(logits.float(), targets)
        if step == 0:
            kept = sum({x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in alive}.values())
            alive.clear()
        optimizer.zero_grad()
        scaler.scale_loss(loss).backward()
        skipped += not scaler.step(Clipped(), model.parameters())
        losses.append(loss.item())
    return losses, skipped, kept


def _loss(model: GPT, tokens: Tensor, config: HalfConfig) -> float:
    """Nats a character in float32, in the second half of 256 windows spread evenly."""
    import torch

    from groundup.stack.generative.gpt import cross_entropy

    starts = np.linspace(0, len(tokens) - config.context - 1, 256).astype(int)
    rows = torch.stack([tokens[start : start + config.context + 1] for start in starts])
    with torch.no_grad():
        return float(cross_entropy(model(rows[:, :-1])[:, config.context // 2 :], rows[:, 1 + config.context // 2 :]))


def _plot(curves: dict[str, list[float]], rows: list[dict[str, Any]]) -> Any:
    import plotly.graph_objects as go

    plot = go.Figure()
    for (name, losses), colour in zip(curves.items(), (GREY, *COLOURS), strict=False):
        plot.add_scatter(x=list(range(1, len(losses) + 1)), y=losses, name=name, mode="lines", line_color=colour)
    headline(plot, f"activations: {rows[1]['kept'] / rows[0]['kept']:.2f} of float32's")
    plot.update_xaxes(title="step")
    plot.update_yaxes(title="training loss, nats a character", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot

"""Labs of decoding: what a cache saves, and how good a draft must be."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.drawing import BLUE, GREY, LEGEND_BELOW, headline
from groundup.labs import Recorder, expect, lab

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.stack.generative.gpt import GPT


@dataclass(frozen=True)
class SpeedConfig:
    """Settings of the speed lab.

    Attributes:
        seed: seed of the weights, the training windows, the prompts and the draws.
        width: width of the target, which has two layers; the draft has one, and half the width.
        context: tokens of a training window, and of a prompt and its continuation together.
        batch: training windows of a step.
        steps: training steps of the target.
        draft_steps: training steps of the draft, up to each time that it is tried; the last is judged.
        draft_learning_rate: step size of the draft; 0 leaves it as it was drawn.
        prompts: prompts, of a quarter of the context each.
        lookahead: guesses of the draft in a round.
        cached: whether the cache is used where its time is taken.
    """

    seed: int = 0
    width: int = 48
    context: int = 64
    batch: int = 12
    steps: int = 100
    draft_steps: tuple[int, ...] = (0, 20, 100)
    draft_learning_rate: float = 2e-2
    prompts: int = 6
    lookahead: int = 4
    cached: bool = True


@lab(
    title="Tokens for a second, and tokens for a call",
    question="What does a cache save, and how many guesses of a small model does a large one keep?",
    data=["tiny_shakespeare"],
    presets={
        "smoke": {},
        "laptop": {"width": 128, "context": 256, "steps": 600, "draft_steps": (0, 50, 200, 600), "prompts": 12},
        "full": {"width": 256, "context": 512, "steps": 4000, "draft_steps": (0, 100, 1000, 4000), "prompts": 24},
    },
    expectations=[
        expect("speedup", beats_baseline_by=0.5, why="A token must take two thirds of the time at most."),
        expect("positions_ratio", at_least=20, why="Without the cache each step reads everything again."),
        expect("logit_gap", at_most=1e-4, why="The cache must change no logit, whatever padding is beside it."),
        expect("kept", beats_baseline_by=0.15, why="A trained draft must beat the frequencies of the characters."),
        expect("tokens_per_call", at_least=1.8, why="A call of the target must bring nearly two tokens."),
    ],
    sabotage=[{"cached": False}, {"draft_learning_rate": 0.0}],
)
def speed(config: SpeedConfig, record: Recorder) -> None:
    """Train a character model, decode with and without the cache, then let a smaller model guess for it.

    The first 90 % of tiny Shakespeare train, prompts come from the rest. Times are processor times of one thread. The
    share of guesses that are kept counts those that were judged: up to and with the first of a round that is rejected.
    """
    import torch

    from groundup.data import load
    from groundup.stack.generative.decoding import Sampling, generate
    from groundup.stack.generative.gpt import train

    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    letters, codes = np.unique(list(load("tiny_shakespeare").text), return_inverse=True)
    fitting, unseen = np.split(codes, [int(0.9 * len(codes))])
    length = config.context // 4
    prompts = [
        unseen[start : start + length].tolist() for start in rng.integers(len(unseen) - length, size=config.prompts)
    ]
    target = _model(len(letters), 2, config.width, config)
    train(target, fitting, steps=config.steps, batch=config.batch, peak=2e-2, warmup=10, seed=config.seed)

    # 1. The cache: prompts of unequal lengths, so that there is padding.
    unequal = [prompt[row % length :] for row, prompt in enumerate(prompts)]
    count = config.context - length
    runs = {}
    for name, cached in (("with a cache", config.cached), ("without", False)):
        watched = _Watched(target)
        began = time.thread_time()
        tokens = list(generate(watched, unequal, count, cached=cached))
        runs[name] = (time.thread_time() - began, watched.positions, watched.logits, tokens)
    (fast, few, cached_logits, _), (slow, many, logits, _) = runs.values()
    record.table(
        "the cache",
        [
            {"way": way, "positions computed": run[1], "tokens a second": count * config.prompts / run[0]}
            for way, run in runs.items()
        ],
    )
    record.baseline("speedup", 1.0, "no cache")
    record.result("speedup", slow / fast)
    record.result("positions_ratio", many / few)
    gaps = [(a - b).abs().max() for a, b in zip(cached_logits, logits, strict=True)]
    record.result("logit_gap", float(torch.stack(gaps).max()))

    # 2. The draft: frequencies of the characters, then a small model at several times of its training.
    frequencies = torch.from_numpy(np.bincount(fitting) / len(fitting)).float()
    state = torch.Generator().manual_seed(config.seed)
    rows: list[dict[str, Any]] = []

    def attempt(name: str, draft: Any) -> None:
        kept, per_call = _speculate(target, draft, prompts, count, Sampling(), config.lookahead, state)
        rows.append({"draft": name, "kept": kept, "tokens for a call": per_call})

    attempt("frequencies", _Frequencies(frequencies))
    draft = _model(len(letters), 1, config.width // 2, config)
    trained = 0
    for steps in record.progress(config.draft_steps, label="drafts"):
        if steps > trained:
            more = steps - trained
            train(
                draft,
                fitting,
                steps=more,
                batch=config.batch,
                peak=config.draft_learning_rate,
                warmup=min(10, more),
                seed=steps,
            )
        trained = steps
        attempt(f"{steps} steps", draft)
    record.table("drafts", rows)
    record.figure("guesses kept", _plot(config, rows))
    record.baseline("kept", rows[0]["kept"], "the frequencies of the characters as a draft")
    record.result("kept", rows[-1]["kept"])
    record.result("tokens_per_call", rows[-1]["tokens for a call"])


def _model(vocabulary: int, layers: int, width: int, config: SpeedConfig) -> GPT:
    from groundup.stack.generative.gpt import GPT, Config

    return GPT(Config(vocabulary, layers, 4, width, config.context, tied=False))


class _Watched:
    """Counts the positions that a model computes, and keeps the logits of each step."""

    def __init__(self, model: Any) -> None:
        self.model, self.positions = model, 0
        self.logits: list[Tensor] = []

    def __call__(self, tokens: Tensor, positions: Tensor, mask: Tensor, cache: Any) -> Tensor:
        logits = self.model(tokens, positions, mask, cache)
        self.positions += tokens.numel()
        self.logits.append(logits[:, -1].clone())
        return logits


class _Frequencies:
    """A draft that knows the frequencies of the characters, and nothing of the text."""

    def __init__(self, shares: Tensor) -> None:
        self.logits = shares.log()

    def __call__(self, tokens: Tensor, positions: Tensor, mask: Tensor, cache: Any) -> Tensor:
        cache.extend(0, *[self.logits.new_zeros(1, 1, tokens.shape[1], 1)] * 2)
        return self.logits.expand(*tokens.shape, -1)


def _speculate(
    target: Any, draft: Any, prompts: list[list[int]], count: int, sampling: Any, lookahead: int, state: Any
) -> tuple[float, float]:
    """The share of judged guesses that were kept, and the tokens that a call of the target brought."""
    from groundup.stack.generative.decoding import speculate

    kept = judged = calls = 0
    for prompt in prompts:
        left = count
        for tokens in speculate(target, draft, prompt, count, sampling, lookahead=lookahead, generator=state):
            guesses = min(lookahead, left - 1)
            kept += len(tokens) - 1
            judged += min(len(tokens), guesses)
            left -= len(tokens)
            calls += 1
    return kept / judged, count * len(prompts) / calls


def _plot(config: SpeedConfig, rows: list[dict[str, Any]]) -> Any:
    import plotly.graph_objects as go

    plot = go.Figure()
    shares = [row["kept"] for row in rows]
    plot.add_scatter(x=config.draft_steps, y=shares[1:], name="a small model", mode="lines+markers", line_color=BLUE)
    ends = [config.draft_steps[0], config.draft_steps[-1]]
    line = {"color": GREY, "dash": "dash"}
    plot.add_scatter(x=ends, y=[shares[0]] * 2, name="frequencies", mode="lines", line=line)
    headline(
        plot, f"{100 * shares[-1]:.0f} % of the guesses are kept: {rows[-1]['tokens for a call']:.1f} tokens a call"
    )
    plot.update_xaxes(title="training steps of the draft")
    plot.update_yaxes(title="share of guesses kept", range=[0, 1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot

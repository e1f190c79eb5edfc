"""Labs of LLM serving: continuous beside static batching, and memory in pages beside memory that is reserved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.drawing import BLUE, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.labs import Recorder, expect, lab


@dataclass(frozen=True)
class ServingConfig:
    """Settings of the serving lab.

    Attributes:
        seed: seed of the weights, the prompts and the lengths.
        requests: how many requests come, all at once.
        slots: most requests that run at a time, in both ways.
        mean: of the drawn lengths of answers, which are geometric and at most `longest`.
        longest: most tokens of an answer; what a system must reserve that does not know lengths.
        size: tokens of a block.
        blocks: of the cache; few enough that requests are sometimes preempted.
        prompt: tokens of a shared beginning of every prompt.
        join: let requests join at every step; without it, each batch waits for its longest.
        width: of the model.
    """

    seed: int = 0
    requests: int = 40
    slots: int = 8
    mean: float = 10.0
    longest: int = 48
    size: int = 4
    blocks: int = 30
    prompt: int = 8
    join: bool = True
    width: int = 16


@lab(
    title="A server's steps",
    question="How many tokens does a step of the model bring, and how much memory holds nothing?",
    data=[],
    presets={
        "smoke": {},
        "laptop": {"requests": 200, "mean": 20.0, "width": 64, "blocks": 48},
        "full": {"requests": 1000, "mean": 20.0, "width": 64, "slots": 16, "blocks": 96},
    },
    expectations=[
        expect("tokens a step", beats_baseline_by=1.0, why="A slot that is empty is filled at once."),
        expect("memory used", beats_baseline_by=0.3, why="Only the last block of a request has empty slots."),
        expect("same text", at_least=1.0, why="Who else is served must change nobody's text."),
        expect("prompt tokens reused", at_least=0.3, why="All prompts begin alike, and are computed once."),
    ],
    sabotage=[{"join": False}, {"size": 48}],
)
def serving(config: ServingConfig, record: Recorder) -> None:
    """Serve prompts that come all at once, with drawn lengths of answers, and count steps of the model.

    Static batching takes as many requests as there are slots, and waits for the longest answer: its steps follow from
    the lengths. Continuous batching is run. Each text is held to the same model without a cache and without company.
    Memory is looked at after each step: the share of the slots in used blocks that hold a token, beside the share if
    every running request had reserved room for its prompt and the longest answer.
    """
    import torch

    from groundup.stack.generative.gpt import GPT, Config
    from groundup.stack.production.llm_serving import Engine, PagedCache

    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    shape = Config(31, 2, 2, config.width, config.prompt + 4 + config.longest)
    model = GPT(shape).double().eval()
    lengths = np.minimum(rng.geometric(1 / config.mean, config.requests), config.longest)
    shared = rng.integers(31, size=config.prompt).tolist()
    prompts = [shared + rng.integers(31, size=rng.integers(1, 5)).tolist() for _ in lengths]
    cache = PagedCache(shape, config.blocks, config.size, torch.float64)
    engine = Engine(model, cache, config.slots, 2 * config.slots)
    waiting = list(zip(prompts, lengths.tolist(), strict=True))
    requests, used, reserved, busy = [], [], [], []
    room = shape.context
    while waiting or engine.busy:
        if waiting and (config.join or not engine.busy):
            taken = len(waiting) if config.join else config.slots
            requests += [engine.submit(*each) for each in waiting[:taken]]
            waiting = waiting[taken:]
        running = {id(request): request for request in engine.running}
        engine.step()
        running |= {id(request): request for request in engine.running}
        alive = [request for request in engine.running if request.blocks]
        if alive:
            held = {block for request in alive for block in request.blocks}
            used.append(_held(alive, config.size) / (len(held) * config.size))
            reserved.append(sum(request.computed for request in alive) / (len(alive) * room))
        busy.append(len(running))
    record.table(
        "steps",
        [
            {"way": "static", "steps": _static(lengths, config.slots), "tokens": int(lengths.sum())},
            {"way": "continuous", "steps": engine.steps, "tokens": int(lengths.sum())},
        ],
    )
    record.figure("slots in use", _plot(busy, lengths, config.slots))
    sample = rng.permutation(len(requests))[:12]
    same = [requests[row].generated == _alone(model, prompts[row], int(lengths[row])) for row in sample]
    tokens = float(lengths.sum())
    record.baseline("tokens a step", tokens / _static(lengths, config.slots), "static batching")
    record.result("tokens a step", tokens / engine.steps)
    record.baseline("slots used", tokens / _static(lengths, config.slots) / config.slots, "static batching")
    record.result("slots used", tokens / engine.steps / config.slots)
    record.baseline("memory used", float(np.mean(reserved)), "room reserved for the longest answer")
    record.result("memory used", float(np.mean(used)))
    record.result("same text", float(np.mean(same)))
    needed = sum(map(len, prompts)) + tokens - len(requests)
    record.result("prompt tokens reused", float((needed - engine.computed) / sum(map(len, prompts))))
    record.result("preempted", float(engine.preempted))


def _held(requests: list[Any], size: int) -> int:
    """How many slots of blocks hold a token, those of shared blocks counted once."""
    slots = {(request.blocks[token // size], token % size) for request in requests for token in range(request.computed)}
    return len(slots)


def _static(lengths: np.ndarray, slots: int) -> int:
    """Steps of static batching: a batch takes as many as its longest answer, the first reads the prompts."""
    return sum(int(lengths[start : start + slots].max()) for start in range(0, len(lengths), slots))


def _alone(model: Any, prompt: list[int], count: int) -> list[int | None]:
    from groundup.stack.generative.decoding import generate

    return [step[0] for step in generate(model, [prompt], count, cached=False)]


def _plot(busy: list[int], lengths: np.ndarray, slots: int) -> Any:
    import plotly.graph_objects as go

    static: list[int] = []
    for start in range(0, len(lengths), slots):
        batch = lengths[start : start + slots]
        static += [int((batch > step).sum()) for step in range(batch.max())]
    plot = go.Figure()
    plot.add_scatter(y=static, name="static", line={"color": ORANGE, "shape": "hv"})
    plot.add_scatter(y=busy, name="continuous", line={"color": BLUE, "shape": "hv"})
    plot.add_hline(y=slots, line={"color": GREY, "dash": "dot"})
    headline(plot, f"{len(static)} steps static, {len(busy)} continuous")
    plot.update_xaxes(title="step of the model")
    plot.update_yaxes(title="slots in use", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot

"""Labs of RLHF: a world with a reward that can be verified, and an optimum that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from groundup.drawing import BLUE, GREY, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab

if TYPE_CHECKING:
    from torch import Tensor

DIGITS, PLACES = 5, 3
STOP = DIGITS


@dataclass(frozen=True)
class OptimumConfig:
    """Settings of the optimum lab.

    Attributes:
        seed: seed of the draws.
        rounds: rounds of answering and learning.
        group: answers to each of the five prompts in a round.
        epochs: steps of Adam on the answers of a round.
        learning_rate: their size.
        beta: PPO's price of leaving the reference.
        shuffle_rewards: permute the scores of a round, which leaves nothing to learn.
    """

    seed: int = 0
    rounds: int = 150
    group: int = 32
    epochs: int = 2
    learning_rate: float = 0.05
    beta: float = 0.25
    shuffle_rewards: bool = False


@lab(
    title="A reward that can be verified",
    question="Do PPO, with a price for leaving the reference, and GRPO, without one, find the best policies there are?",
    presets={"smoke": {}, "laptop": {"rounds": 600, "group": 64}, "full": {"rounds": 2000, "group": 256}},
    expectations=[
        expect("ppo_gap", at_most=0.12, why="The best policy at this price is known: PPO must come near it."),
        expect("ppo_gap", beats_baseline_by=0.3, lower_is_better=True, why="The reference itself is far from it."),
        expect("grpo_success", at_least=0.9, why="Without a price the best policy is always right."),
        expect("grpo_success", beats_baseline_by=0.5, why="The reference is right once in 36 times."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_rewards": True}],
    seeds=5,
)
def optimum(config: OptimumConfig, record: Recorder) -> None:
    """Learn to answer a digit with the next one and to stop, from nothing but "right" or "wrong".

    An answer has up to three tokens, five digits and a stop token; the policy is a table of the prompt and the token
    before. At a price beta the best policy is right with probability p e^(1/beta) / (p e^(1/beta) + 1 - p), where p is
    the reference's. Probabilities of being right are computed from the tables, not counted.
    """
    import plotly.graph_objects as go
    import torch

    torch.set_num_threads(1)  # tables this small are slower on two
    reference = torch.zeros(DIGITS, PLACES, DIGITS + 2, DIGITS + 1)
    chance = _success(reference)
    gain = chance * float(np.exp(1 / config.beta))
    best = gain / (gain + 1 - chance)
    ppo, grpo = (_learn(config, way, record) for way in ("ppo", "grpo"))
    record.baseline("ppo_gap", abs(chance - best), "the reference policy")
    record.result("ppo_gap", abs(ppo[-1] - best))
    record.baseline("grpo_success", chance, "the reference policy")
    record.result("grpo_success", grpo[-1])
    record.table(
        "probability of the right answer",
        [
            {"policy": "reference", "success": chance},
            {"policy": f"the best at a price of {config.beta:g}", "success": best},
            {"policy": "PPO", "success": ppo[-1]},
            {"policy": "GRPO", "success": grpo[-1]},
        ],
    )
    plot = go.Figure()
    rounds = list(range(len(ppo)))
    for name, values, colour in (("PPO", ppo, BLUE), ("GRPO", grpo, ORANGE), ("best of PPO", [best] * len(ppo), GREY)):
        plot.add_scatter(x=rounds, y=values, name=name, line_color=colour)
    plot.update_xaxes(title="round")
    plot.update_yaxes(title="probability of the right answer", range=[0, 1])
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("learning", plot)


def _learn(config: OptimumConfig, way: str, record: Recorder) -> list[float]:
    """The probability of being right after each round."""
    import torch

    from groundup.stack.generative.rlhf import (
        gae,
        group_advantages,
        grpo_loss,
        normalize,
        ppo_policy_loss,
        ppo_value_loss,
        shaped_rewards,
    )

    generator = torch.Generator().manual_seed(config.seed)
    reference = torch.zeros(DIGITS, PLACES, DIGITS + 2, DIGITS + 1)
    table, critic = (torch.zeros(*reference.shape[:size]).requires_grad_() for size in (4, 3))
    optimizer = torch.optim.Adam([table, critic], lr=config.learning_rate)
    prompts = torch.arange(DIGITS).repeat_interleave(config.group)
    successes = []
    for step in record.progress(range(config.rounds), label=way):
        tokens, before, mask = _answers(table.detach(), prompts, generator)
        scores = ((tokens[:, 0] == (prompts + 1) % DIGITS) & (tokens[:, 1] == STOP)).float()
        if config.shuffle_rewards:
            scores = scores[torch.randperm(len(scores), generator=generator)]
        places = torch.arange(PLACES)

        def log_probs(policy: Tensor, tokens: Tensor = tokens, before: Tensor = before, at: Tensor = places) -> Tensor:
            logits = policy[prompts[:, None], at, before].log_softmax(-1)
            return logits.gather(2, tokens[:, :, None])[:, :, 0]

        old, frozen = log_probs(table).detach(), log_probs(reference)
        values = critic[prompts[:, None], places, before].detach()
        if way == "ppo":
            advantages, returns = gae(shaped_rewards(scores, old, frozen, mask, config.beta), values, mask)
            advantages = normalize(advantages, mask)
        else:
            advantages, returns = group_advantages(scores.reshape(DIGITS, -1)).flatten(), values
        for _ in range(config.epochs):
            if way == "ppo":
                loss = ppo_policy_loss(log_probs(table), old, advantages, mask)
                loss = loss + ppo_value_loss(critic[prompts[:, None], places, before], values, returns, mask)
            else:
                loss = grpo_loss(log_probs(table), old, frozen, advantages, mask)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        successes.append(_success(table.detach()))
        record.metric(f"{way}_success", successes[-1], step=step)
    return successes


def _answers(table: Tensor, prompts: Tensor, generator: object) -> tuple[Tensor, Tensor, Tensor]:
    """Draw tokens until the stop token; return them, the token before each, and where they are real."""
    import torch

    last = torch.full_like(prompts, DIGITS + 1)
    running = torch.ones_like(prompts, dtype=torch.bool)
    tokens, before, mask = [], [], []
    for place in range(PLACES):
        drawn = torch.multinomial(table[prompts, place, last].softmax(1), 1, generator=generator)[:, 0]  # type: ignore[arg-type]
        for column, values in ((tokens, drawn), (before, last), (mask, running)):
            column.append(values)
        running = running & (drawn != STOP)
        last = drawn
    return torch.stack(tokens, 1), torch.stack(before, 1), torch.stack(mask, 1)


def _success(table: Tensor) -> float:
    """The probability of the next digit and then the stop token, averaged over prompts."""
    import torch

    prompts = torch.arange(DIGITS)
    right = (prompts + 1) % DIGITS
    first = table[prompts, 0, DIGITS + 1].softmax(1)[prompts, right]
    return float((first * table[prompts, 1, right].softmax(1)[:, STOP]).mean())

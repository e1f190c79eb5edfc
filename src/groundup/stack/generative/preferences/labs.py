"""Labs of preferences: three ways to an optimum that is known, and tone in real answers."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.labs import Recorder, expect, lab

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class OptimumConfig:
    """Settings of the optimum lab.

    Attributes:
        seed: seed of the world and of the pairs.
        prompts: how many prompts.
        answers: answers to each; an answer is one token.
        pairs: compared pairs, for all prompts together.
        beta: the price of leaving the reference.
        steps: steps of Adam for each way.
        learning_rate: their size.
        flip: exchange the answers of each pair with probability one half, which leaves nothing to learn.
    """

    seed: int = 0
    prompts: int = 4
    answers: int = 5
    pairs: int = 20_000
    beta: float = 0.5
    steps: int = 150
    learning_rate: float = 0.05
    flip: bool = False


@lab(
    title="Three ways to the same optimum",
    question="Pairs come from known rewards. Do a reward model, DPO and IPO find the policies that theory names?",
    presets={"smoke": {}, "laptop": {"pairs": 200_000, "steps": 500}, "full": {"pairs": 1_000_000, "answers": 20}},
    expectations=[
        expect("reward model", at_most=0.06, why="Rewards learned from pairs must give the policy of the true ones."),
        expect("DPO", at_most=0.06, why="Without a reward model DPO must find the same policy."),
        expect("DPO", beats_baseline_by=0.1, lower_is_better=True, why="The reference itself is no answer."),
        expect("IPO", at_most=0.03, why="IPO's own optimum weighs answers by how often they win."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"flip": True}],
    seeds=5,
)
def optimum(config: OptimumConfig, record: Recorder) -> None:
    """Draw rewards, a reference policy and pairs, and measure how far each way ends from its optimum.

    A distance is the total variation between two policies, averaged over prompts: the probability mass that would have
    to move. Pairs are uniform over all pairs of answers, also of an answer with itself, and the better one is chosen
    with probability σ(difference). IPO's optimum for such pairs is reference · exp(share of wins / tau), normalised.
    """
    import torch

    from groundup.stack.generative.preferences import (
        answer_log_probs,
        dpo_loss,
        ipo_loss,
        optimal_log_probs,
        reward_loss,
    )

    torch.set_num_threads(1)  # tables this small are slower on two
    rng = np.random.default_rng(config.seed)
    shape = config.prompts, config.answers
    rewards = torch.from_numpy(rng.normal(size=shape))
    reference = torch.from_numpy(rng.normal(size=shape)).log_softmax(1)
    prompt = torch.from_numpy(rng.integers(config.prompts, size=config.pairs))
    first, second = torch.from_numpy(rng.integers(config.answers, size=(2, config.pairs)))
    odds = torch.sigmoid(rewards[prompt, first] - rewards[prompt, second])
    wins = torch.from_numpy(rng.random(config.pairs)) < (0.5 if config.flip else odds)
    chosen, rejected = first.where(wins, second), second.where(wins, first)
    answer = torch.tensor([[False, True]]).expand(config.pairs, 2)

    def fit(loss: Any) -> Tensor:
        table = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([table], lr=config.learning_rate)
        for _ in range(config.steps):
            optimizer.zero_grad()
            loss(table).backward()
            optimizer.step()
        return table.detach()

    def both(policy: Tensor) -> list[Any]:
        """Log-probabilities of the chosen and the rejected answers; the model is a table that reads the prompt."""
        logits = policy[prompt][:, None].expand(-1, 2, -1)
        return [answer_log_probs(logits, torch.stack([prompt, token], dim=1), answer) for token in (chosen, rejected)]

    frozen = both(reference)
    learned = fit(lambda table: reward_loss(table[prompt, chosen], table[prompt, rejected]))
    by_dpo = fit(lambda table: dpo_loss(*both(reference + table), *frozen, beta=config.beta))
    by_ipo = fit(lambda table: ipo_loss(*both(reference + table), *frozen, tau=config.beta))

    best = optimal_log_probs(reference, rewards, config.beta).exp()
    shares = torch.sigmoid(rewards[:, :, None] - rewards[:, None]).mean(dim=2)
    best_ipo = optimal_log_probs(reference, shares, config.beta).exp()
    policies = {
        "reward model": (optimal_log_probs(reference, learned, config.beta).exp(), best),
        "DPO": ((reference + by_dpo).softmax(1), best),
        "IPO": ((reference + by_ipo).softmax(1), best_ipo),
    }
    rows = []
    for name, (policy, aim) in policies.items():
        record.baseline(name, _distance(reference.exp(), aim), "the reference policy")
        record.result(name, _distance(policy, aim))
        rows.append({"way": name, "expected reward": float((policy * rewards).sum(1).mean())})
    rows.append({"way": "reference", "expected reward": float((reference.exp() * rewards).sum(1).mean())})
    rows.append({"way": "optimum of DPO", "expected reward": float((best * rewards).sum(1).mean())})
    record.table("expected rewards", rows)


def _distance(policy: Tensor, other: Tensor) -> float:
    return float((policy - other).abs().sum(1).mean() / 2)


@dataclass(frozen=True)
class ToneConfig:
    """Settings of the tone lab.

    Attributes:
        seed: seed of the split, of the initial weights and of exchanged pairs.
        words: rows of the table that words are hashed into.
        dim: size of a word's vector.
        steps: steps of Adam, each on all training pairs.
        learning_rate: their size.
        flip: exchange the answers of each training pair with probability one half, which leaves nothing to learn.
    """

    seed: int = 0
    words: int = 4096
    dim: int = 16
    steps: int = 60
    learning_rate: float = 0.02
    flip: bool = False


@lab(
    title="A reward for tone",
    question="Can a reward model tell the polite answer from the rude one, to prompts that it has not seen?",
    data=["instructions"],
    presets={"smoke": {}, "laptop": {"dim": 64, "steps": 200}, "full": {"dim": 256, "steps": 400}},
    expectations=[expect("accuracy", beats_baseline_by=0.2, why="Rude words are few, and length alone says little.")],
    sabotage=[{"learning_rate": 0.0}, {"flip": True}],
)
def tone(config: ToneConfig, record: Recorder) -> None:
    """Train a reward model on pairs of real answers: word vectors, their running mean, and a head on the last.

    70 % of the pairs train, the rest judge: the share of pairs whose chosen answer has the larger reward. The baseline
    prefers the shorter answer, or the longer one, whichever is right more often there.
    """
    import torch
    from torch import nn

    from groundup.data import load
    from groundup.stack.generative.preferences import RewardHead, reward_loss

    torch.set_num_threads(1)  # matrices this small are slower on two
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    answers = load("instructions")
    pairs = [_tokens(answers[name], config.words) for name in ("chosen", "rejected")]
    order = torch.from_numpy(rng.permutation(len(answers)))
    train, test = order[: int(0.7 * len(order))], order[int(0.7 * len(order)) :]
    flips = torch.from_numpy(rng.random(len(train)) < (0.5 if config.flip else 0.0))
    signs = torch.where(flips, -1.0, 1.0)
    embedding, head = nn.Embedding(config.words + 1, config.dim), RewardHead(config.dim)

    def rewards(rows: Tensor) -> list[Tensor]:
        scores = []
        for tokens, mask in pairs:
            real = mask[rows]
            hidden = (embedding(tokens[rows]) * real[:, :, None]).cumsum(1) / real.cumsum(1)[:, :, None]
            scores.append(head(hidden, real))
        return scores

    optimizer = torch.optim.Adam([*embedding.parameters(), *head.parameters()], lr=config.learning_rate)
    for step in record.progress(range(config.steps), label="steps"):
        optimizer.zero_grad()
        chosen, rejected = rewards(train)
        loss = reward_loss(signs * chosen, signs * rejected)
        loss.backward()
        optimizer.step()
        record.metric("loss", loss.item(), step=step)
    with torch.no_grad():
        chosen, rejected = rewards(test)
    lengths = [mask[test].sum(1) for _, mask in pairs]
    shorter, longer = float((lengths[0] < lengths[1]).float().mean()), float((lengths[0] > lengths[1]).float().mean())
    record.baseline("accuracy", max(shorter, longer), "the shorter answer" if shorter > longer else "the longer answer")
    record.result("accuracy", float((chosen > rejected).float().mean()))


def _tokens(texts: np.ndarray, words: int) -> tuple[Tensor, Tensor]:
    """Hashed words, padded to the right, and where they are real. An empty text is one token."""
    import torch

    rows = [[zlib.crc32(word.encode()) % words + 1 for word in str(text).lower().split()][:60] or [0] for text in texts]
    width = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    return tokens, torch.tensor([[place < len(row) for place in range(width)] for row in rows])

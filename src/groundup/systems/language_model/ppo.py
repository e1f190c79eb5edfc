"""PPO as a stage: a critic beside the policy, and several steps on each round of answers."""

from __future__ import annotations

import copy

import torch
from torch import nn

from groundup.stack.generative.gpt import GPT
from groundup.stack.generative.instruction_tuning import Example
from groundup.stack.generative.rlhf import gae, normalize, ppo_policy_loss, ppo_value_loss, shaped_rewards
from groundup.systems.language_model.evaluation import padded, token_log_probs
from groundup.systems.language_model.training import Training

BETA, EPOCHS = 0.05, 2
"""The price of leaving the reference, and steps on each round of answers."""


class Critic(nn.Module):
    """The critic: a model's body with one output, the expected reward of the answer so far.

    Args:
        model: its body is a copy of this model's; the number begins at 0.
    """

    def __init__(self, model: GPT) -> None:
        super().__init__()
        self.body = copy.deepcopy(model)
        self.score = nn.Linear(model.config.width, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The value before each token but the first: (rows, tokens - 1)."""
        positions = torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape)
        hidden = self.body.embedding(tokens)
        for block in self.body.blocks:
            hidden = block(hidden, positions)
        return self.score(self.body.norm(hidden))[:, :-1, 0]


class ActorCritic(nn.Module):
    """Both that PPO trains."""

    def __init__(self, policy: GPT) -> None:
        super().__init__()
        self.policy, self.critic = policy, Critic(policy)


def ppo_round(
    training: Training, both: ActorCritic, reference: GPT, examples: list[Example], scores: torch.Tensor, device: str
) -> None:
    """Take the steps of one round of answers.

    Args:
        training: of `both`; takes the steps at the learning rate that is set.
        both: policy and critic.
        reference: the policy at the start, frozen.
        examples: questions and their answers, of which the answers train.
        scores: what each answer is worth.
        device: where all three are.
    """
    tokens, answer = padded(examples, device)
    mask = answer[:, 1:]
    with torch.no_grad():
        old, fixed = token_log_probs(both.policy, tokens), token_log_probs(reference, tokens)
        old_values = both.critic(tokens)
    rewards = shaped_rewards(scores.to(device), old, fixed, mask, BETA)
    advantages, returns = gae(rewards, old_values, mask)
    advantages = normalize(advantages, mask)
    for _ in range(EPOCHS):
        new, values = token_log_probs(both.policy, tokens), both.critic(tokens)
        loss = ppo_policy_loss(new, old, advantages, mask) + ppo_value_loss(values, old_values, returns, mask)
        training.descend(loss)

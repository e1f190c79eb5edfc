"""Preferences: a reward model of pairs, and DPO and IPO, which need none."""

from groundup.stack.generative.preferences.preferences import (
    LogProbs,
    RewardHead,
    answer_log_probs,
    dpo_loss,
    implicit_rewards,
    ipo_loss,
    optimal_log_probs,
    reward_loss,
)

__all__ = [
    "LogProbs",
    "RewardHead",
    "answer_log_probs",
    "dpo_loss",
    "implicit_rewards",
    "ipo_loss",
    "optimal_log_probs",
    "reward_loss",
]

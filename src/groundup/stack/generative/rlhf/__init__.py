"""RLHF: PPO and GRPO, which learn from rewards of answers that the policy itself gave."""

from groundup.stack.generative.rlhf.rlhf import (
    clipped_gains,
    gae,
    group_advantages,
    grpo_loss,
    kl_estimate,
    normalize,
    ppo_policy_loss,
    ppo_value_loss,
    shaped_rewards,
)

__all__ = [
    "clipped_gains",
    "gae",
    "group_advantages",
    "grpo_loss",
    "kl_estimate",
    "normalize",
    "ppo_policy_loss",
    "ppo_value_loss",
    "shaped_rewards",
]

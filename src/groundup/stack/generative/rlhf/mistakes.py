# pyright: basic
"""Ways to get RLHF wrong, and right ways that differ."""

import torch

from groundup.anatomy import mistake, variant
from groundup.stack.generative.rlhf.rlhf import _check_clip, _check_mask, clipped_gains, kl_estimate


@mistake("shaped_rewards", edit=("-beta * (old - reference)", "-beta * (reference - old)"))
def pays_for_leaving():
    """You pay for leaving the reference. The price is -beta · (old - reference)."""


@mistake("shaped_rewards", edit=("last = (places * mask).argmax(dim=1)", "last = places[-1].expand(len(mask))"))
def scores_the_padding():
    """You put the score on the last place, padding or not. It belongs to the last token of the answer."""


@mistake("shaped_rewards", edit=("scores[:, None] * (places == last[:, None])", "scores[:, None] * mask"))
def scores_every_token():
    """You give every token the score: a long answer then earns it many times."""


@mistake("gae", edit=("gamma * lam * advantage) * mask[:, place]", "gamma * lam * advantage)"))
def goes_on_into_the_padding():
    """You let padding take part. An answer ends with its last token, and advantages of padding are 0."""


@mistake("gae", edit=("gamma * lam * advantage", "lam * advantage"))
def forgets_gamma():
    """You weigh later surprises by lam alone. Each step further counts gamma · lam."""


@mistake("gae", edit=("next_value = values[:, place]", "pass"))
def expects_nothing_afterwards():
    """You take 0 for the value of every next token. That is right after the last one only."""


@mistake("gae", edit=("return advantages, advantages + values", "return advantages, advantages"))
def returns_advantages_twice():
    """You return advantages for returns. The critic's target is advantages plus values."""


@mistake("clipped_gains", edit=("torch.minimum(ratio * advantages, ", "torch.maximum(ratio * advantages, "))
def takes_the_better_gain():
    """You take the larger gain. PPO is careful: the lower of the two counts."""


@mistake(
    "clipped_gains",
    edit=(
        "torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)",
        "ratio.clamp(1 - clip, 1 + clip) * advantages",
    ),
)
def clips_always():
    """You count the clipped gain alone. A token that went wrong then cannot come back: take the minimum."""


@mistake("clipped_gains", edit=("ratio.clamp(1 - clip, 1 + clip)", "ratio.clamp(-clip, clip)"))
def clips_around_zero():
    """You clip the ratio around 0. It is 1 where nothing has changed."""


@mistake("clipped_gains", edit=("(new - old)", "(old - new)"))
def turns_the_ratio_over():
    """Your ratio is old / new. It is new / old: what grows likelier counts more."""


@mistake("ppo_value_loss", edit=("torch.maximum(", "torch.minimum("))
def takes_the_smaller_error():
    """You take the smaller error. The larger of the two counts."""


@mistake("ppo_value_loss", edit=("old_values + (values - old_values).clamp(-clip, clip)", "values.clamp(-clip, clip)"))
def clips_the_value_itself():
    """You clip the value around 0. Clip how far it went from the old value."""


@mistake("ppo_value_loss", edit=("0.5 * _mean(errors, mask)", "0.5 * errors.mean()"))
def averages_over_padding():
    """You average over padding, too. Take the mean over tokens."""


@mistake("group_advantages", edit=("scores.mean(dim=1, keepdim=True)", "scores.mean()"))
def compares_with_all_prompts():
    """You compare with the mean of all prompts: easy prompts then look good. Each group has its own mean."""


@mistake("group_advantages", edit=(".masked_fill(equal, 0.0)", ""))
def divides_by_no_variance():
    """You divide by a deviation of 0, or of rounding errors. A group of equal scores has advantages of exactly 0."""


@mistake("grpo_loss", edit=("(losses.sum(dim=1) / mask.sum(dim=1)).mean()", "losses.sum() / losses.numel()"))
def averages_over_the_padded_length():
    """You divide by all places, padding among them. Take a mean over each answer's tokens, then over answers."""


@mistake("grpo_loss", edit=("(losses.sum(dim=1) / mask.sum(dim=1)).mean()", "losses.sum() / mask.sum()"))
def averages_over_all_tokens():
    """You average over all tokens together: long answers count for more. GRPO averages answer by answer."""


@mistake("grpo_loss", edit=("beta * divergence - gains", "-beta * divergence - gains"))
def rewards_the_divergence():
    """You reward leaving the reference. Its price is added to the loss."""


@variant("shaped_rewards")
def answer_by_answer(scores, old, reference, mask, beta):
    """The score is added at the last token of each row in turn."""
    _check_mask(mask)
    if beta < 0:
        raise ValueError(f"beta must not be negative, got {beta}")
    rewards = torch.zeros_like(old)
    for number, marks in enumerate(mask):
        here = marks.nonzero()[:, 0]
        rewards[number, here] = beta * (reference[number, here] - old[number, here])
        rewards[number, here[-1]] += scores[number]
    return rewards


@variant("gae")
def by_powers(rewards, values, mask, gamma=1.0, lam=0.95):
    """A matrix of powers times the surprises."""
    _check_mask(mask)
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must be from 0 to 1, got {gamma}")
    if not 0 <= lam <= 1:
        raise ValueError(f"lam must be from 0 to 1, got {lam}")
    rewards = torch.where(mask, rewards.detach(), 0.0)
    values = torch.where(mask, values.detach(), 0.0)
    following = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], 1)
    surprises = rewards + gamma * following - values
    places = torch.arange(values.shape[1])
    distance = places[None, :] - places[:, None]
    powers = torch.where(distance >= 0, (gamma * lam) ** distance.clamp(min=0).to(values), 0.0)
    advantages = torch.where(mask, surprises @ powers.T, 0.0)
    return advantages, advantages + values


@variant("clipped_gains")
def by_cases(new, old, advantages, mask, clip=0.2):
    """The ratio is capped above where the advantage is positive, and below where it is negative."""
    _check_mask(mask)
    _check_clip(clip)
    ratio = torch.exp(torch.where(mask, new - old, torch.zeros_like(new)))
    capped = torch.where(advantages > 0, ratio.clamp(max=1 + clip), ratio.clamp(min=1 - clip))
    return capped * advantages


@variant("grpo_loss")
def through_means(new, old, reference, advantages, mask, clip=0.2, beta=0.0):
    """A weight for each token: one over the answer's length and the number of answers."""
    if beta < 0:
        raise ValueError(f"beta must be 0 or more, got {beta}")
    gains = clipped_gains(new, old, advantages.unsqueeze(1), mask, clip)
    weights = mask / mask.sum(1, keepdim=True) / len(mask)
    new, reference = (torch.where(mask, each, torch.zeros_like(each)) for each in (new, reference))
    return (torch.where(mask, beta * kl_estimate(new, reference) - gains, 0.0) * weights).sum()

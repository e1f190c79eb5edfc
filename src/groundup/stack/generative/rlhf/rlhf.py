"""Learn from rewards: the policy answers, the answers are scored, and the likelier ones become those that scored well.

    rewards = shaped_rewards(scores, policy, reference, mask, beta=0.05)        # PPO: with a price for leaving
    advantages, returns = gae(rewards, values, mask)
    loss = ppo_policy_loss(new, policy, normalize(advantages, mask), mask) + ppo_value_loss(...)

    advantages = group_advantages(scores.reshape(prompts, -1)).flatten()    # GRPO: no values, a group for each prompt
    loss = grpo_loss(new, policy, reference, advantages, mask, beta=0.04)

PPO is Schulman et al. (2017), https://arxiv.org/abs/1707.06347, with their estimator of advantages (2015),
https://arxiv.org/abs/1506.02438, as Ouyang et al. (2022), https://arxiv.org/abs/2203.02155, use it. GRPO is Shao et al.
(2024), https://arxiv.org/abs/2402.03300.

Everywhere a row is an answer and a column one of its tokens; `mask` is True on tokens, which stand together, and False
on padding. "old" is the policy that gave the answers, "new" the one that trains, "reference" the one at the start.

Not covered: drawing the answers, rewards for single steps, answers with tokens of a tool in their middle.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Tokens = Float[Tensor, "answers tokens"]
Mask = Bool[Tensor, "answers tokens"]

# --- PPO ------------------------------------------------------------------------------------------------------------


def shaped_rewards(
    scores: Float[Tensor, " answers"], old: Tokens, reference: Tokens, mask: Mask, beta: float
) -> Tokens:
    """Return the reward of each token: the price of leaving the reference and, on the last, the answer's score.

    Args:
        scores: what each answer is worth.
        old: log-probabilities of its tokens under the policy that gave it.
        reference: the same under the reference.
        mask: True on tokens.
        beta: the price of a nat, at least 0.

    Returns:
        -beta · (old - reference), plus the score on the last token of each answer; 0 on padding.

    Raises:
        ValueError: beta is negative, or an answer has no token.
    """
    _check_mask(mask)
    if beta < 0:
        raise ValueError(f"beta must be at least 0, got {beta}: it is the price of leaving the reference.")
    places = torch.arange(mask.shape[1], device=mask.device)
    last = (places * mask).argmax(dim=1)
    rewards = (-beta * (old - reference)).where(mask, 0.0)
    return rewards + scores[:, None] * (places == last[:, None])


def gae(rewards: Tokens, values: Tokens, mask: Mask, gamma: float = 1.0, lam: float = 0.95) -> tuple[Tokens, Tokens]:
    """Return advantages and returns by generalised advantage estimation.

    The surprise at a token is reward + gamma · (value of the next token) - value; after the last token comes 0. An
    advantage is the sum of the surprises from there on, each weighed by gamma · lam to the power of its distance.

    Args:
        rewards: of each token.
        values: what a critic expects from each token on, itself included.
        mask: True on tokens.
        gamma: what a reward one token later is worth, from 0 to 1.
        lam: 0 trusts the critic, 1 the rewards that came.

    Returns:
        Advantages, and returns: advantages plus values. Both are 0 on padding, and carry no gradient.

    Raises:
        ValueError: gamma or lam is outside 0 and 1, or an answer has no token.
    """
    _check_mask(mask)
    for name, share in (("gamma", gamma), ("lam", lam)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {share}.")
    rewards, values = rewards.detach().where(mask, 0.0), values.detach().where(mask, 0.0)
    advantages = torch.zeros_like(values)
    advantage = next_value = torch.zeros_like(values[:, 0])
    for place in reversed(range(mask.shape[1])):
        surprise = rewards[:, place] + gamma * next_value - values[:, place]
        advantage = (surprise + gamma * lam * advantage) * mask[:, place]
        advantages[:, place] = advantage
        next_value = values[:, place]
    return advantages, advantages + values


def normalize(advantages: Tokens, mask: Mask) -> Tokens:
    """Return advantages with mean 0 and deviation 1 over the tokens; 0 on padding, and everywhere if all are equal."""
    inside = advantages[mask]
    if (inside == inside[:1]).all():  # their mean may differ in its last digit, and 1e-8 would not hold that down
        return torch.zeros_like(advantages)
    centred = (advantages - inside.mean()).where(mask, 0.0)
    return centred / (inside.std(correction=0) + 1e-8)


def clipped_gains(new: Tokens, old: Tokens, advantages: Tokens, mask: Mask, clip: float = 0.2) -> Tokens:
    """Return the gain of each token: ratio · advantage with ratio = new / old, or less.

    The lower counts: of that gain, and of the gain with the ratio clipped to 1 ± clip. So there is nothing to win by
    going further in the right direction, and all to lose by having gone in the wrong one. Padding has ratio 1.

    Args:
        new: log-probabilities under the policy that trains.
        old: the same under the policy that gave the answers.
        advantages: of each token, or a column with one for each answer.
        mask: True on tokens.
        clip: how far a ratio may pay off, above 0.

    Raises:
        ValueError: clip is not above 0, or an answer has no token.
    """
    _check_mask(mask)
    _check_clip(clip)
    ratio = (new - old).where(mask, 0.0).exp()
    return torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def ppo_policy_loss(new: Tokens, old: Tokens, advantages: Tokens, mask: Mask, clip: float = 0.2) -> Float[Tensor, ""]:
    """Return minus the mean clipped gain over the tokens of all answers; the arguments are those of `clipped_gains`."""
    return -_mean(clipped_gains(new, old, advantages, mask, clip), mask)


def ppo_value_loss(
    values: Tokens, old_values: Tokens, returns: Tokens, mask: Mask, clip: float = 0.2
) -> Float[Tensor, ""]:
    """Return half the clipped squared error of the critic, a mean over tokens.

    The larger error counts: of the value, and of the value clipped to within `clip` of the old one.

    Args:
        values: of the critic that trains.
        old_values: of the critic when the answers were given.
        returns: what it should have said.
        mask: True on tokens.
        clip: how far a value may pay off, above 0.

    Raises:
        ValueError: clip is not above 0, or an answer has no token.
    """
    _check_mask(mask)
    _check_clip(clip)
    clipped = old_values + (values - old_values).clamp(-clip, clip)
    errors = torch.maximum((values - returns).square(), (clipped - returns).square())
    return 0.5 * _mean(errors, mask)


# --- GRPO -----------------------------------------------------------------------------------------------------------


def group_advantages(scores: Float[Tensor, "prompts group"], eps: float = 1e-4) -> Float[Tensor, "prompts group"]:
    """Return how much better each answer is than the others to its prompt: (score - mean) / (deviation + eps).

    The deviation divides by the group's size less one. A group of equal scores gives exactly 0: nothing is learned
    from a prompt that is always, or never, solved.

    Args:
        scores: of the answers to each prompt, at least two.
        eps: keeps small deviations from making large advantages.

    Raises:
        ValueError: a group has fewer than two answers.
    """
    if scores.shape[1] < 2:
        raise ValueError(f"a group must have at least 2 answers to compare, got scores of shape {tuple(scores.shape)}.")
    equal = (scores == scores[:, :1]).all(dim=1, keepdim=True)
    centred = scores - scores.mean(dim=1, keepdim=True)
    return (centred / (scores.std(dim=1, keepdim=True) + eps)).masked_fill(equal, 0.0)


def kl_estimate(policy: Tokens, reference: Tokens) -> Tokens:
    """Return ratio - log ratio - 1, with ratio = reference / policy: at least 0, and the KL in the policy's mean."""
    difference = reference - policy
    return difference.exp() - difference - 1


def grpo_loss(
    new: Tokens,
    old: Tokens,
    reference: Tokens,
    advantages: Float[Tensor, " answers"],
    mask: Mask,
    clip: float = 0.2,
    beta: float = 0.0,
) -> Float[Tensor, ""]:
    """Return GRPO's loss: clipped gains less beta · KL, a mean over the tokens of each answer, then over answers.

    Args:
        new: log-probabilities under the policy that trains.
        old: the same under the policy that gave the answers.
        reference: the same under the reference.
        advantages: one for each answer; all its tokens share it.
        mask: True on tokens.
        clip: how far a ratio may pay off, above 0.
        beta: the price of leaving the reference, at least 0.

    Raises:
        ValueError: clip or beta is out of its range, or an answer has no token.
    """
    if beta < 0:
        raise ValueError(f"beta must be at least 0, got {beta}: it is the price of leaving the reference.")
    gains = clipped_gains(new, old, advantages[:, None], mask, clip)
    divergence = kl_estimate(new.where(mask, reference), reference)  # 0 on padding: nothing overflows, nor its gradient
    losses = (beta * divergence - gains).where(mask, 0.0)
    return (losses.sum(dim=1) / mask.sum(dim=1)).mean()


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over tokens; padding counts nothing, whatever stands there."""
    return values.where(mask, 0.0).sum() / mask.sum()


def _check_clip(clip: float) -> None:
    if clip <= 0:
        raise ValueError(f"clip must be above 0, got {clip}: 0.2 is usual.")


def _check_mask(mask: Tensor) -> None:
    if not mask.any(dim=1).all():
        row = int((~mask.any(dim=1)).int().argmax())
        raise ValueError(f"every answer needs a token, and row {row} of mask has none: leave the row out.")

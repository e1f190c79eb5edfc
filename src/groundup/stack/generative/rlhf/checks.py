"""Checks of RLHF."""

import math

import pytest
import torch

from groundup.checking import assert_close, assert_refuses, assert_refuses_values, assert_rows_alone, assert_shape
from groundup.stack.generative.rlhf import (
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


def normal(rng, *shape):
    """A float64 tensor of normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape))


def row(*values):
    """One answer."""
    return torch.tensor([values], dtype=torch.float64)


def mask(*rows):
    """A mask from words of 0 and 1."""
    return torch.tensor([[letter == "1" for letter in word] for word in rows])


ZERO = torch.zeros(())
RAGGED = mask("11111", "11000", "11110", "10000")


def spoiled(values, where=RAGGED):
    """The same tokens, and other padding: infinite and odd."""
    return values.masked_fill(~where, 0.0) + torch.where(where, 0.0, 1e3)


# --- rewards --------------------------------------------------------------------------------------------------------


def test_shaped_rewards_by_hand():
    """Log-ratios 1 and -2 at price 1/2, score 3 on the last token: -1/2, and 1 + 3; padding 0."""
    rewards = shaped_rewards(torch.tensor([3.0]), row(-1.0, -4.0, 9.0), row(-2.0, -2.0, 1.0), mask("110"), beta=0.5)
    assert_close(rewards, [[-0.5, 4.0, 0.0]], "-beta · (old - reference), and the score where the answer ends")


def test_shaped_rewards_sum_to_score_less_price(rng):
    """Over an answer they sum to its score less beta times its log-ratio; padding counts nothing."""
    scores, old, reference = normal(rng, 4), normal(rng, 4, 5), normal(rng, 4, 5)
    rewards = shaped_rewards(scores, spoiled(old), reference, RAGGED, beta=0.3)
    expected = scores - 0.3 * ((old - reference) * RAGGED).sum(1)
    assert_close(rewards.sum(1), expected, "sums of four answers of 5, 2, 4 and 1 tokens")
    assert_close(rewards[~RAGGED], torch.zeros(8), "padding has reward 0")
    free = shaped_rewards(scores, old, reference, RAGGED, beta=0.0)
    assert_close(free[torch.arange(4), RAGGED.sum(1) - 1], scores, "at no price the last token has the score")


def test_shaped_rewards_refuse():
    """A negative price and an answer without a token are refused."""
    one = row(0.0, 0.0)
    assert_refuses_values(lambda beta: shaped_rewards(torch.ones(1), one, one, mask("10"), beta), "beta", -0.1)
    two = torch.zeros(2, 2)
    assert_refuses(lambda: shaped_rewards(torch.ones(2), two, two, mask("11", "00"), 0.1), "row 1", "token")


# --- advantages -----------------------------------------------------------------------------------------------------


def test_gae_by_hand():
    """Rewards 0, 1; values 1, 2; gamma 1, lam 1/2: surprises 1 and -1, advantages 1 - 1/2 and -1."""
    advantages, returns = gae(row(0.0, 1.0), row(1.0, 2.0), mask("11"), lam=0.5)
    assert_close(advantages, [[0.5, -1.0]], "surprise + gamma · lam · the next advantage")
    assert_close(returns, [[1.5, 1.0]], "advantages plus values")
    advantages, _ = gae(row(0.0, 1.0), row(1.0, 2.0), mask("11"), gamma=0.5, lam=1.0)
    assert_close(advantages, [[-0.5, -1.0]], "surprises 0 and -1 at gamma 1/2; the first adds half the second")
    assert_close(gae(row(0.0, 1.0), row(1.0, 2.0), mask("11"))[0], [[0.05, -1.0]], "gamma is 1 and lam 0.95 by default")


def test_gae_is_its_definition(rng):
    """Each advantage is the sum of (gamma · lam)^distance times the surprises from there on."""
    rewards, values, gamma, lam = normal(rng, 3, 6), normal(rng, 3, 6), 0.9, 0.7
    following = torch.cat([values[:, 1:], torch.zeros(3, 1)], dim=1)
    surprises = rewards + gamma * following - values
    expected = torch.stack(
        [sum(((gamma * lam) ** (k - t) * surprises[:, k] for k in range(t, 6)), ZERO) for t in range(6)], dim=1
    )
    advantages, returns = gae(rewards, values, torch.ones(3, 6, dtype=torch.bool), gamma, lam)
    assert_close(advantages, expected, "three answers of six tokens")
    assert_close(returns, expected + values, "returns")


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_gae_at_its_ends(lam, rng):
    """At lam 0 it gives the surprise alone; lam 1 the rewards that came, less the value."""
    rewards, values = normal(rng, 2, 4), normal(rng, 2, 4)
    advantages, _ = gae(rewards, values, torch.ones(2, 4, dtype=torch.bool), 0.8, lam)
    following = torch.cat([values[:, 1:], torch.zeros(2, 1)], dim=1)
    came = torch.stack([sum((0.8 ** (k - t) * rewards[:, k] for k in range(t, 4)), ZERO) for t in range(4)], dim=1)
    assert_close(advantages, came - values if lam else rewards + 0.8 * following - values, f"lam = {lam}")


def test_gae_ends_with_the_answer(rng):
    """Padded, an answer has the advantages that it has alone, and padding has 0, whatever stands there."""
    rewards, values = normal(rng, 4, 5), normal(rng, 4, 5)
    advantages, returns = gae(spoiled(rewards), spoiled(values), RAGGED)
    for number, length in enumerate((5, 2, 4, 1)):
        part = slice(number, number + 1), slice(0, length)
        alone = gae(rewards[part], values[part], torch.ones(1, length, dtype=torch.bool))
        assert_close(advantages[part], alone[0], f"answer {number}, of {length} tokens: advantages")
        assert_close(returns[part], alone[1], f"answer {number}, of {length} tokens: returns")
    assert_close(advantages[~RAGGED], torch.zeros(8), "advantages of padding")
    assert_close(returns[~RAGGED], torch.zeros(8), "returns of padding")


def test_gae_begins_with_the_answer(rng):
    """With padding in front, an answer has the advantages that it has alone, and the padding has 0."""
    rewards, values = normal(rng, 1, 5), normal(rng, 1, 5)
    advantages, returns = gae(rewards, values, mask("00111"))
    alone = gae(rewards[:, 2:], values[:, 2:], mask("111"))
    for padded, part, name in ((advantages, alone[0], "advantages"), (returns, alone[1], "returns")):
        assert_close(padded[:, 2:], part, f"{name} of three tokens behind two places of padding")
        assert_close(padded[:, :2], torch.zeros(1, 2), f"{name} of the padding in front")


def test_gae_carries_no_gradient(rng):
    """The critic is a target here: no gradient goes through advantages and returns, and arguments stay."""
    values = normal(rng, 2, 3).requires_grad_()
    rewards = normal(rng, 2, 3)
    before = rewards.clone()
    advantages, returns = gae(rewards, values, torch.ones(2, 3, dtype=torch.bool))
    assert not advantages.requires_grad, "advantages carry a gradient"
    assert not returns.requires_grad, "returns carry a gradient"
    assert_close(rewards, before, "the rewards given stay as they are")


def test_gae_refuses():
    """Both gamma and lam are from 0 to 1, and an answer has a token."""
    one = row(0.0, 0.0)
    assert_refuses_values(lambda gamma: gae(one, one, mask("11"), gamma=gamma), "gamma", 1.1, -0.1)
    assert_refuses_values(lambda lam: gae(one, one, mask("11"), lam=lam), "lam", 1.1, -0.1)
    assert_refuses(lambda: gae(one, one, mask("00")), "row 0", "token")


def test_normalize_counts_tokens_only(rng):
    """Mean 0 and deviation 1 over the tokens; padding changes nothing and gets 0; equal advantages give 0."""
    advantages = normal(rng, 4, 5) * 3 + 7
    result = normalize(spoiled(advantages), RAGGED)
    assert_close(result[RAGGED].mean(), 0.0, "the mean over tokens", atol=1e-9)
    assert_close(result[RAGGED].std(correction=0), 1.0, "the deviation over tokens", rtol=1e-6)
    assert_close(result[~RAGGED], torch.zeros(8), "padding")
    for value in (2.0, 0.1, 0.3, 0.7, 1.1):  # the mean of twelve equal numbers need not be this number
        assert_close(normalize(torch.full((4, 5), value).float(), RAGGED), torch.zeros(4, 5), f"all are {value}")


# --- PPO ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [(1.5, 1.0, -1.2), (0.5, 1.0, -0.5), (1.5, -1.0, 1.5), (0.5, -1.0, 0.8), (1.1, 2.0, -2.2), (0.9, -2.0, 1.8)],
)
def test_policy_loss_by_hand(ratio, advantage, loss):
    """At clip 0.2: a gain is capped at 1.2, a loss at 0.8 · |advantage| is kept, and what went wrong counts whole."""
    gains = clipped_gains(row(math.log(ratio)), row(0.0), row(advantage), mask("1"))
    assert_close(gains, [[-loss]], f"ratio {ratio}, advantage {advantage}")
    value = ppo_policy_loss(row(math.log(ratio)), row(0.0), row(advantage), mask("1"))
    assert_close(value, loss, f"the loss at ratio {ratio}, advantage {advantage}")


def test_clipped_gains_of_answers_refuse(rng):
    """A column of advantages serves all tokens of its answer; clip is above 0, and an answer has a token."""
    new, old, advantages = normal(rng, 4, 5), normal(rng, 4, 5), normal(rng, 4, 1)
    ratio = (new - old).exp()
    expected = torch.minimum(ratio * advantages, ratio.clamp(0.5, 1.5) * advantages)
    assert_close(clipped_gains(new, old, advantages, RAGGED, clip=0.5)[RAGGED], expected[RAGGED], "at clip 0.5")
    assert_refuses_values(lambda clip: clipped_gains(new, old, advantages, RAGGED, clip), "clip", 0.0, -0.2)
    assert_refuses(lambda: clipped_gains(new, old, advantages, RAGGED & False), "row 0", "token")


def test_policy_gradient_at_the_start(rng):
    """Where new is old the gradient is that of -advantage · log-probability: plain policy gradient, over tokens."""
    new, advantages = normal(rng, 4, 5).requires_grad_(), normal(rng, 4, 5)
    loss = ppo_policy_loss(new, new.detach().clone(), advantages, RAGGED)
    loss.backward()
    assert_close(loss, -advantages[RAGGED].mean(), "the loss is minus the mean advantage")
    assert_close(new.grad, torch.where(RAGGED, -advantages / 12, 0.0), "12 tokens, none of them padding")


@pytest.mark.parametrize(("ratio", "advantage"), [(1.3, 1.0), (0.7, -1.0)])
def test_clipped_tokens_have_no_gradient(ratio, advantage):
    """A token that went beyond the clip in the right direction has no gradient any more."""
    new = row(math.log(ratio)).requires_grad_()
    ppo_policy_loss(new, row(0.0), row(advantage), mask("1")).backward()
    assert_close(new.grad, [[0.0]], f"ratio {ratio}, advantage {advantage}")


def test_policy_loss_ignores_padding(rng):
    """A mean over the tokens of all answers: what stands in padding, and how much of it, changes nothing."""
    new, old, advantages = normal(rng, 4, 5), normal(rng, 4, 5), normal(rng, 4, 5)
    ratio = (new - old).exp()
    gains = torch.minimum(ratio * advantages, ratio.clamp(0.7, 1.3) * advantages)
    loss = ppo_policy_loss(spoiled(new), old, spoiled(advantages), RAGGED, clip=0.3)
    assert_close(loss, -gains[RAGGED].mean(), "twelve tokens at clip 0.3")
    new, old, advantages = (torch.cat([part, 5 * part], dim=1) for part in (new, old, advantages))
    longer = torch.cat([RAGGED, torch.zeros(4, 5, dtype=torch.bool)], dim=1)
    assert_close(ppo_policy_loss(new, old, advantages, longer, clip=0.3), loss, "five more places of padding")
    assert_refuses_values(lambda c: ppo_policy_loss(new, old, advantages, longer, clip=c), "clip", 0.0, -0.2)


def test_huge_padding_gives_no_nan(rng):
    """Ratios that overflow in padding spoil neither loss nor gradient."""
    new = normal(rng, 1, 3).requires_grad_()
    old = torch.tensor([[0.0, 0.0, -2000.0]], dtype=torch.float64)
    for loss in (
        ppo_policy_loss(new, old, torch.ones(1, 3), mask("110")),
        grpo_loss(new, old, old, torch.ones(1), mask("110"), beta=0.1),
    ):
        (gradient,) = torch.autograd.grad(loss, new)
        assert torch.isfinite(loss), f"the loss is {loss.item()}"
        assert torch.isfinite(gradient).all(), f"the gradient is {gradient.tolist()}"


@pytest.mark.parametrize(
    ("value", "old", "target", "loss"),
    [
        (1.0, 1.0, 3.0, 2.0),
        (2.0, 1.0, 3.0, 0.5 * 1.8**2),
        (1.1, 1.0, 1.1, 0.0),
        (0.0, 1.0, 3.0, 4.5),
        (5.0, 1.0, 3.0, 2.0),
    ],
)
def test_value_loss_by_hand(value, old, target, loss):
    """Half the larger of both squared errors: of the value, and of the value within 0.2 of the old one."""
    result = ppo_value_loss(row(value), row(old), row(target), mask("1"))
    assert_close(result, loss, f"value {value}, old value {old}, return {target}")


def test_value_loss_ignores_padding(rng):
    """A mean over tokens; padding counts nothing, and gets no gradient."""
    values, old, returns = normal(rng, 4, 5).requires_grad_(), normal(rng, 4, 5), normal(rng, 4, 5)
    loss = ppo_value_loss(values, spoiled(old), returns, RAGGED, clip=0.5)
    clipped = old + (values - old).clamp(-0.5, 0.5)
    expected = torch.maximum((values - returns) ** 2, (clipped - returns) ** 2)[RAGGED].mean() / 2
    assert_close(loss, expected, "twelve tokens at clip 0.5")
    loss.backward()
    gradient = values.grad
    assert gradient is not None, "a gradient reaches the values"
    assert_close(gradient[~RAGGED], torch.zeros(8), "the gradient of padding")
    assert_refuses_values(lambda c: ppo_value_loss(old, old, old, RAGGED, clip=c), "clip", 0.0, -1.0)
    assert_refuses(lambda: ppo_value_loss(old, old, old, RAGGED & False), "row 0", "token")


# --- GRPO -----------------------------------------------------------------------------------------------------------


def test_group_advantages_by_hand():
    """Scores 0, 0, 1, 1: mean 1/2, deviation √(1/3), advantages ∓√3/2; eps is added to the deviation."""
    scores = torch.tensor([[0.0, 0, 1, 1]], dtype=torch.float64)
    half = math.sqrt(3) / 2
    assert_close(group_advantages(scores, eps=0.0), [[-half, -half, half, half]], "(score - mean) / deviation")
    expected = 0.5 / (math.sqrt(1 / 3) + 1e-4)
    assert_close(group_advantages(scores)[0, 3], expected, "eps is 1e-4 unless you say otherwise", rtol=1e-9)


def test_groups_are_by_themselves(rng):
    """Each prompt has its own mean and deviation; in a group advantages sum to 0, and a shift changes nothing."""
    scores = normal(rng, 5, 6)
    assert_rows_alone(group_advantages, scores, empty=False)
    assert_close(group_advantages(scores).sum(1), torch.zeros(5), "sums of groups", atol=1e-9)
    shift = torch.arange(5.0)[:, None]
    assert_close(group_advantages(scores + shift), group_advantages(scores), "easier and harder prompts", rtol=1e-6)


@pytest.mark.parametrize("score", [0.0, 1.0, 0.1, 1e6])
def test_a_group_without_variance_teaches_nothing(score, rng):
    """Equal scores give advantages of exactly 0, at any eps, and so a gradient of exactly 0."""
    scores = torch.tensor([[score] * 3, [0.0, 1.0, 2.0]])
    for eps in (1e-4, 0.0):
        assert (group_advantages(scores, eps)[0] == 0).all(), f"three scores of {score}, eps={eps}"
        assert (group_advantages(scores, eps)[1] != 0).any(), "the other group learns"
    new, old = normal(rng, 3, 4).requires_grad_(), normal(rng, 3, 4)
    grpo_loss(new, old, old, group_advantages(scores)[0], torch.ones(3, 4, dtype=torch.bool)).backward()
    assert_close(new.grad, torch.zeros(3, 4), "no gradient from a group without variance")


def test_group_advantages_need_a_group():
    """A group of one has nothing to compare with."""
    assert_refuses(lambda: group_advantages(torch.zeros(3, 1)), (3, 1), "group")
    assert_shape(group_advantages(torch.zeros(3, 2)), (3, 2), "two are enough")


def test_kl_estimate_by_hand(rng):
    """Ratio 2: 2 - ln 2 - 1. It is never negative, and its mean over the policy is the divergence."""
    assert_close(kl_estimate(row(0.0), row(math.log(2))), [[1 - math.log(2)]], "reference / policy = 2")
    policy, reference = normal(rng, 6).log_softmax(0), normal(rng, 6).log_softmax(0)
    estimate = kl_estimate(policy, reference)
    assert (estimate >= 0).all(), f"an estimate is negative: {estimate.tolist()}"
    assert_close((policy.exp() * estimate).sum(), (policy.exp() * (policy - reference)).sum(), "the mean is the KL")


def test_grpo_loss_by_hand():
    """Answers of 1 and 2 tokens, advantages 1 and -1, ratios 1.5 | 1, 1.5: the mean of -1.2 and 1.25."""
    new = torch.tensor([[math.log(1.5), 0.0], [0.0, math.log(1.5)]])
    zero = torch.zeros(2, 2)
    loss = grpo_loss(new, zero, zero, torch.tensor([1.0, -1.0]), mask("10", "11"))
    assert_close(loss, (-1.2 + (1 + 1.5) / 2) / 2, "a mean over each answer's tokens, then over answers", rtol=1e-6)
    priced = grpo_loss(new, zero, zero, torch.tensor([0.0, 0.0]), mask("10", "11"), beta=2.0)
    kl = 1 / 1.5 + math.log(1.5) - 1
    assert_close(priced, 2 * (kl + kl / 2) / 2, "beta · (ratio - log ratio - 1), reference / new", rtol=1e-6)


def test_grpo_loss_is_its_formula(rng):
    """On four answers of unequal length, with clip and price; padding counts nothing."""
    new, old, reference = normal(rng, 4, 5), normal(rng, 4, 5), normal(rng, 4, 5)
    advantages = normal(rng, 4)
    loss = grpo_loss(spoiled(new), old, spoiled(reference), advantages, RAGGED, clip=0.1, beta=0.3)
    expected = 0.0
    for number, length in enumerate((5, 2, 4, 1)):
        here = number, slice(0, length)
        ratio = (new[here] - old[here]).exp()
        gains = torch.minimum(ratio * advantages[number], ratio.clamp(0.9, 1.1) * advantages[number])
        difference = reference[here] - new[here]
        expected += float((-gains + 0.3 * (difference.exp() - difference - 1)).mean() / 4)
    assert_close(loss, expected, "four answers of 5, 2, 4 and 1 tokens")


def test_grpo_padding_has_no_gradient():
    """Padding far from the reference, whose ratio overflows, gives no gradient; tokens keep theirs."""
    new = torch.tensor([[-1.0, -200.0]], dtype=torch.float32, requires_grad=True)
    reference = torch.tensor([[-1.0, 0.0]], dtype=torch.float32)
    grpo_loss(new, new.detach(), reference, torch.ones(1), mask("10"), beta=0.1).backward()
    assert_close(new.grad, [[-1.0, 0.0]], "the gradient of a token, and of padding")


def test_grpo_refuses(rng):
    """Clip is above 0, beta at least 0, and an answer has a token."""
    one, advantages = normal(rng, 2, 2), torch.ones(2)
    full = torch.ones(2, 2, dtype=torch.bool)
    assert_refuses_values(lambda clip: grpo_loss(one, one, one, advantages, full, clip=clip), "clip", 0.0)
    assert_refuses_values(lambda beta: grpo_loss(one, one, one, advantages, full, beta=beta), "beta", -0.1)
    assert_refuses(lambda: grpo_loss(one, one, one, advantages, mask("11", "00")), "row 1", "token")

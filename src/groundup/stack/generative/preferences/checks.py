"""Checks of preferences."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from groundup.checking import (
    assert_close,
    assert_leading_axes,
    assert_refuses,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
    module_conventions,
)
from groundup.stack.generative.preferences import (
    LogProbs,
    RewardHead,
    answer_log_probs,
    dpo_loss,
    implicit_rewards,
    ipo_loss,
    optimal_log_probs,
    reward_loss,
)

LN2 = math.log(2)


def normal(rng, *shape):
    """A float64 tensor of normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape))


def sigmoid(number):
    """Of a Python float."""
    return 1 / (1 + math.exp(-number))


def log_probs(*totals, tokens=1):
    """Answers with these log-probabilities, each of as many tokens."""
    return LogProbs(torch.tensor(totals, dtype=torch.float64), torch.full((len(totals),), tokens))


def draw(rng, answers=6):
    """Four batches of log-probabilities: chosen and rejected of a policy, then of its reference; lengths 1 to 9."""
    lengths = [torch.from_numpy(rng.integers(1, 10, answers)) for _ in range(2)]
    return [LogProbs(-5 * torch.from_numpy(rng.random(answers)) - 1, lengths[k % 2]) for k in range(4)]


def mask(*rows):
    """A mask from words of 0 and 1."""
    return torch.tensor([[letter == "1" for letter in row] for row in rows])


# --- a reward model -------------------------------------------------------------------------------------------------


def test_the_head_reads_the_last_real_token():
    """Of tokens 1, 2, 3 and padding 9 it reads the 3; with padding in front, too; of one token that one."""
    head = RewardHead(1).double()
    head.score.weight.data.fill_(10.0)
    hidden = torch.tensor([[1.0, 2, 3, 9], [9, 1, 2, 3], [4, 9, 9, 9]], dtype=torch.float64)[:, :, None]
    rewards = head(hidden, mask("1110", "0111", "1000"))
    assert_shape(rewards, (3,), "a number for each text")
    assert_close(rewards, [30.0, 30.0, 40.0], "10 times the vector of the last real token")


@pytest.mark.parametrize("convention", module_conventions(without=["follows_the_device", "takes_any_leading_axes"]))
def test_the_head_is_a_module(convention, rng):
    """It keeps PyTorch's conventions."""
    convention(lambda: RewardHead(4), normal(rng, 3, 5, 4).float(), mask("11111", "11100", "00111"))


def test_the_head_refuses_a_text_without_a_token():
    """A row that is padding all over is refused by its number."""
    assert_refuses(lambda: RewardHead(2)(torch.zeros(3, 2, 2), mask("10", "11", "00")), "row 2", "token")


def test_reward_loss_by_hand():
    """Rewards that differ by ln 3: the chosen answer wins with probability 3/4, the loss is -ln 3/4."""
    loss = reward_loss(torch.tensor([math.log(3.0) + 5]), torch.tensor([5.0]))
    assert_close(loss, -math.log(3 / 4), "-log σ(ln 3)", rtol=1e-6)
    pair = torch.tensor([2.0, 0.0]), torch.tensor([2.0, 1.0])
    assert_close(reward_loss(*pair), (LN2 - math.log(sigmoid(-1))) / 2, "the mean over two pairs", rtol=1e-6)
    assert_shape(reward_loss(*pair), (), "one number for the batch")


def test_reward_loss_with_a_margin():
    """A margin of 1 asks the chosen reward to win by 1: at a difference of 1 the loss is ln 2."""
    assert_close(reward_loss(torch.tensor([3.0]), torch.tensor([2.0]), margin=1.0), LN2, "-log σ(3 - 2 - 1)", rtol=1e-6)


def test_reward_loss_knows_differences_only(rng):
    """A constant added to both rewards changes nothing."""
    chosen, rejected = normal(rng, 7), normal(rng, 7)
    assert_close(reward_loss(chosen + 100, rejected + 100), reward_loss(chosen, rejected), "all rewards 100 higher")


def test_reward_loss_survives_large_differences():
    """A pair that is 1,000 the wrong way round costs 1,000, and its gradient is finite."""
    chosen = torch.tensor([-1000.0, 1000.0], requires_grad=True)
    loss = reward_loss(chosen, torch.zeros(2))
    loss.backward()
    assert_close(loss, 500.0, "the mean of 1,000 and 0")
    assert_close(chosen.grad, [-0.5, 0.0], "the gradient -(1 - σ) / 2")


# --- the optimum ----------------------------------------------------------------------------------------------------


def test_optimal_log_probs_by_hand():
    """Reference 1/2, 1/4, 1/4; rewards 0, ln 2, ln 4 at beta 1: weights 2, 2, 4 of 8."""
    reference = torch.tensor([1 / 2, 1 / 4, 1 / 4]).log()
    optimum = optimal_log_probs(reference, torch.tensor([0.0, LN2, 2 * LN2]), beta=1.0).exp()
    assert_close(optimum, [1 / 4, 1 / 4, 1 / 2], "reference · exp(reward / beta), normalised", rtol=1e-6)
    optimum = optimal_log_probs(reference, torch.tensor([0.0, LN2, 2 * LN2]), beta=2.0).exp()
    weights = torch.tensor([2.0, math.sqrt(2), 2.0])
    assert_close(optimum, weights / weights.sum(), "a larger beta stays nearer to the reference", rtol=1e-6)


def test_optimal_log_probs_is_the_best(rng):
    """No other policy has a larger E[reward] - beta · KL, which is beta · log Σ reference · exp(reward / beta)."""
    reference, rewards, beta = normal(rng, 5).log_softmax(0), normal(rng, 5), 0.7

    def objective(policy):
        return (policy.exp() * (rewards - beta * (policy - reference))).sum()

    best = objective(optimal_log_probs(reference, rewards, beta))
    assert_close(best, beta * (reference + rewards / beta).logsumexp(0), "the value of the optimum")
    for _ in range(50):
        policy = (optimal_log_probs(reference, rewards, beta) + 0.1 * normal(rng, 5)).log_softmax(0)
        assert objective(policy) < best, "another policy has a larger objective"


def test_optimal_log_probs_takes_any_batch(rng):
    """Answers stand in the last axis; every prompt is by itself."""
    assert_leading_axes(lambda a, b: optimal_log_probs(a, b, 0.5), normal(rng, 3, 4).log_softmax(1), normal(rng, 3, 4))
    assert_refuses_values(lambda beta: optimal_log_probs(torch.zeros(2), torch.zeros(2), beta), "beta", 0.0, -1.0)


# --- log-probabilities of answers -----------------------------------------------------------------------------------


def test_answer_log_probs_by_hand():
    """Prompt 0, answer 1 2: log-probabilities 1/4 at place 0 and 1/2 at place 1 sum to ln 1/8."""
    logits = torch.tensor([[[1 / 2, 1 / 4, 1 / 4], [1 / 4, 1 / 4, 1 / 2], [0.9, 0.05, 0.05]]]).log()
    result = answer_log_probs(logits, torch.tensor([[0, 1, 2]]), mask("011"))
    assert_close(result.total, [math.log(1 / 8)], "the logits at place t predict the token at t + 1", rtol=1e-6)
    assert_close(result.tokens, [2], "tokens of the answer")
    result = answer_log_probs(logits, torch.tensor([[0, 1, 2]]), mask("001"))
    assert_close(result.total, [math.log(1 / 2)], "of a longer prompt only the last token is answer", rtol=1e-6)


def test_answer_log_probs_is_cross_entropys(rng):
    """It is the negative sum of PyTorch's cross-entropy on the answer's tokens."""
    logits, tokens = normal(rng, 4, 6, 5), torch.from_numpy(rng.integers(0, 5, (4, 6)))
    answer = mask("001110", "010000", "000001", "011111")
    result = answer_log_probs(logits, tokens, answer)
    for row in range(4):
        where = answer[row].nonzero()[:, 0]
        expected = -cross_entropy(logits[row, where - 1], tokens[row, where], reduction="sum")
        assert_close(result.total[row], expected, f"row {row}, answer at places {where.tolist()}")
    assert_close(result.tokens, [3, 1, 1, 5], "tokens of each answer")


@pytest.mark.parametrize("left", [True, False])
def test_padding_changes_nothing(left, rng):
    """Padded on either side, with whatever logits and tokens, an answer keeps its log-probability."""
    logits, tokens, answer = normal(rng, 2, 4, 5), torch.from_numpy(rng.integers(0, 5, (2, 4))), mask("0110", "0011")
    filling = [normal(rng, 2, 3, 5) * 50, torch.from_numpy(rng.integers(0, 5, (2, 3))), mask("000", "000")]
    pairs = [(a, b) if left else (b, a) for a, b in zip(filling, (logits, tokens, answer), strict=True)]
    padded = answer_log_probs(*(torch.cat(pair, dim=1) for pair in pairs))
    plain = answer_log_probs(logits, tokens, answer)
    assert_close(padded.total, plain.total, "log-probabilities with three more places")
    assert_close(padded.tokens, plain.tokens, "tokens with three more places")


def test_impossible_padding_gives_no_nan(rng):
    """A padding token that the model holds for impossible, with logit -inf, spoils neither sum nor gradient."""
    logits = normal(rng, 1, 4, 3)
    logits[0, 2, 0] = -math.inf
    logits.requires_grad_()
    result = answer_log_probs(logits, torch.tensor([[1, 2, 1, 0]]), mask("0110"))
    result.total.sum().backward()
    assert torch.isfinite(result.total).all(), f"the sum is {result.total.tolist()}"
    gradient = logits.grad
    assert gradient is not None, "a gradient reaches the logits"
    assert torch.isfinite(gradient).all(), "the gradient has NaN in it: 0 · (-inf) is NaN, so choose, do not multiply"
    assert_close(gradient[0, 2:], torch.zeros(2, 3), "no gradient reaches the logits that predict padding")


def test_answer_log_probs_leaves_its_arguments(rng):
    """Logits, tokens and mask stay as they are."""
    assert_unchanged(answer_log_probs, normal(rng, 2, 3, 4), torch.tensor([[0, 1, 2], [3, 3, 1]]), mask("011", "001"))


def test_answer_log_probs_refuses_what_nothing_predicts():
    """An answer without tokens, one that begins at the first place, and shapes that do not fit are refused."""
    logits, tokens = torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.int64)
    assert_refuses(lambda: answer_log_probs(logits, tokens, mask("011", "000")), "row 1", "answer")
    assert_refuses(lambda: answer_log_probs(logits, tokens, mask("011", "110")), "row 1", "first")
    assert_refuses(lambda: answer_log_probs(logits, tokens, mask("01", "01")), (2, 3, 4), (2, 3), (2, 2))
    assert_refuses(lambda: answer_log_probs(logits, tokens[:, :2], mask("01", "01")), (2, 3, 4), (2, 2))


# --- DPO ------------------------------------------------------------------------------------------------------------


def test_dpo_by_hand():
    """Log-ratios +1 and -1 at beta 1/2: implicit rewards 1/2 and -1/2, loss -log σ(1)."""
    pairs = log_probs(-2.0), log_probs(-5.0), log_probs(-3.0), log_probs(-4.0)
    assert_close(implicit_rewards(pairs[0], pairs[2], 0.5), [0.5], "beta · (policy - reference)")
    assert_close(dpo_loss(*pairs, beta=0.5), -math.log(sigmoid(1)), "-log σ(1/2 - (-1/2))")
    assert_close(dpo_loss(*pairs), -math.log(sigmoid(0.2)), "beta is 0.1 unless you say otherwise")
    smooth = -0.9 * math.log(sigmoid(1)) - 0.1 * math.log(sigmoid(-1))
    assert_close(dpo_loss(*pairs, beta=0.5, label_smoothing=0.1), smooth, "one pair in ten the wrong way round")


def test_dpo_begins_at_ln_2(rng):
    """A policy that is the reference has the loss ln 2, whatever it prefers."""
    chosen, rejected, *_ = draw(rng)
    assert_close(dpo_loss(chosen, rejected, chosen, rejected), LN2, "no log-ratio differs from 0")


def test_dpo_sums_over_tokens(rng):
    """DPO's log-ratios are sums: how many tokens an answer has changes nothing."""
    pairs = draw(rng)
    counted = [LogProbs(pair.total, torch.ones_like(pair.tokens)) for pair in pairs]
    assert_close(dpo_loss(*pairs), dpo_loss(*counted), "the same sums, with other numbers of tokens")


def test_dpo_gradient_is_the_papers(rng):
    """The gradient of a pair is beta · σ(rejected reward - chosen reward): the more wrong, the larger (section 4)."""
    chosen, rejected, first, second = draw(rng)
    chosen.total.requires_grad_()
    rejected.total.requires_grad_()
    dpo_loss(chosen, rejected, first, second, beta=0.4).backward()
    margins = implicit_rewards(rejected, second, 0.4) - implicit_rewards(chosen, first, 0.4)
    assert_close(chosen.total.grad, -0.4 * torch.sigmoid(margins) / 6, "of the chosen answers, over 6 pairs")
    assert_close(rejected.total.grad, 0.4 * torch.sigmoid(margins) / 6, "of the rejected answers")


def test_dpo_finds_the_optimum(rng):
    """At the optimal policy DPO's implicit rewards differ as the rewards do, so that its loss is the reward model's."""
    reference, rewards = normal(rng, 5).log_softmax(0), normal(rng, 5)
    policy = optimal_log_probs(reference, rewards, 0.3)
    rows = [[0, 1], [2, 0], [3, 4]]
    first, second = torch.tensor(rows).T
    pairs = [log_probs(*table[which].tolist()) for table in (policy, reference) for which in (first, second)]
    assert_close(dpo_loss(*pairs, beta=0.3), reward_loss(rewards[first], rewards[second]), "three pairs")


@pytest.mark.parametrize("epsilon", [0.05, 0.3])
def test_smoothing_bounds_the_margin(epsilon):
    """With smoothing ε the loss is least where σ(margin) = 1 - ε: a pair is not pushed apart without end."""
    best = math.log((1 - epsilon) / epsilon)
    total = torch.tensor([best], dtype=torch.float64, requires_grad=True)
    zero = log_probs(0.0)
    dpo_loss(LogProbs(total, zero.tokens), zero, zero, zero, beta=1.0, label_smoothing=epsilon).backward()
    assert_close(total.grad, [0.0], f"the gradient at a margin of {best:.3f}", atol=1e-9)


def test_dpo_refuses_what_cannot_be(rng):
    """Beta is above 0; label smoothing is from 0 to below one half."""
    pairs = draw(rng)
    assert_refuses_values(lambda beta: dpo_loss(*pairs, beta=beta), "beta", 0.0, -0.1, math.nan)
    assert_refuses_values(lambda e: dpo_loss(*pairs, label_smoothing=e), "label_smoothing", 0.5, -0.1)


# --- IPO ------------------------------------------------------------------------------------------------------------


def test_ipo_by_hand():
    """Log-ratios 6 over 3 tokens and -1 over 1: means 2 and -1, at tau 1/4 the loss is (3 - 2)² = 1."""
    chosen, reference_chosen = log_probs(-4.0, tokens=3), log_probs(-10.0, tokens=3)
    rejected, reference_rejected = log_probs(-6.0, tokens=1), log_probs(-5.0, tokens=1)
    assert_close(ipo_loss(chosen, rejected, reference_chosen, reference_rejected, tau=0.25), 1.0, "a mean per token")
    assert_close(ipo_loss(chosen, rejected, reference_chosen, reference_rejected), 4.0, "tau is 0.1 by default")


def test_ipo_is_a_mean_per_token(rng):
    """Answers twice as long, with twice the log-ratios, have the same loss."""
    pairs = draw(rng)
    longer = [LogProbs(2 * pair.total, 2 * pair.tokens) for pair in pairs]
    assert_close(ipo_loss(*longer), ipo_loss(*pairs), "twice the tokens, twice the sums")
    means = [pair.total / pair.tokens for pair in pairs]
    expected = ((means[0] - means[2] - means[1] + means[3] - 1 / 0.6) ** 2).mean()
    assert_close(ipo_loss(*pairs, tau=0.3), expected, "six pairs, by the formula")


def test_ipo_is_least_at_a_finite_margin():
    """The loss is 0 where the difference is 1 / (2 tau), and grows beyond: DPO's would go on falling."""
    zero = log_probs(0.0)
    losses = [ipo_loss(log_probs(margin), zero, zero, zero, tau=0.5) for margin in (0.0, 1.0, 2.0)]
    assert_close(torch.stack(losses), [1.0, 0.0, 1.0], "margins 0, 1 and 2 at tau 1/2")
    assert_close(ipo_loss(zero, zero, zero, zero, tau=0.5), 1.0, "a policy that is the reference")


def test_ipo_refuses_a_price_of_nothing(rng):
    """Tau is above 0."""
    pairs = draw(rng)
    assert_refuses_values(lambda tau: ipo_loss(*pairs, tau=tau), "tau", 0.0, -1.0)

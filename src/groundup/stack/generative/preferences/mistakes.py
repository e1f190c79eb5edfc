# pyright: basic
"""Ways to get preferences wrong, and right ways that differ."""

import torch
from torch import nn

from groundup.anatomy import mistake, variant
from groundup.stack.generative.preferences.preferences import LogProbs, _check_rows


@mistake("RewardHead.forward", edit=("(places * mask).argmax(dim=1)", "mask.sum(dim=1) - 1"))
def counts_the_tokens():
    """You take the number of real tokens for the place of the last. With padding in front that is another token."""


@mistake("RewardHead.forward", edit=("last = (places * mask).argmax(dim=1)", "last = places[-1].expand(len(mask))"))
def reads_the_padding():
    """You read the last place, padding or not. Read the last real token of each row."""


@mistake("RewardHead.forward", edit=("last = (places * mask).argmax(dim=1)", "last = mask.int().argmax(dim=1)"))
def reads_the_first_token():
    """You read the first real token. In a causal model it has seen nothing but itself: read the last."""


@mistake("reward_loss", edit=("chosen - rejected - margin", "rejected - chosen - margin"))
def prefers_the_rejected():
    """You reward the rejected answer. The chosen one stands first in the difference."""


@mistake(
    "reward_loss", edit=("-logsigmoid(chosen - rejected - margin)", "-torch.sigmoid(chosen - rejected - margin).log()")
)
def takes_the_logarithm_last():
    """You take σ first and its logarithm after: at a difference of -1000 that is log 0. Use `logsigmoid`."""


@mistake("reward_loss", edit=("- margin", "+ margin"))
def gives_the_margin_away():
    """You add the margin: the chosen answer may then lose by it. It has to win by it."""


@mistake("optimal_log_probs", edit=("rewards / beta", "rewards * beta"))
def multiplies_by_beta():
    """You multiply rewards by beta. A larger price keeps the policy nearer to the reference: divide."""


@mistake("optimal_log_probs", edit=("reference + rewards / beta", "rewards / beta"))
def forgets_the_reference():
    """You leave the reference out: that is the optimum with a bonus for entropy, not with a price for leaving."""


@mistake("answer_log_probs", edit=("logits[:, :-1].log_softmax", "logits[:, 1:].log_softmax"))
def looks_at_its_own_place():
    """You read the logits at the token's own place. They predict the next one: place t scores the token at t + 1."""


@mistake("answer_log_probs", edit=("log_probs.where(answer[:, 1:], 0.0)", "log_probs.where(answer[:, :-1], 0.0)"))
def shifts_the_mask_the_wrong_way():
    """Your mask is one place early: it counts the prompt's last prediction twice over and loses the stop token."""


@mistake("answer_log_probs", edit=("log_probs.where(answer[:, 1:], 0.0)", "log_probs"))
def counts_the_prompt():
    """You sum over prompt and padding, too. Only the answer's tokens were chosen or rejected."""


@mistake("answer_log_probs", edit=("log_probs.where(answer[:, 1:], 0.0)", "log_probs.where(~answer[:, 1:], 0.0)"))
def inverts_the_mask():
    """Your mask is the wrong way round: prompt and padding count, and the answer does not."""


@mistake("dpo_loss", edit=("reward_loss(lost, won)", "reward_loss(won, lost)"))
def smooths_nothing():
    """Your smoothed share is the same loss again. It counts the pair with its answers exchanged."""


@mistake("dpo_loss", edit=("implicit_rewards(chosen, reference_chosen, beta)", "beta * chosen.total"))
def forgets_the_references_answer():
    """You compare the chosen answer without its reference: the policy is then rewarded for what is likely anyway."""


@mistake(
    "dpo_loss",
    edit=(
        "implicit_rewards(rejected, reference_rejected, beta)\n",
        "implicit_rewards(rejected, reference_rejected, beta) / rejected.tokens\n    won = won / chosen.tokens\n",
    ),
)
def averages_over_tokens():
    """You average log-ratios over tokens. DPO's derivation is about whole answers: their log-probabilities are sums."""


@mistake(
    "ipo_loss",
    edit=(
        "won = (chosen.total - reference_chosen.total) / chosen.tokens\n"
        "    lost = (rejected.total - reference_rejected.total) / rejected.tokens",
        "won = chosen.total - reference_chosen.total\n    lost = rejected.total - reference_rejected.total",
    ),
)
def sums_over_tokens():
    """You sum log-ratios over tokens. The target 1 / (2 tau) is one number for all lengths: take a mean per token."""


@mistake("ipo_loss", edit=("1 / (2 * tau)", "1 / tau"))
def doubles_the_target():
    """Your target is 1 / tau. It is half of that."""


@mistake("ipo_loss", edit=("won - lost - 1", "won - lost + 1"))
def aims_below_zero():
    """Your target is negative: the rejected answer would have to win."""


@variant("RewardHead.forward")
def by_a_flipped_mask(self, hidden, mask):
    """The last real token is the first from behind."""
    _check_rows(mask, "real token")
    behind = mask.flip(1).long().argmax(1)
    last = mask.shape[1] - 1 - behind
    return torch.stack([self.score(row[place]).squeeze(-1) for row, place in zip(hidden, last, strict=True)])


@variant("reward_loss")
def by_softplus(chosen, rejected, margin=0.0):
    """-log σ(x) is nn.functional.softplus(-x)."""
    return torch.mean(nn.functional.softplus(rejected - chosen + margin))


@variant("answer_log_probs")
def by_cross_entropy(logits, tokens, answer):
    """PyTorch's cross-entropy, which leaves out labels of -100."""
    if answer.shape != tokens.shape or logits.shape[:-1] != tokens.shape:
        raise ValueError(f"shapes differ: {tuple(logits.shape)}, {tuple(tokens.shape)}, {tuple(answer.shape)}")
    if answer[:, 0].any():
        raise ValueError(f"row {answer[:, 0].nonzero()[0].item()}: the first token cannot be of the answer")
    _check_rows(answer, "answer token")
    labels = tokens.masked_fill(~answer, -100)[:, 1:]
    losses = nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), labels, reduction="none")
    return LogProbs(-losses.sum(1), answer.long().sum(1))


@variant("dpo_loss")
def written_out(chosen, rejected, reference_chosen, reference_rejected, *, beta=0.1, label_smoothing=0.0):
    """One margin, both signs."""
    if not beta > 0:
        raise ValueError(f"beta must be positive, got {beta}")
    if label_smoothing < 0 or label_smoothing >= 0.5:
        raise ValueError(f"label_smoothing must be in [0, 0.5), got {label_smoothing}")
    policy, reference = chosen.total - rejected.total, reference_chosen.total - reference_rejected.total
    margin = beta * (policy - reference)
    return (
        nn.functional.softplus(-margin) * (1 - label_smoothing) + nn.functional.softplus(margin) * label_smoothing
    ).mean()

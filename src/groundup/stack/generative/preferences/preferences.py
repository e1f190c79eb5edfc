"""Learn from pairs: of two answers to one prompt, people preferred this one.

    policy = answer_log_probs(model(tokens), tokens, answer)        # the answer's tokens only, padded or not
    loss = dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta=0.1)

A reward model scores answers so that the chosen one wins (Bradley and Terry, 1952; Christiano et al., 2017,
https://arxiv.org/abs/1706.03741). DPO trains the policy on the pairs at once (Rafailov et al., 2023,
https://arxiv.org/abs/2305.18290), IPO does so with a bounded target (Azar et al., 2023, https://arxiv.org/abs/2310.12036).

Not covered: ties, answers that were rated alone and not compared, and rankings of more than two.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import logsigmoid


class LogProbs(NamedTuple):
    """Log-probabilities of a batch of answers.

    Attributes:
        total: the sum over the tokens of each answer.
        tokens: how many tokens each answer has, at least 1.
    """

    total: Float[Tensor, " batch"]
    tokens: Int[Tensor, " batch"]


# --- a reward model -------------------------------------------------------------------------------------------------


class RewardHead(nn.Module):
    """A score for a whole text: a linear map of the vector of its last token, which alone has seen all others.

    Args:
        dim: size of a token's vector.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.score = nn.Linear(dim, 1, bias=False)

    def forward(
        self, hidden: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "batch tokens"]
    ) -> Float[Tensor, " batch"]:
        """Return a reward for each text.

        Args:
            hidden: what a causal model made of each token.
            mask: True where a token is real, False where it is padding, on either side.

        Raises:
            ValueError: a text has no real token.
        """
        _check_rows(mask, "real token")
        places = torch.arange(mask.shape[1], device=mask.device)
        last = (places * mask).argmax(dim=1)
        return self.score(hidden[torch.arange(len(hidden), device=hidden.device), last])[:, 0]


def reward_loss(
    chosen: Float[Tensor, " batch"], rejected: Float[Tensor, " batch"], margin: float = 0.0
) -> Float[Tensor, ""]:
    """Return the mean of -log σ(chosen - rejected - margin), Bradley and Terry's negative log-likelihood.

    Only differences count: a constant added to all rewards changes nothing. No difference overflows.

    Args:
        chosen: rewards of the answers preferred.
        rejected: rewards of the other answers to the same prompts.
        margin: by how much the chosen reward should win.
    """
    return -logsigmoid(chosen - rejected - margin).mean()


# --- the policy that rewards ask for --------------------------------------------------------------------------------


def optimal_log_probs(
    reference: Float[Tensor, "*batch answers"], rewards: Float[Tensor, "*batch answers"], beta: float
) -> Float[Tensor, "*batch answers"]:
    """Return the log-probabilities of the policy with the largest E[reward] - beta · KL(policy ‖ reference).

    It is the reference, weighed by exp(reward / beta) and normalised over the answers: known where they can be listed.

    Args:
        reference: log-probabilities of the answers to a prompt.
        rewards: what each answer is worth.
        beta: the price of leaving the reference, above 0.

    Raises:
        ValueError: beta is not above 0.
    """
    _check_above_zero("beta", beta)
    return (reference + rewards / beta).log_softmax(dim=-1)


# --- the policy from pairs, without a reward model ------------------------------------------------------------------


def answer_log_probs(
    logits: Float[Tensor, "batch tokens vocabulary"],
    tokens: Int[Tensor, "batch tokens"],
    answer: Bool[Tensor, "batch tokens"],
) -> LogProbs:
    """Return the log-probability of each answer given its prompt: a sum over the tokens of the answer alone.

    The logits at place t predict the token at t + 1. Prompt and padding count nothing, whatever is predicted there.

    Args:
        logits: scores of every token of the vocabulary, at every place.
        tokens: prompt, answer and padding.
        answer: True on the tokens of the answer, its stop token among them; False on the first token, which nothing
            predicts.

    Raises:
        ValueError: the shapes do not fit, an answer has no token, or one begins at the first place.
    """
    if logits.shape[:2] != tokens.shape or answer.shape != tokens.shape:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (logits, tokens, answer))
        raise ValueError(f"logits, tokens and answer must agree in their first two axes, got {shapes}.")
    if answer[:, 0].any():
        row = int(answer[:, 0].int().argmax())
        raise ValueError(
            f"answer must be False on the first token, which nothing predicts, and row {row} is True there: "
            "put a start token or the prompt first."
        )
    _check_rows(answer, "answer token")
    log_probs = logits[:, :-1].log_softmax(dim=-1).gather(2, tokens[:, 1:, None])[:, :, 0]  # (batch, tokens - 1)
    return LogProbs(log_probs.where(answer[:, 1:], 0.0).sum(dim=1), answer.sum(dim=1))


def implicit_rewards(policy: LogProbs, reference: LogProbs, beta: float) -> Float[Tensor, " batch"]:
    """Return beta · log(policy / reference) of each answer: its reward, up to a constant of the prompt."""
    return beta * (policy.total - reference.total)


def dpo_loss(
    chosen: LogProbs,
    rejected: LogProbs,
    reference_chosen: LogProbs,
    reference_rejected: LogProbs,
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Return the mean DPO loss: Bradley and Terry's, on implicit rewards.

    With label smoothing ε a pair counts 1 - ε as it is and ε with its answers exchanged ("conservative DPO").

    Args:
        chosen: of the preferred answers, under the policy that trains.
        rejected: of the other answers, under the policy.
        reference_chosen: of the preferred answers, under the frozen reference.
        reference_rejected: of the other answers, under the reference.
        beta: the price of leaving the reference, above 0.
        label_smoothing: the share of pairs that are believed to be the wrong way round, from 0 to below 0.5.

    Raises:
        ValueError: beta or label_smoothing is out of its range.
    """
    _check_above_zero("beta", beta)
    if not 0 <= label_smoothing < 0.5:
        raise ValueError(f"label_smoothing must be from 0 to below 0.5, got {label_smoothing}: half is a coin.")
    won = implicit_rewards(chosen, reference_chosen, beta)
    lost = implicit_rewards(rejected, reference_rejected, beta)
    return (1 - label_smoothing) * reward_loss(won, lost) + label_smoothing * reward_loss(lost, won)


def ipo_loss(
    chosen: LogProbs,
    rejected: LogProbs,
    reference_chosen: LogProbs,
    reference_rejected: LogProbs,
    *,
    tau: float = 0.1,
) -> Float[Tensor, ""]:
    """Return the mean IPO loss: the squared distance of the log-ratios' difference from 1 / (2 tau).

    Log-ratios are means over the tokens of an answer, as in TRL, so that a long answer does not count more than a short
    one; the paper's formula has the sum. The target is finite: a pair that everybody agrees on does not drive the
    policy away without end, as it does in DPO.

    Args:
        chosen: of the preferred answers, under the policy that trains.
        rejected: of the other answers, under the policy.
        reference_chosen: of the preferred answers, under the frozen reference.
        reference_rejected: of the other answers, under the reference.
        tau: the price of leaving the reference, above 0.

    Raises:
        ValueError: tau is not above 0.
    """
    _check_above_zero("tau", tau)
    won = (chosen.total - reference_chosen.total) / chosen.tokens
    lost = (rejected.total - reference_rejected.total) / rejected.tokens
    return (won - lost - 1 / (2 * tau)).square().mean()


def _check_above_zero(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} must be above 0, got {value}: 0.1 is usual.")


def _check_rows(mask: Tensor, what: str) -> None:
    if not mask.any(dim=1).all():
        row = int((~mask.any(dim=1)).int().argmax())
        raise ValueError(f"every row needs a {what}, and row {row} has none: leave the row out, or look at its mask.")

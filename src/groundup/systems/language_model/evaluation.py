"""Numbers that say how good a model is, each with a baseline, on what never trained."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from groundup.stack.generative.gpt import cross_entropy
from groundup.stack.generative.instruction_tuning import IGNORE, Example, Packed, pack, packed_mask
from groundup.stack.generative.preferences import LogProbs, answer_log_probs

PADDING = 0
ROWS = 32


def windows(tokens: torch.Tensor, context: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All windows of a text, end to end, as inputs and targets; a rest that fills none is left out."""
    count = (len(tokens) - 1) // context
    if count == 0:
        raise ValueError(f"context must be below {len(tokens)}, the number of tokens, got {context}.")
    rows = tokens[: count * context + 1].long()
    return rows[:-1].view(count, context), rows[1:].view(count, context)


@torch.no_grad()
def text_loss(model: nn.Module, tokens: torch.Tensor, context: int, device: str) -> float:
    """Mean cross-entropy, in nats a token, over the windows of a text."""
    inputs, targets = windows(tokens, context)
    total = 0.0
    for rows, wanted in zip(inputs.split(ROWS), targets.split(ROWS), strict=True):
        total += cross_entropy(model(rows.to(device)), wanted.to(device)).item() * len(rows)
    return total / len(inputs)


def unigram_loss(train: torch.Tensor, targets: torch.Tensor, vocabulary: int) -> float:
    """Mean cross-entropy of a model that knows only how often each token occurs, plus one of each."""
    counts = torch.bincount(train.long(), minlength=vocabulary).double() + 1
    return float(-(counts / counts.sum()).log()[targets.long()].mean())


def bits_per_byte(loss: float, tokens: int, size: int) -> float:
    """Nats a token as bits for a byte of the text, which do not depend on the tokenizer."""
    return loss * tokens / size / math.log(2)


@torch.no_grad()
def answers_loss(model: nn.Module, examples: Sequence[Example], context: int, device: str) -> float:
    """Mean cross-entropy over the answers' tokens, each stop token among them."""
    model.eval()
    total, count = 0.0, 0
    batch = pack(examples, context, PADDING)
    for rows in zip(*(part.split(ROWS) for part in batch), strict=True):
        packed = on_device(Packed(*rows), device)
        logits = model(packed.tokens, packed.positions, packed_mask(packed.segments)[:, None])[:, :-1]
        targets = packed.labels[:, 1:]
        total += nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum"
        ).item()
        count += int((targets != IGNORE).sum())
    return total / count


def answer_tokens(examples: Sequence[Example]) -> torch.Tensor:
    """The tokens that train, of all examples in a row."""
    return torch.tensor([t for e in examples for t, trains in zip(e.tokens, e.trains, strict=True) if trains])


def on_device(packed: Packed, device: str) -> Packed:
    """The same rows on another device."""
    return Packed(*(part.to(device) for part in packed))


def padded(examples: Sequence[Example], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Examples as rows of equal length, filled up on the right, and True where a token is of the answer."""
    longest = max(len(example.tokens) for example in examples)
    tokens = torch.full((len(examples), longest), PADDING)
    answer = torch.zeros(len(examples), longest, dtype=torch.bool)
    for row, example in enumerate(examples):
        tokens[row, : len(example.tokens)] = torch.tensor(example.tokens)
        answer[row, : len(example.tokens)] = torch.tensor(example.trains)
    return tokens.to(device), answer.to(device)


def log_probs(model: nn.Module, examples: Sequence[Example], device: str) -> LogProbs:
    """Log-probabilities of the answers; padding is on the right, where a causal model does not see it."""
    tokens, answer = padded(examples, device)
    return answer_log_probs(model(tokens), tokens, answer)


@torch.no_grad()
def all_log_probs(model: nn.Module, examples: Sequence[Example], device: str) -> LogProbs:
    """The same for many examples without gradients: a few at a time, those of like lengths together."""
    order = sorted(range(len(examples)), key=lambda place: len(examples[place].tokens))
    groups = [order[at : at + ROWS] for at in range(0, len(order), ROWS)]
    parts = [log_probs(model, [examples[place] for place in group], device) for group in groups]
    back = torch.tensor(order, device=device).argsort()
    return LogProbs(*(torch.cat(each)[back] for each in zip(*parts, strict=True)))


def token_log_probs(model: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """The log-probability of each token but the first, given those before it: (rows, tokens - 1)."""
    return model(tokens)[:, :-1].log_softmax(dim=-1).gather(2, tokens[:, 1:, None])[:, :, 0]

"""The lab of tokenization: how far a vocabulary shortens a text that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.generative.tokenization import GPT2_PATTERN, GPT4_PATTERN, Tokenizer, count_pretokens, train

PATTERNS = {"GPT-2": GPT2_PATTERN, "GPT-4": GPT4_PATTERN}


@dataclass(frozen=True)
class CompressionConfig:
    """Settings of the compression lab.

    Attributes:
        seed: which part of the text is held out.
        characters: how much of the text is used.
        size: ids of the largest vocabulary, the 256 bytes among them.
        pattern: whose pretokens are merged.
        shuffle_letters: shuffle the characters of the training text, which leaves no pair that is typical.
    """

    seed: int = 0
    characters: int = 250_000
    size: int = 2_048
    pattern: Literal["GPT-2", "GPT-4"] = "GPT-4"
    shuffle_letters: bool = False


@lab(
    title="How far a vocabulary shortens a text",
    question="How many bytes does a token hold, by the size of the vocabulary, on text that it was not learned from?",
    data=["tiny_shakespeare", "sms_spam", "loghub_bgl"],
    presets={
        "smoke": {},
        "laptop": {"characters": 1_115_394, "size": 8_192},
        "full": {"characters": 1_115_394, "size": 32_768},
    },
    expectations=[expect("bytes_per_token", beats_baseline_by=1.0, why="Common words must become one or two tokens.")],
    sabotage=[{"size": 256}, {"shuffle_letters": True}],
)
def compression(config: CompressionConfig, record: Recorder) -> None:
    """Learn vocabularies from nine tenths of Shakespeare's plays and count the tokens of the tenth that is left.

    A vocabulary of n ids is the first n of the largest, since merges are found one after the other. The table shows
    what the largest makes of other texts: they cost more tokens.
    """
    from groundup.data import load

    text = load("tiny_shakespeare").text or ""
    text = text[: config.characters]
    rng = np.random.default_rng(config.seed)
    start = int(rng.integers(0, len(text) - len(text) // 10))
    held_out = text[start : start + len(text) // 10]
    training = [text[:start], text[start + len(held_out) :]]
    if config.shuffle_letters:
        training = ["".join(rng.permutation(list(part)).tolist()) for part in training]
    pattern = PATTERNS[config.pattern]
    merges = train(count_pretokens(training, pattern=pattern), config.size - 256)
    tokens = list(dict.fromkeys([*(bytes([value]) for value in range(256)), *(a + b for a, b in merges)]))
    sizes = sorted({min(256 * 2**power, len(tokens)) for power in range(12)})
    tokenizer = Tokenizer({b: number for number, b in enumerate(tokens)}, pattern=pattern)
    for size in record.progress(sizes, total=len(sizes), label="vocabularies"):
        tokenizer = Tokenizer({token: number for number, token in enumerate(tokens[:size])}, pattern=pattern)
        record.metric("bytes_per_token", bytes_per_token(tokenizer, held_out), step=size)
    record.table("the largest vocabulary on other texts", _others(tokenizer, held_out))
    longest = sorted(tokens[256:], key=len, reverse=True)[:12]
    record.table("its longest tokens", [{"token": token.decode(errors="replace")} for token in longest])
    record.baseline("bytes_per_token", 1.0, "a token for each byte")
    record.result("bytes_per_token", bytes_per_token(tokenizer, held_out))
    record.result("vocabulary", tokenizer.size)


def bytes_per_token(tokenizer: Tokenizer, text: str) -> float:
    """How many bytes of the text a token holds on average."""
    return len(text.encode()) / max(1, len(tokenizer.encode(text)))


def _others(tokenizer: Tokenizer, held_out: str) -> list[dict[str, str | float]]:
    from groundup.data import load

    texts = {
        "plays, held out": held_out,
        "text messages": "\n".join(load("sms_spam")["message"][:500].tolist()),
        "log of a supercomputer": "\n".join(load("loghub_bgl")["content"][:500].tolist()),
        "digits": "".join(str(number) for number in range(2000)),
    }
    return [{"text": name, "bytes per token": bytes_per_token(tokenizer, text)} for name, text in texts.items()]

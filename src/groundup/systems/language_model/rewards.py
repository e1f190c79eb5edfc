"""A reward that a program can verify, for GRPO. It rewards form, not truth: a model of this size knows nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

LEAST_LETTERS, LEAST_WORDS = 4, 3


def parts(question: str, answer: str, tokens: Sequence[int], stop: int) -> dict[str, bool]:
    """The parts of the reward that an answer earns.

    Args:
        question: the question.
        answer: the answer as text, without the stop token.
        tokens: the same as tokens, with the stop token if there is one.
        stop: the token that ends an answer.

    Returns:
        `ends`: it ends by its own stop token, after three words at least. `varied`: no three tokens in a row occur
        twice. `names`: it names a word of the question, of at least four letters.
    """
    words = [token for token in tokens if token != stop]
    triples = list(zip(words, words[1:], words[2:], strict=False))
    return {
        "ends": len(answer.split()) >= LEAST_WORDS and tokens[-1] == stop,
        "varied": bool(words) and len(set(triples)) == len(triples),
        "names": bool(_words(question) & _words(answer)),
    }


def reward(question: str, answer: str, tokens: Sequence[int], stop: int) -> float:
    """The share of the parts that the answer earns, from 0 to 1."""
    earned = parts(question, answer, tokens, stop)
    return sum(earned.values()) / len(earned)


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[^\W\d_]+", text.lower()) if len(word) >= LEAST_LETTERS}

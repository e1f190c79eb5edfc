"""A sentence that says the opposite of what is asked is no answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from groundup.llm.embedded import quote
from groundup.llm.opposites import answers_opposite
from groundup.stack.retrieval.rag import Passage


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("Which volume is not encrypted?", "The volume data-0 is encrypted."),
        ("What can never be resized?", "The volume can be resized."),
        ("What is the lowest limit?", "The highest limit is 64."),
        ("What increased the latency?", "A cache decreased the latency."),
        ("Who owns the unencrypted volume?", "The team ops owns the encrypted volume."),
        ("Which volumes are encrypted?", "Only data-1 is an unencrypted volume."),
    ],
)
def test_the_opposite_of_what_is_asked_is_told(question: str, sentence: str) -> None:
    assert answers_opposite(question, sentence)


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("Which volume is encrypted?", "The volume data-0 is encrypted."),
        ("Which volume is not encrypted?", "The volume data-0 is not encrypted."),
        ("Which volume was not mounted?", "The kubelet failed to mount the volume data-0."),
        ("Why does the pod not start?", "Its image is too large for the node."),
        ("How do I mend a pod that cannot start?", "Raise the memory limit."),
        ("What should I do if a pod is not ready?", "Look at its readiness probe."),
        ("What is the highest limit?", "The highest limit is 64, the lowest is 2."),
        ("Who was informed?", "The form was sent to the team."),
        ("", ""),
    ],
)
def test_what_may_answer_is_let_through(question: str, sentence: str) -> None:
    assert not answers_opposite(question, sentence)


def alike(texts: Sequence[str]) -> np.ndarray:
    """An encoder to which all texts mean the same."""
    return np.ones((len(texts), 1), dtype=np.float32)


def test_the_embedded_answerer_is_silent_where_its_best_sentence_says_the_opposite() -> None:
    sources = [Passage("The highest limit of a pod is 64. Limits of pods are set by the team.", "limits.md")]
    (best, *_) = quote("What is the highest limit of a pod?", sources, alike, 0.5)
    assert best.text == "The highest limit of a pod is 64."
    assert quote("What is the lowest limit of a pod?", sources, alike, 0.5) == []

"""`Judgement`: what a detector says of its input."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Judgement:
    """A detector's score, and why.

    Attributes:
        score: from 0, harmless, to 1; None where the detector cannot say.
        evidence: sentences, the weightiest first.
    """

    score: float | None
    evidence: tuple[str, ...]

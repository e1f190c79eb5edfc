"""`Judgement`: a detector's verdict on its input."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Judgement:
    """A detector's score, with its evidence.

    Attributes:
        score: from 0, harmless, to 1; None for unknown.
        evidence: sentences, the weightiest first.
    """

    score: float | None
    evidence: tuple[str, ...]

"""Whether a verdict names the right mistakes when two functions are wrong at once.

The diagnosis was made for single mistakes. Pairs of mistakes, drawn by the unit's name, are code that its author never
saw: each mistake that a verdict names is compared with the two mistakes in the code.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

from groundup.course.grader import Grader
from groundup.course.material.exercise import splice
from groundup.course.material.unit import MistakeInfo, Unit
from groundup.course.verdict import Verdict

PAIRS = 60


@dataclass(frozen=True)
class PairVerdict:
    """The mistakes that a verdict named for a pair.

    Attributes:
        made: the two mistakes in the code.
        named: the mistakes that the verdict named.
        verdict: the verdict.
    """

    made: tuple[str, str]
    named: frozenset[str]
    verdict: Verdict

    @property
    def wrong(self) -> frozenset[str]:
        """The named mistakes that are not in the code."""
        return self.named - set(self.made)


def pairs_of(unit: Unit, count: int = PAIRS) -> list[tuple[MistakeInfo, MistakeInfo]]:
    """Pairs of mistakes in two functions, drawn evenly; a longer draw begins with the shorter draw."""
    mistakes = [mistake for mistake in unit.mistakes if mistake.kind == "mistake"]
    pairs = [pair for pair in itertools.combinations(mistakes, 2) if pair[0].target != pair[1].target]
    random.Random(unit.id).shuffle(pairs)
    return pairs[:count]


def grade_pair(unit: Unit, grader: Grader, pair: tuple[MistakeInfo, MistakeInfo]) -> PairVerdict:
    """Submit the reference with both mistakes in it."""
    source = reference = unit.implementation.read_text(encoding="utf-8")
    for mistake in pair:
        source = splice(source, mistake.target, mistake.source, reference=reference)
    verdict = grader.grade(unit, source)
    made = pair[0].name, pair[1].name
    return PairVerdict(made, frozenset(names_in(unit, verdict, set(made))), verdict)


def names_in(unit: Unit, verdict: Verdict, made: set[str]) -> set[str]:
    """The mistakes that a verdict names; of two joined by "Or", the right mistake if it is among them."""
    names: set[str] = set()
    for check in verdict.checks:
        named = {m.name for m in unit.mistakes if m.kind == "mistake" and m.diagnosis in check.diagnosis}
        names |= named & made or named
    return names

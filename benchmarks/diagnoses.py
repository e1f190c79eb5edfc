"""Whether a diagnosis names the right mistake where two functions are wrong at once.

Pairs of a unit's mistakes in two functions are drawn by the unit's name and submitted together as one file. Every name
that the verdict gives is held against the two. The peer names, for each failing check, the first known mistake of the
function that the check is about.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.measure import Figure
from groundup.course.author.pairs import PAIRS, grade_pair, pairs_of
from groundup.course.grader import Grader
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.targets import targets
from groundup.course.material.unit import Unit
from groundup.course.verdict import Verdict

COUNT = int(os.environ.get("GROUNDUP_PAIRS", PAIRS))
RIGHT_NAMES = 0.99


def run() -> Iterator[Figure]:
    """Every unit of the release; `GROUNDUP_PAIRS=5` draws fewer pairs."""
    with Grader() as grader:
        for unit in Catalogue().units.values():
            yield from _unit(unit, grader)


def _unit(unit: Unit, grader: Grader) -> Iterator[Figure]:
    reference = unit.implementation.read_text(encoding="utf-8")
    names, guesses, named, failed = [], [], 0, 0
    for pair in pairs_of(unit, COUNT):
        graded = grade_pair(unit, grader, pair)
        if graded.verdict.verdict == "failed":
            names += [name not in graded.wrong for name in graded.named]
            guesses += [name in graded.made for name in guesses_of(unit, reference, graded.verdict)]
            failed, named = failed + 1, named + bool(graded.named)
    if names:
        of = f"{unit.id}, {failed} pairs of mistakes"
        yield Figure(
            f"{of}: names that are right", _share(names), "share", RIGHT_NAMES, _share(guesses), "first known mistake"
        )
        yield Figure(f"{of}: pairs of which one is named", named / failed, "share")


def _share(right: list[bool]) -> float:
    return sum(right) / len(right)


def guesses_of(unit: Unit, reference: str, verdict: Verdict) -> set[str]:
    """What the peer would name."""
    about = targets(unit.checks.read_text(encoding="utf-8"), reference, tuple(unit.write))
    functions = {about.get(c.name.partition("[")[0], "") for c in verdict.checks if c.outcome == "failed"}
    mistakes = [mistake for mistake in unit.mistakes if mistake.kind == "mistake"]
    first = (next((m.name for m in mistakes if m.target == function), "") for function in functions)
    return {name for name in first if name}

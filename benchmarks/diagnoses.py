"""Whether a diagnosis names the right mistake where two functions are wrong at once.

Pairs of a unit's mistakes in two functions are drawn by the unit's name and submitted together as one file. Every name
that the verdict gives is held against the two. The peer names, for each failing check, the first known mistake of the
function that the check is about.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator

from benchmarks.measure import Figure
from groundup.course.grader import Grader
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.exercise import splice
from groundup.course.material.targets import targets
from groundup.course.material.unit import MistakeInfo, Unit
from groundup.course.verdict import Verdict

PAIRS = int(os.environ.get("GROUNDUP_PAIRS", "60"))
RIGHT_NAMES = 0.99


def run() -> Iterator[Figure]:
    """Every unit of the release; `GROUNDUP_PAIRS=5` draws fewer pairs."""
    with Grader() as grader:
        for unit in Catalogue().units.values():
            yield from _unit(unit, grader)


def _unit(unit: Unit, grader: Grader) -> Iterator[Figure]:
    reference = unit.implementation.read_text(encoding="utf-8")
    names, guesses, named, failed = [], [], 0, 0
    for pair in pairs_of(unit, PAIRS):
        source = reference
        for mistake in pair:
            source = splice(source, mistake.target, mistake.source, reference=reference)
        verdict = grader.grade(unit, source)
        if verdict.verdict == "failed":
            made = {mistake.name for mistake in pair}
            given = names_in(unit, verdict, made)
            names += [name in made for name in given]
            guesses += [name in made for name in guesses_of(unit, reference, verdict)]
            failed, named = failed + 1, named + bool(given)
    if names:
        of = f"{unit.id}, {failed} pairs of mistakes"
        yield Figure(
            f"{of}: names that are right", _share(names), "share", RIGHT_NAMES, _share(guesses), "first known mistake"
        )
        yield Figure(f"{of}: pairs of which one is named", named / failed, "share")


def _share(right: list[bool]) -> float:
    return sum(right) / len(right)


def pairs_of(unit: Unit, count: int) -> list[tuple[MistakeInfo, MistakeInfo]]:
    """So many pairs of mistakes in two functions, drawn evenly."""
    mistakes = [mistake for mistake in unit.mistakes if mistake.kind == "mistake"]
    pairs = [pair for pair in itertools.combinations(mistakes, 2) if pair[0].target != pair[1].target]
    return random.Random(unit.id).sample(pairs, min(count, len(pairs)))


def names_in(unit: Unit, verdict: Verdict, made: set[str]) -> set[str]:
    """The mistakes that a verdict names; of two joined by "Or" the right one, where one of them is."""
    names: set[str] = set()
    for check in verdict.checks:
        said = {m.name for m in unit.mistakes if m.kind == "mistake" and m.diagnosis in check.diagnosis}
        names |= said & made or said
    return names


def guesses_of(unit: Unit, reference: str, verdict: Verdict) -> set[str]:
    """What the peer would name."""
    about = targets(unit.checks.read_text(encoding="utf-8"), reference, tuple(unit.write))
    functions = {about.get(c.name.partition("[")[0], "") for c in verdict.checks if c.outcome == "failed"}
    mistakes = [mistake for mistake in unit.mistakes if mistake.kind == "mistake"]
    first = (next((m.name for m in mistakes if m.target == function), "") for function in functions)
    return {name for name in first if name}

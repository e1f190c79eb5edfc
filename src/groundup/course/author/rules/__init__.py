"""The rules of a whole unit: the anatomy of `docs/units.md`.

A rule takes a unit and gives its problems, one sentence each, beginning with the file. A unit without problems is
whole. Rules read a unit's files; the two rules that need its code (`snippets`, `drawn`) run it in a process of its own.
`groundup.course.author.verify` judges the exercise itself: stub, mistakes, variants, mutants.
"""

from __future__ import annotations

from collections.abc import Iterable

from groundup.course.author.rules import budget, catalogue, code, companions, lesson, running
from groundup.course.author.rules.about import Rule
from groundup.course.material.unit import Unit

STATIC: dict[str, Rule] = {
    "files": companions.files,
    "metadata": companions.metadata,
    "exercise": companions.exercise,
    "hints": companions.hints,
    "headings": lesson.headings,
    "length": lesson.length,
    "mathematics": lesson.mathematics,
    "includes": lesson.includes,
    "explorables": lesson.explorables,
    "pasted code": lesson.pasted_code,
    "interview": lesson.interview,
    "figures": companions.figures,
    "cards": companions.cards,
    "mistakes": companions.mistakes,
    "labs": companions.labs,
    "checks": companions.checks,
    "implementation": code.implementation,
    "docstrings": code.docstrings,
    "exports": code.exports,
    "companions' imports": code.companions,
    "colours": code.colours,
    "budget": budget.budget,
    "leftovers": code.leftovers,
    "packages": code.packages,
    "catalogue": catalogue.entry,
    "needs": catalogue.needs,
    "roadmap": catalogue.roadmap,
}
"""The rules that only read."""

RUNNING: dict[str, Rule] = {"snippets": running.snippets, "drawn": running.drawn}
"""The rules that have the unit's own code run, each in a process of its own."""

RULES = {**STATIC, **RUNNING}


def problems(unit: Unit, rules: Iterable[str] = tuple(RULES)) -> list[str]:
    """The problems of a unit, by the named rules; by all rules unless given."""
    return list(dict.fromkeys(problem for name in rules for problem in RULES[name](unit)))


def companions_problems(unit: Unit) -> list[str]:
    """The problems of a unit that the rules find without running any of it."""
    return problems(unit, STATIC)

"""The size of a unit: a budget for each file, and a reason in unit.toml for each budget that is exceeded.

The author pays for each line once; everyone who reads, grades and mends the unit pays again.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from groundup.course.author.rules.about import about
from groundup.course.material.unit import Unit

FILES = {
    "implementation": 350,
    "checks": 350,
    "mistakes": 220,
    "labs": 160,
    "figures": 160,
    "lesson": 220,
    "cards": 70,
    "unit": 90,
}
"""Lines of each file at most; those of unit.toml without the roadmaps' entries, which the tracks decide."""

WRITE, CHECKS, MISTAKES, MISTAKES_OF_ONE, FIGURES = 6, 36, 20, 4, 3
"""At most: functions to write, checks, mistakes, mistakes of one function, figures."""

ENDINGS = {"lesson": ".md", "cards": ".toml", "unit": ".toml"}
ROADMAP_LINES = 4


class Measure(NamedTuple):
    """A count: its key of `[budget]`, its file, the number, the largest number, the kind of thing."""

    key: str
    file: str
    number: int
    most: int
    what: str


@about("unit.toml")
def budget(unit: Unit) -> Iterator[str]:
    """Every file is within its budget, or unit.toml gives the reason."""
    reasons = tomllib.loads((unit.folder / "unit.toml").read_text(encoding="utf-8")).get("budget", {})
    measures = list(_measures(unit))
    for key, reason in reasons.items():
        if key not in FILES:
            yield f"unit.toml: [budget] has no '{key}'. It may have {', '.join(FILES)}."
        elif not isinstance(reason, str) or not reason.strip().endswith("."):
            yield f"unit.toml: [budget] {key} must be the reason, a sentence, not {reason!r}."
        elif all(measure.number <= measure.most for measure in measures if measure.key == key):
            yield f"unit.toml: [budget] {key} gives a reason, but it is within its budget. Take the reason out."
    for key in [key for key in FILES if key not in reasons]:
        over = [measure for measure in measures if measure.key == key and measure.number > measure.most]
        if over:
            counts = ", ".join(f"{m.number:,} {m.what} (at most {m.most})" for m in over)
            yield f'{over[0].file}: {counts}. Cut, or give the reason in unit.toml: [budget] {key} = "…".'


def _measures(unit: Unit) -> Iterator[Measure]:
    for key, most in FILES.items():
        path = unit.implementation if key == "implementation" else unit.folder / f"{key}{ENDINGS.get(key, '.py')}"
        if path.exists():
            lines = len(path.read_text(encoding="utf-8").splitlines())
            yield Measure(
                key, path.name, lines - (ROADMAP_LINES * len(unit.roadmap) if key == "unit" else 0), most, "lines"
            )
    yield Measure("implementation", "unit.toml", len(unit.write), WRITE, "functions to write")
    if unit.checks.exists():
        yield Measure("checks", "checks.py", len(checks_of(unit)), CHECKS, "checks")
    yield Measure("figures", "figures.py", len(unit.figures), FIGURES, "figures")
    targets = Counter(mistake.target for mistake in unit.mistakes if mistake.kind == "mistake")
    yield Measure("mistakes", "mistakes.py", targets.total(), MISTAKES, "mistakes")
    for target, count in targets.items():
        yield Measure("mistakes", "mistakes.py", count, MISTAKES_OF_ONE, f"mistakes of `{target}`")


def checks_of(unit: Unit) -> list[ast.FunctionDef]:
    """The checks of a unit, as written in the file: a parametrised check counts once."""
    tree = ast.parse(unit.checks.read_text(encoding="utf-8"), "checks.py")
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]

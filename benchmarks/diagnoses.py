"""How often a diagnosis names the right mistake, none, or a wrong one, where two functions are wrong at once.

    python -m benchmarks diagnoses --units bedrock/vectors deep/mlp --pairs 20

Pairs of a unit's mistakes in two different functions are drawn by the unit's name, submitted together as one file, and
every name that the verdict gives is held against the two. Beside it stands a trivial way: to name, for each failing
check, the first mistake of the first function that the check calls.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence

from groundup.course.catalogue import Catalogue
from groundup.course.exercise import splice
from groundup.course.grader import Grader
from groundup.course.unit import MistakeInfo, Unit


def pairs_of(unit: Unit, count: int) -> list[tuple[MistakeInfo, MistakeInfo]]:
    """So many pairs of mistakes in two functions, drawn evenly."""
    mistakes = [mistake for mistake in unit.mistakes if mistake.kind == "mistake"]
    pairs = [pair for pair in itertools.combinations(mistakes, 2) if pair[0].target != pair[1].target]
    return random.Random(unit.id).sample(pairs, min(count, len(pairs)))


def together(reference: str, pair: tuple[MistakeInfo, MistakeInfo]) -> str:
    """The reference with both mistakes in it."""
    source = reference
    for mistake in pair:
        source = splice(source, mistake.target, mistake.source, reference=reference)
    return source


def judge(unit: Unit, grader: Grader, count: int, show: bool) -> Counter[str]:
    """Counts of names given: `right` and `wrong` ones; of pairs: `pairs`, and `unnamed` where none was given."""
    reference = unit.implementation.read_text(encoding="utf-8")
    known = {mistake.diagnosis: mistake.name for mistake in unit.mistakes}
    counts: Counter[str] = Counter()
    for pair in pairs_of(unit, count):
        verdict = grader.grade(unit, together(reference, pair))
        if verdict.passed:
            continue
        names: set[str] = set()
        for check in verdict.checks:
            lines = [known[line] for line in known if line and line in check.diagnosis]
            # Two names joined by "Or" are right where one of them is.
            names |= {name for name in lines if name in {m.name for m in pair}} or set(lines)
        wrong = names - {mistake.name for mistake in pair}
        counts.update({"pairs": 1, "right": len(names) - len(wrong), "wrong": len(wrong), "unnamed": not names})
        if show and wrong:
            print(f"  {unit.id}: {pair[0].name} and {pair[1].name} are called {', '.join(sorted(wrong))}", flush=True)
    return counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row for each unit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks diagnoses", description=__doc__)
    parser.add_argument("--units", nargs="*")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--show", action="store_true", help="print each pair that is given a wrong name")
    given = parser.parse_args(arguments)
    catalogue = Catalogue()
    total: Counter[str] = Counter()
    print(f"{'unit':32} {'pairs':>6} {'named right':>12} {'named wrong':>12} {'no name':>8} {'s':>6}")
    with Grader() as grader:
        for name in given.units or [unit.id for unit in catalogue.units.values()]:
            unit, start = catalogue.unit(name), time.perf_counter()
            counts = judge(unit, grader, given.pairs, given.show)
            total += counts
            print(row(unit.id, counts, time.perf_counter() - start), flush=True)
    print(row("all", total, 0))
    return 0


def row(name: str, counts: Counter[str], seconds: float) -> str:
    """One line of the table."""
    right, wrong, unnamed = counts["right"], counts["wrong"], counts["unnamed"]
    return f"{name:32} {counts['pairs']:>6} {right:>12} {wrong:>12} {unnamed:>8} {seconds:>6.1f}"


if __name__ == "__main__":
    raise SystemExit(main())

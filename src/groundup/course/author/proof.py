"""The proof of a unit: the result of `groundup verify`, kept in the unit's folder as `proof.json`, and its validity.

A change of the unit's own part makes a proof stale: its files, the implementations that it builds on, the locked
versions of the packages that it imports. Hashes of the repository alone decide, so every machine agrees. A change of
the gate makes no proof stale: the proof then comes from an earlier gate, and still holds that gate's result.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from groundup.course.material.catalogue import STACK
from groundup.course.material.unit import Unit, load_unit
from groundup.files import replace_file

if TYPE_CHECKING:
    from groundup.course.author.verify import UnitReport

FILE = "proof.json"
APART = (FILE, "cards.toml")  # a proof does not depend on them: every run of the tests holds all cards to their rules
CORE = Path(__file__).parents[2]
# The gate in the wide sense: the gate itself, the grader, the vocabulary of checks, the labs and their data.
GATE = [
    "checking",
    "course/material/exercise.py",
    "course/grader",
    "course/author/mutants.py",
    "course/author/pairs.py",
    "course/author/rules",
    "course/material/source.py",
    "course/author/verify.py",
    "data",
    "labs",
]
DRAWN, DRAWN_FOR_A_NEW_GATE = 2, 8
# Counts that may differ: draws vary in size, and a slow machine's processor time ends the search for names early. The
# gate itself refuses too few names, and wrong names.
VARIES = frozenset(("tried", "named", "pairs", "names", "wrong_names"))


@dataclass(frozen=True)
class Proof:
    """The gate's result for a unit, with everything that the result depends on.

    Attributes:
        date: the day of the run.
        cpu_seconds: its processor time, all processes together.
        counts: the number of trials of each kind; `mutants` counts all mutants, `tried` those that were tried.
        alive: the tried mutants that the checks do not notice, without those listed as equivalent.
        files: hashes of the unit's files.
        needs: hashes of the implementations that it builds on, directly or not.
        packages: the locked versions of the packages that it imports.
        gate: the hash of the gate.
    """

    date: str
    cpu_seconds: float
    counts: dict[str, int]
    alive: tuple[str, ...]
    files: dict[str, str]
    needs: dict[str, str]
    packages: dict[str, str]
    gate: str

    @property
    def wrong(self) -> int:
        """The number of wrong versions put to the checks: mistakes and mutants."""
        return self.counts["mistakes"] + self.counts["tried"]

    @property
    def refused(self) -> int:
        """The number of wrong versions that the checks refused: all mistakes, or there would be no proof."""
        return self.wrong - len(self.alive)

    @property
    def words(self) -> str:
        """The proof in half a sentence."""
        return f"its checks refuse {self.refused:,} of {self.wrong:,} wrong versions"


@dataclass(frozen=True)
class Standing:
    """The validity of a unit's proof.

    Attributes:
        unit: the unit's id.
        proof: its proof; None where it is missing or unreadable.
        reasons: the reasons why it is stale, a phrase each; none for a valid proof.
        earlier_gate: whether it is valid, but from an earlier gate.
    """

    unit: str
    proof: Proof | None
    reasons: tuple[str, ...] = ()
    earlier_gate: bool = False

    @property
    def stale(self) -> bool:
        """Whether the unit is to be verified again."""
        return bool(self.reasons)


def standing(unit: Unit) -> Standing:
    """Compare a unit's proof with the unit as it is; reads files and parses none."""
    path = unit.folder / FILE
    if not path.exists():
        return Standing(unit.id, None, ("there is no proof",))
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        proof = Proof(**{**fields, "alive": tuple(fields["alive"])})
    except (ValueError, TypeError, KeyError):
        return Standing(unit.id, None, (f"{FILE} cannot be read",))
    reasons = [
        *_changes({name: known for name, known in proof.files.items() if name not in APART}, hashes(unit)),
        *_changes(proof.needs, {name: _hash(_beside(unit, name)) for name in proof.needs}),
        *_changes(proof.packages, {name: locked(name) for name in proof.packages} if lock_file() else proof.packages),
    ]
    return Standing(unit.id, proof, tuple(reasons), not reasons and proof.gate != gate())


def _changes(then: dict[str, str], now: dict[str, str]) -> Iterator[str]:
    for name in sorted(then.keys() | now.keys()):
        before, after = then.get(name, ""), now.get(name, "")
        if before != after:
            yield f"{name} is {'new' if not before else 'gone' if not after else 'changed'}"


def gate() -> str:
    """The hash of the gate."""
    paths = [path for name in GATE for path in _sources(CORE / name)]
    return _joined({path.relative_to(CORE).as_posix(): _hash(path) for path in paths})


def _sources(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def hashes(unit: Unit) -> dict[str, str]:
    """The hashes of a unit's files that its proof depends on."""
    paths = [path for path in unit.folder.rglob("*") if path.is_file() and path.name not in APART]
    names = {path.relative_to(unit.folder).as_posix(): path for path in paths if path.parent.name != "__pycache__"}
    return {name: _hash(path) for name, path in sorted(names.items()) if not name.startswith(".")}


def _hash(path: Path | None) -> str:
    """A short hash of a file, the same whatever its line ends; empty where there is none."""
    if path is None or not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:16]


def _joined(hashes: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:16]


def _beside(unit: Unit, name: str) -> Path | None:
    """A file of another unit (`phase/unit/file`), of the same stack or of the installed stack."""
    candidates = [stack / name for stack in (unit.folder.parent.parent, STACK)]
    return next((path for path in candidates if path.is_file()), None)


# Packages


def lock_file() -> Path | None:
    """The lock of a checkout; an installed package has none."""
    path = CORE.parent.parent / "uv.lock"
    return path if path.is_file() else None


def locked(package: str) -> str:
    """The version of a package in the lock; of several for several platforms, all. Empty where it has none."""
    return _versions().get(package, "")


@cache
def _versions() -> dict[str, str]:
    path = lock_file()
    text = path.read_text(encoding="utf-8") if path else ""
    versions: dict[str, list[str]] = {}
    # By its lines: parsing a lock of two megabytes takes longer than all the rest.
    for name, version in re.findall(r'^\[\[package\]\]\nname = "(.+)"\nversion = "(.+)"$', text, re.MULTILINE):
        versions.setdefault(name, []).append(version)
    return {name: ", ".join(sorted(several)) for name, several in versions.items()}


# Writing


def keep(unit: Unit, report: UnitReport, files: dict[str, str]) -> Path | None:
    """Write a report as the unit's proof, whole or not at all; None where the report proves nothing.

    Args:
        unit: the unit.
        report: the gate's report; it must have passed, with nothing left out.
        files: from `hashes`, before the unit was verified: a file changed meanwhile makes the proof stale.
    """
    if not report.passed or report.left_out:
        return None
    units, packages = _imports(unit)
    alive = tuple(trial.name for trial in report.of("mutant") if not trial.ok)
    proof = Proof(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        cpu_seconds=round(report.cpu_seconds, 1),
        counts=counts(report),
        alive=alive,
        files=files,
        needs=_needs(unit, units),
        packages={name: locked(name) for name in sorted(packages) if locked(name)},
        gate=gate(),
    )
    path = unit.folder / FILE
    replace_file(path, json.dumps(asdict(proof), indent=2, ensure_ascii=False) + "\n")
    return path


def counts(report: UnitReport) -> dict[str, int]:
    """The number of trials of each kind."""
    mistakes, labs = report.of("mistake"), report.of("lab")
    sabotages = sum(" with " in trial.name for trial in labs)
    return {
        "checks": report.checks,
        "mistakes": len(mistakes),
        "named": sum(bool(trial.named) for trial in mistakes),
        "pairs": len(report.of("pair")),
        "names": report.names,
        "wrong_names": report.wrong_names,
        "variants": len(report.of("variant")),
        "forbidden": len(report.of("forbidden")),
        "mutants": len(report.mutants),
        "tried": len(report.of("mutant")),
        "equivalent": len(report.of("equivalent")),
        "labs": len(labs) - sabotages,
        "sabotages": sabotages,
    }


def differences(proof: Proof, report: UnitReport) -> list[str]:
    """The differences between a unit's proof and a report, a phrase each; only mutants that both tried count.

    `VARIES` names counts that are not compared, so a proof from before pairs were counted holds.
    """
    from groundup.course.author.mutants import drawn

    now = counts(report)
    texts = [
        f"{name}: {now[name]}, and {proof.counts.get(name)} in {FILE}"
        for name in now
        if name not in VARIES and now[name] != proof.counts.get(name)
    ]
    both = {trial.name for trial in report.of("mutant")} & set(drawn(report.mutants, proof.counts["tried"]))
    alive = {trial.name for trial in report.of("mutant") if not trial.ok}
    before = set(proof.alive) & both
    texts += [f"{name} is not noticed, and {FILE} says that it is" for name in sorted(alive & both - before)]
    texts += [f"{name} is noticed, and {FILE} says that it is not" for name in sorted(before - alive)]
    return texts


def _imports(unit: Unit) -> tuple[set[str], set[str]]:
    """The units that a unit's files import or `needs` names, and the distributions of the packages that they import."""
    from importlib.metadata import packages_distributions

    from groundup.course.author.rules.code import imported, unit_of

    names = {name for path in unit.folder.glob("*.py") for name, _ in imported(unit, path.name)}
    units = {unit_of(name) for name in names} | set(unit.needs)
    modules = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"groundup"}
    distributions = packages_distributions()
    packages = {name for module in modules for name in distributions.get(module, ())}
    return units - {"", unit.id}, {re.sub(r"[-_.]+", "-", name).lower() for name in packages}


def _needs(unit: Unit, units: set[str]) -> dict[str, str]:
    """The hashes of the implementations of units, of those that they import, and so on."""
    from groundup.course.author.rules.code import imported, unit_of

    needed_files: dict[str, str] = {}
    waiting, seen = sorted(units), {unit.id}
    while waiting:
        if (name := waiting.pop()) in seen:
            continue
        seen.add(name)
        settings = _beside(unit, f"{name}/unit.toml")
        if settings is None:
            continue
        needed = load_unit(settings.parent)
        for file in ("__init__.py", needed.implementation.name):
            needed_files[f"{name}/{file}"] = _hash(needed.folder / file)
        waiting += [unit_of(module) for module, _ in imported(needed, needed.implementation.name) if unit_of(module)]
    return dict(sorted(needed_files.items()))


# The units to prove again


def to_prove(standings: list[Standing], changed: set[str], seed: str) -> list[str]:
    """The units to verify for a change: the changed units, the stale units, and a draw of the others.

    Two of the others are drawn; eight while a proof comes from an earlier gate.

    Args:
        standings: the standings of all units.
        changed: the ids of the units that the change touches.
        seed: the draw's seed; a commit's hash, so that nobody chooses.
    """
    chosen = {state.unit for state in standings if state.stale} | changed
    others = sorted(state.unit for state in standings if state.unit not in chosen)
    count = DRAWN_FOR_A_NEW_GATE if any(state.earlier_gate for state in standings) else DRAWN
    chosen |= set(Random(seed).sample(others, min(count, len(others))))
    return [state.unit for state in standings if state.unit in chosen]

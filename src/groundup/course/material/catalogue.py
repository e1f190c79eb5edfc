"""Every phase, unit and system, present or planned, and the search by their names."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from groundup.course.material.unit import Unit, load_unit
from groundup.errors import UnknownName, UsageError

STACK = Path(__file__).parents[2] / "stack"


@dataclass(frozen=True)
class Entry:
    """One unit of the catalogue, whether or not it is in this release.

    Attributes:
        id: `phase/unit`.
        title: its title.
        builds: the learner's work in it.
        after: the ids of the units whose lessons its lesson stands on, as the catalogue names them.
    """

    id: str
    title: str
    builds: str
    after: tuple[str, ...] = ()

    @property
    def phase(self) -> str:
        """The phase that the unit belongs to."""
        return self.id.split("/")[0]


@dataclass(frozen=True)
class Phase:
    """One phase and its units, in order."""

    name: str
    title: str
    summary: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class System:
    """A deployable application that the units add up to.

    Attributes:
        name: its name.
        title: its title.
        summary: its purpose, in a sentence.
        see: the command that shows it; empty for a planned system.
    """

    name: str
    title: str
    summary: str
    see: str = ""


class Catalogue:
    """All phases, units and systems; units of this release are loaded when first asked for.

    Args:
        stack: the folder of the phases. A test or a new unit may point elsewhere.
    """

    def __init__(self, stack: Path = STACK) -> None:
        self.stack = stack
        data = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8"))
        ids = {unit["name"]: f"{phase['name']}/{unit['name']}" for phase in data["phases"] for unit in phase["units"]}
        self.phases = tuple(
            Phase(
                p["name"],
                p["title"],
                p["summary"],
                tuple(
                    Entry(ids[u["name"]], u["title"], u["builds"], tuple(ids[name] for name in u.get("after", ())))
                    for u in p["units"]
                ),
            )
            for p in data["phases"]
        )
        self.systems = tuple(System(**s) for s in data["systems"])

    @cached_property
    def units(self) -> dict[str, Unit]:
        """The units of this release, by id, in the order of the catalogue."""
        return {e.id: load_unit(self.stack / e.id) for e in self.entries if self.released(e.id)}

    def system(self, name: str) -> System:
        """The system with this name, in this release or planned."""
        return next(system for system in self.systems if system.name == name)

    @property
    def entries(self) -> list[Entry]:
        """Every unit, in order."""
        return [entry for phase in self.phases for entry in phase.entries]

    def stands_on(self, unit_id: str) -> list[str]:
        """The units of this release that a unit's lesson or code stands on directly, in the catalogue's order."""
        entry = next((entry for entry in self.entries if entry.id == unit_id), None)
        below = {*(entry.after if entry else ()), *(self.units[unit_id].needs if self.released(unit_id) else ())}
        return [unit.id for unit in self.entries if unit.id in below and self.released(unit.id)]

    def released(self, unit_id: str) -> bool:
        """Whether the unit is in this release."""
        return (self.stack / unit_id / "unit.toml").exists()

    def resolve(self, name: str) -> str:
        """The full id of a unit given whole or shortened (`attention`), released or not. Raises UnknownName."""
        ids = [entry.id for entry in self.entries]
        name = name.strip().strip("/")
        if name in ids:
            return name
        for test in (lambda i: i.split("/")[1] == name, lambda i: i.split("/")[1].startswith(name)):
            matches = [i for i in ids if name and test(i)]
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise UsageError(f"The unit name '{name}' fits {', '.join(matches)}. Name one of them in full.")
        raise UnknownName("unit", name, ids)

    def unit(self, name: str) -> Unit:
        """The unit of this release with this name. Raises UnknownName, or UsageError if it is only planned."""
        unit_id = self.resolve(name)
        if unit_id not in self.units:
            raise UsageError(
                f"The unit {unit_id} is planned, not in this release. `groundup map` lists the units of this release."
            )
        return self.units[unit_id]

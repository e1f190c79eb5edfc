"""Progress: a view of the ledger, the workspace and the catalogue. It is derived, and cannot be set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from groundup.course.learner.ledger import Ledger, UnitRecord
from groundup.course.learner.workspace import Workspace
from groundup.course.material.catalogue import Catalogue, Entry
from groundup.course.material.unit import Unit
from groundup.course.verdict import Verdict, sha256_text

Status = Literal["planned", "new", "started", "failed", "passed", "stale"]


@dataclass(frozen=True)
class UnitState:
    """A learner's state in one unit.

    Attributes:
        status: `passed` only with a passing verdict on exactly the present code and the present checks; `stale` with
            a passing verdict on other code or other checks.
        detail: the reason, in one sentence.
        verdict: the last verdict, whatever code it judged.
        at: the time of that verdict.
    """

    id: str
    status: Status
    detail: str = ""
    verdict: Verdict | None = None
    at: datetime | None = None


def unit_states(catalogue: Catalogue, workspace: Workspace, ledger: Ledger) -> dict[str, UnitState]:
    """The state of every unit of the catalogue, in its order."""
    records = ledger.units()
    return {
        entry.id: (
            unit_state(catalogue.units[entry.id], workspace, records.get(entry.id))
            if entry.id in catalogue.units
            else UnitState(entry.id, "planned", "Not in this release.")
        )
        for entry in catalogue.entries
    }


def unit_state(unit: Unit, workspace: Workspace, record: UnitRecord | None) -> UnitState:
    """The state of one unit of this release."""
    source = workspace.read_exercise(unit.id)
    last = record.last if record else None
    verdict = Verdict.from_json(last.payload) if last else None
    at = last.at if last else None

    def state(status: Status, detail: str) -> UnitState:
        return UnitState(unit.id, status, detail, verdict, at)

    passes = record.passes if record else frozenset()
    if source is None:
        if passes:
            return state("stale", f"It passed, but {workspace.exercise(unit.id)} is missing.")
        return state("new", f"`groundup start {unit.id}` writes the exercise.")
    code = sha256_text(source)
    if (code, unit.checks_sha256) in passes:
        return state("passed", "Your present code passed every check.")
    if passes:
        changed = "checks have" if any(code == passed for passed, _ in passes) else "code has"
        return state(
            "stale", f"It passed, but the {changed} changed since. `groundup check {unit.id}` judges it again."
        )
    if last is None or last.outcome == "not_attempted":
        return state("started", "The exercise waits for your code.")
    return state("failed", "The last verdict was not a pass.")


def next_up(catalogue: Catalogue, states: Mapping[str, UnitState], road: Sequence[str] = ()) -> list[Entry]:
    """The units to work on next: begun units first, then new units that stand on passed units, then others.

    Among equals, the units of `road` come first, in its order: the track that the learner follows.
    """
    places = {unit: place for place, unit in enumerate(road)}

    def rank(entry: Entry) -> tuple[int, int, int]:
        status = states[entry.id].status
        ready = all(states[below].status == "passed" for below in catalogue.stands_on(entry.id))
        begun = {"failed": 0, "started": 1, "stale": 2}.get(status, 3)
        return begun, 0 if ready else 1, places.get(entry.id, len(places))

    open_units = [e for e in catalogue.entries if e.id in catalogue.units and states[e.id].status != "passed"]
    return sorted(open_units, key=rank)

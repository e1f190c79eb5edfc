"""The grader's request to a worker: plain data, which travels as JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

from groundup.course.grader.forbidden import Rule
from groundup.course.material.source import imported_modules, parse
from groundup.course.material.targets import dependency_order, targets
from groundup.course.material.unit import Unit, load_unit
from groundup.errors import CannotJudge

# What the diagnosis of one verdict may take, in processor seconds, should its looks at the checks not end it before.
DIAGNOSIS_SECONDS = {"numpy": 16.0, "torch": 20.0}


class Mine(TypedDict):
    """A learner's file: the module that it takes the place of, the path that messages show, and its text."""

    module: str
    label: str
    source: str


class MistakeSource(TypedDict):
    """A mistake, as the diagnosis substitutes it."""

    name: str
    target: str
    source: str
    diagnosis: str


class Request(TypedDict):
    """One submission to be judged."""

    unit: str
    package: str
    folder: str
    checks: str
    submission: Mine
    overlay: list[Mine]
    reference: str
    write: list[str]
    forbidden: list[Rule]
    packages: list[str]
    libraries: list[str]
    mistakes: list[MistakeSource]
    about: dict[str, str]
    order: list[str]
    limits: dict[str, Any]
    seed: int
    part: tuple[int, int]
    stop_at_first: bool
    schedule: dict[str, float]
    diagnosis_seconds: float
    brief: bool
    compiled: bool
    scratch: str


def build_request(
    unit: Unit,
    source: str,
    *,
    overlay: Mapping[str, str],
    seed: int,
    diagnose: bool,
    stop_at_first: bool,
    schedule: Mapping[str, float],
    brief: bool,
    compiled: bool = False,
) -> Request:
    """Everything that a worker needs to know about one submission; it is given its temporary folder later."""
    others = {unit_id: text for unit_id, text in overlay.items() if unit_id != unit.id}
    reference, write = unit.implementation.read_text(encoding="utf-8"), tuple(unit.write)
    return {
        "unit": unit.id,
        "package": unit.package,
        "folder": str(unit.folder.resolve()),
        "checks": str(unit.checks.resolve()),
        "submission": {"module": unit.implementation_module, "label": label(unit), "source": source},
        "overlay": [_mine(_neighbour(unit, unit_id), text) for unit_id, text in others.items()],
        "reference": reference,
        "write": list(write),
        "forbidden": rules(unit),
        "packages": packages(unit),
        "libraries": libraries(unit),
        "mistakes": [_mistake(m) for m in unit.mistakes if m.kind == "mistake"] if diagnose else [],
        "about": targets(unit.checks.read_text(encoding="utf-8"), reference, write) if diagnose else {},
        "order": list(dependency_order(reference, write)) if diagnose else [],
        "limits": dict(vars(unit.limits)),
        "seed": seed,
        "part": (0, 1),
        "stop_at_first": stop_at_first,
        "schedule": dict(schedule),
        "diagnosis_seconds": DIAGNOSIS_SECONDS[unit.runtime] if diagnose else 0.0,
        "brief": brief,
        "compiled": compiled,
        "scratch": "",
    }


def label(unit: Unit) -> str:
    """The learner's file as messages name it: where it lies in a workspace."""
    return f"exercises/{unit.id}.py"


def rules(unit: Unit) -> list[Rule]:
    """The names that the unit forbids."""
    return [{"name": forbidden.name, "why": forbidden.why} for forbidden in unit.forbidden]


def packages(unit: Unit) -> list[str]:
    """The packages of the units that a submission may use: those that this unit builds on, and what they build on."""
    found: dict[str, None] = {}
    waiting = [(unit.folder, need) for need in unit.needs]
    while waiting:
        folder, need = waiting.pop()
        if need not in found:
            found[need] = None
            beside = _folder_beside(folder, need)
            if beside is not None:
                waiting += [(beside, further) for further in _needs(beside, (beside / "unit.toml").stat().st_mtime_ns)]
    return ["groundup.stack." + need.replace("/", ".") for need in found]


def libraries(unit: Unit) -> list[str]:
    """The modules of other packages that the reference, and the units that it builds on, import at their top."""
    needed = [package.removeprefix("groundup.stack.").replace(".", "/") for package in packages(unit)]
    folders = [unit.folder, *(_folder_beside(unit.folder, name) for name in needed)]
    stamped = [(folder, (folder / "unit.toml").stat().st_mtime_ns) for folder in folders if folder is not None]
    return list(dict.fromkeys(name for folder, stamp in stamped for name in _imported(folder, stamp)))


@lru_cache(maxsize=256)
def _imported(folder: Path, _: int) -> tuple[str, ...]:
    names = imported_modules(parse(load_unit(folder).implementation.read_text(encoding="utf-8")))
    return tuple(name for name in names if name.partition(".")[0] not in {"groundup", *sys.stdlib_module_names})


@lru_cache(maxsize=256)
def _needs(folder: Path, _: int) -> tuple[str, ...]:
    return load_unit(folder).needs


def _mine(unit: Unit, source: str) -> Mine:
    return {"module": unit.implementation_module, "label": label(unit), "source": source}


def _mistake(mistake: Any) -> MistakeSource:
    return {
        "name": mistake.name,
        "target": mistake.target,
        "source": mistake.source,
        "diagnosis": mistake.diagnosis,
    }


def _neighbour(unit: Unit, unit_id: str) -> Unit:
    folder = _folder_beside(unit.folder, unit_id)
    if folder is None:
        raise CannotJudge(f"The overlay names the unit {unit_id}, which is not beside {unit.id} nor in this release.")
    return load_unit(folder)


def _folder_beside(folder: Path, unit_id: str) -> Path | None:
    """The folder of another unit: of the same stack, or of the installed one."""
    from groundup.course.material.catalogue import STACK

    candidates = [stack / unit_id for stack in (folder.parent.parent, STACK)]
    return next((candidate for candidate in candidates if (candidate / "unit.toml").exists()), None)

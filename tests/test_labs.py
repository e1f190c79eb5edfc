"""Labs of the release: each passes as it is, with a baseline for what is judged, and says what it measured on what.

Every run tries one lab of each phase, the slow job all. That each passes over all its seeds, and fails when it is
sabotaged, is what `groundup verify` proves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from groundup.course.learner.runs import RunReport, run_lab
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.unit import LabInfo, Unit
from groundup.data import REGISTRY

UNITS = Catalogue().units
LABS = [(unit, info) for unit in UNITS.values() for info in unit.labs]
FIRST = {unit.phase: (unit.id, info.name) for unit, info in reversed(LABS)}  # a lab of each phase


def name(value: Any) -> str:
    return value.id if isinstance(value, Unit) else value.name if isinstance(value, LabInfo) else str(value)


def run_in_the_fast_suite(unit: Unit, info: LabInfo) -> bool:
    return FIRST[unit.phase] == (unit.id, info.name)


def run(tmp_path: Path, unit: Unit, info: LabInfo, values: dict[str, Any] | None = None, **more: Any) -> RunReport:
    settings = {key: as_typed(value) for key, value in (values or {}).items()}
    return run_lab(tmp_path, unit, info.name, preset="smoke", settings=settings, **more)


def as_typed(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def problems(report: RunReport) -> Iterator[str]:
    """What a sound report of a passing lab must not have."""
    yield from (outcome["message"] for outcome in report.expectations if not outcome["passed"])
    baselines = {result["metric"]: result["baseline"] for result in report.results}
    if all(baselines.get(outcome["metric"]) is None for outcome in report.expectations):
        yield "nothing that is judged has a baseline beside it"  # what must be exactly 0, say, needs none
    if report.verdict != "passed":
        yield f"{report.verdict}: {report.message}"


@pytest.mark.parametrize(
    ("unit", "info"),
    [pytest.param(*lab, marks=() if run_in_the_fast_suite(*lab) else pytest.mark.slow) for lab in LABS],
    ids=name,
)
def test_a_lab_passes_as_it_is_and_has_a_baseline_for_what_is_judged(unit: Unit, info: LabInfo, tmp_path: Path) -> None:
    report = run(tmp_path, unit, info, seeds=1)
    assert not list(problems(report))
    assert {data["name"] for data in report.data} == set(info.data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "info"),
    [pair for pair in LABS if any(n in REGISTRY and not REGISTRY[n].synthetic for n in pair[1].data)],
    ids=name,
)
def test_a_lab_on_a_stand_in_runs_and_says_so(
    unit: Unit, info: LabInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GROUNDUP_DATA_MIRROR", raising=False)
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    report = run(tmp_path, unit, info)
    assert report.verdict in ("passed", "failed"), report.message
    assert report.stand_in
    assert any(data["label"].startswith("STAND-IN") for data in report.data)

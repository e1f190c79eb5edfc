"""The processor time of the fast tests, what a unit adds to it, and what it will be when every unit is there.

The time of all processes is known exactly; the tests share it as their durations say. A test is a unit's where its name
or its file names the unit.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from benchmarks.measure import Figure
from groundup.course.material.catalogue import Catalogue

ROOT = Path(__file__).parents[1]


def run() -> Iterator[Figure]:
    """Run the tests as the README does, once."""
    catalogue = Catalogue()
    before = processor_seconds()
    with TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"],
            cwd=ROOT, stdout=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"benchmarks suite measures tests that pass, and pytest ended with {done.returncode}.")
        spent = processor_seconds() - before
        durations = shares(report, list(catalogue.units))
    every = sum(durations.values())
    units = spent * (every - durations[""]) / every
    count, planned = len(catalogue.units), len(catalogue.entries)
    yield Figure(f"fast tests, {count} units, processor time", spent, "s")
    yield Figure("of which a unit, on average", units / count, "s")
    yield Figure("of which the costliest unit", spent * max(durations[unit] for unit in catalogue.units) / every, "s")
    yield Figure(f"fast tests, {planned} units, extrapolated", spent + (planned - count) * units / count, "s")


def processor_seconds() -> float:
    """What all processes that this one has started and waited for have taken of the processor."""
    import resource  # not on Windows

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def shares(report: Path, units: list[str]) -> dict[str, float]:
    """Seconds of the tests of each unit, and under "" those of all others."""
    seconds = dict.fromkeys(["", *units], 0.0)
    for case in ElementTree.parse(report).iter("testcase"):
        seconds[unit_of(case.get("classname", ""), case.get("name", ""), units)] += float(case.get("time", 0))
    return seconds


def unit_of(module: str, name: str, units: list[str]) -> str:
    """The unit that a test is of; "" where it is of none."""
    for unit in units:
        dotted = unit.replace("/", ".")
        if unit in name or f"stack.{dotted}." in f"{module}." or module == f"tests.stack.test_{unit.split('/')[1]}":
            return unit
    return ""

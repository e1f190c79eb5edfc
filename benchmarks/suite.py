"""The processor time of the fast tests by folder and by unit, and what it will be when every unit is there.

The time of all processes is known exactly; the tests share it as their durations say. A test is a unit's where its name
or its file names the unit. A smoke run is of the tests of four units, always the same ones, and extrapolates from them.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from benchmarks.measure import Figure
from groundup.course.material.catalogue import Catalogue

ROOT = Path(__file__).parents[1]


COSTLIEST = 10  # units that are named
DRAWN = 4  # units of a smoke run
Seconds = dict[tuple[str, str], float]  # of tests, by folder and unit


def run(*, smoke: bool = False) -> Iterator[Figure]:
    """Run the tests as the README does, once; or those of a few units."""
    yield from _of_drawn_units() if smoke else _of_all()


def _of_all() -> Iterator[Figure]:
    units, planned = list(Catalogue().units), len(Catalogue().entries)
    spent, seconds = measured([], units)
    every = sum(seconds.values())
    yield Figure(f"fast tests, {len(units)} units, processor time", spent, "s")
    folders = summed(seconds, 0)
    for folder in sorted(folders, key=folders.__getitem__, reverse=True):
        yield Figure(f"of which {folder}", spent * folders[folder] / every, "s")
    of_units = {unit: spent * found / every for unit, found in summed(seconds, 1).items() if unit}
    mean = sum(of_units.values()) / len(units)
    yield Figure("of which a unit, on average", mean, "s")
    for unit in sorted(of_units, key=of_units.__getitem__, reverse=True)[:COSTLIEST]:
        yield Figure(f"of which {unit}", of_units[unit], "s")
    yield Figure(f"fast tests, {planned} units, extrapolated", spent + (planned - len(units)) * mean, "s")


def _of_drawn_units() -> Iterator[Figure]:
    units, planned = list(Catalogue().units), len(Catalogue().entries)
    drawn = sorted(random.Random(0).sample(units, DRAWN))
    start, _ = measured([*paths_of_tests(drawn), "--collect-only"], drawn)
    spent, seconds = measured(paths_of_tests(drawn), drawn)
    every, tests = sum(seconds.values()), max(0.0, spent - start)
    yield Figure(f"tests of {DRAWN} units of {len(units)}, processor time", spent, "s")
    yield Figure("of which to start and to find them", start, "s")
    for unit, found in summed(seconds, 1).items():
        yield Figure(f"of which {unit}", tests * found / every, "s")
    yield Figure(f"tests of {planned} units, extrapolated", start + tests * planned / DRAWN, "s")


def paths_of_tests(units: Sequence[str]) -> list[str]:
    """What pytest is told for the tests of these units, and for nothing else."""
    names = [unit.split("/")[1] for unit in units]
    own = [path for name in names if (path := f"tests/stack/test_{name}.py") and (ROOT / path).exists()]
    checks = [f"src/groundup/stack/{unit}/checks.py" for unit in units]
    cases = [f"{unit}{end}" for unit in units for end in "-]"]  # of the suites over all units
    wanted = ["checks.py", *(Path(path).name for path in own), *cases]
    return ["-n0", *checks, *own, "tests/test_units.py", "-k", " or ".join(wanted)]


def measured(arguments: Sequence[str], units: Sequence[str]) -> tuple[float, Seconds]:
    """The processor seconds of a run of pytest, and the seconds of its tests.

    Raises:
        SystemExit: a test fails, or there is none.
    """
    before = processor_seconds()
    with TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *arguments],
            cwd=ROOT, stdout=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"benchmarks suite measures tests that pass, and pytest ended with {done.returncode}.")
        return processor_seconds() - before, shares(report, units)


def processor_seconds() -> float:
    """What all processes that this one has started and waited for have taken of the processor."""
    import resource  # not on Windows

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def shares(report: Path, units: Sequence[str]) -> Seconds:
    """Seconds of the tests by their folder and their unit; the unit is "" where a test is of none."""
    seconds: Seconds = {}
    for case in ElementTree.parse(report).iter("testcase"):
        module = case.get("classname", "")
        key = (folder_of(module), unit_of(module, case.get("name", ""), units))
        seconds[key] = seconds.get(key, 0.0) + float(case.get("time", 0))
    return seconds


def summed(seconds: Seconds, by: int) -> dict[str, float]:
    """Seconds by folder (0) or by unit (1)."""
    sums: dict[str, float] = {}
    for key, found in seconds.items():
        sums[key[by]] = sums.get(key[by], 0.0) + found
    return sums


def folder_of(module: str) -> str:
    """Where a test is: the folder of tests, or the phase whose checks it is one of."""
    parts = module.split(".")
    modules = [at for at, part in enumerate(parts) if part.startswith("test_") or part == "checks"]
    folder = parts[: modules[0]] if modules else parts
    return "/".join(folder[:-1] if "stack" in folder and "src" in folder else folder) or "."


def unit_of(module: str, name: str, units: Sequence[str]) -> str:
    """The unit that a test is of; "" where it is of none."""
    for unit in units:
        dotted = unit.replace("/", ".")
        if unit in name or f"stack.{dotted}." in f"{module}." or module == f"tests.stack.test_{unit.split('/')[1]}":
            return unit
    return ""

"""From saving a file in an editor to the verdict on the open page, while `groundup` runs, beside a cold pytest.

The site is the real one, in a process of its own; the page is a client of its event stream. The peer is pytest, started
cold on the same checks, as one would without groundup. Machines differ by more than two and so do the hours of a shared
one: all bars are ratios to the peer, which is measured in turn with the saves. `GROUNDUP_UNITS=vectors,mlp` measures
these units alone, `GROUNDUP_SAVES=6` saves less often.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Figure, quantile, seconds
from benchmarks.startup import server
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.exercise import splice
from groundup.course.material.source import has_kernels
from groundup.course.material.unit import Unit

SAVES = int(os.environ.get("GROUNDUP_SAVES", "20"))
ROUNDS = 3
PASS_TIMES, FAIL_TIMES = 6.0, 5.0
PEER = "pytest, cold"


@dataclass
class Times:
    """What one unit took, in seconds.

    Attributes:
        passing: from a save of right code to its verdict.
        first: from a save of wrong code to the first answer, which tells what passed and what failed.
        diagnosed: from a save of wrong code to the verdict with its diagnosis.
        peers: runs of pytest on right code.
    """

    passing: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    diagnosed: list[float] = field(default_factory=list)
    peers: list[float] = field(default_factory=list)

    def times(self, ours: list[float], share: float) -> float:
        """How many times as quick as the peer a share of ours is at least."""
        return statistics.median(self.peers) / quantile(ours, share)


def run() -> Iterator[Figure]:
    """Every unit of the release: right code and wrong code in turn, as a learner would save them."""
    catalogue = Catalogue()
    chosen = os.environ.get("GROUNDUP_UNITS", "")
    units = [catalogue.unit(name) for name in chosen.split(",")] if chosen else list(catalogue.units.values())
    measured: list[Times] = []
    with TemporaryDirectory() as folder:
        workspace = Path(folder, "learner")
        environment = {**os.environ, "GROUNDUP_WORKSPACE": str(workspace), "GROUNDUP_OFFLINE": "1"}
        environment.pop("GROUNDUP_LEDGER", None)
        for unit in units:
            subprocess.run(
                [sys.executable, "-m", "groundup", "start", unit.id], env=environment, capture_output=True, check=True
            )
        with server(environment) as (host, port):
            connection = HTTPConnection(host, port, timeout=300)
            connection.request("GET", "/events")
            stream = connection.getresponse()
            for unit in units:
                times = _measured(unit, workspace, stream)
                measured.append(times)
                yield from _figures(unit.id, times)
    yield from _together(measured)


def _figures(unit: str, times: Times) -> Iterator[Figure]:
    runs, peer = len(times.passing), statistics.median(times.peers)
    yield Figure(f"{unit}: save to passing verdict, p50", quantile(times.passing, 0.5), "s", None, peer, PEER, runs)
    yield Figure(
        f"{unit}: passing verdict, p95, as quick as {PEER}",
        times.times(times.passing, 0.95),
        "×",
        PASS_TIMES,
        runs=runs,
    )
    if times.first:
        runs = len(times.first)
        yield Figure(
            f"{unit}: save to first answer of a failure, p50", quantile(times.first, 0.5), "s", None, peer, PEER, runs
        )
        yield Figure(
            f"{unit}: first answer of a failure, p95, as quick as {PEER}",
            times.times(times.first, 0.95),
            "×",
            FAIL_TIMES,
            runs=runs,
        )
        yield Figure(f"{unit}: save to diagnosis, p50", quantile(times.diagnosed, 0.5), "s", None, peer, PEER, runs)


def _together(measured: list[Times]) -> Iterator[Figure]:
    """The units side by side: how many of them keep to the bars."""
    failing = [times for times in measured if times.first]
    for what, bar, ratios in (
        ("passing verdict", PASS_TIMES, [times.times(times.passing, 0.95) for times in measured]),
        ("first answer of a failure", FAIL_TIMES, [times.times(times.first, 0.95) for times in failing]),
    ):
        share = sum(ratio >= bar for ratio in ratios) / len(ratios)
        yield Figure(f"{len(ratios)} units: {what}, p95 at least {bar:g} × as quick as {PEER}", share, "share", 1.0)
        yield Figure(f"{len(ratios)} units: {what}, p95, the median unit", statistics.median(ratios), "×")


def _measured(unit: Unit, workspace: Path, stream: HTTPResponse) -> Times:
    path = workspace / "exercises" / f"{unit.id}.py"
    reference = unit.implementation.read_text(encoding="utf-8")
    mistakes = [mistake for mistake in unit.mistakes if mistake.kind == "mistake"][: SAVES // 2]
    wrong = [splice(reference, mistake.target, mistake.source, reference=reference) for mistake in mistakes]
    _save(path, reference + "# warm\n", unit, stream, "passed")  # the worker is started and has compiled the checks
    if has_kernels(reference):
        _wait_for(stream, unit, "changed", 2)  # its kernels are compiled in the background, once
    _save(path, reference + "# warmer\n", unit, stream, "passed")
    times = Times()
    for turn in range(ROUNDS):  # a slow spell of the machine hits both
        times.peers.append(seconds(lambda: _pytest(unit)))
        for number in range(turn, SAVES, ROUNDS):
            times.passing.append(_save(path, f"{reference}# save {number}\n", unit, stream, "passed")[1])
        for source in wrong[turn::ROUNDS]:
            first, last = _save(path, source, unit, stream)
            times.first.append(first)
            times.diagnosed.append(last)
    return times


def _save(path: Path, text: str, unit: Unit, stream: HTTPResponse, expected: str = "") -> tuple[float, float]:
    """Write a file whole, as editors do; the seconds to the first answer, and to the verdict."""
    time.sleep(0.5)  # nobody saves twice within half a second
    beside = path.with_suffix(".tmp")
    beside.write_text(text, encoding="utf-8")
    start = time.perf_counter()
    os.replace(beside, path)
    told: list[float] = []
    for event, data in _events(stream):
        if data.get("unit") != unit.id:
            continue
        if event == "checking":  # it has begun; the second time, the checks have run and the mistake is looked for
            told.append(time.perf_counter() - start)
        elif event in ("verdict", "trouble"):
            taken = time.perf_counter() - start
            assert not expected or data.get("outcome") == expected, data
            return (told[1] if len(told) > 1 else taken), taken
    raise RuntimeError("the event stream ended")


def _wait_for(stream: HTTPResponse, unit: Unit, kind: str, count: int) -> None:
    """Read on until so many events of a kind are there."""
    for event, data in _events(stream):
        count -= event == kind and data.get("unit") == unit.id
        if not count:
            return


def _events(stream: HTTPResponse) -> Iterator[tuple[str, dict[str, str]]]:
    event = ""
    while line := stream.readline().decode():
        if line.startswith("event: "):
            event = line[7:].strip()
        elif line.startswith("data: "):
            yield event, json.loads(line[6:])


def _pytest(unit: Unit) -> None:
    # Without the plugins that other packages of this environment bring, which nobody would have who has only pytest.
    without = ["no:cacheprovider", "no:schemathesis", "no:langsmith_plugin"]
    options = ["-q", "-p", "groundup.checking", *(part for name in without for part in ("-p", name)), "-c", os.devnull]
    places = ["--rootdir", str(unit.folder), "-o", "python_files=checks.py", str(unit.checks)]
    subprocess.run([sys.executable, "-m", "pytest", *options, *places], capture_output=True, check=True)

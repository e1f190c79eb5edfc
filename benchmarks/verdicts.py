"""From saving a file in an editor to the verdict on the open page, while `groundup` runs.

The site is the real one, in a process of its own; the page is a client of its event stream. The peer is pytest, started
cold on the same checks, as one would without groundup.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Figure, quantile, seconds
from benchmarks.startup import server
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.exercise import splice
from groundup.course.material.unit import Unit

SAVES = 20
PEER_RUNS = 3
BARS = {"numpy": 0.3, "torch": 0.8}


def run() -> Iterator[Figure]:
    """Every unit of the release: right code and wrong code in turn, as a learner would save them."""
    with TemporaryDirectory() as folder:
        workspace = Path(folder, "learner")
        environment = {**os.environ, "GROUNDUP_WORKSPACE": str(workspace), "GROUNDUP_OFFLINE": "1"}
        environment.pop("GROUNDUP_LEDGER", None)
        units = list(Catalogue().units.values())
        for unit in units:
            subprocess.run(
                [sys.executable, "-m", "groundup", "start", unit.id], env=environment, capture_output=True, check=True
            )
        with server(environment) as (host, port):
            connection = HTTPConnection(host, port, timeout=60)
            connection.request("GET", "/events")
            stream = connection.getresponse()
            for unit in units:
                yield from _unit(unit, workspace, stream)


def _unit(unit: Unit, workspace: Path, stream: HTTPResponse) -> Iterator[Figure]:
    path = workspace / "exercises" / f"{unit.id}.py"
    reference = unit.implementation.read_text(encoding="utf-8")
    wrong = [splice(reference, m.target, m.source, reference=reference) for m in unit.mistakes if m.kind == "mistake"][
        : SAVES // 2
    ]
    _save(path, reference + "# warm\n", unit, stream)  # the worker is started and has the file of checks compiled
    _save(path, reference + "# warmer\n", unit, stream)
    passing = [_save(path, f"{reference}# save {i}\n", unit, stream, "passed") for i in range(SAVES)]
    failing = [_save(path, source, unit, stream) for source in wrong]
    peers = [seconds(lambda: _pytest(unit)) for _ in range(PEER_RUNS)]
    peer, name = min(peers), "pytest, cold"
    bar = BARS[unit.runtime]
    yield Figure(f"{unit.id}: save to passing verdict, p95", quantile(passing, 0.95), "s", bar, peer, name, SAVES)
    yield Figure(
        f"{unit.id}: save to failing verdict with diagnosis, p50", quantile(failing, 0.5), "s", None, peer, name,
        len(failing),
    )  # fmt: skip


def _save(path: Path, text: str, unit: Unit, stream: HTTPResponse, expected: str = "") -> float:
    """Write a file whole, as editors do, and wait for its verdict."""
    time.sleep(0.5)  # nobody saves twice within half a second
    beside = path.with_suffix(".tmp")
    beside.write_text(text, encoding="utf-8")
    start = time.perf_counter()
    os.replace(beside, path)
    for event, data in _events(stream):
        if event in ("verdict", "trouble") and data["unit"] == unit.id:
            taken = time.perf_counter() - start
            assert not expected or data.get("outcome") == expected, data
            return taken
    raise RuntimeError("the event stream ended")


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

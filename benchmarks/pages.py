"""The server's time for every page, with every unit of the catalogue released and 10,000 events in the ledger."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import sqlite3
import statistics
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measure import Figure, seconds
from groundup.course.course import Course
from groundup.course.learner.review import Review
from groundup.course.learner.workspace import Workspace
from groundup.course.material.catalogue import STACK, Catalogue, Entry
from groundup.course.verdict import CheckResult, Verdict, sha256_text

UNITS = 70
EVENTS = 10_000
RUNS = 30
BAR = 0.025
MODELS = ("bedrock/vectors", "classical/logistic_regression")


def run() -> Iterator[Figure]:
    """Every GET route, called as the server calls it, each after a first call that fills its caches."""
    with TemporaryDirectory() as folder:
        stack, workspace = Path(folder, "stack"), Workspace(Path(folder, "learner"))
        catalogue = full_catalogue(stack)
        with Course(workspace, catalogue=catalogue) as course:
            fill(course)
            yield from _pages(course)


def full_catalogue(stack: Path) -> Catalogue:
    """A stack in which every unit of the catalogue is there (copies of finished ones), and a few more make 70."""
    catalogue = Catalogue(stack)
    last = catalogue.phases[-1]
    more = tuple(Entry(f"{last.name}/more_{i}", f"More {i}", "…") for i in range(UNITS - len(catalogue.entries)))
    catalogue.phases = (*catalogue.phases[:-1], replace(last, entries=last.entries + more))
    for number, entry in enumerate(catalogue.entries):
        model = STACK / MODELS[number % len(MODELS)]
        folder = stack / entry.id
        shutil.copytree(model, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / f"{model.name}.py").rename(folder / f"{folder.name}.py")
    assert len(catalogue.units) == UNITS
    return catalogue


def fill(course: Course) -> None:
    """A year of work: a file for every unit, verdicts (some passing), hints, reviews, runs, reports."""
    random.seed(0)
    course.choose_track("mastery", date.today() - timedelta(weeks=20), 8)
    rows: list[tuple[Any, ...]] = []
    at = datetime.now(UTC) - timedelta(days=365)
    units = list(course.catalogue.units.values())
    review = Review([], [card for unit in units for card in unit.cards])
    for unit in units:
        source = unit.implementation.read_text(encoding="utf-8")
        course.workspace.write_exercise(unit.id, source)
    for number in range(EVENTS - 1):
        unit = units[number % len(units)]
        at += timedelta(minutes=50)
        kind = random.choices(("verdict", "review", "hint", "run", "report"), (60, 25, 5, 5, 5))[0]
        outcome, code, checks, payload = "", "", "", {}
        if kind == "verdict":
            source = unit.implementation.read_text(encoding="utf-8") if random.random() < 0.1 else f"x = {number}\n"
            code, checks = sha256_text(source), unit.checks_sha256
            outcome = "passed" if len(source) > 100 else "failed"
            results = tuple(
                CheckResult(f"test_{i}", "passed" if outcome == "passed" or i else "failed", "" if i else "No: " * 40)
                for i in range(40)
            )
            payload = Verdict(unit.id, outcome, results, "", code, checks).to_json()  # type: ignore[arg-type]
        elif kind == "review":
            payload = review.answer(random.choice(unit.cards).id, random.choice(("hard", "good", "easy")), at)
        elif kind == "hint":
            payload = {"name": unit.write[0], "stage": 1}
        elif kind == "run":
            payload = {"run": f"r{number}", "lab": unit.labs[0].name, "verdict": "passed"}
        else:
            payload = {"track": "mastery", "item": "L43", "done": True}
        rows.append((at.isoformat(), "", kind, unit.id, outcome, code, checks, json.dumps(payload)))
    with sqlite3.connect(course.workspace.ledger_path) as connection:
        connection.executemany(
            "INSERT INTO events (at, learner, kind, unit, outcome, code_sha256, checks_sha256, payload) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
    assert sum(course.ledger.counts().values()) == EVENTS


def _pages(course: Course) -> Iterator[Figure]:
    from groundup.site import create_app
    from groundup.site.pages import ROUTES

    app = create_app(course, token="t" * 32)
    runs = [course.run("vectors", preset="smoke", seeds=1).id for _ in range(2)]
    values = {
        "phase": "bedrock", "unit": "vectors", "name": "site.css", "track": "mastery", "item": "L1",
        "day": date.today().isoformat(), "run": runs[0],
    }  # fmt: skip
    queries = {"/search": "?q=vector", "/runs/compare": f"?run={runs[0]}&run={runs[1]}"}
    loop = asyncio.new_event_loop()
    peer = None
    for method, pattern, _ in ROUTES:
        if method != "GET" or "{job}" in pattern or pattern == "/events":
            continue  # streams, and the page of a lab that is running
        path = re.sub(r"\{(\w+)\}", lambda m: values[m[1]], pattern) + queries.get(pattern, "")
        call = _caller(loop, app, path)
        first = seconds(call)
        taken = [seconds(call) for _ in range(RUNS)]
        if peer is None:
            static = _caller(loop, app, "/static/site.css")
            static()
            peer = statistics.median(seconds(static) for _ in range(RUNS))
        yield Figure(
            f"{path}, p50 (first time {first * 1000:.0f} ms)", statistics.median(taken) * 1000, "ms", BAR * 1000,
            peer * 1000, "a static file", RUNS,
        )  # fmt: skip
    loop.close()


def _caller(loop: asyncio.AbstractEventLoop, app: Any, path: str) -> Any:
    """One request to the application, as the server would pass it on."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "root_path": "", "scheme": "http", "server": ("127.0.0.1", 4400),
        "client": ("127.0.0.1", 50_000), "headers": [(b"host", b"127.0.0.1:4400"), (b"accept", b"text/html")],
    }  # fmt: skip

    async def request() -> None:
        status = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])

        await app({**scope, "state": {}}, receive, send)
        assert status[0] in (200, 303), f"{path}: {status}"

    return lambda: loop.run_until_complete(request())

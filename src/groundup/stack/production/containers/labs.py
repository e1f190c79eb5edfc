"""Labs of containers: the order of a Dockerfile's lines over a week, and the stack's start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.production.containers import (
    CONDITIONS,
    Node,
    Run,
    cache_keys,
    ignored,
    interpolate,
    pack,
    parse,
    sources,
    start_times,
)

ALL_AT_ONCE = """FROM python:3.12-slim
WORKDIR /srv
COPY . .
RUN pip install -r requirements.txt
RUN python -m compileall src
CMD ["serve"]
"""
IN_ORDER = """FROM python:3.12-slim
WORKDIR /srv
COPY requirements.txt ./
RUN pip install -r requirements.txt
COPY src ./src
RUN python -m compileall src
CMD ["serve"]
"""
IGNORE = (".git", "**/*.md", "tests", "data")


@dataclass(frozen=True)
class OrderConfig:
    """Settings of the lab of the order.

    Attributes:
        seed: seed of the changes.
        days: days of work.
        builds: builds in a day; one change comes before each.
        installed: megabytes that the installation writes.
        compiled: megabytes that the compilation writes.
        requirements: share of the changes that add a requirement.
        notes: share of the changes that touch what no image needs: notes, tests, Git's own files.
        order: the Dockerfile that is judged.
        ignore: whether there is a `.dockerignore`.
    """

    seed: int = 0
    days: int = 5
    builds: int = 12
    installed: float = 900.0
    compiled: float = 2.0
    requirements: float = 0.05
    notes: float = 0.4
    order: Literal["in order", "all at once"] = "in order"
    ignore: bool = True


def _project(rng: np.random.Generator) -> dict[str, bytes]:
    """The files of a project."""
    names = (
        [f"src/part{k}.py" for k in range(12)] + [f"tests/test{k}.py" for k in range(6)] + ["README.md", ".git/index"]
    )
    return {"requirements.txt": b"numpy\n"} | {name: rng.bytes(2_000) for name in names}


def _change(files: Mapping[str, bytes], rng: np.random.Generator, config: OrderConfig) -> dict[str, bytes]:
    """The files after one change."""
    kind = rng.choice(3, p=[config.requirements, config.notes, 1 - config.requirements - config.notes])
    if kind == 0:
        return {**files, "requirements.txt": files["requirements.txt"] + f"package{rng.integers(1_000)}\n".encode()}
    names = [name for name in files if name.startswith("src/") == (kind == 2) and name != "requirements.txt"]
    return {**files, names[rng.integers(len(names))]: rng.bytes(2_000)}


def _week(config: OrderConfig, dockerfile: str, ignore: bool) -> dict[str, Any]:
    """Build after each change; megabytes of the layers that were made, and installations."""
    rng = np.random.default_rng(config.seed)
    steps, files = parse(dockerfile), _project(rng)
    known: set[str] = set()
    written, installs, whole = 0.0, 0, 0.0
    for number in range(config.days * config.builds + 1):
        context = {path: data for path, data in files.items() if not (ignore and ignored(IGNORE, path))}
        keys = cache_keys(steps, context)
        sizes = [_megabytes(step.name, step.text, context, config) for step in steps]
        if number:  # the first build makes everything, however it is written
            made = [key not in known for key in keys]
            written += sum(size for size, new in zip(sizes, made, strict=True) if new)
            installs += sum(new and "pip" in step.text for step, new in zip(steps, made, strict=True))
            whole += sum(sizes)
        known |= set(keys)
        files = _change(files, rng, config)
    return {"GB written": written / 1e3, "installations": installs, "share": written / whole}


def _megabytes(name: str, text: str, files: Mapping[str, bytes], config: OrderConfig) -> float:
    """What a step writes: a COPY the tar of its files, a RUN what the settings say."""
    if name == "RUN":
        return config.installed if "pip" in text else config.compiled
    if name != "COPY":
        return 0.0
    return len(pack({path: Node("file", files[path]) for path in sources(text.split(), files)})) / 1e6


@lab(
    title="The order of the lines",
    question="How much does a week of changes build anew, by the order of a Dockerfile's lines?",
    presets={"smoke": {}, "laptop": {"days": 20}, "full": {"days": 200}},
    expectations=[
        expect("share", at_most=0.2, why="Code is copied after the installation, and notes are ignored."),
        expect("share", beats_baseline_by=0.5, lower_is_better=True, why="COPY . . installs anew for every note."),
    ],
    sabotage=[{"order": "all at once", "ignore": False}, {"requirements": 0.6}],
)
def order(config: OrderConfig, record: Recorder) -> None:
    """Let the same changes come to two Dockerfiles, with and without a `.dockerignore`, and build after each.

    The share is of the bytes that would be written if nothing were kept. What an installation writes is a setting; the
    sizes of copied layers are those of their tars.
    """
    rows = []
    for name, dockerfile in (("all at once", ALL_AT_ONCE), ("in order", IN_ORDER)):
        for ignore in (False, True):
            rows.append({"order": name, "ignore": ignore} | _week(config, dockerfile, ignore))
    record.table("a week", rows)
    judged = next(row for row in rows if row["order"] == config.order and row["ignore"] == config.ignore)
    record.baseline("share", rows[0]["share"], "COPY . . before the installation, without .dockerignore")
    record.result("share", judged["share"])


@dataclass(frozen=True)
class StackConfig:
    """Settings of the lab of the stack.

    Attributes:
        seed: seed of how long each service takes.
        starts: how often the stack is started.
        condition: what the API and the page wait for.
        broken: share of the starts in which a service never becomes healthy.
    """

    seed: int = 0
    starts: int = 400
    condition: Literal["service_started", "service_healthy"] = "service_healthy"
    broken: float = 0.05


HEALTH = {"test": ["CMD", "true"], "interval": "${INTERVAL:-5s}"}
STACK: dict[str, dict[str, Any]] = {
    "api": {"depends_on": ["chroma", "ollama"], "healthcheck": HEALTH},
    "page": {"depends_on": ["api"]},
    "chroma": {"healthcheck": HEALTH},
    "ollama": {"healthcheck": HEALTH},
}
"""The services of deploy/compose.yaml and what they depend on, and a health check for each."""


def _waiting(condition: str) -> dict[str, dict[str, Any]]:
    """The stack with a condition for each dependency."""
    return {
        name: {**body, "depends_on": {other: {"condition": condition} for other in body.get("depends_on", [])}}
        for name, body in STACK.items()
    }


@lab(
    title="The stack starts",
    question="How often does a service start before what it needs can answer?",
    presets={"smoke": {}, "laptop": {"starts": 10_000}, "full": {"starts": 100_000}},
    expectations=[
        expect("early", at_most=0.0, why="service_healthy waits until the other can answer."),
        expect(
            "early", beats_baseline_by=0.5, lower_is_better=True, why="A list waits until the other has been started."
        ),
        expect("started", at_least=0.8, why="Where all become healthy, all must start."),
    ],
    sabotage=[{"condition": "service_started"}, {"broken": 0.6}],
)
def stack(config: StackConfig, record: Recorder) -> None:
    """Start the API, ChromaDB, Ollama and the page many times, with seconds until each is healthy drawn at random.

    Early is the share of starts in which some service begins before one that it depends on is healthy; started, that in
    which all of them begin.
    """
    rng = np.random.default_rng(config.seed)
    seconds = float(interpolate(HEALTH["interval"], {}).rstrip("s"))
    rows = []
    draws = [
        {
            name: Run(np.inf if rng.random() < config.broken / len(STACK) else float(rng.gamma(2.0, scale)) + seconds)
            for name, scale in (("api", 2.0), ("page", 1.0), ("chroma", 3.0), ("ollama", 6.0))
        }
        for _ in range(config.starts)
    ]
    for condition in (CONDITIONS[0], config.condition):
        services = _waiting(condition)
        times = [start_times(services, runs) for runs in draws]
        early = [
            any(
                begun[name] < begun[other] + runs[other].healthy
                for name, body in services.items()
                for other in body["depends_on"]
                if np.isfinite(begun[name])
            )
            for begun, runs in zip(times, draws, strict=True)
        ]
        last = [max(begun.values()) for begun in times]
        started = np.isfinite(last)
        row = {"condition": condition, "early": float(np.mean(early)), "started": float(started.mean())}
        rows.append(row | {"last start s": float(np.median(np.array(last)[started]))})
    record.table("starts", rows)
    record.baseline("early", rows[0]["early"], "depends_on as a list")
    record.result("early", rows[1]["early"])
    record.baseline("started", rows[0]["started"], "depends_on as a list")
    record.result("started", rows[1]["started"])

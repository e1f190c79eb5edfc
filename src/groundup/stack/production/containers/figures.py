"""Explorables of containers: what a change builds anew, what a deletion saves, and who waits for whom."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.production.containers import Node, Run, Tree, cache_keys, diff, pack, parse, start_times

DOCKERFILES = {
    "COPY . . first": ["FROM python:3.12", "COPY . .", "RUN pip install -r requirements.txt", "RUN compile src"],
    "requirements first": [
        "FROM python:3.12", "COPY requirements.txt ./", "RUN pip install -r requirements.txt", "COPY src ./src",
        "RUN compile src",
    ],
    "two stages": [
        "FROM python:3.12 AS build", "COPY requirements.txt ./", "RUN pip install -r requirements.txt",
        "FROM python:3.12-slim", "COPY --from=build /opt /opt", "COPY src ./src", "RUN compile src",
    ],
}  # fmt: skip
SECONDS = {"pip": 90.0, "compile": 8.0, "COPY": 2.0}


@figure("What a change builds anew")
def rebuild(
    dockerfile: Literal["COPY . . first", "requirements first", "two stages"] = "COPY . . first",
    changed: Literal["README.md", "src/app.py", "requirements.txt"] = "src/app.py",
) -> go.Figure:
    """The steps of a Dockerfile and the seconds that each takes; those that a changed file runs again are orange.

    Once a step runs again, all after it in its stage do. So the step that takes longest should come before whatever
    changes most often. The seconds are assumed; which steps run is computed by the keys.
    """
    lines = DOCKERFILES[dockerfile]
    files = {"requirements.txt": b"numpy", "src/app.py": b"run()", "README.md": b"# app"}
    steps = parse("\n".join(lines))
    known = set(cache_keys(steps, files))
    again = [key not in known for key in cache_keys(steps, {**files, changed: b"new"})]
    seconds = [next((value for name, value in SECONDS.items() if name in line), 0.5) for line in lines]
    plot = go.Figure()
    for name, colour, chosen in (("kept", GREY, False), ("run again", ORANGE, True)):
        rows = [(line, value) for line, value, new in zip(lines, seconds, again, strict=True) if new == chosen]
        plot.add_bar(
            x=[value for _, value in rows],
            y=[line for line, _ in rows],
            orientation="h",
            name=name,
            marker_color=colour,
        )
    total = sum(value for value, new in zip(seconds, again, strict=True) if new)
    headline(plot, f"{changed} changed: {sum(again)} of {len(lines)} steps, {total:g} of {sum(seconds):g} s")
    plot.update_xaxes(title="seconds of the step", range=[0, 100])
    plot.update_yaxes(categoryorder="array", categoryarray=lines[::-1], automargin=True)
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Deleted is not gone")
def deleted(
    cache: Annotated[int, Range(0, 400, step=20)] = 200,
    where: Literal["not at all", "in the next step", "in the same step"] = "in the next step",
) -> go.Figure:
    """Kilobytes of each layer of an image, when an installation leaves a cache behind, and where the cache is deleted.

    A deletion in the next step adds a whiteout: the file cannot be seen any more, and is still in the layer below, for
    everybody who pulls the image. Only what the same step deletes was never in a layer. So it is with secrets.
    """
    rng = np.random.default_rng(0)
    base: Tree = {"bin": Node("dir", mode=0o755), "bin/python": Node("file", rng.bytes(60_000))}
    installed: Tree = {**base, "lib": Node("dir", mode=0o755), "lib/numpy": Node("file", rng.bytes(90_000))}
    cached: Tree = {
        **installed,
        "cache": Node("dir", mode=0o755),
        "cache/wheel": Node("file", rng.bytes(1_000 * cache)),
    }
    trees = {
        "not at all": [base, cached],
        "in the next step": [base, cached, installed],
        "in the same step": [base, installed],
    }
    names, sizes, before = ["base", "install", "delete"], [], Tree()
    for tree in trees[where]:
        sizes.append(len(pack(diff(before, tree))) / 1e3)
        before = tree
    plot = go.Figure(go.Bar(x=names[: len(sizes)], y=sizes, marker_color=BLUE, name="layer"))
    seen = sum(len(node.data) for node in before.values()) / 1e3
    headline(plot, f"{sum(sizes):.0f} kB in {len(sizes)} layers; a container sees {seen:.0f} kB of files")
    plot.update_xaxes(title="layer")
    plot.update_yaxes(title="kilobytes of its tar")
    return plot


@figure("Who waits for whom")
def starts(
    condition: Literal["service_started", "service_healthy"] = "service_started",
    chroma: Annotated[float, Range(0, 60, step=1)] = 12.0,
    migration: Annotated[int, Range(0, 1)] = 0,
) -> go.Figure:
    """A stack over time: a bar begins when a service starts, and its colour changes when the service is healthy.

    The API needs ChromaDB, and ChromaDB a migration that takes 6 s and ends with the code that you choose. With
    `service_started` the API asks a database that cannot answer. With `service_healthy` it waits. If the migration
    fails, neither ever starts.
    """
    health = {"test": ["CMD", "true"]}
    services = {
        "migrate": {},
        "chroma": {"depends_on": {"migrate": {"condition": "service_completed_successfully"}}, "healthcheck": health},
        "api": {"depends_on": {"chroma": {"condition": condition}}, "healthcheck": health},
        "page": {"depends_on": {"api": {"condition": condition}}},
    }
    runs = {"migrate": Run(0.0, 6.0, migration), "chroma": Run(chroma), "api": Run(5.0), "page": Run(1.0)}
    begun = {name: time for name, time in start_times(services, runs).items() if np.isfinite(time)}
    plot = go.Figure()
    waiting = [min(runs[name].healthy, runs[name].ends) if name != "migrate" else 6.0 for name in begun]
    names = list(begun)
    plot.add_bar(y=names, x=waiting, base=list(begun.values()), orientation="h", name="not ready", marker_color=ORANGE)
    rest = [
        max(90.0 - begun[name] - wait, 0.0) if name != "migrate" else 0.0
        for name, wait in zip(names, waiting, strict=True)
    ]
    ready = [begun[name] + wait for name, wait in zip(names, waiting, strict=True)]
    plot.add_bar(y=names, x=rest, base=ready, orientation="h", name="ready", marker_color=GREEN)
    early = "api" in begun and begun["api"] < begun["chroma"] + chroma
    told = "the API starts before ChromaDB can answer" if early else "nobody asks too early"
    headline(plot, told if "api" in begun else "the migration failed: nothing after it starts")
    plot.update_xaxes(title="seconds", range=[0, 90])
    plot.update_yaxes(categoryorder="array", categoryarray=list(services)[::-1], range=[-0.5, 3.5])
    plot.update_layout(barmode="overlay", legend=LEGEND_BELOW)
    return plot

"""Explorables of versioning: what files save, what a checkout does, and which versions an object serves."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.production.versioning import Store, encode_listing, plan


@figure("Copies, and objects")
def saved(
    files: Annotated[int, Range(1, 50)] = 20,
    changed: Annotated[int, Range(0, 50)] = 2,
    versions: Annotated[int, Range(2, 20)] = 10,
) -> go.Figure:
    """Megabytes on the disk after each version of a dataset of 100 MB, cut into files of equal size.

    Each version changes some files, drawn at random. Cut the data into 1 file: any change keeps all of it once more.
    """
    rng = np.random.default_rng(3)
    content = np.zeros(files, dtype=int)
    objects: set[tuple[int, int]] = set()
    stored, listings = [], 0.0
    for version in range(versions):
        if version:
            content[rng.choice(files, min(changed, files), replace=False)] = version
        objects |= set(enumerate(content.tolist()))
        listings += len(encode_listing({f"part-{at:03}.csv": f"{at:016x}{content[at]:016x}" for at in range(files)}))
        stored.append(len(objects) * 100 / files + listings / 1e6)
    copies = [100 * (number + 1) for number in range(versions)]
    x = list(range(1, versions + 1))
    plot = go.Figure()
    plot.add_scatter(x=x, y=copies, name="copies", line={"color": ORANGE}, mode="lines+markers")
    plot.add_scatter(x=x, y=stored, name="store, with its listings", line={"color": BLUE}, mode="lines+markers")
    headline(plot, f"{stored[-1]:.0f} of {copies[-1]} MB: {max(1 - stored[-1] / copies[-1], 0):.0%} saved")
    plot.update_xaxes(title="version", dtick=max(versions // 10, 1))
    plot.update_yaxes(title="megabytes on the disk", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Three hashes, one decision")
def decision(base: Literal["A", "B", "none"] = "A") -> go.Figure:
    """What a checkout does with one file, by its content in the folder (here) and in the version to go to (there).

    Choose its content in the version that the folder came from. Column "none": you removed the file, or never had it.
    """
    contents = ["A", "B", "C", "none"]
    kinds = ["nothing to do", "yours stays", "written", "removed", "conflict"]
    colours = [GREY, GREEN, BLUE, ORANGE, RED]

    def listing(content: str) -> dict[str, str]:
        return {} if content == "none" else {"file": content}

    grid = []
    for there in contents:
        row = []
        for here in contents:
            todo = plan(listing(base), listing(here), listing(there))
            done = [todo.write, todo.remove, todo.conflicts]
            row.append(next((at + 2 for at, paths in enumerate(done) if paths), 0 if here == there else 1))
        grid.append(row)
    scale = [[(at + step) / 5, colour] for at, colour in enumerate(colours) for step in (0, 1)]
    plot = go.Figure()
    plot.add_heatmap(
        x=contents,
        y=contents,
        z=grid,
        zmin=-0.5,
        zmax=4.5,
        colorscale=scale,
        showscale=False,
        xgap=3,
        ygap=3,
        text=[[kinds[value] for value in row] for row in grid],
        texttemplate="%{text}",
    )
    count = sum(value == 4 for row in grid for value in row)
    headline(plot, f"the folder came from {base}: {count} of 16 cases are conflicts")
    plot.update_xaxes(title="here: the folder as it is", type="category")
    plot.update_yaxes(title="there: the version to go to", type="category", autorange="reversed")
    return plot


@figure("Which version needs which object")
def needed(
    newest: Annotated[int, Range(1, 6)] = 3,
    damage: Annotated[int, Range(0, 8)] = 0,
) -> go.Figure:
    """Six versions of four files. The newest ones are kept, the others collected; then one object is damaged.

    Grey objects are gone. A red one is damaged, and hurts every kept version in its row. 0 damages none.
    """
    rng = np.random.default_rng(5)
    with tempfile.TemporaryDirectory() as place:
        store, folder, versions = Store(Path(place, "store")), Path(place, "data"), []
        folder.mkdir()
        content = [0, 0, 0, 0]
        for number in range(6):
            if number:
                content[int(rng.integers(4))] = number
            for at, value in enumerate(content):
                (folder / f"{'abcd'[at]}.csv").write_text(f"{at} {value}")
            versions.append(store.commit(folder))
        listings = [store.listing(version) for version in versions]
        first: dict[str, str] = {}
        for number, listing in enumerate(listings):
            for path, name in listing.items():
                first.setdefault(name, f"{path[0]}{number + 1}")
        removed = store.collect(versions[-newest:])
        if damage:
            hurt = sorted(first, key=lambda name: first[name])[damage - 1]
            if hurt not in removed:
                store.path(hurt).write_bytes(b"x")
        problems = store.verify(versions[-newest:])
    plot = go.Figure()
    states = {"whole": (BLUE, "circle"), "collected": (GREY, "circle-open"), "damaged": (RED, "x")}
    for state, (colour, symbol) in states.items():
        points = [
            (number + 1, first[name])
            for number, listing in enumerate(listings)
            for name in listing.values()
            if state == ("damaged" if name in problems else "collected" if name in removed else "whole")
        ]
        x, y = ([point[at] for point in points] for at in (0, 1))
        plot.add_scatter(x=x, y=y, mode="markers", name=state, marker={"color": colour, "symbol": symbol, "size": 14})
    gone = sum(not name.endswith(".dir") for name in removed)
    headline(plot, f"{len(first) - gone} of {len(first)} file objects are kept; problems: {len(problems)}")
    plot.update_xaxes(title="version", dtick=1, range=[0.5, 6.5])
    plot.update_yaxes(
        title="object: file and first version", categoryorder="array", categoryarray=sorted(first.values())
    )
    plot.update_layout(legend=LEGEND_BELOW)
    return plot

"""Explorables of delivery: jobs that run or are skipped, legs of a matrix, and a canary's evidence."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, ORANGE, RED, SKY, headline
from groundup.stack.production.delivery import Cancelled, expand_matrix, judge_canary, order_jobs, run_workflow

COLOURS = {"success": GREEN, "failure": RED, "skipped": GREY, "cancelled": ORANGE}
SYMBOLS = {"success": "circle", "failure": "x", "skipped": "circle-open", "cancelled": "square"}


@figure("Which jobs run?")
def states(
    broken: Literal["nothing", "lint", "test", "build"] = "test",
    how: Literal["fails", "is cancelled"] = "fails",
    docs: Literal["no if", "always()", "!cancelled()", "failure()"] = "no if",
    branch: Literal["main", "feature"] = "main",
) -> go.Figure:
    """A pipeline of six jobs. `docs` needs `test` and has the condition that you choose; `publish` needs `docs`.

    `build` runs on main only. Let `test` fail and `docs` run always: `publish` is skipped all the same, because
    success() asks every ancestor.
    """
    jobs: dict[str, Any] = {
        "lint": {},
        "test": {"needs": "lint"},
        "build": {"needs": "test", "if": "github.ref == 'main'"},
        "docs": {"needs": "test"} | ({} if docs == "no if" else {"if": docs}),
        "release": {"needs": "build"},
        "publish": {"needs": "docs"},
    }

    def breaks(here: Any) -> None:
        raise Cancelled if how == "is cancelled" else RuntimeError

    work = {name: breaks if name == broken else lambda here: None for name in jobs}
    results = run_workflow({"jobs": jobs}, work, {"github": {"ref": branch}})
    places = {name: (x, y) for x, wave in enumerate(order_jobs(jobs)) for y, name in enumerate(wave)}
    plot = go.Figure()
    for name, job in jobs.items():
        if "needs" in job:
            ends = places[job["needs"]], places[name]
            plot.add_scatter(
                x=[x for x, _ in ends], y=[y for _, y in ends], mode="lines", line_color=GREY, showlegend=False
            )
    for state, colour in COLOURS.items():
        mine = [name for name, result in results.items() if result.state == state]
        marker = {"color": colour, "size": 26, "symbol": SYMBOLS[state], "line": {"width": 3, "color": colour}}
        at = {"x": [places[name][0] for name in mine], "y": [places[name][1] for name in mine]}
        plot.add_scatter(**at, mode="markers+text", text=mine, textposition="top center", marker=marker, name=state)
    ran = sum(result.state == "success" for result in results.values())
    headline(plot, f"{ran} of {len(jobs)} jobs succeed; release: {results['release'].state}")
    plot.update_xaxes(title="wave", tickvals=[0, 1, 2, 3], range=[-0.4, 3.4])
    plot.update_yaxes(visible=False, range=[-0.5, 1.7])
    return plot


@figure("How many legs?")
def legs(
    exclude: bool = False,
    extend: bool = True,
    add: bool = True,
    overwrite: bool = False,
) -> go.Figure:
    """A matrix of three systems and three versions; each mark is a leg.

    The exclude takes macOS with 3.11 away. An include for Linux extends three legs, one for Windows with 3.9 fits no
    combination and becomes a leg of its own, and one without an axis is added to all.
    """
    include: list[dict[str, Any]] = []
    include += [{"os": "linux", "cover": True}] if extend else []
    include += [{"os": "windows", "python": "3.9"}] if add else []
    include += [{"cover": False}] if overwrite else []
    matrix = {"os": ["linux", "macos", "windows"], "python": ["3.11", "3.12", "3.13"], "include": include}
    found = expand_matrix(matrix | ({"exclude": [{"os": "macos", "python": "3.11"}]} if exclude else {}))
    plot = go.Figure()
    for name, colour, symbol in (
        ("no cover", BLUE, "circle"),
        ("cover: True", ORANGE, "diamond"),
        ("cover: False", SKY, "square"),
    ):
        mine = [leg for leg in found if (f"cover: {leg['cover']}" if "cover" in leg else "no cover") == name]
        at = {"x": [leg["python"] for leg in mine], "y": [leg["os"] for leg in mine]}
        plot.add_scatter(**at, mode="markers", marker={"size": 28, "color": colour, "symbol": symbol}, name=name)
    headline(plot, f"{len(found)} legs")
    plot.update_xaxes(title="python", type="category", categoryarray=["3.9", "3.11", "3.12", "3.13"], range=[-0.5, 3.5])
    plot.update_yaxes(title="os", type="category", categoryarray=["windows", "macos", "linux"], range=[-0.5, 2.5])
    return plot


@figure("When does the gate decide?")
def gate(
    truth: Annotated[float, Range(0.5, 4, step=0.1)] = 2.0,
    worse: Annotated[float, Range(1.2, 4, step=0.1)] = 2.0,
    share: Annotated[float, Range(0.02, 0.5, step=0.02)] = 0.1,
    alpha: Annotated[float, Range(0.001, 0.3, log=True)] = 0.01,
) -> go.Figure:
    """The evidence against 12 canaries that fail `truth` times as often as the stable version, failure by failure.

    A path ends where it reaches the upper line, rollback, or the lower one, promote. A small share of the traffic makes
    each failure in the canary weigh more, and the others less. A `worse` of 1.2 looks for little, and needs long.
    """
    rng = np.random.default_rng(6)
    chance = truth * share / (truth * share + 1 - share)
    guilty = worse * share / (worse * share + 1 - share)
    weights = math.log((1 - guilty) / (1 - share)), math.log(guilty / share)
    plot = go.Figure()
    verdicts = []
    for number in range(12):
        failures = rng.random(600) < chance
        decision = judge_canary(failures.tolist(), share, worse, alpha)
        verdicts.append(decision.verdict)
        path = np.append(0, np.where(failures[: decision.failures], weights[1], weights[0]).cumsum())
        colour = {"rollback": RED, "promote": GREEN, "continue": GREY}[decision.verdict]
        plot.add_scatter(y=path, mode="lines", line={"color": colour, "width": 1.5}, name=f"canary {number + 1}")
    for bound in (math.log(0.95 / alpha), math.log(0.05 / (1 - alpha))):
        plot.add_hline(y=bound, line={"color": GREY, "dash": "dash"})
    headline(plot, f"{verdicts.count('rollback')} rolled back, {verdicts.count('promote')} promoted, of 12")
    plot.update_xaxes(title="failures in both versions")
    plot.update_yaxes(title="evidence against the canary")
    plot.update_layout(showlegend=False)
    return plot

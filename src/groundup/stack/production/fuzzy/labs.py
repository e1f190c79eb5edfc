"""Lab of fuzzy logic: the risk surface of two detectors, its holes, its steps and its falls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundup.drawing import BLUE, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.evaluation import roc_auc
from groundup.stack.production.fuzzy import Engine, Rule, bounds, gaps, infer, risk_engine, worst_fall

UNCOVERED = 0.5  # what a caller would have to make up where no rule fires


@dataclass(frozen=True)
class SurfaceConfig:
    """Settings of the lab of the surface.

    Attributes:
        seed: seed of the messages and of the places.
        messages: messages that two detectors score, half of them attacks.
        skill: how far apart a detector's scores of attacks and of others lie, in deviations of its noise.
        places: pairs of near places at which steps are measured.
        cells: cells a side of the grid that proves how far the score can fall.
        drop: rules that are left out, from the first.
        scramble: permute what the rules end in.
    """

    seed: int = 0
    messages: int = 400
    skill: float = 1.2
    places: int = 300
    cells: int = 10
    drop: int = 0
    scramble: bool = False


@lab(
    title="A risk surface",
    question="Does the engine judge better than one detector, without holes, steps and deep falls?",
    data=[],
    presets={
        "smoke": {},
        "laptop": {"messages": 4_000, "places": 3_000, "cells": 40},
        "full": {"messages": 20_000, "places": 20_000, "cells": 100},
    },
    expectations=[
        expect("covered", at_least=1.0, why="Some rule must fire at every kind of input."),
        expect("ranking", beats_baseline_by=0.03, why="Two detectors know more than one."),
        expect("step", beats_baseline_by=0.2, lower_is_better=True, why="A small change must not make a large one."),
        expect("fall", at_most=0.25, why="More evidence may lower the risk by a quarter at the very most."),
    ],
    sabotage=[{"drop": 2}, {"scramble": True}],
)
def surface(config: SurfaceConfig, record: Recorder) -> None:
    """Score messages and places by the nine rules, and by the same rules with crisp levels.

    The detectors' noise is independent. Messages are generated, and no setting is fitted to them. A step is the largest
    change between two places that lie 0.01 apart in both inputs.
    """
    import plotly.graph_objects as go

    rng = np.random.default_rng(config.seed)
    engine = risk_engine()
    rules = list(engine.rules)[config.drop :]
    if config.scramble:
        ends = [rules[k].then for k in rng.permutation(len(rules))]
        rules = [Rule(rule.when, end) for rule, end in zip(rules, ends, strict=True)]
    engine = Engine(engine.inputs, engine.output, rules)
    alone = Engine(engine.inputs, engine.output, [Rule({"vision": "high", "text": "medium"}, "high")])
    holes = gaps(engine)
    record.note(f"{len(rules)} rules, {len(holes)} of 25 kinds of input without a rule")

    attack = np.arange(config.messages) % 2
    logits = config.skill * (attack - 0.5)[:, None] + rng.normal(size=(config.messages, 2))
    detectors = 1 / (1 + np.exp(-logits))
    score = _scores(engine, detectors)
    singles = [roc_auc(attack, detectors[:, k]) for k in (0, 1)]

    places = rng.uniform(0, 0.99, (config.places, 2))
    steps = np.abs(_scores(engine, places + 0.01) - _scores(engine, places))
    crisp = np.abs(_crisp(rules, places + 0.01) - _crisp(rules, places))
    seen, proved = worst_fall(engine, config.cells) if not holes else (1.0, 1.0)
    box = {"vision": (0.8, 1.0), "text": (0.6, 1.0)}
    certain = bounds(engine, **box)
    record.table(
        "the surface",
        [
            {"number": "ranking by vision, by text, by the engine", "value": f"{singles[0]:.3f}, {singles[1]:.3f}, "
             f"{roc_auc(attack, score):.3f}"},
            {"number": "ranking by the mean of both", "value": f"{roc_auc(attack, detectors.mean(axis=1)):.3f}"},
            {"number": "largest step, crisp and fuzzy", "value": f"{crisp.max():.3f}, {steps.max():.3f}"},
            {"number": "largest fall, seen and at most", "value": f"{seen:.3f}, {proved:.3f}"},
            {"number": "risk if vision ≥ 0.8 and text ≥ 0.6", "value": f"{certain[0]:.3f} to {certain[1]:.3f}"},
        ],
    )  # fmt: skip
    axis = np.linspace(0, 1, 26)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    scale = [[0.0, BLUE], [1.0, ORANGE]]
    plot = go.Figure(go.Contour(x=axis, y=axis, z=_scores(engine, grid).reshape(26, 26), colorscale=scale))
    plot.update_xaxes(title="confidence of the vision model")
    plot.update_yaxes(title="threat score of the text model")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("risk surface", plot)

    record.baseline("covered", 1 - len(gaps(alone)) / 25, "the roadmap's one rule")
    record.result("covered", 1 - len(holes) / 25)
    record.baseline("ranking", singles[0], "the vision model alone")
    record.result("ranking", roc_auc(attack, score))
    record.baseline("step", float(crisp.max()), "the same rules, each input wholly of its nearest level")
    record.result("step", float(steps.max()))
    record.baseline("fall", 1.0, "no proof: the whole range")
    record.result("fall", proved)


def _scores(engine: Engine, values: np.ndarray) -> np.ndarray:
    """The engine's score of each row, vision and text."""
    holes = bool(gaps(engine))
    scores = []
    for vision, text in values.tolist():
        try:
            scores.append(infer(engine, vision=vision, text=text).score)
        except ValueError:
            if not holes:
                raise
            scores.append(UNCOVERED)
    return np.array(scores)


def _crisp(rules: list[Rule], values: np.ndarray) -> np.ndarray:
    """The risk 0, 0.5 or 1 that the rules give if each input is wholly of its nearest level."""
    levels = ["low", "medium", "high"]
    table = {(rule.when["vision"], rule.when["text"]): levels.index(rule.then) / 2 for rule in rules}
    nearest = np.rint(2 * values).astype(int)
    return np.array([table.get((levels[v], levels[t]), UNCOVERED) for v, t in nearest])

"""Lab of optimization: races on surfaces, and on the loss of a model of real passengers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.drawing import COLOURS, LEGEND_BELOW
from groundup.labs import Recorder, expect, lab
from groundup.stack.bedrock.optimization import (
    Surface,
    Track,
    adam_step,
    descend,
    himmelblau,
    minimize,
    momentum_step,
    quadratic,
    rmsprop_step,
    rosenbrock,
    saddle,
)

RULES: dict[str, Any] = {
    "gradient descent": (momentum_step, {"momentum": 0.0}),
    "momentum": (momentum_step, {}),
    "RMSProp": (rmsprop_step, {}),
    "Adam": (adam_step, {}),
}


@dataclass(frozen=True)
class RacesConfig:
    """Settings of the races.

    Attributes:
        seed: seed of the starts and of the passengers that are held out.
        budget: evaluations after which a racer that has not arrived is taken off.
        tolerance: how far above the least value the finish is.
        condition: condition number of the quadratic.
        dimensions: dimensions of the quadratic.
        rates: how many learning rates, from 0.0003 to 1, each rule tries on another start before it races.
        momentum: of the racer with that name.
        memory: pairs that L-BFGS remembers; 0 makes it steepest descent.
    """

    seed: int = 0
    budget: int = 500
    tolerance: float = 1e-6
    condition: float = 100.0
    dimensions: int = 10
    rates: int = 8
    momentum: float = 0.9
    memory: int = 10


@lab(
    title="Races on loss surfaces",
    question="How many evaluations does each optimizer need on bowls, valleys, saddles, and on a real loss?",
    data=["titanic"],
    presets={
        "smoke": {},
        "laptop": {"budget": 5_000, "rates": 15},
        "full": {"budget": 50_000, "rates": 29},
    },
    expectations=[
        expect(
            "momentum_on_the_bowl", beats_baseline_by=100, lower_is_better=True, why="Momentum takes the root of κ."
        ),
        expect(
            "lbfgs_on_titanic", beats_baseline_by=200, lower_is_better=True, why="L-BFGS learns the columns' scales."
        ),
        expect("newton_at_worst", at_most=60, why="Newton must reach every finish from every start soon."),
        expect("held_out_loss", beats_baseline_by=0.1, lower_is_better=True, why="The minimum must say something."),
    ],
    sabotage=[{"memory": 0}, {"momentum": 0.0}],
)
def races(config: RacesConfig, record: Recorder) -> None:
    """Count evaluations of loss and gradient until each optimizer is within the tolerance of the least value.

    Each rule first tries its learning rates from another start, and races with the best of them. Newton and L-BFGS
    have nothing to tune. Newton's count leaves its Hessians out, one a step. Titanic is the mean logistic loss of
    survival on two thirds of the passengers, with raw columns and with standardised ones. The bowl is turned, since
    rules that scale coordinates solve one along the axes as if it were round.
    """
    import plotly.graph_objects as go

    rng = np.random.default_rng(config.seed)
    raw, scaled, labels, fitted = passengers(rng)
    bowl = quadratic(config.condition, config.dimensions)
    problems = {
        "bowl along the axes": (bowl, lambda: rng.normal(size=config.dimensions)),
        "bowl": (turned(bowl, rng), lambda: rng.normal(size=config.dimensions)),
        "rosenbrock": (rosenbrock(), lambda: np.array([-1.2, 1.0]) + rng.normal(scale=0.1, size=2)),
        "himmelblau": (himmelblau(), lambda: rng.uniform(-4, 4, size=2)),
        "saddle": (saddle(), lambda: np.array([1.3, rng.choice([-1e-4, 1e-4])])),
        "titanic": (logistic(raw[fitted], labels[fitted]), lambda: rng.normal(scale=0.01, size=raw.shape[1])),
        "titanic, scaled": (logistic(scaled[fitted], labels[fitted]), lambda: rng.normal(size=raw.shape[1])),
    }
    counts: dict[str, dict[str, int]] = {}
    plot = go.Figure()
    for name, (surface, draw) in record.progress(problems.items(), total=len(problems), label="surfaces"):
        trial_start, start, goal = draw(), draw(), surface.least + config.tolerance
        tracks = {racer: race(config, racer, surface, trial_start, start, goal) for racer in RULES}
        tracks["L-BFGS"], tracks["Newton"] = Track(surface.loss), Track(surface.loss)
        minimize(tracks["L-BFGS"], start, memory=config.memory, most=config.budget)
        minimize(tracks["Newton"], start, surface.hessian)
        counts[name] = {racer: track.reaches(goal) or config.budget for racer, track in tracks.items()}
        if name == "titanic":
            for (racer, track), colour in zip(tracks.items(), COLOURS, strict=True):
                above = np.minimum.accumulate(track.values) - surface.least
                plot.add_scatter(y=np.maximum(above, 1e-12), name=racer, line_color=colour)
    record.table("evaluations", [{"surface": name, **by_racer} for name, by_racer in counts.items()])
    plot.update_xaxes(title="evaluations of the loss and its gradient", type="log")
    plot.update_yaxes(title="loss above the least", type="log", exponentformat="power")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("the race on Titanic's raw columns", plot)
    for metric, racer, name in (
        ("momentum_on_the_bowl", "momentum", "bowl"),
        ("lbfgs_on_titanic", "L-BFGS", "titanic"),
    ):
        record.baseline(metric, counts[name]["gradient descent"], "gradient descent at its best rate")
        record.result(metric, counts[name][racer])
    record.baseline("newton_at_worst", config.budget, "the budget")
    record.result("newton_at_worst", max(by_racer["Newton"] for by_racer in counts.values()))
    weights = minimize(problems["titanic, scaled"][0].loss, np.zeros(raw.shape[1]), memory=config.memory)
    share, held_out = labels[fitted].mean(), labels[~fitted]
    chance = -np.mean(held_out * np.log(share) + (1 - held_out) * np.log(1 - share))
    record.baseline("held_out_loss", chance, "the same chance for everybody")
    record.result("held_out_loss", logistic(scaled[~fitted], held_out, 0.0).loss(weights)[0])


def race(
    config: RacesConfig, racer: str, surface: Surface, trial_start: np.ndarray, start: np.ndarray, goal: float
) -> Track:
    """Try the rates from one start, and race from the other with that which was there first, or else the lowest."""
    rule, settings = RULES[racer]
    settings = {"momentum": config.momentum} if racer == "momentum" else settings
    results = []
    for rate in np.geomspace(3e-4, 1, config.rates):
        track = run(surface, trial_start, rule, rate, config.budget, goal, settings)
        results.append((track.reaches(goal) or np.inf, np.nan_to_num(track.values[-1], nan=np.inf), rate))
    return run(surface, start, rule, min(results)[2], config.budget, goal, settings)


def run(surface: Surface, start: np.ndarray, rule: Any, rate: float, budget: int, goal: float, settings: Any) -> Track:
    """One run that is tracked; a loss beyond all floats ends it."""
    track = Track(surface.loss)
    with np.errstate(all="ignore"):
        descend(track, start, rule, rate, budget, goal, **settings)
    return track


def turned(surface: Surface, rng: np.random.Generator) -> Surface:
    """A bowl turned about its bottom by a random rotation, so that none of its axes is a coordinate."""
    Q = np.linalg.qr(rng.normal(size=(len(surface.hessian(np.zeros(1))),) * 2))[0]

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = surface.loss(Q @ x)
        return value, gradient @ Q

    return Surface(loss, lambda x: Q.T @ surface.hessian(Q @ x) @ Q, surface.least)


def logistic(X: np.ndarray, labels: np.ndarray, l2: float = 1e-3) -> Surface:
    """The mean logistic loss of labels 0 and 1, plus l2/2 · |weights|², which Newton has found the least value of."""

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = X @ w
        p = np.exp(-np.logaddexp(0, -z))
        return float(np.mean(np.logaddexp(0, z) - labels * z) + l2 / 2 * w @ w), X.T @ (p - labels) / len(X) + l2 * w

    def hessian(w: np.ndarray) -> np.ndarray:
        p = np.exp(-np.logaddexp(0, -(X @ w)))
        return (X.T * (p * (1 - p))) @ X / len(X) + l2 * np.eye(X.shape[1])

    return Surface(loss, hessian, loss(minimize(loss, np.zeros(X.shape[1]), hessian, tolerance=1e-10))[0])


def passengers(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Raw columns, standardised ones, who survived, and who is fitted; gaps and scales are those of the fitted."""
    from groundup.data import load

    data = load("titanic")
    fitted = rng.permutation(np.arange(len(data["Survived"])) % 3 > 0)
    age = np.where(data.missing("Age"), np.nanmedian(data["Age"][fitted]), data["Age"])
    columns = [age, data["Fare"], data["SibSp"], data["Parch"], data["Sex"] == "female"]
    columns += [np.asarray(data["Pclass"]).astype(int) == k for k in (1, 2)]
    X = np.column_stack(columns).astype(float)
    scaled = (X - X[fitted].mean(axis=0)) / X[fitted].std(axis=0)
    ones = np.ones((len(X), 1))
    return np.hstack([ones, X]), np.hstack([ones, scaled]), np.asarray(data["Survived"], dtype=float), fitted

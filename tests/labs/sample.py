"""Sample labs: a straight line fitted by gradient descent, and labs that go wrong in one way each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from groundup.data import load
from groundup.labs import Recorder, expect, lab

PRESETS = {"smoke": {"epochs": 60}, "laptop": {"epochs": 500}, "full": {"epochs": 2000}}


@dataclass(frozen=True)
class LineConfig:
    """Settings of the line lab.

    Attributes:
        seed: seed of the data.
        epochs: steps of gradient descent.
        learning_rate: their size.
        shuffle_labels: break the tie between input and target.
        scale: how the target is scaled.
        hidden: widths.
        limit: stop here, if given.
    """

    seed: int = 0
    epochs: int = 100
    learning_rate: float = 0.5
    shuffle_labels: bool = False
    scale: Literal["unit", "raw"] = "unit"
    hidden: tuple[int, ...] = (8,)
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, not {self.epochs}")


@lab(
    title="A line",
    question="Does gradient descent find a slope?",
    data=["moons"],
    presets=PRESETS,
    expectations=[
        expect("test_error", at_most=0.1, why="The noise has standard deviation 0.05."),
        expect("test_error", beats_baseline_by=0.3, lower_is_better=True),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_labels": True}],
)
def line(config: LineConfig, record: Recorder) -> None:
    """Fit y = 2x on one half of the points, and measure on the other."""
    rng = np.random.default_rng(config.seed)
    x = load("moons", rows=200, noise=0.1, seed=config.seed)["x"]
    y = 2 * x + rng.normal(0, 0.05, x.shape)
    train, test = slice(0, 100), slice(100, 200)
    targets = rng.permutation(y[train]) if config.shuffle_labels else y[train]
    record.baseline("test_error", float(np.std(y[test])), "the mean of the targets")
    slope = 0.0
    for step in record.progress(range(config.epochs), label="Descending"):
        slope -= config.learning_rate * float(np.mean((slope * x[train] - targets) * x[train]))
        record.metric("slope", slope, step=step)
    record.result("test_error", np.sqrt(np.mean((slope * x[test] - y[test]) ** 2)))
    record.table("slopes", [{"slope": np.float64(slope), "epochs": config.epochs}])
    record.note(f"Scaled as {config.scale}.")


@dataclass(frozen=True)
class SeedOnly:
    """Settings of the labs that go wrong.

    Attributes:
        seed: seed.
    """

    seed: int = 0


@lab(
    title="No baseline",
    question="",
    presets={"smoke": {}, "laptop": {}, "full": {}},
    expectations=[expect("score", beats_baseline_by=0.1), expect("other", at_least=0)],
    sabotage=[{"seed": 1}],
)
def no_baseline(config: SeedOnly, record: Recorder) -> None:
    """Compares with a baseline that it never records."""
    record.result("score", 1.0)


@lab(
    title="Not finite",
    question="",
    presets={"smoke": {}, "laptop": {}, "full": {}},
    expectations=[expect("loss", at_most=1.0)],
    sabotage=[{"seed": 1}],
)
def not_finite(config: SeedOnly, record: Recorder) -> None:
    """Diverges on the second seed."""
    record.metric("loss", math.inf, step=0)
    record.result("loss", math.nan if config.seed == 1 else 0.5)


@lab(
    title="Undeclared data",
    question="",
    presets={"smoke": {}, "laptop": {}, "full": {}},
    expectations=[expect("rows", at_least=1)],
    sabotage=[{"seed": 1}],
)
def undeclared(config: SeedOnly, record: Recorder) -> None:
    """Loads data that it does not declare."""
    record.result("rows", len(load("moons", rows=10)))

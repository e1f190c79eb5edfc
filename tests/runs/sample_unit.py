"""A small unit on disk, with labs that behave and labs that do not: a line fitted by gradient descent."""

from __future__ import annotations

from pathlib import Path

from groundup.course.material.unit import Unit, load_unit

UNIT_TOML = """\
title = "Line"
summary = "A line."
minutes = 5
[exercise]
write = ["descend"]
"""

IMPLEMENTATION = '''\
"""A line."""


def descend(slope, gradient, learning_rate):
    """One step of gradient descent."""
    return slope - learning_rate * gradient
'''

LABS = '''\
"""Labs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass

from groundup.data import load
from groundup.labs import Recorder, expect, lab
from groundup.stack.bedrock.line import descend


@dataclass(frozen=True)
class FitConfig:
    """Settings.

    Attributes:
        seed: seed of the data.
        epochs: steps of gradient descent.
        learning_rate: their size.
    """

    seed: int = 0
    epochs: int = 50
    learning_rate: float = 0.5

    def __post_init__(self):
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, not {self.epochs}")


@lab(
    title="Fit a line",
    question="Does it find the slope?",
    data=["moons"],
    presets={"smoke": {"epochs": 20}, "laptop": {}, "full": {}},
    expectations=[expect("error", at_most=0.1), expect("error", beats_baseline_by=0.3, lower_is_better=True)],
    sabotage=[{"learning_rate": 0.0}],
    seeds=2,
)
def fit(config: FitConfig, record: Recorder) -> None:
    """Fit."""
    x = load("moons", rows=100, seed=config.seed)["x"]
    slope = 0.0
    record.baseline("error", 2.0, "a slope of zero")
    for step in record.progress(range(config.epochs), label="Descending"):
        slope = descend(slope, ((slope * x - 2 * x) * x).mean(), config.learning_rate)
        record.metric("slope", slope, step=step)
        record.metric("over half steps", slope, step=step / 2)
    record.result("error", abs(slope - 2))
    record.table("slopes", [{"slope": slope}])
    record.note("Noted.")
    print("printed by the lab")
    if config.epochs == 20:
        import plotly.graph_objects as go

        record.figure("the fit", go.Figure(go.Scatter(x=[0, 1], y=[0, slope])))


@dataclass(frozen=True)
class TroubleConfig:
    """Settings.

    Attributes:
        seed: seed.
        kind: what goes wrong.
    """

    seed: int = 0
    kind: str = "raise"


@lab(
    title="Trouble",
    question="What goes wrong?",
    presets={"smoke": {}, "laptop": {}, "full": {}},
    expectations=[expect("score", at_least=1)],
    sabotage=[{"kind": "raise"}],
    seeds=2,
)
def trouble(config: TroubleConfig, record: Recorder) -> None:
    """Go wrong."""
    if config.kind == "raise":
        raise RuntimeError("it went wrong\\nsecond line")
    if config.kind == "exit":
        sys.exit(0)
    if config.kind == "die":
        os.abort()
    if config.kind == "input":
        input()
    record.metric("alive", 1, step=0)
    if config.kind == "sleep":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        record.note(f"pid {os.getpid()}")
        time.sleep(600)
    record.result("score", float("nan") if config.kind == "nan" else 1)
'''


def write_unit(stack: Path) -> Unit:
    """Write the unit `bedrock/line` into `stack`, and read it."""
    folder = stack / "bedrock" / "line"
    folder.mkdir(parents=True)
    (folder / "unit.toml").write_text(UNIT_TOML)
    (folder / "line.py").write_text(IMPLEMENTATION)
    (folder / "__init__.py").write_text(
        'from groundup.stack.bedrock.line.line import descend\n\n__all__ = ["descend"]\n'
    )
    (folder / "labs.py").write_text(LABS)
    return load_unit(folder)

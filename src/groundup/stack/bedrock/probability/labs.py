"""Labs of probability: what a normal error rate is, and what sums tend to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from groundup.drawing import BLUE, LEGEND_BELOW, ORANGE, RED
from groundup.labs import Recorder, expect, lab
from groundup.stack.bedrock.probability import (
    Exponential,
    Normal,
    Poisson,
    alert_threshold,
    box_muller,
    standardised_means,
)

DAY = 24 * 60


@dataclass(frozen=True)
class ErrorRateConfig:
    """Settings of the error-rate lab.

    Attributes:
        seed: seed of the counts.
        rate: errors in a minute when all is well.
        false_alarms_a_day: how many alarms a quiet day may raise.
        training_days: quiet days from which the rate is learned.
        test_days: days that judge, half of them with incidents.
        incidents: incidents on those days, of ten minutes each.
        severity: by what an incident multiplies the rate.
        unevenness: 0 keeps the rate constant; above, it varies from minute to minute, with this squared deviation.
        learned_from: the quiet days, or one quiet minute, which knows next to nothing.
    """

    seed: int = 0
    rate: float = 3.0
    false_alarms_a_day: float = 1.0
    training_days: int = 3
    test_days: int = 20
    incidents: int = 20
    severity: float = 5.0
    unevenness: float = 0.0
    learned_from: Literal["days", "minute"] = "days"


@lab(
    title="What is a normal error rate?",
    question="At how many errors in a minute should an alert fire, if a quiet day may raise one false alarm?",
    presets={
        "smoke": {},
        "laptop": {"test_days": 100, "incidents": 100},
        "full": {"test_days": 1000, "incidents": 1000},
    },
    expectations=[
        expect("excess", at_most=2.0, why="Quiet days must raise about as many false alarms as were allowed."),
        expect("found", at_least=0.9, why="An incident of ten minutes must reach the threshold at least once."),
    ],
    sabotage=[{"unevenness": 1.0}, {"learned_from": "minute", "rate": 0.3}],
)
def error_rate(config: ErrorRateConfig, record: Recorder) -> None:
    """Learn the rate from quiet days, put the threshold where chance seldom reaches, and watch later days.

    The counts are generated: you know which minutes were an incident, and you can break the assumption that the
    threshold stands on (`--set unevenness=1`).
    """
    import plotly.graph_objects as go

    rng = np.random.default_rng(config.seed)
    quiet = _counts(config, np.ones(config.training_days * DAY), rng)
    quiet = np.maximum(quiet[:1], 1) if config.learned_from == "minute" else quiet
    allowed = config.false_alarms_a_day / DAY
    threshold = alert_threshold(Poisson.fit(quiet).rate, allowed)

    level = np.ones(config.test_days * DAY)
    starts = rng.choice(len(level) // 20, config.incidents, replace=False) * 20
    incident = np.zeros(len(level), dtype=int)
    for number, start in enumerate(starts, 1):
        incident[start : start + 10] = number
    counts = _counts(config, np.where(incident > 0, config.severity, level), rng)
    alarm = counts >= threshold
    found = len(np.unique(incident[alarm & (incident > 0)])) / config.incidents
    false_alarms = alarm[incident == 0].mean() * DAY
    bell = Normal.fit(quiet) if np.ptp(quiet) else Normal(float(quiet.mean()), 1.0)
    three_sigma = (counts[incident == 0] > bell.mean + 3 * bell.std).mean() * DAY
    record.table(
        "thresholds",
        [
            {"rule": "Poisson", "alerts at": threshold, "false alarms a day": false_alarms},
            {"rule": "three sigma", "alerts at": bell.mean + 3 * bell.std, "false alarms a day": three_sigma},
        ],
    )
    marked = np.flatnonzero(alarm[:DAY])
    plot = go.Figure(go.Scatter(y=counts[:DAY], mode="lines", line_color=BLUE, name="errors"))
    plot.add_scatter(x=marked, y=counts[marked], mode="markers", marker_color=RED, name="alarm")
    plot.add_hline(y=threshold, line={"color": ORANGE, "dash": "dash"})
    plot.update_layout(xaxis_title="minute of the first day", yaxis_title="errors in a minute", legend=LEGEND_BELOW)
    record.figure("the first day", plot)
    record.baseline("excess", three_sigma / config.false_alarms_a_day, "an alert at mean + 3 standard deviations")
    record.result("excess", false_alarms / config.false_alarms_a_day)
    record.baseline("found", config.false_alarms_a_day / DAY * 10, "ten minutes of chance")
    record.result("found", found)


def _counts(config: ErrorRateConfig, level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rate = config.rate * level
    if config.unevenness:
        rate = rate * rng.gamma(1 / config.unevenness, config.unevenness, len(rate))
    return rng.poisson(rate)


@dataclass(frozen=True)
class SumsConfig:
    """Settings of the sums lab.

    Attributes:
        seed: seed of the draws.
        n: draws in each mean.
        repeats: means.
        draws: what is drawn: waiting times, latencies with a tail, or quotients that have no mean.
    """

    seed: int = 0
    n: int = 300
    repeats: int = 4_000
    draws: Literal["exponential", "gamma", "cauchy"] = "exponential"


@lab(
    title="What means tend to",
    question="Are means of many skewed numbers normal, and when are they not?",
    presets={"smoke": {}, "laptop": {"repeats": 20_000}, "full": {"repeats": 100_000}},
    expectations=[
        expect("distance", at_most=0.04, why="Means of 300 draws must be normal to within a few hundredths."),
        expect("distance", beats_baseline_by=0.05, lower_is_better=True, why="Single draws are far from normal."),
    ],
    sabotage=[{"draws": "cauchy"}, {"n": 1}],
)
def sums(config: SumsConfig, record: Recorder) -> None:
    """Compare the cumulative distribution of standardised means with the normal one, and single draws beside it."""
    rng, rows = np.random.default_rng(config.seed), []
    kinds = {
        "exponential": (lambda count: Exponential(2.0).sample(count, rng), 0.5, 0.5),
        "gamma": (lambda count: rng.gamma(0.5, 2.0, count), 1.0, float(np.sqrt(2.0))),
        "cauchy": (lambda count: box_muller(count, rng) / box_muller(count, rng), 0.0, 1.0),
    }
    draw, mean, std = kinds[config.draws]
    for n in record.progress(sorted({1, 3, 10, 30, 100, config.n}), label="sizes"):
        means = np.sort(standardised_means(draw, mean, std, n, config.repeats))
        steps = np.arange(1, len(means) + 1) / len(means)
        rows.append({"draws in a mean": n, "distance": float(np.abs(Normal().at_most(means) - steps).max())})
    record.table("distance to normal", rows)
    by_size = {row["draws in a mean"]: row["distance"] for row in rows}
    record.baseline("distance", by_size[1], "a single draw")
    record.result("distance", by_size[config.n])

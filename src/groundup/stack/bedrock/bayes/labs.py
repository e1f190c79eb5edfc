"""Labs of Bayesian inference: an A/B test that may be watched, and two samplers in a narrow valley."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from groundup.drawing import BLUE, GREY, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab
from groundup.stack.bedrock.bayes import (
    Beta,
    effective_sample_size,
    expected_loss,
    hamiltonian,
    metropolis,
    probability_above,
    split_r_hat,
)


@dataclass(frozen=True)
class ABConfig:
    """Settings of the A/B lab.

    Attributes:
        seed: seed of the visitors.
        experiments: experiments that judge.
        history: finished experiments, from which the prior is learned.
        visitors: visitors of each variant in a day.
        days: days after which an experiment ends in any case.
        accepted: the loss that is accepted, as a share of the mean rate: at less, the experiment stops.
        prior: where the belief begins: as the history was, or with all rates alike.
    """

    seed: int = 0
    experiments: int = 200
    history: int = 200
    visitors: int = 200
    days: int = 10
    accepted: float = 0.02
    prior: Literal["history", "flat"] = "history"


@lab(
    title="A/B by belief",
    question="If you look every day and stop when the expected loss is small, does the belief keep its promises?",
    presets={"smoke": {}, "laptop": {"experiments": 2_000}, "full": {"experiments": 10_000}},
    expectations=[
        expect("overconfidence", at_most=0.08, why="Of decisions that are held for 90 percent sure, nine of ten hold."),
        expect("overconfidence", beats_baseline_by=0.04, lower_is_better=True, why="A flat prior must be too sure."),
        expect("loss", at_most=1.4, why="The mean loss must be about what was expected, however often you look."),
        expect("loss", beats_baseline_by=0.1, lower_is_better=True, why="A flat prior must lose more than it says."),
    ],
    sabotage=[{"prior": "flat"}],
)
def ab(config: ABConfig, record: Recorder) -> None:
    """Run many experiments, look at each every day, and compare what is believed on stopping with what is true.

    Rates of variants are generated as those of a shop are: near 10 percent, seldom far from it. The prior is learned
    from experiments that are over, which judge nothing.
    """
    import plotly.graph_objects as go

    rng = np.random.default_rng(config.seed)
    past = rng.binomial(2_000, _rates(2 * config.history, rng)) / 2_000
    priors = {"history": _fitted(past, 2_000), "flat": Beta(1, 1)}
    priors["ours"] = priors[config.prior]
    said: dict[str, list[tuple[float, ...]]] = {name: [] for name in ("ours", "flat")}
    for _ in record.progress(range(config.experiments), label="experiments"):
        rates = _rates(2, rng)
        clicks = rng.binomial(config.visitors, rates, (config.days, 2)).cumsum(axis=0)
        for name, rows in said.items():
            rows.append(_decide(priors[name], clicks, rates, config))
    table, plot = [], go.Figure()
    for name, colour in (("flat", ORANGE), ("ours", BLUE)):
        sure, right, promised, lost, day = np.array(said[name]).T
        means = {"said": sure.mean(), "right": right.mean(), "loss": lost.mean() / promised.mean(), "days": day.mean()}
        table.append({"prior": name, **means})
        bins = np.array_split(np.argsort(sure), 6)
        x, y = ([values[part].mean() for part in bins] for values in (sure, right))
        plot.add_scatter(x=x, y=y, mode="lines+markers", line_color=colour, name=f"prior: {name}")
    plot.add_scatter(x=[0.5, 1], y=[0.5, 1], line={"color": GREY, "dash": "dash"}, name="kept promises")
    plot.update_layout(xaxis_title="said: probability of the better one", yaxis_title="right", legend=LEGEND_BELOW)
    record.figure("promises", plot)
    record.table("when the experiments stopped", table)
    flat, ours = table
    record.baseline("overconfidence", flat["said"] - flat["right"], "a flat prior")
    record.result("overconfidence", ours["said"] - ours["right"])
    record.baseline("loss", flat["loss"], "a flat prior, in units of the loss that it expected")
    record.result("loss", ours["loss"])


def _rates(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.beta(60, 540, count)


def _fitted(rates: np.ndarray, visitors: int) -> Beta:
    """The belief with the mean of the rates and their variance, less what visitors add by chance."""
    mean = float(rates.mean())
    variance = max(float(rates.var(ddof=1)) - mean * (1 - mean) / visitors, 1e-7)
    weight = mean * (1 - mean) / variance - 1
    return Beta(mean * weight, (1 - mean) * weight)


def _decide(prior: Beta, clicks: np.ndarray, rates: np.ndarray, config: ABConfig) -> tuple[float, ...]:
    """How sure the decision is, whether it is right, which loss it expects and has, and on which day it is made."""
    accepted = config.accepted * 0.1
    for day, counts in enumerate(clicks, 1):
        beliefs = [prior.update(int(c), int(day * config.visitors - c)) for c in counts]
        chosen = int(beliefs[1].mean > beliefs[0].mean)
        best, other = beliefs[chosen], beliefs[1 - chosen]
        promised = expected_loss(best, other)
        if promised <= accepted or day == len(clicks):
            lost = max(float(rates[1 - chosen] - rates[chosen]), 0.0)
            return probability_above(best, other), float(lost == 0), promised, lost, float(day)
    raise AssertionError("an experiment has a last day")


@dataclass(frozen=True)
class ValleyConfig:
    """Settings of the valley lab.

    Attributes:
        seed: seed of the draws.
        coordinates: coordinates of a position.
        correlation: correlation of any two coordinates: the narrowness of the valley.
        evaluations: densities or gradients that each chain may ask for.
        chains: chains side by side.
        step_size: the size of a leap; above twice the narrowest deviation no way ends well.
        leaps: leaps of a way.
    """

    seed: int = 0
    coordinates: int = 20
    correlation: float = 0.95
    evaluations: int = 6_000
    chains: int = 4
    step_size: float = 0.24
    leaps: int = 29


@lab(
    title="A random walk, or motion?",
    question="How many independent draws does each sampler make of as many evaluations, in a narrow valley?",
    presets={"smoke": {}, "laptop": {"evaluations": 60_000}, "full": {"evaluations": 300_000}},
    expectations=[
        expect("draws", beats_baseline_by=3.0, why="Motion along the valley must beat steps in all directions."),
        expect("r_hat", at_most=1.1, why="The chains must have found the same distribution."),
    ],
    sabotage=[{"step_size": 1.0}],
)
def valley(config: ValleyConfig, record: Recorder) -> None:
    """Draw from a normal distribution whose coordinates are correlated, and count effective draws of the worst one.

    Results are effective draws for each 1,000 evaluations and chain, of the mean of all coordinates: the long way.
    """
    rng, d = np.random.default_rng(config.seed), config.coordinates
    covariance = np.full((d, d), config.correlation) + (1 - config.correlation) * np.eye(d)
    precision = np.linalg.inv(covariance)
    log_density = lambda x: -0.5 * np.einsum("...i,ij,...j", x, precision, x)  # noqa: E731
    start = rng.multivariate_normal(np.zeros(d), covariance, config.chains)
    scale = 2.4 / np.sqrt(d) * np.sqrt(1 - config.correlation)
    walk = metropolis(log_density, start, config.evaluations, scale, rng)
    steps = config.evaluations // (config.leaps + 2)
    motion = hamiltonian(log_density, lambda x: -x @ precision, start, steps, config.step_size, config.leaps, rng)
    rows, per = [], 1_000 / (config.evaluations * config.chains)
    for name, chain in (("Metropolis", walk), ("Hamiltonian", motion)):
        middle = chain.draws.mean(axis=-1)
        size = effective_sample_size(middle) * per if np.ptp(middle, axis=0).min() > 0 else 0.0
        rows.append({"sampler": name, "accepted": chain.accepted, "draws": size, "r_hat": split_r_hat(middle)})
    record.table("effective draws of 1,000 evaluations", rows)
    for metric in ("draws", "r_hat"):
        record.baseline(metric, rows[0][metric], "Metropolis")
        record.result(metric, min(rows[1][metric], 1e6))

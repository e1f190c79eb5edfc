"""Labs of A/B testing: thousands of simulated experiments, and what the past saves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from groundup.drawing import BLUE, LEGEND_BELOW, ORANGE, RED
from groundup.labs import Recorder, expect, lab
from groundup.stack.bedrock.ab_testing import Arm, always_valid, cuped, decide, two_proportions, visitors_needed
from groundup.stack.bedrock.bayes import Beta
from groundup.stack.bedrock.inference import welch_t


@dataclass(frozen=True)
class RatesConfig:
    """Settings of the error-rate lab.

    Attributes:
        seed: seed of the visitors.
        experiments: experiments without a difference, and as many with one.
        base: the rate of the old variant.
        other: the rate of the new one where it differs, for which the size is planned.
        looks: looks at each experiment, the last at its end.
        longer: by what the watched experiments may last longer than planned.
        planned: share of the planned visitors that really come.
        watched: how watched experiments are judged: always valid, or by the test of a single look.
    """

    seed: int = 0
    experiments: int = 1_000
    base: float = 0.10
    other: float = 0.12
    looks: int = 40
    longer: float = 1.5
    planned: float = 1.0
    watched: Literal["always valid", "single look"] = "always valid"


@lab(
    title="Do the error rates hold?",
    question="Which tests keep their promises over thousands of A/A and A/B experiments, watched or not?",
    presets={"smoke": {}, "laptop": {"experiments": 5_000}, "full": {"experiments": 30_000}},
    expectations=[
        expect("false alarms", at_most=0.075, why="A planned look may be wrong in one of twenty experiments."),
        expect("false alarms watched", at_most=0.05, why="So may all looks together, if the test allows them."),
        expect("power", at_least=0.75, why="The size was planned for a power of 0.8."),
        expect("power watched", at_least=0.6, why="A test that may be watched must find what is there, too."),
    ],
    sabotage=[{"watched": "single look"}, {"planned": 0.4}],
)
def error_rates(config: RatesConfig, record: Recorder) -> None:
    """Run experiments with and without a difference, and count how often each way to judge says that there is one.

    Visitors come in equal parts between looks. The single look is at the planned size; watched experiments stop at the
    first look that finds something, and last longer if none does.
    """
    import plotly.graph_objects as go

    rng = np.random.default_rng(config.seed)
    planned = int(visitors_needed(config.base, config.other) * config.planned)
    step = int(planned * config.longer / config.looks)
    visitors, prior = step * np.arange(1, config.looks + 1), Beta(10 * config.base, 10 * (1 - config.base))
    found: dict[str, list[float]] = {}
    plot = go.Figure()
    for real, other in ((False, config.base), (True, config.other)):
        rates = np.array([config.base, other])[:, None, None]
        clicks = rng.binomial(step, rates, (2, config.experiments, config.looks)).cumsum(axis=-1)
        a, b = clicks / visitors
        careful = (clicks + 1) / (visitors + 2)
        errors = np.sqrt((careful * (1 - careful) / visitors).sum(axis=0))
        p = always_valid(b - a, errors, config.other - config.base)
        peeking = np.array([_single(*pair, visitors) for pair in zip(*clicks, strict=True)])
        watched = p if config.watched == "always valid" else np.minimum.accumulate(peeking, axis=1)
        last = int(np.searchsorted(visitors, planned, side="right")) - 1
        arms = [(Arm(int(visitors[last]), int(x)), Arm(int(visitors[last]), int(y))) for x, y in clicks[:, :, last].T]
        chosen = np.mean([decide(x, y, prior, 0.001).choice == "b" for x, y in arms[:200]])
        found["a single look, planned"] = [*found.get("a single look, planned", []), (peeking[:, last] <= 0.05).mean()]
        found["a single look, every time"] = [
            *found.get("a single look, every time", []),
            (peeking <= 0.05).any(1).mean(),
        ]
        found["watched"] = [*found.get("watched", []), (watched[:, -1] <= 0.05).mean()]
        found["expected loss"] = [*found.get("expected loss", []), float(chosen)]
        for name, values, colour in (("single looks", peeking, RED), (config.watched, watched, BLUE)):
            share = (np.minimum.accumulate(values, axis=1) <= 0.05).mean(axis=0)
            dash = "solid" if real else "dot"
            label = f"{name}, {'difference' if real else 'none'}"
            plot.add_scatter(x=visitors, y=share, line={"color": colour, "dash": dash}, name=label)
        days = np.where((watched <= 0.05).any(axis=1), (watched <= 0.05).argmax(axis=1) + 1, config.looks)
        record.metric("visitors until it stops", float(days.mean() * step), step=int(real))
    plot.add_hline(y=0.05, line={"color": ORANGE, "dash": "dash"})
    plot.update_layout(xaxis_title="visitors of each variant", yaxis_title="share found so far", legend=LEGEND_BELOW)
    record.figure("found so far", plot)
    record.table(
        f"called different, planned for {planned:,} visitors",
        [{"judged by": name, "no difference": shares[0], "difference": shares[1]} for name, shares in found.items()],
    )
    every = found["a single look, every time"]
    record.baseline("false alarms", every[0], "the test of a single look, at every look")
    record.result("false alarms", found["a single look, planned"][0])
    record.baseline("false alarms watched", every[0], "the test of a single look, at every look")
    record.result("false alarms watched", found["watched"][0])
    record.baseline("power", 0.05, "a coin that says 'different' as often as allowed")
    record.result("power", found["a single look, planned"][1])
    record.baseline("power watched", 0.05, "a coin that says 'different' as often as allowed")
    record.result("power watched", found["watched"][1])


def _single(a: np.ndarray, b: np.ndarray, visitors: np.ndarray) -> list[float]:
    """The p-value of a single look at each look."""
    looks = zip(visitors.tolist(), a.tolist(), b.tolist(), strict=True)
    return [two_proportions(Arm(n, x), Arm(n, y)).p_value for n, x, y in looks]


@dataclass(frozen=True)
class PastConfig:
    """Settings of the lab of the past.

    Attributes:
        seed: seed of the visitors.
        experiments: experiments with a difference, and as many without.
        visitors: visitors of each variant.
        correlation: correlation of what a visitor spends with what the visitor spent before.
        effect: the difference, in standard deviations.
    """

    seed: int = 0
    experiments: int = 500
    visitors: int = 200
    correlation: float = 0.7
    effect: float = 0.2


@lab(
    title="What the past saves",
    question="How much noise does the past of a visitor explain, and does the test stay honest?",
    presets={"smoke": {}, "laptop": {"experiments": 3_000}, "full": {"experiments": 20_000}},
    expectations=[
        expect("variance left", at_most=0.6, why="Of the variance 1 - 0.7² = 0.51 must be left."),
        expect("false alarms", at_most=0.085, why="An adjusted test may be wrong in one of twenty experiments."),
        expect("power", beats_baseline_by=0.15, why="Less noise must find more."),
    ],
    sabotage=[{"correlation": 0.0}],
)
def past(config: PastConfig, record: Recorder) -> None:
    """Compare means of many experiments by Welch's test, with and without adjustment by the past."""
    rng, p, variances = np.random.default_rng(config.seed), np.zeros((config.experiments, 4)), []
    for row in record.progress(p, label="experiments"):
        before = rng.normal(size=(2, config.visitors))
        noise = np.sqrt(1 - config.correlation**2) * rng.normal(size=(2, config.visitors))
        a, b = config.correlation * before + noise
        for k, effect in enumerate((0.0, config.effect)):
            adjusted = cuped(a, b + effect, *before)
            row[k], row[2 + k] = welch_t(a, b + effect).p_value(), welch_t(*adjusted).p_value()
            variances.append(np.mean([x.var() for x in adjusted]) / np.mean([x.var() for x in (a, b)]))
    plain_wrong, plain_right, wrong, right = (p <= 0.05).mean(axis=0)
    rows = [("as measured", plain_wrong, plain_right), ("less the past", wrong, right)]
    record.table("Welch's test", [{"values": n, "no difference": x, "difference": y} for n, x, y in rows])
    record.baseline("variance left", 1.0, "values as they are measured")
    record.result("variance left", float(np.mean(variances)))
    record.baseline("false alarms", plain_wrong, "values as they are measured")
    record.result("false alarms", wrong)
    record.baseline("power", plain_right, "values as they are measured")
    record.result("power", right)

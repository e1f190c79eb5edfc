"""Labs of inference: is the new deployment slower, and which of many endpoints are?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from groundup.drawing import BLUE, LEGEND_BELOW, ORANGE, RED
from groundup.labs import Recorder, expect, lab
from groundup.stack.bedrock.inference import benjamini_hochberg, permutation_test, sample_size, studentised, welch_t


@dataclass(frozen=True)
class SlowerConfig:
    """Settings of the deployments lab.

    Attributes:
        seed: seed of the latencies.
        slowdown: by what the new deployment multiplies latencies where it is slower.
        comparisons: pairs of deployments, without and with the slowdown.
        requests: requests in a minute.
        tail: standard deviation of the logarithm of a latency within a minute.
        load: standard deviation of the logarithm of what a whole minute shares.
        alpha: the error rate that is allowed.
        wanted: the power that is planned for.
        value: what Welch's test takes as one independent value: a minute, or each request.
    """

    seed: int = 0
    slowdown: float = 1.15
    comparisons: int = 400
    requests: int = 40
    tail: float = 1.0
    load: float = 0.25
    alpha: float = 0.05
    wanted: float = 0.9
    value: Literal["minute", "request"] = "minute"


@lab(
    title="Is the new deployment slower?",
    question="Which test of latencies keeps its error rate, and how many minutes does it take to see 15 percent?",
    presets={"smoke": {}, "laptop": {"comparisons": 2_000}, "full": {"comparisons": 10_000}},
    expectations=[
        expect("false alarms", at_most=0.08, why="Of equal deployments about one in twenty may look different."),
        expect("false alarms by permutation", at_most=0.08, why="So may it where no formula is used."),
        expect("power", at_least=0.85, why="The number of minutes was planned for a power of 0.9."),
    ],
    sabotage=[{"value": "request"}, {"slowdown": 1.0}],
)
def slower(config: SlowerConfig, record: Recorder) -> None:
    """Compare many pairs of deployments, half of them equal, and count what each test says.

    A latency is a log-normal number with a long tail, times what its minute shares: requests of one minute wait in one
    queue, and are no independent values. The mean logarithm of a minute is one. How many minutes are measured is
    planned from the deviation of such means and the slowdown of 15 percent.
    """
    import plotly.graph_objects as go

    rng = np.random.default_rng(config.seed)
    deviation = np.sqrt(config.load**2 + config.tail**2 / config.requests)
    minutes = sample_size(np.log(1.15) / deviation, config.wanted, config.alpha)
    seen: dict[str, dict[str, list[float]]] = {}
    for name, slowdown in (("equal", 1.0), ("slower", config.slowdown)):
        p = seen[name] = {"the larger mean": [], "Welch, of requests": [], "Welch": [], "permutation": []}
        for _ in record.progress(range(config.comparisons), label=name):
            old, new = (np.log(_latencies(config, minutes, factor, rng)) for factor in (1.0, slowdown))
            means = new.mean(axis=1), old.mean(axis=1)
            p["the larger mean"].append(float(np.exp(new).mean() <= np.exp(old).mean()))
            p["Welch, of requests"].append(welch_t(new, old).p_value())
            p["Welch"].append(welch_t(*(means if config.value == "minute" else (new, old))).p_value())
            p["permutation"].append(permutation_test(*means, rng, studentised, permutations=199))
    rates = {name: {t: float((np.array(p) <= config.alpha).mean()) for t, p in seen[name].items()} for name in seen}
    rows = [{"test": t, **{f"{name}, called different": rates[name][t] for name in rates}} for t in rates["equal"]]
    record.table(f"{minutes} minutes of each", rows)
    plot, grid = go.Figure(), np.linspace(0, 1, 101)
    for test, colour in (("Welch, of requests", RED), ("Welch", BLUE)):
        share = np.searchsorted(np.sort(seen["equal"][test]), grid, side="right") / config.comparisons
        plot.add_scatter(x=grid, y=share, line_color=colour, name=test)
    plot.add_scatter(x=grid, y=grid, line={"color": ORANGE, "dash": "dash"}, name="a right test")
    plot.update_layout(xaxis_title="p-value", yaxis_title="share of equal pairs below", legend=LEGEND_BELOW)
    record.figure("p-values of equal deployments", plot)
    record.baseline(
        "false alarms", rates["equal"]["Welch, of requests"], "a t-test that takes every request as a value"
    )
    record.result("false alarms", rates["equal"]["Welch"])
    record.baseline("false alarms by permutation", rates["equal"]["the larger mean"], "calling the larger mean slower")
    record.result("false alarms by permutation", rates["equal"]["permutation"])
    record.baseline("power", config.alpha, "a coin that says 'different' as often as allowed")
    record.result("power", rates["slower"]["Welch"])


def _latencies(config: SlowerConfig, minutes: int, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Milliseconds, of shape (minutes, requests)."""
    load = config.load * rng.normal(size=(minutes, 1))
    return 80 * factor * np.exp(load + config.tail * rng.normal(size=(minutes, config.requests)))


@dataclass(frozen=True)
class EndpointsConfig:
    """Settings of the endpoints lab.

    Attributes:
        seed: seed of the latencies.
        endpoints: how many endpoints are compared at once.
        slower: how many of them are slower.
        effect: by how many standard deviations.
        requests: values of each endpoint, before and after.
        releases: releases over which is averaged.
        q: the share of false findings that is allowed.
        corrected: whether p-values are adjusted.
    """

    seed: int = 0
    endpoints: int = 200
    slower: int = 20
    effect: float = 0.8
    requests: int = 30
    releases: int = 10
    q: float = 0.1
    corrected: bool = True


@lab(
    title="Which of 200 endpoints are slower?",
    question="Of what 200 tests at once call a finding, how much is chance?",
    presets={"smoke": {}, "laptop": {"releases": 50}, "full": {"releases": 300}},
    expectations=[
        expect("false findings", at_most=0.13, why="The mean share of false findings must be about what was allowed."),
        expect("found", beats_baseline_by=0.1, why="A bound on any false finding at all finds less."),
    ],
    sabotage=[{"corrected": False}],
)
def endpoints(config: EndpointsConfig, record: Recorder) -> None:
    """Test every endpoint of a release, and compare what no correction, Bonferroni, and Benjamini and Hochberg find."""
    rng, rows = np.random.default_rng(config.seed), []
    slow = np.arange(config.endpoints) < config.slower
    for _ in record.progress(range(config.releases), label="releases"):
        old, new = rng.normal(size=(2, config.endpoints, config.requests))
        new[slow] += config.effect
        p = np.array([welch_t(a, b).p_value() for a, b in zip(new, old, strict=True)])
        adjusted = benjamini_hochberg(p) if config.corrected else p
        found = {"none": p <= config.q, "Bonferroni": p * p.size <= config.q, "ours": adjusted <= config.q}
        rows.append([((f & ~slow).sum() / max(f.sum(), 1), f[slow].mean()) for f in found.values()])
    means = dict(zip(("none", "Bonferroni", "ours"), np.mean(rows, axis=0), strict=True))
    record.table("rules", [{"rule": r, "false among findings": m[0], "found": m[1]} for r, m in means.items()])
    record.baseline("false findings", means["none"][0], "no correction")
    record.result("false findings", means["ours"][0])
    record.baseline("found", means["Bonferroni"][1], "Bonferroni")
    record.result("found", means["ours"][1])

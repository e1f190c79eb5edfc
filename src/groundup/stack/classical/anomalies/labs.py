"""Labs of anomalies: spikes and a leak in a metric, and windows of log lines that operators tagged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundup.drawing import BLUE, LEGEND_BELOW, ORANGE, RED
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.anomalies import IsolationForest, LocalOutlierFactor, cusum, robust_scale, z_scores
from groundup.stack.classical.evaluation import roc_auc

DAY = 288  # values in a day, one in five minutes


@dataclass(frozen=True)
class MetricConfig:
    """Settings of the metric lab.

    Attributes:
        seed: seed of the metric.
        days: days of history, with incidents that nobody has marked, that detectors are fitted to.
        incidents: share of the history that is an incident.
        spikes: spikes in the second day that judges.
        leaks: days that judge with a leak each.
        leak: how much a leak shifts the metric, in deviations of the noise.
        threshold: a value is a spike if it is so many spreads away from its hour's centre.
        drift: what CUSUM allows at each value, in spreads.
        alarm: the sum at which CUSUM gives an alarm, in spreads.
        blind: give detectors values that have nothing to do with the metric.
    """

    seed: int = 0
    days: int = 28
    incidents: float = 0.1
    spikes: int = 30
    leaks: int = 8
    leak: float = 1.0
    threshold: float = 4.0
    drift: float = 0.5
    alarm: float = 8.0
    blind: bool = False


@lab(
    title="Spikes and a leak",
    question="Which detector finds spikes, and which a slow leak, if the history holds incidents that nobody marked?",
    data=[],
    presets={"smoke": {}, "laptop": {"days": 60, "leaks": 30}, "full": {"days": 365, "leaks": 100}},
    expectations=[
        expect("spikes_found", beats_baseline_by=0.3, why="Median and MAD must not be moved by incidents."),
        expect("leak_delay", beats_baseline_by=30, lower_is_better=True, why="Small deviations must add up."),
        expect("false_alarms", at_most=3, why="A day of ordinary values must bring few alarms."),
    ],
    sabotage=[{"blind": True}, {"threshold": 60.0, "alarm": 1e6}],
)
def metric(config: MetricConfig, record: Recorder) -> None:
    """Generate CPU usage with a daily curve, fit detectors to a history with incidents, and judge later days.

    Of the days that judge, the first is ordinary, the second has spikes, and each of the others a leak that begins in
    the middle of the day.
    """
    import plotly.graph_objects as go

    rng = np.random.default_rng(config.seed)
    place = np.arange((config.days + 2 + config.leaks) * DAY)
    hour, day = place % DAY // 12, place // DAY - config.days
    usual = 30 + 25 * np.sin(np.pi * (place % DAY) / DAY) ** 2
    cpu = usual + 2 * rng.standard_normal(len(place))
    incident = (day < 0) & (np.repeat(rng.random(len(place) // 12), 12) < config.incidents)
    cpu[incident] += rng.uniform(15, 40, incident.sum())
    spikes = rng.choice(np.flatnonzero(day == 1), config.spikes, replace=False)
    cpu[spikes] += rng.uniform(10, 20, config.spikes)
    leaking = (day >= 2) & (place % DAY >= DAY // 2)
    cpu[leaking] += 2 * config.leak
    seen = rng.permutation(cpu) if config.blind else cpu
    kinds = {"mean and deviation": lambda X: (X.mean(axis=0), X.std(axis=0)), "median and MAD": robust_scale}
    rows, scores = [], {}
    for name, fit in kinds.items():
        learned = [fit(seen[(day < 0) & (hour == number)][:, None]) for number in range(24)]
        centres, spreads = (np.array([pair[part][0] for pair in learned])[hour] for part in (0, 1))
        z = scores[name] = z_scores(seen, centres, spreads)
        alone, added = [], []
        for number in range(2, config.leaks + 2):
            alone.append(_first(np.flatnonzero(np.abs(z[(day == number) & leaking]) > config.threshold)))
            alarms = cusum(z[day == number], 0.0, drift=config.drift, threshold=config.alarm).alarms
            added.append(_first(alarms[alarms >= DAY // 2] - DAY // 2))
        quiet = cusum(z[day == 0], 0.0, drift=config.drift, threshold=config.alarm).alarms
        row = {"by": name, "spikes found": float(np.mean(np.abs(z[spikes]) > config.threshold))}
        row |= {"delay, each value by itself": float(np.mean(alone)), "delay of CUSUM": float(np.mean(added))}
        row["false alarms in a day"] = int(np.sum(np.abs(z[day == 0]) > config.threshold)) + len(quiet)
        rows.append(row)
    record.table("after the history; delays are in values, at most half a day", rows)
    classic, robust = rows
    plot = go.Figure()
    shown = day >= 0
    for name, colour in zip(scores, (BLUE, ORANGE), strict=True):
        plot.add_scatter(x=(place[shown] / DAY - config.days), y=scores[name][shown], name=name, line_color=colour)
    plot.add_hline(y=config.threshold, line={"color": RED, "dash": "dash"})
    plot.update_xaxes(title="days after the history")
    plot.update_yaxes(title="z-score")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("scores of the days that judge", plot)
    record.baseline("spikes_found", classic["spikes found"], "mean and deviation, same threshold")
    record.result("spikes_found", robust["spikes found"])
    record.baseline("leak_delay", robust["delay, each value by itself"], "each value by itself")
    record.result("leak_delay", robust["delay of CUSUM"])
    record.baseline("false_alarms", 0.0027 * DAY, "three deviations, if values were normal")
    record.result("false_alarms", robust["false alarms in a day"])


def _first(places: np.ndarray) -> int:
    """The first place; half a day where there is none."""
    return int(places[0]) if len(places) else DAY // 2


@dataclass(frozen=True)
class LogConfig:
    """Settings of the log lab.

    Attributes:
        seed: seed of the splits and of the trees.
        window: lines of a window.
        splits: splits of the windows that are averaged.
        trees: trees of the isolation forest.
        neighbours: neighbours of the local outlier factor.
        scramble: permute the counts of each template among the windows that are judged.
    """

    seed: int = 0
    window: int = 5
    splits: int = 3
    trees: int = 60
    neighbours: int = 20
    scramble: bool = False


@lab(
    title="Strange windows of a log",
    question="Do detectors that have seen no tag find the windows in which operators tagged an alert?",
    data=["loghub_bgl"],
    presets={"smoke": {}, "laptop": {"splits": 10, "trees": 200}, "full": {"splits": 30, "trees": 500}},
    expectations=[
        expect("forest", beats_baseline_by=0.12, why="A window with an alert holds counts that random cuts part soon."),
        expect("surprise", beats_baseline_by=0.2, why="An alert is a line that is seldom written."),
    ],
    sabotage=[{"scramble": True}],
)
def log_windows(config: LogConfig, record: Recorder) -> None:
    """Count templates in windows of lines, fit detectors to half of the windows, and rank the others without tags.

    Beside them stands the surprise of a window: the sum of -log of its lines' shares among the lines that were fitted.
    """
    from groundup.data import load

    log = load("loghub_bgl")
    templates, event = np.unique(log["event"], return_inverse=True)
    count = len(event) // config.window
    lines = event[: count * config.window].reshape(count, config.window)
    X = np.array([np.bincount(line, minlength=len(templates)) for line in lines]).astype(float)
    alert = (log["label"][: lines.size] != "-").reshape(lines.shape).any(axis=1).astype(int)
    rng, results = np.random.default_rng(config.seed), []
    for _ in record.progress(range(config.splits), label="splits"):
        order = rng.permutation(count)
        fitted, judged = X[order[: count // 2]], X[order[count // 2 :]]
        if config.scramble:
            judged = rng.permuted(judged, axis=0)
        truth = alert[order[count // 2 :]]
        forest = IsolationForest(config.trees, random_state=int(rng.integers(2**31))).fit(fitted)
        shares = (fitted.sum(axis=0) + 1) / (fitted.sum() + len(templates))
        scores = {
            "forest": -forest.score_samples(judged),
            "factor": -LocalOutlierFactor(config.neighbours).fit(fitted).score_samples(judged),
            "surprise": -judged @ np.log(shares),
        }
        results.append({name: roc_auc(truth, values) for name, values in scores.items()})
    record.note(f"{count} windows, of which {alert.mean():.0%} hold an alert")
    for name in results[0]:
        record.baseline(name, 0.5, "any order")
        record.result(name, float(np.mean([row[name] for row in results])))

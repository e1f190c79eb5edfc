"""The classifier beside rules that need no model, and how often `anomalies` is right and wrong.

The labelled lines are those of loghub's BGL in the folder `logs/loghub_2k` of `GROUNDUP_DATA_MIRROR`, the sessions
those of HDFS; the incidents are in `incidents`. What is not there is not measured. The quiet logs and those with one
thing wrong are generated here. No figure is of lines, or of templates, that a model was trained on, but for the random
split, which shares templates and is named so.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Figure, seconds
from groundup.systems.copilot.classifying.classify import METRICS, Report, train
from groundup.systems.copilot.classifying.labels import read_examples
from groundup.systems.copilot.finding.anomalies import Anomaly, anomalies
from groundup.systems.copilot.reading.logs import Record, open_logs, parse

MIRROR = Path(os.environ.get("GROUNDUP_DATA_MIRROR", "/nowhere"))
QUIET = 100  # generated logs
SEEDS = 5  # ways to split: there are only fifteen templates of alerts
HOUR = 3_600


def run() -> Iterator[Figure]:
    """The classifier, then the anomalies."""
    bgl = MIRROR / "logs" / "loghub_2k" / "BGL" / "BGL_2k.log_structured.csv"
    if bgl.exists():
        yield from classifier(bgl)
    sessions = MIRROR / "logs" / "hdfs_100k_sessions" / "hdfs_1.0_tar_train.jsonl.gz"
    if sessions.exists():
        report = train(read_examples(sessions)).report
        yield from of_report(f"classifier, {report.examples:,} HDFS sessions of {report.templates} kinds", report, None)
    yield from alarms()
    if (MIRROR / "incidents" / "evidence.json").exists():
        yield from incidents(MIRROR / "incidents")
    thunderbird = MIRROR / "logs" / "loghub_2k" / "Thunderbird" / "Thunderbird_2k.log"
    if thunderbird.exists():
        with open_logs(thunderbird) as lines:
            untagged = [line.removeprefix("- ") for line in lines]
        count = len(anomalies(parse(untagged)))
        yield Figure(f"anomalies, {len(untagged):,} lines of Thunderbird, none of them an alert", count, "alarms/log")


def classifier(path: Path) -> Iterator[Figure]:
    """BGL: templates as its authors found them, alerts as its operators did."""
    examples = list(read_examples(path, binary=True))
    start = time.perf_counter()
    trained = train(examples)
    yield Figure("classifier, BGL, training and all comparisons", time.perf_counter() - start, "s")
    yield from of_report("classifier, BGL, chosen by f1", trained.report, "f1")
    for one in trained.report.candidates:
        what = f"classifier, BGL, {one.name}: F1"
        yield Figure(what, one.apart.f1, "share", None, one.random.f1, "a random split, which leaks")
    others = [train(examples, seed=seed).report for seed in range(1, SEEDS)]
    lowest = min((trained.report, *others), key=lambda report: report.expected.f1)
    level = lowest.baselines["the level alone"].f1
    yield Figure(
        f"classifier, BGL: F1, lowest of {SEEDS} ways to split", lowest.expected.f1, "share", None, level,
        "the level alone", SEEDS,
    )  # fmt: skip
    records = [one.record for one in examples]
    took = min(seconds(lambda: trained.classifier.predict(records)) for _ in range(2))
    yield Figure("classifier, predictions with reasons", len(records) / took, "lines/s", runs=2)
    for metric in ("precision", "recall"):
        yield from of_report(f"classifier, BGL, chosen by {metric}", train(examples, metric=metric).report, metric)


def of_report(what: str, report: Report, metric: str | None) -> Iterator[Figure]:
    """What is expected on templates that were never seen, beside the rules."""
    for name in METRICS if metric in (None, "f1") else (metric,):
        value = getattr(report.expected, name)
        for rule, scores in report.baselines.items():
            yield Figure(f"{what}: {name}", value, "share", None, getattr(scores, name), rule)


# ── anomalies ───────────────────────────────────────────────────────────────────────────────────────────────────────
SERVICES = {"api": 1.0, "jobs": 0.3, "billing": 0.1}  # lines a second
SHARES = (0.6, 0.25, 0.1, 0.04, 0.009, 0.001)  # of the templates of a service


def quiet(seed: int) -> list[Record]:
    """Two hours of three services, each with six templates, rare ones too; the load goes up and down by a fifth."""
    rng = random.Random(seed)
    made = []
    for service, rate in SERVICES.items():
        second = 0.0
        while second < 2 * HOUR:
            swing = 1 + 0.2 * ((second // 600 + seed) % 3 - 1)
            second += rng.expovariate(rate * swing)
            kind = rng.choices(range(len(SHARES)), SHARES)[0]
            made.append(record(second, service, f"{'abcdef'[kind]}-work of {service} number {rng.randint(1, 999)}"))
    return sorted(made, key=lambda one: one.time or 0)


def record(second: float, service: str, message: str) -> Record:
    """A line of information."""
    return Record(0, message, message, 1_795_212_000 + second, "info", service)


def wrong(seed: int, kind: str) -> list[Record]:
    """The same with one thing wrong from a random minute on."""
    rng = random.Random(seed)
    records, at = quiet(seed), rng.uniform(0.2, 0.8) * 2 * HOUR
    begin = 1_795_212_000 + at
    if kind == "silence":
        return [one for one in records if one.service != "billing" or (one.time or 0) < begin]
    text = "pool exhausted after 30 s" if kind == "new" else "b-work of jobs number 7"
    extra = [record(at + rng.uniform(0, 120), "jobs", text) for _ in range(1 if kind == "new" else 100)]
    return sorted([*records, *extra], key=lambda one: one.time or 0)


def right(kind: str, found: list[Anomaly]) -> bool:
    """Whether what was put in is among what was found."""
    service = "billing" if kind == "silence" else "jobs"
    text = {"new": "pool exhausted", "burst": "b-work", "silence": ""}[kind]
    return any(one.kind == kind and one.service == service and text in (one.template or "") for one in found)


def alarms() -> Iterator[Figure]:
    """False alarms in quiet logs, and how often what was put in is found."""
    found = [anomalies(quiet(seed)) for seed in range(QUIET)]
    for kinds in (("new",), ("burst", "silence")):
        count = sum(any(one.kind in kinds for one in several) for several in found)
        yield Figure(f"anomalies, false alarms ({' or '.join(kinds)}), {QUIET} quiet logs", count / QUIET, "alarms/log")
    for kind in ("new", "burst", "silence"):
        hits = sum(right(kind, anomalies(wrong(seed, kind))) for seed in range(QUIET // 2))
        what = "one line of a new template" if kind == "new" else f"a {kind}"
        yield Figure(f"anomalies, {what} found in {QUIET // 2} logs", hits / (QUIET // 2), "share")


def incidents(folder: Path) -> Iterator[Figure]:
    """Logs of incidents whose lines have times that differ: in how many of them an anomaly is evidence."""
    wanted: dict[str, list[str]] = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
    hits, shown, logs = 0, 0, 0
    for name, patterns in wanted.items():
        with open_logs(folder / f"{name}.log.gz") as lines:
            records = list(parse(lines))
        if len({one.time for one in records}) < 10:
            continue
        found = anomalies(records)
        logs += 1
        shown += len(found)
        hits += any(re.search(pattern, one.text) for pattern in patterns for one in found)
    yield Figure(f"anomalies, {logs} incidents: one is evidence", hits / logs, "share")
    yield Figure(f"anomalies, {logs} incidents: how many are shown", shown / logs, "alarms/log")

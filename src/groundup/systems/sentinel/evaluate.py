"""The figures of the sentinel in one table, each beside a baseline without a model.

`train` measured the detectors' figures on data that they were not fitted to, and stored them beside the weights; `train
--again` measures them anew. The other figures are measured now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.data import load
from groundup.errors import DataUnavailable, UsageError
from groundup.systems.sentinel.addresses import imitated, parse
from groundup.systems.sentinel.intelligence import read_catalogue
from groundup.systems.sentinel.weightfiles import NAMES, read


@dataclass(frozen=True)
class Row:
    """A figure: the measure, the amount of data, our figure, the baseline's figure and name, and the data."""

    what: str
    on: str
    ours: float
    baseline: float | None
    name: str
    data: str


def evaluate(models: Path) -> Iterator[Row]:
    """The rows of the table.

    Raises:
        StoreError: a detector cannot be read.
    """
    for name in NAMES:
        learnt = read(name, models)
        data = "; ".join(dict.fromkeys(entry["label"] for entry in learnt.data))
        yield from _stored(name, learnt.metrics, data)
    yield from _live()


def _stored(name: str, metrics: dict[str, Any], data: str) -> Iterator[Row]:
    if "judged" not in metrics:  # a model of somebody's own log
        yield Row(f"{name}: sessions learnt", "a log of your own", float(metrics["sessions"]), None, "", data)
        return
    judged = ", ".join(f"{value:,} {key}" for key, value in metrics["judged"].items())
    yield Row(f"{name}: AUC", judged, metrics["auc"], 0.5, "majority", data)
    if name == "url":
        yield Row("url: balanced accuracy", judged, metrics["balanced accuracy"], 0.5, "majority", data)
        rule = metrics["rule: imitates a brand"]
        yield Row("url: recall", judged, metrics["recall"], rule["recall"], "imitates a brand", data)
        yield Row("url: false alarms", judged, metrics["false alarms"], rule["false alarms"], "imitates a brand", data)
        hard = metrics["flagged at .5"]["legitimate"]
        yield Row("url: false alarms, names with words that ask", "PhiUSIIL's legitimate", hard, None, "", data)
        for source in ("jpcert", "phiusiil"):
            key = f"auc on {source}, not trained on it"
            yield Row(f"url: AUC on {source}, trained on the other source", judged, metrics[key], 0.5, "majority", data)
    elif name == "vision":
        yield Row("vision: balanced accuracy", judged, metrics["balanced accuracy"], 0.5, "majority", data)
        shape = metrics["auc of the file's shape alone"]
        yield Row("vision: AUC, which the shape of the file reaches", judged, metrics["auc"], shape, "shape", data)
    elif name == "logs":
        apart = metrics["auc of those that read differently"]
        yield Row("logs: AUC", judged, metrics["auc"], metrics["auc of the word exception"], "exception", data)
        yield Row("logs: AUC, of sequences that no normal session has", judged, apart, 0.5, "majority", data)
        for key in ("precision", "recall"):
            figure = metrics[f"{key} at 1% false alarms"]
            yield Row(f"logs: {key} at 1 % false alarms", judged, figure, None, "", data)
    else:
        listed = metrics["found by 'previous instructions'"]
        yield Row("guard: orders found", judged, metrics["found"], listed, "a keyword", data)
        yield Row("guard: false alarms", judged, metrics["false alarms"], 0.0, "a keyword", data)


def _live() -> Iterator[Row]:
    urls, popular = load("phishing_urls"), load("popular_hosts")
    bad = [url for url, phishing in zip(urls["url"].tolist(), urls["phishing"], strict=True) if phishing]
    hosts = [host for host in popular["host"].tolist() if "." in host and not host.endswith(".arpa")]
    label = f"{urls.provenance.label}; {popular.provenance.label}"
    yield Row("brands: URLs that imitate one", f"{len(bad):,} phishing", _share(bad), 0.0, "none", label)
    yield Row("brands: hosts said to imitate one", f"{len(hosts):,} popular", _share(hosts), 0.0, "none", label)
    try:
        catalogue = read_catalogue()
    except DataUnavailable:
        return
    made_up = [f"CVE-2099-{number}" for number in range(10_000, 10_100)] + [f"T9{number:03}" for number in range(100)]
    unknown = sum(not catalogue.lookup(id)[0].where for id in made_up) / len(made_up)
    yield Row("intelligence: made-up ids called unknown", f"{len(made_up)} ids", unknown, None, "", "made here")
    known = [*catalogue.techniques, *catalogue.exploited]
    found = sum(bool(catalogue.lookup(id)[0].where) for id in known) / len(known)
    yield Row("intelligence: known ids found, each with its page", f"{len(known):,} ids", found, None, "", "the lists")


def _share(urls: list[str]) -> float:
    flagged = 0
    for url in urls:
        try:
            flagged += bool(imitated(parse(url)))
        except UsageError:
            continue
    return flagged / max(1, len(urls))

"""The template miner beside Drain3 (with the masks of its example), on the same lines, on one thread.

The lines are loghub's 2k sets, as far as they are in the folder `logs/loghub_2k` of `GROUNDUP_DATA_MIRROR`; without
them nothing is measured. One setting for all of them, in both. `raw` is the line with its header, as it stands in the
file.
"""

from __future__ import annotations

import csv
import os
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Figure, side_by_side
from groundup.systems.copilot.finding.measures import grouping_accuracy, template_f1
from groundup.systems.copilot.finding.templates import Miner
from groundup.systems.copilot.reading.logs import open_logs, parse

if TYPE_CHECKING:
    from drain3 import TemplateMiner

PEER = f"Drain3 {version('drain3')}"
# The masks of Drain3's example configuration.
MASKS = (
    (r"((?<=[^A-Za-z0-9])|^)(([0-9a-f]{2,}:){3,}([0-9a-f]{2,}))((?=[^A-Za-z0-9])|$)", "ID"),
    (r"((?<=[^A-Za-z0-9])|^)(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})((?=[^A-Za-z0-9])|$)", "IP"),
    (r"((?<=[^A-Za-z0-9])|^)([0-9a-f]{6,} ?){3,}((?=[^A-Za-z0-9])|$)", "SEQ"),
    (r"((?<=[^A-Za-z0-9])|^)([0-9A-F]{4} ?){4,}((?=[^A-Za-z0-9])|$)", "SEQ"),
    (r"((?<=[^A-Za-z0-9])|^)(0x[a-f0-9A-F]+)((?=[^A-Za-z0-9])|$)", "HEX"),
    (r"((?<=[^A-Za-z0-9])|^)([\-\+]?\d+)((?=[^A-Za-z0-9])|$)", "NUM"),
    (r"(?<=executed cmd )(\".+?\")", "CMD"),
)


@dataclass(frozen=True)
class Labelled:
    """A set of lines of which the true templates are known."""

    name: str
    raw: list[str]
    messages: list[str]
    groups: list[str]
    templates: list[str]


Mined = tuple[Sequence[int], list[str]]  # line by line: its group, and its template's text


def run() -> Iterator[Figure]:
    """Accuracy set by set and on average, then speed."""
    sets = list(labelled())
    if not sets:
        return
    rows: dict[str, list[tuple[float, float]]] = {"GA": [], "FTA": [], "GA raw": [], "FTA raw": []}
    for labels in sets:
        for measure, pair in compare(labels).items():
            rows[measure].append(pair)
            yield Figure(f"templates, {labels.name}: {measure}", pair[0], "share", None, pair[1], PEER)
    for measure, bar in (("GA", 0.90), ("FTA", 0.45), ("GA raw", 0.85), ("FTA raw", None)):
        ours, theirs = (statistics.mean(column) for column in zip(*rows[measure], strict=True))
        yield Figure(f"templates, mean of {len(sets)} sets: {measure}", ours, "share", bar, theirs, PEER)
    once = [message for labels in sets for message in labels.messages]
    for lines, bar, how in ((once, None, "a first pass"), (many(once), 80_000, "five times, with other digits")):
        mine, theirs = side_by_side(
            partial(mine_ours, lines), partial(mine_peer, lines), repeats=3, clock=time.process_time
        )
        what = f"templates, masking and mining {len(lines):,} messages, {how}"
        yield Figure(what, len(lines) / mine, "lines/s", bar, len(lines) / theirs, PEER, 3)


def labelled() -> Iterator[Labelled]:
    """The sets that are here."""
    for folder in sorted(Path(os.environ.get("GROUNDUP_DATA_MIRROR", "/nowhere"), "logs", "loghub_2k").glob("*/")):
        log = folder / f"{folder.name}_2k.log"
        if not log.exists():
            continue
        with open_logs(log) as lines:
            raw = list(lines)
        with Path(f"{log}_structured.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        columns = ([row[name] for row in rows] for name in ("Content", "EventId", "EventTemplate"))
        yield Labelled(folder.name, raw, *columns)


def compare(labels: Labelled) -> dict[str, tuple[float, float]]:
    """All measures on a set: ours, the peer's."""
    measured: dict[str, list[float]] = {"GA": [], "FTA": [], "GA raw": [], "FTA raw": []}
    ours_raw = [record.message for record in parse(labels.raw)]
    assert len(ours_raw) == len(labels.raw)
    for mine, raw in ((mine_ours, ours_raw), (mine_peer, labels.raw)):
        groups, templates = mine(labels.messages)
        measured["GA"].append(grouping_accuracy(groups, labels.groups))
        measured["FTA"].append(template_f1(templates, labels.templates))
        groups, templates = mine(raw)
        measured["GA raw"].append(grouping_accuracy(groups, labels.groups))
        measured["FTA raw"].append(template_f1(templates, labels.templates))
    return {measure: (pair[0], pair[1]) for measure, pair in measured.items()}


def mine_ours(messages: Sequence[str]) -> Mined:
    """Groups and templates by `Miner`."""
    miner = Miner()
    numbers = [miner.add(message) for message in messages]
    texts = {template.id: template.text for template in miner.templates()}
    groups = [miner.template_of(number) for number in numbers]
    return groups, [texts[group] for group in groups]


def mine_peer(messages: Sequence[str]) -> Mined:
    """Groups and templates by Drain3, in memory."""
    miner = drain()
    add: Callable[[str], dict[str, int]] = miner.add_log_message  # type: ignore[assignment]
    groups = [add(message)["cluster_id"] for message in messages]
    texts = {c.cluster_id: re.sub(r"<:?[A-Z]+:?>", "<*>", c.get_template()) for c in miner.drain.clusters}
    return groups, [texts[group] for group in groups]


def drain(file: Path | None = None) -> TemplateMiner:
    """Drain3 with the masks of its example; with a file it keeps its state there."""
    from drain3 import TemplateMiner
    from drain3.file_persistence import FilePersistence
    from drain3.masking import MaskingInstruction
    from drain3.template_miner_config import TemplateMinerConfig

    config = TemplateMinerConfig()
    config.masking_instructions = [MaskingInstruction(pattern, name) for pattern, name in MASKS]
    keep: Any = None if file is None else FilePersistence(str(file))
    return TemplateMiner(keep, config=config)


def many(messages: list[str], times: int = 5) -> list[str]:
    """The messages several times over, each time with other digits, so that no line comes twice."""
    rng = random.Random(0)
    digits = "0123456789"
    made = [re.sub(r"\d", lambda _: rng.choice(digits), message) for _ in range(times) for message in messages]
    rng.shuffle(made)
    return made

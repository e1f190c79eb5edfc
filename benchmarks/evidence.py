"""`why` on incident logs of which the evidence is known, beside what people do without it.

The logs are in the folder `incidents` of `GROUNDUP_DATA_MIRROR`, with `evidence.json`: regular expressions for each,
all of which must match one of at most 20 lines. Without them only the generated ones (`incidents.py`) are measured.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.incidents import generate
from benchmarks.measure import Figure, seconds
from groundup.systems.copilot.finding.evidence import MOST, why
from groundup.systems.copilot.finding.templates import Miner
from groundup.systems.copilot.reading.logs import open_logs, parse

Known = dict[str, tuple[list[str], list[str]]]  # of each log its lines, and the regular expressions of its evidence


def run() -> Iterator[Figure]:
    """The share of the evidence that is found, that of healthy logs in which nothing is, and the speed."""
    logs = generate()
    yield from _found({name: log for name, log in logs.items() if log[1]}, "generated incidents")
    healthy = [lines for lines, wanted in logs.values() if not wanted]
    quiet = sum(not evidence(lines) for lines in healthy) / len(healthy)
    yield Figure(f"why, {len(healthy)} generated logs in good health: nothing in it", quiet, "share")
    folder = Path(os.environ.get("GROUNDUP_DATA_MIRROR", "/nowhere"), "incidents")
    if not (folder / "evidence.json").exists():
        return
    wanted: dict[str, list[str]] = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
    known = {name: (read(folder / f"{name}.log.gz"), patterns) for name, patterns in wanted.items()}
    yield from _found(known, "incidents", bar=1.0)
    largest = max((lines for lines, _ in known.values()), key=len)
    took = min(seconds(lambda: evidence(largest)) for _ in range(3))
    yield Figure(f"why, {len(largest):,} lines", len(largest) / took, "lines/s", runs=3)


def _found(known: Known, kind: str, bar: float | None = None) -> Iterator[Figure]:
    total = sum(len(patterns) for _, patterns in known.values())

    def share(shown: Callable[[list[str]], list[str]]) -> float:
        found = 0
        for lines, patterns in known.values():
            seen = shown(lines)
            found += sum(any(re.search(pattern, line) for line in seen) for pattern in patterns)
        return found / total

    ours, what = share(evidence), f"why, {total} pieces of evidence in {len(known)} {kind}"
    yield Figure(what, ours, "share", bar, share(lambda lines: lines[-100:]), "the last 100 lines")
    yield Figure(what, ours, "share", bar, share(rarest), f"the {MOST} rarest templates")


def read(path: Path) -> list[str]:
    """The lines of a log."""
    with open_logs(path) as lines:
        return list(lines)


def evidence(lines: list[str]) -> list[str]:
    """What `why` shows."""
    found = [one.text for one in why(parse(lines))]
    assert len(found) <= MOST
    return found


def rarest(lines: list[str]) -> list[str]:
    """The first line of each of the rarest templates."""
    miner, numbers = Miner(), []
    records = list(parse(lines))
    for record in records:
        numbers.append(miner.add(record.message))
    few = {template.id for template in miner.templates()[-MOST:]}
    first: dict[int, str] = {}
    for record, number in zip(records, numbers, strict=True):
        template = miner.template_of(number)
        if template in few:
            first.setdefault(template, record.text)
    return list(first.values())

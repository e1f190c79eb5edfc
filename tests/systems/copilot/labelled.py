"""Labelled lines: many templates, some of which are alerts, and real ones where the data is."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import pytest

from tests.systems.copilot.incidents import entry

# Neither the words of a failure nor the level tell them apart; that alerts are about a database or a disk does.
CALM = [
    "Cache for {what} refreshed", "Could not load {what} picture, the default is shown", "Finished {what} job",
    "Retry of {what} request after a timeout", "Lost {what} lock to another worker", "Sent {what} report",
]  # fmt: skip
BAD = [
    "Could not read {what} from database", "Slow {what} query in database", "Database work of {what} rolled back",
    "Disk of {what} nearly full", "Volume of {what} failed, disk detached",
]  # fmt: skip
WHAT = ["user", "order", "billing", "search"]  # the miner takes five for a value


def tagged(repeats: int = 8, seed: int = 0) -> list[str]:
    """Lines that begin with `-` or the tag of an alert. Most alerts are errors, and so are some calm lines."""
    rng = random.Random(seed)
    lines = []
    kinds = [(text, "-") for text in CALM] + [(text, "ALERT") for text in BAD]
    for second, ((text, tag), what, number) in enumerate(itertools.product(kinds, WHAT, range(repeats))):
        level = "ERROR" if (tag != "-") == (rng.random() < 0.8) else "INFO"
        message = f"{text.format(what=what)} {number * 17}"
        lines.append(f"{tag} {entry(second, level, f'{what}-service', message)}")
    rng.shuffle(lines)
    return lines


def loghub(name: str) -> Path:
    """A set of loghub's; skips the test where it is not here."""
    path = Path(os.environ.get("GROUNDUP_DATA_MIRROR", "/nowhere"), "logs", "loghub_2k", name, f"{name}_2k.log")
    if not path.exists():
        pytest.skip(f"{name} is not in the folder that GROUNDUP_DATA_MIRROR names")
    return path

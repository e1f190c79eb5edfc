"""Log files into the store beside Drain3, which masks and mines only, in memory and with its file persistence.

Ours is all that `groundup copilot ingest` does: reading, hiding secrets, recognising formats and times, masking and
mining, and writing lines, cursor and templates durably, batch by batch. The lines are those of the largest incident
log, and of loghub's 2k sets, once and several times over, with other digits in their messages each time; both in the
folder of `GROUNDUP_DATA_MIRROR`. A first pass is the harder case: nothing is known of what comes.

Seconds of processor time, of all threads: what one process would need by the clock on a machine that does nothing else.
Waiting for the disk does not count.
"""

from __future__ import annotations

import os
import random
import re
import statistics
import string
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measure import Figure
from benchmarks.templates import PEER, Labelled, drain, labelled
from groundup.systems.copilot.reading.logs import open_logs, parse
from groundup.systems.copilot.sources.files import ingest_files
from groundup.systems.copilot.store import open_store

FEW = 2_000  # lines on which Drain3 is measured with its file: it writes all that it knows at each change
RUNS = 3


def run() -> Iterator[Figure]:
    """Lines a second: ours, beside Drain3 without and with its persistence."""
    incidents = sorted(Path(os.environ.get("GROUNDUP_DATA_MIRROR", "/nowhere"), "incidents").glob("*.gz"))
    sets = list(labelled())
    with tempfile.TemporaryDirectory() as folder:
        if incidents:
            texts = []
            for path in incidents:
                with open_logs(path) as lines:
                    texts.append(list(lines))
            yield from _measure("lines of the largest incident log", [max(texts, key=len)], Path(folder), 80_000)
        if sets:
            of = f"raw lines of {len(sets)} systems"
            yield from _measure(f"{of}, a first pass", [labels.raw for labels in sets], Path(folder), None)
            yield from _measure(f"{of}, five times", [raw(labels) for labels in sets], Path(folder), None)


def raw(labels: Labelled, times: int = 5) -> list[str]:
    """The lines of a set several times over, with their own headers, and other digits in their messages each time."""
    headers = [line[: len(line) - len(message)] for line, message in zip(labels.raw, labels.messages, strict=True)]
    rng = random.Random(0)
    return [
        header + re.sub(r"\d", lambda _: rng.choice(string.digits), message)
        for _ in range(times)
        for header, message in zip(headers, labels.messages, strict=True)
    ]


def _measure(what: str, logs: list[list[str]], folder: Path, bar: float | None) -> Iterator[Figure]:
    lines, file = [line for log in logs for line in log], folder / "drain.bin"
    paths = [folder / f"{number}.log" for number in range(len(logs))]
    for path, log in zip(paths, logs, strict=True):
        path.write_text("".join(f"{line}\n" for line in log), encoding="utf-8")
    messages = [record.message for log in logs for record in parse(log)]
    few = messages[:: len(messages) // FEW][:FEW]
    taken: dict[str, list[float]] = {"ours": [], "memory": [], "durable": []}
    for _ in range(RUNS):
        taken["ours"].append(_spent(lambda: ingest(paths, len(lines))) / len(lines))
        taken["memory"].append(_spent(lambda: mine(messages)) / len(messages))
        taken["durable"].append(_spent(lambda: mine(few, file)) / len(few))
    ours, memory, durable = (1 / statistics.median(times) for times in taken.values())
    name = f"ingest, {len(lines):,} {what}"
    yield Figure(name, ours, "lines/s", bar, memory, f"{PEER}, masking and mining only, in memory", RUNS)
    yield Figure(f"{name}: the same", ours, "lines/s", bar, durable, f"{PEER} with its file, {FEW:,} lines", RUNS)


def _spent(call: Callable[[], None]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def ingest(logs: list[Path], lines: int) -> None:
    """Files into a new store."""
    store = logs[0].with_name("copilot.duckdb")
    with open_store(store) as opened:
        assert ingest_files(opened, list(map(str, logs))).lines == lines
    store.unlink()


def mine(messages: list[str], file: Path | None = None) -> None:
    """Messages through Drain3; with a file it writes down what it knows at every change."""
    add: Callable[[str], object] = drain(file).add_log_message
    for message in messages:
        add(message)
    if file is not None:
        file.unlink(missing_ok=True)

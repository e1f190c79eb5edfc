"""Log files into the store beside Drain3, which masks and mines only, in memory and with its file persistence.

Ours is all that `groundup copilot ingest` does: reading, hiding secrets, recognising formats and times, masking and
mining, and writing lines, cursor and templates durably, batch by batch. The lines are those of the largest incident
log, and of loghub's 2k sets, once and several times over, with other digits in their messages each time; both in the
folder of `GROUNDUP_DATA_MIRROR`. A first pass is the harder case: nothing is known of what comes. Each run is therefore
in a new process, which has imported everything and read nothing.

Seconds of processor time, of all threads: what one process would need by the clock on a machine that does nothing else.
Waiting for the disk does not count. The time by the clock stands beside it: on a machine that others use as well, it
says little.
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
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
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
    taken: dict[str, list[tuple[float, float]]] = {"ours": [], "memory": [], "durable": []}
    for _ in range(RUNS):
        taken["ours"].append(_apart(ingest, paths, len(lines)))
        taken["memory"].append(_apart(mine, messages))
        taken["durable"].append(_apart(mine, few, file))
    counts = {"ours": len(lines), "memory": len(messages), "durable": len(few)}
    (ours, ours_by_clock), (memory, memory_by_clock), (durable, _) = (
        [count / statistics.median(times) for times in zip(*taken[name], strict=True)] for name, count in counts.items()
    )
    name, peer = f"ingest, {len(lines):,} {what}", f"{PEER}, masking and mining only, in memory"
    yield Figure(name, ours, "lines/s", bar, memory, peer, RUNS)
    yield Figure(f"{name}: the same by the clock", ours_by_clock, "lines/s", None, memory_by_clock, peer, RUNS)
    yield Figure(f"{name}: the same", ours, "lines/s", bar, durable, f"{PEER} with its file, {FEW:,} lines", RUNS)


def _apart(call: Callable[..., None], *arguments: object) -> tuple[float, float]:
    """The seconds of a call in a new process: by its processor time, and by the clock."""
    with ProcessPoolExecutor(1, get_context("spawn"), _warm) as pool:
        return pool.submit(_spent, call, *arguments).result()


def _warm() -> None:
    """Import what is imported when it is first needed."""
    drain()
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder, "empty.duckdb")) as opened:
        ingest_files(opened, [folder])


def _spent(call: Callable[..., None], *arguments: object) -> tuple[float, float]:
    start = time.process_time(), time.perf_counter()
    call(*arguments)
    return time.process_time() - start[0], time.perf_counter() - start[1]


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

"""Killed at any moment, again and again: in the end the store equals the source, line for line."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.systems.copilot.finding.templates import Miner
from groundup.systems.copilot.store import open_store
from tests.systems.copilot.apiserver import START, Container, serve

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is a matter of POSIX")

KILLS = 8
# Small blocks and batches, so that a run has many moments between two transactions.
PROGRAM = """
import sys
from groundup.systems.copilot.sources import collect, files
collect.BATCH, files.BLOCK = 200, 5_000
print("begun", flush=True)
from groundup.cli import main
main(sys.argv[1:])
"""


def run(*arguments: str, killed_after: float | None) -> bool:
    """Run the command and kill it so many seconds after it has begun; whether it came to its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "copilot", *arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    if killed_after is not None:
        try:
            process.wait(killed_after)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
    out, errors = process.communicate(timeout=120)
    assert process.returncode in (0, -signal.SIGKILL), (out, errors)
    return process.returncode == 0


def lines(rng: random.Random, begin: int, count: int) -> list[str]:
    """Lines of several kinds, many of them the same."""
    kinds = ("INFO tick", "ERROR {i} failed", "INFO served {i} in {j} ms", "", "WARN caf\u00e9 {i}", "INFO tick")
    return [rng.choice(kinds).format(i=i, j=rng.randrange(99)) for i in range(begin, begin + count)]


def kill_often(command: Callable[[float | None], bool], rng: random.Random, write: Callable[[], None]) -> None:
    """Kill the command at random moments, KILLS times, while the source grows; then let it end."""
    start = time.monotonic()
    command(None)
    longest = time.monotonic() - start
    killed = 0
    while killed < KILLS:
        write()
        if command(rng.uniform(0.0, longest)):
            longest *= 0.8  # it has less to do now than the first time, or the machine has become quicker
        else:
            killed += 1
    command(None)


def check(store: Path, expected: dict[str, list[str]]) -> None:
    """The store holds what was written and nothing else; positions have no gaps; the miner knows every record."""
    with open_store(store, reading=True) as opened:
        found: dict[str, list[str]] = {}
        for source in opened.sources():
            name = f"{Path(source.name).name if source.kind == 'file' else source.container}#{source.restart}"
            found[name] = opened.texts(source)
            positions = opened.connection.execute(
                "SELECT position FROM lines WHERE source = ? ORDER BY position", [source.id]
            ).fetchall()
            assert [row[0] for row in positions] == list(range(1, source.lines + 1))
        assert {name: len(texts) for name, texts in found.items()} == {n: len(t) for n, t in expected.items()}
        assert found == expected
        records = opened.connection.execute("SELECT count(template) FROM lines").fetchall()[0][0]
        assert sum(template.count for template in opened.miner.templates()) == records
        assert isinstance(opened.miner, Miner)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_files_killed_while_they_grow_and_are_rotated(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    log, store = tmp_path / "logs" / "app.log", tmp_path / "copilot.duckdb"
    log.parent.mkdir()
    written: list[list[str]] = [[]]

    def write(count: int = 0) -> None:
        if len(written[-1]) > 1_500 and rng.random() < 0.5:
            for number in range(len(written) - 1, 0, -1):
                log.with_name(f"app.log.{number}").rename(log.with_name(f"app.log.{number + 1}"))
            log.rename(log.with_name("app.log.1"))
            written.append([])
        begin = sum(map(len, written))
        new = lines(rng, begin, count or rng.randrange(1_000))
        new.insert(0, f"INFO block {begin}")
        written[-1] += new
        with log.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in new))

    write(2_000)
    kill_often(lambda after: run("ingest", str(log.parent), "--store", str(store), killed_after=after), rng, write)
    names = ["app.log", *(f"app.log.{number}" for number in range(1, len(written)))]
    check(store, {f"{name}#0": texts for name, texts in zip(names, reversed(written), strict=True)})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("way", [[], ["--every", "1s"]], ids=["round", "follow"])
def test_containers_killed_while_they_log_and_are_restarted(tmp_path: Path, way: list[str], seed: int) -> None:
    rng = random.Random(seed)
    store = tmp_path / "copilot.duckdb"
    with serve() as api:
        containers = api.pod("checkout-1", [Container("web"), Container("side")]).containers
        clock = START

        def write(count: int = 0) -> None:
            nonlocal clock
            with api.lock:
                for container in containers:
                    for line in lines(rng, 0, count or rng.randrange(400)):
                        clock += rng.choice((0, 0, 1, 1_000, 5_000_000))  # many at the same time
                        container.now.write(clock, line)
                    clock += rng.choice((0, 10**6, 3 * 10**9))
                    if whole and rng.random() < 0.4:  # the kubelet keeps two instances: the one before has been read
                        container.restart(clock)
                whole.clear()

        whole: list[bool] = []

        def command(after: float | None) -> bool:
            following = way if after is not None else []
            ended = run("collect", "--kubeconfig", config, "--store", str(store), *following, killed_after=after)
            whole.extend([True] * ended)
            return ended

        config = api.kubeconfig(tmp_path / "config")
        write(1_000)
        kill_often(command, rng, write)
        check(
            store,
            {
                f"{container.name}#{number}": [text.decode() for _, text in instance.lines]
                for container in containers
                for number, instance in enumerate(container.instances)
                if instance.lines
            },
        )

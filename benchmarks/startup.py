"""How long a person waits for the first answer: `groundup map`, and the first page of a fresh `groundup`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Figure, quantile, seconds

RUNS = 10


def run() -> Iterator[Figure]:
    """Measure both, beside importing the site's framework alone and a pytest that does nothing."""
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "GROUNDUP_WORKSPACE": str(Path(folder, "learner")), "GROUNDUP_OFFLINE": "1"}
        environment.pop("GROUNDUP_LEDGER", None)

        def call(*command: str) -> float:
            return seconds(
                lambda: subprocess.run(
                    [sys.executable, *command], env=environment, cwd=folder, capture_output=True, check=True
                )
            )

        call("-m", "groundup", "map")  # from a warm disk, as on every day but the first
        maps, peers = zip(
            *((call("-m", "groundup", "map"), call("-m", "pytest", "--version")) for _ in range(RUNS)), strict=True
        )
        yield Figure(
            "`groundup map`, p95", quantile(maps, 0.95), "s", 0.5, quantile(peers, 0.95), "pytest --version", RUNS
        )
        pages, peers = zip(*((first_page(environment), call("-c", "import torch")) for _ in range(RUNS)), strict=True)
        yield Figure(
            "first page of a fresh `groundup`, p95", quantile(pages, 0.95), "s", 1.0, quantile(peers, 0.95),
            "import torch", RUNS,
        )  # fmt: skip


def first_page(environment: dict[str, str]) -> float:
    """Seconds from the start of the command to the last byte of the map."""
    start = time.perf_counter()
    with server(environment):
        return time.perf_counter() - start


@contextmanager
def server(environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    """A real `groundup serve`, from the moment at which it has answered with its first page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "groundup", "serve", "--no-browser", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_page(port, process)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(20)


def wait_for_page(port: int, process: subprocess.Popen[bytes]) -> None:
    """Ask for the map until it comes."""
    from http.client import HTTPConnection

    while process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, answer.status
            assert b"</html>" in body
            return
        except ConnectionError:
            time.sleep(0.01)
        finally:
            connection.close()
    raise RuntimeError("`groundup serve` ended before it answered")

"""What `serve` of a system starts: an API and a page in processes of their own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def served(system: str, *options: str) -> Iterator[tuple[str, str]]:
    """The addresses of the API and of the page, until the block ends; both processes must end with it."""
    environment = {key: value for key, value in os.environ.items() if key != "GROUNDUP_TOKEN"}
    serve = subprocess.Popen(
        [sys.executable, "-m", "groundup", system, "serve", *options, "--port", "0", "--page-port", "0"],
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert serve.stdout is not None
    said = ""
    while "Ctrl-C" not in said:
        line = serve.stdout.readline()
        assert line, f"it ended: {said}"
        said += line
    addresses = re.findall(r"http://127\.0\.0\.1:\d+", said)
    yield addresses[0], addresses[-1]
    serve.terminate()
    assert serve.wait(30) in (0, -15)
    serve.stdout.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(addresses[-1].rsplit(":", 1)[1])), timeout=5)

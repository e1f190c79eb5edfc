"""The server itself: its port, its start and its end, and what it never imports."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from groundup.errors import UsageError
from groundup.listening import bind

Start = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start(learner: Path) -> Iterator[Start]:
    """Start `groundup serve` in a process of its own; returns it and the address that it prints."""
    processes = []

    def start(*options: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "groundup", "serve", "--no-browser", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"http://[\d.:]+", line):
                process.said = "".join(lines)  # type: ignore[attr-defined]
                return process, found[0]
        raise AssertionError(process.communicate())

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_a_port_that_is_taken_gives_the_next_one_and_says_so(start: Start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process, address = start("--port", str(port))
    assert int(address.rsplit(":", 1)[1]) > port
    assert f"Port {port} is taken" in process.said  # type: ignore[attr-defined]
    assert urlopen(address, timeout=120).status == 200


def test_the_site_listens_on_loopback_only(start: Start):
    _, address = start("--port", "0")
    port = int(address.rsplit(":", 1)[1])
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for other in others - {"127.0.0.1"}:
        with socket.socket() as client:
            assert client.connect_ex((str(other), port)) != 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_ctrl_c_ends_it_even_with_a_page_open(start: Start):
    process, address = start("--port", "0")
    with urlopen(f"{address}/events", timeout=120) as stream:
        assert stream.readline().startswith(b"retry")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)  # without what ends the open page, it would wait for that for ever
    assert process.returncode == 0
    assert "groundup has stopped" in out
    assert err == ""


def test_a_host_that_is_not_ours_is_one_clear_line():
    with pytest.raises(UsageError, match=r"must be free to listen on, and 192\.0\.2\.1:\d+ is not: .*--host"):
        bind("192.0.2.1", 4400)
    with pytest.raises(UsageError, match="host must be an address of this machine, got 'no such host'"):
        bind("no such host", 4400)


def test_the_pages_import_nothing_heavy(learner: Path):
    program = """
import sys
from starlette.testclient import TestClient
before = set(sys.modules)
from groundup.course.course import Course
from groundup.course.learner.workspace import Workspace
from groundup.site import create_app
course = Course(Workspace(sys.argv[1]))
with TestClient(create_app(course), base_url="http://127.0.0.1:4400") as client:
    heavy = "torch mlflow sklearn pandas plotly fastapi numpy scipy".split()
    late = "sqlalchemy alembic markdown_it pygments latex2mathml fsrs libcst".split()
    assert client.get("/").status_code == 200
    print([name for name in heavy + late if name in sys.modules])
    for path in ("/units/vectors", "/tracks/devops", "/runs", "/review", "/journal", "/progress", "/search?q=dot"):
        assert client.get(path).status_code == 200, path
    print([name for name in heavy if name in sys.modules])
    print([name for name in sys.modules if name.startswith("groundup.stack.")])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(learner)], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines() == ["[]", "[]", "[]"]

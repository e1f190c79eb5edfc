"""The demo, and the commands that serve."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup.api.client import Client, Refused
from groundup.errors import MissingPackage, UsageError
from groundup.listening import bind
from groundup.systems.copilot import open_store
from groundup.systems.copilot.classifying.classify import Classifier
from groundup.systems.copilot.demo import OF_EACH, RUNBOOKS, demo
from groundup.systems.copilot.incident import generate
from groundup.systems.copilot.serving.service import Settings
from groundup.systems.copilot.serving.serving import need_packages, serve
from tests.conftest import Ran


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "copilot-demo"


@pytest.fixture(scope="module")
def shown(folder: Path) -> Ran:
    """What `groundup copilot demo --no-serve` prints; it must need no network."""
    command = [sys.executable, "-m", "groundup", "copilot", "demo", "--no-serve", "--folder", str(folder)]
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "GROUNDUP_LLM": ""}
    ran = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **nowhere}, timeout=280, check=False
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def test_the_demo_goes_from_logs_to_a_cited_answer(shown: Ran, folder: Path):
    assert shown.code == 0, shown.err
    text = " ".join(shown.out.split())
    assert "26,050 lines of 6 services" in text
    assert "maximumPoolSize=2 (was 20)" in text
    assert "On templates that nobody has seen, expect precision" in text
    assert f"{len(list(RUNBOOKS.glob('*.md')))} runbooks" in text
    assert re.search(r"could not be saved \[\d\]", text), "a line of a log is cited"
    assert re.search(r"\(was 20\), connectionTimeout=30000 ms \[\d\]", text), "the change that caused it is cited"
    assert re.search(r"\[\d\] runbooks/connection-pool\.md:\d+-\d+", text), "and a runbook"
    assert "Traceback" not in shown.err


def test_its_citations_open(shown: Ran, folder: Path, groundup: Callable[..., Ran]):
    for where in re.findall(r"\[\d\] (\S+[#:]\S+)$", shown.out, flags=re.MULTILINE):
        opened = groundup("copilot", "open", where, "--store", str(folder / "copilot.duckdb"))
        assert opened.code == 0, opened.err


def test_its_labels_are_the_incidents_own(shown: Ran, folder: Path):
    incident = generate()
    with open_store(folder / "copilot.duckdb", reading=True) as store:
        labelled = list(store.labelled())
    assert 100 < len(labelled) <= 30 * OF_EACH
    for record, label, _ in labelled:
        truth = incident.labels[Path(record.source).name][record.number - 1]
        assert (label == "alert") == (truth == "failure")
    assert Classifier.load(folder / "copilot.model.json").report.examples == len(labelled)


def test_again_it_stores_nothing_twice(shown: Ran, folder: Path):
    with open_store(folder / "copilot.duckdb", reading=True) as store:
        before = store.summary()["lines"]
    steps = demo(folder)
    assert "0 of them new" in next(steps).found[0]
    steps.close()  # type: ignore[attr-defined]
    with open_store(folder / "copilot.duckdb", reading=True) as store:
        assert store.summary()["lines"] == before


def test_a_folder_that_is_a_file_is_one_clear_line(tmp_path: Path, groundup: Callable[..., Ran]):
    (tmp_path / "taken").write_text("mine")
    ran = groundup("copilot", "demo", "--no-serve", "--folder", str(tmp_path / "taken"))
    assert ran.code == 2
    assert re.fullmatch(r"groundup: folder must be one that can be written, and '.*taken' cannot be: .*\n", ran.err)
    assert (tmp_path / "taken").read_text() == "mine"


def test_serve_asks_for_a_token_where_others_can_reach_it(tmp_path: Path):
    with pytest.raises(UsageError, match=r"host must be loopback without a token, got '0\.0\.0\.0'"):
        serve(Settings(tmp_path / "s.duckdb"), host="0.0.0.0", port=0, page_port=None, say=print)


def test_serve_takes_the_next_port_and_ends_by_sigterm(tmp_path: Path):
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "groundup", "copilot", "serve", "--no-page", "--port", str(port)]
        environment = {**os.environ, "GROUNDUP_TOKEN": "s3cret", "GROUNDUP_STORE": str(tmp_path / "s.duckdb")}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert server.stdout is not None
        address = re.findall(r"http://127\.0\.0\.1:\d+", server.stdout.readline())[0]
        assert server.stdout.readline() == "Ctrl-C ends it.\n"
        assert address != f"http://127.0.0.1:{port}"
        assert answered(Client(address, "s3cret", start="it"))["lines"] == 0
        with pytest.raises(Refused, match="Authorization must be 'Bearer TOKEN'"):
            Client(address, start="it").get("/status")
        server.send_signal(signal.SIGTERM)
        assert server.wait(120) == 0
        server.stdout.close()


def answered(client: Client) -> Any:
    """What an API that has just been started says of its store."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return client.get("/status")
        except Refused as refused:
            if refused.status or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.setitem(sys.modules, "streamlit", None)
    said = "^Serving needs fastapi and streamlit, which are not installed. Install them with: .*copilot$"
    with pytest.raises(MissingPackage, match=said):
        need_packages()


def test_an_api_that_does_not_answer_is_said(tmp_path: Path):
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    with pytest.raises(Refused, match="The API must answer at .*, and it does not.*groundup copilot serve"):
        Client(f"http://127.0.0.1:{port}", start="groundup copilot serve").get("/status")

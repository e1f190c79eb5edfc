"""What many tests need: a workspace of their own, and the command line in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# For every process that a test starts: data from the cache, the mirror or a stand-in, and no MLflow in the background.
os.environ["GROUNDUP_OFFLINE"] = "1"
os.environ["GROUNDUP_MLFLOW"] = "off"


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a browser is slow, because it starts one and waits for it."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Tests marked `alone` run while no other worker runs any; all others run beside each other.

    Everybody passes the turnstile, one at a time: a test that waits in it to be alone lets nobody in after it.
    """
    if fcntl is None or not hasattr(item.config, "workerinput"):
        return (yield)
    # The workers' folders are beside each other in the one of this run, which pytest removes some runs later.
    folder: Path = item.config._tmp_path_factory.getbasetemp().parent  # type: ignore[attr-defined]
    with (folder / "turnstile").open("w") as turnstile, (folder / "room").open("w") as room:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        return (yield)


collect_ignore = ["sample_stack"]  # a unit of its own: its checks are for the grader


@dataclass(frozen=True)
class Ran:
    """What one call of the command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)


@pytest.fixture
def learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace folder of this test's own, which every command finds."""
    folder = tmp_path / "learner"
    monkeypatch.setenv("GROUNDUP_WORKSPACE", str(folder))
    monkeypatch.delenv("GROUNDUP_LEDGER", raising=False)
    monkeypatch.delenv("GROUNDUP_LEARNER", raising=False)
    return folder


@pytest.fixture
def groundup(learner: Path) -> Callable[..., Ran]:
    """Call the command line as a person does: `groundup("check", "vectors")`."""

    def call(*arguments: str, stdin: str = "", **environment: str) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "groundup", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            timeout=240,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless; nothing is downloaded. Its event loop ends with the module: others need one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("GROUNDUP_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium: install one, or give its path in GROUNDUP_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()

"""The environment that the README's first command makes: small, enough for the core, and clear about all else."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from benchmarks.install import DISK_BAR, FETCHED_BAR, copy, megabytes, on_disk, wheels
from groundup.extras import SEE, extras
from tests.conftest import Ran
from tests.test_wheel import answer

needs_uv = pytest.mark.skipif(not (os.environ.get("UV") or shutil.which("uv")), reason="uv is not on the path")


@dataclass(frozen=True)
class Lean:
    """A fresh checkout, and a learner who has typed nothing yet."""

    checkout: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """The learner's: nothing of ours, but uv's cache."""
        ours = ("GROUNDUP", "PYTHON", "VIRTUAL", "UV_PROJECT", "PYTEST")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        cache = subprocess.run([uv(), "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
        return kept | {
            "HOME": str(self.home), "USERPROFILE": str(self.home), "UV_CACHE_DIR": cache, "GROUNDUP_OFFLINE": "1",
            "GROUNDUP_WORKSPACE": str(self.home / "groundup"),
        }  # fmt: skip

    def groundup(self, *arguments: str, **environment: str) -> Ran:
        """`uv run groundup …`, as the README has it."""
        done = subprocess.run(
            [uv(), "run", "--quiet", "--frozen", "groundup", *arguments],
            cwd=self.checkout, env=self.environment | environment, capture_output=True, text=True, timeout=600,
            check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    @property
    def packages(self) -> set[str]:
        """What is installed."""
        return {path.name.split("-")[0] for path in (self.checkout / ".venv").rglob("*.dist-info")}


def uv() -> str:
    return os.environ.get("UV") or shutil.which("uv") or "uv"


@pytest.fixture(scope="module")
def lean(tmp_path_factory: pytest.TempPathFactory) -> Lean:
    folder = tmp_path_factory.mktemp("lean")
    made = Lean(copy(folder / "checkout"), folder / "home")
    made.home.mkdir()
    ran = made.groundup("map")
    assert (ran.code, ran.err) == (0, "")
    assert "vectors" in ran.out
    return made


@needs_uv
def test_each_extra_costs_what_is_said_of_it_and_the_core_little() -> None:
    if sys.platform != "linux":
        pytest.skip("the sizes are those of Linux")
    core = wheels()
    assert megabytes(core) < FETCHED_BAR
    assert not {"torch", "numba", "mlflow", "sentence-transformers"} & set(core)
    for name in extras():
        added = wheels("--extra", name)
        said = SEE[name][0]
        assert 0.9 * said - 2 < megabytes(added) - megabytes(core) < 1.1 * said + 2, name
        assert name in ("deep", "finetune", "sentinel") or "torch" not in added, name


@needs_uv
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_core_is_all_that_is_installed_whatever_is_done_with_it(lean: Lean) -> None:
    before = lean.packages
    assert len(before) == len(wheels()) + 1
    if sys.platform == "linux":
        assert on_disk(lean.checkout / ".venv") / 1e6 < DISK_BAR
    assert lean.groundup("start", "vectors").code == 0
    solution = lean.groundup("solution", "vectors", "--yes").out
    (lean.home / "groundup" / "exercises" / "bedrock" / "vectors.py").write_text(solution, encoding="utf-8")
    checked = lean.groundup("check", "vectors")
    assert checked.code == 0, checked.out + checked.err
    run = lean.groundup("run", "vectors/neighbours", "--preset", "smoke", "--seeds", "1")
    assert run.code == 0, run.out + run.err
    drawn = lean.home / "figure.html"
    assert lean.groundup("figure", "vectors/transformation", "-o", str(drawn)).code == 0
    assert drawn.stat().st_size > 1000
    assert lean.groundup("track", "devops", "--start", "today", "--hours", "8").code == 0
    assert "week 1 of" in lean.groundup("status").out
    rag = lean.groundup("run", "rag", "--preset", "smoke", "--seeds", "1")
    assert rag.code == 0, "a unit of a later phase that imports nothing but the core: " + rag.err
    assert lean.packages == before


@needs_uv
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_site_says_on_a_units_page_what_to_install_before_it_is_begun(lean: Lean) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [uv(), "run", "--quiet", "--frozen", "groundup", "serve", "--no-browser", "--port", str(port)]
    with subprocess.Popen(command, cwd=lean.checkout, env=lean.environment) as server:
        try:
            for page in ("/", "/units/bedrock/vectors", "/tracks/mastery", "/static/site.css"):
                assert answer(f"http://127.0.0.1:{port}{page}") == 200
            pages = {
                unit: urlopen(f"http://127.0.0.1:{port}/units/{unit}").read().decode()
                for unit in ("bedrock/vectors", "deep/attention", "retrieval/rag", "retrieval/ranking")
            }
        finally:
            server.terminate()
    said = {unit: re.findall(r'id="install-command">([^<]+)<', page) for unit, page in pages.items()}
    assert said == {
        "bedrock/vectors": [],
        "deep/attention": ["uv sync --inexact --extra deep"],
        "retrieval/rag": [],
        "retrieval/ranking": ["uv sync --inexact --extra retrieval"],
    }
    assert "deep/attention needs torch, which is not installed." in pages["deep/attention"]


@needs_uv
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_what_is_missing_is_one_line_with_the_command_that_installs_it(lean: Lean) -> None:
    for extra, arguments, what in (
        ("deep", ("check", "attention"), "deep/attention needs torch"),
        ("deep", ("run", "attention", "--preset", "smoke"), "deep/attention needs torch"),
        ("deep", ("figure", "attention/lookup", "-o", "x.html"), "deep/attention needs torch"),
        ("classical", ("check", "vector_search"), "retrieval/vector_search needs numba"),
        ("copilot", ("copilot", "ingest", "README.md"), "The copilot's store needs duckdb"),
        ("copilot", ("copilot", "demo"), "Serving needs fastapi, prometheus-client, streamlit and duckdb"),
        (
            "research",
            ("research", "demo"),
            "Research needs chromadb, langchain-core, langgraph, langgraph-checkpoint-sqlite, numba, "
            "opentelemetry-sdk and pystemmer",
        ),
    ):
        if arguments[0] == "check":
            started = lean.groundup("start", arguments[1])
            assert f"uv sync --inexact --extra {extra}" in started.out, "it is said before one begins"
        ran = lean.groundup(*arguments)
        are, them = ("are", "them") if " and " in what else ("is", "it")
        line = f"groundup: {what}, which {are} not installed. Install {them} with: uv sync --inexact --extra {extra}\n"
        assert (ran.code, ran.err) == (3, line)
    shared = lean.groundup("status", GROUNDUP_LEDGER="postgresql+psycopg://ada@127.0.0.1:1/class", GROUNDUP_LEARNER="a")
    assert (shared.code, "A ledger in PostgreSQL needs psycopg" in shared.err) == (3, True)
    doctor = {finding["what"]: finding for finding in json.loads(lean.groundup("doctor", "--json").out)["findings"]}
    for name in extras():
        finding = doctor[f"Extra {name}"]
        assert not finding["ok"]
        assert re.match(r"not installed \([\d,]+ MB to fetch on Linux\): \S", finding["found"])
        assert finding["advice"].startswith(f"uv sync --inexact --extra {name}")
    assert "deep/attention" in doctor["Extra deep"]["found"]
    assert "vectors" not in doctor["Extra deep"]["found"]

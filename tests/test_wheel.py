"""What `pip install .` gives: everything that the checkout has, and a command that works far away from it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "groundup"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not on the path: it builds the wheel")
    folder = tmp_path_factory.mktemp("dist")
    built = subprocess.run(
        [uv, "build", "--wheel", "--quiet", "--out-dir", str(folder), str(ROOT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


def test_everything_travels_in_the_wheel(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    kept = {
        path.relative_to(SOURCE.parent).as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {Path(name).suffix for name in kept} >= {".py", ".md", ".toml", ".html", ".css", ".js"}
    assert kept - packed == set()


def test_nothing_but_the_package_travels(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"groundup"}
    assert not [name for name in names if name.endswith((".pyc", ".sqlite", ".csv", ".gz"))]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """As someone who only has pip would use it: install, start, check, open the site."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    bin_folder = environment / ("Scripts" if sys.platform == "win32" else "bin")
    subprocess.run([str(bin_folder / "python"), "-m", "pip", "install", "-q", str(wheel)], check=True)
    away = tmp_path / "away"
    away.mkdir()
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("GROUNDUP", "PYTHON", "VIRTUAL"))
    }
    clean |= {"HOME": str(away), "USERPROFILE": str(away), "GROUNDUP_OFFLINE": "1", "GROUNDUP_MLFLOW": "off"}
    command = str(bin_folder / "groundup")

    def groundup(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, *arguments], cwd=away, env=clean, capture_output=True, text=True, timeout=300, check=False
        )

    assert "vectors" in groundup("map").stdout
    assert groundup("start", "vectors").returncode == 0
    solution = groundup("solution", "vectors", "--yes").stdout
    (away / "groundup" / "exercises" / "bedrock" / "vectors.py").write_text(solution, encoding="utf-8")
    checked = groundup("check", "vectors")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "passed" in checked.stdout
    assert groundup("start", "attention").returncode == 0
    without_torch = groundup("check", "attention")
    assert without_torch.returncode == 3, "it could not be judged"
    assert f'-m pip install "{wheel}[deep]"' in without_torch.stderr
    assert groundup("run", "vectors", "--preset", "smoke", "--seeds", "1").returncode == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([command, "serve", "--no-browser", "--port", str(port)], cwd=away, env=clean) as server:
        try:
            for page in ("/", "/units/bedrock/vectors", "/tracks/mastery", "/static/site.css"):
                assert answer(f"http://127.0.0.1:{port}{page}") == 200
        finally:
            server.terminate()


def answer(address: str) -> int:
    """The status of a page, once the server is up."""
    for _ in range(100):
        try:
            with urlopen(address, timeout=10) as response:
                return response.status
        except (URLError, ConnectionError):
            time.sleep(0.2)
    raise AssertionError(f"{address} never answered")

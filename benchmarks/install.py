"""What the first command costs: a copy of this checkout, an empty cache, `uv sync`; and what each extra adds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from benchmarks.measure import Figure
from groundup.extras import extras

ROOT = Path(__file__).parents[1]
FETCHED_BAR, DISK_BAR = 110.0, 350.0  # MB, on Linux


def run() -> Iterator[Figure]:
    """The core's fetched MB, MB on disk and packages, then the MB that each extra adds."""
    linux = sys.platform == "linux"
    core = wheels()
    with tempfile.TemporaryDirectory() as folder:
        checkout = copy(Path(folder, "checkout"))
        environment = {**os.environ, "UV_CACHE_DIR": str(Path(folder, "cache"))}
        environment.pop("VIRTUAL_ENV", None)
        uv("sync", "--frozen", "--quiet", "--no-python-downloads", cwd=checkout, env=environment)
        installed = checkout / ".venv"
        yield Figure("first command, packages", len(core), "packages")
        yield Figure("first command, to fetch", megabytes(core), "MB", FETCHED_BAR if linux else None)
        yield Figure("first command, on disk", on_disk(installed) / 1e6, "MB", DISK_BAR if linux else None)
    for extra in extras():
        added = {name: size for name, size in wheels("--extra", extra).items() if name not in core}
        yield Figure(f"extra {extra}, to fetch beyond the core", megabytes(added), "MB")


def copy(target: Path) -> Path:
    """What a fresh clone has of this checkout, as far as installing and running needs it."""
    target.mkdir(parents=True)
    for name in ("pyproject.toml", "uv.lock", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target)
    shutil.copytree(ROOT / "src", target / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return target


def wheels(*options: str) -> dict[str, int]:
    """The packages that uv installs with these options on this machine, each with the bytes to fetch."""
    listed = uv("export", "--quiet", "--frozen", "--no-emit-project", "--no-hashes", "--no-annotate", "--no-header",
                *options, cwd=ROOT)  # fmt: skip
    wanted = [Requirement(line) for line in listed.splitlines() if line.strip()]
    lock = tomllib.loads(ROOT.joinpath("uv.lock").read_text(encoding="utf-8"))
    packages = {(package["name"], package.get("version")): package for package in lock["package"]}
    return {
        requirement.name: size(packages[requirement.name, str(requirement.specifier).removeprefix("==")])
        for requirement in wanted
        if requirement.marker is None or requirement.marker.evaluate()
    }


RANKS = {tag: rank for rank, tag in enumerate(sys_tags())}


def size(package: dict) -> int:
    """The bytes of the wheel that fits this machine best, or of the source where none does."""
    fitting = []
    for wheel in package.get("wheels", ()):
        tags = parse_wheel_filename(wheel["url"].rsplit("/", 1)[-1])[3]
        if ranks := [RANKS[tag] for tag in tags if tag in RANKS]:
            fitting.append((min(ranks), wheel["size"]))
    return min(fitting)[1] if fitting else package["sdist"]["size"]


def megabytes(sizes: dict[str, int]) -> float:
    """Their sum in MB (a million bytes)."""
    return sum(sizes.values()) / 1e6


def on_disk(folder: Path) -> int:
    """The bytes that a folder takes on the disk."""
    return sum(
        getattr(stat, "st_blocks", -(-stat.st_size // 512)) * 512
        for path in folder.rglob("*")
        if not path.is_symlink() and (stat := path.stat())
    )


def uv(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """What uv prints."""
    command = os.environ.get("UV") or shutil.which("uv") or "uv"
    return subprocess.run([command, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=True).stdout

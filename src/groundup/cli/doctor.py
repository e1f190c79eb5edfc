"""`groundup doctor`, which examines the installation, and `groundup completion`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import click

from groundup.cli.options import json_option, open_course, workspace_option
from groundup.cli.output import console, escape, mark, print_json
from groundup.course.material.catalogue import Catalogue
from groundup.extras import extras, install_command


@dataclass(frozen=True)
class Finding:
    """The result of one examination: `ok`, or the missing thing and the advice."""

    what: str
    ok: bool
    found: str
    advice: str = ""
    needed: bool = False


@click.command("doctor", epilog="Example: groundup doctor")
@json_option
@workspace_option
def doctor_command(as_json: bool) -> int:
    """Show installed packages, and reachable devices, data sources and servers."""
    course = open_course()
    findings = list(findings_of(course.workspace.root, course.catalogue))
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            sign = mark("passed") if finding.ok else mark("failed" if finding.needed else "stale")
            console().print(f"{sign} [bold]{finding.what:<18}[/] {escape(finding.found)}", soft_wrap=True)
            if finding.advice and not finding.ok:
                console().print(f"  [dim]{' ' * 18} {escape(finding.advice)}[/]", soft_wrap=True)
    return 1 if any(finding.needed and not finding.ok for finding in findings) else 0


def findings_of(workspace: os.PathLike[str], catalogue: Catalogue) -> Iterator[Finding]:
    """Every examination of the doctor."""
    yield Finding(
        "Python", sys.version_info >= (3, 11), f"{platform.python_version()} on {platform.platform()}", needed=True
    )
    yield _workspace(workspace)
    yield Finding(
        "git",
        shutil.which("git") is not None,
        shutil.which("git") or "not found",
        "Without git your workspace has no history; everything else works.",
    )
    fork = hasattr(os, "fork") and sys.platform != "darwin"
    yield Finding("Grader", True, "forks a warm worker" if fork else "starts a fresh process for each verdict")
    for package in ("numpy", "scikit-learn"):
        yield _package(package)
    yield from _extras(catalogue)
    yield _devices()
    yield from _data()
    yield from _servers()


def _workspace(workspace: os.PathLike[str]) -> Finding:
    path = os.fspath(workspace)
    exists = os.path.isdir(path)
    nearest = path
    while not os.path.exists(nearest):
        nearest = os.path.dirname(nearest)
    writable = os.access(nearest, os.W_OK)
    free = shutil.disk_usage(nearest).free / 1e9
    state = f"{path}{'' if exists else ' (made when first needed)'}, {free:.0f} GB free"
    return Finding(
        "Workspace", writable, state, "It cannot be written. Name another with --workspace DIR.", needed=True
    )


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name), needed=True)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", "Install groundup again.", needed=True)


def _extras(catalogue: Catalogue) -> Iterator[Finding]:
    """Each extra: installed or not, its size, and the units that need it."""
    units = {unit.id: unit.extras for unit in catalogue.units.values()}
    for extra in extras().values():
        opens = ", ".join([unit_id for unit_id, names in units.items() if extra.name in names] + [extra.opens]).strip(
            ", "
        )
        lacking = len(extra.missing)
        state = "installed" if not lacking else "not installed"
        if 0 < lacking < len(extra.packages):
            state = f"{lacking} of {len(extra.packages)} packages not installed"
        yield Finding(
            f"Extra {extra.name}",
            not lacking,
            f"{state} ({extra.megabytes:,} MB to fetch on Linux): {opens}",
            f"{install_command(extra.name)}{_CPU if extra.name == 'deep' else ''}",
        )


_CPU = "   Without an NVIDIA card, take PyTorch's smaller CPU build: see the README."


def _devices() -> Finding:
    cores = os.cpu_count() or 1
    if importlib.util.find_spec("torch") is None:
        return Finding("Devices", True, f"{cores} CPU cores")
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return Finding("Devices", True, f"{cores} CPU cores; {names}")
    if torch.backends.mps.is_available():
        return Finding("Devices", True, f"{cores} CPU cores; Apple GPU by Metal")
    return Finding("Devices", True, f"{cores} CPU cores; no GPU, and every unit of this release works without one")


def _data() -> Iterator[Finding]:
    mirror = os.environ.get("GROUNDUP_DATA_MIRROR", "")
    if mirror:
        ok = os.path.isdir(mirror)
        yield Finding("Data mirror", ok, mirror, "GROUNDUP_DATA_MIRROR names a missing folder. Correct or unset it.")
    online = _reachable("raw.githubusercontent.com", 443)
    yield Finding(
        "Data downloads",
        online or bool(mirror),
        "reachable" if online else "no network: cache, mirror, then labelled stand-ins",
        "Labs run on labelled stand-ins. For real data, set GROUNDUP_DATA_MIRROR to a folder that holds it.",
    )


def _servers() -> Iterator[Finding]:
    url = os.environ.get("GROUNDUP_LEDGER", "")
    if "://" in url:
        parts = urlsplit(url)
        reached = parts.hostname is None or _reachable(parts.hostname, parts.port or 5432)
        yield Finding(
            "Ledger server",
            reached,
            f"{parts.hostname or url}",
            "GROUNDUP_LEDGER names a server that does not answer. Start it, or unset the variable.",
            needed=True,
        )
    ollama = urlsplit(os.environ.get("OLLAMA_HOST", "http://127.0.0.1:11434"))
    reached = _reachable(ollama.hostname or "127.0.0.1", ollama.port or 11434)
    yield Finding(
        "Ollama",
        reached,
        "reachable" if reached else "not running",
        "Optional: no unit of this release needs a model server.",
    )


def _reachable(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


@click.command("completion", epilog='Example: eval "$(groundup completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the script that completes commands and unit names in SHELL."""
    from click.shell_completion import get_completion_class

    from groundup.cli import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(kind(cli, {}, "groundup", "_GROUNDUP_COMPLETE").source())

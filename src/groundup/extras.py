"""Optional packages of groundup: the extra that brings each, its presence, the command that installs it.

    need("deep/attention", "torch")     # raises MissingPackage, with the command that installs it
    missing(["torch", "numba"])         # those that are not installed

An extra is a key of `[project.optional-dependencies]`; which packages it brings is read from the installed metadata.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

from groundup.errors import MissingPackage

MODULES = {
    "google-re2": "re2",
    "langgraph-checkpoint-sqlite": "langgraph.checkpoint.sqlite",
    "markdown-it-py": "markdown_it",
    "opentelemetry-exporter-otlp-proto-grpc": "opentelemetry.exporter.otlp.proto.grpc",
    "opentelemetry-sdk": "opentelemetry.sdk",
    "pillow": "PIL",
    "pystemmer": "Stemmer",
    "python-multipart": "python_multipart",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "xgboost-cpu": "xgboost",
}
"""The import name of a package, if it differs from the package's name."""

SEE = {
    "agents": (13, "`agents/workflows` beside LangGraph, in the tests"),
    "classical": (64, "`groundup tabular`"),
    "copilot": (302, "`groundup copilot`"),
    "deep": (3000, ""),
    "finetune": (3142, "with `generative`, `groundup llm finetune` on models of Hugging Face"),
    "generative": (2, "with the extra `deep`, `groundup llm`"),
    "local-llm": (34, "with `copilot` or `research`, `--model local:smollm2`"),
    "mlflow": (122, "the runs of labs in MLflow"),
    "research": (290, "`groundup research`"),
    "sentinel": (3300, "`groundup sentinel`"),
    "postgres": (5, "a ledger in PostgreSQL, for a class"),
    "retrieval": (164, ""),
    "shop": (270, "`groundup shop`"),
}
"""Of each extra, the MB to fetch beyond the core on Linux (`python -m benchmarks install`), and what it opens beside
the units that import its packages."""


@dataclass(frozen=True)
class Extra:
    """One extra.

    Attributes:
        name: its name.
        packages: what it brings, as requirements by the name of their module.
        megabytes: MB to fetch beyond the core, on Linux.
        opens: what it opens beside units; empty where that is all.
    """

    name: str
    packages: dict[str, str]
    megabytes: int
    opens: str

    @property
    def missing(self) -> list[str]:
        """The modules of it that are not installed."""
        return missing(self.packages)


@cache
def extras() -> dict[str, Extra]:
    """Every extra by name; an extra that includes another one comes after it, and those of gigabytes come last."""
    packages = {name: brought for name, brought in _requirements_by_extra().items() if name}
    found = [Extra(name, brought, *SEE.get(name, (0, ""))) for name, brought in packages.items()]
    ordered = sorted(found, key=lambda extra: (extra.megabytes >= 1000, len(extra.packages), extra.name))
    return {extra.name: extra for extra in ordered}


def core() -> frozenset[str]:
    """The modules that groundup itself requires."""
    return frozenset(_requirements_by_extra()[""])


@cache
def optional() -> frozenset[str]:
    """The modules that extras bring."""
    return frozenset(module for extra in extras().values() for module in extra.packages)


@cache
def _requirements_by_extra() -> dict[str, dict[str, str]]:
    """Of the core ("") and of each extra, the requirements by the name of their module."""
    packages: dict[str, dict[str, str]] = {}
    for line in distribution("groundup").requires or ():
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        module = MODULES.get(name, name.replace("-", "_"))
        packages.setdefault(extra[1] if extra else "", {})[module] = requirement
    return packages


def missing(modules: Iterable[str]) -> list[str]:
    """The missing modules, in their order."""
    return [module for module in dict.fromkeys(modules) if not _is_there(module)]


def need(what: str, *modules: str) -> None:
    """Raise MissingPackage, with the command that installs them, if modules that `what` needs are missing.

    Name all modules that it needs: the extra that has everything is told, not a smaller one that has what is absent.
    """
    if absent := missing(modules):
        raise MissingPackage(needs(what, absent, modules))


def needs(what: str, absent: Iterable[str], modules: Iterable[str] = ()) -> str:
    """A message with the packages that `what` lacks and the command that installs them."""
    names = [_package(module) for module in absent]
    are, them = ("is", "it") if len(names) == 1 else ("are", "them")
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    whole = extras_with({*modules} & optional() or absent)
    return (
        f"{what} needs {listed}, which {are} not installed. "
        f"Install {them} with: {install_command(*(whole if len(whole) == 1 else extras_with(absent)))}"
    )


def extras_with(modules: Iterable[str]) -> list[str]:
    """The extras that bring these modules: one extra if it has them all, and the smallest of several."""
    wanted = set(modules)
    if not wanted:
        return []
    whole = [extra.name for extra in extras().values() if wanted <= set(extra.packages)]
    first = {next((e.name for e in extras().values() if module in e.packages), "") for module in wanted} - {""}
    brought = {name: set(extras()[name].packages) for name in first}
    apart = sorted(name for name in first if not any(brought[name] < brought[other] for other in first))
    return min(whole[:1] or apart, apart, key=lambda names: sum(extras()[name].megabytes for name in names))


def install_command(*names: str) -> str:
    """The command that installs extras here, by the way in which groundup was installed."""
    if (checkout := _checkout()) is not None:
        where = "" if Path.cwd().is_relative_to(checkout) else f' --project "{checkout}"'
        return f"uv sync{where} --inexact" + "".join(f" --extra {name}" for name in names)
    return f"{pip_install()} {_requirements(names)}"


def _is_there(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a module in a package that is not there
        return False


def _package(module: str) -> str:
    """The name under which a module is installed."""
    requirement = next((e.packages[module] for e in extras().values() if module in e.packages), module)
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def _checkout() -> Path | None:
    """The checkout whose environment uv keeps here, or None."""
    root = Path(__file__).resolve().parents[2]
    environment = Path(root, os.environ.get("UV_PROJECT_ENVIRONMENT", ".venv"))
    return root if (root / "uv.lock").is_file() and Path(sys.prefix).resolve() == environment.resolve() else None


def pip_install() -> str:
    """The command of this environment's pip, or of uv without pip."""
    if find_spec("pip") is None:
        return f'uv pip install --python "{sys.prefix}"'
    there = shutil.which("pip")
    here = there is not None and Path(there).parent == Path(sys.executable).parent
    return "pip install" if here else f'"{sys.executable}" -m pip install'


def _requirements(names: Sequence[str]) -> str:
    """The argument of pip: groundup with its extras from its own origin, or the missing packages.

    groundup is never given by name alone, because no index has it.
    """
    origin = json.loads(distribution("groundup").read_text("direct_url.json") or "{}")
    url, extra = origin.get("url", ""), f"[{','.join(names)}]"
    path = _path(url)
    if path is not None and path.exists():
        edited = "-e " if origin.get("dir_info", {}).get("editable") else ""
        return f'{edited}"{path}{extra}"'
    if path is None and "vcs_info" in origin:
        version = origin["vcs_info"]
        return f'"groundup{extra} @ {version["vcs"]}+{url}@{version["commit_id"]}"'
    wanted = {module: text for name in names for module, text in extras()[name].packages.items()}
    return " ".join(f'"{wanted[module]}"' for module in missing(wanted))


def _path(url: str) -> Path | None:
    """The file or folder of a `file:` address."""
    if not url.startswith("file:"):
        return None
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(url).path))

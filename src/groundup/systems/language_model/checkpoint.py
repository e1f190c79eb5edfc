"""Checkpoints: tensors as safetensors, the rest as JSON. Opening one runs no code of it.

    save(folder, step, tensors, document)      # folder/step-00000040/{tensors.safetensors,checkpoint.json}
    checkpoint = latest(folder)

A checkpoint is written under another name, and renamed when it is whole: a process that is killed leaves the one
before. The JSON holds its own SHA-256 and that of the tensors.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.errors import StoreError
from groundup.files import replace_file

FORMAT = 1
TENSORS, DOCUMENT = "tensors.safetensors", "checkpoint.json"


@dataclass(frozen=True)
class Checkpoint:
    """The contents of one folder."""

    folder: Path
    tensors: dict[str, Any]
    document: dict[str, Any]

    @property
    def step(self) -> int:
        """Steps that were taken before it was written."""
        return self.document["step"]

    @property
    def sha256(self) -> str:
        """Of the tensors."""
        return self.document["tensors"]


def digest(content: bytes | str) -> str:
    """The SHA-256 of bytes or a text."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that it is there whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}. Give another run folder.") from error


def save(folder: Path, step: int, tensors: Mapping[str, Any], document: Mapping[str, Any]) -> Path:
    """Write the checkpoint of a step, then remove those before it.

    Raises:
        StoreError: the folder cannot be written.
    """
    from safetensors.torch import save as pack

    packed = pack({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    whole = {"format": FORMAT, **document, "step": step, "tensors": digest(packed)}
    whole["sha256"] = digest(_canonical(whole))
    target = folder / f"step-{step:08d}"
    fresh = folder / f".{target.name}.{os.getpid()}"
    try:
        fresh.mkdir(parents=True, exist_ok=True)
        write_atomically(fresh / TENSORS, packed)
        write_atomically(fresh / DOCUMENT, json.dumps(whole, indent=1))
        if target.exists():
            shutil.rmtree(target)
        os.replace(fresh, target)
        for other in folder.iterdir():
            if other != target and other.name.lstrip(".").startswith("step-"):
                shutil.rmtree(other, ignore_errors=True)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}. Give another run folder.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def latest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint of a folder, or None.

    Raises:
        StoreError: it is damaged, or of another format; the message names the file and the reason.
    """
    folders = sorted(folder.glob("step-*")) if folder.is_dir() else []
    return load(folders[-1]) if folders else None


def load(folder: Path) -> Checkpoint:
    """Open one checkpoint; raises as `latest` does."""
    from safetensors.torch import load as unpack

    advice = f"Remove {folder} and run the stage again."
    try:
        document = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
        packed = (folder / TENSORS).read_bytes()
    except OSError as error:
        raise StoreError(f"{error.filename} cannot be read: {error.strerror}. {advice}") from error
    except ValueError as error:
        raise StoreError(f"{folder / DOCUMENT} is damaged: {error}. {advice}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        other = document.get("format") if isinstance(document, dict) else document
        raise StoreError(f"{folder / DOCUMENT} must be of format {FORMAT}, got {other!r}. {advice}")
    if document.pop("sha256", None) != digest(_canonical(document)):
        raise StoreError(f"{folder / DOCUMENT} was changed after it was written: its SHA-256 differs. {advice}")
    if digest(packed) != document["tensors"]:
        raise StoreError(
            f"{folder / TENSORS} is not the file that {DOCUMENT} was saved with: its SHA-256 differs. {advice}"
        )
    return Checkpoint(folder, unpack(packed), document)


def check_same(checkpoint: Checkpoint, identity: Mapping[str, Any], again: str) -> None:
    """Refuse a checkpoint that another stage, other settings, other data or other weights made.

    Args:
        checkpoint: the checkpoint.
        identity: the fields that its document must hold.
        again: the command that starts the stage anew.

    Raises:
        StoreError: a field differs; the message names the first one.
    """
    for name, wanted in identity.items():
        present = checkpoint.document.get(name)
        if present != wanted:
            if isinstance(wanted, Mapping) and isinstance(present, Mapping):
                name, wanted, present = next(
                    (f"{name}.{key}", wanted.get(key), present.get(key))
                    for key in {**wanted, **present}
                    if wanted.get(key) != present.get(key)
                )
            raise StoreError(
                f"{checkpoint.folder} belongs to another run: {name} is {_short(present)} there, "
                f"and {_short(wanted)} here. Start this stage anew with: {again}"
            )


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else repr(value)


def _canonical(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))

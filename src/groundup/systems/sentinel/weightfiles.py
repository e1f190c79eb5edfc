"""A detector's weights in a folder: numbers as safetensors, the rest as JSON. Reading them runs no code.

A file `NAME.json` holds the origin of `NAME`: its recipe, the data with their checksums, and its figures on data that
it was not fitted to.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from groundup.data import Provenance
from groundup.errors import StoreError
from groundup.files import replace_file

SHIPPED = Path(__file__).with_name("weights")
FORMAT = "groundup sentinel"
NAMES = ("url", "vision", "logs", "guard")


@dataclass(frozen=True)
class Learnt:
    """A stored detector.

    Attributes:
        name: its name.
        recipe: the settings that it was trained with.
        data: the datasets, each with name, checksum and label.
        metrics: its figures on data that it was not fitted to, with the baselines.
        rest: everything else that the detector needs, as plain data.
        arrays: its numbers.
    """

    name: str
    recipe: dict[str, Any]
    data: list[dict[str, str]]
    metrics: dict[str, Any]
    rest: dict[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def stand_in(self) -> bool:
        """Whether it was fitted to generated data in place of the real data."""
        return any(entry["label"].startswith("STAND-IN") for entry in self.data)


def sources(*provenances: Provenance) -> list[dict[str, str]]:
    """Datasets in the form of a detector's file."""
    return [{"name": data.name, "sha256": data.sha256, "label": data.label} for data in provenances]


def save(learnt: Learnt, folder: Path) -> None:
    """Write a detector: its numbers first, then the JSON that names them, so that nobody reads half of it.

    Raises:
        StoreError: the folder cannot be written.
    """
    from safetensors.numpy import save as as_bytes

    document = {
        "format": FORMAT, "version": 1, "recipe": learnt.recipe, "data": learnt.data, "metrics": learnt.metrics,
        "rest": learnt.rest,
    }  # fmt: skip
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if learnt.arrays:
            content = as_bytes({name: np.ascontiguousarray(array) for name, array in learnt.arrays.items()})
            document["sha256"] = hashlib.sha256(content).hexdigest()
            replace_file(folder / f"{learnt.name}.safetensors", content)
        replace_file(folder / f"{learnt.name}.json", json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise StoreError(
            f"models must be a folder that can be written, and '{folder}' cannot be: {error.strerror or error}. "
            "Free some space, or name another one with --models."
        ) from error


def read(name: str, folder: Path) -> Learnt:
    """Read the detector of the folder, or the included detector if the folder has none.

    Raises:
        StoreError: a file is missing, damaged, or no detector's.
    """
    from safetensors.numpy import load as from_bytes

    place = folder if (folder / f"{name}.json").is_file() else SHIPPED
    try:
        document: Any = json.loads((place / f"{name}.json").read_text(encoding="utf-8"))
        if (document["format"], document["version"]) != (FORMAT, 1):
            raise ValueError(f"format {document['format']!r}, version {document['version']!r}")
        arrays: dict[str, np.ndarray] = {}
        if "sha256" in document:
            content = (place / f"{name}.safetensors").read_bytes()
            if hashlib.sha256(content).hexdigest() != document["sha256"]:
                raise ValueError("the numbers are not those that the JSON names")
            arrays = from_bytes(content)
            if not all(np.isfinite(array).all() for array in arrays.values()):
                raise ValueError("a number is not finite")
        return Learnt(name, document["recipe"], document["data"], document["metrics"], document["rest"], arrays)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"models must hold what `groundup sentinel train` wrote, and '{place / name}.json' does not: {error}. "
            f"Train it again: groundup sentinel train {name} --again"
        ) from error

"""A model as a folder: its description as JSON, its numbers as NumPy arrays. Opening it runs no code of the folder.

    save(result, Path("model"), source=Path("titanic.csv"))
    model, about = load(Path("model"))

`model.json` names classes from a fixed list, and holds the SHA-256 of `arrays.npz`: a damaged or mixed folder is
refused by name. Pickle runs the code that it reads, and has no part here.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from groundup import __version__
from groundup.errors import StoreError
from groundup.stack.classical import boosting, features, forests, framing, linear_regression, logistic_regression, trees
from groundup.systems.tabular.pipeline import Encoder, MeanRegressor, Model, Result
from groundup.systems.tabular.table import Column, Schema

FORMAT = 1
CLASSES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        features.Imputer, features.OneHotEncoder, features.Standardizer,
        framing.MajorityClassifier, MeanRegressor,
        linear_regression.Ridge, logistic_regression.LogisticRegression, logistic_regression.SoftmaxRegression,
        trees.DecisionTreeClassifier, trees.DecisionTreeRegressor,
        forests.RandomForestClassifier, forests.RandomForestRegressor,
        boosting.GradientBoostingClassifier, boosting.GradientBoostingRegressor,
    )
}  # fmt: skip


def save(result: Result, folder: Path, *, source: Path) -> None:
    """Write the model and its figures; a folder with an older model is replaced as a whole.

    Raises:
        StoreError: the folder cannot be written, or holds something else than a model.
    """
    if folder.exists() and not (folder / "model.json").is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder} must be a new folder or one with a model. It holds something else: give another.")
    arrays: dict[str, np.ndarray] = {}
    model = result.model
    state = {
        "imputer": _packed(model.encoder.imputer_, arrays),
        "standardizer": _packed(model.encoder.standardizer_, arrays),
        "encoder": _packed(model.encoder.encoder_, arrays),
        "estimator": _packed(model.estimator, arrays),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    judged = {key: value for key, value in vars(result).items() if key not in ("model", "candidates")}
    document = {
        "format": FORMAT,
        "groundup": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": {"name": source.name, "sha256": hashlib.sha256(source.read_bytes()).hexdigest()},
        "name": model.name,
        "threshold": model.threshold,
        "schema": asdict(model.schema),
        "names": model.encoder.names_,
        "judged": judged,
        "candidates": [asdict(candidate) for candidate in result.candidates],
        "state": state,
        "arrays": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            fresh.chmod(0o755)
            (fresh / "arrays.npz").write_bytes(buffer.getvalue())
            (fresh / "model.json").write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}. Give another folder.") from error


def load(folder: Path) -> tuple[Model, dict[str, Any]]:
    """Open a model, and the document with its figures.

    Raises:
        StoreError: there is no model, it is damaged, or it was made by a newer format.
    """
    try:
        document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        packed = (folder / "arrays.npz").read_bytes()
    except OSError as error:
        raise StoreError(f"{folder} holds no model: {error.strerror}. `groundup tabular fit` makes one.") from error
    except ValueError as error:
        raise StoreError(f"{folder}/model.json is damaged: {error}. Fit the model again.") from error
    if document.get("format") != FORMAT:
        raise StoreError(f"{folder} must be of format {FORMAT}, got {document.get('format')!r}. Fit the model again.")
    if hashlib.sha256(packed).hexdigest() != document.get("arrays"):
        raise StoreError(f"{folder}/arrays.npz is not the file that model.json was saved with. Fit the model again.")
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
            arrays = dict(archive)
        schema = Schema(**document["schema"])
        columns = {name: Column(**column) for name, column in document["schema"]["columns"].items()}
        schema = Schema(schema.target, schema.task, columns, schema.warnings)
        encoder = Encoder(schema)
        state = {name: _unpacked(value, arrays) for name, value in document["state"].items()}
        encoder.names_ = document["names"]
        encoder.imputer_, encoder.standardizer_, encoder.encoder_ = (
            state["imputer"],
            state["standardizer"],
            state["encoder"],
        )
        return Model(schema, encoder, state["estimator"], document["name"], document["threshold"]), document
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{folder}/model.json is damaged: {error!r}. Fit the model again.") from error


def _packed(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Plain JSON; arrays go into `arrays`, and JSON names them."""
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value.astype(str) if value.dtype == object else value
        return {"array": name}
    if isinstance(value, trees.Tree):
        return {"tree": [_packed(part, arrays) for part in value]}
    if isinstance(value, list):
        return [_packed(part, arrays) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    name = type(value).__name__
    if CLASSES.get(name) is not type(value):
        raise TypeError(f"{name} is not of a kind that is saved.")
    return {"class": name, "state": {key: _packed(part, arrays) for key, part in vars(value).items()}}


def _unpacked(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpacked(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "tree" in value:
        return trees.Tree(*(_unpacked(part, arrays) for part in value["tree"]))
    made: Any = object.__new__(CLASSES[value["class"]])
    made.__dict__.update({key: _unpacked(part, arrays) for key, part in value["state"].items()})
    return made

"""From a dataset's bytes to NumPy columns, or to a text."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

Columns = dict[str, np.ndarray]

TITANIC: Mapping[str, type] = {
    "PassengerId": int,
    "Survived": int,
    "Pclass": int,
    "Name": str,
    "Sex": str,
    "Age": float,
    "SibSp": int,
    "Parch": int,
    "Ticket": str,
    "Fare": float,
    "Cabin": str,
    "Embarked": str,
}
"""The columns of Titanic. Missing numbers are NaN (Age), missing texts empty (Cabin, Embarked)."""


def titanic(path: Path) -> Columns:
    """The passenger table: `TITANIC` names the columns."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: _column([row[name] for row in rows], kind) for name, kind in TITANIC.items()}


def _column(values: list[str], kind: type) -> np.ndarray:
    if kind is float:
        return np.array([float(value) if value else np.nan for value in values])
    return np.array([kind(value) for value in values])


def sms_spam(path: Path) -> Columns:
    """`label` ("ham" or "spam") and `message`."""
    lines = path.read_text(encoding="utf-8").split("\n")
    pairs = [line.split("\t", 1) for line in lines if line]
    return {"label": np.array([p[0] for p in pairs]), "message": np.array([p[1] for p in pairs])}


def chunking_questions(path: Path) -> Columns:
    """A row for each span that answers a question: `question`, `corpus`, and `start` and `end` in characters."""
    with path.open(encoding="utf-8", newline="") as file:
        asked = list(csv.DictReader(file))
    spans = [(row["question"], row["corpus_id"], span) for row in asked for span in json.loads(row["references"])]
    return {
        "question": np.array([question for question, _, _ in spans]),
        "corpus": np.array([corpus for _, corpus, _ in spans]),
        "start": np.array([span["start_index"] for _, _, span in spans]),
        "end": np.array([span["end_index"] for _, _, span in spans]),
    }


def mnist_5k(path: Path) -> Columns:
    """`pixels` of shape (5000, 28, 28), uint8, and `digit`."""
    with gzip.open(path, "rb") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    return {"pixels": table[:, :-1].reshape(-1, 28, 28), "digit": table[:, -1].astype(int)}


def text(path: Path) -> str:
    """The file's text."""
    return path.read_text(encoding="utf-8")

"""A dataset in memory, and where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from groundup.errors import UnknownName

Source = Literal["cache", "mirror", "download", "generated"]


@dataclass(frozen=True)
class Provenance:
    """The origin of a dataset; it accompanies every number computed from the dataset.

    Attributes:
        name: the dataset's name in the registry.
        source: the cache, the mirror folder, a download just now, or generated on this machine.
        url: the canonical address; empty for data that is synthetic by definition.
        sha256: SHA-256 of the file that was read; empty for generated data.
        licence: the licence, as far as its source states one.
        stand_in: whether this is generated data in place of the real data.
        note: anything the reader of a number should know, such as why there is a stand-in.
    """

    name: str
    source: Source
    url: str = ""
    sha256: str = ""
    licence: str = ""
    stand_in: bool = False
    note: str = ""

    @property
    def label(self) -> str:
        """The words printed beside every number computed from the data."""
        if self.stand_in:
            return f"STAND-IN: generated, not the real data ({self.note})"
        if self.source == "generated":
            return "synthetic by definition"
        origin = {"cache": "from the cache", "mirror": "from the mirror", "download": "downloaded now"}[self.source]
        return f"real data, {origin}" + (f" ({self.note})" if self.note else "")

    def to_json(self) -> dict[str, Any]:
        """The fields and the label."""
        return {**asdict(self), "label": self.label}


@dataclass(frozen=True)
class Dataset:
    """A table of named columns of equal length, or one text, with its provenance.

    A test collection for search is three tables in one, its documents first: `text`; the questions, `query`; and the
    judgements, `judged_query` and `judged_document` (rows of the other two) with their `gain`.

    Attributes:
        provenance: where it came from.
        columns: NumPy arrays of shape (n_rows,) or (n_rows, ...); read-only. Empty for a text.
        text: the whole text, for a dataset that is one; else empty.
        path: the file that was read; None for generated data.
    """

    provenance: Provenance
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    text: str = ""
    path: Path | None = None

    def __post_init__(self) -> None:
        for column in self.columns.values():
            column.flags.writeable = False

    def __getitem__(self, column: str) -> np.ndarray:
        if column not in self.columns:
            name = self.provenance.name
            raise UnknownName(f"column in '{name}'", column, self.columns, see=f"load('{name}').columns")
        return self.columns[column]

    def __contains__(self, column: object) -> bool:
        return column in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        """Rows of a table (documents of a test collection), characters of a text."""
        return len(next(iter(self.columns.values()))) if self.columns else len(self.text)

    def missing(self, column: str) -> np.ndarray:
        """A mask of missing values: NaN in a numeric column, the empty string in a text column.

        Returns:
            A bool array of the column's shape.

        Raises:
            UnknownName: there is no such column.
        """
        values = self[column]
        if values.dtype.kind == "f":
            return np.isnan(values)
        if values.dtype.kind == "U":
            return values == ""
        return np.zeros(values.shape, dtype=bool)

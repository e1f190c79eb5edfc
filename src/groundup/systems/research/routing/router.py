"""`Router`: the vector of a sub-question, weights for each place where it may be looked for, a probability."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from groundup.errors import StoreError, UsageError
from groundup.systems.research.planning import Where

if TYPE_CHECKING:
    import numpy as np

WEIGHTS = Path(__file__).with_name("router.json")
FORMAT, VERSION = "groundup research router", 2
TRAIN = "python -m groundup.systems.research.routing"


class Encoder(Protocol):
    """A sentence model: `groundup.embedding.Embedder`, or what stands for it in a test."""

    name: str

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """A vector for each text, of shape (texts, dimension)."""
        ...


@dataclass(frozen=True)
class Route:
    """Where a sub-question is looked for, and how probable that is to be right; and how probable documents are."""

    where: Where
    probability: float
    documents: float


@dataclass(frozen=True)
class Weights:
    """What was learnt; plain numbers.

    Attributes:
        sentence_model: the name of the model whose vectors were learnt from.
        labels: the places, in the order of the rows of `coef`.
        coef: weights of shape (labels, dimension).
        intercept: of shape (labels,).
        temperature: divides the scores; above 1 it makes the router less sure of itself.
        threshold: the probability from which on the router is confident.
        private: the probability of documents from which on a question may be one's own: it is sent nowhere.
    """

    sentence_model: str
    labels: tuple[Where, ...]
    coef: np.ndarray
    intercept: np.ndarray
    temperature: float
    threshold: float
    private: float


class Router:
    """Weights with the sentence model that they belong to.

    Raises:
        UsageError: the sentence model is another one than that which the weights were trained on.
    """

    def __init__(self, weights: Weights, embedder: Encoder) -> None:
        if embedder.name != weights.sentence_model:
            raise UsageError(
                f"embedder must be '{weights.sentence_model}', whose vectors the router was trained on, got "
                f"'{embedder.name}'. Load that one, or train the router again: {TRAIN}"
            )
        self.weights, self.embedder = weights, embedder

    @classmethod
    def load(cls, embedder: Encoder, path: Path = WEIGHTS) -> Router:
        """The router of a file.

        Raises:
            StoreError: the file cannot be read, or is no router.
            UsageError: as above.
        """
        return cls(read_weights(path), embedder)

    def routes(self, texts: Sequence[str]) -> list[Route]:
        """The most probable place for each text, whether the router is confident or not."""
        from groundup.stack.classical.logistic_regression import softmax

        scores = self.embedder.encode(texts) @ self.weights.coef.T + self.weights.intercept
        probabilities = softmax(scores / self.weights.temperature)
        documents = self.weights.labels.index("documents")
        return [
            Route(self.weights.labels[row.argmax()], float(row.max()), float(row[documents])) for row in probabilities
        ]

    def where(self, looked_up: str) -> Where | None:
        """Where a sub-question is looked for; None where the router is not confident.

        Documents alone wherever it cannot rule out that the question is one's own: what was sent to a search server
        cannot be taken back, and what was not sent can be asked again.
        """
        (route,) = self.routes([looked_up])
        if route.documents >= self.weights.private:
            return "documents"
        return route.where if route.probability >= self.weights.threshold else None


def read_weights(path: Path) -> Weights:
    """The weights in a file. It is JSON: reading it runs nothing that is in it.

    Raises:
        StoreError: the file cannot be read, or is no router.
    """
    import numpy as np

    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            raise ValueError(f"format {document['format']!r}, version {document['version']!r}")
        recipe, labels = document["recipe"], tuple(document["labels"])
        coef, intercept = np.array(document["coef"], float), np.array(document["intercept"], float)
        if not {"documents"} <= set(labels) <= {"documents", "web", "both", "none"}:
            raise ValueError(f"labels {labels}")
        if coef.ndim != 2 or len(coef) != len(labels) or intercept.shape != (len(labels),):
            raise ValueError(f"{len(labels)} labels, weights of shape {coef.shape}, intercepts {intercept.shape}")
        numbers = [float(recipe[name]) for name in ("temperature", "threshold", "private")]
        if not (np.isfinite(coef).all() and np.isfinite([*intercept, *numbers]).all() and numbers[0] > 0):
            raise ValueError("a number that is not finite, or a temperature that is not above 0")
        return Weights(str(recipe["sentence_model"]), cast(tuple[Where, ...], labels), coef, intercept, *numbers)
    except (OSError, ValueError, KeyError, TypeError) as error:  # a JSON error is a ValueError
        raise StoreError(
            f"router must be a file that `{TRAIN}` wrote, and '{path}' is none: {error!r}. Run the command again."
        ) from error

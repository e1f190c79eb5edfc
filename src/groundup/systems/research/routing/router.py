"""`Router`: the place of a sub-question, in documents, the web, both or nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from groundup import routing
from groundup.routing import Encoder, LinearRouter, Weights
from groundup.systems.research.planning import Where

__all__ = ["FORMAT", "PRIVATE", "TRAIN", "VERSION", "WEIGHTS", "Encoder", "Route", "Router", "Weights", "read_weights"]

WEIGHTS = Path(__file__).with_name("router.json")
FORMAT, VERSION = "groundup research router", 2
PRIVATE = "private"  # the lowest probability of documents at which a question stays away from search servers
TRAIN = "python -m groundup.systems.research.routing"


@dataclass(frozen=True)
class Route:
    """The place of a sub-question with its probability, and the probability of documents."""

    where: Where
    probability: float
    documents: float


class Router(LinearRouter):
    """Weights with the sentence model that they belong to.

    Raises:
        UsageError: the weights were trained on another sentence model.
    """

    def __init__(self, weights: Weights, embedder: Encoder) -> None:
        super().__init__(weights, embedder, train=TRAIN)

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
        documents = self.weights.labels.index("documents")
        return [
            Route(self.weights.labels[row.argmax()], float(row.max()), float(row[documents]))
            for row in self.probabilities(texts)
        ]

    def where(self, looked_up: str) -> Where | None:
        """The place of a sub-question; None if the router is not confident.

        The place is documents alone if the router cannot rule out that the question is the asker's own. A question sent
        to a search server cannot be taken back; a question not sent can be asked again.
        """
        (route,) = self.routes([looked_up])
        if route.documents >= self.weights.limits[PRIVATE]:
            return "documents"
        return route.where if route.probability >= self.weights.threshold else None


def read_weights(path: Path) -> Weights:
    """The weights in a file. It is JSON: reading it runs no code.

    Raises:
        StoreError: the file cannot be read, or is no router.
    """
    return routing.read_weights(
        path, kind=FORMAT, version=VERSION, labels=get_args(Where), train=TRAIN, limits=[PRIVATE]
    )

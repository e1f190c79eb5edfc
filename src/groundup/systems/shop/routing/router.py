"""`Router`: the intent of a message, its probability, and the next most probable intent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from groundup import routing
from groundup.routing import Encoder, LinearRouter, Weights

WEIGHTS = Path(__file__).with_name("router.json")
FORMAT, VERSION = "groundup shop router", 1
TRAIN = "python -m groundup.systems.shop.routing"
Intent = Literal[
    "cancel_order", "change_address", "change_items", "change_payment", "exchange_items", "hand_over", "other_service",
    "outside", "policy_question", "product_question", "return_items", "track_order",
]  # fmt: skip
INTENTS: tuple[Intent, ...] = get_args(Intent)
OUTSIDE: Intent = "outside"
TWINS: frozenset[Intent] = frozenset({"change_items", "exchange_items"})
"""Intents that need not be told apart: the delivery of the order decides between them."""


@dataclass(frozen=True)
class Route:
    """The route of a message.

    Attributes:
        intent: the most probable intent.
        probability: its probability.
        sure: whether the router is confident of it.
        second: the next most probable intent.
    """

    intent: Intent
    probability: float
    sure: bool
    second: Intent

    @property
    def shopping(self) -> bool:
        """Whether it is about the shop at all."""
        return self.intent != OUTSIDE


class Router(LinearRouter):
    """Weights with the sentence model that they belong to."""

    def __init__(self, weights: Weights, embedder: Encoder) -> None:
        super().__init__(weights, embedder, train=TRAIN)

    @classmethod
    def load(cls, embedder: Encoder, path: Path = WEIGHTS) -> Router:
        """The router of a file.

        Raises:
            StoreError: the file cannot be read, or is no router.
            UsageError: the router was trained on another sentence model.
        """
        weights = routing.read_weights(path, kind=FORMAT, version=VERSION, labels=INTENTS, train=TRAIN)
        return cls(weights, embedder)

    def route(self, message: str) -> Route:
        """The route of a message."""
        (row,) = self.probabilities([message])
        labels = cast(tuple[Intent, ...], self.weights.labels)
        first, *rest = (-row).argsort().tolist()
        alike = [at for at in rest if {labels[first], labels[at]} == TWINS]
        second = next(at for at in rest if at not in alike)
        sure = row[[first, *alike]].sum() >= self.weights.threshold
        return Route(labels[first], float(row[first]), bool(sure), labels[second])

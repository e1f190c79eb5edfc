"""Trained routers: the vector of a text, weights for each label, a probability, and a threshold of confidence.

    fitted = fit(vectors, labels, groups, sentence_model="all-MiniLM-L6-v2")      # one group left out at a time
    router = LinearRouter(fitted.weights, embedder, train="python -m …")
    router.choices(["Where is my parcel?"])            # [Choice(label="track_order", probability=0.93)]
    router.confident("Where is my parcel?")            # the label; None where the router is not confident

Sources: Guo et al. (2017), "On Calibration of Modern Neural Networks", for the temperature.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from groundup.errors import StoreError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PENALTIES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0)  # of the weights, 1/C of scikit-learn
TARGET = 0.9  # of the texts that a router is confident of, so many are to be right
DECIMALS = 8  # of stored numbers: far finer than what training gives twice


class Encoder(Protocol):
    """A sentence model: `groundup.embedding.Embedder`, or what stands for it in a test."""

    name: str

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """A vector for each text, of shape (texts, dimension)."""
        ...


@dataclass(frozen=True)
class Choice:
    """The most probable label of a text, and how probable it is that this is right."""

    label: str
    probability: float


@dataclass(frozen=True)
class Weights:
    """What was learnt; plain numbers.

    Attributes:
        sentence_model: the name of the model whose vectors were learnt from.
        labels: in the order of the rows of `coef`.
        coef: weights of shape (labels, dimension).
        intercept: of shape (labels,).
        temperature: divides the scores; above 1 it makes the router less sure of itself.
        threshold: the probability from which on the router is confident.
        limits: further probabilities that the router of one system acts by, by name.
    """

    sentence_model: str
    labels: tuple[Any, ...]
    coef: np.ndarray
    intercept: np.ndarray
    temperature: float
    threshold: float
    limits: Mapping[str, float] = field(default_factory=dict)


class LinearRouter:
    """Weights with the sentence model that they belong to.

    Args:
        weights: what was learnt.
        embedder: the sentence model.
        train: the command that trains them again.

    Raises:
        UsageError: the sentence model is another one than that which the weights were trained on.
    """

    def __init__(self, weights: Weights, embedder: Encoder, *, train: str) -> None:
        if embedder.name != weights.sentence_model:
            raise UsageError(
                f"embedder must be '{weights.sentence_model}', whose vectors the router was trained on, got "
                f"'{embedder.name}'. Load that one, or train the router again: {train}"
            )
        self.weights, self.embedder = weights, embedder

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """The probability of each label for each text, of shape (texts, labels)."""
        from groundup.stack.classical.logistic_regression import softmax

        scores = self.embedder.encode(texts) @ self.weights.coef.T + self.weights.intercept
        return softmax(scores / self.weights.temperature)

    def choices(self, texts: Sequence[str]) -> list[Choice]:
        """The most probable label of each text, whether the router is confident or not."""
        return [Choice(self.weights.labels[row.argmax()], float(row.max())) for row in self.probabilities(texts)]

    def confident(self, text: str) -> Any:
        """The label of a text; None where the router is not confident."""
        (choice,) = self.choices([text])
        return choice.label if choice.probability >= self.weights.threshold else None


# ── the file ────────────────────────────────────────────────────────────────────────────────────────────────────────
def read_weights(
    path: Path, *, kind: str, version: int, labels: Collection[str], train: str, limits: Collection[str] = ()
) -> Weights:
    """The weights in a file. It is JSON: reading it runs nothing that is in it.

    Args:
        path: the file.
        kind: the format that it must name.
        version: the version of that.
        labels: those that it must have, in any order.
        train: the command that writes the file.
        limits: the names of the further probabilities in it.

    Raises:
        StoreError: the file cannot be read, or is no router.
    """
    import numpy as np

    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        if (document["format"], document["version"]) != (kind, version):
            raise ValueError(f"format {document['format']!r}, version {document['version']!r}")
        recipe, found = document["recipe"], tuple(document["labels"])
        coef, intercept = np.array(document["coef"], float), np.array(document["intercept"], float)
        if set(found) != set(labels):
            raise ValueError(f"labels {found}")
        if coef.ndim != 2 or len(coef) != len(found) or intercept.shape != (len(found),):
            raise ValueError(f"{len(found)} labels, weights of shape {coef.shape}, intercepts {intercept.shape}")
        numbers = [float(recipe[name]) for name in ("temperature", "threshold", *limits)]
        if not (np.isfinite(coef).all() and np.isfinite([*intercept, *numbers]).all() and numbers[0] > 0):
            raise ValueError("a number that is not finite, or a temperature that is not above 0")
        further = dict(zip(limits, numbers[2:], strict=True))
        return Weights(str(recipe["sentence_model"]), found, coef, intercept, numbers[0], numbers[1], further)
    except (OSError, ValueError, KeyError, TypeError) as error:  # a JSON error is a ValueError
        raise StoreError(
            f"router must be a file that `{train}` wrote, and '{path}' is none: {error!r}. Run the command again."
        ) from error


def as_text(document: Any) -> str:
    """A document as JSON, the numbers of one list on one line."""
    text = json.dumps(document, indent=1)
    return re.sub(r"\[[^][{}\"]+\]", lambda row: " ".join(row[0].split()), text) + "\n"


# ── training ────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Fitted:
    """Weights, and what training says of them.

    Attributes:
        weights: what was learnt.
        l2: the penalty that was chosen.
        losses: the log loss of each penalty, on groups that were left out.
        accuracy: share that is right, on groups that were left out.
        confident: share of these that the router is confident of.
        left_out: the probability of each label for each text, by a model that saw nothing of its group.
        vectors_sha256: the hash of what was learnt from; another processor may round some vectors otherwise.
    """

    weights: Weights
    l2: float
    losses: dict[float, float]
    accuracy: float
    confident: float
    left_out: np.ndarray
    vectors_sha256: str


def fit(
    vectors: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    sentence_model: str,
    penalties: Sequence[float] = PENALTIES,
    target: float = TARGET,
    decimals: int = DECIMALS,
) -> Fitted:
    """A router from the vectors of labelled texts. The same vectors give the same weights.

    Every choice is made by leaving out one group at a time: the penalty, the temperature, the threshold.

    Args:
        vectors: of shape (texts, dimension).
        labels: of shape (texts,); without any one group, there must be each of them.
        groups: of shape (texts,): what is left out together.
        sentence_model: the name of the model that made the vectors.
        penalties: those that are tried.
        target: of the texts that the router is confident of, so many are to be right.
        decimals: of the weights.
    """
    import numpy as np
    from scipy.optimize import minimize_scalar

    from groundup.stack.classical.logistic_regression import softmax

    vectors = vectors.astype(float)  # float32 stops lbfgs early
    names = np.unique(labels)
    # 1. The penalty: that of the least log loss on groups that were left out.
    scores = {l2: _left_out_scores(vectors, labels, groups, l2) for l2 in penalties}
    losses = {l2: _log_loss(found, labels) for l2, found in scores.items()}
    l2 = min(losses, key=lambda penalty: losses[penalty])
    # 2. The temperature: that of the least log loss on the same scores.
    found = scores[l2]
    best: Any = minimize_scalar(
        lambda log: _log_loss(found / np.exp(log), labels), bounds=(-4, 4), method="bounded", options={"xatol": 1e-10}
    )
    temperature = float(np.exp(best.x))
    # 3. The threshold: the lowest probability above which enough is right, on the same scores.
    probability, right = _confidence(found / temperature, labels)
    threshold = lowest_threshold(probability, right, target)
    # 4. The weights: of all texts.
    model = _softmax_regression(l2).fit(vectors, labels)
    weights = Weights(
        sentence_model, tuple(names.tolist()), np.round(model.coef_, decimals), np.round(model.intercept_, decimals),
        round(temperature, DECIMALS), round(threshold, DECIMALS),
    )  # fmt: skip
    return Fitted(
        weights, l2, losses, float(right.mean()), float((probability >= threshold).mean()),
        softmax(found / temperature), hashlib.sha256(np.ascontiguousarray(vectors, np.float32).tobytes()).hexdigest(),
    )  # fmt: skip


def lowest_threshold(probability: NDArray[np.float64], right: NDArray[np.bool_], target: float) -> float:
    """The lowest probability from which on at least `target` are right; above 1, which nothing reaches, if none is.

    It lies between two probabilities, so that a difference of rounding puts no text on its other side.
    """
    import numpy as np

    order = np.argsort(-probability, kind="stable")
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(shares >= target)
    if not enough.size:
        return 1.01
    last = enough[-1]
    lower = probability[order[last + 1]] if last + 1 < len(order) else 0.0
    return float(probability[order[last]] + lower) / 2


def _softmax_regression(l2: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    # The objective of `SoftmaxRegression` of the stack. The routers' files have the weights of L-BFGS, which ends some
    # 5e-6 beside that class's Newton steps: take the class when both are trained anew.
    return LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000)


def _left_out_scores(vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray, l2: float) -> NDArray[np.float64]:
    """The scores of each text, by a model that saw nothing of its group."""
    import numpy as np

    scores = np.empty((len(labels), len(np.unique(labels))))
    for group in np.unique(groups):
        out = groups == group
        scores[out] = _softmax_regression(l2).fit(vectors[~out], labels[~out]).decision_function(vectors[out])
    return scores


def _log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    import numpy as np

    from groundup.stack.classical.logistic_regression import cross_entropy

    return float(cross_entropy(scores, np.searchsorted(np.unique(labels), labels)))


def _confidence(scores: np.ndarray, labels: np.ndarray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The probability of the most probable label of each text, and whether it is right."""
    import numpy as np

    from groundup.stack.classical.logistic_regression import softmax

    probabilities = softmax(scores)
    return probabilities.max(axis=1), np.unique(labels)[probabilities.argmax(axis=1)] == labels

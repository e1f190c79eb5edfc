"""How the router is trained, and how it is judged.

    questions = read_questions()
    trained = train([question for question in questions if question.half == "train"], load())
    judge(Router(trained.weights, load()), [question for question in questions if question.half == "held-out"])

Every choice is made within the training half, by leaving out one topic at a time: the penalty, the temperature and the
threshold of confidence. The held-out half has other topics, and is only ever predicted.

Sources: Guo et al. (2017), "On Calibration of Modern Neural Networks", for the temperature and the calibration error;
Wilson (1927) for the interval.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from groundup.errors import UsageError
from groundup.files import replace_file
from groundup.systems.research.planning import Where, choose, of_ones_own
from groundup.systems.research.routing.router import FORMAT, VERSION, WEIGHTS, Encoder, Router, Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUESTIONS = Path(__file__).with_name("questions.tsv")
PRIVACY = Path(__file__).with_name("privacy.tsv")
PLACES: tuple[Where, ...] = ("both", "documents", "none", "web")  # sorted, as the classifier has its classes
HALVES = ("train", "held-out")
PENALTIES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0)  # of the weights, 1/C of scikit-learn
TARGET = 0.9  # of the questions it is confident of, so many are to be right
SENT = 0.05  # of the questions that are one's own, so many may be sent to a search server
DECIMALS = 8  # of stored numbers: far finer than what training gives twice


@dataclass(frozen=True)
class Question:
    """A labelled question; `half` says whether it trains or judges."""

    half: str
    label: Where
    topic: str
    text: str


def read_questions(path: Path = QUESTIONS) -> list[Question]:
    """The questions of a file, in its order.

    Raises:
        UsageError: a line is no question, a text stands twice, or a topic is in both halves.
    """
    questions: list[Question] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != 4 or fields[0] not in HALVES or fields[1] not in PLACES or not all(map(str.strip, fields)):
            raise UsageError(
                f"line {number} of '{path}' must be half, label, topic and question between tabs, with a half of "
                f"{' or '.join(HALVES)} and a label of {', '.join(PLACES)}, got {line!r:.120}. Correct it."
            )
        questions.append(Question(fields[0], cast(Where, fields[1]), fields[2], fields[3]))
    if twice := [text for text, count in Counter(q.text.casefold() for q in questions).items() if count > 1]:
        raise UsageError(f"questions of '{path}' must differ, and {twice[0]!r} stands twice. Reword one of them.")
    first, second = ({question.topic for question in questions if question.half == half} for half in HALVES)
    if both := first & second:
        raise UsageError(
            f"topic must be in one half, or training sees what judges it; '{min(both)}' of '{path}' is in both. "
            "Move all its questions into one half."
        )
    return questions


# ── training ────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Trained:
    """Weights, and what training says of them.

    Attributes:
        weights: what was learnt.
        l2: the penalty that was chosen.
        losses: the log loss of each penalty, on topics that were left out.
        accuracy: share that is right, on topics that were left out.
        confident: share of these that the router is confident of.
        sent: share of what is one's own that would be sent to a search server, on topics that were left out.
        kept: share of what is in the web that would be looked for in documents alone, on topics that were left out.
        vectors_sha256: the hash of what was learnt from; another processor may round some vectors otherwise.
    """

    weights: Weights
    l2: float
    losses: dict[float, float]
    accuracy: float
    confident: float
    sent: float
    kept: float
    vectors_sha256: str


def train(questions: Sequence[Question], embedder: Encoder) -> Trained:
    """A router from labelled questions. The same questions and vectors give the same weights.

    Raises:
        UsageError: the questions are of fewer than two topics, or a label is missing where a topic is left out.
    """
    from scipy.optimize import minimize_scalar

    from groundup.stack.classical.logistic_regression import softmax

    vectors = embedder.encode([question.text for question in questions]).astype(float)  # float32 stops lbfgs early
    labels = np.array([question.label for question in questions])
    topics = np.array([question.topic for question in questions])
    for topic in (names := np.unique(topics)):
        if len(names) < 2 or set(labels[topics != topic]) != set(PLACES):
            raise UsageError(
                f"questions must have each of {', '.join(PLACES)} in more than one topic, and without '{topic}' they "
                "do not. Add questions of other topics."
            )
    # 1. The penalty: that of the least log loss on topics that were left out.
    scores = {l2: _left_out_scores(vectors, labels, topics, l2) for l2 in PENALTIES}
    losses = {l2: _log_loss(left_out, labels) for l2, left_out in scores.items()}
    l2 = min(losses, key=lambda penalty: losses[penalty])
    # 2. The temperature: that of the least log loss on the same scores.
    left_out = scores[l2]
    fit: Any = minimize_scalar(
        lambda log: _log_loss(left_out / np.exp(log), labels),
        bounds=(-4, 4),
        method="bounded",
        options={"xatol": 1e-10},
    )
    temperature = float(np.exp(fit.x))
    # 3. The threshold: the lowest probability above which enough is right, on the same scores.
    probability, right = _confidence(left_out / temperature, labels)
    threshold = lowest_threshold(probability, right, TARGET)
    # 4. What may be one's own: the highest probability of documents below which few such questions are, after the rule
    #    by words.
    documents = softmax(left_out / temperature)[:, PLACES.index("documents")]
    worded = np.array([of_ones_own(question.text) for question in questions])
    own = labels == "documents"
    private = highest_private(documents[own & ~worded], int(SENT * own.sum()))
    kept = worded | (documents >= private)
    # 5. The weights: of all questions.
    model = _softmax_regression(l2).fit(vectors, labels)
    weights = Weights(
        embedder.name, PLACES, np.round(model.coef_, DECIMALS), np.round(model.intercept_, DECIMALS),
        round(temperature, DECIMALS), round(threshold, DECIMALS), round(private, DECIMALS),
    )  # fmt: skip
    return Trained(
        weights, l2, losses, float(right.mean()), float((probability >= threshold).mean()),
        float((~kept)[own].mean()), float(kept[np.isin(labels, ["both", "web"])].mean()),
        hashlib.sha256(np.ascontiguousarray(vectors, np.float32).tobytes()).hexdigest(),
    )  # fmt: skip


def lowest_threshold(probability: NDArray[np.float64], right: NDArray[np.bool_], target: float) -> float:
    """The lowest probability from which on at least `target` are right; above 1, which nothing reaches, if none is.

    It lies between two probabilities, so that a difference of rounding puts no question on its other side.
    """
    order = np.argsort(-probability, kind="stable")
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(shares >= target)
    if not enough.size:
        return 1.01
    last = enough[-1]
    lower = probability[order[last + 1]] if last + 1 < len(order) else 0.0
    return float(probability[order[last]] + lower) / 2


def highest_private(documents: NDArray[np.float64], most: int) -> float:
    """The highest probability of documents below which at most `most` questions are that are one's own.

    It lies between two probabilities, as `lowest_threshold` does.
    """
    ordered = np.sort(documents)
    if most >= len(ordered):
        return 1.01
    lower = ordered[most - 1] if most else 0.0
    return float(ordered[most] + lower) / 2


def _softmax_regression(l2: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    # The objective of `SoftmaxRegression` of the stack, whose gradient descent was not done with all these fits in 80
    # seconds of a processor. This takes four.
    return LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000)


def _left_out_scores(vectors: np.ndarray, labels: np.ndarray, topics: np.ndarray, l2: float) -> NDArray[np.float64]:
    """The scores of each question, by a model that saw nothing of its topic."""
    scores = np.empty((len(labels), len(PLACES)))
    for topic in np.unique(topics):
        out = topics == topic
        scores[out] = _softmax_regression(l2).fit(vectors[~out], labels[~out]).decision_function(vectors[out])
    return scores


def _log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    from groundup.stack.classical.logistic_regression import cross_entropy

    return float(cross_entropy(scores, np.searchsorted(PLACES, labels)))


def _confidence(scores: np.ndarray, labels: np.ndarray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The probability of the most probable place of each question, and whether it is right."""
    from groundup.stack.classical.logistic_regression import softmax

    probabilities = softmax(scores)
    return probabilities.max(axis=1), np.array(PLACES)[probabilities.argmax(axis=1)] == labels


# ── judging ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Judged:
    """How well one way of choosing does.

    Attributes:
        way: which one.
        questions: how many were asked.
        right: how many of them were looked for where their label says.
        low: the lower end of the 95 % interval of the share that is right (Wilson).
        high: its upper end.
        sent: questions of what is one's own that went to a search server.
        silent: questions with something to look up that were looked for nowhere.
        calibration_error: the expected calibration error in ten bins; None for what gives no probability.
        confusion: counts; a row for each label, a column for each choice, in the order of `PLACES`.
    """

    way: str
    questions: int
    right: int
    low: float
    high: float
    sent: int
    silent: int
    calibration_error: float | None
    confusion: list[list[int]]


@dataclass(frozen=True)
class Judgement:
    """All ways on the same questions.

    Attributes:
        ways: the majority class, the rules, the router alone, and the router with the rules, which is what runs.
        confident: questions that the router alone is confident of.
        confident_right: how many of these are right.
        gained: questions that only the router with the rules gets right, not the rules.
        lost: questions that only the rules get right.
    """

    ways: list[Judged]
    confident: int
    confident_right: int
    gained: int
    lost: int


def judge(router: Router, questions: Sequence[Question]) -> Judgement:
    """The router beside the word rules and the majority class, where there are documents and the web."""
    from groundup.stack.classical.evaluation import expected_calibration_error

    labels = np.array([question.label for question in questions])
    routes = router.routes([question.text for question in questions])
    alone = np.array([route.where for route in routes])
    probability = np.array([route.probability for route in routes])
    rules = np.array([choose(question.text, documents=True, web=True) for question in questions])
    runs = np.array([choose(question.text, documents=True, web=True, route=router.where) for question in questions])
    names, counts = np.unique(labels, return_counts=True)
    majority = np.full(len(labels), names[counts.argmax()])
    confident = probability >= router.weights.threshold
    error = expected_calibration_error(alone == labels, probability)
    return Judgement(
        [
            _judged("majority class", majority, labels),
            _judged("word rules", rules, labels),
            _judged("router alone", alone, labels, error),
            _judged("router with rules", runs, labels),
        ],
        int(confident.sum()), int((confident & (alone == labels)).sum()),
        int(((runs == labels) & (rules != labels)).sum()), int(((runs != labels) & (rules == labels)).sum()),
    )  # fmt: skip


def _judged(way: str, chosen: np.ndarray, labels: np.ndarray, error: float | None = None) -> Judged:
    from groundup.stack.classical.evaluation import confusion_matrix
    from groundup.stack.production.error_analysis import wilson_interval

    right = int((chosen == labels).sum())
    low, high = wilson_interval(right, len(labels))
    return Judged(
        way, len(labels), right, float(low), float(high),
        sent=int(((labels == "documents") & np.isin(chosen, ["web", "both"])).sum()),
        silent=int(((labels != "none") & (chosen == "none")).sum()),
        calibration_error=error, confusion=confusion_matrix(labels, chosen, PLACES).tolist(),
    )  # fmt: skip


@dataclass(frozen=True)
class Private:
    """What stays away from search servers, by one way of choosing, where there are documents and the web.

    Attributes:
        way: what chooses.
        own: questions of what is one's own.
        sent: those of them that went to a search server.
        public: questions that a stranger may answer.
        kept: those of them that were looked for in documents alone.
    """

    way: str
    own: int
    sent: int
    public: int
    kept: int


def read_privacy(path: Path = PRIVACY) -> list[tuple[bool, str]]:
    """Questions that train nothing, and whether each is of what is one's own.

    Raises:
        UsageError: a line is no such question.
    """
    questions: list[tuple[bool, str]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        label, _, text = line.partition("\t")
        if label not in ("own", "public") or not text.strip():
            raise UsageError(
                f"line {number} of '{path}' must be own or public, a tab and a question, got {line!r:.120}. Correct it."
            )
        questions.append((label == "own", text))
    return questions


def privacy(router: Router | None = None) -> list[Private]:
    """The rules alone and what runs, on the questions of `privacy.tsv`; the stored router, unless another is given."""
    from groundup.embedding import load

    questions = read_privacy()
    where = (router or Router.load(load())).where
    ways: tuple[tuple[str, Callable[[str], Where | None] | None], ...] = (
        ("word rules", None), ("router with rules", where),
    )  # fmt: skip
    judged = []
    for way, route in ways:
        chosen = [(own, choose(text, documents=True, web=True, route=route)) for own, text in questions]
        judged.append(
            Private(
                way,
                own=sum(own for own, _ in chosen),
                sent=sum(own and place in ("web", "both") for own, place in chosen),
                public=sum(not own for own, _ in chosen),
                kept=sum(not own and place == "documents" for own, place in chosen),
            )
        )
    return judged


def held_out() -> Judgement:
    """The stored router on the half that did not train it."""
    from groundup.embedding import load

    return judge(Router.load(load()), [question for question in read_questions() if question.half == "held-out"])


# ── the file ────────────────────────────────────────────────────────────────────────────────────────────────────────
def write(trained: Trained, judgement: Judgement, private: Sequence[Private], path: Path = WEIGHTS) -> None:
    """Write weights, recipe, hashes and figures into one file, so that none of them is ever another router's."""
    weights, halves = trained.weights, Counter(question.half for question in read_questions())
    document = {
        "format": FORMAT,
        "version": VERSION,
        "recipe": {
            "sentence_model": weights.sentence_model,
            "classifier": "multinomial logistic regression (scikit-learn, lbfgs)",
            "chosen_by": "log loss, one topic left out at a time, within the training half",
            "l2": trained.l2,
            "temperature": weights.temperature,
            "threshold": weights.threshold,
            "target": TARGET,
            "private": weights.private,
            "sent": SENT,
        },
        "data": {
            "sha256": hashlib.sha256(QUESTIONS.read_bytes()).hexdigest(),
            "vectors_sha256": trained.vectors_sha256,
            **{half: halves[half] for half in HALVES},
        },
        "metrics": {
            "left_out": {
                "log_loss": {str(l2): round(loss, 6) for l2, loss in trained.losses.items()},
                "accuracy": trained.accuracy,
                "confident": trained.confident,
                "sent": trained.sent,
                "kept": trained.kept,
            },
            "held_out": asdict(judgement),
            "privacy": [asdict(way) for way in private],
        },
        "labels": weights.labels,
        "intercept": weights.intercept.tolist(),
        "coef": weights.coef.tolist(),
    }
    text = json.dumps(document, indent=1)
    rows = re.sub(r"\[[^][{}\"]+\]", lambda row: " ".join(row[0].split()), text)  # numbers of one list on one line
    replace_file(path, rows + "\n")

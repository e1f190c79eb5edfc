"""The training of the router, and its judgement.

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
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from groundup.errors import UsageError
from groundup.files import replace_file
from groundup.routing import DECIMALS, PENALTIES, TARGET, Encoder, Fitted, Weights, as_text, fit
from groundup.systems.research.planning import Where, choose, of_ones_own
from groundup.systems.research.routing.router import FORMAT, PRIVATE, VERSION, WEIGHTS, Router

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUESTIONS = Path(__file__).with_name("questions.tsv")
PRIVACY = Path(__file__).with_name("privacy.tsv")
PLACES: tuple[Where, ...] = ("both", "documents", "none", "web")  # sorted, in the order of the classifier's classes
HALVES = ("train", "held-out")
SENT = 0.05  # the largest share of the asker's own questions that may be sent to a search server


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
    """A router, with its figures from training.

    Attributes:
        fitted: the router without the threshold of privacy.
        weights: all weights.
        sent: share of the asker's own questions that would be sent to a search server, on left-out topics.
        kept: share of the web's questions that would be looked for in documents alone, on left-out topics.
    """

    fitted: Fitted
    weights: Weights
    sent: float
    kept: float


def train(questions: Sequence[Question], embedder: Encoder, penalties: Sequence[float] = PENALTIES) -> Trained:
    """A router from labelled questions, with the best penalty. The same questions and vectors give equal weights.

    Raises:
        UsageError: the questions are of fewer than two topics, or a label is missing where a topic is left out.
    """
    labels = np.array([question.label for question in questions])
    topics = np.array([question.topic for question in questions])
    for topic in (names := np.unique(topics)):
        if len(names) < 2 or set(labels[topics != topic]) != set(PLACES):
            raise UsageError(
                f"questions must have each of {', '.join(PLACES)} in more than one topic, and without '{topic}' they "
                "do not. Add questions of other topics."
            )
    vectors = embedder.encode([question.text for question in questions])
    fitted = fit(vectors, labels, topics, sentence_model=embedder.name, penalties=penalties)
    # The threshold of privacy: the highest probability of documents below which few of the asker's own questions lie,
    # after the rule by words.
    documents = fitted.left_out[:, PLACES.index("documents")]
    worded = np.array([of_ones_own(question.text) for question in questions])
    own = labels == "documents"
    private = highest_private(documents[own & ~worded], int(SENT * own.sum()))
    kept = worded | (documents >= private)
    return Trained(
        fitted, replace(fitted.weights, limits={PRIVATE: round(private, DECIMALS)}),
        sent=float((~kept)[own].mean()), kept=float(kept[np.isin(labels, ["both", "web"])].mean()),
    )  # fmt: skip


def highest_private(documents: NDArray[np.float64], most: int) -> float:
    """The highest probability of documents below which at most `most` of the asker's own questions lie.

    It lies between two probabilities, as `groundup.routing.lowest_threshold` does.
    """
    ordered = np.sort(documents)
    if most >= len(ordered):
        return 1.01
    lower = ordered[most - 1] if most else 0.0
    return float(ordered[most] + lower) / 2


# ── judging ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Judged:
    """The scores of one way of choosing.

    Attributes:
        way: its name.
        questions: the number of questions.
        right: the number of questions looked for at their label's place.
        low: the lower end of the 95 % interval of the share that is right (Wilson).
        high: its upper end.
        sent: the asker's own questions that went to a search server.
        silent: questions with a place to search that were looked for nowhere.
        calibration_error: the expected calibration error in ten bins; None for a way without probabilities.
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
        ways: the majority class, the rules, the router alone, and the router with the rules, the way in use.
        confident: questions that the router alone is confident of.
        confident_right: the number of these that are right.
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
    """The privacy of one way of choosing, where there are documents and the web.

    Attributes:
        way: its name.
        own: the number of the asker's own questions.
        sent: the asker's own questions that went to a search server.
        public: the number of questions that a stranger may answer.
        kept: public questions that were looked for in documents alone.
    """

    way: str
    own: int
    sent: int
    public: int
    kept: int


def read_privacy(path: Path = PRIVACY) -> list[tuple[bool, str]]:
    """Questions that train nothing, each with whether it is the asker's own.

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
    """The rules alone and the way in use, on the questions of `privacy.tsv`; by the stored router, unless given."""
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
    """Write weights, recipe, hashes and figures into one file, so that they always belong to the same router."""
    fitted, weights, halves = trained.fitted, trained.weights, Counter(question.half for question in read_questions())
    document = {
        "format": FORMAT,
        "version": VERSION,
        "recipe": {
            "sentence_model": weights.sentence_model,
            "classifier": "multinomial logistic regression (scikit-learn, lbfgs)",
            "chosen_by": "log loss, one topic left out at a time, within the training half",
            "l2": fitted.l2,
            "temperature": weights.temperature,
            "threshold": weights.threshold,
            "target": TARGET,
            **weights.limits,
            "sent": SENT,
        },
        "data": {
            "sha256": hashlib.sha256(QUESTIONS.read_bytes()).hexdigest(),
            "vectors_sha256": fitted.vectors_sha256,
            **{half: halves[half] for half in HALVES},
        },
        "metrics": {
            "left_out": {
                "log_loss": {str(l2): round(loss, 6) for l2, loss in fitted.losses.items()},
                "accuracy": fitted.accuracy,
                "confident": fitted.confident,
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
    replace_file(path, as_text(document))

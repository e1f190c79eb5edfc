"""The training of the router, and its judgement.

    trained = train([message for message in read_messages() if message.half == "train"], load())
    judge(Router(trained.weights, load()), [message for message in read_messages() if message.half == "held-out"])

Templates made Bitext's requests, so a random half would be judged on its own training data. A quarter of the words that
signal each intent is held out instead: a request with such a word judges; no training request of the intent has one.
Every choice is made within the training half, by leaving a fifth of its templates out. Instructions of another dataset
stand for messages outside the shop; their halves have different wordings.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from groundup.errors import UsageError
from groundup.files import replace_file
from groundup.routing import Encoder, Fitted, as_text, fit
from groundup.systems.shop.routing.router import FORMAT, INTENTS, OUTSIDE, VERSION, WEIGHTS, Intent, Router

MESSAGES = Path(__file__).with_name("messages.tsv")
HALVES = ("train", "held-out")
BITEXT: dict[str, Intent] = {
    "cancel_order": "cancel_order",
    "change_order": "change_items",
    **dict.fromkeys(("change_shipping_address", "set_up_shipping_address"), "change_address"),
    "get_refund": "return_items",
    **dict.fromkeys(("track_order", "delivery_period", "track_refund"), "track_order"),
    **dict.fromkeys(
        ("check_refund_policy", "check_cancellation_fee", "delivery_options", "check_payment_methods"),
        "policy_question",
    ),
    **dict.fromkeys(("contact_human_agent", "contact_customer_service", "complaint"), "hand_over"),
}
"""Our intent for each of Bitext's; any other is `other_service`, which a person handles."""
COMMON = 0.02  # share of an intent's requests in which a word must stand; rarer words are names and misspellings
MOST = 0.4  # the largest share of a held-out word: enough requests must remain to learn from
SHARED = 5  # intents that may share a word; words of more intents belong to the opening: "can you help me to"
FOLDS = 5
PENALTIES = (0.003, 0.01, 0.03, 0.1)  # of the weights
TARGET = 0.99  # right share of the confident messages: asking back costs little, a wrong flow much
PRODUCT, NAMES = "{product}", 8  # the placeholder of a product's name, and the number of names for it
INSTRUCTIONS = 400  # from another dataset, half of them to train
WORDS: dict[Intent, tuple[str, ...]] = {
    "cancel_order": ("cancel",), "change_address": ("address",), "change_payment": ("pay with", "payment method"),
    "exchange_items": ("exchange", "swap"), "return_items": ("return", "send back", "refund", "money back"),
    "change_items": ("change", "modify"), "hand_over": ("human", "agent", "person", "customer service", "complain"),
    "policy_question": ("policy", "fee", "payment"), "track_order": ("track", "status", "my order", "arrive"),
    "other_service": ("account", "invoice", "bill", "password", "newsletter", "subscri", "sign"),
    "product_question": ("price", "colour", "color", "size", "available", "how much", "do you sell", "in stock"),
}  # fmt: skip
"""Rules to compare with: the first intent with a word in the message; `outside` without one."""


@dataclass(frozen=True)
class Message:
    """A labelled message; `half` says whether it trains or judges; `template` is its template."""

    half: str
    intent: Intent
    template: str
    text: str


def read_messages(path: Path = MESSAGES) -> list[Message]:
    """All messages: our own, Bitext's and instructions."""
    return [*_own(path), *_bitext(), *_instructions()]


def _own(path: Path) -> list[Message]:
    """Our own messages.

    Raises:
        UsageError: a line is no message, or a text stands twice.
    """
    from groundup.data import load

    messages: list[Message] = []
    sold = sorted((p["name"].lower() for p in json.loads(load("tau_products").text).values()), key=_hash)
    products = {half: sold[number::2] for number, half in enumerate(HALVES)}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != 3 or fields[0] not in HALVES or fields[1] not in INTENTS or not fields[2].strip():
            raise UsageError(
                f"line {number} of '{path}' must be half, intent and message between tabs, got {line!r:.120}. "
                "Correct it."
            )
        half, intent, text = fields[0], cast(Intent, fields[1]), fields[2]
        names = sorted(products[half], key=_hash)[: NAMES if PRODUCT in text else 1]
        messages += [Message(half, intent, text, text.replace(PRODUCT, name)) for name in names]
    if twice := [text for text, count in Counter(m.text.casefold() for m in messages).items() if count > 1]:
        raise UsageError(f"messages of '{path}' must differ, and {twice[0]!r} stands twice. Reword one of them.")
    return messages


def _bitext() -> list[Message]:
    """Bitext's requests."""
    from groundup.data import load

    data = load("bitext_support")
    rows = list(zip(data["text"].tolist(), data["intent"].tolist(), strict=True))
    return [
        Message(HALVES[held], BITEXT.get(name, "other_service"), f"{name}: {template}", text)
        for (text, name), (template, held) in zip(rows, templates(rows), strict=True)
    ]


def templates(rows: Sequence[tuple[str, str]]) -> list[tuple[str, bool]]:
    """For each request: the words that signal its intent, and whether a held-out word is among them."""
    from groundup.stack.retrieval.ranking import analyse

    words = [set(filter(str.isalpha, analyse(text))) for text, _ in rows]
    sizes = Counter(intent for _, intent in rows)
    counts: dict[str, Counter[str]] = {intent: Counter() for intent in sizes}
    for request, (_, intent) in zip(words, rows, strict=True):
        counts[intent].update(request)
    shares = {name: {word: count / sizes[name] for word, count in of.items()} for name, of in counts.items()}
    used = Counter(word for of in shares.values() for word, share in of.items() if share >= COMMON)
    telling, held = {}, {}
    for name, of in shares.items():
        telling[name] = {word for word, share in of.items() if share >= COMMON and used[word] <= SHARED}
        own = sorted((word for word in telling[name] if of[word] <= MOST), key=_hash)
        held[name] = set(own[: max(1, len(own) // 4)])
    return [
        (" ".join(sorted(request & telling[intent])), bool(request & held[intent]))
        for request, (_, intent) in zip(words, rows, strict=True)
    ]


def _instructions() -> list[Message]:
    from groundup.data import load

    wordings = sorted(set(load("instructions")["instruction"].tolist()), key=_hash)[:INSTRUCTIONS]
    return [Message(HALVES[number % 2], OUTSIDE, text, text) for number, text in enumerate(wordings)]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def train(messages: Sequence[Message], embedder: Encoder, penalties: Sequence[float] = PENALTIES) -> Fitted:
    """A router from labelled messages, with the best penalty. The same messages and vectors give the same router."""
    vectors = embedder.encode([message.text for message in messages])
    folds = np.array([int(_hash(message.template), 16) % FOLDS for message in messages])
    labels = np.array([message.intent for message in messages])
    return fit(
        vectors,
        labels,
        folds,
        sentence_model=embedder.name,
        penalties=penalties,
        target=TARGET,
        decimals=4,
    )


# ── judgement ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Judged:
    """The scores of one way of routing.

    Attributes:
        way: its name.
        accuracy: share of intents that are right.
        low: the lower end of its 95 % interval (Wilson), which treats messages of one template as independent.
        high: its upper end.
        macro_f1: the mean of the intents' F1 scores.
        let_through: messages from outside that would reach the agent.
        sent_away: messages about the shop that would be sent away.
    """

    way: str
    accuracy: float
    low: float
    high: float
    macro_f1: float
    let_through: int
    sent_away: int


@dataclass(frozen=True)
class Judgement:
    """All ways on the same messages.

    Attributes:
        ways: the majority class, rules of words, and the router.
        messages: the number of judged messages.
        templates: the number of their templates.
        outside: the number of messages outside the shop.
        confident: share that the router is confident of.
        confident_right: share of these that is right.
        calibration_error: the expected calibration error in ten bins.
    """

    ways: list[Judged]
    messages: int
    templates: int
    outside: int
    confident: float
    confident_right: float
    calibration_error: float


def judge(router: Router, messages: Sequence[Message]) -> Judgement:
    """The router beside the majority class and the rules."""
    from groundup.stack.classical.evaluation import expected_calibration_error

    labels = np.array([message.intent for message in messages])
    choices = router.choices([message.text for message in messages])
    alone = np.array([choice.label for choice in choices])
    probability = np.array([choice.probability for choice in choices])
    names, counts = np.unique(labels, return_counts=True)
    confident = probability >= router.weights.threshold
    return Judgement(
        [
            _judged("majority class", np.full(len(labels), names[counts.argmax()]), labels),
            _judged("rules of words", np.array([by_words(message.text) for message in messages]), labels),
            _judged("router", alone, labels),
        ],
        len(messages), len({message.template for message in messages}), int((labels == OUTSIDE).sum()),
        float(confident.mean()), float((alone == labels)[confident].mean()),
        float(expected_calibration_error(alone == labels, probability)),
    )  # fmt: skip


def by_words(text: str) -> Intent:
    """The first intent with a word in the text."""
    lower = text.lower()
    for intent, words in WORDS.items():
        if any(word in lower for word in words):
            return intent
    return OUTSIDE


def _judged(way: str, chosen: np.ndarray, labels: np.ndarray) -> Judged:
    from sklearn.metrics import f1_score

    from groundup.stack.production.error_analysis import wilson_interval

    f1: Any = f1_score(labels, chosen, labels=list(INTENTS), average="macro", zero_division=0)  # pyright: ignore[reportArgumentType]
    right = int((chosen == labels).sum())
    low, high = wilson_interval(right, len(labels))
    return Judged(
        way, right / len(labels), float(low), float(high),
        float(f1),
        int(((labels == OUTSIDE) & (chosen != OUTSIDE)).sum()), int(((labels != OUTSIDE) & (chosen == OUTSIDE)).sum()),
    )  # fmt: skip


def write(trained: Fitted, judgement: Judgement, messages: Sequence[Message], path: Path = WEIGHTS) -> None:
    """Write weights, recipe, hashes and figures into one file, so that they always belong to the same router."""
    weights = trained.weights
    document = {
        "format": FORMAT,
        "version": VERSION,
        "recipe": {
            "sentence_model": weights.sentence_model,
            "classifier": "multinomial logistic regression (scikit-learn, lbfgs)",
            "chosen_by": "log loss, a fifth of the templates left out at a time, within the training half",
            "l2": trained.l2,
            "temperature": weights.temperature,
            "threshold": weights.threshold,
            "target": TARGET,
        },
        "data": {
            "sha256": _hash(json.dumps([asdict(message) for message in messages])),
            "vectors_sha256": trained.vectors_sha256,
            **{half: sum(message.half == half for message in messages) for half in HALVES},
        },
        "metrics": {"left_out": {"accuracy": trained.accuracy, "confident": trained.confident},
                    "held_out": asdict(judgement)},
        "labels": weights.labels,
        "intercept": weights.intercept.tolist(),
        "coef": weights.coef.tolist(),
    }  # fmt: skip
    replace_file(path, as_text(document))

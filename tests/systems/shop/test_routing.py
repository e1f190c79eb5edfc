"""The router: what it is unsure of, what judges it, and that its file is what it says it is."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from groundup.embedding import load
from groundup.errors import StoreError, UsageError
from groundup.routing import Weights
from groundup.systems.shop.routing import INTENTS, Router
from groundup.systems.shop.routing.router import WEIGHTS
from groundup.systems.shop.routing.training import BITEXT, HALVES, by_words, judge, read_messages, templates, train


@pytest.fixture(scope="module")
def router() -> Router:
    return Router.load(load())


@pytest.mark.parametrize(
    ("message", "intent"),
    [
        ("I want to cancel my order", "cancel_order"),
        ("What colors does the T-Shirt come in?", "product_question"),
        ("Where is my parcel?", "track_order"),
        ("Let me speak to a human", "hand_over"),
        ("Who won the world cup in 2014?", "outside"),
    ],
)
def test_plain_messages_are_what_they_say(router: Router, message: str, intent: str) -> None:
    route = router.route(message)
    assert (route.intent, route.sure) == (intent, True)
    assert route.shopping == (intent != "outside")


def test_what_is_no_sentence_is_asked_back(router: Router) -> None:
    route = router.route("hm")
    assert not route.sure
    assert route.second != route.intent


class Fixed:
    """A sentence model of one vector."""

    name = "fixed"

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.ones((len(texts), 1))


def fixed(**scores: float) -> Router:
    """A router that gives these intents these scores."""
    coef = np.array([[scores.get(intent, -9.0)] for intent in INTENTS])
    return Router(Weights("fixed", INTENTS, coef, np.zeros(len(INTENTS)), 1.0, 0.8), Fixed())  # pyright: ignore[reportArgumentType]


def test_two_intents_that_the_order_tells_apart_count_together() -> None:
    route = fixed(change_items=1.0, exchange_items=0.9, track_order=-2.0).route("x")
    assert (route.intent, route.sure, route.second) == ("change_items", True, "track_order")
    assert not fixed(change_items=1.0, return_items=0.9).route("x").sure


def test_nothing_that_judges_has_trained() -> None:
    messages = read_messages()
    halves = [[message for message in messages if message.half == half] for half in HALVES]
    assert not {message.text for message in halves[0]} & {message.text for message in halves[1]}
    assert not {message.template for message in halves[0]} & {message.template for message in halves[1]}
    assert {message.intent for message in halves[0]} == {message.intent for message in halves[1]} == set(INTENTS)
    assert set(BITEXT.values()) < set(INTENTS)


def test_a_held_out_word_of_an_intent_is_in_no_request_that_trains() -> None:
    rows = [(f"{verb} my {noun} {i}", intent) for intent, nouns in
            {"cancel": ["order", "purchase", "basket"], "track": ["parcel", "shipment", "packet"]}.items()
            for noun in nouns for verb in ("please see", "look at") for i in range(5)]  # fmt: skip
    words: dict[bool, set[str]] = defaultdict(set)
    for template, held in templates(rows):
        words[held] |= set(template.split())
    assert words[True] - words[False] == {"order", "parcel"}, "one of each intent's nouns"


def test_the_file_says_how_good_it_is_and_beats_what_is_trivial() -> None:
    document = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    majority, rules, ours = document["metrics"]["held_out"]["ways"]
    assert ours["accuracy"] > rules["accuracy"] + 0.2
    assert rules["accuracy"] > majority["accuracy"]
    assert ours["macro_f1"] > rules["macro_f1"] + 0.2
    assert document["metrics"]["held_out"]["confident_right"] > ours["accuracy"]
    assert tuple(document["labels"]) == INTENTS
    assert by_words("cancel it") == "cancel_order"
    assert by_words("sing") == "outside"


@pytest.mark.slow
def test_training_again_gives_nearly_the_same_figures() -> None:
    """With the penalty that was chosen: each of the others takes as long again."""
    messages, embedder, document = read_messages(), load(), json.loads(WEIGHTS.read_text(encoding="utf-8"))
    trained = train([m for m in messages if m.half == "train"], embedder, [document["recipe"]["l2"]])
    judged = judge(Router(trained.weights, embedder), [m for m in messages if m.half == "held-out"])
    assert judged.ways[2].accuracy > judged.ways[1].accuracy + 0.2
    kept = next(way for way in document["metrics"]["held_out"]["ways"] if way["way"] == judged.ways[2].way)
    assert judged.ways[2].accuracy == pytest.approx(kept["accuracy"], abs=0.02)


def test_a_file_that_is_no_router_and_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "router.json"
    path.write_text("{}")
    with pytest.raises(StoreError, match=r"router must be a file that `python -m groundup.systems.shop.routing` wrote"):
        Router.load(load(), path)
    with pytest.raises(UsageError, match="embedder must be 'all-MiniLM-L6-v2'"):
        Router.load(Fixed())  # pyright: ignore[reportArgumentType]


def test_a_line_of_messages_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "messages.tsv"
    for text, match in (("train\tnothing\tHello", "line 1 of .* must be half, intent and message"),
                        ("train\toutside\tHi\ntrain\toutside\thi", "stands twice")):  # fmt: skip
        path.write_text(text)
        with pytest.raises(UsageError, match=match):
            read_messages(path)

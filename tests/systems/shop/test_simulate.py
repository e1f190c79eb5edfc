"""Simulated customers: tasks are judged by the database, and dialogues train a model in our template."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from groundup.errors import UsageError
from groundup.knowledge import Knowledge
from groundup.systems.shop import Shop, Store
from groundup.systems.shop.answering import learn
from groundup.systems.shop.evaluate import _solved
from groundup.systems.shop.simulate import dialogues, half_of, play, tasks, write_dialogues
from tests.systems.shop.conftest import Says


def test_tasks_are_of_every_kind_and_the_same_each_time(store: Store) -> None:
    drawn = tasks(store, count=2)
    kinds = Counter(task.kind for task in drawn)
    assert set(kinds) == {
        "cancel_order", "change_address", "change_payment", "change_items", "return_items", "exchange_items",
        "not the status", "not theirs", "not covered", "another product", "question", "outside",
    }  # fmt: skip
    assert drawn == tasks(store, count=2)
    assert drawn != tasks(store, count=2, seed=1)
    assert {half_of(task.user) for task in drawn} == {"judge"}
    assert {half_of(task.user) for task in tasks(store, count=2, half="train")} == {"train"}
    with pytest.raises(UsageError, match="count must be 1 or more and half train or judge, got 0 and 'judge'"):
        tasks(store, count=0)


@pytest.fixture
def knowledge(store: Store, path: Path) -> Knowledge:
    return learn(store, path)


def test_the_clerk_solves_what_is_allowed_and_does_nothing_else(store: Store, knowledge: Knowledge) -> None:
    before = store.digest()
    played = [
        play(task, store, lambda copy, task=task: Shop(copy, router=Says(task.intent), knowledge=knowledge))
        for task in tasks(store, count=1)
    ]
    assert [outcome.task.kind for outcome in played if not outcome.solved] == []
    assert not any(outcome.violation for outcome in played)
    assert store.digest() == before, "tasks are played on copies"
    rows = {row.what: row for row in _solved("clerk", played)}
    assert rows["solved: all, 12 tasks"].value == 1
    assert rows["solved: all, 12 tasks"].baseline == pytest.approx(4 / 12), "who hands all over breaks no rule"


def test_a_clerk_that_does_nothing_solves_only_what_must_not_be_done(store: Store) -> None:
    played = [play(task, store, lambda copy: Shop(copy, router=Says("hand_over"))) for task in tasks(store, count=1)]
    assert {outcome.task.kind for outcome in played if outcome.solved} == {
        "not the status", "not theirs", "not covered", "another product",
    }  # fmt: skip


def test_dialogues_are_chats_of_our_template_in_which_only_the_assistant_trains(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from groundup.stack.agents.react import parse
    from groundup.stack.generative.instruction_tuning import GROUNDUP, encode_chat

    chats = [
        chat
        for intent in ("cancel_order", "return_items")
        for chat in dialogues(store, lambda copy, intent=intent: Shop(copy, router=Says(intent)), count=1)
    ]
    assert write_dialogues(iter(chats), tmp_path / "sft.jsonl") == len(chats) > 2
    read = [json.loads(line)["messages"] for line in (tmp_path / "sft.jsonl").read_text().splitlines()]
    assert read == chats
    specials = {text: 256 + number for number, text in enumerate(GROUNDUP.specials)}
    called: Counter[str] = Counter()
    for chat in read:
        example = encode_chat(chat, GROUNDUP, lambda text: list(text.encode()), specials)
        taught = bytes(t for t, trains in zip(*example, strict=True) if trains and t < 256).decode()
        said = [message["content"] for message in chat if message["role"] == "assistant"]
        assert taught == "".join(said)
        for text in said:
            called.update(call.name for call in parse(text).calls)
    assert {"find_user_by_email", "cancel_order"} <= set(called) | {"find_user_by_email"}
    assert called["cancel_order"] >= 1
    with pytest.raises(UsageError, match="FILE must be one that can be written"):
        write_dialogues(iter([]), tmp_path / "nowhere" / "sft.jsonl")

"""Plans: by rules, and what of a model's plan counts."""

from __future__ import annotations

import pytest

from groundup.systems.research.planning import MOST, classify, plan, query, read_plan


@pytest.mark.parametrize(
    ("question", "kind", "planned"),
    [
        ("What is full jitter?", "single", ["What is full jitter?"]),
        ("full jitter", "single", ["full jitter"]),
        (
            "What is the difference between a token bucket and a leaky bucket?", "comparison",
            ["What is a token bucket?", "What is a leaky bucket?"],
        ),
        ("How do early stopping and dropout differ?", "comparison", ["What is early stopping?", "What is dropout?"]),
        ("Compare int8 with float32", "comparison", ["What is int8?", "What is float32?"]),
        ("How does Raft differ from Paxos?", "comparison", ["What is Raft?", "What is Paxos?"]),
        ("gRPC vs. REST", "comparison", ["What is gRPC?", "What is REST?"]),
        (
            "Why does full jitter help, and when is a circuit breaker half-open?", "several",
            ["Why does full jitter help?", "When is a circuit breaker half-open?"],
        ),
        ("What is a lease? Who renews it?", "several", ["What is a lease?", "Who renews it?"]),
        (
            "What is a lease? In which case is it lost? A quorum is what?", "several",
            ["What is a lease?", "In which case is it lost?", "A quorum is what?"],
        ),
        ("What is a lease? Raft needs none.", "single", ["What is a lease? Raft needs none."]),
        (
            "What is a lease? How does Raft differ from Paxos?", "several",
            ["What is a lease?", "What is Raft?", "What is Paxos?"],
        ),
        (
            "What is the difference between int8 and float32, and when is it used?", "several",
            ["What is int8?", "What is float32?", "When is it used?"],
        ),
        ("How much less steam did it use compared to Watt's?", "single", None),
        ("Who reads and writes the log?", "single", ["Who reads and writes the log?"]),
        ("Is it the case that what is cached and what is not is known?", "several", None),
    ],
)  # fmt: skip
def test_a_question_is_planned_by_what_it_asks(question: str, kind: str, planned: list[str] | None) -> None:
    assert classify(question) == kind
    if planned is not None:
        assert plan(question, classify(question)) == planned


def test_a_plan_has_no_more_parts_than_anybody_reads() -> None:
    question = " ".join(f"What is thing {number}?" for number in range(9))
    assert len(plan(question, "several")) == MOST


def test_a_part_that_points_back_is_looked_up_with_what_it_points_to() -> None:
    assert query(["What is a lease?", "Who renews it?"], 1) == "What is a lease? Who renews it?"
    assert query(["What is a lease?", "What is a clock?"], 1) == "What is a clock?"
    assert query(["What is it?"], 0) == "What is it?"


def test_of_a_models_plan_only_questions_about_what_was_asked_count() -> None:
    reply = (
        "Here is the plan:\n1. What is full jitter?\n- How does jitter spread load?\n* What is the moon made of?\n"
        "Jitter is broken. Why is jitter broken?\nJitter is bad\n2) What is full jitter?\nWhy jitter" + "r" * 300 + "?"
    )
    assert read_plan(reply, "Why does full jitter help?") == ["What is full jitter?", "How does jitter spread load?"]
    assert read_plan("", "Why?") == read_plan("I cannot help with that.", "Why does jitter help?") == []

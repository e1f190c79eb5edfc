"""Every sentence of a reply has a span of a passage, or is without support."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.llm import Grounded, Grounder, ground
from groundup.stack.retrieval.rag import Passage

POOL = Passage(
    "Checkout fails because the connection pool is exhausted. It holds 10 connections to orders-db.", "pool.md"
)
DISK = Passage("The disk of node-7 is full.", "disk.md")


def spans(reply: str) -> list[str | None]:
    passages = [POOL, DISK]
    return [
        None if one.span is None else passages[one.span.number - 1].text[one.span.start : one.span.end]
        for one in ground(reply, passages)
    ]


def test_a_sentence_is_mapped_to_the_span_that_says_so_wherever_it_cites() -> None:
    said = "Checkout fails because the connection pool is exhausted."
    assert spans("Checkout fails because the connection pool is exhausted [1].") == [said]
    assert spans("The exhausted connection pool makes checkout fail.") == [said]
    assert spans("Checkout fails because the connection pool is exhausted [2].") == [said]
    assert spans("Checkout fails because the connection pool is exhausted [9].") == [said]


@pytest.mark.parametrize(
    "invented",
    [
        "Reboot the moon [1].",
        "Checkout fails because the connection pool is not exhausted [1].",
        "It holds 20 connections to orders-db [1].",
        "It holds 10 connections to users-db [1].",
        "The disk of node-8 is full [2].",
        "Run `kubectl delete` where the disk of node-7 is full [2].",
    ],
)
def test_what_no_passage_says_is_without_support_whatever_it_cites(invented: str) -> None:
    assert spans(invented) == [None]


def test_the_words_of_one_passage_do_not_support_what_mixes_two() -> None:
    assert spans("The connection pool of node-7 is full because the disk of checkout fails.") == [None]


REPLY = (
    "Checkout fails because the connection pool is exhausted [1]. Reboot the moon [1][7].\nThe disk of node-7 is full."
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, len(REPLY)), max_size=12))
def test_a_reply_in_pieces_gives_the_sentences_of_the_whole(cuts: list[int]) -> None:
    grounder, found = Grounder([POOL, DISK]), []
    places = [0, *sorted(cuts), len(REPLY)]
    for start, end in pairwise(places):
        found += grounder.feed(REPLY[start:end])
    assert found + grounder.close() == ground(REPLY, [POOL, DISK])


def test_a_sentence_is_given_out_as_soon_as_the_next_one_begins() -> None:
    grounder = Grounder([DISK])
    assert grounder.feed("The disk of node-7 is full. ") == []
    (first,) = grounder.feed("[1] It")
    assert isinstance(first, Grounded)
    assert first.span is not None
    assert grounder.feed(" is late") == []
    assert [one.text for one in grounder.close()] == ["It is late"]

"""What is refused of a sentence that a source nearly says, and what is put side by side."""

from __future__ import annotations

import pytest

from groundup.stack.retrieval.rag import Passage
from groundup.systems.research.demo import DOCUMENTS
from groundup.systems.research.lying import nearly
from groundup.systems.research.state import Note, Source
from groundup.systems.research.verifying import disagree, held, stands
from groundup.systems.research.writing import verify

SOURCE = (
    "Exponential backoff doubles the wait after each failed attempt, up to a limit of 30 seconds. "
    "Every retry raises the load on the overloaded server. Envoy never retries a POST request by default."
)


@pytest.mark.parametrize(
    "sentence",
    [
        "Exponential backoff doubles the wait after each failed attempt, up to a limit of 30 seconds.",
        "Backoff doubles the wait after each failed attempt, up to a limit of 30 seconds.",
        "Every retry raises the load on the overloaded server.",
        "Envoy never retries a POST request by default.",
    ],
)
def test_what_a_source_says_has_its_place(sentence: str) -> None:
    (grounded,) = held(sentence, [Passage(SOURCE)])
    assert grounded.span is not None


@pytest.mark.parametrize(
    "sentence",
    [
        "Exponential backoff doubles the wait after each failed attempt, up to a limit of 60 seconds.",  # number
        "Exponential backoff doubles the wait before each failed attempt, up to a limit of 30 seconds.",  # order
        "Every retry lowers the load on the overloaded server.",  # turned
        "Envoy always retries a POST request by default.",  # turned
        "Envoy retries a POST request by default.",  # its no is lost
        "Nginx never retries a POST request by default.",  # name
        "Envoy never retries a PUT request by default.",  # name
        "Exponential backoff halves the pause behind some lucky attempt, up to a limit of 30 seconds.",  # words
        "The vendor recommends RetryMax [1].",
        "Every retry raises the load on the overloaded server, so buy RetryMax and nothing else today, please [1].",
    ],
)
def test_what_a_source_nearly_says_has_none_whatever_it_cites(sentence: str) -> None:
    assert [grounded.span for grounded in held(sentence, [Passage(SOURCE)])] == [None]


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ("The default timeout is 30 seconds.", "The default timeout is 60 seconds.", True),
        ("The default timeout is 30 seconds.", "By default, the timeout is 30 seconds.", False),
        ("The cache is shared by all workers.", "The cache is not shared by all workers.", True),
        ("Retries raise the load of a server.", "Retries lower the load of a server.", True),
        ("A target of 99.9 percent allows 43 minutes.", "A target of 99.99 percent allows 4 minutes.", False),
        ("The default timeout is 30 seconds.", "The queue holds 60 requests.", False),
        ("A bucket is full.", "A queue is empty.", False),
    ],
)
def test_sentences_that_differ_in_one_thing_may_disagree(one: str, other: str, differ: bool) -> None:
    assert disagree(one, other) is disagree(other, one) is differ


def test_a_note_stands_only_where_it_is_said_word_for_word() -> None:
    source = Source(question=0, document="a.md", start=100, end=108, headings="", text="One two.", sha256="")
    note = Note(question=0, document="a.md", start=104, end=107, headings="", text="two")
    assert stands(note, [source])
    for wrong in ({"text": "too"}, {"start": 103}, {"document": "b.md"}, {"end": 109}, {"start": 4, "end": 7}):
        assert not stands(Note(**{**note, **wrong}), [source])  # type: ignore[typeddict-item]


def test_what_a_model_says_in_other_words_gives_way_to_the_words_of_its_place() -> None:
    text = "A circuit breaker protects the caller from waiting for a slow dependency."
    note = Note(question=0, document="a.md", start=0, end=len(text), headings="Circuit breakers > Purpose", text=text)
    other = "A circuit breaker shields the caller from waiting for a slow dependency."
    said, unsupported = verify(f"{other} [1] However, a circuit breaker protects the caller from waiting [1].", [note])
    assert [sentence["text"] for sentence in said] == [
        text, "However, a circuit breaker protects the caller from waiting.",
    ]  # fmt: skip
    assert unsupported == []
    assert verify(f"{other} {other} {text}", [note])[0] == [{"text": text, "notes": [1]}]


def test_of_sentences_with_one_thing_changed_few_are_left_as_they_were_written() -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted(DOCUMENTS.glob("*.md"))]
    rows = {what.rsplit(",", 1)[0]: share for what, share in nearly([text.replace("\n", " ") for text in texts], 0)}
    assert rows["refused with a denial changed"] == 1.0
    assert rows["refused with another word changed"] > 0.9
    assert rows["kept with nothing changed"] == 1.0

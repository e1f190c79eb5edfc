"""From notes to a report: a model's text, checked sentence by sentence, or an outline of the notes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from groundup.stack.retrieval.rag import NO_ANSWER, Passage, terms
from groundup.systems.research.state import Note, Part, Sentence
from groundup.systems.research.verifying import disagree, faithful, held

REPEATED = 0.8  # a note says nothing new if another note has this share of its words
DISAGREEING = "The sources may disagree"


def as_passages(notes: Sequence[Note]) -> list[Passage]:
    """The notes as sources for the model that writes."""
    return [Passage(note["text"], f"{note['document']}, {note['headings']}") for note in notes]


def verify(draft: str, notes: Sequence[Note]) -> tuple[list[Sentence], list[str]]:
    """The sentences of a draft, each with its note, and the sentences without a note.

    A sentence in other words is replaced by the note's own; each note stands once.
    """
    kept: dict[str, Sentence] = {}
    unsupported = []
    for sentence in held(draft, as_passages(notes)):
        if sentence.text == NO_ANSWER:
            continue
        if sentence.span is None:
            unsupported.append(sentence.text)
            continue
        note = notes[sentence.span.number - 1]
        quote = note["text"][sentence.span.start : sentence.span.end]
        text = sentence.text if faithful(sentence.text, f"{note['headings']} {quote}") else quote
        kept.setdefault(text, Sentence(text=text, notes=[sentence.span.number]))
    return list(kept.values()), unsupported


def outline(plan: Sequence[str], notes: Sequence[Note]) -> list[Part]:
    """The notes by sub-question, then by document, without repetitions; disagreeing notes stand together."""
    apart = {number for pair in pairs(notes) for number in pair}
    agreeing = [(number, note) for number, note in enumerate(notes, 1) if number not in apart]
    kept: list[tuple[int, Note]] = []
    for number, note in agreeing:
        if not any(_repeats(note["text"], other["text"]) for _, other in kept):
            kept.append((number, note))
    parts = []
    for at, question in enumerate(plan):
        own = [(number, note) for number, note in kept if note["question"] == at]
        documents = list(dict.fromkeys(note["document"] for _, note in own))
        own.sort(key=lambda entry: (documents.index(entry[1]["document"]), entry[1]["start"]))
        if own:
            heading = question if len(plan) > 1 else ""
            sentences = [Sentence(text=note["text"], notes=[number]) for number, note in own]
            parts.append(Part(heading=heading, sentences=sentences))
    return parts


def disagreements(notes: Sequence[Note]) -> list[Part]:
    """The notes that may contradict each other, side by side; no part without them."""
    numbers = list(dict.fromkeys(number for pair in pairs(notes) for number in pair))
    sentences = [Sentence(text=notes[number - 1]["text"], notes=[number]) for number in numbers]
    return [Part(heading=DISAGREEING, sentences=sentences)] if sentences else []


def pairs(notes: Sequence[Note]) -> list[tuple[int, int]]:
    """The numbers of notes of different documents that may contradict each other."""
    return [
        (i, j)
        for (i, one), (j, other) in combinations(enumerate(notes, 1), 2)
        if one["document"] != other["document"] and disagree(one["text"], other["text"])
    ]


def _repeats(text: str, other: str) -> bool:
    own, known = set(terms(text)), set(terms(other))
    return len(own & known) >= REPEATED * max(1, len(own))

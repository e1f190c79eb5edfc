"""The check of each sentence of a model against its sources: by the copilot's rules, and by three more.

- A sentence that turns a word of its span around ("raises" for "lowers", "before" for "after") has no place there.
- A sentence of the report with a word that its place lacks is replaced by the text of the place (`faithful`).
- A note must stand in a retrieved passage, character by character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from groundup.llm.grounding import Grounded, ground
from groundup.stack.retrieval.rag import Passage, terms, words
from groundup.systems.research.state import Note, Source

_OPPOSITES = """
above over / below under beneath
accept accepted allow allowed allows permit permits permitted / deny denies denied forbid forbids forbidden refuse
  refused
add adds added / remove removes removed
after afterwards later / before earlier
all every always / no none never
asynchronous asynchronously / synchronous synchronously
begin begins start starts started / end ends stop stops stopped
best better / worst worse
close closed closes / open opened opens
cheap cheaper / expensive costly
enable enabled enables on / disable disabled disables off
fail failed fails failure / succeed succeeded succeeds success
fast faster quick quickly quicker / slow slower slowly
first / last
gain gains gained / lose loses lost
high higher highest / low lower lowest
improve improves improved / degrade degrades degraded worsen worsens
include includes included / exclude excludes excluded
increase increases increased grow grows raise raises raised rise rises / decrease decreases decreased drop drops fall
  falls lower lowers lowered reduce reduces reduced shrink shrinks
large larger largest big bigger / small smaller smallest
long longer longest / short shorter shortest
many more most maximum max / few fewer fewest less least minimum min
optional / mandatory required
present / absent missing
read reads / write writes
safe secure / unsafe insecure dangerous
same equal identical / different
strong stronger / weak weaker
true / false
up upward / down downward
with / without
"""
_SIDES = [
    tuple(frozenset(side.split()) for side in line.split("/"))
    for line in re.sub(r"\n {2}", " ", _OPPOSITES).strip().splitlines()
]


def held(reply: str, passages: Sequence[Passage]) -> list[Grounded]:
    """Each sentence of a reply with the span of a passage behind it, or None."""
    return [
        replace(sentence, span=None)
        if sentence.span is not None
        and turned(sentence.text, passages[sentence.span.number - 1].text[sentence.span.start : sentence.span.end])
        else sentence
        for sentence in ground(reply, passages)
    ]


def faithful(sentence: str, place: str) -> bool:
    """Whether every word of a sentence stands in a place, in any of its forms, but for stop words and connectives."""
    return set(terms(sentence)) <= set(terms(place)) | _CONNECTIVES


_CONNECTIVES = frozenset(
    terms("additionally also although consequently finally furthermore hence however instead meanwhile moreover second "
          "similarly so then therefore though thus whereas yet")
)  # fmt: skip


def turned(sentence: str, span: str) -> bool:
    """Whether a sentence has the opposite of a word of the span in its place, and the span nowhere has it."""
    said, there = set(words(sentence)), set(words(span))
    return any(
        side & said and not side & there and other & there and not other & said
        for pair in _SIDES
        for side, other in (pair, pair[::-1])
    )


def disagree(one: str, other: str) -> bool:
    """Whether two sentences may contradict each other: of the same words, they differ in a number, a no, or a turn.

    The result is a hint that puts them side by side, and no proof.
    """
    a, b = set(terms(one)), set(terms(other))
    numbers = [{term for term in side if any(map(str.isdigit, term))} for side in (a, b)]
    plain = [side - counted - _NO for side, counted in zip((a, b), numbers, strict=True)]
    shared = plain[0] & plain[1]
    if len(shared) < 2 or len(shared) < ALIKE * max(map(len, plain)):
        return False
    another = len(numbers[0] - numbers[1]) == len(numbers[1] - numbers[0]) == 1
    denied = numbers[0] == numbers[1] and bool(a & _NO) != bool(b & _NO)
    return another or denied or (numbers[0] == numbers[1] and turned(one, other))


ALIKE = 0.6  # the share of common words of two sentences on one subject
_NO = frozenset(terms("cannot never no none nor not nothing without"))


def stands(note: Note, sources: Iterable[Source]) -> bool:
    """Whether a note is a span of a retrieved passage, character by character."""
    return any(
        source["document"] == note["document"]
        and source["start"] <= note["start"] < note["end"] <= source["end"]
        and source["text"][note["start"] - source["start"] : note["end"] - source["start"]] == note["text"]
        for source in sources
    )

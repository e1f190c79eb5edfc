"""Sentences that share a question's words and answer its opposite: told by negations and by words of opposite meaning.

    answers_opposite("Which volume is not encrypted?", "The volume data-0 is encrypted.")      # True
    answers_opposite("What is the lowest limit?", "The highest limit is 64.")                   # True

A question for a cause (`Why does it not start?`) denies what happened, and its answer need not: there, and behind `if`
and `when`, a negation says nothing. Words for trouble deny as well (`failed to mount` is `not mounted`).

Not covered: other relations of the same words (who of two did it), and opposites that are not in the list.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from groundup.stack.retrieval.rag import words

# Pairs of opposite meaning that any text may hold; no subject's own words.
_PAIRS = """
    most least, most fewest, more less, more fewer, many few, maximum minimum, first last, before after, early
    late, earliest latest, begin end, start end, start stop, increase decrease, high low, higher lower, highest
    lowest, large small, larger smaller, largest smallest, big small, biggest smallest, major minor, above
    below, upper lower, top bottom, up down, rise fall, rose fell, long short, longest shortest, near far,
    inside outside, internal external, left right, front back, north south, northern southern, east west,
    eastern western, old new, oldest newest, old young, ancient modern, past future, always never, same
    different, true false, positive negative, odd even, finite infinite, simple complex, easy hard, easy
    difficult, common rare, fast slow, hot cold, heavy light, deep shallow, wet dry, wide narrow, thick thin,
    full empty, cheap expensive, rich poor, strong weak, good bad, best worst, male female, man woman, men
    women, king queen, father mother, son daughter, parent child, born die, birth death, day night, land sea,
    urban rural, peace war, friend enemy, love hate, like dislike, agree disagree, win lose, won lost, winner
    loser, victory defeat, attack defend, success failure, gain lose, gain loss, support oppose, support reject,
    accept reject, approve disapprove, allow forbid, allow prevent, permit forbid, permit prohibit, legal
    illegal, encourage discourage, improve worsen, help hurt, help hinder, protect harm, save waste, add remove,
    include exclude, join leave, build destroy, create destroy, open close, import export, public private,
    direct indirect, active passive, natural artificial
"""
_PREFIXES = ("un", "non")  # `in` and `dis` begin too many other words: inform, display
_DENIALS = frozenset("not no never none nor nothing without cannot neither nobody missing unable".split())
_TROUBLE = re.compile(r"\b(?:fail|refus|deni|deny|lack|prevent|reject)", re.IGNORECASE)
_CAUSE = re.compile(r"\W*(?:why|how)\b", re.IGNORECASE)
_CONDITION = re.compile(r"\b(?:if|when|whenever|because|while|that)\b.*", re.IGNORECASE | re.DOTALL)


def answers_opposite(question: str, sentence: str) -> bool:
    """Whether a sentence that shares a question's words says the opposite of what is asked."""
    asked, said = _stems(question), _stems(sentence)
    if any(_opposites().get(word, frozenset()) & said for word in asked - said):
        return True
    if any(_negated(word) & said for word in asked - said) or any(_negated(word) & asked for word in said - asked):
        return True
    return not _CAUSE.match(question) and _denies(_CONDITION.sub("", question)) and not _denies(sentence)


def _denies(text: str) -> bool:
    found = words(text)
    return any(word in _DENIALS or word.endswith("n't") for word in found) or _TROUBLE.search(text) is not None


def _negated(word: str) -> frozenset[str]:
    """What is left of a word without a prefix that may negate it."""
    return frozenset(word[len(p) :] for p in _PREFIXES if word.startswith(p) and len(word) > len(p) + 3)


def _stems(text: str) -> set[str]:
    return set(_stemmer().stemWords(words(text)))


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


@cache
def _opposites() -> dict[str, frozenset[str]]:
    """Each stem with those of opposite meaning."""
    opposites: dict[str, frozenset[str]] = {}
    for pair in _PAIRS.split(","):
        one, other = _stemmer().stemWords(pair.split())
        opposites[one] = opposites.get(one, frozenset()) | {other}
        opposites[other] = opposites.get(other, frozenset()) | {one}
    return opposites

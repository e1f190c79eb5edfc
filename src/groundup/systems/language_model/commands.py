"""The right command line for a described task: how often a model writes it, beside what needs no model.

Asked are uses of commands whose pages trained in nothing, with the command named: `How do I list all files with ls?`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from groundup.systems.language_model.data import Page, asked_with_name

ASKED = 400
"""Held-out uses that judge, drawn by a fixed seed; there are thousands."""

Answerer = Callable[["Use"], str]


@dataclass(frozen=True)
class Use:
    """A use of a command: what it is for, the question, and the line that the page gives."""

    command: str
    wanted: str
    question: str
    line: str


def uses_of(pages: Sequence[Page]) -> list[Use]:
    """Every use of the pages."""
    return [Use(page.command, use, asked_with_name(page, use), line) for page in pages for use, line in page.uses]


def judged(pages: Sequence[Page], count: int = ASKED) -> list[Use]:
    """The uses of held-out pages that judge, the same each time."""
    uses = uses_of(pages)
    return [uses[place] for place in np.random.default_rng(2).permutation(len(uses))[:count]]


def score(answer: Answerer, uses: Sequence[Use]) -> dict[str, float]:
    """Shares of the uses whose whole line is right, and whose program is, and the mean F1 of the line's words."""
    lines = [(_plain(answer(use)), _plain(use.line)) for use in uses]
    return {
        "exact": sum(ours == right for ours, right in lines) / len(lines),
        "program": sum(ours.split()[:1] == right.split()[:1] for ours, right in lines) / len(lines),
        "words_f1": sum(_f1(ours.split(), right.split()) for ours, right in lines) / len(lines),
    }


def commonest(train: Sequence[Use]) -> Answerer:
    """The line that most training uses have, once its program is replaced by the one that is asked for."""
    [(line, _)] = Counter(_renamed(use, "\0") for use in train).most_common(1)
    return lambda use: line.replace("\0", use.command)


class Nearest:
    """The line of the training use that is described in the likest words (cosine of tf-idf), its program replaced."""

    def __init__(self, train: Sequence[Use]) -> None:
        self.train = train
        self.places: dict[str, list[int]] = {}
        for place, use in enumerate(train):
            for word in set(_words(use.wanted)):
                self.places.setdefault(word, []).append(place)
        self.weights = {word: math.log(len(train) / len(places)) for word, places in self.places.items()}
        self.lengths = np.array([self._length(_words(use.wanted)) for use in train])

    def __call__(self, use: Use) -> str:
        """The line for a use."""
        scores = np.zeros(len(self.train))
        for word in set(_words(use.wanted)) & set(self.places):
            scores[self.places[word]] += self.weights[word] ** 2
        return _renamed(self.train[int((scores / self.lengths).argmax())], use.command)

    def _length(self, words: list[str]) -> float:
        return max(math.sqrt(sum(self.weights[word] ** 2 for word in set(words))), 1e-9)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _renamed(use: Use, command: str) -> str:
    return use.line.replace(use.command, command)


def _plain(line: str) -> str:
    return " ".join(line.strip().strip("`").split())


def _f1(ours: list[str], right: list[str]) -> float:
    same = (Counter(ours) & Counter(right)).total()
    return 2 * same / (len(ours) + len(right)) if same else 0.0

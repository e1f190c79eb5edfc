"""A span of a retrieved passage for every sentence of an answer, found by code, or a mark that there is none.

    for sentence in ground("The pool is exhausted [1]. Reboot the moon [7].", passages):
        sentence.text, sentence.span              # a Span of passage 1; then None: no passage says so, and 7 is none

A model is not asked whether its answer is true to the sources: it is looked up. `rag.check` finds the sentences' spans;
here names are held to as well: an identifier (`payment-db`, `OOMKilled`, `/etc/hosts`) or a quoted word of the answer
must stand in its span, because a single one changes what is said.

Not covered: a sentence that uses the words of its span to say something else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from groundup.stack.retrieval.rag import Passage, Span, check, sentences, words

THRESHOLD = 0.7  # the share of a sentence's terms that its span must have
# Joined or humped words, and what stands in backticks.
_NAME = re.compile(r"`([^`\n]+)`|((?:[^\W_]+[._\-/:@])+[^\W_]+|[A-Z]?[a-z0-9]+[A-Z]\w*|[A-Z]{2,}\w*)")


@dataclass(frozen=True)
class Grounded:
    """A sentence of an answer without its citations, and the supporting span; None if no passage supports it."""

    text: str
    span: Span | None


def ground(reply: str, passages: Sequence[Passage], *, threshold: float = THRESHOLD) -> list[Grounded]:
    """Each sentence of a reply with the span of a passage that supports it.

    A citation counts as a hint where to look first, and as nothing else: one of a passage that was not retrieved is
    dropped, and the span decides which passage is cited.

    Args:
        reply: what a model said.
        passages: what was retrieved, in the order of its numbers.
        threshold: the share of a sentence's terms that its span must have.
    """
    grounded = []
    for claim in check(reply, passages, threshold=threshold):
        span = claim.support
        if span is None and claim.cited:  # not where it says; perhaps elsewhere
            span = next((other.support for other in check(claim.text, passages, threshold=threshold)), None)
        if span is not None and not _names(claim.text) <= _heard(passages[span.number - 1].text[span.start : span.end]):
            span = None
        grounded.append(Grounded(claim.text, span))
    return grounded


def _names(text: str) -> set[str]:
    """The names in a text."""
    return {word for quoted, joined in _NAME.findall(text) for word in words(quoted or joined)}


def _heard(text: str) -> set[str]:
    """The words of a text; joined words as a whole and in their parts."""
    whole = words(text)
    return {part for word in whole for part in (word, *re.split(r"[._\-/:@]", word))}


class Grounder:
    """Checks a reply against its passages as it arrives: `feed` yields each sentence once it is whole."""

    def __init__(self, passages: Sequence[Passage], *, threshold: float = THRESHOLD) -> None:
        self.passages, self.threshold = passages, threshold
        self.reply = ""
        self._done = 0  # characters of the reply that are grounded

    def feed(self, piece: str) -> list[Grounded]:
        """Take the next piece of the reply.

        A sentence is whole when the next one has begun: citations may follow its full stop.
        """
        self.reply += piece
        spans = sentences(self.reply[self._done :])
        return self._ground(spans[-1][0]) if len(spans) > 1 else []

    def close(self) -> list[Grounded]:
        """The rest, after the last piece."""
        return self._ground(len(self.reply) - self._done)

    def _ground(self, length: int) -> list[Grounded]:
        part = self.reply[self._done : self._done + length]
        self._done += length
        return ground(part, self.passages, threshold=self.threshold)

"""Places in documents: a span of one as a citation names it, opened with its surroundings, and its text on one line.

open_place("runbooks/oom.md:120-260", knowledge)      # the chunk that holds it, between its neighbours
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from groundup.errors import UsageError

if TYPE_CHECKING:
    from groundup.knowledge.base import Knowledge

PLACE = re.compile(r"(?P<source>.+):(?P<start>\d+)-(?P<end>\d+)")


@dataclass(frozen=True)
class Part:
    """A chunk of a document or a line of a log, its place, and whether it is the cited one."""

    where: str
    text: str
    cited: bool


def is_place(where: str) -> bool:
    """Whether a citation has the form of a place in a document."""
    return PLACE.fullmatch(where) is not None


def open_place(where: str, knowledge: Knowledge) -> list[Part]:
    """The chunk that holds a place, between its neighbours.

    Raises:
        UsageError: it is no place, or there is nothing there any more.
        UnknownName: its document is not there.
    """
    match = PLACE.fullmatch(where)
    if match is None:
        raise UsageError(f"CITATION must be as an answer gives it: 'runbooks/oom.md:120-260', got '{where}'.")
    chunks, at = knowledge.around(match["source"], int(match["start"]), int(match["end"]))
    return [Part(f"{chunk.source}:{chunk.start}-{chunk.end}", chunk.text, i == at) for i, chunk in enumerate(chunks)]


# Code, headings and tables as they are, or else a line end between two lines of one paragraph or item.
_WRAPPED = re.compile(
    r"(?P<kept>```.*?(?:```|\Z)|\A---\n.*?\n---|^(?: {4}|\t|#|\|)[^\n]*)|(?<=[^\n])\n(?=\s{0,3}[^\s#|>`<*+\-\d])",
    re.DOTALL | re.MULTILINE,
)


def unwrapped(text: str) -> str:
    """The text with its paragraphs on one line each, every character at its place: sentences end at full stops."""
    return _WRAPPED.sub(lambda match: match["kept"] or " ", text)

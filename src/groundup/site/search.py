"""Searching titles, lessons and cards. Seventy units are a megabyte of text: looking through it takes milliseconds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from itertools import islice

from groundup.course.catalogue import Catalogue, Entry

LONGEST, MOST = 200, 30
AROUND = 90
ENOUGH = 5  # so that a long lesson does not win by its length


@dataclass(frozen=True)
class Document:
    """What is searched of one unit: texts with their weights, in lower case, and the text that excerpts come from."""

    entry: Entry
    released: bool
    title: str
    fields: tuple[tuple[float, str], ...]
    words: str


@dataclass(frozen=True)
class Hit:
    """One unit that was found. `excerpt` is HTML with the words that were found marked."""

    entry: Entry
    released: bool
    title: str
    excerpt: str
    score: float


class Search:
    """Searches the units of a catalogue. Their texts are read when first needed, and again when a lesson changes."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._documents: dict[str, tuple[int, Document]] = {}

    def find(self, query: str) -> list[Hit]:
        """The units in which every word of the query begins a word, best first."""
        words = re.findall(r"\w+", query.lower()[:LONGEST])
        if not words:
            return []
        hits = [hit for document in self._all() if (hit := _match(document, words))]
        return sorted(hits, key=lambda hit: -hit.score)[:MOST]

    def _all(self) -> list[Document]:
        return [self._document(entry) for entry in self.catalogue.entries]

    def _document(self, entry: Entry) -> Document:
        unit = self.catalogue.units.get(entry.id)
        stamp = unit.lesson.stat().st_mtime_ns if unit and unit.lesson.exists() else 0
        kept = self._documents.get(entry.id)
        if kept is None or kept[0] != stamp:
            kept = (stamp, self._read(entry))
            self._documents[entry.id] = kept
        return kept[1]

    def _read(self, entry: Entry) -> Document:
        from groundup.site.markdown import plain

        unit = self.catalogue.units.get(entry.id)
        names = f"{entry.title} {entry.id}".lower()
        if unit is None:
            return Document(
                entry, False, entry.title, ((10.0, names), (4.0, entry.builds.lower())), plain(entry.builds)
            )
        lesson = unit.lesson.read_text(encoding="utf-8") if unit.lesson.exists() else ""
        cards = "\n".join(f"{card.front} {card.back}" for card in unit.cards)
        labs = " ".join(f"{lab.title} {lab.question}" for lab in unit.labs)
        headings = " ".join(re.findall(r"^#+ (.*)$", lesson, flags=re.MULTILINE))
        fields = (
            (10.0, f"{names} {unit.title}"),
            (4.0, f"{entry.builds} {unit.summary} {' '.join(unit.write)}"),
            (3.0, f"{headings} {labs}"),
            (2.0, cards),
            (1.0, lesson),
        )
        shown = " ".join(plain(text) for text in (unit.summary, lesson, cards))
        return Document(entry, True, unit.title, tuple((w, text.lower()) for w, text in fields), shown)


def _match(document: Document, words: list[str]) -> Hit | None:
    patterns = [re.compile(rf"\b{re.escape(word)}") for word in words]
    score = 0.0
    for word, pattern in zip(words, patterns, strict=True):
        found = sum(weight * _count(word, pattern, text) for weight, text in document.fields)
        if not found:
            return None
        score += found
    score += 5.0 if document.released else 0.0
    return Hit(document.entry, document.released, document.title, _excerpt(document.words, patterns), score)


def _count(word: str, pattern: re.Pattern[str], text: str) -> int:
    """How often the word begins a word of the text, up to `ENOUGH`. Most texts are ruled out by a plain search."""
    return sum(1 for _ in islice(pattern.finditer(text), ENOUGH)) if word in text else 0


def _excerpt(words: str, patterns: list[re.Pattern[str]]) -> str:
    lower = words.lower()
    first = next((match.start() for pattern in patterns if (match := pattern.search(lower))), 0)
    start = max(0, words.rfind(" ", 0, max(0, first - AROUND)) + 1)
    cut = words[start : first + 2 * AROUND]
    marked, at = [], 0
    spans = sorted(match.span() for pattern in patterns for match in pattern.finditer(cut.lower()))
    for begin, end in spans:
        if begin >= at:
            marked += [escape(cut[at:begin]), "<mark>", escape(cut[begin:end]), "</mark>"]
            at = end
    more = "…" if first + 2 * AROUND < len(words) else ""
    return f"{'…' if start else ''}{''.join(marked)}{escape(cut[at:])}{more}"

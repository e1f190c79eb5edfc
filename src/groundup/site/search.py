"""The search over units, tracks, resources and systems: a few megabytes of text, read in milliseconds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import islice

from groundup.course.material.catalogue import Catalogue, Entry
from groundup.course.material.roadmaps import Item, Section, Track
from groundup.course.material.tracks import load_tracks

LONGEST, MOST = 200, 30
AROUND = 90
ENOUGH = 5  # so that a long lesson does not win by its length


@dataclass(frozen=True)
class Document:
    """The searched text of one page: texts with their weights, in lower case, and the text for excerpts.

    Attributes:
        address: the page.
        kind: "unit", "planned" (a unit), "track", "resource" or "system".
        title: the title of the page.
        fields: the texts with their weights.
        words: the text for excerpts.
    """

    address: str
    kind: str
    title: str
    fields: tuple[tuple[float, str], ...]
    words: str


@dataclass(frozen=True)
class Hit:
    """One page in the result. `excerpt` is HTML with the query's words marked."""

    address: str
    kind: str
    title: str
    excerpt: str
    score: float


class Search:
    """The search over a catalogue and the tracks. It reads a text when first needed, and again after a change."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._documents: dict[str, tuple[int, Document]] = {}

    def find(self, query: str) -> list[Hit]:
        """The pages in which every word of the query begins a word, best first."""
        words = re.findall(r"\w+", query.lower()[:LONGEST])
        if not words:
            return []
        documents = [*(self._unit(entry) for entry in self.catalogue.entries), *self._others]
        hits = [hit for document in documents if (hit := _match(document, words))]
        return sorted(hits, key=lambda hit: -hit.score)[:MOST]

    @cached_property
    def _others(self) -> list[Document]:
        tracks = load_tracks()
        systems = [
            Document(
                "/#systems", "system", system.title, ((10.0, system.title.lower()), (4.0, system.summary.lower())),
                system.summary,
            )
            for system in self.catalogue.systems
        ]  # fmt: skip
        return [*(doc for track in tracks.values() for doc in _track(track)), *_resources(tracks.values()), *systems]

    def _unit(self, entry: Entry) -> Document:
        unit = self.catalogue.units.get(entry.id)
        stamp = unit.lesson.stat().st_mtime_ns if unit and unit.lesson.exists() else 0
        kept = self._documents.get(entry.id)
        if kept is None or kept[0] != stamp:
            kept = (stamp, self._read(entry))
            self._documents[entry.id] = kept
        return kept[1]

    def _read(self, entry: Entry) -> Document:
        from groundup.site.markdown import plain

        unit, address = self.catalogue.units.get(entry.id), f"/units/{entry.id}"
        names = f"{entry.title} {entry.id}".lower()
        if unit is None:
            fields = ((10.0, names), (4.0, entry.builds.lower()))
            return Document(address, "planned", entry.title, fields, plain(entry.builds))
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
        return Document(address, "unit", unit.title, tuple((w, text.lower()) for w, text in fields), shown)


def _track(track: Track) -> Iterator[Document]:
    """A track, and each of its sections and items."""
    about = f"{track.audience} {track.about}"
    yield _plain(f"/tracks/{track.name}", "track", track.title, about)
    for section in track.sections:
        for entry in (section, *section.items):
            text = f"{track.title}. {' '.join(_texts(entry))}"
            yield _plain(f"/tracks/{track.name}/{entry.id}", "track", entry.title, text)


def _texts(entry: Section | Item) -> Iterator[str]:
    yield entry.about
    yield from entry.criteria
    if isinstance(entry, Section):
        yield from entry.checkpoint
        return
    yield from (*entry.concepts, *entry.build, *entry.questions)
    for part in entry.parts:
        yield from (part.title, part.about, *part.steps)
    for scenario in entry.scenarios:
        yield from (scenario.title, scenario.about, *scenario.points)


def _resources(tracks: Iterable[Track]) -> Iterator[Document]:
    """Each resource once, on the page of the first item that names it."""
    seen: set[str] = set()
    for track in tracks:
        places = [(f"/tracks/{track.name}/{item.id}", r) for item in track.items for r in item.all_resources]
        for address, resource in [*places, *((f"/tracks/{track.name}#resources", r) for r in track.resources)]:
            if resource.id not in seen:
                seen.add(resource.id)
                about = f"{resource.author}, {resource.kind}. {resource.about}"
                yield _plain(address, "resource", resource.title, about)


def _plain(address: str, kind: str, title: str, about: str) -> Document:
    return Document(address, kind, title, ((6.0, title.lower()), (1.5, about.lower())), about)


def _match(document: Document, words: list[str]) -> Hit | None:
    patterns = [re.compile(rf"\b{re.escape(word)}") for word in words]
    score = 0.0
    for word, pattern in zip(words, patterns, strict=True):
        word_score = sum(weight * _count(word, pattern, text) for weight, text in document.fields)
        if not word_score:
            return None
        score += word_score
    score += 5.0 if document.kind == "unit" else 0.0
    return Hit(document.address, document.kind, document.title, _excerpt(document.words, patterns), score)


def _count(word: str, pattern: re.Pattern[str], text: str) -> int:
    """The number of words of the text that begin with the word, up to `ENOUGH`. A plain search rules most texts out."""
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

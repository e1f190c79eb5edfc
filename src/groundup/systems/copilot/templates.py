"""The templates behind log messages, mined from a stream with one setting for all systems.

    miner = Miner()
    for message in messages:
        miner.add(message)
    miner.templates()      # [Template(text="Received block blk_<*> of size <*> from <*>", count=292, …), …]

1. Values are masked (`masking`): what is left of a message is its pattern. Nearly all lines end here, in a dictionary.
2. A new pattern is first compared with the templates that are known, found by its length and first word (as in Drain).
3. Now and then patterns of equal length are merged where they differ in words that are values: where a place takes many
   words while all others stay the same, or takes names rather than words (after the ideas of Brain and LogCluster).

Not covered: values of several words (a path with spaces), which make several templates of one.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from groundup.errors import UsageError
from groundup.systems.copilot.masking import LOOK, VALUE, Masker

MANY = 5  # so many words in one place, all else equal, are values of it
MANY_FIRST = 16  # the same for the first word, which names what happened more often than not
EXAMPLES = 8  # messages that a template shows
LONG = 100  # tokens; longer messages are only merged where they are alike in most words
KEYS = 200_000  # masked messages that are remembered
VERSION = 1  # of snapshots


@dataclass(frozen=True)
class Template:
    """What the messages of one kind have in common.

    Attributes:
        id: its number; it stays as long as the miner lives, but two templates may become one.
        text: the words, with `<*>` for each value.
        count: how many messages it has.
        examples: some of them.
    """

    id: int
    text: str
    count: int
    examples: tuple[str, ...]


@dataclass(slots=True)
class _Pattern:
    """Messages that are the same once their values are masked; with a parent, merged into that one and empty."""

    tokens: tuple[str, ...]
    count: int = 0
    examples: list[str] = field(default_factory=list)
    parent: int = -1


# A list of values is one value, however long: `blk_<*> blk_<*>`, and five plain values or more.
_RUN = re.compile(r"(?<!\S)(\S*<\*>[,;]?)(?:\s+\1){4,}(?!\S)|(?<!\S)((?=\S*[A-Za-z_])\S*<\*>\S*)(?:\s+\2)+(?!\S)")


class Miner:
    """Finds templates in a stream of messages."""

    def __init__(self) -> None:
        self._masker = Masker()
        self._patterns: list[_Pattern] = []
        self._by_key: dict[str, int] = {}  # masked message → pattern
        self._general: dict[tuple[int, str], list[int]] = defaultdict(list)  # merged patterns, by length and first word
        self._fresh = 0  # patterns since the last merging

    def add(self, message: str) -> int:
        """Take in a message; what comes back is a number that `template_of` turns into its template's."""
        masked = self._masker(message)
        number = self._by_key.get(masked)
        if number is None:
            number = self._new(masked)
        pattern = self._patterns[number]
        count = pattern.count = pattern.count + 1
        if count <= 4 or (count & (count - 1) == 0 and len(pattern.examples) < EXAMPLES):
            pattern.examples.append(message[:LOOK])
        return number

    def template_of(self, number: int) -> int:
        """The id of the template of a message, from what `add` returned for it. Merges what is new first."""
        self._merge()
        return self._root(number)

    def templates(self) -> list[Template]:
        """All templates, the most frequent first."""
        self._merge()
        found = [
            Template(number, _text(pattern.tokens, pattern.examples), pattern.count, tuple(pattern.examples[:EXAMPLES]))
            for number, pattern in enumerate(self._patterns)
            if pattern.parent < 0
        ]
        return sorted(found, key=lambda template: (-template.count, template.id))

    # ── durable ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def snapshot(self) -> dict[str, Any]:
        """Everything that was learnt, as plain data for JSON or a database."""
        return {
            "version": VERSION,
            "patterns": [[" ".join(p.tokens), p.count, list(p.examples), p.parent] for p in self._patterns],
            "general": sorted(number for numbers in self._general.values() for number in numbers),
            "fresh": self._fresh,
        }

    @classmethod
    def restore(cls, snapshot: dict[str, Any]) -> Miner:
        """A miner that goes on where the one of the snapshot stood; numbers and ids stay valid."""
        if snapshot.get("version") != VERSION:
            raise UsageError(
                f"snapshot must be of version {VERSION}, got {snapshot.get('version')!r}. "
                "Read the logs again with this release."
            )
        miner = cls()
        for number, (key, count, examples, parent) in enumerate(snapshot["patterns"]):
            miner._patterns.append(_Pattern(tuple(key.split()), count, list(examples), parent))
            if parent < 0:
                miner._by_key[key] = number
        for number in snapshot["general"]:
            miner._remember(number)
        miner._fresh = snapshot["fresh"]
        return miner

    # ── new patterns ────────────────────────────────────────────────────────────────────────────────────────────────
    def _new(self, masked: str) -> int:
        tokens = tuple(_RUN.sub(lambda run: run[1] or run[2], masked).split())
        key = " ".join(tokens)
        number = self._by_key.get(key)
        if number is None:
            number = self._known(tokens)
        if number is None:
            number = len(self._patterns)
            self._patterns.append(_Pattern(tokens))
            self._fresh += 1
        if len(self._by_key) >= KEYS:
            self._by_key = {" ".join(p.tokens): n for n, p in enumerate(self._patterns) if p.parent < 0}
        self._by_key[masked] = self._by_key[key] = number
        if self._fresh > max(500, len(self._patterns) // 3):
            self._merge()
            number = self._root(number)
        return number

    def _known(self, tokens: tuple[str, ...]) -> int | None:
        """The merged pattern that these tokens fit."""
        for first in {tokens[0] if tokens else "", VALUE}:
            for number in self._general.get((len(tokens), first), ()):
                pattern = self._patterns[number]
                if pattern.parent < 0 and all(
                    a == b or _fits(a, b) for a, b in zip(pattern.tokens, tokens, strict=True)
                ):
                    return number
        return None

    def _remember(self, number: int) -> None:
        tokens = self._patterns[number].tokens
        if tokens:
            self._general[_slot(tokens)].append(number)

    # ── merging ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _root(self, number: int) -> int:
        while (parent := self._patterns[number].parent) >= 0:
            number = parent
        return number

    def _merge(self) -> None:
        if not self._fresh:
            return
        self._fresh = 0
        by_length: dict[int, list[int]] = defaultdict(list)
        for number, pattern in enumerate(self._patterns):
            if pattern.parent < 0:
                by_length[len(pattern.tokens)].append(number)
        for length, numbers in by_length.items():
            if length > 1 and len(numbers) > 1:
                self._merge_equal_length(numbers, length)
        self._by_key = {key: self._root(number) for key, number in self._by_key.items()}

    def _merge_equal_length(self, numbers: list[int], length: int) -> None:
        alive = self._join(_alike(self._patterns, numbers), numbers)
        alive = self._join(_anchored(self._patterns, alive), alive)
        before = -1 if length <= LONG else len(alive)
        while before != len(alive):
            before = len(alive)
            for place in range(length - 1, -1, -1):
                buckets: dict[Hashable, list[int]] = defaultdict(list)
                for number in alive:
                    tokens = self._patterns[number].tokens
                    buckets[tokens[:place] + tokens[place + 1 :]].append(number)
                groups = (_values_of(self._patterns, same, place) for same in buckets.values() if len(same) > 1)
                alive = self._join([group for group in groups if len(group) > 1], alive)

    def _join(self, groups: list[list[int]], numbers: list[int]) -> list[int]:
        """Make each group one pattern; the numbers of those that are left."""
        left = dict.fromkeys(numbers)
        for group in groups:
            columns = zip(*(self._patterns[number].tokens for number in group), strict=True)
            tokens = tuple(_common(set(column)) for column in columns)
            key = " ".join(tokens)
            whole = self._root(self._by_key[key]) if key in self._by_key else -1
            if whole not in left or self._patterns[whole].tokens != tokens:
                whole = len(self._patterns)
                self._patterns.append(_Pattern(tokens))
                self._by_key[key] = whole
                left[whole] = None
            if whole not in self._general.get(_slot(tokens), ()):
                self._remember(whole)
            for number in group:
                if number != whole:
                    self._swallow(whole, number)
                    left.pop(number, None)
        return list(left)

    def _swallow(self, whole: int, number: int) -> None:
        one, other = self._patterns[whole], self._patterns[number]
        one.count += other.count
        one.examples += other.examples[: max(2, 4 * EXAMPLES - len(one.examples))]
        del one.examples[8 * EXAMPLES :]
        other.parent, other.count, other.examples, other.tokens = whole, 0, [], ()


def _slot(tokens: tuple[str, ...]) -> tuple[int, str]:
    """Where a merged pattern is kept: by its length and its first word."""
    return len(tokens), VALUE if VALUE in tokens[0] else tokens[0]


_TAIL = re.compile(r"[)\]}'\",;:.]*$")
_CUES = ("user", "username", "host", "hostname")  # what follows is a name, however few there are
_NAME = re.compile(r"[\d_@$/\\*#]|\w\.\w|[a-z][A-Z]")


def _is_name(token: str) -> bool:
    """Whether what is left of a token without its masked values is a name, or nothing, rather than a word."""
    rest = token.replace(VALUE, "").strip("()[]{}<>.,:;=-'\"!?")
    return not rest or _NAME.search(rest) is not None


def _fits(general: str, token: str) -> bool:
    """Whether a token is what a merged token stands for."""
    before, _, rest = general.partition(VALUE)
    after = rest.rpartition(VALUE)[2]
    return len(token) >= len(before) + len(after) and token.startswith(before) and token.endswith(after)


def _alike(patterns: list[_Pattern], numbers: list[int]) -> list[list[int]]:
    """Patterns that are the same but for names, and for what follows a key; many, so that these are values."""
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number in numbers:
        tokens = patterns[number].tokens
        alike[tokens[:1] + tuple(_without_value(token) for token in tokens[1:])].append(number)
    return [group for group in alike.values() if len(group) >= MANY]


def _without_value(token: str) -> str:
    key, sign, _ = token.partition("=")
    return key + sign if sign and key else VALUE if _is_name(token) else token


def _anchored(patterns: list[_Pattern], numbers: list[int]) -> list[list[int]]:
    """Patterns that share most of their words, each of them common, and differ in places that take many words."""
    common = Counter(place for number in numbers for place in enumerate(patterns[number].tokens))
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number in numbers:
        tokens = patterns[number].tokens
        anchors = tuple(t if not i or common[i, t] >= MANY or VALUE in t else "" for i, t in enumerate(tokens))
        words = sum(bool(t) and VALUE not in t for t in anchors)
        if words >= 2 and 0 < anchors.count("") <= words:
            alike[anchors].append(number)
    return [
        group
        for anchors, group in alike.items()
        if all(anchor or len({patterns[n].tokens[i] for n in group}) >= MANY for i, anchor in enumerate(anchors))
    ]


def _common(tokens: set[str]) -> str:
    """The token that stands for all: what they share at both ends up to a delimiter, and a value between."""
    if len(tokens) == 1:
        return next(iter(tokens))
    tails = {match[0] for token in tokens if (match := _TAIL.search(token))}
    tail = tails.pop() if len(tails) == 1 else ""
    heads = {_head(token[: len(token) - len(tail)]) for token in tokens}
    return f"{heads.pop() if len(heads) == 1 else ''}{VALUE}{tail}"


def _head(token: str) -> str:
    """What stands before the value of a token: a key, an opening bracket or quote."""
    return token[: max(token.rfind(sign) for sign in "=:([{'\"/") + 1]


def _values_of(patterns: list[_Pattern], same: list[int], place: int) -> list[int]:
    """Of patterns that differ in one place only, those whose token there is a value."""
    every = {patterns[number].tokens[place] for number in same}
    before = patterns[same[0]].tokens[place - 1].lower() if place else ""
    if len(every) >= (MANY if place else MANY_FIRST) or before in _CUES:
        return same
    pure = any(token.strip("()[]{}.,:;'\"") == VALUE for token in every)  # a value stands alone: another is in disguise
    named = [n for n in same if _is_name(token := patterns[n].tokens[place]) or (pure and VALUE in token)]
    return named if place or len(named) >= MANY else []


_NUMBERED = re.compile(r"[A-Za-z]{2,}<\*>|[A-Z]<\*>")


def _text(tokens: tuple[str, ...], examples: list[str]) -> str:
    """A template's text: digits that belong to a word and never varied (`ssh2`, `mod_jk2`) are put back."""
    rows = [example.split() for example in examples]
    if len(rows) < 2 or any(len(row) != len(tokens) for row in rows):
        return " ".join(tokens)
    columns = zip(tokens, zip(*rows, strict=True), strict=True)
    return " ".join(
        column[0] if _NUMBERED.search(token) and len(set(column)) == 1 else token for token, column in columns
    )

"""The templates behind log messages, mined from a stream with one setting for all systems.

    miner = Miner()
    for message in messages:
        miner.add(message)
    miner.templates()      # [Template(text="Received block blk_<*> of size <*> from <*>", count=292, …), …]

1. Values are masked (`masking`): what is left of a message is its pattern. Nearly all lines end here, in a dictionary.
2. A new pattern is first compared with the templates that are known, found by its length and first word (as in Drain).
3. Now and then patterns are merged:
   - words that take turns before messages of all kinds are of a header that nobody took off;
   - what brackets or quotes hold is one value where it is of several lengths;
   - patterns of equal length are one where they differ in words that are values: where a place takes many words while
     all others stay the same, or takes names rather than words (after the ideas of Brain and LogCluster);
   - a pattern that a merged one stands for belongs to it, so that the order of the lines hardly matters.

Not covered: values of several words (a path with spaces, a reason in plain words), which make several templates of one.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from groundup.errors import UsageError
from groundup.masking import LOOK, VALUE, Masker

MANY = 5  # so many words in one place, all else equal, are values of it
HEADER = 8  # words that may be of a header
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

# What brackets or quotes hold, brackets within brackets among it.
_INNER = r"\[[^\[\]{}]*+\]|\{[^\[\]{}]*+\}"
_ENCLOSED = re.compile(
    rf"\[(?:[^\[\]{{}}]++|{_INNER})*+\]|\{{(?:[^\[\]{{}}]++|{_INNER})*+\}}|\"[^\"]*+\"|(?<!\w)'[^']*+'(?!\w)"
)
_ITEM = re.compile(r"[^\s,]+")


def _emptied(match: re.Match[str]) -> str:
    """Brackets or quotes with a value in place of what they hold; not where a message begins with them."""
    return match[0] if not match.start() else f"{match[0][0]}{VALUE}{match[0][-1]}"


class Miner:
    """Finds templates in a stream of messages."""

    def __init__(self) -> None:
        self._masker = Masker()
        self._patterns: list[_Pattern] = []
        self._by_key: dict[str, int] = {}  # masked message → pattern
        self._general: dict[tuple[int, str], list[int]] = defaultdict(list)  # merged patterns, by length and first word
        self._header: dict[str, tuple[str, set[str]]] = {}  # what a header begins with → the words that take turns next
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
        result = [
            Template(number, _text(pattern.tokens, pattern.examples), pattern.count, tuple(pattern.examples[:EXAMPLES]))
            for number, pattern in enumerate(self._patterns)
            if pattern.parent < 0
        ]
        return sorted(result, key=lambda template: (-template.count, template.id))

    # ── durable ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def snapshot(self) -> dict[str, Any]:
        """Everything that was learnt, as plain data for JSON or a database."""
        return {
            "version": VERSION,
            "patterns": [[" ".join(p.tokens), p.count, list(p.examples), p.parent] for p in self._patterns],
            "general": sorted(number for numbers in self._general.values() for number in numbers),
            "header": {before: [token, *sorted(words)] for before, (token, words) in self._header.items()},
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
        miner._header = {before: (token, set(words)) for before, (token, *words) in snapshot.get("header", {}).items()}
        miner._fresh = snapshot["fresh"]
        return miner

    # ── new patterns ────────────────────────────────────────────────────────────────────────────────────────────────
    def _new(self, masked: str) -> int:
        tokens = tuple(_RUN.sub(lambda run: run[1] or run[2], masked).split())
        tokens = self._without_header(tokens) if self._header else tokens
        key = " ".join(tokens)
        number = self._by_key.get(key)
        if number is None:
            number = self._known(tokens)
        if number is None and (enclosed := _ENCLOSED.sub(_emptied, key)) != key:
            number = self._known(tuple(enclosed.split()))
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

    def _known(self, tokens: tuple[str, ...], itself: int = -1) -> int | None:
        """The merged pattern, another than itself, that these tokens fit."""
        for first in {tokens[0] if tokens else "", VALUE}:
            for number in self._general.get((len(tokens), first), ()):
                pattern = self._patterns[number]
                if number != itself and pattern.parent < 0 and _fit(pattern.tokens, tokens, new=itself < 0):
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
        alive = [number for number, pattern in enumerate(self._patterns) if pattern.parent < 0]
        alive = self._join_enclosed(self._join_headed(alive))
        by_length: dict[int, list[int]] = defaultdict(list)
        for number in alive:
            by_length[len(self._patterns[number].tokens)].append(number)
        for length, numbers in by_length.items():
            if length > 1 and len(numbers) > 1:
                self._merge_equal_length(numbers, length)
        for number, pattern in enumerate(self._patterns):
            if pattern.parent < 0 and (known := self._known(pattern.tokens, number)) is not None:
                self._swallow(known, number)
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

    def _join_headed(self, alive: list[int]) -> list[int]:
        """Make values of the words of a header that was not taken off: they take turns before messages of all kinds."""
        left = dict.fromkeys(alive)
        for place in range(HEADER):
            headed: dict[str, list[int]] = defaultdict(list)
            for number in left:
                tokens = self._patterns[number].tokens
                if len(tokens) > place + 1 and all(map(_is_field, tokens[:place])):
                    headed[_kind(tokens[:place])].append(number)
            for before, numbers in headed.items():
                if words := self._taking_turns(numbers, place):
                    token, known = self._header.get(before, (_common(words), ()))
                    self._header[before] = token, words.union(known)
                    for number in numbers:
                        tokens = self._patterns[number].tokens
                        if (bare := self._without_header(tokens)) != tokens:
                            self._unite([number], bare, left)
        return list(left)

    def _taking_turns(self, numbers: list[int], place: int) -> set[str]:
        """The words in a place of patterns that begin alike, if they are a header's.

        They are where they take turns before the same messages, of several lengths, and most patterns have one.
        """
        same: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for number in numbers:
            tokens = self._patterns[number].tokens
            same[tokens[place + 1 :]].add(tokens[place])
        lengths: dict[str, list[int]] = defaultdict(list)
        for rest, words in same.items():
            if len(words) > 1:
                for word in words:
                    lengths[word].append(len(rest))
        fields = {word for word, of in lengths.items() if len(of) >= MANY and len(set(of)) >= 3}
        valued = any(VALUE in token for token in self._patterns[numbers[0]].tokens[:place]) or all(
            map(_is_field, fields)
        )
        most = 2 * sum(self._patterns[n].tokens[place] in fields for n in numbers) >= len(numbers)
        return fields if valued and most and len(fields) > 1 else set()

    def _without_header(self, tokens: tuple[str, ...]) -> tuple[str, ...]:
        """Tokens with values in place of the words of a known header."""
        for place in range(min(HEADER, len(tokens) - 1)):
            token, words = self._header.get(_kind(tokens[:place]), ("", ()))
            if tokens[place] in words:
                tokens = (*tokens[:place], token, *tokens[place + 1 :])
        return tokens

    def _join_enclosed(self, alive: list[int]) -> list[int]:
        """Make patterns one that differ in what brackets or quotes hold, where that is of several lengths."""
        alike: dict[str, list[int]] = defaultdict(list)
        for number in alive:
            key = " ".join(self._patterns[number].tokens)
            if (emptied := _ENCLOSED.sub(_emptied, key)) != key:
                alike[emptied].append(number)
        left = dict.fromkeys(alive)
        for numbers in alike.values():
            if len(numbers) > 1:
                for key, group in self._by_other_places(numbers).items():
                    if len(group) > 1:
                        self._unite(group, tuple(key.split()), left)
        return list(left)

    def _by_other_places(self, numbers: list[int]) -> dict[str, list[int]]:
        """Patterns that differ in what is enclosed, by what is left where the places of several lengths are emptied."""
        keys = [" ".join(self._patterns[number].tokens) for number in numbers]
        places = zip(
            *([len(_ITEM.findall(text[1:-1])) for text in _ENCLOSED.findall(key)] for key in keys), strict=True
        )
        varied = [len(set(lengths)) > 1 for lengths in places]
        groups: dict[str, list[int]] = defaultdict(list)
        for number, key in zip(numbers, keys, strict=True):
            turn = iter(varied)
            groups[_ENCLOSED.sub(lambda match, turn=turn: _emptied(match) if next(turn) else match[0], key)].append(
                number
            )
        return groups

    def _join(self, groups: list[list[int]], numbers: list[int]) -> list[int]:
        """Make each group one pattern; the numbers of those that are left."""
        left = dict.fromkeys(numbers)
        for group in groups:
            columns = zip(*(self._patterns[number].tokens for number in group), strict=True)
            self._unite(group, tuple(_common(set(column)) for column in columns), left)
        return list(left)

    def _unite(self, group: list[int], tokens: tuple[str, ...], left: dict[int, None]) -> None:
        """Make a group one pattern with these tokens; `left` are the numbers of those that are left."""
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

    def _swallow(self, whole: int, number: int) -> None:
        target, other = self._patterns[whole], self._patterns[number]
        target.count += other.count
        target.examples += other.examples[: max(2, 4 * EXAMPLES - len(target.examples))]
        del target.examples[8 * EXAMPLES :]
        other.parent, other.count, other.examples, other.tokens = whole, 0, [], ()


def _is_field(token: str) -> bool:
    """Whether a token may be a field of a header: a value, in brackets, or in capitals."""
    return VALUE in token or token.isupper() or token[0] in "[(<"


def _kind(tokens: tuple[str, ...]) -> str:
    """What headers of one kind have in common."""
    return " ".join(token if VALUE in token else "A" if token.isupper() else "[" for token in tokens)


def _slot(tokens: tuple[str, ...]) -> tuple[int, str]:
    """Where a merged pattern is kept: by its length and its first word."""
    return len(tokens), VALUE if VALUE in tokens[0] else tokens[0]


# What a token ends with that is not of its value: `(<*>)` behind a name, and what closes.
_TAILS = re.compile(r"(?<=\w)[(\[{]<\*>[)\]}'\",;:.]*$"), re.compile(r"[)\]}'\",;:.]*$")
_CUES = ("user", "username", "host", "hostname")  # what follows is a name, however few there are
_NAME = re.compile(r"[\d_@$/\\*#]|\w\.\w|[a-z][A-Z]")


def _is_name(token: str) -> bool:
    """Whether what is left of a token without its masked values is a name, or nothing, rather than a word."""
    rest = token.replace(VALUE, "").strip("()[]{}<>.,:;=-'\"!?")
    return not rest or _NAME.search(rest) is not None


def _fit(general: tuple[str, ...], tokens: tuple[str, ...], *, new: bool) -> bool:
    """Whether a merged pattern stands for tokens, as many as its own; what is not new had its chance to be merged."""
    if tokens[0] != general[0] and VALUE not in tokens[0] and not _may_vary(general, 0):
        return False
    return all(
        a == b or (_fits(a, b) and (new or VALUE in b or _closed(a))) for a, b in zip(general, tokens, strict=True)
    )


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
    tail = next((tail for pattern in _TAILS if (tail := _shared(pattern, tokens)) is not None), "")
    heads = [token[: len(token) - len(tail)] for token in tokens]
    first, last = min(heads), max(heads)  # in the order of the alphabet: what these share at the start, all do
    shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return f"{_head(first[:shared])}{VALUE}{tail}"


def _shared(pattern: re.Pattern[str], tokens: set[str]) -> str | None:
    """What all tokens have that matches; None where they differ."""
    matches = {match[0] if (match := pattern.search(token)) else None for token in tokens}
    return matches.pop() if len(matches) == 1 else None


def _head(token: str) -> str:
    """What stands before the value of a token: a key, an opening bracket or quote."""
    return token[: max(token.rfind(sign) for sign in "=:([{'\"/") + 1]


def _values_of(patterns: list[_Pattern], same: list[int], place: int) -> list[int]:
    """Of patterns that differ in one place only, those whose token there is a value."""
    tokens = {number: patterns[number].tokens[place] for number in same}
    every = set(tokens.values())
    before = patterns[same[0]].tokens[place - 1].lower() if place else ""
    if len(every) >= (MANY if place else MANY_FIRST) or before in _CUES:
        return same
    if all(map(_DURATION.fullmatch, every)) and len(set(map(_key, every))) == 1:
        return same
    alone = [n for n in same if _ALONE.fullmatch(tokens[n])]
    for key in dict.fromkeys(_key(tokens[n]) for n in alone if _may_vary(patterns[n].tokens, place)):
        # A value stands alone: what else has its key are values too, of which the masks do not know.
        whole = any(_closed(tokens[n]) for n in alone if _key(tokens[n]) == key)
        keyed = [n for n in same if tokens[n].startswith(key) and (whole or VALUE in tokens[n])]
        if len(keyed) > 1:
            return keyed
    if not place:  # the name of a function says what happened, as a first word does
        named = [n for n in same if _is_name(tokens[n]) and not _FUNCTION.fullmatch(tokens[n])]
        return named if len(named) >= MANY else []
    named = [n for n in same if _is_name(tokens[n]) and not _CAMEL.fullmatch(tokens[n])]
    perhaps = [n for n in same if n not in named and (_is_name(tokens[n]) or "-" in tokens[n].strip("-.,:;"))]
    mostly = named and 2 * len(named + perhaps) >= len(same) and all(map(_closed, every))
    return same if mostly else named


_CAMEL = re.compile(r"\W*[A-Za-z]+\W*")
_FUNCTION = re.compile(r"[A-Za-z_]+\W*")
_LEAD = r"(?:[^<]*[=:(\[{'\"/])?"
_ALONE = re.compile(rf"{_LEAD}<\*>(?:[^\w<]*<\*>)*[^\w<]*")  # `<*>`, `port=<*>`, `(<*>:<*>)`
_DURATION = re.compile(rf"{_LEAD}<\*>(?:ns|us|µs|ms|s|m|h)?\W*")  # `<*>ms`, where another time it is `<*>s`


def _key(token: str) -> str:
    """What a token names its value by: `port=`, `state:`."""
    before = token.partition(VALUE)[0]
    return before[: max(before.rfind("="), before.rfind(":")) + 1]


def _may_vary(tokens: tuple[str, ...], place: int) -> bool:
    """Whether a value may take the place of a word: the first only if it has a key, or the others say enough."""
    return place > 0 or bool(_key(tokens[0])) or sum(VALUE not in token for token in tokens[1:]) >= 2


def _closed(token: str) -> bool:
    """Whether what brackets of a token open they close: where they do not, more words follow that belong to it."""
    return token.count("(") == token.count(")") and token.count("[") == token.count("]")


_NUMBERED = re.compile(r"[A-Za-z]{2,}<\*>|[A-Z]<\*>")


_LONG_NUMBER = re.compile(r"\d{3}")


def _text(tokens: tuple[str, ...], examples: list[str]) -> str:
    """A template's text: digits that belong to a word and never varied (`ssh2`, `mod_jk2`) are put back."""
    rows = [example.split() for example in examples]
    if not rows or any(len(row) != len(tokens) for row in rows):
        return " ".join(tokens)
    return " ".join(map(_with_digits, tokens, zip(*rows, strict=True)))


def _with_digits(token: str, column: tuple[str, ...]) -> str:
    """A token as it was in all examples, if its digits belong to a word; of a single example, not a long number."""
    first = column[0]
    constant = column.count(first) == len(column) and (len(column) > 1 or not _LONG_NUMBER.search(first))
    return first if constant and _NUMBERED.search(token) else token

"""Byte-level byte-pair encoding (BPE): text as numbers and back, without a character that is unknown.

    tokenizer = train_tokenizer(texts, size=1024, special_tokens=["<|end|>"])
    tokenizer.encode("The pod is failing.")         # a list of ids, each below 1024
    tokenizer.encode_stream(open("large.txt"))      # ids, one after the other, in little memory

A *pretoken* is a piece of text that no token crosses, such as a word with the space before it. Training merges the
commonest pair of neighbouring tokens, again and again: Sennrich et al. (2016), https://arxiv.org/abs/1508.07909. That
it begins with bytes is GPT-2's (Radford et al., 2019). With the vocabulary of a model of OpenAI, `Tokenizer` gives the
ids that the library tiktoken gives.

Not here: normalisation of the text, WordPiece, unigram models.
"""

import codecs
import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from operator import methodcaller

import regex

GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
GPT4_PATTERN = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"""
    r"""|\s++$|\s*[\r\n]|\s+(?!\S)|\s"""
)
"""GPT-4's takes no more than three digits at a time, and leaves the line break with the mark before it."""

BYTES = [bytes([value]) for value in range(256)]
COMPLEMENT = bytes(255 - value for value in range(256))

Pair = tuple[bytes, bytes]


# --- training -------------------------------------------------------------------------------------------------------


def train_tokenizer(
    texts: Iterable[str], size: int, special_tokens: Collection[str] = (), pattern: str = GPT4_PATTERN
) -> "Tokenizer":
    """Learn a vocabulary from texts.

    Args:
        texts: documents, one at a time; no token crosses from one into the next.
        size: ids in all: the 256 bytes, merges, then the special tokens. Fewer where the texts offer no more pairs.
        special_tokens: texts with an id of their own, such as the mark of a document's end.
        pattern: the regular expression that cuts texts into pretokens; it matches every character.

    Raises:
        ValueError: size leaves no room for the bytes and the special tokens, or texts is one text.
    """
    if size < 256 + len(special_tokens):
        least = 256 + len(special_tokens)
        raise ValueError(
            f"size must be at least {least}, got {size}: 256 bytes and {len(special_tokens)} special tokens."
        )
    merges = train(count_pretokens(texts, special_tokens, pattern), size - 256 - len(special_tokens))
    # Two pairs can, though seldom, join to the same token: it has one id.
    tokens = dict.fromkeys([*BYTES, *(left + right for left, right in merges)])
    vocabulary = {token: number for number, token in enumerate(tokens)}
    special = {token: len(vocabulary) + number for number, token in enumerate(special_tokens)}
    return Tokenizer(vocabulary, special, pattern)


def count_pretokens(
    texts: Iterable[str], special_tokens: Collection[str] = (), pattern: str = GPT4_PATTERN
) -> Counter[bytes]:
    """Count the pretokens of texts, as bytes in UTF-8. Memory grows with the different pretokens, not with the texts.

    Special tokens are cut out first: they are not counted, and no pretoken crosses one.

    Raises:
        ValueError: texts is one text instead of several, or holds half of a character (a lone surrogate).
    """
    if isinstance(texts, str):
        raise ValueError(f"texts must be a list of texts, got the text {texts[:30]!r}. Put it into a list: [text].")
    expression = regex.compile(pattern)
    counts: Counter[str] = Counter()
    for text in texts:
        for part in _split_at(_checked(text), special_tokens)[::2]:
            counts.update(map(methodcaller("group"), expression.finditer(part)))
    return Counter({pretoken.encode(): count for pretoken, count in counts.items()})


def train(counts: Mapping[bytes, int], merges: int) -> list[Pair]:
    """Merge the commonest pair of neighbouring tokens, over and over; return the pairs in the order of their merging.

    A pretoken's tokens are its bytes at first. A pair is counted wherever its tokens are neighbours ("aaa" has the pair
    a, a twice) and merged from left to right. Of pairs equally common the one whose bytes are greatest is merged, the
    first token compared first. Only pretokens that hold the merged pair are counted again.

    Args:
        counts: how often each pretoken occurs, at least once.
        merges: how many pairs to merge; fewer are returned where none is left.

    Raises:
        ValueError: merges is below 0, or a count below 1.
    """
    if merges < 0:
        raise ValueError(f"merges must be at least 0, got {merges}.")
    words = [[BYTES[value] for value in pretoken] for pretoken in counts]
    weights = _checked_counts(counts)
    frequency: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)  # words that hold, or once held, a pair
    for place, word in enumerate(words):
        for pair in pairwise(word):
            frequency[pair] += weights[place]
            places[pair].add(place)
    heap = [_entry(pair, count) for pair, count in frequency.items()]
    heapq.heapify(heap)
    merged: list[Pair] = []
    while heap and len(merged) < merges:
        negative, _, _, pair = heapq.heappop(heap)
        if frequency[pair] != -negative:
            # The entry is out of date. A pair that became rarer waits at its new place; a commoner one has an entry.
            if 0 < frequency[pair] < -negative:
                heapq.heappush(heap, _entry(pair, frequency[pair]))
            continue
        merged.append(pair)
        change: Counter[Pair] = Counter()
        for place in places.pop(pair):
            before, words[place] = words[place], _merge(words[place], pair)
            for old in pairwise(before):
                change[old] -= weights[place]
            for new in pairwise(words[place]):
                change[new] += weights[place]
                places[new].add(place)
        for changed, difference in change.items():
            frequency[changed] += difference
            if difference > 0:
                heapq.heappush(heap, _entry(changed, frequency[changed]))
    return merged


def _entry(pair: Pair, count: int) -> tuple[int, str, str, Pair]:
    """A heap's entry, of which the smallest is the commonest pair, and of those the greatest."""
    # Complements turn the order round. An end above all bytes does so for a token and its beginning: "ab" is above "a".
    left, right = (token.translate(COMPLEMENT).decode("latin-1") + "\u0100" for token in pair)
    return -count, left, right, pair


def _merge(word: list[bytes], pair: Pair) -> list[bytes]:
    """Join the pair wherever it stands in the word, from left to right."""
    merged, place = [], 0
    while place < len(word):
        both = tuple(word[place : place + 2]) == pair
        merged.append(pair[0] + pair[1] if both else word[place])
        place += 1 + both
    return merged


# --- encoding and decoding ------------------------------------------------------------------------------------------


def merge_bytes(pretoken: bytes, ranks: Mapping[bytes, int]) -> list[bytes]:
    """Cut a pretoken into tokens: join the neighbours whose union has the lowest rank, until no union is a token.

    Of equal unions the leftmost is joined first. A heap makes it n log n steps for n bytes: anybody may send a megabyte
    of letters without a space.

    Args:
        pretoken: bytes.
        ranks: the rank of each token: its id in the vocabulary. All single bytes are tokens.
    """
    length = len(pretoken)
    ends = [byte + 1 for byte in range(length)]  # the end of the token that begins at a byte
    begins = [byte - 1 for byte in range(length)]  # the beginning of the token before it

    def union(begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        rank = ranks.get(pretoken[begin:end])
        if rank is not None:
            yield rank, begin, end

    heap = [entry for begin in range(length) for entry in union(begin, begin + 2)]
    heapq.heapify(heap)
    while heap:
        _, begin, end = heapq.heappop(heap)
        middle = ends[begin]
        if middle >= length or ends[middle] != end:  # one of the two has been joined to another
            continue
        ends[begin], ends[middle] = end, length  # no token begins in the middle any more
        if end < length:
            begins[end] = begin
            for entry in union(begin, ends[end]):
                heapq.heappush(heap, entry)
        if begin > 0:
            for entry in union(begins[begin], end):
                heapq.heappush(heap, entry)
    tokens, begin = [], 0
    while begin < length:
        tokens.append(pretoken[begin : ends[begin]])
        begin = ends[begin]
    return tokens


class Tokenizer:
    """Turns text into ids and back.

    Args:
        vocabulary: the id of each token. Unions of a lower id are joined first. All 256 single bytes are in it.
        special_tokens: the id of each special token, different from all others.
        pattern: the regular expression that cuts texts into pretokens; it matches every character.
        cached: for how many pretokens the ids are kept; text repeats its words.

    Attributes:
        size: how many ids there are. The arguments are kept under their own names.

    Raises:
        ValueError: a byte is missing, or an id stands for two tokens.
    """

    def __init__(
        self,
        vocabulary: Mapping[bytes, int],
        special_tokens: Mapping[str, int] | None = None,
        pattern: str = GPT4_PATTERN,
        cached: int = 100_000,
    ) -> None:
        self.vocabulary, self.special_tokens = dict(vocabulary), dict(special_tokens or {})
        self.pattern, self.cached = pattern, cached
        missing = [byte for byte in BYTES if byte not in self.vocabulary]
        if missing:
            raise ValueError(
                f"vocabulary must hold all 256 single bytes, it lacks {len(missing)}, first {missing[0]!r}."
            )
        self._bytes = {number: token for token, number in self.vocabulary.items()}
        self._bytes |= {number: token.encode() for token, number in self.special_tokens.items()}
        self.size = len(self._bytes)
        if self.size < len(self.vocabulary) + len(self.special_tokens):
            used = Counter([*self.vocabulary.values(), *self.special_tokens.values()])
            raise ValueError(f"vocabulary and special_tokens give the id {used.most_common(1)[0][0]} to two tokens.")
        self._expression = regex.compile(pattern)
        self._cache: dict[str, list[int]] = {}

    def encode(self, text: str, allow_special: bool = False) -> list[int]:
        """Return the ids of a text.

        Args:
            text: any text.
            allow_special: whether a special token in the text gets its id. Leave it False for what users write: theirs
                is then text like any other, which ends no turn and opens no role.

        Raises:
            ValueError: the text holds half of a character (a lone surrogate).
        """
        ids: list[int] = []
        special = self.special_tokens if allow_special else {}
        for part in _split_at(_checked(text), special):
            if part in special:
                ids.append(special[part])
            else:
                for pretoken in self._expression.findall(part):
                    ids += self._pretoken_ids(pretoken)
        return ids

    def encode_stream(self, chunks: Iterable[str], allow_special: bool = False) -> Iterator[int]:
        """Yield the ids of a text that comes in pieces: those of `encode` on the whole, wherever it was cut.

        The end of the text so far is held back: its last two pretokens, which the next piece may change (`it'r` and
        `e`), and as much as a special token may still begin in.
        """
        special = self.special_tokens if allow_special else ()
        longest = max(map(len, special), default=0)
        rest = ""
        for chunk in chunks:
            parts = _split_at(rest + _checked(chunk), special)
            while len(parts) >= 3 and len(parts[-2]) + len(parts[-1]) < longest:  # a longer one may begin there
                parts[-3:] = ["".join(parts[-3:])]
            *whole, rest = parts
            yield from self.encode("".join(whole), allow_special)
            settled = self._expression.findall(rest[: max(0, len(rest) - longest)])[:-2]
            for pretoken in settled:
                yield from self._pretoken_ids(pretoken)
            rest = rest[sum(map(len, settled)) :]
        yield from self.encode(rest, allow_special)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids. Bytes that are no UTF-8, as half of a character is, become U+FFFD.

        Raises:
            ValueError: an id is not in the vocabulary.
        """
        return b"".join(map(self._token, ids)).decode(errors="replace")

    def decode_stream(self, ids: Iterable[int]) -> Iterator[str]:
        """Yield the text of ids as they come; bytes of a character wait until it is whole."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for number in ids:
            yield decoder.decode(self._token(number))
        yield decoder.decode(b"", final=True)

    def _token(self, number: int) -> bytes:
        if number not in self._bytes:
            raise ValueError(f"ids must be in the vocabulary of {self.size}, got {number}: is it another model's?")
        return self._bytes[number]

    def _pretoken_ids(self, pretoken: str) -> list[int]:
        """The ids of a pretoken, kept for the next time. A pretoken that is a token is that token, merged or not."""
        ids = self._cache.get(pretoken)
        if ids is None:
            word = pretoken.encode()
            tokens = [word] if word in self.vocabulary else merge_bytes(word, self.vocabulary)
            ids = [self.vocabulary[token] for token in tokens]
            if len(self._cache) >= self.cached:
                self._cache.clear()
            if len(word) <= 64:
                self._cache[pretoken] = ids
        return ids


def byte_letters() -> dict[int, str]:
    """The letter that stands for each byte in the files of GPT-2 and of Hugging Face, where a space is Ġ.

    Printable bytes stand for themselves; the others, in ascending order, for the characters from U+0100 on.
    """
    others = [*range(0, 33), *range(127, 161), 173]
    return {value: chr(256 + others.index(value) if value in others else value) for value in range(256)}


def _split_at(text: str, special_tokens: Collection[str]) -> list[str]:
    """Cut a text at special tokens: ordinary text at even places, special tokens at odd ones.

    Where several begin at one place, the longest is taken.
    """
    if not special_tokens:
        return [text]
    names = sorted(special_tokens, key=len, reverse=True)
    return regex.split(f"({'|'.join(map(regex.escape, names))})", text)


def _checked(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, got {type(text).__name__}. Decode bytes first: data.decode().")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text holds half of a character, the lone surrogate {text[error.start]!r}, at {error.start}. "
            "Mend it first: text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')."
        ) from error
    return text


def _checked_counts(counts: Mapping[bytes, int]) -> list[int]:
    least = min(counts.values(), default=1)
    if least < 1:
        raise ValueError(f"counts must be at least 1, got {least}. Leave out what does not occur.")
    return list(counts.values())

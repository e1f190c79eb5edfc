# pyright: basic
"""Ways to get tokenization wrong, and right ways that differ."""

import codecs
from collections import Counter
from itertools import pairwise

import regex

from groundup.anatomy import mistake, variant
from groundup.stack.generative.tokenization.tokenization import (
    BYTES,
    GPT4_PATTERN,
    _checked,
    _checked_counts,
    _merge,
    _split_at,
)


@mistake("count_pretokens", edit=("[::2]:", ":"))
def counts_special_tokens():
    """You count special tokens too. They have an id of their own: count the parts at even places only."""


@mistake("count_pretokens", edit=("[::2]:", "[:1]:"))
def stops_at_the_first_special_token():
    """You count the text before the first special token and drop the rest of the document."""


@mistake(
    "count_pretokens", edit=('map(methodcaller("group"), expression.finditer(part))', "set(expression.findall(part))")
)
def counts_a_pretoken_once_a_text():
    """You count each pretoken once a text. A pair's weight is how often it occurs, not in how many texts."""


@mistake("train")
def breaks_ties_by_what_came_first(counts, merges):
    """Of pairs equally common you take the one that you met first, which depends on the order of the words. The rule
    is: the pair whose bytes are greatest.
    """
    if merges < 0:
        raise ValueError(f"merges must be at least 0, got {merges}.")
    weights, words = _checked_counts(counts), [[BYTES[value] for value in pretoken] for pretoken in counts]
    merged = []
    while len(merged) < merges:
        frequency = Counter()
        for word, weight in zip(words, weights, strict=True):
            for pair in pairwise(word):
                frequency[pair] += weight
        if not frequency:
            break
        best = max(frequency, key=lambda pair: frequency[pair])
        merged.append(best)
        words = [_merge(word, best) for word in words]
    return merged


@mistake("train", edit=("frequency[pair] += weights[place]", "frequency[pair] += 1"))
def counts_words_and_not_their_occurrences():
    """You count each different pretoken once. A pretoken that occurs 900 times gives its pairs 900."""


@mistake("train", edit=("change[old] -= weights[place]", "change[old] -= 0"))
def keeps_the_counts_of_pairs_that_are_gone():
    """You add the new pairs and keep the old: joining a, b in "xab" also takes away one x, a."""


@mistake("train", edit=("if frequency[pair] != -negative:", "if frequency[pair] == 0:"))
def trusts_old_entries_of_the_heap():
    """You merge by the count that stood in the heap, and not by the pair's count now. Compare the two."""


@mistake("merge_bytes")
def takes_the_longest_token_from_the_left(pretoken, ranks):
    """You take the longest token from the left, over and over. That is another encoding: byte-pair encoding joins
    in the order in which training found the pairs, which is the order of the ranks.
    """
    tokens = []
    while pretoken:
        length = next(length for length in range(len(pretoken), 0, -1) if pretoken[:length] in ranks)
        tokens.append(pretoken[:length])
        pretoken = pretoken[length:]
    return tokens


@mistake("merge_bytes", edit=("yield rank, begin, end", "yield -rank, begin, end"))
def joins_the_youngest_pair_first():
    """You join the union of the highest rank first. Training merged the lowest first, so encoding does."""


@mistake("merge_bytes", edit=("middle >= length or ends[middle] != end", "middle >= length"))
def joins_what_is_no_pair_any_more():
    """You join by an entry of the heap that is out of date: the token behind has grown, and ends elsewhere."""


@mistake("merge_bytes", edit=("if begin > 0:", "if begin > length:"))
def forgets_the_neighbour_before():
    """You look for new unions only behind the joined token. The token before it may join it as well."""


@mistake("Tokenizer.encode", edit=("self.special_tokens if allow_special else {}", "self.special_tokens"))
def always_allows_special_tokens():
    """You give special tokens their id in any text. A user who types one then ends your turn and begins another."""


@mistake("Tokenizer.encode", edit=("self.special_tokens if allow_special else {}", "{}"))
def never_sees_special_tokens():
    """You never give a special token its id: the model then sees a mark that it was not trained on."""


@mistake("Tokenizer.encode", edit=("self._expression.findall(part)", "[part]"))
def merges_across_words():
    """You merge over the whole text. Training never crossed a pretoken, so encoding must not."""


@mistake("Tokenizer.encode_stream")
def encodes_each_piece_by_itself(self, chunks, allow_special=False):
    """You encode each piece by itself: a word that is cut in two becomes other tokens than the word."""
    for chunk in chunks:
        yield from self.encode(chunk, allow_special)


@mistake("Tokenizer.encode_stream")
def waits_for_the_end(self, chunks, allow_special=False):
    """You collect all of the text before the first id. A stream may be larger than memory, and may never end."""
    yield from self.encode("".join(chunks), allow_special)


@mistake("Tokenizer.encode_stream", edit=("[:-2]", "[:-1]"))
def holds_back_one_pretoken():
    """You hold back one pretoken. Two may still change: `it'r` ends in ' and r, and an e makes them 're."""


@mistake(
    "Tokenizer.decode",
    edit=(
        'b"".join(map(self._token, ids)).decode(errors="replace")',
        '"".join(self._token(number).decode(errors="replace") for number in ids)',
    ),
)
def reads_each_token_by_itself():
    """You read each token's bytes by themselves. A character may be cut into two tokens: join the bytes first."""


@mistake("Tokenizer.decode", edit=('errors="replace"', ""))
def raises_on_half_a_character():
    """You raise where the bytes are no UTF-8. A model may write half of a character at any time: show U+FFFD."""


@mistake("Tokenizer.decode", edit=('errors="replace"', 'errors="ignore"'))
def hides_broken_bytes():
    """You leave out bytes that are no UTF-8. Then nobody sees that something was lost: show U+FFFD."""


@variant("count_pretokens")
def by_lists(texts, special_tokens=(), pattern=GPT4_PATTERN):
    """A list of pretokens for each part, counted as bytes."""
    if isinstance(texts, str):
        raise ValueError(f"texts must be several, got one: {texts!r}")
    counts = Counter()
    for text in texts:
        for place, part in enumerate(_split_at(_checked(text), special_tokens)):
            if place % 2 == 0:
                counts += Counter(piece.encode() for piece in regex.findall(pattern, part))
    return counts


@variant("merge_bytes")
def pair_by_pair(pretoken, ranks):
    """The pair of the lowest union is joined wherever it stands, as in training; a union is younger than its parts."""
    word = [pretoken[place : place + 1] for place in range(len(pretoken))]
    while len(word) > 1:
        pair = min(set(pairwise(word)), key=lambda pair: ranks.get(pair[0] + pair[1], len(ranks)))
        if pair[0] + pair[1] not in ranks:
            break
        word = _merge(word, pair)
    return word


@variant("Tokenizer.encode_stream")
def by_larger_remainders(self, chunks, allow_special=False):
    """Everything is encoded that stands before the last five spaces in front of which there is none."""
    marks = [*self.special_tokens] if allow_special else []
    rest = ""
    for chunk in chunks:
        rest += _checked(chunk)
        keep = max(map(len, marks), default=0) + 2
        cuts = [m.start() for m in regex.finditer(r"(?<=\S) ", rest[: max(0, len(rest) - keep)])]
        within = [m.span() for m in regex.finditer("|".join(map(regex.escape, marks)), rest)] if marks else []
        cuts = [cut for cut in cuts if not any(a < cut < b for a, b in within)]
        if cuts:
            yield from self.encode(rest[: cuts[-1]], allow_special)
            rest = rest[cuts[-1] :]
    yield from self.encode(rest, allow_special)


@variant("Tokenizer.decode")
def by_an_incremental_decoder(self, ids):
    """Token after token through a decoder that waits for whole characters."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return "".join([decoder.decode(self._token(number)) for number in ids]) + decoder.decode(b"", final=True)

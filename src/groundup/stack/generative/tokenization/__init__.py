"""Byte-level byte-pair encoding: trained, encoded, decoded, streamed, with special tokens."""

from groundup.stack.generative.tokenization.tokenization import (
    GPT2_PATTERN,
    GPT4_PATTERN,
    Pair,
    Tokenizer,
    byte_letters,
    count_pretokens,
    merge_bytes,
    train,
    train_tokenizer,
)

__all__ = [
    "GPT2_PATTERN",
    "GPT4_PATTERN",
    "Pair",
    "Tokenizer",
    "byte_letters",
    "count_pretokens",
    "merge_bytes",
    "train",
    "train_tokenizer",
]

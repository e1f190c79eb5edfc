"""Scaled dot-product attention, multi-head attention and a small encoder-decoder."""

from groundup.stack.deep.attention.attention import (
    DecoderBlock,
    EncoderBlock,
    MultiHeadAttention,
    SelfAttention,
    Transformer,
    attend,
    causal_mask,
    feed_forward,
    masked_softmax,
    positional_encoding,
)

__all__ = [
    "DecoderBlock",
    "EncoderBlock",
    "MultiHeadAttention",
    "SelfAttention",
    "Transformer",
    "attend",
    "causal_mask",
    "feed_forward",
    "masked_softmax",
    "positional_encoding",
]

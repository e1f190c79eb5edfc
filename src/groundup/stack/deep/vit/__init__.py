"""The vision transformer: patches as tokens, positions, an encoder, and how attention flows through it."""

from groundup.stack.deep.vit.vit import (
    EncoderBlock,
    PatchEmbedding,
    VisionTransformer,
    attention_distance,
    parameters,
    patchify,
    resize_positions,
    rollout,
    sine_positions,
    unpatchify,
)

__all__ = [
    "EncoderBlock",
    "PatchEmbedding",
    "VisionTransformer",
    "attention_distance",
    "parameters",
    "patchify",
    "resize_positions",
    "rollout",
    "sine_positions",
    "unpatchify",
]

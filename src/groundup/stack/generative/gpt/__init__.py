"""A decoder-only transformer as open models are built: its parts, its training, and loading of published weights."""

from groundup.stack.generative.gpt.gpt import (
    GPT,
    AdamW,
    Block,
    Cache,
    Config,
    GroupedQueryAttention,
    RMSNorm,
    SwiGLU,
    batches,
    clip_gradients,
    cosine_schedule,
    cross_entropy,
    decay_groups,
    from_hugging_face,
    rope,
    train,
)

__all__ = [
    "GPT",
    "AdamW",
    "Block",
    "Cache",
    "Config",
    "GroupedQueryAttention",
    "RMSNorm",
    "SwiGLU",
    "batches",
    "clip_gradients",
    "cosine_schedule",
    "cross_entropy",
    "decay_groups",
    "from_hugging_face",
    "rope",
    "train",
]

"""Optimizers as PyTorch has them: SGD, RMSProp, Adam and AdamW, a schedule, clipping, and who decays."""

from groundup.stack.deep.optimizers.optimizers import (
    SGD,
    Adam,
    AdamW,
    RMSProp,
    Rule,
    WarmupCosine,
    clip_gradients,
    decay_groups,
)

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "RMSProp",
    "Rule",
    "WarmupCosine",
    "clip_gradients",
    "decay_groups",
]

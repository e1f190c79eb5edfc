"""Regularization: dropout, batch normalization with its gradients by hand, penalties and weight decay."""

from groundup.stack.deep.regularization.regularization import (
    BatchNorm,
    Dropout,
    batch_norm,
    batch_norm_backward,
    decay,
    decay_groups,
    deep_mlp,
    dropout,
    penalty,
)

__all__ = [
    "BatchNorm",
    "Dropout",
    "batch_norm",
    "batch_norm_backward",
    "decay",
    "decay_groups",
    "deep_mlp",
    "dropout",
    "penalty",
]

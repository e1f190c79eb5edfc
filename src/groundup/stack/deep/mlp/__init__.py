"""A two-layer network: forward and backward by hand."""

from groundup.stack.deep.mlp.mlp import (
    Cache,
    MLPClassifier,
    Parameters,
    backward,
    forward,
    he_normal,
    initialize,
    linear,
    linear_backward,
    relu_backward,
    train,
    update,
)

__all__ = [
    "Cache",
    "MLPClassifier",
    "Parameters",
    "backward",
    "forward",
    "he_normal",
    "initialize",
    "linear",
    "linear_backward",
    "relu_backward",
    "train",
    "update",
]

"""What a model costs in weights, operations and bytes; mixed precision and data parallel training."""

from groundup.stack.generative.scaling.scaling import (
    GB,
    MODELS,
    LossScaler,
    Precision,
    average_gradients,
    count_flops,
    count_parameters,
    longest_context,
    saved_activations,
    shard,
    training_memory,
    utilization,
)

__all__ = [
    "GB",
    "MODELS",
    "LossScaler",
    "Precision",
    "average_gradients",
    "count_flops",
    "count_parameters",
    "longest_context",
    "saved_activations",
    "shard",
    "training_memory",
    "utilization",
]

"""Framing a problem: baselines, splits, leaks, and the decomposition of a model's error."""

from groundup.stack.classical.framing.framing import (
    BiasVariance,
    LearningCurve,
    MajorityClassifier,
    bias_variance,
    learning_curve,
    shared_rows,
    split,
    time_split,
)

__all__ = [
    "BiasVariance",
    "LearningCurve",
    "MajorityClassifier",
    "bias_variance",
    "learning_curve",
    "shared_rows",
    "split",
    "time_split",
]

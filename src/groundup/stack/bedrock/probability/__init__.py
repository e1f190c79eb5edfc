"""Probability: densities, samplers, maximum likelihood, the central limit theorem, and alert thresholds."""

from groundup.stack.bedrock.probability.probability import (
    Exponential,
    Gamma,
    Normal,
    Poisson,
    alert_threshold,
    box_muller,
    rejection_sample,
    standardised_means,
)

__all__ = [
    "Exponential",
    "Gamma",
    "Normal",
    "Poisson",
    "alert_threshold",
    "box_muller",
    "rejection_sample",
    "standardised_means",
]

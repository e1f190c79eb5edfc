"""A/B testing: assignment, size, a test that may be watched, adjustment by the past, a decision, and a report."""

from groundup.stack.bedrock.ab_testing.ab_testing import (
    Arm,
    Comparison,
    Decision,
    Experiment,
    always_valid,
    assign,
    confidence_sequence,
    cuped,
    decide,
    differences,
    sample_ratio,
    two_proportions,
    visitors_needed,
)

__all__ = [
    "Arm",
    "Comparison",
    "Decision",
    "Experiment",
    "always_valid",
    "assign",
    "confidence_sequence",
    "cuped",
    "decide",
    "differences",
    "sample_ratio",
    "two_proportions",
    "visitors_needed",
]

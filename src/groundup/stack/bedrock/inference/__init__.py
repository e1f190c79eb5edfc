"""Inference: tests of differences, intervals without a formula, power, and many tests at once."""

from groundup.stack.bedrock.inference.inference import (
    Anova,
    TTest,
    bca_interval,
    benjamini_hochberg,
    bootstrap_interval,
    chi_square,
    mean_difference,
    one_sample_t,
    one_way_anova,
    permutation_test,
    power,
    sample_size,
    studentised,
    welch_t,
)

__all__ = [
    "Anova",
    "TTest",
    "bca_interval",
    "benjamini_hochberg",
    "bootstrap_interval",
    "chi_square",
    "mean_difference",
    "one_sample_t",
    "one_way_anova",
    "permutation_test",
    "power",
    "sample_size",
    "studentised",
    "welch_t",
]

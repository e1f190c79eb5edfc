"""Information: entropy, divergences, mutual information beyond chance, and perplexity."""

from groundup.stack.bedrock.information.information import (
    bits_per_byte,
    conditional_information,
    count_pairs,
    cross_entropy,
    entropy,
    excess_information,
    expected_information,
    joined,
    js_divergence,
    kl_divergence,
    kl_normal,
    mutual_information,
    perplexity,
)

__all__ = [
    "bits_per_byte",
    "conditional_information",
    "count_pairs",
    "cross_entropy",
    "entropy",
    "excess_information",
    "expected_information",
    "joined",
    "js_divergence",
    "kl_divergence",
    "kl_normal",
    "mutual_information",
    "perplexity",
]

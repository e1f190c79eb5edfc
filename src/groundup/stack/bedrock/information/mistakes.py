# pyright: basic
"""Ways to get information wrong, and right ways that differ."""

import math

import numpy as np
from scipy import special

from groundup.anatomy import mistake, variant
from groundup.stack.bedrock.information.information import (
    _distribution,
    _log,
    _log_probabilities,
    _table,
    _whole,
    entropy,
    kl_divergence,
)


@mistake("entropy", edit=("/ _log(base)", "* (0.0 * _log(base) + 1.0)"))
def stays_in_nats():
    """You take natural logarithms whatever the base. Divide by log(base): the default is bits."""


@mistake("entropy", edit=(".sum(axis=-1)", ".sum()"))
def adds_all_distributions():
    """You sum over all axes. Each distribution lies along the last axis and has an entropy of its own."""


@mistake("entropy")
def leaves_zeros_undefined(p, base=2.0):
    """You compute 0 · log 0, which is NaN. A value that never occurs surprises nobody: `special.xlogy` gives 0."""
    chances = _distribution(p, "p")
    with np.errstate(divide="ignore", invalid="ignore"):
        return -(chances * np.log(chances)).sum(axis=-1) / _log(base) + 0.0


@mistake("entropy")
def nudges_probabilities(p, base=2.0):
    """You add a small number inside the logarithm, and the result is wrong by it. `special.xlogy` needs none."""
    chances = _distribution(p, "p")
    return -(chances * np.log(chances + 1e-6)).sum(axis=-1) / _log(base)


@mistake(
    "kl_divergence",
    edit=(
        "special.xlogy(truth, truth) - special.xlogy(truth, belief)",
        "special.xlogy(belief, belief) - special.xlogy(belief, truth)",
    ),
)
def believes_the_truth():
    """You took the divergence of q from p. The mean is over what occurs, so the first distribution weighs."""


@mistake(
    "kl_divergence",
    edit=("special.xlogy(truth, truth) - special.xlogy(truth, belief)", "-special.xlogy(truth, belief)"),
)
def is_the_cross_entropy():
    """You return the cross-entropy. Take away the entropy of p, the surprise that no model can spare."""


@mistake("kl_divergence")
def forgives_the_impossible(p, q, base=2.0):
    """You skip values with q = 0. If p allows such a value, the model rules out what occurs: that is infinite."""
    truth, belief = np.broadcast_arrays(_distribution(p, "p"), _distribution(q, "q"))
    lost = special.xlogy(truth, truth) - special.xlogy(truth, np.where(belief > 0, belief, 1.0))
    return np.maximum(np.where(belief > 0, lost, 0.0).sum(axis=-1), 0.0) / _log(base)


@mistake("kl_divergence")
def divides_first(p, q, base=2.0):
    """You divide p by q before the logarithm, and the quotient overflows. Subtract logarithms instead."""
    truth, belief = _distribution(p, "p"), _distribution(q, "q")
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        ratio = np.where(truth > 0, truth / belief, 1.0)
        return np.maximum((truth * np.log(ratio)).sum(axis=-1), 0.0) / _log(base)


@mistake("js_divergence", edit=("middle = (first + second) / 2", "middle = second"))
def compares_with_the_other():
    """You compare with the other distribution, not with the mean of both, so the result can be infinite."""


@mistake("js_divergence")
def is_jeffreys(p, q, base=2.0):
    """You take the mean of both directions: Jeffreys' divergence, which is infinite where one rules something out."""
    return (kl_divergence(p, q, base) + kl_divergence(q, p, base)) / 2


@mistake(
    "js_divergence",
    edit=(
        "(kl_divergence(first, middle, base) + kl_divergence(second, middle, base)) / 2",
        "np.sqrt((kl_divergence(first, middle, base) + kl_divergence(second, middle, base)) / 2)",
    ),
)
def takes_the_root():
    """You return the distance, as SciPy's `jensenshannon` does. The divergence is its square."""


@mistake(
    "mutual_information",
    edit=("joint = counts / counts.sum()", "joint = counts / counts.sum(axis=1, keepdims=True) / len(counts)"),
)
def makes_rows_equal():
    """You divide each row by its own sum, so rare values count as much as frequent ones. Divide by the sum of all."""


@mistake(
    "mutual_information",
    edit=(
        "joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)",
        "np.full(joint.shape, 1 / joint.size)",
    ),
)
def compares_with_uniform():
    """You compare with equally probable cells. Independent pairs have the product of the margins."""


@mistake("mutual_information")
def keeps_the_joint_entropy(table, base=2.0):
    """You return the entropy that is left, H(y | x). What x tells is H(y) less that."""
    joint = _table(table) / np.sum(table)
    return float(entropy(joint.ravel(), base) - entropy(joint.sum(axis=1), base))


@mistake(
    "expected_information",
    edit=(
        "information / _log(base)",
        "((counts.sum(axis=1) > 0).sum() - 1) * ((counts.sum(axis=0) > 0).sum() - 1) / (2 * total) / _log(base)",
    ),
)
def takes_the_limit():
    """You return (rows - 1)(columns - 1) / 2N, which is the limit of many lines. With few lines sum the exact terms."""


@mistake("expected_information")
def draws_with_replacement(table, base=2.0):
    """You let a cell be binomial. A shuffled column keeps its values, each once: the law is hypergeometric."""
    counts = _table(table)
    _whole(counts)
    total, information = counts.sum(), 0.0
    columns = np.transpose(np.unique(counts.sum(axis=0), return_counts=True))
    for a, alike in np.transpose(np.unique(counts.sum(axis=1), return_counts=True)):
        for b, times in columns:
            n = np.arange(1, min(a, b) + 1)
            logs = special.gammaln(a + 1) - special.gammaln(n + 1) - special.gammaln(a - n + 1)
            logs = logs + n * np.log(max(b, 1) / total) + special.xlog1py(a - n, -b / total)
            information += alike * times * (np.exp(logs) * n / total * np.log(n * total / (a * b))).sum()
    return float(information / _log(base))


@mistake("expected_information", edit=("alike * times * (", "("))
def counts_kinds_of_margins():
    """You add each kind of margin once. Rows and columns with equal sums are as many as they are."""


@mistake("perplexity", edit=("np.exp(-logs.mean())", "2 ** -logs.mean()"))
def mixes_bases():
    """You raise 2 to a mean of natural logarithms. Logarithm and exponential need one base."""


@mistake("perplexity", edit=("np.exp(-logs.mean())", "np.exp(-logs.sum())"))
def takes_the_whole_text():
    """You take one over the probability of the whole text, which grows with its length. Take the mean over tokens."""


@mistake("perplexity", edit=("np.exp(-logs.mean())", "np.exp(-logs).mean()"))
def averages_the_choices():
    """You average 1/p, so that a single improbable token decides. The mean belongs inside the exponential."""


@variant("entropy")
def of_those_that_occur(p, base=2.0):
    """Logarithms of the values that occur alone."""
    chances = _distribution(p, "p")
    logs = np.log(chances, out=np.zeros_like(chances), where=chances > 0)
    return np.abs(np.einsum("...i,...i", chances, logs)) / _log(base)


@variant("kl_divergence")
def by_masks(p, q, base=2.0):
    """Logarithms where there are any, infinity where q rules out what p allows."""
    truth, belief = np.broadcast_arrays(_distribution(p, "p"), _distribution(q, "q"))
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.where(truth == 0, 0.0, truth * (np.log(truth) - np.log(belief)))
    return np.clip(np.sum(lost, axis=-1), 0, None) / _log(base)


@variant("js_divergence")
def by_entropies(p, q, base=2.0):
    """The entropy of the mean less the mean of the entropies."""
    first, second = _distribution(p, "p"), _distribution(q, "q")
    return entropy((first + second) / 2, base) - (entropy(first, base) + entropy(second, base)) / 2


@variant("mutual_information")
def by_three_entropies(table, base=2.0):
    """H(x) + H(y) - H(x, y)."""
    joint = _table(table)
    joint = joint / joint.sum()
    return float(entropy(joint.sum(axis=1), base) + entropy(joint.sum(axis=0), base) - entropy(joint.ravel(), base))


@variant("perplexity")
def by_weights(log_probabilities):
    """One over the geometric mean."""
    logs = _log_probabilities(log_probabilities).ravel()
    mean = math.fsum(logs) / len(logs) if np.isfinite(logs).all() else -math.inf
    return math.exp(-mean) if mean > -709 else math.inf

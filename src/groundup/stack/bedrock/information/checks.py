"""Checks of information."""

import math
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.spatial import distance

from groundup.checking import (
    assert_close,
    assert_leading_axes,
    assert_number_kinds,
    assert_order_free,
    assert_refuses,
    assert_refuses_nonfinite,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
    runs_python_lines,
)
from groundup.stack.bedrock.information import (
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

P, Q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
TABLE = np.array([[8, 1], [2, 5], [4, 0]])
TINY = 5e-324
exactly = partial(assert_close, rtol=1e-11, atol=1e-12)


def some(rng, *shape):
    """Distributions along the last axis, some values of which never occur."""
    weights = rng.gamma(0.5, size=shape) * (rng.random(shape) < 0.8)
    weights[..., 0] += 0.1
    return weights / weights.sum(axis=-1, keepdims=True)


# --- entropy --------------------------------------------------------------------------------------------------------


def test_entropy_by_hand():
    """Halves, quarters and eighths cost 1, 2 and 3 bits: 1/2 + 2/4 + 3/8 + 3/8 = 1.75."""
    exactly(entropy([1 / 2, 1 / 4, 1 / 8, 1 / 8]), 1.75)


def test_entropy_is_scipys(rng):
    """It is SciPy's in bits, nats and tens, zeros included."""
    p = some(rng, 6, 9)
    for base in (2.0, math.e, 10.0):
        exactly(entropy(p, base), stats.entropy(p, axis=-1, base=base), f"base {base}")
    exactly(entropy(p), stats.entropy(p, axis=-1, base=2), "bits are the default")


def test_entropy_at_its_ends():
    """Certainty has none, n equally probable values have log2 n bits, and nothing exceeds them."""
    exactly([entropy([0, 1, 0]), entropy([1.0])], [0, 0], "certainty")
    exactly([entropy(np.full(n, 1 / n)) for n in (2, 5, 1024)], np.log2([2, 5, 1024]), "equal values")
    exactly(entropy([1.0, TINY]), 0, "a value that all but never occurs")


def test_entropy_of_groups(rng):
    """Naming the group first and then the value costs the same in the mean (Shannon's third axiom)."""
    p = some(rng, 7)
    group = p[:3].sum()
    parts = entropy([group, 1 - group]) + group * entropy(p[:3] / group) + (1 - group) * entropy(p[3:] / p[3:].sum())
    exactly(entropy(p), parts)


def test_entropy_keeps_its_manners(rng):
    """Any axes in front, any order of the values, lists, integers and float32; what is given stays as it is."""
    assert_leading_axes(entropy, some(rng, 4, 5))
    assert_order_free(entropy, P)
    assert_number_kinds(entropy, [0, 1, 0])
    assert_unchanged(entropy, P)
    assert_close(entropy(P.astype(np.float32)), 1.5, "float32")


@pytest.mark.parametrize("call", [entropy, lambda p: kl_divergence(p, P), lambda p: js_divergence(p, P)])
def test_what_is_no_distribution_is_refused(call):
    """Numbers below 0, not finite, or with a sum other than 1 are refused by the name p."""
    assert_refuses_nonfinite(call, P, "p")
    assert_refuses(lambda: call([1.5, -0.5, 0.0]), "p", -0.5)
    assert_refuses(lambda: call([0.5, 0.5, 0.5]), "p", 1.5)
    assert_refuses(lambda: call(1.0), "p", 1.0, message="a single number has no axis")
    for second in (kl_divergence, js_divergence):
        assert_refuses(lambda f=second: f(P, [0.5, 0.5, 0.5]), "q", 1.5)


def test_bases_are_refused():
    """A base of at most 1 has no useful logarithm."""
    bases: Any = (1.0, 0.5, 0.0, -2.0, np.nan, np.inf)
    for call in (partial(entropy, P), partial(kl_divergence, P, Q), partial(js_divergence, P, Q)):
        assert_refuses_values(call, "base", *bases)
    for call in (partial(mutual_information, TABLE), partial(expected_information, TABLE)):
        assert_refuses_values(call, "base", *bases)


# --- divergences ----------------------------------------------------------------------------------------------------


def test_kl_divergence_by_hand():
    """From (1/2, 1/4, 1/4) to (1/4, 1/4, 1/2): 1/2 · 1 + 0 - 1/4 · 1 = 1/4 bit."""
    exactly(kl_divergence(P, Q), 0.25)
    exactly(kl_divergence([0.5, 0.5], [0.125, 0.875]), 1 + 0.5 * np.log2(0.5 / 0.875), "the truth first")


def test_kl_divergence_is_scipys(rng):
    """It is SciPy's, in any base and with values that never occur."""
    p, q = some(rng, 6, 9), rng.dirichlet(np.ones(9), 6)
    exactly(kl_divergence(p, q), stats.entropy(p, q, axis=-1, base=2), "bits are the default")
    exactly(kl_divergence(p, q, math.e), stats.entropy(p, q, axis=-1), "nats")


def test_kl_divergence_of_the_impossible():
    """A model that rules out what occurs loses everything; one that allows what never occurs is only less sure."""
    exactly(kl_divergence([0.5, 0.5], [1, 0]), np.inf, "q rules a value out")
    exactly(kl_divergence([1, 0], [0.5, 0.5]), 1.0, "p rules a value out")
    exactly(kl_divergence([1, 0], [1, 0]), 0.0, "both do")


def test_kl_divergence_of_extremes():
    """A quotient that no float holds has a logarithm all the same."""
    exactly(kl_divergence([0.5, 0.5], [TINY, 1.0]), 0.5 * 1074 - 1.0)


def test_kl_divergence_is_never_negative(rng):
    """Not even by rounding, where both are nearly or exactly equal."""
    p = rng.dirichlet(np.ones(50), 400)
    q = p * (1 + 1e-15 * rng.normal(size=p.shape))
    assert (kl_divergence(p, q / q.sum(axis=-1, keepdims=True)) >= 0).all()
    exactly(kl_divergence(p, p), np.zeros(400), "equal distributions")


def test_kl_divergence_of_independent_parts(rng):
    """Divergences of independent values add up."""
    p, q, r, s = rng.dirichlet(np.ones(4), 4)
    both = kl_divergence(np.outer(p, r).ravel(), np.outer(q, s).ravel())
    exactly(both, kl_divergence(p, q) + kl_divergence(r, s))


def test_kl_divergence_of_fine_bins_is_that_of_the_densities():
    """Two normal distributions in bins of a hundredth diverge as the closed form says."""
    edges = np.linspace(-12, 14, 2601)
    p, q = (np.diff(stats.norm(m, s).cdf(edges)) for m, s in ((0.5, 1.0), (-0.3, 1.6)))
    assert_close(kl_divergence(p / p.sum(), q / q.sum()), kl_normal(0.5, 1.0, -0.3, 1.6), rtol=1e-4)


def test_kl_divergence_keeps_its_manners(rng):
    """Any axes in front, broadcasting, lists and integers; what is given stays as it is."""
    q = rng.dirichlet(np.ones(5))
    assert_leading_axes(lambda p: kl_divergence(p, q), some(rng, 4, 5))
    many = kl_divergence(some(rng, 3, 1, 5), rng.dirichlet(np.ones(5), 4))
    assert_shape(many, (3, 4), "(3, 1, 5) against (4, 5)")
    assert_number_kinds(kl_divergence, [0, 1, 0], [0, 1, 0])
    assert_unchanged(kl_divergence, P, Q)


def test_js_divergence_by_hand():
    """(1, 0) and (1/2, 1/2) have the mean (3/4, 1/4): half of log2 4/3, and half of 1/2 log2 2/3 + 1/2 log2 2."""
    expected = (np.log2(4 / 3) + 0.5 * np.log2(2 / 3) + 0.5) / 2
    exactly(js_divergence([1, 0], [0.5, 0.5]), expected)


def test_js_divergence_is_scipys_squared(rng):
    """It is the square of SciPy's distance, in any base."""
    p, q = some(rng, 6, 9), some(rng, 6, 9)
    theirs: Any = distance.jensenshannon
    exactly(js_divergence(p, q), theirs(p, q, base=2, axis=-1) ** 2, "bits are the default")
    exactly(js_divergence(p, q, math.e), theirs(p, q, axis=-1) ** 2, "nats")


def test_js_divergence_at_its_ends(rng):
    """Equal distributions have none, those without a common value one bit, and the order does not matter."""
    p, q = some(rng, 5, 6), some(rng, 5, 6)
    exactly(js_divergence(p, q), js_divergence(q, p), "swapped")
    exactly(js_divergence(p, p), np.zeros(5), "equal")
    exactly(js_divergence([0.3, 0.7, 0, 0], [0, 0, 0.9, 0.1]), 1.0, "nothing in common")
    assert_shape(js_divergence(some(rng, 3, 1, 5), some(rng, 4, 5)), (3, 4), "(3, 1, 5) against (4, 5)")
    assert_unchanged(js_divergence, P, Q)


# --- mutual information ---------------------------------------------------------------------------------------------


def test_mutual_information_by_hand():
    """Of 8 pairs (3, 1 | 1, 3) a cell on the diagonal has 3/8 against 1/4: 3/4 log2 3/2 + 1/4 log2 1/2."""
    exactly(mutual_information([[3, 1], [1, 3]]), 0.75 * np.log2(1.5) - 0.25)


def test_mutual_information_is_a_difference_of_entropies(rng):
    """By SciPy's entropies: H(x) + H(y) - H(x, y), in any base."""
    table = rng.poisson(2, (5, 7)) + np.eye(5, 7)
    for base in (2.0, math.e):
        sums = [stats.entropy(part, base=base) for part in (table.sum(axis=1), table.sum(axis=0), table.ravel())]
        exactly(mutual_information(table, base), sums[0] + sums[1] - sums[2], f"base {base}")
    exactly(mutual_information(table.T), mutual_information(table), "either tells about the other alike")


def test_mutual_information_at_its_ends(rng):
    """Independent columns tell nothing; a column tells all about itself, and all that there is about one it decides."""
    p, q = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(3))
    exactly(mutual_information(np.outer(p, q)), 0.0, "independent")
    exactly(mutual_information(np.diag(p)), entropy(p), "itself")
    exactly(mutual_information([[4, 0], [2, 0], [0, 2]]), entropy([0.75, 0.25]), "x decides y")


def test_mutual_information_takes_counts_or_shares():
    """Only shares matter, of counts of any size, and rows or columns of zeros change nothing."""
    found = [mutual_information(t) for t in (TABLE, TABLE / 20, TABLE * 10**6, np.pad(TABLE, 1), TABLE.tolist())]
    exactly(found, [found[0]] * 5)
    assert_unchanged(mutual_information, TABLE)
    assert_number_kinds(mutual_information, TABLE.tolist())


def test_mutual_information_of_normal_numbers():
    """Two normal numbers with the correlation r, in fine bins, have -1/2 log2(1 - r²)."""
    grid, r = np.linspace(-6, 6, 241), 0.6
    x, y = np.meshgrid(grid, grid)
    joint = np.exp(-(x**2 - 2 * r * x * y + y**2) / (2 * (1 - r**2)))
    assert_close(mutual_information(joint), -0.5 * np.log2(1 - r**2), rtol=1e-6)


@pytest.mark.parametrize("call", [mutual_information, expected_information])
def test_what_is_no_table_is_refused(call):
    """Numbers below 0 or not finite, zeros only, and other than two axes are refused."""
    assert_refuses_nonfinite(call, TABLE.astype(float), "table")
    assert_refuses(lambda: call([[1, -2], [3, 4]]), "table", -2)
    assert_refuses(lambda: call([[0, 0], [0, 0]]), "table", 0)
    assert_refuses(lambda: call([1, 2]), "table", (2,))


# --- what chance tells ----------------------------------------------------------------------------------------------


def test_expected_information_by_hand():
    """Two values twice each, paired with two values twice each: two of six pairings tell one bit, four nothing."""
    exactly(expected_information([[1, 1], [1, 1]]), 1 / 3)


def test_expected_information_is_the_mean_over_all_pairings():
    """Every order of y beside x, counted: the mean of what they tell, for unequal margins, in nats and in bits."""
    x, y = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 2, 2])
    told = [mutual_information(count_pairs(x, y[list(order)])) for order in permutations(range(6))]
    exactly(expected_information(count_pairs(x, y)), np.mean(told), "bits")
    exactly(expected_information(count_pairs(x, y), math.e), np.mean(told) * math.log(2), "nats")


def test_expected_information_of_an_identifier():
    """A column in which every value occurs once tells all by chance: nothing is left in excess."""
    y = np.array([0, 0, 0, 0, 0, 1, 1, 2])
    table = count_pairs(np.arange(8), y)
    exactly(expected_information(table), entropy([5 / 8, 2 / 8, 1 / 8]))
    exactly(excess_information(table), 0.0, "excess")


def test_expected_information_depends_on_the_margins_alone(rng):
    """The pairs that occurred do not matter, nor which of the columns comes first, nor a row of zeros."""
    x, y = rng.integers(0, 4, 40), rng.integers(0, 3, 40)
    tables = [count_pairs(x, y), count_pairs(x, rng.permutation(y)), count_pairs(y, x)]
    tables.append(np.pad(tables[0], ((0, 1), (1, 0))))
    exactly([expected_information(t) for t in tables], [expected_information(tables[0])] * 4)
    exactly(expected_information([[7, 3]]), 0.0, "a column with one value tells nothing")


def test_expected_information_of_many_lines():
    """For many lines it nears (rows - 1)(columns - 1) / 2N nats, and a million lines overflow nothing."""
    table = np.full((4, 3), 100_000)
    assert_close(expected_information(table, math.e), 3 * 2 / (2 * table.sum()), rtol=1e-4)


def test_expected_information_does_alike_margins_once():
    """A thousand identifiers are one kind of row: no loop runs over them."""
    table = np.zeros((1_000, 2), dtype=int)
    table[np.arange(1_000), np.arange(1_000) % 2] = 1
    assert not runs_python_lines(lambda: expected_information(table), 500), "1,000 equal margins must not take a loop"


def test_expected_information_wants_whole_counts():
    """Shares do not say how many lines there were, and are refused; whole floats will do."""
    assert_refuses(lambda: expected_information([[0.5, 0.25], [0.25, 1.0]]), "table", 0.5)
    assert_number_kinds(expected_information, TABLE.tolist())
    assert_unchanged(expected_information, TABLE)


# --- perplexity -----------------------------------------------------------------------------------------------------


def test_perplexity_by_hand():
    """Tokens of probability 1/2 and 1/8 have the geometric mean 1/4: four equal choices."""
    exactly(perplexity(np.log([1 / 2, 1 / 8])), 4.0)
    exactly(perplexity(np.log(np.full((3, 5), 1 / 50))), 50.0, "one of fifty, fifteen times")


def test_perplexity_is_the_power_of_the_cross_entropy(rng):
    """Of tokens that occur as p says, a model q has the perplexity 2 to their cross-entropy."""
    counts, q = np.array([5, 2, 9, 4]), rng.dirichlet(np.ones(4))
    exactly(perplexity(np.log(np.repeat(q, counts))), 2 ** cross_entropy(counts / 20, q))


def test_perplexity_at_its_ends():
    """Certainty has 1, the impossible infinity, and a long text underflows nothing."""
    exactly(perplexity([0.0, 0.0]), 1.0, "certain")
    exactly(perplexity([-1.0, -np.inf]), np.inf, "ruled out")
    exactly(perplexity(np.full(100_000, -3.0)), math.exp(3), "a long text")
    with np.errstate(all="raise"):
        exactly(perplexity([-1e4]), np.inf, "more than a float holds")


def test_perplexity_keeps_its_manners():
    """Every token counts alike, lists and integers will do, and what is no logarithm of a probability is refused."""
    exactly(perplexity([-1, -2, 0]), math.e, "whole numbers")
    assert_unchanged(perplexity, np.array([-1.0, -2.0]))
    assert_refuses_values(lambda value: perplexity([-1.0, value]), "log_probabilities", 0.5, np.nan, np.inf)
    assert_refuses(lambda: perplexity([]), "log_probabilities", (0,))


# --- what is given is right, too ------------------------------------------------------------------------------------


def test_the_rest_is_right(rng):
    """Cross-entropy is entropy and divergence; XOR tells in pairs only; a normal divergence is an integral."""
    p, q = some(rng, 9), rng.dirichlet(np.ones(9))
    exactly(cross_entropy(p, q), entropy(p) + kl_divergence(p, q), "cross_entropy")
    x, z = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    exactly(mutual_information(count_pairs(x, x ^ z)), 0.0, "XOR of one column alone")
    exactly(conditional_information(x, x ^ z, z), 1.0, "XOR where the other is known")
    exactly(conditional_information(x, x, x), 0.0, "a column that repeats")
    exactly(joined(["a", "a", "b"], [1, 1, 0]), [0, 0, 1], "joined")
    f: Any = stats.norm(1, 2)
    g: Any = stats.norm(0, 3)
    area = integrate.quad(lambda t: f.pdf(t) * (f.logpdf(t) - g.logpdf(t)), -20, 22)[0]
    assert_close(kl_normal(1, 2, 0, 3, math.e), area, "kl_normal", rtol=1e-7)
    exactly(bits_per_byte(np.log([0.5, 0.25]), 6), 0.5, "bits_per_byte")

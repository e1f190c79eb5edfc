"""`bedrock/information`: scikit-learn's information and losses, exact fractions, and columns that are shuffled."""

import math
from fractions import Fraction

import numpy as np
import pytest
from sklearn import metrics
from sklearn.metrics.cluster import expected_mutual_information

from groundup.stack.bedrock.information import (
    conditional_information,
    count_pairs,
    cross_entropy,
    entropy,
    excess_information,
    expected_information,
    js_divergence,
    kl_divergence,
    mutual_information,
    perplexity,
)


def columns(seed, lines=200):
    """Two columns that have something to do with each other, of up to 30 values."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, rng.integers(2, 30), lines)
    return x, np.where(rng.random(lines) < 0.3, x % 5, rng.integers(0, 5, lines))


@pytest.mark.parametrize("seed", range(5))
def test_information_is_that_of_scikit_learn(seed):
    x, y = columns(seed)
    table = count_pairs(x, y)
    np.testing.assert_array_equal(table, metrics.cluster.contingency_matrix(x, y))
    assert mutual_information(table, math.e) == pytest.approx(metrics.mutual_info_score(x, y), rel=1e-10)
    expected = expected_mutual_information(metrics.cluster.contingency_matrix(x, y, sparse=True), len(x))
    assert expected_information(table, math.e) == pytest.approx(expected, rel=1e-9)
    entropies = [entropy(np.bincount(column) / len(x), math.e) for column in (x, y)]
    adjusted = excess_information(table, math.e) / (np.mean(entropies) - expected_information(table, math.e))
    assert adjusted == pytest.approx(metrics.adjusted_mutual_info_score(x, y), rel=1e-9)


def test_the_loss_of_a_classifier_is_a_cross_entropy():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 4, 50), rng.dirichlet(np.ones(4), 50)
    losses = cross_entropy(np.eye(4)[labels], predictions, math.e)
    assert losses.mean() == pytest.approx(metrics.log_loss(labels, predictions), rel=1e-12)
    assert perplexity(-losses) == pytest.approx(math.exp(losses.mean()), rel=1e-12)


def test_expected_information_is_exact():
    """Binomial coefficients of whole numbers, without a gamma function, for a table with unequal margins."""
    rows, columns_, total = (5, 3, 1), (4, 4, 1), 9
    exact = 0.0
    for a in rows:
        for b in columns_:
            for n in range(max(1, a + b - total), min(a, b) + 1):
                chance = Fraction(math.comb(a, n) * math.comb(total - a, b - n), math.comb(total, b))
                exact += float(chance * Fraction(n, total)) * math.log2(n * total / (a * b))
    assert expected_information([[3, 2, 0], [1, 2, 0], [0, 0, 1]]) == pytest.approx(exact, rel=1e-12)


def test_the_excess_of_shuffled_columns_is_nothing():
    """Over 400 shuffles its mean is 0 within four standard errors, where the information as counted is far above."""
    x, y = columns(7, lines=60)
    rng = np.random.default_rng(1)
    tables = [count_pairs(x, rng.permutation(y)) for _ in range(400)]
    excess = np.array([excess_information(table) for table in tables])
    assert abs(excess.mean()) < 4 * excess.std() / math.sqrt(len(excess))
    assert np.mean([mutual_information(table) for table in tables]) > 0.2


@pytest.mark.parametrize("seed", range(3))
def test_processing_never_adds_information(seed):
    """Values that are merged tell at most as much, and divergences of merged distributions are at most as large."""
    x, y = columns(seed)
    assert mutual_information(count_pairs(x // 2, y)) <= mutual_information(count_pairs(x, y)) + 1e-12
    p, q = np.random.default_rng(seed).dirichlet(np.ones(12), 2)
    merged = [d.reshape(4, 3).sum(axis=1) for d in (p, q)]
    assert kl_divergence(*merged) <= kl_divergence(p, q)
    assert js_divergence(*merged) <= js_divergence(p, q)


def test_the_chain_rule_holds():
    x, y = columns(3)
    z = (x + y) % 2
    whole = mutual_information(count_pairs(np.char.add(x.astype(str), np.char.add("-", z.astype(str))), y))
    assert whole == pytest.approx(mutual_information(count_pairs(z, y)) + conditional_information(x, y, z), rel=1e-10)

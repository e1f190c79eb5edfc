"""`classical/associations`: the same itemsets and rules as mlxtend, on tables of many baskets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from mlxtend import frequent_patterns

from groundup.stack.classical.associations import apriori, association_rules, fp_growth, support_counts


def table(seed: int) -> np.ndarray:
    """Booleans of 400 baskets and 12 items, of which some go together."""
    rng = np.random.default_rng(seed)
    holds = rng.random((400, 12)) < rng.uniform(0.02, 0.4, 12)
    for first in range(0, 8, 2):
        holds[:, first + 1] |= holds[:, first] & (rng.random(400) < 0.7)
    return holds


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("miner", [apriori, fp_growth])
def test_itemsets_are_those_of_mlxtend(miner, seed):
    holds = table(seed)
    ours = miner([np.flatnonzero(row).tolist() for row in holds], 12)
    theirs = frequent_patterns.fpgrowth(pd.DataFrame(holds), min_support=12 / 400)
    assert len(ours) > 50
    expected = {frozenset(itemset): round(support * 400) for support, itemset in theirs.to_numpy()}
    assert ours == expected


def test_rules_are_those_of_mlxtend():
    holds = table(0)
    ours = association_rules(fp_growth([np.flatnonzero(row).tolist() for row in holds], 20), 400, 0.3)
    itemsets = frequent_patterns.apriori(pd.DataFrame(holds), min_support=20 / 400)
    theirs = frequent_patterns.association_rules(itemsets, metric="confidence", min_threshold=0.3)
    measures = ["confidence", "lift", "leverage"]
    columns = [theirs[name].tolist() for name in ("antecedents", "consequents", *measures)]
    expected = {(first, second): values for first, second, *values in zip(*columns, strict=True)}
    assert len(ours) == len(expected) > 50
    for rule in ours:
        values = [getattr(rule, name) for name in measures]
        np.testing.assert_allclose(values, expected[rule.antecedent, rule.consequent], atol=1e-12)


def test_counting_is_what_it_says():
    candidates = [frozenset("ab"), frozenset("z")]
    assert support_counts([["a", "b", "c"], ["b", "a"], ["a"]], candidates) == {candidates[0]: 2, candidates[1]: 0}

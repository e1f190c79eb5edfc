"""Checks of associations."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from groundup.checking import assert_close, assert_refuses, assert_refuses_values, assert_unchanged
from groundup.stack.classical.associations import (
    Node,
    apriori,
    association_rules,
    build_tree,
    fp_growth,
    join_candidates,
    prefix_paths,
)

# Six windows of alerts. disk 4, slow 4, restart 3, login 1; disk and slow 3, disk and restart 2, slow and restart 2.
BASKETS = [
    ["disk", "slow", "restart"],
    ["disk", "slow"],
    ["slow", "disk", "disk"],
    ["restart", "disk"],
    ["slow", "restart", "login"],
    [],
]
FREQUENT = {"disk": 4, "slow": 4, "restart": 3, "disk slow": 3, "disk restart": 2, "restart slow": 2}
PATHS = [(basket, 1) for basket in ({*items} for items in BASKETS)]


def sets(*texts):
    """Itemsets of words."""
    return {frozenset(text.split()) for text in texts}


def words(itemsets):
    """Itemsets and counts, by their words in alphabetical order."""
    return {" ".join(sorted(itemset)): count for itemset, count in itemsets.items()}


def draw(rng, baskets=25, items=6):
    """Baskets of numbers, some of which go together."""
    holds = rng.random((baskets, items)) < 0.35
    holds[:, 1] |= holds[:, 0] & (rng.random(baskets) < 0.8)
    return [set(np.flatnonzero(row).tolist()) for row in holds]


def by_trying(baskets, min_count):
    """Every set of items, counted."""
    items = sorted(set().union(*baskets))
    every = (frozenset(c) for size in range(1, len(items) + 1) for c in combinations(items, size))
    counts = {itemset: sum(itemset <= set(basket) for basket in baskets) for itemset in every}
    return {itemset: count for itemset, count in counts.items() if count >= min_count}


# --- candidates -----------------------------------------------------------------------------------------------------


def test_join_candidates_by_hand():
    """Of ab, ac, bc, bd: abc has all its pairs; abd lacks ad, bcd lacks cd."""
    assert join_candidates(sets("a b", "a c", "b c", "b d")) == sets("a b c")


def test_single_items_make_every_pair():
    """Of three items each pair is a candidate."""
    assert join_candidates(sets("a", "b", "c")) == sets("a b", "a c", "b c")


def test_of_little_there_is_nothing():
    """Of nothing, of one itemset, and of two that share too little, there is no candidate."""
    assert join_candidates([]) == set()
    assert join_candidates(sets("a b")) == set()
    assert join_candidates(sets("a b", "c d")) == set()


def test_join_candidates_are_all_that_are_closed(rng):
    """They are exactly the sets of the next size, all of whose parts are given."""
    for size in (1, 2, 3):
        given = {frozenset(c) for c in combinations(range(6), size) if rng.random() < 0.8}
        bigger = (frozenset(c) for c in combinations(range(6), size + 1))
        expected = {c for c in bigger if all(c - {item} in given for item in c)}
        assert join_candidates(given) == expected, f"of {sorted(map(sorted, given))}"
        assert_unchanged(join_candidates, given)


def test_join_candidates_refuses_mixed_sizes():
    """Itemsets of different sizes are refused."""
    assert_refuses(lambda: join_candidates(sets("a", "b c")), "frequent", 1, 2)


# --- frequent itemsets, both ways -----------------------------------------------------------------------------------


@pytest.mark.parametrize("miner", [apriori, fp_growth])
def test_frequent_itemsets_by_hand(miner):
    """Two of six windows are enough: three alerts and three pairs. An alert twice in a window counts once."""
    assert words(miner(BASKETS, 2)) == FREQUENT
    assert words(miner(BASKETS, 3)) == {k: v for k, v in FREQUENT.items() if v >= 3}, "at a count of 3"
    assert miner(BASKETS, 5) == {}, "no alert is in five windows"


@pytest.mark.parametrize("miner", [apriori, fp_growth])
def test_frequent_itemsets_are_those_of_trying_all(miner, rng):
    """They are exactly what counting every set of items gives, at any count."""
    for min_count in (1, 2, 4, 8):
        baskets = draw(rng)
        assert miner(baskets, min_count) == by_trying(baskets, min_count), f"min_count {min_count}"


@pytest.mark.parametrize("miner", [apriori, fp_growth])
def test_every_set_counts_at_one(miner):
    """At a count of 1, a basket of five items has 31 frequent sets, each counted once."""
    found = miner([["e", "c", "a", "d", "b"], ["f"]], 1)
    assert len(found) == 32
    assert set(found.values()) == {1}


@pytest.mark.parametrize("miner", [apriori, fp_growth])
def test_order_does_not_matter(miner, rng):
    """Neither the order of the baskets nor that within them matters; baskets may be tuples, and come one by one."""
    baskets = draw(rng)
    shuffled = [tuple(rng.permutation(sorted(basket)).tolist()) for basket in baskets]
    assert miner((shuffled[k] for k in rng.permutation(len(shuffled))), 3) == miner(baskets, 3)
    assert_unchanged(miner, [["b", "a"], ["a"]], 1)


@pytest.mark.parametrize("miner", [apriori, fp_growth])
def test_of_no_baskets_there_is_nothing(miner):
    """No baskets, and empty ones, hold nothing."""
    assert miner([], 1) == {}
    assert miner([[], []], 1) == {}


@pytest.mark.parametrize("miner", [apriori, fp_growth])
def test_a_share_and_a_text_are_refused(miner):
    """A min_count that is no whole number of at least 1 is refused, and a basket that is a text."""
    assert_refuses_values(lambda value: miner(BASKETS, value), "min_count", 0, -1, 0.5, 2.5, np.nan)
    assert_refuses(lambda: miner(["disk slow"], 1), "baskets", "disk slow")


def test_miners_take_counts_of_numpy():
    """A whole number of NumPy is one."""
    assert apriori(BASKETS, np.int64(3)) == fp_growth(BASKETS, np.int64(3))  # type: ignore[arg-type]


# --- the tree -------------------------------------------------------------------------------------------------------


def above(node):
    """The items from the node up to below the root."""
    items = []
    while node.parent is not None:
        items.append(node.item)
        node = node.parent
    return items


def test_build_tree_by_hand():
    """Disk and slow lead (4 each, d before s), then restart; login is too rare. Four windows share the node disk."""
    nodes = build_tree(PATHS, 2)
    assert list(nodes) == ["disk", "slow", "restart"], "the items, in the order of the paths"
    tree = sorted((above(node), node.count) for each in nodes.values() for node in each)
    assert tree == [
        (["disk"], 4),
        (["restart", "disk"], 1),
        (["restart", "slow"], 1),
        (["restart", "slow", "disk"], 1),
        (["slow"], 1),
        (["slow", "disk"], 3),
    ], "each node from itself up, with its count"


def test_nodes_know_each_other():
    """Each node is a child of its parent, by its item; the root has neither item nor parent."""
    for item, each in build_tree(PATHS, 1).items():
        for node in each:
            assert node.item == item
            parent = node.parent
            assert parent is not None
            assert parent.children[item] is node
            root = node
            while root.parent is not None:
                root = root.parent
            assert root.item is None


def test_a_path_counts_as_often_as_it_says():
    """A path with the count 3 is three baskets, for what is frequent as well."""
    nodes = build_tree([(["a", "b"], 3), (["b"], 2), (["c", "a"], 1)], 3)
    assert list(nodes) == ["b", "a"], "b 5, a 4, c 1"
    assert [(above(node), node.count) for node in nodes["a"]] in (
        [(["a", "b"], 3), (["a"], 1)],
        [(["a"], 1), (["a", "b"], 3)],
    )


def test_counts_of_a_tree_add_up(rng):
    """The counts of an item's nodes add up to its baskets, and no node has less than its children together."""
    baskets = draw(rng, 40)
    for item, each in build_tree([(basket, 1) for basket in baskets], 4).items():
        assert sum(node.count for node in each) == sum(item in basket for basket in baskets)
        for node in each:
            assert node.count >= sum(child.count for child in node.children.values())
    assert build_tree([], 1) == {}
    assert list(build_tree((path for path in PATHS), 3)) == ["disk", "slow", "restart"], "paths may come one by one"


def test_prefix_paths_by_hand():
    """Above restart: disk and slow once, slow once, disk once. Above disk there is the root only."""
    nodes = build_tree(PATHS, 2)
    paths = sorted((list(items), count) for items, count in prefix_paths(nodes["restart"]))
    assert paths == [(["disk"], 1), (["disk", "slow"], 1), (["slow"], 1)], "from the root down"
    assert prefix_paths(nodes["disk"]) == []
    assert [(list(items), count) for items, count in prefix_paths(nodes["slow"])] == [(["disk"], 3)]


def test_prefix_paths_take_the_count_of_the_node():
    """Ten baskets came by the parent and two by the node: the path counts two, not ten."""
    root = Node(None, None, 0)
    parent = Node("a", Node("b", root, 12), 10)
    assert [(list(items), count) for items, count in prefix_paths([Node("c", parent, 2)])] == [(["b", "a"], 2)]
    assert prefix_paths([]) == []


# --- rules ----------------------------------------------------------------------------------------------------------


def test_association_rules_by_hand():
    """Disk and slow: 3 of 6 windows, 4 with each: confidence 3/4, lift 3·6 / (4·4), leverage 1/2 - 4/9."""
    rules = association_rules(apriori(BASKETS, 2), 6)
    assert len(rules) == 6, "two for each of three pairs"
    first, second = rules[:2]
    assert (first.antecedent, first.consequent) == (frozenset(["disk"]), frozenset(["slow"])), "disk before slow"
    assert (second.antecedent, second.consequent) == (frozenset(["slow"]), frozenset(["disk"]))
    assert first.count == 3
    assert_close([first.confidence, first.lift, first.leverage], [3 / 4, 18 / 16, 1 / 2 - 4 / 9])


def test_measures_are_those_of_the_table(rng):
    """Confidence, lift and leverage follow from a table of baskets, and p is that of SciPy's Fisher test."""
    baskets = draw(rng)
    n = len(baskets)
    for rule in association_rules(apriori(baskets, 3), n):
        a = np.array([rule.antecedent <= basket for basket in baskets])
        c = np.array([rule.consequent <= basket for basket in baskets])
        expected = [
            (a & c).sum() / a.sum(),
            (a & c).mean() / (a.mean() * c.mean()),
            (a & c).mean() - a.mean() * c.mean(),
        ]
        assert_close([rule.confidence, rule.lift, rule.leverage], expected, f"{rule.antecedent} → {rule.consequent}")
        table = [[(a & c).sum(), (a & ~c).sum()], [(~a & c).sum(), (~a & ~c).sum()]]
        assert_close(rule.p_value, stats.fisher_exact(table, alternative="greater")[1], "p_value", rtol=1e-6)


def test_every_split_is_a_rule():
    """A set of four items is split in 14 ways, none of them with an empty side or an item on both."""
    rules = association_rules(apriori([["a", "b", "c", "d"], ["e"]], 1), 2)
    whole = [rule for rule in rules if len(rule.antecedent | rule.consequent) == 4]
    assert len(whole) == len({rule.antecedent for rule in whole}) == 14
    assert all(rule.antecedent and rule.consequent and not rule.antecedent & rule.consequent for rule in rules)


def test_rules_are_sorted(rng):
    """The highest lift first, then the higher count, then the smaller antecedent, then the smaller consequent."""
    baskets = [*draw(rng), *[["x", "y", "z"]] * 2]
    rules = association_rules(apriori([[str(item) for item in basket] for basket in baskets], 2), len(baskets))
    keys = [(-r.lift, -r.count, sorted(r.antecedent), sorted(r.consequent)) for r in rules]
    assert keys == sorted(keys)
    assert len(rules) > 20


def test_lift_is_the_same_both_ways(rng):
    """Lift, leverage and p do not change when antecedent and consequent change places; confidence does."""
    baskets = draw(rng)
    rules = {(r.antecedent, r.consequent): r for r in association_rules(apriori(baskets, 2), len(baskets))}
    for (antecedent, consequent), rule in rules.items():
        other = rules[consequent, antecedent]
        assert_close([rule.lift, rule.leverage, rule.p_value], [other.lift, other.leverage, other.p_value])
    assert any(abs(r.confidence - rules[c, a].confidence) > 0.01 for (a, c), r in rules.items())


def test_empty_baskets_count():
    """Windows without an alert make a pair more surprising: the lift grows with the number of baskets."""
    itemsets = apriori([["a", "b"]] * 3, 1)
    assert_close([association_rules(itemsets, n)[0].lift for n in (3, 30)], [1, 10])
    assert_close(association_rules(itemsets, 3)[0].p_value, 1.0, "in every basket: no wonder")


def test_min_confidence_is_a_bound():
    """Rules at the bound stay, and those below go."""
    itemsets = apriori(BASKETS, 2)
    assert [rule.confidence for rule in association_rules(itemsets, 6, 0.75)] == [0.75, 0.75]
    assert association_rules(itemsets, 6, 0.76) == []


def test_rules_refuse_what_does_not_fit():
    """A confidence not from 0 to 1, fewer baskets than a count, and a missing part are refused; nothing is changed."""
    itemsets = apriori(BASKETS, 2)
    assert_refuses_values(lambda value: association_rules(itemsets, 6, value), "min_confidence", -0.1, 1.1, np.nan)
    assert_refuses(lambda: association_rules(itemsets, 3), "baskets", 3, 4)
    assert_refuses(lambda: association_rules({frozenset(["a", "b"]): 2, frozenset(["a"]): 2}, 3), "itemsets", "b")
    assert_unchanged(association_rules, itemsets, 6)
    assert association_rules({}, 0) == []

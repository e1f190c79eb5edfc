"""Find what goes together: frequent itemsets by Apriori and by FP-growth, and rules judged by their lift.

    baskets = [["disk", "slow"], ["disk", "slow", "restart"], ["restart"], ["disk"]]
    itemsets = fp_growth(baskets, min_count=2)       # {frozenset({"disk"}): 3, frozenset({"disk", "slow"}): 2, …}
    association_rules(itemsets, len(baskets))[0]     # disk → slow: confidence 2/3, lift 4/3

A basket is a collection of items, each of which counts once: strings, or anything that hashes and has an order. The
count of an itemset is the number of baskets that hold all of it; the support is that count over all baskets.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from numbers import Integral
from typing import Any

from scipy.stats import hypergeom

Basket = Collection[Any]
Itemset = frozenset[Any]
Path = tuple[Collection[Any], int]  # items, and how many baskets they stand for


@dataclass(eq=False)
class Node:
    """One node of a prefix tree: an item after those of its parents, and how many baskets came by."""

    item: Any
    parent: "Node | None"
    count: int = 0
    children: dict[Any, "Node"] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """Baskets with the antecedent hold the consequent as well.

    Attributes:
        antecedent: the items that are given.
        consequent: the items that follow; no item is in both.
        count: baskets that hold all of both.
        confidence: the share of baskets with the antecedent that hold the consequent too.
        lift: confidence over the share of all baskets that hold the consequent. 1 where both are independent.
        leverage: support of both, minus the product of their supports. 0 where both are independent.
        p_value: the probability of at least this count, if baskets got the consequent without regard to the antecedent
            (Fisher's exact test, one-sided). It says nothing of how many rules were tried.
    """

    antecedent: Itemset
    consequent: Itemset
    count: int
    confidence: float
    lift: float
    leverage: float
    p_value: float


# --- Apriori --------------------------------------------------------------------------------------------------------


def support_counts(baskets: Iterable[Basket], candidates: Collection[Itemset]) -> dict[Itemset, int]:
    """Count the baskets that hold each candidate. Candidates in no basket have the count 0."""
    counts = dict.fromkeys(candidates, 0)
    for basket in _sets(baskets):
        for candidate in counts:
            counts[candidate] += candidate <= basket
    return counts


def join_candidates(frequent: Collection[Itemset]) -> set[Itemset]:
    """Return the itemsets of one item more that may be frequent: all whose subsets of one item less are.

    An itemset is in no more baskets than any part of it, so that an itemset with an infrequent part is infrequent. That
    is what Apriori prunes by (Agrawal and Srikant, 1994).

    Args:
        frequent: all frequent itemsets of one size.

    Returns:
        Itemsets of the next size. Of nothing, nothing.

    Raises:
        ValueError: the itemsets are not of one size.
    """
    known = _same_size(frequent)
    joined = {first | second for first, second in combinations(known, 2)}
    return {candidate for candidate in joined if all(candidate - {item} in known for item in candidate)}


def apriori(baskets: Iterable[Basket], min_count: int) -> dict[Itemset, int]:
    """Return all itemsets that at least `min_count` baskets hold, with their counts, size by size.

    The frequent items come first. From the frequent itemsets of a size follow the candidates of the next; they are
    counted in one pass over the baskets, and those below `min_count` are dropped; until none is left.

    Args:
        baskets: collections of items. An item twice in a basket counts once, and a basket may be empty.
        min_count: a whole number of at least 1.

    Returns:
        Itemsets of one item or more, and the number of baskets that hold each.

    Raises:
        ValueError: min_count is not a whole number of at least 1, or a basket is a string.
    """
    sets = _checked(baskets, min_count)
    candidates = {frozenset([item]) for basket in sets for item in basket}
    found: dict[Itemset, int] = {}
    while candidates:
        counts = support_counts(sets, candidates)
        frequent = {itemset: count for itemset, count in counts.items() if count >= min_count}
        found |= frequent
        candidates = join_candidates(frequent)
    return found


# --- FP-growth ------------------------------------------------------------------------------------------------------


def build_tree(paths: Iterable[Path], min_count: int) -> dict[Any, list[Node]]:
    """Put paths into a prefix tree, and return the nodes of each frequent item (Han, Pei and Yin, 2000).

    An item's count is the sum over the paths that hold it. Items below `min_count` are left out. The others of a path
    are sorted, the highest count first, of equal counts the smaller item first, and lead from the root down. Paths that
    begin alike share nodes, and each node they pass gains their count.

    Args:
        paths: pairs of items, none of them twice, and a count of at least 1.
        min_count: a whole number of at least 1.

    Returns:
        The nodes by item, the items in the order of the paths. A node below the root has a parent whose item is None
        and whose parent is None.
    """
    paths = list(paths)
    counts: Counter[Any] = Counter()
    for items, count in paths:
        for item in items:
            counts[item] += count
    order = sorted((item for item in counts if counts[item] >= min_count), key=lambda item: (-counts[item], item))
    nodes: dict[Any, list[Node]] = {item: [] for item in order}
    places, root = {item: place for place, item in enumerate(order)}, Node(None, None)
    for items, count in paths:
        node = root
        for item in sorted((item for item in items if item in places), key=places.__getitem__):
            if item not in node.children:
                node.children[item] = Node(item, node)
                nodes[item].append(node.children[item])
            node = node.children[item]
            node.count += count
    return nodes


def prefix_paths(nodes: Iterable[Node]) -> list[Path]:
    """Return the items above each node, from the root down, with the node's count: all that came with the item.

    Nodes directly below the root have nothing above, and are left out.
    """
    paths = []
    for node in nodes:
        items, above = [], node.parent
        while above is not None and above.parent is not None:
            items.append(above.item)
            above = above.parent
        if items:
            paths.append((items[::-1], node.count))
    return paths


def fp_growth(baskets: Iterable[Basket], min_count: int) -> dict[Itemset, int]:
    """Return what `apriori` returns, without candidates: by trees of ever smaller parts (Han, Pei and Yin, 2000).

    Each item of a tree, with the suffix that the tree was made for, is a frequent itemset, whose count is the sum over
    the item's nodes. The paths above those nodes make the tree for that itemset in turn.

    Takes, and refuses, what `apriori` does.
    """
    found: dict[Itemset, int] = {}

    def grow(paths: Iterable[Path], suffix: Itemset) -> None:
        for item, nodes in build_tree(paths, min_count).items():
            itemset = suffix | {item}
            found[itemset] = sum(node.count for node in nodes)
            grow(prefix_paths(nodes), itemset)

    grow([(basket, 1) for basket in _checked(baskets, min_count)], frozenset())
    return found


# --- rules ----------------------------------------------------------------------------------------------------------


def association_rules(itemsets: Mapping[Itemset, int], baskets: int, min_confidence: float = 0.0) -> list[Rule]:
    """Split each itemset in all ways into an antecedent and a consequent, and judge the rules.

    Args:
        itemsets: counts of itemsets and of all their parts, as from `fp_growth`.
        baskets: the number of all baskets, empty ones too.
        min_confidence: from 0 to 1: rules below it are left out.

    Returns:
        The rules, the highest lift first; of equal lifts the higher count first, then the smaller sorted antecedent,
        then the smaller sorted consequent.

    Raises:
        ValueError: min_confidence is not from 0 to 1, a count is above the number of baskets, or a part of an itemset
            is missing.
    """
    _check_rules(itemsets, baskets, min_confidence)
    rules = []
    for itemset, count in itemsets.items():
        for size in range(1, len(itemset)):
            for items in combinations(itemset, size):
                antecedent = frozenset(items)
                consequent = itemset - antecedent
                first, second = itemsets[antecedent], itemsets[consequent]
                confidence = count / first
                if confidence >= min_confidence:
                    lift = count * baskets / (first * second)
                    leverage = count / baskets - first * second / baskets**2
                    chance = float(hypergeom.sf(count - 1, baskets, first, second))
                    rules.append(Rule(antecedent, consequent, count, confidence, lift, leverage, chance))
    return sorted(rules, key=lambda rule: (-rule.lift, -rule.count, sorted(rule.antecedent), sorted(rule.consequent)))


# --- refusals -------------------------------------------------------------------------------------------------------


def _sets(baskets: Iterable[Basket]) -> list[Itemset]:
    """The baskets as sets."""
    sets = []
    for basket in baskets:
        if isinstance(basket, str | bytes):
            raise ValueError(f"baskets must be collections of items, got the text {basket!r}. Split it, or wrap it.")
        sets.append(frozenset(basket))
    return sets


def _checked(baskets: Iterable[Basket], min_count: int) -> list[Itemset]:
    if isinstance(min_count, bool) or not isinstance(min_count, Integral) or min_count < 1:
        raise ValueError(
            f"min_count must be a whole number of at least 1, got {min_count}. "
            "It counts baskets; for a share, multiply by their number and round up."
        )
    return _sets(baskets)


def _same_size(itemsets: Collection[Itemset]) -> set[Itemset]:
    sizes = {len(itemset) for itemset in itemsets}
    if len(sizes) > 1:
        raise ValueError(f"frequent must hold itemsets of one size, got the sizes {sorted(sizes)}.")
    return set(itemsets)


def _check_rules(itemsets: Mapping[Itemset, int], baskets: int, min_confidence: float) -> None:
    if not 0 <= min_confidence <= 1:
        raise ValueError(f"min_confidence must be from 0 to 1, got {min_confidence}.")
    for itemset, count in itemsets.items():
        if count > baskets:
            raise ValueError(f"baskets must be at least the count of each itemset, {count}, got {baskets}.")
        for item in itemset:
            if len(itemset) > 1 and itemset - {item} not in itemsets:
                raise ValueError(f"itemsets must hold each part: {sorted(itemset - {item})} is missing.")

# pyright: basic
"""Ways to get associations wrong, and right ways that differ."""

from collections import Counter
from itertools import combinations

from scipy.stats import hypergeom

from groundup.anatomy import mistake, variant
from groundup.stack.classical.associations.associations import (
    Rule,
    _check_rules,
    _checked,
    _same_size,
    build_tree,
    join_candidates,
    prefix_paths,
)


@mistake("join_candidates", edit=("all(candidate - {item} in known for item in candidate)", "True"))
def forgets_to_prune():
    """You keep candidates with a part that is not frequent. They cannot be frequent either, and cost a count each."""


@mistake("join_candidates", edit=("if all(candidate", "if any(candidate"))
def asks_for_one_part():
    """One frequent part is not enough: all parts of one item less must be frequent."""


@mistake("apriori", edit=("count >= min_count}", "count > min_count}"))
def asks_for_one_more():
    """You drop itemsets with exactly `min_count` baskets. At least so many is enough."""


@mistake("apriori", edit=("found |= frequent", "found = frequent or found"))
def keeps_the_largest_only():
    """You return the itemsets of the last size only. The smaller ones belong to the result, and the rules need them."""


@mistake("apriori", edit=("found |= frequent", "found |= counts"))
def keeps_the_candidates():
    """You return all candidates that were counted. Those below `min_count` are not frequent."""


@mistake("build_tree", edit=("            node.count += count", "            node.count += 1"))
def counts_every_path_once():
    """You add 1 for each path. A path stands for as many baskets as its count says."""


@mistake("build_tree", edit=("            counts[item] += count", "            counts[item] += 1"))
def judges_by_the_number_of_paths():
    """You judge what is frequent by the number of paths. Add up their counts."""


@mistake("build_tree", edit=("key=lambda item: (-counts[item], item)", "key=lambda item: (counts[item], item)"))
def puts_the_rarest_first():
    """Your paths begin with the rarest item, so that few of them share nodes. The highest count comes first."""


@mistake("build_tree", edit=("if item not in node.children:", "if True:"))
def makes_a_node_each_time():
    """You make a new node for each path. Paths that begin alike share their nodes."""


@mistake("prefix_paths", edit=("(items[::-1], node.count)", "(items[::-1], node.parent.count)"))
def takes_the_count_from_above():
    """You give the path the parent's count. Only as many baskets as passed the node itself hold the item as well."""


@mistake("prefix_paths", edit=("items, above = [], node.parent", "items, above = [], node"))
def takes_the_item_along():
    """Your path holds the item itself. It is part of the suffix already: begin with the parent."""


@mistake("prefix_paths", edit=("(items[::-1], node.count)", "(items, node.count)"))
def leads_upwards():
    """Your path leads from the node up. It is asked for from the root down."""


@mistake("fp_growth", edit=("            grow(prefix_paths(nodes), itemset)\n", ""))
def never_grows():
    """You stop at single items. The paths above an item's nodes make the tree of what goes with it."""


@mistake("fp_growth", edit=("sum(node.count for node in nodes)", "len(nodes)"))
def counts_the_nodes():
    """You count an item's nodes. Each of them stands for as many baskets as its count says."""


@mistake("fp_growth", edit=("itemset = suffix | {item}", "itemset = frozenset([item])"))
def forgets_the_suffix():
    """You forget the suffix for which the tree was made. The itemset is the item and the suffix."""


@mistake("association_rules", edit=("confidence = count / first", "confidence = count / second"))
def divides_by_the_consequent():
    """Your confidence is that of the rule turned round. Divide by the baskets with the antecedent."""


@mistake("association_rules", edit=("count * baskets / (first * second)", "count / (first * second)"))
def forgets_how_many_baskets():
    """Your lift divides counts, not shares: multiply by the number of baskets. Independent items have a lift of 1."""


@mistake("association_rules", edit=("hypergeom.sf(count - 1,", "hypergeom.sf(count,"))
def asks_for_more_than_was_seen():
    """Your p-value is the probability of more than the count. What was seen belongs to it: at least the count."""


@variant("join_candidates")
def by_adding_items(frequent):
    """Each set, and each item that occurs."""
    known = _same_size(frequent)
    items = set().union(*known)
    grown = {itemset | {item} for itemset in known for item in items - itemset}
    return {new for new in grown if all(frozenset(part) in known for part in combinations(new, len(new) - 1))}


@variant("apriori")
def item_by_item(baskets, min_count):
    """The baskets of each itemset, cut with each other."""
    sets = _checked(baskets, min_count)
    holding = {}
    for number, basket in enumerate(sets):
        for item in basket:
            holding.setdefault(frozenset([item]), set()).add(number)
    level = {itemset: where for itemset, where in holding.items() if len(where) >= min_count}
    found = {}
    while level:
        found.update({itemset: len(where) for itemset, where in level.items()})
        grown = {}
        for candidate in join_candidates(level):
            where = set.intersection(*(level[candidate - {item}] for item in candidate))
            if len(where) >= min_count:
                grown[candidate] = where
        level = grown
    return found


@variant("fp_growth")
def from_a_stack(baskets, min_count):
    """Without recursion, and with equal baskets put together first."""
    piles = Counter(_checked(baskets, min_count))
    paths: list = list(piles.items())
    stack, found = [(paths, frozenset())], {}
    while stack:
        paths, suffix = stack.pop()
        for item, nodes in build_tree(paths, min_count).items():
            found[suffix | {item}] = sum(node.count for node in nodes)
            stack.append((prefix_paths(nodes), suffix | {item}))
    return found


@variant("association_rules")
def from_the_consequent(itemsets, baskets, min_confidence=0.0):
    """The consequent is chosen first, and shares are divided."""
    _check_rules(itemsets, baskets, min_confidence)
    rules = []
    for whole in itemsets:
        for consequent in itemsets:
            antecedent = whole - consequent
            if not consequent < whole:
                continue
            both, first, second = itemsets[whole], itemsets[antecedent], itemsets[consequent]
            if both / first < min_confidence:
                continue
            lift = both * baskets / (first * second)
            p = sum(hypergeom.pmf(k, baskets, first, second) for k in range(both, min(first, second) + 1))
            leverage = both / baskets - (first / baskets) * (second / baskets)
            rules.append(Rule(antecedent, consequent, both, both / first, lift, leverage, float(p)))
    rules.sort(key=lambda r: (-r.lift, -r.count, sorted(r.antecedent), sorted(r.consequent)))
    return rules

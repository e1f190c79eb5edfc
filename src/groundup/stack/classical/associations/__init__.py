"""Associations: frequent itemsets by Apriori and FP-growth, and rules with their lift."""

from groundup.stack.classical.associations.associations import (
    Node,
    Rule,
    apriori,
    association_rules,
    build_tree,
    fp_growth,
    join_candidates,
    prefix_paths,
    support_counts,
)

__all__ = [
    "Node",
    "Rule",
    "apriori",
    "association_rules",
    "build_tree",
    "fp_growth",
    "join_candidates",
    "prefix_paths",
    "support_counts",
]

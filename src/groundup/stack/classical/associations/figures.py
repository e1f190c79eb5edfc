"""Explorables of associations: a confident rule that says nothing, the work of two miners, and rules by chance."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.classical.associations import (
    apriori,
    association_rules,
    build_tree,
    fp_growth,
    join_candidates,
)


@figure("Confidence, and what it is worth")
def measures(
    first: Annotated[int, Range(5, 100)] = 30,
    second: Annotated[int, Range(5, 100)] = 80,
    link: Annotated[float, Range(-1, 1, step=0.05)] = 0.0,
) -> go.Figure:
    """Two alerts in 100 windows. A link of 0 is chance, 1 as often together as can be, -1 as seldom.

    At a link of 0 the confidence is as high as the second alert is frequent, and the lift stays near 1. Make the second
    alert fire nearly always: every rule towards it is confident.
    """
    least, most, chance = max(first + second - 100, 0), min(first, second), first * second / 100
    both = round(chance + link * ((most - chance) if link > 0 else (chance - least)))
    windows = [["A", "B"]] * both + [["A"]] * (first - both) + [["B"]] * (second - both)
    rules = association_rules(apriori(windows, 1), 100)
    rule = next((rule for rule in rules if rule.antecedent == {"A"}), None)
    values = {"A → B": rule.confidence if rule else 0.0, "any window → B": second / 100}
    plot = go.Figure()
    for (name, value), colour in zip(values.items(), (BLUE, GREY), strict=True):
        plot.add_bar(x=[name], y=[value], text=[f"{value:.2f}"], textposition="outside", marker_color=colour, name=name)
    text = f"lift {rule.lift:.2f}, leverage {rule.leverage:.3f}, p {rule.p_value:.2g}" if rule else "never together"
    headline(plot, f"together in {both} windows: {text}")
    plot.update_xaxes(title="rule")
    plot.update_yaxes(title="share of windows with B: confidence", range=[0, 1.15])
    plot.update_layout(showlegend=False)
    return plot


@figure("The work of two miners")
def work(
    min_count: Annotated[int, Range(4, 60)] = 12,
    together: Annotated[float, Range(0, 1, step=0.05)] = 0.6,
) -> go.Figure:
    """Candidates that Apriori counts, and nodes of the first tree of FP-growth, over 200 windows of ten alerts.

    Bars show the candidates by size, and how many of them are frequent. Lower the count: candidates grow by the
    hundred, and the tree hardly at all, because windows that begin alike share nodes.
    """
    rng = np.random.default_rng(0)
    fires = rng.random((200, 10)) < 0.15
    fires[:, :5] |= (rng.random(200) < 0.4)[:, None] & (rng.random((200, 5)) < together)
    windows = [np.flatnonzero(row).tolist() for row in fires]
    found = fp_growth(windows, min_count)
    sizes, candidates, frequent = [], [], []
    level = {frozenset([item]) for item in range(10)}
    while level:
        sizes.append(len(sizes) + 1)
        candidates.append(len(level))
        kept = {itemset for itemset in level if itemset in found}
        frequent.append(len(kept))
        level = join_candidates(kept)
    nodes = sum(map(len, build_tree([(window, 1) for window in windows], min_count).values()))
    plot = go.Figure()
    plot.add_bar(x=sizes, y=candidates, name="candidates", marker_color=ORANGE)
    plot.add_bar(x=sizes, y=frequent, name="frequent", marker_color=BLUE)
    headline(plot, f"{sum(candidates)} candidates counted, {sum(frequent)} frequent; the tree has {nodes} nodes")
    plot.update_xaxes(title="alerts in the set", dtick=1)
    plot.update_yaxes(title="sets")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Rules by chance")
def chance(
    alerts: Annotated[int, Range(5, 30)] = 20,
    windows: Annotated[int, Range(50, 1000, step=50)] = 200,
    linked: bool = True,
) -> go.Figure:
    """Pairs of alerts that have nothing to do with each other, and, if you like, two pairs that do.

    Points above the dashed line look significant at 5 %. With 20 alerts there are 190 pairs, so some do by luck. The
    dotted line divides the 5 % by the number of pairs.
    """
    rng = np.random.default_rng(1)
    fires = rng.random((windows, alerts)) < 0.1
    if linked:
        for first, second in ((0, 1), (2, 3)):
            fires[:, second] |= fires[:, first] & (rng.random(windows) < 0.5)
    baskets = [np.flatnonzero(row).tolist() for row in fires]
    rules = association_rules(fp_growth(baskets, 1), windows)
    pairs = {rule.antecedent | rule.consequent: rule for rule in rules if len(rule.antecedent | rule.consequent) == 2}
    tried = alerts * (alerts - 1) // 2
    plot = go.Figure()
    groups = {"linked": (GREEN, "star"), "by chance": (BLUE, "circle")}
    for name, (colour, symbol) in groups.items():
        group = [
            rule for pair, rule in pairs.items() if (linked and set(pair) in ({0, 1}, {2, 3})) == (name == "linked")
        ]
        plot.add_scatter(
            x=[rule.lift for rule in group],
            y=[-np.log10(max(rule.p_value, 1e-30)) for rule in group],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 8},
            name=name,
        )
    plot.add_hline(y=-np.log10(0.05), line={"color": GREY, "dash": "dash"})
    plot.add_hline(y=-np.log10(0.05 / tried), line={"color": ORANGE, "dash": "dot"})
    lucky = sum(rule.p_value < 0.05 for rule in pairs.values())
    kept = sum(rule.p_value < 0.05 / tried for rule in pairs.values())
    headline(plot, f"{tried} pairs tried: {lucky} below 5 %, {kept} below 5 % / {tried}")
    plot.update_xaxes(title="lift")
    plot.update_yaxes(title="-log₁₀ of the p-value")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot

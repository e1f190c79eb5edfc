# pyright: basic
"""Ways to get monitoring wrong, and right ways that differ."""

import math

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.production.monitoring.monitoring import (
    POLICY,
    Step,
    _ascending,
    _counter,
    _family,
    _numbers,
    rate,
)


@mistake("stability_index", edit=(", minlength=inner.size + 1) + 0.5", ", minlength=inner.size + 1)"))
def leaves_bins_empty():
    """An empty bin has the share 0, whose logarithm is minus infinity. Add half a value to each count."""


@mistake("stability_index", edit=('side="right"', 'side="left"'))
def puts_edges_below():
    """You put a value at an edge into the bin below it. It belongs to the one above: `side="right"`."""


@mistake(
    "stability_index",
    edit=('inner = _ascending(edges, "edges")', "inner = np.quantile(current, (np.arange(np.size(edges)) + 1) / 9)"),
)
def cuts_bins_anew():
    """You cut the bins from the current sample. Its shares then never change: the edges stay those of the reference."""


@mistake("stability_index", edit=("((shares[1] - shares[0]) * np.log", "(shares[1] * np.log"))
def is_one_divergence():
    """You weigh the logarithms by one sample's shares: one divergence. The index takes the difference of the shares."""


@mistake("rate", edit=("growth = np.where(steps < 0, counts[1:], steps).sum()", "growth = steps.sum()"))
def overlooks_restarts():
    """You subtract the first value from the last. A counter that restarted in between then seems to shrink."""


@mistake(
    "rate",
    edit=("growth * (covered + before + after) / covered / (end - start)", "growth / (moments[-1] - moments[0])"),
)
def divides_by_the_covered_time():
    """You give the slope between the samples. Stretch the growth to the range, and divide by the range."""


@mistake("rate", edit=("    if growth > 0:\n        before = min(before, covered * counts[0] / growth)\n", ""))
def stretches_below_zero():
    """You stretch a young counter back to a time at which it would be negative. Stop where the slope meets 0."""


@mistake("rate", edit=("(moments > start) & (moments <= end)", "(moments >= start) & (moments <= end)"))
def takes_the_sample_at_the_start():
    """You take a sample at the very start of the range. Prometheus 3 leaves it out, and takes the one at the end."""


@mistake(
    "histogram_quantile",
    edit=("    if place == len(bounds) - 1:\n        return bounds[-2]\n", ""),
)
def interpolates_to_infinity():
    """You interpolate in the bucket up to infinity. Nothing is known there but its lower bound: return it."""


@mistake(
    "histogram_quantile",
    edit=("low + (bounds[place] - low) * (rank - below) / (counts[place] - below)", "bounds[place]"),
)
def answers_with_the_bound():
    """You return the upper bound of the bucket. Prometheus goes into the bucket, as far as the rank does."""


@mistake("histogram_quantile", edit=("(rank - below) / (counts[place] - below)", "rank / counts[place]"))
def forgets_what_lies_below():
    """Counts are cumulated. Of rank and count, take off what the bucket before has, and the rest lies in this one."""


@mistake(
    "histogram_quantile",
    edit=(
        "np.maximum.accumulate([buckets[bound] for bound in bounds]).tolist()",
        "[buckets[bound] for bound in bounds]",
    ),
)
def trusts_counts_that_fall():
    """Counts that fall from one bound to the next cannot be cumulated ones. Raise them to the one before."""


@mistake("critical_path", edit=("low < high <= moment", "low < high"))
def waits_for_everybody():
    """Your path goes through calls that ran beside each other. Skip a child that ended after the moment you came to."""


@mistake("critical_path", edit=("key=lambda piece: (-piece[0], piece[1])", "key=lambda piece: piece[0] - piece[1]"))
def looks_for_the_longest():
    """You order children by their length. The one that held the parent up is the last to end, however short it was."""


@mistake(
    "critical_path", edit=("(min(child.end, end), max(child.start, start), child)", "(child.end, child.start, child)")
)
def leaves_the_trace():
    """A child that goes on after its parent holds nobody up by then. Cut children to the time of their parent."""


@mistake("AlertRule.update", edit=("now - begun >= self.hold", "now - begun > self.hold"))
def holds_an_evaluation_too_long():
    """You ask for more than `hold` seconds. An alert fires as soon as they have passed, and at once if hold is 0."""


@mistake(
    "AlertRule.update",
    edit=(
        "{alert: self.since.get(alert, now) for alert in active}",
        "self.since | {alert: self.since.get(alert, now) for alert in active}",
    ),
)
def never_forgets():
    """You keep the time of alerts whose condition failed. The hold means without a break: begin anew."""


@mistake("burning", edit=(" and burn(rule.short) > rule.factor", ""))
def rings_after_the_fire():
    """You ask the long window alone. It stays above the factor long after the errors ended: ask the short one, too."""


@mistake("burning", edit=(" / (1 - objective)", ""))
def compares_the_share_that_failed():
    """You compare the share of failures with the factor. A burn rate divides it by the share that may fail."""


@variant("stability_index")
def bin_by_bin(reference, current, edges):
    """Each bin is counted by comparisons."""
    inner = [-math.inf, *_ascending(edges, "edges").tolist(), math.inf]
    first, second = _numbers(reference, "reference"), _numbers(current, "current")
    total, bins = 0.0, len(inner) - 1
    for place in range(bins):
        low, high = inner[place : place + 2]
        p = (((first >= low) & (first < high)).sum() + 0.5) / (first.size + bins / 2)
        q = (((second >= low) & (second < high)).sum() + 0.5) / (second.size + bins / 2)
        total += float((q - p) * (np.log(q) - np.log(p)))
    return total


@variant("rate")
def step_by_step(times, values, start, end):
    """A walk over the samples, which remembers the one before."""
    moments, counts = _counter(times, values, start, end)
    samples = [pair for pair in zip(moments.tolist(), counts.tolist(), strict=True) if start < pair[0] <= end]
    if len(samples) <= 1:
        return math.nan
    growth, before = 0.0, samples[0][1]
    for _, value in samples[1:]:
        growth += value - before if value >= before else value
        before = value
    covered = samples[-1][0] - samples[0][0]
    gap = covered / (len(samples) - 1)
    left, right = (away if away < gap * 1.1 else gap / 2 for away in (samples[0][0] - start, end - samples[-1][0]))
    if growth == 0:
        return 0.0
    left = min(left, samples[0][1] / (growth / covered))
    return growth / covered * (left + covered + right) / (end - start)


@variant("critical_path")
def moment_by_moment(spans):
    """A stack instead of recursion, which writes the path from its end to its start."""
    first, children = _family(spans)
    steps, stack = [], [(first, first.start, first.end, None)]
    while stack:
        span, start, moment, rest = stack.pop()
        if rest is None:
            rest = [(min(child.end, moment), -max(child.start, start), child) for child in children[span.id]]
            rest.sort(key=lambda piece: piece[:2])
        while rest and not -rest[-1][1] < rest[-1][0] <= moment:
            rest.pop()
        if not rest:
            steps.append(Step(span.id, start, moment))
            continue
        high, low, child = rest.pop()
        steps.append(Step(span.id, high, moment))
        stack += [(span, start, -low, rest), (child, -low, high, None)]
    return [step for step in steps[::-1] if step.start < step.end]


@variant("burning")
def by_counts(times, errors, requests, now, objective, policy=POLICY):
    """Failures against the failures that may be, instead of a ratio of ratios."""
    if objective <= 0 or objective >= 1:
        raise ValueError(f"objective must lie between 0 and 1, got {objective}.")
    held = []
    for rule in policy:
        windows = [
            (rate(times, errors, now - w, now), rate(times, requests, now - w, now)) for w in (rule.short, rule.long)
        ]
        if all(failed > rule.factor * (1 - objective) * served for failed, served in windows):
            held.append(rule)
    return held

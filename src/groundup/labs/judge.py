"""Judging the expectations of a lab over several seeds.

The rule. An expectation is met when

1. every seed recorded a finite value (and a finite baseline, where one is compared with);
2. the mean over the seeds clears the bar; and
3. each seed clears the bar by itself, but for one seed in five, or one seed of three or four. With one or two seeds
   there is no exception.

The mean alone would let one lucky seed carry two broken ones; each seed alone would fail a sound lab for one unlucky
seed. A t-interval is not used: with the usual three seeds it has two degrees of freedom, so that its width says more
about the three seeds than about the code, and a lab that clears its bar every time would often be failed.

For a margin over the baseline, each seed is compared with its own baseline, because both saw the same split.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from groundup.labs.definition import Expectation

Values = Mapping[int, float | None]


@dataclass(frozen=True)
class Outcome:
    """Whether one expectation was met, in one sentence with the bar, the mean, the spread and the seeds."""

    metric: str
    passed: bool
    message: str
    why: str = ""


def judge(
    expectation: Expectation, seeds: Sequence[int], results: Values, baselines: Values, baseline_what: str = ""
) -> Outcome:
    """Judge one expectation.

    Args:
        expectation: the metric and its bar.
        seeds: the seeds that were run.
        results: the metric's result by seed; None where it was not finite.
        baselines: the metric's baseline by seed.
        baseline_what: a description of the baseline.
    """

    def outcome(passed: bool, message: str) -> Outcome:
        return Outcome(expectation.metric, passed, f"{bar_in_words(expectation)}: {message}", expectation.why)

    problem = _problem("result", seeds, results)
    if not problem and expectation.beats_baseline_by is not None:
        problem = _problem("baseline", seeds, baselines)
    if problem:
        return outcome(False, f"{problem}.")
    judged, bar, sign = _compared(expectation, [_value(results, s) for s in seeds], baselines, seeds)
    cleared = [sign * value >= sign * bar for value in judged]
    passed = sign * statistics.fmean(judged) >= sign * bar and cleared.count(False) <= exceptions(len(seeds))
    return outcome(passed, _figures(expectation, judged, cleared, seeds, baselines, baseline_what))


def is_lost(expectation: Expectation, seeds: Sequence[int], results: Values, baselines: Values) -> bool:
    """Whether so many of the seeds run so far missed the bar that those still to run cannot save the expectation."""
    compares = expectation.beats_baseline_by is not None
    run = [seed for seed in seeds if seed in results and (seed in baselines or not compares)]
    if not run:
        return False
    if _problem("result", run, results) or (compares and _problem("baseline", run, baselines)):
        return True
    judged, bar, sign = _compared(expectation, [_value(results, seed) for seed in run], baselines, run)
    return sum(sign * value < sign * bar for value in judged) > exceptions(len(seeds))


def exceptions(seeds: int) -> int:
    """The number of seeds that may miss the bar."""
    return 0 if seeds < 3 else max(1, seeds // 5)


def spread(values: Sequence[float]) -> float:
    """The sample standard deviation; 0 for one value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _value(values: Values, seed: int) -> float:
    value = values[seed]
    assert value is not None
    return value


def _problem(kind: str, seeds: Sequence[int], values: Values) -> str:
    missing = [seed for seed in seeds if seed not in values]
    if missing:
        return f"no {kind} was recorded for {_seeds(missing)}; the lab must call record.{kind}"
    broken = [seed for seed in seeds if values[seed] is None or not math.isfinite(_value(values, seed))]
    return f"the {kind} of {_seeds(broken)} is not finite" if broken else ""


def _compared(
    expectation: Expectation, values: list[float], baselines: Values, seeds: Sequence[int]
) -> tuple[list[float], float, int]:
    """The values to compare with the bar, the bar, and 1 if more is better, else -1."""
    if expectation.at_least is not None:
        return values, expectation.at_least, 1
    if expectation.at_most is not None:
        return values, expectation.at_most, -1
    assert expectation.beats_baseline_by is not None
    sign = -1 if expectation.lower_is_better else 1
    margins = [sign * (value - _value(baselines, seed)) for value, seed in zip(values, seeds, strict=True)]
    return margins, expectation.beats_baseline_by, 1


def bar_in_words(expectation: Expectation) -> str:
    """The bar, in words."""
    if expectation.at_least is not None:
        return f"{expectation.metric} at least {expectation.at_least:g}"
    if expectation.at_most is not None:
        return f"{expectation.metric} at most {expectation.at_most:g}"
    side = "below" if expectation.lower_is_better else "above"
    return f"{expectation.metric} at least {expectation.beats_baseline_by:g} {side} the baseline"


def _figures(
    expectation: Expectation,
    judged: list[float],
    cleared: list[bool],
    seeds: Sequence[int],
    baselines: Values,
    what: str,
) -> str:
    count = f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
    text = f"mean {statistics.fmean(judged):.4g} ± {spread(judged):.2g} over {count}"
    if expectation.beats_baseline_by is not None:
        baseline = statistics.fmean(_value(baselines, seed) for seed in seeds)
        text = f"{text.replace('mean', 'margin', 1)}, baseline {baseline:.4g}" + (f" ({what})" if what else "")
    missed = [seed for seed, clear in zip(seeds, cleared, strict=True) if not clear]
    return f"{text}; {_seeds(missed)} missed it." if missed else f"{text}."


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"

"""Declaring a lab and what is expected of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.labs.recorder import Recorder


@dataclass(frozen=True)
class Expectation:
    """The bar of one result over the seeds. Made by `expect`.

    Attributes:
        metric: the result's name.
        at_least: smallest acceptable value.
        at_most: largest acceptable value.
        beats_baseline_by: smallest acceptable margin over the recorded baseline, in the metric's direction.
        lower_is_better: the metric's direction, for the baseline margin.
        why: one sentence for the reader of a failed run.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    beats_baseline_by: float | None = None
    lower_is_better: bool = False
    why: str = ""


def expect(
    metric: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    beats_baseline_by: float | None = None,
    lower_is_better: bool = False,
    why: str = "",
) -> Expectation:
    """Expect a result to clear exactly one bar. Raises ConfigError when none or several are given."""
    if sum(bar is not None for bar in (at_least, at_most, beats_baseline_by)) != 1:
        raise ConfigError(f"expect('{metric}'): give exactly one of at_least, at_most and beats_baseline_by.")
    return Expectation(metric, at_least, at_most, beats_baseline_by, lower_is_better, why)


@dataclass(frozen=True)
class Lab:
    """A declared lab: the function and its declaration."""

    name: str
    function: Callable[[Any, Recorder], None]
    config: type
    title: str
    question: str
    data: tuple[str, ...]
    presets: Mapping[str, Mapping[str, Any]]
    expectations: tuple[Expectation, ...]
    sabotage: tuple[Mapping[str, Any], ...]
    seeds: int


def lab(
    *,
    title: str,
    question: str,
    presets: Mapping[str, Mapping[str, Any]],
    expectations: Sequence[Expectation],
    sabotage: Sequence[Mapping[str, Any]],
    data: Sequence[str] = (),
    seeds: int = 3,
) -> Callable[[Callable[[Any, Recorder], None]], Callable[[Any, Recorder], None]]:
    """Declare a function of a frozen config and a `Recorder` to be a lab.

    Args:
        title: heading of the lab.
        question: the question that the lab answers.
        presets: settings by preset; `smoke` (at most ten seconds on two cores), `laptop` and `full` must be there.
        expectations: bars for its results, judged over several seeds.
        sabotage: settings that ruin the run; each must make at least one expectation fail.
        data: names of the datasets that it loads.
        seeds: the default number of seeds of a run.

    Raises:
        ConfigError: a preset is missing, or there is no expectation or no sabotage.
    """
    missing = {"smoke", "laptop", "full"} - set(presets)
    if missing:
        raise ConfigError(f"lab '{title}': presets must hold smoke, laptop and full. Add {', '.join(sorted(missing))}.")
    if not expectations or not sabotage:
        raise ConfigError(
            f"lab '{title}': expectations and sabotage need at least one entry each. Add the missing one."
        )

    def declare(function: Callable[[Any, Recorder], None]) -> Callable[[Any, Recorder], None]:
        function.__lab__ = lambda: Lab(  # type: ignore[attr-defined]
            function.__name__,
            function,
            _config_of(function),
            title,
            question,
            tuple(data),
            presets,
            tuple(expectations),
            tuple(sabotage),
            seeds,
        )
        return function

    return declare


def _config_of(function: Callable[..., Any]) -> type:
    from typing import get_type_hints

    first = next(iter(function.__annotations__))
    return get_type_hints(function)[first]

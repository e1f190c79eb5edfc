"""A prompt before and after a change, from the record of the calls: the same questions, asked with either version.

    with open_research("research.sqlite", reading=True) as research:
        for comparison in compare(research, "3f2a91c0", "b81d4e77"):
            print(comparison.purpose, comparison.before.tokens_out, comparison.after.tokens_out, comparison.same)

A version is the hash of a prompt's instructions (`calls.version`). The record of each call holds it, so nothing is
measured anew. The comparison takes pairs of finished reports by one model, from the same documents, with either version
and no other difference between the prompts: the newest pair of each question. A change of a plan shows in all later
steps, so the figures cover the prompt's own calls and whole reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean

from groundup.errors import UnknownName, UsageError
from groundup.systems.research.report import Report
from groundup.systems.research.runs import Research
from groundup.systems.research.state import Cost, purpose_of

Key = tuple[str, str, str, str]  # question, model, knowledge base, web


@dataclass(frozen=True)
class Took:
    """The cost of calls, as means.

    Attributes:
        tokens_in: tokens read.
        cached: tokens read from the provider's cache.
        tokens_out: tokens written.
        seconds: duration.
        processor: seconds of this process's processor; None where it was not kept.
    """

    tokens_in: float
    cached: float
    tokens_out: float
    seconds: float
    processor: float | None


@dataclass(frozen=True)
class Side:
    """A version of a prompt, with its figures.

    Attributes:
        prompt: the version.
        calls: the number of calls with it.
        call: the mean cost of such a call.
        report: the mean cost of all calls of a report.
        answered: reports with an answer.
    """

    prompt: str
    calls: int
    call: Took
    report: Took
    answered: int


@dataclass(frozen=True)
class Comparison:
    """Two versions of a prompt for one purpose, by one model.

    Attributes:
        purpose: `plan`, `read` or `write`.
        model: the model's name.
        questions: the number of questions asked with both.
        same: questions whose two reports have the same sentences.
        before: the first version.
        after: the second version.
    """

    purpose: str
    model: str
    questions: int
    same: int
    before: Side
    after: Side


def compare(research: Research, before: str, after: str) -> list[Comparison]:
    """Two versions of a prompt, each by its hash or the beginning of it; an entry for each purpose and model.

    Raises:
        UnknownName: no call has such a version, or the beginning fits several.
        UsageError: both are the same version, or no question was asked with both.
    """
    reports = [(run, research.report(run.id)) for run in research.runs() if not run.next]
    known = sorted({cost.get("prompt", "") for _, report in reports for cost in report.costs} - {""})
    first, second = (_version(given, known) for given in (before, after))
    if first == second:
        raise UsageError(f"compare must name two versions of a prompt, got '{first}' twice. Name the other one, too.")
    sides: dict[tuple[str, str], dict[Key, list[Report]]] = {}  # by version and purpose; the newest first
    for run, report in reports:
        for purpose in dict.fromkeys(map(purpose_of, report.costs)):
            calls = _for(report, purpose)
            if len({(call.get("prompt"), call["model"]) for call in calls}) == 1:
                key = (run.question, calls[0]["model"], run.knowledge, run.web)
                sides.setdefault((calls[0].get("prompt", ""), purpose), {}).setdefault(key, []).append(report)
    comparisons = []
    for purpose in ("plan", "read", "write"):
        old, new = sides.get((first, purpose), {}), sides.get((second, purpose), {})
        pairs = {key: pair for key in old if key in new and (pair := _pair(old[key], new[key], purpose))}
        for model in dict.fromkeys(key[1] for key in pairs):
            own = [pair for key, pair in pairs.items() if key[1] == model]
            comparisons.append(
                Comparison(
                    purpose=purpose,
                    model=model,
                    questions=len(own),
                    same=sum(pair[0].sentences == pair[1].sentences for pair in own),
                    before=_side(first, purpose, [pair[0] for pair in own]),
                    after=_side(second, purpose, [pair[1] for pair in own]),
                )
            )
    if not comparisons:
        raise UsageError(
            f"compare must name versions of one prompt with which the same questions were asked, and no question was "
            f"asked with both '{first}' and '{second}'. Ask one again, or see `groundup research costs`."
        )
    return comparisons


def _version(given: str, known: Sequence[str]) -> str:
    fitting = [version for version in known if given and version.startswith(given)]
    if len(fitting) != 1:
        raise UnknownName("version of a prompt", given, known, see="groundup research costs")
    return fitting[0]


def _for(report: Report, purpose: str) -> list[Cost]:
    return [cost for cost in report.costs if purpose_of(cost) == purpose]


def _pair(before: Sequence[Report], after: Sequence[Report], purpose: str) -> tuple[Report, Report] | None:
    """The newest pair of reports, one of either side, without another different prompt; None without a pair."""
    return next((pair for pair in product(before, after) if _alike(*pair, purpose)), None)


def _alike(before: Report, after: Report, purpose: str) -> bool:
    """Whether both reports used the same prompts for every other purpose that they share."""
    versions: list[dict[str, set[str]]] = []
    for report in (before, after):
        prompts: dict[str, set[str]] = {}
        for cost in report.costs:
            prompts.setdefault(purpose_of(cost), set()).add(cost.get("prompt", ""))
        versions.append(prompts)
    common = (versions[0].keys() & versions[1].keys()) - {purpose}
    return all(versions[0][name] == versions[1][name] for name in common)


def _side(prompt: str, purpose: str, reports: Sequence[Report]) -> Side:
    calls = [cost for report in reports for cost in _for(report, purpose)]
    return Side(
        prompt=prompt,
        calls=len(calls),
        call=_took([[call] for call in calls]),
        report=_took([report.costs for report in reports]),
        answered=sum(not report.abstained for report in reports),
    )


def _took(groups: Sequence[Sequence[Cost]]) -> Took:
    """The mean over groups of calls; each group counts once."""
    processor = [[call.get("processor") for call in calls] for calls in groups]
    kept = [[value for value in values if value is not None] for values in processor]
    return Took(
        tokens_in=fmean(sum(call["tokens_in"] for call in calls) for calls in groups),
        cached=fmean(sum(call.get("cached", 0) for call in calls) for calls in groups),
        tokens_out=fmean(sum(call["tokens_out"] for call in calls) for calls in groups),
        seconds=fmean(sum(call["seconds"] for call in calls) for calls in groups),
        processor=fmean(map(sum, kept)) if kept == processor else None,
    )

"""A prompt before and after a change, from the record of the calls: the same questions, asked with either version.

    with open_research("research.sqlite", reading=True) as research:
        for comparison in compare(research, "3f2a91c0", "b81d4e77"):
            print(comparison.purpose, comparison.before.tokens_out, comparison.after.tokens_out, comparison.same)

A version is the hash of a prompt's instructions (`calls.version`); the record of each call has it, so nothing needs to
be measured anew. Only finished reports count that one model made from the same documents with both versions, where no
other prompt differs: the newest of each. A change of a plan shows in all that follows it, so the figures are of the
prompt's own calls and of whole reports.
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
    """What calls took, the mean of each.

    Attributes:
        tokens_in: tokens that were read.
        cached: those of them that came from the provider's cache.
        tokens_out: tokens that were written.
        seconds: how long it took.
        processor: seconds of this process's processor; None where it was not kept.
    """

    tokens_in: float
    cached: float
    tokens_out: float
    seconds: float
    processor: float | None


@dataclass(frozen=True)
class Side:
    """A version of a prompt, and what came of it.

    Attributes:
        prompt: the version.
        calls: how many calls sent it.
        call: what one of them took.
        report: what all calls of a report took.
        answered: reports that say something.
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
        questions: how many were asked with both.
        same: those of them whose reports have the same sentences.
        before: the one version.
        after: the other one.
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
        UnknownName: no call was sent such a version, or the beginning fits several.
        UsageError: both are the same one, or no question was asked with both.
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
        one, other = sides.get((first, purpose), {}), sides.get((second, purpose), {})
        pairs = {key: pair for key in one if key in other and (pair := _pair(one[key], other[key], purpose))}
        for model in dict.fromkeys(key[1] for key in pairs):
            own = [pair for key, pair in pairs.items() if key[1] == model]
            comparisons.append(
                Comparison(
                    purpose=purpose,
                    model=model,
                    questions=len(own),
                    same=sum(old.sentences == new.sentences for old, new in own),
                    before=_side(first, purpose, [old for old, _ in own]),
                    after=_side(second, purpose, [new for _, new in own]),
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
    """The newest two reports, one of either side, in which no other prompt differs; None where there are none."""
    return next((pair for pair in product(before, after) if _alike(*pair, purpose)), None)


def _alike(one: Report, other: Report, purpose: str) -> bool:
    """Whether the prompts for every other purpose are the same ones, as far as both reports needed them."""
    versions: list[dict[str, set[str]]] = []
    for report in (one, other):
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
    """The mean over groups of calls, each of which counts as one."""
    processor = [[call.get("processor") for call in calls] for calls in groups]
    kept = [[value for value in values if value is not None] for values in processor]
    return Took(
        tokens_in=fmean(sum(call["tokens_in"] for call in calls) for calls in groups),
        cached=fmean(sum(call.get("cached", 0) for call in calls) for calls in groups),
        tokens_out=fmean(sum(call["tokens_out"] for call in calls) for calls in groups),
        seconds=fmean(sum(call["seconds"] for call in calls) for calls in groups),
        processor=fmean(map(sum, kept)) if kept == processor else None,
    )

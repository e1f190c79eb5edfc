"""The cost of model calls: tokens, seconds, and money for models with prices.

with open_research("research.sqlite", reading=True) as research:
    for row in costs(research, read_prices("prices.toml")).rows:
        print(row.report, row.purpose, row.tokens_in, row.money)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from groundup.systems.research.prices import Prices
from groundup.systems.research.runs import Research
from groundup.systems.research.state import Cost, purpose_of


@dataclass(frozen=True)
class Row:
    """The calls of one model with one prompt for one purpose of one report.

    Attributes:
        report: the run's id.
        begun: the time of its beginning, in UTC.
        purpose: `plan`, `read` or `write`.
        prompt: the version of the instructions; empty for calls from before it was kept.
        model: the model's name.
        calls: the number of calls.
        tokens_in: tokens read.
        cached: tokens read from the provider's cache.
        tokens_out: tokens written.
        counted: whether the model counted them itself; otherwise they are estimated.
        seconds: duration.
        money: the money for the calls, in the prices' currency; None for a model without a price.
    """

    report: str
    begun: str
    purpose: str
    prompt: str
    model: str
    calls: int
    tokens_in: int
    cached: int
    tokens_out: int
    counted: bool
    seconds: float
    money: float | None


@dataclass(frozen=True)
class Costs:
    """The rows, the newest report first, and the currency; empty without prices."""

    rows: tuple[Row, ...]
    currency: str


def costs(research: Research, prices: Prices | None = None, *, report: str = "") -> Costs:
    """The cost of model calls, of all reports or of one report, finished or not.

    Raises:
        UnknownName: there is no such report.
    """
    runs = [research.find(report)] if report else research.runs()
    rows = [
        _row(run.id, run.begun, purpose, prompt, model, calls, prices)
        for run in runs
        for (purpose, prompt, model), calls in _grouped(research.costs(run.id)).items()
    ]
    return Costs(tuple(rows), prices.currency if prices else "")


def _grouped(calls: Iterable[Cost]) -> dict[tuple[str, str, str], list[Cost]]:
    groups: dict[tuple[str, str, str], list[Cost]] = {}
    for call in calls:
        groups.setdefault((purpose_of(call), call.get("prompt", ""), call["model"]), []).append(call)
    return groups


def _row(
    report: str, begun: str, purpose: str, prompt: str, model: str, calls: list[Cost], prices: Prices | None
) -> Row:
    price = prices.models.get(model) if prices else None
    return Row(
        report=report,
        begun=begun,
        purpose=purpose,
        prompt=prompt,
        model=model,
        calls=len(calls),
        tokens_in=sum(call["tokens_in"] for call in calls),
        cached=sum(call.get("cached", 0) for call in calls),
        tokens_out=sum(call["tokens_out"] for call in calls),
        counted=all(call["counted"] for call in calls),
        seconds=sum(call["seconds"] for call in calls),
        money=None if price is None else sum(map(price.of, calls)),
    )

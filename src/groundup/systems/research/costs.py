"""The cost of model calls: tokens, seconds, and money for models with prices.

with open_research("research.sqlite", reading=True) as research:
    for row in costs(research, read_prices("prices.toml")).rows:
        print(row.report, row.purpose, row.tokens_in, row.money)
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from groundup.errors import UsageError
from groundup.systems.research.runs import Research
from groundup.systems.research.state import Cost, purpose_of

MILLION = 1_000_000
EXAMPLE = 'models."gpt-oss:20b" = {in = 0.5, out = 1.5}'


@dataclass(frozen=True)
class Price:
    """The prices of a million tokens of a model: read, read from the provider's cache, and written."""

    tokens_in: float
    cached: float
    tokens_out: float

    def of(self, cost: Cost) -> float:
        """The money for a call."""
        cached = cost.get("cached", 0)
        paid = (
            (cost["tokens_in"] - cached) * self.tokens_in + cached * self.cached + cost["tokens_out"] * self.tokens_out
        )
        return paid / MILLION


@dataclass(frozen=True)
class Prices:
    """The prices of models by name, in one currency."""

    currency: str
    models: dict[str, Price]


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


def read_prices(path: str | Path) -> Prices:
    """Prices from a TOML file: `currency`, and for each model `in`, `out` and perhaps `cached`, a million tokens each.

    Raises:
        UsageError: the file cannot be read, or breaks a rule.
    """
    try:
        table: dict[str, Any] = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"prices must be a TOML file, and '{path}' cannot be read: {reason}. For example: {EXAMPLE}"
        ) from error
    currency, models = table.pop("currency", "USD"), table.pop("models", None)
    if table or not isinstance(currency, str) or not isinstance(models, dict) or not models:
        raise UsageError(
            f"prices must have `currency` and a table for each model, and '{path}' has {', '.join(table) or 'none'}. "
            f"For example: {EXAMPLE}"
        )
    return Prices(currency, {name: _price(name, values, path) for name, values in models.items()})


def _price(name: str, values: Any, path: str | Path) -> Price:
    known: dict[str, Any] = values if isinstance(values, dict) else {}

    def number(key: str, default: Any = None) -> float:
        value = known.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not (isfinite(value) and value >= 0):
            raise UsageError(
                f"prices of '{name}' must have `{key}`, 0 or more for a million tokens, got {value!r} in '{path}'. "
                f"For example: {EXAMPLE}"
            )
        return float(value)

    price = Price(number("in"), number("cached", known.get("in")), number("out"))
    if more := sorted(known.keys() - {"in", "out", "cached"}):
        raise UsageError(f"prices of '{name}' must be in, out and cached, got '{more[0]}' in '{path}'. Take it out.")
    return price


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

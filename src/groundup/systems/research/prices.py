"""The prices of tokens, by model: from a file, for the cost of calls and for a limit of money."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import UsageError

if TYPE_CHECKING:
    from groundup.systems.research.state import Cost

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

    def of(self, cost: Cost) -> float:
        """The money for a call of a model with a price."""
        return self.models[cost["model"]].of(cost)


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

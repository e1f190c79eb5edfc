"""The risk engine: it makes one risk of the detectors' scores by rules in words, and names the rules.

    rules = read_rules()
    assess(rules, {"vision": 0.8, "url": 0.6, "logs": None}).level      # "high": logs had no input, which is not zero

The inference is Mamdani's, by `production/fuzzy`. A detector without a score is *unknown*. A clause that asks for
unknown is then true and drops out of its rule; a rule that asks the detector for anything else does not apply. Every
combination of detectors therefore has an engine of its own, and reading the rules proves that a rule of each engine
always fires.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from groundup.errors import ConfigError
from groundup.stack.production.fuzzy import Engine, Rule, Variable, gaps, infer, partition

RULES = Path(__file__).with_name("rules.toml")
DETECTORS = ("vision", "url", "logs")
TERMS = ("low", "medium", "high")
UNKNOWN = "unknown"
Level = Literal["low", "medium", "high", "unknown"]


@dataclass(frozen=True)
class Rules:
    """Rules, read and proven.

    Attributes:
        engines: the engine of each set of detectors with a score, in the order of `DETECTORS`.
    """

    engines: Mapping[tuple[str, ...], Engine]


@dataclass(frozen=True)
class Fired:
    """A rule in words, with its strength, above 0 to 1."""

    rule: str
    strength: float


@dataclass(frozen=True)
class Risk:
    """The engine's risk for the scores.

    Attributes:
        score: the risk from 0 to 1; None without any detector's score.
        level: the word of the strongest rule, of two that tie the graver word; or unknown.
        fired: the rules behind it, the strongest first.
    """

    score: float | None
    level: Level
    fired: tuple[Fired, ...]


def assess(rules: Rules, scores: Mapping[str, float | None]) -> Risk:
    """The risk by the scores of the detectors; None, or a missing detector, is unknown.

    Raises:
        ValueError: a score belongs to no detector, or is not between 0 and 1.
    """
    if unknown := set(scores) - {*DETECTORS}:
        raise ValueError(f"scores must be of {', '.join(DETECTORS)}, got {sorted(unknown)[0]!r}.")
    values = {name: scores[name] for name in DETECTORS if scores.get(name) is not None}
    if not values:
        return Risk(None, UNKNOWN, ())
    inference = infer(rules.engines[tuple(values)], **cast("dict[str, float]", values))
    missing = [name for name in DETECTORS if name not in values]
    suffix = f" ({', '.join(missing)} unknown)" if missing else ""
    fired = tuple(Fired(f"{rule.__str__()}{suffix}", round(strength, 4)) for rule, strength in inference.reasons)
    level = max(inference.heights, key=lambda term: (inference.heights[term], TERMS.index(term)))
    return Risk(inference.score, cast(Level, level), fired)


def read_rules(path: Path = RULES) -> Rules:
    """The rules of a TOML file, each checked, and all of them proven to leave no gap.

    Raises:
        ConfigError: the file cannot be read, breaks a rule, or leaves scores for which no rule fires.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"rules must be a file that can be read, and '{path}' cannot be: {error.strerror}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"rules must be TOML, and '{path}' is not: {error}. {_EXAMPLE}") from error
    unknown = set(document) - {"peaks", "rules"}
    if unknown:
        raise ConfigError(f"rules must have peaks and rules only, got '{sorted(unknown)[0]}' in '{path}'.")
    terms = _peaks(document, path)
    listed = document.get("rules", [])
    if not isinstance(listed, list) or not listed:
        raise ConfigError(f"rules must hold at least one [[rules]], and '{path}' holds none. {_EXAMPLE}")
    clauses = [_clauses(entry, number, path) for number, entry in enumerate(listed, 1)]
    grade = Variable(0.0, 1.0, partition(terms))
    engines = {}
    for count in range(1, len(DETECTORS) + 1):
        for scored in itertools.combinations(DETECTORS, count):
            engines[scored] = _engine(clauses, scored, grade, path)
    return Rules(engines)


_EXAMPLE = 'For example: [[rules]] with when = {vision = "high", url = "medium"} and then = "high".'


def _peaks(document: dict[str, Any], path: Path) -> dict[str, float]:
    peaks = document.get("peaks", {})
    values = list(peaks.values()) if isinstance(peaks, dict) else []
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    rising = all(0 <= value <= 1 for value in numbers) and sorted({*numbers}) == numbers
    if not isinstance(peaks, dict) or tuple(peaks) != TERMS or len(numbers) != len(TERMS) or not rising:
        raise ConfigError(
            f"peaks must name {', '.join(TERMS)} in this order, with rising numbers from 0 to 1, got {peaks!r} in "
            f"'{path}'."
        )
    return {name: float(peaks[name]) for name in TERMS}


def _clauses(entry: Any, number: int, path: Path) -> tuple[dict[str, tuple[str, ...]], str]:
    where = f"rule {number} of '{path}'"
    if not isinstance(entry, dict) or set(entry) != {"when", "then"} or not isinstance(entry["when"], dict):
        raise ConfigError(f"{where} must have when and then, got {entry!r}. {_EXAMPLE}")
    if entry["then"] not in TERMS:
        raise ConfigError(f"{where}: then must be one of {', '.join(TERMS)}, got {entry['then']!r}. {_EXAMPLE}")
    when: dict[str, tuple[str, ...]] = {}
    for name, asked in entry["when"].items():
        terms = tuple(asked) if isinstance(asked, list) else (asked,)
        if name not in DETECTORS:
            raise ConfigError(f"{where}: when must ask for {', '.join(DETECTORS)}, got '{name}'. {_EXAMPLE}")
        for term in terms or ("",):
            if term not in (*TERMS, UNKNOWN):
                raise ConfigError(
                    f"{where}: {name} must be {', '.join(TERMS)} or {UNKNOWN}, or a list of these, got {term!r}."
                )
        when[name] = terms
    if not when or all(terms == (UNKNOWN,) for terms in when.values()):
        raise ConfigError(f"{where}: when must ask some detector for a word other than {UNKNOWN}. {_EXAMPLE}")
    return when, entry["then"]


def _engine(
    clauses: list[tuple[dict[str, tuple[str, ...]], str]], scored: tuple[str, ...], grade: Variable, path: Path
) -> Engine:
    """The engine of the detectors with a score: the rules that apply to them, each list written out."""
    rules = []
    for when, then in clauses:
        if any(UNKNOWN not in terms for name, terms in when.items() if name not in scored):
            continue
        asked = {name: [t for t in terms if t != UNKNOWN] for name, terms in when.items() if name in scored}
        if not asked or not all(asked.values()):
            continue
        # A detector that may say anything needs no clause.
        named = [name for name in asked if {*asked[name]} != {*TERMS}] or list(asked)[:1]
        for terms in itertools.product(*(asked[name] for name in named)):
            rule = Rule(dict(zip(named, terms, strict=True)), then)
            if rule not in rules:
                rules.append(rule)
    names = " and ".join(scored)
    if not rules:
        raise ConfigError(
            f"rules must say what {names} alone make{'s' * (len(scored) == 1)} of the risk; '{path}' does not."
        )
    engine = Engine(dict.fromkeys(scored, grade), grade, rules)
    if holes := gaps(engine):
        gap = ", ".join(f"{name} = {value:.3g}" for name, value in holes[0].items())
        rest = (
            f", with {', '.join(n for n in DETECTORS if n not in scored)} unknown"
            if len(scored) < len(DETECTORS)
            else ""
        )
        raise ConfigError(f"rules must fire for all scores, and in '{path}' none does for {gap}{rest}. Add one.")
    return engine

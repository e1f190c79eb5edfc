"""The risk engine: the scores of the detectors, and rules in words, make one risk, with the rules that made it.

    rules = read_rules()
    assess(rules, {"vision": 0.8, "url": 0.6, "logs": None}).level      # "high": logs had no input, which is not zero

The inference is `production/fuzzy`'s, Mamdani's. A detector that cannot say is *unknown*: of each rule, the
clauses that ask for unknown are true and gone then, and a rule that asks it for anything else does not apply. So
every combination of detectors has an engine of its own, and reading the rules proves that each always has a rule that
fires.
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
        engines: for each set of detectors that say something, in the order of `DETECTORS`, its engine.
    """

    engines: Mapping[tuple[str, ...], Engine]


@dataclass(frozen=True)
class Fired:
    """A rule in words, and how strongly it fired, above 0 to 1."""

    rule: str
    strength: float


@dataclass(frozen=True)
class Risk:
    """What the engine makes of the scores.

    Attributes:
        score: the risk from 0 to 1; None where no detector says anything.
        level: the word that the strongest rule ends in, of two that tie the graver one; or unknown.
        fired: the rules behind it, the strongest first.
    """

    score: float | None
    level: Level
    fired: tuple[Fired, ...]


def assess(rules: Rules, scores: Mapping[str, float | None]) -> Risk:
    """The risk by the scores of the detectors; None, or a detector left out, is unknown.

    Raises:
        ValueError: a score is of no detector, or not between 0 and 1.
    """
    if unknown := set(scores) - {*DETECTORS}:
        raise ValueError(f"scores must be of {', '.join(DETECTORS)}, got {sorted(unknown)[0]!r}.")
    values = {name: scores[name] for name in DETECTORS if scores.get(name) is not None}
    if not values:
        return Risk(None, UNKNOWN, ())
    found = infer(rules.engines[tuple(values)], **cast("dict[str, float]", values))
    missing = [name for name in DETECTORS if name not in values]
    told = f" ({', '.join(missing)} unknown)" if missing else ""
    fired = tuple(Fired(f"{rule.__str__()}{told}", round(strength, 4)) for rule, strength in found.reasons)
    level = max(found.heights, key=lambda term: (found.heights[term], TERMS.index(term)))
    return Risk(found.score, cast(Level, level), fired)


def read_rules(path: Path = RULES) -> Rules:
    """The rules of a TOML file, each checked, and all of them proven to leave no gap.

    Raises:
        ConfigError: the file cannot be read, breaks a rule, or leaves scores for which nothing fires.
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
        for there in itertools.combinations(DETECTORS, count):
            engines[there] = _engine(clauses, there, grade, path)
    return Rules(engines)


_EXAMPLE = 'For example: [[rules]] with when = {vision = "high", url = "medium"} and then = "high".'


def _peaks(document: dict[str, Any], path: Path) -> dict[str, float]:
    given = document.get("peaks", {})
    values = list(given.values()) if isinstance(given, dict) else []
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    rising = all(0 <= value <= 1 for value in numbers) and sorted({*numbers}) == numbers
    if not isinstance(given, dict) or tuple(given) != TERMS or len(numbers) != len(TERMS) or not rising:
        raise ConfigError(
            f"peaks must name {', '.join(TERMS)} in this order, with rising numbers from 0 to 1, got {given!r} in "
            f"'{path}'."
        )
    return {name: float(given[name]) for name in TERMS}


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
    clauses: list[tuple[dict[str, tuple[str, ...]], str]], there: tuple[str, ...], grade: Variable, path: Path
) -> Engine:
    """The engine of the detectors that say something: the rules that apply to them, each list written out."""
    rules = []
    for when, then in clauses:
        if any(UNKNOWN not in terms for name, terms in when.items() if name not in there):
            continue
        asked = {name: [t for t in terms if t != UNKNOWN] for name, terms in when.items() if name in there}
        if not asked or not all(asked.values()):
            continue
        # A detector that may say anything needs no clause.
        named = [name for name in asked if {*asked[name]} != {*TERMS}] or list(asked)[:1]
        for terms in itertools.product(*(asked[name] for name in named)):
            rule = Rule(dict(zip(named, terms, strict=True)), then)
            if rule not in rules:
                rules.append(rule)
    those = " and ".join(there)
    if not rules:
        raise ConfigError(
            f"rules must say what {those} alone make{'s' * (len(there) == 1)} of the risk; '{path}' does not."
        )
    engine = Engine(dict.fromkeys(there, grade), grade, rules)
    if holes := gaps(engine):
        told = ", ".join(f"{name} = {value:.3g}" for name, value in holes[0].items())
        rest = (
            f", with {', '.join(n for n in DETECTORS if n not in there)} unknown" if len(there) < len(DETECTORS) else ""
        )
        raise ConfigError(f"rules must fire for all scores, and in '{path}' none does for {told}{rest}. Add one.")
    return engine

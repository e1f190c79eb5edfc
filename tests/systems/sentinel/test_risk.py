"""The risk engine: the roadmap's rule, unknown inputs, and rules of one's own, refused one by one."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from groundup.errors import ConfigError
from groundup.stack.production.fuzzy import infer, risk_engine
from groundup.systems.sentinel.risk import RULES, assess, read_rules

RULES_READ = read_rules()


def test_vision_high_and_text_medium_is_high_as_the_roadmap_has_it():
    found = assess(RULES_READ, {"vision": 0.8, "url": 0.6})
    assert found.level == "high"
    assert found.fired[0].rule == "IF vision IS high AND url IS medium THEN high (logs unknown)"
    # vision is high to .6 and url medium to .8; "and" is the least of both
    assert found.fired[0].strength == pytest.approx(0.6)
    assert found.score == pytest.approx(infer(risk_engine(), vision=0.8, text=0.6).score), "the unit's engine agrees"


def test_no_input_is_not_zero():
    assert assess(RULES_READ, {"url": 1.0, "vision": None}).level == "high"
    assert assess(RULES_READ, {"url": 1.0, "vision": 0.0}).level == "medium"


def test_without_any_input_the_risk_is_unknown():
    found = assess(RULES_READ, {"url": None})
    assert (found.score, found.level, found.fired) == (None, "unknown", ())


@pytest.mark.parametrize("name", ["vision", "url", "logs"])
def test_each_detector_alone_reaches_every_level(name):
    levels = [assess(RULES_READ, {name: score}).level for score in (0.0, 0.5, 1.0)]
    assert levels == ["low", "medium", "high"]


def test_a_log_that_is_sure_is_not_outvoted():
    assert assess(RULES_READ, {"logs": 1.0, "url": 0.0, "vision": 0.0}).level == "high"


def test_at_the_words_themselves_risk_never_falls_as_a_score_rises():
    grid = {
        values: assess(RULES_READ, dict(zip(("vision", "url", "logs"), values, strict=True))).score or 0.0
        for values in itertools.product((0.0, 0.5, 1.0), repeat=3)
    }
    for values, score in grid.items():
        for place in range(3):
            if values[place] < 1:
                risen = (*values[:place], values[place] + 0.5, *values[place + 1 :])
                assert grid[risen] >= score - 1e-9, (values, risen)


def test_scores_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"scores must be of vision, url, logs, got 'text'\."):
        assess(RULES_READ, {"text": 0.5})
    with pytest.raises(ValueError, match=r"url must lie between 0\.0 and 1\.0, got 1\.5"):
        assess(RULES_READ, {"url": 1.5})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("low = 0.0, medium = 0.5", "low = 0.5, medium = 0.1", r"peaks must name low, medium, high in this order"),
        ('then = "high"', 'then = "grave"', r"rule 1 of .*then must be one of low, medium, high, got 'grave'"),
        ('{vision = "high", url', '{sound = "high", url', r"rule 1 .*must ask for vision, url, logs, got 'sound'"),
        ('logs = "medium"}', 'logs = "loud"}', r"rule 2 .*logs must be low, medium, high or unknown.*got 'loud'"),
        ("peaks = ", "tops = 1\npeaks = ", r"rules must have peaks and rules only, got 'tops'"),
        ("peaks = {", "peaks = {{", r"rules must be TOML, and '.*' is not: "),
        ('{logs = "high"}', '{logs = "unknown"}', r"rule 4 .*must ask some detector for a word other than unknown"),
        ('{logs = "high"}', '{logs = "high", url = "low"}', r"none does for logs = .*vision, url unknown. Add one."),
    ],
)  # fmt: skip
def test_a_file_of_rules_that_breaks_one_is_refused_with_what_and_where(old, new, message, tmp_path: Path):
    text = RULES.read_text(encoding="utf-8")
    assert old in text
    changed = tmp_path / "rules.toml"
    changed.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_rules(changed)


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"rules must be a file that can be read, and '.*none.toml' cannot be"):
        read_rules(tmp_path / "none.toml")


def test_a_rule_of_ones_own_counts(tmp_path: Path):
    own = tmp_path / "rules.toml"
    text = RULES.read_text(encoding="utf-8").replace(
        '{logs = "high"}\nthen = "high"', '{logs = "high"}\nthen = "low"', 1
    )
    own.write_text(text, encoding="utf-8")
    assert assess(read_rules(own), {"logs": 1.0}).level == "low"

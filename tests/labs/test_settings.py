"""Settings given as text become values of the field's type, or one clear error."""

from __future__ import annotations

from typing import Any

import pytest

from groundup.errors import ConfigError, UnknownName
from groundup.labs.runner import configure
from groundup.labs.settings import annotations_of, build_config, parse, parse_settings
from tests.labs.sample import LineConfig, line

LINE = line.__lab__()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("int", "12", 12),
        ("float", "1e-3", 0.001),
        ("float", "3", 3.0),
        ("str", " a b", " a b"),
        ("bool", "True", True),
        ("bool", "no", False),
        ("Literal['unit', 'raw']", "raw", "raw"),
        ("typing.Literal[1, 2]", "2", 2),
        ("tuple[int, ...]", "8, 16", (8, 16)),
        ("tuple[int, ...]", "(8,)", (8,)),
        ("tuple[float, ...]", "", ()),
        ("int | None", "none", None),
        ("int | None", "5", 5),
        ("str | None", "none", None),
    ],
)
def test_a_text_is_parsed_by_the_annotation(annotation: str, text: str, value: Any) -> None:
    assert parse(annotation, text) == value
    assert type(parse(annotation, text)) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "epochs",
            "1.5",
            r"'epochs' of the lab 'line' must be a whole number \(int\), not '1.5'. Its settings are seed,",
        ),
        ("learning_rate", "fast", r"'learning_rate' .* must be a number \(float\), not 'fast'"),
        ("shuffle_labels", "maybe", r"must be true or false, not 'maybe'"),
        ("scale", "big", r"must be of type Literal\['unit', 'raw'\], not 'big'"),
        ("hidden", "8,x", r"must be of type tuple\[int, ...\], not '8,x'"),
        (
            "learning_rte",
            "1",
            r"has no setting 'learning_rte'. Did you mean learning_rate\? Its settings are seed, epochs",
        ),
        ("zzz", "1", r"has no setting 'zzz'. Its settings are"),
    ],
)
def test_a_wrong_setting_names_field_type_value_and_what_there_is(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_settings("line", annotations_of(LineConfig), {name: text})


def test_the_config_is_defaults_then_preset_then_settings_then_seed() -> None:
    config = configure(LINE, "laptop", {"learning_rate": 0.1, "hidden": [4, 4]}, 7)
    assert config == LineConfig(seed=7, epochs=500, learning_rate=0.1, hidden=(4, 4))


def test_what_the_config_itself_refuses_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="lab 'line' refuses its settings: epochs must be at least 1, not 0"):
        build_config("line", LineConfig, {"epochs": 0})


def test_a_wrong_preset_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no preset of the lab 'line' called 'smok'. Did you mean smoke\?"):
        configure(LINE, "smok", {}, 0)


def test_an_annotation_that_cannot_be_set_says_what_can() -> None:
    with pytest.raises(ConfigError, match=r"cannot be annotated 'dict\[str, int\]'. Use bool, int"):
        parse("dict[str, int]", "{}")

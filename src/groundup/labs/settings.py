"""From `--set name=value` to a lab's config: each value is parsed by the annotation of its field.

Works on annotations as text, so that the course can check settings without importing the lab.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from groundup.errors import ConfigError, UnknownName, nearest

C = TypeVar("C")

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def parse_settings(lab: str, annotations: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, Any]:
    """Settings as typed on a command line, as the values that the config takes.

    Args:
        lab: the lab's name, for messages.
        annotations: the config's fields and their annotations as text.
        settings: name and text of each setting.

    Raises:
        ConfigError: there is no such field, or the text is not of the field's type.
    """
    return {name: _parse_setting(lab, annotations, name, text.strip()) for name, text in settings.items()}


def _parse_setting(lab: str, annotations: Mapping[str, str], name: str, text: str) -> Any:
    check_names(lab, annotations, [name])
    annotation = annotations[name]
    try:
        return parse(annotation, text)
    except ValueError:
        raise ConfigError(
            f"The setting '{name}' of the lab '{lab}' must be {_in_words(annotation)}, not '{text}'. "
            f"Its settings are {', '.join(annotations)}."
        ) from None


def check_names(lab: str, known: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise ConfigError for the first name that is not a field of the lab's config."""
    for name in names:
        if name not in known:
            close = nearest(name, known)
            hint = f"Did you mean {' or '.join(close)}? " if close else ""
            raise ConfigError(
                f"The lab '{lab}' has no setting '{name}'. {hint}Its settings are {', '.join(known) or 'none'}."
            )


def parse(annotation: str, text: str) -> Any:
    """Parse a text as a value of `bool`, `int`, `float`, `str`, `Literal[...]`, `tuple[X, ...]` or `X | None`.

    Raises:
        ValueError: it is not one.
        ConfigError: the annotation is none of these.
    """
    return _parse(ast.parse(annotation, mode="eval").body, text)


def _parse(annotation: ast.expr, text: str) -> Any:
    match annotation:
        case ast.Name(id="str"):
            return text
        case ast.Name(id="int"):
            return int(text)
        case ast.Name(id="float"):
            return float(text)
        case ast.Name(id="bool"):
            return _parse_bool(text)
        case ast.Constant(value=None):
            if text.lower() == "none":
                return None
            raise ValueError(text)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _first([right, left], text)
        case ast.Subscript(value=ast.Name(id="Literal") | ast.Attribute(attr="Literal"), slice=choices):
            values = ast.literal_eval(choices)
            return _choice(values if isinstance(values, tuple) else (values,), text)
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[item, ast.Constant(value=value)])) if (
            value is Ellipsis
        ):
            return tuple(_parse(item, part.strip()) for part in text.strip("()[] ").split(",") if part.strip())
    raise ConfigError(
        f"A lab's setting cannot be annotated '{ast.unparse(annotation)}'. "
        "Use bool, int, float, str, Literal[...], tuple[X, ...] or X | None."
    )


def _parse_bool(text: str) -> bool:
    if text.lower() in (*TRUE, *FALSE):
        return text.lower() in TRUE
    raise ValueError(text)


def _first(annotations: list[ast.expr], text: str) -> Any:
    for annotation in annotations:
        try:
            return _parse(annotation, text)
        except ValueError:
            continue
    raise ValueError(text)


def _choice(values: tuple[Any, ...], text: str) -> Any:
    for value in values:
        if str(value) == text:
            return value
    raise ValueError(text)


def _in_words(annotation: str) -> str:
    words = {"bool": "true or false", "int": "a whole number (int)", "float": "a number (float)"}
    return words.get(annotation, f"of type {annotation}")


def annotations_of(config: type) -> dict[str, str]:
    """The fields of a config class and their annotations as text."""
    fields = dataclasses.fields(config)
    return {field.name: field.type if isinstance(field.type, str) else _name(field.type) for field in fields}


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)


def choose_preset(lab: str, presets: Mapping[str, Mapping[str, Any]], preset: str) -> Mapping[str, Any]:
    """The settings of a preset. Raises UnknownName."""
    if preset not in presets:
        raise UnknownName(f"preset of the lab '{lab}'", preset, presets, see=f"--preset {'|'.join(presets)}")
    return presets[preset]


def build_config(lab: str, config: type[C], values: Mapping[str, Any]) -> C:
    """The config with these values; lists become tuples where the field is one.

    Raises:
        ConfigError: a name is not a field, or the config itself refuses a value.
    """
    annotations = annotations_of(config)
    check_names(lab, annotations, list(values))
    typed = {
        name: tuple(value) if annotations[name].startswith("tuple") and value is not None else value
        for name, value in values.items()
    }
    try:
        return config(**typed)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"The lab '{lab}' refuses its settings: {error}") from error

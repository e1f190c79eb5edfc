"""The printing of commands by rich, which is imported for the first line printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from groundup.knowledge import Part

MARKS = {
    "passed": ("✓", "green"),
    "failed": ("✗", "red"),
    "stale": ("↻", "yellow"),
    "started": ("…", "cyan"),
    "new": ("·", "default"),
    "planned": (" ", "dim"),
    "not_attempted": ("…", "cyan"),
    "not_run": ("·", "dim"),
    "timeout": ("✗", "red"),
    "crashed": ("✗", "red"),
    "refused": ("✗", "red"),
    "interrupted": ("…", "yellow"),
}


@cache
def console(*, err: bool = False) -> Console:
    """The terminal; standard error for progress, so that pipes stay clean."""
    from rich.console import Console

    return Console(stderr=err, highlight=False, soft_wrap=True)


def mark(status: str) -> str:
    """A status as one coloured sign; the word is always printed beside it."""
    sign, style = MARKS[status]
    return f"[{style}]{sign}[/]"


def styled(status: str) -> str:
    """A status as a coloured word."""
    return f"[{MARKS[status][1]}]{status.replace('_', ' ')}[/]"


def print_json(document: Any, *, ascii: bool = False) -> None:
    """Print one JSON document on standard output. ASCII spells out text that could steer a terminal."""
    click.echo(json.dumps(document, ensure_ascii=ascii, indent=2, default=str))


def escape(text: str) -> str:
    """Text for rich, with its markup escaped."""
    from rich.markup import escape as rich_escape

    return rich_escape(text)


def count_of(number: int, what: str) -> str:
    """A number and its noun, in the plural unless the number is 1."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def shown(text: str) -> str:
    """Foreign text (a log, a document, a model) for the terminal: controls visible, markup escaped."""
    from groundup.terminal import visible

    return escape(visible(text))


def shown_lines(text: str) -> str:
    """As `shown`, line by line."""
    return "\n".join(map(shown, text.splitlines()))


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """A progress display on standard error, removed at the end; silent without a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    terminal = console(err=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=terminal,
        transient=True,
        disable=quiet or not terminal.is_terminal,
    ) as bar:
        yield bar


def print_parts(citation: str, parts: Sequence[Part], *, as_json: bool) -> None:
    """Print the text behind a citation; what is not cited is dim."""
    from dataclasses import asdict

    if as_json:
        print_json({"citation": citation, "parts": [asdict(part) for part in parts]}, ascii=True)
        return
    for part in parts:
        style = "bold" if part.cited else "dim"
        console().print(f"[{style}]{shown(part.where)}\n{shown_lines(part.text)}[/]")

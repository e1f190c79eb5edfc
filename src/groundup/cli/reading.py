"""Input of several copilot commands: files, standard input, or the stored logs of a pod."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click

from groundup.cli.output import console, progress, shown

if TYPE_CHECKING:
    from groundup.systems.copilot import Record
    from groundup.systems.copilot.reading.logs import Tally
    from groundup.systems.copilot.reading.patterns import Patterns
    from groundup.systems.copilot.store import Store

SINCE = click.option(
    "--since", metavar="SPAN|TIME", help="Read from here on: 10m, 2h, 1d before the newest line, or a time."
)
PATTERNS = "groundup.patterns"


def _remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        from groundup.systems.copilot.reading.patterns import load_patterns

        ctx.meta[PATTERNS] = load_patterns(value)


patterns_option = click.option(
    "--patterns", envvar="GROUNDUP_PATTERNS", metavar="FILE", expose_value=False, callback=_remember,
    help="Your own formats and maskings, in TOML [GROUNDUP_PATTERNS].",
)  # fmt: skip


def given_patterns() -> Patterns | None:
    """The patterns that the command line names."""
    return click.get_current_context().meta.get(PATTERNS)


EVERY = 5_000  # records between two movements of the progress display


def read_named(
    command: str, names: tuple[str, ...], store: str, since: str | None, stack: ExitStack, *, quiet: bool,
    tally: Tally | None = None, zone: tzinfo | None = None,
) -> Iterator[Record]:  # fmt: skip
    """The records of files, or of one name in the store; open as long as the stack is."""
    if _is_stored(names, store):
        opened, name = _stored(command, names, store, stack)
        records = opened.records(name, since)
        if tally is None:
            return records
        tally.damage += opened.unread(name)
        return tally.count(records)
    return read_files(names, since, stack, quiet=quiet, tally=tally, zone=zone)


def _is_stored(names: tuple[str, ...], store: str) -> bool:
    """Whether the names mean stored logs rather than files."""
    if any(name == "-" or Path(name).exists() for name in names):
        return False
    named = click.get_current_context().get_parameter_source("store") is not click.core.ParameterSource.DEFAULT
    return not names or named or Path(store).exists()


def _stored(command: str, names: tuple[str, ...], store: str, stack: ExitStack) -> tuple[Store, str | None]:
    from groundup.errors import UsageError
    from groundup.systems.copilot.store import open_store

    if len(names) > 1:
        raise UsageError(
            f"{command} takes one name of a stored log, got {len(names)}: {', '.join(names)}. "
            "Give one of them, or their namespace. Without a name, the command reads the whole store."
        )
    opened = stack.enter_context(open_store(store, reading=True, patterns=given_patterns()))
    return opened, names[0] if names else None


def read_files(
    files: Iterable[str], since: str | None, stack: ExitStack, *, quiet: bool, tally: Tally | None = None,
    zone: tzinfo | None = None,
) -> Iterator[Record]:  # fmt: skip
    """The records of all files in turn. If `since` is a span, a first pass finds the newest line.

    `tally` counts the records and lists unread input. Without a tally, unread input is an error.
    """
    from groundup.systems.copilot.errors import CannotRead
    from groundup.systems.copilot.reading.logs import after, moment, open_logs, parse
    from groundup.systems.copilot.reading.times import DAY, extent

    names, patterns = list(files), given_patterns()
    paths = [_spooled(stack) if name == "-" and since else name for name in names]
    bar = stack.enter_context(progress(quiet=quiet))
    task = bar.add_task("Reading", total=None)

    def unread(reason: str) -> None:
        if tally is None:
            complain(reason)
        elif reason not in tally.damage:
            tally.damage.append(reason)

    def read() -> Iterator[Record]:
        for name, path in zip(names, paths, strict=True):
            source = "standard input" if name == "-" else name
            try:
                with open_logs(path) as lines:
                    lines.name = source
                    for count, record in enumerate(parse(lines, source=source, zone=zone, patterns=patterns)):
                        if count % EVERY == 0:
                            bar.update(task, advance=EVERY if count else 0, description=f"Reading {shown(source)}")
                        yield record
                    if lines.damage is not None:
                        unread(lines.damage)
            except CannotRead as error:
                if tally is None:
                    raise
                unread(str(error))

    records = read()
    if since is not None:
        span = extent((record.time for record in read() if record.time is not None), apart=DAY)
        records = after(records, moment(since, None if span is None else span[1]))
    return records if tally is None else tally.count(records)


def complain(reason: str) -> None:
    """Print one line about unread input on standard error."""
    console(err=True).print(f"[yellow]{shown(reason)}[/]")


def _spooled(stack: ExitStack) -> str:
    """Standard input as a file, because it is read twice."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    path = Path(folder) / "stdin.log"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return str(path)


def iso(time: float | None) -> str | None:
    """A time for JSON."""
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat()


def clock(time: float | None) -> str:
    """A time for people."""
    return "no time" if time is None else f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S}Z"

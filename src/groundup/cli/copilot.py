"""`groundup copilot`: log files in, evidence out."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundup.cli.asking import ask_command, learn_command, open_command
from groundup.cli.collecting import collect_command, ingest_command, shown, status_command, store_option
from groundup.cli.options import json_option
from groundup.cli.output import console, print_json, progress

if TYPE_CHECKING:
    from groundup.systems.copilot import Record

FILES = click.argument("files", nargs=-1, required=True, metavar="FILE…")
SINCE = click.option(
    "--since", metavar="SPAN|TIME", help="Only from then on: 10m, 2h, 1d before the newest line, or a time."
)
EVERY = 5_000  # records between two movements of the progress display


@click.group("copilot", epilog="Example: kubectl logs deploy/checkout --timestamps | groundup copilot why -")
def copilot_command() -> None:
    """The DevOps copilot: from log files to the lines that hold the root cause, and to the templates behind them."""


for command in (ingest_command, collect_command, status_command, learn_command, ask_command, open_command):
    copilot_command.add_command(command)


@copilot_command.command("why", epilog="Example: groundup copilot why checkout --since 2h")
@click.argument("names", nargs=-1, metavar="[POD|FILE]…")
@store_option
@SINCE
@json_option
def why_command(names: tuple[str, ...], store: str, since: str | None, as_json: bool) -> int:
    """Show at most 20 lines that hold the root cause; none where nothing is wrong.

    They are looked for in log files (- for standard input), or in the store: in the logs of one pod (its name or how it
    begins, namespace/pod, or the file that was ingested), or in all of it. All formats are recognised, also gzipped.
    """
    from groundup.systems.copilot.evidence import why

    with ExitStack() as stack:
        if _is_stored(names, store):
            records = _stored(names, store, since, stack)
        else:
            records = _records(names, since, stack, quiet=as_json)
        first = next(records, None)
        found = [] if first is None else why(chain([first], records))
    if as_json:
        print_json({"evidence": [_document(vars_of(one)) for one in found], "nothing": not found}, ascii=True)
        return 0
    out = console()
    if first is None:
        out.print("There is no line to look at: the logs are empty, or all of them are older than --since.")
        return 0
    if not found:
        out.print("Nothing in these logs tells of a failure.")
        return 0
    many = len({one.source for one in found}) > 1
    for one in found:
        place = f"{one.source}:{one.number}" if many or len(names) != 1 else f"line {one.number}"
        reasons = shown("; ".join(one.reasons))
        out.print(f"[bold]{shown(place)}[/]  [dim]{_clock(one.time)}[/]  {reasons}")
        out.print(f"    {shown(one.text)}")
    return 0


@copilot_command.command("templates", epilog="Example: groundup copilot templates app.log --top 20")
@FILES
@SINCE
@click.option("--top", type=click.IntRange(min=1), default=50, show_default=True, help="How many templates to show.")
@json_option
def templates_command(files: tuple[str, ...], since: str | None, top: int, as_json: bool) -> int:
    """Show the templates behind the messages of each FILE (- for standard input), the most frequent first.

    With --json all templates are given, with some of their messages.
    """
    from groundup.systems.copilot.templates import Miner

    miner, lines = Miner(), 0
    with ExitStack() as stack:
        for record in _records(files, since, stack, quiet=as_json):
            miner.add(record.message)
            lines += 1
    found = miner.templates()
    if as_json:
        print_json({"records": lines, "templates": [vars_of(template) for template in found]}, ascii=True)
        return 0
    out = console()
    for template in found[:top]:
        out.print(f"{template.count:>9,}  {shown(template.text)}")
    hidden = f"; the {len(found) - top:,} rarest are not shown (--top)" if len(found) > top else ""
    out.print(f"[dim]{len(found):,} templates of {lines:,} records{hidden}[/]")
    return 0


def _is_stored(names: tuple[str, ...], store: str) -> bool:
    """Whether the names mean what is in the store rather than files."""
    if any(name == "-" or Path(name).exists() for name in names):
        return False
    given = click.get_current_context().get_parameter_source("store") is not click.core.ParameterSource.DEFAULT
    return not names or given or Path(store).exists()


def _stored(names: tuple[str, ...], store: str, since: str | None, stack: ExitStack) -> Iterator[Record]:
    from groundup.errors import UsageError
    from groundup.systems.copilot.store import open_store

    if len(names) > 1:
        raise UsageError(
            f"why takes one name of what is in the store, got {len(names)}: {', '.join(names)}. "
            "Name one of them, their namespace, or none for all that is stored."
        )
    return stack.enter_context(open_store(store, reading=True)).records(names[0] if names else None, since)


def vars_of(one: Any) -> dict[str, Any]:
    """The fields of a frozen record as plain data."""
    import dataclasses

    return dataclasses.asdict(one)


def _document(fields: dict[str, Any]) -> dict[str, Any]:
    if fields.get("time") is not None:
        fields["time"] = datetime.fromtimestamp(fields["time"], UTC).isoformat()
    return fields


def _clock(time: float | None) -> str:
    return "no time" if time is None else f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S}Z"


def _records(files: Iterable[str], since: str | None, stack: ExitStack, *, quiet: bool) -> Iterator[Record]:
    """The records of all files in turn; where `since` is a span, the newest line is looked for first."""
    from groundup.systems.copilot.logs import after, moment, open_logs, parse

    names = list(files)
    paths = [_spooled(stack) if name == "-" and since else name for name in names]
    bar = stack.enter_context(progress(quiet=quiet))
    task = bar.add_task("Reading", total=None)

    def read() -> Iterator[Record]:
        for name, path in zip(names, paths, strict=True):
            source = "standard input" if name == "-" else name
            with open_logs(path) as lines:
                for count, record in enumerate(parse(lines, source=source)):
                    if count % EVERY == 0:
                        bar.update(task, advance=EVERY if count else 0, description=f"Reading {shown(source)}")
                    yield record

    if since is None:
        return read()
    newest = max((record.time for record in read() if record.time is not None), default=None)
    return after(read(), moment(since, newest))


def _spooled(stack: ExitStack) -> str:
    """Standard input as a file, because it is read twice."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    path = Path(folder) / "stdin.log"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return str(path)

"""`groundup copilot`: logs in, evidence and answers out."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import tzinfo
from itertools import chain
from typing import Any

import click

from groundup.cli.asking import ask_command, learn_command, open_command
from groundup.cli.classifying import commands
from groundup.cli.collecting import collect_command, ingest_command, status_command, store_option
from groundup.cli.mine import SystemGroup
from groundup.cli.options import json_option, timezone_option
from groundup.cli.output import console, print_json, shown
from groundup.cli.reading import SINCE, clock, complain, iso, patterns_option, read_files, read_named
from groundup.cli.serving import demo_command, page_command, serve_command

FILES = click.argument("files", nargs=-1, required=True, metavar="FILE…")


class CopilotGroup(SystemGroup):
    """Turns DuckDB's error of an interrupted query into Abort."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises Abort after Ctrl-C."""
        try:
            return super().invoke(ctx)
        except RuntimeError as error:
            if str(error) != "Query interrupted":
                raise
            raise click.Abort from error


@click.group(
    "copilot", cls=CopilotGroup, epilog="Example: kubectl logs deploy/checkout --timestamps | groundup copilot why -"
)
def copilot_command() -> None:
    """Find root causes in logs, and answer with citations.

    The logs come from a Kubernetes cluster, from files or from a pipe. Begin with `groundup copilot demo`.
    """


for command in (
    ingest_command, collect_command, status_command, learn_command, ask_command, open_command, *commands(),
    demo_command, serve_command, page_command,
):  # fmt: skip
    copilot_command.add_command(command)


@copilot_command.command("why", epilog="Example: groundup copilot why checkout --since 2h")
@click.argument("names", nargs=-1, metavar="[POD|FILE]…")
@store_option
@SINCE
@timezone_option
@patterns_option
@json_option
def why_command(names: tuple[str, ...], store: str, since: str | None, zone: tzinfo | None, as_json: bool) -> int:
    """Show at most 20 lines that hold the root cause.

    The command shows no line if nothing is wrong. The lines come from log files (- for standard input) or from the
    store: one pod (its name or the beginning of it, namespace/pod, or an ingested file), or the whole store. The
    command recognises every format, packed or not. Exit code 3: some input was unread, or not read to its end.
    """
    from groundup.systems.copilot.finding.evidence import why
    from groundup.systems.copilot.reading.logs import Tally

    tally = Tally()
    with ExitStack() as stack:
        records = read_named("why", names, store, since, stack, quiet=as_json, tally=tally, zone=zone)
        first = next(records, None)
        evidence = [] if first is None else why(chain([first], records), whole=lambda: not tally.damage)
    code = 3 if tally.damage else 0
    if as_json:
        document = {
            "evidence": [_document(vars_of(piece)) for piece in evidence], "nothing": tally.healthy(evidence),
            "read": tally.counts, "unread": tally.damage,
        }  # fmt: skip
        print_json(document, ascii=True)
        return code
    out = console()
    for reason in tally.damage:
        complain(reason)
    if first is None:
        if not code:
            out.print("There is no line to examine: the logs are empty, or all lines are older than --since.")
        return code
    if not evidence:
        where = "the part of these logs that was read" if code else "these logs"
        words = "" if tally.levelled or tally.timed else "the words of "
        out.print(f"Nothing in {words}{where} tells of a failure.")
        out.print(f"[dim]{tally}.[/]")
        return code
    many = len({piece.source for piece in evidence}) > 1
    for piece in evidence:
        place = f"{piece.source}:{piece.number}" if many or len(names) != 1 else f"line {piece.number}"
        reasons = shown("; ".join(piece.reasons))
        out.print(f"[bold]{shown(place)}[/]  [dim]{clock(piece.time)}[/]  {reasons}")
        out.print(f"    {shown(piece.text)}")
    out.print(f"[dim]{tally}.[/]")
    return code


@copilot_command.command("templates", epilog="Example: groundup copilot templates app.log --top 20")
@FILES
@SINCE
@click.option("--top", type=click.IntRange(min=1), default=50, show_default=True, help="Number of templates to show.")
@patterns_option
@json_option
def templates_command(files: tuple[str, ...], since: str | None, top: int, as_json: bool) -> int:
    """Show the templates behind the messages of log files.

    The most frequent template comes first. A FILE may be - for standard input. --json prints all templates, each with
    some of its messages.
    """
    from groundup.systems.copilot.finding.templates import Miner

    miner, lines = Miner(), 0
    with ExitStack() as stack:
        for record in read_files(files, since, stack, quiet=as_json):
            miner.add(record.message)
            lines += 1
    templates = miner.templates()
    if as_json:
        print_json({"records": lines, "templates": [vars_of(template) for template in templates]}, ascii=True)
        return 0
    out = console()
    for template in templates[:top]:
        out.print(f"{template.count:>9,}  {shown(template.text)}")
    hidden = f"; the {len(templates) - top:,} rarest are not shown (--top)" if len(templates) > top else ""
    out.print(f"[dim]{len(templates):,} templates of {lines:,} records{hidden}[/]")
    return 0


def vars_of(record: Any) -> dict[str, Any]:
    """The fields of a frozen record as plain data."""
    import dataclasses

    return dataclasses.asdict(record)


def _document(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "time": iso(fields["time"])}

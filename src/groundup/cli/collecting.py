"""`groundup copilot ingest`, `collect` and `status`: logs into the store, and its contents."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, TypeVar

import click

from groundup.cli.options import json_option, timezone_option
from groundup.cli.output import console, count_of, print_json, progress, shown
from groundup.cli.reading import given_patterns, patterns_option
from groundup.errors import UsageError
from groundup.systems.copilot.errors import CannotRead, ClusterError

if TYPE_CHECKING:
    from groundup.systems.copilot.sources.collect import Collected
    from groundup.systems.copilot.sources.files import Ingested
    from groundup.systems.copilot.store import Source

F = TypeVar("F", bound=Callable[..., Any])
LOOK = 1.0  # seconds between two looks at files that are followed
PATIENT = 60.0  # seconds that a follower waits for another process to let go of the store


def store_option(function: F) -> F:
    """`--store FILE`."""
    return click.option(
        "--store", envvar="GROUNDUP_STORE", default="copilot.duckdb", show_default=True, metavar="FILE",
        help="The store [GROUNDUP_STORE].",
    )(function)  # fmt: skip


@click.command("ingest", epilog="Example: kubectl logs deploy/checkout | groundup copilot ingest -")
@click.argument("files", nargs=-1, required=True, metavar="FILE|FOLDER|-…")
@store_option
@click.option("--follow", is_flag=True, help="Store lines as they are written, until Ctrl-C.")
@timezone_option
@patterns_option
@json_option
def ingest_command(files: tuple[str, ...], store: str, follow: bool, zone: tzinfo | None, as_json: bool) -> int:
    """Store the new lines of log files, folders and pipes.

    - is standard input. Each line is stored once. Files may be packed, rotated and still growing. Secrets are masked
    before anything is stored. Exit code 3: some input was unread, or not read to its end.
    """
    from groundup.systems.copilot.sources.files import ingest_files, ingest_stream
    from groundup.systems.copilot.store import open_store

    paths = [name for name in files if name != "-"]
    with stoppable() as stop, progress(quiet=as_json) as bar:
        task = bar.add_task("Reading", total=None)

        def report(source: Source, lines: int) -> None:
            bar.update(task, advance=lines, description=f"Reading {shown(source.name)}")

        with open_store(store, patterns=given_patterns()) as opened:
            done = ingest_files(opened, paths, report=report, stopped=stop.is_set, zone=zone)
            if "-" in files and not stop.is_set():
                try:
                    done += ingest_stream(opened, sys.stdin.buffer, report=report, stopped=stop.is_set, zone=zone)
                except CannotRead as error:
                    done.unread["standard input"] = str(error)
        while follow and paths and not stop.wait(LOOK):
            done += _again(store, paths, done, report, stop, zone)
    with open_store(store, reading=True) as opened:
        summary = opened.summary()
    _say(done, summary, as_json)
    return 130 if stop.is_set() and not follow else 3 if done.unread else 0


def _again(
    store: str,
    paths: list[str],
    done: Ingested,
    report: Callable[[Source, int], None],
    stop: threading.Event,
    zone: tzinfo | None,
) -> Ingested:
    """Read the files again; open the store only if there are new lines."""
    from groundup.systems.copilot.sources.files import Ingested, ingest_files, state_of
    from groundup.systems.copilot.store import open_store

    state = state_of(paths)
    if state == done.state:
        return Ingested(waiting=done.waiting, state=state)
    with open_store(store, wait=PATIENT, patterns=given_patterns()) as opened:
        return ingest_files(opened, paths, report=report, stopped=stop.is_set, zone=zone)


def _say(done: Ingested, summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        counts = {"lines": done.lines, "files": done.files, "waiting": done.waiting, "skipped": len(done.skipped),
                  "unread": done.unread}  # fmt: skip
        stored = {"store": summary["store"], "stored": summary["lines"], "templates": summary["templates"]}
        print_json({**counts, **stored}, ascii=True)
        return
    out = console()
    out.print(
        f"{count_of(done.lines, 'new line')}. {shown(summary['store'])} holds {count_of(summary['lines'], 'line')} of "
        f"{count_of(len(summary['sources']), 'source')}, {count_of(summary['templates'], 'template')}."
    )
    if done.waiting:
        out.print(f"The last line of {count_of(done.waiting, 'file')} has no end yet and is not stored.")
    if done.skipped:
        names = ", ".join(done.skipped[:3]) + (", …" if len(done.skipped) > 3 else "")
        out.print(f"Left out as no text: {count_of(len(done.skipped), 'file')} ({shown(names)}).")
    for reason in done.unread.values():
        console(err=True).print(f"[yellow]{shown(reason)}[/]")


class Every(click.ParamType):
    """A span of time, as seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a span such as 10s or 1m."""
        from groundup.systems.copilot.reading.logs import span

        seconds = value if isinstance(value, float) else span(str(value))
        if seconds is None or seconds < 1:
            self.fail(f"must be a span of one second or more, such as 10s or 1m, got '{value}'.", param, ctx)
        return seconds


@click.command("collect", epilog="Example: groundup copilot collect --namespace shop --selector app=checkout --follow")
@click.option("-n", "--namespace", metavar="NAME", help="The namespace [the context's namespace].")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")
@click.option(
    "-l", "--selector", default="", metavar="LABELS", help="Only pods with these labels: app=checkout,tier!=db."
)
@click.option("--context", metavar="NAME", help="The kubeconfig's context [the current one].")
@click.option("--kubeconfig", metavar="FILE", help="The kubeconfig [KUBECONFIG, ~/.kube/config, or in a pod its own].")
@click.option("--follow", is_flag=True, help="Collect until Ctrl-C.")
@click.option(
    "--every",
    type=Every(),
    metavar="SPAN",
    help="Collect until Ctrl-C, and store new lines at this interval [10s].",
)
@store_option
@patterns_option
@json_option
def collect_command(
    namespace: str | None,
    all_namespaces: bool,
    selector: str,
    context: str | None,
    kubeconfig: str | None,
    follow: bool,
    every: float | None,
    store: str,
    as_json: bool,
) -> int:
    """Store the logs and events of a Kubernetes cluster.

    The command reads the logs of all containers, and after a restart also the log of the previous instance. Each line
    is stored once. The cluster gets `get` and `list` requests only. With --follow, the command reads logs while they
    are written, and stores new lines every ten seconds. Secrets are masked before anything is stored.
    """
    from groundup.systems.copilot.sources.cluster import connect
    from groundup.systems.copilot.sources.collect import collect, store_streamed
    from groundup.systems.copilot.sources.streams import Streams
    from groundup.systems.copilot.store import WAIT, open_store

    if namespace and all_namespaces:
        raise UsageError(f"namespace must be left out with --all-namespaces, got '{namespace}'. Choose one of them.")
    follow = follow or every is not None
    with stoppable() as stop, progress(quiet=as_json) as bar:
        task = bar.add_task("Collecting", total=None)

        def report(source: Source, lines: int) -> None:
            bar.update(task, advance=lines, description=f"Collecting {shown(source.name)}")

        cluster = connect(kubeconfig, context, wait=stop.wait)
        where = None if all_namespaces else namespace or cluster.namespace
        streams = Streams(cluster)

        def once() -> Collected:
            return collect(
                store, cluster, namespace=where, selector=selector, report=report, stopped=stop.is_set,
                wait=PATIENT if follow else WAIT, streams=streams if follow else None, patterns=given_patterns(),
            )  # fmt: skip

        try:
            done = once()
            while follow and not streams.wait(stop.wait, every or 10.0):
                try:
                    done += once()
                except ClusterError as error:  # a passing one: the next round continues from here
                    if not error.passing:
                        raise
                    console(err=True).print(f"[yellow]{shown(str(error))} Trying again.[/]")
            done.lines += store_streamed(store, cluster, streams, report=report, patterns=given_patterns())
        finally:
            streams.close()
    with open_store(store, reading=True) as opened:
        summary = opened.summary()
    if as_json:
        print_json(
            {"cluster": cluster.name, "namespace": where, "lines": done.lines, "events": done.events, "pods": done.pods,
             "containers": done.containers, "unread": done.notes, "store": summary["store"],
             "stored": summary["lines"], "templates": summary["templates"]},
            ascii=True,
        )  # fmt: skip
        return 130 if stop.is_set() and not follow else 0
    out = console()
    if not done.pods:
        place = "this cluster" if where is None else f"namespace {shown(where)}"
        out.print(f"There are no pods in {place}" + (f" with {shown(selector)}." if selector else "."))
    for name, note in done.notes.items():
        out.print(f"[dim]no log of {shown(name)}: {shown(note)}[/]")
    out.print(
        f"{count_of(done.lines, 'new line')}, {done.events:,} of them events; "
        f"{count_of(done.containers, 'container')} in {count_of(done.pods, 'pod')}. {shown(summary['store'])} holds "
        f"{count_of(summary['lines'], 'line')}, {count_of(summary['templates'], 'template')}."
    )
    return 130 if stop.is_set() and not follow else 0


@click.command("status", epilog="Example: groundup copilot status --json")
@store_option
@json_option
def status_command(store: str, as_json: bool) -> int:
    """Show the store: sources, lines, newest time, templates."""
    from groundup.systems.copilot.store import open_store

    with open_store(store, reading=True) as opened:
        summary = opened.summary()
    if as_json:
        print_json(summary, ascii=True)
        return 0
    out = console()
    for source in summary["sources"]:
        restart = f", restart {source['restart']}" if source["restart"] else ""
        errors = f"  {source['errors']:,} errors" if source["errors"] else ""
        newest = source["newest"] or "no time"
        out.print(
            f"{source['lines']:>12,}  {shown(newest):<27}  "
            f"{shown(source['name'])}{restart} [dim]{source['kind']}{errors}[/]"
        )
    out.print(
        f"{summary['lines']:>12,}  {shown(summary['newest'] or 'no time'):<27}  in {shown(summary['store'])}: "
        f"{count_of(len(summary['sources']), 'source')}, {count_of(summary['templates'], 'template')}"
    )
    return 0


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that work in progress finishes; a second signal ends at once."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

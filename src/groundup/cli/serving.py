"""`groundup copilot serve`, `page` and `demo`: the API, the page, and both on a synthetic incident."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from groundup.cli import options
from groundup.cli.asking import closing_lines, sentence_line
from groundup.cli.collecting import store_option
from groundup.cli.knowledge import knowledge_option
from groundup.cli.options import access, json_option, port_option, serve_demo, serve_system, serving_options
from groundup.cli.output import console, print_json, shown
from groundup.cli.reading import given_patterns, patterns_option

if TYPE_CHECKING:
    from groundup.demo import Step
    from groundup.systems.copilot.answering.ask import Answer

PORT = 8600


@click.command("serve", epilog="Example: groundup copilot serve --store copilot.duckdb --port 8600")
@store_option
@knowledge_option
@click.option("--model", default="", metavar="MODEL", help="Chat model, as for `ask` [GROUNDUP_LLM, or embedded].")
@click.option(
    "--classifier", envvar="GROUNDUP_MODEL", default="", metavar="FILE",
    help="The trained classifier [GROUNDUP_MODEL, or beside the store].",
)  # fmt: skip
@serving_options(PORT)
@patterns_option
@click.option("--timeout", default=60.0, show_default=True, help="The most seconds of a request.")
@click.option(
    "--upload-limit", default=256, show_default=True, type=click.IntRange(1), help="The most megabytes of a log file."
)
def serve_command(
    store: str,
    knowledge: str | None,
    model: str,
    classifier: str,
    host: str,
    port: int,
    page_port: int,
    page: bool,
    timeout: float,
    upload_limit: int,
) -> None:
    """Serve the API and the page of a store until Ctrl-C.

    With a secret in GROUNDUP_TOKEN, the API answers only requests that send it (`Authorization: Bearer …`).
    `collect --follow` and `ingest --follow` may fill the store meanwhile.
    """
    from groundup.systems.copilot.serving.service import MEGABYTE, Settings
    from groundup.systems.copilot.serving.serving import need_packages, serve

    need_packages()
    settings = Settings(
        Path(store), **access(host),
        model=model, knowledge=knowledge or "", classifier=classifier, timeout=timeout,
        upload_limit=upload_limit * MEGABYTE, patterns=given_patterns(),
    )  # fmt: skip
    serve_system(serve, settings, host=host, port=port, page_port=page_port if page else None)


def _serve_page(api: str, *, host: str, port: int) -> None:
    from groundup.systems.copilot.serving.serving import serve_page

    serve_page(api, host=host, port=port)


page_command = options.page_command("copilot", PORT, _serve_page)


@click.command("demo", epilog="Example: groundup copilot demo --no-serve")
@click.option(
    "--folder", default="copilot-demo", show_default=True, metavar="DIR", help="The folder of the demo. It is kept."
)
@click.option("--serve/--no-serve", "serving", default=True, help="Serve the API and the page at the end.")
@port_option(PORT)
@json_option
def demo_command(folder: str, serving: bool, port: int, as_json: bool) -> None:
    """Show the copilot on a synthetic incident.

    Six services write their logs; a release takes the database connections of one service away. The demo stores the
    logs, finds the root cause, trains a classifier, learns runbooks, and answers questions with citations. Then it
    serves the API and the page. The first run fetches the sentence model (84 MB); the rest is offline.
    """
    from groundup.systems.copilot.demo import STORE, demo
    from groundup.systems.copilot.serving.service import Settings
    from groundup.systems.copilot.serving.serving import need_packages, serve

    need_packages()
    out, steps = console(), []
    for number, step in enumerate(demo(Path(folder)), 1):
        steps.append(step)
        if not as_json:
            _say(number, step)
    if as_json:
        print_json({"folder": folder, "steps": [_document(step) for step in steps]}, ascii=True)
    else:
        out.print(f"\nEverything is in {shown(folder)}. The commands above work there.")
    if serving:
        serve_demo(serve, Settings(Path(folder) / STORE, **access("127.0.0.1")), port)


def _say(number: int, step: Step[Answer]) -> None:
    out = console()
    out.print(
        f"\n[bold]{number}. {shown(step.title)}[/]  [dim]{step.seconds:.1f} s[/]\n[dim]$ {shown(step.command)}[/]"
    )
    for line in step.found:
        out.print(f"   {shown(line)}")
    if step.answer is None:
        return
    for line in (*map(sentence_line, step.answer.sentences), *closing_lines(step.answer)):
        out.print(f"   {line}")


def _document(step: Step[Answer]) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(step)

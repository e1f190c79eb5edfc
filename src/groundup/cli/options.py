"""Options and arguments that many commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar
from zoneinfo import ZoneInfo

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from groundup.course.course import Course

F = TypeVar("F", bound=Callable[..., Any])
KEY = "groundup.workspace"
PORT = click.IntRange(0, 65535)


def _remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[KEY] = value


workspace_option = click.option(
    "--workspace",
    metavar="DIR",
    type=click.Path(file_okay=False),
    expose_value=False,
    callback=_remember,
    help="Your folder [GROUNDUP_WORKSPACE, the nearest folder with .groundup/, or ~/groundup].",
)


def json_option(function: F) -> F:
    """`--json`: one document on standard output, and nothing else there."""
    return click.option("as_json", "--json", is_flag=True, help="Print one JSON document.")(function)


def open_course() -> Course:
    """The course of the command line's workspace; closed when the command ends."""
    from groundup.course.course import Course
    from groundup.course.learner.workspace import Workspace

    ctx = click.get_current_context()
    course = Course(Workspace.find(ctx.meta.get(KEY)))
    ctx.call_on_close(course.close)
    if course.restored:
        where = course.workspace.ledger_texts
        click.echo(f"The ledger was rebuilt from {where}: {course.restored} events.", err=True)
    return course


class UnitName(click.ParamType):
    """A unit, whole or shortened; completes in the shell."""

    name = "unit"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Units of this release whose id or name begins with the typed text."""
        from groundup.course.material.catalogue import Catalogue

        catalogue = Catalogue()
        names = [entry for entry in catalogue.entries if catalogue.released(entry.id)]
        whole = [e for e in names if e.id.startswith(incomplete)]
        short = [e for e in names if e.id.split("/")[1].startswith(incomplete)]
        if whole:
            return [CompletionItem(e.id, help=e.title) for e in whole]
        return [CompletionItem(e.id.split("/")[1], help=e.title) for e in short]


class Setting(click.ParamType):
    """`key=value`."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split at the first `=`."""
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not equals or not key.strip():
            self.fail(f"'{value}' must be key=value, for example learning_rate=0.1.", param, ctx)
        return key.strip(), text.strip()


UNIT = UnitName()
set_option = click.option(
    "settings", "--set", type=Setting(), multiple=True, metavar="KEY=VALUE", help="Change one setting; repeatable."
)


class Zone(click.ParamType):
    """A time zone, as `tzinfo`."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo:
        """Read a name such as Europe/Berlin, or an offset such as +02:00."""
        if isinstance(value, tzinfo):
            return value
        if (
            (match := re.fullmatch(r"([+-])(\d{2}):?(\d{2})?", value))
            and int(match[2]) < 24
            and int(match[3] or 0) < 60
        ):
            span = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
            return timezone(span if match[1] == "+" else -span)
        try:
            return ZoneInfo(value)
        except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            self.fail(f"must be a zone such as Europe/Berlin, or an offset such as +02:00, got '{value}'.", param, ctx)


def timezone_option(function: F) -> F:
    """`--timezone ZONE`."""
    return click.option(
        "--timezone", "zone", type=Zone(), metavar="ZONE",
        help="The zone of times without a zone: Europe/Berlin, +02:00 [UTC]. Stored lines have a zone already.",
    )(function)  # fmt: skip


def port_option(port: int) -> Callable[[F], F]:
    """`--port`, of an API."""
    return click.option(
        "--port", default=port, show_default=True, type=PORT, help="Port of the API, or the next free port."
    )


def serving_options(port: int) -> Callable[[F], F]:
    """`--host`, `--port`, `--page-port` and `--page`: the addresses of a system's API and page."""
    options = (
        click.option(
            "--host", default="127.0.0.1", show_default=True,
            help="Address of the API; beyond loopback, set GROUNDUP_TOKEN.",
        ),
        port_option(port),
        click.option(
            "--page-port", default=port + 1, show_default=True, type=PORT, help="Port of the page, on loopback."
        ),
        click.option("--page/--no-page", default=True, help="Serve the page beside the API."),
    )  # fmt: skip

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def page_command(system: str, port: int, serve_page: Callable[..., None]) -> click.Command:
    """`groundup SYSTEM page`, which ends in `serve_page(api, host=…, port=…)`."""

    @click.command("page", epilog=f"Example: groundup {system} page --api http://{system}:{port} --host 0.0.0.0")
    @click.option(
        "--api", envvar="GROUNDUP_API", default=f"http://127.0.0.1:{port}", show_default=True, help="The API."
    )
    @click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
    @click.option(
        "--port", default=port + 1, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on."
    )
    def command(api: str, host: str, port: int) -> None:
        """Serve the page alone, for an API that runs elsewhere.

        On loopback the page uses GROUNDUP_TOKEN. On any other address it asks people for the API's token.
        """
        from groundup.cli.output import console, escape
        from groundup.listening import url

        console().print(escape(f"Page  {url(host, port)}   (API {api}; Ctrl-C ends it)"))
        serve_page(api, host=host, port=port)

    return command


class Access(TypedDict):
    """Who may ask an API: what every system's settings have."""

    token: str
    hosts: tuple[str, ...]


def access(host: str) -> Access:
    """Who may ask an API on this address: by GROUNDUP_TOKEN, and on loopback under loopback's names only."""
    from groundup.listening import LOOPBACK

    return {"token": os.environ.get("GROUNDUP_TOKEN", ""), "hosts": LOOPBACK if host in LOOPBACK else ()}


def serve_system(serve: Callable[..., None], settings: Any, *, host: str, port: int, page_port: int | None) -> None:
    """Serve a system by its `serve` until Ctrl-C, and say where on standard output; no page port for no page."""
    from groundup.cli.output import console, escape

    out = console()
    serve(settings, host=host, port=port, page_port=page_port, say=lambda text: out.print(escape(text)))


def serve_demo(serve: Callable[..., None], settings: Any, port: int) -> None:
    """Serve what a demo has made until Ctrl-C, and say where on standard error: standard output has its steps."""
    from groundup.cli.output import console, escape

    err = console(err=True)
    err.print()
    serve(settings, host="127.0.0.1", port=port, page_port=port and port + 1, say=lambda text: err.print(escape(text)))

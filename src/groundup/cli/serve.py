"""`groundup serve`: the site."""

from __future__ import annotations

from importlib import import_module

import click

from groundup.cli.options import workspace_option


@click.command("serve", epilog="Example: groundup serve --port 4500 --no-browser")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on. Keep loopback unless you know why."
)
@click.option(
    "--port", default=4400, show_default=True, type=click.IntRange(0, 65535), help="Port, or the next free port."
)
@click.option("--browser/--no-browser", default=True, help="Open the site in your browser, if there is one.")
@workspace_option
@click.pass_context
def serve_command(ctx: click.Context, host: str = "127.0.0.1", port: int = 4400, browser: bool = True) -> None:
    """Open the site of your workspace. Saving an exercise checks it at once."""
    from groundup.cli.options import KEY
    from groundup.course.learner.workspace import Workspace

    # Imported by name: neither interface of the course depends on the other.
    site = import_module("groundup.site")
    site.serve(Workspace.find(ctx.meta.get(KEY)), host=host, port=port, open_browser=browser)

"""The `groundup` command: thin, and quick to start.

Each command lives in a module that is imported when the command is called, so that `groundup map` does not pay for
what `groundup run` needs.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import NoReturn

import click

from groundup import __version__
from groundup.cli.options import workspace_option
from groundup.errors import GroundupError

COMMANDS = {
    "serve": "serve",
    "map": "learning",
    "next": "learning",
    "start": "learning",
    "check": "learning",
    "hint": "learning",
    "solution": "learning",
    "status": "learning",
    "run": "labs",
    "figure": "labs",
    "notebook": "labs",
    "review": "side",
    "journal": "side",
    "track": "track",
    "tabular": "tabular",
    "llm": "llm",
    "copilot": "copilot",
    "research": "research",
    "shop": "shop",
    "sentinel": "sentinel",
    "replay": "evidence",
    "verify": "evidence",
    "new-unit": "evidence",
    "doctor": "doctor",
    "completion": "doctor",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order in which a learner meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"groundup.cli.{COMMANDS[cmd_name]}")
        return getattr(module, cmd_name.replace("-", "_") + "_command")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. Raises UnknownName with the nearest one."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from groundup.errors import UnknownName

            raise UnknownName("command", args[0], COMMANDS, see="groundup --help")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: groundup start vectors, write the code, groundup check vectors.",
)
@workspace_option
@click.version_option(__version__, prog_name="groundup")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """An AI/ML roadmap that runs: read it, rebuild it, have it graded, measure it.

    `groundup` alone opens the site of your workspace, as `groundup serve` does.
    """
    if ctx.invoked_subcommand is None:
        from groundup.cli.serve import serve_command

        ctx.invoke(serve_command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: expected errors become one line and an exit code; bugs keep their traceback.

    Exit codes: 0 passed, 1 failed, 2 wrong usage, 3 could not be judged.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(arguments, prog_name="groundup", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        _report(error.format_message(), 2, arguments, usage=error)
    except GroundupError as error:
        _report(str(error), error.exit_code, arguments)
    except (KeyboardInterrupt, click.Abort):
        _stopped()
    except BrokenPipeError:
        # The reader of a pipe went away (`groundup map | head`): not an error, and nothing more to write.
        sys.stdout = None  # type: ignore[assignment]
        sys.exit(0)


def _stopped() -> NoReturn:
    click.echo("\nStopped. Everything recorded before is kept.", err=True)
    sys.exit(130)


def _report(message: str, code: int, arguments: list[str], usage: click.ClickException | None = None) -> None:
    if "--json" in arguments:
        click.echo(json.dumps({"error": message, "exit_code": code}, ensure_ascii=False))
    elif isinstance(usage, click.UsageError) and usage.ctx is not None:
        click.echo(usage.ctx.get_usage(), err=True)
    from groundup.terminal import visible

    # An error may quote a file, a log or a server, and no such text may steer the terminal.
    click.echo("groundup: " + "\n".join(map(visible, message.split("\n"))), err=True)
    sys.exit(code)

"""`--mine` of a system's commands: the learner's own code of the units that have passed takes the library's place."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from groundup.cli.options import open_course
from groundup.cli.output import console, escape

if TYPE_CHECKING:
    from collections.abc import Collection

    from groundup.course.material.catalogue import Catalogue


class SystemGroup(click.Group):
    """The commands of a system. Each of them may run on the learner's own units."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, with `--mine`."""
        cmd.params.append(
            click.Option(
                ["--mine"],
                is_flag=True,
                expose_value=False,
                callback=_put,
                help="Run on your own code of every unit that you have passed.",
            )
        )
        super().add_command(cmd, name)


def _put(ctx: click.Context, _: click.Parameter, mine: bool) -> None:
    """Install the learner's code before the command imports a unit; print at the end which units ran."""
    if not mine:
        return
    from groundup.course.grader import overlay

    course = open_course()
    units, sources = course.catalogue.units, course.mine()
    overlay.install({units[u].implementation_module: (course.workspace.exercise(u), t) for u, t in sources.items()})
    ctx.call_on_close(lambda: console(err=True).print(f"[dim]{escape(units_that_ran(course.catalogue, sources))}[/]"))


def units_that_ran(catalogue: Catalogue, mine: Collection[str]) -> str:
    """The units that ran in this process: the learner's own, and the library's."""
    ran = [unit for unit in catalogue.units.values() if unit.implementation_module in sys.modules]
    own = [unit.name for unit in ran if unit.id in mine]
    others = [unit.name for unit in ran if unit.id not in mine]
    if not ran:
        return "--mine: this command ran no unit."
    if not own:
        return f"--mine: no unit of yours ran. Pass {_listed(others, 'or')} with `groundup check` first."
    rest = f"; {_listed(others, 'and')} {'was' if len(others) == 1 else 'were'} the library's" if others else ""
    return f"--mine: your own {_listed(own, 'and')} ran{rest}."


def _listed(names: list[str], last: str) -> str:
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

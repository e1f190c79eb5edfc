"""Commands that run a unit: run, figure, notebook."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundup.cli.options import UNIT, json_option, open_course, set_option, workspace_option
from groundup.cli.output import console, escape, mark, print_json, progress, styled

if TYPE_CHECKING:
    from rich.progress import Progress

    from groundup.course.learner.runs import RunReport


@click.command("run", epilog="Example: groundup run logistic_regression --preset smoke --set learning_rate=0.1")
@click.argument("unit", type=UNIT, metavar="UNIT[/LAB]")
@click.option("--preset", default="laptop", show_default=True, help="smoke (seconds), laptop (minutes) or full.")
@set_option
@click.option("--seeds", type=click.IntRange(1, 100), help="Number of seeds [the lab's own number].")
@click.option("--mine", is_flag=True, help="Run on your own code of every unit that you have passed.")
@json_option
@workspace_option
def run_command(
    unit: str, preset: str, settings: tuple[tuple[str, str], ...], seeds: int | None, mine: bool, as_json: bool
) -> int:
    """Run a lab of UNIT over several seeds.

    The workspace records the run, and the lab's expectations judge it. Ctrl-C ends the run and keeps its records.
    """
    course = open_course()
    unit_id, lab = split_lab(course.catalogue.resolve, unit)
    with progress(quiet=as_json) as bar:
        report = course.run(
            unit_id, lab, preset=preset, settings=dict(settings), seeds=seeds, mine=mine, on_event=follow(bar)
        )
    if as_json:
        print_json(report.to_json())
    else:
        print_run(report)
    return {"passed": 0, "failed": 1}.get(report.verdict, 3)


def split_lab(resolve: Callable[[str], str], name: str) -> tuple[str, str | None]:
    """`unit`, `phase/unit`, `unit/lab` or `phase/unit/lab` as a unit id and a lab."""
    from groundup.errors import GroundupError

    try:
        return resolve(name), None
    except GroundupError:
        unit, slash, lab = name.rpartition("/")
        if not slash:
            raise
        return resolve(unit), lab


def follow(bar: Progress) -> Callable[[dict[str, Any]], None]:
    """Show a run's events on a progress display."""
    tasks: dict[int, Any] = {}

    def show(event: dict[str, Any]) -> None:
        if event["type"] != "progress":
            return
        seed = event["seed"]
        if seed not in tasks:
            tasks[seed] = bar.add_task("", total=None)
        label = event.get("label") or "Running"
        bar.update(tasks[seed], completed=event["done"], total=event["total"], description=f"Seed {seed}: {label}")

    return show


def print_run(report: RunReport) -> None:
    """Print a run's results beside their baselines, and its expectations."""
    from rich.table import Table

    out = console()
    document = report.to_json()
    out.print(
        f"\n{mark(report.verdict)} [bold]{report.unit}/{report.lab}[/]  {styled(report.verdict)}  [dim]{report.id}[/]"
    )
    for data in document["data"]:
        out.print(f"  Data: {escape(data['name'])}, {escape(data['label'])}")
    table = Table(box=None, padding=(0, 2))
    for heading in ("result", "mean", "spread", "baseline", "baseline is"):
        table.add_column(heading, justify="left" if heading in ("result", "baseline is") else "right")
    for result in document["results"]:
        baseline = result.get("baseline")
        table.add_row(
            result["metric"],
            "not finite" if result["mean"] is None else f"{result['mean']:.4g}",
            "" if result["spread"] is None else f"±{result['spread']:.2g}",
            "" if baseline is None else f"{baseline:.4g}",
            result.get("baseline_what", ""),
        )
    out.print(table)
    if report.message:
        out.print(f"  {escape(report.message)}")
    for expectation in document["expectations"]:
        out.print(f"  {mark('passed' if expectation['passed'] else 'failed')} {escape(expectation['message'])}")
    if report.caution:
        out.print(f"  [yellow]{escape(report.caution)}[/]")
    for note in document.get("notes", []):
        out.print(f"  [dim]{escape(note)}[/]")


@click.command("figure", epilog="Example: groundup figure vectors/race --set batch=1000 -o race.html")
@click.argument("figure", metavar="UNIT/NAME")
@set_option
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), required=True, help="File: .html, .json, .png, .svg, .pdf."
)
@workspace_option
def figure_command(figure: str, settings: tuple[tuple[str, str], ...], output: str) -> None:
    """Draw a figure of a unit to a file."""
    from groundup.course.learner.figures import parse_parameters, to_file

    course = open_course()
    unit_name, slash, name = figure.rpartition("/")
    if not slash:
        unit = course.catalogue.unit(figure)
        raise click.UsageError(
            f"'{figure}' must be UNIT/NAME. Figures of {unit.id}: {', '.join(f.name for f in unit.figures)}."
        )
    unit = course.catalogue.unit(unit_name)
    parameters = parse_parameters(unit.figure(name), dict(settings))
    with progress() as bar:
        bar.add_task(f"Drawing {unit.id}/{name}", total=None)
        drawn = course.draw(unit.id, name, parameters)
        to_file(drawn, Path(output))
    console().print(f"Wrote {output}")


@click.command("notebook", epilog="Example: groundup notebook vectors -o vectors.ipynb")
@click.argument("unit", type=UNIT)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The file [UNIT.ipynb in this folder].")
@click.option("--mine", is_flag=True, help="Put your own code in place of the library's.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@workspace_option
def notebook_command(unit: str, output: str | None, mine: bool, force: bool) -> None:
    """Write UNIT as a Jupyter notebook.

    The notebook has the lesson, the figures, the exercise, the labs and the cards. It quotes the functions that you
    write without their bodies, until you have passed or looked at the solution.
    """
    course = open_course()
    name = course.catalogue.unit(unit).name
    path = Path(output or f"{name}.ipynb")
    if path.suffix != ".ipynb":
        raise click.UsageError(f"output must end in .ipynb, got '{path.name}'. For example: -o {name}.ipynb")
    if path.exists() and not force:
        raise click.UsageError(f"{path} exists. Overwrite it with --force, or write another with -o FILE.")
    text = course.notebook(name, mine=mine)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {error.strerror}. Name another file with -o.") from error
    console().print(f"Wrote {path}")

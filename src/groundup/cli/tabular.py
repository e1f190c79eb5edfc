"""`groundup tabular`: a table in, a judged model out."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from groundup.cli.mine import SystemGroup
from groundup.cli.options import json_option
from groundup.cli.output import console, escape, print_json, progress
from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.systems.tabular.table import Schema, Table

MODEL = click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")


@click.group(
    "tabular",
    cls=SystemGroup,
    epilog="Example: groundup tabular fit titanic.csv --target Survived -o model, then predict model new.csv",
)
def tabular_command() -> None:
    """Fit, judge, explain and use a model of a CSV table.

    Every model is one that you build in the units of the classical phase.
    """


@tabular_command.command("fit", epilog="Example: groundup tabular fit titanic.csv --target Survived -o model")
@click.argument("table", type=click.Path(path_type=Path), metavar="TABLE.csv")
@click.option("--target", required=True, metavar="COLUMN", help="The column to predict.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="MODEL", help="The folder for the model."
)
@click.option("--task", type=click.Choice(["classes", "number"]), help="The kind of target [inferred from its values].")
@click.option("--without", multiple=True, metavar="COLUMN", help="Leave a column out; repeatable.")
@click.option("--group", metavar="COLUMN", help="Rows with one value of COLUMN (a host) stay on one side of a split.")
@click.option("--time", metavar="COLUMN", help="Train on the past by COLUMN, and test on the future.")
@click.option("--miss-cost", type=click.FloatRange(min=0), help="The cost of a missed positive; with --alarm-cost.")
@click.option(
    "--alarm-cost", type=click.FloatRange(min=0), help="The cost of a false alarm; both costs set the threshold."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The seed of every draw.")
@json_option
def fit_command(
    table: Path,
    target: str,
    output: Path,
    task: Literal["classes", "number"] | None,
    without: tuple[str, ...],
    group: str | None,
    time: str | None,
    miss_cost: float | None,
    alarm_cost: float | None,
    seed: int,
    as_json: bool,
) -> int:
    """Choose a model of TABLE by cross-validation, judge it once on held-out rows, explain and save it.

    The exit code is 1 if the model does not surely beat the baseline. The model is saved in either case.
    """
    from groundup.extras import need

    need("groundup tabular", "numba")
    from groundup.systems.tabular.pipeline import build
    from groundup.systems.tabular.saved import save
    from groundup.systems.tabular.table import describe, read_table, with_target

    if (miss_cost is None) != (alarm_cost is None):
        raise ConfigError("--miss-cost and --alarm-cost go together: give both, or neither.")
    cells = read_table(table)
    known = with_target(cells, target)
    schema = describe(known, target, task, without=[*without, *filter(None, [group])])
    costs = None if miss_cost is None or alarm_cost is None else (miss_cost, alarm_cost)
    with progress(quiet=as_json) as bar:
        step = bar.add_task("", total=None)

        def report(label: str, done: int, total: int) -> None:
            bar.update(step, description=label, completed=done, total=total)

        result = build(known, schema, seed=seed, group=group, time=time, costs=costs, report=report)
        save(result, output, source=table)
    if as_json:
        print_json(_document(output))
    else:
        _print_schema(schema, len(known.cells), len(cells.cells) - len(known.cells))
        _print_model(output)
    return 0 if result.beats_baseline else 1


@tabular_command.command("predict", epilog="Example: groundup tabular predict model new.csv -o answers.csv")
@MODEL
@click.argument("table", type=click.Path(path_type=Path), metavar="TABLE.csv")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file for the predictions [standard output].")
def predict_command(model: Path, table: Path, output: Path | None) -> int:
    """Write a CSV with a prediction for each row of TABLE; classes come with their probabilities.

    A TABLE without a column of the model is an error. Standard error counts values that training never saw.
    """
    from groundup.systems.tabular.saved import load
    from groundup.systems.tabular.table import read_table

    pipeline, _ = load(model)
    cells = read_table(table)
    lacking = [name for name in pipeline.schema.inputs if name not in cells.names]
    if lacking:
        raise ConfigError(f"{table} must have the column {lacking[0]!r}, which the model uses. Its columns: "
                          f"{', '.join(cells.names)}.")  # fmt: skip
    answers = pipeline.answers(cells)
    probabilities = pipeline.probabilities(cells)
    header = [pipeline.schema.target]
    rows: list[list[Any]] = [[answer] for answer in answers.tolist()]
    if probabilities is not None:
        header += [f"probability of {name}" for name in pipeline.estimator.classes_]
        rows = [[*row, *map("{:.6g}".format, line)] for row, line in zip(rows, probabilities, strict=True)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    if output:
        try:
            output.write_text(text.getvalue(), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{output} cannot be written: {error.strerror}. Name another file.") from error
    else:
        click.echo(text.getvalue(), nl=False)
    for sentence in _unseen(pipeline.schema, cells, pipeline.encoder.unknown(cells)):
        click.echo(f"groundup: {sentence}", err=True)
    return 0


@tabular_command.command("show", epilog="Example: groundup tabular show model")
@MODEL
@json_option
def show_command(model: Path, as_json: bool) -> int:
    """Show a model: its candidates, its score, its most important columns."""
    if as_json:
        print_json(_document(model))
    else:
        _print_model(model)
    return 0


def _document(folder: Path) -> dict[str, Any]:
    from groundup.systems.tabular.saved import load

    _, document = load(folder)
    return {key: value for key, value in document.items() if key not in ("state", "arrays")}


def _unseen(schema: Schema, table: Table, unknown: dict[str, int]) -> list[str]:
    from groundup.systems.tabular.table import numbers

    sentences = [
        f"{name!r}: {count} rows have a value that is rare in the training rows." for name, count in unknown.items()
    ]
    for name in schema.inputs:
        column = schema.columns[name]
        if column.kind == "number" and column.low is not None and column.high is not None:
            values = numbers(table.column(name), name, table.lines)
            outside = int(((values < column.low) | (values > column.high)).sum())
            if outside:
                sentences.append(
                    f"{name!r}: {outside} rows are outside of {column.low:g} to {column.high:g}, the range of training."
                )
    return sentences


def _print_schema(schema: Schema, rows: int, dropped: int) -> None:
    from rich.table import Table as Grid

    out = console()
    lost = f" {dropped} rows without a target are left out." if dropped else ""
    out.print(f"\n[bold]{rows} rows.[/] Target: {escape(schema.target)} ({schema.task}).{lost}")
    grid = Grid(box=None, padding=(0, 2))
    for heading in ("column", "kind", "gaps", ""):
        grid.add_column(heading, justify="right" if heading == "gaps" else "left")
    for name, column in schema.columns.items():
        note = column.why or (f"{column.low:g} to {column.high:g}" if column.low is not None else "")
        grid.add_row(escape(name), column.kind, str(column.gaps or ""), escape(note))
    out.print(grid)
    for warning in schema.warnings:
        out.print(f"[yellow]![/] {escape(warning)}")


def _print_model(folder: Path) -> None:
    from rich.table import Table as Grid

    from groundup.systems.tabular.pipeline import Candidate

    out = console()
    document = _document(folder)
    judged, measure = document["judged"], document["judged"]["measure"]
    out.print(f"\n[bold]Cross-validation[/] on {judged['n_train']} rows, {measure}:")
    grid = Grid(box=None, padding=(0, 2), show_header=False)
    for candidate in (Candidate(**scores) for scores in document["candidates"]):
        chosen = candidate.name == document["name"]
        failed = candidate.failed or not candidate.scores
        shown = f"[dim]{escape(candidate.failed)}[/]" if failed else f"{candidate.mean:.4g} ± {candidate.error:.2g}"
        grid.add_row("→" if chosen else "", escape(candidate.name), shown)
    out.print(grid)
    out.print("[dim]The choice is the simplest model within one standard error of the best.[/]")
    low, high = judged["interval"]
    worst, best = judged["gain"]
    out.print(
        f"\n[bold]{measure} {judged['test']:.4g}[/] on {judged['n_test']} held-out rows "
        f"(95 %: {low:.4g} to {high:.4g}). The baseline has {judged['baseline']:.4g}."
    )
    sure = "It beats the baseline" if worst > 0 else "[yellow]It does not surely beat the baseline[/]"
    out.print(f"{sure}: by {worst:.4g} to {best:.4g}.")
    out.print("  ".join(f"{name} {value:.4g}" for name, value in judged["details"].items()))
    if document["threshold"] != 0.5:
        out.print(f"The costs set the threshold of the second class: a probability of {document['threshold']:.3g}.")
    out.print(f"\n[bold]Importances[/]: the loss of {measure} after a column is shuffled.")
    grid = Grid(box=None, padding=(0, 2), show_header=False)
    for name, (mean, spread) in list(judged["importances"].items())[:10]:
        grid.add_row(escape(name), f"{mean:.4g} ± {spread:.2g}")
    out.print(grid)
    name = escape(str(folder))
    out.print(f"\n[dim]The model is in {name}. Use it: `groundup tabular predict {name} new.csv`.[/]")

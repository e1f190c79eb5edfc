"""Commands about evidence: replay for the learner, verify and new-unit for the author."""

from __future__ import annotations

from pathlib import Path

import click

from groundup.cli.options import UNIT, json_option, open_course, workspace_option
from groundup.cli.output import console, escape, mark, print_json, progress


@click.command("replay", epilog="Example: groundup replay --json")
@json_option
@workspace_option
def replay_command(as_json: bool) -> int:
    """Grade again the code of every recorded verdict, and report what differs.

    A verdict that was given by other checks than today's may differ for that reason, and is shown so.
    """
    course = open_course()
    replayed = []
    total = course.ledger.counts().get("verdict", 0)
    with progress(quiet=as_json) as bar:
        task = bar.add_task("Replaying verdicts", total=total)
        for one in course.replay():
            replayed.append(one)
            bar.update(task, advance=1, description=f"Replaying {one.event.unit}")
    unexplained = [one for one in replayed if one.differences and not one.checks_changed]
    if as_json:
        print_json(
            {
                "replayed": len(replayed),
                "differ": [
                    {
                        "event": one.event.id,
                        "unit": one.event.unit,
                        "at": one.event.at.isoformat(),
                        "then": one.then.verdict,
                        "now": one.now.verdict if one.now else None,
                        "differences": list(one.differences),
                        "checks_changed": one.checks_changed,
                    }
                    for one in replayed
                    if one.differences
                ],
            }
        )
        return 1 if unexplained else 0
    out = console()
    for one in replayed:
        if one.differences:
            why = "  (the checks have changed since)" if one.checks_changed else ""
            out.print(f"{mark('failed')} #{one.event.id} {one.event.unit} of {one.event.at:%Y-%m-%d %H:%M}{why}")
            for difference in one.differences:
                out.print(f"    {escape(difference)}")
    same = sum(not one.differences for one in replayed)
    out.print(f"{same} of {len(replayed)} recorded verdicts came out the same.")
    return 1 if unexplained else 0


@click.command("verify", epilog="Example: groundup verify bedrock/vectors")
@click.argument("units", type=UNIT, nargs=-1)
@click.option(
    "--stack", type=click.Path(exists=True, file_okay=False), help="Another stack folder than the built-in one."
)
@click.option("--quick", is_flag=True, help="Leave out what takes minutes: mutants, labs, snippets, figures.")
@json_option
@workspace_option
def verify_command(units: tuple[str, ...], stack: str | None, quick: bool, as_json: bool) -> int:
    """Judge the UNITs themselves: the author's gate (all units when none is named).

    What is not written must not pass, every mistake must fail and nearly every one be named by its own diagnosis, every
    variant must pass, forbidden names must be refused, the checks must notice at least 95 % of the automatic mutants,
    labs must fail when sabotaged, and lesson, figures, hints and cards must be whole.
    """
    from groundup.course.catalogue import Catalogue
    from groundup.course.grader import Grader
    from groundup.course.verify import verify_unit

    catalogue = Catalogue(Path(stack)) if stack else Catalogue()
    chosen = [catalogue.unit(name) for name in units] or list(catalogue.units.values())
    reports = []
    with Grader(workers=2) as grader, progress(quiet=as_json) as bar:
        for unit in chosen:
            task = bar.add_task(f"Verifying {unit.id}", total=None)

            def advance(done: int, total: int, task: object = task) -> None:
                bar.update(task, completed=done, total=total)  # type: ignore[arg-type]

            reports.append(verify_unit(unit, grader, quick=quick, on_progress=advance))
            bar.remove_task(task)
            if not as_json:
                console().print(escape(reports[-1].table()))
    if as_json:
        print_json({"units": [report.to_json() for report in reports]})
    return 0 if all(report.passed for report in reports) else 1


@click.command("new-unit", epilog='Example: groundup new-unit classical/trees --title "Decision trees"')
@click.argument("unit")
@click.option("--title", help="The unit's title; the catalogue's otherwise.")
@click.option(
    "--stack", type=click.Path(file_okay=False), help="The stack folder to write to; the built-in one otherwise."
)
def new_unit_command(unit: str, title: str | None, stack: str | None) -> None:
    """Write the skeleton of a new UNIT (PHASE/UNIT): a small whole one, with every file that a unit has."""
    from groundup.course.catalogue import STACK
    from groundup.course.new_unit import new_unit

    folder = new_unit(Path(stack) if stack else STACK, unit, title)
    where = f" --stack {stack}" if stack else ""
    console().print(f"Wrote {folder}\nThen: [bold]groundup verify {unit}{where}[/] says what is left to write.")

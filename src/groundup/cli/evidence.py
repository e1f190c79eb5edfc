"""Commands about evidence: replay for the learner, verify and new-unit for the author."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from groundup.cli.options import UNIT, json_option, open_course, workspace_option
from groundup.cli.output import console, escape, mark, print_json, progress

if TYPE_CHECKING:
    from groundup.course.material.catalogue import Catalogue
    from groundup.course.material.unit import Unit


@click.command("replay", epilog="Example: groundup replay --json")
@json_option
@workspace_option
def replay_command(as_json: bool) -> int:
    """Grade the code of every recorded verdict again, and report differences.

    Checks may have changed since a verdict. The command marks a difference of such a verdict.
    """
    course = open_course()
    replayed = []
    total = course.ledger.counts().get("verdict", 0)
    with progress(quiet=as_json) as bar:
        task = bar.add_task("Replaying verdicts", total=total)
        for replay in course.replay():
            replayed.append(replay)
            bar.update(task, advance=1, description=f"Replaying {replay.event.unit}")
    unexplained = [replay for replay in replayed if replay.differences and not replay.checks_changed]
    if as_json:
        print_json(
            {
                "replayed": len(replayed),
                "differ": [
                    {
                        "event": replay.event.id,
                        "unit": replay.event.unit,
                        "at": replay.event.at.isoformat(),
                        "then": replay.then.verdict,
                        "now": replay.now.verdict if replay.now else None,
                        "differences": list(replay.differences),
                        "checks_changed": replay.checks_changed,
                    }
                    for replay in replayed
                    if replay.differences
                ],
            }
        )
        return 1 if unexplained else 0
    out = console()
    for replay in replayed:
        if replay.differences:
            why = "  (the checks have changed since)" if replay.checks_changed else ""
            out.print(
                f"{mark('failed')} #{replay.event.id} {replay.event.unit} of {replay.event.at:%Y-%m-%d %H:%M}{why}"
            )
            for difference in replay.differences:
                out.print(f"    {escape(difference)}")
    same = sum(not replay.differences for replay in replayed)
    out.print(f"{same} of {len(replayed)} recorded verdicts are the same.")
    return 1 if unexplained else 0


@click.command("verify", epilog="Example: groundup verify bedrock/vectors")
@click.argument("units", type=UNIT, nargs=-1)
@click.option("--phase", help="All units of this phase.")
@click.option(
    "--since", metavar="REVISION", help="Units changed since this git revision, stale units, and some drawn ones."
)
@click.option(
    "--stack", type=click.Path(exists=True, file_okay=False), help="Another stack folder than the built-in one."
)
@click.option("--quick", is_flag=True, help="Leave out the slow parts: mutants, pairs, labs, snippets, figures.")
@click.option("--all-mutants", is_flag=True, help="Try every mutant, not an even draw of at most 120.")
@click.option("--pairs", type=click.IntRange(0), help="Submit this many pairs of mistakes instead of two.")
@click.option("--compare", is_flag=True, help="Write no proof.json; fail if a result differs from one.")
@click.option(
    "--stale", is_flag=True, help="Verify nothing: list the proofs that no longer hold, and why, in a moment."
)
@json_option
@workspace_option
def verify_command(
    units: tuple[str, ...],
    phase: str | None,
    since: str | None,
    stack: str | None,
    quick: bool,
    all_mutants: bool,
    pairs: int | None,
    compare: bool,
    stale: bool,
    as_json: bool,
) -> int:
    """Judge the UNITs themselves, or all units: the author's gate.

    Unwritten code must not pass. Every mistake must fail, and nearly every one with its own diagnosis. Two mistakes at
    once must not get the name of a third. Every variant must pass. Forbidden names must be refused. The checks must
    notice at least 95 % of the automatic mutants. Labs must fail when sabotaged. Lesson, figures, hints and cards must
    be whole.

    A passing unit keeps the result in its folder, in proof.json.
    """
    from groundup.course.material.catalogue import Catalogue

    if sum(map(bool, (units, phase, since))) > 1:
        raise click.UsageError("UNITS, --phase and --since each choose the units. Give one of them.")
    catalogue = Catalogue(Path(stack)) if stack else Catalogue()
    chosen = chosen_units(catalogue, units, phase, since)
    if stale:
        return print_stale(chosen, as_json)
    from groundup.course.author import proof
    from groundup.course.author.verify import PAIRS, verify_unit
    from groundup.course.grader import Grader

    reports, disagreements = [], {}
    with Grader(workers=2) as grader, progress(quiet=as_json) as bar:
        for unit in chosen:
            task = bar.add_task(f"Verifying {unit.id}", total=None)

            def advance(done: int, total: int, task: object = task) -> None:
                bar.update(task, completed=done, total=total)  # type: ignore[arg-type]

            files = proof.hashes(unit)
            report = verify_unit(
                unit,
                grader,
                quick=quick,
                all_mutants=all_mutants,
                pairs=PAIRS if pairs is None else pairs,
                on_progress=advance,
            )
            reports.append(report)
            bar.remove_task(task)
            lines = [report.table()]
            if compare:
                kept = proof.standing(unit)
                different = [f"{unit.id}: {why}" for why in kept.reasons]
                if kept.proof is not None and not report.left_out:
                    different += [f"{unit.id}: {text}" for text in proof.differences(kept.proof, report)]
                disagreements[unit.id] = different
                lines += [f"  ! {text}" for text in different]
            elif proof.keep(unit, report, files) is not None:
                lines.append(f"  wrote {proof.FILE}: {proof.standing(unit).proof.words}")  # type: ignore[union-attr]
            else:
                why = "--quick leaves parts out" if report.left_out else "the unit does not pass"
                lines.append(f"  {proof.FILE} is unchanged: {why}")
            if not as_json:
                console().print(escape("\n".join(lines)))
    if as_json:
        documents = [{**r.to_json(), "disagreements": disagreements.get(r.unit, [])} for r in reports]
        print_json({"units": documents})
    return 0 if all(report.passed for report in reports) and not any(disagreements.values()) else 1


def chosen_units(catalogue: Catalogue, units: tuple[str, ...], phase: str | None, since: str | None) -> list[Unit]:
    """The units of the command line."""
    from groundup.errors import UnknownName

    if phase is not None and phase not in [known.name for known in catalogue.phases]:
        raise UnknownName("phase", phase, [known.name for known in catalogue.phases])
    everything = list(catalogue.units.values())
    if since is not None:
        from groundup.course.author import proof

        standings = [proof.standing(unit) for unit in everything]
        ids = proof.to_prove(standings, changed_since(catalogue, since), git(catalogue, "rev-parse", "HEAD"))
        return [catalogue.units[unit_id] for unit_id in ids]
    if phase is not None:
        return [unit for unit in everything if unit.phase == phase]
    return [catalogue.unit(name) for name in units] or everything


def changed_since(catalogue: Catalogue, revision: str) -> set[str]:
    """The units with a file that is new or different since a git revision."""
    names = git(catalogue, "diff", "--name-only", "--relative", revision, "--", ".").splitlines()
    return {"/".join(Path(name).parts[:2]) for name in names} & catalogue.units.keys()


def git(catalogue: Catalogue, *arguments: str) -> str:
    """The output of git in the folder of the stack. Raises UsageError if git fails."""
    import subprocess

    from groundup.errors import UsageError

    command = ["git", "-C", str(catalogue.stack), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UsageError("--since needs git, which is not installed. Install it, or name the units.") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["without a message"])[0]
        raise UsageError(
            f"--since needs git's changes, and `git {' '.join(arguments)}` failed: {reason}. Name a known revision."
        )
    return done.stdout.strip()


def print_stale(units: list[Unit], as_json: bool) -> int:
    """Print the units with stale proofs; 1 if there is one."""
    from groundup.course.author import proof

    standings = [proof.standing(unit) for unit in units]
    stale = sum(state.stale for state in standings)
    if as_json:
        documents = [
            {
                "unit": state.unit,
                "stale": state.stale,
                "reasons": list(state.reasons),
                "earlier_gate": state.earlier_gate,
            }
            for state in standings
        ]
        print_json({"units": documents})
        return int(stale > 0)
    out = console()
    for state in standings:
        if state.stale:
            out.print(f"{mark('stale')} {state.unit}: {escape(', '.join(state.reasons))}")
            out.print(f"    `groundup verify {state.unit}` renews it.")
        elif state.earlier_gate:
            out.print(f"{mark('passed')} {state.unit}: holds, proven by an earlier gate")
    out.print(f"{len(standings) - stale} of {len(standings)} proofs hold.")
    return int(stale > 0)


@click.command("new-unit", epilog='Example: groundup new-unit classical/trees --title "Decision trees"')
@click.argument("unit")
@click.option("--title", help="The unit's title [the catalogue's].")
@click.option("--stack", type=click.Path(file_okay=False), help="The stack folder to write to [the built-in one].")
def new_unit_command(unit: str, title: str | None, stack: str | None) -> None:
    """Write the skeleton of a new UNIT (PHASE/UNIT): a small, whole unit with every file."""
    from groundup.course.author.new_unit import new_unit
    from groundup.course.material.catalogue import STACK

    folder = new_unit(Path(stack) if stack else STACK, unit, title)
    where = f" --stack {stack}" if stack else ""
    console().print(f"Wrote {folder}\nThen: [bold]groundup verify {unit}{where}[/] lists the missing parts.")

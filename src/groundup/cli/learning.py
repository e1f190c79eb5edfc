"""The learner's daily commands: map, next, start, check, hint, solution, status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundup.cli.options import UNIT, json_option, open_course, workspace_option
from groundup.cli.output import console, escape, mark, print_json, progress, styled

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from groundup.course.author.proof import Proof
    from groundup.course.course import Course
    from groundup.course.learner.progress import UnitState
    from groundup.course.material.targets import Group
    from groundup.course.material.unit import Unit
    from groundup.course.verdict import CheckResult, Compiled, Verdict


THEN = 5
"""The number of units that `next` names after the first."""


@click.command("map", epilog="Example: groundup map --all")
@click.option("show_all", "--all", is_flag=True, help="List planned units and systems, too.")
@json_option
@workspace_option
def map_command(show_all: bool, as_json: bool) -> None:
    """Show every phase and unit, and your progress."""
    course = open_course()
    states = course.states()
    if as_json:
        print_json({"units": [state_json(course, state) for state in states.values()]})
        return
    out = console()
    for phase in course.catalogue.phases:
        released = [e for e in phase.entries if states[e.id].status != "planned"]
        passed = sum(states[e.id].status == "passed" for e in released)
        planned = len(phase.entries) - len(released)
        counts = f"{passed} of {len(released)} passed" if released else "none in this release"
        out.print(f"\n[bold]{phase.title}[/]  {counts}{f', {planned} planned' if planned else ''}")
        for entry in phase.entries if show_all else released:
            status = states[entry.id].status
            title = f"[dim]{entry.title}[/]" if status == "planned" else entry.title
            more = [] if status == "new" else [styled(status)]
            if (proof := proof_of(course, entry.id)) is not None:
                more.append(f"[dim]{proof.words}[/]")
            out.print(f"  {mark(status)} {entry.id.split('/')[1]:<20} {title}  {'  '.join(more)}")
    out.print("\n[bold]Systems[/]  built from the units")
    for system in course.catalogue.systems:
        if system.see or show_all:
            out.print(f"  {system.title:<22} {system.see or '[dim]planned[/]'}")
    if not show_all:
        out.print("\n[dim]`groundup map --all` lists planned units, too. `groundup next` names the next step.[/]")


def proof_of(course: Course, unit_id: str) -> Proof | None:
    """The valid proof of a unit, or None."""
    from groundup.course.author.proof import standing

    if unit_id not in course.catalogue.units:
        return None
    state = standing(course.catalogue.units[unit_id])
    return None if state.stale else state.proof


def state_json(course: Course, state: UnitState) -> dict[str, Any]:
    """A unit's state as a JSON object."""
    titles = {entry.id: entry.title for entry in course.catalogue.entries}
    proof = proof_of(course, state.id)
    return {
        "unit": state.id,
        "title": titles[state.id],
        "status": state.status,
        "detail": state.detail,
        "last_verdict": state.verdict.verdict if state.verdict else None,
        "at": state.at.isoformat() if state.at else None,
        "proof": {"refused": proof.refused, "of": proof.wrong, "date": proof.date} if proof else None,
    }


@click.command("next", epilog="Example: groundup next")
@json_option
@workspace_option
def next_command(as_json: bool) -> None:
    """Name the unit to work on now."""
    course = open_course()
    entries = course.next_up()
    states = course.states()
    if as_json:
        print_json({"next": [state_json(course, states[entry.id]) for entry in entries]})
        return
    if not entries:
        console().print("You have passed every unit of this release. `groundup review` keeps them fresh.")
        return
    first = course.catalogue.units[entries[0].id]
    state = states[first.id]
    verb = "start" if state.status == "new" else "check"
    console().print(f"[bold]{first.title}[/]  ({first.id}, about {first.minutes} minutes)\n{first.summary}")
    console().print(f"\n{escape(state.detail)}\nNow: [bold]groundup {verb} {first.name}[/]")
    if len(entries) > 1:
        then = ", ".join(entry.id for entry in entries[1 : 1 + THEN])
        more = f" and {len(entries) - 1 - THEN} more" if len(entries) > 1 + THEN else ""
        console().print(f"[dim]After it: {then}{more}[/]")


@click.command("start", epilog="Example: groundup start vectors")
@click.argument("unit", type=UNIT)
@click.option("--reset", is_flag=True, help="Begin again. Your file is kept in exercises/.backup/.")
@workspace_option
def start_command(unit: str, reset: bool) -> None:
    """Write the exercise of UNIT.

    The exercise is the implementation without the bodies that you write. A second start never overwrites your work.
    """
    course = open_course()
    path, written = course.start(unit, reset=reset)
    chosen_unit = course.catalogue.unit(unit)
    if written:
        console().print(f"Wrote {path}\nYou write: {', '.join(chosen_unit.write)}.")
    else:
        console().print(f"Your file exists and is unchanged: {path}\n`--reset` begins again and keeps a copy.")
    open_below = [below for below in course.catalogue.stands_on(chosen_unit.id) if not course.has_passed(below)]
    if written and open_below:
        console().print(f"Its lesson stands on {', '.join(open_below)}, which you have not passed yet.")
    if chosen_unit.lacks:
        console().print(f"[bold]Before you check it:[/] {escape(chosen_unit.lacks)}", soft_wrap=True)
    console().print(
        f"Then: [bold]groundup check {chosen_unit.name}[/], or [bold]groundup check {chosen_unit.name} --watch[/]"
    )


@click.command("check", epilog="Example: groundup check vectors --watch")
@click.argument("unit", type=UNIT, required=False)
@click.argument("function", required=False)
@click.option("--watch", is_flag=True, help="Check again at every save, until Ctrl-C.")
@click.option("--mine", is_flag=True, help="Grade your code on your own earlier units, if they have passed.")
@click.option("--compile", "compiles", is_flag=True, help="After a pass, compile its kernels and check them again.")
@json_option
@workspace_option
def check_command(
    unit: str | None, function: str | None, watch: bool, mine: bool, compiles: bool, as_json: bool
) -> int:
    """Grade your code for UNIT, or for every unit you have started.

    The verdict groups failing checks by function; functions that others build on come first. With FUNCTION, it shows
    every failing check of that function, and the exit code is 0 if none fails.

    The checks run functions that Numba compiles as Python. With --compile, the command compiles them after a pass and
    runs the same checks again, for up to a minute; the exit code is then 0 only if they pass again.
    """
    if watch and as_json:
        raise click.UsageError("--json prints one document, and --watch never ends. Choose one of the two.")
    course = open_course()
    ids = [course.catalogue.unit(unit).id] if unit else started(course)
    if function is not None:
        function = choose_function(course.catalogue.unit(ids[0]), function)
    verdicts = grade(course, ids, mine, quiet=as_json)
    compiled = compile_kernels(course, verdicts, quiet=as_json) if compiles else {}
    if as_json:
        documents = [
            {
                **verdict.to_json(),
                "functions": by_function(course, verdict),
                **({"compiled": asdict(compiled[verdict.unit])} if verdict.unit in compiled else {}),
            }
            for verdict in verdicts
        ]
        print_json(documents[0] if unit else {"verdicts": documents})
    else:
        for verdict in verdicts:
            print_verdict(course, verdict, function)
    if watch:
        watch_and_check(course, ids, mine, function)
    if any(not one.ok for one in compiled.values()):
        return 1
    if function is not None:
        return 0 if has_passed(course, verdicts[0], function) else 1
    return max(verdict.exit_code for verdict in verdicts)


def choose_function(unit: Unit, function: str) -> str:
    """The named function to write of a unit. Raises UnknownName."""
    from groundup.errors import UnknownName

    if function not in unit.write:
        raise UnknownName(f"function to write in {unit.id}", function, unit.write)
    return function


def has_passed(course: Course, verdict: Verdict, function: str) -> bool:
    """Whether every check of one function passed."""
    from groundup.course.material.targets import groups

    about = [group for group in groups(course.catalogue.unit(verdict.unit), verdict) if group.function == function]
    return verdict.verdict in ("passed", "failed") and all(len(group.passed) == group.count for group in about)


def by_function(course: Course, verdict: Verdict) -> list[dict[str, Any]]:
    """The names of the checks of each function, in the order in which the functions build on each other."""
    from groundup.course.material.targets import groups

    return [
        {
            "function": group.function,
            "failed": [check.name for check in group.failed],
            "waiting": [check.name for check in group.waiting],
            "passed": [check.name for check in group.passed],
        }
        for group in groups(course.catalogue.unit(verdict.unit), verdict)
    ]


def started(course: Course) -> list[str]:
    """The units for which the learner has a file."""
    from groundup.errors import UsageError

    ids = [unit_id for unit_id in course.catalogue.units if course.workspace.exercise(unit_id).exists()]
    if not ids:
        raise UsageError(
            f"{course.workspace.root} has no exercise to check yet. `groundup start vectors` writes the first one."
        )
    return ids


def grade(course: Course, ids: Sequence[str], mine: bool, *, quiet: bool = False) -> list[Verdict]:
    """Grade units one after the other, with a progress display."""
    verdicts = []
    with progress(quiet=quiet) as bar:
        task = bar.add_task("", total=len(ids))
        for unit_id in ids:
            bar.update(task, description=f"Grading {unit_id}")
            verdicts.append(course.check(unit_id, mine=mine, on_results=partial(show_results, bar, task)))
            bar.advance(task)
    return verdicts


def compile_kernels(course: Course, verdicts: Sequence[Verdict], *, quiet: bool = False) -> dict[str, Compiled]:
    """Compile the kernels of the units that have passed; what came of it, for each that has kernels."""
    made = {}
    with progress(quiet=quiet) as bar:
        task = bar.add_task("", total=len(verdicts))
        for verdict in verdicts:
            bar.update(task, description=f"Compiling the kernels of {verdict.unit}")
            compiled = course.compile(verdict.unit) if verdict.passed else None
            if compiled is not None:
                made[verdict.unit] = compiled
            bar.advance(task)
    return made


def show_results(bar: Progress, task: TaskID, verdict: Verdict) -> None:
    """Show the results of the checks during the search for the mistake."""
    failed = sum(check.outcome == "failed" for check in verdict.checks)
    text = f"{verdict.unit}: {failed} of {len(verdict.checks)} checks failed; searching for the mistake"
    bar.update(task, description=text)


def watch_and_check(course: Course, ids: Sequence[str], mine: bool, function: str | None = None) -> None:
    """Grade a unit whenever its file is saved, until Ctrl-C."""
    from watchfiles import watch

    files = {course.workspace.exercise(unit_id): unit_id for unit_id in ids}
    console().print(f"\n[dim]Watching {', '.join(str(path) for path in files)}. Ctrl-C ends it.[/]")
    judged = {path: path.read_text(encoding="utf-8") for path in files}
    for changes in watch(course.workspace.exercises, debounce=50, step=20, raise_interrupt=False):
        for path in {Path(name) for _, name in changes} & files.keys():
            text = course.workspace.read_exercise(files[path])
            if text is not None and text != judged[path]:
                judged[path] = text
                (verdict,) = grade(course, [files[path]], mine)
                print_verdict(course, verdict, function)


def print_verdict(course: Course, verdict: Verdict, function: str | None = None) -> None:
    """Print a verdict: the first failing function, the others folded, then the next step.

    Args:
        course: the course.
        verdict: the verdict.
        function: show all failing checks of this function instead.
    """
    from groundup.course.material.targets import groups

    out = console()
    out.print(
        f"\n{mark(verdict.verdict)} [bold]{verdict.unit}[/]  {styled(verdict.verdict)}  [dim]{verdict.seconds:.2f} s[/]"
    )
    if verdict.mine:
        out.print(f"  [dim]on your own {', '.join(verdict.mine)}[/]")
    if verdict.message:
        out.print(f"  {escape(indent(verdict.message))}")
    name, unit = verdict.unit.split("/")[1], course.catalogue.unit(verdict.unit)
    about = [group for group in groups(unit, verdict) if function in (None, group.function)]
    for place, group in enumerate(group for group in about if group.failed):
        print_group(course, group, name, len(group.failed) if function else int(place == 0))
    unfinished = Counter(
        check.message if check.outcome == "not_attempted" else "" for group in about for check in group.waiting
    )
    for message, count in unfinished.items():
        checks = "1 check" if count == 1 else f"{count} checks"
        text = (
            f"{escape(message)}  [dim]{checks} wait{'s' * (count == 1)} for it[/]" if message else f"{checks} not run"
        )
        out.print(f"  {mark('not_attempted' if message else 'not_run')} {text}")
    if function and about and len(about[0].passed) == about[0].count:
        out.print(f"  {mark('passed')} [bold]{escape(function)}[/]  all its checks pass")
    passed = sum(check.outcome == "passed" for check in verdict.checks)
    out.print(f"  {passed} of {len(verdict.checks)} checks passed.")
    if verdict.copied:
        out.print("  [dim]Every function equals the reference word for word. The ledger records that.[/]")
    if verdict.passed and course.has_kernels(verdict.unit):
        compiled = course.compiled(verdict.unit)
        if compiled is None:
            line = f"[dim]Its kernels were checked as Python: `groundup check {name} --compile` compiles them.[/]"
        else:
            line = f"{mark('passed' if compiled.ok else 'failed')} {escape(compiled.words)}"
        out.print(f"  {line}")
    if verdict.passed:
        out.print(f"  Next: [bold]groundup run {name} --preset smoke --mine[/] puts your code to work in its lab.")
    elif verdict.verdict != "refused":
        out.print(f"  [dim]Stuck? `groundup hint {name}`[/]")


def print_group(course: Course, group: Group, unit: str, shown: int) -> None:
    """The failing checks of one function: the first `shown` opened, the others counted."""
    out = console()
    count = len(group.failed)
    words = f"{count} of {group.count} checks {'fails' if count == 1 else 'fail'}"
    out.print(f"  {mark('failed')} [bold]{escape(group.function or 'Several functions')}[/]  {words}")
    for check in group.failed[:shown]:
        print_check(course, check)
    if 0 < shown < count:
        command = f": `groundup check {unit} {group.function}`" if group.function else ""
        out.print(f"      [dim]{count - shown} more{command}[/]")


def print_check(course: Course, check: CheckResult) -> None:
    """One failing check: its name, its message, the diagnosis and the line."""
    out = console()
    out.print(f"      [bold]{escape(check.name)}[/]  {styled(check.outcome)}")
    for text, style in (
        (check.message, ""),
        (check.diagnosis, "yellow"),
        (relative(course, check.location), "dim"),
    ):
        if text:
            body = escape(indent(text, 8))
            out.print(f"        [{style}]{body}[/]" if style else f"        {body}")


def indent(text: str, by: int = 2) -> str:
    """A text whose further lines are indented."""
    return text.strip().replace("\n", "\n" + " " * by)


def relative(course: Course, location: str) -> str:
    """A location, relative to the workspace."""
    return location.replace(f"{course.workspace.root}/", "")


@click.command("hint", epilog="Example: groundup hint vectors Dense.forward")
@click.argument("unit", type=UNIT)
@click.argument("function", required=False)
@workspace_option
def hint_command(unit: str, function: str | None) -> None:
    """Give the next hint for UNIT.

    The hint is for FUNCTION. Without FUNCTION, it is for the first function that you have not solved.
    """
    hint = open_course().hint(unit, function)
    console().print(f"[bold]{escape(hint.name)}[/], hint {hint.stage} of {hint.of}\n{escape(hint.text)}")


@click.command("solution", epilog="Example: groundup solution vectors")
@click.argument("unit", type=UNIT)
@click.option("--yes", is_flag=True, help="Show it without asking, even if you have not passed.")
@workspace_option
def solution_command(unit: str, yes: bool) -> None:
    """Show the reference implementation of UNIT. Your ledger records the look."""
    course = open_course()
    chosen_unit = course.catalogue.unit(unit)
    if not course.has_passed(chosen_unit.id):
        click.echo(
            f"You have not passed {chosen_unit.id} yet. Your ledger records a look at the solution. "
            f"`groundup hint {chosen_unit.name}` reveals less.",
            err=True,
        )
        if not yes:
            click.confirm("Show it?", abort=True, err=True)
    from rich.syntax import Syntax

    source = course.solution(chosen_unit.id)
    if console().is_terminal:
        console().print(Syntax(source, "python", theme="ansi_dark", line_numbers=True))
    else:
        click.echo(source, nl=False)


@click.command("status", epilog="Example: groundup status --json")
@json_option
@workspace_option
def status_command(as_json: bool) -> None:
    """Sum up your progress: units, track, reviews, runs."""
    course = open_course()
    document = status_document(course)
    if as_json:
        print_json(document)
        return
    out = console()
    out.print(f"[bold]Workspace[/]  {document['workspace']}")
    units = document["units"]
    out.print("[bold]Units[/]      " + ", ".join(f"{count} {status}" for status, count in units.items() if count))
    track = document["track"]
    if track:
        ahead = track["days_ahead"]
        pace = (
            f"{abs(ahead):.0f} days {'ahead of' if ahead >= 0 else 'behind'} the plan" if abs(ahead) >= 1 else "on plan"
        )
        out.print(f"[bold]Track[/]      {track['title']}: week {track['week']} of {track['weeks']}, {pace}")
    else:
        out.print("[bold]Track[/]      none chosen; `groundup track` lists them")
    out.print(f"[bold]Review[/]     {document['cards_due']} cards due")
    counts = document["events"]
    out.print(f"[bold]Ledger[/]     {counts.get('verdict', 0)} verdicts, {counts.get('run', 0)} lab runs")


def status_document(course: Course) -> dict[str, Any]:
    """The learner's progress, as one JSON document."""
    states = course.states()
    order = ("passed", "failed", "started", "stale", "new", "planned")
    progress = course.track_progress()
    waiting = course.review().counts(datetime.now(UTC))
    return {
        "workspace": str(course.workspace.root),
        "units": {status: sum(state.status == status for state in states.values()) for status in order},
        "states": {state.id: state.status for state in states.values() if state.status != "planned"},
        "track": None
        if progress is None
        else {
            "name": progress.track.name,
            "title": progress.track.title,
            **progress.choice.to_json(),
            "week": progress.week,
            "weeks": progress.weeks,
            "items_finished": progress.finished,
            "items": len(progress.items),
            "days_ahead": round(progress.days_ahead, 1),
        },
        "cards_due": waiting.due + waiting.new,
        "events": course.ledger.counts(),
    }

"""The tracks: listed, followed, shown with planned and actual dates, reported item by item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from groundup.cli.options import json_option, open_course, workspace_option
from groundup.cli.output import console, escape, print_json
from groundup.errors import UsageError

if TYPE_CHECKING:
    from groundup.course.course import Course
    from groundup.course.material.catalogue import Catalogue
    from groundup.course.material.roadmaps import Resource
    from groundup.course.material.tracks import ItemProgress, Progress, WeekGoals

SIGNS = {"done": "[green]✓[/]", "reported": "[cyan]☑[/]", "partly": "[yellow]◐[/]", "open": "·"}
LEGEND = "✓ by evidence  ☑ by your own report  ◐ partly  · open  (unit) not in this release: report it with --done ITEM"


@click.command("track", epilog="Example: groundup track devops --start today --hours 8")
@click.argument("name", required=False)
@click.argument("item", required=False)
@click.option("--start", metavar="DAY", help="Follow the track NAME from this day on (YYYY-MM-DD or today).")
@click.option("--hours", metavar="HOURS", help="Your hours a week [the track's suggestion].")
@click.option("--week", type=int, metavar="N", help="Show the goals of week N [the current week].")
@click.option("--done", metavar="ITEM", help="Report an item that no unit of this release can judge.")
@click.option("--met", type=int, metavar="N", help="Report success criterion N of ITEM as met.")
@click.option("--watched", "--read", "resource", metavar="RESOURCE", help="Report a resource as done.")
@click.option("--undo", is_flag=True, help="Take back the report of --done, --met or --read.")
@json_option
@workspace_option
def track_command(
    name: str | None,
    item: str | None,
    start: str | None,
    hours: str | None,
    week: int | None,
    done: str | None,
    met: int | None,
    resource: str | None,
    undo: bool,
    as_json: bool,
) -> None:
    """List the tracks, or show the track NAME or one ITEM of it.

    The command shows planned and actual dates. With --start, you follow the track.
    """
    from groundup.course.learner.journal import parse_day
    from groundup.course.material.tracks import load_track

    course = open_course()
    if start is not None or hours is not None:
        if name is None:
            raise UsageError(
                "--start and --hours need a track. For example: groundup track devops --start today --hours 8"
            )
        suggested = load_track(name).hours_per_week
        course.choose_track(name, parse_day(start or "today"), suggested if hours is None else hours)
    followed = course.track_progress()
    if name is None and followed is not None and (done or resource or week is not None):
        name = followed.track.name
    if name is None:
        if done or resource or week is not None:
            raise UsageError("--done, --read and --week need a track. For example: groundup track devops --done D15")
        list_tracks(followed, course.catalogue, as_json)
        return
    report(course, name, item, done=done, met=met, resource=resource, undo=undo)
    shown = course.track_progress(name)
    assert shown is not None, "a named track has a progress"
    is_followed = followed is not None and followed.track.name == name
    if item is not None:
        show_item(shown, item, course.catalogue, as_json)
    elif as_json:
        print_json(track_json(shown, followed=is_followed))
    else:
        show_track(shown, followed=is_followed, week=week)


def report(
    course: Course, name: str, item: str | None, *, done: str | None, met: int | None, resource: str | None, undo: bool
) -> None:
    """Record the reports of the options."""
    if met is not None and item is None:
        raise UsageError("--met needs an item. For example: groundup track devops D1 --met 2")
    if undo and done is None and met is None and resource is None:
        raise UsageError("--undo needs the report to take back: --done ITEM, --met N or --read RESOURCE.")
    if done is not None:
        course.report(name, done, done=not undo)
    if met is not None and item is not None:
        course.report(name, item, criterion=met, done=not undo)
    if resource is not None:
        course.report_resource(name, resource, done=not undo)


def list_tracks(followed: Progress | None, catalogue: Catalogue, as_json: bool) -> None:
    """Every track, with a mark at the followed one, and the number of items that this release can judge."""
    from groundup.course.material.tracks import load_tracks, provable

    tracks = load_tracks().values()
    chosen = followed.track.name if followed else None
    if as_json:
        listed = [
            {
                "name": t.name,
                "title": t.title,
                "audience": t.audience,
                "items": len(t.items),
                "provable": provable(t, catalogue.units),
            }
            for t in tracks
        ]
        print_json({"chosen": chosen, "tracks": listed})
        return
    out = console()
    for track in tracks:
        sign = "[green]→[/]" if track.name == chosen else " "
        proven = f"{provable(track, catalogue.units)} of {len(track.items)} items can be proven in this release"
        out.print(f"{sign} [bold]{track.name:<18}[/] {escape(track.title)}\n{'':21}[dim]{escape(track.audience)}[/]")
        out.print(f"{'':21}[dim]{proven}; you report the others[/]")
    out.print(
        "\n[dim]`groundup track NAME` shows a track; `groundup track NAME --start today --hours 8` follows it.[/]"
    )


def show_track(progress: Progress, *, followed: bool, week: int | None) -> None:
    """Planned and actual dates, item by item, and the goals of a week."""
    out = console()
    track, choice = progress.track, progress.choice
    out.print(f"[bold]{escape(track.title)}[/]\n{escape(track.about)}\n")
    pace = f"from {choice.start}, {choice.hours_per_week:g} hours a week"
    if followed:
        out.print(f"You follow this track {pace}: {where(progress)}.")
    else:
        out.print(f"You do not follow this track. Its plan {pace} would be:")
    out.print(
        f"{progress.finished} of {len(progress.items)} items; "
        f"{len(progress.resources_done)} of {len(track.all_resources)} resources."
    )
    entries = {entry.item.id: entry for entry in progress.items}
    for section in track.sections:
        out.print(f"\n[bold]{escape(section.title)}[/]")
        for item in section.items:
            out.print(line(entries[item.id]))
    if followed or week is not None:
        from groundup.course.material.tracks import weekly_goals

        number = min(max(progress.week, 1), progress.weeks) if week is None else week
        show_goals(weekly_goals(progress, number), track.name)
    out.print(f"\n[dim]{LEGEND}\n`groundup track {track.name} {track.items[0].id}` shows the item in full.[/]")


def where(progress: Progress) -> str:
    """The week, and the days ahead of the plan or behind it."""
    days = round(progress.days_ahead)
    lead = "on time" if days == 0 else f"{abs(days)} {'day' if abs(days) == 1 else 'days'} "
    lead += "" if days == 0 else ("ahead" if days > 0 else "behind")
    if progress.week == 0:
        return f"it has not begun; {lead}"
    return f"week {progress.week} of {progress.weeks}, {lead}"


def show_goals(goals: WeekGoals, track: str) -> None:
    """The goals of a week, each with its command."""
    out = console()
    out.print(f"\n[bold]Goals of week {goals.number}[/] [dim]{goals.start} – {goals.end}[/]")
    for label, entries in (("finish", goals.finish), ("continue", goals.work_on)):
        for entry in entries:
            out.print(f"  {SIGNS[entry.status]} {label} {entry.item.id}, {escape(entry.item.title)}")
    if goals.units:
        out.print(f"  units to pass: {', '.join(goals.units)}")
    for entry in goals.to_report:
        out.print(f"  to report, without a unit: `groundup track {track} --done {entry.item.id}`")
    for entry in goals.criteria:
        count = f"{entry.open_criteria} success {'criterion' if entry.open_criteria == 1 else 'criteria'}"
        out.print(f"  {count} of {entry.item.id} to report: `groundup track {track} {entry.item.id} --met N`")
    out.print("  the day's questions: `groundup journal today`")
    for resource in goals.resources:
        out.print(f"  {resource_line(resource, done=False)}")


def line(entry: ItemProgress) -> str:
    """One item on one line."""
    units = ", ".join(unit_names(entry))
    when = f"done {entry.actual}" if entry.actual else f"{entry.start} – {entry.end}"
    return f"  {SIGNS[entry.status]} {entry.item.id:<6} {escape(entry.item.title)}  [dim]{when}[/]  {units}"


def unit_names(entry: ItemProgress) -> Iterator[str]:
    """The units of an item: passed ones in green, planned ones in brackets."""
    yield from (f"[green]{unit}[/]" for unit in entry.passed)
    yield from entry.missing
    yield from (f"[dim]({unit})[/]" for unit in entry.unreleased)


def show_item(progress: Progress, item_id: str, catalogue: Catalogue, as_json: bool) -> None:
    """One item in full."""
    item = progress.track.item(item_id)
    (entry,) = [entry for entry in progress.items if entry.item is item]
    if as_json:
        print_json({**entry_json(entry), **item_json(entry)})
        return
    out = console()
    out.print(f"{SIGNS[entry.status]} [bold]{item.id}  {escape(item.title)}[/]\n{escape(item.about)}")
    time = "" if item.part_of else f"{item.time}, "
    out.print(f"[dim]{time}planned {entry.start} – {entry.end}{f', done {entry.actual}' if entry.actual else ''}[/]")
    for label, names in (
        ("passed", entry.passed),
        ("to pass", entry.missing),
        ("not in this release", entry.unreleased),
    ):
        if names:
            out.print(f"Units {label}: {', '.join(names)}")
    if entry.reopened:
        out.print(f"[yellow]You reported it on {entry.reported}. Its units have come since, so it is open again.[/]")
    elif entry.reportable and not entry.reported:
        out.print(f"[dim]No unit of this release can judge the rest. Report it: --done {item.id}.[/]")
    for system in map(catalogue.system, item.systems):
        out.print(f"System: {system.title} ({system.see or 'not in this release'})")
    for part in item.parts:
        time = f" [dim]({part.time})[/]" if part.time else ""
        out.print(f"\n[bold]{part.name}[/]{': ' * bool(part.title)}{escape(part.title)}{time}")
        show_lines([part.about] if part.about else [], "")
        show_lines(part.steps, "· ")
        for resource in part.resources:
            out.print(f"  {resource_line(resource, done=resource.id in progress.resources)}")
    for scenario in item.scenarios:
        out.print(f"\n[bold]Scenario: {escape(scenario.title)}[/]")
        show_lines([scenario.about, *scenario.points], "")
    for label, lines in (("Concepts", item.concepts), ("Build", item.build), ("Questions", item.questions)):
        if lines:
            out.print(f"\n[bold]{label}[/]")
            show_lines(lines, "· ")
    if item.criteria:
        out.print("\n[bold]Success criteria[/] [dim](your own report: --met N)[/]")
        for number, text in enumerate(item.criteria, 1):
            out.print(f"  {'[cyan]☑[/]' if number in entry.criteria else '☐'} {number}. {escape(text)}")
    for resource in item.resources:
        out.print(f"  {resource_line(resource, done=resource.id in progress.resources)}")


def show_lines(lines: tuple[str, ...] | list[str], sign: str) -> None:
    """Lines of text under a heading."""
    for text in lines:
        console().print(f"  {sign}{escape(text)}")


def resource_line(resource: Resource, *, done: bool) -> str:
    """A resource on one line, with the id that --read takes."""
    sign = "[cyan]☑[/]" if done else "☐"
    about = f"{resource.kind}, {resource.author}, {resource.time}"
    return (
        f"{sign} [link={resource.link}]{escape(resource.title)}[/link]  [dim]{escape(about)}; --read {resource.id}[/]"
    )


def track_json(progress: Progress, *, followed: bool) -> dict[str, Any]:
    """Planned and actual dates as a JSON document."""
    return {
        **progress.choice.to_json(),
        "followed": followed,
        "week": progress.week,
        "weeks": progress.weeks,
        "days_ahead": round(progress.days_ahead, 1),
        "items": [entry_json(entry) for entry in progress.items],
        "resources": [
            {
                "id": r.id,
                "title": r.title,
                "link": r.link,
                "minutes": r.time.minutes,
                "done": r.id in progress.resources,
            }
            for r in progress.track.all_resources
        ],
    }


def entry_json(entry: ItemProgress) -> dict[str, Any]:
    """One item, planned and actual."""
    return {
        "id": entry.item.id,
        "title": entry.item.title,
        "start": entry.start.isoformat(),
        "end": entry.end.isoformat(),
        "actual": entry.actual.isoformat() if entry.actual else None,
        "status": entry.status,
        "self_reported": entry.status == "reported",
        "reported": entry.reported.isoformat() if entry.reported else None,
        "reopened": entry.reopened,
        "units": {"passed": entry.passed, "missing": entry.missing, "not_in_this_release": entry.unreleased},
    }


def item_json(entry: ItemProgress) -> dict[str, Any]:
    """The contents of an item, as a JSON object."""
    item = entry.item
    return {
        "about": item.about,
        "minutes": [item.time.low, item.time.high],
        "minutes_are_estimated": item.time.estimated,
        "systems": item.systems,
        "concepts": item.concepts,
        "build": item.build,
        "questions": item.questions,
        "criteria": [{"text": text, "met": n in entry.criteria} for n, text in enumerate(item.criteria, 1)],
        "resources": [resource.id for resource in item.all_resources],
    }

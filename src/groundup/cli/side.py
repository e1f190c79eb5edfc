"""The learner's side: review, journal, track."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import click

from groundup.cli.options import json_option, open_course, workspace_option
from groundup.cli.output import console, escape, print_json

if TYPE_CHECKING:
    from groundup.course.course import Course
    from groundup.course.review import ReviewCard
    from groundup.course.tracks import ItemProgress, Progress

SIGNS = {"done": "[green]✓[/]", "reported": "[cyan]☑[/]", "partly": "[yellow]◐[/]", "open": "·", "waiting": "[dim] [/]"}


@click.command("review", epilog="Example: groundup review --interview")
@click.option("--interview", is_flag=True, help="Interview questions only.")
@click.option("everything", "--all", is_flag=True, help="Cards of every unit, not only of those you have begun.")
@json_option
@workspace_option
def review_command(interview: bool, everything: bool, as_json: bool) -> None:
    """Review the cards that are due, spaced by FSRS: Enter turns a card, 1 to 4 rates it, q ends."""
    course = open_course()
    review = course.review(everything=everything)
    kind = "interview" if interview else None
    now = datetime.now(UTC)
    cards = review.due(now, kind=kind)
    if as_json:
        print_json({"due": [card_json(card) for card in cards]})
        return
    if not cards:
        later = review.next_due(now)
        when = (
            f"The next card is due on {later.astimezone():%d %B at %H:%M}."
            if later
            else "Start a unit to get its cards."
        )
        console().print(f"No card is due. {when}")
        return
    for number, card in enumerate(cards, 1):
        console().print(f"\n[dim]{number} of {len(cards)}, {card.unit}[/]\n[bold]{escape(card.card.front)}[/]")
        click.prompt("Enter turns it", default="", show_default=False, prompt_suffix=" ")
        console().print(escape(card.card.back))
        rating = ask_rating(review.preview(card.card.id, datetime.now(UTC)))
        if rating == "q":
            console().print(f"{number - 1} cards reviewed. The others wait.")
            return
        course.answer(review, card.card.id, rating)
    console().print(f"\nAll {len(cards)} cards reviewed.")


def ask_rating(preview: dict[str, timedelta]) -> str:
    """One of 1 to 4, or q."""
    choices = "  ".join(f"{i} {name} ({span(after)})" for i, (name, after) in enumerate(preview.items(), 1))
    console().print(f"[dim]{choices}  q ends[/]")
    return click.prompt("How was it", type=click.Choice(["1", "2", "3", "4", "q"]), show_choices=False)


def span(after: timedelta) -> str:
    """A time span in the largest unit that fits."""
    seconds = after.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def card_json(card: ReviewCard) -> dict[str, object]:
    """A card as a JSON object."""
    due = card.due.isoformat() if card.due else None
    return {"card": card.card.id, "kind": card.card.kind, "front": card.card.front, "due": due, "reviews": card.reviews}


@click.command("journal", epilog="Example: groundup journal today --edit")
@click.argument("day", default="today")
@click.option("--edit", is_flag=True, help="Open the page in your editor ($EDITOR).")
@workspace_option
def journal_command(day: str, edit: bool) -> None:
    """Show the journal page of DAY (YYYY-MM-DD or today), begun with that day's reflection questions."""
    from groundup.course.journal import parse_day

    course = open_course()
    on = parse_day(day)
    path = course.journal.path(on)
    if not path.exists() and on > date.today() and not edit:
        raise click.UsageError(f"{on} is still to come and has no page. --edit begins it.")
    course.workspace.create()
    course.journal.start(on, course.questions(on))
    if edit:
        click.edit(filename=str(path))
        page = course.journal.read(on)
        course.write_journal(on, page.text, page.version)
    click.echo(course.journal.read(on).text, nl=False)
    console(err=True).print(f"[dim]{path}[/]")


@click.command("track", epilog="Example: groundup track devops --start today --hours 8")
@click.argument("name", required=False)
@click.option("--start", metavar="DAY", help="Follow the track NAME from this day on (YYYY-MM-DD or today).")
@click.option("--hours", type=float, help="Hours a week that you have for it; what the track suggests otherwise.")
@click.option("--done", metavar="ITEM", help="Report an item that cannot be graded as done.")
@click.option("--watched", "--read", "resource", metavar="RESOURCE", help="Report a resource as done.")
@click.option("--undo", is_flag=True, help="Take the report back.")
@json_option
@workspace_option
def track_command(
    name: str | None,
    start: str | None,
    hours: float | None,
    done: str | None,
    resource: str | None,
    undo: bool,
    as_json: bool,
) -> None:
    """List the tracks, or show the track NAME: planned against actual. With --start, follow it."""
    from groundup.course.journal import parse_day
    from groundup.course.tracks import load_track

    course = open_course()
    if name is not None:
        load_track(name)
    followed = course.track_progress()
    if start is not None or hours is not None:
        if name is None:
            raise click.UsageError(
                "Say which track to follow, for example: groundup track devops --start today --hours 8"
            )
        course.choose_track(name, parse_day(start or "today"), hours or load_track(name).hours_per_week)
    if done is not None or resource is not None:
        target = name or (followed.track.name if followed else None)
        if target is None:
            raise click.UsageError("Say which track it belongs to, for example: groundup track devops --done D1")
        if done is not None:
            course.report(target, done, done=not undo)
        if resource is not None:
            course.report_resource(target, resource, done=not undo)
        name = target
    shown = course.track_progress(name) if name else None
    if shown is not None:
        print_json(track_json(shown)) if as_json else print_track(shown, course)
    else:
        list_tracks(course.track_progress(), as_json)


def list_tracks(followed: Progress | None, as_json: bool) -> None:
    """Every track, with the one that is followed marked."""
    from groundup.course.tracks import load_tracks

    tracks = load_tracks().values()
    chosen = followed.track.name if followed else None
    if as_json:
        print_json(
            {"chosen": chosen, "tracks": [{"name": t.name, "title": t.title, "audience": t.audience} for t in tracks]}
        )
        return
    for track in tracks:
        sign = "[green]→[/]" if track.name == chosen else " "
        console().print(
            f"{sign} [bold]{track.name:<18}[/] {escape(track.title)}\n{'':21}[dim]{escape(track.audience)}[/]"
        )
    console().print(
        "\n[dim]`groundup track NAME` shows one; `groundup track NAME --start today --hours 8` follows it.[/]"
    )


def print_track(progress: Progress, course: Course) -> None:
    """Planned against actual, item by item."""
    out = console()
    choice = progress.choice
    out.print(f"[bold]{escape(progress.track.title)}[/]\n{escape(progress.track.about)}")
    done, total = progress.resource_minutes
    out.print(
        f"From {choice.start}, {choice.hours_per_week:g} hours a week: week {progress.week} of {progress.weeks}; "
        f"{progress.finished} of {len(progress.items)} items; resources {done} of {total} minutes."
    )
    entries = {entry.item.id: entry for entry in progress.items}
    for section in progress.track.sections:
        out.print(f"\n[bold]{escape(section.title)}[/]")
        for item in section.items:
            out.print(line(entries[item.id]))
    out.print("\n[dim]✓ by evidence  ☑ by your own report  ◐ partly  · open  (blank) not in this release[/]")


def line(entry: ItemProgress) -> str:
    """One item on one line."""
    units = ", ".join(
        [*(f"[green]{u}[/]" for u in entry.passed), *entry.missing, *(f"[dim]{u}[/]" for u in entry.unreleased)]
    )
    when = f"done {entry.actual}" if entry.actual else f"{entry.start} – {entry.end}"
    return f"  {SIGNS[entry.status]} {entry.item.id:<6} {escape(entry.item.title)}  [dim]{when}[/]  {units}"


def track_json(progress: Progress) -> dict[str, object]:
    """Planned against actual as a JSON document."""
    return {
        "track": progress.track.name,
        **progress.choice.to_json(),
        "week": progress.week,
        "weeks": progress.weeks,
        "days_ahead": round(progress.days_ahead, 1),
        "items": [
            {
                "id": entry.item.id,
                "title": entry.item.title,
                "start": entry.start.isoformat(),
                "end": entry.end.isoformat(),
                "status": entry.status,
                "self_reported": entry.status == "reported",
                "units": {"passed": entry.passed, "missing": entry.missing, "not_in_this_release": entry.unreleased},
            }
            for entry in progress.items
        ],
        "resources_done": [resource.id for resource in progress.resources_done],
    }

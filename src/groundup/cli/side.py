"""The learner's side: review and journal."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import click

from groundup.cli.options import json_option, open_course, workspace_option
from groundup.cli.output import console, escape, print_json

if TYPE_CHECKING:
    from groundup.course.learner.review import ReviewCard


@click.command("review", epilog="Example: groundup review --interview")
@click.option("--interview", is_flag=True, help="Review interview questions only.")
@click.option("everything", "--all", is_flag=True, help="Review the cards of every unit, begun or not.")
@json_option
@workspace_option
def review_command(interview: bool, everything: bool, as_json: bool) -> None:
    """Review the due cards, spaced by FSRS.

    Enter turns a card, 1 to 4 rates it, q ends the review.
    """
    from groundup.course.material.formulas import one_line

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
        console().print(
            f"\n[dim]{number} of {len(cards)}, {card.unit}[/]\n[bold]{escape(one_line(card.card.front))}[/]"
        )
        click.prompt("Enter turns the card", default="", show_default=False, prompt_suffix=" ")
        console().print(escape(one_line(card.card.back)))
        rating = ask_rating(review.preview(card.card.id, datetime.now(UTC)))
        if rating == "q":
            console().print(f"{number - 1} cards reviewed. The others stay due.")
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
    """Show the journal page of DAY: YYYY-MM-DD or today.

    A new page begins with the day's reflection questions.
    """
    from groundup.course.learner.journal import parse_day

    course = open_course()
    on = parse_day(day)
    path = course.journal.path(on)
    if not path.exists() and on > date.today() and not edit:
        raise click.UsageError(f"{on} lies in the future and has no page yet. Begin the page with --edit.")
    course.workspace.create()
    course.journal.start(on, course.questions(on))
    if edit:
        click.edit(filename=str(path))
        page = course.journal.read(on)
        course.write_journal(on, page.text, page.version)
    click.echo(course.journal.read(on).text, nl=False)
    console(err=True).print(f"[dim]{path}[/]")

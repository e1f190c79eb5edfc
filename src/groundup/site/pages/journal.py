"""The journal: the workspace's Markdown files, read and edited."""

from __future__ import annotations

from datetime import date, timedelta

from starlette.requests import Request
from starlette.responses import Response

from groundup.course.learner.journal import JournalConflict, parse_day, questions_for
from groundup.site.app import Site, back


def today(site: Site, request: Request) -> Response:
    """Today's page."""
    return _page(site, request, date.today())


def page(site: Site, request: Request) -> Response:
    """The page of a day."""
    return _page(site, request, parse_day(request.path_params["day"]))


def _page(site: Site, request: Request, day: date) -> Response:
    journal = site.course.journal
    questions = questions_for(site.standing.track_progress(), day)
    return site.page(
        request,
        "journal.html",
        page=journal.read(day, questions),
        days=list(reversed(journal.days())),
        before=day - timedelta(1),
        after=day + timedelta(1),
        is_today=day == date.today(),
        on_disk=journal.path(day),
    )


def save(site: Site, request: Request) -> Response:
    """Save a page, unless its file has changed since it was opened."""
    day, form = parse_day(request.path_params["day"]), request.state.form
    text = str(form.get("text", ""))
    try:
        site.course.write_journal(day, text, str(form.get("version", "")))
    except JournalConflict as conflict:
        kept = site.course.journal.read(day)
        return site.page(
            request, "journal_conflict.html", status=409, day=day, text=text, kept=kept, message=str(conflict)
        )
    return back(f"/journal/{day}")


ROUTES = [
    ("GET", "/journal", today),
    ("GET", "/journal/{day}", page),
    ("POST", "/journal/{day}", save),
]

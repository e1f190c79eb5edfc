"""Review: the due cards, one at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from groundup.site.app import Site, back


def review(site: Site, request: Request) -> Response:
    """The next card, with the effect of each rating."""
    kind = "interview" if request.query_params.get("kind") == "interview" else None
    everything = request.query_params.get("all") == "yes"
    cards = site.standing.review(everything=everything)
    now = datetime.now(UTC)
    due = cards.due(now, kind=kind)
    card = due[0] if due else None
    return site.page(
        request,
        "review.html",
        card=card,
        preview=cards.preview(card.card.id, now) if card else {},
        counts=cards.counts(now, kind=kind),
        next_due=cards.next_due(now),
        forecast=cards.forecast(date.today()),
        kind=kind or "",
        everything=everything,
        titles={entry.id: entry.title for entry in site.course.catalogue.entries},
    )


def answer(site: Site, request: Request) -> Response:
    """Record a rating and show the next card."""
    form = request.state.form
    everything = form.get("all") == "yes"
    cards = site.course.review(everything=everything)
    site.course.answer(cards, str(form.get("card", "")), str(form.get("rating", "")))
    chosen = {"kind": "interview"} if form.get("kind") == "interview" else {}
    query = urlencode(chosen | ({"all": "yes"} if everything else {}))
    return back(f"/review?{query}" if query else "/review")


ROUTES = [("GET", "/review", review), ("POST", "/review", answer)]

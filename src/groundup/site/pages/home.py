"""The map, the static files and the event stream."""

from __future__ import annotations

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from groundup.course.material.catalogue import Entry
from groundup.site.app import Site
from groundup.site.mathematics import SOURCE


def map_page(site: Site, request: Request) -> Response:
    """All phases and units with their state, and the next unit."""
    course = site.course
    states = site.standing.states()
    released = [state for state in states.values() if state.status != "planned"]
    passed = sum(state.status == "passed" for state in released)
    return site.page(
        request,
        "map.html",
        catalogue=course.catalogue,
        states=states,
        released=len(released),
        passed=passed,
        next_entry=_next(site),
        fresh=all(state.status == "new" for state in released),
    )


def mathematics_page(site: Site, request: Request) -> Response:
    """The concepts that lessons take for known, each with one example in numbers."""
    from groundup.site.markdown import headings, render_cached

    text = SOURCE.read_text(encoding="utf-8").split("\n", 1)[1]
    return site.page(request, "mathematics.html", text=Markup(render_cached(text)), headings=headings(text))


def _next(site: Site) -> Entry | None:
    entries = site.standing.next_up()
    return entries[0] if entries else None


def static(site: Site, request: Request) -> Response:
    """A static file."""
    return site.assets.answer(request)


def events(site: Site, request: Request) -> Response:
    """The stream of events."""
    return site.channel.response(request)


ROUTES = [
    ("GET", "/", map_page),
    ("GET", "/mathematics", mathematics_page),
    ("GET", "/static/{name}", static),
    ("GET", "/events", events),
]

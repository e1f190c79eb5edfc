"""The exercise of a unit: start, check, hints and the solution."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from groundup.course.material.unit import Unit
from groundup.errors import UsageError
from groundup.site.app import Site, back

WAIT_SECONDS = 120


def exercise_context(site: Site, unit: Unit) -> dict[str, Any]:
    """The values for the exercise's part of a page."""
    course = site.course
    events = course.ledger.events(kinds=["hint", "solution"], unit=unit.id)
    given = {name: 0 for name in unit.hints}
    for event in events:
        if event.kind == "hint" and event.payload.get("name") in given:
            name = event.payload["name"]
            given[name] = max(given[name], int(event.payload.get("stage", 0)))
    state = site.standing.states()[unit.id]
    return {
        "state": state,
        "path_on_disk": course.workspace.exercise(unit.id),
        "started": course.workspace.exercise(unit.id).exists(),
        "checking": site.checks.progress(unit.id),
        "kernels": site.checks.kernels(unit.id, state),
        "trouble": site.checks.trouble.get(unit.id, ""),
        "hints_given": given,
        "solution_seen": any(event.kind == "solution" for event in events),
    }


def start(site: Site, request: Request) -> Response:
    """Write the exercise; `reset` begins again and keeps the old file."""
    unit = _unit(site, request)
    site.course.start(unit.id, reset=request.state.form.get("reset") == "yes")
    site.checks.trouble.pop(unit.id, None)
    site.channel.publish("changed", unit=unit.id)
    site.warm_later()
    return _to_exercise(unit)


def check(site: Site, request: Request) -> Response:
    """Grade the file as it is now, and show the verdict."""
    unit = _unit(site, request)
    if not site.course.workspace.exercise(unit.id).exists():
        raise UsageError(f"{unit.id} has no file to check yet. Start its exercise first.")
    site.checks.request(unit.id).result(timeout=WAIT_SECONDS)
    return _to_exercise(unit)


def hint(site: Site, request: Request) -> Response:
    """Give the next stage of the hints for one function."""
    unit = _unit(site, request)
    site.course.hint(unit.id, request.state.form.get("name") or None)
    site.channel.publish("changed", unit=unit.id)
    return _to_exercise(unit)


def solution(site: Site, request: Request) -> Response:
    """Record a look at the reference, then show it."""
    unit = _unit(site, request)
    site.course.solution(unit.id)
    site.channel.publish("changed", unit=unit.id)
    return back(f"/units/{unit.id}/solution")


def solution_page(site: Site, request: Request) -> Response:
    """The reference implementation after the request for it; before, the warning."""
    from groundup.site.markdown import code

    unit = _unit(site, request)
    shown = bool(site.course.ledger.events(kinds=["solution"], unit=unit.id))
    source = Markup(code(unit.implementation.read_text(encoding="utf-8"))) if shown else ""
    passed = site.course.has_passed(unit.id)
    return site.page(request, "solution.html", unit=unit, source=source, passed=passed)


def _unit(site: Site, request: Request) -> Unit:
    return site.course.catalogue.unit(f"{request.path_params['phase']}/{request.path_params['unit']}")


def _to_exercise(unit: Unit) -> Response:
    return back(f"/units/{unit.id}#exercise")


ROUTES = [
    ("POST", "/units/{phase}/{unit}/start", start),
    ("POST", "/units/{phase}/{unit}/check", check),
    ("POST", "/units/{phase}/{unit}/hint", hint),
    ("POST", "/units/{phase}/{unit}/solution", solution),
    ("GET", "/units/{phase}/{unit}/solution", solution_page),
]

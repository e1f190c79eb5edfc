"""Progress: the evidence, and the recent events."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from groundup.course.learner.ledger import KINDS, Event
from groundup.site.app import Site

RECENT = 30


def progress(site: Site, request: Request) -> Response:
    """The proven units by phase, the reports, and the recent events."""
    course = site.course
    states = site.standing.states()
    counts = course.ledger.counts()
    recent = course.ledger.last(RECENT, kinds=KINDS)
    return site.page(
        request,
        "progress.html",
        catalogue=course.catalogue,
        states=states,
        counts=counts,
        recent=[(event, _sentence(site, event)) for event in recent],
        followed=site.standing.track_progress(),
        workspace=course.workspace,
    )


def _sentence(site: Site, event: Event) -> str:
    """An event of the ledger in words."""
    payload = event.payload
    match event.kind:
        case "verdict":
            return "passed every check" if event.outcome == "passed" else event.outcome.replace("_", " ")
        case "compiled":
            return "kernels compiled" if payload.get("ok") else str(payload.get("message", "kernels not compiled"))
        case "started":
            return "exercise started"
        case "reset":
            return "begun again; the old file was kept"
        case "hint":
            return f"hint {payload.get('stage', '')} for {payload.get('name', '')}"
        case "solution":
            return "looked at the solution" + ("" if payload.get("passed") else " before passing")
        case "run":
            return f"lab {payload.get('lab', '')}: {payload.get('verdict', '')}"
        case "review":
            return f"card reviewed: {payload.get('rating', '')}"
        case "track":
            return f"follows {payload.get('track', '')}, {payload.get('hours_per_week', '')} hours a week"
        case "resource" | "report":
            what = payload.get("resource") or f"{payload.get('track', '')} {payload.get('item', '')}"
            return f"{'reports' if payload.get('done', True) else 'takes back'} {what}"
        case "journal":
            return f"journal of {payload.get('day', '')}"
    return event.kind


ROUTES = [("GET", "/progress", progress)]

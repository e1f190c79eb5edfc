"""The roadmaps: planned and actual dates, weekly goals, and the learner's reports."""

from __future__ import annotations

from datetime import date

from starlette.requests import Request
from starlette.responses import Response

from groundup.course.material.roadmaps import Item
from groundup.course.material.tracks import Progress, load_tracks, provable, weekly_goals
from groundup.errors import UsageError
from groundup.site.app import Site, back


def tracks(site: Site, request: Request) -> Response:
    """All tracks, and the followed one."""
    listed, released = load_tracks(), site.course.catalogue.units
    proven = {name: provable(track, released) for name, track in listed.items()}
    return site.page(request, "tracks.html", tracks=listed, proven=proven, followed=site.standing.track_progress())


def track(site: Site, request: Request) -> Response:
    """One track: its sections, and each item planned and actual."""
    progress, followed = _progress(site, request)
    week = min(max(progress.week, 1), progress.weeks)
    goals = weekly_goals(progress, week) if followed else None
    return site.page(
        request,
        "track.html",
        track=progress.track,
        progress=progress,
        by_id={entry.item.id: entry for entry in progress.items},
        followed=followed,
        goals=goals,
        titles=_titles(site),
        today=date.today(),
    )


def item(site: Site, request: Request) -> Response:
    """One item or section: its contents, its steps, and the reports."""
    progress, followed = _progress(site, request)
    part = progress.track.addresses.get(request.path_params["item"]) or progress.track.item(request.path_params["item"])
    entry = next((e for e in progress.items if e.item is part), None)
    met = entry.criteria if entry else progress.section_criteria.get(part.id, frozenset())
    return site.page(
        request,
        "item.html",
        track=progress.track,
        item=part,
        is_item=isinstance(part, Item),
        entry=entry,
        criteria_met=met,
        progress=progress,
        followed=followed,
        titles=_titles(site),
        systems=[site.course.catalogue.system(name) for name in part.systems] if isinstance(part, Item) else [],
        states=site.standing.states(),
    )


def _progress(site: Site, request: Request) -> tuple[Progress, bool]:
    """The progress of the track in the address, and whether the learner follows it."""
    name = request.path_params["track"]
    followed = site.standing.track_progress()
    if followed and followed.track.name == name:
        return followed, True
    shown = site.standing.track_progress(name)
    assert shown is not None
    return shown, False


def _titles(site: Site) -> dict[str, str]:
    return {entry.id: entry.title for entry in site.course.catalogue.entries}


def follow(site: Site, request: Request) -> Response:
    """Follow a track from a day on, for so many hours a week."""
    name, form = request.path_params["track"], request.state.form
    site.course.choose_track(name, str(form.get("start", "")), str(form.get("hours_per_week", "")))
    return back(f"/tracks/{name}")


def report(site: Site, request: Request) -> Response:
    """Record the learner's report on an item, a criterion or a resource."""
    name, item_id = request.path_params["track"], request.path_params["item"]
    form = request.state.form
    done = form.get("done") != "no"
    if form.get("resource"):
        site.course.report_resource(name, str(form["resource"]), done=done)
    else:
        site.course.report(name, item_id, criterion=_criterion(form.get("criterion")), done=done)
    return back(f"/tracks/{name}/{item_id}")


def report_resource(site: Site, request: Request) -> Response:
    """Record that a resource of the whole track was watched or read."""
    name, form = request.path_params["track"], request.state.form
    site.course.report_resource(name, str(form.get("resource", "")), done=form.get("done") != "no")
    return back(f"/tracks/{name}#resources")


def _criterion(given: object) -> int | None:
    if given in (None, ""):
        return None
    if not str(given).isdigit():
        raise UsageError(f"criterion must be a number, not '{given}'.")
    return int(str(given))


ROUTES = [
    ("GET", "/tracks", tracks),
    ("GET", "/tracks/{track}", track),
    ("GET", "/tracks/{track}/{item}", item),
    ("POST", "/tracks/{track}/follow", follow),
    ("POST", "/tracks/{track}/resources", report_resource),
    ("POST", "/tracks/{track}/{item}/report", report),
]

"""The page of a unit: lesson, explorables, exercise, labs, cards."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from groundup.course.author.proof import standing
from groundup.course.learner.figures import parse_parameters
from groundup.course.material.catalogue import Entry, Phase
from groundup.course.material.tracks import load_tracks
from groundup.course.material.unit import Unit
from groundup.site.app import Site, back
from groundup.site.lessons import place_figures
from groundup.site.pages.exercise import exercise_context


def unit_page(site: Site, request: Request) -> Response:
    """One unit, or the page of a planned one."""
    catalogue = site.course.catalogue
    unit_id = catalogue.resolve(unit_name(request))
    entry = next(e for e in catalogue.entries if e.id == unit_id)
    phase = next(p for p in catalogue.phases if p.name == entry.phase)
    if not catalogue.released(unit_id):
        return site.page(request, "planned.html", entry=entry, phase=phase, **_planned(entry, phase))
    unit = catalogue.unit(unit_id)
    lesson = site.lessons.page(unit)
    titles = {e.id: e.title for e in catalogue.entries}
    states = site.standing.states()
    return site.page(
        request,
        "unit.html",
        unit=unit,
        phase=phase,
        proven=standing(unit),
        titles=titles,
        stands_on=[states[below] for below in catalogue.stands_on(unit_id)],
        lacks=unit.lacks,
        lesson=Markup(place_figures(lesson, lambda name: _explorable(site, unit, name))),
        headings=lesson.headings,
        other_figures=[f for f in unit.figures if f.name not in lesson.figures],
        **exercise_context(site, unit),
    )


def _planned(entry: Entry, phase: Phase) -> dict[str, Any]:
    """The place of a planned unit, and the items of the tracks that teach it meanwhile."""
    place = phase.entries.index(entry)
    places = [(track, item) for track in load_tracks().values() for item in track.items if entry.id in item.units]
    resources = {resource.id: resource for _, item in places for resource in item.all_resources}
    return {
        "before": phase.entries[place - 1] if place else None,
        "places": places,
        "resources": list(resources.values()),
    }


def short_name(site: Site, request: Request) -> Response:
    """`/units/attention` leads to `/units/deep/attention`."""
    return back(f"/units/{site.course.catalogue.resolve(request.path_params['unit'])}")


def unit_name(request: Request) -> str:
    """The unit id in the address, for a look-up in the catalogue and nothing else."""
    return f"{request.path_params['phase']}/{request.path_params['unit']}"


def _explorable(site: Site, unit: Unit, name: str) -> str:
    return site.template("_explorable.html").module.explorable(unit, unit.figure(name))  # type: ignore[attr-defined]


# Figures


def draw(site: Site, request: Request) -> Response:
    """A figure as Plotly JSON. It starts a process, so it is a POST with the page's token."""
    unit = site.course.catalogue.unit(unit_name(request))
    figure = unit.figure(request.path_params["figure"])
    names = {control.name for control in figure.controls}
    given = {name: str(value) for name, value in request.state.form.items() if name in names}
    return JSONResponse(site.course.draw(unit.id, figure.name, parse_parameters(figure, given)))


ROUTES = [
    ("GET", "/units/{unit}", short_name),
    ("GET", "/units/{phase}/{unit}", unit_page),
    ("POST", "/units/{phase}/{unit}/figures/{figure}", draw),
]

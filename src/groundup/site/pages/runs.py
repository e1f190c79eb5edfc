"""Labs: started, watched, listed, compared."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from groundup.errors import UsageError
from groundup.site.app import Site, back

MOST_COMPARED = 6
MOST_LISTED = 200


def start(site: Site, request: Request) -> Response:
    """Start a lab, and show it running."""
    path, form = request.path_params, request.state.form
    unit = site.course.catalogue.unit(f"{path['phase']}/{path['unit']}")
    lab = unit.lab(path["lab"])
    settings = {
        name.removeprefix("set:"): str(value)
        for name, value in form.items()
        if name.startswith("set:") and str(value).strip()
    }
    job = site.jobs.start(
        unit,
        lab,
        preset=str(form.get("preset", "smoke")),
        settings=settings,
        seeds=_seeds(form.get("seeds")),
        mine=form.get("mine") == "yes",
    )
    return back(f"/live/{job.id}")


def _seeds(given: Any) -> int | None:
    if given in (None, ""):
        return None
    if not str(given).isdigit() or not 1 <= int(given) <= 100:
        raise UsageError(f"seeds must be a whole number from 1 to 100, not '{given}'.")
    return int(given)


def live(site: Site, request: Request) -> Response:
    """A lab that runs now, or ran since this start of the site."""
    job = site.jobs.job(request.path_params["job"])
    if job.run:
        return back(f"/runs/{job.run}")
    return site.page(request, "live.html", job=job)


def live_events(site: Site, request: Request) -> Response:
    """The events of one run, from the first."""
    return site.jobs.job(request.path_params["job"]).channel.response(request)


def stop(site: Site, request: Request) -> Response:
    """Stop a run."""
    job = site.jobs.job(request.path_params["job"])
    job.stop.set()
    return back(f"/live/{job.id}")


def runs(site: Site, request: Request) -> Response:
    """The recorded runs, newest first."""
    from groundup.course.learner.runs import list_runs

    recorded = list_runs(site.course.workspace.root, limit=MOST_LISTED)
    titles = _titles(site)
    return site.page(request, "runs.html", runs=recorded, running=site.jobs.running(), titles=titles, most=MOST_LISTED)


def run(site: Site, request: Request) -> Response:
    """One recorded run."""
    from groundup.course.learner.runs import curves, load_figure, load_run

    root, run_id = site.course.workspace.root, request.path_params["run"]
    report = load_run(root, run_id)
    figures = [{**f, "figure": load_figure(root, run_id, f["name"], f["seed"])} for f in report.figures]
    return site.page(request, "run.html", run=report, curves=curves(root, run_id), figures=figures)


def compare(site: Site, request: Request) -> Response:
    """Several runs side by side: settings and results."""
    from groundup.course.learner.runs import compare as side_by_side
    from groundup.course.learner.runs import load_run

    ids = list(dict.fromkeys(request.query_params.getlist("run")))
    if not 2 <= len(ids) <= MOST_COMPARED:
        raise UsageError(f"Choose from 2 to {MOST_COMPARED} runs to compare, not {len(ids)}. The page Runs lists them.")
    table = side_by_side([load_run(site.course.workspace.root, run_id) for run_id in ids])
    return site.page(request, "compare.html", **table)


def _titles(site: Site) -> dict[tuple[str, str], str]:
    units = site.course.catalogue.units.values()
    return {(unit.id, lab.name): lab.title for unit in units for lab in unit.labs}


ROUTES = [
    ("POST", "/units/{phase}/{unit}/labs/{lab}", start),
    ("GET", "/live/{job}", live),
    ("GET", "/live/{job}/events", live_events),
    ("POST", "/live/{job}/stop", stop),
    ("GET", "/runs", runs),
    ("GET", "/runs/compare", compare),
    ("GET", "/runs/{run}", run),
]

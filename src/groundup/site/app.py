"""The application: routes, the state shared by all requests, and the pages for errors."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from groundup.course.course import Course
from groundup.course.material.targets import groups
from groundup.errors import CannotJudge, GroundupError, MissingPackage, UnknownName, UsageError, WorkspaceError
from groundup.site.assets import Assets
from groundup.site.checks import Checks, summary
from groundup.site.jobs import Jobs
from groundup.site.lessons import Lessons
from groundup.site.live import Channel
from groundup.site.search import Search
from groundup.site.security import Guard, form_token, new_token
from groundup.site.standing import Standing
from groundup.site.watch import watch

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
WARM_AFTER_SECONDS = 0.5

STATUS_WORDS = {
    "planned": "not in this release",
    "new": "not started",
    "started": "started",
    "failed": "not yet",
    "passed": "passed",
    "stale": "stale",
}


class Site:
    """The state shared by all requests: the course, the background tasks, and the making of pages.

    Args:
        course: the learner's course; whoever made it closes it.
        token: the secret of this start.
    """

    def __init__(self, course: Course, token: str) -> None:
        self.course, self.token = course, token
        self.channel = Channel(keep=500)
        self.checks = Checks(course, self.channel)
        self.jobs = Jobs(course, lambda job: self.channel.publish("changed", unit=job.unit.id))
        self.standing = Standing(course)
        self.search = Search(course.catalogue)
        self.lessons = Lessons(course.workspace)
        self.assets = Assets()
        self._templates = _templates(self)
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._warming: list[Thread] = []

    # Pages

    def page(self, request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
        """A page made from a template."""
        made = self._templates.get_template(template).render(
            path=request.url.path, token=form_token(self.token), last_event=self.last_event, **context
        )
        return HTMLResponse(made, status)

    def template(self, name: str) -> Template:
        """A template, for its macros."""
        return self._templates.get_template(name)

    @property
    def last_event(self) -> str:
        """The id of the newest event: a page follows the stream from where it was made."""
        return self.channel.position

    # The background

    @asynccontextmanager
    async def running(self, _: Starlette) -> AsyncIterator[None]:
        """Watch the exercises and get the grader ready, until the site stops."""
        course = self.course
        self._tasks = [
            asyncio.create_task(watch(course.workspace, course.catalogue, self.checks, self._stop)),
            asyncio.create_task(self._warm()),
        ]
        for task in self._tasks:
            task.add_done_callback(_log_failure)
        try:
            yield
        finally:
            self._stop.set()
            self.end_streams()
            self._tasks[1].cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for thread in self._warming:  # or it would start a worker after the course is closed
                await asyncio.to_thread(thread.join)
            await asyncio.to_thread(self.checks.close)

    def end_streams(self) -> None:
        """Let go of every open page, and stop the labs."""
        self.channel.close()
        self.jobs.close()

    async def _warm(self) -> None:
        """Start the grader's workers for what the learner works on, once the first page is out."""
        await asyncio.sleep(WARM_AFTER_SECONDS)
        self.warm_later()
        gc.freeze()  # what is loaded by now stays loaded: the collector need not walk through it during a check

    def warm_later(self) -> None:
        """As `warm_started`, without waiting for it."""
        thread = Thread(target=self.warm_started, daemon=True)
        self._warming = [*(t for t in self._warming if t.is_alive()), thread]
        thread.start()

    def warm_started(self) -> None:
        """Start a worker for each runtime that a started exercise needs."""
        course = self.course
        begun = [unit for unit in course.catalogue.units.values() if course.workspace.exercise(unit.id).exists()]
        for unit in begun:
            course.grader.warm(unit.runtime)


def create_app(course: Course, *, token: str | None = None, hosts: Iterable[str] = ()) -> Starlette:
    """The site of a course as an ASGI application.

    Args:
        course: the course.
        token: the secret of this start; a new one unless given.
        hosts: host names besides loopback under which it is reached. Where any is given, addresses are accepted too.
    """
    from groundup.site import pages

    token, hosts = token or new_token(), tuple(hosts)
    site = Site(course, token)
    guard = Middleware(
        Guard,
        token=token,
        hosts=hosts,
        any_address=bool(hosts),
        error_page=lambda request, status, message: error_page(site, request, status, message),
    )
    handlers: Mapping[Any, Any] = {
        GroundupError: lambda request, error: error_page(site, request, status_of(error), str(error), error),
        HTTPException: lambda request, error: error_page(site, request, error.status_code, error.detail),
        Exception: lambda request, error: error_page(
            site,
            request,
            500,
            "This page broke: a defect of groundup. The terminal shows the details. Your workspace is unchanged.",
        ),
    }
    app = Starlette(
        routes=[_route(site, *entry) for entry in pages.ROUTES],
        middleware=[guard],
        exception_handlers=handlers,
        lifespan=site.running,
    )
    app.state.site = site
    return app


Answer = Callable[[Site, Request], Response]


def _route(site: Site, method: str, path: str, answer: Answer) -> Route:
    """A route whose handler runs in a thread: what pages need is files and SQLite."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(answer, site, request)

    return Route(path, endpoint, methods=[method])


# Errors


def status_of(error: GroundupError) -> int:
    """The HTTP status of an expected error."""
    if isinstance(error, UnknownName):
        return 404
    if isinstance(error, UsageError):
        return 400
    if isinstance(error, WorkspaceError):
        return 409
    return 503 if isinstance(error, CannotJudge | MissingPackage) else 500


TITLES = {
    400: "The request is wrong",
    403: "Refused",
    404: "Page not found",
    405: "Wrong method",
    409: "Nothing was changed",
    413: "Too long",
    421: "Wrong address",
    503: "Something is missing",
}


def error_page(site: Site, request: Request, status: int, message: str, error: GroundupError | None = None) -> Response:
    """The error and the next step, as a page or, for scripts, as JSON."""
    if "text/html" not in request.headers.get("accept", "*/*").replace("*/*", "text/html"):
        return JSONResponse({"error": message}, status)
    nearest = error.nearest if isinstance(error, UnknownName) else []
    units = [entry for entry in site.course.catalogue.entries if entry.id in nearest]
    title = TITLES.get(status, "Something went wrong")
    if status == 404 and message == "Not Found":
        message = f"Nothing is at {request.url.path[:200]}."
    return site.page(request, "error.html", status=status, title=title, message=message, units=units)


def back(path: str) -> RedirectResponse:
    """Redirect to the page that shows a change."""
    return RedirectResponse(path, status_code=303)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("A background task of the site ended", exc_info=task.exception())


# Templates


def _templates(site: Site) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        auto_reload=False,
    )
    environment.filters |= {
        "number": _number,
        "span": _span,
        "minutes": _minutes,
        "tojson_text": _json,
        "markdown": _markdown,
        "inline": _inline,
        "moment": _moment,
        "when": _when,
        "day": _day,
        "spoken": _spoken,
    }
    environment.globals |= {
        "asset": site.assets.url,
        "plotly": site.assets.plotly_url,
        "status_words": STATUS_WORDS,
        "summary": summary,
        "by_function": groups,
    }
    return environment


def _markdown(text: str) -> Markup:
    from groundup.site.markdown import render_cached

    return Markup(render_cached(text))


def _inline(text: str) -> Markup:
    from groundup.site.markdown import render_inline

    return Markup(render_inline(text))


def _moment(at: datetime) -> str:
    local = at.astimezone()
    return f"{local:%H:%M} today" if local.date() == date.today() else f"{local.day} {local:%B %Y, %H:%M}"


def _when(at: datetime | str) -> str:
    return _moment(datetime.fromisoformat(at) if isinstance(at, str) else at)


def _day(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"


def _spoken(check: str) -> str:
    return check.removeprefix("test_").replace("_", " ")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _minutes(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h".replace(".0 h", " h")


def _span(after: timedelta) -> str:
    """A time span in the largest unit that fits."""
    seconds = after.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

"""Lessons as HTML: rendered once for each version of their sources, kept in memory and in the workspace's cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from html import escape
from pathlib import Path
from threading import Lock

from groundup.course.learner.workspace import Workspace, write_atomically
from groundup.course.material.lessons import (
    Box,
    Code,
    Explorable,
    Include,
    Part,
    Prose,
    Snippet,
    read_lesson,
    source_of,
)
from groundup.course.material.unit import Unit
from groundup.errors import GroundupError, UsageError


@dataclass(frozen=True)
class Page:
    """A rendered lesson: its HTML (with a place for each figure), headings (address, words) and figures."""

    html: str
    headings: tuple[tuple[str, str], ...]
    figures: tuple[str, ...]


class Lessons:
    """Renders lessons and keeps them.

    Args:
        workspace: where rendered lessons are kept between starts, once it exists.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._pages: dict[str, tuple[tuple[int, ...], Page]] = {}
        self._lock = Lock()

    def page(self, unit: Unit) -> Page:
        """The lesson of a unit as it is on disk now."""
        stamps = _stamps(unit)
        kept = self._pages.get(unit.id)
        if kept and kept[0] == stamps:
            return kept[1]
        with self._lock:
            page = self._from_disk(unit) or self._rendered(unit)
            self._pages[unit.id] = (stamps, page)
            return page

    def _from_disk(self, unit: Unit) -> Page | None:
        try:
            kept = json.loads(self._file(unit).read_text(encoding="utf-8"))
            return Page(kept["html"], tuple(map(tuple, kept["headings"])), tuple(kept["figures"]))
        except (OSError, ValueError, KeyError):
            return None

    def _rendered(self, unit: Unit) -> Page:
        page = render_lesson(unit)
        if self.workspace.exists:
            try:
                write_atomically(self._file(unit), json.dumps(asdict(page)))
            except GroundupError:
                pass  # a cache that cannot be written costs time, nothing else
        return page

    def _file(self, unit: Unit) -> Path:
        from groundup.site.markdown import VERSION

        sources = [unit.lesson, unit.implementation, unit.folder / "unit.toml"]
        digest = sha256(b"\0".join([VERSION.encode(), *(p.read_bytes() for p in sources if p.exists())])).hexdigest()
        return self.workspace.cache_dir / "lessons" / f"{digest}.json"


def _stamps(unit: Unit) -> tuple[int, ...]:
    paths = (unit.lesson, unit.implementation)
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)


def render_lesson(unit: Unit) -> Page:
    """The lesson of a unit, rendered now. A figure's place is a comment that `place_figures` fills."""
    from groundup.site import markdown

    if not unit.lesson.exists():
        return Page("<p>This unit has no lesson yet.</p>", (), ())
    lesson = read_lesson(unit)  # the page has its title already
    linked: set[str] = set()
    return Page(
        html="".join(_html(unit, part, linked) for part in lesson.parts),
        headings=tuple((markdown.slug(heading), markdown.plain(heading)) for heading in lesson.headings()),
        figures=tuple(part.name for part in lesson.walk() if isinstance(part, Explorable)),
    )


def _html(unit: Unit, part: Part, linked: set[str]) -> str:
    from groundup.site import markdown, mathematics

    match part:
        case Prose(text=text):
            return mathematics.link(markdown.render(text), linked)
        case Include():
            return _included(unit, part)
        case Explorable(name=name):
            return _place(name)
        case Snippet(text=text):
            return markdown.code(text, "pycon")
        case Code(language=language, text=text):
            return markdown.code(text, language)
        case Box(kind=kind, title=title, parts=parts):
            return markdown.box(kind, title, "".join(_html(unit, inner, linked) for inner in parts))


def _included(unit: Unit, include: Include) -> str:
    """Code of the unit, by name. What the learner is to write is folded: the reader decides whether to look."""
    from groundup.site import markdown

    try:
        html = markdown.code(source_of(unit, include.file, include.name))
    except UsageError as error:
        return f'<p class="trouble">{escape(str(error))}</p>'
    shown = f"<code>{escape(include.name or include.file)}</code>"
    if include.name in unit.write:
        summary = f"<summary>{shown} <span>you write it in the exercise; open to read ours</span></summary>"
        return f'<details class="dropdown reference">{summary}{html}</details>'
    return f'<p class="code-name">{shown}</p>{html}'


def place_figures(page: Page, make: Callable[[str], str]) -> str:
    """The lesson's HTML with `make(name)` wherever a figure belongs."""
    html = page.html
    for name in page.figures:
        html = html.replace(_place(name), make(name))
    return html


def _place(name: str) -> str:
    return f"<!--figure:{escape(name)}-->"

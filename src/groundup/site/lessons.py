"""Lessons as HTML: rendered once for each version of their sources, kept in memory and in the workspace's cache."""

from __future__ import annotations

import ast
import json
import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from html import escape
from pathlib import Path
from threading import Lock

from groundup.course.source import definitions, first_line, split_lines
from groundup.course.unit import Unit
from groundup.course.workspace import Workspace, write_atomically
from groundup.errors import GroundupError, UnknownName, UsageError


@dataclass(frozen=True)
class Page:
    """A rendered lesson: its HTML (with a place for each figure), headings (address, words) and plain words."""

    html: str
    headings: tuple[tuple[str, str], ...]
    words: str
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
            return Page(kept["html"], tuple(map(tuple, kept["headings"])), kept["words"], tuple(kept["figures"]))
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
        return Page("<p>This unit has no lesson yet.</p>", (), "", ())
    text = unit.lesson.read_text(encoding="utf-8")
    text = text.split("\n", 1)[1] if text.startswith("# ") else text  # the page has the title already
    placed: list[str] = []

    def explorable(name: str, _: str) -> str:
        placed.append(name.strip())
        return _place(name.strip())

    html = markdown.render(text, {"explorable": explorable, "literalinclude": lambda *given: _included(unit, *given)})
    return Page(html, tuple(markdown.headings(text)), markdown.plain(text), tuple(placed))


def _included(unit: Unit, file: str, options: str) -> str:
    """Code of the unit, by name. What the learner is to write is folded: the reader decides whether to look."""
    from groundup.site import markdown

    name = next((line.split(":", 2)[2].strip() for line in options.splitlines() if line.startswith(":pyobject:")), "")
    try:
        html = markdown.code(source_of(unit, file.strip(), name))
    except UsageError as error:
        return f'<p class="trouble">{escape(str(error))}</p>'
    shown = f"<code>{escape(name or file)}</code>"
    if name in unit.write:
        summary = f"<summary>{shown} <span>you write it in the exercise; open to read ours</span></summary>"
        return f'<details class="dropdown reference">{summary}{html}</details>'
    return f'<p class="code-name">{shown}</p>{html}'


def source_of(unit: Unit, file: str, name: str = "") -> str:
    """The text of one definition, or of a whole file, of a unit. Raises UnknownName."""
    files = {path.name: path for path in unit.folder.glob("*.py")}
    if file not in files:
        raise UnknownName(f"file in {unit.id}", file, files)
    text = files[file].read_text(encoding="utf-8")
    if not name:
        return text
    known = dict(definitions(ast.parse(text)))
    if name not in known:
        raise UnknownName(f"definition in {unit.id}/{file}", name, known)
    node = known[name]
    return textwrap.dedent("".join(split_lines(text)[first_line(node) - 1 : node.end_lineno]))


def place_figures(page: Page, make: Callable[[str], str]) -> str:
    """The lesson's HTML with `make(name)` wherever a figure belongs."""
    html = page.html
    for name in page.figures:
        html = html.replace(_place(name), make(name))
    return html


def _place(name: str) -> str:
    return f"<!--figure:{escape(name)}-->"

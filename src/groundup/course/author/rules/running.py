"""Rules that need a unit's code to run. The code runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from groundup.course.author.rules.about import about
from groundup.course.learner.figures import FigureWorker
from groundup.course.material.lessons import Snippet, read_lesson
from groundup.course.material.unit import Control, FigureInfo, Unit
from groundup.errors import GroundupError

SNIPPET_SECONDS = 120.0


@about("lesson.md")
def snippets(unit: Unit) -> Iterator[str]:
    """Every `pycon` snippet of the lesson prints its written output, all in order, in one namespace."""
    texts = [{"line": p.line, "text": p.text} for p in read_lesson(unit).walk() if isinstance(p, Snippet)]
    if not texts:
        return
    request = {"package": unit.package, "folder": str(unit.folder), "snippets": texts}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "groundup.course.workers.snippetprocess"],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=SNIPPET_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield f"lesson.md: its snippets were stopped: they take longer than {SNIPPET_SECONDS:g} s."
        return
    if done.returncode:
        yield f"lesson.md: the process of its snippets ended with exit code {done.returncode}: {done.stderr[-500:]}"
        return
    for failure in json.loads(done.stdout):
        yield f"lesson.md:{failure['line']}: `{failure['source']}` printed {failure['got']}, not {failure['want']}."


@about("figures.py")
def drawn(unit: Unit) -> Iterator[str]:
    """Every figure is drawn, by default and at the ends of its controls; title, width and colours are the page's."""
    with FigureWorker() as worker:
        for figure in unit.figures:
            for values in settings(figure):
                at = ", ".join(f"{name}={value!r}" for name, value in values.items()) or "by default"
                try:
                    drawing = worker.draw(unit, figure.name, values)
                except GroundupError as error:
                    yield f"figures.py: `{figure.name}`, {at}: {error}"
                    continue
                for problem in _page_matters(drawing):
                    yield f"figures.py: `{figure.name}`, {at}: {problem}"


def settings(figure: FigureInfo) -> list[dict[str, Any]]:
    """The defaults; each control alone at each of its ends; all at their lower ends, and all at their upper ends."""
    ends = {control.name: _ends(control) for control in figure.controls}
    alone = [{name: value} for name, values in ends.items() for value in values]
    corners = [{name: values[at] for name, values in ends.items()} for at in (0, -1)] if len(ends) > 1 else []
    return [{}, *alone, *corners]


def _ends(control: Control) -> tuple[Any, ...]:
    if control.kind == "bool":
        return (False, True)
    return control.choices if control.kind == "choice" else (control.low, control.high)


def _page_matters(drawing: dict[str, Any]) -> Iterator[str]:
    layout = drawing.get("layout", {})
    if not drawing.get("data") and not layout.get("shapes") and not layout.get("annotations"):
        yield "it is empty."
    title = layout.get("title") or {}
    if title.get("text") if isinstance(title, dict) else title:
        yield "it has a title; the page shows the one of @figure."
    if layout.get("width"):
        yield "it has a fixed width; narrow screens need it to have none."
    if layout.get("paper_bgcolor") or layout.get("plot_bgcolor") or (layout.get("font") or {}).get("color"):
        yield "it has a fixed background or font colour; the page themes it light and dark."

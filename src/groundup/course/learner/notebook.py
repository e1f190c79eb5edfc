"""A unit as a Jupyter notebook that runs from top to bottom where groundup is installed.

Snippets, figures, the exercise with its check, and labs are code cells. Code that the lesson quotes from the
implementation is Markdown: the next cells import the implementation, so changing a copy in a cell would change nothing.
The functions that the learner writes are quoted by signature and docstring only, until the learner knows the solution:
a notebook is printed, exported and passed on, and its folds open on the way.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from groundup import __version__
from groundup.course.material.exercise import write_exercise
from groundup.course.material.lessons import (
    ADMONITIONS,
    Box,
    Code,
    Explorable,
    Include,
    Part,
    Prose,
    Snippet,
    examples,
    read_lesson,
    source_of,
    tokens,
)
from groundup.course.material.source import split_lines
from groundup.course.material.unit import Card, Control, FigureInfo, LabInfo, Unit
from groundup.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from doctest import Example

Cell = dict[str, Any]


def notebook(unit: Unit, source: str | None = None, *, reveal: bool = False, stands_on: Sequence[str] = ()) -> str:
    """The text of a unit's notebook (nbformat 4).

    Args:
        unit: the unit.
        source: the learner's own code, to be quoted and worked on in place of ours.
        reveal: quote our code also for the functions that the learner writes.
        stands_on: the ids of the units that this unit stands on.

    Raises:
        UsageError: the unit has no lesson, or the learner's code does not parse.
    """
    import nbformat

    if source is not None:
        _must_parse(unit, source)
    cells = list(_Writer(unit, source, reveal, stands_on).cells())
    for number, cell in enumerate(cells, 1):
        cell["id"] = f"cell-{number}"  # the same unit gives the same notebook
    made = nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "groundup": {"unit": unit.id, "version": __version__},
        },
    )
    nbformat.validate(made)
    return nbformat.writes(made) + "\n"


def _must_parse(unit: Unit, source: str) -> None:
    try:
        ast.parse(source)
    except SyntaxError as error:
        raise UsageError(
            f"Your file for {unit.id} does not parse: {error.msg} in line {error.lineno}. Mend it, or leave out --mine."
        ) from error


class _Writer:
    """Writes the cells of one notebook in order."""

    def __init__(self, unit: Unit, source: str | None, reveal: bool, stands_on: Sequence[str]) -> None:
        self.unit, self.source, self.stands_on = unit, source, stands_on
        self.stub = write_exercise(unit)
        self.quoted = source if source is not None else None if reveal else self.stub
        self.pending: list[str] = []  # Markdown that the next cell of text will hold

    def cells(self) -> Iterator[Cell]:
        """All cells: head, lesson, exercise, labs, cards."""
        lesson = read_lesson(self.unit)
        yield _text(self._head(lesson.title or self.unit.title))
        yield _code(self._setup())
        yield from self._parts(lesson.parts)
        placed = {part.name for part in lesson.walk() if isinstance(part, Explorable)}
        if rest := [figure for figure in self.unit.figures if figure.name not in placed]:
            self.pending.append("## More figures")
            for figure in rest:
                yield from self._figure(figure)
        yield from self._flush()
        yield from self._exercise()
        yield from self._labs()
        if self.unit.cards:
            yield _text("\n\n".join(["## Cards", *map(_card, self.unit.cards)]))

    def _head(self, title: str) -> str:
        unit = self.unit
        extras = " and ".join(f"`{name}`" for name in unit.extras)
        environment = f"groundup with its extra {extras}" if extras else "groundup"
        later = (
            " The functions that you write are quoted without their bodies; when you have passed, "
            f"`groundup notebook {unit.name} --force` writes this notebook with our code in it."
            if self.quoted == self.stub
            else ""
        )
        after = f" It stands on {', '.join(f'`{below}`' for below in self.stands_on)}." if self.stands_on else ""
        return (
            f"# {title}\n\n{unit.summary}\n\n"
            f"The unit `{unit.id}` of groundup: about {unit.minutes} minutes.{after} Every cell runs, from top to "
            f"bottom, in a kernel whose environment has {environment}. `%groundup …` runs a command as a terminal "
            f"would.{later}"
        )

    def _setup(self) -> str:
        figures = f"\n\nfrom {self.unit.package} import figures" if self.unit.figures else ""
        return f"%load_ext groundup.jupyter{figures}"

    # The lesson

    def _parts(self, parts: tuple[Part, ...]) -> Iterator[Cell]:
        for part in parts:
            match part:
                case Snippet(text=text):
                    yield from self._flush()
                    yield from _snippet(text)
                case Explorable(name=name):
                    yield from self._figure(self.unit.figure(name))
                case Box(parts=inner) if any(isinstance(p, Snippet | Explorable) for p in inner):
                    self.pending.append(f"**{_box_title(part)}**")
                    yield from self._parts(inner)
                case Prose(text=text):
                    for number, section in enumerate(_sections(text)):
                        if number or section.startswith("#"):
                            yield from self._flush()
                        self.pending.append(section)
                case _:
                    self.pending.append(self._markdown(part))
        yield from self._flush()

    def _flush(self) -> Iterator[Cell]:
        if self.pending:
            yield _text("\n\n".join(self.pending))
            self.pending = []

    def _markdown(self, part: Part) -> str:
        match part:
            case Prose(text=text):
                return _mathematics(text)
            case Code(language=language, text=text):
                return _fenced(language, text)
            case Include():
                return self._included(part)
            case Box(kind="dropdown", parts=inner):
                return f"**{_box_title(part)}**\n\n{_folded(self._joined(inner))}"
            case Box(parts=inner):
                return _quoted(f"**{_box_title(part)}**\n\n{self._joined(inner)}")
        raise AssertionError(f"{part} is a cell of its own")

    def _joined(self, parts: tuple[Part, ...]) -> str:
        return "\n\n".join(self._markdown(part).strip() for part in parts)

    def _included(self, include: Include) -> str:
        unit, name = self.unit, include.name
        try:
            text = source_of(unit, include.file, name, mine=self.quoted)
        except UnknownName:
            if self.source is None:
                raise
            text = source_of(unit, include.file, name, mine=self.stub)  # the learner's file no longer has it
        label = f"`{name}`, from `{include.file}`:" if name else f"`{include.file}`:"
        if name in unit.write:
            label = {
                self.stub: f"`{name}`, which you write below. Without its body:",
                self.source: f"`{name}`, as you wrote it:",
            }.get(self.quoted, label)
        return f"{label}\n\n{_fenced('python', text)}"

    def _figure(self, figure: FigureInfo) -> Iterator[Cell]:
        self.pending.append(f"**{figure.title}.** {figure.caption}")
        yield from self._flush()
        controls = "".join(f"    {c.name}={c.default!r},  # {_choices(c)}\n" for c in figure.controls)
        yield _code(f"figures.{figure.name}(\n{controls})" if controls else f"figures.{figure.name}()")

    # After the lesson

    def _exercise(self) -> Iterator[Cell]:
        unit = self.unit
        names = ", ".join(f"`{name}`" for name in unit.write)
        whose = "your file" if self.source is not None else "the implementation without those bodies"
        yield _text(
            f"## Exercise\n\nYou write {names}.\n\n"
            f"The next cell is {whose}. Running it saves it as `exercises/{unit.id}.py` in your workspace (as it "
            "stands it replaces nothing; an older file of yours is kept in `exercises/.backup/`), and the cell after "
            f"it has that file graded. Stuck? `%groundup hint {unit.name}`. `%groundup solution {unit.name} --yes` "
            "shows ours, and records that you looked.\n\n"
            "When you are done:\n\n" + "\n".join(f"- {criterion}" for criterion in unit.criteria)
        )
        yield _code(f"%%exercise {unit.id}\n{(self.source or self.stub).rstrip()}")
        yield _code(f"%groundup check {unit.id}")

    def _labs(self) -> Iterator[Cell]:
        for number, lab in enumerate(self.unit.labs):
            yield _text(("" if number else "## Labs\n\n") + self._lab(lab))
            yield _code(f"%groundup run {self.unit.id}/{lab.name} --preset smoke")

    def _lab(self, lab: LabInfo) -> str:
        data = f"\n\nData: {', '.join(f'`{name}`' for name in lab.data)}." if lab.data else ""
        return (
            f"### {lab.title}\n\n{lab.question}\n\n{lab.doc}{data}\n\n"
            "`--preset laptop` takes minutes instead of seconds; `--mine` runs on your own code, once it has passed; "
            f"`--set` changes a setting: {', '.join(f'`{field.name}`' for field in lab.fields)}."
        )


def _text(source: str) -> Cell:
    import nbformat

    return nbformat.v4.new_markdown_cell(source.strip())


def _code(source: str, outputs: list[dict[str, Any]] | None = None, tags: list[str] | None = None) -> Cell:
    import nbformat

    metadata = {"tags": tags} if tags else {}
    return nbformat.v4.new_code_cell(source, outputs=outputs or [], metadata=metadata)


# Snippets


def _snippet(text: str) -> Iterator[Cell]:
    """A cell for each output of a session, with its output, so that none hides behind the next."""
    waiting: list[Example] = []
    for example in examples(text):
        waiting.append(example)
        if example.want:
            yield _session(waiting)
            waiting = []
    if waiting:
        yield _session(waiting)


def _session(group: list[Example]) -> Cell:
    source = "".join(example.source for example in group).rstrip("\n")
    last = group[-1]
    if not last.want:
        return _code(source)
    # The tag lets `Run all` continue after an error that is the point of the snippet.
    return _code(source, [_output(last)], ["raises-exception"] if last.exc_msg else None)


def _output(example: Example) -> dict[str, Any]:
    import nbformat

    printed = example.want.replace("<BLANKLINE>", "").rstrip("\n")
    if example.exc_msg:
        name, _, value = example.exc_msg.strip().partition(": ")
        return nbformat.v4.new_output("error", ename=name, evalue=value, traceback=[example.exc_msg.strip()])
    if _shows_its_value(example.source):
        return nbformat.v4.new_output("execute_result", data={"text/plain": printed})
    return nbformat.v4.new_output("stream", name="stdout", text=printed + "\n")


def _shows_its_value(source: str) -> bool:
    last = ast.parse(source).body[-1]
    return isinstance(last, ast.Expr) and not (
        isinstance(last.value, ast.Call) and isinstance(last.value.func, ast.Name) and last.value.func.id == "print"
    )


# Markdown as Jupyter has it


def _sections(text: str) -> list[str]:
    """A text cut before each of its headings of level 2 and 3."""
    lines = split_lines(text)
    headings = [token for token in tokens(text) if token.level == 0 and token.tag in ("h2", "h3") and token.map]
    starts = sorted({0, *(token.map[0] for token in headings if token.map)})
    sections = ["".join(lines[start:end]) for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)]
    return [_mathematics(section).strip() for section in sections if section.strip()]


def _mathematics(text: str) -> str:
    """`{math}` fences as `$$`; all other mathematics is written in Jupyter as in a lesson."""
    lines = split_lines(text)
    for token in reversed(tokens(text)):
        if token.level == 0 and token.info.strip() == "{math}" and token.map:
            lines[token.map[0] : token.map[1]] = ["$$\n", token.content, "$$\n"]
    return "".join(lines)


def _fenced(language: str, text: str) -> str:
    marks = "```"
    while marks in text:
        marks += "`"
    return f"{marks}{language}\n{text.rstrip()}\n{marks}"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _folded(text: str) -> str:
    return f"<details><summary>Answer</summary>\n\n{text.strip()}\n\n</details>"


def _box_title(box: Box) -> str:
    return box.title or ADMONITIONS[box.kind]


def _card(card: Card) -> str:
    return f"**{card.front}**\n\n{_folded(card.back)}"


def _choices(control: Control) -> str:
    """The values of a control, for a comment."""
    match control.kind:
        case "bool":
            return "True or False"
        case "choice":
            return " or ".join(repr(choice) for choice in control.choices)
        case _:
            return f"{control.low:,} to {control.high:,}"

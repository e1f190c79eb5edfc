"""A unit's lesson as parts: prose, included code, figures, snippets and boxes.

Pages, notebooks and the rules of a whole unit share this module. It reads lessons and runs nothing in them.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from groundup.course.material.source import definitions, first_line, split_lines
from groundup.course.material.unit import Unit
from groundup.errors import ConfigError, UnknownName, UsageError

if TYPE_CHECKING:
    from doctest import Example
    from xml.etree.ElementTree import Element

    from markdown_it import MarkdownIt
    from markdown_it.token import Token

DIRECTIVE = re.compile(r"^\{(?P<name>[\w-]+)\}\s*(?P<argument>.*)$")
ADMONITIONS = {"note": "Note", "warning": "Careful", "tip": "Tip", "important": "Important"}
"""Boxes that stand open, each with the title that it has where the lesson gives none."""

_FENCES = ("fence", "colon_fence", "code_block")


@dataclass(frozen=True)
class Prose:
    """Markdown, mathematics included, that needs nothing of the unit."""

    text: str
    line: int


@dataclass(frozen=True)
class Include:
    """Code of the unit, by name: one definition of a file, or all of it where `name` is empty."""

    file: str
    name: str
    line: int


@dataclass(frozen=True)
class Explorable:
    """The place of a figure."""

    name: str
    line: int


@dataclass(frozen=True)
class Snippet:
    """A `pycon` fence: prompts and their output."""

    text: str
    line: int


@dataclass(frozen=True)
class Code:
    """Any other fence. The language of an unknown directive keeps its braces."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Box:
    """An admonition, or a dropdown that the reader opens."""

    kind: str
    title: str
    parts: tuple[Part, ...]
    line: int


Part = Prose | Include | Explorable | Snippet | Code | Box


@dataclass(frozen=True)
class Lesson:
    """A lesson: its title, and its parts in order."""

    title: str
    parts: tuple[Part, ...]

    def walk(self) -> Iterator[Part]:
        """Every part, in order; a box before the parts inside it."""
        yield from _walk(self.parts)

    def headings(self) -> list[str]:
        """The level-2 headings, as they are written."""
        return [
            text for part in self.parts if isinstance(part, Prose) for level, text in headings(part.text) if level == 2
        ]


def _walk(parts: tuple[Part, ...]) -> Iterator[Part]:
    for part in parts:
        yield part
        if isinstance(part, Box):
            yield from _walk(part.parts)


def read_lesson(unit: Unit) -> Lesson:
    """The lesson of a unit. Raises UsageError when there is none."""
    if not unit.lesson.exists():
        raise UsageError(f"The unit {unit.id} has no lesson yet: {unit.lesson.name} is missing. Write it first.")
    text = unit.lesson.read_text(encoding="utf-8")
    first, _, rest = text.partition("\n")
    if first.startswith("# "):
        return Lesson(first.removeprefix("# ").strip(), split(rest, first_line=2))
    return Lesson("", split(text))


def split(text: str, first_line: int = 1) -> tuple[Part, ...]:
    """The parts of a text. A fence inside a list or a quotation stays in its prose.

    Args:
        text: MyST Markdown.
        first_line: the number of its first line in the file.
    """
    lines = split_lines(text)
    parts: list[Part] = []
    done = 0

    def prose(end: int) -> None:
        passage = "".join(lines[done:end])
        if passage.strip():
            parts.append(Prose(passage, first_line + done))

    for token in tokens(text):
        if token.level == 0 and token.type in _FENCES and token.map:
            start, end = token.map
            part = _part(token, first_line + start)
            if part is not None:
                prose(start)
                parts.append(part)
                done = end
    prose(len(lines))
    return tuple(parts)


def _part(token: Token, line: int) -> Part | None:
    """The part that a fence is; None for a formula, which is prose."""
    info, body = token.info.strip(), token.content
    directive = DIRECTIVE.match(info)
    if directive is None and token.type == "colon_fence":
        return Box("note", "", split(body, line + 1), line)
    if directive is None:
        language = info.split(" ")[0]
        return Snippet(body, line) if language == "pycon" else Code(language, body, line)
    name, argument = directive["name"], directive["argument"].strip()
    if name == "math":
        return None
    if name == "literalinclude":
        return Include(argument, _option(body, "pyobject"), line)
    if name == "explorable":
        return Explorable(argument, line)
    if name == "dropdown" or name in ADMONITIONS:
        return Box(name, argument, split(body, line + 1), line)
    return Code(f"{{{name}}}", body, line)


def _option(body: str, name: str) -> str:
    option = re.search(rf"^:{name}:(.*)$", body, flags=re.MULTILINE)
    return option[1].strip() if option else ""


def grammar() -> MarkdownIt:
    """A parser of the Markdown that lessons, cards and the journal are written in."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.colon_fence import colon_fence_plugin
    from mdit_py_plugins.deflist import deflist_plugin
    from mdit_py_plugins.dollarmath import dollarmath_plugin
    from mdit_py_plugins.footnote import footnote_plugin

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.use(colon_fence_plugin).use(deflist_plugin).use(footnote_plugin)
    return parser.use(dollarmath_plugin, allow_space=True, allow_digits=False, double_inline=True)


@cache
def _parser() -> MarkdownIt:
    return grammar()


def tokens(text: str) -> list[Token]:
    """A text as the parser sees it."""
    return _parser().parse(text)


def source_of(unit: Unit, file: str, name: str = "", *, mine: str | None = None) -> str:
    """The text of one definition, or of a whole file, of a unit.

    Args:
        unit: the unit.
        file: the name of a Python file in its folder.
        name: the function, class or `Class.method`; the whole file unless given.
        mine: the learner's text, which takes the implementation's place.

    Raises:
        UnknownName: there is no such file, or no such definition in it.
    """
    files = {path.name: path for path in unit.folder.glob("*.py")}
    if file not in files:
        raise UnknownName(f"file in {unit.id}", file, files, see=f"the folder of {unit.id}")
    replaced = mine if files[file] == unit.implementation else None
    text = files[file].read_text(encoding="utf-8") if replaced is None else replaced
    if not name:
        return text
    known = dict(definitions(ast.parse(text, file)))
    if name not in known:
        raise UnknownName(f"definition in {unit.id}/{file}", name, known, see=f"{unit.id}/{file}")
    node = known[name]
    return textwrap.dedent("".join(split_lines(text)[first_line(node) - 1 : node.end_lineno]))


def examples(snippet: str) -> list[Example]:
    """The prompts of a snippet, each with its output. Raises ConfigError where the snippet is no session."""
    from doctest import DocTestParser

    try:
        return DocTestParser().get_examples(snippet)
    except ValueError as error:
        raise ConfigError(f"The snippet is not a Python session: {error}.") from error


# Words and formulas


def headings(text: str) -> list[tuple[int, str]]:
    """The headings of a text: their level, and their words as written."""
    stream = tokens(text)
    return [
        (int(token.tag[1]), stream[i + 1].content)
        for i, token in enumerate(stream)
        if token.type == "heading_open" and token.level == 0
    ]


def words(parts: tuple[Part, ...]) -> int:
    """The number of words of prose.

    A word is a run of characters without a space that holds a letter or a digit. Headings, paragraphs, lists, tables
    and boxes with their titles count; an inline formula counts as one word. Displayed formulas, fenced code, snippets,
    includes and figures do not count.
    """
    return sum(len(re.findall(r"\S*\w\S*", text)) for part in _walk(parts) for text in _passages(part))


def _passages(part: Part) -> Iterator[str]:
    """The paragraphs, headings and cells of a part as plain text, each inline formula as an `x`."""
    text = part.text if isinstance(part, Prose) else part.title if isinstance(part, Box) else ""
    shown = {"math_inline": "x", "softbreak": " ", "hardbreak": " "}
    for token in tokens(text):
        if token.children:
            yield "".join(
                shown.get(child.type, child.content if child.type in ("text", "code_inline") else "")
                for child in token.children
            )


def formulas(text: str) -> list[tuple[str, bool]]:
    """The formulas of a text, each with whether it stands apart from the line."""
    latex = []
    for token in tokens(text):
        if token.type.startswith("math_block") or (token.type in _FENCES and token.info.strip() == "{math}"):
            latex.append((token.content.strip(), True))
        for child in token.children or ():
            if child.type.startswith("math_inline"):
                latex.append((child.content.strip(), child.type != "math_inline"))
    return latex


_UNKNOWN_ENVIRONMENTS = re.compile(r"\\(begin|end)\{(?:aligned|gathered|split)\}")


def mathml(latex: str, *, block: bool) -> Element:
    """A formula as MathML. Raises ConfigError when it cannot be converted."""
    from latex2mathml.converter import convert_to_element

    source = _UNKNOWN_ENVIRONMENTS.sub(r"\\\1{align*}", latex.strip())
    try:
        return convert_to_element(source, display="block" if block else "inline")
    except Exception as error:  # the converter has no error class of its own
        raise ConfigError(f"The formula {latex.strip()} cannot be shown: {type(error).__name__}.") from error

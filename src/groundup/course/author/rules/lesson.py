"""Rules of `lesson.md`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from groundup.course.author.rules.about import about
from groundup.course.material import lessons
from groundup.course.material.lessons import (
    Box,
    Code,
    Explorable,
    Include,
    Prose,
    Snippet,
    examples,
    read_lesson,
    source_of,
)
from groundup.course.material.unit import Unit
from groundup.errors import GroundupError, UnknownName

if TYPE_CHECKING:
    from markdown_it.token import Token

HEADINGS = ["Concept", "Implementation", "Where it is used", "Going further", "Interview"]
FEWEST_WORDS, MOST_WORDS = 900, 2_000
QUESTIONS = 3
PASTED = {"python", "py", "python3", "ipython", "ipython3", "py3"}


@about("lesson.md")
def headings(unit: Unit) -> Iterator[str]:
    """Five parts, in order, under the unit's own title."""
    lesson = read_lesson(unit)
    if lesson.title != unit.title:
        yield f"lesson.md: must begin with `# {unit.title}`, the title in unit.toml."
    if lesson.headings() != HEADINGS:
        present = ", ".join(lesson.headings()) or "none"
        yield f"lesson.md: the level-2 headings must be {', '.join(HEADINGS)}, in this order; found {present}."
    if any(level == 1 for part in lesson.parts if isinstance(part, Prose) for level, _ in lessons.headings(part.text)):
        yield "lesson.md: there must be one level-1 heading, the title."


@about("lesson.md")
def length(unit: Unit) -> Iterator[str]:
    """As long as one sitting."""
    count = lessons.words(read_lesson(unit).parts)
    if not FEWEST_WORDS <= count <= MOST_WORDS:
        yield f"lesson.md: {FEWEST_WORDS} to {MOST_WORDS:,} words of prose, not {count:,}."


@about("lesson.md")
def mathematics(unit: Unit) -> Iterator[str]:
    """Real mathematics, which the page can show."""
    parts = [part for part in read_lesson(unit).walk() if isinstance(part, Prose | Box)]
    texts = [part.text if isinstance(part, Prose) else part.title for part in parts]
    if not any(block for text in texts for _, block in lessons.formulas(text)):
        yield "lesson.md: at least one displayed formula ($$…$$), derived step by step; there is none."
    for text in texts:
        yield from formulas("lesson.md", text)


def formulas(file: str, text: str) -> Iterator[str]:
    """Formulas that cannot be shown, and dollars that belong to none."""
    for latex, block in lessons.formulas(text):
        try:
            shown = " ".join(element.text or "" for element in lessons.mathml(latex, block=block).iter())
        except GroundupError as error:
            yield f"{file}: {error}"
            continue
        for command in re.findall(r"\\[A-Za-z]+", shown):
            yield f"{file}: the formula {latex} has `{command}`, which latex2mathml does not know."
    if len(re.findall(r"(?<!\\)\$", text)) != sum(map(_dollars, lessons.tokens(text))):
        yield f"{file}: a `$` belongs to no formula, and notebooks would take it for one. Write \\$."


def _dollars(token: Token) -> int:
    """The number of dollars of the source that belong to a formula, or are code."""
    if token.type == "math_inline":
        return 2
    if token.type.startswith(("math_inline_double", "math_block")):
        return 4
    if token.type in ("code_inline", "code_block", "fence", "colon_fence"):
        return token.content.count("$")
    return sum(map(_dollars, token.children or ()))


@about("lesson.md")
def includes(unit: Unit) -> Iterator[str]:
    """Code is included by name, from files that exist."""
    included = [part for part in read_lesson(unit).walk() if isinstance(part, Include)]
    if not included:
        yield f"lesson.md: at least one {{literalinclude}} of {unit.implementation.name}; there is none."
    for part in included:
        try:
            source_of(unit, part.file, part.name)
        except GroundupError as error:
            yield f"lesson.md:{part.line}: {error}"


@about("lesson.md")
def explorables(unit: Unit) -> Iterator[str]:
    """Figures are placed by names that exist."""
    for part in read_lesson(unit).walk():
        if isinstance(part, Explorable):
            try:
                unit.figure(part.name)
            except UnknownName as error:
                yield f"lesson.md:{part.line}: {error}"


@about("lesson.md")
def pasted_code(unit: Unit) -> Iterator[str]:
    """No code that nothing runs, and no directive that nothing knows."""
    for part in read_lesson(unit).walk():
        where = f"lesson.md:{part.line}:"
        match part:
            case Code(language=language) if language.lower() in PASTED:
                yield f"{where} `{language}` fences are pasted code. Include it by name, or write a `pycon` session."
            case Code(language=""):
                yield f"{where} a fence must name its content: pycon, text, console, …"
            case Code(language=language) if language.startswith("{"):
                yield f"{where} there is no directive {language}."
            case Snippet(text=text) if not _has_examples(text):
                yield f"{where} a `pycon` fence must be a Python session, with >>> prompts."
            case Prose(text=text):
                yield from _nested(text, part.line)


def _has_examples(text: str) -> bool:
    try:
        return bool(examples(text))
    except GroundupError:
        return False


def _nested(text: str, line: int) -> Iterator[str]:
    for token in lessons.tokens(text):
        if token.level > 0 and token.type in ("fence", "colon_fence", "code_block") and token.map:
            yield f"lesson.md:{line + token.map[0]}: a fence stands at the left margin, in no list and no quotation."


@about("lesson.md")
def interview(unit: Unit) -> Iterator[str]:
    """Questions whose answers are folded."""
    section = ""
    questions = []
    for part in read_lesson(unit).parts:
        if isinstance(part, Prose):
            section = [section, *(text for level, text in lessons.headings(part.text) if level == 2)][-1]
        elif section == "Interview" and isinstance(part, Box) and part.kind == "dropdown":
            questions.append(part)
    if len(questions) < QUESTIONS:
        yield f"lesson.md: at least {QUESTIONS} questions (:::{{dropdown}}) under Interview, not {len(questions)}."
    for question in questions:
        if not question.title or not question.parts:
            yield f"lesson.md:{question.line}: a {{dropdown}} needs a question as its title, and an answer."

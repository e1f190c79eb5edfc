"""Rules of the files beside the implementation: unit.toml, checks, mistakes, labs, figures, cards."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator

from groundup.course.author.rules.about import IMPLEMENTATION, about
from groundup.course.author.rules.budget import checks_of
from groundup.course.author.rules.lesson import formulas
from groundup.course.learner.figures import validate_parameters
from groundup.course.material.exercise import write_exercise
from groundup.course.material.unit import LabInfo, Unit
from groundup.errors import GroundupError
from groundup.labs.settings import check_names

ANSWER_WORDS = 30
CRITERIA, HINTS, CHECKS, MISTAKES, VARIANTS, FIGURES, CARDS, SEEDS = 3, 3, 25, 12, 3, 3, 10, 3
PRESETS = ("smoke", "laptop", "full")
RESOURCE_KINDS = ("video", "book", "paper", "article", "course")
KEYS = {
    "budget",
    "title",
    "summary",
    "minutes",
    "needs",
    "runtime",
    "criteria",
    "exercise",
    "limits",
    "forbid",
    "hints",
    "resources",
    "roadmap",
    "equivalent_mutants",
}


def files(unit: Unit) -> Iterator[str]:
    """The same files everywhere."""
    names = ["__init__.py", unit.implementation.name, "lesson.md", "checks.py", "mistakes.py"]
    for name in [*names, "labs.py", "figures.py", "cards.toml", "unit.toml"]:
        if not (unit.folder / name).exists():
            yield f"{name}: is not there."


@about("unit.toml")
def metadata(unit: Unit) -> Iterator[str]:
    """The keys of unit.toml beside the exercise."""
    table = tomllib.loads((unit.folder / "unit.toml").read_text(encoding="utf-8"))
    for key in table.keys() - KEYS:
        yield f"unit.toml: '{key}' is not a key that it may have. Keys: {', '.join(sorted(KEYS))}."
    if not unit.summary.endswith("."):
        yield f"unit.toml: summary must be one sentence, not '{unit.summary}'."
    if unit.minutes <= 0:
        yield f"unit.toml: minutes must be above 0, not {unit.minutes}."
    if unit.runtime not in ("numpy", "torch"):
        yield f"unit.toml: runtime must be numpy or torch, not '{unit.runtime}'."
    if len(unit.criteria) < CRITERIA:
        yield f"unit.toml: at least {CRITERIA} success criteria, not {len(unit.criteria)}."
    for criterion in unit.criteria:
        if not criterion.startswith("I "):
            yield f"unit.toml: a success criterion is in the first person ('I can …'), not '{criterion}'."
    for resource in unit.resources:
        if resource.kind not in RESOURCE_KINDS or resource.minutes <= 0:
            yield (
                f"unit.toml: the resource '{resource.title}' needs a kind ({', '.join(RESOURCE_KINDS)}) and minutes "
                f"above 0, not '{resource.kind}' and {resource.minutes}."
            )


@about(IMPLEMENTATION)
def exercise(unit: Unit) -> Iterator[str]:
    """The exercise has functions to write, and their bodies can be taken out."""
    if not unit.write:
        yield "unit.toml: exercise.write must name at least one function."
    ast.parse(unit.implementation.read_text(encoding="utf-8"), unit.implementation.name)
    try:
        write_exercise(unit)
    except GroundupError as error:
        yield f"unit.toml: {error}"


@about("unit.toml")
def hints(unit: Unit) -> Iterator[str]:
    """A nudge, the idea, nearly the code, for each function to write."""
    for name in unit.write:
        stages = [stage for stage in unit.hints.get(name, ()) if stage.strip()]
        if len(stages) < HINTS:
            yield f"unit.toml: at least {HINTS} stages of hints for `{name}`, not {len(stages)}."
    for name in unit.hints.keys() - set(unit.write):
        yield f"unit.toml: there are hints for `{name}`, which exercise.write does not name."


@about("figures.py")
def figures(unit: Unit) -> Iterator[str]:
    """Enough figures, each with a title, a caption and defaults that its controls allow."""
    if len(unit.figures) < FIGURES:
        yield f"figures.py: at least {FIGURES} figures, not {len(unit.figures)}."
    for figure in unit.figures:
        if not figure.title or not figure.caption:
            yield f"figures.py: `{figure.name}` needs a title, and a docstring for its caption."
        try:
            validate_parameters(figure, {control.name: control.default for control in figure.controls})
        except GroundupError as error:
            yield f"figures.py: `{figure.name}`, by default: {error}"


@about("cards.toml")
def cards(unit: Unit) -> Iterator[str]:
    """Enough cards of both kinds, each with an id of its own, one question, and an answer that stays in mind."""
    if len(unit.cards) < CARDS:
        yield f"cards.toml: at least {CARDS} cards, not {len(unit.cards)}."
    for kind in ("recall", "interview"):
        if not any(card.kind == kind for card in unit.cards):
            yield f"cards.toml: at least one card must be of the kind '{kind}'."
    for card, count in Counter(card.id for card in unit.cards).items():
        if count > 1:
            yield f"cards.toml: {count} cards have the id '{card.partition('#')[2]}'; every card has its own."
    for card in unit.cards:
        slug = card.id.partition("#")[2]
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug):
            yield f"cards.toml: an id is lower-case words joined by hyphens, not '{slug}'."
        if card.kind not in ("recall", "interview"):
            yield f"cards.toml: the kind of '{slug}' must be recall or interview, not '{card.kind}'."
        if not card.front or not card.back:
            yield f"cards.toml: '{slug}' needs a front and a back."
        if card.front.count("?") > 1:
            yield f"cards.toml: '{slug}' asks {card.front.count('?')} questions; a card asks one."
        if (words := len(card.back.split())) > ANSWER_WORDS:
            yield f"cards.toml: the answer of '{slug}' has {words} words; at most {ANSWER_WORDS} are kept in mind."
        yield from formulas(f"cards.toml: '{slug}'", f"{card.front}\n\n{card.back}")


@about("mistakes.py")
def mistakes(unit: Unit) -> Iterator[str]:
    """Enough mistakes and variants, each named and aimed."""
    for kind, fewest in (("mistake", MISTAKES), ("variant", VARIANTS)):
        count = sum(m.kind == kind for m in unit.mistakes)
        if count < fewest:
            yield f"mistakes.py: at least {fewest} {kind}s, not {count}."
    for name, count in Counter(m.name for m in unit.mistakes).items():
        if count > 1:
            yield f"mistakes.py: `{name}` is defined {count} times, and the last one hides the others."
    for mistake in unit.mistakes:
        if mistake.target not in unit.write:
            yield f"mistakes.py: `{mistake.name}` is aimed at `{mistake.target}`, which exercise.write does not name."
        if mistake.kind == "mistake" and not mistake.diagnosis:
            yield f"mistakes.py: `{mistake.name}` needs a docstring: the diagnosis that the learner reads."


@about("labs.py")
def labs(unit: Unit) -> Iterator[str]:
    """At least one lab, with its presets, its sabotage and a baseline, and every setting explained."""
    if not unit.labs:
        yield "labs.py: at least one lab, not 0."
        return
    tree = ast.parse((unit.folder / "labs.py").read_text(encoding="utf-8"), "labs.py")
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for info in unit.labs:
        yield from _declared(info)
        if not _records_baseline(info.name, functions):
            yield f"labs.py: `{info.name}` must record a trivial baseline (record.baseline) for what is judged."


def _declared(info: LabInfo) -> Iterator[str]:
    where = f"labs.py: `{info.name}`"
    for preset in PRESETS:
        if preset not in info.presets:
            yield f"{where} must have the preset '{preset}'."
    if not info.sabotage:
        yield f"{where} must have at least one sabotage: settings under which it must fail."
    if not info.question.endswith("?"):
        yield f"{where}: the question must end in a question mark, not '{info.question}'."
    if not info.doc:
        yield f"{where} needs a docstring that explains it."
    if info.seeds < SEEDS:
        yield f"{where} must be judged over at least {SEEDS} seeds, not {info.seeds}."
    fields = {field.name: field for field in info.fields}
    if "seed" not in fields or fields["seed"].annotation != "int":
        yield f"{where}: its config needs a field `seed: int = 0`."
    for field in info.fields:
        if not field.doc:
            yield f"{where}: the config's docstring must explain `{field.name}` under Attributes."
    for values in (*info.presets.values(), *info.sabotage):
        try:
            check_names(info.name, fields, list(values))
        except GroundupError as error:
            yield f"{where}: {error}"


def _records_baseline(name: str, functions: dict[str, ast.FunctionDef]) -> bool:
    """Whether the function, or a function of the file that it reaches, calls `….baseline(…)`."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in seen or current not in functions:
            continue
        seen.add(current)
        for node in ast.walk(functions[current]):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "baseline":
                return True
            if isinstance(node, ast.Name):
                waiting.append(node.id)
    return False


@about("checks.py")
def checks(unit: Unit) -> Iterator[str]:
    """Enough checks, each with its claim as a docstring."""
    nodes = checks_of(unit)
    if len(nodes) < CHECKS:
        yield f"checks.py: at least {CHECKS} checks (functions whose names begin with test_), not {len(nodes)}."
    for node in nodes:
        if not ast.get_docstring(node):
            yield f"checks.py:{node.lineno}: `{node.name}` needs a one-line docstring: its claim."
    for call in ast.walk(ast.parse((unit.folder / "checks.py").read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("pytest.raises", "raises"):
            if any(keyword.arg == "match" for keyword in call.keywords):
                yield (
                    f"checks.py:{call.lineno}: `match=` demands words of the learner's own message. Ask for the value "
                    "with `assert_refuses`, or for the kind of error alone."
                )

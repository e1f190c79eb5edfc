"""A unit for the course: its metadata and its files, read and never imported.

The companions (`labs.py`, `figures.py`, `mistakes.py`) are read as syntax trees, so that listing seventy units
costs milliseconds and runs none of their code.
"""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from groundup.course.material.imports import optional_packages
from groundup.course.material.source import Function, code_of, docstring_of, main_function, parse, split_lines
from groundup.course.verdict import sha256_text
from groundup.errors import ConfigError, UnknownName
from groundup.extras import extras_with, missing, need, needs

Runtime = Literal["numpy", "torch"]


@dataclass(frozen=True)
class Forbidden:
    """An import or a name that the exercise may not use, with the reason."""

    name: str
    why: str


@dataclass(frozen=True)
class Resource:
    """Something worth reading or watching."""

    title: str
    author: str
    kind: str
    minutes: int
    url: str = ""


@dataclass(frozen=True)
class RoadmapItem:
    """The item of a roadmap document that a unit answers to, for example `004 L15`."""

    document: str
    item: str


@dataclass(frozen=True)
class Card:
    """One review card or interview question. `id` is stable: `phase/unit#slug`."""

    id: str
    front: str
    back: str
    kind: Literal["recall", "interview"] = "recall"


@dataclass(frozen=True)
class Limits:
    """The resources that one verdict may use. Without `processes`, the submission may start none."""

    seconds: float = 20.0
    memory_mb: int = 4096
    processes: int = 0
    output_kb: int = 256
    file_mb: int = 64


@dataclass(frozen=True)
class Control:
    """One control of a figure, made from a typed parameter of its function."""

    name: str
    kind: Literal["bool", "int", "float", "choice"]
    default: Any
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class FigureInfo:
    """A figure of a unit, with its controls for the page."""

    name: str
    title: str
    caption: str
    controls: tuple[Control, ...]


@dataclass(frozen=True)
class ConfigField:
    """One field of a lab's config: `doc` is its line in the class docstring's `Attributes`."""

    name: str
    annotation: str
    default: Any
    doc: str = ""


@dataclass(frozen=True)
class LabInfo:
    """A lab of a unit, as declared."""

    name: str
    title: str
    question: str
    data: tuple[str, ...]
    presets: dict[str, dict[str, Any]]
    sabotage: tuple[dict[str, Any], ...]
    seeds: int
    fields: tuple[ConfigField, ...]
    doc: str = ""


@dataclass(frozen=True)
class MistakeInfo:
    """A mistake or a variant of one function; `source` is its text without the mark."""

    name: str
    kind: Literal["mistake", "variant"]
    target: str
    diagnosis: str
    source: str


@dataclass(frozen=True)
class Unit:
    """One unit of the stack. `folder` holds its files; everything else is in its `unit.toml`."""

    id: str
    folder: Path
    title: str
    summary: str
    minutes: int
    needs: tuple[str, ...]
    runtime: Runtime
    module: str
    write: tuple[str, ...]
    hints: dict[str, tuple[str, ...]]
    criteria: tuple[str, ...]
    resources: tuple[Resource, ...]
    roadmap: tuple[RoadmapItem, ...]
    forbidden: tuple[Forbidden, ...]
    limits: Limits
    equivalent_mutants: dict[str, str]

    @property
    def phase(self) -> str:
        """The phase that the unit belongs to."""
        return self.id.split("/")[0]

    @property
    def name(self) -> str:
        """The unit's name within its phase."""
        return self.id.split("/")[1]

    @property
    def package(self) -> str:
        """The unit's package, dotted."""
        return "groundup.stack." + self.id.replace("/", ".")

    @property
    def implementation_module(self) -> str:
        """The dotted name of the module that the learner's file replaces."""
        return f"{self.package}.{self.module}"

    @property
    def implementation(self) -> Path:
        """The reference implementation."""
        return self.folder / f"{self.module}.py"

    @property
    def checks(self) -> Path:
        """The checks."""
        return self.folder / "checks.py"

    @property
    def lesson(self) -> Path:
        """The lesson's source."""
        return self.folder / "lesson.md"

    @property
    def checks_sha256(self) -> str:
        """The hash of the checks' code and of the rules in `unit.toml` that judge a submission.

        Layout, comments and docstrings do not count: a tick stays when only they change.
        """
        rules = f"{self.write}{self.forbidden}{self.limits}"
        return sha256_text(code_of(self.checks.read_text(encoding="utf-8")) + rules)

    @cached_property
    def packages(self) -> tuple[str, ...]:
        """The modules beyond the core that the unit needs."""
        return optional_packages(self.folder, self.package)

    @property
    def extras(self) -> list[str]:
        """The extras that bring these packages."""
        return extras_with(self.packages)

    @property
    def lacks(self) -> str:
        """The packages that the unit needs and lacks, with the command that installs them, as sentences; or nothing."""
        absent = missing(self.packages)
        return needs(self.id, absent) if absent else ""

    @cached_property
    def cards(self) -> tuple[Card, ...]:
        """The review cards, in the order of the file."""
        path = self.folder / "cards.toml"
        if not path.exists():
            return ()
        entries = _toml(path).get("card", [])
        for number, entry in enumerate(entries, 1):
            for key in ("id", "front", "back"):
                if not isinstance(entry.get(key), str):
                    raise ConfigError(f"{path}: card {number} needs `{key}`, a text.")
        return tuple(
            Card(f"{self.id}#{e['id']}", e["front"].strip(), e["back"].strip(), e.get("kind", "recall"))
            for e in entries
        )

    @cached_property
    def figures(self) -> tuple[FigureInfo, ...]:
        """The figures, in the order of the file."""
        return tuple(_read_figures(self.folder / "figures.py"))

    @cached_property
    def labs(self) -> tuple[LabInfo, ...]:
        """The labs, in the order of the file."""
        return tuple(_read_labs(self.folder / "labs.py"))

    @cached_property
    def mistakes(self) -> tuple[MistakeInfo, ...]:
        """The mistakes and variants, in the order of the file."""
        return tuple(_read_mistakes(self.folder / "mistakes.py", self.implementation))

    def figure(self, name: str) -> FigureInfo:
        """The figure of this name. Raises UnknownName."""
        return _named(f"figure in {self.id}", name, self.figures)

    def lab(self, name: str) -> LabInfo:
        """The lab of this name. Raises UnknownName."""
        return _named(f"lab in {self.id}", name, self.labs)


def load_unit(folder: Path) -> Unit:
    """Read `unit.toml` of the unit in `folder`. Raises ConfigError naming the key that breaks a rule."""
    path = folder / "unit.toml"
    data = _toml(path)
    unit_id = f"{folder.parent.name}/{folder.name}"
    try:
        exercise = data["exercise"]
        return Unit(
            id=unit_id,
            folder=folder,
            title=data["title"],
            summary=data["summary"],
            minutes=data["minutes"],
            needs=tuple(data.get("needs", ())),
            runtime=data.get("runtime", "numpy"),
            module=exercise.get("module", folder.name),
            write=tuple(exercise["write"]),
            hints={name: tuple(stages) for name, stages in data.get("hints", {}).items()},
            criteria=tuple(data.get("criteria", ())),
            resources=tuple(Resource(**r) for r in data.get("resources", ())),
            roadmap=tuple(RoadmapItem(**r) for r in data.get("roadmap", ())),
            forbidden=tuple(Forbidden(**f) for f in data.get("forbid", ())),
            limits=Limits(**data.get("limits", {})),
            equivalent_mutants=dict(data.get("equivalent_mutants", {})),
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path}: {error} is missing or not a key that unit.toml may have.") from error


def need_packages(unit: Unit) -> None:
    """Raise MissingPackage, with the command that installs it, where the unit lacks a package."""
    need(unit.id, *unit.packages)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error


def _named(kind: str, name: str, entries: tuple[Any, ...]) -> Any:
    for entry in entries:
        if entry.name == name:
            return entry
    raise UnknownName(kind, name, [entry.name for entry in entries])


def _marked(path: Path, *marks: str) -> Iterator[tuple[Function, ast.Call, str]]:
    """The top-level functions decorated with one of `marks`, with the decorator call and its name."""
    if not path.exists():
        return
    for node in ast.parse(path.read_text(encoding="utf-8"), path.name).body:
        if not isinstance(node, Function):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call):
                called = decorator.func
                name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                if name in marks:
                    yield node, decorator, name


def _literal(node: ast.expr, path: Path) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ConfigError(f"{path}:{node.lineno}: `{ast.unparse(node)}` must be a literal.") from error


def _argument(call: ast.Call, name: str, path: Path) -> str:
    """The argument of a mark, a text."""
    arguments = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == name)]
    value = _literal(arguments[0], path) if arguments else None
    if not isinstance(value, str):
        raise ConfigError(f"{path}:{call.lineno}: `{ast.unparse(call)}` needs its {name}, a text.")
    return value


def _first_paragraph(node: Function | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ").strip()


def _read_figures(path: Path) -> Iterator[FigureInfo]:
    for node, call, _ in _marked(path, "figure"):
        arguments = [*node.args.args, *node.args.kwonlyargs]
        defaults = [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
        if len(defaults) != len(arguments):
            raise ConfigError(f"{path}:{node.lineno}: every parameter of the figure `{node.name}` needs a default.")
        controls = tuple(
            _control(argument, _literal(default, path), path)
            for argument, default in zip(arguments, defaults, strict=True)
        )
        yield FigureInfo(node.name, _argument(call, "title", path), _first_paragraph(node), controls)


def _control(argument: ast.arg, default: Any, path: Path) -> Control:
    annotation = argument.annotation
    match annotation:
        case ast.Name(id="bool"):
            return Control(argument.arg, "bool", default)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            values = _literal(choices, path)
            return Control(argument.arg, "choice", default, choices=values if isinstance(values, tuple) else (values,))
        case ast.Subscript(
            value=ast.Name(id="Annotated"),
            slice=ast.Tuple(elts=[ast.Name(id="int" | "float" as kind), ast.Call() as c]),
        ):
            named = {k.arg: _literal(k.value, path) for k in c.keywords if k.arg}
            bounds = dict(zip(("low", "high", "step", "log"), (_literal(a, path) for a in c.args), strict=False))
            fields = {**bounds, **named}
            if kind == "int":
                fields.setdefault("step", 1)
            return Control(argument.arg, kind, default, **fields)  # type: ignore[arg-type]
    raise ConfigError(
        f"{path}:{argument.lineno}: parameter `{argument.arg}` must be annotated bool, Literal[...], "
        "Annotated[int, Range(...)] or Annotated[float, Range(...)]."
    )


def _read_labs(path: Path) -> Iterator[LabInfo]:
    if not path.exists():
        return
    tree = ast.parse(path.read_text(encoding="utf-8"), path.name)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for node, call, _ in _marked(path, "lab"):
        declared = {k.arg: k.value for k in call.keywords if k.arg}
        annotation = node.args.args[0].annotation if node.args.args else None
        config = classes.get(ast.unparse(annotation)) if annotation else None
        if config is None:
            raise ConfigError(f"{path}:{node.lineno}: `{node.name}` must take its config first, a class of this file.")
        for name in ("title", "question", "presets"):
            if name not in declared:
                raise ConfigError(f"{path}:{node.lineno}: the lab `{node.name}` needs `{name}`.")
        literals = {
            name: _literal(value, path)
            for name, value in declared.items()
            if name in {"title", "question", "data", "presets", "sabotage", "seeds"}
        }
        yield LabInfo(
            name=node.name,
            title=literals["title"],
            question=literals["question"],
            data=tuple(literals.get("data", ())),
            presets={name: dict(values) for name, values in literals["presets"].items()},
            sabotage=tuple(literals.get("sabotage", ())),
            seeds=literals.get("seeds", 3),
            fields=tuple(_config_fields(config, path)),
            doc=ast.get_docstring(node) or "",
        )


def _config_fields(config: ast.ClassDef, path: Path) -> Iterator[ConfigField]:
    docs = {}
    for line in (ast.get_docstring(config) or "").splitlines():
        name, colon, text = line.strip().partition(":")
        if colon and name.isidentifier():
            docs[name] = text.strip()
    for statement in config.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            default = _literal(statement.value, path) if statement.value is not None else None
            name = statement.target.id
            yield ConfigField(name, ast.unparse(statement.annotation), default, docs.get(name, ""))


def _read_mistakes(path: Path, implementation: Path) -> Iterator[MistakeInfo]:
    for node, call, kind in _marked(path, "mistake", "variant"):
        target = _argument(call, "target", path)
        edit = next((_literal(k.value, path) for k in call.keywords if k.arg == "edit"), None)
        if edit is None:
            lines = path.read_text(encoding="utf-8").splitlines()
            source = "\n".join(lines[node.lineno - 1 : node.end_lineno])
        else:
            source = _edited(node, target, edit, implementation, f"{path}:{node.lineno}: `{node.name}`")
        yield MistakeInfo(node.name, kind, target, ast.get_docstring(node) or "", source)  # type: ignore[arg-type]


def _edited(node: Function, target: str, edit: Any, implementation: Path, where: str) -> str:
    """The target's definition in the reference with the edits made, under the name of `node`.

    Raises:
        ConfigError: the edit is malformed, or a text that it replaces does not stand exactly once in the target's code.
    """
    pairs = [edit] if isinstance(edit, tuple) else edit
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs) or not pairs:
        raise ConfigError(f"{where}: edit must be (old text, new text) or a list of such pairs, not {edit!r}.")
    if len(node.body) > 1 or docstring_of(node) is None:
        raise ConfigError(f"{where} has an edit, so its body holds the diagnosis only.")
    reference = implementation.read_text(encoding="utf-8") if implementation.exists() else ""
    function = main_function(parse(reference), target)
    if function is None:
        raise ConfigError(f"{where} is aimed at `{target}`, which {implementation.name} does not define.")
    lines = split_lines(reference)
    docstring = docstring_of(function)
    if docstring is not None:
        kept = lines[function.lineno - 1 : docstring.lineno - 1] + lines[docstring.end_lineno : function.end_lineno]
    else:
        kept = lines[function.lineno - 1 : function.end_lineno]
    code = textwrap.dedent("".join(kept))
    for old, new in pairs:
        if (count := code.count(old)) != 1:
            raise ConfigError(
                f"{where} replaces {old!r}, which stands {count} times in `{target}` of {implementation.name}; it must "
                f"stand there once. {'Lengthen it.' if count else 'Copy it from the reference as it is now.'}"
            )
        code = code.replace(old, new)
    try:
        changed = ast.parse(code)
    except SyntaxError as error:
        raise ConfigError(f"{where}: `{target}` does not parse once it is edited: {error.msg}.") from error
    if ast.dump(changed) == ast.dump(ast.parse(textwrap.dedent("".join(kept)))):
        raise ConfigError(f"{where}: the edit changes nothing that runs.")
    return re.sub(rf"\bdef\s+{re.escape(function.name)}\b", f"def {node.name}", code, count=1)


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)

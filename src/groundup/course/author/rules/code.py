"""Rules of a unit's Python files: their imports, exports, docstrings and leftovers."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

from groundup.course.author.rules.about import IMPLEMENTATION, about
from groundup.course.material.imports import imports
from groundup.course.material.source import definitions, docstring_of, is_accessor, is_overload
from groundup.course.material.unit import Unit
from groundup.extras import core, optional

COMPANIONS = ("checks", "mistakes", "labs", "figures")
MAY_IMPORT = {
    "checks.py": ("groundup.checking",),
    "mistakes.py": ("groundup.anatomy",),
    "labs.py": ("groundup.labs", "groundup.data", "groundup.drawing", "groundup.embedding"),
    "figures.py": ("groundup.anatomy", "groundup.drawing", "groundup.labs", "groundup.data"),
}
"""The packages of groundup that a companion may import, beside its own unit and earlier units."""

LEFT_BEHIND = {
    r"\b(?:TODO|FIXME|XXX)\b(?:.*[\w.:?])?": "left to do: {found}",
    r"(?<![\w.:/~-])/(?:home|root|Users|tmp|work|mnt|private)/[\w./-]*\w|\b[A-Z]:\\+[\w\\.-]*\w": (
        "the absolute path {found} is on one machine only."
    ),
}


def unit_of(name: str) -> str:
    """The unit that a dotted name belongs to; empty for a name outside the stack."""
    parts = name.split(".")
    return "/".join(parts[2:4]) if parts[:2] == ["groundup", "stack"] and len(parts) >= 4 else ""


def imported(unit: Unit, file: str) -> list[tuple[str, int]]:
    """The imports of a unit's file; none for a missing file."""
    path = unit.folder / file
    return list(imports(_tree(unit, file), unit.package)) if path.exists() else []


def _tree(unit: Unit, file: str) -> ast.Module:
    return ast.parse((unit.folder / file).read_text(encoding="utf-8"), file)


@about(IMPLEMENTATION)
def implementation(unit: Unit) -> Iterator[str]:
    """An implementation could be copied out and would run: it imports libraries and earlier units."""
    file = unit.implementation.name
    for name, line in imported(unit, file):
        if name.split(".")[0] == "groundup" and not unit_of(name):
            yield f"{file}:{line}: imports {name}; an implementation imports libraries and earlier units only."
        elif unit_of(name) and name.split(".")[4:5] and name.split(".")[4] in COMPANIONS:
            yield f"{file}:{line}: imports {name}, which is a companion; nothing of the library may need one."
        elif unit_of(name) == unit.id:
            yield f"{file}:{line}: imports {name}, which is itself."
    names = {name for name, _ in imported(unit, file)}
    if "__future__.annotations" in names and any(name.startswith("jaxtyping.") for name in names):
        yield f"{file}: `from __future__ import annotations` must not stand in a file with shapes: it hides them."


@about(IMPLEMENTATION)
def docstrings(unit: Unit) -> Iterator[str]:
    """Everything public is explained."""
    file = unit.implementation.name
    tree = _tree(unit, file)
    if docstring_of(tree) is None:
        yield f"{file}: needs a docstring."
    for name, node in definitions(tree):
        public = not any(part.startswith("_") for part in name.split("."))
        declared = not isinstance(node, ast.ClassDef) and (is_overload(node) or is_accessor(node))
        if public and not declared and docstring_of(node) is None:
            yield f"{file}:{node.lineno}: `{name}` needs a docstring."


@about("__init__.py")
def exports(unit: Unit) -> Iterator[str]:
    """`__all__` names the package's re-exports, which are all public names of the implementation."""
    tree = _tree(unit, "__init__.py")
    offered = {alias.asname or alias.name for n in tree.body if isinstance(n, ast.ImportFrom) for alias in n.names}
    declared = next((_names(node) for node in tree.body if _is_all(node)), None)
    if declared is None:
        yield "__init__.py: needs `__all__`, a list of the names that it re-exports."
        return
    for name in sorted(offered - set(declared)):
        yield f"__init__.py: re-exports {name}, which `__all__` does not name."
    for name in sorted(set(declared) - offered):
        yield f"__init__.py: `__all__` names {name}, which it does not re-export."
    written = unit.implementation.exists()
    for name, node in definitions(_tree(unit, unit.implementation.name)) if written else ():
        if "." not in name and not name.startswith("_") and name not in offered:
            yield f"__init__.py: does not re-export {name} ({unit.implementation.name}:{node.lineno})."


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)


def _names(node: ast.stmt) -> list[str]:
    assert isinstance(node, ast.Assign)
    elements = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else []
    return [str(element.value) for element in elements if isinstance(element, ast.Constant)]


@about("unit.toml")
def companions(unit: Unit) -> Iterator[str]:
    """Companions import their own vocabulary, and their unit by its package, as its users do."""
    for file, allowed in MAY_IMPORT.items():
        for name, line in imported(unit, file):
            if name.split(".")[0] == "groundup" and not unit_of(name) and not _within(name, allowed):
                yield f"{file}:{line}: imports {name}; of groundup it may import {', '.join(allowed)} and units."
            if file != "mistakes.py" and _within(name, (unit.implementation_module,)):
                yield f"{file}:{line}: imports {name}; import it from {unit.package}."


@about("unit.toml")
def colours(unit: Unit) -> Iterator[str]:
    """Figures and labs take their colours by name, so that everyone tells them apart in both themes."""
    for file in ("figures.py", "labs.py"):
        path = unit.folder / file
        for node in ast.walk(_tree(unit, file)) if path.exists() else ():
            if isinstance(node, ast.Constant) and re.fullmatch(r"#[0-9A-Fa-f]{3,8}", str(node.value)):
                yield f"{file}:{node.lineno}: the colour {node.value}; take one of groundup.drawing, by its name."


def _within(name: str, packages: tuple[str, ...]) -> bool:
    # `from groundup import data` is `groundup.data`.
    return any(name == package or name.startswith(package + ".") for package in packages)


@about("unit.toml")
def leftovers(unit: Unit) -> Iterator[str]:
    """No postponed work, and nothing of the author's own machine."""
    for path in sorted(p for p in unit.folder.rglob("*") if p.is_file() and p.suffix in (".py", ".md", ".toml")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for pattern, problem in LEFT_BEHIND.items():
                for leftover in re.findall(pattern, line):
                    yield f"{path.relative_to(unit.folder)}:{number}: {problem.format(found=leftover)}"


@about("unit.toml")
def packages(unit: Unit) -> Iterator[str]:
    """Every package that a unit imports is required by groundup, so its learners read how to install it."""
    known = core() | optional() | sys.stdlib_module_names | {"groundup"}
    for path in sorted(unit.folder.glob("*.py")):
        for name, line in imported(unit, path.name):
            if (package := name.split(".")[0]) not in known:
                yield (
                    f"{path.name}:{line}: imports {package}, which groundup does not require. Name its package in "
                    "pyproject.toml: in an extra, where only some units need it."
                )

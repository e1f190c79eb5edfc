"""The function that each check targets, and the order in which functions are worth mending.

Both are read from the text. A check targets the last of the functions to write that it names, directly or through a
helper or a constant of the file of checks. "Last" refers to the order in which the reference's functions build on each
other. A check that names none of them names other functions of the reference; the functions that those call count
instead. A check of several operators targets none of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from groundup.course.material.source import Definition, Function, definitions, main_function, parse
from groundup.course.material.unit import Unit
from groundup.course.verdict import CheckResult, Verdict

Names = frozenset[str]
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "__add__",
    ast.Sub: "__sub__",
    ast.Mult: "__mul__",
    ast.Div: "__truediv__",
    ast.Pow: "__pow__",
    ast.MatMult: "__matmul__",
}


@dataclass(frozen=True)
class Group:
    """The results of one function's checks on a submission.

    Attributes:
        function: the function's dotted name; empty for checks that name none.
        failed: the failed checks, those with a diagnosis first.
        waiting: the checks that reached an unwritten body, and the checks that were not run.
        passed: the passed checks.
    """

    function: str
    failed: list[CheckResult] = field(default_factory=list)
    waiting: list[CheckResult] = field(default_factory=list)
    passed: list[CheckResult] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The number of checks."""
        return len(self.failed) + len(self.waiting) + len(self.passed)


def groups(unit: Unit, verdict: Verdict) -> list[Group]:
    """The verdict's checks by the function that they target, each function after those that it calls."""
    reference, checks, write = _text(unit.implementation), _text(unit.checks), tuple(unit.write)
    about = targets(checks, reference, write)
    order = dependency_order(reference, write)
    by_function = {name: Group(name) for name in (*order, "")}
    for check in verdict.checks:
        group = by_function[about.get(check.name.partition("[")[0], "")]
        if check.outcome == "failed":
            group.failed.append(check)
        else:
            (group.passed if check.outcome == "passed" else group.waiting).append(check)
    for group in by_function.values():
        group.failed.sort(key=lambda check: not check.diagnosis)
    return [group for group in by_function.values() if group.count]


def _text(path: Path) -> str:
    return _kept(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _kept(path: Path, stamp: int) -> str:
    return path.read_text(encoding="utf-8")


@lru_cache(maxsize=256)
def targets(checks: str, reference: str, write: tuple[str, ...]) -> dict[str, str]:
    """The function that each check targets, by the check's name; empty where it targets none."""
    body = parse(checks).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    constants = {target.id: node for node in body if isinstance(node, ast.Assign) for target in _named(node)}
    helpers = constants | functions
    defined = {node.name: node for node in parse(reference).body if isinstance(node, Definition)}
    order = dependency_order(reference, write)
    about = {}
    for name, node in functions.items():
        if name.startswith("test"):
            names = _reached([node], helpers)
            given = [defined[helper] for helper in names if helper in defined and helper not in write]
            direct = _mentioned(write, names)
            mentioned = direct or (
                [] if _operators(write, names) else _mentioned(write, names | _reached(given, defined))
            )
            about[name] = max(mentioned, key=order.index, default="")
    return about


@lru_cache(maxsize=256)
def dependency_order(reference: str, write: tuple[str, ...]) -> tuple[str, ...]:
    """The functions to write, each after those that it calls; independent functions keep their order."""
    tree = parse(reference)
    functions = {name: node for name, node in definitions(tree) if isinstance(node, Function)}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name in write:
        node = main_function(tree, name)
        called = _mentioned(write, _reached([node], functions)) if node is not None else []
        sorter.add(name, *(callee for callee in called if callee != name))
    try:
        sorter.prepare()
    except CycleError:
        return write
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=write.index)
        order += ready
        sorter.done(*ready)
    return tuple(order)


def _named(node: ast.Assign) -> list[ast.Name]:
    return [target for target in node.targets if isinstance(target, ast.Name)]


def _reached(nodes: Sequence[ast.stmt], known: Mapping[str, ast.stmt]) -> Names:
    """The names in definitions, and in the known definitions that they name, directly or through others."""
    names: set[str] = set()
    waiting, visited = list(nodes), {id(node) for node in nodes}
    while waiting:
        for name in _names(waiting.pop()):
            names.add(name)
            definition = known.get(name)
            if definition is not None and id(definition) not in visited:
                visited.add(id(definition))
                waiting.append(definition)
    return frozenset(names)


def _names(node: ast.AST) -> Iterator[str]:
    """The names, attributes and arguments (fixtures) in a definition, and the methods that its operators call."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield inner.id
        elif isinstance(inner, ast.Attribute):
            yield inner.attr
        elif isinstance(inner, ast.arg):
            yield inner.arg
        elif isinstance(inner, ast.BinOp):
            yield OPERATORS.get(type(inner.op), "")
        elif isinstance(inner, ast.Subscript):
            yield "__getitem__"


def _mentioned(write: Sequence[str], names: Names) -> list[str]:
    """Those of the functions to write that these names can mean."""
    operators = _operators(write, names)
    return [
        name for name in write if _is_mentioned(name, write, names) and (len(operators) < 2 or name not in operators)
    ]


def _operators(write: Sequence[str], names: Names) -> list[str]:
    methods = (*OPERATORS.values(), "__getitem__")
    return [name for name in write if name.rpartition(".")[2] in methods and _is_mentioned(name, write, names)]


def _is_mentioned(name: str, write: Sequence[str], names: Names) -> bool:
    owner, _, method = name.rpartition(".")
    if not owner:
        return name in names
    if method in ("__init__", "__call__"):
        return owner in names
    shared = sum(function.rpartition(".")[2] == method for function in write) > 1
    return method in names and (owner in names or not shared)

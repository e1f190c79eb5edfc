"""The meaning of names in a Python text, as far as the text spells it out.

Followed are imports, aliases, attributes, `getattr` and `vars` with literal names, `import_module` and `__import__`,
each in its own scope. A name may stand for several things, and for none that is known.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

IMPORTERS = frozenset(("importlib.import_module", "importlib.__import__", "builtins.__import__"))
Scoped = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef
SCOPED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)  # quicker to ask for than the union
BINDING = (ast.Name, ast.Assign, ast.Import, ast.ImportFrom, ast.AnnAssign, ast.NamedExpr)
MARKS = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)  # half of all nodes, and no names in them


def dotted_names(body: Iterable[ast.stmt], module: str) -> Iterator[tuple[ast.AST, set[str]]]:
    """Every import and expression, with the dotted names that it imports or may stand for.

    Args:
        body: the statements of a module.
        module: its dotted name, for relative imports.
    """
    return _Follower(module).scope(body, _Scope())


@dataclass
class _Scope:
    """The meaning of names in a module, class or function."""

    parent: _Scope | None = None
    is_class: bool = False
    names: dict[str, set[str]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)

    def bind(self, name: str, *stands_for: str) -> None:
        self.names.setdefault(name, set()).update(stands_for)

    def lookup(self, name: str) -> set[str]:
        scope: _Scope | None = self
        stars: list[str] = []
        while scope is not None:
            if name in scope.names and (scope is self or not scope.is_class):
                return scope.names[name]
            stars += scope.stars
            scope = scope.parent
        starred = {f"{module}.{name}" for module in stars}
        return starred | ({f"builtins.{name}"} if hasattr(builtins, name) else set())


class _Follower:
    """Walks through the scopes of one text."""

    def __init__(self, module: str) -> None:
        self.module = module

    def scope(self, body: Iterable[ast.AST], scope: _Scope) -> Iterator[tuple[ast.AST, set[str]]]:
        nodes: list[ast.AST] = []
        nested: list[Scoped] = []
        for part in body:
            _sort(part, nodes, nested)
        for definition in nested:
            if not isinstance(definition, ast.Lambda):
                scope.bind(definition.name)
        binding = [node for node in nodes if isinstance(node, BINDING)]
        for _ in range(2):  # twice, for a name whose value uses a name that is bound further down
            for node in binding:
                self._bind(node, scope)
        for node in nodes:
            names = self._names(node, scope)
            if names:
                yield node, names
        for definition in nested:
            yield from self._inside(definition, scope)

    def _inside(self, node: Scoped, scope: _Scope) -> Iterator[tuple[ast.AST, set[str]]]:
        inner = _Scope(scope, isinstance(node, ast.ClassDef))
        if not isinstance(node, ast.ClassDef):
            for parameter in _parameters(node.args):
                inner.bind(parameter.arg)
        return self.scope([node.body] if isinstance(node, ast.Lambda) else node.body, inner)

    def _bind(self, node: ast.AST, scope: _Scope) -> None:
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    full = alias.name if alias.asname else alias.name.split(".")[0]
                    scope.bind(alias.asname or full, full)
            case ast.ImportFrom(names=aliases):
                origin = self._origin(node)
                for alias in aliases:
                    if alias.name == "*":
                        scope.stars.append(origin)
                    else:
                        scope.bind(alias.asname or alias.name, f"{origin}.{alias.name}")
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(target, value, scope)
            case ast.AnnAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
                self._assign(target, value, scope)
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                scope.bind(name)

    def _assign(self, target: ast.expr, value: ast.expr | None, scope: _Scope) -> None:
        if isinstance(target, ast.Name) and value is not None:
            scope.bind(target.id, *self._resolve(value, scope))
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for element, its_value in zip(target.elts, value.elts, strict=True):
                self._assign(element, its_value, scope)

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.module.split(".")[: -node.level]
        return ".".join([*parts, *([node.module] if node.module else [])])

    def _names(self, node: ast.AST, scope: _Scope) -> set[str]:
        match node:
            case ast.Import(names=aliases):
                return {alias.name for alias in aliases}
            case ast.ImportFrom(names=aliases):
                origin = self._origin(node)
                return {origin, *(f"{origin}.{alias.name}" for alias in aliases if alias.name != "*")}
            case ast.expr():
                return self._resolve(node, scope)
        return set()

    def _resolve(self, node: ast.expr, scope: _Scope) -> set[str]:
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                return scope.lookup(name)
            case ast.Attribute(value=value, attr=attr):
                return {f"{owner}.{attr}" for owner in self._resolve(value, scope)}
            case ast.IfExp(body=one, orelse=other):
                return self._resolve(one, scope) | self._resolve(other, scope)
            case ast.BoolOp(values=values):
                return {name for value in values for name in self._resolve(value, scope)}
            case ast.NamedExpr(value=value):
                return self._resolve(value, scope)
            case ast.Subscript(value=value, slice=ast.Constant(value=str(key))):
                owners = self._resolve(value, scope)
                return {owner.removesuffix("__dict__") + key for owner in owners if owner.endswith(".__dict__")}
            case ast.Call(func=function, args=[first, *more]):
                return self._result(self._resolve(function, scope), first, more, scope)
        return set()

    def _result(self, functions: set[str], first: ast.expr, more: list[ast.expr], scope: _Scope) -> set[str]:
        match first, more:
            case _, [ast.Constant(value=str(attr)), *_] if "builtins.getattr" in functions:
                return {f"{owner}.{attr}" for owner in self._resolve(first, scope)}
            case ast.Constant(value=str(full)), _ if functions & IMPORTERS:
                return {full, full.split(".")[0]} if "builtins.__import__" in functions else {full}
        if "builtins.vars" in functions:
            return {f"{owner}.__dict__" for owner in self._resolve(first, scope)}
        return set()


def _sort(node: ast.AST, nodes: list[ast.AST], nested: list[Scoped]) -> None:
    """Tell what belongs to a scope itself from the definitions that open another."""
    if isinstance(node, SCOPED):
        nested.append(node)
        for part in _outside(node):
            _sort(part, nodes, nested)
        return
    nodes.append(node)
    for value in vars(node).values():
        for child in value if isinstance(value, list) else (value,):
            if isinstance(child, ast.AST) and not isinstance(child, MARKS):
                _sort(child, nodes, nested)


def _parameters(arguments: ast.arguments) -> Iterator[ast.arg]:
    """Every parameter of a function, of any kind."""
    yield from (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    yield from filter(None, (arguments.vararg, arguments.kwarg))


def _outside(node: Scoped) -> Iterator[ast.expr]:
    """The parts of a definition that are evaluated in place: decorators, bases, defaults, annotations."""
    if not isinstance(node, ast.Lambda):
        yield from node.decorator_list
    if isinstance(node, ast.ClassDef):
        yield from node.bases
        yield from (keyword.value for keyword in node.keywords)
        return
    yield from node.args.defaults
    yield from (default for default in node.args.kw_defaults if default is not None)
    yield from (parameter.annotation for parameter in _parameters(node.args) if parameter.annotation is not None)
    if not isinstance(node, ast.Lambda) and node.returns is not None:
        yield node.returns

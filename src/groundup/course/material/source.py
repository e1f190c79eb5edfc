"""The definitions in a source text: by name, with their exact lines and columns."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


def definitions(tree: ast.Module) -> Iterator[tuple[str, Definition]]:
    """Every function, class, method and nested class with its dotted name, in order; also under `if` and `try`.

    A definition inside a function has no name outside it, and is left out.
    """
    yield from _definitions(tree.body, "")


def _definitions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Definition]]:
    for node in body:
        if isinstance(node, Definition):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node.body, f"{prefix}{node.name}.")
        else:
            for field in ("body", "orelse", "finalbody"):
                yield from _definitions(getattr(node, field, []), prefix)
            for handler in getattr(node, "handlers", []):
                yield from _definitions(handler.body, prefix)


def functions_named(tree: ast.Module, name: str) -> list[Function]:
    """The functions with this dotted name that have a body to write: overloads are left out."""
    return [
        node
        for dotted, node in definitions(tree)
        if dotted == name and isinstance(node, Function) and not is_overload(node)
    ]


def main_function(tree: ast.Module, name: str) -> Function | None:
    """The definition that `name` means: of a property its getter, of several the last."""
    candidates = [node for node in functions_named(tree, name) if not is_accessor(node)]
    return candidates[-1] if candidates else None


def is_overload(node: Function) -> bool:
    """Whether the function only declares a signature for `typing.overload`."""
    return any(ast.unparse(d).split(".")[-1] == "overload" for d in node.decorator_list)


def is_accessor(node: Function) -> bool:
    """Whether the function is a property's setter or deleter."""
    return any(ast.unparse(d).endswith((".setter", ".deleter")) for d in node.decorator_list)


def is_stub(node: Function) -> bool:
    """Whether `start` wrote the body: a docstring at most, and `raise NotImplementedError`."""
    body = node.body[1:] if docstring_of(node) else node.body
    if len(body) != 1 or not isinstance(body[0], ast.Raise) or body[0].exc is None:
        return False
    return ast.unparse(body[0].exc).split("(")[0] == "NotImplementedError"


def docstring_of(node: Definition | ast.Module) -> ast.Expr | None:
    """The docstring's statement, if there is one."""
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return first
    return None


def first_line(node: ast.stmt) -> int:
    """The line on which a statement begins, decorators included."""
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


class Text:
    """A source text addressed by syntax-tree positions (lines from 1, columns in UTF-8 bytes)."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines = split_lines(source)
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line))

    def offset(self, line: int, column: int) -> int:
        """The index into the text of a position."""
        text = self.lines[line - 1]
        return self._starts[line - 1] + (column if text.isascii() else len(text.encode()[:column].decode()))

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """The beginning and the end of the node's text, without decorators."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def of(self, node: ast.expr | ast.stmt) -> str:
        """The node's text."""
        start, end = self.span(node)
        return self.source[start:end]


def split_lines(source: str) -> list[str]:
    """The lines with their ends, split where Python splits them (not at form feeds or Unicode separators)."""
    lines, start = [], 0
    while start < len(source):
        end = source.find("\n", start)
        end = len(source) if end < 0 else end + 1
        lines.append(source[start:end])
        start = end
    return lines or [""]


@lru_cache(maxsize=64)
def parse(source: str) -> ast.Module:
    """The syntax tree of a text, cached: do not change it."""
    return ast.parse(source)


def imported_modules(tree: ast.Module) -> list[str]:
    """The modules that a file imports at its top, by their absolute names, in order."""
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return names


def has_kernels(source: str) -> bool:
    """Whether a text imports Numba."""
    try:
        tree = parse(source)
    except SyntaxError:
        return False
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in imports if isinstance(node, ast.ImportFrom) and not node.level]
    return any(name.partition(".")[0] == "numba" for name in names)


@lru_cache(maxsize=256)
def code_of(source: str) -> str:
    """The structure of a text without layout, comments and docstrings: equal for texts that differ in those only.

    Every version of Python gives the same structure, unlike `ast.dump`. A text that is no Python stands for itself.
    """
    try:
        return _structure(ast.parse(source))
    except SyntaxError:
        return source


def body_code(function: Function) -> str:
    """The structure of a function's body, in the form of `code_of`."""
    docstring = docstring_of(function)
    return _structure([statement for statement in function.body if statement is not docstring])


def _structure(node: object) -> str:
    if isinstance(node, ast.AST):
        documented = isinstance(node, Definition | ast.Module) and docstring_of(node) is not None
        parts = []
        for name, value in ast.iter_fields(node):
            kept = value[1:] if documented and name == "body" else value
            if kept not in (None, []) and name not in ("kind", "type_comment", "type_ignores"):
                parts.append(f"{name}={_structure(kept)}")
        return f"{type(node).__name__}({','.join(parts)})"
    if isinstance(node, list):
        return f"[{','.join(map(_structure, node))}]"
    return repr(node)

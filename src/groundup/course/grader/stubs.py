"""Which functions of a submission are still as `start` wrote them."""

from __future__ import annotations

import ast

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST, prefix: str = "") -> list[tuple[str, Function]]:
    """Every function and method of a module, by qualified name."""
    found: list[tuple[str, Function]] = []
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, Function):
            found.append((prefix + child.name, child))
        elif isinstance(child, ast.ClassDef):
            found += functions(child, f"{prefix}{child.name}.")
    return found


def is_stub(node: Function) -> bool:
    """Whether a body is what `start` wrote: a docstring at most, and `raise NotImplementedError`."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if len(body) != 1 or not isinstance(body[0], ast.Raise) or body[0].exc is None:
        return False
    return ast.unparse(body[0].exc).split("(")[0] == "NotImplementedError"

"""The imports of a unit, read from its files. No unit lists the packages that it needs: its imports do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from groundup.extras import optional

LIBRARY = Path(__file__).parents[2]
FOLLOWED = ("groundup.stack", "groundup.embedding")
"""The packages of groundup that import more than the core. A unit's imports of them are followed."""


def imports(tree: ast.Module, package: str) -> Iterator[tuple[str, int]]:
    """The dotted names that a file imports, wherever in it, with their lines.

    Args:
        tree: the file.
        package: the package that it is in, for relative imports.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def optional_packages(folder: Path, package: str) -> tuple[str, ...]:
    """The modules of extras that a unit's files import, directly or through modules of groundup.

    Args:
        folder: the unit's folder.
        package: its dotted name.
    """
    waiting, read, needed = sorted(folder.glob("*.py")), set[Path](), set[str]()
    while waiting:
        path = waiting.pop()
        if path in read:
            continue
        read.add(path)
        for name in _imported(path, path.stat().st_mtime_ns, package):
            top = name.split(".")[0]
            if top in optional():
                needed.add(top)
            elif name.startswith(FOLLOWED):
                waiting += _files(name.split("."), folder.parents[1])
    return tuple(sorted(needed))


@lru_cache(maxsize=1024)
def _imported(path: Path, changed: int, own: str) -> tuple[str, ...]:
    """The imports of a file, without its own unit. A file is parsed only if a line of it imports a name of interest."""
    text = path.read_text(encoding="utf-8")
    names = "|".join(map(re.escape, sorted(optional() | set(FOLLOWED))))
    if not re.search(rf"^[ \t]*(?:from|import)\b.*\b(?:{names})\b", text.replace(own, ""), re.MULTILINE):
        return ()
    return tuple({name for name, _ in imports(ast.parse(text, path.name), own) if not f"{name}.".startswith(f"{own}.")})


def _files(parts: list[str], stack: Path) -> Iterable[Path]:
    """The files that run when a name of groundup is imported; units are sought in `stack`, then in groundup's."""
    if parts[1] == "stack" and not stack.joinpath(*parts[2:4]).exists():
        stack = LIBRARY / "stack"
    base, rest = (stack, parts[2:]) if parts[1] == "stack" else (LIBRARY, parts[1:])
    for length in range(1, len(rest) + 1):
        path = base.joinpath(*rest[:length])
        yield from filter(Path.is_file, (path / "__init__.py", path.with_suffix(".py")))

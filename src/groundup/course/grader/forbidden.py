"""Forbidden names in a submission's text: found before it runs, with the line.

`names` follows them as far as they are written out; what is put together only while the program runs is for `watch` to
refuse. A function of the learner's own that merely has a forbidden name is no use of it.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

from groundup.course.grader.names import dotted_names
from groundup.course.material.source import parse

STACK = "groundup.stack"
RUNNER = 'The checks are run with it. Keep tests of your own in another file, or under `if __name__ == "__main__":`.'
BEHIND = "An exercise is Python: the grader cannot watch code that runs behind Python's back."
INSIDES = "An exercise works with its arguments. It may not inspect or change its caller."


class Rule(TypedDict):
    """A dotted name that is refused, with all that is below it, and why."""

    name: str
    why: str


FOREIGN = ("ctypes", "_ctypes", "cffi", "_cffi_backend")
"""Packages that call what is not Python. Many libraries import them, which is those libraries' own affair."""

# For every unit, in addition to its own rules: what the checks run with, the ways to look into it, and those round it.
ALWAYS: tuple[Rule, ...] = (
    *(Rule(name=name, why=RUNNER) for name in ("pytest", "_pytest", "pluggy", "hypothesis", "unittest")),
    *(Rule(name=name, why=BEHIND) for name in (*FOREIGN, "numpy.ctypeslib")),
    *(
        Rule(name=name, why=INSIDES)
        for name in (
            "sys.modules",
            "sys._getframe",
            "sys.settrace",
            "sys.setprofile",
            "sys.meta_path",
            "sys.path_hooks",
            "inspect.currentframe",
            "inspect.stack",
            "threading.settrace",
            "threading.setprofile",
            "gc.get_objects",
            "gc.get_referrers",
        )
    ),
)
INSIDE_ATTRIBUTES = frozenset(
    """__globals__ __closure__ __builtins__ __subclasses__ f_back f_locals f_globals
    tb_frame gi_frame cr_frame""".split()
)
# With these methods an object decides by itself what it is equal to.
EQUALITY = frozenset(("__eq__", "__ne__"))


@dataclass(frozen=True, order=True)
class Use:
    """Something forbidden: in which line, what the code does there, and why it may not."""

    line: int
    what: str
    why: str

    def __str__(self) -> str:
        return f"your code {self.what}. {self.why}"


def refusal(name: str, rules: Sequence[Rule], packages: Sequence[str]) -> str | None:
    """Why `name` may not be used, or None.

    Args:
        name: a dotted name, as far as it is known.
        rules: what is forbidden. A name is also found at other places of the same top-level package:
            `torch.nn.modules.activation.MultiheadAttention` is `torch.nn.MultiheadAttention`.
        packages: the packages of groundup that may be used: those of the units that this one builds on.
    """
    root, *parts = name.split(".")
    for rule in (*rules, *ALWAYS):
        rule_root, _, below = rule["name"].partition(".")
        if root == rule_root and (not below or name == rule["name"] or _last(below) in parts):
            return rule["why"]
    allowed = any(_within(name, package) or _within(package, name) for package in packages)
    if root == "groundup" and not allowed and not _within(STACK, name):
        return _why_not_groundup(name, packages)
    return None


def _last(dotted: str) -> str:
    return dotted.rpartition(".")[2]


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _why_not_groundup(name: str, packages: Sequence[str]) -> str:
    units = [package.removeprefix(STACK + ".").replace(".", "/") for package in packages]
    if not name.startswith(STACK):
        return "An exercise uses third-party packages and earlier units only."
    return f"Of the other units it may use {' and '.join(sorted(units))} only." if units else (
        "It may use no other unit, nor the solution of its own."
    )  # fmt: skip


def first_use(
    source: str, *, module: str, rules: Sequence[Rule], packages: Sequence[str], reference: str
) -> Use | None:
    """The first forbidden use in a submission, by line, or None.

    What is written under `if __name__ == "__main__":` does not run here, and is the learner's own affair.

    Args:
        source: the submission.
        module: its dotted name, for relative imports.
        rules: what is forbidden beside `ALWAYS`.
        packages: the packages of groundup that may be used.
        reference: the unit's own implementation; the methods that it defines itself are allowed.
    """
    body = _imported_part(parse(source))
    why_not = functools.cache(lambda name: refusal(name, rules, packages))
    uses = [
        Use(getattr(node, "lineno", 1), f"uses `{name}`", why)
        for node, names in dotted_names(body, module)
        for name in sorted(names)
        if (why := why_not(name)) is not None
    ]
    if any(name in source for name in (*INSIDE_ATTRIBUTES, *EQUALITY)):
        uses += [use for statement in body for use in _inside_uses(statement, reference)]
    return min(uses, default=None)


def mention(source: str, name: str) -> int | None:
    """The line in which a submission most likely changes something of this name: assigns it, or else speaks of it."""
    found: dict[bool, int] = {}
    for node in ast.walk(parse(source)):
        if name == _name_in(node):
            stored = isinstance(getattr(node, "ctx", None), ast.Store)
            found[stored] = min(node.lineno, found.get(stored, node.lineno))  # type: ignore[attr-defined]
    return found.get(True, found.get(False))


def _imported_part(tree: ast.Module) -> list[ast.stmt]:
    """The statements that run when the file is imported."""
    body = [statement for statement in tree.body if not _is_main_block(statement)]
    if len(body) == len(tree.body) or any(_name_in(n) == "__name__" for s in body for n in ast.walk(s)):
        return tree.body
    return body


def _is_main_block(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("__name__ == '__main__'", "'__main__' == __name__")


def _inside_uses(statement: ast.stmt, reference: str) -> Iterator[Use]:
    """The attributes that lead from an object into its surroundings, and the methods that decide what is equal."""
    for node in ast.walk(statement):
        name = _name_in(node)
        if name in INSIDE_ATTRIBUTES:
            yield Use(node.lineno, f"uses `{name}`", INSIDES)  # type: ignore[attr-defined]
        elif name in EQUALITY and name not in reference:
            yield Use(
                node.lineno,  # type: ignore[attr-defined]
                f"uses `{name}`, and the unit's own implementation does not",
                "The checks compare results, and a result may not decide its own equality.",
            )


def _name_in(node: ast.AST) -> str:
    """The name that a node is, or has, or says."""
    match node:
        case ast.FunctionDef(name=name) | ast.Attribute(attr=name) | ast.Name(id=name) | ast.Constant(value=str(name)):
            return name
    return ""

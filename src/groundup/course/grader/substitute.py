"""Putting another body into one of the learner's functions, in place, and taking it out again."""

from __future__ import annotations

import ast
import builtins
import contextlib
import inspect
import sys
import textwrap
import types
from collections.abc import Iterator
from typing import Any

from groundup.course.material.source import Function, main_function

PACKAGE = "groundup.stack."


class Substituter:
    """Knows the learner's module and the reference, and swaps functions of the one for text.

    Args:
        module: the learner's module, imported.
        path: the file name that code put in carries, so that it counts as the learner's.
        reference: the text of the reference implementation.
    """

    def __init__(self, module: types.ModuleType, path: str, reference: str) -> None:
        self.module, self.path = module, path
        self.tree = ast.parse(reference)
        self._reference_names: dict[str, Any] | None = None
        self._reference_text = reference

    def reference(self, target: str) -> Function | None:
        """The reference's definition of a function or method, `async` or not."""
        return main_function(self.tree, target)

    @contextlib.contextmanager
    def put(self, target: str, source: str | None = None) -> Iterator[bool]:
        """While the context lasts, `target` has the body of the function in `source`, or the reference's own.

        Yields whether that could be done.
        """
        try:
            undo = self._put(target, source)
        except (AttributeError, LookupError, SyntaxError, TypeError, ValueError):
            yield False
            return
        try:
            yield True
        finally:
            for step in reversed(undo):
                step()

    def _put(self, target: str, source: str | None) -> list[Any]:
        *owners, name = target.split(".")
        owner: Any = self.module
        for part in owners:
            owner = getattr(owner, part)
        old = vars(owner)[name]
        new = self._compile(target, source, owner if owners else None)
        raw = _innermost(old)
        if isinstance(raw, types.FunctionType) and raw.__code__.co_freevars == new.__code__.co_freevars:
            return _swap_insides(raw, new)
        return self._replace(owner, old, _rewrap(old, new), is_class=bool(owners))

    def _compile(self, target: str, source: str | None, owner: Any) -> types.FunctionType:
        definition = self.reference(target)
        if definition is None:
            raise LookupError(target)
        body = definition.body if source is None else _first_function(source).body
        node = type(definition)(definition.name, _without_annotations(definition.args), body, [], lineno=1)
        text = ast.unparse(node)
        if owner is not None:
            # Inside a class, for names with two underscores and for `super()`.
            text = f"class {owner.__name__}:\n{textwrap.indent(text, '    ')}"
        made: dict[str, Any] = {}
        exec(compile(text, self.path, "exec", dont_inherit=True), vars(self.module), made)
        function = made[definition.name] if owner is None else vars(made[owner.__name__])[definition.name]
        function = _innermost(function)
        for cell_name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if cell_name == "__class__":
                cell.cell_contents = owner
        function.__code__ = function.__code__.replace(co_qualname=target)
        self._inject_missing(function.__code__)
        return function

    def _inject_missing(self, code: types.CodeType) -> None:
        """Take names that the learner's file no longer has from the reference."""
        space = vars(self.module)
        for name in _names(code):
            if name not in space and not hasattr(builtins, name):
                value = self._from_reference(name)
                if value is not None:
                    space[name] = value

    def _from_reference(self, name: str) -> Any:
        if self._reference_names is None:
            space: dict[str, Any] = {"__name__": self.module.__name__, "__package__": self.module.__package__}
            exec(compile(self._reference_text, "<reference>", "exec", dont_inherit=True), space)
            self._reference_names = space
        return self._reference_names.get(name)

    def _replace(self, owner: Any, old: Any, new: Any, *, is_class: bool) -> list[Any]:
        """Let every name that stands for `old` stand for `new`: in the class, or in every module of the stack."""
        owners = [owner] if is_class else [m for n, m in list(sys.modules.items()) if n.startswith(PACKAGE)]
        undo = []
        for place in owners:
            for name, value in list(vars(place).items()):
                if value is old:
                    setattr(place, name, new)
                    undo.append(lambda place=place, name=name: setattr(place, name, old))
        return undo


def _swap_insides(raw: types.FunctionType, new: types.FunctionType) -> list[Any]:
    before = raw.__code__, raw.__defaults__, raw.__kwdefaults__

    def undo() -> None:
        raw.__code__, raw.__defaults__, raw.__kwdefaults__ = before  # type: ignore[assignment]

    raw.__code__, raw.__defaults__, raw.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__
    return [undo]


def _innermost(value: Any) -> Any:
    """The plain function inside a property, a static or class method, or decorators that keep what they wrap."""
    if isinstance(value, property):
        value = value.fget
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    return inspect.unwrap(value) if callable(value) else value


def _rewrap(old: Any, new: types.FunctionType) -> Any:
    if isinstance(old, property):
        return property(new, old.fset, old.fdel, old.__doc__)
    if isinstance(old, staticmethod | classmethod):
        return type(old)(new)
    if hasattr(old, "__wrapped__"):
        raise ValueError("a decorated function whose insides cannot be swapped")
    return new


def _first_function(source: str) -> Function:
    node = ast.parse(textwrap.dedent(source)).body[0]
    if not isinstance(node, Function):
        raise ValueError("not a function")
    return node


def _without_annotations(arguments: ast.arguments) -> ast.arguments:
    copy = ast.parse(f"def f({ast.unparse(arguments)}): pass").body[0]
    assert isinstance(copy, ast.FunctionDef)
    bare = copy.args
    for argument in (*bare.posonlyargs, *bare.args, *bare.kwonlyargs, bare.vararg, bare.kwarg):
        if argument is not None:
            argument.annotation = None
    return bare


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)

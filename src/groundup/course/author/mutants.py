"""Automatic mutants: small changes to the functions that a learner writes, each of which the checks should notice.

A mutant is the source with one expression or statement changed in place. Its id, `function:operator:ordinal`
(`dot:sub-for-add:1`), counts the operator's places within the function, so that edits elsewhere leave it alone.
Docstrings, annotations, decorators, `assert`s, f-strings and what a `raise` says are never changed.
"""

from __future__ import annotations

import ast
import builtins
import copy
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from groundup.course.material.source import Function, Text, docstring_of, first_line, main_function
from groundup.errors import ConfigError

T = TypeVar("T", bound=ast.AST)


@dataclass(frozen=True)
class Mutant:
    """One small change.

    Attributes:
        id: `function:operator:ordinal`, stable under edits that do not touch the operator's places in the function.
        line: where the change is.
        description: what was changed into what, in one line.
        source: the whole file with the change.
    """

    id: str
    line: int
    description: str
    source: str


@dataclass(frozen=True)
class _Change:
    """A node's text replaced by another; an empty `new` text never occurs."""

    operator: str
    node: ast.expr | ast.stmt
    new: str


def mutants(source: str, names: Iterable[str]) -> list[Mutant]:
    """Every mutant of the named functions and methods, without those whose syntax tree is the original's or another's.

    Args:
        source: the implementation.
        names: dotted names of functions and methods.

    Raises:
        ConfigError: a name is not a function of `source`.
    """
    tree, text = ast.parse(source), Text(source)
    modules = _imported(tree)
    found: list[Mutant] = []
    for name in dict.fromkeys(names):
        function = main_function(tree, name)
        if function is None:
            raise ConfigError(f"There is no function '{name}' to mutate in the source.")
        alone = _Alone(text, function)
        seen = {alone.dump(text.source)}
        ordinals: Counter[str] = Counter()
        changes = sorted(_Walker(function, modules, text).changes(), key=lambda c: text.span(c.node)[0])
        for change in changes:
            ordinals[change.operator] += 1
            mutated = _apply(text, change)
            try:
                dump = alone.dump(mutated)
            except SyntaxError:  # an operator that does not fit here, such as `break` made into an expression
                continue
            if dump not in seen:
                seen.add(dump)
                identity = f"{name}:{change.operator}:{ordinals[change.operator]}"
                found.append(Mutant(identity, change.node.lineno, _describe(text, change), mutated))
    return found


def drawn(ids: Iterable[str], most: int, seed: int = 0) -> list[str]:
    """At most so many of some mutants, in their order: an even share of each function and, within it, each operator.

    Args:
        ids: all of them.
        most: how many to take.
        seed: of the draw; the same ids and seed give the same draw on every machine.
    """
    every = list(ids)
    if len(every) <= most:
        return every
    random = Random(seed)
    ranked = sorted(every, key=lambda name: (*name.split(":")[:2], random.random()))
    offset = random.random()
    taken = {ranked[int((place + offset) * len(every) / most)] for place in range(most)}
    return [name for name in every if name in taken]


class _Alone:
    """One function of a text: a change within it is parsed without the rest of the file, which takes far longer."""

    def __init__(self, text: Text, function: Function) -> None:
        assert function.end_lineno is not None
        self.start = text.offset(first_line(function), 0)
        self.rest = len(text.source) - text.offset(function.end_lineno, 0) - len(text.lines[function.end_lineno - 1])

    def dump(self, source: str) -> str:
        """The function's syntax tree in a text that differs within the function only. Raises SyntaxError."""
        code = source[self.start : len(source) - self.rest]
        # A method stands indented; what its strings hold must stay as it is, so it is not moved to the margin.
        return ast.dump(ast.parse(f"if True:\n{code}" if code[0].isspace() else code))


def _apply(text: Text, change: _Change) -> str:
    start, end = text.span(change.node)
    new = change.new
    if isinstance(change.node, ast.stmt):
        new = new.replace("\n", "\n" + " " * change.node.col_offset)
    return text.source[:start] + new + text.source[end:]


def _describe(text: Text, change: _Change) -> str:
    if isinstance(change.node, ast.stmt) and change.new == "pass":
        return f"line {change.node.lineno}: without `{_short(text.of(change.node))}`"
    return f"line {change.node.lineno}: `{_short(text.of(change.node))}` became `{_short(change.new)}`"


def _short(code: str) -> str:
    first, *rest = code.strip().splitlines()
    first = first + (" …" if rest else "")
    return first if len(first) <= 80 else first[:79] + "…"


def _imported(tree: ast.Module) -> set[str]:
    """Names under which modules are imported, so that `np.exp(x)` is told from `x.copy()`."""
    return {
        alias.asname or alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


BINARY: dict[type[ast.operator], tuple[str, ast.operator]] = {
    ast.Add: ("sub-for-add", ast.Sub()),
    ast.Sub: ("add-for-sub", ast.Add()),
    ast.Mult: ("div-for-mul", ast.Div()),
    ast.Div: ("mul-for-div", ast.Mult()),
    ast.FloorDiv: ("div-for-floordiv", ast.Div()),
    ast.Mod: ("floordiv-for-mod", ast.FloorDiv()),
    ast.Pow: ("mul-for-pow", ast.Mult()),
    ast.MatMult: ("mul-for-matmul", ast.Mult()),
    ast.BitAnd: ("or-for-and", ast.BitOr()),
    ast.BitOr: ("and-for-or", ast.BitAnd()),
}
ORDERED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult)
COMPARISONS: dict[type[ast.cmpop], list[tuple[str, ast.cmpop]]] = {
    ast.Lt: [("le-for-lt", ast.LtE()), ("ge-for-lt", ast.GtE())],
    ast.LtE: [("lt-for-le", ast.Lt()), ("gt-for-le", ast.Gt())],
    ast.Gt: [("ge-for-gt", ast.GtE()), ("le-for-gt", ast.LtE())],
    ast.GtE: [("gt-for-ge", ast.Gt()), ("lt-for-ge", ast.Lt())],
    ast.Eq: [("ne-for-eq", ast.NotEq())],
    ast.NotEq: [("eq-for-ne", ast.Eq())],
    ast.Is: [("isnot-for-is", ast.IsNot())],
    ast.IsNot: [("is-for-isnot", ast.Is())],
    ast.In: [("notin-for-in", ast.NotIn())],
    ast.NotIn: [("in-for-notin", ast.In())],
}
NAMES = {
    name: other
    for pair in [
        ("sum", "mean"),
        ("max", "min"),
        ("maximum", "minimum"),
        ("argmax", "argmin"),
        ("amax", "amin"),
        ("zeros", "ones"),
        ("zeros_like", "ones_like"),
        ("any", "all"),
        ("floor", "ceil"),
        ("sin", "cos"),
        ("std", "var"),
        ("triu", "tril"),
        ("vstack", "hstack"),
    ]
    for name, other in (pair, pair[::-1])
}
# Calls whose replacement by their argument fails at once, whatever the checks: they would only flatter the share.
NOT_UNWRAPPED = {"isinstance", "len", "range", "super", "zip", "enumerate", "type", "hasattr", "getattr"}
COMMUTATIVE = {"maximum", "minimum", "max", "min", "add", "multiply", "allclose", "isclose", "hypot", "logaddexp"}
TRANSPOSES = {"transpose", "swapaxes", "permute", "t", "adjoint"}


class _Walker:
    """The changes of one function, in no particular order."""

    def __init__(self, function: Function, modules: set[str], text: Text) -> None:
        self.function = function
        self.modules = modules
        self.text = text
        self.bound = {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}

    def changes(self) -> Iterator[_Change]:
        arguments = self.function.args
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None:
                yield from self.expression(default)
        yield from self.block(self.function)

    def block(self, node: ast.AST) -> Iterator[_Change]:
        skipped = docstring_of(node) if isinstance(node, Function | ast.ClassDef) else None
        for field in ("body", "orelse", "finalbody"):
            for statement in getattr(node, field, []):
                if statement is not skipped:
                    yield from self.statement(statement)
        for part in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
            yield from self.block(part)

    # ── statements ──────────────────────────────────────────────────────────────────────────────────────────────

    def statement(self, node: ast.stmt) -> Iterator[_Change]:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.bound |= {node.name} | {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
                for default in [*node.args.defaults, *node.args.kw_defaults]:
                    if default is not None:
                        yield from self.expression(default)
                yield from self.block(node)
                return
            case ast.Assert() | ast.Pass() | ast.Import() | ast.ImportFrom() | ast.Global() | ast.Nonlocal():
                return
            case ast.Raise():
                yield _Change("drop-raise", node, "pass")
                return
            case ast.Return(value=value):
                if value is not None and not _is_none(value):
                    yield _Change("none-for-return", node, "return None")
            case ast.Assign(targets=[target], value=value):
                if self._can_be_missed(target):
                    yield _Change("drop-statement", node, "pass")
                if isinstance(value, ast.BinOp) and ast.unparse(target) == ast.unparse(value.left):
                    in_place = ast.AugAssign(target, value.op, value.right)  # type: ignore[arg-type]
                    yield _Change("augassign-for-assign", node, _unparse(in_place))
            case ast.AugAssign():
                yield _Change("drop-statement", node, "pass")
                plain = f"{ast.unparse(node.target)} = {ast.unparse(node.value)}"
                yield _Change("assign-for-augassign", node, plain)
                if type(node.op) in BINARY:
                    operator, new = BINARY[type(node.op)]
                    yield _Change(operator, node, _unparse(_with(node, op=new)))
            case ast.AnnAssign():
                if node.value is not None and self._can_be_missed(node.target):
                    yield _Change("drop-statement", node, "pass")
            case ast.For() | ast.AsyncFor():
                yield _Change("drop-loop", node, "pass")
            case ast.While():
                yield _Change("drop-loop", node, "pass")
            case ast.With(items=items) if all(item.optional_vars is None for item in items):
                yield _Change("drop-with", node, _unparse(ast.If(ast.Constant(True), node.body, [])))
            case ast.If():
                yield from self.condition(node.test)
            case ast.Expr() | ast.Delete() | ast.Break() | ast.Continue():
                yield _Change("drop-statement", node, "pass")
        self.bound |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        for child in _expressions_of(node):
            for change in self.expression(child):
                # `f(x)` as a statement, made into `x`, is the dropped statement again.
                if not (
                    isinstance(node, ast.Expr) and change.node is child and change.operator.startswith("drop-call")
                ):
                    yield change
        yield from self.block(node)

    def _can_be_missed(self, target: ast.expr) -> bool:
        """Whether the code still runs without this assignment: a name bound for the first time cannot be left out."""
        return not isinstance(target, ast.Name | ast.Tuple | ast.List) or all(
            not isinstance(n, ast.Name) or n.id in self.bound for n in ast.walk(target)
        )

    def condition(self, test: ast.expr) -> Iterator[_Change]:
        if not isinstance(test, ast.Constant):
            yield _Change("always", test, "True")
            yield _Change("never", test, "False")

    # ── expressions ─────────────────────────────────────────────────────────────────────────────────────────────

    def expression(self, node: ast.expr) -> Iterator[_Change]:
        if isinstance(node, ast.JoinedStr):  # a message; its parts have no exact positions before Python 3.12
            return
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("warn"):
            return
        yield from self.changed(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return
        for child in _expressions_of(node):
            yield from self.expression(child)

    def changed(self, node: ast.expr) -> Iterator[_Change]:
        match node:
            case ast.BinOp():
                if type(node.op) in BINARY and not _is_string(node.left):
                    operator, new = BINARY[type(node.op)]
                    yield _expression(operator, node, _with(node, op=new))
                if isinstance(node.op, ORDERED) and not _is_string(node.left):
                    yield _expression("swap-operands", node, _with(node, left=node.right, right=node.left))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield _expression("no-not", node, operand)
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                yield _expression("no-invert", node, operand)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                if isinstance(operand, ast.Constant):
                    yield from self.number(node, -operand.value)  # type: ignore[operator]
                else:
                    yield _expression("no-minus", node, operand)
            case ast.Compare():
                for i, op in enumerate(node.ops):
                    for operator, new in COMPARISONS[type(op)]:
                        yield _expression(operator, node, _with(node, ops=[*node.ops[:i], new, *node.ops[i + 1 :]]))
            case ast.BoolOp(values=values):
                both = ("or-for-and", ast.Or()) if isinstance(node.op, ast.And) else ("and-for-or", ast.And())
                yield _expression(both[0], node, _with(node, op=both[1]))
                for i in range(len(values)):
                    rest = [*values[:i], *values[i + 1 :]]
                    one = rest[0] if len(rest) == 1 else _with(node, values=rest)
                    yield _expression("drop-condition", node, one)
            case ast.Constant(value=bool() as value):
                yield _Change("flip", node, str(not value))
            case ast.Constant(value=int() | float() as value):
                yield from self.number(node, value)
            case ast.IfExp():
                yield from self.condition(node.test)
            case ast.Call():
                yield from self.call(node)
            case ast.Attribute(attr="T" | "mT" | "H"):
                yield _expression("drop-transpose", node, node.value)
            case ast.Subscript(slice=index):
                yield from self.subscript(node, index)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                for generator in node.generators:
                    for test in generator.ifs:
                        yield from self.condition(test)

    def number(self, node: ast.expr, value: float) -> Iterator[_Change]:
        if isinstance(value, int):
            yield _Change("plus-one", node, f"({value + 1})" if value + 1 < 0 else str(value + 1))
            if value == 1:
                yield _Change("zero-for-one", node, "0")
            elif value > 1:  # -1 is mostly an axis or an index, where 1 may be the same
                yield _Change("negated", node, f"({-value})")
        elif value == 0:
            yield _Change("one-for-zero", node, "1.0")
        elif abs(value) < 1e-5:  # a guard against division by zero: a little more or less cannot be noticed
            yield _Change("zeroed", node, "0.0")
            yield _Change("thousandth-for-tiny", node, "1e-3")
        else:
            yield _Change("doubled", node, f"({2 * value!r})")
            yield _Change("negated", node, f"({-value!r})")

    def call(self, node: ast.Call) -> Iterator[_Change]:
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        other = NAMES.get(name, "")
        if other and isinstance(called, ast.Attribute):
            yield _expression(f"{other}-for-{name}", node, _with(node, func=_with(called, attr=other)))
        elif hasattr(builtins, other):
            yield _expression(f"{other}-for-{name}", node, _with(node, func=ast.Name(other)))
        plain = not any(isinstance(a, ast.Starred) for a in node.args)
        if len(node.args) >= 2 and plain and name not in {*COMMUTATIVE, *NOT_UNWRAPPED}:
            swapped = [node.args[1], node.args[0], *node.args[2:]]
            yield _expression("swap-arguments", node, _with(node, args=swapped))
        for keyword in node.keywords:
            rest = [k for k in node.keywords if k is not keyword]
            yield _expression(f"drop-keyword-{keyword.arg or 'kwargs'}", node, _with(node, keywords=rest))
        if name not in NOT_UNWRAPPED and plain:
            inner = self.inner(called, node.args)
            if inner is not None:
                yield _expression("drop-transpose" if name in TRANSPOSES else f"drop-call-{name}", node, inner)

    def inner(self, called: ast.expr, arguments: list[ast.expr]) -> ast.expr | None:
        """What is left of a call without its function: the argument, or the object of a method."""
        if isinstance(called, ast.Attribute):
            root: ast.expr = called.value
            while isinstance(root, ast.Attribute):
                root = root.value
            is_module = isinstance(root, ast.Name) and root.id in {*self.modules, "self", "cls"}
            is_super = isinstance(root, ast.Call) and getattr(root.func, "id", "") == "super"
            if not is_module and not is_super:
                return called.value
        return arguments[0] if arguments else None

    def subscript(self, node: ast.Subscript, index: ast.expr) -> Iterator[_Change]:
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        if any(_is_none(part) or (isinstance(part, ast.Attribute) and part.attr == "newaxis") for part in parts):
            yield _expression("drop-newaxis", node, node.value)
        for i, part in enumerate(parts):
            if isinstance(part, ast.Slice):
                for bound in ("lower", "upper", "step"):
                    if getattr(part, bound) is not None:
                        changed: list[ast.expr] = [*parts[:i], _with(part, **{bound: None}), *parts[i + 1 :]]
                        new = _with(index, elts=changed) if isinstance(index, ast.Tuple) else changed[0]
                        yield _expression(f"drop-{bound}", node, _with(node, slice=new))


def _expressions_of(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions directly in a node, without annotations and decorators."""
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.expr):
                yield child
            elif isinstance(child, ast.keyword | ast.comprehension | ast.withitem):
                yield from _expressions_of(child)


def _expression(operator: str, node: ast.expr, new: ast.expr) -> _Change:
    """A change of an expression, in brackets where the place might bind tighter."""
    code = ast.unparse(new)
    atom = isinstance(new, ast.Name | ast.Constant | ast.Call | ast.Attribute | ast.Subscript)
    return _Change(operator, node, code if atom else f"({code})")


def _with(node: T, **fields: object) -> T:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _unparse(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_string(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))

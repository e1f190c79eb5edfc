"""From an implementation to the learner's exercise, and back.

`write_exercise` takes the bodies out. `splice` puts one definition in the place of another, as if the learner had
typed it. The gate judges mistakes and variants in this way, and the grader finds the function at fault.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Collection, Iterable, Sequence

import libcst as cst

from groundup.course.material.source import Function, Text, docstring_of, first_line, main_function, parse, split_lines
from groundup.course.material.unit import Unit
from groundup.errors import ConfigError, nearest


def write_exercise(unit: Unit) -> str:
    """The learner's file: the implementation with the bodies of `unit.write` replaced by `raise NotImplementedError`.

    Docstrings stay, and so does every byte outside the bodies, imports that only the bodies used included.

    Raises:
        ConfigError: a name in `write` is not a function or method of the implementation.
    """
    source = unit.implementation.read_text(encoding="utf-8")
    return remove_bodies(source, unit.write, where=f"{unit.id}/{unit.implementation.name}")


def remove_bodies(source: str, names: Collection[str], *, where: str = "the source") -> str:
    """`source` without the bodies of the functions and methods (`Class.method`) in `names`.

    Overloads keep their bodies; a property's getter and setter, which share one name, both lose theirs.

    Raises:
        ConfigError: a name is not defined there, or is a class; or the text is not Python.
    """
    remover = _Remover(frozenset(names))
    try:
        code = cst.parse_module(source).visit(remover).code
    except cst.ParserSyntaxError as error:
        raise ConfigError(f"{where} is not valid Python (line {error.raw_line}). Correct it there.") from None
    for name in names:
        if name in remover.classes:
            raise ConfigError(f"`write` names the class '{name}' of {where}: name its methods, as '{name}.method'.")
        if name not in remover.removed:
            known = nearest(name, remover.functions)
            hint = f"Did you mean {' or '.join(known)}?" if known else f"It defines {', '.join(remover.functions)}."
            raise ConfigError(f"`write` names '{name}', which {where} does not define. {hint}")
    return code


class _Remover(cst.CSTTransformer):
    """Takes out the bodies of the named functions, and remembers the definitions that it met."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__()
        self.names = names
        self.path: list[str] = []
        self.removed: set[str] = set()
        self.classes: set[str] = set()
        self.functions: list[str] = []

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self.path.append(node.name.value)
        self.classes.add(".".join(self.path))

    def leave_ClassDef(self, original_node: cst.ClassDef, updated_node: cst.ClassDef) -> cst.ClassDef:
        self.path.pop()
        return updated_node

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        self.functions.append(".".join([*self.path, node.name.value]))
        return False  # a definition inside a function cannot be named

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        name = ".".join([*self.path, updated_node.name.value])
        if name not in self.names or any(_is_overload(d) for d in updated_node.decorators):
            return updated_node
        self.removed.add(name)
        return updated_node.with_changes(body=_unwritten(updated_node.body, name))


def _is_overload(decorator: cst.Decorator) -> bool:
    named = decorator.decorator
    return isinstance(named, cst.Name | cst.Attribute) and (
        (named.value if isinstance(named, cst.Name) else named.attr.value) == "overload"
    )


def _unwritten(body: cst.BaseSuite, name: str) -> cst.IndentedBlock:
    """The body that the learner finds: the docstring if there was one, and the `raise`."""
    todo = cst.parse_statement(f'raise NotImplementedError("Write {name}.")')
    statements: list[cst.BaseStatement] = [todo] if (doc := _docstring(body)) is None else [doc, todo]
    if isinstance(body, cst.IndentedBlock):
        # The footer's comments belonged to the body; the blank lines after them belong to what follows.
        last = max((i for i, line in enumerate(body.footer) if line.comment is not None), default=-1)
        return body.with_changes(body=statements, footer=body.footer[last + 1 :])
    return cst.IndentedBlock(statements)


def _docstring(body: cst.BaseSuite) -> cst.SimpleStatementLine | None:
    first = body.body[0] if body.body else None
    line = first if isinstance(first, cst.SimpleStatementLine) else None
    expression = line.body[0] if line is not None else first
    if not (isinstance(expression, cst.Expr) and _is_text(expression.value)):
        return None
    if line is not None and len(line.body) == 1:
        return line.with_changes(leading_lines=())
    return cst.SimpleStatementLine([expression.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)])


def _is_text(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.SimpleString | cst.ConcatenatedString) and isinstance(value.evaluated_value, str)


def splice(source: str, target: str, replacement: str, *, reference: str, whole: bool = False) -> str:
    """`source` with the definition of `target` replaced by another, as if the learner had typed it there.

    The replacement's body takes the place of the target's, re-indented. Its docstring (a mistake's diagnosis) is
    dropped and the target's kept. The target's decorators stay, and so does its signature where the parameters have
    the same names and the replacement gives no default of its own that differs; else the replacement's is taken.

    Args:
        source: the file that receives the definition.
        target: the function, or `Class.method`, to replace.
        replacement: the text of one function definition, indented or not.
        reference: the implementation: its imports bring the names that `source` lacks.
        whole: take the replacement's decorators, signature and docstring as well (the name stays the target's).

    Raises:
        ConfigError: `source` has no function `target`, or `replacement` is not one function.
        SyntaxError: `source` does not parse.
    """
    node = main_function(parse(source), target)
    if node is None:
        raise ConfigError(f"The source has no function '{target}' to replace.")
    new, new_text = _parse_function(replacement)
    text = Text(source)
    indent = _indent_of(text, first_line(node))
    inner = _inner_indent(text, node, indent)
    lines = text.lines[: first_line(node) - 1]
    if whole:
        lines += _reindent(new_text, new, first_line(new), new.end_lineno or 0, indent, rename=(new.name, node.name))
    else:
        lines += text.lines[first_line(node) - 1 : node.lineno - 1]  # decorators
        if _same_signature(node, new):
            lines += _header(text, node)
        else:
            lines += _rename(_reheader(new_text, new, indent), new.name, node.name)
        if (doc := docstring_of(node)) is not None:
            lines.append(f"{inner}{text.of(doc)}\n")
        lines += _body(new_text, new, inner) or ([] if doc else [f"{inner}pass\n"])
    lines += text.lines[node.end_lineno :]
    return _with_imports("".join(lines), new, source, reference)


def definition_text(source: str, name: str) -> str:
    """The text of one function or method with its decorators, as it stands. Raises ConfigError when it is not there."""
    node = main_function(parse(source), name)
    if node is None:
        raise ConfigError(f"The source has no function '{name}'.")
    return "".join(split_lines(source)[first_line(node) - 1 : node.end_lineno])


def _parse_function(replacement: str) -> tuple[Function, Text]:
    """The definition in a text that may be indented, with the text as it was parsed."""
    if replacement[:1] in (" ", "\t"):
        replacement = "if True:\n" + replacement
    if not replacement.endswith("\n"):
        replacement += "\n"
    body = ast.parse(replacement).body
    if isinstance(body[0], ast.If):
        body = body[0].body
    if len(body) != 1 or not isinstance(body[0], Function):
        raise ConfigError("A replacement must be the text of exactly one function definition.")
    return body[0], Text(replacement)


def _indent_of(text: Text, line: int) -> str:
    indent = re.match(r"[ \t\f]*", text.lines[line - 1])
    return indent[0] if indent else ""


def _own_line(text: Text, node: ast.stmt) -> bool:
    """Whether nothing but space stands before the statement on its line."""
    if first_line(node) != node.lineno:
        return True
    start = text.offset(node.lineno, node.col_offset)
    return not text.source[text.offset(node.lineno, 0) : start].strip()


def _inner_indent(text: Text, node: Function, indent: str) -> str:
    return _indent_of(text, first_line(node.body[0])) if _own_line(text, node.body[0]) else indent + "    "


def _header(text: Text, node: Function) -> list[str]:
    """The lines from `def` to the colon, and comments that stand before the body."""
    first = node.body[0]
    if _own_line(text, first):
        return text.lines[node.lineno - 1 : first_line(first) - 1]
    start = text.offset(first.lineno, first.col_offset)
    return [text.source[text.offset(node.lineno, 0) : start].rstrip() + "\n"]


def _same_signature(old: Function, new: Function) -> bool:
    """Same parameters by name and kind, and no default in `new` that contradicts one in `old`."""

    def defaults(arguments: ast.arguments) -> dict[str, str]:
        positional = [*arguments.posonlyargs, *arguments.args]
        given = list(zip(reversed(positional), reversed(arguments.defaults), strict=False))
        given += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
        return {argument.arg: ast.dump(default) for argument, default in given}

    def names(arguments: ast.arguments) -> list[list[str]]:
        return [
            [a.arg for a in [*arguments.posonlyargs, *arguments.args]],
            [a.arg for a in arguments.kwonlyargs],
            [arguments.vararg.arg if arguments.vararg else "", arguments.kwarg.arg if arguments.kwarg else ""],
        ]

    before = defaults(old.args)
    return names(old.args) == names(new.args) and all(
        before.get(name) == default for name, default in defaults(new.args).items()
    )


def _body(text: Text, node: Function, inner: str) -> list[str]:
    """The statements of the body without the docstring, indented by `inner`."""
    statements = node.body[1:] if docstring_of(node) is not None else node.body
    if not statements:
        return []
    first = statements[0]
    if _own_line(text, first):
        return _reindent(text, node, first_line(first), node.end_lineno or 0, inner)
    lines = _reindent(text, node, first.lineno, node.end_lineno or 0, inner)
    start = text.offset(first.lineno, first.col_offset) - text.offset(first.lineno, 0)
    return [inner + text.lines[first.lineno - 1][start:], *lines[1:]]


def _reheader(text: Text, node: Function, indent: str) -> list[str]:
    last = node.lineno + len(_header(text, node)) - 1
    if _own_line(text, node.body[0]):
        return _reindent(text, node, node.lineno, last, indent)
    return [indent + line.lstrip() for line in _header(text, node)]


def _rename(lines: list[str], old: str, new: str) -> list[str]:
    return [re.sub(rf"\bdef\s+{re.escape(old)}\b", f"def {new}", lines[0], count=1), *lines[1:]]


def _reindent(
    text: Text, node: Function, first: int, last: int, indent: str, *, rename: tuple[str, str] | None = None
) -> list[str]:
    """Lines `first` to `last` moved to `indent`; the inside of a string that spans lines is left as it is."""
    inside = _string_lines(node)
    base = _indent_of(text, first)
    lines = []
    for number in range(first, last + 1):
        line = text.lines[number - 1]
        if number not in inside and line.strip():
            line = indent + (line[len(base) :] if line.startswith(base) else line.lstrip(" \t"))
        if rename and number == node.lineno:
            line = _rename([line], *rename)[0]
        lines.append(line)
    return lines


def _string_lines(node: ast.AST) -> set[int]:
    """The lines that begin inside a string."""
    return {
        line
        for part in ast.walk(node)
        if isinstance(part, ast.JoinedStr) or (isinstance(part, ast.Constant) and isinstance(part.value, str | bytes))
        for line in range(part.lineno + 1, (part.end_lineno or part.lineno) + 1)
    }


def _with_imports(spliced: str, new: Function, source: str, reference: str) -> str:
    """`spliced` with the imports of `reference` for names that the new definition needs and `source` lacks."""
    needed = {n.id for n in ast.walk(new) if isinstance(n, ast.Name)} - set(dir(builtins))
    missing = needed - _module_names(parse(source))
    if not missing:
        return spliced
    lines = [line for names, line in _imports(parse(reference).body) if missing & names]
    if not lines:
        return spliced
    body, place = parse(source).body, 0
    for statement in body:  # after the docstring and `from __future__`
        is_future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        is_doc = statement is body[0] and isinstance(statement, ast.Expr)
        if not is_future and not is_doc:
            break
        place = statement.end_lineno or 0
    before = split_lines(spliced)
    return "".join([*before[:place], *(f"{line}\n" for line in dict.fromkeys(lines)), *before[place:]])


def _imports(body: Sequence[ast.stmt]) -> Iterable[tuple[set[str], str]]:
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                bound = alias.asname or alias.name.split(".")[0]
                plain = ast.Import([alias]) if isinstance(statement, ast.Import) else None
                line = plain or ast.ImportFrom(
                    getattr(statement, "module", None), [alias], getattr(statement, "level", 0)
                )
                yield {bound}, ast.unparse(line)
        elif isinstance(statement, ast.If | ast.Try):
            yield from _imports([*statement.body, *statement.orelse])


def _module_names(tree: ast.Module) -> set[str]:
    """Names that the module's own statements bind."""
    bound: set[str] = set()
    stack: list[ast.AST] = list(tree.body)
    while stack:
        node = stack.pop()
        if isinstance(node, Function | ast.ClassDef):
            bound.add(node.name)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        if not isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            stack.extend(ast.iter_child_nodes(node))
    return bound

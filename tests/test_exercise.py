from __future__ import annotations

import ast
import itertools
import sysconfig
from pathlib import Path

import pytest

from groundup.checking import runs_python_lines
from groundup.course.material.exercise import definition_text, remove_bodies, splice
from groundup.course.material.source import Function, definitions, docstring_of, first_line, functions_named
from groundup.errors import ConfigError

STDLIB = Path(sysconfig.get_path("stdlib"))
REAL_FILES = (
    "abc.py argparse.py ast.py base64.py bisect.py calendar.py codecs.py collections/__init__.py configparser.py "
    "contextlib.py copy.py csv.py dataclasses.py difflib.py doctest.py enum.py fractions.py functools.py "
    "heapq.py inspect.py ipaddress.py json/decoder.py logging/__init__.py pathlib.py random.py shutil.py "
    "statistics.py string.py tarfile.py textwrap.py threading.py tokenize.py typing.py unittest/mock.py uuid.py"
).split()


def removed(source: str, *names: str) -> str:
    return remove_bodies(source, names)


def test_a_body_becomes_a_raise_and_the_docstring_stays():
    source = 'def dot(a, b):\n    """Sum of products."""\n    # the secret\n    return sum(a * b)  # told\n'
    assert removed(source, "dot") == (
        'def dot(a, b):\n    """Sum of products."""\n    raise NotImplementedError("Write dot.")\n'
    )


@pytest.mark.parametrize(
    ("source", "name", "expected"),
    [
        ("def f(x): return x  # told\n", "f", 'def f(x):\n    raise NotImplementedError("Write f.")\n'),
        ('def f(): "doc"; return 1\n', "f", 'def f():\n    "doc"\n    raise NotImplementedError("Write f.")\n'),
        ('def f():\n    """Doc."""\n', "f", 'def f():\n    """Doc."""\n    raise NotImplementedError("Write f.")\n'),
        (
            "class A:\n\tclass B:\n\t\tasync def f(self):\n\t\t\treturn 1\n",
            "A.B.f",
            'class A:\n\tclass B:\n\t\tasync def f(self):\n\t\t\traise NotImplementedError("Write A.B.f.")\n',
        ),
        (
            "@deco(1)  # kept\ndef f(\n    x,  # kept\n) -> int:  # kept\n    return x\n",
            "f",
            '@deco(1)  # kept\ndef f(\n    x,  # kept\n) -> int:  # kept\n    raise NotImplementedError("Write f.")\n',
        ),
        (
            "def f():\n    return 1\n    # told\n\n    # told\n\n\n# kept\nx = 1\n",
            "f",
            'def f():\n    raise NotImplementedError("Write f.")\n\n\n# kept\nx = 1\n',
        ),
    ],
)
def test_every_shape_of_definition(source: str, name: str, expected: str):
    assert removed(source, name) == expected


def test_a_property_loses_getter_and_setter_and_overloads_stay():
    source = (
        "class A:\n    @property\n    def x(self):\n        return 1\n\n"
        "    @x.setter\n    def x(self, v):\n        self.y = v\n\n"
        "    @typing.overload\n    def g(self, a: int) -> int: ...\n\n    def g(self, a):\n        return a\n"
    )
    result = removed(source, "A.x", "A.g")
    assert result.count('raise NotImplementedError("Write A.x.")') == 2
    assert "def g(self, a: int) -> int: ...\n" in result
    assert result.count('raise NotImplementedError("Write A.g.")') == 1


def test_imports_that_only_the_bodies_used_stay():
    source = "import math\nfrom os import path\n\n\ndef f():\n    return math.pi, path\n"
    assert removed(source, "f").startswith("import math\nfrom os import path\n\n\ndef f():\n")


def test_a_name_that_is_not_there_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"`write` names 'dto', which the source does not define. Did you mean dot\?"):
        removed("def dot(): return 1\n", "dto")
    with pytest.raises(ConfigError, match=r"names 'f.g', which the source does not define. It defines longer\."):
        removed("def longer():\n    def g():\n        return 1\n", "f.g")


def test_a_class_is_refused_and_asks_for_its_methods():
    with pytest.raises(ConfigError, match=r"names the class 'A' of the source: name its methods, as 'A.method'"):
        removed("class A:\n    def f(self): pass\n", "A")


def outside(source: str, names: set[str]) -> list[str]:
    """The lines outside the bodies of `names`, found in a way that shares nothing with LibCST."""
    lines, gone = source.split("\n"), set()
    tree = ast.parse(source)
    for name in names:
        for node in functions_named(tree, name):
            document, end = docstring_of(node), node.end_lineno or 0
            head = document.lineno if document else first_line(node.body[0])
            start = (document.end_lineno or 0) + 1 if document else head
            gone.update(range(start, end + 1))
            gone.update(range(header_end(node, lines) + 1, head))
            last = end
            for number in range(end + 1, len(lines) + 1):  # comments that trail inside the body
                text = lines[number - 1]
                indent = len(text) - len(text.lstrip())
                if text.strip() and not (text.lstrip().startswith("#") and indent > node.col_offset):
                    break
                last = number if text.strip() else last
            gone.update(range(end + 1, last + 1))
    return [line for number, line in enumerate(lines, 1) if number not in gone]


def header_end(node: Function, lines: list[str]) -> int:
    """The last line of the signature: the last before the body that is neither blank nor a comment."""
    end = first_line(node.body[0]) - 1
    while not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#"):
        end -= 1
    return end


def on_header_line(node: Function, lines: list[str]) -> bool:
    """Whether the body begins on the line of the signature's colon."""
    before = lines[node.body[0].lineno - 1].encode()[: node.body[0].col_offset]
    return bool(before.strip()) and first_line(node.body[0]) == node.body[0].lineno


@pytest.mark.parametrize("name", REAL_FILES)
def test_real_files_keep_every_byte_outside_the_bodies(name: str):
    source = (STDLIB / name).read_text(encoding="utf-8")
    tree, lines = ast.parse(source), source.split("\n")
    functions = {n for n, node in definitions(tree) if isinstance(node, Function)}
    one_liners = {n for n in functions if any(on_header_line(f, lines) for f in functions_named(tree, n))}
    names = {n for n in functions - one_liners if functions_named(tree, n)}
    assert names
    result = remove_bodies(source, sorted(names))
    written = ast.parse(result)
    assert outside(source, names) == outside(result, names)
    for (before, old), (after, new) in zip(definitions(tree), definitions(written), strict=True):
        assert before == after
        assert ast.get_docstring(old, clean=False) == ast.get_docstring(new, clean=False)
    for found in names:
        for node in functions_named(written, found):
            body = node.body[1:] if docstring_of(node) else node.body
            assert [ast.unparse(b) for b in body] == [f"raise NotImplementedError('Write {found}.')"]


REFERENCE = '''"""Module."""
from __future__ import annotations

import math
import numpy as np
from scipy.special import expit as sigmoid


def dot(a: list, b: list, scale: float = 1.0) -> float:
    """Sum of products."""
    return scale * float(np.sum(np.multiply(a, b)))


class Dense:
    def __init__(self, w):
        self.w = w

    @property
    def size(self) -> int:
        """How many."""
        return len(self.w)

    @size.setter
    def size(self, value):
        self.w = self.w[:value]
'''


def test_a_mistake_takes_the_body_and_leaves_name_signature_and_docstring():
    mistake = 'def forgets(a, b, scale):\n    """You forgot."""\n    c = a\n    return c\n'
    result = splice(REFERENCE, "dot", mistake, reference=REFERENCE)
    assert 'def dot(a: list, b: list, scale: float = 1.0) -> float:\n    """Sum of products."""\n    c = a\n' in result
    assert "forgets" not in result
    assert "You forgot" not in result


def test_another_default_or_other_parameters_bring_their_signature():
    other_default = "def m(a, b, scale=2.0):\n    return 0\n"
    assert "def dot(a, b, scale=2.0):\n" in splice(REFERENCE, "dot", other_default, reference=REFERENCE)
    other_names = "def m(\n    u,\n    v,\n):\n    return 0\n"
    assert "def dot(\n    u,\n    v,\n):\n    " in splice(REFERENCE, "dot", other_names, reference=REFERENCE)


def test_a_method_is_indented_again_but_not_the_inside_of_its_strings():
    mistake = 'def m(self, w):\n    if w:\n        self.t = """a\n  b"""\n    # note\n    self.w = w\n'
    result = splice(REFERENCE, "Dense.__init__", mistake, reference=REFERENCE)
    assert (
        '    def __init__(self, w):\n        if w:\n            self.t = """a\n  b"""\n        # note\n        self.w'
    ) in result


def test_a_property_keeps_its_decorators_and_its_setter():
    result = splice(REFERENCE, "Dense.size", "def m(self):\n    return 3\n", reference=REFERENCE)
    assert (
        '    @property\n    def size(self) -> int:\n        """How many."""\n        return 3\n\n    @size.sett'
        in result
    )
    assert "self.w = self.w[:value]" in result


def test_one_line_definitions_on_either_side():
    assert splice("def f(x): return x\n", "f", "def g(x): return (x +\n  1)", reference="") == (
        "def f(x):\n    return (x +\n      1)\n"
    )
    assert splice('def f(x): "doc"; return x\n', "f", "def g(x): pass", reference="") == (
        'def f(x):\n    "doc"\n    pass\n'
    )
    assert splice("def f(x): return x\n", "f", 'def g(y): "only a diagnosis"', reference="") == (
        "def f(y):\n    pass\n"
    )


def test_imports_that_the_source_lacks_come_from_the_reference():
    source = '"""Mine."""\nfrom __future__ import annotations\n\ndef dot(a, b):\n    return a @ b\n'
    result = splice(source, "dot", "def m(a, b):\n    return np.dot(a, sigmoid(b))\n", reference=REFERENCE)
    assert result.startswith(
        '"""Mine."""\nfrom __future__ import annotations\nimport numpy as np\n'
        "from scipy.special import expit as sigmoid\n"
    )
    assert "import math" not in result


def test_whole_takes_decorators_signature_and_docstring():
    source = "class Dense:\n  def size(self, extra=1):\n    '''Mine.'''\n    return 0\n  y = 1\n"
    result = splice(source, "Dense.size", definition_text(REFERENCE, "Dense.size"), reference=REFERENCE, whole=True)
    assert '  @property\n  def size(self) -> int:\n      """How many."""\n      return len(self.w)\n  y = 1\n' in result
    assert "Mine" not in result


@pytest.mark.parametrize("whole", [True, False])
def test_the_reference_spliced_into_itself_is_itself(whole: bool):
    spliced = 0
    for name in REAL_FILES[::4]:
        source = (STDLIB / name).read_text(encoding="utf-8")
        tree = ast.parse(source)
        for target in [n for n, node in definitions(tree) if isinstance(node, Function)][::40]:
            if len(functions_named(tree, target)) == 1:
                spliced += 1
                result = splice(source, target, definition_text(source, target), reference=source, whole=whole)
                assert ast.dump(ast.parse(result)) == ast.dump(tree), (name, target)
    assert spliced > 10


def test_a_target_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="The source has no function 'nope' to replace"):
        splice(REFERENCE, "nope", "def m(): pass", reference=REFERENCE)
    with pytest.raises(ConfigError, match="exactly one function definition"):
        splice(REFERENCE, "dot", "x = 1", reference=REFERENCE)


def test_a_splice_leaves_parsing_to_pythons_own_parser():
    source = (STDLIB / "heapq.py").read_text(encoding="utf-8")  # 600 lines: longer than an implementation may be
    values = itertools.count()  # another body each time, so that nothing is remembered

    def replace() -> None:
        splice(source, "heappush", f"def m(heap, item):\n    return {next(values)}\n", reference=source)

    replace()
    # A look at each node of the tree takes 11 lines a line of source; a tokenizer written in Python would take 170.
    assert not runs_python_lines(replace, limit=30 * source.count("\n"))


def test_a_source_that_is_not_python_is_named_with_its_line():
    with pytest.raises(ConfigError, match=r"^shop/cart\.py is not valid Python \(line 2\)\. Correct it there\.$"):
        remove_bodies("x = 1\ndef (:\n", ["f"], where="shop/cart.py")

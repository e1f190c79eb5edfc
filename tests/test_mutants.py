from __future__ import annotations

import ast
import sysconfig
from pathlib import Path

import pytest

from groundup.course.author.mutants import drawn, mutants
from groundup.course.material.source import Function, definitions, functions_named
from groundup.errors import ConfigError

SOURCE = '''"""Module docstring: 1 + 1."""
import numpy as np


def untouched(x):
    return x + 1


def dot(a: "n+1", b, scale=0.5, *, keepdims=True):
    """Docstring: a + b, not 0."""
    if a.ndim != 1 or not b.size:
        raise ValueError(f"a must be 1-D, got {a.ndim + 0}; " + "1 + 1")
    assert a.size > 0
    total: float = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    a = a - 1
    return np.exp(total) + np.sum(np.subtract(a.T, b[1:]), axis=0, keepdims=keepdims) @ b[:, None]
'''


def changed(source: str, name: str = "f") -> dict[str, str]:
    """The line that each mutant changed, by id."""
    lines = source.splitlines()
    return {
        m.id: next((new for old, new in zip(lines, m.source.splitlines(), strict=False) if old != new), "").strip()
        for m in mutants(source, [name])
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return a + b", {"f:sub-for-add:1": "return (a - b)", "f:none-for-return:1": "return None"}),
        ("return a - b", {"f:add-for-sub:1": "return (a + b)", "f:swap-operands:1": "return (b - a)"}),
        ("return a * b / c", {"f:div-for-mul:1": "return (a / b) / c", "f:mul-for-div:1": "return (a * b * c)"}),
        ("return a @ b", {"f:mul-for-matmul:1": "return (a * b)", "f:swap-operands:1": "return (b @ a)"}),
        ("return a < b", {"f:le-for-lt:1": "return (a <= b)", "f:ge-for-lt:1": "return (a >= b)"}),
        ("return a and b", {"f:or-for-and:1": "return (a or b)", "f:drop-condition:1": "return b"}),
        ("return not a", {"f:no-not:1": "return a"}),
        ("return -a", {"f:no-minus:1": "return a"}),
        ("return 0", {"f:plus-one:1": "return 1"}),
        ("return 1", {"f:plus-one:1": "return 2", "f:zero-for-one:1": "return 0"}),
        ("return -1", {"f:plus-one:1": "return 0"}),
        ("return 0.5", {"f:doubled:1": "return (1.0)", "f:negated:1": "return (-0.5)"}),
        ("return 1e-12", {"f:zeroed:1": "return 0.0", "f:thousandth-for-tiny:1": "return 1e-3"}),
        ("return g(a, True)", {"f:flip:1": "return g(a, False)", "f:swap-arguments:1": "return g(True, a)"}),
        ("return np.exp(a)", {"f:drop-call-exp:1": "return a"}),
        ("return a.copy()", {"f:drop-call-copy:1": "return a"}),
        ("return a.T @ b", {"f:drop-transpose:1": "return a @ b"}),
        ("return a.sum(axis=0)", {"f:plus-one:1": "return a.sum(axis=1)", "f:drop-keyword-axis:1": "return a.sum()"}),
        (
            "return a.sum(axis=-1)",
            {"f:plus-one:1": "return a.sum(axis=0)", "f:mean-for-sum:1": "return a.mean(axis=-1)"},
        ),
        ("return a[1:n]", {"f:drop-lower:1": "return a[:n]", "f:drop-upper:1": "return a[1:]"}),
        ("return a[:, None]", {"f:drop-newaxis:1": "return a"}),
        ("a += b", {"f:assign-for-augassign:1": "a = b", "f:sub-for-add:1": "a -= b", "f:drop-statement:1": "pass"}),
        ("a = a * 2", {"f:augassign-for-assign:1": "a *= 2", "f:drop-statement:1": "pass"}),
        ("a.x = b", {"f:drop-statement:1": "pass"}),
        ("return b if a else c", {"f:always:1": "return b if True else c", "f:never:1": "return b if False else c"}),
        ("raise ValueError('1' + '2')", {"f:drop-raise:1": "pass"}),
        ("return [x for x in a if x]", {"f:never:1": "return [x for x in a if False]"}),
    ],
)
def test_every_operator_changes_what_it_says(body: str, expected: dict[str, str]):
    found = changed(f"import numpy as np\ndef f(a, b, c, n):\n    {body}\n")
    assert expected.items() <= found.items(), found


def test_the_whole_set_for_a_small_function_is_known():
    assert set(changed("def f(a, b=1):\n    c = a\n    return c + b\n")) == {
        "f:plus-one:1", "f:zero-for-one:1", "f:sub-for-add:1", "f:none-for-return:1",
    }  # fmt: skip


def test_conditions_loops_and_with_blocks():
    found = changed(
        "def f(a):\n    if a:\n        g()\n    for x in a:\n        g(x)\n    with np.errstate():\n        h(a)\n"
    )
    assert found["f:always:1"] == "if True:"
    assert found["f:never:1"] == "if False:"
    assert found["f:drop-loop:1"] == "pass"
    assert found["f:drop-with:1"] == "if True:"
    assert found["f:drop-statement:2"] == "pass"


def test_docstrings_annotations_messages_asserts_and_other_functions_are_left_alone():
    for mutant in mutants(SOURCE, ["dot"]):
        for kept in (
            '"""Module docstring: 1 + 1."""\n',
            "    return x + 1\n",
            'def dot(a: "n+1", b,',
            '    """Docstring: a + b, not 0."""\n',
            "    assert a.size > 0\n",
        ):
            assert kept in mutant.source, mutant
        assert (
            "pass" in mutant.source
            or 'raise ValueError(f"a must be 1-D, got {a.ndim + 0}; " + "1 + 1")' in mutant.source
        )


def test_no_mutant_equals_the_original_or_another():
    trees = [ast.dump(ast.parse(m.source)) for m in mutants(SOURCE, ["dot"])]
    assert len(trees) == len(set(trees)) > 25
    assert ast.dump(ast.parse(SOURCE)) not in trees


def test_ids_are_unique_and_survive_unrelated_edits():
    before = {m.id: m.description.split(": ", 1)[1] for m in mutants(SOURCE, ["dot"])}
    edited = SOURCE.replace("import numpy as np\n", "import numpy as np\n\nEXTRA = 1 + 1\n\n").replace(
        "    assert a.size > 0\n", "    # a comment\n    label = 'x'\n"
    )
    after = {m.id: m.description.split(": ", 1)[1] for m in mutants(edited, ["dot"])}
    assert before == after


def test_the_description_says_line_and_change():
    (mutant,) = [m for m in mutants("def f(a):\n    return a + 'é' + a\n", ["f"]) if m.id == "f:none-for-return:1"]
    assert mutant.line == 2
    assert mutant.description == "line 2: `return a + 'é' + a` became `return None`"


def test_a_draw_takes_an_even_share_of_each_function_and_operator_in_order():
    sizes = {("f", "a"): 60, ("f", "b"): 300, ("g", "a"): 30, ("h", "c"): 3, ("h", "d"): 207}
    every = [f"{f}:{operator}:{n}" for (f, operator), size in sizes.items() for n in range(size)]
    taken = drawn(every, 200)
    assert len(set(taken)) == 200
    assert taken == [name for name in every if name in set(taken)]
    for (f, operator), size in sizes.items():
        assert abs(sum(name.startswith(f"{f}:{operator}:") for name in taken) - size / 3) <= 1
    assert taken == drawn(every, 200) != drawn(every, 200, seed=1)
    assert drawn(every[:200], 200) == every[:200]


def test_a_method_in_a_deep_place_with_strings_over_lines_is_changed_where_it_stands():
    source = (
        "if True:\n    class A:\n        @staticmethod\n        def f(a, b):\n            c = '''\nx\n'''\n"
        "            return a + b  # é\n\n\nX = 1\n"
    )
    found = {m.id: m.source for m in mutants(source, ["A.f"])}
    assert found["A.f:sub-for-add:1"] == source.replace("return a + b", "return (a - b)")


def test_methods_are_named_by_their_class():
    source = "class A:\n    @property\n    def f(self):\n        return self.x + 1\n"
    assert "A.f:sub-for-add:1" in {m.id for m in mutants(source, ["A.f"])}


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="There is no function 'nope' to mutate"):
        mutants(SOURCE, ["nope"])


@pytest.mark.parametrize("name", ["bisect.py", "heapq.py", "textwrap.py", "fractions.py"])
def test_mutants_of_real_files_parse_and_change_one_function(name: str):
    source = (Path(sysconfig.get_path("stdlib")) / name).read_text(encoding="utf-8")
    functions = [n for n, node in definitions(ast.parse(source)) if isinstance(node, Function)]
    target = max(functions, key=lambda n: sum(len(ast.dump(f)) for f in functions_named(ast.parse(source), n)))
    found = mutants(source, [target])
    assert len(found) > 10
    original = {n: ast.dump(node) for n, node in definitions(ast.parse(source)) if isinstance(node, Function)}
    for mutant in found:
        now = {n: ast.dump(node) for n, node in definitions(ast.parse(mutant.source)) if isinstance(node, Function)}
        assert {n for n in original if now[n] != original[n]} == {target}

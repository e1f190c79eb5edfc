"""What a unit forbids is refused with its line, however it is reached; what only looks like it is not."""

import dataclasses
import textwrap

import pytest

from groundup.course.grader import Grader
from groundup.course.grader.forbidden import Rule, first_use
from groundup.course.grader.request import packages, rules
from groundup.course.material.catalogue import STACK
from groundup.course.material.exercise import write_exercise
from groundup.course.material.unit import Forbidden, Unit, load_unit
from tests.grader.submissions import HEADS, HERE, RIGHT, WRONG, assert_refused, below, inside, line_of

RULES = [
    Rule(name="torch.nn.functional.scaled_dot_product_attention", why="Build it."),
    Rule(name="torch.nn.MultiheadAttention", why="Build it."),
    Rule(name="torch.nn.attention", why="Build it."),
    Rule(name="numpy.dot", why="Build it."),
    Rule(name="scipy", why="Build it."),
]

USES = {
    "attribute": "import torch\nx = torch.nn.MultiheadAttention(4, 1)  # here",
    "alias of a module": "import torch.nn as layers\nx = layers.MultiheadAttention(4, 1)  # here",
    "alias of a submodule": "import torch.nn.functional as F\nx = F.scaled_dot_product_attention  # here",
    "from": "from torch.nn import MultiheadAttention  # here",
    "from, renamed": "from torch.nn.functional import scaled_dot_product_attention as mix  # here",
    "from a package": "from torch import nn\nclass Mine(nn.MultiheadAttention):  # here\n    pass",
    "from its home": "from torch.nn.modules.activation import MultiheadAttention  # here",
    "at another place": "import torch\nx = torch._C._nn.scaled_dot_product_attention  # here",
    "star": "from torch.nn import *\nx = MultiheadAttention(4, 1)  # here",
    "inside a function": "def f(q):\n    from torch.nn import functional\n"
    "    return functional.scaled_dot_product_attention(q, q, q)  # here",
    "an assigned alias": "import torch\nfunctional = torch.nn.functional\n"
    "def f(q):\n    return functional.scaled_dot_product_attention(q, q, q)  # here",
    "one of two": "import torch, math\nf = torch.nn if math.pi else math\nx = f.MultiheadAttention  # here",
    "a tuple of aliases": "import torch\na, b = torch.nn, torch\nx = a.MultiheadAttention  # here",
    "getattr": "import torch\nx = getattr(torch.nn, 'MultiheadAttention')  # here",
    "vars": "import torch\nx = vars(torch.nn)['MultiheadAttention']  # here",
    "__dict__": "import torch\nx = torch.nn.__dict__['MultiheadAttention']  # here",
    "import_module": "import importlib\nx = importlib.import_module('torch.nn').MultiheadAttention  # here",
    "import_module by name": "from importlib import import_module as load\nx = load('scipy.special')  # here",
    "__import__": "x = __import__('scipy')  # here",
    "a module": "import torch.nn.attention.flex_attention  # here",
    "a module of a package": "from torch.nn import attention  # here",
    "a whole package": "from scipy.special import expit  # here",
    "in a default": "import numpy as np\ndef f(x, by=np.dot):  # here\n    pass",
    "in an annotation": "import torch\ndef f(x: torch.nn.MultiheadAttention):  # here\n    pass",
    "in a decorator": "import numpy as np\n@np.dot  # here\ndef f(x):\n    pass",
    "in a lambda": "import numpy as np\nf = lambda x: np.dot(x, x)  # here",
    "in a comprehension": "import numpy as np\nf = [np.dot(x, x) for x in ()]  # here",
    "in a method": "import numpy as np\nclass A:\n    def f(self):\n        return np.dot(self, self)  # here",
    "as a method of the class": "import numpy as np\nf = np.ndarray.dot  # here",
    "the script's part, if it is made to run": "__name__ = '__main__'\n"
    "if __name__ == '__main__':\n    import scipy  # here",
}

NOT_USES = {
    "an own function": "def scaled_dot_product_attention(q):\n    return q\nx = scaled_dot_product_attention(1)",
    "an own class": "class MultiheadAttention:\n    pass\nx = MultiheadAttention()",
    "an own class beside a star": "from torch.nn import *\nclass MultiheadAttention: pass\nx = MultiheadAttention()",
    "an own method": "class A:\n    def dot(self, x):\n        return x\nx = A().dot(1)",
    "an own attribute": "class A:\n    pass\na = A()\na.dot = 1\nx = a.dot",
    "a parameter": "import numpy as np\ndef f(np):\n    return np.dot(np)",
    "a variable": "import numpy as np\ndef f(x):\n    dot = x * x\n    return dot.sum()",
    "a variable of a module's name": "from torch.nn import functional as F\ndef f(x):\n    F = x\n"
    "    return F.scaled_dot_product_attention",
    "a text": '"""torch.nn.MultiheadAttention and scipy"""\nx = "import scipy"  # numpy.dot',
    "another name of the package": "import torch\nx = torch.nn.Linear(4, 4)\ny = torch.softmax",
    "a longer name": "import numpy as np\nx = np.dot_product",
    "a package of a similar name": "import scipyx",
    "what is run as a script": "if __name__ == '__main__':\n    import scipy, pytest\n    pytest.main()",
    "the module of a class": "class A:\n    import numpy as np\ndef f(np):\n    return np.dot",
}


def use_in(source: str, allowed: tuple[str, ...] = (), reference: str = ""):
    module = "groundup.stack.deep.mine.mine"
    return first_use(source, module=module, rules=RULES, packages=allowed, reference=reference)


@pytest.mark.parametrize("source", USES.values(), ids=USES)
def test_a_use_is_found_with_its_line_and_its_reason(source: str):
    use = use_in(source)
    assert use is not None
    assert use.line == line_of(source)
    assert use.why == "Build it."


@pytest.mark.parametrize("source", NOT_USES.values(), ids=NOT_USES)
def test_what_only_has_the_name_is_no_use(source: str):
    assert use_in(source) is None


def test_the_first_of_several_uses_is_named():
    use = use_in("import numpy as np\n\nx = np.dot\nimport scipy\n")
    assert use is not None
    assert (use.line, use.what) == (3, "uses `numpy.dot`")


@pytest.mark.parametrize(
    "source",
    [
        "from groundup.stack.deep.mine import attend",
        "from groundup.stack.deep.mine.mine import attend",
        "from . import mine",
        "from .mine import attend",
        "import groundup.stack.deep.mine.mistakes",
        "from groundup.stack.deep.later import attend",
        "from ..later import attend",
        "import groundup.course.grader",
        "from groundup.checking import assert_close",
        "import groundup\nx = groundup.stack.deep.later",
        "import importlib\nimportlib.import_module('groundup.stack.deep.later')",
    ],
)
def test_of_groundup_only_the_units_that_this_one_builds_on_may_be_used(source: str):
    use = use_in(source, ("groundup.stack.deep.earlier",))
    assert use is not None
    assert "earlier" in use.why
    assert (
        use_in("import groundup.stack.deep.earlier\nfrom ..earlier import x", ("groundup.stack.deep.earlier",)) is None
    )


def test_what_a_unit_builds_on_includes_what_that_builds_on():
    assert set(packages(load_unit(STACK / "deep" / "mlp"))) == {
        "groundup.stack.bedrock.vectors",
        "groundup.stack.classical.logistic_regression",
    }


@pytest.mark.parametrize("folder", sorted(p.parent for p in STACK.glob("*/*/unit.toml")), ids=lambda p: p.name)
def test_every_rule_of_a_unit_is_kept_by_its_implementation_and_refuses_a_use(folder):
    unit = load_unit(folder)
    reference = unit.implementation.read_text(encoding="utf-8")

    def use(source: str):
        return first_use(
            source,
            module=unit.implementation_module,
            rules=rules(unit),
            packages=packages(unit),
            reference=reference,
        )

    assert use(reference) is None
    assert use(write_exercise(unit)) is None
    for forbidden in unit.forbidden:
        root = forbidden.name.split(".")[0]
        found = use(f"{reference}\nimport {root}\nx = {forbidden.name}\n")
        assert found is not None
        assert found.why == forbidden.why


def test_a_forbidden_name_is_refused_before_anything_runs(grader: Grader, unit: Unit):
    source = inside("import os\nfrom scipy.special import softmax  # here\nos._exit(0)")
    verdict = grader.grade(unit, source)
    assert_refused(verdict, source, "your code uses `scipy.special.softmax`. It is what you are building.")
    assert {check.outcome for check in verdict.checks} == {"not_run"}


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import ctypes  # here", "ctypes"),
        ("from ctypes import CDLL  # here", "ctypes.CDLL"),
        ("import numpy as np\nnp.ctypeslib  # here", "numpy.ctypeslib"),
        ("import cffi  # here", "cffi"),
        ("__import__('cty' + 'pes')  # here", "ctypes"),
    ],
)
def test_a_way_behind_pythons_back_is_refused(code: str, name: str, grader: Grader, unit: Unit):
    source = inside(code)
    assert_refused(
        grader.grade(unit, source), source, f"your code uses `{name}`. An exercise is Python: the grader cannot watch"
    )


def test_an_arrays_address_may_be_read(grader: Grader, unit: Unit):
    assert grader.grade(unit, inside("np.zeros(1).ctypes.data")).verdict == "passed"


def test_a_neighbour_of_a_forbidden_name_may_be_used(grader: Grader, unit: Unit):
    assert grader.grade(unit, inside("from scipy.special import expit\nexpit(0.0)")).verdict == "passed"


# Names that are put together only while the program runs.
DYNAMIC = {
    "import_module": "import importlib\nimportlib.import_module('numpy.lin' + 'alg')  # here",
    "__import__": "__import__('numpy.lin' + 'alg')  # here",
    "exec": "exec('import numpy.lin' + 'alg')  # here",
    "exec elsewhere": "exec('import numpy.lin' + 'alg', {})  # here",
    "eval": "eval('__import__(\"numpy.lin' + 'alg\")')  # here",
    "resolve_name": "import pkgutil\npkgutil.resolve_name('numpy.lin' + 'alg:norm')  # here",
    "a function": "import scipy.special\ngetattr(scipy.special, 'soft' + 'max')([1.0])  # here",
    "a function by map": "import scipy.special\nlist(map(getattr(scipy.special, 'soft' + 'max'), [[1.0]]))  # here",
    "a function by attrgetter": "import operator, scipy.special\n"
    "operator.attrgetter('special.soft' + 'max')(scipy)([1.0])  # here",
}


@pytest.mark.parametrize("code", DYNAMIC.values(), ids=DYNAMIC)
def test_a_name_put_together_at_run_time_is_refused_when_it_is_used(code: str, grader: Grader, unit: Unit):
    source = inside("try:\n" + textwrap.indent(code, "    ") + "\nexcept PermissionError:\n    pass")
    assert_refused(grader.grade(unit, source), source)


@pytest.mark.parametrize("way", ["import tabnanny", "import importlib\ntabnanny = importlib.import_module('tabnanny')"])
def test_a_function_of_a_module_that_is_loaded_later_is_refused(way: str, grader: Grader, unit: Unit):
    unit = dataclasses.replace(unit, forbidden=(Forbidden("tabnanny.errprint", "Build it."),))
    source = inside(f"{way}\ngetattr(tabnanny, 'err' + 'print')()  # here")
    verdict = grader.grade(unit, source)
    assert_refused(verdict, source, "your code uses `tabnanny.errprint`. Build it.")
    assert verdict.checks[0].outcome == "failed"  # at its first use


@pytest.fixture(scope="module")
def heads() -> Unit:
    return load_unit(HEADS)


def test_the_checks_may_use_what_the_exercise_may_not(grader: Grader, heads: Unit):
    verdict = grader.grade(heads, heads.implementation.read_text(encoding="utf-8"))
    assert verdict.verdict == "passed", verdict


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("F = torch.nn.functional\n    return F.scaled_dot_product_attention(queries, keys, values)", "scaled_dot"),
        (
            "return getattr(torch.nn.functional, 'scaled_dot_product_' + 'attention')(queries, keys, values)",
            "scaled_dot",
        ),
        ("torch.nn.modules.activation.__dict__['Multihead' + 'Attention'](8, 1)\n    return values", "Multihead"),
    ],
)
def test_ready_made_attention_is_refused(code: str, name: str, grader: Grader, heads: Unit):
    source = heads.implementation.read_text(encoding="utf-8")
    source = source.replace("    scores =", f"    {code}\n    scores =")
    verdict = grader.grade(heads, source)
    assert verdict.verdict == "refused"
    assert verdict.message.startswith("exercises/deep/heads.py:1")
    assert verdict.message.endswith("It is what you are building.")
    assert name in verdict.message


def test_attention_of_ones_own_may_have_the_name(grader: Grader, heads: Unit):
    source = heads.implementation.read_text(encoding="utf-8")
    source = source.replace("def attend(", "def scaled_dot_product_attention(")
    verdict = grader.grade(heads, source + "\n\nattend = scaled_dot_product_attention\n")
    assert verdict.verdict == "passed", verdict.message


def test_a_wrong_submission_is_not_refused_for_its_tests(grader: Grader, unit: Unit):
    source = below("if __name__ == '__main__':\n    import pytest\n    pytest.main()", WRONG)
    assert grader.grade(unit, source, diagnose=False).verdict == "failed"
    assert HERE not in RIGHT

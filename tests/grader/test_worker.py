"""What a worker has imported before a verdict is what the units' checks import."""

import ast
import subprocess
import sys

import pytest

from groundup.course.grader import Grader
from groundup.course.grader.request import libraries
from groundup.course.grader.worker import imported_by_units
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.unit import load_unit
from tests.grader.submissions import SUMS


@pytest.mark.parametrize("runtime", ["numpy", "torch"])
def test_every_package_that_checks_import_first_is_there_before_them(runtime: str) -> None:
    imported = set(imported_by_units(runtime))
    for unit in Catalogue().units.values():
        if unit.runtime == runtime:
            for node in ast.parse(unit.checks.read_text(encoding="utf-8")).body:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                others = {n for n in names if n.partition(".")[0] not in {"groundup", *sys.stdlib_module_names}}
                assert others <= imported, unit.id
    assert "numpy" in imported
    assert ("torch" in imported) == (runtime == "torch")


def test_finding_out_imports_no_unit() -> None:
    script = (
        "import sys\nfrom groundup.course.grader.worker import imported_by_units\nimported_by_units('numpy')\n"
        "print([name for name in sys.modules if name.startswith('groundup.stack.') or name in ('numba', 'sklearn')])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_the_units_below_import_is_known_before_a_verdict() -> None:
    """Scikit-learn brings `six`, which adds to `sys.meta_path`: in the submission that looks like tampering."""
    assert {"numpy", "sklearn.base"} <= set(libraries(Catalogue().unit("mlp")))
    assert libraries(load_unit(SUMS)) == ["numpy"]


@pytest.mark.slow
def test_the_first_verdict_of_a_fresh_grader_is_as_good_as_any_other() -> None:
    unit = Catalogue().unit("mlp")
    with Grader() as fresh:
        assert fresh.grade(unit, unit.implementation.read_text(encoding="utf-8"), diagnose=False).passed

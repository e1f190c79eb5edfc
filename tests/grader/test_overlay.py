"""A learner's file takes the place of the implementation, by whatever name and way that is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from groundup.course.grader import Grader
from groundup.course.material.unit import Unit, load_unit
from groundup.errors import CannotJudge
from tests.grader.submissions import MEANS, RIGHT, STACK, WRONG


@pytest.fixture(scope="module")
def means() -> Unit:
    return load_unit(MEANS)


@pytest.fixture(scope="module")
def right(means: Unit) -> str:
    return means.implementation.read_text(encoding="utf-8")


WAYS = {
    "import": "import groundup.stack.bedrock.sums.sums\ntotal = groundup.stack.bedrock.sums.sums.total",
    "import as": "import groundup.stack.bedrock.sums.sums as module\ntotal = module.total",
    "import of the package": "import groundup.stack.bedrock.sums\ntotal = groundup.stack.bedrock.sums.total",
    "from the module": "from groundup.stack.bedrock.sums.sums import total",
    "from the package": "from groundup.stack.bedrock.sums import total",
    "from the package, renamed": "from groundup.stack.bedrock.sums import total as renamed\ntotal = renamed",
    "the package from its phase": "from groundup.stack.bedrock import sums\ntotal = sums.total",
    "the module from the package": "from groundup.stack.bedrock.sums import sums\ntotal = sums.total",
    "star": "from groundup.stack.bedrock.sums import *",
    "import_module": "import importlib\ntotal = importlib.import_module('groundup.stack.bedrock.sums.sums').total",
    "__import__": "total = __import__('groundup.stack.bedrock.sums.sums', fromlist=['total']).total",
    "reload": "import importlib\nimport groundup.stack.bedrock.sums.sums as module\n"
    "total = importlib.reload(module).total",
    "pickle": "import pickle\ntotal = pickle.loads(b'cgroundup.stack.bedrock.sums.sums\\ntotal\\n.')",
    "runpy": "import runpy\ntotal = runpy.run_module('groundup.stack.bedrock.sums.sums')['total']",
}
# Every way in turn, in a process of its own: with the reference imported before by the same way, and without.
PROGRAM = """
import json, sys
from pathlib import Path
from groundup.course.grader import overlay

folder, mine, ways = json.load(sys.stdin)
overlay.add_unit_folder("groundup.stack.bedrock.sums", Path(folder))
answers = {}
for name, way in ways.items():
    for before in (False, True):
        if before:
            overlay.forget_units()
            exec(way, {})
        finder = overlay.install({"groundup.stack.bedrock.sums.sums": ("mine.py", mine)})
        names = {}
        exec(way, names)
        answers[f"{name}, {before}"] = names["total"]([1.0, 2.0]), names["total"].__code__.co_filename
        sys.meta_path.remove(finder)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers() -> dict[str, list[object]]:
    given = json.dumps([str(STACK / "bedrock" / "sums"), WRONG, WAYS])
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("before", [False, True], ids=["first", "imported before"])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_import_a_unit_finds_the_learners_file(way: str, before: bool, answers: dict[str, list[object]]):
    assert answers[f"{way}, {before}"] == [4.0, "mine.py"]


def test_the_names_that_a_package_re_exports_are_the_learners(grader: Grader, means: Unit, right: str):
    source = right.replace("return total(values) / len(values)", "return total(values) + len(values)")
    verdict = grader.grade(means, source, diagnose=False)
    assert [(check.name, check.outcome) for check in verdict.checks] == [
        ("test_mean_by_hand", "failed"),
        ("test_every_way_leads_to_one_function", "passed"),
    ]
    assert "got      8." in verdict.checks[0].message


def test_other_units_are_the_reference(grader: Grader, means: Unit, right: str):
    verdict = grader.grade(means, right)
    assert verdict.verdict == "passed"
    assert verdict.mine == ()


def test_other_units_are_the_learners_where_they_are_given(grader: Grader, means: Unit, right: str):
    verdict = grader.grade(means, right, overlay={"bedrock/sums": WRONG}, diagnose=False)
    assert verdict.verdict == "failed"
    assert verdict.mine == ("bedrock/sums",)
    assert [check.outcome for check in verdict.checks] == ["failed", "failed"]
    assert verdict.checks[1].message == (
        "totals([2, 4]) is 6 by every way\n  expected [6., 6., 6., 6., 6., 6., 6.]\n"
        "  got      [7., 7., 7., 7., 7., 7., 7.]"
    )
    assert grader.grade(means, right, overlay={"bedrock/sums": RIGHT}).verdict == "passed"


def test_the_submission_goes_before_an_overlay_of_its_own_unit(grader: Grader, unit: Unit):
    verdict = grader.grade(unit, RIGHT, overlay={"bedrock/sums": WRONG})
    assert verdict.verdict == "passed"
    assert verdict.mine == ()


def test_the_next_verdict_knows_nothing_of_an_overlay(grader: Grader, means: Unit, right: str):
    assert grader.grade(means, right, overlay={"bedrock/sums": WRONG}, diagnose=False).verdict == "failed"
    assert grader.grade(means, right).verdict == "passed"


def test_a_fault_in_an_overlay_is_told_with_its_file(grader: Grader, means: Unit, right: str):
    verdict = grader.grade(means, right, overlay={"bedrock/sums": "import nowhere_at_all\n"})
    assert verdict.verdict == "crashed"
    assert "No module named 'nowhere_at_all'" in verdict.message


def test_an_overlay_of_an_unknown_unit_is_refused(grader: Grader, means: Unit, right: str):
    with pytest.raises(CannotJudge, match="The overlay names the unit bedrock/nothing, which is not beside"):
        grader.grade(means, right, overlay={"bedrock/nothing": ""})


def test_a_unit_outside_the_installed_stack_is_found(grader: Grader, means: Unit, right: str, tmp_path: Path):
    assert not (Path(sys.modules["groundup"].__file__ or "").parent / "stack" / "bedrock" / "means").exists()
    assert grader.grade(means, right).verdict == "passed"


def test_the_learners_file_is_run_from_memory_and_shown_by_its_place(grader: Grader, unit: Unit):
    source = RIGHT.replace("return values.sum()", "return [][len(__file__)]")
    verdict = grader.grade(unit, source, diagnose=False)
    assert verdict.checks[0].message == "IndexError: list index out of range"
    assert (
        verdict.checks[0].location
        == f"exercises/bedrock/sums.py:{source.splitlines().index('    return [][len(__file__)]') + 1}"
    )

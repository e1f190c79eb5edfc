"""A failing check names the mistake that was made."""

import functools
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from groundup.course.grader import Grader
from groundup.course.grader.diagnosis import GAVE_UP
from groundup.course.grader.request import DIAGNOSIS_SECONDS
from groundup.course.grader.session import clear_caches
from groundup.course.material.catalogue import STACK
from groundup.course.material.exercise import splice
from groundup.course.material.unit import MistakeInfo, Unit, load_unit
from tests.grader.submissions import SUMS, some

UNIT = load_unit(SUMS)


def diagnoses(verdict) -> set[str]:
    return {check.diagnosis for check in verdict.checks if check.outcome == "failed"}


MISTAKES = {m.name: m for m in UNIT.mistakes if m.kind == "mistake"}


@pytest.mark.parametrize("mistake", some(MISTAKES, "skips_the_first", "overflows", "forgets_super"))
def test_every_mistake_is_named(mistake: MistakeInfo, grader: Grader, unit: Unit, reference: str):
    verdict = grader.grade(unit, splice(reference, mistake.target, mistake.source, reference=reference))
    assert verdict.verdict == "failed"
    assert mistake.diagnosis in diagnoses(verdict)


def test_a_mistake_in_other_words_is_named(grader: Grader, unit: Unit, reference: str):
    body = "    exps = [np.exp(s) for s in np.asarray(scores, dtype=float)]\n    return np.array(exps) / np.sum(exps)\n"
    start = reference.index("    shifted =")
    end = reference.index("def scale_in_place")
    verdict = grader.grade(unit, reference[:start] + body + "\n\n" + reference[end:])
    named = {c.name: c.diagnosis for c in verdict.checks if c.outcome == "failed"}
    assert "overflow to infinity" in named["test_softmax_is_stable"]


def test_two_wrong_functions_are_told_apart(grader: Grader, unit: Unit, reference: str):
    wrong = reference.replace("return values.sum()", "return values.mean()").replace(
        "scores - np.max", "scores - 0 * np.max"
    )
    verdict = grader.grade(unit, wrong)
    named = {c.name: c.diagnosis for c in verdict.checks if c.outcome == "failed"}
    assert "that is the mean" in named["test_total_adds_up"]
    assert "large scores overflow" in named["test_softmax_is_stable"]


def test_an_unknown_mistake_names_the_function_at_fault(grader: Grader, unit: Unit, reference: str):
    verdict = grader.grade(unit, reference.replace("return values.sum()", "return values.sum() + 1"))
    named = {c.name: c.diagnosis for c in verdict.checks if c.outcome == "failed"}
    assert named["test_total_adds_up"] == named["test_mean_of"] == "The fault is in `total`."


def test_a_mistake_under_which_a_passing_check_would_fail_is_not_named(grader: Grader, unit: Unit, reference: str):
    """The mean of one value is its sum: what this code does looks like the mean to one failing check only."""
    wrong = reference.replace("return values.sum()", "return 2.0 if list(values) == [1, 2, 3] else values.sum()")
    verdict = grader.grade(unit, wrong)
    named = {c.name: c.diagnosis for c in verdict.checks if c.outcome == "failed"}
    assert named == {"test_total_adds_up": "The fault is in `total`."}


def test_where_no_mistake_fits_a_fact_is_said(grader: Grader, unit: Unit, reference: str):
    wrong = reference.replace("    return exponentials /", "    return 2 * exponentials /")
    verdict = grader.grade(unit, wrong)
    named = {c.name: c.diagnosis for c in verdict.checks if c.outcome == "failed"}
    assert named["test_softmax_is_stable"] == "The fault is in `softmax`.", "of equal values nothing is known"
    assert (
        named["test_softmax_sums_to_one[shape1]"]
        == "The fault is in `softmax`: its values are all 2 times the reference's."
    )


def test_what_takes_too_long_to_study_is_said_and_nothing_is_named(
    grader: Grader, unit: Unit, reference: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(DIAGNOSIS_SECONDS, "numpy", 1e-6)
    verdict = grader.grade(unit, reference.replace("return values.sum()", "return values.mean()"))
    assert diagnoses(verdict) == {"", GAVE_UP}


def test_caches_are_emptied_between_two_looks():
    class Kept:
        @staticmethod
        @functools.lru_cache
        def twice(x: int) -> int:
            return 2 * x

    @functools.cache
    def once(x: int) -> int:
        return x

    module = types.ModuleType("kept")
    vars(module).update(Kept=Kept, once=once)
    once(1)
    Kept.twice(1)
    clear_caches(module)
    assert (once.cache_info().currsize, Kept.twice.cache_info().currsize) == (0, 0)


@pytest.mark.parametrize(
    "options", [{}, {"quick": True}, {"start_method": "fresh"}], ids=["whole", "in parts", "fresh"]
)
def test_the_results_are_told_before_the_diagnosis(unit: Unit, reference: str, options: dict[str, Any]):
    wrong, told = reference.replace("return values.sum()", "return values.sum() + 1"), []
    with Grader(**options) as own:
        verdict = own.grade(unit, wrong, on_results=told.append)
        assert diagnoses(verdict) != {""}
        (early,) = told
        assert early.verdict == "failed"
        assert diagnoses(early) == {""}
        without = [(check.name, check.outcome, check.message) for check in verdict.checks]
        assert [(check.name, check.outcome, check.message) for check in early.checks] == without
        own.grade(unit, reference, on_results=told.append)
        own.grade(unit, "x = (", on_results=told.append)
    assert told == [early], "a pass and a crash are told at once"


def test_a_diagnosis_can_be_left_out(grader: Grader, unit: Unit, reference: str):
    wrong = reference.replace("return values.sum()", "return values.mean()")
    assert diagnoses(grader.grade(unit, wrong, diagnose=False)) == {""}


def test_the_same_submission_gets_the_same_words(grader: Grader, unit: Unit, reference: str):
    wrong = reference.replace("return values.sum()", "return values.mean() + np.random.default_rng(0).normal()")
    first, second = (grader.grade(unit, wrong, seed=3) for _ in range(2))
    words = [[(c.name, c.outcome, c.message, c.location) for c in v.checks] for v in (first, second)]
    assert words[0] == words[1]


# One unit of each runtime: `verify` asks the same of every unit, before its proof is written.
FOLDERS = sorted((path.parent for path in STACK.glob("*/*/unit.toml")), reverse=True)
FIRST = {unit.runtime: unit.folder for unit in map(load_unit, FOLDERS)}


@pytest.mark.slow
@pytest.mark.parametrize("folder", FIRST.values(), ids=lambda p: p.name)
@pytest.mark.timeout(1800)
def test_most_mistakes_of_a_unit_get_their_own_diagnosis(folder: Path, grader: Grader):
    unit = load_unit(folder)
    named, unnamed = diagnosed_mistakes(unit, grader)
    assert len(named) >= 0.8 * (len(named) + len(unnamed)) > 0, f"not named: {unnamed}"


def diagnosed_mistakes(unit: Unit, grader: Grader) -> tuple[list[str], list[str]]:
    """The failing mistakes, submitted as a learner would: those that get their own diagnosis, and those that do not."""
    reference = unit.implementation.read_text(encoding="utf-8")
    answers: dict[bool, list[str]] = {True: [], False: []}
    for mistake in unit.mistakes:
        if mistake.kind == "mistake":
            verdict = grader.grade(unit, splice(reference, mistake.target, mistake.source, reference=reference))
            if not verdict.passed:
                answers[mistake.diagnosis in diagnoses(verdict)].append(mistake.name)
    return answers[True], answers[False]


if __name__ == "__main__":  # prints the shares: python -m tests.grader.test_diagnosis [UNIT …]
    with Grader() as own:
        for path in [STACK / name for name in sys.argv[1:]] or sorted(p.parent for p in STACK.glob("*/*/unit.toml")):
            named, unnamed = diagnosed_mistakes(load_unit(path), own)
            print(f"{path.parent.name}/{path.name}: {len(named)} of {len(named) + len(unnamed)}", *unnamed, flush=True)


LATER = '''

async def total_later(values):
    """The sum of values that come one after the other."""
    result = 0.0
    for value in values:
        await asyncio.sleep(0)
        result += value
    return result
'''
LATER_MISTAKES = '''

@mistake("total_later")
async def takes_the_last(values):
    """You keep the last value only: add each to what there is."""
    result = 0.0
    for value in values:
        await asyncio.sleep(0)
        result = value
    return result


@mistake("total_later", edit=("result = 0.0", "result = 1.0"))
async def begins_at_one():
    """You begin at 1: the sum of nothing is 0."""


@variant("total_later")
async def by_total(values):
    await asyncio.sleep(0)
    return total(values)
'''
LATER_CHECKS = '''

def test_total_later():
    """total_later adds what comes."""
    assert_close(asyncio.run(total_later([1.0, 2.0, 4.0])), 7.0, "1, 2 and 4 are 7")
    assert_close(asyncio.run(total_later([])), 0.0, "nothing is 0")
'''


@pytest.fixture(scope="session")
def waiting_unit(tmp_path_factory: pytest.TempPathFactory) -> Unit:
    """The small unit with an `async` function to write."""
    folder = tmp_path_factory.mktemp("waiting") / "stack" / "bedrock" / "sums"
    shutil.copytree(SUMS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    changes = (
        ("sums.py", "import numpy as np\n", "import asyncio\n\nimport numpy as np\n", LATER),
        ("__init__.py", "total", "total, total_later", ""),
        ("unit.toml", 'write = ["total", ', 'write = ["total", "total_later", ', ""),
        ("mistakes.py", "import numpy as np\n", "import asyncio\n\nimport numpy as np\n", LATER_MISTAKES),
        ("checks.py", "softmax, total\n", "softmax, total, total_later\nimport asyncio\n", LATER_CHECKS),
    )
    for name, old, new, more in changes:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, name
        path.write_text(text.replace(old, new, 1) + more, encoding="utf-8")
    return load_unit(folder)


@pytest.mark.parametrize("name", ["takes_the_last", "begins_at_one"])
def test_a_mistake_in_an_async_function_is_read_made_and_named(name: str, grader: Grader, waiting_unit: Unit):
    unit = waiting_unit
    reference = unit.implementation.read_text(encoding="utf-8")
    mistake = next(mistake for mistake in unit.mistakes if mistake.name == name)
    source = splice(reference, mistake.target, mistake.source, reference=reference)
    assert "async def total_later(values):" in source
    verdict = grader.grade(unit, source)
    assert diagnoses(verdict) == {mistake.diagnosis}


def test_an_async_function_may_be_written_another_way_or_be_at_fault(grader: Grader, waiting_unit: Unit):
    unit = waiting_unit
    reference = unit.implementation.read_text(encoding="utf-8")
    (variant,) = (one for one in unit.mistakes if one.name == "by_total")
    right = splice(reference, variant.target, variant.source, reference=reference)
    assert grader.grade(unit, right).passed
    verdict = grader.grade(unit, reference.replace("result += value", "result += 2 * value"))
    assert diagnoses(verdict) == {"The fault is in `total_later`."}

"""The author's gate: a sound unit passes it, and every way to spoil a unit is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from groundup.course.author.pairs import names_in, pairs_of
from groundup.course.author.verify import Schedules, Trial, UnitReport, verify_unit
from groundup.course.grader import Grader
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.unit import load_unit
from groundup.course.verdict import CheckResult, Verdict
from tests.conftest import Ran

SCALING = Path(__file__).parent / "sample_stack" / "bedrock" / "scaling"
STRONGER = '''
import pytest


def test_fit_is_learned_again():
    """Fitting again forgets the first mean."""
    assert_close(Scaler().fit([1.0]).fit([5.0]).mean_, 5.0, "the mean of the last fit")


@pytest.mark.parametrize("values", [[0.0], [1.0, 3.0], [-2.0, 5.0, 9.0, 1.0]])
def test_mean_is_numpys(values):
    """The mean is NumPy's."""
    assert_close(mean(values), np.mean(values), "the mean")
    assert_close(mean([int(v) for v in values]), np.mean(values), "the mean of integers")


def test_precision_is_double():
    """Half precision, which ends at 65,504, is left behind before anything is added up."""
    assert_close(mean(np.array([60000, 60000], dtype=np.float16)), 60000.0, "the mean in half precision", rtol=1e-3)
    assert Scaler().fit([2]).transform(np.array([1], dtype=np.float32)).dtype == float
'''


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(workers=2) as shared:
        yield shared


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the sample unit with checks that let no mutant live."""
    copy = tmp_path / "bedrock" / "scaling"
    shutil.copytree(SCALING, copy)
    (copy / "figures.py").unlink()  # some of them hang or crash, for other tests
    checks = copy / "checks.py"
    checks.write_text(checks.read_text(encoding="utf-8") + STRONGER, encoding="utf-8")
    return copy


def edit(folder: Path, name: str, *changes: tuple[str, str]) -> None:
    path = folder / name
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def exercise_problems(report: UnitReport) -> list[str]:
    """What is wrong with the unit apart from its lesson, figures and cards, which are a sample's."""
    return [problem for problem in report.problems if not problem.startswith("file ")]


def test_a_sound_unit_has_no_problem_and_says_what_was_tried(folder: Path, grader: Grader) -> None:
    seen: list[tuple[int, int]] = []
    report = verify_unit(load_unit(folder), grader, on_progress=lambda done, total: seen.append((done, total)))
    assert exercise_problems(report) == []
    assert report.killed_share >= 0.95
    assert len(report.of("mutant")) > 5
    assert report.named_share == 1.0
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] > 20
    document = json.loads(json.dumps(report.to_json()))
    assert document["mutants"]["tried"] == len(report.of("mutant"))
    assert "2/2     mistakes fail, 100% named" in report.table()
    assert "1/1     pairs of mistakes get no name" in report.table()
    assert (report.names, report.wrong_names) == (1, 0)
    assert document["pairs"] == {"tried": 1, "names": 1, "wrong_names": 0}


@pytest.mark.parametrize(("wrong", "passed"), [(0, True), (1, True), (2, False)])
def test_of_a_hundred_names_of_two_mistakes_at_once_one_may_be_wrong(wrong: int, passed: bool) -> None:
    pairs = [Trial("pair", f"a and b{n}", n >= wrong, "c is named, and was not made", names=2) for n in range(50)]
    pairs = [replace(trial, wrong=int(not trial.ok)) for trial in pairs]
    report = UnitReport("bedrock/scaling", tuple(pairs), 1.0)
    assert report.passed is passed
    assert f", {wrong} of 100 names wrong" in report.table()
    assert passed or report.problems[0] == "pair a and b0: c is named, and was not made"


def test_pairs_are_drawn_by_the_units_name_and_are_of_two_functions() -> None:
    unit = Catalogue().unit("vectors")
    sixty = pairs_of(unit)
    assert len(sixty) == 60
    assert pairs_of(unit, 5) == sixty[:5]
    assert all(one.target != other.target and one.kind == other.kind == "mistake" for one, other in sixty)
    assert len({(one.name, other.name) for one, other in sixty}) == 60


def test_of_two_names_joined_by_or_the_right_one_counts() -> None:
    unit = Catalogue().unit("vectors")
    one, other, third = [mistake for mistake in unit.mistakes if mistake.kind == "mistake"][:3]
    check = CheckResult("test", "failed", diagnosis=f"{one.diagnosis}\nOr: {third.diagnosis}")
    verdict = Verdict(unit.id, "failed", (check,))
    assert names_in(unit, verdict, {one.name, other.name}) == {one.name}
    assert names_in(unit, verdict, {other.name}) == {one.name, third.name}


SPOILED: list[tuple[str, str, str, str, str]] = [
    (
        "checks that cannot fail",
        "checks.py",
        "assert_close(",
        "(lambda *_, **__: None)(",
        "mutant Scaler.transform:",
    ),
    (
        "a mistake that is right",
        "mistakes.py",
        "return float(array.sum())",
        "return float(array.mean())",
        "mistake forgets_to_divide: passes the checks of `mean`",
    ),
    (
        "a variant that is wrong",
        "mistakes.py",
        "np.mean(values)",
        "np.median(values)",
        "variant by_numpy: test_mean_by_hand",
    ),
    (
        "a reference that is wrong",
        "scaling.py",
        "array.sum() / array.size",
        "array.sum()",
        "reference with seed 0: test_mean_by_hand",
    ),
    (
        "a list of equivalent mutants that is out of date",
        "unit.toml",
        "[hints]",
        '[equivalent_mutants]\n"mean:gone:1" = "It never was."\n\n[hints]',
        "equivalent mean:gone:1: there is no such mutant",
    ),
    (
        "a mutant that is not equivalent",
        "unit.toml",
        "[hints]",
        '[equivalent_mutants]\n"mean:mul-for-div:1" = "It is."\n\n[hints]',
        "equivalent mean:mul-for-div:1: the checks notice it",
    ),
    (
        "a sabotage that does not spoil its lab",
        "labs.py",
        'sabotage=[{"count": 1}]',
        'sabotage=[{"count": 5000}]',
        "lab noise with count=5000: passed instead of failed",
    ),
    ("a lab that fails as it is", "labs.py", "at_most=0.2", "at_most=1e-9", "lab noise: failed instead of passed"),
]


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [pytest.param(*s[1:], id=s[0], marks=() if s in SPOILED[:2] else pytest.mark.slow) for s in SPOILED],
)
def test_whatever_spoils_a_unit_is_named(
    name: str, old: str, new: str, expected: str, folder: Path, grader: Grader
) -> None:
    edit(folder, name, (old, new))
    report = verify_unit(load_unit(folder), grader)
    assert not report.passed
    assert any(problem.startswith(expected) for problem in report.problems), report.problems


def test_a_function_that_no_check_needs_is_named(folder: Path, grader: Grader) -> None:
    edit(folder, "unit.toml", ('write = ["mean", ', 'write = ["mean", "unused", '))
    edit(folder, "scaling.py", ("class Scaler:", 'def unused():\n    """Nothing."""\n    return 1\n\n\nclass Scaler:'))
    report = verify_unit(load_unit(folder), grader, quick=True)
    assert any(problem.startswith("unwritten unused: passes without it") for problem in report.problems)


def test_what_its_files_lack_is_named_by_the_rules(folder: Path, grader: Grader) -> None:
    edit(folder, "lesson.md", ("3.0\n>>> two", "3.5\n>>> two"))
    report = verify_unit(load_unit(folder), grader)
    assert "file files: figures.py: is not there." in report.problems
    assert "file cards: cards.toml: at least 10 cards, not 1." in report.problems
    assert "file snippets: lesson.md:11: `mean([1, 2, 6])` printed 3.0, not 3.5." in report.problems
    assert "pasted code" in [trial.name for trial in report.of("file") if trial.ok]


def test_the_command_reports_and_exits_1_where_a_unit_is_not_whole(
    groundup: Callable[..., Ran], tmp_path: Path
) -> None:
    unit = tmp_path / "stack" / "bedrock" / "vectors"  # a name that the catalogue has
    shutil.copytree(SCALING, unit)
    (unit / "scaling.py").rename(unit / "vectors.py")
    for path in unit.glob("*.py"):
        path.write_text(path.read_text(encoding="utf-8").replace("scaling", "vectors"), encoding="utf-8")
    edit(unit, "mistakes.py", ("np.mean(values)", "np.median(values)"))
    ran = groundup("verify", "vectors", "--stack", str(tmp_path / "stack"), "--quick", "--json")
    assert ran.code == 1
    (report,) = ran.json["units"]
    assert report["unit"] == "bedrock/vectors"
    assert report["left_out"] == ["pair", "mutant", "equivalent", "lab"]
    assert any("forgets_to_divide" == t["name"] and t["ok"] for t in report["trials"])
    assert groundup("verify", "no-such-unit").code == 2


@pytest.mark.parametrize("name", ["checks.py", "mistakes.py", "labs.py", "scaling.py"])
def test_a_file_that_is_not_python_is_a_problem_of_its_unit_and_no_end_of_the_gate(
    name: str, folder: Path, grader: Grader
) -> None:
    (folder / name).write_text("def (", encoding="utf-8")
    report = verify_unit(load_unit(folder), grader, quick=True)
    assert any(f"{name}:1: does not parse" in problem for problem in report.problems), report.problems


def test_the_command_goes_on_to_the_next_unit_and_says_that_it_wrote_no_proof(
    groundup: Callable[..., Ran], tmp_path: Path
) -> None:
    for name in ("vectors", "autograd"):
        unit = tmp_path / "bedrock" / name
        shutil.copytree(SCALING, unit)
        (unit / "scaling.py").write_text("def (", encoding="utf-8")
        edit(unit, "unit.toml", ("[exercise]", '[exercise]\nmodule = "scaling"'))
    ran = groundup("verify", "--stack", str(tmp_path), "--quick")
    assert ran.code == 1
    assert "bedrock/vectors: FAILED" in ran.out
    assert "bedrock/autograd: FAILED" in ran.out
    assert ran.out.count("proof.json is unchanged: --quick leaves parts out") == 2
    assert not list(tmp_path.rglob("proof.json"))


def test_comparing_writes_nothing_and_fails_without_a_proof(groundup: Callable[..., Ran], tmp_path: Path) -> None:
    unit = tmp_path / "bedrock" / "vectors"
    shutil.copytree(SCALING, unit)
    (unit / "scaling.py").write_text("def (", encoding="utf-8")
    ran = groundup("verify", "vectors", "--stack", str(tmp_path), "--quick", "--compare", "--json")
    assert ran.code == 1
    assert ran.json["units"][0]["disagreements"] == ["bedrock/vectors: there is no proof"]


def verdict(**outcomes: str) -> Verdict:
    seconds = {"slow": 0.5, "quick": 0.1, "other": 0.05, "late": 0.3}
    checks = tuple(CheckResult(name, outcomes.get(name, "passed"), seconds=seconds[name]) for name in seconds)  # type: ignore[arg-type]
    return Verdict("bedrock/scaling", "passed", checks)


def test_the_last_killer_runs_first_then_what_calls_the_function_then_the_others_the_quick_ones_first() -> None:
    schedules = Schedules()
    schedules.passed(verdict())
    schedules.unwritten("f", verdict(slow="not_attempted", quick="failed"))
    assert list(schedules.of("f")) == ["quick", "slow", "other", "late"]
    schedules.noticed("f", verdict(late="failed"))
    schedules.noticed("f", verdict(slow="failed"))
    schedules.noticed("g", verdict(other="failed"))
    assert list(schedules.of("f")) == ["slow", "late", "quick", "other"]
    assert list(schedules.of("g")) == ["other", "quick", "late", "slow"]
    assert schedules.of("f")["slow"] == pytest.approx(1.0 + 10 * 0.5)


def test_of_many_mutants_some_are_tried_and_all_when_asked(
    folder: Path, grader: Grader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.course.author.verify.MUTANTS", 5)
    edit(folder, "unit.toml", ("[hints]", '[equivalent_mutants]\n"mean:gone:1" = "It never was."\n\n[hints]'))
    unit = replace(load_unit(folder), write=("mean",))
    (folder / "labs.py").unlink()
    some, every = (verify_unit(unit, grader, all_mutants=whole) for whole in (False, True))
    tried = {trial.name for trial in some.of("mutant")}
    assert len(tried) == 5
    assert tried < {trial.name for trial in every.of("mutant")} == set(every.mutants) == set(some.mutants)
    assert f", drawn of {len(every.mutants)}" in some.table()
    assert "drawn of" not in every.table()
    assert len(some.of("equivalent")) == len(every.of("equivalent")) == 1
    assert every.cpu_seconds > 0
    assert some.cpu_seconds > 0

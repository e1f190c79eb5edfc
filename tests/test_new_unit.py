"""The skeleton of a unit: whole from the first minute, but for what the author has to write, which is named."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from groundup.course.author.new_unit import new_unit
from groundup.course.author.rules import RUNNING, STATIC, problems
from groundup.course.author.verify import verify_unit
from groundup.course.grader import Grader
from groundup.course.learner.notebook import notebook
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.unit import load_unit
from groundup.errors import UnknownName, UsageError
from tests.conftest import Ran

ROOT = Path(__file__).parents[1]
NEWEST = [phase.entries[-1] for phase in Catalogue().phases]
MISSING = [
    "unit.toml: at least 3 success criteria, not 1.",
    "lesson.md: 900 to 2,000 words of prose, not N.",
    "lesson.md: at least 3 questions (:::{dropdown}) under Interview, not 1.",
    "figures.py: at least 3 figures, not 1.",
    "cards.toml: at least 10 cards, not 2.",
    "mistakes.py: at least 12 mistakes, not 1.",
    "mistakes.py: at least 3 variants, not 1.",
    "checks.py: at least 25 checks (functions whose names begin with test_), not 9.",
]


def without_marks(found: list[str]) -> list[str]:
    """Problems other than marks of what is to be replaced; the count of words as N, because it is the title's too."""
    counted = [re.sub(r"words of prose, not \d+", "words of prose, not N", problem) for problem in found]
    return [problem for problem in counted if ": left to do: " not in problem]


@pytest.mark.parametrize("unit_id", [entry.id for entry in NEWEST])
def test_a_unit_of_any_phase_can_be_begun_and_lacks_just_what_is_to_be_written(unit_id: str, tmp_path: Path) -> None:
    unit = load_unit(new_unit(tmp_path, unit_id))
    found = problems(unit, STATIC)
    assert without_marks(found) == MISSING
    marked = {problem.partition(":")[0] for problem in found if ": left to do: " in problem}
    assert marked == {path.name for path in unit.folder.iterdir()}, "every file says what is to be replaced"


def test_the_skeleton_does_all_that_a_unit_does(tmp_path: Path) -> None:
    unit = load_unit(new_unit(tmp_path, "classical/trees", "Trees"))
    assert problems(unit, RUNNING) == []
    with Grader(workers=2) as grader:
        report = verify_unit(unit, grader)
    assert without_marks([problem.partition(": ")[2] for problem in report.problems]) == MISSING
    assert len(report.of("mutant")) > 10
    assert report.killed_share == report.named_share == 1.0
    assert [trial.ok for trial in report.of("lab")] == [True, True]
    nbformat.validate(nbformat.reads(notebook(unit), as_version=4))


def test_the_skeleton_passes_the_linters(tmp_path: Path) -> None:
    """In a copy of the project: ruff sorts imports by what is there."""
    copied = shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.rmtree(Path(copied) / "groundup" / "stack" / "classical" / "trees")
    folder = new_unit(Path(copied) / "groundup" / "stack", "classical/trees")
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", str(folder)]
        done = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_new_phase_becomes_a_package(tmp_path: Path) -> None:
    new_unit(tmp_path, "generative/gpt")
    assert (tmp_path / "generative" / "__init__.py").read_text(encoding="utf-8").startswith('"""')
    (tmp_path / "generative" / "__init__.py").write_text("kept = 1\n")
    new_unit(tmp_path, "generative/decoding")
    assert (tmp_path / "generative" / "__init__.py").read_text() == "kept = 1\n"


@pytest.mark.parametrize(
    ("unit_id", "error", "message"),
    [
        ("trees", UsageError, "'trees' must be PHASE/UNIT. Did you mean classical/trees"),
        ("clasical/trees", UnknownName, "There is no phase called 'clasical'. Did you mean classical?"),
        (
            "classical/random-forests",
            UsageError,
            "in lower case, such as bag_of_words, not 'random-forests'",
        ),
        ("classical/class", UsageError, "must be a Python identifier in lower case, such as bag_of_words, not 'class'"),
        ("classical/Trees", UsageError, "must be a Python identifier in lower case, such as bag_of_words, not 'Trees'"),
        (
            "classical/trees/deep",
            UsageError,
            "in lower case, such as bag_of_words, not 'trees/deep'",
        ),
        ("classical/", UsageError, "must be a Python identifier in lower case, such as bag_of_words, not ''"),
        ("classical/treees", UsageError, "has no unit classical/treees. Did you mean trees"),
        ("classical/xyzzy", UsageError, "has no unit classical/xyzzy. `groundup map --all` lists its units."),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_the_nearest(
    unit_id: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        new_unit(tmp_path, unit_id)
    assert not list(tmp_path.iterdir())


def test_a_unit_that_is_there_is_left_alone(tmp_path: Path) -> None:
    folder = new_unit(tmp_path, "classical/trees")
    (folder / "trees.py").write_text("work\n")
    with pytest.raises(UsageError, match="The unit classical/trees exists: .* Nothing was changed."):
        new_unit(tmp_path, "classical/trees")
    assert (folder / "trees.py").read_text() == "work\n"


def test_a_stack_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "classical").write_text("a file")
    with pytest.raises(UsageError, match="trees cannot be written: .* Give another folder with --stack."):
        new_unit(tmp_path, "classical/trees")


def test_the_command_says_what_comes_next_and_verify_names_what_is_missing(
    groundup: Callable[..., Ran], tmp_path: Path
) -> None:
    stack = str(tmp_path / "stack")
    written = groundup("new-unit", "classical/trees", "--title", "Decision trees", "--stack", stack)
    assert f"groundup verify classical/trees --stack {stack}" in written.out.replace("\n", " ")
    verified = groundup("verify", "classical/trees", "--stack", stack, "--quick")
    assert verified.code == 1
    assert "cards.toml: at least 10 cards, not 2." in verified.out
    assert "unit.toml: title is 'Decision trees', in the catalogue 'Trees'; they must agree." in verified.out
    assert "Traceback" not in verified.err
    assert groundup("new-unit", "classical/trees", "--stack", stack).code == 2

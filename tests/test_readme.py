"""The front door: every command of the README's tour does what it says, and every link leads somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.course.material.catalogue import Catalogue
from groundup.course.material.exercise import splice
from tests.conftest import Ran

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOUR = README[README.index("## Five minutes") : README.index("## What is in this release")]
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", TOUR, flags=re.DOTALL)
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_tour_can_be_followed_word_for_word(
    groundup: Callable[..., Ran], learner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    vectors = Catalogue().unit("vectors")
    exercise = learner / "exercises" / "bedrock" / "vectors.py"
    runs: dict[str, list[Ran]] = {}
    for kind, text in BLOCKS:
        if kind == "python":
            source = exercise.read_text(encoding="utf-8")
            assert source.count("def relu(") == 1
            body = f"def relu(x):\n    {text}"
            reference = vectors.implementation.read_text(encoding="utf-8")
            exercise.write_text(splice(source, "relu", body, reference=reference), encoding="utf-8")
            continue
        for line in text.splitlines():
            assert line.startswith("uv run groundup "), line
            arguments = shlex.split(line)[3:]
            ran = groundup(*arguments)
            assert "Traceback" not in ran.err, f"{line}\n{ran.err}"
            runs.setdefault(" ".join(arguments), []).append(ran)
    first, wrong, right = runs["check vectors"]
    assert [ran.code for ran in (first, wrong, right)] == [1, 1, 1], (
        "a unit with functions still to write is not passed"
    )
    assert "Nothing is written yet" in first.out
    assert "You return the absolute value: -3 became 3. ReLU cuts negative entries off" in " ".join(wrong.out.split())
    assert "`relu` is not written yet" in first.out
    assert "✗" not in right.out.replace("✗ bedrock/vectors", ""), "the checks of relu pass"
    assert "`relu` is not written yet" not in right.out
    assert "hint 1 of 3" in runs["hint vectors relu"][0].out
    assert runs["run vectors/neighbours --preset smoke"][0].code == 0
    assert runs["run vectors/neighbours --preset smoke --set shuffle_labels=true"][0].code == 1
    assert (tmp_path / "transformation.html").stat().st_size > 1000
    assert "devops" in runs["track"][0].out
    assert runs["track devops --start today --hours 8"][0].code == 0
    assert "groundup check vectors" in runs["next"][0].out
    assert "on plan" in runs["status"][0].out


def test_the_two_commands_are_those_of_the_readme() -> None:
    assert "pip install uv && uv run groundup " in README
    assert "pip install uv && uv run --all-extras --group dev pytest" in README


def test_the_ci_runs_the_readmes_test_command() -> None:
    """The scripts take it from the README's text, where the first command that ends in pytest must be that one."""
    (pattern,) = {
        match
        for script in (ROOT / ".ci" / "run", *(ROOT / ".github" / "workflows").iterdir())
        for match in re.findall(r"grep -oE '(.+?)' README\.md", script.read_text(encoding="utf-8"))
    }
    command, *_ = re.findall(pattern, README)
    assert shlex.split(command)[:2] == ["uv", "run"]
    assert shlex.split(command)[-1] == "pytest"


def test_the_readme_counts_the_units_of_this_release_right() -> None:
    catalogue = Catalogue()
    assert f"| units: {len(catalogue.units)} of {len(catalogue.entries)} |" in README
    phases = re.findall(r"^\| (\w+) \| ((?:`\w+`(?:, )?)+) \|$", README, flags=re.MULTILINE)
    assert [f"{phase}/{name}" for phase, names in phases for name in re.findall(r"`(\w+)`", names)] == list(
        catalogue.units
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http", "#"))]
    missing = [link for link in links if not (document.parent / link.split("#")[0]).exists()]
    assert missing == []


def test_every_command_is_documented_somewhere_a_person_reads() -> None:
    from groundup.cli import COMMANDS

    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    assert [name for name in COMMANDS if not re.search(rf"groundup {name}\b|`{name}`", text)] == []

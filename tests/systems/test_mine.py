"""`--mine` of the systems: what a learner built is used again, and what was not theirs is said."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from groundup.cli.mine import units_that_ran
from groundup.course.course import Course
from groundup.course.learner.workspace import Workspace
from groundup.course.material.catalogue import Catalogue
from groundup.course.verdict import Verdict, sha256_text


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path, rng = tmp_path / "pods.csv", random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [["memory", "crashed"], *([m, "yes" if m > 60 else "no"] for m in rng.sample(range(100), 60))]
        )
    return path


def passed(learner: Path, unit_id: str, source: str) -> None:
    """A workspace in which a unit has passed with this source."""
    with Course(Workspace(learner)) as course:
        course.workspace.create()
        course.workspace.write_exercise(unit_id, source)
        checks = course.catalogue.unit(unit_id).checks_sha256
        course.ledger.record(Verdict(unit_id, "passed", (), "", sha256_text(source), checks), source)


def test_a_system_runs_on_the_learners_own_units_and_says_which(groundup, learner: Path, table: Path) -> None:
    source = Catalogue().units["classical/evaluation"].implementation.read_text(encoding="utf-8")
    passed(learner, "classical/evaluation", f'{source}\n\nprint("MINE RAN")\n')
    model = str(table.with_name("model"))
    ran = groundup("tabular", "fit", str(table), "--target", "crashed", "-o", model, "--mine")
    assert ran.code == 0, ran.err
    assert "MINE RAN" in ran.out
    assert "--mine: your own evaluation ran; " in " ".join(ran.err.split())
    assert "were the library's." in " ".join(ran.err.split())
    without = groundup("tabular", "show", model)
    assert "MINE" not in without.out
    assert "--mine" not in without.err


def test_what_is_wrong_in_ones_own_code_shows_with_its_line(groundup, learner: Path, table: Path) -> None:
    passed(learner, "classical/features", "raise RuntimeError('my own mistake')\n")
    ran = groundup("tabular", "fit", str(table), "--target", "crashed", "-o", str(table.with_name("model")), "--mine")
    assert ran.code == 1
    assert f'File "{learner / "exercises" / "classical" / "features.py"}", line 1' in ran.err
    assert "my own mistake" in ran.err


def test_where_nothing_of_the_learners_ran_it_is_said(groundup, learner: Path, table: Path) -> None:
    ran = groundup("tabular", "fit", str(table), "--target", "nope", "-o", str(table.with_name("model")), "--mine")
    assert ran.code == 2
    assert "--mine: " in ran.err
    assert "MINE" not in ran.out
    catalogue = Catalogue()
    module = catalogue.units["retrieval/rag"].implementation_module
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("groundup.cli.mine.sys.modules", {})
        assert units_that_ran(catalogue, []) == "--mine: this command ran no unit."
        patch.setattr("groundup.cli.mine.sys.modules", {module: None})
        assert units_that_ran(catalogue, []) == "--mine: no unit of yours ran. Pass rag with `groundup check` first."
        assert units_that_ran(catalogue, ["retrieval/rag"]) == "--mine: your own rag ran."


def test_every_command_of_every_system_has_it() -> None:
    import importlib

    for name in ("copilot", "research", "shop", "llm", "tabular"):
        group = getattr(importlib.import_module(f"groundup.cli.{name}"), f"{name}_command")
        lacking = [c.name for c in group.commands.values() if not any("--mine" in p.opts for p in c.params)]
        assert not lacking, (name, lacking)

"""Every rule of a whole unit can fail: a copy of the sample unit is broken, and what broke is named."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from groundup.course.author.rules import RULES, RUNNING, STATIC, companions_problems, problems, running
from groundup.course.author.rules.running import settings
from groundup.course.material.unit import Unit, load_unit
from tests.sample import SAMPLE, sample_unit

UNFINISHED = """\
unit.toml: at least 3 success criteria, not 1.
unit.toml: at least 3 stages of hints for `Scaler.transform`, not 2.
lesson.md: 900 to 2,000 words of prose, not 39.
lesson.md: at least one displayed formula ($$…$$), derived step by step; there is none.
lesson.md: at least 3 questions (:::{dropdown}) under Interview, not 1.
figures.py: at least 3 figures, not 2.
cards.toml: at least 10 cards, not 1.
cards.toml: at least one card must be of the kind 'interview'.
mistakes.py: at least 12 mistakes, not 2.
mistakes.py: at least 3 variants, not 1.
checks.py: at least 25 checks (functions whose names begin with test_), not 3.
unit.toml: the catalogue has no unit bedrock/scaling; add its line to course/material/catalogue.toml.
unit.toml: at least one [[roadmap]] entry (document and item); there is none.
""".splitlines()


def copy_as(unit_id: str, stack: Path) -> Path:
    """A copy of the sample unit under another name, so that it has a place in the catalogue."""
    folder = stack / unit_id
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    phase, name = unit_id.split("/")
    (folder / "scaling.py").rename(folder / f"{name}.py")
    for path in folder.iterdir():
        text = path.read_text(encoding="utf-8")
        text = text.replace("stack.bedrock.scaling", f"stack.{phase}.{name}").replace(
            f"{name}.scaling ", f"{name}.{name} "
        )
        path.write_text(text.replace("} scaling.py", f"}} {name}.py"), encoding="utf-8")
    return folder


def edit(folder: Path, file: str, old: str, new: str) -> None:
    """Change one place of a file; an empty `old` is the end of the file, and no `new` at all takes the file away."""
    path = folder / file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else text + new, encoding="utf-8")


def new_problems(unit: Unit, rules: object = STATIC) -> list[str]:
    """What a copy has that the sample has not."""
    return [problem for problem in problems(unit, rules) if problem not in UNFINISHED]  # type: ignore[arg-type]


def test_what_the_sample_lacks_is_named_and_nothing_else() -> None:
    assert companions_problems(sample_unit()) == UNFINISHED


@pytest.mark.parametrize(
    "file",
    ["__init__.py", "scaling.py", "lesson.md", "checks.py", "mistakes.py", "labs.py", "figures.py", "cards.toml"],
)
def test_a_missing_file_is_named_once_and_crashes_nothing(file: str, tmp_path: Path) -> None:
    folder = copy_as("bedrock/scaling", tmp_path)
    (folder / file).unlink()
    found = new_problems(load_unit(folder))
    assert found[0] == f"{file}: is not there."
    # The lesson includes the implementation and places figures: their absence shows there, too.
    assert all(problem.startswith("lesson.md:") for problem in found[1:])
    assert not [p for p in problems(load_unit(folder), STATIC) if p.startswith(f"{file}:")][1:]


BROKEN = tomllib.loads(Path(__file__).with_name("broken_units.toml").read_text(encoding="utf-8"))["broken"]

RIPPLES = {
    # What goes with it, because it is the same thing seen from another side.
    "unit.toml: `write` names": (
        "unit.toml: at least 3 stages of hints for `Scaler.fitt`",
        "unit.toml: there are hints",
    ),
    "lesson.md: there must be one level-1": ("lesson.md: the level-2 headings",),
    "lesson.md: at least 3 questions": ("lesson.md: the level-2 headings",),
    "labs.py: `noise`: its config": ("labs.py: `noise`: the config's docstring must explain `start`",),
    "cards.toml: the kind": ("cards.toml: at least one card must be of the kind 'recall'",),
}


def counted(problem: str) -> str:
    """A problem without its numbers: a file that was changed has another count of words, which is no news."""
    return re.sub(r"not [\d,]+", "not so many", problem)


@pytest.mark.parametrize("broken", BROKEN, ids=[broken["problem"][:60] for broken in BROKEN])
def test_whatever_breaks_a_rule_is_named_and_nothing_else_is(broken: dict[str, str], tmp_path: Path) -> None:
    folder = copy_as("bedrock/scaling", tmp_path)
    edit(folder, broken["file"], broken.get("old", ""), broken["new"])
    expected = broken["problem"]
    found = new_problems(load_unit(folder))
    assert [problem for problem in found if problem.startswith(expected)], found
    ripples = tuple(text for start, texts in RIPPLES.items() if expected.startswith(start) for text in texts)
    usual = {counted(problem) for problem in UNFINISHED}
    rest = [p for p in found if not p.startswith((expected, *ripples)) and counted(p) not in usual]
    assert not rest


def test_a_check_is_asked_for(tmp_path: Path) -> None:
    folder = copy_as("bedrock/scaling", tmp_path)
    edit(folder, "checks.py", (folder / "checks.py").read_text(encoding="utf-8"), '"""Checks."""\n')
    assert new_problems(load_unit(folder)) == [
        "checks.py: at least 25 checks (functions whose names begin with test_), not 0."
    ]


def test_something_is_asked_to_be_written(tmp_path: Path) -> None:
    folder = copy_as("bedrock/scaling", tmp_path)
    edit(folder, "unit.toml", 'write = ["mean", "Scaler.fit", "Scaler.transform"]', "write = []")
    assert problems(load_unit(folder), ["exercise"]) == ["unit.toml: exercise.write must name at least one function."]


def test_an_include_of_the_implementation_is_asked_for(tmp_path: Path) -> None:
    folder = copy_as("bedrock/scaling", tmp_path)
    text = (folder / "lesson.md").read_text(encoding="utf-8")
    (folder / "lesson.md").write_text(text.replace("{literalinclude} scaling.py", "text"), encoding="utf-8")
    assert problems(load_unit(folder), ["includes"]) == [
        "lesson.md: at least one {literalinclude} of scaling.py; there is none."
    ]


# Budgets


def test_what_is_over_its_budget_is_named_until_unit_toml_gives_the_reason(tmp_path: Path) -> None:
    folder = copy_as("bedrock/scaling", tmp_path)
    checks = "".join(f'\n\ndef test_{number}():\n    """True."""\n' for number in range(87))
    edit(folder, "checks.py", "", checks)
    lines = len((folder / "checks.py").read_text(encoding="utf-8").splitlines())
    assert problems(load_unit(folder), ["budget"]) == [
        f"checks.py: {lines} lines (at most 350), 90 checks (at most 36). "
        'Cut, or give the reason in unit.toml: [budget] checks = "…".'
    ]
    edit(folder, "unit.toml", "", '\n[budget]\nchecks = "Ninety are few for it."\n')
    assert problems(load_unit(folder), STATIC) == [p for p in UNFINISHED if not p.startswith("checks.py")]


def test_mistakes_are_counted_together_and_by_function_and_variants_are_not(tmp_path: Path) -> None:
    folder = copy_as("bedrock/scaling", tmp_path)
    mark = '\n\n@{}("{}")\ndef other_{}(values):\n    """Told."""\n    return 1\n'
    marks = [("mistake", "mean"), ("mistake", "Scaler.fit"), ("variant", "mean"), ("mistake", "Scaler.transform")]
    edit(folder, "mistakes.py", "", "".join(mark.format(*marks[n % 4], n) for n in range(12)))
    before = len([m for m in load_unit(folder).mistakes if m.kind == "mistake" and m.target == "mean"])
    assert before <= 4
    assert problems(load_unit(folder), ["budget"]) == []
    edit(folder, "mistakes.py", "", "".join(mark.format("mistake", "mean", n) for n in range(20, 32)))
    (found,) = problems(load_unit(folder), ["budget"])
    assert found.startswith("mistakes.py: ")
    assert f"{12 + before} mistakes of `mean` (at most 4)" in found
    assert "23 mistakes (at most 20)" in found


def test_the_entries_of_roadmaps_do_not_count_in_unit_toml(tmp_path: Path) -> None:
    folder = copy_as("bedrock/scaling", tmp_path)
    entry = '\n[[roadmap]]\ndocument = "004"\nitem = "L1"\n'
    edit(folder, "unit.toml", "", 30 * entry)
    assert problems(load_unit(folder), ["budget"]) == []
    edit(folder, "unit.toml", "", 90 * "# a remark\n")
    (found,) = problems(load_unit(folder), ["budget"])
    assert re.match(r"unit.toml: 1\d\d lines \(at most 90\). Cut, or give the reason", found)


# A unit's place among the others


def test_a_unit_of_the_catalogue_has_its_title(tmp_path: Path) -> None:
    folder = copy_as("bedrock/bayes", tmp_path)
    assert new_problems(load_unit(folder), ["catalogue"]) == [
        "unit.toml: title is 'Scaling', in the catalogue 'Bayesian inference'; they must agree."
    ]
    edit(folder, "unit.toml", '"Scaling"', '"Bayesian inference"')
    assert problems(load_unit(folder), ["catalogue"]) == []


def test_a_unit_answers_to_items_that_name_it(tmp_path: Path) -> None:
    folder = copy_as("bedrock/vectors", tmp_path)
    edit(folder, "unit.toml", "", '\n[[roadmap]]\ndocument = "004"\nitem = "L1"\n')
    assert problems(load_unit(folder), ["roadmap"]) == []


def test_needs_are_in_the_stack_and_come_earlier(tmp_path: Path) -> None:
    folder = copy_as("bedrock/bayes", tmp_path)
    edit(folder, "unit.toml", "needs = []", 'needs = ["bedrock/vectors", "bedrock/nowhere", "deep/mlp"]')
    assert problems(load_unit(folder), ["needs"]) == [
        "unit.toml: needs bedrock/nowhere, which is not in the stack.",
        "unit.toml: needs deep/mlp, which comes later in the catalogue.",
    ]


def test_needs_that_go_in_a_circle_are_named_with_the_way(tmp_path: Path) -> None:
    for name, need in (("vectors", "bayes"), ("bayes", "probability"), ("probability", "vectors")):
        edit(copy_as(f"bedrock/{name}", tmp_path), "unit.toml", "needs = []", f'needs = ["bedrock/{need}"]')
    found = problems(load_unit(tmp_path / "bedrock" / "vectors"), ["needs"])
    circle = "bedrock/vectors → bedrock/bayes → bedrock/probability → bedrock/vectors"
    assert f"unit.toml: needs go in a circle: {circle}." in found


@pytest.mark.parametrize("file", ["checks.py", "mistakes.py", "labs.py", "figures.py"])
def test_no_companion_imports_a_later_unit(file: str, tmp_path: Path) -> None:
    folder = copy_as("bedrock/bayes", tmp_path)
    edit(
        folder,
        file,
        "\n\n\n",
        "\nfrom groundup.stack.deep.mlp import train\nimport groundup.stack.bedrock.vectors\n\n\n",
    )
    (found,) = problems(load_unit(folder), ["needs"])
    assert found.startswith(f"{file}:")
    assert found.endswith(": imports deep/mlp, which comes later in the catalogue.")


# Rules that run the unit's code


def test_snippets_run_in_order_in_one_namespace() -> None:
    assert problems(sample_unit(), ["snippets"]) == []


def test_a_snippet_that_prints_something_else_is_named_with_its_line(tmp_path: Path) -> None:
    folder = copy_as("bedrock/scaling", tmp_path)
    edit(folder, "lesson.md", "3.0\n>>> two", "3.5\n>>> two")
    edit(folder, "lesson.md", ">>> two + 1", ">>> three + 1")
    assert problems(load_unit(folder), ["snippets"]) == [
        "lesson.md:11: `mean([1, 2, 6])` printed 3.0, not 3.5.",
        "lesson.md:37: `three + 1` printed NameError: name 'three' is not defined, not 3.0.",
    ]


def test_snippets_that_end_their_process_are_a_problem_not_a_crash(tmp_path: Path) -> None:
    folder = copy_as("bedrock/scaling", tmp_path)
    edit(folder, "lesson.md", ">>> two + 1", ">>> import os; os._exit(7)")
    assert problems(load_unit(folder), ["snippets"]) == [
        "lesson.md: the process of its snippets ended with exit code 7: "
    ]


def test_snippets_that_do_not_end_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SNIPPET_SECONDS", 3.0)
    folder = copy_as("bedrock/scaling", tmp_path)
    edit(folder, "lesson.md", ">>> two + 1", ">>> import time; time.sleep(60)")
    assert problems(load_unit(folder), ["snippets"]) == [
        "lesson.md: its snippets were stopped: they take longer than 3 s."
    ]


def test_snippets_use_the_copys_own_code(tmp_path: Path) -> None:
    folder = copy_as("bedrock/scaling", tmp_path)
    edit(folder, "scaling.py", "/ array.size", "/ array.size + 1")
    assert problems(load_unit(folder), ["snippets"])[0] == "lesson.md:11: `mean([1, 2, 6])` printed 4.0, not 3.0."


def test_figures_are_tried_at_the_ends_of_their_controls() -> None:
    assert settings(sample_unit().figure("centres")) == [
        {},
        {"count": 1},
        {"count": 50},
        {"spread": 0.0},
        {"spread": 2.0},
        {"shape": "line"},
        {"shape": "bars"},
        {"shifted": False},
        {"shifted": True},
        {"count": 1, "spread": 0.0, "shape": "line", "shifted": False},
        {"count": 50, "spread": 2.0, "shape": "bars", "shifted": True},
    ]


def test_a_figure_that_cannot_be_drawn_or_is_dressed_wrongly_is_named(tmp_path: Path) -> None:
    folder = copy_as("bedrock/scaling", tmp_path)
    edit(folder, "figures.py", '"exit", "sleep", ', "")
    edit(folder, "figures.py", "    y = np", "    if count == 50:\n        raise ValueError('too many')\n    y = np")
    dress = 'title="A title", width=300, plot_bgcolor="white"'
    edit(
        folder, "figures.py", 'name=f"mean {mean(y):g}"))', f'name="m"), layout=dict({dress}) if spread == 2 else None)'
    )
    found = problems(load_unit(folder), ["drawn"])
    raised = "The figure bedrock/scaling/centres could not be drawn: ValueError: too many (figures.py:24)"
    assert [p.removeprefix("figures.py: `centres`, ") for p in found if "`centres`" in p] == [
        f"count=50: {raised}",
        "spread=2.0: it has a title; the page shows the one of @figure.",
        "spread=2.0: it has a fixed width; narrow screens need it to have none.",
        "spread=2.0: it has a fixed background or font colour; the page themes it light and dark.",
        f"count=50, spread=2.0, shape='bars', shifted=True: {raised}",
    ]
    assert "figures.py: `trouble`, by default: it is empty." in found
    assert any("`trouble`, how='none_back'" in p and "not a plotly.graph_objects.Figure" in p for p in found)


def test_every_rule_is_either_read_or_run() -> None:
    assert {**STATIC, **RUNNING} == RULES
    assert all(rule.__doc__ for rule in RULES.values())

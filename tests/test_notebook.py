"""Units as notebooks: valid, runnable from top to bottom, and giving away no more than they should."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import nbformat
import pytest

from groundup import jupyter
from groundup.course.course import Course
from groundup.course.learner.notebook import notebook
from groundup.course.learner.workspace import Workspace
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.exercise import write_exercise
from groundup.course.material.lessons import Include, read_lesson
from groundup.course.material.source import Function, docstring_of, main_function, parse
from groundup.course.material.unit import Unit, load_unit
from groundup.errors import UsageError
from tests.conftest import Ran
from tests.sample import SAMPLE, sample_unit

Groundup = Callable[..., Ran]
UNITS = Catalogue().units
every_unit = pytest.mark.parametrize("unit", UNITS.values(), ids=list(UNITS))
PASSING = SAMPLE.joinpath("scaling.py").read_text(encoding="utf-8")


def cells_of(text: str) -> list[Any]:
    read = nbformat.reads(text, as_version=4)
    nbformat.validate(read)
    return read.cells


def sources(cells: list[Any], kind: str = "code") -> list[str]:
    return [cell.source for cell in cells if cell.cell_type == kind]


# What is in it


@every_unit
def test_the_notebook_of_every_unit_is_valid_and_the_same_each_time(unit: Unit) -> None:
    text = notebook(unit)
    cells = cells_of(text)
    assert text == notebook(unit)
    code = sources(cells)
    assert code[0].startswith("%load_ext groundup.jupyter")
    assert f"%groundup check {unit.id}" in code
    assert [f"%groundup run {unit.id}/{lab.name} --preset smoke" for lab in unit.labs] == [
        source for source in code if source.startswith("%groundup run")
    ]
    for figure in unit.figures:
        assert any(source.startswith(f"figures.{figure.name}(") for source in code)
    assert all(card.back in sources(cells, "markdown")[-1] for card in unit.cards)


@every_unit
def test_what_the_learner_writes_is_given_away_only_to_those_who_know_it(unit: Unit) -> None:
    ours = parse(unit.implementation.read_text(encoding="utf-8"))
    bodies = {name: body_of(main_function(ours, name)) for name in unit.write}
    quoted = {part.name for part in read_lesson(unit).walk() if isinstance(part, Include)} & set(bodies)
    assert not set(bodies.values()) & bodies_in(notebook(unit))
    assert {bodies[name] for name in quoted} <= bodies_in(notebook(unit, reveal=True))


def bodies_in(text: str) -> set[str]:
    """The bodies of all functions in a notebook's cells and fences."""
    blocks = [source.partition("\n")[2] for source in sources(cells_of(text)) if source.startswith("%%exercise")]
    for source in sources(cells_of(text), "markdown"):
        blocks += [code for _, code in re.findall(r"^(`{3,})python\n(.*?)^\1$", source, re.MULTILINE | re.DOTALL)]
    trees = [ast.parse(block) for block in blocks]
    return {body_of(node) for tree in trees for node in ast.walk(tree) if isinstance(node, Function)}


def body_of(function: Function | None) -> str:
    assert function is not None
    body = function.body[1:] if docstring_of(function) else function.body
    return "\n".join(map(ast.unparse, body))


def test_the_lesson_becomes_cells_in_its_order() -> None:
    cells = cells_of(notebook(sample_unit()))
    markdown, code = sources(cells, "markdown"), sources(cells)
    assert [text.splitlines()[0] for text in markdown] == [
        "# Scaling",
        r"A mean is $\bar{x} = \frac{1}{n} \sum_i x_i$, and `this word` counts.",
        "## Concept",
        "**Centres.** Points and their mean.",
        "## Implementation",
        "## Where it is used",
        "## Going further",
        "## Interview",
        "## More figures",
        "## Exercise",
        "## Labs",
        "## Cards",
    ]
    assert code[:6] == [
        "%load_ext groundup.jupyter\n\nfrom groundup.stack.bedrock.scaling import figures",
        "from groundup.stack.bedrock.scaling import mean\nmean([1, 2, 6])",
        "two = mean([2])\ntwo",
        "figures.centres(\n"
        "    count=5,  # 1 to 50\n"
        "    spread=1.0,  # 0.0 to 2.0\n"
        "    shape='line',  # 'line' or 'bars'\n"
        "    shifted=False,  # True or False\n"
        ")",
        "two + 1",
        "mean([])",
    ]
    assert "> **Note**\n>\n> Everywhere." in markdown[5]
    assert "**What is the mean of nothing?**\n\n<details><summary>Answer</summary>\n\nThere is none." in markdown[7]
    assert code[-3] == "%%exercise bedrock/scaling\n" + write_exercise(sample_unit()).rstrip()


def test_snippets_keep_what_they_print() -> None:
    cells = [cell for cell in cells_of(notebook(sample_unit())) if cell.cell_type == "code"]
    value, _, _, _, error = (cell.outputs for cell in cells[1:6])
    assert value[0].output_type == "execute_result"
    assert value[0].data == {"text/plain": "3.0"}
    assert (error[0].output_type, error[0].ename) == ("error", "ValueError")
    assert error[0].evalue == "values must not be empty, got shape (0,)"
    assert cells[5].metadata.tags == ["raises-exception"]


@pytest.mark.parametrize(
    ("snippet", "kind", "shown"),
    [
        (">>> print('a')\na\n", "stream", "a\n"),
        (">>> for i in range(2):\n...     print(i)\n0\n1\n", "stream", "0\n1\n"),
        (">>> 'a'\n'a'\n", "execute_result", "'a'"),
        (">>> print('a\\n\\nb')\na\n<BLANKLINE>\nb\n", "stream", "a\n\nb\n"),
    ],
)
def test_what_is_printed_and_what_is_a_value_are_told_apart(
    snippet: str, kind: str, shown: str, tmp_path: Path
) -> None:
    unit = with_lesson(tmp_path, f"# Scaling\n\n```pycon\n{snippet}```\n")
    (output,) = cells_of(notebook(unit))[2].outputs
    assert output.output_type == kind
    assert (output.text if kind == "stream" else output.data["text/plain"]) == shown


def with_lesson(folder: Path, lesson: str) -> Unit:
    copy = Path(shutil.copytree(SAMPLE, folder / "scaling"))
    (copy / "lesson.md").write_text(lesson, encoding="utf-8")
    return load_unit(copy)


def test_boxes_formulas_and_fences_are_written_as_jupyter_has_them(tmp_path: Path) -> None:
    unit = with_lesson(
        tmp_path,
        "# Scaling\n\n```{math}\nx^2\n```\n\n:::{warning} Mind\nOne\n\nTwo\n:::\n\n"
        ":::{note}\n```pycon\n>>> 1\n1\n```\n:::\n\n```console\n$ ls\n```\n\n```{literalinclude} figures.py\n```\n",
    )
    cells = cells_of(notebook(unit))
    assert cells[2].source.startswith("$$\nx^2\n$$\n\n> **Mind**\n>\n> One\n>\n> Two\n\n**Note**")
    assert cells[3].source == "1"
    assert cells[4].source.startswith('```console\n$ ls\n```\n\n`figures.py`:\n\n```python\n"""Explorables')


def test_a_fence_around_a_fence_is_longer(tmp_path: Path) -> None:
    unit = with_lesson(tmp_path, "# Scaling\n\n````text\n```\n````\n")
    assert cells_of(notebook(unit))[2].source.startswith("````text\n```\n````")


def test_the_learners_own_code_takes_the_place_of_ours() -> None:
    mine = PASSING.replace("float(array.sum() / array.size)", "float(array.mean())  # mine")
    text = notebook(sample_unit(), mine)
    assert "`mean`, as you wrote it:" in "".join(sources(cells_of(text), "markdown"))
    assert "%%exercise bedrock/scaling\n" + mine.rstrip() in sources(cells_of(text))
    assert "array.size)" not in text


def test_a_definition_that_the_learner_has_not_is_quoted_without_its_body() -> None:
    text = notebook(sample_unit(), PASSING.replace("def mean", "def average"))
    assert "def mean(values: np.ndarray) -> float:" in text


def test_the_learners_code_must_parse() -> None:
    with pytest.raises(UsageError, match=r"file for bedrock/scaling does not parse: .* in line 1. Mend it"):
        notebook(sample_unit(), "def mean(:\n")


# Running it


def execute(text: str, folder: Path) -> list[Any]:
    from nbclient import NotebookClient

    read = nbformat.reads(text, as_version=4)
    client = NotebookClient(read, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute().cells


def assert_ran(unit: Unit, text: str, cells: list[Any]) -> None:
    """Every snippet printed what the lesson says, every figure showed, every lab passed."""
    for before, after in zip(cells_of(text), cells, strict=True):
        if before.cell_type == "code" and before.outputs:
            assert joined(after.outputs) == joined(before.outputs)
        source = before.source
        if source.startswith("figures."):
            assert any("application/vnd.plotly.v1+json" in output.get("data", {}) for output in after.outputs), source
        if source.startswith("%groundup run"):
            assert f"✓ {source.split()[2]}  passed" in after.outputs[0].text
        if source.startswith("%groundup check"):
            assert f"{unit.id}  not attempted" in after.outputs[0].text
        if source.startswith("%%exercise"):
            assert after.outputs[0].text.startswith("Saved as ")


def joined(outputs: list[Any]) -> list[str]:
    """What outputs show; a kernel may send one stream in pieces, wherever its clock falls."""
    pieces = groupby(outputs, key=lambda output: getattr(output, "name", id(output)))
    return ["".join(map(shown, group)) if isinstance(name, str) else shown(*group) for name, group in pieces]


def shown(output: Any) -> str:
    match output.output_type:
        case "stream":
            return "".join(output.text.split())
        case "error":
            return f"{output.ename}: {output.evalue}"
        case _:
            return "".join(output.data["text/plain"].split())  # Jupyter may break long values elsewhere


@pytest.mark.slow
def test_a_notebook_runs_from_top_to_bottom(learner: Path, tmp_path: Path) -> None:
    unit = UNITS["bedrock/vectors"]
    text = notebook(unit)
    assert_ran(unit, text, execute(text, tmp_path))


@pytest.mark.slow
@every_unit
def test_every_notebook_runs_from_top_to_bottom(unit: Unit, learner: Path, tmp_path: Path) -> None:
    text = notebook(unit)
    assert_ran(unit, text, execute(text, tmp_path))


def test_a_command_that_cannot_be_carried_out_stops_the_notebook(
    learner: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jupyter.groundup("map")
    assert "Bedrock" in capsys.readouterr().out
    with pytest.raises(Exception, match="groundup check vectorz ended with exit code 2"):
        jupyter.groundup("check vectorz")
    assert "Did you mean bedrock/vectors" in capsys.readouterr().out


def test_a_cell_becomes_the_learners_file(learner: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jupyter.exercise(" vectors ", "x = 1\n")
    assert (learner / "exercises/bedrock/vectors.py").read_text() == "x = 1\n"
    assert capsys.readouterr().out.startswith("Saved as ")
    with pytest.raises(Exception, match="There is no unit called 'vectorz'"):
        jupyter.exercise("vectorz", "x = 1\n")


# Saving a cell


@pytest.fixture
def course(learner: Path) -> Course:
    return Course(Workspace(learner))


def test_saving_starts_the_unit(course: Course) -> None:
    assert course.states()["bedrock/vectors"].status == "new"
    assert course.save("vectors", write_exercise(UNITS["bedrock/vectors"])).startswith("Saved as ")
    assert course.states()["bedrock/vectors"].status == "started"
    assert [event.kind for event in course.ledger.events()] == ["started"]


def test_a_cell_as_it_was_handed_out_never_replaces_work(course: Course) -> None:
    course.save("vectors", "x = 1")
    told = course.save("vectors", write_exercise(UNITS["bedrock/vectors"]) + "\n\n")
    assert told.endswith("is unchanged: this cell holds no code of yours yet.")
    assert course.workspace.read_exercise("bedrock/vectors") == "x = 1\n"


def test_saving_keeps_what_was_there_before(course: Course) -> None:
    course.save("vectors", "x = 1")
    assert course.save("vectors", "x = 1\n").endswith("holds this text already.")
    assert "The file before it is kept as " in course.save("vectors", "x = 2")
    assert course.workspace.read_exercise("bedrock/vectors") == "x = 2\n"
    assert [path.read_text() for path in course.workspace.backups.rglob("*.py")] == ["x = 1\n"]


def test_the_solution_is_quoted_to_those_who_passed_or_looked(course: Course) -> None:
    assert "which you write below" in course.notebook("vectors")
    course.solution("vectors")
    assert "which you write below" not in course.notebook("vectors")


# The command


def test_the_command_writes_the_file_and_never_overwrites_it(
    groundup: Groundup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert groundup("notebook", "vectors").out == "Wrote vectors.ipynb\n"
    assert cells_of(Path("vectors.ipynb").read_text(encoding="utf-8"))
    Path("vectors.ipynb").write_text("work")
    again = groundup("notebook", "vectors")
    assert again.code == 2
    assert "vectors.ipynb exists. Overwrite it with --force, or write another with -o FILE." in again.err
    assert Path("vectors.ipynb").read_text() == "work"
    assert groundup("notebook", "vectors", "--force").code == 0
    assert Path("vectors.ipynb").read_text() != "work"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "vectors.txt"], "output must end in .ipynb, got 'vectors.txt'. For example: -o vectors.ipynb"),
        (["-o", "nowhere/vectors.ipynb"], "nowhere/vectors.ipynb cannot be written: No such file or directory."),
        (["--mine"], "You have no file for bedrock/vectors yet. `groundup start vectors` writes it."),
    ],
)
def test_what_cannot_be_written_is_said_in_one_line(
    groundup: Groundup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = groundup("notebook", "vectors", *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not list(tmp_path.glob("*.ipynb"))

"""The guide for contributors names commands, options and files that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from groundup import checking
from groundup.cli import cli

ROOT = Path(__file__).parents[1]
GUIDE = ROOT.joinpath("CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"```console\n(.*?)```", GUIDE, flags=re.DOTALL))
COMMANDS = [line.partition("#")[0].strip() for line in BLOCKS.splitlines()]
OURS = [command.removeprefix("uv run groundup ") for command in COMMANDS if command.startswith("uv run groundup ")]


@pytest.mark.parametrize("arguments", OURS)
def test_every_command_has_the_options_that_the_guide_gives_it(arguments: str) -> None:
    name, *rest = shlex.split(arguments)
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None, name
    options = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert {argument for argument in rest if argument.startswith("-")} <= options


def test_the_guide_shows_the_way_from_the_skeleton_to_the_judge() -> None:
    guide = GUIDE[GUIDE.index("## Write a unit") :]
    names = re.findall(r"^uv run groundup ([\w-]+)", guide, flags=re.MULTILINE)
    assert names == ["new-unit", "verify", "verify", "run", "figure", "notebook", "verify"]


def test_every_file_that_the_guide_names_is_there() -> None:
    named = re.findall(r"\]\((?!http)([^)]+)\)", GUIDE) + re.findall(r"tests/\w+\.py", GUIDE)
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).exists()] == []


EXAMPLE = ROOT / "src" / "groundup" / "stack" / "classical" / "evaluation"


def test_what_the_guide_shows_of_its_example_is_there() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.py"))
    named = [*re.findall(r"`(test_\w+|_\w+)`", GUIDE), "roc_curve", "roc_auc", "precision_recall_curve"]
    assert len(named) > 6
    assert [name for name in named if f"def {name}(" not in text] == []
    (edit,) = re.findall(r'@mistake\("roc_auc", edit=\("(.*?)",', GUIDE)
    assert edit in text


def test_the_guide_lists_every_ready_check() -> None:
    ready = set(re.findall(r"^\| `(\w+)\(", GUIDE, flags=re.MULTILINE))
    general = {"assert_close", "assert_refuses", "assert_shape", "growing", "rng", "runs_python_lines", "speed_ratio"}
    assert ready | general | {"estimator_conventions", "module_conventions"} == set(checking.__all__)

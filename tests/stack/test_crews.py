"""Crews: the script for CrewAI of the lesson, and waves beside the standard library's sorter."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest

from groundup.stack.agents.crews import PlanError, Task, waves


def script() -> str:
    """The script of the lesson."""
    text = files("groundup.stack.agents.crews").joinpath("lesson.md").read_text(encoding="utf-8")
    code = re.search(r"```text\n(from crewai.*?)```", text, re.DOTALL)
    assert code is not None
    return code[1]


def test_the_script_for_crewai_is_python() -> None:
    compile(script(), "crew.py", "exec")


@pytest.mark.skipif(find_spec("crewai") is None, reason="CrewAI is in an environment of its own")
def test_the_script_for_crewai_runs(tmp_path: Path) -> None:
    (tmp_path / "crew.py").write_text(script(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "crew.py"], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=True
    )
    assert done.stdout.strip().endswith("'ACCEPT']")


def theirs(needs: dict[str, list[str]]) -> list[set[str]] | None:
    """The waves by graphlib; None for a circle."""
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError:
        return None
    result = []
    while sorter.is_active():
        ready = sorter.get_ready()
        result.append(set(ready))
        sorter.done(*ready)
    return result


def test_waves_are_those_of_graphlib() -> None:
    circles = 0
    for seed in range(300):
        draw = random.Random(seed)
        names = [f"t{number}" for number in range(draw.randint(1, 8))]
        needs = {name: draw.sample(names, draw.randint(0, min(2, len(names)))) for name in names}
        expected = theirs(needs)
        tasks = [Task(name, "w", "x", tuple(needs[name])) for name in names]
        if expected is None:
            circles += 1
            with pytest.raises(PlanError, match="in a circle"):
                waves(tasks)
        else:
            assert [{task.id for task in wave} for wave in waves(tasks)] == expected
    assert 30 < circles < 270, "both kinds were tried"

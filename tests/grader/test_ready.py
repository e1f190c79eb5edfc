"""For somebody who waits, the checks run in two processes at a time, made ready before the file is saved."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from groundup.course import grader as module
from groundup.course.grader import Grader, pool
from groundup.course.grader.request import Request
from groundup.course.material.unit import Unit
from tests.grader.submissions import LINUX, RIGHT, SUMS, WRONG, below, inside, judged_by

pytestmark = LINUX

ORDER = """
import os
from groundup.stack.bedrock.sums import total

def test_first():
    assert total([1.0]) == 1.0, os.getpid()

def test_second():
    assert total([2.0]) == 2.0, os.getpid()

def test_third():
    assert total([3.0]) == 3.0, os.getpid()
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[Grader]:
    monkeypatch.setattr(module, "REST_SECONDS", 0.0)
    with Grader(quick=True) as own:
        yield own


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of every process that judged, in turn: whether it was ready before."""
    seen: list[bool] = []
    submit = pool.Zygote.submit

    def watched(
        self: pool.Zygote, request: Request, talk: pool.Talk, ready: socket.socket | None = None
    ) -> dict[str, Any]:
        seen.append(ready is not None)
        return submit(self, request, talk, ready)

    monkeypatch.setattr(pool.Zygote, "submit", watched)
    return seen


def waiting(grader: Grader, count: int = 2) -> list[psutil.Process]:
    """The processes that are ready, once there are so many."""
    end = time.monotonic() + 60
    while len(grader._ready._waiting) < count and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.3)  # they have been asked for; now they are forked
    zygote = grader._zygotes["numpy"].pid
    assert zygote is not None
    below = psutil.Process(zygote).children(recursive=True)
    parents = {process.ppid() for process in below}
    return [process for process in below if process.pid not in parents and process.ppid() != zygote]


def test_a_verdict_by_processes_that_were_ready_is_the_same(quick: Grader, unit: Unit, used: list[bool]):
    first = {source: quick.grade(unit, source) for source in (RIGHT, WRONG)}
    for source in (RIGHT, WRONG, below("raise OSError", RIGHT), RIGHT):
        assert waiting(quick)
        used.clear()
        again = quick.grade(unit, source)
        assert used == [True, True]
        if source in first:
            want = [(c.name, c.outcome, c.message, c.location, c.diagnosis) for c in first[source].checks]
            assert [(c.name, c.outcome, c.message, c.location, c.diagnosis) for c in again.checks] == want
            assert again.verdict == first[source].verdict
        else:
            assert (again.verdict, again.message.partition(":")[0]) == ("crashed", "exercises/bedrock/sums.py")


def test_every_check_runs_once_and_they_come_in_the_order_of_the_file(tmp_path: Path, quick: Grader):
    unit = judged_by(ORDER, tmp_path / "stack")
    assert [check.name for check in quick.grade(unit, RIGHT).checks] == ["test_first", "test_second", "test_third"]
    verdict = quick.grade(unit, WRONG, diagnose=False)
    assert [check.name for check in verdict.checks] == ["test_first", "test_second", "test_third"]
    assert len({check.message.split("\n")[0] for check in verdict.checks}) == 1  # all in one process


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_failure_in_either_part_is_seen_with_all_other_checks(tmp_path: Path, quick: Grader, number: int):
    unit = judged_by(ORDER, tmp_path / "stack")
    wrong = inside(f"if len(values) and values[0] == {number}: return 0.0", RIGHT)
    outcomes = [check.outcome for check in quick.grade(unit, wrong).checks]
    assert outcomes == ["failed" if i == number else "passed" for i in (1, 2, 3)]


def test_one_check_alone_is_no_trouble(tmp_path: Path, quick: Grader):
    unit = judged_by(ORDER.partition("def test_second")[0], tmp_path / "stack")
    assert quick.grade(unit, RIGHT).passed
    assert quick.grade(unit, WRONG).verdict == "failed"


def test_a_changed_file_of_checks_is_not_judged_by_what_was_ready_for_the_old_one(tmp_path: Path, quick: Grader):
    unit = judged_by(ORDER, tmp_path / "stack")
    assert quick.grade(unit, RIGHT).passed
    assert waiting(quick)
    unit.checks.write_text(ORDER.replace("== 3.0", "== 4.0"), encoding="utf-8")
    assert [check.outcome for check in quick.grade(unit, RIGHT).checks] == ["passed", "passed", "failed"]


def test_another_unit_or_seed_has_processes_of_its_own(tmp_path: Path, quick: Grader, unit: Unit, used: list[bool]):
    assert quick.grade(unit, RIGHT).passed
    assert waiting(quick)
    assert quick.grade(unit, RIGHT, seed=7).seed == 7
    assert waiting(quick)
    assert len(quick.grade(judged_by(ORDER, tmp_path / "stack"), RIGHT).checks) == 3
    assert used == [False] * 6


def test_a_ready_process_that_died_is_replaced(quick: Grader, unit: Unit):
    assert quick.grade(unit, RIGHT).passed
    for process in waiting(quick):
        process.kill()
    time.sleep(0.2)
    assert quick.grade(unit, RIGHT).passed


def test_what_waited_too_long_is_not_used(quick: Grader, unit: Unit, used: list[bool], monkeypatch: pytest.MonkeyPatch):
    assert quick.grade(unit, RIGHT).passed
    assert waiting(quick)
    monkeypatch.setattr(module, "READY_SECONDS", 0.0)
    assert quick.grade(unit, RIGHT).passed
    assert used == [False] * 4


def test_closing_ends_what_is_ready(quick: Grader, unit: Unit):
    assert quick.grade(unit, RIGHT).passed
    ready = waiting(quick)
    assert len(ready) == 2
    quick.close()
    assert not psutil.wait_procs(ready, timeout=60)[1]
    assert not list(Path(tempfile.gettempdir()).iterdir())


def test_nothing_is_left_when_the_caller_is_killed(tmp_path: Path):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from groundup.course.grader import Grader\n"
        "from groundup.course.material.unit import load_unit\n"
        "grader = Grader(quick=True)\n"
        f"unit = load_unit(Path({str(SUMS)!r}))\n"
        "assert grader.grade(unit, unit.implementation.read_text()).passed\n"
        "while len(grader._ready._waiting) < 2: time.sleep(0.01)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    scratch = tmp_path / "temporary"
    scratch.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(scratch)}
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"ready\n"
        children = psutil.Process(caller.pid).children(recursive=True)
        assert len(list(scratch.iterdir())) == 2
        os.kill(caller.pid, signal.SIGKILL)
    assert not psutil.wait_procs(children, timeout=60)[1]
    assert not list(scratch.iterdir())

"""One warm grader for all tests of it, a unit small enough to see through, and a look at what a verdict leaves."""

import dataclasses
import os
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from groundup.course.grader import Grader, limits
from groundup.course.material.catalogue import STACK as INSTALLED
from groundup.course.material.unit import Unit, load_unit
from tests.grader.submissions import STACK, SUMS

# A stack of its own: its checks are for the grader, not for this run of pytest.
collect_ignore = ["stack"]

HERE = Path(__file__).parent

# In the environment of every process that a grader starts here, and of whatever that starts.
MARK = "GROUNDUP_TEST_RUN"
os.environ[MARK] = uuid.uuid4().hex
limits.KEPT += (MARK,)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of many attacks of one kind, the first is fast and the others are slow; what meets a limit of time runs alone."""
    kinds: Counter[str] = Counter()
    for item in items:
        if isinstance(item, pytest.Function) and item.path.parent == HERE and hasattr(item, "callspec"):
            kinds[item.nodeid.partition("[")[0]] += 1
            if kinds[item.nodeid.partition("[")[0]] > 1:
                item.add_marker(pytest.mark.slow)
        if isinstance(item, pytest.Function) and ("hurried" in item.fixturenames or "memory" in item.name):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def grader() -> Iterator[Grader]:
    # In parts, as for somebody who waits; what is made ready for the next verdict has tests of its own.
    with pytest.MonkeyPatch.context() as patch, Grader(workers=2, quick=True) as shared:
        patch.setattr("groundup.course.grader.REST_SECONDS", 3600.0)
        shared.warm("numpy")
        yield shared


@pytest.fixture(scope="session")
def unit() -> Unit:
    return load_unit(SUMS)


@pytest.fixture(scope="session")
def hurried(unit: Unit) -> Unit:
    """The unit with little time, for what never ends."""
    return dataclasses.replace(unit, limits=dataclasses.replace(unit.limits, seconds=2.0))


@pytest.fixture(scope="session")
def reference(unit: Unit) -> str:
    return unit.implementation.read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing outlives a verdict: no process, no temporary folder, no change to a file of ours."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(limits, "IN_MEMORY", str(scratch))
    before = files()
    yield
    assert list(scratch.iterdir()) == []
    assert files() == before
    end = time.monotonic() + 60  # a supervisor has given its answer before it ends
    while survivors() and time.monotonic() < end:
        time.sleep(0.02)
    assert survivors() == []


def files() -> dict[str, tuple[int, int]]:
    """Every file of the stacks with its size and the time of its last change."""
    paths = [path for stack in (STACK, INSTALLED) for path in stack.rglob("*") if "__pycache__" not in path.parts]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path.is_file()}


def survivors() -> list[psutil.Process]:
    """The processes of graders that are neither the warm ones nor the second one that each of these forks."""
    marked = [process for process in psutil.process_iter() if _is_marked(process)]
    pids = {process.pid: process.ppid() for process in marked}
    warm = {pid for pid, parent in pids.items() if parent == os.getpid()}
    second = {pid for pid, parent in pids.items() if parent in warm and pid not in warm}
    return [process for process in marked if process.pid not in warm | set(sorted(second)[: len(warm)])]


def _is_marked(process: psutil.Process) -> bool:
    """Whether a grader or a test of this folder started it.

    What other tests start has their name in its environment. A lab's run goes on to be recorded when they have ended.
    """
    try:
        environment = process.environ()
        if environment.get(MARK) != os.environ[MARK] or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return "tests/grader/" in environment.get("PYTEST_CURRENT_TEST", "tests/grader/")
    except psutil.Error:
        return False

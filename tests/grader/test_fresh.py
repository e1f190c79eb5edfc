"""A fresh process for each verdict, as on macOS and Windows: the same verdicts in the same words, and nothing left.

The same cases run once more in a Python that has been robbed of what Windows lacks: see `without_fork`.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from groundup.course.grader import Grader, limits
from groundup.course.material.unit import Limits, load_unit
from groundup.course.verdict import Verdict
from groundup.errors import CannotJudge
from tests.grader.submissions import CTYPES, HEADS, RIGHT, SUMS, WRONG, below, inside, place

HURRIED = Limits(seconds=4.0, memory_mb=256, processes=4)
LEFT = """
import subprocess, sys
if not KEPT:
    KEPT.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(987)"]))
"""


@dataclasses.dataclass(frozen=True)
class Case:
    """A submission, and the verdict on it: `{place}` in the message is its marked line."""

    source: str
    verdict: str
    message: str = ""
    quick: bool = False


CASES = {
    "right": Case(RIGHT, "passed", quick=True),
    "wrong": Case(WRONG, "failed"),
    "not imported": Case(
        below("import nowhere_at_all  # here"),
        "crashed",
        "{place}ModuleNotFoundError: No module named 'nowhere_at_all', while",
    ),
    "without an end": Case(
        inside("while True: pass  # here"),
        "timeout",
        "{place}your code did not finish within 4 s and was stopped. Is there a loop without an end? "
        "It was running `test_total_adds_up`.",
        quick=True,
    ),
    "ends the process": Case(
        inside("import os\nos._exit(0)  # here"),
        "crashed",
        "{place}your code ended the process (`os._exit`).",
        quick=True,
    ),
    "crashes": Case(
        inside(f"{CTYPES}\nctypes.string_at(0)  # here"),
        "crashed",
        "{place}your code crashed Python itself: it accessed memory",
    ),
    "prints": Case(
        inside("for _ in range(2**20): print('x' * 1023)"),
        "crashed",
        "your code printed more than 256 KB and was stopped.",
    ),
    "takes memory": Case(
        inside("import time\nKEPT.append(bytearray(b'x') * (600 * 2**20))\ntime.sleep(60)", below("KEPT = []")),
        "crashed",
        "your code used more memory than its limit of 256 MB, and was stopped.",
    ),
    "leaves a process": Case(
        inside(LEFT, below("KEPT = []")), "refused", "Your code left a process running after the checks.", quick=True
    ),
    "leaves a process and ends": Case(
        inside(f"{LEFT}\nimport os\nos._exit(0)  # here", below("KEPT = []")),
        "crashed",
        "{place}your code ended the process",
    ),
    "leaves an orphan and ends": Case(
        inside("import os, subprocess\nsubprocess.run(['sh', '-c', 'setsid sleep 987 & exit'])\nos._exit(0)  # here"),
        "crashed",
        "{place}your code ended the process",
    ),
    "leaves a thread": Case(
        inside("import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()  # here"),
        "refused",
        "{place}your code left a thread running",
    ),
    "reads the solution": Case(
        inside(f"open({str(SUMS / 'sums.py')!r})  # here"), "refused", "{place}your code reads the"
    ),
    "changes numpy": Case(inside("vars(np).update({'is' + 'close': print})"), "refused", "numpy.isclose"),
    "writes to the channel": Case(
        inside("import os\nfor n in range(3, 20):\n    try: os.write(n, b'{}')\n    except OSError: pass"),
        "refused",
        "Your code wrote to the channel by which the grader reports",
    ),
    "closes the channel": Case(
        inside("import os\nos.closerange(3, 20)"), "refused", "our code closed the channel by which the grader reports."
    ),
    "uses what is forbidden": Case(
        inside("exec('import numpy.lin' + 'alg')  # here"),
        "refused",
        "{place}your code uses `numpy.linalg`. Nothing here",
    ),
}


QUICK = [name for name, case in CASES.items() if case.quick]
MEMORY = "takes memory"
ORPHAN = "leaves an orphan and ends"
if sys.platform != "linux":
    del CASES[ORPHAN]  # there is no program `setsid`
OTHERS = [pytest.param(n, marks=pytest.mark.slow) for n, case in CASES.items() if not case.quick and n != MEMORY]


def judge(names: Iterable[str], start_method: Any) -> dict[str, dict[str, Any]]:
    """The verdict documents of some cases."""
    unit = dataclasses.replace(load_unit(SUMS), limits=HURRIED)
    names = list(names)
    with Grader(workers=2, start_method=start_method) as grader, ThreadPoolExecutor(2) as pool:
        verdicts = pool.map(lambda name: grader.grade(unit, CASES[name].source).to_json(), names)
        return dict(zip(names, verdicts, strict=True))


@pytest.fixture(scope="module")
def judged(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """The verdicts on all cases that this run of pytest has selected."""
    names = {}
    for item in request.session.items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if parameters.get("judged") == request.param:
            names[parameters["name"]] = None
    return judge(names, "fresh") if request.param == "fresh" else judge_without_fork(names)


def judge_without_fork(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    root = Path(__file__).parents[2]
    paths = [str(root / "tests" / "grader" / "without_fork"), str(root)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.grader.test_fresh", *names],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that is made to look like Windows here")


@pytest.mark.parametrize("name", [*QUICK, *OTHERS])
@pytest.mark.parametrize("judged", ["fresh", pytest.param("without fork", marks=LINUX)], indirect=True)
def test_a_fresh_process_gives_the_same_verdict(name: str, judged: dict[str, dict[str, Any]]):
    verdict = Verdict.from_json(judged[name])
    assert_as_expected(name, verdict)
    if name == "wrong":
        (first,) = (check for check in verdict.checks if check.name == "test_total_adds_up")
        assert first.message == "total([1, 2, 3]) is 6\n  expected 6.\n  got      7."
        assert first.diagnosis == "The fault is in `total`."


@LINUX
@pytest.mark.slow
def test_memory_is_watched_where_the_system_does_not_limit_it():
    assert_as_expected(MEMORY, Verdict.from_json(judge_without_fork([MEMORY])[MEMORY]))


def assert_as_expected(name: str, verdict: Verdict) -> None:
    case = CASES[name]
    assert verdict.verdict == case.verdict, verdict
    message = case.message.replace("{place}", place(case.source)) if "{place}" in case.message else case.message
    assert message.lower() in verdict.message.lower(), verdict


@pytest.fixture
def alone() -> Iterator[Grader]:
    with Grader(start_method="fresh") as grader:
        yield grader


def test_a_runtime_that_is_not_installed_is_no_fault_of_the_submission(
    alone: Grader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("torch")  # without it, the caller has said so before any process starts
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    heads = load_unit(HEADS)
    with pytest.raises(CannotJudge, match="The grader's torch process ended before it answered."):
        alone.grade(heads, heads.implementation.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_fresh_process_ends_with_its_caller(tmp_path: Path):
    """The learner's code hangs, and the caller is killed: nothing is left."""
    program = (
        "from groundup.course.grader import Grader\nfrom tests.grader.submissions import *\n"
        'source = inside(\'open("started", "w").close()\\nwhile True: pass\')\n'
        "Grader(start_method='fresh').grade(load_unit(SUMS), source)\n"
    )
    root = Path(__file__).parents[2]
    caller = subprocess.Popen(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "PYTHONPATH": str(root),
            "TMPDIR": str(tmp_path),
            "TEMP": str(tmp_path),
            "TMP": str(tmp_path),
        },
    )
    end = time.monotonic() + 60
    while not list(tmp_path.glob("groundup-*/started")) and time.monotonic() < end:
        time.sleep(0.05)
    children = psutil.Process(caller.pid).children(recursive=True)
    assert children
    caller.kill()
    caller.wait()
    assert not psutil.wait_procs(children, timeout=60)[1]


if __name__ == "__main__":
    if hasattr(os, "fork"):
        sys.exit("This is to be run with `without_fork` on PYTHONPATH.")
    assert Grader().start_method == "fresh"
    limits.KEPT += ("GROUNDUP_TEST_RUN",)  # see `nothing_is_left`
    print(json.dumps(judge(sys.argv[1:], "auto")))

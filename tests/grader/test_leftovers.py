"""Nothing that a submission starts outlives its verdict, and nothing that it changes reaches the next check.

That nothing is left, `nothing_is_left` looks at after every test of the grader.
"""

import dataclasses
import itertools
import os
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from groundup.course.grader import Grader, pool, remove_folder
from groundup.course.material.unit import Unit
from tests.grader.submissions import CTYPES, LINUX, assert_refused, below, inside, some

pytestmark = LINUX

# The worker as it is where the system gives it no process namespaces: in most containers, for example.
WITHOUT_NAMESPACES = """
import sys
from groundup.course.grader import limits, worker
limits.CLONE_NEWPID = limits.CLONE_NEWUSER = -1
worker.main(sys.argv[1:])
"""


@pytest.fixture(scope="module", params=["namespaces", "no namespaces"])
def any_grader(request: pytest.FixtureRequest, grader: Grader) -> Iterator[Grader]:
    if request.param == "namespaces":
        yield grader
        return
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    with pytest.MonkeyPatch.context() as patch, Grader() as other:
        command = [sys.executable, "-P", "-c", WITHOUT_NAMESPACES]
        patch.setattr(pool, "command", lambda *arguments: [*command, *arguments])
        yield other


@pytest.fixture(scope="session")
def generous(unit: Unit) -> Unit:
    """The unit, if it had a use for other processes."""
    return dataclasses.replace(unit, limits=dataclasses.replace(unit.limits, processes=16))


# Threads


@pytest.mark.parametrize(
    "code",
    [
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()  # here",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()  # here",
        "import _thread, time\n_thread.start_new_thread(time.sleep, (60,))  # here",
        "import concurrent.futures as f\nf.ThreadPoolExecutor(1).submit(__import__('time').sleep, 60)  # here",
        "import threading\nthreading.Timer(60, print).start()  # here",
        "from multiprocessing.pool import ThreadPool\nKEPT.append(ThreadPool(1))  # here",
    ],
    ids=["daemon", "thread", "_thread", "pool", "timer", "ThreadPool"],
)
def test_a_thread_left_behind_is_refused(code: str, grader: Grader, unit: Unit):
    source = inside(code, below("KEPT = []"))
    assert_refused(grader.grade(unit, source), source, "your code left a thread running", "`join`")


def test_a_thread_left_behind_while_the_file_is_imported_is_refused(grader: Grader, unit: Unit):
    source = below("import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()  # here")
    assert_refused(grader.grade(unit, source), source, "your code left a thread running")


@pytest.mark.parametrize(
    "code",
    [
        "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()",
        "import threading\nthreading.Thread(target=print).start()",
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as p: list(p.map(abs, [1, 2]))",
    ],
    ids=["joined", "short", "pool"],
)
def test_threads_that_end_are_no_fault(code: str, grader: Grader, unit: Unit):
    verdict = grader.grade(unit, inside(code))
    assert verdict.verdict == "passed", verdict


# Processes

START = {
    "Popen": "import subprocess\nsubprocess.Popen(['sleep', '98765'])  # here",
    "fork": "import os, time\nif os.fork() == 0:  # here\n    time.sleep(98765)",
    "multiprocessing": "import multiprocessing, time\n"
    "multiprocessing.get_context('fork').Process(target=time.sleep, args=(98765,)).start()  # here",
    "a daemon": "import os, time\nif os.fork() == 0:  # here\n    os.setsid()\n    if os.fork() == 0:\n"
    "        os.chdir('/')\n        os.closerange(0, 256)\n        time.sleep(98765)\n    os._exit(0)\nos.wait()",
    "a shell's": "import os\nos.system('sleep 98765 & disown; setsid sleep 98765 &')  # here",
}


@pytest.mark.parametrize("code", START.values(), ids=START)
def test_starting_a_process_is_refused(code: str, grader: Grader, unit: Unit):
    source = inside(code)
    assert_refused(grader.grade(unit, source), source, "your code starts another process", "has no use for one")


@pytest.mark.parametrize("code", some(START, "Popen", "a daemon"))
def test_a_process_left_behind_is_ended_and_refused(code: str, any_grader: Grader, generous: Unit):
    once = f"import builtins\nif not KEPT:\n    KEPT.append(1)\n    {code.replace(chr(10), chr(10) + '    ')}"
    verdict = any_grader.grade(generous, inside(once, below("KEPT = []")))
    assert verdict.verdict == "refused", verdict
    assert verdict.message == (
        "Your code left a process running after the checks. Wait for every process that you start."
    )
    assert {check.outcome for check in verdict.checks} == {"passed"}


CTYPES_DAEMON = f"""
{CTYPES}
import time
libc = ctypes.CDLL(None)
if not KEPT:
    KEPT.append(1)
    if libc.fork() == 0:
        libc.setsid()
        if libc.fork() == 0:
            while True:
                time.sleep(98765)
        libc._exit(0)
"""


def test_a_process_started_behind_pythons_back_is_ended_and_refused(any_grader: Grader, unit: Unit):
    verdict = any_grader.grade(unit, inside(CTYPES_DAEMON, below("KEPT = []")))
    assert verdict.verdict == "refused", verdict
    assert "left a process running" in verdict.message


ENDINGS = {"exit": "os._exit(0)", "crash": f"{CTYPES}\nctypes.string_at(0)", "loop": "while True: pass"}


@pytest.mark.parametrize("ending", some(ENDINGS, "exit"))
def test_processes_of_a_run_that_broke_off_are_ended(ending: str, any_grader: Grader, generous: Unit):
    hurried = dataclasses.replace(generous, limits=dataclasses.replace(generous.limits, seconds=2.0))
    verdict = any_grader.grade(
        hurried, inside(f"{START['a daemon']}\n{START['Popen']}\n{ending}".replace("  # here", ""))
    )
    assert verdict.verdict in ("crashed", "timeout"), verdict


def test_processes_that_end_are_no_fault(grader: Grader, generous: Unit):
    code = """
    import multiprocessing, os, subprocess
    assert subprocess.run(["echo", "1"], capture_output=True, text=True).stdout == "1\\n"
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(abs, [-1]) == [1]
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    subprocess.Popen(["true"])
    """
    code = f"if not KEPT:\n    KEPT.append(1)\n{code}"
    verdict = grader.grade(generous, inside(code, below("KEPT = []")))
    assert verdict.verdict == "passed", verdict


# Fork bombs

BOMB = "import os\nwhile True: os.fork()  # here"


def test_a_fork_bomb_is_refused_at_its_first_fork(grader: Grader, unit: Unit):
    source = inside(BOMB)
    assert_refused(grader.grade(unit, source), source, "your code starts another process (`os.fork`)")


def test_a_fork_bomb_is_stopped(any_grader: Grader, generous: Unit):
    verdict = any_grader.grade(generous, inside(BOMB))
    assert verdict.verdict == "crashed"
    words = "your code started more processes than the limit allows, and was stopped with all of them."
    assert words in verdict.message.lower()
    assert verdict.message.endswith("It was running `test_total_adds_up`.")


@pytest.mark.slow
def test_one_process_after_the_other_without_an_end_is_stopped(grader: Grader, generous: Unit):
    source = inside("import os\nwhile True:\n    if not os.fork(): os._exit(0)  # here\n    os.wait()")
    assert_refused(grader.grade(generous, source), source, "your code starts more processes than it may.")


def test_a_fork_bomb_behind_pythons_back_is_stopped(any_grader: Grader, unit: Unit):
    code = (
        f"import time\n{CTYPES}\nfor _ in range(8):\n    ctypes.CDLL(None).fork()\n    time.sleep(0.01)\ntime.sleep(60)"
    )
    verdict = any_grader.grade(unit, inside(code))
    assert verdict.verdict == "crashed"
    assert "started more processes than the limit allows" in verdict.message


def test_the_memory_of_all_processes_together_is_limited(grader: Grader, generous: Unit):
    limits = dataclasses.replace(generous.limits, memory_mb=128)
    code = """
    import os, time
    for _ in range(4):
        if os.fork() == 0:
            kept = bytearray(os.urandom(2**20)) * 100
            time.sleep(60)
    time.sleep(60)
    """
    verdict = grader.grade(dataclasses.replace(generous, limits=limits), inside(code))
    assert verdict.verdict == "crashed"
    assert "used more memory than its limit of 128 MB" in verdict.message


def test_memory_that_forks_share_is_counted_once(grader: Grader, generous: Unit):
    limits = dataclasses.replace(generous.limits, memory_mb=128)
    code = """
    import os, time
    pids = []
    for _ in range(0 if KEPT else 8):
        pids.append(os.fork())
        if not pids[-1]:
            time.sleep(0.3)
            os._exit(0)
    KEPT.extend(os.waitpid(pid, 0) for pid in pids)
    """
    verdict = grader.grade(dataclasses.replace(generous, limits=limits), inside(code, below("KEPT = []")))
    assert verdict.verdict == "passed", verdict


# Signals


@pytest.mark.parametrize("target", ["os.getppid()", "os.getpid()", "-1", "1"])
def test_signals_are_refused(target: str, grader: Grader, unit: Unit):
    source = inside(f"import os\nos.kill({target}, 9)  # here")
    assert_refused(grader.grade(unit, source), source, "your code sends a signal to a process.")


@pytest.mark.parametrize("target", ["os.getppid()", "-1"])
def test_signals_to_others_than_its_children_are_refused(target: str, grader: Grader, generous: Unit):
    source = inside(f"import os\nos.kill({target}, 9)  # here")
    assert_refused(grader.grade(generous, source), source, "your code sends a signal to a process.")


def test_whoever_kills_the_supervisor_gets_a_verdict(any_grader: Grader, unit: Unit):
    verdict = any_grader.grade(
        unit, inside(f"import os\n{CTYPES}\nos.getppid() and ctypes.CDLL(None).kill(os.getppid(), 9)")
    )
    assert verdict.verdict in ("passed", "crashed")  # in a namespace of its own it sees no parent
    assert verdict.verdict == "passed" or "ended the process that watches it" in verdict.message
    assert any_grader.grade(unit, inside("pass")).passed


# The temporary folder


def test_all_files_together_are_limited(grader: Grader, generous: Unit):
    limits = dataclasses.replace(generous.limits, file_mb=1)
    code = """
    import itertools, time
    for n in itertools.count():
        with open(f"{n}.bin", "wb") as file:
            file.write(bytes(2**20))
        time.sleep(0.01)
    """
    verdict = grader.grade(dataclasses.replace(generous, limits=limits), inside(code))
    assert verdict.verdict == "crashed"
    assert "Your code wrote more than 8 MB of files, and was stopped." in verdict.message


def test_files_that_another_program_writes_are_no_fault(grader: Grader, generous: Unit, tmp_path: Path):
    limits = dataclasses.replace(generous.limits, file_mb=1)
    code = """
    import os, time
    if not os.path.exists("begun"):
        open("begun", "w").close()
        time.sleep(1)
    """
    stop = threading.Event()

    def fill() -> None:
        for n in itertools.count():
            if stop.wait(0.02):
                return
            (tmp_path / f"{n}.bin").write_bytes(bytes(2**20))

    other = threading.Thread(target=fill)
    other.start()
    try:
        verdict = grader.grade(dataclasses.replace(generous, limits=limits), inside(code))
    finally:
        stop.set()
        other.join()
    assert verdict.verdict == "passed"


FOLDER = {
    "no permissions": "import os\nos.makedirs('a/b', exist_ok=True)\nopen('a/b/c', 'w').close()\nos.chmod('a', 0)",
    "many files": "import os\nfor n in range(0 if os.path.exists('0') else 2000): open(f'{n}', 'w').close()",
    "deep": "import os\nfor n in range(200):\n    os.mkdir('d' * 50)\n    os.chdir('d' * 50)",
    "links": "import os\nif not os.path.lexists('loop'):\n    os.symlink('.', 'loop')\n    os.symlink('/', 'root')",
    "fifo": "import os\nos.path.lexists('fifo') or os.mkfifo('fifo')",
    "itself": "import os\nos.chmod('.', 0)",
}


@pytest.mark.parametrize("code", some(FOLDER, "no permissions", "links"))
def test_the_temporary_folder_goes_away(code: str, grader: Grader, unit: Unit):
    assert grader.grade(unit, inside(code), diagnose=False).verdict in ("passed", "failed", "crashed")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no such permissions here")
def test_a_folder_without_permissions_is_removed():
    """Not as root, who needs no permissions."""
    folder = Path("/tmp", f"groundup-test-{uuid.uuid4().hex}", "scratch")
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "c").touch()
    root = os.geteuid() == 0
    for path in (folder.parent, folder, *folder.rglob("*")):
        os.chown(path, 65534 if root else -1, -1)
    for path in (folder / "a" / "b", folder / "a", folder):
        path.chmod(0)
    if root:
        os.seteuid(65534)
    try:
        remove_folder(str(folder))
    finally:
        if root:
            os.seteuid(0)
    assert not folder.exists()
    folder.parent.rmdir()


def test_the_workers_end_with_the_grader(unit: Unit):
    before = set(psutil.Process().children(recursive=True))
    with Grader() as own:
        assert own.grade(unit, inside("pass")).passed
        children = set(psutil.Process().children(recursive=True)) - before
        assert children
    assert not psutil.wait_procs(children, timeout=60)[1]

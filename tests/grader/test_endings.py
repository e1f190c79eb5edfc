"""However a submission ends its run, there is a verdict that says what happened, and in which line."""

import dataclasses
from pathlib import Path

import pytest

from groundup.course.grader import Grader
from groundup.course.material.exercise import write_exercise
from groundup.course.material.unit import Unit
from groundup.course.verdict import CheckResult, Verdict
from tests.grader.submissions import CTYPES, LINUX, RIGHT, SUMS, WRONG, below, inside, judged_by, line_of, place, some

pytestmark = LINUX

FIRST = "test_total_adds_up"


def first(verdict: Verdict) -> CheckResult:
    return next(check for check in verdict.checks if check.name == FIRST)


def where(source: str) -> str:
    return place(source).removesuffix(": ")


# Before anything runs


def test_a_syntax_error_is_shown_with_its_line(grader: Grader, unit: Unit):
    source = below("def broken(:  # here")
    verdict = grader.grade(unit, source)
    assert verdict.verdict == "crashed"
    assert verdict.message == place(source) + "SyntaxError: invalid syntax: `def broken(:  # here`"
    assert {check.outcome for check in verdict.checks} == {"not_run"}


@pytest.mark.parametrize("code", ["x = 1\0", "x = (" + "(" * 5000 + "1" + ")" * 5001, "x = " + "-" * 50_000 + "1"])
def test_a_text_that_python_cannot_read_is_no_crash_of_ours(code: str, grader: Grader, unit: Unit):
    verdict = grader.grade(unit, below(code))
    assert verdict.verdict == "crashed"
    assert verdict.message.startswith("exercises/bedrock/sums.py:")


def test_an_expression_of_a_thousand_terms_is_no_crash_of_ours(grader: Grader, unit: Unit):
    verdict = grader.grade(unit, below("x = " + " + ".join(["1"] * 1500)))
    assert verdict.verdict in ("passed", "crashed")
    assert verdict.verdict == "passed" or "nested too deeply" in verdict.message


# While it is imported


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import nowhere_at_all  # here", "ModuleNotFoundError: No module named 'nowhere_at_all', while your file was"),
        ("from numpy import no_such_name  # here", "ImportError: cannot import name 'no_such_name' from 'numpy'"),
        ("1 / 0  # here", "ZeroDivisionError: division by zero, while your file was imported."),
        ("raise SystemExit(0)  # here", "Your code ended the program (`SystemExit: 0`), while your file was imported."),
        ("import sys\nsys.exit(0)  # here", "Your code ended the program (`SystemExit: 0`), while your file was"),
        ("raise KeyboardInterrupt  # here", "Your code ended the program (`KeyboardInterrupt`), while your file was"),
        ("raise BaseException('down')  # here", "BaseException: down, while your file was imported."),
        ("x = bytearray(20 * 2**30)  # here", "Your code asked for more memory than the 1024 MB that it may use"),
        ("import os\nos._exit(0)  # here", "your code ended the process (`os._exit`)."),
        ("import os\nexec('os._exit(0)')  # here", "your code ended the process (`os._exit`)."),
    ],
)
def test_what_goes_wrong_while_the_file_is_imported(code: str, words: str, grader: Grader, unit: Unit):
    source = below(code)
    verdict = grader.grade(unit, source)
    assert verdict.verdict == "crashed"
    assert verdict.message.startswith(place(source) + words)


def test_a_loop_without_an_end_while_the_file_is_imported(grader: Grader, hurried: Unit):
    source = below("while True: pass  # here")
    verdict = grader.grade(hurried, source)
    assert verdict.verdict == "timeout"
    assert verdict.message == (
        place(source) + "your code did not finish within 2 s and was stopped. Is there a loop without an end? "
        "It was being imported."
    )


# While a check runs


def test_a_loop_without_an_end(grader: Grader, hurried: Unit):
    source = inside("while True: pass  # here")
    verdict = grader.grade(hurried, source)
    assert verdict.verdict == "timeout"
    assert verdict.message == (
        place(source) + "your code did not finish within 2 s and was stopped. Is there a loop without an end? "
        f"It was running `{FIRST}`."
    )
    assert first(verdict).outcome == "failed"
    assert first(verdict).location == where(source)
    assert {check.outcome for check in verdict.checks[1:]} == {"not_run"}


STUBBORN = {
    "that catches everything": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "in C": "sum(iter(int, 1))",
    "that handles signals": "import signal\n[signal.signal(n, lambda *_: None) for n in (2, 6, 15)]\nwhile True: pass",
    "that blocks signals": "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
    "while True: pass",
}


@pytest.mark.parametrize("code", some(STUBBORN, "that catches everything"))
def test_a_loop_that_will_not_be_stopped(code: str, grader: Grader, hurried: Unit):
    verdict = grader.grade(hurried, inside(code))
    assert verdict.verdict == "timeout"
    assert verdict.message.endswith(f"Is there a loop without an end? It was running `{FIRST}`.")


@pytest.mark.parametrize(
    "code",
    ["x = bytearray(20 * 2**30)  # here", "x = np.ones(20 * 2**30, dtype=np.uint8)  # here"],
    ids=["bytearray", "numpy"],
)
def test_an_allocation_of_20_gb(code: str, grader: Grader, unit: Unit):
    source = inside(code)
    verdict = grader.grade(unit, source, diagnose=False)
    assert verdict.verdict == "failed"
    assert first(verdict).message.startswith("Your code asked for more memory than the 1024 MB that it may use (Memory")
    assert first(verdict).location == where(source)


def test_where_memory_ran_out_is_said_whatever_came_of_it(grader: Grader, unit: Unit):
    source = inside(
        """
        try:
            x = bytearray(20 * 2**30)  # here
        except MemoryError:
            raise ValueError("something that came of it")
        """
    )
    verdict = grader.grade(unit, source, diagnose=False)
    assert first(verdict).message.startswith("Your code asked for more memory than the 1024 MB that it may use (Memory")
    assert first(verdict).location == where(source)


@pytest.mark.parametrize("size", [2**22, 2**10])
@pytest.mark.parametrize("kept", ["KEPT", "[]"])
def test_memory_taken_bit_by_bit(kept: str, size: int, grader: Grader, unit: Unit):
    unit = dataclasses.replace(unit, limits=dataclasses.replace(unit.limits, memory_mb=200, seconds=60))
    source = inside(f"kept = {kept}\nwhile True: kept.append(bytearray({size}))  # here", below("KEPT = []"))
    verdict = grader.grade(unit, source, diagnose=False)
    words = "Your code asked for more memory than the 200 MB that it may use (MemoryError)."
    assert first(verdict).message.startswith(words)
    assert first(verdict).location == where(source)
    if kept == "KEPT":
        assert verdict.verdict == "crashed"
        assert verdict.message == f"{place(source)}{words} It keeps what it has, so that nothing more can be run."
    else:
        assert verdict.verdict == "failed", verdict
        assert "not_run" not in {check.outcome for check in verdict.checks}


@pytest.mark.parametrize(
    "code",
    [
        "raise SystemExit(0)  # here",
        "import sys\nsys.exit(0)  # here",
        "exit(0)  # here",
        "raise KeyboardInterrupt  # here",
    ],
    ids=["SystemExit", "sys.exit", "exit", "KeyboardInterrupt"],
)
def test_ending_the_program_fails_the_check_and_the_others_run(code: str, grader: Grader, unit: Unit):
    source = inside(code)
    verdict = grader.grade(unit, source, diagnose=False)
    assert verdict.verdict == "failed"
    assert first(verdict).message.startswith("Your code ended the program (`")
    assert first(verdict).location == where(source)
    assert "not_run" not in {check.outcome for check in verdict.checks}


@pytest.mark.parametrize(
    "source", [inside("import os\nos._exit(0)  # here"), inside("exec('import os; os._exit(0)')  # here")]
)
def test_ending_the_process(source: str, grader: Grader, unit: Unit):
    verdict = grader.grade(unit, source)
    assert verdict.verdict == "crashed"
    assert verdict.message == place(source) + "your code ended the process (`os._exit`)."
    assert first(verdict).message == verdict.message


def test_ending_the_process_by_a_way_that_python_does_not_see(grader: Grader, unit: Unit):
    verdict = grader.grade(unit, inside(f"{CTYPES}\nctypes.CDLL(None)._exit(0)"))
    assert verdict.verdict == "crashed"
    assert verdict.message == f"Your code ended the process (exit status 0). It was running `{FIRST}`."


@pytest.mark.parametrize(
    "code",
    [
        f"{CTYPES}\nctypes.string_at(0)  # here",
        "return np.lib.stride_tricks.as_strided(np.zeros(1), (10**12,), (8,))[10**11]  # here",
    ],
    ids=["ctypes", "as_strided"],
)
def test_a_segmentation_fault(code: str, grader: Grader, unit: Unit):
    source = inside(code)
    verdict = grader.grade(unit, source)
    assert verdict.verdict == "crashed"
    words = "your code crashed Python itself: it accessed memory outside its own (SIGSEGV)."
    assert verdict.message == f"{place(source)}{words} It was running `{FIRST}`."
    assert first(verdict).location == where(source)


def test_an_abort(grader: Grader, unit: Unit):
    source = inside("import os\nos.abort()  # here")
    verdict = grader.grade(unit, source)
    assert verdict.verdict == "crashed"
    assert verdict.message.startswith(place(source) + "your code ")


@pytest.mark.parametrize(
    "code",
    [
        "for _ in range(2**20): print('x' * 1023)  # here",
        "import os\nfor _ in range(2**20): os.write(1, b'x' * 1024)  # here",
        "import sys\nfor _ in range(2**20): sys.stderr.write('x' * 1024)  # here",
    ],
    ids=["print", "os.write", "stderr"],
)
def test_a_gigabyte_of_prints(code: str, grader: Grader, unit: Unit):
    source = inside(code)
    verdict = grader.grade(unit, source)
    assert verdict.verdict == "crashed"
    words = "your code printed more than 256 KB and was stopped. Is there a `print` in a loop?"
    assert verdict.message == f"{place(source)}{words} It was running `{FIRST}`."


def test_some_prints_are_no_fault(grader: Grader, unit: Unit):
    assert grader.grade(unit, inside("print('x' * 1000)")).verdict == "passed"


def test_recursion_without_an_end(grader: Grader, unit: Unit):
    source = inside("return total(values)  # here")
    verdict = grader.grade(unit, source, diagnose=False)
    assert verdict.verdict == "failed"
    assert first(verdict).message.startswith("RecursionError: maximum recursion depth exceeded")
    assert first(verdict).message.endswith("Does a function call itself without an end?")
    assert first(verdict).location == where(source)


@pytest.mark.slow
def test_recursion_that_python_does_not_limit(grader: Grader, unit: Unit):
    source = inside("import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6): x = [x]\nrepr(x)  # here")
    verdict = grader.grade(unit, source, diagnose=False)
    assert verdict.verdict in ("crashed", "failed")


def test_a_file_too_large(grader: Grader, unit: Unit):
    source = inside("with open('big', 'wb') as file:\n    file.truncate(2**40)  # here")
    verdict = grader.grade(unit, source, diagnose=False)
    assert verdict.verdict == "failed"
    assert first(verdict).message == "OSError: [Errno 27] File too large"


def test_processor_time_is_limited_too(grader: Grader, unit: Unit):
    source = inside("import resource\nreturn resource.getrlimit(resource.RLIMIT_CPU)[1]")
    verdict = grader.grade(unit, source, diagnose=False)
    got = int(first(verdict).message.split("got")[1].strip(" ."))
    assert unit.limits.seconds < got < 60


def test_an_exception_whose_text_cannot_be_had(grader: Grader, unit: Unit):
    code = """
    class Strange(Exception):
        def __str__(self):
            raise SystemExit(0)
    raise Strange  # here
    """
    source = inside(code)
    verdict = grader.grade(unit, source, diagnose=False)
    assert verdict.verdict == "failed"
    assert first(verdict).location == where(source)


def test_exceptions_of_every_kind_fail_a_check(grader: Grader, unit: Unit):
    for error in ("GeneratorExit", "StopIteration", "BaseException", "ExceptionGroup('a', [ValueError('b')])"):
        verdict = grader.grade(unit, inside(f"raise {error}"), diagnose=False)
        assert verdict.verdict == "failed", error
        assert first(verdict).message


def test_a_submission_that_writes_nothing_has_not_been_attempted(grader: Grader, unit: Unit):
    from groundup.course.material.exercise import write_exercise

    verdict = grader.grade(unit, write_exercise(unit))
    assert verdict.verdict == "not_attempted"
    assert verdict.message == "Nothing is written yet in exercises/bedrock/sums.py."


def test_an_empty_file(grader: Grader, unit: Unit):
    verdict = grader.grade(unit, "")
    assert verdict.verdict == "crashed"
    assert verdict.message.startswith("exercises/bedrock/sums.py: ImportError: cannot import name 'RunningMean'")


def test_the_seconds_of_a_check_do_not_make_a_wrong_one_right(grader: Grader, unit: Unit):
    limits = dataclasses.replace(unit.limits, seconds=0.001)
    verdict = grader.grade(dataclasses.replace(unit, limits=limits), RIGHT)
    assert verdict.verdict == "timeout"
    assert line_of(inside("x  # here")) == 15
    assert grader.grade(unit, WRONG, diagnose=False).verdict == "failed"


@pytest.mark.slow
def test_checks_that_call_what_is_not_written_while_they_are_imported_wait_for_it(tmp_path: Path, grader: Grader):
    checks = (SUMS / "checks.py").read_text(encoding="utf-8")
    unit = judged_by(f"{checks}\n\nSIX = total([1.0, 2.0, 3.0])\n", tmp_path / "stack")
    verdict = grader.grade(unit, write_exercise(unit))
    assert verdict.verdict == "not_attempted"
    assert verdict.message == "`total` is not written yet: every check waits for it, in their imports."
    assert grader.grade(unit, unit.implementation.read_text(encoding="utf-8")).passed

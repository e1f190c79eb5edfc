"""What the grader says of ordinary submissions."""

from pathlib import Path

from groundup.course.grader import Grader
from groundup.course.material.unit import Unit
from groundup.course.verdict import CheckResult, Verdict, sha256_text
from tests.grader.submissions import inside, judged_by


def outcomes(verdict: Verdict) -> dict[str, str]:
    return {check.name: check.outcome for check in verdict.checks}


def check(verdict: Verdict, name: str) -> CheckResult:
    return next(c for c in verdict.checks if c.name == name)


def test_the_reference_passes_every_check(grader: Grader, unit: Unit, reference: str):
    verdict = grader.grade(unit, reference)
    assert verdict.verdict == "passed", verdict
    assert list(outcomes(verdict)) == [
        "test_total_adds_up",
        "test_total_refuses_matrices",
        "test_total_agrees_with_python",
        "test_softmax_sums_to_one[shape0]",
        "test_softmax_sums_to_one[shape1]",
        "test_softmax_is_stable",
        "test_scale_in_place_changes_its_argument",
        "test_running_mean",
        "test_mean_of",
    ]
    assert set(outcomes(verdict).values()) == {"passed"}
    assert verdict.code_sha256 == sha256_text(reference)
    assert verdict.checks_sha256 == unit.checks_sha256
    assert verdict.seconds > 0


def test_a_failed_check_says_what_was_asked_and_what_came_back(grader: Grader, unit: Unit, reference: str):
    verdict = grader.grade(unit, reference.replace("return values.sum()", "return values.sum() + 1"), diagnose=False)
    failed = check(verdict, "test_total_adds_up")
    assert failed.outcome == "failed"
    assert failed.message == "total([1, 2, 3]) is 6\n  expected 6.\n  got      7."
    assert outcomes(verdict)["test_softmax_is_stable"] == "passed"


def test_checks_may_ask_what_was_logged(grader: Grader, reference: str, tmp_path: Path):
    """`caplog` is there, and sees what the submission logs."""
    checks = (
        "import logging\nfrom groundup.stack.bedrock.sums import total\n\n"
        'def test_total_tells(caplog):\n    """total says what it adds."""\n'
        "    with caplog.at_level(logging.INFO):\n        total([1.0, 2.0])\n"
        '    assert caplog.messages == ["2 values"]\n\n'
        'def test_total_tells_nothing_by_itself(caplog):\n    """Without a level, it is silent."""\n'
        "    total([1.0])\n    assert caplog.messages == []\n"
    )
    unit = judged_by(checks, tmp_path / "stack")
    tells = inside("import logging\nlogging.getLogger(__name__).info('%d values', len(values))")
    assert grader.grade(unit, tells).passed
    assert outcomes(grader.grade(unit, reference, diagnose=False)) == {
        "test_total_tells": "failed",
        "test_total_tells_nothing_by_itself": "passed",
    }

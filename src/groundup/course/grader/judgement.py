"""From what a supervisor saw to the verdict."""

from __future__ import annotations

import ast
import signal
from typing import Any, Literal

from groundup.course.grader.request import label
from groundup.course.unit import Unit
from groundup.course.verdict import CheckResult, Outcome, Verdict, sha256_text


def verdict_of(unit: Unit, source: str, report: dict[str, Any], *, seed: int, mine: tuple[str, ...]) -> Verdict:
    """The verdict on a submission that ran.

    It is `passed` only if the run ended by itself, was signed to its end, and every check that the file of checks
    defines was collected, ran and passed.
    """
    events = report["events"]
    checks = _checks(events, report["ending"])
    outcome, message = _outcome(unit, source, events, report["ending"], checks)
    return finished(unit, source, outcome, message=message, checks=tuple(checks), seed=seed, mine=mine)


def finished(
    unit: Unit,
    source: str,
    outcome: Outcome,
    *,
    message: str = "",
    checks: tuple[CheckResult, ...] = (),
    seed: int = 0,
    mine: tuple[str, ...] = (),
) -> Verdict:
    """A verdict with its hashes."""
    return Verdict(unit.id, outcome, checks, message, sha256_text(source), unit.checks_sha256, seed, mine=mine)


def not_run(unit: Unit) -> tuple[CheckResult, ...]:
    """Every check of a unit, as it stands when the submission could not be run."""
    return tuple(CheckResult(name, "not_run") for name in expected(unit))


def expected(unit: Unit) -> list[str]:
    """The names of the functions that are checks, from the text of the file."""
    tree = ast.parse(unit.checks.read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]


def _checks(events: list[dict[str, Any]], ending: dict[str, Any]) -> list[CheckResult]:
    collected = [name for event in events if event["kind"] == "collected" for name in event["checks"]]
    results = {event["check"]: event for event in events if event["kind"] == "result"}
    diagnoses = {event["check"]: event["text"] for event in events if event["kind"] == "diagnosed"}
    return [
        _result(name, results[name], diagnoses.get(name, "")) if name in results else _unfinished(name, events, ending)
        for name in collected
    ]


def _result(name: str, event: dict[str, Any], diagnosis: str) -> CheckResult:
    return CheckResult(
        name, event["outcome"], event["message"], event["location"], diagnosis, round(event["seconds"], 6)
    )


def _unfinished(name: str, events: list[dict[str, Any]], ending: dict[str, Any]) -> CheckResult:
    if any(event == {"kind": "start", "check": name} for event in events):
        return CheckResult(name, "failed", _how_it_ended(ending, 0.0))
    return CheckResult(name, "not_run")


def _outcome(
    unit: Unit, source: str, events: list[dict[str, Any]], ending: dict[str, Any], checks: list[CheckResult]
) -> tuple[Outcome, str]:
    kinds = {event["kind"] for event in events}
    stopped = next((event for event in events if event["kind"] == "stopped"), None)
    if ending["kind"] == "forged":
        return "refused", _how_it_ended(ending, 0.0)
    if stopped is not None:
        return stopped["outcome"], stopped["message"]
    if "done" not in kinds:
        running = [event["check"] for event in events if event["kind"] == "start"]
        during = f" It was running `{running[-1]}`." if running else " It was being imported."
        outcome: Literal["timeout", "crashed"] = "timeout" if ending["kind"] == "timeout" else "crashed"
        return outcome, _how_it_ended(ending, unit.limits.seconds) + during
    if not attempted(unit, source):
        return "not_attempted", f"Nothing is written yet in {label(unit)}."
    seen = {check.name.partition("[")[0] for check in checks}
    missing = [name for name in expected(unit) if name not in seen]
    if missing:
        return "crashed", f"The check `{missing[0]}` was not collected, so this run proves nothing."
    passed = bool(checks) and all(check.outcome == "passed" for check in checks)
    return ("passed" if passed else "failed"), ""


def attempted(unit: Unit, source: str) -> bool:
    """Whether any of the functions to write has a body that is no longer the one `start` wrote."""
    from groundup.course.grader.stubs import functions, is_stub

    bodies = dict(functions(ast.parse(source)))
    return any(name in bodies and not is_stub(bodies[name]) for name in unit.write)


def _how_it_ended(ending: dict[str, Any], seconds: float) -> str:
    match ending["kind"]:
        case "timeout":
            limit = f" after {seconds:g} s" if seconds else ""
            return f"Your code did not finish: it was stopped{limit}. Is there a loop that never ends?"
        case "output":
            return "Your code printed more than the limit, and was stopped. Take the `print` out of the loop."
        case "processes":
            return "Your code started more processes than it may, and was stopped."
        case "memory":
            return "Your code and the processes it started took more memory than they may, and were stopped."
        case "forged":
            return "Something other than the grader wrote to the grader's own result pipe."
        case "exit":
            return f"Your code ended the process (exit status {ending['code']})."
        case "signal":
            return f"The process was killed by {_signal_name(ending['number'])}."
        case kind:
            return f"The run broke off ({ending.get('message', kind)})."


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    why = {"SIGSEGV": ": an invalid memory access", "SIGKILL": ", for its processor time or by the system for memory"}
    return name + why.get(name, "")

"""From what a supervisor saw to the verdict."""

from __future__ import annotations

import ast
import signal
from collections.abc import Iterable
from typing import Any

from groundup.course.grader.kernels import CANNOT
from groundup.course.grader.request import label
from groundup.course.grader.run import BROKEN, LARGEST_FILES, STUCK
from groundup.course.material.source import code_of, is_stub, main_function, parse
from groundup.course.material.unit import Unit
from groundup.course.verdict import CheckResult, Compiled, Outcome, Verdict, sha256_text

# How Windows says that a process was ended for touching memory that is not there, or for a stack that is too deep.
WINDOWS_SIGNALS = {0xC0000005: "SIGSEGV", 0xC00000FD: "SIGSEGV"}


def verdict_of(unit: Unit, source: str, report: dict[str, Any], *, seed: int, mine: tuple[str, ...]) -> Verdict:
    """The verdict on a submission that ran.

    It is `passed` only if the run ended by itself, was signed to its end, and every check that the file of checks
    defines was collected, ran and passed.
    """
    events = report["events"]
    checks = _checks(unit, events, report["ending"])
    outcome, message = _outcome(unit, source, events, report["ending"], checks)
    return finished(unit, source, outcome, message=message, checks=tuple(checks), seed=seed, mine=mine)


def compiled_of(source: str, verdict: Verdict) -> Compiled:
    """What came of compiled kernels, from the verdict of checks that had passed on the same code uncompiled."""
    failed = next((check for check in verdict.checks if check.outcome != "passed"), None)
    if verdict.passed:
        message = ""
    elif failed is None or not failed.message:
        message = f"Compiled by Numba, it does not come to the end of its checks: {verdict.message}"
    elif failed.message.startswith(CANNOT):
        message = failed.message
    else:
        message = f"Compiled by Numba, it fails `{failed.name}`: {' '.join(failed.message.split())}"
    return Compiled(verdict.passed, message, sha256_text(code_of(source)))


def joined(reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The report of runs that each had a part of the checks.

    One that had a failure, or did not come to its end, speaks for all: it went on with the other checks, or never
    will.
    """
    parts = []
    for report in reports:
        clean = all(event.get("outcome", "passed") == "passed" for event in report["events"])
        if not clean or not any(event["kind"] == "done" for event in report["events"]):
            return report
        parts.append(report)
    endings = [report["ending"] for report in parts]
    ending = next((ending for ending in endings if ending["kind"] != "end"), endings[0])
    return {"events": [event for report in parts for event in report["events"]], "ending": ending}


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
    tree = parse(unit.checks.read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]


def _checks(unit: Unit, events: list[dict[str, Any]], ending: dict[str, Any]) -> list[CheckResult]:
    collected = dict.fromkeys(name for event in events if event["kind"] == "collected" for name in event["checks"])
    started = {event["check"] for event in events if event["kind"] == "start"}
    results = {event["check"]: event for event in events if event["kind"] == "result"}
    diagnoses = {event["check"]: event["text"] for event in events if event["kind"] == "diagnosed"}
    stopped = next((event["message"] for event in events if event["kind"] == "stopped"), "")
    checks = []
    for name in collected:
        if name in results:
            checks.append(_result(name, results[name], diagnoses.get(name, "")))
        elif name in started:
            text = stopped or _sentence(how_it_ended(ending, unit))
            checks.append(CheckResult(name, "failed", text, _place(unit, ending)))
        else:
            checks.append(CheckResult(name, "not_run"))
    return checks


def _result(name: str, event: dict[str, Any], diagnosis: str) -> CheckResult:
    return CheckResult(
        name, event["outcome"], event["message"], event["location"], diagnosis, round(event["seconds"], 6)
    )


def _outcome(
    unit: Unit, source: str, events: list[dict[str, Any]], ending: dict[str, Any], checks: list[CheckResult]
) -> tuple[Outcome, str]:
    kinds = {event["kind"] for event in events}
    stopped = next((event for event in events if event["kind"] == "stopped"), None)
    broken = ending["kind"] in ("forged", "closed")
    if stopped is not None and not broken:
        return stopped["outcome"], stopped["message"]
    if broken or "done" not in kinds:
        outcome: Outcome = "timeout" if ending["kind"] == "timeout" else "refused" if broken else "crashed"
        return outcome, _with_place(unit, ending) + _during(events)
    if not attempted(unit, source):
        return "not_attempted", f"Nothing is written yet in {label(unit)}."
    seen = {check.name.partition("[")[0] for check in checks}
    missing = [name for name in expected(unit) if name not in seen]
    if missing:
        return "crashed", f"The check `{missing[0]}` was not collected, so this run proves nothing."
    if not checks or any(check.outcome != "passed" for check in checks):
        return "failed", ""
    return ("refused", _with_place(unit, ending)) if ending["kind"] == "left" else ("passed", "")


def attempted(unit: Unit, source: str) -> bool:
    """Whether any of the functions to write is no longer the one that `start` wrote."""
    tree = parse(source)
    bodies = [main_function(tree, name) for name in unit.write]
    return not all(body is not None and is_stub(body) for body in bodies)


def _during(events: list[dict[str, Any]]) -> str:
    running = [event["check"] for event in events if event["kind"] == "start"]
    return f" It was running `{running[-1]}`." if running else " It was being imported."


def _place(unit: Unit, ending: dict[str, Any]) -> str:
    return f"{label(unit)}:{ending['line']}" if ending.get("line") else ""


def _with_place(unit: Unit, ending: dict[str, Any]) -> str:
    text, place = how_it_ended(ending, unit), _place(unit, ending)
    return f"{place}: {text}" if place else _sentence(text)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def how_it_ended(ending: dict[str, Any], unit: Unit) -> str:
    """The end of the submission's process, in words for the learner."""
    limits = unit.limits
    match ending["kind"]:
        case "timeout":
            return (
                f"your code did not finish within {limits.seconds:g} s and was stopped. Is there a loop without an end?"
            )
        case "output":
            return f"your code printed more than {limits.output_kb} KB and was stopped. Is there a `print` in a loop?"
        case "processes":
            return "your code started more processes than the limit allows, and was stopped with all of them."
        case "memory":
            return f"your code used more memory than its limit of {limits.memory_mb} MB, and was stopped."
        case "files":
            return f"your code wrote more than {LARGEST_FILES * limits.file_mb} MB of files, and was stopped."
        case "forged":
            return "your code wrote to the channel by which the grader reports, so its report cannot be trusted."
        case "closed":
            return "your code closed the channel by which the grader reports."
        case "unwatched":
            return "your code ended the process that watches it."
        case "left":
            return "your code left a process running after the checks. Wait for every process that you start."
        case "exit" if ending["code"] == BROKEN:
            return "your code broke its own process, which could report nothing more."
        case "exit" if ending["code"] == STUCK:
            return "your code took far too long for a check, and was stopped. Does a loop never end?"
        case "exit" if ending["code"] in WINDOWS_SIGNALS:
            return _killed(WINDOWS_SIGNALS[ending["code"]])
        case "exit":
            return f"your code ended the process (exit status {ending['code']})."
        case "signal":
            return _killed(_signal_name(ending["number"]))
        case kind:
            return f"the run broke off ({ending.get('message', kind)})."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _killed(name: str) -> str:
    match name:
        case "SIGSEGV" | "SIGBUS":
            return f"your code crashed Python itself: it accessed memory outside its own ({name})."
        case "SIGKILL" | "SIGXCPU":
            return f"the system ended your code, for its memory or its processor time ({name})."
    return f"{name} ended your code."

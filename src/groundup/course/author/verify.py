"""The author's gate: a unit is judged by what its checks and labs do to right and to wrong code.

A check that cannot fail is a defect, and so is one that fails right code. So every claim that a unit makes is tried:
the reference passes with several seeds; the exercise, and the reference with any one function left unwritten, does
not; every mistake fails, and is named by its own diagnosis; two mistakes at once get no name of a third; every variant
passes; nearly all automatic mutants are noticed; every forbidden name is refused; every lab passes as it is and fails
when it is sabotaged; and the rest of the unit (lesson, figures, hints, cards …) is whole, by the rules in
`groundup.course.author.rules`.

Of many mutants an even share is drawn, the same on every machine. On each, the checks run that noticed the last ones of
its function, then those that call the function, then the others; so most are noticed by the first check that runs.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from groundup.course.author.mutants import Mutant, drawn, mutants
from groundup.course.author.pairs import grade_pair, pairs_of
from groundup.course.author.rules import RULES, STATIC, problems
from groundup.course.grader import Grader
from groundup.course.material.exercise import remove_bodies, splice, write_exercise
from groundup.course.material.unit import Forbidden, LabInfo, MistakeInfo, Unit
from groundup.course.verdict import Verdict
from groundup.errors import GroundupError, UsageError

KILLED_SHARE = 0.95
NAMED_SHARE = 0.8
WRONG_SHARE = 0.01
PAIRS = 2  # of each unit in the CI, at a second or two of processor time each; the weekly run tries sixty
SEEDS = 3
MUTANTS = 120
# A check is stuck on a mutant once it takes this many seconds of processor time and this many times what the reference
# takes: a loop without an end is noticed soon, and a busy machine changes nothing.
STUCK_SECONDS, STUCK_TIMES = 1.0, 10

Kind = Literal[
    "reference", "unwritten", "mistake", "pair", "variant", "forbidden", "mutant", "equivalent", "lab", "file"
]
KINDS: dict[Kind, str] = {
    "reference": "the reference passes with every seed",
    "unwritten": "what is not written does not pass",
    "mistake": "mistakes fail",
    "pair": "pairs of mistakes get no name of a mistake that they do not make",
    "variant": "variants pass",
    "forbidden": "forbidden names are refused",
    "mutant": "mutants are noticed",
    "equivalent": "mutants listed as equivalent exist, and are not noticed",
    "lab": "labs pass, and fail when sabotaged",
    "file": "rules of the unit's files hold",
}


@dataclass(frozen=True)
class Trial:
    """One thing that was tried.

    Attributes:
        kind: what it was.
        name: which one.
        ok: whether it came out as it should.
        detail: what came out, where that is not as it should be or worth knowing.
        named: for a mistake, whether the verdict named it by its own diagnosis.
        names: for a pair of mistakes, how many mistakes the verdict named.
        wrong: how many of them were not made.
    """

    kind: Kind
    name: str
    ok: bool
    detail: str = ""
    named: bool | None = None
    names: int = 0
    wrong: int = 0


@dataclass(frozen=True)
class UnitReport:
    """What `verify_unit` found out about one unit."""

    unit: str
    trials: tuple[Trial, ...]
    seconds: float
    left_out: tuple[Kind, ...] = field(default=())
    checks: int = 0
    """How many checks the unit has."""
    mutants: tuple[str, ...] = ()
    """Every mutant but those listed as equivalent, tried or not."""
    cpu_seconds: float = 0.0
    """Processor time, that of all processes together."""

    def of(self, kind: Kind) -> list[Trial]:
        """The trials of one kind."""
        return [trial for trial in self.trials if trial.kind == kind]

    @property
    def killed_share(self) -> float:
        """The share of the mutants that the checks noticed, those listed as equivalent left out."""
        return _share(self.of("mutant"), lambda trial: trial.ok)

    @property
    def named_share(self) -> float:
        """The share of the mistakes that were named by their own diagnosis."""
        return _share(self.of("mistake"), lambda trial: bool(trial.named))

    @property
    def names(self) -> int:
        """How many mistakes were named where two were made."""
        return sum(trial.names for trial in self.of("pair"))

    @property
    def wrong_names(self) -> int:
        """How many of them were not made."""
        return sum(trial.wrong for trial in self.of("pair"))

    @property
    def problems(self) -> list[str]:
        """Everything that keeps the unit from passing, a line each."""
        found = [
            f"{trial.kind} {trial.name}: {trial.detail}"
            for trial in self.trials
            if not trial.ok and trial.kind not in ("mutant", "pair")  # a few of these may fail
        ]
        if self.wrong_names > WRONG_SHARE * self.names:
            found += [f"pair {trial.name}: {trial.detail}" for trial in self.of("pair") if not trial.ok]
        if self.killed_share < KILLED_SHARE:
            found += [f"mutant {trial.name}: {trial.detail}" for trial in self.of("mutant") if not trial.ok]
        if self.named_share < NAMED_SHARE:
            found += [f"mistake {t.name}: {t.detail}" for t in self.of("mistake") if t.ok and not t.named]
        return found

    @property
    def passed(self) -> bool:
        """Whether the unit may be released."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "unit": self.unit,
            "passed": self.passed,
            "mutants": {
                "made": len(self.mutants),
                "tried": len(self.of("mutant")),
                "killed": sum(trial.ok for trial in self.of("mutant")),
                "killed_share": round(self.killed_share, 4),
                "equivalent": len(self.of("equivalent")),
            },
            "mistakes": {
                "tried": len(self.of("mistake")),
                "failed": sum(trial.ok for trial in self.of("mistake")),
                "named_share": round(self.named_share, 4),
            },
            "pairs": {"tried": len(self.of("pair")), "names": self.names, "wrong_names": self.wrong_names},
            "left_out": list(self.left_out),
            "problems": self.problems,
            "trials": [dataclasses.asdict(trial) for trial in self.trials],
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
        }

    def table(self) -> str:
        """The report for the terminal: a line for each kind of trial, then what is wrong."""
        took = f"{self.seconds:.0f} s, {self.cpu_seconds:.0f} s of processor time"
        lines = [f"{self.unit}: {'passed' if self.passed else 'FAILED'} in {took}"]
        for kind, words in KINDS.items():
            trials = self.of(kind)
            if kind in self.left_out:
                lines.append(f"  {'-':>9}  {words}: left out")
            elif trials:
                lines.append(f"  {sum(t.ok for t in trials):>4}/{len(trials):<4}  {words}{self._more(kind)}")
        lines += [f"  ! {problem}" for problem in self.problems]
        alive = [trial for trial in self.of("mutant") if not trial.ok]
        if alive and self.killed_share >= KILLED_SHARE:
            lines += [f"    not noticed: {trial.name}: {trial.detail}" for trial in alive]
        return "\n".join(lines)

    def _more(self, kind: Kind) -> str:
        if kind == "mistake":
            return f", {self.named_share:.0%} named by their own diagnosis"
        if kind == "pair":
            return f", {self.wrong_names} of {self.names} names wrong"
        if kind == "mutant":
            share = f"{self.killed_share:.1%}"
            return (
                f" ({share})"
                if len(self.of("mutant")) == len(self.mutants)
                else (f" ({share}), drawn of {len(self.mutants)}")
            )
        return ""


def _share(trials: list[Trial], test: Callable[[Trial], bool]) -> float:
    return sum(map(test, trials)) / len(trials) if trials else 1.0


Job = Callable[[], Trial]
Progress = Callable[[int, int], None]


class Schedules:
    """The order in which the checks are tried on a function's mutants, from what was seen of them before."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._callers: dict[str, set[str]] = {}
        self._killers: dict[str, dict[str, None]] = {}

    @property
    def checks(self) -> int:
        """How many checks there are."""
        return len(self._seconds)

    def passed(self, verdict: Verdict) -> None:
        """Note how long the checks take the reference: the least, since a busy machine only adds to it."""
        for check in verdict.checks:
            self._seconds[check.name] = min(check.seconds, self._seconds.get(check.name, check.seconds))

    def unwritten(self, function: str, verdict: Verdict) -> None:
        """Note which checks call a function, from the verdict on the reference without it."""
        self._callers[function] = {check.name for check in verdict.checks if check.outcome != "passed"}

    def noticed(self, function: str, verdict: Verdict) -> None:
        """Note which check has noticed a mutant of a function."""
        killers = self._killers.setdefault(function, {})
        for check in verdict.checks:
            if check.outcome == "failed":
                killers.pop(check.name, None)
                killers[check.name] = None

    def of(self, function: str) -> dict[str, float]:
        """The checks, those that noticed the last mutants first, each with the processor seconds that it may take."""
        recent = list(reversed(list(self._killers.get(function, ()))))
        callers = self._callers.get(function, set())
        others = sorted(self._seconds, key=lambda name: (name not in callers, self._seconds[name]))
        order = dict.fromkeys([*recent, *others])
        return {name: STUCK_SECONDS + STUCK_TIMES * self._seconds.get(name, 0.0) for name in order}


def verify_unit(
    unit: Unit,
    grader: Grader,
    *,
    quick: bool = False,
    all_mutants: bool = False,
    pairs: int = PAIRS,
    workers: int = 2,
    on_progress: Progress = lambda done, total: None,
) -> UnitReport:
    """Try everything that a unit claims. A file of it that does not parse is one of its problems.

    Args:
        unit: the unit.
        grader: judges the code; give it as many workers.
        quick: leave out what takes minutes: mutants, pairs of mistakes, labs, and running the lesson's snippets and
            the figures.
        all_mutants: try every mutant, however many there are.
        pairs: how many pairs of mistakes in two functions are submitted.
        workers: how many trials run at once.
        on_progress: told how many of how many trials are done.
    """
    start, start_cpu = time.perf_counter(), _cpu_seconds()
    left_out: tuple[Kind, ...] = ("pair", "mutant", "equivalent", "lab") if quick else ()
    schedules = Schedules()
    made: dict[str, Mutant] = {}
    trials: list[Trial] = []
    try:
        reference = unit.implementation.read_text(encoding="utf-8")
        ast.parse(unit.checks.read_text(encoding="utf-8"), unit.checks.name)
        if not quick:
            made = {mutant.id: mutant for mutant in mutants(reference, unit.write)}
        first = list(_first_jobs(unit, grader, reference, schedules))
        jobs = list(_jobs(unit, grader, reference, quick))
        if not quick:
            jobs += [lambda pair=pair: _pair(unit, grader, pair) for pair in pairs_of(unit, pairs)]
        if not quick:
            jobs += _mutant_jobs(unit, grader, made, None if all_mutants else MUTANTS, schedules)
        trials = _run(first, workers, lambda done, _: on_progress(done, len(first) + len(jobs)))
        trials += _run(jobs, workers, lambda done, _: on_progress(len(first) + done, len(first) + len(jobs)))
    except (SyntaxError, UsageError, OSError) as error:  # the rules say it better, where they do
        broken = Trial("file", "exercise", False, str(error))
    else:
        broken = None
    trials += [trial for rule in (STATIC if quick else RULES) for trial in _rule(unit, rule)]
    if broken is not None and all(trial.ok for trial in trials):
        trials.append(broken)
    return UnitReport(
        unit.id,
        tuple(trials),
        time.perf_counter() - start,
        left_out,
        checks=schedules.checks,
        mutants=tuple(name for name in made if name not in unit.equivalent_mutants),
        cpu_seconds=_cpu_seconds() - start_cpu,
    )


def _cpu_seconds() -> float:
    """The processor time of this process and all below it so far."""
    import psutil

    this, total = psutil.Process(), 0.0
    for process in [this, *this.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _rule(unit: Unit, rule: str) -> list[Trial]:
    """A rule that holds, or each way in which it does not."""
    return [Trial("file", rule, False, problem) for problem in problems(unit, [rule])] or [Trial("file", rule, True)]


def _run(jobs: list[Job], workers: int, on_progress: Progress) -> list[Trial]:
    """Run the jobs, several at once, and give the trials in the order of the jobs."""
    pool = ThreadPoolExecutor(workers)
    try:
        futures: list[Future[Trial]] = [pool.submit(job) for job in jobs]
        left = set(futures)
        on_progress(0, len(futures))
        while left:
            _, left = wait(left, timeout=0.5, return_when=FIRST_COMPLETED)
            on_progress(len(futures) - len(left), len(futures))
        return [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)


def _first_jobs(unit: Unit, grader: Grader, reference: str, schedules: Schedules) -> Iterator[Job]:
    for seed in range(SEEDS):
        yield lambda seed=seed: _reference(unit, grader, reference, seed, schedules)
    yield lambda: _unwritten(unit, grader, "the exercise as `start` writes it", write_exercise(unit))
    if len(unit.write) > 1:
        for name in unit.write:
            yield lambda name=name: _unwritten(unit, grader, name, remove_bodies(reference, [name]), schedules)


def _jobs(unit: Unit, grader: Grader, reference: str, quick: bool) -> Iterator[Job]:
    for mistake in unit.mistakes:
        yield lambda mistake=mistake: _other(unit, grader, reference, mistake)
    for forbidden in unit.forbidden:
        yield lambda forbidden=forbidden: _forbidden(unit, grader, reference, forbidden)
    for lab in () if quick else unit.labs:
        yield lambda lab=lab: _lab(unit, lab, None)
        for values in lab.sabotage:
            yield lambda lab=lab, values=values: _lab(unit, lab, values)


def _reference(unit: Unit, grader: Grader, reference: str, seed: int, schedules: Schedules) -> Trial:
    verdict = grader.grade(unit, reference, seed=seed, diagnose=False)
    schedules.passed(verdict)
    return Trial("reference", f"with seed {seed}", verdict.passed, "" if verdict.passed else _first_failure(verdict))


def _unwritten(unit: Unit, grader: Grader, name: str, source: str, schedules: Schedules | None = None) -> Trial:
    """Code that lacks functions; of the one function `name` where there are schedules, which note who calls it."""
    verdict = grader.grade(unit, source, diagnose=False, stop_at_first=schedules is None)
    if schedules is not None:
        schedules.unwritten(name, verdict)
    detail = "passes without it: no check of it can fail" if verdict.passed else ""
    return Trial("unwritten", name, not verdict.passed, detail)


def _other(unit: Unit, grader: Grader, reference: str, other: MistakeInfo) -> Trial:
    """A mistake or a variant, submitted as a learner would."""
    source = splice(reference, other.target, other.source, reference=reference)
    verdict = grader.grade(unit, source, diagnose=other.kind == "mistake", brief=True)
    if other.kind == "variant":
        return Trial("variant", other.name, verdict.passed, "" if verdict.passed else _first_failure(verdict))
    if verdict.passed:
        return Trial("mistake", other.name, False, f"passes the checks of `{other.target}`", named=False)
    told = [check.diagnosis for check in verdict.checks if check.diagnosis]
    named = any(other.diagnosis in text for text in told)
    other_words = told[0].replace("\n", " ") if told else f"nothing (verdict: {verdict.verdict})"
    return Trial("mistake", other.name, True, "" if named else f"is told: {other_words}", named=named)


def _pair(unit: Unit, grader: Grader, pair: tuple[MistakeInfo, MistakeInfo]) -> Trial:
    """Two mistakes at once: what is named is one of them."""
    graded = grade_pair(unit, grader, pair)
    detail = f"{', '.join(sorted(graded.wrong))} is named, and was not made" if graded.wrong else ""
    name = " and ".join(graded.made)
    return Trial("pair", name, not graded.wrong, detail, names=len(graded.named), wrong=len(graded.wrong))


def _forbidden(unit: Unit, grader: Grader, reference: str, forbidden: Forbidden) -> Trial:
    module, _, name = forbidden.name.rpartition(".")
    line = f"from {module} import {name} as borrowed" if module else f"import {name} as borrowed"
    verdict = grader.grade(unit, f"{reference}\n{line}\n", diagnose=False)
    ok = verdict.verdict == "refused"
    return Trial("forbidden", forbidden.name, ok, "" if ok else f"`{line}` is not refused: {verdict.verdict}")


def _mutant_jobs(
    unit: Unit, grader: Grader, made: dict[str, Mutant], most: int | None, schedules: Schedules
) -> Iterator[Job]:
    for name in unit.equivalent_mutants.keys() - made.keys():
        yield lambda name=name: Trial("equivalent", name, False, "there is no such mutant: take it off the list")
    others = [name for name in made if name not in unit.equivalent_mutants]
    tried = {*unit.equivalent_mutants, *(others if most is None else drawn(others, most))}
    for mutant in made.values():
        if mutant.id in tried:
            yield lambda mutant=mutant: _mutant(unit, grader, mutant, schedules)


def _mutant(unit: Unit, grader: Grader, mutant: Mutant, schedules: Schedules) -> Trial:
    function = mutant.id.split(":")[0]
    schedule = schedules.of(function)
    verdict = grader.grade(unit, mutant.source, diagnose=False, stop_at_first=True, schedule=schedule)
    if mutant.id in unit.equivalent_mutants:
        told = "" if verdict.passed else "the checks notice it, so it is not equivalent: take it off the list"
        return Trial("equivalent", mutant.id, verdict.passed, told)
    schedules.noticed(function, verdict)
    return Trial("mutant", mutant.id, not verdict.passed, mutant.description)


def _lab(unit: Unit, lab: LabInfo, values: dict[str, Any] | None) -> Trial:
    from groundup.course.learner.runs import run_lab

    wanted = "passed" if values is None else "failed"
    name = lab.name if values is None else f"{lab.name} with {', '.join(f'{k}={v}' for k, v in values.items())}"
    settings = {key: _as_typed(value) for key, value in (values or {}).items()}
    sabotaged = values is not None
    with tempfile.TemporaryDirectory(prefix="groundup-") as workspace:
        try:
            report = run_lab(
                Path(workspace), unit, lab.name, preset="smoke", settings=settings, record=False, until_lost=sabotaged
            )
        except GroundupError as error:
            return Trial("lab", name, False, str(error))
    if report.verdict == wanted:
        return Trial("lab", name, True)
    missed = next((o["message"] for o in report.expectations if not o["passed"]), report.message)
    return Trial("lab", name, False, f"{report.verdict} instead of {wanted}{f': {missed}' if missed else ''}")


def _as_typed(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _first_failure(verdict: Verdict) -> str:
    failed = [check for check in verdict.checks if check.outcome == "failed"]
    if not failed:
        return f"{verdict.verdict}: {verdict.message}"
    return f"{failed[0].name}: {failed[0].message}".replace("\n", " ")

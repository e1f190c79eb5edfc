"""Which mistake a failing check points to: found by substitution.

A function is at fault where the check passes once the reference takes its place. The learner made the mistake under
which everything that the failing checks observe stays exactly as it is with the learner's own code, and under which
the checks that pass still pass. Nothing else is named: a wrong name costs the learner more than none.

How much is studied is counted in looks. Processor time ends a search whose looks are slow, so a slow machine may give
up where a quick one names; where a search is given up, the verdict says so and names nothing.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from groundup.course.grader.contrast import contrast
from groundup.course.grader.observe import Observation
from groundup.course.grader.request import MistakeSource, Request
from groundup.course.grader.substitute import Substituter

STUDIED = 4
WITNESSES = 6
LOOKS = 400
GAVE_UP = "The search for the mistake took too long and gave up."
Observe = Callable[[Any], Observation]


class OutOfWork(BaseException):
    """The diagnosis has used up its looks or its processor time; raised into a running check by the alarm as well."""


@dataclass
class Study:
    """One check: what it saw of the learner's code, and what would explain it."""

    item: Any
    base: Observation
    matches: list[MistakeSource] = field(default_factory=list)
    mended_by: dict[str, Observation] = field(default_factory=dict)


class Diagnosis:
    """The diagnosis of one submission.

    Args:
        request: the submission with the unit's mistakes.
        observe: runs a check again and says what it saw.
        substituter: puts other functions in place of the learner's.
    """

    def __init__(self, request: Request, observe: Observe, substituter: Substituter) -> None:
        self.request, self._observe, self.substituter = request, observe, substituter
        # Processor time, so that a busy machine does not cost the learner the answer; the supervisor watches the clock.
        self.deadline = time.process_time() + request["diagnosis_seconds"]
        self.looks = 0

    def run(self, failed: Sequence[tuple[Any, bool]], passed: Sequence[tuple[Any, bool]]) -> Iterator[tuple[str, str]]:
        """The failing checks' names, each with what it points to.

        Args:
            failed: the failing checks, each with whether it takes long; those that do come last.
            passed: the checks that passed, in the same way; they refute mistakes that the failing ones do not.
        """
        studies: list[Study] = []
        try:
            for item, slow in failed[:STUDIED]:
                if slow and any(len(study.matches) == 1 for study in studies):
                    break  # the answer is there; a slow check would only make the verdict wait
                study = self._study(item)
                if study is not None:
                    studies.append(study)
            self._keep_the_likeliest(studies)
            studied = [study.item for study in studies]
            others = [(item, slow) for item, slow in failed if item not in studied]
            self._refute(studies, passed, others)
        except OutOfWork:
            yield failed[0][0].name, GAVE_UP  # what is left has not been held against all that could refute it
            return
        for study in studies:
            text = explain(study)
            if text:
                yield study.item.name, text
        if not self.request["brief"]:
            with contextlib.suppress(OutOfWork):
                yield from self._same_cause(studies, [item for item, slow in others if not slow])

    def _study(self, item: Any) -> Study | None:
        base = self._look(item)
        if base.outcome == "passed":
            return None  # it does not fail again: nothing can be concluded from it
        study = Study(item, base)
        for target in self.request["write"]:
            if target not in base.ran:
                continue
            with self.substituter.put(target) as done:
                right = self._look(item) if done else base
            if right.same_as(base):
                continue
            if right.outcome == "passed":
                study.mended_by[target] = right
            study.matches += [m for m in self._mistakes(target) if self._explains(m, study)]
        return study

    def _mistakes(self, target: str) -> list[MistakeSource]:
        return [mistake for mistake in self.request["mistakes"] if mistake["target"] == target]

    def _explains(self, mistake: MistakeSource, study: Study) -> bool:
        seen = self._with(mistake, study.item)
        return seen is not None and seen.same_as(study.base)

    def _with(self, mistake: MistakeSource, item: Any) -> Observation | None:
        """A check's observation of the learner's code with the mistake in it; None if it does not fit there."""
        with self.substituter.put(mistake["target"], mistake["source"]) as done:
            return self._look(item) if done else None

    def _keep_the_likeliest(self, studies: list[Study]) -> None:
        """Leave for each check the mistakes that explain the most checks."""
        support = Counter(m["name"] for study in studies for m in study.matches)
        for study in studies:
            most = max((support[m["name"]] for m in study.matches), default=0)
            study.matches = [m for m in study.matches if support[m["name"]] == most]

    def _refute(
        self, studies: list[Study], passed: Sequence[tuple[Any, bool]], failed: Sequence[tuple[Any, bool]]
    ) -> None:
        """Drop the mistakes under which a check that passes would fail, or one that fails would pass."""
        named = {m["name"]: m for study in studies for m in study.matches}
        refuted = {m["name"] for m in named.values() if not self._borne_out(m, passed, failed)}
        for study in studies:
            study.matches = [m for m in study.matches if m["name"] not in refuted]
        self._tell_apart(studies, [item for item, slow in passed if not slow])

    def _borne_out(
        self, mistake: MistakeSource, passed: Sequence[tuple[Any, bool]], failed: Sequence[tuple[Any, bool]]
    ) -> bool:
        """Whether the checks that were not studied would come out as they do if the mistake were the learner's."""
        for wanted, checks in (("passed", passed), ("failed", failed)):
            witnesses = 0
            for item, slow in self._nearest(checks, mistake["target"])[: 2 * WITNESSES]:
                if witnesses == WITNESSES or (slow and witnesses):
                    break
                seen = self._with(mistake, item)
                if seen is not None and mistake["target"] in seen.ran:
                    witnesses += 1
                    if (seen.outcome == "passed") != (wanted == "passed"):
                        return False
        return True

    def _nearest(self, checks: Sequence[tuple[Any, bool]], target: str) -> list[tuple[Any, bool]]:
        """The quick checks first, and of these the ones that are about the target."""
        about = self.request["about"]
        return sorted(checks, key=lambda check: (check[1], about.get(check[0].name.partition("[")[0]) != target))

    def _tell_apart(self, studies: list[Study], passed: Sequence[Any]) -> None:
        """Of several mistakes, leave those under which passing checks observe what they do of the learner's code."""
        rivals = {m["name"]: m for study in studies if len(study.matches) > 1 for m in study.matches}
        for item in passed:
            if not any(len(study.matches) > 1 for study in studies):
                return
            seen = Study(item, self._look(item))
            refuted = {
                name for name, m in rivals.items() if m["target"] in seen.base.ran and not self._explains(m, seen)
            }
            for study in studies:
                left = [m for m in study.matches if m["name"] not in refuted]
                study.matches = left or study.matches

    def _same_cause(self, studies: list[Study], rest: Sequence[Any]) -> Iterator[tuple[str, str]]:
        """The remaining failing checks, as far as the named mistakes explain them."""
        named = {study.matches[0]["name"]: study.matches[0] for study in studies if len(study.matches) == 1}
        for item in rest if named else ():
            study = Study(item, self._look(item))
            study.matches = [m for m in named.values() if m["target"] in study.base.ran and self._explains(m, study)]
            if len(study.matches) == 1:
                yield item.name, explain(study)

    def _look(self, item: Any) -> Observation:
        self.looks += 1
        left = self.deadline - time.process_time()
        if left <= 0 or self.looks > LOOKS:
            raise OutOfWork
        with _alarm(left):
            seen = self._observe(item)
        if time.process_time() > self.deadline:
            raise OutOfWork  # it may have been cut short
        return seen


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Interrupt what runs longer: a mistake may be a loop that never ends."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: object) -> None:
        raise OutOfWork

    signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def explain(study: Study) -> str:
    """The finding of a studied check, in words for the learner; empty without one."""
    if 1 <= len(study.matches) <= 2:
        return "\nOr: ".join(m["diagnosis"] for m in study.matches)
    if study.matches or len(study.mended_by) != 1:
        targets = {m["target"] for m in study.matches}
        return f"The fault is in `{targets.pop()}`." if len(targets) == 1 else ""
    ((target, right),) = study.mended_by.items()
    difference = contrast(study.base, right, target)
    return f"The fault is in `{target}`{f': {difference}' if difference else ''}."

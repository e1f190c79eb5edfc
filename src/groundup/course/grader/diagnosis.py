"""Which mistake a failing check points to: found by substitution.

A function is at fault where the check's behaviour changes when the reference takes its place. The learner made the
mistake under which everything that the check can observe stays exactly as it is with the learner's own code.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from groundup.course.grader.observe import Observation
from groundup.course.grader.request import MistakeSource, Request
from groundup.course.grader.substitute import Substituter

STUDIED = 4
SLOW_SECONDS = 0.15
Observe = Callable[[Any], Observation]


class OutOfTime(BaseException):
    """The diagnosis has used up its processor time; raised into a running check by the alarm as well."""


@dataclass
class Study:
    """One check: what it saw of the learner's code, and what would explain it."""

    item: Any
    base: Observation
    matches: list[MistakeSource] = field(default_factory=list)
    mended_by: list[str] = field(default_factory=list)


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

    def run(self, failed: Sequence[tuple[Any, float]], passed: Sequence[Any]) -> Iterator[tuple[str, str]]:
        """The failing checks' names, each with what it points to; stops when the time is up.

        Args:
            failed: the failing checks with the processor seconds that they took, quickest first.
            passed: the checks that passed, quickest first; they tell apart mistakes that the failing ones do not.
        """
        studies: list[Study] = []
        try:
            for item, seconds in failed[:STUDIED]:
                if seconds > SLOW_SECONDS and any(len(study.matches) == 1 for study in studies):
                    break  # the answer is there; a slow check would only make the verdict wait
                study = self._study(item)
                if study is not None:
                    studies.append(study)
            self._tell_apart(studies, passed)
        except OutOfTime:
            pass
        for study in studies:
            text = explain(study)
            if text:
                yield study.item.name, text
        if self.request["brief"]:
            return
        try:
            studied = [study.item for study in studies]
            rest = [item for item, seconds in failed if item not in studied and seconds <= SLOW_SECONDS]
            yield from self._same_cause(studies, rest)
        except OutOfTime:
            return

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
                study.mended_by.append(target)
            study.matches += [m for m in self._mistakes(target) if self._explains(m, study)]
        return study

    def _mistakes(self, target: str) -> list[MistakeSource]:
        return [mistake for mistake in self.request["mistakes"] if mistake["target"] == target]

    def _explains(self, mistake: MistakeSource, study: Study) -> bool:
        with self.substituter.put(mistake["target"], mistake["source"]) as done:
            return done and self._look(study.item).same_as(study.base)

    def _tell_apart(self, studies: list[Study], passed: Sequence[Any]) -> None:
        """Leave for each check the mistakes that explain the most checks, then those that passing checks bear out."""
        support = Counter(m["name"] for study in studies for m in study.matches)
        for study in studies:
            most = max((support[m["name"]] for m in study.matches), default=0)
            study.matches = [m for m in study.matches if support[m["name"]] == most]
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
        """The remaining failing checks that the mistakes found already explain."""
        found = {study.matches[0]["name"]: study.matches[0] for study in studies if len(study.matches) == 1}
        for item in rest if found else ():
            study = Study(item, self._look(item))
            study.matches = [m for m in found.values() if m["target"] in study.base.ran and self._explains(m, study)]
            if len(study.matches) == 1:
                yield item.name, explain(study)

    def _look(self, item: Any) -> Observation:
        left = self.deadline - time.process_time()
        if left <= 0:
            raise OutOfTime
        with _alarm(left):
            seen = self._observe(item)
        if time.process_time() > self.deadline:
            raise OutOfTime  # it may have been cut short
        return seen


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Interrupt what runs longer: a mistake may be a loop that never ends."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: object) -> None:
        raise OutOfTime

    signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def explain(study: Study) -> str:
    """What a studied check points to, in words for the learner; empty when it points nowhere."""
    if 1 <= len(study.matches) <= 2:
        return "\nOr: ".join(m["diagnosis"] for m in study.matches)
    targets = list(dict.fromkeys(m["target"] for m in study.matches)) or study.mended_by
    return f"The fault is in `{targets[0]}`." if len(targets) == 1 else ""

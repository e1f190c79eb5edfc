# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
"""One learner's course, for the command line and the site alike.

Every change of state goes through here and leaves an event in the ledger. Only a verdict of the grader marks a unit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from groundup.course.learner.ledger import Event, Ledger
from groundup.course.learner.progress import UnitState, next_up, unit_states
from groundup.course.learner.workspace import Workspace
from groundup.course.material.catalogue import Catalogue, Entry
from groundup.course.material.source import body_code, code_of, has_kernels, is_stub, main_function, parse
from groundup.course.material.unit import Unit
from groundup.course.verdict import Compiled, Outcome, Verdict, sha256_text
from groundup.errors import UnknownName, UsageError, WorkspaceError

if TYPE_CHECKING:
    from groundup.course.grader import Grader
    from groundup.course.learner.figures import FigureWorker
    from groundup.course.learner.journal import Journal, Page
    from groundup.course.learner.review import Review
    from groundup.course.learner.runs import RunReport
    from groundup.course.material.tracks import Choice, Progress


@dataclass(frozen=True)
class Hint:
    """One stage of the hints for one function."""

    unit: str
    name: str
    stage: int
    of: int
    text: str


@dataclass(frozen=True)
class Replayed:
    """A recorded verdict beside the present verdict on the same code."""

    event: Event
    then: Verdict
    now: Verdict | None
    differences: tuple[str, ...]
    checks_changed: bool


class Course:
    """A workspace with the catalogue, its ledger and its workers. Close it, or use it as a context manager.

    Args:
        workspace: the learner's folder; created by the first write.
        catalogue: the units; the built-in ones unless given.
        ledger: the ledger; `GROUNDUP_LEDGER` (a URL, with `GROUNDUP_LEARNER`) or the workspace's own unless given.
    """

    def __init__(
        self, workspace: Workspace, *, catalogue: Catalogue | None = None, ledger: Ledger | None = None
    ) -> None:
        self.workspace = workspace
        self.catalogue = catalogue or Catalogue()
        self.ledger = ledger or Ledger(
            os.environ.get("GROUNDUP_LEDGER") or workspace.ledger_path, learner=os.environ.get("GROUNDUP_LEARNER", "")
        )
        self._keeping = threading.Lock()
        self.restored = self._restore()

    def _restore(self) -> int:
        """Rebuild a lost ledger from the text in the workspace's git, and return the number of events."""
        texts = self.workspace.ledger_texts
        if not self._is_own_ledger or self.workspace.ledger_path.exists() or not texts.is_dir():
            return 0
        from groundup.course.learner.ledgertext import restore

        return restore(self.ledger, texts)

    @property
    def _is_own_ledger(self) -> bool:
        """Whether the ledger is the workspace's own; a ledger by URL, or in another place, is somebody else's."""
        return self.ledger.path == self.workspace.ledger_path

    def _commit(self, message: str, paths: Sequence[Path]) -> None:
        """Keep files in the workspace's git, and with them the events so far as text.

        A failed write of the text is no error, as a failed commit is none: the next event writes the text.
        """
        kept: list[Path] = []
        with self._keeping:
            if self.ledger.written and self._is_own_ledger:
                from groundup.course.learner.ledgertext import export

                with contextlib.suppress(WorkspaceError):
                    kept = export(self.ledger, self.workspace.ledger_texts)
                    self.ledger.written = False
        self.workspace.commit(message, [*paths, *kept])

    def __enter__(self) -> Course:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes, keep the events as text, and give back the ledger's connections."""
        self.end_grading()
        if self.ledger.written and self._is_own_ledger:
            self._commit("Keep the ledger", [])
        if worker := self.__dict__.pop("figure_worker", None):
            worker.close()
        self.ledger.close()

    def end_grading(self) -> None:
        """End the grader's processes; a check under way gets no verdict."""
        if grader := self.__dict__.pop("grader", None):
            grader.close()

    @cached_property
    def grader(self) -> Grader:
        """The grader; its workers start when first needed."""
        from groundup.course.grader import Grader

        return Grader(quick=True)

    @cached_property
    def figure_worker(self) -> FigureWorker:
        """The process that draws figures."""
        from groundup.course.learner.figures import FigureWorker

        return FigureWorker()

    # The learner's state

    def states(self) -> dict[str, UnitState]:
        """The state of every unit, in the catalogue's order."""
        return unit_states(self.catalogue, self.workspace, self.ledger)

    def next_up(self) -> list[Entry]:
        """The units to work on next, best first; in the order of the track that the learner follows."""
        return next_up(self.catalogue, self.states(), self.road())

    def road(self) -> tuple[str, ...]:
        """The units of the track that the learner follows, in its order; none without a track."""
        from groundup.course.material.tracks import chosen_track

        choice = chosen_track(self.ledger.events(kinds=["track"]))
        return choice.track.units if choice else ()

    # The exercise

    def start(self, name: str, *, reset: bool = False) -> tuple[Path, bool]:
        """Write the exercise of a unit, unless the learner's file is there already.

        Args:
            name: the unit.
            reset: begin again; the old file is kept in `exercises/.backup/`.

        Returns:
            The file, and whether it was written now.
        """
        unit = self.catalogue.unit(name)
        from groundup.course.material.exercise import write_exercise

        self.workspace.create()
        path = self.workspace.exercise(unit.id)
        if path.exists() and not reset:
            return path, False
        backup = self.workspace.back_up(unit.id)
        self.workspace.write_exercise(unit.id, write_exercise(unit))
        kept = {"backup": str(backup.relative_to(self.workspace.root))} if backup else {}
        self.ledger.append("reset" if backup else "started", unit.id, kept)
        self._commit(f"Start {unit.id}", [path, *([backup] if backup else [])])
        return path, True

    def save(self, name: str, text: str) -> str:
        """Make a text the learner's file of a unit, as a notebook's cell does, and report the outcome.

        An unchanged exercise never takes the place of a file. A file that differs from the text is kept in
        `exercises/.backup/`.
        """
        unit = self.catalogue.unit(name)
        from groundup.course.material.exercise import write_exercise

        text = text.strip("\n") + "\n"
        path, before = self.workspace.exercise(unit.id), self.workspace.read_exercise(unit.id)
        if before is not None and before.strip() == text.strip():
            return f"{path} holds this text already."
        if before is not None and text.strip() == write_exercise(unit).strip():
            return f"{path} is unchanged: this cell holds no code of yours yet."
        self.workspace.create()
        backup = self.workspace.back_up(unit.id)
        self.workspace.write_exercise(unit.id, text)
        if before is None:
            self.ledger.append("started", unit.id)
        self._commit(f"Save {unit.id}", [path, *([backup] if backup else [])])
        return f"Saved as {path}." + (f" The file before it is kept as {backup}." if backup else "")

    def check(
        self,
        name: str,
        *,
        mine: bool = False,
        on_results: Callable[[Verdict], None] = lambda verdict: None,
        on_verdict: Callable[[Verdict], None] = lambda verdict: None,
    ) -> Verdict:
        """Grade the learner's file of a unit as it is on disk, and record the verdict.

        Args:
            name: the unit.
            mine: grade it on the learner's own earlier units, where their evidence is current.
            on_results: receives the verdict when checks failed, before their diagnosis.
            on_verdict: receives the verdict once it is in the ledger, before git keeps the file, which takes a while.
        """
        unit = self.catalogue.unit(name)
        source = self.workspace.read_exercise(unit.id)
        if source is None:
            raise UsageError(
                f"{self.workspace.exercise(unit.id)} does not exist, so there is no code to check. "
                f"`groundup start {unit.id}` writes it."
            )
        overlay = self.mine(without=unit.id) if mine else {}
        verdict = self.grader.grade(unit, source, overlay=overlay, on_results=on_results)
        if verdict.passed and is_copy(source, unit):
            verdict = dataclasses.replace(verdict, copied=True)
        self.ledger.record(verdict, source)
        on_verdict(verdict)
        if verdict.passed:
            self._commit(f"Pass {unit.id}", [self.workspace.exercise(unit.id)])
        return verdict

    def compile(self, name: str) -> Compiled | None:
        """Compile the kernels of a unit that has passed, and put them to its checks; once for each code.

        The unit stays passed whatever the outcome: Numba's releases differ in what they compile, and a tick stands for
        the checks that the learner saw. The outcome is recorded, and shown beside the tick.

        Returns:
            The outcome; None where the learner's file has no kernels, or is not the file that passed.
        """
        unit = self.catalogue.unit(name)
        source = self.workspace.read_exercise(unit.id)
        if source is None or not self.has_kernels(unit.id):
            return None
        if (recorded := self.compiled(unit.id)) is not None:
            return recorded
        compiled = self.grader.compile(unit, source)
        self.ledger.append("compiled", unit.id, dataclasses.asdict(compiled))
        return compiled

    def has_kernels(self, unit_id: str, state: UnitState | None = None) -> bool:
        """Whether the learner's file of a unit has passed as it is now, and imports Numba.

        Args:
            unit_id: the unit.
            state: its state, where that is known already.
        """
        source = self.workspace.read_exercise(unit_id)
        return source is not None and has_kernels(source) and (state or self.states()[unit_id]).status == "passed"

    def compiled(self, unit_id: str) -> Compiled | None:
        """The outcome for the kernels in the learner's file now; None before they were compiled."""
        source = self.workspace.read_exercise(unit_id)
        events = self.ledger.events(kinds=["compiled"], unit=unit_id) if source is not None else []
        outcomes = [Compiled(**event.payload) for event in reversed(events)]
        code_sha256 = sha256_text(code_of(source or ""))
        return next((outcome for outcome in outcomes if outcome.code_sha256 == code_sha256), None)

    def mine(self, *, without: str = "") -> dict[str, str]:
        """The learner's sources of every unit whose evidence is current, by unit."""
        passed = [s.id for s in self.states().values() if s.status == "passed" and s.id != without]
        sources = {unit_id: self.workspace.read_exercise(unit_id) for unit_id in passed}
        return {unit_id: source for unit_id, source in sources.items() if source is not None}

    def hint(self, name: str, function: str | None = None) -> Hint:
        """The next stage of the hints for a function of a unit; the last stage stays.

        Args:
            name: the unit.
            function: whose hint; otherwise the first function that is not written yet, or that failed last.

        Raises:
            UnknownName: the unit has no hints for that function.
        """
        unit = self.catalogue.unit(name)
        chosen = function or self._stuck_on(unit)
        if chosen not in unit.hints:
            raise UnknownName(f"function to write in {unit.id}", chosen, unit.hints, see=f"groundup hint {unit.id}")
        stages = unit.hints[chosen]
        given = [e for e in self.ledger.events(kinds=["hint"], unit=unit.id) if e.payload.get("name") == chosen]
        stage = min(len(given), len(stages) - 1)
        self.workspace.create()
        self.ledger.append("hint", unit.id, {"name": chosen, "stage": stage + 1})
        return Hint(unit.id, chosen, stage + 1, len(stages), stages[stage])

    def _stuck_on(self, unit: Unit) -> str:
        source = self.workspace.read_exercise(unit.id)
        names = list(unit.hints)
        if source is None:
            return names[0]
        try:
            tree = parse(source)
        except SyntaxError:
            return names[0]
        bodies = {name: main_function(tree, name) for name in names}
        for name, body in bodies.items():
            if body is None or is_stub(body):
                return name
        record = self.ledger.units().get(unit.id)
        for check in Verdict.from_json(record.last.payload).checks if record and record.last else ():
            if check.outcome == "failed":
                line = int(check.location.rsplit(":", 1)[-1]) if check.location[-1:].isdigit() else 0
                for name, body in bodies.items():
                    if f"`{name}`" in check.diagnosis or (body and body.lineno <= line <= (body.end_lineno or 0)):
                        return name
        return names[0]

    def solution(self, name: str) -> str:
        """The reference implementation of a unit. The ledger records the look."""
        unit = self.catalogue.unit(name)
        self.workspace.create()
        self.ledger.append("solution", unit.id, {"passed": self.has_passed(unit.id)})
        return unit.implementation.read_text(encoding="utf-8")

    def has_passed(self, unit_id: str) -> bool:
        """Whether the unit has ever passed, whatever happened to its file since."""
        record = self.ledger.units().get(unit_id)
        return bool(record and record.passes)

    def notebook(self, name: str, *, mine: bool = False) -> str:
        """The text of a unit's notebook. It quotes the solution to a learner who has passed, or has looked.

        Args:
            name: the unit.
            mine: quote, and go on with, the learner's own code.
        """
        unit = self.catalogue.unit(name)
        from groundup.course.learner.notebook import notebook

        source = self.workspace.read_exercise(unit.id) if mine else None
        if mine and source is None:
            raise UsageError(f"You have no file for {unit.id} yet. `groundup start {unit.name}` writes it.")
        looked = bool(self.ledger.events(kinds=["solution"], unit=unit.id))
        known = looked or self.has_passed(unit.id)
        return notebook(unit, source, reveal=known, stands_on=self.catalogue.stands_on(unit.id))

    # Labs and figures

    def run(
        self,
        name: str,
        lab: str | None = None,
        *,
        preset: str = "laptop",
        settings: Mapping[str, str] | None = None,
        seeds: int | None = None,
        mine: bool = False,
        on_event: Callable[[dict[str, Any]], None] | None = None,
        stop: threading.Event | None = None,
    ) -> RunReport:
        """Run a lab, record it and judge it; `mine` puts the learner's code in wherever its evidence is current.

        `stop`, set from another thread, ends it as Ctrl-C does.
        """
        from groundup.course.learner.runs import run_lab

        unit = self.catalogue.unit(name)
        if not unit.labs:
            raise UsageError(f"The unit {unit.id} has no lab. Choose another unit.")
        chosen = unit.lab(lab).name if lab else unit.labs[0].name
        self.workspace.create()
        report = run_lab(
            self.workspace.root,
            unit,
            chosen,
            preset=preset,
            settings=dict(settings or {}),
            seeds=seeds,
            overlay=self.mine() if mine else {},
            on_event=on_event or (lambda _: None),
            stop=stop,
        )
        self.ledger.append("run", unit.id, {"run": report.id, "lab": chosen, "verdict": report.verdict})
        return report

    def draw(self, name: str, figure: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A figure of a unit as Plotly JSON."""
        return self.figure_worker.draw(self.catalogue.unit(name), figure, dict(parameters or {}))

    # Evidence

    def replay(self) -> Iterator[Replayed]:
        """Grade the code of every recorded verdict again, once for each code, checks, set of other units and outcome.

        A row that the grader cannot have written, because its parts contradict each other, is reported and not graded.
        """
        seen = set()
        for event in self.ledger.events(kinds=["verdict"]):
            try:
                then = Verdict.from_json(event.payload)
            except WorkspaceError:
                unread = Verdict(event.unit, cast(Outcome, event.outcome))
                yield Replayed(event, unread, None, ("no verdict wrote this row: it holds no verdict",), False)
                continue
            if contradictions := tuple(contradicting(event, then, self.ledger.source(event.code_sha256))):
                yield Replayed(event, then, None, contradictions, False)
                continue
            key = (event.unit, event.code_sha256, event.checks_sha256, then.mine, event.outcome)
            if key in seen:
                continue
            seen.add(key)
            yield self._replay(event, then)

    def _replay(self, event: Event, then: Verdict) -> Replayed:
        source = self.ledger.source(event.code_sha256)
        if source is None or event.unit not in self.catalogue.units:
            missing = "its source" if source is None else f"the unit {event.unit}"
            return Replayed(event, then, None, (f"{missing} is missing now",), False)
        unit = self.catalogue.units[event.unit]
        mine = self.mine() if then.mine else {}
        overlay = {unit_id: text for unit_id, text in mine.items() if unit_id in then.mine}
        now = self.grader.grade(unit, source, overlay=overlay, seed=then.seed)
        return Replayed(event, then, now, tuple(differences(then, now)), unit.checks_sha256 != then.checks_sha256)

    # The learner's side

    def choose_track(self, track: str, start: date | str, hours_per_week: float | str) -> Choice:
        """Follow a track from a day on, at a pace. Raises UnknownName or UsageError."""
        from groundup.course.material.tracks import choose

        choice = choose(track, start, hours_per_week)
        self.workspace.create()
        self.ledger.append("track", payload=choice.to_json())
        return choice

    def track_progress(self, name: str | None = None, today: date | None = None) -> Progress | None:
        """Planned against actual, of the chosen track or of another as if chosen today; None without a choice."""
        from groundup.course.material.tracks import choose, chosen_track, load_track, progress

        today = today or date.today()
        choice = chosen_track(self.ledger.events(kinds=["track"]))
        if name is not None and (choice is None or choice.track.name != name):
            choice = choose(name, today, load_track(name).hours_per_week)
        if choice is None:
            return None
        return progress(
            choice,
            self.states(),
            self.ledger.events(kinds=["report", "resource"]),
            today=today,
            passed_at=self.ledger.first_passes(),
        )

    def report(self, track: str, item: str, *, criterion: int | None = None, done: bool = True) -> None:
        """Record the learner's own word on an item that cannot be graded. Raises UsageError for an item that can."""
        from groundup.course.material.tracks import load_track, report

        released = self.catalogue.units
        payload = report(load_track(track), item, released=released, criterion=criterion, done=done)
        self.workspace.create()
        self.ledger.append("report", payload=payload)

    def report_resource(self, track: str, resource: str, *, done: bool = True) -> None:
        """Record that a resource was watched or read, by the learner's own word."""
        from groundup.course.material.tracks import load_track, report_resource

        payload = report_resource(load_track(track), resource, done=done)
        self.workspace.create()
        self.ledger.append("resource", payload=payload)

    @property
    def journal(self) -> Journal:
        """The journal's pages."""
        from groundup.course.learner.journal import Journal

        return Journal(self.workspace.journal_dir)

    def questions(self, day: date) -> tuple[str, ...]:
        """The reflection questions of a day, by the chosen track."""
        from groundup.course.learner.journal import questions_for

        return questions_for(self.track_progress(), day)

    def write_journal(self, day: date | str, text: str, version: str) -> Page:
        """Save a day's page if nobody changed it since `version`, and keep it in the history."""
        self.workspace.create()
        page = self.journal.write(day, text, version)
        self.ledger.append("journal", payload={"day": page.day.isoformat()})
        self._commit(f"Journal of {page.day}", [self.journal.path(page.day)])
        return page

    def review(self, *, everything: bool = False) -> Review:
        """The review of the cards of every unit that was begun, or of all units."""
        from groundup.course.learner.review import Review, available_cards

        cards = available_cards(self.catalogue.units, self.states(), everything=everything)
        return Review(self.ledger.events(kinds=["review"]), cards)

    def answer(self, review: Review, card: str, rating: str | int) -> None:
        """Rate one card of a review, and record it."""
        payload = review.answer(card, rating, datetime.now(UTC))
        self.workspace.create()
        self.ledger.append("review", card.split("#")[0], payload)


def contradicting(event: Event, verdict: Verdict, source: str | None) -> Iterator[str]:
    """The contradictions in a row of the ledger, in words. A row that the grader wrote has none."""
    for name, column, inside in (
        ("unit", event.unit, verdict.unit),
        ("outcome", event.outcome, verdict.verdict),
        ("code", event.code_sha256, verdict.code_sha256),
        ("checks", event.checks_sha256, verdict.checks_sha256),
    ):
        if column != inside:
            yield f"no verdict wrote this row: its {name} is {column[:12]}, and its verdict's is {inside[:12]}"
    if verdict.passed and (not verdict.checks or any(check.outcome != "passed" for check in verdict.checks)):
        yield "no verdict wrote this row: it passed, and not all of its checks did"
    if source is not None and sha256_text(source) != event.code_sha256:
        yield "its source was changed afterwards: it does not match its hash"


def is_copy(source: str, unit: Unit) -> bool:
    """Whether every function to write is the reference's, but for comments, docstrings and layout."""
    written, reference = (parse(text) for text in (source, unit.implementation.read_text(encoding="utf-8")))
    pairs = [(main_function(written, name), main_function(reference, name)) for name in unit.write]
    return all(mine and ours and body_code(mine) == body_code(ours) for mine, ours in pairs)


def differences(then: Verdict, now: Verdict) -> Iterator[str]:
    """The differences between two verdicts, apart from their times, in words."""
    if then.verdict != now.verdict:
        yield f"verdict was {then.verdict}, is {now.verdict}"
    before, after = ({check.name: check.outcome for check in v.checks} for v in (then, now))
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield f"check {name} was {before.get(name, 'not there')}, is {after.get(name, 'not there')}"

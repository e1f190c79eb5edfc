"""What the API does, without HTTP: the store opened for each request, in turn, within a deadline.

The store is open only while a request needs it, so that `groundup copilot collect --follow` and `ingest --follow` can
fill it meanwhile. Readers go together; a writer goes alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.api.work import Deadline, NotReady, NotThere, TooLong, opening, within
from groundup.errors import StoreError, UnknownName, UsageError
from groundup.files import stamp
from groundup.knowledge import Knowledge, Reopened, default_location
from groundup.secrets import hide_all
from groundup.systems.copilot.answering.overview import Bar, Seen, StoredLine, newest_lines, seen_templates, timeline
from groundup.systems.copilot.finding.evidence import Evidence, why
from groundup.systems.copilot.reading.logs import MAX_LINE, Record, Tally, parse, span
from groundup.systems.copilot.reading.patterns import Patterns
from groundup.systems.copilot.serving.jobs import Job, Jobs, Progress
from groundup.systems.copilot.sources.files import ingest_upload, open_content
from groundup.systems.copilot.store import Source, Store, open_store

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

    from groundup.systems.copilot.answering.ask import Event, Part
    from groundup.systems.copilot.classifying.classify import Classifier, Prediction, Report
    from groundup.systems.copilot.finding.anomalies import Anomaly

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What an API is started with.

    Attributes:
        store: the store's file.
        token: the bearer token that is asked for; empty for none.
        hosts: host names under which it answers; empty for all.
        model: the chat model (`groundup.llm.chat_model`); empty for `GROUNDUP_LLM`, or the embedded answerer.
        knowledge: where the knowledge base is: a folder or a URL; empty for the one beside the store.
        classifier: the trained classifier's file; empty for the one beside the store.
        upload_limit: bytes of a file that is sent, packed or not; unpacked it may have ten times as many.
        body_limit: bytes of any other body.
        timeout: seconds that a request may take.
        patterns: formats and maskings of one's own.
    """

    store: Path
    token: str = ""
    hosts: tuple[str, ...] = ()
    model: str = ""
    knowledge: str = ""
    classifier: str = ""
    upload_limit: int = 256 * MEGABYTE
    body_limit: int = 8 * MEGABYTE
    timeout: float = 60.0
    patterns: Patterns | None = None

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise UsageError(f"timeout must be more than 0 seconds, got {self.timeout:g}. For example: 60.")
        for name in ("upload_limit", "body_limit"):
            if getattr(self, name) < 1000:
                raise UsageError(f"{name} must be 1,000 bytes or more, got {getattr(self, name)}.")


class Turn:
    """Many readers, or one writer; a writer who waits goes before readers who come later."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._writing = False
        self._waiting = 0  # writers

    @contextmanager
    def reading(self, deadline: Deadline) -> Iterator[None]:
        """Hold the store together with other readers."""
        with self._changed:
            self._wait(lambda: not self._writing and not self._waiting, deadline)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def writing(self, deadline: Deadline) -> Iterator[None]:
        """Hold the store alone."""
        with self._changed:
            self._waiting += 1
            try:
                self._wait(lambda: not self._writing and not self._readers, deadline)
            finally:
                self._waiting -= 1
                self._changed.notify_all()
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()

    def _wait(self, free: Callable[[], bool], deadline: Deadline) -> None:
        if not self._changed.wait_for(free, timeout=max(0.0, deadline.left)):
            raise StoreError("The store must be free, and other requests have held it all the time. Try again.")


class Copilot:
    """What the API can do."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._turn = Turn()
        self.jobs = Jobs()
        self._loading = threading.Lock()
        self._model: BaseChatModel | None = None
        self._knowledge = Reopened(settings.knowledge or default_location(settings.store))
        self._classifier: tuple[Any, Classifier | None] = (None, None)
        with open_store(settings.store):  # made where there is none, and brought up to date
            pass

    # ── the store ───────────────────────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def reading(self, deadline: Deadline) -> Iterator[Store]:
        """The store, for reading."""
        with self._turn.reading(deadline), self._open(deadline, reading=True) as store:
            yield store

    @contextmanager
    def writing(self, deadline: Deadline) -> Iterator[Store]:
        """The store, for writing."""
        with self._turn.writing(deadline), self._open(deadline, reading=False) as store:
            yield store

    def _open(self, deadline: Deadline, *, reading: bool) -> AbstractContextManager[Store]:
        return open_store(
            self.settings.store, reading=reading, wait=max(0.1, deadline.left), patterns=self.settings.patterns
        )

    # ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────────
    def status(self, deadline: Deadline) -> dict[str, Any]:
        """What is in the store; where that is, is nobody's business."""
        with self.reading(deadline) as store:
            summary = store.summary()
        del summary["store"]
        return summary

    def upload(self, path: Path, name: str, deadline: Deadline) -> tuple[str, int]:
        """Store what is new in a file that was sent."""
        most = 10 * self.settings.upload_limit
        try:
            short = unpacks_to(path, most, deadline)
        except UsageError as error:  # it names a path of the server
            raise UsageError(
                f"file must be whole, and the gzip data of '{name}' is damaged. Nothing of it is stored. Send it again."
            ) from error
        if not short:
            raise TooLong(f"unpacked, '{name}' must have at most {most:,} bytes, and it has more. Send it in parts.")
        with self.writing(deadline) as store:
            source, lines = ingest_upload(store, path, name, stopped=deadline.passed)
        deadline.check()
        return source.name, lines

    def push(self, name: str, lines: list[str], batch: str | None, deadline: Deadline) -> int:
        """Store lines behind those pushed under this name before; the batch that came last is not stored again."""
        whole = [part.rstrip("\r")[:MAX_LINE] for line in lines for part in line.split("\n")]
        with self.writing(deadline) as store:
            source = store.known(Source("pushed", name))
            if batch is not None and source.cursor.get("batch") == batch:
                return 0
            return store.append(source, whole, cursor={"batch": batch}).lines - source.lines

    def records(self, store: Store, name: str | None, since: str | None, deadline: Deadline) -> Iterator[Record]:
        """The records that a request means; none where a span has no newest time to go back from."""
        if since is not None and span(since) is not None and store.newest(store.find(name)) is None:
            return iter(())
        return deadline.each(store.records(name, since))

    def why(
        self, name: str | None, since: str | None, lines: list[str] | None, most: int, deadline: Deadline
    ) -> tuple[list[Evidence], Tally]:
        """The lines that hold the root cause, of what is stored or of the lines given; and how much was read."""
        tally = Tally()
        if lines is not None:
            records = parse(hide_all(lines), source="lines", patterns=self.settings.patterns)
            return why(tally.count(deadline.each(records)), most=most), tally
        with self.reading(deadline) as store:
            tally.damage += store.unread(name)
            records = tally.count(self.records(store, name, since, deadline))
            evidence = why(records, most=most, whole=lambda: not tally.damage)
        return evidence, tally

    def timeline(self, name: str | None, since: str | None, bars: int, deadline: Deadline) -> list[Bar]:
        """Levels over time."""
        with self.reading(deadline) as store:
            return timeline(store, name, since, bars=bars)

    def templates(self, name: str | None, since: str | None, most: int, deadline: Deadline) -> list[Seen]:
        """Templates with counts."""
        with self.reading(deadline) as store:
            return seen_templates(store, name, since, most=most)

    def newest(self, name: str | None, most: int, deadline: Deadline) -> list[StoredLine]:
        """The newest lines."""
        with self.reading(deadline) as store:
            return newest_lines(store, name, most=most)

    # ── questions ───────────────────────────────────────────────────────────────────────────────────────────────────
    def ask(self, question: str, since: str | None, deadline: Deadline) -> Iterator[Event]:
        """What happens while a question is answered. The store is free again when the sources are found."""
        from groundup.systems.copilot.answering.ask import stream

        knowledge, model = self.knowledge, self.model
        with self.reading(deadline) as store:
            if since is not None and store.newest(store.sources()) is None:
                since = None
            events = stream(question, store=store, knowledge=knowledge, model=model, since=since, check=deadline.check)
            first = next(events)
        deadline.check()

        def every() -> Generator[Event, None, None]:
            yield first
            yield from events

        return within(every(), deadline)

    def open(self, citation: str, deadline: Deadline) -> list[Part]:
        """What a citation stands for, in its place."""
        from groundup.systems.copilot.answering.ask import open_citation

        knowledge = self.knowledge
        with self.reading(deadline) as store, opening():
            return open_citation(citation, store=store, knowledge=knowledge)

    @property
    def model(self) -> BaseChatModel:
        """The chat model, made when it is first needed."""
        from groundup.llm import chat_model

        with self._loading:
            if self._model is None:
                self._model = chat_model(self.settings.model or None)
            return self._model

    @property
    def knowledge(self) -> Knowledge | None:
        """The knowledge base as it is now; None where there is none."""
        return self._knowledge.now()

    # ── labels and predictions ──────────────────────────────────────────────────────────────────────────────────────
    def label(self, source: str, position: int, label: str | None, alike: bool, deadline: Deadline) -> int:
        """Say what a stored line is; how many records that went for."""
        from groundup.systems.copilot.classifying.labels import plain_label

        with self.writing(deadline) as store:
            try:
                return store.label(source, position, None if label is None else plain_label(label), alike=alike)
            except UnknownName:
                raise
            except UsageError as error:
                raise NotThere(str(error)) from error

    def labels(self, deadline: Deadline) -> dict[str, int]:
        """How many records have which label."""
        with self.reading(deadline) as store:
            rows = store.connection.execute("SELECT label, count(*) FROM feedback GROUP BY label ORDER BY label")
            return dict(rows.fetchall())

    def train(self, metric: str) -> Job:
        """Begin to train a classifier on the labels in the store; it is used once that is done."""
        return self.jobs.start(lambda progress: self._train(metric, progress))

    def _train(self, metric: str, progress: Progress) -> Report:
        from groundup.systems.copilot.classifying.classify import train
        from groundup.systems.copilot.classifying.labels import examples_of

        progress("Reading the labels", 0, 0)
        with self.reading(Deadline(self.settings.timeout)) as store:
            examples = examples_of(store)
        try:
            trained = train(examples, metric=metric, source="the labels in the store", report=progress)
        except UsageError as error:
            raise NotReady(str(error)) from error
        trained.classifier.save(self._model_file)
        return trained.report

    def classify(
        self, name: str | None, since: str | None, lines: list[str] | None, deadline: Deadline
    ) -> tuple[Classifier, list[tuple[Record, Prediction]]]:
        """What the records are taken for, of what is stored or of the lines given."""
        classifier = self.classifier
        if lines is not None:
            records = list(deadline.each(parse(hide_all(lines), source="lines", patterns=self.settings.patterns)))
        else:
            with self.reading(deadline) as store:
                records = list(self.records(store, name, since, deadline))
        return classifier, list(zip(records, classifier.predict(records), strict=True))

    @property
    def _model_file(self) -> Path:
        return Path(self.settings.classifier or self.settings.store.with_suffix(".model.json"))

    @property
    def classifier(self) -> Classifier:
        """The classifier, read again after it was trained."""
        from groundup.systems.copilot.classifying.classify import Classifier

        written = stamp(self._model_file)
        with self._loading:
            if written is None:
                raise NotReady(
                    "There must be a trained classifier, and there is none yet. Label some lines (POST /feedback), "
                    "then train (POST /train, or `groundup copilot train`)."
                )
            if self._classifier[0] != written:
                self._classifier = (written, Classifier.load(self._model_file))
            model = self._classifier[1]
            assert model is not None
            return model

    def anomalies(self, name: str | None, since: str | None, window: str | None, deadline: Deadline) -> list[Anomaly]:
        """What is unusual, by service and time."""
        from groundup.systems.copilot.finding.anomalies import anomalies

        with self.reading(deadline) as store:
            try:
                return anomalies(self.records(store, name, since, deadline), window=window)
            except UnknownName:
                raise
            except UsageError as error:  # a window that is too short for these logs
                raise NotReady(str(error)) from error


def unpacks_to(path: Path, most: int, deadline: Deadline) -> bool:
    """Whether a file has at most so many bytes once it is unpacked."""
    size = 0
    with open_content(path) as content:
        if not content.packed:
            return path.stat().st_size <= most
        while data := content.stream.read(1 << 20):
            deadline.check()
            size += len(data)
            if size > most:
                return False
    return True

"""The copilot over HTTP.

    uvicorn.run(create_app(Settings(Path("copilot.duckdb"))))

Every error has one shape, `{"error": "…", "status": 422}`; an answer to a question is streamed as lines of JSON. No
request names a path of the server: what is asked for is in the store. FastAPI (the extra `copilot`) is imported here,
so import this module when an API is started, not before.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from anyio import to_thread
from fastapi import FastAPI, File, Query, UploadFile
from fastapi import Path as PathParam
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from groundup.api.app import NDJSON, STREAM, application, counters
from groundup.api.errors import Error, Errors, failures
from groundup.api.guard import refusal
from groundup.api.work import Deadline, NotThere, TooSlow, in_thread
from groundup.errors import GroundupError, StoreError
from groundup.systems.copilot.errors import CannotRead
from groundup.systems.copilot.reading.logs import MAX_LINE, Record
from groundup.systems.copilot.reading.parsed import well_formed
from groundup.systems.copilot.serving.jobs import Busy, Job
from groundup.systems.copilot.serving.metrics import CopilotMetrics
from groundup.systems.copilot.serving.service import Copilot, Settings

if TYPE_CHECKING:
    from groundup.systems.copilot.answering.ask import Event
    from groundup.systems.copilot.classifying.classify import Prediction

T = TypeVar("T")
SCRAPE = 2.0  # seconds that Prometheus is made to wait for the store
GRACE = 5.0  # seconds beyond the deadline after which work that does not look at the clock is not waited for
log = logging.getLogger("groundup.copilot")

# ── what is sent and answered ───────────────────────────────────────────────────────────────────────────────────────
NAME = "A pod, what its name begins with, namespace/pod, a namespace, a container or a file; everything, if left out."
SINCE = "A span back from the newest line (10m, 2h, 1d)."
Name = Annotated[str | None, Field(max_length=500, description=NAME, examples=["checkout"])]
Since = Annotated[str | None, Field(pattern=r"^[0-9]{1,6}[smhd]$", description=SINCE, examples=["2h"])]
LOG_FILE = "A log file of any format, packed (gzip, xz, bz2, zstd) or not."


def _number(value: Any) -> Any:
    """What is sent as a number, and not as text or as true."""
    if isinstance(value, (str, bool)):
        raise ValueError("must be a number")
    return value


def _line(value: Any) -> Any:
    """A line as it is stored: no line that cannot be, or is too long, keeps those beside it from being stored."""
    return well_formed(value[:MAX_LINE]) if isinstance(value, str) else value


Line = Annotated[str, BeforeValidator(_line)]
Whole = Annotated[int, BeforeValidator(_number)]
JobNumber = Annotated[int, PathParam(ge=1, le=2**53, description="As POST /train gives it.")]


class Sent(BaseModel):
    """A body; what it does not know, it refuses."""

    model_config = ConfigDict(extra="forbid")


class Stored(BaseModel):
    """What was stored."""

    name: str = Field(description="What the source is called in the store.")
    lines: int = Field(description="How many of its lines were new.")


class Push(Sent):
    """Lines, as a log shipper sends them."""

    name: str = Field(min_length=1, max_length=500, examples=["shop/checkout"], description="What they are from.")
    lines: list[Line] = Field(max_length=20_000, examples=[["ERROR pool exhausted", "INFO retrying"]])
    batch: str | None = Field(
        None, max_length=200, examples=["2026-03-14T14:00:00Z/17"],
        description="A name for these lines: sent again under it right afterwards, they are not stored twice.",
    )  # fmt: skip


class Logs(Sent):
    """Logs: those stored under a name, or lines that are sent along and not stored."""

    name: Name = None
    since: Since = None
    lines: list[Line] | None = Field(None, max_length=20_000, description="Lines to look at instead.")


class WhyRequest(Logs):
    """Where to look for the root cause."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "checkout", "since": "2h"}]})
    most: Whole = Field(20, ge=1, le=20, description="How many lines at most.")


class EvidenceLine(BaseModel):
    """A line that belongs to the root cause, and why."""

    source: str
    number: int
    text: str
    time: str | None
    service: str | None
    level: str | None
    reasons: list[str]
    score: float


class Read(BaseModel):
    """How much was read, and how much of it was understood."""

    records: int
    lines: int = Field(description="The lines that the records are of.")
    timed: int = Field(description="How many records have a time.")
    levelled: int = Field(description="How many records have a level.")


class WhyAnswer(BaseModel):
    """At most twenty lines; none where nothing is wrong."""

    evidence: list[EvidenceLine]
    nothing: bool = Field(description="Whether all was read, there was something, and nothing tells of a failure.")
    read: Read
    unread: list[str] = Field(description="What was not read, or not to its end, in words.")


class SourceStatus(BaseModel):
    """A source and how much of it is stored."""

    model_config = ConfigDict(extra="allow")
    kind: str
    name: str
    lines: int
    errors: int
    oldest: str | None
    newest: str | None


class Status(BaseModel):
    """What is in the store."""

    lines: int
    templates: int
    newest: str | None
    sources: list[SourceStatus]


class TimelineBar(BaseModel):
    """Records of a level in a stretch of time."""

    begin: str
    level: str
    count: int


class TemplateCount(BaseModel):
    """A template, and how it came."""

    template: int
    text: str
    count: int
    errors: int
    first: str | None
    last: str | None
    source: str = Field(description="Where one of its records is, with `position`.")
    position: int


class LogLine(BaseModel):
    """A stored line."""

    source: str
    position: int
    time: str | None
    level: str | None
    text: str


class Question(Sent):
    """A question."""

    question: str = Field(
        min_length=1, max_length=2000, pattern=r"\S", description="What is asked.",
        examples=["Why is checkout failing?"],
    )  # fmt: skip
    since: Since = None


class OpenRequest(Sent):
    """A citation of an answer."""

    where: str = Field(max_length=1000, description="As the answer gives it.", examples=["checkout.log#1:42"])


class CitedPart(BaseModel):
    """A line of a log or a chunk of a document, and whether it is what was cited."""

    where: str
    text: str
    cited: bool


class ClassifyRequest(Logs):
    """What to classify."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"lines": ["ERROR pool exhausted, 40 are waiting"]}]}
    )
    every: StrictBool = Field(
        False, description="Every record in its order, not one of each kind that is not as usual."
    )
    most: Whole = Field(100, ge=1, le=20_000, description="How many at most.")


class Predicted(BaseModel):
    """What a record is taken for, and why."""

    source: str
    number: int
    time: str | None
    text: str
    label: str
    probability: float
    reasons: list[str]
    count: int = Field(description="How many records are of its kind.")


class Classified(BaseModel):
    """Predictions, the most likely first."""

    records: int
    labels: dict[str, int] = Field(description="How many records are taken for what.")
    predictions: list[Predicted]
    source: str = Field(description="What the classifier was trained on.")
    data_sha256: str = Field(description="The hash of its training data.")


class AnomaliesRequest(Sent):
    """Where to look for anomalies."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "checkout", "window": "5m"}]})
    name: Name = None
    since: Since = None
    window: Annotated[str | None, Field(pattern=r"^[1-9][0-9]{0,5}[smhd]$", description="How long a window is.")] = None


class FoundAnomaly(BaseModel):
    """Something unusual: `new`, `burst` or `silence`."""

    kind: str
    service: str | None
    start: str
    end: str
    template: str | None
    count: int
    expected: float
    surprise: float
    together: list[str]


class Feedback(Sent):
    """What a person says that a stored line is."""

    source: str = Field(max_length=500, examples=["checkout.log"], description="The line's source, or #number of it.")
    position: Whole = Field(ge=1, le=2**53, examples=[42], description="The line.")
    label: str | None = Field(
        max_length=100, pattern=r"\S", examples=["alert"], description="normal, alert or any word; null takes it back.",
    )  # fmt: skip
    alike: StrictBool = Field(False, description="All records of the same template as well.")


class Labelled(BaseModel):
    """How many records were labelled."""

    records: int


class TrainRequest(Sent):
    """How to choose among the models."""

    metric: Literal["f1", "precision", "recall"] = Field("f1", examples=["f1"], description="What decides.")


class ScoresOf(BaseModel):
    """Precision, recall and F1."""

    precision: float
    recall: float
    f1: float


class TrainingReport(BaseModel):
    """What was trained, on what, and what to expect of it on templates that nobody has seen."""

    source: str
    data_sha256: str
    examples: int
    templates: int
    metric: str
    chosen: str
    expected: ScoresOf
    worth_it: bool = Field(description="Whether more is to be expected of it than of a rule without any model.")


class TrainingJob(BaseModel):
    """A training: how far it is, and what came of it."""

    job: int = Field(description="What it is asked for by: GET /train/{job}.")
    state: Literal["running", "stopping", "done", "failed", "stopped"]
    doing: str = Field(description="What it does, or did last.")
    step: int = Field(description="How many steps are done.")
    steps: int = Field(description="How many there are; 0 until that is known.")
    result: TrainingReport | None = Field(description="Once it is done.")
    error: Error | None = Field(description="Where it failed.")


FAILURES = failures(
    _404="There is no such pod, file or path.",
    _409="What is stored does not allow it: there is no trained classifier, for example.",
)


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _cannot_read(error: CannotRead) -> Response:
    return refusal(422, f"file must be a log, and it {error.reason}. {error.remedy}.")


def _busy(error: Busy) -> Response:
    return refusal(
        409, f"One training may run at a time, and /train/{error} does. Ask for it there, or DELETE it to stop it."
    )


def _too_slow(error: TooSlow) -> Response:
    return refusal(
        504, f"The request must be answered within {error}, and it takes longer. Name a pod, or give `since`. "
        "What was stored of an upload so far is kept: send it again, and it goes on there.",
    )  # fmt: skip


ERRORS = Errors("the copilot", listed="GET /status", own={CannotRead: _cannot_read, Busy: _busy, TooSlow: _too_slow})


def iso(time: float | None) -> str | None:
    """A time in seconds since 1970 as ISO 8601."""
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")


def document(record: Any) -> dict[str, Any]:
    """A frozen record as plain data, its times in words."""
    fields = dataclasses.asdict(record)
    return {key: iso(value) if key in TIMES else value for key, value in fields.items()}


TIMES = ("time", "begin", "start", "end", "first", "last")


# ── the application ─────────────────────────────────────────────────────────────────────────────────────────────────
@dataclasses.dataclass(frozen=True)
class _Served:
    """What the requests share.

    Attributes:
        copilot: does the work.
        metrics: counts it.
        settings: its limits.
    """

    copilot: Copilot
    metrics: CopilotMetrics
    settings: Settings

    async def run(
        self, work: Callable[..., T], *arguments: Any, seconds: float | None = None, deadline: Deadline | None = None
    ) -> T:
        """Do it in a thread, within the deadline."""
        seconds = self.settings.timeout if seconds is None else seconds
        deadline = deadline or Deadline(seconds)
        return await in_thread(lambda: work(*arguments, deadline), seconds, grace=GRACE)


def create_app(settings: Settings) -> FastAPI:
    """The API on a store."""
    served = _Served(Copilot(settings), CopilotMetrics(), settings)
    app = application(
        "copilot", "From a cluster's logs to a cited answer.",
        token=settings.token, hosts=settings.hosts, metrics=served.metrics, errors=ERRORS, responses=FAILURES,
        limit=lambda path: settings.upload_limit if path == "/ingest" else settings.body_limit,
    )  # fmt: skip
    app.state.copilot = served.copilot
    for add in (_add_metrics, _add_logs, _add_understand, _add_answer, _add_learn):
        add(app, served)
    return app


def _add_metrics(app: FastAPI, served: _Served) -> None:
    """What it did, and how much it stores."""
    copilot, metrics, settings, run = served.copilot, served.metrics, served.settings, served.run

    @app.get("/metrics", tags=["operation"], response_class=PlainTextResponse)
    async def prometheus() -> PlainTextResponse:
        """Counters for Prometheus."""
        try:
            metrics.stored.set((await run(copilot.status, seconds=min(SCRAPE, settings.timeout)))["lines"])
        except (StoreError, TooSlow):
            log.info("metrics without the number of stored lines: the store is busy")
        return counters(metrics)


def _add_logs(app: FastAPI, served: _Served) -> None:
    """What is stored, and what is in the store."""
    copilot, metrics, run = served.copilot, served.metrics, served.run

    @app.get("/status", tags=["logs"])
    async def status() -> Status:
        """What is in the store: sources, lines, the newest time."""
        return Status(**await run(copilot.status))

    @app.post("/ingest", tags=["logs"])
    async def ingest(
        file: Annotated[UploadFile, File(description=LOG_FILE, json_schema_extra={"format": "binary"})],
    ) -> Stored:
        """Store what is new in a log file. Sent again, or sent again longer, nothing of it is stored twice."""
        name = Path((file.filename or "upload").replace("\\", "/")).name[:200] or "upload"
        with tempfile.TemporaryDirectory(prefix="groundup-") as folder:
            path = Path(folder) / "upload"

            def keep() -> None:
                with path.open("wb") as kept:
                    shutil.copyfileobj(file.file, kept, 1 << 20)

            await to_thread.run_sync(keep)
            stored, lines = await run(copilot.upload, path, name)
        metrics.ingested.inc(lines)
        return Stored(name=stored, lines=lines)

    @app.post("/ingest/lines", tags=["logs"])
    async def ingest_lines(body: Push) -> Stored:
        """Store lines behind those that came under this name before."""
        lines = await run(copilot.push, body.name, body.lines, body.batch)
        metrics.ingested.inc(lines)
        return Stored(name=body.name, lines=lines)

    @app.get("/lines", tags=["logs"])
    async def lines(
        name: Annotated[Name, Query()] = None,
        most: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
    ) -> list[LogLine]:
        """The newest lines, the oldest of them first."""
        return [LogLine(**document(line)) for line in await run(copilot.newest, name, most)]


def _add_understand(app: FastAPI, served: _Served) -> None:
    """What the logs say."""
    copilot, run = served.copilot, served.run

    @app.post("/why", tags=["understand"])
    async def why(body: WhyRequest) -> WhyAnswer:
        """The lines that hold the root cause, without any language model."""
        evidence, tally = await run(copilot.why, body.name, body.since, body.lines, body.most)
        return WhyAnswer(
            evidence=[EvidenceLine(**document(piece)) for piece in evidence], nothing=tally.healthy(evidence),
            read=Read(**tally.counts), unread=tally.damage,
        )  # fmt: skip

    @app.get("/timeline", tags=["understand"])
    async def timeline(
        name: Annotated[Name, Query()] = None,
        since: Annotated[Since, Query()] = None,
        bars: Annotated[int, Query(ge=1, le=500, description="How many stretches of time at most.")] = 60,
    ) -> list[TimelineBar]:
        """How many records of each level there are over time."""
        return [TimelineBar(**document(bar)) for bar in await run(copilot.timeline, name, since, bars)]

    @app.get("/templates", tags=["understand"])
    async def templates(
        name: Annotated[Name, Query()] = None,
        since: Annotated[Since, Query()] = None,
        most: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
    ) -> list[TemplateCount]:
        """The templates behind the messages, the most frequent first."""
        return [TemplateCount(**document(template)) for template in await run(copilot.templates, name, since, most)]

    @app.post("/classify", tags=["understand"])
    async def classify(body: ClassifyRequest) -> Classified:
        """What the trained classifier takes records for, each with its reasons."""
        from groundup.systems.copilot.classifying.classify import kinds

        classifier, predictions = await run(copilot.classify, body.name, body.since, body.lines)
        rows = [(*pair, 1) for pair in predictions] if body.every else kinds(predictions, classifier.usual)
        return Classified(
            records=len(predictions), labels=Counter(prediction.label for _, prediction in predictions),
            predictions=[predicted(*row) for row in rows[: body.most]],
            source=classifier.report.source, data_sha256=classifier.report.data_sha256,
        )  # fmt: skip

    @app.post("/anomalies", tags=["understand"])
    async def anomalies(body: AnomaliesRequest) -> list[FoundAnomaly]:
        """What is unusual by service and time: new templates, bursts, silence."""
        return [
            FoundAnomaly(**document(anomaly))
            for anomaly in await run(copilot.anomalies, body.name, body.since, body.window)
        ]


def _add_answer(app: FastAPI, served: _Served) -> None:
    """Questions, and the places that answers cite."""
    copilot, metrics, settings, run = served.copilot, served.metrics, served.settings, served.run

    @app.post("/ask", tags=["answer"], response_class=StreamingResponse, responses=STREAM)
    async def ask(body: Question) -> StreamingResponse:
        """Answer a question, as lines of JSON that come as they are found.

        First `retrieved` (places that may answer), then each `sentence` with its citations, at last the whole `answer`;
        or `error`, where the model fails on the way.
        """
        deadline = Deadline(settings.timeout)
        events = await run(copilot.ask, body.question, body.since, deadline=deadline)

        def answer_lines() -> Iterator[str]:
            try:
                for event in events:
                    if event.answer is not None:
                        metrics.answers.labels(str(event.answer.abstained).lower()).inc()
                    yield json.dumps(event_document(event)) + "\n"
            except TooSlow:
                slow = (
                    f"An answer must come within {settings.timeout:g} s, and the model takes longer. What came before "
                    "is all there is. Give `since`, or serve with a longer --timeout."
                )
                yield json.dumps({"event": "error", "error": slow, "status": 504}) + "\n"
            except GroundupError as error:
                yield json.dumps({"event": "error", **ERRORS.document(error)}) + "\n"

        return StreamingResponse(answer_lines(), media_type=NDJSON)

    @app.post("/open", tags=["answer"])
    async def open_citation(body: OpenRequest) -> list[CitedPart]:
        """The stored line or the chunk that a citation stands for, between its neighbours."""
        return [CitedPart(**document(part)) for part in await run(copilot.open, body.where)]


def _add_learn(app: FastAPI, served: _Served) -> None:
    """Labels, and training on them."""
    copilot, run = served.copilot, served.run

    @app.post("/feedback", tags=["learn"])
    async def feedback(body: Feedback) -> Labelled:
        """Say what a stored line is; training learns from it."""
        return Labelled(records=await run(copilot.label, body.source, body.position, body.label, body.alike))

    @app.get("/feedback", tags=["learn"])
    async def labels() -> dict[str, int]:
        """How many records have which label."""
        return await run(copilot.labels)

    @app.post("/train", tags=["learn"], status_code=202)
    async def train(body: TrainRequest, response: Response) -> TrainingJob:
        """Begin to train a classifier on the labels in the store. Its address is in `Location`.

        It is used once it is done. One training runs at a time.
        """
        job = copilot.train(body.metric)
        response.headers["Location"] = f"/train/{job.number}"
        return training_job(job)

    @app.get("/train/{job}", tags=["learn"])
    async def training(job: JobNumber) -> TrainingJob:
        """How far a training is, and what came of it."""
        return training_job(_known(copilot.jobs.get(job), job))

    @app.delete("/train/{job}", tags=["learn"])
    async def stop_training(job: JobNumber) -> TrainingJob:
        """Stop a training at its next step; the classifier stays the one before. One that is over stays as it is."""
        return training_job(_known(copilot.jobs.stop(job), job))


def training_job(job: Job) -> TrainingJob:
    """A training as an answer."""
    report, error = job.result, job.error
    result = None if report is None else TrainingReport(**dataclasses.asdict(report), worth_it=report.worth_it)
    failure = None if error is None else Error(**ERRORS.document(error))
    return TrainingJob(
        job=job.number, state=job.state, doing=job.doing, step=job.step, steps=job.steps, result=result, error=failure
    )


def _known(job: Job | None, number: int) -> Job:
    if job is None:
        raise NotThere(f"There is no training {number}, or it is long over. POST /train begins one.")
    return job


def event_document(event: Event) -> dict[str, Any]:
    """An event of an answer as plain data."""
    if event.answer is not None:
        return {"event": "answer", **dataclasses.asdict(event.answer), "abstained": event.answer.abstained}
    if event.sentence is not None:
        new = [dataclasses.asdict(citation) for citation in event.citations]
        return {"event": "sentence", **dataclasses.asdict(event.sentence), "new": new}
    return {"event": event.kind, "places": list(event.places)}


def predicted(record: Record, prediction: Prediction, count: int) -> Predicted:
    """A prediction as an answer."""
    return Predicted(
        source=record.source, number=record.number, time=iso(record.time), text=record.text, label=prediction.label,
        probability=prediction.probability, reasons=list(prediction.reasons), count=count,
    )  # fmt: skip

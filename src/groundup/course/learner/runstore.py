"""The plain folder of every run, `.groundup/runs/<id>/`: written while it runs, read without MLflow.

run.json         the report (`RunReport.to_json`); during the run, with its process
events.jsonl     every event except progress, in order
figures/         Plotly JSON, `<name>-seed<seed>.json`
seed<seed>.log   the lab's output, and the traceback of a crash
mlflow.json      the run's id in MLflow, once recorded
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from groundup.course.learner.workspace import STATE, write_atomically
from groundup.errors import UnknownName
from groundup.labs.definition import Expectation
from groundup.labs.judge import Outcome, bar_in_words
from groundup.labs.summary import summarise

RunVerdict = Literal["running", "passed", "failed", "interrupted", "crashed"]


@dataclass(frozen=True)
class RunReport:
    """The whole report of one run.

    Attributes:
        id: sorts by time.
        unit: the unit's id.
        lab: the lab's name.
        title: the lab's title.
        question: the lab's question.
        preset: the preset.
        settings: the changes to the preset.
        seeds: the seeds asked for.
        started: the time in UTC, ISO 8601.
        verdict: `running` only while it runs.
        message: the reason of a crash or an interruption; else empty.
        seconds: wall time of the whole run.
        seed_seconds: time in the lab itself, by seed that ended.
        config: the whole config of the first seed.
        data: provenance of each dataset, with `label` ("real data, …", "STAND-IN: …").
        results: `metric`, `values`, `mean`, `spread`, `baseline`, `baseline_what`.
        expectations: `metric`, `passed`, `message`, `why`.
        tables: `name`, `seed`, `rows`.
        figures: `name`, `seed`, `file` (within the run's folder).
        notes: the lab's notes.
        mine: units whose code was the learner's own, where the lab used them.
        code_sha256: hash of the unit's implementation that ran, the learner's or the reference.
        process: the running process, during the run.
    """

    id: str
    unit: str
    lab: str
    title: str
    question: str
    preset: str
    settings: dict[str, Any]
    seeds: list[int]
    started: str
    verdict: RunVerdict = "running"
    message: str = ""
    seconds: float = 0.0
    seed_seconds: dict[str, float] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    data: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    expectations: list[dict[str, Any]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    mine: list[str] = field(default_factory=list)
    code_sha256: str = ""
    process: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every expectation was met."""
        return self.verdict == "passed"

    @property
    def stand_in(self) -> bool:
        """Whether a number in it comes from a stand-in."""
        return any(data.get("stand_in") for data in self.data)

    @property
    def caution(self) -> str:
        """The caution for a failure on a stand-in; empty for every other run."""
        if self.verdict != "failed" or not self.stand_in:
            return ""
        return (
            "The data is a stand-in, and the bars were set on the real data: your code may be right. "
            "Run it again where the data can be fetched, or with GROUNDUP_DATA_MIRROR."
        )

    def to_json(self) -> dict[str, Any]:
        """The run document."""
        return {**asdict(self), "stand_in": self.stand_in}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> RunReport:
        """The inverse of `to_json`; fields of a later release are left out."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in document.items() if name in known})


@dataclass(frozen=True)
class RunSummary:
    """One line of the list of runs."""

    id: str
    unit: str
    lab: str
    preset: str
    verdict: RunVerdict
    started: str
    seconds: float
    stand_in: bool
    mine: list[str]
    results: list[dict[str, Any]]


class RunFolder:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.report_path = path / "run.json"
        self.events_path = path / "events.jsonl"
        self.mlflow_path = path / "mlflow.json"

    @classmethod
    def new(cls, workspace_dir: Path, lab: str, started: datetime) -> RunFolder:
        """Make the folder of a new run, under an id that sorts by time."""
        while True:
            path = runs_dir(workspace_dir) / f"{started:%Y%m%d-%H%M%S}-{lab}-{secrets.token_hex(2)}"
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            return cls(path)

    def write(self, report: RunReport) -> None:
        """Write the report whole or not at all. Raises WorkspaceError."""
        write_atomically(self.report_path, json.dumps(report.to_json(), ensure_ascii=False, indent=1, default=str))

    def read(self) -> RunReport | None:
        """The report, or None where the folder holds none that can be read."""
        try:
            return RunReport.from_json(json.loads(self.report_path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def events(self) -> Iterator[dict[str, Any]]:
        """The events kept so far; a last line that was cut off is left out."""
        try:
            with self.events_path.open(encoding="utf-8") as file:
                for line in file:
                    if line.endswith("\n"):
                        yield json.loads(line)
        except FileNotFoundError:
            return

    def keep_figure(self, event: dict[str, Any]) -> dict[str, Any]:
        """Put a figure's JSON into a file of its own, and return the event with the file's name in its place."""
        name = f"figures/{re.sub(r'[^A-Za-z0-9_-]', '_', event['name'])}-seed{event['seed']}.json"
        write_atomically(self.path / name, json.dumps(event["figure"]))
        return {key: value for key, value in event.items() if key != "figure"} | {"file": name}

    def log_path(self, seed: int) -> Path:
        """The file of the lab's output."""
        return self.path / f"seed{seed}.log"


def add_up(report: RunReport, events: list[dict[str, Any]], verdict: RunVerdict | None = None) -> RunReport:
    """The report with the content of the events; judged if every seed ended, unless a verdict is given."""
    starts = [event for event in events if event["type"] == "start"]
    expectations = expectations_in(events)
    ends = [event for event in events if event["type"] == "end"]
    summary = summarise(events, report.seeds, expectations)
    outcomes = summary.expectations
    if verdict in ("interrupted", "crashed"):
        reason = f"not judged, because the run {'crashed' if verdict == 'crashed' else 'was interrupted'}."
        outcomes = tuple(Outcome(e.metric, False, f"{bar_in_words(e)}: {reason}", e.why) for e in expectations)
    return replace(
        report,
        verdict=verdict or ("passed" if summary.passed else "failed"),
        config=starts[0]["config"] if starts else {},
        seed_seconds={str(end["seed"]): end["seconds"] for end in ends if end["outcome"] == "done"},
        mine=sorted({unit for end in ends for unit in end["mine"]}),
        data=list(summary.data),
        results=[_plain(result) for result in summary.results],
        expectations=[_plain(outcome) for outcome in outcomes],
        tables=list(summary.tables),
        notes=list(summary.notes),
        figures=[
            {key: event[key] for key in ("name", "seed", "file")} for event in events if event["type"] == "figure"
        ],
    )


def expectations_in(events: Iterable[dict[str, Any]]) -> list[Expectation]:
    """The expectations of the lab, from its process's `start` event; none before that event."""
    starts = (event["expectations"] for event in events if event["type"] == "start")
    return [Expectation(**expectation) for expectation in next(starts, [])]


def _plain(value: Any) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(value)))


def runs_dir(workspace_dir: Path) -> Path:
    """The folder of a workspace's runs."""
    return Path(workspace_dir) / STATE / "runs"


def load_run(workspace_dir: Path, run_id: str) -> RunReport:
    """One run's report. A run whose process is gone is `interrupted`. Raises UnknownName."""
    known = _ids(workspace_dir)
    report = RunFolder(runs_dir(workspace_dir) / run_id).read() if run_id in known else None
    if report is None:
        raise UnknownName("run", run_id, known, see="groundup run")
    if report.verdict == "running" and not is_alive(report.process):
        events = list(RunFolder(runs_dir(workspace_dir) / run_id).events())
        return replace(add_up(report, events, "interrupted"), message="Its process ended before the run did.")
    return report


def list_runs(workspace_dir: Path, *, unit: str | None = None, limit: int | None = None) -> list[RunSummary]:
    """The runs of a workspace, newest first.

    Args:
        workspace_dir: the learner's folder.
        unit: only this unit's.
        limit: their largest number.
    """
    summaries: list[RunSummary] = []
    for run_id in _ids(workspace_dir):
        report = RunFolder(runs_dir(workspace_dir) / run_id).read()
        if report is None or (unit is not None and report.unit != unit):
            continue
        summaries.append(_summary(report))
        if len(summaries) == limit:
            break
    return summaries


def _ids(workspace_dir: Path) -> list[str]:
    try:
        return sorted((entry.name for entry in os.scandir(runs_dir(workspace_dir)) if entry.is_dir()), reverse=True)
    except FileNotFoundError:
        return []


def _summary(report: RunReport) -> RunSummary:
    gone = report.verdict == "running" and not is_alive(report.process)
    return RunSummary(
        id=report.id,
        unit=report.unit,
        lab=report.lab,
        preset=report.preset,
        verdict="interrupted" if gone else report.verdict,
        started=report.started,
        seconds=report.seconds,
        stand_in=report.stand_in,
        mine=report.mine,
        results=report.results,
    )


def this_process() -> dict[str, Any]:
    """The identity of this process, distinct from a later process with the same number."""
    import psutil

    return {"pid": os.getpid(), "created": psutil.Process().create_time()}


def is_alive(process: dict[str, Any]) -> bool:
    """Whether the process that `this_process` named still runs."""
    import psutil

    try:
        return abs(psutil.Process(process["pid"]).create_time() - process["created"]) < 1
    except (KeyError, psutil.Error):
        return False


def curves(workspace_dir: Path, run_id: str) -> dict[str, dict[str, dict[str, list[Any]]]]:
    """A run's metrics over its steps: `{metric: {seed: {"steps": [...], "values": [...]}}}`."""
    metrics: dict[str, dict[str, dict[str, list[Any]]]] = {}
    for event in RunFolder(runs_dir(workspace_dir) / run_id).events():
        if event["type"] == "metric":
            by_seed = metrics.setdefault(event["name"], {})
            curve = by_seed.setdefault(str(event["seed"]), {"steps": [], "values": []})
            curve["steps"].append(event["step"])
            curve["values"].append(event["value"])
    return metrics


def load_figure(workspace_dir: Path, run_id: str, name: str, seed: int) -> dict[str, Any]:
    """A figure that a run kept, as Plotly JSON. Raises UnknownName."""
    report = load_run(workspace_dir, run_id)
    for figure in report.figures:
        if figure["name"] == name and figure["seed"] == seed:
            return json.loads((runs_dir(workspace_dir) / run_id / figure["file"]).read_text(encoding="utf-8"))
    raise UnknownName(f"figure with seed {seed} in the run {run_id}", name, [f["name"] for f in report.figures])


def compare(runs: Sequence[RunReport]) -> dict[str, Any]:
    """Runs side by side.

    Returns:
        `runs` (id, unit, lab, preset, verdict, data labels), `settings` (name, a value for each run, and whether the
        values differ) and `results` (metric, and for each run its mean, spread and baseline, or None).
    """
    heads = [
        {
            **{name: getattr(run, name) for name in ("id", "unit", "lab", "preset", "verdict", "started", "seconds")},
            "mine": run.mine,
            "seeds": run.seeds,
            "data": [data["label"] for data in run.data],
            "stand_in": run.stand_in,
        }
        for run in runs
    ]
    settings = [
        {"name": name, "values": values, "differs": any(value != values[0] for value in values)}
        for name in dict.fromkeys(name for run in runs for name in run.config if name != "seed")
        for values in [[run.config.get(name) for run in runs]]
    ]
    results = [
        {"metric": metric, "values": [_result_of(run, metric) for run in runs]}
        for metric in dict.fromkeys(result["metric"] for run in runs for result in run.results)
    ]
    return {"runs": heads, "settings": settings, "results": results}


def _result_of(run: RunReport, metric: str) -> dict[str, Any] | None:
    for result in run.results:
        if result["metric"] == metric:
            return {key: result[key] for key in ("mean", "spread", "baseline", "baseline_what")}
    return None


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)

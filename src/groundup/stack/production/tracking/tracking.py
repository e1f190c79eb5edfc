"""A run tracker: what was tried (parameters), what came out (metrics, artefacts, status), and which model is in use.

    tracker = Tracker("mlruns")
    with tracker.start("digits", "small") as run:    # finished, failed or killed: the status says it afterwards
        run.log_param("depth", 3)                    # written once
        for step in range(10):
            run.log_metric("auc", ..., step)         # on the disk when the call returns
    best(tracker.search("metrics.auc > .8 and params.depth = 3"), "auc")

The files are those of MLflow's file store, so MLflow opens them (version 3.17 only with MLFLOW_ALLOW_FILE_STORE=true,
or after `mlflow migrate-filestore`): `<experiment>/<run>/meta.yaml`, `params/NAME` with the value, `metrics/NAME` with
lines "milliseconds value step", `tags/NAME`, `artifacts/`, and `models/NAME/version-N`, `models/NAME/aliases/ALIAS`.
meta.yaml is written as `key: JSON`, which is YAML as well.

Not covered: a server, users and rights, deleted runs, disks without hard links, and a power cut: a killed process loses
nothing, but nothing is forced to the disk.
"""

import contextlib
import hashlib
import json
import math
import operator
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import psutil

Mode = Literal["max", "min"]
Objection = Literal["unfinished", "unmeasured", "other data", "not better"]
STATUSES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
DATA = "data"  # the tag with the name of the data that a run was measured on
PROCESS = "process"  # the tag with the process that a run runs in
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ATTRIBUTES = {"run_id": "id", "run_name": "name", "status": "status"}  # by MLflow's names
CLAUSE = re.compile(
    r"""\s*(metrics|params|tags|attributes)\.([\w./-]+|`[^`]+`)\s*(!=|<=|>=|=|<|>)\s*
    ([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|'[^']*'|"[^"]*")""",
    re.VERBOSE,
)
AND = re.compile(r"\s+and\s+", re.IGNORECASE)
_NAME = re.compile(r"[\w.\- /]+")


class Point(NamedTuple):
    """A value of a metric: milliseconds since 1970, the value, and the step that it belongs to."""

    time: int
    value: float
    step: int


@dataclass(frozen=True)
class Record:
    """What is known of a run, read from its files.

    Attributes:
        id: 32 hexadecimal digits.
        status: "RUNNING", "FINISHED", "FAILED" or "KILLED".
        start: milliseconds since 1970.
        params: values as text, by name.
        metrics: the `latest` value of each.
        tags: values as text; unlike params they may change.
        name: for people.
        end: milliseconds since 1970; None while it runs.
    """

    id: str
    status: str = "FINISHED"
    start: int = 0
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    name: str = ""
    end: int | None = None


def read_metric(path: str | Path) -> list[Point]:
    """The history of a metric, in the order in which it was logged.

    Each line is "milliseconds value step", or "milliseconds value" of step 0, as old MLflow wrote it. A last line
    without its newline is torn: its writer was killed in the middle of it, and "0.9" may have been going to be
    "0.987". It is left out.

    Raises:
        ValueError: another line cannot be read; the file was damaged. The error names the file and the line.
    """
    *lines, _torn = Path(path).read_text(encoding="utf-8").split("\n")
    points = []
    for number, line in enumerate(lines, start=1):
        parts = line.split(" ")
        try:
            when, value, step = parts if len(parts) == 3 else (*parts, "0")
            points.append(Point(int(when), float(value), int(step)))
        except ValueError:
            raise ValueError(f"{path}, line {number}, must be 'milliseconds value step'; got {line!r}.") from None
    return points


def latest(points: Iterable[Point]) -> float:
    """The value of the highest step; of several, of the latest time, and then the largest, as MLflow has it."""
    return max(points, key=lambda point: (point.step, point.time, point.value)).value


class Run:
    """A run and its folder. As a context it notes how it ended.

    Args:
        folder: of the run, with its meta.yaml.
        clock: the time in milliseconds since 1970.
    """

    def __init__(self, folder: Path, clock: Callable[[], int]) -> None:
        self.folder, self.clock, self.id = folder, clock, folder.name

    def log_param(self, name: str, value: object) -> None:
        """Write a parameter, as `str(value)`. Once written it never changes.

        The same text again is fine, so that a run that goes on may log its parameters again. The file is made by
        `_create`, which lets one of several writers win, and never leaves half a value.

        Raises:
            ValueError: the name cannot be a file's (see `_check_name`), or the parameter has another value already.
        """
        path, text = self.folder / "params" / _check_name(name), str(value)
        if not _create(path, text, self.folder):
            held = path.read_bytes().decode()
            if held != text:
                raise ValueError(f"{name} is {held!r} already; got {text!r}. Start another run for another value.")

    def log_metric(self, name: str, value: float, step: int = 0, when: int | None = None) -> None:
        """Append a value to a metric: the line "milliseconds value step" and a newline.

        The operating system has the whole line when this returns, in one unbuffered write: if the process is killed
        in the next moment, nothing is lost. The value is written so that reading it gives the same float; NaN and
        infinities are kept, because a run that diverged should show it.

        Args:
            name: of the metric.
            value: anything that `float` takes, but no bool, and no text.
            step: epoch or batch; any order.
            when: milliseconds since 1970; the run's `clock` unless given.

        Raises:
            ValueError: the name cannot be a file's (see `_check_name`), or the value is a bool or a text.
        """
        if isinstance(value, bool | str):
            raise ValueError(f"value of {name} must be a number; got {value!r}. Log a text as a param or as a tag.")
        path = self.folder / "metrics" / _check_name(name)
        line = f"{self.clock() if when is None else when} {float(value)!r} {step}\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab", buffering=0) as file:
            file.write(line.encode())

    def set_tag(self, name: str, value: object) -> None:
        """Write a tag, over an older value."""
        _replace(self.folder / "tags" / _check_name(name), str(value), self.folder)

    def log_artifact(self, path: str | Path, name: str | None = None) -> str:
        """Copy a file to the run, and give the SHA-256 of its bytes, which becomes the tag `sha256.NAME`.

        Like a param it never changes: the same bytes are fine, others are refused.
        """
        name = _check_name(Path(path).name if name is None else name)
        digest, target = hash_file(path), self.folder / "artifacts" / name
        if target.exists() and hash_file(target) != digest:
            raise ValueError(f"{name} of run {self.id} holds other bytes already. Give the artefact another name.")
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = self.folder / f".{uuid.uuid4().hex}"
        staged.write_bytes(Path(path).read_bytes())
        os.replace(staged, target)
        self.set_tag(f"sha256.{name}", digest)
        return digest

    def keep_best(self, metric: str, path: str | Path, mode: Mode = "max") -> bool:
        """Log a model as an artefact if the metric's newest value beats all before it; the tag `best` then names it."""
        *before, newest = self.history(metric)
        sign = 1 if mode == "max" else -1
        if math.isnan(newest.value) or any(sign * point.value >= sign * newest.value for point in before):
            return False
        name = f"step-{newest.step}-{Path(path).name}"
        self.log_artifact(path, name)
        self.set_tag("best", name)
        return True

    def history(self, metric: str) -> list[Point]:
        """All values of a metric."""
        return read_metric(self.folder / "metrics" / _check_name(metric))

    def damaged(self) -> list[str]:
        """Artefacts that are gone, or whose bytes are no longer those that were logged."""
        hashes = {name[7:]: digest for name, digest in self.record().tags.items() if name.startswith("sha256.")}
        files = {name: self.folder / "artifacts" / name for name in hashes}
        return sorted(name for name, path in files.items() if not path.exists() or hash_file(path) != hashes[name])

    def close(self, status: str, end: int | None = None) -> None:
        """Write the status and the time of the end."""
        number = {text: number for number, text in STATUSES.items()}[status]
        meta = read_meta(self.folder / "meta.yaml") | {"status": number}
        meta["end_time"] = None if status == "RUNNING" else self.clock() if end is None else end
        _replace(self.folder / "meta.yaml", write_meta(meta), self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Finished, failed by an Exception, or killed by KeyboardInterrupt or SystemExit; the exception goes on."""
        self.close("FINISHED" if kind is None else "FAILED" if issubclass(kind, Exception) else "KILLED")
        if error is not None:
            self.set_tag("error", f"{type(error).__name__}: {error}")

    def record(self) -> Record:
        """What the files say now."""
        meta = read_meta(self.folder / "meta.yaml")
        params, tags = (_texts(self.folder / kind) for kind in ("params", "tags"))
        histories = {name: read_metric(path) for name, path in _files(self.folder / "metrics")}
        metrics = {name: latest(points) for name, points in histories.items() if points}
        status, name, end = STATUSES[meta["status"]], str(meta.get("run_name") or ""), meta.get("end_time")
        return Record(self.id, status, meta["start_time"], params, metrics, tags, name, end)


@dataclass(frozen=True)
class Clause:
    """One comparison of a filter.

    Attributes:
        kind: "metrics", "params", "tags" or "attributes".
        name: of the metric, and so on; a key of ATTRIBUTES.
        sign: a key of OPERATORS.
        value: a float, or a text.
    """

    kind: str
    name: str
    sign: str
    value: float | str

    def holds(self, record: Record) -> bool:
        """Whether it is true of a run. A run without such a value, or with a text for a number, is never found."""
        if self.kind == "attributes":
            held = getattr(record, ATTRIBUTES[self.name])
        else:
            held = getattr(record, self.kind).get(self.name)
        if held is not None and isinstance(self.value, float):
            try:
                held = float(held)
            except ValueError:
                return False
        return held is not None and OPERATORS[self.sign](held, self.value)


def parse_filter(query: str) -> list[Clause]:
    """Read a filter such as "metrics.auc > .8 and params.depth = 3" without running it as code.

    Clauses (CLAUSE matches one: kind, name, sign, value) are joined by "and" (AND), in any case. A name with other
    characters stands in backticks. A value is a number, or a text in single or double quotes, which may hold " and ".
    A number compares with metrics and, as a number, with params: 10 is above 9. A text compares by = and != with
    anything but metrics. Attributes are those of ATTRIBUTES. An empty query has no clauses: every run is found.

    Returns:
        The clauses in their order, numbers as float, texts and names without quotes and backticks.

    Raises:
        ValueError: the query cannot be read to its end, a value does not fit its kind or sign, or there is no such
            attribute (see `_unreadable`).
    """
    clauses: list[Clause] = []
    at, end = 0, len(query.rstrip())
    while at < end:
        if clauses:
            joint = AND.match(query, at)
            if joint is None:
                raise _unreadable(query, at)
            at = joint.end()
        match = CLAUSE.match(query, at)
        if match is None:
            raise _unreadable(query, at)
        kind, name, sign, value = match.groups()
        name, text = name.strip("`"), value[0] in "'\""
        fits = kind != "metrics" and sign in ("=", "!=") if text else kind in ("metrics", "params")
        if not fits or (kind == "attributes" and name not in ATTRIBUTES):
            raise _unreadable(query, at)
        clauses.append(Clause(kind, name, sign, value[1:-1] if text else float(value)))
        at = match.end()
    return clauses


def best(runs: Iterable[Record], metric: str, mode: Mode = "max", within: float = 0.0) -> list[Record]:
    """The best runs by a metric: several, where they are tied.

    Only finished runs count: a killed run's last value is that of a model which was not done. Neither does one
    without the metric, or with NaN, which compares with nothing.

    Args:
        runs: any.
        metric: its name.
        mode: "max" if more is better, or "min".
        within: runs that are worse than the best by no more than this are tied with it: the metric's noise.

    Returns:
        The tied runs, the earliest start first; none if no run counts.

    Raises:
        ValueError: mode is neither "max" nor "min", or within is negative (see `_check`).
    """
    sign = _check(mode, within, "within")
    counted = [run for run in runs if run.status == "FINISHED" and not math.isnan(run.metrics.get(metric, math.nan))]
    if not counted:
        return []
    top = max(sign * run.metrics[metric] for run in counted)
    tied = [run for run in counted if sign * run.metrics[metric] >= top - within]
    return sorted(tied, key=lambda run: run.start)


def objection(
    challenger: Record, champion: Record | None, metric: str, margin: float = 0.0, mode: Mode = "max"
) -> Objection | None:
    """What speaks against a challenger taking the champion's place: the first of these, or None.

    1. "unfinished": the challenger's run did not finish.
    2. "unmeasured": a run of the two has no finite value of the metric.
    3. "other data": the DATA tags of the two differ, or one of them has none. Their numbers do not compare.
    4. "not better": it is not better by more than `margin`, so that a tie and noise change nothing.

    Args:
        challenger: the run of the version that would take over.
        champion: the run of the version in use; None if there is none, and then 3 and 4 are not asked.
        metric: measured on data that fitted neither.
        margin: at least 0, in units of the metric.
        mode: "max" if more is better, or "min".

    Raises:
        ValueError: mode is neither "max" nor "min", or margin is negative (see `_check`).
    """
    sign = _check(mode, margin, "margin")
    both = [challenger] if champion is None else [challenger, champion]
    values = [sign * run.metrics.get(metric, math.nan) for run in both]
    if challenger.status != "FINISHED":
        return "unfinished"
    if not all(math.isfinite(value) for value in values):
        return "unmeasured"
    if champion is None:
        return None
    if DATA not in champion.tags or challenger.tags.get(DATA) != champion.tags[DATA]:
        return "other data"
    return None if values[0] - values[1] > margin else "not better"


def compare(runs: Iterable[Record]) -> dict[str, list[str | None]]:
    """The parameters in which runs differ, with the value of each run, None where it has none."""
    records = list(runs)
    names = sorted({name for run in records for name in run.params})
    table = {name: [run.params.get(name) for run in records] for name in names}
    return {name: values for name, values in table.items() if len(set(values)) > 1}


class Tracker:
    """Experiments and their runs in a folder.

    Args:
        root: the folder; it is made if it is not there.
        clock: the time in milliseconds since 1970.
    """

    def __init__(self, root: str | Path, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.root, self.clock = Path(root).resolve(), clock
        self.root.mkdir(parents=True, exist_ok=True)

    def experiment(self, name: str) -> Path:
        """The folder of an experiment, which is made if it is not there, by several processes at once if need be."""
        for path in self.root.glob("*/meta.yaml"):
            if read_meta(path)["name"] == name:
                return path.parent
        number, now = str(int(hashlib.sha256(name.encode()).hexdigest()[:14], 16)), self.clock()
        meta = {"artifact_location": (self.root / number).as_uri(), "experiment_id": number, "name": name}
        meta |= {"creation_time": now, "last_update_time": now, "lifecycle_stage": "active"}
        _create(self.root / number / "meta.yaml", write_meta(meta), self.root)
        return self.root / number

    def start(self, experiment: str, name: str = "") -> Run:
        """Start a run."""
        parent, number = self.experiment(experiment), uuid.uuid4().hex
        run = Run(parent / number, self.clock)
        for kind in ("params", "metrics", "tags", "artifacts"):
            (run.folder / kind).mkdir(parents=True)
        uri = (run.folder / "artifacts").as_uri()
        meta = {"artifact_uri": uri, "experiment_id": parent.name, "run_id": number, "run_name": name}
        meta |= {"lifecycle_stage": "active", "start_time": self.clock(), "end_time": None, "status": 1, "user_id": ""}
        run.set_tag(PROCESS, f"{os.getpid()} {psutil.Process().create_time()}")
        _create(run.folder / "meta.yaml", write_meta(meta), run.folder)
        return run

    def run(self, run_id: str) -> Run:
        """A run by its id, to read it."""
        for path in self.root.glob(f"*/{_check_name(run_id)}/meta.yaml"):
            return Run(path.parent, self.clock)
        raise ValueError(f"run_id must be that of a run below {self.root}; got {run_id!r}. See Tracker.search().")

    def resume(self, run_id: str) -> Run:
        """Go on with a run: it is running again, in this process, and lines that a kill tore are cut off."""
        run = self.run(run_id)
        for _, path in _files(run.folder / "metrics"):
            whole = path.read_bytes()
            path.write_bytes(whole[: whole.rfind(b"\n") + 1])
        run.set_tag(PROCESS, f"{os.getpid()} {psutil.Process().create_time()}")
        run.close("RUNNING")
        return run

    def search(self, query: str = "", experiment: str | None = None) -> list[Record]:
        """The runs, of one experiment or of all, for which a filter (see `parse_filter`) is true; by their start."""
        clauses = parse_filter(query)
        parent = self.root if experiment is None else self.experiment(experiment)
        paths = parent.glob("*/*/meta.yaml" if experiment is None else "*/meta.yaml")
        records = [Run(path.parent, self.clock).record() for path in paths if (path.parent / "params").is_dir()]
        return sorted((run for run in records if all(one.holds(run) for one in clauses)), key=lambda run: run.start)

    def reap(self, alive: Callable[[str], bool] | None = None) -> list[str]:
        """Mark runs as killed whose process is gone, at their last sign of life. After `kill -9` nobody else can.

        Runs of other machines do not belong into the same folder: their processes are not known here.
        """
        running = self.search("attributes.status = 'RUNNING'")
        dead = [run for run in running if PROCESS in run.tags and not (alive or _alive)(run.tags[PROCESS])]
        for record in dead:
            run = self.run(record.id)
            times = [point.time for name in record.metrics for point in run.history(name)]
            run.close("KILLED", max(times, default=record.start))
        return [run.id for run in dead]


class Registry:
    """Models, their numbered versions, and aliases: names such as "champion" that move from version to version.

    MLflow's stages (Staging, Production) are deprecated in favour of aliases.

    Args:
        tracker: its folder holds the models too.
    """

    def __init__(self, tracker: Tracker) -> None:
        self.tracker, self.models = tracker, tracker.root / "models"

    def register(self, model: str, run: Run, artifact: str) -> int:
        """Make the next version of a model from an artefact of a run. Two at the same time get two numbers."""
        folder, now = self.models / _check_name(model), self.tracker.clock()
        digest, source = run.record().tags[f"sha256.{artifact}"], (run.folder / "artifacts" / artifact).as_uri()
        times = {"creation_timestamp": now, "last_updated_timestamp": now}
        _create(folder / "meta.yaml", write_meta({"name": model, "aliases": {}, **times}), self.tracker.root)
        number = max((int(path.name[8:]) for path in folder.glob("version-*")), default=0) + 1
        meta = {"name": model, "version": number, "run_id": run.id, "source": source, "storage_location": source}
        meta |= {"current_stage": "None", "status": "READY", **times}
        while not _create(folder / f"version-{number}" / "meta.yaml", write_meta(meta), self.tracker.root):
            number = meta["version"] = number + 1
        _replace(folder / f"version-{number}" / "tags" / "sha256", digest, self.tracker.root)
        return number

    def version(self, model: str, alias: str) -> int | None:
        """The version that has an alias; None if none has."""
        path = self.models / _check_name(model) / "aliases" / _check_name(alias)
        return int(path.read_text(encoding="utf-8")) if path.exists() else None

    def run(self, model: str, version: int) -> Run:
        """The run that a version came from."""
        return self.tracker.run(read_meta(self.models / model / f"version-{version}" / "meta.yaml")["run_id"])

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Move an alias by hand; going back to an older version asks for no metric."""
        self.run(model, version)
        _replace(self.models / model / "aliases" / _check_name(alias), str(version), self.tracker.root)

    def promote(
        self, model: str, version: int, metric: str, margin: float = 0.0, mode: Mode = "max", alias: str = "champion"
    ) -> Objection | None:
        """Give a version the alias unless there is an `objection`, which is returned. One at a time, by a lock."""
        with _locked(self.models / model / ".lock"):
            held = self.version(model, alias)
            champion = None if held is None else self.run(model, held).record()
            problem = objection(self.run(model, version).record(), champion, metric, margin, mode)
            if problem is None:
                self.set_alias(model, alias, version)
        return problem

    def open(self, model: str, alias: str = "champion") -> bytes:
        """The bytes of the version with an alias. Raises ValueError if they are not those that were registered."""
        folder = self.models / model / f"version-{self.version(model, alias)}"
        name = read_meta(folder / "meta.yaml")["source"].partition("/artifacts/")[2]
        path = self.run(model, int(folder.name[8:])).folder / "artifacts" / name
        if hash_file(path) != (folder / "tags" / "sha256").read_text(encoding="utf-8"):
            raise ValueError(
                f"model {model}: the bytes of {folder.name} are not those that were registered. Restore them."
            )
        return path.read_bytes()


def hash_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_meta(meta: dict[str, Any]) -> str:
    """Text of a meta.yaml: a line `key: value` for each, the value in JSON."""
    return "".join(f"{key}: {json.dumps(meta[key])}\n" for key in sorted(meta))


def read_meta(path: str | Path) -> dict[str, Any]:
    """What a meta.yaml says, written by `write_meta` or by MLflow; other YAML is not understood."""
    meta: dict[str, Any] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, colon, value = line.partition(":")
        if colon and not key.startswith(" "):
            meta[key] = _scalar(value.strip())
    return meta


def _scalar(text: str) -> Any:
    """A value of MLflow's YAML: JSON, 'single quotes', or plain text."""
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _create(path: Path, text: str, staging: Path) -> bool:
    """Make a file with a text unless it is there: False then. It appears whole, and of several writers one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = staging / f".{uuid.uuid4().hex}"
    staged.write_bytes(text.encode())
    try:
        os.link(staged, path)
    except FileExistsError:
        return False
    finally:
        staged.unlink()
    return True


def _replace(path: Path, text: str, staging: Path) -> None:
    """Write a file in one step, over an older one. The staged file lies elsewhere: it is no tag."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = staging / f".{uuid.uuid4().hex}"
    staged.write_bytes(text.encode())
    os.replace(staged, path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file. Raises ValueError if somebody else has it."""
    if not _create(path, str(os.getpid()), path.parent):
        raise ValueError(f"model is being promoted by process {path.read_text()}. If that is dead, remove {path}.")
    try:
        yield
    finally:
        path.unlink()


def _alive(process: str) -> bool:
    """Whether a process runs. Its start counts too: numbers of processes are used again."""
    number, start = process.split(" ")
    try:
        return psutil.Process(int(number)).create_time() == float(start)
    except psutil.NoSuchProcess:
        return False


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files below a folder, by name."""
    return ((path.relative_to(folder).as_posix(), path) for path in sorted(folder.rglob("*")) if path.is_file())


def _texts(folder: Path) -> dict[str, str]:
    return {name: path.read_bytes().decode() for name, path in _files(folder)}


def _check_name(name: str) -> str:
    """Refuse a name that MLflow refuses, or that leads out of the folder."""
    if not _NAME.fullmatch(name) or {"", ".", ".."} & set(name.split("/")):
        raise ValueError(f"name must be letters, digits, spaces and _ - . /, as in 'val/loss'; got {name!r}.")
    return name


def _check(mode: str, margin: float, parameter: str) -> int:
    """1 for "max" and -1 for "min". Refuses other modes and a margin below 0."""
    if mode not in ("max", "min"):
        raise ValueError(f"mode must be 'max' or 'min'; got {mode!r}.")
    if not margin >= 0:
        raise ValueError(f"{parameter} must be at least 0; got {margin}.")
    return 1 if mode == "max" else -1


def _unreadable(query: str, at: int) -> ValueError:
    """The error for a filter that cannot be read from some position on."""
    return ValueError(
        f"query must be clauses such as metrics.auc > .8, params.kind = 'tree' or tags.`my tag` != 'x', joined by and; "
        f"cannot read {query[at:]!r} at position {at} of {query!r}."
    )

"""Finished runs, handed to MLflow in the background: `python -m groundup.course.learner.recording WORKSPACE`.

Importing MLflow takes seconds, and making its database takes longer; nobody should wait for that. A run is therefore
whole in its own folder first. This process outlives the command and copies every run that MLflow lacks into
`.groundup/mlflow.db`. If it is killed, the next process starts again with the same runs.

    uv run --extra mlflow mlflow ui --backend-store-uri sqlite:///~/groundup/.groundup/mlflow.db

MLflow is an extra. Without it, the runs wait in their folders; the first run with it records them all.

In MLflow a run is one parent (params, means, spreads, baselines, artefacts) with one child for each seed (curves).
`GROUNDUP_MLFLOW=off` leaves MLflow out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from groundup.background import BATCH, is_on, one_at_a_time, start
from groundup.course.learner.runstore import RunFolder, RunReport, load_run, runs_dir
from groundup.course.learner.workspace import STATE, write_atomically

STATUS = {"passed": "FINISHED", "failed": "FINISHED", "interrupted": "KILLED", "crashed": "FAILED"}

_started: list[subprocess.Popen[bytes]] = []


def start_recording(workspace_dir: Path) -> None:
    """Start a process that records the unrecorded runs, and do not wait for it; nothing without MLflow."""
    if not is_on():
        return
    _started[:] = [process for process in _started if process.poll() is None]
    log = Path(workspace_dir) / STATE / "mlflow.log"
    _started.append(start("groundup.course.learner.recording", Path(workspace_dir), log))


def wait_for_recording(seconds: float | None = None) -> None:
    """Wait for the recordings that this process started."""
    while _started:
        _started.pop().wait(seconds)


def store_uri(workspace_dir: Path) -> str:
    """The address of a workspace's MLflow store."""
    return f"sqlite:///{(Path(workspace_dir) / STATE / 'mlflow.db').absolute().as_posix()}"


def record_all(workspace_dir: Path) -> int:
    """Record every unrecorded finished run, oldest first, and return their number."""
    with one_at_a_time(Path(workspace_dir) / STATE):
        waiting = [(folder, report) for folder, report in _unrecorded(workspace_dir)]
        if not waiting:
            return 0
        from mlflow.tracking import MlflowClient

        client = MlflowClient(store_uri(workspace_dir))
        for folder, report in waiting:
            mlflow_id = _record(client, workspace_dir, folder, report)
            write_atomically(folder.mlflow_path, json.dumps({"run_id": mlflow_id}))
        return len(waiting)


def _unrecorded(workspace_dir: Path) -> Iterator[tuple[RunFolder, RunReport]]:
    for path in sorted(runs_dir(workspace_dir).glob("*/run.json")):
        folder = RunFolder(path.parent)
        if not folder.mlflow_path.exists():
            report = load_run(workspace_dir, folder.path.name)
            if report.verdict != "running":
                yield folder, report


def _record(client: Any, workspace_dir: Path, folder: RunFolder, report: RunReport) -> str:
    experiment = _experiment(client, workspace_dir, f"{report.unit}/{report.lab}")
    # A killed recording leaves a part of the run behind.
    for partial in client.search_runs([experiment], f"tags.`groundup.run` = '{report.id}'"):
        client.delete_run(partial.info.run_id)
    begun = int(datetime.fromisoformat(report.started).timestamp() * 1000)
    ended = begun + int(report.seconds * 1000)
    tags = _tags(report)
    parent = client.create_run(experiment, begun, tags, run_name=report.id).info.run_id
    _log_params(client, parent, report.config)
    _log_metrics(client, parent, _summary_metrics(report), ended)
    client.log_dict(parent, report.to_json(), "run.json")
    for figure in report.figures:
        client.log_artifact(parent, str(folder.path / figure["file"]), "figures")
    for table in report.tables:
        client.log_dict(parent, table, f"tables/{_word(table['name'])}-seed{table['seed']}.json")
    events = list(folder.events())
    for seed in sorted({event["seed"] for event in events}):
        child_tags = {**tags, "mlflow.parentRunId": parent, "groundup.seed": str(seed)}
        child = client.create_run(experiment, begun, child_tags, run_name=f"{report.id}-seed{seed}").info.run_id
        _log_params(client, child, {**report.config, "seed": seed})
        _log_metrics(client, child, _seed_metrics(events, seed), ended)
        client.set_terminated(child, STATUS[report.verdict], ended)
    client.set_terminated(parent, STATUS[report.verdict], ended)
    return parent


def _experiment(client: Any, workspace_dir: Path, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return experiment.experiment_id
    where = (Path(workspace_dir) / STATE / "mlflow-artifacts" / name).absolute().as_uri()
    return client.create_experiment(name, artifact_location=where)


def _tags(report: RunReport) -> dict[str, str]:
    return {
        "groundup.run": report.id,
        "groundup.unit": report.unit,
        "groundup.lab": report.lab,
        "groundup.preset": report.preset,
        "groundup.verdict": report.verdict,
        "groundup.data": "; ".join(f"{data['name']}: {data['label']}" for data in report.data) or "none",
        "groundup.stand_in": str(report.stand_in).lower(),
        "groundup.mine": ", ".join(report.mine),
        "groundup.code_sha256": report.code_sha256,
        "groundup.expectations": "\n".join(
            f"{'met' if outcome['passed'] else 'MISSED'}: {outcome['message']}" for outcome in report.expectations
        ),
        "mlflow.note.content": report.question,
    }


def _log_params(client: Any, run_id: str, config: dict[str, Any]) -> None:
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(name, str(value)) for name, value in config.items()])


def _summary_metrics(report: RunReport) -> Iterator[tuple[str, float | None, float]]:
    for result in report.results:
        for part in ("mean", "spread", "baseline"):
            if result[part] is not None:
                yield f"{result['metric']}.{part}", result[part], 0
    yield "seconds", report.seconds, 0


def _seed_metrics(events: list[dict[str, Any]], seed: int) -> Iterator[tuple[str, float | None, float]]:
    for event in events:
        if event["seed"] != seed:
            continue
        if event["type"] == "metric":
            yield event["name"], event["value"], event["step"]
        elif event["type"] == "result":
            yield event["metric"], event["value"], 0
        elif event["type"] == "baseline":
            yield f"{event['metric']}.baseline", event["value"], 0


def _log_metrics(client: Any, run_id: str, points: Iterable[tuple[str, float | None, float]], timestamp: int) -> None:
    from mlflow.entities import Metric

    curves: dict[str, list[tuple[float | None, float]]] = {}
    for name, value, step in points:
        curves.setdefault(_word(name), []).append((value, step))
    metrics = [
        Metric(name, float("nan") if value is None else value, timestamp, step)
        for name, curve in curves.items()
        for (value, _), step in zip(curve, _whole_steps([step for _, step in curve]), strict=True)
    ]
    for first in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[first : first + BATCH])


def _whole_steps(steps: list[float]) -> Iterable[int]:
    """The steps, or the order of the points where a step is no whole number: MLflow takes whole numbers only."""
    return [int(step) for step in steps] if all(float(s).is_integer() for s in steps) else range(len(steps))


def _word(name: str) -> str:
    """The name without the characters that MLflow refuses in names."""
    return re.sub(r"[^\w\-. /]", "_", name)


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(5)
    record_all(Path(sys.argv[1]))

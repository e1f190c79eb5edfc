"""Finished stages handed to MLflow by a process in the background.

    python -m groundup.systems.language_model.recording RUN

Importing MLflow takes seconds, and making its database takes more; no stage should wait for that. So a stage is whole
in the run folder first, and this process, which outlives the command, copies every entry of the report that MLflow does
not have yet into `RUN/mlflow.db`. If it is killed, the next one goes on.

    mlflow ui --backend-store-uri sqlite:///RUN/mlflow.db

MLflow is an extra. Without it the entries wait in the report. `GROUNDUP_MLFLOW=off` leaves MLflow out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from groundup.background import BATCH, one_at_a_time, start
from groundup.systems.language_model.checkpoint import latest, write_atomically
from groundup.systems.language_model.run_folder import BESIDE, TRAINED, RunFolder

DATABASE, RECORDED, EXPERIMENT = "mlflow.db", "mlflow.json", "groundup llm"


def store_uri(folder: Path) -> str:
    """The address of a run folder's MLflow store."""
    return f"sqlite:///{(folder / DATABASE).absolute().as_posix()}"


def start_recording(folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that records what is not recorded yet; it need not be waited for."""
    return start("groundup.systems.language_model.recording", folder, folder / "mlflow.log")


def record_all(folder: Path) -> int:
    """Record every entry of the report that is not recorded yet, the oldest first; return how many there were."""
    run = RunFolder(folder)
    with one_at_a_time(folder):
        place = folder / RECORDED
        known: dict[str, str] = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
        waiting = [entry for entry in run.report() if _key(entry) not in known]
        if not waiting:
            return 0
        from mlflow.tracking import MlflowClient

        client = MlflowClient(store_uri(folder))
        found = client.get_experiment_by_name(EXPERIMENT)
        artifacts = (folder / "mlflow-artifacts").absolute().as_uri()
        experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT, artifact_location=artifacts)
        for entry in waiting:
            known[_key(entry)] = _record(client, experiment, run, entry)
            write_atomically(place, json.dumps(known, indent=1))
        return len(waiting)


def _record(client: Any, experiment: str, run: RunFolder, entry: dict[str, Any]) -> str:
    """An entry as a run of MLflow: settings, measures with their baselines, and the curve of a stage that trains."""
    from mlflow.entities import Metric, Param

    for left in client.search_runs([experiment], f"tags.`groundup.entry` = '{_key(entry)}'"):
        client.delete_run(left.info.run_id)  # a recording that was killed left it behind
    ended = int(datetime.fromisoformat(entry["made"]).timestamp() * 1000)
    begun = ended - int(entry["seconds"] * 1000)
    tags = {
        "groundup.entry": _key(entry),
        "groundup.stage": entry["stage"],
        "groundup.data": "; ".join(entry["data"]),
        "groundup.stand_in": str(any("STAND-IN" in label for label in entry["data"])).lower(),
    }
    made = client.create_run(experiment, begun, tags, run_name=entry["stage"]).info.run_id
    settings = [Param(name, str(value)) for name, value in asdict(run.settings).items()]
    client.log_batch(made, params=settings)
    metrics = [Metric(name, value, ended, step) for name, value, step in _points(run, entry)]
    for first in range(0, len(metrics), BATCH):
        client.log_batch(made, metrics=metrics[first : first + BATCH])
    client.log_dict(made, entry, "entry.json")
    client.set_terminated(made, "FINISHED", ended)
    return made


def _points(run: RunFolder, entry: dict[str, Any]) -> Iterator[tuple[str, float, int]]:
    """Names, values and steps: the curve first."""
    newest = [each for each in run.report() if each["stage"] == entry["stage"]][-1]
    if entry["stage"] in (*TRAINED, *BESIDE) and entry == newest and (found := latest(run.path / entry["stage"])):
        name = "mean reward" if entry["stage"] in ("grpo", "ppo") else "loss"
        yield from ((f"{name} by step", value, step) for step, value in enumerate(found.document["curve"], 1))
    for row in entry["rows"]:
        for suffix, value in (("", row["value"]), (f" - {row['of'] or 'baseline'}", row["baseline"])):
            if isinstance(value, int | float):
                yield re.sub(r"[^\w\-. /]", "_", row["measure"] + suffix)[:240], float(value), 0
    yield "seconds", float(entry["seconds"]), 0


def _key(entry: dict[str, Any]) -> str:
    return f"{entry['stage']} {entry['made']}"


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(5)
    record_all(Path(sys.argv[1]))

"""What MLflow holds of finished runs, read back through MLflow itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from groundup.course.learner import recording
from groundup.course.learner.runs import run_lab
from groundup.course.learner.runstore import RunFolder, runs_dir
from groundup.course.material.unit import Unit

pytest.importorskip("groundup.course.grader.overlay")

# One process for recording and reading back, because importing MLflow takes seconds.
RECORD_AND_READ = """
import json, sys
from pathlib import Path
from groundup.course.learner.recording import record_all, store_uri
workspace = Path(sys.argv[1])
counts = [record_all(workspace), record_all(workspace)]
folder = next((workspace / ".groundup/runs").glob("*-fit-*"))
(folder / "mlflow.json").unlink()  # as if the recording had been killed just before its end
counts.append(record_all(workspace))
from mlflow.tracking import MlflowClient
client = MlflowClient(store_uri(workspace))
experiments = {}
for experiment in client.search_experiments():
    runs = []
    for run in client.search_runs([experiment.experiment_id]):
        curve = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "slope")]
        half = [m.step for m in client.get_metric_history(run.info.run_id, "over half steps")]
        runs.append({
            "id": run.info.run_id, "name": run.info.run_name,
            "status": run.info.status, "params": run.data.params, "tags": run.data.tags,
            "metrics": {k: str(v) for k, v in run.data.metrics.items()}, "curve": curve, "half": half,
            "seconds": (run.info.end_time - run.info.start_time) / 1000,
            "artifacts": [a.path for d in ("", "figures", "tables")
                          for a in client.list_artifacts(run.info.run_id, d or None)],
        })
    experiments[experiment.name] = runs
print(json.dumps({"counts": counts, "experiments": experiments}))
"""


def read_back(workspace: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", RECORD_AND_READ, str(workspace)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_mlflow_holds_params_curves_tags_artefacts_and_verdicts(workspace: Path, unit: Unit) -> None:
    report = run_lab(workspace, unit, "fit", preset="smoke", settings={"learning_rate": "0.25"})
    run_lab(workspace, unit, "trouble", preset="smoke", seeds=1, settings={"kind": "raise"})
    run_lab(workspace, unit, "trouble", preset="smoke", seeds=1, settings={"kind": "nan"})
    found = read_back(workspace)
    assert found["counts"] == [3, 0, 1]
    fit = {run["name"]: run for run in found["experiments"]["bedrock/line/fit"]}
    assert set(fit) == {report.id, f"{report.id}-seed0", f"{report.id}-seed1"}, "nothing is there twice"

    parent = fit[report.id]
    assert parent["status"] == "FINISHED"
    assert parent["params"] == {"seed": "0", "epochs": "20", "learning_rate": "0.25"}
    assert float(parent["metrics"]["error.mean"]) == report.results[0]["mean"]
    assert float(parent["metrics"]["error.baseline"]) == 2.0
    assert parent["seconds"] == pytest.approx(report.seconds, abs=0.01)
    tags = parent["tags"]
    assert tags["groundup.data"] == "moons: synthetic by definition"
    assert (tags["groundup.stand_in"], tags["groundup.preset"], tags["groundup.verdict"]) == (
        "false",
        "smoke",
        "passed",
    )
    assert tags["groundup.code_sha256"] == report.code_sha256
    assert tags["groundup.expectations"].startswith("met: error at most 0.1: mean")
    assert {"run.json", "figures/the_fit-seed0.json", "tables/slopes-seed1.json"} < set(parent["artifacts"])

    seed = fit[f"{report.id}-seed1"]
    assert seed["tags"]["mlflow.parentRunId"] == parent["id"]
    assert seed["params"]["seed"] == "1"
    assert [step for step, _ in seed["curve"]] == list(range(20))
    assert seed["curve"][-1][1] == pytest.approx(2, abs=0.01)
    assert seed["half"] == list(range(20)), "the steps 0, 0.5, 1, … become the order of the points"

    trouble = found["experiments"]["bedrock/line/trouble"]
    crashed = [run for run in trouble if run["tags"]["groundup.verdict"] == "crashed"]
    assert {run["status"] for run in crashed} == {"FAILED"}
    (not_finite,) = [run for run in trouble if run["name"].endswith("seed0") and run not in crashed]
    assert not_finite["metrics"]["score"] == "nan"
    assert not_finite["status"] == "FINISHED"


def test_a_run_is_recorded_in_the_background_unless_it_is_switched_off(
    workspace: Path, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    class Process:
        def __init__(self, command: list[str], **_: object) -> None:
            started.append(command)

        def poll(self) -> int:
            return 0

    monkeypatch.setattr(recording.subprocess, "Popen", Process)
    recording.start_recording(workspace)
    assert started == []
    monkeypatch.setenv("GROUNDUP_MLFLOW", "on")
    (workspace / ".groundup").mkdir(parents=True)
    recording.start_recording(workspace)
    assert [command[1:] for command in started] == [["-P", "-m", "groundup.course.learner.recording", str(workspace)]]


@pytest.mark.slow
def test_the_background_process_records_the_run(workspace: Path, unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDUP_MLFLOW", "on")
    report = run_lab(workspace, unit, "trouble", preset="smoke", seeds=1, settings={"kind": "none"})
    recording.wait_for_recording(120)
    assert RunFolder(runs_dir(workspace) / report.id).mlflow_path.exists(), (
        workspace / ".groundup/mlflow.log"
    ).read_text()

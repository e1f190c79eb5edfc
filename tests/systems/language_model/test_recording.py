"""Stages in MLflow: what the report says is there, once, with the curve of each stage that trains."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

pytest.importorskip("mlflow")

from groundup.cli import main
from groundup.systems.language_model import recording
from groundup.systems.language_model.run_folder import RunFolder

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


@pytest.mark.slow
def test_every_stage_is_a_run_of_mlflow_with_its_curve_settings_and_measures(trained, tmp_path):
    from mlflow.tracking import MlflowClient

    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained.path, run.path)
    report = run.report()
    assert recording.record_all(run.path) == len(report) >= 7
    assert recording.record_all(run.path) == 0, "nothing is recorded twice"
    client = MlflowClient(recording.store_uri(run.path))
    experiment = client.get_experiment_by_name("groundup llm")
    assert experiment is not None
    runs = {each.data.tags["groundup.stage"]: each for each in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {entry["stage"] for entry in report}
    for stage, name in (("pretrain", "loss by step"), ("sft", "loss by step"), ("grpo", "mean reward by step")):
        points = client.get_metric_history(runs[stage].info.run_id, name)
        assert [point.value for point in sorted(points, key=lambda point: point.step)] == pytest.approx(
            run.need(stage).document["curve"]
        )
    assert runs["sft"].data.params == {name: str(value) for name, value in asdict(run.settings).items()}
    row = next(row for entry in report if entry["stage"] == "sft" for row in entry["rows"])
    assert runs["sft"].data.metrics[row["measure"]] == pytest.approx(row["value"])
    assert runs["sft"].data.metrics[f"{row['measure']} - before"] == pytest.approx(row["baseline"])
    run.append_report({**report[-1], "made": "2030-01-01T00:00:00+00:00"})
    assert recording.record_all(run.path) == 1, "a stage run again is another run"


def test_a_stage_is_recorded_unless_it_is_turned_off(trained, tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained.path, run.path)
    started: list[Path] = []
    monkeypatch.setattr(recording, "start_recording", started.append)
    for environment, more, count in (("on", [], 1), ("on", ["--no-mlflow"], 1), ("off", [], 1)):
        monkeypatch.setenv("GROUNDUP_MLFLOW", environment)
        with pytest.raises(SystemExit) as ended:
            main(["llm", "quantize", str(run.path), "--again", *more])
        assert ended.value.code == 0
        assert started == [run.path] * count

"""`production/tracking`: MLflow opens its files, it reads MLflow's, and real processes are killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from groundup.stack.production.tracking import Registry, Tracker, parse_filter, read_metric

QUERIES = [
    "metrics.auc > .8",
    "metrics.auc >= 0.7 and params.depth = '10'",
    "params.depth != '9'",
    "metrics.`val/loss` < 0.5 AND metrics.auc < 1",
    "attributes.status = 'FAILED'",
    "attributes.run_name != 'nine'",
    "tags.team = 'search'",
    "",
]

MLFLOW = """
import json, logging, os, sys, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient
root, queries = sys.argv[1], json.loads(sys.argv[2])
client = MlflowClient(f"file://{root}", registry_uri=f"file://{root}")
experiment = client.get_experiment_by_name("trees: and more")
seen = {"found": {}, "runs": {}}
for query in queries:
    runs = client.search_runs([experiment.experiment_id], query)
    seen["found"][query] = sorted(run.info.run_name for run in runs)
for run in client.search_runs([experiment.experiment_id]):
    info, data = run.info, run.data
    artifacts = [file.path for file in client.list_artifacts(info.run_id)]
    history = [[p.timestamp, repr(p.value), p.step] for p in client.get_metric_history(info.run_id, "auc")]
    seen["runs"][info.run_name] = [info.status, info.start_time, info.end_time, data.params, data.metrics.get("auc"),
        history, artifacts, data.tags.get("team")]
version = client.get_model_version_by_alias("clf", "champion")
seen["version"] = [int(version.version), version.run_id, version.source, version.tags]
made = client.create_experiment("made by MLflow")
run = client.create_run(made, run_name="it's: theirs", start_time=5)
client.log_param(run.info.run_id, "depth", 3)
client.log_metric(run.info.run_id, "auc", 0.1, timestamp=7, step=2)
client.log_metric(run.info.run_id, "auc", float("nan"), timestamp=8, step=1)
client.set_terminated(run.info.run_id, "KILLED", end_time=9)
model = client.create_model_version("clf", version.source, run.info.run_id)
client.set_registered_model_alias("clf", "champion", model.version)
seen["theirs"] = [run.info.run_id, int(model.version)]
print("SEEN" + json.dumps(seen))
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A folder of ours, and what MLflow saw in it and added to it."""
    pytest.importorskip("mlflow", reason="the extra mlflow")
    place = tmp_path_factory.mktemp("tracking")
    ticks = iter(range(1_700_000_000_000, 1_700_000_100_000))
    tracker = Tracker(place / "mlruns", clock=lambda: next(ticks))
    model = place / "model.bin"
    model.write_bytes(b"weights")
    for name, depth, auc in (("nine", 9, 0.9), ("ten", 10, 0.75), ("hot", 10, float("nan"))):
        try:
            with tracker.start("trees: and more", name) as run:
                run.log_param("depth", depth)
                run.log_param("model/kind", "it's: a\ttree\n")
                run.log_metric("auc", 1 / 3, 0)
                run.log_metric("val/loss", 1 - auc, 0)
                run.log_metric("auc", auc, 3)
                run.log_metric("auc", 0.125, 2)
                if name == "hot":
                    raise ValueError("diverged")
                run.log_artifact(model)
                run.set_tag("team", "search")
        except ValueError:
            pass
    registry = Registry(tracker)
    winner = tracker.run(tracker.search("attributes.run_name = 'nine'")[0].id)
    registry.promote("clf", registry.register("clf", winner, "model.bin"), "auc")
    done = subprocess.run(
        [sys.executable, "-c", MLFLOW, str(tracker.root), json.dumps(QUERIES)],
        capture_output=True,
        text=True,
        cwd=place,
        env=os.environ | {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"},
        timeout=240,
        check=False,
    )
    assert "SEEN" in done.stdout, done.stderr
    return tracker, registry, winner, json.loads(done.stdout.partition("SEEN")[2])


def test_mlflow_opens_our_runs(opened):
    tracker, _, _, seen = opened
    records = {record.name: record for record in tracker.search("", "trees: and more")}
    assert set(seen["runs"]) == set(records) == {"nine", "ten", "hot"}
    for name, (status, start, end, params, auc, history, artifacts, team) in seen["runs"].items():
        record = records[name]
        assert (status, start, end, params) == (record.status, record.start, record.end, record.params)
        assert repr(auc) == repr(record.metrics["auc"])
        points = tracker.run(record.id).history("auc")
        assert history == [[point.time, repr(point.value), point.step] for point in points]
        assert (artifacts, team) == ((["model.bin"], "search") if name != "hot" else ([], None))
    assert seen["runs"]["nine"][4] == 0.9  # of the highest step, not of the last line


@pytest.mark.parametrize("query", QUERIES)
def test_mlflow_finds_the_same_runs(opened, query):
    tracker, _, _, seen = opened
    assert sorted(record.name for record in tracker.search(query, "trees: and more")) == seen["found"][query]


def test_mlflow_reads_our_registry(opened):
    _, _, winner, seen = opened
    number, run_id, source, tags = seen["version"]
    assert (number, run_id) == (1, winner.id)
    assert Path(source.removeprefix("file://")).read_bytes() == b"weights"
    assert tags == {"sha256": winner.record().tags["sha256.model.bin"]}


def test_we_read_what_mlflow_wrote(opened):
    tracker, registry, _, seen = opened
    run_id, version = seen["theirs"]
    (record,) = tracker.search("", "made by MLflow")
    assert (record.id, record.name, record.status, record.start, record.end) == (run_id, "it's: theirs", "KILLED", 5, 9)
    assert (record.params, record.metrics) == ({"depth": "3"}, {"auc": 0.1})
    assert registry.version("clf", "champion") == version == 2


KILLED = """
import os, signal, sys
from groundup.stack.production.tracking import Tracker
run = Tracker(sys.argv[1]).start("e")
with run:
    for epoch in range(7):
        run.log_metric("auc", epoch / 7, epoch)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_process_keeps_what_it_logged_and_is_reaped(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    tracker = Tracker(tmp_path)
    mine = tracker.start("e")
    dead = tracker.search("metrics.auc > 0")[0]
    assert dead.status == "RUNNING"
    points = tracker.run(dead.id).history("auc")
    assert [point.step for point in points] == list(range(7))
    assert tracker.reap() == [dead.id]
    assert (tracker.run(dead.id).record().status, tracker.run(dead.id).record().end) == ("KILLED", points[-1].time)
    assert mine.record().status == "RUNNING"


def test_threads_lose_no_line(tmp_path):
    run = Tracker(tmp_path).start("e")
    steps = [range(start, 400, 4) for start in range(4)]
    threads = [threading.Thread(target=lambda part=part: [run.log_metric("a", 0.1, s) for s in part]) for part in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(point.step for point in read_metric(run.folder / "metrics" / "a")) == list(range(400))


def test_numbers_of_versions_are_given_once(tmp_path):
    tracker = Tracker(tmp_path / "runs")
    (tmp_path / "model").write_text("x")
    run = tracker.start("e")
    run.log_artifact(tmp_path / "model")
    numbers: list[int] = []
    registry = Registry(tracker)
    threads = [
        threading.Thread(target=lambda: numbers.extend(registry.register("clf", run, "model") for _ in range(10)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 41))


def test_errors_name_the_next_step(tmp_path):
    tracker = Tracker(tmp_path)
    run = tracker.start("e")
    run.log_param("depth", 3)
    with pytest.raises(ValueError, match="depth is '3' already; got '4'. Start another run"):
        run.log_param("depth", 4)
    with pytest.raises(ValueError, match="cannot read ' or metrics.b > 1' at position 13"):
        parse_filter("metrics.a > 1 or metrics.b > 1")
    with pytest.raises(ValueError, match="run_id must be that of a run"):
        tracker.run("0" * 32)
    (tmp_path / "models" / "clf").mkdir(parents=True)
    (tmp_path / "models" / "clf" / ".lock").write_text("17")
    with pytest.raises(ValueError, match="is being promoted by process 17"):
        Registry(tracker).promote("clf", 1, "auc")

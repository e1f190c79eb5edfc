"""`groundup copilot label`, `train`, `classify` and `anomalies` as a person calls them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.systems.copilot.classifying.classify import train
from groundup.systems.copilot.classifying.labels import read_examples
from tests.conftest import Ran
from tests.systems.copilot.incidents import INCIDENTS, entry
from tests.systems.copilot.labelled import tagged

# Each starts a process that imports scikit-learn, XGBoost and SHAP; `test_classify.py` tests the same without.
pytestmark = pytest.mark.slow

Groundup = Callable[..., Ran]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the labelled lines."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "tagged.log").write_text("\n".join(tagged()) + "\n", encoding="utf-8")
    train(read_examples(folder / "tagged.log", tagged=True)).classifier.save(folder / "model.json")
    return folder / "model.json"


def test_train_prints_both_splits_the_rules_and_what_to_expect(groundup: Groundup, tmp_path: Path) -> None:
    log = tmp_path / "tagged.log"
    log.write_text("\n".join(tagged(3)) + "\n", encoding="utf-8")
    ran = groundup("copilot", "train", str(log), "--tagged", "--metric", "recall", "--model", str(tmp_path / "m.json"))
    assert ran.code == 0, ran.err
    for said in (
        "132 examples of 44 templates", "72 normal of 24, 60 alert of 20", "of the label 'alert'",
        "templates apart        random split, which leaks", "decision tree", "random forest", "XGBoost",
        "the most frequent label", "the level alone", "is best by recall", "On templates that it has not seen, expect",
        "Saved as", "with the hash of its data",
    ):  # fmt: skip
        assert said in ran.out
    assert json.loads((tmp_path / "m.json").read_text())["report"]["metric"] == "recall"


def test_classify_shows_what_is_not_normal_once_for_each_kind(groundup: Groundup, model: Path, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("\n".join(line.split(" ", 1)[1] for line in tagged(4, seed=1)) + "\n", encoding="utf-8")
    ran = groundup("copilot", "classify", str(log), "--model", str(model), "--top", "3")
    assert ran.code == 0, ran.err
    assert ran.out.count("alert ") >= 3
    assert "4 alike" in ran.out
    assert "176 records: 96 normal, 80 alert; 17 kinds of line are not shown (--top)" in ran.out
    document = groundup("copilot", "classify", str(log), "--model", str(model), "--json").json
    assert len(document["records"]) == 176
    assert {"source", "number", "time", "label", "probability", "reasons", "text"} == set(document["records"][0])
    assert len(document["data_sha256"]) == 64


def test_labels_of_the_store_train_a_model(groundup: Groundup, tmp_path: Path) -> None:
    log, store, model = tmp_path / "app.log", str(tmp_path / "s.duckdb"), str(tmp_path / "m.json")
    texts = ["INFO page shown 1", "INFO report sent 2", "ERROR disk full 3", "ERROR database gone 4"]
    log.write_text("\n".join(f"2026-01-01 00:00:0{i} {text}" for i, text in enumerate(texts)) + "\n")
    assert groundup("copilot", "ingest", str(log), "--store", store).code == 0
    for line, label in ((1, "normal"), (2, "normal"), (3, "alert"), (4, "alert")):
        ran = groundup("copilot", "label", f"app.log:{line}", label, "--store", store)
        assert ran.out == f"1 record labelled '{label}'.\n"
    ran = groundup("copilot", "train", "--store", store, "--model", model)
    assert ran.code == 0, ran.err
    assert "4 examples of 4 templates, from the labels in" in ran.out
    assert groundup("copilot", "classify", "--store", store, "--model", model, "--json").json["model"] == model
    removed = groundup("copilot", "label", "app.log:1", "--remove", "--store", store, "--json").json
    assert removed == {"place": "app.log:1", "label": None, "records": 1}
    ran = groundup("copilot", "train", "--store", store, "--model", model)
    assert ran.code == 2
    assert "those of 'normal' in the labels in" in ran.err


def test_a_model_that_is_no_better_than_a_rule_says_so(groundup: Groundup, tmp_path: Path) -> None:
    rows = [("alert", "ERROR", f"{a} broke") for a in ("disk", "web", "mail")]
    rows += [("normal", "INFO", f"{a} fine") for a in ("page", "news", "chat")]
    table = tmp_path / "t.csv"
    table.write_text("label,level,message\n" + "".join(f"{','.join(row)}\n" for row in rows * 3))
    ran = groundup("copilot", "train", str(table), "--model", str(tmp_path / "m.json"))
    assert "By f1, a rule without a model does as well." in ran.out


def test_anomalies_are_shown_with_service_time_and_template(groundup: Groundup, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("\n".join(INCIDENTS["silence"][0]()), encoding="utf-8")
    ran = groundup("copilot", "anomalies", str(log), "--window", "1m")
    assert ran.code == 0, ran.err
    assert "scheduler: silent, where 143.1 lines are usual" in ran.out
    assert "all of its lines" in ran.out
    document = groundup("copilot", "anomalies", str(log), "--json").json
    assert [(one["kind"], one["service"]) for one in document["anomalies"]] == [("silence", "scheduler")]
    assert document["anomalies"][0]["start"].startswith("2026-11-20T22:4")


def test_where_nothing_is_unusual_or_can_be_compared_it_says_which(groundup: Groundup) -> None:
    quiet = "\n".join(entry(i, "INFO", "api", f"Request {i} handled") for i in range(900))
    assert groundup("copilot", "anomalies", "-", stdin=quiet).out == "Nothing in these logs is unusual.\n"
    assert "no line to examine" in groundup("copilot", "anomalies", "-", stdin="").out
    timeless = groundup("copilot", "anomalies", "-", stdin="INFO a\nINFO b\n").out
    assert timeless == "No line of these logs has a time, so there is nothing to compare.\n"


def test_features_are_a_table_with_a_row_for_each_record(groundup: Groundup, tmp_path: Path) -> None:
    lines = "2025-01-07 14:23:45 ERROR Failed to connect to database 7\nall, quiet\n"
    table = tmp_path / "features.csv"
    assert groundup("copilot", "features", "-", "-o", str(table), stdin=lines).code == 0
    with table.open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["hour_of_day"], first["contains_database"], first["error_type"]) == ("14", "1", "connection")
    assert first["message"] == "Failed to connect to database <*>"
    assert (second["number"], second["hour_of_day"], second["message"]) == ("2", "", "all, quiet")
    assert groundup("copilot", "features", "-", stdin=lines).out == table.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("label", "app.log", "alert"), "SOURCE:LINE must name a source and a line of it, such as app.log:42"),
        (("label", "app.log:1"), "label needs either a LABEL or --remove"),
        (("label", "app.log:1", "alert", "--remove"), "label needs either a LABEL or --remove"),
        (("train", "--tagged"), "--tagged, --label and --message describe a FILE with labels, and FILE is missing"),
        (("train",), "Fill it with `groundup copilot ingest`"),
        (("train", "nothing.csv"), "'nothing.csv' does not"),
        (("classify", "-"), "Make it with `groundup copilot train`"),
        (("features", "-", "-o", "no/x.csv"), "output must be a file that can be written, and 'no/x.csv' cannot be"),
        (("anomalies", "-", "--window", "soon"), "window must be a span such as 30s, 5m or 1h, got 'soon'"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    groundup: Groundup, given: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = groundup("copilot", *given, stdin="2026-01-01 00:00:00 INFO x\n")
    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_line_cannot_steer_the_terminal(groundup: Groundup, model: Path) -> None:
    line = '{"level": "ERROR", "message": "Could not read \\u001b[2J[red]x from database"}'
    ran = groundup("copilot", "classify", "-", "--model", str(model), stdin=line + "\n")
    assert "\x1b" not in ran.out
    assert "[red]x" in ran.out

"""A lab run in this process: its events, its summary, and that a sabotaged run fails."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from groundup.errors import ConfigError
from groundup.labs import events as event_module
from groundup.labs.events import EventRecorder
from groundup.labs.runner import labs_in, main, run_here
from tests.labs import sample

LABS = labs_in(sample)


@pytest.fixture
def recorded() -> tuple[EventRecorder, list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []
    return EventRecorder(3, found.append), found


def test_labs_are_found_in_the_order_of_the_file() -> None:
    assert list(LABS) == ["line", "no_baseline", "not_finite", "undeclared"]


def test_a_sound_lab_passes_and_names_its_data_and_baseline() -> None:
    summary = run_here(LABS["line"])
    assert summary.passed, summary.expectations
    assert summary.seeds == (0, 1, 2)
    (result,) = summary.results
    assert len(result.values) == 3
    assert result.mean == pytest.approx(np.mean([value for value in result.values if value is not None]))
    assert result.mean < 0.1 < 1 < result.baseline  # type: ignore[operator]
    assert result.baseline_what == "the mean of the targets"
    assert [(data["name"], data["label"]) for data in summary.data] == [("moons", "synthetic by definition")]
    assert summary.notes == ("Scaled as unit.",)
    assert [table["seed"] for table in summary.tables] == [0, 1, 2]


@pytest.mark.parametrize("values", LABS["line"].sabotage)
def test_a_sabotaged_lab_fails(values: dict[str, Any]) -> None:
    assert not run_here(LABS["line"], values=values).passed


def test_seeds_start_where_the_setting_says_and_change_the_result() -> None:
    summary = run_here(LABS["line"], settings={"seed": "5"}, seeds=2)
    assert summary.seeds == (5, 6)
    first, second = summary.results[0].values
    assert first != second
    assert run_here(LABS["line"], settings={"seed": "6"}, seeds=1).results[0].values == (second,)


def test_events_tell_progress_metrics_and_results_in_order() -> None:
    seen: list[dict[str, Any]] = []
    run_here(LABS["line"], seeds=1, emit=seen.append)
    metrics = [event for event in seen if event["type"] == "metric"]
    assert [event["step"] for event in metrics] == list(range(60))
    assert metrics[-1]["value"] == pytest.approx(2, abs=0.1)
    progress = [event for event in seen if event["type"] == "progress"]
    assert (progress[0]["done"], progress[-1]["done"], progress[-1]["total"]) == (0, 60, 60)
    assert all(event["seed"] == 0 for event in seen)
    json.dumps(seen, allow_nan=False)


def test_a_missing_baseline_or_result_fails_clearly() -> None:
    summary = run_here(LABS["no_baseline"], seeds=1)
    assert not summary.passed
    assert "no baseline was recorded for seed 0" in summary.expectations[0].message
    assert "no result was recorded for seed 0" in summary.expectations[1].message


def test_a_result_that_is_not_finite_fails_and_has_no_mean() -> None:
    summary = run_here(LABS["not_finite"])
    assert not summary.passed
    assert summary.results[0].values == (0.5, None, 0.5)
    assert summary.results[0].mean is None


def test_data_that_is_not_declared_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"'undeclared' declares data=\[\] but loaded \['moons'\]"):
        run_here(LABS["undeclared"])


def test_progress_counts_an_iterator_and_is_not_told_too_often(
    recorded: tuple[EventRecorder, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, seen = recorded
    assert list(record.progress(iter("abc"), label="Letters")) == ["a", "b", "c"]
    assert seen[0] == {"type": "progress", "seed": 3, "done": 0, "total": None, "label": "Letters"}
    seen.clear()
    monkeypatch.setattr(event_module, "PROGRESS_SECONDS", 1e9)
    list(record.progress(range(1000)))
    assert [event["done"] for event in seen] == [0, 1, 1000]


def test_a_recorder_refuses_what_is_not_a_number_or_comes_twice(
    recorded: tuple[EventRecorder, list[dict[str, Any]]],
) -> None:
    record, seen = recorded
    record.result("y", 1)
    with pytest.raises(ConfigError, match=r"The result 'x' must be one number, not ndarray array\(\[1, 2\]\)"):
        record.result("x", np.array([1, 2]))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"record.result\('y'\) was called twice"):
        record.result("y", 2)
    with pytest.raises(ConfigError, match="takes a Plotly figure, not dict"):
        record.figure("f", {})
    record.metric("loss", np.float32(np.inf), step=np.int64(1))
    assert seen[-1] == {"type": "metric", "seed": 3, "name": "loss", "step": 1, "value": None}


def test_a_figure_becomes_plotly_json(recorded: tuple[EventRecorder, list[dict[str, Any]]]) -> None:
    import plotly.graph_objects as go

    record, seen = recorded
    record.figure("curve", go.Figure(go.Scatter(x=[1, 2], y=[np.nan, 4])))
    assert seen[0]["figure"]["data"][0]["x"] == [1, 2]
    json.dumps(seen, allow_nan=False)


def test_the_console_entry_refuses_a_wrong_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["vectors"])
    assert "'vectors' must be phase/unit/lab" in capsys.readouterr().err

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from groundup.course.learner import figures
from groundup.course.learner.figures import FigureWorker, parse_parameters, to_file, validate_parameters
from groundup.course.material.unit import Unit, load_unit
from groundup.errors import CannotDraw, ConfigError, UnknownName
from tests.sample import SAMPLE, sample_unit


@pytest.fixture(scope="module")
def worker() -> Iterator[FigureWorker]:
    with FigureWorker() as shared:
        yield shared


@pytest.fixture(scope="module")
def unit() -> Unit:
    return sample_unit()


def numbers(figure: dict[str, Any]) -> str:
    return figure["data"][0]["name"]


def test_a_figure_is_drawn_by_the_units_own_code(worker: FigureWorker, unit: Unit):
    assert numbers(worker.draw(unit, "centres", {"count": 3, "spread": 2.0})) == "mean 2"


def test_what_was_drawn_before_is_remembered(worker: FigureWorker, unit: Unit):
    first = worker.draw(unit, "centres", {"count": 7})
    assert worker.draw(unit, "centres", {"count": 7, "spread": 1.0}) is first
    assert worker.draw(unit, "centres", {"count": 8}) is not first


def test_a_changed_implementation_is_drawn_anew(worker: FigureWorker, tmp_path: Path):
    folder = tmp_path / "stack" / "bedrock" / "scaling"
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    changed = load_unit(folder)
    assert numbers(worker.draw(changed, "centres", {"count": 3})) == "mean 1"
    path = folder / "scaling.py"
    path.write_text(path.read_text().replace("array.sum() /", "100 + array.sum() /"))
    assert numbers(worker.draw(changed, "centres", {"count": 3})) == "mean 101"


def test_an_overlay_takes_the_place_of_the_reference_and_goes_again(worker: FigureWorker, unit: Unit):
    text = unit.implementation.read_text().replace("array.sum() /", "1000 + array.sum() /")
    overlay = {unit.implementation_module: ("mine.py", text)}
    assert numbers(worker.draw(unit, "centres", {"count": 3}, overlay=overlay)) == "mean 1001"
    assert numbers(worker.draw(unit, "centres", {"count": 3, "spread": 0.5})) == "mean 0.5"


def test_an_error_names_the_figure_the_reason_and_the_line(worker: FigureWorker, unit: Unit):
    with pytest.raises(
        CannotDraw,
        match=r"figure bedrock/scaling/trouble could not be drawn: RuntimeError: on purpose \(figures.py:\d+\)",
    ):
        worker.draw(unit, "trouble", {"how": "raise"})
    with pytest.raises(CannotDraw, match="it returned a NoneType, not a plotly"):
        worker.draw(unit, "trouble", {"how": "none_back"})


def test_after_a_crash_the_next_figure_gets_a_new_process(worker: FigureWorker, unit: Unit):
    with pytest.raises(CannotDraw, match="process that drew bedrock/scaling/trouble ended with exit code 7"):
        worker.draw(unit, "trouble", {"how": "exit"})
    assert numbers(worker.draw(unit, "centres", {"count": 11})) == "mean 5"


def test_a_figure_that_takes_too_long_is_stopped(unit: Unit):
    with FigureWorker(seconds=0.5) as impatient:
        with pytest.raises(CannotDraw, match=r"trouble was stopped: it takes longer than 0.5 s"):
            impatient.draw(unit, "trouble", {"how": "sleep"})
        impatient.seconds = 120  # what is asked next must be drawn, however busy the machine is
        assert impatient.draw(unit, "trouble")["data"] == []


def test_the_process_outlives_the_thread_that_asked_first(unit: Unit):
    with FigureWorker() as worker:
        asker = threading.Thread(target=worker.draw, args=(unit, "centres"))
        asker.start()
        asker.join()
        assert worker._process is not None
        pid = worker._process.pid
        time.sleep(0.5)  # a signal would have come by now
        assert numbers(worker.draw(unit, "centres", {"count": 11})) == "mean 5"
        assert worker._process.pid == pid


def test_closing_ends_the_process(unit: Unit):
    worker = FigureWorker()
    worker.draw(unit, "centres")
    assert worker._process is not None
    pid = worker._process.pid
    worker.close()
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", 51, r"parameter 'count' must be a whole number from 1 to 50, not 51"),
        ("count", 2.5, r"must be a whole number from 1 to 50, not 2\.5"),
        ("count", True, r"must be a whole number from 1 to 50, not True"),
        ("count", float("nan"), "must be a whole number from 1 to 50, not nan"),
        ("count", float("inf"), "must be a whole number from 1 to 50, not inf"),
        ("spread", "1", r"parameter 'spread' must be a number from 0\.0 to 2\.0, not '1'"),
        ("spread", float("nan"), "not nan"),
        ("shape", "pie", "parameter 'shape' must be one of line, bars, not 'pie'"),
        ("shifted", 1, "parameter 'shifted' must be true or false, not 1"),
        ("shifted", None, "must be true or false, not None"),
    ],
)
def test_a_value_that_breaks_its_rule_is_refused(unit: Unit, name: str, value: Any, message: str):
    with pytest.raises(ConfigError, match=message):
        validate_parameters(unit.figure("centres"), {name: value})


def test_values_are_completed_by_the_defaults(unit: Unit):
    assert validate_parameters(unit.figure("centres"), {"count": 3.0}) == {
        "count": 3, "spread": 1.0, "shape": "line", "shifted": False,
    }  # fmt: skip


def test_a_wrong_name_suggests_the_right_one(unit: Unit, worker: FigureWorker):
    with pytest.raises(UnknownName, match="no parameter of the figure centres called 'cuont'. Did you mean count"):
        validate_parameters(unit.figure("centres"), {"cuont": 3})
    with pytest.raises(UnknownName, match="Did you mean centres"):
        worker.draw(unit, "centers")


def test_settings_as_text_become_values(unit: Unit):
    figure = unit.figure("centres")
    given = {"count": "3", "spread": "0.5", "shape": "bars", "shifted": "yes"}
    assert parse_parameters(figure, given) == {"count": 3, "spread": 0.5, "shape": "bars", "shifted": True}
    with pytest.raises(ConfigError, match="parameter 'count' must be a whole number from 1 to 50, not 'three'"):
        parse_parameters(figure, {"count": "three"})
    with pytest.raises(UnknownName, match="cuont"):
        parse_parameters(figure, {"cuont": "3"})


FIGURE = {
    "data": [{"type": "scatter", "y": [1, 3, 2], "name": "drawn"}],
    "layout": {"xaxis": {"title": {"text": "step"}}},
}


def test_html_stands_alone(tmp_path: Path):
    to_file(FIGURE, tmp_path / "f.html")
    page = (tmp_path / "f.html").read_text(encoding="utf-8")
    assert len(page) > 1_000_000
    assert "Plotly.newPlot" in page
    assert 'src="http' not in page


def test_json_is_the_figure(tmp_path: Path):
    to_file(FIGURE, tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text()) == FIGURE


@pytest.mark.browser
@pytest.mark.skipif(not any(map(shutil.which, figures.CHROMIUM)), reason="no Chromium: `apt install chromium`")
def test_pictures_are_drawn_by_chromium(tmp_path: Path):
    for ending, start in {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}.items():
        to_file(FIGURE, tmp_path / f"f.{ending}")
        assert (tmp_path / f"f.{ending}").read_bytes().startswith(start)
    assert ">step<" in (tmp_path / "f.svg").read_text(encoding="utf-8")
    assert (tmp_path / "f.pdf").read_bytes().count(b"/Type /Page\n") == 1


def test_without_chromium_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(figures, "CHROMIUM", ("no-such-browser",))
    with pytest.raises(CannotDraw, match=r"none of no-such-browser is installed. Install one, or write .* \.html"):
        to_file(FIGURE, tmp_path / "f.png")


def test_another_ending_or_a_missing_folder_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"must end in one of \.html, .*, not 'f\.gif'"):
        to_file(FIGURE, tmp_path / "f.gif")
    with pytest.raises(ConfigError, match="nowhere does not exist"):
        to_file(FIGURE, tmp_path / "nowhere" / "f.html")

"""Scans from input to finding, the training of the detectors, and the red team, on the shipped detectors."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groundup.errors import StoreError, UnknownName, UsageError
from groundup.systems.sentinel import training
from groundup.systems.sentinel.demo import demo, sshd_log
from groundup.systems.sentinel.evaluate import evaluate
from groundup.systems.sentinel.redteam import bomb, redteam
from groundup.systems.sentinel.scanning import Scanner, inputs
from groundup.systems.sentinel.training import at_false_alarms, platt, train
from groundup.systems.sentinel.vision import ScreenDetector, open_screenshot
from groundup.systems.sentinel.weightfiles import NAMES, SHIPPED, Learnt, read, save


def png(size: tuple[int, int] = (80, 60)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (250, 250, 250)).save(out, "PNG")
    return out.getvalue()


def test_a_url_alone_leaves_the_others_unknown(scanner: Scanner):
    found = scanner.scan(url="https://paypa1-login.top")
    assert (found.level, found.proposed, found.scores["vision"], found.scores["logs"]) == ("high", "block", None, None)
    assert found.fired[0]["rule"] == "IF url IS high THEN high (vision, logs unknown)"
    assert {fact["id"] for fact in found.intelligence} == {"T1583.001", "T1566.002"}


def test_a_url_with_its_screenshot_is_one_case(scanner: Scanner):
    found = scanner.scan(url="https://paypal.com", screenshot=png(), names={"screenshot": "p\x1b[2J.png"})
    assert found.subjects == {"url": "https://paypal.com", "screenshot": "p\\x1b[2J.png"}
    assert 0 <= (found.scores["vision"] or -1) <= 1
    assert len(found.hashes["screenshot"]) == 64


def test_a_log_with_orders_to_a_model_is_data(scanner: Scanner, tmp_path: Path):
    (tmp_path / "normal.log").write_text(sshd_log())
    train("logs", tmp_path, normal=tmp_path / "normal.log", report=lambda *_: None)
    own = Scanner(tmp_path)
    own.__dict__["catalogue"] = scanner.catalogue
    found = own.scan(log=sshd_log(attack=True).encode())
    assert (found.level, found.proposed) == ("high", "quarantine")
    assert found.evidence["logs"][0] == "A line reads like orders to a model. No model saw it."
    assert "hunter2" not in str(found)
    assert {"CVE-2021-44228", "T1190"} <= {fact["id"] for fact in found.intelligence}


def test_of_a_log_of_an_unknown_kind_the_risk_is_unknown(scanner: Scanner):
    found = scanner.scan(log=b"GET / 200\n" * 30)
    assert (found.risk, found.level, found.proposed) == (None, "unknown", "")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"scan must be given a url, a screenshot or a log, got none"),
        ({"screenshot": b"GIF89a"}, r"screenshot must be a picture in PNG, JPEG or WebP, and it cannot be read"),
        ({"screenshot": b"x" * ((20 << 20) + 1)}, r"screenshot must have at most 20,971,520 bytes, got 20,971,521"),
        ({"screenshot": bomb(60_000)}, r"screenshot must have at most 40,000,000 pixels, and it has more"),
        ({"screenshot": png()[:90]}, r"screenshot must be a picture in PNG, JPEG or WebP, and it cannot be read"),
        ({"log": b"\x00" * 9}, r"log must be text, and it holds zero bytes"),
        ({"log": b"x" * ((50 << 20) + 1)}, r"log must have at most 52,428,800 bytes"),
    ],
)
def test_what_cannot_be_scanned_is_refused_by_rule(scanner: Scanner, given, message):
    with pytest.raises(UsageError, match=message):
        scanner.scan(**given)


def test_what_a_command_line_names_is_told_by_its_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("page.PNG").write_bytes(b"1")
    Path("auth.log").write_bytes(b"2")
    assert inputs(("https://x.top", "page.PNG", "auth.log")) == {
        "url": "https://x.top", "screenshot": b"1", "log": b"2", "names": {"screenshot": "page.PNG", "log": "auth.log"},
    }  # fmt: skip
    with pytest.raises(UsageError, match=r"A scan must have at most one url, got 'b.de' as well"):
        inputs(("a.de", "b.de"))
    for missing in ("missing.png", "auth.log.gz", "./a.de", str(tmp_path / "gone")):
        with pytest.raises(UsageError, match=rf"^FILE must be an existing file, and .{re.escape(missing)}. is"):
            inputs((missing,))
    for host in ("a.de/page.png", "http://missing.png", "shop.zip"):
        assert inputs((host,)) == {"url": host, "names": {}}


def test_how_high_a_file_is_changes_nothing_below_the_window():
    page = Image.new("RGB", (400, 300), (10, 20, 30))
    tall = Image.new("RGB", (400, 3000), (200, 0, 0))
    tall.paste(page, (0, 0))
    views = []
    for image in (page, tall):
        out = io.BytesIO()
        image.save(out, "PNG")
        views.append(open_screenshot(out.getvalue()))
    np.testing.assert_array_equal(*views)


# ── training ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_detectors_were_trained_on_real_data_with_todays_recipe(name):
    learnt = read(name, SHIPPED)
    assert not learnt.stand_in
    assert learnt.recipe == training._recipe(name, None), f"groundup sentinel train {name}"
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 5_000_000


def test_a_detector_is_trained_once_and_again_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "normal.log").write_text(sshd_log())
    told: list[str] = []
    for again in (False, False, True):
        train("logs", tmp_path, normal=tmp_path / "normal.log", again=again, report=lambda what, *_: told.append(what))
    assert told == ["logs: done", "logs: trained already", "logs: done"]
    (tmp_path / "normal.log").write_text(sshd_log(seed=9))
    train("logs", tmp_path, normal=tmp_path / "normal.log", report=lambda what, *_: told.append(what))
    assert told[-1] == "logs: done", "another file is another model"


def test_a_network_that_was_stopped_goes_on_with_the_fold_it_was_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GROUNDUP_DATA_MIRROR", raising=False)
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GROUNDUP_OFFLINE", "1")
    quick = {**training._recipe("vision", None), "steps": 1, "batch": 4, "folds": 2}
    monkeypatch.setattr(training, "_recipe", lambda *_: quick)
    fitted: list[int] = []
    once = training._fitted

    def stopped(*arguments):
        if len(fitted) == 3:
            raise KeyboardInterrupt
        fitted.append(1)
        return once(*arguments)

    monkeypatch.setattr(training, "_fitted", stopped)
    with pytest.raises(KeyboardInterrupt):
        train("vision", tmp_path, report=lambda *_: None)
    assert not (tmp_path / "vision.json").exists()
    monkeypatch.setattr(training, "_fitted", lambda *arguments: (fitted.append(1), once(*arguments))[1])
    learnt = train("vision", tmp_path, report=lambda *_: None)
    assert len(fitted) == 5, "three folds, then the fourth and the whole"
    assert learnt.stand_in
    assert list(tmp_path.glob(".vision*")) == []
    assert 0 <= (ScreenDetector.read(tmp_path).judge(open_screenshot(png())).score or -1) <= 1


def test_what_cannot_be_trained_is_refused(tmp_path: Path):
    with pytest.raises(UnknownName, match="There is no detector called 'urls'. Did you mean url"):
        train("urls", tmp_path, report=lambda *_: None)
    with pytest.raises(UsageError, match=r"normal must go with the detector logs, got 'url'"):
        train("url", tmp_path, normal=tmp_path, report=lambda *_: None)
    with pytest.raises(UsageError, match=r"normal must be a file that can be read, and '.*none' cannot be"):
        train("logs", tmp_path, normal=tmp_path / "none", report=lambda *_: None)


def test_platt_and_false_alarms_by_hand():
    slope, offset = platt(np.array([-2.0, -1, 1, 2] * 50), np.array([0.0, 0, 1, 1] * 50))
    assert slope > 1
    assert offset == pytest.approx(0, abs=1e-3)
    truth, scores = np.array([0.0] * 99 + [0, 1, 1]), np.array([0.0] * 99 + [5, 9, 1])
    assert at_false_alarms(truth, scores) == {
        "precision at 1% false alarms": 1.0, "recall at 1% false alarms": 0.5,
    }  # fmt: skip


def test_a_damaged_file_is_named_and_a_folder_that_cannot_be_written_too(tmp_path: Path):
    (tmp_path / "url.json").write_text("{")
    with pytest.raises(StoreError, match=r"models must hold what `groundup sentinel train` wrote.*train url --again"):
        read("url", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"models must be a folder that can be written"):
        save(Learnt("url", {}, [], {}), tmp_path / "file")


# ── demo, figures, red team ─────────────────────────────────────────────────────────────────────────────────────────
def test_the_demo_finds_what_it_shows(tmp_path: Path):
    levels = [step.answer.finding.level for step in demo(tmp_path) if step.answer]
    assert levels == ["low", "high", "high", "high", "low", "high"]


def test_every_figure_that_has_a_baseline_names_it(tmp_path: Path):
    rows = list(evaluate(tmp_path))
    assert {row.what.split(":")[0] for row in rows} >= {*NAMES, "brands"}
    assert all(bool(row.name) == (row.baseline is not None) for row in rows)


def test_the_red_team_says_what_got_through(scanner: Scanner):
    attempts = {each.attack: each for each in redteam(scanner)}
    assert all(each.after <= each.tried for each in attempts.values())
    assert attempts["input that is malformed or huge"].after == 0
    assert attempts["log: what steers a terminal"].after == attempts["log: a secret"].after == 0
    assert attempts["URL: letters of Cyrillic"].after == 0 < attempts["URL: letters of Cyrillic"].before
    assert attempts["order in a question: none"].after < attempts["order in a question: none"].before

"""Checks of tracking, on runs in a temporary folder, with a clock that the checks turn."""

import math
import os
import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from groundup.checking import assert_refuses, assert_refuses_values
from groundup.stack.production.tracking import (
    DATA,
    Clause,
    Mode,
    Point,
    Record,
    Registry,
    Run,
    Tracker,
    best,
    compare,
    objection,
    parse_filter,
    read_meta,
    read_metric,
)


def same(actual, expected, message):
    """Fail with `message` unless both are equal."""
    assert actual == expected, f"{message}\n  expected {expected!r}\n  got      {actual!r}"


@pytest.fixture(autouse=True)
def numbered(monkeypatch):
    """The same ids of runs each time."""
    ids = (uuid.UUID(int=number) for number in range(1 << 64, 2 << 64))
    monkeypatch.setattr(uuid, "uuid4", lambda: next(ids))


@pytest.fixture
def tracker(tmp_path):
    """A tracker whose clock stands at 1000 ms, and ticks once for each call."""
    ticks = iter(range(1000, 100_000))
    return Tracker(tmp_path / "runs", clock=lambda: next(ticks))


@pytest.fixture
def run(tmp_path):
    """A run whose clock stands still at 1700."""
    return Run(Tracker(tmp_path / "runs", clock=lambda: 1700).start("e").folder, lambda: 1700)


def measured(name, value=None, start=0, status="FINISHED", **tags):
    """A record with one metric, auc."""
    return Record(name, status, start, metrics={} if value is None else {"auc": value}, tags=tags)


def names(records):
    return [record.id for record in records]


# read_metric


def metric(tmp_path, text):
    path = tmp_path / "auc"
    path.write_bytes(text.encode())
    return path


def test_read_metric_by_hand(tmp_path):
    """Each line gives time, value and step, in the order of the file; two numbers are of step 0."""
    points = read_metric(metric(tmp_path, "20 0.5 3\n10 -1e-3 1\n30 7\n30 inf -2\n"))
    same(points, [Point(20, 0.5, 3), Point(10, -0.001, 1), Point(30, 7.0, 0), Point(30, math.inf, -2)], "the points")
    same([type(part) for part in points[0]], [int, float, int], "their types")
    assert math.isnan(read_metric(metric(tmp_path, "20 nan 3\n"))[0].value), "NaN is kept"
    same(read_metric(metric(tmp_path, "")), [], "an empty file")


def test_read_metric_leaves_out_a_torn_line(tmp_path):
    """A last line without newline was cut off by a kill. Its digits may be half of a number, so it is left out."""
    for torn in ("2", "20 0.9", "20 0.9 1"):
        same(read_metric(metric(tmp_path, f"10 0.5 0\n{torn}")), [Point(10, 0.5, 0)], f"points before {torn!r}")
        same(read_metric(metric(tmp_path, torn)), [], f"points of {torn!r} alone")


def test_read_metric_names_the_damaged_line(tmp_path):
    """Any other line that cannot be read is damage: the error names the file and the line, counted from 1."""
    for line in ("x 0.5 1", "10 x 1", "10 0.5 x", "10 0.5 1 2", "10", "", "10 0.5 1.5"):
        path = metric(tmp_path, "10 0.5 0\n" * 22 + line + "\n10 0.5 0\n")
        assert_refuses(lambda path=path: read_metric(path), "auc", 23)


# Run.log_metric


def test_log_metric_writes_mlflows_line(run):
    """The line is "milliseconds value step" and a newline, from the run's clock unless a time is given."""
    run.log_metric("auc", 0.5)
    run.log_metric("auc", 1, 7)
    run.log_metric("auc", np.float32(0.25), step=3, when=0)
    run.log_metric("auc", 0.75, -1, 5)
    expected = b"1700 0.5 0\n1700 1.0 7\n0 0.25 3\n5 0.75 -1\n"
    same((run.folder / "metrics" / "auc").read_bytes(), expected, "the file after four calls")


def test_log_metric_keeps_every_digit(run):
    """Reading gives the float that was logged; NaN and infinities too, for a run that diverged."""
    values = [0.1, 1 / 3, 1e-300, 123456789.123456789, -math.inf, math.nan, np.float64(0.7)]
    for step, value in enumerate(values):
        run.log_metric("loss", value, step)
        held = run.history("loss")
        same(len(held), step + 1, f"points on the disk after {step + 1} calls")
        assert repr(held[-1].value) == repr(float(value)), f"{value!r} came back as {held[-1].value!r}"


def test_log_metric_adds_to_what_others_wrote(run):
    """It appends: a second writer of the same run, or the run after a resume, loses no line."""
    other = Run(run.folder, lambda: 1800)
    for step in range(3):
        run.log_metric("auc", 0.5, step)
        other.log_metric("auc", 0.25, step)
    same([point.time for point in run.history("auc")], [1700, 1800] * 3, "times of both writers")


def test_log_metric_makes_folders_for_a_name(run):
    """The name val/loss is a file in a folder, as in MLflow; one that leads out of the run is refused."""
    run.log_metric("val/loss", 0.5)
    run.log_metric("val/loss", 0.25, 1)
    run.log_metric("test/digits/loss", 0.125)
    same((run.folder / "metrics" / "val" / "loss").read_bytes(), b"1700 0.5 0\n1700 0.25 1\n", "the file")
    for name in ("../auc", "/auc", "a//b", "", "a\nb"):
        assert_refuses(lambda name=name: run.log_metric(name, 0.5), "name")
    same(list(run.folder.glob("auc")), [], "files outside of metrics")


@pytest.mark.parametrize("value", [True, False, "0.5", "high"])
def test_log_metric_refuses_what_is_no_number(run, value):
    """A bool and a text are no values of a metric."""
    assert_refuses(lambda: run.log_metric("auc", value), "value", str(value))
    assert not (run.folder / "metrics" / "auc").exists(), "nothing is written"


# Run.log_param


def test_log_param_writes_the_text(run):
    """The file holds str(value), and nothing else."""
    run.log_param("depth", 3)
    run.log_param("model/kind", "a tree\n")
    run.log_param("shuffle", None)
    held = {path.name: path.read_bytes() for path in (run.folder / "params").rglob("*") if path.is_file()}
    same(held, {"depth": b"3", "kind": b"a tree\n", "shuffle": b"None"}, "the files")
    same(run.record().params, {"depth": "3", "model/kind": "a tree\n", "shuffle": "None"}, "the record")


def test_log_param_never_changes(run):
    """The same text again is fine; another is refused, and what was written stays."""
    run.log_param("depth", 3)
    run.log_param("depth", "3")
    for value in (4, 3.0, "", "33"):
        assert_refuses(lambda value=value: run.log_param("depth", value), "depth", message=f"{value!r} after 3")
    assert_refuses(lambda: run.log_param("depth", 4), "depth", 4)
    same((run.folder / "params" / "depth").read_bytes(), b"3", "the file")


def test_log_param_lets_one_of_two_writers_win(run, monkeypatch):
    """Another process may write between your look and your write: only making the file can tell who was first."""
    run.log_param("depth", 3)
    monkeypatch.setattr(Path, "exists", lambda self, **_: False)
    monkeypatch.setattr(Path, "is_file", lambda self, **_: False)
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    monkeypatch.setattr(os.path, "isfile", lambda path: False)
    assert_refuses(lambda: run.log_param("depth", 4), "depth")
    same((run.folder / "params" / "depth").read_bytes(), b"3", "the file")


def test_log_param_refuses_names_that_lead_out(run):
    """A name is part of a path: it stays below params, and no staged file is left."""
    for name in ("../depth", "/depth", ".", "", "a*"):
        assert_refuses(lambda name=name: run.log_param(name, 3), "name")
    run.log_param("a", 1)
    run.log_param("a", 1)
    same(sorted(path.name for path in run.folder.iterdir() if path.is_file()), ["meta.yaml"], "files in the run")


# parse_filter


def test_parse_filter_by_hand():
    """Two clauses joined by and: kind, name, sign, and the value as a float."""
    clauses = parse_filter("metrics.auc > .8 and params.depth = 3")
    same(clauses, [Clause("metrics", "auc", ">", 0.8), Clause("params", "depth", "=", 3.0)], "the clauses")
    same([type(clause.value) for clause in clauses], [float, float], "the kinds of the values")


@pytest.mark.parametrize("sign", ["=", "!=", "<", "<=", ">", ">="])
def test_parse_filter_knows_every_sign(sign):
    """All six signs, with blanks and without, compare numbers."""
    for query in (f"metrics.auc{sign}-1.5e-2", f"  metrics.auc   {sign}\n-1.5e-2  "):
        same(parse_filter(query), [Clause("metrics", "auc", sign, -0.015)], f"clauses of {query!r}")
    same(parse_filter(f"params.a {sign} 10"), [Clause("params", "a", sign, 10.0)], "a param as a number")


def test_parse_filter_reads_texts():
    """A text stands in either quotes, and may hold the other ones, blanks, signs and the word and."""
    for text in ("tree", "", "sand and sea", "a = 1 and params.b = 2", "3", "it`s"):
        for kind in ("params", "tags"):
            for sign in ("=", "!="):
                same(parse_filter(f"{kind}.a {sign} '{text}'"), [Clause(kind, "a", sign, text)], "a text in '")
                same(parse_filter(f'{kind}.a {sign} "{text}"'), [Clause(kind, "a", sign, text)], 'a text in "')
    same(parse_filter("""tags.a = "it's" """), [Clause("tags", "a", "=", "it's")], "the other quotes within")


def test_parse_filter_reads_names():
    """Names may have dots, dashes and slashes; any others stand in backticks, which are no part of them."""
    for name in ("a", "val/loss", "top-5.acc", "AND"):
        same(parse_filter(f"metrics.{name} < 1"), [Clause("metrics", name, "<", 1.0)], "a plain name")
    same(parse_filter("metrics.`f1 and <more>`<1"), [Clause("metrics", "f1 and <more>", "<", 1.0)], "in backticks")
    expected = [Clause("attributes", name, "!=", "x") for name in ("run_id", "run_name", "status")]
    same(parse_filter(" and ".join(f"attributes.{one.name} != 'x'" for one in expected)), expected, "attributes")


def test_parse_filter_joins_by_and():
    """And may be written in any case, with any blanks around it; an empty query has no clauses."""
    for joint in (" and ", " AND ", "\n\tAnd  "):
        clauses = parse_filter(joint.join(["metrics.a > 1", "params.b = 'x'", "tags.c != 'y'"]))
        same([clause.name for clause in clauses], ["a", "b", "c"], f"names, joined by {joint!r}")
    same((parse_filter(""), parse_filter("  \n")), ([], []), "clauses of an empty query")


BAD = [
    *("auc > .8", "metrics.auc", "metrics.auc >", "metrics.auc > high", "metrics. > 1", "metric.auc > 1"),
    *("metrics.auc >> 1", "metrics.auc == 1", "metrics.auc > 1.2.3", "metrics.auc > 1 or metrics.auc < 0"),
    *("metrics.a > 1 and", "and metrics.a > 1", "metrics.a > 1 metrics.b > 1", "metrics.a > 1, metrics.b > 1"),
    *("metrics.a > 1 and and metrics.b > 1", "metrics.a > 1and metrics.b > 1", "params.a = 'x", "params.a = x"),
    *("metrics.a > 1 and metrics.b", "metrics.a > 1 x", "__import__('os').abort()", "metrics.a > (1)"),
]
UNFIT = [
    *("metrics.auc = 'high'", "metrics.auc != '1'", "params.depth > '9'", "params.a <= 'x'", "tags.a < 'x'"),
    *("tags.a = 1", "tags.a != 1", "attributes.status = 3", "attributes.staus = 'x'", "attributes.status > 'A'"),
]


@pytest.mark.parametrize("query", BAD)
def test_parse_filter_reads_to_the_end(query):
    """What cannot be read is refused, wherever it stands: half a filter would find the wrong runs."""
    assert_refuses(lambda: parse_filter(query), "query")


@pytest.mark.parametrize("query", UNFIT)
def test_parse_filter_refuses_what_cannot_compare(query):
    """A metric is no text, a text has no order, a tag is no number, and a slip in an attribute would find nothing."""
    assert_refuses(lambda: parse_filter(query), "query")


def test_search_finds_by_numbers_and_texts(tracker):
    """Params compare as numbers with numbers: 10 is above 9. Who lacks the value, or has a word, is not found."""
    for depth, auc in (("9", 0.9), ("10", 0.7), ("none", 0.8), ("10.0", None)):
        with tracker.start("e", depth) as run:
            run.log_param("depth", depth)
            if auc is not None:
                run.log_metric("auc", auc)
    queries = {
        "params.depth > 9": ["10", "10.0"],
        "params.depth = 10": ["10", "10.0"],
        "params.depth = '10'": ["10"],
        "params.depth != 10": ["9"],
        "metrics.auc >= .8": ["9", "none"],
        "metrics.auc != 1 and params.depth <= 10": ["9", "10"],
        "attributes.run_name != '9' and metrics.auc < 1": ["10", "none"],
        "tags.missing != 'x'": [],
        "": ["9", "10", "none", "10.0"],
    }
    for query, expected in queries.items():
        same([record.name for record in tracker.search(query, "e")], expected, f"runs with {query!r}")
    same(tracker.search("", "another"), [], "runs of another experiment")


# best


def test_best_by_hand():
    """The highest value, or the lowest, of three."""
    runs = [measured("a", 0.5), measured("b", 0.75), measured("c", -0.25)]
    same(names(best(iter(runs), "auc")), ["b"], "the best by max")
    same(names(best(runs, "auc", "min")), ["c"], "the best by min")


def test_best_gives_every_tied_run():
    """Runs with the same value are tied, the earliest first, in whatever order they come."""
    runs = [measured("late", 0.75, 3), measured("low", 0.5, 0), measured("early", 0.75, 1), measured("mid", 0.75, 2)]
    for order in (runs, runs[::-1]):
        same(names(best(order, "auc")), ["early", "mid", "late"], "the tied runs")


def test_best_ties_within_the_noise():
    """Runs that are worse by `within`, and not by more, are tied with the best one."""
    runs = [measured("a", 1.0, 4), measured("b", 0.75, 3), measured("c", 0.625, 2), measured("d", 0.5, 1)]
    for within, expected in ((0, "a"), (0.25, "ba"), (0.375, "cba"), (0.3, "ba")):
        same("".join(names(best(runs, "auc", within=within))), expected, f"tied within {within}")
    for within, expected in ((0, "d"), (0.125, "dc"), (0.25, "dcb")):
        same("".join(names(best(runs, "auc", "min", within))), expected, f"tied within {within}, by min")


def test_best_counts_finished_runs_only():
    """A run that failed, was killed or still runs is not the best, and neither is NaN or a run without the metric."""
    others = [measured(status, 1.0, status=status) for status in ("RUNNING", "FAILED", "KILLED", "SCHEDULED")]
    others += [measured("nan", math.nan), measured("none")]
    for order in ([*others, measured("a", -1.0)], [measured("a", -1.0), *others]):
        for mode in ("max", "min"):
            same(names(best(order, "auc", mode)), ["a"], f"the best by {mode}")
    same(best(others, "auc"), [], "the best of runs that do not count")
    same(names(best([measured("a", -math.inf)], "auc")), ["a"], "infinity is a value")


def test_best_and_objection_refuse_slips():
    """The mode is max or min, and noise is at least 0, also where no run is compared."""
    a = measured("a", 0.5, data="1")
    for runs in ([], [a]):
        assert_refuses_values(lambda mode, runs=runs: best(runs, "auc", mode), "mode", "maximum", "")
        assert_refuses_values(lambda within, runs=runs: best(runs, "auc", within=within), "within", -0.5, math.nan)
    for champion in (None, a):
        assert_refuses_values(lambda mode, c=champion: objection(a, c, "auc", mode=mode), "mode", "maximum", "")
        assert_refuses_values(lambda margin, c=champion: objection(a, c, "auc", margin), "margin", -0.5, math.nan)


# objection


def test_objection_by_hand():
    """A better run on the same data may overtake; each rule that is broken is named."""
    champion = measured("old", 0.5, data="v1")
    better = measured("new", 0.75, data="v1")
    same(objection(better, champion, "auc"), None, "better on the same data")
    for status in ("RUNNING", "FAILED", "KILLED"):
        same(objection(replace(better, status=status), champion, "auc"), "unfinished", f"a run that is {status}")
    same(objection(replace(better, metrics={"loss": 1.0}), champion, "auc"), "unmeasured", "without the metric")
    same(objection(replace(better, tags={DATA: "v2"}), champion, "auc"), "other data", "on other data")
    same(objection(measured("new", 0.25, data="v1"), champion, "auc"), "not better", "a worse one")


def test_objection_needs_more_than_the_margin():
    """A tie changes nothing, and neither does a gain of exactly the margin. The sign follows the mode."""
    champion = measured("old", 0.5, data="v1")
    cases: list[tuple[float, float, Mode, str | None]] = [
        (0.5, 0, "max", "not better"),
        (0.75, 0.25, "max", "not better"),
        (0.75, 0.125, "max", None),
        (0.25, 0, "min", None),
        (0.25, 0.25, "min", "not better"),
        (0.25, 0.125, "min", None),
        (0.75, 0, "min", "not better"),
    ]
    for value, margin, mode, expected in cases:
        got = objection(measured("new", value, data="v1"), champion, "auc", margin, mode)
        same(got, expected, f"{value} after 0.5, margin {margin}, mode {mode}")


def test_objection_to_the_first_champion():
    """Where no version is in use, a finished and measured run takes the place; data and margin are not asked."""
    same(objection(measured("new", -1.0), None, "auc", 5.0), None, "measured")
    same(objection(measured("new", -1.0, status="FAILED"), None, "auc"), "unfinished", "failed")
    for value in (None, math.nan, math.inf, -math.inf):
        same(objection(measured("new", value), None, "auc"), "unmeasured", f"with {value}")


def test_objection_asks_in_order_and_of_both():
    """The first rule that is broken counts. The champion must be measured and have data; its status is not asked."""
    champion = measured("old", 0.5, status="KILLED", data="v1")
    same(objection(measured("new", 0.75, data="v1"), champion, "auc"), None, "a champion whose run was killed")
    for value in (None, math.nan, math.inf):
        old = measured("old", value, data="v1")
        same(objection(measured("new", 0.75, data="v2"), old, "auc"), "unmeasured", f"a champion with {value}")
    same(objection(measured("new", 0.75), measured("old", 0.5), "auc"), "other data", "no data on either side")
    for tags in ({}, {"data": "v1"}):
        new = replace(measured("new", 0.25), tags=tags)
        same(objection(new, measured("old", 0.5), "auc"), "other data", f"new {tags}, old without")
    same(objection(measured("new", 0.75), champion, "auc"), "other data", "no data of the challenger")
    same(objection(measured("new", status="FAILED"), champion, "auc"), "unfinished", "failed and unmeasured")


# the whole


def test_a_run_says_how_it_ended(tracker):
    """Finished, failed by an exception, killed by Ctrl-C; the exception goes on, and what was logged stays."""
    for error, status in ((None, "FINISHED"), (ValueError("too hot"), "FAILED"), (KeyboardInterrupt(), "KILLED")):
        run = tracker.start("e")
        with suppress(ValueError, KeyboardInterrupt), run:
            run.log_metric("auc", 0.5)
            if error:
                raise error
            run.set_tag("reached", "the end")
        record = run.record()
        same((record.status, record.metrics), (status, {"auc": 0.5}), "status and metrics")
        same(
            ("reached" in record.tags, "error" in record.tags),
            (not error, bool(error)),
            "whether the exception went on",
        )
        assert (record.end or 0) > record.start, "the run has an end"


def test_a_dead_run_is_reaped_and_resumed(tracker):
    """After kill -9 the files say RUNNING: reap marks it at its last sign of life, and resume cuts off a torn line."""
    run, alive = tracker.start("e"), tracker.start("e")
    run.log_metric("auc", 0.5, 1, when=5000)
    run.log_metric("loss", 0.5, 1, when=4000)
    with open(run.folder / "metrics" / "auc", "a") as file:
        file.write("6000 0.")
    mine = alive.record().tags["process"]
    run.set_tag("process", "1 0.5")
    same(tracker.reap(lambda process: process == mine), [run.id], "runs reaped")
    same((run.record().status, run.record().end, alive.record().status), ("KILLED", 5000, "RUNNING"), "the ends")
    same(
        read_metric(str(run.folder / "metrics" / "auc")),
        [Point(5000, 0.5, 1)],
        "points before the resume, by a text path",
    )
    tracker.resume(run.id).log_metric("auc", 0.75, 2, when=7000)
    same(run.history("auc"), [Point(5000, 0.5, 1), Point(7000, 0.75, 2)], "points after the resume")
    same((run.record().status, run.record().end, run.record().metrics["auc"]), ("RUNNING", None, 0.75), "the record")


def test_artefacts_are_kept_by_hash(tracker, tmp_path):
    """The best model is kept by itself, other bytes are refused, and damage is seen."""
    run, model = tracker.start("e"), tmp_path / "model.pth"
    kept = []
    for step, value in enumerate([0.5, 0.5, 0.75, math.nan, 0.625]):
        model.write_text(f"weights of step {step}")
        run.log_metric("auc", value, step)
        kept.append(run.keep_best("auc", model))
    same((kept, run.record().tags["best"]), ([True, False, True, False, False], "step-2-model.pth"), "kept, and best")
    assert_refuses(lambda: run.log_artifact(model, "step-2-model.pth"), "step-2-model.pth")
    same(run.damaged(), [], "damaged artefacts")
    (run.folder / "artifacts" / "step-2-model.pth").write_text("other")
    (run.folder / "artifacts" / "step-0-model.pth").unlink()
    same(run.damaged(), ["step-0-model.pth", "step-2-model.pth"], "damaged artefacts")


def test_the_registry_lets_the_better_overtake(tracker, tmp_path):
    """Versions count up, the alias moves to a better one only, back by hand, and changed bytes are not opened."""
    registry, model = Registry(tracker), tmp_path / "model"
    answers = []
    for data, value in (("v1", 0.5), ("v1", 0.5), ("v2", 0.75), ("v1", 0.75)):
        with tracker.start("e") as run:
            run.log_metric("auc", value)
            run.set_tag(DATA, data)
            model.write_text(f"{data} {value}")
            run.log_artifact(model)
        answers.append(registry.promote("clf", registry.register("clf", run, "model"), "auc"))
    same(answers, [None, "not better", "other data", None], "objections")
    same((registry.version("clf", "champion"), registry.open("clf")), (4, b"v1 0.75"), "the champion")
    registry.set_alias("clf", "champion", 1)
    same(registry.open("clf"), b"v1 0.5", "after going back")
    (registry.run("clf", 1).folder / "artifacts" / "model").write_text("malice")
    assert_refuses(lambda: registry.open("clf"), "clf")
    same(read_meta(registry.models / "clf" / "version-4" / "meta.yaml")["version"], 4, "the version's file")
    runs = tracker.search("metrics.auc > .7")
    same(
        compare([replace(runs[0], params={"a": "1", "b": "2"}), replace(runs[1], params={"a": "1"})]),
        {"b": ["2", None]},
        "",
    )

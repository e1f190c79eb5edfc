"""A table in, a judged model out: what is seen in a file, what is learned from which rows, and what is refused."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from groundup.cli import main
from groundup.errors import ConfigError, StoreError, UnknownName
from groundup.systems.tabular import pipeline
from groundup.systems.tabular.pipeline import Encoder, build
from groundup.systems.tabular.saved import load, save
from groundup.systems.tabular.table import Table, describe, read_table, with_target


def write(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def pods(count: int = 240, seed: int = 0) -> list[list[object]]:
    """Pods that crash where memory is short, with gaps, a category, a time, a name, and a column of noise."""
    rng = np.random.default_rng(seed)
    rows: list[list[object]] = []
    for place in range(count):
        memory, zone = float(rng.uniform(0, 100)), ["a", "b", "c"][rng.integers(3)]
        crashed = memory + 15 * (zone == "c") + rng.normal(0, 8) > 75
        shown = "" if rng.random() < 0.1 else f"{memory:.3f}"
        day = f"2026-11-{1 + place % 28:02d}T{place % 24:02d}:00:00"
        rows.append([f"pod-{place:x}", shown, zone, day, round(float(rng.normal()), 3), "yes" if crashed else "no"])
    return rows


HEADER = ["pod", "memory", "zone", "started", "noise", "crashed"]


@pytest.fixture
def table(tmp_path):
    return read_table(write(tmp_path / "pods.csv", HEADER, pods()))


@pytest.fixture
def quick(monkeypatch):
    """Fewer kinds of models and draws: the way is the same."""
    all_of = pipeline._candidates
    monkeypatch.setattr(pipeline, "_candidates", lambda *arguments: all_of(*arguments)[:3])
    monkeypatch.setattr(pipeline, "DRAWS", 200)


def test_each_column_is_seen_for_what_it_is(table):
    schema = describe(table, "crashed")
    assert schema.task == "classes"
    assert {name: column.kind for name, column in schema.columns.items()} == {
        "pod": "left out", "memory": "number", "zone": "category", "started": "time", "noise": "number",
    }  # fmt: skip
    assert schema.columns["pod"].why == "it has 240 different texts in 240 rows"
    assert schema.columns["memory"].gaps == sum(row[1] == "" for row in pods())
    assert schema.inputs == ["memory", "zone", "started", "noise"]


@pytest.mark.parametrize(("values", "task"), [
    (["0", "1"] * 20, "classes"), ([str(n) for n in range(40)], "number"), (["0.5", "1.5"] * 20, "number"),
    (["up", "down"] * 20, "classes"),
])  # fmt: skip
def test_the_task_is_seen_from_the_target(tmp_path, values, task):
    rows = [[place % 7, value] for place, value in enumerate(values)]
    assert describe(read_table(write(tmp_path / "t.csv", ["x", "y"], rows)), "y").task == task


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_file_may_part_its_cells_by_any_of_four_characters(tmp_path, delimiter):
    path = tmp_path / "t.csv"
    path.write_bytes(("\ufeff" + f"a{delimiter}b\r\n1{delimiter}NA\r\n").encode())
    table = read_table(path)
    assert table.names == ["a", "b"]
    assert table.cells.tolist() == [["1", ""]]


@pytest.mark.parametrize(("content", "message"), [
    (b"a,b\n1,2\n3\n", r"line 3: 1 cells where the header has 2\. Quote a cell that holds ','"),
    (b'a,b\n"1\n2",3\n4\n', r"line 4: 1 cells where the header has 2"),
    (b"a,a\n1,2\n", r"two columns are called 'a'"),
    (b"a,b\n", r"must have a header and at least one row, got 1 lines"),
    (b"a,b\n\xff,2\n", r"must be UTF-8, but byte 4 is not"),
])  # fmt: skip
def test_what_is_no_table_is_refused_with_its_line(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_table(path)
    with pytest.raises(ConfigError, match=r"none\.csv cannot be read: No such file"):
        read_table(tmp_path / "none.csv")


def test_a_target_that_cannot_be_learned_is_refused(tmp_path, table):
    with pytest.raises(UnknownName, match="There is no column called 'crash'. Did you mean crashed"):
        with_target(table, "crash")
    with pytest.raises(ConfigError, match=r"'crashed' must be known in at least 20 rows, got 7"):
        describe(table.take(np.arange(7)), "crashed")
    with pytest.raises(ConfigError, match=r"'pod' has 240 different values in 240 rows: these are no classes"):
        describe(table, "pod")
    with pytest.raises(ConfigError, match=r"Column 'zone' must hold numbers, got '.' on line 2"):
        describe(table, "zone", "number")
    one = read_table(write(tmp_path / "one.csv", ["x", "y"], [[place, 1] for place in range(30)]))
    with pytest.raises(ConfigError, match=r"'y' must have at least 2 values, got '1' in every row"):
        describe(one, "y")


def test_a_copy_of_the_target_is_left_out_and_told(tmp_path):
    rows = [[*row, {"yes": "1", "no": "0"}[str(row[-1])]] for row in pods()]
    schema = describe(read_table(write(tmp_path / "t.csv", [*HEADER, "failed"], rows)), "crashed")
    assert schema.columns["failed"].kind == "left out"
    assert "'failed' says the target in other words. It is left out: a model would only copy it." in schema.warnings


def test_the_encoder_learns_from_the_rows_that_it_is_given_only(table):
    schema = describe(table, "crashed")
    halves = table.take(np.arange(120)), table.take(np.arange(120, 240))
    encoder = Encoder(schema).fit(halves[0])
    before = encoder.imputer_.fill_.copy(), encoder.standardizer_.mean_.copy()
    encoded = encoder.transform(halves[1])
    assert np.array_equal(before[0], encoder.imputer_.fill_)
    assert np.array_equal(before[1], encoder.standardizer_.mean_)
    assert encoded.shape == (120, len(encoder.names_))
    assert np.allclose(encoder.transform(halves[0])[:, 0].mean(), 0)
    assert not np.allclose(encoded[:, 0].mean(), 0)


def test_time_becomes_what_a_person_reads_off_it(table):
    schema = describe(table, "crashed")
    encoder = Encoder(schema).fit(table)
    started = encoder.names_.index("started, weekday")
    raw = encoder._numbers(table)
    assert encoder.names_[started - 2 : started + 2] == [
        f"started, {part}" for part in ("year", "month", "weekday", "hour")
    ]
    assert raw[0, started - 2 : started + 2].tolist() == [2026, 11, 6, 0]  # 1 November 2026 was a Sunday


def test_the_test_rows_are_never_fitted_to(table, quick, monkeypatch):
    """Other answers in the test rows change the score and nothing that was learned."""
    schema = describe(table, "crashed")
    parts = []
    part = pipeline._parts
    monkeypatch.setattr(pipeline, "_parts", lambda *arguments: parts.append(part(*arguments)) or parts[-1])
    first = build(table, schema, group="pod")
    cells = table.cells.copy()
    target = table.names.index("crashed")
    test = parts[0][1]
    cells[test, target] = np.where(cells[test, target] == "yes", "no", "yes")
    second = build(Table(table.names, cells, table.lines), schema, group="pod")
    assert np.array_equal(parts[0][1], parts[1][1])
    assert [c.scores for c in first.candidates] == [c.scores for c in second.candidates]
    assert second.test == pytest.approx(1 - first.test)
    assert np.array_equal(first.model.answers(table), second.model.answers(table))


def test_fills_scales_and_categories_come_from_the_rows_that_train(table, quick, monkeypatch):
    """The encoder is fitted to each fold's own rows, and at the end to the training rows: never to what judges."""
    fitted, parts, folds = [], [], []
    for name, seen in (("_parts", parts), ("_folds", folds)):
        whole = getattr(pipeline, name)
        monkeypatch.setattr(
            pipeline, name, lambda *given, whole=whole, seen=seen: seen.append(whole(*given)) or seen[-1]
        )
    fit = Encoder.fit
    monkeypatch.setattr(Encoder, "fit", lambda self, rows: fitted.append(rows.lines) or fit(self, rows))
    build(table, describe(table, "crashed"))
    lines, (train, _) = np.array(table.lines), parts[0]
    wanted = [lines[train[fit_rows]] for fit_rows, _ in folds[0]] + [lines[train]]
    assert [list(rows) for rows in fitted] == [list(rows) for rows in wanted]


def test_a_model_beats_the_baseline_and_rests_on_what_made_the_target(table, quick):
    result = build(table, describe(table, "crashed"))
    assert result.measure == "ROC AUC"
    assert result.test > 0.85
    assert result.interval[0] < result.test < result.interval[1]
    assert result.baseline == 0.5
    assert result.beats_baseline
    assert next(iter(result.importances)) == "memory"
    assert result.n_train + result.n_test == 240
    assert np.sum(result.confusion) == result.n_test


def test_noise_beats_nothing(table, quick):
    """Answers in another order leave nothing to learn, and the result says so."""
    cells = table.cells.copy()
    target = table.names.index("crashed")
    cells[:, target] = np.random.default_rng(1).permutation(cells[:, target])
    result = build(Table(table.names, cells, table.lines), describe(table, "crashed"))
    assert not result.beats_baseline


def test_copies_and_groups_stay_on_one_side(table, monkeypatch):
    doubled = table.take(np.repeat(np.arange(240), 2))
    groups = pipeline._groups(doubled, None)
    train, test = pipeline._parts(doubled, groups, None, np.random.default_rng(0))
    assert not set(groups[train]) & set(groups[test])
    folds = pipeline._folds(doubled.column("crashed")[train], groups[train], describe(table, "crashed"), None,
                            np.random.default_rng(0))  # fmt: skip
    for fit, judge in folds:
        assert not set(groups[train][fit]) & set(groups[train][judge])
    assert sorted(np.concatenate([judge for _, judge in folds])) == list(range(len(train)))
    assert set(pipeline._groups(table, "zone")) == {0, 1, 2}


def test_the_past_trains_and_the_future_tests(table):
    groups = pipeline._groups(table, None)
    times = pipeline._times(table, "started")
    train, test = pipeline._parts(table, groups, "started", np.random.default_rng(0))
    assert times[train].max() < times[test].min()
    for fit, judge in pipeline._folds(np.zeros(len(train)), groups[train], describe(table, "crashed"), times[train],
                                      np.random.default_rng(0)):  # fmt: skip
        assert times[train][fit].max() <= times[train][judge].min()


def test_costs_set_the_threshold(table, quick):
    schema = describe(table, "crashed")
    wary = build(table, schema, costs=(20.0, 1.0))
    calm = build(table, schema, costs=(1.0, 20.0))
    assert wary.model.threshold < calm.model.threshold
    assert wary.details["recall"] > calm.details["recall"]
    numbers = replace(describe(table, "noise"))
    with pytest.raises(ConfigError, match="need a target of 2 classes, got numbers"):
        build(with_target(table, "noise"), numbers, costs=(1.0, 1.0))


@pytest.mark.parametrize("target", ["crashed", "zone", "memory"])
def test_a_saved_model_answers_as_before(tmp_path, table, target):
    """Two classes, three classes, a number; with every kind of model that may be chosen."""
    known = with_target(table, target)
    schema = describe(known, target)
    kinds = pipeline._candidates(schema, np.unique(known.column(target)), 0)
    encoder = Encoder(schema).fit(known)
    answers = pipeline._answers(known, schema)
    for name, make in kinds:
        estimator = pipeline._fitted(make(), encoder.transform(known), answers)
        model = pipeline.Model(schema, encoder, estimator, name, 0.4)
        result = pipeline.Result(model, "", True, [], 0, (0, 0), 0, (0, 0), {}, [], {}, 1, 1)
        save(result, tmp_path / "model", source=tmp_path / "pods.csv")
        again, document = load(tmp_path / "model")
        assert np.array_equal(again.answers(known), model.answers(known)), name
        before, after = model.probabilities(known), again.probabilities(known)
        assert np.array_equal(np.asarray(before), np.asarray(after)), name
        assert document["source"]["name"] == "pods.csv"


def test_a_damaged_model_is_refused_by_its_file(tmp_path, table, quick):
    result = build(table, describe(table, "crashed"))
    folder = tmp_path / "model"
    save(result, folder, source=tmp_path / "pods.csv")
    arrays = (folder / "arrays.npz").read_bytes()
    (folder / "arrays.npz").write_bytes(arrays[:-1])
    with pytest.raises(StoreError, match="arrays.npz is not the file that model.json was saved with"):
        load(folder)
    (folder / "arrays.npz").write_bytes(arrays)
    text = (folder / "model.json").read_text(encoding="utf-8")
    (folder / "model.json").write_text(text[:-9], encoding="utf-8")
    with pytest.raises(StoreError, match="model.json is damaged"):
        load(folder)
    document = json.loads(text)
    document["state"]["estimator"]["class"] = "Popen"
    (folder / "model.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(StoreError, match="model.json is damaged: KeyError\\('Popen'\\)"):
        load(folder)
    (folder / "model.json").write_text(json.dumps({**document, "format": 2}), encoding="utf-8")
    with pytest.raises(StoreError, match="must be of format 1, got 2"):
        load(folder)
    with pytest.raises(StoreError, match=r"nowhere holds no model: No such file"):
        load(tmp_path / "nowhere")


def test_a_folder_of_something_else_is_left_alone(tmp_path, table, quick):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work", encoding="utf-8")
    result = build(table, describe(table, "crashed"))
    with pytest.raises(StoreError, match="must be a new folder or one with a model"):
        save(result, tmp_path / "thesis", source=tmp_path / "pods.csv")
    assert (tmp_path / "thesis" / "chapter.tex").read_text(encoding="utf-8") == "years of work"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return int(str(stop.value.code))


def test_one_command_makes_a_model_and_another_uses_it(tmp_path, quick, capsys):
    path = write(tmp_path / "pods.csv", HEADER, pods())
    model = tmp_path / "model"
    assert run("tabular", "fit", str(path), "--target", "crashed", "-o", str(model)) == 0
    told = capsys.readouterr().out
    for words in (
        "240 rows.",
        "pod",
        "different texts",
        "Cross-validation",
        "held-out rows",
        "memory",
    ):
        assert words in told, words
    rows = [row[:-1] for row in pods(seed=7)]
    rows[0][2], rows[1][1] = "d", "500"
    new = write(tmp_path / "new.csv", HEADER[:-1], rows)
    assert run("tabular", "predict", str(model), str(new)) == 0
    out, err = capsys.readouterr()
    answers = list(csv.DictReader(out.splitlines()))
    assert list(answers[0]) == ["crashed", "probability of no", "probability of yes"]
    right = np.mean([answer["crashed"] == row[-1] for answer, row in zip(answers[2:], pods(seed=7)[2:], strict=True)])
    assert right > 0.8
    assert "'zone': 1 rows have a value that is rare in the training rows." in err
    assert "'memory': 4 rows are outside of 0.641 to 99.403, the range of training." in err
    assert run("tabular", "show", str(model), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["judged"]["n_test"] == 48
    assert document["schema"]["columns"]["zone"]["kind"] == "category"


def test_bad_input_is_one_sentence(tmp_path, quick, capsys):
    path = write(tmp_path / "pods.csv", HEADER, pods())
    model = str(tmp_path / "model")
    assert run("tabular", "fit", str(path), "--target", "crash", "-o", model) == 2
    assert "There is no column called 'crash'. Did you mean crashed?" in capsys.readouterr().err
    assert run("tabular", "fit", str(path), "--target", "crashed", "-o", model, "--miss-cost", "3") == 2
    assert "--miss-cost and --alarm-cost go together" in capsys.readouterr().err
    assert run("tabular", "fit", str(path), "--target", "crashed", "-o", model, "--time", "memory") == 2
    assert "must say the time of every row, and is empty on line" in capsys.readouterr().err
    assert run("tabular", "fit", str(path), "--target", "crashed", "-o", model) == 0
    lacking = write(tmp_path / "lacking.csv", ["zone"], [["a"]])
    assert run("tabular", "predict", model, str(lacking)) == 2
    assert "must have the column 'memory', which the model uses. Its columns: zone." in capsys.readouterr().err
    assert run("tabular", "predict", model, str(path), "-o", str(tmp_path)) == 2
    assert f"{tmp_path} cannot be written: Is a directory. Name another file." in capsys.readouterr().err
    assert run("tabular", "fit", str(path), "--target", "crashed", "-o", model, "--time", "start") == 2
    assert "There is no column called 'start'. Did you mean started?" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "target", "least"), [
    ("titanic", "Survived", 0.8), ("ames_housing", "SalePrice", None),
    ("california_housing", "median_house_value", None),
])  # fmt: skip
def test_real_tables(tmp_path, dataset, target, least, capsys):
    """Raw file to a saved model, on the files as their publishers give them."""
    from groundup.data.fetch import Found, find
    from groundup.data.registry import REGISTRY

    found = find(REGISTRY[dataset])
    if not isinstance(found, Found):
        pytest.skip(f"{dataset} is not at hand")
    model = tmp_path / "model"
    assert run("tabular", "fit", str(found.path), "--target", target, "-o", str(model), "--json") == 0
    judged = json.loads(capsys.readouterr().out)["judged"]
    if least is not None:
        assert judged["test"] > least
    else:
        assert judged["test"] < 0.6 * judged["baseline"]  # of the error of the mean

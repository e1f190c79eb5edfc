"""The classifier: trained and measured with templates apart, saved, explained."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundup.errors import MissingPackage, UsageError
from groundup.systems.copilot.classifying import classify as module
from groundup.systems.copilot.classifying.classify import Classifier, Scores, Trained, data_hash, splits, train
from groundup.systems.copilot.classifying.features import FIXED
from groundup.systems.copilot.classifying.labels import Example, read_examples
from groundup.systems.copilot.classifying.trees import Forest, Tree
from groundup.systems.copilot.reading.logs import Record, parse
from tests.systems.copilot.labelled import loghub, tagged


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labelled") / "tagged.log"
    path.write_text("\n".join(tagged()) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def examples(file: Path) -> list[Example]:
    return list(read_examples(file, tagged=True))


@pytest.fixture(scope="module")
def trained(examples: list[Example]) -> Trained:
    return train(examples, source="tagged.log")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the decision tree is tried."""
    monkeypatch.setattr(module, "CANDIDATES", {"decision tree": module.CANDIDATES["decision tree"]})


# ── splits ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_no_template_is_on_both_sides_of_a_split_and_each_line_is_tested_once() -> None:
    rng = np.random.default_rng(0)
    template = rng.integers(0, 40, 2_000)
    label = (template % 4 == 0).astype(np.intp)
    tested = np.zeros(2_000, dtype=int)
    for seen, unseen in splits(label, template, 5, 0):
        assert not set(template[seen]) & set(template[unseen])
        assert len(seen) + len(unseen) == 2_000
        tested[unseen] += 1
    assert (tested == 1).all()
    assert all(set(template[seen]) & set(template[unseen]) for seen, unseen in splits(label, None, 5, 0))


def test_in_training_nothing_is_scored_on_lines_or_templates_that_it_was_trained_on(
    examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_by: dict[int, np.ndarray] = {}
    kept, calls = [], []
    fit, predict = module._Data.fit, module._Data.predict

    def watched_fit(self: Any, how: Any, lines: Any) -> Any:
        made = fit(self, how, lines)
        seen_by[id(made)] = lines
        kept.append(made)  # so that no other model gets its number
        return made

    def watched_predict(self: Any, model: Any, lines: Any) -> Any:
        seen = seen_by[id(model)]
        assert not set(seen.tolist()) & set(lines.tolist())
        calls.append(bool(set(self.template[seen].tolist()) & set(self.template[lines].tolist())))
        return predict(self, model, lines)

    monkeypatch.setattr(module._Data, "fit", watched_fit)
    monkeypatch.setattr(module._Data, "predict", watched_predict)
    tree = module.CANDIDATES["decision tree"]
    monkeypatch.setattr(module, "CANDIDATES", {"one": tree, "two": tree})
    report = train(examples).report
    # Templates are shared by the random splits alone, which are there to show what that does.
    assert sum(calls) == 2 * report.folds
    assert len(calls) == 2 * report.folds * 2 + 2 * report.folds * (report.folds - 1)


@pytest.mark.usefixtures("quick")
def test_where_labels_are_drawn_by_lot_the_random_split_shines_and_templates_apart_say_that_it_is_nothing() -> None:
    rng = np.random.default_rng(1)
    words = [f"{a} {b}" for a in ("alpha", "beta", "gamma", "delta", "omega") for b in ("red", "blue", "green", "grey")]
    labels = rng.permutation(["alert"] * 10 + ["normal"] * 10)
    lot = [
        Example(record, str(label))
        for text, label in zip(words, labels, strict=True)
        for record in parse([f"INFO {text} {i}" for i in range(20)])
    ]
    report = train(lot).report
    assert report.candidates[0].random.f1 > 0.99
    assert report.candidates[0].apart.f1 < 0.7
    assert report.expected.f1 < 0.7


def test_what_is_expected_is_better_than_rules_on_lines_that_words_tell_apart(trained: Trained) -> None:
    report = trained.report
    assert report.labels == {"normal": (192, 24), "alert": (160, 20)}
    assert (report.positive, report.metric, report.folds) == ("alert", "f1", 5)
    assert [one.name for one in report.candidates] == ["decision tree", "random forest", "XGBoost"]
    assert report.expected.f1 > 0.9 > max(one.f1 for one in report.baselines.values())
    assert report.baselines["the most frequent label"] == Scores(0.0, 0.0, 0.0)
    assert report.worth_it
    assert not replace(report, expected=Scores(0.1, 0.1, 0.1)).worth_it


def constant(*chances: float) -> Callable[..., Forest]:
    leaf = Tree([-1], [-1], [-1], [0], [0.0], [list(chances)], [1.0])
    return lambda *_: Forest([leaf], [0.0, 0.0], "none")


def test_the_best_is_the_one_that_is_best_by_the_metric_that_was_named(
    examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = module.CANDIDATES["decision tree"]
    monkeypatch.setattr(module, "CANDIDATES", {"never": constant(1, 0), "always": constant(0, 1), "tree": tree})
    assert {metric: train(examples, metric=metric).report.chosen for metric in ("recall", "precision", "f1")} == {
        "recall": "always", "precision": "tree", "f1": "tree",
    }  # fmt: skip


@pytest.mark.usefixtures("quick")
def test_with_three_labels_scores_are_means_over_them(examples: list[Example]) -> None:
    three = [
        replace(one, label="disk") if one.label == "alert" and "isk" in one.record.message else one for one in examples
    ]
    made = train(three)
    assert made.report.positive is None
    assert made.classifier.labels == ("normal", "alert", "disk")
    assert {one.label for one in made.classifier.predict(one.record for one in three)} == {"normal", "alert", "disk"}
    assert 0.5 < made.report.expected.f1 <= 1


# ── predictions ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_model_that_was_saved_predicts_the_same_as_before(
    trained: Trained, examples: list[Example], tmp_path: Path
) -> None:
    path = tmp_path / "model.json"
    trained.classifier.save(path)
    loaded = Classifier.load(path, data_sha256=data_hash(examples))
    records = [one.record for one in examples]
    assert loaded.predict(records) == trained.classifier.predict(records)
    assert loaded.report == trained.report
    assert loaded.predict([]) == []


def test_reasons_speak_for_the_label_and_are_those_of_shap(trained: Trained) -> None:
    said = next(parse(['{"level": "ERROR", "service": "x", "message": "Could not read wine from database 3"}']))
    other = next(parse(['{"level": "INFO", "service": "x", "message": "Finished wine job"}']))
    alert, calm = trained.classifier.predict([said, other])
    assert (alert.label, calm.label) == ("alert", "normal")
    assert 0.5 < alert.probability <= 1
    for one in (alert, calm):
        assert 1 <= len(one.reasons) <= 3
        effects = [value for _, value in one.effects]
        assert effects == sorted(effects, reverse=True)
        assert min(effects) > 0
    assert any("database" in reason for reason in alert.reasons)
    assert trained.classifier.predict([said], reasons=0)[0].reasons == ()
    assert len(trained.classifier.predict([said], reasons=1)[0].reasons) == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("word:disk", 1.0, 'says "disk"'),
        ("word:disk", 0.0, 'does not say "disk"'),
        ("word:service:api", 1.0, "is from api"),
        ("contains_memory", 0.0, "is not about memory"),
        ("error_type=timeout", 1.0, "is an error of type timeout"),
        ("level", 5.0, "is logged as fatal"),
        ("level", float("nan"), "has no level"),
        ("is_error", 0.0, "not: is error"),
        ("word_count", 7.0, "word_count is 7"),
    ],
)
def test_a_feature_is_told_in_words(name: str, value: float, said: str) -> None:
    assert module._words(name, value) == said


def test_the_hour_is_a_feature_that_a_model_is_not_given_unless_it_is_asked_for(trained: Trained) -> None:
    assert "hour_of_day" in FIXED
    assert "hour_of_day" not in trained.classifier.vocabulary.names


def test_a_tag_is_not_in_what_the_model_sees(examples: list[Example]) -> None:
    assert not any("ALERT" in one.record.text or one.record.text.startswith("- ") for one in examples)


def test_the_hash_is_that_of_texts_and_labels(examples: list[Example], trained: Trained) -> None:
    assert trained.report.data_sha256 == data_hash(examples)
    changed = [replace(examples[0], label="other"), *examples[1:]]
    assert data_hash(changed) != data_hash(examples)
    assert data_hash(examples[1:]) != data_hash(examples)


# ── files that are refused ──────────────────────────────────────────────────────────────────────────────────────────
CHANGES = {
    "a threshold": lambda d: d["forest"]["trees"][0]["threshold"].__setitem__(0, 99.0),
    "the hash of the data": lambda d: d["report"].update(data_sha256="0" * 64),
    "a metric": lambda d: d["report"]["expected"].update(f1=0.123),
    "no checksum": lambda d: d.pop("sha256"),
}


@pytest.mark.parametrize("change", list(CHANGES.values()), ids=list(CHANGES))
def test_a_file_that_was_changed_is_refused(change: Callable[[Any], Any], trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    trained.classifier.save(path)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"model\.json' cannot be used: its checksum is another one.*Train it again"):
        Classifier.load(path)


def test_a_file_of_another_make_is_refused_and_nothing_in_it_runs(trained: Trained, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    trained.classifier.save(tmp_path / "model.json")
    document = json.loads((tmp_path / "model.json").read_text())
    newer = {**document, "version": 2}
    unknown = {**{key: value for key, value in document.items() if key != "sha256"}, "fixed": ["no_such"]}
    unknown["sha256"] = module._checksum(unknown)
    empty = {"format": module.FORMAT, "version": module.VERSION}
    empty["sha256"] = module._checksum(empty)
    for content, message in [
        (pickle.dumps(Trap()), "it is no JSON"),
        (b"\xff\xfe\x00", "it is no JSON"),
        (b"[" * 100_000, "cannot be used"),
        (b"{}", "it is no classifier of the copilot's"),
        (b"[1]", "it is no classifier of the copilot's"),
        (json.dumps(newer).encode(), "it is of version 2, and this groundup reads 1"),
        (json.dumps(empty).encode(), "something is missing in it"),
        (json.dumps(unknown).encode(), "features that"),
    ]:
        path = tmp_path / "foreign.json"
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"must be a file that `groundup copilot train` wrote") as caught:
            Classifier.load(path)
        assert message in str(caught.value)
    assert not (tmp_path / "sprung").exists()


def test_a_model_of_other_data_or_none_is_refused(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    trained.classifier.save(path)
    with pytest.raises(UsageError, match=r"trained on the data with the hash 000000000000…, and .*\(tagged\.log\)"):
        Classifier.load(path, data_sha256="0" * 64)
    with pytest.raises(UsageError, match=r"nothing\.json' does not\. Make it with `groundup copilot train`"):
        Classifier.load(tmp_path / "nothing.json")
    with pytest.raises(UsageError, match="model must be a file that can be written, and .* cannot be"):
        trained.classifier.save(tmp_path / "no" / "model.json")


# ── data that is refused ────────────────────────────────────────────────────────────────────────────────────────────
def of(*labels: str) -> list[Example]:
    """Examples of a template each, with these labels."""
    words = ["red", "green", "blue", "grey", "pink"]
    return [Example(Record(1, word, word), label) for word, label in zip(words, labels, strict=False)]


def test_what_cannot_be_learnt_from_is_refused_with_what_to_do() -> None:
    for examples, options, message in [
        ([], {}, "two labels or more, and here has none. Label some lines"),
        (of("normal", "normal"), {}, "two labels or more, and here has only 'normal'"),
        (of("normal", "normal", "alert"), {}, "those of 'alert' in here come from one: nothing could be said"),
        (of("normal", "alert"), {"metric": "accuracy"}, "metric must be one of f1, precision, recall, got 'accuracy'"),
        (of("normal", "alert"), {"features": ["color"]}, "features must be names of fixed features, got 'color'"),
    ]:
        with pytest.raises(UsageError, match=message):
            train(examples, source="here", **options)


@pytest.mark.usefixtures("quick")
def test_two_templates_of_each_label_are_enough_to_train_on() -> None:
    report = train(of("normal", "normal", "alert", "alert")).report
    assert report.folds == 2


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch, trained: Trained) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(MissingPackage, match="^Training needs xgboost-cpu, which is not .* with: .*copilot$"):
        train(of("normal", "alert"))
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(MissingPackage, match="^Giving reasons needs shap, which is not .* with: .*copilot$"):
        trained.classifier.predict(parse(["INFO x"]))
    assert trained.classifier.predict(parse(["INFO x"]), reasons=0)[0].label in ("normal", "alert")


# ── real data ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_on_bgl_it_beats_the_level_on_alerts_that_it_never_saw() -> None:
    log = loghub("BGL")
    examples = list(read_examples(f"{log}_structured.csv", binary=True))
    report = train(examples).report
    assert report.labels == {"normal": (1857, 105), "alert": (143, 15)}
    assert report.expected.f1 > report.baselines["the level alone"].f1 + 0.1
    assert max(one.random.f1 for one in report.candidates) > report.expected.f1 + 0.1

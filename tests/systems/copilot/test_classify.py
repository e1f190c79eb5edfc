"""The classifier: trained and measured with templates apart, saved, explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundup.systems.copilot.classify import Classifier, Trained, train
from groundup.systems.copilot.labels import read_examples
from tests.systems.copilot.labelled import tagged


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labelled") / "tagged.log"
    path.write_text("\n".join(tagged()) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(file: Path) -> Trained:
    return train(read_examples(file, tagged=True), source=file.name)


def test_a_model_that_was_saved_predicts_the_same_as_before(trained: Trained, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    trained.classifier.save(path)
    loaded = Classifier.load(path)
    records = [one.record for one in read_examples(file, tagged=True)]
    found = loaded.predict(records)
    assert found == trained.classifier.predict(records)
    assert {one.label for one in found} == {"normal", "alert"}
    assert all(len(one.reasons) <= 3 for one in found)
    assert loaded.report == trained.report

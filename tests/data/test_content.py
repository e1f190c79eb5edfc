"""What the datasets hold: generated data against its definition, stand-ins against the real data's schema."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from groundup.data import REGISTRY, Dataset, load, readers
from groundup.data.fetch import sha256_of
from groundup.errors import DataUnavailable, UsageError

MIRROR = os.environ.get("GROUNDUP_DATA_MIRROR", "")
needs_mirror = pytest.mark.skipif(not MIRROR, reason="needs the real data: set GROUNDUP_DATA_MIRROR to a folder of it")
REAL = [name for name, entry in REGISTRY.items() if not entry.synthetic]
STOOD_IN = [name for name in REAL if REGISTRY[name].stand_in]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROUNDUP_DATA_MIRROR", raising=False)
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    monkeypatch.setenv("GROUNDUP_OFFLINE", "1")


def schema(dataset: Dataset) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (column.dtype.kind, column.shape[1:]) for name, column in dataset.columns.items()}


def test_moons_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import make_moons

    ours = load("moons", rows=101, noise=0.0, seed=3)
    points, labels = make_moons(101, shuffle=False)
    mine = np.stack([ours["x"], ours["y"], ours["label"]], axis=1).round(9)
    theirs = np.column_stack([points, labels]).round(9)
    np.testing.assert_allclose(mine[np.lexsort(mine.T)], theirs[np.lexsort(theirs.T)], atol=1e-12)


def test_moons_follow_their_seed_and_their_noise() -> None:
    same, again, other = (load("moons", rows=4000, noise=0.3, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(same["x"], again["x"])
    assert not np.array_equal(same["x"], other["x"])
    lower = same["label"] == 1
    distance = np.hypot(same["x"][~lower], same["y"][~lower])
    assert 0.25 < np.std(distance) < 0.35


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 1}, "rows must be at least 2, one for each half circle, not 1"),
        ({"noise": -1}, "must not be negative"),
    ],
)
def test_moons_refuse_what_makes_no_sense(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load("moons", **options)


def test_moons_are_synthetic_by_definition_and_no_stand_in() -> None:
    provenance = load("moons").provenance
    assert provenance.label == "synthetic by definition"
    assert not provenance.stand_in


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("name", [name for name in REAL if name not in STOOD_IN])
def test_where_nothing_may_stand_in_that_is_said(name: str) -> None:
    with pytest.raises(DataUnavailable, match=f"'{name}' must come from the cache.*Nothing may stand in for it"):
        load(name)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("name", STOOD_IN)
def test_every_stand_in_says_that_it_is_one_and_is_the_same_each_time(name: str) -> None:
    first, second = load(name), load(name)
    assert first.provenance.stand_in
    assert first.provenance.label.startswith("STAND-IN")
    assert len(first) > 500
    assert first.text == second.text
    for column in first:
        np.testing.assert_array_equal(first[column], second[column])


@needs_mirror
@pytest.mark.parametrize("name", REAL)
def test_the_registry_describes_the_real_file(name: str) -> None:
    entry, path = REGISTRY[name], Path(MIRROR) / REGISTRY[name].file
    if entry.sample and not path.is_file():
        assert sha256_of(Path(MIRROR) / entry.sample) == entry.sample_sha256
        return
    assert sha256_of(path) == entry.sha256
    assert path.stat().st_size == entry.size


@needs_mirror
@pytest.mark.parametrize("name", STOOD_IN)
def test_every_stand_in_has_the_columns_and_types_of_the_real_data(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    real = load(name)
    monkeypatch.delenv("GROUNDUP_DATA_MIRROR")
    monkeypatch.setenv("GROUNDUP_OFFLINE", "1")
    made = load(name)
    assert not real.provenance.stand_in
    assert made.provenance.stand_in
    assert schema(made) == schema(real)


@needs_mirror
def test_titanic_has_its_known_numbers() -> None:
    real = load("titanic")
    assert len(real) == 891
    assert real["Survived"].sum() == 342
    assert real.missing("Age").sum() == 177
    assert real.missing("Cabin").sum() == 687
    assert real.missing("Embarked").sum() == 2
    assert np.nanmean(real["Age"]) == pytest.approx(29.6991, abs=1e-4)


@needs_mirror
def test_the_other_datasets_have_their_known_sizes() -> None:
    sms = load("sms_spam")
    assert len(sms) == 5574
    assert (sms["label"] == "spam").sum() == 747
    digits = load("mnist_5k")
    assert digits["pixels"].shape == (5000, 28, 28)
    assert np.bincount(digits["digit"]).tolist() == [500] * 10
    assert load("tiny_shakespeare").text.startswith("First Citizen:\nBefore we proceed")
    instructions = load("instructions")
    assert (len(instructions), instructions.missing("input").sum()) == (1100, 775)
    assert instructions["rejected"][1] == "He goes to the stupid park every single day."
    pages = load("tldr_pages")
    assert (len(pages), len(set(pages["command"]))) == (6643, 6585)
    assert pages["text"][list(pages["command"]).index("jj next")].endswith("`jj next --conflict`\n")
    reviews = load("sst2")
    assert (len(reviews), reviews["positive"].sum()) == (6920, 3610)
    assert reviews["sentence"][1] == "apparently reassembled from the cutting room floor of any given daytime soap"


@needs_mirror
def test_the_sample_of_cifar_has_as_many_pictures_of_each_class() -> None:
    sample = load("cifar10")
    if sample.provenance.sha256 != REGISTRY["cifar10"].sample_sha256:
        pytest.skip("the whole of CIFAR-10 is here")
    assert sample["pixels"].shape == (7000, 32, 32, 3)
    for test, count in ((False, 500), (True, 200)):
        assert np.bincount(sample["label"][sample["test"] == test]).tolist() == [count] * 10
    assert "a sample of it" in sample.provenance.label


def test_the_whole_of_cifar_is_read_plane_by_plane(tmp_path: Path) -> None:
    records = np.random.default_rng(0).integers(0, 10, (6, 3, 3073), dtype=np.uint8)
    path = tmp_path / "cifar.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, batch in zip([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"], records, strict=True):
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            info.size = batch.size
            archive.addfile(info, io.BytesIO(batch.tobytes()))
    columns = readers.cifar10(path)
    assert columns["label"].tolist() == records[:, :, 0].ravel().tolist()
    assert columns["test"].tolist() == [False] * 15 + [True] * 3
    assert columns["pixels"][4, 2, 7, 1] == records[1, 1, 1 + 1024 + 2 * 32 + 7], "row 2, column 7, green"


@needs_mirror
def test_the_pictures_of_programs_have_their_known_numbers() -> None:
    programs = load("malware_images")
    assert (programs["pixels"].shape, int(programs["malware"].sum())) == ((99, 64, 64), 49)
    assert (programs["size"].min(), len(np.unique(programs["pixels"], axis=0))) == (2784, 99)


@needs_mirror
def test_the_micrographs_have_their_known_numbers() -> None:
    cells = load("nuclei")
    assert cells["pixels"].shape == (360, 128, 128, 3)
    assert cells["picture"].max() == 89
    assert (cells["nucleus"] > 0).mean() == pytest.approx(0.141, abs=5e-4)


@pytest.mark.usefixtures("stand_in")
def test_a_file_that_only_a_mirror_has_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROUNDUP_OFFLINE")
    assert "only a mirror has it" in load("malware_images").provenance.label


@needs_mirror
def test_the_hard_hats_have_their_boxes() -> None:
    train, valid = load("hard_hat_train"), load("hard_hat_valid")
    assert train["pixels"].shape == (300, 160, 160, 3)
    assert valid["pixels"].shape == (204, 160, 160, 3)
    assert np.bincount(train["label"]).tolist() == [424, 135, 291, 863]
    assert np.bincount(valid["label"]).tolist() == [315, 74, 207, 599]
    for part in (train, valid):
        assert (part["box"][:, 2:] > part["box"][:, :2]).all()
        assert part["box"].min() > -1e-6
        assert part["box"].max() < 1 + 1e-6


def test_a_line_of_hard_hats_is_a_box_or_a_polygon() -> None:
    assert readers._outer_box([0.5, 0.25, 0.5, 0.125]) == (0.25, 0.1875, 0.75, 0.3125)
    assert readers._outer_box([0.5, 0.25, 0.75, 0.5, 0.25, 0.375]) == (0.25, 0.25, 0.75, 0.5)


@needs_mirror
def test_the_houses_have_their_known_numbers() -> None:
    ames, california = load("ames_housing"), load("california_housing")
    assert (len(ames), ames["SalePrice"].min(), ames["SalePrice"].max()) == (2930, 12_789, 755_000)
    assert (ames.missing("Lot Frontage").sum(), ames.missing("Bsmt Qual").sum()) == (490, 80)
    assert (len(california), california.missing("total_bedrooms").sum()) == (20_640, 207)
    assert california["median_house_value"].mean() == pytest.approx(206_855.8, abs=0.1)


@needs_mirror
def test_the_logs_have_their_known_templates_and_tags() -> None:
    sizes = {"apache": 6, "bgl": 120, "hdfs": 14, "linux": 118, "openssh": 27, "thunderbird": 149}
    for name, templates in sizes.items():
        log = load(f"loghub_{name}")
        assert (len(log), len(np.unique(log["event"]))) == (2000, templates)
    assert (load("loghub_bgl")["label"] != "-").sum() == 143
    assert (load("loghub_apache")["level"] == "error").sum() == 595


@needs_mirror
def test_the_test_collections_have_their_known_sizes_and_judgements() -> None:
    cranfield, cisi = load("cranfield"), load("cisi")
    assert (len(cranfield), len(cranfield["query"]), len(np.unique(cranfield["judged_query"]))) == (1400, 225, 225)
    assert (len(cisi), len(cisi["query"]), len(np.unique(cisi["judged_query"]))) == (1460, 112, 76)
    assert np.bincount(cranfield["gain"].astype(int)).tolist() == [0, 363, 734, 387, 128]
    assert cranfield["text"][0].startswith(
        "experimental investigation of the aerodynamics of a\nwing in a slipstream ."
    )
    assert cranfield["query"][2].startswith("what problems of heat conduction")  # its number in the file is 4
    third = cranfield["judged_query"] == 2
    assert (cranfield["judged_document"][third] + 1).tolist() == [5, 6, 90, 91, 119, 144, 181, 399]
    assert cisi["text"][0].startswith("18 Editions of the Dewey Decimal Classifications\nThe present study")
    assert cisi["judged_document"][cisi["judged_query"] == 0][0] == 27


@needs_mirror
def test_squad2_has_its_known_sizes_and_answers() -> None:
    squad = load("squad2")
    assert (len(squad), len(squad["text"]), len(np.unique(squad["article"]))) == (6078, 646, 16)
    assert squad["question"][0] == "In what country is Normandy located?"
    assert squad["answers"][0] == "France"
    assert squad["answers"][1].split("\n") == ["10th and 11th centuries", "in the 10th and 11th centuries"]
    without = squad["answers"] == ""
    assert 0.45 < without.mean() < 0.6
    for row, answers in zip(squad["paragraph"].tolist(), squad["answers"].tolist(), strict=True):
        assert all(answer in squad["text"][row] for answer in answers.split("\n"))


@needs_mirror
@pytest.mark.parametrize("column", ["Survived", "Pclass"])
def test_the_titanic_stand_in_has_plausible_shares(
    column: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = load("titanic")[column]
    monkeypatch.delenv("GROUNDUP_DATA_MIRROR")
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    monkeypatch.setenv("GROUNDUP_OFFLINE", "1")
    made = load("titanic")
    assert abs(made[column].mean() - real.mean()) < 0.1
    assert abs(made.missing("Age").mean() - 0.2) < 0.05
    women, men = (made["Survived"][made["Sex"] == sex].mean() for sex in ("female", "male"))
    assert women > men + 0.4

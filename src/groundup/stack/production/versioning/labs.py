"""Lab of versioning: a dataset that is switched back and forth, and the bytes that its versions take."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.production.versioning import Conflict, Damaged, Dataset, Store, hash_folder


def write_shards(folder: Path, rows: list[str], shards: int) -> None:
    """Write rows into CSV files, cut at the same places each time; a file whose rows did not change is left alone."""
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(np.array_split(np.arange(len(rows)), shards)):
        text = "\n".join(rows[at] for at in part) + "\n"
        path = folder / f"part-{number:03}.csv"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def edited(folder: Path, rng: np.random.Generator) -> dict[str, str]:
    """Make changes that nobody commits: notes in a new file, and a line behind a quarter of the CSV files."""
    parts = sorted(path.name for path in folder.glob("part-*.csv"))
    mine = {"notes.txt": "look at the fares\n"}
    for part in rng.choice(parts, max(len(parts) // 4, 1), replace=False).tolist():
        mine[part] = (folder / part).read_text(encoding="utf-8") + "my own row\n"
    for path, text in mine.items():
        (folder / path).write_text(text, encoding="utf-8")
    return mine


def kept(folder: Path, mine: dict[str, str]) -> float:
    """The share of changes that are still in the folder."""
    return float(np.mean([(folder / path).read_text(encoding="utf-8") == text for path, text in mine.items()]))


@dataclass(frozen=True)
class SwitchConfig:
    """Settings of the switching lab.

    Attributes:
        seed: seed of the corrections, of the switches and of the changes.
        shards: files that the table is cut into.
        versions: versions that are committed.
        corrections: neighbouring rows that each version corrects.
        switches: how often the folder goes to another version.
        damaged: damage an object of each version before the switches.
    """

    seed: int = 0
    shards: int = 20
    versions: int = 6
    corrections: int = 10
    switches: int = 12
    damaged: bool = False


@lab(
    title="Back and forth",
    question="Do versions come back byte for byte, without losing a change, and what do they take on the disk?",
    data=["titanic"],
    presets={
        "smoke": {},
        "laptop": {"versions": 12, "switches": 60},
        "full": {"shards": 50, "versions": 30, "switches": 200},
    },
    expectations=[
        expect("exact", at_least=1.0, why="A version that comes back is the one that was committed, byte for byte."),
        expect("changes_kept", beats_baseline_by=0.4, why="A checkout spares uncommitted changes, or stops."),
        expect("stored", beats_baseline_by=0.4, lower_is_better=True, why="Files that did not change are kept once."),
    ],
    sabotage=[{"shards": 1}, {"damaged": True}],
)
def switching(config: SwitchConfig, record: Recorder) -> None:
    """Commit versions of the passenger table, each with a few corrected rows, and switch between them.

    `exact` is the share of switches after which the folder has the name of the version. Then changes are made, and
    every version is gone to: `changes_kept` is the share of the changes that is there after that. `stored` is the
    size of the store as a share of full copies of all versions.
    """
    from groundup.data import load

    data = load("titanic")
    rng = np.random.default_rng(config.seed)
    rows = [",".join(str(data[column][at]) for column in data) for at in range(len(data))]
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        dataset, copies, names = Dataset(Store(root / "store"), root / "data"), 0, []
        for number in range(config.versions):
            start = int(rng.integers(len(rows) - config.corrections))
            for at in range(start, start + config.corrections * (number > 0)):
                rows[at] += f",corrected in version {number}"
            write_shards(dataset.folder, rows, config.shards)
            names.append(dataset.commit())
            copies += sum(path.stat().st_size for path in dataset.folder.iterdir())
            shutil.copytree(dataset.folder, root / f"copy-{number}")
            record.metric("bytes in the store", dataset.store.size(), step=number)
            record.metric("bytes of copies", copies, step=number)
        stored = dataset.store.size() / copies
        if config.damaged:
            for name in names:
                dataset.store.path(name).write_bytes(b"[]")
        exact = 0
        for _ in record.progress(range(config.switches), label="switches"):
            version = names[int(rng.integers(len(names)))]
            try:
                dataset.checkout(version)
            except Damaged:
                continue
            exact += hash_folder(dataset.folder) == version
        record.table("objects", [{"objects": len(dataset.store.names()), "problems": len(dataset.store.verify(names))}])
        stops, mine = 0, edited(dataset.folder, rng)
        for version in names:
            try:
                dataset.checkout(version)
            except (Conflict, Damaged):
                stops += 1
        changes_kept = kept(dataset.folder, mine)
        for number in range(config.versions):
            shutil.copytree(root / f"copy-{number}", dataset.folder, dirs_exist_ok=True)
        record.note(f"{stops} of {len(names)} checkouts stopped to spare the changes")
        record.baseline("changes_kept", kept(dataset.folder, mine), "copies are laid over the folder")
    record.result("changes_kept", changes_kept)
    record.baseline("exact", 1 / len(names), "the folder stays at one version")
    record.result("exact", exact / config.switches)
    record.baseline("stored", 1.0, "a full copy of each version")
    record.result("stored", stored)

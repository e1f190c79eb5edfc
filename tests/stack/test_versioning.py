"""`production/versioning`: processes that are killed, files larger than a chunk, and what DVC publishes."""

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from groundup.stack.production.versioning import (
    CHUNK,
    STAGED,
    Dataset,
    Store,
    checkout,
    hash_file,
    hash_folder,
    read_chunks,
)

DEADLY = """
import os, signal, sys
from groundup.stack.production.versioning import Store, checkout
count, replace = 0, os.replace
def deadly(*names):
    global count
    count += 1
    if count == {point}:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)
os.replace = deadly
{call}
"""


def killed(point: int, call: str) -> None:
    """Run a call in a process of its own, which is killed before its n-th rename."""
    done = subprocess.run([sys.executable, "-c", DEADLY.format(point=point, call=call)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL


def filled(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for path, text in files.items():
        (folder / path).write_text(text)


def test_a_large_file_is_hashed_in_pieces(tmp_path):
    data = b"0123456789abcdef" * (CHUNK // 16) + b"the rest"
    (tmp_path / "large").write_bytes(data)
    assert [len(chunk) for chunk in read_chunks(tmp_path / "large")] == [CHUNK, 8]
    assert hash_file(tmp_path / "large") == hashlib.md5(data).hexdigest()


def test_objects_lie_where_dvc_puts_them(tmp_path):
    store = Store(tmp_path / "files" / "md5")
    name = store.put([b"1,2\n"])
    assert store.path(name) == tmp_path / "files" / "md5" / name[:2] / name[2:]
    filled(tmp_path / "data", {"a.csv": "1,2\n"})
    version = store.commit(tmp_path / "data")
    assert version == hash_folder(tmp_path / "data")
    assert store.path(version).name == version[2:]
    assert store.path(version).read_bytes() == b'[{"md5": "%s", "relpath": "a.csv"}]' % name.encode()
    for wrong in ("../../etc", "ABCD", name + ".txt", ""):
        with pytest.raises(ValueError, match="32 hexadecimal digits"):
            store.path(wrong)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("point", [1, 3])
def test_a_killed_commit_leaves_a_whole_store(tmp_path, point):
    filled(tmp_path / "data", {"a": "1", "b": "2"})
    killed(point, f"Store({str(tmp_path / 'store')!r}).commit({str(tmp_path / 'data')!r})")
    store = Store(tmp_path / "store")
    assert store.verify() == {}
    assert not any(name.endswith(".dir") for name in store.names())
    version = store.commit(tmp_path / "data")
    assert (store.verify([version]), store.collect([version])) == ({}, set())
    assert not list(store.root.glob(f"{STAGED}*"))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_checkout_goes_on(tmp_path):
    dataset = Dataset(Store(tmp_path / "store"), tmp_path / "data")
    filled(dataset.folder, {"a": "1", "b": "1"})
    first = dataset.commit()
    filled(dataset.folder, {"a": "2", "b": "2"})
    second = dataset.commit()
    call = f"checkout(Store({str(tmp_path / 'store')!r}), {str(dataset.folder)!r}, {first!r}, {second!r})"
    killed(2, call)
    assert sorted((dataset.folder / path).read_text() for path in "ab") == ["1", "2"]
    assert len(list(dataset.folder.glob(f"{STAGED}*"))) == 1
    dataset.checkout(first)
    assert hash_folder(dataset.folder) == first
    assert sorted(path.name for path in dataset.folder.iterdir()) == ["a", "b"]


def test_links_are_refused(tmp_path):
    filled(tmp_path / "data", {"a": "1"})
    (tmp_path / "data" / "b").symlink_to(tmp_path / "data" / "a")
    with pytest.raises(ValueError, match="is a link"):
        hash_folder(tmp_path / "data")


def test_a_checkout_writes_only_files_that_differ(tmp_path):
    store, folder = Store(tmp_path / "store"), tmp_path / "data"
    filled(folder, {"a": "1", "b": "1"})
    first = store.commit(folder)
    filled(folder, {"a": "2"})
    second = store.commit(folder)
    before = (folder / "b").stat().st_ino
    assert set(checkout(store, folder, first, second).write) == {"a"}
    assert (folder / "b").stat().st_ino == before

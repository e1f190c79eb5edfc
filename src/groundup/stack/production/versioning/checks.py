"""Checks of versioning, on small folders in a temporary place. No byte is forced to the disk: `synced` stands in."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from groundup.checking import assert_refuses, assert_unchanged
from groundup.stack.production.versioning import (
    STAGED,
    Conflict,
    Damaged,
    Dataset,
    Plan,
    Store,
    checkout,
    decode_listing,
    encode_listing,
    hash_file,
    hash_folder,
    list_folder,
    plan,
    stage,
)

EMPTY = "d41d8cd98f00b204e9800998ecf8427e"  # the MD5 of nothing
A, B, C = (letter * 32 for letter in "abc")


def same(actual, expected, message):
    """Fail with `message` unless both are equal."""
    assert actual == expected, f"{message}\n  expected {expected!r}\n  got      {actual!r}"


@pytest.fixture(autouse=True)
def synced(monkeypatch):
    """Sizes of the files that were forced to the disk, in the order of the calls."""
    sizes = []
    monkeypatch.setattr(os, "fsync", lambda file: sizes.append(os.fstat(file).st_size))
    return sizes


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    return Store(tmp_path / "store")


@pytest.fixture
def data(tmp_path):
    """The folder that is put under version control; not there yet."""
    return tmp_path / "data"


def fill(folder, files):
    """Make a folder hold these texts, by path, and nothing else."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def texts(folder):
    """What a folder holds: text by path, folders that are empty as None, what is staged (under chance names) as one."""
    held = {}
    staged = sorted(path.read_text() for path in folder.rglob(f"{STAGED}*"))
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(STAGED):
            held[STAGED] = staged
        elif path.is_file():
            held[path.relative_to(folder).as_posix()] = path.read_text()
        elif not any(path.iterdir()):
            held[path.relative_to(folder).as_posix()] = None
    return held


def committed(store, folder, *versions):
    """The names of versions of a folder, which is left at the last one."""
    names = []
    for files in versions:
        fill(folder, files)
        names.append(store.commit(folder))
    return names


def name_of(text):
    """The name of the object with this text."""
    return hashlib.md5(text.encode()).hexdigest()


def spoil(store, name):
    """Change a byte of an object, as a bad disk does."""
    held = bytearray(store.path(name).read_bytes())
    held[-1] ^= 1
    store.path(name).write_bytes(bytes(held))


class Killed(BaseException):
    """What ends a process in the middle: no `except Exception` sees it."""


# encode_listing


def test_encode_listing_by_hand():
    """One line of JSON: an object for each file, sorted by path, md5 before relpath."""
    listing = {"b.csv": B, "a.csv": A}
    expected = '[{"md5": "' + A + '", "relpath": "a.csv"}, {"md5": "' + B + '", "relpath": "b.csv"}]'
    same(encode_listing(listing), expected.encode(), "the bytes")
    same(encode_listing({}), b"[]", "the bytes of an empty folder")


def test_encode_listing_is_that_of_dvc():
    """The MD5 of the listing is the one that DVC's documentation prints, and the one that dvc-data computes."""
    images = {"index.jpeg": "29a6c8271c0c8fbf75d3b97aecee589f", "cat.jpeg": "dff70c0392d7d386c39a23c64fcc0376"}
    published = "196a322c107c2572335158503c64bfba"  # dvc.org, "Structure of the cache directory"
    same(hashlib.md5(encode_listing(images)).hexdigest(), published, "the documentation's data/images")
    same_file = "402e97968614f583ece3b35555971f64"
    more = {"a/é.txt": "de7371b0119f4f75f9de703c7c3bac16", **images, **dict.fromkeys(["a-b", "a/b", "B"], same_file)}
    computed = "552624bb19d7d8877b490af7103006f6"  # dvc_data.hashfile.tree.Tree of dvc-data 3.18.3
    same(hashlib.md5(encode_listing(more)).hexdigest(), computed, "folders, capitals and an accent")


def test_encode_listing_does_not_depend_on_the_order():
    """The same files in another order give the same bytes, and decode_listing gives the files back."""
    listing = {f"{number % 3}/{number}": A for number in range(12)}
    backwards = dict(reversed(listing.items()))
    same(encode_listing(backwards), encode_listing(listing), "the bytes")
    same(decode_listing(encode_listing(listing)), listing, "the files")
    assert_unchanged(encode_listing, backwards)


def test_listings_refuse_to_leave_the_folder():
    """A path that leads elsewhere is refused on the way in, and on the way out: a manifest may be somebody else's."""
    for path in ("../keys", "/etc/passwd", "a/../../b", "a\\b", "./a", "a//b", ""):
        assert_refuses(lambda path=path: encode_listing({path: A}), message=f"{path!r} must be refused")
        data = json.dumps([{"md5": A, "relpath": path}]).encode()
        assert_refuses(lambda data=data: decode_listing(data), message=f"{path!r} must be refused when it is read")
    assert_refuses(lambda: encode_listing({"../keys": A}), "path", "../keys")
    same(decode_listing(encode_listing({"..a/b..": A})), {"..a/b..": A}, "dots within a name are fine")


def test_hashes_are_those_of_hashlib(data):
    """A file's hash is the MD5 of its bytes; a folder's is that of its listing, with .dir behind it."""
    fill(data, {"a.csv": "1,2\n", "deep/er/b.csv": "", f"{STAGED}1": "left by a kill"})
    (data / "nothing").mkdir()
    listing = {"a.csv": name_of("1,2\n"), "deep/er/b.csv": EMPTY}
    same(list_folder(data), listing, "the files")
    same(hash_file(data / "a.csv"), name_of("1,2\n"), "the file")
    same(hash_folder(data), hashlib.md5(encode_listing(listing)).hexdigest() + ".dir", "the folder")


# stage


def test_stage_writes_and_hashes(tmp_path):
    """The new file holds all pieces in their order, its name begins with STAGED, and the hash is that of hashlib."""
    path, digest = stage([b"one ", b"", b"two"], tmp_path)
    same(Path(path).read_bytes(), b"one two", "the bytes")
    same(digest, hashlib.md5(b"one two").hexdigest(), "the hash")
    same((Path(path).parent, Path(path).name.startswith(STAGED)), (tmp_path, True), "its place and name")
    same(stage([], str(tmp_path))[1], EMPTY, "the hash of no pieces, in a folder given as text")


def test_stage_twice_makes_two_files(tmp_path):
    """Two writers do not write into the same file, even of the same bytes."""
    first, second = stage([b"x"], tmp_path)[0], stage([b"x"], tmp_path)[0]
    assert first != second
    same((first.read_bytes(), second.read_bytes()), (b"x", b"x"), "the bytes of both")


def test_stage_forces_all_bytes_to_the_disk(tmp_path, synced):
    """os.fsync is called once all bytes have left Python's buffer; before, a power cut could leave half a file."""
    stage([b"12345", b"678"], tmp_path)
    same(synced, [8], "bytes in the file when it was forced to the disk")


def test_stage_takes_piece_by_piece(tmp_path):
    """A file larger than the memory goes through: pieces are written as they come, and not gathered."""
    alive = []

    class Piece(bytes):
        def __del__(self):
            alive.pop()

    def pieces():
        for _ in range(50):
            alive.append(1)
            assert len(alive) < 5, "pieces are gathered"
            yield Piece(b"x" * 10)

    path, _ = stage(pieces(), tmp_path)
    same(path.stat().st_size, 500, "bytes written")


@pytest.mark.parametrize("error", [ValueError, Killed, KeyboardInterrupt])
def test_stage_leaves_nothing_after_an_error(tmp_path, error):
    """Interrupted between two pieces, it removes the file, and lets the exception through."""

    def pieces():
        yield b"half"
        raise error

    with pytest.raises(error):
        stage(pieces(), tmp_path)
    same([STAGED if path.name.startswith(STAGED) else path.name for path in tmp_path.iterdir()], [], "files left")


# plan

CASES = {
    "the same everywhere": (A, A, A, None),
    "nowhere but in the base": (A, None, None, None),
    "made the same here as there": (None, B, B, None),
    "changed to the same here as there": (A, B, B, None),
    "changed here only": (A, B, A, None),
    "new here only": (None, A, None, None),
    "removed here only": (A, None, A, None),
    "changed there only": (A, A, B, "write"),
    "new there only": (None, None, B, "write"),
    "removed there only": (A, A, None, "remove"),
    "changed differently": (A, B, C, "conflict"),
    "new and different": (None, B, C, "conflict"),
    "changed here, removed there": (A, B, None, "conflict"),
    "removed here, changed there": (A, None, C, "conflict"),
}


def planned(listing):
    """A listing of one file, or of none."""
    return {} if listing is None else {"f": listing}


@pytest.mark.parametrize("case", CASES)
def test_plan_decides_by_three_hashes(case):
    """Each case of base, here and there is written, removed, in conflict, or left alone."""
    base, here, there, outcome = CASES[case]
    expected = Plan(
        {"f": there} if outcome == "write" else {},
        {"f"} if outcome == "remove" else set(),
        {"f"} if outcome == "conflict" else set(),
    )
    same(plan(planned(base), planned(here), planned(there)), expected, f"a file that is {case}")


def test_plan_takes_every_path_by_itself():
    """Files of one plan do not mix, and the listings stay as they were."""
    rows = {name: case for name, case in CASES.items() if case[3]}
    base, here, there = ({name: row[at] for name, row in rows.items() if row[at]} for at in range(3))
    todo = plan(base, here, there)
    for outcome, paths in (("write", set(todo.write)), ("remove", todo.remove), ("conflict", todo.conflicts)):
        same(paths, {name for name, row in rows.items() if row[3] == outcome}, f"paths of {outcome}")
    assert_unchanged(plan, base, here, there)


def test_plan_sees_files_where_folders_must_be():
    """A new file `a` of yours and a file `a/b` there cannot both be; where `a` is removed, they can."""
    same(plan({}, {"a": A}, {"a/b": B}).conflicts, {"a/b"}, "conflicts with a file of yours that stays")
    same(plan({}, {"a/b/c": A}, {"a": B}).conflicts, {"a/b/c"}, "conflicts with a folder of yours that stays")
    same(plan({"a": A}, {"a": A}, {"a/b": B}), Plan({"a/b": B}, {"a"}, set()), "a file that becomes a folder")
    same(plan({"a/b": A}, {"a/b": A}, {"a": B}), Plan({"a": B}, {"a/b"}, set()), "a folder that becomes a file")


# Store.verify


def test_verify_names_the_damaged_object(store, data):
    """One byte is changed: its object is named, and no other one."""
    (version,) = committed(store, data, {"a": "one", "b": "two"})
    same((store.verify(), store.verify([version])), ({}, {}), "problems of a whole store")
    spoil(store, name_of("two"))
    for versions in ([], [version]):
        same(store.verify(versions), {name_of("two"): "damaged"}, f"problems, given {versions}")


def test_verify_misses_what_versions_need(store, data):
    """An object that is gone can be known only from the listing of a version that needs it."""
    first, second = committed(store, data, {"a": "one"}, {"a": "two"})
    store.path(name_of("one")).unlink()
    same(store.verify(), {}, "without versions")
    same(store.verify([second]), {}, "for a version that does not need it")
    same(store.verify(iter([second, first])), {name_of("one"): "missing"}, "for both versions")


def test_verify_goes_on_after_a_bad_listing(store, data):
    """A listing that is damaged or missing is named, and everything else is still looked at, in the order of names."""
    first, second, third = committed(store, data, {"a": "one"}, {"a": "two"}, {"a": "three"})
    spoil(store, first)
    store.path(second).unlink()
    spoil(store, name_of("one"))
    store.path(name_of("three")).unlink()
    found = store.verify([first, second, third])
    expected = {first: "damaged", second: "missing", name_of("one"): "damaged", name_of("three"): "missing"}
    same(found, expected, "problems")
    same(list(found), sorted(expected), "their order")


def test_committing_again_heals(store, data):
    """An object that is put again is whole again, and equal files are kept once."""
    committed(store, data, {"a": "one", "copy": "one"})
    same(len(store.names()), 2, "objects: one file and the listing")
    spoil(store, name_of("one"))
    store.commit(data)
    same(store.verify(), {}, "problems")


# Store.collect


def test_collect_keeps_what_any_version_needs(store, data):
    """Of three versions two are kept: an object that only the third one needs goes, and is named; shared ones stay."""
    versions = [{"a": "one", "same": "same"}, {"a": "two", "same": "same"}, {"a": "three", "same": "same"}]
    first, second, third = committed(store, data, *versions)
    same(store.collect([first, third]), {second, name_of("two")}, "objects removed")
    kept = {first, third, *map(name_of, ["one", "three", "same"])}
    same(store.names(), kept, "objects kept")
    same(store.collect(iter([first, third])), set(), "removed by a second time, with the versions as an iterator")
    for version, files in ((first, versions[0]), (third, versions[2])):
        checkout(store, data.with_name(version), version)
        same(texts(data.with_name(version)), files, "a kept version, checked out")


def test_collect_removes_nothing_when_it_does_not_know(store, data):
    """A listing that is kept, and damaged or missing, may need anything: Damaged, and nothing is removed."""
    for hurt in (spoil, lambda store, name: store.path(name).unlink()):
        first, second = committed(store, data, {"a": "one"}, {"a": "two"})
        hurt(store, first)
        before = store.names()
        with pytest.raises(Damaged) as raised:
            store.collect([second, first])
        same(raised.value.name, first, "the object named")
        same(store.names(), before, "objects")


def test_collect_refuses_to_keep_nothing(store, data):
    """No version to keep would remove everything; a single name, and the name of a file, are slips as well."""
    (version,) = committed(store, data, {"a": "one"})
    assert_refuses(lambda: store.collect([]), "keep")
    assert_refuses(lambda: store.collect(version), "keep", version)
    assert_refuses(lambda: store.collect([version, name_of("one")]), "version", name_of("one"))
    same(len(store.names()), 2, "objects")


def test_collect_sweeps_up_after_kills(store, data):
    """What a killed writer left staged goes too, and is no object."""
    (version,) = committed(store, data, {"a": "one"})
    left = store.root / f"{STAGED}abc"
    left.write_text("half")
    same(
        (store.collect([version]), left.exists()), (set(), False), "objects removed, and whether the leftover is there"
    )


# checkout


def test_checkout_back_and_forth(store, data):
    """Each version comes back byte for byte: files changed, added, removed, and a file that becomes a folder."""
    versions = [{"a": "one", "x": "file", "sub/gone": "1"}, {"a": "two", "x/deep/er": "folder", "new": ""}]
    names = committed(store, data, *versions)
    base = names[1]
    for turn in (0, 1, 0, 0, 1):
        done = checkout(store, data, names[turn], base)
        same(texts(data), versions[turn], "the files")
        same(hash_folder(data), names[turn], "the folder's name")
        changed = {path for path, text in versions[turn].items() if versions[1 - turn].get(path) != text}
        same(set(done.write), changed if base != names[turn] else set(), "paths written, as they are returned")
        base = names[turn]


def test_checkout_into_nothing(store, data, tmp_path):
    """Without a base it makes the folder and those above it, also in a folder that is there."""
    (version,) = committed(store, data, {"a/b": "one", "c": "two"})
    for folder in (tmp_path / "new" / "er", tmp_path / "there"):
        (tmp_path / "there").mkdir(exist_ok=True)
        checkout(store, str(folder), version)
        same(texts(folder), {"a/b": "one", "c": "two"}, "the files")


def test_checkout_keeps_uncommitted_changes(store, data):
    """A file that both versions agree on keeps your change; a new file, and a file that you removed, stay so."""
    first, second = committed(store, data, {"a": "1", "b": "b", "c": "c"}, {"a": "2", "b": "b", "c": "c"})
    fill(data, {"a": "2", "b": "mine", "notes": "mine"})
    for version, base, text in ((first, second, "1"), (second, first, "2")):
        checkout(store, data, version, base)
        same(texts(data), {"a": text, "b": "mine", "notes": "mine"}, "the files")


def test_checkout_refuses_to_lose_a_change(store, data):
    """A change of a file that differs there is a Conflict: it names the paths in order, and nothing is changed."""
    first, second = committed(store, data, {"a": "1", "b": "1", "z": "1"}, {"a": "2", "b": "2", "c": "2"})
    mine = {"a": "2", "b": "mine", "c": "mine"}
    fill(data, mine)
    with pytest.raises(Conflict) as raised:
        checkout(store, data, first, second)
    same(raised.value.paths, ["b", "c"], "the paths named")
    same(texts(data), mine, "the files")
    fill(data, {"z": "mine"})
    with pytest.raises(Conflict):
        checkout(store, data, first)
    same(texts(data), {"z": "mine"}, "the files of a folder that came from no version")
    third, fourth = committed(store, data, {"new/er": "1"}, {})
    fill(data, {"new": "mine"})
    with pytest.raises(Conflict):
        checkout(store, data, third, fourth)
    same(texts(data), {"new": "mine"}, "the files, when one of yours stands where a folder must be")


def test_checkout_stops_at_a_bad_object(store, data):
    """An object or a listing that is damaged or missing stops it before anything is changed; nothing staged is left."""
    old, new = {"a": "1", "m": "1", "z": "1"}, {"b": "2b", "m": "2m", "y": "2y"}
    for hurt, problem in ((spoil, "damaged"), (lambda store, name: store.path(name).unlink(), "missing")):
        for bad in ("2b", "2m", "2y", "the listing"):
            first, second = committed(store, data, new, old)
            name = first if bad == "the listing" else name_of(bad)
            hurt(store, name)
            with pytest.raises(Damaged) as raised:
                checkout(store, data, first, second)
            same((raised.value.name, raised.value.problem), (name, problem), "the object named, and its problem")
            same(texts(data), old, f"the files, when {bad} is {problem}")


@pytest.mark.parametrize("point", range(1, 6))
def test_checkout_goes_on_after_a_kill(store, data, monkeypatch, point):
    """Killed before any rename or removal: each file is old or new and never half, and the same call goes on."""
    old, new = {"a": "1", "b": "1", "x": "1", "y": "1"}, {"a": "2", "b": "2", "c": "2"}
    first, second = committed(store, data, new, old)
    count, replace, unlink = [0], os.replace, Path.unlink

    def deadly(do):
        def act(path, *rest, **options):
            if do is replace or not path.name.startswith(STAGED):
                count[0] += 1
                if count[0] == point:
                    raise Killed
            return do(path, *rest, **options)

        return act

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", deadly(replace))
        patch.setattr(Path, "unlink", deadly(unlink))
        with suppress(Killed):
            checkout(store, data, first, second)
    for path, text in texts(data).items():
        assert text in (old.get(path), new.get(path)), f"{path} holds {text!r}, which neither version has there"
    checkout(store, data, first, second)
    same(texts(data), new, "the files after the second call")


# the whole


def test_a_dataset_beside_git(store, data):
    """Commit, change, look, commit, and follow the manifest, which Git would bring back."""
    dataset = Dataset(store, data)
    fill(data, {"a": "1", "b": "1"})
    same(dataset.status(), {"a": "new", "b": "new"}, "changes before the first version")
    first = dataset.commit()
    manifest = dataset.manifest.read_text()
    out = {"md5": first, "size": 2, "nfiles": 2, "hash": "md5", "path": "data"}
    same(json.loads(manifest), {"outs": [out]}, "the manifest")
    fill(data, {"a": "2", "c": "2"})
    same(dataset.status(), {"a": "changed", "b": "gone", "c": "new"}, "changes")
    second = dataset.commit()
    same((dataset.status(), dataset.at()), ({}, second), "changes after a commit, and the version")
    dataset.manifest.write_text(manifest)
    dataset.checkout()
    same((texts(data), dataset.at()), ({"a": "1", "b": "1"}, first), "files and version of the manifest")
    dataset.checkout(second)
    same((texts(data), dataset.status()), ({"a": "2", "c": "2"}, {}), "and forth again")

"""Versions of data by content: a store of objects named by their hash, and folders that switch between versions.

    data = Dataset(Store("cache"), "data")       # the folder `data`, its manifest `data.json` beside it
    first = data.commit()                        # "196a32….dir": commit data.json with Git, next to the code
    data.status()                                # {"train.csv": "changed"}
    second = data.commit()
    data.checkout(first)                         # back, and with data.checkout(second) forth again

Hashes, listings and places of objects are those of DVC 3 (its folder `.dvc/cache/files/md5`): a file's name in the
store is the MD5 of its bytes, a folder's is the MD5 of a JSON listing of its files, with ".dir" behind it.
https://dvc.org/doc/user-guide/project-structure/internal-files

Not covered: symbolic links, empty folders, file modes, a `collect` while somebody else commits, and a power cut that
undoes the last renames (their folders are not forced to the disk).
"""

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

CHUNK = 1 << 20
STAGED = ".staged-"
Listing = dict[str, str]
_NAME = re.compile(r"[0-9a-f]{32}(\.dir)?")


class Damaged(Exception):
    """An object of the store is missing, or its bytes are not those that its name promises.

    Attributes:
        name: the object.
        problem: "missing" or "damaged".
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"object {name} is {problem}: fetch it from a copy of the store, or commit the data again")
        self.name, self.problem = name, problem


class Conflict(Exception):
    """A checkout would overwrite or remove changes that no version holds.

    Attributes:
        paths: the files with such changes, in order.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = sorted(paths)
        super().__init__(f"uncommitted changes would be lost: {', '.join(self.paths)}. Commit them, or move them away.")


def read_chunks(path: str | Path, size: int = CHUNK) -> Iterator[bytes]:
    """The bytes of a file in pieces of at most `size`, so that a file may be larger than the memory."""
    with open(path, "rb") as file:
        while chunk := file.read(size):
            yield chunk


def hash_file(path: str | Path) -> str:
    """The MD5 of a file's bytes in hexadecimal, as `md5sum` and DVC 3 give it. Name and time do not count."""
    digest = _md5()
    for chunk in read_chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def list_folder(folder: str | Path) -> Listing:
    """The hash of every file below a folder, by its path from there, with "/" between names.

    Empty folders, and what a killed `stage` left, are not listed. A folder that is not there has no files.

    Raises:
        ValueError: there is a symbolic link.
    """
    listing: Listing = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_symlink():
            raise ValueError(f"folder must hold files and folders only; {path} is a link. Copy the file there.")
        if path.is_file() and not path.name.startswith(STAGED):
            listing[path.relative_to(folder).as_posix()] = hash_file(path)
    return listing


def encode_listing(listing: Mapping[str, str]) -> bytes:
    """A listing as DVC writes it: the same files give the same bytes, in whatever order they were found.

    It is a JSON array with an object for each file, {"md5": hash, "relpath": path}, its keys in this order, sorted by
    path, as `json.dumps` writes it by default (one line, ", " and ": " between, non-ASCII escaped), in UTF-8.

    Args:
        listing: hashes by path.

    Raises:
        ValueError: a path leads out of the folder, or is not written with "/" alone (see `_check_paths`).
    """
    _check_paths(listing)
    entries = [{"md5": listing[path], "relpath": path} for path in sorted(listing)]
    return json.dumps(entries).encode()


def decode_listing(data: bytes) -> Listing:
    """The listing that `encode_listing` wrote. It may come from somebody else: paths are checked again."""
    listing = {entry["relpath"]: entry["md5"] for entry in json.loads(data)}
    _check_paths(listing)
    return listing


def hash_folder(folder: str | Path) -> str:
    """The name that `Store.commit` would give the folder, without a store."""
    digest = _md5()
    digest.update(encode_listing(list_folder(folder)))
    return f"{digest.hexdigest()}.dir"


def stage(chunks: Iterable[bytes], folder: str | Path) -> tuple[Path, str]:
    """Write bytes to a new file that waits in a folder to be renamed to its place, and hash them on the way.

    The file is on the disk (`os.fsync` of all its bytes) before this returns: renaming it afterwards is atomic, so
    that whoever reads its place finds the old bytes or all of the new ones. If anything is raised on the way, be it
    a KeyboardInterrupt, the file is removed again and the exception goes on.

    Args:
        chunks: the bytes, in pieces; they are consumed one by one.
        folder: on the same disk as the place; it must be there.

    Returns:
        The file, whose name begins with STAGED, and the MD5 of its bytes in hexadecimal.
    """
    path, digest = Path(folder) / f"{STAGED}{uuid.uuid4().hex}", _md5()
    try:
        with open(path, "xb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise
    return path, digest.hexdigest()


@dataclass(frozen=True)
class Plan:
    """What a checkout does.

    Attributes:
        write: objects to write, by path.
        remove: paths to remove.
        conflicts: paths whose changes would be lost.
    """

    write: Listing
    remove: set[str]
    conflicts: set[str]


def plan(base: Mapping[str, str], here: Mapping[str, str], there: Mapping[str, str]) -> Plan:
    """What leads a folder from one version to another, and spares what was changed in it since.

    For each path of any of the three, with its hash in each (or none, where it is not):

    - here as there: nothing is to be done;
    - base as there: the versions agree, so a change of the folder stays;
    - base as here: the folder has no change, so the file is written, or removed if it is not there;
    - all differ: a conflict.

    In conflict is also a file that would come to stand where a folder must be, or the other way round: of what the
    folder would hold, `_clashes` names these.

    Args:
        base: the version that the folder came from.
        here: the folder as it is.
        there: the version to go to.
    """
    write: Listing = {}
    remove: set[str] = set()
    conflicts: set[str] = set()
    for path in {*base, *here, *there}:
        old, now, new = base.get(path), here.get(path), there.get(path)
        if now == new or old == new:
            continue
        if now != old:
            conflicts.add(path)
        elif new is None:
            remove.add(path)
        else:
            write[path] = new
    return Plan(write, remove, conflicts | _clashes({*here, *write} - remove))


class Store:
    """Objects by the hash of their bytes, each in a file that never changes.

    Args:
        root: the folder; it is made if it is not there. "ab12…" lies in `root/ab/12…`.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where an object lies, or would lie. Raises ValueError for what is no name of an object."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"name must be 32 hexadecimal digits, with .dir for a folder; got {name!r}.")
        return self.root / name[:2] / name[2:]

    def names(self) -> set[str]:
        """All objects."""
        return {path.parent.name + path.name for path in self.root.glob("??/*")}

    def size(self) -> int:
        """Bytes of all objects."""
        return sum(self.path(name).stat().st_size for name in self.names())

    def put(self, chunks: Iterable[bytes], suffix: str = "") -> str:
        """Keep bytes, and give the object's name. One that is there is written anew, and thereby healed."""
        staged, digest = stage(chunks, self.root)
        name = digest + suffix
        self.path(name).parent.mkdir(exist_ok=True)
        os.replace(staged, self.path(name))
        return name

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of an object, in pieces. Raises Damaged: first if it is missing, at the end if it is damaged."""
        if not self.path(name).is_file():
            raise Damaged(name, "missing")
        digest = _md5()
        for chunk in read_chunks(self.path(name)):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != name[:32]:
            raise Damaged(name, "damaged")

    def problem(self, name: str) -> str | None:
        """What is wrong with an object: "missing", "damaged", or None."""
        try:
            for _ in self.chunks(name):
                pass
        except Damaged as damaged:
            return damaged.problem
        return None

    def listing(self, version: str) -> Listing:
        """The hashes of a version's files, by path. Raises Damaged."""
        if not version.endswith(".dir"):
            raise ValueError(f"version must be the name of a folder, which ends in .dir; got {version!r}.")
        return decode_listing(b"".join(self.chunks(version)))

    def commit(self, folder: str | Path) -> str:
        """Keep a folder, and give the version's name. The listing comes last: a version that is there has its files."""
        root = Path(folder)
        listing = {path: self.put(read_chunks(root / path)) for path in list_folder(root)}
        return self.put([encode_listing(listing)], ".dir")

    def verify(self, versions: Iterable[str] = ()) -> dict[str, str]:
        """Hash every object anew, and look for every object that the versions need.

        Args:
            versions: names of versions. The files of one whose own listing is missing or damaged are not known.

        Returns:
            What is wrong ("missing" or "damaged", see `problem`), by the name of the object, in the order of names.
        """
        needed = self.names()
        for version in versions:
            needed.add(version)
            if self.problem(version) is None:
                needed.update(self.listing(version).values())
        problems = {name: self.problem(name) for name in sorted(needed)}
        return {name: problem for name, problem in problems.items() if problem is not None}

    def collect(self, keep: Iterable[str]) -> set[str]:
        """Remove every object that none of some versions needs, and what killed writers left staged in the root.

        Args:
            keep: names of the versions; each keeps its listing and all files in it.

        Returns:
            The names of the objects that were removed.

        Raises:
            ValueError: keep is empty, or a single name instead of several (see `_check_keep`).
            Damaged: a listing is missing or damaged, so that nobody knows what it needs. Nothing is removed then.
        """
        needed = _check_keep(keep)
        for version in list(needed):
            needed.update(self.listing(version).values())
        removed = self.names() - needed
        for name in removed:
            self.path(name).unlink()
        _sweep(self.root)
        return removed


def checkout(store: Store, folder: str | Path, target: str, base: str | None = None) -> Plan:
    """Turn a folder into another version, without losing a change that was made in it.

    Nothing in the folder changes before every file that is to be written is staged there, and so proved whole. Files
    are removed before others take their places, and each takes it by one atomic rename. Killed in between, the same
    call goes on where it stood. No staged file is left behind, whatever is raised.

    Args:
        store: holds both versions.
        folder: is made, with the folders above it, if it is not there.
        target: the version to go to.
        base: the version that the folder came from; None if it came from none.

    Returns:
        What was done, from `plan`.

    Raises:
        Conflict: a change would be lost. Nothing was changed.
        Damaged: an object is missing or damaged. Nothing was changed.
    """
    root = Path(folder)
    before = {} if base is None else store.listing(base)
    todo = plan(before, list_folder(root), store.listing(target))
    if todo.conflicts:
        raise Conflict(todo.conflicts)
    root.mkdir(parents=True, exist_ok=True)
    staged: dict[str, Path] = {}
    try:
        for path, name in todo.write.items():
            staged[path], _ = stage(store.chunks(name), root)
        for path in todo.remove:
            _remove(root, path)
        for path, waiting in staged.items():
            _place(waiting, root / path)
    finally:
        for waiting in staged.values():
            waiting.unlink(missing_ok=True)
    return todo


class Dataset:
    """A folder under version control.

    Beside the folder `data` lie `data.json`, the manifest, which you commit with Git, and `data.head`, the version
    that the folder came from, which is this machine's own affair: leave it, like the folder, out of Git.

    Args:
        store: where versions are kept.
        folder: the data.
    """

    def __init__(self, store: Store, folder: str | Path) -> None:
        self.store, self.folder = store, Path(folder)
        self.manifest = self.folder.with_name(f"{self.folder.name}.json")
        self.head = self.folder.with_name(f"{self.folder.name}.head")

    def at(self) -> str | None:
        """The version that the folder came from; None before the first."""
        return self.head.read_text(encoding="utf-8") if self.head.exists() else None

    def commit(self) -> str:
        """Keep the folder as a version, and write its name into the manifest."""
        version = self.store.commit(self.folder)
        self._write(version)
        return version

    def status(self) -> dict[str, str]:
        """Uncommitted changes: "new", "changed" or "gone", by path."""
        version = self.at()
        old, now = {} if version is None else self.store.listing(version), list_folder(self.folder)
        kinds = {path: "new" if path not in old else "changed" if path in now else "gone" for path in {*old, *now}}
        return {path: kinds[path] for path in sorted(kinds) if old.get(path) != now.get(path)}

    def checkout(self, version: str | None = None) -> Plan:
        """Go to a version; to the manifest's, which Git may have changed, if none is given. Raises as `checkout`."""
        if version is None:
            target = str(json.loads(self.manifest.read_text(encoding="utf-8"))["outs"][0]["md5"])
        else:
            target = version
        if self.folder.exists():
            _sweep(self.folder)
        done = checkout(self.store, self.folder, target, self.at())
        self._write(target)
        return done

    def _write(self, version: str) -> None:
        """Write the manifest, with the fields of a .dvc file, and the head, atomically."""
        files = self.store.listing(version).values()
        size = sum(self.store.path(name).stat().st_size for name in files)
        out = {"md5": version, "size": size, "nfiles": len(files), "hash": "md5", "path": self.folder.name}
        for place, text in ((self.manifest, json.dumps({"outs": [out]}, indent=1) + "\n"), (self.head, version)):
            staged, _ = stage([text.encode()], place.parent)
            os.replace(staged, place)


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)


def _check_paths(listing: Mapping[str, str]) -> None:
    """Refuse a path that is absolute, empty, holds a backslash, or ".", ".." or nothing between two slashes."""
    for path in listing:
        parts = path.split("/")
        if "\\" in path or PurePosixPath(path).is_absolute() or {"", ".", ".."} & set(parts):
            raise ValueError(f"path must lead to a file below the folder, as in 'train/1.csv'; got {path!r}.")


def _check_keep(keep: Iterable[str]) -> set[str]:
    """The versions to keep, as a new set."""
    versions = set() if isinstance(keep, str) else set(keep)
    if not versions:
        raise ValueError(f"keep must name at least one version, in a list; got {keep!r}. All else would be removed.")
    return versions


def _clashes(paths: Iterable[str]) -> set[str]:
    """Those of some files that would have to lie below another one of them."""
    files = set(paths)
    return {path for path in files if files & {str(parent) for parent in PurePosixPath(path).parents}}


def _remove(root: Path, path: str) -> None:
    """Remove a file, and the folders above it that are empty then. A file that is gone already is fine."""
    (root / path).unlink(missing_ok=True)
    for parent in list(PurePosixPath(path).parents)[:-1]:
        if (root / parent).is_dir() and not any((root / parent).iterdir()):
            (root / parent).rmdir()


def _place(waiting: Path, place: Path) -> None:
    """Give a staged file its place, in one atomic step."""
    place.parent.mkdir(parents=True, exist_ok=True)
    os.replace(waiting, place)


def _sweep(folder: Path) -> None:
    """Remove what a killed `stage` left in a folder."""
    for left in folder.glob(f"{STAGED}*"):
        left.unlink()

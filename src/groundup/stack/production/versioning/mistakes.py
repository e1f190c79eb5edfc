# pyright: basic
"""Ways to get versioning wrong, and right ways that differ."""

import hashlib
import json
import os
import uuid
from pathlib import Path

from groundup.anatomy import mistake, variant
from groundup.stack.production.versioning.versioning import (
    STAGED,
    Conflict,
    Plan,
    _check_keep,
    _check_paths,
    _clashes,
    _place,
    _remove,
    _sweep,
    list_folder,
    plan,
    stage,
)


@mistake("encode_listing", edit=("sorted(listing)", "listing"))
def lists_files_as_they_come():
    """You write the files in the order in which they were found. Another disk finds them in another: sort by path."""


@mistake("encode_listing", edit=('{"md5": listing[path], "relpath": path}', '{"relpath": path, "md5": listing[path]}'))
def puts_the_path_first():
    """Your objects begin with relpath. The bytes are hashed, so the order of the keys counts: md5 comes first."""


@mistake("encode_listing", edit=("    _check_paths(listing)\n", ""))
def trusts_every_path():
    """You check no path. One that says ../ writes outside of the folder when somebody checks the version out."""


@mistake("stage", edit=("            os.fsync(file.fileno())\n", ""))
def leaves_the_bytes_in_memory():
    """You force nothing to the disk. After a power cut the file has its name, and not its bytes: call os.fsync."""


@mistake("stage", edit=("            file.flush()\n", ""))
def syncs_before_flushing():
    """You call os.fsync while bytes are still in Python's buffer. Flush first, then fsync."""


@mistake("stage", edit=("except BaseException:", "except Exception:"))
def forgets_ctrl_c():
    """You clean up after an Exception only. A KeyboardInterrupt is none, and leaves half a file behind."""


@mistake("stage", edit=("        raise\n", "        return path, digest.hexdigest()\n"))
def hides_what_went_wrong():
    """You swallow the exception, and return half a file's hash as if all were well. Raise it again."""


@mistake("plan", edit=("if now == new or old == new:", "if now == new:"))
def fights_over_files_that_stay():
    """You call your own change a conflict although both versions have the same file there. Then it can just stay."""


@mistake("plan", edit=("            conflicts.add(path)", "            write[path] = new"))
def overwrites_uncommitted_changes():
    """You write over a file that was changed here and is different there. Those bytes are in no version: a conflict."""


@mistake("plan", edit=("elif new is None:", "elif now is None:"))
def writes_files_that_are_gone():
    """You ask whether the file is here. A file is removed when it is not *there*, in the version to go to."""


@mistake("plan", edit=(" | _clashes({*here, *write} - remove)", ""))
def forgets_files_in_the_way():
    """You look at each path by itself. A file `a` of yours stands in the way of the folder of `a/b`."""


@mistake("Store.verify", edit=("needed.update(self.listing(version).values())", "pass"))
def looks_at_what_is_there_only():
    """You look at the objects that are there. One that is missing can only be known from a listing that names it."""


@mistake("Store.verify", edit=("if self.problem(version) is None:", "if True:"))
def reads_damaged_listings():
    """You read a listing without knowing that it is whole, and stop at the first bad one. Name it, and go on."""


@mistake("Store.collect", edit=("needed.update(self.listing(version).values())", "needed |= {version}"))
def forgets_the_files():
    """You keep the listings, and remove every file that they name. A version needs both."""


@mistake("Store.collect", edit=("_sweep(self.root)", "pass"))
def leaves_the_leftovers():
    """You leave what killed writers left staged in the root. No version needs it, and nobody else removes it."""


@mistake(
    "Store.collect",
    edit=("self.listing(version).values()", "self.listing(version).values() if self.problem(version) is None else []"),
)
def skips_damaged_listings():
    """You skip a listing that is damaged, and remove its files, which may all be whole. Stop before you remove."""


@mistake("checkout")
def places_each_file_at_once(store, folder, target, base=None):
    """You give each file its place as soon as it is staged. A damaged object then leaves a folder of two versions."""
    root = Path(folder)
    before = {} if base is None else store.listing(base)
    todo = plan(before, list_folder(root), store.listing(target))
    if todo.conflicts:
        raise Conflict(todo.conflicts)
    root.mkdir(parents=True, exist_ok=True)
    for path in todo.remove:
        _remove(root, path)
    for path, name in todo.write.items():
        _place(stage(store.chunks(name), root)[0], root / path)
    return todo


@mistake("checkout", edit=("            waiting.unlink(missing_ok=True)", "            pass"))
def leaves_staged_files():
    """You leave staged files in the folder when an object is damaged. Remove them, whatever is raised."""


@mistake("checkout", edit=("    if todo.conflicts:\n        raise Conflict(todo.conflicts)\n", ""))
def ignores_conflicts():
    """You do what can be done and keep quiet about the conflicts: the folder is then no version at all. Refuse."""


@variant("encode_listing")
def by_hand(listing):
    """The JSON is put together as text, and only the path is escaped by json."""
    _check_paths(listing)
    lines = [f'{{"md5": "{digest}", "relpath": {json.dumps(path)}}}' for path, digest in sorted(listing.items())]
    return f"[{', '.join(lines)}]".encode("ascii")


@variant("stage")
def by_a_descriptor(chunks, folder):
    """Written through the operating system's own calls, without a buffer."""
    path = Path(folder) / f"{STAGED}{uuid.uuid4()}"
    digest = hashlib.md5()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        for chunk in chunks:
            digest.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except BaseException:
        os.close(descriptor)
        os.remove(path)
        raise
    os.close(descriptor)
    return path, digest.hexdigest()


@variant("plan")
def by_sets_of_pairs(base, here, there):
    """Changes of either side as sets of pairs; what both changed differently is in conflict."""
    mine, theirs = dict(here.items() ^ base.items()).keys(), dict(there.items() ^ base.items()).keys()
    apart = dict(here.items() ^ there.items()).keys()
    conflicts = set(mine & theirs & apart)
    free = theirs - mine
    write = {path: there[path] for path in free if path in there}
    remove = {path for path in free if path not in there}
    return Plan(write, remove, conflicts | _clashes((set(here) | set(write)) - remove))


@variant("Store.collect")
def by_asking_each_object(self, keep):
    """All listings are read first; then each object is asked whether it is needed."""
    keep = _check_keep(keep)
    listings = [self.listing(version) for version in keep]
    needed = keep.union(*(listing.values() for listing in listings))
    removed = set()
    for name in self.names():
        if name not in needed:
            os.remove(self.path(name))
            removed.add(name)
    _sweep(self.root)
    return removed

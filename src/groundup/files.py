"""Files written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes | str, *, mode: int = 0o666) -> None:
    """Write a file in one step: after any failure, either the old or the new file exists whole, without litter.

    Args:
        path: the file; its folder must be there.
        content: a text becomes UTF-8, its line ends as they are.
        mode: who may read and write it, less the umask.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    fresh = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        with open(fresh, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def stamp(path: Path) -> tuple[int, int] | None:
    """A value that changes with every write of the file; None for a missing file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size

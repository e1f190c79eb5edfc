"""Log files and pipes into the store, each line once: what is new in them since the last time.

A log is known by its content rather than by its name: by its first bytes, and by those before the place where reading
stopped. So a file that was renamed (`app.log` → `app.log.1`), copied and cut (`copytruncate`) or packed
(`app.log.1.gz`) is recognised and read on, and what is new under an old name is a log of its own.

A last line without its end waits for it, unless nothing was written for a minute; should it go on after all, it is
replaced.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import time as clock
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from groundup.errors import UsageError
from groundup.systems.copilot.errors import CannotRead
from groundup.systems.copilot.reading.content import PIECE, Opened, opened_as_text
from groundup.systems.copilot.reading.logs import MAX_LINE
from groundup.systems.copilot.store import Source, Store

BLOCK = 4 << 20  # bytes that are read, and stored in one transaction
KNOWN = 1024  # bytes by which a log is known, at its beginning and before the place where reading stopped
LONG = 8 * MAX_LINE  # bytes of a line that are kept while its end is looked for
QUIET = 60.0  # seconds after which a last line without its end is taken as whole
IDLE = 0.5  # seconds without input after which what came through a pipe is stored
STDIN = "standard input"

Report = Callable[[Source, int], None]


@dataclass(frozen=True)
class Place:
    """How far a file was read, and how to know it again.

    Attributes:
        device: the device that it is on, and `inode` its number there.
        inode: see `device`.
        size: how large it was, and `changed` when it was written to, by the file system; equal to now, nothing is new.
        changed: see `size`.
        offset: how many bytes of its content (unpacked) were read.
        head: how many bytes `head_hash` is of, at the beginning.
        head_hash: their hash.
        tail_hash: the hash of the last bytes before `offset`.
        unended: how many bytes of a last line without its end are stored behind `offset`.
        cut: why it was not read to its end, in words; empty where it was.
    """

    device: int = 0
    inode: int = 0
    size: int = -1
    changed: int = 0
    offset: int = 0
    head: int = 0
    head_hash: str = ""
    tail_hash: str = ""
    unended: int = 0
    cut: str = ""


@dataclass
class Ingested:
    """What came of it.

    Attributes:
        lines: how many lines were stored.
        files: how many files they are from.
        waiting: files whose last line has no end yet.
        skipped: files of a folder that are no text, or packed in a way that is not read.
        unread: what was named and could not be read, or not to its end, each with the reason.
        state: the files as they were before they were read, by the file system.
    """

    lines: int = 0
    files: int = 0
    waiting: int = 0
    skipped: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    state: tuple[Any, ...] = ()

    def __add__(self, later: Ingested) -> Ingested:
        return Ingested(
            self.lines + later.lines,
            max(self.files, later.files),
            later.waiting,
            later.skipped,
            self.unread | later.unread,
            later.state,
        )


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def log_files(paths: list[str], known: Collection[str] = ()) -> list[Path]:
    """The files that paths name, those in folders too, in the order of their names; `known` may be away for now."""
    files: dict[Path, None] = {}
    for name in paths:
        path = Path(name)
        if path.is_dir():
            inside = (entry for entry in sorted(path.rglob("*")) if not _hidden(entry.relative_to(path)))
            files |= dict.fromkeys(entry for entry in inside if entry.is_file())
        elif path.exists() or str(path.resolve()) in known:
            files[path] = None
        else:
            raise UsageError(
                f"FILE must be a log file or a folder that exists, and '{path}' does not. "
                "Check the path, or give - for stdin."
            )
    return list(files)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def state_of(paths: list[str]) -> tuple[Any, ...]:
    """The files as the file system knows them: where it is the same as before, nothing was written."""
    states = []
    for path in log_files(paths, [str(Path(name).resolve()) for name in paths]):
        with suppress(OSError):
            status = path.stat()
            states.append((str(path), status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(states)


def ingest_files(
    store: Store,
    paths: list[str],
    *,
    report: Report = lambda source, lines: None,
    stopped: Callable[[], bool] = lambda: False,
    zone: tzinfo | None = None,
) -> Ingested:
    """Store what is new in files and folders.

    Args:
        store: where to.
        paths: files and folders.
        report: called once lines are stored, for each source and batch with the number of its new lines.
        stopped: whether to stop after the batch.
        zone: the zone of times that name none; UTC unless given.
    """
    reader = _Reader(store, report, stopped, zone=zone)
    reader.done.state = state_of(paths)
    folders = [Path(name).resolve() for name in paths if Path(name).is_dir()]
    with store.gathering():
        for path in log_files(paths, {source.name for source in reader.sources.values()}):
            if stopped():
                break
            path = path.resolve()
            if path in (store.path.resolve(), store.path.resolve().with_name(f"{store.path.name}.wal")):
                continue
            try:
                reader.read(path)
            except FileNotFoundError:
                reader.read_moved(path)  # rotated away, and nothing has taken its place yet
            except CannotRead as error:  # the files behind it are read all the same
                if any(folder in path.parents for folder in folders):
                    reader.done.skipped.append(str(path))
                else:
                    reader.done.unread[str(path)] = str(error)
            except OSError as error:
                raise UsageError(f"FILE must be readable, and '{path}' is not: {error.strerror or error}.") from error
    reader.tell()
    return reader.done


def ingest_upload(
    store: Store, path: Path, name: str, *, stopped: Callable[[], bool] = lambda: False
) -> tuple[Source, int]:
    """Store what is new in a file that somebody sent; all of it is there, and it is known by its content and its name.

    Args:
        store: where to.
        path: where the file is for now.
        name: what whoever sent it calls it.
        stopped: whether to stop after the batch.

    Returns:
        The source, and the number of its new lines.
    """
    reader = _Reader(store, lambda source, lines: None, stopped, kind="upload")
    with open_content(path) as content:
        known = (candidate for candidate in reversed(reader.sources.values()) if candidate.name == name)
        matches = (candidate for candidate in known if goes_on(content.stream, place_of(candidate)))
        source = next(matches, Source("upload", name))
        stored = reader._read_on(source, content)
    return stored, reader.done.lines


class _Reader:
    """Reads files one after the other, and knows which of them the store has read before."""

    def __init__(
        self,
        store: Store,
        report: Report,
        stopped: Callable[[], bool],
        *,
        kind: str = "file",
        zone: tzinfo | None = None,
    ) -> None:
        self.store, self.report, self.stopped, self.zone = store, report, stopped, zone
        self.sources = {source.id: source for source in store.sources() if source.kind == kind}
        self.whole = kind == "upload"  # nobody writes to it any more
        self.done = Ingested()
        self.untold: list[tuple[Source, int]] = []

    def tell(self) -> None:
        """Report what was read, as soon as it is stored."""
        if self.store.written:
            for source, lines in self.untold:
                self.report(source, lines)
            self.untold = []

    def read(self, path: Path) -> None:
        """Store what is new in a file."""
        status = path.stat()
        for source in self.sources.values():
            place = place_of(source)
            known = (source.name, place.device, place.inode, place.size, place.changed)
            if known == (str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns):
                if place.cut:
                    self.done.unread[source.name] = place.cut
                return
        with open_content(path, whole=False) as content:
            source = self._recognised(path, content)
            if source is None:
                self.read_moved(path)  # first what is left of the log that had this name before
                source = Source("file", str(path))
            self._read_on(source, content)

    def _recognised(self, path: Path, content: Content) -> Source | None:
        """The source that a file goes on with: under its own name, renamed, or copied or packed by a rotation."""
        newest_first = list(reversed(self.sources.values()))
        for source in newest_first:
            if source.name == str(path) and goes_on(content.stream, place_of(source)):
                return source
        for source in newest_first:
            place = place_of(source)
            if (place.device, place.inode) == content.identity and goes_on(content.stream, place):
                return replace(source, name=str(path))
        for source in newest_first:
            old = Path(source.name)
            if _is_rotated(path, old) and goes_on(content.stream, place_of(source)) and not _is_there(source):
                return replace(source, name=str(path))
        return None

    def read_moved(self, path: Path) -> None:
        """Read on the log that had a file's name before, under the name that it has now."""
        for source in [candidate for candidate in self.sources.values() if candidate.name == str(path)]:
            place = place_of(source)
            for other in sorted(path.parent.iterdir()):
                with suppress(FileNotFoundError, PermissionError):
                    status = other.stat()
                    same = (status.st_dev, status.st_ino) == (place.device, place.inode)
                    if other == path or not other.is_file() or not (same or _is_rotated(other, path)):
                        continue
                    with suppress(CannotRead), open_content(other, whole=False) as content:
                        if goes_on(content.stream, place):
                            self._read_on(replace(source, name=str(other)), content)
                            break

    def _read_on(self, source: Source, content: Content) -> Source:
        """Store what stands behind the place where reading stopped, block by block."""
        place, before = place_of(source), source.lines
        content.stream.seek(0)
        head = content.stream.read(KNOWN)
        place = replace(
            place, device=content.identity[0], inode=content.identity[1], head=len(head), head_hash=_hash(head), size=-1
        )
        tail_from = max(0, place.offset - KNOWN)
        content.stream.seek(tail_from)
        tail = content.stream.read(place.offset - tail_from)
        for block in _blocks(content.stream):
            if self.stopped():
                break
            lines = decode(block.lines, first=not place.offset)
            tail = (tail + block.lines)[-KNOWN:]
            place = replace(place, offset=place.offset + block.size, tail_hash=_hash(tail))
            redo = 1 if place.unended and (lines or (block.last and len(block.rest) != place.unended)) else 0
            if redo:
                place = replace(place, unended=0)
            if block.last:
                place = replace(place, cut=_cut(source.name, content.damage) if content.damage else "")
                whole = self.whole or content.packed or clock.time() - content.status.st_mtime > QUIET
                if block.rest and whole and not place.unended:
                    lines += decode(block.rest, first=not place.offset)
                    place = replace(place, unended=len(block.rest))
                if block.rest and not whole:
                    self.done.waiting += 1
                else:
                    place = replace(place, size=content.status.st_size, changed=content.status.st_mtime_ns)
            known = self.sources.get(source.id)
            changed = known is not None and (asdict(place), source.name) != (known.cursor, known.name)
            if lines or redo or changed:
                source = self.store.append(source, lines, cursor=asdict(place), redo=redo, zone=self.zone)
                self.sources[source.id] = source
                self.untold.append((source, len(lines)))
                if not block.last:  # the ends of small files are written together
                    self.store.flush()
                self.tell()
        if content.damage:
            self.done.unread[source.name] = _cut(source.name, content.damage)
        self.done.lines += source.lines - before
        self.done.files += source.lines > before
        return source


def place_of(source: Source) -> Place:
    """The place in a file that a source's cursor holds."""
    return Place(**source.cursor)


def goes_on(stream: Stream, place: Place) -> bool:
    """Whether a file's content begins with what was read of it until `place`."""
    if not place.offset and not place.unended:
        return False
    stream.seek(0)
    if _hash(stream.read(place.head)) != place.head_hash:
        return False
    length = min(KNOWN, place.offset)
    stream.seek(place.offset - length)
    return _hash(stream.read(length)) == place.tail_hash


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _is_there(source: Source) -> bool:
    """Whether the file of a source still holds what was read of it."""
    try:
        with open_content(Path(source.name), whole=False) as content:
            return goes_on(content.stream, place_of(source))
    except (OSError, CannotRead):
        return False


def _is_rotated(path: Path, old: Path) -> bool:
    """Whether a file's name is one that a rotation gives to `old`: app.log.1, app.log-20261120.gz, app-20261120.log."""
    starts = (f"{old.name}.", f"{old.name}-", f"{old.stem}-", f"{old.stem}.")
    return path.parent == old.parent and path != old and path.name.startswith(starts)


def _cut(name: str, damage: list[str]) -> str:
    return f"FILE must be whole, and of '{name}' {damage[0]}. What stands before is stored. Fetch it again."


# ── content ─────────────────────────────────────────────────────────────────────────────────────────────────────────
class Stream(Protocol):
    """What is asked of a file's content."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, fewer at the end."""
        ...

    def seek(self, offset: int, /) -> int:
        """Go to a place."""
        ...


@dataclass(frozen=True)
class Content:
    """An open file: its content unpacked and in UTF-8, what the file system says of it, and why it ends too early."""

    stream: Stream
    status: os.stat_result
    packed: bool
    damage: list[str]

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return self.status.st_dev, self.status.st_ino


@contextmanager
def open_content(path: Path, *, whole: bool = True) -> Iterator[Content]:
    """A file's content as UTF-8, whatever it is packed with and encoded in (`content`).

    Args:
        path: the file.
        whole: whether damage is an error; else the content ends where it begins.

    Raises:
        CannotRead: it is no text, or is packed in a way that is not read.
    """
    with path.open("rb", PIECE) as file:
        opened = opened_as_text(file, str(path))
        stream = _Whole(opened, path) if whole and opened.packed else opened.stream
        yield Content(stream, os.fstat(file.fileno()), bool(opened.packed), opened.damage)


class _Whole:
    """Packed content whose damage is an error."""

    def __init__(self, opened: Opened, path: Path) -> None:
        self._opened, self._path = opened, path

    def read(self, size: int, /) -> bytes:
        data = self._opened.stream.read(size)
        if self._opened.damage:
            raise UsageError(f"FILE must be whole, and of '{self._path}' {self._opened.damage[0]}. Fetch it again.")
        return data

    def seek(self, offset: int, /) -> int:
        return self._opened.stream.seek(offset)


@dataclass(frozen=True)
class _Block:
    """Whole lines, how many bytes of content they are, what stands behind them, and whether nothing more comes."""

    lines: bytes
    size: int
    rest: bytes
    last: bool


def _blocks(stream: Stream) -> Iterator[_Block]:
    rest, dropped = b"", 0
    while True:
        read = stream.read(BLOCK)
        content = rest + read
        end = content.rfind(b"\n") + 1
        rest = content[end:]
        last = len(read) < BLOCK  # a stream gives fewer bytes at its end only
        yield _Block(content[:end], end + dropped if end else 0, rest, last)
        if last:
            return
        if end:
            dropped = 0
        if len(rest) > LONG:  # a line that is longer than what is kept of it: what stands in its middle is let go
            shorter = rest[: LONG - KNOWN] + rest[-KNOWN:]
            dropped += len(rest) - len(shorter)
            rest = shorter


def decode(data: bytes, *, first: bool) -> list[str]:
    """The lines of some bytes; what is no UTF-8 is replaced, a mark at the very beginning (`first`) left out."""
    if not data:
        return []
    text = data.decode("utf-8", "replace")
    if first:
        text = text.removeprefix("\ufeff").lstrip("\0")
    lines = text.removesuffix("\n").split("\n")
    if "\r" in text:
        lines = [line.rstrip("\r") for line in lines]
    if len(data) > MAX_LINE and max(map(len, lines)) > MAX_LINE:
        lines = [line[:MAX_LINE] for line in lines]
    return lines


# ── pipes ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def ingest_stream(
    store: Store,
    stream: BinaryIO,
    *,
    report: Report = lambda source, lines: None,
    stopped: Callable[[], bool] = lambda: False,
    zone: tzinfo | None = None,
) -> Ingested:
    """Store what comes through a pipe, each time as a source of its own; a packed one is unpacked.

    Raises:
        CannotRead: it is no text, or is packed in a way that is not read.
    """
    count = sum(source.kind == "stdin" for source in store.sources())
    source, rest = Source("stdin", f"{STDIN} {count + 1}"), b""
    damage: list[str] = []
    for data, last in _arrivals(stream, stopped, damage):
        content = rest + data
        end = len(content) if last else content.rfind(b"\n") + 1
        lines = decode(content[:end], first=not source.lines)
        rest = content[end:]
        rest = rest if len(rest) <= LONG else rest[:LONG]
        if lines:
            source = store.append(source, lines, cursor={}, zone=zone)
            report(source, len(lines))
    unread = {STDIN: _cut(STDIN, damage)} if damage else {}
    if damage and source.id:
        source = store.append(source, [], cursor={"cut": unread[STDIN]})
    return Ingested(lines=source.lines, files=int(source.lines > 0), unread=unread)


def _arrivals(stream: BinaryIO, stopped: Callable[[], bool], damage: list[str]) -> Iterator[tuple[bytes, bool]]:
    """What comes, in pieces that are worth storing: a block, or what there is when nothing follows for a moment."""
    pieces: queue.Queue[bytes | BaseException] = queue.Queue(64)

    def read() -> None:
        try:
            opened = opened_as_text(stream, STDIN)
            while data := opened.stream.read1(1 << 20):
                pieces.put(data)
            damage.extend(opened.damage)
            pieces.put(b"")
        except BaseException as error:
            pieces.put(error)

    threading.Thread(target=read, daemon=True).start()
    waiting: list[bytes] = []
    due = 0.0
    while True:
        try:
            piece = pieces.get(timeout=IDLE)
        except queue.Empty:
            piece = b"" if stopped() else None
        if waiting and (piece is None or clock.monotonic() > due or sum(map(len, waiting)) >= BLOCK):
            yield b"".join(waiting), False
            waiting = []
        if piece is None:
            continue
        if isinstance(piece, BaseException):
            yield b"".join(waiting), True
            raise piece
        if not piece:
            yield b"".join(waiting), True
            return
        if not waiting:
            due = clock.monotonic() + IDLE
        waiting.append(piece)

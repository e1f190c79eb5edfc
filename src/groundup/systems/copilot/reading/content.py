"""The content of a log file or a pipe as UTF-8 bytes: unpacked, recoded, or refused where it is no text.

    with open("app.log.xz", "rb") as file:
        opened = opened_as_text(file, "app.log.xz")
        opened.stream.readline()

gzip, xz, lzma, bz2 and zstd are unpacked, UTF-16 and UTF-32 are recoded, with their mark or without. What is packed in
another way, and what is no text, is refused: a log that nobody read must not pass as healthy. Packed data that ends too
early, or is damaged, is read as far as it goes; `damage` says so.

Not covered: archives of several files (zip, tar), and legacy encodings: what is no UTF-8 in them is replaced.
"""

from __future__ import annotations

import bz2
import codecs
import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any, cast

from groundup.extras import need
from groundup.systems.copilot.errors import CannotRead

SAMPLE = 8192  # bytes at the beginning that tell text from what is none
HOLE = 1024  # MiB of zeros at the beginning that are looked behind
PIECE = 1 << 16
SMALL = 1 << 12  # packed bytes that are unpacked at once, by what cannot be asked to stop: they may become very many


def _zstd() -> Any:
    need("Logs packed as zstd", "zstandard")
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj()


# What a packed file begins with: its name, a decompressor of one member, and how many bytes it is given at once.
_PACKED: tuple[tuple[bytes, str, Callable[[], Any], int], ...] = (
    (b"\x1f\x8b", "gzip", lambda: zlib.decompressobj(31), PIECE // 4),
    (b"\xfd7zXZ\0", "xz", lambda: lzma.LZMADecompressor(), SMALL),
    (b"]\0\0\x80\0", "lzma", lambda: lzma.LZMADecompressor(), SMALL),
    (b"BZh", "bz2", lambda: bz2.BZ2Decompressor(), SMALL),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd, SMALL),
)
_UNREAD: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "is a zip archive", "Unpack it first"),
    (b"7z\xbc\xaf", "is a 7z archive", "Unpack it first"),
    (b"Rar!", "is a rar archive", "Unpack it first"),
    (b"\x04\x22\x4d\x18", "is packed as lz4", "Unpack it first"),
    (b"\xff\x06\0\0sNaPpY", "is packed as snappy", "Unpack it first"),
    (b"\x1f\x9d", "is packed by compress", "Unpack it first"),
    (b"\x89LZO", "is packed as lzo", "Unpack it first"),
    (b"ElfFile\0", "is a Windows event log in binary", "Export it as XML first (wevtutil qe FILE /lf:true /f:xml)"),
    (b"LPKSHHRH", "is a journal in binary", "Export it first (journalctl --file FILE -o json)"),
    (b"PAR1", "is a Parquet file", "Export its column of lines as text first"),
    (b"SQLite format 3\0", "is an SQLite database", "Export its lines as text first"),
)
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_CONTROL = bytes([*range(1, 8), *range(14, 27), *range(28, 32), 127])  # but for what text has: tabs, ends, colours


@dataclass
class Opened:
    """Content that is being read.

    Attributes:
        stream: the bytes, as UTF-8 as far as they are text.
        packed: how the file is packed; empty where it is not.
        damage: what kept it from being read to its end, in words; known once it was read.
    """

    stream: io.BufferedReader
    packed: str = ""
    damage: list[str] = field(default_factory=list)


def opened_as_text(file: IO[bytes], name: str) -> Opened:
    """A file, from its beginning, or a pipe as text.

    Raises:
        CannotRead: it is no text, or is packed in a way that is not read.
    """
    stream = cast(io.BufferedReader, file if hasattr(file, "peek") else io.BufferedReader(cast(Any, file), SAMPLE))
    opened = Opened(stream)
    start = stream.peek(16)[:16]
    if (kind := _packed_as(start)) is not None:
        opened.packed = kind[1]
        opened.stream = io.BufferedReader(_Unpacked(stream, *kind[1:], opened.damage), PIECE)
    sample = opened.stream.peek(SAMPLE)[:SAMPLE]
    if sample and not sample.strip(b"\0") and opened.stream.seekable():
        sample = _behind_hole(opened.stream)
    encoding = _encoding(sample, name, opened)
    if encoding:
        opened.stream = io.BufferedReader(_Recoded(opened.stream, encoding), PIECE)
    return opened


def _behind_hole(stream: io.BufferedReader) -> bytes:
    """What stands behind the zeros that a file begins with: `copytruncate` leaves as many as were cut."""
    sample = b"\0"
    for _ in range(HOLE):
        block = stream.read(1 << 20)
        if not block or (sample := block.lstrip(b"\0")):
            break
    stream.seek(0)
    return sample[:SAMPLE] or b"\0"


def _packed_as(start: bytes) -> tuple[bytes, str, Callable[[], Any], int] | None:
    kind = next((kind for kind in _PACKED if start.startswith(kind[0])), None)
    if kind is not None and kind[1] == "bz2" and start[4:10] not in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
        return None  # a line may begin with BZh
    return kind


def _encoding(sample: bytes, name: str, opened: Opened) -> str:
    """The encoding that a text must be recoded from; empty for UTF-8."""
    for start, what, remedy in _UNREAD:
        if sample.startswith(start):
            raise CannotRead(name, f"{what}, which is not read", remedy)
    if not sample.strip(b"\0"):
        if sample:
            raise CannotRead(name, "holds no text, only zeros", "Name the file that the lines were written to")
        if opened.damage:
            raise CannotRead(name, f"cannot be unpacked: {opened.damage[0]}", "Fetch it again")
        return ""
    if sample[257:262] == b"ustar":
        raise CannotRead(name, "is an archive (tar), which is not read", "Unpack it first")
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    text = sample.lstrip(b"\0")  # a hole that copytruncate leaves at the beginning
    if not _is_binary(text) and 50 * text.count(0) <= len(text):
        return ""
    for encoding, width, zeros in (("utf-32-le", 4, (1, 2, 3)), ("utf-32-be", 4, (0, 1, 2)),
                                   ("utf-16-le", 2, (1,)), ("utf-16-be", 2, (0,))):  # fmt: skip
        others = [place for place in range(width) if place not in zeros]
        least = min(sample[place::width].count(0) for place in zeros)
        size = len(sample) // width
        if least * (5 if size >= 64 else 1.1) >= size and 20 * sum(sample[p::width].count(0) for p in others) <= least:
            recoded = sample[: len(sample) // width * width].decode(encoding, "replace")
            if recoded.count("\ufffd") * 50 <= len(recoded) and not _is_binary(recoded.encode()):
                return encoding
    raise CannotRead(name, "is no text", "Name a log that is text, or gzip, xz, bz2 or zstd of one")


def _is_binary(sample: bytes) -> bool:
    """Whether bytes hold many control characters of several kinds, as no text does; separators may be of one kind."""
    kinds = [byte for byte in _CONTROL if byte in sample]
    count = len(sample) - len(sample.translate(None, _CONTROL))
    return 50 * count > len(sample) and len(kinds) >= (8 if len(sample) >= 512 else 3)


class _Made(io.RawIOBase):
    """Bytes that are made of a file's. Going back begins again."""

    _file: io.BufferedReader
    _ready: bytes
    _at: int
    _done: bool

    def _begin(self) -> None:
        self._ready, self._at, self._done = b"", 0, False

    def _feed(self) -> None:
        """Make `_ready` of the file's next bytes; `_done` where there are none."""
        raise NotImplementedError

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence:
            raise io.UnsupportedOperation("only from the beginning")
        if offset < self._at:
            self._file.seek(0)
            self._begin()
        while self._at < offset and self.read(min(PIECE, offset - self._at)):
            pass
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        while not self._ready and not self._done:
            self._feed()
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        self._at += count
        return count


class _Unpacked(_Made):
    """What packed bytes become; several members follow each other."""

    def __init__(
        self, file: io.BufferedReader, name: str, make: Callable[[], Any], piece: int, damage: list[str]
    ) -> None:
        self._file, self._name, self._make, self._piece, self._damage = file, name, make, piece, damage
        self._begin()

    def _begin(self) -> None:
        super()._begin()
        self._member, self._fed = self._make(), False

    def _feed(self) -> None:
        packed = self._file.read1(self._piece)
        if not packed:
            self._done = True
            if self._fed:
                self._say(f"the {self._name} data ends too early")
            return
        pieces: list[bytes] = []
        try:
            while packed:
                pieces.append(self._member.decompress(packed))
                self._fed = not self._member.eof
                packed = self._member.unused_data if self._member.eof else b""
                if self._member.eof:
                    self._member = self._make()
                    packed = packed.lstrip(b"\0")  # padding between members
        except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError) as error:
            self._failed(error)
        except Exception as error:  # zstandard's own, which is not there without it
            if type(error).__name__ != "ZstdError":
                raise
            self._failed(error)
        self._ready = b"".join(pieces)

    def _failed(self, error: Exception) -> None:
        self._done = True
        self._say(f"the {self._name} data is damaged ({error})")

    def _say(self, damage: str) -> None:
        if damage not in self._damage:
            self._damage.append(damage)


class _Recoded(_Made):
    """Text of another encoding as UTF-8."""

    def __init__(self, file: io.BufferedReader, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self._begin()

    def _begin(self) -> None:
        super()._begin()
        self._decoder = codecs.getincrementaldecoder(self._encoding)("replace")

    def _feed(self) -> None:
        data = self._file.read1(PIECE)
        self._done = not data
        self._ready = self._decoder.decode(data, final=self._done).encode("utf-8", "replace")

"""Headers read once for all lines that differ in digits only, which is what most lines of a log do.

What stands where in a header does not depend on which digits it holds. So a line is cut where the first one of its
shape (its text with `0` for each digit) was, and only its time is read anew. A header for which that is not so is not
remembered: `_same_for_all` says which.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from groundup.systems.copilot.reading.parsed import Parsed
from groundup.systems.copilot.reading.times import seconds

MOST = 20_000  # shapes that a reader remembers
LONG = 1_000  # characters; longer lines are not remembered

_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_EPOCH = b"0" * 10  # the shape of seconds since 1970, which begin with 1 so far: another digit makes another header
_SHORT_ZONE = re.compile(r":\d\d(?:[.,:]\d{1,9})?(?: [AP]M)? ?[+-]\d\d(?=[\s\]|,)]|$)")  # a zone up to `+14`
_DIGIT = re.compile(r"\d")
_EPOCH_NEXT = re.compile(r" (?:\S+ ){0,2}\d{10}")


class Headed(NamedTuple):
    """What a reader of headers made of a line, and where its time stands.

    Attributes:
        parsed: what the line says.
        notation: which group of `TIME` the time matches; 0 where the line must not be remembered.
        begin: where the time begins.
        end: where the header's last time ends.
        epoch: where seconds since 1970 begin, before the time in another notation; -1 where there are none.
    """

    parsed: Parsed
    notation: int = 0
    begin: int = -1
    end: int = -1
    epoch: int = -1


# Where the lines of one shape are cut: their format; begin, end and notation of the time; level and service, or the
# service's begin and end where it has digits; the begin of the message, and of seconds since 1970. It is taken apart
# for every line, which takes longer with names.
_Cut = tuple[str, int, int, int, str | None, str | None, int, int, int, int]


def remembering(read: Callable[[str], Headed | None]) -> Callable[[str], Parsed | None]:
    """A reader of headers with a memory."""
    known: dict[bytes, _Cut] = {}
    find = known.get

    def remembered(text: str) -> Parsed | None:
        shape = text.encode("utf-8", "surrogatepass").translate(_ZEROS)
        if (cut := find(shape)) is not None:
            name, begin, end, notation, level, service, first, last, message, epoch = cut
            if epoch < 0 or text[epoch] == "1":
                if last:
                    service = text[first:last]
                return Parsed(name, text[message:], seconds(text[begin:end], notation), level, service)
        headed = read(text)
        if headed is None:
            return None
        if headed.notation and len(text) <= LONG and (cut := _cut(text, shape, headed)) is not None:
            if len(known) >= MOST:
                known.clear()
            known[shape] = cut
        return headed.parsed

    return remembered


def _cut(text: str, shape: bytes, headed: Headed) -> _Cut | None:
    """Where lines of a shape are cut; None where that depends on their digits, or is more than cutting."""
    parsed, notation, begin, end, epoch = headed
    message = len(text) - len(parsed.message)
    header = text[:message]
    if parsed.fields or text[message:] != parsed.message or not _same_for_all(text, header, shape, end, epoch):
        return None
    service, first, last = parsed.service, 0, 0
    if service is not None and _DIGIT.search(service) is not None:
        first = header.find(service)
        last = first + len(service)
        if first < 0 or header.find(service, first + 1) >= 0:
            return None
    return parsed.format, begin, end, notation, parsed.level, service, first, last, message, epoch


def _same_for_all(text: str, header: str, shape: bytes, end: int, epoch: int) -> bool:
    """Whether a header is read in the same way whatever its digits are."""
    if "*" in header or ":trace" in header:  # `*64` (Windows), levels of Apache
        return False
    if _SHORT_ZONE.search(text, 0, max(len(header), end + 5)) is not None or _EPOCH_NEXT.match(text, end) is not None:
        return False
    return shape.count(_EPOCH, 0, len(header.encode("utf-8", "surrogatepass"))) == (epoch >= 0)

# ruff: noqa: E501 - lines of logs are as long as they are
"""Headers that are read once for all lines which differ in digits only."""

from __future__ import annotations

import random
import re
import string

import pytest

from groundup.systems.copilot.reading import formats
from groundup.systems.copilot.reading import remembering as module
from groundup.systems.copilot.reading.remembering import remembering
from tests.systems.copilot.cases import CASES

READERS = (formats._headed, formats._inside)
# Lines whose digits decide how their header is read: each pair has one shape.
PAIRS = (
    ("2026-03-02 10:00:00 +05 cart: started", "2026-03-02 10:00:00 +15 cart: started"),
    ("2026-03-02 10:00:00.123+05 started", "2026-03-02 10:00:00.123+15 started"),
    ("- 1117838570 2005.06.03 R02 2005-06-03-15.42.50 R02 INFO up", "- 2117838570 2005.06.03 R02 2005-06-03-15.42.50 R02 INFO up"),
    ("- a1 2005-06-03-15.42.50 1117838570 up", "- a1 2005-06-03-15.42.50 2117838570 up"),
    ("- a1 2005-06-03-15.42.50 b c 1117838570 up", "- a1 2005-06-03-15.42.50 b c 2117838570 up"),
    ("1772445600 INFO up", "2772445600 INFO up"),
    ("[Mon Mar 02 10:00:00.123456 2026] [core:trace1] [pid 5] up", "[Mon Mar 02 10:00:00.123456 2026] [core:trace9] [pid 5] up"),
    ("[03.02 10:00:00] chrome.exe *64 - up", "[03.02 10:00:00] chrome.exe *65 - up"),
    ("<165>2026-03-02T10:00:00Z cart up", "<163>2026-03-02T10:00:00Z cart up"),
    ("2026-03-02 10:00:00 node-1 cart-2[7]: up", "2026-03-02 10:00:00 node-2 cart-3[8]: up"),
    ("2026-03-02 10:00:00 INFO [a1] org.b2.Cart - up", "2026-03-02 10:00:00 INFO [a2] org.b1.Cart - up"),
    ("Mar  2 10:00:00 a1 a1[1]: up", "Mar  2 10:00:00 a1 a2[1]: up"),
    ("2026-02-28 10:00:00 INFO up", "2026-02-30 10:00:00 INFO up"),
)  # fmt: skip


def held_to(lines: list[str]) -> None:
    """Each line is read as without a memory, whichever lines were read before."""
    for read in READERS:
        remembered = remembering(read)
        for line in lines:
            headed = read(line)
            expected = None if headed is None else headed.parsed
            result = remembered(line)
            assert result == expected, line
            if result is not None and expected is not None:
                assert type(result.time) is type(expected.time), line


@pytest.mark.parametrize("pair", PAIRS)
def test_a_line_is_read_as_if_no_other_of_its_shape_had_been_read(pair: tuple[str, str]) -> None:
    one, other = pair
    assert re.sub(r"\d", "0", one) == re.sub(r"\d", "0", other)
    held_to([one, other, one])
    held_to([other, one, other])


def test_other_digits_are_read_as_if_they_were_the_first() -> None:
    rng = random.Random(0)
    lines = [line for text, _ in CASES.values() for line in text.split("\n") if line]
    drawn = [re.sub(r"\d", lambda _, of=digits: rng.choice(of), line)
             for digits in (string.digits, "01") for line in lines]  # fmt: skip
    held_to([*lines, *drawn, *lines])


def test_lines_of_one_shape_are_read_once() -> None:
    read: list[str] = []
    remembered = remembering(lambda text: read.append(text) or formats._headed(text))
    parsed = [
        remembered(f"2026-03-02 10:00:{second} node cart[{second}]: took {second} ms") for second in range(10, 60)
    ]
    assert len(read) == 1
    assert [entry and entry.message for entry in parsed] == [f"took {second} ms" for second in range(10, 60)]
    assert [entry and entry.time for entry in parsed] == [1772445600.0 + second for second in range(10, 60)]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    read: list[str] = []
    remembered = remembering(lambda text: read.append(text) or formats._headed(text))
    lines = [f"2026-03-02 10:00:00 INFO {word}" for word in "abcd"]
    for line in [*lines[:3], *lines[:3], lines[3], lines[0]]:  # the fourth begins anew
        remembered(line)
    assert read == [*lines, lines[0]]
    long = f"2026-03-02 10:00:00 INFO {'x' * module.LONG}"
    assert remembered(long) == remembered(long)
    assert read[-2:] == [long, long]

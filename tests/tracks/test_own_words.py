"""The tracks are in our own words: no eight words in a row are those of the roadmaps.

The roadmaps themselves are not part of the project. `eight_words.bin` holds a five-byte hash of each run of eight
words in them, in order of the hashes, so that nothing can be read out of it. It was written by

    python -m tests.tracks.test_own_words FOLDER_OF_ROADMAPS
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from groundup.course.material.roadmaps import Resource, Track, load_tracks

HASHES = Path(__file__).with_name("eight_words.bin")
RUN, SIZE = 8, 5


def runs(text: str) -> Iterator[str]:
    """Every run of eight words, without case and punctuation."""
    found = re.findall(r"[^\W_]+", text.lower())
    yield from (" ".join(found[i : i + RUN]) for i in range(len(found) - RUN + 1))


def digest(run: str) -> bytes:
    return hashlib.blake2b(run.encode(), digest_size=SIZE).digest()


def known() -> set[bytes]:
    data = HASHES.read_bytes()
    return {data[i : i + SIZE] for i in range(0, len(data), SIZE)}


def copied(text: str, theirs: set[bytes]) -> list[str]:
    return [run for run in runs(text) if digest(run) in theirs]


def own(entry: Any) -> Iterator[str]:
    """Every text but titles and authors of resources, which are facts and stay as they are."""
    if isinstance(entry, Resource):
        yield entry.about
    elif isinstance(entry, str):
        yield entry
    elif isinstance(entry, tuple):
        for part in entry:
            yield from own(part)
    elif dataclasses.is_dataclass(entry):
        for field in dataclasses.fields(entry):
            yield from own(getattr(entry, field.name))


@pytest.mark.parametrize("track", load_tracks().values(), ids=list(load_tracks()))
def test_no_eight_words_in_a_row_are_the_roadmaps_own(track: Track) -> None:
    theirs = known()
    assert [run for text in own(track) for run in copied(text, theirs)] == []


def test_a_copied_sentence_would_be_found() -> None:
    """The title of a video is in the roadmaps word by word; as a sentence of ours it would be caught."""
    assert len(known()) > 5000
    assert copied("Decision Trees, Part 2 - Feature Selection and Missing Data", known())
    assert not copied("Nobody has ever written these particular eight words before", known())


if __name__ == "__main__":
    documents = [path.read_text(encoding="utf-8", errors="replace") for path in Path(sys.argv[1]).glob("00*.txt")]
    HASHES.write_bytes(b"".join(sorted({digest(run) for document in documents for run in runs(document)})))

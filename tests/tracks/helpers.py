"""What the tests of the tracks share: the text of anything, and what it must say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from groundup.course.material.roadmaps import Track, load_tracks


def by_document(document: str) -> Track:
    """The track of a document."""
    (track,) = [track for track in load_tracks().values() if track.document == document]
    return track


def words(entry: Any) -> str:
    """All text of a track, a section, an item or a note, in lower case."""
    return " ".join(texts(entry)).lower()


def texts(entry: Any) -> Iterator[str]:
    """Every text in a track, a section, an item or a note."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, tuple):
        for part in entry:
            yield from texts(part)
    elif dataclasses.is_dataclass(entry):
        for field in dataclasses.fields(entry):
            yield from texts(getattr(entry, field.name))


def assert_says(entry: Any, *wanted: str) -> None:
    """Every wanted piece is said; alternatives are separated by `|`."""
    said = words(entry)
    missing = [piece for piece in wanted if not any(p.strip().lower() in said for p in piece.split("|"))]
    assert not missing, f"{getattr(entry, 'id', entry)} does not say {missing}"

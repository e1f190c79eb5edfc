"""What real programs write is read as the records that it is."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from groundup.systems.copilot.finding.templates import Miner
from groundup.systems.copilot.reading.logs import parse
from groundup.systems.copilot.reading.times import Naive, seconds
from groundup.systems.copilot.store import Source, open_store
from tests.systems.copilot.cases import CASES, TIMES, Found


def iso(time: float | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(round(time, 6), UTC).isoformat().removesuffix("+00:00")


@pytest.mark.parametrize("name", CASES)
def test_each_case_is_read_as_its_records(name: str) -> None:
    text, expected = CASES[name]
    records = list(parse(text.split("\n")))
    found = [Found(r.message, r.level, r.service, None, len(r.joined), r.status) for r in records]
    assert found == [Found(e.message, e.level, e.service, None, e.joined, e.status) for e in expected]
    for record, wanted in zip(records, expected, strict=True):
        if wanted.time is not None:
            assert (iso(record.time) or "no time").startswith(wanted.time)
    numbers = [record.number for record in records]
    assert numbers == sorted(numbers)
    lines = text.split("\n")
    for record in records:
        assert record.text == lines[record.number - 1]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 3])
def test_the_store_joins_what_comes_in_several_batches(name: str, size: int) -> None:
    text, expected = CASES[name]
    lines = text.split("\n")
    with open_store(":memory:") as store:
        source = Source("pushed", "a")
        for i in range(0, len(lines), size):
            source = store.append(source, lines[i : i + size], cursor={})
            if i % 2:
                store._tails.clear()  # another process goes on
        whole = store.append(Source("pushed", "b"), lines, cursor={})
        owners = [
            [row[0] for row in store.connection.execute(
                "SELECT record FROM lines WHERE source = ? ORDER BY position", [one.id]).fetchall()]
            for one in (source, whole)
        ]  # fmt: skip
        assert owners[0] == owners[1]
        found = [(r.message, r.level, r.service) for r in store.records("a")]
        assert found == [(e.message, e.level, e.service) for e in expected]


@pytest.mark.parametrize("text", TIMES)
def test_times_of_every_notation(text: str) -> None:
    assert iso(seconds(text)) == (
        None if TIMES[text] is None else iso(datetime.fromisoformat(f"{TIMES[text]}+00:00").timestamp())
    )


def test_a_log_of_the_clock_alone_is_in_order_over_midnight() -> None:
    lines = [f"{i // 60 % 24:02d}:{i % 60:02d}:00.000 [main] INFO a.B -- {i}" for i in range(1_300, 1_600, 7)]
    times = [record.time or 0.0 for record in parse(lines)]
    assert [b - a for a, b in pairwise(times)] == [420.0] * (len(times) - 1)


def test_times_without_a_zone_are_of_the_zone_that_is_given() -> None:
    lines = ["2026-07-05 11:00:00 INFO a", "2026-07-05T11:00:00Z INFO b", "2026-01-05 11:00:00,5 INFO c", "INFO d"]
    berlin = [iso(record.time) for record in parse(lines, zone=ZoneInfo("Europe/Berlin"))]
    assert berlin == ["2026-07-05T09:00:00", "2026-07-05T11:00:00", "2026-01-05T10:00:00.500000", None]
    assert type(seconds("2026-07-05 11:00:00")) is Naive
    assert type(seconds("05/Jul/2026:11:00:00 +0200")) is float
    with open_store(":memory:") as store:
        source = store.append(Source("pushed", "a"), lines[:2], cursor={}, zone=ZoneInfo("Europe/Berlin"))
        store.append(source, lines[2:], cursor={}, zone=ZoneInfo("Europe/Berlin"))
        assert [iso(record.time) for record in store.records()] == berlin


def test_json_without_a_message_is_one_template_of_free_values() -> None:
    miner = Miner()
    words = ["".join(chr(97 + (i * k) % 26) for k in (3, 5, 7, 11)) for i in range(200)]
    for i, word in enumerate(words):
        line = f'{{"level":"info","method":"GET","path":"/a/{i}","user":"{word}","took":{i},"agent":"X ({words[-i]})"}}'
        (record,) = parse([line])
        miner.add(record.message)
    assert len(miner.templates()) == 1
    failed, passed = parse(
        ['{"action":"pay","error":"no row","user":"a"}', '{"action":"pay","error":"timeout","user":"b"}']
    )
    assert "error=no row" in failed.message
    assert "error=timeout" in passed.message

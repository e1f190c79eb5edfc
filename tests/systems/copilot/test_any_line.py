"""Nothing that a line holds stops the lines after it, and no time of one line decides what is asked of the others."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundup.systems.copilot import anomalies, why
from groundup.systems.copilot.answering.overview import newest_lines, seen_templates, timeline
from groundup.systems.copilot.errors import CannotRead
from groundup.systems.copilot.reading.logs import parse
from groundup.systems.copilot.reading.times import DAY, MONTH, extent, seconds
from groundup.systems.copilot.sources.files import ingest_files, ingest_stream
from groundup.systems.copilot.store import Source, Store, open_store
from tests.conftest import Ran

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(FEW, max_examples=150)
LAST = "INFO the last line"

# ── any bytes, any JSON ─────────────────────────────────────────────────────────────────────────────────────────────
KEYS = st.sampled_from(
    "time ts timestamp @timestamp @t level severity priority msg message MESSAGE log stream service name status error "
    "PRIORITY __REALTIME_TIMESTAMP instant timeUnixNano resourceLogs latency_ms".split()
) | st.text(max_size=5)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.integers(10**300, 10**320) | st.floats() | st.text(max_size=20)
    | st.sampled_from(["\ud83d", "a\udc00b", "\x00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "٣"])
    | st.sampled_from([1e400, -(10**400), 2**63, 253402300799, "1" * 400, "é" * 50, "\n", "\r", "\x1b[31m", "panic: "])
)  # fmt: skip
JSON = st.dictionaries(
    KEYS, st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
)
BYTES = st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))
LINES = st.lists(
    st.text(max_size=60)
    | st.text(st.characters(), max_size=30)
    | JSON.map(json.dumps)
    | JSON.map(lambda value: f"2026-03-02T10:00:00Z stdout F {json.dumps(value)}")
    | st.sampled_from(['{"log": "\\ud83d\\n", "stream": "stdout"}', "[" * 2_000, '{"a":' * 900 + "1" + "}" * 900]),
    max_size=6,
)  # fmt: skip


def check(store: Store, source: Source, count: int) -> None:
    """All lines of a source are stored and can be read in every way."""
    texts = store.texts(source)
    assert len(texts) == count
    assert texts[-1] == LAST
    for text in texts:
        text.encode()
    assert list(store.records(source.name))[-1].message
    why(store.records(source.name))
    anomalies(store.records(source.name))
    for ask in (seen_templates, newest_lines, timeline, Store.summary):
        ask(store)


@MANY
@given(st.lists(BYTES, max_size=5))
def test_any_bytes_in_a_file_or_a_pipe_are_stored_or_refused(tmp_path: Path, lines: list[bytes]) -> None:
    data = b"\n".join([*(line.replace(b"\n", b"") for line in lines), LAST.encode(), b""])
    log = tmp_path / "any.log"
    log.write_bytes(data)
    with open_store(":memory:") as store:
        done = ingest_files(store, [str(log)])
        if done.unread:
            with pytest.raises(CannotRead):
                ingest_stream(store, io.BytesIO(data))
            return
        ingest_stream(store, io.BytesIO(data))
        for source in store.sources():
            if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
                check(store, source, data.count(b"\n"))


@MANY
@given(LINES)
def test_any_line_of_a_container_or_a_shipper_is_stored_and_read(lines: list[str]) -> None:
    lines = [line.replace("\n", " ") for line in lines]
    with open_store(":memory:") as store:
        source = store.append(Source("pushed", "a"), [*lines, LAST], cursor={})
        check(store, source, len(lines) + 1)
        times = [1_772_445_605_000_000 + i for i in range(len(lines) + 1)]
        source = store.append(
            Source("container", "n/p/c", "", "n", "p", "", "c"), [*lines, LAST], cursor={}, times=times
        )
        check(store, source, len(lines) + 1)


@MANY
@given(LINES)
def test_any_line_is_a_record_or_belongs_to_one(lines: list[str]) -> None:
    lines = [line.replace("\n", " ") for line in lines]
    records = list(parse([*lines, LAST]))
    numbers = [record.number + below for record in records for below in (0, *record.below)]
    assert sorted(numbers) == [i for i, line in enumerate([*lines, LAST], 1) if i in numbers]
    assert {i for i, line in enumerate(lines, 1) if line.strip() and i not in numbers} <= {
        i for i, line in enumerate(lines, 1) if " stdout F " in line or '"log"' in line
    }, "only a container's empty lines are none"


HALF = [
    '{"time":"2026-03-02T10:00:00Z","level":"info","msg":"order 0 placed"}',
    '{"time":"2026-03-02T10:00:01Z","level":"error","msg":"comment rejected: nice \\ud83d"}',
    '{"time":"2026-03-02T10:00:02Z","level":"info","msg":"\\uDC00 and \\ud83d\\ude00"}',
]


def test_half_a_character_is_replaced_and_blocks_nothing(groundup: Callable[..., Ran], tmp_path: Path) -> None:
    rejected, whole = list(parse(HALF))[1:]
    assert rejected.message == "comment rejected: nice \ufffd"
    assert whole.message == "\ufffd and 😀"
    (tmp_path / "a.log").write_text("\n".join(HALF) + "\n")
    (tmp_path / "b.log").write_text("INFO b\n")
    ran = groundup("copilot", "ingest", str(tmp_path), "--store", str(tmp_path / "x.duckdb"))
    assert (ran.code, "4 new lines" in ran.out) == (0, True)
    ran = groundup("copilot", "templates", str(tmp_path / "a.log"))
    assert (ran.code, "\ufffd" in ran.out) == (0, True)


def test_the_api_takes_half_a_character_and_a_line_that_is_too_long(tmp_path: Path) -> None:
    from fastapi.testclient import TestClient

    from groundup.systems.copilot.serving.api import create_app
    from groundup.systems.copilot.serving.service import Settings

    client = TestClient(create_app(Settings(tmp_path / "copilot.duckdb")), base_url="http://127.0.0.1:8600")
    body = json.dumps({"name": "a", "lines": [*HALF, "x\ud83d", "y" * 70_000, "INFO after"], "batch": "1"})
    for _ in range(2):
        answer = client.post("/ingest/lines", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 200
    assert client.get("/status").json()["lines"] == 6
    assert [line["text"] for line in client.get("/lines").json()][-1]
    answer = client.post(
        "/why", content=json.dumps({"lines": ["a\nb", *HALF]}), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 200
    assert "nice" in answer.text


# ── impossible times ────────────────────────────────────────────────────────────────────────────────────────────────
def stamp(second: int) -> str:
    return datetime.fromtimestamp(1_772_445_600 + second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def entry(time: object, level: str, message: str) -> str:
    return json.dumps({"time": time, "level": level, "msg": message})


def with_odd(time: object, at: int = 40) -> list[str]:
    lines = [entry(stamp(i), "info", f"order {i} placed") for i in range(120)]
    lines[100:110] = [entry(stamp(i), "error", "ledger-db: connection refused") for i in range(100, 110)]
    lines.insert(at, entry(time, "info", "certificate never expires"))
    return lines


ODD = [
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2106-02-07T06:28:15Z",
    "2038-01-19T03:14:07Z", "2099-12-31T00:00:00Z", "1999-12-31T23:59:59Z", "2030-01-01 00:00:00",
    0, -62135596800, 4294967295, 253402300799, 253402300799000, "1601-01-01T00:00:00Z", "4501-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", 1e400,
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_one_impossible_time_decides_nothing(odd: Any, tmp_path: Path) -> None:
    with open_store(":memory:") as store:
        for name, at in (("a", 40), ("b", 120), ("c", 0)):
            store.append(Source("pushed", name), with_odd(odd, at), cursor={})
            assert store.newest(store.find(name)) == seconds(stamp(119))
            found = why(store.records(name, since="10m"))
            assert any("connection refused" in piece.text for piece in found)
            bars = timeline(store, name)
            assert sum(bar.count for bar in bars) >= 119
            assert bars[-1].begin - bars[0].begin < 200
            assert all(a.end - a.start < 3600 for a in anomalies(store.records(name)))
        summary = store.summary()
        assert summary["newest"] == stamp(119)
        assert len(list(store.records())) == 363


def test_several_sources_are_merged_by_time_in_spite_of_one_impossible_time() -> None:
    with open_store(":memory:") as store:
        store.append(Source("pushed", "a"), with_odd("2038-01-19T03:14:07Z", 5), cursor={})
        store.append(Source("pushed", "b"), [entry(stamp(i), "info", "b") for i in range(0, 120, 10)], cursor={})
        order = [record.time for record in store.records() if record.time is not None and record.time < 1.9e9]
        assert order == sorted(order)


def test_what_is_far_from_all_others_is_let_go_and_nothing_else() -> None:
    times = [float(i) for i in range(2_000)]
    assert extent([]) is None
    assert extent([5.0]) == (5.0, 5.0)
    assert extent(times) == (0.0, 1_999.0)
    assert extent([-1e9, *times, 5e8, 5e8 + 1]) == (0.0, 1_999.0)
    assert extent([*times, 2 * DAY]) == (0.0, 2 * DAY), "a line after a weekend belongs to the log"
    assert extent([*times, 2 * DAY], apart=DAY) == (0.0, 1_999.0), "but does not move a span back from the newest"
    year = [i * DAY for i in range(365)]
    assert extent([*year, year[-1] + 2 * MONTH]) == (0.0, year[-1] + 2 * MONTH)
    assert extent([*times[:20], *(MONTH * 2 + t for t in times[:20])]) == (0.0, MONTH * 2 + 19), "two runs of one job"


def test_since_of_files_is_not_decided_by_one_line(groundup: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("\n".join(with_odd("2038-01-19T03:14:07Z")))
    assert "connection refused" in groundup("copilot", "why", str(tmp_path / "a.log"), "--since", "10m").out

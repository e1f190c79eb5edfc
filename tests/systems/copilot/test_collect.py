"""From a cluster into the store: each line once, whatever the cluster does meanwhile."""

from __future__ import annotations

import json
import random
import ssl
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from groundup.errors import MissingPackage, UsageError
from groundup.systems.copilot.errors import ClusterError
from groundup.systems.copilot.sources import cluster as module
from groundup.systems.copilot.sources import collect as collecting
from groundup.systems.copilot.sources import streams as following
from groundup.systems.copilot.sources.cluster import Cluster, NoLog, connect
from groundup.systems.copilot.sources.collect import Collected, collect, store_streamed
from groundup.systems.copilot.sources.streams import Streams
from groundup.systems.copilot.store import Store, open_store
from tests.conftest import Ran
from tests.systems.copilot.apiserver import (
    START,
    TOKEN,
    ApiServer,
    Container,
    Instance,
    event,
    numbered,
    rfc3339,
    serve,
)

SECOND = 10**9


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with serve() as server:
        yield server


@pytest.fixture
def waited() -> list[float]:
    """What was waited for instead of sleeping."""
    return []


@pytest.fixture
def cluster(api: ApiServer, tmp_path: Path, waited: list[float]) -> Cluster:
    return connect(api.kubeconfig(tmp_path / "config"), wait=lambda seconds: bool(waited.append(seconds)))


@pytest.fixture
def again(cluster: Cluster, tmp_path: Path) -> Callable[..., Collected]:
    """Collect what is new."""

    def round(namespace: str | None = "shop", selector: str = "") -> Collected:
        return collect(tmp_path / "copilot.duckdb", cluster, namespace=namespace, selector=selector)

    return round


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[], dict[str, list[str]]]:
    """The lines of each source, by container and restart."""

    def read() -> dict[str, list[str]]:
        with open_store(tmp_path / "copilot.duckdb", reading=True) as store:
            return {f"{one.name}#{one.restart}": store.texts(one) for one in store.sources()}

    return read


def web(api: ApiServer, name: str = "checkout-1", **settings: object) -> Instance:
    """The only container of a new pod."""
    return api.pod(name, [Container("web")], **settings).containers[0].now


def test_only_what_is_new_is_asked_for_and_stored(api: ApiServer, again: Callable, stored: Callable) -> None:
    run = web(api)
    for i in range(5):
        run.write(START + i * 10 * SECOND, *numbered(i * 100, i * 100 + 100))
        assert again().lines == 100
        assert again().lines == 0
    assert stored() == {"shop/checkout-1/web#0": numbered(0, 500)}
    sinces = [query["sinceTime"] for _, query in api.requests if "sinceTime" in query]
    assert sinces[::2] == [rfc3339(START + i * 10 * SECOND - 2 * SECOND) for i in range(5)]
    asked = [query for path, query in api.requests if path.endswith("/log")]
    assert all(query["timestamps"] == "true" and query["container"] == "web" for query in asked)
    assert sum("sinceTime" not in query and "tailLines" not in query for query in asked) == 1, "all of it only once"


def test_a_round_in_which_nothing_is_new_writes_nothing(
    api: ApiServer, again: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    web(api).write(START, *numbered(0, 50))
    again()
    with monkeypatch.context() as watched:
        watched.setattr(Store, "append", lambda *_, **__: 1 / 0)
        assert again().lines == 0


def test_a_role_that_may_not_read_events_still_reads_logs(api: ApiServer, again: Callable) -> None:
    web(api).write(START, "INFO fine")
    api.fail_events = (403, {}, 'events is forbidden: User "tester" cannot list resource "events"')
    done = again()
    assert done.lines == 1
    assert "refuses (403): events is forbidden" in done.notes["events"]


def test_lines_that_repeat_within_a_second_are_stored_as_often_as_they_were_written(
    api: ApiServer, again: Callable, stored: Callable
) -> None:
    run = web(api)
    written: list[str] = []
    for i in range(12):  # all in one second, at the same times, with the same texts
        for text in ("tick", "tick", "tock")[: 1 + i % 3]:
            run.write(START + (i // 4) * 1000, text)
            written.append(text)
        again()
        assert stored() == {"shop/checkout-1/web#0": written}


def test_lines_that_differ_in_nanoseconds_only_and_those_out_of_order_are_kept(
    api: ApiServer, again: Callable, stored: Callable
) -> None:
    run = web(api)
    run.write(START + SECOND + 500, "a", "b")
    again()
    run.write(START + SECOND + 501, "a")
    run.write(START + SECOND - 7, "late: the other stream's, before the second that was read")
    again()
    run.write(START + SECOND + 502, "c")
    again()
    assert stored()["shop/checkout-1/web#0"] == ["a", "b", "a", run.lines[3][1].decode(), "c"]


def test_a_clock_that_goes_back_loses_nothing(api: ApiServer, again: Callable, stored: Callable) -> None:
    run = web(api)
    run.write(START, *numbered(0, 3))
    again()
    run.write(START - 3600 * SECOND, *numbered(3, 6))
    again()
    run.write(START - 3599 * SECOND, *numbered(6, 9))
    again()
    run.write(START + 10 * SECOND, *numbered(9, 12))
    again()
    assert stored()["shop/checkout-1/web#0"] == numbered(0, 12)


def test_times_are_the_servers_own(api: ApiServer, again: Callable, tmp_path: Path) -> None:
    web(api).write(START + 123_456_789, "2001-01-01 00:00:00 ERROR a clock of its own")
    again()
    with open_store(tmp_path / "copilot.duckdb", reading=True) as store:
        found = store.connection.execute("SELECT epoch_us(time), level, text FROM lines").fetchall()
        assert found == [((START + 123_456_789) // 1000, "error", "2001-01-01 00:00:00 ERROR a clock of its own")]
        (record,) = store.records("checkout")
        assert record.time == (START + 123_456_000) / 1e9


def test_after_a_restart_the_rest_of_the_instance_before_is_read(
    api: ApiServer, again: Callable, stored: Callable
) -> None:
    container = api.pod("checkout-1", [Container("web")]).containers[0]
    container.now.write(START, *numbered(0, 3))
    again()
    container.now.write(START + 5 * SECOND, *numbered(3, 5))
    container.now.unended = b"Segmentation fau"
    container.restart(START + 6 * SECOND).write(START + 7 * SECOND, *numbered(5, 8))
    again()
    container.now.write(START + 8 * SECOND, *numbered(8, 9))
    again()
    assert stored() == {
        "shop/checkout-1/web#0": [*numbered(0, 3), *numbered(3, 5), "Segmentation fau"],
        "shop/checkout-1/web#1": numbered(5, 9),
    }
    asked = sum("previous" in query for _, query in api.requests)
    again()
    assert sum("previous" in query for _, query in api.requests) == asked == 1, "what has ended is read once"


def test_a_container_that_was_restarted_before_it_was_first_seen(
    api: ApiServer, again: Callable, stored: Callable
) -> None:
    container = api.pod("checkout-1", [Container("web")]).containers[0]
    for i in range(4):
        container.now.write(START + i * 10 * SECOND, f"run {i}")
        if i < 3:
            container.restart(START + i * 10 * SECOND + 1)
    again()
    assert stored() == {"shop/checkout-1/web#2": ["run 2"], "shop/checkout-1/web#3": ["run 3"]}


def test_a_crash_loop_tells_each_line_once(api: ApiServer, again: Callable, stored: Callable) -> None:
    container = api.pod("checkout-1", [Container("web")]).containers[0]
    for i in range(3):
        container.now.write(START + i * 10 * SECOND, f"start {i}")
        again()
        container.now.write(START + i * 10 * SECOND + 1, f"panic {i}")
        container.now.ended, container.waiting = START + i * 10 * SECOND + 2, True
        again()
        again()
        container.restart(START + (i + 1) * 10 * SECOND)
    again()
    assert stored() == {f"shop/checkout-1/web#{i}": [f"start {i}", f"panic {i}"] for i in range(3)}


def test_a_restart_between_the_list_of_pods_and_the_log(api: ApiServer, again: Callable, stored: Callable) -> None:
    container = api.pod("checkout-1", [Container("web")]).containers[0]
    container.now.write(START, *numbered(0, 3))
    again()
    container.now.write(START + 5 * SECOND, *numbered(3, 6))

    def restart(path: str, query: dict[str, str]) -> None:
        api.before_log = None
        container.restart(START + 20 * SECOND).write(START + 20 * SECOND, *numbered(6, 8))

    api.before_log = restart
    again()
    container.now.write(START + 21 * SECOND, *numbered(8, 9))
    again()
    assert stored() == {"shop/checkout-1/web#0": numbered(0, 6), "shop/checkout-1/web#1": numbered(6, 9)}


def test_a_pod_that_is_made_anew_under_its_name_is_another_source(
    api: ApiServer, again: Callable, tmp_path: Path
) -> None:
    web(api, "db-0", uid="u1").write(START, "first")
    again()
    api.pods.clear()
    web(api, "db-0", uid="u2").write(START + SECOND, "second")
    again()
    with open_store(tmp_path / "copilot.duckdb", reading=True) as store:
        assert [(one.uid, store.texts(one)) for one in store.sources()] == [("u1", ["first"]), ("u2", ["second"])]


def test_all_containers_are_read_init_and_ephemeral_ones_too(api: ApiServer, again: Callable, stored: Callable) -> None:
    kinds = ("initContainers", "containers", "containers", "ephemeralContainers")
    pod = api.pod("checkout-1", [Container(f"c{i}", kind) for i, kind in enumerate(kinds)])
    for container in pod.containers:
        container.now.write(START, f"INFO {container.name}")
    pod.containers[0].now.ended = START
    assert again().containers == 4
    assert stored() == {f"shop/checkout-1/c{i}#0": [f"INFO c{i}"] for i in range(4)}


def test_rotation_keeps_what_was_stored_and_stores_what_is_left(
    api: ApiServer, again: Callable, stored: Callable
) -> None:
    run = web(api)
    run.write(START, *numbered(0, 10))
    again()
    run.write(START + SECOND, *numbered(10, 20))
    run.rotated = 10
    again()
    run.rotated = 20
    again()
    run.write(START + 2 * SECOND, *numbered(20, 21))
    again()
    assert stored()["shop/checkout-1/web#0"] == numbered(0, 21)


def test_bytes_that_are_no_text_and_lines_of_all_kinds(api: ApiServer, again: Callable, stored: Callable) -> None:
    run = web(api)
    run.write(
        START, b"\xff\xfe caf\xc3\xa9 \xc3", b"", "  indented", b"b'repr'", "back\\slash \\xff", b"tab\t\x00\r", "日本"
    )
    again()
    again()
    assert stored()["shop/checkout-1/web#0"] == [
        "\ufffd\ufffd café \ufffd", "", "  indented", "b'repr'", "back\\slash \\xff", "tab\t\x00", "日本",
    ]  # fmt: skip


def test_long_lines_lose_the_times_that_old_kubelets_put_into_them(
    api: ApiServer, again: Callable, stored: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = f"in the line {rfc3339(START)} "
    long = [said * 3, "x" * 16_384, "ü" * 30_000, "y" * 16_383 + "z", said.ljust(8_192, "-") * 4]

    def old_kubelet(run: Instance, query: dict[str, str]) -> bytes:
        text = b""
        for i, line in enumerate(line.encode() for line in long):
            for begin in range(0, len(line), 16_384):
                text += f"{rfc3339(START + i * 1000 + begin)} ".encode() + line[begin : begin + 16_384]
            text += b"\n"
        return text

    monkeypatch.setattr("tests.systems.copilot.apiserver._text", old_kubelet)
    web(api)
    again()
    (texts,) = stored().values()
    assert texts == long


def test_a_line_that_is_being_written_waits_for_its_end(api: ApiServer, again: Callable, stored: Callable) -> None:
    run = web(api)
    run.write(START, "INFO one")
    run.unended = b"INFO tw"
    again()
    assert stored()["shop/checkout-1/web#0"] == ["INFO one"]
    run.unended = b""
    run.write(START, "INFO two")
    again()
    assert stored()["shop/checkout-1/web#0"] == ["INFO one", "INFO two"]


def test_secrets_are_hidden_also_where_lines_are_read_again(api: ApiServer, again: Callable, stored: Callable) -> None:
    run = web(api)
    for i in range(3):
        run.write(START + i, "password=hunter2", f"password=hunter{i}")
        again()
    assert stored()["shop/checkout-1/web#0"] == ["password=***"] * 6


def test_an_answer_in_many_batches_that_breaks_off_is_taken_up_again(
    api: ApiServer, again: Callable, stored: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "BATCH", 7)
    run = web(api)
    for i in range(100):
        run.write(START + i * SECOND // 10, f"INFO line {i % 3}")
    for broken in (100, 1500, 2500, 4000):
        api.break_after = broken
        with pytest.raises(ClusterError, match="the cluster must be reachable"):
            again()
    api.break_after = None
    again()
    assert stored()["shop/checkout-1/web#0"] == [f"INFO line {i % 3}" for i in range(100)]


def test_namespaces_selectors_and_pages(api: ApiServer, again: Callable, stored: Callable) -> None:
    for i in range(7):
        namespace = "shop" if i < 5 else "billing"
        web(api, f"p-{i}", namespace=namespace, labels={"app": f"a{i % 2}"}).write(START, f"INFO {i}")
    api.page, api.expire_pages = 2, 1
    assert again(selector="app=a1").pods == 2
    assert again().pods == 5
    assert again(namespace=None).pods == 7
    assert stored().keys() == {f"{'shop' if i < 5 else 'billing'}/p-{i}/web#0" for i in range(7)}
    api.expire_pages = 99
    with pytest.raises(ClusterError, match="the list of pods must stay readable.*expired 5 times"):
        again()


def test_events_are_lines_each_time_that_they_are_seen(api: ApiServer, again: Callable, tmp_path: Path) -> None:
    web(api).write(START, "INFO fine")
    api.events = [
        event("b", START + SECOND), event("a", START, type="Normal", reason="Pulled", message="Image pulled"),
    ]  # fmt: skip
    assert again().events == 2
    assert again().events == 0
    api.events[0] = event("b", START + 9 * SECOND, version="2", count=7)
    del api.events[1]
    assert again().events == 1
    with open_store(tmp_path / "copilot.duckdb", reading=True) as store:
        found = [record for record in store.records("shop") if record.source == "shop/events"]
    assert [(one.level, one.message, one.service) for one in found] == [
        ("info", "Pulled: Image pulled", "kubelet"),
        ("warn", "BackOff: Back-off restarting failed container", "kubelet"),
        ("warn", "BackOff: Back-off restarting failed container", "kubelet"),
    ]
    assert [one.fields["count"] for one in found] == [1, 1, 7]
    assert found[2].time == (START + 9 * SECOND) / 1e9


def test_a_selector_keeps_to_the_events_of_its_pods(api: ApiServer, again: Callable, stored: Callable) -> None:
    web(api, labels={"app": "checkout"}).write(START, "INFO fine")
    api.events = [event("a", START), event("b", START, pod="db-0")]
    assert again(selector="app=checkout").events == 1
    assert again().events == 1, "the other one, and not the first again"


def restarts_before_the_answer(api: ApiServer, container: Container, time: int) -> None:
    """The next log that is asked for is one run later than the status says."""

    def restart(path: str, query: dict[str, str]) -> None:
        api.before_log = None
        container.restart(time).write(time + SECOND, *numbered(200, 205))

    api.before_log = restart


def test_a_status_that_lags_behind_gives_no_run_the_lines_of_a_later_one(
    api: ApiServer, again: Callable, stored: Callable
) -> None:
    container = api.pod("checkout-1", [Container("web")]).containers[0]
    container.now.write(START, *numbered(0, 5))
    again()
    container.restart(START + 10 * SECOND).write(START + 11 * SECOND, *numbered(100, 105))
    restarts_before_the_answer(api, container, START + 20 * SECOND)
    assert again().notes == {"shop/checkout-1/web": "the container has been restarted meanwhile"}
    again()
    assert stored() == {
        "shop/checkout-1/web#0": numbered(0, 5), "shop/checkout-1/web#1": numbered(100, 105),
        "shop/checkout-1/web#2": numbered(200, 205),
    }  # fmt: skip


def test_a_run_that_has_ended_gets_no_lines_of_the_next_one(api: ApiServer, again: Callable, stored: Callable) -> None:
    container = api.pod("checkout-1", [Container("web")]).containers[0]
    container.now.write(START, *numbered(0, 5))
    again()
    container.now.write(START + 5 * SECOND, *numbered(5, 9))
    container.now.ended = START + 6 * SECOND
    restarts_before_the_answer(api, container, START + 20 * SECOND)
    again()
    again()
    assert stored() == {"shop/checkout-1/web#0": numbered(0, 9), "shop/checkout-1/web#1": numbered(200, 205)}


def test_a_clock_that_went_back_during_a_run_hides_none_of_it(
    api: ApiServer, again: Callable, stored: Callable
) -> None:
    run = web(api)
    run.started = START + 3600 * SECOND
    run.write(START + 3601 * SECOND, *numbered(0, 5))
    run.ended = START + 10 * SECOND
    again()
    assert stored() == {"shop/checkout-1/web#0": numbered(0, 5)}


# ── following ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def streams(cluster: Cluster) -> Iterator[Streams]:
    opened = Streams(cluster)
    yield opened
    opened.close()


@pytest.fixture
def follow(cluster: Cluster, tmp_path: Path, streams: Streams) -> Callable[..., Collected]:
    """Collect what is new, and go on following."""

    def round() -> Collected:
        return collect(tmp_path / "copilot.duckdb", cluster, namespace="shop", streams=streams)

    return round


def until(true: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


class Clock:
    """Time that passes only while somebody sleeps."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def slept_by(streams: Streams, seconds: float) -> float:
    """How long a wait of so many seconds was, by what it slept."""
    slept: list[float] = []

    def stopped(seconds: float) -> bool:
        slept.append(seconds)
        following.time.sleep(seconds)
        return False

    assert not streams.wait(stopped, seconds)
    return sum(slept)


def followed(api: ApiServer, times: int = 1) -> None:
    """Wait until so many streams have begun."""
    until(lambda: sum("follow" in query for _, query in api.requests) == times)


def waiting(streams: Streams) -> int:
    """How many lines have come in the streams."""
    return sum(len(stream._lines) for stream in streams.open.values())


def test_what_is_rotated_away_between_two_rounds_is_stored(
    api: ApiServer, follow: Callable, again: Callable, stored: Callable, streams: Streams
) -> None:
    run = web(api)
    run.write(START, *numbered(0, 10))
    assert follow().lines == 10
    for i in range(1, 4):
        with api.lock:
            run.write(START + i * SECOND, *numbered(i * 10, i * 10 + 10))
        until(lambda i=i: waiting(streams) >= 10 * i)  # also those that were stored before the stream began
        run.rotated = len(run.lines)  # the kubelet has packed them into another file
    assert follow().lines == 30
    streams.close()
    assert again().lines == 0
    assert stored() == {"shop/checkout-1/web#0": numbered(0, 40)}


def test_a_stream_begins_where_the_round_ended_and_stores_nothing_twice(
    api: ApiServer, follow: Callable, stored: Callable, streams: Streams
) -> None:
    run = web(api)
    written = ["tick", "tick", "tock"] * 5
    run.write(START, *written)
    follow()
    until(lambda: waiting(streams) == len(written))  # what is stored comes again, and may come in parts
    assert follow().lines == 0
    with api.lock:
        run.write(START, "tick", "tick")
        run.write(START + SECOND, "tick")
    until(lambda: waiting(streams) == 3)
    assert follow().lines == 3
    assert stored() == {"shop/checkout-1/web#0": [*written, "tick", "tick", "tick"]}
    assert sum("follow" in query for _, query in api.requests) == 1


def test_a_container_that_ends_or_restarts_while_it_is_followed(
    api: ApiServer, follow: Callable, stored: Callable, streams: Streams
) -> None:
    container = api.pod("checkout-1", [Container("web")]).containers[0]
    container.now.write(START, *numbered(0, 5))
    follow()
    followed(api)
    with api.lock:
        container.now.write(START + SECOND, *numbered(5, 9))
        container.restart(START + 2 * SECOND).write(START + 2 * SECOND, *numbered(100, 103))
    until(lambda: all(one.ended for one in streams.open.values()))
    follow()
    followed(api, 2)
    with api.lock:
        container.now.write(START + 3 * SECOND, *numbered(103, 110))
        container.now.unended = b"without an end"
        container.now.ended = START + 4 * SECOND
    until(lambda: all(one.ended for one in streams.open.values()))
    follow()
    assert stored() == {
        "shop/checkout-1/web#0": numbered(0, 9),
        "shop/checkout-1/web#1": [*numbered(100, 110), "without an end"],
    }
    assert streams.open == {}


def test_streams_that_break_off_at_any_moment(
    api: ApiServer, follow: Callable, again: Callable, stored: Callable, streams: Streams
) -> None:
    rng = random.Random(3)
    runs = [web(api, f"checkout-{i}") for i in range(3)]
    clock, written = START, [[] for _ in runs]
    for _ in range(40):
        with api.lock:
            for run, texts in zip(runs, written, strict=True):
                new = [rng.choice(("tick", "tock", f"INFO {clock}")) for _ in range(rng.randrange(20))]
                run.write(clock, *new)
                texts += new
                clock += rng.choice((0, 1_000, SECOND))
            api.breaks += rng.random() < 0.3
        if rng.random() < 0.3:
            api.break_after = rng.choice((None, None, 300))
        if rng.random() < 0.5:
            with suppress(ClusterError):
                follow()
    api.break_after = None
    streams.close()
    again()
    assert stored() == {f"shop/checkout-{i}/web#0": texts for i, texts in enumerate(written)}


def test_a_stream_that_nobody_empties_lets_the_server_wait(
    api: ApiServer, follow: Callable, stored: Callable, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "FULL", 10)
    monkeypatch.setattr(following, "LEAST", 0.05)
    run = web(api)
    run.write(START, "INFO begin")
    follow()
    with api.lock:
        run.write(START + 9 * SECOND, *numbered(0, 99))  # with the first one ten times what a stream holds
    done = 0
    while done < 99:
        assert slept_by(streams, 3600) < 3600, "a full stream brings the next round on"
        assert waiting(streams) <= 10
        done += follow().lines
    assert stored() == {"shop/checkout-1/web#0": ["INFO begin", *numbered(0, 99)]}


def test_waiting_ends_when_it_is_told_to_and_does_not_hurry_for_streams_that_never_last(
    api: ApiServer, follow: Callable, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LEAST", 0.2)
    web(api).write(START, "INFO begin")
    follow()
    followed(api)
    api.breaks += 1
    until(lambda: all(one.ended for one in streams.open.values()))
    (stream,) = streams.open.values()
    stream._lasted = 0.1
    monkeypatch.setattr(following, "time", Clock())
    assert slept_by(streams, 0.6) == pytest.approx(0.6)
    stream._lasted = 5.0
    assert slept_by(streams, 3600) < 3600
    assert streams.wait(lambda _: True, 20)


def test_what_came_last_is_stored_without_another_request(
    api: ApiServer, follow: Callable, stored: Callable, streams: Streams, cluster: Cluster, tmp_path: Path
) -> None:
    run = web(api)
    run.write(START, *numbered(0, 3))
    follow()
    with api.lock:
        run.write(START + SECOND, *numbered(3, 8))
    until(lambda: waiting(streams) == 8)
    before = len(api.requests)
    assert store_streamed(tmp_path / "copilot.duckdb", cluster, streams) == 5
    assert len(api.requests) == before
    assert stored() == {"shop/checkout-1/web#0": numbered(0, 8)}


def test_a_pod_that_is_gone_and_a_store_that_was_made_anew_end_their_streams(
    api: ApiServer, follow: Callable, stored: Callable, streams: Streams, tmp_path: Path
) -> None:
    web(api, "checkout-1").write(START, "INFO one")
    web(api, "checkout-2").write(START, "INFO two")
    follow()
    del api.pods[0]
    follow()
    assert [key[4] for key in streams.open] == ["checkout-2"]
    (tmp_path / "copilot.duckdb").unlink()
    follow()
    assert stored() == {"shop/checkout-2/web#0": ["INFO two"]}


@pytest.mark.parametrize("text", [b"not: [yaml", b"- a list", b"a word", b"\xff\xfe", b""], ids=repr)
def test_a_file_that_is_no_kubeconfig_is_one_line(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "config").write_bytes(text)
    with pytest.raises(ClusterError, match=r"must name a cluster.*does not: .*Check --kubeconfig") as said:
        connect(str(tmp_path / "config"), wait=lambda _: True)
    assert "\n" not in str(said.value)


def test_a_kubeconfig_that_asks_for_no_check_of_the_certificate_is_obeyed_silently(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=somebody-else",
         "-keyout", tmp_path / "key", "-out", tmp_path / "certificate"],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with serve(tls=tls) as api:
        api.url = api.url.replace("http:", "https:")
        path = Path(api.kubeconfig(tmp_path / "config"))
        with pytest.raises(ClusterError, match="certificate verify failed"):
            connect(str(path), wait=lambda _: True).pods("shop")
        document = json.loads(path.read_text())
        document["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
        path.write_text(json.dumps(document))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert connect(str(path), wait=lambda _: True).pods("shop") == []


# ── answers other than 200 ──────────────────────────────────────────────────────────────────────────────────────────
def test_pods_without_a_log_yet_are_noted_and_the_others_read(
    api: ApiServer, again: Callable, stored: Callable
) -> None:
    api.pod("unscheduled", [Container("web", instances=[])], scheduled=False)
    api.pod("starting", [Container("web", instances=[])])
    web(api).write(START, "INFO fine")
    done = again()
    assert done.lines == 1
    assert done.notes == {
        "shop/unscheduled/web": "the pod has not been scheduled to a node",
        "shop/starting/web": 'container "web" in pod "starting" is waiting to start',
    }


def test_a_node_that_does_not_answer_and_a_pod_that_is_gone_stop_nothing(
    api: ApiServer, again: Callable, stored: Callable
) -> None:
    for name in ("a-1", "b-1", "c-1"):
        web(api, name).write(START, f"INFO {name}")
    api.fail_logs = [
        (500, {}, 'Get "https://10.0.0.7:10250/containerLogs": i/o timeout'), (404, {}, 'pods "b-1" not found'),
    ]  # fmt: skip
    done = again()
    assert list(done.notes) == ["shop/a-1/web", "shop/b-1/web"]
    assert "i/o timeout" in done.notes["shop/a-1/web"]
    assert stored() == {"shop/c-1/web#0": ["INFO c-1"]}
    again()
    assert len(stored()) == 3


def test_what_the_kubelet_says_in_place_of_a_log_is_no_line(
    api: ApiServer, again: Callable, stored: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    web(api)
    said = b"unable to retrieve container logs for containerd://0a1b"
    monkeypatch.setattr("tests.systems.copilot.apiserver._text", lambda run, query: said)
    assert again().notes == {"shop/checkout-1/web": said.decode()}
    assert stored() == {}


def test_a_container_must_be_named_and_since_parameters_must_not_contradict(cluster: Cluster, api: ApiServer) -> None:
    api.pod("two", [Container("a"), Container("b")])
    with pytest.raises(NoLog, match=r"choose one of: \[a b\]"):
        cluster.log("shop", "two", "")
    response = api.answer(
        "/api/v1/namespaces/shop/pods/two/log", {"sinceTime": "x", "sinceSeconds": "1"}, f"Bearer {TOKEN}"
    )
    assert response[0] == 422, "the server refuses both"
    api.fail = [(422, {}, "at most one of `sinceTime` or `sinceSeconds` may be specified")]
    with pytest.raises(ClusterError, match="says 422: at most one of"):
        cluster.log("shop", "two", "a")


def test_too_many_requests_are_sent_again_after_the_servers_own_delay(
    api: ApiServer, again: Callable, waited: list[float]
) -> None:
    web(api).write(START, "INFO fine")
    api.fail = [
        (429, {"Retry-After": "7"}, "too many"),
        (429, {"Retry-After": "3600"}, "x"),
        (503, {"Retry-After": "1"}, "x"),
    ]
    api.fail_logs = [(429, {}, "too many")]
    assert again().lines == 1
    assert waited == [7.0, 30.0, 1.0, 1.0], "but never longer than half a minute"


def test_a_server_that_stays_too_busy_is_reported(api: ApiServer, again: Callable, waited: list[float]) -> None:
    api.fail = [(429, {"Retry-After": "2"}, "too many")] * 9
    with pytest.raises(
        ClusterError, match=r"answered 429 5 times, last asking to wait 2 s\. Try again later.*--every"
    ) as said:
        again()
    assert said.value.passing
    assert len(waited) == 4


@pytest.mark.parametrize(
    ("status", "message", "passing"),
    [
        (401, r"accept the credentials, and 'http://127.*' does not \(401\): x\. Renew them.*aws", False),
        (
            403,
            r"allowed to read, and .* refuses \(403\): x\. Ask for a role with get and list on pods, pods/log",
            False,
        ),
        (404, r"is not there \(404\): x\. Check the address", False),
        (500, r"/api/v1/namespaces/shop/pods' says 500: x", True),
    ],
)
def test_each_refusal_is_one_clear_error(
    api: ApiServer, again: Callable, status: int, message: str, passing: bool
) -> None:
    api.fail = [(status, {}, "x")]
    with pytest.raises(ClusterError, match=message) as said:
        again()
    assert said.value.passing is passing


def test_no_answer_no_json_and_nobody_there(
    api: ApiServer, again: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ApiServer, "_page", lambda self, items, query: (200, {}, b"<html>hello"))
    with pytest.raises(ClusterError, match=r"must answer in JSON, and '.*/pods' answers b'<html>hello'"):
        again()
    monkeypatch.setattr(module, "TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr(
        ApiServer, "answer", lambda self, *_: (module.os.times(), __import__("time").sleep(1), (200, {}, b""))[2]
    )
    with pytest.raises(ClusterError, match=r"must answer within 0\.2 s, and '.*' does not: .*timed out"):
        again()
    config = Path(api.kubeconfig(tmp_path / "config2"))
    config.write_text(config.read_text().replace(api.url, "http://127.0.0.1:1"))
    with pytest.raises(ClusterError, match=r"must be reachable, and 'http://127\.0\.0\.1:1' is not: .*refused"):
        collect(tmp_path / "x.duckdb", connect(str(config), wait=lambda _: False))


# ── signing in ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_wrong_token_is_refused_and_an_exec_plugin_gives_the_right_one(api: ApiServer, tmp_path: Path) -> None:
    web(api).write(START, "INFO fine")
    store = tmp_path / "copilot.duckdb"
    with pytest.raises(ClusterError, match="accept the credentials"):
        collect(store, connect(api.kubeconfig(tmp_path / "wrong", token="no"), wait=lambda _: False))
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": TOKEN},
    }  # fmt: skip
    plugin = {
        "apiVersion": credential["apiVersion"], "command": sys.executable, "interactiveMode": "Never",
        "args": ["-c", f"print({json.dumps(credential)!r})"],
    }  # fmt: skip
    config = api.kubeconfig(tmp_path / "exec", exec=plugin)
    assert collect(store, connect(config, wait=lambda _: False)).lines == 1


def test_a_kubeconfig_that_leads_nowhere_is_one_error(api: ApiServer, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="kubeconfig must name a cluster.*kubectl config view"):
        connect(str(tmp_path / "nothing"), wait=lambda _: False)
    with pytest.raises(UsageError, match=r"context must be one of the kubeconfig's \(other, test\), got 'prod'"):
        connect(api.kubeconfig(tmp_path / "config"), "prod", wait=lambda _: False)
    assert connect(api.kubeconfig(tmp_path / "config"), "other", wait=lambda _: False).namespace == "default"


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(MissingPackage, match="^Collecting from a cluster needs kubernetes, .* with: .*copilot$"):
        connect(wait=lambda _: False)


def test_nothing_but_get_is_ever_sent(api: ApiServer, again: Callable) -> None:
    web(api).write(START, "INFO fine")
    again()
    assert api.counts() == {"pods": 1, "events": 1, "log": 1}, "the server knows no other verb: each would fail"


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_collect_then_why(api: ApiServer, tmp_path: Path, groundup: Callable[..., Ran]) -> None:
    run = web(api)
    run.write(START, *numbered(0, 300))
    run.write(START + SECOND, "ERROR payment-db refused the connection password=hunter2")
    run.write(START + 2 * SECOND, *numbered(300, 600))
    api.events = [event("a", START + SECOND)]
    api.pod("starting", [Container("web", instances=[])])
    config, store = api.kubeconfig(tmp_path / "config"), str(tmp_path / "copilot.duckdb")
    ran = groundup("copilot", "collect", "--kubeconfig", config, "--store", store)
    assert ran.code == 0, ran.err
    assert "602 new lines, 1 of them events; 1 container in 2 pods." in ran.out
    assert "no log of shop/starting/web" in ran.out
    document = groundup("copilot", "collect", "--kubeconfig", config, "-A", "--json", GROUNDUP_STORE=store).json
    assert (document["cluster"], document["namespace"], document["lines"]) == ("testing", None, 0)
    for arguments in (("checkout",), ("shop/checkout-1", "--since", "1h"), ()):
        found = groundup("copilot", "why", *arguments, "--store", store)
        assert "ERROR payment-db refused the connection password=***" in found.out, found.err
    status = groundup("copilot", "status", "--store", store, "--json").json
    assert [(one["name"], one["lines"]) for one in status["sources"]] == [
        ("shop/events", 1),
        ("shop/checkout-1/web", 601),
    ]
    assert "hunter2" not in Path(store).read_bytes().decode("latin-1")


def test_wrong_usage_is_one_line(api: ApiServer, tmp_path: Path, groundup: Callable[..., Ran]) -> None:
    config = api.kubeconfig(tmp_path / "config")
    for arguments, code, message in [
        (("-n", "a", "-A"), 2, "namespace must be left out with --all-namespaces, got 'a'"),
        (("--every", "soon"), 2, "must be a span of one second or more, such as 10s or 1m, got 'soon'"),
        (("-n", "forbidden"), 3, "refuses (403): pods is forbidden"),
        (("--context", "x"), 2, "context must be one of"),
    ]:
        ran = groundup("copilot", "collect", "--kubeconfig", config, *arguments, "--store", str(tmp_path / "s.duckdb"))
        assert (ran.code, "Traceback" in ran.err) == (code, False), ran.err
        assert message in ran.err
    ran = groundup("copilot", "collect", "--kubeconfig", config, "-n", "empty", "--store", str(tmp_path / "s.duckdb"))
    assert "There are no pods in namespace empty." in ran.out

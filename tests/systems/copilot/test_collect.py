"""From a cluster into the store: each line once, whatever the cluster does meanwhile."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groundup.errors import ClusterError, UsageError
from groundup.systems.copilot import cluster as module
from groundup.systems.copilot import collect as collecting
from groundup.systems.copilot.cluster import Cluster, NoLog, connect
from groundup.systems.copilot.collect import Collected, collect
from groundup.systems.copilot.store import Store, open_store
from tests.conftest import Ran
from tests.systems.copilot.apiserver import START, TOKEN, ApiServer, Container, Instance, event, rfc3339, serve

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


def numbered(begin: int, end: int) -> list[str]:
    return [f"INFO line {i}" for i in range(begin, end)]


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
    with pytest.raises(ClusterError, match=r"needs the Kubernetes client.*pip install 'groundup\[copilot\]'"):
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

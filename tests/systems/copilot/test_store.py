"""The store: lines as they were written but for their secrets, cursors, templates, and who may open it."""

from __future__ import annotations

import gc
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from groundup.errors import MissingPackage, StoreError, UnknownName, UsageError
from groundup.systems.copilot import store as module
from groundup.systems.copilot import why
from groundup.systems.copilot.finding.templates import Miner
from groundup.systems.copilot.reading.logs import parse
from groundup.systems.copilot.store import Source, Store, open_store
from tests.systems.copilot.incidents import INCIDENTS

APP = Source("file", "/logs/app.log")
CONTAINER = Source("container", "shop/checkout-7d9f/web", "c", "shop", "checkout-7d9f", "u1", "web")
SECOND = 1_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "copilot.duckdb") as opened:
        yield opened


def rows(store: Store, columns: str) -> list[tuple]:
    return store.connection.execute(f"SELECT {columns} FROM lines ORDER BY source, position").fetchall()


def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system has no limits to fill a disk with")
    store, log = tmp_path / "a.duckdb", tmp_path / "a.log"
    log.write_text("INFO started\n")
    command = [sys.executable, "-m", "groundup", "copilot", "ingest", str(log), "--store", str(store)]
    assert subprocess.run(command, capture_output=True, check=True).returncode == 0
    log.write_text("INFO started\n" + "".join(f"INFO {uuid.uuid4()} {uuid.uuid4()}\n" for _ in range(20_000)))
    limit = store.stat().st_size + 100_000
    full = subprocess.run(
        command, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert full.returncode == 3
    assert full.stderr.startswith("groundup: store must be a file that can be read and written, and '")
    assert "Traceback" not in full.stderr
    assert subprocess.run(command, capture_output=True, check=True).returncode == 0
    with open_store(store, reading=True) as opened:
        assert opened.summary()["lines"] == 20_001


def test_lines_come_back_as_they_were_written_in_one_batch_or_many(tmp_path: Path) -> None:
    lines = [
        "",
        "INFO a\x00b",
        "  indented",
        "\ufffd\ud7ff é 日本",
        '{"a": 1}',
        "x" * 70_000,
        "",
        "ERROR 'q' \"q\" ; --",
        "\t",
    ]
    for size in (1, 2, 5, 100):
        with open_store(tmp_path / f"{size}.duckdb") as store:
            source = APP
            for i in range(0, len(lines), size):
                source = store.append(source, lines[i : i + size], cursor={"offset": i})
            assert store.texts(source) == lines
            assert [row[0] for row in rows(store, "position")] == list(range(1, len(lines) + 1))
            assert store.known(APP) == source


def test_a_line_carries_time_level_service_template_and_the_record_that_it_belongs_to(store: Store) -> None:
    lines = [
        "2026-11-20 23:06:46,123 ERROR [main] org.example.Pool: no connection",
        "java.lang.IllegalStateException: pool",
        "    at org.example.Pool.get(Pool.java:12)",
        "no time here",
        '{"time": "2026-11-20T23:06:47.000001Z", "level": "info", "service": "api", "msg": "ok"}',
    ]
    store.append(APP, lines, cursor={})
    assert rows(store, "position, record, epoch_us(time), level, service, template IS NULL") == [
        (1, 1, 1795216006123000, "error", "org.example.Pool", False),
        (2, 1, 1795216006123000, None, None, True),
        (3, 1, 1795216006123000, None, None, True),
        (4, 4, None, None, None, False),
        (5, 5, 1795216007000001, "info", "api", False),
    ]


PYTHON = ["ERROR boom", "Traceback (most recent call last):", '  File "a.py", line 1, in f', "    g()", "ValueError: x"]
JAVA = [
    "2026-11-20 23:06:46 ERROR a.B: x",
    "java.io.IOException: y",
    "  at a.B(C.java:1)",
    "Caused by: z",
    "  at a.D(E.java:2)",
]


@pytest.mark.parametrize("exception", [PYTHON, JAVA], ids=["python", "java"])
@pytest.mark.parametrize("reopened", [False, True])
def test_an_exception_is_joined_wherever_batches_end(tmp_path: Path, exception: list[str], reopened: bool) -> None:
    lines = ["INFO before", *exception, "INFO after"]
    for cut in range(1, len(lines)):
        path = tmp_path / f"{cut}.duckdb"
        with open_store(path) as store:
            source = store.append(APP, lines[:cut], cursor={})
            if not reopened:
                store.append(source, lines[cut:], cursor={})
        if reopened:
            with open_store(path) as store:
                store.append(store.known(APP), lines[cut:], cursor={})
        with open_store(path, reading=True) as store:
            assert [row[0] for row in rows(store, "record")] == [1, 2, 2, 2, 2, 2, 7]
            assert [record.number for record in store.records()] == [1, 2, 7]


def test_secrets_are_hidden_in_lines_and_templates(store: Store) -> None:
    store.append(APP, ["login password=hunter2", "login password=hunter3"], cursor={})
    assert store.texts(store.known(APP)) == ["login password=***"] * 2
    everything = store.connection.execute("SELECT pattern || examples FROM templates").fetchall()
    assert "hunter" not in str(everything)


def test_the_miner_knows_a_header_again(tmp_path: Path) -> None:
    said = [
        "it is up",
        "saw no more than two of them",
        "gave up",
        "will try again at once",
        "no",
        "went on to the next",
    ]
    with open_store(tmp_path / "copilot.duckdb") as store:
        source = store.append(APP, [f"17 {role} {text}" for role in "MSC" for text in said], cursor={})
        assert len(store.miner.templates()) == len(said)
        store.append(source, ["17 M it is up"], cursor={})
    with open_store(tmp_path / "copilot.duckdb") as store:
        assert len({store.miner.add(f"17 {role} not said before") for role in "MSC"}) == 1


def test_the_miner_goes_on_where_it_was_batch_by_batch(tmp_path: Path) -> None:
    lines = INCIDENTS["needle"][0]()[:3000]
    messages = [record.message for record in parse(lines)]
    straight = Miner()
    for message in messages:
        straight.add(message)
    path = tmp_path / "copilot.duckdb"
    source = APP
    for i in range(0, len(lines), 500):
        with open_store(path) as store:
            source = store.append(source, lines[i : i + 500], cursor={})
    with open_store(path, reading=True) as store:
        assert store.miner.templates() == straight.templates()
        assert store.summary()["templates"] == len(straight.templates())
        counted = Counter(row[0] for row in rows(store, "template"))
        for template in straight.templates():
            assert counted[template.id] == template.count


def test_a_batch_is_stored_whole_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    source = store.append(APP, ["INFO one"], cursor={"offset": 9})
    before = store.summary()
    templates = store.miner.templates()
    with monkeypatch.context() as broken:
        broken.setattr(Store, "_write_templates", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.append(source, ["WARN another kind", "INFO one"], cursor={"offset": 40})
    assert store.summary() == before
    assert store.known(APP) == source
    assert store.miner.templates() == templates
    store.append(source, ["INFO two"], cursor={"offset": 18})
    assert store.texts(source) == ["INFO one", "INFO two"]


def test_lines_that_were_seen_are_left_out_as_often_as_they_are_stored(store: Store) -> None:
    source = store.append(CONTAINER, ["a", "a", "b"], times=[1, 1, 2], cursor={})
    seen = store.seen([source], 1)
    assert seen == {(1, "a"): 2, (2, "b"): 1}
    source = store.append(source, ["a", "a", "a", "b", "c"], times=[1, 1, 1, 2, 2], seen=seen, cursor={})
    assert rows(store, "text, epoch_us(time)") == [("a", 1), ("a", 1), ("b", 2), ("a", 1), ("c", 2)]
    assert store.seen([source], 2) == {(2, "b"): 1, (2, "c"): 1}
    assert sum(store.seen([source], None).values()) == 5


def test_why_from_the_store_is_why_from_the_file(store: Store) -> None:
    lines = INCIDENTS["needle"][0]()
    store.append(APP, lines, cursor={})
    assert why(store.records()) == why(parse(lines, source=APP.name))
    assert why(store.records("app.log", "12h")) == why(store.records("/logs/app.log", "12h")) != []


def test_records_of_containers_are_merged_by_the_times_of_the_runtime(store: Store) -> None:
    other = Source("container", "shop/db-0/db", "c", "shop", "db-0", "u2", "db")
    store.append(
        CONTAINER, ["2020-01-01 00:00:00 INFO a clock that is wrong", "b"], times=[SECOND, 3 * SECOND], cursor={}
    )
    store.append(other, ["c", "d"], times=[2 * SECOND, 4 * SECOND], cursor={})
    found = list(store.records())
    assert [(one.time, one.text[-1], one.source) for one in found] == [
        (1.0, "g", CONTAINER.name), (2.0, "c", other.name), (3.0, "b", CONTAINER.name), (4.0, "d", other.name),
    ]  # fmt: skip
    assert [one.text for one in store.records(since="1s")] == ["b", "d"]
    assert [one.number for one in store.records("db-0", "1s")] == [2]


@pytest.mark.parametrize(
    "name", ["checkout-7d9f", "checkout", "shop", "shop/checkout", "shop/checkout-7d9f/web", "web"]
)
def test_a_pod_is_found_by_its_name_or_how_it_begins(store: Store, name: str) -> None:
    store.append(CONTAINER, ["a"], times=[1], cursor={})
    store.append(APP, ["b"], cursor={})
    assert [one.text for one in store.records(name)] == ["a"]


def test_a_name_that_is_not_stored_is_answered_with_the_nearest(store: Store) -> None:
    store.append(CONTAINER, ["a"], times=[1], cursor={})
    with pytest.raises(UnknownName, match="no pod or file in the store called 'chekout-7d9f'.*checkout-7d9f"):
        list(store.records("chekout-7d9f"))


# ── opening ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_one_process_at_a_time_and_the_message_says_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "copilot.duckdb"
    program = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "open\n"
        for reading in (False, True):
            with (
                pytest.raises(
                    StoreError, match=rf"one process at a time.*copilot\.duckdb.*process {holder.pid} \(.*--store"
                ),
                open_store(path, wait=0.1, reading=reading),
            ):
                pass
    finally:
        holder.communicate("\n")
    with open_store(path, wait=0) as store:
        assert store.sources() == []


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    text = tmp_path / "app.log"
    text.write_text("INFO x\n" * 2000)
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("CREATE TABLE theirs (a INTEGER)")
    newer = tmp_path / "newer.duckdb"
    with open_store(newer) as store:
        store.connection.execute("INSERT INTO schema_version VALUES (99)")
    for path, message in [
        (text, r"must be a DuckDB file, and .*app\.log.* is another kind"),
        (other, r"holds other tables \(theirs\)"),
        (newer, r"version 3 or older, and .* is of version 99: a newer groundup"),
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "x.duckdb", "folder that exists"),
    ]:
        with pytest.raises(StoreError, match=message), open_store(path, wait=0):
            pass
    with (
        pytest.raises(UsageError, match=r"nothing\.duckdb' does not\. Fill it with"),
        open_store(tmp_path / "nothing.duckdb", reading=True),
    ):
        pass


def test_an_older_store_is_brought_up_to_date_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "copilot.duckdb"
    with open_store(path) as store:
        store.append(APP, ["INFO one"], cursor={})

    def second(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("ALTER TABLE sources ADD COLUMN note VARCHAR DEFAULT 'x'")

    monkeypatch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, second))
    for _ in range(2):
        with open_store(path, reading=True) as store:
            assert store.connection.execute("SELECT note, lines FROM sources").fetchall() == [("x", 1)]
            assert store.connection.execute("SELECT version FROM schema_version").fetchall() == [(1,), (2,), (3,), (4,)]


def test_without_the_extra_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with (
        pytest.raises(MissingPackage, match="^The copilot's store needs duckdb, .* with: .*copilot$"),
        open_store(tmp_path / "x.duckdb"),
    ):
        pass


def test_search_finds_the_lines_with_the_rarest_words_one_for_each_template(store: Store) -> None:
    lines = [f"2026-11-21T01:00:{i:02}Z INFO order {i} placed" for i in range(40)]
    lines += ["2026-11-21T01:00:40Z ERROR order 7 of eve failed", "2026-11-21T01:00:41Z INFO certificate renewed"]
    store.append(APP, lines, cursor={})

    def found(*words: str, since: str | None = None) -> list[int]:
        return [one.number for one in store.search(words, since=since, most=2)]

    assert found("certif") == [42]
    assert found("order", "7") == [41, 8]  # of equal weight, the grave one first
    assert found("order", "17") == [18, 41]
    assert found("order", "17", since="5s") == [41, 40]
    assert found("rder") == []  # words begin where words begin
    assert found("ord") == []  # and short ones end where words end
    assert found() == []
    (record,) = store.search(["certif"])
    assert (record.text, record.level, record.source) == (lines[41], "info", "/logs/app.log")


def test_a_line_is_shown_with_those_around_it_and_an_exception_whole(store: Store) -> None:
    trace = ["ERROR failed", "Traceback (most recent call last):", '  File "a.py", line 1, in f', "ValueError: no"]
    lines = ["INFO one", "INFO two", *trace, "INFO three", "INFO four"]
    source = store.append(APP, lines, cursor={})
    assert store.around(source, 4, 1) == (2, lines[1:7])
    assert store.around(source, 1, 1) == (1, lines[:2])


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_waits_for_a_batch_and_goes_on_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enabled: bool
) -> None:
    during: list[bool] = []
    hide_all = module.hide_all

    def hide(lines: list[str]) -> list[str]:
        during.append(gc.isenabled())
        if "fail" in lines:
            raise RuntimeError
        return hide_all(lines)

    monkeypatch.setattr(module, "hide_all", hide)
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with open_store(tmp_path / "copilot.duckdb") as store:
            source = store.append(Source("file", "a.log"), ["INFO up"], cursor={})
            assert gc.isenabled() is enabled
            with pytest.raises(RuntimeError):
                store.append(source, ["fail"], cursor={})
            assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
    assert during == [False, False]

"""Log lines as records: formats, times, levels, exceptions, files of all kinds."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from groundup.errors import UsageError
from groundup.systems.copilot import why
from groundup.systems.copilot.reading.logs import Record, after, moment, open_logs, parse
from groundup.terminal import visible


def one(line: str) -> Record:
    """The only record of a line."""
    (record,) = parse([line])
    return record


def at(record: Record) -> str:
    assert record.time is not None
    return datetime.fromtimestamp(record.time, UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("line", "format", "time", "level", "service", "message"),
    [
        ('{"timestamp": "2026-11-20T23:06:46.260Z", "level": "ERROR", "service": "api", "message": "boom"}',
         "json", "2026-11-20 23:06:46", "error", "api", "boom"),
        ("1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond[2915]: boom",
         "headed", "2005-11-09 20:01:01", None, "crond", "boom"),
        ('{"time":1795000000000,"level":50,"name":"api","msg":"boom"}',
         "json", "2026-11-18 11:06:40", "error", "api", "boom"),
        ('{"log":"E1120 23:06:46.260686    1 reflector.go:126] no list\\n","stream":"stderr","time":"2026-11-20"}',
         "klog", "2026-11-20 23:06:46", "error", "reflector.go", "no list"),
        ('ts=2026-11-20T23:06:46Z level=warn component=db msg="slow \\"query\\"" took=3s',
         "logfmt", "2026-11-20 23:06:46", "warn", "db", 'slow "query"'),
        ('10.0.0.1 - eve [20/Nov/2026:23:06:46 +0100] "GET /a?b=1 HTTP/1.1" 500 12 "-" "curl/8"',
         "access", "2026-11-20 22:06:46", None, None, "GET /a 500"),
        ("[Sun Dec 04 04:47:44 2005] [error] mod_jk child in error state 6",
         "headed", "2005-12-04 04:47:44", "error", None, "mod_jk child in error state 6"),
        ("2015-10-18 18:01:47,978 INFO [main] org.apache.MRAppMaster: Created it",
         "headed", "2015-10-18 18:01:47", "info", "org.apache.MRAppMaster", "Created it"),
        ("2024-01-01 12:00:00.000  WARN 12345 --- [main] c.e.Pool : Pool is full",
         "headed", "2024-01-01 12:00:00", "warn", "c.e.Pool", "Pool is full"),
        ("2026-11-20 23:38:57,147 - myapp.db - ERROR - Database lost",
         "headed", "2026-11-20 23:38:57", "error", "myapp.db", "Database lost"),
        ("17/06/09 20:10:40 INFO executor.Backend: Registered",
         "headed", "2017-06-09 20:10:40", "info", "executor.Backend", "Registered"),
        ("- 1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.675872 R02-M1 RAS KERNEL INFO 7 errors corrected",
         "headed", "2005-06-03 15:42:50", "info", "KERNEL", "7 errors corrected"),
        ("17:M 20 Nov 2026 23:06:46.260 # Out of memory", "headed", "2026-11-20 23:06:46", None, None, "Out of memory"),
        ("11/20/2026 11:06:46 PM Lease is lost", "headed", "2026-11-20 23:06:46", None, None, "Lease is lost"),
        ("20/11/2026 12:06:46 AM ERROR It broke", "headed", "2026-11-20 00:06:46", "error", None, "It broke"),
        ("2026-11-20 23:06:46.260 UTC [81] eve@shop LOG:  checkpoint starting",
         "headed", "2026-11-20 23:06:46", "info", "eve@shop", "checkpoint starting"),
        ("2026-11-20 23:06:46.260 UTC [81] LOG:  checkpoint starting",
         "headed", "2026-11-20 23:06:46", "info", None, "checkpoint starting"),
        ("[2026-11-20 23:06:46][WARN][main][a.Pool]Pool is full",
         "headed", "2026-11-20 23:06:46", "warn", None, "[main] [a.Pool] Pool is full"),
        ("time=2026-11-20T23:06:46Z level=warn Pool is full",
         "logfmt", "2026-11-20 23:06:46", "warn", None, "Pool is full"),
        ("ERROR [worker-1] com.acme.Pool - exhausted", "levelled", None, "error", "com.acme.Pool", "exhausted"),
        ("2026-11-20T23:06:46.260686789Z hello there", "headed", "2026-11-20 23:06:46", None, None, "hello there"),
        ("2026-11-21T01:06:46+02:00 INFO hello", "levelled", "2026-11-20 23:06:46", "info", None, "hello"),
        ('[pod/api-5f/web] 2026-11-20T23:06:46Z {"level":"info","msg":"hi"}',
         "json", "2026-11-20 23:06:46", "info", "web", "hi"),
        ("2026-11-20T23:06:46.26Z stderr F panic: no map",
         "headed", "2026-11-20 23:06:46", "fatal", None, "panic: no map"),
        ("\x1b[31mERROR\x1b[0m it broke", "levelled", None, "error", None, "it broke"),
        ("just words, and no header: none", "plain", None, None, None, "just words, and no header: none"),
        ('{"not": json', "plain", None, None, None, '{"not": json'),
    ],
)  # fmt: skip
def test_each_format_gives_time_level_origin_and_message(
    line: str, format: str, time: str | None, level: str | None, service: str | None, message: str
) -> None:
    record = one(line)
    assert (record.format, record.level, record.service, record.message) == (format, level, service, message)
    assert record.time is None if time is None else at(record) == time
    assert record.text == line


def test_syslog_takes_the_latest_year_that_is_not_in_the_future() -> None:
    record = one("Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure; rhost=1.2.3.4")
    assert (record.service, record.message) == ("sshd(pam_unix)", "authentication failure; rhost=1.2.3.4")
    assert record.time is not None
    assert record.time <= datetime.now(UTC).timestamp() + 86_400
    assert at(record).endswith("-06-14 15:16:01")


def test_the_numbers_of_an_android_process_may_be_short() -> None:
    record = one("11-20 23:06:46.260   574  9974 D Dialer: ringing")
    assert (record.level, record.service, record.message) == ("debug", "Dialer", "ringing")


def test_a_python_traceback_belongs_to_the_entry_that_reports_it() -> None:
    lines = [
        "2026-11-20 10:00:00,000 ERROR request failed",
        "Traceback (most recent call last):",
        '  File "/app/main.py", line 3, in handle',
        "    1 / 0",
        "ZeroDivisionError: division by zero",
        "",
        "During handling of the above exception, another exception occurred:",
        "",
        "Traceback (most recent call last):",
        '  File "/app/main.py", line 9, in retry',
        "app.errors.RetryFailed: no luck",
        "2026-11-20 10:00:01,000 INFO next",
    ]
    failed, following = parse(lines)
    assert len(failed.joined) == 8
    assert failed.joined[-1] == "app.errors.RetryFailed: no luck"
    assert (following.number, following.message) == (12, "next")


def test_a_java_stack_trace_belongs_to_its_entry_also_behind_container_times() -> None:
    lines = [
        "2026-11-20 10:00:00,000 ERROR [main] com.acme.Api - boom",
        "java.lang.IllegalStateException: no pool",
        "\tat com.acme.Api.call(Api.java:12)",
        "Caused by: java.net.ConnectException: Connection refused",
        "\t... 3 more",
        "2026-11-20 10:00:01,000 INFO [main] com.acme.Api - next",
    ]
    for form in (lines, [f"2026-11-20T10:00:00.1Z {line}" for line in lines]):
        records = list(parse(form))
        assert [len(record.joined) for record in records] == [4, 0]
        assert records[0].joined[2].startswith("Caused by: java.net.ConnectException")


def test_an_exception_ends_with_its_last_line() -> None:
    lines = ["ERROR it failed", "Traceback (most recent call last):", "  File 'x'", "KeyError: 'a'", "serving again"]
    assert [(r.message, len(r.joined)) for r in parse(lines)] == [("it failed", 3), ("serving again", 0)]


def test_nothing_but_empty_lines_is_dropped_and_numbers_are_those_of_the_file() -> None:
    assert [r.number for r in parse(["a", "", "  ", "b", "{", "}"])] == [1, 4, 5, 6]


def test_files_are_read_gzipped_with_bad_bytes_with_utf16_and_only_newlines_end_lines(tmp_path: Path) -> None:
    text = "first \x85 line\r\nsecond\n"
    (tmp_path / "a.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "b").write_bytes(b"bad \xff byte\nlast")
    (tmp_path / "c").write_bytes("windows\r\n".encode("utf-16"))
    (tmp_path / "empty").write_bytes(b"")

    def read(name: str) -> list[str]:
        with open_logs(tmp_path / name) as lines:
            return list(lines)

    assert read("a.gz") == ["first \x85 line", "second"]
    assert read("b") == ["bad \ufffd byte", "last"]
    assert read("c") == ["windows"]
    assert read("empty") == []


def test_a_line_without_an_end_is_cut_and_the_next_one_keeps_its_number(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 1_000_000 + b"\nnext\n")
    with open_logs(tmp_path / "long") as lines:
        first, second = lines
    assert (len(first), second) == (65_536, "next")


def test_a_file_that_cannot_be_read_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"FILE must be a log file that exists, and '.*nothing' does not. Check the path"
    ):
        with open_logs(tmp_path / "nothing"):
            pass
    with pytest.raises(UsageError, match="is a folder. Name the files in it"), open_logs(tmp_path):
        pass
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"line\n" * 10_000)[:-30])
    with open_logs(tmp_path / "cut.gz") as lines:
        assert len(list(lines)) > 5_000
        assert "FILE must be whole, and of '" in (lines.damage or "")
        assert "the gzip data ends too early" in (lines.damage or "")


def test_since_is_a_span_before_the_newest_line_or_a_time() -> None:
    assert moment("2h", 10_000.0) == 2_800.0
    assert moment("1970-01-01T00:01:00Z", None) == 60.0
    with pytest.raises(UsageError, match=r"since must be a span such as 10m, .* got 'yesterday'"):
        moment("yesterday", 1.0)
    with pytest.raises(UsageError, match=r"no line of these logs has one, got '5m'"):
        moment("5m", None)
    records = [Record(1, "", "", 1.0), Record(2, "", "", 5.0), Record(3, "", ""), Record(4, "", "", 2.0)]
    assert [r.number for r in after(records, 3.0)] == [2, 3]


@pytest.mark.parametrize(
    "unit", ["a", "1", "a-", "-1-", "_1", "a ", "[a ", "A.B", "f0", "x=1 ", 'a="', "0:", "Caused by: "]
)
def test_no_line_takes_long_however_it_is_made(unit: str) -> None:
    line = (unit * 1_000_000)[:1_000_000]
    for before in ("", "2026-11-20T10:00:00Z ", "Jun 14 15:16:01 host ", "2026-11-20 10:00:00 INFO ", "{"):
        why(parse([before + line, line]))  # a pattern that looks at every pair would take hours: each test has 300 s


def test_what_steers_a_terminal_is_spelt_out() -> None:
    assert visible("a\x1b[2Jb\tc\x9b1m\u202eé") == "a\\x1b[2Jb\tc\\x9b1m\\x202eé"


def test_a_level_that_is_padded_behind_a_time_begins_an_entry():
    lines = [
        "2026-03-14T13:00:01.711Z  INFO 1 --- [nio-8080-exec-1] shop.Orders : Order 1 placed",
        "2026-03-14T13:00:02.711Z ERROR 1 --- [nio-8080-exec-1] shop.Orders : Order 2 could not be saved",
        "java.lang.IllegalStateException: no connection",
        "\tat shop.Orders.save(Orders.java:58)",
        "2026-03-14T13:00:03.711Z  WARN 1 --- [nio-8080-exec-1] shop.Orders : 40 are waiting",
    ]
    found = list(parse(lines))
    assert [(record.number, record.level, len(record.joined)) for record in found] == [
        (1, "info", 0),
        (2, "error", 2),
        (5, "warn", 0),
    ]

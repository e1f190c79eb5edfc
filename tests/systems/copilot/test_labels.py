"""Labels: from tags, from tables, from what people said in the store; never in the text."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from groundup.errors import UnknownName, UsageError
from groundup.systems.copilot.classifying.labels import OF_EACH, Example, examples_of, plain_label, read_examples
from groundup.systems.copilot.store import Source, open_store
from tests.systems.copilot.labelled import loghub


def test_labels_have_one_spelling() -> None:
    assert {plain_label(one) for one in ("-", "0", 0, "False", " OK ", "normal", "benign")} == {"normal"}
    assert {plain_label(one) for one in ("1", 1, True, "Anomaly", "ALERT")} == {"alert"}
    assert plain_label("KERNDTLB") == "KERNDTLB"
    assert plain_label("KERNDTLB", binary=True) == "alert"


def test_the_first_word_of_a_tagged_log_is_the_label_and_no_part_of_the_text(tmp_path: Path) -> None:
    log = tmp_path / "tagged.log"
    log.write_text(
        "- 2026-01-01 00:00:00 INFO fine\nDISK 2026-01-01 00:00:01 ERROR no space\nDISK \tat a.B.c(B.java:1)\n"
    )
    found = list(read_examples(log, tagged=True))
    assert [one.label for one in found] == ["normal", "DISK"]
    assert [one.record.text for one in found] == ["2026-01-01 00:00:00 INFO fine", "2026-01-01 00:00:01 ERROR no space"]
    assert [one.record.level for one in found] == ["info", "error"]
    assert len(found[1].record.joined) == 1
    assert [one.label for one in read_examples(log, tagged=True, binary=True)] == ["normal", "alert"]


def test_a_table_has_message_label_template_and_what_else_a_record_has(tmp_path: Path) -> None:
    table = tmp_path / "labelled.csv"
    table.write_text('Label,Level,Content,EventTemplate\n-,INFO,"a, b 1","a, b <*>"\nX,FATAL,gone,gone\n')
    first, second = read_examples(table)
    assert (first.label, first.template, first.record.message, first.record.level) == (
        "normal", "a, b <*>", "a, b 1", "info",
    )  # fmt: skip
    assert (second.label, second.record.level, second.record.number) == ("X", "fatal", 3)
    assert "FATAL" not in second.record.message
    assert "X" not in second.record.text


def test_lines_of_json_may_be_whole_log_lines_or_sessions(tmp_path: Path) -> None:
    table = tmp_path / "labelled.jsonl.gz"
    rows = [
        {"text": "2026-01-01 10:00:00 WARN slow", "label": 1},
        {"templates": ["open <*>", "open <*>", "close"], "label": 0},
    ]
    table.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    line, session = read_examples(table)
    assert (line.record.level, line.record.message, line.label) == ("warn", "slow", "alert")
    assert (session.record.message, session.label) == ("open <*> close", "normal")
    assert session.template == "close\nopen <*>"  # sessions of the same lines are copies


def test_secrets_are_masked_before_anything_is_learnt(tmp_path: Path) -> None:
    log, table = tmp_path / "tagged.log", tmp_path / "t.csv"
    log.write_text("X INFO login password=hunterhunter ok\n")
    table.write_text("label,message\n1,login password=hunterhunter ok\n")
    for found in (read_examples(log, tagged=True), read_examples(table)):
        (one,) = found
        assert "***" in one.record.message
        assert "hunter" not in one.record.text + one.record.message


@pytest.fixture
def short_fields() -> Iterator[None]:
    """Fields of a CSV may have 100 characters."""
    before = csv.field_size_limit(100)
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("short_fields")
def test_a_table_without_what_is_needed_is_refused_and_says_what_it_has(tmp_path: Path) -> None:
    for name, text, options, message in [
        ("a.csv", "kind,message\nx,y\n", {}, "must have a column with the label, and row 2 has only: kind, message"),
        ("b.csv", "label,said\nx,y\n", {}, "must have a column with the message.*Name it with --message"),
        (
            "c.csv",
            "label,message\nx,y\n",
            {"label": "kind"},
            "label must be a column of .*has no 'kind'. It has: label",
        ),
        ("d.csv", "label,message\n,y\n", {}, "label must be there in every row, and row 2 of .* has none"),
        ("e.log", "INFO started\n", {}, "line 1 of .*is no JSON.*add --tagged"),
        ("g.csv", f"label,message\nx,{'y' * 200}\n", {}, "must be a table in CSV, and .*g.csv' is none: field larger"),
        ("f.jsonl", "[1]\n", {}, "must hold a JSON object in each line, and line 1 of .* is a list"),
    ]:
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(UsageError, match=message):
            list(read_examples(path, **options))


def test_the_labels_of_bgl_are_its_tags() -> None:
    log = loghub("BGL")
    found = list(read_examples(log, tagged=True, binary=True))
    assert len(found) == 2_000
    assert sum(one.label == "alert" for one in found) == 143
    table = list(read_examples(f"{log}_structured.csv", binary=True))
    assert [one.label for one in table] == [one.label for one in found]
    assert len({one.template for one in table}) == 120


# ── in the store ────────────────────────────────────────────────────────────────────────────────────────────────────
APP = Source("file", "/logs/app.log")
LINES = [
    "2026-01-01 00:00:00 INFO job 1 done",
    "2026-01-01 00:00:01 ERROR job 2 failed",
    "java.lang.IllegalStateException: x",
    "\tat a.B.c(B.java:1)",
    "2026-01-01 00:00:02 INFO job 3 done",
    "2026-01-01 00:00:03 ERROR job 4 failed",
]


def said(examples: list[Example]) -> list[tuple[int, str]]:
    return [(one.record.number, one.label) for one in examples]


def test_a_label_is_that_of_the_record_that_a_line_belongs_to(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.duckdb") as store:
        store.append(APP, LINES, cursor={})
        assert store.label("app.log", 3, "alert") == 1  # a line of the exception
        assert store.label("#1", 1, "0") == 1
        found = examples_of(store)
        assert said(found) == [(1, "normal"), (2, "alert")]
        assert found[1].record.joined == LINES[2:4]
        assert found[1].record.text == LINES[1]
        assert found[1].record.time == 1767225601.0
        store.label("app.log", 2, "flaky")  # said again: what was said last holds
        assert said(examples_of(store)) == [(1, "normal"), (2, "flaky")]
        store.label("app.log", 2, None)
        assert said(examples_of(store)) == [(1, "normal")]


def test_alike_labels_all_records_of_the_template_which_stay_one_group(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.duckdb") as store:
        store.append(APP, LINES, cursor={})
        store.append(Source("stdin", "pipe"), ["2026-01-01 00:00:09 INFO job 9 done"], cursor={})
        assert store.label("app.log", 1, "normal", alike=True) == 3
        found = examples_of(store)
        assert sorted(said(found)) == [(1, "normal"), (1, "normal"), (5, "normal")]
        assert len({one.template for one in found}) == 1


def test_of_a_template_so_many_records_are_learnt_from_and_no_more(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.duckdb") as store:
        store.append(APP, [f"INFO job {i} done" for i in range(OF_EACH + 50)] + ["INFO another thing"], cursor={})
        store.label("app.log", 1, "normal", alike=True)
        store.label("app.log", OF_EACH + 51, "normal")
        store.label("app.log", 9, "alert")
        found = said(examples_of(store))
    assert [number for number, label in found if label == "normal"] == [
        *(number for number in range(1, OF_EACH + 2) if number != 9), OF_EACH + 51,
    ]  # fmt: skip
    assert (9, "alert") in found


def test_labels_outlive_the_process_and_a_container_keeps_its_times(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    pod = Source("container", "shop/web-1/app", "c", "shop", "web-1", "u", "app")
    with open_store(path) as store:
        store.append(pod, ["plain words"], cursor={}, times=[1_700_000_000_000_000])
        store.label("web-1", 1, "alert")
    with open_store(path, reading=True) as store:
        (one,) = examples_of(store)
    assert (one.record.text, one.record.time, one.record.source) == ("plain words", 1_700_000_000.0, "shop/web-1/app")


def test_a_place_that_is_none_or_several_is_refused(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.duckdb") as store:
        pod = Source("container", "shop/web-1/app", "c", "shop", "web-1", "u", "app")
        store.append(APP, LINES, cursor={})
        store.append(pod, ["one"], cursor={}, times=[1])
        store.append(replace(pod, restart=1), ["two"], cursor={}, times=[2])
        with pytest.raises(UsageError, match=r"from 1 to 6, which is how many app\.log has, got 7"):
            store.label("app.log", 7, "alert")
        with pytest.raises(
            UsageError, match=r"'web-1' means 2\. Name it by its number: #2 .*restart 0.*#3 .*restart 1"
        ):
            store.label("web-1", 1, "alert")
        assert store.label("#3", 1, "alert") == 1
        with pytest.raises(UnknownName, match="called 'nothing'"):
            store.label("nothing", 1, "alert")
        with pytest.raises(UsageError, match="label must be a word, got an empty one"):
            store.label("app.log", 1, " ")

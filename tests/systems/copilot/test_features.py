"""Features: those that a person would name, and a table that knows what is missing."""

from __future__ import annotations

import math

import numpy as np

from groundup.systems.copilot.classifying.features import FIXED, Reader, Vocabulary, describe, tabulate
from groundup.systems.copilot.reading.logs import Record, parse

LINE = "2025-01-07 14:23:45 ERROR Failed to connect to database"


def one(line: str) -> Record:
    return next(parse([line]))


def test_the_roadmap_s_example_has_the_features_that_it_names() -> None:
    found = describe(one(LINE))
    assert found["hour_of_day"] == 14
    assert found["is_error"] == 1
    assert found["contains_database"] == 1
    assert found["contains_failed"] == 1
    assert found["word_count"] == 5  # of the message; the time and the level are features of their own
    assert found["has_timestamp"] == 1
    assert found["error_type"] == "connection"
    assert found["level"] == "error"


def test_what_is_not_known_is_none_and_in_the_table_nan() -> None:
    found = describe(one("all quiet"))
    assert [found[name] for name in ("hour_of_day", "level", "status", "error_type")] == [None] * 4
    assert found["has_timestamp"] == 0
    table = tabulate([one("all quiet"), one(LINE)])
    assert math.isnan(table.column("hour_of_day")[0])
    assert table.column("hour_of_day")[1] == 14
    assert math.isnan(table.column("level")[0])
    assert table.values.dtype == np.float32


def test_the_type_of_an_error_is_told_of_errors_only() -> None:
    types = {
        "ERROR timeout while waiting for reply": "timeout",
        "ERROR permission denied for user app": "permission",
        "ERROR out of memory": "memory",
        "ERROR it went wrong": "other",
        "INFO connected to database": None,
    }
    assert {line: describe(one(line))["error_type"] for line in types} == types
    table = tabulate(map(one, types))
    columns = [name for name in FIXED if name.startswith("error_type=")]
    rows = np.stack([table.column(name) for name in columns], axis=1)
    assert rows.sum(axis=1).tolist() == [1, 1, 1, 1, 0]


def test_the_table_says_what_describe_says() -> None:
    lines = [
        LINE,
        "INFO GET /a 1",
        '{"level": "warn", "status": 503, "message": "slow", "time": "2026-01-01T03:00:00Z"}',
    ]
    table = tabulate(map(one, lines))
    for row, line in enumerate(lines):
        for name, value in describe(one(line)).items():
            if name in FIXED and name != "level":
                got = table.column(name)[row]
                assert math.isnan(got) if value is None else math.isclose(got, float(value), abs_tol=1e-4), name


def test_numbers_and_identifiers_are_no_words_and_an_exception_is_named() -> None:
    lines = [
        "2026-01-01 00:00:00 ERROR order 77 of 10.0.0.1 failed in camelCaseName",
        "java.lang.IllegalStateException: gone",
        "\tat org.example.Shop.pay(Shop.java:10)",
    ]
    record = next(parse(lines))
    reader = Reader()
    found = reader.texts[reader.text(record)]
    assert {"order", "failed", "camel", "case", "name", "illegal", "exception"} <= found.words
    assert not any(character.isdigit() for word in found.words for character in word)
    described = describe(record)
    assert described["has_exception"] == 1
    assert described["joined_lines"] == 2


def test_a_word_of_one_template_only_is_not_in_the_vocabulary() -> None:
    lines = ["disk full on alpha", "disk slow on alpha", "disk full on beta", "network gone"]
    table = tabulate(map(one, lines))
    vocabulary = Vocabulary.learn(table, np.array([0, 1, 0, 2]))
    assert set(vocabulary.words) == {"disk", "on", "alpha"}  # `full` and `beta` come in template 0 only
    matrix = vocabulary.matrix(table)
    assert matrix.shape == (4, len(vocabulary.names))
    assert matrix[:, vocabulary.names.index("word:alpha")].tolist() == [1, 1, 0, 0]


def test_no_record_is_an_empty_table() -> None:
    assert tabulate([]).values.shape == (0, len(FIXED))

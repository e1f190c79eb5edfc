"""Formats and maskings of one's own: what a file of them changes, what it may not hold, and what it costs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from groundup.checking import runs_python_lines
from groundup.errors import MissingPackage, UsageError
from groundup.systems.copilot.reading.logs import parse
from groundup.systems.copilot.reading.patterns import Patterns, load_patterns
from groundup.systems.copilot.serving.api import create_app
from groundup.systems.copilot.serving.service import Settings
from groundup.systems.copilot.sources.files import ingest_files
from groundup.systems.copilot.store import open_store
from tests.conftest import Ran
from tests.systems.copilot.apiserver import START, Container, serve

SHOP = r"""
[formats]
shop = '(?P<time>\S+ \S+) <(?P<level>\w+)> (?P<service>[^:]+): (?P<message>.*)'
pods = '\{(?P<pod>[a-z0-9-]+)\} (?P<level>[A-Z]+) ~ (?P<message>.+)'
note = '#(?P<message>.+)'

[masks]
order = 'ord-[a-z]+'
"""
LINE = "2026-03-02 10:00:05 <warning> shop.pool: pool of ord-abc exhausted"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of patterns."""
    path = tmp_path / "patterns.toml"
    path.write_text(SHOP, encoding="utf-8")
    return path


@pytest.fixture
def patterns(file: Path) -> Patterns:
    """What is in it."""
    return load_patterns(file)


def test_a_format_reads_time_level_service_and_message_and_a_mask_hides_values(patterns: Patterns) -> None:
    (record,) = parse([LINE], patterns=patterns)
    assert (record.format, record.level, record.service) == ("shop", "warn", "shop.pool")
    assert record.time == 1_772_445_605.0
    assert record.message == "pool of <*> exhausted"
    assert record.text == LINE, "the line itself stays as it is"
    (built_in,) = parse([LINE])
    assert (built_in.level, built_in.format) == (None, "headed")


def test_a_line_of_no_format_of_ones_own_is_read_as_ever_and_masked_as_well(patterns: Patterns) -> None:
    lines = [LINE, '{"level": "error", "msg": "ord-xyz lost"}', LINE, "ERROR [main] org.example.Pool - full"]
    records = list(parse(lines, patterns=patterns))
    assert [record.format for record in records] == ["shop", "json", "shop", "levelled"]
    assert records[1].message == "<*> lost"


def test_wrappers_are_taken_off_where_the_line_as_it_stands_fits_no_format(patterns: Patterns) -> None:
    cri = f"2026-03-02T11:00:00.5Z stdout F {LINE}"
    (record,) = parse([cri], patterns=patterns)
    assert (record.format, record.time) == ("shop", 1_772_445_605.0)
    stamped = load_from("[formats]\nx = '(?P<time>\\S+) <(?P<level>\\w+)> (?P<message>.*)'")
    (record,) = parse(["2026-03-02T10:00:05Z <error> full"], patterns=stamped)
    assert (record.format, record.level, record.time) == ("x", "error", 1_772_445_605.0)
    (record,) = parse([f"\x1b[31m{LINE}\x1b[0m"], patterns=patterns)
    assert record.format == "shop"


def test_a_line_that_fits_begins_a_record_even_where_it_looks_like_an_exceptions() -> None:
    lines = ["Traceback (most recent call last):", '  File "a.py", line 1', "ValueError: x", "shop.pool: full"]
    own = load_from("[formats]\nx = '(?P<service>[A-Za-z.]+): (?P<message>.+)'")
    assert [record.number for record in parse(lines)] == [1, 4]
    assert [record.number for record in parse(lines, patterns=own)] == [1, 3, 4]


def test_an_exception_stays_with_the_record_of_its_pod(patterns: Patterns) -> None:
    lines = [
        "{cart-1} ERROR ~ order lost", "java.lang.IllegalStateException: x", "\tat a.B.c(B.java:1)",
        "{pay-2} INFO ~ fine", "{cart-1} INFO ~ next", "{pay-2} ERROR ~ declined", "\tat a.B.d(B.java:2)",
    ]  # fmt: skip
    records = list(parse(lines, patterns=patterns))
    assert [(record.number, record.service, len(record.joined)) for record in records] == [
        (1, "cart-1", 2), (4, "pay-2", 0), (5, "cart-1", 0), (6, "pay-2", 1),
    ]  # fmt: skip
    assert records[0].fields == {"pod": "cart-1"}


def test_a_time_of_day_is_a_time_and_an_unknown_time_or_level_is_none() -> None:
    own = load_from("[formats]\nx = '(?P<time>\\S+)/(?P<level>\\w+)/(?P<message>.*)'")
    day, unknown = parse(["10:00:05,5/E/full", "yesterday/loud/full"], patterns=own)
    assert day.time is not None
    assert day.time % 86_400 == 36_005.5
    assert day.level == "error"
    assert (unknown.time, unknown.level, unknown.message) == (None, None, "full")


def load_from(text: str) -> Patterns:
    """Patterns of a text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.toml"
        path.write_text(text, encoding="utf-8")
        return load_patterns(path)


# ── who uses them ───────────────────────────────────────────────────────────────────────────────────────────────────
LOG = [f"2026-03-02 10:{i // 60:02}:{i % 60:02} <info> shop.pool: order ord-{'abc'[i % 3]}x placed" for i in range(300)]
LOG[250] = "2026-03-02 10:04:10 <fatal> shop.pool: halted"


def test_why_and_templates_use_them_by_option_or_by_environment(
    groundup: Callable[..., Ran], tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "shop.log"
    log.write_text("\n".join(LOG), encoding="utf-8")
    plain = groundup("copilot", "why", str(log), "--json").json
    assert plain["read"]["levelled"] == 0
    assert [one["level"] for one in plain["evidence"]] == [None]
    ran = groundup("copilot", "why", str(log), "--patterns", str(file), "--json").json
    assert ran["read"]["levelled"] == 300
    assert [(one["level"], one["number"]) for one in ran["evidence"]] == [("fatal", 251)]
    monkeypatch.setenv("GROUNDUP_PATTERNS", str(file))
    assert [one["number"] for one in groundup("copilot", "why", str(log), "--json").json["evidence"]] == [251]
    templates = groundup("copilot", "templates", str(log), "--json").json["templates"]
    assert [one["text"] for one in templates] == ["order <*> placed", "halted"]


def test_what_is_stored_and_read_again_is_read_with_them(tmp_path: Path, patterns: Patterns) -> None:
    log = tmp_path / "shop.log"
    log.write_text("\n".join(LOG) + "\n", encoding="utf-8")
    with open_store(tmp_path / "copilot.duckdb", patterns=patterns) as store:
        ingest_files(store, [str(log)])
        assert store.summary()["sources"][0]["errors"] == 1
        assert [template.text for template in store.miner.templates()] == ["order <*> placed", "halted"]
        assert [record.level for record in store.records()].count("fatal") == 1


def test_the_api_uses_them(tmp_path: Path, patterns: Patterns) -> None:
    app = create_app(Settings(tmp_path / "copilot.duckdb", patterns=patterns))
    with TestClient(app, base_url="http://127.0.0.1:8600") as client:
        client.post("/ingest", files={"file": ("shop.log", "\n".join(LOG).encode())})
        for body in ({}, {"lines": LOG}):
            assert [one["level"] for one in client.post("/why", json=body).json()["evidence"]] == ["fatal"]


def test_ingest_and_collect_store_what_they_make_of_lines(
    groundup: Callable[..., Ran], tmp_path: Path, file: Path
) -> None:
    store = str(tmp_path / "copilot.duckdb")
    ran = groundup("copilot", "ingest", "-", "--patterns", str(file), "--store", store, stdin="\n".join(LOG))
    assert ran.code == 0
    with serve() as server:
        server.pod("checkout-1", [Container("web")]).containers[0].now.write(START, *LOG)
        config = str(server.kubeconfig(tmp_path / "config"))
        options = ("--kubeconfig", config, "--namespace", "shop", "--patterns", str(file), "--store", store)
        assert groundup("copilot", "collect", *options).code == 0
    sources = groundup("copilot", "status", "--store", store, "--json").json["sources"]
    assert [(one["kind"], one["errors"]) for one in sources] == [("stdin", 1), ("container", 1)]


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[formats]\nx = '('", ("formats.x", "must compile, and does not (missing ): ()", "wiki/Syntax")),
        ("[formats]\nx = '(?P<time>\\S+) .*'", ("formats.x", "must have a group named message", "(?P<message>.*)")),
        ("[formats]\nx = '(?P<msg>.+)'", ("formats.x", "time, level, service, pod, message, and names 'msg'", "(?:…)")),
        ("[formats]\nx = '(?P<message>.*)'", ("formats.x", "must not match the empty line", ".+ for .*")),
        ("[formats]\nx = '(?P<message>(a)\\2+)'", ("formats.x", "backtrack without bound", "Write it without")),
        ("[formats]\nx = '(?P<message>(?=a).+)'", ("formats.x", "backtrack without bound", "(?=")),
        ("[masks]\ny = 'a*'", ("masks.y", "must match at least one character", "Write + for *")),
        ("[masks]\ny = '\\b'", ("masks.y", "must match at least one character")),
        ("[masks]\ny = 'a{1,9999}'", ("masks.y", "must compile", "invalid repetition size")),
        ("[masks]\ny = 7", ("masks.y", "must be a pattern between quotes", "7")),
        ("[format]\nx = 'a'", ("tables [formats] and [masks]", "has 'format'")),
        ("formats = 'a'", ("tables [formats] and [masks]", "has 'formats'")),
        ('[formats]\nx = "\\d"', ("must be a TOML file", "single quotes")),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_error_that_names_file_key_pattern_and_remedy(
    text: str, words: tuple[str, ...], tmp_path: Path, groundup: Callable[..., Ran]
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_patterns(path)
    message = str(caught.value)
    pattern = text.partition("= ")[2].strip("'")
    for word in (str(path), *words, *([pattern] if words[0].startswith(("formats.", "masks.")) else [])):
        assert word in message
    ran = groundup("copilot", "why", "-", "--patterns", str(path), stdin="INFO fine")
    assert ran.code == 2
    assert "Traceback" not in ran.err


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"patterns must be a file that can be read, and '.*none\.toml' cannot: No"):
        load_patterns(tmp_path / "none.toml")


def test_without_the_extra_the_message_says_what_to_install(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(MissingPackage, match=r"Patterns of your own needs google-re2, which is not installed"):
        load_patterns(file)


# ── what they cost ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_price_is_lines_of_python_in_proportion_to_the_lines_read(patterns: Patterns) -> None:
    """250 lines of Python for a line that fits the first format, 25 for each format that a line does not fit."""
    own = list(parse(LOG))  # warms what is remembered of times

    def read(log: list[str], given: Patterns | None) -> Any:
        return lambda: [None for _ in parse(log, patterns=given)]

    built_in = 95
    assert len(own) == len(LOG)
    assert not runs_python_lines(read(LOG, None), built_in * len(LOG))
    assert not runs_python_lines(read(LOG, patterns), (built_in + 250) * len(LOG))
    assert not runs_python_lines(read(LOG * 4, patterns), (built_in + 250) * 4 * len(LOG))
    vain = Patterns({f"{i}": patterns.formats["note"] for i in range(5)})
    assert not runs_python_lines(read(LOG, vain), (built_in + 40 + 5 * 25) * len(LOG))


def test_a_pattern_that_could_be_tried_in_countless_ways_takes_one_look_at_a_line() -> None:
    slow = load_from("[formats]\nx = '(?P<message>(?:a+)+b)'")  # `re` would try 2 to the 60,000
    (record,) = parse(["a" * 60_000], patterns=slow)
    assert record.format == "plain"


def test_without_patterns_nothing_of_them_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it ran")

    for name in ("OwnUnwrapper", "OwnTrace", "Reader", "Everything"):
        monkeypatch.setattr(f"groundup.systems.copilot.reading.logs.{name}", never)
    assert len(list(parse(LOG))) == 300

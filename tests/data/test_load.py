"""Where data comes from: cache, mirror, download, stand-in; and that nothing damaged is ever used."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from groundup.data import REGISTRY, DataWarning, load, watch
from groundup.data import fetch as fetching
from groundup.errors import DataUnavailable, UnknownName, UsageError

TABLE = (
    b"PassengerId,Survived,Pclass,Name,Sex,Age,SibSp,Parch,Ticket,Fare,Cabin,Embarked\n"
    b'1,0,3,"Braund, Mr. Owen",male,22,1,0,A/5 21171,7.25,,S\n'
    b'2,1,1,"Cumings, Mrs. John",female,,1,0,PC 17599,71.2833,C85,\n'
)


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `body` under any path, as `status`; promises `promised` bytes more than it sends."""

    body: ClassVar[bytes] = TABLE
    status: ClassVar[int] = 200
    promised: ClassVar[int] = 0
    requests: ClassVar[int] = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body) + self.promised))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no mirror, and no proxy in between."""
    for name in ("GROUNDUP_DATA_MIRROR", "GROUNDUP_OFFLINE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def point_titanic_at(url: str, monkeypatch: pytest.MonkeyPatch, content: bytes = TABLE) -> None:
    entry = replace(REGISTRY["titanic"], url=url, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    monkeypatch.setitem(REGISTRY, "titanic", entry)


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    """A local server that holds a small titanic.csv, with the registry pointing at it."""
    handler = type("Handler", (Server,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        point_titanic_at(f"http://127.0.0.1:{running.server_port}/titanic.csv", monkeypatch)
        yield handler
        running.shutdown()
        thread.join()


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_download_is_checked_kept_and_not_repeated(server: type[Server], cache: Path) -> None:
    first, second = load("titanic"), load("titanic")
    assert (first.provenance.source, second.provenance.source) == ("download", "cache")
    assert first.provenance.label == "real data, downloaded now"
    assert second.provenance.label == "real data, from the cache"
    assert server.requests == 1
    assert files(cache) == ["titanic/titanic.csv"]
    assert first.path is not None
    assert first.path.read_bytes() == TABLE


def test_a_download_with_a_wrong_checksum_is_an_error_and_leaves_nothing(server: type[Server], cache: Path) -> None:
    server.body = TABLE.replace(b"22", b"23")
    with pytest.raises(DataUnavailable, match=r"does not have the SHA-256 .* discarded.*GROUNDUP_DATA_MIRROR"):
        load("titanic")
    assert files(cache) == []


def test_a_download_that_breaks_off_leaves_nothing_and_gives_a_stand_in(server: type[Server], cache: Path) -> None:
    server.body, server.promised = TABLE[:100], len(TABLE) - 100
    dataset = load("titanic")
    assert dataset.provenance.stand_in
    assert "broke off" in dataset.provenance.note
    assert files(cache) == []


def test_an_address_that_is_gone_gives_a_stand_in_that_says_so(server: type[Server]) -> None:
    server.status = 404
    assert "answered 404" in load("titanic").provenance.label


def test_a_damaged_cache_is_named_and_repaired(server: type[Server], cache: Path) -> None:
    load("titanic")
    (cache / "titanic/titanic.csv").write_bytes(TABLE[:50])
    with pytest.warns(DataWarning, match=r"titanic\.csv is damaged and was removed; expected SHA-256"):
        repaired = load("titanic")
    assert repaired.provenance.source == "download"
    assert (cache / "titanic/titanic.csv").read_bytes() == TABLE


def test_the_cache_comes_before_the_mirror_and_the_mirror_before_the_network(
    server: type[Server], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored = tmp_path / "mirror/titanic/titanic.csv"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(TABLE)
    monkeypatch.setenv("GROUNDUP_DATA_MIRROR", str(tmp_path / "mirror"))
    assert load("titanic").path == mirrored
    assert load("titanic").provenance.label == "real data, from the mirror"
    assert server.requests == 0
    (cache / "titanic").mkdir(parents=True)
    (cache / "titanic/titanic.csv").write_bytes(TABLE)
    assert load("titanic").provenance.source == "cache"


def test_a_mirror_file_with_a_wrong_checksum_is_skipped_by_name(
    server: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored = tmp_path / "mirror/titanic/titanic.csv"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(TABLE + b"3,1")
    monkeypatch.setenv("GROUNDUP_DATA_MIRROR", str(tmp_path / "mirror"))
    with pytest.warns(DataWarning, match=r"mirror/titanic/titanic\.csv has the wrong checksum and was skipped"):
        dataset = load("titanic")
    assert dataset.provenance.source == "download"
    assert "wrong checksum" in dataset.provenance.label
    assert mirrored.exists()


def test_offline_the_stand_in_is_labelled_and_comes_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound but not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        point_titanic_at(f"http://127.0.0.1:{taken.getsockname()[1]}/titanic.csv", monkeypatch)
        dataset = load("titanic")
    assert dataset.provenance.stand_in
    assert dataset.provenance.label.startswith("STAND-IN: generated, not the real data (no connection to 127.0.0.1")
    assert dataset.path is None


def test_a_name_lookup_that_hangs_does_not_hang_the_load(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    answered: list[bool] = []

    def hang(*_: object) -> None:
        answered.append(released.wait(240))
        raise OSError

    monkeypatch.setattr(fetching, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(socket, "create_connection", hang)
    try:
        assert load("titanic").provenance.stand_in
        assert answered == [], "the lookup still hangs, and nobody waits for it"
    finally:
        released.set()


def test_groundup_offline_asks_no_server(server: type[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDUP_OFFLINE", "1")
    assert "GROUNDUP_OFFLINE is set" in load("titanic").provenance.label
    assert server.requests == 0


def test_a_cache_that_cannot_be_written_is_one_clear_error(
    server: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataUnavailable, match=r"cannot be written .*Set GROUNDUP_CACHE"):
        load("titanic")


def test_missing_values_are_explicit(server: type[Server]) -> None:
    table = load("titanic")
    np.testing.assert_array_equal(table["Age"], [22.0, np.nan])
    assert table.missing("Age").tolist() == [False, True]
    assert table.missing("Cabin").tolist() == [True, False]
    assert table.missing("Embarked").tolist() == [False, True]
    assert table.missing("Survived").tolist() == [False, False]
    assert table["Name"][0] == "Braund, Mr. Owen"


def test_columns_cannot_be_changed_in_place(server: type[Server]) -> None:
    with pytest.raises(ValueError, match="read-only"):
        load("titanic")["Fare"][0] = 0


def test_wrong_names_suggest_the_nearest(server: type[Server]) -> None:
    with pytest.raises(UnknownName, match=r"no dataset called 'titanik'. Did you mean titanic\?"):
        load("titanik")
    with pytest.raises(UnknownName, match=r"no column in 'titanic' called 'age'. Did you mean Age"):
        load("titanic")["age"]
    with pytest.raises(UnknownName, match=r"called 'zzz'. `load\('titanic'\)\.columns` lists them"):
        load("titanic")["zzz"]
    with pytest.raises(UsageError, match=r"no option 'row'. The options are rows, noise, seed"):
        load("moons", row=3)
    with pytest.raises(UsageError, match=r"takes no options, but received rows. Leave them out"):
        load("titanic", rows=3)


def test_watch_collects_what_was_loaded(server: type[Server]) -> None:
    with watch() as loaded:
        load("moons", rows=10)
        load("moons", rows=20)
        load("titanic")
    assert [provenance.name for provenance in loaded] == ["moons", "titanic"]

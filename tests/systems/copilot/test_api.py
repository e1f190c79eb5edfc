"""The API: what it answers, what it refuses and in which words, and what a request that ends early leaves behind."""

from __future__ import annotations

import gzip
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from starlette.testclient import TestClient

from groundup.api.work import Deadline, TooSlow, within
from groundup.errors import StoreError, UsageError
from groundup.systems.copilot import Source, ingest_files, open_store
from groundup.systems.copilot.answering.ask import retrieve
from groundup.systems.copilot.demo import RUNBOOKS
from groundup.systems.copilot.incident import Incident, generate
from groundup.systems.copilot.serving.api import create_app
from groundup.systems.copilot.serving.service import Settings, Turn

HOST = "http://127.0.0.1:8600"
Api = Callable[..., TestClient]


@pytest.fixture(scope="module")
def incident() -> Incident:
    return generate(minutes=10)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """Start an API with some settings, on a store of this test's own."""
    clients: list[TestClient] = []

    def start(**settings: Any) -> TestClient:
        app = create_app(Settings(tmp_path / "copilot.duckdb", **settings))
        clients.append(TestClient(app, base_url=HOST, raise_server_exceptions=False))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


def send(client: TestClient, name: str, lines: list[str]) -> Any:
    return client.post("/ingest", files={"file": (name, "\n".join(lines).encode())})


def error(answer: Any, status: int) -> str:
    """The message of an error; all have one shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error", "status"}
    assert body["status"] == status
    return body["error"]


# ── what it answers ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_logs_go_in_and_the_root_cause_comes_out(api: Api, incident: Incident):
    client = api()
    for name, lines in incident.files.items():
        assert send(client, name, lines).json() == {"name": name, "lines": len(lines)}
    found = client.post("/why", json={}).json()
    assert not found["nothing"]
    assert set(incident.cause) <= {one["text"] for one in found["evidence"]}
    assert {one["name"] for one in client.get("/status").json()["sources"]} == set(incident.files)


def test_a_file_that_is_sent_again_is_not_stored_twice_and_a_longer_one_goes_on(api: Api, incident: Incident):
    client, lines = api(), incident.files["payment.log"]
    assert send(client, "payment.log", lines[:100]).json()["lines"] == 100
    assert send(client, "payment.log", lines[:100]).json()["lines"] == 0
    assert send(client, "payment.log", lines).json()["lines"] == len(lines) - 100
    packed = gzip.compress("\n".join(lines).encode())
    answer = client.post("/ingest", files={"file": ("payment.log", packed)})
    assert answer.json()["lines"] == 0, "packed, it is the same log"
    assert send(client, "payment.log", ["INFO another log of this name"]).json()["lines"] == 1


def test_a_path_in_a_files_name_is_only_a_name(api: Api):
    answer = send(api(), "../../etc/passwd", ["INFO x"])
    assert answer.json()["name"] == "passwd"


def test_lines_that_are_pushed_follow_each_other_and_a_batch_is_stored_once(api: Api, tmp_path: Path):
    client = api()
    first = {"name": "shop/checkout", "lines": ["INFO started", "ERROR password=hunter2 refused"], "batch": "1"}
    assert client.post("/ingest/lines", json=first).json()["lines"] == 2
    assert client.post("/ingest/lines", json=first).json()["lines"] == 0
    assert client.post("/ingest/lines", json=first | {"batch": "2", "lines": ["INFO a\nINFO b"]}).json()["lines"] == 2
    with open_store(tmp_path / "copilot.duckdb", reading=True) as store:
        (source,) = store.sources()
        assert store.texts(source) == ["INFO started", "ERROR password=*** refused", "INFO a", "INFO b"]


def test_lines_that_are_sent_along_are_looked_at_and_not_stored(api: Api, incident: Incident):
    client = api()
    found = client.post("/why", json={"lines": incident.files["checkout.log"][:20_000]}).json()
    assert incident.cause[0] in [one["text"] for one in found["evidence"]]
    assert client.get("/status").json()["lines"] == 0


def test_levels_over_time_templates_and_the_newest_lines(api: Api, incident: Incident):
    client = api()
    for name in ("checkout.log", "payment.log"):
        send(client, name, incident.files[name])
    bars = client.get("/timeline", params={"bars": 10}).json()
    failing = [bar["begin"] for bar in bars if bar["level"] == "error"]
    assert failing
    assert min(failing) > min(bar["begin"] for bar in bars), "before the release there are no errors"
    templates = client.get("/templates", params={"name": "payment.log"}).json()
    assert sum(one["count"] for one in templates) == len(incident.files["payment.log"])
    (voided,) = [one for one in templates if one["text"] == "order not saved, payment voided"]
    assert voided["errors"] == voided["count"] > 0
    newest = client.get("/lines", params={"name": "checkout.log", "most": 2}).json()
    assert [one["text"] for one in newest] == incident.files["checkout.log"][-2:]


def test_metrics_count_requests_and_lines(api: Api):
    client = api()
    send(client, "a.log", ["INFO a", "INFO b"])
    client.get("/nowhere")
    text = client.get("/metrics").text
    assert "groundup_copilot_ingested_lines_total 2.0" in text
    assert "groundup_copilot_stored_lines 2.0" in text
    assert 'groundup_copilot_requests_total{method="POST",path="/ingest",status="200"} 1.0' in text
    assert 'path="other",status="404"' in text, "what a caller makes up is no label"


def events(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_question_is_answered_line_by_line_with_citations_that_open(api: Api, incident: Incident, tmp_path: Path):
    client = api(knowledge=str(tmp_path / "knowledge"))
    for name, lines in incident.files.items():
        send(client, name, lines)
    first, *sentences, last = events(client.post("/ask", json={"question": "Why is checkout failing?"}))
    assert first["event"] == "retrieved"
    assert first["places"]
    assert last["event"] == "answer"
    assert not last["abstained"]
    assert [one["text"] for one in sentences] == [one["text"] for one in last["sentences"]]
    assert [new for one in sentences for new in one["new"]] == last["citations"]
    for citation in last["citations"]:
        (cited,) = [part for part in client.post("/open", json={"where": citation["where"]}).json() if part["cited"]]
        assert citation["text"] in cited["text"]
    assert 'groundup_copilot_answers_total{abstained="false"} 1.0' in client.get("/metrics").text
    unknown = events(client.post("/ask", json={"question": "Who is the king of Spain?"}))[-1]
    assert unknown["abstained"]
    assert "There is no source" in error(client.post("/open", json={"where": "nowhere.log#9:1"}), 404)
    assert "CITATION must be as an answer gives it" in error(client.post("/open", json={"where": "nowhere"}), 404)


def test_runbooks_that_are_learnt_while_the_api_runs_are_cited(api: Api, tmp_path: Path):
    client = api()
    send(client, "app.log", ["2026-03-14T13:00:00Z ERROR HikariPool-1 - Connection is not available"])
    question = {"question": "What should I do when the connection pool is exhausted?"}
    client.post("/ask", json=question)
    learn = [sys.executable, "-m", "groundup", "copilot", "learn", str(RUNBOOKS)]
    store = str(tmp_path / "copilot.duckdb")
    subprocess.run([*learn, "--store", store], check=True, capture_output=True)
    answer = events(client.post("/ask", json=question))[-1]
    assert any(one["where"].startswith("runbooks/connection-pool.md:") for one in answer["citations"])


def test_a_model_that_fails_on_the_way_ends_the_answer_with_an_error(api: Api, incident: Incident):
    client = api(model="http://127.0.0.1:9/v1#nobody")
    send(client, "checkout.log", incident.files["checkout.log"])
    last = events(client.post("/ask", json={"question": "Why is checkout failing?"}))[-1]
    assert last["event"] == "error"
    assert last["status"] == 503
    assert "model must answer" in last["error"]
    wrong = api(model="parrot:polly")
    assert "model must be ollama:NAME" in error(wrong.post("/ask", json={"question": "Why?"}), 422)


def trained(client: TestClient, **body: Any) -> dict[str, Any]:
    """What came of a training."""
    begun = client.post("/train", json=body)
    assert begun.status_code == 202, begun.text
    while True:
        job = client.get(begun.headers["location"]).json()
        if job["state"] not in ("running", "stopping"):
            return job
        time.sleep(0.05)


def test_what_people_say_of_lines_trains_a_classifier_that_says_why(api: Api, incident: Incident):
    client = api()
    message = error(client.post("/classify", json={}), 409)
    assert "There must be a trained classifier, and there is none yet" in message
    for name, lines in incident.files.items():
        send(client, name, lines)
    failed = trained(client)
    assert failed["state"] == "failed"
    assert failed["result"] is None
    assert failed["error"]["status"] == 409
    assert "examples must have two labels or more" in failed["error"]["error"]
    for one in client.get("/templates").json():
        truth = "alert" if one["errors"] or "failed" in one["text"] else "normal"
        said = {"source": one["source"], "position": one["position"], "label": truth, "alike": True}
        assert client.post("/feedback", json=said).json()["records"] == one["count"]
    labels = client.get("/feedback").json()
    assert set(labels) == {"normal", "alert"}
    job = trained(client, metric="recall")
    assert (job["state"], job["error"]) == ("done", None)
    assert job["step"] == job["steps"] > 10
    report = job["result"]
    assert report["metric"] == "recall"
    assert 0 <= report["expected"]["recall"] <= 1
    stored = client.post("/classify", json={"name": "checkout.log"}).json()
    assert stored["data_sha256"] == report["data_sha256"]
    alerts = [one for one in stored["predictions"] if one["label"] == "alert"]
    assert any("could not be saved" in one["text"] for one in alerts)
    assert all(one["reasons"] for one in alerts)
    sent = client.post("/classify", json={"lines": ["INFO receipt sent", "ERROR x"], "every": True}).json()
    assert [one["number"] for one in sent["predictions"]] == [1, 2]


def test_feedback_can_be_taken_back_and_must_name_a_line(api: Api):
    client = api()
    send(client, "app.log", ["ERROR a", "INFO b"])
    say = lambda **said: client.post("/feedback", json={"source": "app.log", **said})  # noqa: E731
    assert say(position=1, label="alert").json() == {"records": 1}
    assert client.get("/feedback").json() == {"alert": 1}
    assert say(position=1, label=None).json() == {"records": 1}
    assert client.get("/feedback").json() == {}
    assert "must be from 1 to 2" in error(say(position=3, label="alert"), 404)
    assert "label: String should match pattern" in error(say(position=1, label="  "), 422)


def test_anomalies_tell_what_is_new(api: Api, incident: Incident):
    client = api()
    for name, lines in incident.files.items():
        send(client, name, lines)
    found = client.post("/anomalies", json={}).json()
    assert any(one["kind"] == "new" and one["template"] == "order not saved, payment voided" for one in found)
    assert "window: String should match pattern" in error(client.post("/anomalies", json={"window": "0s"}), 422)


# ── what it refuses ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_errors_name_the_parameter_the_rule_and_the_value(api: Api):
    client = api()
    send(client, "checkout.log", ["INFO x"])
    why = lambda **body: client.post("/why", json=body)  # noqa: E731
    assert "called 'chekout.log'. Did you mean checkout.log?" in error(why(name="chekout.log"), 404)
    assert "GET /status lists what there is" in error(why(name="zzz"), 404)
    assert "most: Input should be less than or equal to 20, got '99'" in error(why(most=99), 422)
    assert "since: String should match pattern" in error(why(since="yesterday"), 422)
    assert "pod: Extra inputs are not permitted" in error(why(pod="x"), 422)
    assert "The body must be JSON, and it is not" in error(
        client.post("/why", content="{", headers={"content-type": "application/json"}), 422
    )
    assert "must have the Content-Type of JSON" in error(client.post("/why", content="{}"), 422)
    assert "file: Field required" in error(client.post("/ingest"), 422)
    assert "There is no path /nowhere" in error(client.get("/nowhere"), 404)
    assert "/why does not take GET" in error(client.get("/why"), 405)
    assert client.delete("/feedback").headers["allow"] == "GET, POST"
    assert "most: Value error, must be a number, got '5'" in error(why(most="5"), 422)
    assert "every: Input should be a valid boolean" in error(client.post("/classify", json={"every": 0}), 422)
    packed = bytearray(gzip.compress(random.Random(7).randbytes(1_000_000).hex().encode()))
    packed[500_000:500_100] = bytes(100)
    damaged = error(client.post("/ingest", files={"file": ("a.log.gz", bytes(packed))}), 422)
    assert "the gzip data of 'a.log.gz' is damaged" in damaged
    assert "/tmp" not in damaged, "where the server keeps it is nobody's business"
    no_text = error(client.post("/ingest", files={"file": ("a.log", random.Random(7).randbytes(5_000))}), 422)
    assert "file must be a log, and it is no text" in no_text


def test_with_a_token_nothing_but_health_is_answered_without_it(api: Api):
    client = api(token="s3cret")
    assert client.get("/healthz").json()["status"] == "ok"
    for path in ("/status", "/metrics", "/openapi.json", "/nowhere"):
        answer = client.get(path)
        assert "Authorization must be 'Bearer TOKEN'" in error(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
    for wrong in ("Bearer s3cre", "Basic s3cret", "s3cret", "Bearer é"):
        assert client.get("/status", headers={b"authorization": wrong.encode()}).status_code == 401
    assert client.get("/status", headers={"authorization": "Bearer s3cret"}).status_code == 200


def test_a_page_of_another_origin_and_a_name_that_was_rebound_are_refused(api: Api):
    client = api(hosts=("127.0.0.1", "localhost"))
    assert client.get("/status").status_code == 200
    assert "Host must be one of 127.0.0.1" in error(client.get("/status", headers={"host": "evil.example"}), 421)
    message = error(client.get("/status", headers={"origin": "https://evil.example"}), 403)
    assert "must not come from a page of another origin" in message
    assert client.get("/status", headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_what_is_too_long_is_refused_with_and_without_its_length(api: Api):
    client = api(body_limit=2000, upload_limit=3000)
    lines = {"name": "a", "lines": ["x" * 3000]}
    assert "The body must have at most 2,000 bytes" in error(client.post("/ingest/lines", json=lines), 413)

    def pieces() -> Iterator[bytes]:
        yield b'{"name": "a", "lines": ["'
        for _ in range(100):
            yield b"x" * 100
        yield b'"]}'

    unsaid = client.post("/ingest/lines", content=pieces(), headers={"content-type": "application/json"})
    assert "at most 2,000 bytes" in error(unsaid, 413)
    assert "at most 3,000 bytes" in error(send(client, "a.log", ["x" * 4000]), 413)
    bomb = gzip.compress(b"INFO nothing\n" * 10_000)
    assert len(bomb) < 3000
    answer = client.post("/ingest", files={"file": ("bomb.log.gz", bomb)})
    assert "unpacked, 'bomb.log.gz' must have at most 30,000 bytes" in error(answer, 413)
    assert client.get("/status").json()["lines"] == 0, "nothing of what was refused is stored"


def test_a_request_that_takes_too_long_is_given_up(api: Api, incident: Incident):
    assert send(api(), "checkout.log", incident.files["checkout.log"]).status_code == 200
    slow = api(timeout=1e-9)
    message = error(slow.post("/why", json={}), 504)
    assert "must be answered within 1e-09 s" in message


def test_a_store_that_another_process_holds_is_said_to_be_busy(api: Api, tmp_path: Path):
    client = api(timeout=0.3)
    code = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "copilot.duckdb")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        answer = client.get("/status")
        assert "store must be open in one process at a time" in error(answer, 503)
        assert answer.headers["retry-after"] == "5"
        assert client.get("/metrics").status_code == 200, "what can be counted is"
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()
    assert client.get("/status").status_code == 200


def test_a_bug_is_reported_without_its_details(api: Api, monkeypatch: pytest.MonkeyPatch):
    client = api()
    monkeypatch.setattr(client.app.state.copilot, "_turn", None)  # type: ignore[attr-defined]
    assert error(client.get("/status"), 500) == "This is a bug of the copilot's; its log says more. Please report it."


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"timeout": 0}, "timeout must be more than 0 seconds, got 0"),
        ({"upload_limit": 10}, "upload_limit must be 1,000 bytes or more, got 10"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, settings: dict[str, Any], message: str):
    with pytest.raises(UsageError, match=message):
        Settings(tmp_path / "copilot.duckdb", **settings)


def test_readers_go_together_and_a_writer_goes_alone():
    turn, soon, later = Turn(), Deadline(0.02), Deadline(5)
    with turn.reading(later), turn.reading(later):
        with pytest.raises(StoreError, match="The store must be free"), turn.writing(soon):
            pass
        with turn.reading(later):
            pass  # the writer who gave up holds up nobody
    with turn.writing(later), pytest.raises(StoreError, match="The store must be free"), turn.reading(Deadline(0.02)):
        pass
    with turn.writing(later):
        pass


# ── a request that is killed ────────────────────────────────────────────────────────────────────────────────────────
def test_an_upload_whose_server_is_killed_is_stored_whole_when_it_is_sent_again(tmp_path: Path):
    """`kill -9` in the middle of a batch leaves those before it; sent again, the store equals the file."""
    lines = [f"2026-03-14T13:00:00Z INFO order {number} placed in {number % 90} ms" for number in range(250_000)]
    store, port = tmp_path / "copilot.duckdb", free_port()
    server = started(tmp_path, store, port, KILLED_IN_THE_THIRD_BATCH)
    sender = subprocess.run(
        [sys.executable, "-c", SEND, str(port)], input="\n".join(lines).encode(), capture_output=True, check=False
    )
    assert sender.returncode != 0, "nobody answers"
    assert server.wait(30) == -signal.SIGKILL
    with open_store(store, reading=True) as opened:
        (source,) = opened.sources()
        assert 0 < source.lines < len(lines), "it was killed in the middle"
        assert opened.texts(source) == lines[: source.lines]
    client = TestClient(create_app(Settings(store)), base_url=HOST)
    assert send(client, "big.log", lines).json()["lines"] == len(lines) - source.lines
    with open_store(store, reading=True) as opened:
        (source,) = opened.sources()
        assert opened.texts(source) == lines


KILLED_IN_THE_THIRD_BATCH = """
import os, signal
from groundup.systems.copilot.store import Store
write, batches = Store._write_templates, []
def killed(store):
    batches.append(store)
    if len(batches) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    write(store)
Store._write_templates = killed
"""
SERVE = """
import sys, uvicorn
from pathlib import Path
from groundup.systems.copilot.serving.api import create_app
from groundup.systems.copilot.answering.ask import retrieve
from groundup.systems.copilot.serving.service import Settings
uvicorn.run(create_app(Settings(Path(sys.argv[1]))), port=int(sys.argv[2]), log_level="critical")
"""
SEND = """
import sys, urllib.request
body = b'--x\\r\\nContent-Disposition: form-data; name="file"; filename="big.log"\\r\\n\\r\\n'
body += sys.stdin.buffer.read() + b'\\r\\n--x--\\r\\n'
request = urllib.request.Request(
    f"http://127.0.0.1:{sys.argv[1]}/ingest", body, {"Content-Type": "multipart/form-data; boundary=x"}
)
urllib.request.urlopen(request).read()
"""


def started(folder: Path, store: Path, port: int, before: str = "") -> subprocess.Popen[bytes]:
    script = folder / "server.py"
    script.write_text(before + SERVE)
    server = subprocess.Popen([sys.executable, str(script), str(store), str(port)])
    for _ in range(2_400):
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10):
                return server
        except OSError:
            time.sleep(0.05)
    server.kill()
    raise AssertionError("the API did not start")


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_an_upload_that_breaks_off_stores_nothing(tmp_path: Path):
    """The sender goes away before all has come: what is no whole file is not read."""
    import socket

    store, port = tmp_path / "copilot.duckdb", free_port()
    server = started(tmp_path, store, port)
    try:
        with socket.create_connection(("127.0.0.1", port)) as one:
            head = b"POST /ingest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n"
            body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.log"\r\n\r\nINFO half\n'
            one.sendall(head + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + body)
        with urlopen(f"http://127.0.0.1:{port}/status", timeout=120) as answer:
            assert b'"lines":0' in answer.read()
    finally:
        server.terminate()
        server.wait()


def test_a_source_of_pushed_lines_is_its_own(api: Api, tmp_path: Path):
    """A file of the same name is another source: its place in the file must not be lost."""
    client = api()
    send(client, "app.log", ["INFO a"])
    client.post("/ingest/lines", json={"name": "app.log", "lines": ["INFO b"]})
    with open_store(tmp_path / "copilot.duckdb", reading=True) as store:
        assert [(one.kind, one.lines) for one in store.sources()] == [("upload", 1), ("pushed", 1)]
        assert store.known(Source("pushed", "app.log")).lines == 1


# ── how much was read ───────────────────────────────────────────────────────────────────────────────────────────────
NOTHING_READ = {"records": 0, "lines": 0, "timed": 0, "levelled": 0}


def test_why_says_how_much_it_read_and_how_much_of_it_it_understood(api: Api):
    client = api()
    lines = [
        "2026-03-02T10:00:00Z ERROR order lost",
        "java.lang.Error: x",
        "\tat a.B.c(B.java:1)",
        "hello",
        "INFO fine",
    ]
    read = {"records": 3, "lines": 5, "timed": 1, "levelled": 2}
    assert client.post("/why", json={"lines": lines}).json()["read"] == read
    send(client, "a.log", lines)
    for body in ({}, {"name": "a.log"}):
        answer = client.post("/why", json=body).json()
        assert (answer["read"], answer["unread"]) == (read, [])
    assert client.post("/why", json={"name": "a.log", "since": "1m", "most": 1}).json()["read"]["timed"] == 1


def test_no_line_at_all_is_not_called_healthy(api: Api):
    for body in ({}, {"lines": []}, {"since": "2h"}):
        answer = api().post("/why", json=body).json()
        assert answer == {"evidence": [], "nothing": False, "read": NOTHING_READ, "unread": []}


def test_a_file_of_the_store_that_was_cut_is_never_called_healthy(api: Api, tmp_path: Path):
    client, log = api(), tmp_path / "app.log.gz"
    noise = random.Random(3)
    lines = [f"2026-03-02T10:00:{i % 60:02}Z INFO served {noise.random()}" for i in range(2_000)]
    whole = gzip.compress("\n".join(lines).encode())
    log.write_bytes(whole[:-3000])
    for _ in range(2):  # nothing is new the second time, and it is cut all the same
        with open_store(tmp_path / "copilot.duckdb") as store:
            assert "gzip data ends too early" in ingest_files(store, [str(log)]).unread[str(log)]
    answer = client.post("/why", json={}).json()
    assert not answer["nothing"]
    assert not answer["evidence"]
    assert answer["read"]["records"] > 100
    assert "app.log.gz' the gzip data ends too early" in answer["unread"][0]
    log.write_bytes(whole)
    with open_store(tmp_path / "copilot.duckdb") as store:
        ingest_files(store, [str(log)])
    answer = client.post("/why", json={}).json()
    assert (answer["nothing"], answer["unread"], answer["read"]["records"]) == (True, [], 2_000)


# ── trainings and deadlines ─────────────────────────────────────────────────────────────────────────────────────────
def ended(client: TestClient, job: int) -> dict[str, Any]:
    """A training, once it is over."""
    while (found := client.get(f"/train/{job}").json())["state"] in ("running", "stopping"):
        time.sleep(0.01)
    return found


def test_a_training_tells_its_progress_goes_alone_and_can_be_stopped(api: Api, monkeypatch: pytest.MonkeyPatch):
    client, steps, told = api(), threading.Semaphore(0), threading.Event()

    def train(*_: Any, report: Callable[[str, int, int], None], **__: Any) -> Any:
        for step in range(1_000):
            report(f"Fold {step}", step, 1_000)
            told.set()
            assert steps.acquire(timeout=60)
        raise AssertionError("it was not stopped")

    monkeypatch.setattr("groundup.systems.copilot.classifying.classify.train", train)
    answer = client.post("/train", json={})
    assert (answer.status_code, answer.headers["location"]) == (202, "/train/1")
    assert told.wait(60)
    running = client.get("/train/1").json()
    assert running == {
        "job": 1, "state": "running", "doing": "Fold 0", "step": 0, "steps": 1_000, "result": None, "error": None,
    }  # fmt: skip
    assert "One training may run at a time, and /train/1 does" in error(client.post("/train", json={}), 409)
    assert client.delete("/train/1").json()["state"] == "stopping"
    steps.release()
    assert ended(client, 1)["state"] == "stopped"
    assert client.delete("/train/1").json()["state"] == "stopped", "what is over stays as it is"
    assert "There must be a trained classifier" in error(client.post("/classify", json={}), 409)
    assert "There is no training 7, or it is long over. POST /train" in error(client.get("/train/7"), 404)
    assert error(client.delete("/train/7"), 404)
    answer = client.put("/train/1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET")


def test_a_bug_in_a_training_is_reported_without_its_details(api: Api, monkeypatch: pytest.MonkeyPatch):
    def train(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("groundup.systems.copilot.classifying.classify.train", train)
    job = trained(api())
    assert job["state"] == "failed"
    assert job["error"] == {
        "error": "This is a bug of the copilot's; its log says more. Please report it.", "status": 500,
    }  # fmt: skip


def test_only_the_newest_trainings_can_be_asked_for(api: Api):
    client = api()
    for _ in range(12):
        trained(client)
    assert client.get("/train/2").status_code == 404
    assert client.get("/train/3").status_code == 200


def test_ask_keeps_the_deadline_while_a_model_says_nothing(api: Api, monkeypatch: pytest.MonkeyPatch):
    client, hangs = api(timeout=1.0), threading.Event()
    send(client, "app.log", ["2026-03-14T13:00:00Z ERROR pool exhausted"])

    def replied(*_: Any) -> Iterator[list[Any]]:
        hangs.wait(60)
        yield []

    monkeypatch.setattr("groundup.systems.copilot.answering.ask._replied", replied)
    client.app.state.copilot.model  # type: ignore[attr-defined] # noqa: B018 - made before the clock runs
    answer = client.post("/ask", json={"question": "Why?"})
    hangs.set()
    if answer.status_code == 504:  # the machine was too busy to find the sources in time
        return
    first, last = events(answer)
    assert first["event"] == "retrieved"
    assert (last["event"], last["status"]) == ("error", 504)
    assert "An answer must come within 1 s, and the model takes longer" in last["error"]


def test_what_is_slow_is_left_at_the_deadline_and_ends_with_its_reader():
    hangs, over = threading.Event(), threading.Event()

    def slow() -> Generator[int, None, None]:
        try:
            yield 1
            hangs.wait(60)
            yield 2
            yield 3
        finally:
            over.set()

    arriving = within(slow(), Deadline(0.5))
    assert next(arriving) == 1
    with pytest.raises(TooSlow, match=r"0\.5 s"):
        next(arriving)
    hangs.set()
    assert over.wait(60), "its thread ends at the next event"
    assert list(within((number for number in (1, 2)), Deadline(60))) == [1, 2]
    with pytest.raises(StoreError, match="gone"):
        list(within(failing(), Deadline(60)))


def failing() -> Generator[int, None, None]:
    """A generator that fails."""
    yield 1
    raise StoreError("gone")


def test_looking_for_sources_ends_at_the_deadline(tmp_path: Path):
    with open_store(tmp_path / "copilot.duckdb") as store:
        store.append(Source("file", "a.log"), [f"INFO line {i}" for i in range(3_000)], cursor={})

        def check() -> None:
            raise TooSlow("1 s")

        with pytest.raises(TooSlow):
            retrieve("Why?", store=store, check=check)

"""Spans: a run, its steps and its calls hang together, say what a call cost, and hold no text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from groundup.errors import ModelUnavailable
from groundup.systems.research import tracing
from tests.systems.research.conftest import Opened
from tests.systems.research.models import Scripted, saying

QUESTION = "What is a token bucket?"
REPLY = "A token bucket fills with tokens at a fixed rate, up to its capacity [1]."


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What a program that has set up OpenTelemetry itself is given."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing.trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def named(exporter: InMemorySpanExporter) -> dict[str, list[ReadableSpan]]:
    found: dict[str, list[ReadableSpan]] = {}
    for span in exporter.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


def test_a_run_its_steps_and_its_calls_are_one_trace(opened: Opened, spans: InMemorySpanExporter) -> None:
    usage = {"input_tokens": 70, "output_tokens": 9, "total_tokens": 79, "input_token_details": {"cache_read": 64}}
    with opened(saying(QUESTION, REPLY, REPLY, usage=usage)) as research:
        id = research.begin(QUESTION, model="scripted")
        list(research.run(id))
        calls = len(research.costs(id))
    found = named(spans)
    (run,) = found["invoke_agent groundup research"]
    assert run.attributes is not None
    assert (run.parent, run.attributes["gen_ai.conversation.id"]) == (None, id)
    steps = {
        span.context.span_id: name
        for name, each in found.items()
        for span in each
        if span.context is not None and span.parent == run.context
    }
    assert set(steps.values()) == {"classify", "plan", "retrieve", "read", "cover", "write", "verify"}
    chats = found["chat scripted"]
    assert len(chats) == calls == 3
    assert sorted(steps[chat.parent.span_id] for chat in chats if chat.parent) == ["plan", "read", "write"]
    for chat in chats:
        assert chat.attributes is not None
        assert chat.attributes["gen_ai.operation.name"] == "chat"
        assert chat.attributes["gen_ai.request.model"] == "scripted"
        assert chat.attributes["gen_ai.usage.input_tokens"] == 70
        assert chat.attributes["gen_ai.usage.output_tokens"] == 9
        assert chat.attributes["gen_ai.usage.cache_read.input_tokens"] == 64
    everything = " ".join(span.to_json() for span in spans.get_finished_spans())
    assert "bucket" not in everything, "neither the question nor a source nor a reply"


def test_a_call_that_fails_ends_its_step_and_its_run_as_failed(opened: Opened, spans: InMemorySpanExporter) -> None:
    def fail(system: str, user: str) -> str:
        raise RuntimeError(f"I was sent: {user}")

    with opened(Scripted(script=fail, sent=[])) as research:
        id = research.begin(QUESTION)
        with pytest.raises(ModelUnavailable):
            list(research.run(id))
    for name in ("chat scripted", "plan", "invoke_agent groundup research"):
        (span,) = named(spans)[name]
        assert not span.status.is_ok
        assert span.attributes is not None
        assert span.attributes["error.type"] == "ModelUnavailable"
        assert (span.status.description, span.events) == (None, ())


def test_whoever_stops_reading_ends_the_span(opened: Opened, spans: InMemorySpanExporter) -> None:
    with opened() as research:
        steps = research.run(research.begin(QUESTION))
        next(steps)
        steps.close()  # type: ignore[attr-defined]
    (run,) = named(spans)["invoke_agent groundup research"]
    assert run.status.is_unset


@pytest.mark.slow
def test_spans_reach_a_collector_where_one_is_named(location: Path, tmp_path: Path) -> None:
    import grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

    received: list[Any] = []

    class Collector(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            received.append(request)
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Collector(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        ask = [sys.executable, "-m", "groundup", "research", "ask", QUESTION, "--knowledge", str(location)]
        subprocess.run([*ask, "--store", str(tmp_path / "r.sqlite")], check=True, capture_output=True, env=environment)
    finally:
        server.stop(5)
    resources = [resource for request in received for resource in request.resource_spans]
    names = {span.name for resource in resources for scope in resource.scope_spans for span in scope.spans}
    assert {"invoke_agent groundup research", "retrieve", "chat embedded"} <= names
    services = {a.value.string_value for r in resources for a in r.resource.attributes if a.key == "service.name"}
    assert services == {"groundup-research"}


@pytest.mark.slow
@pytest.mark.parametrize("tracing_is_set", [True, False])
def test_langsmith_is_sent_steps_and_calls_where_it_is_set_and_nothing_otherwise(
    location: Path, tmp_path: Path, tracing_is_set: bool
) -> None:
    received: list[tuple[str, str, bytes]] = []

    class LangSmith(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            queue = {"scale_up_nthreads_limit": 4, "scale_up_qsize_trigger": 1000, "scale_down_nempty_trigger": 4}
            batch = {"use_multipart_endpoint": False, "size_limit": 100, "size_limit_bytes": 20_000_000, **queue}
            self.answer(json.dumps({"version": "0.10.0", "batch_ingest_config": batch}).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, self.headers["x-api-key"], body))
            self.answer(b"{}")

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), LangSmith)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    settings = {"LANGSMITH_API_KEY": "hunter2hunter2", "LANGSMITH_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
    usual = {name: value for name, value in os.environ.items() if not name.startswith(("LANGSMITH", "LANGCHAIN"))}
    environment = {**usual, **settings, **({"LANGSMITH_TRACING": "true"} if tracing_is_set else {})}
    ask = [sys.executable, "-m", "groundup", "research", "ask", QUESTION, "--knowledge", str(location)]
    store = tmp_path / "r.sqlite"
    try:
        subprocess.run([*ask, "--store", str(store)], check=True, capture_output=True, env=environment)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    names = {run["name"] for path, _, body in received if path == "/runs/batch" for run in json.loads(body)["post"]}
    wanted = {"classify", "plan", "retrieve", "read", "verify", "EmbeddedAnswerer"} if tracing_is_set else set[str]()
    assert wanted <= names
    assert bool(names) == tracing_is_set
    assert {key for _, key, _ in received} <= {"hunter2hunter2"}
    assert b"hunter2hunter2" not in b"".join(body for _, _, body in received) + store.read_bytes()

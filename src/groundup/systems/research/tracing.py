"""Spans of OpenTelemetry: a run, its steps, and each call of a model, named by the conventions for generative AI.

They go to the OTLP endpoint (gRPC) that `OTEL_EXPORTER_OTLP_ENDPOINT` names. Without it they go nowhere, unless
the program that uses this library has set up OpenTelemetry itself. They hold names, tokens and times only: no question,
no source and no reply.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import ProxyTracerProvider, Span, Status, StatusCode

if TYPE_CHECKING:
    from opentelemetry.context import Context

SERVICE = "groundup-research"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


@cache
def _set_up() -> None:
    """Export spans, once in a process, if an endpoint is named and the program has no exporter of its own."""
    wanted = any(map(os.environ.get, ENDPOINTS)) and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true"
    if not wanted or not isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
        return
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME") or SERVICE
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))  # it ends with the process, and is flushed then
    trace.set_tracer_provider(provider)


@contextmanager
def traced_run(id: str) -> Iterator[Context]:
    """A span from a run's start or resume to its stop, the parent of its steps."""
    _set_up()
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "groundup research",
        "gen_ai.conversation.id": id,
    }
    span = trace.get_tracer(SERVICE).start_span("invoke_agent groundup research", attributes=attributes)
    try:
        yield trace.set_span_in_context(span)
    except Exception as error:
        _failed(span, error)
        raise
    finally:
        span.end()


@contextmanager
def spanned(name: str, attributes: dict[str, Any], parent: Context | None = None) -> Iterator[Span]:
    """A span around a block; an exception of the block ends it as failed."""
    with trace.get_tracer(SERVICE).start_as_current_span(
        name, context=parent, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except BaseException as error:
            _failed(span, error)
            raise


def _failed(span: Span, error: BaseException) -> None:
    """End as failed, without the error's text, which may quote the request."""
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR))

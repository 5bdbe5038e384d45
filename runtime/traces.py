"""Traces by OpenTelemetry: one of a request's whole way, through every program of ours.

Nothing here is imported, and nothing is wrapped, unless the settings name a collector. What leaves is
listed here: no path or query of a URL, no value of a statement, no text of an error, no baggage of a client.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import httpx
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aio_pika import AioPikaInstrumentor
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.instrumentation.httpx import AsyncOpenTelemetryTransport
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from temporalio.contrib.opentelemetry import TracingInterceptor, TracingWorkflowInboundInterceptor
from temporalio.worker import WorkflowInboundInterceptor, WorkflowInterceptorClassInput

from contracts import requests
from outbound import transport
from runtime import temporal
from runtime.logs import TRACED
from runtime.settings import Settings

TRACEPARENT: Final = "traceparent"
# How long the end of a program waits for its last spans to leave.
CLOSE_S: Final = 3.0
UNTRACED: Final = frozenset({"/healthz", "/readyz"})
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Of a span's attributes, those that leave. A workflow's id holds opaque ids, and is plain in Temporal too.
SHOWN: Final = frozenset(
    {
        *("http.request.method", "http.route", "http.response.status_code"),
        *("http.method", "http.status_code"),  # of what we call
        *("db.system", "db.name", "db.statement"),
        *("messaging.system", "messaging.operation", "messaging.destination"),
        *("temporalWorkflowID", "temporalRunID", "temporalActivityID", "temporalActivityType"),
        *("croupier.request_id", "error.type"),
    }
)
# Others on the broker are named by whoever sends to us.
OUR_DESTINATIONS: Final = re.compile(r"(croupier\.[a-z.]+)(,.*)?")
EXCEPTION_TYPE: Final = "exception.type"


def install(settings: Settings, program: str) -> Callable[[], None]:
    """Call once, from main, before anything is opened. Returns what sends the last spans. The standard's own
    variables, OTEL_EXPORTER_OTLP_HEADERS for instance, say what no setting does."""
    assert settings.traces_endpoint is not None
    ratio = TraceIdRatioBased(settings.traces_sample_ratio)
    provider = TracerProvider(
        sampler=ParentBased(_Roots(ratio), remote_parent_sampled=ratio),
        resource=Resource.create({"service.namespace": "croupier", "service.name": program}),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=settings.traces_endpoint)
    provider.add_span_processor(BatchSpanProcessor(Reduced(exporter)))
    _wrap(provider)
    return lambda: _close(provider)


def _wrap(provider: TracerProvider) -> None:
    trace.set_tracer_provider(provider)
    propagate.set_global_textmap(PARENT)
    AsyncPGInstrumentor().instrument(tracer_provider=provider)  # type: ignore[no-untyped-call]
    AioPikaInstrumentor().instrument(tracer_provider=provider)
    transport.AROUND.append(lambda inner: AsyncOpenTelemetryTransport(inner, provider, request_hook=_named))
    temporal.INTERCEPTORS.insert(0, TemporalTraces(provider.get_tracer("temporal")))
    requests.trace_with(RequestTraces(provider.get_tracer("croupier")))


def _close(provider: TracerProvider) -> None:
    """A collector that is away does not hold the end up."""
    closing = threading.Thread(target=provider.shutdown, daemon=True)
    closing.start()
    closing.join(CLOSE_S)


class TracedApp:
    """ASGI: a span for each request over HTTP, by its route, under the client's own where it sends one."""

    def __init__(self, app: ASGIApp, provider: trace.TracerProvider | None = None) -> None:
        self._app = app
        self._tracer = trace.get_tracer("croupier", tracer_provider=provider)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        span = self._tracer.start_span(method, PARENT.extract(sent), SpanKind.SERVER)
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            span.set_attribute("http.request.method", method)
            await self._app(scope, receive, _Watched(send, span))
            if route := getattr(scope.get("route"), "path", None):
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
            span.set_attribute("croupier.request_id", scope["state"]["request_id"])


class _Watched:
    def __init__(self, send: Send, span: trace.Span) -> None:
        self._send, self._span = send, span

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._span.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= 500:
                self._span.set_status(StatusCode.ERROR)
        await self._send(message)


class RequestTraces:
    """A contracts.requests.Tracing. The id of a request that is sampled ends with its trace, so that the
    trace goes wherever the id goes: into the ledger, the event, and the webhook's call."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def own_part(self) -> str | None:
        current = trace.get_current_span().get_span_context()
        if not (current.is_valid and current.trace_flags.sampled):
            return None
        return f"{trace.format_trace_id(current.trace_id)}{trace.format_span_id(current.span_id)}"

    @contextmanager
    def operation(self, name: str, request_id: str | None) -> Iterator[None]:
        if request_id is None:
            with self._tracer.start_as_current_span(name, kind=SpanKind.SERVER, record_exception=False):
                yield
        elif (traced := TRACED.fullmatch(request_id)) is None:
            yield
        else:
            parent = _context(int(traced[1], 16), int(traced[2], 16))
            with self._tracer.start_as_current_span(name, parent, record_exception=False) as span:
                span.set_attribute("croupier.request_id", request_id)
                yield


def _context(trace_id: int, span_id: int) -> Context:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    began = SpanContext(trace_id, span_id, is_remote=True, trace_flags=sampled)
    return trace.set_span_in_context(NonRecordingSpan(began), Context())


class _Parent(TextMapPropagator):
    """W3C's traceparent, and nothing else: a client's tracestate and baggage would go to every wallet. What
    comes is anybody's: a header of a message may have any type, where the library expects text."""

    def __init__(self) -> None:
        self._library = TraceContextTextMapPropagator()

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        found = getter.get(carrier, TRACEPARENT)
        if not found or not isinstance(found[0], str):
            return Context() if context is None else context
        return self._library.extract({TRACEPARENT: found[0]}, context)

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        own: dict[str, str] = {}
        self._library.inject(own, context)
        if TRACEPARENT in own:
            setter.set(carrier, TRACEPARENT, own[TRACEPARENT])

    @property
    def fields(self) -> set[str]:
        return {TRACEPARENT}


PARENT: Final = _Parent()


class TemporalTraces(TracingInterceptor):
    """The SDK's own, for a client and its workers. What it adds to a history is a header, which no replay
    looks at."""

    def __init__(self, tracer: trace.Tracer) -> None:
        super().__init__(tracer)
        self.text_map_propagator = PARENT

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[TracingWorkflowInboundInterceptor]:
        super().workflow_interceptor_class(input)
        return _InWorkflows


class _InWorkflows(TracingWorkflowInboundInterceptor):
    def __init__(self, next: WorkflowInboundInterceptor) -> None:
        super().__init__(next)
        self.text_map_propagator = PARENT


async def _named(span: trace.Span, request: Any) -> None:
    """A call of ours has the one or the other as its body. Its URL may be a secret."""
    kind = httpx.Headers(request.headers).get("content-type", "")
    span.update_name("call a webhook" if kind.startswith("application/cloudevents") else "call a wallet")


class _Roots(Sampler):
    """A trace begins with what somebody asks for. What a program asks of itself, again and again, begins
    none."""

    def __init__(self, ratio: Sampler) -> None:
        self._ratio = ratio

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        asked = kind in (SpanKind.SERVER, SpanKind.CONSUMER)
        sampler = self._ratio if asked else ALWAYS_OFF
        return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"Roots{{{self._ratio.get_description()}}}"


class Reduced(SpanExporter):
    """Passes on what may leave of each span."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._inner.export([reduced(span) for span in spans])

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def reduced(span: ReadableSpan) -> ReadableSpan:
    """The span without what is not listed above. Of an error its type is left."""
    attributes = {name: value for name, value in (span.attributes or {}).items() if name in SHOWN}
    name = span.name
    if (destination := attributes.pop("messaging.destination", None)) is not None:
        ours = OUR_DESTINATIONS.fullmatch(str(destination))
        name = "publish" if span.kind is SpanKind.PRODUCER else "receive"
        if ours is not None:
            name = f"{name} {ours[1]}"
            attributes["messaging.destination"] = ours[1]
    return ReadableSpan(
        name=name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=[Event(event.name, _kind_of(event), event.timestamp) for event in span.events],
        links=[Link(link.context) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _kind_of(event: Event) -> dict[str, str]:
    attributes = event.attributes or {}
    return {EXCEPTION_TYPE: str(attributes[EXCEPTION_TYPE])} if EXCEPTION_TYPE in attributes else {}

"""What leaves a program as a trace is listed; what comes from outside joins one; off there is none."""

import json
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode
from starlette.types import Receive, Scope, Send

from api.gateway import request_ids
from contracts import requests
from runtime.settings import PROJECT_ROOT
from runtime.traces import PARENT, Reduced, RequestTraces, TracedApp, _Roots

SECRET: Final = "eyJ-a-token"
CLIENTS: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID: Final = CLIENTS.split("-")[1]
PROGRAMS: Final = ("serve", "relay", "statistics", "reconciler", "webhooks", "codec", "console")
WHAT_IS_THERE: Final = """
import json, sys
import %s
from contracts import requests
from outbound import transport
from runtime import temporal
print(json.dumps({
    "modules": sorted(sys.modules),
    "around": len(transport.AROUND),
    "interceptors": [type(one).__name__ for one in temporal.INTERCEPTORS],
    "traced": requests._tracing is not None,
}))
"""


class Sent:
    """A program's traces: all of them are sampled, and what would be sent is kept."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=ParentBased(_Roots(ALWAYS_ON)), shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(Reduced(self._kept)))
        self.tracer = self.provider.get_tracer("tests")

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._kept.get_finished_spans())

    @property
    def text(self) -> str:
        return "\n".join(span.to_json() for span in self.spans)


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture(autouse=True)
def not_traced() -> Iterator[None]:
    yield
    requests.trace_with(None)


def test_off_no_program_imports_the_sdk_or_wraps_anything() -> None:
    """FastAPI itself imports the API of OpenTelemetry, which does nothing."""
    code = WHAT_IS_THERE % ", ".join(f"workers.{program}" for program in PROGRAMS)
    ended = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, check=True)
    found = json.loads(ended.stdout)
    heavy = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.instrumentation")
    loaded = [one for one in found["modules"] if one.startswith(heavy) or one in ("wrapt", "runtime.traces")]
    assert loaded == []
    assert (found["around"], found["traced"]) == (0, False)
    assert "RequestIds" in found["interceptors"]
    assert "TemporalTraces" not in found["interceptors"]


class TestWhatLeaves:
    def test_is_what_is_listed_and_no_text_of_an_error(self, sent: Sent) -> None:
        attributes = {"db.statement": "SELECT $1", "http.url": SECRET, "db.user": SECRET, "url.query": SECRET}
        with (
            pytest.raises(ValueError, match=SECRET),
            sent.tracer.start_as_current_span("work", kind=SpanKind.SERVER, attributes=attributes),
        ):
            raise ValueError(SECRET)
        (span,) = sent.spans
        assert dict(span.attributes or {}) == {"db.statement": "SELECT $1"}
        assert dict(span.events[0].attributes or {}) == {"exception.type": "ValueError"}
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
        assert SECRET not in sent.text

    @pytest.mark.parametrize(
        ("kind", "destination", "name", "shown"),
        [
            (SpanKind.PRODUCER, "croupier.events,acme.dice.round.settled", "publish croupier.events", True),
            (SpanKind.PRODUCER, f",{SECRET}", "publish", False),
            (SpanKind.CONSUMER, "croupier.commands", "receive croupier.commands", True),
            (SpanKind.CONSUMER, SECRET, "receive", False),
        ],
    )
    def test_of_a_message_is_its_exchange_if_it_is_ours(
        self, sent: Sent, kind: SpanKind, destination: str, name: str, *, shown: bool
    ) -> None:
        attributes = {"messaging.destination": destination, "messaging.message.id": SECRET}
        with sent.tracer.start_as_current_span("asked", kind=SpanKind.SERVER):
            sent.tracer.start_span(f"{destination} send", kind=kind, attributes=attributes).end()
        span = sent.spans[0]
        assert (span.name, "messaging.destination" in (span.attributes or {})) == (name, shown)
        assert SECRET not in sent.text


class TestAParent:
    def test_is_a_clients_own(self) -> None:
        found = trace.get_current_span(PARENT.extract({"traceparent": CLIENTS})).get_span_context()
        assert (trace.format_trace_id(found.trace_id), found.is_remote) == (TRACE_ID, True)

    @pytest.mark.parametrize("value", [5, b"00-", ["x"], None, True, {}, "nonsense", "", 2.5])
    def test_that_is_none_is_no_error(self, value: Any) -> None:
        """As a header of a message may be, of which the library takes any for text."""
        assert not trace.get_current_span(PARENT.extract({"traceparent": value})).get_span_context().is_valid

    def test_brings_no_state_and_no_baggage_along(self, sent: Sent) -> None:
        carrier = {"traceparent": CLIENTS, "tracestate": f"a={SECRET}", "baggage": f"who={SECRET}"}
        onward: dict[str, str] = {}
        PARENT.inject(onward, PARENT.extract(carrier))
        assert onward == {"traceparent": CLIENTS}
        assert PARENT.fields == {"traceparent"}


class TestTheSample:
    """Of 2 to the power of 63 ids, the lower half is a half of the requests."""

    LOW, HIGH = "0" * 16 + "0" * 15 + "1", "0" * 16 + "f" * 16

    @pytest.fixture
    def half(self) -> TracerProvider:
        ratio = TraceIdRatioBased(0.5)
        sampler = ParentBased(_Roots(ratio), remote_parent_sampled=ratio)
        return TracerProvider(sampler=sampler, shutdown_on_exit=False)

    @pytest.mark.parametrize(
        ("trace_id", "flags", "sampled"), [(LOW, "01", True), (LOW, "00", False), (HIGH, "01", False)]
    )
    def test_is_the_same_in_every_program_and_never_more_than_a_client_wants(
        self, half: TracerProvider, trace_id: str, flags: str, *, sampled: bool
    ) -> None:
        context = PARENT.extract({"traceparent": f"00-{trace_id}-{'1' * 16}-{flags}"})
        span = half.get_tracer("a").start_span("asked", context, kind=SpanKind.SERVER)
        assert span.get_span_context().trace_flags.sampled is sampled

    @pytest.mark.parametrize(
        ("kind", "begins"),
        [
            (SpanKind.SERVER, True),
            (SpanKind.CONSUMER, True),
            (SpanKind.CLIENT, False),
            (SpanKind.PRODUCER, False),
            (SpanKind.INTERNAL, False),
        ],
    )
    def test_begins_with_what_somebody_asks_for(self, sent: Sent, kind: SpanKind, *, begins: bool) -> None:
        span = sent.tracer.start_span("x", Context(), kind=kind)
        assert span.get_span_context().trace_flags.sampled is begins


class TestARequestsId:
    def test_ends_with_its_trace_which_goes_on_elsewhere(self, sent: Sent) -> None:
        requests.trace_with(RequestTraces(sent.tracer))
        with request_ids.begun("a call", "mine") as request_id:
            pass
        with requests.resumed("a webhook", request_id):
            pass
        call, webhook = sent.spans
        assert call.context is not None
        assert webhook.parent is not None
        assert request_id == (
            f"mine.{trace.format_trace_id(call.context.trace_id)}{trace.format_span_id(call.context.span_id)}"
        )
        assert (webhook.parent.trace_id, webhook.parent.span_id) == (
            call.context.trace_id,
            call.context.span_id,
        )

    def test_that_is_not_traced_begins_no_trace_elsewhere(self, sent: Sent) -> None:
        requests.trace_with(RequestTraces(sent.tracer))
        with requests.resumed("a webhook", "mine.0123456789abcdef0123456789abcdef"):
            assert not trace.get_current_span().get_span_context().is_valid
        assert sent.spans == []


class TestTheApp:
    @staticmethod
    async def ask(sent: Sent, path: str, *, status: int = 200, route: str | None = None) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope["state"] = {"request_id": "r"}
            if route is not None:
                scope["route"] = SimpleNamespace(path=route)
            await send({"type": "http.response.start", "status": status, "headers": []})

        async def silent(_: Any) -> None: ...

        scope = {"type": "http", "path": path, "method": "GET", "query_string": SECRET.encode()}
        headers = [(b"traceparent", CLIENTS.encode()), (b"authorization", SECRET.encode())]
        await TracedApp(app, sent.provider)({**scope, "headers": headers}, None, silent)  # type: ignore[arg-type]

    async def test_names_a_request_by_its_route_under_the_clients_trace(self, sent: Sent) -> None:
        await self.ask(sent, f"/v1/game/rounds/{SECRET}", route="/v1/game/rounds/{round_id}")
        (span,) = sent.spans
        assert span.name == "GET /v1/game/rounds/{round_id}"
        assert span.context is not None
        assert trace.format_trace_id(span.context.trace_id) == TRACE_ID
        assert dict(span.attributes or {}) == {
            "http.request.method": "GET",
            "http.route": "/v1/game/rounds/{round_id}",
            "http.response.status_code": 200,
            "croupier.request_id": "r",
        }
        assert SECRET not in sent.text

    async def test_names_no_path_that_is_nobodys_and_marks_what_failed(self, sent: Sent) -> None:
        await self.ask(sent, f"/{SECRET}", status=503)
        (span,) = sent.spans
        assert (span.name, span.status.status_code) == ("GET", StatusCode.ERROR)
        assert SECRET not in sent.text

    async def test_leaves_probes_alone(self, sent: Sent) -> None:
        await self.ask(sent, "/readyz")
        assert sent.spans == []

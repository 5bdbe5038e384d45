"""A collector of traces: takes OTLP over HTTP, as any does, and keeps what it was sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.conditions import until


@dataclass(frozen=True, slots=True)
class Seen:
    """A span, and the program that it is of."""

    program: str
    span: Span

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def attributes(self) -> dict[str, str]:
        return {one.key: one.value.string_value or str(one.value.int_value) for one in self.span.attributes}


@dataclass
class Collector:
    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    spans: list[Seen] = field(default_factory=list)

    def of(self, trace_id: str) -> list[Seen]:
        """The spans of a trace that have come."""
        return [seen for seen in self.spans if seen.span.trace_id.hex() == trace_id]

    async def until_seen(self, trace_id: str, *names: str) -> list[Seen]:
        """The trace, once it has spans of all these names."""

        async def all_there() -> bool:
            return set(names) <= {seen.name for seen in self.of(trace_id)}

        try:
            await until(all_there)
        except TimeoutError:
            missing = set(names) - {seen.name for seen in self.of(trace_id)}
            raise AssertionError(f"no {missing} among {[seen.name for seen in self.of(trace_id)]}") from None
        return self.of(trace_id)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.partition("content-length:")[2].partition("\r")[0])
                self._take(await reader.readexactly(length))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _take(self, body: bytes) -> None:
        self.bodies.append(body)
        for of_program in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {one.key: one.value.string_value for one in of_program.resource.attributes}
            for of_library in of_program.scope_spans:
                self.spans += [Seen(named["service.name"], span) for span in of_library.spans]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    server = await asyncio.start_server(collector.serve, "127.0.0.1", 0)
    collector.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/traces"
    try:
        yield collector
    finally:
        server.close()

"""One receiver's client on real sockets: bounded, counted, and alone with its trouble."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from outbound.breaker import Away, Breaker, Busy
from outbound.client import Answer, ClientLimits, OutboundClient, Unanswered, tls_context
from tests.support.conditions import HANG_S

TLS = tls_context()
LIMITS = ClientLimits(connect_s=60, read_s=60, total_s=60, calls=1)


@asynccontextmanager
async def saying(said: bytes, *, for_ever: bool = False) -> AsyncIterator[str]:
    """A server's URL. It reads a head, says that, and closes, unless it keeps still `for_ever`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            if for_ever:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@asynccontextmanager
async def client(limits: ClientLimits = LIMITS, **options: Any) -> AsyncIterator[OutboundClient]:
    made = OutboundClient(**{"local": True, "limits": limits, "headers": {}, "tls": TLS, **options})
    try:
        yield made
    finally:
        await made.aclose()


def http(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def ask(asked: OutboundClient, url: str) -> Answer:
    async with asked.permit():
        return await asked.ask("GET", url, headers={}, wanted=(200,), body_limit=10)


async def deliver(asked: OutboundClient, url: str) -> Answer:
    async with asked.permit():
        return await asked.deliver(url, headers={}, content=b"", excerpt_bytes=4)


async def test_an_answer_is_whole() -> None:
    async with saying(http(b"ten bytes.", "x-thing: 1")) as url, client() as asked:
        answer = await ask(asked, url)
    assert (answer.status, answer.headers["x-thing"], answer.body) == (200, "1", b"ten bytes.")


async def test_the_body_of_a_status_that_nobody_wants_is_not_waited_for() -> None:
    endless = http(b"some", status="503 Away", length=1000)
    async with saying(endless, for_ever=True) as url, client() as asked, asyncio.timeout(HANG_S):
        answer = await ask(asked, url)
    assert (answer.status, answer.body) == (503, b"")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (http(b"eleven byte"), "too-large"),
        (http(gzip.compress(b"x", mtime=0), "content-encoding: gzip"), "encoded"),
        (http(b"some", length=9), "connection-lost"),
        (b"", "connection-lost"),
    ],
)
async def test_an_answer_that_is_not_whole_is_none(said: bytes, code: str) -> None:
    async with saying(said) as url, client() as asked:
        with pytest.raises(Unanswered) as unanswered:
            await ask(asked, url)
    assert (unanswered.value.code, unanswered.value.sent) == (code, True)


async def test_of_a_delivery_the_status_counts_however_the_rest_comes() -> None:
    async with client() as asked:
        for said in (http(b"lo", length=9), http(b"longer than it needs to be")):
            async with saying(said) as url:
                answer = await deliver(asked, url)
            assert (answer.status, answer.body[:2]) == (200, b"lo")
        async with saying(b"") as url:
            with pytest.raises(Unanswered):
                await deliver(asked, url)


async def test_nothing_is_sent_inside() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with client(local=False, resolve=resolve) as asked:
        with pytest.raises(Unanswered) as unanswered:
            await ask(asked, "https://receiver.example/")
    assert (unanswered.value.code, unanswered.value.sent) == ("address-refused", False)
    assert "receiver.example" not in unanswered.value.why


async def test_a_slow_receiver_costs_nobody_else_anything() -> None:
    limits = ClientLimits(connect_s=60, read_s=60, total_s=60, calls=1, wait_s=0.01)
    async with (
        saying(b"", for_ever=True) as slow_url,
        saying(http(b"fine")) as url,
        client(limits) as slow,
        client(limits) as other,
    ):
        hanging = asyncio.create_task(ask(slow, slow_url))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await ask(slow, slow_url)
        assert (await ask(other, url)).body == b"fine"
        assert not hanging.done()
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)


async def test_a_call_ends_at_its_total_limit() -> None:
    limits = ClientLimits(connect_s=60, read_s=60, total_s=0.05, calls=1)
    async with saying(b"", for_ever=True) as url, client(limits) as asked, asyncio.timeout(HANG_S):
        with pytest.raises(Unanswered) as unanswered:
            await ask(asked, url)
    assert unanswered.value.code == "timeout"


async def test_while_the_breaker_is_open_nobody_is_asked() -> None:
    breaker = Breaker(unknowns=1, pause_s=60, now_s=lambda: 0)
    async with client(breaker=breaker) as asked:
        async with asked.permit():
            breaker.record(certain=False)
        with pytest.raises(Away):
            await ask(asked, "http://127.0.0.1:9/")


async def test_a_client_that_is_drained_has_no_permits_left() -> None:
    limits = ClientLimits(connect_s=60, read_s=60, total_s=60, calls=1, wait_s=0.01)
    async with saying(http(b"fine")) as url, client(limits) as asked:
        assert (await ask(asked, url)).body == b"fine"
        await asked.drain()
        with pytest.raises(Busy):
            await ask(asked, url)

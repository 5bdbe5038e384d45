"""Connections to a receiver: none is lost to a call that ends at the wrong moment."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from outbound import transport
from outbound.client import Answer, ClientLimits, OutboundClient, Unanswered, tls_context
from tests.support.conditions import HANG_S, until
from tests.support.tls import Authority

CALLS = 3
LIMITS = ClientLimits(connect_s=HANG_S, read_s=HANG_S, total_s=HANG_S, calls=CALLS, wait_s=HANG_S)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine"


@dataclass
class Receiver:
    """Answers in the test's own event loop, so that a call takes about as many turns of it each time. What is
    asked for `/together` it answers when CALLS have asked."""

    url: str = ""
    open: int = 0
    opened: int = 0
    together: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(CALLS))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.opened += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /together"):
                    await self.together.wait()
                writer.write(ANSWER)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def has_at_most(self, connections: int) -> None:
        async def has() -> bool:
            return self.open <= connections

        await until(has)


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/"
        yield receiver


@asynccontextmanager
async def client(tls: ssl.SSLContext) -> AsyncIterator[OutboundClient]:
    async def resolve(host: str, port: int) -> list[str]:
        """Without a thread, so that the event loop alone says when a call goes on."""
        return [host]

    made = OutboundClient(local=True, limits=LIMITS, headers={}, tls=tls, resolve=resolve)
    try:
        yield made
    finally:
        await made.aclose()


async def ask(asked: OutboundClient, url: str) -> Answer:
    async with asked.permit():
        return await asked.ask("GET", url, headers={}, wanted=(200,), body_limit=10)


async def ask_at_once(asked: OutboundClient, url: str) -> None:
    """As many calls as may be under way, each on a connection of its own."""
    answers = await asyncio.gather(*(ask(asked, f"{url}together") for _ in range(CALLS)))
    assert [answer.body for answer in answers] == [b"fine"] * CALLS


async def cancelled_after(turns: int, asked: OutboundClient, url: str) -> bool:
    """Whether the call was answered before."""
    call = asyncio.create_task(ask(asked, url))
    for _ in range(turns):
        await asyncio.sleep(0)
    answered = call.done()
    call.cancel()
    await asyncio.wait([call])
    return answered


@pytest.fixture(params=["http", "https"])
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ssl.SSLContext | None, ssl.SSLContext]:
    """The TLS of the receiver, and of the client."""
    if request.param == "http":
        return None, tls_context()
    authority = Authority.made(tmp_path)
    return authority.server(), ssl.create_default_context(cafile=authority.path)


@pytest.mark.parametrize("kept", ["none", "idle", "expired"])
async def test_a_call_that_is_cancelled_at_any_moment_costs_no_connection(
    kept: str, ends: tuple[ssl.SSLContext | None, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a place for one, without which the receiver would soon be out of reach until the process ends,
    nor one that stays open."""
    if kept == "expired":
        monkeypatch.setattr(transport, "IDLE_S", 0)
    theirs, ours = ends
    answered, turns = False, 0
    async with receiving(theirs) as receiver:
        while not answered:
            async with client(ours) as asked:
                if kept != "none":
                    await ask_at_once(asked, receiver.url)
                answered = await cancelled_after(turns, asked, receiver.url)
                await ask_at_once(asked, receiver.url)
                await receiver.has_at_most(CALLS)
            await receiver.has_at_most(0)
            turns += 1
    assert turns > 5, "it has not been cancelled in all its parts"


async def test_an_idle_connection_is_used_again_and_an_expired_one_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with receiving(None) as receiver:
        monkeypatch.setattr(transport, "IDLE_S", HANG_S)
        async with client(tls_context()) as asked:
            await ask_at_once(asked, receiver.url)
            await ask(asked, receiver.url)
            assert (receiver.opened, receiver.open) == (CALLS, CALLS)
        monkeypatch.setattr(transport, "IDLE_S", 0)
        async with client(tls_context()) as asked:
            await ask_at_once(asked, receiver.url)
            await ask(asked, receiver.url)
            assert receiver.opened == 2 * CALLS + 1
            await receiver.has_at_most(1)


async def test_closing_ends_a_call_that_is_under_way() -> None:
    """It has no answer, and what it had may have left."""
    heard = asyncio.Event()

    async def keep_still(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        heard.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(keep_still, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with client(tls_context()) as asked:
            call = asyncio.create_task(ask(asked, url))
            async with asyncio.timeout(HANG_S):
                await heard.wait()
            await asked.aclose()
            with pytest.raises(Unanswered) as unanswered:
                await call
    assert (unanswered.value.code, unanswered.value.sent) == ("connection-lost", True)


async def test_each_of_two_origins_has_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """An issuer publishes its keys at another host than its discovery."""
    monkeypatch.setattr(transport, "IDLE_S", HANG_S)
    async with receiving(None) as one, receiving(None) as other, client(tls_context()) as asked:
        for _ in range(3):
            await ask(asked, one.url)
            await ask(asked, other.url)
        assert (one.opened, other.opened) == (1, 1)


@pytest.mark.parametrize("scheme", ["ws", "wss", "ftp"])
async def test_no_other_scheme_is_spoken(scheme: str) -> None:
    async with receiving(None) as receiver, client(tls_context()) as asked:
        with pytest.raises(Unanswered) as unanswered:
            await ask(asked, receiver.url.replace("http", scheme, 1))
        assert (receiver.opened, unanswered.value.sent) == (0, False)


async def test_closing_ends_a_handshake() -> None:
    met, ended = asyncio.Event(), asyncio.Event()

    async def keep_still(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(1024):
                met.set()
        except OSError:
            pass
        finally:
            ended.set()
            writer.close()

    async with await asyncio.start_server(keep_still, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with client(tls_context()) as asked, asyncio.timeout(HANG_S):
            call = asyncio.create_task(ask(asked, url))
            await met.wait()
            await asked.aclose()
            with pytest.raises(Unanswered) as unanswered:
                await call
            await ended.wait()
    assert unanswered.value.sent is False


async def test_a_connection_that_comes_after_the_closing_is_not_used() -> None:
    asked_for, may_come = asyncio.Event(), asyncio.Event()

    async def resolve(host: str, port: int) -> list[str]:
        asked_for.set()
        await may_come.wait()
        return [host]

    async with receiving(None) as receiver, asyncio.timeout(HANG_S):
        asked = OutboundClient(local=True, limits=LIMITS, headers={}, tls=tls_context(), resolve=resolve)
        call = asyncio.create_task(ask(asked, receiver.url))
        await asked_for.wait()
        await asked.aclose()
        may_come.set()
        with pytest.raises(Unanswered) as unanswered:
            await call
        await receiver.has_at_most(0)
    assert (unanswered.value.code, unanswered.value.sent) == ("not-reached", False)

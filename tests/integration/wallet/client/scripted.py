"""Wallets on real sockets that say what a test scripts, and the client's side of it."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.failures import DETAIL_LIMIT
from contracts.wallet import WalletAnswer, WalletCall, WalletRequest, WalletVerdict
from wallet.dialect import Limits, load
from wallet.operator_http import OperatorWalletConfig

DIALECTS = load()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BET = WalletRequest(
    call=WalletCall.BET,
    operator_id="acme",
    player_id="p1",
    session_id="s1",
    currency="EUR",
    round_id="r1",
    game_id="dice",
    transaction_id="5f0c2f5e-6d2b-5b0e-9f59-0c5a1d3b7e11",
    amount=100,
)
FINE = json.dumps({"balance": 9900, "currency": "EUR", "transaction_id": "w1", "duplicate": False}).encode()
# As long as they may be: reached only by what hangs, however busy the machine is.
LIMITS = Limits(connect_s=60, read_s=60, total_s=60, wait_s=60, calls=4, unknowns=1000, pause_s=60)
# Where a limit ends the call: well below HANG_S, in which a call without it would hang.
SHORT = replace(LIMITS, connect_s=0.5, read_s=0.3, total_s=0.8)
Say = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Wallet:
    """A server that reads each request whole and then says what it is told to."""

    say: Say
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while True:
                self.requests.append(await _read_request(reader))
                await self.say(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended.set()
            self.tasks.discard(task)
            writer.transport.abort()


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return first, headers, await reader.readexactly(int(headers.get("content-length", 0)))


@asynccontextmanager
async def wallet(say: Say, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wallet]:
    served = Wallet(say, scheme="https" if tls else "http")
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for task in (serving := list(served.tasks)):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@dataclass
class HandClock:
    """Its pauses pass when the test says so."""

    passed_s: float = 0

    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return self.passed_s


def answer(body: bytes = FINE, status: str = "200 OK", *headers: str, length: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def says(*parts: bytes, pause_s: float = 0, then_close: bool = False) -> Say:
    """Sends the parts with pauses between them."""

    async def say(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        if then_close:
            raise ConnectionResetError

    return say


def config(url: str, **more: Any) -> OperatorWalletConfig:
    values: dict[str, Any] = {
        "operator_id": "acme",
        "dialect": "croupier",
        "secrets": (SECRET,),
        "limits": LIMITS,
        "local": True,
    }
    return OperatorWalletConfig(url=url, **(values | more))


Ask = Callable[[Say], Awaitable[WalletAnswer]]


def check_unknown(found: WalletAnswer, code: str, *, sent: bool = True) -> None:
    assert (found.verdict, found.code, found.sent) == (WalletVerdict.UNKNOWN, code, sent)
    assert 0 < len(found.detail) <= DETAIL_LIMIT
    assert found.detail.isprintable()
    assert SECRET.removeprefix("whsec_") not in repr(found)


async def arrived(served: Wallet, count: int) -> bool:
    """So many requests in all."""
    return len(served.requests) >= count

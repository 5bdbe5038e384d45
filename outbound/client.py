"""The one way out over HTTP: guarded, bounded, never redirected, with an answer whatever the receiver does.

Each receiver has a client of its own, with its own connections, permits, breaker and name lookups, so that
a dead, slow or hostile one costs only itself. Wallets are asked over it, statements read, and
webhooks delivered. What an answer means is the caller's to say.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Container, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore
import httpx

from outbound.addresses import AddressRefused, GuardedBackend, Resolve
from outbound.breaker import Breaker, Bulkhead
from outbound.transport import BodyRefused, GuardedTransport, read_beginning, read_whole, wrapped


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """What one receiver may use up. `calls` may be under way at once. A call waits `wait_s` for its permit,
    without end for None, and then takes `total_s` at most: within it `connect_s` to connect, and `read_s`
    for each part that is sent or received."""

    connect_s: float
    read_s: float
    total_s: float
    calls: int
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `body` holds as much as the call asked for."""

    status: int
    headers: httpx.Headers
    body: bytes = b""


class Unanswered(Exception):
    """There is no answer. Its text may quote what the network said, and with it the receiver's name; `why`
    quotes nothing. `code` is `address-refused`, `timeout`, `tls`, `not-reached`, `connection-lost`,
    `encoded`, `too-large` or `unexpected`. `sent` is whether anything of the request may have left."""

    def __init__(self, code: str, why: str, text: str | None = None, *, sent: bool) -> None:
        super().__init__(text or why)
        self.code = code
        self.why = why
        self.sent = sent


class OutboundClient:
    """One receiver. `headers` go out with every request; `local` lets the receiver be on this machine or
    network; `waiting` hears by how many more, or fewer, calls wait for a permit.

    It follows no redirect, keeps no cookie and takes nothing from the environment.
    """

    def __init__(
        self,
        *,
        local: bool,
        limits: ClientLimits,
        headers: Mapping[str, str],
        tls: ssl.SSLContext,
        resolve: Resolve | None = None,
        breaker: Breaker | None = None,
        waiting: Callable[[int], None] = lambda _change: None,
    ) -> None:
        self._total_s = limits.total_s
        self._bulkhead = Bulkhead(permits=limits.calls, wait_s=limits.wait_s, waiting=waiting)
        self._breaker = breaker
        self._http = httpx.AsyncClient(
            transport=wrapped(GuardedTransport(GuardedBackend(local=local, resolve=resolve), tls=tls)),
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            timeout=httpx.Timeout(limits.read_s, connect=limits.connect_s),
            headers={**headers, "accept-encoding": "identity", "user-agent": "croupier"},
        )

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[None]:
        """Each call is made inside one. Raises Busy and Away; the breaker's owner records the outcome before
        it leaves."""
        async with self._bulkhead.permit():
            with self._breaker.passage() if self._breaker else nullcontext():
                yield

    async def ask(
        self,
        method: str,
        url: str | httpx.URL,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        wanted: Container[int],
        body_limit: int,
    ) -> Answer:
        """The whole answer: its body is read when its status is `wanted`, and may have `body_limit` bytes. A
        status that means nothing needs no body, and may come with one that never ends. Raises Unanswered,
        and nothing else, whatever the receiver or the network does."""
        async with self._exchange(method, url, headers, content) as answered:
            body = b""
            if answered.status_code in wanted:
                body = await read_whole(answered, limit=body_limit)
            return Answer(answered.status_code, answered.headers, body)

    async def deliver(
        self, url: str, *, headers: Mapping[str, str], content: bytes, excerpt_bytes: int
    ) -> Answer:
        """Sends a message with POST. The answer's status is what counts: of its body there is what came of
        the first `excerpt_bytes` or a few more, however the rest came. Raises Unanswered, and nothing else,
        when there is no status."""
        answered: httpx.Response | None = None
        said = bytearray()
        try:
            async with self._exchange("POST", url, headers, content) as answered:
                await read_beginning(answered, said, limit=excerpt_bytes)
        except Unanswered:
            if answered is None:
                raise
        return Answer(answered.status_code, answered.headers, bytes(said))

    async def drain(self) -> None:
        """Returns when the calls under way have ended; later ones find no permit."""
        await self._bulkhead.close()

    async def aclose(self) -> None:
        """Closes the connections, also those with a call under way."""
        await self._http.aclose()

    @asynccontextmanager
    async def _exchange(
        self, method: str, url: str | httpx.URL, headers: Mapping[str, str], content: bytes | None
    ) -> AsyncIterator[httpx.Response]:
        """The answer's head, and its body while it is read inside the block, all of it within the total
        limit."""
        progress = _Progress()
        try:
            async with (
                asyncio.timeout(self._total_s),
                self._http.stream(
                    method,
                    url,
                    content=content,
                    headers=dict(headers),
                    extensions={"trace": progress.trace},
                ) as answered,
            ):
                yield answered
        except Exception as problem:  # noqa: BLE001 - whatever a receiver provokes, there is no answer
            raise _unanswered(problem, sent=progress.sent) from None


@cache
def tls_context() -> ssl.SSLContext:
    """Trusts the authorities that come with httpx, whatever the environment says. One for all clients, as
    reading all certificates takes 20 ms of processor time, and the context holds nothing of a receiver."""
    return httpx.create_ssl_context(trust_env=False)


class _Progress:
    """Whether anything of the request may have left."""

    def __init__(self) -> None:
        self.sent = False

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpcore at each step of an exchange."""
        if event == "http11.send_request_headers.started":
            self.sent = True


def _unanswered(problem: Exception, *, sent: bool) -> Unanswered:
    match problem:
        case BodyRefused():
            return Unanswered(problem.code, str(problem), sent=sent)
        case AddressRefused():
            return Unanswered("address-refused", str(problem), sent=sent)
        case TimeoutError() | httpcore.TimeoutException():
            return Unanswered("timeout", "no answer in time", sent=sent)
        case httpcore.ConnectError(args=(ssl.SSLError() as cause,)):
            why = f"no trusted connection: {cause.reason or 'it was refused'}"
            return Unanswered("tls", why, f"no trusted connection: {cause}", sent=sent)
        case httpcore.ConnectError():
            return Unanswered("not-reached", "no connection", f"no connection: {problem}", sent=sent)
        case httpcore.NetworkError() | httpcore.RemoteProtocolError() | httpx.RemoteProtocolError():
            why = "the connection ended, or what came over it was not HTTP"
            return Unanswered("connection-lost", why, f"{why}: {problem}", sent=sent)
        case _:
            return Unanswered("unexpected", type(problem).__name__, sent=sent)

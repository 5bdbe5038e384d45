"""Operators' endpoints over HTTP: each message signed, bounded and guarded, and answered whatever comes back.

Each webhook has connections, places and name lookups of its own, so that an endpoint which is dead or hostile
costs nobody but itself.
"""

import asyncio
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpcore
import httpx

from events.catalogue import CONTENT_TYPE
from security.standard_webhooks import WebhookKey, signed_headers
from wallet.addresses import AddressRefused, GuardedBackend, Resolve, check_url
from wallet.transport import GuardedTransport

CONNECT_S: Final = 3.0
TOTAL_S: Final = 5.0
# Messages to one endpoint that are under way at once.
PLACES: Final = 8
# What is read of an answer, and what of that is kept when it was a failure.
ANSWER_BYTES: Final = 4096
EXCERPT_CHARACTERS: Final = 120
# The endpoints that this process keeps connections for.
KEPT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one message. `error` is None exactly when the endpoint took it; `gone` when it said that
    it will never take any. `retry_after_s` is what it asked for, in seconds."""

    error: str | None = None
    gone: bool = False
    retry_after_s: int | None = None


class Endpoints:
    """The endpoints of all webhooks by the webhook's id. `local` lets them be on this machine or network, and
    without TLS. `now_s` is seconds since 1970, for signatures."""

    def __init__(
        self,
        *,
        local: bool,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._local = local
        self._tls = tls or httpx.create_ssl_context(trust_env=False)
        self._resolve = resolve
        self._now_s = now_s
        self._known: OrderedDict[str, _Endpoint] = OrderedDict()

    async def send(
        self, webhook_id: str, url: str, keys: Sequence[WebhookKey], *, event_id: str, body: bytes
    ) -> Answer:
        """Sends once. Nothing that the endpoint or the network does raises."""
        try:
            check_url(url, local=self._local)
        except ValueError:
            return Answer(error="address-refused: only https and public addresses are sent to")
        endpoint = await self._endpoint(webhook_id)
        headers = signed_headers(keys, message_id=event_id, timestamp=int(self._now_s()), body=body)
        return await endpoint.send(url, headers, body)

    async def forget(self, webhook_id: str) -> None:
        """Closes the connections to it."""
        endpoint = self._known.pop(webhook_id, None)
        if endpoint is not None:
            await endpoint.aclose()

    async def aclose(self) -> None:
        for webhook_id in [*self._known]:
            await self.forget(webhook_id)

    async def _endpoint(self, webhook_id: str) -> "_Endpoint":
        if webhook_id not in self._known:
            backend = GuardedBackend(local=self._local, resolve=self._resolve)
            self._known[webhook_id] = _Endpoint(GuardedTransport(backend, connections=PLACES, tls=self._tls))
            if len(self._known) > KEPT:
                # A message that is under way there fails, and is tried again.
                await self.forget(next(iter(self._known)))
        self._known.move_to_end(webhook_id)
        return self._known[webhook_id]


class _Endpoint:
    """It follows no redirect, keeps no cookie and takes nothing from the environment."""

    def __init__(self, transport: GuardedTransport) -> None:
        self._free = asyncio.Semaphore(PLACES)
        self._http = httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            timeout=httpx.Timeout(TOTAL_S, connect=CONNECT_S),
            headers={"accept-encoding": "identity", "content-type": CONTENT_TYPE, "user-agent": "croupier"},
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        answered: httpx.Response | None = None
        said = bytearray()
        try:
            async with (
                self._free,
                asyncio.timeout(TOTAL_S),
                self._http.stream("POST", url, content=body, headers=headers) as answered,
            ):
                async for part in answered.aiter_raw():
                    said += part
                    if len(said) >= ANSWER_BYTES:
                        break
        except Exception as problem:  # noqa: BLE001 - whatever an endpoint provokes, it was not delivered
            if answered is None:
                return Answer(error=_what_happened(problem))
            # The status is what counts, however the rest of the answer came.
        return _answer(answered, bytes(said))


def _answer(answered: httpx.Response, said: bytes) -> Answer:
    if answered.is_success:
        return Answer()
    text = "".join(c if c.isprintable() else " " for c in said.decode(errors="replace"))
    excerpt = " ".join(text.split())[:EXCERPT_CHARACTERS]
    error = f"status-{answered.status_code}" + (f": {excerpt}" if excerpt else "")
    return Answer(error=error, gone=answered.status_code == 410, retry_after_s=_retry_after_s(answered))


def _retry_after_s(answered: httpx.Response) -> int | None:
    """Only seconds are understood; a date is passed over."""
    text = answered.headers.get("retry-after", "")
    with suppress(ValueError):
        if text.isascii() and text.isdigit() and len(text) <= 9:
            return int(text)
    return None


def _what_happened(problem: Exception) -> str:
    """One line that quotes nothing of the URL."""
    match problem:
        case AddressRefused():
            return "address-refused: the name leads to an address that is not public"
        case TimeoutError() | httpcore.TimeoutException():
            return f"timeout: no answer within {TOTAL_S:g} s"
        case httpcore.ConnectError(args=(ssl.SSLError() as cause,)):
            return f"tls: no trusted connection: {cause.reason or 'it was refused'}"
        case httpcore.ConnectError():
            return "not-reached: no connection"
        case httpcore.NetworkError() | httpcore.RemoteProtocolError() | httpx.RemoteProtocolError():
            return "connection-lost: the connection ended, or what came over it was not HTTP"
        case _:
            return f"unexpected: {type(problem).__name__}"

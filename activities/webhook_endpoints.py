"""Operators' endpoints over HTTP: each message is signed, and each gives an answer whatever comes back.

Each webhook has clients of its own, so that an endpoint which is dead or hostile costs nobody but itself: one
for each purpose, so that neither a test nor a new event waits for what an endpoint left unanswered before.
"""

import asyncio
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from events.catalogue import CONTENT_TYPE
from outbound import client
from outbound.addresses import Resolve, check_url
from outbound.breaker import Busy
from outbound.client import ClientLimits, OutboundClient, Unanswered, tls_context
from security.standard_webhooks import WebhookKey, signed_headers

REQUEST_ID_HEADER: Final = "x-request-id"
CONNECT_S: Final = 3.0
TOTAL_S: Final = 5.0
# How much of an answer is read, and how much of a failure's is kept.
ANSWER_BYTES: Final = 4096
EXCERPT_CHARACTERS: Final = 120
# The clients that this process keeps connections for.
KEPT: Final = 1000


class Purpose(StrEnum):
    """Why a message is sent."""

    NEW = "new"
    AGAIN = "again"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What messages of one purpose may take of an endpoint: so many `calls` at once. The others wait `wait_s`
    seconds for one of them to end, without end for None."""

    calls: int
    wait_s: float | None


# The new events of a webhook wait in one activity. Each event that is sent again waits in one of its own, and
# all webhooks share a worker's activities: few may wait there for one endpoint. For a test a person waits.
SHARES: Final = {
    Purpose.NEW: Share(calls=8, wait_s=None),
    Purpose.AGAIN: Share(calls=8, wait_s=1.0),
    Purpose.TEST: Share(calls=2, wait_s=1.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of one message. `error` is None exactly when the endpoint took it. `gone` is true when it
    answered that it will never take any. `retry_after_s` is the pause that it asked for, in seconds. It is
    not `sent` when as many messages as may be are under way."""

    error: str | None = None
    gone: bool = False
    retry_after_s: int | None = None
    sent: bool = True


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
        self._tls = tls or tls_context()
        self._resolve = resolve
        self._now_s = now_s
        self._known: OrderedDict[tuple[str, Purpose], OutboundClient] = OrderedDict()
        self._retiring: dict[asyncio.Task[None], OutboundClient] = {}

    async def send(
        self,
        webhook_id: str,
        url: str,
        keys: Sequence[WebhookKey],
        *,
        event_id: str,
        body: bytes,
        purpose: Purpose,
        request_id: str | None = None,
    ) -> Answer:
        """Sends once. Nothing that the endpoint or the network does raises."""
        try:
            check_url(url, local=self._local)
        except ValueError:
            return Answer(error="address-refused: only https and public addresses are sent to")
        endpoint = self._endpoint(webhook_id, purpose)
        headers = signed_headers(keys, message_id=event_id, timestamp=int(self._now_s()), body=body)
        if request_id is not None:
            headers[REQUEST_ID_HEADER] = request_id
        try:
            async with endpoint.permit():
                answered = await endpoint.deliver(
                    url, headers=headers, content=body, excerpt_bytes=ANSWER_BYTES
                )
        except Busy:
            return Answer(error=f"busy: {SHARES[purpose].calls} others are under way", sent=False)
        except Unanswered as problem:
            return Answer(error=_error(problem))
        return _answer(answered)

    def forget(self, webhook_id: str) -> None:
        """Closes the connections to it, once the messages that are under way have ended."""
        for purpose in Purpose:
            self._retire((webhook_id, purpose))

    async def aclose(self) -> None:
        """Closes all connections, also those with a message under way."""
        for endpoint in (*self._known.values(), *self._retiring.values()):
            await endpoint.aclose()
        self._known.clear()
        await asyncio.gather(*self._retiring)

    def _retire(self, known: tuple[str, Purpose]) -> None:
        endpoint = self._known.pop(known, None)
        if endpoint is not None:
            retiring = asyncio.create_task(_close_after_calls(endpoint))
            self._retiring[retiring] = endpoint
            retiring.add_done_callback(self._retiring.pop)

    def _endpoint(self, webhook_id: str, purpose: Purpose) -> OutboundClient:
        known = (webhook_id, purpose)
        if known not in self._known:
            self._known[known] = self._client(SHARES[purpose])
            if len(self._known) > KEPT:
                self._retire(next(iter(self._known)))
        self._known.move_to_end(known)
        return self._known[known]

    def _client(self, share: Share) -> OutboundClient:
        return OutboundClient(
            local=self._local,
            limits=ClientLimits(
                connect_s=CONNECT_S, read_s=TOTAL_S, total_s=TOTAL_S, calls=share.calls, wait_s=share.wait_s
            ),
            headers={"content-type": CONTENT_TYPE},
            tls=self._tls,
            resolve=self._resolve,
        )


async def _close_after_calls(endpoint: OutboundClient) -> None:
    await endpoint.drain()
    await endpoint.aclose()


def _answer(answered: client.Answer) -> Answer:
    if HTTPStatus.OK <= answered.status < HTTPStatus.MULTIPLE_CHOICES:
        return Answer()
    text = "".join(c if c.isprintable() else " " for c in answered.body.decode(errors="replace"))
    excerpt = " ".join(text.split())[:EXCERPT_CHARACTERS]
    error = f"status-{answered.status}" + (f": {excerpt}" if excerpt else "")
    gone = answered.status == HTTPStatus.GONE
    return Answer(error=error, gone=gone, retry_after_s=_retry_after_s(answered))


def _retry_after_s(answered: client.Answer) -> int | None:
    """Returns the header's seconds; None for a date, and when there is none."""
    text = answered.headers.get("retry-after", "")
    with suppress(ValueError):
        if text.isascii() and text.isdigit() and len(text) <= 9:
            return int(text)
    return None


def _error(problem: Unanswered) -> str:
    """One line of text that quotes nothing of the URL."""
    why = f"no answer within {TOTAL_S:g} s" if problem.code == "timeout" else problem.why
    return f"{problem.code}: {why}"

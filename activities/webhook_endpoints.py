"""Operators' endpoints over HTTP: each message is signed, and each gives an answer whatever comes back.

Each webhook has a client of its own, so that an endpoint which is dead or hostile costs nobody but itself.
"""

import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from events.catalogue import CONTENT_TYPE
from outbound import client
from outbound.addresses import Resolve, check_url
from outbound.client import ClientLimits, OutboundClient, Unanswered, tls_context
from security.standard_webhooks import WebhookKey, signed_headers

REQUEST_ID_HEADER: Final = "x-request-id"
CONNECT_S: Final = 3.0
TOTAL_S: Final = 5.0
# Messages to one endpoint that are under way at once.
CALLS: Final = 8
# How much of an answer is read, and how much of a failure's is kept.
ANSWER_BYTES: Final = 4096
EXCERPT_CHARACTERS: Final = 120
# The endpoints that this process keeps connections for.
KEPT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of one message. `error` is None exactly when the endpoint took it. `gone` is true when it
    answered that it will never take any. `retry_after_s` is the pause that it asked for, in seconds."""

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
        self._tls = tls or tls_context()
        self._resolve = resolve
        self._now_s = now_s
        self._known: OrderedDict[str, OutboundClient] = OrderedDict()

    async def send(
        self,
        webhook_id: str,
        url: str,
        keys: Sequence[WebhookKey],
        *,
        event_id: str,
        body: bytes,
        request_id: str | None = None,
    ) -> Answer:
        """Sends once. Nothing that the endpoint or the network does raises."""
        try:
            check_url(url, local=self._local)
        except ValueError:
            return Answer(error="address-refused: only https and public addresses are sent to")
        endpoint = await self._endpoint(webhook_id)
        headers = signed_headers(keys, message_id=event_id, timestamp=int(self._now_s()), body=body)
        if request_id is not None:
            headers[REQUEST_ID_HEADER] = request_id
        try:
            async with endpoint.permit():
                answered = await endpoint.deliver(
                    url, headers=headers, content=body, excerpt_bytes=ANSWER_BYTES
                )
        except Unanswered as problem:
            return Answer(error=_error(problem))
        return _answer(answered)

    async def forget(self, webhook_id: str) -> None:
        """Closes the connections to it."""
        endpoint = self._known.pop(webhook_id, None)
        if endpoint is not None:
            await endpoint.aclose()

    async def aclose(self) -> None:
        for webhook_id in [*self._known]:
            await self.forget(webhook_id)

    async def _endpoint(self, webhook_id: str) -> OutboundClient:
        if webhook_id not in self._known:
            self._known[webhook_id] = OutboundClient(
                local=self._local,
                limits=ClientLimits(connect_s=CONNECT_S, read_s=TOTAL_S, total_s=TOTAL_S, calls=CALLS),
                headers={"content-type": CONTENT_TYPE},
                tls=self._tls,
                resolve=self._resolve,
            )
            if len(self._known) > KEPT:
                # A message that is under way there fails, and is tried again.
                await self.forget(next(iter(self._known)))
        self._known.move_to_end(webhook_id)
        return self._known[webhook_id]


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

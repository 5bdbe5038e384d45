"""Sends events to operators' webhooks: new ones from the feed, and again those that were not delivered.

An event is sent at least once. When a process dies between an endpoint's answer and the database's, the event
is sent again with the same `webhook-id`, by which a receiver recognises it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, Protocol

import asyncpg
from prometheus_client import Counter
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.webhook_endpoints import Answer, Endpoints, Purpose
from activities.webhook_news import News
from contracts import requests
from contracts import webhooks as steps
from contracts.events import RecordedEvent
from contracts.webhooks import (
    HELD_BACK,
    NOT_DELIVERED,
    RETRYING_LIMIT,
    TEST_EVENT,
    AttemptResult,
    Delivery,
    Disabled,
    DispatchResult,
    TestOrder,
    TestResult,
    Webhook,
    WebhookKey,
)
from events import catalogue
from security.standard_webhooks import PrivateKey
from security.webhook_secrets import WebhookVault, signing_keys
from storage import webhooks as stored
from storage.webhooks import Failure

DELIVERIES: Final = Counter(
    "croupier_webhook_deliveries_total",
    "Attempts to deliver an event to a webhook: `delivered` or `failed`; `dead` counts events given up.",
    ["operator", "outcome"],
)

OUTCOMES: Final = ("delivered", "failed", "dead")

BATCH: Final = 20
BEAT_S: Final = 2.0
# An endpoint's Retry-After counts within these bounds: a shorter pause could replace a longer one of ours,
# and no endpoint may stretch one without end.
RETRY_AFTER_S: Final = (60, 3600)
# When an event is tried again that found as many under way to its endpoint as may be.
BUSY_PAUSE: Final = timedelta(seconds=15)

log = logging.getLogger(__name__)


class EventFeed(Protocol):
    """storage.feed.Feed is one."""

    async def page(
        self, *, operator_id: str, after: int | None, limit: int
    ) -> tuple[list[RecordedEvent], int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long one activity sends for its webhook before it releases its slot, and how often it is asked
    whether webhooks that have nothing to send have something new."""

    turn_s: float = 30.0
    pause_s: float = 1.0


PACE: Final = Pace()


class WebhookSteps:
    """`platform_key` signs beside each webhook's own secrets. `label` gives an operator's in the metrics."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        feed: EventFeed,
        vault: WebhookVault,
        endpoints: Endpoints,
        platform_key: PrivateKey,
        pace: Pace = PACE,
        label: Callable[[str], str] = str,
    ) -> None:
        self._pool = pool
        self._feed = feed
        self._vault = vault
        self._endpoints = endpoints
        self._platform_key = platform_key
        self._pace = pace
        self._label = label
        self._news = News(partial(stored.news, pool), pause_s=pace.pause_s)

    async def aclose(self) -> None:
        """When no activity of these runs any more."""
        await self._news.aclose()

    @activity.defn(name=steps.DISPATCH.name)
    async def dispatch(self, key: WebhookKey) -> DispatchResult:
        """Sends new events, batch by batch, until its turn is over. Raises HELD_BACK while as many events as
        may be are being retried."""
        async with _beating():
            await stored.take_up(self._pool, key)
            ends_at = time.monotonic() + self._pace.turn_s
            while time.monotonic() < ends_at and not activity.is_worker_shutdown():
                webhook = await stored.find(self._pool, key)
                if webhook is None or webhook.disabled is not None:
                    self._endpoints.forget(key.webhook_id)
                    return DispatchResult.OVER
                room = RETRYING_LIMIT - await stored.retrying(self._pool, key)
                if room <= 0:
                    raise _benign(HELD_BACK, f"{RETRYING_LIMIT} events are being retried")
                if not await self._send_batch(webhook, limit=min(BATCH, room)):
                    await self._wait(webhook, for_s=ends_at - time.monotonic())
        return DispatchResult.GO_ON

    async def _wait(self, webhook: Webhook, *, for_s: float) -> None:
        """Until it may have something to send, or the worker is to stop; `for_s` seconds at most."""
        news = asyncio.create_task(self._news.wait(webhook))
        stopping = asyncio.create_task(activity.wait_for_worker_shutdown())
        try:
            await asyncio.wait((news, stopping), timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            stopping.cancel()

    async def _send_batch(self, webhook: Webhook, *, limit: int) -> bool:
        """Returns whether the feed had anything new."""
        events, following = await self._feed.page(
            operator_id=webhook.key.operator_id, after=webhook.cursor, limit=limit
        )
        if following == webhook.cursor:
            return False
        wanted = [event for event in events if webhook.types is None or event.type in webhook.types]
        answers = await asyncio.gather(*(self._send(webhook, event, Purpose.NEW) for event in wanted))
        failures = [
            Failure(event_id=event.event_id, error=answer.error)
            for event, answer in zip(wanted, answers, strict=True)
            if answer.error is not None
        ]
        delivered = len(failures) < len(wanted)
        await stored.move(self._pool, webhook, to=following, delivered=delivered, failures=failures)
        await self._disable_if_gone(webhook, answers)
        return True

    @activity.defn(name=steps.ATTEMPT.name)
    async def attempt(self, delivery: Delivery) -> AttemptResult:
        """Sends an event that failed before. Raises NOT_DELIVERED, and HELD_BACK while as many as may be are
        under way to the endpoint: that is no failure of this event."""
        found = await stored.pending(self._pool, delivery)
        if found is None:
            return AttemptResult.OVER
        webhook, event = found
        if webhook.disabled is not None:
            raise _benign(NOT_DELIVERED, "the webhook is disabled")
        answer = await self._send(webhook, event, Purpose.AGAIN)
        if not answer.sent:
            raise _benign(HELD_BACK, "as many as may be are under way to the endpoint", pause=BUSY_PAUSE)
        await self._disable_if_gone(webhook, [answer])
        if answer.error is None:
            await stored.delivered(self._pool, delivery)
            return AttemptResult.DELIVERED
        await stored.failed(self._pool, delivery, error=answer.error)
        # The endpoint's text stays in our own database, and is no part of a history.
        raise _benign(NOT_DELIVERED, answer.error.partition(":")[0], pause=_asked_for(answer))

    @activity.defn(name=steps.DEAD_LETTER.name)
    async def dead_letter(self, delivery: Delivery) -> bool:
        """Gives the event up. Returns whether it was pending until now."""
        dead_lettered = await stored.dead_letter(self._pool, delivery)
        if dead_lettered:
            self._count(delivery.key, "dead")
            log.warning("event %s is dead at webhook %s", delivery.event_id, delivery.key.webhook_id)
        return dead_lettered

    @activity.defn(name=steps.TEST.name)
    async def test(self, order: TestOrder) -> TestResult:
        """Sends an event that is in no feed, also to a webhook that is disabled. What comes of it changes
        nothing about the webhook."""
        webhook = await stored.find(self._pool, order.key)
        if webhook is None:
            return TestResult(found=False, error=None, took_ms=0)
        event = RecordedEvent(
            event_id=order.event_id,
            type=TEST_EVENT,
            operator_id=order.key.operator_id,
            game_id="",
            subject=order.key.webhook_id,
            sequence=None,
            occurred_at=order.occurred_at,
            data="{}",
        )
        began = time.monotonic()
        answer = await self._send(webhook, event, Purpose.TEST)
        return TestResult(found=True, error=answer.error, took_ms=round(1000 * (time.monotonic() - began)))

    async def _send(self, webhook: Webhook, event: RecordedEvent, purpose: Purpose) -> Answer:
        """Raises SealBroken or UnknownKey when the secrets do not open: then nothing is sent."""
        request_id = catalogue.request_of(event)
        with requests.resumed("webhook", request_id):
            return await self._send_for(request_id, webhook, event, purpose)

    async def _send_for(
        self, request_id: str | None, webhook: Webhook, event: RecordedEvent, purpose: Purpose
    ) -> Answer:
        known = self._vault.open(
            webhook.sealed_secrets,
            operator_id=webhook.key.operator_id,
            webhook_id=webhook.key.webhook_id,
        )
        answer = await self._endpoints.send(
            webhook.key.webhook_id,
            webhook.url,
            [*signing_keys(known, now=int(time.time())), self._platform_key],
            event_id=event.event_id,
            body=catalogue.envelope(event),
            request_id=request_id,
            purpose=purpose,
        )
        if answer.sent:
            self._count(webhook.key, "delivered" if answer.error is None else "failed")
        return answer

    def _count(self, key: WebhookKey, outcome: str) -> None:
        DELIVERIES.labels(self._label(key.operator_id), outcome).inc()

    async def _disable_if_gone(self, webhook: Webhook, answers: Sequence[Answer]) -> None:
        """Disables a webhook whose endpoint answers 410, unless it has another URL by now."""
        gone = any(answer.gone for answer in answers)
        if gone and await stored.disable(self._pool, webhook.key, url=webhook.url, why=Disabled.GONE):
            log.warning("webhook %s is disabled: its endpoint answers 410", webhook.key.webhook_id)


def _benign(type_: str, why: str, *, pause: timedelta | None = None) -> ApplicationError:
    """An error that Temporal logs without a traceback, since an endpoint that is down is no fault of ours.
    Temporal chooses the pause unless it is given."""
    return ApplicationError(why, type=type_, next_retry_delay=pause, category=ApplicationErrorCategory.BENIGN)


def _asked_for(answer: Answer) -> timedelta | None:
    least_s, longest_s = RETRY_AFTER_S
    if answer.retry_after_s is None or answer.retry_after_s < least_s:
        return None
    return timedelta(seconds=min(answer.retry_after_s, longest_s))


@asynccontextmanager
async def _beating() -> AsyncIterator[None]:
    """Sends Temporal heartbeats, so that another worker takes over soon after this one has died."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(BEAT_S)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()

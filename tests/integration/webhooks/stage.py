"""An operator with a webhook, its events, and the steps that send them."""

import asyncio
from collections.abc import Iterable
from typing import Final

import asyncpg
from temporalio.testing import ActivityEnvironment

from activities.webhook_endpoints import Endpoints
from activities.webhooks import Pace, WebhookSteps
from api.webhook.service import WebhookService
from contracts.webhooks import (
    AttemptResult,
    Delivery,
    DispatchResult,
    Webhook,
)
from security.keyring import Keyring
from security.standard_webhooks import PrivateKey
from security.webhook_secrets import WebhookVault
from storage import webhooks as stored
from storage.feed import Feed
from storage.webhooks import Failure
from tests.support.acting import BY
from tests.support.conditions import HANG_S
from tests.support.ledger import Seat, settled
from tests.support.receiver import Receiver

KEYRING: Final = Keyring.generate()
QUICK: Final = Pace(turn_s=0.3, pause_s=0.02)
WAITS_FOR: Final = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"


def steps_of(pool: asyncpg.Pool, endpoints: Endpoints, pace: Pace) -> WebhookSteps:
    return WebhookSteps(
        pool,
        patient(pool),
        WebhookVault(KEYRING),
        endpoints,
        PrivateKey(KEYRING.events.signing_key()),
        pace,
    )


async def dispatch(steps: WebhookSteps, webhook: Webhook) -> DispatchResult:
    return await ActivityEnvironment().run(steps.dispatch, webhook.key)


async def dispatch_on(steps: WebhookSteps, webhook: Webhook) -> DispatchResult:
    """Turn after turn, until one raises or is the last. How much a turn comes to is up to the machine."""
    async with asyncio.timeout(HANG_S):
        while await dispatch(steps, webhook) is DispatchResult.GO_ON:
            pass
    return DispatchResult.OVER


async def dispatch_until_taken(
    steps: WebhookSteps, webhook: Webhook, receiver: Receiver, ids: Iterable[str]
) -> None:
    """Turn after turn, until the endpoint has the events."""
    wanted = set(ids)
    async with asyncio.timeout(HANG_S):
        while not wanted <= set(receiver.taken):
            assert await dispatch(steps, webhook) is DispatchResult.GO_ON


def patient(pool: asyncpg.Pool) -> Feed:
    """Waits for whatever else the server is at."""
    return Feed(pool, patience_s=HANG_S)


async def attempt(steps: WebhookSteps, delivery: Delivery) -> AttemptResult:
    return await ActivityEnvironment().run(steps.attempt, delivery)


async def new_webhook(
    seat: Seat, url: str = "http://127.0.0.1:9/", *, types: list[str] | None = None
) -> Webhook:
    pool = seat.database.pool
    service = WebhookService(pool, patient(pool), WebhookVault(KEYRING), local=True)
    made = await service.create(
        operator_id=seat.session.operator_id,
        url=url,
        types=types or ["round.settled"],
        by=BY,
    )
    return made.status.webhook


async def failing(seat: Seat, webhook: Webhook, count: int = 1) -> list[Delivery]:
    """Events whose first attempt failed."""
    ids = await settled(seat, count)
    found = await stored.find(seat.database.pool, webhook.key)
    assert found is not None
    end = await patient(seat.database.pool).end()
    failures = [Failure(event_id=event_id, error="status-503: no") for event_id in ids]
    assert await stored.move(seat.database.pool, found, to=end, delivered=False, failures=failures)
    return [Delivery(key=webhook.key, event_id=event_id, replay=0) for event_id in ids]


async def status(seat: Seat, webhook: Webhook) -> tuple[int, int]:
    """How many are pending, and dead."""
    found = await stored.status(seat.database.pool, webhook.key)
    assert found is not None
    return found.pending, found.dead

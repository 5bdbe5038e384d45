"""The webhooks themselves: deleted, of other operators, with secrets that change."""

import asyncio

import pytest

from activities.webhooks import WebhookSteps
from api.webhook.service import WebhookService
from contracts.webhooks import (
    AttemptResult,
    Delivery,
    WebhookChanges,
    WebhookKey,
)
from security.webhook_secrets import WebhookVault
from storage import webhooks as stored
from storage.database import Database
from tests.integration.webhooks.stage import (
    KEYRING,
    WAITS_FOR,
    attempt,
    failing,
    new_webhook,
    patient,
)
from tests.support.acting import BY
from tests.support.conditions import until
from tests.support.ledger import Seat


async def test_a_deleted_webhook_takes_its_deliveries_with_it(seat: Seat, steps: WebhookSteps) -> None:
    webhook = await new_webhook(seat)
    (delivery,) = await failing(seat, webhook)
    pool = seat.database.pool
    assert await stored.delete(pool, webhook.key, by=BY)
    assert await attempt(steps, delivery) is AttemptResult.OVER
    assert not await stored.dead_letter(pool, delivery)
    assert not await stored.move(pool, webhook, to=webhook.cursor + 1, delivered=True, failures=[])


@pytest.mark.parametrize("came", ["a-success", "a-failure"])
async def test_a_webhook_is_deleted_while_an_answer_of_it_is_recorded(seat: Seat, came: str) -> None:
    """The interleaving that must not hurt: the deletion has the webhook, the answer its delivery, and each
    waits for what the other has."""
    webhook = await new_webhook(seat)
    (delivery,) = await failing(seat, webhook)
    pool = seat.database.pool
    async with pool.acquire() as deleting:
        async with deleting.transaction():
            await deleting.execute("SELECT FROM webhooks WHERE id = $1 FOR UPDATE", webhook.key.webhook_id)
            recording = asyncio.create_task(
                stored.delivered(pool, delivery)
                if came == "a-success"
                else stored.failed(pool, delivery, error="status-503: no")
            )
            pid = deleting.get_server_pid()
            await until(lambda: pool.fetchval(WAITS_FOR, pid))
            await deleting.execute("DELETE FROM webhooks WHERE id = $1", webhook.key.webhook_id)
        await recording
    assert await stored.status(pool, webhook.key) is None


async def test_another_operators_key_finds_nothing(own: Database, seat: Seat) -> None:
    webhook = await new_webhook(seat)
    (delivery,) = await failing(seat, webhook)
    await stored.dead_letter(own.pool, delivery)
    others = WebhookKey(operator_id="other-operator", webhook_id=webhook.key.webhook_id)
    assert await stored.find(own.pool, others) is None
    assert await stored.dead_page(own.pool, others, after=0, limit=10) == ([], None)
    assert await stored.replay(own.pool, others, None, by=BY) == 0
    assert not await stored.change(own.pool, others, WebhookChanges(enabled=False), by=BY)
    assert not await stored.delete(own.pool, others, by=BY)
    foreign = Delivery(key=others, event_id=delivery.event_id, replay=0)
    assert await stored.pending(own.pool, foreign) is None


async def test_two_rotations_at_once_leave_both_secrets_valid(seat: Seat) -> None:
    """The interleaving: both read the same secrets, and one would overwrite the other's."""
    webhook = await new_webhook(seat)
    pool = seat.database.pool
    service = WebhookService(pool, patient(pool), WebhookVault(KEYRING), local=True)
    made = await asyncio.gather(*(service.rotate_secret(webhook.key, by=BY) for _ in range(2)))
    found = await stored.find(pool, webhook.key)
    assert found is not None
    known = WebhookVault(KEYRING).open(
        found.sealed_secrets, operator_id=webhook.key.operator_id, webhook_id=webhook.key.webhook_id
    )
    assert {secret.secret for secret in made if secret} <= {secret.text for secret in known}
    assert len(known) == 3

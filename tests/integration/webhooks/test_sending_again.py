"""Events that failed: tried again, replayed, given up, and each in the hands of one workflow."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError

from activities import webhook_endpoints
from activities.webhook_endpoints import Endpoints, Purpose
from activities.webhooks import WebhookSteps
from contracts.webhooks import (
    HELD_BACK,
    NOT_DELIVERED,
    RETRYING_LIMIT,
    AttemptResult,
    Delivery,
    Disabled,
    WebhookChanges,
)
from storage import webhooks as stored
from tests.integration.webhooks.stage import attempt, failing, new_webhook, status
from tests.support.acting import BY
from tests.support.conditions import HANG_S
from tests.support.ledger import Seat
from tests.support.receiver import receiving


async def test_an_attempt_that_comes_through_leaves_nothing_behind(seat: Seat, steps: WebhookSteps) -> None:
    async with receiving(answers=[500]) as receiver:
        webhook = await new_webhook(seat, receiver.url)
        (delivery,) = await failing(seat, webhook)
        with pytest.raises(ApplicationError) as failed:
            await attempt(steps, delivery)
        assert (failed.value.type, failed.value.message) == (NOT_DELIVERED, "status-500")
        assert await attempt(steps, delivery) is AttemptResult.DELIVERED
        assert await attempt(steps, delivery) is AttemptResult.OVER
    assert receiver.taken == [delivery.event_id]
    assert await status(seat, webhook) == (0, 0)


async def test_an_attempt_that_finds_its_endpoint_busy_is_held_back_and_is_no_failure(
    seat: Seat, steps: WebhookSteps, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_endpoints, "TOTAL_S", 10 * HANG_S)
    calls = webhook_endpoints.SHARES[Purpose.AGAIN].calls
    async with receiving(silent=True) as receiver:
        webhook = await new_webhook(seat, receiver.url)
        *first, late = await failing(seat, webhook, calls + 1)
        under_way = [asyncio.create_task(attempt(steps, delivery)) for delivery in first]
        await receiver.until_received(calls)
        with pytest.raises(ApplicationError) as held_back:
            await attempt(steps, late)
        assert (held_back.value.type, held_back.value.next_retry_delay) == (HELD_BACK, timedelta(seconds=15))
        await endpoints.aclose()
        failed = await asyncio.gather(*under_way, return_exceptions=True)
    assert {one.type for one in failed if isinstance(one, ApplicationError)} == {NOT_DELIVERED}
    counted = await seat.database.pool.fetch(
        "SELECT event_id, attempts FROM webhook_deliveries WHERE webhook_id = $1", webhook.key.webhook_id
    )
    assert {str(row["event_id"]): row["attempts"] for row in counted} == {
        late.event_id: 1,
        **{delivery.event_id: 2 for delivery in first},
    }


async def test_what_an_endpoint_says_is_no_part_of_a_history(seat: Seat, steps: WebhookSteps) -> None:
    async with receiving(otherwise=500, says=b"a-name-of-a-player") as receiver:
        webhook = await new_webhook(seat, receiver.url)
        (delivery,) = await failing(seat, webhook)
        with pytest.raises(ApplicationError) as failed:
            await attempt(steps, delivery)
    assert "a-name" not in str(failed.value)
    found = await stored.status(seat.database.pool, webhook.key)
    assert found is not None
    assert found.last_error == "status-500: a-name-of-a-player"


async def test_nothing_is_attempted_while_the_webhook_is_disabled(seat: Seat, steps: WebhookSteps) -> None:
    async with receiving() as receiver:
        webhook = await new_webhook(seat, receiver.url)
        (delivery,) = await failing(seat, webhook)
        await stored.change(seat.database.pool, webhook.key, WebhookChanges(enabled=False), by=BY)
        with pytest.raises(ApplicationError):
            await attempt(steps, delivery)
        assert receiver.received == []
        assert await status(seat, webhook) == (1, 0)


async def test_a_patience_that_is_asked_for_is_given_within_bounds(seat: Seat, steps: WebhookSteps) -> None:
    for told, given in (("5", None), ("90", timedelta(seconds=90)), ("999999", timedelta(hours=1))):
        async with receiving(otherwise=503, headers={"retry-after": told}) as receiver:
            webhook = await new_webhook(seat, receiver.url)
            (delivery,) = await failing(seat, webhook)
            with pytest.raises(ApplicationError) as failed:
                await attempt(steps, delivery)
            assert failed.value.next_retry_delay == given


async def test_a_delivery_that_is_replayed_is_not_touched_by_what_its_earlier_workflow_still_does(
    seat: Seat,
) -> None:
    """The interleaving: an attempt or a burial of the earlier workflow commits after the replay."""
    webhook = await new_webhook(seat)
    (first,) = await failing(seat, webhook)
    pool = seat.database.pool
    assert await stored.dead_letter(pool, first)
    assert await stored.replay(pool, webhook.key, [first.event_id], by=BY) == 1
    assert not await stored.dead_letter(pool, first)
    await stored.delivered(pool, first)
    await stored.failed(pool, first, error="late")
    await stored.handed_over(pool, first)
    assert await stored.pending(pool, first) is None
    assert await status(seat, webhook) == (1, 0)
    second = replace(first, replay=1)
    assert await stored.to_hand_over(pool, limit=1_000) == [second]
    assert second.workflow_id != first.workflow_id
    assert await stored.dead_letter(pool, second)


async def test_two_replays_at_once_begin_an_event_once(seat: Seat) -> None:
    webhook = await new_webhook(seat)
    pool = seat.database.pool
    for delivery in await failing(seat, webhook, 5):
        await stored.dead_letter(pool, delivery)
    counts = await asyncio.gather(*(stored.replay(pool, webhook.key, None, by=BY) for _ in range(4)))
    assert sum(counts) == 5
    assert {delivery.replay for delivery in await stored.to_hand_over(pool, limit=1_000)} == {1}


async def test_a_410_of_an_earlier_url_does_not_disable_the_next_one(seat: Seat) -> None:
    """The interleaving: the operator changes the URL while the old one's answer is under way."""
    webhook = await new_webhook(seat)
    pool, key = seat.database.pool, webhook.key
    await stored.change(pool, key, WebhookChanges(url="http://127.0.0.1:10/"), by=BY)
    assert not await stored.disable(pool, key, url=webhook.url, why=Disabled.GONE)
    assert await stored.disable(pool, key, url="http://127.0.0.1:10/", why=Disabled.GONE)
    await stored.change(pool, key, WebhookChanges(enabled=False), by=BY)
    found = await stored.find(pool, key)
    assert found is not None
    assert found.disabled is Disabled.GONE, "the first reason stays"


async def test_only_so_many_of_a_webhook_are_in_the_hands_of_workflows(seat: Seat) -> None:
    pool = seat.database.pool
    webhook, other = await new_webhook(seat), await new_webhook(seat)
    deliveries = await failing(seat, webhook, RETRYING_LIMIT + 2)
    (others,) = await failing(seat, other)

    async def to_hand_over() -> list[Delivery]:
        found = await stored.to_hand_over(pool, limit=1_000)
        return [delivery for delivery in found if delivery.key in (webhook.key, other.key)]

    assert await to_hand_over() == [*deliveries[:RETRYING_LIMIT], others]
    for delivery in deliveries[:RETRYING_LIMIT]:
        await stored.handed_over(pool, delivery)
    assert await to_hand_over() == [others]
    await stored.delivered(pool, deliveries[7])
    assert await to_hand_over() == [deliveries[RETRYING_LIMIT], others]
    await stored.change(pool, webhook.key, WebhookChanges(enabled=False), by=BY)
    assert await to_hand_over() == [others]


async def test_an_event_whose_workflow_is_gone_is_dead_and_can_be_replayed(seat: Seat) -> None:
    webhook = await new_webhook(seat)
    lost, waiting = await failing(seat, webhook, 2)
    pool = seat.database.pool
    await stored.handed_over(pool, lost)
    assert await stored.dead_letter_lost(pool, after=timedelta(hours=1)) == 0
    assert await stored.dead_letter_lost(pool, after=timedelta(0)) == 1
    assert not await stored.dead_letter(pool, lost)
    assert await status(seat, webhook) == (1, 1)
    assert await stored.pending(pool, waiting) is not None

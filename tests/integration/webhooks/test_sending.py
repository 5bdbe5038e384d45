"""A turn of sending: what two processes at once, or one that dies, may not do."""

import asyncio
from collections import Counter

import asyncpg
import pytest
from temporalio.exceptions import ApplicationError

from activities.webhook_endpoints import Endpoints
from activities.webhooks import Pace, WebhookSteps
from api.webhook.service import WebhookService
from contracts.webhooks import (
    HELD_BACK,
    RETRYING_LIMIT,
    DispatchResult,
    WebhookChanges,
)
from security.sealing import SealBroken
from security.webhook_secrets import WebhookVault
from storage import feed
from storage import webhooks as stored
from storage.database import Database
from storage.feed import Feed
from storage.webhooks import Failure
from tests.conftest import Services
from tests.integration.webhooks.stage import (
    KEYRING,
    dispatch,
    dispatch_on,
    dispatch_until_taken,
    new_webhook,
    patient,
    status,
    steps_of,
)
from tests.support.acting import BY
from tests.support.conditions import HANG_S, until
from tests.support.databases import owner_url
from tests.support.ledger import Seat, settled, take_seat
from tests.support.receiver import receiving


async def test_a_turn_sends_what_is_behind_the_cursor_and_nothing_twice(
    seat: Seat, steps: WebhookSteps
) -> None:
    await settled(seat, 2)
    async with receiving() as receiver:
        webhook = await new_webhook(seat, receiver.url)
        ids = await settled(seat, 45)
        await dispatch_until_taken(steps, webhook, receiver, ids)
        assert await dispatch(steps, webhook) is DispatchResult.GO_ON
    assert sorted(receiver.taken) == sorted(ids)


async def test_events_of_other_types_and_other_operators_are_passed_over(
    own: Database, seat: Seat, steps: WebhookSteps
) -> None:
    other = await take_seat(own, balance=1_000)
    async with receiving() as receiver:
        webhook = await new_webhook(seat, receiver.url, types=["round.void"])
        await settled(seat, 3)
        await settled(other, 3)
        bet = seat.bet()
        await seat.reserve(bet)
        await seat.release(bet)
        void = [str(row["event_id"]) for row in await seat.events() if row["type"] == "round.void"]
        await dispatch_until_taken(steps, webhook, receiver, void)
    assert [got.event["type"] for got in receiver.received] == ["round.void"]
    assert receiver.received[0].event["subject"] == bet.key.round_id


async def test_a_process_that_dies_before_the_cursor_is_moved_sends_again_and_loses_nothing(
    seat: Seat, steps: WebhookSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interleaving: the endpoint has answered, the database has not."""
    died = 0

    async def dies(*_: object, **__: object) -> bool:
        nonlocal died
        died += 1
        raise ConnectionError("as if killed")

    async with receiving() as receiver:
        webhook = await new_webhook(seat, receiver.url)
        ids = await settled(seat, 3)
        with monkeypatch.context() as patched:
            patched.setattr(stored, "move", dies)
            with pytest.raises(ConnectionError):
                await dispatch_on(steps, webhook)
        assert sorted(receiver.taken) == sorted(ids)
        receiver.taken.clear()
        await dispatch_until_taken(steps, webhook, receiver, ids)
    assert died == 1
    assert sorted(receiver.taken) == sorted(ids), "with the same ids, by which a receiver knows them"


async def test_two_senders_at_once_send_all_and_one_of_them_moves_the_cursor(
    seat: Seat, steps: WebhookSteps
) -> None:
    """The interleaving: Temporal took the first for dead, and it was not. The loser's failures are the
    winner's business: an event that came through may not be pending as well."""
    webhook = await new_webhook(seat)
    (event_id,) = await settled(seat)
    pool, end = seat.database.pool, await patient(seat.database.pool).end()
    assert await stored.move(pool, webhook, to=end, delivered=True, failures=[])
    late = [Failure(event_id=event_id, error="timeout")]
    assert not await stored.move(pool, webhook, to=end, delivered=False, failures=late)
    assert await status(seat, webhook) == (0, 0)

    async with receiving() as receiver:
        webhook = await new_webhook(seat, receiver.url)
        ids = await settled(seat, 10)
        await asyncio.gather(dispatch(steps, webhook), dispatch(steps, webhook))
        await dispatch_until_taken(steps, webhook, receiver, ids)
    assert set(receiver.taken) == set(ids)


async def test_an_endpoint_that_is_down_holds_its_events_back_in_the_feed(
    seat: Seat, steps: WebhookSteps
) -> None:
    async with receiving(otherwise=503) as receiver:
        webhook = await new_webhook(seat, receiver.url)
        await settled(seat, RETRYING_LIMIT + 5)
        with pytest.raises(ApplicationError) as held_back:
            await dispatch_on(steps, webhook)
        assert held_back.value.type == HELD_BACK
        assert await status(seat, webhook) == (RETRYING_LIMIT, 0)
        assert len(receiver.received) == RETRYING_LIMIT


async def test_a_look_finds_who_has_an_event_or_is_not_as_it_was(own: Database, seat: Seat) -> None:
    """Another operator's event is no news."""
    gone, off, moved, same = [await new_webhook(seat) for _ in range(4)]
    other = await take_seat(own, balance=1_000)
    theirs = await new_webhook(other)

    async def found() -> set[str]:
        return await stored.news(own.pool, [gone, off, moved, same, theirs])

    assert await found() == set()
    await stored.delete(own.pool, gone.key, by=BY)
    await stored.change(own.pool, off.key, WebhookChanges(enabled=False), by=BY)
    assert await stored.move(own.pool, moved, to=moved.cursor + 1, delivered=True, failures=[])
    changed = {one.key.webhook_id for one in (gone, off, moved)}
    assert await found() == changed
    await settled(other)
    assert await found() == changed | {theirs.key.webhook_id}
    await settled(seat)
    assert await found() == changed | {theirs.key.webhook_id, same.key.webhook_id}


async def test_what_is_asked_while_nothing_comes_does_not_grow_with_webhooks(
    services: Services, own: Database, seat: Seat, endpoints: Endpoints
) -> None:
    """One look for all of them, until there is an event, which is sent; and until they are disabled."""
    asked: Counter[str] = Counter()

    async def counted(connection: asyncpg.Connection) -> None:
        connection.add_query_logger(lambda record: asked.update([record.query]))

    async with receiving() as receiver:
        webhooks = [await new_webhook(seat, receiver.url, types=["round.void"]) for _ in range(7)]
        webhooks.append(await new_webhook(seat, receiver.url))
        pool = await asyncpg.create_pool(await owner_url(services, own), min_size=1, max_size=4, init=counted)
        steps = steps_of(pool, endpoints, Pace(turn_s=10 * HANG_S, pause_s=0.02))
        sending = [asyncio.create_task(dispatch(steps, webhook)) for webhook in webhooks]

        async def all_wait() -> bool:
            return asked[stored.RETRYING] >= len(webhooks)

        async def looked(times: int) -> bool:
            return asked[stored.NEWS] >= times

        try:
            await until(all_wait)
            before = asked[stored.NEWS]
            await until(lambda: looked(before + 10))
            assert asked[stored.FIND] == asked[stored.RETRYING] == len(webhooks)
            (event_id,) = await settled(seat)

            async def taken() -> bool:
                return event_id in receiver.taken

            await until(taken)
            for webhook in webhooks:
                await stored.change(own.pool, webhook.key, WebhookChanges(enabled=False), by=BY)
            assert await asyncio.gather(*sending) == [DispatchResult.OVER] * len(webhooks)
        finally:
            for one in sending:
                one.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
            await steps.aclose()
            await pool.close()


async def test_sending_ends_when_the_webhook_is_disabled_or_deleted(seat: Seat, steps: WebhookSteps) -> None:
    webhook = await new_webhook(seat)
    pool = seat.database.pool
    await stored.change(pool, webhook.key, WebhookChanges(enabled=False), by=BY)
    assert await dispatch_on(steps, webhook) is DispatchResult.OVER
    await stored.delete(pool, webhook.key, by=BY)
    assert await dispatch_on(steps, webhook) is DispatchResult.OVER


async def test_nothing_is_sent_and_nothing_passed_over_while_the_secrets_do_not_open(
    seat: Seat, steps: WebhookSteps
) -> None:
    async with receiving() as receiver:
        webhook, other = await new_webhook(seat, receiver.url), await new_webhook(seat)
        ids = await settled(seat)
        copied = "UPDATE webhooks SET sealed_secrets = $2 WHERE id = $1"
        pool = seat.database.pool
        await pool.execute(copied, webhook.key.webhook_id, other.sealed_secrets)
        with pytest.raises(SealBroken):
            await dispatch_on(steps, webhook)
        assert receiver.received == []
        assert (await stored.find(pool, webhook.key) or other).cursor == webhook.cursor
        service = WebhookService(pool, patient(pool), WebhookVault(KEYRING), local=True)
        rotated = await service.rotate_secret(webhook.key, by=BY)
        assert rotated is not None
        receiver.secrets = [rotated.secret]
        await dispatch_until_taken(steps, webhook, receiver, ids)
        assert [got.signed_by for got in receiver.received] == [(rotated.secret,)]


async def test_a_webhook_begins_with_what_is_new(
    own: Database, seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interleaving: a transaction under way keeps the feed's end back, which is 0 for a reader that has
    just begun. The webhook would get the events of all time."""
    monkeypatch.setattr(feed, "END_PATIENCE_S", 0.0)
    await settled(seat)
    service = WebhookService(own.pool, Feed(own.pool), WebhookVault(KEYRING), local=True)
    wanted = {"operator_id": seat.session.operator_id, "url": "http://127.0.0.1:9/", "types": None}
    async with own.pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE outbox SET subject = subject WHERE false")
        made = await service.create(**wanted, by=BY)  # type: ignore[arg-type]
    assert made.status.webhook.cursor == await own.pool.fetchval("SELECT max(id) FROM outbox") > 0

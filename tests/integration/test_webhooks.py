"""WebhookService between the database and the endpoint: what two processes at once, or one that dies, may not
do."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import asyncpg
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import webhook_endpoints
from activities.webhook_endpoints import Endpoints, Purpose
from activities.webhooks import Pace, WebhookSteps
from api.webhook.service import WebhookService
from contracts.webhooks import (
    HELD_BACK,
    NOT_DELIVERED,
    RETRYING_LIMIT,
    AttemptResult,
    Delivery,
    Disabled,
    DispatchResult,
    Webhook,
    WebhookChanges,
    WebhookKey,
)
from security.keyring import Keyring
from security.sealing import SealBroken
from security.standard_webhooks import PrivateKey
from security.webhook_secrets import WebhookVault
from storage import feed
from storage import webhooks as stored
from storage.database import Database
from storage.feed import Feed
from storage.webhooks import Failure
from tests.conftest import Services
from tests.support.acting import BY
from tests.support.conditions import HANG_S, until
from tests.support.databases import own_database, owner_url
from tests.support.ledger import Seat, take_seat
from tests.support.receiver import Receiver, receiving

KEYRING: Final = Keyring.generate()
QUICK: Final = Pace(turn_s=0.3, pause_s=0.02)
WAITS_FOR: Final = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"


@pytest.fixture(scope="module")
async def own(services: Services) -> AsyncIterator[Database]:
    """A database where nobody else sends."""
    async with own_database(services, connections=5) as opened:
        yield opened


@pytest.fixture
async def seat(own: Database) -> Seat:
    """A player whose operator's webhooks are the only ones."""
    await own.pool.execute("DELETE FROM webhooks")
    return await take_seat(own, balance=10_000)


@pytest.fixture
async def endpoints() -> AsyncIterator[Endpoints]:
    made = Endpoints(local=True)
    yield made
    await made.aclose()


@pytest.fixture
async def steps(own: Database, endpoints: Endpoints) -> AsyncIterator[WebhookSteps]:
    made = steps_of(own.pool, endpoints, QUICK)
    yield made
    await made.aclose()


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


async def settled(seat: Seat, count: int = 1) -> list[str]:
    """Rounds that the player closes; the ids of their events."""
    for _ in range(count):
        bet = seat.bet(stake=1)
        await seat.reserve(bet)
        await seat.settle(bet, win=0)
    rows = [row for row in await seat.events() if row["type"] == "round.settled"]
    return [str(row["event_id"]) for row in rows[-count:]]


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


# Sending


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


# Again


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
        await endpoints.forget(webhook.key.webhook_id)
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
    stranger = WebhookKey(operator_id="stranger", webhook_id=webhook.key.webhook_id)
    assert await stored.find(own.pool, stranger) is None
    assert await stored.dead_page(own.pool, stranger, after=0, limit=10) == ([], None)
    assert await stored.replay(own.pool, stranger, None, by=BY) == 0
    assert not await stored.change(own.pool, stranger, WebhookChanges(enabled=False), by=BY)
    assert not await stored.delete(own.pool, stranger, by=BY)
    foreign = Delivery(key=stranger, event_id=delivery.event_id, replay=0)
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

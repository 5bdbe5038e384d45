"""Incidents that reconciliation opens: published once, and shown by the commands."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from activities.incidents import IncidentSteps
from cli.reconciliation import incidents as commands
from contracts.reconciliation import IncidentKind, Page
from contracts.rounds import RoundState
from events import topology
from events.publisher import Publisher
from events.topology import ConsumerQueue
from security.signatures import Signer
from storage import incidents
from tests.integration.events_on_broker import channel_to
from tests.integration.reconciliation.floor import AT_ONCE, Floor, Stubborn, give_up, wager
from tests.support.conditions import HANG_S
from workers import reconciler


async def test_an_incident_is_told_once_with_its_own_id(floor: Floor, amqp_url: str) -> None:
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)
    queue = ConsumerQueue(
        name=f"test-{uuid4().hex[:8]}", bindings=(f"{floor.own_operator}.dice.incident.opened",)
    )
    async with channel_to(amqp_url) as channel:
        await floor.incident_steps().announce(Page())
        await topology.declare(channel, queue, timeout_seconds=HANG_S)
        await floor.rounds(Stubborn()).open_rounds(Page())
        for _ in range(2):
            assert (await floor.incident_steps().announce(Page())).problems == ()
        (incident,) = await floor.incidents_of(bet.key.workflow_id)
        declared = await channel.get_queue(queue.name)
        message = await declared.get(timeout=HANG_S)
        assert message is not None
        assert message.message_id == incident.incident_id
        assert await declared.get(fail=False) is None
        await channel.queue_delete(queue.name)
        await channel.queue_delete(queue.dead_name)
    await give_up(floor, seat, bet)


async def test_incidents_wait_for_a_broker_that_is_away(floor: Floor) -> None:
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)
    await floor.incident_steps().announce(Page())
    await floor.rounds(Stubborn()).open_rounds(Page())
    nowhere = Publisher("amqp://guest:guest@127.0.0.1:9/", Signer(floor.resources.keyring.events))
    nowhere.start()
    looked = await IncidentSteps(floor.pool, nowhere, {}).announce(Page())
    await nowhere.close()
    assert len(looked.problems) == 1
    assert len(await incidents.unpublished(floor.pool, limit=10)) == 1
    assert (await floor.incident_steps().announce(Page())).problems == ()
    assert await incidents.unpublished(floor.pool, limit=10) == []
    await give_up(floor, seat, bet)


async def test_a_scheduled_run_mends_and_tells_and_the_commands_show_it(
    floor: Floor, capsys: pytest.CaptureFixture[str]
) -> None:
    client, settings = floor.casino.temporal, floor.casino.settings
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)
    await reconciler.ensure_schedule(client, 3_600)
    await reconciler.ensure_schedule(client, 7_200)
    schedule = await client.get_schedule_handle("croupier-reconcile").describe()
    assert [interval.every for interval in schedule.schedule.spec.intervals] == [timedelta(seconds=7_200)]
    async with reconciler.running(client, floor.resources, AT_ONCE):
        done = await commands.run_now(client)
        # More than this one, when other tests left some, or when its event is not out yet at the next look.
        assert done.opened >= 1
        assert done.driven_on >= 1
        assert done.problems == ()
        assert await floor.end_of(bet) is RoundState.SETTLED
        await asyncio.gather(commands.run_now(client), commands.run_now(client))
    (incident,) = await floor.incidents_of(bet.key.workflow_id)
    assert incident.finding.kind is IncidentKind.WORKFLOW_LOST
    assert incident.resolved_at is not None
    assert await incidents.unpublished(floor.pool, limit=1) == []

    open_ones = sum((await incidents.open_counts(floor.pool)).values())
    shown = await asyncio.to_thread(commands.show, settings, resolved_too=True, as_json=True)
    assert shown == (1 if open_ones else 0)
    assert bet.key.workflow_id in capsys.readouterr().out
    shown = await asyncio.to_thread(commands.show, settings, resolved_too=False, as_json=False)
    assert shown == (1 if open_ones else 0)
    assert bet.key.workflow_id not in capsys.readouterr().out

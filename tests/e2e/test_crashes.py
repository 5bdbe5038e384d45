"""kill -9 at the worst moments, of the ingress and of everything: nothing is lost, nothing is doubled."""

import asyncio
import os
import signal
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from temporalio.client import Client

from compose import process
from compose.stack import Stack
from storage.database import Database
from tests.conftest import Services
from tests.support.clients import (
    CHOICE,
    STAKE,
    Player,
    answered,
    assert_nothing_lost_or_doubled,
    frozen,
    playing,
    seat_players,
    unhurried,
)
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ledger import waiting_for_a_lock

# The broker needs its port mapper, and our programs need all of them.
SERVICES = ("postgres", "rabbitmq-mapper", "rabbitmq", "temporal")


async def kill_everything(stack: Stack) -> list[str]:
    """One signal to each process in one go, so that none lives to see another's death. Returns their names
    in the order in which they start again: our programs need the services."""
    names = [*SERVICES, *(name for name in stack.names() if name not in SERVICES)]
    assert set(names) == set(stack.names())
    # PostgreSQL's children end by themselves, each when it is next on a core; a new one waits for the last.
    families = [child for name in names for child in process.children_of(stack.pid(name))]
    for name in names:
        os.kill(stack.pid(name), signal.SIGKILL)
    for name in names:
        await stack.kill(name)
    _, left = await asyncio.to_thread(psutil.wait_procs, families, HANG_S)
    assert not left
    return names


async def test_a_killed_ingress_loses_and_doubles_nothing(
    platform: dict[str, Any], services: Services, database: Database, temporal: Client
) -> None:
    players = await seat_players(platform, 8)
    async with playing(players) as client:
        for _ in range(3):
            before = sum(len(player.answers) for player in players)
            await until(lambda before=before: answered(players, before + 40))  # type: ignore[misc]
            await services.stack.kill("ingress")
            with unhurried(players):
                await services.stack.start("ingress")
    assert sum(player.lost_connections for player in players) > 0, "nobody was cut off: no fault has fired"
    async with http_client() as client:
        await assert_nothing_lost_or_doubled(players, database, temporal, client)


async def test_everything_killed_at_once_loses_and_doubles_nothing(
    platform: dict[str, Any], services: Services, database: Database, temporal: Client
) -> None:
    players = await seat_players(platform, 8)
    async with playing(players):
        await until(lambda: answered(players, 60))
        names = await kill_everything(services.stack)
        with unhurried(players):
            for name in names:
                await services.stack.start(name)
        before = sum(len(player.answers) for player in players)
        await until(lambda: answered(players, before + 40))
    assert sum(player.lost_connections for player in players) > 0, "nobody was cut off: no fault has fired"
    async with http_client() as client:
        await assert_nothing_lost_or_doubled(players, database, temporal, client)


async def _bet_until_killed(player: Player, round_id: str) -> None:
    """Sends one bet and expects the connection to die under it."""
    async with http_client() as client:
        with pytest.raises(httpx.TransportError):
            await client.post(
                f"{player.base_url}/v1/game/rounds",
                json={"round_id": round_id, "stake": STAKE, "choice": CHOICE},
                headers=player.headers,
                timeout=HANG_S,
            )


async def _finish(player: Player, database: Database, temporal: Client, round_id: str) -> None:
    async with http_client() as client:
        await asyncio.wait_for(player.bet(client, round_id), HANG_S)
        await assert_nothing_lost_or_doubled([player], database, temporal, client)


@pytest.mark.parametrize(
    ("moment", "lock"),
    [
        ("reserve is in its transaction", "LOCK TABLE seeds IN EXCLUSIVE MODE"),
        ("settle is in its transaction", "LOCK TABLE transfers IN EXCLUSIVE MODE"),
    ],
)
async def test_an_ingress_killed_while_a_step_is_in_its_transaction(
    platform: dict[str, Any],
    services: Services,
    database: Database,
    temporal: Client,
    moment: str,
    lock: str,
) -> None:
    """The dead process's statement still waits in PostgreSQL and commits after the kill: the worker that
    comes next repeats the step and finds it done."""
    (player,) = await seat_players(platform, 1)
    round_id = uuid4().hex
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute(lock)
        cut_off = asyncio.create_task(_bet_until_killed(player, round_id))
        await until(lambda: waiting_for_a_lock(database))
        await services.stack.kill("ingress")
        await cut_off
    await services.stack.start("ingress")
    await _finish(player, database, temporal, round_id)


async def test_an_ingress_killed_between_settle_and_the_brokers_confirm(
    platform: dict[str, Any], services: Services, database: Database, temporal: Client
) -> None:
    """The broker is frozen, so the round is settled and answered while its event is not out."""
    (player,) = await seat_players(platform, 1)
    round_id = uuid4().hex
    with frozen(services.stack.pid("rabbitmq")):
        async with http_client() as client:
            answer = await player.bet(client, round_id)
        published = "SELECT published_at FROM outbox WHERE subject = $1"
        assert await database.pool.fetchval(published, round_id) is None
        await services.stack.kill("ingress")
    await services.stack.start("ingress")
    assert answer["state"] == "settled"
    await _finish(player, database, temporal, round_id)

"""A service restarts under load: rounds turn patient, and nothing is lost or doubled."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client

from storage.database import Database
from tests.conftest import Services
from tests.support.clients import (
    answered,
    assert_nothing_lost_or_doubled,
    frozen,
    playing,
    seat_players,
    unhurried,
)
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ingress import is_ready


@pytest.mark.parametrize("service", ["postgres", "rabbitmq", "temporal"])
async def test_a_service_that_restarts_under_load(
    platform: dict[str, Any], services: Services, database: Database, temporal: Client, service: str
) -> None:
    cut_off, *players = await seat_players(platform, 7)
    async with playing(players) as client:
        await until(lambda: answered(players, 30))
        await services.stack.stop_one(service)
        assert service not in services.stack.names()
        met_nobody = asyncio.create_task(cut_off.bet(client, uuid4().hex))
        with unhurried(players):
            await services.stack.start(service)
        await met_nobody
        before = sum(len(player.answers) for player in players)
        await until(lambda: answered(players, before + 30))
    async with http_client() as client:
        await assert_nothing_lost_or_doubled([cut_off, *players], database, temporal, client)


async def test_a_broker_that_says_nothing_delays_no_answer(
    platform: dict[str, Any], services: Services, database: Database, temporal: Client
) -> None:
    """The round is settled and answered; only its event waits, in the outbox and in the workflow."""
    (player,) = await seat_players(platform, 1)
    round_ids = [uuid4().hex for _ in range(5)]
    with frozen(services.stack.pid("rabbitmq")):
        async with http_client() as client:
            for round_id in round_ids:
                assert (await player.bet(client, round_id))["state"] == "settled"
        waiting = await database.pool.fetchval(
            "SELECT count(*) FROM outbox WHERE subject = ANY($1) AND published_at IS NULL", round_ids
        )
        assert waiting == len(round_ids)
        await until(lambda: _is_degraded(platform["base_url"]))
    async with http_client() as client:
        await assert_nothing_lost_or_doubled([player], database, temporal, client)


async def _is_degraded(base_url: str) -> bool:
    """It takes rounds all the while, whatever the broker does, so no load balancer may leave it."""
    async with http_client(timeout=HANG_S) as client:
        answer = await client.get(f"{base_url}/readyz")
    assert answer.status_code == 200 or answer.json()["failing"] != ["broker"], answer.text
    return bool(answer.json() == {"status": "degraded", "failing": ["broker"]})


async def test_an_ingress_whose_temporal_says_nothing_is_not_ready(
    platform: dict[str, Any], services: Services
) -> None:
    async with http_client(base_url=platform["base_url"], timeout=HANG_S) as client:

        async def only_temporal() -> bool:
            """Whatever else an earlier test has left behind comes back meanwhile."""
            answer = await client.get("/readyz")
            assert answer.status_code == 503
            return bool(answer.json()["failing"] == ["temporal"])

        with frozen(services.stack.pid("temporal")):
            await until(only_temporal)
        await until(lambda: is_ready(client))

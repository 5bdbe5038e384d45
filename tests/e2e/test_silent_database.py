"""A database that says nothing is answered with 503 in time; one that drops connections, never with 500."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

import httpx
import pytest

from storage.database import ACQUIRE_TIMEOUT_S, COMMAND_TIMEOUT_S, RELEASE_TIMEOUT_S
from tests.conftest import Services
from tests.e2e.parties import Operator, Player
from tests.support.clients import frozen_server
from tests.support.conditions import HANG_S, until

T = TypeVar("T")

# More than the ingress has connections to the database.
AT_ONCE = 30


@pytest.fixture
async def seat(operator: Operator) -> Player:
    return await operator.open_session(balance=1_000)


async def reads(player: Player) -> list[httpx.Response]:
    """Every kind of read at once, each answered before anybody would call it a hang."""
    operator, statement = player.operator, f"/players/{player.player_id}/statement"
    calls = [
        *(player.call("GET", path) for path in ("/rounds", "/rounds/none", "/session", "/balance")),
        *(operator.call("GET", path) for path in ("/rounds", "/events", statement)),
    ]
    calls += [player.call("GET", "/rounds?limit=5") for _ in range(AT_ONCE - len(calls))]
    async with asyncio.timeout(HANG_S):
        return await asyncio.gather(*calls)


def test_an_answer_is_due_within_fifteen_seconds() -> None:
    """Who waits for a connection does not wait for a statement as well, unless another one has ended."""
    assert ACQUIRE_TIMEOUT_S + COMMAND_TIMEOUT_S < 15
    assert RELEASE_TIMEOUT_S + COMMAND_TIMEOUT_S < 15


async def timed(waiting: Awaitable[T]) -> tuple[T, float]:
    """What it returns, and after how many seconds."""
    began = time.monotonic()
    return await waiting, time.monotonic() - began


async def test_a_database_that_says_nothing_is_503(seat: Player, services: Services) -> None:
    """Thirty reads at once, more than there are connections, do not wait in a queue. Whoever asks for
    readiness waits for none of it."""
    http = seat.operator.gateway.http
    with frozen_server(services.stack.pid("postgres")):
        (ready, ready_s), (answers, all_s) = await asyncio.gather(
            timed(http.get("/readyz")), timed(reads(seat))
        )
    assert ready.status_code == 503
    assert "database" in ready.json()["failing"]
    assert {(each.status_code, each.json()["code"]) for each in answers} == {(503, "overloaded")}
    assert ready_s < all_s / 2
    assert all_s < 2 * COMMAND_TIMEOUT_S

    async def well() -> bool:
        return {answer.status_code for answer in await reads(seat)} == {200, 404}

    await until(well)


async def test_connections_that_the_database_drops_are_no_error_of_ours(
    seat: Player, services: Services, database: Any
) -> None:
    drop = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1"
    dropped = 0
    user = httpx.URL(services.stack.addresses.application_database_url).username
    for _ in range(5):
        reading = asyncio.create_task(reads(seat))
        await asyncio.sleep(0)
        dropped += await database.pool.fetchval(drop, user)
        statuses = {answer.status_code for answer in await reading}
        assert statuses <= {200, 404, 503}
    assert dropped

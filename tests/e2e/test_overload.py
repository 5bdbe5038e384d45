"""A flood of bets on an ingress that admits few: each is played or refused at once, none is lost or doubled,
and reads are answered all the while."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client

from storage.database import Database
from tests.conftest import Services
from tests.e2e.parties import checked_problem, checked_round
from tests.support.clients import CHOICE, STAKE, Player, assert_nothing_lost_or_doubled, seat_players
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ingress import is_ready, one_more_ingress

ADMITTED: Final = 4
PLAYERS: Final = 40
WAVES: Final = 3
# While it is held, rounds begin and reserve nothing.
HOLD_ROUNDS: Final = "LOCK TABLE seeds IN EXCLUSIVE MODE"


@dataclass(frozen=True, slots=True)
class Ingress:
    """An ingress of its own beside the usual one, on the same services."""

    base_url: str
    metrics_url: str
    operator_key: str

    async def seat(self, count: int) -> list[Player]:
        return await seat_players({"base_url": self.base_url, "operator_key": self.operator_key}, count)

    async def refused(self, client: httpx.AsyncClient) -> int:
        """How many bets it says it refused at its edge."""
        for family in text_string_to_metric_families((await client.get(self.metrics_url)).text):
            for sample in family.samples:
                if sample.name == "croupier_bets_refused_total" and sample.labels["code"] == "overloaded":
                    return int(sample.value)
        return 0


@pytest.fixture(scope="module")
async def ingress(platform: dict[str, Any], services: Services) -> AsyncIterator[Ingress]:
    async with one_more_ingress(services.stack, "small-ingress", max_open_bets=ADMITTED) as running:
        yield Ingress(running.base_url, running.metrics_url, platform["operator_key"])


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=2 * PLAYERS, max_keepalive_connections=2 * PLAYERS)
    async with http_client(limits=limits, timeout=HANG_S) as client:
        yield client


async def test_a_flood_is_played_or_refused_and_nothing_is_lost_or_doubled(
    ingress: Ingress, client: httpx.AsyncClient, database: Database, temporal: Client
) -> None:
    players, refused_before = await ingress.seat(PLAYERS), await ingress.refused(client)
    refused: list[tuple[Player, str]] = []
    for _ in range(WAVES):
        bets = [(player, uuid4().hex) for player in players]
        reading = [asyncio.create_task(_read(client, player)) for player in players]
        answers = await _flood(client, database, bets)
        for (player, round_id), answer in zip(bets, answers, strict=True):
            if answer.status_code == 201:
                player.answers[round_id] = checked_round(answer)
            else:
                _check_refusal(answer)
                refused.append((player, round_id))
        assert [status for read in reading for status in await read] == [200] * 3 * PLAYERS
    played = sum(len(player.answers) for player in players)
    assert played >= WAVES * ADMITTED
    assert len(refused) == WAVES * PLAYERS - played
    assert len(refused) > WAVES, "it was no flood"
    assert await ingress.refused(client) - refused_before == len(refused)

    assert await _in_ledger(database, [round_id for _, round_id in refused]) == 0
    for player, round_id in refused:
        again = await _bet(client, player, round_id)
        assert again.status_code == 201, "for the first time: the refused bet had started nothing"
        player.answers[round_id] = checked_round(again)
    await assert_nothing_lost_or_doubled(players, database, temporal, client)


async def test_a_full_house_refuses_bets_at_once_answers_reads_and_has_room_again(
    ingress: Ingress, client: httpx.AsyncClient, database: Database, temporal: Client
) -> None:
    """A lock holds every admitted round back, so the ingress is full for as long as the test wants."""
    *inside, outside = await ingress.seat(ADMITTED + 1)
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute(HOLD_ROUNDS)
        admitted = [asyncio.create_task(player.bet(client, uuid4().hex)) for player in inside]
        await until(lambda: _all_wait(database))
        _check_refusal(await _bet(client, outside, "the-refused-one"))
        assert await _read(client, outside) == [200] * 3
        await until(lambda: is_ready(client, ingress.base_url))
        assert not any(bet.done() for bet in admitted)
    assert [(await bet)["state"] for bet in admitted] == ["settled"] * ADMITTED
    assert (await outside.bet(client, "the-refused-one"))["state"] == "settled"
    await assert_nothing_lost_or_doubled([*inside, outside], database, temporal, client)


async def _flood(
    client: httpx.AsyncClient, database: Database, bets: list[tuple[Player, str]]
) -> list[httpx.Response]:
    """All bets at once. The first ones are held back until the ingress is full, however slowly they come."""
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute(HOLD_ROUNDS)
        betting = [asyncio.create_task(_bet(client, player, round_id)) for player, round_id in bets]
        await until(lambda: _refused(betting, 2))
    return await asyncio.gather(*betting)


async def _refused(betting: list[asyncio.Task[httpx.Response]], at_least: int) -> bool:
    return sum(bet.done() and bet.result().status_code == 503 for bet in betting) >= at_least


async def _bet(client: httpx.AsyncClient, player: Player, round_id: str) -> httpx.Response:
    body = {"round_id": round_id, "stake": STAKE, "choice": CHOICE}
    return await client.post(f"{player.base_url}/v1/game/rounds", json=body, headers=player.headers)


async def _read(client: httpx.AsyncClient, player: Player) -> list[int]:
    """The statuses of a few reads, one after the other."""
    paths = ("/v1/game/balance", "/v1/game/rounds", "/v1/game/session")
    return [
        (await client.get(f"{player.base_url}{path}", headers=player.headers)).status_code for path in paths
    ]


def _check_refusal(answer: httpx.Response) -> None:
    problem = checked_problem(answer, 503, "overloaded")
    assert answer.headers["retry-after"] == str(problem["retry_after"])
    assert problem["retry_after"] >= 1


async def _in_ledger(database: Database, round_ids: list[str]) -> int:
    count: int = await database.pool.fetchval(
        "SELECT count(*) FROM rounds WHERE round_id = ANY($1)", round_ids
    )
    return count


async def _all_wait(database: Database) -> bool:
    """Whether every admitted round has come to the lock."""
    waiting: int = await database.pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database() AND query LIKE '%reserve_round%'"
    )
    return waiting >= ADMITTED

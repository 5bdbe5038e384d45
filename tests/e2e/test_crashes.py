"""kill -9 at the worst moments, of the ingress and of everything: nothing is lost, nothing is doubled."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from compose.stack import Stack
from storage.database import Database, open_database
from tests.conftest import Services
from tests.support.conditions import until
from tests.support.ledger import waiting_for_a_lock

STAKE = 100
DEPOSIT = 1_000_000
CHOICE = {"direction": "over", "target": 5_000}


@dataclass
class Player:
    """A game client as it should be: it repeats the same bet until it has an answer."""

    base_url: str
    token: str
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    lost_connections: int = 0

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def bet(self, client: httpx.AsyncClient, round_id: str) -> dict[str, Any]:
        body = {"round_id": round_id, "stake": STAKE, "choice": CHOICE}
        while True:
            try:
                answer = await client.post(
                    f"{self.base_url}/v1/game/rounds", json=body, headers=self.headers, timeout=15
                )
            except httpx.TransportError:
                self.lost_connections += 1
                await asyncio.sleep(0.05)
                continue
            if answer.status_code in (200, 201):
                self.answers[round_id] = answer.json()
                return self.answers[round_id]
            # Nothing else is expected: pending, or a service that is not back yet.
            assert answer.status_code in (202, 500, 503), answer.text
            await asyncio.sleep(0.05)

    async def play(self, client: httpx.AsyncClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.bet(client, uuid4().hex)

    async def balance(self, client: httpx.AsyncClient) -> int:
        answer = await client.get(f"{self.base_url}/v1/game/balance", headers=self.headers)
        amount: int = answer.json()["balance"]["amount"]
        return amount


async def seat_players(platform: dict[str, Any], count: int) -> list[Player]:
    key = {"Authorization": f"Bearer {platform['operator_key']}"}
    players = []
    async with httpx.AsyncClient(base_url=platform["base_url"], headers=key) as client:
        for _ in range(count):
            player_id = uuid4().hex
            money = {"transaction_id": "first", "amount": {"amount": DEPOSIT, "currency": "EUR"}}
            (await client.post(f"/v1/operator/players/{player_id}/deposits", json=money)).raise_for_status()
            session = {"player_id": player_id, "game_id": "dice", "currency": "EUR"}
            opened = await client.post("/v1/operator/sessions", json=session)
            players.append(Player(platform["base_url"], opened.json()["token"]))
    return players


@asynccontextmanager
async def playing(players: list[Player]) -> AsyncIterator[httpx.AsyncClient]:
    """All players bet without pause inside the block; leaving it waits for each one's last answer."""
    stop = asyncio.Event()
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=100)) as client:
        tasks = [asyncio.create_task(player.play(client, stop)) for player in players]
        try:
            yield client
        finally:
            stop.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 60)


async def _answered(players: list[Player], more_than: int) -> bool:
    return sum(len(player.answers) for player in players) > more_than


async def assert_nothing_lost_or_doubled(
    players: list[Player], database: Database, temporal: Client, client: httpx.AsyncClient
) -> None:
    """Every answer stands in the ledger, every round has one terminal, one event, one application."""
    round_ids = [round_id for player in players for round_id in player.answers]
    rows = {
        row["round_id"]: row
        for row in await database.pool.fetch(
            "SELECT * FROM rounds WHERE round_id = ANY($1::text[])", round_ids
        )
    }
    for player in players:
        for round_id, answer in player.answers.items():
            row = rows[round_id]
            assert (row["state"], row["win"], row["outcome"]) == (
                answer["state"],
                answer["win"]["amount"],
                answer["outcome"],
            )
        paid = sum(answer["win"]["amount"] for answer in player.answers.values())
        settled = sum(answer["state"] == "settled" for answer in player.answers.values())
        assert await player.balance(client) == DEPOSIT - settled * STAKE + paid
    player_keys = {row["player_key"] for row in rows.values()}
    await _assert_ledger_is_closed(database, player_keys, expected=len(round_ids))
    await _assert_events_took_effect_once(database, player_keys)
    for row in rows.values():
        handle = temporal.get_workflow_handle(f"{row['operator_id']}:{row['player_key']}:{row['round_id']}")

        async def completed(handle: Any = handle) -> bool:
            return (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED

        await until(completed)


async def _assert_ledger_is_closed(database: Database, player_keys: set[int], *, expected: int) -> None:
    counts = await database.pool.fetchrow(
        """
        SELECT (SELECT count(*) FROM rounds WHERE player_key = ANY($1)) AS rounds,
               (SELECT count(*) FROM rounds WHERE player_key = ANY($1) AND state = 'settled') AS settled,
               (SELECT count(*) FROM transfers WHERE player_key = ANY($1) AND kind = 'stake') AS stakes,
               (SELECT sum(held) FROM accounts WHERE player_key = ANY($1)) AS held
        """,
        list(player_keys),
    )
    # A bet that was never answered may not exist: each player waited for the last of its answers.
    assert counts["rounds"] == expected
    assert counts["stakes"] == counts["settled"]
    assert counts["held"] == 0


async def _assert_events_took_effect_once(database: Database, player_keys: set[int]) -> None:
    async def all_applied() -> bool:
        missing = await database.pool.fetchval(
            """
            SELECT count(*) FROM outbox o LEFT JOIN inbox i USING (event_id)
            WHERE player_key = ANY($1) AND (o.published_at IS NULL OR i.event_id IS NULL)
            """,
            list(player_keys),
        )
        return bool(missing == 0)

    await until(all_applied, within_s=40)
    per_round = await database.pool.fetch(
        "SELECT count(*) AS events FROM outbox WHERE player_key = ANY($1) GROUP BY player_key, subject",
        list(player_keys),
    )
    assert Counter(row["events"] for row in per_round) == {1: len(per_round)}


async def kill_everything(stack: Stack) -> list[str]:
    """One signal to each process in one go, so that none lives to see another's death."""
    names = stack.names()
    for name in names:
        os.kill(stack.pid(name), signal.SIGKILL)
    for name in names:
        await stack.kill(name)
    return names


async def test_a_killed_ingress_loses_and_doubles_nothing(
    platform: dict[str, Any], services: Services, database: Database, temporal: Client
) -> None:
    players = await seat_players(platform, 8)
    async with playing(players) as client:
        for _ in range(3):
            before = sum(len(player.answers) for player in players)
            await until(lambda before=before: _answered(players, before + 40))  # type: ignore[misc]
            await services.stack.kill("ingress")
            await services.stack.start("ingress")
    assert sum(player.lost_connections for player in players) > 0, "nobody was cut off: no fault has fired"
    async with httpx.AsyncClient() as client:
        await assert_nothing_lost_or_doubled(players, database, temporal, client)


async def test_everything_killed_at_once_loses_and_doubles_nothing(
    platform: dict[str, Any], services: Services, temporal: Client
) -> None:
    players = await seat_players(platform, 8)
    async with playing(players):
        await until(lambda: _answered(players, 60))
        names = await kill_everything(services.stack)
        for name in names:
            await services.stack.start(name)
        before = sum(len(player.answers) for player in players)
        await until(lambda: _answered(players, before + 40), within_s=60)
    assert sum(player.lost_connections for player in players) > 0, "nobody was cut off: no fault has fired"
    database = await open_database(services.stack.addresses.database_url)
    async with httpx.AsyncClient() as client:
        await assert_nothing_lost_or_doubled(players, database, temporal, client)
    await database.close()


async def _bet_until_killed(player: Player, round_id: str) -> None:
    """Sends one bet and expects the connection to die under it."""
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):
            await client.post(
                f"{player.base_url}/v1/game/rounds",
                json={"round_id": round_id, "stake": STAKE, "choice": CHOICE},
                headers=player.headers,
                timeout=30,
            )


async def _finish(player: Player, database: Database, temporal: Client, round_id: str) -> None:
    async with httpx.AsyncClient() as client:
        await asyncio.wait_for(player.bet(client, round_id), 20)
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
        async with httpx.AsyncClient() as client:
            answer = await player.bet(client, round_id)
        published = "SELECT published_at FROM outbox WHERE subject = $1"
        assert await database.pool.fetchval(published, round_id) is None
        await services.stack.kill("ingress")
    await services.stack.start("ingress")
    assert answer["state"] == "settled"
    await _finish(player, database, temporal, round_id)


class frozen:  # noqa: N801 - reads as the context it is
    """Stops a process without ending it: its sockets stay open and say nothing."""

    def __init__(self, pid: int) -> None:
        self._send: Callable[[int], None] = lambda sign: os.kill(pid, sign)

    def __enter__(self) -> None:
        self._send(signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        self._send(signal.SIGCONT)

"""Game clients that never give up a bet, and what must hold of their rounds afterwards."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
from temporalio.client import Client, WorkflowExecutionStatus

from storage.database import Database
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client

STAKE = 100
DEPOSIT = 1_000_000
CHOICE = {"direction": "over", "target": 5_000}
# Players who ask again at once take a good part of a core from what they wait for.
RECONNECT_PAUSE_S = 0.25
# What matters is what meets a fault, not how much is played: every round is looked at afterwards.
THINKS_S = 0.03
# While something starts. Players in a hurry would take the machine from it.
IDLES_S = 0.4


@dataclass
class Player:
    """A game client as it should be: it repeats the same bet until it has an answer."""

    base_url: str
    token: str
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    lost_connections: int = 0
    pause_s: float = THINKS_S

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
                await asyncio.sleep(RECONNECT_PAUSE_S)
                continue
            if answer.status_code in (200, 201):
                self.answers[round_id] = answer.json()
                return self.answers[round_id]
            # Nothing else is expected: pending, or a service that is not back yet.
            assert answer.status_code in (202, 503), answer.text
            await asyncio.sleep(0.05)

    async def bet_once(self, round_id: str) -> httpx.Response:
        """Whatever the first answer is."""
        async with http_client(timeout=HANG_S) as client:
            body = {"round_id": round_id, "stake": STAKE, "choice": CHOICE}
            url = f"{self.base_url}/v1/game/rounds"
            return await client.post(url, json=body, headers=self.headers)

    async def play(self, client: httpx.AsyncClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.bet(client, uuid4().hex)
            await asyncio.sleep(self.pause_s)

    async def balance(self, client: httpx.AsyncClient) -> int:
        answer = await client.get(f"{self.base_url}/v1/game/balance", headers=self.headers)
        amount: int = answer.json()["balance"]["amount"]
        return amount


async def seat_players(platform: dict[str, Any], count: int) -> list[Player]:
    key = {"Authorization": f"Bearer {platform['operator_key']}"}
    players = []
    async with http_client(base_url=platform["base_url"], headers=key, timeout=HANG_S) as client:
        for _ in range(count):
            player_id = uuid4().hex
            money = {"transaction_id": "first", "amount": {"amount": DEPOSIT, "currency": "EUR"}}
            await _accepted(client, f"/v1/operator/players/{player_id}/deposits", money)
            session = {"player_id": player_id, "game_id": "dice", "currency": "EUR"}
            opened = await _accepted(client, "/v1/operator/sessions", session)
            players.append(Player(platform["base_url"], opened["token"]))
    return players


async def _accepted(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What is answered once the services answer: a 503 says to come back, as to any client."""

    async def answered() -> httpx.Response | None:
        answer = await client.post(path, json=body)
        return None if answer.status_code == 503 else answer

    answer = await until(answered)
    assert answer is not None
    said: dict[str, Any] = answer.raise_for_status().json()
    return said


@asynccontextmanager
async def playing(players: list[Player]) -> AsyncIterator[httpx.AsyncClient]:
    """All players bet inside the block, round after round; leaving it waits for each one's last answer."""
    stop = asyncio.Event()
    async with http_client(limits=httpx.Limits(max_connections=100)) as client:
        tasks = [asyncio.create_task(player.play(client, stop)) for player in players]
        try:
            yield client
        finally:
            stop.set()
            await asyncio.wait_for(asyncio.gather(*tasks), HANG_S)


@contextmanager
def unhurried(players: list[Player]) -> Iterator[None]:
    """They play on inside the block, with longer pauses: what waits there for a program to start wants rounds
    meanwhile, not many of them."""
    for player in players:
        player.pause_s = IDLES_S
    try:
        yield
    finally:
        for player in players:
            player.pause_s = THINKS_S


async def answered(players: list[Player], more_than: int) -> bool:
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
            WHERE player_key = ANY($1) AND type IN ('round.settled', 'round.void')
              AND (o.published_at IS NULL OR i.event_id IS NULL)
            """,
            list(player_keys),
        )
        return bool(missing == 0)

    await until(all_applied)
    per_round = await database.pool.fetch(
        "SELECT count(*) AS events FROM outbox WHERE player_key = ANY($1) AND type LIKE 'round.%'"
        " GROUP BY player_key, subject",
        list(player_keys),
    )
    assert Counter(row["events"] for row in per_round) == {1: len(per_round)}


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stops a process without ending it: its sockets stay open and say nothing, from the first line of the
    block on."""
    os.kill(pid, signal.SIGSTOP)
    try:
        # The kernel stops a thread when it is next on a core. On a busy machine that takes tens of
        # milliseconds, and all the while the others answer.
        while not _stands_still(pid):
            time.sleep(0)
        yield
    finally:
        with suppress(ProcessLookupError):  # it was killed meanwhile
            os.kill(pid, signal.SIGCONT)


def _stands_still(pid: int) -> bool:
    tasks = Path(f"/proc/{pid}/task")
    try:
        states = {_state(tasks / name / "stat") for name in os.listdir(tasks)}
    except (FileNotFoundError, ProcessLookupError):
        return True  # it ended
    return states <= {"T", "Z", "X"}  # stopped; or ended, which says nothing either


def _state(stat: Path) -> str:
    """The third field; the second, the thread's name in brackets, may hold anything."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"  # it ended between the two


@contextmanager
def frozen_server(pid: int) -> Iterator[None]:
    """PostgreSQL with every one of its processes: first the one that starts the others, so that none comes
    after the look; and one that ends meanwhile, as a closed connection's does, says nothing already."""
    with ExitStack() as stack:
        stack.enter_context(frozen(pid))
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(ProcessLookupError):
                stack.enter_context(frozen(child.pid))
        yield

"""The benchmark's peers play real rounds: what they answer is what the ledger holds and the broker has."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest

from bench.peers import PEERS, Peer
from storage.database import Database
from tests.conftest import Services
from tests.support.clients import CHOICE, DEPOSIT, STAKE, Player, seat_players
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client

ROUNDS = 3


class TestPeers:
    @pytest.mark.parametrize("name", ["direct", "saga"])
    async def test_settle_what_they_answer_and_publish_it(
        self, name: str, services: Services, platform: dict[str, Any], database: Database
    ) -> None:
        await assert_rounds_are_settled(PEERS[name], services, platform, database)

    async def test_settle_with_dbos(
        self, services: Services, platform: dict[str, Any], database: Database
    ) -> None:
        pytest.importorskip("dbos", reason="dbos is a dependency of the benchmark alone (group `bench`)")
        await assert_rounds_are_settled(PEERS["dbos"], services, platform, database)

    async def test_settle_with_restate(
        self, services: Services, platform: dict[str, Any], database: Database, full: bool
    ) -> None:
        if not full:
            pytest.skip("downloads the Restate server, 200 MB that only the benchmark needs: --full")
        if shutil.which("npm") is None:
            pytest.skip("the Restate server comes as a package for npm, which is not installed")
        for needed in ("restate", "hypercorn"):
            pytest.importorskip(
                needed, reason=f"{needed} is a dependency of the benchmark alone (group `bench`)"
            )
        await assert_rounds_are_settled(PEERS["restate"], services, platform, database)

    async def test_touch_no_money_on_the_floor(self, services: Services, platform: dict[str, Any]) -> None:
        [player] = await seat_players(platform, 1)
        async with (
            playing_on(PEERS["floor"], services) as base_url,
            http_client(timeout=HANG_S) as client,
        ):
            for _ in range(ROUNDS):
                answer = await bet(PEERS["floor"], base_url, player, client, uuid4().hex)
                assert (answer["state"], answer["win"]["amount"]) == ("settled", 0)
            assert await player.balance(client) == DEPOSIT

    async def test_refuse_a_stranger(self, services: Services) -> None:
        peer = PEERS["direct"]
        headers, body = peer.wrap({"round_id": "r1", "stake": STAKE, "choice": CHOICE}, "no-token")
        async with playing_on(peer, services) as base_url, http_client(timeout=HANG_S) as client:
            answer = await client.post(base_url + peer.path, headers=headers, json=body)
            assert answer.status_code == 401


async def assert_rounds_are_settled(
    peer: Peer, services: Services, platform: dict[str, Any], database: Database
) -> None:
    [player] = await seat_players(platform, 1)
    round_ids = [uuid4().hex for _ in range(ROUNDS)]
    async with playing_on(peer, services) as base_url, http_client(timeout=HANG_S) as client:
        answers = [await bet(peer, base_url, player, client, round_id) for round_id in round_ids]
        paid = sum(answer["win"]["amount"] for answer in answers)
        assert await player.balance(client) == DEPOSIT - ROUNDS * STAKE + paid
    rows = {
        row["round_id"]: row
        for row in await database.pool.fetch("SELECT * FROM rounds WHERE round_id = ANY($1)", round_ids)
    }
    for round_id, answer in zip(round_ids, answers, strict=True):
        row = rows[round_id]
        stored = (row["round_id"], row["state"], row["win"], row["outcome"])
        assert stored == (answer["round_id"], "settled", answer["win"]["amount"], answer["outcome"])
        assert answer["state"] == "settled"
    await assert_events_took_effect(database, round_ids)


async def assert_events_took_effect(database: Database, round_ids: list[str]) -> None:
    """One event for each round, confirmed by the broker, applied once by the statistics."""

    async def applied() -> bool:
        counts = await database.pool.fetchrow(
            """
            SELECT count(*) AS events, count(published_at) AS published, count(i.event_id) AS applied
            FROM outbox o LEFT JOIN inbox i USING (event_id) WHERE o.subject = ANY($1)
            """,
            round_ids,
        )
        assert counts["events"] == counts["published"] == len(round_ids)
        return bool(counts["applied"] == len(round_ids))

    await until(applied)


async def bet(
    peer: Peer, base_url: str, player: Player, client: httpx.AsyncClient, round_id: str
) -> dict[str, Any]:
    headers, body = peer.wrap({"round_id": round_id, "stake": STAKE, "choice": CHOICE}, player.token)
    response = await client.post(base_url + peer.path, headers=headers, json=body, timeout=HANG_S)
    assert response.status_code in (200, 201), response.text
    answer: dict[str, Any] = response.json()
    assert answer["round_id"] == round_id
    return answer


@asynccontextmanager
async def playing_on(peer: Peer, services: Services) -> AsyncIterator[str]:
    """The peer as a process of its own, as the benchmark runs it; it ends with 0 when asked to."""
    port = services.stack.port(f"bench-{peer.name}")
    environment = {**os.environ, **services.stack.environment(), "CROUPIER_HTTP_PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", peer.module),
        stdin=asyncio.subprocess.DEVNULL,
        env=environment,
    )
    base_url = f"http://127.0.0.1:{port}"
    try:
        async with http_client(timeout=HANG_S) as client:

            async def ready() -> bool:
                assert process.returncode is None, f"{peer.name} ended with {process.returncode}"
                with suppress(httpx.TransportError):
                    return (await client.get(base_url + peer.ready_path)).status_code == 200
                return False

            await until(ready)
        yield base_url
        process.terminate()
        assert await asyncio.wait_for(process.wait(), HANG_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

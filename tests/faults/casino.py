"""A casino of two operators, one on our own ledger and one at a wallet of its own that breaks on demand, and
the players who bet there."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import httpx
from temporalio.client import Client

from compose.stack import Stack
from contracts.failures import INSUFFICIENT_FUNDS, WALLET_FAILED
from contracts.wallet import WalletCall
from storage.database import Database
from tests.support.clients import CHOICE, STAKE, Player, seat_players
from tests.support.http import http_client
from tests.support.operator_wallet import RunningWallet

# What the wallet gives each new player, in minor units: more than any of them can lose here.
OPENING: Final = 1_000_000
LEDGER_OPERATOR: Final = "ledger-house"
# A call that is never answered costs a round this much, instead of the seconds that it may take elsewhere.
CALL_LIMIT_MS: Final = 400
# One call in five breaks.
ONE_IN_FIVE: Final = {call.value: 5 for call in (WalletCall.BET, WalletCall.WIN, WalletCall.ROLLBACK)}
WITHOUT_END: Final = 1_000_000
PAUSE_S: Final = 0.05
# How long a player waits who was told that the wallet is away.
WALLET_AWAY_PAUSE_S: Final = 0.5


@dataclass
class WalletPlayer(Player):
    """Repeats a bet until it is settled, void or declined; `declined` has the code of each that was."""

    declined: dict[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)  # of all answers, also to repeats

    async def bet(self, client: httpx.AsyncClient, round_id: str) -> dict[str, Any]:
        while True:
            answer = await self._ask(client, round_id)
            if answer is not None and (closed := await self._closed(round_id, answer)) is not None:
                return closed
            await asyncio.sleep(PAUSE_S)

    async def _ask(self, client: httpx.AsyncClient, round_id: str) -> httpx.Response | None:
        """None when the connection was lost."""
        try:
            answer = await client.post(
                f"{self.base_url}/v1/game/rounds",
                json={"round_id": round_id, "stake": STAKE, "choice": CHOICE},
                headers=self.headers,
                timeout=15,
            )
        except httpx.TransportError:
            self.lost_connections += 1
            return None
        self.statuses[answer.status_code] += 1
        return answer

    async def _closed(self, round_id: str, answer: httpx.Response) -> dict[str, Any] | None:
        """The round, or the problem with which it was declined; None when its end is still to come."""
        body: dict[str, Any] = answer.json()
        if answer.status_code in (200, 201):
            self.answers[round_id] = body
            return body
        if answer.status_code in (402, 502):
            # A problem that names the round is its end; no other refusal can come here.
            assert (body["round_id"], body["code"] in (INSUFFICIENT_FUNDS, WALLET_FAILED)) == (round_id, True)
            self.declined[round_id] = body["code"]
            if body["code"] == WALLET_FAILED:
                await asyncio.sleep(WALLET_AWAY_PAUSE_S)
            return body
        assert answer.status_code in (202, 503), answer.text
        return None

    @property
    def decided(self) -> int:
        """Rounds that the wallet had a say in: all but those that were declined because it was away."""
        return len(self.answers) + sum(code != WALLET_FAILED for code in self.declined.values())


@dataclass(frozen=True, slots=True)
class Casino:
    """The running stack. The operator with the wallet is the one that comes with the stack."""

    stack: Stack
    database: Database
    temporal: Client
    base_url: str
    wallet: RunningWallet
    wallet_key: str = field(repr=False)
    ledger_key: str = field(repr=False)

    async def seat_at_ledger(self, count: int) -> list[Player]:
        return await seat_players({"base_url": self.base_url, "operator_key": self.ledger_key}, count)

    async def seat_at_wallet(self, count: int) -> list[WalletPlayer]:
        key = {"Authorization": f"Bearer {self.wallet_key}"}
        async with http_client(base_url=self.base_url, headers=key) as client:
            return [await self._seat(client) for _ in range(count)]

    async def _seat(self, client: httpx.AsyncClient) -> WalletPlayer:
        session = {"player_id": uuid4().hex, "game_id": "dice", "currency": "EUR"}
        opened = await client.post("/v1/operator/sessions", json=session)
        assert opened.status_code == 201, opened.text
        return WalletPlayer(self.base_url, opened.json()["token"])

    async def break_wallet(
        self, *, seed: int, one_in: Mapping[str, int] = ONE_IN_FIVE, times: int = WITHOUT_END
    ) -> None:
        """From now on one call in a few meets a fault, until each kind has come about `times` times at every
        call."""
        await self.wallet.set_faults(
            seed=seed,
            schedule={"one_in": one_in, "times": times},
            slow_s=0.2,
            delay_s=0.6,  # after the call was given up, and often after it was repeated
        )

    async def rounds(self, operator_id: str) -> int:
        count: int = await self.database.pool.fetchval(
            "SELECT count(*) FROM rounds WHERE operator_id = $1", operator_id
        )
        return count

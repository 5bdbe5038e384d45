"""Players of operators with wallets of their own, straight in our ledger: the test says what the wallet
answered."""

from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from contracts.rounds import Bet, Resolution
from contracts.views import RoundView, Settlement
from storage import operator_wallets
from storage.operator_wallets import Decision
from tests.support.ledger import OUTCOME, Seat

# What the wallet says it has left after the stake of 100.
AFTER_BET: Final = 900


@dataclass(frozen=True, slots=True)
class WalletSeat:
    """A player of an operator with a wallet of its own."""

    seat: Seat

    @property
    def pool(self) -> asyncpg.Pool:
        return self.seat.database.pool

    def bet(self, round_id: str | None = None, **changes: Any) -> Bet:
        return self.seat.bet(round_id, **changes)

    async def begin(self, bet: Bet) -> Decision:
        return await operator_wallets.begin_bet(self.pool, bet, f"bet-{bet.key.round_id}")

    async def accept(self, bet: Bet) -> Decision:
        return await operator_wallets.accept_bet(self.pool, bet, balance=AFTER_BET)

    async def decline(self, bet: Bet, balance: int | None = 40) -> Decision:
        return await operator_wallets.decline_bet(
            self.pool, bet, failure_code="insufficient-funds", failure_detail=None, balance=balance
        )

    async def record(self, bet: Bet, win: int = 250) -> Settlement:
        resolution = Resolution(outcome=OUTCOME, win=win)
        return (await operator_wallets.record_result(self.pool, bet.key, resolution))[0]

    async def close(self, bet: Bet, balance: int | None = 1_150) -> Settlement:
        return await operator_wallets.close(self.pool, bet.key, balance=balance)

    async def begin_release(self, bet: Bet) -> Decision:
        return await operator_wallets.begin_release(
            self.pool, bet, failure_code="resolve-failed", failure_detail="for a test"
        )

    async def release(self, bet: Bet, code: str = "resolve-failed") -> RoundView:
        return await operator_wallets.release(
            self.pool, bet, failure_code=code, failure_detail="for a test", balance=1_000
        )

    async def pending(self, bet: Bet) -> RoundView:
        """A round whose stake the wallet has taken."""
        await self.begin(bet)
        view = (await self.accept(bet)).view
        assert view is not None
        return view

    async def kinds(self) -> list[tuple[str, int]]:
        return [(t["kind"], t["amount"]) for t in await self.seat.transfers()]

    async def wallet_bet(self, bet: Bet) -> asyncpg.Record:
        return await self.pool.fetchrow(
            "SELECT * FROM wallet_bets WHERE player_key = $1 AND round_id = $2",
            bet.key.player_key,
            bet.key.round_id,
        )

"""Seats at one operator, and what may happen there to a round, in whatever order."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import asyncpg

from contracts.rounds import Bet, RoundState
from contracts.views import RoundView
from storage.database import Database
from storage.operator_wallets import StoredWallet, Verdict
from tests.integration.wallet.seats import WalletSeat
from tests.support.ledger import assert_hold, take_seat
from verification.invariants.table import INVARIANTS

OPERATOR: Final = "casino"
SEALED: Final = "v1.test." + "A" * 60
# Only a broker and a consumer bring these to their end.
NOT_OF_THE_LEDGER: Final = ("events-published", "events-applied", "statistics-are-rounds")


async def another(seat: WalletSeat, **changes: Any) -> WalletSeat:
    return WalletSeat(await take_seat(seat.seat.database, operator_id=OPERATOR, **changes))


async def assert_sound(database: Database) -> None:
    async with (
        database.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        kept = [rule for rule in INVARIANTS if rule.name not in NOT_OF_THE_LEDGER]
        await assert_hold(connection, kept)


async def attempt(step: Callable[[Bet], Awaitable[object]], bet: Bet) -> None:
    """An operation that the ledger may refuse, in which case nothing may have changed."""
    with suppress(asyncpg.ObjectNotInPrerequisiteStateError, asyncpg.NoDataFoundError):
        await step(bet)


async def all_attempts(seat: WalletSeat, bet: Bet, *names: str) -> None:
    for name in names:
        await attempt(getattr(seat, name), bet)


async def driven_to_its_end(seat: WalletSeat, bet: Bet) -> RoundView:
    """As the workflow goes on: a round that is not released is settled, one that is released is released."""
    begun = await seat.begin(bet)
    if begun.verdict is Verdict.ASK:
        begun = await seat.accept(bet)
    if begun.verdict is Verdict.RELEASING:
        return await seat.release(bet)
    recorded = (await seat.record(bet)).view
    if recorded.state is RoundState.SETTLING:
        return (await seat.close(bet)).view
    return recorded if recorded.state.final else await seat.release(bet)


def stored() -> StoredWallet:
    return StoredWallet(
        operator_id=OPERATOR,
        url="https://wallet.example",
        dialect="croupier",
        sealed_secrets=SEALED,
        local=False,
    )

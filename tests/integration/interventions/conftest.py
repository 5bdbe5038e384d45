"""What the tests of a person's decisions share: a ledger of their own, whose money is square after each."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from storage import invariants
from storage.database import Database
from tests.conftest import Services
from tests.integration.wallet.seats import WalletSeat
from tests.integration.wallet.table import Table
from tests.support.databases import own_database
from tests.support.ledger import assert_hold, take_seat

MONEY: Final = (
    invariants.BALANCES_ARE_POSTINGS,
    invariants.HOLDS_ARE_OPEN_STAKES,
    invariants.ONE_TERMINAL,
    invariants.WALLETS_ARE_SQUARE,
    invariants.WALLET_BETS_ARE_RESOLVED,
    invariants.ROUNDS_ARE_COMPLETE,
    invariants.ONE_EVENT,
    invariants.EVENTS_AGREE,
    invariants.SEQUENCES_GAPLESS,
)


@pytest.fixture(scope="package")
async def database(services: Services) -> AsyncIterator[Database]:
    """One of its own: the invariants are asked of all of it after each test."""
    async with own_database(services, connections=20) as opened:
        yield opened


@pytest.fixture
async def seat(database: Database) -> AsyncIterator[WalletSeat]:
    """A player of an operator with a wallet of its own; whatever the test did, the books are square after."""
    yield WalletSeat(await take_seat(database))
    async with database.pool.acquire() as connection:
        await assert_hold(connection, MONEY)


@pytest.fixture
async def table(seat: WalletSeat) -> Table:
    """The same with a wallet that answers what the test lays out."""
    return Table(seat.seat)

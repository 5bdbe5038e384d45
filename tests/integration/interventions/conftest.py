"""What the tests of a person's decisions share: a ledger of their own, whose money is square after each."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from storage.database import Database
from tests.conftest import Services
from tests.integration.wallet.seats import WalletSeat
from tests.integration.wallet.table import Table
from tests.support.databases import own_database
from tests.support.ledger import assert_hold, take_seat
from verification.invariants.events import EVENTS_AGREE, ONE_EVENT, SEQUENCES_GAPLESS
from verification.invariants.money import BALANCES_ARE_POSTINGS, HOLDS_ARE_OPEN_STAKES
from verification.invariants.rounds import (
    ONE_TERMINAL,
    ROUNDS_ARE_COMPLETE,
    WALLET_BETS_ARE_RESOLVED,
    WALLETS_ARE_SQUARE,
)

MONEY: Final = (
    BALANCES_ARE_POSTINGS,
    HOLDS_ARE_OPEN_STAKES,
    ONE_TERMINAL,
    WALLETS_ARE_SQUARE,
    WALLET_BETS_ARE_RESOLVED,
    ROUNDS_ARE_COMPLETE,
    ONE_EVENT,
    EVENTS_AGREE,
    SEQUENCES_GAPLESS,
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

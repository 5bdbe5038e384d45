"""What the tests of rounds at an operator's wallet share: a ledger, and a seat after which it is sound."""

from collections.abc import AsyncIterator

import pytest

from storage import operator_wallets
from storage.database import Database
from tests.conftest import Services
from tests.integration.wallet.ledger.moves import OPERATOR, assert_sound, stored
from tests.integration.wallet.seats import WalletSeat
from tests.support.databases import own_database
from tests.support.ledger import take_seat


@pytest.fixture(scope="package")
async def ledger(services: Services) -> AsyncIterator[Database]:
    """A database of this folder's own: the invariants are asked of all of it after each test."""
    async with own_database(services, connections=20) as opened:
        await opened.pool.execute("INSERT INTO operators (id, name) VALUES ($1, $1)", OPERATOR)
        assert await operator_wallets.store(opened.pool, stored())
        yield opened


@pytest.fixture
async def seat(ledger: Database) -> AsyncIterator[WalletSeat]:
    """A player without money of ours; whatever the test did, every invariant holds after it."""
    yield WalletSeat(await take_seat(ledger, operator_id=OPERATOR))
    await assert_sound(ledger)

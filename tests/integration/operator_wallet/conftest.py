"""What the tests of the reference wallet share: one running wallet, and a player of each test's own."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.integration.operator_wallet.calls import FUNDS
from tests.support.operator_wallet import RunningWallet, running_wallet


@pytest.fixture(scope="package")
async def server() -> AsyncIterator[RunningWallet]:
    async with running_wallet() as wallet:
        yield wallet


@pytest.fixture
async def wallet(server: RunningWallet) -> AsyncIterator[RunningWallet]:
    yield server
    await server.clear_faults()


@pytest.fixture
def player(wallet: RunningWallet) -> str:
    """A player of this test alone, with FUNDS."""
    player_id = uuid4().hex
    wallet.open_player(player_id, FUNDS)
    return player_id

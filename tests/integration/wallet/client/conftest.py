"""What the tests of the wallet client share: clients, and one question to one wallet."""

from collections.abc import AsyncIterator

import pytest

from contracts.wallet import WalletAnswer
from tests.integration.wallet.client.scripted import BET, DIALECTS, Ask, Say, config, wallet
from wallet.operator_http import OperatorWallets


@pytest.fixture
async def wallets() -> AsyncIterator[OperatorWallets]:
    opened = OperatorWallets(DIALECTS)
    yield opened
    await opened.aclose()


@pytest.fixture
def ask(wallets: OperatorWallets) -> Ask:
    async def once(say: Say) -> WalletAnswer:
        async with wallet(say) as served:
            return await wallets.call(config(served.url), BET)

    return once

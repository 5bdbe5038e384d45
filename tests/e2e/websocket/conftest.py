"""What the tests of the game client's socket share: a second ingress, and a player's open socket."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conftest import Services
from tests.e2e.parties import Operator, Player, is_told_of_rounds
from tests.e2e.websocket.raw import SPARE, idle
from tests.support.conditions import until
from tests.support.ingress import Ingress, one_more_ingress
from tests.support.sockets import Socket, opened


@pytest.fixture(scope="package")
async def other(
    platform: dict[str, Any], services: Services, operator: Operator, full: bool
) -> AsyncIterator[Ingress]:
    """A second ingress, with a log in which everything is."""
    most = idle(full) + SPARE
    async with one_more_ingress(
        services.stack, "other-ingress", max_sockets=most, log_level="debug"
    ) as ingress:
        player = await operator.open_session(balance=1_000_000)
        await until(lambda: is_told_of_rounds(ingress.base_url, player))
        yield ingress


@pytest.fixture
async def socket(base_url: str, player: Player) -> AsyncIterator[Socket]:
    async with opened(base_url, player.token) as open_:
        yield open_

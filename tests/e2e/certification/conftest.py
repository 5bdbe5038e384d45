"""What the certification cases share: the reference wallet, the operators whose money it keeps, seats."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from tests.conftest import Services
from tests.e2e.certification.line import TamperedLine
from tests.e2e.certification.seats import Operators, Seat, new_seat
from tests.e2e.certification.terms import OPENING
from tests.e2e.parties import Gateway, Operator
from tests.support.conditions import until
from tests.support.operator_wallet import RunningWallet, new_secret, running_wallet
from tests.support.wallet_settings import program_settings, set_wallet

# Short, so that a call which is never answered is soon unknown; and so may one be that is answered slowly.
HASTY_MS: Final = 1_200


@pytest.fixture(scope="package")
async def wallet() -> AsyncIterator[RunningWallet]:
    async with running_wallet("--fast") as running:
        yield running


@pytest.fixture(scope="package")
async def line(wallet: RunningWallet) -> AsyncIterator[TamperedLine]:
    async with TamperedLine(wallet.url, b'"amount":100', b'"amount":900') as line:
        yield line


@pytest.fixture(scope="package")
async def operators(
    gateway: Gateway, services: Services, wallet: RunningWallet, line: TamperedLine
) -> Operators:
    settings = program_settings(services.stack)

    async def with_wallet(url: str, secret: str, total_ms: int | None = None) -> Operator:
        operator = await gateway.new_operator()
        await set_wallet(settings, operator.operator_id, url, secret, total_ms=total_ms)
        return operator

    made = Operators(
        hasty=await with_wallet(wallet.url, wallet.secret, HASTY_MS),
        stranger=await with_wallet(wallet.url, new_secret()),
        tampered=await with_wallet(line.url, wallet.secret),
        counted=await with_wallet(wallet.url, wallet.secret),
        other=await with_wallet(wallet.url, wallet.secret),
        usual=await with_wallet(wallet.url, wallet.secret),
    )
    # The last one that was set: what knows it knows all.
    probe = await new_seat(made.usual, wallet)

    async def known() -> bool:
        return (await probe.player.bet()).status_code == 201

    await until(known)
    return made


@pytest.fixture(params=["our-ledger", "operators-wallet"])
async def seat(
    request: pytest.FixtureRequest, operator: Operator, operators: Operators, wallet: RunningWallet
) -> Seat:
    """A player of each kind: what holds for one must hold for the other."""
    if request.param == "our-ledger":
        return await new_seat(operator, None)
    return await new_seat(operators.usual, wallet)


@pytest.fixture
async def ours(operator: Operator) -> Seat:
    """A player whose money is in our ledger."""
    return await new_seat(operator, None)


@pytest.fixture
async def theirs(operators: Operators, wallet: RunningWallet) -> Seat:
    """A player whose money is in the operator's wallet."""
    return await new_seat(operators.usual, wallet)


@pytest.fixture
async def hasty(operators: Operators, wallet: RunningWallet) -> Seat:
    """The same, at the operator whose calls are soon given up; not that by which its session is known."""
    seat = await new_seat(operators.hasty, wallet)

    async def admitted() -> bool:
        return (await seat.player.bet(stake=2 * OPENING)).status_code == 402

    await until(admitted)
    return seat

"""Reconciliation of wallets that talk in each shipped dialect: rounds over HTTP, then the wallet's statement
against the ledger."""

import functools
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import REGISTRY

from activities.statements import StatementChecks
from contracts.interventions import Action, InterveneRequest, Intervention
from contracts.reconciliation import Incident, Page, Reconciled
from contracts.rounds import Bet, ReleaseRequest, RoundState, SettleRequest
from contracts.wallet import WalletCall
from outbound.client import tls_context
from security.keyring import Keyring
from security.standard_webhooks import PrivateKey, PublicKey, SharedSecret
from storage import incidents, interventions, operator_wallets
from storage.database import Database
from storage.operator_wallets import StoredWallet
from tests.conftest import Services
from tests.integration.reconciliation.floor import AT_ONCE
from tests.integration.wallet.table import WHY, WON
from tests.support.databases import own_database
from tests.support.dialect_wallet import DialectWallet, dialect_wallet
from tests.support.ledger import Seat, take_seat
from tests.support.operator_wallet import new_secret
from wallet import dialect
from wallet.dialect import Dialect, IdForm
from wallet.directory import WalletVault, client_config, takes_secrets
from wallet.operator import OperatorSteps, transaction_id
from wallet.operator_http import OperatorWallets

DIALECTS: Final = dialect.load()
STAKE: Final = 100


@dataclass(frozen=True, slots=True)
class House:
    """One operator's wallet, the steps of rounds there, and reconciliation."""

    wallet: DialectWallet
    seat: Seat
    money: OperatorSteps
    checks: StatementChecks

    async def settled(self, round_id: str) -> Bet:
        bet = self.seat.bet(round_id, stake=STAKE)
        assert (await self.money.reserve(bet)).state is RoundState.PENDING
        assert (
            await self.money.settle(SettleRequest(bet=bet, resolution=WON))
        ).view.state is RoundState.SETTLED
        return bet

    async def void(self, round_id: str) -> Bet:
        bet = self.seat.bet(round_id, stake=STAKE)
        await self.money.reserve(bet)
        assert (await self.money.release(ReleaseRequest(bet=bet, **WHY))).state is RoundState.VOID
        return bet

    async def compare(self) -> Reconciled:
        """All pages of this operator's wallet alone."""
        total, more = Reconciled(), f"~|{self.wallet.operator_id}"  # behind all others
        while True:
            looked = await self.checks.statements(Page(cursor=more))
            total = total.plus(looked)
            if looked.cursor != more:
                return total

    async def incident_of(self, subject: str) -> Incident:
        listed = await incidents.listed(self.seat.database.pool, resolved_too=True, limit=1_000)
        (found,) = [incident for incident in listed if subject in incident.finding.subject]
        return found


@pytest.fixture(scope="module")
async def database(services: Services) -> AsyncIterator[Database]:
    async with own_database(services, connections=4) as opened:
        yield opened


@pytest.fixture(params=sorted(DIALECTS))
async def house(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[House]:
    talk, secret, platform_key = DIALECTS[request.param], new_secret(), Ed25519PrivateKey.generate()
    seat = await take_seat(database)
    operator_id = seat.session.operator_id
    checked = SharedSecret.parse(secret) if takes_secrets(talk) else PublicKey(platform_key.public_key())
    vault = WalletVault(Keyring.generate())
    async with dialect_wallet(talk, operator_id, [checked]) as wallet:
        secrets = (secret,) if takes_secrets(talk) else ()
        stored = StoredWallet(
            operator_id=operator_id,
            url=wallet.url,
            dialect=talk.name,
            sealed_secrets=vault.seal(operator_id, secrets),
            local=True,
            # As patient as a wallet may be: it answers from this process.
            connect_ms=5_000,
            read_ms=5_000,
            total_ms=7_000,
        )
        assert await operator_wallets.store(database.pool, stored)
        keys = [PrivateKey(platform_key)]
        clients = OperatorWallets(DIALECTS, platform_keys=keys)
        ask = partial(clients.call, client_config(stored, secrets, DIALECTS))
        tls = functools.cache(tls_context)
        checks = StatementChecks(database.pool, vault, DIALECTS, tls, AT_ONCE, keys)
        yield House(wallet, seat, OperatorSteps(database.pool, ask), checks)
        await clients.aclose()


@pytest.fixture(params=[32, 64], ids=["short-id", "long-id"])
def round_id(request: pytest.FixtureRequest) -> str:
    """The longest that every wallet takes, and one that two of the dialects replace."""
    length: int = request.param
    return (uuid4().hex + uuid4().hex)[:length]


async def test_a_wallet_of_any_dialect_that_agrees_is_no_incident(house: House, round_id: str) -> None:
    await house.settled(round_id)
    looked = await house.compare()
    assert (looked.looked_at, looked.opened, looked.problems) == (2 + 2, 0, ())
    await house.void(round_id[::-1])
    looked = await house.compare()
    assert (looked.looked_at, looked.opened) == (4 + 2, 0), (
        "the span begins a little before the last one's end"
    )
    assert (await house.compare()).opened == 0, "no call of this span says which rounds those entries are of"


@pytest.mark.parametrize(
    "spelled", [str, lambda i: i.hex, lambda i: str(i).upper(), lambda i: i.urn, lambda i: f"no. {i}"]
)
async def test_what_a_wallet_of_any_dialect_took_unasked_is_an_incident_that_stays(
    house: House, spelled: Callable[[UUID], str]
) -> None:
    """Its id may be written as no id of ours is, and the wallet knows it by that alone."""
    its_id = spelled(uuid4())
    unasked = house.wallet.take(WalletCall.BET, moved=-77, player_id=uuid4().hex, transaction_id=its_id)
    assert [(await house.compare()).opened for _ in range(2)] == [1, 0]
    incident = await house.incident_of(unasked.player_id)
    wallet = incident.finding.detail["wallet"]
    assert wallet == {"transaction_id": its_id, "call": "bet", "moved": -77, "currency": "EUR"}
    assert not await house.checks.review(incident)
    house.wallet.entries.remove(unasked)
    assert await house.checks.review(incident), "the wallet has taken it back"


async def test_what_a_wallet_of_any_dialect_lost_again_is_an_incident(house: House, round_id: str) -> None:
    bet = await house.settled(round_id)
    house.wallet.lose(WalletCall.WIN)
    assert [(await house.compare()).opened for _ in range(2)] == [1, 0]
    assert (await house.incident_of(bet.player_id)).finding.round_id == round_id


async def test_the_rollback_of_a_bet_that_never_came_is_no_incident_with_an_entry_or_without(
    house: House, round_id: str
) -> None:
    """One of the dialects has no entry of it: nothing moved."""
    bet = house.seat.bet(round_id, stake=STAKE)
    await operator_wallets.begin_bet(house.seat.database.pool, bet, transaction_id(bet.key, WalletCall.BET))
    assert (await house.money.release(ReleaseRequest(bet=bet, **WHY))).state is RoundState.VOID
    looked = await house.compare()
    assert (looked.opened, looked.problems) == (0, ())
    assert len(house.wallet.entries) == (not house.wallet.dialect.also_accepted)


async def test_a_refund_that_a_wallet_of_any_dialect_never_booked_is_an_incident_until_it_is(
    house: House, round_id: str
) -> None:
    pool, bet = house.seat.database.pool, house.seat.bet(round_id, stake=STAKE)
    await house.money.reserve(bet)
    await operator_wallets.record_result(pool, bet.key, WON)
    refunded = Intervention(
        intervention_id=str(uuid4()), action=Action.REFUNDED_OUTSIDE, reason="a test", actor="key:tests"
    )
    await interventions.intervene(pool, InterveneRequest(bet=bet, intervention=refunded))
    assert [(await house.compare()).opened for _ in range(2)] == [1, 0]
    incident = await house.incident_of(f"round:{round_id}")
    assert incident.finding.detail["wallet"]["moved"] == -STAKE
    assert not await house.checks.review(incident)
    taken = house.wallet.entries[-1]
    house.wallet.entries.append(replace(taken, call=WalletCall.ROLLBACK, transaction_id="r", moved=STAKE))
    assert not await house.checks.review(incident), "under an id that is not ours"
    rollback = UUID(transaction_id(bet.key, WalletCall.ROLLBACK))
    as_theirs = rollback.hex if house.wallet.dialect.ids.form is IdForm.HEX else str(rollback)
    house.wallet.entries[-1] = replace(house.wallet.entries[-1], transaction_id=as_theirs)
    assert await house.checks.review(incident)


async def test_a_wallet_whose_clock_is_slow_hides_nothing_that_it_took_alone(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Its entries are earlier than the span that they belong to, which was read before they were there."""
    house.wallet.behind = timedelta(minutes=5)
    await house.settled(uuid4().hex)
    with caplog.at_level(logging.WARNING):
        assert (await house.compare()).opened == 0
        unasked = house.wallet.take(WalletCall.BET, moved=-77, player_id=uuid4().hex)
        looked = await house.compare()
    assert (looked.opened, looked.problems) == (1, ())
    await house.incident_of(unasked.player_id)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert house.wallet.operator_id in warnings[0]
    assert "slow" in warnings[0]
    difference = REGISTRY.get_sample_value(
        "croupier_wallet_clock_difference_seconds", {"operator": house.wallet.operator_id}
    )
    assert difference is not None
    assert difference >= 300

    house.wallet.behind = timedelta(0)
    await house.settled(uuid4().hex)
    right = house.wallet.take(WalletCall.BET, moved=-78, player_id=uuid4().hex)
    assert (await house.compare()).opened == 1
    await house.incident_of(right.player_id)


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_is_too_far_off_is_told(
    house: House, caplog: pytest.LogCaptureFixture, hours: int
) -> None:
    house.wallet.behind = timedelta(hours=hours)
    await house.settled(uuid4().hex)
    with caplog.at_level(logging.WARNING):
        looked = await house.compare()
    assert looked.opened == 0
    assert ("slow" if hours > 0 else "fast") in caplog.text
    # What a fast clock writes is read when its time has come.
    assert len(set(looked.problems)) == (hours > 0)


def test_a_dialect_says_all_of_its_statement_or_nothing() -> None:
    assert all(talk.statement is not None for talk in DIALECTS.values())
    assert _calls(DIALECTS["decimal_aggregator"]) == {"BET": "bet", "WIN": "win", "ROLLBACK": "rollback"}


def _calls(talk: Dialect) -> Mapping[str, str]:
    assert talk.statement is not None
    return talk.statement.calls

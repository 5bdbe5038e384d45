"""Players with money, and bets of theirs, straight in the ledger."""

import dataclasses
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import asyncpg

from api.session.service import NO_LIMITS, SessionService
from contracts.limits import SessionLimits
from contracts.rounds import Bet, RoundKey
from contracts.sessions import REAL
from contracts.views import RoundView, SessionView
from contracts.wallet import WalletAnswer, WalletCall, WalletRequest, WalletVerdict
from security.keyring import Keyring
from security.seeds import SeedVault
from security.tokens import TokenIssuer
from storage import operator_wallets, operators, players, rounds
from storage.database import Database
from tests.support.acting import BY
from verification.chain import Link, Walk
from verification.invariants.invariant import Invariant, violations

OUTCOME: dict[str, Any] = {"roll": 42}
KEYRING = Keyring.generate()


@dataclasses.dataclass(frozen=True, slots=True)
class Seat:
    """A player in a session, with an account to bet from."""

    database: Database
    session: SessionView

    def bet(self, round_id: str | None = None, *, stake: int = 100, **changes: Any) -> Bet:
        session = self.session
        bet = Bet(
            key=RoundKey(
                operator_id=session.operator_id,
                player_key=session.player_key,
                round_id=round_id or uuid4().hex,
            ),
            player_id=session.player_id,
            account_id=session.account_id,
            session_id=session.session_id,
            game_id=session.game_id,
            game_version="1.0.0",
            currency=session.currency,
            stake=stake,
            mode="base",
            choice=None,
            request_id=uuid4().hex,
            demo=session.demo,
            jurisdiction=session.jurisdiction,
        )
        return dataclasses.replace(bet, **changes)

    async def money(self) -> tuple[int, int]:
        """The balance and the part of it that is held, in minor units."""
        found = await players.balance(
            self.database.pool, player_key=self.session.player_key, currency=self.session.currency
        )
        assert found is not None
        return found.balance, found.held

    async def reserve(self, bet: Bet) -> RoundView:
        return await rounds.reserve(self.database.pool, bet)

    async def settle(self, bet: Bet, win: int) -> RoundView:
        return (await rounds.settle(self.database.pool, bet.key, OUTCOME, win)).view

    async def release(self, bet: Bet) -> RoundView:
        return await rounds.release(self.database.pool, bet, "resolve-failed", "for a test")

    async def deposit(self, amount: int, transaction_id: str | None = None) -> tuple[str, int]:
        done = await players.deposit(
            self.database.pool,
            operator_id=self.session.operator_id,
            player_id=self.session.player_id,
            player_key=self.session.player_key,
            account_id=self.session.account_id,
            transaction_id=transaction_id or uuid4().hex,
            amount=amount,
            currency=self.session.currency,
            by=BY,
        )
        return done.result, done.available

    async def withdraw(self, amount: int, transaction_id: str | None = None) -> tuple[str, int]:
        done = await players.withdraw(
            self.database.pool,
            operator_id=self.session.operator_id,
            player_id=self.session.player_id,
            player_key=self.session.player_key,
            transaction_id=transaction_id or uuid4().hex,
            amount=amount,
            currency=self.session.currency,
            by=BY,
        )
        return done.result, done.available

    async def transfers(self) -> list[asyncpg.Record]:
        """The player's transfers in the order of the chain."""
        return list(
            await self.database.pool.fetch(
                "SELECT * FROM transfers WHERE player_key = $1 ORDER BY position", self.session.player_key
            )
        )

    async def events(self) -> list[asyncpg.Record]:
        """The events of the ends of the player's rounds, settled or void, in the order of their sequence."""
        ends = ("round.settled", "round.void")
        return [event for event in await self.every_event() if event["type"] in ends]

    async def every_event(self) -> list[asyncpg.Record]:
        """All of the player's events in the order of their sequence."""
        return list(
            await self.database.pool.fetch(
                "SELECT * FROM outbox WHERE player_key = $1 ORDER BY sequence", self.session.player_key
            )
        )


async def take_seat(
    database: Database,
    *,
    balance: int = 0,
    operator_id: str | None = None,
    player_id: str | None = None,
    game_id: str = "dice",
    currency: str = "EUR",
    mode: str = REAL,
    limits: SessionLimits = NO_LIMITS,
) -> Seat:
    """A player of an operator of its own, unless named, with `balance` minor units."""
    operator_id = operator_id or f"op-{uuid4().hex[:12]}"
    await operators.ensure_operator(database.pool, operator_id=operator_id, name="a test's")
    sessions = SessionService(database.pool, SeedVault(KEYRING), TokenIssuer(KEYRING), lifetime_s=3600)
    session, _ = await sessions.open(
        operator_id=operator_id,
        player_id=player_id or uuid4().hex,
        game_id=game_id,
        currency=currency,
        client_seed=None,
        mode=mode,
        limits=limits,
    )
    seat = Seat(database, session)
    if balance:
        await seat.deposit(balance)
    return seat


async def assert_hold(
    connection: asyncpg.Connection, rules: Iterable[Invariant], *, overdue_after_s: float = 3600
) -> None:
    for rule in rules:
        found = await violations(connection, rule, overdue_after_s=overdue_after_s)
        assert found.count == 0, f"{rule.name}: {found.examples}"


async def waiting_for_a_lock(database: Database) -> int:
    """How many statements wait for a lock in this database; those of other databases are other tests'."""
    count: int = await database.pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    return count


def first_broken(links: Iterable[Link], *, length: int, head: bytes) -> int | None:
    """The position of the first link that does not hold, or None. `length` and `head` are what the player's
    row says."""
    walk = Walk()
    for link in links:
        walk.follow(link)
    walk.end(length=length, head=head)
    return None if walk.broken is None else walk.broken.position


async def record_rollbacks(pool: asyncpg.Pool, bet: Bet) -> None:
    """As the steps do once an operator's wallet has taken the rollback of each of the round's bets."""
    for name in ("round", *await operator_wallets.action_bets(pool, bet.key)):
        rollback = WalletRequest(
            call=WalletCall.ROLLBACK,
            operator_id=bet.key.operator_id,
            player_id=bet.player_id,
            session_id=bet.session_id,
            currency=bet.currency,
            transaction_id=f"rollback-{bet.key.round_id}-{name}",
        )
        taken = WalletAnswer(verdict=WalletVerdict.ACCEPTED)
        await operator_wallets.record_attempt(pool, bet.key, rollback, taken, took_us=1)


async def settled(seat: Seat, count: int = 1) -> list[str]:
    """Plays so many rounds, which lose. The ids of their events, the oldest first."""
    for _ in range(count):
        bet = seat.bet(stake=1)
        await seat.reserve(bet)
        await seat.settle(bet, win=0)
    rows = [row for row in await seat.events() if row["type"] == "round.settled"]
    return [str(row["event_id"]) for row in rows[-count:]]

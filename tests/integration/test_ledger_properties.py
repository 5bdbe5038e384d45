"""Any operations in any order, repeated and out of turn, by many players in several currencies, alone or two
at once on two connections: the ledger does what a model of a few lines does."""

import asyncio
import copy
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from storage.database import Database, open_database
from tests.conftest import Services
from tests.support.databases import migrated_database
from tests.support.ledger import Seat, take_seat
from verification.chains import examine as examine_chains
from verification.invariants.invariant import violations
from verification.invariants.table import INVARIANTS

PLAYERS: Final = ("ann", "bob", "cat")
CURRENCIES: Final = ("EUR", "JPY", "BTC")
STAKE: Final = 100
MONEY: Final = """
    SELECT p.player_id, a.currency, a.balance, a.held FROM players p JOIN accounts a ON a.player_key = p.id
    WHERE p.operator_id = $1
"""
# What only a broker and a consumer bring to its end.
NOT_OF_THE_LEDGER: Final = ("events-published", "events-applied", "statistics-are-rounds", "secrets-sealed")


@dataclass
class Model:
    """One player: what is available in each currency, the state of each round, and what each id moved. A
    round's and a movement's name begin with the currency."""

    free: Counter[str] = field(default_factory=Counter)
    rounds: dict[str, str] = field(default_factory=dict)
    moved: dict[str, tuple[str, str, int]] = field(default_factory=dict)

    def reserve(self, name: str, currency: str, _: int) -> str:
        if name not in self.rounds:
            held = "pending" not in self.rounds.values() and self.free[currency] >= STAKE
            self.rounds[name] = "pending" if held else "declined"
            self.free[currency] -= STAKE * held
        return self.rounds[name]

    def settle(self, name: str, currency: str, win: int) -> str:
        return self._close(name, currency, "settled", win) if name in self.rounds else "missing"

    def release(self, name: str, currency: str, _: int) -> str:
        return self._close(name, currency, "void", STAKE)

    def _close(self, name: str, currency: str, state: str, back: int) -> str:
        self.free[currency] += back * (self.rounds.get(name) == "pending")
        self.rounds[name] = state if self.rounds.get(name, "pending") == "pending" else self.rounds[name]
        return self.rounds[name]

    def deposit(self, name: str, currency: str, amount: int) -> str:
        return self._move(name, ("deposited", currency, amount), amount)

    def withdraw(self, name: str, currency: str, amount: int) -> str:
        return self._move(name, ("withdrawn", currency, amount), -amount)

    def _move(self, name: str, movement: tuple[str, str, int], change: int) -> str:
        if name in self.moved:
            return "replayed" if self.moved[name] == movement else "reused"
        if self.free[movement[1]] + change < 0:
            return "insufficient-funds"
        self.moved[name], self.free[movement[1]] = movement, self.free[movement[1]] + change
        return movement[0]

    def money(self, currency: str) -> tuple[int, int]:
        """The balance and what is held."""
        held = STAKE * sum(
            state == "pending" and name.startswith(currency) for name, state in self.rounds.items()
        )
        return self.free[currency] + held, held


@dataclass(frozen=True)
class Operation:
    kind: str
    player: str
    currency: str
    name: str
    amount: int

    def on(self, models: dict[str, Model]) -> str:
        answer: str = getattr(models[self.player], self.kind)(self.name, self.currency, self.amount)
        return answer

    async def at(self, seat: Seat) -> str:
        bet = seat.bet(self.name, stake=STAKE, request_id="same")
        match self.kind:
            case "reserve":
                return (await seat.reserve(bet)).state.value
            case "settle":
                try:
                    return (await seat.settle(bet, self.amount)).state.value
                except asyncpg.NoDataFoundError:
                    return "missing"
            case "release":
                return (await seat.release(bet)).state.value
            case "deposit":
                return (await seat.deposit(self.amount, self.name))[0]
            case _:
                return (await seat.withdraw(self.amount, self.name))[0]


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    """Few names and amounts, so that repeats and clashes are common. An id may move money in any currency and
    either way; a round belongs to its session, and so to one currency."""
    kind = draw(st.sampled_from(("reserve", "settle", "release", "deposit", "withdraw")))
    currency = draw(st.sampled_from(CURRENCIES))
    if kind in ("deposit", "withdraw"):
        name, amount = draw(st.sampled_from(("t0", "t1", "t2"))), draw(st.sampled_from((60, 150, 400)))
    else:
        name = f"{currency}-{draw(st.sampled_from(('r0', 'r1', 'r2')))}"
        amount = draw(st.sampled_from((0, 50, 700))) if kind == "settle" else 0
    return Operation(kind, draw(st.sampled_from(PLAYERS)), currency, name, amount)


class LedgerMachine(RuleBasedStateMachine):
    """The ledger beside a model of each player."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        super().__init__()
        self._run = runner.run
        self._database = database
        self._models = {player: Model() for player in PLAYERS}
        self._seats: dict[tuple[str, str], Seat] = {}
        self._operator_id = f"op-{uuid4().hex[:12]}"

    @initialize()
    def everyone_sits_down(self) -> None:
        self._run(self._sit_down())

    async def _sit_down(self) -> None:
        for player, currency in itertools.product(PLAYERS, CURRENCIES):
            self._seats[player, currency] = await take_seat(
                self._database, operator_id=self._operator_id, player_id=player, currency=currency
            )

    @rule(operation=operations())
    def alone(self, operation: Operation) -> None:
        answered = self._run(self._perform(operation))
        assert answered == [operation.on(self._models)]

    @rule(first=operations(), second=operations())
    def two_at_once(self, first: Operation, second: Operation) -> None:
        """Each pair is as if one had come after the other; which one was first is what the answers tell."""
        answered = self._run(self._perform(first, second))
        one, other = copy.deepcopy(self._models), copy.deepcopy(self._models)
        in_turn = [first.on(one), second.on(one)]
        in_reverse = [second.on(other), first.on(other)][::-1]
        fitting = [
            models
            for models, expected in ((one, in_turn), (other, in_reverse))
            if answered == expected and self._run(self._money()) == _money(models)
        ]
        assert fitting, (answered, in_turn, in_reverse)
        self._models = fitting[0]

    @invariant()
    def money_is_what_the_model_says(self) -> None:
        if self._seats:
            assert self._run(self._money()) == _money(self._models)

    async def _perform(self, *performed: Operation) -> list[str]:
        return await asyncio.gather(*(each.at(self._seats[each.player, each.currency]) for each in performed))

    async def _money(self) -> dict[tuple[str, str], tuple[int, int]]:
        rows = await self._database.pool.fetch(MONEY, self._operator_id)
        return {(row["player_id"], row["currency"]): (row["balance"], row["held"]) for row in rows}


def _money(models: dict[str, Model]) -> dict[tuple[str, str], tuple[int, int]]:
    pairs = itertools.product(PLAYERS, CURRENCIES)
    return {(player, currency): models[player].money(currency) for player, currency in pairs}


@pytest.fixture
async def ledger_url(services: Services) -> AsyncIterator[str]:
    """A database of its own, so that every invariant can be asked of all that the machine has done."""
    async with migrated_database(services) as url:
        yield url


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """A loop that the machine's rules, which are no coroutines, can run."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as made:
        yield made


def test_the_ledger_does_what_its_model_does(ledger_url: str, runner: asyncio.Runner, full: bool) -> None:
    database = runner.run(open_database(ledger_url, connections=2))

    class Machine(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(runner, database)

    size = settings(deadline=None, max_examples=300 if full else 30, stateful_step_count=40, print_blob=True)
    try:
        run_state_machine_as_test(Machine, settings=size)
        assert runner.run(_broken(database)) == {}
    finally:
        runner.run(database.close())


async def _broken(database: Database) -> dict[str, tuple[str, ...]]:
    """The invariants that do not hold, of those that the ledger alone keeps."""
    async with database.pool.acquire() as connection, connection.transaction():
        found = {
            each.name: await violations(connection, each, overdue_after_s=3_600)
            for each in INVARIANTS
            if each.name not in NOT_OF_THE_LEDGER
        }
        chains = await examine_chains(connection, None, lambda: None)
    broken = {name: violations.examples for name, violations in found.items() if violations.count}
    return broken if chains.holds else broken | {chains.name: chains.examples}

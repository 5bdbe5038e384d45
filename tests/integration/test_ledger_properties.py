"""Any operations in any order, repeated and out of turn: the ledger does what a model of a few lines does."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.database import Database
from tests.support.ledger import Seat, take_seat

ROUNDS = ("r0", "r1", "r2")
STAKE = 100


@dataclass
class Model:
    """One player at one game: what the ledger must say after each operation."""

    balance: int = 0
    held: int = 0
    events: int = 0
    states: dict[str, str] = field(default_factory=dict)
    deposits: dict[str, int] = field(default_factory=dict)

    def reserve(self, round_id: str) -> str:
        if round_id not in self.states:
            declined = "pending" in self.states.values() or self.balance - self.held < STAKE
            self.states[round_id] = "declined" if declined else "pending"
            self.held += 0 if declined else STAKE
        return self.states[round_id]

    def settle(self, round_id: str, win: int) -> str:
        if self.states[round_id] == "pending":
            self.states[round_id] = "settled"
            self.held, self.balance, self.events = 0, self.balance - STAKE + win, self.events + 1
        return self.states[round_id]

    def release(self, round_id: str) -> str:
        if self.states.get(round_id, "pending") == "pending":
            self.held -= STAKE if round_id in self.states else 0
            self.states[round_id] = "void"
            self.events += 1
        return self.states[round_id]

    def deposit(self, transaction_id: str, amount: int) -> str:
        if transaction_id in self.deposits:
            return "replayed" if self.deposits[transaction_id] == amount else "reused"
        self.deposits[transaction_id] = amount
        self.balance += amount
        return "deposited"


OPERATIONS = st.one_of(
    st.tuples(st.just("reserve"), st.sampled_from(ROUNDS), st.just(0)),
    st.tuples(st.just("settle"), st.sampled_from(ROUNDS), st.sampled_from((0, 50, 700))),
    st.tuples(st.just("release"), st.sampled_from(ROUNDS), st.just(0)),
    st.tuples(st.just("deposit"), st.sampled_from(("d0", "d1")), st.sampled_from((60, 150))),
)


async def _perform(seat: Seat, model: Model, operation: tuple[str, str, int]) -> tuple[str, str]:
    """What the ledger answered and what the model did."""
    kind, name, amount = operation
    bet = seat.bet(name, stake=STAKE, request_id="same")
    match kind:
        case "reserve":
            return (await seat.reserve(bet)).state.value, model.reserve(name)
        case "settle" if name in model.states:
            return (await seat.settle(bet, amount)).state.value, model.settle(name, amount)
        case "release":
            return (await seat.release(bet)).state.value, model.release(name)
        case "deposit":
            return (await seat.deposit(amount, name))[0], model.deposit(name, amount)
    return "", ""  # a settle of a round that never was; test_ledger has it


@pytest.mark.parametrize("first_deposit", [0, 250])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=st.lists(OPERATIONS, max_size=14))
async def test_the_ledger_does_what_its_model_does(
    database: Database, first_deposit: int, operations: list[tuple[str, str, int]]
) -> None:
    seat = await take_seat(database, balance=first_deposit)
    model = Model(balance=first_deposit)
    for operation in operations:
        answered, expected = await _perform(seat, model, operation)
        assert answered == expected, operation
        assert await seat.money() == (model.balance, model.held)
    await _assert_books_agree(database, seat, model)


async def _assert_books_agree(database: Database, seat: Seat, model: Model) -> None:
    postings = await database.pool.fetchval(
        "SELECT coalesce(sum(amount), 0) FROM postings WHERE account_id = $1", seat.session.account_id
    )
    assert postings == model.balance
    events = await seat.events()
    assert [event["sequence"] for event in events] == list(range(1, model.events + 1))

"""The wallet's book against a model: calls in any order, with repeats."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contracts.wallet import WalletRequest
from operator_wallet.book import Book
from operator_wallet.entries import Entry, Refused
from tests.unit.operator_wallet.requests import FUNDS, balance, bet, rollback, win


class Model:
    """What must come out, by the page alone."""

    def __init__(self) -> None:
        self.balance = FUNDS
        self.bets: dict[str, int] = {}
        self.ends: dict[str, tuple[str, int]] = {}

    def bet(self, name: str, amount: int) -> str:
        if self.ends.get(name, ("", 0))[0] == "rollback" and self.bets.get(name, amount) == amount:
            return "rolled-back"
        if name in self.bets:
            return "duplicate" if self.bets[name] == amount else "id-reused"
        if amount > self.balance:
            return "insufficient-funds"
        self.bets[name] = amount
        self.balance -= amount
        return "taken"

    def win(self, name: str, amount: int) -> str:
        match self.ends.get(name):
            case "rollback", _:
                return "rolled-back"
            case "win", first:
                return "duplicate" if first == amount else "id-reused"
        if name not in self.bets:
            return "unknown-transaction"
        self.ends[name] = ("win", amount)
        self.balance += amount
        return "taken"

    def rollback(self, name: str) -> str:
        if name in self.ends:
            return "duplicate" if self.ends[name][0] == "rollback" else "already-won"
        self.ends[name] = ("rollback", 0)
        self.balance += self.bets.get(name, 0)
        return "taken"


NAMES = st.sampled_from("abcd")
AMOUNTS = st.sampled_from([0, 1, 60, 4_000, FUNDS])


class AnyOrder(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.book = Book(":memory:")
        self.book.open_player("demo", "anna", "EUR", FUNDS)
        self.model = Model()

    def outcome(self, request: WalletRequest) -> str:
        try:
            return "duplicate" if self.book.take(request).duplicate else "taken"
        except Refused as refused:
            return f"{refused.code} with {refused.balance}"

    def expected(self, outcome: str) -> str:
        """A refusal tells the true balance."""
        return outcome if outcome in ("taken", "duplicate") else f"{outcome} with {self.model.balance}"

    @rule(name=NAMES, amount=AMOUNTS)
    def bet(self, name: str, amount: int) -> None:
        assert self.outcome(bet(name, amount)) == self.expected(self.model.bet(name, amount))

    @rule(name=NAMES, amount=AMOUNTS)
    def win(self, name: str, amount: int) -> None:
        assert self.outcome(win(f"win-{name}", amount, of=name)) == self.expected(
            self.model.win(name, amount)
        )

    @rule(name=NAMES)
    def rollback(self, name: str) -> None:
        assert self.outcome(rollback(f"rollback-{name}", of=name)) == self.expected(self.model.rollback(name))

    @invariant()
    def the_balance_is_the_sum_of_what_moved(self) -> None:
        entries: list[Entry] = self.book.statement(limit=1000)
        assert sum(entry.moved for entry in entries) == balance(self.book) == self.model.balance
        assert entries[-1].balance == self.model.balance

    def teardown(self) -> None:
        if hasattr(self, "book"):
            self.book.close()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

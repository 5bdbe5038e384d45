"""The wallet's book keeps every promise of docs/platform/wallet.md, whatever comes in whatever order."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contracts.wallet import WalletCall, WalletRefusal, WalletRequest
from operator_wallet.book import AMOUNT_LIMIT, Book, Entry, Policy, Refused, RepeatBalance, Taken

PROJECT_ROOT = Path(__file__).parents[3]
FUNDS = 10_000


def ask(call: WalletCall, **fields: Any) -> WalletRequest:
    known: dict[str, Any] = {
        "operator_id": "demo",
        "player_id": "anna",
        "session_id": "session-1",
        "currency": "EUR",
    }
    return WalletRequest(call=call, **{**known, **fields})


def bet(transaction_id: str = "b", amount: int = 100, **fields: Any) -> WalletRequest:
    given = {"transaction_id": transaction_id, "amount": amount, "round_id": "r", "game_id": "dice"}
    return ask(WalletCall.BET, **{**given, **fields})


def win(transaction_id: str = "w", amount: int = 250, of: str | None = "b", **fields: Any) -> WalletRequest:
    given = {"transaction_id": transaction_id, "amount": amount, "round_id": "r", "game_id": "dice"}
    return ask(WalletCall.WIN, **{**given, "bet_transaction_id": of, **fields})


def rollback(transaction_id: str = "x", of: str = "b", **fields: Any) -> WalletRequest:
    given = {"transaction_id": transaction_id, "round_id": "r", "game_id": "dice", "bet_transaction_id": of}
    return ask(WalletCall.ROLLBACK, **{**given, **fields})


@pytest.fixture
def book() -> Iterator[Book]:
    opened = Book(":memory:")
    opened.open_player("demo", "anna", "EUR", FUNDS)
    yield opened
    opened.close()


def balance(book: Book, player_id: str = "anna", operator_id: str = "demo") -> int:
    player = book.player(operator_id, player_id)
    assert player is not None
    return player.balance


def refusal(work: Callable[[], Any]) -> tuple[WalletRefusal, int | None]:
    with pytest.raises(Refused) as caught:
        work()
    return caught.value.code, caught.value.balance


# What moves, and what does not


def test_a_balance_call_changes_nothing(book: Book) -> None:
    before = book.statement()
    assert book.balance(ask(WalletCall.BALANCE)) == Taken(balance=FUNDS, currency="EUR")
    assert book.authenticate(ask(WalletCall.AUTHENTICATE)) == Taken(balance=FUNDS, currency="EUR")
    assert book.statement() == before


def test_a_bet_debits_and_its_win_credits(book: Book) -> None:
    assert book.take(bet(amount=100)).balance == FUNDS - 100
    assert book.take(win(amount=250)).balance == FUNDS + 150


@pytest.mark.parametrize("amount", [0, FUNDS])
def test_a_bet_of_nothing_and_one_of_everything(book: Book, amount: int) -> None:
    assert book.bet(bet(amount=amount)).balance == FUNDS - amount


def test_a_win_of_nothing_ends_the_bet(book: Book) -> None:
    book.bet(bet())
    assert book.win(win(amount=0)).balance == FUNDS - 100
    assert refusal(lambda: book.rollback(rollback())) == (WalletRefusal.ALREADY_WON, FUNDS - 100)


def test_a_win_by_promotion_needs_no_bet(book: Book) -> None:
    assert book.win(win("w1", 50, of=None)).balance == FUNDS + 50
    assert book.win(win("w2", 50, of=None)).balance == FUNDS + 100


def test_a_bet_above_the_balance_is_told_the_true_one(book: Book) -> None:
    assert refusal(lambda: book.bet(bet(amount=FUNDS + 1))) == (WalletRefusal.INSUFFICIENT_FUNDS, FUNDS)
    assert balance(book) == FUNDS


def test_a_declined_bet_leaves_its_id_free(book: Book) -> None:
    """Nothing was taken, so a rollback of it is one of a bet that never was."""
    refusal(lambda: book.bet(bet(amount=FUNDS + 1)))
    assert book.rollback(rollback()).balance == FUNDS
    assert refusal(lambda: book.bet(bet(amount=FUNDS + 1)))[0] == WalletRefusal.ROLLED_BACK


# Once


@pytest.mark.parametrize("policy", list(RepeatBalance))
def test_a_repeat_moves_nothing_and_says_so(policy: RepeatBalance) -> None:
    book = Book(":memory:", Policy(repeat_balance=policy))
    book.open_player("demo", "anna", "EUR", FUNDS)
    calls = [bet(), win(), bet("b2"), rollback("x2", of="b2")]
    first = [book.take(call) for call in calls]
    last = balance(book)
    # The repeat of a bet that was rolled back is refused; see below.
    for call, answer in zip(calls[:2] + calls[3:], first[:2] + first[3:], strict=True):
        repeat = book.take(call)
        assert repeat.duplicate
        assert repeat.wallet_transaction_id == answer.wallet_transaction_id
        assert repeat.balance == (answer.balance if policy is RepeatBalance.STORED else last)
    assert balance(book) == last
    book.close()


@pytest.mark.parametrize(
    "other",
    [
        bet(amount=101),
        bet(round_id="other"),
        bet(game_id="other"),
        bet(currency="USD"),
        win("b", 100, of=None),
        win("b", 100, of="b"),
        rollback("b", of="b"),
        rollback("b", of="other"),
    ],
    ids=["amount", "round", "game", "currency", "promotion", "win", "rollback-of-itself", "rollback"],
)
def test_an_id_stands_for_one_payload(book: Book, other: WalletRequest) -> None:
    book.bet(bet())
    assert refusal(lambda: book.take(other)) == (WalletRefusal.ID_REUSED, FUNDS - 100)
    assert balance(book) == FUNDS - 100


def test_a_session_renewed_makes_no_other_payload(book: Book) -> None:
    book.bet(bet())
    assert book.bet(bet(session_id="renewed")).duplicate


def test_players_and_operators_have_ids_of_their_own(book: Book) -> None:
    book.open_player("demo", "ben", "EUR", FUNDS)
    book.open_player("other", "anna", "EUR", FUNDS)
    assert not book.bet(bet()).duplicate
    assert not book.bet(bet(player_id="ben")).duplicate
    assert not book.bet(bet(operator_id="other")).duplicate
    assert (balance(book), balance(book, "ben"), balance(book, "anna", "other")) == (FUNDS - 100,) * 3


# Rollbacks


def test_a_rollback_restores_what_the_bet_took(book: Book) -> None:
    book.bet(bet(amount=70))
    assert book.rollback(rollback()) == Taken(balance=FUNDS, currency="EUR", wallet_transaction_id="3")


def test_an_amount_with_a_rollback_counts_for_nothing(book: Book) -> None:
    book.bet(bet(amount=70))
    assert book.rollback(rollback(amount=9_000)).balance == FUNDS
    assert book.rollback(rollback(amount=1)).duplicate


def test_a_second_rollback_pays_nothing(book: Book) -> None:
    book.bet(bet())
    book.rollback(rollback("x1"))
    assert book.rollback(rollback("x2")).duplicate
    assert balance(book) == FUNDS


def test_a_bet_after_its_rollback_does_not_debit(book: Book) -> None:
    assert book.rollback(rollback()) == Taken(balance=FUNDS, currency="EUR", wallet_transaction_id="2")
    assert refusal(lambda: book.bet(bet())) == (WalletRefusal.ROLLED_BACK, FUNDS)
    assert refusal(lambda: book.win(win())) == (WalletRefusal.ROLLED_BACK, FUNDS)
    assert balance(book) == FUNDS


def test_a_tombstone_waits_also_for_a_player_who_is_opened_later(book: Book) -> None:
    assert book.rollback(rollback(player_id="ben")).balance == 0
    book.open_player("demo", "ben", "EUR", FUNDS)
    assert refusal(lambda: book.bet(bet(player_id="ben"))) == (WalletRefusal.ROLLED_BACK, FUNDS)


def test_the_repeat_of_a_bet_that_was_rolled_back_is_refused(book: Book) -> None:
    """Saying yes again would let a round go on without a stake."""
    book.bet(bet())
    book.rollback(rollback())
    assert refusal(lambda: book.bet(bet())) == (WalletRefusal.ROLLED_BACK, FUNDS)


def test_another_players_bet_is_not_rolled_back(book: Book) -> None:
    book.open_player("demo", "ben", "EUR", FUNDS)
    book.bet(bet())
    assert refusal(lambda: book.rollback(rollback(player_id="ben"))) == (WalletRefusal.ID_REUSED, FUNDS)
    assert (balance(book), balance(book, "ben")) == (FUNDS - 100, FUNDS)
    assert book.win(win()).balance == FUNDS + 150


def test_a_bet_of_another_round_is_neither_won_nor_rolled_back(book: Book) -> None:
    book.bet(bet())
    assert refusal(lambda: book.rollback(rollback(round_id="other")))[0] == WalletRefusal.ID_REUSED
    assert refusal(lambda: book.win(win(round_id="other")))[0] == WalletRefusal.ID_REUSED
    assert balance(book) == FUNDS - 100


# One terminal


def test_after_a_rollback_no_win_and_after_a_win_no_rollback(book: Book) -> None:
    book.bet(bet("b1"))
    book.rollback(rollback("x1", of="b1"))
    assert refusal(lambda: book.win(win("w1", of="b1")))[0] == WalletRefusal.ROLLED_BACK
    book.bet(bet("b2"))
    book.win(win("w2", of="b2"))
    assert refusal(lambda: book.rollback(rollback("x2", of="b2")))[0] == WalletRefusal.ALREADY_WON
    assert refusal(lambda: book.win(win("w3", of="b2")))[0] == WalletRefusal.ALREADY_WON
    assert balance(book) == FUNDS + 150


def test_a_win_needs_the_bet_that_it_names(book: Book) -> None:
    assert refusal(lambda: book.win(win())) == (WalletRefusal.UNKNOWN_TRANSACTION, FUNDS)


# Who may play


def test_an_ended_session_takes_no_bet_but_what_is_owed(book: Book) -> None:
    book.bet(bet("b1"))
    book.bet(bet("b2"))
    book.end_session("demo", "session-1")
    book.end_session("demo", "session-1")
    assert refusal(lambda: book.bet(bet("b3"))) == (WalletRefusal.SESSION_EXPIRED, FUNDS - 200)
    assert (
        refusal(lambda: book.authenticate(ask(WalletCall.AUTHENTICATE)))[0] == WalletRefusal.SESSION_EXPIRED
    )
    assert book.bet(bet("b1")).duplicate
    assert book.win(win(of="b1")).balance == FUNDS + 50
    assert book.rollback(rollback(of="b2")).balance == FUNDS + 150


def test_a_blocked_player_bets_not_but_is_paid(book: Book) -> None:
    book.bet(bet())
    book.block_player("demo", "anna", blocked=True)
    assert refusal(lambda: book.bet(bet("b2"))) == (WalletRefusal.PLAYER_BLOCKED, FUNDS - 100)
    assert book.win(win()).balance == FUNDS + 150
    book.block_player("demo", "anna", blocked=False)
    assert book.bet(bet("b2")).balance == FUNDS + 50


@pytest.mark.parametrize(
    "call", [bet(currency="USD"), win(of=None, currency="USD"), rollback(currency="USD")]
)
def test_another_currency_is_refused(book: Book, call: WalletRequest) -> None:
    assert refusal(lambda: book.take(call)) == (WalletRefusal.CURRENCY_MISMATCH, FUNDS)


def test_a_stranger_is_refused_or_opened_as_the_policy_has_it(book: Book) -> None:
    assert refusal(lambda: book.bet(bet(player_id="ben"))) == (WalletRefusal.PLAYER_BLOCKED, None)
    assert book.player("demo", "ben") is None
    welcoming = Book(":memory:", Policy(new_players=500))
    assert welcoming.bet(bet()).balance == 400
    assert welcoming.player("demo", "ben") is None
    assert [entry.moved for entry in welcoming.statement()] == [500, -100]
    welcoming.close()


def test_an_account_is_opened_once(book: Book) -> None:
    with pytest.raises(ValueError, match="there already"):
        book.open_player("demo", "anna", "EUR", 5)
    assert balance(book) == FUNDS


def test_no_sum_leaves_the_integers(book: Book) -> None:
    assert refusal(lambda: book.win(win(amount=AMOUNT_LIMIT, of=None))) == (WalletRefusal.INVALID, FUNDS)
    assert book.win(win(amount=AMOUNT_LIMIT - FUNDS, of=None)).balance == AMOUNT_LIMIT
    assert refusal(lambda: book.win(win("w2", amount=1, of=None))) == (WalletRefusal.INVALID, AMOUNT_LIMIT)


# What the database keeps by itself


def test_the_database_lets_nobody_change_an_entry_or_go_below_zero(tmp_path: Path) -> None:
    book = Book(str(tmp_path / "book"))
    book.open_player("demo", "anna", "EUR", FUNDS)
    book.bet(bet())
    book.rollback(rollback())
    raw = sqlite3.connect(tmp_path / "book")
    terminal = "INSERT INTO entries SELECT 9, operator_id, player_id, 'w', 'win', round_id, game_id,"
    for forbidden in (
        "UPDATE entries SET moved = 5",
        "DELETE FROM entries",
        "UPDATE players SET balance = -1",
        "UPDATE players SET balance = 1.5",
        f"{terminal} bet_transaction_id, currency, 1, 1, 1, 1, 0 FROM entries WHERE call = 'rollback'",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute(forbidden)
    raw.close()
    book.close()


def test_a_book_opened_again_is_the_same_book(tmp_path: Path) -> None:
    first = Book(str(tmp_path / "book"))
    first.open_player("demo", "anna", "EUR", FUNDS)
    first.bet(bet())
    first.close()
    second = Book(str(tmp_path / "book"))
    assert second.bet(bet()).duplicate
    assert balance(second) == FUNDS - 100
    second.close()


# The statement


def test_a_statement_is_narrowed_and_read_on(book: Book) -> None:
    moment = iter(range(1000, 2000, 100))
    book = Book(":memory:", now_ms=lambda: next(moment))
    book.open_player("demo", "anna", "EUR", FUNDS)
    book.open_player("demo", "ben", "EUR", FUNDS)
    book.bet(bet())
    book.bet(bet(player_id="ben", round_id="other"))
    book.win(win())

    def found(**filters: Any) -> list[tuple[str, str, int]]:
        return [(entry.player_id, entry.call, entry.moved) for entry in book.statement(**filters)]

    assert found(round_id="r") == [("anna", "bet", -100), ("anna", "win", 250)]
    assert found(player_id="ben") == [("ben", "opening", FUNDS), ("ben", "bet", -100)]
    assert found(transaction_id="b", player_id="anna") == [("anna", "bet", -100)]
    assert found(from_ms=1200, to_ms=1400) == [("anna", "bet", -100), ("ben", "bet", -100)]
    assert found(operator_id="other") == []
    assert [entry.number for entry in book.statement(after=2, limit=2)] == [3, 4]
    book.close()


# Any order, with repeats, against a model


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


# Races over one file

RACERS = 20


def race(path: Path, calls: list[WalletRequest]) -> list[str]:
    """Each call on a connection of its own, all at once."""

    def run(call: WalletRequest) -> str:
        book = Book(str(path))
        try:
            return "duplicate" if book.take(call).duplicate else "taken"
        except Refused as refused:
            return refused.code.value
        finally:
            book.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return sorted(threads.map(run, calls))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    book = Book(str(tmp_path / "book"))
    book.open_player("demo", "anna", "EUR", FUNDS)
    book.close()
    return tmp_path / "book"


def result(file: Path) -> tuple[int, list[int]]:
    """The balance and what moved, without the opening."""
    book = Book(str(file))
    found = balance(book), [entry.moved for entry in book.statement()][1:]
    book.close()
    return found


def test_of_twenty_same_bets_one_takes_effect(file: Path) -> None:
    assert race(file, [bet()] * RACERS) == ["duplicate"] * (RACERS - 1) + ["taken"]
    assert result(file) == (FUNDS - 100, [-100])


def test_twenty_bets_never_overdraw(file: Path) -> None:
    calls = [bet(str(number), FUNDS // 10) for number in range(RACERS)]
    assert race(file, calls) == ["insufficient-funds"] * 10 + ["taken"] * 10
    assert result(file) == (0, [-FUNDS // 10] * 10)


def test_of_wins_and_rollbacks_of_one_bet_one_kind_ends_it(file: Path) -> None:
    race(file, [bet()])
    calls = [call for number in range(RACERS // 2) for call in (win(f"w{number}"), rollback(f"x{number}"))]
    outcomes = race(file, calls)
    assert outcomes.count("taken") == 1
    left, moved = result(file)
    assert left == FUNDS + 150 or left == FUNDS
    assert sum(amount != 0 for amount in moved) == 2


def test_a_bet_and_its_rollback_at_once_leave_the_balance(file: Path) -> None:
    race(file, [bet(), rollback()] * (RACERS // 2))
    assert result(file)[0] == FUNDS


PROCESS = """
import sys
from contracts.wallet import WalletCall, WalletRequest
from operator_wallet.book import Book

request = WalletRequest(
    call=WalletCall.BET, operator_id="demo", player_id="anna", session_id="s", currency="EUR",
    transaction_id="b", round_id="r", game_id="dice", amount=100,
)
sys.stdin.readline()
print(Book(sys.argv[1]).take(request).duplicate)
"""


def test_of_twenty_processes_one_takes_effect(file: Path) -> None:
    racers = [
        subprocess.Popen(
            (sys.executable, "-c", PROCESS, str(file)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT_ROOT,
        )
        for _ in range(RACERS)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = sorted(racer.communicate(timeout=60)[0].strip() for racer in racers)
    assert said == ["False"] + ["True"] * (RACERS - 1)
    assert result(file) == (FUNDS - 100, [-100])


def test_a_new_file_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    calls = [rollback(str(uuid4()), of=str(uuid4())) for _ in range(RACERS)]
    assert race(tmp_path / "new", calls) == ["taken"] * RACERS

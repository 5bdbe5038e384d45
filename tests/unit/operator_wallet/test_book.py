"""The wallet's book keeps every promise of docs/platform/wallet.md."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from contracts.wallet import WalletCall, WalletRefusal, WalletRequest
from operator_wallet.book import Book
from operator_wallet.entries import AMOUNT_LIMIT, Policy, RepeatBalance, Taken
from tests.unit.operator_wallet.requests import FUNDS, ask, balance, bet, refusal, rollback, win

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

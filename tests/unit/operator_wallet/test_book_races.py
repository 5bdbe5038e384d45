"""Races over one file of the wallet's book, of threads and of processes."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from contracts.wallet import WalletRequest
from operator_wallet.book import Book
from operator_wallet.entries import Refused
from runtime.settings import PROJECT_ROOT
from tests.unit.operator_wallet.requests import FUNDS, balance, bet, rollback, win

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

"""Requests to a wallet's book, and what its balance or its refusal is."""

from collections.abc import Callable
from typing import Any

import pytest

from contracts.wallet import WalletCall, WalletRefusal, WalletRequest
from operator_wallet.book import Book
from operator_wallet.entries import Refused

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


def balance(book: Book, player_id: str = "anna", operator_id: str = "demo") -> int:
    player = book.player(operator_id, player_id)
    assert player is not None
    return player.balance


def refusal(work: Callable[[], Any]) -> tuple[WalletRefusal, int | None]:
    with pytest.raises(Refused) as caught:
        work()
    return caught.value.code, caught.value.balance

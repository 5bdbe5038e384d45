"""Whose wallet a round belongs to: its operator's own where it has one, our ledger otherwise; and no wallet
ever hears of play money, which is our ledger's alone."""

from collections.abc import Coroutine, Mapping
from typing import Any

from contracts.actions import ActionVerdict, PlayerAction
from contracts.rounds import Bet, Resolution
from contracts.views import RoundView, Settlement
from wallet.interface import Wallet


class WalletRouter:
    """The Wallet of all operators. `at_operators` may change at any time; a round that began elsewhere than
    it would now is recognised by the ledger's functions, not here."""

    def __init__(self, ledger: Wallet, at_operators: Mapping[str, Wallet]) -> None:
        self._ledger = ledger
        self._at_operators = at_operators

    def reserve(self, bet: Bet, *, within_s: float | None = None) -> Coroutine[Any, Any, RoundView]:
        return self._of(bet).reserve(bet, within_s=within_s)

    def settle(
        self, bet: Bet, resolution: Resolution | None, *, within_s: float | None = None
    ) -> Coroutine[Any, Any, Settlement]:
        return self._of(bet).settle(bet, resolution, within_s=within_s)

    def open(self, bet: Bet, resolution: Resolution) -> Coroutine[Any, Any, RoundView]:
        return self._of(bet).open(bet, resolution)

    def act(
        self, bet: Bet, action: PlayerAction
    ) -> Coroutine[Any, Any, tuple[ActionVerdict, RoundView | None]]:
        return self._of(bet).act(bet, action)

    def release(self, bet: Bet, *, failure_code: str, failure_detail: str) -> Coroutine[Any, Any, RoundView]:
        return self._of(bet).release(bet, failure_code=failure_code, failure_detail=failure_detail)

    def _of(self, bet: Bet) -> Wallet:
        if bet.demo:
            return self._ledger
        return self._at_operators.get(bet.key.operator_id, self._ledger)

"""Picks a round's MoneySteps: its operator's own wallet where it has one, our ledger otherwise, and our
ledger alone for demo rounds."""

from collections.abc import Mapping

from contracts.rounds import Bet
from wallet.steps import MoneySteps


class MoneyRouter:
    """`at_operators` may change at any time. The ledger's functions, not this class, recognise a round that
    began at another wallet than it would now."""

    def __init__(self, ledger: MoneySteps, at_operators: Mapping[str, MoneySteps]) -> None:
        self._ledger = ledger
        self._at_operators = at_operators

    def of(self, bet: Bet) -> MoneySteps:
        if bet.demo:
            return self._ledger
        return self._at_operators.get(bet.key.operator_id, self._ledger)

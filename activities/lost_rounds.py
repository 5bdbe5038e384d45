"""Lost rounds at operators' wallets: played back where the wallet has paid, rolled back where it only took.

The ledger was restored and the wallet was not, so for these rounds the wallet's statement is what there is.
It is read before anything is sent: a wallet that has taken a round's win refuses every rollback of it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from activities.incidents import ReviewNotPossible
from activities.reconciliation import PATIENCE, Patience
from activities.statements import StatementChecks
from contracts.failures import ROUND_LOST, bounded
from contracts.reconciliation import Incident
from contracts.rounds import Bet, ReleaseRequest
from contracts.wallet import WalletCall
from storage import restores, rounds
from storage.restores import Lost
from wallet.operator import transaction_id
from wallet.statement import NoStatement, StatementItem
from wallet.steps import MoneyFailure, MoneySteps

WHY = "lost with a restore of the ledger"


class LostRounds:
    """`wallets` has the steps of each operator with a wallet of its own."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        wallets: Mapping[str, MoneySteps],
        statements: StatementChecks,
        patience: Patience = PATIENCE,
    ) -> None:
        self._pool, self._wallets, self._statements = pool, wallets, statements
        self._patience = patience

    async def review(self, incident: Incident) -> bool:
        """Returns whether the round has come to its end here. One at a wallet is brought there, once the
        wallet's statement must have all that was under way when the ledger was restored."""
        detail = incident.finding.detail
        bet = msgspec.convert(detail["bet"], Bet)
        view = await rounds.find(self._pool, bet.key)
        if detail["became"] != Lost.AT_WALLET or (view is not None and view.state.final):
            return True
        if datetime.now(UTC) - incident.opened_at < self._patience.recorded:
            return False
        try:
            items = await self._statements.of_round(bet.key.operator_id, bet.player_id, bet.key.round_id)
        except NoStatement:
            if detail["actions"]:
                raise _differs(bet, "it has no statement, and the round had actions") from None
            items = []
        return await self._settle(bet, _priced(detail["actions"], items), items)

    async def _settle(
        self, bet: Bet, actions: Sequence[dict[str, Any]], items: Sequence[StatementItem]
    ) -> bool:
        wins = [item for item in items if item.call == WalletCall.WIN]
        bet_id = transaction_id(bet.key, WalletCall.BET)
        if not wins:
            return await self._roll_back(bet, bet_id, actions)
        _check(bet, bet_id, actions, items, wins)
        played = await restores.play_back(
            self._pool, bet, bet_id, why=WHY, win=wins[0].moved, actions=actions
        )
        return played is not None and played.state.final

    async def _roll_back(self, bet: Bet, bet_id: str, actions: Sequence[dict[str, Any]]) -> bool:
        if not await restores.begin_release(self._pool, bet, bet_id, why=WHY, actions=actions):
            return False
        request = ReleaseRequest(bet=bet, failure_code=ROUND_LOST, failure_detail=WHY)
        try:
            return (await self._wallets[bet.key.operator_id].release(request)).state.final
        except (KeyError, MoneyFailure) as problem:
            raise _differs(bet, str(problem)) from None


def _priced(actions: Sequence[dict[str, Any]], items: Sequence[StatementItem]) -> list[dict[str, Any]]:
    """The actions with what the wallet took for each."""
    took = {item.transaction_id: -item.moved for item in items if item.call == WalletCall.BET}
    return [{**action, "debit": took.get(action["transaction_id"], 0)} for action in actions]


def _check(
    bet: Bet,
    bet_id: str,
    actions: Sequence[dict[str, Any]],
    items: Sequence[StatementItem],
    wins: Sequence[StatementItem],
) -> None:
    """Raises ReviewNotPossible where the wallet's entries are not this bet's, its actions' and one win's."""
    ours = {bet_id: bet.stake, **{action["transaction_id"]: action["debit"] for action in actions}}
    bets = {item.transaction_id: -item.moved for item in items if item.call == WalletCall.BET}
    rolled_back = any(item.call == WalletCall.ROLLBACK and item.moved for item in items)
    if len(wins) != 1 or rolled_back or any(item.currency != bet.currency for item in items):
        raise _differs(bet, "its entries are not one win and no rollback in the round's currency")
    if wins[0].transaction_id != transaction_id(bet.key, WalletCall.WIN) or wins[0].moved < 0:
        raise _differs(bet, "its win is not the round's")
    if bet_id not in bets or any(ours.get(one) != moved for one, moved in bets.items()):
        raise _differs(bet, "its bets are not those of the round")


def _differs(bet: Bet, why: str) -> ReviewNotPossible:
    return ReviewNotPossible(bounded(f"round {bet.key.workflow_id} at the wallet: {why}"))

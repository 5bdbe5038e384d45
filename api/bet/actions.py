"""Putting a player's action to its round: to the round's workflow, which asks the ledger."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from weakref import WeakValueDictionary

from api.result.service import ResultService
from contracts.actions import ActionVerdict, PlayerAction
from contracts.rounds import RoundKey
from contracts.sessions import SessionClaims
from contracts.views import RoundView
from runtime.round_workflows import RoundWorkflows, WorkflowLost


class OtherGame(Exception):
    """The round is of another game or currency than the session that acts: it may look, no more."""


@dataclass(frozen=True, slots=True)
class ActionAnswer:
    """`view` is the round as it stands after the action, None when there is none."""

    verdict: ActionVerdict
    view: RoundView | None


class ActionService:
    """Takes actions, those of one round one after another. What the ledger has says at once what a repeat is,
    so that only new actions reach the round's workflow, which takes few at once; a workflow that is lost is
    started again with the action, and finds the round as it is stored."""

    def __init__(self, workflows: RoundWorkflows, results: ResultService, *, patience_s: float) -> None:
        self._workflows = workflows
        self._results = results
        self._patience = timedelta(seconds=patience_s)
        self._turns: WeakValueDictionary[RoundKey, asyncio.Lock] = WeakValueDictionary()

    async def take(self, claims: SessionClaims, round_id: str, action: PlayerAction) -> ActionAnswer:
        """Raises OtherGame, and OutcomeUncertain when it was not certain in time whether the action was
        taken: it may be taken yet, and a repeat answers."""
        key = claims.round_key(round_id)
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            return await self._take(key, claims, action)

    async def _take(self, key: RoundKey, claims: SessionClaims, action: PlayerAction) -> ActionAnswer:
        view = await self._results.find(key)
        if view is not None and (view.game_id, view.currency) != (claims.game_id, claims.currency):
            raise OtherGame
        if (known := _known(view, action)) is not None:
            return ActionAnswer(known, view)
        assert view is not None
        if view.state.final:
            return ActionAnswer(ActionVerdict.ROUND_CLOSED, view)
        verdict = await self._put_to_workflow(view, action)
        view = await self._results.find(key)
        if not verdict.counts and (known := _known(view, action)) is not None:
            verdict = known  # the same action came to another process, which was faster
        return ActionAnswer(verdict, view)

    async def _put_to_workflow(self, view: RoundView, action: PlayerAction) -> ActionVerdict:
        try:
            return await self._workflows.act(view.bet, action, within=self._patience)
        except WorkflowLost:
            stands = await self._results.find(view.key)
            if stands is not None and stands.state.final:
                return ActionVerdict.ROUND_CLOSED
            return await self._workflows.restart_with_action(view.bet, action, within=self._patience)


def _known(view: RoundView | None, action: PlayerAction) -> ActionVerdict | None:
    """What the ledger says to it already, None when the action is new to it."""
    if view is None:
        return ActionVerdict.NOT_FOUND
    for taken in view.taken or ():
        if taken["action_id"] == action.action_id:
            same = (taken["action"], taken["params"]) == (action.chosen.action, action.chosen.params)
            return ActionVerdict.REPLAYED if same else ActionVerdict.ID_REUSED
    return None

"""Putting a player's action to its round: to the round's workflow, which asks the ledger."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from weakref import WeakValueDictionary

from api.result.service import ResultService
from contracts.actions import ActionVerdict, PlayerAction
from contracts.rounds import RoundKey
from contracts.views import RoundView
from games.protocol import Game
from games.registry import Registry, UnknownGame
from hosting.games import admitted
from runtime.round_workflows import GameFailed, OutcomeUncertain, RoundWorkflows, TemporalAway, WorkflowLost


class GameMissing(Exception):
    """The version of a game that the round began on is not among the games here. The text names it."""


@dataclass(frozen=True, slots=True)
class ActionAnswer:
    """`view` is the round as it stands after the action, None when there is none."""

    verdict: ActionVerdict
    view: RoundView | None


class ActionService:
    """Takes actions, those of one round one after another. What the ledger has says at once what a repeat is,
    so that only new actions reach the round's workflow, which takes few at once; a workflow that is lost is
    started again with the action, and finds the round as it is stored."""

    def __init__(
        self, workflows: RoundWorkflows, results: ResultService, games: Registry, *, patience_s: float
    ) -> None:
        self._workflows = workflows
        self._results = results
        self._games = games
        self._patience = timedelta(seconds=patience_s)
        self._turns: WeakValueDictionary[RoundKey, asyncio.Lock] = WeakValueDictionary()

    async def take(self, key: RoundKey, action: PlayerAction) -> ActionAnswer:
        """Raises OutcomeUncertain when it was not certain in time whether the action was taken: it may be
        taken yet, and a repeat answers. Raises GameMissing, GameOutOfOrder and GameBusy for an action that
        could not be played, and was not taken."""
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            return await self._take(key, action)

    async def _take(self, key: RoundKey, action: PlayerAction) -> ActionAnswer:
        view = await self._results.find(key)
        if (known := _known(view, action)) is not None:
            return ActionAnswer(known, view)
        assert view is not None
        if view.state.final:
            return ActionAnswer(ActionVerdict.ROUND_CLOSED, view)
        with admitted(self._game(view)):
            try:
                verdict = await self._put_to_workflow(view, action)
            except GameFailed:
                verdict = await self._released(view)
        view = await self._results.find(key)
        if not verdict.counts and (known := _known(view, action)) is not None:
            verdict = known  # the same action came to another process, which was faster
        return ActionAnswer(verdict, view)

    async def _released(self, view: RoundView) -> ActionVerdict:
        """The verdict on an action that the game failed at: it was taken, and the round is void."""
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                await self._workflows.result(view.key.workflow_id)
        except (TimeoutError, TemporalAway):
            raise OutcomeUncertain("the round is being released") from None
        return ActionVerdict.TAKEN

    def _game(self, view: RoundView) -> Game:
        try:
            return self._games.get(view.game_id, view.game_version)
        except UnknownGame:
            raise GameMissing(f"{view.game_id} {view.game_version}") from None

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

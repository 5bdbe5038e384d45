"""Putting a player's action to its round: to the round's workflow, which asks the ledger."""

import asyncio
from asyncio import FIRST_COMPLETED
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from weakref import WeakValueDictionary

from api.bet.elsewhere import CHECK_EVERY_S
from api.bet.result_waiter import ResultWaiter
from api.bet.service import IN_PROCESS_PATIENCE_S
from api.result.service import ResultService
from contracts.actions import ActionVerdict, PlayerAction
from contracts.rounds import RoundKey, RoundState
from contracts.sessions import SessionClaims
from contracts.views import RoundView
from games.protocol import Game
from games.registry import Registry, UnknownGame
from hosting.games import admitted
from runtime.round_workflows import GameFailed, OutcomeUncertain, RoundWorkflows, TemporalAway, WorkflowLost


class GameMissing(Exception):
    """The version of a game that the round began on is not among the games here. The text names it."""


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
    started again with the action, and finds the round as it is stored.

    The workflow answers an action when what follows from it is done, which an operator's wallet may hold up
    without end. So where its answer is late, the ledger's is taken: an action on record counts."""

    def __init__(
        self,
        workflows: RoundWorkflows,
        results: ResultService,
        waiter: ResultWaiter,
        games: Registry,
        *,
        patience_s: float,
    ) -> None:
        self._workflows = workflows
        self._results = results
        self._waiter = waiter
        self._games = games
        self._patience = timedelta(seconds=patience_s)
        self._turns: WeakValueDictionary[RoundKey, asyncio.Lock] = WeakValueDictionary()

    async def take(self, claims: SessionClaims, round_id: str, action: PlayerAction) -> ActionAnswer:
        """Raises OtherGame; TemporalAway; OutcomeUncertain when it was not certain in time whether the action
        was taken: it may be taken yet, and a repeat answers; and GameMissing, GameOutOfOrder and GameBusy for
        an action that could not be played, and was not taken."""
        key = claims.round_key(round_id)
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            return await self._take(key, claims, action)

    async def _take(self, key: RoundKey, claims: SessionClaims, action: PlayerAction) -> ActionAnswer:
        view = await self._results.look_up(key)
        if view is not None and (view.game_id, view.currency) != (claims.game_id, claims.currency):
            raise OtherGame
        if (known := _known(view, action)) is not None:
            return ActionAnswer(known, view)
        assert view is not None
        if view.state.final:
            return ActionAnswer(ActionVerdict.ROUND_CLOSED, view)
        if view.state is RoundState.SETTLING or view.begun_only:
            # Its result is on record, and it never waits for its player again; or it has made no offer yet.
            return ActionAnswer(ActionVerdict.WRONG_STATE, view)
        with admitted(self._game(view)):
            try:
                verdict = await self._verdict(view, action)
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

    async def _verdict(self, view: RoundView, action: PlayerAction) -> ActionVerdict:
        with self._waiter.expect(view.key) as delivered:
            put = asyncio.create_task(self._put_to_workflow(view, action))
            try:
                return await self._first_answer(put, delivered, view.key, action)
            finally:
                put.cancel()
                await asyncio.gather(put, return_exceptions=True)

    async def _first_answer(
        self,
        put: "asyncio.Task[ActionVerdict]",
        delivered: asyncio.Future[RoundView | None],
        key: RoundKey,
        action: PlayerAction,
    ) -> ActionVerdict:
        """The workflow's verdict, or TAKEN when the ledger says earlier that the action has led to a result,
        which its wallet has yet to take."""
        either: set[asyncio.Future[Any]] = {put, delivered}
        await asyncio.wait(either, timeout=IN_PROCESS_PATIENCE_S, return_when=FIRST_COMPLETED)
        view = delivered.result() if delivered.done() else None
        if view is not None and view.state is not RoundState.SETTLING:
            await asyncio.wait({put}, timeout=IN_PROCESS_PATIENCE_S)
        while not put.done():
            view = await self._results.find(key)
            if view is not None and view.state is RoundState.SETTLING and _on_record(view, action):
                return ActionVerdict.TAKEN
            await asyncio.wait({put}, timeout=CHECK_EVERY_S)
        try:
            return put.result()
        except OutcomeUncertain:
            if not _on_record(await self._results.find(key), action):
                raise
            return ActionVerdict.TAKEN

    async def _put_to_workflow(self, view: RoundView, action: PlayerAction) -> ActionVerdict:
        try:
            return await self._workflows.act(view.bet, action, within=self._patience)
        except WorkflowLost:
            stands = await self._results.find(view.key)
            if stands is not None and stands.state.final:
                return ActionVerdict.ROUND_CLOSED
            return await self._workflows.restart_with_action(view.bet, action, within=self._patience)


def _on_record(view: RoundView | None, action: PlayerAction) -> bool:
    known = _known(view, action)
    return known is not None and known.counts


def _known(view: RoundView | None, action: PlayerAction) -> ActionVerdict | None:
    """What the ledger says to it already, None when the action is new to it."""
    if view is None:
        return ActionVerdict.NOT_FOUND
    for taken in view.taken or ():
        if taken["action_id"] == action.action_id:
            same = (taken["action"], taken["params"]) == (action.chosen.action, action.chosen.params)
            return ActionVerdict.REPLAYED if same else ActionVerdict.ID_REUSED
    return None

"""Putting a player's action to its round: to the round's workflow, which asks the ledger."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from weakref import WeakValueDictionary

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from contracts.actions import ActionVerdict, ActResult, PlayerAction
from contracts.failures import ACTION_REFUSED
from contracts.rounds import RoundClosed, RoundKey
from contracts.steps import ACT_UPDATE, ROUND_TASK_TIMEOUT, ROUND_WORKFLOW
from contracts.views import RoundView
from runtime.services import Rounds


class ActionUncertain(Exception):
    """Nobody said in time whether the action was taken: it may be yet, and the same one again tells."""


@dataclass(frozen=True, slots=True)
class ActionAnswer:
    """`view` is the round as it stands after the action, None when there is none."""

    verdict: ActionVerdict
    view: RoundView | None


class ActionDesk:
    """Takes actions, those of one round one after another. What the ledger has says at once what a repeat is,
    so that only new actions reach the round's workflow, which takes few at once; a workflow that is lost is
    begun anew with the action, and finds the round as it is stored."""

    def __init__(self, client: Client, rounds: Rounds, *, task_queue: str, patience_s: float) -> None:
        self._client = client
        self._rounds = rounds
        self._task_queue = task_queue
        self._patience = timedelta(seconds=patience_s)
        self._turns: WeakValueDictionary[RoundKey, asyncio.Lock] = WeakValueDictionary()

    async def take(self, key: RoundKey, action: PlayerAction) -> ActionAnswer:
        """Raises ActionUncertain."""
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            return await self._take(key, action)

    async def _take(self, key: RoundKey, action: PlayerAction) -> ActionAnswer:
        view = await self._rounds.find(key)
        if (known := _known(view, action)) is not None:
            return ActionAnswer(known, view)
        assert view is not None
        if view.state.final:
            return ActionAnswer(ActionVerdict.ROUND_CLOSED, view)
        verdict = await self._put_to_workflow(view, action)
        view = await self._rounds.find(key)
        if not verdict.counts and (known := _known(view, action)) is not None:
            verdict = known  # the same action came to another process, which was faster
        return ActionAnswer(verdict, view)

    async def _put_to_workflow(self, view: RoundView, action: PlayerAction) -> ActionVerdict:
        try:
            try:
                return (await self._update(view, action)).verdict
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
            # It has just ended, or Temporal has lost it.
            stands = await self._rounds.find(view.key)
            if stands is not None and stands.state.final:
                return ActionVerdict.ROUND_CLOSED
            return (await self._begin_anew(view, action)).verdict
        except WorkflowUpdateFailedError as failed:
            if isinstance(failed.cause, ApplicationError) and failed.cause.type == ACTION_REFUSED:
                return ActionVerdict(failed.cause.message)
            raise ActionUncertain from failed
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            raise ActionUncertain from error

    async def _update(self, view: RoundView, action: PlayerAction) -> ActResult:
        handle: WorkflowHandle[object, RoundClosed] = self._client.get_workflow_handle(view.key.workflow_id)
        acted: ActResult = await handle.execute_update(
            ACT_UPDATE,
            action,
            id=_update_id(action),
            result_type=ActResult,
            rpc_timeout=self._patience,
        )
        return acted

    async def _begin_anew(self, view: RoundView, action: PlayerAction) -> ActResult:
        start: WithStartWorkflowOperation[object, RoundClosed] = WithStartWorkflowOperation(
            ROUND_WORKFLOW,
            view.bet,
            id=view.key.workflow_id,
            task_queue=self._task_queue,
            result_type=RoundClosed,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            task_timeout=ROUND_TASK_TIMEOUT,
        )
        acted: ActResult = await self._client.execute_update_with_start_workflow(
            ACT_UPDATE,
            action,
            start_workflow_operation=start,
            id=_update_id(action),
            result_type=ActResult,
            rpc_timeout=self._patience,
        )
        return acted


def _known(view: RoundView | None, action: PlayerAction) -> ActionVerdict | None:
    """What the ledger says to it already, None when the action is new to it."""
    if view is None:
        return ActionVerdict.NOT_FOUND
    for taken in view.taken or ():
        if taken["action_id"] == action.action_id:
            same = (taken["action"], taken["params"]) == (action.chosen.action, action.chosen.params)
            return ActionVerdict.REPLAYED if same else ActionVerdict.ID_REUSED
    return None


def _update_id(action: PlayerAction) -> str:
    """Of this request alone: Temporal would answer a repeat with the first refusal, though the player may
    have the money by then. Repeats are the ledger's to know."""
    return f"{action.action_id}:{action.request_id}"

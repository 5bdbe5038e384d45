"""What tests of rounds with choices share: an offer to collect or to double, and a player who acts."""

import asyncio

from contracts.actions import ActResult, PlayerAction
from contracts.choices import Abandonment, Choice, Chosen, Offer
from contracts.steps import ACT_UPDATE
from tests.support.conditions import until
from tests.workflow.stage import PATIENCE_S, STAKE, Handle, Stage

COLLECT, DOUBLE = Chosen(action="collect"), Chosen(action="double")
DAY_S = 86_400


def offer(policy: Abandonment = Abandonment.COLLECT, *, within_s: int = DAY_S) -> Offer:
    return Offer(
        choices=[Choice(action="collect"), Choice(action="double", debit=STAKE)],
        default=COLLECT,
        decide_within_s=within_s,
        abandonment=policy,
    )


def action(chosen: Chosen, action_id: str = "a1", request_id: str = "request-2") -> PlayerAction:
    return PlayerAction(action_id=action_id, chosen=chosen, request_id=request_id)


async def act(handle: Handle, taken: PlayerAction) -> ActResult:
    async with asyncio.timeout(PATIENCE_S):
        acted: ActResult = await handle.execute_update(ACT_UPDATE, taken, result_type=ActResult)
    return acted


async def waits(stage: Stage, handle: Handle) -> None:
    """Until the ledger has the offer on record."""

    async def opened() -> bool:
        return "open" in stage.world.effects

    await until(opened, within_s=PATIENCE_S)


async def accepted(handle: Handle) -> None:
    """Until the workflow has taken an action in hand."""
    async with asyncio.timeout(PATIENCE_S):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.HasField("workflow_execution_update_accepted_event_attributes"):
                return

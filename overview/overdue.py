"""Overdue rounds and bets in words: why each does not go on, what it waits for, and what may be decided."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from contracts.failures import one_line
from contracts.interventions import allowed
from contracts.rounds import RoundKey, RoundState
from contracts.wallet import WalletVerdict
from overview.model import Kind, Stuck
from storage.stuck import OverdueRound
from timeline.pending import pending
from timeline.wording import minute, money

# Each is a call of Temporal; what is beyond has the database's word alone.
DESCRIBED: Final = 50
AT_ONCE: Final = 10
DESCRIBE_LIMIT: Final = timedelta(seconds=5)
NOT_ASKED: Final = "Temporal was not asked"


def stuck(found: OverdueRound) -> Stuck:
    """As the database knows it."""
    key = found.key
    return Stuck(
        kind=Kind.BET if found.state is None else Kind.ROUND,
        subject=key.workflow_id,
        operator_id=key.operator_id,
        player_id=found.player_id,
        round_id=key.round_id,
        game_id=found.game_id,
        since=found.since,
        why=one_line(f"{_why(found)}{_called(found)}."),
        waits_for=f"{NOT_ASKED}.",
        actions=allowed(found.state, at_wallet=found.at_wallet, releasing=found.releasing),
        next=shown_by(key, found.player_id),
    )


def shown_by(key: RoundKey, player_id: str) -> str:
    """The command that tells all about the round."""
    return one_line(f"./croupier round show {key.round_id} --operator {key.operator_id} --player {player_id}")


def begun_only(key: RoundKey) -> Stuck:
    """A bet that only its workflow knows."""
    return Stuck(
        kind=Kind.WORKFLOW,
        subject=key.workflow_id,
        operator_id=key.operator_id,
        round_id=key.round_id,
        why="Its workflow runs, and nothing is held for the bet: reserve has not come to an answer.",
        waits_for=f"{NOT_ASKED}.",
        next=one_line(f"./croupier round show {key.round_id} --operator {key.operator_id}"),
    )


async def described(client: Client, found: Sequence[Stuck]) -> list[Stuck]:
    """The same with what their workflows wait for, of the first DESCRIBED. Raises RPCError when Temporal does
    not answer."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def describe(one: Stuck) -> Stuck:
        async with slots:
            return replace(one, waits_for=await _waits_for(client, one.subject))

    return [*await asyncio.gather(*map(describe, found[:DESCRIBED])), *found[DESCRIBED:]]


async def _waits_for(client: Client, workflow_id: str) -> str:
    try:
        description = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=DESCRIBE_LIMIT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return "Temporal has no workflow of it: reconciliation restarts it within two minutes."
        raise
    return await _in_words(client, description)


async def _in_words(client: Client, description: WorkflowExecutionDescription) -> str:
    status = description.status
    if status is not WorkflowExecutionStatus.RUNNING:
        name = "gone" if status is None else status.name.lower().replace("_", " ")
        return f"Its workflow is {name}: reconciliation restarts it within two minutes."
    waiting = [line async for line in pending(description, client.data_converter)]
    return one_line("; ".join(waiting) or "its workflow waits for its timer, or for its player") + "."


def _why(found: OverdueRound) -> str:
    held = money(found.amount, found.currency)
    if found.releasing:
        return f"It is on its way to void, and the wallet has not taken the rollback of {held}"
    match found.state:
        case None:
            return f"The wallet has not answered for the stake of {held}"
        case RoundState.SETTLING:
            return f"Its result is on record, and the wallet has not taken the win; {held} were staked"
        case RoundState.AWAITING_CHOICE if found.decide_by is not None and found.decide_by <= found.since:
            return (
                f"Its player had until {minute(found.decide_by)} to decide, and the round has not gone on;"
                f" {held} are held"
            )
        case RoundState.AWAITING_CHOICE:
            return f"The wallet has not answered for what an action costs; {held} are held"
    return f"{held} are held, and the round has no result on record"


def _called(found: OverdueRound) -> str:
    """The last call of the wallet, where one was made."""
    if found.call is None or found.attempted_at is None:
        return ""
    said = found.verdict if found.verdict == WalletVerdict.ACCEPTED else f"{found.verdict}: {found.code}"
    times = f"asked {found.attempts} times, last for" if found.attempts > 1 else "asked once, for"
    return f"; {times} the {found.call} at {minute(found.attempted_at)} ({said})"

"""What a round costs, where it can be counted: history events, state transitions, memory."""

from typing import Any
from uuid import uuid4

import httpx
import psutil
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from contracts.rounds import RoundKey
from storage.database import Database
from tests.conftest import Services
from tests.support.clients import answered, playing, seat_players
from tests.support.conditions import until

MEMORY_LIMIT_BYTES = 250 * 1024 * 1024
# The allocator's own unsteadiness; a round that left 1 KiB behind would show as 10 MiB after 10,000.
GROWTH_LIMIT_BYTES = 15 * 1024 * 1024


async def test_a_settled_round_costs_two_transitions_and_nine_events(
    platform: dict[str, Any], database: Database, temporal: Client
) -> None:
    (player,) = await seat_players(platform, 1)
    round_id = uuid4().hex
    async with httpx.AsyncClient() as client:
        await player.bet(client, round_id)
    row = await database.pool.fetchrow(
        "SELECT operator_id, player_key FROM rounds WHERE round_id = $1", round_id
    )
    key = RoundKey(operator_id=row["operator_id"], player_key=row["player_key"], round_id=round_id)
    handle: WorkflowHandle[Any, Any] = temporal.get_workflow_handle(key.workflow_id)

    async def completed() -> bool:
        return (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED

    await until(completed)
    description = await handle.describe()
    assert description.history_length == 9
    assert description.raw_description.workflow_execution_info.state_transition_count == 2


async def test_the_ingress_stays_within_its_memory(
    platform: dict[str, Any], services: Services, full: bool
) -> None:
    """10,000 rounds in the full run; the short one looks for the same growth at a smaller size."""
    warm_up, measured = (2_000, 8_000) if full else (300, 900)
    ingress = psutil.Process(services.stack.pid("ingress"))
    players = await seat_players(platform, 8)
    async with playing(players):
        await until(lambda: answered(players, warm_up), within_s=600)
        before = ingress.memory_info().rss
        await until(lambda: answered(players, warm_up + measured), within_s=1_200)
        after = ingress.memory_info().rss
    assert after < MEMORY_LIMIT_BYTES
    assert after - before < GROWTH_LIMIT_BYTES

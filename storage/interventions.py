"""Manual interventions: the rounds that they are about, and the ledger's verdict."""

# ruff: noqa: S608 - the statement is put together from numbered arguments

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from contracts.interventions import InterveneRequest, InterventionResult, InterventionVerdict, Subject
from contracts.rounds import RoundState
from storage import pending, timeline
from storage.bets import bet_arguments, bet_parameter

INTERVENE: Final = f"""
    SELECT (standing).state, verdict, being_released
    FROM intervene_round_v1({bet_parameter(5)}, $1, $2, $3, $4)
"""


async def find(
    pool: asyncpg.Pool, round_id: str, *, operator_id: str | None, player_id: str | None, limit: int
) -> Sequence[Subject]:
    """At most `limit` rounds of this id; of every operator and player that is not named."""
    views = await timeline.find(pool, round_id, operator_id=operator_id, player_id=player_id, limit=limit)
    begun = await pending.of_id(pool, round_id, operator_id=operator_id, player_id=player_id, limit=limit)
    found = [Subject(bet=view.bet, view=view) for view in views]
    found += [Subject(bet=view.bet, view=None) for view in begun]
    return found[:limit]


async def intervene(pool: asyncpg.Pool, request: InterveneRequest) -> InterventionResult:
    """Decides and records, in one transaction. A repeat of the same intervention answers as the first one
    did. Raises asyncpg.UniqueViolationError for the id of another intervention."""
    decision = request.intervention
    row = await pool.fetchrow(
        INTERVENE,
        UUID(decision.intervention_id),
        decision.action.value,
        decision.reason,
        decision.actor,
        *bet_arguments(request.bet),
    )
    return InterventionResult(
        verdict=InterventionVerdict(row["verdict"]),
        state=None if row["state"] is None else RoundState(row["state"]),
        releasing=row["being_released"],
    )

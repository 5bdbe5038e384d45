"""Manual interventions: the rounds that they are about, and the ledger's verdict."""

# ruff: noqa: S608 - the statement is put together from numbered arguments

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
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


# Few are made: people make them. Of the same moment, in the order of their ids.
LISTED: Final = """
    SELECT i.id::text AS intervention_id, i.round_id, p.player_id, p.demo, i.action, i.reason, i.actor,
           i.state_before, i.verdict, i.created_at
    FROM interventions i JOIN players p ON p.id = i.player_key
    WHERE i.operator_id = $1 AND ($2::text IS NULL OR i.actor = $2)
      AND ($3::uuid IS NULL OR (i.created_at, i.id) < (
          (SELECT c.created_at FROM interventions c WHERE c.id = $3 AND c.operator_id = $1), $3))
    ORDER BY i.created_at DESC, i.id DESC LIMIT $4
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One manual intervention, as the audit log shows it. `state_before` is None where the round had no row
    yet."""

    intervention_id: str
    round_id: str
    player_id: str
    demo: bool
    action: str
    reason: str
    actor: str
    state_before: str | None
    verdict: str
    created_at: datetime


async def listed(
    pool: asyncpg.Pool, *, operator_id: str, actor: str | None, before: UUID | None, limit: int
) -> list[Decision]:
    """The operator's, accepted and refused, newest first: those of before `before`, where that is given."""
    rows = await pool.fetch(LISTED, operator_id, actor, before, limit)
    return [Decision(**dict(row)) for row in rows]


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

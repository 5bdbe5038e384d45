"""Everything that the database has of one round, for whoever has to explain it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from contracts.interventions import Action, InterventionVerdict
from contracts.records import AttemptFact, EventFact, InterventionFact, RoundRecord, TransferFact
from contracts.rounds import RoundKey
from contracts.views import RoundView
from contracts.wallet import WalletCall, WalletVerdict
from storage.rounds import SHOWN as ROUND
from storage.rounds import round_view
from storage.statistics import CONSUMER

# A round id is its player's own, so several players may have used it. With the player named, the keys of
# players and rounds lead straight to the row; without, every player of the operator is asked.
FIND: Final = """
    SELECT v.* FROM players p JOIN round_view v ON v.player_key = p.id
    WHERE v.round_id = $1
      AND ($2::text IS NULL OR p.operator_id = $2) AND ($3::text IS NULL OR p.player_id = $3)
    ORDER BY v.id LIMIT $4
"""
# A deposit may have the round's id as its transaction id: it is no part of the round.
TRANSFERS: Final = """
    SELECT t.kind, t.amount, t.currency, t.debit_account, debited.kind AS debit_kind, t.credit_account,
           credited.kind AS credit_kind, t.available_after, t.position, t.created_at
    FROM transfers t
    LEFT JOIN accounts debited ON debited.id = t.debit_account
    LEFT JOIN accounts credited ON credited.id = t.credit_account
    WHERE t.player_key = $1 AND t.kind IN ('stake', 'win', 'collected', 'paid', 'returned')
      AND t.reference = $2
    ORDER BY t.position
"""
ATTEMPTS: Final = """
    SELECT call, transaction_id, amount, verdict, code, sent, duplicate, took_us, detail, created_at
    FROM wallet_attempts WHERE player_key = $1 AND round_id = $2 ORDER BY id
"""
INTERVENTIONS: Final = """
    SELECT action, reason, actor, verdict, created_at
    FROM interventions WHERE player_key = $1 AND round_id = $2 ORDER BY created_at
"""
EVENT: Final = """
    SELECT o.event_id::text, o.type, o.sequence, o.occurred_at, o.published_at, i.applied_at
    FROM outbox o LEFT JOIN inbox i ON i.consumer = $2 AND i.event_id = o.event_id
    WHERE o.event_id = $1
"""


async def find(
    pool: asyncpg.Pool, round_id: str, *, operator_id: str | None, player_id: str | None, limit: int
) -> Sequence[RoundView]:
    """At most `limit` rounds of this id, oldest first; of every operator and player that is not named."""
    rows = await pool.fetch(FIND, round_id, operator_id, player_id, limit)
    return [round_view(row) for row in rows]


async def record(pool: asyncpg.Pool, key: RoundKey, begun: RoundView | None = None) -> RoundRecord:
    """Everything about one round, as of one moment. `begun` stands for its row where it has none yet."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        row = await connection.fetchrow(ROUND, key.player_key, key.round_id)
        view = begun if row is None else round_view(row)
        assert view is not None
        transfers = await connection.fetch(TRANSFERS, key.player_key, key.round_id)
        attempts = await connection.fetch(ATTEMPTS, key.player_key, key.round_id)
        interventions = await connection.fetch(INTERVENTIONS, key.player_key, key.round_id)
        event = None
        if view.event_id is not None:
            event = await connection.fetchrow(EVENT, UUID(view.event_id), CONSUMER)
    return RoundRecord(
        view=view,
        transfers=tuple(TransferFact(**dict(row)) for row in transfers),
        attempts=tuple(_attempt(row) for row in attempts),
        interventions=tuple(_intervention(row) for row in interventions),
        event=None if event is None else EventFact(**dict(event)),
    )


def _attempt(row: Mapping[str, Any]) -> AttemptFact:
    names = {"call": WalletCall(row["call"]), "verdict": WalletVerdict(row["verdict"])}
    return AttemptFact(**{**dict(row), **names})


def _intervention(row: Mapping[str, Any]) -> InterventionFact:
    names = {"action": Action(row["action"]), "verdict": InterventionVerdict(row["verdict"])}
    return InterventionFact(**{**dict(row), **names})

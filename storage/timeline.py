"""Everything that the database knows of one round, for the person who has to explain it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from contracts.rounds import RoundKey
from contracts.views import RoundView
from storage.rounds import FIND as ROUND
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
EVENT: Final = """
    SELECT o.event_id::text, o.type, o.sequence, o.occurred_at, o.published_at, i.applied_at
    FROM outbox o LEFT JOIN inbox i ON i.consumer = $2 AND i.event_id = o.event_id
    WHERE o.event_id = $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFact:
    """An amount (minor units) that went from one account to another. The kinds are `player`, `house`,
    `cash` or `wallet`, and None for an account that is missing; `position` is the link in the player's hash
    chain."""

    kind: str
    amount: int
    currency: str
    debit_account: int
    debit_kind: str | None
    credit_account: int
    credit_kind: str | None
    available_after: int
    position: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFact:
    """The round's event: recorded with the round's end, confirmed by the broker, applied by the
    statistics."""

    event_id: str
    type: str
    sequence: int
    occurred_at: datetime
    published_at: datetime | None
    applied_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """What is stored of one round."""

    view: RoundView
    transfers: tuple[TransferFact, ...]
    event: EventFact | None


async def find(
    pool: asyncpg.Pool, round_id: str, *, operator_id: str | None, player_id: str | None, limit: int
) -> Sequence[RoundView]:
    """At most `limit` rounds of this id, oldest first; of every operator and player that is not named."""
    rows = await pool.fetch(FIND, round_id, operator_id, player_id, limit)
    return [round_view(row) for row in rows]


async def record(pool: asyncpg.Pool, key: RoundKey) -> RoundRecord:
    """Everything about one round, which must be there, as of one moment."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        view = round_view(await connection.fetchrow(ROUND, key.player_key, key.round_id))
        transfers = await connection.fetch(TRANSFERS, key.player_key, key.round_id)
        event = None
        if view.event_id is not None:
            event = await connection.fetchrow(EVENT, UUID(view.event_id), CONSUMER)
    return RoundRecord(
        view=view,
        transfers=tuple(TransferFact(**dict(row)) for row in transfers),
        event=None if event is None else EventFact(**dict(event)),
    )

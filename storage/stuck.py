"""What is open beyond its limit, as the database knows it: rounds, bets, events, webhooks, incidents,
transactions.

Only what is open is read, by the indexes of what is open: never the history. `$1` is the operator, null for
every one's; `$2` the moment since which it should have gone on.
"""

# ruff: noqa: S608 - the statements are put together from constants

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from contracts.rounds import RoundKey, RoundState
from contracts.views import Tenant, operator_or_none
from storage.feed import WRITERS
from storage.reconciliation import _SINCE

# What its wallet was last asked for, and how often it was asked. LATERAL with a limit is a look-up for each
# round, whatever the planner thinks of how many there are.
_AT_WALLET: Final = """
    LEFT JOIN LATERAL (
        SELECT true AS at_wallet, w.releasing FROM wallet_bets w
        WHERE w.player_key = o.player_key AND w.round_id = o.round_id LIMIT 1
    ) b ON true
    LEFT JOIN LATERAL (
        SELECT a.call, a.verdict, a.code, a.created_at AS attempted_at, count(*) OVER () AS attempts
        FROM wallet_attempts a WHERE a.player_key = o.player_key AND a.round_id = o.round_id
        ORDER BY a.id DESC LIMIT 1
    ) a ON true
"""
_FACTS: Final = """
    o.operator_id, o.player_key, o.player_id, o.round_id, o.game_id, o.state, o.amount, o.currency, o.since,
    o.decide_by, o.total, coalesce(b.at_wallet, false) AS at_wallet,
    coalesce(b.releasing, false) AS releasing, a.call, a.verdict, a.code, a.attempted_at,
    coalesce(a.attempts, 0) AS attempts
"""
ROUNDS: Final = f"""
    SELECT {_FACTS} FROM (
        SELECT r.operator_id, r.player_key, r.player_id, r.round_id, r.game_id, r.state,
               r.stake + r.extra AS amount, r.currency, r.decide_by, {_SINCE} AS since,
               count(*) OVER () AS total
        FROM rounds r
        WHERE is_open(r.state) AND ($1::text IS NULL OR r.operator_id = $1) AND {_SINCE} < $2
        ORDER BY since LIMIT $3
    ) o {_AT_WALLET} ORDER BY o.since
"""
BETS: Final = f"""
    SELECT {_FACTS} FROM (
        SELECT p.operator_id, w.player_key, p.player_id, w.round_id, w.game_id, NULL AS state,
               w.stake AS amount, w.currency, NULL::timestamptz AS decide_by, w.asked_at AS since,
               count(*) OVER () AS total
        FROM wallet_bets w
        CROSS JOIN LATERAL (SELECT operator_id, player_id FROM players WHERE id = w.player_key LIMIT 1) p
        WHERE w.resolved_at IS NULL AND ($1::text IS NULL OR p.operator_id = $1) AND w.asked_at < $2
          AND (SELECT r.id FROM rounds r
               WHERE r.round_id = w.round_id AND r.player_key = w.player_key) IS NULL
        ORDER BY w.asked_at LIMIT $3
    ) o {_AT_WALLET} ORDER BY o.since
"""
EVENTS: Final = """
    SELECT operator_id, count(*) AS events, min(occurred_at) AS since,
           (array_agg(event_id::text ORDER BY id))[1] AS first, (array_agg(subject ORDER BY id))[1] AS subject
    FROM outbox
    WHERE published_at IS NULL AND ($1::text IS NULL OR operator_id = $1) AND occurred_at < $2
    GROUP BY operator_id ORDER BY since
"""
# `idle` is one that no program sends for: whoever does takes it up at least once a minute.
WEBHOOKS: Final = """
    SELECT w.id AS webhook_id, w.operator_id, w.url, w.last_error, w.last_error_at, d.pending,
           d.pending_since, d.dead, d.dead_since, w.pumped_at,
           coalesce(w.pumped_at, w.updated_at) < $2::timestamptz - interval '5 minutes' AS idle
    FROM webhooks w CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE d.state = 'pending' AND d.created_at < $2) AS pending,
               min(d.created_at) FILTER (WHERE d.state = 'pending') AS pending_since,
               count(*) FILTER (WHERE d.state = 'dead') AS dead,
               min(d.dead_at) FILTER (WHERE d.state = 'dead') AS dead_since
        FROM webhook_deliveries d WHERE d.webhook_id = w.id
    ) d
    WHERE ($1::text IS NULL OR w.operator_id = $1) AND w.disabled IS NULL
    ORDER BY w.created_at, w.id
"""
INCIDENTS: Final = """
    SELECT kind, subject, operator_id, round_id, opened_at AS since, count(*) OVER () AS total
    FROM incidents WHERE resolved_at IS NULL AND ($1::text IS NULL OR operator_id = $1)
    ORDER BY opened_at LIMIT $2
"""
# In any database of the server: whoever keeps a transaction open keeps PostgreSQL from cleaning up. One that
# writes to our outbox holds the feed and all webhooks up.
TRANSACTIONS: Final = f"""
    SELECT a.pid, a.datname AS database, a.application_name AS application, a.xact_start AS since,
           EXISTS (SELECT FROM ({WRITERS}) writing WHERE writing.pid = a.pid) AS holds_feed
    FROM pg_stat_activity a
    WHERE a.xact_start < $1 AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
    ORDER BY a.xact_start LIMIT 20
"""
KNOWN: Final = """
    SELECT asked.player_key, asked.round_id
    FROM unnest($1::bigint[], $2::text[]) AS asked (player_key, round_id)
    WHERE (SELECT r.id FROM rounds r WHERE r.round_id = asked.round_id AND r.player_key = asked.player_key)
              IS NOT NULL
       OR (SELECT w.asked_at FROM wallet_bets w
           WHERE w.player_key = asked.player_key AND w.round_id = asked.round_id) IS NOT NULL
"""
AT_WALLET: Final = """
    SELECT asked.player_key, asked.round_id, w.releasing
    FROM unnest($1::bigint[], $2::text[]) AS asked (player_key, round_id)
    CROSS JOIN LATERAL (
        SELECT releasing FROM wallet_bets
        WHERE player_key = asked.player_key AND round_id = asked.round_id LIMIT 1
    ) w
"""
# How much is open now, by state and age. A bet that no wallet has answered has no state yet.
NOW: Final = """
    SELECT o.state, o.demo, o.currency,
           CASE WHEN o.since > $2::timestamptz - interval '1 minute' THEN 0
                WHEN o.since > $2::timestamptz - interval '1 hour' THEN 1
                WHEN o.since > $2::timestamptz - interval '1 day' THEN 2 ELSE 3 END AS age,
           count(*) AS rounds, sum(o.amount)::bigint AS amount, min(o.since) AS oldest
    FROM (
        SELECT r.state, r.demo, r.currency, r.stake + r.extra AS amount, r.created_at AS since FROM rounds r
        WHERE is_open(r.state) AND ($1::text IS NULL OR r.operator_id = $1)
        UNION ALL
        SELECT 'asked', false, w.currency, w.stake, w.asked_at FROM wallet_bets w
        WHERE w.resolved_at IS NULL
          AND ($1::text IS NULL
               OR (SELECT p.operator_id FROM players p WHERE p.id = w.player_key) = $1)
          AND (SELECT r.id FROM rounds r
               WHERE r.round_id = w.round_id AND r.player_key = w.player_key) IS NULL
    ) o
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 4 DESC, 3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueRound:
    """A round that should have gone on at `since`. `state` is None for one whose operator's wallet has not
    answered for the stake; `amount` is all that it took, in minor units. Of the wallet's calls: the last one,
    None where no wallet was asked, and how many there were."""

    key: RoundKey
    player_id: str
    game_id: str
    state: RoundState | None
    amount: int
    currency: str
    since: datetime
    decide_by: datetime | None
    at_wallet: bool
    releasing: bool
    call: str | None
    verdict: str | None
    code: str | None
    attempted_at: datetime | None
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingEvents:
    """Events of one operator that the broker has not confirmed: how many, and the first."""

    operator_id: str
    events: int
    since: datetime
    first: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingWebhook:
    """A webhook that is behind: `pending` events are overdue, `dead` ones were given up, and it is `idle`
    while no program sends for it."""

    webhook_id: str
    operator_id: str
    url: str
    last_error: str | None
    last_error_at: datetime | None
    pending: int
    pending_since: datetime | None
    dead: int
    dead_since: datetime | None
    pumped_at: datetime | None
    idle: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIncident:
    """A difference that reconciliation has found."""

    kind: str
    subject: str
    operator_id: str
    round_id: str | None
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTransaction:
    """A transaction of any database of the server. `holds_feed`: it writes to our outbox."""

    pid: int
    database: str | None
    application: str | None
    since: datetime
    holds_feed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenNow:
    """Rounds that are open in one state (`asked`: a bet that no wallet has answered), of real money or demo
    money, of one currency and age: 0 is under a minute, 1 under an hour, 2 under a day, 3 more. `amount` is
    what they hold, in minor units."""

    state: str
    demo: bool
    currency: str
    age: int
    rounds: int
    amount: int
    oldest: datetime


async def rounds(
    pool: asyncpg.Pool, tenant: Tenant, *, before: datetime, limit: int
) -> tuple[list[OverdueRound], int]:
    """At most `limit` overdue rounds, the longest first, and how many there are."""
    return _overdue(await pool.fetch(ROUNDS, operator_or_none(tenant), before, limit))


async def bets(
    pool: asyncpg.Pool, tenant: Tenant, *, before: datetime, limit: int
) -> tuple[list[OverdueRound], int]:
    """The same of bets that have no round yet."""
    return _overdue(await pool.fetch(BETS, operator_or_none(tenant), before, limit))


async def events(pool: asyncpg.Pool, tenant: Tenant, *, before: datetime) -> list[WaitingEvents]:
    return [WaitingEvents(**row) for row in await pool.fetch(EVENTS, operator_or_none(tenant), before)]


async def webhooks(pool: asyncpg.Pool, tenant: Tenant, *, before: datetime) -> list[WaitingWebhook]:
    """Those that are behind, and those that have dead events."""
    found = [WaitingWebhook(**row) for row in await pool.fetch(WEBHOOKS, operator_or_none(tenant), before)]
    return [webhook for webhook in found if webhook.pending or webhook.dead or webhook.idle]


async def incidents(pool: asyncpg.Pool, tenant: Tenant, *, limit: int) -> tuple[list[OpenIncident], int]:
    """At most `limit` open incidents, oldest first, and how many there are."""
    rows = await pool.fetch(INCIDENTS, operator_or_none(tenant), limit)
    found = [OpenIncident(**{name: row[name] for name in OpenIncident.__slots__}) for row in rows]
    return found, rows[0]["total"] if rows else 0


async def transactions(pool: asyncpg.Pool, *, before: datetime) -> list[LongTransaction]:
    """Those that were begun before, oldest first."""
    return [LongTransaction(**row) for row in await pool.fetch(TRANSACTIONS, before)]


async def unknown(pool: asyncpg.Pool, keys: list[RoundKey]) -> list[RoundKey]:
    """Those of which neither a round nor a bet at a wallet is on record."""
    rows = await pool.fetch(KNOWN, [key.player_key for key in keys], [key.round_id for key in keys])
    known = {(row["player_key"], row["round_id"]) for row in rows}
    return [key for key in keys if (key.player_key, key.round_id) not in known]


async def at_wallet(pool: asyncpg.Pool, keys: list[RoundKey]) -> dict[RoundKey, bool]:
    """Those for whose bet an operator's wallet was asked, and whether each is on its way to void."""
    rows = await pool.fetch(AT_WALLET, [key.player_key for key in keys], [key.round_id for key in keys])
    found = {(row["player_key"], row["round_id"]): row["releasing"] for row in rows}
    named = {key: (key.player_key, key.round_id) for key in keys}
    return {key: found[name] for key, name in named.items() if name in found}


async def now(pool: asyncpg.Pool, tenant: Tenant, *, moment: datetime) -> list[OpenNow]:
    """What is open, by state, money, age and currency."""
    return [OpenNow(**row) for row in await pool.fetch(NOW, operator_or_none(tenant), moment)]


def _overdue(rows: list[Mapping[str, Any]]) -> tuple[list[OverdueRound], int]:
    return [_overdue_round(row) for row in rows], rows[0]["total"] if rows else 0


def _overdue_round(row: Mapping[str, Any]) -> OverdueRound:
    plain = {name: row[name] for name in OverdueRound.__slots__ if name not in ("key", "state")}
    return OverdueRound(
        key=RoundKey(operator_id=row["operator_id"], player_key=row["player_key"], round_id=row["round_id"]),
        state=None if row["state"] is None else RoundState(row["state"]),
        **plain,
    )

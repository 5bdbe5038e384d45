"""What an operator's part of the platform does at this moment: how fast rounds end, what its wallet answers,
what waits on its way to the broker, the statistics and webhooks.

It is asked every few seconds while somebody looks, so each statement reads what is open, or a bounded number
of the newest rows by the operator's own index. Nothing of another operator is in an answer, but for one age.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from contracts.webhooks import WEBHOOKS_LIMIT
from storage.statistics import CONSUMER

# Of the newest rounds and events.
LATEST: Final = 200
# A bet is asked for again and again: of each round, the last calls.
CALLS_EACH: Final = 20
# Counted up to here: nobody reads a larger number.
COUNTED: Final = 10_000
# What is younger is on its way.
APPLIED_AFTER: Final = timedelta(seconds=15)

# Of the newest rounds with real money, those that have ended without waiting for their player.
PACE: Final = """
    SELECT count(*) FILTER (WHERE r.created_at > $2::timestamptz - interval '1 minute') AS last_minute,
           count(*) AS rounds, min(r.created_at) AS since,
           count(*) FILTER (WHERE r.ended) AS ended,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY r.took) FILTER (WHERE r.ended) AS half,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY r.took) FILTER (WHERE r.ended) AS most,
           max(r.took) FILTER (WHERE r.ended) AS longest
    FROM (
        SELECT r.created_at, r.closed_at - r.created_at AS took,
               r.closed_at IS NOT NULL AND r.actions = 0 AND r.state <> 'declined' AS ended
        FROM rounds r WHERE r.operator_id = $1 AND NOT r.demo ORDER BY -r.id LIMIT $3
    ) r
"""
# The calls of the newest rounds, and of bets that are open. LATERAL with a limit is a look-up for each.
CALLS: Final = """
    SELECT a.verdict, a.code, a.created_at, a.took_us, a.sent FROM (
        (SELECT r.player_key, r.round_id FROM rounds r
         WHERE r.operator_id = $1 AND NOT r.demo ORDER BY -r.id LIMIT $2)
        UNION
        (SELECT w.player_key, w.round_id FROM wallet_bets w
         WHERE w.resolved_at IS NULL
           AND (SELECT p.operator_id FROM players p WHERE p.id = w.player_key) = $1
         ORDER BY w.asked_at DESC LIMIT $2)
    ) o CROSS JOIN LATERAL (
        SELECT a.id, a.verdict, a.code, a.created_at, a.took_us, a.sent FROM wallet_attempts a
        WHERE a.player_key = o.player_key AND a.round_id = o.round_id ORDER BY a.id DESC LIMIT $3
    ) a ORDER BY a.id DESC LIMIT $2
"""
WALLET: Final = "SELECT dialect FROM operator_wallets WHERE operator_id = $1 AND unset_at IS NULL"
# By the index of what is unpublished, as far as COUNTED.
UNPUBLISHED: Final = """
    SELECT min(o.occurred_at) FILTER (WHERE o.operator_id = $1) AS since, min(o.occurred_at) AS anybodys
    FROM (SELECT operator_id, occurred_at FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT $2) o
"""
UNCOUNTED: Final = """
    SELECT min(o.occurred_at) FROM (
        SELECT event_id, type, occurred_at, published_at FROM outbox
        WHERE operator_id = $1 ORDER BY -id LIMIT $2
    ) o
    WHERE o.type IN ('round.settled', 'round.void') AND o.published_at < $3
      AND (SELECT i.applied_at FROM inbox i WHERE i.consumer = $4 AND i.event_id = o.event_id) IS NULL
"""
# `behind_since` is when the first event was recorded that it has not come to.
WEBHOOKS: Final = """
    SELECT w.id AS webhook_id, w.url, w.disabled IS NOT NULL AS disabled, o.occurred_at AS behind_since,
           (SELECT count(*) FROM (SELECT FROM webhook_deliveries d
                                  WHERE d.webhook_id = w.id AND d.state = 'pending' LIMIT $2) p) AS pending,
           (SELECT count(*) FROM (SELECT FROM webhook_deliveries d
                                  WHERE d.webhook_id = w.id AND d.state = 'dead' LIMIT $2) p) AS dead
    FROM webhooks w LEFT JOIN LATERAL (
        SELECT occurred_at FROM outbox
        WHERE operator_id = w.operator_id AND -id < -w.cursor ORDER BY -id DESC LIMIT 1
    ) o ON w.disabled IS NULL
    WHERE w.operator_id = $1 ORDER BY w.created_at, w.id LIMIT $3
"""
INCIDENTS: Final = """
    SELECT kind, count(*) AS incidents, min(opened_at) AS since FROM incidents
    WHERE resolved_at IS NULL AND operator_id = $1 GROUP BY kind ORDER BY kind
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Of the newest `rounds`, the oldest of which began at `since`. `half` of those that have `ended` took no
    longer than that, and 19 in 20 no longer than `most`: from the hold to the end. The three are None where
    none has ended. Rounds that waited for their player, and declined ones, are not among them."""

    last_minute: int
    rounds: int
    since: datetime | None
    ended: int
    half: timedelta | None
    most: timedelta | None
    longest: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of the operator's wallet. `sent` is false for one that was never made."""

    verdict: str
    code: str | None
    created_at: datetime
    took_us: int
    sent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpublished:
    """Since when the first event of the operator waits for the broker, among the first COUNTED of all that
    wait; `anybodys` is that of all operators, which says whether the broker takes events at all."""

    since: datetime | None
    anybodys: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookNow:
    """How far a webhook is. `pending` events are repeated and `dead` ones given up, both counted up to
    COUNTED."""

    webhook_id: str
    url: str
    disabled: bool
    behind_since: datetime | None
    pending: int
    dead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIncidents:
    """How many incidents of a kind are open, and since when the first one is."""

    kind: str
    incidents: int
    since: datetime


async def pace(pool: asyncpg.Pool, operator_id: str, *, moment: datetime, latest: int = LATEST) -> Pace:
    return Pace(**await pool.fetchrow(PACE, operator_id, moment, latest))


async def wallet_dialect(pool: asyncpg.Pool, operator_id: str) -> str | None:
    """None for an operator without a wallet of its own."""
    dialect: str | None = await pool.fetchval(WALLET, operator_id)
    return dialect


async def calls(pool: asyncpg.Pool, operator_id: str, *, latest: int = LATEST) -> list[Call]:
    """The newest calls of the operator's wallet, newest first."""
    return [Call(**row) for row in await pool.fetch(CALLS, operator_id, latest, CALLS_EACH)]


async def unpublished(pool: asyncpg.Pool, operator_id: str) -> Unpublished:
    return Unpublished(**await pool.fetchrow(UNPUBLISHED, operator_id, COUNTED))


async def uncounted_since(
    pool: asyncpg.Pool, operator_id: str, *, moment: datetime, latest: int = LATEST
) -> datetime | None:
    """When the first of the newest events was recorded that the broker has, and the statistics have not."""
    before = moment - APPLIED_AFTER
    found: datetime | None = await pool.fetchval(UNCOUNTED, operator_id, latest, before, CONSUMER)
    return found


async def webhooks(pool: asyncpg.Pool, operator_id: str) -> list[WebhookNow]:
    rows = await pool.fetch(WEBHOOKS, operator_id, COUNTED, WEBHOOKS_LIMIT)
    return [WebhookNow(**row) for row in rows]


async def incidents(pool: asyncpg.Pool, operator_id: str) -> list[OpenIncidents]:
    return [OpenIncidents(**row) for row in await pool.fetch(INCIDENTS, operator_id)]

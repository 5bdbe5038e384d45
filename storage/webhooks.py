"""Webhooks and the events that were not delivered at once. A delivered event leaves no row behind.

The interleavings that must not hurt:
* Two activities that send for one webhook, because Temporal took the first for dead. Both send, and a
  receiver recognises the repeat by the event's id. Each moves the cursor from where it found it, so only one
  moves it.
* A delivery is replayed while the workflow that gave it up still ends. What a workflow writes names the
  replay that it was started for, and has no effect on a later one.
* A webhook gets another URL while an answer of the old one is under way. That 410 disables only the old one.
"""

# ruff: noqa: S608 - the statements are put together from constants

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from contracts.audit import By, Kind
from contracts.events import RecordedEvent
from contracts.failures import bounded
from contracts.webhooks import (
    RETRYING_LIMIT,
    WEBHOOKS_LIMIT,
    DeadDelivery,
    Delivery,
    Disabled,
    Webhook,
    WebhookChanges,
    WebhookKey,
    WebhookStatus,
)
from storage.audit import entry, recording
from storage.outbox import recorded_event

# Two at once may both find room for the last one: the limit is against thousands, not against one more.
CREATE: Final = recording(
    """
    INSERT INTO webhooks (id, operator_id, url, types, sealed_secrets, cursor)
    SELECT $1, $2::text, $3, $4, $5, $6
    WHERE (SELECT count(*) FROM webhooks WHERE operator_id = $2::text) < $7
    RETURNING *
    """,
    parameters=7,
)
FIND: Final = "SELECT * FROM webhooks WHERE operator_id = $1 AND id = $2"
_STATUS: Final = """
    SELECT w.*,
           (SELECT count(*) FROM webhook_deliveries d
            WHERE d.webhook_id = w.id AND d.state = 'pending') AS pending,
           (SELECT count(*) FROM webhook_deliveries d
            WHERE d.webhook_id = w.id AND d.state = 'dead') AS dead
    FROM webhooks w
"""
STATUS: Final = f"{_STATUS} WHERE ($1::text IS NULL OR w.operator_id = $1) ORDER BY w.created_at, w.id"
STATUS_OF_ONE: Final = f"{_STATUS} WHERE w.operator_id = $1 AND w.id = $2"
# A null leaves its column as it is; `types` changes only where $5 is true. Sending then begins at once.
CHANGE: Final = recording(
    """
    UPDATE webhooks
    SET url = coalesce($3, url),
        types = CASE WHEN $5 THEN $4 ELSE types END,
        disabled = CASE $6::boolean
            WHEN true THEN NULL WHEN false THEN coalesce(disabled, 'by-operator') ELSE disabled END,
        pumped_at = NULL, updated_at = clock_timestamp()
    WHERE operator_id = $1 AND id = $2
    RETURNING id
    """,
    parameters=6,
)
CHANGE_SECRETS: Final = recording(
    """
    UPDATE webhooks SET sealed_secrets = $4, updated_at = clock_timestamp()
    WHERE operator_id = $1 AND id = $2 AND sealed_secrets = $3
    RETURNING id
    """,
    parameters=4,
)
DELETE: Final = recording(
    "DELETE FROM webhooks WHERE operator_id = $1 AND id = $2 RETURNING id", parameters=2
)
DISABLE: Final = """
    UPDATE webhooks SET disabled = $4, updated_at = clock_timestamp()
    WHERE operator_id = $1 AND id = $2 AND url = $3 AND disabled IS NULL
    RETURNING id
"""

TAKE_UP: Final = "UPDATE webhooks SET pumped_at = clock_timestamp() WHERE operator_id = $1 AND id = $2"
RETRYING: Final = "SELECT count(*) FROM webhook_deliveries WHERE webhook_id = $1 AND state = 'pending'"
MOVE: Final = """
    WITH moved AS (
        UPDATE webhooks
        SET cursor = $3,
            last_success_at = CASE WHEN $4 THEN clock_timestamp() ELSE last_success_at END,
            last_error = coalesce(($6::text[])[1], last_error),
            last_error_at = CASE
                WHEN cardinality($5::uuid[]) > 0 THEN clock_timestamp() ELSE last_error_at END
        WHERE id = $1 AND cursor = $2 RETURNING id
    ), failed AS (
        INSERT INTO webhook_deliveries (webhook_id, event_id, state, attempts, last_error)
        SELECT moved.id, f.event_id, 'pending', 1, f.error
        FROM moved, unnest($5::uuid[], $6::text[]) f (event_id, error)
        ON CONFLICT (webhook_id, event_id) DO NOTHING
    )
    SELECT count(*) = 1 FROM moved
"""
# Of webhooks with nothing to send, those that have an event behind their cursor by now, or are not as they
# were. One probe of the operator's index each, as in LAGS.
NEWS: Final = """
    SELECT k.id FROM unnest($1::text[], $2::bigint[]) k (id, cursor)
    LEFT JOIN webhooks w ON w.id = k.id
    LEFT JOIN LATERAL (
        SELECT true AS found FROM outbox
        WHERE operator_id = w.operator_id AND -id < -k.cursor ORDER BY -id DESC LIMIT 1
    ) o ON true
    WHERE w.id IS NULL OR w.disabled IS NOT NULL OR w.cursor <> k.cursor OR o.found
"""
IDLE: Final = """
    SELECT id, operator_id FROM webhooks
    WHERE disabled IS NULL AND (pumped_at IS NULL OR pumped_at < clock_timestamp() - $1::interval)
"""

# Of each webhook only so many that it has RETRYING_LIMIT in the hands of workflows, the oldest first.
TO_HAND_OVER: Final = """
    SELECT d.webhook_id, w.operator_id, d.event_id, d.replay
    FROM (
        SELECT p.*, row_number() OVER (
            PARTITION BY p.webhook_id ORDER BY p.handed_over_at NULLS LAST, p.id) AS place
        FROM webhook_deliveries p WHERE p.state = 'pending'
    ) d JOIN webhooks w ON w.id = d.webhook_id
    WHERE d.handed_over_at IS NULL AND d.place <= $1 AND w.disabled IS NULL
    ORDER BY d.id LIMIT $2
"""
_THIS_DELIVERY: Final = "webhook_id = $1 AND event_id = $2 AND replay = $3 AND state = 'pending'"
HANDED_OVER: Final = f"""
    UPDATE webhook_deliveries SET handed_over_at = clock_timestamp() WHERE {_THIS_DELIVERY}
"""
PENDING: Final = f"SELECT id FROM webhook_deliveries WHERE {_THIS_DELIVERY}"
EVENT: Final = """
    SELECT event_id, type, operator_id, game_id, subject, sequence, data::text AS data, occurred_at
    FROM outbox WHERE event_id = $1 AND operator_id = $2
"""
# The webhook is locked before its deliveries, as when it is deleted with them. The other way round, an answer
# would wait for the webhook that is being deleted, and the deletion for the delivery.
_LOCKED: Final = "hook AS (SELECT id FROM webhooks WHERE id = $1 FOR NO KEY UPDATE)"
DELIVERED: Final = f"""
    WITH {_LOCKED}, delivered AS (
        DELETE FROM webhook_deliveries USING hook WHERE webhook_id = hook.id AND {_THIS_DELIVERY}
        RETURNING webhook_id
    )
    UPDATE webhooks w SET last_success_at = clock_timestamp() FROM delivered WHERE w.id = delivered.webhook_id
"""
FAILED: Final = f"""
    WITH {_LOCKED}, failed AS (
        UPDATE webhook_deliveries SET attempts = attempts + 1, last_error = $4
        FROM hook WHERE webhook_id = hook.id AND {_THIS_DELIVERY}
        RETURNING webhook_id
    )
    UPDATE webhooks w SET last_error = $4, last_error_at = clock_timestamp()
    FROM failed WHERE w.id = failed.webhook_id
"""
DEAD_LETTER: Final = f"""
    UPDATE webhook_deliveries SET state = 'dead', dead_at = clock_timestamp()
    WHERE {_THIS_DELIVERY} RETURNING id
"""
# What was delivered has no row: a webhook that has passed the event, and has none, has had it.
OF_EVENT: Final = """
    SELECT w.id AS webhook_id, w.url, w.disabled IS NOT NULL AS disabled, w.cursor >= o.id AS passed,
           d.state, d.attempts, d.last_error
    FROM outbox o JOIN webhooks w ON w.operator_id = o.operator_id
    LEFT JOIN webhook_deliveries d ON d.webhook_id = w.id AND d.event_id = o.event_id
    WHERE o.event_id = $1 AND o.operator_id = $2 AND w.created_at <= o.occurred_at
      AND (w.types IS NULL OR o.type = ANY (w.types))
    ORDER BY w.created_at, w.id
"""
DEAD_LETTER_LOST: Final = """
    UPDATE webhook_deliveries SET state = 'dead', dead_at = clock_timestamp()
    WHERE state = 'pending' AND handed_over_at < clock_timestamp() - $1::interval RETURNING id
"""
DEAD_PAGE: Final = """
    SELECT d.id AS position, d.event_id, o.type, o.subject, o.occurred_at, d.attempts, d.last_error, d.dead_at
    FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id JOIN outbox o ON o.event_id = d.event_id
    WHERE w.operator_id = $1 AND w.id = $2 AND d.state = 'dead' AND d.id > $3
    ORDER BY d.id LIMIT $4
"""
# $3 names the events; null means all that are dead.
REPLAY: Final = recording(
    """
    UPDATE webhook_deliveries d
    SET state = 'pending', dead_at = NULL, handed_over_at = NULL, replay = replay + 1, attempts = 0
    FROM webhooks w
    WHERE w.id = d.webhook_id AND w.operator_id = $1 AND w.id = $2 AND d.state = 'dead'
      AND ($3::uuid[] IS NULL OR d.event_id = ANY ($3))
    RETURNING d.id
    """,
    parameters=3,
)
NOTE_TEST: Final = recording("SELECT id FROM webhooks WHERE operator_id = $1 AND id = $2", parameters=2)
COUNTS: Final = "SELECT state, count(*) AS deliveries FROM webhook_deliveries GROUP BY state"
# Of each enabled webhook the first event that it has not come to, which its operator's index finds at once.
LAGS: Final = """
    SELECT w.operator_id,
           max(coalesce(extract(epoch FROM clock_timestamp() - o.occurred_at), 0))::float8 AS lag_s
    FROM webhooks w LEFT JOIN LATERAL (
        SELECT occurred_at FROM outbox
        WHERE operator_id = w.operator_id AND -id < -w.cursor ORDER BY -id DESC LIMIT 1
    ) o ON true
    WHERE w.disabled IS NULL GROUP BY w.operator_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How many seconds ago the oldest event was recorded that a webhook of the operator has not come to; 0
    when all have come to the end."""

    operator_id: str
    lag_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OfEvent:
    """How far one webhook is with an event that it wants. `state` and what follows are None where nothing
    failed, or it was delivered since; `passed` says that the webhook has come to the event."""

    webhook_id: str
    url: str
    disabled: bool
    passed: bool
    state: str | None
    attempts: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An event whose first attempt failed, and why."""

    event_id: str
    error: str


async def create(
    pool: asyncpg.Pool,
    key: WebhookKey,
    *,
    url: str,
    types: Sequence[str] | None,
    sealed_secrets: str,
    cursor: int,
    by: By,
) -> Webhook | None:
    """Makes a webhook for events behind `cursor`. Returns None when the operator has WEBHOOKS_LIMIT of
    them."""
    noted = _noted(Kind.WEBHOOK_CREATED, by, key, url=url, types=types)
    row = await pool.fetchrow(
        CREATE, key.webhook_id, key.operator_id, url, types, sealed_secrets, cursor, WEBHOOKS_LIMIT, *noted
    )
    return None if row is None else _webhook(row)


async def find(pool: asyncpg.Pool, key: WebhookKey) -> Webhook | None:
    row = await pool.fetchrow(FIND, key.operator_id, key.webhook_id)
    return None if row is None else _webhook(row)


async def listed(pool: asyncpg.Pool, *, operator_id: str | None) -> list[WebhookStatus]:
    """The operator's webhooks, oldest first; every operator's for None."""
    return [_status(row) for row in await pool.fetch(STATUS, operator_id)]


async def status(pool: asyncpg.Pool, key: WebhookKey) -> WebhookStatus | None:
    row = await pool.fetchrow(STATUS_OF_ONE, key.operator_id, key.webhook_id)
    return None if row is None else _status(row)


async def change(pool: asyncpg.Pool, key: WebhookKey, changes: WebhookChanges, *, by: By) -> bool:
    """Returns whether there is such a webhook."""
    named = {"url": changes.url, "enabled": changes.enabled}
    said: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if changes.set_types:
        said["types"] = changes.types
    changed = await pool.fetchval(
        CHANGE,
        key.operator_id,
        key.webhook_id,
        changes.url,
        changes.types,
        changes.set_types,
        changes.enabled,
        *_noted(Kind.WEBHOOK_CHANGED, by, key, **said),
    )
    return changed is not None


async def change_secrets(
    pool: asyncpg.Pool, key: WebhookKey, *, found: str, sealed_secrets: str, by: By
) -> bool:
    """Replaces the secrets that the caller found. Returns False when another call changed them since."""
    noted = _noted(Kind.WEBHOOK_SECRET_ROTATED, by, key)
    changed = await pool.fetchval(
        CHANGE_SECRETS, key.operator_id, key.webhook_id, found, sealed_secrets, *noted
    )
    return changed is not None


async def delete(pool: asyncpg.Pool, key: WebhookKey, *, by: By) -> bool:
    """Deletes the webhook and its deliveries. Returns whether there was one."""
    noted = _noted(Kind.WEBHOOK_DELETED, by, key)
    return await pool.fetchval(DELETE, key.operator_id, key.webhook_id, *noted) is not None


async def disable(pool: asyncpg.Pool, key: WebhookKey, *, url: str, why: Disabled) -> bool:
    """Disables the webhook. Returns whether it was enabled until now and still had this URL."""
    return await pool.fetchval(DISABLE, key.operator_id, key.webhook_id, url, why.value) is not None


# Sending


async def take_up(pool: asyncpg.Pool, key: WebhookKey) -> None:
    """Records that an activity begins to send for the webhook."""
    await pool.execute(TAKE_UP, key.operator_id, key.webhook_id)


async def idle(pool: asyncpg.Pool, *, since: timedelta) -> list[WebhookKey]:
    """Enabled webhooks for which no turn has begun within that time, or since they were changed."""
    return [_key(row["operator_id"], row["id"]) for row in await pool.fetch(IDLE, since)]


async def retrying(pool: asyncpg.Pool, key: WebhookKey) -> int:
    """How many events are pending."""
    count: int = await pool.fetchval(RETRYING, key.webhook_id)
    return count


async def news(pool: asyncpg.Pool, waiting: Sequence[Webhook]) -> set[str]:
    """The ids of those that have an event behind their cursor, or were moved, disabled or deleted since. Of
    an event that is not complete yet too: the feed serves it later."""
    ids = [webhook.key.webhook_id for webhook in waiting]
    rows = await pool.fetch(NEWS, ids, [webhook.cursor for webhook in waiting])
    return {row["id"] for row in rows}


async def move(
    pool: asyncpg.Pool, webhook: Webhook, *, to: int, delivered: bool, failures: Sequence[Failure]
) -> bool:
    """Moves the cursor from where `webhook` has it, and records what failed, in one transaction. `delivered`
    says that something came through. Returns False when another activity has moved it since, or it was
    deleted."""
    moved: bool = await pool.fetchval(
        MOVE,
        webhook.key.webhook_id,
        webhook.cursor,
        to,
        delivered,
        [UUID(failure.event_id) for failure in failures],
        [bounded(failure.error) for failure in failures],
    )
    return moved


async def to_hand_over(pool: asyncpg.Pool, *, limit: int) -> list[Delivery]:
    """Pending deliveries without a workflow, as far as their webhook has room for them."""
    rows = await pool.fetch(TO_HAND_OVER, RETRYING_LIMIT, limit)
    return [
        Delivery(
            key=_key(row["operator_id"], row["webhook_id"]),
            event_id=str(row["event_id"]),
            replay=row["replay"],
        )
        for row in rows
    ]


async def handed_over(pool: asyncpg.Pool, delivery: Delivery) -> None:
    await pool.execute(HANDED_OVER, *_this(delivery))


async def pending(pool: asyncpg.Pool, delivery: Delivery) -> tuple[Webhook, RecordedEvent] | None:
    """Returns None when the delivery is no longer pending."""
    if await pool.fetchval(PENDING, *_this(delivery)) is None:
        return None
    webhook = await find(pool, delivery.key)
    event = await pool.fetchrow(EVENT, UUID(delivery.event_id), delivery.key.operator_id)
    return None if webhook is None or event is None else (webhook, recorded_event(event))


async def of_event(pool: asyncpg.Pool, *, operator_id: str, event_id: str) -> list[OfEvent]:
    """The operator's webhooks that want this event, and were there when it was recorded."""
    return [OfEvent(**dict(row)) for row in await pool.fetch(OF_EVENT, UUID(event_id), operator_id)]


async def delivered(pool: asyncpg.Pool, delivery: Delivery) -> None:
    await pool.execute(DELIVERED, *_this(delivery))


async def failed(pool: asyncpg.Pool, delivery: Delivery, *, error: str) -> None:
    """Counts a failed attempt."""
    await pool.execute(FAILED, *_this(delivery), bounded(error))


async def dead_letter(pool: asyncpg.Pool, delivery: Delivery) -> bool:
    """Gives the delivery up. Returns whether it was pending until now."""
    return await pool.fetchval(DEAD_LETTER, *_this(delivery)) is not None


async def dead_letter_lost(pool: asyncpg.Pool, *, after: timedelta) -> int:
    """Gives up deliveries that are pending though their workflow must have ended: it was lost, or terminated
    by hand. Returns how many there were."""
    return len(await pool.fetch(DEAD_LETTER_LOST, after))


# Given up


async def dead_page(
    pool: asyncpg.Pool, key: WebhookKey, *, after: int, limit: int
) -> tuple[list[DeadDelivery], int | None]:
    """At most `limit`, in the order in which they first failed, and where the next page begins."""
    rows = await pool.fetch(DEAD_PAGE, key.operator_id, key.webhook_id, after, limit + 1)
    found = [DeadDelivery(**{**dict(row), "event_id": str(row["event_id"])}) for row in rows[:limit]]
    return found, found[-1].position if len(rows) > limit else None


async def replay(pool: asyncpg.Pool, key: WebhookKey, event_ids: Sequence[str] | None, *, by: By) -> int:
    """Restarts dead deliveries, all of them for None. Returns how many there were."""
    wanted = None if event_ids is None else [UUID(event_id) for event_id in event_ids]
    said = {"all_dead": True} if event_ids is None else {"event_ids": event_ids}
    noted = _noted(Kind.WEBHOOK_REPLAYED, by, key, **said)
    return len(await pool.fetch(REPLAY, key.operator_id, key.webhook_id, wanted, *noted))


async def note_test(pool: asyncpg.Pool, key: WebhookKey, *, by: By) -> bool:
    """Records that a test is to be sent. Returns whether there is such a webhook."""
    noted = _noted(Kind.WEBHOOK_TESTED, by, key)
    return await pool.fetchval(NOTE_TEST, key.operator_id, key.webhook_id, *noted) is not None


async def counts(pool: asyncpg.Pool) -> dict[str, int]:
    """How many deliveries each state has, over all webhooks."""
    found = {row["state"]: row["deliveries"] for row in await pool.fetch(COUNTS)}
    return {state: found.get(state, 0) for state in ("pending", "dead")}


async def lags(pool: asyncpg.Pool) -> list[Lag]:
    """Of each operator with an enabled webhook."""
    return [Lag(**row) for row in await pool.fetch(LAGS)]


def _noted(kind: Kind, by: By, key: WebhookKey, **detail: Any) -> tuple[str | None, ...]:
    return entry(kind, by, operator_id=key.operator_id, subject=key.webhook_id, **detail)


def _key(operator_id: str, webhook_id: str) -> WebhookKey:
    return WebhookKey(operator_id=operator_id, webhook_id=webhook_id)


def _this(delivery: Delivery) -> tuple[str, UUID, int]:
    return delivery.key.webhook_id, UUID(delivery.event_id), delivery.replay


def _webhook(row: Mapping[str, Any]) -> Webhook:
    return Webhook(
        key=_key(row["operator_id"], row["id"]),
        url=row["url"],
        types=None if row["types"] is None else tuple(row["types"]),
        sealed_secrets=row["sealed_secrets"],
        disabled=None if row["disabled"] is None else Disabled(row["disabled"]),
        cursor=row["cursor"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _status(row: Mapping[str, Any]) -> WebhookStatus:
    return WebhookStatus(
        webhook=_webhook(row),
        pending=row["pending"],
        dead=row["dead"],
        last_success_at=row["last_success_at"],
        last_error=row["last_error"],
        last_error_at=row["last_error_at"],
    )

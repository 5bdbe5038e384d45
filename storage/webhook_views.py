"""What people are shown of webhooks: how each fares, and its deliveries. Reads no secret, be it sealed."""

# ruff: noqa: S608 - the statements are put together from constants

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from contracts.events import RecordedEvent
from storage.outbox import recorded_event

# An operator has WEBHOOKS_LIMIT at most. The first event that one has not come to is found by its index.
LISTED: Final = """
    SELECT w.id AS webhook_id, w.url, w.types, w.disabled, w.last_success_at, w.last_error, w.last_error_at,
           w.created_at,
           (SELECT count(*) FROM webhook_deliveries d
            WHERE d.webhook_id = w.id AND d.state = 'pending') AS pending,
           (SELECT count(*) FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.state = 'dead') AS dead,
           o.occurred_at AS behind_since
    FROM webhooks w LEFT JOIN LATERAL (
        SELECT occurred_at FROM outbox
        WHERE operator_id = w.operator_id AND -id < -w.cursor ORDER BY -id DESC LIMIT 1
    ) o ON true
    WHERE w.operator_id = $1 ORDER BY w.created_at, w.id
"""
# The operator's events before a place, newest first, and how each stands with one webhook.
_DELIVERY: Final = """
    SELECT o.id AS position, o.event_id, o.type, o.subject, o.occurred_at,
           w.created_at <= o.occurred_at AS after_it_was_made,
           w.types IS NULL OR o.type = ANY (w.types) AS wanted,
           w.cursor >= o.id AS passed, w.disabled IS NOT NULL AS disabled, d.state, d.attempts, d.last_error
"""
DELIVERIES: Final = f"""{_DELIVERY}
    FROM webhooks w CROSS JOIN LATERAL (
        SELECT * FROM outbox WHERE operator_id = w.operator_id AND -id > -$3::bigint ORDER BY -id LIMIT $4
    ) o LEFT JOIN webhook_deliveries d ON d.webhook_id = w.id AND d.event_id = o.event_id
    WHERE w.operator_id = $1 AND w.id = $2 ORDER BY o.id DESC
"""
DELIVERY: Final = f"""{_DELIVERY}, o.operator_id, o.game_id, o.sequence, o.data::text AS data
    FROM webhooks w JOIN outbox o ON o.operator_id = w.operator_id
    LEFT JOIN webhook_deliveries d ON d.webhook_id = w.id AND d.event_id = o.event_id
    WHERE w.operator_id = $1 AND w.id = $2 AND o.event_id = $3
"""
NEWEST: Final = 2**63 - 1
# As far as one look goes back. A webhook of a rare type may have few events there, or none.
WINDOW: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookView:
    """`behind_since` is when the oldest event was recorded that the webhook has not come to; None when it has
    come to all. `types` is None for all."""

    webhook_id: str
    url: str
    types: list[str] | None
    disabled: str | None
    last_success_at: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    created_at: datetime
    pending: int
    dead: int
    behind_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """An event that the webhook wants. `state` is delivered, pending, dead, disabled or waiting. `attempts`
    and `last_error` are of those that failed and were not delivered since."""

    event_id: str
    type: str
    subject: str
    occurred_at: datetime
    state: str
    attempts: int | None
    last_error: str | None


async def listed(pool: asyncpg.Pool, *, operator_id: str) -> list[WebhookView]:
    """The operator's webhooks, oldest first."""
    return [WebhookView(**dict(row)) for row in await pool.fetch(LISTED, operator_id)]


async def deliveries(
    pool: asyncpg.Pool, *, operator_id: str, webhook_id: str, before: int | None, limit: int
) -> tuple[list[DeliveryView], int | None]:
    """At most `limit`, newest first, among the WINDOW events before `before`, and where to go on."""
    place = NEWEST if before is None else before
    rows = await pool.fetch(DELIVERIES, operator_id, webhook_id, place, WINDOW)
    wanted = [row for row in rows if row["wanted"] and row["after_it_was_made"]]
    shown = [_delivery(row) for row in wanted[:limit]]
    if len(wanted) > limit:
        return shown, wanted[limit - 1]["position"]
    over = len(rows) < WINDOW or not rows[-1]["after_it_was_made"]
    return shown, None if over else rows[-1]["position"]


async def delivery(
    pool: asyncpg.Pool, *, operator_id: str, webhook_id: str, event_id: UUID
) -> tuple[DeliveryView, RecordedEvent] | None:
    """Returns None where the operator has no such webhook or event, or the webhook does not want it."""
    row = await pool.fetchrow(DELIVERY, operator_id, webhook_id, event_id)
    if row is None or not (row["wanted"] and row["after_it_was_made"]):
        return None
    return _delivery(row), recorded_event(row)


def _delivery(row: Mapping[str, Any]) -> DeliveryView:
    names = ("type", "subject", "occurred_at", "attempts", "last_error")
    state = row["state"] or ("delivered" if row["passed"] else "disabled" if row["disabled"] else "waiting")
    return DeliveryView(event_id=str(row["event_id"]), state=state, **{name: row[name] for name in names})

"""Incidents on record: opened once for each difference, published once, resolved when the difference is
gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from contracts.reconciliation import Finding, Incident, IncidentKind

_COLUMNS: Final = (
    "id, kind, subject, operator_id, player_key, round_id, game_id, detail, opened_at, acted_at, resolved_at"
)
NOTE: Final = "SELECT opened, due FROM note_incident_v1($1, $2, $3, $4, $5, $6, $7)"
RESOLVE: Final = "SELECT resolve_incident_v1($1)"
MARK: Final = "SELECT mark_incidents_published_v1($1)"
OPEN_PAGE: Final = f"""
    SELECT {_COLUMNS} FROM incidents WHERE resolved_at IS NULL AND (kind, subject) > ($1, $2)
    ORDER BY kind, subject LIMIT $3
"""  # noqa: S608 - a constant above
UNPUBLISHED: Final = (
    f"SELECT {_COLUMNS} FROM incidents WHERE published_at IS NULL ORDER BY opened_at LIMIT $1"  # noqa: S608
)
OPEN_COUNTS: Final = "SELECT kind, count(*) AS open FROM incidents WHERE resolved_at IS NULL GROUP BY kind"
OPEN_NOW: Final = f"SELECT {_COLUMNS} FROM incidents WHERE resolved_at IS NULL ORDER BY opened_at LIMIT $1"  # noqa: S608
LATEST: Final = f"SELECT {_COLUMNS} FROM incidents ORDER BY opened_at DESC LIMIT $1"  # noqa: S608

OF_OPERATOR: Final = f"""
    SELECT {_COLUMNS} FROM incidents
    WHERE operator_id = $1 AND ($2 OR resolved_at IS NULL) ORDER BY opened_at DESC, id LIMIT $3
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Noted:
    """`opened` says that the incident is new, `due` that the caller is to act on it now."""

    opened: bool
    due: bool


async def note(pool: asyncpg.Pool, finding: Finding) -> Noted:
    """Opens the incident, or finds it open."""
    row = await pool.fetchrow(
        NOTE,
        finding.kind.value,
        finding.subject,
        finding.operator_id,
        finding.player_key,
        finding.round_id,
        finding.game_id,
        finding.detail,
    )
    return Noted(row["opened"], row["due"])


async def resolve(pool: asyncpg.Pool, incident_id: str) -> bool:
    """Resolves the incident. Returns whether it was open until now."""
    resolved: bool = await pool.fetchval(RESOLVE, UUID(incident_id))
    return resolved


async def open_page(pool: asyncpg.Pool, *, after: tuple[str, str], limit: int) -> list[Incident]:
    """Open incidents in the order of kind and subject, after `after`."""
    return [_incident(row) for row in await pool.fetch(OPEN_PAGE, *after, limit)]


async def unpublished(pool: asyncpg.Pool, *, limit: int) -> list[Incident]:
    """Incidents whose event the broker has not confirmed, oldest first."""
    return [_incident(row) for row in await pool.fetch(UNPUBLISHED, limit)]


async def mark_published(pool: asyncpg.Pool, incident_ids: Sequence[str]) -> None:
    """Marks incidents as published. Call it after the broker's confirm. A repeat does nothing."""
    await pool.execute(MARK, [UUID(incident_id) for incident_id in incident_ids])


async def open_counts(pool: asyncpg.Pool) -> dict[IncidentKind, int]:
    """How many incidents of each kind are open."""
    counted = {row["kind"]: row["open"] for row in await pool.fetch(OPEN_COUNTS)}
    return {kind: counted.get(kind.value, 0) for kind in IncidentKind}


async def listed(pool: asyncpg.Pool, *, resolved_too: bool, limit: int) -> list[Incident]:
    """Open incidents, oldest first; or all, newest first."""
    return [_incident(row) for row in await pool.fetch(LATEST if resolved_too else OPEN_NOW, limit)]


async def of_operator(
    pool: asyncpg.Pool, operator_id: str, *, resolved_too: bool, limit: int
) -> list[Incident]:
    """The operator's, newest first: those that are open, or all."""
    return [_incident(row) for row in await pool.fetch(OF_OPERATOR, operator_id, resolved_too, limit)]


def _incident(row: Mapping[str, Any]) -> Incident:
    return Incident(
        incident_id=str(row["id"]),
        finding=Finding(
            kind=IncidentKind(row["kind"]),
            subject=row["subject"],
            operator_id=row["operator_id"],
            player_key=row["player_key"],
            round_id=row["round_id"],
            game_id=row["game_id"],
            detail=row["detail"],
        ),
        opened_at=row["opened_at"],
        acted_at=row["acted_at"],
        resolved_at=row["resolved_at"],
    )

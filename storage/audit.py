"""The audit log: an entry for each act of an operator's people and machines, written with the act itself.

The interleavings that must not hurt:
* The act is committed, and the process dies, or the database goes, before the entry is written: an act that
  nobody answers for.
* The entry is written, and the act is not done: a record of what never was.

So both are one statement. It is committed as one, and a call that is cancelled leaves no transaction open.
"""

# ruff: noqa: S608 - the statements are put together from constants and numbered arguments

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from contracts.audit import AuditEntry, By, Kind

_LAST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"


def recording(statement: str, *, parameters: int, when: str = "true") -> str:
    """`statement`, which takes so many `parameters` and returns rows, with the entry that `entry` makes of
    the six after those: written when a row comes for which `when` holds."""
    first = parameters + 1
    values = ", ".join(
        f"${first + n}::{type_}" for n, type_ in enumerate(("text",) * 4 + ("text::jsonb", "text"))
    )
    return f"""
        WITH done AS ({statement}), noted AS (
            INSERT INTO audit_log (operator_id, actor, kind, subject, detail, reason)
            SELECT {values} WHERE EXISTS (SELECT FROM done WHERE {when})
        )
        SELECT * FROM done
    """


def entry(
    kind: Kind, by: By, *, operator_id: str | None, subject: str, **detail: Any
) -> tuple[str | None, str, str, str, str, str | None]:
    """The arguments of an entry; `operator_id` is None for what is the platform's own."""
    return operator_id, by.actor, kind.value, subject, json.dumps(detail), by.reason


def _listed(of_actor: str) -> str:
    """A walk for each kind, so that no filter reads more than it shows. Of the same moment, by their ids."""
    before = "(created_at, id) < ((SELECT at FROM place), (SELECT id FROM place))"
    newest_first = "ORDER BY created_at DESC, id DESC LIMIT $4"
    return f"""
        WITH place AS (
            SELECT coalesce($3::uuid, '{_LAST}') AS id,
                   CASE WHEN $3::uuid IS NULL THEN 'infinity' ELSE coalesce(
                       (SELECT created_at FROM audit_log WHERE id = $3 AND operator_id = $1),
                       (SELECT created_at FROM interventions WHERE id = $3 AND operator_id = $1)) END AS at
        )
        SELECT a.* FROM unnest($2::text[]) k (kind) CROSS JOIN LATERAL (
            SELECT id, kind, actor, subject, detail::text AS detail, reason, 'accepted' AS verdict,
                   NULL AS player_id, false AS demo, NULL AS state_before, created_at
            FROM audit_log WHERE operator_id = $1 AND kind = k.kind {of_actor} AND {before} {newest_first}
        ) a
        UNION ALL
        SELECT i.id, i.action, i.actor, i.round_id, '{{}}', i.reason, i.verdict, p.player_id, p.demo,
               i.state_before, i.created_at
        FROM unnest($2::text[]) k (kind) CROSS JOIN LATERAL (
            SELECT * FROM interventions WHERE operator_id = $1 AND action = k.kind {of_actor} AND {before}
            {newest_first}
        ) i JOIN players p ON p.id = i.player_key
        {newest_first}
    """


LISTED: Final = _listed("")
LISTED_OF_ACTOR: Final = _listed("AND actor = $5")


async def listed(
    pool: asyncpg.Pool,
    *,
    operator_id: str,
    kinds: Sequence[Kind] = tuple(Kind),
    actor: str | None = None,
    before: UUID | None = None,
    limit: int,
) -> list[AuditEntry]:
    """The operator's entries, newest first: those of before `before`, where that is given."""
    wanted = (operator_id, [kind.value for kind in kinds], before, limit)
    if actor is None:
        return [_entry(row) for row in await pool.fetch(LISTED, *wanted)]
    return [_entry(row) for row in await pool.fetch(LISTED_OF_ACTOR, *wanted, actor)]


def _entry(row: Mapping[str, Any]) -> AuditEntry:
    known = {**dict(row), "entry_id": str(row["id"]), "detail": json.loads(row["detail"])}
    del known["id"]
    return AuditEntry(**known)

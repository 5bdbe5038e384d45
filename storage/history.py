"""Rounds for people and clients: by id, and page by page from the newest."""

from typing import Any, Final

import asyncpg

from contracts.views import RoundFilter, RoundView
from storage.rounds import round_view

# As the database's view has it, but for what is read beside: with the actions in one statement, the planner
# no longer walks the index.
_ROUNDS: Final = """
    SELECT r.*, s.server_seed_hash, s.client_seed, s.sealed_server_seed
    FROM rounds r LEFT JOIN seeds s ON s.id = r.seed_id
"""
BESIDE: Final = "SELECT id, left_s, taken, asked FROM round_view WHERE id = ANY($1)"
NOTHING_BESIDE: Final[dict[str, Any]] = {"left_s": None, "taken": None, "asked": None}


async def page(
    pool: asyncpg.Pool, wanted: RoundFilter, *, before: int | None, limit: int
) -> tuple[list[RoundView], int | None]:
    """At most `limit` rounds that pass the filter, newest first, and where the next page begins (None
    after the last one)."""
    statement, arguments = _statement(wanted, before, limit + 1)
    rows = [dict(row) for row in await pool.fetch(statement, *arguments)]
    shown = rows[:limit]
    with_choices = [row["id"] for row in shown if row["actions"] or row["offer"]]
    beside = {}
    if with_choices:
        found = await pool.fetch(BESIDE, with_choices)
        beside = {row["id"]: {name: row[name] for name in NOTHING_BESIDE} for row in found}
    following = shown[-1]["id"] if len(rows) > limit else None
    return [round_view(row | beside.get(row["id"], NOTHING_BESIDE)) for row in shown], following


def _statement(wanted: RoundFilter, before: int | None, limit: int) -> tuple[str, list[Any]]:
    """The statement and its arguments. A filter that is not given adds no condition, so that each page has
    the plan of its own filter."""
    filters = {
        "r.operator_id = ": wanted.operator_id,
        "r.player_key = ": wanted.player_key,
        "r.round_id = ": wanted.round_id,
        "r.game_id = ": wanted.game_id,
        "r.state = ": wanted.state and wanted.state.value,
        "r.created_at >= ": wanted.since,
        "r.created_at < ": wanted.until,
        # As the indexes of operators and players have it, and the primary key has not: see storage.tables.
        "-r.id > ": None if before is None else -before,
    }
    asked = {text: value for text, value in filters.items() if value is not None}
    conditions = [f"{text}${number}" for number, text in enumerate(asked, start=1)]
    # As the predicates of the operator's indexes have it, which an argument would not match.
    conditions.append("r.demo" if wanted.demo else "NOT r.demo")
    statement = f"{_ROUNDS} WHERE {' AND '.join(conditions)} ORDER BY -r.id LIMIT ${len(asked) + 1}"
    return statement, [*asked.values(), limit]

"""Rounds as people and clients look them up: by id, and page by page from the newest."""

from typing import Any, Final

from sqlalchemy import Table, not_, select, text
from sqlalchemy.sql import ColumnElement
from sqlmodel import SQLModel

from contracts.views import RoundFilter, RoundView
from storage.database import Database
from storage.rounds import round_view
from storage.tables import Round, Seed

_ROUNDS: Table = SQLModel.metadata.tables[str(Round.__tablename__)]
_SEEDS: Table = SQLModel.metadata.tables[str(Seed.__tablename__)]
# As the database's view has it, but for what is read beside: with the actions in one statement, the planner
# no longer walks the index.
_VIEW = select(
    _ROUNDS, _SEEDS.c.server_seed_hash, _SEEDS.c.client_seed, _SEEDS.c.sealed_server_seed
).select_from(_ROUNDS.outerjoin(_SEEDS, _SEEDS.c.id == _ROUNDS.c.seed_id))
NOTHING_BESIDE: Final[dict[str, Any]] = {"left_s": None, "taken": None}
_BESIDE = text("SELECT id, left_s, taken FROM round_view WHERE id = ANY(:ids)")


async def page(
    database: Database, wanted: RoundFilter, *, before: int | None, limit: int
) -> tuple[list[RoundView], int | None]:
    """At most `limit` rounds that pass the filter, newest first, and where the next page begins (None
    after the last one)."""
    conditions = _conditions(wanted)
    if before is not None:
        conditions.append(-_ROUNDS.c.id > -before)
    # As the indexes of operators and players have it, and the primary key has not: see storage.tables.
    statement = _VIEW.where(*conditions).order_by(-_ROUNDS.c.id).limit(limit + 1)
    async with database.session() as session:
        rows = [dict(row._mapping) for row in await session.execute(statement)]
        shown = rows[:limit]
        with_choices = [row["id"] for row in shown if row["actions"] or row["offer"]]
        beside = {}
        if with_choices:
            found = await session.execute(_BESIDE, {"ids": with_choices})
            beside = {row.id: {"left_s": row.left_s, "taken": row.taken} for row in found}
    following = shown[-1]["id"] if len(rows) > limit else None
    return [round_view(row | beside.get(row["id"], NOTHING_BESIDE)) for row in shown], following


def _conditions(wanted: RoundFilter) -> list[ColumnElement[bool]]:
    columns = _ROUNDS.c
    conditions: list[ColumnElement[bool]] = [columns.operator_id == wanted.operator_id]
    equal = {
        columns.player_key: wanted.player_key,
        columns.round_id: wanted.round_id,
        columns.game_id: wanted.game_id,
        columns.state: wanted.state and wanted.state.value,
    }
    conditions += [column == value for column, value in equal.items() if value is not None]
    # As the predicates of the operator's indexes have it, which a bound value would not match.
    conditions.append(columns.demo if wanted.demo else not_(columns.demo))
    if wanted.since is not None:
        conditions.append(columns.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(columns.created_at < wanted.until)
    return conditions

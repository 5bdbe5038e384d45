"""Rounds as people and clients look them up: by id, and page by page from the newest."""

from typing import Any

from sqlalchemy import Row, Table, not_, select
from sqlalchemy.sql import ColumnElement
from sqlmodel import SQLModel

from contracts.views import RoundFilter, RoundView
from storage.database import Database
from storage.rounds import round_view
from storage.tables import Round, Seed

_ROUNDS: Table = SQLModel.metadata.tables[str(Round.__tablename__)]
_SEEDS: Table = SQLModel.metadata.tables[str(Seed.__tablename__)]
_VIEW = select(
    _ROUNDS, _SEEDS.c.server_seed_hash, _SEEDS.c.client_seed, _SEEDS.c.sealed_server_seed
).select_from(_ROUNDS.outerjoin(_SEEDS, _SEEDS.c.id == _ROUNDS.c.seed_id))


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
        rows = (await session.execute(statement)).all()
    return _page(list(rows), limit)


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
    if wanted.demo is not None:
        # As the predicates of the operator's indexes have it, which a bound value would not match.
        conditions.append(columns.demo if wanted.demo else not_(columns.demo))
    if wanted.since is not None:
        conditions.append(columns.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(columns.created_at < wanted.until)
    return conditions


def _page(rows: list[Row[Any]], limit: int) -> tuple[list[RoundView], int | None]:
    shown = rows[:limit]
    following = shown[-1]._mapping["id"] if len(rows) > limit else None
    return [round_view(dict(row._mapping)) for row in shown], following

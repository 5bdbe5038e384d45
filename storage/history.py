"""Rounds as people and clients look them up: by id, and page by page from the newest."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, Table, select
from sqlalchemy.sql import ColumnElement
from sqlmodel import SQLModel

from contracts.rounds import RoundState
from contracts.views import RoundView
from storage.database import Database
from storage.rounds import round_view
from storage.tables import Round, Seed

_ROUNDS: Table = SQLModel.metadata.tables[str(Round.__tablename__)]
_SEEDS: Table = SQLModel.metadata.tables[str(Seed.__tablename__)]
_VIEW = select(
    _ROUNDS, _SEEDS.c.server_seed_hash, _SEEDS.c.client_seed, _SEEDS.c.sealed_server_seed
).select_from(_ROUNDS.outerjoin(_SEEDS, _SEEDS.c.id == _ROUNDS.c.seed_id))


async def page(
    database: Database,
    *,
    operator_id: str,
    before: int | None,
    limit: int,
    player_key: int | None = None,
    round_id: str | None = None,
    game_id: str | None = None,
    state: RoundState | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[list[RoundView], int | None]:
    """At most `limit` rounds of the operator that pass the filters, newest first, and where the next page
    begins (None after the last one). Times are of the rounds' starts: from `since`, and before `until`."""
    columns = _ROUNDS.c
    wanted = {
        columns.player_key: player_key,
        columns.round_id: round_id,
        columns.game_id: game_id,
        columns.state: None if state is None else state.value,
    }
    filters: list[ColumnElement[bool]] = [columns.operator_id == operator_id]
    filters += [column == value for column, value in wanted.items() if value is not None]
    if before is not None:
        filters.append(columns.id < before)
    if since is not None:
        filters.append(columns.created_at >= since)
    if until is not None:
        filters.append(columns.created_at < until)
    statement = _VIEW.where(*filters).order_by(columns.id.desc()).limit(limit + 1)
    async with database.session() as session:
        rows = (await session.execute(statement)).all()
    return _page(list(rows), limit)


def _page(rows: list[Row[Any]], limit: int) -> tuple[list[RoundView], int | None]:
    shown = rows[:limit]
    following = shown[-1]._mapping["id"] if len(rows) > limit else None
    return [round_view(dict(row._mapping)) for row in shown], following

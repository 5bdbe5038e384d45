"""Rounds for people and clients: by filters, page by page from the newest.

No page reads more than it shows and a window of what it does not: the rounds of an operator, a player or a
state are walked over in the order of an index, WINDOW of them at a time, and the rest of the filter is asked
of those. A search that has found nothing in its window says where it goes on.
"""

# ruff: noqa: S608 - the statements are put together from constants and numbered arguments

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from contracts.failures import OF_DECLINED, OF_VOID
from contracts.rounds import RoundState
from contracts.views import RoundFilter, RoundView, operator_or_none
from storage.rounds import round_view

WINDOW: Final = 5_000
# Places are given in the order of moments, but for transactions that ran side by side and a clock that was
# set.
APART: Final = timedelta(minutes=1)
_UNSETTLED: Final = frozenset({RoundState.DECLINED, RoundState.VOID})
# In the words of the partial index of open rounds.
_OPEN: Final = "r.state IN ('pending', 'awaiting_choice', 'settling')"

# As the database's view has it, but for what is read beside: with the actions in one statement, the planner
# no longer walks the index. Nobody who looks needs the seed, and the console's role may not read it.
_ROUNDS: Final = """
    SELECT r.*, s.server_seed_hash, s.client_seed, NULL::text AS sealed_server_seed
    FROM ({rounds}) r
    LEFT JOIN LATERAL (
        SELECT server_seed_hash, client_seed FROM seeds WHERE id = r.seed_id LIMIT 1
    ) s ON true
    ORDER BY r.id DESC
"""
BESIDE: Final = "SELECT id, left_s, taken, asked FROM round_view WHERE id = ANY($1)"
NOTHING_BESIDE: Final[dict[str, Any]] = {"left_s": None, "taken": None, "asked": None}


@dataclass(frozen=True, slots=True)
class Found:
    """A part of a search, newest first. It goes on before the place `following`, unless that is None;
    `reached` is the start of the oldest round that was looked at, None when all were."""

    rounds: list[RoundView]
    following: int | None
    reached: datetime | None


async def page(
    pool: asyncpg.Pool, wanted: RoundFilter, *, before: int | None, limit: int
) -> tuple[list[RoundView], int | None]:
    """At most `limit` rounds that pass the filter, newest first, and where the next page begins (None
    after the last one). It is full unless there are no more, however many windows that takes."""
    search = await _search(pool, wanted)
    rows: list[dict[str, Any]] = []
    place = before
    while len(rows) <= limit:
        part = await search.part(pool, before=place, limit=limit + 1 - len(rows))
        rows += part.rows
        if (place := part.following) is None:
            break
    shown = rows[:limit]
    return await _views(pool, shown), shown[-1]["id"] if len(rows) > limit else None


async def find(pool: asyncpg.Pool, wanted: RoundFilter, *, before: int | None, limit: int) -> Found:
    """What one window has, at most `limit` rounds. There may be more behind a part that has none."""
    search = await _search(pool, wanted)
    part = await search.part(pool, before=before, limit=limit + 1)
    shown = part.rows[:limit]
    full = len(part.rows) > limit
    following = shown[-1]["id"] if full else part.following
    return Found(await _views(pool, shown), following, shown[-1]["created_at"] if full else part.reached)


async def _views(pool: asyncpg.Pool, rows: Sequence[dict[str, Any]]) -> list[RoundView]:
    with_choices = [row["id"] for row in rows if row["actions"] or row["offer"]]
    beside = {}
    if with_choices:
        found = await pool.fetch(BESIDE, with_choices)
        beside = {row["id"]: {name: row[name] for name in NOTHING_BESIDE} for row in found}
    return [round_view(row | beside.get(row["id"], NOTHING_BESIDE)) for row in rows]


@dataclass(frozen=True, slots=True)
class _Part:
    rows: list[dict[str, Any]]
    following: int | None
    reached: datetime | None


@dataclass(frozen=True, slots=True)
class _Path:
    """How rounds are walked over: conditions that an index answers, with their values, and the index's order.
    A path that is `short` leads to few rounds, which are all read."""

    conditions: tuple[tuple[str, Any], ...]  # `?` stands for the value; None for a condition without one
    order: str = "-r.id"  # as indexes have it; the primary key has id
    short: bool = False

    @property
    def newest_first(self) -> str:
        return self.order if self.order == "-r.id" else f"{self.order} DESC"

    def between(self, after: int | None, before: int | None) -> "_Path":
        """The part of the path behind one place and before another, in the words of its order."""
        texts = ("-r.id > ?", "-r.id < ?") if self.order == "-r.id" else ("r.id < ?", "r.id > ?")
        sign = -1 if self.order == "-r.id" else 1
        bounds = zip(texts, (before, after), strict=True)
        more = tuple((text, sign * place) for text, place in bounds if place is not None)
        return replace(self, conditions=(*self.conditions, *more))


@dataclass(frozen=True, slots=True)
class _Search:
    """A path between the places of two moments, and what is asked of each round on it."""

    path: _Path
    filters: tuple[tuple[str, Any], ...]
    after: int | None
    until: int | None

    async def part(self, pool: asyncpg.Pool, *, before: int | None, limit: int) -> _Part:
        bounds = [place for place in (before, self.until) if place is not None]
        path = self.path.between(self.after, min(bounds, default=None))
        statement, arguments = _rounds(path, self.filters, limit)
        rows = [dict(row) for row in await pool.fetch(statement, *arguments)]
        if len(rows) == limit:
            return _Part(rows, rows[-1]["id"], rows[-1]["created_at"])
        if path.short or not self.filters:
            return _Part(rows, None, None)
        statement, arguments = _end_of_window(path)
        end = await pool.fetchrow(statement, *arguments)
        return _Part(rows, None, None) if end is None else _Part(rows, end["id"], end["created_at"])


async def _search(pool: asyncpg.Pool, wanted: RoundFilter) -> _Search:
    path, filters = _path(wanted), _filters(wanted)
    if path.short:
        return _Search(path, filters, None, None)
    after = None if wanted.since is None else await _last_before(pool, path, _moved(wanted.since, -APART))
    last = None if wanted.until is None else await _last_before(pool, path, _moved(wanted.until, APART))
    return _Search(path, filters, after, None if last is None else last + 1)


def _moved(moment: datetime, by: timedelta) -> datetime:
    """Beyond the ends of the calendar there is nothing to look for."""
    try:
        return moment + by
    except OverflowError:
        return moment


def _path(wanted: RoundFilter) -> _Path:
    """The index that leads to the fewest. What it is asked for need not be asked again."""
    operator_id, state = operator_or_none(wanted.operator_id), _state(wanted)
    # As the predicates of the operator's indexes have it, which an argument would not match.
    money = ("r.demo" if wanted.demo else "NOT r.demo", None)
    if wanted.round_id is not None:
        return _Path((("r.round_id = ?", wanted.round_id),), short=True)
    mine = () if operator_id is None else (("r.operator_id = ?", operator_id),)
    if wanted.player_key is not None:
        # A player is one operator's, and of one money.
        return _Path((("r.player_key = ?", wanted.player_key), *mine, money))
    if state is not None and not state.final:
        return _Path(((_OPEN, None),), short=True)
    if state is not None and state in _UNSETTLED and not wanted.demo:
        # In the words of the index, besides the state.
        return _Path((*mine, ("r.state = ?", state.value), ("r.state IN ('declined', 'void')", None), money))
    return _Path((*mine, money)) if mine else _Path((), order="r.id")


def _state(wanted: RoundFilter) -> RoundState | None:
    """A failure's code says the state."""
    if wanted.state is not None or wanted.failure_code is None:
        return wanted.state
    if wanted.failure_code in OF_DECLINED:
        return RoundState.DECLINED
    return RoundState.VOID if wanted.failure_code in OF_VOID else None


def _filters(wanted: RoundFilter) -> tuple[tuple[str, Any], ...]:
    """All that is asked. Beyond what its path is asked for: a filter that is not given adds no condition, so
    that each search has the plan of its own."""
    path = _path(wanted)
    every = {
        "r.operator_id = ?": operator_or_none(wanted.operator_id),
        "r.player_key = ?": wanted.player_key,
        "r.game_id = ?": wanted.game_id,
        "r.state = ?": wanted.state and wanted.state.value,
        "r.brand = ?": wanted.brand,
        "r.failure_code = ?": wanted.failure_code,
        "r.currency = ?": wanted.currency,
        "r.stake + r.extra >= ?": wanted.staked_at_least,
        "r.win >= ?": wanted.win_at_least,
        "r.created_at >= ?": wanted.since,
        "r.created_at < ?": wanted.until,
    }
    money = ("r.demo" if wanted.demo else "NOT r.demo", None)
    asked = [money, *((text, value) for text, value in every.items() if value is not None)]
    return tuple(condition for condition in asked if condition not in path.conditions)


def _rounds(path: _Path, filters: Sequence[tuple[str, Any]], limit: int) -> tuple[str, tuple[Any, ...]]:
    """The first `limit` of those that pass, of the path's next window."""
    arguments: list[Any] = []
    if not filters:
        return _ROUNDS.format(rounds=_walk(path, "r.*", arguments, limit=limit)), tuple(arguments)
    # With its place in the words of the order, or the planner would sort the whole window anew.
    window = _walk(path, f"r.*, {path.order} AS place", arguments, limit=None if path.short else WINDOW)
    order = path.newest_first.replace(path.order, "r.place")
    passing = _numbered(filters, arguments)
    walked = f"SELECT * FROM ({window}) r WHERE {passing} ORDER BY {order} LIMIT {limit}"
    return _ROUNDS.format(rounds=walked), tuple(arguments)


def _end_of_window(path: _Path) -> tuple[str, tuple[Any, ...]]:
    """The last round of the path's next window, if that is full."""
    arguments: list[Any] = []
    walked = _walk(path, "r.id, r.created_at", arguments, limit=1)
    return f"{walked} OFFSET {WINDOW - 1}", tuple(arguments)


def _walk(path: _Path, columns: str, arguments: list[Any], *, limit: int | None) -> str:
    where = _numbered(path.conditions, arguments) or "true"
    some = "" if limit is None else f" LIMIT {limit}"
    return f"SELECT {columns} FROM rounds r WHERE {where} ORDER BY {path.newest_first}{some}"


def _numbered(conditions: Sequence[tuple[str, Any]], arguments: list[Any]) -> str:
    """The conditions, joined. Their values are added to `arguments`."""
    texts = []
    for text, value in conditions:
        if "?" in text:
            arguments.append(value)
            text = text.replace("?", f"${len(arguments)}")
        texts.append(text)
    return " AND ".join(texts)


async def _last_before(pool: asyncpg.Pool, path: _Path, moment: datetime) -> int | None:
    """The place of the path's last round that began before the moment, by halves: some thirty look-ups in its
    index, however many rounds there are, so that none needs an index of moments. Below all places when there
    is none, and None on an empty path."""
    arguments: list[Any] = [moment]
    where = _numbered(path.conditions, arguments) or "true"
    order = path.order
    oldest_first = f"{order} DESC" if order == "-r.id" else order
    from_here = "-r.id <= -s.middle" if order == "-r.id" else "r.id >= s.middle"
    statement = f"""
        WITH RECURSIVE search AS (
            SELECT (SELECT r.id FROM rounds r WHERE {where} ORDER BY {oldest_first} LIMIT 1) - 1 AS low,
                   (SELECT r.id FROM rounds r WHERE {where} ORDER BY {path.newest_first} LIMIT 1) AS high
            UNION ALL
            SELECT CASE WHEN f.created_at < $1 THEN f.id ELSE s.low END,
                   CASE WHEN f.created_at < $1 THEN s.high ELSE s.middle - 1 END
            FROM (SELECT low, high, low + (high - low + 1) / 2 AS middle FROM search WHERE low < high) s
            CROSS JOIN LATERAL (
                SELECT r.id, r.created_at FROM rounds r WHERE {where} AND {from_here}
                ORDER BY {oldest_first} LIMIT 1) f
        )
        SELECT low FROM search WHERE low >= high
    """
    place: int | None = await pool.fetchval(statement, *arguments)
    return place

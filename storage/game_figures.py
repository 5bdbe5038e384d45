"""What an operator's games have taken and paid: all that the statistics consumer has counted, and the newest
rounds in detail.

Statistics are by game and currency. What a game returns in theory, and how far it strays, depends on the
version, stakes and choices that were played: those are read of the newest rounds, a bounded number of the
operator's index. Rounds with demo money have no events, so nothing counts them: of those there are the newest
ones alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

# Rounds that are looked at, whatever their game.
WINDOW: Final = 5_000

COUNTED: Final = """
    SELECT game_id, currency, rounds, voids, stake AS staked, win AS won
    FROM game_statistics WHERE operator_id = $1 AND ($2::text IS NULL OR game_id = $2) ORDER BY 1, 2
"""
SWITCHED: Final = """
    SELECT game_id, enabled, updated_at FROM game_switches
    WHERE operator_id = $1 AND ($2::text IS NULL OR game_id = $2)
"""
# One text for each index: an argument would match none of their predicates.
_NEWEST: Final = """
    SELECT r.game_id, r.game_version, r.mode, r.currency, r.stake, r.choice, count(*) AS rounds,
           sum(r.extra)::bigint AS extra, sum(r.win)::bigint AS won,
           sum((r.stake + r.extra)::numeric * (r.stake + r.extra))::text AS staked_squared,
           sum(r.win::numeric * r.win)::text AS won_squared,
           sum((r.stake + r.extra)::numeric * r.win)::text AS staked_by_won, min(r.created_at) AS since
    FROM (
        SELECT r.game_id, r.game_version, r.mode, r.currency, r.stake, r.extra, r.choice, r.win, r.state,
               r.created_at
        FROM rounds r WHERE r.operator_id = $1 AND {money} ORDER BY -r.id LIMIT $3
    ) r
    WHERE r.state = 'settled' AND ($2::text IS NULL OR r.game_id = $2)
    GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5
"""
NEWEST: Final = _NEWEST.format(money="NOT r.demo")
NEWEST_DEMO: Final = _NEWEST.format(money="r.demo")
# Since when the newest rounds of all games are.
_REACH: Final = """
    SELECT count(*) AS rounds, min(r.created_at) AS since
    FROM (SELECT r.created_at FROM rounds r WHERE r.operator_id = $1 AND {money} ORDER BY -r.id LIMIT $2) r
"""
REACH: Final = _REACH.format(money="NOT r.demo")
REACH_DEMO: Final = _REACH.format(money="r.demo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """All rounds of a game in one currency that the statistics have: `rounds` were settled, `voids` ended
    otherwise. Amounts of the settled ones, in minor units."""

    game_id: str
    currency: str
    rounds: int
    voids: int
    staked: int
    won: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """Settled rounds that were bet alike. `extra` is what actions cost besides the stakes. The sums of
    squares and products are of each round's whole cost and win. Amounts in minor units."""

    game_id: str
    game_version: str
    mode: str
    currency: str
    stake: int
    choice: dict[str, Any] | None
    rounds: int
    extra: int
    won: int
    staked_squared: int
    won_squared: int
    staked_by_won: int
    since: datetime

    @property
    def staked(self) -> int:
        """All that the rounds took."""
        return self.stake * self.rounds + self.extra


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How many rounds were looked at, and since when they are; None when there was none."""

    rounds: int
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """What an operator last did with a game's switch."""

    game_id: str
    enabled: bool
    updated_at: datetime


async def counted(pool: asyncpg.Pool, operator_id: str, game_id: str | None = None) -> list[Counted]:
    return [Counted(**row) for row in await pool.fetch(COUNTED, operator_id, game_id)]


async def switched(pool: asyncpg.Pool, operator_id: str, game_id: str | None = None) -> list[Switched]:
    return [Switched(**row) for row in await pool.fetch(SWITCHED, operator_id, game_id)]


async def newest(
    pool: asyncpg.Pool, operator_id: str, game_id: str | None = None, *, demo: bool, window: int = WINDOW
) -> list[Played]:
    """The settled ones among the operator's newest rounds, of one game or of all."""
    rows = await pool.fetch(NEWEST_DEMO if demo else NEWEST, operator_id, game_id, window)
    return [_played(row) for row in rows]


async def reach(pool: asyncpg.Pool, operator_id: str, *, demo: bool, window: int = WINDOW) -> Reach:
    """How far back the newest rounds go."""
    return Reach(**await pool.fetchrow(REACH_DEMO if demo else REACH, operator_id, window))


def _played(row: Mapping[str, Any]) -> Played:
    """Sums of squares are numeric in the database, and larger than what it has integers for."""
    squares = {name: int(row[name]) for name in ("staked_squared", "won_squared", "staked_by_won")}
    return Played(**{**dict(row), **squares})

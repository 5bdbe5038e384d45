"""Rounds that have no row yet: an operator's wallet was asked for the stake, and has not answered.

Few are open at a time, and only the index of open ones is read.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from contracts.rounds import RoundKey, RoundState
from contracts.views import RoundFilter, RoundView, operator_or_none, round_begun
from storage.bets import stored_bet

_UNANSWERED: Final = """
    SELECT b.bet, b.asked_at FROM wallet_bets b JOIN players p ON p.id = b.player_key
    WHERE b.resolved_at IS NULL AND b.bet IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM rounds r WHERE r.player_key = b.player_key AND r.round_id = b.round_id)
"""
FIND: Final = f"{_UNANSWERED} AND b.player_key = $1 AND b.round_id = $2"
OF_ID: Final = f"""{_UNANSWERED} AND b.round_id = $1
      AND ($2::text IS NULL OR p.operator_id = $2) AND ($3::text IS NULL OR p.player_id = $3)
    ORDER BY b.asked_at LIMIT $4
"""


# Their places in a list are above all that rows have: the moment of the bet, in microseconds behind END.
END: Final = 2**62
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LATEST: Final = 10**17  # microseconds: what a made-up cursor may be behind END, before moments end


async def find(pool: asyncpg.Pool, key: RoundKey) -> RoundView | None:
    row = await pool.fetchrow(FIND, key.player_key, key.round_id)
    return None if row is None else _view(row)


async def of_id(
    pool: asyncpg.Pool, round_id: str, *, operator_id: str | None, player_id: str | None, limit: int
) -> Sequence[RoundView]:
    """At most `limit` rounds of this id, oldest first; of every operator and player that is not named."""
    return [_view(row) for row in await pool.fetch(OF_ID, round_id, operator_id, player_id, limit)]


async def page(
    pool: asyncpg.Pool, wanted: RoundFilter, *, before: int | None, limit: int
) -> tuple[list[RoundView], int | None]:
    """At most `limit` rounds that pass the filter, newest first, and where the next page begins (None after
    the last one). A place below END is behind them all, and nothing is read for it."""
    if _has_none(wanted) or (before is not None and before < END):
        return [], None
    statement, arguments = _statement(wanted, before, limit + 1)
    rows = await pool.fetch(statement, *arguments)
    more = len(rows) > limit
    last = rows[limit - 1]["asked_at"] if more else None
    following = None if last is None else END + (last - _EPOCH) // _MICROSECOND
    return [_view(row) for row in rows[:limit]], following


def _has_none(wanted: RoundFilter) -> bool:
    """Whether no round that has only begun passes: nothing of it is known but its bet, and that is of real
    money and has no brand yet."""
    known_later = (wanted.brand, wanted.failure_code, wanted.win_at_least)
    return wanted.demo or wanted.state not in (None, RoundState.PENDING) or any(known_later)


def _statement(wanted: RoundFilter, before: int | None, limit: int) -> tuple[str, list[Any]]:
    """The statement and its arguments. A filter that is not given adds no condition, as in history.py."""
    filters = (
        ("p.operator_id =", operator_or_none(wanted.operator_id)),
        ("b.player_key =", wanted.player_key),
        ("b.round_id =", wanted.round_id),
        ("b.game_id =", wanted.game_id),
        ("b.currency =", wanted.currency),
        ("b.stake >=", wanted.staked_at_least),
        ("b.asked_at >=", wanted.since),
        ("b.asked_at <", wanted.until),
        ("b.asked_at <", None if before is None else _EPOCH + min(before - END, _LATEST) * _MICROSECOND),
    )
    asked = [(text, value) for text, value in filters if value is not None]
    conditions = "".join(f" AND {text} ${number}" for number, (text, _) in enumerate(asked, start=1))
    statement = f"{_UNANSWERED}{conditions} ORDER BY b.asked_at DESC LIMIT ${len(asked) + 1}"
    return statement, [*(value for _, value in asked), limit]


def _view(row: Mapping[str, Any]) -> RoundView:
    return round_begun(stored_bet(row["bet"]), row["asked_at"])

"""The ledger's operations on rounds: the named statements and the mapping of their rows.

Each statement calls one function of `storage/functions/` and is one transaction of its own.
"""

# ruff: noqa: S608 - the statements are put together from numbered arguments

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import msgspec

from contracts.actions import ActionVerdict, PlayerAction
from contracts.choices import Abandonment, AskedAction, Offer
from contracts.events import RecordedEvent
from contracts.rounds import Bet, Resolution, RoundKey, RoundState
from contracts.views import RoundView, Settlement
from storage.bets import bet_arguments, bet_parameter
from storage.outbox import occurred_at

RESERVE: Final = f"SELECT * FROM reserve_round_v1({bet_parameter()})"
SETTLE: Final = "SELECT (closed).*, event_data FROM settle_round_v1($1, $2, $3, $4, p_actions => $5)"
OPEN: Final = "SELECT * FROM open_round_v1($1, $2, $3, $4, $5, $6)"
TAKE: Final = "SELECT (standing).*, verdict FROM take_action_v1($1, $2, $3, $4, $5, $6, $7, $8)"
RELEASE: Final = f"SELECT * FROM release_round_v1({bet_parameter(3)}, $1, $2)"
FIND: Final = "SELECT * FROM round_view WHERE player_key = $1 AND round_id = $2"
# By the index of open rounds, in its words. A round that is settling needs its game no more.
OPEN_BY_GAME: Final = """
    SELECT game_id, game_version, count(*) AS rounds,
        (array_agg(operator_id || '/' || round_id ORDER BY id))[1:3] AS first
    FROM rounds WHERE state IN ('pending', 'awaiting_choice', 'settling') AND state <> 'settling'
    GROUP BY game_id, game_version ORDER BY game_id, game_version
"""
SEQUENCE: Final = "SELECT sequence FROM players WHERE id = $1"
# The outbox has the index by sequence: each closed round has its event there. The limit of one keeps
# PostgreSQL to looking up round by round, instead of joining with all that the player has.
CLOSED_AFTER: Final = """
    WITH closed AS (
        SELECT subject, sequence FROM outbox
        WHERE player_key = $1 AND sequence > $2 AND type IN ('round.settled', 'round.void')
        ORDER BY sequence LIMIT $3
    )
    SELECT r.* FROM closed CROSS JOIN LATERAL (
        SELECT * FROM round_view v WHERE v.player_key = $1 AND v.round_id = closed.subject LIMIT 1
    ) r ORDER BY closed.sequence
"""


async def reserve(pool: asyncpg.Pool, bet: Bet) -> RoundView:
    """Holds the stake, or records its refusal, or answers what is stored under the round's id."""
    return round_view(await pool.fetchrow(RESERVE, *bet_arguments(bet)))


async def settle(
    pool: asyncpg.Pool, key: RoundKey, outcome: dict[str, Any], win: int, actions: int = 0
) -> Settlement:
    """Closes the round as settled, with the outcome that was computed after `actions` actions, or answers how
    it was closed before. Raises asyncpg.NoDataFoundError when there is no such round."""
    return settlement(await pool.fetchrow(SETTLE, key.player_key, key.round_id, outcome, win, actions))


async def open_round(pool: asyncpg.Pool, key: RoundKey, resolution: Resolution) -> RoundView:
    """Records a step with an offer, or answers the round's state. Raises asyncpg.NoDataFoundError
    when there is no such round."""
    offer = resolution.offer
    assert offer is not None
    waits_s = None if offer.abandonment is Abandonment.HOLD else offer.decide_within_s
    arguments = (resolution.actions, resolution.outcome, msgspec.to_builtins(offer), waits_s)
    return round_view(await pool.fetchrow(OPEN, key.player_key, key.round_id, *arguments))


async def take_action(
    pool: asyncpg.Pool, key: RoundKey, action: PlayerAction
) -> tuple[ActionVerdict, RoundView | None]:
    """Takes an action from the round's offer, once. Returns the verdict and the round after it, None when
    there is no such round."""
    row = await pool.fetchrow(
        TAKE,
        key.player_key,
        key.round_id,
        action.action_id,
        action.chosen.action,
        action.chosen.params,
        action.by,
        action.request_id,
        action.after,
    )
    verdict = ActionVerdict(row["verdict"])
    return verdict, None if verdict is ActionVerdict.NOT_FOUND else round_view(row)


async def release(pool: asyncpg.Pool, bet: Bet, failure_code: str, failure_detail: str) -> RoundView:
    """Closes the round as void and releases its stake, or answers how it was closed before."""
    row = await pool.fetchrow(RELEASE, failure_code, failure_detail, *bet_arguments(bet))
    return round_view(row)


async def find(pool: asyncpg.Pool, key: RoundKey) -> RoundView | None:
    row = await pool.fetchrow(FIND, key.player_key, key.round_id)
    return None if row is None else round_view(row)


@dataclass(frozen=True, slots=True)
class OpenRounds:
    """How many rounds of one version of a game wait for it, and the first of them as operator/round."""

    game_id: str
    game_version: str
    rounds: int
    first: list[str]


async def open_by_game(pool: asyncpg.Pool) -> list[OpenRounds]:
    return [OpenRounds(**row) for row in await pool.fetch(OPEN_BY_GAME)]


async def sequence(pool: asyncpg.Pool, player_key: int) -> int | None:
    """The sequence of the player's last event, 0 when there is none; None for an unknown player. Every event
    with a smaller one is committed too, because sequences are taken under the player's lock."""
    found: int | None = await pool.fetchval(SEQUENCE, player_key)
    return found


async def closed_after(pool: asyncpg.Pool, *, player_key: int, sequence: int, limit: int) -> list[RoundView]:
    """The player's rounds that closed after the one with `sequence`, in the order of their closing."""
    return [round_view(row) for row in await pool.fetch(CLOSED_AFTER, player_key, sequence, limit)]


def round_view(row: Mapping[str, Any]) -> RoundView:
    """A row of the view `round_view` as the contract's dataclass."""
    return RoundView(
        key=RoundKey(operator_id=row["operator_id"], player_key=row["player_key"], round_id=row["round_id"]),
        state=RoundState(row["state"]),
        event_id=None if row["event_id"] is None else str(row["event_id"]),
        offer=None if row["offer"] is None else msgspec.convert(row["offer"], Offer),
        asked=None if row["asked"] is None else msgspec.convert(row["asked"], AskedAction),
        **{name: row[name] for name in _PLAIN_COLUMNS},
    )


def settlement(row: Mapping[str, Any]) -> Settlement:
    """A row of the view `round_view` and the `event_data` of the round that this very call closed."""
    view, data = round_view(row), row["event_data"]
    return Settlement(view=view, event=None if data is None else _event(view, data))


def _event(view: RoundView, data: str) -> RecordedEvent:
    """The event of a round that has just closed, as its outbox row has it."""
    assert view.event_id is not None
    assert view.sequence is not None
    assert view.closed_at is not None
    return RecordedEvent(
        event_id=view.event_id,
        type=f"round.{view.state}",
        operator_id=view.key.operator_id,
        game_id=view.game_id,
        subject=view.key.round_id,
        sequence=view.sequence,
        occurred_at=occurred_at(view.closed_at),
        data=data,
    )


_OTHER_COLUMNS: Final = ("operator_id", "player_key", "round_id", "state", "event_id", "offer", "asked")
_PLAIN_COLUMNS: Final = tuple(
    name for name in RoundView.__slots__ if name not in ("key", "state", "event_id", "offer", "asked")
)
_SHOWN: Final = ", ".join(name for name in (*_OTHER_COLUMNS, *_PLAIN_COLUMNS) if name != "sealed_server_seed")
# For whoever looks: without the seed, which the console's role may not read.
SHOWN: Final = f"""
    SELECT {_SHOWN}, NULL::text AS sealed_server_seed FROM round_view WHERE player_key = $1 AND round_id = $2
"""

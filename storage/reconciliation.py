"""What reconciliation reads: open rounds, events, and calls of operators' wallets. Every statement
reads a page behind a mark or an index of what is open, never the history.

Look-ups of single rows stand as subqueries, which are planned as such; a join might be planned as a walk over
all rounds.
"""

# ruff: noqa: S608 - the statements are put together from constants

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from typing import Any, Final

import asyncpg

from contracts.events import RecordedEvent
from contracts.rounds import STORED_OF_BET, Bet, RoundKey, RoundState
from storage.bets import stored_bet
from storage.outbox import recorded_event

PAGE: Final = 200
EVENT_PAGE: Final = 500
# How many of the latest events and attempts the very first check begins with.
FIRST_CHECK: Final = 10_000

# The time since when a round should have gone on by itself. A round that waits for its player goes on when
# the player's time is over. Until then, and where it is held without end, the player's next action resumes a
# lost one. While an operator's wallet is asked for what an action costs, the round does not wait.
_SINCE: Final = """
    CASE WHEN r.state = 'awaiting_choice' THEN
             least(coalesce(r.decide_by, 'infinity'),
                   (SELECT b.asked_at FROM wallet_action_bets b
                    WHERE b.player_key = r.player_key AND b.round_id = r.round_id AND b.outcome IS NULL))
         WHEN r.actions = 0 THEN r.created_at
         ELSE (SELECT max(a.taken_at) FROM round_actions a
               WHERE a.player_key = r.player_key AND a.round_id = r.round_id) END
"""
OPEN_ROUNDS: Final = f"""
    SELECT r.*, {_SINCE} AS since FROM rounds r
    WHERE is_open(r.state) AND (r.player_key, r.game_id) > ($1, $2)
      AND {_SINCE} < $3
    ORDER BY r.player_key, r.game_id LIMIT {PAGE}
"""
UNANSWERED_BETS: Final = f"""
    SELECT b.*, (SELECT p.operator_id FROM players p WHERE p.id = b.player_key) AS operator_id
    FROM wallet_bets b
    WHERE b.resolved_at IS NULL AND (b.player_key, b.game_id) > ($1, $2) AND b.asked_at < $3
      AND (SELECT r.id FROM rounds r WHERE r.round_id = b.round_id AND r.player_key = b.player_key) IS NULL
    ORDER BY b.player_key, b.game_id LIMIT {PAGE}
"""
ROUND: Final = f"SELECT r.*, {_SINCE} AS since FROM rounds r WHERE r.player_key = $1 AND r.round_id = $2"
UNRESOLVED_BET: Final = """
    SELECT b.*, (SELECT p.operator_id FROM players p WHERE p.id = b.player_key) AS operator_id
    FROM wallet_bets b WHERE b.player_key = $1 AND b.round_id = $2 AND b.resolved_at IS NULL
"""
SESSION: Final = "SELECT id FROM sessions WHERE id = $1 AND operator_id = $2 AND player_key = $3"
_EVENT: Final = """
    o.id, o.event_id, o.type, o.operator_id, o.player_key, o.game_id, o.subject, o.sequence,
    o.data::text AS data, o.occurred_at, o.published_at,
    (SELECT i.applied_at FROM inbox i
     WHERE i.consumer = 'statistics' AND i.event_id = o.event_id) IS NOT NULL AS applied
"""
EVENTS: Final = (
    f"SELECT {_EVENT} FROM outbox o WHERE o.id > $1 AND o.occurred_at < $2 ORDER BY o.id LIMIT {EVENT_PAGE}"
)
EVENT: Final = f"SELECT {_EVENT} FROM outbox o WHERE o.event_id = $1::uuid"
FIRST_EVENT: Final = f"SELECT greatest(coalesce(max(id), 0) - {FIRST_CHECK}, 0) FROM outbox"
_ATTEMPT: Final = """
    SELECT a.id, a.round_id, a.call, a.transaction_id, a.amount, a.verdict, a.duplicate, a.created_at,
           a.player_key,
           (SELECT p.operator_id FROM players p WHERE p.id = a.player_key) AS operator_id,
           (SELECT p.player_id FROM players p WHERE p.id = a.player_key) AS player_id
    FROM wallet_attempts a
"""
ATTEMPTS: Final = f"{_ATTEMPT} WHERE a.id > $1 ORDER BY a.id LIMIT {EVENT_PAGE}"
ACCEPTED: Final = (
    f"{_ATTEMPT} WHERE a.player_key = $1 AND a.round_id = $2 AND a.verdict = 'accepted' ORDER BY a.id"
)
FIRST_ATTEMPT: Final = f"SELECT greatest(coalesce(max(id), 0) - {FIRST_CHECK}, 0) FROM wallet_attempts"
_PLAYER: Final = "(SELECT p.id FROM players p WHERE p.operator_id = $1 AND p.player_id = $2 AND NOT p.demo)"
_WALLET_ROUND: Final = f"""
    SELECT b.player_key, b.round_id, b.game_id, b.currency, b.stake, b.releasing,
           (SELECT r.state FROM rounds r
            WHERE r.round_id = b.round_id AND r.player_key = b.player_key) AS state,
           (SELECT r.win FROM rounds r WHERE r.round_id = b.round_id AND r.player_key = b.player_key) AS win,
           (SELECT t.amount FROM transfers t
            WHERE t.player_key = b.player_key AND t.kind = 'returned' AND t.reference = b.round_id
              AND t.step = 0) AS returned,
           (SELECT jsonb_agg(jsonb_build_object(
                'action_id', a.action_id, 'amount', a.amount, 'releasing', a.releasing, 'outcome', a.outcome))
            FROM wallet_action_bets a
            WHERE a.player_key = b.player_key AND a.round_id = b.round_id) AS actions,
           (SELECT coalesce(sum(CASE t.kind WHEN 'collected' THEN -t.amount ELSE t.amount END), 0)::bigint
            FROM transfers t
            WHERE t.player_key = b.player_key AND t.kind IN ('collected', 'paid', 'returned')
              AND t.reference = b.round_id) AS net
    FROM wallet_bets b
    WHERE b.player_key = {_PLAYER}
"""
WALLET_ROUND: Final = f"{_WALLET_ROUND} AND b.round_id = $3"
# A dialect may shorten ids that are longer than this (wallet/dialect.py), and an index has their bets.
LONG_ROUND: Final = f"""{_WALLET_ROUND} AND b.round_id = ANY (ARRAY(
    SELECT w.round_id FROM wallet_bets w
    WHERE w.player_key = {_PLAYER} AND w.transaction_id = $3 AND length(w.round_id) > 32
    UNION ALL
    SELECT a.round_id FROM wallet_action_bets a
    WHERE a.player_key = {_PLAYER} AND a.transaction_id = $3 AND length(a.round_id) > 32))
"""
DECIDED_OUTSIDE: Final = """
    SELECT i.round_id, (SELECT p.player_id FROM players p WHERE p.id = i.player_key) AS player_id
    FROM interventions i
    WHERE i.operator_id = $1 AND i.created_at >= $2 AND i.created_at < $3 AND i.verdict = 'accepted'
      AND i.action IN ('paid-outside', 'refunded-outside')
"""
MARK: Final = "SELECT mark FROM reconciliation_marks WHERE name = $1"
MOVE_MARK: Final = "SELECT move_reconciliation_mark_v1($1, $2, $3)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A round as the ledger has it, or the bet that an operator's wallet was asked for before there was a
    round: `state` is None then. `bet` is None for a bet of before bets were kept with it."""

    key: RoundKey
    state: RoundState | None
    game_id: str
    since: datetime
    bet: Bet | None

    @property
    def open(self) -> bool:
        return self.state is None or not self.state.final


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event and how far it came. `position` is its place in the outbox."""

    position: int
    player_key: int
    event: RecordedEvent
    occurred_at: datetime
    published_at: datetime | None
    applied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call of an operator's wallet. `position` is its place among all attempts, `amount` in minor
    units."""

    position: int
    operator_id: str
    player_id: str
    player_key: int
    round_id: str
    call: str
    transaction_id: str
    amount: int | None
    accepted: bool
    duplicate: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletAction:
    """An action whose bet an operator's wallet was asked for. `outcome` is None while that is open, then
    taken, declined or rolled-back."""

    action_id: str
    amount: int
    releasing: bool
    outcome: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletRound:
    """Our ledger's record of a round whose money an operator's wallet keeps. Amounts are in minor units of
    `currency`; `returned` is all that was returned, None when nothing was, and `net` what the player's
    balance at the wallet changed by. `state` is None while there is no round."""

    key: RoundKey
    game_id: str
    currency: str
    stake: int
    releasing: bool
    state: RoundState | None
    win: int
    returned: int | None
    actions: tuple[WalletAction, ...] = ()
    net: int = 0

    def of_first_bet(self) -> "WalletRound":
        """The round as if it had only the bet that it began with."""
        returned = None if self.returned is None else self.returned - self._taken
        return replace(self, returned=returned, actions=())

    def of_action(self, action: WalletAction) -> "WalletRound":
        """The round as if it had only this action's bet."""
        taken = action.outcome == "taken"
        return replace(
            self,
            stake=action.amount,
            releasing=self.releasing or action.releasing,
            state=RoundState.DECLINED if action.outcome == "declined" else self.state,
            returned=action.amount if taken and self.returned is not None else None,
            actions=(),
        )

    @property
    def _taken(self) -> int:
        return sum(action.amount for action in self.actions if action.outcome == "taken")

    @property
    def ended(self) -> bool:
        """Whether the wallet has taken all that it was, or will be, asked for."""
        return self.state is not None and self.state.final


async def open_rounds(pool: asyncpg.Pool, *, after: tuple[int, str], before: datetime) -> list[Standing]:
    """A page of rounds that were open since before `before`, in the order of player and game."""
    return [_round(row) for row in await pool.fetch(OPEN_ROUNDS, *after, before)]


async def unanswered_bets(pool: asyncpg.Pool, *, after: tuple[int, str], before: datetime) -> list[Standing]:
    """A page of bets that an operator's wallet was asked for before `before`, and that have no round."""
    return [_bet(row) for row in await pool.fetch(UNANSWERED_BETS, *after, before)]


async def standing(pool: asyncpg.Pool, key: RoundKey) -> Standing | None:
    """The round, or the bet that waits for its wallet; None when nothing is stored, or the bet has ended."""
    row = await pool.fetchrow(ROUND, key.player_key, key.round_id)
    if row is not None:
        return _round(row)
    row = await pool.fetchrow(UNRESOLVED_BET, key.player_key, key.round_id)
    return None if row is None else _bet(row)


async def has_session(pool: asyncpg.Pool, bet: Bet) -> bool:
    """Returns whether the bet's session is one of the operator's player here."""
    key = bet.key
    return await pool.fetchval(SESSION, bet.session_id, key.operator_id, key.player_key) is not None


async def events(pool: asyncpg.Pool, *, after: int, before: datetime) -> list[StoredEvent]:
    """A page of the outbox, at most EVENT_PAGE, of events that occurred before `before`."""
    return [_event(row) for row in await pool.fetch(EVENTS, after, before)]


async def event(pool: asyncpg.Pool, event_id: str) -> StoredEvent | None:
    row = await pool.fetchrow(EVENT, event_id)
    return None if row is None else _event(row)


async def attempts(pool: asyncpg.Pool, *, after: int, before: datetime) -> list[Attempt]:
    """A page of attempts at operators' wallets, at most EVENT_PAGE. It ends at the first that is not from
    before `before`: ids and times of two processes may be in another order, and none is to be passed over."""
    page = [_attempt(row) for row in await pool.fetch(ATTEMPTS, after)]
    return list(takewhile(lambda attempt: attempt.created_at < before, page))


async def accepted(pool: asyncpg.Pool, key: RoundKey) -> list[Attempt]:
    """The round's calls that its wallet accepted."""
    return [_attempt(row) for row in await pool.fetch(ACCEPTED, key.player_key, key.round_id)]


async def wallet_round(
    pool: asyncpg.Pool, *, operator_id: str, player_id: str, round_id: str
) -> WalletRound | None:
    """Returns None when no wallet was asked for that round's bet."""
    row = await pool.fetchrow(WALLET_ROUND, operator_id, player_id, round_id)
    return None if row is None else _wallet_round(row, operator_id)


async def long_round(
    pool: asyncpg.Pool, *, operator_id: str, player_id: str, bet_transaction_id: str
) -> WalletRound | None:
    """The same by the bet's transaction, for a round whose id may be too long for its wallet."""
    row = await pool.fetchrow(LONG_ROUND, operator_id, player_id, bet_transaction_id)
    return None if row is None else _wallet_round(row, operator_id)


async def decided_outside(
    pool: asyncpg.Pool, *, operator_id: str, since: datetime, until: datetime
) -> list[tuple[str, str]]:
    """Player's and round's ids of the rounds that were said to be paid, or refunded, by other means within
    the span."""
    found = await pool.fetch(DECIDED_OUTSIDE, operator_id, since, until)
    return [(row["player_id"], row["round_id"]) for row in found]


async def first_event(pool: asyncpg.Pool) -> int:
    """Where the first check of the outbox begins."""
    position: int = await pool.fetchval(FIRST_EVENT)
    return position


async def first_attempt(pool: asyncpg.Pool) -> int:
    """Where the first check of attempts begins."""
    position: int = await pool.fetchval(FIRST_ATTEMPT)
    return position


async def mark(pool: asyncpg.Pool, name: str) -> str | None:
    """How far that check has come; None before the first."""
    found: str | None = await pool.fetchval(MARK, name)
    return found


async def move_mark(pool: asyncpg.Pool, name: str, found: str | None, to: str) -> bool:
    """Moves a mark from where the caller found it. Returns False when another run has moved it since."""
    moved: bool = await pool.fetchval(MOVE_MARK, name, found, to)
    return moved


def _round(row: Mapping[str, Any]) -> Standing:
    key = RoundKey(operator_id=row["operator_id"], player_key=row["player_key"], round_id=row["round_id"])
    bet = Bet(key=key, **{name: row[name] for name in STORED_OF_BET if name != "key"})
    return Standing(
        key=key, state=RoundState(row["state"]), game_id=row["game_id"], since=row["since"], bet=bet
    )


def _bet(row: Mapping[str, Any]) -> Standing:
    return Standing(
        key=RoundKey(operator_id=row["operator_id"], player_key=row["player_key"], round_id=row["round_id"]),
        state=None,
        game_id=row["game_id"],
        since=row["asked_at"],
        bet=None if row["bet"] is None else stored_bet(row["bet"]),
    )


def _wallet_round(row: Mapping[str, Any], operator_id: str) -> WalletRound:
    return WalletRound(
        key=RoundKey(operator_id=operator_id, player_key=row["player_key"], round_id=row["round_id"]),
        game_id=row["game_id"],
        currency=row["currency"],
        stake=row["stake"],
        releasing=row["releasing"],
        state=None if row["state"] is None else RoundState(row["state"]),
        win=row["win"] or 0,
        returned=row["returned"],
        actions=tuple(WalletAction(**action) for action in row["actions"] or ()),
        net=row["net"],
    )


def _attempt(row: Mapping[str, Any]) -> Attempt:
    return Attempt(
        position=row["id"],
        operator_id=row["operator_id"],
        player_id=row["player_id"],
        player_key=row["player_key"],
        round_id=row["round_id"],
        call=row["call"],
        transaction_id=row["transaction_id"],
        amount=row["amount"],
        accepted=row["verdict"] == "accepted",
        duplicate=row["duplicate"],
        created_at=row["created_at"],
    )


def _event(row: Mapping[str, Any]) -> StoredEvent:
    return StoredEvent(
        position=row["id"],
        player_key=row["player_key"],
        event=recorded_event(row),
        occurred_at=row["occurred_at"],
        published_at=row["published_at"],
        applied=row["applied"],
    )

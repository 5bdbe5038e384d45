"""Earlier rounds: a database as after a long time, loaded set by set with the same rows that real rounds
leave.

One statement plays the next round of every player: rounds, transfers with their hash chain, postings,
published events, the statistics' inbox. With the statistics' sums it is one commit, after which every
invariant of the ledger holds. All constraints, indexes and triggers stay as they are. The outcomes are the
game's own, from the players' seeds.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

import asyncpg

from games.checks import play_round
from games.dice import GAME
from games.draws import HmacDraws
from games.protocol import Step, Wager
from security.keyring import Keyring
from security.seeds import SeedVault, commitment, new_server_seed
from storage.sessions import ENSURE_SHARED_ACCOUNTS

CURRENCY: Final = "EUR"
STAKE: Final = 100  # minor units
DEPOSIT: Final = 10_000_000  # minor units: enough for every player
CHOICE: Final = {"direction": "over", "target": 4999}
BETWEEN_ROUNDS: Final = timedelta(seconds=10)
SESSION: Final = timedelta(hours=12)
CONNECTIONS: Final = 2
ANNOUNCEMENTS: Final = 20  # of one load, at most
STATEMENT_TIMEOUT_S: Final = 600.0
TABLES: Final = (
    *("players", "accounts", "sessions", "seeds", "rounds", "transfers", "postings"),
    *("outbox", "inbox", "game_statistics"),
)

Announce = Callable[[str], None]

PLAYERS: Final = "INSERT INTO players (operator_id, player_id, created_at) SELECT $1, unnest($2::text[]), $3"
ACCOUNTS: Final = """
    INSERT INTO accounts (operator_id, kind, player_key, currency, balance, created_at)
    SELECT operator_id, 'player', id, $2, 0, created_at
    FROM players WHERE operator_id = $1 AND player_id = ANY($3)
"""
SESSIONS: Final = """
    WITH seat AS (
        SELECT g.*, p.operator_id, p.id AS player_key, p.created_at, a.id AS account_id, a.currency
        FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
            AS g (player_id, session_id, seed_id, sealed_server_seed, server_seed_hash, client_seed)
        JOIN players p ON p.operator_id = $1 AND p.player_id = g.player_id
        JOIN accounts a ON a.player_key = p.id AND a.currency = $8
    ), seed AS (
        INSERT INTO seeds (id, player_key, sealed_server_seed, server_seed_hash, client_seed, created_at)
        SELECT seed_id, player_key, sealed_server_seed, server_seed_hash, client_seed, created_at FROM seat
    )
    INSERT INTO sessions
        (id, operator_id, player_key, account_id, game_id, currency, mode, seed_id, created_at, expires_at)
    SELECT session_id, operator_id, player_key, account_id, $9, currency, 'real', seed_id, created_at, $10
    FROM seat
"""
# A data-modifying part of a statement sees none of the others' changes, so what they share is computed first.
DEPOSITS: Final = """
    WITH paid AS MATERIALIZED (
        SELECT p.id AS player_key, a.id AS account_id, p.created_at, p.chain_head,
               transfer_digest(p.chain_head, p.id, 1, 'deposit', 'first', 0, $2::bigint, a.id, $3::bigint,
                               a.currency, p.created_at) AS hash, a.currency
        FROM sessions s JOIN players p ON p.id = s.player_key JOIN accounts a ON a.id = s.account_id
        WHERE s.id = ANY($1)
    ), moved AS (
        INSERT INTO transfers (player_key, position, kind, reference, debit_account, credit_account, amount,
                               currency, available_after, previous_hash, hash, created_at)
        SELECT player_key, 1, 'deposit', 'first', $2, account_id, $3, currency, $3, chain_head, hash,
               created_at
        FROM paid ORDER BY player_key
        RETURNING id, debit_account, credit_account, amount, currency
    ), posted AS (
        INSERT INTO postings (transfer_id, account_id, amount, currency)
        SELECT m.id, side.account_id, side.amount, m.currency
        FROM moved m, LATERAL (VALUES (m.debit_account, -m.amount), (m.credit_account, m.amount))
            AS side (account_id, amount)
    ), chained AS (
        UPDATE players p SET chain_length = 1, chain_head = paid.hash
        FROM paid WHERE p.id = paid.player_key
    )
    UPDATE accounts a SET balance = $3 FROM paid WHERE a.id = paid.account_id
"""
ROUNDS: Final = """
    WITH placed AS MATERIALIZED (
        SELECT s.id AS session_id, s.seed_id, s.operator_id, s.player_key, s.account_id, s.currency,
               s.game_id, p.player_id, p.chain_length, p.chain_head, p.sequence + 1 AS sequence,
               a.balance + g.win - $4::bigint AS balance, g.win, g.outcome::jsonb AS outcome,
               replace(gen_random_uuid()::text, '-', '') AS round_id,
               replace(gen_random_uuid()::text, '-', '') AS request_id,
               gen_random_uuid() AS event_id,
               $5::timestamptz + random() * interval '5 s' AS created_at
        FROM unnest($1::text[], $2::bigint[], $3::text[]) AS g (session_id, win, outcome)
        JOIN sessions s ON s.id = g.session_id
        JOIN players p ON p.id = s.player_key
        JOIN accounts a ON a.id = s.account_id
    ), staked AS MATERIALIZED (
        SELECT *, created_at + interval '7 ms' AS moved_at,
               transfer_digest(chain_head, player_key, chain_length + 1, 'stake', round_id, 0, account_id,
                               $6::bigint, $4::bigint, currency, created_at + interval '7 ms') AS stake_hash
        FROM placed
    ), played AS MATERIALIZED (
        SELECT *, CASE WHEN win > 0 THEN
                   transfer_digest(stake_hash, player_key, chain_length + 2, 'win', round_id, 0, $6::bigint,
                                   account_id, win, currency, moved_at)
               END AS win_hash
        FROM staked
    ), closed AS (
        INSERT INTO rounds (
            operator_id, player_key, player_id, account_id, session_id, round_id, game_id, game_version,
            currency, mode, stake, choice, request_id, seed_id, nonce, state, outcome, win, balance, sequence,
            event_id, created_at, closed_at)
        SELECT operator_id, player_key, player_id, account_id, session_id, round_id, game_id, $7, currency,
               'base', $4, $8::text::jsonb, request_id, seed_id, $9::bigint, 'settled', outcome, win, balance,
               sequence, event_id, created_at, moved_at + interval '1 ms'
        FROM played ORDER BY created_at
        RETURNING rounds AS round
    ), moved AS (
        INSERT INTO transfers (player_key, position, kind, reference, debit_account, credit_account, amount,
                               currency, available_after, previous_hash, hash, created_at)
        SELECT player_key, chain_length + 1 AS position, 'stake', round_id, account_id, $6, $4, currency,
               balance - win, chain_head, stake_hash, moved_at
        FROM played
        UNION ALL
        SELECT player_key, chain_length + 2, 'win', round_id, $6, account_id, win, currency, balance,
               stake_hash, win_hash, moved_at
        FROM played WHERE win > 0
        ORDER BY moved_at, position
        RETURNING id, debit_account, credit_account, amount, currency
    ), posted AS (
        INSERT INTO postings (transfer_id, account_id, amount, currency)
        SELECT m.id, side.account_id, side.amount, m.currency
        FROM moved m, LATERAL (VALUES (m.debit_account, -m.amount), (m.credit_account, m.amount))
            AS side (account_id, amount)
    ), recorded AS (
        INSERT INTO outbox (event_id, type, operator_id, player_key, game_id, subject, sequence, data,
                            occurred_at, published_at)
        SELECT (round).event_id, 'round.settled', (round).operator_id, (round).player_key, (round).game_id,
               (round).round_id, (round).sequence, round_event_data(round), (round).closed_at,
               (round).closed_at + interval '4 ms'
        FROM closed
    ), applied AS (
        INSERT INTO inbox (consumer, event_id, applied_at)
        SELECT 'statistics', event_id, moved_at + interval '20 ms' FROM played
    ), drawn AS (
        UPDATE seeds d SET next_nonce = $9 + 1 FROM played WHERE d.id = played.seed_id
    ), chained AS (
        UPDATE players p SET sequence = played.sequence,
            chain_length = p.chain_length + CASE WHEN played.win > 0 THEN 2 ELSE 1 END,
            chain_head = coalesce(played.win_hash, played.stake_hash)
        FROM played WHERE p.id = played.player_key
    )
    UPDATE accounts a SET balance = played.balance FROM played WHERE a.id = played.account_id
"""
# A statement of its own, at the end of the commit: adding to the sums locks their one row until then.
STATISTICS: Final = """
    INSERT INTO game_statistics AS g (operator_id, game_id, currency, rounds, stake, win)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (operator_id, game_id, currency) DO UPDATE SET
        rounds = g.rounds + excluded.rounds, stake = g.stake + excluded.stake, win = g.win + excluded.win
"""
SHARED_ACCOUNT: Final = """
    SELECT id FROM accounts WHERE operator_id = $1 AND kind = $2 AND currency = $3 AND player_key IS NULL
"""


@dataclass(frozen=True, slots=True)
class Seat:
    """A player in a session. The seed is kept in the clear for as long as the rounds are made."""

    player_id: str
    session_id: str
    seed_id: str
    seed: bytes
    client_seed: str


def player_ids(count: int) -> list[str]:
    """The ids that the operator of the earlier rounds knows their players by."""
    return [f"earlier-{number}" for number in range(count)]


async def load_earlier_rounds(
    source: asyncpg.Pool | asyncpg.Connection,
    *,
    operator_id: str,
    players: int,
    rounds_each: int,
    vault: SeedVault | None = None,
    announce: Announce = lambda _: None,
) -> None:
    """Load `rounds_each` settled rounds of dice for each of `players` new players (see `player_ids`) of an
    operator that exists. The last of them was a moment ago. A pool loads with two of its connections at once.
    `vault` seals the players' seeds; without one their sessions cannot be played on, and they need new ones.
    Raises asyncpg.PostgresError, above all when the operator has these players already.
    """
    seats = [_seat(player_id) for player_id in player_ids(players)]
    now = datetime.now(UTC)
    history = History(operator_id, now - (rounds_each + 1) * BETWEEN_ROUNDS, now + SESSION, rounds_each)
    progress = Progress(players * rounds_each, announce)
    async with _connections(source) as connections:
        await connections[0].execute(ENSURE_SHARED_ACCOUNTS, operator_id, CURRENCY)
        shares = [seats[place :: len(connections)] for place in range(len(connections))]
        async with asyncio.TaskGroup() as group:
            for connection, share in zip(connections, shares, strict=True):
                loader = _Loader(connection, history, share, vault or _throwaway_vault(), progress)
                group.create_task(loader.run())
        announce("vacuuming, and collecting the planner's statistics")
        for table in TABLES:
            await connections[0].execute(f"VACUUM (ANALYZE) {table}", timeout=STATEMENT_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class History:
    """Whose rounds, from when on, until when their sessions last, and how many each player has."""

    operator_id: str
    since: datetime
    until: datetime
    rounds_each: int


class Progress:
    """Announces how many rounds are loaded by now."""

    def __init__(self, total: int, announce: Announce) -> None:
        self._total, self._announce = total, announce
        self._loaded, self._began = 0, time.monotonic()

    def add(self, rounds: int) -> None:
        """Announces each of ANNOUNCEMENTS parts that is full."""
        before = self._loaded * ANNOUNCEMENTS // self._total
        self._loaded += rounds
        if self._loaded * ANNOUNCEMENTS // self._total == before:
            return
        passed = time.monotonic() - self._began
        self._announce(f"{self._loaded:,} of {self._total:,} earlier rounds, {passed:.0f} s")


class _Loader:
    """Loads some of the players over one connection."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        history: History,
        seats: Sequence[Seat],
        vault: SeedVault,
        progress: Progress,
    ) -> None:
        self._connection, self._history, self._progress = connection, history, progress
        self._seats, self._vault = seats, vault
        self._sessions = [seat.session_id for seat in seats]

    async def run(self) -> None:
        async with self._connection.transaction():
            await self._seat_players()
            await self._execute(DEPOSITS, self._sessions, await self._shared_account("cash"), DEPOSIT)
        house = await self._shared_account("house")
        for nonce in range(self._history.rounds_each):
            async with self._connection.transaction():
                await self._play(nonce, house)
            self._progress.add(len(self._seats))

    async def _seat_players(self) -> None:
        operator_id, seats = self._history.operator_id, self._seats
        ids = [seat.player_id for seat in seats]
        await self._execute(PLAYERS, operator_id, ids, self._history.since)
        await self._execute(ACCOUNTS, operator_id, CURRENCY, ids)
        await self._execute(
            SESSIONS,
            operator_id,
            ids,
            self._sessions,
            [seat.seed_id for seat in seats],
            [self._vault.seal(seat.seed_id, seat.seed) for seat in seats],
            [commitment(seat.seed) for seat in seats],
            [seat.client_seed for seat in seats],
            CURRENCY,
            GAME.id,
            self._history.until,
        )

    async def _play(self, nonce: int, house: int) -> None:
        """The round with this nonce of every player."""
        at = self._history.since + (nonce + 0.5) * BETWEEN_ROUNDS
        steps = [_step(seat, nonce) for seat in self._seats]
        wins = [step.win for step in steps]
        outcomes = [json.dumps(step.outcome) for step in steps]
        bet = (STAKE, at, house, GAME.version, json.dumps(CHOICE), nonce)
        await self._execute(ROUNDS, self._sessions, wins, outcomes, *bet)
        sums = (len(wins), len(wins) * STAKE, sum(wins))
        await self._execute(STATISTICS, self._history.operator_id, GAME.id, CURRENCY, *sums)

    async def _shared_account(self, kind: str) -> int:
        found: int = await self._connection.fetchval(
            SHARED_ACCOUNT, self._history.operator_id, kind, CURRENCY, timeout=STATEMENT_TIMEOUT_S
        )
        return found

    async def _execute(self, statement: str, *arguments: object) -> None:
        await self._connection.execute(statement, *arguments, timeout=STATEMENT_TIMEOUT_S)


def _seat(player_id: str) -> Seat:
    return Seat(player_id, uuid4().hex, uuid4().hex, new_server_seed(), secrets.token_hex(16))


def _step(seat: Seat, nonce: int) -> Step:
    draws = HmacDraws(server_seed=seat.seed, client_seed=seat.client_seed, nonce=nonce)
    return play_round(GAME, Wager(stake=STAKE, mode="base", choice=dict(CHOICE)), draws)


def _throwaway_vault() -> SeedVault:
    """Its key is nowhere else, so what it seals stays closed."""
    return SeedVault(Keyring.generate())


@asynccontextmanager
async def _connections(source: asyncpg.Pool | asyncpg.Connection) -> AsyncIterator[list[asyncpg.Connection]]:
    """Connections that need not wait for the disk at each commit: a load that a crash cuts short is begun
    again on an empty database.
    """
    async with AsyncExitStack() as closing:
        if isinstance(source, asyncpg.Pool):
            found = [await closing.enter_async_context(source.acquire()) for _ in range(CONNECTIONS)]
        else:
            found = [source]
        for connection in found:
            await connection.execute("SET synchronous_commit = off")
            closing.push_async_callback(connection.execute, "RESET synchronous_commit")
        yield found

"""Earlier rounds that the benchmark loads are what real rounds leave, and play goes on from them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest

from bench.earlier import CHOICE, STAKE, load_earlier_rounds, player_ids
from contracts.views import RoundView
from games.checks import play_round
from games.dice import GAME
from games.draws import HmacDraws
from games.protocol import Step, Wager
from security.keyring import Keyring
from security.seeds import SeedVault
from storage import operators, outbox, rounds, sessions, statistics
from storage.database import Database, open_database
from storage.statistics import RoundFact
from tests.conftest import Services
from tests.support.databases import migrated_database
from tests.support.ledger import Seat, take_seat
from verification.ledger import audit

OPERATOR: Final = "casino"
PLAYERS: Final = 20
ROUNDS_EACH: Final = 5
# Nobody publishes what these tests record.
OVERDUE_AFTER_S: Final = 3_600.0

# What one round left behind, by the id of its row in `rounds`.
OF_ROUND: Final = {
    "rounds": "SELECT to_jsonb(r) FROM rounds r WHERE r.id = $1",
    "transfers": """SELECT to_jsonb(t) FROM rounds r
        JOIN transfers t ON t.player_key = r.player_key AND t.reference = r.round_id
        WHERE r.id = $1 ORDER BY t.position""",
    "postings": """SELECT to_jsonb(p) FROM rounds r
        JOIN transfers t ON t.player_key = r.player_key AND t.reference = r.round_id
        JOIN postings p ON p.transfer_id = t.id WHERE r.id = $1 ORDER BY t.position, p.amount""",
    "outbox": "SELECT to_jsonb(o) FROM rounds r JOIN outbox o ON o.event_id = r.event_id WHERE r.id = $1",
    "inbox": "SELECT to_jsonb(i) FROM rounds r JOIN inbox i ON i.event_id = r.event_id WHERE r.id = $1",
}
# What belongs to a player, by the player's key.
OF_PLAYER: Final = {
    "players": "SELECT to_jsonb(p) FROM players p WHERE p.id = $1",
    "accounts": "SELECT to_jsonb(a) FROM accounts a WHERE a.player_key = $1",
    "sessions": "SELECT to_jsonb(s) FROM sessions s WHERE s.player_key = $1",
    "seeds": "SELECT to_jsonb(d) FROM seeds d WHERE d.player_key = $1",
    "deposits": "SELECT to_jsonb(t) FROM transfers t WHERE t.player_key = $1 AND t.kind = 'deposit'",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A database with earlier rounds, how many there were, and the keys their seeds are sealed with."""

    database: Database
    vault: SeedVault
    told: list[str]
    rounds: int


@pytest.fixture(scope="module")
async def loaded(services: Services) -> AsyncIterator[Loaded]:
    async with migrated_database(services) as url:
        database, vault = await open_database(url, connections=4), SeedVault(Keyring.generate())
        told: list[str] = []
        await operators.ensure_operator(database.pool, operator_id=OPERATOR, name="a casino")
        await load_earlier_rounds(
            database.pool,
            operator_id=OPERATOR,
            players=PLAYERS,
            rounds_each=ROUNDS_EACH,
            vault=vault,
            announce=told.append,
        )
        yield Loaded(database, vault, told, await database.pool.fetchval("SELECT count(*) FROM rounds"))
        await database.close()


async def _seat_of(loaded: Loaded, player_id: str) -> Seat:
    pool = loaded.database.pool
    session_id = await pool.fetchval(
        """
        SELECT s.id FROM sessions s JOIN players p ON p.id = s.player_key
        WHERE p.operator_id = $1 AND p.player_id = $2
        """,
        OPERATOR,
        player_id,
    )
    session = await sessions.find_session(pool, session_id=session_id, operator_id=OPERATOR)
    assert session is not None
    return Seat(loaded.database, session)


def _replayed(vault: SeedVault, view: RoundView) -> Step:
    """What the game gives for the round's own seed and nonce."""
    assert view.seed_id is not None
    assert view.sealed_server_seed is not None
    assert view.client_seed is not None
    assert view.nonce is not None
    seed = vault.open(view.seed_id, view.sealed_server_seed)
    draws = HmacDraws(server_seed=seed, client_seed=view.client_seed, nonce=view.nonce)
    return play_round(GAME, Wager(stake=view.stake, mode=view.mode, choice=view.choice), draws)


async def _play(loaded: Loaded, seat: Seat) -> RoundView:
    """A round from its stake to its event in the statistics, as the steps and the consumer do it."""
    pool, bet = loaded.database.pool, seat.bet(choice=dict(CHOICE), stake=STAKE)
    step = _replayed(loaded.vault, await seat.reserve(bet))
    view = (await rounds.settle(pool, bet.key, step.outcome, step.win)).view
    assert view.event_id is not None
    await outbox.mark_published(pool, [view.event_id])
    fact = RoundFact(
        event_id=view.event_id,
        operator_id=OPERATOR,
        game_id=view.game_id,
        currency=view.currency,
        settled=True,
        stake=view.stake,
        win=view.win,
    )
    await statistics.apply(pool, [fact])
    return view


async def _rows(pool: asyncpg.Pool, statements: dict[str, str], key: int) -> dict[str, list[Any]]:
    return {name: [row[0] for row in await pool.fetch(sql, key)] for name, sql in statements.items()}


def _shape(value: Any) -> Any:
    """The value with only the kind of each of its parts."""
    if isinstance(value, dict):
        return {key: _shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_shape(part) for part in value]
    return type(value).__name__


async def test_every_invariant_holds_on_what_was_loaded(loaded: Loaded) -> None:
    state = await audit(loaded.database, overdue_after_s=OVERDUE_AFTER_S)

    assert [finding for finding in state.findings if not finding.holds] == []
    assert (state.sums, state.open_holds) == ({"EUR": 0}, 0)
    assert loaded.rounds == PLAYERS * ROUNDS_EACH
    assert f"{PLAYERS * ROUNDS_EACH} of {PLAYERS * ROUNDS_EACH} earlier rounds" in loaded.told[-2]


async def test_every_loaded_outcome_follows_from_its_seed(loaded: Loaded) -> None:
    found = await loaded.database.pool.fetch(
        "SELECT * FROM round_view WHERE operator_id = $1 AND player_id LIKE 'earlier-%'", OPERATOR
    )
    views = [rounds.round_view(row) for row in found]

    assert views
    for view in views:
        step = _replayed(loaded.vault, view)
        assert (view.outcome, view.win) == (step.outcome, step.win)


async def test_a_loaded_player_plays_on_and_real_rounds_look_the_same(loaded: Loaded) -> None:
    pool, seat = loaded.database.pool, await _seat_of(loaded, player_ids(PLAYERS)[0])
    played: dict[bool, RoundView] = {}
    while len(played) < 2:
        view = await _play(loaded, seat)
        played.setdefault(view.win > 0, view)

    assert min(view.nonce or 0 for view in played.values()) >= ROUNDS_EACH
    assert min(view.sequence or 0 for view in played.values()) > ROUNDS_EACH
    for won, view in played.items():
        real = await pool.fetchval("SELECT id FROM rounds WHERE round_id = $1", view.key.round_id)
        loaded_ones = await pool.fetch(
            "SELECT id FROM rounds WHERE player_id LIKE 'earlier-%' AND nonce < $1 AND (win > 0) = $2",
            ROUNDS_EACH,
            won,
        )
        expected = _shape(await _rows(pool, OF_ROUND, real))
        assert loaded_ones
        for row in loaded_ones:
            assert _shape(await _rows(pool, OF_ROUND, row["id"])) == expected
    state = await audit(loaded.database, overdue_after_s=OVERDUE_AFTER_S)
    assert [finding for finding in state.findings if not finding.holds] == []


async def test_a_loaded_player_looks_like_one_who_was_really_seated(loaded: Loaded) -> None:
    pool = loaded.database.pool
    real = await take_seat(loaded.database, balance=1_000, operator_id=OPERATOR)
    earlier = await _seat_of(loaded, player_ids(PLAYERS)[1])

    expected = _shape(await _rows(pool, OF_PLAYER, real.session.player_key))
    assert _shape(await _rows(pool, OF_PLAYER, earlier.session.player_key)) == expected
    assert earlier.session.expires_at > await pool.fetchval("SELECT now()")


async def test_one_connection_is_enough(loaded: Loaded) -> None:
    second = f"second-{uuid4().hex[:8]}"
    await operators.ensure_operator(loaded.database.pool, operator_id=second, name="another casino")
    async with loaded.database.pool.acquire() as connection:
        # A pool's connection is a proxy, and the loader must not take it for a pool.
        await load_earlier_rounds(connection, operator_id=second, players=2, rounds_each=1)

    state = await audit(loaded.database, overdue_after_s=OVERDUE_AFTER_S)
    assert [finding for finding in state.findings if not finding.holds] == []

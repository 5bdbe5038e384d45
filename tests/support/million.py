"""A ledger with a million rounds of one operator, for what must not grow with history: in the long runs."""

from typing import Final

from storage.database import Database
from tests.support.ledger import Seat, take_seat

ROUNDS: Final = 1_000_000
STUCK: Final = 200
# Of a settled round, without triggers: they would take minutes, and what is read does not depend on them.
COPIES: Final = """
    INSERT INTO rounds (operator_id, player_key, player_id, account_id, session_id, round_id, game_id,
        game_version, currency, mode, stake, request_id, state, win, sequence, created_at, closed_at, demo,
        extra, actions)
    SELECT operator_id, player_key, player_id, account_id, session_id, 'copy-' || n, game_id, game_version,
        currency, mode, stake, request_id, state, win, sequence, created_at, closed_at, demo, extra, actions
    FROM rounds, generate_series(1, $1) n WHERE state = 'settled'
"""
OUTBOX: Final = """
    INSERT INTO outbox (event_id, type, operator_id, player_key, game_id, subject, sequence, data,
        occurred_at, published_at)
    SELECT gen_random_uuid(), type, operator_id, player_key, game_id, 'copy-' || n, sequence + n, data,
        occurred_at, clock_timestamp()
    FROM outbox, generate_series(1, $1) n WHERE type = 'round.settled'
"""
ACTS: Final = """
    INSERT INTO audit_log (operator_id, actor, kind, subject, detail)
    SELECT $2, 'key:' || n % 10, (ARRAY['player-blocked', 'deposit'])[n % 2 + 1], 'someone', '{}'
    FROM generate_series(1, $1) n
"""
FILL_LIMIT_S: Final = 1_200


async def fill(database: Database, seat: Seat) -> None:
    """A million settled rounds of the seat's player, their events, a million acts in the audit log of the
    operator, and some rounds that are open."""
    bet = seat.bet()
    await seat.reserve(bet)
    await seat.settle(bet, 50)
    operator_id = seat.session.operator_id
    async with database.pool.acquire() as connection:
        await connection.execute("SET session_replication_role = replica")
        for statement, *more in ((COPIES,), (OUTBOX,), (ACTS, operator_id)):
            await connection.execute(statement, ROUNDS, *more, timeout=FILL_LIMIT_S)
        await connection.execute("RESET session_replication_role")
        for table in ("rounds", "outbox", "audit_log"):
            await connection.execute(f"VACUUM (ANALYZE) {table}", timeout=FILL_LIMIT_S)
    for _ in range(STUCK):
        each = await take_seat(database, operator_id=operator_id, balance=1_000)
        await each.reserve(each.bet())

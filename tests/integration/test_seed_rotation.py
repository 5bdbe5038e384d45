"""Rotating a session's seed: what a bet, another rotation or a lost answer at the same moment can do."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from contracts.choices import Choice, Chosen, Offer
from contracts.rounds import Bet, Resolution, RoundState
from contracts.seeds import RotationVerdict
from contracts.views import RoundView
from security.seeds import commitment
from storage import operator_wallets, rounds, seeds
from storage.database import Database
from storage.seeds import NewSeed, Rotation
from tests.support.conditions import HANG_S, until
from tests.support.ledger import OUTCOME, Seat, take_seat, waiting_for_a_lock

AT_ONCE = 10


async def rotate(
    seat: Seat, client_seed: str = "mine", *, named: str | None = None, operator_id: str | None = None
) -> Rotation | None:
    seed_id = uuid4().hex
    return await seeds.rotate(
        seat.database.pool,
        operator_id=operator_id or seat.session.operator_id,
        player_key=seat.session.player_key,
        session_id=seat.session.session_id,
        expected_hash=named,
        new=NewSeed(
            seed_id=seed_id,
            sealed_server_seed=f"v1.k.{'s' * 80}",
            server_seed_hash=commitment(seed_id.encode()),
            client_seed=client_seed,
        ),
    )


async def rotated(seat: Seat, client_seed: str = "mine", *, named: str | None = None) -> Rotation:
    rotation = await rotate(seat, client_seed, named=named)
    assert rotation is not None
    assert rotation.verdict is RotationVerdict.ROTATED, rotation.verdict
    return rotation


async def play(seat: Seat) -> RoundView:
    bet = seat.bet()
    await seat.reserve(bet)
    return await seat.settle(bet, win=0)


async def drawn_after_reveal(seat: Seat) -> int:
    """Rounds that were made after the seed they draw from was revealed."""
    count: int = await seat.database.pool.fetchval(
        "SELECT count(*) FROM rounds r JOIN seeds d ON d.id = r.seed_id "
        "WHERE r.player_key = $1 AND r.created_at > d.revealed_at",
        seat.session.player_key,
    )
    return count


@pytest.fixture
async def seat(database: Database) -> Seat:
    return await take_seat(database, balance=10_000)


async def test_a_rotation_reveals_the_seed_of_the_rounds_so_far_and_commits_to_the_next(seat: Seat) -> None:
    before = [await play(seat), await play(seat)]

    rotation = await rotated(seat, "mine")

    assert rotation.revealed is not None
    assert rotation.revealed.seed_id == before[0].seed_id
    assert rotation.revealed.server_seed_hash == seat.session.server_seed_hash
    assert rotation.revealed.client_seed == seat.session.client_seed
    assert rotation.revealed.last_nonce == before[1].nonce == 1
    after = await play(seat)
    assert (after.server_seed_hash, after.client_seed, after.nonce) == (
        rotation.following.server_seed_hash,
        "mine",
        0,
    )
    assert after.seed_id != before[0].seed_id


async def test_a_seed_that_nothing_was_drawn_from_has_no_last_nonce(seat: Seat) -> None:
    rotation = await rotated(seat)
    assert rotation.revealed is not None
    assert rotation.revealed.last_nonce is None


@pytest.mark.parametrize("state", [RoundState.PENDING, RoundState.AWAITING_CHOICE, RoundState.SETTLING])
async def test_no_seed_is_revealed_while_a_round_is_open(seat: Seat, state: RoundState) -> None:
    bet = seat.bet()
    await _leave(seat, bet, state)
    refused = await rotate(seat)
    assert refused is not None
    assert (refused.verdict, refused.open_round, refused.revealed) == (
        RotationVerdict.ROUND_OPEN,
        bet.key.round_id,
        None,
    )
    assert refused.following.server_seed_hash == seat.session.server_seed_hash


async def _leave(seat: Seat, bet: Bet, state: RoundState) -> None:
    """A round that stays in this state: at an operator's wallet where only such rounds are in it."""
    pool = seat.database.pool
    if state is RoundState.SETTLING:
        await operator_wallets.begin_bet(pool, bet, f"bet-{bet.key.round_id}")
        await operator_wallets.accept_bet(pool, bet, balance=900)
        await operator_wallets.record_result(pool, bet.key, Resolution(outcome=OUTCOME, win=1))
        return
    await seat.reserve(bet)
    if state is RoundState.AWAITING_CHOICE:
        offer = Offer(
            choices=[Choice(action="collect")], default=Chosen(action="collect"), decide_within_s=3_600
        )
        await rounds.open_round(pool, bet.key, Resolution(outcome=OUTCOME, win=1, offer=offer))


@pytest.mark.parametrize("end", [RoundState.SETTLED, RoundState.VOID])
async def test_a_seed_is_revealed_once_its_round_has_ended(seat: Seat, end: RoundState) -> None:
    bet = seat.bet()
    await seat.reserve(bet)
    ended = await (seat.settle(bet, win=0) if end is RoundState.SETTLED else seat.release(bet))
    assert ended.state is end
    rotation = await rotated(seat)
    assert rotation.revealed is not None
    assert rotation.revealed.last_nonce == 0


async def test_no_seed_is_revealed_while_an_operators_wallet_is_asked_for_a_stake(seat: Seat) -> None:
    session = seat.session
    await seat.database.pool.execute(
        "INSERT INTO wallet_bets (player_key, round_id, game_id, stake, currency, transaction_id) "
        "VALUES ($1, 'asked', $2, 100, 'EUR', 'asked-bet')",
        session.player_key,
        session.game_id,
    )
    refused = await rotate(seat)
    assert refused is not None
    assert (refused.verdict, refused.open_round) == (RotationVerdict.ROUND_OPEN, "asked")


async def test_a_bet_that_waits_behind_a_rotation_draws_from_the_new_seed(
    seat: Seat, database: Database
) -> None:
    bet = seat.bet()
    async with database.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT 1 FROM players WHERE id = $1 FOR UPDATE", seat.session.player_key)
        rotating = asyncio.create_task(rotated(seat))
        await until(lambda: _waiting(database, 1))
        reserving = asyncio.create_task(seat.reserve(bet))
        await until(lambda: _waiting(database, 2))
        await transaction.commit()
    rotation, reserved = await rotating, await reserving
    assert rotation.revealed is not None
    assert rotation.revealed.last_nonce is None
    assert (reserved.server_seed_hash, reserved.nonce) == (rotation.following.server_seed_hash, 0)


async def test_a_rotation_that_waits_behind_a_bet_is_refused(seat: Seat, database: Database) -> None:
    bet = seat.bet()
    async with database.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT 1 FROM players WHERE id = $1 FOR UPDATE", seat.session.player_key)
        reserving = asyncio.create_task(seat.reserve(bet))
        await until(lambda: _waiting(database, 1))
        rotating = asyncio.create_task(rotate(seat))
        await until(lambda: _waiting(database, 2))
        await transaction.commit()
    reserved, refused = await reserving, await rotating
    assert reserved.server_seed_hash == seat.session.server_seed_hash
    assert refused is not None
    assert (refused.verdict, refused.open_round) == (RotationVerdict.ROUND_OPEN, bet.key.round_id)


async def _waiting(database: Database, count: int) -> bool:
    return await waiting_for_a_lock(database) >= count


async def test_bets_and_rotations_at_once_never_draw_from_a_revealed_seed(database: Database) -> None:
    """Goes on until at least one rotation was done and one was refused while the bets went on: there is money
    for as many bets as that takes."""
    seat = await take_seat(database, balance=1_000_000_000)
    played: list[RoundView] = []
    done: list[Rotation] = []
    refused = 0

    async def bets() -> None:
        while len(played) < AT_ONCE or not done or not refused:
            played.append(await play(seat))

    betting = asyncio.create_task(bets())
    async with asyncio.timeout(HANG_S):
        while not betting.done():
            rotation = await rotate(seat, f"mine-{len(done)}")
            assert rotation is not None
            if rotation.verdict is RotationVerdict.ROTATED:
                done.append(rotation)
            else:
                refused += rotation.verdict is RotationVerdict.ROUND_OPEN
        await betting

    assert all(view.state is RoundState.SETTLED and view.seed_id is not None for view in played)
    assert await drawn_after_reveal(seat) == 0
    revealed = {r.revealed.seed_id: r.revealed.last_nonce for r in done if r.revealed is not None}
    for seed_id, last_nonce in revealed.items():
        drawn = [view.nonce for view in played if view.seed_id == seed_id]
        assert drawn == list(range(len(drawn)))
        assert (last_nonce is None and not drawn) or last_nonce == len(drawn) - 1


async def test_the_database_itself_draws_nothing_from_a_revealed_seed(seat: Seat) -> None:
    rotation = await rotated(seat)
    assert rotation.revealed is not None
    with pytest.raises(asyncpg.RestrictViolationError, match="is revealed"):
        await seat.database.pool.execute(
            "UPDATE seeds SET next_nonce = next_nonce + 1 WHERE id = $1", rotation.revealed.seed_id
        )


async def test_one_rotation_sent_many_times_at_once_reveals_one_seed(seat: Seat) -> None:
    await play(seat)
    answers = await asyncio.gather(*(rotate(seat) for _ in range(AT_ONCE)))
    verdicts = [answer.verdict for answer in answers if answer is not None]
    assert sorted(verdicts) == [RotationVerdict.REPLAYED] * (AT_ONCE - 1) + [RotationVerdict.ROTATED]
    assert len({answer.revealed for answer in answers if answer is not None}) == 1
    assert len({answer.following for answer in answers if answer is not None}) == 1


async def test_two_rotations_that_name_one_seed_give_it_one_successor(seat: Seat) -> None:
    """They are two requests, for each wants a client seed of its own: the second must not think that its own
    is played with."""
    named = seat.session.server_seed_hash
    both = await asyncio.gather(rotate(seat, "a", named=named), rotate(seat, "b", named=named))
    verdicts = [answer.verdict for answer in both if answer is not None]
    assert sorted(verdicts) == [RotationVerdict.REUSED, RotationVerdict.ROTATED]
    (refused,) = (answer for answer in both if answer and answer.verdict is RotationVerdict.REUSED)
    assert refused.revealed is None


async def test_a_rotation_whose_answer_was_lost_is_answered_again(seat: Seat) -> None:
    await play(seat)
    lost = await rotated(seat)
    again = await rotate(seat)
    assert again is not None
    assert again.verdict is RotationVerdict.REPLAYED
    assert (again.revealed, again.following) == (lost.revealed, lost.following)


async def test_a_named_rotation_is_answered_again_after_bets_and_while_a_round_is_open(seat: Seat) -> None:
    await play(seat)
    named = seat.session.server_seed_hash
    lost = await rotated(seat, named=named)
    await play(seat)
    await seat.reserve(seat.bet())

    again = await rotate(seat, named=named)

    assert again is not None
    assert (again.verdict, again.revealed) == (RotationVerdict.REPLAYED, lost.revealed)
    assert again.following.server_seed_hash == lost.following.server_seed_hash
    assert again.following.next_nonce == 2


async def test_an_unused_seed_makes_way_for_another_client_seed(seat: Seat) -> None:
    first = await rotated(seat, "one")
    second = await rotated(seat, "two")
    assert second.revealed is not None
    assert second.revealed.server_seed_hash == first.following.server_seed_hash


async def test_a_seed_that_is_not_the_sessions_is_not_revealed(seat: Seat, database: Database) -> None:
    stranger = await take_seat(database)
    for named in (stranger.session.server_seed_hash, "0" * 64):
        refused = await rotate(seat, named=named)
        assert refused is not None
        assert (refused.verdict, refused.revealed) == (RotationVerdict.UNKNOWN, None)
    assert (await rotated(stranger)).revealed is not None


async def test_another_player_and_another_operator_rotate_nothing(seat: Seat, database: Database) -> None:
    stranger = await take_seat(database)
    assert await rotate(seat, operator_id=stranger.session.operator_id) is None
    forged = Seat(database, stranger.session)
    assert (
        await seeds.rotate(
            database.pool,
            operator_id=forged.session.operator_id,
            player_key=forged.session.player_key,
            session_id=seat.session.session_id,
            expected_hash=None,
            new=NewSeed(seed_id="x", sealed_server_seed="x", server_seed_hash="x", client_seed="x"),
        )
        is None
    )
    assert (await rotated(seat)).revealed is not None


async def test_the_programs_rotate_by_the_function_and_change_no_seed_themselves(
    seat: Seat, application: Database
) -> None:
    as_program = Seat(application, seat.session)
    rotation = await rotated(as_program)
    bet = seat.bet()
    reserved = await rounds.reserve(application.pool, bet)
    assert reserved.server_seed_hash == rotation.following.server_seed_hash
    for change in ("revealed_at = NULL", "next_nonce = 0", "previous_id = NULL"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.pool.execute(f"UPDATE seeds SET {change}")  # noqa: S608
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.pool.execute("UPDATE sessions SET seed_id = seed_id")

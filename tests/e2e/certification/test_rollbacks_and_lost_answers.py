"""Certification cases 16 to 28: rollbacks, ended sessions, answers that never come, crashes.

No game client asks for a rollback: a round is released by its own workflow, when nobody knows whether its
stake was taken or when it is cancelled, or by a person of the operator. In our ledger that gives the hold
back, at an operator's wallet it is a rollback.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from temporalio.api.enums.v1 import EventType

from contracts.rounds import RoundState
from contracts.wallet import WalletCall
from operator_wallet.faults import Kind
from storage import operator_wallets, rounds
from storage.database import Database
from tests.conftest import Services
from tests.e2e.certification.seats import Operators, Seat, faults, held_open, new_seat
from tests.e2e.certification.terms import (
    BET,
    NEARLY_ALWAYS,
    OPENING,
    ROLLBACK,
    STAKE,
    TAKEN_UNHEARD,
    TAKES_NO_WIN,
    WIN,
)
from tests.e2e.parties import Gateway, Operator, checked_problem
from tests.support import clients
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ledger import waiting_for_a_lock
from tests.support.operator_wallet import RunningWallet
from wallet.operator import transaction_id

WHY = ("round-cancelled", "")


async def _released(seat: Seat, *more: tuple[Kind, WalletCall], stake: int = STAKE) -> dict[str, Any]:
    """A round whose stake the wallet took twice as far as we know, and which is void."""
    assert seat.wallet is not None
    round_id = uuid4().hex
    async with faults(seat.wallet, *TAKEN_UNHEARD, *more, round_of=seat.key(round_id)):
        await seat.player.bet(round_id, stake=stake)
        round_ = await seat.end_of(round_id)
    assert (round_["state"], round_["failure"]) == ("void", {"code": "reserve-uncertain"})
    return round_


LOCK_PLAYER = "SELECT FROM players WHERE id = $1 FOR UPDATE"
TAKE_NEXT_NUMBER = """
    INSERT INTO outbox
        (event_id, type, operator_id, player_key, game_id, subject, sequence, data, occurred_at)
    SELECT gen_random_uuid(), 'round.settled', $1, id, 'dice', 'nothing', sequence + 1, '{}', now()
    FROM players WHERE id = $2
"""


# Rollbacks


async def test_case_16_rollback_of_a_bet_restores_the_balance_in_our_ledger(
    gateway: Gateway, ours: Seat, database: Database
) -> None:
    """The round is cancelled while its stake waits for the player's row, for longer than a round may take in
    one go; the reserve and the release then come as they come."""
    round_id = uuid4().hex
    handle = gateway.temporal.get_workflow_handle(ours.key(round_id).workflow_id)

    async def goes_step_by_step() -> bool:
        history = await handle.fetch_history()
        return EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED in {event.event_type for event in history.events}

    async def begun() -> bool:
        there = await gateway.has_workflow(ours.key(round_id).workflow_id)
        return there and await waiting_for_a_lock(database) > 0

    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute(LOCK_PLAYER, ours.player.claims.player_key)
        asking = asyncio.create_task(ours.player.bet(round_id))
        await until(begun)
        await handle.cancel()
        await until(goes_step_by_step)
    assert (await asking).json()["state"] in ("pending", "void")
    void = await ours.end_of(round_id)
    assert (void["state"], void["win"]["amount"], void["balance"]["amount"]) == ("void", 0, OPENING)
    await ours.assert_square(void)
    await ours.player.played()


async def test_case_16_rollback_of_a_bet_restores_the_balance_at_the_wallet(theirs: Seat) -> None:
    void = await _released(theirs)
    assert await theirs.moves(void["round_id"]) == [("bet", -STAKE), ("rollback", STAKE)]
    assert void["balance"]["amount"] == OPENING
    await theirs.assert_square(void)
    await theirs.player.played()


async def test_case_17_rollback_without_an_amount_gives_back_what_its_own_bet_had(theirs: Seat) -> None:
    small, large = await _released(theirs, stake=200), await _released(theirs, stake=500)
    for void, stake in ((small, 200), (large, 500)):
        assert await theirs.moves(void["round_id"]) == [("bet", -stake), ("rollback", stake)]
    assert await theirs.attempts(ROLLBACK) == [("accepted", None, None)] * 2
    await theirs.assert_square(small, large)


async def test_case_18_rollback_with_a_wrong_amount_gives_back_the_original(
    gateway: Gateway, ours: Seat
) -> None:
    """A release that brings another stake than the one that is held: the record counts."""
    round_id = uuid4().hex
    bet = ours.player.stored_bet(round_id)
    await rounds.reserve(gateway.database.pool, bet)
    assert await ours.in_custody() == (OPENING, STAKE)
    await rounds.release(gateway.database.pool, dataclasses.replace(bet, stake=5 * STAKE), *WHY)
    await ours.assert_square(await ours.round(round_id))


async def test_case_19_second_rollback_pays_nothing_in_our_ledger(gateway: Gateway, ours: Seat) -> None:
    round_id = uuid4().hex
    bet, pool = ours.player.stored_bet(round_id), gateway.database.pool
    await rounds.reserve(pool, bet)
    first = await rounds.release(pool, bet, *WHY)
    again = await asyncio.gather(*(rounds.release(pool, bet, *WHY) for _ in range(10)))
    assert again == [first] * 10
    await ours.assert_square(await ours.round(round_id))


async def test_case_19_second_rollback_pays_nothing_at_the_wallet(theirs: Seat) -> None:
    """The wallet takes the rollback and says 503, so it is told again, with the same id."""
    void = await _released(theirs, (Kind.ERROR_AFTER, ROLLBACK))
    verdicts = [verdict for verdict, _, _ in await theirs.attempts(ROLLBACK)]
    assert verdicts == ["unknown", "accepted"]
    assert await theirs.moves(void["round_id"]) == [("bet", -STAKE), ("rollback", STAKE)]
    await theirs.assert_square(void)


async def test_case_20_rollback_before_its_bet_leaves_a_late_bet_nothing_to_debit_in_our_ledger(
    gateway: Gateway, ours: Seat
) -> None:
    wager = ours.player.wager()
    await rounds.release(gateway.database.pool, ours.player.stored_bet(wager["round_id"]), *WHY)
    late = await ours.player.call("POST", "/rounds", json=wager)
    assert (late.status_code, late.json()["state"]) == (200, "void")
    await ours.assert_square(late.json())


async def test_case_20_rollback_before_its_bet_leaves_a_late_bet_nothing_to_debit_at_the_wallet(
    hasty: Seat,
) -> None:
    """Both askings are on their way until the rollback has overtaken them: only then they come about."""
    assert hasty.wallet is not None
    round_id = uuid4().hex
    late = (Kind.OUT_OF_ORDER, BET)
    async with faults(hasty.wallet, late, late, round_of=hasty.key(round_id), hold_s=HANG_S):
        await hasty.player.bet(round_id)
        void = await hasty.end_of(round_id)
    assert void["state"] == "void"
    assert await hasty.moves(round_id) == []
    await hasty.assert_square(void)


async def test_case_21_rollback_after_a_win_is_refused(seat: Seat) -> None:
    """A round that is settled is answered as it stands, to its workflow and to its operator."""
    won = await seat.won()
    bet, pool = seat.player.stored_bet(won["round_id"]), seat.player.operator.gateway.database.pool
    books = await seat.player.operator.books()
    if seat.wallet is None:
        standing = await rounds.release(pool, bet, *WHY)
    else:
        decision = await operator_wallets.begin_release(
            pool, bet, failure_code="round-cancelled", failure_detail=""
        )
        assert decision.view is not None, "a rollback of it would be sent"
        standing = decision.view
    assert (standing.state, standing.win) == (RoundState.SETTLED, won["win"]["amount"])
    checked_problem(await _void(seat, won["round_id"]), 409, "wrong-state")
    assert await seat.player.operator.books() == books
    await seat.assert_square(*await seat.player.history())


async def _void(seat: Seat, round_id: str) -> httpx.Response:
    """What the seat's operator asks for, with the seat's player named."""
    return await seat.player.operator.call(
        "POST",
        f"/rounds/{round_id}/void",
        params={"player_id": seat.player.player_id},
        json={"reason": "a certification case"},
    )


async def test_case_21_rollback_after_a_win_that_the_wallet_has_not_taken_yet_is_refused(
    gateway: Gateway, theirs: Seat
) -> None:
    """The round is cancelled when its result is on record: it is settled all the same."""
    assert theirs.wallet is not None
    round_id = uuid4().hex
    async with faults(theirs.wallet, **TAKES_NO_WIN):
        told = await theirs.player.bet(round_id)
        assert (told.status_code, told.json()["state"]) == (202, "settling")
        await gateway.temporal.get_workflow_handle(theirs.key(round_id).workflow_id).cancel()
    settled = await theirs.end_of(round_id)
    assert (settled["state"], settled["outcome"]) == ("settled", told.json()["outcome"])
    assert await theirs.attempts(ROLLBACK) == []
    await theirs.assert_square(settled)


async def test_case_22_win_after_a_rollback_is_refused_by_our_ledger(gateway: Gateway, ours: Seat) -> None:
    round_id = uuid4().hex
    bet, pool = ours.player.stored_bet(round_id), gateway.database.pool
    await rounds.reserve(pool, bet)
    await rounds.release(pool, bet, *WHY)
    late = (await rounds.settle(pool, bet.key, {"roll": 1}, 250)).view
    assert (late.state, late.win, late.outcome) == (RoundState.VOID, 0, None)
    await ours.assert_square(await ours.round(round_id))


async def test_case_22_win_after_a_rollback_is_refused_by_the_wallet(theirs: Seat) -> None:
    """Somebody rolls the bet back at the wallet while it does not take the win: the first terminal stands."""
    assert theirs.wallet is not None
    round_id = uuid4().hex
    async with faults(theirs.wallet, **TAKES_NO_WIN):
        told = await theirs.player.bet(round_id)
        assert told.json()["state"] == "settling"
        theirs.roll_back_at_wallet(round_id)
    void = await theirs.end_of(round_id)
    assert (void["state"], void["failure"], void["win"]["amount"]) == ("void", {"code": "rolled-back"}, 0)
    assert (await theirs.attempts(WIN))[-1][:2] == ("refused", "rolled-back")
    await theirs.assert_square(void)


async def test_case_23_win_without_a_bet_is_refused(gateway: Gateway, seat: Seat) -> None:
    """No call of a client names a win, and no step pays one for a round that has no bet."""
    round_id = uuid4().hex
    books, pool = await seat.player.operator.books(), gateway.database.pool
    checked_problem(await seat.player.bet(round_id, win=250), 422, "invalid")
    action = await seat.player.call(
        "POST", f"/rounds/{round_id}/actions", json={"action_id": "a-1", "action": "win"}
    )
    checked_problem(action, 404, "not-found")
    with pytest.raises(asyncpg.NoDataFoundError):
        await rounds.settle(pool, seat.key(round_id), {"roll": 1}, 250)
    with pytest.raises(asyncpg.NoDataFoundError):
        await operator_wallets.record_result(pool, seat.key(round_id), None)
    assert await seat.player.operator.books() == books
    await seat.assert_square()


async def test_case_23_win_without_a_bet_by_promotion_is_a_deposit_today(ours: Seat) -> None:
    """Promotions are not built yet: what an operator gives without a bet is a deposit, and counts as none of
    the player's wins."""
    assert (await ours.player.deposit(250, "promo-1")).status_code == 201
    entry, _ = await ours.statement()
    assert (entry["kind"], entry["reference"], entry["amount"]["amount"]) == ("deposit", "promo-1", 250)
    assert (await ours.player.history(), await ours.money()) == ([], OPENING + 250)


async def test_case_23_win_without_a_bet_by_promotion_is_the_wallets_own_business(theirs: Seat) -> None:
    """Where the operator's wallet keeps the money, no deposit of ours may stand beside it."""
    books = await theirs.player.operator.books()
    checked_problem(await theirs.player.deposit(250, "promo-1"), 409, "wrong-state")
    assert await theirs.player.operator.books() == books
    await theirs.assert_square()


async def test_case_24_ended_session_still_gets_its_win_and_takes_no_bet(seat: Seat) -> None:
    round_id = uuid4().hex
    async with held_open(seat, round_id):
        await _end_session(seat)
        checked_problem(await seat.player.bet(), 401, "session-expired")
    settled = await seat.round(round_id)
    assert settled["state"] == "settled"
    checked_problem(await seat.player.bet(), 401, "session-expired")
    await seat.assert_square(settled)


async def test_case_24_ended_session_still_gets_its_rollback(theirs: Seat) -> None:
    assert theirs.wallet is not None
    round_id = uuid4().hex
    # Both bets meet what the script says, and every rollback the rate.
    no_rollback: dict[str, Any] = {"rates": {Kind.ERROR_BEFORE: 1.0}, "only": [BET, ROLLBACK]}
    async with faults(theirs.wallet, *TAKEN_UNHEARD, round_of=theirs.key(round_id), **no_rollback):
        asking = asyncio.create_task(theirs.player.bet(round_id))
        await theirs.wallet.until_fired(Kind.ERROR_BEFORE)
        await _end_session(theirs)
    void = await theirs.end_of(round_id)
    await asking
    assert await theirs.moves(round_id) == [("bet", -STAKE), ("rollback", STAKE)]
    await theirs.assert_square(void)


async def _end_session(seat: Seat) -> None:
    """On both sides."""
    ended = await seat.player.operator.call("DELETE", f"/sessions/{seat.player.session_id}")
    assert ended.status_code == 204
    if seat.wallet is not None:
        seat.wallet.book.end_session(seat.player.operator.operator_id, seat.player.session_id)


# Lost answers


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "kind",
    [Kind.PROCESSED_THEN_TIMEOUT, Kind.TIMEOUT_THEN_PROCESSED, Kind.ERROR_BEFORE, Kind.ERROR_AFTER],
)
async def test_case_25_bet_without_an_answer_ends_with_the_same_balance_processed_or_not(
    hasty: Seat, kind: Kind, times: int
) -> None:
    """Once: it is asked again, and the round goes on. Twice: the round is void. Another round is played where
    the wallet was too slow for an asking that was to be answered."""
    assert hasty.wallet is not None
    played: list[dict[str, Any]] = []
    unheard = 0
    async with asyncio.timeout(HANG_S):
        while unheard != times:
            before = await _unheard_bets(hasty)
            round_id = uuid4().hex
            async with faults(hasty.wallet, *[(kind, BET)] * times, round_of=hasty.key(round_id), delay_s=2):
                await hasty.player.bet(round_id)
                played.append(await hasty.end_of(round_id))
            unheard = await _unheard_bets(hasty) - before
    assert played[-1]["state"] == ("settled" if times == 1 else "void")
    await hasty.assert_square(*played)


async def _unheard_bets(seat: Seat) -> int:
    return [verdict for verdict, _, _ in await seat.attempts(BET)].count("unknown")


@pytest.mark.parametrize("kind", [Kind.ERROR_BEFORE, Kind.ERROR_AFTER])
async def test_case_26_win_without_an_answer_is_credited_once(theirs: Seat, kind: Kind) -> None:
    """The client hears at once that the round is settling, with its result, which stays what it was."""
    assert theirs.wallet is not None
    played: list[dict[str, Any]] = []
    while not played or not played[-1]["win"]["amount"]:
        round_id = uuid4().hex
        async with faults(theirs.wallet, *[(kind, WIN)] * 4, round_of=theirs.key(round_id)):
            told = await theirs.player.bet(round_id, choice=NEARLY_ALWAYS)
            assert (told.status_code, told.json()["state"]) == (202, "settling")
            played.append(await theirs.end_of(round_id))
        assert played[-1]["state"] == "settled"
        assert [played[-1][name] for name in ("win", "outcome", "fairness")] == [
            told.json()[name] for name in ("win", "outcome", "fairness")
        ]
    await theirs.assert_square(*played)


async def test_case_27_insufficient_funds_despite_funds_do_not_wedge_the_session(theirs: Seat) -> None:
    assert theirs.wallet is not None
    round_id = uuid4().hex
    async with faults(theirs.wallet, (Kind.NO_FUNDS, BET), round_of=theirs.key(round_id)):
        problem = checked_problem(await theirs.player.bet(round_id), 402, "insufficient-funds")
    assert problem["balance"]["amount"] == OPENING
    assert await theirs.open_round() is None
    checked_problem(await theirs.player.bet(round_id), 402, "insufficient-funds")
    await theirs.assert_square(await theirs.player.played())


# Crashes


async def test_case_28_a_crash_at_every_step_boundary_settles_once_or_refunds_once(
    platform: dict[str, Any],
    services: Services,
    database: Database,
    operator: Operator,
    operators: Operators,
    wallet: RunningWallet,
) -> None:
    """One kill -9 of the ingress meets a round at each boundary: before and after what reserve, settle and
    emit do to our ledger, and the same for the bet, the win and the rollback at an operator's wallet. The
    boundaries of the workflow itself are met one by one in tests/workflow/test_workers_that_go.py."""
    reserving, settling, emitting = [await new_seat(operator, None) for _ in range(3)]
    at_wallet = [await new_seat(operators.usual, wallet) for _ in range(5)]
    seats = [reserving, settling, emitting, *at_wallet]
    round_id = uuid4().hex
    await wallet.set_faults(script=_crash_script(at_wallet, round_id), delay_s=2)
    async with http_client(limits=httpx.Limits(max_connections=20)) as http:
        with clients.frozen(services.stack.pid("rabbitmq")):
            async with _blocked(database, reserving, settling):
                players = [clients.Player(platform["base_url"], seat.player.token) for seat in seats]
                asking = [asyncio.create_task(player.bet(http, round_id)) for player in players]
                await until(lambda: _all_at_their_boundary(database, wallet, emitting, round_id))
                await services.stack.kill("ingress")
        await wallet.clear_faults()
        await services.stack.start("ingress")
        await asyncio.wait_for(asyncio.gather(*asking), HANG_S)
    cut_off = [player.lost_connections > 0 for player in players]
    assert cut_off == [seat is not emitting for seat in seats], "not every round was under way"
    ended = [await seat.end_of(round_id) for seat in seats]
    assert [round_["state"] for round_ in ended] == ["settled"] * 7 + ["void"]
    for seat, round_ in zip(seats, ended, strict=True):
        await seat.assert_square(round_)
    await _assert_one_event_each(database, seats, round_id)


def _crash_script(seats: list[Seat], round_id: str) -> list[dict[str, Any]]:
    """Bet taken and not, win taken and not, and a rollback that is taken; each unanswered, and so are those
    that are asked again before the last of them has come to its boundary."""
    bet_taken, bet_late, win_taken, win_late, rolled_back = seats
    cues = [
        *[(bet_taken, Kind.PROCESSED_THEN_TIMEOUT, BET)] * 2,
        *[(bet_late, Kind.TIMEOUT_THEN_PROCESSED, BET)] * 2,
        *[(win_taken, Kind.PROCESSED_THEN_TIMEOUT, WIN)] * 9,
        *[(win_late, Kind.TIMEOUT_THEN_PROCESSED, WIN)] * 9,
        *((rolled_back, *cue) for cue in TAKEN_UNHEARD),
        *[(rolled_back, Kind.PROCESSED_THEN_TIMEOUT, ROLLBACK)] * 9,
    ]
    return [
        {"kind": kind, "call": call, "transaction_id": transaction_id(seat.key(round_id), call)}
        for seat, kind, call in cues
    ]


@asynccontextmanager
async def _blocked(database: Database, reserving: Seat, settling: Seat) -> AsyncIterator[None]:
    """Inside the block the one's reserve waits for its player's row, and the other's settle, its money moved,
    for the number of the player's first event."""
    async with database.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(LOCK_PLAYER, reserving.player.claims.player_key)
            await connection.execute(
                TAKE_NEXT_NUMBER,
                settling.player.operator.operator_id,
                settling.player.claims.player_key,
            )
            yield
        finally:
            await transaction.rollback()


async def _all_at_their_boundary(
    database: Database, wallet: RunningWallet, emitting: Seat, round_id: str
) -> bool:
    fired = (await wallet.faults())["fired"].get(Kind.PROCESSED_THEN_TIMEOUT, {})
    unpublished = await database.pool.fetchval(
        "SELECT count(*) FROM outbox WHERE player_key = $1 AND subject = $2 AND published_at IS NULL",
        emitting.player.claims.player_key,
        round_id,
    )
    return set(fired) == {BET, WIN, ROLLBACK} and unpublished == 1 and await waiting_for_a_lock(database) == 2


async def _assert_one_event_each(database: Database, seats: list[Seat], round_id: str) -> None:
    """Recorded once, published and applied."""
    keys = [seat.player.claims.player_key for seat in seats]

    async def applied() -> bool:
        count = await database.pool.fetchval(
            """
            SELECT count(*) FROM outbox o JOIN inbox i USING (event_id)
            WHERE o.player_key = ANY($1) AND o.subject = $2 AND o.published_at IS NOT NULL
            """,
            keys,
            round_id,
        )
        return bool(count == len(seats))

    await until(applied)
    recorded = await database.pool.fetch(
        "SELECT count(*) FROM outbox WHERE player_key = ANY($1) AND type LIKE 'round.%' GROUP BY player_key",
        keys,
    )
    assert [row["count"] for row in recorded] == [1] * len(seats)

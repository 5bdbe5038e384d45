"""Rounds at an operator's wallet, as our ledger records them: each operation alone, and repeated."""

import asyncpg
import pytest

from contracts.rounds import RoundState
from contracts.views import RoundView, Settlement
from storage import sessions
from storage.operator_wallets import Decision, Verdict
from tests.integration.wallet.ledger.moves import OPERATOR
from tests.integration.wallet.seats import AFTER_BET, WalletSeat
from tests.support.ledger import OUTCOME


async def test_a_settled_round_collects_the_stake_and_pays_the_win(seat: WalletSeat) -> None:
    bet = seat.bet()
    assert await seat.begin(bet) == Decision(Verdict.ASK, None)
    pending = (await seat.accept(bet)).view
    assert pending is not None
    assert (pending.state, pending.nonce) == (RoundState.PENDING, 0)
    assert await seat.seat.money() == (100, 100)

    recorded = await seat.record(bet)
    assert (recorded.view.state, recorded.view.outcome, recorded.view.win) == (
        RoundState.SETTLING,
        OUTCOME,
        250,
    )
    assert recorded.event is None
    assert await seat.seat.money() == (100, 100)

    settled = await seat.close(bet)
    assert (settled.view.state, settled.view.win, settled.view.balance, settled.view.sequence) == (
        RoundState.SETTLED,
        250,
        1_150,
        2,  # after the session
    )
    assert settled.event is not None
    assert await seat.seat.money() == (0, 0)
    assert await seat.kinds() == [("collected", 100), ("stake", 100), ("win", 250), ("paid", 250)]
    assert [t["available_after"] for t in await seat.seat.transfers()] == [0, 0, 250, 0]


async def test_a_lost_round_pays_nothing(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.pending(bet)
    await seat.record(bet, win=0)
    assert (await seat.close(bet, balance=AFTER_BET)).view.state is RoundState.SETTLED
    assert await seat.kinds() == [("collected", 100), ("stake", 100)]


async def test_a_balance_that_the_wallet_did_not_tell_follows_from_the_one_after_the_bet(
    seat: WalletSeat,
) -> None:
    bet = seat.bet()
    await seat.pending(bet)
    await seat.record(bet, win=250)
    assert (await seat.close(bet, balance=None)).view.balance == AFTER_BET + 250


async def test_a_clear_refusal_is_a_declined_round_with_the_wallets_balance(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.begin(bet)
    declined = (await seat.decline(bet)).view
    assert declined is not None
    assert (declined.state, declined.failure_code, declined.balance) == (
        RoundState.DECLINED,
        "insufficient-funds",
        40,
    )
    assert (await seat.begin(bet)).view == declined
    assert await seat.kinds() == []
    assert (await seat.begin(seat.bet())).verdict is Verdict.ASK


async def test_what_we_refuse_ourselves_is_never_asked(seat: WalletSeat) -> None:
    open_bet = seat.bet()
    await seat.begin(open_bet)
    second = await seat.begin(seat.bet())
    assert second.view is not None
    assert (second.view.failure_code, second.view.failure_detail) == ("round-open", open_bet.key.round_id)
    await seat.accept(open_bet)
    third = await seat.begin(seat.bet())
    assert third.view is not None
    assert third.view.failure_code == "round-open"
    await seat.begin_release(open_bet)
    await seat.release(open_bet)

    await sessions.end_session(seat.pool, session_id=seat.seat.session.session_id, operator_id=OPERATOR)
    expired = await seat.begin(seat.bet())
    assert expired.view is not None
    assert expired.view.failure_code == "session-expired"
    await seat.pool.execute("UPDATE players SET blocked = true WHERE id = $1", open_bet.key.player_key)
    blocked = await seat.begin(seat.bet())
    assert blocked.view is not None
    assert (blocked.view.failure_code, blocked.view.balance) == ("player-blocked", None)
    assert await seat.begin(blocked.view.bet) == blocked
    told = [event for event in await seat.seat.every_event() if event["subject"] == blocked.view.key.round_id]
    assert [event["type"] for event in told] == ["round.declined"], "once"
    assert told[0]["data"]["failure"] == {"code": "player-blocked"}


async def test_a_bet_under_way_goes_on_though_its_session_ends(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.begin(bet)
    await sessions.end_session(seat.pool, session_id=seat.seat.session.session_id, operator_id=OPERATOR)
    assert (await seat.begin(bet)).verdict is Verdict.ASK
    await seat.accept(bet)
    await seat.record(bet)
    assert (await seat.close(bet)).view.state is RoundState.SETTLED


async def test_a_void_round_returns_the_stake_to_the_wallet(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.pending(bet)
    assert await seat.begin_release(bet) == Decision(Verdict.ROLLBACK, None)
    void = await seat.release(bet)
    assert (void.state, void.failure_code, void.balance) == (RoundState.VOID, "resolve-failed", 1_000)
    assert await seat.kinds() == [("collected", 100), ("returned", 100)]
    assert await seat.seat.money() == (0, 0)
    assert [e["type"] for e in await seat.seat.events()] == ["round.void"]


async def test_a_release_of_what_was_never_asked_needs_no_wallet(seat: WalletSeat) -> None:
    bet = seat.bet()
    released = await seat.begin_release(bet)
    assert released.verdict is Verdict.STANDS
    assert released.view is not None
    assert released.view.state is RoundState.VOID
    assert (await seat.begin(bet)).view == released.view
    assert await seat.wallet_bet(bet) is None


async def test_every_operation_repeated_answers_the_same_and_moves_nothing_more(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.begin(bet)
    for step in (seat.accept, seat.record, seat.close):
        first = await step(bet)
        repeated = await step(bet)
        assert _view(first) == _view(repeated)
    assert len(await seat.seat.transfers()) == 4
    assert len(await seat.seat.events()) == 1

    bet = seat.bet()
    await seat.pending(bet)
    assert await seat.begin_release(bet) == await seat.begin_release(bet)
    assert await seat.release(bet) == await seat.release(bet)
    assert len(await seat.seat.events()) == 2


async def test_a_recorded_result_is_the_first_and_never_changes(seat: WalletSeat) -> None:
    """The interleaving: two attempts computed the result, the second one with another game's version."""
    bet = seat.bet()
    await seat.pending(bet)
    first = await seat.record(bet, win=250)
    assert await seat.record(bet, win=9_999) == first
    for change in ("win = win + 1", "outcome = '{}'", "state = 'pending'", "state = 'declined'"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await seat.pool.execute(
                f"UPDATE rounds SET {change} WHERE player_key = $1 AND round_id = $2",  # noqa: S608
                bet.key.player_key,
                bet.key.round_id,
            )
    assert (await seat.close(bet)).view.win == 250


def _view(result: Decision | Settlement | RoundView) -> RoundView | None:
    return result if isinstance(result, RoundView) else result.view

"""Cases of `win`: what a round pays, with and without its bet, and when the answer was lost."""

import asyncio
from typing import Final
from uuid import uuid4

from certification.case import ALREADY_WON, HANG_UP_AFTER_S, LATE_S, ONE_EFFECT, ONE_END, Case
from certification.trial import STAKE, WIN, Trial
from contracts.wallet import WalletRefusal


async def bet_and_win(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(WIN - STAKE) as before:
        await trial.taken(bet, balance=before - STAKE)
        await trial.taken(trial.win(bet), balance=before - STAKE + WIN)


async def zero_win(trial: Trial) -> None:
    bet = trial.bet()
    await trial.taken(bet)
    async with trial.moving(0) as before:
        await trial.taken(trial.win(bet, 0), balance=before)
        await trial.refused(trial.rollback(bet), ALREADY_WON)


async def win_without_bet(trial: Trial) -> None:
    async with trial.moving(0):
        await trial.refused(trial.win(trial.bet()), WalletRefusal.UNKNOWN_TRANSACTION.value)
    async with trial.moving(WIN) as before:
        await trial.taken(trial.win(None), balance=before + WIN)


async def ended_session(trial: Trial) -> None:
    ended = trial.seat.ended_session_id
    # One that the wallet never saw is as good as one that it has forgotten.
    gone = ended or f"certify-{uuid4().hex}"
    won, undone = trial.bet(), trial.bet()
    await trial.taken(won)
    await trial.taken(undone)
    async with trial.moving(WIN + STAKE):
        await trial.taken(trial.win(won).but(session_id=gone))
        await trial.taken(trial.rollback(undone).but(session_id=gone))
    if ended is None:
        trial.notes.append("a bet on an ended session was not asked: --ended-session names one")
        return
    async with trial.moving(0):
        await trial.refused(trial.bet(session_id=ended), WalletRefusal.SESSION_EXPIRED.value)


async def win_lost(trial: Trial) -> None:
    bet = trial.bet()
    win = trial.win(bet)
    await trial.taken(bet)
    async with trial.moving(WIN):
        for after_s in HANG_UP_AFTER_S:
            await trial.caller.abandon(win, after_s=after_s)
        await asyncio.sleep(LATE_S)
        # Whether this is the repeat of one that came through is what nobody knows.
        reply = await trial.caller.call(win)
        trial.expect_taken(reply, duplicate=reply.duplicate)
        await trial.taken(win, duplicate=True)


CASES: Final = (
    Case(5, "Bet and win", "The two net correctly.", ONE_EFFECT, bet_and_win),
    Case(
        9,
        "Zero win",
        "A win of 0 is taken and closes the round: a rollback after it is refused.",
        ONE_END,
        zero_win,
    ),
    Case(
        23,
        "Win without a bet",
        "A win whose bet never came is refused; a win by promotion, which names none, is taken.",
        "Look the bet up where bet_transaction_id names one; where it is null, credit the win.",
        win_without_bet,
    ),
    Case(
        24,
        "Ended session",
        "A win and a rollback are taken all the same; a bet is refused.",
        "Ask for a live session in authenticate and bet only: what was won is owed.",
        ended_session,
    ),
    Case(
        26,
        "Win without an answer",
        "A win that is repeated until it is answered is credited once.",
        ONE_EFFECT,
        win_lost,
    ),
)

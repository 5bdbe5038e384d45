"""Cases of `rollback`: the stake goes back once, whatever came before it or at the same time."""

import asyncio
from typing import Final

from certification.case import (
    ALREADY_WON,
    HANG_UP_AFTER_S,
    INVALID,
    KEEP_TOMBSTONES,
    LATE_S,
    ONE_END,
    ROLLED_BACK,
    Case,
)
from certification.trial import STAKE, WIN, Trial

RACES: Final = 5
PARALLEL_ROLLBACKS: Final = 10


async def bet_undone(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(0) as before:
        await trial.taken(bet, balance=before - STAKE)
        await trial.taken(trial.rollback(bet), balance=before)
        # Yes to it now would let a round go on that has no stake.
        await trial.refused(bet, ROLLED_BACK)


async def rollback_without_amount(trial: Trial) -> None:
    small, large = trial.bet(STAKE - 3), trial.bet(STAKE + 3)
    await trial.taken(small)
    await trial.taken(large)
    async with trial.moving(STAKE - 3):
        await trial.taken(trial.rollback(small))


async def rollback_with_wrong_amount(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(0):
        await trial.taken(bet)
        wrong = await trial.caller.call(trial.rollback(bet, amount=5 * STAKE))
        # The page has no such field: a wallet may take the rollback without it, or refuse the body.
        if wrong.taken:
            trial.expect_taken(wrong)
        elif trial.expect_refused(wrong, INVALID):
            await trial.taken(trial.rollback(bet))


async def second_rollback(trial: Trial) -> None:
    bet = trial.bet()
    rollback = trial.rollback(bet)
    await trial.taken(bet)
    async with trial.moving(STAKE) as before:
        await trial.taken(rollback, balance=before + STAKE)
        await trial.taken(rollback, balance=before + STAKE, duplicate=True)
        # With an id of its own it may be taken or refused, as long as it pays nothing.
        trial.expect_certain(await trial.caller.call(trial.rollback(bet)))
    bet = trial.bet()
    await trial.taken(bet)
    async with trial.moving(STAKE):
        for reply in await trial.together(trial.rollback(bet) for _ in range(PARALLEL_ROLLBACKS)):
            trial.expect_certain(reply)


async def rollback_before_bet(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(0):
        rollback = trial.rollback(bet)
        await trial.taken(rollback)
        await trial.refused(bet, ROLLED_BACK)
        await trial.taken(rollback, duplicate=True)
        await trial.refused(bet, ROLLED_BACK)


async def rollback_after_win(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(WIN - STAKE):
        await trial.taken(bet)
        await trial.taken(trial.win(bet))
        await trial.refused(trial.rollback(bet), ALREADY_WON)


async def win_after_rollback(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(0):
        await trial.taken(bet)
        await trial.taken(trial.rollback(bet))
        await trial.refused(trial.win(bet), ROLLED_BACK)
    for _ in range(RACES):
        await _one_end(trial)


async def _one_end(trial: Trial) -> None:
    """A win and a rollback at once: whichever is taken, the other is refused."""
    bet = trial.bet()
    await trial.taken(bet)
    before = await trial.balance()
    win, rollback = await trial.together((trial.win(bet), trial.rollback(bet)))
    if win.taken:
        trial.expect_refused(rollback, ALREADY_WON)
    else:
        trial.expect_taken(rollback)
        trial.expect_refused(win, ROLLED_BACK)
    await trial.taken(trial.balance_ask(), balance=before + (WIN if win.taken else STAKE))


async def bet_lost(trial: Trial) -> None:
    async with trial.moving(0):
        for after_s in HANG_UP_AFTER_S:
            bet = trial.bet()
            await trial.caller.abandon(bet, after_s=after_s)
            await trial.taken(trial.rollback(bet))
            await asyncio.sleep(LATE_S)
            await trial.refused(bet, ROLLED_BACK)


async def other_players_rollback(trial: Trial) -> None:
    bet, other = trial.bet(), trial.seat.other_player_id
    await trial.taken(bet)
    async with trial.moving(0), trial.moving(0, other):
        # A wallet whose ids are each player's own may take it for the rollback of a bet that never came.
        trial.expect_certain(await trial.caller.call(trial.as_other(trial.rollback(bet))))
    async with trial.moving(WIN):
        await trial.taken(trial.win(bet))


CASES: Final = (
    Case(
        16,
        "Rollback",
        "It gives the stake back; the same bet again is refused.",
        ONE_END,
        bet_undone,
    ),
    Case(
        17,
        "Rollback without an amount",
        "It gives back what its own bet had, and not what another had.",
        "Take the amount from the bet that the rollback names.",
        rollback_without_amount,
    ),
    Case(
        18,
        "Rollback with a wrong amount",
        "It gives back what the bet had, or is refused as invalid.",
        "Take the amount from the bet that the rollback names, never from the rollback.",
        rollback_with_wrong_amount,
    ),
    Case(
        19,
        "Second rollback",
        "It pays nothing: with the same id, with another, and ten at once.",
        ONE_END,
        second_rollback,
    ),
    Case(
        20,
        "Rollback before its bet",
        "It is taken and moves nothing; the late bet is refused.",
        KEEP_TOMBSTONES,
        rollback_before_bet,
    ),
    Case(21, "Rollback after a win", "It is refused and moves nothing.", ONE_END, rollback_after_win),
    Case(
        22,
        "Win after a rollback",
        "It is refused and moves nothing; of a win and a rollback at once, one is taken.",
        ONE_END,
        win_after_rollback,
    ),
    Case(
        25,
        "Bet without an answer",
        "After a bet whose answer was lost, a rollback restores the balance, whether the bet came or not.",
        KEEP_TOMBSTONES,
        bet_lost,
    ),
    Case(
        34,
        "Another player's rollback",
        "It moves nothing for either, and the bet stays open.",
        "Look a bet up by its player as well as by its id.",
        other_players_rollback,
        two_players=True,
    ),
)

"""Cases of the ids of transactions: a repeat has one effect, and an id means one thing for one player."""

from typing import Final
from uuid import uuid4

from certification.caller import Ask, Reply
from certification.case import ID_REUSED, ONE_EFFECT, Case
from certification.trial import STAKE, WIN, Trial

REPEATS: Final = 100


async def repeated_bet(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(-2 * STAKE) as before:
        first = await trial.taken(bet, balance=before - STAKE)
        # Another bet between them tells today's balance from that of the first answer.
        await trial.taken(trial.bet(), balance=before - 2 * STAKE)
        for _ in range(2):
            again = await trial.taken(bet, balance=before - 2 * STAKE, duplicate=True)
            _expect_same_id(trial, first, again)


def _expect_same_id(trial: Trial, first: Reply, again: Reply) -> None:
    if again.taken and first.wallet_transaction_id != again.wallet_transaction_id:
        trial.find(f"the transaction_id of the first answer, {first.wallet_transaction_id!r}", again)


async def repeated_win(trial: Trial) -> None:
    bet = trial.bet()
    win = trial.win(bet)
    await trial.taken(bet)
    async with trial.moving(WIN) as before:
        first = await trial.taken(win, balance=before + WIN)
        for _ in range(2):
            again = await trial.taken(win, balance=before + WIN, duplicate=True)
            _expect_same_id(trial, first, again)


async def id_reused(trial: Trial) -> None:
    bet = trial.bet()
    win = trial.win(bet)
    async with trial.moving(-STAKE):
        await trial.taken(bet)
        await trial.refused(bet.but(amount=STAKE + 1), ID_REUSED)
        await trial.refused(bet.but(round_id=f"certify-{uuid4().hex}"), ID_REUSED)
        # The bet's id for its own win.
        await trial.refused(win.but(transaction_id=bet.body["transaction_id"]), ID_REUSED)
    async with trial.moving(WIN):
        await trial.taken(win)
        await trial.refused(win.but(amount=WIN + 1), ID_REUSED)


async def parallel_repeats(trial: Trial) -> None:
    bet, undone = trial.bet(), trial.bet()
    win = trial.win(bet)
    await _one_effect(trial, bet, -STAKE)
    await _one_effect(trial, win, WIN)
    await trial.taken(undone)
    await _one_effect(trial, trial.rollback(undone), STAKE)


async def _one_effect(trial: Trial, ask: Ask, moved: int) -> None:
    async with trial.moving(moved):
        replies = await trial.together([ask] * REPEATS)
    firsts = [reply for reply in replies if reply.taken and not reply.duplicate]
    for reply in replies:
        if not reply.taken:
            trial.expect_taken(reply, duplicate=True)
    if len(firsts) != 1:
        trial.find(
            f"duplicate false once, and true {REPEATS - 1} times; false came {len(firsts)}x", replies[0]
        )


async def two_players(trial: Trial) -> None:
    bet, other = trial.bet(), trial.seat.other_player_id
    async with trial.moving(-STAKE), trial.moving(-STAKE, other):
        await trial.taken(bet)
        await trial.taken(trial.as_other(bet))


CASES: Final = (
    Case(
        10,
        "Repeated bet",
        "One debit; the repeat says duplicate, has the same transaction_id and today's balance.",
        ONE_EFFECT,
        repeated_bet,
    ),
    Case(
        11,
        "Repeated win",
        "One credit; the repeat says duplicate and has the same transaction_id.",
        ONE_EFFECT,
        repeated_win,
    ),
    Case(
        12,
        "Same id, other payload",
        "An id that comes again with another amount, round or call is refused.",
        "Store the payload beside the id, and refuse with 409 id-reused where it differs.",
        id_reused,
    ),
    Case(
        14,
        "Parallel repeats",
        f"{REPEATS} repeats of one bet, one win and one rollback, as many at once as a wallet must take: one"
        " effect each.",
        ONE_EFFECT,
        parallel_repeats,
    ),
    Case(
        15,
        "Same id, two players",
        "Two players' bets with the same transaction id are both taken.",
        "Make the player part of the unique key on transaction ids.",
        two_players,
        two_players=True,
    ),
)

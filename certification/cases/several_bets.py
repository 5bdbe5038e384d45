"""Cases of a round with several bets: what a player adds to a stake, each undone alone, one win for all."""

from typing import Final

from certification.caller import Ask
from certification.case import KEEP_TOMBSTONES, ROLLED_BACK, Case
from certification.trial import STAKE, WIN, Trial

# Another amount than the stake, so that a sum tells which bet moved.
FURTHER: Final = STAKE + 3


def further_bet(trial: Trial, bet: Ask) -> Ask:
    """Another bet of the same round."""
    return trial.bet(FURTHER, round_id=bet.body["round_id"])


async def several_bets(trial: Trial) -> None:
    bet = trial.bet()
    further = further_bet(trial, bet)
    async with trial.moving(WIN - STAKE - FURTHER) as before:
        await trial.taken(bet, balance=before - STAKE)
        await trial.taken(further, balance=before - STAKE - FURTHER)
        await trial.taken(further, balance=before - STAKE - FURTHER, duplicate=True)
        await trial.taken(trial.win(bet), balance=before - STAKE - FURTHER + WIN)


async def several_bets_undone(trial: Trial) -> None:
    bet = trial.bet()
    further, given_up, late = (further_bet(trial, bet) for _ in range(3))
    async with trial.moving(0):
        await trial.taken(bet)
        await trial.taken(further)
        async with trial.moving(0):
            await trial.taken(given_up)
            await trial.taken(trial.rollback(given_up))
            await trial.refused(given_up, ROLLED_BACK)
            await trial.taken(trial.rollback(late))
            await trial.refused(late, ROLLED_BACK)
        await trial.taken(trial.rollback(bet))
        await trial.refused(trial.win(bet), ROLLED_BACK)
        await trial.taken(trial.rollback(further))


CASES: Final = (
    Case(
        43,
        "Several bets of a round",
        "Each is debited once; the one win, which names the first, is credited once.",
        "Tell bets apart by their transaction ids, not by their round.",
        several_bets,
        several_bets=True,
    ),
    Case(
        44,
        "Several bets of a round undone",
        "A rollback undoes the bet that it names, before or after it came, and no other of the round.",
        KEEP_TOMBSTONES,
        several_bets_undone,
        several_bets=True,
    ),
)

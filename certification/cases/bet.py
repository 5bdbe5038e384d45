"""Cases of `bet`: amounts, currencies, funds, and many at once."""

from typing import Final

from certification.case import INVALID, NO_FUNDS, ONE_EFFECT, READ_STRICTLY, Case
from certification.trial import STAKE, WIN, Trial
from contracts.wallet import WalletRefusal

PARALLEL_BETS: Final = 10
INTEGER_LIMIT: Final = 2**63


async def bet_once(trial: Trial) -> None:
    async with trial.moving(-STAKE) as before:
        await trial.taken(trial.bet(), balance=before - STAKE)


async def insufficient_funds(trial: Trial) -> None:
    async with trial.moving(0) as before:
        await trial.refused(trial.bet(before + 1), NO_FUNDS, balance=before)
    async with trial.moving(-STAKE) as before:
        await trial.taken(trial.bet(), balance=before - STAKE)


async def odd_amounts(trial: Trial) -> None:
    bet = trial.bet()
    async with trial.moving(0):
        # Whether a round may be free is the operator's policy.
        trial.expect_certain(await trial.caller.call(trial.bet(0)))
        for amount in (-STAKE, STAKE + 0.5, f"{STAKE}", None, True):
            await trial.refused(trial.bet().but(amount=amount), INVALID)
    async with trial.moving(-STAKE):
        await trial.taken(bet)
        await trial.refused(trial.win(bet, -WIN), INVALID)


async def parallel_bets(trial: Trial) -> None:
    async with trial.moving(-PARALLEL_BETS * STAKE):
        for reply in await trial.together(trial.bet() for _ in range(PARALLEL_BETS)):
            trial.expect_taken(reply)


async def currency_mismatch(trial: Trial) -> None:
    other = "USD" if trial.seat.currency != "USD" else "EUR"
    bet = trial.bet()
    await trial.taken(bet)
    async with trial.moving(0):
        for ask in (trial.bet(), trial.win(bet)):
            await trial.refused(ask.but(currency=other), WalletRefusal.CURRENCY_MISMATCH.value)


async def integer_limits(trial: Trial) -> None:
    async with trial.moving(0):
        for amount in (INTEGER_LIMIT - 1, INTEGER_LIMIT, 10**30):
            await trial.refused(trial.bet(amount), INVALID, NO_FUNDS)
    bet = trial.bet()
    await trial.taken(bet)
    async with trial.moving(0):
        for amount in (INTEGER_LIMIT - 1, INTEGER_LIMIT, 10**30):
            await trial.refused(trial.win(bet, amount), INVALID)


CASES: Final = (
    Case(4, "Bet", "A bet debits its stake, and the answer has the balance after it.", ONE_EFFECT, bet_once),
    Case(
        7,
        "Insufficient funds",
        "A bet over the balance is refused with the true balance; one that is covered is then taken.",
        "Compare and debit in one transaction, and answer 402 with the balance that was found there.",
        insufficient_funds,
    ),
    Case(
        8,
        "Odd amounts",
        "A zero stake moves nothing, taken or not; an amount that is negative or no integer is refused.",
        READ_STRICTLY,
        odd_amounts,
    ),
    Case(
        13,
        "Parallel bets",
        f"{PARALLEL_BETS} bets at once leave the right balance.",
        "Lock the player's row before its balance is read, or debit in one statement.",
        parallel_bets,
    ),
    Case(
        31,
        "Another currency",
        "A bet and a win in another currency than the player's are refused.",
        "Compare the currency with the account's before anything moves; answer 422 currency-mismatch.",
        currency_mismatch,
    ),
    Case(
        41,
        "Limits of integers",
        "Amounts at and beyond 64 bits are refused in words of the protocol.",
        READ_STRICTLY,
        integer_limits,
    ),
)

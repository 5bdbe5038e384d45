"""The case of `balance` and `authenticate`: they only read."""

from typing import Final

from certification.case import Case
from certification.trial import Trial


async def reading(trial: Trial) -> None:
    async with trial.moving(0) as before:
        for ask in (trial.balance_ask(), trial.authenticate_ask(), trial.balance_ask()):
            await trial.taken(ask, balance=before)


CASES: Final = (
    Case(
        3,
        "Looking",
        "The calls balance and authenticate change nothing.",
        "Let balance and authenticate only read; bonuses and fees are movements of their own.",
        reading,
    ),
)

"""The case of a connection that is kept alive: it carries answers, and nothing between them."""

from typing import Final

from certification.case import Case
from certification.trial import Trial


async def nothing_beyond(trial: Trial) -> None:
    bet, too_much = trial.bet(), trial.bet(await trial.balance() + 1)
    for ask in (trial.balance_ask(), too_much, bet, bet, trial.rollback(bet)):
        reply = await trial.caller.listen(ask)
        trial.expect_certain(reply)
        if reply.beyond:
            trial.find("nothing on the connection after the answer's last byte", reply)


CASES: Final = (
    Case(
        45,
        "Nothing beyond the answer",
        "Nothing follows an answer on its connection: not after one that takes, refuses or repeats.",
        "Write each answer once, and count its body's bytes as they are sent. The next call may be another"
        " player's, and what is left would be read as its answer: Croupier drops such a connection, so each"
        " call needs a new one.",
        nothing_beyond,
    ),
)

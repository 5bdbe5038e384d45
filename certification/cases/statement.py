"""The case of the statement: what was taken is in it, once, and at its time."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from certification.caller import NO_STATEMENT, Ask
from certification.case import Case
from certification.trial import STAKE, WIN, Trial

# How far a wallet's clock may be off before entries are looked for in the wrong span.
CLOCK: Final = timedelta(seconds=30)
NOT_OFFERED: Final = "the wallet offers no statement, so its books are not compared"


async def entries(trial: Trial) -> None:
    settled, undone = trial.bet(), trial.bet()
    since = datetime.now(UTC) - CLOCK
    rounds = (
        ((settled, -STAKE), (trial.win(settled), WIN)),
        ((undone, -STAKE), (trial.rollback(undone), STAKE)),
    )
    for ask, _ in (one for taken in rounds for one in taken):
        await trial.taken(ask)
    for taken in rounds:
        if not await _shown(trial, taken, since):
            return


async def _shown(trial: Trial, taken: tuple[tuple[Ask, int], ...], since: datetime) -> bool:
    """Returns whether the wallet has a statement that can be read."""
    until = datetime.now(UTC) + CLOCK
    body = taken[0][0].body
    ids = {name: str(body[name]) for name in ("operator_id", "player_id", "round_id")}
    span = {"from": _time(since), "to": _time(until)}
    reply, items = await trial.caller.statement(**ids, **span)
    if items is None:
        if reply.status in NO_STATEMENT:
            trial.notes.append(NOT_OFFERED)
        else:
            trial.find("200 with items, or 404", reply)
        return False
    for ask, moved in taken:
        came = [_said(item) for item in items if _said(item)[0] == ask.body["transaction_id"]]
        if came != [(ask.body["transaction_id"], ask.call, moved)]:
            expected = f"one {ask.call} with moved {moved}, taken from {span['from']} to {span['to']}"
            trial.find(expected, reply, f"{len(came)} entries with its id: {came}")
    return True


def _said(item: Any) -> tuple[Any, ...]:
    fields = item if isinstance(item, dict) else {}
    return tuple(fields.get(name) for name in ("transaction_id", "call", "moved"))


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"


CASES: Final = (
    Case(
        46,
        "Statement",
        "A statement, where there is one, shows each call that was taken, once, at its time.",
        "Write the entry in the transaction that moves the money, with the call's own id, by a clock that is"
        " right.",
        entries,
    ),
)

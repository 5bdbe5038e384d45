"""What happened to a round, in a few sentences: for whoever sees it for the first time."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from contracts import failures
from contracts.failures import one_line
from contracts.records import RoundRecord
from contracts.rounds import RoundState
from contracts.views import RoundView
from contracts.wallet import WalletVerdict
from timeline.ledger import chosen, decided, was_held
from timeline.wording import compact, minute, money

# Why a round was declined, or is void, by its failure's code.
WHY: Final[Mapping[str, str]] = {
    failures.INSUFFICIENT_FUNDS: "the player did not have as much",
    failures.ROUND_OPEN: "another round of the player's was open",
    failures.SESSION_EXPIRED: "the session had ended",
    failures.PLAYER_BLOCKED: "the player was blocked",
    failures.GAME_DISABLED: "the operator had switched the game off",
    failures.ID_REUSED: "the round's id belonged to another bet",
    failures.CURRENCY_MISMATCH: "the currency was not the session's",
    failures.WALLET_FAILED: "the operator's wallet could not take the stake",
    failures.LIMIT_EXCEEDED: "a limit of the session was reached",
    failures.STAKE_NOT_ALLOWED: "the session does not allow such a stake",
    failures.RESERVE_UNCERTAIN: "nobody knew in time whether the stake was held",
    failures.RESOLVE_FAILED: "the game gave no outcome",
    failures.ROUND_CANCELLED: "its workflow was cancelled before it was settled",
    failures.ROLLED_BACK: "the operator's wallet had rolled the bet back, and refused the win",
    failures.ABANDONED: "the player did not decide in time, and the round's rules refund the stakes then",
    failures.VOIDED_BY_OPERATOR: "a person voided it",
    failures.ROUND_LOST: "the ledger was restored to a moment before it, or before it went on",
}


def sentences(record: RoundRecord, *, done: bool) -> Iterator[str]:
    """One fact each, in their order. `done` says that nothing is left to do."""
    view = record.view
    yield _bet(view)
    if view.demo:
        yield "It is played with demo money: no wallet hears of it, and no report counts it."
    yield from _stake(record)
    for taken in view.taken or ():
        by = "The player" if taken["by"] == "player" else "Nobody decided in time, and the timer"
        yield f"{by} chose {chosen(taken, view.currency)}."
    yield from (f"{decided(each)}." for each in record.interventions)
    yield from _standing(view)
    if done and view.state.final:
        yield "Nothing is left to do."


def _bet(view: RoundView) -> str:
    mode = "" if view.mode == "base" else f" in the mode {view.mode}"
    choice = "" if view.choice is None else f": {compact(view.choice)}"
    brand = "" if view.brand is None else f" of the brand {view.brand}"
    stake = money(view.stake, view.currency)
    return one_line(
        f"Player {view.player_id}{brand} bet {stake} on {view.game_id} {view.game_version}{mode} at"
        f" {minute(view.created_at)}{choice}."
    )


def _stake(record: RoundRecord) -> Iterator[str]:
    """What became of the stake: nothing is said of a bet that was declined before it was asked for."""
    view = record.view
    tried = [attempt for attempt in record.attempts if attempt.call == "bet"]
    asked = [attempt for attempt in tried if attempt.sent]
    if tried and not asked:
        yield "The operator's wallet could not be asked for it."
    elif asked:
        taken = any(attempt.verdict is WalletVerdict.ACCEPTED for attempt in asked)
        times = "once" if len(asked) == 1 else f"{len(asked)} times"
        how = "and took the stake" if taken else "and has not taken the stake"
        yield f"The operator's wallet was asked for it {times}, {how}."
    elif view.begun_only:
        yield "Nothing is held for it yet."
    elif was_held(view):
        yield f"The stake was held on account {view.account_id}."


def _standing(view: RoundView) -> Iterator[str]:
    """How it ended, or where it stands."""
    match view.state:
        case RoundState.SETTLED:
            won = f"won {money(view.win, view.currency)}" if view.win else "won nothing"
            yield f"It settled {_after(view)} and {won}{_left(view)}."
            if view.outcome is not None:
                yield one_line(f"Its outcome: {compact(view.outcome)}.")
        case RoundState.VOID:
            back = f"; {money(view.staked, view.currency)} were released" if was_held(view) else ""
            yield f"It is void{_because(view)}{back}{_left(view)}."
        case RoundState.DECLINED:
            yield f"The bet was declined{_because(view)}; nothing was held."
        case RoundState.AWAITING_CHOICE:
            yield _waits_for_player(view)
        case RoundState.SETTLING:
            yield (
                f"Its result is on record, a win of {money(view.win, view.currency)}, and the operator's"
                " wallet has not taken it."
            )
        case RoundState.PENDING if not view.begun_only:
            yield "It has no result yet."


def _after(view: RoundView) -> str:
    if view.closed_at is None:
        return "at once"
    took_s = (view.closed_at - view.created_at).total_seconds()
    return f"after {took_s * 1000:.0f} ms" if took_s < 1 else f"after {_span(took_s)}"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7_200 else f"{seconds / 3_600:.0f} hours"


def _left(view: RoundView) -> str:
    if view.balance is None:
        return ""
    return f"; {money(view.balance, view.currency)} were available then"


def _because(view: RoundView) -> str:
    if view.failure_code is None:
        return ""
    why = WHY.get(view.failure_code, "for a reason of its own")
    detail = one_line(view.failure_detail or "")
    return f", because {why} ({view.failure_code}{': ' if detail else ''}{detail})"


def _waits_for_player(view: RoundView) -> str:
    open_round = view.open
    assert open_round is not None
    offered = [
        choice.action + (f" for {money(choice.debit, view.currency)}" if choice.debit else "")
        for choice in open_round.offer.choices
    ]
    if open_round.asked is not None:
        return one_line(
            f"The operator's wallet is asked for what {open_round.asked.chosen.action} costs, and has not"
            " answered."
        )
    return one_line(f"It waits for its player, {_until(view.decide_by)}, to choose {' or '.join(offered)}.")


def _until(at: datetime | None) -> str:
    return "without end" if at is None else f"until {minute(at)}"

"""Asks the cases of a wallet one after the other."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import httpx

from certification.caller import Caller, calling
from certification.case import Case
from certification.cases.table import CASES, ELSEWHERE, MONEY_NEEDED
from certification.report import Outcome, Report, Result
from certification.trial import Ended, Seat, Trial, outcome
from security.standard_webhooks import SharedSecret


class CannotRun(Exception):
    """Why nothing was certified, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Which wallet is asked, as whom, and which cases. `several_bets` says that it takes several bets of
    one round. `only` are numbers of cases, separated by commas; empty is all."""

    url: str
    operator_id: str
    currency: str
    game_id: str
    player_id: str | None = None
    session_id: str | None = None
    other_player_id: str | None = None
    other_session_id: str | None = None
    ended_session_id: str | None = None
    several_bets: bool = True
    only: str = ""


async def certify(choices: Choices, secret_text: str) -> Report:
    """Raises CannotRun."""
    cases, seat, url = chosen(choices.only), seat_of(choices), wallet_url(choices.url)
    try:
        key = SharedSecret.parse(secret_text)
    except ValueError as problem:
        raise CannotRun(f"the secret cannot be used: {problem}") from None
    async with calling(url, key, secret_text) as caller:
        await _check_players(caller, seat)
        await _authenticate(caller, seat)
        began = datetime.now(UTC)
        results = [
            _not_asked(case, "the wallet takes one bet a round (--one-bet): no action that costs is offered")
            if case.several_bets and not choices.several_bets
            else await _result(case, caller, seat)
            for case in cases
        ]
    return Report(
        url=url,
        player_id=seat.player_id,
        currency=seat.currency,
        began=began,
        results=tuple(results),
        elsewhere=ELSEWHERE,
    )


async def _result(case: Case, caller: Caller, seat: Seat) -> Result:
    if case.two_players and seat.other_player_id is None:
        return _not_asked(case, "--other-player names a second test player")
    trial = Trial(caller, seat, case.remedy)
    began_s = time.monotonic()
    try:
        await case.ask(trial)
    except Ended:
        trial.notes.append("ended early: the balance could not be read")
    return Result(
        case=case,
        outcome=Outcome.FAILED if trial.findings else Outcome.PASSED,
        findings=tuple(trial.findings),
        notes=tuple(trial.notes),
        seconds=time.monotonic() - began_s,
    )


def _not_asked(case: Case, note: str) -> Result:
    return Result(case=case, outcome=Outcome.NOT_ASKED, notes=(note,))


async def _check_players(caller: Caller, seat: Seat) -> None:
    """Raises CannotRun for a wallet that does not answer, or a player that cannot play the cases."""
    trial = Trial(caller, seat, remedy="")
    for player_id in filter(None, (seat.player_id, seat.other_player_id)):
        reply = await caller.call(trial.balance_ask(player_id))
        if not reply.taken or reply.balance is None:
            came = caller.shown(reply.problem or outcome(reply))
            raise CannotRun(f"the wallet does not say the balance of player {player_id}: {came}")
        if reply.currency != seat.currency:
            raise CannotRun(f"player {player_id} has {reply.currency}; --currency is {seat.currency}")
        if reply.balance < MONEY_NEEDED:
            raise CannotRun(
                f"player {player_id} has {reply.balance}, and the cases need {MONEY_NEEDED} minor units"
            )


async def _authenticate(caller: Caller, seat: Seat) -> None:
    """As Croupier does before a session's first bet. Whatever comes: case 3 judges it, and a wallet that bets
    in no other session refuses the bets of all the rest."""
    ask = Trial(caller, seat, remedy="").authenticate_ask()
    await caller.call(ask)
    if seat.other_player_id is not None:
        await caller.call(ask.but(player_id=seat.other_player_id, session_id=seat.other_session_id))


def chosen(only: str) -> tuple[Case, ...]:
    """The cases with these numbers, all when there is none. Raises CannotRun."""
    numbers = [part.strip() for part in only.split(",") if part.strip()]
    known = {str(case.number): case for case in CASES}
    for number in numbers:
        if number not in known:
            where = {str(key): why for key, why in ELSEWHERE.items()}.get(number, "there is no such case")
            raise CannotRun(f"case {number} is not asked of a wallet: {where}")
    return tuple(case for case in CASES if not numbers or str(case.number) in numbers)


def seat_of(choices: Choices) -> Seat:
    """A player who was not given is a fresh one, and then so is the other: the wallet opens players on first
    sight, or it would not be asked so."""
    run_id = uuid4().hex[:12]
    fresh_other = f"certify-{run_id}-b" if choices.player_id is None else None
    return Seat(
        operator_id=choices.operator_id,
        player_id=choices.player_id or f"certify-{run_id}",
        session_id=choices.session_id or f"certify-{run_id}",
        currency=choices.currency,
        game_id=choices.game_id,
        other_player_id=choices.other_player_id or fresh_other,
        other_session_id=choices.other_session_id or f"certify-{run_id}-b",
        ended_session_id=choices.ended_session_id,
    )


def wallet_url(text: str) -> str:
    """Raises CannotRun, without the text where it may hold a password."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise CannotRun("--wallet is no URL") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise CannotRun("--wallet has to be an http:// or https:// URL")
    if url.userinfo or url.query or url.fragment:
        raise CannotRun("--wallet must have no user, query or fragment")
    return text.rstrip("/")

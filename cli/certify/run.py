"""Asks the cases one after the other, and says how it went: on the terminal, as JSON, as a page."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx
import typer
from rich.console import Console

from cli.certify.caller import Caller, calling
from cli.certify.cases import CASES, ELSEWHERE, MONEY_NEEDED, Case
from cli.certify.page import page
from cli.certify.report import Outcome, Report, Result
from cli.certify.trial import Ended, Seat, Trial, outcome
from contracts.failures import one_line
from security.standard_webhooks import SharedSecret

PASSED: Final = 0
FAILED: Final = 1
COULD_NOT_RUN: Final = 2
SECRET_VARIABLE: Final = "CROUPIER_WALLET_SECRET"  # noqa: S105 - the name of a variable
SECRET_LIMIT: Final = 4096


class CannotRun(Exception):
    """Why nothing was certified, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the command line asks for. `only` is as it was typed; empty is all."""

    url: str
    operator_id: str
    currency: str
    game_id: str
    secret_file: Path | None = None
    player_id: str | None = None
    session_id: str | None = None
    other_player_id: str | None = None
    other_session_id: str | None = None
    ended_session_id: str | None = None
    only: str = ""
    as_json: bool = False
    html: Path | None = None


def run(choices: Choices) -> int:
    """Returns 0 when all that was asked passed, 1 when some failed, 2 when it could not run."""
    try:
        report = asyncio.run(certify(choices, secret(choices.secret_file)))
        if choices.html is not None:
            _write(choices.html, page(report))
    except CannotRun as problem:
        typer.echo(f"croupier: {one_line(str(problem))}", err=True)
        return COULD_NOT_RUN
    if choices.as_json:
        typer.echo(report.as_json())
    else:
        report.render(Console(highlight=False))
    return PASSED if report.ok else FAILED


async def certify(choices: Choices, secret_text: str) -> Report:
    """Raises CannotRun."""
    cases, seat, url = chosen(choices.only), seat_of(choices), wallet_url(choices.url)
    try:
        key = SharedSecret.parse(secret_text)
    except ValueError as problem:
        raise CannotRun(f"the secret cannot be used: {problem}") from None
    async with calling(url, key, secret_text) as caller:
        await _look(caller, seat)
        began = datetime.now(UTC)
        results = [await _result(case, caller, seat) for case in cases]
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
        note = "--other-player names a second test player"
        return Result(case=case, outcome=Outcome.NOT_ASKED, notes=(note,))
    trial = Trial(caller, seat, case.mend)
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


async def _look(caller: Caller, seat: Seat) -> None:
    """Raises CannotRun for a wallet that does not answer, or a player that cannot play the cases."""
    trial = Trial(caller, seat, mend="")
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


def secret(file: Path | None) -> str:
    """From the file, or from the environment. Raises CannotRun. Nothing of it is ever shown."""
    try:
        text = os.environ.get(SECRET_VARIABLE, "") if file is None else file.read_text()[:SECRET_LIMIT]
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRun(f"the secret cannot be read: {type(error).__name__}") from None
    if len(text.split()) != 1:
        raise CannotRun(f"give one secret (whsec_...) with --secret-file or in {SECRET_VARIABLE}")
    return text.strip()


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotRun(f"the page {file} cannot be written: {error.strerror}") from None

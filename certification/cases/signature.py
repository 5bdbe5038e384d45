"""Cases of every call: who may speak, and what was signed."""

import json
import os
from collections.abc import Mapping
from typing import Final
from uuid import uuid4

from certification.case import BAD_SIGNATURE, CHECK_FIRST, INVALID, Case
from certification.trial import STAKE, WIN, Trial
from security.standard_webhooks import SIGNATURE_HEADER, TOLERANCE_S, SharedSecret


async def credentials(trial: Trial) -> None:
    another = SharedSecret(os.urandom(32))
    bet = trial.bet()
    content, message_id = bet.content, bet.message_id
    signed = trial.caller.signed
    attempts: tuple[Mapping[str, str], ...] = (
        {},
        {**signed(content, message_id), SIGNATURE_HEADER: "v1,"},
        signed(content, message_id, secret=another),
        signed(content, message_id, age_s=2 * TOLERANCE_S),
        signed(content, message_id, age_s=-2 * TOLERANCE_S),
        {**signed(content, message_id), "webhook-id": str(uuid4())},
    )
    async with trial.moving(0):
        for headers in attempts:
            trial.expect_refused(await trial.caller.send(bet, content, headers), BAD_SIGNATURE)


async def raw_bytes(trial: Trial) -> None:
    bet = trial.bet()
    headers = trial.caller.signed(bet.content, bet.message_id)
    tampered = bet.but(amount=STAKE + 1).content
    async with trial.moving(0):
        for content in (tampered, bet.content + b" "):
            trial.expect_refused(await trial.caller.send(bet, content, headers), BAD_SIGNATURE)
    spaced = b"  " + bet.content.replace(b'": ', b'" :\n')
    async with trial.moving(-STAKE):
        headers = trial.caller.signed(spaced, bet.message_id)
        other = trial.caller.signed(spaced, bet.message_id, secret=SharedSecret(os.urandom(32)))
        headers[SIGNATURE_HEADER] = f"{other[SIGNATURE_HEADER]} {headers[SIGNATURE_HEADER]}"
        trial.expect_taken(await trial.caller.send(bet, spaced, headers))


async def another_path(trial: Trial) -> None:
    bet = trial.bet()
    win = trial.win(bet)
    await trial.taken(bet)
    async with trial.moving(0):
        # To the byte what was signed for a win, at an address where it was not meant to arrive.
        for elsewhere in (trial.rollback(bet), trial.bet()):
            headers = trial.caller.signed(win.content, win.message_id)
            trial.expect_refused(await trial.caller.send(elsewhere, win.content, headers), INVALID)
        silent = trial.bet()
        content = json.dumps(silent.body).encode()
        headers = trial.caller.signed(content, silent.message_id)
        trial.expect_refused(await trial.caller.send(silent, content, headers), INVALID)
    async with trial.moving(WIN):
        await trial.taken(win)


CASES: Final = (
    Case(
        1,
        "Credentials",
        "A bet with no signature, a wrong one, or one of another time or id is refused and moves nothing.",
        CHECK_FIRST,
        credentials,
    ),
    Case(
        2,
        "Raw bytes",
        "A body that differs from what was signed in one byte is refused; an odd one that was signed so is"
        " taken, also with another key's signature beside the right one.",
        CHECK_FIRST,
        raw_bytes,
    ),
    Case(
        42,
        "Another call's body",
        "A win that was signed for its own path is refused at those of rollback and bet, and so is a body"
        " that does not say its call.",
        "The path is not signed: compare the body's call with that of the path, and answer 422 invalid where"
        " it is missing or another.",
        another_path,
    ),
)

"""Asks an operator's wallet whether a session's player may play, before the first bet of that session."""

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import Final

from contracts.wallet import WalletAnswer, WalletCall, WalletRefusal, WalletRequest, WalletVerdict
from wallet.operator import Ask
from wallet.operator_http import AWAY

# How many sessions a process remembers. One that was forgotten is authenticated again, which changes nothing.
REMEMBERED: Final = 10_000


class Authenticating:
    """Stands before the calls of a wallet. What it remembers is this process's own: another one authenticates
    a session before its first bet there.

    A refusal answers the bet, which is not sent then. So does a wallet that is not there; one that is there
    and has no such call is asked for the bet, which it refuses if it has to. Whoever stops waiting does not
    stop the call: its answer is remembered, for the session's next bet."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._under_way: dict[tuple[str, str], asyncio.Task[WalletAnswer]] = {}

    async def admit(self, request: WalletRequest) -> WalletAnswer | None:
        """Returns the answer of a bet that must not be sent, None for any other call. Raises what `ask`
        raises."""
        if request.call is not WalletCall.BET:
            return None
        session = _session(request)
        if session not in self._known:
            said = await asyncio.shield(self._authenticating(session, request))
            if not _may_bet(said):
                return replace(said, sent=False, detail=f"authenticate: {said.detail}")
        self._remember(session)
        return None

    async def ask(self, request: WalletRequest) -> WalletAnswer:
        """Makes a call that was admitted. Raises what the wallet's own call raises."""
        answer = await self._ask(request)
        if request.call is WalletCall.BET and answer.code == WalletRefusal.SESSION_EXPIRED:
            self._known.pop(_session(request), None)
        return answer

    def _authenticating(self, session: tuple[str, str], bet: WalletRequest) -> "asyncio.Task[WalletAnswer]":
        """The call that authenticates the session; there is one at a time."""
        if (under_way := self._under_way.get(session)) is not None:
            return under_way
        task = self._under_way[session] = asyncio.create_task(self._authenticate(session, bet))
        task.add_done_callback(lambda _: self._under_way.pop(session, None))
        return task

    async def _authenticate(self, session: tuple[str, str], bet: WalletRequest) -> WalletAnswer:
        said = await self._ask(_authenticate(bet))
        if _may_bet(said):
            self._remember(session)
        return said

    def _remember(self, session: tuple[str, str]) -> None:
        self._known[session] = None
        self._known.move_to_end(session)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _session(bet: WalletRequest) -> tuple[str, str]:
    return bet.player_id, bet.session_id


def _authenticate(bet: WalletRequest) -> WalletRequest:
    return WalletRequest(
        call=WalletCall.AUTHENTICATE,
        operator_id=bet.operator_id,
        player_id=bet.player_id,
        session_id=bet.session_id,
        currency=bet.currency,
    )


def _may_bet(said: WalletAnswer) -> bool:
    if said.verdict is WalletVerdict.UNKNOWN:
        return said.sent and said.code not in AWAY
    return said.verdict is WalletVerdict.ACCEPTED

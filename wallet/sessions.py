"""Asks an operator's wallet whether a session's player may play, before the first bet of that session."""

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from contracts.wallet import WalletAnswer, WalletCall, WalletRefusal, WalletRequest, WalletVerdict
from wallet.operator import Ask
from wallet.operator_http import AWAY

# How many sessions a process remembers. One that was forgotten is authenticated again, which changes nothing.
REMEMBERED: Final = 10_000


class Authenticating:
    """An Ask over another one. What it remembers is this process's own: another one authenticates a session
    before its first bet there.

    A refusal answers the bet, which is not sent then. So does a wallet that is not there; one that is there
    and has no such call is asked for the bet, which it refuses if it has to."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def __call__(self, request: WalletRequest) -> WalletAnswer:
        """Raises what the other one raises."""
        if request.call is not WalletCall.BET:
            return await self._ask(request)
        session = (request.player_id, request.session_id)
        if session not in self._known and not _may_bet(said := await self._ask(_authenticate(request))):
            return replace(said, sent=False, detail=f"authenticate: {said.detail}")
        self._remember(session)
        answer = await self._ask(request)
        if answer.code == WalletRefusal.SESSION_EXPIRED:
            self._known.pop(session, None)
        return answer

    def _remember(self, session: tuple[str, str]) -> None:
        self._known[session] = None
        self._known.move_to_end(session)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


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

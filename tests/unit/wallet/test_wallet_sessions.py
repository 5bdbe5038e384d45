"""A wallet is asked whether a session's player may play before the session's first bet, and then no more."""

import asyncio
from dataclasses import replace
from typing import Final

import pytest

from contracts.wallet import WalletAnswer, WalletCall, WalletRefusal, WalletRequest, WalletVerdict
from wallet import sessions
from wallet.sessions import Authenticating

AUTHENTICATE, BET, WIN = WalletCall.AUTHENTICATE, WalletCall.BET, WalletCall.WIN
BET_ID: Final = "5f0c2f5e-6d2b-5b0e-9f59-0c5a1d3b7e11"
A_BET: Final = WalletRequest(
    call=BET,
    operator_id="acme",
    player_id="p1",
    session_id="s1",
    currency="EUR",
    round_id="r1",
    game_id="dice",
    transaction_id=BET_ID,
    amount=100,
)
YES: Final = WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=900)


def refused(code: WalletRefusal) -> WalletAnswer:
    return WalletAnswer(verdict=WalletVerdict.REFUSED, code=code, balance=7, detail="no")


def unknown(code: str, *, sent: bool = True) -> WalletAnswer:
    return WalletAnswer(verdict=WalletVerdict.UNKNOWN, code=code, detail="why", sent=sent)


class Wallet:
    """Answers what is laid out, then yes."""

    def __init__(self, *answers: WalletAnswer) -> None:
        self.answers = [*answers]
        self.asked: list[WalletRequest] = []
        self.sessions = Authenticating(self._answer)

    async def ask(self, request: WalletRequest) -> WalletAnswer:
        """As OperatorSteps asks."""
        return await self.sessions.admit(request) or await self.sessions.ask(request)

    async def _answer(self, request: WalletRequest) -> WalletAnswer:
        self.asked.append(request)
        return self.answers.pop(0) if self.answers else YES

    @property
    def calls(self) -> list[WalletCall]:
        return [request.call for request in self.asked]


class Slow(Wallet):
    """Answers once the test says `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def _answer(self, request: WalletRequest) -> WalletAnswer:
        answer = await super()._answer(request)
        await self.go.wait()
        return answer


async def test_a_session_is_authenticated_once_before_its_first_bet() -> None:
    wallet = Wallet()
    for call in (BET, WIN, BET):
        assert await wallet.ask(replace(A_BET, call=call)) == YES
    assert wallet.calls == [AUTHENTICATE, BET, WIN, BET]
    assert wallet.asked[0] == WalletRequest(
        call=AUTHENTICATE, operator_id="acme", player_id="p1", session_id="s1", currency="EUR"
    )


async def test_each_session_has_its_own() -> None:
    wallet = Wallet()
    for bet in (A_BET, replace(A_BET, session_id="s2"), replace(A_BET, player_id="p2"), A_BET):
        await wallet.ask(bet)
    assert wallet.calls == [AUTHENTICATE, BET] * 3 + [BET]


@pytest.mark.parametrize("call", [WIN, WalletCall.ROLLBACK, WalletCall.BALANCE])
async def test_nothing_but_a_bet_needs_it(call: WalletCall) -> None:
    wallet = Wallet()
    await wallet.ask(replace(A_BET, call=call))
    assert wallet.calls == [call]


@pytest.mark.parametrize(
    "said",
    [
        refused(WalletRefusal.SESSION_EXPIRED),
        refused(WalletRefusal.PLAYER_BLOCKED),
        unknown("timeout"),
        unknown("status-503"),
        unknown("wallet-away", sent=False),
    ],
    ids=lambda said: said.code,
)
async def test_without_it_the_bet_is_not_sent_and_has_its_answer(said: WalletAnswer) -> None:
    wallet = Wallet(said)
    answer = await wallet.ask(A_BET)
    assert (answer.verdict, answer.code, answer.balance) == (said.verdict, said.code, said.balance)
    assert not answer.sent
    assert "authenticate" in answer.detail
    assert wallet.calls == [AUTHENTICATE]
    assert await wallet.ask(A_BET) == YES
    assert wallet.calls == [AUTHENTICATE, AUTHENTICATE, BET]


@pytest.mark.parametrize("code", ["status-405", "not-json", "empty", "unknown-code"])
async def test_a_wallet_without_the_call_is_asked_for_the_bet(code: str) -> None:
    wallet = Wallet(unknown(code))
    assert await wallet.ask(A_BET) == YES
    await wallet.ask(A_BET)
    assert wallet.calls == [AUTHENTICATE, BET, BET]


async def test_a_session_that_the_wallet_calls_expired_is_authenticated_before_its_next_bet() -> None:
    wallet = Wallet(YES, refused(WalletRefusal.SESSION_EXPIRED))
    assert (await wallet.ask(A_BET)).code == "session-expired"
    await wallet.ask(A_BET)
    assert wallet.calls == [AUTHENTICATE, BET, AUTHENTICATE, BET]


async def test_so_many_sessions_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "REMEMBERED", 2)
    wallet = Wallet()
    for session_id in ("s1", "s2", "s1", "s3", "s1", "s2"):
        await wallet.ask(replace(A_BET, session_id=session_id))
    asked = [request.session_id for request in wallet.asked if request.call is AUTHENTICATE]
    assert asked == ["s1", "s2", "s3", "s2"]


async def test_whoever_stops_waiting_does_not_stop_the_call() -> None:
    """Or the next bet of a player whose wallet is slow to authenticate would wait in vain as well."""
    wallet = Slow()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await wallet.ask(A_BET)
    wallet.go.set()
    assert await wallet.ask(A_BET) == YES
    assert wallet.calls == [AUTHENTICATE, BET]


async def test_an_answer_that_nobody_waited_for_is_remembered() -> None:
    """When it came before the session's next bet."""
    wallet = Slow()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await wallet.ask(A_BET)
    wallet.go.set()
    await wallet.ask(replace(A_BET, session_id="s2"))
    await wallet.ask(A_BET)
    asked = [(request.call, request.session_id) for request in wallet.asked]
    assert asked == [(AUTHENTICATE, "s1"), (AUTHENTICATE, "s2"), (BET, "s2"), (BET, "s1")]


async def test_bets_of_one_session_at_once_authenticate_it_once() -> None:
    wallet = Slow()
    betting = [asyncio.create_task(wallet.ask(A_BET)) for _ in range(3)]
    wallet.go.set()
    assert await asyncio.gather(*betting) == [YES] * 3
    assert wallet.calls == [AUTHENTICATE, BET, BET, BET]

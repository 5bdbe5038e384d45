"""A seat whose wallet answers what the test lays out, on the real ledger."""

from collections.abc import Callable
from typing import Any, Final

from contracts.rounds import Bet, ReleaseRequest, Resolution, SettleRequest
from contracts.wallet import WalletAnswer, WalletCall, WalletRefusal, WalletRequest, WalletVerdict
from tests.support.ledger import OUTCOME, Seat
from wallet.operator import OperatorSteps

WON: Final = Resolution(outcome=OUTCOME, win=250)
WHY: Final = {"failure_code": "resolve-failed", "failure_detail": "for a test"}
ACCEPTED: Final = WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=900)
TIMEOUT: Final = WalletAnswer(verdict=WalletVerdict.UNKNOWN, code="timeout", detail="no answer in time")


def refused(code: WalletRefusal, balance: int | None = None) -> WalletAnswer:
    return WalletAnswer(verdict=WalletVerdict.REFUSED, code=code, balance=balance)


class Table:
    """A seat whose wallet answers what the test lays out, in this order, and remembers what it was told."""

    def __init__(self, seat: Seat, *, several_bets: bool = True) -> None:
        self.seat = seat
        self.answers: list[WalletAnswer | Exception] = []
        self.told: list[WalletRequest] = []
        self.before: Callable[[], Any] | None = None
        self.money = OperatorSteps(seat.database.pool, self.ask, several_bets=several_bets)

    async def ask(self, request: WalletRequest) -> WalletAnswer:
        self.told.append(request)
        if self.before is not None:
            await self.before()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def reserve(self, bet: Bet, *answers: WalletAnswer | Exception) -> Any:
        self.answers[:] = answers
        return await self.money.reserve(bet)

    async def settle(self, bet: Bet, *answers: WalletAnswer | Exception) -> Any:
        self.answers[:] = answers
        return (await self.money.settle(SettleRequest(bet=bet, resolution=WON))).view

    async def release(self, bet: Bet, *answers: WalletAnswer | Exception) -> Any:
        self.answers[:] = answers
        return await self.money.release(ReleaseRequest(bet=bet, **WHY))

    @property
    def calls(self) -> list[WalletCall]:
        return [request.call for request in self.told]

"""Acts the faults out: whether and when a call is processed, and the answer that the client gets."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from contracts.wallet import WalletRefusal, WalletRequest
from operator_wallet.connections import Delivery, Response
from operator_wallet.entries import Refused, Taken
from operator_wallet.faults import Fault, Faults, Kind
from operator_wallet.wire import answer

Outcome = Taken | Refused
PADDING: Final = 1024 * 1024
SILENCE: Final = Response(status=200, delivery=Delivery.NEVER)
UNAVAILABLE: Final = Response(status=503, body=b'{"code": "unavailable"}')
ELSEWHERE: Final = Response(status=307, headers={"location": "/elsewhere"})
HTML_PAGE: Final = Response(
    status=200,
    body=b"<!doctype html><title>Maintenance</title><h1>We will be back shortly</h1>",
    headers={"content-type": "text/html"},
)
EMPTY: Final = Response(status=200)
ODD_BALANCES: Final = (-50, 2**53, 2**63)


class Misbehaviour:
    """Answers calls, well unless `faults` has something in store. `process` has the book take a call; `funds`
    is the balance that a bet would meet, or None for an unknown player and for a bet that was taken
    before."""

    def __init__(
        self,
        faults: Faults,
        process: Callable[[WalletRequest], Awaitable[Outcome]],
        funds: Callable[[WalletRequest], Awaitable[int | None]],
    ) -> None:
        self._faults = faults
        self._process_in_book = process
        self._funds = funds
        self._held: dict[tuple[str, str, str | None], asyncio.Event] = {}
        self._later: set[asyncio.Task[None]] = set()

    async def answer(self, request: WalletRequest) -> Response:
        fault = self._faults.meet(request)
        if fault is None:
            return plain(await self._process(request))
        try:
            return await self._act(fault, request)
        finally:
            # A fault that had not come about by its end never will; `came_about` before makes this nothing.
            if fault.kind is not Kind.TIMEOUT_THEN_PROCESSED:
                self._faults.came_to_nothing(fault)

    async def stop(self) -> None:
        """Drops the calls that were to be processed later."""
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)

    async def _act(self, fault: Fault, request: WalletRequest) -> Response:
        match fault.kind:
            case Kind.ERROR_BEFORE:
                return self._came_about(fault, UNAVAILABLE)
            case Kind.REDIRECT:
                return self._came_about(fault, ELSEWHERE)
            case Kind.NO_FUNDS:
                return await self._deny_funds(fault, request)
            case Kind.TIMEOUT_THEN_PROCESSED:
                return self._process_later(fault, request)
            case Kind.OUT_OF_ORDER:
                return await self._hold_back(fault, request)
            case Kind.SLOW:
                await asyncio.sleep(self._faults.plan.slow_s)
                return self._came_about(fault, plain(await self._process(request)))
            case _:
                outcome = await self._process(request)
                spoilt = spoil(fault, outcome)
                return plain(outcome) if spoilt is None else self._came_about(fault, spoilt)

    def _came_about(self, fault: Fault, response: Response) -> Response:
        self._faults.came_about(fault)
        return response

    async def _process(self, request: WalletRequest) -> Outcome:
        outcome = await self._process_in_book(request)
        if (held := self._held.pop(_round(request), None)) is not None:
            held.set()
        return outcome

    async def _deny_funds(self, fault: Fault, request: WalletRequest) -> Response:
        balance = await self._funds(request)
        if balance is None or balance < (request.amount or 0):
            return plain(await self._process(request))
        return self._came_about(fault, plain(Refused(WalletRefusal.INSUFFICIENT_FUNDS, balance)))

    def _process_later(self, fault: Fault, request: WalletRequest) -> Response:
        task = asyncio.create_task(self._after_a_while(fault, request, delay_s=self._faults.plan.delay_s))
        self._later.add(task)
        task.add_done_callback(self._later.discard)
        return SILENCE

    async def _after_a_while(self, fault: Fault, request: WalletRequest, *, delay_s: float) -> None:
        try:
            await asyncio.sleep(delay_s)
            await self._process(request)
            self._faults.came_about(fault)
        finally:
            self._faults.came_to_nothing(fault)

    async def _hold_back(self, fault: Fault, request: WalletRequest) -> Response:
        overtaken = self._held.setdefault(_round(request), asyncio.Event())
        try:
            async with asyncio.timeout(self._faults.plan.hold_s):
                await overtaken.wait()
        except TimeoutError:
            return plain(await self._process(request))
        return self._came_about(fault, plain(await self._process(request)))


def plain(outcome: Outcome) -> Response:
    """The right answer."""
    status, body = answer(outcome)
    return Response(status=status, body=json.dumps(body).encode())


def spoil(fault: Fault, outcome: Outcome) -> Response | None:
    """The client's answer to a call that was processed, or None where the fault does not suit it."""
    right = plain(outcome)
    match fault.kind:
        case Kind.PROCESSED_THEN_TIMEOUT:
            return SILENCE
        case Kind.ERROR_AFTER:
            return UNAVAILABLE
        case Kind.RESET_MID_BODY:
            return Response(status=right.status, body=right.body, delivery=Delivery.RESET_MID_BODY)
        case Kind.HTML:
            return HTML_PAGE
        case Kind.EMPTY:
            return EMPTY
        case Kind.HUGE:
            return Response(status=right.status, body=right.body + b" " * PADDING)
        case Kind.ANSWERED_TWICE:
            return replace(right, delivery=Delivery.TWICE)
        case Kind.EMPTY_LINE:
            return replace(right, delivery=Delivery.WITH_EMPTY_LINE)
        case Kind.WRONG_AMOUNT if isinstance(outcome, Taken):
            return Response(status=200, body=_wrong_amount(outcome, fault.draw))
        case Kind.ODD_BALANCE if outcome.balance is not None:
            status, body = answer(outcome)
            odd = {**body, "balance": ODD_BALANCES[fault.draw % len(ODD_BALANCES)]}
            return Response(status=status, body=json.dumps(odd).encode())
        case Kind.DUPLICATE_ANSWER if isinstance(outcome, Taken) and not outcome.duplicate:
            _, body = answer(outcome)
            return Response(status=200, body=json.dumps({**body, "duplicate": True}).encode())
        case _:
            return None


def _wrong_amount(taken: Taken, draw: int) -> bytes:
    _, body = answer(taken)
    variants: tuple[dict[str, Any], ...] = (
        {"balance": "a fraction"},
        {"balance": str(taken.balance)},
        {"currency": "USD" if taken.currency != "USD" else "EUR"},
    )
    text = json.dumps({**body, **variants[draw % len(variants)]})
    # No number of ours has a fraction, not even this one: it is written, not computed.
    return text.replace('"a fraction"', f"{taken.balance}.0").encode()


def _round(request: WalletRequest) -> tuple[str, str, str | None]:
    return request.operator_id, request.player_id, request.round_id

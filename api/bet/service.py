"""Taking a bet: start its round, wait for its result, in this process or over Temporal. No query before."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from api.bet.result_waiter import ResultWaiter
from api.result.service import ResultService
from contracts.failures import ROUND_LOST
from contracts.rounds import Bet
from contracts.views import RoundView
from runtime import metrics
from runtime.round_workflows import AlreadyStarted, OutcomeUncertain, RoundWorkflows, TemporalAway
from runtime.unavailable import Cause

# The result of a round that runs here comes in process. After this time it may be running elsewhere
# (its process was killed, or had no free slot), and Temporal is asked too.
IN_PROCESS_PATIENCE_S: Final = 2.0
CHECK_EVERY_S: Final = 0.5


class NothingStored(Exception):
    """The round's workflow has completed and left no record, so nothing has moved and nothing will. `code` is
    the problem to answer with."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """`view` is None while nothing but this very bet is known of the round. `first` says that this is no
    repeat's answer."""

    view: RoundView | None
    first: bool


class BetService:
    """Starts rounds and waits for their results."""

    def __init__(
        self, workflows: RoundWorkflows, results: ResultService, waiter: ResultWaiter, *, patience_s: float
    ) -> None:
        self._workflows = workflows
        self._results = results
        self._waiter = waiter
        self._patience_s = patience_s

    async def place(self, bet: Bet) -> Answer:
        """The round that `bet` started, or the one that its id names already; the caller compares them.
        Raises OutcomeUncertain when Temporal did not say whether it took the round, or for which bet, and
        NothingStored."""
        with self._waiter.expect(bet.key) as delivered:
            try:
                with metrics.STAGE_SECONDS.labels("start").time():
                    await self._workflows.start(bet)
            except AlreadyStarted:
                return Answer(await self._join(bet, delivered), first=False)
            view = await self._wait(bet, delivered)
        return Answer(view, first=view is None or view.request_id == bet.request_id)

    async def repeat(self, bet: Bet) -> Answer | None:
        """The answer to a repeat as `place` gives it; None for a bet that is new. Raises TemporalAway,
        OutcomeUncertain and NothingStored."""
        with self._waiter.expect(bet.key) as delivered:
            if await self._workflows.exists(bet.key.workflow_id):
                return Answer(await self._join(bet, delivered), first=False)
        stored = await self._results.find(bet.key)
        return None if stored is None else Answer(stored, first=False)

    async def _join(self, bet: Bet, delivered: asyncio.Future[RoundView]) -> RoundView:
        """Answers a repeat. The stored round is the answer when it has ended, though its workflow may still
        be emitting, when it waits for its player, and when it was another bet. Otherwise the answer is
        awaited. Raises OutcomeUncertain when nothing says what holds the id."""
        standing = await self._results.find(bet.key)
        if standing is not None and (standing.state.final or standing.open or not standing.answers(bet)):
            return standing
        view = await self._wait_here(delivered)
        if view is None and standing is None:
            # Late, and the ledger had nothing to compare with: the bet that holds the id may be another.
            with suppress(TemporalAway):
                standing = await self._results.look_up(bet.key)
            if standing is not None and not standing.answers(bet):
                return standing
        view = view or await self._wait_longer(bet, delivered) or standing
        if view is None:
            raise OutcomeUncertain("a workflow holds the round's id, and nobody says for which bet")
        return view

    async def _wait(self, bet: Bet, delivered: asyncio.Future[RoundView]) -> RoundView | None:
        """Returns None when the time limit ends first; the round goes on."""
        return await self._wait_here(delivered) or await self._wait_longer(bet, delivered)

    async def _wait_here(self, delivered: asyncio.Future[RoundView]) -> RoundView | None:
        with suppress(TimeoutError):
            return await asyncio.wait_for(
                asyncio.shield(delivered), min(IN_PROCESS_PATIENCE_S, self._patience_s)
            )
        return None

    async def _wait_longer(self, bet: Bet, delivered: asyncio.Future[RoundView]) -> RoundView | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s - IN_PROCESS_PATIENCE_S):
                return await self._first_of(bet, delivered)
        return None

    async def _first_of(self, bet: Bet, delivered: asyncio.Future[RoundView]) -> RoundView | None:
        ended = asyncio.create_task(self._read_after_end(bet))
        waits = asyncio.create_task(self._read_when_open(bet))
        any_: set[asyncio.Future[RoundView | None]] = {delivered, ended, waits}  # type: ignore[arg-type]
        try:
            done, _ = await asyncio.wait(any_, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            ended.cancel()
            waits.cancel()

    async def _read_when_open(self, bet: Bet) -> RoundView:
        """Reads the round until it waits for its player. Its workflow gives no result before the end."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            view = await self._results.find(bet.key)
            if view is not None and view.open:
                return view

    async def _read_after_end(self, bet: Bet) -> RoundView | None:
        """Reads the round after its workflow's end. The answer is the row, not the workflow's result, because
        a cancelled or failed round has left its record too. There is no row when the bet named a session that
        is gone, and when the ledger was restored; or not yet, when the workflow was terminated before, which
        reconciliation restarts."""
        try:
            closed = await self._workflows.result(bet.key.workflow_id)
        except TemporalAway:
            return await self._results.find(bet.key)  # the round may still be pending
        view = await self._results.find(bet.key)
        if view is not None:
            return view
        if closed is None and not await self._results.was_lost(bet.key):
            raise OutcomeUncertain("the round's workflow ended without a record", Cause.LOST)
        # A workflow that has completed had its round recorded before: the ledger was restored since.
        code = None if closed is None else closed.failure_code
        raise NothingStored(code or ROUND_LOST)

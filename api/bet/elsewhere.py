"""Waiting for a round that may come to its end in another process.

Three tell of it: a push through the broker, for every state, within milliseconds of the commit; Temporal,
once the round's workflow has ended, also without a broker and for rounds that were never recorded; and the
ledger, read now and then, which needs neither.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any, Final, Protocol

from api.bet.result_waiter import ResultWaiter
from api.result.pushes import Follower
from api.result.service import ResultService
from contracts.failures import ROUND_LOST
from contracts.rounds import Bet
from contracts.sessions import DEMO, REAL, SessionClaims
from contracts.views import RoundView
from runtime.round_workflows import OutcomeUncertain, RoundWorkflows, TemporalAway
from runtime.unavailable import Cause

CHECK_EVERY_S: Final = 0.5


class NothingStored(Exception):
    """The round's workflow has completed and left no record, so nothing has moved and nothing will. `code` is
    the problem to answer with."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class RoundPushes(Protocol):
    """api.result.pushes.Pushes is one."""

    def following(self, follower: Follower) -> AbstractContextManager[None]: ...


class NoPushes:
    """For a process that hears of nothing."""

    def following(self, _follower: Follower) -> AbstractContextManager[None]:
        return nullcontext()


class Elsewhere:
    """Listens for rounds of which this process does not know where they run."""

    def __init__(
        self,
        workflows: RoundWorkflows,
        results: ResultService,
        waiter: ResultWaiter,
        pushes: RoundPushes,
        *,
        check_every_s: float = CHECK_EVERY_S,
    ) -> None:
        self._workflows, self._results = workflows, results
        self._waiter, self._pushes = waiter, pushes
        self._check_every_s = check_every_s

    @asynccontextmanager
    async def listening(self, bet: Bet) -> AsyncIterator["Listening"]:
        """Listens inside the block, in this process too."""
        with self._waiter.expect(bet.key) as delivered:
            told = _Told(bet, delivered)
            reads = [
                asyncio.create_task(self._read_after_end(bet)),
                asyncio.create_task(self._read_on(bet, told.missed)),
            ]
            try:
                with self._pushes.following(told):
                    yield Listening(delivered, *reads)
            finally:
                for read in reads:
                    read.cancel()
                await asyncio.gather(*reads, return_exceptions=True)

    async def _read_on(self, bet: Bet, missed: asyncio.Event) -> RoundView:
        """Reads the round until it has ended or waits for its player: whenever a push may have been missed,
        and now and then."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._check_every_s):
                    await missed.wait()
            missed.clear()
            view = await self._results.find(bet.key)
            if view is not None and (view.state.final or view.open):
                return view

    async def _read_after_end(self, bet: Bet) -> RoundView | None:
        """Reads the round after its workflow's end. The answer is the row, not the workflow's result, because
        a cancelled or failed round has left its record too. There is no row when the bet named a session that
        is gone, and when the ledger was restored; or not yet, when the workflow was terminated before, which
        reconciliation restarts."""
        try:
            closed = await self._workflows.result(bet.key.workflow_id)
        except TemporalAway:
            return None  # the others tell
        view = await self._results.find(bet.key)
        if view is not None:
            return view
        if closed is None and not await self._results.was_lost(bet.key):
            raise OutcomeUncertain("the round's workflow ended without a record", Cause.LOST)
        # A workflow that has completed had its round recorded before: the ledger was restored since.
        code = None if closed is None else closed.failure_code
        raise NothingStored(code or ROUND_LOST)


class Listening:
    """Several futures of one round."""

    def __init__(self, *futures: "asyncio.Future[Any]") -> None:
        self._futures = futures

    async def first(self, within_s: float) -> RoundView | None:
        """The round, from whichever tells first; None when the time is over. One that ends with None does not
        know."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                for told in asyncio.as_completed(self._futures):
                    view: RoundView | None = await told
                    if view is not None:
                        return view
        return None


class _Told:
    """A follower of one round, for one request. A push brings the round as it was read after it."""

    def __init__(self, bet: Bet, delivered: asyncio.Future[RoundView | None]) -> None:
        self.claims = _claims(bet)
        self.missed = asyncio.Event()
        self._key, self._delivered = bet.key, delivered

    def knows_the_end_of(self, round_id: str) -> bool:
        return round_id != self._key.round_id  # nobody reads another round for this one

    def push_round(self, view: RoundView) -> None:
        if view.key == self._key and not self._delivered.done():
            self._delivered.set_result(view)

    def push_session_ended(self) -> None:
        """Rounds under way finish."""

    def push_missed(self) -> None:
        self.missed.set()


def _claims(bet: Bet) -> SessionClaims:
    """Whose round it is, as pushes find it."""
    return SessionClaims(
        session_id=bet.session_id,
        operator_id=bet.key.operator_id,
        player_id=bet.player_id,
        player_key=bet.key.player_key,
        account_id=bet.account_id,
        game_id=bet.game_id,
        currency=bet.currency,
        mode=DEMO if bet.demo else REAL,
        expires_at=0,
        jurisdiction=bet.jurisdiction,
    )

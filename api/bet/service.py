"""Taking a bet: start its round, wait for its result, in this process or elsewhere. No query before."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from api.bet.elsewhere import Elsewhere, Listening
from api.bet.elsewhere import NothingStored as NothingStored
from api.bet.result_waiter import ResultWaiter
from api.result.service import ResultService
from contracts.rounds import Bet
from contracts.views import RoundView
from runtime import metrics
from runtime.round_workflows import AlreadyStarted, OutcomeUncertain, RoundWorkflows, TemporalAway

# The result of a round whose first task came with the start comes in process, unless its fast path fails,
# which is known here. After this time its worker may have hung, and others are listened to.
IN_PROCESS_PATIENCE_S: Final = 2.0
# How late a repeat of which nothing is on record must be for Temporal to be asked which bet holds its id.
LATE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`view` is None while nothing but this very bet is known of the round. `first` says that this is no
    repeat's answer."""

    view: RoundView | None
    first: bool


class BetService:
    """Starts rounds and waits for their results."""

    def __init__(
        self,
        workflows: RoundWorkflows,
        results: ResultService,
        waiter: ResultWaiter,
        elsewhere: Elsewhere,
        *,
        patience_s: float,
    ) -> None:
        self._workflows = workflows
        self._results = results
        self._waiter = waiter
        self._elsewhere = elsewhere
        self._patience_s = patience_s

    async def place(self, bet: Bet) -> Answer:
        """The round that `bet` started, or the one that its id names already; the caller compares them.
        Raises OutcomeUncertain when Temporal did not say whether it took the round, or for which bet, and
        NothingStored."""
        with self._waiter.expect(bet.key, here_alone=True) as delivered:
            try:
                with metrics.of_step("start").time():
                    here = await self._workflows.start(bet)
            except AlreadyStarted:
                return Answer(await self._join(bet), first=False)
            view = await self._wait(bet, delivered, here=here)
        return Answer(view, first=view is None or view.request_id == bet.request_id)

    async def repeat(self, bet: Bet) -> Answer | None:
        """The answer to a repeat as `place` gives it; None for a bet that is new. Raises TemporalAway,
        OutcomeUncertain and NothingStored."""
        if await self._workflows.exists(bet.key.workflow_id):
            return Answer(await self._join(bet), first=False)
        stored = await self._results.find(bet.key)
        return None if stored is None else Answer(stored, first=False)

    async def _join(self, bet: Bet) -> RoundView:
        """Answers a repeat. The stored round is the answer when it has ended, though its workflow may still
        be emitting, when it waits for its player, and when it was another bet. Otherwise the answer is
        awaited, wherever the round runs. Raises OutcomeUncertain when nothing says what holds the id."""
        standing = await self._results.find(bet.key)
        if standing is not None and (standing.state.final or standing.open or not standing.answers(bet)):
            return standing
        async with self._elsewhere.listening(bet) as listening:
            if standing is None:
                view, standing = await self._compare_when_late(bet, listening)
            else:
                view = await listening.first(self._patience_s)
        view = view or standing
        if view is None:
            raise OutcomeUncertain("a workflow holds the round's id, and nobody says for which bet")
        return view

    async def _compare_when_late(
        self, bet: Bet, listening: Listening
    ) -> tuple[RoundView | None, RoundView | None]:
        """The answer to a repeat of which the ledger had nothing to compare with, and the round as it stands
        or has begun: the bet that holds the id may be another, also when its workflow is lost."""
        lost: OutcomeUncertain | None = None
        try:
            if (view := await listening.first(min(LATE_S, self._patience_s))) is not None:
                return view, None
        except OutcomeUncertain as uncertain:
            lost = uncertain
        standing = None
        with suppress(TemporalAway):
            standing = await self._results.look_up(bet.key)
        if standing is not None and not standing.answers(bet):
            return standing, None
        if lost is not None:
            raise lost
        return await listening.first(self._patience_s - LATE_S), standing

    async def _wait(
        self, bet: Bet, delivered: asyncio.Future[RoundView | None], *, here: bool
    ) -> RoundView | None:
        """Returns None when the time limit ends first; the round goes on."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._patience_s
        if here:
            with suppress(TimeoutError):
                patience_s = min(IN_PROCESS_PATIENCE_S, self._patience_s)
                if (view := await asyncio.wait_for(asyncio.shield(delivered), patience_s)) is not None:
                    return view
            if clock() >= deadline:
                return None
        async with self._elsewhere.listening(bet) as listening:
            return await listening.first(deadline - clock())

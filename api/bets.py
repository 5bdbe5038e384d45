"""Taking a bet: start its round and wait for its end, in this process or over Temporal. No query before."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from contracts.rounds import Bet, RoundClosed
from contracts.steps import ROUND_TASK_TIMEOUT, ROUND_WORKFLOW
from contracts.views import RoundView
from runtime import metrics
from runtime.answers import WaitingRoom
from runtime.services import Rounds

# The answer of a round that runs here comes in process. After this time it may be running elsewhere
# (its process was killed, or had no free slot), and Temporal is asked too.
IN_PROCESS_PATIENCE_S: Final = 2.0
LOOK_EVERY_S: Final = 0.5
START_TIMEOUT: Final = timedelta(seconds=5)


class StartUncertain(Exception):
    """Temporal did not say whether it took the round: asking for the round tells."""


class NothingStored(Exception):
    """The round's workflow has ended and left no record, so nothing has moved and nothing will. `code` is
    the problem to answer with."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """`view` is None while the round is pending. `first` tells the first answer from a repeat's."""

    view: RoundView | None
    first: bool


class BetDesk:
    """Starts rounds and waits for their ends."""

    def __init__(
        self, client: Client, rounds: Rounds, waiting_room: WaitingRoom, *, task_queue: str, patience_s: float
    ) -> None:
        self._client = client
        self._rounds = rounds
        self._waiting_room = waiting_room
        self._task_queue = task_queue
        self._patience_s = patience_s

    async def place(self, bet: Bet) -> Answer:
        """The round that `bet` started, or the one that its id names already; the caller compares them.
        Raises StartUncertain, NothingStored."""
        with self._waiting_room.expect(bet.key) as delivered:
            try:
                with metrics.STAGE_SECONDS.labels("start").time():
                    handle = await self._start(bet)
            except WorkflowAlreadyStartedError:
                return Answer(await self._join(bet, delivered), first=False)
            view = await self._await_end(handle, bet, delivered)
        return Answer(view, first=view is None or view.request_id == bet.request_id)

    async def _start(self, bet: Bet) -> WorkflowHandle[object, RoundClosed]:
        """Eagerly: Temporal hands the first task back with the reply, and the worker of this process runs
        it. Raises WorkflowAlreadyStartedError for a round of this id, whether open or ended: it is never
        played again. Raises StartUncertain."""
        try:
            handle: WorkflowHandle[object, RoundClosed] = await self._client.start_workflow(
                ROUND_WORKFLOW,
                bet,
                id=bet.key.workflow_id,
                task_queue=self._task_queue,
                result_type=RoundClosed,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                task_timeout=ROUND_TASK_TIMEOUT,
                request_eager_start=True,
                rpc_timeout=START_TIMEOUT,
            )
        except RPCError as error:
            raise StartUncertain(error.status.name) from error
        return handle

    async def _join(self, bet: Bet, delivered: asyncio.Future[RoundView]) -> RoundView | None:
        """A repeat. What is stored tells at once when the round has ended, though its workflow may still be
        emitting, when it waits for its player, and when it was another bet; otherwise that is still to come,
        and is awaited."""
        stored = await self._rounds.find(bet.key)
        if stored is not None and (stored.state.final or stored.open or not stored.answers(bet)):
            return stored
        handle: WorkflowHandle[object, RoundClosed] = self._client.get_workflow_handle(
            bet.key.workflow_id, result_type=RoundClosed
        )
        return await self._await_end(handle, bet, delivered)

    async def _await_end(
        self,
        handle: WorkflowHandle[object, RoundClosed],
        bet: Bet,
        delivered: asyncio.Future[RoundView],
    ) -> RoundView | None:
        """None when the client's patience ends first; the round goes on."""
        with suppress(TimeoutError):
            return await asyncio.wait_for(
                asyncio.shield(delivered), min(IN_PROCESS_PATIENCE_S, self._patience_s)
            )
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s - IN_PROCESS_PATIENCE_S):
                return await self._first_of(delivered, handle, bet)
        return None

    async def _first_of(
        self,
        delivered: asyncio.Future[RoundView],
        handle: WorkflowHandle[object, RoundClosed],
        bet: Bet,
    ) -> RoundView | None:
        ended = asyncio.create_task(self._read_after(handle, bet))
        waits = asyncio.create_task(self._read_when_open(bet))
        any_: set[asyncio.Future[RoundView | None]] = {delivered, ended, waits}  # type: ignore[arg-type]
        try:
            done, _ = await asyncio.wait(any_, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            ended.cancel()
            waits.cancel()

    async def _read_when_open(self, bet: Bet) -> RoundView:
        """A round that waits for its player goes on in its workflow, which says nothing until the end."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            view = await self._rounds.find(bet.key)
            if view is not None and view.open:
                return view

    async def _read_after(self, handle: WorkflowHandle[object, RoundClosed], bet: Bet) -> RoundView | None:
        """A cancelled or failed round has left its record too, so the row tells, not the result; unless
        there is none (the bet named a session that is gone, or somebody terminated the round at once)."""
        code: str | None = None
        try:
            code = (await handle.result()).failure_code
        except WorkflowFailureError:
            code = "round-closed"
        except RPCError:
            pass  # Temporal is away: the round is pending for all that anybody knows
        view = await self._rounds.find(bet.key)
        if view is None and code is not None:
            raise NothingStored(code)
        return view

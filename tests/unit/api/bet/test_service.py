"""BetService: who waits for what, against a Temporal and a ledger that do as they are told."""

import asyncio
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import TerminatedError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from api.bet import service as bets
from api.bet.elsewhere import Elsewhere, NoPushes, RoundPushes
from api.bet.result_waiter import ResultWaiter
from api.bet.service import BetService
from api.result.pushes import Follower
from api.result.service import ResultService
from contracts.rounds import STORED_OF_BET, Bet, RoundClosed, RoundKey, RoundState
from contracts.views import RoundView, round_begun
from runtime.round_workflows import OutcomeUncertain, RoundWorkflows
from runtime.unavailable import Cause
from tests.support.conditions import HANG_S, until

BET = Bet(
    key=RoundKey(operator_id="acme", player_key=7, round_id="r1"),
    player_id="p-1",
    account_id=8,
    session_id="s-1",
    game_id="dice",
    game_version="1.0.0",
    currency="EUR",
    stake=100,
    mode="base",
    choice=None,
    request_id="the-first",
)
AT = datetime(2026, 1, 1, tzinfo=UTC)
SETTLED = RoundView(
    **{name: getattr(BET, name) for name in STORED_OF_BET},
    state=RoundState.SETTLED,
    outcome={},
    win=0,
    balance=900,
    sequence=1,
    event_id="e-1",
    failure_code=None,
    failure_detail=None,
    seed_id="seed",
    sealed_server_seed="sealed",
    server_seed_hash="hash",
    client_seed="seed",
    nonce=0,
    created_at=AT,
    closed_at=AT,
)
PENDING = dataclasses.replace(SETTLED, state=RoundState.PENDING, balance=None, closed_at=None)


class Backend:
    """A Temporal client and a ledger in one. `stored` is what the ledger has, `begun` what is known of a
    round without a row; `start` is what starting a round does, `eager` whether its first task comes back
    with it; `ended` is set when its workflow has."""

    def __init__(self, *, stored: RoundView | None = None, eager: bool = True) -> None:
        self.stored = stored
        setattr(self, "__temporal_eagerly_started", eager)  # as the SDK's handle has it
        self.begun: RoundView | None = None
        self.start: Exception | None = None
        self.ended = asyncio.Event()
        self.failure: WorkflowFailureError | RPCError | None = None
        self.waited_on_temporal = False
        self.reads = 0
        self.lost = False

    async def start_workflow(self, *_: object, **__: object) -> "Backend":
        if self.start is not None:
            raise self.start
        return self

    def get_workflow_handle(self, workflow_id: str, **_: object) -> "Backend":
        assert workflow_id == BET.key.workflow_id
        return self

    async def result(self) -> RoundClosed:
        self.waited_on_temporal = True
        await self.ended.wait()
        if self.failure is not None:
            raise self.failure
        return RoundClosed(state=RoundState.SETTLED)

    async def was_lost(self, key: RoundKey) -> bool:
        return self.lost

    async def find(self, key: RoundKey) -> RoundView | None:
        assert key == BET.key
        self.reads += 1
        return self.stored

    async def look_up(self, key: RoundKey) -> RoundView | None:
        return await self.find(key) or self.begun

    def service(
        self,
        waiter: ResultWaiter,
        *,
        patience_s: float = 30.0,
        pushes: RoundPushes | None = None,
        check_every_s: float = 10 * HANG_S,
    ) -> BetService:
        """Nobody reads the ledger now and then, unless a test says how often."""
        workflows = RoundWorkflows(cast(Client, self), task_queue="rounds")
        results = cast(ResultService, self)
        elsewhere = Elsewhere(workflows, results, waiter, pushes or NoPushes(), check_every_s=check_every_s)
        return BetService(workflows, results, waiter, elsewhere, patience_s=patience_s)


class Pushing:
    """Pushes whose follower a test has in hand."""

    def __init__(self) -> None:
        self.followers: list[Follower] = []

    @contextmanager
    def following(self, follower: Follower) -> Iterator[None]:
        self.followers.append(follower)
        try:
            yield
        finally:
            self.followers.remove(follower)


def already_started() -> WorkflowAlreadyStartedError:
    return WorkflowAlreadyStartedError(BET.key.workflow_id, "Round")


@pytest.fixture
def waiter() -> ResultWaiter:
    return ResultWaiter()


async def placing(service: BetService, bet: Bet = BET) -> "asyncio.Task[bets.Answer]":
    """A bet that has come as far as it can by itself."""
    task = asyncio.create_task(service.place(bet))
    for _ in range(10):
        await asyncio.sleep(0)
    return task


@pytest.fixture
def endless_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a round that nobody plays waits longer than any test."""
    monkeypatch.setattr(bets, "IN_PROCESS_PATIENCE_S", 10 * HANG_S)
    monkeypatch.setattr(bets, "LATE_S", 10 * HANG_S)


@pytest.mark.usefixtures("endless_patience")
async def test_a_round_that_runs_here_is_answered_without_asking_anybody(waiter: ResultWaiter) -> None:
    backend, pushing = Backend(), Pushing()
    answer = await placing(backend.service(waiter, pushes=pushing))
    assert pushing.followers == []
    waiter.deliver(SETTLED)
    assert await answer == bets.Answer(SETTLED, first=True)
    assert (backend.waited_on_temporal, backend.reads) == (False, 0)


async def test_a_round_that_the_ledger_had_from_an_earlier_request_is_a_repeat(waiter: ResultWaiter) -> None:
    answer = await placing(Backend().service(waiter))
    earlier = dataclasses.replace(SETTLED, request_id="long-ago")
    waiter.deliver(earlier)
    assert await answer == bets.Answer(earlier, first=False)


@pytest.mark.usefixtures("endless_patience")
async def test_a_repeat_of_a_settled_round_does_not_wait_for_its_emission(waiter: ResultWaiter) -> None:
    backend = Backend(stored=SETTLED)
    backend.start = already_started()
    async with asyncio.timeout(HANG_S):
        assert await backend.service(waiter).place(BET) == bets.Answer(SETTLED, first=False)
    assert not backend.waited_on_temporal


@pytest.mark.usefixtures("endless_patience")
async def test_another_bet_under_the_id_of_an_open_round_is_told_at_once(waiter: ResultWaiter) -> None:
    backend = Backend(stored=PENDING)
    backend.start = already_started()
    other = dataclasses.replace(BET, stake=200)
    async with asyncio.timeout(HANG_S):
        assert await backend.service(waiter).place(other) == bets.Answer(PENDING, first=False)


@pytest.mark.parametrize("stored", [None, PENDING], ids=["nothing is stored yet", "the stake is held"])
async def test_a_repeat_of_an_open_round_waits_for_its_end(
    waiter: ResultWaiter, stored: RoundView | None
) -> None:
    backend = Backend(stored=stored)
    backend.start = already_started()
    answer = await placing(backend.service(waiter))
    assert not answer.done()
    waiter.deliver(SETTLED)
    assert await answer == bets.Answer(SETTLED, first=False)


async def test_a_round_that_ends_elsewhere_is_read_when_temporal_says_so(
    waiter: ResultWaiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bets, "IN_PROCESS_PATIENCE_S", 0.01)
    backend = Backend()
    answer = asyncio.create_task(backend.service(waiter).place(BET))
    backend.stored = SETTLED
    backend.ended.set()
    assert await answer == bets.Answer(SETTLED, first=True)
    assert backend.waited_on_temporal


@pytest.mark.usefixtures("endless_patience")
class TestARoundThatMayEndElsewhere:
    """It is answered as soon as anybody tells of it: nobody's patience has an end here."""

    @pytest.fixture(params=["no free slot", "the fast path failed here", "a repeat"])
    async def waiting(
        self, request: pytest.FixtureRequest, waiter: ResultWaiter
    ) -> tuple[Backend, Pushing, "asyncio.Task[bets.Answer]"]:
        backend, pushing = Backend(eager=request.param != "no free slot"), Pushing()
        if request.param == "a repeat":
            backend.start = already_started()
        task = await placing(backend.service(waiter, patience_s=10 * HANG_S, pushes=pushing))
        if request.param == "the fast path failed here":
            assert (backend.waited_on_temporal, pushing.followers) == (False, [])
            waiter.left(BET.key)
            await asyncio.sleep(0)
        return backend, pushing, task

    async def test_is_answered_with_what_a_push_brings(
        self, waiting: tuple[Backend, Pushing, "asyncio.Task[bets.Answer]"]
    ) -> None:
        _, pushing, task = waiting
        await until(lambda: _followed(pushing))
        (follower,) = pushing.followers
        assert (follower.claims.operator_id, follower.claims.player_id) == ("acme", "p-1")
        assert follower.claims.round_key("r1") == BET.key
        other = dataclasses.replace(SETTLED, key=dataclasses.replace(BET.key, round_id="r2"))
        assert (follower.knows_the_end_of("r2"), follower.knows_the_end_of("r1")) == (True, False)
        follower.push_round(other)
        follower.push_round(SETTLED)
        follower.push_round(PENDING)  # late, and no error
        assert (await asyncio.wait_for(task, HANG_S)).view == SETTLED
        assert pushing.followers == []

    async def test_is_read_when_a_push_may_have_been_missed(
        self, waiting: tuple[Backend, Pushing, "asyncio.Task[bets.Answer]"]
    ) -> None:
        backend, pushing, task = waiting
        await until(lambda: _followed(pushing))
        reads = backend.reads
        pushing.followers[0].push_missed()
        await until(lambda: _read(backend, reads + 1))
        assert not task.done()
        backend.stored = SETTLED
        pushing.followers[0].push_missed()
        assert (await asyncio.wait_for(task, HANG_S)).view == SETTLED

    async def test_is_read_when_its_workflow_has_ended(
        self, waiting: tuple[Backend, Pushing, "asyncio.Task[bets.Answer]"]
    ) -> None:
        backend, _, task = waiting
        backend.stored = SETTLED
        backend.ended.set()
        assert (await asyncio.wait_for(task, HANG_S)).view == SETTLED

    async def test_is_awaited_on_though_temporal_goes(
        self, waiting: tuple[Backend, Pushing, "asyncio.Task[bets.Answer]"], waiter: ResultWaiter
    ) -> None:
        backend, pushing, task = waiting
        await until(lambda: _followed(pushing))
        backend.failure = RPCError("", RPCStatusCode.UNAVAILABLE, b"")
        backend.ended.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not task.done()
        waiter.deliver(SETTLED)
        assert (await asyncio.wait_for(task, HANG_S)).view == SETTLED


async def _followed(pushing: Pushing) -> bool:
    return bool(pushing.followers)


async def _read(backend: Backend, times: int) -> bool:
    return backend.reads >= times


async def test_without_pushes_and_temporal_the_ledger_is_read_now_and_then(waiter: ResultWaiter) -> None:
    backend = Backend(eager=False)
    task = await placing(backend.service(waiter, check_every_s=0.01))
    await until(lambda: _read(backend, 2))
    backend.stored = SETTLED
    assert (await asyncio.wait_for(task, HANG_S)).view == SETTLED


async def test_patience_ends_without_a_view(waiter: ResultWaiter) -> None:
    assert await Backend().service(waiter, patience_s=0.01).place(BET) == bets.Answer(None, first=True)


async def test_a_round_that_was_lost_before_it_was_recorded_is_uncertain_until_it_is_taken_up(
    waiter: ResultWaiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bets, "IN_PROCESS_PATIENCE_S", 0.01)
    backend = Backend()
    backend.failure = WorkflowFailureError(cause=TerminatedError("by mistake"))
    backend.ended.set()
    for start in (None, already_started()):
        backend.start = start
        with pytest.raises(OutcomeUncertain) as uncertain:
            await backend.service(waiter).place(BET)
        assert uncertain.value.cause is Cause.LOST
    backend.stored = SETTLED
    assert await backend.service(waiter).place(BET) == bets.Answer(SETTLED, first=False)


@pytest.mark.parametrize("terminated", [False, True])
async def test_a_round_that_a_restore_has_lost_has_a_definite_answer(
    waiter: ResultWaiter, monkeypatch: pytest.MonkeyPatch, terminated: bool
) -> None:
    """Its workflow has come to its end, or was ended by the recovery, and the ledger has no such round."""
    monkeypatch.setattr(bets, "IN_PROCESS_PATIENCE_S", 0.01)
    backend = Backend()
    backend.failure = WorkflowFailureError(cause=TerminatedError("lost")) if terminated else None
    backend.lost = terminated
    backend.ended.set()
    backend.start = already_started()
    with pytest.raises(bets.NothingStored) as lost:
        await backend.service(waiter).place(BET)
    assert lost.value.code == "round-lost"


class TestARepeatOfWhichNothingIsStoredYet:
    """The bet that holds the id may be another: its body is never answered with the repeat's."""

    @pytest.fixture
    def backend(self, monkeypatch: pytest.MonkeyPatch) -> Backend:
        monkeypatch.setattr(bets, "LATE_S", 0.01)
        backend = Backend()
        backend.start = already_started()
        return backend

    async def test_is_the_other_bet_at_once_when_it_is_late(
        self, waiter: ResultWaiter, backend: Backend
    ) -> None:
        backend.begun = round_begun(dataclasses.replace(BET, stake=200))
        async with asyncio.timeout(HANG_S):
            answer = await backend.service(waiter, patience_s=10 * HANG_S).place(BET)
        assert answer == bets.Answer(backend.begun, first=False)

    async def test_is_the_other_bet_also_when_its_workflow_is_lost(
        self, waiter: ResultWaiter, backend: Backend
    ) -> None:
        backend.failure = WorkflowFailureError(cause=TerminatedError("by mistake"))
        backend.ended.set()
        backend.begun = round_begun(dataclasses.replace(BET, stake=200))
        answer = await backend.service(waiter).place(BET)
        assert answer == bets.Answer(backend.begun, first=False)
        backend.begun = round_begun(BET, AT)
        with pytest.raises(OutcomeUncertain):
            await backend.service(waiter).place(BET)

    async def test_is_pending_as_it_began(self, waiter: ResultWaiter, backend: Backend) -> None:
        backend.begun = round_begun(BET, AT)
        answer = await backend.service(waiter, patience_s=0.02).place(BET)
        assert answer == bets.Answer(backend.begun, first=False)

    async def test_is_uncertain_when_nobody_knows_the_bet(
        self, waiter: ResultWaiter, backend: Backend
    ) -> None:
        with pytest.raises(OutcomeUncertain):
            await backend.service(waiter, patience_s=0.02).place(BET)


async def test_a_start_that_nobody_confirmed_is_uncertain(waiter: ResultWaiter) -> None:
    backend = Backend()
    backend.start = RPCError("a text with an address in it", RPCStatusCode.UNAVAILABLE, b"")
    with pytest.raises(OutcomeUncertain) as uncertain:
        await backend.service(waiter).place(BET)
    assert str(uncertain.value) == "UNAVAILABLE"


async def test_nobody_is_left_in_the_waiting_room(waiter: ResultWaiter) -> None:
    backend = Backend(stored=SETTLED)
    await backend.service(waiter, patience_s=0.01).place(BET)
    for start in (already_started(), RPCError("", RPCStatusCode.UNAVAILABLE, b"")):
        backend.start = start
        await asyncio.gather(backend.service(waiter).place(BET), return_exceptions=True)
    cancelled: asyncio.Task[Any] = await placing(Backend().service(waiter))
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    assert not waiter._waiting

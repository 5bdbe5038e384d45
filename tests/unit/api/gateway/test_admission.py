"""Of what all operators share, one may have nearly all while it is alone, and keeps no other one waiting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.gateway import admission as admissions
from api.gateway.admission import Admission, Permits, ShareFull, Turns
from api.gateway.problems import Problem
from runtime import metrics
from runtime.unavailable import UNAVAILABLE, WORDS, Cause
from tests.support.conditions import HANG_S, until

BETS: Final = 100
RUNNING: Final = 24
COMMANDS: Final = 240


@pytest.fixture(autouse=True)
def nobody_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn is over after a second, which a machine may stand still for. Where that is the point, a test
    says how long it lasts."""
    monkeypatch.setattr(admissions, "TURN_S", HANG_S)


def admission(*, bets: int = BETS, running: int = RUNNING) -> Admission:
    return Admission(max_open_requests=512, max_open_bets=bets, max_running_bets=running)


class Wallet:
    """Bets and commands of operators whose wallets hang, until the block ends."""

    def __init__(self, shared: Admission) -> None:
        self._shared = shared
        self._answers = asyncio.Event()
        self.played: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def hang(self, kind: str, owner: str, count: int) -> int:
        """How many of so many bets or commands are admitted."""
        tasks = [asyncio.create_task(self._play(kind, owner)) for _ in range(count)]
        self._tasks += tasks
        for _ in range(3):
            await asyncio.sleep(0)
        return sum(not task.done() for task in tasks)

    async def _play(self, kind: str, owner: str) -> None:
        taken = self._shared.bet(owner) if kind == "bet" else self._shared.command(owner, bet=True)
        try:
            async with taken:
                self.played.append(owner)
                await self._answers.wait()
        except ShareFull:
            pass

    async def answer(self) -> None:
        self._answers.set()
        await asyncio.gather(*self._tasks)


@asynccontextmanager
async def wallet(shared: Admission) -> AsyncIterator[Wallet]:
    made = Wallet(shared)
    try:
        yield made
    finally:
        await made.answer()
        assert not shared.bets.of
        assert not shared.commands.of
        assert not shared._turns._taken
        assert not shared._turns._waiting
        assert not shared._overdue, "nothing is left of an operator that has nothing"


async def test_one_operator_that_is_alone_gets_nearly_all() -> None:
    shared = admission()
    async with wallet(shared) as hanging:
        assert 85 <= await hanging.hang("bet", "one", 200) < BETS
        assert 20 <= len(hanging.played) < RUNNING


async def test_of_a_few_one_operator_gets_all() -> None:
    for limit in (1, 4, 8):
        shared = admission(bets=limit, running=limit)
        async with wallet(shared) as hanging:
            assert await hanging.hang("bet", "one", 20) == len(hanging.played) == limit


@pytest.mark.parametrize("kind", ["bet", "command"])
async def test_a_wallet_that_hangs_keeps_no_other_operators_bet_or_command_waiting(kind: str) -> None:
    """At once, before any of its turns has ended."""
    shared = admission()
    async with wallet(shared) as hanging:
        await hanging.hang(kind, "one", 1_000)
        async with shared.bet("two"), shared.command("two", bet=True):
            pass
        async with shared.command("two", bet=False), shared.call("two", bet=False):
            pass
        async with shared.call("two", bet=True):
            pass


async def test_also_after_a_while_and_beside_several_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admissions, "TURN_S", 0.005)
    shared = admission()
    async with wallet(shared) as hanging:
        for owner in ("a", "b", "c"):
            await hanging.hang("bet", owner, 300)
            await hanging.hang("command", owner, 300)

        async def hang_on() -> bool:
            return sum(shared._overdue.values()) >= 100

        await until(hang_on)
        async with asyncio.timeout(HANG_S), shared.command("two", bet=True):
            pass


async def test_commands_are_refused_to_who_has_nearly_all_places_for_calls_that_do_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = admission()
    refused = metrics.OPERATOR_REFUSED.labels("one", "commands")
    before = refused._value.get()
    async with wallet(shared) as hanging:
        assert await hanging.hang("command", "one", 300) == 300, "they may only be many"
        monkeypatch.setattr(admissions, "TURN_S", 0.0)
    assert refused._value.get() == before
    async with wallet(shared) as hanging:
        await hanging.hang("command", "one", 10)

        async def hang_on() -> bool:
            return shared._overdue["one"] > 0

        await until(hang_on)
        assert metrics.OPERATOR_OVERDUE.labels("one")._value.get() > 0
        assert 200 < await hanging.hang("command", "one", 300) < COMMANDS
        assert refused._value.get() > before
        assert await hanging.hang("command", "two", 5) == 5
    assert metrics.OPERATOR_OVERDUE.labels("one")._value.get() == 0


async def test_a_refusal_names_the_operator_and_says_when_to_come_again() -> None:
    shared = admission()
    refused = metrics.OPERATOR_REFUSED.labels("one", "bets")
    async with wallet(shared) as hanging:
        before, overloaded = refused._value.get(), metrics.BETS_REFUSED.labels("overloaded")._value.get()
        admitted = await hanging.hang("bet", "one", 100)
        with pytest.raises(ShareFull) as caught:
            async with shared.bet("one"):
                pass
    assert (caught.value.code, caught.value.members["retry_after"]) == ("overloaded", 1)
    assert refused._value.get() - before == 101 - admitted
    assert metrics.BETS_REFUSED.labels("overloaded")._value.get() - overloaded == 101 - admitted


async def test_a_call_of_the_platform_is_forgotten_with_its_end() -> None:
    """A key of the platform has no operator: its owner is an empty text."""
    shared = admission()
    for _ in range(10):
        async with shared.call("", bet=False):
            assert shared.requests.of[""] == 1
    assert not shared.requests.of


async def test_a_refusal_counts_as_too_busy_and_says_so() -> None:
    busy = UNAVAILABLE.labels(Cause.BUSY.value)
    before = busy._value.get()
    assert ShareFull("one", "bets", 1).detail.startswith(WORDS[Cause.BUSY])
    assert busy._value.get() == before + 1


async def test_a_large_body_does_not_wait_in_line_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admissions, "LINE_PATIENCE_S", 0.0)
    line = admissions.Line()
    await line.wait("first", 64 * 1024)
    with pytest.raises(Problem) as caught:
        await line.wait("second", 64 * 1024)
    assert caught.value.code == "overloaded"
    await line.wait("second", 1024)


async def test_turns_go_around_the_owners_and_in_order_among_those_of_one() -> None:
    turns, order = Turns(1), list[str]()
    await turns.acquire("holder")

    async def wait(owner: str, number: int) -> None:
        await turns.acquire(owner)
        order.append(f"{owner}{number}")
        turns.release(owner)

    tasks = [asyncio.create_task(wait(owner, n)) for owner in "abc" for n in range(3)]
    await asyncio.sleep(0)
    turns.release("holder")
    await asyncio.gather(*tasks)
    assert order == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


@given(
    st.integers(1, 30),
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(["wait", "end", "cancel"])),
        min_size=1,
        max_size=80,
    ),
)
def test_no_turn_is_lost_or_doubled_whoever_gives_up(at_once: int, story: list[tuple[str, str]]) -> None:
    asyncio.run(_tell(at_once, story))


async def _tell(at_once: int, story: list[tuple[str, str]]) -> None:
    turns = Turns(at_once)
    running: list[tuple[str, asyncio.Event, asyncio.Task[None]]] = []

    async def hold(owner: str, ended: asyncio.Event) -> None:
        await turns.acquire(owner)
        try:
            await ended.wait()
        finally:
            turns.release(owner)

    for owner, what in story:
        mine = [one for one in running if one[0] == owner and not one[2].done()]
        if what == "wait" or not mine:
            ended = asyncio.Event()
            running.append((owner, ended, asyncio.create_task(hold(owner, ended))))
        elif what == "end":
            mine[0][1].set()
        else:
            mine[-1][2].cancel()
        await asyncio.sleep(0)
        assert 0 <= turns._free <= at_once
        assert sum(turns._taken.values()) == at_once - turns._free
    for _, ended, _ in running:
        ended.set()
    await asyncio.gather(*(task for *_, task in running), return_exceptions=True)
    assert (turns._free, dict(turns._taken), turns._waiting) == (at_once, {}, {})


@given(st.integers(1, 200), st.lists(st.sampled_from("abcdef"), max_size=300))
def test_who_has_nothing_gets_a_permit_while_any_is_free(limit: int, asking: list[str]) -> None:
    permits = Permits("bets", limit)
    with ExitStack() as stack:
        for owner in asking:
            if permits.full:
                break
            had = permits.of[owner]
            with ExitStack() as one:
                permit = one.enter_context(permits.one())
                try:
                    permit.belongs_to(owner)
                except ShareFull:
                    assert had > 0
                else:
                    stack.push(one.pop_all())
    assert not permits.of
    assert metrics.in_use("bets")._value.get() == 0

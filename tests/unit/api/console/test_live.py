"""Streams that share one look: who gets what, and when they end."""

import asyncio
from collections.abc import AsyncIterator, Collection

import asyncpg
import pytest

from api.console import live
from api.console.live import FULL, OVER, STREAMS, STREAMS_OF_SESSION, Live, event
from tests.support.conditions import HANG_S, until


class Looks:
    """Each look waits until the test lets it through, and then gives its number."""

    def __init__(self) -> None:
        self.begun = 0
        self.over: set[str] = set()
        self.comes_while_asked: str | None = None
        self.came: asyncio.Future[str] | None = None
        self.fails: Exception | None = None
        self._gates: asyncio.Queue[None] = asyncio.Queue()
        self.live = Live(self._look, self._lasting, period_s=0)

    async def _look(self, operator_id: str) -> str:
        self.begun += 1
        number = self.begun
        await self._gates.get()
        if self.fails is not None:
            raise self.fails
        return f"{operator_id} {number}"

    async def _lasting(self, secrets: Collection[str]) -> Collection[str]:
        if self.comes_while_asked is not None:
            self.came = asyncio.ensure_future(anext(self.stream(self.comes_while_asked)))
            self.comes_while_asked = None
            await asyncio.sleep(0)
        return set(secrets) - self.over

    def let_one_through(self) -> None:
        self._gates.put_nowait(None)

    async def waits(self, number: int) -> None:
        """Until this look is under way."""

        async def begun() -> bool:
            return self.begun == number

        await until(begun)

    def stream(self, secret: str, operator_id: str = "one") -> AsyncIterator[str]:
        return self.live.messages(secret=secret, operator_id=operator_id)


@pytest.fixture
async def looks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Looks]:
    monkeypatch.setattr(live, "HEARTBEAT_S", HANG_S)
    found = Looks()
    yield found
    await found.live.close()


async def first_of(looks: Looks, streams: list[AsyncIterator[str]]) -> list[str]:
    """What each gets of the first look."""
    tasks = [asyncio.ensure_future(anext(stream)) for stream in streams]
    await looks.waits(1)
    looks.let_one_through()
    return list(await asyncio.gather(*tasks))


class TestLive:
    async def test_makes_one_look_for_all_streams_of_an_operator(self, looks: Looks) -> None:
        streams = [looks.stream(f"session-{n}") for n in range(20)]
        assert await first_of(looks, streams) == [event("now", "one 1")] * 20
        await looks.waits(2)
        looks.let_one_through()
        assert [await anext(stream) for stream in streams] == [event("now", "one 2")] * 20
        await looks.waits(3)

    async def test_shows_who_comes_later_what_was_last_seen(self, looks: Looks) -> None:
        await first_of(looks, [looks.stream("early")])
        assert await anext(looks.stream("late")) == event("now", "one 1")

    async def test_keeps_operators_apart(self, looks: Looks) -> None:
        tasks = [asyncio.ensure_future(anext(looks.stream(name, name))) for name in ("one", "two")]
        await looks.waits(2)
        for _ in tasks:
            looks.let_one_through()
        assert [await task for task in tasks] == [event("now", "one 1"), event("now", "two 2")]

    async def test_ends_the_stream_of_a_session_that_is_over_and_no_other(self, looks: Looks) -> None:
        mine, others = looks.stream("mine"), looks.stream("others")
        await first_of(looks, [mine, others])
        await looks.waits(2)
        looks.over.add("mine")
        looks.let_one_through()
        assert [message async for message in mine][-1] == OVER
        assert await anext(others) == event("now", "one 2")

    async def test_keeps_who_comes_while_it_is_asked_who_lasts(self, looks: Looks) -> None:
        looks.comes_while_asked = "late"
        await first_of(looks, [looks.stream("early")])
        assert looks.came is not None
        assert await looks.came == event("now", "one 1")

    async def test_ends_the_oldest_of_a_session_that_opens_too_many(self, looks: Looks) -> None:
        streams = [looks.stream("mine") for _ in range(STREAMS_OF_SESSION)]
        other = looks.stream("others")
        await first_of(looks, [*streams, other])
        await anext(looks.stream("mine"))
        assert [message async for message in streams[0]] == [FULL]
        await looks.waits(2)
        looks.let_one_through()
        assert await anext(streams[1]) == await anext(other) == event("now", "one 2")

    async def test_takes_no_more_than_the_console_has_room_for(self, looks: Looks) -> None:
        streams = [looks.stream(f"session-{n}", f"operator-{n}") for n in range(STREAMS)]
        tasks = [asyncio.ensure_future(anext(stream)) for stream in streams]
        await looks.waits(STREAMS)
        assert not looks.live.takes_more
        assert [message async for message in looks.stream("more")] == []
        for task in tasks:
            task.cancel()

    @pytest.mark.parametrize("problem", [asyncpg.InterfaceError("away"), OSError(), ValueError("a bug")])
    async def test_says_that_a_look_failed_and_goes_on(self, looks: Looks, problem: Exception) -> None:
        stream, looks.fails = looks.stream("mine"), problem
        assert await first_of(looks, [stream]) == [event("away")]
        await looks.waits(2)
        looks.fails = None
        looks.let_one_through()
        assert await anext(stream) == event("now", "one 2")

    async def test_ends_them_all_when_it_closes(self, looks: Looks) -> None:
        streams = [looks.stream("mine"), looks.stream("others", "two")]
        tasks = [asyncio.ensure_future(anext(stream)) for stream in streams]
        await looks.waits(2)
        await looks.live.close()
        assert [(await task).startswith(":") for task in tasks] == [True, True]
        assert [[message async for message in stream] for stream in streams] == [[], []]
        assert not looks.live.takes_more

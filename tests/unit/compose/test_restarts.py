"""Restarts: how long they wait, for what, and when they give up. The stack and the time are a test's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from compose.deaths import Death, DeathRecord
from compose.layout import Layout
from compose.problems import Died, DiedTooOften
from compose.restarts import DEATHS_LIMIT, HEALTHY_S, LONGEST_PAUSE_S, Restarts, stop_at_the_first
from tests.support.conditions import HANG_S, until


class FakeStack:
    """Dies as it is told. `revived` has each attempt to start something again."""

    def __init__(self) -> None:
        self.deaths: asyncio.Queue[Died] = asyncio.Queue()
        self.fails: dict[str, int] = {}  # so many starts of a component end in its death
        self.slow: dict[str, asyncio.Event] = {}
        self.needs: dict[str, set[str]] = {}
        self.revived: list[str] = []

    def die(self, name: str) -> None:
        self.deaths.put_nowait(Died(name, "was killed by SIGKILL", "a line\nthe last line"))

    async def death(self) -> Died:
        return await self.deaths.get()

    async def revive(self, name: str) -> None:
        self.revived.append(name)
        if self.fails.get(name, 0):
            self.fails[name] -= 1
            raise Died(name, "ended with exit code 1", "no address")
        if name in self.slow:
            await self.slow[name].wait()

    def needed_by(self, name: str) -> set[str]:
        return self.needs.get(name, set())


class Keeping:
    """Restarts that run, with a clock and pauses that a test has in hand."""

    def __init__(self, stack: FakeStack, record: DeathRecord) -> None:
        self.stack, self.record = stack, record
        self.now = 0.0
        self.deaths: list[Death] = []
        kept = Restarts(stack, record, self.deaths.append, clock=lambda: self.now, pause=_no_pause)
        self.task = asyncio.create_task(kept.keep())

    async def revived(self, *names: str) -> None:
        """Returns when these, and no others, were started again since the last time."""

        async def all_of_them() -> bool:
            return len(self.stack.revived) >= len(names)

        await until(all_of_them)
        assert self.stack.revived == list(names)
        self.stack.revived.clear()


async def _no_pause(_seconds: float) -> None:
    await asyncio.sleep(0)


@pytest.fixture
def record(tmp_path: Path) -> DeathRecord:
    layout = Layout(tmp_path / "home")
    layout.create()
    return DeathRecord(layout)


@pytest.fixture
async def keeping(record: DeathRecord) -> AsyncIterator[Keeping]:
    keeping = Keeping(FakeStack(), record)
    yield keeping
    keeping.task.cancel()
    await asyncio.gather(keeping.task, return_exceptions=True)


async def test_what_dies_is_started_again_and_on_record(keeping: Keeping) -> None:
    keeping.stack.die("temporal")
    await keeping.revived("temporal")
    (death,) = keeping.record.list()
    assert (death["name"], death["how"]) == ("temporal", "was killed by SIGKILL")
    assert (death["last_line"], death["restart_in_s"]) == ("the last line", 0.5)
    assert death["at"].endswith("Z")


async def test_pauses_grow_and_after_a_healthy_time_they_begin_anew(keeping: Keeping) -> None:
    for _ in range(3):
        keeping.stack.die("relay")
        await keeping.revived("relay")
        keeping.now += HEALTHY_S - 1
    keeping.stack.die("postgres")
    await keeping.revived("postgres")
    keeping.now += 1
    keeping.stack.die("relay")
    await keeping.revived("relay")
    assert [death.restart_in_s for death in keeping.deaths] == [0.5, 1.0, 2.0, 0.5, 0.5]


async def test_a_component_that_dies_again_and_again_ends_everything_with_its_name(keeping: Keeping) -> None:
    """It does not even become ready."""
    keeping.stack.fails["ingress"] = DEATHS_LIMIT
    keeping.stack.die("ingress")
    with pytest.raises(DiedTooOften, match=f"gave up after {DEATHS_LIMIT} deaths in a row: ingress ended"):
        await asyncio.wait_for(keeping.task, HANG_S)
    pauses = [death.restart_in_s for death in keeping.deaths]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, None]
    assert all(pause is None or pause <= LONGEST_PAUSE_S for pause in pauses)
    assert keeping.record.list()[-1]["restart_in_s"] is None


async def test_a_program_waits_for_the_services_that_are_being_started_again(keeping: Keeping) -> None:
    """Else it would find no database, end, and be counted."""
    stack = keeping.stack
    stack.needs["ingress"] = {"postgres"}
    stack.slow["postgres"] = asyncio.Event()
    stack.die("postgres")
    stack.die("ingress")
    stack.die("relay")
    await keeping.revived("postgres", "relay")
    stack.slow["postgres"].set()
    await keeping.revived("ingress")


async def test_one_that_gives_up_ends_what_is_being_started_again(keeping: Keeping) -> None:
    stack = keeping.stack
    stack.slow["postgres"] = asyncio.Event()
    stack.die("postgres")
    await keeping.revived("postgres")
    stack.fails["relay"] = DEATHS_LIMIT
    stack.die("relay")
    with pytest.raises(DiedTooOften, match="relay"):
        await asyncio.wait_for(keeping.task, HANG_S)


async def test_strict_ends_at_the_first_death(record: DeathRecord) -> None:
    stack = FakeStack()
    stack.die("rabbitmq")
    with pytest.raises(Died, match="rabbitmq was killed by SIGKILL; the end of its log:\na line"):
        await stop_at_the_first(stack, record, lambda death: None)
    assert stack.revived == []
    assert [death["restart_in_s"] for death in record.list()] == [None]


def test_the_record_keeps_the_last_ones_and_begins_anew_with_a_run(record: DeathRecord) -> None:
    for number in range(30):
        record.add(Death.of(Died("relay", f"death {number}", ""), restart_in_s=1))
    assert [death["how"] for death in record.list()] == [f"death {number}" for number in range(10, 30)]
    record.clear()
    assert record.list() == []

"""Who waits for a game's processes, and what becomes of them when the game fails."""

import asyncio
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from games.protocol import Wager
from hosting import lane
from hosting.lane import GameBusy, GameLost, GameOutOfOrder, Lane
from hosting.messages import Answer, Check, Play, Taken
from hosting.process import GameProcess, ProcessLost
from tests.support.conditions import until

QUESTION: Final = Play(wager=Wager(stake=1), actions=[], blocks=b"")
CHECK: Final = Check(wager=Wager(stake=1))


class FakeProcess:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.alive = True
        self.answers: asyncio.Queue[bool] = asyncio.Queue()
        self.ended = 0

    async def ask(self, question: Any, draws: Any = None) -> Answer:
        if await self.answers.get():
            return Taken()
        raise ProcessLost("it was told to fail")

    async def end(self) -> None:
        self.ended += 1
        self.alive = False


class Fakes:
    """The processes of a lane, in the order of their start."""

    def __init__(self) -> None:
        self.started: list[FakeProcess] = []
        self.refuse = False
        self.reasons: list[str] = []

    async def start(self) -> GameProcess:
        if self.refuse:
            raise ProcessLost("it does not start")
        self.started.append(FakeProcess())
        return cast(GameProcess, self.started[-1])

    def lane(self, *, processes: int = 1) -> Lane:
        return Lane("coin 1.0.0", self.start, processes=processes, lost=self.reasons.append)

    async def nth(self, number: int) -> FakeProcess:
        async def there() -> bool:
            return len(self.started) >= number

        await until(there)
        return self.started[number - 1]


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


def ask(of: Lane) -> "asyncio.Task[Answer]":
    return asyncio.create_task(of.ask(QUESTION))


async def fail(fakes: Fakes, of: Lane, number: int) -> None:
    """Loses the process of this number."""
    asking = ask(of)
    (await fakes.nth(number)).answers.put_nowait(False)
    with pytest.raises(GameLost, match=r"^coin 1\.0\.0: it was told to fail$"):
        await asking


async def test_a_process_answers_one_question_after_the_other(fakes: Fakes) -> None:
    asked = fakes.lane()
    first, second = ask(asked), ask(asked)
    process = await fakes.nth(1)
    process.answers.put_nowait(True)
    assert await first == Taken()
    assert not second.done()
    process.answers.put_nowait(True)
    assert await second == Taken()
    assert len(fakes.started) == 1
    await asked.close()
    assert process.ended == 1


async def test_the_first_loss_costs_no_pause_and_an_answer_forgets_it(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "FIRST_PAUSE_S", 1 << 20)
    monkeypatch.setattr(lane, "LONGEST_PAUSE_S", 1 << 20)
    asked = fakes.lane()
    for number in (1, 2, 3):
        await fail(fakes, asked, number)
        assert fakes.started[number - 1].ended == 1 or await ended(fakes.started[number - 1])
        good = ask(asked)
        (await fakes.nth(number + 1)).answers.put_nowait(True)
        assert await good == Taken()
    assert not asked.out_of_order
    await asked.close()


async def ended(process: FakeProcess) -> bool:
    async def is_so() -> bool:
        return process.ended == 1

    return await until(is_so)


async def test_while_all_processes_rest_who_waits_and_who_comes_is_told(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "FIRST_PAUSE_S", 1 << 20)
    monkeypatch.setattr(lane, "LONGEST_PAUSE_S", 1 << 20)
    asked = fakes.lane()
    await fail(fakes, asked, 1)
    failing = ask(asked)
    process = await fakes.nth(2)
    waiting, gone = ask(asked), ask(asked)
    await asyncio.sleep(0)
    gone.cancel()
    process.answers.put_nowait(False)
    with pytest.raises(GameLost):
        await failing
    with pytest.raises(GameOutOfOrder, match=r"^coin 1\.0\.0 is out of order: it failed 2 times in a row$"):
        await waiting
    assert asked.out_of_order
    with pytest.raises(GameOutOfOrder), asked.admitted():
        pass
    with pytest.raises(GameOutOfOrder):
        await asked.ask(QUESTION)
    assert fakes.reasons == ["coin 1.0.0: it was told to fail"] * 2
    await asked.close()


async def test_a_game_that_only_takes_bets_has_not_recovered(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "FIRST_PAUSE_S", 1 << 20)
    monkeypatch.setattr(lane, "LONGEST_PAUSE_S", 1 << 20)
    asked = fakes.lane()
    await fail(fakes, asked, 1)
    checking = asyncio.create_task(asked.ask(CHECK))
    (await fakes.nth(2)).answers.put_nowait(True)
    await checking
    await fail(fakes, asked, 2)

    async def out_of_order() -> bool:
        return asked.out_of_order

    await until(out_of_order)
    await asked.close()


async def test_after_the_pause_it_is_tried_again_until_it_starts(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "FIRST_PAUSE_S", 0)
    asked = fakes.lane()
    fakes.refuse = True
    waiting = ask(asked)

    async def refused_often() -> bool:
        return len(fakes.reasons) > 3

    await until(refused_often)
    with pytest.raises(GameOutOfOrder):
        await waiting
    fakes.refuse = False
    (await fakes.nth(1)).answers.put_nowait(True)

    async def answers() -> bool:
        try:
            return await asked.ask(QUESTION) == Taken()
        except GameOutOfOrder:
            return False

    await until(answers)
    await asked.close()


async def test_who_gives_up_costs_no_process(fakes: Fakes) -> None:
    asked = fakes.lane()
    impatient = ask(asked)
    process = await fakes.nth(1)
    waiting = ask(asked)
    await asyncio.sleep(0)
    impatient.cancel()
    waiting.cancel()
    process.answers.put_nowait(True)
    process.answers.put_nowait(True)
    assert await asked.ask(QUESTION) == Taken()
    assert (len(fakes.started), process.ended, fakes.reasons) == (1, 0, [])
    await asked.close()


async def test_a_dead_process_is_replaced_before_it_is_asked(fakes: Fakes) -> None:
    asked = fakes.lane()
    first = ask(asked)
    (await fakes.nth(1)).answers.put_nowait(True)
    await first
    fakes.started[0].alive = False
    second = ask(asked)
    (await fakes.nth(2)).answers.put_nowait(True)
    assert await second == Taken()
    await asked.close()


async def test_bets_on_a_slow_game_are_not_taken_in_numbers(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 1 << 60, 3_000_000_000))
    monkeypatch.setattr(lane, "time", SimpleNamespace(monotonic_ns=lambda: next(now)))
    asked = fakes.lane()
    for _ in range(100):
        with asked.admitted():
            pass
    for _ in range(5):
        question = ask(asked)
        (await fakes.nth(1)).answers.put_nowait(True)
        await question
    with asked.admitted(), pytest.raises(GameBusy, match="answers slowly"), asked.admitted():
        pass
    with asked.admitted():
        pass
    await asked.close()

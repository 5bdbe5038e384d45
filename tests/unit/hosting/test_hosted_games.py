"""A game that does not come with Croupier gives the same steps from a process of its own, and whatever it
does there ends with its process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import psutil
import pytest

from contracts.choices import Chosen
from games import checks, dice
from games.checks import GameError
from games.draws import HmacDraws
from games.protocol import Game, InvalidChoice, StakeNotAllowed, Wager
from games.registry import PluginError, Registry
from hosting import games, process
from hosting.lane import GameLost
from hosting.process import Limits
from runtime.settings import PROJECT_ROOT
from tests.support.bad_games import CHOOSER, PUPPET
from tests.support.conditions import HANG_S, until

PLUGINS: Final = ("tests.support.bad_games:PUPPET", "tests.support.bad_games:CHOOSER", "games.dice:GAME")
# What only a hang reaches: a test that is about one of the limits lowers that one.
PATIENT: Final = Limits(answer_s=HANG_S, processor_s=60)
ONE: Final = Limits(answer_s=HANG_S, processor_s=60, processes=1)


def does(deed: str) -> Wager:
    return Wager(stake=100, choice={"do": deed})


def draws(nonce: int = 0) -> HmacDraws:
    return HmacDraws(server_seed=b"s" * 32, client_seed="client", nonce=nonce)


def children() -> set[psutil.Process]:
    """Processes of games."""
    return {child for child in psutil.Process().children() if _is_a_games(child)}


def _is_a_games(child: psutil.Process) -> bool:
    try:
        return "hosting.child" in child.cmdline()
    except psutil.NoSuchProcess:  # or a zombie
        return False


@pytest.fixture
def started() -> Callable[[], set[psutil.Process]]:
    """Those that the test has started, and that run."""
    before = children()
    return lambda: children() - before


Started = Callable[[], set[psutil.Process]]


@pytest.fixture(scope="module")
async def registry() -> AsyncIterator[Registry]:
    async with games.opened(PLUGINS, PATIENT) as opened:
        yield opened


@pytest.fixture
def puppet(registry: Registry) -> Game:
    return registry.get("puppet")


class TestAGameInItsProcess:
    @pytest.mark.parametrize("deed", ["win", "draw"])
    async def test_gives_the_steps_that_it_gives_here(self, puppet: Game, deed: str) -> None:
        for nonce in range(3):
            here = checks.play_round(PUPPET, does(deed), draws(nonce))
            assert await games.play_round(puppet, does(deed), draws(nonce)) == here
            again = await games.recompute(
                puppet, does(deed), server_seed=b"s" * 32, client_seed="client", nonce=nonce
            )
            assert again == here

    async def test_asks_its_player(self, registry: Registry) -> None:
        wager, go = Wager(stake=100), Chosen(action="go", params={"do": "win"})
        here = checks.play_round(CHOOSER, wager, draws())
        there = await games.play_round(registry.get("chooser"), wager, draws())
        assert (there.outcome, there.win, there.offer) == (here.outcome, here.win, here.offer)
        end = await games.play_round(registry.get("chooser"), wager, draws(), [go])
        assert end == checks.play_round(CHOOSER, wager, draws(), [go])

    def test_declares_what_it_declares_here(self, registry: Registry) -> None:
        here = Registry((PUPPET, CHOOSER, dice.GAME))
        assert registry.listing() == here.listing()
        assert registry.describe("puppet") == here.describe("puppet")

    async def test_refuses_a_choice_in_its_own_words_on_one_line(self, puppet: Game) -> None:
        with pytest.raises(InvalidChoice, match=r"^puppet needs another choice$"):
            await games.check_wager(puppet, Wager(stake=100, choice={"check": "refuse"}))
        with pytest.raises(StakeNotAllowed):
            await games.check_wager(puppet, Wager(stake=101, choice={}))
        await games.check_wager(puppet, does("win"))

    async def test_sees_nothing_of_ours(self, puppet: Game, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = (await games.play_round(puppet, does("look"), draws())).outcome
        assert [name for name in seen["variables"] if "CROUPIER" in name or "PASSWORD" in name] == []
        assert (seen["seed"], seen["input"]) == (False, "")
        assert seen["files"] <= 6, "standard input and output, its socket, and the list itself"

    async def test_may_print(self, puppet: Game) -> None:
        assert (await games.play_round(puppet, does("print"), draws())).win == 0

    def test_one_that_comes_with_croupier_has_none(self, registry: Registry) -> None:
        assert registry.get("dice") is dice.GAME


NONSENSE: Final = {
    "nul": "shows an outcome",
    "nul-key": "shows an outcome",
    "surrogate": "shows an outcome",
    "fraction": "shows an outcome",
    "huge": "shows an outcome",
    "deep": "shows an outcome",
    "too-much": "pays outside",
    "no-step": "answered a dict",
    "leave": "answered with SystemExit",
    "allocate": "raised MemoryError",
    "tell": r"raised ValueError at bad_games\.py:\d+$",
}


async def test_nonsense_is_refused_in_words_that_name_the_game_and_tell_no_draws(started: Started) -> None:
    async with games.opened(PLUGINS[:1], ONE) as opened:
        puppet = opened.get("puppet")
        before = started()
        assert len(before) == 1
        for deed, said in NONSENSE.items():
            with pytest.raises(GameError, match=f"^puppet 1.0.0 {said}"):
                await games.play_round(puppet, does(deed), draws())
        for deed in ("tell", "leave"):
            with pytest.raises(GameError, match=r"^puppet 1\.0\.0"):
                await games.check_wager(puppet, Wager(stake=100, choice={"check": deed}))
        assert (await games.play_round(puppet, does("win"), draws())).win == 200
        assert started() == before, "nonsense costs no process"


@pytest.mark.parametrize(
    ("deed", "limits", "said"),
    [
        ("sleep", Limits(answer_s=1, processes=1), "it gave no answer within 1 s"),
        ("loop", Limits(answer_s=HANG_S, processor_s=1, processes=1), "more than 1 s of the processor"),
        ("vanish", ONE, "its process ended with 7"),
        ("draw-forever", ONE, "it draws more than 131,072 words"),
        ("scribble", ONE, "it answers with 4,294,967,295 bytes"),
    ],
)
async def test_a_process_that_gives_no_answer_is_replaced(
    started: Started, deed: str, limits: Limits, said: str
) -> None:
    async with games.opened(PLUGINS[:1], limits) as opened:
        puppet = opened.get("puppet")
        before = started()
        with pytest.raises(GameLost, match=f"^puppet 1.0.0: .*{said}"):
            await games.play_round(puppet, does(deed), draws())

        async def replaced() -> bool:
            return len(started()) == 1 and not started() & before

        await until(replaced)
        if limits is ONE:
            assert (await games.play_round(puppet, does("win"), draws())).win == 200


async def test_a_process_that_was_killed_between_two_rounds_costs_none(started: Started) -> None:
    async with games.opened(PLUGINS[:1], ONE) as opened:
        (child,) = started()
        child.send_signal(signal.SIGKILL)
        await asyncio.to_thread(os.waitid, os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert (await games.play_round(opened.get("puppet"), does("win"), draws())).win == 200


async def test_a_game_that_hangs_holds_up_nobody_and_leaves_with_the_program(started: Started) -> None:
    async with games.opened(PLUGINS, PATIENT) as opened:
        puppet = opened.get("puppet")
        hanging = asyncio.create_task(games.play_round(puppet, does("sleep"), draws()))
        for _ in range(3):
            assert (await games.play_round(puppet, does("win"), draws())).win == 200
            assert (await games.play_round(opened.get("chooser"), Wager(stake=100), draws())).win == 100
        recomputed = await games.recompute(
            puppet, does("win"), server_seed=b"s" * 32, client_seed="client", nonce=0
        )
        assert recomputed.win == 200
        assert not hanging.done()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert started() == set()


PROGRAM: Final = f"""
import asyncio, psutil
from games.draws import HmacDraws
from games.protocol import Wager
from hosting import games
from hosting.process import Limits

async def main():
    async with games.opened({PLUGINS[:2]!r}, Limits(answer_s=3600, processor_s=3600)) as opened:
        draws = HmacDraws(server_seed=bytes(32), client_seed="c", nonce=0)
        wager = Wager(stake=100, choice={{"do": "loop"}})
        hanging = asyncio.create_task(games.play_round(opened.get("puppet"), wager, draws))
        await asyncio.sleep(0)
        print(*(child.pid for child in psutil.Process().children()), flush=True)
        await hanging

asyncio.run(main())
"""


async def test_a_program_that_is_killed_leaves_no_process_of_a_game() -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM), cwd=PROJECT_ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    async with asyncio.timeout(HANG_S):
        children = [psutil.Process(int(pid)) for pid in (await program.stdout.readline()).split()]
    assert len(children) == 2
    program.kill()
    await program.wait()

    async def gone() -> bool:
        return not any(child.is_running() for child in children)

    await until(gone)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a module of a text."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(text: str) -> str:
        (tmp_path / "made_for_a_test.py").write_text(text)
        return "made_for_a_test:GAME"

    return make


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ValueError('not today')", "does not import: ValueError"),
        ("raise SystemExit(3)", "does not import: SystemExit"),
        ("import os; os._exit(3)", "its process ended with 3"),
        ("GAME = 1", "it has no id, version"),
        ("import time; time.sleep(3600)", "was not imported within 1 s"),
    ],
)
async def test_a_plug_in_that_is_no_game_stops_the_start(
    module: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, started: Started, text: str, said: str
) -> None:
    before = ["tests.support.bad_games:PUPPET"]
    if "sleep" in text:  # the limit is for a hang alone
        monkeypatch.setattr(process, "START_S", 1)
        before = []
    with pytest.raises(PluginError, match=f"^game made_for_a_test:GAME: .*{said}"):
        async with games.opened([*before, module(text)], ONE):
            pass
    assert started() == set()

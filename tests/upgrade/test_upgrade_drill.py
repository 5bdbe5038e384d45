"""Upgrades under load: from an earlier commit to this tree, from here to a made-up next release, and back."""

from pathlib import Path

import pytest

from compose.stack import Stack
from tests.upgrade import trees
from tests.upgrade.drill import Drill, Program, drill
from tests.upgrade.next_release import SCHEMA
from tests.upgrade.trees import THIS

# Rounds between two events, and upgrades to the next release, each with its way back.
ROUNDS, CYCLES = 20, 1
LONG_ROUNDS, LONG_CYCLES = 3_000, 10
LIMIT_S, LONG_LIMIT_S = 1_200, 3 * 3_600


@pytest.mark.timeout(LIMIT_S)
async def test_from_an_earlier_commit_to_this_one(
    services_alone: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        base = trees.base(tmp_path)
    except trees.NotHere as why:
        pytest.skip(str(why))
    async with drill(services_alone, base) as casino:
        old = await casino.start(base, count=2)
        await casino.seat()
        await casino.leave_open(3)
        async with casino.playing():
            await casino.more_rounds(ROUNDS)
            found = await casino.replay(THIS)
            assert found["open"]["Round"] >= 3
            await casino.migrate_beside_a_reader(THIS)
            await casino.start(THIS, count=2)
            await casino.choose(1)
            await casino.end(old[0])
            await casino.leave_open(1)
            await casino.more_rounds(ROUNDS)
            await casino.choose(1)
            await casino.end(old[1])
            await casino.migrate(THIS, "--after")
            await casino.choose(2)
            await casino.more_rounds(ROUNDS)
        await casino.assert_nothing_lost()
        show(casino, capsys)


@pytest.mark.timeout(LONG_LIMIT_S)
async def test_from_here_to_the_next_release_and_back(
    services_alone: Stack, tmp_path: Path, full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next release changes a table, a type, a function and a workflow."""
    following = trees.following(tmp_path)
    rounds = LONG_ROUNDS if full else ROUNDS
    async with drill(services_alone, THIS) as casino:
        ours = await casino.start(THIS, count=2)
        await casino.seat()
        await casino.leave_open(2)
        async with casino.playing():
            await casino.more_rounds(rounds)
            await casino.replay(following)
            assert await casino.migrate_beside_a_reader(following) == 2, "it needs a lock on rounds"
            for _ in range(LONG_CYCLES if full else CYCLES):
                ours = await _there_and_back(casino, following, ours, rounds)
            (theirs,) = await casino.start(following)
            await casino.leave_open(1)
            for program in ours:
                await casino.end(program)
            await casino.migrate(following, "--after")
            await casino.choose(1)
            await _begin_rounds_of_the_new_version(casino, following, theirs)
        await casino.assert_nothing_lost()
        versions = "SELECT array_agg(DISTINCT edition) FROM rounds WHERE state = 'settled'"
        assert sorted(await casino.database.pool.fetchval(versions)) == [1, 2]
        code, said = await casino.run(THIS, "workers.serve")
        assert (code, f"serves programs from {SCHEMA} on" in said) == (1, True), said
        show(casino, capsys)


async def _there_and_back(
    casino: Drill, following: trees.Tree, ours: list[Program], rounds: int
) -> list[Program]:
    """Returns the programs of this tree that have taken over again. Each release goes on with rounds that the
    other has begun."""
    theirs = await casino.start(following, count=2)
    for program in ours:
        await casino.leave_open(1)
        await casino.end(program)
        await casino.choose(1)
    await casino.more_rounds(rounds)
    ours = await casino.start(THIS)
    for program in theirs:
        await casino.end(program)
    await casino.choose(1)
    await casino.more_rounds(rounds)
    await casino.leave_open(1)
    return ours


async def _begin_rounds_of_the_new_version(casino: Drill, following: trees.Tree, earlier: Program) -> None:
    """A program that starts now knows that none of this tree can come back."""
    await casino.start(following)
    await casino.end(earlier)
    await casino.leave_open(1)
    await casino.more_rounds(ROUNDS)
    await casino.choose(len(casino.waiting))


def show(casino: Drill, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{casino.table()}")  # noqa: T201

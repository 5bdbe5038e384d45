"""A restore without its servers: what it says of where it ended."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from compose import restore as module
from compose.backups import Backup, Backups
from compose.restore import Progress, Target

BACKUP = Backup(
    name="20261127T100000Z",
    began_at="2026-11-27T10:00:00+00:00",
    ended_at="2026-11-27T10:00:01+00:00",
    server="18",
    wal="000000010000000000000002",
    bytes=1,
    epoch=1,
)


class Stack:
    """One whose server comes up."""

    async def run_alone(self, component: Any) -> None:
        pass

    def died(self) -> None:
        return None


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (
            datetime(2026, 11, 27, 6, 38, 36, tzinfo=UTC),
            "restored up to the transaction of 2026-11-27 06:38:36",
        ),
        (None, "no transaction came after the backup"),
    ],
)
async def test_a_restore_says_what_it_has_reached(
    at: datetime | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter([Progress(), Progress(at=at), Progress(recovering=False, at=at)])

    async def progress(postgres: Any) -> Progress:
        return next(steps)

    monkeypatch.setattr(module, "_progress", progress)
    monkeypatch.setattr(module, "PAUSE_S", 0)
    told: list[str] = []
    stack: Any = Stack()
    await module._replay(stack, stack, told.append)
    assert told[-1].startswith(said)


class Postgres:
    """A server whose preparation makes an empty cluster where there is none."""

    name = "postgres"
    user = None

    def __init__(self, cluster: Path) -> None:
        self.cluster = cluster

    async def prepare(self, say: Any) -> None:
        self.is_new = not self.cluster.exists()
        self.cluster.mkdir(exist_ok=True)


@pytest.mark.parametrize("was_there", [True, False])
async def test_only_data_that_was_there_is_the_data_of_before(
    was_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def replay(*arguments: Any) -> None:
        pass

    monkeypatch.setattr(module, "_replay", replay)
    monkeypatch.setattr(module, "_lay_out", lambda postgres, backups, target, restoring: restoring.mkdir())
    stack: Any = Stack()
    stack.embedded_postgres = Postgres(tmp_path / "cluster")
    if was_there:
        await stack.embedded_postgres.prepare(print)
    aside = await module.put_back(stack, Backups(tmp_path), Target(backup=BACKUP, at=None, timeline=1), print)
    kept = set(os.listdir(tmp_path))
    assert kept == {"cluster"} | ({aside.name} if aside is not None else set())
    assert (aside is not None) == was_there


async def test_a_server_that_does_not_answer_yet_has_replayed_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = iter([Progress(), Progress(recovering=False)])

    async def progress(postgres: Any) -> Progress:
        return next(steps)

    monkeypatch.setattr(module, "_progress", progress)
    monkeypatch.setattr(module, "PROGRESS_S", 0)
    monkeypatch.setattr(module, "PAUSE_S", 0)
    told: list[str] = []
    stack: Any = Stack()
    await module._replay(stack, stack, told.append)
    assert "no transaction is replayed yet" in told

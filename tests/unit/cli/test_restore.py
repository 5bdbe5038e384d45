"""`croupier restore` that is interrupted: what it says, and whose passwords the home remembers then."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from cli.backup import restore as module
from compose.backups import Backup, passwords
from compose.layout import Layout, write_json
from compose.restore import Target
from runtime.settings import Settings

BACKUP = Backup(
    name="20261127T100000Z",
    began_at="2026-11-27T10:00:00+00:00",
    ended_at="2026-11-27T10:00:01+00:00",
    server="18",
    wal="000000010000000000000002",
    bytes=1,
    epoch=1,
    sealed_passwords="sealed",
)
CHOICE = module.Choice(name=None, to=None, timeline=None, yes=True)


class Stack:
    """One whose database is put back, and whose tables take until somebody interrupts."""

    def __init__(self, settings: Settings) -> None:
        pass

    async def __aenter__(self) -> "Stack":
        return self

    async def __aexit__(self, *raised: object) -> None:
        pass

    async def provision(self) -> None:
        await interrupt()


async def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(60)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    made = Settings(home=tmp_path / "home")
    layout = Layout(made.home)
    layout.create()
    write_json(layout.memory_file, {"postgres_password": "before"})
    target = Target(backup=BACKUP, at=None, timeline=1)
    monkeypatch.setattr(module, "_target", lambda settings, choice: target)
    monkeypatch.setattr(module, "load_keyring", lambda settings: None)
    monkeypatch.setattr(module, "open_passwords", lambda keyring, sealed: {"postgres_password": "restored"})
    monkeypatch.setattr(module, "Stack", Stack)
    return made


def test_an_interrupt_before_the_end_leaves_all_as_it_was(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def put_back(*arguments: Any) -> Path:
        await interrupt()
        raise AssertionError

    monkeypatch.setattr(module, "put_back", put_back)
    assert module.run(settings, CHOICE) == 130
    assert "interrupted: the database is as it was" in capsys.readouterr().err
    assert passwords(Layout(settings.home)) == {"postgres_password": "before"}


def test_an_interrupt_after_it_says_where_the_data_of_before_is(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def put_back(*arguments: Any) -> Path:
        return Path("/aside")

    monkeypatch.setattr(module, "put_back", put_back)
    assert module.run(settings, CHOICE) == 130
    said = capsys.readouterr().err
    assert "is restored, and not recovered; ./croupier up recovers it" in said
    assert "the data of before is in /aside" in said
    assert passwords(Layout(settings.home)) == {"postgres_password": "restored"}

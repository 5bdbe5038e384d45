"""A restore without its servers: what it says of where it ended."""

from datetime import UTC, datetime
from typing import Any

import pytest

from compose import restore as module
from compose.restore import Progress


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

"""What the log says of an incident: its round, and no player's name."""

import logging
from typing import Any

import pytest

from activities.incidents import note
from contracts.reconciliation import Finding, IncidentKind


class Opens:
    """A pool in which every incident is new."""

    async def fetchrow(self, *_: object) -> dict[str, bool]:
        return {"opened": True, "due": True}


async def test_a_new_incident_is_logged_without_its_subject(caplog: pytest.LogCaptureFixture) -> None:
    found = Finding(
        kind=IncidentKind.WALLET_DIFFERS,
        subject="demo:mister-who:t-1",
        operator_id="demo",
        round_id="r-1",
        detail={},
    )
    pool: Any = Opens()
    with caplog.at_level(logging.ERROR):
        await note(pool, found)
    assert caplog.messages == ["incident: wallet-differs at operator demo, round r-1 (./croupier incidents)"]

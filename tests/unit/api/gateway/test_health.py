"""/readyz: what is asked at once, what is not waited for, and what a missing broker means."""

import asyncio
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.gateway import health
from api.gateway.admission import Admission
from api.gateway.health import ReadinessChecks
from tests.support.conditions import HANG_S


async def readiness(checks: ReadinessChecks) -> tuple[int, Any]:
    admission = Admission(max_open_requests=8, max_open_bets=8, max_running_bets=8)
    app = create_app(None, checks, admission)  # type: ignore[arg-type]  # no request reaches a service
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingress") as http:
        answer = await asyncio.wait_for(http.get("/readyz"), HANG_S)
    return answer.status_code, answer.json()


async def passes() -> None:
    return None


async def fails() -> None:
    raise ConnectionError


async def says_nothing() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("failing", "status", "word"),
    [
        ([], 200, "ready"),
        (["broker"], 200, "degraded"),
        (["temporal"], 503, "not ready"),
        (["database"], 503, "not ready"),
        (["database", "broker", "temporal"], 503, "not ready"),
    ],
)
async def test_rounds_are_played_without_the_broker_and_without_nothing_else(
    failing: list[str], status: int, word: str
) -> None:
    names = ("database", "broker", "temporal")
    checks: ReadinessChecks = {name: fails if name in failing else passes for name in names}
    assert await readiness(checks) == (status, {"status": word, "failing": failing})


async def test_a_service_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert health.CHECK_TIMEOUT_S <= 1
    monkeypatch.setattr(health, "CHECK_TIMEOUT_S", 0.01)
    silent: ReadinessChecks = {"database": passes, "temporal": says_nothing, "broker": says_nothing}
    assert await readiness(silent) == (503, {"status": "not ready", "failing": ["temporal", "broker"]})


async def test_all_are_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check passes only when all three have begun."""
    monkeypatch.setattr(health, "CHECK_TIMEOUT_S", HANG_S)
    begun = asyncio.Barrier(3)
    together: ReadinessChecks = dict.fromkeys(("database", "broker", "temporal"), begun.wait)
    assert await readiness(together) == (200, {"status": "ready", "failing": []})

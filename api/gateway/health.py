"""Health: that the process is alive, and that rounds can be played."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.gateway.schemas import PROBLEM_RESPONSES

# Each check raises or returns; its name is shown when it fails, its error is only logged.
ReadinessChecks = dict[str, Callable[[], Awaitable[object]]]
# A service that says nothing is not ready, and a probe gives up soon itself.
CHECK_TIMEOUT_S: Final = 1.0
# Rounds are played without these: their events wait in the outbox.
DEGRADING: Final = frozenset({"broker"})

router = APIRouter(responses=PROBLEM_RESPONSES)


class Health(BaseModel):
    status: Literal["ok"]


class Readiness(BaseModel):
    """`failing` names what does not answer; `degraded` means that rounds are played without it. A process
    that stops is not ready, and `draining`."""

    status: Literal["ready", "degraded", "not ready"]
    failing: list[str]


@router.get("/healthz", tags=["Open"], response_model=Health)
async def healthz() -> JSONResponse:
    """The process is alive."""
    return JSONResponse({"status": "ok"})


@router.get(
    "/readyz",
    tags=["Open"],
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not ready"}},
)
async def readyz(request: Request) -> JSONResponse:
    """Rounds can be played: the database and Temporal answer. Without the broker they are played too, and the
    process is degraded."""
    checks: ReadinessChecks = request.app.state.readiness
    passed = await asyncio.gather(*(_passes(check) for check in checks.values()))
    failing = [name for name, passes in zip(checks, passed, strict=True) if not passes]
    status = _status(failing)
    return JSONResponse({"status": status, "failing": failing}, 503 if status == "not ready" else 200)


def _status(failing: list[str]) -> str:
    if not failing:
        return "ready"
    return "degraded" if DEGRADING.issuperset(failing) else "not ready"


async def _passes(check: Callable[[], Awaitable[object]]) -> bool:
    """Whatever is wrong, it does not pass. A check that is late is cancelled, and its end not waited for."""
    running = asyncio.ensure_future(check())
    done, _ = await asyncio.wait((running,), timeout=CHECK_TIMEOUT_S)
    if not done:
        running.cancel()
        return False
    return running.exception() is None

"""Health: that the process is alive, and that rounds can be played."""

from collections.abc import Awaitable, Callable
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.gateway.schemas import PROBLEM_RESPONSES

# Each check raises or returns; its name is shown when it fails, its error is only logged.
ReadinessChecks = dict[str, Callable[[], Awaitable[object]]]

router = APIRouter(responses=PROBLEM_RESPONSES)


class Health(BaseModel):
    status: Literal["ok"]


class Readiness(BaseModel):
    """`failing` names what does not answer."""

    status: Literal["ready", "not ready"]
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
    """Rounds can be played: the database, the broker and Temporal answer."""
    checks: ReadinessChecks = request.app.state.readiness
    failing = [name for name, check in checks.items() if not await _passes(check)]
    status = "ready" if not failing else "not ready"
    return JSONResponse({"status": status, "failing": failing}, 200 if not failing else 503)


async def _passes(check: Callable[[], Awaitable[object]]) -> bool:
    try:
        await check()
    except Exception:  # noqa: BLE001 - whatever is wrong, the answer is "not ready"
        return False
    return True

"""What needs no key: health and the list of games."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse

from api.authentication import Deps
from api.models import PROBLEM_RESPONSES
from api.problems import Problem
from games.registry import UnknownGame

# Each check raises or returns; its name is shown when it fails, its error is only logged.
ReadinessChecks = dict[str, Callable[[], Awaitable[object]]]

router = APIRouter(responses=PROBLEM_RESPONSES)


@router.get("/healthz", tags=["Open"])
async def healthz() -> JSONResponse:
    """The process is alive."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", tags=["Open"])
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


@router.get("/v1/games", tags=["Open"])
async def games(services: Deps) -> JSONResponse:
    """The games that can be played, each in its current version."""
    return JSONResponse({"items": services.games.listing()})


@router.get("/v1/games/{game_id}", tags=["Open"])
async def game(game_id: Annotated[str, Path(max_length=64)], services: Deps) -> JSONResponse:
    """One game with its rules."""
    try:
        return JSONResponse(services.games.describe(game_id))
    except UnknownGame:
        raise Problem("not-found", "There is no such game.") from None

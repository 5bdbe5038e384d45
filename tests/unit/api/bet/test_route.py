"""The route that reads its request itself answers as FastAPI would, request by request."""

from types import SimpleNamespace

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from api.bet.route import BetRoute
from api.bet.schemas import PlaceBet
from api.gateway import problems
from api.gateway.admission import Admission
from api.gateway.authentication import LiveSession
from api.gateway.rate_limits import RateLimits
from api.gateway.strict_json import StrictRoute
from security.tokens import TokenInvalid

BET = b'{"round_id": "r-1", "stake": 100, "choice": {"target": 1.5}}'
JSON = {"content-type": "application/json"}
TOKEN = {"authorization": "Bearer genuine"}


def app(route: type[APIRoute]) -> FastAPI:
    """An application whose one route says what it was given."""

    async def place(body: PlaceBet, caller: LiveSession) -> JSONResponse:
        return JSONResponse({"bet": body.model_dump(), "claims": caller.claims}, 201)

    router = APIRouter(route_class=StrictRoute)
    router.add_api_route("/rounds", place, methods=["POST"], status_code=201, route_class_override=route)
    made = FastAPI(redirect_slashes=False)
    made.include_router(router)
    problems.install(made)
    made.state.services = SimpleNamespace(tokens=SimpleNamespace(verify=verify), limits=RateLimits())
    made.state.admission = Admission(max_open_requests=1, max_open_bets=1, max_running_bets=1)
    return made


class Claims(str):
    session_id = "s-1"
    operator_id = "o-1"


def verify(token: str) -> Claims:
    if token != "genuine":
        raise TokenInvalid
    return Claims("claims of anna")


async def answer(
    route: type[APIRoute], body: bytes, headers: dict[str, str], *, method: str = "POST", query: str = ""
) -> httpx.Response:
    made = app(route)

    async def with_id(scope, receive, send):  # type: ignore[no-untyped-def]
        scope.setdefault("state", {})["request_id"] = "1"
        await made(scope, receive, send)

    transport = httpx.ASGITransport(app=with_id, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, f"/rounds{query}", content=body, headers=headers)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BET, JSON),
        (BET, {"content-type": "application/json; charset=utf-8"}),
        (BET, {"content-type": "APPLICATION/JSON"}),
        (BET, {"content-type": "application/vnd.game+json"}),
        (BET, {"content-type": "text/plain"}),
        (BET, {"content-type": "application/x-www-form-urlencoded"}),
        (BET, {"content-type": "nonsense"}),
        (BET, {}),
        (b"", {}),
        (b"", JSON),
        (b"[]", JSON),
        (b"null", JSON),
        (b'"bet"', JSON),
        (b"{", JSON),
        (b"{}", JSON),
        (b'{"round_id": "r-1", "stake": "100"}', JSON),
        (b'{"round_id": "r-1", "stake": 1.0}', JSON),
        (b'{"round_id": "r 1", "stake": 100}', JSON),
        (b'{"round_id": "r-1", "stake": 100, "more": 1}', JSON),
        (b'{"round_id": "r-1", "stake": NaN}', JSON),
        (b"\xff", JSON),
    ],
)
async def test_a_body_is_read_as_fastapi_reads_it(body: bytes, headers: dict[str, str]) -> None:
    own = await answer(BetRoute, body, headers | TOKEN)
    theirs = await answer(StrictRoute, body, headers | TOKEN)
    assert (own.status_code, own.json()) == (theirs.status_code, theirs.json())
    assert own.headers["content-type"] == theirs.headers["content-type"]


@pytest.mark.parametrize(
    "header", ["", "genuine", "Bearer", "Bearer ", "bearer genuine", "Bearer forged", "Basic genuine"]
)
async def test_a_token_is_read_as_fastapi_reads_it(header: str) -> None:
    own = await answer(BetRoute, BET, JSON | {"authorization": header})
    theirs = await answer(StrictRoute, BET, JSON | {"authorization": header})
    assert (own.status_code, own.json()) == (theirs.status_code, theirs.json())
    assert own.headers.get("www-authenticate") == theirs.headers.get("www-authenticate")


async def test_a_parameter_and_a_method_that_are_not_known_are_refused_as_elsewhere() -> None:
    for method, query in (("POST", "?mode=base"), ("GET", ""), ("DELETE", "")):
        own = await answer(BetRoute, BET, JSON | TOKEN, method=method, query=query)
        theirs = await answer(StrictRoute, BET, JSON | TOKEN, method=method, query=query)
        assert own.status_code == theirs.status_code >= 400
        assert own.json() == theirs.json()
        assert own.headers.get("allow") == theirs.headers.get("allow")


async def test_nothing_is_said_of_a_body_to_somebody_without_a_token() -> None:
    refused = await answer(BetRoute, b"{", JSON)
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")

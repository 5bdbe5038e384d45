"""CORS and HEAD: pages of the named origins may call what games call, and are told what they need to read."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from api.pages.files import PAGES
from storage.database import Database
from tests.conftest import Services
from tests.e2e.parties import Gateway, Operator
from tests.support.clients import CHOICE, STAKE, seat_players
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ingress import Ingress, one_more_ingress

GAMES: Final = "https://games.example"
FOREIGN: Final = "https://evil.example"
TOLD: Final = {"idempotent-replayed", "location", "retry-after", "x-request-id"}
FOR_GAMES: Final = ("/v1/game/session", "/v1/games", "/v1/games/dice", "/v1/fairness/verify")
OTHERS: Final = (
    *("/v1/operator/rounds", "/v1/platform/operators", "/openapi.json", "/healthz"),
    *("/v1/gamesX", "/v1/games-of-others", "/v1/gameX", "/v1/fairnessX/verify", "/V1/games"),
)
ASKS: Final = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
ADDRESS_BURST: Final = 100
# A call without a key counts as so many, so this is more than an address has.
FLOOD: Final = 20
ADMITTED: Final = 2
# While it is held, rounds begin and reserve nothing.
HOLD_ROUNDS: Final = "LOCK TABLE seeds IN EXCLUSIVE MODE"
OF_AN_ANSWER: Final = frozenset({"x-request-id", "date"})

A_FILE: Final = "/pages/shared/tokens.css"

addresses = (f"198.51.100.{host}" for host in count(1))


@pytest.fixture(scope="module")
async def ingress(platform: dict[str, Any], services: Services) -> AsyncIterator[Ingress]:
    """Callers are told apart by the address that a proxy says."""
    settings: dict[str, Any] = {
        **{"limit_session_per_s": 0.001, "limit_session_burst": 2},
        **{"limit_address_per_s": 0.001, "limit_address_burst": ADDRESS_BURST},
        **{"trusted_proxies": "127.0.0.0/8", "max_open_bets": ADMITTED},
    }
    async with one_more_ingress(
        services.stack, "cross-origin", game_client_origins=GAMES, **settings
    ) as running:
        yield running


@pytest.fixture
async def browser(ingress: Ingress) -> AsyncIterator[httpx.AsyncClient]:
    """As one sends a page's calls, from an address of its own."""
    headers = {"origin": GAMES, "x-forwarded-for": next(addresses)}
    async with http_client(base_url=ingress.base_url, headers=headers, timeout=HANG_S) as client:
        yield client


def told(answer: httpx.Response) -> set[str]:
    return {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}


def allowed(answer: httpx.Response) -> str | None:
    origin: str | None = answer.headers.get("access-control-allow-origin")
    return origin


@pytest.mark.parametrize("path", FOR_GAMES)
async def test_a_page_reads_answers_also_those_that_refuse(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status_code in (200, 401, 405)
    assert allowed(answer) == GAMES
    assert told(answer) == TOLD
    assert "origin" in answer.headers["vary"].lower()
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_page_reads_that_it_asked_too_often(browser: httpx.AsyncClient, operator: Operator) -> None:
    player = await operator.open_session()
    token = {"authorization": f"Bearer {player.token}"}
    answers = [await browser.get("/v1/game/session", headers=token) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [allowed(answer) for answer in answers] == [GAMES] * 3
    assert "retry-after" in answers[-1].headers


async def test_a_page_reads_refusals_of_the_edge(browser: httpx.AsyncClient) -> None:
    """Which are answered before anything else looks at the call."""
    answers = await asyncio.gather(*(browser.get("/v1/games") for _ in range(FLOOD)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    for answer in refused:
        assert (answer.json()["code"], allowed(answer)) == ("too-many-requests", GAMES)
        assert told(answer) == TOLD
        assert int(answer.headers["retry-after"]) >= 1
    foreign = await browser.get("/v1/games", headers={"origin": FOREIGN})
    assert (foreign.status_code, allowed(foreign)) == (429, None)


async def test_a_page_reads_that_the_casino_is_full(
    ingress: Ingress, platform: dict[str, Any], browser: httpx.AsyncClient, database: Database
) -> None:
    players = await seat_players(platform, ADMITTED + 2)

    async def bet(token: dict[str, str]) -> httpx.Response:
        body = {"round_id": uuid4().hex, "stake": STAKE, "choice": CHOICE}
        return await browser.post("/v1/game/rounds", json=body, headers=token)

    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute(HOLD_ROUNDS)
        betting = [asyncio.create_task(bet(player.headers)) for player in players]
        await until(lambda: _any_done(betting))
    answers = await asyncio.gather(*betting)
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused
    for answer in answers:
        assert answer.status_code in (201, 202, 503)
        assert (allowed(answer), told(answer)) == (GAMES, TOLD)
    assert {answer.json()["code"] for answer in refused} == {"overloaded"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)


async def _any_done(tasks: list[asyncio.Task[httpx.Response]]) -> bool:
    return any(task.done() for task in tasks)


async def test_a_flood_of_preflights_is_limited_and_takes_nothing_from_others(
    ingress: Ingress, browser: httpx.AsyncClient, operator: Operator
) -> None:
    player = await operator.open_session()
    headers = {"origin": GAMES, "x-forwarded-for": next(addresses)}
    flood = [asyncio.create_task(browser.options("/v1/game/rounds", headers=ASKS)) for _ in range(FLOOD)]
    async with http_client(base_url=ingress.base_url, headers=headers, timeout=HANG_S) as other:
        asked = await other.options("/v1/game/session", headers=ASKS)
        read = await other.get("/v1/game/session", headers={"authorization": f"Bearer {player.token}"})
    assert (asked.status_code, read.status_code) == (200, 200)
    statuses = [answer.status_code for answer in await asyncio.gather(*flood)]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) <= ADDRESS_BURST // 20


async def test_a_page_reads_that_its_body_is_too_large(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/v1/game/rounds", content=b"x" * 100_000)
    assert (answer.status_code, allowed(answer)) == (413, GAMES)


@pytest.mark.parametrize("path", OTHERS)
async def test_an_operators_api_is_for_no_page(browser: httpx.AsyncClient, path: str) -> None:
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    for answer in (await browser.get(path), await browser.options(path, headers=asked)):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://games.example", f"{GAMES}.evil.example"])
async def test_a_page_of_another_origin_reads_nothing(browser: httpx.AsyncClient, origin: str) -> None:
    answer = await browser.get("/v1/games", headers={"origin": origin})
    assert allowed(answer) is None
    asked = {"origin": origin, "access-control-request-method": "POST"}
    preflight = await browser.options("/v1/game/rounds", headers=asked)
    assert (preflight.status_code, allowed(preflight)) == (400, None)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"method": "POST", "headers": "authorization, content-type, x-request-id"}, 200),
        ({"method": "GET", "headers": "authorization"}, 200),
        ({"method": "HEAD", "headers": ""}, 200),
        ({"method": "DELETE", "headers": "authorization"}, 400),
        ({"method": "POST", "headers": "x-forwarded-for"}, 400),
    ],
)
async def test_a_browser_asks_first(browser: httpx.AsyncClient, asked: dict[str, str], status: int) -> None:
    headers = {f"access-control-request-{name}": value for name, value in asked.items() if value}
    answer = await browser.options("/v1/game/rounds", headers=headers)
    assert answer.status_code == status
    assert "x-request-id" in answer.headers  # it came in like any call
    if status == 200:
        assert allowed(answer) == GAMES
        assert answer.headers["access-control-max-age"] == "600"


async def test_options_without_a_page_is_a_call_like_any(browser: httpx.AsyncClient) -> None:
    assert (await browser.options("/v1/game/rounds")).status_code == 405


async def test_by_itself_the_page_that_launch_urls_lead_to_may_call(gateway: Gateway) -> None:
    own = str(gateway.http.base_url).rstrip("/")
    assert allowed(await gateway.http.get("/v1/games", headers={"origin": own})) == own
    assert allowed(await gateway.http.get("/v1/games", headers={"origin": GAMES})) is None


async def test_head_is_everywhere_where_get_is(gateway: Gateway, operator: Operator) -> None:
    """With the same status and headers."""
    described = (await gateway.http.get("/openapi.json")).json()["paths"]
    paths = [path.replace("{", "").replace("}", "") for path, calls in described.items() if "get" in calls]
    assert len(paths) > 10
    key = {"authorization": f"Bearer {operator.key}"}
    for path in [*paths, "/healthz", "/openapi.json", "/asyncapi.json", "/v1/games/dice", *PAGES, A_FILE]:
        got, head = await gateway.http.get(path, headers=key), await gateway.http.head(path, headers=key)
        while path == "/readyz" and of_what(head) != of_what(got):  # one of the two has found a service slow
            got, head = await gateway.http.get(path), await gateway.http.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert of_what(head) == of_what(got), path
        assert int(head.headers["content-length"]) > 0
    assert "etag" in (await gateway.http.head(A_FILE)).headers
    assert (await gateway.http.head("/v1/game/rounds", headers=key)).status_code != 201
    assert (await gateway.http.head("/nowhere")).status_code == 404


def of_what(answer: httpx.Response) -> dict[str, str]:
    """The headers that say something of the content."""
    return {name: value for name, value in answer.headers.items() if name not in OF_AN_ANSWER}


async def test_head_of_what_is_known_already_is_what_get_says_of_it(gateway: Gateway) -> None:
    etag = (await gateway.http.get(A_FILE)).headers["etag"]
    got = await gateway.http.get(A_FILE, headers={"if-none-match": etag})
    head = await gateway.http.head(A_FILE, headers={"if-none-match": etag})
    assert (got.status_code, head.status_code) == (304, 304)
    assert of_what(head) == of_what(got)

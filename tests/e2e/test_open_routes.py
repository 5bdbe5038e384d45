"""What needs no key: health, games, the description of the API; and what every answer carries."""

import re
from typing import Any

import httpx
import pytest

from tests.e2e.parties import Gateway, Operator, Player, checked_problem
from tests.support.conditions import until

# What api.md promises of this part of the API.
ROUTES = {
    "GET /healthz", "GET /readyz", "GET /v1/games", "GET /v1/games/{game_id}",
    "GET /v1/game/session", "GET /v1/game/balance", "POST /v1/game/rounds",
    "GET /v1/game/rounds", "GET /v1/game/rounds/{round_id}",
    "POST /v1/operator/sessions", "DELETE /v1/operator/sessions/{session_id}",
    "POST /v1/operator/players/{player_id}/deposits", "GET /v1/operator/players/{player_id}/balance",
    "GET /v1/operator/rounds", "GET /v1/operator/rounds/{round_id}",
}  # fmt: skip


async def test_a_running_house_is_healthy(gateway: Gateway) -> None:
    response = await gateway.http.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_a_running_house_is_ready(gateway: Gateway) -> None:
    async def ready() -> Any:
        response = await gateway.http.get("/readyz")
        return response.status_code == 200 and response.json()

    assert await until(ready) == {"status": "ready", "failing": []}


async def test_the_games_are_listed_and_each_has_its_rules(gateway: Gateway) -> None:
    listed = (await gateway.http.get("/v1/games")).json()["items"]
    assert [game["id"] for game in listed] == ["dice", "fruit-lines", "lucky-fruits"]
    for game in listed:
        described = (await gateway.http.get(f"/v1/games/{game['id']}")).json()
        assert described == game | {"rules": described["rules"]}
        assert described["rules"]


@pytest.mark.parametrize("game_id", ["poker", "DICE", "dice%00", "dice%0A", "%C3%A9", "a" * 64])
async def test_a_game_that_is_not_there_is_not_found(gateway: Gateway, game_id: str) -> None:
    checked_problem(await gateway.http.get(f"/v1/games/{game_id}"), 404, "not-found")


async def test_the_description_names_every_route(gateway: Gateway) -> None:
    described = (await gateway.http.get("/openapi.json")).json()
    found = {f"{verb.upper()} {path}" for path, verbs in described["paths"].items() for verb in verbs}
    assert found >= ROUTES


async def test_every_described_route_that_is_not_open_asks_for_its_own_kind_of_key(gateway: Gateway) -> None:
    described = (await gateway.http.get("/openapi.json")).json()
    asked = 0
    for path, verbs in described["paths"].items():
        for verb, operation in verbs.items():
            if "security" not in operation:
                assert not path.startswith(("/v1/game/", "/v1/operator/")), path
                continue
            concrete = re.sub(r"\{\w+\}", "an-id", path)
            response = await gateway.http.request(verb, concrete)
            checked_problem(response, 401, "unauthenticated")
            asked += 1
    assert asked >= len(ROUTES) - 4


async def test_every_answer_carries_an_id_of_its_own(
    gateway: Gateway, operator: Operator, player: Player
) -> None:
    wager = player.wager()
    answers: list[httpx.Response] = [
        await gateway.http.get("/healthz"),
        await gateway.http.get("/readyz"),
        await gateway.http.get("/openapi.json"),
        await gateway.http.get("/v1/games"),
        await gateway.http.get("/nowhere"),
        await gateway.http.put("/healthz"),
        await gateway.http.head("/healthz"),
        await gateway.http.post("/v1/game/rounds", content=b"x" * 70_000),
        await player.call("POST", "/rounds", json=wager),
        await player.call("POST", "/rounds", json=wager),
        await player.call("POST", "/rounds", content=b"{"),
        await player.call("GET", "/rounds"),
        await operator.call("GET", "/rounds", params={"limit": 1}),
        await operator.call("DELETE", f"/sessions/{player.session_id}"),
    ]
    ids = [answer.headers.get_list("x-request-id") for answer in answers]
    assert all(len(found) == 1 and re.fullmatch("[0-9a-f]{32}", found[0]) for found in ids)
    assert len({found[0] for found in ids}) == len(answers)


async def test_an_answer_begins_with_the_callers_own_request_id_and_is_still_the_only_one(
    gateway: Gateway,
) -> None:
    answers = [await gateway.http.get("/nowhere", headers={"x-request-id": "mine"}) for _ in range(2)]
    ids = [checked_problem(answer, 404, "not-found")["request_id"] for answer in answers]
    assert all(re.fullmatch("mine[.][0-9a-f]{32}", found) for found in ids)
    assert len(set(ids)) == 2

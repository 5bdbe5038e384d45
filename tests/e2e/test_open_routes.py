"""What needs no key: health, games, the description of the API; and what every answer carries."""

import re
from typing import Any

import httpx
import pytest

from tests.e2e.house import House, Operator, Player, checked_problem

# What api.md promises of this part of the API.
ROUTES = {
    "GET /healthz", "GET /readyz", "GET /v1/games", "GET /v1/games/{game_id}",
    "GET /v1/game/session", "GET /v1/game/balance", "POST /v1/game/rounds",
    "GET /v1/game/rounds", "GET /v1/game/rounds/{round_id}",
    "POST /v1/operator/sessions", "DELETE /v1/operator/sessions/{session_id}",
    "POST /v1/operator/players/{player_id}/deposits", "GET /v1/operator/players/{player_id}/balance",
    "GET /v1/operator/rounds", "GET /v1/operator/rounds/{round_id}",
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "answer"),
    [("/healthz", {"status": "ok"}), ("/readyz", {"status": "ready", "failing": []})],
)
async def test_a_running_house_is_healthy_and_ready(house: House, path: str, answer: dict[str, Any]) -> None:
    response = await house.http.get(path)
    assert (response.status_code, response.json()) == (200, answer)


async def test_the_games_are_listed_and_each_has_its_rules(house: House) -> None:
    listed = (await house.http.get("/v1/games")).json()["items"]
    assert [game["id"] for game in listed] == ["dice", "fruit-lines", "lucky-fruits"]
    for game in listed:
        described = (await house.http.get(f"/v1/games/{game['id']}")).json()
        assert described == game | {"rules": described["rules"]}
        assert described["rules"]


@pytest.mark.parametrize("game_id", ["poker", "DICE", "dice%00", "dice%0A", "%C3%A9", "a" * 64])
async def test_a_game_that_is_not_there_is_not_found(house: House, game_id: str) -> None:
    checked_problem(await house.http.get(f"/v1/games/{game_id}"), 404, "not-found")


async def test_the_description_names_every_route(house: House) -> None:
    described = (await house.http.get("/openapi.json")).json()
    found = {f"{verb.upper()} {path}" for path, verbs in described["paths"].items() for verb in verbs}
    assert found >= ROUTES


async def test_every_described_route_that_is_not_open_asks_for_its_own_kind_of_key(house: House) -> None:
    described = (await house.http.get("/openapi.json")).json()
    asked = 0
    for path, verbs in described["paths"].items():
        for verb, operation in verbs.items():
            if "security" not in operation:
                assert not path.startswith(("/v1/game/", "/v1/operator/")), path
                continue
            concrete = re.sub(r"\{\w+\}", "an-id", path)
            response = await house.http.request(verb, concrete)
            checked_problem(response, 401, "unauthenticated")
            asked += 1
    assert asked >= len(ROUTES) - 4


async def test_every_answer_carries_an_id_of_its_own(
    house: House, operator: Operator, player: Player
) -> None:
    wager = player.wager()
    answers: list[httpx.Response] = [
        await house.http.get("/healthz"),
        await house.http.get("/readyz"),
        await house.http.get("/openapi.json"),
        await house.http.get("/v1/games"),
        await house.http.get("/nowhere"),
        await house.http.put("/healthz"),
        await house.http.head("/healthz"),
        await house.http.post("/v1/game/rounds", content=b"x" * 70_000),
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


async def test_an_answer_does_not_echo_a_request_id_of_the_callers_making(house: House) -> None:
    response = await house.http.get("/nowhere", headers={"x-request-id": "mine"})
    assert checked_problem(response, 404, "not-found")["request_id"] != "mine"

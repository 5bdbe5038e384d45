"""Operators come and go over HTTP: made, found, disabled in the middle of a round, enabled again."""

import dataclasses
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.operator.service import KEY_CACHE_S
from tests.e2e.parties import Gateway, Operator, checked_problem
from tests.support.conditions import until


@dataclasses.dataclass(frozen=True, slots=True)
class Platform:
    """Whoever runs the casino, with a key of the scope platform."""

    gateway: Gateway
    key: str = dataclasses.field(repr=False)

    async def call(self, method: str, path: str = "", **request: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}"}
        url = f"/v1/platform/operators{path}"
        return await self.gateway.http.request(method, url, headers=headers, **request)

    async def made(self) -> Operator:
        """A new operator with its first key."""
        operator_id = f"op-{uuid4().hex[:12]}"
        assert (await self.call("POST", json={"operator_id": operator_id})).status_code == 201
        made = await self.call("POST", f"/{operator_id}/keys", json={"scope": "admin"})
        assert made.status_code == 201, made.text
        self.gateway.secrets.append(made.json()["key"])
        return Operator(self.gateway, operator_id, made.json()["key"])

    async def switch(self, operator: Operator, *, enabled: bool) -> dict[str, Any]:
        switched = await self.call("PUT", f"/{operator.operator_id}", json={"enabled": enabled})
        assert switched.status_code == 200, switched.text
        body: dict[str, Any] = switched.json()
        assert body["enabled"] is enabled
        assert (body["disabled_at"] is None) == enabled
        return body


@pytest.fixture(scope="module")
async def platform_(gateway: Gateway) -> Platform:
    return Platform(gateway, await gateway.platform_key())


async def test_an_operator_that_is_made_plays_with_its_first_key(platform_: Platform) -> None:
    operator = await platform_.made()
    player = await operator.open_session(balance=1_000)
    assert (await player.played())["state"] == "settled"
    assert (await operator.call("GET", "/keys")).json()["items"][0]["scope"] == "admin"


async def test_an_operator_is_made_once_by_its_id(platform_: Platform) -> None:
    body = {"operator_id": f"op-{uuid4().hex[:12]}", "name": "Acme Casino"}
    first = await platform_.call("POST", json=body)
    assert first.status_code == 201
    again = await platform_.call("POST", json=body)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    found = await platform_.call("GET", f"/{body['operator_id']}")
    assert first.json() == again.json() == found.json()
    assert (found.json()["name"], found.json()["enabled"]) == ("Acme Casino", True)
    checked_problem(await platform_.call("POST", json={**body, "name": "Another"}), 422, "id-reused")


@pytest.mark.parametrize("operator_id", ["", "a:b", "a.b", "a b", "x" * 65, "ä"])
async def test_an_id_that_could_be_no_word_of_other_ids_is_refused(
    platform_: Platform, operator_id: str
) -> None:
    checked_problem(await platform_.call("POST", json={"operator_id": operator_id}), 422, "invalid")


async def test_who_is_not_there_is_not_found(platform_: Platform) -> None:
    checked_problem(await platform_.call("GET", "/nobody-here"), 404, "not-found")
    checked_problem(await platform_.call("PUT", "/nobody-here", json={"enabled": False}), 404, "not-found")
    checked_problem(
        await platform_.call("POST", "/nobody-here/keys", json={"scope": "game"}), 404, "not-found"
    )


async def test_no_key_of_the_platform_is_made_over_http(platform_: Platform) -> None:
    operator = await platform_.made()
    for refused in (
        await platform_.call("POST", f"/{operator.operator_id}/keys", json={"scope": "platform"}),
        await operator.call("POST", "/keys", json={"scope": "platform"}),
    ):
        checked_problem(refused, 422, "invalid")


async def test_all_operators_are_listed_page_after_page(platform_: Platform) -> None:
    made = {(await platform_.made()).operator_id for _ in range(3)}
    listed: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await platform_.call("GET", params={"limit": "2", **cursor})).json()
        listed += [one["operator_id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert made < set(listed)
    assert len(listed) == len(set(listed))


async def test_a_disabled_operator_takes_no_bet_and_its_keys_only_read(platform_: Platform) -> None:
    operator = await platform_.made()
    player = await operator.open_session(balance=1_000)
    played = await player.played()
    disabled = await platform_.switch(operator, enabled=False)
    assert await platform_.switch(operator, enabled=False) == disabled, "a repeat changes nothing"

    # At once, in the ledger, whatever this process remembers of keys.
    checked_problem(
        await player.call("POST", "/rounds", json=player.wager(uuid4().hex)), 401, "session-expired"
    )
    assert (await player.call("GET", f"/rounds/{played['round_id']}")).status_code == 200
    session = {"player_id": "a-new-one", "game_id": "dice", "currency": "EUR"}
    checked_problem(await operator.call("POST", "/sessions", json=session), 403, "forbidden")

    async def refused() -> bool:
        return (await player.deposit(1)).status_code == 403

    await until(refused, within_s=KEY_CACHE_S + 60)
    assert [found["round_id"] for found in await operator.rounds(state="settled")] == [played["round_id"]]
    assert (
        await operator.call("GET", f"/players/{player.player_id}/balance?currency=EUR")
    ).status_code == 200

    await platform_.switch(operator, enabled=True)

    async def taken() -> bool:
        return (await player.deposit(1)).status_code == 201

    await until(taken, within_s=KEY_CACHE_S + 60)
    again = await operator.open_session(player.player_id)
    assert (await again.played())["state"] == "settled"

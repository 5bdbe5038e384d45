"""The lobby's key opens demo sessions, and nothing else. Without it there is no lobby."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import ValidationError

from runtime.settings import Settings
from tests.conftest import Services
from tests.support.conditions import HANG_S
from tests.support.http import http_client
from tests.support.ingress import one_more_ingress

KEY = "a-secret-of-32-characters-or-more"


def key_of(platform: dict[str, Any]) -> str:
    lobby_url: str = platform["lobby_url"]
    return urlsplit(lobby_url).fragment.removeprefix("key=")


async def asked(base_url: str, key: str | None, **body: Any) -> httpx.Response:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    async with http_client(base_url=base_url, timeout=HANG_S, headers=headers) as http:
        return await http.post("/lobby/sessions", json={"game_id": "dice", **body})


async def test_it_opens_sessions_with_demo_money(platform: dict[str, Any]) -> None:
    opened = await asked(platform["base_url"], key_of(platform))
    assert opened.status_code == 201
    token = urlsplit(opened.json()["launch_url"]).fragment.removeprefix("token=")
    async with http_client(base_url=platform["base_url"], timeout=HANG_S) as http:
        session = await http.get("/v1/game/session", headers={"authorization": f"Bearer {token}"})
    assert session.json()["mode"] == "demo"
    assert session.json()["currency"] == "EUR"


@pytest.mark.parametrize("body", [{"mode": "real"}, {"player_id": "alice"}, {"currency": "USD"}])
async def test_it_takes_no_other_wish(platform: dict[str, Any], body: dict[str, str]) -> None:
    assert (await asked(platform["base_url"], key_of(platform), **body)).status_code == 422


async def test_an_unknown_game_is_not_found(platform: dict[str, Any]) -> None:
    assert (await asked(platform["base_url"], key_of(platform), game_id="none")).status_code == 404


async def test_no_other_key_opens_one_and_it_opens_nothing_else(platform: dict[str, Any]) -> None:
    base_url, key = platform["base_url"], key_of(platform)
    for other in (None, "forged", platform["operator_key"]):
        assert (await asked(base_url, other)).status_code == 401
    async with http_client(base_url=base_url, timeout=HANG_S) as http:
        for path in ("/v1/operator/rounds", "/v1/platform/operators", "/v1/game/session"):
            assert (await http.get(path, headers={"authorization": f"Bearer {key}"})).status_code == 401


async def test_without_a_key_there_is_none(services: Services) -> None:
    async with one_more_ingress(services.stack, "no-lobby") as ingress:
        assert (await asked(ingress.base_url, KEY)).status_code == 404
        async with http_client(base_url=ingress.base_url, timeout=HANG_S) as http:
            assert (await http.get("/lobby")).status_code == 404


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104
def test_it_is_for_this_machine_alone(host: str) -> None:
    with pytest.raises(ValidationError, match="loopback"):
        Settings(http_host=host, lobby_key=KEY)


def test_a_key_is_long() -> None:
    with pytest.raises(ValidationError, match="32"):
        Settings(lobby_key="short")

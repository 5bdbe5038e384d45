"""Addresses as they are set: what listens on `::` answers there, and launch URLs lead to the game client."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import Services
from tests.e2e.parties import Operator
from tests.support.conditions import HANG_S
from tests.support.http import http_client
from tests.support.ingress import one_more_ingress

SESSION = {"player_id": "launched", "game_id": "dice", "currency": "EUR"}


async def opened(base_url: str, operator: Operator) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {operator.key}"}
    async with http_client(base_url=base_url, timeout=HANG_S, trust_env=False) as http:
        answer = await http.post("/v1/operator/sessions", json=SESSION, headers=headers)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    operator.gateway.secrets.append(body["token"])
    return body


async def test_every_address_is_those_of_both_families_and_the_clients_own_query_stays(
    services: Services, operator: Operator
) -> None:
    client_url = "https://games.example/play?lobby=red%20one&v=2"
    settings = {"http_host": "::", "game_client_url": client_url}
    async with one_more_ingress(services.stack, "every-address", **settings) as ingress:
        port = urlsplit(ingress.base_url).port
        bodies = [await opened(f"http://{host}:{port}", operator) for host in ("127.0.0.1", "[::1]")]
    for body in bodies:
        before_fragment, _, fragment = body["launch_url"].partition("#")
        assert before_fragment == f"{client_url}&game=dice"
        assert fragment == f"token={body['token']}"


@pytest.mark.parametrize(
    ("http_host", "host"),
    [("0.0.0.0", "127.0.0.1"), ("::1", "::1"), ("localhost", "localhost")],  # noqa: S104
)
async def test_without_a_game_client_launch_urls_lead_to_where_the_ingress_answers(
    services: Services, operator: Operator, http_host: str, host: str
) -> None:
    async with one_more_ingress(services.stack, "launching", called=host, http_host=http_host) as ingress:
        url = urlsplit((await opened(ingress.base_url, operator))["launch_url"])
    assert (url.hostname, url.port) == (host, urlsplit(ingress.base_url).port)
    assert (url.path, parse_qs(url.query)) == ("/play", {"game": ["dice"]})

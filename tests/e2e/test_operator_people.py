"""People at `/v1/operator` with an access token of the issuer: what counts, and what they may."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from api.oidc.issuer import AGAIN_S
from contracts.actors import ACTOR_LIMIT
from contracts.rounds import RoundState
from storage import operators, rounds
from tests.conftest import Services
from tests.e2e.oidc import issuer_settings, of
from tests.e2e.parties import Gateway, Operator, checked_problem
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ingress import one_more_ingress
from tests.support.issuer import Issuer
from tests.support.provider import API, Provider, served_provider


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[Provider]:
    async with served_provider() as found:
        yield found


@pytest.fixture(scope="module")
async def api(services: Services, gateway: Gateway, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    """An ingress that takes the issuer's tokens."""
    async with (
        one_more_ingress(services.stack, "people", **issuer_settings(provider)) as ingress,
        http_client(base_url=ingress.base_url, timeout=HANG_S) as http,
    ):
        yield http


@pytest.fixture(scope="module")
async def host(gateway: Gateway) -> Operator:
    return await gateway.new_operator()


def good(provider: Provider, host: Operator, scope: str = "operator", **claims: Any) -> str:
    return provider.token(**{"aud": API, "scope": None, **of(host.operator_id, scope), **claims})


async def called(
    api: httpx.AsyncClient, token: str, method: str = "GET", path: str = "/rounds", **more: Any
) -> httpx.Response:
    return await api.request(
        method, f"/v1/operator{path}", headers={"authorization": f"Bearer {token}"}, **more
    )


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in (header, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def with_alg_none(provider: Provider, host: Operator) -> str:
    claims = jwt.decode(good(provider, host), options={"verify_signature": False})
    return unsigned({"alg": "none", "kid": "first"}, claims) + "."


def with_the_public_key_as_secret(provider: Provider, host: Operator) -> str:
    public = (
        provider.keys["first"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    claims = jwt.decode(good(provider, host), options={"verify_signature": False})
    text = unsigned({"alg": "HS256", "typ": "JWT", "kid": "first"}, claims)
    mac = hmac.new(public, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def with_other_claims(provider: Provider, host: Operator) -> str:
    header, _, signature = good(provider, host, scope="game").split(".")
    more = jwt.decode(good(provider, host, scope="admin"), options={"verify_signature": False})
    return ".".join([header, unsigned({}, more).split(".")[1], signature])


FORGERIES: dict[str, Callable[[Provider, Operator], str]] = {
    "two dots": lambda *_: "..",
    "another audience": lambda provider, host: good(provider, host, aud="croupier-codec"),
    "another issuer": lambda provider, host: good(provider, host, iss="https://login.example"),
    "expired": lambda provider, host: good(provider, host, exp=int(time.time()) - 60),
    "not valid yet": lambda provider, host: good(provider, host, nbf=int(time.time()) + 3_600),
    "issued in the future": lambda provider, host: good(provider, host, iat=int(time.time()) + 3_600),
    "without an end": lambda provider, host: good(provider, host, exp=None),
    "without a subject": lambda provider, host: good(provider, host, sub=None),
    "signed by another": lambda provider, host: good(Issuer(provider.url), host),  # type: ignore[arg-type]
    "an unknown key": lambda provider, host: good(provider, host, header={"kid": "nobody"}),
    "no signature": with_alg_none,
    "the public key as secret": with_the_public_key_as_secret,
    "claims changed": with_other_claims,
    "too long": lambda provider, host: good(provider, host, more="x" * 9_000),
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_token_that_is_not_genuine_opens_nothing(
    api: httpx.AsyncClient, provider: Provider, host: Operator, forgery: str
) -> None:
    assert (await called(api, good(provider, host))).status_code == 200
    token = FORGERIES[forgery](provider, host)
    before = await host.books()
    for method, path in (("GET", "/rounds"), ("POST", "/sessions")):
        problem = checked_problem(await called(api, token, method, path), 401, "unauthenticated")
        assert token not in json.dumps(problem)
    assert await host.books() == before


@pytest.mark.parametrize(
    "said",
    [
        {"croupier_operator": None},
        {"croupier_operator": ""},
        {"croupier_operator": 7},
        {"croupier_operator": "of-nobody"},
        {"croupier_scope": None},
        {"croupier_scope": "platform"},
        {"croupier_scope": {"admin": True}},
    ],
    ids=str,
)
async def test_a_token_without_operator_or_scope_is_refused(
    api: httpx.AsyncClient, provider: Provider, host: Operator, said: dict[str, Any]
) -> None:
    checked_problem(await called(api, good(provider, host, **said)), 403, "forbidden")


async def test_scopes_open_what_they_open_for_keys_and_a_game_person_only_reads(
    api: httpx.AsyncClient, provider: Provider, host: Operator
) -> None:
    game, support, admin = (good(provider, host, scope) for scope in ("game", "operator", "admin"))
    session = {"player_id": "p-1", "game_id": "dice", "currency": "EUR"}
    for token, method, path, status in (
        (game, "GET", "/rounds", 200),
        (game, "POST", "/sessions", 403),
        (game, "GET", "/webhooks", 403),
        (support, "POST", "/sessions", 201),
        (support, "GET", "/webhooks", 200),
        (support, "GET", "/keys", 403),
        (admin, "GET", "/keys", 200),
    ):
        body = {"json": session} if path == "/sessions" else {}
        answer = await called(api, token, method, path, **body)
        assert answer.status_code == status, (method, path, answer.text)
    headers = {"authorization": f"Bearer {admin}"}
    assert (await api.get("/v1/platform/operators", headers=headers)).status_code == 403
    assert (await api.get("/v1/game/balance", headers=headers)).status_code == 401


async def test_a_person_sees_and_moves_nothing_of_another_operator(
    api: httpx.AsyncClient, provider: Provider, host: Operator, rival: Operator
) -> None:
    player = await host.open_session(balance=1_000)
    bet = player.stored_bet(uuid4().hex)
    assert (await rounds.reserve(host.gateway.database.pool, bet)).state is RoundState.PENDING
    path, void = f"/rounds/{bet.key.round_id}", {"reason": "r"}
    ben = good(provider, rival, "admin")
    assert (await called(api, ben, path=path)).status_code == 404
    assert (await called(api, ben, "POST", f"{path}/void", json=void)).status_code == 404
    done = await called(
        api, good(provider, host, sub="a\n<b>" + "x" * 300), "POST", f"{path}/void", json=void
    )
    assert done.status_code == 200, done.text
    (decided,) = done.json()["interventions"]
    assert decided["actor"].startswith("oidc:a?<b>xxx")
    assert len(decided["actor"]) == ACTOR_LIMIT


async def test_a_disabled_operators_people_only_read(
    api: httpx.AsyncClient, provider: Provider, gateway: Gateway
) -> None:
    own = await gateway.new_operator()
    token = good(provider, own)
    assert (await called(api, token)).status_code == 200
    await operators.switch(gateway.database.pool, operator_id=own.operator_id, enabled=False)

    async def refused() -> bool:
        body = {"blocked": True}
        return (await called(api, token, "PUT", "/players/p-1", json=body)).status_code == 403

    await until(refused)
    assert (await called(api, token)).status_code == 200


async def test_an_api_without_an_issuer_takes_no_token(
    gateway: Gateway, provider: Provider, host: Operator
) -> None:
    answer = await called(gateway.http, good(provider, host))
    checked_problem(answer, 401, "unauthenticated")


async def test_unknown_keys_make_the_issuer_be_asked_now_and_then(
    api: httpx.AsyncClient, provider: Provider, host: Operator
) -> None:
    assert (await called(api, good(provider, host))).status_code == 200
    before, began_s = provider.reads, time.monotonic()
    for number in range(30):
        token = good(provider, host, header={"kid": f"guess-{number}"})
        assert (await called(api, token)).status_code == 401
    assert provider.reads - before <= 1 + (time.monotonic() - began_s) / AGAIN_S

"""The console at an issuer: how it says who it is, what it takes for an answer, and how long it remembers."""

import base64
import json
import logging
from collections.abc import AsyncIterator, Container, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from api.console.party import BEGUN_LIMIT_S, Begun, Party, SignInRefused
from api.oidc.issuer import Issuer as Published
from api.oidc.issuer import IssuerAway
from api.oidc.people import AccessTokens
from outbound.client import Answer, OutboundClient, Unanswered
from tests.support.issuer import KEYS, Issuer

CLIENT: Final = "the console"
SECRET: Final = "a:secret/of+it"
PERSON: Final[dict[str, Any]] = {"aud": "api", "croupier_operator": "demo", "croupier_scope": "admin"}


class Clock:
    now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


class Asked(OutboundClient):
    """Answers in place of the token endpoint, and keeps what came."""

    def __init__(self) -> None:
        self.answer: Answer | Unanswered = Answer(200, httpx.Headers(), b"{}")
        self.headers: Mapping[str, str] = {}
        self.form: dict[str, list[str]] = {}

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[None]:
        yield

    async def ask(
        self,
        method: str,
        url: str | httpx.URL,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        wanted: Container[int],
        body_limit: int,
    ) -> Answer:
        self.headers, self.form = headers, parse_qs((content or b"").decode())
        if isinstance(self.answer, Unanswered):
            raise self.answer
        return self.answer


@pytest.fixture
def issuer() -> Issuer:
    issuer = Issuer()
    ends = {name: f"{issuer.url}/{name}" for name in ("authorization_endpoint", "token_endpoint")}
    issuer.described = {"issuer": issuer.url, "jwks_uri": issuer.url + KEYS, **ends}
    return issuer


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def party(issuer: Issuer, asked: Asked, clock: Clock, secret: str | None = SECRET) -> Party:
    published = Published(issuer.url, issuer.fetch)
    return Party(
        published,
        asked,
        AccessTokens(
            published, audience="api", operator_claim="croupier_operator", scope_claim="croupier_scope"
        ),
        client_id=CLIENT,
        secret=secret,
        scopes="openid offline_access",
        origin="https://console.example",
        clock=clock,
    )


def came(begun: Begun) -> dict[str, str]:
    """What a browser comes back with."""
    return {"state": parse_qs(urlsplit(begun.url).query)["state"][0], "code": "the-code"}


def tokens(issuer: Issuer, begun: Begun, **more: Any) -> Answer:
    nonce = parse_qs(urlsplit(begun.url).query)["nonce"][0]
    given = {
        "access_token": issuer.token(**PERSON),
        "id_token": issuer.token(aud=CLIENT, nonce=nonce),
        **more,
    }
    return Answer(200, httpx.Headers(), json.dumps(given).encode())


@pytest.mark.parametrize(
    ("secret", "methods", "basic", "named", "sent"),
    [
        (SECRET, None, True, False, False),
        (SECRET, ["client_secret_post", "client_secret_basic"], True, False, False),
        (SECRET, ["client_secret_post"], False, True, True),
        (None, ["client_secret_basic", "none"], False, True, False),
    ],
)
async def test_it_says_who_it_is_as_the_issuer_wants_it(
    issuer: Issuer,
    asked: Asked,
    clock: Clock,
    secret: str | None,
    methods: list[str] | None,
    basic: bool,
    named: bool,
    sent: bool,
) -> None:
    if methods is not None:
        issuer.described["token_endpoint_auth_methods_supported"] = methods
    ours = party(issuer, asked, clock, secret)
    begun = await ours.begin("/console/audit")
    asked.answer = tokens(issuer, begun, refresh_token="later")
    grant, following = await ours.finish(came(begun), begun.sealed)
    assert (grant.person.operator_id, grant.refresh, following) == ("demo", "later", "/console/audit")
    # RFC 6749, 2.3.1: both parts are encoded as in a form.
    pair = base64.b64encode(b"the%20console:a%3Asecret%2Fof%2Bit").decode()
    assert asked.headers.get("authorization") == (f"Basic {pair}" if basic else None)
    assert (asked.form.get("client_id"), asked.form.get("client_secret")) == (
        [CLIENT] if named else None,
        [SECRET] if sent else None,
    )
    assert asked.form["redirect_uri"] == ["https://console.example/console/sign-in/done"]


async def test_a_sign_in_is_remembered_for_its_time_and_by_its_console_alone(
    issuer: Issuer, asked: Asked, clock: Clock
) -> None:
    ours, other = (party(issuer, asked, clock) for _ in range(2))
    begun = await ours.begin("/console/audit")
    asked.answer = tokens(issuer, begun)
    with pytest.raises(SignInRefused, match="not begun in this browser"):
        await other.finish(came(begun), begun.sealed)
    clock.now_s += BEGUN_LIMIT_S
    await ours.finish(came(begun), begun.sealed)
    clock.now_s += 1
    with pytest.raises(SignInRefused, match="older than ten minutes"):
        await ours.finish(came(begun), begun.sealed)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, httpx.Headers()),
        Answer(302, httpx.Headers({"location": "https://evil.example"})),
        Answer(200, httpx.Headers(), b"<html>"),
        Answer(200, httpx.Headers(), b"[]"),
        Answer(400, httpx.Headers(), b"\xff"),
        Unanswered("timeout", "no answer in time", sent=True),
        Unanswered("too-large", "more than is read", sent=True),
    ],
    ids=str,
)
async def test_what_is_no_answer_is_the_issuers_absence(
    issuer: Issuer, asked: Asked, clock: Clock, answer: Answer | Unanswered
) -> None:
    ours = party(issuer, asked, clock)
    begun = await ours.begin("/console/audit")
    asked.answer = answer
    with pytest.raises(IssuerAway):
        await ours.finish(came(begun), begun.sealed)


async def test_a_refusal_is_logged_by_the_protocols_own_words_alone(
    issuer: Issuer, asked: Asked, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    ours = party(issuer, asked, clock)
    begun = await ours.begin("/console/audit")
    caplog.set_level(logging.DEBUG)
    for said in ("invalid_client", "CANARY\nforged line"):
        asked.answer = Answer(401, httpx.Headers(), json.dumps({"error": said}).encode())
        with pytest.raises(SignInRefused, match="did not let you in"):
            await ours.finish(came(begun), begun.sealed)
    assert "the issuer gives no tokens: invalid_client" in caplog.text
    assert "the issuer gives no tokens: 401" in caplog.text
    for secret in ("CANARY", "the-code", SECRET, begun.sealed):
        assert secret not in caplog.text


@pytest.mark.parametrize("address", ["http://login.example/authorize", "javascript:alert(1)", None, 7])
async def test_people_are_led_to_trusted_addresses_alone(
    issuer: Issuer, asked: Asked, clock: Clock, address: Any
) -> None:
    issuer.described["authorization_endpoint"] = address
    with pytest.raises(IssuerAway):
        await party(issuer, asked, clock).begin("/console/audit")


async def test_an_issuer_without_an_end_of_its_sessions_is_not_visited(
    issuer: Issuer, asked: Asked, clock: Clock
) -> None:
    ours = party(issuer, asked, clock)
    assert await ours.farewell() is None
    issuer.described = {**issuer.described, "end_session_endpoint": f"{issuer.url}/end?realm=casino"}
    there = await party(issuer, asked, clock).farewell()
    assert there is not None
    assert there.startswith(f"{issuer.url}/end?realm=casino&client_id=the+console&post_logout_redirect_uri=")
    issuer.away = True
    assert await party(issuer, asked, clock).farewell() is None

"""People sign in to the console at an issuer: who gets in, how it may go wrong, and who is on record."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from tests.conftest import Services
from tests.e2e.oidc import PERSON, House, house, issuer_settings, of
from tests.e2e.parties import Gateway, Operator
from tests.support.conditions import until
from tests.support.console import console_server, one_more_console, person
from tests.support.http import http_client
from tests.support.issuer import Issuer
from tests.support.provider import CLIENT

ARRIVED = 'http-equiv="refresh"'


@pytest.fixture(scope="module")
async def served(services: Services, gateway: Gateway) -> AsyncIterator[House]:
    async with house(services.stack, "oidc") as found:
        yield found


@pytest.fixture
def at(served: House, host: Operator) -> House:
    """Whoever is asked to sign in is of the support of `host`, unless a test changes that."""
    provider = served.provider
    provider.person, provider.access, provider.identity = of(host.operator_id), {}, {}
    provider.lasts_s, provider.refreshes, provider.away = 300, True, False
    return served


@pytest.fixture(scope="module")
async def host(gateway: Gateway) -> Operator:
    return await gateway.new_operator()


def problem_in(answer: httpx.Response) -> str:
    """What the sign-in page says is wrong."""
    assert 'role="alert"' in answer.text, answer.text
    return answer.text.partition('role="alert">')[2].partition("</p>")[0]


async def test_a_person_signs_in_decides_and_is_on_record_by_name(at: House, host: Operator) -> None:
    player = await host.open_session(balance=1_000)
    round_id = await player.held()
    async with person(at.console) as anna:
        assert f"Sign in at {urlsplit(at.provider.url).netloc}" in (await anna.get("/sign-in")).text
        began = await anna.to_issuer(f"/console/rounds/{round_id}")
        (cookie,) = began.headers.get_list("set-cookie")
        sent = "Max-Age=600; Path=/console/sign-in; Secure; HttpOnly; SameSite=Lax"
        assert cookie.startswith("croupier_sign_in_")
        assert cookie.partition("; ")[2] == sent
        asked = parse_qs(urlsplit(began.headers["location"]).query)
        assert asked["scope"] == ["openid"]
        assert "code_verifier" not in asked
        arrived = await anna.from_issuer(at.provider.signed_in(began.headers["location"]))
        assert (arrived.status_code, ARRIVED in arrived.text) == (200, True)
        assert f"url=/console/rounds/{round_id}" in arrived.text
        assert arrived.headers["referrer-policy"] == "origin"
        session, ended = arrived.headers.get_list("set-cookie")
        assert session.partition("; ")[2] == "Path=/console; Secure; HttpOnly; SameSite=Strict"
        assert ended == f"{cookie.partition('=')[0]}=; Max-Age=0; {sent.partition('; ')[2]}"
        page = await anna.get(f"/rounds/{round_id}")
        assert f"oidc:{PERSON}, support" in page.text
        form = {"player_id": player.player_id, "mode": "real", "action": "void", "reason": "ticket 1"}
        path, form["csrf"] = f"/rounds/{round_id}/decide", await anna.csrf(f"/rounds/{round_id}")
        assert f"oidc:{PERSON}</dd>" in (await anna.post(path, form)).text
        done = await anna.post(path, {**form, "confirmed": "yes"})
        assert done.status_code == 303, done.text
        assert f"oidc:{PERSON}" in (await anna.get("/audit")).text
        assert round_id in (await anna.get(f"/audit?actor=oidc:{PERSON}")).text
    (decided,) = (await host.call("GET", f"/rounds/{round_id}")).json()["interventions"]
    assert (decided["actor"], decided["verdict"]) == (f"oidc:{PERSON}", "accepted")


async def test_who_signs_out_is_led_to_the_end_of_the_issuers_session(at: House) -> None:
    async with person(at.console) as anna:
        await anna.sign_in_at(at.provider)
        left = await anna.post("/sign-out", {"csrf": await anna.csrf()})
        there = left.text.partition("0; url=")[2].partition('"')[0].replace("&amp;", "&")
        assert urlsplit(there).path == "/casino/end"
        assert parse_qs(urlsplit(there).query).keys() == {"client_id", "post_logout_redirect_uri"}
        assert (await anna.http.get(there)).headers["location"] == f"{at.console}/sign-in"
        assert (await anna.get("/rounds")).status_code == 303


async def test_the_role_is_the_scope_that_the_issuer_says(at: House, host: Operator) -> None:
    player = await host.open_session(balance=1_000)
    round_id = await player.held()
    form = {
        "player_id": player.player_id,
        "mode": "real",
        "action": "void",
        "reason": "r",
        "confirmed": "yes",
    }
    for said, role in (("game", "viewer"), ("openid operator", "support"), (["game", "admin"], "admin")):
        at.provider.person = of(host.operator_id) | {"croupier_scope": said}
        async with person(at.console) as ben:
            await ben.sign_in_at(at.provider)
            page = await ben.get(f"/rounds/{round_id}")
            assert f"oidc:{PERSON}, {role}" in page.text
            assert ("You only read here" in page.text) == (role == "viewer")
            if role == "viewer":
                sent = await ben.post(f"/rounds/{round_id}/decide", {**form, "csrf": await ben.csrf()})
                assert sent.status_code == 403
    assert (await host.call("GET", f"/rounds/{round_id}")).json()["state"] == "pending"
    assert (await host.call("POST", f"/rounds/{round_id}/void", json={"reason": "end"})).status_code == 200


@pytest.mark.parametrize(
    ("said", "status", "why"),
    [
        ({"croupier_operator": None}, 403, "croupier_operator names no operator"),
        ({"croupier_operator": ["a", "b"]}, 403, "croupier_operator names no operator"),
        ({"croupier_operator": "x" * 65}, 403, "croupier_operator names no operator"),
        ({"croupier_operator": "of-nobody"}, 403, "an operator that there is not"),
        ({"croupier_scope": None}, 403, "croupier_scope has none of the words"),
        ({"croupier_scope": "administrator platform"}, 403, "croupier_scope has none of the words"),
        ({"aud": "another-api"}, 401, "does not belong to this sign-in"),
        ({"iss": "https://login.example/other"}, 401, "does not belong to this sign-in"),
        ({"sub": "somebody-else"}, 401, "does not belong to this sign-in"),
        ({"exp": 1_700_000_000}, 401, "does not belong to this sign-in"),
    ],
    ids=str,
)
async def test_an_access_token_that_does_not_count_signs_nobody_in(
    at: House, said: dict[str, Any], status: int, why: str
) -> None:
    at.provider.access = said
    async with person(at.console) as mallory:
        answer = await mallory.sign_in_at(at.provider)
        assert (answer.status_code, mallory.cookie) == (status, {})
        assert why in problem_in(answer)


@pytest.mark.parametrize(
    "said",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"iss": "https://login.example/other"},
        {"exp": 1_700_000_000},
        {"sub": "somebody-else"},
        {"header": {"kid": "nobody"}},
    ],
    ids=str,
)
async def test_an_id_token_of_another_sign_in_signs_nobody_in(at: House, said: dict[str, Any]) -> None:
    at.provider.identity = said
    async with person(at.console) as mallory:
        answer = await mallory.sign_in_at(at.provider)
        assert (answer.status_code, mallory.cookie) == (401, {})
        assert "does not belong to this sign-in" in problem_in(answer)


async def test_what_was_not_begun_in_this_browser_signs_nobody_in(at: House) -> None:
    async with person(at.console) as anna, person(at.console) as mallory:
        began = await anna.to_issuer()
        stolen = at.provider.signed_in((await mallory.to_issuer()).headers["location"])
        mallorys_cookies = dict(mallory.cookie)
        mallory.cookie.clear()
        annas = at.provider.signed_in(began.headers["location"])
        state = parse_qs(urlsplit(annas).query)["state"][0]
        forged = annas.replace(state, state[:12] + "x" * (len(state) - 12))
        bare = annas.partition("?")[0]
        for browser, address in (
            (anna, stolen),
            (anna, forged),
            (anna, annas.replace(state, "")),
            (anna, f"{bare}?state=%F0%9F%8E%B2&code=x"),
            (anna, bare),
            (mallory, annas),
        ):
            answer = await browser.from_issuer(address)
            assert answer.status_code == 401, address
            assert "not begun in this browser" in problem_in(answer)
        assert "croupier_console" not in anna.cookie
        # A cookie that nobody sealed here, and one of another sign-in under this one's name.
        name = f"croupier_sign_in_{state[:12]}"
        for sealed in ("x", "gAAAAA==", *mallorys_cookies.values()):
            mallory.cookie[name] = sealed
            assert (await mallory.from_issuer(annas)).status_code == 401


async def test_a_code_counts_once_and_with_its_own_verifier_alone(at: House) -> None:
    async with person(at.console) as anna:
        began = await anna.to_issuer()
        kept, address = dict(anna.cookie), at.provider.signed_in(began.headers["location"])
        assert (await anna.from_issuer(address)).status_code == 200
        anna.cookie.update(kept)
        again = await anna.from_issuer(address)
        assert (again.status_code, "did not let you in" in problem_in(again)) == (401, True)
        other = await anna.to_issuer()
        theirs = at.provider.signed_in((await anna.to_issuer()).headers["location"])
        mine = at.provider.signed_in(other.headers["location"])
        my_code, their_code = (parse_qs(urlsplit(one).query)["code"][0] for one in (mine, theirs))
        assert (await anna.from_issuer(mine.replace(my_code, their_code))).status_code == 401


async def test_a_refusal_and_another_issuers_answer_sign_nobody_in(at: House) -> None:
    async with person(at.console) as anna:
        state = parse_qs(urlsplit((await anna.to_issuer()).headers["location"]).query)["state"][0]
        query = httpx.QueryParams(state=state, error="access_denied", error_description="<b>text</b>")
        denied = await anna.from_issuer(f"{at.console}/sign-in/done?{query}")
        assert (denied.status_code, "did not let you in" in problem_in(denied)) == (401, True)
        assert "text" not in problem_in(denied)
        led = at.provider.signed_in((await anna.to_issuer()).headers["location"])
        mixed = await anna.from_issuer(led.replace(quote(at.provider.url, safe=""), "https://login.example"))
        assert (mixed.status_code, "does not belong" in problem_in(mixed)) == (401, True)
        assert anna.cookie == {}


async def test_two_tabs_sign_in_beside_each_other(at: House, host: Operator) -> None:
    async with person(at.console) as anna:
        first = await anna.to_issuer("/console/audit")
        second = await anna.to_issuer("/console/players")
        for began, page in ((first, "/console/audit"), (second, "/console/players")):
            arrived = await anna.from_issuer(at.provider.signed_in(began.headers["location"]))
            assert f"url={page}" in arrived.text
        assert anna.cookie.keys() == {"croupier_console"}
        assert (await anna.get("/rounds")).status_code == 200


@pytest.mark.parametrize(
    "following",
    [
        "https://evil.example/console/rounds",
        "//evil.example",
        "/console//evil.example",
        "/console/..//evil.example",
        "/console/%2f%2fevil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/console/rounds\r\nlocation: https://evil.example",
        "/console/" + "x" * 4_000,
        "/v1/operator/rounds",
    ],
)
async def test_no_address_leads_out_of_the_console(at: House, following: str) -> None:
    async with person(at.console) as anna:
        arrived = await anna.sign_in_at(at.provider, following)
        assert 'content="0; url=/console/rounds"' in arrived.text


async def test_a_token_that_ends_is_renewed_and_the_role_follows(at: House, host: Operator) -> None:
    at.provider.lasts_s = 10  # so soon that each page renews it
    async with person(at.console) as anna:
        await anna.sign_in_at(at.provider)
        pages = await asyncio.gather(*(anna.get("/rounds") for _ in range(5)))
        assert [page.status_code for page in pages] == [200] * 5
        at.provider.person = of(host.operator_id, "game")
        assert f"oidc:{PERSON}, viewer" in (await anna.get("/rounds")).text
        at.provider.person = of("of-another")
        assert (await anna.get("/rounds")).status_code == 303


async def test_a_session_ends_with_its_token(at: House) -> None:
    async with person(at.console) as anna, person(at.console) as ben:
        at.provider.lasts_s = -1  # within what clocks may differ by
        await ben.sign_in_at(at.provider)
        at.provider.refreshes = False
        await anna.sign_in_at(at.provider)
        assert (await anna.get("/rounds")).headers["location"].startswith("/console/sign-in?")
        assert (await ben.get("/rounds")).status_code == 200
        at.provider.refresh.clear()
        assert (await ben.get("/rounds")).status_code == 303


async def test_a_session_that_cannot_be_renewed_now_waits_and_can_be_left(at: House) -> None:
    at.provider.lasts_s = -1  # within what clocks may differ by
    async with person(at.console) as anna:
        await anna.sign_in_at(at.provider)
        csrf = await anna.csrf()
        at.provider.away = True
        waits = await anna.get("/rounds")
        assert (waits.status_code, "has to be renewed" in waits.text) == (503, True)
        at.provider.away = False
        assert (await anna.get("/rounds")).status_code == 200
        at.provider.away = True
        assert (await anna.post("/sign-out", {"csrf": "another"})).status_code == 403
        left = await anna.post("/sign-out", {"csrf": csrf})
        assert "croupier_console=; Max-Age=0" in left.headers["set-cookie"]
        at.provider.away = False
        assert (await anna.get("/rounds")).status_code == 303


async def test_while_the_issuer_is_away_keys_open_and_tokens_that_last_count(
    services: Services, gateway: Gateway, host: Operator
) -> None:
    async with house(services.stack, "oidc-away") as at:
        at.provider.person, at.provider.away = of(host.operator_id), True
        async with person(at.console, host.key) as ben, person(at.console) as anna:
            began = await anna.to_issuer("/console/audit")
            assert (began.status_code, "does not answer" in problem_in(began)) == (503, True)
            assert 'value="/console/audit"' in began.text
            assert (await ben.get("/rounds")).status_code == 200
            token = at.provider.tokens(at.provider.person)["access_token"]
            async with http_client(base_url=at.api) as api:
                refused = await api.get("/v1/operator/rounds", headers={"authorization": f"Bearer {token}"})
                assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
                key = {"authorization": f"Bearer {host.key}"}
                assert (await api.get("/v1/operator/rounds", headers=key)).status_code == 200


async def test_the_issuers_newest_key_counts(services: Services, host: Operator) -> None:
    async with house(services.stack, "oidc-rotates") as at, person(at.console) as anna:
        at.provider.person = of(host.operator_id)
        assert (await anna.sign_in_at(at.provider)).status_code == 200
        old = at.provider.tokens(at.provider.person)["access_token"]
        at.provider.keys = {"second": Issuer().keys["first"]}

        async def signed_in() -> bool:
            return (await anna.sign_in_at(at.provider)).status_code == 200

        await until(signed_in)
        assert (await anna.get("/rounds")).status_code == 200
        async with http_client(base_url=at.api) as api:
            refused = await api.get("/v1/operator/rounds", headers={"authorization": f"Bearer {old}"})
        assert refused.status_code == 401


async def test_two_operators_people_never_see_each_others_rounds(
    at: House, host: Operator, rival: Operator
) -> None:
    mine = (await (await host.open_session(balance=1_000)).played())["round_id"]
    async with person(at.console) as anna, person(at.console) as ben:
        await anna.sign_in_at(at.provider)
        at.provider.person = of(rival.operator_id, "admin")
        await ben.sign_in_at(at.provider)
        assert (await anna.get(f"/rounds/{mine}")).status_code == 200
        assert (await ben.get(f"/rounds/{mine}")).status_code == 404
        assert mine not in (await ben.get("/rounds")).text


async def test_tokens_and_codes_are_in_no_page_address_or_log(at: House) -> None:
    async with person(at.console) as anna:
        began = await anna.to_issuer()
        answers = [began, await anna.from_issuer(at.provider.signed_in(began.headers["location"]))]
        answers += [await anna.get(path) for path in ("/rounds", "/audit", "/players", "/nothing")]
        answers.append(await anna.post("/sign-out", {"csrf": await anna.csrf()}))
        answers.append(await anna.from_issuer(f"{at.console}/sign-in/done?state=x&code=CANARY-CODE"))
    given = [*at.provider.given, "CANARY-CODE", at.provider.secret]
    assert len(given) > 5
    for answer in answers:
        shown = answer.text + str(answer.headers)
        assert [one for one in given if one in shown] == []
    logged = at.logged()
    assert logged
    assert [one for one in given if one in logged] == []


async def test_an_api_without_the_issuer_signs_nobody_in(
    at: House, services: Services, gateway: Gateway
) -> None:
    settings = issuer_settings(at.provider) | {"console_api_url": str(gateway.http.base_url).rstrip("/")}
    client = {"console_oidc_client_id": CLIENT, "console_oidc_client_secret": at.provider.secret}
    async with one_more_console(services.stack, "oidc-alone", **settings | client) as url:
        at.provider.redirects.add(f"{url}/sign-in/done")
        async with person(url) as anna:
            answer = await anna.sign_in_at(at.provider)
            assert (answer.status_code, anna.cookie) == (503, {})
            assert "The API takes no tokens of this issuer" in problem_in(answer)


async def test_a_console_without_an_issuer_has_no_such_way(services: Services) -> None:
    async with console_server(services.stack) as url, person(url) as anna:
        assert "with your account" not in (await anna.get("/sign-in")).text
        assert (await anna.to_issuer()).status_code == 404
        assert (await anna.from_issuer(f"{url}/sign-in/done?code=x&state=y")).status_code == 404

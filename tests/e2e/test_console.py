"""The console as a program beside the stack: who gets in, who stays in, and whose forms are taken."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.conftest import Services
from tests.e2e.parties import Gateway, Operator
from tests.support.conditions import until
from tests.support.console import person

LIMITS = {"max_stake": 500, "loss_limit": 900, "max_session_s": 3_600}
REASON = 'ticket 1 "><script>alert(1)</script>'


@pytest.fixture(scope="module")
async def host(gateway: Gateway) -> Operator:
    return await gateway.new_operator()


async def test_a_key_begins_a_session_that_its_cookie_alone_opens(
    console: str, host: Operator, services: Services
) -> None:
    async with person(console) as anna:
        away = await anna.get("/rounds?state=void&from=2026-11-27T19:30")
        assert (away.status_code, away.headers["location"]) == (
            303,
            "/console/sign-in?next=%2Fconsole%2Frounds%3Fstate%3Dvoid%26from%3D2026-11-27T19%3A30",
        )
        answer = await anna.sign_in(host.key, next="/console/rounds?state=void&from=2026-11-27T19:30")
        assert answer.headers["location"] == "/console/rounds?state=void&from=2026-11-27T19:30"
        attributes = answer.headers["set-cookie"].split("; ")[1:]
        assert attributes == ["Path=/console", "Secure", "HttpOnly", "SameSite=Strict"]
        page = await anna.get("/rounds?state=void")
        assert page.status_code == 200
        assert host.operator_id in page.text
        assert "support" in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert page.headers["cache-control"] == "no-store"
        secret = next(iter(anna.cookie.values()))
        assert (await anna.post("/sign-out", {"csrf": await anna.csrf()})).status_code == 303
        anna.cookie["croupier_console"] = secret
        assert (await anna.get("/rounds")).status_code == 303
        for page_ in (away, answer, page):
            assert host.key not in page_.text
            assert host.key not in str(page_.headers)
    log = services.stack.layout.log_of("console").read_text()
    assert host.key not in log
    assert secret not in log


async def test_what_opens_nothing_at_the_api_opens_nothing_here(
    console: str, host: Operator, gateway: Gateway
) -> None:
    over = await gateway.new_key(host.operator_id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    forged = host.key[:-4] + ("AAAA" if host.key[-4:] != "AAAA" else "BBBB")
    async with person(console) as anna:
        for key, status in (
            (over, 401),
            (forged, 401),
            ("", 401),
            ("<b>", 401),
            (await gateway.platform_key(), 403),
        ):
            answer = await anna.sign_in(key)
            assert (answer.status_code, anna.cookie) == (status, {}), answer.text
            assert 'role="alert"' in answer.text
            assert "<b>" not in answer.text


async def test_a_session_ends_with_its_key(console: str, host: Operator, gateway: Gateway) -> None:
    key = await gateway.new_key(host.operator_id)
    async with person(console, key) as anna, person(console, host.key) as ben:
        assert (await anna.get("/rounds")).status_code == 200
        await gateway.revoke(key)
        assert (await anna.get("/rounds")).status_code == 303
        assert (await ben.get("/rounds")).status_code == 200
        anna.cookie["croupier_console"] = "of-nobody"
        assert (await anna.get("/rounds")).status_code == 303


async def test_a_form_is_taken_from_the_sessions_own_pages_alone(console: str, host: Operator) -> None:
    player = await host.open_session(balance=1_000)
    round_id = await player.held()
    path = f"/rounds/{round_id}/decide"
    async with person(console, host.key) as anna, person(console, host.key) as ben:
        form = {
            "player_id": player.player_id,
            "mode": "real",
            "action": "void",
            "reason": "r",
            "confirmed": "yes",
        }
        right = {**form, "csrf": await anna.csrf()}
        wrong = [
            await anna.post(path, form),
            await anna.post(path, {**form, "csrf": await ben.csrf()}),
            await anna.post(path, right, origin="https://evil.example"),
            await anna.post(path, right, origin="null"),
            await anna.post(path, right, origin="http://["),
            await anna.http.post(f"{console}{path}", data=right, headers=anna._cookies()),
            await anna.post("/sign-out", {}),
        ]
        assert [answer.status_code for answer in wrong] == [403] * 7
        anna.cookie.clear()
        late = await anna.post(path, {**right, "reason": REASON}, referer=f"{console}/rounds/{round_id}")
        assert (late.status_code, "Nothing was done" in late.text) == (401, True)
        assert "ticket 1 &#34;&gt;&lt;script&gt;" in late.text
        assert f'href="/console/sign-in?next=%2Fconsole%2Frounds%2F{round_id}"' in late.text
        for back in ("https://evil.example/", "https://[", "//evil.example", "javascript:alert(1)"):
            led = await anna.post(path, {**right, "back": back})
            assert (led.status_code, 'href="/console/sign-in?next=%2Fconsole"' in led.text) == (401, True)
        login = await ben.post("/sign-in", {"key": host.key}, origin="https://evil.example")
        assert login.status_code == 403
        for method in ("PUT", "DELETE"):
            refused = await ben.http.request(method, f"{console}/rounds")
            assert (refused.status_code, set(refused.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
        large = await ben.post(path, {**right, "reason": "x" * 20_000})
        assert large.status_code == 413
    assert (await host.call("GET", f"/rounds/{round_id}")).json()["state"] == "pending"
    assert (await host.call("POST", f"/rounds/{round_id}/void", json={"reason": "end"})).status_code == 200


async def test_a_person_decides_with_a_reason_and_is_on_record(
    console: str, host: Operator, gateway: Gateway
) -> None:
    player = await host.open_session(balance=1_000)
    round_id = await player.held()
    reads = await gateway.new_key(host.operator_id, scope="game")
    form = {"player_id": player.player_id, "mode": "real", "action": "void", "reason": REASON}
    path = f"/rounds/{round_id}"
    async with person(console, reads) as viewer:
        page = await viewer.get(path)
        assert "You only read here" in page.text
        assert "decide" not in re.findall(r'action="([^"]+)"', page.text)[-1]
        refused = await viewer.post(
            f"{path}/decide", {**form, "confirmed": "yes", "csrf": await viewer.csrf()}
        )
        assert refused.status_code == 403
    async with person(console, host.key) as anna:
        form["csrf"] = await anna.csrf(path)
        previewed = await anna.post(f"{path}/decide", form)
        assert (previewed.status_code, "The hold is released" in previewed.text) == (200, True)
        assert (await host.call("GET", path)).json()["state"] == "pending"
        done = await anna.post(f"{path}/decide", {**form, "confirmed": "yes"})
        assert done.status_code == 303, done.text

        async def void() -> httpx.Response | None:
            found = await anna.get(path)
            return found if "void: voided-by-operator" in found.text else None

        shown = await until(void)
        assert shown is not None
        assert f"key:{host.key.split('_')[1]}" in shown.text
        assert "<script" not in shown.text
        assert "&lt;script&gt;" in shown.text
        again = await anna.post(f"{path}/decide", {**form, "confirmed": "yes"})
        assert (again.status_code, "that is final" in again.text) == (409, True)
    record = (await host.call("GET", path)).json()
    assert [(one["reason"], one["verdict"]) for one in record["interventions"]] == [
        (REASON, "accepted"),
        (REASON, "refused"),
    ]


async def test_two_operators_never_see_each_others_rounds(
    console: str, host: Operator, rival: Operator
) -> None:
    player = await host.open_session(balance=1_000)
    mine = (await player.played())["round_id"]
    demo = (await (await host.open_session(player.player_id, mode="demo")).played())["round_id"]
    async with person(console, host.key) as anna, person(console, rival.key) as ben:
        for round_id, mode in ((mine, "real"), (demo, "demo")):
            query = f"?player_id={player.player_id}&mode={mode}"
            assert (await anna.get(f"/rounds/{round_id}")).status_code == 200
            assert (await anna.get(f"/rounds/{round_id}{query}")).status_code == 200
            for path in (f"/rounds/{round_id}", f"/rounds/{round_id}{query}"):
                assert (await ben.get(path)).status_code == 404
            for path in (f"/rounds{query}", f"/rounds.csv{query}", f"/rounds?mode={mode}"):
                assert round_id in (await anna.get(path)).text
                assert round_id not in (await ben.get(path)).text
        form = {
            "player_id": player.player_id,
            "mode": "real",
            "action": "void",
            "reason": "r",
            "confirmed": "yes",
        }
        sent = await ben.post(f"/rounds/{mine}/decide", {**form, "csrf": await ben.csrf()})
        assert sent.status_code == 404


async def test_what_there_is_not_is_a_page_too(console: str, host: Operator) -> None:
    async with person(console, host.key) as anna:
        for path, status in (
            ("/nothing", 404),
            ("/files/nothing.css", 404),
            ("/rounds?state=x", 400),
            ("/rounds?currency=eur", 400),
            ("/rounds?from=2026-11-27T19:30&to=2026-11-27T19:30", 400),
            ("/rounds?mode=x", 400),
            ("/rounds/x?mode=x", 400),
            ("/rounds/x", 404),
        ):
            answer = await anna.get(path)
            assert (answer.status_code, "<h1>" in answer.text) == (status, True), path
        style = await anna.get("/files/console.css")
        assert style.headers["content-type"].startswith("text/css")
        same = await anna.get("/files/console.css", **{"if-none-match": style.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        other = await anna.get("/files/console.css", **{"if-none-match": '"x"'})
        assert (other.status_code, other.content) == (200, style.content)
        assert (await anna.http.head(f"{console}/sign-in")).status_code == 200
        link = await anna.http.get(f"{console}/rounds/r-1", headers={"sec-fetch-site": "cross-site"})
        assert (link.status_code, 'content="0; url=/console/rounds/r-1"' in link.text) == (200, True)


async def test_a_player_is_blocked_and_let_play_again_through_the_api(
    console: str, host: Operator, gateway: Gateway
) -> None:
    player = await host.open_session(balance=1_000, limits=LIMITS)
    path = f"/players/{player.player_id}"
    async with person(console, host.key) as anna:
        page = await anna.get(path)
        assert (
            "stakes up to 5.00 EUR; loses up to 9.00 EUR, and has lost 0.00 EUR; lasts up to 3600 s"
            in page.text
        )
        form = {"mode": "real", "reason": "ticket 7", "csrf": await anna.csrf()}
        unsaid = await anna.post(f"{path}/switch", {**form, "blocked": "yes", "reason": " "})
        assert (unsaid.status_code, "Give a reason" in unsaid.text) == (422, True)
        assert (await anna.post(f"{path}/switch", {**form, "blocked": "yes"})).status_code == 303
        assert "Blocked: every new bet is refused" in (await anna.get(path)).text
        assert (await player.bet()).json()["code"] == "player-blocked"
        assert (await anna.post(f"{path}/switch", {**form, "blocked": "no"})).status_code == 303
        assert (await player.bet()).status_code == 201
        log = (await anna.get("/audit")).text
        assert log.count("ticket 7") == 2
        assert (await anna.post(f"{path}/switch", {"mode": "real", "blocked": "yes"})).status_code == 403
    async with person(console, await gateway.new_key(host.operator_id, scope="game")) as viewer:
        assert "Block the player" not in (await viewer.get(path)).text
        sent = await viewer.post(f"{path}/switch", {"blocked": "yes", "csrf": await viewer.csrf()})
        assert sent.status_code == 403

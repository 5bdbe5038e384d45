"""The console's pages of webhooks and keys: what is done there is done by the API, by whoever may, and is on
record."""

import html
import re
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import pytest

from api.console.webhooks import REPLAYED
from contracts.audit import AuditEntry
from storage import audit, rounds
from tests.conftest import Services
from tests.e2e.parties import Gateway, Operator
from tests.support.conditions import until
from tests.support.console import Person, person
from tests.support.receiver import Receiver, receiving

MARKUP: Final = '"><img src=x onerror=alert(1)>'
KEY: Final = re.compile(r"crk_[0-9a-f]{16}_[A-Za-z0-9_-]{43}")


@pytest.fixture
async def host(gateway: Gateway) -> AsyncIterator[Operator]:
    """An operator of the test alone, with a key that does all."""
    made = await gateway.new_operator()
    yield Operator(gateway, made.operator_id, await gateway.new_key(made.operator_id, scope="admin"))
    await made.forget_webhooks()


async def new_webhook(operator: Operator, receiver: Receiver) -> str:
    body = {"url": receiver.url, "types": ["round.settled"]}
    made = (await operator.call("POST", "/webhooks", json=body)).json()
    receiver.secrets.append(made["secret"])
    return str(made["webhook_id"])


async def dead(operator: Operator, webhook_id: str) -> str:
    """A round whose event is given up; the event's id."""
    await (await operator.open_session(balance=1_000)).played()

    async def given_up() -> bool:
        return bool((await operator.call("GET", f"/webhooks/{webhook_id}")).json()["dead"])

    await until(given_up)
    page = (await operator.call("GET", f"/webhooks/{webhook_id}/dead")).json()
    return str(page["items"][0]["event_id"])


async def entries(operator: Operator) -> list[AuditEntry]:
    """Of its own key, newest first."""
    actor = f"key:{operator.key.split('_')[1]}"
    pool = operator.gateway.database.pool
    return await audit.listed(pool, operator_id=operator.operator_id, actor=actor, limit=100)


async def confirmed(who: Person, path: str, form: dict[str, str]) -> Any:
    """Asks, sees the page that asks back, and confirms it as its own form does."""
    asked = await who.post(path, {**form, "csrf": await who.csrf("/webhooks")})
    assert (asked.status_code, 'name="confirmed"' in asked.text) == (200, True), asked.text
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', asked.text)
    return await who.post(path, {name: html.unescape(value) for name, value in fields})


async def test_a_dead_event_is_found_read_and_replayed(console: str, host: Operator) -> None:
    async with receiving(otherwise=503, says=b"<b>down</b> for a while") as receiver:
        webhook_id = await new_webhook(host, receiver)
        event_id = await dead(host, webhook_id)
        path = f"/webhooks/{webhook_id}"
        async with person(console, host.key) as anna:
            listed = (await anna.get("/webhooks")).text
            assert f'href="/console/webhooks/{webhook_id}"' in listed
            shown = (await anna.get(path)).text
            assert f"{path}/deliveries/{event_id}" in shown
            assert "given up" in shown
            delivery = (await anna.get(f"{path}/deliveries/{event_id}")).text
            body = html.unescape(re.findall(r"<pre[^>]*>(.+)</pre>", delivery, re.DOTALL)[0])
            assert f'"id": "{event_id}"' in body
            assert "status-503: &lt;b&gt;down&lt;/b&gt; for a while" in delivery
            assert "<b>down" not in delivery + shown + listed
            assert receiver.secrets[0] not in delivery + shown + listed
            receiver.otherwise = 204
            asked = {"act": "replay", "event_id": event_id}
            before = len(receiver.received)
            told = await anna.post(f"{path}/act", {**asked, "csrf": await anna.csrf(path)})
            assert (told.status_code, len(receiver.received)) == (200, before), "nothing before the yes"
            done = await confirmed(anna, f"{path}/act", asked)
            assert done.headers["location"] == f"/console{path}"
            said = [REPLAYED in (await anna.get(path)).text for _ in range(2)]
            assert said == [True, False], "it is said once"
            await receiver.until_taken([event_id])

            async def seen() -> bool:
                page = (await anna.get(f"{path}/deliveries/{event_id}")).text
                return "It was a success" in page

            await until(seen)
    (newest, *_) = await entries(host)
    assert (newest.kind, newest.subject, newest.detail) == (
        "webhook-replayed",
        webhook_id,
        {"event_ids": [event_id]},
    )


async def test_a_test_is_sent_and_a_webhook_is_disabled_and_enabled(console: str, host: Operator) -> None:
    async with receiving(answers=[204, 500], says=b"<i>no") as receiver:
        path = f"/webhooks/{await new_webhook(host, receiver)}"
        async with person(console, host.key) as anna:
            taken = await confirmed(anna, f"{path}/act", {"act": "test"})
            assert "The endpoint has taken the test" in taken.text
            refused = await confirmed(anna, f"{path}/act", {"act": "test"})
            assert "has not taken the test: status-500: &lt;i&gt;no" in refused.text
            for act, state in (("disable", False), ("enable", True)):
                assert (await confirmed(anna, f"{path}/act", {"act": act})).status_code == 303
                assert (await host.call("GET", path)).json()["enabled"] is state
                told = (await anna.get(path)).text
                assert ["Disabled: nothing" in told, "Enabled: what" in told] == [not state, state]
                again = (await anna.get(f"{path}?done={act}")).text
                assert ("Disabled: nothing" in again, "Enabled: what" in again) == (False, False)
            none = await confirmed(anna, f"{path}/act", {"act": "replay-all"})
            assert (none.status_code, "Nothing was sent again" in none.text) == (409, True)
            for act in ("", "delete", MARKUP):
                sent = await anna.post(f"{path}/act", {"act": act, "csrf": await anna.csrf(path)})
                assert sent.status_code == 404
    assert [one.kind for one in await entries(host)] == [
        *("webhook-changed", "webhook-changed", "webhook-tested", "webhook-tested", "webhook-created")
    ]


async def test_webhooks_are_their_operators_and_viewers_change_none(
    console: str, host: Operator, rival: Operator, gateway: Gateway
) -> None:
    async with receiving(otherwise=503) as receiver:
        webhook_id = await new_webhook(host, receiver)
        event_id = await dead(host, webhook_id)
        path = f"/webhooks/{webhook_id}"
        viewer = await gateway.new_key(host.operator_id, scope="game")
        form = {"act": "test", "confirmed": "yes"}
        async with person(console, rival.key) as ben, person(console, viewer) as anna:
            assert webhook_id not in (await ben.get("/webhooks")).text
            for address in (path, f"{path}/deliveries/{event_id}"):
                assert (await ben.get(address)).status_code == 404
                assert (await anna.get(address)).status_code == 200
            before = len(receiver.received)
            assert (await ben.post(f"{path}/act", {**form, "csrf": await ben.csrf()})).status_code == 404
            assert (await anna.post(f"{path}/act", {**form, "csrf": await anna.csrf()})).status_code == 403
            assert (await anna.post(f"{path}/act", form)).status_code == 403
            assert f'action="/console{path}/act"' not in (await anna.get(path)).text
            assert len(receiver.received) == before
            for event in ("x", str(uuid4())):
                assert (await anna.get(f"{path}/deliveries/{event}")).status_code == 404
            assert (await anna.get(f"{path}?cursor=x")).status_code == 400


async def test_a_key_is_made_shown_once_and_revoked(console: str, host: Operator, services: Services) -> None:
    async with person(console, host.key) as anna:
        made = await confirmed(anna, "/keys/create", {"name": MARKUP, "scope": "operator", "days": "30"})
        (key,) = set(KEY.findall(made.text))
        host.gateway.secrets.append(key)
        assert made.status_code == 200
        assert made.headers["cache-control"] == "no-store"
        assert "location" not in made.headers
        key_id = key.split("_")[1]
        fields = {"name": "b", "scope": "game", "confirmed": "yes", "csrf": await anna.csrf()}
        asked = await anna.post("/keys/create", fields)
        assert (asked.status_code, KEY.findall(asked.text)) == (200, []), "what is not to be sent twice"
        once = re.findall(r'name="once" value="([^"]+)"', asked.text)[0]
        answers = [await anna.post("/keys/create", {**fields, "once": once}) for _ in range(2)]
        assert [len(set(KEY.findall(answer.text))) for answer in answers] == [1, 0]
        assert (answers[1].status_code, "sent before" in answers[1].text) == (409, True)
        listed = (await anna.get("/keys")).text
        for page in (made.text, listed, (await anna.get("/audit")).text):
            assert "<img" not in page
            assert "&lt;img" in page
        assert key not in listed
        assert f'action="/console/keys/{key_id}/revoke"' in listed
        async with person(console, key) as ben:
            assert "support" in (await ben.get("/rounds")).text
            assert (await ben.get("/keys")).status_code == 403
            done = await confirmed(anna, f"/keys/{key_id}/revoke", {})
            assert done.headers["location"] == "/console/keys"
            assert ["Revoked: within" in (await anna.get("/keys")).text for _ in range(2)] == [True, False]
            assert (await ben.get("/rounds")).status_code == 303
        assert f'action="/console/keys/{key_id}/revoke"' not in (await anna.get("/keys")).text
    assert [(one.kind, one.subject) for one in await entries(host)] == [
        ("key-revoked", key_id),
        ("key-created", KEY.findall(answers[0].text)[0].split("_")[1]),
        ("key-created", key_id),
    ]
    assert key.split("_", 2)[2] not in services.stack.layout.log_of("console").read_text()


async def test_keys_are_for_the_admins_of_their_operator(
    console: str, host: Operator, gateway: Gateway
) -> None:
    rival = await gateway.new_operator()
    rivals_admin = await gateway.new_key(rival.operator_id, scope="admin")
    wanted = {"name": "a till", "scope": "admin", "confirmed": "yes"}
    for scope in ("game", "operator"):
        async with person(console, await gateway.new_key(host.operator_id, scope=scope)) as anna:
            page = await anna.get("/keys")
            assert (page.status_code, "A key of the scope admin" in page.text) == (403, True)
            sent = await anna.post("/keys/create", {**wanted, "csrf": await anna.csrf()})
            assert sent.status_code == 403
    own = host.key.split("_")[1]
    async with person(console, rivals_admin) as ben:
        assert own not in (await ben.get("/keys")).text
        form = {"csrf": await ben.csrf(), "confirmed": "yes"}
        assert (await ben.post(f"/keys/{own}/revoke", form)).status_code == 404
        assert (await ben.post("/keys/create", wanted)).status_code == 403
        for wrong in (
            {"name": ""},
            {"name": "x" * 61},
            {"name": "a\nb"},
            {"scope": "platform"},
            {"days": "0"},
            {"days": "99999"},
            {"days": "\u0663"},
        ):
            sent = await ben.post("/keys/create", {**form, **wanted, **wrong})
            assert sent.status_code == 422, wrong
    assert (await host.call("GET", "/keys")).status_code == 200


async def test_a_round_is_computed_again_for_a_viewer_and_for_no_rival(
    console: str, host: Operator, rival: Operator, gateway: Gateway
) -> None:
    player = await host.open_session(balance=1_000)
    round_ = await player.played()
    path = f"/rounds/{round_['round_id']}"
    open_ = player.stored_bet(uuid4().hex)
    await rounds.reserve(gateway.database.pool, open_)
    viewer = await gateway.new_key(host.operator_id, scope="game")
    async with person(console, viewer) as anna, person(console, rival.key) as ben:
        shown = (await anna.get(path)).text
        (href,) = re.findall(r'href="/console(/rounds/[^"]+/replay[^"]+)"', shown)
        replayed = await anna.get(html.unescape(href))
        assert "The same came out" in replayed.text
        assert replayed.text.count(f"{round_['outcome']['roll']}") >= 2
        assert (await ben.get(f"{path}/replay")).status_code == 404
        unsettled = f"/rounds/{open_.key.round_id}"
        assert "/replay" not in (await anna.get(unsettled)).text
        assert "only settled rounds" in (await anna.get(f"{unsettled}/replay")).text
    await host.call("POST", f"/rounds/{open_.key.round_id}/void", json={"reason": "end"})


async def test_a_disabled_operator_is_told_when_a_page_opens(
    console: str, host: Operator, gateway: Gateway
) -> None:
    player = await host.open_session(balance=1_000)
    bet = player.stored_bet(uuid4().hex)
    await rounds.reserve(gateway.database.pool, bet)
    platform = {"authorization": f"Bearer {await gateway.platform_key()}"}
    address = f"/v1/platform/operators/{host.operator_id}"
    path = f"/rounds/{bet.key.round_id}"
    async with person(console, host.key) as anna:
        assert "operator is disabled" not in (await anna.get(path)).text
        for enabled in (False, True):
            answer = await gateway.http.put(address, json={"enabled": enabled}, headers=platform)
            assert answer.status_code == 200
            page = (await anna.get(path)).text
            assert ("Your operator is disabled" in page) is not enabled
            assert ('name="action"' in page) is enabled
            form = {"name": "a till", "scope": "game", "csrf": await anna.csrf()}
            sent = await anna.post("/keys/create", form)
            assert sent.status_code == (200 if enabled else 403)

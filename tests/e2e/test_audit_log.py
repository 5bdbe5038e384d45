"""Every act over the API leaves an entry of the key that did it, whatever comes to be an act later."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from uuid import uuid4

import pytest

from api.gateway.authentication import KeyOf
from contracts.audit import AuditEntry, Kind
from storage import audit
from tests.e2e.parties import Gateway, Operator, Player
from tests.support.routes import guards

# What a game server does for each launch. The session itself is the record of it.
OF_GAME_SERVERS: Final = {"POST /v1/operator/sessions", "DELETE /v1/operator/sessions/{session_id}"}
MONEY: Final = {"amount": 100, "currency": "EUR"}
Acting = Callable[[Operator, Player], Awaitable[tuple[str, dict[str, Any] | None]]]


async def webhook(admin: Operator) -> str:
    made = await admin.call("POST", "/webhooks", json={"url": "http://127.0.0.1:9/never"})
    assert made.status_code == 201, made.text
    return str(made.json()["webhook_id"])


async def key(admin: Operator) -> str:
    return (await admin.gateway.new_key(admin.operator_id, scope="game")).split("_")[1]


def at(path: str, body: dict[str, Any] | None = None) -> Acting:
    """A path below `/v1/operator`, of whatever it names, and the body of the call."""

    async def made(admin: Operator, player: Player) -> tuple[str, dict[str, Any] | None]:
        found = path.replace("{player_id}", player.player_id)
        if "{webhook_id}" in path:
            found = found.replace("{webhook_id}", await webhook(admin))
        if "{round_id}" in path:
            found = found.replace("{round_id}", await player.held())
        if "{key_id}" in path:
            found = found.replace("{key_id}", await key(admin))
        return found, body

    return made


ACTS: Final[dict[str, tuple[Acting, set[Kind]]]] = {
    "POST /rounds/{round_id}/void": (at("/rounds/{round_id}/void", {"reason": "t"}), {Kind.VOID}),
    "POST /rounds/{round_id}/resolve": (
        at("/rounds/{round_id}/resolve", {"action": "void", "reason": "t"}),
        {Kind.VOID},
    ),
    "POST /players/{player_id}/deposits": (
        at("/players/{player_id}/deposits", {"transaction_id": uuid4().hex, "amount": MONEY}),
        {Kind.DEPOSIT},
    ),
    "POST /players/{player_id}/withdrawals": (
        at("/players/{player_id}/withdrawals", {"transaction_id": uuid4().hex, "amount": MONEY}),
        {Kind.WITHDRAWAL},
    ),
    "PUT /games/{game_id}": (at("/games/dice", {"enabled": True, "reason": "t"}), {Kind.GAME_ENABLED}),
    "PUT /players/{player_id}": (
        at("/players/{player_id}", {"blocked": False, "reason": "t"}),
        {Kind.PLAYER_UNBLOCKED},
    ),
    "POST /webhooks": (at("/webhooks", {"url": "http://127.0.0.1:9/"}), {Kind.WEBHOOK_CREATED}),
    "PATCH /webhooks/{webhook_id}": (
        at("/webhooks/{webhook_id}", {"enabled": False}),
        {Kind.WEBHOOK_CREATED, Kind.WEBHOOK_CHANGED},
    ),
    "DELETE /webhooks/{webhook_id}": (
        at("/webhooks/{webhook_id}"),
        {Kind.WEBHOOK_CREATED, Kind.WEBHOOK_DELETED},
    ),
    "POST /webhooks/{webhook_id}/rotate-secret": (
        at("/webhooks/{webhook_id}/rotate-secret"),
        {Kind.WEBHOOK_CREATED, Kind.WEBHOOK_SECRET_ROTATED},
    ),
    # Nothing of it is dead, so nothing is done: tests/integration/test_audit_log.py has one that is.
    "POST /webhooks/{webhook_id}/replay": (
        at("/webhooks/{webhook_id}/replay", {"all_dead": True}),
        {Kind.WEBHOOK_CREATED},
    ),
    "POST /webhooks/{webhook_id}/test": (
        at("/webhooks/{webhook_id}/test"),
        {Kind.WEBHOOK_CREATED, Kind.WEBHOOK_TESTED},
    ),
    "POST /keys": (at("/keys", {"scope": "game", "name": "a till"}), {Kind.KEY_CREATED}),
    "POST /keys/{key_id}/rotate": (at("/keys/{key_id}/rotate", {"overlap_s": 60}), {Kind.KEY_ROTATED}),
    "DELETE /keys/{key_id}": (at("/keys/{key_id}"), {Kind.KEY_REVOKED}),
}


@pytest.fixture(scope="module")
async def host(gateway: Gateway) -> AsyncIterator[Operator]:
    made = await gateway.new_operator()
    admin = Operator(gateway, made.operator_id, await gateway.new_key(made.operator_id, scope="admin"))
    yield admin
    await admin.forget_webhooks()


@pytest.fixture(scope="module")
async def player(host: Operator) -> Player:
    return await host.open_session(balance=100_000)


async def entries(operator: Operator, key: str) -> list[AuditEntry]:
    return await audit.listed(
        operator.gateway.database.pool,
        operator_id=operator.operator_id,
        actor=f"key:{key.split('_')[1]}",
        limit=100,
    )


def test_every_route_that_changes_something_is_tried_here() -> None:
    changing = {
        name
        for name, guard in guards().items()
        if name.split(" ")[1].startswith("/v1/operator/")
        and not name.startswith("GET ")
        and any(isinstance(one, KeyOf) for one in guard)
    }
    assert changing == OF_GAME_SERVERS | {name.replace(" ", " /v1/operator", 1) for name in ACTS}


@pytest.mark.parametrize("name", ACTS)
async def test_an_act_leaves_an_entry_of_its_key(host: Operator, player: Player, name: str) -> None:
    acting, kinds = ACTS[name]
    # A key of its own, so that what other tests did is not counted.
    own = Operator(
        host.gateway, host.operator_id, await host.gateway.new_key(host.operator_id, scope="admin")
    )
    path, body = await acting(own, player)
    answer = await own.call(name.split(" ")[0], path, **({} if body is None else {"json": body}))
    # A test of a webhook that nobody has sent in time is recorded all the same.
    assert answer.is_success or (name.endswith("/test") and answer.status_code == 503), answer.text
    found = await entries(host, own.key)
    assert {Kind(one.kind) for one in found} == kinds
    assert len(found) == len(kinds)
    assert {one.reason for one in found} == {(body or {}).get("reason")}
    assert own.key.split("_", 2)[2] not in str(found)


async def test_a_call_that_is_refused_leaves_none_but_a_decision_does(host: Operator, player: Player) -> None:
    own = Operator(host.gateway, host.operator_id, await host.gateway.new_key(host.operator_id))
    settled = (await player.played())["round_id"]
    for method, path, body, status in (
        ("PUT", "/players/nobody", {"blocked": True}, 404),
        ("PUT", "/games/nothing", {"enabled": True}, 404),
        ("PUT", f"/players/{player.player_id}", {"blocked": True, "reason": "a\nb"}, 422),
        ("PUT", f"/players/{player.player_id}", {"blocked": True, "reason": " "}, 422),
        ("PATCH", "/webhooks/nobody", {"enabled": True}, 404),
        ("POST", "/keys", {"scope": "game"}, 403),
        ("POST", f"/rounds/{settled}/void", {"reason": "too late"}, 409),
    ):
        assert (await own.call(method, path, json=body)).status_code == status, path
    assert [(one.kind, one.verdict) for one in await entries(host, own.key)] == [("void", "refused")]


async def test_the_platform_is_on_record_at_the_operator(host: Operator, gateway: Gateway) -> None:
    platform = await gateway.platform_key()
    made = await gateway.http.post(
        f"/v1/platform/operators/{host.operator_id}/keys",
        json={"scope": "game"},
        headers={"authorization": f"Bearer {platform}"},
    )
    assert made.status_code == 201
    (found,) = await audit.listed(
        gateway.database.pool,
        operator_id=host.operator_id,
        actor=f"platform:{platform.split('_')[1]}",
        limit=10,
    )
    assert (found.kind, found.subject) == ("key-created", made.json()["key_id"])

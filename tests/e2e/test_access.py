"""Who may do what over HTTP: forged, foreign, expired and revoked keys, and other people's things."""

import asyncio
import base64
import dataclasses
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from api.gateway.authentication import KeyOf, live_session
from api.operator.service import KEY_CACHE_S
from security.api_keys import SCOPES
from security.keyring import Keyring
from security.tokens import TokenIssuer
from tests.e2e.parties import Gateway, Operator, Player, checked_problem
from tests.support.conditions import until
from tests.support.routes import OPEN, guards

# How long what soon ends shall last. It is used while it does: at the first try, unless the machine is slow.
LONGER_AND_LONGER_S = (1, 5, 25)
ROUTES = guards()
OF_GAMES = {name: guard for name, guard in ROUTES.items() if guard and not isinstance(guard[0], KeyOf)}
BY_KEY = {name: guard[0] for name, guard in ROUTES.items() if guard and isinstance(guard[0], KeyOf)}
OF_OPERATORS = {name: guard for name, guard in BY_KEY.items() if "platform" not in guard.scopes}
OF_PLATFORM = {name: guard for name, guard in BY_KEY.items() if name not in OF_OPERATORS}
# Bodies that would do something if the caller might do it; any other call comes with an empty object.
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/operator/rounds/{round_id}/void": {"reason": "a test"},
    "POST /v1/operator/rounds/{round_id}/resolve": {"action": "retry-now", "reason": "a test"},
    "POST /v1/operator/keys/{key_id}/rotate": {"overlap_s": 0},
}


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in (header, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def claims_of(player: Player) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(player.token, options={"verify_signature": False})
    return claims


def signed(player: Player, changes: dict[str, Any], **header: Any) -> str:
    tokens = player.operator.gateway.keyring.tokens
    headers = {"kid": tokens.active, **header}
    return jwt.encode(
        {**claims_of(player), **changes}, tokens.signing_key(), algorithm="EdDSA", headers=headers
    )


def with_public_key_as_secret(player: Player) -> str:
    tokens = player.operator.gateway.keyring.tokens
    public = tokens.public_keys()[tokens.active].public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = unsigned({"alg": "HS256", "typ": "JWT", "kid": tokens.active}, claims_of(player))
    mac = hmac.new(public, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def tampered(player: Player) -> str:
    header, _, signature = player.token.split(".")
    claims = {**claims_of(player), "acc": 1}
    return ".".join([header, unsigned({}, claims).split(".")[1], signature])


FORGERIES: dict[str, Callable[[Player], str]] = {
    "junk": lambda _: "junk",
    "three dots": lambda _: "...",
    "too long": lambda player: player.token + "A" * 4_096,
    "cut short": lambda player: player.token[:-2],
    "an operator key": lambda player: player.operator.key,
    "a foreign key": lambda player: TokenIssuer(Keyring.generate()).issue(player.claims),
    "a foreign key under our key's id": lambda player: jwt.encode(
        claims_of(player),
        Keyring.generate().tokens.signing_key(),
        algorithm="EdDSA",
        headers={"kid": player.operator.gateway.keyring.tokens.active},
    ),
    "alg none": lambda player: (
        unsigned({"alg": "none", "kid": player.operator.gateway.keyring.tokens.active}, claims_of(player))
        + "."
    ),
    "HS256 with the public key": with_public_key_as_secret,
    "claims changed": tampered,
    "another audience": lambda player: signed(player, {"aud": "croupier:operator"}),
    "another issuer": lambda player: signed(player, {"iss": "somebody"}),
    "an unknown key id": lambda player: signed(player, {}, kid="nobody"),
    "a claim of another type": lambda player: signed(player, {"pk": "1"}),
}


@pytest.fixture(scope="module", autouse=True)
async def revoked_in_use(gateway: Gateway, operator: Operator) -> tuple[Operator, float]:
    """Revoked when the module begins, so that the time for which it may be remembered passes meanwhile; and
    the monotonic time of that."""
    revoked = Operator(gateway, operator.operator_id, await gateway.new_key(operator.operator_id))
    assert (await revoked.call("GET", "/rounds?limit=1")).status_code == 200
    await gateway.revoke(revoked.key)
    return revoked, time.monotonic()


@dataclass(frozen=True, slots=True)
class Victim:
    """An operator with a player, a round and a key of every scope: what no stranger may see or move."""

    operator: Operator
    player: Player
    round_id: str
    keys: dict[str, str] = field(repr=False)

    async def call(self, http: httpx.AsyncClient, name: str, secret: str | None) -> httpx.Response:
        """The route `name`, about the victim's own things, with this token or key."""
        method, path = name.split(" ")
        path = path.format_map(Things(
            round_id=self.round_id, session_id=self.player.session_id, player_id=self.player.player_id,
            key_id=self.keys["game"].split("_")[1],
        ))  # fmt: skip
        request: dict[str, Any] = {"params": {"currency": "EUR"}} if path.endswith("/balance") else {}
        if name == "GET /v1/game/balance":
            request = {}
        if method in ("POST", "PUT", "PATCH"):
            request["json"] = BODIES.get(name, {})
        if secret is not None:
            request["headers"] = {"authorization": f"Bearer {secret}"}
        return await http.request(method, path, **request)

    async def books(self) -> tuple[Any, Any]:
        """All that a stranger could have changed."""
        pool = self.operator.gateway.database.pool
        keys = await pool.fetch(
            "SELECT id, scope, expires_at, revoked_at FROM api_keys WHERE operator_id = $1 ORDER BY id",
            self.operator.operator_id,
        )
        return await self.operator.books(), keys

    @property
    def private(self) -> list[str]:
        return [
            self.round_id, self.player.player_id, self.player.session_id, self.operator.operator_id,
            *(key.split("_")[1] for key in self.keys.values()),
        ]  # fmt: skip


class Things(dict[str, str]):
    """What a route of tomorrow has in its address is nobody's."""

    def __missing__(self, name: str) -> str:
        return "0" * 16


@pytest.fixture(scope="module")
async def victim(gateway: Gateway) -> Victim:
    operator = await gateway.new_operator()
    player = await operator.open_session(balance=1_000)
    keys = {str(scope): await gateway.new_key(operator.operator_id, scope=scope) for scope in SCOPES}
    return Victim(operator, player, (await player.played())["round_id"], keys)


@pytest.fixture
async def unmoved(victim: Victim) -> AsyncIterator[None]:
    """Whatever the test does, nothing of the victim's changes by it."""
    before = await victim.books()
    yield
    assert await victim.books() == before


def test_the_matrix_has_every_route_but_the_open_ones() -> None:
    assert len(OF_GAMES) >= 6
    assert len(OF_OPERATORS) >= 14
    assert {name for name, guard in ROUTES.items() if not guard} == OPEN


@pytest.mark.parametrize("forge", [pytest.param(forge, id=name) for name, forge in FORGERIES.items()])
async def test_a_forged_token_opens_nothing(
    gateway: Gateway, victim: Victim, unmoved: None, forge: Callable[[Player], str]
) -> None:
    token = forge(victim.player)
    for name in OF_GAMES:
        response = await victim.call(gateway.http, name, token)
        checked_problem(response, 401, "unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer", name


async def test_a_forged_bet_starts_nothing(victim: Victim, unmoved: None) -> None:
    stranger = victim.player.with_token(tampered(victim.player))
    bet = await stranger.call("POST", "/rounds", json=victim.player.wager("forged"))
    checked_problem(bet, 401, "unauthenticated")
    assert not await victim.operator.gateway.has_workflow(victim.player.round_key("forged").workflow_id)


@pytest.mark.parametrize(
    "header",
    [None, b"", b"Bearer", b"Basic dXNlcjpwYXNz", b"bearer: x", b"Bearer \xff\xfe", b"Token abc"],
)
async def test_a_call_without_a_token_or_key_is_refused(
    gateway: Gateway, victim: Victim, unmoved: None, header: bytes | None
) -> None:
    headers: dict[bytes, bytes] = {} if header is None else {b"authorization": header}
    for name in (*OF_GAMES, *BY_KEY):
        method, path = name.split(" ")
        body = b"{}" if method in ("POST", "PUT", "PATCH") else None
        as_json = {**headers, b"content-type": b"application/json"}
        path = path.format_map(Things())
        response = await gateway.http.request(method, path, headers=as_json, content=body)
        checked_problem(response, 401, "unauthenticated")


async def test_an_expired_token_reads_and_does_not_bet(
    gateway: Gateway, victim: Victim, unmoved: None
) -> None:
    token = victim.player.expired().token
    for name, guard in OF_GAMES.items():
        response = await victim.call(gateway.http, name, token)
        if guard == [live_session]:
            checked_problem(response, 401, "session-expired")
        else:
            assert response.status_code in (200, 202, 422), (name, response.text)


async def test_another_players_token_shows_and_moves_nothing(
    gateway: Gateway, victim: Victim, unmoved: None
) -> None:
    other = await (await gateway.new_operator()).open_session(balance=100)
    for name in OF_GAMES:
        response = await victim.call(gateway.http, name, other.token)
        if "{" in name:
            assert response.status_code in (404, 422), (name, response.text)
        assert not [secret for secret in victim.private if secret in response.text], name


async def test_another_operators_key_shows_and_moves_nothing(
    gateway: Gateway, victim: Victim, unmoved: None
) -> None:
    """Not found, as if it did not exist; or the body, which is empty where an id of one's own is possible."""
    stranger = await gateway.new_operator()
    key = await gateway.new_key(stranger.operator_id, scope="admin")
    for name in OF_OPERATORS:
        response = await victim.call(gateway.http, name, key)
        method, path = name.split(" ")
        if "{" in path and (name in BODIES or method in ("GET", "DELETE")):
            checked_problem(response, 404, "not-found")
        elif method in ("POST", "PUT", "PATCH"):
            assert response.json().get("code") in ("invalid", "not-found"), (name, response.text)
        else:
            assert response.status_code == 200, (name, response.text)
        assert not [secret for secret in victim.private if secret in response.text], name


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_key_opens_what_its_scope_says_and_nothing_else(
    gateway: Gateway, victim: Victim, unmoved: None, scope: str
) -> None:
    """Of what it may do, only what an empty body cannot do is tried here."""
    for name, guard in BY_KEY.items():
        if scope not in guard.scopes:
            checked_problem(await victim.call(gateway.http, name, victim.keys[scope]), 403, "forbidden")
        elif name.startswith("GET") or (name not in BODIES and not name.startswith("DELETE")):
            response = await victim.call(gateway.http, name, victim.keys[scope])
            assert response.status_code in (200, 404, 422), (name, response.text)


def wrong_keys(victim: Victim) -> dict[str, str]:
    key = victim.operator.key
    return {
        "one character": key[:-1] + ("A" if key[-1] != "A" else "B"),
        "too short": key[:-1],
        "too long": key + "A",
        "no key": "crk_",
        "unknown": f"crk_{'0' * 16}_{'A' * 43}",
        "another case": key.upper(),
        "another key's id": "_".join([*victim.keys["admin"].split("_")[:2], key.split("_", 2)[2]]),
        "a session's token": victim.player.token,
    }


@pytest.mark.parametrize(
    "case",
    ["one character", "too short", "too long", "no key", "unknown", "another case", "another key's id",
     "a session's token", "revoked", "expired"],
)  # fmt: skip
async def test_a_wrong_key_opens_nothing(gateway: Gateway, victim: Victim, case: str) -> None:
    operator_id = victim.operator.operator_id
    if case == "revoked":
        wrong = await gateway.new_key(operator_id, scope="admin")
        await gateway.revoke(wrong)
    elif case == "expired":
        wrong = await gateway.new_key(operator_id, scope="admin", expires_at=datetime.now(UTC))
    else:
        wrong = wrong_keys(victim)[case]
    before = await victim.books()
    for name in BY_KEY:
        checked_problem(await victim.call(gateway.http, name, wrong), 401, "unauthenticated")
    assert await victim.books() == before


async def test_a_key_of_the_platform_opens_nothing_of_an_operator_or_a_player(
    gateway: Gateway, victim: Victim, unmoved: None
) -> None:
    key = await gateway.platform_key()
    for name in OF_OPERATORS:
        checked_problem(await victim.call(gateway.http, name, key), 403, "forbidden")
    for name in OF_GAMES:
        checked_problem(await victim.call(gateway.http, name, key), 401, "unauthenticated")
    assert len(OF_PLATFORM) >= 5


async def test_an_administrator_manages_the_keys_of_its_operator(gateway: Gateway) -> None:
    operator = await gateway.new_operator()
    admin = dataclasses.replace(operator, key=await gateway.new_key(operator.operator_id, scope="admin"))
    made = await admin.call("POST", "/keys", json={"scope": "game"})
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    gateway.secrets.append(made.json()["key"])
    server = dataclasses.replace(operator, key=made.json()["key"])
    assert (await server.call("GET", "/rounds")).status_code == 200
    opened = await server.open_session()
    assert (await server.call("DELETE", f"/sessions/{opened.session_id}")).status_code == 204
    checked_problem(await opened.deposit(1), 403, "forbidden")

    key_id = made.json()["key_id"]
    for overlap_s in LONGER_AND_LONGER_S:
        rotated = await admin.call("POST", f"/keys/{key_id}/rotate", json={"overlap_s": overlap_s})
        assert rotated.status_code == 201, rotated.text
        told = rotated.json()
        gateway.secrets.append(told["key"])
        assert (told["scope"], told["replaces"], told["expires_at"]) == ("game", key_id, None)
        successor = dataclasses.replace(operator, key=told["key"])
        opened_by = [(await key.call("GET", "/rounds")).status_code for key in (server, successor)]
        if opened_by == [200, 200]:
            break
        key_id, server = told["key_id"], successor  # asked too late: once more, with the next one
    assert opened_by == [200, 200]

    async def old_one_ended() -> bool:
        return (await server.call("GET", "/rounds")).status_code == 401

    await until(old_one_ended)
    listed = (await admin.call("GET", "/keys")).json()["items"]
    state = {key["key_id"]: key["active"] for key in listed}
    assert (state[key_id], state[told["key_id"]]) == (False, True)
    assert not any(secret in str(listed) for secret in (told["key"], made.json()["key"]))
    checked_problem(
        await admin.call("POST", f"/keys/{key_id}/rotate", json={"overlap_s": 2}), 404, "not-found"
    )

    assert (await admin.call("DELETE", f"/keys/{told['key_id']}")).status_code == 204
    checked_problem(await successor.call("GET", "/rounds"), 401, "unauthenticated")
    assert (await admin.call("DELETE", f"/keys/{told['key_id']}")).status_code == 204, "twice is once"


@pytest.mark.parametrize(
    "body",
    [{}, {"scope": "root"}, {"scope": "game", "expires_at": "2020-01-01T00:00:00Z"},
     {"scope": "game", "expires_at": "2099-01-01T00:00:00"}, {"scope": "game", "secret": "mine"}],
)  # fmt: skip
async def test_a_key_that_cannot_be_is_refused(
    gateway: Gateway, victim: Victim, unmoved: None, body: dict[str, Any]
) -> None:
    admin = dataclasses.replace(victim.operator, key=victim.keys["admin"])
    checked_problem(await admin.call("POST", "/keys", json=body), 422, "invalid")


async def test_a_key_that_ends_later_opens_until_then(gateway: Gateway, victim: Victim) -> None:
    admin = dataclasses.replace(victim.operator, key=victim.keys["admin"])
    first = None
    for lasts_s in LONGER_AND_LONGER_S:
        ends = (datetime.now(UTC) + timedelta(seconds=lasts_s)).isoformat()
        made = await admin.call("POST", "/keys", json={"scope": "operator", "expires_at": ends})
        if made.status_code == 422:
            continue  # it was over before it was made
        assert made.status_code == 201, made.text
        gateway.secrets.append(made.json()["key"])
        short = dataclasses.replace(victim.operator, key=made.json()["key"])
        first = await short.call("GET", "/rounds")
        if first.status_code == 200:
            break
    assert first is not None
    assert first.status_code == 200

    async def ended() -> bool:
        return (await short.call("GET", "/rounds")).status_code == 401

    await until(ended)


async def test_a_token_in_the_address_is_no_token(gateway: Gateway, player: Player) -> None:
    response = await gateway.http.get("/v1/game/balance", params={"token": player.token})
    assert response.status_code in (401, 422)


async def test_two_keys_of_an_operator_work_side_by_side(gateway: Gateway, operator: Operator) -> None:
    second = Operator(gateway, operator.operator_id, await gateway.new_key(operator.operator_id))
    assert (await second.call("GET", "/rounds?limit=1")).json() == (
        await operator.call("GET", "/rounds?limit=1")
    ).json()


async def test_another_operators_things_are_not_found_and_not_told(
    operator: Operator, rival: Operator
) -> None:
    theirs = await rival.open_session(balance=4_321)
    played = await theirs.played()
    private = [theirs.player_id, theirs.session_id, rival.operator_id, str(played["balance"]["amount"])]
    books = await rival.books()

    for response in (
        await operator.call("GET", f"/rounds/{played['round_id']}"),
        await operator.call("GET", f"/rounds/{played['round_id']}", params={"player_id": theirs.player_id}),
        await operator.call("DELETE", f"/sessions/{theirs.session_id}"),
        await operator.call("GET", f"/players/{theirs.player_id}/balance?currency=EUR"),
    ):
        told = checked_problem(response, 404, "not-found")
        del told["request_id"]  # random hex, which may hold any number's digits
        assert not any(secret in str(told) for secret in private)
    listed = await operator.call("GET", "/rounds", params={"player_id": theirs.player_id})
    assert listed.json() == {"items": [], "next_cursor": None}
    assert await rival.books() == books
    assert (await theirs.call("GET", "/session")).status_code == 200, "the session goes on"


async def test_a_thing_of_another_operator_answers_as_one_that_does_not_exist(
    operator: Operator, rival: Operator
) -> None:
    theirs = await rival.open_session(balance=100)
    played = await theirs.played()

    async def told(path: str, method: str = "GET") -> dict[str, Any]:
        body: dict[str, Any] = (await operator.call(method, path)).json()
        return body | {"request_id": ""}

    assert await told(f"/rounds/{played['round_id']}") == await told("/rounds/nothing")
    assert await told(f"/sessions/{theirs.session_id}", "DELETE") == await told("/sessions/nothing", "DELETE")
    assert await told(f"/players/{theirs.player_id}/balance?currency=EUR") == await told(
        "/players/nobody/balance?currency=EUR"
    )


async def test_a_deposit_to_another_operators_player_goes_to_ones_own_of_that_name(
    operator: Operator, rival: Operator
) -> None:
    theirs = await rival.open_session(balance=500)
    body = {"transaction_id": "t-1", "amount": {"amount": 77, "currency": "EUR"}}
    response = await operator.call("POST", f"/players/{theirs.player_id}/deposits", json=body)
    assert response.json()["balance"]["amount"] == 77
    assert await theirs.balance() == 500


async def test_the_rounds_of_two_operators_never_mix(operator: Operator, rival: Operator) -> None:
    await (await operator.open_session(balance=100)).played()
    theirs = await (await rival.open_session(balance=100)).played()
    ours = [r["workflow_id"].split(":")[0] for r in await operator.rounds(limit=100)]
    others = await rival.rounds(limit=100)
    assert set(ours) == {operator.operator_id}
    assert {r["workflow_id"].split(":")[0] for r in others} == {rival.operator_id}
    assert theirs["round_id"] in [r["round_id"] for r in others]


async def test_a_player_sees_no_other_players_round(operator: Operator, player: Player) -> None:
    other = await operator.open_session(balance=100)
    played = await other.played()
    checked_problem(await player.call("GET", f"/rounds/{played['round_id']}"), 404, "not-found")
    assert await player.history() == []


async def test_a_key_revoked_in_use_opens_nothing_after_the_time_it_may_be_remembered(
    operator: Operator, revoked_in_use: tuple[Operator, float]
) -> None:
    revoked, at = revoked_in_use
    await asyncio.sleep(max(0, at + KEY_CACHE_S - time.monotonic()))
    checked_problem(await revoked.call("GET", "/rounds?limit=1"), 401, "unauthenticated")
    assert (await operator.call("GET", "/rounds?limit=1")).status_code == 200

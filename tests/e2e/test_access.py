"""Who may do what over HTTP: forged, foreign, expired and revoked keys, and other people's things."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from runtime.services import KEY_CACHE_S
from security.keyring import Keyring
from security.tokens import TokenIssuer
from tests.e2e.house import House, Operator, Player, checked_problem
from tests.support.conditions import until

GAME_CALLS = [
    ("GET", "/session"), ("GET", "/balance"), ("GET", "/rounds"), ("GET", "/rounds/r1"), ("POST", "/rounds"),
]  # fmt: skip


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in (header, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def claims_of(player: Player) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(player.token, options={"verify_signature": False})
    return claims


def signed(player: Player, changes: dict[str, Any], **header: Any) -> str:
    tokens = player.operator.house.keyring.tokens
    headers = {"kid": tokens.active, **header}
    return jwt.encode(
        {**claims_of(player), **changes}, tokens.signing_key(), algorithm="EdDSA", headers=headers
    )


def with_public_key_as_secret(player: Player) -> str:
    tokens = player.operator.house.keyring.tokens
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
        headers={"kid": player.operator.house.keyring.tokens.active},
    ),
    "alg none": lambda player: (
        unsigned({"alg": "none", "kid": player.operator.house.keyring.tokens.active}, claims_of(player)) + "."
    ),
    "HS256 with the public key": with_public_key_as_secret,
    "claims changed": tampered,
    "another audience": lambda player: signed(player, {"aud": "croupier:operator"}),
    "another issuer": lambda player: signed(player, {"iss": "somebody"}),
    "an unknown key id": lambda player: signed(player, {}, kid="nobody"),
    "a claim of another type": lambda player: signed(player, {"pk": "1"}),
}


@pytest.fixture(scope="module", autouse=True)
async def revoked_in_use(house: House, operator: Operator) -> Operator:
    """Revoked when the module begins, so that the time for which it may be remembered passes meanwhile."""
    revoked = Operator(house, operator.operator_id, await house.new_key(operator.operator_id))
    assert (await revoked.call("GET", "/rounds?limit=1")).status_code == 200
    await house.revoke(revoked.key)
    return revoked


@pytest.mark.parametrize("forge", [pytest.param(forge, id=name) for name, forge in FORGERIES.items()])
async def test_a_forged_token_opens_nothing(player: Player, forge: Callable[[Player], str]) -> None:
    stranger = player.with_token(forge(player))
    books = await player.operator.books()
    for method, path in GAME_CALLS:
        body = {"json": player.wager("forged")} if method == "POST" else {}
        response = await stranger.call(method, path, **body)
        checked_problem(response, 401, "unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer"
    assert not await player.operator.house.has_workflow(player.round_key("forged").workflow_id)
    assert await player.operator.books() == books


@pytest.mark.parametrize(
    "header",
    [None, b"", b"Bearer", b"Basic dXNlcjpwYXNz", b"bearer: x", b"Bearer \xff\xfe", b"Token abc"],
)
async def test_a_call_without_a_token_is_refused(house: House, player: Player, header: bytes | None) -> None:
    headers: dict[bytes, bytes] = {} if header is None else {b"authorization": header}
    for path in ("/v1/game/rounds", "/v1/operator/rounds"):
        checked_problem(await house.http.get(path, headers=headers), 401, "unauthenticated")
    response = await house.http.post("/v1/game/rounds", json=player.wager(), headers=headers)
    checked_problem(response, 401, "unauthenticated")


async def test_a_token_in_the_address_is_no_token(house: House, player: Player) -> None:
    response = await house.http.get("/v1/game/balance", params={"token": player.token})
    assert response.status_code in (401, 422)


async def test_a_session_token_is_no_operator_key(player: Player) -> None:
    stranger = Operator(player.operator.house, player.operator.operator_id, player.token)
    for response in await operator_calls(stranger, player):
        checked_problem(response, 401, "unauthenticated")


async def test_a_key_that_is_wrong_in_one_character_opens_nothing(player: Player) -> None:
    key = player.operator.key
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    for text in (wrong, key[:-1], key + "A", "crk_", f"crk_{'0' * 16}_{'A' * 43}", key.upper()):
        stranger = Operator(player.operator.house, player.operator.operator_id, text)
        for response in await operator_calls(stranger, player):
            checked_problem(response, 401, "unauthenticated")


async def test_a_key_of_another_scope_is_forbidden(house: House, player: Player) -> None:
    key = await house.new_key(player.operator.operator_id, scope="metrics")
    for response in await operator_calls(Operator(house, player.operator.operator_id, key), player):
        checked_problem(response, 403, "forbidden")


async def test_a_key_revoked_before_its_first_use_opens_nothing(house: House, player: Player) -> None:
    key = await house.new_key(player.operator.operator_id)
    await house.revoke(key)
    for response in await operator_calls(Operator(house, player.operator.operator_id, key), player):
        checked_problem(response, 401, "unauthenticated")


async def test_two_keys_of_an_operator_work_side_by_side(house: House, operator: Operator) -> None:
    second = Operator(house, operator.operator_id, await house.new_key(operator.operator_id))
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
    operator: Operator, revoked_in_use: Operator
) -> None:
    async def refused() -> bool:
        return (await revoked_in_use.call("GET", "/rounds?limit=1")).status_code == 401

    await until(refused, within_s=KEY_CACHE_S + 2)
    assert (await operator.call("GET", "/rounds?limit=1")).status_code == 200


async def operator_calls(stranger: Operator, player: Player) -> list[Any]:
    """Every call of an operator, none of which may have changed anything."""
    books = await player.operator.books()
    amount = {"transaction_id": "stolen", "amount": {"amount": 1, "currency": "EUR"}}
    session = {"player_id": "stolen", "game_id": "dice", "currency": "EUR"}
    responses = [
        await stranger.call("POST", "/sessions", json=session),
        await stranger.call("DELETE", f"/sessions/{player.session_id}"),
        await stranger.call("POST", f"/players/{player.player_id}/deposits", json=amount),
        await stranger.call("GET", f"/players/{player.player_id}/balance?currency=EUR"),
        await stranger.call("GET", "/rounds"),
        await stranger.call("GET", "/rounds/r1"),
    ]
    assert await player.operator.books() == books
    return responses

"""Provable fairness over HTTP: a player plays, has the seed revealed, and checks every round."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from api.session.schemas import SeedRotated
from runtime.unavailable import WORDS, Cause
from storage import rounds
from tests.conftest import Services
from tests.e2e.parties import Gateway, Operator, Player, checked_problem

ROUNDS = 20
GUIDE = Path(__file__).parents[2] / "docs" / "game" / "fairness.md"
VERIFIED = {
    "game": "dice",
    "version": "1.0.0",
    "server_seed": bytes(range(32)).hex(),
    "client_seed": "croupier",
    "nonce": 0,
    "mode": "base",
    "stake": 100,
    "choices": {"direction": "over", "target": 4_999},
}


async def rotate(player: Player, client_seed: str = "my-next", **more: Any) -> dict[str, Any]:
    response = await player.call("POST", "/seed", json={"client_seed": client_seed, **more})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    assert body == SeedRotated.model_validate(body).model_dump()
    return body


async def commitment(player: Player) -> dict[str, Any]:
    body: dict[str, Any] = (await player.call("GET", "/session")).json()["fairness"]
    return body


async def verify(gateway: Gateway, round_: dict[str, Any], server_seed: str) -> dict[str, Any]:
    """What the open endpoint computes, from nothing but the round's own answer and the revealed seed."""
    body = {
        "game": round_["game"]["id"],
        "version": round_["game"]["version"],
        "server_seed": server_seed,
        "client_seed": round_["fairness"]["client_seed"],
        "nonce": round_["fairness"]["nonce"],
        "mode": round_["mode"],
        "stake": round_["stake"]["amount"],
    }
    if round_["game"]["id"] == "dice":
        body["choices"] = {name: round_["outcome"][name] for name in ("direction", "target")}
    response = await gateway.http.post("/v1/fairness/verify", json=body)
    assert response.status_code == 200, response.text
    verified: dict[str, Any] = response.json()
    return verified


@pytest.mark.parametrize("game_id", ["dice", "fruit-lines"])
async def test_a_player_can_verify_every_round_after_the_reveal(
    gateway: Gateway, operator: Operator, game_id: str
) -> None:
    player = await operator.open_session(game_id=game_id, balance=100_000, client_seed="first")
    promised = await commitment(player)
    played = [await player.played() for _ in range(ROUNDS)]
    while not any(round_["win"]["amount"] for round_ in played):
        played.append(await player.played())  # a check of losses alone proves little

    rotated = await rotate(player)

    revealed = rotated["revealed"]
    assert hashlib.sha256(bytes.fromhex(revealed["server_seed"])).hexdigest() == promised["server_seed_hash"]
    assert (revealed["server_seed_hash"], revealed["client_seed"], revealed["last_nonce"]) == (
        promised["server_seed_hash"],
        "first",
        len(played) - 1,
    )
    for round_ in played:
        assert await verify(gateway, round_, revealed["server_seed"]) == {
            "server_seed_hash": promised["server_seed_hash"],
            "outcome": round_["outcome"],
            "win": round_["win"]["amount"],
        }


async def test_the_next_rounds_draw_from_the_seed_that_was_promised_next(player: Player) -> None:
    await player.played()
    rotated = await rotate(player, "my-next")
    assert rotated["next"] == await commitment(player)
    assert rotated["next"]["server_seed_hash"] != rotated["revealed"]["server_seed_hash"]
    following = (await player.played())["fairness"]
    assert following == {
        "server_seed_hash": rotated["next"]["server_seed_hash"],
        "client_seed": "my-next",
        "nonce": 0,
    }


async def test_another_seed_gives_another_outcome(gateway: Gateway, player: Player) -> None:
    """Else the verification would agree with anything."""
    played = [await player.played() for _ in range(3)]
    other = (await rotate(await player.operator.open_session()))["revealed"]["server_seed"]
    verified = [await verify(gateway, round_, other) for round_ in played]
    assert [v["outcome"] for v in verified] != [round_["outcome"] for round_ in played]
    assert not {v["server_seed_hash"] for v in verified} & {r["fairness"]["server_seed_hash"] for r in played}


async def test_no_seed_is_revealed_while_a_round_is_open(gateway: Gateway, player: Player) -> None:
    promised = await commitment(player)
    bet = player.stored_bet("open-now")
    await rounds.reserve(gateway.database.pool, bet)

    refused = await player.call("POST", "/seed", json={"client_seed": "my-next"})

    assert checked_problem(refused, 409, "round-open")["open_round"] == "open-now"
    shown = await commitment(player)
    assert shown == promised | {"next_nonce": 1}
    await rounds.release(gateway.database.pool, bet, "resolve-failed", "for a test")
    assert (await rotate(player))["revealed"]["server_seed_hash"] == promised["server_seed_hash"]


async def test_a_rotation_sent_again_answers_the_same_reveal(player: Player) -> None:
    await player.played()
    body = {"client_seed": "my-next", "server_seed_hash": (await commitment(player))["server_seed_hash"]}
    first = await player.call("POST", "/seed", json=body)
    assert "idempotent-replayed" not in first.headers
    await player.played()

    again = await player.call("POST", "/seed", json=body)

    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json()["revealed"] == first.json()["revealed"]
    assert again.json()["next"] == first.json()["next"] | {"next_nonce": 1}
    another = await player.call("POST", "/seed", json=body | {"client_seed": "another"})
    checked_problem(another, 422, "id-reused")


async def test_nobody_reveals_another_players_seed(
    operator: Operator, rival: Operator, player: Player
) -> None:
    promised = await commitment(player)
    named = {"client_seed": "mine", "server_seed_hash": promised["server_seed_hash"]}
    for stranger in (await operator.open_session(), await rival.open_session()):
        checked_problem(await stranger.call("POST", "/seed", json=named), 404, "not-found")
        foreign = stranger.with_claims(session_id=player.session_id)
        checked_problem(await foreign.call("POST", "/seed", json=named), 401, "unauthenticated")
    checked_problem(
        await player.with_token("forged").call("POST", "/seed", json=named), 401, "unauthenticated"
    )
    assert await commitment(player) == promised


async def test_the_seed_of_a_session_that_is_over_can_be_revealed(player: Player) -> None:
    await player.played()
    await player.operator.call("DELETE", f"/sessions/{player.session_id}")
    assert (await rotate(player.expired()))["revealed"]["last_nonce"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"client_seed": ""},
        {"client_seed": "a b"},
        {"client_seed": "x" * 65},
        {"client_seed": 1},
        {"client_seed": "mine", "server_seed_hash": "short"},
        {"client_seed": "mine", "nonce": 0},
    ],
)
async def test_a_rotation_that_is_not_understood_reveals_nothing(
    player: Player, body: dict[str, Any]
) -> None:
    promised = await commitment(player)
    checked_problem(await player.call("POST", "/seed", json=body), 422, "invalid")
    assert await commitment(player) == promised


async def test_a_choice_may_stand_in_a_list(gateway: Gateway) -> None:
    plain = await gateway.http.post("/v1/fairness/verify", json=VERIFIED)
    listed = await gateway.http.post(
        "/v1/fairness/verify", json={**VERIFIED, "choices": [VERIFIED["choices"]]}
    )
    assert plain.status_code == 200
    assert plain.json() == listed.json()
    # The first integer below 10000 of this seed pair, as docs/game/fairness.md prints it.
    assert plain.json()["outcome"]["roll"] == 5_755


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"game": "no-such-game"}, 404, "not-found"),
        ({"version": "9.9.9"}, 404, "not-found"),
        ({"server_seed": "00"}, 422, "invalid"),
        ({"server_seed": "z" * 64}, 422, "invalid"),
        ({"client_seed": ""}, 422, "invalid"),
        ({"client_seed": "x" * 65}, 422, "invalid"),
        ({"nonce": -1}, 422, "invalid"),
        ({"nonce": 0.5}, 422, "invalid"),
        ({"nonce": 2**53}, 422, "invalid"),
        ({"nonce": True}, 422, "invalid"),
        ({"mode": "no-such-mode"}, 422, "invalid"),
        ({"stake": 0}, 422, "invalid"),
        ({"stake": 101}, 422, "stake-not-allowed"),
        ({"choices": None}, 422, "unknown-choice"),
        ({"choices": []}, 422, "unknown-choice"),
        ({"choices": {"direction": "over", "target": 10**9}}, 422, "unknown-choice"),
        ({"choices": [VERIFIED["choices"]] * 2}, 422, "invalid"),
        ({"choices": "over"}, 422, "invalid"),
        ({"unknown": 1}, 422, "invalid"),
    ],
)
async def test_what_cannot_be_verified_is_a_problem(
    gateway: Gateway, change: dict[str, Any], status: int, code: str
) -> None:
    checked_problem(await gateway.http.post("/v1/fairness/verify", json=VERIFIED | change), status, code)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 422, "invalid"),
        (b'{"nonce": NaN}', 422, "invalid"),
        (b'{"nonce": ' + b"9" * 8_000 + b"}", 422, "invalid"),
        (b'{"choices": ' + b"[" * 4_000 + b"]" * 4_000 + b"}", 422, "invalid"),
        (b" " * 8_193, 413, "too-large"),
    ],
    ids=["half", "nan", "digits", "nesting", "size"],
)
async def test_a_verification_is_read_strictly(
    gateway: Gateway, content: bytes, status: int, code: str
) -> None:
    response = await gateway.http.post(
        "/v1/fairness/verify", content=content, headers={"content-type": "application/json"}
    )
    checked_problem(response, status, code)


async def test_the_guides_own_program_verifies_rounds(player: Player) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    guide: dict[str, Any] = {"__name__": "guide"}
    exec(compile(code, str(GUIDE), "exec"), guide)  # noqa: S102 (our own page)
    played = [await player.played(choice={"direction": "under", "target": 6_000}) for _ in range(5)]
    seed = (await rotate(player))["revealed"]["server_seed"]
    assert all(guide["check_dice"](round_, seed) for round_ in played)
    other = bytes(32).hex()
    assert not any(guide["check_dice"](round_, other) for round_ in played)


async def test_a_revealed_seed_is_in_no_log(
    services: Services,
    talkative: tuple[Gateway, Path],
) -> None:
    gateway, debug_log = talkative
    player = await (await gateway.new_operator()).open_session(balance=1_000)
    await player.played()
    seed = (await rotate(player))["revealed"]["server_seed"]
    await verify(gateway, (await player.history())[0], seed)
    logs = [path for path in services.stack.layout.logs.rglob("*") if path.is_file()]
    assert {"ingress.log", "postgres.log"} <= {path.name for path in logs}
    assert b"DEBUG" in debug_log.read_bytes(), "it is talkative indeed"
    for path in [*logs, debug_log]:
        assert not any(form in path.read_bytes() for form in (seed.encode(), bytes.fromhex(seed))), path


async def test_a_seed_whose_key_is_missing_is_no_fault_of_the_client_and_no_overload(player: Player) -> None:
    await player.operator.gateway.database.pool.execute(
        "UPDATE seeds SET sealed_server_seed = regexp_replace(sealed_server_seed, '^v1[.][^.]+', 'v1.gone')"
        " WHERE id = (SELECT seed_id FROM sessions WHERE id = $1)",
        player.session_id,
    )
    refused = await player.call("POST", "/seed", json={"client_seed": "next"})
    problem = checked_problem(refused, 503, "overloaded")
    assert problem["detail"].startswith(WORDS[Cause.KEY])
    assert "gone" not in refused.text

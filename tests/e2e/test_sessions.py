"""Sessions over HTTP: opened by the operator, used by the game client, ended, outlived."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from security.seeds import SeedVault
from storage import rounds
from tests.e2e.parties import Gateway, Operator, Player, checked_problem


async def test_an_opened_session_has_a_token_a_launch_url_and_an_end(operator: Operator) -> None:
    opened = await operator.call(
        "POST", "/sessions", json={"player_id": uuid4().hex, "game_id": "dice", "currency": "EUR"}
    )
    body = opened.json()
    assert opened.status_code == 201
    assert set(body) == {"session_id", "token", "launch_url", "expires_at", "limits", "enabled"}
    assert (body["limits"], body["enabled"]) == ({}, True)
    assert datetime.fromisoformat(body["expires_at"]) > datetime.now(UTC) + timedelta(minutes=1)
    before_fragment, _, fragment = body["launch_url"].partition("#")
    assert body["token"] not in before_fragment, "a server on the way must not see the token"
    assert fragment == f"token={body['token']}"


@pytest.mark.parametrize("game_id", ["dice", "fruit-lines"])
async def test_a_session_shows_player_game_balance_and_commitment(operator: Operator, game_id: str) -> None:
    player = await operator.open_session(game_id=game_id, balance=1_234, client_seed="my-own_seed")

    body = (await player.call("GET", "/session")).json()

    assert body["session_id"] == player.session_id
    assert body["player"] == {"id": player.player_id}
    assert body["balance"] == {"amount": 1_234, "currency": "EUR"}
    assert (body["currency"], body["mode"], body["open_round"]) == ("EUR", "real", None)
    assert body["game"] == (await operator.gateway.http.get(f"/v1/games/{game_id}")).json()
    assert body["fairness"]["client_seed"] == "my-own_seed"
    assert body["fairness"]["next_nonce"] == 0


async def test_a_session_commits_to_the_seed_it_plays_with(gateway: Gateway, player: Player) -> None:
    fairness = (await player.call("GET", "/session")).json()["fairness"]
    row = await gateway.database.pool.fetchrow(
        "SELECT d.* FROM seeds d JOIN sessions s ON s.seed_id = d.id WHERE s.id = $1", player.session_id
    )
    seed = SeedVault(gateway.keyring).open(row["id"], row["sealed_server_seed"])
    assert fairness["server_seed_hash"] == hashlib.sha256(seed).hexdigest()

    played = [await player.played(), await player.played()]

    assert [r["fairness"] for r in played] == [
        {"server_seed_hash": fairness["server_seed_hash"], "client_seed": fairness["client_seed"], "nonce": n}
        for n in (0, 1)
    ]
    assert (await player.call("GET", "/session")).json()["fairness"]["next_nonce"] == 2


async def test_a_session_names_the_open_round_to_resume(gateway: Gateway, player: Player) -> None:
    bet = player.stored_bet(uuid4().hex)
    await rounds.reserve(gateway.database.pool, bet)
    try:
        body = (await player.call("GET", "/session")).json()
        assert body["open_round"] == bet.key.round_id
        assert body["balance"]["amount"] == 9_900
    finally:
        await rounds.release(gateway.database.pool, bet, "round-cancelled", "")
    assert (await player.call("GET", "/session")).json()["open_round"] is None


async def test_two_sessions_of_a_player_share_the_money(operator: Operator) -> None:
    dice = await operator.open_session(balance=500)
    slot = await operator.open_session(dice.player_id, game_id="fruit-lines")
    assert await slot.balance() == 500
    played = await slot.played(stake=10)
    assert await dice.balance() == 490 + played["win"]["amount"]


async def test_an_expired_token_refuses_bets_and_still_reads(player: Player) -> None:
    played = await player.played()
    late = player.expired()

    problem = checked_problem(await late.bet(round_id := uuid4().hex), 401, "session-expired")

    assert "session" in problem["detail"]
    assert not await player.operator.gateway.has_workflow(player.round_key(round_id).workflow_id)
    await _reads_on(late, played)
    assert (await late.call("GET", "/session")).status_code == 200


async def test_an_expired_token_does_not_repeat_a_bet_either_but_shows_its_round(player: Player) -> None:
    wager = player.wager()
    played = (await player.call("POST", "/rounds", json=wager)).json()
    late = player.expired()
    checked_problem(await late.call("POST", "/rounds", json=wager), 401, "session-expired")
    assert (await late.call("GET", f"/rounds/{wager['round_id']}")).json() == played


async def test_an_ended_session_refuses_bets_and_still_reads(operator: Operator, player: Player) -> None:
    played = await player.played()
    books = dict(await operator.books())

    ended = await operator.call("DELETE", f"/sessions/{player.session_id}")

    assert (ended.status_code, ended.content) == (204, b"")
    checked_problem(await player.bet(round_id := uuid4().hex), 401, "session-expired")
    await _reads_on(player, played, refused=round_id)
    after = dict(await operator.books())
    changed = {name for name in books if books[name] != after[name]}
    assert changed == {"ended", "rounds", "events", "sequences"}, "no money moved, and all is told"
    checked_problem(await player.call("GET", "/session"), 401, "session-expired")


async def test_ending_a_session_twice_is_no_error_and_leaves_other_sessions_alone(operator: Operator) -> None:
    ended = await operator.open_session(balance=1_000)
    other = await operator.open_session(ended.player_id)
    for _ in range(2):
        assert (await operator.call("DELETE", f"/sessions/{ended.session_id}")).status_code == 204
    await other.played()


async def _reads_on(player: Player, played: dict[str, Any], refused: str | None = None) -> None:
    assert await player.balance() == played["balance"]["amount"]
    assert (await player.call("GET", f"/rounds/{played['round_id']}")).json() == played
    seen = [r for r in await player.history() if r["round_id"] != refused]
    assert seen == [played]


async def test_a_genuine_token_of_a_session_that_is_not_stored_is_refused_and_stakes_nothing(
    operator: Operator,
) -> None:
    """The keyring was kept and the database is another one: the token is genuine, its session is nowhere."""
    player = await operator.open_session(balance=1_000)
    before = await operator.books()
    stranger, round_id = player.with_claims(session_id=uuid4().hex), uuid4().hex
    checked_problem(await stranger.bet(round_id), 401, "session-expired")
    checked_problem(await stranger.bet(round_id), 401, "session-expired")
    assert await operator.books() == before

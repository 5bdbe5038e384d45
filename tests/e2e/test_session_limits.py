"""A session's limits as operators set them and game clients meet them; refreshing a token within them."""

import time
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.parties import Operator, Player, checked_problem, checked_round

PLAYERS = 20  # of whom one has the luck that a test needs


async def test_the_stricter_of_the_operators_and_the_jurisdictions_limits_holds(operator: Operator) -> None:
    asked = {"max_stake": 500, "loss_limit": 9_000, "min_cycle_ms": 600_000, "stakes": [200, 100]}
    player = await operator.open_session(balance=10_000, jurisdiction="DE", limits=asked)
    shown = (await player.call("GET", "/session")).json()
    assert shown["limits"] == {
        "max_stake": 100,
        "stakes": [100, 200],
        "loss_limit": 9_000,
        "min_cycle_ms": 600_000,
    }
    assert shown["jurisdiction"] == "DE"
    assert checked_problem(await player.bet(stake=200), 403, "limit-exceeded")["limit"] == "max_stake"
    played = await player.played()
    too_soon = checked_problem(await player.bet(), 403, "limit-exceeded")
    assert (too_soon["limit"], 500 <= too_soon["retry_after"] <= 600) == ("min_cycle_ms", True)
    stored = await operator.gateway.database.pool.fetchval(
        "SELECT jurisdiction FROM rounds WHERE player_key = $1 AND round_id = $2",
        player.claims.player_key,
        played["round_id"],
    )
    assert stored == player.claims.jurisdiction == "DE"


async def test_a_refusal_is_a_round_that_says_so(operator: Operator) -> None:
    player = await operator.open_session(balance=10_000, limits={"stakes": [100], "loss_limit": 250})
    off = player.wager(stake=500)
    for status in (422, 422):
        told = checked_problem(await player.call("POST", "/rounds", json=off), status, "stake-not-allowed")
        assert told["limit"] == "stakes"
    declined = checked_round(await player.call("GET", f"/rounds/{off['round_id']}"))
    assert (declined["state"], declined["failure"]) == ("declined", {"code": "stake-not-allowed"})
    assert await player.balance() == 10_000


async def test_the_loss_limit_is_of_the_net_loss_of_the_session(operator: Operator) -> None:
    never: dict[str, Any] = {"choice": {"direction": "over", "target": 9_799}}
    for _ in range(PLAYERS):
        player = await operator.open_session(balance=10_000, limits={"loss_limit": 250})
        played = [await player.played(**never) for _ in range(2)]
        lost = sum(100 - round_["win"]["amount"] for round_ in played)
        if lost == 200:
            break  # whoever wins, one in fifty, would have to lose it all again
    assert lost == 200
    told = checked_problem(await player.bet(**never), 403, "limit-exceeded")
    assert told["limit"] == "loss_limit"
    seen = (await operator.call("GET", f"/sessions/{player.session_id}")).json()
    assert seen["lost"] == {"amount": lost, "currency": "EUR"}
    fresh = await operator.open_session(player.player_id)
    await fresh.played()


async def test_the_server_does_not_trust_the_token_for_limits(operator: Operator) -> None:
    """A genuine token that claims more time, no jurisdiction, or play money, changes nothing of the
    session."""
    player = await operator.open_session(balance=10_000, jurisdiction="DE", limits={"max_session_s": 600})
    other = player.with_claims(jurisdiction=None, expires_at=int(time.time()) + 10**6)
    checked_problem(await other.bet(stake=200), 403, "limit-exceeded")
    await _ten_minutes_pass(player)
    checked_problem(await other.bet(), 401, "session-expired")


async def test_a_session_takes_no_bet_after_its_longest_time_and_still_reads(operator: Operator) -> None:
    player = await operator.open_session(balance=10_000, limits={"max_session_s": 600})
    played = await player.played()
    await _ten_minutes_pass(player)
    checked_problem(await player.bet(), 401, "session-expired")
    checked_problem(await player.call("POST", "/session/refresh"), 401, "session-expired")
    assert (await player.call("GET", f"/rounds/{played['round_id']}")).json() == played
    seen = (await operator.call("GET", f"/sessions/{player.session_id}")).json()
    assert (seen["state"], seen["ended_at"]) == ("expired", None)


async def test_a_token_lasts_no_longer_than_its_session(operator: Operator) -> None:
    player = await operator.open_session(balance=1_000, limits={"max_session_s": 600})
    assert 500 < player.claims.expires_at - time.time() <= 600
    refreshed = await _refreshed(player)
    assert 500 < refreshed.claims.expires_at - time.time() <= 600


async def test_a_refreshed_token_is_of_the_same_session_and_lasts_longer(
    operator: Operator,
) -> None:
    player = await operator.open_session(balance=1_000, jurisdiction="MT", limits={"max_stake": 200})
    short = player.with_claims(expires_at=int(time.time()) + 300)
    refreshed = await _refreshed(short)
    assert refreshed.claims.expires_at >= player.claims.expires_at
    unchanged = {"session_id", "player_key", "account_id", "game_id", "currency", "mode", "jurisdiction"}
    for name in unchanged:
        assert getattr(refreshed.claims, name) == getattr(player.claims, name)
    await refreshed.played()
    await short.played()


async def test_what_is_over_is_not_refreshed(operator: Operator, player: Player) -> None:
    checked_problem(await player.expired().call("POST", "/session/refresh"), 401, "session-expired")
    await operator.call("DELETE", f"/sessions/{player.session_id}")
    checked_problem(await player.call("POST", "/session/refresh"), 401, "session-expired")
    unknown = player.with_claims(session_id=uuid4().hex)
    checked_problem(await unknown.call("POST", "/session/refresh"), 401, "unauthenticated")
    checked_problem(await player.with_token("x").call("POST", "/session/refresh"), 401, "unauthenticated")


async def test_the_operator_sees_its_session_and_nobody_elses(operator: Operator, rival: Operator) -> None:
    player = await operator.open_session(limits={"max_stake": 300})
    seen = (await operator.call("GET", f"/sessions/{player.session_id}")).json()
    assert seen == {
        "session_id": player.session_id,
        "state": "open",
        "player_id": player.player_id,
        "game_id": "dice",
        "currency": "EUR",
        "mode": "real",
        "jurisdiction": None,
        "brand": None,
        "limits": {"max_stake": 300},
        "lost": None,
        "enabled": True,
        "created_at": seen["created_at"],
        "expires_at": seen["expires_at"],
        "ended_at": None,
    }
    checked_problem(await rival.call("GET", f"/sessions/{player.session_id}"), 404, "not-found")
    await operator.call("DELETE", f"/sessions/{player.session_id}")
    ended = (await operator.call("GET", f"/sessions/{player.session_id}")).json()
    assert ended["state"] == "ended"
    assert ended["ended_at"] is not None


@pytest.mark.parametrize("limits", [{}, None])
async def test_no_limits_are_no_limits(operator: Operator, limits: dict[str, Any] | None) -> None:
    player = await operator.open_session(limits=limits)
    assert (await player.call("GET", "/session")).json()["limits"] == {}


async def _refreshed(player: Player) -> Player:
    response = await player.call("POST", "/session/refresh")
    assert response.status_code == 200, response.text
    assert set(response.json()) == {"token", "expires_at"}
    player.operator.gateway.secrets.append(response.json()["token"])
    return player.with_token(response.json()["token"])


async def _ten_minutes_pass(player: Player) -> None:
    await player.operator.gateway.database.pool.execute(
        "UPDATE sessions SET created_at = created_at - interval '10 minutes' WHERE id = $1", player.session_id
    )

"""The operator's switches: a game off and on, a player blocked and let in again; each operator's own."""

from uuid import uuid4

import pytest

from storage import rounds
from tests.e2e.parties import Gateway, Operator, checked_problem


async def test_a_game_that_is_off_takes_no_bet_and_says_so(gateway: Gateway) -> None:
    operator, neighbour = await gateway.new_operator(), await gateway.new_operator()
    player, theirs = [await one.open_session(balance=1_000) for one in (operator, neighbour)]
    slot = await operator.open_session(player.player_id, game_id="fruit-lines")
    switched = await operator.call("PUT", "/games/dice", json={"enabled": False})
    assert (switched.status_code, switched.json()) == (200, {"game_id": "dice", "enabled": False})

    wager = player.wager()
    for _ in range(2):
        checked_problem(await player.call("POST", "/rounds", json=wager), 403, "game-disabled")
    assert (await player.call("GET", "/session")).json()["enabled"] is False
    opened = {"player_id": "anna", "game_id": "dice", "currency": "EUR"}
    assert (await operator.call("POST", "/sessions", json=opened)).json()["enabled"] is False
    await theirs.played()
    await slot.played(stake=10)

    assert (await operator.call("PUT", "/games/dice", json={"enabled": True})).json()["enabled"] is True
    assert (await player.call("GET", "/session")).json()["enabled"] is True
    checked_problem(await player.call("POST", "/rounds", json=wager), 403, "game-disabled")
    await player.played()


async def test_a_repeat_is_answered_and_an_open_round_ends_though_the_game_is_off(gateway: Gateway) -> None:
    operator = await gateway.new_operator()
    player = await operator.open_session(balance=1_000)
    wager = player.wager()
    played = (await player.call("POST", "/rounds", json=wager)).json()
    held = player.stored_bet(uuid4().hex)
    await rounds.reserve(gateway.database.pool, held)
    await operator.call("PUT", "/games/dice", json={"enabled": False})
    assert (await player.call("POST", "/rounds", json=wager)).json() == played
    settled = await rounds.settle(gateway.database.pool, held.key, {"roll": 1}, 0)
    assert settled.view.state == "settled"


async def test_a_blocked_player_bets_with_no_money_until_let_in_again(gateway: Gateway) -> None:
    operator, neighbour = await gateway.new_operator(), await gateway.new_operator()
    real = await operator.open_session("anna", balance=1_000)
    play = await operator.open_session("anna", mode="demo")
    namesake = await neighbour.open_session("anna", balance=1_000)
    blocked = await operator.call("PUT", "/players/anna", json={"blocked": True})
    assert (blocked.status_code, blocked.json()) == (200, {"player_id": "anna", "blocked": True})
    for player in (real, play):
        checked_problem(await player.bet(), 403, "player-blocked")
    await namesake.played()
    assert (await operator.call("PUT", "/players/anna", json={"blocked": False})).json()["blocked"] is False
    for player in (real, play):
        await player.played()


async def test_what_is_not_the_operators_is_not_there(operator: Operator, rival: Operator) -> None:
    player = await operator.open_session(balance=1_000)
    refused = await rival.call("PUT", f"/players/{player.player_id}", json={"blocked": True})
    checked_problem(refused, 404, "not-found")
    checked_problem(await operator.call("PUT", "/games/poker", json={"enabled": True}), 404, "not-found")
    await player.played()


@pytest.mark.parametrize(
    "body", [{}, {"enabled": None}, {"enabled": 0}, {"enabled": "no"}, {"blocked": True}]
)
async def test_a_switch_is_on_or_off(operator: Operator, body: dict[str, object]) -> None:
    checked_problem(await operator.call("PUT", "/games/dice", json=body), 422, "invalid")

"""A brand is a label of its operator's: sessions carry it, and through them rounds, events and keys."""

import dataclasses
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.parties import Gateway, Operator, Player, checked_problem
from tests.e2e.test_game_events import event, tell


@pytest.fixture
async def casino(gateway: Gateway) -> Operator:
    """With an administrator's key, which has no brand."""
    own = await gateway.new_operator()
    return dataclasses.replace(own, key=await gateway.new_key(own.operator_id, scope="admin"))


async def keyed(casino: Operator, brand: str | None) -> tuple[Operator, str]:
    """The same operator with a new key of the brand, and the key's id."""
    asked = {"scope": "operator"} | ({} if brand is None else {"brand": brand})
    made = await casino.call("POST", "/keys", json=asked)
    assert (made.status_code, made.json()["brand"]) == (201, brand)
    return Operator(casino.gateway, casino.operator_id, made.json()["key"]), made.json()["key_id"]


async def brands_of_events(player: Player) -> dict[str, Any]:
    """What each type of the player's events says of its brand."""
    rows = await player.operator.gateway.database.pool.fetch(
        "SELECT type, data FROM outbox WHERE player_key = $1", player.claims.player_key
    )
    return {row["type"]: row["data"].get("brand") for row in rows}


async def everything(player: Player) -> tuple[Any, Any]:
    """Plays, tells an event, ends the session; returns the brands of the session and the round."""
    played = await player.played()
    assert (await tell(player, event())).status_code in (201, 202, 204)
    operator = player.operator
    round_ = (await operator.call("GET", f"/rounds/{played['round_id']}")).json()
    session = (await operator.call("GET", f"/sessions/{player.session_id}")).json()
    assert (await operator.call("DELETE", f"/sessions/{player.session_id}")).status_code == 204
    listed = await operator.rounds(player_id=player.player_id)
    assert [one["brand"] for one in listed] == [round_["brand"]]
    return session["brand"], round_["brand"]


async def test_a_session_carries_its_brand_to_rounds_and_events(casino: Operator) -> None:
    player = await casino.open_session(balance=1_000, brand="north")
    assert await everything(player) == ("north", "north")
    assert await brands_of_events(player) == {
        "session.opened": "north",
        "wallet.deposited": None,  # the player's, of no brand
        "round.settled": "north",
        "game.event": "north",
        "session.ended": "north",
    }


async def test_without_a_brand_nothing_names_one(casino: Operator) -> None:
    player = await casino.open_session(balance=1_000)
    assert await everything(player) == (None, None)
    assert set((await brands_of_events(player)).values()) == {None}


async def test_a_declined_bet_and_one_that_waits_carry_it_too(casino: Operator) -> None:
    player = await casino.open_session(game_id="lucky-fruits", brand="north")
    refused = await player.call("POST", "/rounds", json=player.wager(uuid4().hex))
    checked_problem(refused, 402, "insufficient-funds")
    assert (await brands_of_events(player))["round.declined"] == "north"


async def test_a_key_of_a_brand_opens_its_sessions_and_no_others(casino: Operator) -> None:
    north, _ = await keyed(casino, "north")
    player = await north.open_session(balance=1_000)
    assert (await everything(player))[0] == "north"
    await north.open_session(brand="north")
    session = {"player_id": player.player_id, "game_id": "dice", "currency": "EUR", "brand": "south"}
    checked_problem(await north.call("POST", "/sessions", json=session), 403, "forbidden")


async def test_a_rotated_key_keeps_its_brand(casino: Operator) -> None:
    _, key_id = await keyed(casino, "north")
    rotated = await casino.call("POST", f"/keys/{key_id}/rotate", json={"overlap_s": 0})
    assert (rotated.status_code, rotated.json()["brand"]) == (201, "north")
    listed = {key["key_id"]: key["brand"] for key in (await casino.call("GET", "/keys")).json()["items"]}
    assert listed[rotated.json()["key_id"]] == listed[key_id] == "north"
    again = Operator(casino.gateway, casino.operator_id, rotated.json()["key"])
    opened = await again.open_session()
    assert (await again.call("GET", f"/sessions/{opened.session_id}")).json()["brand"] == "north"


@pytest.mark.parametrize("brand", ["", "a.b", "a b", "x" * 65, 7])
async def test_a_brand_that_could_be_no_id_is_refused(casino: Operator, brand: Any) -> None:
    session = {"player_id": "anna", "game_id": "dice", "currency": "EUR", "brand": brand}
    checked_problem(await casino.call("POST", "/sessions", json=session), 422, "invalid")
    checked_problem(
        await casino.call("POST", "/keys", json={"scope": "game", "brand": brand}), 422, "invalid"
    )

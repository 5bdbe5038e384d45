"""Rounds with choices over HTTP: Lucky Fruits to its end, repeats, refusals, and what a player returns to."""

import asyncio

import pytest

from games.lucky_fruits import GAME
from tests.e2e.choices import act, open_round
from tests.e2e.parties import Gateway, Operator, Player, checked_problem, checked_round

ROUNDS = 40  # one of them comes as a test needs it


@pytest.fixture
async def player(operator: Operator) -> Player:
    return await operator.open_session(balance=1_000_000, game_id=GAME.id)


async def test_a_win_waits_and_is_collected(player: Player) -> None:
    round_ = await open_round(player)
    before = await player.balance()
    assert (round_["state"], round_["settled_at"], round_["sequence"]) == ("awaiting_choice", None, None)
    assert round_["decide_by"] is not None
    assert (await player.call("GET", "/session")).json()["open_round"] == round_["round_id"]
    checked_problem(await player.bet(), 409, "round-open")

    response = await act(player, round_["round_id"], "collect", action_id="c1")
    settled = checked_round(response)
    assert (response.status_code, settled["state"], settled["choices"]) == (200, "settled", [])
    assert settled["win"]["amount"] == round_["outcome"]["total"] > 0
    assert await player.balance() == before + settled["win"]["amount"]
    assert [taken["action_id"] for taken in settled["actions"]] == ["c1"]

    again = await act(player, round_["round_id"], "collect", action_id="c1")
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json() == settled
    other = await act(player, round_["round_id"], "gamble", action_id="c1", color="red")
    checked_problem(other, 422, "id-reused")
    checked_problem(await act(player, round_["round_id"], "collect"), 409, "round-closed")


async def test_a_raise_costs_what_it_says_and_pays_what_it_wins(player: Player) -> None:
    round_ = await open_round(player, "raise")
    before = await player.balance()
    cost = next(c["debit"]["amount"] for c in round_["choices"] if c["action"] == "raise")
    response = await act(player, round_["round_id"], "raise", color="red")
    raised = checked_round(response)
    assert raised["stake"]["amount"] == round_["stake"]["amount"] + cost
    while raised["state"] == "awaiting_choice":
        assert await player.balance() == before - cost, "what it costs is held"
        raised = (await act(player, round_["round_id"], "collect")).json()
    assert await player.balance() == before - cost + raised["win"]["amount"]
    gamble = raised["outcome"]["gambles"][0]
    assert raised["win"]["amount"] == cost * (3 if gamble["drawn"] == "red" else 1)


async def test_a_session_acts_in_its_own_game_and_currency_alone(operator: Operator, player: Player) -> None:
    round_ = await open_round(player)
    round_id, before = round_["round_id"], await player.balance()
    for game_id, currency in (("dice", "USD"), ("dice", "EUR"), (GAME.id, "USD")):
        other = await operator.open_session(player.player_id, game_id=game_id, currency=currency)
        for action_id in ("a-1", "a-2"):
            checked_problem(await act(other, round_id, "collect", action_id=action_id), 403, "forbidden")
        looked = await other.call("GET", f"/rounds/{round_id}")
        assert (looked.status_code, looked.json()) == (200, round_), "looking stays possible"
        reused = await other.bet(round_id)
        assert (reused.status_code, reused.json()["code"]) == (422, "id-reused")
    again = await operator.open_session(player.player_id, game_id=GAME.id)
    settled = checked_round(await act(again, round_id, "collect", action_id="a-1"))
    assert (settled["state"], len(settled["actions"])) == ("settled", 1)
    assert await player.balance() == before + settled["win"]["amount"]
    stale = await operator.open_session(player.player_id, currency="USD")
    checked_problem(await act(stale, round_id, "collect", action_id="a-1"), 403, "forbidden")


async def test_the_free_spins_are_those_that_were_picked(player: Player) -> None:
    round_ = await open_round(player, "pick")
    picked = (await act(player, round_["round_id"], "pick", spins=6)).json()
    assert (picked["outcome"]["picked"], len(picked["outcome"]["spins"])) == (6, 7)
    assert picked["outcome"]["spins"][0] == round_["outcome"]["spins"][0], "what was shown stays"


async def test_what_is_not_offered_is_refused_and_leaves_no_trace(player: Player) -> None:
    round_ = await open_round(player)
    for action, params in (
        ("steal", {}),
        ("gamble", {}),
        ("gamble", {"color": "green"}),
        ("collect", {"n": 1}),
    ):
        body = checked_problem(await act(player, round_["round_id"], action, **params), 422, "unknown-choice")
        assert body["choices"] == round_["choices"]
    for bad in (
        {"action": "collect"},
        {"action_id": "a b", "action": "collect"},
        {"action_id": "a", "action": 1},
    ):
        response = await player.call("POST", f"/rounds/{round_['round_id']}/actions", json=bad)
        checked_problem(response, 422, "invalid")
    checked_problem(await act(player, "no-such-round", "collect"), 404, "not-found")
    stands = (await player.call("GET", f"/rounds/{round_['round_id']}")).json()
    assert stands == round_


async def test_a_hundred_identical_actions_at_once_are_one(player: Player) -> None:
    round_ = await open_round(player, "raise")
    before = await player.balance()
    cost = next(c["debit"]["amount"] for c in round_["choices"] if c["action"] == "raise")
    responses = await asyncio.gather(
        *(act(player, round_["round_id"], "raise", action_id="r1", color="black") for _ in range(100))
    )
    assert {response.status_code for response in responses} == {200}
    assert sum("idempotent-replayed" not in response.headers for response in responses) == 1
    ended = (await player.call("GET", f"/rounds/{round_['round_id']}")).json()
    assert [taken["action_id"] for taken in ended["actions"]] == ["r1"]
    if ended["state"] == "awaiting_choice":
        assert await player.balance() == before - cost
        await act(player, round_["round_id"], "collect")


async def test_a_jurisdiction_says_what_becomes_of_a_round_that_is_left(
    operator: Operator, gateway: Gateway
) -> None:
    player = await operator.open_session(balance=1_000_000, game_id=GAME.id, jurisdiction="AU-ACT")
    round_ = await open_round(player)
    stored = await gateway.database.pool.fetchval(
        "SELECT offer ->> 'abandonment' FROM rounds WHERE round_id = $1", round_["round_id"]
    )
    assert stored == "refund"
    assert (await act(player, round_["round_id"], "collect")).json()["state"] == "settled"


async def test_a_repeated_bet_answers_the_round_that_waits(player: Player) -> None:
    round_ = await open_round(player)
    again = await player.bet(round_["round_id"])
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json() == round_


async def test_another_player_or_session_cannot_act_and_a_new_session_of_the_player_can(
    player: Player, operator: Operator, rival: Operator
) -> None:
    round_ = await open_round(player)
    for stranger in (
        await operator.open_session(game_id=GAME.id),
        await rival.open_session(player.player_id, game_id=GAME.id),
    ):
        checked_problem(await act(stranger, round_["round_id"], "collect"), 404, "not-found")
    later = await operator.open_session(player.player_id, game_id=GAME.id)
    assert (await later.call("GET", "/session")).json()["open_round"] == round_["round_id"]
    resumed = (await later.call("GET", f"/rounds/{round_['round_id']}")).json()
    assert resumed == round_
    assert (await act(later, round_["round_id"], "collect")).json()["state"] == "settled"


async def test_an_expired_session_goes_on_but_stakes_no_more(player: Player, gateway: Gateway) -> None:
    round_ = await open_round(player, "raise")
    await gateway.database.pool.execute(
        "UPDATE sessions SET expires_at = clock_timestamp() WHERE id = $1", player.session_id
    )
    expired = player.expired()
    refused = await act(expired, round_["round_id"], "raise", color="red")
    checked_problem(refused, 401, "session-expired")
    assert (await act(expired, round_["round_id"], "collect")).json()["state"] == "settled"


async def test_a_round_whose_workflow_is_lost_is_taken_up_by_the_next_action(
    player: Player, gateway: Gateway
) -> None:
    round_ = await open_round(player)
    key = player.round_key(round_["round_id"])
    await gateway.temporal.get_workflow_handle(key.workflow_id).terminate("for a test")
    settled = await act(player, round_["round_id"], "collect")
    assert (settled.status_code, settled.json()["state"]) == (200, "settled")


async def test_a_voided_round_gives_every_stake_back(player: Player, operator: Operator) -> None:
    for _ in range(ROUNDS):
        round_ = await open_round(player, "raise")
        before = await player.balance()
        raised = (await act(player, round_["round_id"], "raise", color="red")).json()
        if raised["state"] == "awaiting_choice":
            break
    assert raised["state"] == "awaiting_choice", "no raise was won"
    assert raised["stake"]["amount"] > round_["stake"]["amount"]
    void = await operator.call("POST", f"/rounds/{round_['round_id']}/void", json={"reason": "ticket 1"})
    assert void.status_code == 200, void.text
    assert await player.balance() == before + 100
    checked_problem(await act(player, round_["round_id"], "collect"), 409, "round-closed")


async def test_an_outcome_with_actions_can_be_verified(player: Player) -> None:
    round_ = await open_round(player, "gamble")
    response = await act(player, round_["round_id"], "gamble", color="red")
    while response.json()["state"] == "awaiting_choice":
        response = await act(player, round_["round_id"], "collect")
    played = response.json()
    revealed = (await player.call("POST", "/seed", json={"client_seed": "next"})).json()["revealed"]
    body = {
        "game": GAME.id,
        "version": GAME.version,
        "server_seed": revealed["server_seed"],
        "client_seed": revealed["client_seed"],
        "nonce": played["fairness"]["nonce"],
        "stake": 100,
        "actions": [{"action": a["action"], "params": a["params"]} for a in played["actions"]],
    }
    http = player.operator.gateway.http
    verified = await http.post("/v1/fairness/verify", json=body)
    assert verified.status_code == 200, verified.text
    found = verified.json()
    assert (found["outcome"], found["win"]) == (played["outcome"], played["win"]["amount"])
    wrong = await http.post("/v1/fairness/verify", json=body | {"actions": [{"action": "x"}]})
    checked_problem(wrong, 422, "unknown-choice")

"""Bets over HTTP: played once, however often, however many at once, in whichever session they are sent."""

import asyncio
from collections import Counter
from datetime import datetime
from uuid import uuid4

import httpx
import pytest

from storage import rounds
from tests.e2e.parties import Gateway, Operator, Player, checked_problem, checked_round

REPLAYED = "idempotent-replayed"


async def test_a_dice_round_settles_and_adds_up(player: Player) -> None:
    response = await player.bet("dice-1_A", stake=200)
    round_ = checked_round(response)

    assert response.status_code == 201
    assert REPLAYED not in response.headers
    assert (round_["round_id"], round_["state"], round_["mode"]) == ("dice-1_A", "settled", "base")
    assert round_["game"] == {"id": "dice", "version": "1.0.0"}
    assert round_["stake"] == {"amount": 200, "currency": "EUR"}
    outcome, win = round_["outcome"], round_["win"]["amount"]
    assert outcome["won"] == (outcome["roll"] > 4_999)
    assert win == outcome["win"] == (396 if outcome["won"] else 0)
    assert round_["balance"] == {"amount": 10_000 - 200 + win, "currency": "EUR"}
    assert await player.balance() == 9_800 + win
    assert (round_["sequence"], round_["failure"], round_["choices"], round_["decide_by"]) == (
        3,  # after the session and the deposit
        None,
        [],
        None,
    )
    assert round_["created_at"].endswith("Z")
    assert datetime.fromisoformat(round_["created_at"]) <= datetime.fromisoformat(round_["settled_at"])


async def test_a_slot_round_settles_and_adds_up(operator: Operator) -> None:
    player = await operator.open_session(game_id="fruit-lines", balance=1_000)
    round_ = await player.played(stake=50)
    assert round_["game"] == {"id": "fruit-lines", "version": "1.0.0"}
    assert round_["outcome"]["total"] == round_["win"]["amount"]
    assert await player.balance() == 950 + round_["win"]["amount"] == round_["balance"]["amount"]


async def test_sequences_and_balances_follow_each_other_without_a_gap(player: Player) -> None:
    balance = 10_000
    for expected in range(3, 13):
        round_ = await player.played()
        balance += round_["win"]["amount"] - 100
        assert (round_["sequence"], round_["balance"]["amount"]) == (expected, balance)


async def test_a_round_can_be_asked_for_by_its_id(player: Player) -> None:
    played = await player.played()
    response = await player.call("GET", f"/rounds/{played['round_id']}")
    assert (response.status_code, checked_round(response)) == (200, played)


async def test_a_repeat_gets_the_identical_answer_and_moves_nothing(player: Player) -> None:
    wager = player.wager()
    first = await player.call("POST", "/rounds", json=wager)
    books = await player.operator.books()

    # Other bytes, the same payload.
    again = await player.call("POST", "/rounds", json=dict(reversed(wager.items())))

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers[REPLAYED] == "true"
    assert again.content == first.content
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert await player.operator.books() == books


async def test_a_repeat_long_after_and_from_another_session_gets_the_first_answer(operator: Operator) -> None:
    player = await operator.open_session(balance=10_000)
    wager = player.wager()
    first = await player.call("POST", "/rounds", json=wager)
    for _ in range(5):
        await player.played()
    balance = await player.balance()
    second_session = await operator.open_session(player.player_id)

    for asking in (player, second_session):
        again = await asking.call("POST", "/rounds", json=wager)
        assert (again.status_code, again.headers[REPLAYED], again.content) == (200, "true", first.content)
    assert await player.balance() == balance


async def test_a_repeat_that_temporal_has_forgotten_is_answered_from_the_ledger(
    gateway: Gateway, player: Player
) -> None:
    """Unique keys hold for ever, workflow ids only as long as Temporal retains them."""
    wager = player.wager()
    bet = player.stored_bet(wager["round_id"])
    await rounds.reserve(gateway.database.pool, bet)
    await rounds.settle(gateway.database.pool, bet.key, {"roll": 1}, 250)

    response = await player.call("POST", "/rounds", json=wager)

    assert (response.status_code, response.headers.get(REPLAYED)) == (200, "true")
    assert response.json()["win"]["amount"] == 250
    assert await player.balance() == 10_150


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"stake": 200}, id="another stake"),
        pytest.param({"choice": {"direction": "under", "target": 4_999}}, id="another direction"),
        pytest.param({"choice": {"direction": "over", "target": 5_000}}, id="another target"),
    ],
)
async def test_an_id_used_again_for_another_bet_is_refused(
    player: Player, changes: dict[str, object]
) -> None:
    played = await player.played()
    books = await player.operator.books()
    checked_problem(await player.bet(played["round_id"], **changes), 422, "id-reused")
    assert await player.operator.books() == books
    assert (await player.call("GET", f"/rounds/{played['round_id']}")).json() == played


async def test_an_id_used_again_in_another_game_or_currency_is_refused(operator: Operator) -> None:
    player = await operator.open_session(balance=1_000)
    played = await player.played()
    elsewhere = [
        await operator.open_session(player.player_id, game_id="fruit-lines"),
        await operator.open_session(player.player_id, currency="USD", balance=1_000),
    ]
    for session in elsewhere:
        checked_problem(await session.bet(played["round_id"]), 422, "id-reused")
    assert [await session.balance() for session in elsewhere] == [played["balance"]["amount"], 1_000]


async def test_a_round_id_is_its_players_own(operator: Operator, rival: Operator) -> None:
    players = [
        await operator.open_session(balance=1_000),
        await operator.open_session(balance=1_000),
        await rival.open_session(balance=1_000),
    ]
    responses = [await player.bet("the-same-id") for player in players]
    assert [r.status_code for r in responses] == [201, 201, 201]
    assert [await p.balance() for p in players] == [r.json()["balance"]["amount"] for r in responses]


async def test_identical_bets_at_once_debit_once_and_answer_alike(player: Player) -> None:
    """As many as one operator may have under way, however slowly they are answered."""
    wager = player.wager()

    responses = await asyncio.gather(*(player.call("POST", "/rounds", json=wager) for _ in range(80)))

    assert Counter(r.status_code for r in responses) == {201: 1, 200: 79}
    assert len({r.content for r in responses}) == 1
    assert [r.headers.get(REPLAYED) for r in responses if r.status_code == 200] == ["true"] * 79
    assert REPLAYED not in next(r for r in responses if r.status_code == 201).headers
    win = responses[0].json()["win"]["amount"]
    assert await player.balance() == 9_900 + win
    assert len(await player.history()) == 1


async def test_of_two_different_bets_with_one_id_at_once_one_wins(player: Player) -> None:
    for _ in range(5):
        before, round_id = await player.balance(), uuid4().hex
        small, large = await asyncio.gather(player.bet(round_id, stake=100), player.bet(round_id, stake=200))
        accepted, refused = (small, large) if small.status_code == 201 else (large, small)
        assert accepted.status_code == 201
        checked_problem(refused, 422, "id-reused")
        played = accepted.json()
        assert await player.balance() == before - played["stake"]["amount"] + played["win"]["amount"]


async def test_fifty_different_bets_at_once_play_one_after_another_or_name_the_open_round(
    player: Player,
) -> None:
    ids = {f"many-{number}" for number in range(50)}

    responses = await asyncio.gather(*(player.bet(round_id) for round_id in ids))

    settled = [r.json() for r in responses if r.status_code == 201]
    refused = [checked_problem(r, 409, "round-open") for r in responses if r.status_code != 201]
    assert settled
    assert all(p["open_round"] in ids - {p["round_id"]} for p in refused)
    assert {r["round_id"] for r in settled} | {p["round_id"] for p in refused} == ids
    # The session and the deposit came first, and each refusal is told too.
    sequences = [r["sequence"] for r in await player.history()]
    assert sorted(sequences) == list(range(3, 3 + len(ids)))
    assert await player.balance() == 10_000 + sum(r["win"]["amount"] - 100 for r in settled)
    states = Counter(r["state"] for r in await player.history())
    assert states == Counter(settled=len(settled), declined=len(refused))


async def test_many_players_at_once_get_rounds_of_their_own(operator: Operator) -> None:
    players = [await operator.open_session(balance=1_000) for _ in range(20)]
    responses = await asyncio.gather(*(player.bet() for player in players))
    assert [r.status_code for r in responses] == [201] * 20
    assert [r.json()["balance"]["amount"] for r in responses] == [await p.balance() for p in players]


async def test_a_bet_while_a_round_is_open_is_refused_and_names_it(gateway: Gateway, player: Player) -> None:
    bet = player.stored_bet("held-open")
    await rounds.reserve(gateway.database.pool, bet)
    try:
        refused = await player.bet("one-too-many")
        assert checked_problem(refused, 409, "round-open")["open_round"] == "held-open"
        assert await player.balance() == 9_900

        # Another game is another table.
        slot = await player.operator.open_session(player.player_id, game_id="fruit-lines")
        assert (await slot.bet()).status_code == 201
    finally:
        await rounds.release(gateway.database.pool, bet, "round-cancelled", "")

    again = await player.bet("one-too-many")
    assert checked_problem(again, 409, "round-open")["open_round"] == "held-open", "the first answer stands"
    assert again.headers[REPLAYED] == "true"
    await player.played()


async def test_more_than_the_balance_is_declined_with_the_true_balance(operator: Operator) -> None:
    player = await operator.open_session(balance=150)
    wager = player.wager(stake=200)
    books = dict(await operator.books())

    first = await player.call("POST", "/rounds", json=wager)
    again = await player.call("POST", "/rounds", json=wager)

    problem = checked_problem(first, 402, "insufficient-funds")
    assert problem["balance"] == {"amount": 150, "currency": "EUR"}
    assert REPLAYED not in first.headers
    assert again.headers[REPLAYED] == "true"
    assert _same(again, first)
    declined = (await player.call("GET", f"/rounds/{wager['round_id']}")).json()
    assert (declined["state"], declined["failure"]) == ("declined", {"code": "insufficient-funds"})
    assert (declined["win"]["amount"], declined["settled_at"], declined["sequence"]) == (0, None, 3)
    after = dict(await operator.books())
    changed = {name for name in books if books[name] != after[name]}
    assert changed == {"rounds", "events", "sequences"}, "no money moved, and it is told"

    assert (await player.bet(stake=100)).status_code == 201, "the session is not wedged"


async def test_the_whole_balance_can_be_staked_and_not_a_unit_more(operator: Operator) -> None:
    player = await operator.open_session(balance=99)
    checked_problem(await player.bet(), 402, "insufficient-funds")
    await player.deposit(1)
    assert (await player.bet()).status_code == 201


async def test_a_blocked_player_is_refused(gateway: Gateway, player: Player) -> None:
    await gateway.database.pool.execute(
        "UPDATE players SET blocked = true WHERE id = $1", player.claims.player_key
    )
    checked_problem(await player.bet(), 403, "player-blocked")
    assert await player.balance() == 10_000


async def test_a_held_stake_is_no_part_of_what_can_be_bet(gateway: Gateway, operator: Operator) -> None:
    player = await operator.open_session(balance=150)
    slot = await operator.open_session(player.player_id, game_id="fruit-lines")
    bet = player.stored_bet(uuid4().hex)
    await rounds.reserve(gateway.database.pool, bet)
    try:
        problem = checked_problem(await slot.bet(stake=100), 402, "insufficient-funds")
        assert problem["balance"]["amount"] == 50
    finally:
        await rounds.release(gateway.database.pool, bet, "round-cancelled", "")


def _same(one: httpx.Response, other: httpx.Response) -> bool:
    """Equal but for the id of the request."""
    return {**one.json(), "request_id": ""} == {**other.json(), "request_id": ""}
